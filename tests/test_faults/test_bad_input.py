"""Bad input gives a clear error or the right result; never a crash, a hang or a wrong result."""

import copy
import re
import tracemalloc

import numpy as np
import pytest
import scipy.sparse as sp
from numpy.testing import assert_array_equal
from sklearn.exceptions import NotFittedError
from sklearn.utils._param_validation import InvalidParameterError

from fastbp import MLPClassifier, MLPRegressor
from fault_cases import SMALL, both_estimators, make_data, output

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


def with_value(array, value):
    array = np.array(array, dtype=float)
    array[(3,) + (0,) * (array.ndim - 1)] = value
    return array


# --- values ---------------------------------------------------------------------


@pytest.mark.fault(1)
@pytest.mark.fault(2)
@both_estimators
@pytest.mark.parametrize("container", [np.asarray, sp.csr_array, sp.csc_array])
@pytest.mark.parametrize(("value", "word"), [(np.nan, "NaN"), (np.inf, "infinity"), (-np.inf, "infinity")])
def test_non_finite_X(Estimator, container, value, word):
    X, y = make_data()
    model = Estimator(**SMALL).fit(X, y)
    bad = container(with_value(X, value))
    for call in (
        lambda: Estimator(**SMALL).fit(bad, y),
        lambda: model.partial_fit(bad, y),
        lambda: model.predict(bad),
    ):
        with pytest.raises(ValueError, match=f"Input X? ?contains {word}"):
            call()


@pytest.mark.fault(3)
@both_estimators
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_non_finite_y(Estimator, value):
    X, y = make_data()
    with pytest.raises(ValueError, match="Input y contains"):
        Estimator(**SMALL).fit(X, with_value(y, value))


@pytest.mark.fault(4)
@both_estimators
@pytest.mark.parametrize("solver", ["sgd", "adam", "lbfgs"])
@pytest.mark.parametrize(
    ("weights", "message"),
    [
        (lambda w: with_value(w, np.nan), "sample_weight contains NaN"),
        (lambda w: with_value(w, np.inf), "sample_weight contains infinity"),
        (lambda w: with_value(w, -0.5), "(?i)negative.*sample_weight|sample_weight.*negative"),
        (lambda w: 0 * w, "(?i)sample.weight"),
        (lambda w: w[:-1], r"sample_weight.shape == \(49,\)"),
        (lambda w: w[:, None], "(?i)sample.weight.*1D"),
    ],
    ids=["nan", "inf", "negative", "all zero", "too short", "column"],
)
def test_sample_weight(Estimator, solver, weights, message):
    X, y = make_data()
    sample_weight = weights(np.ones(len(y)))
    with pytest.raises(ValueError, match=message):
        Estimator(**SMALL, solver=solver).fit(X, y, sample_weight=sample_weight)


@pytest.mark.fault(7)
@pytest.mark.parametrize(
    ("X", "y", "message"),
    [
        (np.eye(4), [0.5, 1.25, 2.0, 0.1], "Unknown label type"),
        (np.eye(4) * 1j, [0, 1, 0, 1], "Complex data not supported"),
        ([[1.0, 2.0], [3.0]], [0, 1], "rows of different lengths"),
        (np.array([["a", "b"], ["c", "d"]], dtype=object), [0, 1], "column 0 of X holds 'a', a str"),
        (np.ones(4), [0, 1, 0, 1], "Expected 2D array, got 1D array"),
        (np.ones((2, 2, 2)), [0, 1], "dim 3"),
        (np.eye(4), [0, 1, 0], "inconsistent numbers of samples"),
    ],
    ids=["continuous y", "complex", "ragged", "strings", "1D", "3D", "lengths"],
)
def test_unsuitable_kinds_of_data(X, y, message):
    with pytest.raises((ValueError, TypeError), match=message):
        MLPClassifier(**SMALL).fit(X, y)


@pytest.mark.fault(5)
@both_estimators
def test_no_rows_no_columns(Estimator):
    with pytest.raises(ValueError, match=r"0 sample\(s\)"):
        Estimator().fit(np.empty((0, 3)), np.empty(0, dtype=int))
    with pytest.raises(ValueError, match=r"0 feature\(s\)"):
        Estimator().fit(np.empty((3, 0)), [0, 1, 0])
    model = Estimator(**SMALL).fit(*make_data())
    with pytest.raises(ValueError, match=r"0 sample\(s\)"):
        model.predict(np.empty((0, 6)))


@pytest.mark.fault(5)
@pytest.mark.fault(6)
@pytest.mark.parametrize("solver", ["sgd", "adam", "lbfgs"])
@pytest.mark.filterwarnings("ignore:Got `batch_size` less than 1:UserWarning")
def test_one_row_and_one_class(solver):
    one_row = MLPRegressor(**SMALL | dict(solver=solver, max_iter=200)).fit([[1.0, 2.0]], [3.0])
    assert np.isfinite(one_row.predict([[1.0, 2.0], [0.0, 1.0]])).all()
    X, _ = make_data()
    one_class = MLPClassifier(**SMALL, solver=solver).fit(X, ["only"] * len(X))
    assert set(one_class.predict(X)) == {"only"}
    assert np.isfinite(one_class.predict_proba(X)).all()


@pytest.mark.fault(14)
@pytest.mark.parametrize("labels", [str, bool, "a thousand"])
def test_labels_with_early_stopping(labels):
    X, y = make_data(2000)
    y = np.arange(2000) % 1000 if labels == "a thousand" else (y > 0).astype(labels)
    # two rows of each of a thousand classes: with a tenth of the rows, both of some of them are held out
    fraction = 0.001 if labels == "a thousand" else 0.1
    model = MLPClassifier(**SMALL | dict(max_iter=2), early_stopping=True, validation_fraction=fraction).fit(X, y)
    assert_array_equal(model.classes_, np.unique(y))
    assert model.predict(X).dtype == y.dtype
    assert model.predict_proba(X).shape == (2000, len(model.classes_))
    assert np.isfinite(model.validation_scores_).all()


# --- shapes and order of calls ----------------------------------------------------


@pytest.mark.fault(8)
@pytest.mark.fault(37)
@both_estimators
def test_other_width(Estimator):
    X, y = make_data()
    model = Estimator(**SMALL).fit(X, y)
    for call in (lambda: model.predict(X[:, :4]), lambda: model.partial_fit(X[:, :4], y)):
        with pytest.raises(ValueError, match=r"X has 4 features, but .* is expecting 6 features"):
            call()


@pytest.mark.fault(9)
@both_estimators
def test_predict_before_fit_and_after_a_failed_fit(Estimator):
    X, y = make_data()
    model = Estimator(**SMALL)
    with pytest.raises(NotFittedError):
        model.predict(X)
    with pytest.raises(ValueError, match="NaN"):
        model.fit(with_value(X, np.nan), y)
    with pytest.raises(NotFittedError):
        model.predict(X)


@pytest.mark.fault(37)
def test_partial_fit_classes():
    X, y = make_data()
    with pytest.raises(ValueError, match="classes must be passed on the first call"):
        MLPClassifier(**SMALL).partial_fit(X, y)
    model = MLPClassifier(**SMALL).partial_fit(X, y, classes=[0, 1, 2])
    with pytest.raises(ValueError, match=r"`classes=.*` is not the same as on last call"):
        model.partial_fit(X, y, classes=[0, 1, 3])
    with pytest.raises(ValueError, match=r"(?s)classes not in `self.classes_`.*7"):
        model.partial_fit(X, np.where(y == 0, 7, y))


@pytest.mark.fault(38)
@both_estimators
@pytest.mark.parametrize("solver", ["sgd", "adam", "lbfgs"])
@pytest.mark.parametrize("layers", [(6, 5), (6,), (6, 4, 2)])
def test_warm_start_with_other_layers(Estimator, solver, layers):
    X, y = make_data()
    model = Estimator(**SMALL, solver=solver, warm_start=True).fit(X, y)
    before = output(model, X)
    with pytest.raises(ValueError, match="hidden_layer_sizes"):
        model.set_params(hidden_layer_sizes=layers).fit(X, y)
    assert_array_equal(output(model, X), before)


@pytest.mark.fault(38)
def test_warm_start_with_other_classes_or_outputs():
    X, y = make_data()
    model = MLPClassifier(**SMALL, warm_start=True).fit(X, y)
    with pytest.raises(ValueError, match="same classes as in the previous call"):
        model.fit(X, y + 1)
    model = MLPRegressor(**SMALL, warm_start=True).fit(X, y)
    with pytest.raises(ValueError, match="output"):
        model.fit(X, np.c_[y, y])


def huge(X):
    """X at the top of float64's range, where the first product overflows."""
    return X * (1e308 / np.abs(X).max())


SPLIT = dict(early_stopping=True, validation_fraction=0.01)
FAILING_CALLS = {
    "nan": ({}, lambda X, y, w: (with_value(X, np.nan), y, w), "NaN"),
    "width": ({}, lambda X, y, w: (X[:, :3], y, -w), "(?i)negative|features"),
    "length": ({}, lambda X, y, w: (X, y[:-1], w), "inconsistent"),
    "inf in y": ({}, lambda X, y, w: (X, with_value(y, np.inf), w), "infinity"),
    "zero weights": ({}, lambda X, y, w: (X, y, 0 * w), "weight"),
    "layers": ({"hidden_layer_sizes": (0,)}, lambda *xyw: xyw, "hidden_layer_sizes"),
    "divergence": ({}, lambda X, y, w: (huge(X), y, w), "non-finite"),
    "split": (
        SPLIT,
        lambda *xyw: xyw,
        r"validation set is too small|test_size = 1 should be|does not support early_stopping",
    ),
}


@pytest.mark.fault(1)
@pytest.mark.fault(4)
@pytest.mark.fault(8)
@pytest.mark.fault(37)
@both_estimators
@pytest.mark.parametrize("failure", FAILING_CALLS)
@pytest.mark.parametrize("method", ["fit", "partial_fit"])
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_a_failed_call_leaves_the_fitted_model_alone(Estimator, method, failure):
    X, y = make_data()
    y = (y > 0).astype(float)
    # Adam would divide a huge gradient by itself, and not diverge.
    params_before = SMALL | dict(solver="sgd")
    model = Estimator(**params_before).fit(X, y)
    before = output(model, X)
    kept = copy.deepcopy({k: v for k, v in vars(model).items() if k.endswith("_") and k[0] != "_"})

    params, arguments, message = FAILING_CALLS[failure]
    bad_X, bad_y, weights = arguments(X, y, np.ones(len(y)))
    with pytest.raises(ValueError, match=message):
        getattr(model.set_params(**params), method)(bad_X, bad_y, sample_weight=weights)
    model.set_params(**{name: getattr(Estimator(**params_before), name) for name in params})

    assert_array_equal(output(model, X), before)
    for name, value in kept.items():
        if name in ("coefs_", "intercepts_"):
            for now, then in zip(getattr(model, name), value, strict=True):
                assert_array_equal(now, then)
        else:
            assert_array_equal(getattr(model, name), value)
    # The optimizer has not been left behind half-way either.
    untouched = Estimator(**params_before).fit(X, y)
    assert_array_equal(output(model.partial_fit(X, y), X), output(untouched.partial_fit(X, y), X))


# --- validation split -------------------------------------------------------------


@pytest.mark.fault(15)
@both_estimators
def test_validation_split_too_small(Estimator):
    X, y = make_data()
    model = Estimator(**SMALL, early_stopping=True, validation_fraction=0.02)
    with pytest.raises(ValueError, match=r"validation set is too small|test_size"):
        model.fit(X, y)


@pytest.mark.fault(15)
def test_validation_split_lacks_a_class():
    X, _ = make_data()
    with pytest.raises(ValueError, match=r"least populated class.*only 1 member"):
        MLPClassifier(**SMALL, early_stopping=True).fit(X, np.arange(len(X)) == 7)


# --- parameters -------------------------------------------------------------------


@pytest.mark.fault(16)
@both_estimators
def test_batch_size_is_clipped(Estimator):
    X, y = make_data()
    with pytest.warns(UserWarning, match="Got `batch_size` less than 1 or larger than"):
        clipped = Estimator(**SMALL | dict(batch_size=51)).fit(X, y)
    whole = Estimator(**SMALL | dict(batch_size=50)).fit(X, y)
    assert_array_equal(output(clipped, X), output(whole, X))


@pytest.mark.fault(16)
@pytest.mark.fault(17)
@both_estimators
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("batch_size", 0),
        ("batch_size", -1),
        ("batch_size", 2.5),
        ("batch_size", "all"),
        ("hidden_layer_sizes", "100"),
        ("hidden_layer_sizes", 0),
        ("hidden_layer_sizes", None),
        ("activation", "swishy"),
        ("solver", "newton"),
        ("alpha", -1e-9),
        ("alpha", "0"),
        ("learning_rate", "sine"),
        ("learning_rate_init", 0.0),
        ("power_t", -1.0),
        ("max_iter", 0),
        ("max_iter", 2.0),
        ("max_fun", 0),
        ("shuffle", "yes"),
        ("random_state", -1),
        ("random_state", "seed"),
        ("tol", -1.0),
        ("verbose", "loud"),
        ("warm_start", 2),
        ("momentum", 1.1),
        ("nesterovs_momentum", None),
        ("early_stopping", "auto"),
        ("validation_fraction", 1.0),
        ("validation_fraction", -0.1),
        ("beta_1", 1.0),
        ("beta_2", -0.1),
        ("epsilon", 0.0),
        ("n_iter_no_change", 0),
        ("n_iter_no_change", 2.5),
        ("n_threads", 0),
        ("n_threads", 1.5),
        ("n_threads", "two"),
    ],
)
def test_parameter_out_of_range(Estimator, name, value):
    X, y = make_data()
    model = Estimator(**SMALL | {name: value})
    with pytest.raises(InvalidParameterError, match=f"'{name}' parameter of {Estimator.__name__} must be"):
        model.fit(X, y)
    with pytest.raises(InvalidParameterError, match=re.escape(repr(value))):
        model.fit(X, y)


def test_regressor_loss_out_of_range():
    with pytest.raises(InvalidParameterError, match="'loss' parameter of MLPRegressor"):
        MLPRegressor(loss="relative_error").fit(*make_data())


@pytest.mark.fault(17)
@both_estimators
@pytest.mark.parametrize("sizes", [(0,), (-1,), (5, 0, 5), (2.5,), (10**12,), (1e12,), (10**30,)])
def test_impossible_layers(Estimator, sizes):
    X, y = make_data()
    tracemalloc.start()
    try:
        with pytest.raises((ValueError, TypeError, MemoryError), match="hidden_layer_sizes") as caught:
            Estimator(**SMALL | dict(hidden_layer_sizes=sizes)).fit(X, y)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    # NumPy reports its arrays to tracemalloc; a layer of 1e12 would be 48 TB.
    assert peak < 50e6
    assert str(sizes[0]) in str(caught.value)
