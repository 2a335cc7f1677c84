"""Threads that cannot be started, that never run, or that come late: the work is done, and the results are the same.

What sets limits to a process, or ends one, is done in an interpreter of its own.
"""

import _thread
import os
import subprocess
import sys
import time

import numpy as np
import pytest
from numpy.testing import assert_array_equal

import fastbp.derivatives
import fastbp.network
import fastbp.threads
from fastbp import MLPClassifier, Network

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

RNG = np.random.default_rng(0)
X = RNG.normal(size=(1300, 6))
y = (X[:, 0] * X[:, 1] > 0).astype(int)


@pytest.fixture
def shared(monkeypatch):
    """Small amounts of work are shared too; gives monkeypatch."""
    monkeypatch.setattr(fastbp.threads, "FLOPS_PER_THREAD", 1)
    monkeypatch.setattr(fastbp.network, "STARTED_FLOPS_PER_THREAD", 1)
    monkeypatch.setattr(fastbp.derivatives, "STARTED_FLOPS_PER_THREAD", 1)
    return monkeypatch


class Starts:
    """In place of ``_thread.start_new_thread``: counts the calls, and starts, refuses or loses the threads."""

    def __init__(self, kind):
        self.kind, self.calls, self.real = kind, 0, _thread.start_new_thread

    def __call__(self, function, arguments=()):
        self.calls += 1
        if self.kind == "the second is refused" and self.calls % 2:
            return self.real(function, arguments)
        if self.kind == "late":
            return self.real(self.late, (function, arguments))
        if self.kind in ("refused", "the second is refused"):
            raise RuntimeError("can't start new thread")
        if self.kind == "no memory":
            raise MemoryError
        assert self.kind == "never run"
        return 0

    @staticmethod
    def late(function, arguments):
        time.sleep(0.02)
        function(*arguments)


KINDS = ["refused", "the second is refused", "no memory", "never run", "late"]


def fitted(n_threads, **params):
    params = dict(hidden_layer_sizes=(16, 8), max_iter=5, batch_size=32, random_state=0) | params
    model = MLPClassifier(**params, n_threads=n_threads).fit(X, y)
    return np.concatenate([w.ravel() for w in model.coefs_ + model.intercepts_])


@pytest.mark.fault(48)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
def test_fit(solver, kind, shared):
    expected = fitted(1, solver=solver)
    with shared.context() as patch:
        starts = Starts(kind)
        patch.setattr(_thread, "start_new_thread", starts)
        assert_array_equal(fitted(3, solver=solver), expected)
    assert starts.calls
    assert_array_equal(fitted(3, solver=solver), expected)


@pytest.mark.fault(48)
@pytest.mark.parametrize("kind", KINDS)
def test_prediction_and_derivatives(kind, shared):
    network = Network([6, 16, 2], output_activation="softmax", loss="log_loss", random_state=0, n_threads=1)
    v, direction = RNG.normal(size=(len(X), 2)), RNG.normal(size=network.n_params)
    jobs = [
        lambda: network.forward(X),
        lambda: network.vjp(X, v),
        lambda: network.jacobian(X),
        lambda: network.hvp(X, y, direction),
        lambda: network.loss_and_gradient(X, y)[1],
    ]
    expected = [job() for job in jobs]
    network.n_threads = 3
    for job, serial in zip(jobs, expected, strict=True):
        with shared.context() as patch:
            starts = Starts(kind)
            patch.setattr(_thread, "start_new_thread", starts)
            assert_array_equal(job(), serial)
        assert starts.calls
        assert_array_equal(job(), serial)


def test_an_exception_while_threads_are_started_reaches_the_caller(shared):
    expected = fitted(1)

    def interrupted(function, arguments=()):
        raise KeyboardInterrupt

    with shared.context() as patch:
        patch.setattr(_thread, "start_new_thread", interrupted)
        with pytest.raises(KeyboardInterrupt):
            fitted(3)
        with pytest.raises(KeyboardInterrupt):
            Network([6, 2], n_threads=3).forward(X)
    assert_array_equal(fitted(3), expected)


# Processes

SETUP = """
import atexit
import os
import resource
import sys
import warnings

import numpy as np

import fastbp.derivatives
import fastbp.network
import fastbp.threads
from fastbp import MLPClassifier

warnings.simplefilter("ignore")
fastbp.threads.FLOPS_PER_THREAD = 1
fastbp.network.STARTED_FLOPS_PER_THREAD = fastbp.derivatives.STARTED_FLOPS_PER_THREAD = 1
X = np.random.default_rng(0).normal(size=(1300, 6))
y = (X[:, 0] * X[:, 1] > 0).astype(int)


class Work:
    def __init__(self):
        self.model = self.fit(1)
        self.expected = self.results()
        (self.expected[0] == self.expected[0]).all()  # NumPy imports a module at the first call

    @staticmethod
    def fit(n_threads):
        params = dict(hidden_layer_sizes=(16, 8), max_iter=5, batch_size=32, random_state=0)
        return MLPClassifier(n_threads=n_threads, **params).fit(X, y)

    def results(self):
        network = self.model.network_
        ones = np.ones((len(X), 1))
        direction = np.ones(network.n_params)
        gradient = network.loss_and_gradient(X, ones)[1]
        products = [network.vjp(X, ones), network.jacobian(X), network.hvp(X, ones, direction)]
        return [gradient, network.forward(X), *products]

    def check(self, fit=True):
        self.model.set_params(n_threads=3)
        for found, expected in zip(self.results(), self.expected, strict=True):
            assert (found == expected).all()
        if fit:  # scikit-learn's, around ours, imports a module, which is over when __del__ is called at exit
            assert (self.fit(3).coefs_[0] == self.model.coefs_[0]).all()
        print("done", flush=True)

work = Work()
"""

NO_MORE_THREADS = """
os.setuid(65534)  # the limit does not hold for root
resource.setrlimit(resource.RLIMIT_NPROC, (0, 0))
try:
    import _thread
    _thread.start_new_thread(print, ())
except RuntimeError:
    work.check()
else:
    print("unlimited", flush=True)
"""

NO_MORE_MEMORY = """
with open("/proc/self/statm") as file:
    used = int(file.read().split()[0]) * resource.getpagesize()
for more in range(1, 33):  # of some of these there is room for a thread's stack and not for what it begins with
    limit = used + more * 1024 * 1024
    resource.setrlimit(resource.RLIMIT_AS, (limit, resource.RLIM_INFINITY))
    try:
        work.check()
        enough = True
    except MemoryError:
        print("done", flush=True)
assert enough  # where there is the most room
"""

AT_EXIT = "atexit.register(work.check)"

IN_DEL = """
class Last:
    def __del__(self, check=work.check):
        check(fit=False)

last = Last()  # goes when its module goes
"""

# collected when the modules have gone
IN_DEL_OF_A_CYCLE = """
class Last:
    def __del__(self, check=work.check):
        check(fit=False)

last = Last()
last.itself = last
"""

# scikit-learn's part of fit imports a module, which Python refuses at exit: then it raises
FIT_IN_DEL = """
class Last:
    def __del__(self, work=work, X=X, y=y, print=print):
        for call in (lambda: work.fit(3), lambda: work.model.fit(X, y), lambda: work.model.predict(X)):
            try:
                call()
            except Exception:
                pass
        print("done", flush=True)

last = Last()
"""
FIT_IN_DEL_OF_A_CYCLE = FIT_IN_DEL + "last.itself = last"


def run(code, count=1):
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "3"}
    process = subprocess.run(
        [sys.executable, "-c", SETUP + code], env=environment, capture_output=True, text=True, timeout=300
    )
    if process.stdout.startswith("unlimited"):
        pytest.skip("the limit on threads does not hold here")
    assert process.stdout.split() == ["done"] * count, process.stderr
    assert process.returncode == 0, process.stderr


@pytest.mark.fault(48)
@pytest.mark.skipif(
    not hasattr(os, "setuid") or os.getuid() != 0, reason="needs root, to become a user that has no threads yet"
)
def test_no_more_threads_for_this_user():
    run(NO_MORE_THREADS)


@pytest.mark.fault(19)
@pytest.mark.fault(48)
@pytest.mark.skipif(sys.platform != "linux", reason="the address space is limited on Linux")
def test_threads_close_to_the_limit_of_memory():
    run(NO_MORE_MEMORY, 32)


@pytest.mark.fault(49)
@pytest.mark.parametrize(
    "code",
    [AT_EXIT, IN_DEL, IN_DEL_OF_A_CYCLE, FIT_IN_DEL, FIT_IN_DEL_OF_A_CYCLE],
    ids=["atexit", "del", "cycle", "fit in del", "fit in del of a cycle"],
)
def test_at_exit_of_the_interpreter(code):
    run(code)
