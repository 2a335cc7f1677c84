"""`to_onnx`: arguments, the file, the version of the operators, and what is refused."""

import sys

import numpy as np
import pytest
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from fastbp import MLPClassifier, MLPEncoder, MLPRegressor, Network, TabularMLPRegressor, to_onnx
from fastbp.export import register_skl2onnx
from fastbp.export.description import DESCRIPTIONS
from fastbp.export.onnx import file
from fastbp.files.model_file import CLASSES
from fastbp.layers import LayerNorm, Scale
from fastbp.quantization import QuantizedMLPClassifier, QuantizedMLPRegressor, QuantizedNetwork
from onnx_cases import assert_agrees, run

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

RNG = np.random.default_rng(0)
X = RNG.normal(size=(60, 3))
FAST = dict(hidden_layer_sizes=(8,), max_iter=500, tol=0.01, random_state=0)


@pytest.fixture(scope="module")
def model():
    return MLPRegressor(**FAST).fit(X, X[:, 0])


def test_what_can_be_saved_can_be_exported():
    # of a quantized model, the model that it was made of
    quantized = {QuantizedMLPClassifier, QuantizedMLPRegressor, QuantizedNetwork}
    assert set(DESCRIPTIONS) == set(CLASSES) - quantized


def test_file(model, tmp_path):
    path = tmp_path / "model.onnx"
    path.write_bytes(b"old")
    returned = to_onnx(model, path)
    loaded = onnx.load(path)
    assert loaded == returned
    assert list(tmp_path.iterdir()) == [path]
    np.testing.assert_allclose(run(loaded, X)["variable"][:, 0], model.predict(X), atol=1e-12)
    assert (loaded.producer_name, loaded.graph.name) == ("fastbp", "MLPRegressor")


def test_versions(model):
    exported = to_onnx(model)
    assert [(opset.domain, opset.version) for opset in exported.opset_import] == [("", 13)]
    assert exported.ir_version == 7
    onnx.checker.check_model(exported, full_check=True)
    # newer operators have the same form: nothing in it has changed since
    newest = onnx.version_converter.convert_version(exported, 21)
    np.testing.assert_allclose(run(newest, X)["variable"], run(exported, X)["variable"], atol=1e-13)


def test_predictions_follow_what_the_user_assigns(model):
    other = MLPRegressor(**FAST).fit(X, X[:, 0])
    other.coefs_ = [2 * W for W in other.coefs_]
    other.set_params(activation="tanh")
    assert_agrees(other, X, methods=("predict",))
    assert not np.allclose(other.predict(X), model.predict(X))


def test_a_model_is_a_copy(model):
    other = MLPRegressor(**FAST).fit(X, X[:, 0])
    before = other.predict(X)
    exported = to_onnx(other)
    other.coefs_[0][...] = 0
    np.testing.assert_allclose(run(exported, X)["variable"][:, 0], before, atol=1e-12)


@pytest.mark.parametrize("given", ["float32", "float64"])
@pytest.mark.parametrize("own", [None, "float32", "float64"])
@pytest.mark.parametrize("fitted", ["float32", "float64"])
def test_dtypes_of_input_parameter_and_fit(fitted, own, given):
    """The arithmetic is in the dtype of predictions for an X of the given dtype."""
    model = MLPRegressor(**FAST, dtype=own).fit(X.astype(fitted), X[:, 0])
    found = assert_agrees(model, X.astype(given), methods=("predict",), dtype=given)
    assert found["variable"].dtype == model.predict(X.astype(given)).dtype


def test_the_dtype_is_that_of_the_weights(model):
    single = MLPRegressor(**FAST).fit(X.astype("float32"), X[:, 0])
    assert_agrees(single, X.astype("float32"), methods=("predict",))
    assert_agrees(model, X.astype("float32"), methods=("predict",), dtype=np.float32)


def test_a_dtype_that_was_set_after_fit(model):
    other = MLPRegressor(**FAST).fit(X, X[:, 0]).set_params(dtype="float32")
    for dtype in ("float32", "float64"):
        assert_agrees(other, X.astype(dtype), methods=("predict",), dtype=dtype)


def test_outputs_come_in_the_order_that_is_asked_for():
    classifier = MLPClassifier(**FAST).fit(X, X[:, 0] > 0)
    names = [output.name for output in to_onnx(classifier, outputs=["predict_proba", "predict"]).graph.output]
    assert names == ["probabilities", "label"]
    assert [output.name for output in to_onnx(classifier).graph.output] == ["label", "probabilities"]
    assert [output.name for output in to_onnx(classifier, outputs="predict_log_proba").graph.output] == [
        "log_probabilities"
    ]


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        (
            {"outputs": ["predict_proba"]},
            ValueError,
            "outputs must be among 'predict' for this estimator, got 'predict_p",
        ),
        ({"outputs": []}, ValueError, r"one or several different methods, got \[\]"),
        ({"outputs": ["predict", "predict"]}, ValueError, "one or several different methods"),
        ({"outputs": 3}, TypeError, "outputs must be a list of methods or None, got 3"),
        ({"dtype": "float16"}, ValueError, "dtype must be 'float32', 'float64' or None, got 'float16'"),
        ({"dtype": "numbers"}, ValueError, "dtype must be 'float32', 'float64' or None, got 'numbers'"),
        ({"path": 3}, TypeError, "path must be a str, a path or None, got int"),
        ({"missing_text": None}, TypeError, "missing_text must be a str, got None"),
    ],
)
def test_arguments(model, options, error, message):
    with pytest.raises(error, match=message):
        to_onnx(model, **options)


@pytest.mark.parametrize("coverage", [0, 1, "0.9", True])
def test_coverage(coverage):
    model = TabularMLPRegressor(n_ensemble=1, epochs=2, random_state=0, oob_fraction=0.5).fit(X, X[:, 0])
    with pytest.raises(ValueError, match="coverage must be a number above 0 and below 1"):
        to_onnx(model, outputs=["predict_interval"], coverage=coverage)
    with pytest.raises(ValueError, match="needs at least 999 out-of-bag rows"):
        to_onnx(model, outputs=["predict_interval"], coverage=0.999)


def test_a_coverage_without_intervals(model):
    for outputs in (None, "predict", ["predict"]):
        with pytest.raises(ValueError, match="coverage must be None unless 'predict_interval' is among the outputs"):
            to_onnx(model, outputs=outputs, coverage=0.8)


def test_other_objects(model):
    class Own(MLPRegressor):
        """Its predictions may be others."""

    own = Own(**FAST).fit(X, X[:, 0])
    for other in (own, make_pipeline(StandardScaler(), model), 3):
        with pytest.raises(TypeError, match=rf"got {type(other).__name__}\. A pipeline is for skl2onnx\.to_onnx after"):
            to_onnx(other)
    # the last step by itself would be exported without the scaler
    with pytest.raises(TypeError, match=r"fastbp\.to_c if .* pipeline\[-1\] alone lacks the steps in front of it"):
        to_onnx(make_pipeline(StandardScaler(), model))


@pytest.mark.parametrize("estimator", [MLPClassifier(), MLPRegressor(), MLPEncoder(), TabularMLPRegressor()])
def test_not_fitted(estimator):
    with pytest.raises(NotFittedError):
        to_onnx(estimator)


def test_nothing_is_written_where_an_export_fails(model, tmp_path):
    path = tmp_path / "model.onnx"
    with pytest.raises(ValueError, match="outputs must be"):
        to_onnx(model, path, outputs=["transform"])
    assert list(tmp_path.iterdir()) == []


def test_models_that_no_file_can_hold(monkeypatch, model):
    monkeypatch.setattr(file, "LARGEST_MODEL", 100)
    with pytest.raises(ValueError, match=r"\d+ bytes of parameters, and a file of ONNX holds 100"):
        to_onnx(model)


def test_a_network_without_fully_connected_layers():
    network = Network(layers=[LayerNorm(), Scale(2.0)], n_features=3, dtype="float32")
    assert_agrees(network, X.astype("float32"), methods=("forward",))


@pytest.mark.parametrize(
    ("package", "function"), [("onnx", lambda: to_onnx(Network([1, 1]))), ("skl2onnx", register_skl2onnx)]
)
def test_without_the_packages(package, function, monkeypatch):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ImportError, match=rf"needs the package {package}: pip install 'fastbp\[onnx\]'"):
        function()
