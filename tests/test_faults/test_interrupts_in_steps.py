"""Interruptions within a training step that would take long: in slices of a batch, or in pieces of its phases.

Delays are counted in checks for signals.
"""

import numpy as np
import pytest
import scipy.sparse as sp
from numpy.testing import assert_allclose, assert_array_equal

import fastbp.kernels.slicing
import fastbp.kernels.training
import fastbp.network
import fastbp.threads
from fastbp import MLPClassifier, MLPRegressor, Network
from fastbp.data import make_data
from fastbp.kernels.dispatch import table_facts
from fastbp.kernels.training import COMPLETED, DIVERGED
from fastbp.layers import BatchNorm, Dense
from fastbp.optimizers import OPTIMIZERS, Adam, Muon
from fastbp.training import OptimizerState
from interrupts import Clock, check_with, time_out_at_sigint

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

RNG = np.random.default_rng(0)
X = RNG.normal(size=(300, 6))
y = X[:, 0] * X[:, 1]


@pytest.fixture(autouse=True)
def time_out():
    with time_out_at_sigint():
        yield


@pytest.fixture
def shared(monkeypatch):
    """Small amounts of work are shared too; gives monkeypatch."""
    monkeypatch.setattr(fastbp.threads, "FLOPS_PER_THREAD", 1)
    monkeypatch.setattr(fastbp.network, "STARTED_FLOPS_PER_THREAD", 1)
    return monkeypatch


# Steps that are cut into slices


@pytest.mark.fault(50)
def test_which_steps_are_cut():
    def rows(layer_sizes, batch_size, sparse=False):
        network = Network(layer_sizes, dtype=np.float32, n_threads=1, initializer=None)
        shape = (batch_size, layer_sizes[0])
        X = sp.csr_array(shape, dtype=np.float32) if sparse else np.broadcast_to(np.float32(0), shape)
        X = X if sparse else np.zeros(shape, np.float32)
        Y = np.zeros((batch_size, layer_sizes[-1]), np.float32)
        return network.training_loop(make_data(X, Y, None, layer_sizes[-1], network.dtype), batch_size).plan.capacity

    assert rows([64, 100, 10], 200) == 200
    assert rows([784, 100, 10], 15_000) == 15_000
    width = table_facts("float32")["vector_bytes"] // 16
    assert 128 * width <= rows([500, 1500, 1500, 1], 6_000) < 400 * width
    assert 4096 <= rows([100, 100, 1], 400_000) < 4200
    # non-zeros count
    assert rows([50_000, 100, 1], 2_000, sparse=True) == 2_000


CASES = ["dense", "sparse", "weights", "labels", "slots"]


def sliced_problem(case, dtype):
    n = 203
    rng = np.random.RandomState(1)
    features = rng.normal(size=(n, 6)) * (rng.uniform(size=(n, 6)) < 0.6)
    weight = rng.uniform(0.1, 2, n) if case == "weights" else None
    if case == "labels":
        network = Network([6, 9, 3], "tanh", "softmax", "log_loss", dtype=dtype, random_state=0)
        targets = rng.randint(0, 3, n)
    else:
        network = Network([6, 9, 3], "tanh", dtype=dtype, random_state=0)
        targets = rng.normal(size=(n, 3)).astype(dtype)
    features = features.astype(dtype)
    return network, make_data(sp.csr_array(features) if case == "sparse" else features, targets, weight, 3, dtype)


def sliced(network, data, update="adam", n_threads=1, batch_size=150, epochs=4, seed=2):
    """(status, losses, capacity) of some epochs."""
    optimizer, losses = OptimizerState(OPTIMIZERS[update](), network.n_params, network.dtype), np.full(epochs, np.nan)
    loop = network.training_loop(data, batch_size, indexed=True, n_threads=n_threads)
    rows, random_state = np.arange(data.n_rows), np.random.RandomState(seed)
    optimizer.attach(loop, 0.1)
    _, status = loop.train(rows, random_state, 1.0, np.full(epochs, 0.01), losses)
    return status, losses, loop.plan.capacity


@pytest.fixture
def slices(shared):
    """Every step is cut into slices of a few rows; gives monkeypatch."""
    shared.setattr(fastbp.kernels.slicing, "LARGEST_STEP", 0)
    shared.setattr(fastbp.kernels.slicing, "SLICE_COST", 0)
    shared.setattr(fastbp.kernels.slicing, "FEWEST_SLICE_ROWS", 20)
    return shared


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("update", ["sgd", "adam"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_step_in_slices_is_the_step(case, update, dtype, slices, monkeypatch):
    if case == "slots":
        slices.setattr(fastbp.kernels.slicing, "FEWEST_SLICE_ROWS", 130)
    network, data = sliced_problem(case, dtype)
    status, losses, capacity = sliced(network, data, update)
    assert status == COMPLETED
    assert capacity < 150
    for n_threads in (2, 3):
        other, data = sliced_problem(case, dtype)
        assert_array_equal(sliced(other, data, update, n_threads)[1], losses)
        assert_array_equal(other.params, network.params)
    slices.undo()
    whole, data = sliced_problem(case, dtype)
    _, expected, capacity = sliced(whole, data, update)
    assert capacity == 150
    rtol = 1e-9 if dtype == np.float64 else 1e-4
    assert_allclose(losses, expected, rtol=rtol)
    assert_allclose(network.params, whole.params, rtol=rtol, atol=rtol)


@pytest.mark.fault(54)
@pytest.mark.parametrize("n_threads", [1, 2])
def test_a_slice_that_diverges_abandons_the_step(n_threads, slices):
    network, _ = sliced_problem("dense", np.float64)
    targets = np.zeros((203, 3))
    targets[140] = np.inf
    data = make_data(X[:203], targets, None, 3, np.float64)
    before, optimizer, losses = network.params.copy(), OptimizerState(Adam(), network.n_params, np.float64), np.empty(1)
    loop = network.training_loop(data, 150, n_threads=n_threads)
    optimizer.attach(loop, 0.1)
    assert loop.train(None, None, 1.0, np.full(1, 0.01), losses) == (1, DIVERGED)
    assert not np.isfinite(losses[0])
    assert_array_equal(network.params, before)
    assert optimizer.n_steps == 0
    assert not optimizer.state[0].any()


@pytest.mark.fault(20)
@pytest.mark.fault(50)
@pytest.mark.parametrize("n_threads", [1, 2])
def test_an_exception_between_two_slices_leaves_the_weights(n_threads, slices):
    network, data = sliced_problem("weights", np.float64)
    before = network.params.copy()
    check_with(slices, Clock(3))
    with pytest.raises(TimeoutError):
        sliced(network, data, n_threads=n_threads)
    assert_array_equal(network.params, before)
    slices.undo()
    twin, data = sliced_problem("weights", np.float64)
    sliced(network, data)
    sliced(twin, data)
    assert_array_equal(network.params, twin.params)


def test_a_loss_of_ones_own_is_called_for_each_slice(slices):
    calls = []

    def loss(y_true, raw_prediction, sample_weight=None):
        calls.append(len(y_true))
        error = raw_prediction - y_true
        return (error**2).sum(axis=1) / 2, error

    params = dict(hidden_layer_sizes=(9,), batch_size=300, max_iter=3, random_state=0)
    found = MLPRegressor(**params, loss=loss).fit(X, y)
    assert max(calls) < 60
    assert sum(calls) == 900
    slices.undo()
    expected = MLPRegressor(**params).fit(X, y)
    assert_allclose(found.coefs_[0], expected.coefs_[0], rtol=1e-9)


def test_a_classifier_of_steps_in_slices(slices):
    params = dict(hidden_layer_sizes=(9,), batch_size=300, max_iter=3, random_state=0)
    found = MLPClassifier(**params).fit(X, y > 0)
    slices.undo()
    expected = MLPClassifier(**params).fit(X, y > 0)
    assert_allclose(found.loss_curve_, expected.loss_curve_, rtol=1e-9)


# Pieces of a step that cannot be cut into slices


@pytest.fixture
def pieces(shared):
    """The phases of every step are worked on in many pieces; gives monkeypatch."""
    shared.setattr(fastbp.kernels.slicing, "LARGEST_STEP", 0)
    shared.setattr(fastbp.kernels.slicing, "PIECE_COST", 1e5)
    shared.setattr(fastbp.kernels.training, "check_signals", lambda: None)
    return shared


def half_squared_error(y_true, raw_prediction, sample_weight=None):
    error = raw_prediction - y_true
    return (error**2).sum(axis=1) / 2, error


def problem(kind):
    """A network, its optimizer and its data, such that an epoch is two steps."""
    if kind.startswith("muon"):
        # matrices of several tiles of the products; 50 rows are too few for slices
        n, network = 600 if kind.endswith("slices") else 100, Network([6, 130, 200, 2], "tanh", random_state=0)
    else:
        layers = [Dense(20, "tanh"), BatchNorm(), Dense(9, "relu"), BatchNorm(), Dense(2)]
        loss = half_squared_error if kind.endswith("loss") else "squared_error"
        n, network = 600, Network(layers=layers, n_features=6, loss=loss, random_state=0)
    optimizer = Muon() if "muon" in kind else Adam()
    features = np.random.default_rng(1).normal(size=(n, 6))
    return network, optimizer, make_data(features, features[:, :2] ** 2, None, 2, np.float64), n // 2


class Run:
    """A training loop of one network, which goes on from call to call."""

    def __init__(self, kind, n_threads):
        self.network, optimizer, data, batch_size = problem(kind)
        self.state = OptimizerState(optimizer, self.network.n_params, np.dtype(float))
        update_flops = optimizer.update_flops(self.network.graph)
        options = dict(n_threads=n_threads, update_flops=update_flops, training=True)
        self.loop = self.network.training_loop(data, batch_size, **options)
        self.state.attach(self.loop, 0.1)

    def train(self, epochs):
        losses = np.empty(epochs)
        assert self.loop.train(None, None, 1.0, np.full(epochs, 0.01), losses) == (epochs, COMPLETED)
        return losses

    def numbers(self):
        return np.concatenate([self.network.params, *self.state.state])


KINDS = ["muon", "batch norm", "batch norm and muon", "batch norm and a loss"]


@pytest.mark.fault(50)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("n_threads", [1, 2, 3])
def test_a_step_in_pieces_is_the_step(kind, n_threads, pieces):
    divided = Run(kind, n_threads)
    losses = divided.train(3)
    pieces.undo()
    whole = Run(kind, 1)
    # the squares of the weights, for the penalty, are added in another order
    assert_allclose(losses, whole.train(3), rtol=1e-12)
    assert_array_equal(divided.numbers(), whole.numbers())


@pytest.mark.fault(20)
@pytest.mark.fault(50)
@pytest.mark.parametrize("kind", [*KINDS, "muon in slices"])
@pytest.mark.parametrize("n_threads", [1, 2])
def test_an_interruption_within_a_step_abandons_it(kind, n_threads, pieces):
    clock, whole = Clock(), Run(kind, n_threads)
    after = [whole.numbers()]
    check_with(pieces, clock)
    whole.train(1)
    assert clock.checks > 20
    n_steps = set()
    for last in range(1, clock.checks + 1, max(1, clock.checks // 25)):
        run = Run(kind, n_threads)
        check_with(pieces, Clock(last))
        with pytest.raises(TimeoutError):
            run.train(1)
        n_steps.add(run.loop.n_steps)
        if run.loop.n_steps == len(after):
            after.append(run.numbers())
        # that of the last whole step, and nothing is left of the one that was abandoned
        assert_array_equal(run.numbers(), after[run.loop.n_steps])
        if run.loop.n_steps == 0:
            check_with(pieces, Clock())
            run.train(1)
            assert_array_equal(run.numbers(), whole.numbers())
    assert n_steps >= {0, 1}
