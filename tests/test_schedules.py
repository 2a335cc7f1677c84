"""Learning rate schedules: the formulas, and the schedules as objects; `schedules.py`."""

import copy
import pickle
from math import cos, log2, pi

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.utils._param_validation import InvalidParameterError

from fastbp.schedules import (
    SCHEDULES,
    Adaptive,
    Constant,
    Cosine,
    CosLog4,
    FlatCosine,
    FunctionSchedule,
    InverseScaling,
    OneCycle,
    Plateau,
    ProgressSchedule,
    WarmupCosine,
)


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
    assert set(SCHEDULES) == {
        *("constant", "invscaling", "adaptive"),  # scikit-learn's
        *("plateau", "cosine", "flat_cosine", "warmup_cosine", "one_cycle", "coslog4"),
    }
    assert all(cls.name == name for name, cls in SCHEDULES.items())


@pytest.mark.parametrize("power_t", [1e3, 1e308])
def test_inverse_scaling_with_a_power_too_large_for_a_float(power_t):
    assert rates(InverseScaling(power_t), 10, 3) == [0.0, 0.0, 0.0]


@pytest.mark.parametrize("power_t", [-0.1, "half", None])
def test_a_bad_power(power_t):
    with pytest.raises(InvalidParameterError, match="The 'power_t' parameter of InverseScaling must be a float in"):
        InverseScaling(power_t)._validate_params()


@pytest.mark.parametrize("schedule", [InverseScaling(0.3), *(cls() for cls in SCHEDULES.values())], ids=repr)
@pytest.mark.parametrize("way", [clone, copy.deepcopy, lambda s: pickle.loads(pickle.dumps(s))])
def test_copies_are_equal(schedule, way):
    assert way(schedule) == schedule
    assert repr(way(schedule)) == repr(schedule)


def test_objects():
    assert InverseScaling() == InverseScaling(0.5) != InverseScaling(0.3)
    assert Constant() != Adaptive()
    assert repr(InverseScaling(0.3)) == "InverseScaling(power_t=0.3)"
    assert InverseScaling().set_params(power_t=0.3).get_params() == {"power_t": 0.3}


def test_plateau():
    schedule, rate, seen = Plateau(factor=0.5, min_rate=0.1), 0.3, []
    assert rates(schedule, 10, 3) == [0.3, 0.3, 0.3]
    while rate is not None:
        seen.append(rate)
        rate, comment = schedule.on_plateau(rate)
        assert comment.startswith("Setting learning rate to" if rate else "Learning rate too small. Stopping.")
    assert seen == [0.3, 0.15, 0.1]


# The factors of progress, and the same formulas for one number


def cosine(begin, end, share):
    return end + (begin - end) * (1 + cos(pi * share)) / 2


def one_cycle(p, peak=1.0, warmup=0.3, first=0.04, last=4e-6):
    if p < warmup:
        return peak * cosine(first, 1, p / warmup)
    return peak * cosine(1, last, (p - warmup) / (1 - warmup))


def warmup_cosine(p, warmup=0.1, last=0.0):
    return p / warmup if p < warmup else cosine(1, last, (p - warmup) / (1 - warmup))


PROGRESS = [
    (Cosine(), lambda p: (1 + cos(pi * p)) / 2),
    (Cosine(0.2), lambda p: 0.2 + 0.8 * (1 + cos(pi * p)) / 2),
    (WarmupCosine(), warmup_cosine),
    (WarmupCosine(0.5, 0.1), lambda p: warmup_cosine(p, 0.5, 0.1)),
    (WarmupCosine(0.05, overlap=True), lambda p: min(p / 0.05, 1) * (1 + cos(pi * p)) / 2),
    (WarmupCosine(0.5, 0.1, overlap=True), lambda p: min(p / 0.5, 1) * cosine(1, 0.1, p)),
    (FlatCosine(), lambda p: 1 if p < 0.5 else (1 + cos(pi * (2 * p - 1))) / 2),
    (FlatCosine(0.0), lambda p: (1 + cos(pi * p)) / 2),
    (FlatCosine(0.9), lambda p: 1 if p < 0.9 else cosine(1, 0, (p - 0.9) / 0.1)),
    (OneCycle(), one_cycle),
    (OneCycle(8.0, 0.25, 0.5, 0.125), lambda p: one_cycle(p, 8.0, 0.25, 0.5, 0.125)),
    (CosLog4(), lambda p: (1 - cos(2 * pi * log2(1 + 15 * p))) / 2),
    (CosLog4(2), lambda p: (1 - cos(2 * pi * log2(1 + 3 * p))) / 2),
    (FunctionSchedule(lambda p: 2 - p), lambda p: 2 - p),
]
progress_schedules = pytest.mark.parametrize(("schedule", "formula"), PROGRESS, ids=lambda x: getattr(x, "name", ""))


@progress_schedules
def test_factors(schedule, formula):
    progress = np.linspace(0, 1, 41)
    expected = [formula(p) for p in progress]
    # rounding of a handful of operations on numbers of at most 8
    assert_allclose(schedule.factor(progress), expected, rtol=0, atol=1e-14)
    assert [schedule.factor(p) for p in progress.tolist()] == pytest.approx(expected, rel=0, abs=1e-14)
    assert np.ndim(schedule.factor(0.5)) == 0
    assert schedule.has_end
    assert not schedule.is_for_sgd


@progress_schedules
def test_the_rate_of_epochs_stays(schedule, formula):
    assert rates(schedule, 10, 3) == [0.3, 0.3, 0.3]
    assert schedule.on_plateau(0.3) == (None, "Stopping.")


def test_largest_and_last_factors():
    progress = np.linspace(0, 1, 1001)
    for name, last in {"cosine": 0, "flat_cosine": 0, "warmup_cosine": 0, "one_cycle": 4e-6, "coslog4": 0}.items():
        factors = SCHEDULES[name]().factor(progress)
        assert factors.min() >= 0
        assert factors.max() == pytest.approx(1, abs=1e-4)  # in one of 1001 points of a smooth curve
        assert factors[-1] == pytest.approx(last, abs=1e-14)


def test_cycles_get_longer():
    # the ends of the cycles: log2(1 + 15 p) is an integer
    assert_array_equal(CosLog4().factor(np.array([0, 1, 3, 7, 15]) / 15), 0)


def test_the_base_class_changes_nothing():
    assert ProgressSchedule().factor(0.5) == 1
    assert_array_equal(ProgressSchedule().factor(np.array([0.0, 1.0])), 1)


@pytest.mark.parametrize("found", [-0.1, np.nan, np.inf, "fast", None, np.ones(1), OneCycle()])
def test_a_function_that_returns_no_factor(found):
    def rate(progress):
        return found if progress > 0.5 else 1

    schedule = FunctionSchedule(rate)
    assert_array_equal(schedule.factor(np.array([0.0, 0.5])), 1)
    with pytest.raises(
        ValueError, match=r"learning_rate=rate must return a finite number of at least 0.* progress 0.75"
    ):
        schedule.factor(np.array([0.5, 0.75]))


@pytest.mark.parametrize(
    ("schedule", "name"),
    [
        (Plateau(factor=1.0), "factor"),
        (Plateau(min_rate=0.0), "min_rate"),
        (Cosine(-0.1), "final_factor"),
        (FlatCosine(flat=1.0), "flat"),
        (FlatCosine(flat=-0.1), "flat"),
        (WarmupCosine(overlap="yes"), "overlap"),
        (WarmupCosine(warmup=1.0), "warmup"),
        (WarmupCosine(final_factor=np.inf), "final_factor"),
        (OneCycle(max_factor=0.0), "max_factor"),
        (OneCycle(warmup=0.0), "warmup"),
        (OneCycle(initial_factor=-1.0), "initial_factor"),
        (OneCycle(final_factor="low"), "final_factor"),
        (CosLog4(n_cycles=2.5), "n_cycles"),
    ],
    ids=repr,
)
def test_bad_settings(schedule, name):
    with pytest.raises(InvalidParameterError, match=f"The {name!r} parameter of {type(schedule).__name__} must be"):
        schedule._validate_params()
