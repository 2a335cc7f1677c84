"""How often predicted probabilities come true."""

from dataclasses import dataclass

import numpy as np

N_BINS = 10


@dataclass(frozen=True, eq=False)
class Reliability:
    """Predictions in bins of their probability.

    Attributes
    ----------
    predicted : ndarray of shape (n_bins,)
        Mean probability of the bin.
    observed : ndarray of shape (n_bins,)
        How many of them came true.
    weights : ndarray of shape (n_bins,)
        Sum of the weights of the rows; the number of rows without weights.
    n_effective : ndarray of shape (n_bins,)
        The number of rows without weights that would tell as much (Kish, 1965, Survey sampling, section 11.7).
    of_class : str or None
        The class of the probabilities; None for that of the predicted class.
    """

    predicted: np.ndarray
    observed: np.ndarray
    weights: np.ndarray
    n_effective: np.ndarray
    of_class: str | None


def reliability(part, sample_weight=None):
    """The bins of a target: of two classes the probability of the second one, else that of the predicted class.

    Each bin has about the same number of rows, as for ``calibration_curve(strategy="quantile")``.

    Parameters
    ----------
    part : ClassPart
    sample_weight : ndarray of shape (n,) or None

    Returns
    -------
    Reliability
        Without empty bins.
    """
    rows = np.arange(len(part.true))
    is_binary = len(part.classes) == 2
    numbers = np.ones(len(rows), int) if is_binary else part.predicted
    probabilities, came_true = part.probabilities[rows, numbers].astype(np.float64), part.true == numbers
    weight = np.ones(len(rows)) if sample_weight is None else sample_weight
    edges = np.unique(np.quantile(probabilities, np.linspace(0, 1, N_BINS + 1)))
    bins = np.searchsorted(edges[1:-1], probabilities, side="left")
    sums = np.bincount(bins, weight, minlength=max(1, len(edges) - 1))
    kept = sums > 0
    n_effective = sums[kept] ** 2 / np.bincount(bins, weight**2, minlength=len(sums))[kept]
    predicted, observed = (
        np.bincount(bins, weight * values, minlength=len(sums))[kept] / sums[kept]
        for values in (probabilities, came_true)
    )
    return Reliability(predicted, observed, sums[kept], n_effective, part.classes[1] if is_binary else None)


def expected_error(bins):
    """The mean distance between probability and frequency, weighted by rows (Guo et al., 2017, equation 3): float."""
    return float(np.average(np.abs(bins.predicted - bins.observed), weights=bins.weights))


def error_by_chance(bins):
    """The `expected_error` of a model whose probabilities are right, in so few rows: float.

    The frequency of a bin of n rows is about normal around the probability p, with the variance p (1 - p) / n, and the
    mean absolute value of such a distance is sqrt(2 / pi) times its standard deviation.
    """
    deviation = np.sqrt(np.clip(bins.predicted * (1 - bins.predicted), 0, None) / bins.n_effective)
    return float(np.average(np.sqrt(2 / np.pi) * deviation, weights=bins.weights))
