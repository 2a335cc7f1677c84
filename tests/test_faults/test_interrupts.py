"""Interruptions of a fit or a prediction: signals, time-outs, exceptions sent to a thread.

Delays are counted in checks for signals, of which there is one in every so many floating-point operations.
"""

import ctypes
import signal
import sys
import threading
from itertools import count

import numpy as np
import pytest
import scipy.sparse as sp
from numpy.testing import assert_allclose, assert_array_equal

import fastbp.kernels.predictor
import fastbp.kernels.shuffling
import fastbp.kernels.slicing
import fastbp.kernels.training
import fastbp.kernels.workers
import fastbp.network
import fastbp.threads
from fastbp import MLPClassifier, MLPRegressor, Network
from fastbp.data import make_data
from fastbp.kernels.interrupts import check_signals, is_interruption
from fastbp.kernels.training import COMPLETED, DIVERGED
from fastbp.optimizers import OPTIMIZERS, SGD, Adam, Muon
from fastbp.training import OptimizerState

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

RNG = np.random.default_rng(0)
X = RNG.normal(size=(300, 6))
y = X[:, 0] * X[:, 1]
ENDLESS = dict(hidden_layer_sizes=(4,), max_iter=10**9, tol=0.0, n_iter_no_change=10**9, random_state=0)


@pytest.fixture
def shared(monkeypatch):
    """Small amounts of work are shared too; gives monkeypatch."""
    monkeypatch.setattr(fastbp.threads, "FLOPS_PER_THREAD", 1)
    monkeypatch.setattr(fastbp.network, "STARTED_FLOPS_PER_THREAD", 1)
    return monkeypatch


def denormals_count():
    """Whether the floating-point unit is as Python knows it."""
    return sys.float_info.min / 2 > 0


def check_with(patch, function):
    """Have the compiled loops call `function` to check for signals, after every step and every slice."""
    patch.setattr(fastbp.kernels.slicing, "FLOPS_BETWEEN_CHECKS", 1.0)
    for module in (fastbp.kernels.training, fastbp.kernels.predictor):
        patch.setattr(module, "check_signals", function)


class Clock:
    """Counts the checks; at one of them a signal comes, whose handler raises TimeoutError."""

    def __init__(self, last=None):
        self.checks, self.last, self.modes = 0, last, set()

    def __call__(self):
        self.checks += 1
        self.modes.add(denormals_count())
        here = threading.get_ident() == threading.main_thread().ident
        if here and self.last is not None and self.checks >= self.last:
            self.last = None
            signal.raise_signal(signal.SIGINT)


@pytest.fixture(autouse=True)
def time_out():
    """A handler that raises TimeoutError."""

    def handler(*_):
        raise TimeoutError

    before = signal.signal(signal.SIGINT, handler)
    yield
    signal.signal(signal.SIGINT, before)


# What Python code sees of the floating-point unit


@pytest.mark.parametrize("n_threads", [1, 2])
@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
def test_denormals_count_for_python_code(solver, n_threads, shared):
    clock, in_loss, at_start = Clock(), set(), set()
    start = fastbp.kernels.workers._thread.start_new_thread

    def loss(y_true, raw_prediction, sample_weight=None):
        in_loss.add(denormals_count())
        error = raw_prediction - y_true
        return (error**2).sum(axis=1) / 2, error

    def start_new_thread(*arguments):
        at_start.add(denormals_count())  # which a new thread inherits
        return start(*arguments)

    check_with(shared, clock)
    shared.setattr(fastbp.kernels.workers._thread, "start_new_thread", start_new_thread)
    for params in (dict(loss=loss), {}):
        model = MLPRegressor(max_iter=3, solver=solver, n_threads=n_threads, random_state=0, **params).fit(X, y)
        checks = clock.checks
        model.predict(X)
        assert clock.checks > checks > 0
    assert clock.modes == in_loss == {True}
    assert at_start == ({True} if n_threads > 1 else set())
    assert denormals_count()


@pytest.mark.parametrize("where", ["fit", "predict", "lbfgs", "loss"])
def test_denormals_count_after_an_exception(where, shared):
    def loss(y_true, raw_prediction, sample_weight=None):
        raise TimeoutError

    check_with(shared, Clock())
    # one thread: of a prediction by two, the other may do all chunks
    model = MLPRegressor(max_iter=2, random_state=0, n_threads=1).fit(X, y)
    if where == "loss":
        model.set_params(loss=loss)
    else:
        check_with(shared, Clock(1))
    model.set_params(solver="lbfgs" if where == "lbfgs" else "adam")
    with pytest.raises(TimeoutError):
        model.predict(X) if where == "predict" else model.fit(X, y)
    assert denormals_count()


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="this system has no timers that send signals")
@pytest.mark.parametrize("n_threads", [1, 2])
def test_denormals_count_in_a_signal_handler(n_threads):
    modes = []

    class Enough:
        def on_epoch_end(self, state):
            return len(modes) >= 5

    before = signal.signal(signal.SIGALRM, lambda *_: modes.append(denormals_count()))
    signal.setitimer(signal.ITIMER_REAL, 0.01, 0.01)
    try:
        params = ENDLESS | dict(hidden_layer_sizes=(300, 300))
        MLPRegressor(**params, n_threads=n_threads, callbacks=Enough()).fit(X, y)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert set(modes) == {True}


# Exceptions that are sent to a thread


def test_is_interruption():
    def handler(*_):
        raise TimeoutError

    def raised(work, *arguments):
        try:
            work(*arguments)
        except BaseException as error:
            return error

    class Handler:
        def __call__(self, *_):
            raise TimeoutError

    assert is_interruption(KeyboardInterrupt())
    assert not is_interruption(raised(int, "one"))
    assert is_interruption(raised(handler))  # computations do not raise it: it was sent
    assert not is_interruption(raised(handler), [raised])  # unless the user's code did
    for function in (handler, Handler()):
        before = signal.signal(signal.SIGINT, function)
        try:
            assert is_interruption(raised(signal.raise_signal, signal.SIGINT), [raised])
        finally:
            signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize("n_threads", [1, 2])
@pytest.mark.parametrize(
    "params",
    [dict(), dict(batch_size=1), dict(early_stopping=True), dict(solver="lbfgs", max_fun=10**9)],
    ids=str,
)
def test_an_exception_sent_to_the_thread_of_an_endless_fit(params, n_threads, shared):
    if params.get("solver") == "lbfgs":
        params = params | dict(loss=slow_loss)
    model, ended = MLPRegressor(**ENDLESS | params, n_threads=n_threads), []

    def fit():
        try:
            model.fit(X, y)
        except TimeoutError:
            ended.append(True)

    begun, set_exception = threading.Event(), ctypes.pythonapi.PyThreadState_SetAsyncExc
    # set once: an exception that arrives inside of `set` would leave the event locked
    check_with(shared, lambda: (begun.is_set() or begun.set(), check_signals()))
    thread = threading.Thread(target=fit, daemon=True)
    thread.start()
    assert begun.wait(60)
    for _ in range(12):
        # again if it gets lost: until a new thread runs, its state has the identifier of its parent, and CPython may
        # deliver the exception to it
        assert set_exception(ctypes.c_ulong(thread.ident), ctypes.py_object(TimeoutError)) == 1
        thread.join(5)
        if ended:
            break
    assert ended == [True]
    if "solver" not in params:  # L-BFGS is in the user's loss most of the time, where an exception is a failure
        assert np.isfinite(model.predict(X)).all()
        assert len(model.loss_curve_) == model.n_iter_


def slow_loss(y_true, raw_prediction, sample_weight=None):
    """A loss without a minimum."""
    n = next(slow_loss.calls)
    error = raw_prediction - y_true
    return (error**2).sum(axis=1) / 2 - 10.0 * n, error


slow_loss.calls = count()


@pytest.mark.parametrize("solver", ["adam", "sgd", "lbfgs"])
@pytest.mark.parametrize("n_threads", [1, 2])
def test_a_time_out_keeps_the_last_whole_step(solver, n_threads, shared):
    # full batches: one step is an epoch
    params = dict(hidden_layer_sizes=(5,), solver=solver, batch_size=300, max_iter=50, n_iter_no_change=60, tol=0)
    model = MLPRegressor(**params, n_threads=n_threads, random_state=0)
    with shared.context() as patch:
        check_with(patch, Clock(20))
        with pytest.raises(TimeoutError):
            model.fit(X, y)
    assert 0 < model.n_iter_ < 50
    # the signal came at the check after the step
    whole = model.n_iter_ + (solver != "lbfgs")
    expected = MLPRegressor(**params | dict(max_iter=whole), random_state=0).fit(X, y)
    for found, wanted in zip(model.coefs_ + model.intercepts_, expected.coefs_ + expected.intercepts_, strict=True):
        assert_array_equal(found, wanted)
    assert len(getattr(model, "loss_curve_", range(model.n_iter_))) == model.n_iter_


def test_an_error_of_a_loss_is_no_interruption(shared):
    def loss(y_true, raw_prediction, sample_weight=None):
        raise TimeoutError

    model = MLPRegressor(random_state=0, max_iter=2).fit(X, y)
    before = model.coefs_[0].copy()
    with pytest.raises(TimeoutError):
        model.set_params(loss=loss).fit(X, y)
    assert_array_equal(model.coefs_[0], before)


# How often


def n_checks(work, patch):
    clock = Clock()
    with patch.context() as inner:
        for module in (fastbp.kernels.training, fastbp.kernels.predictor, fastbp.kernels.shuffling):
            inner.setattr(module, "check_signals", clock)
        work()
    return clock.checks


def test_checks_are_frequent_in_steps_and_rows(monkeypatch):
    # 2 million steps of 12 operations; 3 million rows
    n = 2_000_000
    rows = np.zeros((n, 1), np.float32)
    network = Network([1, 1, 1], dtype=np.float32, random_state=0, n_threads=1)
    data = make_data(rows, np.zeros((n, 1), np.float32), None, 1, network.dtype)
    optimizer = OptimizerState(SGD(), network.n_params, network.dtype)

    def train(weight=None):
        data = make_data(rows, np.zeros((n, 1), np.float32), weight, 1, network.dtype)
        loop = network.training_loop(data, 1)
        optimizer.attach(loop, 0.0)
        loop.train(None, None, 1.0, np.full(1, 1e-3), np.empty(1))

    assert n_checks(train, monkeypatch) > 10
    # batches without weight are no steps
    weight = np.zeros(n)
    weight[-1] = 1
    assert n_checks(lambda: train(weight), monkeypatch) > 10
    assert n_checks(lambda: network.forward(rows), monkeypatch) > 1
    assert n_checks(lambda: network.loss_and_gradient(rows, np.zeros(n)), monkeypatch) > 1

    def shuffle():
        fastbp.kernels.shuffling.shuffle(np.random.RandomState(0), np.arange(n))

    assert n_checks(shuffle, monkeypatch) == 1
    assert data.n_rows == n


def test_checks_are_frequent_in_updates_of_whole_blocks(monkeypatch):
    # 0.3e9 operations for the update of W_2 in each step; hardly any for the rows
    network = Network([4, 256, 256, 1], dtype=np.float32, random_state=0)
    data = make_data(np.ones((10, 4), np.float32), np.ones((10, 1), np.float32), None, 1, network.dtype)

    def train(solver):
        loop = network.training_loop(data, 1, update_flops=solver.update_flops(network.graph))
        OptimizerState(solver, network.n_params, network.dtype).attach(loop, 0.0)
        loop.train(None, None, 1.0, np.full(1, 1e-3), np.empty(1))

    assert n_checks(lambda: train(Muon()), monkeypatch) == 10
    assert n_checks(lambda: train(SGD()), monkeypatch) == 0


def test_shuffles_of_many_rows_are_numpys():
    n = (1 << 20) + 5
    ours, theirs = np.arange(n), np.arange(n)
    fastbp.kernels.shuffling.shuffle(np.random.RandomState(3), ours)
    np.random.RandomState(3).shuffle(theirs)
    assert_array_equal(ours, theirs)


# Steps that are cut into slices


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
    assert 128 <= rows([500, 1500, 1500, 1], 6_000) < 400
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
