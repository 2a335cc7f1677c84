"""The method `fit_batches` of the tabular estimators: training on a table that need not fit into memory."""

from collections.abc import Sequence
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import ArrayLike

from fastbp.compatibility import fit_context
from fastbp.estimators.attempt import Attempt
from fastbp.estimators.fit_batches import check_arguments, source_and_validation
from fastbp.estimators.tabular.streams import rows_of_blocks


class TabularFitBatchesMixin:
    """What gives a tabular estimator the method `fit_batches`."""

    time_budget: float | None

    @fit_context(prefer_skip_nested_validation=True)
    def fit_batches(
        self,
        source: Any,
        *,
        columns: Sequence[str] | Sequence[int] | None = None,
        target: str | int | Sequence[str] | None = None,
        weight: str | int | None = None,
        validation: Any = None,
        classes: ArrayLike | None = None,
        n_rows: int | None = None,
        shuffle_rows: int | Literal["auto"] = "auto",
    ) -> Self:
        """Fit the members to a table that is read in blocks, and need not fit into memory.

        All rows are read once before training, and again for each epoch of each member. Parameters are as for `fit`,
        but for `time_budget`. If the first window holds all rows, the model is that of `fit`, to the last bit.

        Parameters
        ----------
        source : source of blocks
            As for `fastbp.MLPClassifier.fit_batches`: a function without arguments that returns an iterator of blocks,
            ``(X, y)`` or ``(X, y, sample_weight)``; an object that can be iterated over again and again; files of the
            types .npy, .npz, .parquet, .csv, .arrow and .feather; a ``pyarrow.dataset.Dataset``; or a
            `fastbp.sources.Source`. X, y and sample_weight of a block are as `fit` takes them, and X has the same
            columns in all blocks.
        columns : sequence of str or int, default=None
            Of files: the columns of X. None for all but `target` and `weight`.
        target : str, int or sequence of str, default=None
            Of files: the column of y, or several.
        weight : str or int, default=None
            Of files: the column of sample weights.
        validation : (X, y), (X, y, sample_weight) or source of blocks, default=None
            Rows that take the place of the out-of-bag rows, as `X_val` and `y_val` of `fit`. All of them are kept in
            memory.
        classes : array-like of shape (n_classes,), default=None
            For a classifier: all labels, where y does not have all of them.
        n_rows : int, default=None
            Rows of `source`, if they are known: another number of them is an error.
        shuffle_rows : int or "auto", default="auto"
            Rows of a window, as for `fastbp.MLPClassifier.fit_batches`. There are three windows in memory. ``"auto"``:
            as many as fit into 256 MiB as float32, at most 2**20. The first one is also kept as it came, until all rows
            were read once.

        Returns
        -------
        self : TabularMLPClassifier or TabularMLPRegressor

        Raises
        ------
        ValueError
            If the source has no rows, or other rows in a later pass; for a block with other columns than the first one,
            which the message names; with `time_budget`; and where `fit` raises it.
        TypeError
            As `fit`; for a column that holds text, or missing values only, in one block, and numbers in a later one.

        Notes
        -----
        The levels of categories, columns of two values, labels, and mean and range of the targets come from all rows.
        Of a column of more than 131,072 levels, not all are counted. The medians and the bins of columns of numbers are
        those of the first window of each member: rows that are sorted are to be mixed beforehand. In which order the
        parts of files are read depends on `random_state`.

        The out-of-bag rows are those of the first window: for each member as many as in `fit`, but at most 50,000, and
        a quarter of the window. They are left out of each pass, in which they are found by what they hold. A first
        window of fewer than 20 rows with a weight above zero is an error, if there are more rows and `oob_fraction` is
        not 0.

        Members are trained one after the other, each by all threads. If the training fails, the estimator is as it was
        before.

        Examples
        --------
        >>> import numpy as np
        >>> from fastbp import TabularMLPClassifier
        >>> def blocks():
        ...     rng = np.random.default_rng(0)
        ...     for _ in range(4):
        ...         X = np.empty((200, 2), object)
        ...         X[:, 0], X[:, 1] = rng.random(200), rng.choice(["red", "green", "blue"], 200)
        ...         yield X, np.where((X[:, 0] > 0.5) ^ (X[:, 1] == "red"), "yes", "no")
        >>> model = TabularMLPClassifier(preset="fast", random_state=0).fit_batches(blocks)
        >>> float(model.score(*next(blocks()))) > 0.9
        True
        """
        if self.time_budget is not None:
            raise ValueError(
                f"time_budget={self.time_budget!r} is for fit, because it does not know how long rows are read: set it "
                "to None, and epochs or n_ensemble to smaller numbers"
            )
        check_arguments(self, shuffle_rows, n_rows, classes)
        source, given = source_and_validation(
            source, validation, frames=True, columns=columns, target=target, weight=weight
        )
        with Attempt(self, incremental=False) as attempt:
            model = attempt.model
            model._train(rows_of_blocks(model, source, shuffle_rows, n_rows, classes), given)
            if source.feature_names is not None and not hasattr(model, "feature_names_in_"):
                model.feature_names_in_ = np.array(source.feature_names, dtype=object)
        return self
