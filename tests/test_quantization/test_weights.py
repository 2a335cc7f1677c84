"""Matrices of 8 bits, and which matrices of a network become such."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from fastbp import Network
from fastbp.layers import BatchNorm, Dense, Residual
from fastbp.quantization.weights import quantized_graph, quantized_matrix, quantized_names


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("scale", [1e-30, 1.0, 1e30])
def test_the_nearest_matrix(scale, dtype):
    rng = np.random.default_rng(0)
    W = (scale * rng.normal(size=(50, 7)) * rng.exponential(size=7)).astype(dtype)
    matrix = quantized_matrix(W)
    assert (matrix.q.dtype, matrix.scale.dtype, matrix.sums.dtype) == (np.int8, np.float32, np.float32)
    assert_array_equal(np.abs(matrix.q).max(axis=0), 127)
    error = np.abs(W.astype(np.float64) - matrix.scale.astype(np.float64) * matrix.q)
    assert (error <= matrix.scale / 2 * (1 + 1e-5)).all()  # the scale is rounded to float32, and multiplied by 127
    assert_allclose(matrix.sums, W.sum(axis=0, dtype=np.float64), rtol=1e-6)


@pytest.mark.parametrize("value", [0.0, 1e-45, 1e-37])
def test_columns_of_zeros_or_of_hardly_more(value):
    W = np.ones((20, 3))
    W[:, 1] = value
    q, scale, _ = quantized_matrix(W)
    assert (scale[1], q[:, 1].any()) == (0, False)  # 1e-37 / 127 is a denormal number
    assert (q[:, [0, 2]] == 127).all()


def test_a_symmetric_range():
    W = np.array([[-1.0, 0.5], [1.0, -0.25]])
    assert_array_equal(quantized_matrix(W).q, [[-127, 127], [127, -64]])  # 63.5 is rounded to the even number


@pytest.mark.parametrize(
    ("sizes", "names"),
    [
        ([784, 512, 256, 10], ("W_1", "W_2")),
        ([16, 17, 17], ("W_1", "W_2")),
        ([15, 20, 16, 20], ("W_3",)),
        ([4, 8, 2], ()),
    ],
)
def test_small_layers_stay_in_float32(sizes, names):
    assert quantized_names(Network(sizes).graph) == names


def test_the_graph_has_all_other_parameters():
    layers = [Dense(40, "relu"), Residual([BatchNorm(), Dense(40, use_bias=False)]), Dense(3)]
    graph = Network(layers=layers, n_features=20, random_state=0).graph
    names = quantized_names(graph)
    small = quantized_graph(graph, names)
    assert names == ("W_1", "W_2")
    assert [op.argument for op in small.operations if op.kind == "dense_int8"] == [0, 1]
    assert small.n_params == graph.n_params - 20 * 40 - 40 * 40
    flat, ends = np.zeros(small.n_params), 0
    for block in small.blocks:
        if block.name not in names:
            block.view(flat)[...] += 1
            ends += block.size
    assert (flat == 1).all()
    assert ends == small.n_params
    assert [op.kind for op in graph.operations].count("dense") == 3  # which is as it was
