"""The choice between one thread and all of a team."""

from libc.stdint cimport int64_t


cdef enum:
    # steps of a block at most, and blocks of a trial
    BLOCK_STEPS = 4
    TRIAL_BLOCKS = 4
    MOST_STEPS = 8  # of one way in a trial


cdef class TeamTuner:
    cdef readonly bint alone
    cdef bint chosen_alone
    cdef bint is_decided
    cdef public double first_seconds
    cdef public double trial_share
    cdef public double pause
    cdef public double longest_pause
    # of the trial: its block, the steps of the block and their seconds; of both ways, the steps and their seconds
    cdef int64_t block
    cdef int64_t block_steps
    cdef double block_seconds
    cdef double steps[2][MOST_STEPS]
    cdef int64_t n_steps[2]
    cdef double quartile[2]
    # of the decision: its end, when the next pause of the team is halved, and how far the team is behind one thread
    cdef double decided_until
    cdef double next_halving
    cdef double lag

    cdef void note(self, double begin, double end) noexcept nogil
    cdef void begin_trial(self, bint alone_first) noexcept nogil
    cdef void note_trial(self, double seconds, double end) noexcept nogil
    cdef void rest_team(self, double end) noexcept nogil
    cdef void watch_team(self, double seconds, double end) noexcept nogil
    cdef double lower_quartile(self, bint alone) noexcept nogil
    cdef double lost(self, bint alone, double by_the_other) noexcept nogil
    cdef void decide(self, bint alone, double end, double cost) noexcept nogil
    cdef void use(self, bint alone, double end, double seconds) noexcept nogil
