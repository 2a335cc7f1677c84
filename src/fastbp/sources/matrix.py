"""Columns that lie one after the other in memory, as the C-contiguous matrix that the kernels read."""

import numpy as np

#: Columns that are brought together before they are written: two lines of the cache of float32
GROUP = 32
#: Rows that are transposed at once: with a group of float32, half a MB
ROWS = 4096
#: Kinds and sizes of numbers that float32 holds without loss
NARROW = {"f": 4, "i": 2, "u": 2, "b": 1}


def matrix_dtype(dtypes):
    """The dtype of a matrix of columns.

    Parameters
    ----------
    dtypes : iterable of dtype
        Of numbers or booleans.

    Returns
    -------
    dtype
        float32, if it holds all values without loss, else float64.
    """
    is_narrow = all(dtype.itemsize <= NARROW[dtype.kind] for dtype in map(np.dtype, dtypes))
    return np.dtype(np.float32 if is_narrow else np.float64)


def transpose(columns, out):
    """Write columns to a matrix.

    NumPy releases the GIL while it copies. In a matrix of many columns, whose rows are far apart, a group of columns is
    collected first: if the distance of the rows is a power of two, they have but a few places in the cache.

    Parameters
    ----------
    columns : list of ndarray of shape (n_rows,)
    out : ndarray of shape (n_rows, n_columns)
        OUT
    """
    n_rows, n_columns = out.shape
    scratch = np.empty((min(ROWS, n_rows), GROUP), out.dtype) if n_columns > GROUP else None
    for start in range(0, n_rows, ROWS):
        rows = out[start : start + ROWS]
        for first in range(0, n_columns, GROUP):
            group = rows[:, first : first + GROUP]
            target = group if scratch is None else scratch[: len(group), : group.shape[1]]
            for number, column in enumerate(columns[first : first + GROUP]):
                target[:, number] = column[start : start + ROWS]
            if target is not group:
                group[:] = target


def runs(numbers):
    """Numbers as runs of consecutive ones.

    Parameters
    ----------
    numbers : list of int

    Returns
    -------
    list of (int, slice)
        The place of the first one among the numbers, and the run.
    """
    found = []
    for place, number in enumerate(numbers):
        if found and number == found[-1][1].stop:
            begin, run = found[-1]
            found[-1] = (begin, slice(run.start, number + 1))
        else:
            found.append((place, slice(number, number + 1)))
    return found
