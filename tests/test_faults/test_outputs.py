"""Predictions are finite, or give an error or a warning; models with one class."""

import numpy as np
import pytest
import scipy.sparse as sp
from numpy.testing import assert_allclose, assert_array_equal
from scipy.special import log_expit, log_softmax
from sklearn.exceptions import ConvergenceWarning

from fastbp import MLPClassifier, MLPRegressor
from fault_cases import SMALL, make_data

ignore_max_iter = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
ignore_constant_score = pytest.mark.filterwarnings("ignore:The score of the held-out rows:RuntimeWarning")
ignore_overflow = pytest.mark.filterwarnings("ignore:overflow:RuntimeWarning")

TARGETS = {
    "binary": lambda y: y > 0,
    "multiclass": lambda y: y,
    "multilabel": lambda y: np.c_[y == 0, y > 0, y > 1].astype(int),
}


def classifier(target, dtype=np.float64):
    X, y = make_data()
    return MLPClassifier(**SMALL | dict(max_iter=1, batch_size=50, activation="identity")).partial_fit(
        X.astype(dtype),
        TARGETS[target](y),
        classes=np.unique(TARGETS[target](y)) if target != "multilabel" else range(3),
    )


# Log-probabilities


@pytest.mark.fault(54)
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("target", TARGETS)
def test_log_probabilities_of_far_out_rows(target, dtype):
    model = classifier(target, dtype)
    X = (make_data()[0] * 1e6).astype(dtype)
    raw = model.network_.raw_prediction(X).astype(float)
    if target == "multiclass":
        expected = log_softmax(raw, axis=1)
    else:
        expected = np.hstack([log_expit(-raw), log_expit(raw)]) if target == "binary" else log_expit(raw)
    result = model.predict_log_proba(X)
    assert (model.predict_proba(X) == 0).any()
    assert np.isfinite(result).all()
    assert result.dtype == dtype
    assert_allclose(result, expected, rtol=20 * np.finfo(dtype).eps, atol=np.finfo(dtype).eps)
    assert_allclose(model.predict_log_proba(sp.csr_array(X)), result, rtol=20 * np.finfo(dtype).eps, atol=1e-6)


@pytest.mark.parametrize("target", TARGETS)
def test_log_probabilities_use_assigned_weights(target):
    model = classifier(target)
    X = make_data()[0]
    model.predict_log_proba(X)
    model.coefs_[0] *= 2
    assert_allclose(model.predict_log_proba(X), np.log(model.predict_proba(X)), rtol=1e-12)
    model.coefs_[0] = model.coefs_[0] / 4
    assert_allclose(model.predict_log_proba(X), np.log(model.predict_proba(X)), rtol=1e-12)


# Outputs that are not finite

BREAK = {
    "nan": ("coefs_", np.nan, r"coefs_\[0\] holds nan.*Assign finite weights"),
    "inf": ("intercepts_", np.inf, r"intercepts_\[0\] holds inf.*Assign finite weights"),
}
METHODS = ("predict", "predict_proba", "predict_log_proba")


@pytest.mark.fault(54)
@pytest.mark.parametrize("rows", [1, 50])
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("how", BREAK)
def test_a_classifier_whose_weights_are_not_finite(target, how, method, rows):
    name, value, message = BREAK[how]
    X = make_data()[0][:rows] + 0.5
    model = classifier(target)
    getattr(model, name)[0][..., 0] = value
    model.coefs_[1][:] = 1.0
    model.coefs_[-1][:] = [[1.0], [-1.0], [1.0], [-1.0]]
    with pytest.raises(ValueError, match=f"not a number: {message}"):
        getattr(model, method)(X)


@pytest.mark.fault(54)
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_a_classifier_whose_sums_overflow(method, dtype):
    model = classifier("multiclass", dtype)
    X = np.full((3, 6), np.finfo(dtype).max / 2, dtype)
    model.coefs_[0][:] = 1
    model.coefs_[1][:] = 1
    with pytest.raises(
        ValueError, match=rf"not a number: X holds values so large that sums in {np.dtype(dtype)} overflow"
    ):
        getattr(model, method)(X)


def test_an_infinite_raw_prediction_of_a_certain_class_is_fine():
    model = classifier("binary")
    model.coefs_[0][:], model.coefs_[1][:], model.coefs_[2][:] = 1, 1, 1
    X = np.array([[1.0], [-1.0]]) * np.full(6, 1e308)
    assert_array_equal(model.predict_proba(X), [[0, 1], [1, 0]])
    assert_array_equal(model.predict(X), [True, False])
    assert_array_equal(model.predict_log_proba(X), [[-np.inf, 0], [0, -np.inf]])


@pytest.mark.fault(54)
@pytest.mark.parametrize("rows", [1, 50])
def test_a_regressor_warns(rows):
    X, y = make_data()
    model = MLPRegressor(**SMALL | dict(activation="identity")).partial_fit(X, y)
    with pytest.warns(
        RuntimeWarning, match="not finite: X holds values so large that sums in float64 overflow"
    ) as caught:
        output = model.predict(np.full((rows, 6), 1e308))
    assert caught[0].filename == __file__
    assert not np.isfinite(output).any()
    model.coefs_[0][0, 0] = np.nan
    with pytest.warns(RuntimeWarning, match=r"not finite: coefs_\[0\] holds nan"):
        assert np.isnan(model.predict(X[:rows])).all()


# One class only


@pytest.mark.fault(6)
@ignore_max_iter
@ignore_constant_score
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("label", ["only", 7, True])
@pytest.mark.parametrize("early_stopping", [False, True])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("solver", ["sgd", "adam", "lbfgs"])
def test_one_class(solver, weighted, early_stopping, label, dtype):
    X = make_data()[0].astype(dtype)
    y = np.full(len(X), label)
    weight = np.arange(1.0, 51) if weighted else None
    model = MLPClassifier(**SMALL, solver=solver, early_stopping=early_stopping).fit(X, y, weight)
    models = [model]
    if solver != "lbfgs" and not early_stopping:
        models.append(MLPClassifier(**SMALL, solver=solver).partial_fit(X, y, weight, classes=[label]))
    for model in models:
        assert_array_equal(model.classes_, [label])
        assert_array_equal(model.predict(X), y)
        assert_array_equal(model.predict_proba(X), np.ones((50, 1)))
        assert_array_equal(model.predict_log_proba(X), np.zeros((50, 1)))
        assert model.predict_proba(X).dtype == model.predict_log_proba(X).dtype == dtype
        assert model.score(X, y) == 1


# Labels after indicators, indicators after labels


@pytest.mark.fault(53)
@ignore_max_iter
@pytest.mark.parametrize("first", ["multiclass", "binary", "multilabel"])
def test_another_form_of_targets(first):
    X, y = make_data()
    model = classifier(first).set_params(warm_start=True)
    before = [w.copy() for w in model.coefs_]
    others = ["multilabel"] if first != "multilabel" else ["multiclass", "binary"]
    forms = ("indicators of several labels", "one label for each row")[:: -1 if first == "multilabel" else 1]
    for other in others:
        came = TARGETS[other](y)
        for call in (model.fit, model.partial_fit, model._network_and_data):
            with pytest.raises(ValueError, match=f"y holds {forms[0]}.*learned from {forms[1]}"):
                call(X, came)
    assert_array_equal(model.partial_fit(X[::-1], TARGETS[first](y)[::-1]).classes_, model.classes_)
    assert any((a != b).any() for a, b in zip(before, model.coefs_, strict=True))


@pytest.mark.parametrize("classes", [[[0, 1, 2]], [[0], [1], [2]], np.zeros((2, 2, 2))])
def test_classes_of_another_shape(classes):
    X, y = make_data()
    with pytest.raises(ValueError, match=r"classes must have shape \(n_classes,\), got \("):
        MLPClassifier(**SMALL).partial_fit(X, y, classes=classes)


def test_classes_that_are_not_the_columns():
    X, y = make_data()
    with pytest.raises(
        ValueError, match=r"indicators of 3 labels, classes must be .* numpy.arange\(3\); got \[0, 1, 2, 3\]"
    ):
        MLPClassifier(**SMALL).partial_fit(X, TARGETS["multilabel"](y), classes=[0, 1, 2, 3])


# Weights before any fit


@pytest.mark.parametrize("Estimator", [MLPClassifier, MLPRegressor])
def test_weights_assigned_before_any_fit(Estimator):
    X, y = make_data()
    model = Estimator(**SMALL, warm_start=True)
    model.coefs_ = [np.ones((6, 1))]
    model.intercepts_ = [np.ones(1)]
    message = r"assigned to this MLP.* before any fit: n_features_in_ is not known.*fit first.*fastbp\.Network"
    first = {"classes": [0, 1, 2]} if Estimator is MLPClassifier else {}
    for call in (
        lambda: model.fit(X, y),
        lambda: model.partial_fit(X, y, **first),
        lambda: model.predict(X),
        lambda: model.network_,
    ):
        with pytest.raises(ValueError, match=message):
            call()


@pytest.mark.parametrize("Estimator", [MLPClassifier, MLPRegressor])
@pytest.mark.parametrize("name", ["coef_init", "intercept_init", "epochs"])
def test_unknown_arguments_of_fit(Estimator, name):
    way_out = r"\. To begin with weights of your own, fit first" if name != "epochs" else "$"
    with pytest.raises(TypeError, match=rf"MLP\w+\.fit\(\) got an unexpected keyword argument '{name}'{way_out}"):
        Estimator().fit(*make_data(), **{name: 1})


@ignore_max_iter
def test_the_way_that_the_message_names():
    X, y = make_data()
    model = MLPRegressor(**SMALL | dict(max_iter=1), warm_start=True, solver="lbfgs").fit(X, y)
    model.coefs_ = [np.full_like(W, 0.1) for W in model.coefs_]
    model.intercepts_ = [np.zeros_like(b) for b in model.intercepts_]
    start = model.network_.copy()
    losses = []

    class Look:
        def on_fit_begin(self, state):
            losses.append(abs(state.network.params - start.params).max())

    model.set_params(callbacks=Look()).fit(X, y)
    assert losses == [0.0]


# A batch size that is clipped


@pytest.mark.fault(16)
@pytest.mark.parametrize("Estimator", [MLPClassifier, MLPRegressor])
def test_partial_fit_warns_once_of_a_clipped_batch(Estimator):
    X, y = make_data()
    model = Estimator(**SMALL | dict(batch_size=60))
    first = {"classes": [0, 1, 2]} if Estimator is MLPClassifier else {}
    with pytest.warns(UserWarning, match="clipped: batch_size=60, sample size 50"):
        model.partial_fit(X, y, **first)
    for rows in (50, 40, 50):
        model.partial_fit(X[:rows], y[:rows])
    with pytest.warns(UserWarning, match="clipped: batch_size=70, sample size 50"):
        model.set_params(batch_size=70).partial_fit(X, y)
    model.set_params(max_iter=1)
    for _ in range(2):
        with (
            pytest.warns(UserWarning, match="clipped: batch_size=70, sample size 50"),
            pytest.warns(ConvergenceWarning),
        ):
            model.fit(X, y)
