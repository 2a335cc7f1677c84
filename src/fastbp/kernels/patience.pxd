"""The stopping rule."""

from libc.stdint cimport int64_t


cdef class Patience:
    cdef public double best
    cdef public double tol
    cdef public double limit
    cdef public int64_t count
    cdef bint note(self, double value) noexcept nogil
    cdef bint exhausted(self) noexcept nogil
