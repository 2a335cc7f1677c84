"""A graph that was compiled for one purpose."""

from libc.stdint cimport int64_t

from fastbp.kernels.dispatch cimport kernels_t, program_t


cdef class Program:
    cdef program_t c
    cdef const kernels_t *kernels
    cdef readonly object graph
    cdef readonly object dtype
    cdef readonly object nodes
    cdef readonly object blocks
    cdef readonly object operations
    cdef readonly object integers
    cdef readonly int64_t value_columns
    cdef readonly int64_t grad_columns
    cdef readonly int64_t tangent_columns
    cdef readonly int64_t mirror_size
    cdef dict saved_columns
    cdef readonly dict tilings
    cdef readonly list reductions
    cdef set differentiated
    cdef readonly int64_t statistics_width
    cdef readonly bint is_sparse
    cdef readonly bint is_raw
    cdef readonly bint is_indexed
    cdef readonly object purpose
