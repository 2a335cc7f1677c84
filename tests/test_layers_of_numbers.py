"""PiecewiseLinear and Periodic: what they compute, also of missing numbers, on edges and outside, and in estimators."""

import pickle
from dataclasses import replace

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.utils import get_tags

import fastbp
import fastbp.threads
from fastbp import MLPClassifier, MLPRegressor, Network
from fastbp.inspection import backprop_trace, gradient_check
from fastbp.layers import Concatenate, Dense, OneHot, Periodic, PiecewiseLinear, Scale
from fastbp.layers.bins import bin_edges
from graph_reference import GraphTwin

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

RNG = np.random.default_rng(0)
N = 150
#: a normal column, one of frequent values, a constant, one without any number, and a binary one
X = np.column_stack(
    [RNG.normal(3, 2, N), RNG.choice([0, 0, 0, 0, 1, 5, 9, 20], N), np.full(N, 7), np.full(N, np.nan), np.arange(N) % 2]
)
X[::7, 0], X[::9, 1] = np.nan, np.nan
#: beside the rows to train on: edges, and far outside
ROWS = np.vstack(
    [X[:20], np.tile([[1e6, 1e6, 1e6, 1e6, 0], [-1e6, -1e6, -1e6, -1e6, 1]], (3, 1)), np.full((1, 5), 5.0)]
)
LAYERS = {
    "piecewise linear": PiecewiseLinear(3, 6),
    "piecewise linear of some columns": PiecewiseLinear(17, 1, columns=[4, 1, 0], keep_input=False, clip=None),
    "periodic": Periodic(5, 3, 0.4),
    "periodic of some columns": Periodic(20, 17, 0.1, columns=[1, 3], keep_input=False),
}
both_dtypes = pytest.mark.parametrize("dtype", [np.float32, np.float64], ids=["float32", "float64"])
every_layer = pytest.mark.parametrize("name", LAYERS)
both_classes = pytest.mark.parametrize("Class", [PiecewiseLinear, Periodic])


def make(layer, *others, dtype=np.float64, **params):
    """An adapted network, of which no parameter is 0."""
    network = Network(layers=[layer, *others], n_features=5, random_state=0, dtype=dtype, **params)
    network.adapt(X)
    rng = np.random.default_rng(1)
    for name, block in network.blocks.items():
        if not name.startswith(("edges", "center", "factor")):
            block += rng.normal(size=block.shape)
    return network


@both_dtypes
@every_layer
def test_twin_with_missing_numbers(name, dtype):
    network = make(LAYERS[name], Scale(), dtype=dtype)
    twin, rows = GraphTwin(network.graph, network.params), ROWS.astype(dtype)
    y, u = RNG.normal(size=(len(rows), network.n_outputs)).astype(dtype), RNG.normal(size=rows.shape).astype(dtype)
    direction = RNG.normal(size=network.n_params).astype(dtype)

    def close(found, expected):
        # a rounding of x' counts 2 pi omega times in an angle; sums are over 27 rows and 20 frequencies
        largest = max(1, np.abs(expected).max())
        assert_allclose(found, expected, rtol=0, atol=500 * np.finfo(dtype).eps * largest)

    close(network.forward(rows), twin.output(rows))
    close(network.vjp(rows, y), twin.vjp(rows, y))
    close(network.jvp(rows, u), twin.jvp(rows, u))
    expected = twin.loss_and_gradient(rows, y, loss="squared_error")
    found = network.loss_and_gradient(rows, y)
    assert_allclose(found[0], expected[0], rtol=1e-4 if dtype == np.float32 else 1e-12)
    close(found[1], expected[1])
    close(network.hvp(rows, y, direction), twin.hvp(rows, y, direction, loss="squared_error"))
    # rows do not depend on each other
    assert_array_equal(np.vstack([network.forward(row[None]) for row in rows]), network.forward(rows))


def test_piecewise_linear_is_linear_in_each_bin():
    network = make(PiecewiseLinear(2, 4, columns=[0]), Scale())
    network.blocks["s_1"][:] = 1
    network.blocks["u_1"][:] = 0
    edges, p, c = network.blocks["edges_1"][0], network.blocks["p_1"].reshape(4, 2), network.blocks["c_1"][0]

    def z(x):
        return network.forward(np.array([[x, 0, 0, 0, 0]]))[0, :2]

    for i, edge in enumerate(edges):
        assert_allclose(z(edge), c + p[:i].sum(axis=0), rtol=1e-12)
    assert_allclose(z((edges[1] + edges[2]) / 2), c + p[0] + p[1] / 2, rtol=1e-12)
    assert_array_equal(z(edges[0] - 100), z(edges[0]))
    assert_array_equal(z(edges[-1] + 100), z(edges[-1]))
    assert_array_equal(z(np.nan), network.blocks["missing_1"][0])


@both_dtypes
def test_periodic_of_far_numbers_is_finite(dtype):
    network = make(Periodic(5, 3, clip=None), Scale(), dtype=dtype)
    for far in (1e7, 1e20, 1e37):
        assert np.isfinite(network.forward(np.full((2, 5), far, dtype))).all()
        assert np.isfinite(network.vjp(np.full((2, 5), far, dtype), np.ones((2, network.n_outputs), dtype))).all()


@both_dtypes
def test_edges_are_learned(dtype):
    network = Network(layers=[PiecewiseLinear(bins=5, columns=[1, 0, 3, 2, 4]), Dense(1)], n_features=5, dtype=dtype)
    edges = network.blocks["edges_1"]
    assert_allclose(edges, np.tile(np.linspace(-2, 2, 6), (5, 1)), rtol=1e-6)
    network.adapt(X)
    assert_array_equal(edges[0], [0, 1, 5, 9, 20, 20])  # the last one is repeated
    assert_array_equal(edges[1], bin_edges(X[:, 0], 5, dtype))
    assert_array_equal(edges[2:, 0], [0, 7, 0])
    assert_array_equal(edges[2:4], np.tile(edges[2:4, :1], 6))
    assert_array_equal(edges[4], [0, 1, 1, 1, 1, 1])
    # a column without bins is linear, one that is missing has a vector of its own
    network.blocks["p_1"][...] = 1
    trace = backprop_trace(network, X, np.zeros((N, 1)))
    z = trace.operations[1].output[:, :40].reshape(N, 5, 8)
    assert_array_equal(z[:, 3], np.tile(network.blocks["c_1"][3], (N, 1)))
    assert_array_equal(z[:, 2], np.zeros((N, 8)))
    assert (z[:, 1] != 0).any(axis=1).sum() == np.isfinite(X[:, 0]).sum()


def test_initial_values():
    def blocks(layer, seed=0):
        network = Network(layers=[layer, Dense(1)], n_features=200, random_state=seed)
        return network.blocks

    found = blocks(PiecewiseLinear(8, 4))
    for name in ("u_1", "c_1"):  # uniform: 1600 numbers
        assert -1 <= found[name].min() < -0.98
        assert 0.98 < found[name].max() <= 1
        assert_allclose(found[name].var(), 1 / 3, rtol=0.1)
    assert (found["u_1"] != found["c_1"]).any()
    assert_array_equal(found["p_1"], np.zeros((200, 32)))
    assert_array_equal(found["missing_1"], np.zeros((200, 8)))
    assert_array_equal(blocks(PiecewiseLinear(8, 4))["u_1"], found["u_1"])
    assert (blocks(PiecewiseLinear(8, 4), 1)["u_1"] != found["u_1"]).any()
    found = blocks(Periodic(16, 4, 0.3))
    assert_allclose(found["omega_1"].std(), 0.3, rtol=0.05)  # 3200 numbers: 1.3 %
    for name, bound in (("phi_1", 0.5), ("V_1", 0.25), ("d_1", 0.25)):
        assert bound * 0.97 < np.abs(found[name]).max() <= bound
    assert_array_equal(found["unknown_1"], np.zeros((200, 4)))


@every_layer
def test_gradients(name):
    network = make(LAYERS[name], Dense(4, "tanh"), Dense(2), alpha=0.1)
    assert gradient_check(network, X[:40], RNG.normal(size=(40, 2))).passed


@both_classes
@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"width": 0}, "width must be an integer >= 1, got 0"),
        ({"columns": [1, 1]}, "columns must be one or more numbers, all different"),
        ({"columns": []}, "columns must be one or more numbers"),
        ({"keep_input": 2}, "keep_input must be True or False, got 2"),
        ({"clip": 0}, "clip must be None or a number"),
        ({"learning_rate_factor": -1}, "learning_rate_factor must be a finite number >= 0"),
    ],
)
def test_wrong_fields(Class, fields, message):
    with pytest.raises(ValueError, match=message):
        Class(**fields)


def test_wrong_sizes():
    for wrong in (0, 257, 2.0):
        with pytest.raises(ValueError, match=r"bins must be (an integer >= 1|at most 256), got"):
            PiecewiseLinear(bins=wrong)
        with pytest.raises(ValueError, match=r"frequencies must be (an integer >= 1|at most 256), got"):
            Periodic(frequencies=wrong)
    with pytest.raises(ValueError, match="width must be at most 256, got 300"):
        Periodic(width=300)
    for wrong in (0, np.nan, "x"):
        with pytest.raises(ValueError, match="sigma must be a finite number > 0"):
            Periodic(sigma=wrong)
    with pytest.raises(ValueError, match=r"columns of PiecewiseLinear\(.* must be below 5"):
        Network(layers=[PiecewiseLinear(columns=[5]), Dense(1)], n_features=5)
    # the largest ones
    layers = [Concatenate([PiecewiseLinear(1, 256), Periodic(256, 256), Periodic(1, 1)]), Dense(1)]
    network = Network(layers=layers, n_features=5, random_state=0)
    network.adapt(X)
    y = RNG.normal(size=(N, 1))
    expected = GraphTwin(network.graph, network.params).loss_and_gradient(X, y, loss="squared_error")[1]
    assert_allclose(network.loss_and_gradient(X, y)[1], expected, rtol=0, atol=1e-11 * np.abs(expected).max())


# Estimators

TARGET = np.where(X[:, 1] == 5, 2.0, 0) + np.isnan(X[:, 0]) + np.nan_to_num(X[:, 4])
STACK = [Concatenate([PiecewiseLinear(4, 6), Periodic(3, 2, columns=[0, 1])]), Dense(12, "relu")]
SMALL = dict(layers=STACK, max_iter=4, batch_size=32, random_state=0)
both_estimators = pytest.mark.parametrize("Estimator", [MLPClassifier, MLPRegressor])


def target(Estimator):
    return (TARGET > 1).astype(int) if Estimator is MLPClassifier else TARGET


def edges_of(model):
    return model.network_.blocks["edges_1"].copy()


@both_estimators
@pytest.mark.parametrize("dtype", [None, "float32"])
def test_thresholds_and_missing_numbers_are_learned(Estimator, dtype):
    layers = [PiecewiseLinear(4, 6), Dense(16, "relu")]
    model = Estimator(layers=layers, max_iter=150, tol=0, learning_rate_init=0.01, dtype=dtype, random_state=0)
    assert model.fit(X, target(Estimator)).score(X, target(Estimator)) > 0.97
    assert get_tags(model).input_tags.allow_nan
    assert np.isfinite(model.predict(np.full((1, 5), np.nan))).all()


@both_estimators
def test_copies_and_further_training(Estimator, tmp_path):
    y = target(Estimator)
    model = Estimator(**SMALL).fit(X, y)
    fastbp.save(model, tmp_path / "model")
    for other in (pickle.loads(pickle.dumps(model)), fastbp.load(tmp_path / "model"), clone(model).fit(X, y)):
        assert_array_equal(other.predict(X), model.predict(X))
        assert_array_equal(other.network_.params, model.network_.params)
    edges = edges_of(model)
    assert_array_equal(edges[1], bin_edges(X[:, 1], 6)[[0, 1, 2, 3, 4, 4, 4]])
    before = model.network_.params.copy()
    model.partial_fit(3 * X, y)
    assert (model.network_.params != before).any()
    assert_array_equal(edges_of(model), edges)
    warm = Estimator(**SMALL, warm_start=True).fit(X, y)
    assert_array_equal(edges_of(warm.fit(X[:90] + 1, y[:90])), edges)
    assert_array_equal(edges_of(Estimator(**SMALL, init_from=model).fit(X + 1, y)), edges)


@pytest.mark.parametrize(
    "options", [dict(solver="lbfgs"), dict(solver="muon"), dict(max_norm=0.1, ema_decay=0.9), dict(mixup_alpha=0.3)]
)
def test_solvers(options):
    model = MLPRegressor(**SMALL | options).fit(X, TARGET)
    assert_array_equal(edges_of(model), edges_of(MLPRegressor(**SMALL).fit(X, TARGET)))
    start = MLPRegressor(**SMALL | {"max_iter": 1, "learning_rate_init": 1e-30}).fit(X, TARGET).network_.blocks
    for name in ("u_1", "c_1", "p_1", "missing_1", "omega_1", "phi_1", "V_1", "d_1", "unknown_1"):
        assert (model.network_.blocks[name] != start[name]).any(), name


def test_any_number_of_threads_gives_the_same_bits(monkeypatch):
    monkeypatch.setattr(fastbp.threads, "FLOPS_PER_THREAD", 1)
    for layers in (STACK, [PiecewiseLinear(9, 30), Dense(33, "silu")]):
        for solver in ("adam", "lbfgs"):
            models = [MLPRegressor(**SMALL | {"layers": layers, "solver": solver}, n_threads=n) for n in (1, 2, 3)]
            first, *others = [model.fit(X, TARGET) for model in models]
            for model in others:
                assert_array_equal(model.network_.params, first.network_.params)
                assert_array_equal(model.predict(X), first.predict(X))


def test_learning_rate_factors():
    frozen = [replace(STACK[0].branches[0][0], learning_rate_factor=0), Dense(3, "tanh")]
    model = MLPRegressor(**SMALL | {"layers": frozen}, alpha=1.0).fit(X, TARGET)
    assert_array_equal(model.network_.blocks["p_1"], np.zeros((5, 24)))
    assert STACK[0].accepts_missing
    assert not Concatenate([OneHot([2], [4]), Dense(3)]).accepts_missing
    model = MLPRegressor(**SMALL | {"layers": [Periodic(), Dense(3)]}).fit(X, TARGET)
    assert model.network_.blocks["center_1"][0] == np.nanmedian(X[:, 0])
