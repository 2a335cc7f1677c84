"""Matrices in files (np.memmap) whose rows are converted when they are read.

A matrix of the network's dtype in C order is read where it lies. One of another dtype or layout would have to be copied
whole, into memory that may not be there. `MappedRows` stands in its place: the kernels convert the rows of a batch
(`Data`), and Python code takes some rows or columns at a time.
"""

import numpy as np

from fastbp.kernels.dispatch import ELEMENTS

#: Numbers that are converted at once: 8 MB of float64 for rows, 64 MB for columns, of which there is one at least
NUMBERS_OF_ROWS = 2**20
NUMBERS_OF_COLUMNS = 2**23


def is_mapped(X):
    """Whether X is a dense matrix in a file: an np.memmap, or an array that is a view of one.

    Parameters
    ----------
    X : object
    """
    if not isinstance(X, np.ndarray) or X.ndim != 2 or not X.size:
        return False
    while isinstance(X, np.ndarray):
        if isinstance(X, np.memmap) and X._mmap is not None:  # else it is a copy
            return True
        X = X.base
    return False


def is_read_in_place(X, dtype):
    """Whether the kernels read an array where it lies.

    Parameters
    ----------
    X : ndarray
    dtype : dtype
        Of the network.
    """
    return X.dtype == dtype and X.flags.c_contiguous and X.flags.aligned


def is_convertible(dtype):
    """Whether the kernels convert rows of this dtype; longer floats than float64 they do not."""
    return dtype.name in ELEMENTS


class Columns:
    """A matrix of which some columns are in memory at a time. A subclass has the method ``read(begin, end)``, which
    returns columns [begin, end) as an ndarray.

    Parameters
    ----------
    shape : (int, int)
    dtype : dtype
    """

    ndim = 2

    def __init__(self, shape, dtype):
        self.shape, self.dtype = shape, np.dtype(dtype)
        self.first_column, self.columns = 0, np.empty((shape[0], 0), self.dtype)

    def __len__(self):
        return self.shape[0]

    def __array__(self, dtype=None, copy=None):
        raise TypeError("rows of a memmap are converted some at a time: take them by an index")

    @property
    def size(self):
        """int: how many numbers there are."""
        return self.shape[0] * self.shape[1]

    def __getitem__(self, key):
        """One column, by ``[:, number]``. Those beside it are read at the same time, and kept: most pages of a file
        have numbers of all columns."""
        _, number = key
        if not 0 <= number - self.first_column < self.columns.shape[1]:
            self.columns = None  # before there are others
            end = min(number + max(1, NUMBERS_OF_COLUMNS // self.shape[0]), self.shape[1])
            self.first_column, self.columns = number, self.read(number, end)
        return self.columns[:, number - self.first_column]


class MappedRows(Columns):
    """A matrix in a file as one of another dtype. What is read of it is a copy.

    Parameters
    ----------
    array : ndarray of shape (n_samples, n_features)
        Of a dtype that `is_convertible`, in any layout.
    dtype : dtype
        float32 or float64.
    rows : ndarray of int64 or None
        The rows that this is a matrix of; None for all.
    """

    def __init__(self, array, dtype, rows=None):
        super().__init__(array.shape if rows is None else (len(rows), array.shape[1]), dtype)
        self.array, self.rows = array, rows

    def __getitem__(self, key):
        """Rows, by a slice or an array of numbers, or one column, by ``[:, number]``: an ndarray."""
        if isinstance(key, tuple):
            return super().__getitem__(key)
        return self.converted(self.array[key if self.rows is None else self.rows[key]])

    def converted(self, array):
        """A copy in the dtype, in C order."""
        with np.errstate(over="ignore", invalid="ignore"):  # what is too large was refused, or is to be
            return np.array(array, self.dtype, order="C")

    def read(self, begin, end):
        """Columns [begin, end)."""
        some = self.array[:, begin:end]
        return self.converted(some if self.rows is None else some[self.rows])

    def part(self, rows):
        """Some of the rows.

        Parameters
        ----------
        rows : slice or ndarray of int64

        Returns
        -------
        MappedRows
        """
        numbers = np.arange(self.shape[0]) if self.rows is None else self.rows
        return MappedRows(self.array, self.dtype, numbers[rows])

    def slices(self):
        """list of slice: all rows, as many at a time as should be read at once."""
        step = max(1, NUMBERS_OF_ROWS // self.shape[1])
        return [slice(start, min(start + step, len(self))) for start in range(0, len(self), step)]


class ComputedColumns(Columns):
    """The columns of what a function makes of `MappedRows`, computed some at a time.

    Parameters
    ----------
    rows : MappedRows
    function : callable
        ``function(X)`` of some of the rows is an ndarray with as many rows.
    width : int
        Columns of its result.
    """

    def __init__(self, rows, function, width):
        super().__init__((len(rows), width), rows.dtype)
        self.rows, self.function = rows, function

    def read(self, begin, end):
        """Columns [begin, end)."""
        out = np.empty((len(self), end - begin), self.dtype)
        for rows in self.rows.slices():
            out[rows] = self.function(self.rows[rows])[:, begin:end]
        return out


def as_given(X):
    """X as the user gave it, in place of `MappedRows`; anything else as it is."""
    return X.array if isinstance(X, MappedRows) else X


def loaded(X):
    """`MappedRows` as an array in memory; anything else as it is."""
    return X[:] if isinstance(X, MappedRows) else X
