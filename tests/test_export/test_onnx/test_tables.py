"""Tabular estimators in onnxruntime: columns of numbers, categories, text, two values, and missing ones."""

import numpy as np
import pandas as pd
import pytest

from fastbp import TabularMLPClassifier, TabularMLPRegressor, to_onnx
from fastbp.export.description import describe
from fastbp.export.onnx.file import ModelGraph, table_inputs
from fastbp.export.onnx.tables import TableInputs, encoded
from fastbp.export.tables import columns_of
from onnx_cases import CLASS_METHODS, assert_agrees, run

pytest.importorskip("onnxruntime")

N = 200
RNG = np.random.default_rng(0)
#: Of the float64 results: the members are float32
TOLERANCE = 1e-6
SMALL = dict(n_ensemble=2, epochs=10, hidden_layer_sizes=(16,), random_state=0)


def frame_of(n=N, seed=0):
    """All kinds of columns, and a target that depends on some."""
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame(
        {
            "number": rng.normal(size=n),
            "seconds": 1.7e9 + rng.integers(0, 1000, n),
            "huge": 1e300 * rng.normal(size=n),
            "two numbers": 3.0 * rng.integers(0, 2, n),
            "town": rng.choice(["Bonn", "Kiel", "Ulm"], n).astype(object),
            "two texts": rng.choice(["a", "b"], n).astype(object),
            "flag": rng.random(n) > 0.5,
            "missing": np.where(rng.random(n) < 0.2, np.nan, rng.normal(size=n)),
            "code": pd.Categorical(rng.integers(0, 6, n)),
            "text or missing": np.where(rng.random(n) < 0.2, None, rng.choice(["x", "", "z"], n)),
            "code or missing": pd.Categorical(np.where(rng.random(n) < 0.2, np.nan, rng.integers(0, 4, n) / 2)),
            "all missing": np.full(n, None, object),
        }
    )
    frame.loc[:1, "town"] = ["Trier", "Jena"]  # rare levels
    return frame, frame["number"] * (frame["town"] == "Bonn") + 2 * (frame["two texts"] == "a") + frame["flag"]


def is_text(column):
    """Whether a column of a frame is text, in every version of pandas."""
    return not (pd.api.types.is_numeric_dtype(column) or isinstance(column.dtype, pd.CategoricalDtype))


def changed(frame):
    """Rows with values that were not there in fit, and missing ones, in all columns."""
    frame = frame.copy()
    frame["code"], frame["code or missing"] = frame["code"].astype(float), frame["code or missing"].astype(float)
    frame["flag"] = frame["flag"].astype(float)
    for row, column in enumerate(frame):
        frame.loc[10 + row, column] = None if is_text(frame[column]) else np.nan
        frame.loc[40 + row, column] = "new" if is_text(frame[column]) else 17.0
    frame.loc[60:63, "two numbers"] = [1.5, -1.0, 9.0, 0.3]
    return frame


def feed_of(frame, missing="?", dtype="float64"):
    """The inputs of a model: a tensor for each column."""
    columns = {}
    for name in frame:
        column = frame[[name]]
        if is_text(frame[name]):
            columns[name] = column.astype(object).where(column.notna(), missing).to_numpy(object)
        else:
            columns[name] = column.astype(dtype).to_numpy()
    return columns


FRAME, TARGET = frame_of()


@pytest.fixture(scope="module")
def regressor():
    return TabularMLPRegressor(**SMALL, oob_fraction=0.3).fit(FRAME, TARGET)


@pytest.mark.parametrize("embedding", ["piecewise_linear", "periodic", None])
def test_classifier(embedding):
    y = np.where(TARGET > 1.5, "high", np.where(TARGET > 0.5, "middle", "low"))
    model = TabularMLPClassifier(numeric_embedding=embedding, **SMALL).fit(FRAME, y)
    rows = changed(FRAME)
    assert_agrees(model, rows, feed_of(rows), methods=CLASS_METHODS[:2], tolerance=TOLERANCE, missing_text="?")
    # of the logarithms, the error is divided by the probability
    methods = CLASS_METHODS[2:]
    assert_agrees(model, rows, feed_of(rows), methods=methods, tolerance=1e-4, missing_text="?")


def test_two_classes_without_smoothing():
    model = TabularMLPClassifier(label_smoothing=0.0, **SMALL).fit(FRAME, TARGET > 1)
    methods = CLASS_METHODS[:2]
    found = assert_agrees(model, FRAME, feed_of(FRAME), methods=methods, tolerance=TOLERANCE, missing_text="?")
    assert found["label"].dtype == bool


def test_regressor(regressor):
    rows = changed(FRAME)
    methods = ("predict", "predict_interval")
    options = dict(methods=methods, tolerance=TOLERANCE, missing_text="?")
    found = assert_agrees(regressor, rows, feed_of(rows), coverage=0.8, **options)
    assert (found["lower"] < found["variable"]).all()
    wider = assert_agrees(regressor, rows, feed_of(rows), **options)  # 0.9, as of the method
    assert (wider["lower"] < found["lower"]).all()


@pytest.mark.parametrize("embedding", ["piecewise_linear", "periodic", None])
@pytest.mark.parametrize("factor", [1.0, 1e6])
def test_default_layers(embedding, factor):
    """256 units a layer: sums of many float32 numbers, whose steps are 1.2e-7, through all layers."""
    model = TabularMLPRegressor(n_ensemble=2, epochs=5, numeric_embedding=embedding, random_state=0)
    model.fit(FRAME, factor * TARGET)
    rows = changed(FRAME)
    found = run(to_onnx(model, missing_text="?"), feed_of(rows))["variable"][:, 0]
    expected = model.predict(rows)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5 * np.abs(expected).max())


@pytest.mark.parametrize("n", [0, 1])
def test_no_row_and_one_row(regressor, n):
    found = run(to_onnx(regressor, missing_text="?"), feed_of(FRAME.head(n)))["variable"]
    assert found.shape == (n, 1)


def test_numbers_as_float32(regressor):
    rows = FRAME.drop(columns=["huge"])
    model = TabularMLPRegressor(**SMALL).fit(rows, TARGET)
    single = rows.astype({name: "float32" for name in ("number", "seconds", "two numbers", "missing")})
    feed = feed_of(rows, dtype="float32")
    assert_agrees(model, single, feed, methods=("predict",), dtype="float32", tolerance=TOLERANCE, missing_text="?")


def test_the_encoded_table_is_the_same(regressor):
    """To the last bit: the members read the same numbers."""
    graph, description = ModelGraph(), describe(regressor)
    matrix = encoded(description.columns, table_inputs(description, graph), "?")
    graph.output("matrix", matrix, ["n", FRAME.shape[1]])
    rows = changed(FRAME)
    found = run(graph.model("encoder"), feed_of(rows))["matrix"]
    np.testing.assert_array_equal(found, regressor._encoder.transform(rows, regressor))


@pytest.mark.parametrize("targets", [1, 2])
def test_an_array_of_numbers_is_one_input(targets):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(N, 5))
    X[:, 1], X[:, 2] = rng.integers(0, 4, N), rng.integers(0, 2, N)
    X[::9, 3] = np.nan
    y = X[:, 0] if targets == 1 else X[:, [0, 4]]
    model = TabularMLPRegressor(categorical_features=[1], **SMALL).fit(X, y)
    X[::5, 1], X[1::5, 2] = 17, np.nan
    assert_agrees(model, X, methods=("predict",), tolerance=TOLERANCE)
    single = X.astype("float32")
    assert_agrees(model, single, methods=("predict",), dtype="float32", tolerance=TOLERANCE)


def test_an_array_of_objects_has_numbered_columns():
    rng = np.random.default_rng(0)
    X = np.column_stack([rng.normal(size=N).astype(object), rng.choice(["a", "b", "c"], N).astype(object)])
    model = TabularMLPClassifier(**SMALL).fit(X, X[:, 0] > 0)
    feed = {"x0": X[:, :1].astype(float), "x1": X[:, 1:]}
    assert_agrees(model, X, feed, methods=("predict", "predict_proba"), tolerance=TOLERANCE)


def test_text_that_stands_for_missing_must_be_no_level(regressor):
    with pytest.raises(ValueError, match="missing_text='' stands for missing, and column 'text or missing' has it"):
        to_onnx(regressor)


def test_levels_that_cannot_be_exported():
    X = np.column_stack([np.arange(N) % 3, np.arange(N) % 2]).astype(object)
    for levels, message in [(["a", 1, 2], "text beside numbers"), ([b"a", b"b", b"c"], "bytes")]:
        X[:, 0] = [levels[i % 3] for i in range(N)]
        model = TabularMLPRegressor(categorical_features=[0], **SMALL).fit(X, np.arange(N))
        with pytest.raises(TypeError, match=f"column 'x0' of X .*{message}"):
            to_onnx(model)
    X[:, 0] = [2**60 + 1 + i % 3 for i in range(N)]
    model = TabularMLPRegressor(categorical_features=[0], **SMALL).fit(X, np.arange(N))
    with pytest.raises(ValueError, match="has the level 1152921504606846977, which float64 cannot hold"):
        to_onnx(model)


def test_names_that_are_taken():
    frame = FRAME[["number", "town"]].set_axis(["variable", "town"], axis=1)
    model = TabularMLPRegressor(**SMALL).fit(frame, TARGET)
    with pytest.raises(ValueError, match="the column 'variable' of X has the name of an output"):
        to_onnx(model)


def test_an_empty_name():
    frame = FRAME[["number", "missing"]].set_axis(["number", ""], axis=1)
    model = TabularMLPRegressor(**SMALL).fit(frame, TARGET)
    with pytest.raises(ValueError, match="column 1 of X has the name '', which ONNX does not allow"):
        to_onnx(model)


def test_names_that_are_not_different(regressor):
    with pytest.raises(ValueError, match="must have different names to be exported, got 'a' more than once"):
        columns_of(regressor._encoder, ["a"] * FRAME.shape[1])


def test_names_of_nodes_are_free():
    frame = FRAME[["number", "missing"]].set_axis(["Cast_0", "constant_2"], axis=1)
    model = TabularMLPRegressor(**SMALL).fit(frame, TARGET)
    assert_agrees(model, frame, feed_of(frame), methods=("predict",), tolerance=TOLERANCE)


def test_intervals_without_rows_for_them():
    model = TabularMLPRegressor(oob_fraction=0.0, **SMALL).fit(FRAME, TARGET)
    with pytest.raises(ValueError, match="predict_interval needs out-of-bag rows"):
        to_onnx(model, outputs=["predict_interval"], missing_text="?")


@pytest.mark.parametrize("as_text", [True, False])
@pytest.mark.parametrize("has_missing", [True, False])
def test_a_column_of_rare_levels_only(as_text, has_missing):
    """Nothing is known of its values, not even whether they are text."""
    names = np.array([f"name {i}" for i in range(N)] if as_text else np.arange(N), object)
    names[:: 4 if has_missing else N + 1] = None
    if not has_missing:
        names[0] = "name 0" if as_text else 0
    X = np.column_stack([names, RNG.normal(size=N).astype(object)])
    model = TabularMLPRegressor(categorical_features=[0], **SMALL)
    with pytest.warns(UserWarning, match="have a level that is rare"):
        model.fit(X, X[:, 1].astype(float))
    feed = {"x0": np.where(names == None, "", names.astype(str))[:, None].astype(object)}  # noqa: E711
    feed["x1"] = X[:, 1:].astype(float)
    # pre-activations are of the size 50, of which float32 has steps of 4e-6
    assert_agrees(model, X, feed, methods=("predict",), tolerance=2e-5)
    graph, columns = ModelGraph(), describe(model).columns
    parts = [(graph.input("x0", np.float64, 1), 1), (graph.input("x1", np.float64, 1), 1)]
    graph.output("matrix", encoded(columns, TableInputs(parts), ""), ["n", 2])
    numbers = np.where(names == None, np.nan, 1.0)[:, None].astype(float)  # noqa: E711
    found = run(graph.model("encoder"), {"x0": numbers, "x1": X[:, 1:].astype(float)})["matrix"]
    np.testing.assert_array_equal(found, model._encoder.transform(X, model))


def test_columns_in_several_tensors():
    graph = ModelGraph()
    parts = [(graph.input("a", np.float64, 2), 2), (graph.input("b", np.float32, 1), 1)]
    inputs = TableInputs(parts)
    assert inputs.n_columns == 3
    assert [inputs.dtype(i) for i in range(3)] == [np.float64, np.float64, np.float32]
    graph.output("chosen", inputs.columns([1, 2], np.dtype(np.float64)), ["n", 2])
    rows = np.arange(6.0).reshape(2, 3)
    found = run(graph.model("columns"), {"a": rows[:, :2], "b": rows[:, 2:].astype("float32")})
    np.testing.assert_array_equal(found["chosen"], rows[:, 1:])
