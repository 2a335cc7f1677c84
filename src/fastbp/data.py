"""From the user's arrays to the `Data` that the kernels read.

Nothing is copied that the kernels can read as it is: a C-contiguous X of the network's dtype, or the three arrays of a
CSR matrix.
"""

import numpy as np
from scipy import sparse

from fastbp.kernels.step import Data


def as_rows(X, dtype):
    """X as the kernels take it: a C-contiguous, aligned array, or (values, indices, indptr, shape).

    Parameters
    ----------
    X : ndarray or sparse matrix of shape (n, n_features)
        CSC becomes CSR; duplicates and unsorted indices are fine, and nothing is densified.
    dtype : dtype
        float32 or float64.
    """
    if not sparse.issparse(X):
        return np.require(X, dtype, ["C_CONTIGUOUS", "ALIGNED"])
    X = X.tocsr()
    indices = X.indices if X.indices.dtype in (np.int32, np.int64) else X.indices.astype(np.int64)
    return (
        np.ascontiguousarray(X.data, dtype),
        np.ascontiguousarray(indices),
        np.ascontiguousarray(X.indptr, np.int64),
        X.shape,
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
        Y = np.require(targets, dtype, ["C_CONTIGUOUS", "ALIGNED"])
    if sample_weight is not None:
        sample_weight = np.ascontiguousarray(sample_weight, np.float64)
    return Data(as_rows(X, dtype), Y, labels, sample_weight, n_outputs)
