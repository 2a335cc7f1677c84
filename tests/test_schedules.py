"""Learning rate schedules: the formulas, and the schedules as objects; `schedules.py`."""

import copy
import pickle

import pytest
from sklearn.base import clone
from sklearn.utils._param_validation import InvalidParameterError

from fastbp.schedules import SCHEDULES, Adaptive, Constant, InverseScaling


def rates(schedule, n_rows, n_epochs):
    """The rates of the epochs after the first, whose rate is 0.3."""
    rate, found = 0.3, []
    for epoch in range(1, n_epochs + 1):
        rate = schedule.after_epoch(rate, epoch * n_rows, 0.3)
        found.append(rate)
    return found


def test_constant():
    assert rates(Constant(), 10, 3) == [0.3, 0.3, 0.3]
    assert Constant().on_plateau(0.3) == (None, "Stopping.")


@pytest.mark.parametrize("power_t", [0.0, 0.5, 1.0, 2.0])
def test_inverse_scaling(power_t):
    expected = [0.3 / (10 * epoch + 1) ** power_t for epoch in (1, 2, 3)]
    assert rates(InverseScaling(power_t), 10, 3) == expected
    assert InverseScaling(power_t).on_plateau(0.1) == (None, "Stopping.")


def test_inverse_scaling_depends_on_the_rows_alone():
    # not on the rate before, which a resumed run may have changed
    assert InverseScaling().after_epoch(7.0, 99, 0.3) == 0.3 / 10


def test_adaptive():
    assert rates(Adaptive(), 10, 3) == [0.3, 0.3, 0.3]
    schedule, rate, seen = Adaptive(), 0.3, []
    while rate is not None:
        seen.append(rate)
        rate, comment = schedule.on_plateau(rate)
        assert comment.startswith("Setting learning rate to" if rate else "Learning rate too small. Stopping.")
    # a fifth each time, until one is 1e-6 or less: 0.3 / 5^8 = 7.7e-7
    assert seen == pytest.approx([0.3 / 5**i for i in range(9)], rel=1e-12)


def test_adaptive_says_the_new_rate():
    assert Adaptive().on_plateau(0.5) == (0.1, "Setting learning rate to 0.100000")


def test_table():
    assert dict(SCHEDULES) == {"constant": Constant, "invscaling": InverseScaling, "adaptive": Adaptive}
    assert all(cls.name == name for name, cls in SCHEDULES.items())


@pytest.mark.parametrize("power_t", [1e3, 1e308])
def test_inverse_scaling_with_a_power_too_large_for_a_float(power_t):
    assert rates(InverseScaling(power_t), 10, 3) == [0.0, 0.0, 0.0]


@pytest.mark.parametrize("power_t", [-0.1, "half", None])
def test_a_bad_power(power_t):
    with pytest.raises(InvalidParameterError, match="The 'power_t' parameter of InverseScaling must be a float in"):
        InverseScaling(power_t)._validate_params()


@pytest.mark.parametrize("schedule", [Constant(), InverseScaling(0.3), Adaptive()], ids=repr)
@pytest.mark.parametrize("way", [clone, copy.deepcopy, lambda s: pickle.loads(pickle.dumps(s))])
def test_copies_are_equal(schedule, way):
    assert way(schedule) == schedule
    assert repr(way(schedule)) == repr(schedule)


def test_objects():
    assert InverseScaling() == InverseScaling(0.5) != InverseScaling(0.3)
    assert Constant() != Adaptive()
    assert repr(InverseScaling(0.3)) == "InverseScaling(power_t=0.3)"
    assert InverseScaling().set_params(power_t=0.3).get_params() == {"power_t": 0.3}
