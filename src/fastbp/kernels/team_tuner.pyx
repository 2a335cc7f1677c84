"""The choice between one thread and all threads of a team.

Which one is faster depends on the size of a step and on the load of the machine. In steps of less than some megaflops,
the exchange of cache lines between threads takes longer than it saves, and a team whose threads wait for a processor is
slower than one thread. The choice has no influence on results, so it is made by measurement during training: some steps
of the team and some steps of one thread are timed, the faster way is used for a while, and then both are tried again.
If the steps of the team become slower than those of one thread were, one thread continues, each time for twice as long.
As long as the team stays fast, that time becomes shorter again: another thread that works now and then, such as one
that reads rows, makes the team slow for a short time only.
"""

from libc.math cimport INFINITY
from libc.stdint cimport int64_t

# smallest number of steps and of seconds of a trial
cdef int64_t TRIAL_STEPS = 8
cdef double TRIAL_SECONDS = 0.001
# The team's steps are averaged over this time: on a shared machine a processor may be unavailable for milliseconds.
cdef double WATCHED_SECONDS = 0.05
# duration of a decision, in seconds; one for one thread holds twice as long each time, and half as long after each
# watched time in which the team was fast
cdef double SHORTEST_DECISION = 0.05
cdef double LONGEST_DECISION = 1.0


cdef class TeamTuner:
    """Decides from the times of steps whether the next one is for one thread or for the team.

    Attributes
    ----------
    alone : bool
        Whether the next step is for one thread.
    trial_seconds : float
        Smallest duration of the trial of the team, and of that of one thread.
    decision_seconds, longest_decision : float
        Duration of the next decision for one thread, and the largest duration of a decision.
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
            # the shortest step: the first steps of a trial take longer, because threads wake up and caches are cold
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
            else:
                self.decision_seconds = max(self.decision_seconds / 2, SHORTEST_DECISION)
            self.stage_seconds, self.stage_steps = 0, 0

    cdef void begin_trials(self) noexcept nogil:
        """Try some steps of the team, and then some steps of one thread."""
        self.shortest_step[TRY_TEAM] = self.shortest_step[TRY_ALONE] = INFINITY
        self.enter(TRY_TEAM, False)

    cdef void enter(self, int stage, bint alone) noexcept nogil:
        self.stage, self.alone, self.stage_seconds, self.stage_steps = stage, alone, 0, 0

    cdef void decide_for_one(self, double time) noexcept nogil:
        """Continue with one thread, for twice as long as the last time."""
        self.enter(DECIDED, True)
        self.decided_until = time + self.decision_seconds
        self.decision_seconds = min(2 * self.decision_seconds, self.longest_decision)
