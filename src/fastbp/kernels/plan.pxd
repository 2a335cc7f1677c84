"""One network bound to one data set and a workspace."""

from libc.stdint cimport int64_t

from fastbp.kernels.data cimport Data
from fastbp.kernels.dispatch cimport kernels_t, plan_t, tile_t
from fastbp.kernels.team cimport Task


# the phases of a training step; FORWARD is one of its own when the loss is a function of the user's, called after it
cdef enum:
    FORWARD
    ROWS
    TILES
    END_OF_STEP


# a / b, rounded up; for a >= 0
cdef int64_t ceil_div(int64_t a, int64_t b) except -1
cdef double cost_of_row(layers, double passes, double inputs) except -1


cdef class Plan(Task):
    cdef plan_t c
    cdef const kernels_t *kernels
    cdef int64_t n_threads
    cdef readonly int64_t batch_size
    cdef readonly int64_t capacity
    cdef int64_t row_chunk
    cdef int64_t n_tiles
    cdef int64_t scratch_size
    cdef char *scratch
    cdef tile_t *tiles
    cdef int64_t *tile_start
    cdef double *tile_squares
    cdef unsigned char *overflow
    cdef bint gathers
    cdef double flops
    cdef double step_cost
    cdef void *gradient
    cdef int64_t itemsize
    cdef readonly Data data
    cdef readonly object arrays
    cdef object cost
    cdef bint asks

    cdef void forward_phase(self, int64_t thread) noexcept nogil
    cdef int ask_cost(self) except -1 nogil
    cdef batch_rows(self)
    cdef batch_view(self, int64_t place)
    cdef void phase_one(self, int64_t thread) noexcept nogil
    cdef void phase_two(self, int64_t thread) noexcept nogil
    cdef void descend(self) noexcept nogil
    cdef bint diverged(self) noexcept nogil
    cdef bint set_batch(self, int64_t start, int64_t n) noexcept nogil
    cdef double batch_loss(self) noexcept nogil
    cdef double squared_weights(self) noexcept nogil
    cdef void refresh_transposed(self) noexcept nogil
