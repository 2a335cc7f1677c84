"""A TableEncoder for rows that are read in blocks."""

import numpy as np

from fastbp.estimators.tabular.columns import BOOLEANS, NOTHING, TEXT, as_table, read_table
from fastbp.estimators.tabular.encoder import TableEncoder, categorical_columns
from fastbp.estimators.tabular.levels import LevelCounts, Levels
from fastbp.estimators.tabular.lowering import Ranges, check_infinity, fit_lowering, sample_of, sample_rows


class EncoderLearner:
    """Learns the columns of a table from one block after the other. Of a single block, the encoder is that of
    `TableEncoder.fit_transform`.

    The memory is bounded: levels are counted as `LevelCounts` does. Shift and factor of columns of numbers come from a
    sample of the first blocks.

    Parameters
    ----------
    estimator, categorical_features
        As for `TableEncoder.fit_transform`.

    Attributes
    ----------
    ranges : Ranges
        Of the columns of numbers.
    """

    def __init__(self, estimator, categorical_features):
        self.estimator, self.categorical_features, self.ranges, self.samples = estimator, categorical_features, None, []

    def add(self, X, is_sampled):
        """Learn from a block.

        Parameters
        ----------
        X : data frame or array-like of shape (n, n_columns)
            At least one row. The first block decides which columns are categorical.
        is_sampled : bool
            Whether the sample for shift and factor has rows of this block.

        Returns
        -------
        Table

        Raises
        ------
        TypeError, ValueError
            As `TableEncoder.fit_transform`, and for columns that are others than those of the first block.
        """
        X, is_first = as_table(X), self.ranges is None
        table = read_table(X, self.estimator, reset=is_first)
        if is_first:
            self.begin(table)
        else:
            self.check_contents(table)
        for number, counts in self.counts.items():
            counts.add(table.column(number))
            counts.limit()
        for rows, columns, block in table.blocks(self.numbers, when="" if is_first else " as in the first block"):
            self.ranges.add(columns, block)
            if (self.ranges.low[columns] == -np.inf).any() or (self.ranges.high[columns] == np.inf).any():
                check_infinity(table, self.numbers, columns, rows, block)
        if is_sampled and len(self.numbers):
            self.samples.append(sample_of(table, self.numbers))
        return table

    def begin(self, table):
        """Decide which columns are categorical, by the first block."""
        is_categorical = categorical_columns(table, self.categorical_features)
        self.numbers = np.flatnonzero(~is_categorical)
        self.counts = {int(number): LevelCounts() for number in np.flatnonzero(is_categorical)}
        self.ranges = Ranges(table.n_columns)
        self.labels = [table.label(number) for number in range(table.n_columns)]
        is_by_content = isinstance(self.categorical_features, str)
        self.contents = {number: table.contents[number] for number in self.counts if is_by_content}
        for number in np.flatnonzero(table.is_category):
            self.contents.pop(int(number), None)

    def check_contents(self, table):
        """TypeError where a column that is categorical by what it holds in the first block holds something else."""
        for number, before in self.contents.items():
            now = table.contents[number]
            if before == NOTHING and now in (TEXT, BOOLEANS):
                self.contents[number] = now
            elif now not in (before, NOTHING) and not table.is_category[number] and not is_nan(table.column(number)):
                raise TypeError(
                    f"{self.labels[number]} of X holds {now}, and held {before} before. If they are categories, list "
                    "the column in categorical_features, or use astype(str); if they are numbers, use astype(float) "
                    "in each block."
                )

    def encoder(self, *, min_frequency=2, max_categories=1024):
        """The encoder; arguments and warnings as of `TableEncoder.fit_transform`.

        Returns
        -------
        TableEncoder
        """
        n_columns = len(self.labels)
        levels = [None] * n_columns
        for number, counts in self.counts.items():
            levels[number] = Levels.of_counts(
                counts, self.labels[number], min_frequency=min_frequency, max_categories=max_categories
            )
        shift, factor = np.zeros(n_columns), np.ones(n_columns)
        if len(self.numbers):
            sample = np.concatenate(self.samples, axis=1)
            sample = sample[:, sample_rows(sample.shape[1])]
            sample.sort(axis=1)
            shift[self.numbers], factor[self.numbers] = fit_lowering(sample)
        steps = self.ranges.binary_steps()
        steps[list(self.counts)] = 0
        is_binary = steps > 0
        shift[is_binary], factor[is_binary] = self.ranges.low[is_binary], steps[is_binary]
        for number in self.counts:
            is_binary[number] = len(levels[number]) == 2
        return TableEncoder(shift, factor, tuple(levels), is_binary)


def is_nan(array):
    """Whether all numbers of an array are NaN, as those of a column of text that is empty in one block: pandas reads it
    so from a CSV file, and NumPy from polars."""
    return array.dtype.kind == "f" and bool(np.isnan(array).all())
