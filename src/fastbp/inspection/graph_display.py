"""The picture of a computational graph: layers from left to right, drawn with matplotlib and no other program.

The layout is that of Sugiyama, Tagawa and Toda (1981), Methods for visual understanding of hierarchical system
structures: layers by the longest path; an arrow that spans several layers gets a bend in each; the order within a
layer by barycenters, to have few crossings; and then heights close to those of the neighbours. All lengths are in
points, and so are the data coordinates of the axes: on a figure of its own the letters have the size that they say.
"""

from dataclasses import dataclass, field

import numpy as np

from fastbp.autodiff import Graph, Variable
from fastbp.autodiff.graph import indented

#: More nodes make a picture that nobody can read; a longer figure has more pixels than matplotlib can count.
MAX_NODES, MAX_INCHES = 300, 300

ORDER_SWEEPS, HEIGHT_SWEEPS = 12, 40
TITLE_SIZE, TEXT_SIZE, LINE = 10.0, 8.5, 11.5  # sizes of the letters; from one line to the next
PADDING, ROW_GAP, BEND_GAP, COLUMN_GAP, MARGIN = 6.0, 16.0, 9.0, 40.0, 14.0
HEAD = 7.0  # length of an arrow's head
SAMPLE = (20.0, 13.0)  # of a box in the legend

# Okabe and Ito (2008), Color Universal Design: blue, sky blue, orange; the fills are tints of them. Corners, dashes,
# and the double line tell the kinds apart without colour.
BLUE = "#0072B2"
STYLES = {
    "constant": {"facecolor": "#F0F0F0", "edgecolor": "#555555", "linestyle": (0, (4, 2)), "linewidth": 1.0},
    "variable": {"facecolor": "#D6ECF9", "edgecolor": BLUE, "linewidth": 2.2},
    "operation": {"facecolor": "#FFFFFF", "edgecolor": "#000000", "linewidth": 1.0},
    "output": {"facecolor": "#FCEBC8", "edgecolor": "#000000", "linewidth": 1.0},
}


@dataclass(eq=False)
class Place:
    """Where a node stands, or the bend of an arrow through its layer (without a node). y grows upwards."""

    layer: int
    node: Variable | None = None
    kind: str = ""
    lines: list = field(default_factory=list)  # (text, whether it is the title, colour)
    width: float = 0.0
    height: float = 0.0
    x: float = 0.0  # of the centre
    y: float = 0.0
    sources: list = field(default_factory=list)  # (place in the layer before, offset of the arrow's end from y)
    targets: list = field(default_factory=list)  # (place in the layer after, offset of the arrow's end from its y)


class ComputationalGraphDisplay:
    """The picture of a computational graph.

    Layers from left to right; a box shows the operation, the name, the value and, after ``backward``, the gradient:
    small arrays in full, larger ones by shape and norm. Arrows enter in the order of the operands, the first on top.
    Constants have dashed edges, variables thick ones, operations round corners, the output a double line.

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
    >>> from fastbp.inspection import ComputationalGraphDisplay
    >>> a, b = Variable(2.0, name="a"), Variable(-3.0, name="b")
    >>> L = a * b + 1
    >>> L.backward()
    >>> display = ComputationalGraphDisplay.from_graph(L)

    and then ``display.figure_.savefig("graph.svg")``.
    """

    def __init__(self, graph: Graph):
        self.graph = graph

    @classmethod
    def from_graph(cls, graph: Graph | Variable, ax=None) -> "ComputationalGraphDisplay":
        """Draw a graph.

        Parameters
        ----------
        graph : Graph or Variable
            A Variable stands for the graph that led to it.
        ax : matplotlib Axes or None
            None for a new figure, as large as the graph needs.

        Returns
        -------
        ComputationalGraphDisplay
        """
        return cls(graph if isinstance(graph, Graph) else Graph(graph)).plot(ax=ax)

    def plot(self, ax=None) -> "ComputationalGraphDisplay":
        """Draw the graph.

        Parameters
        ----------
        ax : matplotlib Axes or None
            None for a new figure, as large as the graph needs. In axes of yours the picture, letters included, is
            scaled to fit.

        Returns
        -------
        ComputationalGraphDisplay
            Itself.
        """
        plt = pyplot()
        if len(self.graph) > MAX_NODES:
            raise ValueError(
                f"a picture of {len(self.graph)} nodes could not be read (at most {MAX_NODES}): draw the graph of an "
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
        # letters are outlines, which have the scale of the axes; the widths of lines have to be told
        scale = min(ax.bbox.width / width, ax.bbox.height / height) * 72 / ax.figure.dpi
        for patch in ax.patches[others:]:
            patch.set_linewidth(patch.get_linewidth() * scale)
        self.ax_, self.figure_ = ax, ax.figure
        return self


def pyplot():
    """matplotlib.pyplot, imported when something is drawn."""
    try:
        import matplotlib.pyplot
    except ImportError as error:
        raise ImportError(
            "drawing a computational graph needs matplotlib: `python3 -m pip install 'fastbp[plot]'`; print(graph) and "
            "graph.to_dot() do without"
        ) from error
    return matplotlib.pyplot


# Layout


def place_nodes(graph):
    """The places of all nodes and bends.

    Parameters
    ----------
    graph : Graph

    Returns
    -------
    list of Place
    """
    places = [make_place(graph, node, layer) for node, layer in zip(graph.nodes, layers(graph), strict=True)]
    connect(graph, places)
    rows = ordered(places)
    set_heights(rows)
    set_columns(rows)
    return places


def layers(graph):
    """The layer of every node: one before the first of those computed from it, the output in the last."""
    from_output = [0] * len(graph)
    for x, i in reversed(graph.edges):
        from_output[x] = max(from_output[x], from_output[i] + 1)
    return [max(from_output) - steps for steps in from_output]


def make_place(graph, node, layer):
    """The box of a node with its text, measured."""
    title, value, gradient = graph.text(node)
    lines = [(title, True, "#000000")] if title else []
    lines += [(line, False, "#000000") for line in indented("value", value)]
    lines += [(line, False, BLUE) for line in indented("grad ", gradient)]
    place = Place(layer, node, graph.kind(node), lines)
    place.width = max(text_width(text, is_title) for text, is_title, _ in lines) + 2 * PADDING
    place.height = LINE * len(lines) + 2 * PADDING
    return place


def connect(graph, places):
    """Enter sources and targets, with a bend in every layer that an arrow passes; bends are appended to `places`."""
    arrows = {}
    for x, i in graph.edges:
        arrows.setdefault(i, []).append(x)
    for i, operands in arrows.items():
        target = places[i]
        spread = min(0.6 * target.height, 12.0 * (len(operands) - 1))
        for k, x in enumerate(operands):
            source = places[x]
            for layer in range(source.layer + 1, target.layer):
                bend = Place(layer)
                places.append(bend)
                join(source, bend, 0.0)
                source = bend
            join(source, target, spread / 2 - spread * k / max(len(operands) - 1, 1))


def join(source, target, offset):
    """Enter an arrow from one layer to the next, with the offset of its end from the target's y."""
    source.targets.append((target, offset))
    target.sources.append((source, offset))


def ordered(places):
    """The places of each layer from top to bottom, by the barycenters of their neighbours, with few crossings."""
    rows = [[] for _ in range(1 + max(place.layer for place in places))]
    for place in places:
        rows[place.layer].append(place)
    best, fewest = [list(row) for row in rows], crossings(rows)
    for sweep in range(ORDER_SWEEPS):
        forward = sweep % 2 == 0
        for row in rows if forward else reversed(rows):
            rank = {id(place): i for other in rows for i, place in enumerate(other)}
            row.sort(key=lambda place: barycenter(place, rank, forward))
        count = crossings(rows)
        if count < fewest:
            best, fewest = [list(row) for row in rows], count
    return best


def barycenter(place, rank, forward):
    """The mean rank of the neighbours in the layer before, or after; its own rank if there are none."""
    neighbours = place.sources if forward else place.targets
    ranks = [rank[id(other)] - (0 if forward else offset / 1000) for other, offset in neighbours]
    return np.mean(ranks) if ranks else rank[id(place)]


def crossings(rows):
    """How many pairs of arrows cross, between all layers."""
    rank = {id(place): i for row in rows for i, place in enumerate(row)}
    count = 0
    for row in rows:
        ends = [(rank[id(p)], rank[id(t)] - offset / 1000) for p in row for t, offset in p.targets]
        starts, stops = np.array(ends).reshape(-1, 2).T
        before = starts[:, None] < starts
        count += int((before & (stops[:, None] > stops)).sum())
    return count


def set_heights(rows):
    """Choose y: as near to the arrows' other ends as the order and the distances within a layer allow.

    For one layer that is a least-squares problem, whose solution is an isotonic regression; the layers take turns.
    """
    for row in rows:
        set_y(row, spacing(row))
    for sweep in range(HEIGHT_SWEEPS):
        for row in reversed(rows) if sweep % 2 else rows:
            down = spacing(row)
            wanted, weights = zip(*map(wanted_y, row), strict=True)
            set_y(row, down + isotonic_regression(-(wanted + down), weights))


def spacing(row):
    """How far below the first each place of a layer stands, at least."""
    return np.cumsum([0.0, *map(distance, row[:-1], row[1:])])


def set_y(row, down):
    """Take the y of the places of a layer from their distances downwards."""
    for place, below in zip(row, down.tolist(), strict=True):
        place.y = -below


def wanted_y(place):
    """The y at which the arrows of a place would on average be level, and how much that counts."""
    levels = [(other.y - offset, other) for other, offset in place.sources]
    levels += [(other.y + offset, other) for other, offset in place.targets]
    # bends hold on to bends, so that long arrows are straight
    weights = [8.0 if place.node is None and other.node is None else 1.0 for _, other in levels]
    total = sum(weights)
    return (sum(w * y for w, (y, _) in zip(weights, levels, strict=True)) / total, total) if levels else (place.y, 1.0)


def isotonic_regression(values, weights):
    """The non-decreasing numbers nearest to some values: whatever decreases is pooled into its weighted mean.

    Source: Barlow, Bartholomew, Bremner and Brunk (1972), Statistical Inference under Order Restrictions, the
    pool-adjacent-violators algorithm.
    """
    pools = []  # (mean, weight, how many)
    for mean, weight in zip(values, weights, strict=True):
        count = 1
        while pools and pools[-1][0] > mean:
            other_mean, other_weight, other_count = pools.pop()
            mean = (weight * mean + other_weight * other_mean) / (weight + other_weight)
            weight, count = weight + other_weight, count + other_count
        pools.append((mean, weight, count))
    return np.repeat([mean for mean, _, _ in pools], [count for _, _, count in pools])


def distance(upper, lower):
    """Between the centres of neighbours in a layer, at least."""
    gap = BEND_GAP if upper.node is None or lower.node is None else ROW_GAP
    return (upper.height + lower.height) / 2 + gap


def set_columns(rows):
    """Choose x: a column for each layer, as wide as its widest box, farther apart where arrows are steep."""
    right = 0.0
    for row in rows:
        steep = max((abs(s.y - p.y - offset) for p in row for s, offset in p.sources), default=0.0)
        width = max(place.width for place in row)
        left = right + min(COLUMN_GAP + 0.15 * steep, 2 * COLUMN_GAP)
        right = left + width
        for place in row:
            place.x = (left + right) / 2


def column_edges(places):
    """(left, right) of every layer."""
    edges = {}
    for place in places:
        left, right = edges.get(place.layer, (np.inf, -np.inf))
        edges[place.layer] = (min(left, place.x - place.width / 2), max(right, place.x + place.width / 2))
    return edges


def extent(places):
    """(left, right, bottom, top) of the picture, with room for the legend at the bottom."""
    left = min(place.x - place.width / 2 for place in places) - MARGIN
    right = max(place.x + place.width / 2 for place in places) + MARGIN
    bottom = min(place.y - place.height / 2 for place in places) - MARGIN - LINE - ROW_GAP
    top = max(place.y + place.height / 2 for place in places) + MARGIN
    return left, max(right, left + legend(places)[1] + MARGIN), bottom, top


# Drawing


def font(is_title):
    """The properties of a line's letters."""
    from matplotlib.font_manager import FontProperties

    if is_title:
        return FontProperties(family="DejaVu Sans", weight="bold", size=TITLE_SIZE)
    return FontProperties(family="DejaVu Sans Mono", size=TEXT_SIZE)


def text_width(text, is_title):
    """Of a line, in points."""
    from matplotlib.textpath import text_to_path

    return text_to_path.get_text_width_height_descent(text, font(is_title), ismath=False)[0]


def draw_text(ax, x, y, text, is_title=False, colour="#000000"):
    """A line of letters that begins at (x, y), as outlines, so that they scale with the boxes."""
    from matplotlib.patches import PathPatch
    from matplotlib.textpath import TextPath

    # a lone $ would begin a formula
    path = TextPath((x, y), text.replace("$", r"\$"), prop=font(is_title))
    ax.add_artist(PathPatch(path, facecolor=colour, linewidth=0, snap=False))  # snapped, + and L lose their shape


def draw_frame(ax, x, y, width, height, kind):
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


def draw_box(ax, place):
    """A node's frame and text."""
    left, top = place.x - place.width / 2, place.y + place.height / 2
    draw_frame(ax, left, place.y - place.height / 2, place.width, place.height, place.kind)
    for i, (text, is_title, colour) in enumerate(place.lines):
        baseline = top - PADDING - LINE * (i + 0.8)
        x = place.x - text_width(text, True) / 2 if is_title else left + PADDING
        draw_text(ax, x, baseline, text, is_title, colour)


def draw_arrow(ax, target, k, columns):
    """The arrow that ends at the k-th entry of a box, from its source's box through all bends.

    It is level within columns and bends only between them, where there are no boxes.
    """
    from matplotlib.patches import PathPatch, Polygon
    from matplotlib.path import Path

    source, offset = target.sources[k]
    tip = np.array([target.x - target.width / 2, target.y + offset])
    points, codes = [tip - (HEAD, 0)], [Path.MOVETO]
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
    """[(kind, distance from the left end)] of the kinds of boxes that occur, and the width of all."""
    found, x = [], 0.0
    for kind in STYLES:
        if any(place.kind == kind for place in places):
            found.append((kind, x))
            x += SAMPLE[0] + 5 + text_width(kind, False) + 18
    return found, x


def draw_legend(ax, x, y, places):
    """A small box of each kind with its name, in a line from (x, y)."""
    for kind, distance in legend(places)[0]:
        draw_frame(ax, x + distance, y, *SAMPLE, kind)
        draw_text(ax, x + distance + SAMPLE[0] + 5, y + 3, kind)
