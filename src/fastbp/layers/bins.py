"""The edges of the bins of a column, for a piecewise linear encoding."""

import numpy as np

#: Edges count as one if they are not further apart than this share of the distance between the quartiles of all edges
SMALLEST_SHARE = 1e-6
#: ... or than so many rounding errors of the numbers: about 1e-6 of them in float32
ROUNDING_ERRORS = 8


def bin_edges(x, n_bins, dtype=np.float64):
    """The edges of at most `n_bins` bins of a column: frequent values, and quantiles of the others.

    If there are no more than ``n_bins + 1`` different values, all of them are edges. Otherwise every value that more
    than ``1 / n_bins`` of the rows have is an edge, and the other edges are even quantiles of the remaining rows, from
    their smallest to their largest number. Quantiles of all rows would have most of their edges in one place where one
    value is frequent, such as 0.

    Edges that lie so close together that the slope between them would be noise count as one: see `SMALLEST_SHARE` and
    `ROUNDING_ERRORS`.

    Parameters
    ----------
    x : ndarray of shape (n,)
        Missing numbers, which are NaN, are left out.
    n_bins : int
    dtype : dtype
        The arithmetic in which the edges will be used, float32 or float64.

    Returns
    -------
    ndarray of float64 of shape (n_edges,)
        Numbers of the dtype, strictly ascending; at most ``n_bins + 1``. None, or one, if there is no bin: the column
        is constant, or all of it is missing.

    References
    ----------
    Gorishniy, Rubachev and Babenko (2022), On embeddings for numerical features in tabular deep learning, NeurIPS,
    section 3.2.1: quantiles as edges.
    """
    with np.errstate(under="ignore"):
        x = np.asarray(x).astype(dtype, copy=False).astype(np.float64)
        x = x[np.isfinite(x)]
        values, counts = np.unique(x, return_counts=True)
        heavy = values[counts * n_bins > len(x)]
        edges = values
        if len(values) > n_bins + 1:
            rest = x[~np.isin(x, heavy)] if len(heavy) else x
            # a fourth of the numbers: their differences are finite
            quantiles = 4 * np.quantile(rest / 4, np.linspace(0, 1, n_bins + 1 - len(heavy)))
            edges = np.union1d(heavy, quantiles.astype(dtype).astype(np.float64))
        return without_close(edges, heavy, np.finfo(dtype))


def without_close(edges, heavy, limits):
    """The edges without those that are too close to the one before them, or after them if that one is frequent."""
    if len(edges) < 2:
        return edges
    lower, upper = np.quantile(edges / 4, [0.25, 0.75])
    smallest = max(4 * SMALLEST_SHARE * (upper - lower), float(limits.tiny))
    rounding = ROUNDING_ERRORS * float(limits.eps)
    frequent, kept = set(heavy.tolist()), [float(edges[0])]
    for edge in edges[1:].tolist():
        if edge - kept[-1] > max(smallest, rounding * max(abs(edge), abs(kept[-1]))):
            kept.append(edge)
        elif edge in frequent and kept[-1] not in frequent:
            kept[-1] = edge
    return np.array(kept)
