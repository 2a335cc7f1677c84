"""A validation set of one's own: ``fit(X, y, X_val=..., y_val=...)``; `estimators/validation.py`."""

from itertools import pairwise

import numpy as np
import pytest
import sklearn
from numpy.testing import assert_allclose, assert_array_equal
from scipy.sparse import csr_array
from sklearn.base import clone
from sklearn.metrics import accuracy_score, r2_score
from sklearn.model_selection import train_test_split
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler

from callback_cases import ignore_max_iter, weights
from fastbp import MLPClassifier, MLPRegressor
from fault_cases import SMALL, both_estimators, make_data

X, Y = make_data(120)
X_VAL, Y_VAL = make_data(120)[0][80:] + 0.1, Y[80:]
X, Y = X[:80], Y[:80]
WEIGHT = np.random.default_rng(1).uniform(0.5, 2, 80)
FAST = SMALL | dict(learning_rate_init=0.05, max_iter=30)


@ignore_max_iter
@both_estimators
def test_given_rows_do_what_held_out_rows_do(Estimator):
    # the generator draws the same initial weights; without shuffling, nothing after them but the split
    model = Estimator(**FAST, early_stopping=True, shuffle=False, validation_fraction=0.25).fit(X, Y)
    rng = np.random.RandomState(0)
    sizes = [6, 6, 4, 3 if Estimator is MLPClassifier else 1]
    for fan_in, fan_out in pairwise(sizes):
        rng.uniform(size=(fan_in, fan_out)), rng.uniform(size=fan_out)
    train, held_out = train_test_split(np.arange(80), test_size=0.25, random_state=rng)
    given = Estimator(**FAST, early_stopping=True, shuffle=False)
    given.fit(X[train], Y[train], X_val=X[held_out], y_val=Y[held_out])
    assert_array_equal(weights(given), weights(model))
    assert given.validation_scores_ == model.validation_scores_
    assert given.best_iteration_ == model.best_iteration_ == 1 + np.argmax(model.validation_scores_)
    assert given.n_iter_ == model.n_iter_


@ignore_max_iter
@both_estimators
@pytest.mark.parametrize("solver", ["sgd", "adam"])
def test_without_early_stopping_scores_are_only_recorded(Estimator, solver):
    plain = Estimator(**FAST, solver=solver).fit(X, Y, WEIGHT)
    model = clone(plain).fit(X, Y, WEIGHT, X_val=X_VAL, y_val=Y_VAL)
    assert_array_equal(weights(model), weights(plain))
    assert model.loss_curve_ == plain.loss_curve_
    assert model.best_loss_ == plain.best_loss_ == min(model.loss_curve_)
    assert model.best_iteration_ == plain.best_iteration_ == 1 + np.argmin(model.loss_curve_)
    assert len(model.validation_scores_) == len(model.validation_loss_curve_) == model.n_iter_
    assert model.validation_scores_[-1] == pytest.approx(model.score(X_VAL, Y_VAL), rel=1e-12)
    assert model.best_validation_score_ == max(model.validation_scores_)
    assert plain.validation_scores_ is plain.validation_loss_curve_ is plain.best_validation_score_ is None
    # partial_fit has no validation set; the record goes on
    model.partial_fit(X, Y)
    assert model.history_["loss"] is model.loss_curve_
    assert np.isnan(model.history_["validation_loss"][-1])
    assert {len(column) for column in model.history_.values()} == {plain.n_iter_ + 1}


@ignore_max_iter
@both_estimators
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_the_validation_loss_is_that_of_the_network(Estimator, dtype):
    model = Estimator(**SMALL | dict(alpha=0.0)).fit(X.astype(dtype), Y, X_val=X_VAL, y_val=Y_VAL)
    network, weight = model.network_, np.arange(40.0)
    assert_allclose(
        model.validation_loss_curve_[-1],
        network.loss_and_gradient(X_VAL.astype(dtype), Y_VAL)[0],
        rtol=100 * np.finfo(dtype).eps,  # sums in another order
    )
    model.fit(X.astype(dtype), Y, X_val=X_VAL, y_val=Y_VAL, sample_weight_val=weight)
    assert_allclose(
        model.validation_loss_curve_[-1],
        model.network_.loss_and_gradient(X_VAL.astype(dtype), Y_VAL, weight)[0],
        rtol=100 * np.finfo(dtype).eps,
    )
    metric = accuracy_score if Estimator is MLPClassifier else r2_score
    expected = metric(Y_VAL, model.predict(X_VAL.astype(dtype)), sample_weight=weight)
    assert_allclose(model.validation_scores_[-1], expected, rtol=100 * np.finfo(dtype).eps)


@ignore_max_iter
def test_the_validation_loss_of_a_function_and_of_several_outputs():
    def squares(y_true, raw, sample_weight):
        error = raw - y_true
        if sample_weight is None:
            return (error**2).sum(axis=1) / 2, error
        return sample_weight * (error**2).sum(axis=1) / 2, sample_weight[:, None] * error

    Y2, Y2_val = np.c_[Y, Y + 1.0], np.c_[Y_VAL, Y_VAL + 1.0]
    rows = dict(X_val=X_VAL, y_val=Y2_val, sample_weight_val=np.arange(40.0))
    model = MLPRegressor(squares, **SMALL).fit(X, Y2, **rows)
    other = MLPRegressor("squared_error", **SMALL).fit(X, Y2, **rows)
    # the recorded loss of several outputs is their mean
    assert_allclose(model.validation_loss_curve_, 2 * np.array(other.validation_loss_curve_), rtol=1e-10)


@ignore_max_iter
@both_estimators
def test_other_forms_of_the_same_rows(Estimator):
    expected = Estimator(**SMALL, early_stopping=True).fit(X, Y, X_val=X_VAL, y_val=Y_VAL)
    for X_val, y_val in (
        (csr_array(X_VAL), Y_VAL),
        (X_VAL.tolist(), Y_VAL.tolist()),
        (np.asfortranarray(X_VAL), Y_VAL),
    ):
        model = clone(expected).fit(X, Y, X_val=X_val, y_val=y_val)
        assert_array_equal(weights(model), weights(expected))
        assert_allclose(model.validation_loss_curve_, expected.validation_loss_curve_, rtol=1e-12)
    model = clone(expected).fit(csr_array(X), Y, X_val=X_VAL, y_val=Y_VAL)
    assert_allclose(weights(model), weights(expected), rtol=1e-9)


@ignore_max_iter
def test_labels_of_several_kinds():
    names = np.array(["no", "maybe", "yes"])
    model = MLPClassifier(**FAST, early_stopping=True).fit(X, names[Y], X_val=X_VAL, y_val=names[Y_VAL])
    assert model.validation_scores_[model.best_iteration_ - 1] == model.score(X_VAL, names[Y_VAL])
    # classes that the validation set lacks are no error
    model.fit(X, names[Y], X_val=X_VAL[Y_VAL > 0], y_val=names[Y_VAL[Y_VAL > 0]])


def several(y):
    return np.c_[y > 0, y > 1, y == 1].astype(int)


@ignore_max_iter
def test_several_labels_and_two_classes():
    model = MLPClassifier(**FAST, early_stopping=True).fit(X, several(Y), X_val=X_VAL, y_val=several(Y_VAL))
    assert model.validation_scores_[model.best_iteration_ - 1] == model.score(X_VAL, several(Y_VAL))
    assert len(model.validation_loss_curve_) == model.n_iter_
    two = MLPClassifier(**FAST, early_stopping=True).fit(X, Y > 0, X_val=X_VAL, y_val=Y_VAL > 0)
    assert two.validation_scores_[two.best_iteration_ - 1] == two.score(X_VAL, Y_VAL > 0)


@ignore_max_iter
def test_in_a_pipeline():
    with sklearn.config_context(enable_metadata_routing=True):
        final = MLPRegressor(**SMALL, early_stopping=True).set_fit_request(X_val=True, y_val=True)
        pipeline = Pipeline([("scale", StandardScaler()), ("net", final)], transform_input=["X_val"])
        pipeline.fit(X * 100, Y, X_val=X_VAL * 100, y_val=Y_VAL)
    scaler = StandardScaler().fit(X * 100)
    expected = MLPRegressor(**SMALL, early_stopping=True)
    expected.fit(scaler.transform(X * 100), Y, X_val=scaler.transform(X_VAL * 100), y_val=Y_VAL)
    assert_array_equal(weights(pipeline[-1]), weights(expected))


@ignore_max_iter
@both_estimators
def test_warm_start_has_a_best_value_of_its_own(Estimator):
    model = Estimator(**FAST, early_stopping=True, warm_start=True).fit(X, Y, X_val=X_VAL, y_val=Y_VAL)
    n_first = model.n_iter_
    model.fit(X, Y, X_val=X_VAL, y_val=Y_VAL)
    scores = model.validation_scores_[n_first:]
    assert len(scores) == model.n_iter_
    assert model.best_iteration_ == 1 + np.argmax(scores)
    assert model.score(X_VAL, Y_VAL) == pytest.approx(scores[model.best_iteration_ - 1], rel=1e-12)
    assert {len(column) for column in model.history_.values()} == {n_first + model.n_iter_}


BAD = {
    "no y_val": (dict(X_val=X_VAL), "X_val is provided, but y_val was not provided"),
    "no X_val": (dict(y_val=Y_VAL), "y_val is provided, but X_val was not provided"),
    "weights only": (dict(sample_weight_val=WEIGHT), "sample_weight_val is provided, but X_val was not"),
    "columns": (dict(X_val=X_VAL[:, :2], y_val=Y_VAL), "X_val and y_val: X has 2 features, but .* is expecting 6"),
    "rows": (dict(X_val=X_VAL, y_val=Y_VAL[1:]), "X_val and y_val: .*inconsistent numbers of samples"),
    "one row": (dict(X_val=X_VAL[:1], y_val=Y_VAL[:1]), "X_val and y_val: at least 2 rows are needed to score, got 1"),
    "NaN": (dict(X_val=np.full((40, 6), np.nan), y_val=Y_VAL), "X_val and y_val: Input X contains NaN"),
    "more outputs": (dict(X_val=X_VAL, y_val=np.c_[Y_VAL, Y_VAL]), "X_val and y_val: "),
    "weights": (dict(X_val=X_VAL, y_val=Y_VAL, sample_weight_val=[1.0]), "sample_weight_val: .*inconsistent|shape"),
    "negative": (dict(X_val=X_VAL, y_val=Y_VAL, sample_weight_val=-np.ones(40)), "sample_weight_val: Negative values"),
    "zero": (dict(X_val=X_VAL, y_val=Y_VAL, sample_weight_val=np.zeros(40)), "sample_weight_val: .* non-zero"),
}


@pytest.mark.fault(15)
@both_estimators
@pytest.mark.parametrize("early_stopping", [False, True])
@pytest.mark.parametrize("case", BAD)
def test_bad_rows(Estimator, early_stopping, case):
    arguments, message = BAD[case]
    model = Estimator(**SMALL, early_stopping=early_stopping)
    with pytest.raises(ValueError, match=message):
        model.fit(X, Y, **arguments)
    assert not hasattr(model, "coefs_")


@pytest.mark.fault(15)
def test_other_errors():
    with pytest.raises(ValueError, match=r"X_val and y_val: `y` has classes not in .*'y' has \[0 1 7\]"):
        MLPClassifier(**SMALL).fit(X, Y, X_val=X_VAL, y_val=np.where(Y_VAL > 1, 7, Y_VAL))
    with pytest.raises(ValueError, match="X_val and y_val: y holds indicators of several labels"):
        MLPClassifier(**SMALL).fit(X, Y, X_val=X_VAL, y_val=np.c_[Y_VAL > 0, Y_VAL > 1].astype(int))
    with pytest.raises(ValueError, match="X_val and y_val: loss='poisson' requires y >= 0"):
        MLPRegressor("poisson", **SMALL).fit(X, Y, X_val=X_VAL, y_val=Y_VAL - 5.0)
    with pytest.raises(TypeError, match="X_val and y_val: X must hold numbers"):
        MLPRegressor(**SMALL).fit(X, Y, X_val=X_VAL.astype("datetime64[s]"), y_val=Y_VAL)
    with pytest.raises(ValueError, match="solver='lbfgs' scores no rows"):
        MLPRegressor(**SMALL, solver="lbfgs").fit(X, Y, X_val=X_VAL, y_val=Y_VAL)
    with pytest.raises(ValueError, match="X_val and y_val: X holds values too large for float32"):
        MLPRegressor(**SMALL).fit(X.astype(np.float32), Y, X_val=X_VAL * 1e300, y_val=Y_VAL)
    with pytest.raises(TypeError, match="unexpected keyword argument 'X_valid'"):
        MLPRegressor(**SMALL).fit(X, Y, X_valid=X_VAL)
