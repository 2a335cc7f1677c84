"""Threads, processes and time: nothing outlives a call, and calls do not disturb each other.

What forks runs in an interpreter of its own: the test runner may have threads that a child must not inherit.
"""

import gc
import multiprocessing
import os
import subprocess
import sys
import threading
import tracemalloc
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from numpy.testing import assert_array_equal

import fastbp.network
import fastbp.threads
import warm_python
from bfloat16_cases import needs_bfloat16
from fastbp import MLPClassifier, MLPRegressor
from running_threads import count_threads, wait_for_threads

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

PARAMS = dict(hidden_layer_sizes=(16, 8), max_iter=5, batch_size=32, random_state=0)


def problem(n=400, seed=0):
    X = np.random.default_rng(seed).normal(size=(n, 6))
    return X, (X[:, 0] * X[:, 1] > 0).astype(int)


@pytest.fixture
def several_threads(monkeypatch):
    """Small steps are shared, too."""
    monkeypatch.setattr(fastbp.threads, "FLOPS_PER_THREAD", 1)
    monkeypatch.setattr(fastbp.network, "STARTED_FLOPS_PER_THREAD", 1)


def weights(model):
    return np.concatenate([w.ravel() for w in model.coefs_ + model.intercepts_])


# Processes

SETUP = """
import os
import sys
import warnings
import numpy as np
import fastbp.threads
from fastbp import MLPClassifier

warnings.simplefilter("ignore")
fastbp.threads.FLOPS_PER_THREAD = 1
X = np.random.default_rng(0).normal(size=(400, 6))
y = (X[:, 0] * X[:, 1] > 0).astype(int)


def fit(n_threads=2):
    params = dict(hidden_layer_sizes=(16, 8), max_iter=5, batch_size=32, random_state=0)
    return MLPClassifier(n_threads=n_threads, **params).fit(X, y)


def probabilities(model):
    return model.predict_proba(X)
"""

FORK = """
expected = probabilities(fit())
child = os.fork()
if child == 0:
    os._exit(0 if (probabilities(fit()) == expected).all() else 1)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
assert (probabilities(fit()) == expected).all()
"""

POOL = """
import multiprocessing

if __name__ == "__main__":
    model = fit()
    with multiprocessing.get_context(sys.argv[1]).Pool(2) as pool:
        there = pool.map(probabilities, [model] * 3)
        fitted_there = pool.map(fit, [1, 2])
    for found in [*there, *map(probabilities, fitted_there)]:
        assert (found == probabilities(model)).all()
"""


def run_script(tmp_path, code, *arguments):
    script = tmp_path / "script.py"
    script.write_text(SETUP + code)
    # numpy's own threads would make every fork a warning, and gain nothing here
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1"}
    process = subprocess.run(
        [sys.executable, str(script), *arguments], env=environment, capture_output=True, text=True, timeout=300
    )
    assert process.returncode == 0, process.stderr


@pytest.mark.fault(22)
@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_fit_in_a_forked_child_after_a_fit_in_the_parent(tmp_path):
    run_script(tmp_path, FORK)


@pytest.mark.fault(23)
@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_pools_of_processes(method, tmp_path):
    if method not in multiprocessing.get_all_start_methods():
        pytest.skip(f"this system does not {method}")
    run_script(tmp_path, POOL, method)


# Threads


@pytest.mark.fault(21)
def test_no_thread_outlives_a_call(several_threads):
    before = count_threads()
    X, y = problem()
    model = MLPClassifier(**PARAMS, n_threads=4).fit(X, y)
    model.predict(X)
    assert wait_for_threads(before) <= before


@pytest.mark.fault(24)
@pytest.mark.fault(43)
def test_sixteen_threads_predict_with_one_estimator(several_threads):
    X, y = problem(2_000)
    model = MLPClassifier(**PARAMS, n_threads=2).fit(X, y)
    parts = [slice(i, None) for i in range(64)]
    expected = [model.predict_proba(X[part]) for part in parts]
    with ThreadPoolExecutor(16) as pool:
        found = pool.map(lambda part: model.predict_proba(X[part]), parts)
        for actual, serial in zip(found, expected, strict=True):
            assert_array_equal(actual, serial)


@pytest.mark.fault(26)
def test_threads_that_fit_different_estimators(several_threads):
    problems = [problem(seed=seed) for seed in range(6)]
    models = [
        (MLPClassifier if i % 2 else MLPRegressor)(**PARAMS | dict(random_state=i), n_threads=1 + i % 3)
        for i in range(6)
    ]
    alone = [weights(model.fit(*data)).copy() for model, data in zip(models, problems, strict=True)]
    with ThreadPoolExecutor(6) as pool:
        together = list(pool.map(lambda model, data: weights(model.fit(*data)), models, problems))
    for actual, expected in zip(together, alone, strict=True):
        assert_array_equal(actual, expected)


def test_threads_that_share_a_generator(several_threads):
    # which draws go to which model is a matter of luck; none is lost and nothing breaks
    shared, X_y = np.random.RandomState(0), problem()

    def fit(_):
        return MLPClassifier(**PARAMS | dict(random_state=shared)).fit(*X_y)

    with ThreadPoolExecutor(4) as pool:
        models = list(pool.map(fit, range(8)))
    assert all(np.isfinite(weights(model)).all() for model in models)
    assert len({weights(model).tobytes() for model in models}) == 8


@pytest.mark.fault(25)
@pytest.mark.parametrize("method", ["fit", "partial_fit"])
def test_fit_and_predict_at_once(method, several_threads):
    X, y = problem()
    model = MLPClassifier(**PARAMS, n_threads=2).fit(X, y)
    old, stop, seen = model.predict_proba(X), threading.Event(), []

    def predict():
        while not stop.is_set():
            seen.append(model.predict_proba(X))

    with ThreadPoolExecutor(2) as pool:
        predictions = [pool.submit(predict) for _ in range(2)]
        try:
            n_calls = 0
            while (n_calls < 10 or len(seen) < 10) and not any(prediction.done() for prediction in predictions):
                getattr(model, method)(X, y)
                n_calls += 1
        finally:
            stop.set()
        for prediction in predictions:
            prediction.result()
    assert len(seen) >= 10
    # each prediction is that of a whole model: of the one before a call, or of the one after it
    twin, whole = MLPClassifier(**PARAMS, n_threads=1).fit(X, y), [old]
    for _ in range(n_calls):
        whole.append(getattr(twin, method)(X, y).predict_proba(X))
    whole = {output.tobytes() for output in whole}
    assert all(output.tobytes() in whole for output in seen)


def resident_bytes():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.fault(40)
@pytest.mark.parametrize("Estimator", [MLPClassifier, MLPRegressor])
def test_memory_is_given_back(Estimator, several_threads):
    X, y = problem()
    params = PARAMS | dict(hidden_layer_sizes=(64, 64), max_iter=1)

    def cycle(n):
        for _ in range(n):
            Estimator(**params, n_threads=2).fit(X, y).predict(X)
        gc.collect()

    cycle(20)
    resident = resident_bytes() if os.path.exists("/proc/self/statm") else None
    tracemalloc.start()
    try:
        cycle(10)
        before = tracemalloc.get_traced_memory()[0]
        cycle(100)
        grown = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
    cycle(200)
    # one model is 80 kB: a hundred that stayed would be 8 MB; caches of the interpreter may take some kB
    assert grown < 100_000
    if resident is not None:
        # of 310 models, 25 MB
        assert resident_bytes() - resident < 10_000_000


WITH_SMALL_STACKS = """
import sys, threading, warnings
import numpy as np
from fastbp import MLPRegressor
warnings.simplefilter("ignore")
rng = np.random.RandomState(0)
X, Y = rng.normal(size=(600, 700)), rng.normal(size=(600, 90))
threading.stack_size(65_536)
options = dict(hidden_layer_sizes=(300,), max_iter=1, batch_size=300, n_threads=2)
model = MLPRegressor(dtype=sys.argv[1], **options)
work = threading.Thread(target=lambda: model.fit(X, Y).predict(X))
work.start()
work.join()
print(model.n_iter_)
"""


@pytest.mark.parametrize("dtype", ["float32", "float64", pytest.param("bfloat16", marks=needs_bfloat16)])
def test_threads_with_small_stacks(dtype):
    """Products do not keep on the stack what they copy: that of a thread has 128 KB with some C libraries."""
    process = warm_python.run(["-c", WITH_SMALL_STACKS, dtype])
    assert (process.returncode, process.stdout.strip()) == (0, "1"), process.stderr
