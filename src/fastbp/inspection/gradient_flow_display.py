"""A display of the measurements of `gradient_flow`: a line for each layer."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastbp.inspection._plotting import FEW_EPOCHS, axes_of, whole_epochs
from fastbp.inspection.gradient_flow import QUANTITIES, GradientFlow

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.colorbar import Colorbar
    from matplotlib.colors import Colormap
    from matplotlib.figure import Figure, SubFigure
    from matplotlib.lines import Line2D

#: Name on the axis, and whether the axis is logarithmic
LABELS = {
    "gradient_norms": ("norm of the gradient, |dL/dW|", True),
    "gradient_rms": ("root mean square of dL/dW", True),
    "weight_norms": ("norm of the weights, |W|", True),
    "update_ratios": ("change of W an epoch, relative", True),
    "dead": ("share of dead units", False),
    "saturated": ("share of saturated slopes", False),
}

#: The part of the colour map that is used: its light end is hard to see on white.
COLOURS = (0.0, 0.9)

#: More layers than this are not numbered one by one.
NUMBERED = 12


class GradientFlowDisplay:
    """One of the quantities of a `GradientFlow`, plotted over the epochs.

    The colours of the layers go from dark (input) to light (output) in viridis, whose order is visible with any colour
    vision and in grey. Values that are zero or not finite cannot be drawn on a logarithmic axis and are left out; a
    note names the layers.

    Parameters
    ----------
    epochs : array-like of shape (k,)
    values : array-like of shape (k, n_layers)
        NaN where a layer has none.
    quantity : str
        One of gradient_norms, gradient_rms, weight_norms, update_ratios, dead, saturated.

    Attributes
    ----------
    ax_ : matplotlib Axes
    figure_ : matplotlib Figure
    lines_ : list of matplotlib Line2D
        One for each layer.
    colorbar_ : matplotlib Colorbar
    """

    epochs: NDArray[Any]
    values: NDArray[np.float64]
    quantity: str
    ax_: "Axes"
    figure_: "Figure | SubFigure"
    lines_: "list[Line2D]"
    colorbar_: "Colorbar"

    def __init__(self, *, epochs: Sequence[int], values: ArrayLike, quantity: str = "gradient_norms") -> None:
        self.epochs, self.values = np.asarray(epochs), np.asarray(values, np.float64)
        if quantity not in QUANTITIES:
            raise ValueError(f"quantity must be one of {', '.join(QUANTITIES)}; got {quantity!r}")
        if self.values.ndim != 2 or len(self.values) != len(self.epochs) or not self.values.size:
            raise ValueError(
                f"values must have a row for each of {len(self.epochs)} epochs and a column for each layer, got shape "
                f"{self.values.shape}"
            )
        self.quantity = quantity

    @classmethod
    def from_flow(cls, flow: GradientFlow, *, quantity: str = "gradient_norms", ax: "Axes | None" = None) -> Self:
        """Draw the measurements of a callback.

        Parameters
        ----------
        flow : GradientFlow
            After training.
        quantity : str
            One of gradient_norms, gradient_rms, weight_norms, update_ratios, dead, saturated.
        ax : matplotlib Axes or None
            None for a new figure.

        Returns
        -------
        GradientFlowDisplay

        Raises
        ------
        ValueError
            For another quantity, or if nothing was measured yet.
        ImportError
            Without matplotlib.
        """
        if quantity not in QUANTITIES:
            raise ValueError(f"quantity must be one of {', '.join(QUANTITIES)}; got {quantity!r}")
        if not flow.epochs:
            raise ValueError("flow has measured nothing yet: pass it to an estimator as callbacks=flow, and call fit")
        return cls(epochs=flow.epochs, values=getattr(flow, quantity), quantity=quantity).plot(ax)

    def plot(
        self,
        ax: "Axes | None" = None,
        *,
        cmap: "str | Colormap | None" = "viridis",
        line_kw: dict[str, Any] | None = None,
    ) -> Self:
        """Draw the lines.

        Parameters
        ----------
        ax : matplotlib Axes or None
            None for a new figure.
        cmap : str or Colormap
            A sequential one.
        line_kw : dict or None
            For ``Axes.plot``.

        Returns
        -------
        GradientFlowDisplay
            Itself.
        """
        ax = axes_of(ax, type(self).__name__, (6.4, 4.2))
        from matplotlib import cm, colors, pyplot

        label, log = LABELS[self.quantity]
        n_layers = self.values.shape[1]
        shades = colors.ListedColormap(pyplot.get_cmap(cmap)(np.linspace(*COLOURS, n_layers)))
        drawable = np.isfinite(self.values) & ((self.values > 0) | (not log))
        log = log and bool(drawable.any())
        self.ax_, self.figure_ = ax, ax.figure
        self.lines_ = []
        for i in range(n_layers):
            there = drawable[:, i]
            style: dict[str, Any] = {"color": shades(i), "label": f"layer {i + 1}", "linewidth": 1.5}
            if there.sum() < FEW_EPOCHS:
                style |= {"marker": "o", "markersize": 3}
            shown = np.where(there, self.values[:, i], np.nan)
            self.lines_ += ax.plot(self.epochs, shown, **style | (line_kw or {}))
        ax.set(xlabel="epoch" + missing(drawable, self.values), ylabel=label, yscale="log" if log else "linear")
        whole_epochs(ax, self.epochs)
        if not LABELS[self.quantity][1]:
            ax.set_ylim(-0.03, 1.03)
        scale = cm.ScalarMappable(colors.BoundaryNorm(np.arange(n_layers + 1) + 0.5, n_layers), shades)
        ticks = np.unique(np.linspace(1, n_layers, min(n_layers, NUMBERED)).astype(int))
        self.colorbar_ = ax.figure.colorbar(scale, ax=ax, ticks=ticks, label="layer, from input to output")
        self.colorbar_.ax.minorticks_off()
        return self


def missing(drawable: NDArray[Any], values: NDArray[Any]) -> str:
    """A note of the layers with measurements that are not drawn; empty if there are none.

    Parameters
    ----------
    drawable : ndarray of bool of shape (k, n_layers)
    values : ndarray of shape (k, n_layers)

    Returns
    -------
    str
    """
    layers = np.flatnonzero((~drawable & ~np.isnan(values)).any(axis=0)) + 1
    if not len(layers):
        return ""
    which = f"layer {layers[0]}" if len(layers) == 1 else f"{len(layers)} of the layers {layers[0]} to {layers[-1]}"
    return f"\n(some values are zero or not finite and not drawn: {which})"
