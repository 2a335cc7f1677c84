"""The same seed gives the same model, to the last bit, however the work is divided."""

import numpy as np
import pytest
from joblib import parallel_config
from numpy.testing import assert_array_equal
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV, cross_val_predict

import fastbp.network
import fastbp.threads
from fastbp import MLPClassifier, MLPRegressor, expand_grid, fit_many
from fault_cases import SMALL, both_estimators, make_data, output

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

X, Y = make_data(200)
# Each draws random numbers of its own, or adds sums of its own
OPTIONS = {
    "adam": {},
    "sgd": dict(solver="sgd", momentum=0.5, alpha=0.1),
    "lbfgs": dict(solver="lbfgs"),
    "muon": dict(solver="muon"),
    "early stopping": dict(early_stopping=True, n_iter_no_change=9),
    "dropout": dict(dropout=0.4, input_dropout=0.1),
    "mixup": dict(mixup_alpha=0.3),
    "batch normalization": dict(normalization="batch", batch_size=50),
    "average": dict(ema_decay=0.9, clip_norm=0.5),
    "whole batch": dict(batch_size=200, shuffle=False),
}
every_option = pytest.mark.parametrize("params", OPTIONS.values(), ids=OPTIONS)


def record(model):
    """All numbers of a fitted model that a user may look at."""
    params = [w.ravel() for w in [*model.coefs_, *model.intercepts_]]
    return np.concatenate([*params, getattr(model, "loss_curve_", []), [model.loss_], output(model, X).ravel()])


@pytest.mark.fault(27)
@both_estimators
@every_option
def test_the_same_seed_twice(Estimator, params):
    model = Estimator(**SMALL | params)
    first = record(model.fit(X, Y))
    np.random.rand(3)  # the generator that everybody shares has no part in it
    again, other = record(model.fit(X, Y)), record(clone(model).fit(X, Y))
    assert_array_equal(again, first)
    assert_array_equal(other, first)
    assert (record(Estimator(**SMALL | params | dict(random_state=1)).fit(X, Y)) != first).any()


@pytest.mark.fault(27)
@both_estimators
@every_option
def test_the_number_of_threads_does_not_matter(Estimator, params, monkeypatch):
    monkeypatch.setattr(fastbp.threads, "FLOPS_PER_THREAD", 1)
    monkeypatch.setattr(fastbp.network, "STARTED_FLOPS_PER_THREAD", 1)
    one, two, four = (record(Estimator(**SMALL | params, n_threads=n).fit(X, Y)) for n in (1, 2, 4))
    assert_array_equal(two, one)
    assert_array_equal(four, one)


@pytest.mark.fault(27)
@pytest.mark.parametrize("backend", ["loky", "threading"])
def test_n_jobs_does_not_matter(backend):
    model = MLPClassifier(**SMALL)
    results = []
    for n_jobs in (1, 2, 4):
        with parallel_config(backend):
            search = GridSearchCV(model, {"alpha": [0.1, 1.0]}, scoring="neg_log_loss", cv=2, n_jobs=n_jobs).fit(X, Y)
            predicted = cross_val_predict(model, X, Y, cv=2, n_jobs=n_jobs, method="predict_proba")
        scores = [search.cv_results_[f"split{i}_test_score"] for i in range(2)]
        results.append(np.concatenate([*scores, record(search.best_estimator_), predicted.ravel()]))
    assert_array_equal(results[1], results[0])
    assert_array_equal(results[2], results[0])


@pytest.mark.fault(27)
def test_n_jobs_of_fit_many_does_not_matter():
    grid = {"alpha": [0.1, 1.0], "solver": ["adam", "sgd", "lbfgs"]}
    results = []
    for n_jobs in (1, 2, 4):
        models = fit_many(expand_grid(MLPRegressor(**SMALL), grid), X, Y, n_jobs=n_jobs)
        results.append(np.concatenate([record(model) for model in models]))
    assert_array_equal(results[1], results[0])
    assert_array_equal(results[2], results[0])
