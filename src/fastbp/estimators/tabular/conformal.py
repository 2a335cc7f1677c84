"""Prediction intervals from the residuals of rows that were not trained on: split conformal prediction.

References
----------
Papadopoulos, Proedrou, Vovk and Gammerman (2002), Inductive confidence machines for regression, ECML.

Lei, G'Sell, Rinaldo, Tibshirani and Wasserman (2018), Distribution-free predictive inference for regression, Journal of
the American Statistical Association 113, algorithm 2.
"""

from numbers import Real

import numpy as np

#: Quantiles of the residuals that a fitted model keeps, at most
MOST_RESIDUALS = 2000


def kept_residuals(residuals):
    """The sorted absolute residuals of each output; of very many, evenly spaced ones, the largest included.

    Parameters
    ----------
    residuals : ndarray of shape (n, n_outputs)

    Returns
    -------
    ndarray of shape (min(n, MOST_RESIDUALS), n_outputs)
    """
    ordered = np.sort(np.abs(residuals), axis=0)
    if len(ordered) <= MOST_RESIDUALS:
        return ordered
    places = np.ceil(np.arange(1, MOST_RESIDUALS + 1) * len(ordered) / MOST_RESIDUALS).astype(int) - 1
    return ordered[places]


def half_width(ordered, n_rows, coverage):
    """Half of the width of an interval.

    Parameters
    ----------
    ordered : ndarray of shape (n_kept, n_outputs)
        From `kept_residuals`.
    n_rows : int
        Rows that they came from.
    coverage : float

    Returns
    -------
    ndarray of shape (n_outputs,)
        The residual number ``ceil((n_rows + 1) * coverage)`` in ascending order, with which an interval covers a new
        row with at least this probability. Of kept residuals, the next larger one.

    Raises
    ------
    ValueError
        For a coverage that is not between 0 and 1, and if there are too few rows for it, or none.
    """
    if not isinstance(coverage, Real) or not 0 < coverage < 1:  # neither of which a bool is
        raise ValueError(f"coverage must be a number above 0 and below 1, got {coverage!r}")
    if not n_rows:
        raise ValueError(
            "predict_interval needs out-of-bag rows, and this model was fitted without: fit with oob_fraction=0.1, "
            "on at least 20 rows, or with X_val and y_val"
        )
    number = int(np.ceil((n_rows + 1) * coverage))
    if number > n_rows:
        needed = int(np.ceil(coverage / (1 - coverage)))
        raise ValueError(
            f"coverage={coverage!r} needs at least {needed} out-of-bag rows, and there are {n_rows}: ask for a "
            f"coverage of at most {n_rows / (n_rows + 1):.3g}, or fit on more rows"
        )
    place = int(np.ceil(number * len(ordered) / n_rows)) - 1
    return ordered[place]
