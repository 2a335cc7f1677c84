"""Network: the layout of its parameters, and the gradient of every loss; `network.py`."""

import pickle

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

import fastbp.network
import reference
from fastbp import Network
from fastbp.kernels.slicing import GRADIENT_ROWS
from network_cases import HIDDEN, PAIRS, SIZES, problem


def twin(network, X, y, weight=None):
    """(loss, flat gradient) by the recursion for the deltas, in float64."""
    coefs, intercepts = ([w.astype(np.float64) for w in arrays] for arrays in (network.coefs, network.intercepts))
    loss, dW, db = reference.loss_and_gradient(
        coefs,
        intercepts,
        np.asarray(X, np.float64),
        y,
        activations=network.activations,
        loss=network.kernel_loss,
        alpha=network.alpha,
        sample_weight=weight,
    )
    return loss, np.concatenate([g.ravel() for g in [*dW, *db]])


def differences(network, X, y, weight=None):
    """The gradient by finite differences of the network's own loss."""

    def loss(params):
        moved = network.copy()
        moved.params = params
        return moved.loss_and_gradient(X, y, weight)[0]

    return reference.finite_difference(loss, network.params.copy())


# Layout


def test_networks_of_the_same_layers_share_the_graph_only():
    first = Network(SIZES, "tanh", "softmax", "log_loss", random_state=0)
    again = Network(list(SIZES), ["tanh", "tanh"], "softmax", "log_loss", random_state=1, dtype=np.float32)
    assert again.graph is first.graph
    assert not np.shares_memory(again.params, first.params)
    assert (again.params != first.params).all()
    others = [
        Network(SIZES, "relu", "softmax", "log_loss"),
        Network(SIZES, "tanh", "logistic", "log_loss"),
        Network(SIZES[1:], "tanh", "softmax", "log_loss"),
        Network(layers=first.layers, n_features=SIZES[0], output_activation="softmax", loss="log_loss"),
    ]
    assert all(other.graph is not first.graph for other in others)


def test_layout():
    network = Network(SIZES, random_state=0)
    assert network.layer_sizes == SIZES
    assert network.n_params == 4 * 5 + 5 * 3 + 3 * 2 + 5 + 3 + 2 == len(network.params)
    assert [W.shape for W in network.coefs] == [(4, 5), (5, 3), (3, 2)]
    assert [b.shape for b in network.intercepts] == [(5,), (3,), (2,)]
    flat = np.concatenate([w.ravel() for w in network.coefs + network.intercepts])
    assert_array_equal(flat, network.params)
    coefs, intercepts = network.split(np.arange(network.n_params))
    assert_array_equal(np.concatenate([w.ravel() for w in coefs + intercepts]), np.arange(network.n_params))


def test_coefs_and_intercepts_are_views():
    network = Network(SIZES, random_state=0)
    network.params[...] = np.arange(network.n_params)
    assert network.coefs[1][0, 0] == 20
    network.intercepts[-1][1] = -7
    assert network.params[-1] == -7
    assert all(np.shares_memory(w, network.params) for w in network.coefs + network.intercepts)


def test_assignment_to_params_copies():
    network, values = Network(SIZES, dtype=np.float32, random_state=0), np.arange(51.0)
    params = network.params
    network.params = values
    assert network.params is params
    assert network.coefs[0][0, 1] == 1
    values[1] = 9
    assert network.coefs[0][0, 1] == 1
    network.params -= 1
    assert network.coefs[0][0, 1] == 0
    with pytest.raises(ValueError, match=r"params must have shape \(51,\), got \(50,\)"):
        network.params = values[1:]


def test_initial_parameters():
    network, same, other = (Network([30, 40, 50], random_state=seed) for seed in (1, 1, 2))
    assert_array_equal(network.params, same.params)
    assert (network.params != other.params).all()
    # Glorot and Bengio (2010): within sqrt(6 / (fan_in + fan_out)), and about as wide
    for W, b in zip(network.coefs, network.intercepts, strict=True):
        bound = np.sqrt(6 / sum(W.shape))
        assert 0.98 * bound < np.abs(W).max() <= bound
        assert np.abs(b).max() <= bound


# Gradient


@pytest.mark.parametrize("hidden", HIDDEN)
def test_hidden_activation(hidden):
    X, y, weight = problem("squared_error")
    network = Network(SIZES, hidden, alpha=0.1, random_state=3)
    loss, gradient = network.loss_and_gradient(X, y, weight)
    expected_loss, expected_gradient = twin(network, X, y, weight)
    # a few dozen roundings of numbers of order one
    assert_allclose(loss, expected_loss, rtol=1e-13)
    assert_allclose(gradient, expected_gradient, rtol=1e-11, atol=1e-13)
    # central differences: eps^2 = 1e-12 of curvature, 1e-16 / 1e-6 of rounding
    assert_allclose(gradient, differences(network, X, y, weight), rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("container", [np.asarray, sp.csr_array, sp.csc_matrix])
@pytest.mark.parametrize(("output", "loss"), PAIRS)
def test_output_and_loss(output, loss, container):
    X, y, weight = problem(loss)
    network = Network(SIZES, ("tanh", "gelu"), output, loss, alpha=0.1, random_state=1)
    if output in ("relu", "leaky_relu", "elu", "selu"):
        network.intercepts[-1][...] = 3  # off the kink
    found = network.loss_and_gradient(container(X), y, weight)
    for actual, expected in zip(found, twin(network, X, y, weight), strict=True):
        assert_allclose(actual, expected, rtol=1e-11, atol=1e-13)
    assert_allclose(found[1], differences(network, X, y, weight), rtol=1e-6, atol=1e-8)
    A, _ = reference.forward(network.coefs, network.intercepts, X, network.activations)
    assert_allclose(network.forward(container(X)), A[-1], rtol=1e-13, atol=1e-14)


@pytest.mark.parametrize(("output", "loss"), PAIRS)
def test_float32(output, loss):
    X, y, weight = problem(loss)
    network = Network(SIZES, "tanh", output, loss, alpha=0.1, dtype=np.float32, random_state=1)
    value, gradient = network.loss_and_gradient(X, y, weight)
    assert network.forward(X).dtype == gradient.dtype == np.float32
    expected_value, expected_gradient = twin(network, X, y, weight)
    # some dozen roundings of 6e-8
    assert_allclose(value, expected_value, rtol=1e-5)
    assert_allclose(gradient, expected_gradient, rtol=1e-4, atol=1e-6 * np.abs(expected_gradient).max())


def test_without_penalty_and_weights():
    X, y, _ = problem("squared_error")
    network = Network(SIZES, "tanh", random_state=0)
    loss, gradient = network.loss_and_gradient(X, y)
    assert_allclose(loss, ((network.forward(X) - y) ** 2).sum() / 2 / len(X), rtol=1e-14)
    assert_allclose(gradient, twin(network, X, y)[1], rtol=1e-11, atol=1e-14)


@pytest.mark.parametrize("sparse", [False, True])
def test_more_rows_than_a_slice(sparse, monkeypatch):
    n = 2 * GRADIENT_ROWS + 37
    X, y, weight = problem("log_loss", n)
    network = Network(SIZES, "silu", "softmax", "log_loss", alpha=0.2, random_state=0)
    data = sp.csr_array(X) if sparse else X
    outputs, (loss, gradient) = network.forward(data), network.loss_and_gradient(data, y, weight)
    for actual, expected in zip((loss, gradient), twin(network, X, y, weight), strict=True):
        # sums over 1,061 rows
        assert_allclose(actual, expected, rtol=1e-10, atol=1e-13)
    # as one slice: rows are independent, and only the order of the sums over them is another
    monkeypatch.setattr(fastbp.kernels.slicing, "GRADIENT_ROWS", n)
    assert_array_equal(network.forward(data), outputs)
    assert_allclose(network.loss_and_gradient(data, y, weight)[1], gradient, rtol=1e-10, atol=1e-13)


@pytest.mark.parametrize("dtype", [np.int64, np.int8, np.uint16])
@pytest.mark.parametrize("loss", ["log_loss", "squared_error"])
def test_class_numbers(dtype, loss):
    X, y, weight = problem("log_loss")
    network = Network(SIZES, output_activation="softmax", loss=loss, random_state=0)
    labels = y.argmax(axis=1).astype(dtype)
    for actual, expected in zip(
        network.loss_and_gradient(X, labels, weight), network.loss_and_gradient(X, y, weight), strict=True
    ):
        assert_array_equal(actual, expected)


def test_a_repeated_row_is_a_row_of_weight_two():
    X, y, _ = problem("squared_error")
    network = Network(SIZES, "tanh", alpha=0.3, random_state=0)
    repeated = network.loss_and_gradient(np.vstack([X, X[:2]]), np.vstack([y, y[:2]]))
    weighted = network.loss_and_gradient(X, y, np.array([2, 2, 1, 1, 1, 1]))
    for actual, expected in zip(repeated, weighted, strict=True):
        assert_allclose(actual, expected, rtol=1e-12, atol=1e-14)


def test_loss_beyond_the_range_of_numbers():
    X, y, _ = problem("squared_error")
    network = Network(SIZES, random_state=0)
    loss, gradient = network.loss_and_gradient(X, np.full_like(y, np.inf))
    assert loss == np.inf
    assert np.isnan(gradient).all()


def test_gradient_descent_reduces_the_loss():
    X, _, _ = problem("squared_error", 50)
    y = np.sin(X[:, :2])
    network = Network([4, 20, 2], "tanh", random_state=0)
    losses = []
    for _ in range(200):
        loss, gradient = network.loss_and_gradient(X, y)
        network.params -= 0.05 * gradient
        losses.append(loss)
    # a small step down the gradient never goes up, and two hundred of them go far
    assert (np.diff(losses) < 0).all()
    assert losses[-1] < losses[0] / 4


@settings(deadline=None, max_examples=60, derandomize=True)
@given(data=st.data())
def test_any_network(data):
    draw = data.draw
    sizes = draw(st.lists(st.integers(1, 18), min_size=2, max_size=4))
    output, loss = draw(st.sampled_from(PAIRS))
    hidden = [draw(st.sampled_from(HIDDEN)) for _ in sizes[2:]]
    dtype, n = draw(st.sampled_from([np.float32, np.float64])), draw(st.integers(1, 20))
    order, sparse = draw(st.sampled_from("CF")), draw(st.booleans())
    X, y, weight = problem(loss, n, sizes[0], sizes[-1], seed=draw(st.integers(0, 99)))
    network = Network(sizes, hidden, output, loss, alpha=0.1, dtype=dtype, random_state=draw(st.integers(0, 99)))
    weight = weight if draw(st.booleans()) and weight.any() else None
    X = X.astype(dtype)
    given_X = sp.csr_array(X) if sparse else np.asarray(X, order=order)
    value, gradient = network.loss_and_gradient(given_X, np.asarray(y, order=order), weight)
    expected_value, expected_gradient = twin(network, X, y, weight)
    # up to 18 terms in three layers: a hundred roundings; gradients are sums of terms as large as the largest
    eps = np.finfo(dtype).eps
    scale = max(1.0, np.abs(expected_gradient).max())
    assert_allclose(value, expected_value, rtol=200 * eps, atol=200 * eps)
    assert_allclose(gradient, expected_gradient, rtol=0, atol=500 * eps * scale)


# The raw prediction


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("output", ["softmax", "logistic", "exp", "identity"])
def test_raw_prediction(output, dtype):
    network = Network(SIZES, "tanh", output, dtype=dtype, random_state=0)
    linear = Network(SIZES, "tanh", "identity", dtype=dtype, random_state=0)
    X = problem("squared_error", n=70)[0]
    raw = network.raw_prediction(X)
    assert raw.dtype == dtype
    assert_array_equal(raw, linear.forward(X))
    assert_array_equal(network.raw_prediction(sp.csr_array(X)), linear.forward(sp.csr_array(X)))
    network.params *= 2
    linear.params *= 2
    for same in (network, network.copy(), network.with_loss("squared_error"), pickle.loads(pickle.dumps(network))):
        assert_array_equal(same.raw_prediction(X), linear.forward(X))
    with pytest.raises(ValueError, match=r"X must have shape \(n, 4\)"):
        network.raw_prediction(X[:, 1:])


def test_copies_have_a_raw_prediction_of_their_own():
    network = Network(SIZES, output_activation="softmax", random_state=0)
    X = problem("squared_error")[0]
    before = network.raw_prediction(X)
    other = network.copy()
    other.params[:] = 0
    assert not other.raw_prediction(X).any()
    assert_array_equal(network.raw_prediction(X), before)


# Initial parameters


@pytest.mark.parametrize("sizes", [(4, 2), (4, 5, 2)])
def test_the_activation_decides_the_bound_of_every_layer(sizes):
    relu, logistic = (Network(sizes, name, random_state=0) for name in ("relu", "logistic"))
    assert_allclose(logistic.params * np.sqrt(3), relu.params, rtol=1e-13)
    again = logistic.copy()
    again.initialize(0)
    assert_array_equal(again.params, logistic.params)


def test_the_name_of_the_activation_is_checked_without_hidden_layers():
    with pytest.raises(ValueError, match="activation"):
        Network((4, 2), "rellu")
    assert Network((4, 2), ()).activations == ("identity",)


def test_a_generator_is_drawn_from():
    generator, twin = np.random.default_rng(3), np.random.default_rng(3)
    first, second = (Network(SIZES, random_state=generator) for _ in range(2))
    legacy = np.random.RandomState(twin.bit_generator)
    for network in (first, second):
        assert_array_equal(network.params, Network(SIZES, random_state=legacy).params)
    assert (first.params != second.params).all()
    assert generator.random() == twin.random()
