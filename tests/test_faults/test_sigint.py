"""SIGINT, sent by another process, in the middle of long calls.

The amount of work until the exception reaches the caller is measured in processor seconds of the interrupted process,
and compared with those of a small part of the same work in the same process.
"""

import json
import os
import signal
import sys
import tempfile
import textwrap
import threading

import pytest

import warm_python

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="SIGINT cannot be sent to one process")

# Prints "now" when the call has taken three times the work of `short`. The parent then sends SIGINT.
SCRIPT = """
    import json, signal, sys, threading, time, warnings
    import numpy as np
    from sklearn.base import clone
    from sklearn.model_selection import GridSearchCV, cross_val_score
    from fastbp import MLPClassifier, MLPRegressor
    from interrupts import processor_seconds

    signal.signal(signal.SIGINT, signal.default_int_handler)
    warnings.simplefilter("ignore")
    rng = np.random.default_rng(0)
    endless = dict(max_iter=10**8, max_fun=10**8, tol=0.0, n_iter_no_change=10**9, random_state=0)
    check = lambda: None

    {case}

    little = processor_seconds(short)
    ended, times = threading.Event(), []

    def tell_the_parent():
        begin = time.process_time()
        while not ended.wait(1e-3):
            if time.process_time() - begin > 3 * little:
                times.append(time.process_time())
                print("now", flush=True)
                return

    thread = threading.Thread(target=tell_the_parent)
    thread.start()
    interrupted = False
    try:
        call()
        sys.stdin.readline()  # nothing comes: a signal that comes so late ends the script
    except KeyboardInterrupt:
        end = time.process_time()
        interrupted = True
    ended.set()
    thread.join()
    check()
    print(json.dumps(dict(interrupted=interrupted, little=little, delay=end - times[0])))
"""

# full batches: an epoch is a step
FIT = """
    X = rng.normal(size=(400, 20)); y = (X[:, 0] > 0).astype(int)
    model = MLPClassifier(solver={solver!r}, batch_size=400, **endless)
    call = lambda: model.fit(X, y)
    short = lambda: clone(model).set_params(max_iter=300, max_fun=300).fit(X, y)

    def check():
        # the weights are those after a whole number of steps; the signal may come between a step and its record
        twins = [clone(model).set_params(max_iter=n).fit(X, y) for n in (model.n_iter_, model.n_iter_ + 1)]
        assert any(all(map(np.array_equal, twin.coefs_, model.coefs_)) for twin in twins)
        model.predict(X)
"""
PREDICT = """
    X = np.ones((10**7, 4), np.float32)
    model = MLPClassifier(hidden_layer_sizes=(32, 32), max_iter=2, random_state=0).fit(X[:200], np.arange(200) % 2)
    before = model.predict_proba(X[:5])
    def call():
        while True:
            model.predict(X)
    short = lambda: model.predict(X[:2 * 10**5])

    def check():
        assert np.array_equal(model.predict_proba(X[:5]), before)
"""
GRID_SEARCH = """
    X = rng.normal(size=(500, 10)); y = (X[:, 0] > 0).astype(int)
    search = GridSearchCV(MLPClassifier(**endless), dict(alpha=[0.1, 0.2, 0.3]), error_score=0.0)
    call = lambda: search.fit(X, y)
    short = lambda: clone(search).set_params(estimator__max_iter=200).fit(X, y)
"""
# one step is 4e11 operations, which pass in slices
LONG_STEP = """
    X = rng.normal(size=(60_000, 100)); y = X[:, 0]
    model = MLPRegressor(hidden_layer_sizes=(1000, 1000), batch_size=60_000, solver={solver!r}, **endless)
    call = lambda: model.fit(X, y)
    short = lambda: clone(model).set_params(max_iter=1, max_fun=1, batch_size=500).fit(X[:500], y[:500])

    def check():
        # no step was completed: the weights are the initial ones
        start = clone(model).set_params(learning_rate_init=1e-300, max_iter=1, batch_size=50, max_fun=1, solver="sgd")
        assert all(map(np.array_equal, start.fit(X[:50], y[:50]).coefs_, model.coefs_))
"""
# the update of the matrix is 3e11 operations
MUON = """
    X = rng.normal(size=(60, 4)); y = X[:, 0]
    model = MLPRegressor(hidden_layer_sizes=(2500, 2500), batch_size=60, solver="muon", **endless)
    call = lambda: model.fit(X, y)
    short = lambda: clone(model).set_params(hidden_layer_sizes=(600, 600), max_iter=1).fit(X, y)

    def check():
        start = clone(model).set_params(learning_rate_init=1e-300, max_iter=1, solver="sgd")
        assert all(map(np.array_equal, start.fit(X, y).coefs_, model.coefs_))
"""
# 1e11 operations; all rows pass together
BATCH_NORM = """
    X = rng.normal(size=(4000, 100)).astype(np.float32); y = X[:, 0]
    model = MLPRegressor(hidden_layer_sizes=(2000, 2000), batch_size=4000, normalization="batch", **endless)
    call = lambda: model.fit(X, y)
    short = lambda: clone(model).set_params(max_iter=1, batch_size=40).fit(X[:40], y[:40])

    def check():
        start = clone(model).set_params(learning_rate_init=1e-300, max_iter=1, batch_size=40, solver="sgd")
        assert all(map(np.array_equal, start.fit(X[:40], y[:40]).coefs_, model.coefs_))
"""
TINY_STEPS = """
    X = np.zeros((2 * 10**7, 1), np.float32); y = np.zeros(2 * 10**7, np.float32)
    model = MLPRegressor(hidden_layer_sizes=(1,), solver="sgd", batch_size=1, shuffle=False, **endless)
    call = lambda: model.fit(X, y)
    short = lambda: clone(model).set_params(max_iter=1).fit(X[:2 * 10**5], y[:2 * 10**5])

    def check():
        assert np.isfinite(model.predict(X[:5])).all()
"""

CASES = {
    "fit adam": FIT.format(solver="adam"),
    "fit sgd": FIT.format(solver="sgd"),
    "predict": PREDICT,
    "grid search": GRID_SEARCH,
    "long step": LONG_STEP.format(solver="adam"),
    "update of muon": MUON,
    "batch normalization": BATCH_NORM,
    "tiny steps": TINY_STEPS,
}


@pytest.mark.fault(20)
@pytest.mark.fault(50)
@pytest.mark.parametrize("case", CASES)
def test_sigint_to_a_process(case):
    script = textwrap.dedent(SCRIPT).replace("{case}", textwrap.dedent(CASES[case]))
    with tempfile.TemporaryFile("w+") as stderr:
        process = warm_python.start(["-c", script], stderr=stderr, variables={"PYTHONPATH": os.pathsep.join(sys.path)})
        timer = threading.Timer(300, process.kill)
        timer.start()
        with process.stdin, process.stdout as stdout:
            told = stdout.readline()
            if told == "now\n":
                process.send_signal(signal.SIGINT)
            output = stdout.read()
        code = process.wait()
        timer.cancel()
        stderr.seek(0)
        errors = stderr.read()
    assert told == "now\n", errors
    assert code == 0, errors
    result = json.loads(output)
    assert result["interrupted"]
    # an uninterrupted step, epoch or prediction of these cases is a hundred times the short work, or endless
    assert result["delay"] < 20 * result["little"], result
