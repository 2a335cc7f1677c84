"""`QuantizedNetwork`: beside its twin, threads, division of rows, all layers, X of all kinds, pickles."""

import pickle
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import scipy.sparse as sp
from numpy.testing import assert_allclose, assert_array_equal

import fastbp.kernels.slicing
import fastbp.quantization.network
import fastbp.threads
from fastbp import Network, quantize
from fastbp.activations import Blend, Prelu
from fastbp.kernels import ACTIVATIONS, activation_forward
from fastbp.layers import (
    BatchNorm,
    Dense,
    Dropout,
    Embedding,
    LayerNorm,
    PiecewiseLinear,
    Residual,
    RMSNorm,
    RobustScale,
    Scale,
)
from fastbp.quantization import QuantizedNetwork
from quantized_reference import quantized_dense

#: The final layer has so many outputs that it has 8 bits too
SIZES = (20, 33, 40, 17)


def rows(n=300, n_features=20, dtype=np.float32):
    return np.random.default_rng(1).normal(size=(n, n_features)).astype(dtype)


def with_biases(network):
    rng = np.random.default_rng(2)
    for b in network.intercepts:
        b[...] = rng.normal(size=b.shape)
    return network


@pytest.mark.parametrize("activation", ["identity", "relu", "leaky_relu"])  # that round nothing, or like NumPy
def test_the_twin_gives_the_same_bits(activation):
    network = with_biases(Network(SIZES, activation, "identity", dtype=np.float32, random_state=0))
    quantized, A = quantize(network), rows()
    for number in range(1, len(SIZES)):
        A = quantized_dense(A, *quantized.matrices[f"W_{number}"], quantized.blocks[f"b_{number}"])
        if number < len(SIZES) - 1:
            A = activation_forward(A, activation)
    assert_array_equal(quantized.forward(rows()), A)


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_every_activation(activation, dtype):
    network = with_biases(Network([20, 33, 3], activation, activation, dtype=dtype, random_state=0))
    quantized, X = quantize(network), rows(dtype=dtype)
    A = quantized.forward(X)
    assert A.dtype == np.float32
    # 1/255 of the range of a row and 1/127 of the largest weight, in sums of 20 and 33 terms: about 0.01 of the output;
    # exp in two places magnifies it
    share = 0.06 if activation == "exp" else 0.02
    for found, expected in (
        (A, network.forward(X)),
        (quantized.raw_prediction(X), network.raw_prediction(X)),
    ):
        assert_allclose(found, expected, atol=share * np.abs(expected).max() + 1e-3)


LAYERS = {
    "dropout": [Dropout(0.5), Dense(40, "relu"), Dropout(0.5)],
    "batch normalization": [Dense(40), BatchNorm(), Dense(40, "tanh")],
    "normalizations of rows": [LayerNorm(), Dense(40, "relu"), RMSNorm(), Dense(40)],
    "residual": [Dense(40, "relu"), Residual([Dense(40, "relu"), Dense(40)]), Scale()],
    "no bias": [Dense(40, use_bias=False), Dense(40, "gelu", use_bias=False)],
    "trained activations": [Dense(40, Prelu()), Dense(40, Blend())],
    "robust scale": [RobustScale(), Dense(40, "relu")],
    "bins": [PiecewiseLinear(8), Dense(40, "relu")],
    "read twice": [Residual([Dense(20, "tanh")]), Dense(40, "relu")],
}


@pytest.mark.parametrize("name", LAYERS)
def test_every_layer(name):
    X = rows()
    network = Network(layers=[*LAYERS[name], Dense(3)], n_features=20, random_state=0)
    network.adapt(X)
    # running statistics, slopes and the like that differ from their initial values
    rng = np.random.default_rng(0)
    for block_name, block in network.blocks.items():
        if block_name.startswith(("gamma", "mean", "variance", "s_", "slope", "gain")):
            block[...] *= rng.uniform(0.5, 1.5, block.shape)
    quantized = quantize(network)
    assert len(quantized.matrices) == sum(W.shape[0] >= 16 and W.shape[1] > 16 for W in network.coefs) > 0
    expected = network.forward(X)
    assert_allclose(quantized.forward(X), expected, atol=0.03 * np.abs(expected).max())
    assert np.abs(quantized.forward(X) - expected).max() > 0


def test_missing_numbers_and_codes_go_through_the_layers_that_take_them():
    X = rows()
    X[::3, 4] = np.nan
    network = Network(layers=[RobustScale(), Dense(40, "relu"), Dense(2)], n_features=20, random_state=0)
    network.adapt(X)
    quantized = quantize(network)
    assert quantized.accepts_missing
    assert_allclose(quantized.forward(X), network.forward(X), atol=0.05)
    codes = np.random.default_rng(0).integers(0, 4, (50, 6))
    network = Network(layers=[Embedding([4] * 6, 8), Dense(40, "relu"), Dense(2)], n_features=6, random_state=0)
    assert_allclose(quantize(network).forward(codes), network.forward(codes), atol=0.05)


def test_threads_and_the_division_of_rows_change_no_bit(monkeypatch):
    monkeypatch.setattr(fastbp.quantization.network, "STARTED_FLOPS_PER_THREAD", 1)
    network, X = Network(SIZES, "tanh", "softmax", "log_loss", dtype=np.float32, random_state=0), rows(3001)
    network.n_threads = 1
    expected = quantize(network).forward(X)
    for n_threads in (2, 3):
        network.n_threads = n_threads
        assert_array_equal(quantize(network).forward(X), expected)
    with ThreadPoolExecutor(3) as pool:
        quantized = quantize(network)
        for found in pool.map(quantized.forward, [X] * 6):
            assert_array_equal(found, expected)
    # the last vectors of rows of softmax are computed alike for any number of rows
    assert_array_equal(np.concatenate([quantized.forward(X[i : i + 7]) for i in range(0, 70, 7)]), expected[:70])
    monkeypatch.setattr(fastbp.kernels.slicing, "MOST_PREDICTION_ROWS", 32)
    assert_array_equal(quantize(network).forward(X), expected)


KINDS_OF_X = {
    "float64": lambda X: X.astype(np.float64),
    "columns": np.asfortranarray,
    "every other row": lambda X: np.repeat(X, 2, axis=0)[::2],
    "csr": sp.csr_array,
    "csc": sp.csc_matrix,
    "coo": sp.coo_array,
    "list": lambda X: X.tolist(),
}


@pytest.mark.parametrize("kind", KINDS_OF_X)
def test_every_kind_of_X(kind, monkeypatch):
    monkeypatch.setattr(fastbp.quantization.network, "DENSE_NUMBERS", 20 * 30)  # sparse: 30 rows at a time
    X = rows(100) * (rows(100) > 0)
    quantized = quantize(Network(SIZES, random_state=0))
    expected = quantized.forward(X)
    assert_array_equal(quantized.forward(KINDS_OF_X[kind](X)), expected)
    assert_array_equal(quantized.raw_prediction(KINDS_OF_X[kind](X)), expected)


@pytest.mark.parametrize("make", [np.asarray, sp.csr_array])
def test_no_rows(make):
    quantized = quantize(Network(SIZES, random_state=0))
    found = quantized.forward(make(np.empty((0, 20), np.float32)))
    assert (found.shape, found.dtype) == ((0, 17), np.float32)


def test_a_network_of_small_layers_only():
    network = Network([3, 5, 2], "tanh", dtype=np.float32, random_state=0)
    quantized = quantize(network)
    assert quantized.matrices == {}
    assert "8 bits in no layer" in repr(quantized)
    assert_array_equal(quantized.forward(rows(n_features=3)), network.forward(rows(n_features=3)))


def test_one_feature_and_one_output():
    network = Network([1, 40, 40, 1], "tanh", random_state=0)
    X = rows(n_features=1)
    assert_allclose(quantize(network).forward(X), network.forward(X), atol=0.02)


def test_the_network_may_be_trained_further():
    network = Network(SIZES, random_state=0)
    quantized = quantize(network)
    expected = quantized.forward(rows())
    network.params *= 2
    assert_array_equal(quantized.forward(rows()), expected)


def test_the_parameters_take_a_quarter():
    network = Network([784, 512, 256, 10], dtype=np.float32, initializer=None)
    network.params[...] = 0
    quantized = quantize(network)
    assert quantized.nbytes < 0.27 * network.params.nbytes
    assert quantized.forward(np.ones((2, 784), np.float32)).tolist() == [[0] * 10] * 2
    assert repr(quantized) == f"<QuantizedNetwork 784-512-256-10, 8 bits in W_1, W_2; {quantized.nbytes:,} bytes>"


def test_pickles():
    network = Network(layers=[Dense(40, "relu"), BatchNorm(), Dense(40), Dense(2)], n_features=20, random_state=0)
    quantized, X = quantize(network), rows()
    expected = quantized.forward(X)  # what is compiled for it is not in the pickle
    content = pickle.dumps(quantized)
    assert len(content) < quantized.nbytes + 3000
    again = pickle.loads(content)
    assert_array_equal(again.forward(X), expected)
    assert (again.layers, again.layer_sizes, again.n_features) == (quantized.layers, quantized.layer_sizes, 20)


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda state: state["matrices"].pop("W_2"), "these layers need matrices W_1, W_2, W_3"),
        (lambda state: state["blocks"].pop("b_1"), "and blocks"),
        (lambda state: state["matrices"]["W_1"][0].fill(-128), "W_1 must have weights of at least -127"),
        (lambda state: state["matrices"]["W_1"][1].fill(np.nan), "and finite scales of at least 0"),
        (lambda state: state["matrices"]["W_1"][1].fill(-1), "and finite scales of at least 0"),
        (
            lambda state: state["matrices"].update(W_1=(np.zeros((2, 2), np.int8),) * 3),
            "q of W_1 must be int8 of shape",
        ),
        (lambda state: state["blocks"].update(b_1=np.zeros(33)), "b_1 must be float32 of shape"),
    ],
)
def test_states_that_do_not_fit(edit, message):
    state = pickle.loads(pickle.dumps(quantize(Network(SIZES, random_state=0)).__getstate__()))
    edit(state)
    with pytest.raises(ValueError, match=message):
        object.__new__(QuantizedNetwork).__setstate__(state)


def test_errors():
    network = Network(SIZES, random_state=0)
    quantized = quantize(network)
    with pytest.raises(ValueError, match=r"X must have shape \(n, 20\) for this network, got \(3, 5\)"):
        quantized.forward(np.zeros((3, 5)))
    with pytest.raises(TypeError, match="X must hold real numbers"):
        quantized.forward([["a"] * 20])
    with pytest.raises(TypeError, match="network must be a Network of fastbp, got int"):
        QuantizedNetwork(3)
    for value in (np.nan, np.inf, 1e300):
        network.params[5] = value
        with pytest.raises(ValueError, match="not finite in float32"):
            quantize(network)


def test_rows_that_are_not_finite_stay_so():
    X = rows()
    X[3, 2], X[5, 7] = np.nan, np.inf
    for activation in ("relu", "tanh", "logistic"):
        A = quantize(Network(SIZES, activation, random_state=0)).forward(X)
        assert np.isnan(A[[3, 5]]).all()
        assert np.isfinite(np.delete(A, [3, 5], axis=0)).all()
