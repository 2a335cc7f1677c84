"""Columns of float64 as float32, without loss where the values of a column have a common size.

A number x of a column becomes (x - shift) * factor. The factor is a power of two, so that the product is exact. Most
columns need neither: they are copied. A shift is needed where the values are far from 0 and close together, such as
seconds since 1970; a factor where they are beyond the range of float32, such as 1e300.
"""

import numpy as np

#: Rows by which shift and factor are chosen
SAMPLE_ROWS = 1024
#: The share of the different values that are to stay different
KEPT = 0.99
#: Columns whose typical size is between 2**-40 and 2**40 need no factor
EXPONENT = 40
#: Larger numbers are clipped. Differences of two of them, divided by a small spread, are finite in float32.
BOUND = np.float32(2.0**100)


def fit_numbers(table, numbers):
    """How columns of numbers are lowered, and which of them have two values.

    Parameters
    ----------
    table : Table
    numbers : ndarray of int
        Of the columns.

    Returns
    -------
    shift, factor : ndarray of float64 of shape (n_columns,)
    is_binary : ndarray of bool of shape (n_columns,)
    """
    shift, factor = np.zeros(table.n_columns), np.ones(table.n_columns)
    is_binary = np.zeros(table.n_columns, bool)
    if len(numbers) == 0:
        return shift, factor, is_binary
    sample = sample_of(table, numbers)
    shift[numbers], factor[numbers] = fit_lowering(sample)
    low, high = np.zeros((2, table.n_columns))
    low[numbers], high[numbers] = sample[:, 0], sample[:, -1]
    with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
        step = 1 / (high - low)
    has_two = ((sample == sample[:, :1]) | (sample == sample[:, -1:])).all(axis=1)
    is_binary[numbers[has_two]] = True
    is_binary &= np.isfinite(step) & (step > 0)
    for _, columns, block in table.blocks(np.flatnonzero(is_binary)):
        is_binary[columns] &= ((block == low[columns]) | (block == high[columns])).all(axis=0)
    shift[is_binary], factor[is_binary] = low[is_binary], step[is_binary]
    return shift, factor, is_binary


def sample_of(table, numbers):
    """Some numbers of each column, sorted, with NaN for what is missing or infinite: see `fit_lowering`.

    Parameters
    ----------
    table : Table
    numbers : ndarray of int
        Of the columns.

    Returns
    -------
    ndarray of float64 of shape (len(numbers), n_rows)
    """
    rows = sample_rows(len(table))
    if table.matrix is not None:
        sample = np.ascontiguousarray(table.matrix[rows][:, numbers].T, dtype=np.float64)
    else:
        sample = np.array([table.numbers(number)[rows] for number in numbers], np.float64)
    sample[np.isinf(sample)] = np.nan
    sample.sort(axis=1)
    return sample


def sample_rows(n_rows):
    """The rows by which shift and factor are chosen: all, or some at random, which are the same each time."""
    if n_rows <= SAMPLE_ROWS:
        return slice(None)
    return np.random.RandomState(0).randint(n_rows, size=SAMPLE_ROWS)


def fit_lowering(sample):
    """Shift and factor of columns.

    The shift is 0, unless float32 then joins more than one in a hundred of the different values of the sample with
    others, and the median as shift keeps more of them apart.

    Parameters
    ----------
    sample : ndarray of float64 of shape (n_columns, n_rows)
        Sorted in each row. NaN, at the end, for what is missing or infinite.

    Returns
    -------
    shift, factor : ndarray of float64 of shape (n_columns,)
    """
    n_values = np.isfinite(sample).sum(axis=1)
    shift, factor = np.zeros(len(sample)), factor_of(sample)
    n_apart = n_different(lowered(sample, shift, factor), n_values)
    lossy = np.flatnonzero(n_apart < KEPT * n_different(sample, n_values))
    if len(lossy):
        values = sample[lossy]
        median = values[np.arange(len(lossy)), (n_values[lossy] - 1) // 2]
        with np.errstate(over="ignore"):
            moved = factor_of(values - median[:, np.newaxis])
        is_better = n_different(lowered(values, median, moved), n_values[lossy]) > n_apart[lossy]
        lossy = lossy[is_better]
        shift[lossy], factor[lossy] = median[is_better], moved[is_better]
    return shift, factor


def lowered(sample, shift, factor):
    """The float32 numbers of a sample."""
    with np.errstate(over="ignore", under="ignore"):
        return ((sample - shift[:, np.newaxis]) * factor[:, np.newaxis]).astype(np.float32)


class Ranges:
    """The lowest and the highest number of each column, and whether there are others, of one block after the other.

    Parameters
    ----------
    n_columns : int

    Attributes
    ----------
    low, high : ndarray of float64 of shape (n_columns,)
        Infinity and -infinity while there is no number.
    has_missing, has_others : ndarray of bool of shape (n_columns,)
        Whether there are missing numbers; numbers between the lowest and the highest one.
    """

    def __init__(self, n_columns):
        self.low, self.high = np.full(n_columns, np.inf), np.full(n_columns, -np.inf)
        self.has_missing, self.has_others = np.zeros((2, n_columns), bool)

    def add(self, columns, block):
        """Look at a block; see `Table.blocks`."""
        low, high = np.fmin.reduce(block, axis=0), np.fmax.reduce(block, axis=0)
        is_missing = np.isnan(block)
        has_others = ~((block == low) | (block == high) | is_missing).all(axis=0)
        lowest, highest = np.fmin(self.low[columns], low), np.fmax(self.high[columns], high)
        for limit in (self.low[columns], self.high[columns], low, high):
            has_others |= np.isfinite(limit) & (limit != lowest) & (limit != highest)
        self.low[columns], self.high[columns] = lowest, highest
        self.has_others[columns] |= has_others
        self.has_missing[columns] |= is_missing.any(axis=0)

    @property
    def are_constant(self):
        """ndarray of bool: whether a column has one value, or missing ones only."""
        return np.where(self.low > self.high, True, (self.low == self.high) & ~self.has_missing)

    def binary_steps(self):
        """ndarray of float64: of the columns of two values without missing ones the reciprocal of their distance, if it
        is finite; else 0."""
        with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
            steps = 1 / (self.high - self.low)
        return np.where(self.has_others | self.has_missing | ~np.isfinite(steps) | ~(steps > 0), 0.0, steps)


def n_different(sorted_values, n_values):
    """The number of different values in each row of sorted values, of which the first `n_values` count."""
    is_counted = np.arange(1, sorted_values.shape[1]) < n_values[:, np.newaxis]
    is_other = sorted_values[:, 1:] != sorted_values[:, :-1]
    return (is_other & is_counted).sum(axis=1) + (n_values > 0)


def factor_of(values):
    """The power of two that brings the median size of the values of each row, without zeros, to about 1.

    It is 1 where the size is between 2**-40 and 2**40.

    Parameters
    ----------
    values : ndarray of float64 of shape (n_columns, n_rows)

    Returns
    -------
    ndarray of float64 of shape (n_columns,)
    """
    sizes = np.abs(values)
    sizes[(sizes == 0) | np.isinf(sizes)] = np.nan
    sizes.sort(axis=1)
    n_sizes = (~np.isnan(sizes)).sum(axis=1)
    typical = sizes[np.arange(len(sizes)), np.maximum(n_sizes - 1, 0) // 2]
    exponent = np.frexp(np.where(np.isnan(typical), 1.0, typical))[1]
    return np.ldexp(1.0, np.where(np.abs(exponent) <= EXPONENT, 0, np.clip(-exponent, -1022, 1022)))


def lower(block, shift, factor, out):
    """Write (block - shift) * factor, clipped to ±BOUND, into float32 numbers.

    Parameters
    ----------
    block : ndarray of float64 or float32 of shape (n, n_columns)
    shift, factor : ndarray of float64 of shape (n_columns,), or None and None
        None for 0 and 1.
    out : ndarray of float32 of shape (n, n_columns)

    Returns
    -------
    bool
        Whether all numbers are finite and within the bound: else the block may hold infinity.
    """
    with np.errstate(over="ignore", invalid="ignore", under="ignore"):
        if shift is None:
            out[...] = block
        else:
            low = np.subtract(block, shift, dtype=np.float64)
            out[...] = np.multiply(low, factor, out=low)
    if out.min() >= -BOUND and out.max() <= BOUND:  # false for NaN
        return True
    np.clip(out, -BOUND, BOUND, out=out)
    return False


def set_binary(low, is_binary):
    """Bring columns of numbers, whose two values are 0 and 1, to -1 and 1, and missing ones to 0.

    Parameters
    ----------
    low : ndarray of float32 of shape (n, n_columns)
        Written over.
    is_binary : ndarray of bool of shape (n_columns,)
        Which columns are meant.
    """
    columns = slice(None) if is_binary.all() else np.flatnonzero(is_binary)
    values = low[:, columns]
    np.clip(values, 0, 1, out=values)
    values *= 2
    values -= 1
    values[np.isnan(values)] = 0
    low[:, columns] = values


def check_infinity(table, numbers, columns, rows, block):
    """ValueError if a block of columns of numbers holds infinity.

    Parameters
    ----------
    table : Table
    numbers : ndarray of int
        The columns of numbers: others of a matrix are not looked at.
    columns, rows, block
        As of `blocks`.
    """
    is_infinite = np.isinf(block)
    if not is_infinite.any():
        return
    number_of = np.arange(table.n_columns)[columns]
    found = np.argwhere(is_infinite & np.isin(number_of, numbers))
    if len(found):
        row, column = found[0]
        raise ValueError(
            f"Input X contains infinity: {block[row, column]} in {table.label(number_of[column])}, row "
            f"{rows.start + row}. Replace it by NaN, which stands for missing, or by a large number."
        )
