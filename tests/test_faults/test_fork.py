"""A fork during a fit or a prediction: the child continues without the threads of its parent.

Every script runs in a process of its own, whose time limit ends a child that hangs.
"""

import os

import pytest

import warm_python

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")

SETUP = """
import os
import signal
import sys
import threading
import time
import traceback
import warnings

import numpy as np

import fastbp.network
import fastbp.threads
from fastbp import MLPClassifier, MLPRegressor, Network
from fastbp.kernels.pool import Pool

warnings.simplefilter("ignore")
fastbp.threads.FLOPS_PER_THREAD = fastbp.network.STARTED_FLOPS_PER_THREAD = 1
X = np.random.default_rng(0).normal(size=(400, 6))
y = (X[:, 0] * X[:, 1] > 0).astype(int)
PARAMS = dict(hidden_layer_sizes=(16, 8), max_iter=8, batch_size=32, random_state=0, n_threads=2)
in_child = False


def weights(model):
    return np.concatenate([w.ravel() for w in model.coefs_ + model.intercepts_])


def fork():
    # the child continues from the state of the parent
    global in_child
    children.append(os.fork())
    in_child = children[-1] == 0


children = []


def both(work):
    # work() in the process and in the children that it makes of itself; all must come to an end, and to the same
    try:
        work()
    except BaseException:
        traceback.print_exc()
        os._exit(1)
    if in_child:
        os._exit(0)
    assert children
    for child in children:
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
"""

IN_A_CALLBACK = """
class Forks:
    def on_epoch_end(self, state):
        if armed and state.epoch == 3 and not in_child:
            fork()

def work(solver, early_stopping):
    global armed
    armed = False
    params = PARAMS | dict(solver=solver, early_stopping=early_stopping)
    expected = MLPClassifier(callbacks=Forks(), **params).fit(X, y)
    armed = True
    model = MLPClassifier(callbacks=Forks(), **params).fit(X, y)
    assert (weights(model) == weights(expected)).all()
    assert (model.predict_proba(X) == expected.predict_proba(X)).all()
    armed = False
    assert (weights(MLPClassifier(callbacks=Forks(), **params).fit(X, y)) == weights(expected)).all()

both(lambda: work("{solver}", {early_stopping}))
"""

IN_A_LOSS = """
calls = 0

def loss(y_true, raw_prediction, sample_weight=None):
    global calls
    calls += 1
    if armed and calls == 5 and not in_child:
        fork()
    error = raw_prediction - y_true
    return (error**2).sum(axis=1) / 2, error

def work(solver):
    global armed, calls
    armed = False
    params = PARAMS | dict(loss=loss, solver=solver)
    expected = MLPRegressor(**params).fit(X, y)
    armed, calls = True, 0
    assert (weights(MLPRegressor(**params).fit(X, y)) == weights(expected)).all()

both(lambda: work("{solver}"))
"""

# so many steps that some are interrupted, and the team is at work
IN_A_SIGNAL_HANDLER = """
def handler(*_):
    fork()
    if not in_child and len(children) < 5:
        signal.setitimer(signal.ITIMER_REAL, 0.03)

def work():
    params = PARAMS | dict(hidden_layer_sizes=(64, 64), max_iter=400, n_iter_no_change=10**6, batch_size=200)
    expected = MLPClassifier(**params).fit(X, y)
    signal.signal(signal.SIGALRM, handler)
    signal.setitimer(signal.ITIMER_REAL, 0.03)
    model = MLPClassifier(**params).fit(X, y)
    signal.setitimer(signal.ITIMER_REAL, 0)
    assert children
    assert (weights(model) == weights(expected)).all()

both(work)
"""

# a helper is at a chunk when the process is forked: the child must do that chunk itself
IN_A_POOL = """
def work():
    taken = threading.Event()
    here, done, seen = threading.get_ident(), np.zeros(100, int), []

    def job(pool):
        for chunk in pool:
            if threading.get_ident() != here:
                taken.set()
                time.sleep(0.2)
            elif not seen:
                seen.append(chunk)
                assert taken.wait(300)
                fork()
            done[chunk] = 1

    Pool(100).run(job, 2)
    assert done.all()

both(work)
"""

# the generator that everybody shares must not be locked in a child
WHILE_OTHERS_DRAW = """
X = np.random.default_rng(0).normal(size=(100_000, 1))
stop = False

def fit():
    while not stop:
        MLPRegressor(hidden_layer_sizes=(1,), max_iter=3, batch_size=50_000, n_threads=1).fit(X, X[:, 0])

threads = [threading.Thread(target=fit) for _ in range(2)]
for thread in threads:
    thread.start()
for _ in range(12):
    time.sleep(0.01)
    fork()
    if in_child:
        np.random.rand(3)
        MLPRegressor(hidden_layer_sizes=(1,), max_iter=1).fit(X[:50], X[:50, 0])
        os._exit(0)
stop = True
for thread in threads:
    thread.join()
for child in children:
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
"""


def run(code):
    # the threads of OpenBLAS are none of ours, and a fork beside threads is what is tried here
    process = warm_python.run(["-c", SETUP + code], OPENBLAS_NUM_THREADS="1")
    assert process.returncode == 0, process.stderr


@pytest.mark.fault(22)
@pytest.mark.fault(47)
@pytest.mark.parametrize(
    ("solver", "early_stopping"), [("adam", False), ("sgd", False), ("adam", True), ("lbfgs", False)]
)
def test_in_a_callback(solver, early_stopping):
    run(IN_A_CALLBACK.replace("{solver}", solver).replace("{early_stopping}", str(early_stopping)))


@pytest.mark.fault(22)
@pytest.mark.fault(47)
@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
def test_in_a_loss(solver):
    run(IN_A_LOSS.replace("{solver}", solver))


@pytest.mark.fault(22)
@pytest.mark.fault(47)
def test_in_a_signal_handler():
    run(IN_A_SIGNAL_HANDLER)


@pytest.mark.fault(22)
@pytest.mark.fault(47)
def test_while_a_helper_is_at_work():
    run(IN_A_POOL)


@pytest.mark.fault(47)
def test_while_other_threads_fit_with_the_shared_generator():
    run(WHILE_OTHERS_DRAW)
