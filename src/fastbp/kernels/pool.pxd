"""Pieces of work for threads that may or may not come."""

from libc.stdint cimport int64_t


cdef extern from "team.h" nogil:
    ctypedef struct pool_t:
        pass
    void pool_init(pool_t *pool)
    int64_t pool_take(pool_t *pool)
    void pool_begin_again(pool_t *pool)
    void pool_come(pool_t *pool)
    void pool_leave(pool_t *pool)
    int pool_await_leaving(pool_t *pool, double seconds)
    void pool_halt(pool_t *pool)
    int pool_is_halted(pool_t *pool)


cdef class Pool:
    cdef pool_t c
    cdef readonly int64_t n_pieces
    cdef bytearray done_bytes
    cdef unsigned char *done
    cdef list errors
    cdef bint closed
    cdef int64_t forks

    cdef int64_t take(self) noexcept nogil
    cdef void finish(self, int64_t piece) noexcept nogil
    cdef bint is_halted(self) noexcept nogil
    cdef bint has_emptied(self)
