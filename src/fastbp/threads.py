"""The number of threads for a computation."""

import os
import re
import sys
import threading
from contextlib import contextmanager
from functools import lru_cache
from multiprocessing.dummy import DummyProcess

import joblib

from fastbp.compatibility import openmp_threads

#: Smallest number of floating-point operations of a step for each further thread. With fewer, the two barriers and the
#: cache lines that the threads transfer to each other take longer than the thread's share of the work.
#: Above this, `TeamTuner` measures whether the thread pays.
FLOPS_PER_THREAD = 500_000

#: The same for a single pass, which has to start its threads: 0.1 ms each.
STARTED_FLOPS_PER_THREAD = 20_000_000

#: The names of threads in which a Dask worker runs tasks.
DASK_THREAD = re.compile("Dask-(Default|Actor)-Threads-")


class _ThisThread(threading.local):
    """What holds for the calls of one thread."""

    is_the_only_one = False


_this_thread = _ThisThread()


@contextmanager
def no_more_threads():
    """Within it, calls of this thread use no other threads, whatever `n_threads` they are given."""
    before, _this_thread.is_the_only_one = _this_thread.is_the_only_one, True
    try:
        yield
    finally:
        _this_thread.is_the_only_one = before


@lru_cache(maxsize=1)
def _cpu_count():
    """joblib's number of processors, which considers cgroup quotas; read once, because that takes 0.1 ms."""
    return joblib.cpu_count()


def _pool_workers():
    """How many threads share the processors with this one: those of the thread pool that it works in, times those of
    the pool that this one was made in, and so on. And the thread that is in none, which made the outermost pool.

    A pool is a ``multiprocessing.pool.ThreadPool``: joblib's threading backend has one with `n_jobs` threads, and tells
    its jobs nothing of `n_jobs`. The threads of a pool take their work from one queue; those of a pool that was closed
    may live on for a moment.
    """
    thread, n = threading.current_thread(), 1
    while isinstance(thread, DummyProcess):
        queue = _queue_of(thread)
        n *= max(1, sum(queue is not None and _queue_of(other) is queue for other in threading.enumerate()))
        thread = thread._parent
    return n, thread


def _queue_of(thread):
    """The first argument of a thread of a pool, its queue; None if it has none."""
    arguments = getattr(thread, "_args", ()) if isinstance(thread, DummyProcess) else ()
    return arguments[0] if arguments else None


def _dask_tasks(thread):
    """How many tasks may run at the same time in this process, if the thread runs tasks of a Dask worker; else 1.

    A worker runs `nthreads` tasks at a time, each in a thread of its own, and does not tell them. A process has one
    worker, or several that were started with ``processes=False``, which share its processors.
    """
    distributed = sys.modules.get("distributed")
    if distributed is None or not DASK_THREAD.search(thread.name):
        return 1
    # a copy: a worker that starts meanwhile would end the iteration of a WeakSet with an error
    workers = [reference() for reference in distributed.Worker._instances.data.copy()]
    running = [worker for worker in workers if worker is not None and worker.status.name not in ("closed", "failed")]
    return max(1, sum(worker.state.nthreads for worker in running))


def thread_limits():
    """The limits of the number of threads where `n_threads` is None.

    Returns
    -------
    dict of str to int
        Those that apply of: processors; affinity mask, the processors that this process may run on; cgroup quota, or
        LOKY_MAX_CPU_COUNT where that is set, if it is below these; OMP_NUM_THREADS, which joblib sets for its workers;
        OpenMP, the number of threads of scikit-learn's OpenMP code, which ``threadpoolctl`` sets, if it is below these;
        one thread of fit_many, in its fits;
        share of a Dask worker, in a task of Dask: the smallest of these divided by the number of tasks that the
        workers of this process run at the same time. Workers that Dask starts as processes have OMP_NUM_THREADS=1;
        share of a thread pool, in a thread of joblib's threading backend or of another
        ``multiprocessing.pool.ThreadPool``: the smallest of these divided by the number of the pool's threads.
    """
    limits = {"processors": os.cpu_count() or 1}
    if hasattr(os, "sched_getaffinity"):
        limits["affinity mask"] = len(os.sched_getaffinity(0))
    if _cpu_count() < min(limits.values()):
        limits["LOKY_MAX_CPU_COUNT" if "LOKY_MAX_CPU_COUNT" in os.environ else "cgroup quota"] = _cpu_count()
    # "4,2" gives the numbers of nested levels, of which the first is used
    wanted = os.environ.get("OMP_NUM_THREADS", "").split(",")[0].strip()
    if wanted.isdecimal() and int(wanted) > 0:
        limits["OMP_NUM_THREADS"] = int(wanted)
    openmp = openmp_threads()
    if openmp is not None and openmp < min(limits.values()):
        limits["OpenMP"] = openmp
    if _this_thread.is_the_only_one:
        limits["one thread of fit_many"] = 1
    workers, thread = _pool_workers()
    for name, sharers in (("Dask worker", _dask_tasks(thread)), ("thread pool", workers)):
        if sharers > 1:
            limits[f"share of a {name}"] = max(1, min(limits.values()) // sharers)
    return limits


def available_threads(n_threads=None):
    """The number of threads that a call may use.

    Parameters
    ----------
    n_threads : int or None
        None: the smallest of `thread_limits`.

    Returns
    -------
    int
        At least 1; in a fit of `fit_many` exactly 1.
    """
    if _this_thread.is_the_only_one:
        return 1
    return max(1, int(n_threads)) if n_threads is not None else min(thread_limits().values())


def threads_for(flops, n_threads=None, flops_per_thread=None):
    """The number of threads for a computation of `flops` floating-point operations, at most `n_threads`.

    Results do not depend on the number of threads.
    """
    worthwhile = int(flops // (flops_per_thread or FLOPS_PER_THREAD))
    # what is available is found out where it matters only: that takes longer than a small computation
    return 1 if worthwhile <= 1 else min(available_threads(n_threads), worthwhile)
