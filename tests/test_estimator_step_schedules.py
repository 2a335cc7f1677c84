"""Schedules of weight decay and dropout, and the settings of the output layer, in the estimators."""

import pickle
from math import cos, pi

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV
from sklearn.utils._param_validation import InvalidParameterError

import reference
from fastbp import MLPClassifier, MLPRegressor, find_learning_rate
from fastbp.activations import Blend
from fastbp.inspection import gradient_check
from fastbp.layers import Activation, Dense, Dropout, Scale
from fastbp.optimizers import AdamW
from fastbp.schedules import Constant, Cosine, FlatCosine, OneCycle, WarmupCosine
from graph_reference import GraphTwin

RNG = np.random.default_rng(0)
X = RNG.normal(size=(60, 3))
Y = X[:, 0] * X[:, 1]
LABELS = np.digitize(Y, [-0.3, 0.3])
SMALL = dict(hidden_layer_sizes=(8,), max_iter=6, batch_size=16, random_state=0)
ignore_max_iter = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


def half(progress):
    return 0.5


def none(progress):
    return 0.0


def fitted(**params):
    return MLPRegressor(**SMALL | params).fit(X, Y)


def assert_same_model(model, other):
    assert_array_equal(model.network_.params, other.network_.params)
    assert model.loss_curve_ == other.loss_curve_


# Schedules of weight decay and dropout


@ignore_max_iter
@pytest.mark.parametrize("solver", ["sgd", "adamw", "muon", "schedule_free"])
def test_factors_of_weight_decay(solver):
    params = dict(solver=solver, tol=0, n_iter_no_change=100)
    for factor, schedule in ((0.5, half), (0.0, none)):
        plain = fitted(weight_decay=0.5 * factor, **params)
        assert_same_model(fitted(weight_decay=0.5, weight_decay_schedule=schedule, **params), plain)
    assert (fitted(weight_decay=0.5, **params).network_.params != plain.network_.params).all()


@ignore_max_iter
def test_factors_of_dropout():
    params = dict(shuffle=False, tol=0, n_iter_no_change=100)  # the seed of the masks is a draw more
    for factor, schedule in ((0.5, half), (0.0, none)):
        plain = fitted(dropout=0.5 * factor, input_dropout=0.25 * factor, **params)
        assert_same_model(fitted(dropout=0.5, input_dropout=0.25, dropout_schedule=schedule, **params), plain)
    layers = [Dense(8, "relu"), Dropout(0.5)]
    assert_same_model(fitted(layers=layers, dropout_schedule=none, **params), fitted(layers=layers[:1], **params))


@pytest.mark.parametrize("name", ["weight_decay_schedule", "dropout_schedule"])
def test_a_name_and_an_object(name):
    params = dict(dropout=0.3, weight_decay=0.5, solver="adamw")
    model = fitted(**params, **{name: "flat_cosine"})
    assert_same_model(fitted(**params, **{name: FlatCosine()}), model)
    assert_same_model(fitted(**params, **{name: lambda p: (1 + cos(pi * (2 * max(p, 0.5) - 1))) / 2}), model)
    plain = fitted(**params, **{name: Cosine(final_factor=1.0)})
    assert (plain.network_.params != model.network_.params).any()


def test_all_epochs_are_trained():
    # the losses of a run that is planned to its end may stand still on the way
    assert fitted(dropout_schedule="cosine", n_iter_no_change=1, tol=10.0).n_iter_ == 6


def test_threads_and_copies(monkeypatch):
    monkeypatch.setattr("fastbp.threads.FLOPS_PER_THREAD", 1)
    params = dict(dropout=0.3, solver=AdamW(weight_decay=0.5), weight_decay_schedule=half, dropout_schedule="cosine")
    model = fitted(**params, n_threads=1)
    assert_same_model(fitted(**params, n_threads=2), model)
    for copy in (clone(model), pickle.loads(pickle.dumps(model))):
        assert copy.get_params()["weight_decay_schedule"] is half
        assert_same_model(copy.fit(X, Y), model)
    assert_same_model(model.set_params(warm_start=True).fit(X, Y), clone(model).fit(X, Y).fit(X, Y))


def test_grid_search():
    model = MLPClassifier(**SMALL, dropout=0.3, dropout_schedule=FlatCosine())
    grid = {"dropout_schedule__flat": [0.2, 0.4], "weight_decay_schedule": [None, "cosine", OneCycle()]}
    search = GridSearchCV(model.set_params(learning_rate="cosine"), grid, cv=2, error_score="raise").fit(X, LABELS)
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()


@pytest.mark.filterwarnings("ignore:The loss does not fall:UserWarning")
def test_a_sweep_of_learning_rates_has_no_schedules():
    sweeps = [
        find_learning_rate(MLPRegressor(**SMALL, dropout=0.3, **more), X, Y, n_steps=20)
        for more in ({}, dict(dropout_schedule=none, weight_decay_schedule=none))
    ]
    assert_array_equal(sweeps[0].losses, sweeps[1].losses)


@pytest.mark.parametrize(
    ("params", "error", "match"),
    [
        (dict(dropout_schedule="constant"), InvalidParameterError, "'flat_cosine'"),
        (dict(weight_decay_schedule=Constant()), InvalidParameterError, "'weight_decay_schedule' parameter"),
        (dict(weight_decay_schedule=0.5), InvalidParameterError, "'weight_decay_schedule' parameter"),
        (dict(dropout_schedule=FlatCosine(2.0)), InvalidParameterError, "'flat' parameter of FlatCosine"),
        (dict(weight_decay_schedule=lambda p: -1), ValueError, "weight_decay_schedule=<lambda> must return a finite"),
        (
            dict(dropout_schedule=lambda p: 1 + p),
            ValueError,
            "factors of dropout_schedule must not be above 1, got 1.9",
        ),
        (dict(dropout_schedule="cosine", solver="lbfgs"), ValueError, "solver='lbfgs' has no dropout_schedule"),
        (dict(weight_decay_schedule=Cosine(), solver="lbfgs"), ValueError, "no weight_decay_schedule, got weight_dec"),
        (dict(output_layer=Dense(3)), ValueError, "output_layer must have units=None: .*; got Dense"),
        (dict(output_layer=Dense(None, "tanh")), ValueError, "output_layer must have activation='identity'"),
        (dict(output_layer=Scale()), TypeError, "output_layer must be None or an object of fastbp.layers.Dense, got S"),
    ],
)
def test_bad_input_leaves_the_model(params, error, match):
    model = fitted(learning_rate="cosine")
    before = vars(model).copy()
    with pytest.raises(error, match=match):
        model.set_params(**params).fit(X, Y)
    after = vars(model)
    assert all(after[name] is value for name, value in before.items() if name not in params)


@pytest.mark.parametrize("name", ["weight_decay_schedule", "dropout_schedule"])
def test_partial_fit_does_not_know_the_end(name):
    with pytest.raises(ValueError, match=f"partial_fit does not support {name}='cosine', which depends on the number"):
        MLPRegressor(**SMALL, **{name: "cosine"}).partial_fit(X, Y)


# The output layer


@ignore_max_iter
@pytest.mark.parametrize("Estimator", [MLPClassifier, MLPRegressor])
def test_the_output_layer(Estimator):
    y = LABELS if Estimator is MLPClassifier else Y
    plain = Estimator(**SMALL).fit(X, y)
    same = Estimator(**SMALL, output_layer=Dense(None)).fit(X, y)
    assert_same_model(same, plain)
    # a rate of 0: it stays, and so do its biases with a factor of 0
    frozen = Estimator(**SMALL, output_layer=Dense(None, learning_rate_factor=0)).fit(X, y)
    assert_same_model(
        Estimator(**SMALL | dict(alpha=0), frozen_layers=[-1]).fit(X, y), frozen.set_params(alpha=0).fit(X, y)
    )
    biases = Estimator(**SMALL, output_layer=Dense(None, bias_learning_rate_factor=0)).fit(X, y)
    assert_array_equal(biases.intercepts_[-1], frozen.intercepts_[-1])
    assert (biases.coefs_[-1] != frozen.coefs_[-1]).any()
    without = Estimator(**SMALL, output_layer=Dense(None, use_bias=False)).fit(X, y)
    assert "b_2" not in without.network_.blocks
    assert gradient_check(without, X[:8], y[:8]).passed
    for copy in (clone(without), pickle.loads(pickle.dumps(without))):
        assert copy.output_layer == Dense(None, use_bias=False)
        assert_same_model(copy.fit(X, y), without)


@ignore_max_iter
def test_further_training_with_another_output_layer():
    model = MLPRegressor(**SMALL, warm_start=True).fit(X, Y)
    before = model.coefs_[-1].copy()
    model.set_params(output_layer=Dense(None, learning_rate_factor=0, penalty_factor=0)).fit(X, Y)
    assert_array_equal(model.coefs_[-1], before)
    with pytest.raises(ValueError, match=r"output_layer=.*use_bias=False.*Set output_layer back to Dense"):
        model.set_params(output_layer=Dense(None, use_bias=False)).fit(X, Y)


# All together, beside a twin in NumPy


class Begin:
    """Keeps the initial parameters, and the seed of the masks."""

    def on_fit_begin(self, state):
        self.params, self.seed = state.network.params.copy(), state.optimizer.seed


def step_of_the_recipe(twin, gradients, states, t, rate, decay):
    """Adam with bias correction, after decoupled decay: the rate of each parameter is eta times a factor."""
    for block in twin.graph.blocks:
        name, w = block.name[0], block.view(twin.params)
        factor = {"W": 1 / np.sqrt(w.shape[0]), "b": 0.1, "a": 0.1, "s": 6.0}[name]
        if name == "W":
            w *= 1 - rate * decay
        elif name == "s":
            w *= 1 - 36 * rate * decay
        state = states.setdefault(block.name, [np.zeros_like(w)] * 2)
        update = dict(learning_rate=rate * factor, beta_1=0.9, beta_2=0.95, epsilon=1e-8)
        w[...], states[block.name] = reference.adamw_update(block.view(gradients), w, state, t, **update)


@pytest.mark.parametrize(("dtype", "rtol"), [("float64", 1e-9), ("float32", 2e-3)])  # Adam divides by small numbers
def test_the_recipe_of_tables_and_its_twin(dtype, rtol):
    """Scale, the neural tangent parametrization, a blend, and schedules of rate, decay and dropout (Holzmüller et al.,
    2024), written out."""
    ntk = dict(parametrization="ntk", bias_learning_rate_factor=0.1)
    hidden = [Dense(7, **ntk), Activation(Blend("mish"), learning_rate_factor=0.1), Dropout(0.3)]
    eta, n_epochs, batch_size, begin = 0.05, 5, 20, Begin()
    model = MLPRegressor(
        layers=[Scale(1.0, 6, 6), *hidden, *hidden],
        output_layer=Dense(None, **ntk),
        weight_init="data_dependent_random_bias",
        solver=AdamW(beta_2=0.95, weight_decay=0.5),
        alpha=0.0,
        learning_rate_init=eta,
        learning_rate=WarmupCosine(0.2, overlap=True),
        weight_decay_schedule=FlatCosine(),
        dropout_schedule=FlatCosine(),
        max_iter=n_epochs,
        batch_size=batch_size,
        shuffle=False,
        random_state=0,
        dtype=dtype,
        callbacks=begin,
    ).fit(X, Y)
    twin = GraphTwin(model.network_.training_graph, begin.params, begin.seed)
    states, n_steps, losses = {}, n_epochs * 3, []
    for step in range(n_steps):
        p, batch = step / n_steps, slice(20 * (step % 3), 20 * (step % 3) + 20)
        h = 1 if p < 0.5 else (1 + cos(pi * (2 * p - 1))) / 2
        twin.step, twin.dropout_factor = step + 1, h
        loss, gradient, _ = twin.loss_and_gradient(X[batch], Y[batch, None], loss="squared_error")
        losses.append(loss)
        step_of_the_recipe(twin, gradient, states, step + 1, eta * min(p / 0.2, 1) * (1 + cos(pi * p)) / 2, 0.5 * h)
    assert_allclose(model.loss_curve_, np.reshape(losses, (n_epochs, 3)).mean(axis=1), rtol=rtol)
    assert_allclose(model.network_.params, twin.params, rtol=rtol, atol=rtol)
    assert np.abs(begin.params - twin.params).max() > 0.1
