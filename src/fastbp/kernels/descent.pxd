"""The loops over batches and epochs."""

from libc.stdint cimport int64_t

from fastbp.kernels.team cimport Team


cdef class Descent(Team):
    cdef int64_t t
    cdef readonly int64_t epochs_done
    cdef public double first_loss
    cdef bint lead_in_slices(self, int64_t start, int64_t size, double *loss) except -1 nogil
    cdef double run_gradient(self) except? -1 nogil
    cdef int run_epoch(self, int64_t n_train, double rate, double loss_scale, double *loss) except -1 nogil
