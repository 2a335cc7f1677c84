"""The parameter `dtype` of the estimators."""

import pickle

import numpy as np
import pytest
import scipy.sparse as sp
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.model_selection import GridSearchCV

from estimator_layer_cases import SMALL, X, both_estimators, labels, output
from fastbp import MLPClassifier, MLPRegressor, slim

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
both_dtypes = pytest.mark.parametrize("dtype", ["float32", "float64"])


@both_estimators
@both_dtypes
@pytest.mark.parametrize("solver", ["sgd", "adam", "lbfgs"])
@pytest.mark.parametrize("container", [np.asarray, sp.csr_array, sp.csc_array, np.ndarray.tolist])
def test_the_model_of_converted_data(Estimator, dtype, solver, container):
    y, params = labels(Estimator), SMALL | dict(solver=solver, early_stopping=True, validation_fraction=0.2)
    for given in (np.float32, np.float64):
        rows = X.astype(given)
        expected = Estimator(**params).fit(rows.astype(dtype), y)
        model = Estimator(dtype=dtype, **params).fit(container(rows), y)
        assert model.network_.dtype == dtype
        assert all(array.dtype == dtype for array in model.coefs_ + model.intercepts_)
        assert_array_equal(model.network_.params, expected.network_.params)
        # predictions: those of converted rows, in the network's dtype
        found = output(model, container(rows))
        assert found.dtype == dtype
        assert_array_equal(found, output(expected, rows.astype(dtype)))


def test_float32_is_near_float64():
    given, y = load_digits(return_X_y=True)
    params = dict(max_iter=20, random_state=0)
    low, high = (MLPClassifier(dtype=dtype, **params).fit(given / 16, y) for dtype in ("float32", "float64"))
    # rounding errors of 1e-7 grow during 180 steps
    assert_allclose(low.predict_proba(given / 16), high.predict_proba(given / 16), atol=1e-3)


@both_estimators
def test_X_is_not_changed_and_converted_once(Estimator):
    rows, seen = X.copy(), []

    class Look:
        def on_fit_begin(self, state):
            seen.append(state.X)

    Estimator(dtype="float32", callbacks=Look(), **SMALL).fit(rows, labels(Estimator))
    assert_array_equal(rows, X)
    assert seen[0].dtype == np.float32
    rows = X.astype(np.float32)
    Estimator(dtype="float32", callbacks=Look(), **SMALL).fit(rows, labels(Estimator))
    assert np.shares_memory(seen[1], rows)


@both_estimators
def test_one_row(Estimator):
    model = Estimator(dtype="float32", **SMALL).fit(X, labels(Estimator))
    together = output(model)
    for i in range(3):
        assert output(model, X[i : i + 1]).dtype == np.float32
        assert_allclose(output(model, X[i : i + 1])[0], together[i], rtol=1e-5)


# Further training


@both_estimators
@pytest.mark.parametrize("change", [("float64", "float32"), ("float32", "float64")])
def test_a_change_of_dtype(Estimator, change):
    y = labels(Estimator)
    before, after = change
    model = Estimator(dtype=before, warm_start=True, **SMALL).fit(X, y)
    params = model.network_.params.copy()
    model.set_params(dtype=after)
    # the fitted model stays what it is
    assert output(model).dtype == before
    assert_array_equal(model.network_.params, params)
    model.set_params(learning_rate_init=1e-12).fit(X, y)
    assert model.network_.dtype == after
    assert_allclose(model.network_.params, params, rtol=1e-6, atol=1e-9)
    model.set_params(dtype=before).partial_fit(X, y)
    assert model.network_.dtype == before
    model.set_params(dtype=None).partial_fit(X.astype(after), y)
    assert model.network_.dtype == before


@both_estimators
@both_dtypes
def test_partial_fit_and_copies(Estimator, dtype):
    y = labels(Estimator)
    first = {"classes": np.unique(y)} if Estimator is MLPClassifier else {}
    model = Estimator(dtype=dtype, **SMALL).partial_fit(X, y, **first)
    expected = Estimator(**SMALL).partial_fit(X.astype(dtype), y, **first)
    copies = [pickle.loads(pickle.dumps(model)), model]
    expected.partial_fit(X.astype(dtype), y)
    for copy in copies:
        copy.partial_fit(X, y)
        assert copy.network_.dtype == dtype
        assert_array_equal(copy.network_.params, expected.network_.params)
    assert output(slim(model)).dtype == dtype
    assert clone(model).dtype == dtype


@pytest.mark.parametrize("value", ["float16", np.float32, "f4"])
def test_a_bad_value(value):
    with pytest.raises(ValueError, match=r"The 'dtype' parameter of MLPRegressor must be .*'float32'"):
        MLPRegressor(dtype=value).fit(X, X[:, 0])


@pytest.mark.fault(2)
@both_estimators
def test_values_too_large_for_float32(Estimator):
    y, large = labels(Estimator), X.copy()
    large[3, 1] = 1e300
    model = Estimator(dtype="float32", **SMALL)
    with pytest.raises(ValueError, match=r"Input X contains infinity or a value too large for dtype..float32"):
        model.fit(large, y)
    model.fit(X, y)
    for rows in (large, large.tolist(), sp.csr_array(large)):
        with pytest.raises(ValueError, match=r"X (contains infinity or a value|holds values) too large for"):
            model.predict(rows)


def test_grid_search():
    search = GridSearchCV(MLPRegressor(**SMALL), {"dtype": ["float32", "float64"]}, cv=2, error_score="raise")
    assert len(search.fit(X, X[:, 0]).cv_results_["params"]) == 2


@pytest.mark.parametrize("make", [np.asarray, np.asfortranarray, lambda rows: np.repeat(rows, 2, axis=0)[::2]])
def test_large_data_are_converted_and_checked_in_blocks(make, monkeypatch):
    y = labels(MLPRegressor)
    expected = MLPRegressor(dtype="float32", **SMALL).fit(X, y)
    monkeypatch.setattr("fastbp.estimators.inputs.BLOCK_ELEMENTS", 3 * X.shape[1])
    model = MLPRegressor(dtype="float32", **SMALL).fit(make(X), y)
    assert_array_equal(model.network_.params, expected.network_.params)
    assert_array_equal(model.predict(make(X)), expected.predict(X))
    for value, message in ((np.nan, "contains NaN"), (np.inf, "infinity"), (1e39, "too large for")):
        wrong = X.copy()
        wrong[-1, -1] = value
        for call in (lambda: model.fit(make(wrong), y), lambda: model.predict(make(wrong))):  # noqa: B023
            with pytest.raises(ValueError, match=message):
                call()
    with pytest.raises(ValueError, match="y contains NaN"):
        model.fit(make(X), np.full(len(X), np.nan))
