"""The training loop of one network and data set."""

from libc.stdint cimport int64_t

from fastbp.kernels.plan cimport Plan
from fastbp.kernels.team cimport Team
from fastbp.kernels.team_tuner cimport TeamTuner


cdef extern from "threads.h" nogil:
    ctypedef struct flag_t:
        pass
    void flag_set(flag_t *flag, int value)
    int flag_is_set(flag_t *flag)


cdef class TrainingLoop:
    cdef readonly Plan plan
    cdef readonly Team team
    cdef readonly TeamTuner tuner
    cdef readonly TeamTuner tuner_beside_reader
    cdef flag_t reads
    cdef bint is_tuned
    cdef bint has_factors
    cdef int64_t check_interval
    cdef int64_t steps_since_check
    cdef unsigned long long denormal_mode
    cdef readonly int64_t n_steps
    cdef readonly int64_t epochs_done
    cdef public double first_loss
    # of the epoch so far: the sum of the losses of its batches, by their rows, and the rows that are summed
    cdef double loss_sum
    cdef int64_t n_summed
    cdef object gradient_array
    cdef void *gradient
    cdef int64_t gradient_bytes

    cdef bint run_step(self) except -1 nogil
    cdef bint run_phases(self) except -1 nogil
    cdef bint run_before_update(self, int64_t begin, int64_t end) except -1 nogil
    cdef int run_update(self) except -1 nogil
    cdef int run_parts(self, int64_t phase) except -1 nogil
    cdef int call_loss(self) except -1 nogil
    cdef int deliver_signals(self) except -1 nogil
    cdef int check_interrupts(self) except -1 nogil
    cdef void look_ahead(self, double sign) noexcept nogil
    cdef int run_statistics(self, int64_t n_train) except -1 nogil
    cdef double run_gradient(self) except? -1 nogil
    cdef bint run_epoch(self, int64_t n_train, const double[:, :] rates, const double[:, :] decay_factors,
                        const double[:, :] dropout_factors, int64_t epoch, double loss_scale,
                        double *loss) except -1 nogil
    cdef bint run_step_in_slices(self, int64_t start, int64_t size, double *loss) except -1 nogil
