"""A display of the weights of the first layer."""

from collections.abc import Sequence
from math import ceil, isqrt, sqrt
from typing import TYPE_CHECKING, Any, Literal, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastbp.inspection._arguments import check_integer
from fastbp.inspection._plotting import axes_of, checked_names, fitted, inches_of, shortened
from fastbp.network import Network

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.colorbar import Colorbar
    from matplotlib.colors import Colormap
    from matplotlib.figure import Figure, SubFigure
    from matplotlib.image import AxesImage

#: A square number of features of at least this size is drawn as an image, if the features have no names.
SMALLEST_IMAGE = 64

#: Largest number of characters of a feature's name.
NAME_LENGTH = 28

#: Height of a tick label in inches.
LABEL_HEIGHT = 0.17


class WeightsDisplay:
    """The weights of the first layer: an image for each unit, or a heat map of features and units.

    All units have the same colour scale: blue for positive weights, red for negative ones, white for zero.

    Parameters
    ----------
    coefs : array-like of shape (n_features, n_units)
    image_shape : tuple of (height, width), "auto" or None
        None for a heat map. "auto" for square images if the number of features is a square of at least 64 and
        `feature_names` is None, else a heat map.
    feature_names : sequence of str, or None

    Attributes
    ----------
    ax_ : matplotlib Axes
    figure_ : matplotlib Figure
    image_ : matplotlib AxesImage
    colorbar_ : matplotlib Colorbar
    """

    coefs: NDArray[Any]
    feature_names: list[str] | None
    image_shape: tuple[int, int] | None
    ax_: "Axes"
    figure_: "Figure | SubFigure"
    image_: "AxesImage"
    colorbar_: "Colorbar"

    def __init__(
        self,
        *,
        coefs: ArrayLike,
        image_shape: tuple[int, int] | Literal["auto"] | None = "auto",
        feature_names: Sequence[str] | None = None,
    ) -> None:
        self.coefs = np.asarray(coefs)
        if self.coefs.ndim != 2 or not self.coefs.size:
            raise ValueError(f"coefs must have shape (n_features, n_units), got {self.coefs.shape}")
        n = len(self.coefs)
        self.feature_names = checked_names("feature_names", feature_names, n)
        if isinstance(image_shape, str) and image_shape == "auto":
            is_image = n >= SMALLEST_IMAGE and isqrt(n) ** 2 == n and feature_names is None
            image_shape = (isqrt(n), isqrt(n)) if is_image else None
        if image_shape is not None and (len(image_shape) != 2 or image_shape[0] * image_shape[1] != n):
            raise ValueError(
                f"image_shape must be (height, width) with {n} pixels, one for each feature; got {image_shape!r}"
            )
        self.image_shape = image_shape

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        *,
        image_shape: tuple[int, int] | Literal["auto"] | None = "auto",
        feature_names: Sequence[str] | None = None,
        max_units: int = 64,
        ax: "Axes | None" = None,
    ) -> Self:
        """Draw the first layer of a fitted estimator.

        Parameters
        ----------
        estimator : MLPClassifier or MLPRegressor
            Of fastbp or of scikit-learn.
        image_shape : tuple of (height, width), "auto" or None
            As for the class.
        feature_names : sequence of str, or None
            None for the names of the columns that were passed to `fit`, if any.
        max_units : int
            Number of units that are drawn, counted from the first.
        ax : matplotlib Axes or None
            None for a new figure.

        Returns
        -------
        WeightsDisplay

        Raises
        ------
        NotFittedError
        ValueError
            If the shape or the number of names does not fit the features.
        ImportError
            Without matplotlib.
        """
        fitted(estimator, f"{cls.__name__}.from_estimator")
        if feature_names is None:
            feature_names = getattr(estimator, "feature_names_in_", None)
        display = cls(coefs=estimator.coefs_[0], image_shape=image_shape, feature_names=feature_names)
        return display.plot(ax, max_units=max_units)

    @classmethod
    def from_network(
        cls,
        network: Network,
        *,
        image_shape: tuple[int, int] | Literal["auto"] | None = "auto",
        feature_names: Sequence[str] | None = None,
        max_units: int = 64,
        ax: "Axes | None" = None,
    ) -> Self:
        """Draw the first layer of a network.

        Parameters
        ----------
        network : Network
        image_shape, feature_names, max_units, ax
            As for `from_estimator`.

        Returns
        -------
        WeightsDisplay
        """
        display = cls(coefs=network.coefs[0].copy(), image_shape=image_shape, feature_names=feature_names)
        return display.plot(ax, max_units=max_units)

    def plot(
        self,
        ax: "Axes | None" = None,
        *,
        max_units: int = 64,
        cmap: "str | Colormap | None" = "RdBu",
        imshow_kw: dict[str, Any] | None = None,
    ) -> Self:
        """Draw the weights.

        Parameters
        ----------
        ax : matplotlib Axes or None
            None for a new figure.
        max_units : int
            Number of units that are drawn, counted from the first; the title states how many there are.
        cmap : str or Colormap
            A diverging one.
        imshow_kw : dict or None
            For ``Axes.imshow``.

        Returns
        -------
        WeightsDisplay
            Itself.
        """
        check_integer("max_units", max_units)
        shown = self.coefs[:, :max_units]
        limit = float(np.abs(shown[np.isfinite(shown)]).max(initial=0)) or 1.0
        options: dict[str, Any] = {
            "cmap": cmap,
            "vmin": -limit,
            "vmax": limit,
            "interpolation": "nearest",
            **(imshow_kw or {}),
        }
        draw = self._images if self.image_shape else self._heat_map
        ax = draw(ax, shown, options)
        n, total = shown.shape[1], self.coefs.shape[1]
        of = f"{total} unit{'s' * (total > 1)}" if n == total else f"first {n} of {total} units"
        ax.set_title(f"Weights of the first layer: {of}", fontsize="medium")
        self.ax_, self.figure_ = ax, ax.figure
        # images keep their aspect ratio: an inset makes the colour bar as high as they are
        place: dict[str, Any] = {"cax": ax.inset_axes((1.02, 0, 0.035, 1))} if self.image_shape else {"ax": ax}
        self.colorbar_ = ax.figure.colorbar(self.image_, **place)
        inches_of(ax)  # axes with a fixed aspect ratio need a second pass of the layout
        return self

    def _images(self, ax, shown, options):
        """The images side by side, as one image."""
        height, width = self.image_shape
        n = shown.shape[1]
        columns = min(n, max(1, ceil(sqrt(n * height / width))))
        lines, gap = ceil(n / columns), ceil(max(height, width) / 16)
        down, across = height + gap, width + gap
        mosaic = np.full((lines * down - gap, columns * across - gap), np.nan)
        for k, weights in enumerate(shown.T):
            top, left = k // columns * down, k % columns * across
            mosaic[top : top + height, left : left + width] = weights.reshape(height, width)
        ax = axes_of(ax, type(self).__name__, (7.4, min(9.0, max(2.2, 1.0 + 5.0 * mosaic.shape[0] / mosaic.shape[1]))))
        self.image_ = ax.imshow(mosaic, **options)
        ax.set_facecolor("0.7")  # the gaps, which are NaN
        ax.set_xticks([])
        middles = np.arange(lines) * down + (height - 1) / 2
        firsts = np.arange(lines) * columns + 1
        lasts = np.minimum(firsts + columns - 1, n)
        labels = [f"{a}–{b}" if b > a else f"{a}" for a, b in zip(firsts, lasts, strict=True)]
        self._ticks(ax.yaxis, middles, labels, inches_of(ax)[1])
        ax.set_ylabel("units")
        return ax

    def _heat_map(self, ax, shown, options):
        """A heat map with features from top to bottom and units from left to right."""
        n_features, n_units = shown.shape
        size = (min(10.0, max(5.5, 2.5 + 0.25 * n_units)), min(10.0, max(3.0, 1.2 + 0.2 * n_features)))
        ax = axes_of(ax, type(self).__name__, size)
        self.image_ = ax.imshow(shown, **{"aspect": "auto", **options})
        width, height = inches_of(ax)
        names = self.feature_names or [str(i) for i in range(n_features)]
        self._ticks(ax.yaxis, np.arange(n_features), [shortened(name, NAME_LENGTH) for name in names], height)
        self._ticks(ax.xaxis, np.arange(n_units), [str(k + 1) for k in range(n_units)], width, LABEL_HEIGHT * 1.8)
        ax.set(xlabel="unit", ylabel=None if self.feature_names else "feature")
        return ax

    @staticmethod
    def _ticks(axis, positions, labels, inches, size=LABEL_HEIGHT) -> None:
        """Label evenly spaced positions, as many as fit with labels of a size."""
        step = max(1, ceil(len(positions) * size / max(inches, size)))
        axis.set_ticks(positions[::step], labels[::step], fontsize="small")
        axis.set_tick_params(length=2)
