"""Weights of Keras become networks, which are compared with forward passes in NumPy."""

import importlib.util

import numpy as np
import pytest
from numpy.testing import assert_allclose

from fastbp import from_keras_weights
from fastbp.layers import BatchNorm, Dense, LayerNorm

RNG = np.random.default_rng(0)
X = RNG.normal(size=(9, 4))
KERNELS = [RNG.normal(size=shape) for shape in ((4, 6), (6, 5), (5, 3))]
BIASES = [RNG.normal(size=n) for n in (6, 5, 3)]
DENSE = [list(pair) for pair in zip(KERNELS, BIASES, strict=True)]
BATCH = [RNG.normal(size=6), RNG.normal(size=6), RNG.normal(size=6), RNG.uniform(0.5, 2, 6)]
LAYER = [RNG.normal(size=6), RNG.normal(size=6)]


def dense(x, number):
    return x @ KERNELS[number] + BIASES[number]


def batch(x, epsilon=1e-3):
    gamma, beta, mean, variance = BATCH
    return (x - mean) / np.sqrt(variance + epsilon) * gamma + beta


def layer(x):
    c = x - x.mean(axis=1, keepdims=True)
    return c / np.sqrt((c**2).mean(axis=1, keepdims=True) + 1e-3) * LAYER[0] + LAYER[1]


def relu(x):
    return np.maximum(x, 0)


def softmax(z):
    e = np.exp(z - z.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


@pytest.mark.parametrize("weights", [DENSE, [*DENSE[0], *DENSE[1], *DENSE[2]], [[], *DENSE, []], tuple(DENSE)])
def test_dense_layers(weights):
    expected = softmax(dense(np.tanh(dense(relu(dense(X, 0)), 1)), 2))
    network = from_keras_weights(weights, ["relu", "tanh"], "softmax", "log_loss")
    assert_allclose(network.forward(X), expected, rtol=1e-12)
    assert network.loss == "log_loss"


def test_without_biases():
    expected = relu(X @ KERNELS[0]) @ KERNELS[1]
    assert_allclose(from_keras_weights(KERNELS[:2]).forward(X), expected, rtol=1e-12)


@pytest.mark.parametrize("is_flat", [False, True])
@pytest.mark.parametrize(("norm", "function", "cls"), [(BATCH, batch, BatchNorm), (LAYER, layer, LayerNorm)])
def test_normalizations(is_flat, norm, function, cls):
    weights = [DENSE[0], norm, [], DENSE[1]]
    weights = [array for part in weights for array in part] if is_flat else weights
    with pytest.raises(ValueError, match="set activation_follows"):
        from_keras_weights(weights)
    before = from_keras_weights(weights, activation_follows="dense")
    assert_allclose(before.forward(X), dense(function(relu(dense(X, 0))), 1), rtol=1e-12)
    after = from_keras_weights(weights, activation_follows="normalization")
    assert_allclose(after.forward(X), dense(relu(function(dense(X, 0))), 1), rtol=1e-12)
    assert isinstance(after.layers[1], cls)


def test_batch_normalization_of_the_input():
    weights = [[array[:4] for array in BATCH], *DENSE[:2]]
    gamma, beta, mean, variance = weights[0]
    n = (X - mean) / np.sqrt(variance + 0.1) * gamma + beta
    for form in (weights, [array for part in weights for array in part]):
        network = from_keras_weights(form, "relu", epsilon=0.1, momentum=0.9)
        assert_allclose(network.forward(X), dense(relu(dense(n, 0)), 1), rtol=1e-12)
        assert network.layers[0].momentum == pytest.approx(0.1)


def test_dense_without_bias_and_batch_normalization():
    """A common pair, which the flat form does not tell from others."""
    weights = [[KERNELS[0]], BATCH, DENSE[1]]
    expected = dense(relu(batch(X @ KERNELS[0])), 1)
    assert_allclose(from_keras_weights(weights, activation_follows="normalization").forward(X), expected, rtol=1e-12)
    flat = [array for part in weights for array in part]
    with pytest.raises(ValueError, match=r"give \[layer\.get_weights\(\) for layer in model\.layers\]"):
        from_keras_weights(flat)


def test_prelu():
    slope = RNG.normal(size=6)
    z = dense(X, 0)
    network = from_keras_weights([DENSE[0], [slope], DENSE[1]], "prelu")
    assert_allclose(network.forward(X), dense(np.where(z > 0, z, slope * z), 1), rtol=1e-12)
    with pytest.raises(ValueError, match="name the activation 'prelu'"):
        from_keras_weights([DENSE[0], [slope], DENSE[1]])


def test_layers():
    weights = [DENSE[0], BATCH, DENSE[1]]
    layers = [Dense(6, "gelu"), BatchNorm(epsilon=0.2), Dense(5)]
    expected = from_keras_weights([DENSE[0], DENSE[1]], "gelu")
    network = from_keras_weights(weights, layers=layers)
    hidden = expected.part(0, 1).forward(X)
    assert_allclose(network.forward(X), dense(batch(hidden, 0.2), 1), rtol=1e-12)


def test_dtype():
    assert from_keras_weights([W.astype("f4") for W in KERNELS]).dtype == np.float32
    assert from_keras_weights(KERNELS, dtype="float32", n_threads=1).dtype == np.float32


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ([], "there must be a fully connected layer"),
        ([BATCH], "there must be a fully connected layer"),
        ([[np.ones((3, 3, 1, 8)), np.ones(8)]], "not those of a Dense"),
        ([np.ones((3, 3, 1, 8)), np.ones(8)], "it is not clear what the weights"),
        ([[KERNELS[0], BIASES[0], BIASES[0]]], "not those of a Dense"),
        ([DENSE[0], DENSE[2]], "does not fit"),
        ([[KERNELS[0], BIASES[1]], DENSE[1]], "does not fit"),
        ([*LAYER, *DENSE[0]], "2 vectors before the first matrix"),
        ([KERNELS[0], *LAYER, *DENSE[1]], "it is not clear what the weights"),
        ([DENSE[0], [BATCH[0], BATCH[1][:5]], DENSE[1]], "one length"),
        ([[np.full((4, 2), np.inf)]], "must be finite"),
    ],
)
def test_weights_that_are_refused(weights, message):
    with pytest.raises(ValueError, match=message):
        from_keras_weights(weights)


def test_types_that_are_refused():
    with pytest.raises(TypeError, match="weights must be a list of arrays"):
        from_keras_weights({"kernel": KERNELS[0]})
    with pytest.raises(TypeError, match=r"weights\[0\] must hold real numbers"):
        from_keras_weights([np.full((2, 2), "a")])


@pytest.fixture
def keras(monkeypatch):
    """Keras with PyTorch, where both are installed."""
    for name in ("keras", "torch"):
        if importlib.util.find_spec(name) is None:
            pytest.skip(f"could not import {name!r}")
    monkeypatch.setenv("KERAS_BACKEND", "torch")
    return importlib.import_module("keras")


@pytest.mark.filterwarnings("ignore")  # of Keras and its backend
@pytest.mark.parametrize("norm", [None, "BatchNormalization", "LayerNormalization"])
@pytest.mark.parametrize("name", ["relu", "tanh", "gelu", "silu", "elu", "selu", "softplus", "mish", "prelu"])
def test_as_keras_predicts(keras, name, norm):
    keras.utils.set_random_seed(0)
    activation = keras.layers.PReLU() if name == "prelu" else keras.layers.Activation(name)
    norms = [] if norm is None else [getattr(keras.layers, norm)()]
    hidden = [keras.layers.Dense(8), *norms, activation, keras.layers.Dropout(0.5)]
    model = keras.Sequential([keras.Input((4,)), *hidden, keras.layers.Dense(3, activation="softmax")])
    rows = X.astype("f4")
    model.compile(optimizer="sgd", loss="mse")
    model.fit(rows, np.zeros((9, 3)), epochs=2, verbose=0)  # running statistics
    weights = [layer.get_weights() for layer in model.layers]
    network = from_keras_weights(weights, name, "softmax", activation_follows="normalization")
    assert_allclose(network.forward(rows), model.predict(rows, verbose=0), rtol=1e-5, atol=1e-6)
