"""How many threads a piece of work gets."""

import os
from functools import lru_cache

import joblib

#: Floating-point operations of a step that one more thread needs, to be worth starting at all: two barriers, and the
#: lines that each thread pulls from the other's cache, cost at least as much as a thread computes in the meantime.
#: Above this, `Team.compare` measures whether the thread pays.
FLOPS_PER_THREAD = 500_000


@lru_cache(maxsize=1)
def _cpu_count():
    """joblib's count, which knows cgroup quotas; read once, because reading the quota costs 0.1 ms."""
    return joblib.cpu_count()


def available_threads(n_threads=None):
    """The threads a call may use.

    Parameters
    ----------
    n_threads : int or None
        None: ``OMP_NUM_THREADS``, which joblib sets for its workers, else what the process may really use (affinity
        mask and cgroup quota).

    Returns
    -------
    int
        At least 1.
    """
    if n_threads is not None:
        return max(1, int(n_threads))
    cpus = _cpu_count()
    if hasattr(os, "sched_getaffinity"):
        cpus = min(cpus, len(os.sched_getaffinity(0)))
    # "4,2" gives the numbers of nested levels; the first is ours
    wanted = os.environ.get("OMP_NUM_THREADS", "").split(",")[0].strip()
    return max(1, min(cpus, int(wanted)) if wanted.isdigit() and int(wanted) > 0 else cpus)


def threads_for(flops, n_threads=None, flops_per_thread=None):
    """The threads worth using for a piece of work of so many floating-point operations.

    An explicit `n_threads` is an upper bound as well: results do not depend on the number, only speed does.
    """
    return max(1, min(available_threads(n_threads), int(flops // (flops_per_thread or FLOPS_PER_THREAD))))
