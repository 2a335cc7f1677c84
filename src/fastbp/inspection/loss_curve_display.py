"""A display of the losses and validation scores of a training run."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import is_classifier

from fastbp.inspection._plotting import (
    BLUE,
    FEW_EPOCHS,
    GREY,
    VERMILLION,
    axes_of,
    fitted,
    legend_above,
    whole_epochs,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure, SubFigure
    from matplotlib.lines import Line2D


class LossCurveDisplay:
    """Training loss, validation score and best epoch.

    Loss and score have separate axes, because they are different quantities.

    Parameters
    ----------
    loss_curve : array-like of shape (n_epochs,)
    validation_scores : array-like of shape (n_epochs,) or None
    score_name : str

    Attributes
    ----------
    best_epoch : int
        Counted from 1: the epoch with the best validation score, whose weights early stopping restores; without scores,
        the epoch with the smallest loss.
    ax_ : matplotlib Axes
        Of the loss.
    score_ax_ : matplotlib Axes or None
        Of the score.
    figure_ : matplotlib Figure
    loss_line_, score_line_, best_line_ : matplotlib Line2D, or None

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from fastbp import MLPClassifier
    >>> from fastbp.inspection import LossCurveDisplay
    >>> X, y = load_digits(return_X_y=True)
    >>> model = MLPClassifier(early_stopping=True, random_state=0).fit(X / 16, y)
    >>> display = LossCurveDisplay.from_estimator(model)  # doctest: +SKIP
    """

    loss_curve: NDArray[np.float64]
    validation_scores: NDArray[np.float64] | None
    score_name: str
    ax_: "Axes"
    figure_: "Figure | SubFigure"
    loss_line_: "Line2D"
    score_ax_: "Axes | None"
    score_line_: "Line2D | None"
    best_line_: "Line2D"

    def __init__(
        self,
        *,
        loss_curve: Sequence[float],
        validation_scores: Sequence[float] | None = None,
        score_name: str = "validation score",
    ) -> None:
        self.loss_curve = np.asarray(loss_curve, np.float64)
        if self.loss_curve.ndim != 1 or not len(self.loss_curve):
            raise ValueError(f"loss_curve must be one number for each epoch, got shape {self.loss_curve.shape}")
        self.validation_scores = None if validation_scores is None else np.asarray(validation_scores, np.float64)
        if self.validation_scores is not None and self.validation_scores.shape != self.loss_curve.shape:
            raise ValueError(
                f"validation_scores must have shape {self.loss_curve.shape} as loss_curve has, got "
                f"{self.validation_scores.shape}"
            )
        self.score_name = score_name

    @property
    def best_epoch(self) -> int:
        """int: counted from 1."""
        watched = -self.loss_curve if self.validation_scores is None else self.validation_scores
        return int(np.where(np.isnan(watched), -np.inf, watched).argmax()) + 1

    @classmethod
    def from_estimator(
        cls, estimator: Any, *, ax: "Axes | None" = None, score_name: str | None = None, log: bool = False
    ) -> Self:
        """The curves of a fitted estimator.

        Parameters
        ----------
        estimator : MLPClassifier or MLPRegressor
            Of fastbp or of scikit-learn, fitted by 'sgd' or 'adam'.
        ax : matplotlib Axes or None
            None for a new figure.
        score_name : str or None
            None for the estimator's score: accuracy or R².
        log : bool
            Whether the loss is drawn on a logarithmic scale.

        Returns
        -------
        LossCurveDisplay

        Raises
        ------
        NotFittedError
        ValueError
            If no loss curve was recorded: 'lbfgs' records none.
        ImportError
            Without matplotlib.
        """
        fitted(estimator, f"{cls.__name__}.from_estimator")
        if not getattr(estimator, "loss_curve_", None):
            raise ValueError(
                f"the estimator has no loss_curve_: solver={estimator.solver!r} records none. Fit with 'adam' or "
                "'sgd', or record the losses with a callback and give them to LossCurveDisplay(loss_curve=...)."
            )
        if score_name is None:
            score_name = "validation accuracy" if is_classifier(estimator) else "validation R²"
        display = cls(
            loss_curve=estimator.loss_curve_,
            validation_scores=getattr(estimator, "validation_scores_", None),
            score_name=score_name,
        )
        return display.plot(ax, log=log)

    def plot(
        self,
        ax: "Axes | None" = None,
        *,
        log: bool = False,
        loss_kw: dict[str, Any] | None = None,
        score_kw: dict[str, Any] | None = None,
    ) -> Self:
        """Draw the curves.

        Parameters
        ----------
        ax : matplotlib Axes or None
            None for a new figure.
        log : bool
            Whether the loss is drawn on a logarithmic scale.
        loss_kw, score_kw : dict or None
            For ``Axes.plot`` of the two lines.

        Returns
        -------
        LossCurveDisplay
            Itself.
        """
        ax = axes_of(ax, type(self).__name__, (6.4, 4.2))
        epochs = np.arange(1, len(self.loss_curve) + 1)
        style: dict[str, Any] = {"marker": "o", "markersize": 4} if len(epochs) < FEW_EPOCHS else {}
        self.ax_, self.figure_, self.score_ax_, self.score_line_ = ax, ax.figure, None, None
        (self.loss_line_,) = ax.plot(
            epochs, self.loss_curve, **{"color": BLUE, "label": "training loss", **style, **(loss_kw or {})}
        )
        ax.set(xlabel="epoch", ylabel="training loss", yscale="log" if log else "linear")
        whole_epochs(ax, epochs)
        lines = [self.loss_line_]
        if self.validation_scores is not None:
            self.score_ax_ = ax.twinx()
            look: dict[str, Any] = {"color": VERMILLION, "linestyle": "--", "label": self.score_name}
            if style:
                look |= {"marker": "s", "markerfacecolor": "none", "markersize": 6}
            (self.score_line_,) = self.score_ax_.plot(epochs, self.validation_scores, **look | (score_kw or {}))
            self.score_ax_.set_ylabel(self.score_name)
            lines.append(self.score_line_)
        best = f"smallest loss: epoch {self.best_epoch}"
        if self.validation_scores is not None:
            best = f"best score: epoch {self.best_epoch}"
        self.best_line_ = ax.axvline(self.best_epoch, color=GREY, linestyle=":", zorder=0, label=best)
        legend_above(ax, [*lines, self.best_line_])
        return self
