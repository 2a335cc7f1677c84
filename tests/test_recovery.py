"""The state of an estimator after Ctrl-C, a warning turned into an error, changed parameters, or no memory."""

import pickle
import warnings

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning

import fastbp.network
from fastbp import MLPClassifier, MLPRegressor
from interrupts import interrupt_after, processor_seconds

SMALL = dict(hidden_layer_sizes=(4,), max_iter=3, random_state=0)
ignore_max_iter = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


def problem(n=60):
    X = np.random.default_rng(0).normal(size=(n, 3))
    return X, (X[:, 0] > 0).astype(float)


@pytest.mark.fault(20)
@ignore_max_iter
@pytest.mark.parametrize("early_stopping", [False, True])
def test_interrupted_fit_keeps_its_record(early_stopping):
    X, y = problem(2000)
    model = MLPRegressor(**SMALL | dict(max_iter=10**7, tol=0.0, n_iter_no_change=10**7), early_stopping=early_stopping)
    hundred_epochs = processor_seconds(lambda: clone(model).set_params(max_iter=100).fit(X, y))
    with pytest.raises(KeyboardInterrupt), interrupt_after(3 * hundred_epochs):
        model.fit(X, y)
    assert model.n_iter_ > 0
    assert len(model.loss_curve_) == model.n_iter_
    assert model.loss_ == model.loss_curve_[-1]
    n_train = 1800 if early_stopping else 2000
    assert model.t_ == n_train * model.n_iter_
    if not early_stopping:
        assert model.best_loss_ == min(model.loss_curve_)


@pytest.mark.fault(20)
@ignore_max_iter
def test_interrupt_while_the_input_is_checked_restores_the_old_model(monkeypatch):
    X, y = problem()
    model = MLPClassifier(**SMALL).fit(X, y)
    before = model.predict_proba(X)

    def interrupted(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr(MLPClassifier, "_encode", interrupted)
    with pytest.raises(KeyboardInterrupt):
        model.fit(X[:, :2], np.where(y > 0, "yes", "no"))
    monkeypatch.undo()
    assert_array_equal(model.predict_proba(X), before)
    assert model.n_features_in_ == 3
    assert_array_equal(model.classes_, [0, 1])


@pytest.mark.parametrize("solver", ["adam", "sgd", "lbfgs"])
def test_a_convergence_warning_as_an_error_leaves_the_model_fitted(solver):
    X, y = problem()
    model = MLPClassifier(**SMALL, solver=solver)
    with warnings.catch_warnings():
        warnings.simplefilter("error", ConvergenceWarning)
        with pytest.raises(ConvergenceWarning):
            model.fit(X, y)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        expected = MLPClassifier(**SMALL, solver=solver).fit(X, y)
    assert_array_equal(model.predict_proba(X), expected.predict_proba(X))


def test_the_convergence_warning_points_at_the_caller():
    X, y = problem()
    with pytest.warns(ConvergenceWarning) as caught:
        MLPClassifier(**SMALL).fit(X, y)
    assert [warning.filename for warning in caught] == [__file__]


@pytest.mark.fault(19)
@pytest.mark.filterwarnings("ignore:lbfgs failed:sklearn.exceptions.ConvergenceWarning")
def test_lbfgs_without_memory(monkeypatch):
    X, y = problem()

    def no_memory(*arguments, **options):
        raise MemoryError("no room")

    model = MLPRegressor(**SMALL, solver="lbfgs")
    monkeypatch.setattr(fastbp.network.Network, "training_loop", no_memory)
    with pytest.raises(MemoryError, match="no room"):
        model.fit(X, y)
    assert not hasattr(model, "coefs_")


@ignore_max_iter
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_assigned_weights_of_another_type_or_size_get_a_fresh_optimizer(dtype):
    X, y = problem()
    model = MLPRegressor(**SMALL).fit(X.astype(np.float32), y)
    model.set_params(hidden_layer_sizes=(40,))
    rng = np.random.default_rng(1)
    model.coefs_ = [rng.normal(size=shape).astype(dtype) for shape in ((3, 40), (40, 1))]
    model.intercepts_ = [np.zeros(40, dtype), np.zeros(1, dtype)]
    model.partial_fit(X.astype(dtype), y)
    assert [s.shape for s in model._optimizer.state] == [(201,), (201,)]
    assert all(s.dtype == dtype for s in model._optimizer.state)
    assert all(np.isfinite(w).all() for w in model.coefs_ + model.intercepts_)


@ignore_max_iter
def test_partial_fit_begins_a_new_generator_with_a_new_seed():
    X, y = problem()

    def trained(first, then):
        model = MLPRegressor(**SMALL | dict(random_state=first), batch_size=10).fit(X, y)
        return model.set_params(random_state=then).partial_fit(X, y)

    # the weights of fit differ, but the shuffle of partial_fit is that of the new seed
    rows = np.random.RandomState(5).permutation(len(X))
    model = trained(0, 5)
    expected = MLPRegressor(**SMALL | dict(random_state=0), batch_size=10).fit(X, y)
    expected.set_params(shuffle=False).partial_fit(X[rows], y[rows])
    assert_array_equal(model.coefs_[0], expected.coefs_[0])
    # and never that of the generator that everybody shares
    model = MLPRegressor(**SMALL | dict(random_state=None), batch_size=10).fit(X, y).set_params(random_state=0)
    position = np.random.get_state()[2]
    model.partial_fit(X, y)
    assert np.random.get_state()[2] == position


@ignore_max_iter
def test_a_changed_activation_counts_at_once_and_after_pickling():
    X, y = problem()
    model = MLPRegressor(**SMALL).fit(X, y).set_params(activation="tanh")
    a = np.tanh(X @ model.coefs_[0] + model.intercepts_[0])
    # the same products in another order of summation
    np.testing.assert_allclose(model.predict(X), (a @ model.coefs_[1] + model.intercepts_[1]).ravel(), rtol=1e-12)
    assert_array_equal(pickle.loads(pickle.dumps(model)).predict(X), model.predict(X))


@ignore_max_iter
def test_n_threads_counts_at_once():
    X, y = problem()
    model = MLPRegressor(**SMALL).fit(X, y).set_params(n_threads=1)
    assert model.network_.n_threads == 1
    assert_array_equal(model.network_.forward(X).ravel(), model.predict(X))
