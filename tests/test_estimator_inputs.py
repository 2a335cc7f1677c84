"""The short way past scikit-learn's validation, for arrays that it would not change; `estimators/inputs.py`.

Each case is run on both ways: they must agree in the error, or in the model.
"""

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from scipy.sparse import csr_matrix

from fastbp import MLPClassifier, MLPRegressor
from fastbp.estimators import base, inputs
from fastbp.layers import Dense, RobustScale
from outcomes import outcome

RNG = np.random.default_rng(0)
X = RNG.normal(size=(30, 4))
LABELS = np.arange(30) % 3
NUMBERS = X[:, 0] - X[:, 1]

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


def changed(array, index, value):
    """A copy with another number in one place."""
    array = array.copy()
    array[index] = value
    return array


class OwnArray(np.ndarray):
    """An array of a class of its own."""


#: What X may be, in fit and in predict
ROWS = {
    "float64": X,
    "float32": X.astype(np.float32),
    "float16": X.astype(np.float16),
    "longdouble": X.astype(np.longdouble),
    "int": (10 * X).astype(int),
    "bool": X > 0,
    "complex": X + 1j,
    "object": X.astype(object),
    "text": X.astype(str),
    "dates": (10 * X).astype("datetime64[s]"),
    "other byte order": X.astype(">f8"),
    "Fortran order": np.asfortranarray(X),
    "every second row": np.repeat(X, 2, axis=0)[::2],
    "not aligned": np.frombuffer(b"\0" + X.tobytes(), np.float64, X.size, 1).reshape(X.shape),
    "read-only": np.frombuffer(X.tobytes()).reshape(X.shape),
    "NaN": changed(X, (3, 2), np.nan),
    "inf": changed(X, (29, 3), np.inf),
    "-inf": changed(X, (0, 0), -np.inf),
    "sum overflows": changed(changed(X, (0, 0), 1.7e308), (1, 0), 1.7e308),
    "huge": changed(X, (0, 0), 1e300),
    "no rows": X[:0],
    "no columns": X[:, :0],
    "one row": X[:1],
    "fewer columns": X[:, :3].copy(),
    "more columns": np.hstack([X, X]),
    "one dimension": X[0],
    "three dimensions": X[None],
    "no dimension": np.array(1.0),
    "list": X.tolist(),
    "matrix": X.view(np.matrix),
    "own class": X.view(OwnArray),
    "masked": np.ma.masked_array(X, X > 2),
    "sparse": csr_matrix(X),
    "None": None,
    "a number": 1.0,
    "a string": "X",
}
#: What the y of a classifier may be
LABEL_CASES = {
    "int": LABELS,
    "int8": LABELS.astype(np.int8),
    "unsigned": LABELS.astype(np.uint64) + 2**63,
    "two classes": LABELS % 2,
    "two negative classes": np.where(LABELS > 0, -1, -5),
    "one class": np.full(30, 7),
    "a class each": np.arange(30),
    "a class for two rows": np.arange(30) // 2,
    "spread far": LABELS * 10**12,
    "bool": LABELS > 0,
    "float": LABELS.astype(float),
    "float32": LABELS.astype(np.float32),
    "text": np.array(["a", "b", "c"])[LABELS],
    "two texts": np.array(["no", "yes", "no"])[LABELS],
    "objects": np.array(["a", "b", "c"], object)[LABELS],
    "list": LABELS.tolist(),
    "every second": np.repeat(LABELS, 2)[::2],
    "other byte order": LABELS.astype(">i4"),
    "column": LABELS[:, None],
    "indicators": np.eye(3, dtype=int)[LABELS],
    "columns": np.column_stack([LABELS, LABELS % 2]),
    "probabilities": np.full((30, 4), 0.25),
    "numbers": NUMBERS,
    "NaN": changed(LABELS.astype(float), 4, np.nan),
    "inf": changed(LABELS.astype(float), 4, np.inf),
    "complex": LABELS + 1j,
    "dates": LABELS.astype("datetime64[D]"),
    "None among them": np.array([None, 1, 2] * 10, object),
    "mixed": np.array(["a", 1, 2] * 10, object),
    "shorter": LABELS[:-1],
    "longer": np.arange(31) % 3,
    "none": LABELS[:0],
    "no dimension": np.array(1),
    "three dimensions": LABELS[:, None, None],
    "None": None,
    "a string": "y",
}
#: What the y of a regressor may be
NUMBER_CASES = {
    "float64": NUMBERS,
    "float32": NUMBERS.astype(np.float32),
    "float16": NUMBERS.astype(np.float16),
    "int": LABELS,
    "bool": LABELS > 0,
    "list": NUMBERS.tolist(),
    "objects": NUMBERS.astype(object),
    "column": NUMBERS[:, None],
    "columns": X[:, :2].copy(),
    "Fortran order": np.asfortranarray(X[:, :2]),
    "every second": np.repeat(NUMBERS, 2)[::2],
    "not aligned": np.frombuffer(b"\0" + NUMBERS.tobytes(), np.float64, 30, 1),
    "NaN": changed(NUMBERS, 0, np.nan),
    "inf": changed(NUMBERS, 29, np.inf),
    "sum overflows": np.full(30, 1.7e308),
    "complex": NUMBERS + 1j,
    "text": NUMBERS.astype(str),
    "dates": LABELS.astype("datetime64[D]"),
    "shorter": NUMBERS[:-1],
    "longer": np.append(NUMBERS, 0),
    "none": NUMBERS[:0],
    "no columns": X[:, :0],
    "no dimension": np.array(1.0),
    "three dimensions": X[:, :, None],
    "sparse": csr_matrix(X),
    "None": None,
    "a string": "y",
}


def on_both_ways(monkeypatch, function):
    """The outcomes on the short way and on the long one."""
    short = outcome(function)
    with monkeypatch.context() as patch:
        patch.setattr(inputs, "needs_no_validation", lambda *arguments, **options: False)
        patch.setattr(base, "needs_no_validation", lambda *arguments, **options: False)
        patch.setattr(base, "knows_no_names", lambda estimator: False)
        long = outcome(function)
    return short, long


def assert_same(short, long):
    (found, warned), (expected, expected_warnings) = short, long
    assert warned == expected_warnings
    if isinstance(expected, dict):
        assert found.keys() == expected.keys()
        for name, value in expected.items():
            for ours, theirs in (
                zip(found[name], value, strict=True) if isinstance(value, list) else [(found[name], value)]
            ):
                assert_array_equal(ours, theirs, err_msg=name)
    elif isinstance(expected, np.ndarray):
        assert found.dtype == expected.dtype
        assert_array_equal(found, expected)
    else:
        assert found == expected


def fitted_attributes(model, X, y, method="fit", **options):
    """What `fit` leaves, but for times, objects and generators."""
    getattr(model, method)(X, y, **options)
    names = ("n_features_in_", "feature_names_in_", "n_outputs_", "out_activation_", "loss_", "t_", "classes_")
    found = {name: getattr(model, name) for name in names if hasattr(model, name)}
    found |= {f"coefs_[{i}]": W for i, W in enumerate(model.coefs_)}
    if hasattr(model, "_label_binarizer"):
        found |= vars(model._label_binarizer)
    return found


def small(cls, **parameters):
    return cls(hidden_layer_sizes=3, max_iter=2, random_state=0, **parameters)


@pytest.mark.parametrize("dtype", [None, "float32", "float64"])
@pytest.mark.parametrize("rows", ROWS)
def test_X_of_fit(monkeypatch, rows, dtype):
    cases = on_both_ways(monkeypatch, lambda: fitted_attributes(small(MLPRegressor, dtype=dtype), ROWS[rows], NUMBERS))
    assert_same(*cases)


@pytest.mark.parametrize("y", LABEL_CASES)
def test_y_of_a_classifier(monkeypatch, y):
    assert_same(*on_both_ways(monkeypatch, lambda: fitted_attributes(small(MLPClassifier), X, LABEL_CASES[y])))


@pytest.mark.parametrize("y", NUMBER_CASES)
def test_y_of_a_regressor(monkeypatch, y):
    assert_same(*on_both_ways(monkeypatch, lambda: fitted_attributes(small(MLPRegressor), X, NUMBER_CASES[y])))


@pytest.mark.parametrize("y", ["int", "two classes", "text", "NaN", "shorter", "a class each", "column", "None"])
def test_partial_fit(monkeypatch, y):
    def run():
        model = small(MLPClassifier).fit(X, LABELS)
        return fitted_attributes(model, X, LABEL_CASES[y], "partial_fit")

    assert_same(*on_both_ways(monkeypatch, run))


@pytest.mark.parametrize("layers", [None, [RobustScale(), Dense(3, "relu")]], ids=["dense", "takes missing"])
@pytest.mark.parametrize("fitted_to", ["float64", "float32"])
@pytest.mark.parametrize("rows", ROWS)
def test_X_of_predict(monkeypatch, rows, fitted_to, layers):
    model = small(MLPRegressor, layers=layers).fit(ROWS[fitted_to], NUMBERS)
    assert_same(*on_both_ways(monkeypatch, lambda: model.predict(ROWS[rows])))


@pytest.mark.parametrize("rows", ROWS)
def test_X_of_classification(monkeypatch, rows):
    model = small(MLPClassifier).fit(X, LABELS)
    for method in (model.predict, model.predict_proba, model.predict_log_proba):
        assert_same(*on_both_ways(monkeypatch, lambda method=method: method(ROWS[rows])))


def not_fitted():
    return small(MLPRegressor)


def fitted_with_names():
    model = small(MLPRegressor).fit(X, NUMBERS)
    model.feature_names_in_ = np.array(list("abcd"), object)
    return model


def bad_n_threads():
    return small(MLPRegressor).fit(X, NUMBERS).set_params(n_threads=-1)


def other_activation():
    return small(MLPRegressor).fit(X, NUMBERS).set_params(activation="tanh")


def wrong_activation():
    return small(MLPRegressor).fit(X, NUMBERS).set_params(activation="none")


def with_coefs(change):
    def make():
        model = small(MLPRegressor).fit(X, NUMBERS)
        model.coefs_ = change(model.coefs_)
        return model

    return make


@pytest.mark.parametrize(
    "make",
    [
        not_fitted,
        fitted_with_names,
        bad_n_threads,
        other_activation,
        wrong_activation,
        with_coefs(lambda coefs: [2 * W for W in coefs]),
        with_coefs(lambda coefs: [np.full_like(W, np.nan) for W in coefs]),
        with_coefs(lambda coefs: coefs[:1]),
        with_coefs(lambda coefs: [coefs[0].T, coefs[1]]),
        with_coefs(tuple),
        with_coefs(lambda coefs: None),
        with_coefs(lambda coefs: coefs[0]),
    ],
)
@pytest.mark.parametrize("rows", [X, X[:1]], ids=["rows", "row"])
def test_state_of_the_model(monkeypatch, make, rows):
    assert_same(*on_both_ways(monkeypatch, lambda: make().predict(rows)))


def test_overflow_of_the_output_is_told():
    model = small(MLPRegressor).fit(X, NUMBERS)
    model.coefs_[1][...] = 1e308
    with pytest.warns(RuntimeWarning, match="overflow"):
        model.predict(np.full((1, 4), 1e200))


def test_a_fit_forgets_names():
    model = fitted_with_names()
    model.fit(X, NUMBERS)
    assert not hasattr(model, "feature_names_in_")


@pytest.mark.parametrize("way", ["plain", "all checks"])
def test_the_short_way_is_taken(monkeypatch, way):
    """Where nothing is to be changed, scikit-learn's validation is not called; else it is."""
    called, validate_data = [], inputs.validate_data

    def noted(*arguments, **options):
        called.append(arguments)
        return validate_data(*arguments, **options)

    monkeypatch.setattr(inputs, "validate_data", noted)
    rows = X if way == "plain" else np.asfortranarray(X)
    small(MLPRegressor).fit(rows, NUMBERS).predict(rows)
    assert bool(called) == (way == "all checks")
