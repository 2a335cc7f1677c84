"""A warm start with new data or new settings trains: patience and best score of the last fit are not kept."""

import copy
import pickle

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn import neural_network

from fastbp import MLPClassifier, MLPRegressor
from fastbp.optimizers import Adam
from fault_cases import SMALL, both_estimators, make_data

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


@pytest.mark.fault(57)
@pytest.mark.parametrize("early_stopping", [False, True])
def test_warm_start_learns_new_targets(early_stopping):
    X, _ = make_data(300)
    model = MLPRegressor(
        warm_start=True, early_stopping=early_stopping, max_iter=500, learning_rate_init=0.01, random_state=0
    )
    model.fit(X, X[:, 0])
    assert model.score(X, X[:, 0]) > 0.9
    model.fit(X, X[:, 1])
    assert model.n_iter_ > model.n_iter_no_change
    assert model.score(X, X[:, 1]) > 0.9


@pytest.mark.fault(57)
@pytest.mark.parametrize("early_stopping", [False, True])
@pytest.mark.parametrize("change", ["alpha", "weights", "partial_fit"])
def test_warm_start_trains_after_a_change(early_stopping, change):
    X, y = make_data(300)
    model = MLPRegressor(
        hidden_layer_sizes=(8,),
        warm_start=True,
        early_stopping=early_stopping,
        max_iter=300,
        n_iter_no_change=5,
        learning_rate_init=0.01,
        random_state=0,
    )
    model.fit(X, y)
    if change == "alpha":
        model.set_params(alpha=1.0)
    elif change == "weights":
        model.coefs_ = [np.zeros_like(W) for W in model.coefs_]
    else:
        model.set_params(early_stopping=False).partial_fit(X, -y).set_params(early_stopping=early_stopping)
    before = [W.copy() for W in model.coefs_]
    model.fit(X, y)
    assert model.n_iter_ > 5  # patience begins anew
    assert any((old != W).any() for W, old in zip(model.coefs_, before, strict=True))


@both_estimators
@pytest.mark.parametrize("early_stopping", [False, True])
def test_one_epoch_at_a_time(Estimator, early_stopping):
    X, y = make_data(200)
    y = (y > 0).astype(int)
    model = Estimator(**SMALL | dict(max_iter=1), warm_start=True, early_stopping=early_stopping)
    for epoch in range(1, 40):
        before = [] if epoch == 1 else [W.copy() for W in model.coefs_]
        model.fit(X, y)
        assert model.n_iter_ == 1
        assert len(model.loss_curve_) == epoch
        assert all((old != W).any() for W, old in zip(model.coefs_, before, strict=False))


def test_the_counters_that_scikit_learn_carries_on_go_on():
    X, y = make_data(100)
    model = MLPClassifier(**SMALL | dict(max_iter=3), warm_start=True, early_stopping=True)
    for fit in (1, 2):
        model.fit(X, (y > 0).astype(int))
        assert model.t_ == fit * 3 * 90
        assert len(model.loss_curve_) == len(model.validation_scores_) == fit * 3
        assert model.best_validation_score_ == max(model.validation_scores_[-3:])


def test_partial_fit_carries_its_patience():
    # an adaptive rate falls when several calls in a row bring no improvement
    X, y = make_data(100)
    model = MLPRegressor(
        **SMALL, solver="sgd", learning_rate="adaptive", learning_rate_init=0.05, tol=1e3, n_iter_no_change=2
    )
    rates = []
    for _ in range(8):
        model.partial_fit(X, y)
        rates.append(model._optimizer.learning_rate)
    assert_array_equal(np.round(rates, 6), [0.05] * 3 + [0.01] * 3 + [0.002] * 2)


class TrainedRows:
    """A callback that notes the rows that each fit trains on."""

    def __init__(self):
        self.fits = []

    def on_fit_end(self, state):
        self.fits.append(set(state.train_rows.tolist()))

    def __deepcopy__(self, memo):
        return self


@both_estimators
@pytest.mark.parametrize("seed", [None, 3, np.random.RandomState(3), np.random.default_rng(3)], ids=str)
@pytest.mark.parametrize("shuffle", [True, False])
def test_rows_that_were_held_out_are_never_trained_on(Estimator, seed, shuffle):
    """Else the score would be that of rows that earlier fits have learned."""
    X, y = make_data(100)
    rows = TrainedRows()
    params = SMALL | dict(max_iter=2, random_state=copy.deepcopy(seed), shuffle=shuffle, early_stopping=True)
    model = Estimator(**params, callbacks=rows).fit(X, y)
    model.set_params(warm_start=True).fit(X, y)
    model.set_params(callbacks=None)
    model = pickle.loads(pickle.dumps(model)).set_params(callbacks=rows).fit(X, y)
    first, *others = rows.fits
    assert len(first) == 90
    assert others == [first, first]
    # a fit from new weights has a split of its own, and so has another fraction
    model.set_params(warm_start=False).fit(X, y)
    assert (rows.fits[-1] == first) == isinstance(seed, int)
    model.set_params(warm_start=True, validation_fraction=0.3).fit(X, y)
    assert len(rows.fits[-1]) == 70


def test_a_failed_fit_does_not_change_the_split():
    X, y = make_data(100)
    rows = TrainedRows()
    model = MLPClassifier(**SMALL | dict(max_iter=2, random_state=None), early_stopping=True, callbacks=rows).fit(X, y)
    with pytest.raises(ValueError, match="NaN"):
        model.fit(np.full_like(X, np.nan), y)
    model.set_params(warm_start=True).fit(X, y)
    assert rows.fits[0] == rows.fits[1]


@pytest.mark.parametrize("change", [dict(beta_1=0.5), dict(beta_2=0.5, epsilon=0.1)], ids=str)
def test_partial_fit_goes_on_with_the_constants_of_its_first_call(change):
    """As scikit-learn's does, whether the constants are the estimator's or those of an optimizer."""
    X, y = make_data(100)
    params = dict(hidden_layer_sizes=(5,), shuffle=False, random_state=0)
    theirs = neural_network.MLPRegressor(**params)
    models = [MLPRegressor(**params), MLPRegressor(**params, solver=Adam())]
    changes = [change, {f"solver__{name}": value for name, value in change.items()}]
    for model, changed in [(theirs, change), *zip(models, changes, strict=True)]:
        model.partial_fit(X, y)
        model.set_params(**changed).partial_fit(X, y).partial_fit(X, y)
    for model in models:
        for ours, other in zip(model.coefs_, theirs.coefs_, strict=True):
            assert_allclose(ours, other, rtol=1e-9)  # rounding of three steps
        before = copy.deepcopy(model)
        model.fit(X, y)  # which takes the new ones
        assert_array_equal(model.coefs_[0], MLPRegressor(**params, **change).fit(X, y).coefs_[0])
        assert (before.coefs_[0] != model.coefs_[0]).any()
