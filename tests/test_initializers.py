"""Initial weights: `initializers.py`, `weight_init` of the estimators, ``Network.normalize_preactivations``."""

import pickle

import numpy as np
import pytest
import scipy.sparse as sp
from numpy.testing import assert_allclose, assert_array_equal
from scipy.special import ndtri
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV

import reference
from estimator_layer_cases import SMALL, X, both_estimators, labels
from fastbp import MLPClassifier, MLPRegressor, Network
from fastbp.activations import Blend
from fastbp.initializers import INITIALIZERS, legacy_generator
from fastbp.inspection import backprop_trace
from fastbp.layers import Activation, Dense, Dropout, Residual, Scale

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
VARIANCES = {"glorot": 2 / (300 + 200), "he": 2 / 300, "lecun": 1 / 300}


def first_weights(weight_init, **params):
    """The weights before any step, seen by a callback."""
    seen = []

    class Look:
        def on_fit_begin(self, state):
            seen.append(state.network.copy())

    MLPRegressor(hidden_layer_sizes=(6, 5), weight_init=weight_init, callbacks=Look(), **SMALL | params).fit(X, X[:, 0])
    return seen[0]


@pytest.mark.parametrize("rule", VARIANCES)
@pytest.mark.parametrize("shape", ["uniform", "normal"])
def test_distribution(rule, shape):
    network = Network([300, 200], initializer=f"{rule}_{shape}", random_state=0)
    (W,), (b,) = network.coefs, network.intercepts
    assert not b.any()
    # 60,000 numbers: the standard errors of variance and kurtosis are 0.6 % and 0.02
    assert_allclose(W.var(), VARIANCES[rule], rtol=0.03)
    assert_allclose(W.mean(), 0, atol=5 * W.std() / np.sqrt(W.size))
    assert_allclose((W**4).mean() / W.var() ** 2, 1.8 if shape == "uniform" else 3, atol=0.15)
    if shape == "uniform":
        bound = np.sqrt(3 * VARIANCES[rule])
        assert np.abs(W).max() <= bound
        assert np.abs(W).max() > 0.999 * bound


@pytest.mark.parametrize("sizes", [[7, 4], [4, 7], [5, 5]])
def test_orthogonal(sizes):
    (W,) = Network(sizes, initializer="orthogonal", random_state=0).coefs
    small = W if sizes[0] >= sizes[1] else W.T
    assert_allclose(small.T @ small, np.eye(min(sizes)), atol=1e-14)
    # uniform among all orthogonal matrices: the diagonal has both signs equally often
    signs = [np.diag(Network([3, 3], initializer="orthogonal", random_state=i).coefs[0]) > 0 for i in range(100)]
    assert 120 < np.sum(signs) < 180


@pytest.mark.parametrize(
    "initializer", [*INITIALIZERS, lambda fan_in, fan_out, rng: rng.normal(size=(fan_in, fan_out))]
)
def test_draws_depend_on_random_state_only(initializer):
    one, same, other = (Network([4, 3, 2], initializer=initializer, random_state=i).params for i in (0, 0, 1))
    assert_array_equal(one, same)
    assert (one != other).any()
    low = Network([4, 3, 2], initializer=initializer, random_state=0, dtype=np.float32).params
    assert_array_equal(low, one.astype(np.float32))


@pytest.mark.parametrize("name", INITIALIZERS)
def test_the_estimators_draw_as_the_network_does(name):
    network = first_weights(name)
    assert_array_equal(network.params, Network([4, 6, 5, 1], initializer=name, random_state=0).params)
    if name == "scikit_learn":
        assert_array_equal(network.params, first_weights(None).params)


def test_a_function():
    calls = []

    def ones(fan_in, fan_out, random_state):
        calls.append((fan_in, fan_out, type(random_state)))
        return np.ones((fan_in, fan_out))

    network = first_weights(ones)
    assert calls == [(*shape, np.random.RandomState) for shape in ((4, 6), (6, 5), (5, 1))]
    assert all((W == 1).all() for W in network.coefs)
    assert not any(b.any() for b in network.intercepts)


@pytest.mark.parametrize(
    ("returned", "error", "message"),
    [
        (np.ones((6, 4)), ValueError, r"must return shape \(4, 6\), got \(6, 4\)"),
        (np.full((4, 6), np.nan), ValueError, "must return finite numbers, got nan"),
        (np.full((4, 6), "1"), TypeError, "must return real numbers, got dtype <U1"),
    ],
)
def test_a_function_that_returns_something_else(returned, error, message):
    with pytest.raises(error, match=message):
        first_weights(lambda fan_in, fan_out, random_state: returned)


@both_estimators
@pytest.mark.parametrize("value", ["glorot", 3, ["he_normal"]])
def test_a_bad_value(Estimator, value):
    with pytest.raises(ValueError, match=r"'weight_init' parameter .* must be .*'he_normal'.* callable"):
        Estimator(weight_init=value).fit(X, labels(Estimator))
    with pytest.raises((ValueError, TypeError), match=r"initializer must be one of .*he_normal"):
        Network([2, 1], initializer=value)


# Data-dependent


def preactivations(network, X):
    # of a graph with other operations, the values that the fully connected layers write
    trace = backprop_trace(network, X, np.zeros((len(X), network.n_outputs)))
    return [op.output for op in trace.operations if op.kind == "dense"]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("activation", ["relu", "tanh"])
def test_preactivations_have_mean_0_and_variance_1(dtype, activation):
    rng = np.random.default_rng(0)
    rows = (5 + 3 * rng.normal(size=(120, 4))).astype(dtype)
    residual = Residual([Dense(9, activation), Scale(3.0), Dense(8)])
    layers = [Dense(8, activation), residual, residual, Dense(6, activation), Dense(2)]
    network = Network(layers=layers, n_features=4, random_state=0, dtype=dtype)
    network.normalize_preactivations(rows)
    found = preactivations(network, rows)
    assert len(found) == 7
    for z in found:
        # in float32 the sums of some ten products with inputs of mean 5 are exact to some 1e-6
        assert_allclose(z.mean(axis=0), 0, atol=1e-5 if dtype == np.float32 else 1e-13)
        assert_allclose(z.var(axis=0), 1, rtol=1e-4 if dtype == np.float32 else 1e-12)


def test_constant_preactivations_and_missing_biases():
    rows = np.ones((10, 3))
    network = Network([3, 4, 1], random_state=0)
    before = network.params.copy()
    network.normalize_preactivations(rows)
    assert_array_equal(network.params, before)
    network.normalize_preactivations(np.empty((0, 3)))
    assert_array_equal(network.params, before)

    layers = [Dense(4, "tanh", use_bias=False), Dense(1)]
    network = Network(layers=layers, n_features=4, random_state=0)
    network.normalize_preactivations(sp.csr_array(X))
    first, last = preactivations(network, X)
    assert_allclose(first.var(axis=0), 1)
    assert (np.abs(first.mean(axis=0)) > 1e-3).any()
    assert_allclose(last.mean(axis=0), 0, atol=1e-13)


@pytest.mark.parametrize("container", [np.asarray, sp.csr_array])
@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
def test_data_dependent(container, solver):
    weight = np.arange(len(X)) % 3.0
    seen = []

    class Look:
        def on_fit_begin(self, state):
            seen.append(state.network.copy())

    for sample_weight, params in ((None, {}), (weight, {}), (None, dict(early_stopping=True))):
        model = MLPRegressor(
            hidden_layer_sizes=(6,), weight_init="data_dependent", solver=solver, callbacks=Look(), **SMALL | params
        )
        rows, given = X, container(X)
        if params and solver == "adam":

            class Rows:
                def on_fit_begin(self, state):
                    nonlocal rows
                    rows = X[state.train_rows]

            model.callbacks = [Look(), Rows()]
        elif sample_weight is not None:
            rows = X[weight > 0]
        model.fit(given, X[:, 0], sample_weight)
        for z in preactivations(seen[-1], rows):
            assert_allclose(z.mean(axis=0), 0, atol=1e-13)
            assert_allclose(z.var(axis=0), 1, rtol=1e-12)


def test_a_sample_of_many_rows():
    rng = np.random.default_rng(0)
    many = rng.normal(size=(1000, 4))
    seen = []

    class Look:
        def on_fit_begin(self, state):
            seen.append(state.network.copy())

    MLPRegressor(
        hidden_layer_sizes=(6,),
        weight_init="data_dependent",
        shuffle=False,
        callbacks=Look(),
        **SMALL | {"max_iter": 1},
    ).fit(many, many[:, 0])
    for z in preactivations(seen[0], many[::4]):
        assert_allclose(z.var(axis=0), 1, rtol=1e-12)


class FirstNetwork:
    """Keeps the network as it is at the beginning of the fit."""

    def on_fit_begin(self, state):
        self.network = state.network.copy()


@pytest.mark.parametrize("container", [np.asarray, sp.csr_array])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_random_biases(container, dtype):
    # beside a twin: first all weights are drawn, then the rows and the weights of each unit
    layers = [Dense(9, "tanh", use_bias=False), Scale(2.0), Activation(Blend("mish")), Dense(6, "selu"), Dropout(0.5)]
    look, weight = FirstNetwork(), np.arange(len(X)) % 2.0
    params = dict(layers=layers, weight_init="data_dependent_random_bias", dtype=dtype, callbacks=look, **SMALL)
    model = MLPClassifier(**params).fit(container(X), np.arange(len(X)) % 3, weight)
    rng, rows = np.random.RandomState(SMALL["random_state"]), X[weight > 0]
    shapes = [(X.shape[1], 9), (9, 6), (6, 3)]
    weights = [ndtri(np.maximum(rng.uniform(size=shape), 2.0**-54)) for shape in shapes]
    a, own = rows, look.network
    rtol = 1e-9 if dtype == "float64" else 1e-3  # of sums that cancel
    for number, W in enumerate(weights):
        z = a @ W / (a @ W).std(axis=0)
        where = (rng.uniform(size=(5, W.shape[1])) * len(rows)).astype(int)
        shares = rng.exponential(size=(5, W.shape[1]))
        b = -np.sum(shares / shares.sum(axis=0) * np.take_along_axis(z, where, axis=0), axis=0)
        assert_allclose(own.coefs[number], W / (a @ W).std(axis=0), rtol=rtol, atol=rtol)
        if number:
            assert_allclose(own.blocks[f"b_{number + 1}"], b, rtol=rtol, atol=rtol)
        functions = [lambda z: 2 * np.tanh(z), reference.ACTIVATIONS["selu"][0], None]
        if number == 0:
            a = reference.ACTIVATIONS["mish"][0](functions[0](z))
        elif number == 1:
            a = functions[1](z + b)
    again = MLPClassifier(**params).fit(container(X), np.arange(len(X)) % 3, weight)
    assert_array_equal(again.network_.params, model.network_.params)


def test_random_centers_of_a_network():
    networks = [Network([4, 6, 1], random_state=0) for _ in range(3)]
    for network, random_state in zip(networks, (3, np.random.RandomState(3), None), strict=True):
        network.normalize_preactivations(X, random_state)
    assert_array_equal(networks[0].params, networks[1].params)
    assert_array_equal(networks[0].coefs[0], networks[2].coefs[0])
    # each unit is 0 at a point within the data, so that it has both signs among them
    (z, _) = preactivations(networks[0], X)
    assert ((z > 0).any(axis=0) & (z < 0).any(axis=0)).all()


def test_samples_of_random_biases(monkeypatch):
    many, look = np.random.default_rng(0).normal(size=(5000, 4)), FirstNetwork()
    params = dict(weight_init="data_dependent_random_bias", shuffle=False, callbacks=look, max_iter=1, random_state=0)
    for n_numbers, step in ((1 << 24, 3), (4 * 1000, 5), (4, 20)):  # 2,048, 1,000 and 256 rows at most
        monkeypatch.setattr("fastbp.estimators.construction.NUMBERS_OF_SAMPLE", n_numbers)
        MLPRegressor(hidden_layer_sizes=(6,), **params).fit(many, many[:, 0])
        (first, _) = preactivations(look.network, many[::step])
        assert_allclose(first.var(axis=0), 1, rtol=1e-12)
        assert np.abs(first.mean(axis=0)).max() > 0.1  # the units are 0 at other points than the mean


# As a parameter


def draw_for_pickle(fan_in, fan_out, random_state):
    return random_state.uniform(size=(fan_in, fan_out))


@both_estimators
@pytest.mark.parametrize("value", ["he_normal", "data_dependent", draw_for_pickle])
def test_a_parameter_like_others(Estimator, value):
    y = labels(Estimator)
    model = Estimator(weight_init=value, warm_start=True, **SMALL).fit(X, y)
    assert (model.network_.params != Estimator(**SMALL).fit(X, y).network_.params).any()
    assert clone(model).weight_init is value
    copy = pickle.loads(pickle.dumps(model))
    for one in (model, copy):
        one.fit(X, y)
        one.partial_fit(X, y)
    assert_array_equal(model.network_.params, copy.network_.params)
    # further training draws nothing
    far = Estimator(weight_init=value, warm_start=True, **SMALL).fit(X, y)
    before = far.network_.params.copy()
    far.set_params(learning_rate_init=1e-12, weight_init="glorot_normal").fit(X, y)
    assert_allclose(far.network_.params, before, atol=1e-9)


def test_grid_search():
    search = GridSearchCV(
        MLPClassifier(**SMALL), {"weight_init": [None, "orthogonal", "data_dependent"]}, cv=2, error_score="raise"
    ).fit(X, labels(MLPClassifier))
    assert len(search.cv_results_["params"]) == 3


@pytest.mark.parametrize("seed", [0, 1, 2**32 - 1, np.int64(7), np.uint8(255), True])
def test_seeded_generator(seed):
    found, expected = legacy_generator(seed), np.random.RandomState(seed)
    for name, value in expected.get_state(legacy=False)["state"].items():
        assert_array_equal(found.get_state(legacy=False)["state"][name], value)
    for draw in ("uniform", "standard_normal", "permutation"):
        assert_array_equal(getattr(found, draw)(7), getattr(expected, draw)(7))
    assert len(pickle.dumps(found)) == len(pickle.dumps(expected))  # it keeps nothing of how it was made


@pytest.mark.parametrize("seed", [-1, 2**32, np.int64(-5)])
def test_seeds_that_numpy_refuses(seed):
    with pytest.raises(ValueError, match="Seed must be between") as expected:
        np.random.RandomState(seed)
    with pytest.raises(ValueError, match="Seed must be between") as found:
        legacy_generator(seed)
    assert str(found.value) == str(expected.value)


def test_generators_do_not_share_a_state():
    first, second = legacy_generator(0), legacy_generator(0)
    first.uniform(size=10)
    assert_array_equal(second.uniform(size=10), np.random.RandomState(0).uniform(size=10))
