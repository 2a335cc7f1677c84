"""The solvers that scikit-learn does not have, on the estimators; `optimizers.py`, `estimators/parameters.py`."""

import pickle

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.model_selection import GridSearchCV
from sklearn.utils._param_validation import InvalidParameterError

import fastbp.threads
import reference
from fastbp import MLPClassifier, MLPRegressor, Network
from fastbp.layers import Dense
from fastbp.optimizers import OPTIMIZERS, AdamW, Lion, Muon, NAdam, ScheduleFree
from fastbp.schedules import Adaptive
from interrupts import interrupt_after

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

RNG = np.random.default_rng(0)
X = RNG.normal(size=(60, 3))
Y = np.tanh(X @ RNG.normal(size=(3, 2)))
LABELS = np.digitize(X[:, 0], [-0.3, 0.3])
SMALL = dict(hidden_layer_sizes=(5,), max_iter=4, batch_size=16, random_state=0, learning_rate_init=0.01)
NEW = [name for name in OPTIMIZERS if name not in ("sgd", "adam")]
every_solver = pytest.mark.parametrize("solver", NEW)


def regressor(**params):
    return MLPRegressor(**SMALL | params)


def params_of(model):
    return model.network_.params


@every_solver
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_it_learns(solver, dtype):
    model = regressor(solver=solver, max_iter=100, hidden_layer_sizes=(16, 16))
    assert model.fit(X.astype(dtype), Y).score(X, Y) > 0.8
    assert params_of(model).dtype == dtype
    classifier = MLPClassifier(**SMALL | dict(solver=solver, max_iter=100)).fit(X.astype(dtype), LABELS)
    assert classifier.score(X, LABELS) > 0.6  # a third by chance


@every_solver
def test_a_name_and_an_object_give_the_same_model(solver):
    by_name, by_object = (regressor(solver=s).fit(X, Y) for s in (solver, OPTIMIZERS[solver]()))
    assert_array_equal(params_of(by_name), params_of(by_object))


@every_solver
def test_partial_fit_goes_on_where_it_stopped(solver):
    # memory and states continue, over a pickle and a copy too: epoch by epoch it is one fit
    params = dict(solver=solver, shuffle=False)
    whole = regressor(**params, tol=0).fit(X, Y)
    parts = regressor(**params)
    for _ in range(4):
        parts = pickle.loads(pickle.dumps(parts.partial_fit(X, Y)))
    assert_array_equal(params_of(parts), params_of(whole))
    assert_array_equal(parts._optimizer.memory, whole._optimizer.memory)


@every_solver
def test_warm_start_keeps_the_weights_and_begins_with_new_moments(solver):
    model = regressor(solver=solver, warm_start=True, shuffle=False).fit(X, Y)
    before = params_of(model).copy()
    start = regressor(solver=solver, shuffle=False, max_iter=1).fit(X, Y)
    start.network_.params = before
    model.fit(X, Y)
    assert model._optimizer.n_steps == 16
    assert (params_of(model) != before).any()


@pytest.mark.parametrize("solver", [name for name in NEW if name != "schedule_free"])
def test_steps_are_the_twins(solver):
    """For muon, a network without a hidden matrix: all of it is adamw's."""
    hidden = () if solver == "muon" else (5,)
    model = regressor(solver=solver, alpha=0.1, shuffle=False, hidden_layer_sizes=hidden, activation="tanh").fit(X, Y)
    start = Network((3, *hidden, 2), "tanh", random_state=0)
    name, decay = ("adamw" if solver == "muon" else solver), OPTIMIZERS[solver]().weight_decay

    def update(g, w, state, t, learning_rate):
        w = w * (1 - learning_rate * decay) if w.ndim == 2 else w
        return reference.OPTIMIZERS[name](g, w, state, t, learning_rate=learning_rate)

    reference.train(
        start.coefs,
        start.intercepts,
        X,
        Y,
        update=update,
        rates=[0.01] * 4,
        batch_size=16,
        activations=("tanh",) * len(hidden) + ("identity",),
        loss="squared_error",
        alpha=0.1,
    )
    # 16 steps, whose rounding divisions by small moments magnify; lion's sign would flip only at 0
    for ours, theirs in zip(model.coefs_ + model.intercepts_, start.coefs + start.intercepts, strict=True):
        assert_allclose(ours, theirs, rtol=1e-7, atol=1e-9)


@every_solver
def test_early_stopping_and_callbacks(solver):
    seen = []

    class Record:
        def on_epoch_end(self, state):
            seen.append(state.network.params.copy())
            return len(seen) == 3

    regressor(solver=solver, early_stopping=True, callbacks=Record()).fit(X, Y)
    assert len(seen) == 3
    assert np.isfinite(seen).all()


@pytest.mark.parametrize("solver", ["nadam", "adamw"])
def test_an_interrupt_leaves_the_state_of_the_last_step(solver):
    wide = dict(hidden_layer_sizes=(200, 200), max_iter=10_000, n_iter_no_change=np.inf)
    model = regressor(solver=solver, **wide)
    with pytest.raises(KeyboardInterrupt), interrupt_after(0.3):
        model.fit(X, Y)
    steps = model._optimizer.n_steps
    mu = 0.9 * (1 - 0.5 * 0.96 ** (0.004 * np.arange(1, steps + 1)))
    expected = 1 - mu.prod() if solver == "nadam" else 0
    # a product of as many roundings
    assert_allclose(model._optimizer.memory[0], [expected, 0], rtol=1e-12)


def test_a_name_of_a_schedule_counts_for_all_but_adam():
    plateau = dict(learning_rate="adaptive", tol=10.0, n_iter_no_change=1, max_iter=10)
    for solver in NEW:
        assert regressor(solver=solver, **plateau).fit(X, Y)._optimizer.learning_rate < 0.01
    assert regressor(solver="adam", **plateau).fit(X, Y)._optimizer.learning_rate == 0.01
    assert (
        regressor(solver="adam", **plateau | dict(learning_rate=Adaptive())).fit(X, Y)._optimizer.learning_rate < 0.01
    )


def test_a_grid_reaches_the_decay():
    grid = {"solver__weight_decay": [0.0, 10.0]}
    search = GridSearchCV(regressor(solver=AdamW()), grid, cv=2).fit(X, Y)
    assert search.best_estimator_.solver.weight_decay in (0.0, 10.0)
    assert len(set(search.cv_results_["mean_test_score"])) == 2
    search = GridSearchCV(regressor(), {"weight_decay": [None, 10.0]}, cv=2).fit(X, Y)
    assert len(set(search.cv_results_["mean_test_score"])) == 2


# weight_decay


@pytest.mark.parametrize("solver", OPTIMIZERS)
def test_weight_decay_of_every_solver(solver):
    """One step from a gradient of zero: the weights shrink, the biases stay."""
    start = Network((3, 5, 2), random_state=0)
    X0, Y0 = np.zeros((20, 3)), np.zeros((20, 2))
    start.intercepts[0][...] = 0
    start.intercepts[1][...] = 0
    model = regressor(solver=solver, weight_decay=20.0, alpha=0, max_iter=1, warm_start=True).fit(X0, Y0)
    for w, w0 in zip(model.coefs_, start.coefs, strict=True):
        assert w.shape == w0.shape
    model.coefs_, model.intercepts_ = [W.copy() for W in start.coefs], [b.copy() for b in start.intercepts]
    model.fit(X0, Y0)
    for w, w0 in zip(model.coefs_, start.coefs, strict=True):
        # two batches; the average of z_1 = 0.8 w and of z_2 = 0.64 w for schedule_free
        assert_allclose(w, w0 * (0.72 if solver == "schedule_free" else 0.64), rtol=1e-14)
    for b in model.intercepts_:
        assert_array_equal(b, 0)


def test_none_is_the_solvers_own():
    for solver, decay in [("adamw", 0.01), ("muon", 0.01), ("lion", 0.0), ("adam", 0.0)]:
        own, given = regressor(solver=solver).fit(X, Y), regressor(solver=solver, weight_decay=decay).fit(X, Y)
        assert_array_equal(params_of(own), params_of(given))
    by_object = regressor(solver=AdamW(weight_decay=3.0)).fit(X, Y)
    assert_array_equal(params_of(by_object), params_of(regressor(solver="adamw", weight_decay=3.0).fit(X, Y)))
    assert (params_of(by_object) != params_of(regressor(solver="adamw").fit(X, Y))).any()


def test_factors_of_a_layer():
    frozen, free = Dense(5, "relu", learning_rate_factor=0.0), Dense(5, "relu", penalty_factor=0.0)
    start = Network(layers=[frozen, free, Dense(2)], n_features=3, random_state=0)
    model = regressor(layers=[frozen, free], weight_decay=5.0).fit(X, Y)
    assert_array_equal(model.coefs_[0], start.coefs[0])
    plain = regressor(layers=[frozen, Dense(5, "relu", penalty_factor=0.0)], weight_decay=0.0).fit(X, Y)
    # the output layer decays, the other does not: it differs by what the output passes back only
    assert np.abs(model.coefs_[2]).sum() < np.abs(plain.coefs_[2]).sum()


@pytest.mark.parametrize("solver", [AdamW(), Lion(), Muon()], ids=repr)
def test_two_decays_are_one_too_many(solver):
    with pytest.raises(ValueError, match=r"weight_decay=0.1 and solver=.*own: set solver__weight_decay, and leave"):
        regressor(solver=solver, weight_decay=0.1).fit(X, Y)
    regressor(solver=NAdam(), weight_decay=0.1).fit(X, Y)


def test_lbfgs_has_no_weight_decay():
    with pytest.raises(
        ValueError, match=r"solver='lbfgs' has no weight_decay, got weight_decay=0.1. Set weight_decay=None, or"
    ):
        regressor(solver="lbfgs", weight_decay=0.1).fit(X, Y)


@pytest.mark.parametrize("value", [-1.0, np.nan, np.inf, "much"])
def test_bad_weight_decay(value):
    with pytest.raises(InvalidParameterError, match="The 'weight_decay' parameter of MLPRegressor must be"):
        regressor(weight_decay=value).fit(X, Y)


# schedule_free


class WeightsOfEachEpoch:
    def __init__(self):
        self.params = []

    def on_epoch_end(self, state):
        self.params.append(state.network.params.copy())


def averages(solver, n_epochs, batch_size=20, weight_decay=0.0):
    """x after each epoch, by the algorithm of the paper."""
    network = Network((3, 5, 2), "tanh", random_state=0, alpha=0.1)
    x, z, v, found = network.params.copy(), network.params.copy(), 0.0, []
    decaying = np.concatenate([np.ones(network.n_coefs), np.zeros(network.n_params - network.n_coefs)])
    t, weight_sum = 0, 0.0
    for _ in range(n_epochs):
        for start in range(0, len(X), batch_size):
            t += 1
            y = (1 - solver.beta_1) * z + solver.beta_1 * x
            network.params = y
            gradient = network.loss_and_gradient(X[start : start + batch_size], Y[start : start + batch_size])[1]
            v = solver.beta_2 * v + (1 - solver.beta_2) * gradient**2
            eta = 0.05 * min(1, t / max(solver.warmup_steps, 1))
            denominator = np.sqrt(v / (1 - solver.beta_2**t)) + solver.epsilon
            z = z - eta * (gradient / denominator + weight_decay * decaying * y)
            weight_sum += eta**2
            x = x + eta**2 / weight_sum * (z - x)
        found.append(x)
    return found


FREE = dict(activation="tanh", shuffle=False, alpha=0.1, batch_size=20, learning_rate_init=0.05, tol=0)


@pytest.mark.parametrize(
    "solver", [ScheduleFree(), ScheduleFree(0.5, 0.9, 1e-3, warmup_steps=5), ScheduleFree(weight_decay=2.0)], ids=repr
)
def test_the_weights_between_epochs_are_the_average(solver):
    seen = WeightsOfEachEpoch()
    model = regressor(solver=solver, callbacks=seen, **FREE).fit(X, Y)
    expected = averages(solver, 4, weight_decay=solver.weight_decay)
    # twelve steps, whose rounding divisions by small moments magnify
    assert_allclose(seen.params, expected, rtol=1e-8, atol=1e-10)
    assert_array_equal(params_of(model), seen.params[-1])
    # without a callback the compiled loop runs all epochs: the same bits
    assert_array_equal(params_of(regressor(solver=solver, **FREE).fit(X, Y)), seen.params[-1])


def test_the_validation_score_is_that_of_the_average():
    seen = WeightsOfEachEpoch()
    model = MLPRegressor(**SMALL | dict(solver="schedule_free", max_iter=6, early_stopping=True, tol=0, callbacks=seen))
    model.fit(X, Y[:, 0])
    scores = model.validation_scores_
    assert_array_equal(params_of(model), seen.params[int(np.argmax(scores))])
    assert len(seen.params) == 6


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_averages_do_not_depend_on_the_threads(dtype, monkeypatch):
    monkeypatch.setattr(fastbp.threads, "FLOPS_PER_THREAD", 1)
    wide = RNG.normal(size=(90, 131)).astype(dtype)

    def trained(n_threads):
        params = dict(hidden_layer_sizes=(207, 30), batch_size=45, solver="schedule_free", n_threads=n_threads)
        return params_of(regressor(**params).fit(wide, wide[:, :3]))

    one = trained(1)
    for n_threads in (2, 3):
        assert_array_equal(trained(n_threads), one)


def test_an_interrupt_leaves_the_average():
    wide = dict(hidden_layer_sizes=(200, 200), max_iter=10_000, n_iter_no_change=np.inf, shuffle=False, batch_size=20)
    params = dict(solver="schedule_free", **wide)
    model = regressor(**params)
    with pytest.raises(KeyboardInterrupt), interrupt_after(0.3):
        model.fit(X, Y)
    steps = model._optimizer.n_steps
    assert_allclose(model._optimizer.memory[0], [steps * 0.01**2, 0.01], rtol=1e-10)
    # the same steps without an interrupt: whole epochs, and the rest as a shorter one
    other = regressor(**params | dict(max_iter=max(steps // 3, 1))).fit(X, Y)
    if steps % 3:
        other.partial_fit(X[: 20 * (steps % 3)], Y[: 20 * (steps % 3)])
    # between two epochs x becomes y and y becomes x again: rounding
    assert_allclose(params_of(model), params_of(other), rtol=0, atol=1e-9)


def test_max_norm_is_no_limit_of_an_average():
    for solver in ("schedule_free", ScheduleFree()):
        with pytest.raises(ValueError, match=r"an average of weights, .* got max_norm=1.0. Set max_norm=None, or"):
            regressor(solver=solver, max_norm=1.0).fit(X, Y)
