"""The task of a training step: a program bound to data and a workspace."""

from libc.stdint cimport int64_t

from fastbp.kernels.data cimport Data
from fastbp.kernels.dispatch cimport group_t, kernels_t, norms_t, optimizer_t, plan_t, tile_t
from fastbp.kernels.pool cimport pool_t
from fastbp.kernels.program cimport Program
from fastbp.kernels.team cimport Task


# The phases of a training step. FORWARD is one of its own when the loss is a function of the user's, called after it;
# FINISH and UPDATE when the gradient is stored; LIMIT when the norms of columns are limited. A program of n + 1
# segments has the phases [ROWS - 4 n, ROWS] in place of ROWS; the one in the middle contains the loss. If optimizers
# transform gradients in n phases, the phases [UPDATE - n - 1, UPDATE] take the place of UPDATE.
cdef enum:
    ROWS
    TILES
    FINISH
    UPDATE = 1 << 30  # leaves room for them
    LIMIT
    END_OF_STEP
    FORWARD


cdef class Plan(Task):
    cdef plan_t c
    cdef optimizer_t *optimizers
    cdef int64_t n_optimizers
    cdef const kernels_t *kernels
    cdef int64_t n_threads
    cdef readonly int64_t batch_size
    cdef readonly int64_t capacity
    cdef int64_t row_chunk
    cdef int64_t scratch_size
    cdef char *scratch
    cdef tile_t *tiles
    cdef int64_t *tile_start
    cdef int64_t n_tiles
    cdef char *queues
    cdef norms_t *norms
    cdef double *gradient_squares
    cdef int64_t first_update
    cdef pool_t *transform_pools
    # parts of the transforms that are done at once (0: all), the end of those that are done now, and how many there are
    cdef int64_t parts_at_once
    cdef int64_t part_end
    cdef int64_t n_parts
    # pieces of the phases before an update; the one that is done now, of how many
    cdef int64_t n_pieces
    cdef int64_t piece
    cdef int64_t pieces
    cdef int64_t n_transformed
    cdef int64_t *transformed
    cdef int64_t *transform_place
    cdef char *transform_scratch
    cdef double clip_norm
    cdef double clip_factor
    cdef bint averages
    cdef double max_norm
    cdef int64_t end_of_step
    cdef tile_t *limit_tiles
    cdef int64_t *limit_start
    cdef double average_decay
    cdef int64_t average_begin
    cdef object average
    cdef void *stored_gradient
    cdef unsigned char *overflow
    cdef double flops
    cdef double step_cost
    cdef readonly Program program
    cdef readonly Data data
    cdef readonly object params
    cdef object tiling
    cdef object values
    cdef object grads
    cdef object row_loss
    cdef list kept
    cdef object bound
    cdef object column_arrays
    cdef int64_t n_groups
    # the groups of the optimizer, and their decay before it is multiplied by the factor of a step
    cdef group_t *groups
    cdef double *decays
    cdef double decay_factor
    cdef int64_t *tile_group
    cdef norms_t *group_norms
    cdef bint prepares
    cdef int64_t n_reductions
    cdef int64_t *reductions
    cdef int64_t first_phase
    cdef int64_t middle_phase
    cdef object loss_function
    cdef readonly double mixup_alpha

    cdef int take_data(self, Data data) except -1
    cdef void *keep(self, array) except? NULL
    cdef list transforms_of(self, const optimizer_t *optimizers, optimizer_of)
    cdef void sum_gradients(self, void *gradient) noexcept nogil
    cdef int call_loss_function(self) except -1 nogil
    cdef tuple batch_targets(self)
    cdef batch_rows(self)
    cdef partner_rows(self)
    cdef void forward_phase(self, int64_t thread) noexcept nogil
    cdef void divide_rows(self, int64_t n) noexcept nogil
    cdef void rows_phase(self, int64_t thread) noexcept nogil
    cdef void segment_phase(self, int64_t phase, int64_t thread) noexcept nogil
    cdef void reduce_columns(self, int64_t operation, bint backward, int64_t thread) noexcept nogil
    cdef void note_overflow(self, int64_t thread, int64_t lo, int64_t hi) noexcept nogil
    cdef int64_t reduction(self, int64_t number) noexcept nogil
    cdef void tiles_phase(self, int64_t thread) noexcept nogil
    cdef void do_tile(self, int64_t i, int64_t thread) noexcept nogil
    cdef pool_t *queue(self, int64_t thread) noexcept nogil
    cdef void finish_phase(self, int64_t thread) noexcept nogil
    cdef void rows_of(self, int64_t thread, int64_t *lo, int64_t *hi) noexcept nogil
    cdef void tiles_of_piece(self, int64_t thread, int64_t *lo, int64_t *hi) noexcept nogil
    cdef void transform_phase(self, int64_t phase, int64_t thread) noexcept nogil
    cdef void begin_parts(self, int64_t phase) noexcept nogil
    cdef void update_phase(self, int64_t phase, int64_t thread) noexcept nogil
    cdef void limit_phase(self, int64_t thread) noexcept nogil
    cdef void prepare_update(self) noexcept nogil
    cdef bint has_diverged(self) noexcept nogil
    cdef bint set_batch(self, int64_t start, int64_t n) noexcept nogil
    cdef double batch_loss(self) noexcept nogil
    cdef double penalty(self) noexcept nogil
    cdef void prepare_optimizer(self, double learning_rate, int64_t step) noexcept nogil
    cdef void set_factors(self, double decay, double dropout) noexcept nogil
    cdef void complete_step(self) noexcept nogil
