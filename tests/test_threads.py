"""The number of threads of a call; `threads.py`."""

import os
import subprocess
import sys
import threading
from multiprocessing.dummy import DummyProcess
from multiprocessing.pool import ThreadPool

import numpy as np
import pytest
from joblib import Parallel, delayed, parallel_config
from numpy.testing import assert_array_equal
from sklearn.model_selection import GridSearchCV

import fastbp.threads
from fastbp import MLPClassifier
from fastbp.network import Network
from fastbp.threads import FLOPS_PER_THREAD, available_threads, no_more_threads, thread_limits, threads_for

AVAILABLE = "from fastbp.threads import available_threads as n; print(n(), n(3))"


@pytest.fixture
def four_cpus(monkeypatch):
    """A machine with four processors, all of them ours, and nothing said in the environment."""
    monkeypatch.setattr(fastbp.threads, "_cpu_count", lambda: 4)
    monkeypatch.setattr(fastbp.threads, "openmp_threads", lambda: 4)
    monkeypatch.setattr(os, "cpu_count", lambda: 4)
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {0, 1, 2, 3}, raising=False)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.delenv("LOKY_MAX_CPU_COUNT", raising=False)
    return monkeypatch


def test_all_processors(four_cpus):
    assert available_threads() == 4


@pytest.mark.parametrize("n_threads", [1, 3, 50])
def test_an_explicit_number_wins(n_threads, four_cpus):
    four_cpus.setenv("OMP_NUM_THREADS", "2")
    assert available_threads(n_threads) == n_threads


@pytest.mark.parametrize(
    ("text", "expected"),
    [("1", 1), ("3", 3), (" 2 ", 2), ("2,4", 2), ("64", 4), ("", 4), ("0", 4), ("-1", 4), ("many", 4), (",", 4)],
)
def test_environment(text, expected, four_cpus):
    four_cpus.setenv("OMP_NUM_THREADS", text)
    assert available_threads() == expected


@pytest.mark.fault(29)
@pytest.mark.parametrize("affinity", [{2}, {0, 3}])
def test_affinity(affinity, four_cpus):
    four_cpus.setattr(os, "sched_getaffinity", lambda pid: affinity)
    assert available_threads() == len(affinity)


@pytest.mark.fault(29)
def test_quota_below_the_affinity(four_cpus):
    # a container may see every processor and be allowed the time of one
    four_cpus.setattr(fastbp.threads, "_cpu_count", lambda: 1)
    assert available_threads() == 1


def test_the_limits_by_name(four_cpus):
    assert thread_limits() == {"processors": 4, "affinity mask": 4}
    four_cpus.setattr(os, "sched_getaffinity", lambda pid: {0, 1, 2})
    four_cpus.setattr(fastbp.threads, "_cpu_count", lambda: 2)
    four_cpus.setenv("OMP_NUM_THREADS", "8")
    expected = {"processors": 4, "affinity mask": 3, "cgroup quota": 2, "OMP_NUM_THREADS": 8}
    assert thread_limits() == expected
    four_cpus.setenv("LOKY_MAX_CPU_COUNT", "2")
    assert "LOKY_MAX_CPU_COUNT" in thread_limits()
    assert "cgroup quota" not in thread_limits()


def test_a_system_without_affinity(four_cpus):
    four_cpus.delattr(os, "sched_getaffinity")
    assert available_threads() == 4


def test_work_decides(four_cpus):
    assert threads_for(0) == threads_for(FLOPS_PER_THREAD) == threads_for(2 * FLOPS_PER_THREAD - 1) == 1
    assert threads_for(2 * FLOPS_PER_THREAD) == 2
    assert threads_for(10**15) == 4
    assert threads_for(10**15, n_threads=3) == 3
    assert threads_for(0, n_threads=3) == 1


@pytest.mark.fault(29)
@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this system has no affinity masks")
def test_a_process_bound_to_one_processor():
    cpu = min(os.sched_getaffinity(0))
    code = f"import os; os.sched_setaffinity(0, {{{cpu}}}); {AVAILABLE}"
    environment = {name: value for name, value in os.environ.items() if name != "OMP_NUM_THREADS"}
    process = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=300)
    assert process.stdout.split() == ["1", "3"], process.stderr


def limits_in_pool(n_jobs, backend="threading"):
    return Parallel(n_jobs=n_jobs, backend=backend)(delayed(available_threads)() for _ in range(2 * n_jobs))


@pytest.mark.fault(28)
@pytest.mark.parametrize(("n_jobs", "share"), [(1, 4), (2, 2), (3, 1), (4, 1), (9, 1)])
def test_share_in_joblibs_threading_backend(n_jobs, share, four_cpus):
    assert limits_in_pool(n_jobs) == [share] * 2 * n_jobs
    assert available_threads() == 4


def test_threads_of_a_pool_that_was_closed_do_not_count(four_cpus):
    with ThreadPool(2) as pool:
        pool.map(abs, range(4))
        assert limits_in_pool(2) == [2] * 4  # while the other pool has threads


def test_a_thread_that_is_in_no_pool(four_cpus):
    limits = []
    for arguments in [(), (None,)]:
        thread = DummyProcess(target=lambda *_: limits.append(available_threads()), args=arguments)
        thread.start()
        thread.join()
    assert limits == [4, 4]


def test_share_in_nested_pools(four_cpus):
    # the jobs of a job in a thread; joblib itself runs what is nested deeper one after the other
    inner = Parallel(n_jobs=2, backend="threading")(delayed(limits_in_pool)(2) for _ in range(2))
    assert inner == [[1] * 4] * 2
    assert Parallel(n_jobs=2, backend="threading")(delayed(limits_in_pool)(1) for _ in range(2)) == [[2, 2]] * 2


def test_explicit_number_and_name_of_the_limit_in_a_pool(four_cpus):
    four_cpus.setenv("OMP_NUM_THREADS", "3")
    jobs = [delayed(available_threads)(4), delayed(thread_limits)()]
    explicit, limits = Parallel(n_jobs=2, backend="threading")(jobs)
    assert explicit == 4
    assert limits["share of a thread pool"] == 1  # of the three
    assert "share of a thread pool" not in thread_limits()


def test_no_more_threads(four_cpus):
    others = []
    with no_more_threads():
        assert available_threads() == available_threads(3) == threads_for(1e12, 3) == 1
        assert min(thread_limits().values()) == thread_limits()["one thread of fit_many"] == 1
        with no_more_threads():
            pass
        assert available_threads() == 1
        thread = threading.Thread(target=lambda: others.append(available_threads()))
        thread.start()
        thread.join()
    assert others == [4]
    assert available_threads() == 4
    assert available_threads(3) == 3
    assert "one thread of fit_many" not in thread_limits()


@pytest.mark.fault(28)
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize(("n_jobs", "n_threads", "expected"), [(2, None, 2), (4, None, 1), (2, 3, 3)])
def test_fits_of_a_search_take_their_share(n_jobs, n_threads, expected, four_cpus):
    X = np.random.default_rng(0).normal(size=(400, 64))
    y = (X[:, 0] > 0).astype(int) + (X[:, 1] > 0)
    teams, training_loop = [], Network.training_loop

    def recorded_loop(*args, **kwargs):
        loop = training_loop(*args, **kwargs)
        teams.append(loop.team.n_threads)
        return loop

    four_cpus.setattr(Network, "training_loop", recorded_loop)
    # a step of 200 rows is worth more than four threads
    model = MLPClassifier((128, 64), max_iter=2, random_state=0, n_threads=n_threads)
    grid, folds = {"alpha": [0.0, 0.1]}, [(np.arange(400), np.arange(100))] * 2
    with parallel_config(backend="threading"):
        search = GridSearchCV(model, grid, cv=folds, n_jobs=n_jobs, refit=False).fit(X, y)
    assert teams == [expected] * 4
    teams.clear()
    alone = GridSearchCV(model, grid, cv=folds, n_jobs=1, refit=False).fit(X, y)
    assert teams == [n_threads or 4] * 4
    for name in ("split0_test_score", "split1_test_score", "mean_test_score"):
        assert_array_equal(search.cv_results_[name], alone.cv_results_[name])


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_models_fitted_in_a_pool_are_the_same():
    X = np.random.default_rng(0).normal(size=(400, 64))
    y = (X[:, 0] > 0).astype(int) + (X[:, 1] > 0)
    models = [MLPClassifier((128, 64), max_iter=3, random_state=seed) for seed in range(4)]
    fitted = Parallel(n_jobs=2, backend="threading")(delayed(model.fit)(X, y) for model in models)
    for seed, model in enumerate(fitted):
        alone = MLPClassifier((128, 64), max_iter=3, random_state=seed).fit(X, y)
        assert_array_equal(model.network_.params, alone.network_.params)
