"""What `fit` refuses, every other method refuses too, and the fitted model stays as it was."""

import numpy as np
import pytest
import scipy.sparse as sp
from numpy.testing import assert_array_equal
from sklearn.exceptions import NotFittedError

from fastbp import MLPClassifier, slim
from fault_cases import SMALL, both_estimators, make_data, output

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

METHODS = ("predict", "predict_proba", "predict_log_proba", "score", "partial_fit", "fit")


def methods_of(model, y):
    """The methods of a model that take X, each as a function of X only."""
    for name in METHODS:
        if hasattr(model, name):
            method = getattr(model, name)
            yield (
                name,
                (lambda X, m=method: m(X, y[: np.shape(X)[0]])) if name in ("score", "partial_fit", "fit") else method,
            )


def unchanged(Estimator, refused):
    """Check that `refused(model, X, y)` raises errors only, and leaves the model as it was."""
    X, y = make_data()
    model = Estimator(**SMALL).fit(X, y)
    before = output(model, X)
    refused(model, X, y)
    assert_array_equal(output(model, X), before)
    twin = Estimator(**SMALL).fit(X, y)
    assert_array_equal(output(model.partial_fit(X, y), X), output(twin.partial_fit(X, y), X))


@pytest.mark.fault(1)
@pytest.mark.fault(2)
@both_estimators
@pytest.mark.parametrize("n_rows", [1, 50])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("value", "word"), [(np.nan, "NaN"), (np.inf, "infinity"), (-np.inf, "infinity")])
def test_one_number_in_X_that_is_not_finite(Estimator, n_rows, dtype, value, word):
    def refused(model, X, y):
        bad = X[:n_rows].astype(dtype)
        bad[-1, -1] = value  # the last number of the last row: where a loop over vectors has its tail
        for one in (model, slim(model)):
            for _, method in methods_of(one, y):
                for rows in (bad, bad.tolist(), np.asfortranarray(bad), sp.csr_array(bad)):
                    with pytest.raises(ValueError, match=f"X contains {word}"):
                        method(rows)

    unchanged(Estimator, refused)


@pytest.mark.fault(3)
@both_estimators
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("columns", [0, 2])
@pytest.mark.filterwarnings("ignore:invalid value encountered in cast:RuntimeWarning")  # scikit-learn's score
def test_one_number_in_y_that_is_not_finite(Estimator, value, columns):
    def refused(model, X, y):
        bad = y.astype(float)
        bad[-1] = value
        bad = np.c_[bad, bad] if columns else bad
        for method in (model.fit, model.partial_fit, model.score):
            with pytest.raises(ValueError, match=r"NaN|infinity"):
                method(X, bad)

    unchanged(Estimator, refused)


WEIGHTS = {
    "nan": (np.full(50, np.nan), "sample_weight contains NaN"),
    "inf": (np.r_[np.ones(49), np.inf], "sample_weight contains infinity"),
    "length": (np.ones(49), "sample_weight|inconsistent"),
    "negative": (np.r_[np.ones(49), -1e-300], "(?i)negative.*sample_weight"),
    "zero": (np.zeros(50), "(?i)sample.weight"),
}


@pytest.mark.fault(4)
@both_estimators
@pytest.mark.parametrize("kind", WEIGHTS)
def test_weights_of_samples(Estimator, kind):
    weights, message = WEIGHTS[kind]
    # scikit-learn's scores decide what negative weights mean, and weights of zero
    methods = ("fit", "partial_fit") if kind in ("negative", "zero") else ("fit", "partial_fit", "score")

    def refused(model, X, y):
        for method in methods:
            with pytest.raises(ValueError, match=message):
                getattr(model, method)(X, y, sample_weight=weights)

    unchanged(Estimator, refused)


@pytest.mark.fault(5)
@both_estimators
@pytest.mark.parametrize("container", [np.asarray, sp.csr_array, sp.csc_array])
def test_no_rows(Estimator, container):
    def refused(model, X, y):
        for _, method in methods_of(model, y):
            with pytest.raises(ValueError, match=r"0 sample\(s\)"):
                method(container(X[:0]))

    unchanged(Estimator, refused)
    first = {"classes": [0, 1]} if Estimator is MLPClassifier else {}
    with pytest.raises(ValueError, match=r"0 sample\(s\)"):
        Estimator(**SMALL).partial_fit(container(np.empty((0, 3))), np.empty(0), **first)
    with pytest.raises(ValueError, match=r"0 feature\(s\)"):
        Estimator(**SMALL).fit(container(np.empty((3, 0))), [0, 1, 0])


@pytest.mark.fault(5)
@both_estimators
@pytest.mark.parametrize(
    "params", [{}, dict(solver="sgd"), dict(solver="lbfgs"), dict(normalization="batch"), dict(dropout=0.5)], ids=str
)
@pytest.mark.filterwarnings("ignore:Got `batch_size` less than 1:UserWarning")
def test_one_row(Estimator, params):
    X, y = make_data()
    model = Estimator(**SMALL | params).fit(X[:1], y[:1])
    assert np.isfinite(output(model, X)).all()
    assert np.isfinite(model.loss_)


UNSUITABLE = {
    "complex": (lambda X: X * 1j, "Complex data not supported"),
    "complex sparse": (lambda X: sp.csr_array(X * 1j), "Complex data not supported"),
    "ragged": (lambda X: [[1.0, 2.0], [3.0]], "has rows of different lengths"),
    "text": (lambda X: X.astype(str).astype(object), "column 0 of X holds '.*', a str"),
    "one dimension": (lambda X: X[0], "Expected 2D array, got 1D array"),
    "three dimensions": (lambda X: X[None], "dim 3"),
    "a number": (lambda X: 3.0, "Expected 2D array, got scalar array"),
    "None": (lambda X: None, "Expected 2D array, got scalar array"),
}


@pytest.mark.fault(7)
@both_estimators
@pytest.mark.parametrize("kind", UNSUITABLE)
def test_an_unsuitable_X(Estimator, kind):
    make, message = UNSUITABLE[kind]

    def refused(model, X, y):
        for name in ("predict", "fit", "partial_fit"):
            with pytest.raises((ValueError, TypeError), match=message):
                getattr(model, name)(make(X), *([] if name == "predict" else [y]))

    unchanged(Estimator, refused)


@pytest.mark.fault(7)
@both_estimators
@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda y: y * 1j, "Complex data not supported"),
        (lambda y: [[1], [1, 2]] * 25, "has rows of different lengths"),
        (lambda y: None, "target y is None"),
        (lambda y: 1.0, "at least 1 dimension|1d array|y should be|Expected"),
        (lambda y: np.ones((50, 1, 1)), "dim"),
        (lambda y: [object()] * 50, "(?i)'<' not supported|unknown label type|float\\(\\) argument"),
    ],
    ids=["complex", "ragged", "none", "number", "three dimensions", "objects"],
)
def test_an_unsuitable_y(Estimator, make, message):
    def refused(model, X, y):
        for method in (model.fit, model.partial_fit):
            with pytest.raises((ValueError, TypeError), match=message):
                method(X, make(y))

    unchanged(Estimator, refused)


@pytest.mark.fault(39)
@both_estimators
@pytest.mark.parametrize(
    ("make", "name"),
    [
        (lambda X: iter([X, X]), "list_iterator"),
        (lambda X: (batch for batch in (X, X)), "generator"),
        (lambda X: {"X": X}, "dict"),
        (lambda X: {1.0, 2.0}, "set"),
        (lambda X: "X.npy", "str"),
    ],
    ids=["iterator", "generator", "dict", "set", "str"],
)
def test_an_iterator_of_batches_is_refused(Estimator, make, name):
    def refused(model, X, y):
        for method in (model.predict, lambda X: model.fit(X, y), lambda X: model.partial_fit(X, y)):
            with pytest.raises(TypeError, match=f"X must be an array.*got {name}; .*partial_fit"):
                method(make(X))

    unchanged(Estimator, refused)


@pytest.mark.fault(39)
@both_estimators
def test_a_batch_of_another_width_keeps_the_weights_of_the_batches_before(Estimator):
    X, y = make_data()
    first = {"classes": [0, 1, 2]} if Estimator is MLPClassifier else {}
    model, twin = Estimator(**SMALL), Estimator(**SMALL).partial_fit(X, y, **first).partial_fit(X[::-1], y[::-1])
    batches = iter([(X, y), (X[::-1], y[::-1]), (X[:, :4], y), (X, y)])

    def train():
        for batch, targets in batches:
            model.partial_fit(batch, targets, **first)

    with pytest.raises(ValueError, match=r"X has 4 features, but .* is expecting 6 features"):
        train()
    assert_array_equal(output(model, X), output(twin, X))


@pytest.mark.fault(9)
@both_estimators
def test_no_method_works_before_fit(Estimator):
    X, y = make_data()
    model = Estimator(**SMALL)
    for name, method in methods_of(model, y):
        if name not in ("fit", "partial_fit"):
            with pytest.raises(NotFittedError, match="not fitted yet"):
                method(X)
    with pytest.raises(NotFittedError):
        slim(model)
