"""The layout of a computational graph: positions of its nodes, in layers from left to right.

The method is that of Sugiyama, Tagawa and Toda (1981), Methods for visual understanding of hierarchical system
structures. The layer of a node follows from the longest path to the output; an arrow that spans several layers gets a
bend in each of them; nodes are ordered within a layer by barycenters, so that few arrows cross; then each node gets a
height close to those of its neighbours. All lengths are in points. matplotlib is used to measure text only.
"""

from dataclasses import dataclass, field

import numpy as np

from fastbp.autodiff import Variable
from fastbp.autodiff.graph import indented
from fastbp.inspection._plotting import BLUE

ORDER_SWEEPS, HEIGHT_SWEEPS = 12, 40
TITLE_SIZE, TEXT_SIZE, LINE = 10.0, 8.5, 11.5  # font sizes, and the distance of two lines
PADDING, ROW_GAP, BEND_GAP, COLUMN_GAP = 6.0, 16.0, 9.0, 40.0


@dataclass(eq=False)
class Place:
    """The position of a node, or of a bend of an arrow (without a node). y grows upwards."""

    layer: int
    node: Variable | None = None
    kind: str = ""
    lines: list = field(default_factory=list)  # (text, whether it is the title, colour)
    width: float = 0.0
    height: float = 0.0
    x: float = 0.0  # centre
    y: float = 0.0
    sources: list = field(default_factory=list)  # (place in the layer before, offset of the arrow's end from y)
    targets: list = field(default_factory=list)  # (place in the layer after, offset of the arrow's end from its y)


def place_nodes(graph):
    """Find the positions of all nodes and bends.

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
    """The layer of every node: the output is in the last, any other node one before the first node computed from it."""
    from_output = [0] * len(graph)
    for x, i in reversed(graph.edges):
        from_output[x] = max(from_output[x], from_output[i] + 1)
    return [max(from_output) - steps for steps in from_output]


def make_place(graph, node, layer):
    """The box of a node: its text, width and height."""
    title, value, gradient = graph.text(node)
    lines = [(title, True, "#000000")] if title else []
    lines += [(line, False, "#000000") for line in indented("value", value)]
    lines += [(line, False, BLUE) for line in indented("grad ", gradient)]
    place = Place(layer, node, graph.kind(node), lines)
    place.width = max(text_width(text, is_title) for text, is_title, _ in lines) + 2 * PADDING
    place.height = LINE * len(lines) + 2 * PADDING
    return place


def connect(graph, places):
    """Set sources and targets, with a bend in every layer that an arrow passes; bends are appended to `places`."""
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
    """Add an arrow from one layer to the next, with the offset of its end from the target's y."""
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
    """The number of pairs of arrows that cross, over all layers."""
    rank = {id(place): i for row in rows for i, place in enumerate(row)}
    count = 0
    for row in rows:
        ends = [(rank[id(p)], rank[id(t)] - offset / 1000) for p in row for t, offset in p.targets]
        starts, stops = np.array(ends).reshape(-1, 2).T
        before = starts[:, None] < starts
        count += int((before & (stops[:, None] > stops)).sum())
    return count


def set_heights(rows):
    """Choose y as near to the other ends of the arrows as the order and the distances within a layer allow.

    For one layer this is a least-squares problem, which isotonic regression solves; it is solved for one layer after
    the other, several times.
    """
    for row in rows:
        set_y(row, spacing(row))
    for sweep in range(HEIGHT_SWEEPS):
        for row in reversed(rows) if sweep % 2 else rows:
            down = spacing(row)
            wanted, weights = zip(*map(wanted_y, row), strict=True)
            set_y(row, down + isotonic_regression(-(wanted + down), weights))


def spacing(row):
    """The smallest distance of each place of a layer from the first one, downwards."""
    return np.cumsum([0.0, *map(distance, row[:-1], row[1:])])


def set_y(row, down):
    """Set the y of the places of a layer from their distances downwards."""
    for place, below in zip(row, down.tolist(), strict=True):
        place.y = -below


def wanted_y(place):
    """The y at which the arrows of a place would be level on average, and its weight."""
    levels = [(other.y - offset, other) for other, offset in place.sources]
    levels += [(other.y + offset, other) for other, offset in place.targets]
    # a larger weight between bends keeps long arrows straight
    weights = [8.0 if place.node is None and other.node is None else 1.0 for _, other in levels]
    total = sum(weights)
    return (sum(w * y for w, (y, _) in zip(weights, levels, strict=True)) / total, total) if levels else (place.y, 1.0)


def isotonic_regression(values, weights):
    """The non-decreasing numbers nearest to the given values: decreasing values are replaced by their weighted mean.

    Source: Barlow, Bartholomew, Bremner and Brunk (1972), Statistical Inference under Order Restrictions, the
    pool-adjacent-violators algorithm.
    """
    pools = []  # (mean, weight, count)
    for mean, weight in zip(values, weights, strict=True):
        count = 1
        while pools and pools[-1][0] > mean:
            other_mean, other_weight, other_count = pools.pop()
            mean = (weight * mean + other_weight * other_mean) / (weight + other_weight)
            weight, count = weight + other_weight, count + other_count
        pools.append((mean, weight, count))
    return np.repeat([mean for mean, _, _ in pools], [count for _, _, count in pools])


def distance(upper, lower):
    """The smallest distance between the centres of neighbours in a layer."""
    gap = BEND_GAP if upper.node is None or lower.node is None else ROW_GAP
    return (upper.height + lower.height) / 2 + gap


def set_columns(rows):
    """Choose x: a column for each layer, as wide as its widest box; the gap is larger where arrows are steep."""
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


def font(is_title):
    """The font of a line."""
    from matplotlib.font_manager import FontProperties

    if is_title:
        return FontProperties(family="DejaVu Sans", weight="bold", size=TITLE_SIZE)
    return FontProperties(family="DejaVu Sans Mono", size=TEXT_SIZE)


def text_width(text, is_title):
    """The width of a line in points."""
    from matplotlib.textpath import text_to_path

    return text_to_path.get_text_width_height_descent(text, font(is_title), ismath=False)[0]
