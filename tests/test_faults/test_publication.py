"""During a fit, others see the old model unchanged, until the new one replaces it."""

import itertools
import pickle
import sys
import threading

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

from fastbp import Callback, MLPClassifier, MLPRegressor
from fault_cases import SMALL, both_estimators, make_data

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


class Do(Callback):
    """Calls a function at the end of every epoch; clones share it."""

    def __init__(self, function):
        self.function = function

    def on_epoch_end(self, state):
        self.function()

    def __reduce__(self):  # a pickle of the estimator takes its callbacks along
        return type(self), (int,)


SOLVERS = pytest.mark.parametrize("params", [{}, {"solver": "lbfgs"}, {"early_stopping": True, "n_iter_no_change": 99}])


@pytest.mark.fault(51)
@SOLVERS
def test_a_callback_sees_the_old_model_during_a_refit_with_other_labels(params):
    X, y = make_data(100)
    old = np.array(["a", "b", "c"])[np.arange(100) % 3]
    new = np.array(["x", "y"])[(y > 0).astype(int)]
    model = MLPClassifier(**SMALL | params).fit(X, old)
    expected, seen = model.predict_proba(X), []

    def look():
        assert set(model.predict(X)) <= {"a", "b", "c"}
        seen.append((model.predict_proba(X), pickle.loads(pickle.dumps(model)).predict_proba(X)))
        assert clone(model).get_params()["solver"] == model.solver

    copy = pickle.loads(pickle.dumps(model))
    model.set_params(callbacks=Do(look))
    model.fit(X[:, :2], new)
    assert seen
    for now, pickled in seen:
        assert_array_equal(now, expected)
        assert_array_equal(pickled, expected)
    assert set(model.classes_) == {"x", "y"}
    assert model.n_features_in_ == 2
    assert model.predict_proba(X[:, :2]).shape == (100, 2)
    assert_array_equal(copy.predict_proba(X), expected)


@pytest.mark.fault(9)
@pytest.mark.fault(51)
@both_estimators
@SOLVERS
def test_a_first_fit_is_not_fitted_until_it_is_over(Estimator, params):
    X, y = make_data(100)
    errors = []

    def look():
        for call in (model.predict, model.score, lambda *_: model.network_):
            with pytest.raises(NotFittedError) as caught:
                call(X, *([y] if call == model.score else []))
            errors.append(caught.value)

    model = Estimator(**SMALL | params)
    model.set_params(callbacks=Do(look)).fit(X, (y > 0).astype(int))
    assert errors
    model.predict(X)


@pytest.mark.fault(51)
@both_estimators
def test_the_old_model_answers_during_partial_fit(Estimator):
    X, y = make_data(100)
    y = (y > 0).astype(int)
    model = Estimator(**SMALL).fit(X, y)
    before, coefs, seen = model.predict(X), [W.copy() for W in model.coefs_], []
    model.set_params(callbacks=Do(lambda: seen.append((model.predict(X), [W.copy() for W in model.coefs_]))))
    model.partial_fit(X, y)
    assert_array_equal(seen[0][0], before)
    for seen_W, W, now in zip(seen[0][1], coefs, model.coefs_, strict=True):
        assert_array_equal(seen_W, W)
        assert (now != W).any()


@pytest.mark.fault(25)
@pytest.mark.fault(51)
def test_a_thread_that_predicts_beside_refits_sees_one_model_or_the_other():
    X, _ = make_data(60)
    first = np.array(["a", "b", "c"])[np.arange(60) % 3]
    second = np.array(["v", "w", "x", "y", "z"])[np.arange(60) % 5]
    models = {}
    for labels in (first, second):
        trained = MLPClassifier(**SMALL | dict(max_iter=2)).fit(X, labels)
        models[tuple(trained.classes_)] = trained.predict(X)
    model = MLPClassifier(**SMALL | dict(max_iter=2)).fit(X, first)
    wrong, stop, rounds = [], threading.Event(), []

    def predict():
        while not stop.is_set():
            answer = model.predict(X)
            rounds.append(1)
            if not any(np.array_equal(answer, expected) for expected in models.values()):
                wrong.append(answer)

    thread = threading.Thread(target=predict)
    thread.start()
    try:
        for _ in range(40):
            model.fit(X, second)
            model.fit(X, first)
    finally:
        stop.set()
        thread.join()
    assert rounds
    assert not wrong


@both_estimators
def test_parameters_set_by_a_callback_stay(Estimator):
    X, y = make_data(60)
    model = Estimator(**SMALL | dict(max_iter=3))
    model.set_params(callbacks=Do(lambda: model.set_params(alpha=0.5))).fit(X, (y > 0).astype(int))
    assert model.alpha == 0.5


def test_attributes_set_meanwhile_are_no_hindrance():
    # another thread sets attributes while the new ones are published
    X, y = make_data(60)
    model, stop = MLPRegressor(**SMALL | dict(max_iter=1)), threading.Event()

    def set_attributes():
        for number in itertools.count():
            setattr(model, f"note_{number % 1000}", number)
            if stop.is_set():
                return

    interval = sys.getswitchinterval()
    thread = threading.Thread(target=set_attributes)
    thread.start()
    try:
        sys.setswitchinterval(1e-6)
        for _ in range(100):
            model.fit(X, y)
    finally:
        sys.setswitchinterval(interval)
        stop.set()
        thread.join()
    assert np.isfinite(model.predict(X)).all()


class Interruption(Exception):
    """Raised by the training itself."""


@pytest.mark.fault(21)
@SOLVERS
def test_a_failing_refit_leaves_every_attribute(params):
    X, y = make_data(100)
    model = MLPRegressor(**SMALL | params).fit(X, y)
    before = vars(model).copy()
    copies = [W.copy() for W in model.coefs_]

    def fail():
        raise Interruption

    callback = Do(fail)
    model.set_params(callbacks=callback)
    with pytest.raises(Interruption):
        model.fit(X[:, :3], -y)
    assert vars(model) == before | {"callbacks": callback}
    for W, copy in zip(model.coefs_, copies, strict=True):
        assert_array_equal(W, copy)


def test_a_failing_partial_fit_puts_the_generator_back():
    X, y = make_data(100)
    model, twin = (MLPRegressor(**SMALL | dict(batch_size=10)).fit(X, y) for _ in range(2))

    def fail():
        raise Interruption

    model.set_params(callbacks=Do(fail))
    with pytest.raises(Interruption):
        model.partial_fit(X, y)
    model.set_params(callbacks=None).partial_fit(X, y)
    twin.partial_fit(X, y)
    for W, expected in zip(model.coefs_, twin.coefs_, strict=True):
        assert_array_equal(W, expected)


@SOLVERS
@both_estimators
def test_weights_that_a_callback_overwrites_are_those_that_were_given(Estimator, params):
    class Spoil(Callback):
        def on_epoch_end(self, state):
            state.sample_weight[:] = np.nan

    X, y = make_data(100)
    y, weight = (y > 0).astype(int), np.linspace(0.5, 1.5, 100)
    expected = Estimator(**SMALL | params).fit(X, y, weight)
    model = Estimator(**SMALL | params, callbacks=Spoil()).fit(X, y, weight.copy())
    for W, other in zip(model.coefs_, expected.coefs_, strict=True):
        assert_array_equal(W, other)
