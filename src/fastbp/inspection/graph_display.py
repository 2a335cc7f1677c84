"""A display of a computational graph, drawn with matplotlib only.

All lengths are in points, and so are the data coordinates of the axes: on a new figure, text has its nominal size.
"""

from typing import TYPE_CHECKING, Any

import numpy as np

from fastbp.autodiff import Graph, Variable
from fastbp.inspection._graph_layout import LINE, PADDING, ROW_GAP, Place, column_edges, font, place_nodes, text_width
from fastbp.inspection._plotting import BLUE, require_pyplot

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure, SubFigure

#: A picture of more nodes would be unreadable, and a longer figure would have too many pixels for matplotlib.
MAX_NODES, MAX_INCHES = 300, 300

MARGIN = 14.0
HEAD = 7.0  # length of an arrow's head
SAMPLE = (20.0, 13.0)  # size of a box in the legend

# Corners, dashes, and the double line distinguish the kinds without colour; the fills are tints of Okabe and Ito's sky
# blue and orange.
STYLES: dict[str, dict[str, Any]] = {
    "constant": {"facecolor": "#F0F0F0", "edgecolor": "#555555", "linestyle": (0, (4, 2)), "linewidth": 1.0},
    "variable": {"facecolor": "#D6ECF9", "edgecolor": BLUE, "linewidth": 2.2},
    "operation": {"facecolor": "#FFFFFF", "edgecolor": "#000000", "linewidth": 1.0},
    "output": {"facecolor": "#FCEBC8", "edgecolor": "#000000", "linewidth": 1.0},
}


class GraphDisplay:
    """A picture of a computational graph, in layers from left to right.

    A box shows the operation, the name, the value and, after ``backward``, the gradient: small arrays in full, larger
    ones by shape and norm. Arrows enter a box in the order of the operands, the first on top. Constants have dashed
    edges, variables thick ones, operations round corners, the output a double line.

    Parameters
    ----------
    graph : Graph

    Attributes
    ----------
    ax_ : matplotlib Axes
    figure_ : matplotlib Figure
    places_ : list of Place
        Boxes and bends of arrows, in points.

    Examples
    --------
    >>> from fastbp.autodiff import Variable
    >>> from fastbp.inspection import GraphDisplay
    >>> a, b = Variable(2.0, name="a"), Variable(-3.0, name="b")
    >>> L = a * b + 1
    >>> L.backward()
    >>> display = GraphDisplay.from_graph(L)

    and then ``display.figure_.savefig("graph.svg")``.
    """

    graph: Graph
    ax_: "Axes"
    figure_: "Figure | SubFigure"
    places_: list[Place]

    def __init__(self, graph: Graph) -> None:
        self.graph = graph

    @classmethod
    def from_graph(cls, graph: Graph | Variable, ax: "Axes | None" = None) -> "GraphDisplay":
        """Draw a graph.

        Parameters
        ----------
        graph : Graph or Variable
            For a Variable, the graph of all that it was computed from.
        ax : matplotlib Axes or None
            None for a new figure, as large as the graph needs.

        Returns
        -------
        GraphDisplay
        """
        return cls(graph if isinstance(graph, Graph) else Graph(graph)).plot(ax=ax)

    def plot(self, ax: "Axes | None" = None) -> "GraphDisplay":
        """Draw the graph.

        Parameters
        ----------
        ax : matplotlib Axes or None
            None for a new figure, as large as the graph needs. In given axes the picture and its text are scaled to
            fit.

        Returns
        -------
        GraphDisplay
            Itself.
        """
        plt = require_pyplot(type(self).__name__, "; print(graph) and graph.to_dot() do without")
        if len(self.graph) > MAX_NODES:
            raise ValueError(
                f"a picture of {len(self.graph)} nodes would be unreadable (at most {MAX_NODES}): draw the graph of an "
                "earlier node, or use print(graph) or graph.to_dot()"
            )
        self.places_ = place_nodes(self.graph)
        left, right, bottom, top = extent(self.places_)
        width, height = right - left, top - bottom
        if ax is None:
            inches = np.array([width, height]) / 72
            figure = plt.figure(figsize=inches * min(1, MAX_INCHES / inches.max()))
            ax = figure.add_axes((0, 0, 1, 1))
        ax.set(xlim=(left, right), ylim=(bottom, top), aspect="equal")
        ax.set_axis_off()
        others = len(ax.patches)
        columns = column_edges(self.places_)
        for place in self.places_:
            for k in range(len(place.sources)):
                if place.node is not None:
                    draw_arrow(ax, place, k, columns)
        for place in self.places_:
            if place.node is not None:
                draw_box(ax, place)
        draw_legend(ax, left + MARGIN, bottom + MARGIN, self.places_)
        # text is drawn as outlines, which scale with the axes; the widths of lines do not
        scale = min(ax.bbox.width / width, ax.bbox.height / height) * 72 / ax.figure.dpi
        for patch in ax.patches[others:]:
            patch.set_linewidth(patch.get_linewidth() * scale)
        self.ax_, self.figure_ = ax, ax.figure
        return self


def extent(places):
    """(left, right, bottom, top) of the picture, with space for the legend at the bottom."""
    left = min(place.x - place.width / 2 for place in places) - MARGIN
    right = max(place.x + place.width / 2 for place in places) + MARGIN
    bottom = min(place.y - place.height / 2 for place in places) - MARGIN - LINE - ROW_GAP
    top = max(place.y + place.height / 2 for place in places) + MARGIN
    return left, max(right, left + legend(places)[1] + MARGIN), bottom, top


def draw_text(ax: "Axes", x, y, text, is_title=False, colour="#000000") -> None:
    """A line of text that begins at (x, y), drawn as outlines, so that it scales with the boxes."""
    from matplotlib.patches import PathPatch
    from matplotlib.textpath import TextPath

    # an unescaped $ would begin a formula
    path = TextPath((x, y), text.replace("$", r"\$"), prop=font(is_title))
    ax.add_artist(PathPatch(path, facecolor=colour, linewidth=0, snap=False))  # snapping distorts + and L


def draw_frame(ax: "Axes", x, y, width, height, kind) -> None:
    """The frame of a box with its lower left corner at (x, y)."""
    from matplotlib.patches import FancyBboxPatch

    radius = min(6.0, height / 4)
    corners = "square,pad=0" if kind in ("constant", "variable") else f"round,pad=0,rounding_size={radius}"
    ax.add_artist(FancyBboxPatch((x, y), width, height, boxstyle=corners, **STYLES[kind]))
    if kind == "output":
        corners = f"round,pad=0,rounding_size={radius / 2}"
        inner = FancyBboxPatch((x + 2.5, y + 2.5), width - 5, height - 5, boxstyle=corners)
        inner.set(facecolor="none", edgecolor="#000000", linewidth=1.0)
        ax.add_artist(inner)


def draw_box(ax: "Axes", place) -> None:
    """A node's frame and text."""
    left, top = place.x - place.width / 2, place.y + place.height / 2
    draw_frame(ax, left, place.y - place.height / 2, place.width, place.height, place.kind)
    for i, (text, is_title, colour) in enumerate(place.lines):
        baseline = top - PADDING - LINE * (i + 0.8)
        x = place.x - text_width(text, True) / 2 if is_title else left + PADDING
        draw_text(ax, x, baseline, text, is_title, colour)


def draw_arrow(ax: "Axes", target, k, columns) -> None:
    """The arrow to the k-th operand's position at a box, from the operand's box through all bends.

    It is horizontal within columns and bends only between them, where there are no boxes.
    """
    from matplotlib.patches import PathPatch, Polygon
    from matplotlib.path import Path

    source, offset = target.sources[k]
    tip = np.array([target.x - target.width / 2, target.y + offset])
    points: list[Any] = [tip - (HEAD, 0)]
    codes = [Path.MOVETO]
    place, y = target, tip[1]
    while True:
        left, right = columns[place.layer][0], columns[place.layer - 1][1]
        middle = (left + right) / 2
        points += [(left - (HEAD if place is target else 0), y), (middle, y), (middle, source.y), (right, source.y)]
        codes += [Path.LINETO, Path.CURVE4, Path.CURVE4, Path.CURVE4]
        if source.node is not None:
            break
        place, y = source, source.y
        source = place.sources[0][0]
    points.append((source.x + source.width / 2, source.y))
    codes.append(Path.LINETO)
    ax.add_artist(PathPatch(Path(points, codes), facecolor="none", edgecolor="#444444", linewidth=1.2))
    head = tip + np.array([(0, 0), (-HEAD, HEAD / 2.6), (-HEAD, -HEAD / 2.6)])
    ax.add_artist(Polygon(head, facecolor="#444444", linewidth=0))


def legend(places):
    """[(kind, distance from the left end)] of the kinds of boxes that occur, and the total width."""
    found, x = [], 0.0
    for kind in STYLES:
        if any(place.kind == kind for place in places):
            found.append((kind, x))
            x += SAMPLE[0] + 5 + text_width(kind, False) + 18
    return found, x


def draw_legend(ax: "Axes", x, y, places) -> None:
    """A small box of each kind with its name, in a line from (x, y)."""
    for kind, distance in legend(places)[0]:
        draw_frame(ax, x + distance, y, *SAMPLE, kind)
        draw_text(ax, x + distance + SAMPLE[0] + 5, y + 3, kind)
