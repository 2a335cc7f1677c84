"""Training on rows that are read in blocks: `fit_batches`, `streams.py`, `window_cutter.py`, `training/windows.py`."""

import gc
import pickle
import threading
import tracemalloc
import warnings
import weakref
from functools import partial

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from scipy.sparse import csr_array, issparse
from sklearn import config_context
from sklearn.base import clone
from sklearn.exceptions import DataConversionWarning

import reference
from fastbp import MLPClassifier, MLPRegressor, Network
from fastbp.callbacks import Checkpoint
from fastbp.kernels.shuffling import shuffle
from fastbp.sources import Block, Source
from resume_cases import OPTIONS, SCORE, SMALL, TARGETS, WEIGHT, X, assert_same_model, cases, estimator, fit, fresh

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

#: Cases without held-out rows, which fit_batches has not
CASES = {name: case for name, case in cases().items() if not case[1]["early_stopping"] or case[2] == "a validation set"}
both_estimators = pytest.mark.parametrize("Estimator", TARGETS)


def blocks_of(rows, *arrays):
    """Blocks of so many rows of each array."""
    n = arrays[0].shape[0]
    return [tuple(array[start : start + rows] for array in arrays) for start in range(0, n, rows)]


def threads():
    """The threads that read."""
    return [thread for thread in threading.enumerate() if thread.name == "fastbp-reader"]


@pytest.fixture(autouse=True)
def no_thread_is_left():
    yield
    assert not threads()


class Parts(Source):
    """Blocks in the order of the generator; notes the orders, and whether the targets were read alone."""

    is_reordered = True

    def __init__(self, parts, feature_names=None):
        self.parts, self.orders, self.passes_of_targets, self.feature_names = parts, [], 0, feature_names

    def blocks(self, generator=None):
        order = np.arange(len(self.parts)) if generator is None else generator.permutation(len(self.parts))
        self.orders.append(order.tolist())
        return (Block(*self.parts[i]) for i in order)

    def targets(self):
        self.passes_of_targets += 1
        return ((part[1], None) for part in self.parts)


# The model of `fit`


@pytest.mark.parametrize("case", CASES)
def test_one_window_gives_the_model_of_fit(case):
    Estimator, params, options = CASES[case]
    np.random.seed(7)
    model = fit(estimator(Estimator, params, options), options)
    arguments = dict(OPTIONS[options][1])
    y, rows = TARGETS[Estimator], arguments.get("X", X)
    validation = (arguments["X_val"], y[arguments["y_val"]]) if "X_val" in arguments else None
    parts = [rows, y, *([arguments["sample_weight"]] if "sample_weight" in arguments else [])]
    for size in (len(y), 7):
        np.random.seed(7)
        other = estimator(Estimator, params, options)
        other.fit_batches(blocks_of(size, *parts), validation=validation)
        for one in (model, other):  # a generator went on
            one.random_state = None
        assert_same_model(other, model)


@both_estimators
def test_windows_of_rows_in_their_order_give_the_model_of_fit(Estimator):
    model = Estimator(**SMALL | dict(shuffle=False)).fit(X, TARGETS[Estimator])
    other = Estimator(**SMALL | dict(shuffle=False))
    other.fit_batches(blocks_of(7, X, TARGETS[Estimator]), shuffle_rows=13)
    assert_same_model(other, model)


def test_windows_against_a_twin():
    """Three windows of 16, 16 and 8 rows, in NumPy: each is shuffled with one generator, the first two in an order that
    goes on, the short one by the order of its rows among these."""
    model = MLPRegressor(
        hidden_layer_sizes=(5,),
        activation="tanh",
        solver="sgd",
        momentum=0,
        batch_size=8,
        max_iter=3,
        random_state=3,
        alpha=0.1,
    )
    model.fit_batches(blocks_of(11, X, SCORE), shuffle_rows=16)
    sgd = partial(reference.sgd_update, momentum=0.0)
    rng = np.random.RandomState(3)
    network = Network((4, 5, 1), "tanh", random_state=rng)
    coefs, intercepts = [w.copy() for w in network.coefs], [b.copy() for b in network.intercepts]
    order, losses = np.arange(16), []
    options = dict(update=sgd, rates=[0.001], batch_size=8, activations=["tanh", "identity"], alpha=0.1)
    for _ in range(3):
        total = 0.0
        for start in (0, 16, 32):
            n = min(16, 40 - start)
            rows = order if n == 16 else order[order < n]
            shuffle(rng, rows)
            loss, _ = reference.train(
                coefs, intercepts, X[start + rows], SCORE[start + rows, None], loss="squared_error", **options
            )
            total += n * loss[0]
        losses.append(total / 40)
    for ours, twin in zip([*model.coefs_, *model.intercepts_], [*coefs, *intercepts], strict=True):
        np.testing.assert_allclose(ours, twin, rtol=1e-12)  # the order of sums
    np.testing.assert_allclose(model.loss_curve_, losses, rtol=1e-12)
    assert model.t_ == 120


@both_estimators
def test_a_fitted_model_goes_on(Estimator):
    y = TARGETS[Estimator]
    models = [Estimator(**SMALL | dict(warm_start=True)) for _ in range(2)]
    models[0].fit(X, y).fit(X, y)
    models[1].fit(X, y).fit_batches([(X, y)])
    assert_same_model(models[1], models[0])
    models[1].partial_fit(X, y)
    anew = Estimator(**SMALL).fit(X[:, :2], y).fit_batches([(X, y)])
    assert_same_model(anew, Estimator(**SMALL).fit(X, y))


# What is known before training


def test_labels_and_rows_are_counted_where_they_are_not_known():
    y, params = TARGETS[MLPClassifier], SMALL | dict(shuffle=False, class_weight="balanced")
    model = MLPClassifier(**params).fit(X, y)
    order = np.argsort(y, kind="stable")  # the first window has one label only
    source = Parts(blocks_of(10, X, y))
    assert_same_model(MLPClassifier(**params).fit_batches(source, shuffle_rows=12), model)
    assert source.passes_of_targets == 1
    source = Parts(blocks_of(10, X[order], y[order]))
    counted = MLPClassifier(**SMALL).fit_batches(source, shuffle_rows=12)
    assert counted.classes_.tolist() == ["no", "perhaps", "yes"]
    told = Parts(source.parts)
    assert_same_model(
        MLPClassifier(**SMALL).fit_batches(told, shuffle_rows=12, classes=["yes", "no", "perhaps"], n_rows=40), counted
    )
    assert (source.passes_of_targets, told.passes_of_targets) == (1, 0)
    more = MLPClassifier(**SMALL).fit_batches([(X, y)], classes=["yes", "no", "perhaps", "never"])
    assert more.classes_.tolist() == ["never", "no", "perhaps", "yes"]


@pytest.mark.parametrize("rows", [12, 40])
def test_classes_that_are_given(rows):
    y = TARGETS[MLPClassifier]
    params, known = SMALL | dict(class_weight="balanced"), dict(n_rows=40, shuffle_rows=rows)
    more = MLPClassifier(**params).fit_batches(blocks_of(10, X, y), classes=["yes", "no", "perhaps", "never"], **known)
    assert more.classes_.tolist() == ["never", "no", "perhaps", "yes"]
    params["class_weight"] = dict(zip(*weights_of_balanced(y), strict=True)) | {"never": 1.0}
    twin = MLPClassifier(**params).fit_batches(blocks_of(10, X, y), classes=more.classes_, **known)
    assert_array_equal(more.predict_proba(X), twin.predict_proba(X))
    for class_weight in (None, "balanced"):
        model = MLPClassifier(**SMALL | dict(class_weight=class_weight))
        with pytest.raises(ValueError, match=r"classes must name all labels of y, got .* without \['perhaps'\]"):
            model.fit_batches(blocks_of(10, X, y), classes=["yes", "no", "quite"], **known)


def weights_of_balanced(y):
    """The labels, and the weight of each by class_weight='balanced'."""
    labels, counts = np.unique(y, return_counts=True)
    return labels.tolist(), (len(y) / (len(labels) * counts)).tolist()


def test_labels_of_two_types():
    blocks = [(X[:20], np.arange(20) % 2), (X[20:], np.where(X[20:, 0] > 0, "a", "b"))]
    with pytest.raises(ValueError, match="y must hold labels of one type"):
        MLPClassifier(**SMALL).fit_batches(blocks, shuffle_rows=12)
    with pytest.raises(ValueError, match="block 1 of source: y, what it holds, is text, and was numbers in the first"):
        MLPClassifier(**SMALL).fit_batches(blocks)


@pytest.mark.parametrize("form", ["indicators", "probabilities", "columns"])
def test_targets_of_two_dimensions(form):
    a, b = (X[:, :2] > 0).T.astype(int)
    y, classes = {
        "indicators": (np.column_stack([a, b]), None),
        "probabilities": (np.column_stack([0.25 + 0.5 * a, 0.75 - 0.5 * a]), ["n", "y"]),
        "columns": (np.column_stack([a, b]), [[0, 1], [0, 1, 2]]),
    }[form]
    params = SMALL | dict(shuffle=False)
    model = MLPClassifier(**params).fit(X, y, classes=classes)
    other = MLPClassifier(**params).fit_batches(blocks_of(9, X, y), shuffle_rows=12, classes=classes)
    assert_same_model(other, model)
    if form == "columns":
        late = np.column_stack([a, np.where(np.arange(40) < 20, b, 2 * b)])  # the first window has not all labels
        with pytest.raises(ValueError, match=r"block 2 of source: y of two dimensions has .*: give classes"):
            MLPClassifier(**params).fit_batches(blocks_of(10, X, late), shuffle_rows=20, n_rows=40)
        with pytest.raises(ValueError, match="class_weight='balanced' needs a y of one dimension in fit_batches"):
            MLPClassifier(**SMALL, class_weight="balanced").fit_batches(
                blocks_of(9, X, y), shuffle_rows=12, classes=classes
            )


@both_estimators
@pytest.mark.parametrize("window", [0, 1])
def test_rows_of_weight_zero(Estimator, window):
    y, weight = TARGETS[Estimator], np.where(np.arange(40) // 12 == window, 0, WEIGHT)
    params = SMALL | dict(shuffle=False)
    model = Estimator(**params).fit(X, y, weight)
    assert_same_model(Estimator(**params).fit_batches(blocks_of(4, X, y, weight), shuffle_rows=12), model)
    if Estimator is MLPClassifier:
        order = np.argsort(y == "no", kind="stable")  # one window has no other label
        order = order[::-1] if window == 0 else order
        params["class_weight"] = {"no": 0, "yes": 1, "perhaps": 1}
        model = Estimator(**params).fit(X[order], y[order])
        blocks = blocks_of(4, X[order], y[order])
        assert_same_model(Estimator(**params).fit_batches(blocks, shuffle_rows=12), model)


@both_estimators
def test_no_row_has_a_weight(Estimator):
    blocks = blocks_of(10, X, TARGETS[Estimator], np.zeros(40))
    with pytest.raises(ValueError, match="source gives every row a weight of zero"):
        Estimator(**SMALL).fit_batches(blocks, shuffle_rows=12)
    with pytest.raises(ValueError, match="zero"):
        Estimator(**SMALL).fit_batches(blocks)


def test_dtypes_are_those_of_the_first_block():
    low = [(X.astype(np.float32)[:20], SCORE[:20]), (X[20:], SCORE[20:])]
    model = MLPRegressor(**SMALL).fit_batches(low)
    assert_same_model(model, MLPRegressor(**SMALL).fit(X.astype(np.float32), SCORE))
    assert_same_model(
        MLPRegressor(**SMALL).fit_batches([(X.tolist(), SCORE.tolist())]), MLPRegressor(**SMALL).fit(X, SCORE)
    )
    large = [(X.astype(np.float32)[:20], SCORE[:20]), (1e300 * X[20:], SCORE[20:])]
    with pytest.raises(ValueError, match="X holds values too large for float32, the dtype of the first block"):
        MLPRegressor(**SMALL).fit_batches(large)
    # sparse rows too, whatever the windows
    low, large = ([(csr_array(part), y) for part, y in parts] for parts in (low, large))
    for shuffle_rows in (10, "auto"):
        model = MLPRegressor(**SMALL | dict(batch_size=10)).fit_batches(low, shuffle_rows=shuffle_rows)
        assert model.coefs_[0].dtype == np.float32
        with pytest.raises(ValueError, match="X holds values too large for float32, the dtype of the first block"):
            MLPRegressor(**SMALL | dict(batch_size=10)).fit_batches(large, shuffle_rows=shuffle_rows)


def test_sparse_windows_of_different_sizes():
    sparse = csr_array(np.where(X > 0.5, X, 0))
    lil = sparse.tolil()
    for rows in (sparse, lil):
        parts = [(rows[:5], SCORE[:5]), (rows[5:5], SCORE[5:5]), (rows[5:23], SCORE[5:23]), (rows[23:], SCORE[23:])]
        model = MLPRegressor(**SMALL | dict(shuffle=False)).fit_batches(parts, shuffle_rows=12)
        assert_same_model(model, MLPRegressor(**SMALL | dict(shuffle=False)).fit(sparse, SCORE))


def test_names_of_columns():
    pd = pytest.importorskip("pandas")
    frame = pd.DataFrame(X, columns=list("abcd"))
    model = MLPRegressor(**SMALL).fit(frame, SCORE)
    frames = [(frame[:25], SCORE[:25]), (frame[25:], SCORE[25:])]
    assert_same_model(MLPRegressor(**SMALL).fit_batches(frames), model)
    named = Parts([(X, SCORE)], feature_names=list("abcd"))
    other = MLPRegressor(**SMALL | dict(warm_start=True)).fit_batches(named, validation=(X, SCORE))
    assert_array_equal(other.feature_names_in_, model.feature_names_in_)
    assert_array_equal(other.predict(frame), model.predict(frame))
    with pytest.raises(ValueError, match=r"X_val and y_val: The feature names should match"):
        clone(other).fit_batches(named, validation=(frame[list("dcba")], SCORE))
    clone(other).fit_batches(named, validation=(frame, SCORE))
    other.fit_batches(named)
    with pytest.raises(ValueError, match=r"columns of source are \['x', 'b', 'c', 'd'\], and the model was fitted to"):
        other.fit_batches(Parts([(X, SCORE)], feature_names=list("xbcd")))
    assert_array_equal(other.feature_names_in_, list("abcd"))
    with pytest.raises(ValueError, match=r"block 1 of source: The feature names should match"):
        MLPRegressor(**SMALL).fit_batches([frames[0], (frames[1][0][list("bacd")], SCORE[25:])])


class NamesSeen:
    """Notes the names of the columns that a copy of the estimator has in training."""

    def __init__(self):
        self.names = []

    def on_window_end(self, state):
        self.names.append(list(state.estimator.feature_names_in_))


def test_copies_of_the_estimator_in_training_know_the_names_of_columns():
    seen = NamesSeen()
    source = Parts(blocks_of(10, X, SCORE), feature_names=list("abcd"))
    MLPRegressor(**SMALL | dict(max_iter=2, batch_size=10), callbacks=seen).fit_batches(source, shuffle_rows=20)
    assert seen.names == [list("abcd")] * 4


def write_parquet(folder, name, order):
    """A file with the columns of X, a to d, in an order, and the target."""
    pa, pq = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    columns = {"abcd"[i]: X[:, i] for i in range(4)} | {"target": SCORE, "other": SCORE}
    pq.write_table(pa.table({key: columns[key] for key in order}), folder / name)
    return str(folder / name)


def test_validation_files_have_their_columns_in_any_order(tmp_path):
    path = write_parquet(tmp_path, "train.parquet", ["a", "b", "c", "d", "target"])
    same = MLPRegressor(**SMALL, early_stopping=True).fit_batches(path, target="target", validation=path)
    for order in (["d", "c", "target", "b", "a"], ["target", "other", "b", "a", "d", "c"]):
        other = write_parquet(tmp_path, "validation.parquet", order)
        model = clone(same).fit_batches(path, target="target", validation=other)
        assert model.validation_scores_ == same.validation_scores_
    missing = write_parquet(tmp_path, "validation.parquet", ["d", "c", "target", "b", "other"])
    with pytest.raises(ValueError, match=r"validation: columns: .* has no column 'a'"):
        clone(same).fit_batches(path, target="target", validation=missing)


def test_files_and_blocks_may_be_combined(tmp_path):
    path = write_parquet(tmp_path, "rows.parquet", ["a", "b", "c", "d", "target"])
    model = MLPRegressor(**SMALL).fit_batches(path, target="target", validation=path)
    blocks = blocks_of(9, X, SCORE)
    for source, validation in ((path, blocks), (blocks, path), (path, (X, SCORE))):
        other = clone(model).fit_batches(source, target="target", validation=validation)
        assert other.validation_scores_ == model.validation_scores_
    np.savez(tmp_path / "rows.npz", X=X, target=SCORE)
    other = clone(model).fit_batches(path, target="target", validation=str(tmp_path / "rows.npz"))
    assert other.validation_scores_ == model.validation_scores_
    with pytest.raises(ValueError, match="target is for files: list as source gives its blocks as they are"):
        clone(model).fit_batches(blocks, target="target", validation=(X, SCORE))
    frame = pytest.importorskip("pandas").DataFrame(X, columns=list("dcba"))
    with pytest.raises(ValueError, match="the columns of X_val are"):
        clone(model).fit_batches([(frame, SCORE)], target="target", validation=path)


def arrays_as_frame(library, rows):
    """The columns of an array, without a copy, as a data frame of a library; "numpy": the array."""
    if library == "numpy":
        return rows
    frames = pytest.importorskip(library)
    make = {"pandas": "DataFrame", "polars": "DataFrame", "pyarrow": "table"}[library]
    return getattr(frames, make)({name: rows[i] for i, name in enumerate("abcd")})


@pytest.mark.parametrize("library", ["numpy", "pandas", "polars", "pyarrow"])
def test_blocks_of_validation_may_use_the_same_memory(library):
    def blocks():
        rows, y = np.empty((4, 10)), np.empty(10)
        for start in range(0, 40, 10):
            rows[:], y[:] = X[start : start + 10].T, SCORE[start : start + 10]
            yield (rows.T if library == "numpy" else arrays_as_frame(library, rows)), y

    whole = X if library == "numpy" else arrays_as_frame(library, np.ascontiguousarray(X.T))
    model = MLPRegressor(**SMALL).fit_batches([(whole, SCORE)], validation=(whole, SCORE))
    assert clone(model).fit_batches([(whole, SCORE)], validation=blocks).validation_scores_ == model.validation_scores_


# Passes over the source


def test_a_pass_stays_in_one_thread():
    """A generator may hold settings of the thread that runs it, as NumPy's, and close them there."""
    names = []

    def blocks():
        with np.errstate(all="raise"):
            for block in blocks_of(10, X, SCORE):
                names.append(threading.current_thread().name)
                yield block

    before = np.geterr()
    model = MLPRegressor(**SMALL | dict(batch_size=10)).fit_batches(blocks, shuffle_rows=20, n_rows=40)
    assert_same_model(clone(model).fit_batches(blocks_of(10, X, SCORE), shuffle_rows=20), model)
    clone(model).set_params(max_iter=1).fit_batches(blocks, shuffle_rows=10, n_rows=40)  # of four windows
    assert set(names) == {"fastbp-reader"}
    assert np.geterr() == before


def test_labels_are_counted_in_the_same_thread():
    names = []

    def blocks():
        names.append(threading.current_thread().name)
        yield from blocks_of(10, X, TARGETS[MLPClassifier])

    MLPClassifier(**SMALL | dict(max_iter=2, batch_size=10)).fit_batches(blocks, shuffle_rows=20)
    assert names == ["fastbp-reader"] * 3  # the first epoch, the labels, the second epoch


def test_settings_of_scikit_learn_hold_for_all_blocks():
    holes = np.where(X[30, 0] == X, np.nan, X)  # in the last block
    with pytest.raises(ValueError, match="block 3 of source: Input X contains NaN"):
        MLPRegressor(**SMALL).fit_batches(blocks_of(10, holes, SCORE), shuffle_rows=10)
    with config_context(assume_finite=True), pytest.raises(ValueError, match=r"loss diverged|non-finite"):
        MLPRegressor(**SMALL).fit_batches(blocks_of(10, holes, SCORE), shuffle_rows=10)


@pytest.mark.parametrize("params", [dict(batch_size=10**10), dict()], ids=["batch", "window"])
def test_windows_may_be_larger_than_the_memory(params):
    """Only the rows that are there take memory."""
    rows = 8 if params else 10**10
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Got `batch_size` less than 1 or larger than sample size")
        model = MLPRegressor(**SMALL | params).fit(X, SCORE)
        other = clone(model).fit_batches(blocks_of(10, X, SCORE), shuffle_rows=rows)
    assert_same_model(other, model)


@pytest.mark.parametrize("kind", [np.int8, np.int64])
def test_numbers_of_rows_may_be_integers_of_numpy(kind):
    model = MLPRegressor(**SMALL | dict(max_iter=4)).fit_batches(blocks_of(4, X, SCORE), shuffle_rows=12)
    other = clone(model).fit_batches(blocks_of(4, X, SCORE), shuffle_rows=kind(12), n_rows=kind(40))
    assert_same_model(other, model)


def test_a_y_of_one_column_is_warned_of_once():
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", DataConversionWarning)
        model = MLPRegressor(**SMALL).fit_batches(blocks_of(4, X, SCORE[:, None]), shuffle_rows=12, n_rows=40)
    assert [w.category for w in caught if w.category is DataConversionWarning] == [DataConversionWarning]
    assert_same_model(model, clone(model).fit_batches(blocks_of(4, X, SCORE), shuffle_rows=12))


# Epochs, callbacks, resumed runs


def test_parts_come_in_another_order_in_each_epoch():
    parts = blocks_of(4, X, SCORE)
    source = Parts(parts)
    model = MLPRegressor(**SMALL | dict(n_iter_no_change=9)).fit_batches(source, shuffle_rows=12, n_rows=40)
    orders = source.orders[1 : model.n_iter_ + 1]  # of the first pass, one block is read, to know the size of a window
    assert len({tuple(order) for order in orders}) == len(orders) == 8
    again = Parts(parts)
    clone(model).fit_batches(again, shuffle_rows=12, n_rows=40)
    assert again.orders[1:9] == orders
    known = Parts(parts)
    known.n_rows = 40
    assert_same_model(clone(model).fit_batches(known), clone(model).fit(X, SCORE))  # one window holds all rows
    assert all(order == list(range(10)) for order in known.orders)
    still = Parts(parts)
    clone(model).set_params(shuffle=False).fit_batches(still, shuffle_rows=12, n_rows=40)
    assert all(order == list(range(10)) for order in still.orders)


@pytest.mark.parametrize("seed", [0, None])
@both_estimators
def test_a_resumed_run(Estimator, seed, tmp_path):
    y = TARGETS[Estimator]
    params = SMALL | dict(random_state=seed, dropout=0.2, early_stopping=True, n_iter_no_change=9)
    arguments = dict(shuffle_rows=12, validation=(X[:9], y[:9]))

    def source():
        return Parts(blocks_of(5, X, y, WEIGHT))

    model = Estimator(**params, callbacks=Checkpoint(tmp_path / "{epoch}")).fit_batches(source(), **arguments)
    assert model.n_iter_ == 8
    for epoch in (1, 5, 8):
        resumed = fresh(model).fit_batches(source(), **arguments, resume_from=tmp_path / f"{epoch}")
        assert_same_model(resumed, model)
    with pytest.raises(ValueError, match="resume_from: X has other values"):
        fresh(model).fit_batches(Parts(blocks_of(5, X + 1, y, WEIGHT)), **arguments, resume_from=tmp_path / "5")


def test_callbacks_see_windows():
    class Look:
        seen, waited = [], 0.0

        def on_window_end(self, state):
            self.seen.append((state.epoch, state.rows_in_epoch, state.rows_of_epoch))
            assert state.seconds_waited >= self.waited
            self.waited = state.seconds_waited

        def on_epoch_end(self, state):
            self.seen.append((state.epoch, state.rows_in_epoch, state.rows_seen))
            return state.epoch == 2

    look = Look()
    model = MLPRegressor(**SMALL, callbacks=look).fit_batches(blocks_of(5, X, SCORE), shuffle_rows=24)
    assert look.seen == [(0, 24, 40), (0, 40, 40), (1, 0, 40), (1, 24, 40), (1, 40, 40), (2, 0, 80)]
    assert model.n_iter_ == 2
    assert look.waited > 0


@pytest.mark.parametrize("by", ["callback", "max_time"])
def test_training_can_be_ended_within_an_epoch(by):
    class Stop:
        def on_window_end(self, state):
            return state.epoch == 1 and state.rows_in_epoch == 24

    source = blocks_of(12, X, SCORE)
    params = SMALL | dict(shuffle=False)
    if by == "callback":
        model = MLPRegressor(**params, callbacks=[Stop(), Stop()]).fit_batches(source, shuffle_rows=12)
        assert (model.n_iter_, model.t_, len(model.loss_curve_)) == (2, 64, 2)
        twin = MLPRegressor(**params | dict(max_iter=1)).fit_batches(source).partial_fit(X[:24], SCORE[:24])
        assert_array_equal(twin.predict(X), model.predict(X))
        assert_array_equal(twin.loss_curve_, model.loss_curve_)
    else:
        model = MLPRegressor(**params, max_time=1e-9).fit_batches(source, shuffle_rows=12)
        assert (model.n_iter_, model.t_) == (1, 12)
    model.partial_fit(X, SCORE)


@pytest.mark.parametrize("sparse", [False, True])
def test_callbacks_see_the_rows_of_the_window(sparse):
    rows, seen = X[:, :2], []

    class Look:
        def on_fit_begin(self, state):
            self.check(state)

        def on_window_end(self, state):
            self.check(state)

        def on_epoch_end(self, state):
            self.check(state)

        def check(self, state):
            found = state.X.toarray() if sparse else state.X
            assert_array_equal(state.targets[:, 0], found[:, 0] + found[:, 1])
            assert_array_equal(state.sample_weight, np.abs(found[:, 0]) + 1)
            assert_array_equal(np.sort(state.train_rows), np.arange(len(found)))
            loss = state.network.loss_and_gradient(state.X, state.targets, state.sample_weight)[0]
            assert np.isfinite(loss)
            seen.append(found[0, 0])

    parts = [csr_array(rows) if sparse else rows, rows[:, 0] + rows[:, 1], np.abs(rows[:, 0]) + 1]
    MLPRegressor(**SMALL | dict(max_iter=3, batch_size=4), callbacks=Look()).fit_batches(
        blocks_of(5, *parts), shuffle_rows=16
    )
    windows = [X[0, 0], X[16, 0], X[32, 0]]
    assert seen == [X[0, 0], *[*windows, X[32, 0]] * 3]


def test_a_loss_that_diverges_in_a_window_ends_training():
    y = np.where(np.arange(40) < 12, 1e150, 0.0)
    model = MLPRegressor(**SMALL | dict(solver="sgd", learning_rate_init=1e10, batch_size=4))
    with pytest.raises(ValueError, match="The loss diverged in epoch 1"):
        model.fit_batches(blocks_of(4, X, y), shuffle_rows=12)
    windows = []

    class Note:
        def on_window_end(self, state):
            windows.append(state.rows_in_epoch)

    params = SMALL | dict(solver="sgd", learning_rate_init=1e10, batch_size=4, early_stopping=True, callbacks=Note())
    with pytest.warns(UserWarning, match="The loss diverged in epoch 1"):
        stopped = MLPRegressor(**params).fit_batches(blocks_of(4, X, y), shuffle_rows=12, validation=(X, SCORE))
    assert windows == []
    assert np.isfinite(stopped.predict(X)).all()


def test_the_progress_bar_moves_within_an_epoch(capfd):
    model = MLPRegressor(**SMALL | dict(max_iter=1), verbose=2).fit_batches(blocks_of(5, X, SCORE), shuffle_rows=24)
    _, err = capfd.readouterr()
    assert "rows/s" in err
    assert "waiting for rows" in err
    assert f"loss {model.loss_:.4g}" in err


def test_early_stopping_needs_validation():
    model = MLPRegressor(**SMALL | dict(early_stopping=True))
    with pytest.raises(ValueError, match="early_stopping=True holds out no rows in fit_batches: give rows to validate"):
        model.fit_batches([(X, SCORE)])
    expected = clone(model).fit(X, SCORE, X_val=X[:9], y_val=SCORE[:9], sample_weight_val=WEIGHT[:9])
    for validation in [(X[:9], SCORE[:9], WEIGHT[:9]), blocks_of(4, X[:9], SCORE[:9], WEIGHT[:9])]:
        assert_same_model(clone(model).fit_batches([(X, SCORE)], validation=validation), expected)


# Memory and threads


def test_blocks_may_use_the_same_memory():
    def reused():
        memory, targets = np.empty((10, 4)), np.empty(10)
        for start in range(0, 40, 10):
            memory[...], targets[...] = X[start : start + 10], SCORE[start : start + 10]
            yield memory, targets

    for rows in ("auto", 12, 10):
        params = SMALL | dict(batch_size=10, shuffle=rows == "auto")
        model = MLPRegressor(**params).fit_batches(reused, shuffle_rows=rows)
        assert_same_model(model, MLPRegressor(**params).fit(X, SCORE))


def test_two_windows_and_a_block_are_in_memory():
    n_blocks, rows, n_features = 60, 1000, 100
    alive, most = weakref.WeakValueDictionary(), []

    class Rows(np.ndarray):
        """An array that can be referred to weakly."""

    def blocks():
        for number in range(n_blocks):
            block = np.full((rows, n_features), number, np.float32).view(Rows)
            alive[number] = block
            most.append(len(alive))
            yield block, np.zeros(rows)
            del block

    size = 4 * rows * n_features * 4
    tracemalloc.start()
    try:
        MLPRegressor(hidden_layer_sizes=(5,), max_iter=2, random_state=0).fit_batches(
            blocks, shuffle_rows=4 * rows, n_rows=n_blocks * rows
        )
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert len(most) >= 2 * n_blocks
    assert max(most) <= 2  # the one that is read, and the one before until it is overwritten
    # two windows, two blocks, and what checks, the network and a first call in a process need: one block and a half
    assert peak < 2 * size + 3.5 * (size / 4)


def test_the_next_window_is_read_while_one_is_trained_on():
    read, trained = [], []

    def blocks():
        for start in range(0, 40, 10):
            read.append((threading.current_thread().name, len(trained)))
            yield X[start : start + 10], SCORE[start : start + 10]

    class Note:
        """Notes after each window how many blocks were asked for."""

        def on_window_end(self, state):
            trained.append(len(read))

    MLPRegressor(**SMALL | dict(max_iter=1, batch_size=10), callbacks=Note()).fit_batches(
        blocks, shuffle_rows=10, n_rows=40
    )
    assert {name for name, _ in read} == {"fastbp-reader"}
    # one window ahead at most: a block is asked for when there is room for its window, or to see whether there is one
    assert all(number <= n_trained + 2 for number, (_, n_trained) in enumerate(read))


def test_models_can_be_pickled_and_cloned():
    model = MLPRegressor(**SMALL).fit_batches(blocks_of(10, X, SCORE), shuffle_rows=12)
    assert_same_model(pickle.loads(pickle.dumps(model)), model)
    assert not issparse(model.coefs_[0])
    assert clone(model).get_params() == model.get_params()


@pytest.mark.parametrize("ends", ["early", "with an error", "normally"])
def test_the_first_pass_is_closed_and_the_windows_are_given_back(ends):
    """Without the garbage collector: two windows may be half of the memory."""
    X, closed, windows = np.random.default_rng(0).normal(size=(100, 3)), [], []

    class Watch:
        def on_window_end(self, state):
            windows.append(weakref.ref(state.X.base if state.X.base is not None else state.X))
            return ends == "early"

    def source():
        try:
            for start in range(0, 100, 10):
                if ends == "with an error" and start == 50:
                    raise OSError("disk")
                yield X[start : start + 10], X[start : start + 10, 0]
        finally:
            closed.append(True)

    model = MLPRegressor(hidden_layer_sizes=(2,), max_iter=1, batch_size=10, callbacks=Watch())
    gc.collect()
    gc.disable()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                model.fit_batches(source, shuffle_rows=10, n_rows=100)
            except OSError:
                assert ends == "with an error"
        assert closed
        assert windows[0]() is None
    finally:
        gc.enable()


# A loss that grows


def of_large_rows(large, n=1200, factor=3e4):
    """X, and a y that is 0 outside of some rows."""
    X, y = np.random.default_rng(0).normal(size=(n, 3)), np.zeros(n)
    y[large] = factor * X[large, 0]
    return X, y


@pytest.mark.parametrize("listening", [True, False])
@pytest.mark.parametrize("factor", [1e6, 1e160])  # the square of the second one is infinite
@pytest.mark.parametrize("large", [slice(400, 800), slice(790, 791), slice(800, 1200), slice(350, 450)], ids=str)
def test_windows_unlike_the_first_batch_are_no_growth(large, factor, listening):
    X, y = of_large_rows(large, factor=factor)
    params = dict(max_iter=5, tol=0, batch_size=100, random_state=0, shuffle=False)
    callbacks = [type("Nothing", (), {"on_window_end": lambda self, state: None})()] if listening else None
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        model = MLPRegressor(**params, callbacks=callbacks).fit_batches(blocks_of(100, X, y), shuffle_rows=400)
    assert model.n_iter_ == 5
    assert model.loss_curve_[0] > 1e6  # over a million times that of the first batch, which is below 1
    assert not [w for w in caught if "grew" in str(w.message)]
    assert_same_model(MLPRegressor(**params).fit(X, y), model)


def test_a_loss_that_grows_in_a_later_window_ends_training():
    X, y = of_large_rows(slice(400, 800), factor=1)
    model = MLPRegressor(max_iter=5, learning_rate_init=1e6, random_state=0)
    with pytest.warns(match=r"The loss grew from .* in epoch 1 with learning rate 1e\+06; training stopped"):
        model.fit_batches(blocks_of(100, X, y), shuffle_rows=400)
    assert model.n_iter_ == 1
    with pytest.warns(match=r"The loss grew from .* in epoch 1"):  # a window without a weight has no loss
        clone(model).fit_batches(blocks_of(100, X, y, np.repeat([1.0, 0.0], [900, 300])), shuffle_rows=300)


def test_the_loss_before_training_is_computed_only_where_it_is_needed(monkeypatch):
    counted, objective = [], Network.objective

    def counting(self, data, *args, **kwargs):
        counted.append(data.n_rows)
        return objective(self, data, *args, **kwargs)

    monkeypatch.setattr(Network, "objective", counting)
    params = dict(max_iter=3, tol=0, batch_size=100, random_state=0)
    rows, y = of_large_rows(slice(400, 800), factor=1)
    MLPRegressor(**params).fit_batches(blocks_of(100, rows, y), shuffle_rows=400)
    assert counted == []
    rows, y = of_large_rows(slice(400, 1000), n=1000)
    MLPRegressor(**params).fit_batches(blocks_of(100, rows, y), shuffle_rows=400)
    assert counted == [400, 200]  # the second window and the third, in the first epoch


def test_a_resumed_run_knows_the_loss_before_training(tmp_path):
    rows, y = of_large_rows(slice(400, 800))
    params = dict(max_iter=6, tol=0, batch_size=100, random_state=0)
    model = MLPRegressor(**params, callbacks=Checkpoint(tmp_path / "{epoch}"))
    model.fit_batches(blocks_of(100, rows, y), shuffle_rows=400)
    for epoch in (1, 4):
        resumed = fresh(model).fit_batches(blocks_of(100, rows, y), shuffle_rows=400, resume_from=tmp_path / f"{epoch}")
        assert_same_model(resumed, model)
    assert model.n_iter_ == 6


# What callbacks see and set at the end of a window


class AtEvents:
    """Calls functions of the state at events, given by the events' names."""

    def __init__(self, **functions):
        for event, function in functions.items():
            setattr(self, event, function)


AVERAGES = {"ema": dict(ema_decay=0.9), "swa": dict(swa_start=0.25)}
averages = pytest.mark.parametrize("average", AVERAGES)


def fitted_in_windows(callbacks=None, **params):
    """A regressor fitted in windows of 12, 12, 12 and 4 rows, in batches of 4."""
    params = SMALL | dict(batch_size=4, max_iter=4, callbacks=callbacks) | params
    return MLPRegressor(**params).fit_batches(blocks_of(8, X, SCORE), shuffle_rows=12)


def test_the_learning_rate_cannot_be_set_at_the_end_of_a_window():
    def set_rate(state):
        state.learning_rate = 0.5

    with pytest.raises(AttributeError, match=r"cannot be set in on_window_end: .* Set it in on_epoch_end or on_epoch_"):
        fitted_in_windows(AtEvents(on_window_end=set_rate))
    for event in ("on_epoch_begin", "on_epoch_end"):
        assert fitted_in_windows(AtEvents(**{event: set_rate})).history_["learning_rate"][-1] == 0.5


@averages
def test_callbacks_see_the_average_at_the_end_of_a_window(average):
    at_windows, at_epochs = [], []

    def note(seen, state):
        model = state.estimator
        assert_array_equal(model.network_.params, state.network.params)
        assert (model.n_iter_, model.t_, model.loss_curve_) == (state.epoch, 40 * state.epoch, state.loss_curve)
        raw = model.raw_params_
        seen.append((state.network.params.copy(), None if raw is None else raw.copy(), model._optimizer.n_steps))

    look = AtEvents(on_window_end=partial(note, at_windows), on_epoch_end=partial(note, at_epochs))
    model = fitted_in_windows(look, **AVERAGES[average])
    assert_same_model(model.set_params(callbacks=None), fitted_in_windows(**AVERAGES[average]))
    assert [n_steps for _, _, n_steps in at_windows[:5]] == [3, 6, 9, 10, 13]
    for number, (params, raw, _) in enumerate(at_windows):
        is_begun = average == "ema" or number >= 8  # the epochs count from the second one on
        assert (raw is not None) == is_begun
        assert not is_begun or number in (0, 8) or not np.array_equal(params, raw)  # of the first step or epoch
    if average == "ema":
        for (params, raw, _), (later, later_raw, _) in zip(at_windows[3::4], at_epochs, strict=True):
            assert_array_equal(params, later)
            assert_array_equal(raw, later_raw)
    else:
        assert_array_equal(at_windows[8][0], at_epochs[1][0])


@averages
@pytest.mark.parametrize("rows", [24, 40])
def test_parameters_that_are_set_at_the_end_of_a_window(average, rows):
    """The average begins anew, as where they are set at the end of an epoch."""
    seen = []

    def edit(state):
        if state.epoch == 2 and state.rows_in_epoch == rows:
            state.network.params = np.zeros(state.network.n_params)

    def note(state):
        if state.epoch == 2 and state.rows_in_epoch >= rows:
            seen.append(state.network.params.copy())

    model = fitted_in_windows([AtEvents(on_window_end=edit), AtEvents(on_window_end=note)], **AVERAGES[average])
    assert not seen[0].any()
    n = {"ema": 10 + (40 - rows) // 4, "swa": 2}[average]
    assert model._average.n == n


@averages
def test_an_exception_at_the_end_of_a_window(average):
    """The model has the average, as the callbacks saw it."""

    def ends(state):
        return state.epoch == 2 and state.rows_in_epoch == 24

    def raises(state):
        if ends(state):
            raise KeyError("mine")

    after = []
    with pytest.raises(KeyError, match="mine"):
        fitted_in_windows(AtEvents(on_window_end=raises, on_fit_end=after.append), **AVERAGES[average])
    state = after[0]
    assert (state.rows_in_epoch, state.rows_of_epoch) == (0, 0)
    assert state.optimizer.n_steps == 26
    seen = []
    fitted_in_windows(
        AtEvents(on_window_end=lambda state: seen.append(state.network.params.copy()) if ends(state) else None),
        **AVERAGES[average],
    )
    assert_array_equal(state.network.params, seen[0])
