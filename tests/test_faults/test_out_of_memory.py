"""The limit of memory is reached in the middle of training, when epochs have been completed."""

import os
import subprocess
import sys
import textwrap

import pytest

SCRIPT = """
    import resource, sys, warnings
    import numpy as np
    from fastbp import MLPRegressor

    def pages(column):
        return int(open("/proc/self/statm").read().split()[column]) * resource.getpagesize()

    def limit(n_bytes):
        resource.setrlimit(resource.RLIMIT_AS, (n_bytes, resource.RLIM_INFINITY))

    class Limits:
        # from the end of the second epoch on there is room for a few megabytes only
        epochs = 0

        def on_epoch_end(self, state):
            self.epochs = state.epoch
            if state.epoch == 2:
                limit(pages(0) + 4 * 2**20)

    def allocate():
        return np.ones(4 * 2**20)  # 32 MB

    def loss(y_true, raw_prediction, sample_weight=None):
        allocate()
        error = raw_prediction - y_true
        return (error**2).sum(axis=1) / 2, error

    def own_score(estimator, X, y):
        allocate()
        return estimator.score(X, y)

    warnings.simplefilter("ignore")
    X = np.random.default_rng(0).normal(size=(200, 20))
    y = X[:, 0]
    # what meets the limit: the user's loss, within a step, or the user's score, between two epochs
    params = dict(hidden_layer_sizes=(50,), max_iter=4, tol=0, random_state=0, n_threads={n_threads}) | {changes}
    model = MLPRegressor(**params).fit(X, y)
    before, resident = model.predict(X), None
    for _ in range(6):
        callback = Limits()
        try:
            model.set_params(callbacks=callback).fit(-X, y)
        except MemoryError:
            pass
        else:
            raise AssertionError("there was room")
        finally:
            limit(resource.RLIM_INFINITY)
        assert callback.epochs == 2, callback.epochs
        assert np.array_equal(model.predict(X), before)
        resident = resident or pages(1)
    assert pages(1) - resident < 30e6, pages(1) - resident  # of five arrays that stayed, 160 MB
    model.set_params(callbacks=None)
    assert np.array_equal(model.fit(X, y).predict(X), before)
"""


@pytest.mark.fault(19)
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the address space is limited on Linux only")
@pytest.mark.parametrize("n_threads", [1, 2])
@pytest.mark.parametrize(
    "changes",
    ["dict(loss=loss)", "dict(loss=loss, solver='lbfgs')", "dict(scoring=own_score, early_stopping=True)"],
    ids=["loss", "loss of lbfgs", "score"],
)
def test_the_limit_is_reached_between_two_epochs(changes, n_threads):
    script = textwrap.dedent(SCRIPT.replace("{changes}", changes).replace("{n_threads}", str(n_threads)))
    # what is freed goes back to the system, and the next array must come from there
    environment = {**os.environ, "MALLOC_MMAP_THRESHOLD_": "131072"}
    command = [sys.executable, "-c", script]
    process = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
    assert process.returncode == 0, process.stderr
