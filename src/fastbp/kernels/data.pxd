"""The training set for the kernels."""

from libc.stdint cimport int32_t, int64_t

from fastbp.kernels.dispatch cimport data_t

ctypedef fused index_t:
    int32_t
    int64_t


# The address of the elements of a C-contiguous, aligned array, which must outlive the pointer. With `writable`,
# read-only arrays are an error.
cdef void *address(array, bint writable=*) except? NULL

# Whether all numbers are in [0, limit)
cdef bint are_below(const index_t[:] numbers, int64_t limit) noexcept


cdef class Data:
    cdef data_t c
    cdef readonly int64_t n_rows
    cdef readonly int64_t n_features
    cdef readonly int64_t n_outputs
    cdef readonly object dtype
    cdef readonly object values
    cdef readonly object indices
    cdef readonly object indptr
    cdef readonly object Y
    cdef readonly object labels
    cdef readonly object sample_weight
    cdef readonly object label_start
    cdef indicators(self, rows)
    cdef int64_t largest_batch(self, int64_t batch_size) except -1
