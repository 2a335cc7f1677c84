"""The number of forks that led to this process. A child process has only the thread that forked."""

import os

from libc.stdint cimport int64_t

cdef int64_t forks = 0


cdef int64_t count_of_forks() noexcept nogil:
    return forks


def _count():
    global forks
    forks += 1


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_count)
