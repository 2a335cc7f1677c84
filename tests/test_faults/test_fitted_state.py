"""Classes and weights that do not fit the fitted model raise an error and leave the model unchanged."""

import copy
import pickle

import numpy as np
import pandas as pd
import pytest
from joblib import Parallel, delayed
from numpy.testing import assert_array_equal

from fastbp import MLPClassifier, MLPRegressor, slim
from fault_cases import SMALL, both_estimators, make_data, output
from running_threads import count_threads, wait_for_threads

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


# Classes


@pytest.mark.fault(37)
@pytest.mark.parametrize(
    ("classes", "message"),
    [
        ([0, 1, 2, np.nan], "NaN"),
        ([], "0 samples|empty"),
        (["0", "1", "2"], r"classes not in `self.classes_`"),
        ([0, "1", 2], "(?i)mix"),
        ([0, 1], r"classes not in `self.classes_`"),
        ([0.5, 1.25, 2], "(?i)label|classes"),
    ],
    ids=["nan", "none", "strings", "mixed", "too few", "continuous"],
)
@pytest.mark.filterwarnings("ignore:invalid value encountered in cast:RuntimeWarning")
def test_classes_of_the_first_partial_fit(classes, message):
    X, y = make_data()
    model = MLPClassifier(**SMALL)
    with pytest.raises(ValueError, match=message):
        model.partial_fit(X, y, classes=classes)
    assert not hasattr(model, "coefs_")


@pytest.mark.parametrize("classes", [[2, 1, 0], [0, 1, 2, 2, 0]])
def test_order_and_repetition_of_classes_do_not_count(classes):
    X, y = make_data()
    model = MLPClassifier(**SMALL).partial_fit(X, y, classes=classes)
    plain = MLPClassifier(**SMALL).partial_fit(X, y, classes=[0, 1, 2])
    assert_array_equal(model.classes_, [0, 1, 2])
    assert_array_equal(output(model, X), output(plain, X))


@pytest.mark.fault(37)
@pytest.mark.parametrize("start", ["fit", "partial_fit"])
@pytest.mark.parametrize(
    "call",
    [
        lambda model, X, y: model.partial_fit(X, y, classes=[1, 2, 3, 4]),
        lambda model, X, y: model.partial_fit(X, y, classes=[0, 1]),
        lambda model, X, y: model.partial_fit(X, y.astype(str)),
        lambda model, X, y: model.partial_fit(X, y + 1),
        lambda model, X, y: model.partial_fit(X[:, :5], y),
    ],
    ids=["another class", "a class less", "strings", "other numbers", "other width"],
)
def test_a_refused_partial_fit_leaves_the_weights(start, call):
    X, y = make_data()
    model = MLPClassifier(**SMALL)
    model = model.fit(X, y) if start == "fit" else model.partial_fit(X, y, classes=[0, 1, 2])
    before = output(model, X)
    with pytest.raises(ValueError, match=r"classes|features"):
        call(model, X, y)
    assert_array_equal(output(model, X), before)
    assert_array_equal(model.classes_, [0, 1, 2])


def test_one_of_the_classes_in_partial_fit():
    X, y = make_data()
    model = MLPClassifier(**SMALL | dict(batch_size=3)).fit(X, y).partial_fit(X[:3], [1, 1, 1])
    assert_array_equal(model.classes_, [0, 1, 2])
    assert output(model, X).shape == (len(X), 3)


# Columns


@pytest.mark.fault(8)
@both_estimators
@pytest.mark.parametrize("method", ["predict", "partial_fit", "score"])
def test_columns_renamed_or_in_another_order(Estimator, method):
    X, y = make_data()
    frame = pd.DataFrame(X, columns=list("abcdef"))
    model = Estimator(**SMALL).fit(frame, y)
    before = output(model, frame)
    targets = () if method == "predict" else (y,)
    for other in (frame[list("fedcba")], frame.rename(columns={"a": "z"}), frame.drop(columns="a")):
        with pytest.raises(ValueError, match="feature names"):
            getattr(model, method)(other, *targets)
    assert_array_equal(output(model, frame), before)


# Assigned weights


@pytest.mark.fault(41)
@pytest.mark.parametrize(
    ("layer", "value", "message"),
    [
        (0, np.ones((3, 3)), r"coefs_\[0\] must have shape"),
        (0, 5.0, r"coefs_\[0\] must have shape"),
        (0, np.full((6, 6), 1j), "must hold real numbers"),
        (0, np.full((6, 6), "a"), "must hold real numbers"),
        (0, np.full((6, 6), None), "must hold real numbers"),
        (slice(None), [], "must hold 3 arrays"),
        (slice(2), [], "must hold 3 arrays"),
        (slice(3, 3), [np.ones((3, 3))], "must hold 3 arrays"),
    ],
    ids=["shape", "number", "complex", "strings", "objects", "none", "too few", "too many"],
)
@pytest.mark.parametrize("method", ["predict", "partial_fit"])
def test_weights_of_another_kind(layer, value, message, method):
    X, y = make_data()
    model = MLPClassifier(**SMALL).fit(X, y)
    good, before = list(model.coefs_), output(model, X)
    model.coefs_[layer] = value
    with pytest.raises((TypeError, ValueError), match=message):
        getattr(model, method)(X, *([y] if method == "partial_fit" else []))
    model.coefs_ = good
    assert_array_equal(output(model, X), before)


@pytest.mark.fault(41)
@pytest.mark.parametrize(
    "change",
    [np.ndarray.tolist, np.asfortranarray, lambda a: a.astype(">f8"), lambda a: a.astype(object).astype(float)],
    ids=["lists", "fortran", "big-endian", "copies"],
)
def test_weights_in_another_layout(change):
    X, y = make_data()
    model = MLPClassifier(**SMALL).fit(X, y)
    other = pickle.loads(pickle.dumps(model))
    other.coefs_ = tuple(change(W) for W in other.coefs_)
    assert_array_equal(output(other, X), output(model, X))
    assert_array_equal(output(other.partial_fit(X, y), X), output(model.partial_fit(X, y), X))


# Exceptions and processes


class Failing:
    def on_epoch_end(self, state):
        raise ZeroDivisionError("mine")


@pytest.mark.fault(21)
@both_estimators
@pytest.mark.parametrize("solver", ["adam", "sgd", "lbfgs"])
def test_a_fit_after_a_callback_that_raised(Estimator, solver):
    X, y = make_data()
    model, before = Estimator(**SMALL, solver=solver, callbacks=Failing(), n_threads=2), count_threads()
    with pytest.raises(ZeroDivisionError, match="mine"):
        model.fit(X, y)
    assert wait_for_threads(before) <= before
    model.set_params(callbacks=None).fit(X, y)
    assert_array_equal(output(model, X), output(Estimator(**SMALL, solver=solver).fit(X, y), X))


def fitted_there(estimator, X, y):
    return output(estimator.fit(X, y), X)


@pytest.mark.fault(23)
def test_loky():
    X, y = make_data()
    models = [Estimator(**SMALL).fit(X, y) for Estimator in (MLPClassifier, MLPRegressor)]
    with Parallel(2, backend="loky") as pool:
        there = pool(delayed(output)(model, X) for model in models)
        fits = pool(delayed(fitted_there)(model, X, y) for model in models)
    for model, prediction, refitted in zip(models, there, fits, strict=True):
        assert_array_equal(prediction, output(model, X))
        assert_array_equal(refitted, output(model, X))


@pytest.mark.fault(41)
@both_estimators
@pytest.mark.parametrize("name", ["coefs_", "intercepts_"])
def test_assigned_weights_that_are_no_list(Estimator, name):
    X, y = make_data()
    model = Estimator(**SMALL).fit(X, y)
    setattr(model, name, None)
    for call in (model.predict, lambda X: model.partial_fit(X, y)):
        with pytest.raises(TypeError, match=f"{name} must be a list of arrays, got NoneType"):
            call(X)


def test_weights_assigned_before_any_fit_survive_copies():
    model = MLPRegressor()
    model.coefs_, model.intercepts_ = [np.ones((4, 3)), np.ones((3, 1))], [np.ones(3), np.ones(1)]
    for other in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        assert_array_equal(other.coefs_[0], model.coefs_[0])
        with pytest.raises(ValueError, match="before any fit"):
            other.predict(np.ones((2, 4)))
    with pytest.raises(ValueError, match="before any fit"):
        slim(model)
