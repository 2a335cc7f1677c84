"""Chunks of work. Each is done by the next free thread."""

from libc.stdint cimport int64_t

from fastbp.kernels.dispatch cimport share_t
from fastbp.kernels.workers cimport Workers


cdef extern from "pool.h" nogil:
    ctypedef struct pool_t:
        pass
    void pool_init(pool_t *pool)
    int64_t pool_take(pool_t *pool)
    void pool_begin_at(pool_t *pool, int64_t chunk)
    void share_init(share_t *share, pool_t *pool, int64_t end)


cdef class Pool:
    cdef pool_t c
    cdef readonly int64_t n_chunks
    cdef bytearray done_bytes
    cdef unsigned char *done
    cdef Workers workers

    cdef int64_t take(self) noexcept nogil
    cdef void finish(self, int64_t chunk) noexcept nogil
    cdef bint is_halted(self) noexcept nogil
