"""Derivatives of probabilities: `estimators/tabular/gradients.py`, by finite differences."""

import numpy as np
import pytest
from scipy.special import softmax

from fastbp.estimators.tabular.combination import tempered, without_smoothing
from fastbp.estimators.tabular.gradients import of_both_classes, of_tempered, of_unsmoothed

STEP = 1e-6


def by_differences(function, p, jacobian):
    """Central differences along each column of the Jacobian; the error is about STEP**2."""
    columns = [
        (function(p + STEP * jacobian[:, :, j]) - function(p - STEP * jacobian[:, :, j])) / (2 * STEP)
        for j in range(jacobian.shape[2])
    ]
    return np.stack(columns, axis=2)


@pytest.fixture
def point():
    rng = np.random.RandomState(0)
    jacobian = rng.randn(6, 3, 4)
    return softmax(2 * rng.randn(6, 3), axis=1), jacobian - jacobian.mean(axis=1, keepdims=True)


@pytest.mark.parametrize("temperature", [0.5, 1, 2])
def test_tempered(point, temperature):
    expected = by_differences(lambda p: tempered(p, temperature), *point)
    assert np.allclose(of_tempered(point[1], point[0], temperature), expected, atol=1e-7)


@pytest.mark.parametrize("smoothing", [0, 0.1, 0.6])
def test_unsmoothed(point, smoothing):
    p, jacobian = point
    if smoothing == 0.6:  # some probabilities are below the share of the smoothing, and count as a constant
        assert (p < smoothing / 3).any()
    expected = by_differences(lambda p: without_smoothing(p.copy(), smoothing), p, jacobian)
    assert np.allclose(of_unsmoothed(jacobian, p, smoothing), expected, atol=1e-7)


def test_two_classes_have_opposite_derivatives():
    jacobian = np.arange(6.0).reshape(2, 1, 3)
    assert np.array_equal(of_both_classes(jacobian), np.concatenate([-jacobian, jacobian], axis=1))
    assert of_both_classes(np.zeros((2, 3, 4))).shape == (2, 3, 4)
