"""Cuts checked blocks of any length into windows of rows, which are copies."""

import numpy as np
from scipy import sparse

from fastbp.kernels.predictor import all_finite
from fastbp.training.windows import N_WINDOWS


class Window:
    """Rows of one window: ``X``, ``y`` and ``sample_weight``, as `CheckedBlocks` gives them."""

    def __init__(self, X, y, sample_weight):
        self.X, self.y, self.sample_weight = X, y, sample_weight


class WindowCutter:
    """Cuts blocks into windows: an iterator of `Window`.

    Parameters
    ----------
    blocks : generator
        As `CheckedBlocks.of_pass` returns it.
    buffers : Buffers or SparseBuffers
        Memory for the windows.
    rest : tuple or None
        A block that was taken from `blocks` before.
    """

    def __init__(self, blocks, buffers, rest=None):
        self.blocks, self.buffers, self.rest = blocks, buffers, rest

    def has_more(self):
        """Whether there are rows that are in no window yet."""
        if self.rest is None:
            self.rest = next(self.blocks, None)
        return self.rest is not None

    def __iter__(self):
        return self

    def __next__(self):
        if not self.has_more():
            raise StopIteration
        targets, weights, fill = [], [], self.buffers.next()
        while fill.room and self.has_more():
            X, y, weight = self.rest
            n = min(fill.room, X.shape[0])
            fill.add(X[:n])
            targets.append(y[:n].copy())
            weights.append(weight if weight is None else weight[:n].copy())
            self.rest = (X[n:], y[n:], weight if weight is None else weight[n:]) if n < X.shape[0] else None
        return Window(fill.rows(), stacked(targets), stacked(weights))


class Buffers:
    """Memory for the dense X of windows, of which each second one has the same.

    Parameters
    ----------
    size : int
        Rows of a window.
    n_features : int
    dtype : dtype
    """

    def __init__(self, size, n_features, dtype):
        self.size, self.n_features, self.dtype = size, n_features, dtype
        self.arrays, self.number = [], 0

    def next(self):
        """What fills the next window."""
        if len(self.arrays) < N_WINDOWS:
            self.arrays.append(np.empty((self.size, self.n_features), self.dtype))
        self.number += 1
        return Filling(self.arrays[(self.number - 1) % N_WINDOWS])


class Filling:
    """An array that is filled from its first row on.

    Parameters
    ----------
    array : ndarray of shape (size, n_features)
    """

    def __init__(self, array):
        self.array, self.n = array, 0

    @property
    def room(self):
        """int: rows that are not filled."""
        return len(self.array) - self.n

    def add(self, X):
        """Copy rows."""
        rows = self.array[self.n : self.n + len(X)]
        rows[...] = X
        if X.dtype != rows.dtype and all_finite(X) and not all_finite(rows):
            raise ValueError(
                f"X holds values too large for {rows.dtype}, the dtype of the first block; scale them, or use float64 "
                "throughout"
            )
        self.n += len(X)

    def rows(self):
        """The rows that are filled."""
        return self.array[: self.n]


class SparseBuffers:
    """As `Buffers`, for sparse X: the rows of each window are stacked.

    Parameters
    ----------
    size : int
        Rows of a window.
    """

    def __init__(self, size):
        self.size = size

    def next(self):
        """What collects the rows of the next window."""
        return Collecting(self.size)


class Collecting:
    """Sparse rows that are stacked when all are there; see `Filling`."""

    def __init__(self, room):
        self.room, self.parts = room, []

    def add(self, X):
        """Copy rows."""
        self.parts.append(X.copy())
        self.room -= X.shape[0]

    def rows(self):
        """All rows."""
        return stacked(self.parts)


def stacked(parts):
    """Arrays or sparse matrices, one below the other; None for None, of which all parts are then."""
    if len(parts) == 1 or parts[0] is None:
        return parts[0]
    return sparse.vstack(parts, format="csr") if sparse.issparse(parts[0]) else np.concatenate(parts)


def n_rows_of(X):
    """The number of rows of an array, a sparse matrix, a data frame or a list."""
    return X.shape[0] if hasattr(X, "shape") else len(X)
