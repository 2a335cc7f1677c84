"""Limits on the number of threads: those of others are respected, and those of fastbp restored; `threads.py`,
`blas.py`."""

import os
import subprocess
import sys
import threading

import numpy as np
import pytest
from sklearn.utils._openmp_helpers import _openmp_parallelism_enabled
from threadpoolctl import ThreadpoolController, threadpool_limits

from fastbp import MLPRegressor, show_config
from fastbp.threads import available_threads, thread_limits
from fastbp.training.blas import OneBlasThread

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

X = np.random.default_rng(0).normal(size=(60, 3))
y = X[:, 0] * X[:, 1]

CONTROLLER = ThreadpoolController().select(user_api="blas")

needs_openmp = pytest.mark.skipif(not _openmp_parallelism_enabled(), reason="scikit-learn was built without OpenMP")


def blas_threads():
    """The threads of each BLAS that is loaded."""
    return [library["num_threads"] for library in CONTROLLER.info()]


def set_blas_threads(n):
    """From a thread that ends: threadpoolctl lets no other one change what a living thread has set."""
    thread = threading.Thread(target=threadpool_limits, args=(n, "blas"))
    thread.start()
    thread.join()


@pytest.fixture
def two_blas_threads():
    before = blas_threads()
    set_blas_threads(2)
    if set(blas_threads()) != {2}:
        pytest.skip("no BLAS here has two threads")
    yield
    assert set(blas_threads()) == {2}
    set_blas_threads(max(before))


needs_two_blas_threads = pytest.mark.usefixtures("two_blas_threads")


# Limits of others


@pytest.mark.fault(55)
@needs_openmp
def test_threadpool_limits(monkeypatch):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    before = available_threads()
    with threadpool_limits(1, user_api="openmp"):
        assert available_threads() == 1
        assert available_threads(3) == 3
        if before > 1:
            assert thread_limits()["OpenMP"] == 1
            assert show_config(mode="dicts")["threads"]["limited_by"] == "OpenMP"
        assert show_config(mode="dicts")["threads"]["available"] == 1
        found = []
        model = MLPRegressor(max_iter=2, random_state=0).fit(X, y)
        found.append(model.predict(X))
    assert available_threads() == before
    np.testing.assert_array_equal(MLPRegressor(max_iter=2, random_state=0).fit(X, y).predict(X), found[0])


def test_limits_are_those_of_the_moment(monkeypatch):
    monkeypatch.setattr("fastbp.threads.openmp_threads", lambda: 1)
    assert available_threads() == 1
    monkeypatch.setattr("fastbp.threads.openmp_threads", lambda: 10**6)
    assert "OpenMP" not in thread_limits()
    monkeypatch.setattr("fastbp.threads.openmp_threads", lambda: None)
    assert "OpenMP" not in thread_limits()


INNER_MAX_NUM_THREADS = """
import joblib

from fastbp.threads import available_threads

if __name__ == "__main__":
    for inner in (1, 2):
        with joblib.parallel_config("loky", n_jobs=2, inner_max_num_threads=inner):
            for found in joblib.Parallel()(joblib.delayed(available_threads)() for _ in range(4)):
                assert found <= inner, (found, inner)
"""


@pytest.mark.fault(28)
@pytest.mark.fault(55)
def test_inner_max_num_threads(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(INNER_MAX_NUM_THREADS)
    environment = {name: value for name, value in os.environ.items() if name != "OMP_NUM_THREADS"}
    process = subprocess.run(
        [sys.executable, str(script)], env=environment, capture_output=True, text=True, timeout=300
    )
    assert process.returncode == 0, process.stderr


# Our limit on BLAS


def half_squared_error(seen, y_true, raw_prediction, sample_weight=None):
    seen.update(blas_threads())
    error = raw_prediction - y_true
    return (error**2).sum(axis=1) / 2, error


class Sees:
    """A callback that notes the threads of BLAS."""

    def __init__(self):
        self.begin, self.epoch, self.end = set(), set(), set()

    def on_fit_begin(self, state):
        self.begin.update(blas_threads())

    def on_epoch_end(self, state):
        self.epoch.update(blas_threads())

    def on_fit_end(self, state):
        self.end.update(blas_threads())


def fit(**params):
    params = dict(hidden_layer_sizes=(4,), solver="lbfgs", max_iter=5, random_state=0, n_threads=1) | params
    return MLPRegressor(**params).fit(X, y)


@pytest.mark.fault(55)
@needs_two_blas_threads
def test_callbacks_see_the_threads_that_there_are_without_a_fit():
    inside, callback = set(), Sees()
    fit(loss=lambda *arguments, **others: half_squared_error(inside, *arguments, **others), callbacks=callback)
    assert inside == {1}
    assert callback.begin == callback.epoch == callback.end == {2}


@pytest.mark.fault(55)
@needs_two_blas_threads
@pytest.mark.parametrize("where", ["callback", "loss"])
def test_an_exception_puts_the_limit_back(where):
    class Raises:
        def on_epoch_end(self, state):
            raise KeyError

    def raises(y_true, raw_prediction, sample_weight=None):
        raise KeyError

    with pytest.raises(KeyError):
        fit(callbacks=Raises()) if where == "callback" else fit(loss=raises)
    assert set(blas_threads()) == {2}


@pytest.mark.fault(55)
@needs_two_blas_threads
@pytest.mark.parametrize("first_to_end", [0, 1])
def test_overlapping_fits(first_to_end):
    may_end = [threading.Event(), threading.Event()]
    has_begun = [threading.Event(), threading.Event()]
    found = []

    class Waits:
        def __init__(self, number):
            self.number = number

        def on_epoch_end(self, state):
            has_begun[self.number].set()
            assert may_end[self.number].wait(300)
            found.append(set(blas_threads()))
            return True

    threads = [threading.Thread(target=fit, kwargs=dict(callbacks=Waits(number))) for number in (0, 1)]
    for thread, begun in zip(threads, has_begun, strict=True):
        thread.start()
        assert begun.wait(300)
    for number in (first_to_end, 1 - first_to_end):
        may_end[number].set()
        threads[number].join(300)
    # both wait in their callbacks
    assert found == [{2}, {2}]
    assert set(blas_threads()) == {2}


@pytest.mark.fault(55)
@needs_two_blas_threads
@pytest.mark.parametrize("first_to_end", [0, 1])
def test_overlapping_blocks(first_to_end):
    entered, may_leave = [threading.Event(), threading.Event()], [threading.Event(), threading.Event()]

    def block(number):
        with OneBlasThread():
            entered[number].set()
            assert may_leave[number].wait(300)

    threads = [threading.Thread(target=block, args=(number,)) for number in (0, 1)]
    for thread, event in zip(threads, entered, strict=True):
        thread.start()
        assert event.wait(300)
        assert set(blas_threads()) == {1}
    may_leave[first_to_end].set()
    threads[first_to_end].join(300)
    assert set(blas_threads()) == {1 if first_to_end else 2}  # of the two, the first holds the limit
    may_leave[1 - first_to_end].set()
    threads[1 - first_to_end].join(300)
    assert set(blas_threads()) == {2}


@needs_two_blas_threads
def test_a_limit_that_becomes_free_is_taken():
    first, second = OneBlasThread(), OneBlasThread()
    with first:
        with second:
            with second.lifted():
                assert set(blas_threads()) == {1}
            with first.lifted():
                assert set(blas_threads()) == {2}
                second.acquire()
                assert set(blas_threads()) == {1}
            first.acquire()  # held by the second
        assert set(blas_threads()) == {2}
        first.acquire()
        assert set(blas_threads()) == {1}
    assert set(blas_threads()) == {2}


FORK = """
import os
import threading

from threadpoolctl import ThreadpoolController, threadpool_limits

from fastbp.training.blas import OneBlasThread

import numpy
import scipy.optimize

controller = ThreadpoolController().select(user_api="blas")


def blas_threads():
    return {library["num_threads"] for library in controller.info()}


def block():
    with OneBlasThread():
        entered.set()
        leave.wait(300)


entered, leave = threading.Event(), threading.Event()
setting = threading.Thread(target=threadpool_limits, args=(2, "blas"))
setting.start()
setting.join()
thread = threading.Thread(target=block)
thread.start()
entered.wait(300)
assert blas_threads() == {1}
child = os.fork()
if child == 0:  # where the thread is not
    os._exit(0 if blas_threads() == {2} else 1)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
leave.set()
thread.join()
assert blas_threads() == {2}
with OneBlasThread():
    child = os.fork()
    if child == 0:  # where this block is
        os._exit(0 if blas_threads() == {1} else 1)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
assert blas_threads() == {2}
"""


@needs_two_blas_threads
@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_fork_beside_a_fit():
    process = subprocess.run([sys.executable, "-W", "ignore", "-c", FORK], capture_output=True, text=True, timeout=300)
    assert process.returncode == 0, process.stderr
