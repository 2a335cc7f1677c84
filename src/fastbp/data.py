"""From the user's arrays to the `Data` that the kernels read.

Nothing is copied that the kernels can read as it is: a C-contiguous X of the network's dtype, or the three arrays of a
CSR matrix.
"""

import numpy as np
from scipy import sparse

from fastbp.kernels.data import Data


def as_rows(X, dtype):
    """X as the kernels take it: a C-contiguous, aligned array, or (values, indices, indptr, shape).

    Parameters
    ----------
    X : ndarray or sparse matrix of shape (n, n_features)
        CSC becomes CSR; duplicates and unsorted indices are fine, and nothing is densified.
    dtype : dtype
        float32 or float64.
    """
    if type(X) is np.ndarray and X.dtype == dtype and X.flags.c_contiguous and X.flags.aligned:
        return X
    if not sparse.issparse(X):
        return dense("X", X, dtype)
    X = X.tocsr()
    check_indices(X)
    indices = X.indices if X.indices.dtype in (np.int32, np.int64) else X.indices.astype(np.int64)
    return (
        np.ascontiguousarray(lowered("X", X.data, dtype), dtype),
        np.ascontiguousarray(indices),
        np.ascontiguousarray(X.indptr, np.int64),
        X.shape,
    )


def lowered(name, array, dtype):
    """`array`, as float32 if that is what `dtype` asks for; ValueError if finite values do not fit."""
    if dtype != np.float32 or array.dtype == np.float32:
        return array
    with np.errstate(over="ignore"):
        low = array.astype(np.float32)
    if not np.array_equal(np.isfinite(low), np.isfinite(array)):
        raise ValueError(f"{name} holds values too large for float32; scale them, or use float64 throughout")
    return low


def dense(name, array, dtype):
    """`array` in the layout that the kernels read: C-contiguous, aligned, of `dtype`; see `lowered`."""
    return np.require(lowered(name, array, dtype), dtype, ["C_CONTIGUOUS", "ALIGNED"])


def check_indices(X):
    """ValueError unless the indices of a CSR matrix lie inside it: the kernels follow them without looking."""
    n_rows, n_columns = X.shape
    indptr, room = X.indptr, min(len(X.indices), len(X.data))
    if len(indptr) != n_rows + 1 or indptr[0] != 0 or indptr[-1] > room or (np.diff(indptr) < 0).any():
        raise ValueError(f"X.indptr of a sparse matrix with {n_rows} rows must rise from 0 to its number of non-zeros")
    used = X.indices[: X.indptr[-1]]
    if used.size and (used.min() < 0 or used.max() >= n_columns):
        raise ValueError(
            f"X.indices of a sparse matrix with {n_columns} columns must lie in [0, {n_columns}), got {used.min()} to "
            f"{used.max()}"
        )


def make_data(X, targets, sample_weight, n_outputs, dtype):
    """The training set of a network with `n_outputs` outputs.

    Parameters
    ----------
    X : ndarray or sparse matrix of shape (n, n_features)
    targets : ndarray or None
        Integers of shape (n,): class numbers below `n_outputs`, for one-hot targets. Else (n, n_outputs) of numbers.
        None for forward passes.
    sample_weight : array-like of shape (n,) or None
    n_outputs : int
    dtype : dtype
        The network's.

    Returns
    -------
    Data
    """
    Y = labels = None
    if targets is not None and targets.ndim == 1:
        labels = np.ascontiguousarray(targets, np.int64)
    elif targets is not None:
        Y = dense("y", targets, dtype)
    if sample_weight is not None:
        sample_weight = np.ascontiguousarray(sample_weight, np.float64)
    return Data(as_rows(X, dtype), Y, labels, sample_weight, n_outputs)


def check_weight_scale(sample_weight, dtype):
    """ValueError unless the weights are of a size that arithmetic in `dtype` can bear.

    Parameters
    ----------
    sample_weight : ndarray of float64 of shape (n,)
    dtype : dtype
        float32 or float64.

    Notes
    -----
    A step multiplies derivatives by the weights and divides by the weights' sum. Derivatives down to eps^2 and up to
    1 / eps^2 are to survive both; a product below the smallest normal number counts as zero, and trains nothing.
    """
    info = np.finfo(dtype)
    smallest, largest = float(info.tiny) / float(info.eps) ** 2, float(info.max) * float(info.eps) ** 2
    with np.errstate(over="ignore"):
        total = float(np.sum(sample_weight))
    if not np.isfinite(sample_weight).all():
        raise ValueError("sample_weight must be finite, got NaN or infinity")
    if not sample_weight.any():
        raise ValueError("Sample weights must contain at least one non-zero number: sample_weight is zero everywhere")
    if not (smallest <= sample_weight.max() and total <= largest):
        raise ValueError(
            f"sample_weight must have a largest value of at least {smallest:.1g} and a sum of at most {largest:.1g} in "
            f"{np.dtype(dtype)}, got {sample_weight.max():g} and {total:g}; divide the weights by their mean"
        )
