"""Members that fit into a number of seconds: `estimators/tabular/time_plan.py`."""

from dataclasses import replace
from math import inf
from types import SimpleNamespace

import pytest

from fastbp.estimators.tabular import time_plan
from fastbp.estimators.tabular.presets import PRESETS, Preset, members_of, with_epochs
from fastbp.estimators.tabular.time_plan import Budget, planned

ONE = PRESETS["regression"]["fast"].cycles[0]


def cycles(*epochs):
    return tuple(replace(ONE, epochs=number) for number in epochs)


def epochs_of(cycles):
    return [cycle.epochs for cycle in cycles]


@pytest.mark.parametrize(
    ("epochs", "n_threads", "expected"),
    [
        (20.1, 2, ([4, 6], 4)),  # two rounds
        (1000, 2, ([4, 6], 4)),
        (18, 2, ([4, 5], 4)),  # 9 epochs in each of two rounds
        (16.9, 2, ([4, 6], 2)),  # less than .85 of the epochs in two rounds
        (9, 2, ([4, 5], 2)),
        (8, 2, ([4, 6], 1)),  # both threads work on one member
        (2.6, 2, ([2, 3], 1)),
        (21.5, 4, ([4, 6], 4)),
        (21.5, 3, ([4, 6], 4)),
        (19.5, 1, ([4, 5], 2)),
        (1e-9, 2, ([1], 1)),
        (0.0, 2, ([1], 1)),
        (inf, 2, ([4, 6], 4)),
    ],
)
def test_planned(epochs, n_threads, expected):
    of_member, n_members = planned(cycles(4, 6), 4, epochs, n_threads)
    assert (epochs_of(of_member), n_members) == expected


def test_members_of():
    preset = Preset(cycles(1, 2), ((100, 3), (0, 7)))
    of_member, n_members = members_of(preset, 100, None, None, {"dropout": 0.5})
    assert (epochs_of(of_member), n_members) == ([1, 2], 3)
    assert {cycle.dropout for cycle in of_member} == {0.5}
    of_member, n_members = members_of(preset, 99, None, 30, {})
    assert (epochs_of(of_member), n_members) == ([10, 20], 7)
    assert members_of(preset, 99, 5, None, {})[1] == 5


def budget_until(end, monkeypatch):
    """A budget whose epochs are expected to take 1 second each; it is 0 o'clock."""
    monkeypatch.setattr(time_plan, "perf_counter", lambda: 0.0)
    return Budget(end, 1.0)


def test_a_cycle_has_the_epochs_for_which_there_is_time(monkeypatch):
    budget = budget_until(5.0, monkeypatch)
    assert budget.fitting(cycles(4, 6)).epochs == 1  # of half of them, with a margin
    assert budget.fitting(cycles(10)).epochs == 4
    assert budget.fitting(cycles(5)).epochs == 5
    assert budget.fitting(cycles(3)).epochs == 3
    budget.end_cycle(4.0, n_epochs=2)  # slower than expected
    assert budget.fitting(cycles(4)).epochs == 2
    assert Budget(-1.0, 1.0).fitting(cycles(4)).epochs == 1
    assert Budget().fitting(cycles(4)).epochs == 4


def test_a_member_and_a_cycle_begin_only_when_there_is_time(monkeypatch):
    budget = budget_until(8.5, monkeypatch)
    budget.has_model = True
    assert budget.has_time_for(cycles(4, 6), is_first=True)
    budget.end = 8.4
    assert not budget.has_time_for(cycles(4, 6), is_first=True)
    assert budget.has_time_for(cycles(4, 6), is_first=False)
    budget.end = 2.4
    assert not budget.has_time_for(cycles(4, 6), is_first=False)
    budget.has_model = False  # there is no other model
    assert budget.has_time_for(cycles(4, 6), is_first=True)


def test_deadline(monkeypatch):
    budget = budget_until(-1.0, monkeypatch)
    deadline = budget.deadline()
    state = SimpleNamespace(epoch=1, max_iter=2)
    assert not deadline.on_epoch_end(state)  # there is no other model
    budget.has_model = True
    assert deadline.on_epoch_end(state)
    assert deadline.has_passed
    state.epoch = 2  # it has ended anyway
    assert not deadline.on_epoch_end(state)
    assert not deadline.has_passed
    budget.end, state.epoch = 1.0, 1
    assert not deadline.on_epoch_end(state)
    assert Budget().deadline() is None


@pytest.mark.parametrize(
    ("epochs", "total", "expected"),
    [
        ([16, 24], 40, [16, 24]),
        ([16, 24], 20, [8, 12]),
        ([1, 100], 10, [1, 9]),
        ([100, 1], 10, [9, 1]),
        ([3, 3, 3], 3, [1, 1, 1]),
        ([3, 3, 3], 2, [1, 1]),
        ([5], 7, [7]),
        ([1, 1, 98], 4, [1, 1, 2]),
    ],
)
def test_epochs_of_the_cycles(epochs, total, expected):
    assert epochs_of(with_epochs(cycles(*epochs), total)) == expected
