"""Tables as they come: data frames, arrays and lists of rows, as columns that are NumPy arrays.

Data frames are recognised by their methods, and each column is made an array by `numpy.asarray`, so that pandas, polars
and pyarrow are neither needed nor imported.
"""

import datetime
import sys
from decimal import Decimal
from numbers import Real

import numpy as np
from sklearn.utils.validation import check_array

from fastbp.compatibility import check_feature_names, check_n_features

#: What a column holds beside missing values
NUMBERS, BOOLEANS, TEXT, MIXED, NOTHING = "numbers", "booleans", "text", "text and numbers", "missing values only"

#: `numpy.dtype.kind` -> what an array holds
CONTENTS = {"i": NUMBERS, "u": NUMBERS, "f": NUMBERS, "b": BOOLEANS, "U": TEXT, "S": TEXT, "T": TEXT}

#: Numbers that are handled at once: 128 kB of float32
BLOCK_ELEMENTS = 2**15
#: Columns of a data frame that are handled together: their float32 numbers fill a line of the cache
GROUP = 16

#: Types in arrays of objects
TEXT_TYPES = (str, bytes)
NUMBER_TYPES = (Real, Decimal)
BOOLEAN_TYPES = (bool, np.bool_)
DATE_TYPES = (datetime.date, datetime.time, np.datetime64)
DURATION_TYPES = (datetime.timedelta, np.timedelta64)

DATES_WAY_OUT = (
    "Make columns of numbers of it, such as year, month, day, weekday and hour, or the seconds since a date, or leave "
    "the column out."
)
DURATIONS_WAY_OUT = "Divide it by a unit, for instance numpy.timedelta64(1, 's'), or leave the column out."
OTHER_WAY_OUT = (
    "Make text of it, for instance with astype(str), if its values are categories, or columns of numbers of its parts, "
    "or leave the column out."
)


class Table:
    """The columns of X.

    Parameters
    ----------
    matrix : ndarray of shape (n_rows, n_columns) or None, default=None
        X, if it is an array of numbers.
    arrays : list of ndarray of shape (n_rows,), default=()
        Else its columns.
    names : sequence or None, default=None
        Of the columns of a data frame.
    dtypes : list or None, default=None
        Of the columns of a data frame, as it has them.

    Attributes
    ----------
    contents : list of str
        What each column holds: constants of this module.

    Raises
    ------
    TypeError
        For a column that holds neither numbers nor text nor bools.
    """

    def __init__(self, matrix=None, arrays=(), names=None, dtypes=None):
        self.matrix, self.arrays, self.names, self.dtypes = matrix, arrays, names, dtypes
        if matrix is not None:
            self.contents = [CONTENTS[matrix.dtype.kind]] * matrix.shape[1]
        else:
            self.contents = [content_of(array, self.label(number)) for number, array in enumerate(arrays)]

    def __len__(self):
        return len(self.matrix if self.matrix is not None else self.arrays[0])

    @property
    def n_columns(self):
        """The number of columns."""
        return self.matrix.shape[1] if self.matrix is not None else len(self.arrays)

    def column(self, number):
        """A column: an array of one dimension."""
        return self.matrix[:, number] if self.matrix is not None else self.arrays[number]

    def label(self, number):
        """How messages call a column."""
        return f"column {int(number) if self.names is None else self.names[number]!r}"

    @property
    def is_category(self):
        """The columns of a data frame whose dtype is one of categories: an ndarray of bool."""
        return np.array([is_category(dtype) for dtype in self.dtypes or [None] * self.n_columns])

    def numbers(self, number, when=""):
        """A column as numbers, which takes the place of the column.

        Parameters
        ----------
        number : int
            Of the column.
        when : str
            For the message: what it was in `fit`.

        Returns
        -------
        ndarray of shape (n_rows,)
            Of floats, integers or bools; NaN for missing.

        Raises
        ------
        TypeError
            For text.
        ValueError
            For integers beyond float64.
        """
        array, content, label = self.arrays[number], self.contents[number], self.label(number)
        if content in (TEXT, MIXED):
            value = first_text(array)
            raise TypeError(
                f"{label} of X must hold numbers{when}, and holds {value!r}, a {type(value).__name__}. If they are "
                "categories, fit with the column in categorical_features; if it spells numbers, use astype(float)."
            )
        if array.dtype.kind == "O":
            values = [np.nan if is_missing(value) else value for value in array.tolist()]
            try:
                self.arrays[number] = np.array(values, np.float64)
            except OverflowError:
                raise ValueError(f"{label} of X holds an integer that is too large for float64: scale it") from None
        return self.arrays[number]

    def blocks(self, numbers, when=""):
        """Columns of numbers, some rows at a time.

        Parameters
        ----------
        numbers : ndarray of int
            Of the columns. From a matrix, all columns come, unless it is empty.
        when : str
            As of `numbers`.

        Yields
        ------
        rows : slice
        columns : slice or ndarray of int
        block : ndarray of float64 or float32 of shape (n, n columns)
        """
        for columns, matrix in self.groups(numbers, when):
            n_rows = max(1, BLOCK_ELEMENTS // matrix.shape[1])
            for start in range(0, len(self), n_rows):
                block = matrix[start : start + n_rows]
                if block.dtype not in (np.float64, np.float32):
                    block = block.astype(np.float64)
                yield slice(start, start + n_rows), columns, block

    def groups(self, numbers, when):
        """The columns beside each other: tuples of their numbers, and an array of shape (n_rows, n columns)."""
        if self.matrix is not None:
            if len(numbers):
                yield slice(None), self.matrix
            return
        for start in range(0, len(numbers), GROUP):
            columns = numbers[start : start + GROUP]
            matrix = np.empty((len(columns), len(self)))
            for row, number in zip(matrix, columns, strict=True):
                row[:] = self.numbers(number, when)
            yield columns, matrix.T


def read_table(X, estimator, *, reset):
    """The columns of X.

    Parameters
    ----------
    X : data frame or array-like of shape (n_rows, n_columns)
    estimator : object
        Its ``n_features_in_`` and ``feature_names_in_`` are set, or X must agree with them.
    reset : bool
        Whether they are set.

    Returns
    -------
    Table

    Raises
    ------
    ValueError, TypeError
        As scikit-learn has them: for sparse and complex X, other dimensions than two, no row, no column, and where X
        disagrees with the names or the number of columns in `fit`. Also for masked arrays and lazy frames.
    """
    names, columns, dtypes = frame_columns(X)
    check_feature_names(estimator, X, names, reset=reset)
    if names is None:
        table = of_array(X, estimator)
    else:
        check_shape(len(columns[0]) if columns else 0, len(columns), estimator)
        arrays = [array_of(columns[i], dtypes[i], f"column {names[i]!r}") for i in range(len(names))]
        table = Table(arrays=arrays, names=names, dtypes=dtypes)
    check_n_features(estimator, np.broadcast_to(0, (1, table.n_columns)), reset=reset)
    return table


def as_table(X):
    """A record batch of pyarrow as a table, which scikit-learn knows the column names of; anything else as it is."""
    if type(X).__name__ == "RecordBatch" and "pyarrow" in sys.modules:
        return sys.modules["pyarrow"].Table.from_batches([X])
    return X


def frame_columns(X):
    """The names, the columns and the dtypes of a data frame: three lists, or three times None for anything else."""
    if hasattr(X, "iloc") and getattr(X, "ndim", 0) == 2:  # pandas
        columns = [series for _, series in X.items()]
        return list(X.columns), columns, [column.dtype for column in columns]
    if hasattr(X, "get_columns"):  # polars
        return X.columns, X.get_columns(), X.dtypes
    if hasattr(X, "column_names") and hasattr(X, "columns"):  # pyarrow: a table or a record batch
        # of dictionaries in chunks, NumPy would get values where there are missing ones
        columns = [column.combine_chunks() if hasattr(column, "combine_chunks") else column for column in X.columns]
        return X.column_names, columns, [column.type for column in columns]
    return None, None, None


def check_shape(n_rows, n_columns, estimator):
    """ValueError for a data frame without columns or rows, in scikit-learn's words."""
    for found, what in ((n_columns, "feature"), (n_rows, "sample")):
        if found == 0:
            raise ValueError(
                f"Found array with 0 {what}(s) (shape={(n_rows, n_columns)}) while a minimum of 1 is required by "
                f"{type(estimator).__name__}."
            )


def of_array(X, estimator):
    """The Table of an array, or of what NumPy makes one of."""
    if hasattr(X, "collect_schema") and hasattr(X, "collect"):
        raise TypeError("X is a lazy frame: use X.collect()")
    if isinstance(X, np.ma.MaskedArray):
        raise TypeError("X is a masked array: use X.filled(numpy.nan), of float64, where NaN stands for missing")
    if isinstance(X, (list, tuple)) and np.asarray(X).dtype.kind in "US":  # numbers beside text have become text
        X = np.array(X, dtype=object)
    X = check_array(X, dtype=None, ensure_all_finite=False, estimator=estimator, input_name="X")
    return Table(matrix=X) if X.dtype.kind in "iufb" else Table(arrays=list(X.T))


def is_category(dtype):
    """Whether the dtype of a column of a data frame is one of categories."""
    dtype = getattr(dtype, "pyarrow_dtype", dtype)
    return hasattr(dtype, "categories") or hasattr(dtype, "index_type")  # of pandas and polars, of pyarrow


def array_of(column, dtype, label):
    """A column of a data frame as an array of one dimension: missing values are NaN, None or pandas.NA."""
    try:
        array = np.asarray(column)
    except Exception as error:  # of any kind: of the package of the data frame
        raise TypeError(f"{label} of X, of dtype {dtype}, cannot be made a NumPy array: {error}") from error
    if array.dtype.kind == "c":
        raise ValueError(f"Complex data not supported: {label} of X is of dtype {dtype}")
    if array.ndim != 1:  # arrays and structures of polars
        raise refusal(array[0], label, OTHER_WAY_OUT)
    return array


def content_of(array, label):
    """What a column holds.

    Parameters
    ----------
    array : ndarray of shape (n_rows,)
    label : str
        Of the column, for the message.

    Returns
    -------
    str
        One of NUMBERS, BOOLEANS, TEXT, MIXED, NOTHING.

    Raises
    ------
    TypeError
        For dates, durations, and objects that are neither numbers nor text.
    """
    if array.dtype.kind in CONTENTS:
        return CONTENTS[array.dtype.kind]
    if array.dtype.kind in "Mm":
        raise refusal(array[0], label, DATES_WAY_OUT if array.dtype.kind == "M" else DURATIONS_WAY_OUT)
    values = array.tolist()
    found = set()
    for cls in set(map(type, values)):
        if issubclass(cls, BOOLEAN_TYPES):
            found.add(BOOLEANS)
        elif issubclass(cls, TEXT_TYPES):
            found.add(TEXT)
        elif issubclass(cls, NUMBER_TYPES) and not issubclass(cls, DURATION_TYPES):  # NumPy's are integers too
            if not all(is_missing(value) for value in values if type(value) is cls):
                found.add(NUMBERS)
        elif cls is not type(None) and cls.__name__ != "NAType":  # pandas.NA
            value = next(value for value in values if type(value) is cls)
            raise refusal(value, label, way_out_of(cls))
    if TEXT in found:
        return TEXT if len(found) == 1 else MIXED
    return NUMBERS if NUMBERS in found else BOOLEANS if found else NOTHING


def way_out_of(cls):
    """What to do with values of a type."""
    if issubclass(cls, DURATION_TYPES):
        return DURATIONS_WAY_OUT
    if issubclass(cls, DATE_TYPES) or cls.__name__ == "Period":  # of pandas
        return DATES_WAY_OUT
    return OTHER_WAY_OUT


def refusal(value, label, way_out):
    """The TypeError for a value that no cell may hold."""
    shown = repr(value)
    shown = shown if len(shown) < 80 else f"{shown[:80]}..."
    return TypeError(
        f"{label} of X holds {shown}, of type {type(value).__name__}: each cell of the argument must be a string, a "
        f"number, a bool or missing. {way_out}"
    )


def first_text(array):
    """The first text in an array of objects."""
    return next(value for value in array.tolist() if isinstance(value, TEXT_TYPES))


def is_missing(value):
    """Whether a cell is None, NaN or pandas.NA."""
    if isinstance(value, Decimal):
        return value.is_nan()  # to compare a signaling one would raise an error
    return value is None or type(value).__name__ == "NAType" or value != value
