"""The display of a computational graph: nothing overlaps or is missing; `graph_display.py`, `_graph_layout.py`."""

import functools
import sys
from itertools import combinations

import numpy as np
import pytest
from numpy.testing import assert_allclose
from sklearn.isotonic import isotonic_regression as sklearn_isotonic_regression

import fastbp.autodiff as ad
from fastbp.autodiff import Graph, Variable, constant
from fastbp.inspection import GraphDisplay, graph_display
from fastbp.inspection._graph_layout import (
    Place,
    connect,
    crossings,
    isotonic_regression,
    layers,
    ordered,
    place_nodes,
    text_width,
)
from fastbp.inspection.graph_display import MAX_NODES, STYLES

matplotlib = pytest.importorskip("matplotlib")


@pytest.fixture(autouse=True)
def pictures_without_windows():
    matplotlib.use("agg")
    yield
    import matplotlib.pyplot as plt

    plt.close("all")


def formula():
    a, b, c = Variable(2.0, name="a"), Variable(-3.0, name="b"), Variable(10.0, name="c")
    return a * b + c


def network():
    """2-3-1 with log-loss."""
    rng = np.random.default_rng(0)
    X, y = constant(rng.normal(size=(4, 2)), name="X"), constant([[0], [1], [1], [0]], name="y")
    W1, b1 = Variable(rng.normal(size=(2, 3)), name="W1"), Variable(np.zeros(3), name="b1")
    W2, b2 = Variable(rng.normal(size=(3, 1)), name="W2"), Variable(0.0, name="b2")
    p = ad.logistic(ad.tanh(X @ W1 + b1) @ W2 + b2)
    return -(y * ad.log(p) + (1 - y) * ad.log(1 - p)).mean()


def random_graph(seed, n_operations=24):
    """Operations on random earlier nodes, all of them summed up in the end."""
    rng = np.random.default_rng(seed)
    nodes = [Variable(rng.normal(size=rng.choice([0, 1, 4])) if i else 1.0, name=f"x{i}") for i in range(4)]
    nodes = [node.sum() if node.ndim else node for node in nodes]
    for _ in range(n_operations):
        a, b = (nodes[i] for i in rng.integers(max(0, len(nodes) - 8), len(nodes), size=2))
        nodes.append([lambda a, b: a * b, lambda a, b: a - b, lambda a, b: ad.tanh(a)][rng.integers(3)](a, b))
    return ad.maximum(nodes[-1] + nodes[-2], nodes[-3])


GRAPHS = {
    "leaf": lambda: Variable([1.0, 2.0]),
    "square": lambda: (lambda x: x * x)(Variable(3.0)),
    "formula": formula,
    "network": network,
    **{f"random {seed}": lambda seed=seed: random_graph(seed) for seed in range(3)},
}


@functools.cache
def drawn(name):
    """The picture of one of GRAPHS; tests only look at it."""
    output = GRAPHS[name]()
    if output.size == 1:
        output.backward()
    return GraphDisplay.from_graph(output)


def boxes(display):
    """(left, right, bottom, top) of every node."""
    return {
        id(place.node): (
            place.x - place.width / 2,
            place.x + place.width / 2,
            place.y - place.height / 2,
            place.y + place.height / 2,
        )
        for place in display.places_
        if place.node is not None
    }


def arrows(display):
    """The points along every arrow."""
    patches = [p for p in display.ax_.patches if type(p) is matplotlib.patches.PathPatch and p.get_facecolor()[3] == 0]
    return [np.concatenate(p.get_path().interpolated(50).to_polygons(closed_only=False)) for p in patches]


def texts(display):
    """The outlines of every line of letters."""
    return [
        p.get_path().get_extents()
        for p in display.ax_.patches
        if isinstance(p.get_path(), matplotlib.textpath.TextPath) and len(p.get_path().vertices)
    ]


@pytest.mark.parametrize("name", GRAPHS)
def test_boxes_do_not_overlap(name):
    display = drawn(name)
    found = list(boxes(display).values())
    assert len(found) == len(display.graph)
    for (l1, r1, b1, t1), (l2, r2, b2, t2) in combinations(found, 2):
        assert r1 + 10 < l2 or r2 + 10 < l1 or t1 + 10 < b2 or t2 + 10 < b1
    (left, right), (bottom, top) = display.ax_.get_xlim(), display.ax_.get_ylim()
    for box in found:
        assert left < box[0] < box[1] < right
        assert bottom < box[2] < box[3] < top


@pytest.mark.parametrize("name", GRAPHS)
def test_text_is_inside_its_box(name):
    display = drawn(name)
    places = [place for place in display.places_ if place.node is not None]
    lines = texts(display)
    in_boxes = 0
    for place in places:
        left, right, bottom, top = boxes(display)[id(place.node)]
        inside = [e for e in lines if left < e.x0 and e.x1 < right and bottom < e.y0 and e.y1 < top]
        assert len(inside) == len(place.lines)
        in_boxes += len(inside)
    assert len(lines) - in_boxes == len({place.kind for place in places})  # the legend


@pytest.mark.parametrize("name", GRAPHS)
def test_arrows_pass_no_box(name):
    display = drawn(name)
    found = arrows(display)
    assert len(found) == len(display.graph.edges)
    for points in found:
        x, y = points.T
        for left, right, bottom, top in boxes(display).values():
            # it touches the edge of the box that it leaves, and half a point is less than that line
            inside = (left + 0.5 < x) & (x < right - 0.5) & (bottom + 0.5 < y) & (y < top - 0.5)
            assert not inside.any()
        assert (np.diff(x) <= 0).all()  # drawn from its tip on the right back to its source


@pytest.mark.parametrize("name", GRAPHS)
def test_arrows_go_from_operands_to_results(name):
    display = drawn(name)
    where = boxes(display)
    expected = [(id(x), id(node)) for node in display.graph.nodes for x in node.operands]
    found = []
    for points in arrows(display):
        tip, start = points[0], points[-1]
        sources = [n for n, (_, right, bottom, top) in where.items() if right == start[0] and bottom < start[1] < top]
        targets = [n for n, (left, _, bottom, top) in where.items() if 0 < left - tip[0] < 10 and bottom < tip[1] < top]
        found += [(source, target) for source in sources for target in targets]
    assert sorted(found) == sorted(expected)


def test_first_operand_is_on_top():
    a, b = Variable(1.0, name="a"), Variable(2.0, name="b")
    for output in (a - b, b - a):
        display = GraphDisplay.from_graph(output)
        (first, upper), (second, lower) = display.places_[-1].sources
        assert first.node is output.operands[0]
        assert second.node is output.operands[1]
        assert upper > lower
        assert first.y > second.y  # so that the arrows do not cross


def test_few_crossings():
    def count(output):
        places = place_nodes(Graph(output))
        rows = [[] for _ in range(1 + max(place.layer for place in places))]
        for place in sorted(places, key=lambda place: -place.y):
            rows[place.layer].append(place)
        return crossings(rows)

    assert count(formula()) == 0
    x = [Variable(float(i)) for i in range(8)]
    a, b, c, d = x[7] * x[0], x[6] * x[1], x[5] * x[2], x[4] * x[3]
    assert count((a * d) * (b * c)) == 0  # a tree
    y = Variable(1.0)
    assert count((y - x[0]) * (x[0] - y)) > 0  # cannot be helped: the order of the operands


def test_ordering_lowers_the_number_of_crossings():
    before = after = 0
    for seed in range(5):
        graph = Graph(random_graph(seed))
        places = [Place(layer, node) for node, layer in zip(graph.nodes, layers(graph), strict=True)]
        connect(graph, places)
        rows = [[place for place in places if place.layer == layer] for layer in range(1 + max(layers(graph)))]
        before, after = before + crossings(rows), after + crossings(ordered(places))
    assert after < 0.6 * before


def test_isotonic_regression():
    rng = np.random.default_rng(0)
    for n in (1, 2, 10, 30):
        values, weights = rng.normal(size=n), rng.uniform(0.5, 2, n)
        expected = sklearn_isotonic_regression(values, sample_weight=weights)
        # means of up to 30 numbers of order one
        assert_allclose(isotonic_regression(values, weights), expected, rtol=1e-12, atol=1e-14)


def test_text_of_boxes():
    output = formula()

    def lines():
        return [[text for text, _, _ in place.lines] for place in place_nodes(Graph(output))]

    assert lines() == [["a", "value 2"], ["b", "value -3"], ["×", "value -6"], ["c", "value 10"], ["+", "value 4"]]
    output.backward()
    assert lines()[0] == ["a", "value 2", "grad  -3"]
    large = Graph(Variable(np.ones((20, 5)), name="W"))
    assert [text for text, _, _ in place_nodes(large)[0].lines] == ["W", "value (20, 5), norm 10"]
    number = place_nodes(Graph(Variable(1.0) * 2))[1]
    assert number.lines == [("2", True, "#000000")]


def test_kinds_differ_without_colour():
    display = GraphDisplay.from_graph(network())
    kinds = {}
    for patch in display.ax_.patches:
        if isinstance(patch, matplotlib.patches.FancyBboxPatch):
            shape = type(patch.get_boxstyle()).__name__
            kinds.setdefault(patch.get_facecolor(), set()).add((shape, patch.get_linestyle(), patch.get_linewidth()))
    seen = {kind: kinds[matplotlib.colors.to_rgba(style["facecolor"])] for kind, style in STYLES.items()}
    for one, other in combinations(["constant", "variable", "operation"], 2):
        assert not seen[one] & seen[other]
    inner = kinds[(0.0, 0.0, 0.0, 0.0)]  # the second line of the output
    assert inner


def test_figure_grows_with_the_graph():
    small, large = (drawn(name).figure_.get_size_inches() for name in ("square", "network"))
    assert (large > small).all()
    assert (large < 30).all()


def test_letters_have_their_size():
    # a new figure has 72 data units per inch
    display = drawn("formula")
    width, height = display.figure_.get_size_inches()
    assert_allclose([np.ptp(display.ax_.get_xlim()), np.ptp(display.ax_.get_ylim())], [72 * width, 72 * height])
    assert text_width("mm", False) == pytest.approx(2 * text_width("m", False), rel=0.01)


def test_given_axes_are_used():
    import matplotlib.pyplot as plt

    figure, (left, right) = plt.subplots(1, 2, figsize=(6, 3))
    mine = right.bar([0], [1])[0]
    width = mine.get_linewidth()
    display = GraphDisplay(Graph(network()))
    assert display.plot(ax=right) is display
    assert display.ax_ is right
    assert display.figure_ is figure
    assert plt.get_fignums() == [figure.number]
    assert not left.patches
    assert mine.get_linewidth() == width
    figure.canvas.draw()
    # lines shrink with the letters
    assert max(patch.get_linewidth() for patch in right.patches if patch is not mine) < 0.5


def test_from_graph():
    output = formula()
    assert GraphDisplay.from_graph(output).graph.output is output
    graph = Graph(output)
    assert GraphDisplay.from_graph(graph).graph is graph
    with pytest.raises(TypeError, match="output must be a Variable"):
        GraphDisplay.from_graph(np.ones(3))


def test_odd_names_are_drawn(tmp_path):
    for name in ("costs $5", "$x_1$", "{", "a\\b", "Ωμέγα", ""):
        display = GraphDisplay.from_graph(Variable(1.0, name=name) * 2)
        display.figure_.savefig(tmp_path / "picture.png")
        display.figure_.savefig(tmp_path / "picture.svg")


def test_too_large():
    y = Variable(1.0)
    for _ in range(MAX_NODES):
        y = ad.tanh(y)
    with pytest.raises(ValueError, match=f"a picture of {MAX_NODES + 1} nodes would be unreadable"):
        GraphDisplay.from_graph(y)


def test_the_size_of_a_figure_is_bounded(monkeypatch):
    monkeypatch.setattr(graph_display, "MAX_INCHES", 5)
    display = GraphDisplay.from_graph(network())
    assert display.figure_.get_size_inches().max() == pytest.approx(5)
    # lines shrink with the letters
    assert max(patch.get_linewidth() for patch in display.ax_.patches) < 0.5


@pytest.mark.parametrize("missing", ["matplotlib", "matplotlib.pyplot"])
def test_without_matplotlib(missing, monkeypatch):
    monkeypatch.setitem(sys.modules, missing, None)
    graph = Graph(formula())
    with pytest.raises(ImportError, match=r"GraphDisplay draws with matplotlib.*fastbp\[plot\].*print\(graph\)"):
        GraphDisplay.from_graph(graph)
    assert "->" in graph.to_dot()
