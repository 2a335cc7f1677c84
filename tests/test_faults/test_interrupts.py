"""Interruptions of a fit or a prediction: signals, time-outs, exceptions sent to a thread.

Delays are counted in checks for signals, of which there is one in every so many floating-point operations.
"""

import ctypes
import signal
import threading
from itertools import count

import numpy as np
import pytest
from numpy.testing import assert_array_equal

import fastbp.kernels.predictor
import fastbp.kernels.shuffling
import fastbp.kernels.slicing
import fastbp.kernels.training
import fastbp.kernels.workers
import fastbp.network
import fastbp.threads
from fastbp import MLPRegressor, Network
from fastbp.data import make_data
from fastbp.kernels.interrupts import check_signals, is_interruption
from fastbp.optimizers import SGD, Muon
from fastbp.training import OptimizerState
from interrupts import Clock, check_with, denormals_count, time_out_at_sigint

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


@pytest.fixture(autouse=True)
def time_out():
    with time_out_at_sigint():
        yield


# What Python code sees of the floating-point unit


@pytest.mark.fault(56)
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


@pytest.mark.fault(56)
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


@pytest.mark.fault(56)
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


@pytest.mark.fault(60)
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
    assert begun.wait(300)
    for _ in range(60):
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


@pytest.mark.fault(20)
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


@pytest.mark.fault(50)
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


@pytest.mark.fault(50)
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
