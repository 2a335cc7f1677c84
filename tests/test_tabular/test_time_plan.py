"""Members that fit into a number of seconds: `estimators/tabular/time_plan.py`."""

from dataclasses import replace

import pytest

from fastbp.estimators.tabular.presets import PRESETS, Preset, members_of, with_epochs
from fastbp.estimators.tabular.time_plan import SHARE_FOR_TRAINING, duration, planned

ONE = PRESETS["regression"]["fast"].kinds[0][0]


def member(*epochs):
    return tuple(replace(ONE, epochs=number) for number in epochs)


@pytest.mark.parametrize(
    ("epochs", "n_threads", "expected"), [([3, 1, 2], 1, 6), ([3, 1, 2], 2, 3), ([4, 4, 4], 2, 8), ([5], 8, 5)]
)
def test_duration(epochs, n_threads, expected):
    assert duration(epochs, n_threads) == expected


def test_all_members_fit():
    members = [member(4, 6)] * 4
    assert planned(members, 20.1 / SHARE_FOR_TRAINING, 1.0, 2) == members


def test_members_are_left_out():
    members = [member(4, 6)] * 4
    assert planned(members, 19 / SHARE_FOR_TRAINING, 1.0, 2) == members[:2]


def test_a_single_member_has_fewer_epochs():
    (only,) = planned([member(4, 6)] * 4, 2.6 / SHARE_FOR_TRAINING, 1.0, 2)
    assert [cycle.epochs for cycle in only] == [2, 3]  # both threads work on it


@pytest.mark.parametrize("seconds", [1e-9, -5.0])
def test_at_least_one_epoch(seconds):
    (only,) = planned([member(4, 6)], seconds, 1.0, 2)
    assert [cycle.epochs for cycle in only] == [1]


def test_members_take_turns():
    preset = Preset((member(1, 2), member(3)), ((100, 3), (0, 7)))
    members = members_of(preset, 100, None, None, {"dropout": 0.5})
    assert [[cycle.epochs for cycle in one] for one in members] == [[1, 2], [3], [1, 2]]
    assert {cycle.dropout for one in members for cycle in one} == {0.5}
    assert len(members_of(preset, 100, 5, None, {})) == 5
    assert len(members_of(preset, 99, None, None, {})) == 7


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
    assert [cycle.epochs for cycle in with_epochs(member(*epochs), total)] == expected
