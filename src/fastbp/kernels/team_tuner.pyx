"""The choice between one thread and all of a team.

Whether further threads pay depends on the size of a step and on what else the machine is doing: below some megaflops
the threads spend more time on each other's cache lines than they save, and a team whose threads wait for a processor is
slower than one thread. Neither is known beforehand, and the choice has no influence on results. So a few steps of the
team and a few of one thread are timed while training goes on, the faster way is kept for a while, and then both are
tried again. While the team works it is watched: when some of its steps take longer than one thread would have taken,
one thread goes on, each time for twice as long.
"""

from libc.math cimport INFINITY
from libc.stdint cimport int64_t

# a trial lasts at least so many steps, and so many seconds
cdef int64_t TRIAL_STEPS = 8
cdef double TRIAL_SECONDS = 0.001
# On a shared machine a processor may be away for some milliseconds: that must not count for much.
cdef double WATCHED_SECONDS = 0.05
# seconds that a decision holds; a decision for one thread holds twice as long each time
cdef double SHORTEST_DECISION = 0.05
cdef double LONGEST_DECISION = 1.0


cdef class TeamTuner:
    """Decides from the times of steps whether the next one is for one thread or for the team.

    Attributes
    ----------
    alone : bool
        Whether the next step is for one thread.
    trial_seconds : float
        The least time for which the team, and then one thread, is tried out.
    decision_seconds, longest_decision : float
        How long the next decision for one thread holds, and how long a decision holds at most.
    """

    def __init__(self):
        self.trial_seconds = TRIAL_SECONDS
        self.decision_seconds, self.longest_decision = SHORTEST_DECISION, LONGEST_DECISION
        self.begin_trials()

    def note_step(self, double begin, double end):
        """Note the time of a step, and decide about the next one.

        Parameters
        ----------
        begin, end : float
            In seconds, of the same clock for all steps.
        """
        self.note(begin, end)

    cdef void note(self, double begin, double end) noexcept nogil:
        """`note_step`."""
        cdef double seconds = end - begin
        self.stage_seconds += seconds
        self.stage_steps += 1
        if self.stage != DECIDED:
            # the shortest one: in the first steps of a trial threads wake up, and caches are filled
            self.shortest_step[self.stage] = min(self.shortest_step[self.stage], seconds)
            if self.stage_steps < TRIAL_STEPS or self.stage_seconds < self.trial_seconds:
                return
            if self.stage == TRY_TEAM:
                self.enter(TRY_ALONE, True)
            elif self.shortest_step[TRY_ALONE] < self.shortest_step[TRY_TEAM]:
                self.decide_for_one(end)
            else:
                self.enter(DECIDED, False)
                self.decided_until = end + self.longest_decision
        elif end > self.decided_until:
            self.begin_trials()
        elif not self.alone and self.stage_seconds > WATCHED_SECONDS:
            if self.stage_seconds > self.stage_steps * self.shortest_step[TRY_ALONE]:
                self.decide_for_one(end)
            self.stage_seconds, self.stage_steps = 0, 0

    cdef void begin_trials(self) noexcept nogil:
        """First some steps of the team, then some of one thread."""
        self.shortest_step[TRY_TEAM] = self.shortest_step[TRY_ALONE] = INFINITY
        self.enter(TRY_TEAM, False)

    cdef void enter(self, int stage, bint alone) noexcept nogil:
        self.stage, self.alone, self.stage_seconds, self.stage_steps = stage, alone, 0, 0

    cdef void decide_for_one(self, double time) noexcept nogil:
        """One thread goes on, for twice as long as the last time."""
        self.enter(DECIDED, True)
        self.decided_until = time + self.decision_seconds
        self.decision_seconds = min(2 * self.decision_seconds, self.longest_decision)
