"""A team of threads that work through the phases of a task together."""

from libc.stdint cimport int64_t

from fastbp.kernels.workers cimport Workers


cdef extern from "threads.h" nogil:
    ctypedef struct team_t:
        pass
    void team_init(team_t *team)
    void team_publish(team_t *team)
    int team_await_order(team_t *team, int64_t order, double seconds)
    void team_barrier(team_t *team, int64_t barrier, int64_t size)
    void team_finish(team_t *team)
    void team_await_finish(team_t *team, int64_t order, int64_t size)

    ctypedef struct parking_t:
        void *lock
    void parking_init(parking_t *parking, void *lock)
    bint parking_begin(parking_t *parking, team_t *team, int64_t order)
    bint parking_end(parking_t *parking)


# Work for the threads of a team.
cdef class Task:
    # Thread number `thread` does its share of a phase. Whether there is a next phase for the team to do: all threads
    # must give the same answer, so it may depend only on what the phases before this one have written.
    cdef bint work(self, int64_t phase, int64_t thread) noexcept nogil


cdef class Team:
    cdef team_t c
    cdef readonly int64_t n_threads
    cdef public bint alone
    cdef Workers workers
    cdef int64_t n_contexts
    cdef parking_t *parking
    cdef int leader_processor
    # the current order: which phases of which task; without a task, to leave
    cdef void *task
    cdef int64_t begin
    cdef int64_t end
    cdef int64_t n_orders
    cdef int64_t n_barriers

    cdef bint is_complete(self) noexcept nogil
    cdef bint is_working(self) noexcept nogil
    cdef int await_arrivals(self, double seconds) except -1 nogil
    cdef bint run(self, Task task, int64_t begin, int64_t end) noexcept nogil
    cdef bint share(self, Task task, int64_t begin, int64_t end) noexcept nogil
    cdef bint run_alone(self, Task task, int64_t begin, int64_t end) noexcept nogil
    cdef void publish(self, void *task, int64_t begin, int64_t end) noexcept nogil
    cdef bint run_phases(self, int64_t thread, int64_t *n_barriers) noexcept nogil
    cdef void await_order(self, int64_t thread, int64_t order) noexcept nogil
    cdef void follow_orders(self, int64_t thread) noexcept nogil
