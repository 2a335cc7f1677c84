"""The choice between one thread and the team, by a clock that the tests set; `team_tuner.pyx`."""

import pytest

from fastbp.kernels.team_tuner import TeamTuner

TRIAL_STEPS = 8


class Steps:
    """Steps that take as long as they are told, one after the other."""

    def __init__(self, team, alone):
        self.tuner, self.team, self.alone, self.time = TeamTuner(), team, alone, 100.0

    def run(self):
        """One step; whether it was one thread's."""
        alone = self.tuner.alone
        begin, self.time = self.time, self.time + (self.alone if alone else self.team)
        self.tuner.note_step(begin, self.time)
        return alone

    def run_until(self, alone, seconds=60):
        """Steps until the next one is for one thread, or not; the seconds they took."""
        begin = self.time
        while self.tuner.alone != alone:
            self.run()
            assert self.time < begin + seconds
        return self.time - begin


def test_first_the_team_is_tried_then_one_thread():
    steps = Steps(team=1e-3, alone=1e-3)
    assert [steps.run() for _ in range(2 * TRIAL_STEPS)] == [False] * TRIAL_STEPS + [True] * TRIAL_STEPS


def test_short_steps_are_tried_for_a_while():
    steps = Steps(team=1e-5, alone=1e-5)
    steps.tuner.trial_seconds = 5e-4
    assert steps.run_until(alone=True) == pytest.approx(5e-4, abs=2e-5)


@pytest.mark.parametrize(("team", "alone", "faster_alone"), [(1e-3, 2e-3, False), (2e-3, 1e-3, True)])
def test_the_faster_way_is_kept(team, alone, faster_alone):
    steps = Steps(team, alone)
    for _ in range(2 * TRIAL_STEPS):
        steps.run()
    assert {steps.run() for _ in range(20)} == {faster_alone}


def test_one_slow_step_of_a_trial_does_not_count():
    steps = Steps(team=1e-3, alone=2e-3)
    for i in range(TRIAL_STEPS):
        steps.team = 1.0 if i == 3 else 1e-3
        steps.run()
    steps.run_until(alone=False)
    assert {steps.run() for _ in range(20)} == {False}


def test_decisions_for_one_thread_hold_longer_each_time():
    steps = Steps(team=2e-3, alone=1e-3)
    steps.tuner.decision_seconds, steps.tuner.longest_decision = 0.1, 0.4
    held = []
    for _ in range(4):
        steps.run_until(alone=True)
        trial = TRIAL_STEPS * 1e-3
        held.append(steps.run_until(alone=False) - trial)
    assert held == pytest.approx([0.1, 0.2, 0.4, 0.4], abs=2.1e-3)


def test_decisions_for_the_team_end_too():
    steps = Steps(team=1e-3, alone=2e-3)
    steps.tuner.longest_decision = 0.3
    steps.run_until(alone=True)
    steps.run_until(alone=False)
    assert steps.run_until(alone=True) == pytest.approx(0.3 + TRIAL_STEPS * 1e-3, abs=2.1e-3)


def test_a_team_that_becomes_slow_is_left():
    steps = Steps(team=1e-3, alone=2e-3)
    steps.run_until(alone=True)
    steps.run_until(alone=False)
    steps.team = 3e-3  # its threads have to wait for a processor
    assert steps.run_until(alone=True) < 0.2


def test_a_team_that_is_slow_now_and_then_is_used_for_most_of_the_time():
    """As beside a thread that reads rows for a while, again and again."""
    steps, n = Steps(team=1e-3, alone=2e-3), {True: 0, False: 0}
    end = steps.time + 30
    while steps.time < end:
        is_busy = (steps.time - 100) % 0.4 > 0.34
        steps.team, steps.alone = (3e-3, 2.5e-3) if is_busy else (1e-3, 2e-3)
        n[steps.run()] += 1
    # .06 of .4 seconds are busy: of 30 seconds without them, 25.5 are the team's, which takes 1 ms; a decision for one
    # thread of .05 seconds in each of the 75 periods leaves 21.7. Without shorter decisions it would be 9.7.
    assert n[False] > 18_000
