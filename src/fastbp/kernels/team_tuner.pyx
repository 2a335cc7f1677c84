"""The choice between one thread and all threads of a team.

Which one is faster depends on the size of a step and on the load of the machine. In steps of less than some megaflops,
the exchange of cache lines between threads takes longer than it saves, and a team whose threads wait for a processor is
slower than one thread. The choice has no influence on results, so it is made by measurement during training.

A trial has blocks of a few steps of the team and of one thread in turn, so that a burst of load meets both. The way
with the smaller lower quartile of the times of its steps is chosen: it does not depend on the steps during which a
processor was unavailable, nor on the first ones, in which threads wake up and caches are cold. A trial costs the time
that the slower way has lost, and the next one follows when this is a small share of the time since: the smaller the
difference, the sooner. A trial ends at once when the way that is not in use falls far behind.

While the team works, the time is added up by which its steps are slower than those of one thread were; faster steps
reduce the sum. If processors are unavailable for so long that it becomes large, one thread continues, and the team has
a pause, each time for twice as long; so, too, if the team falls far behind in a trial. As long as the team stays fast,
its pauses become shorter again: another thread that works now and then, such as one that reads rows, makes the team
slow for a short time only. (The sum is the CUSUM of Page, 1954, Continuous inspection schemes, Biometrika 41.)
"""

from libc.math cimport INFINITY, fmax, fmin
from libc.stdint cimport int64_t

# A block of this duration ends although it has fewer than BLOCK_STEPS steps.
cdef double BLOCK_SECONDS = 0.01
# The cost of trials as a share of the time between them
cdef double TRIAL_SHARE = 0.01
# Before the first trial, the team works for this time: its threads wake up, and shorter fits need no trial.
cdef double FIRST_SECONDS = 0.001
# The time between two trials is at least this multiple of the duration of a trial.
cdef double SHORTEST_DECISION = 4
# How far a way may fall behind in a trial, and the team while it works: more than a time slice of another program, and
# than some steps.
cdef double TRIAL_LAG = 0.01
cdef double LARGEST_LAG = 0.025
cdef double LAG_STEPS = 4
# duration of the pauses of the team, in seconds
cdef double SHORTEST_PAUSE = 0.05
cdef double LONGEST_PAUSE = 1.0


cdef class TeamTuner:
    """Decides from the times of steps whether the next one is for one thread or for the team.

    Attributes
    ----------
    alone : bool
        Whether the next step is for one thread.
    first_seconds : float
        Duration of the team's work before the first trial.
    trial_share : float
        Largest cost of trials as a share of the time between them.
    pause, longest_pause : float
        In seconds: the duration of the next pause of the team, and the largest time between two trials.
    """

    def __init__(self):
        self.first_seconds, self.trial_share = FIRST_SECONDS, TRIAL_SHARE
        self.pause, self.longest_pause = SHORTEST_PAUSE, LONGEST_PAUSE
        self.quartile[False] = self.quartile[True] = INFINITY
        self.lag = self.next_halving = 0
        self.use(False, -INFINITY, 0)

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
        if self.decided_until == -INFINITY:
            self.use(False, begin, self.first_seconds)
        if not self.is_decided:
            self.note_trial(end - begin, end)
        elif end > self.decided_until:
            self.begin_trial(not self.alone)
        elif not self.alone:
            self.watch_team(end - begin, end)

    # Trials

    cdef void begin_trial(self, bint alone_first) noexcept nogil:
        """Blocks of both ways in turn, the first one of the way that is not in use."""
        self.is_decided, self.chosen_alone, self.alone = False, not alone_first, alone_first
        self.block = self.block_steps = self.n_steps[False] = self.n_steps[True] = 0
        self.block_seconds = 0

    cdef void note_trial(self, double seconds, double end) noexcept nogil:
        """Note a step of a trial, and decide at its end."""
        cdef bint alone = self.alone, is_faster
        cdef double behind
        self.steps[alone][self.n_steps[alone]] = seconds
        self.n_steps[alone] += 1
        self.block_steps += 1
        self.block_seconds += seconds
        if alone != self.chosen_alone:
            behind = self.lost(alone, self.quartile[not alone])
            if behind > fmax(TRIAL_LAG, LAG_STEPS * self.quartile[not alone]):
                if alone:
                    self.decide(False, end, behind)
                else:
                    self.rest_team(end)
                return
        if self.block_steps < BLOCK_STEPS and self.block_seconds < BLOCK_SECONDS:
            return
        self.block += 1
        self.block_steps, self.block_seconds, self.alone = 0, 0, not alone
        if self.block == TRIAL_BLOCKS:
            self.quartile[False], self.quartile[True] = self.lower_quartile(False), self.lower_quartile(True)
            is_faster = self.quartile[True] < self.quartile[False]
            self.decide(is_faster, end, self.lost(not is_faster, self.quartile[is_faster]))

    cdef double lower_quartile(self, bint alone) noexcept nogil:
        """Of the times of the steps of one way in this trial."""
        cdef double *steps = self.steps[alone]
        cdef int64_t n = self.n_steps[alone], i, j
        cdef double step
        for i in range(1, n):  # insertion sort of a few numbers
            step, j = steps[i], i
            while j > 0 and steps[j - 1] > step:
                steps[j] = steps[j - 1]
                j -= 1
            steps[j] = step
        return steps[(n - 1) // 4]

    cdef double lost(self, bint alone, double by_the_other) noexcept nogil:
        """The time that the steps of one way in this trial took longer than that of the other would have."""
        cdef double total = 0
        cdef int64_t i
        for i in range(self.n_steps[alone]):
            total += self.steps[alone][i]
        return fmax(total - self.n_steps[alone] * by_the_other, 0)

    # Decisions

    cdef void decide(self, bint alone, double end, double cost) noexcept nogil:
        """Use one way until another trial is worth its cost."""
        cdef double duration = self.lost(False, 0) + self.lost(True, 0)
        self.use(alone, end, fmin(fmax(cost / self.trial_share, SHORTEST_DECISION * duration), self.longest_pause))

    cdef void use(self, bint alone, double end, double seconds) noexcept nogil:
        self.is_decided, self.alone, self.chosen_alone = True, alone, alone
        self.decided_until = end + seconds

    cdef void rest_team(self, double end) noexcept nogil:
        """Give the team a pause, and have the next one be twice as long."""
        self.use(True, end, self.pause)
        self.pause = fmin(2 * self.pause, self.longest_pause)
        self.lag, self.next_halving = 0, self.decided_until + self.pause

    cdef void watch_team(self, double seconds, double end) noexcept nogil:
        """Note a step of the team, and give it a pause when it is too far behind."""
        self.lag = fmax(self.lag + seconds - self.quartile[True], 0)
        if self.lag > fmax(LARGEST_LAG, LAG_STEPS * self.quartile[True]):
            self.rest_team(end)
        elif end > self.next_halving:
            if self.lag == 0:
                self.pause = fmax(self.pause / 2, SHORTEST_PAUSE)
            self.next_halving = end + self.pause
