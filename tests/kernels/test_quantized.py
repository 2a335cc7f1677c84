"""Products with weights of 8 bits, beside their twins: the same bits with every instruction set; `quantized.pyx`."""

import numpy as np
import pytest
from numpy.testing import assert_array_equal

import warm_python
from fastbp.data import make_data
from fastbp.kernels import ISA, SUPPORTED_ISAS
from fastbp.kernels.graph import GraphBuilder, Group
from fastbp.kernels.predictor import Predictor
from fastbp.kernels.program import DERIVATIVES, INSPECTION, PREDICTION, TRAINING, Program
from fastbp.kernels.quantized import INSTRUCTION, QuantizedLayers, scratch_width
from fastbp.quantization.weights import quantized_graph, quantized_matrix
from quantized_reference import bound, quantized_dense

# that fill no vector and no group of any instruction set, and some that do
FANS_IN = (1, 2, 3, 4, 5, 15, 16, 17, 63, 100)
FANS_OUT = (1, 2, 7, 15, 16, 17, 31, 32, 33, 48, 65)
# every remainder of a block of 12 or 6 rows
ROWS = (*range(1, 15), 25)


def layer(rng, fan_in, fan_out, is_full=False):
    """(q, scale, sums, bias), random; `is_full`: the weights are the largest ones."""
    q = rng.integers(-127, 128, (fan_in, fan_out)).astype(np.int8)
    if is_full:
        q[...] = np.where(np.arange(fan_out) % 2, 127, -127)
    scale, sums, bias = rng.normal(size=(3, fan_out)).astype(np.float32)
    return q, np.abs(scale), sums, bias


@pytest.mark.parametrize("fan_in", FANS_IN)
def test_every_width(fan_in):
    rng = np.random.default_rng(fan_in)
    for fan_out in FANS_OUT:
        parts = layer(rng, fan_in, fan_out)
        X = rng.normal(size=(13, fan_in)).astype(np.float32)
        assert_array_equal(QuantizedLayers([parts]).multiply(0, X), quantized_dense(X, *parts))


@pytest.mark.parametrize("fan_out", [20, 40, 70])
def test_every_number_of_rows(fan_out):
    rng = np.random.default_rng(0)
    parts = layer(rng, 37, fan_out)
    X = rng.normal(size=(max(ROWS), 37)).astype(np.float32)
    layers, expected = QuantizedLayers([parts]), quantized_dense(X, *parts)
    for n in ROWS:
        assert_array_equal(layers.multiply(0, X[:n].copy()), expected[:n])
    assert layers.multiply(0, X[:0]).shape == (0, fan_out)


def test_without_bias():
    rng = np.random.default_rng(0)
    q, scale, sums, _ = layer(rng, 20, 20)
    X = rng.normal(size=(5, 20)).astype(np.float32)
    expected = quantized_dense(X, q, scale, sums, np.zeros(20, np.float32))
    assert_array_equal(QuantizedLayers([(q, scale, sums, None)]).multiply(0, X), expected)


# 2^16 rows of W: the sum of the largest products is just below 2^31; above, runs of them become floats
@pytest.mark.parametrize("fan_in", [256, 2**16, 2**16 + 1, 2**17 + 5])
def test_the_largest_sums(fan_in):
    rng = np.random.default_rng(0)
    parts = layer(rng, fan_in, 18, is_full=True)
    X = np.ones((3, fan_in), np.float32)
    X[:, 0] = 0  # u is 255 in all other columns
    assert_array_equal(QuantizedLayers([parts]).multiply(0, X), quantized_dense(X, *parts))


SPECIAL_ROWS = {
    "zeros": np.zeros(40),
    "constant": np.full(40, -7.3),
    "positive": np.linspace(3, 4, 40),
    "negative": np.linspace(-1e6, -1, 40),
    "the largest floats": np.linspace(-1, 1, 40) * np.finfo(np.float32).max,
    "so near that the range has no inverse": np.linspace(0, 1e-37, 40),
    "a small range": np.linspace(0, 1e-30, 40),
    "next to each other": np.nextafter(np.float32(1), np.float32(2)) * np.r_[np.ones(39), 1.0],
    "one outlier": np.r_[1e30, np.zeros(39)],
}


@pytest.mark.parametrize("name", SPECIAL_ROWS)
def test_special_rows(name):
    rng = np.random.default_rng(0)
    parts = layer(rng, 40, 33)
    X = np.array([rng.normal(size=40), SPECIAL_ROWS[name], rng.normal(size=40)], np.float32)
    Z = QuantizedLayers([parts]).multiply(0, X)
    assert_array_equal(Z, quantized_dense(X, *parts))
    assert np.isfinite(Z[[0, 2]]).all()


@pytest.mark.parametrize("wrong", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("place", [0, 5, 38, 39])
def test_rows_that_are_not_finite_give_nan(place, wrong):
    rng = np.random.default_rng(0)
    parts = layer(rng, 40, 33)
    X = rng.normal(size=(3, 40)).astype(np.float32)
    expected = quantized_dense(X, *parts)
    X[1, place] = wrong
    Z = QuantizedLayers([parts]).multiply(0, X)
    assert np.isnan(Z[1]).all()
    assert_array_equal(Z[[0, 2]], expected[[0, 2]])


@pytest.mark.parametrize("shift", [0, 30])
@pytest.mark.parametrize("fan_in", [1, 17, 300])
def test_the_error_has_the_bound_that_is_documented(fan_in, shift):
    rng = np.random.default_rng(0)
    W = rng.normal(size=(fan_in, 40)) * rng.exponential(size=40)
    W[:, 3] = 0
    X = (rng.normal(size=(50, fan_in)) + shift).astype(np.float32)
    matrix = quantized_matrix(W)
    Z = QuantizedLayers([(*matrix, None)]).multiply(0, X)
    limit = bound(X, W, matrix.scale)
    # float32 rounds the terms of the sum, of the size of the shift times a column sum, a few times
    rounding = 8 * np.finfo(np.float32).eps * (np.abs(X) @ np.abs(W)).max()
    error = np.abs(Z - X.astype(np.float64) @ W)
    assert (error <= limit + rounding).all()
    if fan_in > 1:
        assert error.max() > 0.2 * limit.max() / np.sqrt(fan_in)  # what independent roundings of one size add up to
    assert (Z[:, 3] == 0).all()


OF_ALL_SETS = """
import sys
import numpy as np
from fastbp.kernels.quantized import QuantizedLayers
rng = np.random.default_rng(0)
q = rng.integers(-127, 128, (201, 50)).astype(np.int8)
scale, sums, bias = np.abs(rng.normal(size=(3, 50))).astype(np.float32)
X = rng.normal(size=(29, 201)).astype(np.float32)
np.save(sys.argv[1], QuantizedLayers([(q, scale, sums, bias)]).multiply(0, X))
"""


def test_every_instruction_set_gives_the_same_bits(tmp_path):
    found = {}
    for isa in SUPPORTED_ISAS:
        process = warm_python.run(["-c", OF_ALL_SETS, tmp_path / f"{isa}.npy"], FASTBP_ISA=isa)
        assert process.returncode == 0, process.stderr
        found[isa] = np.load(tmp_path / f"{isa}.npy")
    for isa in SUPPORTED_ISAS:
        assert_array_equal(found[isa], found[ISA])


def test_the_instruction_belongs_to_the_instruction_set():
    expected = {"avx2": ["vpmaddwd (AVX2)"], "avx512": ["vpdpbusd (AVX512-VNNI)", "vpmaddwd (AVX2)"]}
    assert INSTRUCTION in expected.get(ISA, ["pmaddwd (SSE2)", "smlal (NEON)", "32-bit products"])


def test_the_scratch_has_room_for_whole_vectors():
    for fan_in in FANS_IN:
        assert scratch_width(fan_in) >= fan_in / 4 + 2


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (dict(q=np.zeros(3, np.int8)), "q must be a matrix that is not empty, got shape"),
        (dict(q=np.zeros((0, 4), np.int8)), "q must be a matrix that is not empty"),
        (dict(q=np.zeros((3, 4), np.int16)), "q must be int8 of shape"),
        (dict(scale=np.zeros(5, np.float32)), r"scale must be float32 of shape \(4,\), got float32 of \(5,\)"),
        (dict(sums=np.zeros(4)), r"sums must be float32 of shape \(4,\), got float64"),
        (dict(bias=np.zeros((4, 1), np.float32)), "bias must be float32"),
        (dict(scale=None), r"scale must be an array of float32 of shape \(4,\), got None"),
        (dict(sums=None), "sums must be an array of float32"),
    ],
)
def test_wrong_layers(change, message):
    numbers = np.zeros(4, np.float32)
    parts = {"q": np.zeros((3, 4), np.int8), "scale": numbers, "sums": numbers, "bias": numbers} | change
    with pytest.raises(ValueError, match=message):
        QuantizedLayers([tuple(parts.values())])


def test_layers_do_not_change():
    rng = np.random.default_rng(0)
    layers, X = QuantizedLayers([layer(rng, 3, 4)]), rng.normal(size=(2, 3)).astype(np.float32)
    before = layers.multiply(0, X)
    layers.__init__([layer(rng, 30, 40)] * 100)  # it is made once
    assert layers.shapes == [(3, 4)]
    assert_array_equal(layers.multiply(0, X), before)


def test_wrong_rows():
    layers = QuantizedLayers([layer(np.random.default_rng(0), 3, 4)])
    with pytest.raises(ValueError, match=r"X must be float32 of shape \(2, 3\), got float64"):
        layers.multiply(0, np.zeros((2, 3)))
    for number in (-1, 1):
        with pytest.raises(ValueError, match="number must be that of one of 1 layers"):
            layers.multiply(number, np.zeros((2, 3), np.float32))


def graph_of(fan_in, fan_out):
    """A graph of one layer with weights of 8 bits."""
    builder = GraphBuilder(fan_in)
    node = builder.emit("dense", 0, fan_out, blocks=[("W", (fan_in, fan_out), Group())])
    builder.emit("activation", node, fan_out)
    return quantized_graph(builder.finish(), ("W_1",))


@pytest.mark.parametrize("purpose", [TRAINING, DERIVATIVES, INSPECTION])
def test_programs_are_for_prediction_only(purpose):
    with pytest.raises(ValueError, match=f"for predictions in float32, got a program for {purpose} in float32"):
        Program(graph_of(5, 4), np.float32, purpose)
    with pytest.raises(ValueError, match="got a program for prediction in float64"):
        Program(graph_of(5, 4), np.float64, PREDICTION)


def test_a_predictor_needs_the_layers_of_its_program():
    program, rng = Program(graph_of(5, 4), np.float32, PREDICTION), np.random.default_rng(0)
    params = np.empty(0, np.float32)
    for layers in (None, QuantizedLayers([]), QuantizedLayers([layer(rng, 4, 5)])):
        with pytest.raises(ValueError, match=r"quantized layers of the shapes \[\(5, 4\)\], got \["):
            Predictor(program, params, layers)
    parts = layer(rng, 5, 4)
    X, out = rng.normal(size=(300, 5)).astype(np.float32), np.empty((300, 4), np.float32)
    Predictor(program, params, QuantizedLayers([parts]))(make_data(X, None, None, 4, np.dtype(np.float32)), out, 2)
    assert_array_equal(out, quantized_dense(X, *parts))
