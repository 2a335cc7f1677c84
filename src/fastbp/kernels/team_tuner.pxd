"""The choice between one thread and all of a team."""

from libc.stdint cimport int64_t


# whether the team is tried out, or one thread, or the choice is made
cdef enum:
    TRY_TEAM
    TRY_ALONE
    DECIDED


cdef class TeamTuner:
    cdef readonly bint alone
    cdef int stage
    cdef public double trial_seconds
    cdef public double decision_seconds
    cdef public double longest_decision
    cdef double shortest_step[2]
    cdef double stage_seconds
    cdef int64_t stage_steps
    cdef double decided_until

    cdef void note(self, double begin, double end) noexcept nogil
    cdef void begin_trials(self) noexcept nogil
    cdef void enter(self, int stage, bint alone) noexcept nogil
    cdef void decide_for_one(self, double time) noexcept nogil
