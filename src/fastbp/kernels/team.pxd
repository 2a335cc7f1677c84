"""The thread team."""

from cpython.pythread cimport PyThread_type_lock
from libc.stdint cimport int64_t

from fastbp.kernels.plan cimport Plan


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
    void team_report(team_t *team)
    int64_t team_present(team_t *team)
    int team_await_reports(team_t *team, int64_t size, double seconds)
    void team_leave(team_t *team)
    void team_await_leaving(team_t *team)
    double now()
    int current_processor()
    void leave_processor(int processor)
    unsigned long long flush_denormals()
    void restore_denormals(unsigned long long mode)


# what the leader has the followers do
cdef enum:
    FORWARD
    WORK
    PARK
    QUIT


# whether the leader tries out the team, tries out going alone, or has decided
cdef enum:
    TRY_TEAM
    TRY_ALONE
    DECIDED


cdef class Team(Plan):
    cdef team_t team
    cdef int64_t block
    cdef int64_t forks
    cdef object misdirected
    cdef bint started
    cdef bint without_followers
    cdef int order
    cdef int64_t step_number
    cdef int depth
    cdef int leader_processor
    cdef PyThread_type_lock *parking
    cdef bint measures
    cdef bint alone
    cdef int stage
    cdef public double trial_seconds
    cdef public double decision_seconds
    cdef public double longest_decision
    cdef double best[2]
    cdef double stage_seconds
    cdef int64_t stage_steps
    cdef double decided_until
    cdef int64_t check_interval
    cdef int64_t steps_since_check
    cdef unsigned long long denormal_mode

    cdef bint take_part(self, int64_t thread, int64_t step) noexcept nogil
    cdef void follow(self, int64_t thread) noexcept nogil
    cdef int ask(self) except -1 nogil
    cdef void give_order(self, int order) noexcept nogil
    cdef bint is_complete(self) except -1 nogil
    cdef int park(self) except -1 nogil
    cdef void unpark(self) noexcept nogil
    cdef bint share_step(self) except -1 nogil
    cdef bint step_alone(self) except -1 nogil
    cdef bint finish_alone(self) except -1 nogil
    cdef void begin_trials(self) noexcept nogil
    cdef void go_alone(self) noexcept nogil
    cdef void enter(self, int stage, bint alone) noexcept nogil
    cdef void compare(self, double seconds) noexcept nogil
    cdef bint lead(self) except -1 nogil
    cdef int check_interrupts(self) except -1 nogil
