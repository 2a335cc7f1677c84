"""Refusal of what NumPy would turn into numbers although it is none: dates, durations, text, records.

NumPy converts NaT to -9.2e18, dates to nanoseconds since 1970, and text to the number that it spells, all silently.
"""

import datetime
import sys
from collections.abc import Iterator, Mapping, Set

import numpy as np

#: Python types whose values are not numbers; pandas derives its Timestamp, Timedelta and NaT from the datetime ones.
NO_NUMBERS = (str, bytes, datetime.date, datetime.time, datetime.timedelta, np.datetime64, np.timedelta64)

WAYS_OUT = {
    "M": "Make numbers of the dates, for instance the days since a fixed date, or leave the column out.",
    "m": "Divide the durations by a unit, for instance numpy.timedelta64(1, 's'), or leave the column out.",
    "S": "Encode the text, for instance with sklearn.preprocessing.OrdinalEncoder or OneHotEncoder; if it spells "
    "numbers, convert it with astype(float).",
}
WAYS_OUT["V"] = "Make columns of the fields, for instance with numpy.lib.recfunctions.structured_to_unstructured."
WAYS_OUT["U"] = WAYS_OUT["T"] = WAYS_OUT["S"]

#: Python types that are not sequences of rows or of numbers
NO_ARRAYS = (str, bytes, Iterator, Mapping, Set)


def check_numeric(name, values):
    """Raise a TypeError where `values` hold dates, durations or text, or are no array; look at dtypes only, where there
    are any.

    Parameters
    ----------
    name : str
        Of the argument, for the message.
    values : array-like, data frame, sparse matrix or None
        Whatever else is wrong with it is left to scikit-learn's own checks.

    Raises
    ------
    TypeError
        Names the column, by its name in a data frame, else by its number. Also for iterators, dictionaries, sets and
        single strings.
    ValueError
        For Python integers beyond float64.
    """
    dtype = getattr(values, "dtype", None)
    if isinstance(dtype, np.dtype) and dtype.kind in "fiubc":
        return
    if hasattr(values, "columns"):  # pandas, polars and others
        check_frame(name, values)
    elif isinstance(values, (list, tuple)):
        check_list(name, values)
    elif dtype is not None and not hasattr(values, "tocsr"):  # an array, or a series
        check_array(name, values)
    elif isinstance(values, NO_ARRAYS) and not hasattr(values, "__array__"):
        raise TypeError(
            f"{name} must be an array, a sparse matrix, a data frame or a list of rows, got {type(values).__name__}; "
            "blocks are for fit_batches, or for partial_fit one by one"
        )


def check_frame(name, frame):
    """Check a data frame column by column."""
    dtypes = list(frame.dtypes)
    if not dtypes:
        raise ValueError(f"{name} is a data frame with 0 feature(s): at least one column is needed")
    if all(isinstance(dtype, np.dtype) and dtype.kind in "fiubc" for dtype in dtypes):
        return
    for number, column in enumerate(frame.columns):
        values = frame.iloc[:, number] if hasattr(frame, "iloc") else frame[column]
        found = not_numeric(values)
        if found:
            raise refusal(name, f"column {column!r}", *found)


def check_list(name, values):
    """Check a list of rows or of numbers."""
    try:
        array = np.asarray(values)
        if array.dtype.kind in "US":  # numbers beside text have become text
            array = np.array(values, dtype=object)
    except ValueError as error:
        raise ValueError(f"{name} must be a table of numbers, and has rows of different lengths") from error
    if array.dtype.kind not in "fiubc":
        check_array(name, array)


def check_array(name, array):
    """Check an array, column by column if it has two dimensions, or a series."""
    columns = [("", array)]
    if getattr(array, "ndim", 1) == 2:
        columns = [(f"column {number}", column) for number, column in enumerate(np.asarray(array).T)]
    for column, values in columns:
        found = not_numeric(values)
        if found:
            raise refusal(name, column, *found)


def not_numeric(column):
    """(what, kind): the dtype, or the first value of an object column, that is no number; None if there is none."""
    dtype = getattr(column, "dtype", None)
    kind = getattr(dtype, "kind", "O")
    if kind in WAYS_OUT:
        return f"values of dtype {dtype}", kind
    if kind != "O":
        return None
    array = np.asarray(column)
    if array.dtype.kind in WAYS_OUT:
        return f"values of dtype {dtype or array.dtype}", array.dtype.kind
    if array.dtype.kind != "O":
        return None
    types = set(map(type, array.flat))
    bad = {t for t in types if issubclass(t, NO_NUMBERS)}
    if not bad:
        if int in types:
            check_large_integers(array)
        return None
    value = next(value for value in array.flat if type(value) in bad)
    durations = (datetime.timedelta, np.timedelta64)
    text = isinstance(value, (str, bytes))
    return f"{value!r}, a {type(value).__name__}", "S" if text else "m" if isinstance(value, durations) else "M"


def check_large_integers(array):
    """ValueError for Python integers beyond float64, for which NumPy has an OverflowError."""
    largest = max((value for value in array.flat if isinstance(value, int)), key=abs)
    if abs(largest) > sys.float_info.max:
        raise ValueError(f"an integer of {largest.bit_length()} bits is too large for float64; scale the values")


def refusal(name, column, what, kind):
    """The error that says what is no number, and what to do."""
    where = f"{column} of {name}" if column else name
    return TypeError(f"{name} must hold numbers, and {where} holds {what}. {WAYS_OUT[kind]}")
