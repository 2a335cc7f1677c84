"""Training that increases the loss gives a warning, even if all numbers are finite."""

import warnings

import numpy as np
import pytest
from sklearn import neural_network
from sklearn.exceptions import ConvergenceWarning

from fastbp import MLPClassifier, MLPRegressor
from fault_cases import SMALL, both_estimators, make_data


@pytest.mark.fault(13)
@both_estimators
@pytest.mark.parametrize("early_stopping", [False, True])
def test_an_absurd_learning_rate_ends_training_in_the_first_epoch(Estimator, early_stopping):
    X, y = make_data(300)
    model = Estimator(learning_rate_init=1e6, early_stopping=early_stopping, random_state=0)
    with pytest.warns(
        ConvergenceWarning, match=r"The loss grew from .* in epoch 1 with learning rate 1e\+06; training"
    ):
        model.fit(X, y)
    assert model.n_iter_ == 1
    assert np.isfinite(model.predict(X)).all()


@pytest.mark.fault(13)
@both_estimators
def test_partial_fit_with_an_absurd_learning_rate(Estimator):
    X, y = make_data(300)
    first = {"classes": [0, 1, 2]} if Estimator is MLPClassifier else {}
    with pytest.warns(ConvergenceWarning, match=r"epoch 1 with learning rate 1e\+06"):
        Estimator(learning_rate_init=1e6, random_state=0).partial_fit(X, y, **first)


def test_a_loss_that_falls_is_not_told_of():
    X, y = make_data(300)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        MLPClassifier(max_iter=2000, random_state=0).fit(X, y)
        MLPRegressor(max_iter=2000, random_state=0, warm_start=True).fit(X, y).fit(X, y)


def test_a_perfect_fit_may_be_lost():
    # the first loss is about 0, that of other targets is not: nothing is wrong with the training
    X, _ = make_data(300)
    model = MLPRegressor(hidden_layer_sizes=(), solver="lbfgs", alpha=0.0, warm_start=True, random_state=0)
    model.fit(X, X[:, 0])
    model.set_params(solver="adam", max_iter=3000, tol=1e-6)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model.fit(X, X[:, 0]).fit(X, X[:, 1])
    assert model.score(X, X[:, 1]) > 0.99


@pytest.mark.fault(54)
@pytest.mark.filterwarnings("ignore:overflow encountered")
def test_a_loss_that_overflows_is_told_of():
    X, _ = make_data(100)
    with pytest.warns(ConvergenceWarning, match="The loss of epoch 4 is inf"):
        model = MLPRegressor(**SMALL).fit(X, X[:, 0] * 1e200)
    assert model.loss_ == np.inf


@pytest.mark.fault(54)
def test_lbfgs_on_inputs_that_overflow_raises():
    X, _ = make_data(100)
    model = MLPRegressor(**SMALL | dict(solver="lbfgs", max_iter=500)).fit(X, X[:, 0])
    before = model.predict(X)
    with pytest.raises(ValueError, match="The loss is nan after 0 iterations of L-BFGS"):
        model.fit(X * 1e300, X[:, 0])
    assert (model.predict(X) == before).all()


@pytest.mark.filterwarnings("ignore:Stochastic Optimizer:sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("shuffle", [True, False])
@pytest.mark.parametrize("listening", [True, False])
def test_rows_unlike_the_first_batch_are_no_growth(shuffle, listening):
    # the loss of one row is larger than that of the others by many orders, before and after any training
    X, _ = make_data(1000)
    y = X[:, 0].copy()
    y[990] = 1e5
    params = dict(max_iter=20, shuffle=shuffle, random_state=0, n_iter_no_change=30)
    callbacks = Nothing() if listening else None
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        model = MLPRegressor(**params, callbacks=callbacks).fit(X, y)
    assert model.n_iter_ == 20
    assert not [w for w in caught if "grew" in str(w.message)]
    reference = neural_network.MLPRegressor(**params).fit(X, y)
    np.testing.assert_allclose(model.loss_curve_, reference.loss_curve_, rtol=1e-6)


class Nothing:
    def on_epoch_end(self, state):
        return False
