"""Dropout in training, beside its twin; `kinds/dropout.h`."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import fastbp.kernels.slicing
import fastbp.threads
import reference
from fastbp import Network
from fastbp.data import make_data
from fastbp.kernels.program import DERIVATIVES, INSPECTION, PREDICTION, Program
from fastbp.layers import Activation, Dense, Dropout, Residual, Scale
from fastbp.optimizers import SGD
from fastbp.training import OptimizerState
from graph_reference import GraphTwin

both_dtypes = pytest.mark.parametrize("dtype", [np.float32, np.float64], ids=["float32", "float64"])
N_ROWS = 203
#: the second is cut into tiles of columns; widths are no multiple of a vector or of the factors made at a time
STACKS = {
    "small": [
        Dropout(0.3),
        Dense(9, "tanh"),
        Dropout(0.5),
        Residual([Scale(0.5), Dropout(0.25), Dense(9, "gelu"), Dropout(0.125)]),
        Dropout(0.1),
        Activation("tanh"),
        Dense(2),
    ],
    "wide": [Dense(230, "relu"), Dropout(0.2), Residual([Dropout(0.4), Dense(230, "silu")]), Dense(2)],
    "at the end": [Dense(7, "tanh"), Dense(2), Dropout(0.5)],
    "the input, twice": [Residual([Dropout(0.5)]), Dense(2)],
}
every_stack = pytest.mark.parametrize("stack", STACKS)


def make(stack="small", dtype=np.float64, **params):
    n_features = 131 if stack == "wide" else 6
    return Network(layers=STACKS[stack], n_features=n_features, dtype=dtype, random_state=0, **params)


def problem(network):
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(N_ROWS, network.graph.n_features)), rng.normal(size=(N_ROWS, 2))
    return X.astype(network.dtype), y.astype(network.dtype)


def epochs(network, seed=7, batch_size=64, n_epochs=2, n_threads=1, n_steps=0):
    """The losses of some epochs of gradient descent, and the loop."""
    X, y = problem(network)
    data = make_data(X, y, None, 2, network.dtype)
    loop = network.training_loop(data, batch_size, n_threads=n_threads, training=True)
    state, losses = OptimizerState(SGD(momentum=0.0), network.n_params, network.dtype), np.empty(n_epochs)
    state.seed, state.n_steps = seed, n_steps
    state.attach(loop, network.alpha)
    loop.train(None, None, 1.0, np.full(n_epochs, 0.05), losses)
    return losses, loop


@both_dtypes
@every_stack
def test_training_and_its_twin(stack, dtype):
    network, seed = make(stack, dtype, alpha=0.1), 2**64 - 5
    twin = GraphTwin(network.training_graph, network.params, seed)
    losses, _ = epochs(network, seed)
    expected = twin.train(
        *problem(network),
        update=lambda g, w, state, t, learning_rate: (w - learning_rate * g, state),
        rates=[0.05] * 2,
        batch_size=64,
        loss="squared_error",
        alpha=0.1,
    )
    tolerance = 1e-10 if dtype == np.float64 else 1e-4  # some thousand roundings
    assert_allclose(losses, expected, rtol=tolerance)
    assert_allclose(network.params, twin.params, rtol=tolerance, atol=tolerance)


@both_dtypes
@every_stack
def test_gradient_against_finite_differences(stack, dtype):
    # the masks of one step, in the gradient of all rows; the differences are those of the same network in float64
    network = make(stack, dtype)
    rng, eps = np.random.default_rng(1), 1e-6

    def loss_and_gradient(network):
        X, y = problem(network)
        loop = network.training_loop(make_data(X, y, None, 2, network.dtype), N_ROWS, training=True)
        loop.plan.seed, gradient = 3, np.empty(network.n_params, network.dtype)
        return loop.loss_and_gradient(gradient), gradient

    _, gradient = loss_and_gradient(network)
    twice = network.astype(np.float64)
    direction, start = rng.normal(size=network.n_params), twice.params.copy()
    losses = []
    for sign in (1, -1):
        twice.params = start + sign * eps * direction
        losses.append(loss_and_gradient(twice)[0])
    size = np.linalg.norm(gradient) * np.linalg.norm(direction)
    difference = (losses[0] - losses[1]) / (2 * eps)
    assert abs(gradient @ direction - difference) < (1e-7 if dtype == np.float64 else 1e-5) * size
    assert abs(gradient @ direction) > 1e-4 * size


@both_dtypes
@every_stack
def test_any_number_of_threads_gives_the_same_bits(stack, dtype, monkeypatch):
    monkeypatch.setattr(fastbp.threads, "FLOPS_PER_THREAD", 1)
    networks = [make(stack, dtype) for _ in range(3)]
    losses = [epochs(network, n_threads=i + 1)[0] for i, network in enumerate(networks)]
    for i in (1, 2):
        assert_array_equal(networks[i].params, networks[0].params)
        assert_array_equal(losses[i], losses[0])


@both_dtypes
@pytest.mark.parametrize("stack", ["small", "wide"])
def test_a_batch_in_slices_has_the_same_masks(stack, dtype, monkeypatch):
    whole = make(stack, dtype)
    expected, loop = epochs(whole, batch_size=150)
    assert loop.plan.capacity == 150
    for name, value in (("LARGEST_STEP", 0), ("SLICE_COST", 0), ("FEWEST_SLICE_ROWS", 20)):
        monkeypatch.setattr(fastbp.kernels.slicing, name, value)
    network = make(stack, dtype)
    losses, loop = epochs(network, batch_size=150)
    assert loop.plan.capacity < 30
    rtol = 1e-9 if dtype == np.float64 else 1e-3  # the sums have another order
    assert_allclose(losses, expected, rtol=rtol)
    assert_allclose(network.params, whole.params, rtol=rtol, atol=rtol)


def test_the_mask_depends_on_seed_and_step():
    params = [make().params]
    for seed, n_steps in ((7, 0), (8, 0), (7, 1), (7, 4)):
        network = make()
        epochs(network, seed, n_epochs=1, n_steps=n_steps)
        assert all((network.params != other).any() for other in params)
        params.append(network.params)


def test_masks_are_random():
    shape, rate = (400, 500), 0.3
    masks = np.array(
        [
            reference.dropout_factors(seed, step, operation, *shape, rate) == 0
            for seed in (0, 1)
            for step in (1, 2)
            for operation in (0, 1)
        ]
    )
    # shares of 200,000 numbers, and of 400 or 500, within five standard deviations
    deviation = np.sqrt(rate * (1 - rate))
    assert abs(masks.mean(axis=(1, 2)) - rate).max() < 5 * deviation / 200_000**0.5
    assert abs(masks.mean(axis=1) - rate).max() < 5 * deviation / 400**0.5
    assert abs(masks.mean(axis=2) - rate).max() < 5 * deviation / 500**0.5
    # products of two masks, of neighbours in a row and in a column
    centred = masks - rate
    pairs = [(centred[:, 1:] * centred[:, :-1]), (centred[..., 1:] * centred[..., :-1])]
    pairs += [centred[i] * centred[k] for i in range(8) for k in range(i)]
    for product in pairs:
        assert abs(product.mean()) < 5 * deviation**2 / product.size**0.5


def test_other_programs_have_no_dropout():
    network = make()
    assert network.has_dropout
    assert {op.kind for op in network.graph.operations} == {"dense", "activation", "add", "scale"}
    assert network.graph.n_params == network.training_graph.n_params
    for purpose in (PREDICTION, DERIVATIVES, INSPECTION):
        with pytest.raises(ValueError, match=f"a program for {purpose} has neither dropout nor"):
            Program(network.training_graph, np.float64, purpose)
    plain = Network(layers=[Dense(3)], n_features=2)
    assert not plain.has_dropout
    assert plain.graph is plain.training_graph


@both_dtypes
def test_factors_of_steps(dtype):
    # of the rates of dropout and of weight decay, beside the twin; the steps are in two calls
    network, n_epochs, n_steps = make(dtype=dtype), 3, 4
    twin = GraphTwin(network.training_graph, network.params, 7)
    rng = np.random.default_rng(2)
    dropout, decay = rng.uniform(0, 1, (2, n_epochs, n_steps))
    dropout[0, 1] = decay[1, 0] = 0
    (X, y), state = problem(network), OptimizerState(SGD(momentum=0.0), network.n_params, network.dtype)
    loop = network.training_loop(make_data(X, y, None, 2, network.dtype), 64, n_threads=2, training=True)
    state.seed, losses = 7, np.empty(n_epochs)
    state.attach(loop, 0.0, weight_decay=0.5)
    for part in (slice(0, 1), slice(1, 3)):
        rates = np.full(len(losses[part]), 0.05)
        others = dict(decay_factors=decay[part], dropout_factors=dropout[part])
        loop.train(None, None, 1.0, rates, losses[part], **others)
    expected = twin.train(
        X,
        y,
        update=lambda g, w, state, t, learning_rate: (w - learning_rate * g, state),
        rates=[0.05] * n_epochs,
        batch_size=64,
        loss="squared_error",
        weight_decay=0.5,
        decay_factors=decay.ravel(),
        dropout_factors=dropout.ravel(),
    )
    tolerance = 1e-10 if dtype == np.float64 else 1e-4  # some thousand roundings
    assert_allclose(losses, expected, rtol=tolerance)
    assert_allclose(network.params, twin.params, rtol=tolerance, atol=tolerance)
    # without factors they are 1 again, as of a loop that never had any
    before, state.n_steps = network.params.copy(), loop.n_steps
    loop.train(None, None, 1.0, np.full(1, 0.05), losses[:1])
    found, network.params = network.params.copy(), before
    loop = network.training_loop(make_data(X, y, None, 2, network.dtype), 64, training=True)
    state.attach(loop, 0.0, weight_decay=0.5)
    loop.train(None, None, 1.0, np.full(1, 0.05), losses[:1])
    assert_array_equal(network.params, found)
