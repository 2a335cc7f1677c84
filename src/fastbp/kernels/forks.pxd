"""The forks that led to this process."""

from libc.stdint cimport int64_t


# Another number than earlier in the same call: the call goes on in the child of a fork, where its threads are not.
cdef int64_t count_of_forks() noexcept nogil
