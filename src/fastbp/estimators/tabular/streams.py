"""The rows of `fit_batches` of the tabular estimators: read from a source in blocks, again for each epoch of a member.

All blocks are read once before training, for what `fit` learns from all rows: levels, ranges, columns of two values,
labels or the mean and the range of the targets. The first blocks, as many rows as a window has, are kept until then:
from them come the out-of-bag rows. The members are ordinary estimators, which are trained by their `fit_batches` on an
`EncodedSource`. If the first window has all rows, they are trained as in `fit`.
"""

import warnings
from copy import copy
from itertools import chain

import numpy as np
from sklearn.base import is_classifier

from fastbp.estimators.rows import checked_weight
from fastbp.estimators.streams import check_n_rows, pass_generator, rows_of_window
from fastbp.estimators.tabular.columns import as_table, read_table
from fastbp.estimators.tabular.encoder_learner import EncoderLearner
from fastbp.estimators.tabular.folds import FEWEST_ROWS
from fastbp.estimators.tabular.out_of_bag import Rows
from fastbp.estimators.tabular.row_hashes import HeldOut
from fastbp.estimators.tabular.targets import WEIGHTS_ARE_ZERO
from fastbp.estimators.validation import naming
from fastbp.estimators.window_cutter import n_rows_of
from fastbp.sources import Block, Source
from fastbp.sources.copying import copied
from fastbp.sources.joining import joined_blocks

#: Rows of a part of the source that are out of bag, for a member at most
MOST_HELD_OUT = 50_000
#: Share of the first window that is out of bag, for a member at most
LARGEST_SHARE = 0.25


class EncodedSource(Source):
    """The blocks of another source as the members read them.

    Parameters
    ----------
    table : StreamedTable
    held_out : Rows or None
        Rows that are left out.
    """

    def __init__(self, table, held_out):
        self.table, self.held_out = table, held_out
        self.is_reordered = table.source.is_reordered

    def __repr__(self):
        return repr(self.table.source)

    def blocks(self, generator=None):
        """Begin a new pass; see `Source.blocks`.

        Yields
        ------
        Block

        Raises
        ------
        ValueError
            If there are other rows than in the first pass.
        """
        left, n_rows = None if self.held_out is None else HeldOut(self.held_out), 0
        for number, block in numbered(self.table.source.blocks(generator)):
            n_rows += n_rows_of(block.X)
            with naming(f"block {number} of source"):
                rows = self.table.encoded(block)
            if left is not None:
                rows = left.without(rows)
            yield Block(rows.X, rows.targets, rows.sample_weight)
        expected = self.table.n_read
        if n_rows != expected:
            raise ValueError(
                f"source has given {n_rows} rows in a later pass, and {expected} were expected: it has to give the "
                "same rows in each pass"
            )
        if left is not None:
            left.check_found()


class StreamedTable(Rows):
    """Rows to train on that are read in blocks. ``X``, ``targets`` and ``sample_weight`` are those of the first window;
    ``n_read`` is the number of rows of a pass, with those of weight zero.

    Parameters
    ----------
    model : BaseTabularMLP
        Has learned the columns and the targets.
    source : Source
    shuffle_rows : int or "auto"
    learned : LearnedTable
    """

    trains_in_turn = True

    def __init__(self, model, source, shuffle_rows, learned):
        self.model, self.source, self.shuffle_rows, self.held_out = model, source, shuffle_rows, None
        self.class_weights, self.ranges = learned.class_weights, learned.ranges
        self.n_read, self.n_kept = learned.n_rows, learned.n_kept
        with naming("the first window of source"):
            parts = [self.encoded(block) for _, block in learned.window]
        weight = None if parts[0].sample_weight is None else np.concatenate([part.sample_weight for part in parts])
        super().__init__(
            np.concatenate([part.X for part in parts]), np.concatenate([part.targets for part in parts]), weight
        )

    @property
    def n_rows(self):
        """int: rows to train on."""
        return self.n_kept - (0 if self.held_out is None else len(self.held_out.X))

    def encoded(self, block):
        """A block as Rows, without those of weight zero."""
        model = self.model
        X = model._encoder.transform(block.X, model)
        targets = model._encode(model._check_y(block.y, X, is_known=True))
        weight = checked_weight(block.sample_weight, X, may_be_zero=True)
        if self.class_weights is not None:
            weight = self.class_weights[targets] * (1.0 if weight is None else weight)
        rows = Rows(X, targets, weight)
        return rows if weight is None or weight.all() else rows.part(weight > 0)

    def is_constant(self, column):
        """See `Rows`."""
        return bool(self.ranges.are_constant[column])

    def oob_share(self, share):
        """See `Rows`; ValueError where all rows are enough for out-of-bag rows, and the first window is not."""
        n = max(1, len(self.X))
        if share > 0 and len(self.X) < FEWEST_ROWS <= self.n_rows:
            raise ValueError(
                f"the first window of source has {len(self.X)} rows with a weight above zero, and the out-of-bag rows "
                f"come from at least {FEWEST_ROWS}: give a larger shuffle_rows, got {self.shuffle_rows!r}, mix the "
                "rows beforehand, give rows to validate on, validation=(X, y), or set oob_fraction=0"
            )
        return min(share * self.n_rows / n, LARGEST_SHARE, MOST_HELD_OUT / n)

    def without(self, rows):
        """See `Rows`."""
        other = copy(self)
        if len(rows):
            other.held_out = self.part(rows)
        return other

    def train(self, member, X_val=None, y_val=None, sample_weight_val=None):
        """See `Rows`."""
        member.fit_batches(
            EncodedSource(self, self.held_out),
            validation=None if X_val is None else (X_val, y_val, sample_weight_val),
            classes=np.arange(len(self.model.classes_)) if is_classifier(self.model) else None,
            n_rows=self.n_rows,
            shuffle_rows=self.shuffle_rows,
        )


class LearnedTable:
    """What is learned in a pass over all blocks before training, besides the attributes that the estimator gets. It
    also checks that all blocks are alike.

    Parameters
    ----------
    model : BaseTabularMLP
    window : list of (int, Block)
        The first blocks, with their numbers.
    rest : iterable of (int, Block)

    Attributes
    ----------
    n_rows, n_kept : int
        Rows in all, and those whose weight is above zero; `n_kept` is known after `finish`.
    class_weights : ndarray of shape (n_classes,) or None
    ranges : Ranges
    """

    def __init__(self, model, window, rest):
        self.model, self.window = model, window
        self.learner = EncoderLearner(model, model.categorical_features)
        self.all, self.weighted = model._new_summary(), model._new_summary()
        self.n_rows, self.has_weight = 0, None
        for blocks, is_first in ((window, True), (rest, False)):
            for number, block in blocks:
                with naming(f"block {number} of source"), warnings.catch_warnings():
                    # a small block may have as many classes as rows
                    warnings.filterwarnings("ignore", "The number of unique classes is greater", UserWarning)
                    self.add(block, is_first)

    def finish(self, classes):
        """Give the estimator its attributes; `classes` are those that the user gave, or None.

        Returns
        -------
        self : LearnedTable
        """
        model = self.model
        model._encoder, self.ranges = self.learner.encoder(), self.learner.ranges
        model.is_categorical_ = model._encoder.is_categorical
        self.n_kept, self.class_weights = model._learn_summaries(self.all, self.weighted, classes)
        if self.n_kept == 0:
            raise ValueError(WEIGHTS_ARE_ZERO)
        return self

    def add(self, block, is_first):
        """Learn from a block."""
        if block.y is None:
            raise ValueError("y is None, and must be an array of targets")
        table = self.learner.add(block.X, is_first)
        y = self.model._check_y(block.y, table)
        weight = checked_weight(block.sample_weight, np.broadcast_to(0.0, (len(table), 1)), may_be_zero=True)
        if self.has_weight not in (None, weight is not None):
            raise ValueError("sample_weight is there in some blocks, and missing in others")
        self.has_weight = weight is not None
        self.n_rows += len(table)
        self.all.add(y)
        is_kept = slice(None) if weight is None else weight > 0
        if len(y[is_kept]):
            self.weighted.add(y[is_kept])


def rows_of_blocks(model, source, shuffle_rows, n_rows, classes):
    """The rows of a source, to train on.

    Parameters
    ----------
    model : BaseTabularMLP
        Learns the columns and the targets.
    source : Source
    shuffle_rows : int or "auto"
    n_rows : int or None
    classes : array-like or None

    Returns
    -------
    Rows
        A StreamedTable, unless the first window has all rows.
    """
    model._forget_columns()
    window, rest = first_window(model, numbered(source.blocks()), shuffle_rows)
    if rest is not None and source.is_reordered:  # the first rows may be unlike the others
        blocks = numbered(source.blocks(pass_generator(model.random_state, 0)))
        window, rest = first_window(model, blocks, shuffle_rows)
    if not window:
        raise ValueError(f"source has no rows: {source!r}")
    expected = source.n_rows if n_rows is None else n_rows
    if len(window) == 1 and rest is None:
        learned = None  # there is nothing that a block could differ from: `fit` checks it
        check_n_rows(expected, n_rows_of(window[0][1].X))
    else:
        learned = LearnedTable(model, window, rest or ())
        check_n_rows(expected, learned.n_rows)
    if rest is None:
        numbers, blocks = zip(*window, strict=True)
        X, y, weight = joined_blocks("source", blocks, numbers)
        if classes is None or set(np.ravel(classes).tolist()) == set(np.ravel(y).tolist()):
            return model._rows_of(X, y, weight)
        learned = learned or LearnedTable(model, window, ())
    return StreamedTable(model, source, shuffle_rows, learned.finish(classes))


def numbered(blocks):
    """The blocks that have rows, with their numbers."""
    for number, block in enumerate(blocks):
        if n_rows_of(block.X):
            yield number, block


def first_window(model, blocks, shuffle_rows):
    """The first blocks, as many rows as a window has, and the others.

    Parameters
    ----------
    model : BaseTabularMLP
        Learns the number of columns.
    blocks : iterator of (int, Block)
    shuffle_rows : int or "auto"

    Returns
    -------
    list of (int, Block)
        Copies.
    iterator of (int, Block) or None
        None if there are no others.
    """
    window, room = [], None
    for number, block in blocks:
        if not window:
            with naming(f"block {number} of source"):
                n_columns = read_table(as_table(block.X), model, reset=True).n_columns
            room = rows_of_window(shuffle_rows, np.dtype(np.float32).itemsize * n_columns)
        n = n_rows_of(block.X)
        if n > room:
            rest = [(number, Block(*(head(part, slice(max(room, 0), None)) for part in block)))]
            if room > 0:
                window.append((number, Block(*(head(part, slice(room)) for part in block))))
            return window, chain(rest, blocks)
        window.append((number, Block(*(copied(as_table(part)) for part in block))))
        room -= n
    return window, None


def head(part, rows):
    """A copy of some rows of X, y or sample weights."""
    if part is None:
        return None
    part = as_table(part)
    if hasattr(part, "column_names"):  # pyarrow
        return copied(part.slice(rows.start or 0, None if rows.stop is None else rows.stop - (rows.start or 0)))
    return copied(part.iloc[rows] if hasattr(part, "iloc") else part[rows])
