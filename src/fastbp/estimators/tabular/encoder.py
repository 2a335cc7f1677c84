"""From tables to the numbers that a network reads."""

from dataclasses import dataclass

import numpy as np

from fastbp.estimators.tabular.columns import (
    BOOLEANS,
    MIXED,
    NOTHING,
    TEXT,
    Table,
    as_table,
    first_text,
    read_table,
)
from fastbp.estimators.tabular.levels import Levels
from fastbp.estimators.tabular.lowering import check_infinity, fit_numbers, lower, set_binary


@dataclass(frozen=True, eq=False)
class TableEncoder:
    """Turns a data frame or an array into a float32 matrix. It is made by `fit_transform`, and keeps no rows.

    Each column of X is one column of the matrix, at the same place, and is one of three kinds:

    - numeric: ``(x - shift) * factor``, with a power of two as factor. NaN stands for missing. Most columns have the
      shift 0 and the factor 1, and come out as they are. Numbers are no larger than 2**100, however far x is from the
      training data.
    - binary: -1 and 1. Columns of numbers with two different values and no missing ones, the lower one of which is -1;
      numbers between these give a number between -1 and 1, others that of the nearest. Categorical columns with two
      levels. A value that is missing or was not there in `fit` is 0. There is no NaN.
    - categorical: codes 0, 1, ... as floats, as `Levels` orders them: the levels, then one for all rare levels, then
      one for missing values, if they occur in training. A level that was not there has the code of the rare ones, else
      NaN; so has a missing value where none was.

    Parameters
    ----------
    shift, factor : ndarray of float64 of shape (n_columns,)
        0 and 1 for categories. For binary columns of numbers, ``(x - shift) * factor`` is 0 and 1.
    levels : tuple of Levels or None of length n_columns
        None for columns of numbers.
    is_binary : ndarray of bool of shape (n_columns,)
    """

    shift: np.ndarray
    factor: np.ndarray
    levels: tuple
    is_binary: np.ndarray

    def __post_init__(self):
        self._check()
        is_number = np.array([levels is None for levels in self.levels])
        is_binary_number = is_number & self.is_binary
        vars(self).update(
            numeric_columns=np.flatnonzero(is_number & ~self.is_binary),
            binary_columns=np.flatnonzero(self.is_binary),
            categorical_columns=np.flatnonzero(~is_number & ~self.is_binary),
            n_levels=np.array([len(v) for v in self.levels if v is not None and len(v) != 2], np.intp),
            _numbers=np.flatnonzero(is_number),
            _is_binary_number=is_binary_number,
            _has_binary_numbers=bool(is_binary_number.any()),
            _is_plain=not self.shift.any() and bool((self.factor == 1).all()),
        )

    def _check(self):
        """ValueError unless the fields are such as `fit_transform` leaves."""
        if not isinstance(self.levels, tuple):
            raise ValueError(f"levels of a TableEncoder must be a tuple, got {type(self.levels).__name__}")
        for name, dtype in {"shift": "f8", "factor": "f8", "is_binary": "?"}.items():
            value = getattr(self, name)
            if not isinstance(value, np.ndarray) or value.dtype != dtype or value.shape != (len(self.levels),):
                raise ValueError(f"{name} of a TableEncoder must be an array of {len(self.levels)} values of {dtype}")
        if not (np.isfinite(self.shift).all() and np.isfinite(self.factor).all() and (self.factor > 0).all()):
            raise ValueError("shift and factor of a TableEncoder must be finite, and the factor above 0")
        for levels, is_binary in zip(self.levels, self.is_binary, strict=True):
            if not (levels is None or (isinstance(levels, Levels) and (len(levels) == 2) == is_binary)):
                raise ValueError("levels of a TableEncoder must be None or Levels, two for a binary column")

    @property
    def is_categorical(self):
        """ndarray of bool of shape (n_columns,): which columns are categories."""
        return np.array([levels is not None for levels in self.levels])

    @property
    def slopes(self):
        """ndarray of float64 of shape (n_columns,): the derivatives of the numbers that `transform` gives by those in
        X; NaN for categories."""
        slopes = np.where(self._is_binary_number, 2 * self.factor, self.factor)
        return np.where(self.is_categorical, np.nan, slopes)

    def __reduce__(self):
        return TableEncoder, (self.shift, self.factor, self.levels, self.is_binary)

    @classmethod
    def fit_transform(cls, X, estimator, *, categorical_features="from_dtype", min_frequency=2, max_categories=1024):
        """Learn the columns of X, and turn X into numbers.

        Parameters
        ----------
        X : data frame or array-like of shape (n_rows, n_columns)
            Of pandas, polars, pyarrow or NumPy, or a list of rows.
        estimator : object
            Its attributes ``n_features_in_`` and ``feature_names_in_`` are set, and messages name its class.
        categorical_features : "from_dtype", None or array-like, default="from_dtype"
            As that of HistGradientBoostingClassifier: an array-like is a mask, integer indices, or names. In
            "from_dtype", the columns of dtypes of categories, strings and bools are categorical, and those of objects
            that hold strings or bools; these also in NumPy arrays.
        min_frequency : int, default=2
            Levels of fewer rows are one level, "rare". A level of a single row tells nothing of other rows; all such
            levels together tell what to expect of a level that was not there.
        max_categories : int, default=1024
            Of more levels, only the most frequent ones are kept. The others are rare.

        Returns
        -------
        encoder : TableEncoder
        matrix : ndarray of float32 of shape (n_rows, n_columns)
            C-contiguous.

        Raises
        ------
        TypeError
            For dates, durations, lists and other objects in cells, for text in a column that is not categorical, and
            for text beside numbers in a column that `categorical_features` does not list. The message names the column.
        ValueError
            For infinities; for what scikit-learn's estimators refuse.

        Warns
        -----
        UserWarning
            For a categorical column most of whose rows have a rare level.
        """
        X = as_table(X)
        table = read_table(X, estimator, reset=True)
        is_categorical = categorical_columns(table, categorical_features)
        levels = [None] * table.n_columns
        for number in np.flatnonzero(is_categorical):
            levels[number] = Levels.fit(
                table.column(number),
                table.label(number),
                min_frequency=min_frequency,
                max_categories=max_categories,
            )
        shift, factor, is_binary = fit_numbers(table, np.flatnonzero(~is_categorical))
        for number in np.flatnonzero(is_categorical):
            is_binary[number] = len(levels[number]) == 2
        encoder = cls(shift, factor, tuple(levels), is_binary)
        return encoder, encoder._encoded(table)

    def transform(self, X, estimator):
        """Turn X into numbers.

        Parameters
        ----------
        X : data frame or array-like of shape (n_rows, n_columns)
            With the columns of `fit_transform`, in the same order. Their dtypes may differ, if the values are alike.
        estimator : object
            That of `fit_transform`.

        Returns
        -------
        ndarray of float32 of shape (n_rows, n_columns)
            C-contiguous.

        Raises
        ------
        TypeError, ValueError
            As `fit_transform`; for other columns; for text where there were numbers, and numbers where there was text.
        """
        if is_array_of(X, len(self.levels)) and not hasattr(estimator, "feature_names_in_"):
            return self._encoded(Table(X))
        return self._encoded(read_table(as_table(X), estimator, reset=False))

    def _encoded(self, table):
        """The matrix of a table."""
        out = np.empty((len(table), table.n_columns), np.float32)
        for rows, columns, block in table.blocks(self._numbers, when=" as in fit"):
            low = out[rows, columns]  # a view of a slice, a copy of other columns
            shift, factor = (None, None) if self._is_plain else (self.shift[columns], self.factor[columns])
            if not lower(block, shift, factor, low):
                check_infinity(table, self._numbers, columns, rows, block)
            if self._has_binary_numbers:
                set_binary(low, self._is_binary_number[columns])
            if isinstance(columns, np.ndarray):
                out[rows, columns] = low
        for number, levels in enumerate(self.levels):
            if levels is not None:
                codes = levels.codes(table.column(number), table.label(number))
                out[:, number] = np.nan_to_num(2 * codes - 1) if self.is_binary[number] else codes
        return out


def is_array_of(X, n_columns):
    """Whether X is an array of numbers with these columns, on which validation would change and report nothing."""
    return type(X) is np.ndarray and X.dtype.kind in "fiub" and X.ndim == 2 and len(X) > 0 and X.shape[1] == n_columns


def categorical_columns(table, categorical_features):
    """The columns that are categorical.

    Parameters
    ----------
    table : Table
    categorical_features : "from_dtype", None or array-like

    Returns
    -------
    ndarray of bool of shape (n_columns,)

    Raises
    ------
    TypeError
        For text beside numbers in a column, where it is not said what the column is.
    ValueError
        For `categorical_features` that are not the columns of X.
    """
    if not (isinstance(categorical_features, str) and categorical_features == "from_dtype"):
        return chosen_columns(table, categorical_features)
    is_categorical = table.is_category | [content in (TEXT, BOOLEANS, NOTHING) for content in table.contents]
    for number, content in enumerate(table.contents):
        if content == MIXED and not is_categorical[number]:
            text = first_text(table.column(number))
            raise TypeError(
                f"{table.label(number)} of X holds text beside numbers, such as {text!r}. If the numbers count, make "
                "the text missing, for instance with pandas.to_numeric(column, errors='coerce'). If they are "
                "categories, use astype(str) or list the column in categorical_features."
            )
    return is_categorical


def chosen_columns(table, categorical_features):
    """The columns that a mask, integer indices, or names choose.

    Parameters
    ----------
    table : Table
    categorical_features : array-like of bool, int or str, or None
        None, and an empty one, choose no column.

    Returns
    -------
    ndarray of bool of shape (n_columns,)

    Raises
    ------
    ValueError
        For what does not say columns of the table.
    """
    is_chosen = np.zeros(table.n_columns, bool)
    choice = np.asarray([] if categorical_features is None else categorical_features)
    if choice.size == 0:
        return is_chosen
    is_text = choice.dtype.kind == "U" or all(isinstance(name, str) for name in choice.flat)
    if choice.ndim != 1 or not (is_text or choice.dtype.kind in "biu"):
        raise ValueError(
            "categorical_features must be 'from_dtype', None, or an array-like of bool, int or str, got "
            f"{categorical_features!r}"
        )
    if choice.dtype.kind == "b":
        if len(choice) != table.n_columns:
            raise ValueError(
                f"categorical_features as a mask must have shape ({table.n_columns},), a value for each column of X, "
                f"got {len(choice)} values"
            )
        return choice.copy()
    if is_text:
        if table.names is None:
            raise ValueError(
                f"categorical_features={categorical_features!r} names columns, and X is without feature names: give "
                "their numbers or a mask"
            )
        names = list(table.names)
        unknown = [name for name in choice.tolist() if name not in names]
        if unknown:
            raise ValueError(f"categorical_features has the name {unknown[0]!r}, and the columns of X are {names}")
        choice = np.array([names.index(name) for name in choice])
    if choice.min() < 0 or choice.max() >= table.n_columns:
        raise ValueError(
            f"categorical_features as numbers of columns must be in [0, {table.n_columns - 1}], got "
            f"{categorical_features!r}"
        )
    is_chosen[choice] = True
    return is_chosen
