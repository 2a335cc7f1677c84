"""The method `fit_batches` of the estimators: training on rows that need not fit into memory."""

from collections.abc import Sequence
from numbers import Integral
from os import PathLike
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import is_classifier

from fastbp.compatibility import fit_context
from fastbp.estimators.parameters import is_stochastic
from fastbp.estimators.streams import StreamedRows
from fastbp.estimators.validation import GivenRows, naming
from fastbp.estimators.window_cutter import n_rows_of
from fastbp.sources import Block, are_files, as_source, have_named_columns
from fastbp.sources.arrow import ArrowSource
from fastbp.sources.copying import copied
from fastbp.sources.joining import joined_blocks


class FitBatchesMixin:
    """What gives an estimator the method `fit_batches`; it has a method ``_fit(rows, given=, resume_from=)``."""

    solver: Any
    early_stopping: bool
    _fit: Any

    @fit_context(prefer_skip_nested_validation=True)
    def fit_batches(
        self,
        source: Any,
        *,
        columns: Sequence[str] | Sequence[int] | None = None,
        target: str | int | Sequence[str] | None = None,
        weight: str | int | None = None,
        validation: Any = None,
        classes: ArrayLike | list[ArrayLike] | None = None,
        n_rows: int | None = None,
        shuffle_rows: int | Literal["auto"] = "auto",
        resume_from: str | PathLike[str] | Self | None = None,
    ) -> Self:
        """Fit the model to rows that are read in blocks, and need not fit into memory.

        Rows are read into a window, shuffled there and trained on in batches, while a thread reads the next window.
        Epochs, early stopping, callbacks, checkpoints and the progress bar work as with `fit`, and so do all parameters
        but ``solver="lbfgs"``. If one window holds all rows, the model is that of `fit`, to the last bit (of CSV files,
        which do not tell their number of rows, with ``shuffle=False`` or one file).

        Parameters
        ----------
        source : source of blocks
            One of:

            - a function without arguments that returns an iterator of blocks, ``(X, y)`` or ``(X, y, sample_weight)``.
              It is called for each pass over the rows;
            - an object that can be iterated over again and again, such as a list of blocks;
            - a path, a pattern such as ``"part-*.parquet"``, a folder, or a list of these: .npy, .npz, .parquet, .csv
              (also .csv.gz), .arrow, .feather or .ipc files. All but .npy and .npz need pyarrow: ``pip install
              'fastbp[arrow]'``. See `fastbp.sources.as_source`;
            - a ``pyarrow.dataset.Dataset``, or a `fastbp.sources.Source`.

            X, y and sample_weight of a block are as `fit` takes them. Blocks may have any length; empty ones are left
            out. All blocks of a pass are asked for in the same thread, which is not that of the caller.
        columns : sequence of str or int, default=None
            Of files: the columns of X; numbers of columns for .npy and .npz. None for all but `target` and `weight`.
        target : str, int or sequence of them, default=None
            Of files: the column of y, or several; of .npz files the name of the array, by default "y".
        weight : str or int, default=None
            Of files: the column of sample weights; of .npz files the name of the array.
        validation : (X, y), (X, y, sample_weight) or source of blocks, default=None
            Rows to validate on after each epoch, as `X_val` and `y_val` of `fit`. All of them are kept in memory.
            `early_stopping` needs them: no rows are held out. If both are files, those of `validation` may have their
            columns in another order; `columns`, `target` and `weight` hold for both.
        classes : array-like of shape (n_classes,) or list of them, default=None
            For a classifier: all labels, so that they need not be read before training. For a y of two dimensions as
            for `fit`; without it, the first window says what such a y means and which labels it has.
        n_rows : int, default=None
            Rows of `source`, if they are known: else they are counted before training, unless the files tell, or the
            first window has them all.
        shuffle_rows : int or "auto", default="auto"
            Rows of a window, cut to a multiple of `batch_size`. More rows are mixed better, and take more memory: there
            are two windows. ``"auto"``: as many as fit into 256 MiB, at most 2**20. If `shuffle` is set and there
            are more rows than that, the files, or the row groups of Parquet files, also come in another order in each
            epoch. An iterator of your own gives its blocks in its own order; blocks that are sorted by their labels are
            to be mixed beforehand.
        resume_from : str, path, fitted estimator or None, default=None
            As for `fit`. What is compared with the run of the checkpoint is the first window of rows.

        Returns
        -------
        self : MLPClassifier or MLPRegressor

        Raises
        ------
        ValueError
            If the source has no rows, another number of rows in a later pass, or blocks of another width than the first
            one, or of another kind; and where `fit` raises it. What a source raises itself is raised as it is. If that
            happens after training has begun, the model has the weights of the last complete step, as after Ctrl-C;
            before, it is as it was.

        Notes
        -----
        What layers and data-dependent initial weights learn from data they learn from the first window. The statistics
        of batch normalization for averaged weights are those of the last window. Callbacks also have
        ``on_window_end(state)``, and ``state.seconds_waited`` tells how long training has waited for rows. Ctrl-C waits
        for the block that is being read; a second one does not.
        """
        if not is_stochastic(self.solver):
            raise ValueError(
                f"solver={self.solver!r} needs all rows at once: choose a stochastic solver, such as 'adam', or use fit"
            )
        check_arguments(self, shuffle_rows, n_rows, classes)
        source, given = source_and_validation(source, validation, columns=columns, target=target, weight=weight)
        if self.early_stopping and not given:
            raise ValueError(
                "early_stopping=True holds out no rows in fit_batches: give rows to validate on, validation=(X, y) or "
                "validation=<files>, or set early_stopping=False"
            )
        rows = StreamedRows(source, shuffle_rows, n_rows, classes)
        try:
            return self._fit(rows, given=given, resume_from=resume_from)
        finally:
            rows.close()


def check_arguments(estimator, shuffle_rows, n_rows, classes) -> None:
    """ValueError for arguments of `fit_batches` that are no numbers of rows, or `classes` for a regressor."""
    check_integer("shuffle_rows", shuffle_rows, or_else="auto")
    check_integer("n_rows", n_rows, or_else=None)
    if classes is not None and not is_classifier(estimator):
        raise ValueError(f"classes is for classifiers, got {classes!r} for {type(estimator).__name__}: leave it out")


def source_and_validation(source, validation, *, frames=False, **of_files):
    """The arguments `source` and `validation` of `fit_batches`.

    Parameters
    ----------
    source : source of blocks
    validation : tuple, source of blocks or None
        A source is read, and all of its rows are kept.
    frames : bool
        As for `as_source`.
    **of_files
        Arguments of `as_source` for files, of which `source` or `validation` or both may be.

    Returns
    -------
    source : Source
    given : GivenRows
        The arguments that bring a validation set to `fit`.
    """
    validates_on_files = are_files(validation)
    if are_files(source) or not validates_on_files:
        source = as_source(source, frames=frames, **of_files)
    else:
        source = as_source(source)
    if validation is None:
        return source, GivenRows()
    if isinstance(validation, tuple) and not validates_on_files:
        if len(validation) not in (2, 3):
            raise ValueError(f"validation must be (X, y) or (X, y, sample_weight), got a tuple of {len(validation)}")
        return source, GivenRows(*validation, is_named=False)
    with naming("validation"):
        if validates_on_files:
            if isinstance(source, ArrowSource) and have_named_columns(validation):
                of_files["columns"] = source.columns  # in the same order
            of_validation = as_source(validation, frames=frames, **of_files)
        else:
            of_validation = as_source(validation)
    return source, read_validation(of_validation)


def read_validation(source):
    """All rows of a source as GivenRows. They are copies: an iterator may use the memory of a block again."""
    numbers, blocks = [], []
    try:
        for number, block in enumerate(source.blocks()):
            if n_rows_of(block.X):
                numbers.append(number)
                blocks.append(Block(*map(copied, block)))
    except Exception as error:
        error.add_note("raised while the rows of validation were read")
        raise
    if not blocks:
        raise ValueError(f"validation has no rows: {source!r}")
    return GivenRows(*joined_blocks("validation", blocks, numbers), names=source.feature_names, is_named=False)


def check_integer(name, value, or_else) -> None:
    """ValueError unless an argument is an integer of at least 1, or the one other value that it may have."""
    if value is or_else or (isinstance(value, str) and value == or_else):
        return
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, Integral) or value < 1:
        raise ValueError(f"{name} must be an integer >= 1 or {or_else!r}, got {value!r}")
