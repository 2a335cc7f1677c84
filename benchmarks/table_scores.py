"""Scores of predictions, and statistics over tables, for the study of `tabular.py`."""

import math

import numpy as np
from scipy.stats import rankdata, studentized_range

#: Bins of the calibration error
N_BINS = 15
#: The smallest probability that the log-loss distinguishes from 0
SMALLEST = 1e-15


def calibration_error(probabilities, y):
    """The expected calibration error of the predicted classes::

        Σ_b n_b/n · |accuracy_b − confidence_b|

    over 15 bins of equal width of the largest probability (Guo et al. 2017, On calibration of modern neural networks).

    Parameters
    ----------
    probabilities : ndarray of shape (n, n_classes)
    y : ndarray of shape (n,)
        Class numbers.

    Returns
    -------
    float
    """
    confidence = probabilities.max(axis=1)
    correct = probabilities.argmax(axis=1) == y
    bins = np.minimum((confidence * N_BINS).astype(int), N_BINS - 1)
    gaps = np.bincount(bins, weights=correct - confidence, minlength=N_BINS)
    return float(np.abs(gaps).sum() / len(y))


def score_probabilities(probabilities, y):
    """Scores of a classifier.

    Parameters
    ----------
    probabilities : ndarray of shape (n, n_classes)
    y : ndarray of shape (n,)
        Class numbers.

    Returns
    -------
    dict of str to float
        `error`, the share of wrong classes; `log_loss` in nats; `calibration_error`.
    """
    probabilities = np.asarray(probabilities, np.float64)
    probabilities = probabilities / probabilities.sum(axis=1, keepdims=True)
    chosen = np.maximum(probabilities[np.arange(len(y)), y], SMALLEST)
    return {
        "error": float(np.mean(probabilities.argmax(axis=1) != y)),
        "log_loss": float(-np.log(chosen).mean()),
        "calibration_error": calibration_error(probabilities, y),
    }


def score_numbers(predicted, y):
    """Score of a regressor.

    Parameters
    ----------
    predicted, y : ndarray of shape (n,)

    Returns
    -------
    dict of str to float
        `error`, the root of the mean squared error.
    """
    return {"error": float(np.sqrt(np.mean((np.ravel(predicted) - y) ** 2)))}


def interval_coverage(lower, upper, y):
    """The share of the targets that are within their intervals.

    Parameters
    ----------
    lower, upper, y : ndarray of shape (n,)

    Returns
    -------
    float
    """
    return float(np.mean((lower <= y) & (y <= upper)))


def geometric_mean(values):
    """The geometric mean; nan without values.

    Parameters
    ----------
    values : iterable of float
        Not negative.

    Returns
    -------
    float
    """
    values = list(values)
    if not values:
        return math.nan
    return 0.0 if min(values) <= 0 else math.exp(math.fsum(map(math.log, values)) / len(values))


def ratios_to(reference, means):
    """Divide the means of a contender by those of another, table by table.

    Parameters
    ----------
    reference, means : dict of str to float
        Table -> mean over the splits.

    Returns
    -------
    dict of str to float
        For the tables that both have, in the order of `reference`. 0/0 is 1.
    """
    ratios = {}
    for table in reference:
        if table not in means:
            continue
        if reference[table]:
            ratios[table] = means[table] / reference[table]
        else:
            ratios[table] = math.inf if means[table] else 1.0
    return ratios


def count_wins(reference, means):
    """Count the tables with a smaller mean than another's.

    Parameters
    ----------
    reference, means : dict of str to float
        Table -> mean over the splits.

    Returns
    -------
    wins, tables : int
        `tables` is the number of those that both have.
    """
    both = means.keys() & reference.keys()
    return sum(means[table] < reference[table] for table in both), len(both)


def average_ranks(means):
    """The mean rank of each contender over the tables; 1 is the smallest, and ties share their ranks.

    Parameters
    ----------
    means : dict of str to dict of str to float
        Contender -> table -> mean over the splits. Counted are the tables that all contenders have.

    Returns
    -------
    ranks : dict of str to float
    n_tables : int
    """
    tables = sorted(set.intersection(*(set(found) for found in means.values()))) if means else []
    if not tables:
        return {}, 0
    matrix = np.array([[found[table] for table in tables] for found in means.values()])
    ranks = rankdata(matrix, axis=0).mean(axis=1)
    return dict(zip(means, map(float, ranks), strict=True)), len(tables)


def critical_difference(n_contenders, n_tables, level=0.05):
    """The difference of two average ranks that the Nemenyi test calls significant::

        CD = q·√(k·(k + 1)/(6·N))

    q is the quantile of the studentized range of k groups, divided by √2 (Demšar 2006, Statistical comparisons of
    classifiers over multiple data sets, JMLR 7).

    Parameters
    ----------
    n_contenders, n_tables : int
        k and N above.
    level : float, default=0.05

    Returns
    -------
    float
    """
    q = studentized_range.ppf(1 - level, n_contenders, math.inf) / math.sqrt(2)
    return float(q * math.sqrt(n_contenders * (n_contenders + 1) / (6 * n_tables)))


def groups_within(ranks, difference):
    """The largest groups of neighbours whose ranks differ by at most the critical difference.

    Parameters
    ----------
    ranks : dict of str to float
    difference : float

    Returns
    -------
    list of list of str
        Two contenders or more each, none a part of another, by rank.
    """
    order = sorted(ranks, key=ranks.get)
    groups, end = [], 0
    for first, name in enumerate(order):
        last = max(i for i in range(first, len(order)) if ranks[order[i]] - ranks[name] <= difference)
        if last > first and last > end:
            groups.append(order[first : last + 1])
            end = last
    return groups
