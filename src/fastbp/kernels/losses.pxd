"""What a loss is for the kernels."""

from libc.stdint cimport int64_t

from fastbp.kernels.dispatch cimport loss_t


cdef int set_loss(loss_t *loss, name, constants, bint is_raw, int64_t n_outputs) except -1
