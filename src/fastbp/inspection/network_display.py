"""A display of a network: units as circles, weights as lines."""

from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

from fastbp.inspection._arguments import check_integer
from fastbp.inspection._plotting import (
    BLUE,
    VERMILLION,
    axes_of,
    checked_names,
    fitted,
    inches_of,
    shortened,
)
from fastbp.network import Network

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.collections import Collection, PathCollection
    from matplotlib.figure import Figure, SubFigure

#: Largest number of characters of a name beside a unit.
NAME_LENGTH = 18

#: Inches: the margin beside the outer units, the width of a letter, the margins below and above the units.
SIDE, LETTER, BOTTOM, TOP = 0.42, 0.078, 0.55, 0.3

#: Inches: the smallest distance of columns at which layers that are left out are counted, and the smallest width of
#: axes for the whole legend.
SMALLEST_PITCH, SMALLEST_WIDTH = 0.35, 3.2

#: Largest fraction of the width for the names on one side.
NAMES_SHARE = 0.25

#: Points: size of the labels, and the smallest size; captions that need a smaller one are shortened.
FONT, SMALLEST_FONT = 8.5, 6.5

#: Colour and style of a weight's line
POSITIVE: tuple[str, Any] = BLUE, "solid"
NEGATIVE: tuple[str, Any] = VERMILLION, (0, (3, 1.5))

#: Width of the widest line, in diameters of a unit.
WIDEST = 0.2

#: Lines thinner than this fraction of the widest are not drawn: they would be invisible.
FAINTEST = 0.02

#: Largest diameter of a unit, in points.
LARGEST_UNIT = 24.0


class NetworkDisplay:
    """A diagram with the layers from left to right. The width of a line shows the size of a weight.

    Lines of positive weights are blue and solid, those of negative weights vermillion and dashed; widths are relative
    to the largest weight of the layer. If a layer has more than `max_units` units, or the network more than
    `max_layers` layers, the first ones and the last are drawn, with dots between them. On small axes names and captions
    are shortened.

    Parameters
    ----------
    coefs : list of array-like of shape (fan_in, fan_out)
    activations : sequence of str, or None
        Of the layers after the input.
    feature_names, output_names : sequence of str, or None
        Written beside the units of the input and the output.

    Attributes
    ----------
    layer_sizes : tuple of int
    ax_ : matplotlib Axes
    figure_ : matplotlib Figure
    lines_ : list of matplotlib LineCollection
        The weights.
    units_ : list of matplotlib PathCollection
        The units, by layers.
    """

    coefs: list[NDArray[np.float64]]
    layer_sizes: tuple[int, ...]
    activations: list[str] | None
    feature_names: list[str] | None
    output_names: list[str] | None
    ax_: "Axes"
    figure_: "Figure | SubFigure"
    lines_: "list[Collection]"
    units_: "list[PathCollection]"

    def __init__(
        self,
        *,
        coefs: Sequence[NDArray[Any]],
        activations: Sequence[str] | None = None,
        feature_names: Sequence[str] | None = None,
        output_names: Sequence[str] | None = None,
    ) -> None:
        self.coefs = [np.asarray(W, np.float64) for W in coefs]
        shapes = [W.shape for W in self.coefs]
        if not shapes or any(len(shape) != 2 for shape in shapes):
            raise ValueError(f"coefs must be matrices of shape (fan_in, fan_out), got shapes {shapes}")
        if any(a[1] != b[0] for a, b in pairwise(shapes)):
            raise ValueError(
                f"coefs must be matrices whose fan_in is the fan_out of the layer before, got shapes {shapes}"
            )
        self.layer_sizes = (shapes[0][0], *(shape[1] for shape in shapes))
        self.activations = checked_names("activations", activations, len(shapes))
        self.feature_names = checked_names("feature_names", feature_names, self.layer_sizes[0])
        self.output_names = checked_names("output_names", output_names, self.layer_sizes[-1])

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        *,
        feature_names: Sequence[str] | None = None,
        max_units: int = 8,
        max_layers: int = 8,
        ax: "Axes | None" = None,
    ) -> Self:
        """Draw the network of a fitted estimator.

        Parameters
        ----------
        estimator : MLPClassifier or MLPRegressor
            Of fastbp or of scikit-learn. The units of the output have the names of the classes.
        feature_names : sequence of str, or None
            None for the names of the columns that were passed to `fit`, if any.
        max_units, max_layers : int
            Largest numbers of units and layers that are drawn.
        ax : matplotlib Axes or None
            None for a new figure.

        Returns
        -------
        NetworkDisplay

        Raises
        ------
        NotFittedError
        ImportError
            Without matplotlib.
        ValueError
            If the network has other layers than fully connected ones.
        """
        fitted(estimator, f"{cls.__name__}.from_estimator")
        network = estimator.network_
        check_dense_stack(network)
        if feature_names is None:
            feature_names = getattr(estimator, "feature_names_in_", None)
        classes = getattr(estimator, "classes_", ())
        n_outputs = estimator.coefs_[-1].shape[1]
        display = cls(
            coefs=estimator.coefs_,
            activations=network.activations,
            feature_names=feature_names,
            # one output is the probability of the second of two classes
            output_names=classes[-n_outputs:] if len(classes) in (n_outputs, n_outputs + 1) else None,
        )
        return display.plot(ax, max_units=max_units, max_layers=max_layers)

    @classmethod
    def from_network(
        cls,
        network: Network,
        *,
        feature_names: Sequence[str] | None = None,
        output_names: Sequence[str] | None = None,
        max_units: int = 8,
        max_layers: int = 8,
        ax: "Axes | None" = None,
    ) -> Self:
        """Draw a `Network`.

        Parameters
        ----------
        network : Network
        feature_names, output_names : sequence of str, or None
        max_units, max_layers, ax
            As for `from_estimator`.

        Returns
        -------
        NetworkDisplay

        Raises
        ------
        ValueError
            If the network has other layers than fully connected ones.
        """
        check_dense_stack(network)
        display = cls(
            coefs=[W.copy() for W in network.coefs],
            activations=network.activations,
            feature_names=feature_names,
            output_names=output_names,
        )
        return display.plot(ax, max_units=max_units, max_layers=max_layers)

    def plot(self, ax: "Axes | None" = None, *, max_units: int = 8, max_layers: int = 8) -> Self:
        """Draw the diagram.

        Parameters
        ----------
        ax : matplotlib Axes or None
            None for a new figure.
        max_units : int
            Largest number of units of a layer that are drawn, at least 3.
        max_layers : int
            Largest number of layers that are drawn, input and output included, at least 4.

        Returns
        -------
        NetworkDisplay
            Itself.
        """
        for name, value, least in (("max_units", max_units, 3), ("max_layers", max_layers, 4)):
            check_integer(name, value, least)
        layers = first_and_last(len(self.layer_sizes), max_layers)
        units = {layer: first_and_last(self.layer_sizes[layer], max_units) for layer in layers}
        # dots take the column before the last layer, and the row before the last unit
        across = {layer: place for place, layer in enumerate(layers)}
        if len(layers) < len(self.layer_sizes):
            across[layers[-1]] += 1
        slots = max(len(shown) + (len(shown) < self.layer_sizes[layer]) for layer, shown in units.items())
        columns = max(across.values()) + 1
        longest = [max(map(len, names), default=0) for names in self._names(units, NAME_LENGTH).values()]
        wide = 1.3 * columns + sum(SIDE + LETTER * length for length in longest)
        ax = axes_of(ax, type(self).__name__, (max(5.0, wide), 0.4 * slots + BOTTOM + TOP))
        ax.set_axis_off()
        inches = inches_of(ax)
        length = max(3, int(NAMES_SHARE * inches[0] / LETTER))
        names = self._names(units, min(length, NAME_LENGTH))
        margins = [SIDE + LETTER * max(map(len, shown_names), default=0) for shown_names in names.values()]
        pitch = set_limits(ax, inches, columns, slots, margins)
        places = {layer: self._places(layer, shown, across[layer]) for layer, shown in units.items()}
        self.ax_, self.figure_ = ax, ax.figure
        diameter = min(LARGEST_UNIT, 72 * min(0.62 * pitch[1], 0.45 * pitch[0]))
        self._draw_weights(ax, places, WIDEST * diameter)
        self._draw_units(ax, places, diameter, pitch[0])
        self._draw_captions(ax, places, -slots / 2, pitch[0])
        self._draw_names(ax, places, names)
        self._draw_legend(ax, " weight" if inches[0] > SMALLEST_WIDTH else "")
        return self

    def _names(self, units, length):
        """{layer: names of the units that are drawn}, for the input and the output."""
        ends = {0: self.feature_names, len(self.layer_sizes) - 1: self.output_names}
        return {
            layer: [shortened(names[i], length) for i in units[layer]] if names else [] for layer, names in ends.items()
        }

    def _places(self, layer, shown, x):
        """{unit: (x, y)}, centred, with a gap where units are left out."""
        elided = len(shown) < self.layer_sizes[layer]
        rows = [i + (elided and unit == shown[-1]) for i, unit in enumerate(shown)]
        return {unit: (x, rows[-1] / 2 - row) for unit, row in zip(shown, rows, strict=True)}

    def _draw_weights(self, ax: "Axes", places, widest) -> None:
        from matplotlib.collections import LineCollection

        self.lines_ = []
        for layer in list(places)[:-1]:
            if layer + 1 not in places:
                continue
            W = self.coefs[layer]
            largest = np.abs(W[np.isfinite(W)]).max(initial=0) or 1.0
            lines = [
                (W[i, j] / largest, (start, end))
                for i, start in places[layer].items()
                for j, end in places[layer + 1].items()
                if FAINTEST * largest < abs(W[i, j]) < np.inf
            ]
            lines.sort(key=lambda line: abs(line[0]))  # the large ones on top
            sizes = np.array([abs(size) for size, _ in lines])
            drawn = LineCollection(
                [ends for _, ends in lines],
                linewidths=widest * sizes,
                alpha=0.12 + 0.8 * sizes**1.5 if lines else None,
                colors=[POSITIVE[0] if size > 0 else NEGATIVE[0] for size, _ in lines],
                linestyles=[POSITIVE[1] if size > 0 else NEGATIVE[1] for size, _ in lines],
                zorder=1,
            )
            self.lines_.append(ax.add_collection(drawn, autolim=False))

    def _draw_units(self, ax: "Axes", places, diameter, pitch) -> None:
        """Circles, and dots where units or layers are left out."""
        dots: dict[str, Any] = {"s": (0.16 * diameter) ** 2, "color": "black", "zorder": 3}
        self.units_ = []
        for layer, positions in places.items():
            xy = np.array(list(positions.values()))
            x, y = xy.T
            self.units_.append(
                ax.scatter(x, y, s=diameter**2, facecolor="white", edgecolor="black", linewidth=1, zorder=2)
            )
            if len(positions) < self.layer_sizes[layer]:
                gap = (xy[-2] + xy[-1]) / 2
                ax.scatter([gap[0]] * 3, gap[1] + np.array([-0.25, 0, 0.25]), **dots)
        for a, b in pairwise(places):
            if b > a + 1:
                middle = (column_of(places[a]) + column_of(places[b])) / 2
                ax.scatter(middle + np.array([-0.15, 0, 0.15]), [0] * 3, **dots)
                if pitch > SMALLEST_PITCH:
                    ax.text(middle, 0.45, f"{b - a - 1} more\nlayers", ha="center", va="bottom", fontsize=FONT)

    def _draw_captions(self, ax: "Axes", places, bottom, pitch) -> None:
        """Captions below the layers, shortened until they fit into `pitch` inches."""
        for detail in ("all", "no activation", "least"):
            captions = {layer: self._caption(layer, detail) for layer in places}
            longest = max(len(line) for caption in captions.values() for line in caption)
            font = min(FONT, FONT * pitch / (LETTER * (longest + 1)))
            if font >= SMALLEST_FONT:
                break
        for layer, caption in captions.items():
            ax.text(column_of(places[layer]), bottom, "\n".join(caption), ha="center", va="top", fontsize=font)

    def _caption(self, layer, detail):
        last = len(self.layer_sizes) - 1
        if detail == "least":
            return ["in" if layer == 0 else "out" if layer == last else str(layer)]
        lines = ["input" if layer == 0 else "output" if layer == last else f"layer {layer}"]
        lines.append(f"{self.layer_sizes[layer]:,}")
        if layer and self.activations and detail == "all":
            lines.append(self.activations[layer - 1])
        return lines

    def _draw_names(self, ax: "Axes", places, names) -> None:
        """Names beside the units of the input and the output."""
        for layer, shown_names in names.items():
            for (x, y), name in zip(places[layer].values() if shown_names else (), shown_names, strict=True):
                ax.annotate(
                    name,
                    (x, y),
                    xytext=((1 if layer else -1) * 0.7 * LARGEST_UNIT, 0),
                    textcoords="offset points",
                    ha="left" if layer else "right",
                    va="center",
                    fontsize=FONT,
                )

    @staticmethod
    def _draw_legend(ax: "Axes", weight) -> None:
        """A legend of the lines, above the diagram."""
        from matplotlib.lines import Line2D

        handles = [
            Line2D([], [], color=colour, linestyle=style, linewidth=2, label=sign + weight)
            for (colour, style), sign in ((POSITIVE, "positive"), (NEGATIVE, "negative"))
        ]
        ax.legend(handles=handles, loc="upper center", ncols=2, frameon=False, fontsize=FONT, borderaxespad=0)


def column_of(positions):
    """The x of a layer's units.

    Parameters
    ----------
    positions : dict of int to (x, y)

    Returns
    -------
    float
    """
    return next(iter(positions.values()))[0]


def set_limits(ax: "Axes", inches, columns, slots, margins):
    """Set the limits of the axes: labels get the inches that they need, units the rest.

    Parameters
    ----------
    ax : matplotlib Axes
    inches : (float, float)
        Width and height of the axes.
    columns, slots : int
        Number of positions for units, across and down, at distance 1.
    margins : (float, float)
        Inches left and right.

    Returns
    -------
    across, down : float
        Inches from one position to the next.
    """
    width, height = inches
    across = max(width - sum(margins), 0.25 * width) / max(columns - 1, 1)
    down = max(height - BOTTOM - TOP, 0.25 * height) / slots
    ax.set_xlim(-margins[0] / across, columns - 1 + margins[1] / across)
    ax.set_ylim(-slots / 2 - BOTTOM / down, slots / 2 + TOP / down)
    return across, down


def first_and_last(n, count):
    """The numbers below n; if they are more than `count`, the first ``count - 1`` and the last.

    Parameters
    ----------
    n, count : int

    Returns
    -------
    list of int
    """
    return list(range(n)) if n <= count else [*range(count - 1), n - 1]


def check_dense_stack(network) -> None:
    """Check that a network can be drawn.

    Parameters
    ----------
    network : Network

    Raises
    ------
    ValueError
        If it has other layers than fully connected ones with biases.
    """
    if not network.graph.is_dense_stack:
        kinds = sorted({op.kind for op in network.graph.operations})
        raise ValueError(
            f"network must be a stack of Dense layers with biases to be drawn, got {network!r} with the operations "
            f"{', '.join(kinds)}"
        )
