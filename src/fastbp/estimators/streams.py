"""The rows of `fit_batches`: read from a source in blocks, and trained on in windows.

A pass over the source gives blocks of any length. Each is checked as X and y of `fit` are, and its rows are copied into
a window. All windows of a pass have the same number of rows, a multiple of the batch size; only the last one may have
fewer. The first window of the first pass is read before training and takes the place of X and y of `fit`: from it come
the columns, the dtype, and what layers and data-dependent initial weights learn from data. So one window that holds all
rows gives the model of `fit`, to the last bit. A thread reads all windows, those after the first one while training
goes on; see `fastbp.training.windows`.

Rows are copied, because an iterator may use the memory of a block again for the next one. In memory there are two
windows, and the block that is read.

The labels and the number of rows must be known before training. Where the caller does not give them, and the source
does not know how many rows it has, the targets are read once more before.
"""

from contextlib import closing, contextmanager
from numbers import Integral

import numpy as np
from scipy import sparse
from sklearn import config_context, get_config
from sklearn.base import is_classifier

from fastbp.data import check_weight_scale, make_data
from fastbp.estimators.class_targets import check_labels
from fastbp.estimators.inputs import check_names, without_names
from fastbp.estimators.label_counts import LabelCounts, LabelSummary, content_of
from fastbp.estimators.numeric import WAYS_OUT
from fastbp.estimators.rows import checked_weight
from fastbp.estimators.validation import naming
from fastbp.estimators.window_cutter import Buffers, SparseBuffers, WindowCutter, n_rows_of
from fastbp.mapped import MappedRows
from fastbp.training import Reader, TrainingWindow, WindowedEpochs, Windows

#: Bytes of X in a window with ``shuffle_rows="auto"``
WINDOW_BYTES = 2**28
#: The most rows of such a window; also of one of sparse rows, whose bytes are not known ahead
WINDOW_ROWS = 2**20
#: What an error says of such a y
ONE_DIMENSION = "of one dimension"


class StreamedRows:
    """The rows that `fit_batches` trains on.

    Parameters
    ----------
    source : Source
    shuffle_rows : int or "auto"
        Rows of a window.
    n_rows : int or None
        Of a pass; None: as many as the source says, or as are counted.
    classes : array-like or None
        All labels; None: they are read.

    Attributes
    ----------
    y : None
        There is no y of all rows.
    labels : LabelCounts or None
        The labels of all rows; None for a regressor, where y has two dimensions, and where the first window has all.
    n_rows : int
        Of a pass; known after `check`.
    is_part : bool
        Whether the first window has not all rows; known after `check`.
    """

    y = labels = model = cutter = buffers = None
    reorders = False

    def __init__(self, source, shuffle_rows="auto", n_rows=None, classes=None):
        self.source, self.classes = source, classes
        self.shuffle_rows = shuffle_rows if shuffle_rows == "auto" else int(shuffle_rows)
        self.n_rows = None if n_rows is None else int(n_rows)
        self.reader = Reader()
        self.reader.at_end.append(self.end_first_pass)

    # Before training

    def check(self, model, reset):
        """Read the first window, and what must be known of the other ones; see `RowsInMemory.check`."""
        self.model = model
        self.blocks = CheckedBlocks(model, reset, self.source.feature_names)
        window = self.reader.call(self.first_window)
        if window is None:
            raise ValueError(f"source has no rows: {self.source!r}")
        self.labels = self.learn(window, not self.is_part)
        self.blocks.is_learned = True
        self.n_first, self.has_weight = n_rows_of(window.y), has_weight(window.sample_weight)
        return window.X, window.y, window.sample_weight

    def first_window(self):
        """Begin the first pass. Returns its first window, or None."""
        self.cutter = self.first_cutter()
        window = next(self.cutter, None)
        self.is_part = self.cutter.has_more()
        return window

    def first_cutter(self):
        """What cuts the first pass into windows; decides whether the parts of the source change their order."""
        blocks = self.new_pass(0)
        first = next(blocks, None)
        if first is not None:
            self.buffers = self.buffers_for(first[0])
            n_rows = self.source.n_rows
            is_whole = n_rows is not None and n_rows <= self.buffers.size
            self.reorders = bool(self.model.shuffle and self.source.is_reordered and not is_whole)
        if not self.reorders:
            return WindowCutter(blocks, self.buffers, first)
        blocks.close()
        return WindowCutter(self.new_pass(0), self.buffers)

    def new_pass(self, epoch):
        """The checked blocks of the pass of an epoch. If they do not fit into one window, a source that can do so gives
        its parts in another order in each epoch."""
        generator = pass_generator(self.model.random_state, epoch) if self.reorders else None
        return self.blocks.of_pass(self.reader.until_stopped(self.source.blocks(generator)))

    def buffers_for(self, X):
        """The buffers for windows of blocks such as X, of whole batches."""
        batch_size = 200 if self.model.batch_size == "auto" else int(self.model.batch_size)
        is_sparse = sparse.issparse(X)
        row_bytes = None if is_sparse else X[:1].nbytes
        rows = rows_of_window(self.shuffle_rows, row_bytes)
        size = max(batch_size, rows // batch_size * batch_size)
        n_begin = rows_of_window("auto", row_bytes)  # more may have been asked for than there are
        return (SparseBuffers if is_sparse else Buffers)(size, n_begin, X.shape[1], X.dtype)

    def learn(self, window, is_whole):
        """Learn how many rows there are. Returns their labels, if they are not those of the window."""
        model, classes = self.model, self.classes
        has_labels = is_classifier(model) and window.y.ndim == 1
        is_balanced = is_classifier(model) and model.class_weight == "balanced" and not is_whole
        if is_balanced and not has_labels:
            raise ValueError(
                "class_weight='balanced' needs a y of one dimension in fit_batches, got one of two: give a list of "
                "dicts, or sample weights"
            )
        expected = self.source.n_rows if self.n_rows is None else self.n_rows
        labels, n_rows = None, n_rows_of(window.y) if is_whole else expected
        if n_rows is None or (has_labels and not is_whole and (classes is None or is_balanced)):
            n_rows, labels = self.reader.call(self.count, has_labels)
        check_n_rows(expected, n_rows)
        self.n_rows = n_rows
        if classes is None:
            return labels
        if not has_labels:
            model._announced_classes = classes  # for `_learn_targets`
            return None
        check_labels("classes", classes)
        if labels is not None:
            return labels.among(classes)
        summary = LabelSummary()
        summary.add(window.y)
        labels = summary.labels.among(classes)
        return labels if is_whole else LabelCounts(labels.classes)  # the other rows are not counted

    def count(self, has_labels):
        """A pass over the targets: the number of rows, and the labels, if y has any."""
        n_rows, summary = 0, LabelSummary()
        for y, _ in self.reader.until_stopped(self.source.targets()):
            y = np.asarray(y)
            n_rows += len(y)
            if has_labels and len(y):
                check_labels("y", y)
                summary.add(y.ravel())
        return n_rows, summary.labels if has_labels else None

    # Training

    def n_trained(self, rows):
        """Rows that batches are made of; see `RowsInMemory.n_trained`. `rows` are those of the first window."""
        return self.n_rows if rows is None else len(rows)

    def epochs(self, data, rows, batch_size, random_state, lock):
        """What makes the steps of epochs; arguments as for `RowsInMemory.epochs`, of the first window."""
        self.n_targets, self.dtype = data.n_outputs, data.values.dtype
        windows = Windows(self.reader, data, self.n_rows, self.windows_of, self.model.max_iter)
        return WindowedEpochs(windows, rows, batch_size, random_state, lock)

    def windows_of(self, epoch):
        """The windows of a pass, `TrainingWindow`; of that of epoch 0 all but the first one."""
        if epoch:
            cutter, n_seen = WindowCutter(self.new_pass(epoch), self.buffers), 0
        else:
            cutter, n_seen, self.cutter = self.cutter, self.n_first, None
        with closing(cutter.blocks):
            for window in cutter:
                n = n_rows_of(window.y)
                n_seen += n
                self.check_length(n_seen, n_seen > self.n_rows or (n < self.buffers.size and n_seen != self.n_rows))
                yield self.as_trained(window)
            self.check_length(n_seen, n_seen != self.n_rows)
        if not self.has_weight:
            raise ValueError("source gives every row a weight of zero, by sample_weight or class_weight")

    def check_length(self, n_seen, is_wrong):
        """ValueError where a pass over the source has another number of rows than expected."""
        if is_wrong:
            or_more = " or more" * (n_seen > self.n_rows)
            raise ValueError(
                f"source has given {n_seen}{or_more} rows in one pass, and {self.n_rows} were expected, from n_rows or "
                "from an earlier pass: it has to give the same rows in each pass"
            )

    def as_trained(self, window):
        """A window as the network takes it, and as callbacks see it."""
        model = self.model
        targets = model._encode(window.y, window.X.dtype)
        weight = model._weighted_by_class(window.y, window.sample_weight, self.labels or window.y, may_be_zero=True)
        self.has_weight = self.has_weight or has_weight(weight)
        if weight is not None and weight.any():
            check_weight_scale(weight, self.dtype)
        data = make_data(window.X, targets, weight, self.n_targets, self.dtype)
        return TrainingWindow(data, (window.X, targets, weight))

    def end_first_pass(self):
        """End the first pass, which may hold open files, unless `windows_of` has taken it and ends it."""
        if self.cutter is not None:
            self.cutter.blocks.close()

    def close(self):
        """End the thread that reads."""
        self.reader.close()


class CheckedBlocks:
    """Checks blocks as `fit` does its X and y, and that they are all alike.

    Parameters
    ----------
    model : BaseMLP
        Learns the columns of the first block.
    reset : bool
        Whether the model is to forget the columns that it knows.
    names : list of str or None
        Names of the columns that the source knows; the blocks have none then.

    Attributes
    ----------
    is_learned : bool
        Whether the model knows the targets: those of all blocks to come are compared with them.

    Raises
    ------
    ValueError
        If the model is to keep columns of other names.
    """

    def __init__(self, model, reset, names=None):
        self.model, self.names, self.reset, self.is_learned, self.kind = model, names, reset, False, None
        self.config = get_config()  # of scikit-learn, in this thread: others have settings of their own
        if not reset and names is not None:
            check_names("source", model, names)

    def of_pass(self, blocks):
        """The blocks of a pass, without empty ones.

        Yields
        ------
        X : ndarray or csr_array of shape (n, n_features)
        y : ndarray or sparse matrix of shape (n,) or (n, n_outputs)
        sample_weight : ndarray of shape (n,) or None
        """
        for number, block in enumerate(blocks):
            with (
                naming(f"block {number} of source"),
                naming_way_out_of_text(self.model),
                config_context(**self.config),
                np.errstate(over="ignore", invalid="ignore"),
            ):
                if not n_rows_of(block.X):
                    continue
                X, y, weight = self.checked(block)
            if isinstance(X, MappedRows):  # of which a window may need a part
                for rows in X.slices():
                    yield X[rows], y[rows], None if weight is None else weight[rows]
            else:
                yield X, y, weight

    def checked(self, block):
        """A block that was checked."""
        y = block.y
        if self.kind is not None and self.kind["y"] == ONE_DIMENSION and np.ndim(y) == 2 and np.shape(y)[1] == 1:
            y = np.ravel(y)  # there was a warning of that in the first block
        X, y = self.checked_arrays(block.X, y)
        weight = checked_weight(block.sample_weight, X, may_be_zero=True)
        if self.is_learned:
            self.check_targets(y)
        kind = {
            "X": "sparse" if sparse.issparse(X) else "dense",
            "y": f"of {y.shape[1]} columns" if y.ndim == 2 else ONE_DIMENSION,
            "y, what it holds,": content_of(y),
            "sample_weight": "missing" if weight is None else "there",
        }
        self.kind = self.kind or kind
        for name, what in kind.items():
            if what != self.kind[name]:
                raise ValueError(f"{name} is {what}, and was {self.kind[name]} in the first block")
        return sparse.csr_array(X) if sparse.issparse(X) else X, y, weight

    def checked_arrays(self, X, y):
        """X and y as `fit` checks them. Names that the source knows are given to the model by the first block."""
        if not self.reset:
            model = self.model if self.names is None else without_names(self.model)
            return model._check(X, y, reset=False)
        X, y = self.model._check(X, y, reset=True)
        self.reset = False
        if self.names is not None:
            self.model.feature_names_in_ = np.array(self.names, dtype=object)
        return X, y

    def check_targets(self, y):
        """ValueError for targets that are not like those that the model knows."""
        try:
            self.model._check_targets(y)
        except ValueError as error:
            if y.ndim == 1 or not is_classifier(self.model):
                raise
            raise ValueError(
                "y of two dimensions has another form, or other labels, than in the first window: give classes, the "
                "labels of each column"
            ) from error


@contextmanager
def naming_way_out_of_text(model):
    """Add to an error about text in X which estimator takes it in blocks."""
    try:
        yield
    except TypeError as error:
        if WAYS_OUT["S"] not in str(error):
            raise
        name = "TabularMLPClassifier" if is_classifier(model) else "TabularMLPRegressor"
        raise TypeError(
            f"{error} {name} has fit_batches too, and takes text as categories; of files, columns=[...] leaves columns "
            "out."
        ) from error


def rows_of_window(shuffle_rows, row_bytes):
    """Rows of a window.

    Parameters
    ----------
    shuffle_rows : int or "auto"
    row_bytes : int or None
        Of a row of X; None where it is not known.

    Returns
    -------
    int
    """
    if shuffle_rows != "auto":
        return shuffle_rows
    return WINDOW_ROWS if row_bytes is None else max(1, min(WINDOW_ROWS, WINDOW_BYTES // row_bytes))


def pass_generator(random_state, epoch):
    """What draws the order of the parts of a source in the pass of an epoch: that of an int `random_state`, else always
    the same one."""
    return np.random.default_rng([random_state if isinstance(random_state, Integral) else 0, epoch])


def has_weight(sample_weight):
    """Whether there is a row with a weight above zero."""
    return sample_weight is None or bool(sample_weight.any())


def check_n_rows(expected, found):
    """ValueError unless a source has as many rows as expected; None: any number."""
    if expected not in (None, found):
        raise ValueError(f"n_rows is {expected}, but the source has {found} rows")
