"""The training step and what it works on, for Cython code that wants to drive it."""

from cpython.pythread cimport PyThread_type_lock
from libc.stdint cimport int64_t

from fastbp.kernels.dispatch cimport data_t, kernels_t, plan_t, tile_t, update_t


cdef extern from "team.h" nogil:
    ctypedef struct team_t:
        pass
    void team_init(team_t *team)
    void team_publish(team_t *team)
    void team_await_publication(team_t *team, int64_t step)
    void team_meet(team_t *team, int64_t step, int64_t size)
    void team_skip_meeting(team_t *team)
    void team_finish(team_t *team)
    void team_await_finish(team_t *team, int64_t step, int64_t size)
    void team_set_overflow(team_t *team, int64_t value)
    int64_t team_overflow(team_t *team)
    double now()
    unsigned long long flush_denormals()
    void restore_denormals(unsigned long long mode)


cdef enum:
    WORK
    PARK
    QUIT


cdef enum:
    TRY_TEAM
    TRY_ALONE
    DECIDED


cdef class Data:
    cdef data_t c
    cdef readonly int64_t n_rows
    cdef readonly int64_t n_features
    cdef readonly int64_t n_outputs
    cdef readonly object dtype
    cdef readonly object arrays
    cdef int64_t largest_batch(self, int64_t batch_size) except -1


cdef class Patience:
    cdef public double best
    cdef public double tol
    cdef public double limit
    cdef public int64_t count
    cdef bint note(self, double value) noexcept nogil
    cdef bint exhausted(self) noexcept nogil


cdef class Plan:
    cdef plan_t c
    cdef const kernels_t *kernels
    cdef team_t team
    cdef int64_t n_threads
    cdef int64_t capacity
    cdef int64_t n_tiles
    cdef int64_t row_chunk
    cdef bint backward
    cdef int order
    cdef bint started
    cdef bint measures
    cdef bint alone
    cdef int stage
    cdef int64_t steps_left
    cdef int64_t backoff
    cdef double spent[3]
    cdef PyThread_type_lock *parking
    cdef int64_t step_number
    cdef int64_t signal_interval
    cdef int64_t steps_since_check
    cdef unsigned long long denormal_mode
    cdef int64_t t
    cdef int64_t scratch_size
    cdef char *scratch
    cdef tile_t *tiles
    cdef int64_t *tile_start
    cdef double *tile_squares
    cdef readonly Data data
    cdef readonly object arrays
    cdef list threads

    cdef void phase_one(self, int64_t thread) noexcept nogil
    cdef void phase_two(self, int64_t thread) noexcept nogil
    cdef bint take_part(self, int64_t thread, int64_t step) noexcept nogil
    cdef void follow(self, int64_t thread) noexcept nogil
    cdef void give_order(self, int order) noexcept nogil
    cdef void unpark(self) noexcept nogil
    cdef bint share_step(self) except -1 nogil
    cdef bint step_alone(self) noexcept nogil
    cdef void compare(self, double seconds) noexcept nogil
    cdef bint lead(self) except -1 nogil
    cdef bint set_batch(self, int64_t start, int64_t n) noexcept nogil
    cdef double batch_loss(self) noexcept nogil
    cdef int check_signals(self) except -1 nogil
    cdef void refresh_transposed(self) noexcept nogil
    cdef int run_forward(self) except -1 nogil
    cdef double run_gradient(self) except? -1 nogil
    cdef int run_epoch(self, int64_t n_train, double rate, double loss_scale, double *loss) except -1 nogil
