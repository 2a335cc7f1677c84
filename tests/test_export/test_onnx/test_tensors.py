"""Arithmetic on tensors, and what it adds to a graph."""

import numpy as np
import pytest

from fastbp.export.onnx.file import ModelGraph
from fastbp.export.onnx.tensors import INT64, TEXT
from onnx_cases import run

pytest.importorskip("onnxruntime")

ROWS = np.array([[1.5, -2.0, np.nan], [0.0, 4.0, 1e9]])


def evaluated(function, dtype=np.float64):
    """What a function of a tensor gives for ROWS."""
    graph = ModelGraph()
    result = function(graph.input("X", dtype, 3))
    graph.output("result", result, ["n", "m"])
    return run(graph.model("test"), ROWS.astype(dtype))["result"]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(
    "function",
    [
        lambda x: x + 2,
        lambda x: 2 + x,
        lambda x: x - np.array([1.0, 2.0, 3.0]),
        lambda x: np.array([1.0, 2.0, 3.0]) - x,
        lambda x: 1 - x,
        lambda x: x * 0.5,
        lambda x: 3 * x,
        lambda x: x / 4,
        lambda x: 4 / x,
        lambda x: -x,
        lambda x: x @ np.arange(6.0).reshape(3, 2),
        lambda x: x * x + x,
    ],
)
def test_arithmetic_is_that_of_arrays(function, dtype):
    with np.errstate(all="ignore"):
        wanted = function(ROWS.astype(dtype)).astype(dtype)
    found = evaluated(function, dtype)
    assert found.dtype == dtype
    np.testing.assert_allclose(found, wanted, rtol=1e-6)


def test_comparisons():
    assert evaluated(lambda x: (x < 1).cast(np.float64)).tolist() == [[0, 1, 0], [1, 0, 0]]
    assert evaluated(lambda x: ((x > 0) & (x < 2)).cast(np.float64)).tolist() == [[1, 0, 0], [0, 0, 0]]
    assert evaluated(lambda x: x.equals([1.5, 4.0, 1e9]).cast(np.float64)).tolist() == [[1, 0, 0], [0, 1, 1]]
    assert evaluated(lambda x: x.is_nan().cast(np.float64)).tolist() == [[0, 0, 1], [0, 0, 0]]


def test_a_clip_keeps_what_is_not_a_number():
    np.testing.assert_array_equal(evaluated(lambda x: x.clip(-1, [2.0, 3.0, 5.0])), [[1.5, -1, np.nan], [0, 3, 5]])


def test_shapes():
    assert evaluated(lambda x: x.columns([1, 0, 1])).shape == (2, 3)
    assert evaluated(lambda x: x.reshape(0, 3, 1).reshape(0, 3)).shape == (2, 3)
    np.testing.assert_array_equal(evaluated(lambda x: x.concatenate(x, x)), np.hstack([ROWS] * 3))
    np.testing.assert_array_equal(evaluated(lambda x: x.columns([0, 1]).sum()), [[-0.5], [4]])


def test_equal_constants_are_one():
    graph = ModelGraph()
    x = graph.input("X", np.float64, 3)
    graph.output("result", (x + 1) * 1 + np.float64(1), ["n", 3])
    assert len(graph.initializers) == 1
    names = {graph.constant(1, dtype).name for dtype in (np.dtype("f4"), np.dtype("f8"), INT64)}
    assert len(names) == 3
    assert graph.constant(["a"], TEXT).name == graph.constant(["a"], TEXT).name != graph.constant(["b"], TEXT).name
