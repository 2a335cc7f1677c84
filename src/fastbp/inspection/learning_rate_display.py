"""A display of the learning rate range test."""

from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastbp.estimators import find_learning_rate
from fastbp.estimators.base import BaseMLP
from fastbp.estimators.learning_rate import LearningRateSweep
from fastbp.inspection._plotting import BLUE, GREY, VERMILLION, axes_of, legend_above

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure, SubFigure
    from matplotlib.lines import Line2D

#: Share of the range of the smoothed losses that is drawn above and below it
MARGIN = 0.15


class LearningRateDisplay:
    """The losses along a sweep of the learning rate, and the learning rate that they suggest.

    Parameters
    ----------
    learning_rates, losses, smoothed : array-like of shape (n_steps,)
    suggestion : float or None

    Attributes
    ----------
    ax_ : matplotlib Axes
    figure_ : matplotlib Figure
    loss_line_, smoothed_line_ : matplotlib Line2D
    suggestion_line_ : matplotlib Line2D or None

    See Also
    --------
    fastbp.find_learning_rate : The sweep without a plot.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from fastbp import MLPClassifier
    >>> from fastbp.inspection import LearningRateDisplay
    >>> X, y = load_digits(return_X_y=True)
    >>> display = LearningRateDisplay.from_estimator(MLPClassifier(random_state=0), X / 16, y)  # doctest: +SKIP
    """

    learning_rates: NDArray[np.float64]
    losses: NDArray[np.float64]
    smoothed: NDArray[np.float64]
    suggestion: float | None
    ax_: "Axes"
    figure_: "Figure | SubFigure"
    loss_line_: "Line2D"
    smoothed_line_: "Line2D"
    suggestion_line_: "Line2D | None"

    def __init__(
        self, *, learning_rates: ArrayLike, losses: ArrayLike, smoothed: ArrayLike, suggestion: float | None = None
    ) -> None:
        arrays = [np.asarray(values, np.float64) for values in (learning_rates, losses, smoothed)]
        self.learning_rates, self.losses, self.smoothed = arrays
        if self.losses.ndim != 1 or not len(self.losses):
            raise ValueError(f"losses must be one number for each step, got shape {self.losses.shape}")
        for name in ("learning_rates", "smoothed"):
            if getattr(self, name).shape != self.losses.shape:
                raise ValueError(
                    f"{name} must have shape {self.losses.shape} as losses has, got {getattr(self, name).shape}"
                )
        self.suggestion = suggestion

    @classmethod
    def from_estimator(
        cls,
        estimator: BaseMLP,
        X: Any,
        y: Any,
        sample_weight: ArrayLike | None = None,
        *,
        classes: ArrayLike | None = None,
        min_learning_rate: float = 1e-6,
        max_learning_rate: float = 10.0,
        n_steps: int = 200,
        ax: "Axes | None" = None,
    ) -> Self:
        """Make a sweep and draw it.

        Parameters
        ----------
        estimator : MLPClassifier or MLPRegressor
            It is not changed, and need not be fitted.
        X : array-like or sparse matrix of shape (n_samples, n_features)
        y : array-like or sparse matrix
        sample_weight : array-like of shape (n_samples,), default=None
        classes : array-like, default=None
        min_learning_rate, max_learning_rate : float, default=1e-6, 10.0
        n_steps : int, default=200
            These are passed to `fastbp.find_learning_rate`.
        ax : matplotlib Axes or None
            None for a new figure.

        Returns
        -------
        LearningRateDisplay

        Raises
        ------
        ImportError
            Without matplotlib.
        """
        sweep = find_learning_rate(
            estimator,
            X,
            y,
            sample_weight,
            classes=classes,
            min_learning_rate=min_learning_rate,
            max_learning_rate=max_learning_rate,
            n_steps=n_steps,
        )
        return cls.from_sweep(sweep, ax=ax)

    @classmethod
    def from_sweep(cls, sweep: LearningRateSweep, *, ax: "Axes | None" = None) -> Self:
        """Draw a sweep that was made before.

        Parameters
        ----------
        sweep : LearningRateSweep
            From `fastbp.find_learning_rate`.
        ax : matplotlib Axes or None
            None for a new figure.

        Returns
        -------
        LearningRateDisplay

        Raises
        ------
        ImportError
            Without matplotlib.
        """
        display = cls(
            learning_rates=sweep.learning_rates,
            losses=sweep.losses,
            smoothed=sweep.smoothed,
            suggestion=sweep.suggestion,
        )
        return display.plot(ax)

    def plot(
        self,
        ax: "Axes | None" = None,
        *,
        loss_kw: dict[str, Any] | None = None,
        smoothed_kw: dict[str, Any] | None = None,
    ) -> Self:
        """Draw the losses and the suggestion.

        Losses far above the first ones lie outside of the axes.

        Parameters
        ----------
        ax : matplotlib Axes or None
            None for a new figure.
        loss_kw, smoothed_kw : dict or None
            For ``Axes.plot`` of the two lines.

        Returns
        -------
        LearningRateDisplay
            Itself.
        """
        ax = axes_of(ax, type(self).__name__, (6.4, 4.2))
        self.ax_, self.figure_, self.suggestion_line_ = ax, ax.figure, None
        dots: dict[str, Any] = {
            "color": GREY,
            "linestyle": "none",
            "marker": ".",
            "markersize": 3,
            "label": "loss of a batch",
        }
        line: dict[str, Any] = {"color": BLUE, "label": "smoothed"}
        (self.loss_line_,) = ax.plot(self.learning_rates, self.losses, **dots | (loss_kw or {}))
        (self.smoothed_line_,) = ax.plot(self.learning_rates, self.smoothed, **line | (smoothed_kw or {}))
        handles = [self.loss_line_, self.smoothed_line_]
        if self.suggestion is not None:
            label = f"suggestion: {self.suggestion:.2g}"
            self.suggestion_line_ = ax.axvline(self.suggestion, color=VERMILLION, linestyle="--", label=label)
            handles.append(self.suggestion_line_)
        ax.set(xscale="log", xlabel="learning rate", ylabel="training loss", ylim=self.limits())
        legend_above(ax, handles)
        return self

    def limits(self) -> tuple[float, float] | None:
        """The ends of the axis of the losses: those of the smoothed ones with a margin, or None for matplotlib's."""
        low, high = self.smoothed.min(), self.smoothed.max()
        margin = MARGIN * (high - low)
        return (low - margin, high + margin) if margin > 0 else None
