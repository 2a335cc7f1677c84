"""`quantize` of estimators: the predictions of every kind of model, the checks of X, pickles, and what is refused."""

import copy
import pickle
import warnings

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone, is_classifier, is_regressor
from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.validation import check_is_fitted

import fastbp
from fastbp import (
    MLPClassifier,
    MLPEncoder,
    MLPRegressor,
    Network,
    TabularMLPRegressor,
    from_sklearn,
    quantize,
)
from fastbp.layers import BatchNorm, Dense, RobustScale
from fastbp.quantization import QuantizedMLPClassifier, QuantizedMLPRegressor, QuantizedNetwork

X, LABELS = load_digits(return_X_y=True)
X /= 16
TRAIN, TEST = slice(0, 1200), slice(1200, None)
PARAMS = dict(hidden_layer_sizes=(48, 32), max_iter=25, random_state=0)


def fitted(cls, y, **params):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return cls(**PARAMS | params).fit(X[TRAIN], y[TRAIN])


@pytest.fixture(scope="module")
def model():
    return fitted(MLPClassifier, LABELS)


@pytest.fixture(scope="module")
def quantized(model):
    return quantize(model)


@pytest.mark.parametrize("dtype", [None, "float32"])
@pytest.mark.parametrize("seed", range(3))
def test_the_accuracy_on_digits(seed, dtype):
    model = fitted(MLPClassifier, LABELS, random_state=seed, dtype=dtype, hidden_layer_sizes=(512, 256), max_iter=8)
    difference = quantize(model).score(X[TEST], LABELS[TEST]) - model.score(X[TEST], LABELS[TEST])
    assert abs(difference) < 2.5 / len(LABELS[TEST])  # two of 597 rows


FORMS = {
    "numbers": LABELS,
    "text": np.array(list("abcdefghij"))[LABELS],
    "two classes": LABELS % 2,
    "indicators": np.c_[LABELS % 2, LABELS > 4, LABELS % 3 == 0].astype(int),
    "sparse indicators": sp.csr_array(np.c_[LABELS % 2, LABELS > 4].astype(int)),
    "columns": np.c_[LABELS % 3, LABELS // 2],
    "probabilities": np.eye(10)[LABELS] * 0.9 + 0.01,
}


def as_list(arrays):
    """Of columns of labels there is a list of arrays, else one array."""
    return arrays if isinstance(arrays, list) else [arrays]


@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_targets(form):
    y = FORMS[form]
    model = fitted(MLPClassifier, y)
    quantized = quantize(model)
    ours, theirs, logs = (
        as_list(p) for p in (quantized.predict_proba(X), model.predict_proba(X), quantized.predict_log_proba(X))
    )
    for found, expected, log in zip(ours, theirs, logs, strict=True):
        assert (found.dtype, log.dtype) == (np.float32, np.float32)
        # the error of a raw output is some hundredths
        assert_allclose(found, expected, atol=0.05)
        assert_allclose(np.exp(log), found, rtol=1e-4, atol=1e-6)
    for found, expected in zip(as_list(quantized.classes_), as_list(model.classes_), strict=True):
        assert_array_equal(found, expected)
    found, expected = quantized.predict(X[TEST]), model.predict(X[TEST])
    assert (type(found), found.dtype) == (type(expected), expected.dtype)
    if sp.issparse(found):
        found, expected = found.toarray(), expected.toarray()
    assert (found == expected).mean() > 0.98
    assert abs(quantized.score(X[TEST], y[TEST]) - model.score(X[TEST], y[TEST])) < 0.01


LOSSES = {
    "squared_error": {},
    "two targets": {},
    "gaussian": dict(loss="gaussian"),
    "quantiles": dict(loss="quantile"),
    "poisson": dict(loss="poisson"),
    "function": dict(loss=lambda y, z, weight: (((z - y) ** 2).sum(axis=1), 2 * (z - y))),
}


@pytest.mark.parametrize("loss", LOSSES)
def test_every_regression(loss):
    y = np.c_[LABELS, LABELS % 2].astype(float) if loss == "two targets" else LABELS / 3
    model = fitted(MLPRegressor, y, **LOSSES[loss])
    quantized = quantize(model)
    found, expected = quantized.predict(X[TEST]), model.predict(X[TEST])
    assert (found.shape, found.dtype) == (expected.shape, np.float32)
    assert_allclose(found, expected, atol=0.03 * np.abs(expected).max())
    assert quantized.score(X[TEST], y[TEST]) == pytest.approx(model.score(X[TEST], y[TEST]), abs=0.01)
    if loss == "gaussian":
        for ours, theirs in zip(
            quantized.predict(X[TEST], return_std=True), model.predict(X[TEST], return_std=True), strict=True
        ):
            assert_allclose(ours, theirs, atol=0.05)
    else:
        with pytest.raises(ValueError, match="return_std=True needs a model that was fitted with loss='gaussian'"):
            quantized.predict(X[TEST], return_std=True)


def test_layers_and_batch_normalization():
    layers = [RobustScale(), Dense(64), BatchNorm(), Dense(32, "relu")]
    model = fitted(MLPClassifier, LABELS, layers=layers, hidden_layer_sizes=(100,))
    quantized, rows = quantize(model), X[TEST].copy()
    rows[0, 3] = np.nan
    assert_allclose(quantized.predict_proba(rows), model.predict_proba(rows), atol=0.05)
    tags = quantized.__sklearn_tags__()
    assert (tags.input_tags.allow_nan, tags.input_tags.sparse) == (True, False)


def test_what_was_assigned_after_fit_counts(model):
    other = copy.deepcopy(model)
    other.coefs_[0] = other.coefs_[0] * 0
    assert np.ptp(quantize(other).predict_proba(X[TEST]), axis=0).max() == 0


def test_sparse_rows_give_the_predictions_of_dense_ones(quantized):
    assert quantized.__sklearn_tags__().input_tags.sparse
    for make in (sp.csr_array, sp.csc_matrix):
        assert_array_equal(quantized.predict_proba(make(X[TEST])), quantized.predict_proba(X[TEST]))


def test_names_of_columns():
    frame = pd.DataFrame(X, columns=[f"pixel {i}" for i in range(64)])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model = MLPClassifier(**PARAMS).fit(frame, LABELS)
    quantized = quantize(model)
    assert_array_equal(quantized.feature_names_in_, model.feature_names_in_)
    assert_array_equal(quantized.predict(frame), quantized.network_.forward(X).argmax(axis=1))
    with pytest.raises(ValueError, match="feature names should match"):
        quantized.predict(frame[frame.columns[::-1]])
    with pytest.warns(UserWarning, match="X does not have valid feature names, but QuantizedMLPClassifier was fitted"):
        quantized.predict(X)


@pytest.mark.parametrize(
    ("rows", "error", "message"),
    [
        (np.full((2, 64), np.nan), ValueError, "(?s)Input X contains NaN.*QuantizedMLPClassifier does not accept"),
        (np.full((2, 64), np.inf), ValueError, "infinity"),
        (np.full((2, 64), 1e300), ValueError, "X holds values too large for float32"),
        (np.full((2, 64), 3e38), ValueError, "X holds values so large that sums in float32 overflow"),
        (np.zeros((2, 5)), ValueError, "X has 5 features, but QuantizedMLPClassifier is expecting 64"),
        (np.zeros(64), ValueError, "Expected 2D array"),
        (np.empty((0, 64)), ValueError, "0 sample"),
        ([["a"] * 64], (TypeError, ValueError), "X must hold|could not convert"),
    ],
)
def test_the_checks_of_X_are_those_of_the_estimator(rows, error, message, quantized):
    with pytest.raises(error, match=message):
        quantized.predict_proba(rows)


def test_a_regression_warns_of_overflow():
    quantized = quantize(fitted(MLPRegressor, LABELS / 3))
    with pytest.warns(RuntimeWarning, match="not finite: X holds values so large that sums in float32 overflow"):
        quantized.predict(np.full((2, 64), 3e38))


def test_it_is_a_fitted_estimator(model, quantized):
    check_is_fitted(quantized)
    assert is_classifier(quantized)
    assert is_regressor(quantize(fitted(MLPRegressor, LABELS / 3)))
    assert clone(quantized) is quantized
    assert quantized.get_params() == {}
    for name in ("n_features_in_", "n_layers_", "n_outputs_", "out_activation_"):
        assert getattr(quantized, name) == getattr(model, name)
    assert repr(quantized).startswith("<QuantizedMLPClassifier of <QuantizedNetwork 64-48-32-10, 8 bits in W_1, W_2")
    assert isinstance(quantized.network_, QuantizedNetwork)


def test_it_cannot_be_fitted(quantized):
    with pytest.raises(TypeError, match="a QuantizedMLPClassifier cannot be fitted: fit a MLPClassifier, and give it"):
        quantized.fit(X, LABELS)
    assert not hasattr(quantized, "partial_fit")


def test_in_a_pipeline():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        pipeline = make_pipeline(StandardScaler(), MLPClassifier(**PARAMS)).fit(X[TRAIN], LABELS[TRAIN])
    before = pipeline.score(X[TEST], LABELS[TEST])
    pipeline.steps[-1] = ("mlpclassifier", quantize(pipeline[-1]))
    assert pipeline.score(X[TEST], LABELS[TEST]) == pytest.approx(before, abs=0.01)
    assert_array_equal(pipeline.predict(X[TEST]), pipeline.predict_proba(X[TEST]).argmax(axis=1))


def test_pickles(model, quantized):
    content = pickle.dumps(quantized)
    assert len(content) < quantized.network_.nbytes + 3000
    assert len(content) < len(pickle.dumps(fastbp.slim(model))) / 4
    for other in (pickle.loads(content), copy.deepcopy(quantized)):
        assert_array_equal(other.predict_log_proba(X), quantized.predict_log_proba(X))
        assert_array_equal(other.classes_, quantized.classes_)


def test_training_goes_on_without_a_change_of_the_quantized_one():
    model = fitted(MLPClassifier, LABELS)
    quantized = quantize(model)
    expected = quantized.predict_proba(X)
    model.partial_fit(X, LABELS)
    assert_array_equal(quantized.predict_proba(X), expected)


def test_a_model_of_scikit_learn():
    from sklearn.neural_network import MLPClassifier as Theirs

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        theirs = Theirs((32,), max_iter=5, random_state=0).fit(X, LABELS)
    assert_allclose(quantize(from_sklearn(theirs)).predict_proba(X), theirs.predict_proba(X), atol=0.03)


class Own(MLPClassifier):
    """A subclass."""


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: 3, r"or a Network, got int\. Of a pipeline or a search, quantize the perceptron in it"),
        (lambda: make_pipeline(MLPClassifier()), "got Pipeline. Of a pipeline or a search"),
        (lambda: GridSearchCV(MLPClassifier(), {}), "got GridSearchCV. Of a pipeline or a search"),
        (lambda: MLPEncoder(), r"got MLPEncoder. Quantize its networks: fastbp.quantize\(estimator.encoder_\)"),
        (lambda: TabularMLPRegressor(), "got TabularMLPRegressor. It stays in float32"),
        (lambda: Own(), "got Own. An estimator of a subclass may predict in its own way: quantize its network_"),
        (lambda: MLPClassifier, "got type"),
        (lambda: quantize(Network([20, 20])), "got QuantizedNetwork"),
    ],
)
def test_what_is_refused(make, message):
    with pytest.raises(TypeError, match=message):
        quantize(make())


@pytest.mark.parametrize("cls", [MLPClassifier, MLPRegressor])
def test_an_estimator_that_is_not_fitted(cls):
    with pytest.raises(NotFittedError):
        quantize(cls())


def test_the_classes_take_their_estimators_only():
    with pytest.raises(TypeError, match="estimator must be a fitted MLPClassifier of fastbp, got MLPRegressor"):
        QuantizedMLPClassifier(MLPRegressor())
    with pytest.raises(TypeError, match="estimator must be a fitted MLPRegressor of fastbp, got int"):
        QuantizedMLPRegressor(3)


def test_weights_that_are_not_finite():
    model = fitted(MLPClassifier, LABELS)
    model.coefs_[1][0, 0] = np.nan
    with pytest.raises(ValueError, match="parameters that are not finite in float32"):
        quantize(model)
