"""Learning rate schedules: the formulas; `schedules.py`."""

import pytest

from fastbp.schedules import SCHEDULES, Adaptive, Constant, InverseScaling


def rates(schedule, n_rows, n_epochs):
    """The rates of the epochs after the first."""
    rate, found = schedule.learning_rate_init, []
    for epoch in range(1, n_epochs + 1):
        rate = schedule.after_epoch(rate, epoch * n_rows)
        found.append(rate)
    return found


def test_constant():
    assert rates(Constant(0.3), 10, 3) == [0.3, 0.3, 0.3]
    assert Constant(0.3).on_plateau(0.3) == (None, "Stopping.")


@pytest.mark.parametrize("power_t", [0.0, 0.5, 1.0, 2.0])
def test_inverse_scaling(power_t):
    expected = [0.3 / (10 * epoch + 1) ** power_t for epoch in (1, 2, 3)]
    assert rates(InverseScaling(0.3, power_t), 10, 3) == expected
    assert InverseScaling(0.3, power_t).on_plateau(0.1) == (None, "Stopping.")


def test_inverse_scaling_depends_on_the_rows_alone():
    # not on the rate before, which a resumed run may have changed
    assert InverseScaling(0.3).after_epoch(7.0, 99) == 0.3 / 10


def test_adaptive():
    assert rates(Adaptive(0.3), 10, 3) == [0.3, 0.3, 0.3]
    schedule, rate, seen = Adaptive(0.3), 0.3, []
    while rate is not None:
        seen.append(rate)
        rate, comment = schedule.on_plateau(rate)
        assert comment.startswith("Setting learning rate to" if rate else "Learning rate too small. Stopping.")
    # a fifth each time, until one is 1e-6 or less: 0.3 / 5^8 = 7.7e-7
    assert seen == pytest.approx([0.3 / 5**i for i in range(9)], rel=1e-12)


def test_adaptive_says_the_new_rate():
    assert Adaptive(1.0).on_plateau(0.5) == (0.1, "Setting learning rate to 0.100000")


def test_table():
    assert dict(SCHEDULES) == {"constant": Constant, "invscaling": InverseScaling, "adaptive": Adaptive}


@pytest.mark.parametrize("power_t", [1e3, 1e308])
def test_inverse_scaling_with_a_power_too_large_for_a_float(power_t):
    assert rates(InverseScaling(0.3, power_t), 10, 3) == [0.0, 0.0, 0.0]
