"""The levels of a categorical column, and their codes."""

import warnings
from collections import Counter
from dataclasses import dataclass
from numbers import Integral

import numpy as np

from fastbp.estimators.tabular.columns import NUMBERS, TEXT, is_missing

#: Types of values that are taken as they are. Of floats, some may be NaN.
PLAIN = {str, bytes, bool, int, type(None)}
#: What a level of a fitted column is
LEVEL_TYPES = (str, bytes, bool, int, float)
#: Levels may have the hashes of this many others
COLLISION_LIMIT = 100
#: A column is told of where more rows than this, and more than half of all rows, have a rare level
N_RARE_ROWS = 20
#: Levels that are counted, where rows come in parts
MOST_LEVELS = 2**17


@dataclass(frozen=True)
class Levels:
    """The levels of a column, whose codes are 0, 1, 2 ...: first those of `values`, then "rare", then "missing".

    Two values that are equal are one level: 1, 1.0 and True are, and "1" is another. So a column of integers can come
    back as floats.

    Parameters
    ----------
    values : tuple of str, bytes, bool, int or float
        Numbers in order, then text in order.
    has_rare : bool
        Whether there were other levels, of few rows each, which share a code. Levels that were not there in `fit` have
        this code too: what they have in common is that they are rare.
    has_missing : bool
        Whether there were missing values.
    """

    values: tuple
    has_rare: bool
    has_missing: bool

    def __post_init__(self):
        are_levels = isinstance(self.values, tuple) and all(type(value) in LEVEL_TYPES for value in self.values)
        if not are_levels or not isinstance(self.has_rare, bool) or not isinstance(self.has_missing, bool):
            raise ValueError(f"levels must be a tuple of strings and numbers and two bools, got {self!r:.200}")
        if len(set(map(hash, self.values))) < len(self.values) - COLLISION_LIMIT:  # dictionaries would become slow
            raise ValueError("levels must be different, and many have the same hash")
        table = {value: code for code, value in enumerate(self.values)}
        if len(table) < len(self.values) or len(self) == 0:
            raise ValueError(f"levels must be different, and at least one, got {self!r:.200}")
        unseen = float(len(self.values)) if self.has_rare else np.nan
        table[None] = float(len(self) - 1) if self.has_missing else unseen
        vars(self).update(_table=table, _unseen=unseen)

    def __reduce__(self):
        return Levels, (self.values, self.has_rare, self.has_missing)

    def __len__(self):
        return len(self.values) + self.has_rare + self.has_missing

    @property
    def names(self):
        """The name of each code: a list of str."""
        return [*map(str, self.values), *["(rare)"] * self.has_rare, *["(missing)"] * self.has_missing]

    @classmethod
    def fit(cls, array, label, *, min_frequency, max_categories):
        """The levels of a column.

        Parameters
        ----------
        array : ndarray of shape (n_rows,)
        label : str
            Of the column, for the message.
        min_frequency : int
            Levels of fewer rows are rare.
        max_categories : int
            Of more levels, only the most frequent ones are kept. The others are rare.

        Returns
        -------
        Levels

        Warns
        -----
        UserWarning
            If most rows have a rare level: the column says next to nothing.
        """
        counts = LevelCounts()
        counts.add(array)
        return cls.of_counts(counts, label, min_frequency=min_frequency, max_categories=max_categories)

    @classmethod
    def of_counts(cls, counted, label, *, min_frequency, max_categories):
        """As `fit`, from a LevelCounts."""
        counts, n_rows, n_missing = counted.counts, counted.n_rows, counted.n_missing
        kept = [value for value, count in counts.items() if count >= min_frequency]
        if len(kept) > max_categories:
            kept = sorted(kept, key=lambda value: (-counts[value], *order_of(value)))[:max_categories]
        n_rare = n_rows - n_missing - sum(counts[value] for value in kept)
        if n_rare > max(N_RARE_ROWS, n_rows / 2):
            or_more = " or more" * counted.is_incomplete
            warnings.warn(
                f"{label} of X has {len(counts):,}{or_more} levels in {n_rows:,} rows, and {n_rare:,} rows have a "
                "level that is rare, which tells next to nothing. Leave the column out if it is a name or a number of "
                "the row; make numbers of it if it is a date, or numbers as text.",
                UserWarning,
                stacklevel=2,
            )
        return cls(tuple(sorted(kept, key=order_of)), n_rare > 0, n_missing > 0)

    def codes(self, array, label):
        """The code of each value.

        Parameters
        ----------
        array : ndarray of shape (n_rows,)
        label : str
            Of the column, for the message.

        Returns
        -------
        ndarray of float32 of shape (n_rows,)
            NaN for a value that was not there in `fit`, unless some were rare then.

        Raises
        ------
        TypeError
            If the column held text in `fit`, and holds numbers now, or the other way round.
        """
        if is_fast(array):
            uniques, inverse = np.unique(array, return_inverse=True)
            return self.codes_of_list(plain_values(uniques), label)[inverse]
        return self.codes_of_list(plain_values(array), label)

    def codes_of_list(self, values, label):
        """The same for a list of plain values."""
        get, unseen = self._table.get, self._unseen
        codes = np.array([get(value, unseen) for value in values], np.float32)
        is_known = codes < len(self.values)
        if not is_known.any() and self.values:
            known = {family_of(value) for value in self.values}
            value = next((value for value in values if value is not None), None)
            if value is not None and family_of(value) not in known:
                raise TypeError(
                    f"{label} of X held {' and '.join(sorted(known))} in fit, and holds {value!r}, a "
                    f"{type(value).__name__}: convert it as in fit"
                )
        return codes


class LevelCounts:
    """How many rows of a column have each level, counted in one part of the rows after the other.

    Of more than `MOST_LEVELS` levels, the more frequent half is kept at times, so that the memory is bounded. The
    others are counted anew if they occur again. Such levels are rare, in a column that has so many.

    Attributes
    ----------
    counts : Counter
        Of the levels, without missing values.
    n_rows, n_missing : int
    is_incomplete : bool
        Whether levels were left out.
    """

    def __init__(self):
        self.counts, self.n_rows, self.n_missing, self.is_incomplete = Counter(), 0, 0, False

    def add(self, array):
        """Count the values of an array of shape (n,)."""
        if is_fast(array):
            uniques, counts = np.unique(array, return_counts=True)
            self.counts.update(dict(zip(plain_values(uniques), counts.tolist(), strict=True)))
        else:
            self.counts.update(plain_values(array))
        self.n_rows += len(array)
        self.n_missing += self.counts.pop(None, 0)

    def limit(self):
        """Leave out the less frequent levels, if there are too many."""
        if len(self.counts) > MOST_LEVELS:
            self.counts = Counter(dict(self.counts.most_common(MOST_LEVELS // 2)))
            self.is_incomplete = True


def is_fast(array):
    """Whether an array is long, and of a dtype that NumPy sorts faster than Python looks its values up."""
    return array.dtype.kind in "iufb" and len(array) > 100


def family_of(value):
    """Whether a level is text, bytes or a number, which are never equal."""
    return TEXT if isinstance(value, str) else "bytes" if isinstance(value, bytes) else NUMBERS


def order_of(value):
    """A key to sort levels."""
    return family_of(value), value


def plain_values(array):
    """The values of a column as Python's own objects.

    Parameters
    ----------
    array : ndarray of shape (n_rows,)

    Returns
    -------
    list of str, bytes, bool, int, float or None
        None for missing.
    """
    values = array.tolist()
    if array.dtype.kind in "iubUS" or set(map(type, values)) <= PLAIN:
        return values
    return [plain(value) for value in values]


def plain(value):
    """A value as an object of Python's own types; None for missing."""
    if is_missing(value):
        return None
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, bytes):
        return bytes(value)
    if isinstance(value, (bool, np.bool_)):
        return bool(value)
    return int(value) if isinstance(value, Integral) else float(value)
