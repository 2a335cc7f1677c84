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
    of_class : str or None
        The class of the probabilities; None for that of the predicted class.
    """

    predicted: np.ndarray
    observed: np.ndarray
    weights: np.ndarray
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
    predicted, observed = (
        np.bincount(bins, weight * values, minlength=len(sums))[kept] / sums[kept]
        for values in (probabilities, came_true)
    )
    return Reliability(predicted, observed, sums[kept], part.classes[1] if is_binary else None)


def expected_error(bins):
    """The mean distance between probability and frequency, weighted by rows (Guo et al., 2017, equation 3): float."""
    return float(np.average(np.abs(bins.predicted - bins.observed), weights=bins.weights))
