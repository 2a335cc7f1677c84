"""Another thread writes to the user's arrays during calls. In another process, because a wrong index may crash it."""

import subprocess
import sys

import pytest

SCRIPT = """
import sys
import threading

import numpy as np
import scipy.sparse as sp

from fastbp import MLPClassifier, MLPRegressor

sys.setswitchinterval(1e-5)
rng = np.random.default_rng(0)
dense = (rng.random((600, 30)) < 0.3) * rng.normal(size=(600, 30))
labels, multi = np.arange(600) % 3, sp.csr_array((rng.random((600, 3)) < 0.5).astype(int))
params = dict(hidden_layer_sizes=(5,), max_iter=3, random_state=0)
calls = refused = 0


def beside(arrays, call, n=40):
    # call() while a thread writes indices far out of range, and puts the old ones back
    global calls, refused
    stop, kept = threading.Event(), [array.copy() for array in arrays]

    def write():
        while not stop.is_set():
            for array in arrays:
                array[len(array) // 3 :: 7] = 10**8
            for array, old in zip(arrays, kept):
                array[:] = old

    thread = threading.Thread(target=write)
    thread.start()
    try:
        for _ in range(n):
            calls += 1
            try:
                call()
            except (ValueError, TypeError, IndexError):
                refused += 1
    finally:
        stop.set()
        thread.join()
    for array, old in zip(arrays, kept):
        array[:] = old
    call()


for form in (sp.csr_array, sp.csc_array):
    X = form(dense)
    model = MLPClassifier(**params).fit(X, labels)
    expected = model.predict_proba(X)
    beside([X.indices, X.indptr], lambda: MLPClassifier(**params).fit(X, labels))
    beside([X.indices, X.indptr], lambda: MLPClassifier(**params, early_stopping=True).fit(X, labels))
    beside([X.indices, X.indptr], lambda: model.predict_proba(X))
    assert np.array_equal(model.predict_proba(X), expected)
y = labels.copy()
beside([y], lambda: MLPClassifier(**params).fit(dense, y))
beside([multi.indices, multi.indptr], lambda: MLPClassifier(**params).fit(dense, multi))
print("done", calls, refused)
"""


@pytest.mark.fault(45)
def test_another_thread_writes_to_them():
    command = [sys.executable, "-W", "ignore", "-c", SCRIPT]
    process = subprocess.run(command, capture_output=True, text=True, timeout=600)
    assert process.returncode == 0, (process.returncode, process.stderr[-2000:])
    done, calls, refused = process.stdout.split()
    assert done == "done"
    assert int(calls) == 8 * 40
    assert int(refused) > 0
