"""Weights and temperature: `estimators/tabular/combination.py`."""

import numpy as np
import pytest
from scipy.special import softmax
from sklearn.metrics import log_loss as log_loss_of_sklearn

from fastbp.estimators.tabular.combination import (
    TEMPERATURES,
    best_temperature,
    log_loss,
    mixture_weights,
    n_effective,
    tempered,
    without_smoothing,
)


def mean_squares(targets):
    return lambda predictions: float(((predictions - targets) ** 2).mean())


def drawn_from(probabilities, rng):
    """A label for each row, with these probabilities."""
    return (rng.rand(len(probabilities), 1) > probabilities.cumsum(axis=1)).sum(axis=1)


def test_the_better_candidate_weighs_more():
    rng = np.random.RandomState(0)
    targets = rng.randn(500, 1)
    good, bad = targets + 0.1 * rng.randn(500, 1), targets + 2 * rng.randn(500, 1)
    weights = mixture_weights(np.stack([bad, good]), mean_squares(targets), 500)
    assert weights[1] > 0.95
    assert weights.sum() == pytest.approx(1)


def test_candidates_with_independent_errors_share_the_weight():
    rng = np.random.RandomState(0)
    targets = rng.randn(2000, 1)
    predictions = targets + rng.randn(3, 2000, 1)
    weights = mixture_weights(predictions, mean_squares(targets), 2000)
    assert weights.min() > 0.2  # 1/3 each is best
    mean, combined = predictions.mean(axis=0), np.tensordot(weights, predictions, 1)
    assert mean_squares(targets)(combined) <= mean_squares(targets)(mean)


def test_one_candidate_has_all_the_weight():
    assert mixture_weights(np.zeros((1, 5, 1)), mean_squares(np.ones((5, 1))), 5).tolist() == [1]


def test_few_rows_keep_the_weights_near_each_other():
    targets = np.zeros((5, 1))
    weights = mixture_weights(np.stack([targets + 0.1, targets + 0.5]), mean_squares(targets), 5)
    assert 0.5 < weights[0] < 0.8
    assert mixture_weights(np.stack([targets + 0.1, targets + 0.5]), mean_squares(targets), 5000)[1] == 0


def test_effective_number_of_rows():
    assert n_effective(7, None) == 7
    assert n_effective(4, np.full(4, 3.0)) == 4
    assert n_effective(3, np.array([1.0, 0, 0])) == 1


def test_log_loss_is_that_of_sklearn():
    rng = np.random.RandomState(0)
    p, labels, weight = softmax(rng.randn(50, 3), axis=1), rng.randint(3, size=50), rng.rand(50)
    for sample_weight in (None, weight):
        expected = log_loss_of_sklearn(labels, p, sample_weight=sample_weight, labels=[0, 1, 2])
        assert log_loss(p, labels, sample_weight) == pytest.approx(expected)
    assert np.isfinite(log_loss(np.array([[1.0, 0.0]]), np.array([1]), None))


@pytest.mark.parametrize("temperature", [0.5, 1, 3])
def test_tempered_divides_the_logits(temperature):
    z = np.random.RandomState(0).randn(20, 4)
    assert np.allclose(tempered(softmax(z, axis=1), temperature), softmax(z / temperature, axis=1))


def test_tempered_takes_zeros():
    assert tempered(np.array([[1.0, 0.0]]), 2.0).tolist() == [[1, 0]]


@pytest.mark.parametrize("true", [0.6, 1, 2.5])
def test_the_temperature_is_found(true):
    rng = np.random.RandomState(0)
    z = 2 * rng.randn(20_000, 3)
    labels = drawn_from(softmax(z / true, axis=1), rng)
    # the standard error with so many rows is below 2 %
    assert best_temperature(softmax(z, axis=1), labels, None) == pytest.approx(true, rel=0.06)


def test_the_temperature_is_bounded():
    p, labels = np.array([[0.6, 0.4]] * 10), np.zeros(10, int)
    assert 0.2 < best_temperature(p, labels, None) < 0.9  # ten rows do not outweigh the prior
    p, labels = np.repeat(p, 1000, axis=0), np.repeat(labels, 1000)
    assert TEMPERATURES[0] <= best_temperature(p, labels, None) < 1.01 * TEMPERATURES[0]


def test_the_temperature_weighs_rows():
    p, labels = np.array([[0.7, 0.3]] * 4), np.array([0, 0, 0, 1])
    calm = best_temperature(p, labels, np.array([1, 1, 1, 30.0]))
    assert calm > best_temperature(p, labels, None)


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.5])
def test_smoothing_is_undone(smoothing):
    p = np.array([[0.7, 0.2, 0.1]])
    smoothed = (1 - smoothing) * p + smoothing / 3
    assert np.allclose(without_smoothing(smoothed.copy(), smoothing), p)


def test_smoothing_leaves_no_probability_at_zero():
    found = without_smoothing(np.array([[0.99, 0.01]]), 0.1)
    assert 0 < found[0, 1] < 0.01
    assert found.sum() == pytest.approx(1)
