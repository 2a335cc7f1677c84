"""Blocks that are empty, raise, or are not like the others: the weights of the last whole batch are kept."""

import signal
import threading
from itertools import pairwise

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from scipy.sparse import csr_array
from sklearn.exceptions import NotFittedError

from fastbp import MLPClassifier, MLPRegressor
from fastbp.training import Reader, Windows
from fault_cases import SMALL, both_estimators, make_data, output
from interrupts import press

pytestmark = [
    pytest.mark.fault(39),
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
]

X, Y = make_data(64)
IN_ORDER = SMALL | dict(shuffle=False, max_iter=3)
KNOWN = dict(shuffle_rows=16, n_rows=64)
#: A block in place of the third one -> the error and its message
WRONG = {
    "another width": (
        lambda X, y: (X[:, :4], y),
        ValueError,
        "block 2 of source: X has 4 features, but",
    ),
    "one dimension": (lambda X, y: (X[:, 0], y), ValueError, "block 2 of source: Expected 2D array, got 1D array"),
    "NaN": (lambda X, y: (np.where(X[0, 0] == X, np.nan, X), y), ValueError, "block 2 of source: Input X contains NaN"),
    "text": (lambda X, y: (X.astype(str), y), TypeError, "block 2 of source: X must "),
    "fewer targets": (
        lambda X, y: (X, y[:-1]),
        ValueError,
        "block 2 of source: Found input variables with incons",
    ),
    "targets of two dimensions": (lambda X, y: (X, np.column_stack([y, y])), ValueError, "block 2 of source: "),
    "sparse": (
        lambda X, y: (csr_array(X), y),
        ValueError,
        "block 2 of source: X is sparse, and was dense in",
    ),
    "weights": (lambda X, y: (X, y, y + 1.0), ValueError, "sample_weight is there, and was missing in the first block"),
    "no tuple": (lambda X, y: X, TypeError, r"block 2 of the source must be a tuple \(X, y\)"),
    "four": (lambda X, y: (X, y, y, y), TypeError, r"block 2 of the source must be a tuple \(X, y\)"),
}


def source(third, in_pass=1):
    """Four blocks of 16 rows for each pass; of one of the passes the third block is ``third(X, y)``."""
    passes = []

    def blocks():
        passes.append(None)
        for number, start in enumerate(range(0, 64, 16)):
            rows = X[start : start + 16], Y[start : start + 16]
            yield third(*rows) if number == 2 and len(passes) == in_pass else rows

    return blocks


def arguments(Estimator):
    return KNOWN | ({"classes": [0, 1, 2]} if Estimator is MLPClassifier else {})


def after(Estimator, n_windows):
    """The model after so many windows, by partial_fit."""
    model, classes = Estimator(**IN_ORDER), {"classes": [0, 1, 2]} if Estimator is MLPClassifier else {}
    for number in range(n_windows):
        rows = slice(16 * (number % 4), 16 * (number % 4 + 1))
        model.partial_fit(X[rows], Y[rows], **classes)
    return model


@both_estimators
@pytest.mark.parametrize("case", WRONG)
@pytest.mark.parametrize("in_pass", [1, 2])
def test_a_wrong_block_keeps_the_weights_of_the_batches_before(Estimator, case, in_pass):
    third, kind, message = WRONG[case]
    model = Estimator(**IN_ORDER)
    with pytest.raises(kind, match=message):
        model.fit_batches(source(third, in_pass), **arguments(Estimator))
    n_windows = 2 + 4 * (in_pass - 1)
    assert_array_equal(output(model, X), output(after(Estimator, n_windows), X))
    assert model.n_iter_ == in_pass - 1
    model.partial_fit(X, Y)


@both_estimators
@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_block_before_training_leaves_the_model_as_it_was(Estimator, case):
    third, kind, message = WRONG[case]
    model = Estimator(**IN_ORDER).fit(X, Y)
    before = output(model, X)
    with pytest.raises(kind, match=message):
        model.fit_batches(source(third), **arguments(Estimator) | dict(shuffle_rows=64))
    assert_array_equal(output(model, X), before)
    new = Estimator(**IN_ORDER)
    with pytest.raises(kind, match=message):
        new.fit_batches(source(third), **arguments(Estimator) | dict(shuffle_rows=64))
    with pytest.raises(NotFittedError):
        new.predict(X)


def test_a_label_that_was_not_announced():
    model = MLPClassifier(**IN_ORDER)
    with pytest.raises(ValueError, match=r"block 2 of source: `y` has classes not in `self.classes_`"):
        model.fit_batches(source(lambda X, y: (X, y + 7)), **arguments(MLPClassifier))
    assert_array_equal(output(model, X), output(after(MLPClassifier, 2), X))


@both_estimators
@pytest.mark.parametrize("kind", [OSError, ValueError, StopAsyncIteration, KeyboardInterrupt])
def test_what_a_source_raises_is_raised_as_it_is(Estimator, kind):
    def fail(X, y):
        raise error

    error = kind("the disk is gone")
    model = Estimator(**IN_ORDER)
    with pytest.raises(kind, match="the disk is gone") as raised:
        model.fit_batches(source(fail, in_pass=2), **arguments(Estimator))
    assert raised.value is error
    assert_array_equal(output(model, X), output(after(Estimator, 6), X))
    assert not [thread for thread in threading.enumerate() if thread.name == "fastbp-reader"]


@both_estimators
@pytest.mark.parametrize(
    "empty", [[], [(X[:0], Y[:0])], lambda: iter(()), lambda: ((X[:0], Y[:0]) for _ in range(3))], ids=range(4)
)
def test_no_rows(Estimator, empty):
    model = Estimator(**IN_ORDER).fit(X, Y)
    before = output(model, X)
    with pytest.raises(ValueError, match="source has no rows"):
        model.fit_batches(empty)
    with pytest.raises(ValueError, match="validation has no rows"):
        model.fit_batches([(X, Y)], validation=empty)
    assert_array_equal(output(model, X), before)


def test_empty_blocks_among_others_are_left_out():
    parts = [(X[i:j], Y[i:j]) for i, j in pairwise([0, 0, 5, 5, 5, 40, 64, 64])]
    model = MLPRegressor(**IN_ORDER).fit_batches(parts, shuffle_rows=16)
    assert_array_equal(output(model, X), output(MLPRegressor(**IN_ORDER).fit(X, Y), X))


@both_estimators
@pytest.mark.parametrize(
    ("second", "message"),
    [
        ([(X[:50], Y[:50])], "source has given 50 rows in one pass, and 64 were expected"),
        ([(X, Y), (X[:16], Y[:16])], "source has given 80 or more rows in one pass, and 64 were expected"),
        ([], "source has given 0 rows in one pass, and 64 were expected"),
    ],
)
def test_a_pass_with_another_number_of_rows(Estimator, second, message):
    passes = iter([[(X, Y)], second])
    model = Estimator(**IN_ORDER)
    with pytest.raises(ValueError, match=message):
        model.fit_batches(lambda: next(passes), **arguments(Estimator))
    # windows of the second pass are trained on until there are too many rows, or too few in the last one
    n_second = min(sum(len(y) for _, y in second) // 16, 4)
    assert_array_equal(output(model, X), output(after(Estimator, 4 + n_second), X))


@both_estimators
@pytest.mark.parametrize("n_rows", [63, 65])
def test_n_rows_that_are_wrong(Estimator, n_rows):
    for rows in (16, 64, 128):
        with pytest.raises(ValueError, match=f"{n_rows}.* has|and {n_rows} were expected"):
            Estimator(**IN_ORDER).fit_batches([(X, Y)], **arguments(Estimator) | dict(n_rows=n_rows, shuffle_rows=rows))


@both_estimators
@pytest.mark.parametrize(
    ("given", "kind", "message"),
    [
        (dict(source=((X, Y) for _ in range(3))), TypeError, "read once only"),
        (dict(source=iter([(X, Y)])), TypeError, "read once only"),
        (dict(source=3), TypeError, "source must be a function"),
        (dict(source=None), TypeError, "source must be a function"),
        (dict(source=[(X, Y)], shuffle_rows=0), ValueError, "shuffle_rows must be an integer >= 1 or 'auto', got 0"),
        (
            dict(source=[(X, Y)], shuffle_rows=2.5),
            ValueError,
            "shuffle_rows must be an integer .*, got 2.5",
        ),
        (dict(source=[(X, Y)], shuffle_rows="all"), ValueError, "shuffle_rows must be .*, got 'all'"),
        (dict(source=[(X, Y)], n_rows=True), ValueError, "n_rows must be an integer >= 1 or None, got True"),
        (dict(source=[(X, Y)], n_rows=-1), ValueError, "n_rows must be an integer >= 1 or None, got -1"),
        (dict(source=[(X, Y)], validation=(X,)), ValueError, r"validation must be \(X, y\) or"),
        (dict(source=[(X, Y)], validation=7), TypeError, "validation: source must be a function"),
        (dict(source=[(X, Y)], validation=[(X[:, :2], Y)]), ValueError, "X_val and y_val: X has 2 features"),
    ],
)
def test_wrong_arguments(Estimator, given, kind, message):
    model = Estimator(**IN_ORDER)
    with pytest.raises(kind, match=message):
        model.fit_batches(**given)
    assert not hasattr(model, "coefs_")


def test_arguments_for_others():
    with pytest.raises(ValueError, match="classes is for classifiers"):
        MLPRegressor().fit_batches([(X, Y)], classes=[0, 1])
    with pytest.raises(ValueError, match="solver='lbfgs' needs all rows at once: choose a stochastic solver"):
        MLPRegressor(solver="lbfgs").fit_batches([(X, Y)])
    with pytest.raises(ValueError, match=r"classes must name all labels of y, got \[0, 1\] without \[2\]"):
        MLPClassifier(**SMALL, class_weight="balanced").fit_batches([(X, Y)] * 2, shuffle_rows=16, classes=[0, 1])


@pytest.fixture(params=[False, True], ids=["system calls end", "system calls go on"])
def ctrl_c(request):
    """Ctrl-C raises KeyboardInterrupt, whether or not its handler ends a wait of the operating system.

    Python's own handlers do; a library may install one that does not (SA_RESTART), as polars does.
    """
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    if hasattr(signal, "siginterrupt"):
        signal.siginterrupt(signal.SIGINT, not request.param)
    yield press
    signal.signal(signal.SIGINT, before)


@both_estimators
def test_ctrl_c_while_training_waits_for_rows(Estimator, ctrl_c, monkeypatch):
    closed = []

    def slow(X, y):
        ctrl_c()
        closed.append(release.wait(60))
        return X, y

    release, close = threading.Event(), Windows.close
    # training does not wait for this block: it asks the thread to end before the block is there
    monkeypatch.setattr(Windows, "close", lambda self: (release.set(), close(self)))
    model = Estimator(**IN_ORDER)
    with pytest.raises(KeyboardInterrupt):
        model.fit_batches(source(slow), **arguments(Estimator))
    assert closed == [True]
    assert_array_equal(output(model, X), output(after(Estimator, 2), X))


@pytest.mark.parametrize("known", [True, False], ids=["in the first window", "while rows are counted"])
def test_ctrl_c_before_training_waits_for_one_block(known, ctrl_c, monkeypatch):
    """Not for the window, which may have many."""
    n_passes, n_read = [], []

    def blocks():
        n_passes.append(None)
        for number in range(1000):
            n_read.append(number)
            if number == 3 and len(n_passes) == (1 if known else 2):
                ctrl_c()
                release.wait(60)
            yield X, Y

    release, close = threading.Event(), Reader.close
    monkeypatch.setattr(Reader, "close", lambda self: (release.set(), close(self)))
    model = MLPRegressor(**IN_ORDER)
    with pytest.raises(KeyboardInterrupt):
        model.fit_batches(blocks, shuffle_rows=10_000 if known else 64)
    assert n_read[-1] == 3
    assert not [thread for thread in threading.enumerate() if thread.name == "fastbp-reader"]
    with pytest.raises(NotFittedError):
        model.predict(X)


def test_ctrl_c_a_second_time_ends_the_waiting_for_the_reader(ctrl_c, monkeypatch):
    def slow(X, y):
        ctrl_c()
        closing.wait(60)
        ctrl_c()
        if release.wait(60):
            read.set()
        return X, y

    closing, release, read, close = threading.Event(), threading.Event(), threading.Event(), Windows.close
    monkeypatch.setattr(Windows, "close", lambda self: (closing.set(), close(self)))
    model = MLPRegressor(**IN_ORDER)
    with pytest.raises(KeyboardInterrupt):
        model.fit_batches(source(slow), **KNOWN)
    assert_array_equal(output(model, X), output(after(MLPRegressor, 2), X))
    assert not read.is_set()
    release.set()
    assert read.wait(60)
