"""How the columns of a table become the numbers that the members of an ensemble read: `TableEncoder` as plain data."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from fastbp.estimators.tabular.lowering import BOUND


@dataclass(frozen=True)
class NumberColumn:
    """A column of numbers x: ``v = clip((x - shift) * factor, -bound, bound)``, computed in float64 and rounded to
    float32 before the clip; NaN, which is missing, stays NaN.

    A binary column has ``2 * clip(v, 0, 1) - 1``, and 0 where x is missing.

    Attributes
    ----------
    name : str
    shift, factor : float
    is_binary : bool
    """

    is_text: ClassVar[bool] = False
    bound: ClassVar[np.float32] = BOUND

    name: str
    shift: float
    factor: float
    is_binary: bool


@dataclass(frozen=True)
class LevelColumn:
    """A column of categories: each value becomes a code, a float32.

    Attributes
    ----------
    name : str
    is_text : bool
        Whether the values are str; else they are float, and bools are 0 and 1.
    codes : dict of str or float to float
        Of the values that were there in fit.
    unseen : float
        The code of any other value; it may be NaN.
    missing : float
        The code of a missing value; it may be NaN.
    """

    name: str
    is_text: bool
    codes: dict
    unseen: float
    missing: float

    @property
    def knows_missing(self):
        """bool: whether missing values have another code than values that were not there in fit."""
        return not np.array_equal(self.missing, self.unseen, equal_nan=True)


def columns_of(encoder, names):
    """The columns of a table.

    Parameters
    ----------
    encoder : TableEncoder
    names : list of str

    Returns
    -------
    tuple of NumberColumn or LevelColumn

    Raises
    ------
    TypeError
        For levels that are bytes, or text beside numbers.
    ValueError
        For levels that are integers beyond float64, and for names that are not different.
    """
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"the columns of X must have different names to be exported, got {twice!r} more than once")
    fields = zip(names, encoder.shift, encoder.factor, encoder.levels, encoder.is_binary, strict=True)
    return tuple(
        NumberColumn(name, float(shift), float(factor), bool(is_binary))
        if levels is None
        else level_column(name, levels, bool(is_binary))
        for name, shift, factor, levels, is_binary in fields
    )


def level_column(name, levels, is_binary):
    """The LevelColumn of some Levels; of a binary column the codes are -1, 1, and 0 for what has none."""
    is_text = all(isinstance(value, str) for value in levels.values)
    if not is_text:
        check_numbers(name, levels.values)
    values = levels.values if is_text else tuple(map(float, levels.values))
    n = len(levels)
    unseen = float(len(values)) if levels.has_rare else np.nan
    missing = float(n - 1) if levels.has_missing else unseen
    codes = np.array([*range(len(values)), unseen, missing], float)
    if is_binary:
        codes = np.nan_to_num(2 * codes - 1)
    *of_values, unseen, missing = codes.tolist()
    return LevelColumn(name, is_text, dict(zip(values, of_values, strict=True)), unseen, missing)


def check_numbers(name, values):
    """Check levels that are not all text.

    Parameters
    ----------
    name : str
        Of the column.
    values : tuple

    Raises
    ------
    TypeError, ValueError
        See `columns_of`.
    """
    wrong = next((value for value in values if isinstance(value, (str, bytes))), None)
    if wrong is not None:
        what = "bytes" if isinstance(wrong, bytes) else "text beside numbers"
        raise TypeError(
            f"column {name!r} of X holds {what}, such as {wrong!r}, which cannot be exported: fit with text only, "
            "as by astype(str)"
        )
    wrong = next((value for value in values if float(value) != value), None)
    if wrong is not None:
        raise ValueError(
            f"column {name!r} of X has the level {wrong!r}, which float64 cannot hold, so that it cannot be exported: "
            "fit with text, as by astype(str)"
        )
