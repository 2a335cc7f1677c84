"""`fit_batches` of the tabular estimators: rows that are read in blocks."""

import pickle
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.exceptions import NotFittedError
from sklearn.utils.class_weight import compute_sample_weight

import fastbp
from fastbp import Callback, MLPClassifier, TabularMLPClassifier, TabularMLPRegressor
from fastbp.estimators.tabular import levels
from fastbp.estimators.tabular.encoder import TableEncoder
from fastbp.estimators.tabular.encoder_learner import EncoderLearner
from fastbp.estimators.tabular.levels import LevelCounts
from fastbp.estimators.tabular.out_of_bag import Rows
from fastbp.estimators.tabular.row_hashes import HeldOut, row_hashes
from fastbp.estimators.tabular.streams import EncodedSource, StreamedTable
from fastbp.estimators.tabular.targets import NumberSummary
from fastbp.sources import Block, Source

#: Small and quick
QUICK = {"n_ensemble": 2, "epochs": 2, "hidden_layer_sizes": (8,), "batch_size": 32, "random_state": 0}
BOTH = [TabularMLPClassifier, TabularMLPRegressor]
both = pytest.mark.parametrize("cls", BOTH)
N = 480
RNG = np.random.default_rng(0)
FRAME = pd.DataFrame(
    {
        "number": RNG.normal(size=N),
        "missing": np.where(RNG.random(N) < 0.1, np.nan, RNG.normal(size=N)),
        "two": RNG.choice([0.0, 3.0], N),
        "text": RNG.choice(["x", "y", "z", "w"], N),
        "bool": RNG.random(N) > 0.5,
        "category": pd.Categorical(RNG.choice(["p", "q", "r"], N)),
    }
)
VALUES = FRAME["number"].to_numpy() + (FRAME["text"] == "x")
LABELS = np.where(VALUES > 0.2, "yes", "no")


def targets(cls):
    return LABELS if cls is TabularMLPClassifier else VALUES


def blocks_of(size, *parts):
    """The rows of arrays and data frames as blocks."""
    return [tuple(part[start : start + size] for part in parts) for start in range(0, len(parts[0]), size)]


def outputs(model, X=FRAME):
    return model.predict_proba(X) if isinstance(model, TabularMLPClassifier) else model.predict(X)


def rows_trained(model):
    """How many rows each model of the ensemble was trained on."""
    return {one.t_ / one.n_iter_ for one in model.estimators_}


class Shuffled(Source):
    """A source whose blocks come in another order in each pass; it notes the orders of those that are read whole."""

    is_reordered = True

    def __init__(self, *parts):
        self.parts, self.orders = blocks_of(80, *parts), []

    def blocks(self, generator=None):
        order = np.arange(len(self.parts)) if generator is None else generator.permutation(len(self.parts))
        yield from (Block(*self.parts[number]) for number in order)
        self.orders.append(tuple(order.tolist()))


# The model of `fit`


@both
@pytest.mark.parametrize("size", [N, 100])
@pytest.mark.parametrize("has_validation", [True, False])
def test_one_window_gives_the_model_of_fit(cls, size, has_validation):
    y, weight = targets(cls), np.arange(N) % 3.0
    val = (FRAME[:90], y[:90], weight[:90] + 1)
    names = ("X_val", "y_val", "sample_weight_val")
    given = dict(zip(names, val, strict=True)) if has_validation else {}
    model = cls(**QUICK).fit(FRAME, y, weight, **given)
    other = cls(**QUICK)
    other.fit_batches(blocks_of(size, FRAME, y, weight), validation=val if has_validation else None)
    assert_array_equal(outputs(other), outputs(model))
    assert_array_equal(other.feature_names_in_, FRAME.columns)
    assert_array_equal(other.feature_importances_, model.feature_importances_)
    assert other.oob_score_ == model.oob_score_


@both
def test_validation_is_a_source_too(cls):
    y = targets(cls)
    model = cls(**QUICK).fit(FRAME, y, X_val=FRAME[:90], y_val=y[:90])
    other = cls(**QUICK).fit_batches([(FRAME, y)], validation=blocks_of(40, FRAME[:90], y[:90]))
    assert_array_equal(outputs(other), outputs(model))


# Windows


@both
def test_windows(cls):
    """The columns, the out-of-bag rows and the score are about those of `fit`."""
    y = targets(cls)
    params = QUICK | dict(epochs=12)
    model = cls(**params).fit_batches(lambda: iter(blocks_of(120, FRAME, y)), shuffle_rows=130)
    known = cls(**params).fit(FRAME, y)
    assert model._encoder.levels == known._encoder.levels
    assert_array_equal(model._encoder.is_binary, known._encoder.is_binary)
    assert_array_equal(model.is_categorical_, known.is_categorical_)
    # an eighth of the rows would be 60; a quarter of the window is 32 or 33
    assert rows_trained(model) <= {N - 32.0, N - 33.0}
    assert model.score(FRAME, y) > known.score(FRAME, y) - 0.05
    assert abs(model.oob_score_ - model.score(FRAME, y)) < 0.15
    assert np.isfinite(model.feature_importances_).all()
    if cls is TabularMLPRegressor:
        assert_allclose([model._mean, model._deviation], [known._mean, known._deviation], rtol=1e-12)
        assert (model._lowest, model._highest) == (VALUES.min(), VALUES.max())
        assert len(model._residuals) == sum(N - n for n in [*rows_trained(model)] * (2 // len(rows_trained(model))))
    else:
        assert model.temperature_ != 1


@both
def test_the_model_does_not_depend_on_blocks_or_threads(cls):
    y = targets(cls)
    one, other, whole = (
        cls(**QUICK, n_threads=n_threads).fit_batches(blocks_of(size, FRAME, y), shuffle_rows=96)
        for size, n_threads in ((160, 1), (160, 2), (N, 2))
    )
    assert_array_equal(outputs(other), outputs(one))
    # the mean of the targets is a sum in another order
    assert_allclose(outputs(whole), outputs(one), rtol=1e-9, atol=0 if cls is TabularMLPClassifier else 1e-12)


def test_rows_are_read_once_before_training_and_once_for_each_epoch():
    source = Shuffled(FRAME, LABELS)
    model = TabularMLPClassifier(**QUICK).fit_batches(source, shuffle_rows=96)
    assert rows_trained(model) == {N - 24.0}
    assert len(source.orders) == 1 + 2 * 2
    assert len(set(source.orders)) > 2
    again = TabularMLPClassifier(**QUICK).fit_batches(Shuffled(FRAME, LABELS), shuffle_rows=96, n_rows=N)
    assert_array_equal(outputs(again), outputs(model))


def test_out_of_bag_rows_are_not_trained_on():
    """A target that a network can only learn by heart: it is known for the rows that are trained on alone."""
    X, y = RNG.normal(size=(160, 12)), RNG.choice(["a", "b"], 160)
    model = TabularMLPClassifier(
        n_ensemble=1, epochs=30, hidden_layer_sizes=64, batch_size=16, dropout=0, weight_decay=0, random_state=0
    )
    model.fit_batches(Shuffled(X, y), shuffle_rows=120)
    assert model.score(X, y) > 0.8
    assert model.oob_score_ < 0.75


@both
def test_rows_to_validate_on_take_the_place_of_out_of_bag_rows(cls):
    y = targets(cls)
    model = cls(**QUICK).fit_batches(
        blocks_of(120, FRAME, y), shuffle_rows=96, validation=(FRAME[:90], y[:90], np.ones(90))
    )
    assert rows_trained(model) == {float(N)}
    assert np.isfinite(model.oob_score_)
    without = cls(**QUICK, oob_fraction=0).fit_batches(blocks_of(120, FRAME, y), shuffle_rows=96)
    assert rows_trained(without) == {float(N)}
    assert np.isnan(without.oob_score_)


@both
@pytest.mark.parametrize(("n_zero", "shuffle_rows", "n_found"), [(0, 16, 16), (120, 100, 0), (90, 100, 10)])
def test_a_first_window_without_rows_for_the_score(cls, n_zero, shuffle_rows, n_found):
    y, weight = targets(cls), np.ones(N)
    weight[:n_zero] = 0
    blocks, val = blocks_of(120, FRAME, y, weight), (FRAME, y)
    with pytest.raises(ValueError, match=f"first window of source has {n_found} rows with a weight .* at least 20: "):
        cls(**QUICK).fit_batches(blocks, shuffle_rows=shuffle_rows)
    assert np.isfinite(cls(**QUICK).fit_batches(blocks, shuffle_rows=shuffle_rows, validation=val).oob_score_)
    assert np.isnan(cls(**QUICK, oob_fraction=0).fit_batches(blocks, shuffle_rows=shuffle_rows).oob_score_)
    few = cls(**QUICK).fit_batches(blocks_of(4, FRAME[:19], y[:19]), shuffle_rows=8)
    assert np.isnan(few.oob_score_)  # as of `fit`


def test_early_stopping_by_out_of_bag_rows():
    model = TabularMLPClassifier(**QUICK | dict(epochs=40), early_stopping=True)
    model.fit_batches(blocks_of(120, FRAME, RNG.choice(["a", "b"], N)), shuffle_rows=160)
    assert min(one.n_iter_ for one in model.estimators_) < 12


@both
def test_rows_of_weight_zero_do_not_count(cls):
    y, weight = targets(cls).copy(), np.ones(N)
    weight[100:] = 0
    few = cls(**QUICK).fit_batches(blocks_of(120, FRAME[:100], y[:100]), shuffle_rows=64)
    y[100:] = 1e30 if cls is TabularMLPRegressor else "yes"
    X = pd.concat([FRAME[:100]] * 4 + [FRAME[:80]])
    many = cls(**QUICK).fit_batches(blocks_of(50, X, y, weight), shuffle_rows=64)
    # the columns are those of all rows, and weights are there
    assert rows_trained(many) == rows_trained(few)
    if cls is TabularMLPRegressor:
        assert_allclose([many._mean, many._highest], [few._mean, few._highest], rtol=1e-12)  # sums in another order


#: Of which a tenth are "yes"
RARE = np.where(np.argsort(np.argsort(VALUES)) >= 0.9 * N, "yes", "no")


@pytest.mark.parametrize("class_weight", ["balanced", {"yes": 3, "no": 0.5}])
@pytest.mark.parametrize("has_weight", [True, False])
def test_class_weights(class_weight, has_weight, monkeypatch):
    seen, encoded = [], StreamedTable.encoded

    def noted(table, block):
        rows = encoded(table, block)
        seen.append((block.y, block.sample_weight, rows.sample_weight))
        return rows

    monkeypatch.setattr(StreamedTable, "encoded", noted)
    weight = [RNG.uniform(1, 2, N)] if has_weight else []
    model = TabularMLPClassifier(**QUICK, class_weight=class_weight)
    model.fit_batches(blocks_of(120, FRAME, RARE, *weight), shuffle_rows=96)
    expected = dict(zip(RARE, compute_sample_weight(class_weight, RARE), strict=True))
    assert len(seen) > 4
    for y, own, found in seen:
        assert_allclose(found, np.array([expected[label] for label in y]) * (1 if own is None else own))


def test_class_weights_are_trained_with():
    params = QUICK | dict(epochs=6, oob_fraction=0)
    plain, balanced = (
        TabularMLPClassifier(**params, class_weight=class_weight).fit_batches(
            blocks_of(120, FRAME, RARE), shuffle_rows=96
        )
        for class_weight in (None, "balanced")
    )
    assert balanced.predict_proba(FRAME)[:, 1].mean() > 1.3 * plain.predict_proba(FRAME)[:, 1].mean()


def test_a_class_of_weight_zero():
    model = TabularMLPClassifier(**QUICK | dict(epochs=6), class_weight={"yes": 3, "no": 0}, oob_fraction=0)
    model.fit_batches(blocks_of(120, FRAME, LABELS), shuffle_rows=96)
    assert rows_trained(model) == {float((LABELS == "yes").sum())}
    assert (model.predict(FRAME) == "yes").all()


@pytest.mark.parametrize("shuffle_rows", [96, "auto"])
def test_a_class_that_has_no_rows(shuffle_rows):
    model = TabularMLPClassifier(**QUICK)
    model.fit_batches(blocks_of(120, FRAME, LABELS), shuffle_rows=shuffle_rows, classes=["no", "perhaps", "yes"])
    assert model.classes_.tolist() == ["no", "perhaps", "yes"]
    assert model.predict_proba(FRAME).shape == (N, 3)


def test_several_targets():
    y = np.column_stack([VALUES, -VALUES])
    model = TabularMLPRegressor(**QUICK).fit_batches(blocks_of(120, FRAME, y), shuffle_rows=96)
    assert model.predict(FRAME).shape == y.shape


def test_levels_and_columns_that_come_late():
    """In the first window, one column is constant, one has two values, and one has a single level."""
    X = np.column_stack([RNG.normal(size=N), np.ones(N), RNG.choice([0, 1], N), np.full(N, "a")]).astype(object)
    X[:, :3] = X[:, :3].astype(float)
    X[240:, 1], X[240:, 3], X[300, 2] = 5.0, "b", 0.25
    model = TabularMLPClassifier(**QUICK).fit_batches(blocks_of(120, X, LABELS), shuffle_rows=96)
    assert model._encoder.levels[3].values == ("a", "b")
    assert model._encoder.is_binary.tolist() == [False, True, False, True]
    assert np.isfinite(model.predict_proba(X)).all()


def test_other_forms_of_blocks():
    """Lists, and memory that is used again for the next block."""
    X = FRAME[["number", "two"]].to_numpy()
    model = TabularMLPClassifier(**QUICK).fit_batches(blocks_of(120, X, LABELS), shuffle_rows=96)

    def lists():
        return ((x.tolist(), y.tolist()) for x, y in blocks_of(120, X, LABELS))

    def same_memory():
        memory, labels = np.empty((120, 2)), np.empty(120, LABELS.dtype)
        for x, y in blocks_of(120, X, LABELS):
            memory[:], labels[:] = x, y
            yield memory, labels
            memory[:] = np.nan

    for blocks in (lists, same_memory):
        for rows in (96, "auto"):
            other = TabularMLPClassifier(**QUICK).fit_batches(blocks, shuffle_rows=rows)
            if rows == 96:
                assert_array_equal(outputs(other, X), outputs(model, X))


def test_files(tmp_path):
    pytest.importorskip("pyarrow")
    paths = []
    for number, (X, y) in enumerate(blocks_of(160, FRAME, LABELS)):
        paths.append(tmp_path / f"part-{number}.parquet")
        X.assign(answer=y, id=np.arange(len(y))).to_parquet(paths[-1])
    arguments = {"columns": list(FRAME.columns), "target": "answer"}
    model = TabularMLPClassifier(**QUICK).fit_batches(tmp_path / "*.parquet", **arguments, shuffle_rows=96)
    assert model._encoder.levels == TabularMLPClassifier(**QUICK).fit(FRAME, LABELS)._encoder.levels
    assert_array_equal(model.feature_names_in_, FRAME.columns)
    assert model.is_categorical_.tolist() == [False, False, False, True, True, True]
    assert np.isfinite(outputs(model)).all()
    whole = TabularMLPClassifier(**QUICK).fit_batches(paths[:1], **arguments)
    assert_array_equal(outputs(whole), outputs(TabularMLPClassifier(**QUICK).fit(FRAME[:160], LABELS[:160])))
    with pytest.raises(TypeError, match=r"(?s)column 'text'.*TabularMLPClassifier has fit_batches too"):
        MLPClassifier().fit_batches(paths, **arguments)


@both
def test_saved_models(cls, tmp_path):
    model = cls(**QUICK).fit_batches(blocks_of(120, FRAME, targets(cls)), shuffle_rows=96)
    assert_array_equal(outputs(pickle.loads(pickle.dumps(model))), outputs(model))
    pytest.importorskip("safetensors")
    fastbp.save(model, tmp_path / "model.safetensors")
    assert_array_equal(outputs(fastbp.load(tmp_path / "model.safetensors")), outputs(model))


# Errors


class Third(Callback):
    """Raises in the third epoch of all members."""

    n = 0

    def on_epoch_end(self, state):
        self.n += 1
        if self.n == 3:
            raise RuntimeError("stop")


def other_third(third, in_pass=1):
    """Blocks of 120 rows for each pass; of one of the passes the third block is ``third(X, y)``."""
    passes = []

    def blocks():
        passes.append(None)
        for number, block in enumerate(blocks_of(120, FRAME, LABELS)):
            yield third(*block) if number == 2 and len(passes) == in_pass else block

    return blocks


def fail(X, y):
    raise OSError("the disk is gone")


#: Third block -> the error and its message
WRONG = {
    "another width": (lambda X, y: (X.iloc[:, :4], y), ValueError, "block 2 of source: The feature names should match"),
    "extra column": (lambda X, y: (X.assign(z=1.0), y), ValueError, "block 2 of source: The feature names should"),
    "renamed column": (lambda X, y: (X.rename(columns={"text": "t"}), y), ValueError, "unseen at fit time:\n- t\n"),
    "columns in another order": (lambda X, y: (X[X.columns[::-1]], y), ValueError, "must be in the same order"),
    "dates": (lambda X, y: (X.assign(number=pd.Timestamp(0)), y), TypeError, "block 2 of source: column 'number'"),
    "text": (lambda X, y: (X.assign(number="a"), y), TypeError, "must hold numbers as in the first block"),
    "numbers": (lambda X, y: (X.assign(text=1.0), y), TypeError, "column 'text' of X holds numbers, and held text"),
    "infinity": (lambda X, y: (X.assign(number=np.inf), y), ValueError, "block 2 of source: Input X contains infin"),
    "fewer targets": (lambda X, y: (X, y[:-1]), ValueError, "block 2 of source: Found input variables with incons"),
    "no targets": (lambda X, y: (X, None), ValueError, "block 2 of source: y is None"),
    "numbers as labels": (
        lambda X, y: (X, np.ones(len(y), int)),
        ValueError,
        "block 2 of source: y must hold labels",
    ),
    "weights": (lambda X, y: (X, y, np.ones(len(y))), ValueError, "sample_weight is there in some blocks, and miss"),
    "negative weights": (lambda X, y: (X, y, -np.ones(len(y))), ValueError, "block 2 of source: Negative values"),
    "raises": (fail, OSError, "the disk is gone"),
}


@pytest.mark.fault(39)
@pytest.mark.parametrize("shuffle_rows", [96, "auto"])
@pytest.mark.parametrize("case", WRONG)
def test_wrong_blocks(case, shuffle_rows):
    third, error, message = WRONG[case]
    model = TabularMLPClassifier(**QUICK)
    with pytest.raises(error, match=message):
        model.fit_batches(other_third(third), shuffle_rows=shuffle_rows)
    with pytest.raises(NotFittedError):
        model.predict(FRAME)


@pytest.mark.fault(39)
@pytest.mark.parametrize("shuffle_rows", [96, "auto"])
def test_arrays_that_become_text(shuffle_rows):
    X = FRAME[["number", "two"]].to_numpy()
    blocks = [*blocks_of(120, X, LABELS), (X.astype(str), LABELS)]
    with pytest.raises(TypeError, match="block 4 of source: column 0 of X must hold numbers as in the first block"):
        TabularMLPClassifier(**QUICK).fit_batches(blocks, shuffle_rows=shuffle_rows)


@pytest.mark.parametrize("shuffle_rows", [96, "auto"])
def test_blocks_of_different_types(shuffle_rows):
    """Categories that differ from block to block; numbers of several types; targets of several types."""
    first = pd.DataFrame({"category": pd.Categorical(RNG.choice([1, 2], N)), "number": np.arange(N)})
    second = pd.DataFrame({"category": pd.Categorical(RNG.choice([3, 4], N)), "number": np.arange(N) / 7})
    y = RNG.choice([0, 1], N)
    blocks = [(first, pd.Series(y)), (second.astype({"number": np.float32}), y)]
    model = TabularMLPClassifier(**QUICK).fit_batches(blocks, shuffle_rows=shuffle_rows)
    assert model.is_categorical_.tolist() == [True, False]
    assert model._encoder.levels[0].values == (1, 2, 3, 4)
    assert model.classes_.tolist() == [0, 1]


@pytest.mark.parametrize("shuffle_rows", [96, "auto"])
@pytest.mark.parametrize("library", ["pandas", "polars", "pyarrow"])
def test_text_that_is_missing_in_a_block(library, shuffle_rows):
    package = pytest.importorskip(library)
    frame = package.table if library == "pyarrow" else package.DataFrame
    missing = [np.nan if library == "pandas" else None] * N  # of a type without values, in pandas of float64
    number, text = FRAME["number"].to_numpy(), FRAME["text"].tolist()
    blocks = [(frame({"number": number, "text": values}), LABELS) for values in (text, missing, text)]
    model = TabularMLPClassifier(**QUICK).fit_batches(blocks, shuffle_rows=shuffle_rows)
    assert model.is_categorical_.tolist() == [False, True]
    assert model._encoder.levels[1].values == ("w", "x", "y", "z")


@pytest.mark.parametrize("shuffle_rows", [96, "auto"])
def test_labels_have_the_dtype_that_they_have_in_fit(shuffle_rows):
    for labels in (LABELS, LABELS.astype(object), (LABELS == "yes").astype(np.int8), LABELS == "yes"):
        model = TabularMLPClassifier(**QUICK).fit_batches(blocks_of(120, FRAME, labels), shuffle_rows=shuffle_rows)
        known = TabularMLPClassifier(**QUICK).fit(FRAME, labels)
        assert model.classes_.dtype == known.classes_.dtype
        assert_array_equal(model.classes_, known.classes_)


#: Third block of a later pass -> the error and its message
CHANGED = {
    "raises": (fail, OSError, "the disk is gone"),
    "other rows": (lambda X, y: (X[::2], y[::2]), ValueError, "source has given 420 rows in a later pass, and 480"),
    "other labels": (lambda X, y: (X, np.full(len(y), "new")), ValueError, "block 2 of source: y contains previously"),
}


@pytest.mark.fault(39)
@pytest.mark.parametrize("case", CHANGED)
def test_blocks_that_change(case):
    third, error, message = CHANGED[case]
    model = TabularMLPClassifier(**QUICK).fit(FRAME, LABELS)
    before = outputs(model)
    with pytest.raises(error, match=message):
        model.fit_batches(other_third(third, in_pass=3), shuffle_rows=96)
    assert_array_equal(outputs(model), before)


@pytest.mark.fault(39)
@pytest.mark.parametrize("has_validation", [True, False])
def test_a_function_that_returns_the_same_iterator_twice(has_validation):
    blocks = iter(blocks_of(120, FRAME, LABELS))
    validation = (FRAME, LABELS) if has_validation else None
    with pytest.raises(ValueError, match="source has given 0 rows in a later pass, and 480 were expected: it has to"):
        TabularMLPClassifier(**QUICK).fit_batches(lambda: blocks, shuffle_rows=96, validation=validation)


def test_members_show_the_source_of_the_user():
    source = Shuffled(FRAME, LABELS)
    assert repr(EncodedSource(SimpleNamespace(source=source), None)) == repr(source)


@pytest.mark.fault(39)
def test_out_of_bag_rows_that_do_not_come_again():
    def noisy():
        rng = np.random.default_rng(len(passes))
        passes.append(None)
        return ((X.assign(number=X["number"] + rng.normal(size=len(X))), y) for X, y in blocks_of(120, FRAME, LABELS))

    passes = []
    with pytest.raises(ValueError, match="source has not given 24 rows again that were in its first pass"):
        TabularMLPClassifier(**QUICK).fit_batches(noisy, shuffle_rows=96)
    TabularMLPClassifier(**QUICK, oob_fraction=0).fit_batches(noisy, shuffle_rows=96)


@pytest.mark.fault(39)
def test_a_training_that_fails_leaves_the_model_as_it_was():
    model = TabularMLPClassifier(**QUICK).fit(FRAME, LABELS)
    before = outputs(model)
    with pytest.raises(RuntimeError, match="stop"):
        model.set_params(callbacks=[Third()]).fit_batches(blocks_of(120, FRAME, LABELS), shuffle_rows=96)
    assert_array_equal(outputs(model), before)


@pytest.mark.parametrize(
    ("params", "arguments", "message"),
    [
        ({"time_budget": 5}, {}, "time_budget=5 is for fit"),
        ({}, {"shuffle_rows": 0}, "shuffle_rows must be an integer >= 1"),
        ({}, {"n_rows": 7}, "n_rows is 7, but the source has 480 rows"),
        ({}, {"n_rows": 7, "shuffle_rows": 96}, "n_rows is 7, but the source has 480 rows"),
        ({}, {"classes": ["no"]}, r"classes must name all labels of y, got \['no'\] without \['yes'\]"),
        ({}, {"validation": (FRAME,)}, r"validation must be \(X, y\)"),
        ({}, {"target": "y"}, "target is for files"),
        ({}, {"source": []}, "source has no rows"),
        ({}, {"source": [(FRAME, LABELS, np.zeros(N))], "shuffle_rows": 96}, "is zero for every row"),
        ({}, {"source": [(FRAME, np.full(N, 1))], "shuffle_rows": 96}, "y has one class only"),
    ],
)
def test_wrong_arguments(params, arguments, message):
    arguments = {"source": blocks_of(120, FRAME, LABELS)} | arguments
    with pytest.raises(ValueError, match=message):
        TabularMLPClassifier(**QUICK | params).fit_batches(**arguments)


def test_classes_are_for_classifiers():
    with pytest.raises(ValueError, match="classes is for classifiers"):
        TabularMLPRegressor().fit_batches([(FRAME, VALUES)], classes=[0, 1])


# Parts


@pytest.mark.parametrize("X", [FRAME, FRAME[["number", "missing", "two"]].to_numpy(np.float32)], ids=["frame", "array"])
def test_the_encoder_of_a_single_block(X):
    class Model:
        pass

    expected, _ = TableEncoder.fit_transform(X, Model())
    learner = EncoderLearner(Model(), "from_dtype")
    learner.add(X, True)
    found = learner.encoder()
    assert found.levels == expected.levels
    for name in ("shift", "factor", "is_binary"):
        assert_array_equal(getattr(found, name), getattr(expected, name))


def test_counts_of_many_levels_are_bounded(monkeypatch):
    monkeypatch.setattr(levels, "MOST_LEVELS", 100)
    counts = LevelCounts()
    for start in range(0, 400, 80):
        counts.add(np.array(["often"] * 50 + [f"name {number}" for number in range(start, start + 80)]))
        counts.limit()
    assert len(counts.counts) <= 100
    assert counts.is_incomplete
    assert counts.counts["often"] == 250
    assert counts.n_rows == 650


def test_mean_and_deviation_of_parts():
    y = np.concatenate([RNG.normal(size=(50, 2)), 1e6 + RNG.normal(size=(70, 2))]) * [1, 1e200]
    summary = NumberSummary()
    for start in (0, 7, 60):
        summary.add(y[start : {0: 7, 7: 60, 60: 120}[start]])
    scaled = y / [1, 1e200]
    # sums in another order
    assert_allclose(summary.mean, scaled.mean(axis=0) * [1, 1e200], rtol=1e-12)
    assert_allclose(summary.deviation, scaled.std(axis=0) * [1, 1e200], rtol=1e-12)


@pytest.mark.parametrize("weight", [None, np.arange(200.0)])
def test_rows_that_are_held_out(weight):
    """Of rows that are alike, as many are left out as are held out."""
    rows = Rows(RNG.integers(0, 3, (200, 2)).astype(np.float32), RNG.integers(0, 2, 200), weight)
    held = np.sort(RNG.choice(200, 40, replace=False))
    expected = sorted(row_hashes(rows.without(held)).tolist())
    left = HeldOut(rows.part(held))
    kept = [left.without(rows.part(np.arange(start, start + 50))) for start in (150, 0, 100, 50)]
    left.check_found()
    assert sorted(h for part in kept for h in row_hashes(part).tolist()) == expected
    if weight is None:
        assert len(np.unique(row_hashes(rows))) == len(np.unique(np.column_stack([rows.X, rows.targets]), axis=0))
