"""Members that fit into a number of seconds: `estimators/tabular/time_plan.py`."""

from dataclasses import replace

import pytest

from fastbp.estimators.tabular.presets import PRESETS, members_of
from fastbp.estimators.tabular.time_plan import SHARE_FOR_TRAINING, duration, planned

ONE = PRESETS["regression"]["fast"].settings[0]


@pytest.mark.parametrize(
    ("epochs", "n_threads", "expected"), [([3, 1, 2], 1, 6), ([3, 1, 2], 2, 3), ([4, 4, 4], 2, 8), ([5], 8, 5)]
)
def test_duration(epochs, n_threads, expected):
    assert duration(epochs, n_threads) == expected


def test_all_members_fit():
    settings = [replace(ONE, epochs=10)] * 4
    assert planned(settings, 20.1 / SHARE_FOR_TRAINING, 1.0, 2) == settings


def test_members_are_left_out():
    settings = [replace(ONE, epochs=10)] * 4
    assert planned(settings, 19 / SHARE_FOR_TRAINING, 1.0, 2) == settings[:2]


def test_a_single_member_has_fewer_epochs():
    (only,) = planned([replace(ONE, epochs=10)] * 4, 3.1 / SHARE_FOR_TRAINING, 1.0, 2)
    assert only.epochs == 6  # both threads work on it


@pytest.mark.parametrize("seconds", [1e-9, -5.0])
def test_at_least_one_epoch(seconds):
    (only,) = planned([ONE], seconds, 1.0, 2)
    assert only.epochs == 1


def test_members_take_turns():
    preset = PRESETS["classification"]["default"]
    members = members_of(preset, 5, {"dropout": 0.5})
    assert len(members) == 5
    assert {one.dropout for one in members} == {0.5}
    assert members[0] == members[len(preset.settings)]
    assert members_of(preset, None, {})[0] == preset.settings[0]
