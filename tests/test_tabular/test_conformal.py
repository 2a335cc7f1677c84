"""Intervals from residuals: `estimators/tabular/conformal.py`."""

import re

import numpy as np
import pytest

from fastbp.estimators.tabular.conformal import MOST_RESIDUALS, half_width, kept_residuals


def test_the_definition():
    # ceil((9 + 1) * 0.8) = 8: the eighth of nine residuals
    residuals = np.array([[3.0], [-1], [2], [-9], [5], [4], [-6], [7], [8]])
    assert half_width(kept_residuals(residuals), 9, 0.8).tolist() == [8]
    assert half_width(kept_residuals(residuals), 9, 0.9).tolist() == [9]


def test_each_output_has_its_own_width():
    residuals = np.column_stack([np.arange(1.0, 100), 10 * np.arange(1.0, 100)])
    assert half_width(kept_residuals(residuals), 99, 0.5).tolist() == [50, 500]


@pytest.mark.parametrize("n", [MOST_RESIDUALS + 1, 3 * MOST_RESIDUALS, 10_007])
@pytest.mark.parametrize("coverage", [0.05, 0.5, 0.9, 0.99])
def test_kept_residuals_never_make_it_narrower(n, coverage):
    residuals = np.random.RandomState(0).permutation(np.arange(1.0, n + 1))[:, None]
    kept = kept_residuals(residuals)
    assert len(kept) == MOST_RESIDUALS
    exact = np.ceil((n + 1) * coverage)
    assert exact <= half_width(kept, n, coverage)[0] <= exact + n / MOST_RESIDUALS


def test_the_coverage_holds():
    rng = np.random.RandomState(0)
    inside = [abs(rng.randn()) <= half_width(kept_residuals(rng.randn(30, 1)), 30, 0.8)[0] for _ in range(4000)]
    # the expectation is 25 / 31 = 0.806, with a standard error of 0.006
    assert np.mean(inside) == pytest.approx(25 / 31, abs=0.025)


def test_too_few_rows():
    with pytest.raises(ValueError, match=re.escape("coverage=0.95 needs at least 19 out-of-bag rows, and there are 9")):
        half_width(np.ones((9, 1)), 9, 0.95)
