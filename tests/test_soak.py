"""Load: many threads predict while others fit, and many models come and go.

Some seconds of it run with the other tests. ``FASTBP_SOAK=<minutes> python -m pytest -s tests/test_soak.py`` takes as
many minutes.
"""

import ctypes
import faulthandler
import gc
import os
import threading
import time
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse as sp

import fastbp.network
import fastbp.threads
from fastbp import MLPClassifier, MLPRegressor
from fastbp.layers import Activation, BatchNorm, Dense, Dropout, LayerNorm, Residual
from running_threads import count_threads, wait_for_threads

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning", "ignore:Got `batch_size`")

MINUTES = float(os.environ.get("FASTBP_SOAK", "0"))
#: Seconds of the threads, and cycles of the models, in the suite
SECONDS, CYCLES = 6.0, 1000
N_THREADS = 16
PARAMS = dict(hidden_layer_sizes=(12, 8), batch_size=32, max_iter=3, random_state=0)
HAS_PROC = Path("/proc/self/statm").exists() and Path("/proc/self/fd").exists()


def problem(n=200, n_features=6, seed=0):
    X = np.random.default_rng(seed).normal(size=(n, n_features))
    return X, (X[:, 0] * X[:, 1] > 0).astype(int) + (X[:, 2] > 1)


@pytest.fixture
def several_threads(monkeypatch):
    """Small steps are shared, too."""
    monkeypatch.setattr(fastbp.threads, "FLOPS_PER_THREAD", 1)
    monkeypatch.setattr(fastbp.network, "STARTED_FLOPS_PER_THREAD", 1)


@pytest.fixture(autouse=True)
def no_limit_of_time():
    """A soak of many minutes is no hang."""
    if MINUTES:
        faulthandler.cancel_dump_traceback_later()


class Published:
    """The predictions of every model that an estimator has been, computed by a twin in a single thread beforehand.

    The estimator's models repeat: `fit` begins anew with the same seed, and so many calls of partial_fit follow it.
    """

    def __init__(self, Estimator, X, y, n_partial_fits=4, **params):
        self.X, self.y, self.n_partial_fits = X, y, n_partial_fits
        twin = Estimator(**PARAMS | params, n_threads=1).fit(X, y)
        self.is_classifier = Estimator is MLPClassifier
        self.outputs = {self.output(twin).tobytes()}
        for _ in range(n_partial_fits):
            self.outputs.add(self.output(twin.partial_fit(X, y)).tobytes())
        self.model = Estimator(**PARAMS | params, n_threads=2).fit(X, y)

    def output(self, model):
        """What the threads ask for."""
        return model.predict_proba(self.X) if self.is_classifier else model.predict(self.X)

    def train(self):
        """Through all models once."""
        self.model.fit(self.X, self.y)
        for _ in range(self.n_partial_fits):
            self.model.partial_fit(self.X, self.y)

    def predict(self):
        """A prediction, which is that of one of the models."""
        assert self.output(self.model).tobytes() in self.outputs


def test_predictions_while_others_fit(several_threads):
    X, y = problem()
    published = [
        Published(MLPClassifier, X, y),
        Published(MLPRegressor, X, y, activation="tanh", normalization="layer"),
        Published(MLPClassifier, sp.csr_array(X), y, solver="sgd"),
        Published(MLPRegressor, X, y, ema_decay=0.9, dropout=0.2, normalization="batch"),
    ]
    before = count_threads()
    stop, counts = threading.Event(), {"predictions": 0, "trainings": 0}

    def repeat(name, functions):
        n = 0
        while not stop.is_set():
            functions[n % len(functions)]()
            n += 1
        return name, n

    with ThreadPoolExecutor(N_THREADS + len(published)) as pool:
        # each estimator is trained by one thread, and used by all others
        jobs = [pool.submit(repeat, "trainings", [p.train]) for p in published]
        jobs += [pool.submit(repeat, "predictions", [p.predict for p in published]) for _ in range(N_THREADS)]
        end = time.monotonic() + max(SECONDS, 60 * MINUTES / 2)
        while time.monotonic() < end and not any(job.done() for job in jobs):
            time.sleep(0.05)
        stop.set()
        for job in jobs:
            name, n = job.result()
            counts[name] += n
    print(f"\n{counts['predictions']:,} predictions of {N_THREADS} threads, during {counts['trainings']:,} trainings")
    assert wait_for_threads(before) <= before
    assert counts["predictions"] > N_THREADS
    assert counts["trainings"] >= len(published)


def deep_layers():
    return [
        Dense(8),
        BatchNorm(),
        Activation("relu"),
        Residual([LayerNorm(), Dense(8, "prelu"), Dropout(0.2), Dense(8)]),
    ]


ONE = PARAMS | dict(n_threads=1)
#: Models of all kinds: each cycle makes, fits, uses and forgets one
KINDS = [
    lambda: MLPClassifier(**ONE),
    lambda: MLPRegressor(**ONE, solver="lbfgs"),
    lambda: MLPClassifier(**ONE, solver="sgd", early_stopping=True, validation_fraction=0.3),
    lambda: MLPClassifier(**ONE, layers=deep_layers(), solver="nadam"),
    lambda: MLPRegressor(**PARAMS, n_threads=2, solver="muon", normalization="batch", ema_decay=0.9),
    lambda: MLPRegressor(**ONE, loss="quantile", solver="schedule_free", clip_norm=1.0),
    lambda: MLPClassifier(**ONE, dropout=0.2, mixup_alpha=0.2, dtype="float32", learning_rate="one_cycle"),
    lambda: MLPRegressor(**ONE | dict(hidden_layer_sizes=(8, 8)), residual=True, max_norm=1.0, swa_start=0.5),
]


def cycle(number, X, y):
    """One model: fitted, used, continued where its solver can, and dropped."""
    model = KINDS[number % len(KINDS)]()
    rows = sp.csr_array(X) if number % len(KINDS) in (0, 1) and number % 3 == 0 else X
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.fit(rows, y)
        model.predict(rows)
        can_continue = model.learning_rate == "constant" and model.swa_start is None and not model.early_stopping
        if hasattr(model, "partial_fit") and can_continue:
            model.partial_fit(rows, y)
        try:
            model.fit(np.full_like(X, np.nan), y)  # a refusal leaves nothing behind either
        except ValueError:
            return
    raise AssertionError("NaN was accepted")


def resident_bytes():
    """The memory that the process has now.

    First the C library is asked to give back what was freed: it keeps some of it, in pieces that depend on the order in
    which threads allocated, and these are no leak.
    """
    gc.collect()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc has it
    if trim is not None:
        trim(0)
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def descriptors():
    return len(os.listdir("/proc/self/fd"))


@pytest.mark.fault(40)
@pytest.mark.skipif(not HAS_PROC, reason="the resident memory of a process is read from /proc, which only Linux has")
def test_models_come_and_go(several_threads):
    X, y = problem(60)
    for number in range(30 * len(KINDS)):  # caches fill up, and arenas of the C library
        cycle(number, X, y)
    before = resident_bytes(), count_threads(), descriptors()
    end, number = time.monotonic() + 60 * MINUTES / 2, 0
    while number < CYCLES or time.monotonic() < end:
        cycle(number, X, y)
        number += 1
    after = resident_bytes(), wait_for_threads(before[1]), descriptors()
    growth = after[0] / before[0] - 1
    print(f"\n{number:,} models; resident memory {before[0] / 2**20:.1f} MiB, then {growth:+.2%}")
    assert growth < 0.01
    assert after[1:] == before[1:]
