"""The threads that share a step.

One thread leads: it chooses the batch, counts the loss, and decides; the others follow. They are Python threads that
run without the GIL and live as long as one call.

A thread that was started may never come: the system may refuse it the memory that it begins with, and the interpreter
lets none run when it exits. So the leader works alone until every follower has reported for duty, and at the end waits
for those that have; one that comes later finds the block closed and returns. Whether they come does not show in any
result. In the child of a fork, which a callback, a cost or a signal handler may make, there are no followers.
"""

import _thread

from cpython.pythread cimport (
    PyThread_acquire_lock, PyThread_allocate_lock, PyThread_free_lock, PyThread_release_lock,
)
from libc.math cimport INFINITY
from libc.stdint cimport int64_t
from libc.stdlib cimport calloc, free

from fastbp.kernels.data cimport Data
from fastbp.kernels.forks cimport count_of_forks

from fastbp.kernels.interrupts import look_outside

FLOPS_BETWEEN_CHECKS = 200_000_000.0  # a tenth of a second on a slow core
# Below this the team and one thread are timed against each other while training goes on; above, the team is sure to
# pay, and steps are too few to try.
cdef double FLOPS_WORTH_SHARING = 100_000_000.0
cdef int64_t TRIAL_STEPS = 8  # a trial lasts at least so many steps, and so many seconds
cdef double TRIAL_SECONDS = 0.001
# A shared machine takes a processor away for some milliseconds now and then: that must not count for much.
cdef double WATCHED_SECONDS = 0.05
# seconds that a decision holds; a decision to go alone, that much longer each time
cdef double SHORTEST_DECISION = 0.05
cdef double LONGEST_DECISION = 1.0
# How long a leader whose steps are large waits for its followers before it does the first one alone
cdef double ARRIVAL_SECONDS = 0.005


cdef class Team(Plan):
    """A plan and the threads that carry it out. A context manager: the threads live inside the ``with`` block.

    Blocks may be nested: then the threads live as long as the outermost, and rest between the inner ones.

    Parameters are those of `Plan`.

    Attributes
    ----------
    trial_seconds : float
        How long the team, and then one thread, is tried out at least.
    decision_seconds, longest_decision : float
        How long the next decision to go alone holds, and how long a decision holds at most.
    """

    def __init__(self, layers, params, loss, Data data, int64_t batch_size, bint gathers, int64_t n_threads=1):
        super().__init__(layers, params, loss, data, batch_size, gathers, n_threads)
        self.check_interval = <int64_t> max(1.0, FLOPS_BETWEEN_CHECKS / self.step_cost)
        self.measures = n_threads > 1 and self.flops < FLOPS_WORTH_SHARING
        self.trial_seconds = TRIAL_SECONDS
        self.decision_seconds, self.longest_decision = SHORTEST_DECISION, LONGEST_DECISION
        self.begin_trials()
        self.make_parking()

    def make_parking(self):
        """A lock for each follower to rest at."""
        cdef int64_t thread
        self.parking = <PyThread_type_lock *> calloc(self.n_threads, sizeof(PyThread_type_lock))
        if self.parking == NULL:
            raise MemoryError
        for thread in range(1, self.n_threads):
            self.parking[thread] = PyThread_allocate_lock()
            if self.parking[thread] == NULL:
                raise MemoryError
            PyThread_acquire_lock(self.parking[thread], 1)

    def __dealloc__(self):
        cdef int64_t thread
        if self.parking != NULL:
            for thread in range(1, self.n_threads):
                if self.parking[thread] != NULL:
                    PyThread_free_lock(self.parking[thread])
            free(self.parking)

    cdef bint take_part(self, int64_t thread, int64_t step) noexcept nogil:
        """One thread's share of one step. False when the step was abandoned: the loss and its derivative are no
        longer finite, and the weights are left as they were."""
        self.phase_one(thread)
        if thread == self.n_threads - 1 and self.c.data.indptr != NULL:
            self.kernels.sparse_columns(&self.c)
        team_meet(&self.team, step, self.n_threads)
        if self.diverged():
            return False
        self.phase_two(thread)
        return True

    cdef void follow(self, int64_t thread) noexcept nogil:
        cdef unsigned long long mode = flush_denormals()
        cdef int64_t step = 0
        leave_processor(self.leader_processor)
        while True:
            step += 1
            team_await_publication(&self.team, step)
            if self.order == QUIT:
                break
            if self.order == PARK:
                team_skip_meeting(&self.team)
                PyThread_acquire_lock(self.parking[thread], 1)
            elif self.order == FORWARD:
                team_skip_meeting(&self.team)
                self.forward_phase(thread)
            else:
                self.take_part(thread, step)
            team_finish(&self.team)
        restore_denormals(mode)

    cdef int ask(self) except -1 nogil:
        """Call the user's cost, with the floating-point unit as Python knows it; also when an exception is raised."""
        restore_denormals(self.denormal_mode)
        self.ask_cost()
        flush_denormals()
        return 0

    cdef bint is_complete(self) except -1 nogil:
        """Whether all followers are there; starts them at the first call."""
        if self.without_followers:
            return False
        if count_of_forks() != self.forks:  # the followers are the parent's
            self.without_followers = True
            return False
        if not self.started:
            restore_denormals(self.denormal_mode)  # a new thread takes over the mode of the one that starts it
            with gil:
                self.start_followers()
            flush_denormals()
            if self.without_followers:
                return False
            if not self.measures:
                team_await_reports(&self.team, self.n_threads, ARRIVAL_SECONDS)
        return team_present(&self.team) == self.n_threads - 1

    cdef void give_order(self, int order) noexcept nogil:
        """Publish the next order to the followers."""
        self.order = order
        self.step_number += 1
        team_publish(&self.team)

    cdef bint share_step(self) except -1 nogil:
        """One step of the whole team over the batch that is set."""
        cdef bint complete
        if self.order == PARK:
            self.unpark()
        if self.asks:
            self.give_order(FORWARD)
            team_skip_meeting(&self.team)
            self.forward_phase(0)
            team_await_finish(&self.team, self.step_number, self.n_threads)
            self.ask()
            if not self.is_complete():  # the cost made this process, by a fork
                return self.finish_alone()
        self.give_order(WORK)
        complete = self.take_part(0, self.step_number)
        team_await_finish(&self.team, self.step_number, self.n_threads)
        return complete

    cdef int park(self) except -1 nogil:
        """Have the followers rest at their locks, where they use no processor."""
        if self.started and self.order != PARK and self.is_complete():
            self.give_order(PARK)
            team_skip_meeting(&self.team)
        return 0

    cdef void unpark(self) noexcept nogil:
        """Wake the resting followers up."""
        cdef int64_t thread
        for thread in range(1, self.n_threads):
            PyThread_release_lock(self.parking[thread])
        team_await_finish(&self.team, self.step_number, self.n_threads)
        self.order = WORK

    cdef bint step_alone(self) except -1 nogil:
        """The same step by one thread: every thread's rows, then every thread's tiles."""
        cdef int64_t thread
        if self.asks:
            for thread in range(self.n_threads):
                self.forward_phase(thread)
            self.ask()
        return self.finish_alone()

    cdef bint finish_alone(self) except -1 nogil:
        """The rest of it, where a cost was asked for after the forward pass."""
        cdef int64_t thread
        for thread in range(self.n_threads):
            self.phase_one(thread)
        if self.c.data.indptr != NULL:
            self.kernels.sparse_columns(&self.c)
        if self.diverged():
            return False
        for thread in range(self.n_threads):
            self.phase_two(thread)
        return True

    cdef bint lead(self) except -1 nogil:
        """One step over the batch that is set, by the team or alone. False when it was abandoned."""
        cdef double begin
        cdef bint complete
        if self.n_threads == 1 or not self.is_complete():
            return self.step_alone()
        if not self.measures:
            return self.share_step()
        begin = now()
        if self.alone:
            self.park()
            complete = self.step_alone()
        else:
            complete = self.share_step()
        self.compare(now() - begin)
        return complete

    cdef void compare(self, double seconds) noexcept nogil:
        """Time a few steps of the team and a few alone, go on with what was faster, and try again after a while.

        Whether a second thread pays depends on the size of the step and on what else the machine is doing: below some
        megaflops the threads spend more time on each other's cache lines than they save, and a team whose members
        have to wait for a processor is slower than one thread. Neither can be known beforehand, and the choice has no
        influence on the result. While the team works it is watched: when a stretch of its steps takes longer than
        one thread would have, one thread goes on, each time for twice as long.
        """
        self.stage_seconds += seconds
        self.stage_steps += 1
        if self.stage != DECIDED:
            # the shortest step of a trial: the first ones wake the followers up, and fill another core's cache
            self.best[self.stage] = min(self.best[self.stage], seconds)
            if self.stage_steps < TRIAL_STEPS or self.stage_seconds < self.trial_seconds:
                return
            if self.stage == TRY_TEAM:
                self.enter(TRY_ALONE, True)
            elif self.best[TRY_ALONE] < self.best[TRY_TEAM]:
                self.go_alone()
            else:
                self.enter(DECIDED, False)
                self.decided_until = now() + self.longest_decision
        elif now() > self.decided_until:
            self.begin_trials()
        elif not self.alone and self.stage_seconds > WATCHED_SECONDS:
            if self.stage_seconds > self.stage_steps * self.best[TRY_ALONE]:
                self.go_alone()
            self.stage_seconds, self.stage_steps = 0, 0

    cdef void enter(self, int stage, bint alone) noexcept nogil:
        """Begin to try, or to carry out a decision."""
        self.stage, self.alone, self.stage_seconds, self.stage_steps = stage, alone, 0, 0

    cdef void begin_trials(self) noexcept nogil:
        """First some steps of the team, then some alone."""
        self.best[TRY_TEAM] = self.best[TRY_ALONE] = INFINITY
        self.enter(TRY_TEAM, False)

    cdef void go_alone(self) noexcept nogil:
        """One thread goes on, for twice as long as the last time."""
        self.enter(DECIDED, True)
        self.decided_until = now() + self.decision_seconds
        self.decision_seconds = min(2 * self.decision_seconds, self.longest_decision)

    def _follow(self, int64_t thread, int64_t block):
        try:
            look_outside()
        except BaseException as error:
            # before a new thread runs, CPython takes it for the one that started it, which this was meant for
            self.misdirected = error
        if self.block != block:  # closed before this thread came; under the GIL, as its closing
            return
        team_report(&self.team)
        with nogil:
            self.follow(thread)
        team_leave(&self.team)

    def start_followers(self):
        """Start all threads but the leader. Where the system has no more of them, those that came are dismissed."""
        cdef int64_t thread
        self.started = True
        self.leader_processor = current_processor()
        try:
            for thread in range(1, self.n_threads):
                _thread.start_new_thread(self._follow, (thread, self.block))
        except (RuntimeError, MemoryError):
            self.dismiss()
        except BaseException:
            self.dismiss()
            raise

    def dismiss(self):
        """Close the block, and wait for the followers that have come to it."""
        cdef bint forked = count_of_forks() != self.forks
        self.block += 1
        self.without_followers = True
        if not self.started or forked:
            return
        with nogil:
            if self.order == PARK:
                self.unpark()
            self.give_order(QUIT)
            team_await_leaving(&self.team)

    def __enter__(self):
        """Get ready for steps; the followers start with the first step that can be shared."""
        self.depth += 1
        if self.depth > 1:
            return self
        team_init(&self.team)
        self.step_number, self.order, self.started, self.steps_since_check = 0, WORK, False, 0
        self.without_followers, self.forks = False, count_of_forks()
        return self

    def __exit__(self, *exception):
        """Dismiss the followers, or have them rest."""
        self.depth -= 1
        if self.depth:
            self.park()
        else:
            self.dismiss()
            if exception[:1] in ((), (None,)):
                self.raise_misdirected()

    def raise_misdirected(self):
        """Raise the exception that a follower got in place of this thread, if there is one."""
        error, self.misdirected = self.misdirected, None
        if error is not None:
            raise error

    cdef int check_interrupts(self) except -1 nogil:
        """Every so many steps, let Python deliver what comes from outside, with the floating-point unit as it knows it;
        also when that is an exception."""
        self.steps_since_check += 1
        if self.steps_since_check >= self.check_interval:
            self.steps_since_check = 0
            restore_denormals(self.denormal_mode)
            with gil:
                look_outside()
                self.raise_misdirected()
            flush_denormals()
        return 0
