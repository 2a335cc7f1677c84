"""Pipelines with estimators of fastbp, converted by skl2onnx."""

import numpy as np
import pandas as pd
import pytest
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import make_column_transformer
from sklearn.ensemble import StackingClassifier
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from fastbp import MLPClassifier, MLPEncoder, MLPRegressor, TabularMLPClassifier, TabularMLPRegressor
from fastbp.export import register_skl2onnx
from onnx_cases import assert_close, expected, run

skl2onnx = pytest.importorskip("skl2onnx")
pytest.importorskip("onnxruntime")

RNG = np.random.default_rng(0)
X = RNG.normal(size=(150, 4)).astype(np.float32)
IS_HIGH = X[:, 0] * X[:, 1] > 0
FAST = dict(hidden_layer_sizes=(8,), max_iter=500, tol=0.01, learning_rate_init=0.02, random_state=0)
SMALL = dict(n_ensemble=2, epochs=5, hidden_layer_sizes=(8,), random_state=0)
FRAME = pd.DataFrame(
    {"a": X[:, 0], "b": X[:, 1], "town": RNG.choice(["Bonn", "Kiel", "Ulm"], 150), "k": RNG.integers(0, 5, 150)}
)
FEED = {
    "a": X[:, :1],
    "b": X[:, 1:2],
    "town": FRAME[["town"]].to_numpy(object),
    "k": FRAME[["k"]].to_numpy(np.int64),
}
#: Of a scaler and a network in float32
TOLERANCE = 2e-6


@pytest.fixture(autouse=True, scope="module")
def registered():
    register_skl2onnx()
    register_skl2onnx()  # a second time changes nothing


def converted(model, example=X[:1], **options):
    """The ModelProto of a pipeline; options are those of its last step."""
    last = model[-1] if hasattr(model, "steps") else model
    return skl2onnx.to_onnx(model, example, options={id(last): options} if options else None)


LABELS = {
    "bools": IS_HIGH,
    "integers": np.digitize(X[:, 0], [-1, 0, 1]) * 3,
    "floats": np.digitize(X[:, 0], [-1, 0, 1]).astype(float),
    "text": np.where(IS_HIGH, "yes", "no"),
    "indicators": np.column_stack([IS_HIGH, X[:, 2] > 0]).astype(int),
    "one class": np.zeros(150, int),
}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", LABELS)
def test_classifiers(name, dtype):
    rows = X.astype(dtype)
    model = make_pipeline(StandardScaler(), MLPClassifier(**FAST)).fit(rows, LABELS[name])
    found = run(converted(model, rows[:1], zipmap=False), rows)
    assert list(found) == ["label", "probabilities"]
    wanted = model.predict(rows)
    assert found["label"].tolist() == wanted.tolist()
    assert found["label"].dtype == (object if name == "text" else np.int64)
    assert_close(
        found["probabilities"], model.predict_proba(rows), tolerance=TOLERANCE if dtype == "float32" else 1e-12
    )


def test_outputs_have_the_type_of_the_input():
    """Also where the network is float64: as of scikit-learn's estimators."""
    model = make_pipeline(StandardScaler(), MLPRegressor(**FAST)).fit(X.astype(float), X[:, 0])
    found = run(converted(model), X)["variable"]
    assert found.dtype == np.float32
    np.testing.assert_allclose(found[:, 0], model.predict(X), atol=1e-6)


def test_zipmap():
    model = make_pipeline(StandardScaler(), MLPClassifier(**FAST)).fit(X, LABELS["text"])
    p = model.predict_proba(X)
    found = run(converted(model), X)
    assert list(found) == ["output_label", "output_probability"]
    assert found["output_label"].tolist() == model.predict(X).tolist()
    assert [sorted(row) for row in found["output_probability"][:2]] == [["no", "yes"]] * 2
    np.testing.assert_allclose([row["yes"] for row in found["output_probability"]], p[:, 1], atol=TOLERANCE)
    found = run(converted(model, zipmap="columns"), X)
    np.testing.assert_allclose(found["syes"], p[:, 1], atol=TOLERANCE)


def test_labels_as_numbers_and_as_an_output():
    model = make_pipeline(StandardScaler(), MLPClassifier(**FAST)).fit(X, LABELS["text"])
    found = run(converted(model, zipmap=False, nocl=True), X)
    assert found["label"].tolist() == (model.predict(X) == "yes").astype(int).tolist()
    found = run(converted(model, zipmap=False, output_class_labels=True), X)
    assert found["class_labels"].tolist() == ["no", "yes"]


@pytest.mark.parametrize("method", ["predict", "predict_proba", "predict_log_proba"])
def test_chosen_outputs(method):
    y = np.column_stack([LABELS["text"].astype(object), LABELS["integers"]])
    for labels in (LABELS["integers"], y):
        model = make_pipeline(StandardScaler(), MLPClassifier(**FAST)).fit(X, labels)
        found = run(converted(model, outputs=[method]), X)
        wanted = expected(model, X, method)
        assert list(found) == list(wanted)
        for name, values in wanted.items():
            assert_close(found[name], values, name, 1e-5)


def test_several_columns_of_labels_have_tensors():
    y = np.column_stack([LABELS["text"].astype(object), LABELS["integers"]])
    model = make_pipeline(StandardScaler(), MLPClassifier(**FAST)).fit(X, y)
    found = run(converted(model), X)
    assert list(found) == ["label_0", "label_1", "probabilities_0", "probabilities_1"]
    assert (np.column_stack([found["label_0"], found["label_1"]]) == model.predict(X)).all()


def test_standard_deviations():
    model = make_pipeline(StandardScaler(), MLPRegressor("gaussian", **FAST)).fit(X, X[:, :2])
    found = run(converted(model, outputs=["predict", "return_std"]), X)
    mean, std = model.predict(X, return_std=True)
    np.testing.assert_allclose(found["variable"], mean, atol=TOLERANCE)
    np.testing.assert_allclose(found["std"], std, atol=TOLERANCE)


def test_an_encoder_within_a_pipeline():
    encoder = MLPEncoder(2, (5,), MLPRegressor(max_iter=500, tol=0.1, random_state=0))
    model = make_pipeline(StandardScaler(), encoder, MLPClassifier(**FAST)).fit(X, IS_HIGH)
    found = run(converted(model, zipmap=False), X)
    np.testing.assert_allclose(found["probabilities"], model.predict_proba(X), atol=TOLERANCE)


def test_a_column_transformer():
    prepared = make_column_transformer(
        (StandardScaler(), ["a", "b"]), (OneHotEncoder(sparse_output=False), ["town", "k"])
    )
    model = make_pipeline(prepared, MLPClassifier(**FAST)).fit(FRAME, IS_HIGH)
    found = run(converted(model, FRAME[:1], zipmap=False), FEED)
    np.testing.assert_allclose(found["probabilities"], model.predict_proba(FRAME), atol=TOLERANCE)


@pytest.mark.parametrize("in_pipeline", [False, True])
def test_tables(in_pipeline):
    classifier, regressor = TabularMLPClassifier(**SMALL), TabularMLPRegressor(**SMALL)
    if in_pipeline:
        classifier, regressor = make_pipeline(classifier), make_pipeline(regressor)
    classifier.fit(FRAME, LABELS["text"])
    regressor.fit(FRAME, X[:, 0])
    found = run(converted(classifier, FRAME[:1], zipmap=False), FEED)
    assert found["label"].tolist() == classifier.predict(FRAME).tolist()
    np.testing.assert_allclose(found["probabilities"], classifier.predict_proba(FRAME), atol=TOLERANCE)
    found = run(converted(regressor, FRAME[:1]), FEED)
    np.testing.assert_allclose(found["variable"][:, 0], regressor.predict(FRAME), atol=TOLERANCE)


def test_text_that_is_missing():
    frame = FRAME.copy()
    frame.loc[::5, "town"] = None
    model = TabularMLPRegressor(**SMALL).fit(frame, X[:, 0])
    feed = FEED | {"town": frame[["town"]].astype(object).where(frame[["town"]].notna(), "?").to_numpy(object)}
    found = run(converted(model, FRAME[:1], missing_text="?"), feed)
    np.testing.assert_allclose(found["variable"][:, 0], model.predict(frame), atol=TOLERANCE)


def test_intervals_of_a_pipeline():
    model = make_pipeline(StandardScaler(), TabularMLPRegressor(oob_fraction=0.3, **SMALL)).fit(X, X[:, 0])
    found = run(converted(model, outputs=["predict_interval"], coverage=0.6), X)
    lower, upper = model[-1].predict_interval(model[:-1].transform(X), 0.6)
    np.testing.assert_allclose(found["lower"][:, 0], lower, atol=TOLERANCE)
    np.testing.assert_allclose(found["upper"][:, 0], upper, atol=TOLERANCE)


@pytest.mark.parametrize(
    "model",
    [
        CalibratedClassifierCV(MLPClassifier(**FAST), cv=2),
        GridSearchCV(MLPClassifier(**FAST), {"alpha": [0.1]}, cv=2),
        StackingClassifier([("network", MLPClassifier(**FAST))], cv=2),
    ],
    ids=lambda model: type(model).__name__,
)
def test_within_other_estimators(model):
    model.fit(X, IS_HIGH.astype(int))
    found = run(skl2onnx.to_onnx(model, X[:1], options={"zipmap": False}), X)
    np.testing.assert_allclose(found["probabilities"], model.predict_proba(X), atol=TOLERANCE)


def test_integers_are_converted_as_by_the_methods():
    rows = np.arange(60).reshape(-1, 2)
    model = MLPRegressor(**FAST).fit(rows / 30, rows[:, 0])
    found = run(skl2onnx.to_onnx(model, rows[:1]), rows)
    np.testing.assert_allclose(found["variable"][:, 0], model.predict(rows), rtol=1e-6)


def test_what_is_refused():
    model = make_pipeline(StandardScaler(), MLPClassifier(**FAST)).fit(X, IS_HIGH)
    with pytest.raises(RuntimeError, match="need target_opset=13 or newer, got 12"):
        skl2onnx.to_onnx(model, X[:1], target_opset=12)
    with pytest.raises(ValueError, match="outputs must be among 'predict', 'predict_proba'"):
        converted(model, outputs=["transform"])
    with pytest.raises(ValueError, match="coverage must be None unless 'predict_interval' is among the outputs"):
        converted(model, coverage=0.8)
    with pytest.raises(ValueError, match="Unexpected value"):
        converted(model, zipmap=3)
    with pytest.raises(ValueError, match="MLPClassifier was fitted to 4 columns, and its inputs have 3"):
        skl2onnx.to_onnx(model[-1], X[:1, :3])
    table = TabularMLPRegressor(**SMALL).fit(FRAME, X[:, 0])
    with pytest.raises(TypeError, match="column 'town' held text in fit, and is declared as numbers"):
        skl2onnx.to_onnx(table, FRAME.assign(town=1.0)[:1])
