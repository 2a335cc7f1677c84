"""Searches under joblib's backends: the models do not depend on the backend, and fits take their share of the cores."""

import os
import threading
import time

import numpy as np
import pytest
from joblib import Parallel, delayed, parallel_config
from numpy.testing import assert_array_equal
from sklearn.base import clone
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.model_selection import GridSearchCV, HalvingGridSearchCV

import fastbp.threads
from fastbp import MLPClassifier
from fastbp.threads import available_threads, thread_limits

rng = np.random.default_rng(0)
X = rng.normal(size=(300, 20))
y = (X[:, 0] * X[:, 1] > 0).astype(int)
MODEL = MLPClassifier((64, 32), max_iter=4, random_state=0)
SEARCHES = [
    GridSearchCV(MODEL, {"alpha": [1e-4, 1.0]}, cv=2),
    HalvingGridSearchCV(MODEL, {"alpha": [1e-4, 1.0]}, cv=2, random_state=0, min_resources=100),
]

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


def check_same(search, alone):
    """The scores of all fits and the weights of the best model are the same to the last bit."""
    for name, scores in alone.cv_results_.items():
        if name.endswith("test_score"):
            assert_array_equal(search.cv_results_[name], scores)
    assert_array_equal(search.best_estimator_.network_.params, alone.best_estimator_.network_.params)


@pytest.fixture(scope="module")
def fitted_alone():
    return [clone(search).fit(X, y) for search in SEARCHES]


def limits_during_a_task(seconds=0.0):
    """The limits of the number of threads, the process and the thread."""
    time.sleep(seconds)  # so that tasks run at the same time
    return thread_limits(), os.getpid(), threading.get_ident()


@pytest.mark.parametrize("backend", ["threading", "loky"])
def test_same_models_from_joblibs_own_backends(backend, fitted_alone):
    with parallel_config(backend=backend, n_jobs=2):
        for search, alone in zip(SEARCHES, fitted_alone, strict=True):
            check_same(clone(search).fit(X, y), alone)


def test_a_process_of_loky_takes_its_share():
    found = Parallel(n_jobs=2, backend="loky")(delayed(limits_during_a_task)() for _ in range(2))
    for limits, process, _ in found:
        assert process != os.getpid()
        # "8,2" would be a limit of 8
        assert limits["OMP_NUM_THREADS"] == min(limits.values()) == max(1, fastbp.threads._cpu_count() // 2)


# Dask


@pytest.fixture
def eight_cpus(monkeypatch):
    """A process that may use eight processors, and nothing said in the environment."""
    monkeypatch.setattr(fastbp.threads, "_cpu_count", lambda: 8)
    monkeypatch.setattr(fastbp.threads, "openmp_threads", lambda: 8)
    monkeypatch.setattr(os, "cpu_count", lambda: 8)
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(8)), raising=False)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)


@pytest.fixture(scope="module")
def client():
    """Two worker processes, each of which runs two tasks at a time."""
    distributed = pytest.importorskip("distributed")
    environment = dict(os.environ)
    with (
        distributed.LocalCluster(n_workers=2, threads_per_worker=2, dashboard_address=":0") as cluster,
        distributed.Client(cluster) as client,
    ):
        # Dask sets OMP_NUM_THREADS and others here too before it starts the workers
        os.environ.clear()
        os.environ.update(environment)
        yield client


@pytest.mark.usefixtures("client")
def test_same_models_from_dask(fitted_alone):
    with parallel_config(backend="dask"):
        for search, alone in zip(SEARCHES, fitted_alone, strict=True):
            check_same(clone(search).fit(X, y), alone)


def test_tasks_of_dasks_processes_take_one_thread_each(client):
    found = client.gather([client.submit(limits_during_a_task, 0.2, pure=False) for _ in range(4)])
    assert len({(process, thread) for _, process, thread in found}) == 4
    assert len({process for _, process, _ in found}) == 2
    assert [min(limits.values()) for limits, _, _ in found] == [1] * 4


def share_in_threads(n_jobs):
    return Parallel(n_jobs=n_jobs, backend="threading")(delayed(available_threads)() for _ in range(n_jobs))


@pytest.mark.fault(28)
@pytest.mark.usefixtures("eight_cpus")
@pytest.mark.parametrize(("n_workers", "n_threads", "share"), [(1, 1, 8), (1, 2, 4), (2, 2, 2), (3, 4, 1)])
def test_tasks_of_workers_in_this_process_share_its_cores(n_workers, n_threads, share):
    distributed = pytest.importorskip("distributed")
    options = {"n_workers": n_workers, "threads_per_worker": n_threads, "processes": False}
    with distributed.LocalCluster(**options, dashboard_address=":0") as cluster, distributed.Client(cluster) as client:
        limits, _, thread = client.submit(limits_during_a_task).result()
        assert min(limits.values()) == share
        assert thread != threading.get_ident()
        assert ("share of a Dask worker" in limits) == (share < 8)
        # threads of joblib within a task share what the task has
        assert client.submit(share_in_threads, 2).result() == [max(1, share // 2)] * 2
        assert available_threads() == 8  # this thread runs no task
        with parallel_config(backend="dask"):
            assert set(Parallel()(delayed(available_threads)() for _ in range(4))) == {share}


@pytest.mark.usefixtures("eight_cpus")
def test_a_thread_with_dasks_name_but_no_worker():
    found = []
    thread = threading.Thread(target=lambda: found.append(available_threads()), name="Dask-Default-Threads-0")
    thread.start()
    thread.join()
    assert found == [8]
