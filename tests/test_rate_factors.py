"""The factors of the learning rate in the steps of a run; `training/rate_factors.py`."""

import pytest
from numpy.testing import assert_allclose, assert_array_equal

from fastbp.schedules import Constant, Cosine, FunctionSchedule, OneCycle, Plateau
from fastbp.training import DropoutFactors, RateFactors
from fastbp.training.rate_factors import FACTORS_AT_ONCE

N_EPOCHS, N_STEPS = 6, 5


@pytest.mark.parametrize("warmup", [0, 1, 2.5, 100])
@pytest.mark.parametrize("schedule", [Constant(), Cosine(0.1)], ids=repr)
def test_factors_of_epochs(schedule, warmup):
    factors = RateFactors(schedule, warmup, N_EPOCHS, N_STEPS)
    n_warmup = warmup * N_STEPS
    expected = []
    for step in range(N_EPOCHS * N_STEPS + 1):
        factor = schedule.factor(step / (N_EPOCHS * N_STEPS)) if schedule.has_end else 1.0
        expected.append(factor * min(1.0, (step + 1) / n_warmup) if n_warmup else factor)
    whole = factors.of_epochs(0, N_EPOCHS)
    if whole is None:
        assert not schedule.has_end
        assert warmup == 0
    else:
        assert_allclose(whole.ravel(), expected[:-1], rtol=1e-14)  # the same formula, computed one by one
    # the first step of each epoch, and the end
    for epoch in range(N_EPOCHS + 1):
        assert factors.of_first_step(epoch) == pytest.approx(expected[epoch * N_STEPS], rel=1e-14)


def test_parts_have_the_same_bits():
    factors = RateFactors(Cosine(), 2, 50, 7)
    whole = factors.of_epochs(0, 50)
    for begin, end in [(0, 1), (1, 8), (8, 50)]:
        assert_array_equal(factors.of_epochs(begin, end), whole[begin:end])
    assert_array_equal([factors.of_first_step(epoch) for epoch in range(50)], whole[:, 0])


@pytest.mark.parametrize("schedule", [Constant(), Plateau()], ids=repr)
def test_no_factors_after_the_warmup(schedule):
    factors = RateFactors(schedule, 1.5, N_EPOCHS, N_STEPS)
    assert factors.of_epochs(1, 2) is not None
    assert factors.of_epochs(2, 5) is None
    assert factors.of_first_step(2) == 1


def test_progress_is_that_of_the_steps():
    seen = []
    factors = RateFactors(FunctionSchedule(lambda p: seen.append(p) or 1), 0, 2, 2)
    factors.of_epochs(0, 2)
    factors.of_first_step(2)
    factors.of_first_step(3)  # partial runs may count on; the progress ends at 1
    assert seen == [0, 0.25, 0.5, 0.75, 1, 1]


def test_memory_is_bounded():
    assert RateFactors(Cosine(), 0, 10, 4).epochs_at_once == FACTORS_AT_ONCE // 4
    assert RateFactors(Cosine(), 0, 10, 10 * FACTORS_AT_ONCE).epochs_at_once == 1


def test_factors_of_dropout():
    factors, plain = DropoutFactors(Cosine(), N_EPOCHS, N_STEPS), RateFactors(Cosine(), 0, N_EPOCHS, N_STEPS)
    assert_array_equal(factors.of_epochs(1, 4), plain.of_epochs(1, 4))
    with pytest.raises(ValueError, match="factors of dropout_schedule must not be above 1, got 2"):
        DropoutFactors(OneCycle(max_factor=2), 1, 10).of_epochs(0, 1)
