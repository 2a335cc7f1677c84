"""Losses from formulas in the estimators: training, grid search and pickles are as with the built-in losses."""

import pickle

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.special import xlogy
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV

from fastbp import MLPClassifier, MLPRegressor
from fastbp.autodiff import FormulaLoss, exp, logsumexp, softplus
from fastbp.inspection import gradient_check

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

RNG = np.random.default_rng(0)
X = RNG.normal(size=(53, 4))
SCORE = X @ RNG.normal(size=(4, 3)) + 0.3 * RNG.normal(size=(53, 3))
WEIGHT = RNG.uniform(0.2, 3, 53)
WEIGHT[::9] = 0


def squared_error(y_true, raw_prediction):
    return (raw_prediction - y_true) ** 2 / 2


def poisson(y_true, raw_prediction):
    """Half the deviance, of e to the raw prediction."""
    return exp(raw_prediction) - y_true * raw_prediction + (xlogy(y_true, y_true) - y_true)


def binary_log_loss(y_true, raw_prediction):
    return softplus(raw_prediction) - y_true * raw_prediction


def log_loss(y_true, raw_prediction):
    return logsumexp(raw_prediction, axis=1) - (y_true * raw_prediction).sum(axis=1)


def log_cosh(y_true, raw_prediction):
    error = raw_prediction - y_true
    return error + softplus(-2 * error) - np.log(2)


# target: (the estimator, y, the built-in loss, the formula, its output activation)
TARGETS = {
    "regression": (MLPRegressor, SCORE[:, 0], "squared_error", squared_error, "identity"),
    "counts": (MLPRegressor, RNG.poisson(np.exp(0.3 * SCORE[:, 0])), "poisson", poisson, "exp"),
    "binary": (MLPClassifier, np.where(SCORE[:, 0] > 0, "yes", "no"), "log_loss", binary_log_loss, "logistic"),
    "multiclass": (MLPClassifier, SCORE.argmax(axis=1) + 5, "log_loss", log_loss, "softmax"),
    "multilabel": (MLPClassifier, (SCORE > 0.2).astype(int), "log_loss", binary_log_loss, "logistic"),
}
SMALL = dict(hidden_layer_sizes=(6, 5), activation="tanh", max_iter=8, batch_size=16, random_state=0)

every_target = pytest.mark.parametrize("target", TARGETS)
every_solver = pytest.mark.parametrize("solver", ["sgd", "adam", "lbfgs"])


def pair(target, **params):
    """(the estimator with the formula, with the built-in loss, y)."""
    Estimator, y, loss, formula, output = TARGETS[target]
    params = {**SMALL, "output_activation": output, **params}
    return Estimator(loss=FormulaLoss(formula), **params), Estimator(loss=loss, **params), y


def outputs(model, rows=X):
    return model.predict_proba(rows) if isinstance(model, MLPClassifier) else model.predict(rows)


@every_target
@every_solver
@pytest.mark.parametrize("weight", [None, WEIGHT], ids=["unweighted", "weighted"])
def test_trains_as_the_built_in_loss(target, solver, weight):
    own, built_in, y = pair(target, solver=solver)
    own.fit(X, y, weight)
    built_in.fit(X, y, weight)
    # the same but for the roundings of another exp and log, that training carries on from step to step
    assert_allclose(own.network_.params, built_in.network_.params, rtol=1e-9, atol=1e-9)
    assert_allclose(own.loss_, built_in.loss_, rtol=1e-9)
    assert_allclose(outputs(own), outputs(built_in), rtol=1e-9, atol=1e-9)
    assert own.n_iter_ == built_in.n_iter_
    assert own.out_activation_ == built_in.out_activation_


@every_target
@every_solver
def test_float32(target, solver):
    own, built_in, y = pair(target, solver=solver)
    # lbfgs chooses its steps by comparing losses, and roundings of 6e-8 may decide: a few of its iterations
    params = {"max_iter": 3} if solver == "lbfgs" else {}
    rows = X.astype(np.float32)
    own.set_params(**params).fit(rows, y, WEIGHT)
    built_in.set_params(**params).fit(rows, y, WEIGHT)
    assert own.network_.params.dtype == outputs(own, rows).dtype == np.float32
    # 32 steps, of which each carries on some roundings of 6e-8
    assert_allclose(own.network_.params, built_in.network_.params, rtol=2e-4, atol=2e-4)


@every_target
def test_early_stopping_and_partial_fit(target):
    own, built_in, y = pair(target, early_stopping=True, validation_fraction=0.3, n_iter_no_change=9)
    assert_allclose(own.fit(X, y).validation_scores_, built_in.fit(X, y).validation_scores_, rtol=1e-9)
    own, built_in, y = pair(target)
    classes = {"classes": np.arange(3) if target == "multilabel" else np.unique(y)}
    for model in (own, built_in):
        for _ in range(3):
            model.partial_fit(X, y, **(classes if isinstance(model, MLPClassifier) else {}))
    assert_allclose(own.network_.params, built_in.network_.params, rtol=1e-9, atol=1e-9)


@every_target
def test_clone_and_pickle(target):
    model, _, y = pair(target)
    model.fit(X, y)
    again = clone(model).fit(X, y)
    kept = pickle.loads(pickle.dumps(model))
    for other in (again, kept):
        assert other.loss.formula is model.loss.formula
        assert_array_equal(outputs(other), outputs(model))
    # and training continues in the same way
    assert_array_equal(outputs(kept.partial_fit(X, y)), outputs(model.partial_fit(X, y)))


@every_target
def test_grid_search(target):
    model, _, y = pair(target)
    builtin, formula = TARGETS[target][2:4]
    grid = {"loss": [builtin, FormulaLoss(formula)], "alpha": [1e-4, 1.0]}
    search = pickle.loads(pickle.dumps(GridSearchCV(model, grid, cv=2, scoring=score).fit(X, y)))
    scores = search.cv_results_["mean_test_score"].reshape(2, 2)  # alpha by loss
    assert_allclose(scores[:, 0], scores[:, 1], rtol=1e-9)
    assert (scores[0] != scores[1]).all()
    assert outputs(search.best_estimator_).shape[0] == 53


def score(model, rows, y):
    """A number that hangs on every weight."""
    return float(np.sum(outputs(model, rows) ** 2))


@every_target
def test_gradient_check(target):
    model, _, y = pair(target)
    check = gradient_check(model.fit(X, y), X, y, WEIGHT)
    assert check.passed, str(check)


def test_a_loss_that_is_not_built_in():
    # a few records a thousand times too large lead the squared error astray, and hardly log-cosh
    y = X[:, 0].copy()
    y[:3] *= 1000
    error = {}
    for loss in ("squared_error", FormulaLoss(log_cosh)):
        model = MLPRegressor(loss, (), solver="lbfgs", max_iter=500, random_state=0).fit(X, y)
        error[str(loss)] = np.abs(model.predict(X)[3:] - y[3:]).max()
    assert error["squared_error"] > 10
    assert error["FormulaLoss(log_cosh)"] < 0.1
