"""Networks of layers beside their twins: loss, gradient, derivatives and epochs of training."""

import functools

import numpy as np
import pytest
import scipy.sparse as sp
from numpy.testing import assert_allclose, assert_array_equal

import fastbp.derivatives
import fastbp.kernels.slicing
import fastbp.network
import fastbp.threads
import reference
from fastbp import Network
from fastbp.data import make_data
from fastbp.kernels.training import COMPLETED
from fastbp.layers import Activation, Dense
from fastbp.optimizers import SGD, Adam
from fastbp.training import OptimizerState
from graph_reference import GraphTwin
from layer_cases import SMOOTH, STACKS, random_stack

both_dtypes = pytest.mark.parametrize("dtype", [np.float32, np.float64], ids=["float32", "float64"])
every_stack = pytest.mark.parametrize("stack", [name for name in STACKS if name not in ("wide", "table")])


def make(stack, **params):
    """A network whose biases and scales are not all alike."""
    n_features, layers = STACKS[stack] if isinstance(stack, str) else stack
    network = Network(layers=layers, n_features=n_features, random_state=0, **params)
    network.params += 0.1 * np.random.default_rng(1).normal(size=network.n_params).astype(network.dtype)
    return network


def problem(network, n=13, seed=0):
    """X with zeros in it, y, and sample weights of which one is zero."""
    rng = np.random.default_rng(seed)
    X, y = rng.normal(size=(n, network.graph.n_features)), rng.normal(size=(n, network.n_outputs))
    X[rng.random(X.shape) < 0.4] = 0
    weight = rng.uniform(0.5, 2, n)
    weight[1] = 0
    return X.astype(network.dtype), y.astype(network.dtype), weight


def close(found, expected, dtype, factor=1.0):
    """Within some thousand roundings of the largest number: a deep stack passes on, and may magnify, what each layer
    rounds."""
    atol = 2000 * np.finfo(dtype).eps * max(1.0, np.abs(expected).max()) * factor
    assert_allclose(found, expected, rtol=0, atol=atol)


def check_derivatives(network, n=13, modes=("forward", "reverse")):
    X, y, weight = problem(network, n)
    twin, dtype, rng = GraphTwin(network.graph, network.params), network.dtype, np.random.default_rng(5)
    u, v = (rng.normal(size=(n, width)).astype(dtype) for width in (X.shape[1], network.n_outputs))
    direction = rng.normal(size=network.n_params).astype(dtype)
    close(network.forward(X), twin.output(X), dtype)
    close(network.vjp(X, v), twin.vjp(X, v), dtype)
    close(network.jvp(X, u), twin.jvp(X, u), dtype)
    for mode in modes:
        close(network.jacobian(X, mode), twin.jacobian(X), dtype)
    grads, gradient = twin.pull(twin.forward(X), v)
    for found, expected in zip(network.backward(X, v), (gradient, grads[0]), strict=True):
        close(found, expected, dtype)
    for sample_weight in (None, weight):
        objective = dict(loss=network.kernel_loss, alpha=network.alpha, sample_weight=sample_weight)
        loss, gradient, dX = twin.loss_and_gradient(X, y, **objective)
        found_loss, found = network.loss_and_gradient(X, y, sample_weight)
        close(found_loss, loss, dtype)
        close(found, gradient, dtype)
        close(network.input_gradient(X, y, sample_weight), dX, dtype)
        close(network.hvp(X, y, direction, sample_weight), twin.hvp(X, y, direction, **objective), dtype, 10)


@both_dtypes
@every_stack
def test_twin(stack, dtype):
    check_derivatives(make(stack, dtype=dtype, alpha=0.3))


@pytest.mark.parametrize("seed", range(40))
def test_twins_of_random_stacks(seed):
    check_derivatives(make(random_stack(seed), alpha=0.1), n=7)


@both_dtypes
def test_twin_of_wide_layers(dtype):
    check_derivatives(make("wide", dtype=dtype), 77, modes=[])


@pytest.mark.parametrize(
    ("output_activation", "loss"),
    [(name, loss) for name in ("logistic", "softmax") for loss in ("squared_error", "log_loss", "poisson")]
    + [("softplus", "squared_error"), ("softplus", "poisson"), ("exp", "poisson")],
)
def test_twins_of_losses(output_activation, loss):
    network = make("residual", output_activation=output_activation, loss=loss, alpha=0.2)
    X, y, weight = problem(network, 9)
    y = np.eye(network.n_outputs)[np.arange(9) % network.n_outputs]
    objective = dict(loss=network.kernel_loss, alpha=0.2, sample_weight=weight)
    twin = GraphTwin(network.graph, network.params)
    expected, gradient, dX = twin.loss_and_gradient(X, y, **objective)
    direction = np.random.default_rng(0).normal(size=network.n_params)
    loss, found = network.loss_and_gradient(X, y, weight)
    close(loss, expected, np.float64)
    close(found, gradient, np.float64)
    close(network.input_gradient(X, y, weight), dX, np.float64)
    close(network.hvp(X, y, direction, weight), twin.hvp(X, y, direction, **objective), np.float64, 10)


@pytest.mark.parametrize("stack", ["residual", "activations in a row", "nested"])
def test_finite_differences(stack):
    width, layers = STACKS[stack]
    layers = [Dense(layer.units, "tanh") if isinstance(layer, Dense) else layer for layer in layers]
    network = make((width, layers), alpha=0.3)
    X, y, weight = problem(network)
    params, gradient = network.params.copy(), network.loss_and_gradient(X, y, weight)[1]

    def loss(moved):
        network.params = moved
        return network.loss_and_gradient(X, y, weight)[0]

    assert_allclose(gradient, reference.finite_difference(loss, params), rtol=1e-6, atol=1e-8)


# The same bits


@pytest.fixture
def shared(monkeypatch):
    """Small amounts of work are shared too; gives monkeypatch."""
    for module in (fastbp.network, fastbp.derivatives):
        monkeypatch.setattr(module, "STARTED_FLOPS_PER_THREAD", 1)
    monkeypatch.setattr(fastbp.threads, "FLOPS_PER_THREAD", 1)
    return monkeypatch


def epochs(network, X, y, weight=None, optimizer=None, batch_size=150, rates=(0.01, 0.01, 0.005), seed=3, n_threads=1):
    """The losses of some epochs."""
    data = make_data(X, y, weight, network.n_outputs, network.dtype)
    state = OptimizerState(optimizer or Adam(), network.n_params, network.dtype)
    loop = network.training_loop(data, batch_size, indexed=seed is not None, n_threads=n_threads)
    losses = np.full(len(rates), np.nan)
    rows = None if seed is None else np.arange(data.n_rows)
    random_state = None if seed is None else np.random.RandomState(seed)
    state.attach(loop, network.alpha)
    status = loop.train(rows, random_state, 1.0, np.array(rates), losses)[1]
    assert status == COMPLETED
    return losses, loop


@both_dtypes
@pytest.mark.parametrize("seed", [None, 3], ids=["slices", "gathered"])
@pytest.mark.parametrize("stack", ["nested", "activations in a row", "vectors", "slots", "wide", "columns", "table"])
def test_any_number_of_threads_gives_the_same_bits(stack, seed, dtype, shared):
    results = []
    for n_threads in (1, 2, 3):
        network = make(stack, dtype=dtype, alpha=0.2, n_threads=n_threads)
        X, y, weight = problem(network, 203)
        losses, _ = epochs(network, X, y, weight, seed=seed, n_threads=n_threads)
        direction = np.cos(np.arange(network.n_params)).astype(dtype)
        results.append(
            [
                network.params,
                losses,
                network.forward(X),
                network.loss_and_gradient(X, y, weight)[1],
                network.hvp(X, y, direction, weight),
                network.vjp(X, y),
            ]
        )
    for result in results[1:]:
        for found, first in zip(result, results[0], strict=True):
            assert_array_equal(found, first)


@both_dtypes
@pytest.mark.parametrize("stack", ["nested", "narrow", "slots", "wide", "columns"])
def test_a_batch_in_slices_is_the_batch(stack, dtype, monkeypatch):
    whole = make(stack, dtype=dtype, alpha=0.2)
    X, y, weight = problem(whole, 203)
    expected, loop = epochs(whole, X, y, weight)
    assert loop.plan.capacity == 150
    monkeypatch.setattr(fastbp.kernels.slicing, "LARGEST_STEP", 0)
    monkeypatch.setattr(fastbp.kernels.slicing, "SLICE_COST", 0)
    monkeypatch.setattr(fastbp.kernels.slicing, "FEWEST_SLICE_ROWS", 20)
    network = make(stack, dtype=dtype, alpha=0.2)
    losses, loop = epochs(network, X, y, weight)
    assert loop.plan.capacity < 30
    rtol = 1e-9 if dtype == np.float64 else 1e-3
    assert_allclose(losses, expected, rtol=rtol)
    assert_allclose(network.params, whole.params, rtol=rtol, atol=rtol)


@both_dtypes
@pytest.mark.parametrize("stack", ["residual", "no bias", "slots", "wide"])
def test_a_sparse_X_gives_what_a_dense_one_gives(stack, dtype):
    results = []
    for container in (np.asarray, sp.csr_array):
        network = make(stack, dtype=dtype, alpha=0.2)
        X, y, weight = problem(network, 150)
        X = container(X)
        outputs = [network.forward(X), *network.loss_and_gradient(X, y, weight), network.vjp(X, y)]
        losses, _ = epochs(network, X, y, weight)
        results.append([*outputs, losses, network.params])
    rtol = 1e-9 if dtype == np.float64 else 2e-3
    for found, expected in zip(*results, strict=True):
        assert_allclose(found, expected, rtol=rtol, atol=rtol)


@pytest.mark.parametrize("work", ["forward", "loss_and_gradient"])
@pytest.mark.parametrize(("stack", "layer"), [("residual of the input", "Residual"), ("scale of the input", "Scale")])
def test_a_sparse_X_that_other_layers_read(stack, layer, work):
    network = make(stack)
    X, y, _ = problem(network)
    match = rf"a sparse X can be read by Dense layers only, and here {layer} reads it too; use X\.toarray\(\)"
    with pytest.raises(ValueError, match=match):
        getattr(network, work)(sp.csr_array(X), *([] if work == "forward" else [y]))


# Epochs


ADAM = dict(beta_1=0.8, beta_2=0.95, epsilon=1e-6)
#: name: (optimizer, twin)
OPTIMIZERS = {
    "sgd": (SGD(momentum=0.8), functools.partial(reference.sgd_update, momentum=0.8)),
    "adam": (Adam(**ADAM), functools.partial(reference.adam_update, **ADAM)),
}


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("stack", ["residual", "activations in a row", "scale alone", "slots", "groups", "columns"])
@pytest.mark.parametrize("batch_size", [7, 200])
def test_textbook_training(stack, optimizer, batch_size):
    network = make(stack, alpha=0.3)
    X, y, weight = problem(network, 200)
    weight += 0.1
    twin, (ours, theirs) = GraphTwin(network.graph, network.params), OPTIMIZERS[optimizer]
    rates = (0.02, 0.02, 0.01)
    losses, _ = epochs(network, X, y, weight, ours, batch_size, rates)
    expected = twin.train(
        X,
        y,
        update=theirs,
        rates=rates,
        batch_size=batch_size,
        loss="squared_error",
        alpha=0.3,
        sample_weight=weight,
        random_state=np.random.RandomState(3),
    )
    # up to 87 steps pass on roundings of 1e-15 each; Adam divides by sqrt(v), which may be near 0
    assert_allclose(losses, expected, rtol=1e-8)
    assert_allclose(network.params, twin.params, rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("seed", range(8))
def test_textbook_training_of_random_stacks(seed):
    network = make(random_stack(seed, SMOOTH), alpha=0.1)
    X, y, _ = problem(network, 70)
    twin = GraphTwin(network.graph, network.params)
    losses, _ = epochs(network, X, y, None, OPTIMIZERS["sgd"][0], 16, (0.01, 0.01))
    expected = twin.train(
        X,
        y,
        update=OPTIMIZERS["sgd"][1],
        rates=(0.01, 0.01),
        batch_size=16,
        loss="squared_error",
        alpha=0.1,
        random_state=np.random.RandomState(3),
    )
    assert_allclose(losses, expected, rtol=1e-8)
    assert_allclose(network.params, twin.params, rtol=1e-7, atol=1e-9)


def test_a_function_as_loss():
    def half_squared_error(y_true, raw_prediction, sample_weight=None):
        weight = np.ones(len(y_true)) if sample_weight is None else sample_weight
        error = raw_prediction - y_true
        return weight * (error**2).sum(axis=1) / 2, weight[:, None] * error

    for stack in ("residual", "residual at the end", "activation before a dense layer"):
        network, other = make(stack, alpha=0.2), make(stack, alpha=0.2, loss=half_squared_error)
        X, y, weight = problem(network, 50)
        close(other.loss_and_gradient(X, y, weight)[1], network.loss_and_gradient(X, y, weight)[1], np.float64)
        close(other.input_gradient(X, y, weight), network.input_gradient(X, y, weight), np.float64)
        for each in (network, other):
            epochs(each, X, y, weight, batch_size=16)
        assert_allclose(other.params, network.params, rtol=1e-9, atol=1e-12)
        with pytest.raises(ValueError, match="hvp needs the second derivative of the loss"):
            other.hvp(X, y, other.params)


def test_an_activation_layer_at_the_end_is_the_output_activation():
    layers = [Dense(5, "tanh"), Dense(3)]
    ends = [layers, [*layers, Activation("softmax")], [*layers[:-1], Dense(3, "softmax")]]
    outputs = ("softmax", "identity", "identity")
    networks = [
        make((4, end), loss="log_loss", output_activation=output) for end, output in zip(ends, outputs, strict=True)
    ]
    X, _, _ = problem(networks[0])
    y = np.arange(len(X)) % 3
    results = [[network.forward(X), network.loss_and_gradient(X, y)[1]] for network in networks]
    for result in results[1:]:
        for found, expected in zip(result, results[0], strict=True):
            assert_array_equal(found, expected)
