"""The graph as a table and as a Graphviz source; `graph.py`."""

import re

import numpy as np
import pytest

from fastbp.autodiff import Graph, Variable
from fastbp.autodiff.graph import describe


def example():
    a, b = Variable(2.0, name="a"), Variable(-3.0, name="b")
    L = a * b + 10
    L.name = "L"
    L.backward()
    return Graph(L)


def test_graph():
    graph = example()
    assert [node.name for node in graph.nodes] == ["a", "b", None, None, "L"]
    assert [graph.kind(node) for node in graph.nodes] == ["variable", "variable", "operation", "constant", "output"]
    assert [graph.title(node) for node in graph.nodes] == ["a", "b", "×", "", "L = +"]
    assert graph.edges == [(0, 2), (1, 2), (2, 4), (3, 4)]
    assert repr(graph) == "<Graph of 5 nodes, 4 edges>"
    lines = str(graph).splitlines()
    assert len(lines) == 6
    assert re.fullmatch(r"2  ×      operation  0 1       \(\)     -6     1", lines[3])
    with pytest.raises(TypeError, match="output must be a Variable"):
        Graph(1.0)


def test_titles_tell_the_settings():
    x = Variable(np.ones((2, 3)))
    for y, title in [
        (x.sum(axis=0), "Σ axis=0"),
        (x.mean(), "mean"),
        (x.sum(axis=1, keepdims=True), "Σ axis=1 keepdims=True"),
        (x[0], "[ ] index=0"),
        (x[np.arange(2), np.arange(2)], "[ ]"),
    ]:
        assert Graph(y).title(y) == title


def test_dot():
    lines = example().to_dot().splitlines()
    assert lines[0] == "digraph {"
    assert lines[-1] == "}"
    assert [line.strip() for line in lines[-5:-1]] == ["0 -> 2;", "1 -> 2;", "2 -> 4;", "3 -> 4;"]
    assert lines[3].startswith(r'    0 [label="a\lvalue 2\lgradient -3\l", shape=box, style="filled,bold"')
    assert r'3 [label="10\l", shape=box, style="filled,dashed"' in lines[6]
    assert "peripheries=2" in lines[7]


def test_dot_escapes():
    dot = Graph(Variable(1.0, name='a "b" \\ c\nd')).to_dot()
    assert r'label="a \"b\" \\ c d\lvalue 1\l"' in dot


@pytest.mark.parametrize(
    ("array", "lines"),
    [
        (np.float64(1 / 3), ["0.333"]),
        (-0.0, ["0"]),
        ([1.0, -20.5], ["    1 -20.5"]),
        ([[1.0, 2.0], [3.0, 4e-9]], ["    1     2", "    3 4e-09"]),
        (np.full((4, 3), 0.5), ["(4, 3), norm 1.73"]),
        (np.ones(5), ["(5,), norm 2.24"]),
        (np.ones((1, 1, 1)), ["(1, 1, 1), norm 1"]),
        (np.ones((0, 3)), ["(0, 3), norm 0"]),
        ([np.nan, np.inf], ["nan inf"]),
    ],
)
def test_describe(array, lines):
    assert describe(np.asarray(array)) == lines
