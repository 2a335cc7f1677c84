"""How many threads a piece of work gets."""

import os
from functools import lru_cache

import joblib
from sklearn.utils._openmp_helpers import _openmp_effective_n_threads, _openmp_parallelism_enabled

#: Floating-point operations of a step that one more thread needs, to be worth starting at all: two barriers, and the
#: lines that each thread pulls from the other's cache, cost at least as much as a thread computes in the meantime.
#: Above this, `TeamTuner` measures whether the thread pays.
FLOPS_PER_THREAD = 500_000

#: The same for a single pass, whose threads have to be started for it: 0.1 ms each.
STARTED_FLOPS_PER_THREAD = 20_000_000


@lru_cache(maxsize=1)
def _cpu_count():
    """joblib's count, which knows cgroup quotas; read once, because reading the quota costs 0.1 ms."""
    return joblib.cpu_count()


def _openmp_threads():
    """What scikit-learn's OpenMP code would use here and now, or None where it was built without.

    Logical processors count, as they do for us: the number of physical ones is not known before another program has
    been run.
    """
    return _openmp_effective_n_threads(only_physical_cores=False) if _openmp_parallelism_enabled() else None


def thread_limits():
    """What bounds the number of threads where nobody asks for one.

    Returns
    -------
    dict of str to int
        Those that there are of: processors; affinity mask, the processors this process may run on; cgroup quota, or
        LOKY_MAX_CPU_COUNT where that is set, if it is below these; OMP_NUM_THREADS, which joblib sets for its workers;
        OpenMP, what scikit-learn's OpenMP code would use here and now, if it is below these: what ``threadpoolctl``
        sets.
    """
    limits = {"processors": os.cpu_count() or 1}
    if hasattr(os, "sched_getaffinity"):
        limits["affinity mask"] = len(os.sched_getaffinity(0))
    if _cpu_count() < min(limits.values()):
        limits["LOKY_MAX_CPU_COUNT" if "LOKY_MAX_CPU_COUNT" in os.environ else "cgroup quota"] = _cpu_count()
    # "4,2" gives the numbers of nested levels; the first is ours
    wanted = os.environ.get("OMP_NUM_THREADS", "").split(",")[0].strip()
    if wanted.isdecimal() and int(wanted) > 0:
        limits["OMP_NUM_THREADS"] = int(wanted)
    openmp = _openmp_threads()
    if openmp is not None and openmp < min(limits.values()):
        limits["OpenMP"] = openmp
    return limits


def available_threads(n_threads=None):
    """The threads a call may use.

    Parameters
    ----------
    n_threads : int or None
        None: what the process may really use, and no more than ``OMP_NUM_THREADS`` and what
        ``threadpoolctl`` sets for OpenMP; the least of `thread_limits`.

    Returns
    -------
    int
        At least 1.
    """
    return max(1, int(n_threads)) if n_threads is not None else min(thread_limits().values())


def threads_for(flops, n_threads=None, flops_per_thread=None):
    """The threads worth using for a piece of work of so many floating-point operations.

    An explicit `n_threads` is an upper bound as well: results do not depend on the number, only speed does.
    """
    return max(1, min(available_threads(n_threads), int(flops // (flops_per_thread or FLOPS_PER_THREAD))))
