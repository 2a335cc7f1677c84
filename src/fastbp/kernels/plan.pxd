"""The task of a training step: a program bound to data and a workspace."""

from libc.stdint cimport int64_t

from fastbp.kernels.data cimport Data
from fastbp.kernels.dispatch cimport kernels_t, loss_t, optimizer_t, plan_t, tile_t
from fastbp.kernels.program cimport Program
from fastbp.kernels.team cimport Task


# The phases of a training step. FORWARD is one of its own when the loss is a function of the user's, called after it;
# UPDATE when the gradient is stored.
cdef enum:
    FORWARD
    ROWS
    TILES
    UPDATE
    END_OF_STEP


cdef int set_loss_constants(loss_t *loss, constants) except -1


cdef class Plan(Task):
    cdef plan_t c
    cdef optimizer_t optimizer
    cdef const kernels_t *kernels
    cdef int64_t n_threads
    cdef readonly int64_t batch_size
    cdef readonly int64_t capacity
    cdef int64_t row_chunk
    cdef int64_t scratch_size
    cdef char *scratch
    cdef tile_t *tiles
    cdef int64_t *tile_start
    cdef int64_t n_update_tiles
    cdef tile_t *update_tiles
    cdef int64_t *update_start
    cdef double *update_squares
    cdef unsigned char *overflow
    cdef bint stores_gradient
    cdef bint updates_from_gradient
    cdef double flops
    cdef double step_cost
    cdef readonly Program program
    cdef readonly Data data
    cdef readonly object params
    cdef object values
    cdef object grads
    cdef object row_loss
    cdef void *block_gradient
    cdef list kept
    cdef object bound
    cdef int64_t n_groups
    cdef object loss_function

    cdef void *keep(self, array) except? NULL
    cdef void sum_gradients(self, void *gradient) noexcept nogil
    cdef int call_loss_function(self) except -1 nogil
    cdef batch_rows(self)
    cdef void forward_phase(self, int64_t thread) noexcept nogil
    cdef void rows_phase(self, int64_t thread) noexcept nogil
    cdef void tiles_phase(self, int64_t thread) noexcept nogil
    cdef void update_phase(self, int64_t thread) noexcept nogil
    cdef bint has_diverged(self) noexcept nogil
    cdef bint set_batch(self, int64_t start, int64_t n) noexcept nogil
    cdef double batch_loss(self) noexcept nogil
    cdef double penalty(self) noexcept nogil
    cdef void prepare_optimizer(self, double learning_rate, int64_t step) noexcept nogil
