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
        Rows of a window, at most.
    n_begin : int
        Rows for which memory is taken at first.
    n_features : int
    dtype : dtype
    """

    def __init__(self, size, n_begin, n_features, dtype):
        self.size, self.shape, self.dtype = size, (min(size, n_begin), n_features), dtype
        self.buffers, self.number = [], 0

    def next(self):
        """What fills the next window."""
        if len(self.buffers) < N_WINDOWS:
            self.buffers.append(Buffer(self.size, np.empty(self.shape, self.dtype)))
        self.number += 1
        return self.buffers[(self.number - 1) % N_WINDOWS].emptied()


class Buffer:
    """An array that is filled from its first row on, and grows where it has to.

    Parameters
    ----------
    size : int
        Rows, at most.
    array : ndarray of shape (n_rows, n_features)
    """

    def __init__(self, size, array):
        self.size, self.array, self.n = size, array, 0

    def emptied(self):
        """The buffer, without rows."""
        self.n = 0
        return self

    @property
    def room(self):
        """int: rows that may be added."""
        return self.size - self.n

    def add(self, X):
        """Copy rows."""
        n = self.n + len(X)
        if n > len(self.array):
            self.grow(n)
        rows = self.array[self.n : n]
        with np.errstate(over="ignore"):  # what is too large is found below
            rows[...] = X
        if X.dtype != rows.dtype:
            check_fits(X, rows)
        self.n = n

    def grow(self, n):
        """Make room for n rows in all, or for twice as many as before."""
        larger = np.empty((min(self.size, max(n, 2 * len(self.array))), self.array.shape[1]), self.array.dtype)
        larger[: self.n] = self.array[: self.n]
        self.array = larger

    def rows(self):
        """The rows that are there."""
        return self.array[: self.n]


def check_fits(X, converted):
    """ValueError where numbers of X became infinite in the dtype of the first block."""
    if all_finite(X) and not all_finite(converted):
        raise ValueError(
            f"X holds values too large for {converted.dtype}, the dtype of the first block; scale them, or use float64 "
            "throughout"
        )


class SparseBuffers:
    """As `Buffers`, for sparse X: the rows of each window are stacked."""

    def __init__(self, size, n_begin, n_features, dtype):
        self.size, self.dtype = size, dtype

    def next(self):
        """What collects the rows of the next window."""
        return Collecting(self.size, self.dtype)


class Collecting:
    """Sparse rows that are stacked when all are there; see `Buffer`."""

    def __init__(self, room, dtype):
        self.room, self.dtype, self.parts = room, dtype, []

    def add(self, X):
        """Copy rows."""
        with np.errstate(over="ignore"):
            rows = X.astype(self.dtype, copy=True)
        if X.dtype != self.dtype:
            check_fits(X.data, rows.data)
        self.parts.append(rows)
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
