"""The choice between one thread and the team, by a clock that the tests set; `team_tuner.pyx`."""

import numpy as np
import pytest

from fastbp.kernels.team_tuner import TeamTuner

BLOCK = 4
TRIAL = 4 * BLOCK


class Steps:
    """Steps that take as long as they are told, one after the other."""

    def __init__(self, team, alone):
        self.tuner, self.team, self.alone, self.time = TeamTuner(), team, alone, 100.0
        self.tuner.first_seconds = 0.0

    def run(self):
        """One step; whether it was one thread's."""
        alone = self.tuner.alone
        begin, self.time = self.time, self.time + (self.alone if alone else self.team)
        self.tuner.note_step(begin, self.time)
        return alone

    def run_for(self, seconds):
        """Steps for so long; whether each was one thread's."""
        end, ways = self.time + seconds, []
        while self.time < end:
            ways.append(self.run())
        return ways


def test_a_trial_has_blocks_of_one_thread_and_of_the_team_in_turn():
    steps = Steps(team=1e-3, alone=1e-3)
    assert [steps.run() for _ in range(1 + TRIAL)] == [False] + 2 * ([True] * BLOCK + [False] * BLOCK)


def test_the_team_works_for_a_while_before():
    steps = Steps(team=1e-4, alone=1e-4)
    steps.tuner.first_seconds = 1e-3
    ways = steps.run_for(2e-3)
    assert ways.index(True) in (10, 11)  # rounding errors of the clock


def test_blocks_of_long_steps_are_shorter():
    steps = Steps(team=6e-3, alone=1e-2)
    assert [steps.run() for _ in range(7)] == [False, True, False, False, True, False, False]


@pytest.mark.parametrize(("team", "alone", "faster_alone"), [(1e-3, 2e-3, False), (2e-3, 1e-3, True)])
def test_the_faster_way_is_kept(team, alone, faster_alone):
    steps = Steps(team, alone)
    for _ in range(1 + TRIAL):
        steps.run()
    assert {steps.run() for _ in range(20)} == {faster_alone}


@pytest.mark.parametrize("slow", [1, 2])
def test_some_slow_steps_of_a_trial_do_not_count(slow):
    """The lower quartile of eight steps is the second smallest: six may be slow."""
    steps = Steps(team=1e-3, alone=1.5e-3)
    for i in range(1 + TRIAL):
        steps.team = 1e-3 if i in (6, 13) else slow * 2e-3
        steps.run()
    steps.team = 1e-3
    assert {steps.run() for _ in range(20)} == {False}


@pytest.mark.parametrize(("team", "alone"), [(1e-3, 1.8e-3), (1e-3, 1.2e-3), (2e-3, 1e-3), (1.1e-3, 1e-3)])
def test_trials_cost_a_hundredth_of_the_time(team, alone):
    steps = Steps(team, alone)
    ways = steps.run_for(10.0)
    faster = min(team, alone)
    assert 1.005 < 10.0 / len(ways) / faster < 1.012
    assert len(set(ways[-1000:])) == 2  # they do not end


def test_the_smaller_the_difference_the_more_often_it_is_measured():
    def n_trials(alone):
        ways = np.array(Steps(1e-3, alone).run_for(10.0))
        return np.count_nonzero(np.diff(ways.astype(int)) == 1) / 2

    assert n_trials(1.1e-3) > 2 * n_trials(1.8e-3)


def test_a_team_that_becomes_slow_is_left():
    steps = Steps(team=1e-3, alone=2e-3)
    steps.run_for(0.1)
    steps.team = 3e-3  # its threads have to wait for a processor
    ways = steps.run_for(1.0)
    # 25 ms behind at 1 ms a step, and the first of the trials that follow
    assert ways.index(True) < 30
    assert np.mean(ways) > 0.8


def test_a_team_that_becomes_fast_again_is_soon_found():
    steps = Steps(team=1e-3, alone=2e-3)
    steps.run_for(0.1)
    steps.team = 5e-3
    steps.run_for(0.05)
    steps.team = 1e-3
    ways = steps.run_for(0.3)
    assert np.mean(ways[:20]) > 0.5
    assert not any(ways[-100:])


def test_the_pauses_of_the_team_become_longer_and_shorter():
    steps = Steps(team=1e-3, alone=2e-3)
    steps.run_for(0.1)
    assert steps.tuner.pause == 0.05
    steps.team = 20e-3
    steps.run_for(3.0)
    assert steps.tuner.pause == 1.0
    steps.team = 1e-3
    steps.run_for(6.0)
    assert steps.tuner.pause == 0.05


def test_a_team_that_is_slow_now_and_then_is_used_for_most_of_the_time():
    """As beside a thread that reads rows for a while, again and again."""
    steps, n = Steps(team=1e-3, alone=2e-3), {True: 0, False: 0}
    end = steps.time + 30
    while steps.time < end:
        is_busy = (steps.time - 100) % 0.4 > 0.34
        steps.team, steps.alone = (3e-3, 2.5e-3) if is_busy else (1e-3, 2e-3)
        n[steps.run()] += 1
    # .06 of .4 seconds are busy: of 30 seconds without them, 25.5 are the team's, which takes 1 ms
    assert n[False] > 18_000


class Machine:
    """A machine of two processors, of which others use the second one now and then: a simulation.

    Parameters
    ----------
    team, alone : float
        Seconds of a step where nothing else runs; at most 6 % more by chance.
    taken : list of (float, float)
        When the second processor is not available, from and to. The team waits; one thread does not need it.
    """

    def __init__(self, team, alone, taken):
        self.team, self.alone, self.taken = team, alone, taken
        self.rng = np.random.default_rng(0)

    def step(self, time, alone):
        """The duration of a step that begins at a time."""
        if alone:
            return self.alone * self.rng.uniform(1, 1.06)
        end = time + self.team * self.rng.uniform(1, 1.06)
        for begin, until in self.taken:
            if begin < end and until > time:
                end += until - max(begin, time)
        return end - time

    def seconds_per_step(self, choose, seconds):
        """The mean; `choose` is a function of nothing, or a tuner."""
        time, n = 0.0, 0
        while time < seconds:
            alone = choose.alone if isinstance(choose, TeamTuner) else choose
            duration = self.step(time, alone)
            if isinstance(choose, TeamTuner):
                choose.note_step(time, time + duration)
            time, n = time + duration, n + 1
            while self.taken and self.taken[0][1] < time:
                self.taken = self.taken[1:]
        return time / n


def periods(every, duration, begin=0.0, end=4.0):
    return [(t, t + duration) for t in np.arange(begin, end, every)]


#: When the second processor is taken, and how much slower than the better way the choice may be, team twice as fast
LOADS = {
    "quiet": ([], 1.015),
    "5 of 20 ms": (periods(0.02, 0.005), 1.04),
    "for a second, in slices of 4 ms": (periods(0.005, 0.004, 1.0, 2.0), 1.03),
    "always, but for moments": (periods(0.004, 0.0039), 1.15),
}


@pytest.mark.parametrize(("taken", "most"), LOADS.values(), ids=LOADS)
@pytest.mark.parametrize("ratio", [1.8, 1.0, 0.8])
def test_on_a_shared_machine_the_choice_is_nearly_the_better_one(taken, most, ratio):
    def machine():
        return Machine(1e-3 / ratio, 1e-3, taken)

    better = min(machine().seconds_per_step(alone, 4.0) for alone in (False, True))
    assert machine().seconds_per_step(TeamTuner(), 4.0) < most * better


@pytest.mark.parametrize(("ratio", "most"), [(1.8, 1.0), (1.0, 1.0), (0.8, 1.25)])
def test_a_fit_of_a_millisecond_is_the_teams(ratio, most):
    machine = Machine(5e-5 / ratio, 5e-5, [])
    expected = most * min(5e-5, 5e-5 / ratio)
    assert machine.seconds_per_step(TeamTuner(), 1e-3) == pytest.approx(expected, rel=0.06)
