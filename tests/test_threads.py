"""The number of threads of a call; `threads.py`."""

import os
import subprocess
import sys

import pytest

import fastbp.threads
from fastbp.threads import FLOPS_PER_THREAD, available_threads, thread_limits, threads_for

AVAILABLE = "from fastbp.threads import available_threads as n; print(n(), n(3))"


@pytest.fixture
def four_cpus(monkeypatch):
    """A machine with four processors, all of them ours, and nothing said in the environment."""
    monkeypatch.setattr(fastbp.threads, "_cpu_count", lambda: 4)
    monkeypatch.setattr(fastbp.threads, "_openmp_threads", lambda: 4)
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


@pytest.mark.parametrize("affinity", [{2}, {0, 3}])
def test_affinity(affinity, four_cpus):
    four_cpus.setattr(os, "sched_getaffinity", lambda pid: affinity)
    assert available_threads() == len(affinity)


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


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this system has no affinity masks")
def test_a_process_bound_to_one_processor():
    cpu = min(os.sched_getaffinity(0))
    code = f"import os; os.sched_setaffinity(0, {{{cpu}}}); {AVAILABLE}"
    environment = {name: value for name, value in os.environ.items() if name != "OMP_NUM_THREADS"}
    process = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=300)
    assert process.stdout.split() == ["1", "3"], process.stderr
