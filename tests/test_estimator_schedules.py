"""Schedules and warm-up in the estimators: which rate each step has, when training ends, and how runs continue."""

import pickle
import warnings
from functools import partial

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV
from sklearn.utils._param_validation import InvalidParameterError

import reference
from case_names import case_name
from fastbp import MLPClassifier, MLPRegressor
from fastbp.optimizers import Adam, Muon
from fastbp.schedules import SCHEDULES, Cosine, CosLog4, OneCycle, Plateau, WarmupCosine

RNG = np.random.default_rng(0)
X = RNG.normal(size=(60, 3))
Y = X[:, 0] * X[:, 1]
LABELS = np.digitize(Y, [-0.3, 0.3])
SMALL = dict(hidden_layer_sizes=(5,), activation="tanh", max_iter=6, batch_size=16, random_state=0, alpha=0.01)
N_STEPS = 4  # of an epoch
WITH_AN_END = [name for name, cls in SCHEDULES.items() if cls.has_end]
ignore_max_iter = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


def half(progress):
    return 0.5


def falling(progress):
    return 1 - progress


def fitted(Estimator=MLPRegressor, **params):
    return Estimator(**SMALL | params).fit(X, LABELS if Estimator is MLPClassifier else Y)


def assert_same_model(model, other):
    assert_array_equal(model.network_.params, other.network_.params)
    assert model.loss_curve_ == other.loss_curve_


class Rates:
    """Notes the learning rates that callbacks see."""

    def __init__(self):
        self.seen = []

    def on_fit_begin(self, state):
        self.seen.append(state.learning_rate)

    def on_epoch_end(self, state):
        self.seen.append(state.learning_rate)


# Which rate each step has


@ignore_max_iter
@pytest.mark.parametrize("Estimator", [MLPRegressor, MLPClassifier])
@pytest.mark.parametrize("solver", ["adam", "sgd", "muon"])
@pytest.mark.parametrize("name", SCHEDULES)
def test_a_name_and_an_object(name, solver, Estimator):
    model, other = (fitted(Estimator, solver=solver, learning_rate=rate, tol=0.1) for rate in (name, SCHEDULES[name]()))
    if not (solver == "adam" and SCHEDULES[name].is_for_sgd):  # then the name does not count
        assert_same_model(model, other)
    if SCHEDULES[name].has_end:
        constant = fitted(Estimator, solver=solver, tol=0.1)
        assert np.abs(model.network_.params - constant.network_.params).max() > 1e-4


@ignore_max_iter
@pytest.mark.parametrize("warmup", [0, 2, 0.5])
@pytest.mark.parametrize(
    ("learning_rate", "factor"),
    [
        (Cosine(0.1), Cosine(0.1).factor),
        ("one_cycle", OneCycle().factor),
        (falling, falling),
        ("constant", lambda progress: 1.0),
    ],
    ids=["cosine", "one_cycle", "function", "constant"],
)
def test_the_rate_of_every_step(learning_rate, factor, warmup):
    model = MLPRegressor(**SMALL, learning_rate=learning_rate, warmup=warmup, learning_rate_init=0.01)
    untrained = clone(model).set_params(learning_rate="constant", warmup=0, max_iter=1, learning_rate_init=1e-300)
    untrained.fit(X, Y)
    coefs, intercepts = ([w.copy() for w in arrays] for arrays in (untrained.coefs_, untrained.intercepts_))
    steps = np.arange(SMALL["max_iter"] * N_STEPS)
    rates = 0.01 * np.array([factor(step / len(steps)) for step in steps])
    n_warmup = {0: 0, 2: 2 * N_STEPS, 0.5: 3 * N_STEPS}[warmup]
    if n_warmup:
        rates *= np.minimum(1, (steps + 1) / n_warmup)
    rng = np.random.RandomState(0)
    rng.uniform(size=untrained.network_.n_params)  # the initial weights
    losses, _ = reference.train(
        coefs,
        intercepts,
        X,
        Y[:, None],
        update=partial(reference.adam_update),
        rates=rates.reshape(-1, N_STEPS),
        batch_size=16,
        random_state=rng,
        alpha=0.01,
        activations=("tanh", "identity"),
        loss="squared_error",
    )
    model.fit(X, Y)
    assert_allclose(model.loss_curve_, losses, rtol=1e-9)  # roundings of 24 steps
    for actual, expected in zip(model.coefs_, coefs, strict=True):
        assert_allclose(actual, expected, rtol=1e-7, atol=1e-9)


@ignore_max_iter
def test_a_function_is_called_with_the_progress_of_each_step():
    seen = []
    fitted(learning_rate=lambda progress: seen.append(progress) or 1.0)
    steps = SMALL["max_iter"] * N_STEPS
    assert sorted(set(seen)) == [step / steps for step in range(steps + 1)]


@ignore_max_iter
def test_half_the_rate_is_half_the_rate():
    assert_same_model(fitted(learning_rate=half), fitted(learning_rate_init=0.0005))


@ignore_max_iter
@pytest.mark.parametrize("params", [dict(learning_rate="one_cycle"), dict(warmup=3), dict(n_threads=2, warmup=0.4)])
def test_callbacks_see_the_coming_rate_and_change_nothing(params):
    callback = Rates()
    model = fitted(**params, callbacks=callback)
    assert_same_model(model, fitted(**params))
    n_epochs = SMALL["max_iter"]
    begin = np.arange(n_epochs + 1)
    expected = 0.001 * np.ones(n_epochs + 1)
    if "learning_rate" in params:
        expected *= OneCycle().factor(begin / n_epochs)
    else:
        n_warmup = {3: 3, 0.4: 2.4}[params["warmup"]] * N_STEPS
        expected *= np.minimum(1, (begin * N_STEPS + 1) / n_warmup)
    assert_allclose(callback.seen, expected, rtol=1e-12)


class Halve:
    """Halves the learning rate after an epoch."""

    def on_epoch_end(self, state):
        if state.epoch == 2:
            state.learning_rate /= 2
            assert state.learning_rate == state.optimizer.learning_rate * state.optimizer.factor


def test_a_callback_scales_the_rates_that_follow():
    model, halved = fitted(learning_rate="one_cycle"), fitted(learning_rate="one_cycle", callbacks=Halve())
    rates, expected = np.array(halved.history_["learning_rate"]), np.array(model.history_["learning_rate"])
    expected[2:] /= 2
    assert_allclose(rates, expected, rtol=1e-14)
    assert_allclose(rates[:2], 0.001 * OneCycle().factor(np.arange(2) / SMALL["max_iter"]), rtol=1e-14)


@ignore_max_iter
def test_lbfgs_has_no_schedule():
    model = fitted(solver="lbfgs", learning_rate="cosine", warmup=0.5)
    assert_array_equal(model.network_.params, fitted(solver="lbfgs").network_.params)


# When training ends


@pytest.mark.parametrize("learning_rate", [*WITH_AN_END, falling])
def test_a_schedule_with_an_end_runs_to_its_end(learning_rate):
    with warnings.catch_warnings():
        warnings.simplefilter("error", ConvergenceWarning)
        model = fitted(learning_rate=learning_rate, tol=10.0, n_iter_no_change=1, max_iter=20)
    assert model.n_iter_ == 20


def test_other_schedules_stop_and_warn():
    assert fitted(learning_rate="constant", tol=10.0, n_iter_no_change=1, max_iter=20).n_iter_ < 20
    with pytest.warns(ConvergenceWarning, match="Maximum iterations"):
        fitted(learning_rate="plateau")


@pytest.mark.parametrize("name", WITH_AN_END)
def test_early_stopping_stops_before_the_end(name):
    model = fitted(learning_rate=name, early_stopping=True, tol=10.0, n_iter_no_change=2, max_iter=20)
    assert model.n_iter_ < 20
    assert model.best_validation_score_ == max(model.validation_scores_)


@pytest.mark.parametrize("early_stopping", [False, True])
def test_plateau(early_stopping):
    callback = Rates()
    schedule = Plateau(factor=0.5, min_rate=0.0003)
    params = dict(tol=10.0, n_iter_no_change=2, max_iter=50, early_stopping=early_stopping)
    model = fitted(learning_rate=schedule, callbacks=callback, **params)
    assert sorted(set(callback.seen)) == [0.0003, 0.0005, 0.001]
    # the first epoch sets the best loss; three more exhaust patience, and again for each rate
    assert model.n_iter_ == 10


# How runs continue


@pytest.mark.parametrize(
    "params",
    [*(dict(learning_rate=name) for name in WITH_AN_END), dict(learning_rate=falling), dict(warmup=0.1)],
    ids=case_name,
)
def test_partial_fit_does_not_know_the_end(params):
    model = MLPRegressor(**SMALL | params)
    with pytest.raises(ValueError, match=r"partial_fit does not support .*, which depends on the number of epochs"):
        model.partial_fit(X, Y)
    assert not hasattr(model, "coefs_")


@ignore_max_iter
def test_partial_fit_after_a_schedule_with_an_end_has_the_initial_rate():
    callback = Rates()
    fitted(learning_rate="cosine").set_params(learning_rate="constant", callbacks=callback).partial_fit(X, Y)
    assert callback.seen == [0.001, 0.001]


def test_warmup_counts_the_calls_of_partial_fit():
    callback = Rates()
    model = MLPRegressor(**SMALL, shuffle=False, warmup=3, callbacks=callback)
    for _ in range(2):
        model.partial_fit(X, Y)
    model = pickle.loads(pickle.dumps(model))
    for _ in range(2):
        model.partial_fit(X, Y)
    seen = np.array([*callback.seen, *model.callbacks.seen[len(callback.seen) :]])
    expected = 0.001 * np.minimum(1, (np.array([0, 1, 1, 2, 2, 3, 3, 4]) * N_STEPS + 1) / (3 * N_STEPS))
    assert_allclose(seen, expected, rtol=1e-12)
    # the same as in one fit
    whole = MLPRegressor(**SMALL | dict(shuffle=False, warmup=3, max_iter=4))
    with pytest.warns(ConvergenceWarning):
        whole.fit(X, Y)
    assert_array_equal(whole.network_.params, model.network_.params)


def test_a_warm_start_begins_anew():
    callback = Rates()
    model = fitted(learning_rate="one_cycle", warm_start=True, callbacks=callback)
    first, callback.seen = callback.seen, []
    before = model.network_.params.copy()
    model.fit(X, Y)
    assert callback.seen == first
    assert np.abs(model.network_.params - before).max() > 1e-4
    assert len(model.loss_curve_) == 2 * SMALL["max_iter"]


def test_copies():
    model = fitted(MLPClassifier, learning_rate=OneCycle(max_factor=3.0), solver=Adam())
    for other in (pickle.loads(pickle.dumps(model)), clone(model)):
        assert other.learning_rate == OneCycle(max_factor=3.0)
    assert_same_model(clone(model).fit(X, LABELS), model)
    with_function = clone(fitted(learning_rate=falling, warmup=2))
    assert with_function.learning_rate is falling
    assert with_function.warmup == 2
    assert pickle.loads(pickle.dumps(with_function)).learning_rate is falling


def test_grid_search():
    model = MLPClassifier(**SMALL | dict(learning_rate=OneCycle(), learning_rate_init=0.03, solver=Muon()))
    grid = [
        {"learning_rate__warmup": [0.2, 0.4], "learning_rate__max_factor": [1.0, 2.0]},
        {"learning_rate": [CosLog4(), WarmupCosine(), "cosine", falling], "warmup": [0, 0.2]},
    ]
    search = GridSearchCV(model, grid, cv=2).fit(X, LABELS)
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()
    assert model.learning_rate == OneCycle()


# Errors


@pytest.mark.parametrize(
    ("params", "error", "match"),
    [
        (dict(learning_rate="fast"), InvalidParameterError, "'one_cycle'"),
        (dict(learning_rate=0.1), InvalidParameterError, "or a function"),
        (dict(learning_rate=OneCycle), InvalidParameterError, "Got <class 'fastbp.schedules.OneCycle'> instead"),
        (dict(learning_rate=OneCycle(warmup=2)), InvalidParameterError, "'warmup' parameter of OneCycle"),
        (dict(warmup=-1), InvalidParameterError, "'warmup' parameter"),
        (dict(warmup=1.5), InvalidParameterError, "'warmup' parameter"),
        (dict(warmup="long"), InvalidParameterError, "'warmup' parameter"),
        (dict(learning_rate=lambda progress: -1), ValueError, "must return a finite number of at least 0"),
        (dict(learning_rate=lambda progress: 1 / progress), ZeroDivisionError, "division"),
    ],
)
def test_bad_input_leaves_the_model(params, error, match):
    model = fitted(max_iter=20, learning_rate="cosine")
    before = vars(model).copy()
    with pytest.raises(error, match=match):
        model.set_params(**params).fit(X, Y)
    after = vars(model)
    assert all(after[name] is value for name, value in before.items() if name not in params)


class Stop(BaseException):
    pass


@pytest.mark.parametrize("error", [KeyboardInterrupt, Stop])
def test_an_interrupt_in_the_function(error):
    calls = []

    def rate(progress):
        calls.append(progress)
        if progress >= 0.5:
            raise error
        return 1.0

    model = MLPRegressor(**SMALL, learning_rate=rate, callbacks=Rates())  # one epoch at a time
    with pytest.raises(error):
        model.fit(X, Y)
    # Ctrl-C keeps the epochs that are over; an error of the user's code leaves the model as it was
    assert hasattr(model, "coefs_") == (error is KeyboardInterrupt)
    if error is KeyboardInterrupt:
        assert model.n_iter_ == 3  # of 6
