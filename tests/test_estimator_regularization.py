"""clip_norm, max_norm and l1, on the estimators and on Network, beside twins in NumPy; `step.h`, `penalty.py`."""

import pickle

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV
from sklearn.utils._param_validation import InvalidParameterError

import fastbp.kernels.slicing
import fastbp.threads
import reference
from fastbp import MLPClassifier, MLPRegressor, Network
from fastbp.inspection import backprop_trace, gradient_check
from fastbp.layers import Dense

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

RNG = np.random.default_rng(0)
X = RNG.normal(size=(60, 3))
Y = np.tanh(X @ RNG.normal(size=(3, 2)))
LABELS = np.digitize(X[:, 0], [-0.3, 0.3])
SMALL = dict(
    hidden_layer_sizes=(9, 7), max_iter=4, batch_size=16, random_state=0, learning_rate_init=0.05, activation="tanh"
)
OPTIONS = [dict(clip_norm=0.05), dict(max_norm=0.7), dict(l1=0.3), dict(clip_norm=0.3, max_norm=0.7, l1=0.3)]
both_dtypes = pytest.mark.parametrize("dtype", [np.float32, np.float64], ids=["float32", "float64"])
every_option = pytest.mark.parametrize("options", OPTIONS, ids=repr)


def regressor(**params):
    return MLPRegressor(**SMALL | params)


def twin(options, solver, dtype):
    """The parameters after the textbook's loop, with what the options ask for."""
    clip_norm, max_norm = options.get("clip_norm", np.inf), options.get("max_norm", np.inf)
    network = Network((3, 9, 7, 2), "tanh", random_state=0, dtype=dtype, alpha=0.2, l1=options.get("l1", 0.0))
    network = network.astype(np.float64)
    params, states, t = network.params, [np.zeros_like(network.params)] * 3, 0
    for _ in range(4):
        for start in range(0, len(X), 16):
            _, gradient = network.loss_and_gradient(X[start : start + 16], Y[start : start + 16])
            gradient *= min(1, clip_norm / np.linalg.norm(gradient))
            t += 1
            params[...], states = reference.OPTIMIZERS[solver](gradient, params, states, t, learning_rate=0.05)
            for W in network.coefs:
                W *= np.minimum(1, max_norm / np.linalg.norm(W, axis=0))
    return params


@every_option
@pytest.mark.parametrize("solver", ["sgd", "adam", "adamw"])
@both_dtypes
def test_textbook(options, solver, dtype):
    decay = dict(weight_decay=0.0) if solver == "adamw" else {}
    model = regressor(solver=solver, shuffle=False, alpha=0.2, **options, **decay).fit(X.astype(dtype), Y)
    expected = twin(options, solver, dtype)
    # 16 steps; adam divides by moments near 0
    rtol = 1e-8 if dtype == np.float64 else 2e-3
    assert_allclose(model.network_.params, expected, rtol=rtol, atol=rtol)
    plain = regressor(solver=solver, shuffle=False, alpha=0.2, **decay).fit(X.astype(dtype), Y)
    assert (model.network_.params != plain.network_.params).any()


@pytest.mark.parametrize("sparse", [False, True])
def test_loss_includes_the_penalty(sparse):
    import scipy.sparse as sp

    data = sp.csr_array(X) if sparse else X
    params = dict(shuffle=False, max_iter=1, batch_size=60, alpha=0.2)
    with_l1, without = (regressor(**params, l1=l1).fit(data, Y) for l1 in (0.5, 0.0))
    start = Network((3, 9, 7, 2), "tanh", random_state=0, alpha=0.2)
    magnitudes = sum(np.abs(W).sum() for W in start.coefs)
    assert_allclose(with_l1.loss_ - without.loss_, 0.5 * magnitudes / 60, rtol=1e-10)


@both_dtypes
@pytest.mark.parametrize("alpha", [0.0, 0.3])
def test_gradient_of_the_network(dtype, alpha):
    network = Network((3, 6, 2), "tanh", random_state=0, dtype=dtype, alpha=alpha, l1=0.4)
    assert gradient_check(network, X, Y).passed
    trace = backprop_trace(network, X, Y)
    loss, gradient = network.loss_and_gradient(X, Y)
    tolerance = 20 * np.finfo(dtype).eps  # sums over 60 rows
    assert_allclose(trace.gradient, gradient, rtol=0, atol=tolerance)
    assert_allclose(trace.loss, loss, rtol=tolerance)
    plain = Network((3, 6, 2), "tanh", random_state=0, dtype=dtype, alpha=alpha)
    direction = RNG.normal(size=network.n_params)
    assert_array_equal(network.hvp(X, Y, direction), plain.hvp(X, Y, direction))
    weight = RNG.uniform(0.5, 2, 60)
    expected = plain.loss_and_gradient(X, Y, weight)[0] + 0.4 * sum(np.abs(W).sum() for W in plain.coefs) / weight.sum()
    assert_allclose(network.loss_and_gradient(X, Y, weight)[0], expected, rtol=tolerance)


def test_subgradient_at_zero_is_zero():
    network = Network((3, 6, 2), "tanh", random_state=0, l1=0.4)
    plain = network.copy()
    plain.l1 = 0.0
    for net in (network, plain):
        net.coefs[0][...] = 0
    difference = network.loss_and_gradient(X, Y)[1] - plain.loss_and_gradient(X, Y)[1]
    W_1, W_2 = network.split(difference)[0]
    assert_array_equal(W_1, 0)
    assert_allclose(W_2, 0.4 * np.sign(network.coefs[1]) / 60, rtol=1e-10)


def test_l1_makes_weights_small():
    noise = np.hstack([X, RNG.normal(size=(60, 5))])
    model = MLPRegressor(hidden_layer_sizes=(), l1=3.0, alpha=0, max_iter=300, tol=0, random_state=0)
    model.set_params(learning_rate_init=0.01, n_iter_no_change=np.inf).fit(noise, Y)
    magnitudes = np.abs(model.coefs_[0])
    # the weights of noise swing around 0 by a step of Adam or two
    assert magnitudes[3:].max() < 0.05
    assert magnitudes[:3].max() > 0.2


def trained(monkeypatch, n_threads, dtype, sliced=False, **options):
    monkeypatch.setattr(fastbp.threads, "FLOPS_PER_THREAD", 1)
    if sliced:
        monkeypatch.setattr(fastbp.kernels.slicing, "LARGEST_STEP", 0)
        monkeypatch.setattr(fastbp.kernels.slicing, "SLICE_COST", 0)
        monkeypatch.setattr(fastbp.kernels.slicing, "FEWEST_SLICE_ROWS", 16)
    rng = np.random.default_rng(0)
    wide = rng.normal(size=(90, 131)).astype(dtype)
    model = MLPRegressor(
        hidden_layer_sizes=(207, 30), batch_size=45, max_iter=3, random_state=0, n_threads=n_threads, **options
    )
    return model.fit(wide, wide[:, :3])


@every_option
@both_dtypes
@pytest.mark.parametrize("sliced", [False, True])
def test_the_number_of_threads_does_not_matter(options, dtype, sliced, monkeypatch):
    one, *others = (trained(monkeypatch, n, dtype, sliced, **options) for n in (1, 2, 3))
    for other in others:
        assert_array_equal(other.network_.params, one.network_.params)
        assert other.loss_curve_ == one.loss_curve_


@both_dtypes
@pytest.mark.parametrize("sliced", [False, True])
def test_columns_of_all_layers_are_limited(dtype, sliced, monkeypatch):
    # the first matrix has tiles of columns and of rows
    free = trained(monkeypatch, 2, dtype, sliced)
    limited = trained(monkeypatch, 2, dtype, sliced, max_norm=0.5)
    for W, W_free in zip(limited.coefs_, free.coefs_, strict=True):
        norms = np.linalg.norm(W.astype(np.float64), axis=0)
        assert norms.max() <= 0.5 * (1 + 8 * np.finfo(dtype).eps)  # of sums over 131 squares
        assert np.linalg.norm(W_free, axis=0).max() > 0.5
    # a limit that no column reaches changes nothing
    unreached = trained(monkeypatch, 2, dtype, sliced, max_norm=1e6)
    assert_array_equal(unreached.network_.params, free.network_.params)


def test_frozen_layers_are_not_scaled():
    frozen = Dense(5, "relu", learning_rate_factor=0.0)
    start = Network(layers=[frozen, Dense(2)], n_features=3, random_state=0)
    model = MLPRegressor(layers=[frozen], max_norm=0.1, max_iter=2, random_state=0).fit(X, Y)
    assert_array_equal(model.coefs_[0], start.coefs[0])
    assert np.linalg.norm(model.coefs_[1], axis=0).max() <= 0.1 * (1 + 1e-15)


def test_frozen_layers_do_not_count_in_the_norm_of_the_gradient():
    # one step of plain gradient descent: its length is that of the clipped gradient
    params = dict(solver="sgd", momentum=0.0, batch_size=60, max_iter=1, learning_rate_init=1.0, frozen_layers=[0])
    free = regressor(**params).fit(X, Y)
    start = Network((3, 9, 7, 2), "tanh", random_state=0)
    steps = free.network_.params - start.params
    model = regressor(clip_norm=0.05, **params).fit(X, Y)
    clipped = 0.05 / np.linalg.norm(steps) * steps
    assert_allclose(model.network_.params - start.params, clipped, rtol=1e-10, atol=1e-15)


@every_option
def test_off_is_the_model_without(options):
    off = {name: 0.0 if name == "l1" else None for name in options}
    assert_array_equal(regressor(**off).fit(X, Y).network_.params, regressor().fit(X, Y).network_.params)


@every_option
@pytest.mark.parametrize("solver", ["sgd", "adam", "muon"])
def test_copies_and_going_on(options, solver):
    params = dict(solver=solver, shuffle=False, tol=0, **options)
    whole = regressor(**params).fit(X, Y)
    parts = clone(whole)
    for _ in range(4):
        parts = pickle.loads(pickle.dumps(parts.partial_fit(X, Y)))
    assert_array_equal(parts.network_.params, whole.network_.params)
    assert parts.network_.l1 == options.get("l1", 0.0)
    warm = pickle.loads(pickle.dumps(whole)).set_params(warm_start=True).fit(X, Y)
    assert (warm.network_.params != whole.network_.params).any()


def test_grid_search():
    grid = {"clip_norm": [None, 0.01], "max_norm": [None, 0.1], "l1": [0.0, 5.0]}
    search = GridSearchCV(regressor(), grid, cv=2).fit(X, Y)
    assert len(set(search.cv_results_["mean_test_score"])) == 8


@pytest.mark.parametrize("Estimator", [MLPClassifier, MLPRegressor])
@pytest.mark.parametrize(("name", "value"), [("clip_norm", 1.0), ("max_norm", 1.0), ("l1", 0.1)])
def test_lbfgs_has_none_of_them(Estimator, name, value):
    y = LABELS if Estimator is MLPClassifier else Y
    off = "0" if name == "l1" else "None"
    with pytest.raises(ValueError, match=rf"solver='lbfgs' has no {name}, got {name}={value}. Set {name}={off}, or"):
        Estimator(solver="lbfgs", **{name: value}).fit(X, y)


@pytest.mark.parametrize("name", ["clip_norm", "max_norm", "l1"])
@pytest.mark.parametrize("value", [-1.0, np.nan, np.inf, "1"])
def test_bad_values(name, value):
    with pytest.raises(InvalidParameterError, match=f"The '{name}' parameter of MLPRegressor must be"):
        regressor(**{name: value}).fit(X, Y)


@pytest.mark.parametrize("name", ["clip_norm", "max_norm"])
def test_no_norm_is_no_limit(name):
    with pytest.raises(InvalidParameterError, match=f"The '{name}' parameter of MLPRegressor must be"):
        regressor(**{name: 0.0}).fit(X, Y)


@pytest.mark.parametrize("value", [-0.1, np.nan, np.inf])
def test_bad_l1_of_a_network(value):
    with pytest.raises(ValueError, match=r"l1 must be a finite number >= 0, got"):
        Network((3, 2), l1=value)


def test_l1_survives_copies_of_a_network():
    network = Network((3, 4, 2), random_state=0, l1=0.5)
    for copy in (network.copy(), network.astype(np.float32), pickle.loads(pickle.dumps(network))):
        assert copy.l1 == 0.5
