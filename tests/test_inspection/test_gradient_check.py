"""`gradient_check` passes correct gradients of all activations and losses, and fails wrong ones."""

import numpy as np
import pytest
import scipy.sparse as sp
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.datasets import load_breast_cancer, load_diabetes
from sklearn.exceptions import NotFittedError

from fastbp import MLPClassifier, MLPRegressor, Network
from fastbp.inspection import gradient_check
from fastbp.inspection._differences import CORNERED, sample
from fastbp.layers import Dense, Residual, Scale
from network_cases import HIDDEN, PAIRS

SIZES = (4, 6, 5, 2)


def problem(loss="squared_error", n=25, seed=0):
    rng = np.random.default_rng(seed)
    X, y = rng.normal(size=(n, 4)), rng.normal(size=(n, 2))
    if "log_loss" in loss:
        y = np.eye(2)[rng.integers(2, size=n)]
    elif loss == "poisson":
        y = rng.poisson(1.5, size=(n, 2)).astype(float)
    return X, y, rng.uniform(0, 2, n)


def custom(loss, gradient, times=1.0):
    """A loss for the estimators from two formulas in y and p, the gradient multiplied by a factor."""

    def function(y_true, raw_prediction, sample_weight):
        weight = np.ones(len(y_true)) if sample_weight is None else sample_weight
        values = loss(y_true, raw_prediction).sum(axis=1)
        return weight * values, times * weight[:, None] * gradient(y_true, raw_prediction)

    return function


LOSSES = {
    "absolute": (lambda y, p: np.abs(p - y), lambda y, p: np.sign(p - y)),
    "pinball": (lambda y, p: np.maximum(0.9 * (y - p), 0.1 * (p - y)), lambda y, p: np.where(p > y, 0.1, -0.9)),
    "log-cosh": (lambda y, p: np.log(np.cosh(p - y)), lambda y, p: np.tanh(p - y)),
    "insensitive": (
        lambda y, p: np.maximum(np.abs(p - y) - 0.1, 0),
        lambda y, p: np.sign(p - y) * (np.abs(p - y) > 0.1),
    ),
}


# What is right passes


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("hidden", HIDDEN)
def test_every_hidden_activation(hidden, dtype):
    X, y, weight = problem()
    network = Network(SIZES, hidden, alpha=0.1, dtype=dtype, random_state=3)
    check = gradient_check(network, X, y, weight)
    assert check.passed, str(check)
    # the truncation error of the differences, h^2 = 4e-11 at a curvature of one, is far under the tolerance
    assert check.largest_error < 1e-7


@pytest.mark.parametrize(("output", "loss"), PAIRS)
def test_every_output_and_loss(output, loss):
    X, y, weight = problem(loss)
    network = Network(SIZES, "tanh", output, loss, alpha=0.1, random_state=1)
    check = gradient_check(network, X, y, weight)
    assert check.passed, str(check)
    assert [group.name for group in check.groups] == ["loss", "W_1", "b_1", "W_2", "b_2", "W_3", "b_3"]
    assert all(group.verdict == "ok" for group in check.groups)


@pytest.mark.parametrize("name", LOSSES)
def test_right_custom_loss(name):
    X, y, weight = problem(n=200)  # so many rows that some of them lie near a corner
    network = Network(SIZES, "relu", loss=custom(*LOSSES[name]), random_state=0)
    for sample_weight in (None, weight):
        check = gradient_check(network, X, y, sample_weight)
        assert check.passed, str(check)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("scale", [1.0, 1e4])
def test_data_that_nobody_has_scaled(scale):
    # features up to 4,000 (area); most units are saturated or dead, and many probabilities are clipped
    X, y = load_breast_cancer(return_X_y=True)
    for activation in ("relu", "tanh"):
        model = MLPClassifier((8,), activation, max_iter=5, random_state=0).fit(X, y)
        assert gradient_check(model, X, y).passed
    X, y = load_diabetes(return_X_y=True, scaled=False)
    for activation in ("relu", "tanh"):
        model = MLPRegressor(hidden_layer_sizes=(8,), activation=activation, max_iter=5, random_state=0)
        assert gradient_check(model.fit(X, y * scale), X, y * scale).passed


def test_steps_fit_the_inputs():
    # a step of 6e-6 in a weight behind an input of 1e9 would go from one end of tanh to the other
    X, y, _ = problem()
    X[:, 1] *= 1e9
    network = Network(SIZES, "tanh", random_state=0)
    network.coefs[0][1] *= 1e-9
    check = gradient_check(network, X, y)
    assert check.passed, str(check)
    assert check["W_1"].n_corners == 0
    network.coefs[0][0, 0] = 1e13  # and a large number needs a large step
    assert gradient_check(network, X, y).passed


def test_estimator_is_left_alone():
    X, y, _ = problem("log_loss")
    labels = np.array(["no", "yes"])[y.argmax(axis=1)]
    model = MLPClassifier((5,), random_state=0, max_iter=300, tol=0.01, learning_rate_init=0.01)
    model.fit(X.astype(np.float32), labels)
    before = [w.copy() for w in model.coefs_ + model.intercepts_]
    assert gradient_check(model, X, labels).passed
    for now, then in zip(model.coefs_ + model.intercepts_, before, strict=True):
        assert_array_equal(now, then)


def test_sparse_rows_and_class_numbers():
    X, y, _ = problem("log_loss")
    X[X < 0] = 0
    network = Network(SIZES, "tanh", "softmax", "log_loss", random_state=0)
    dense, sparse = (gradient_check(network, rows, y.argmax(axis=1)) for rows in (X, sp.csr_array(X)))
    assert dense.passed
    assert str(dense) == str(sparse)


# What is wrong fails


@pytest.mark.parametrize("times", [-1.0, 2.0, 0.5, 1 / 25, 1.001])
@pytest.mark.parametrize("name", LOSSES)
def test_custom_loss_with_a_wrong_factor(name, times):
    X, y, _ = problem()
    network = Network(SIZES, "relu", loss=custom(*LOSSES[name], times), random_state=0)
    check = gradient_check(network, X, y)
    assert not check.passed
    assert check["loss"].verdict == check["b_3"].verdict == "WRONG"
    if abs(times - 1) > 0.01:
        assert_allclose(check["loss"].factor, times, rtol=1e-3)
        assert f"it is {times:.4g} times the central difference everywhere" in str(check)
    assert "The gradient of the loss by the raw prediction is wrong" in str(check)
    assert "FAILED" in str(check)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", LOSSES)
def test_custom_loss_that_computes_in_float32(name, dtype):
    X, y, weight = problem()

    def narrow(times):
        function = custom(*LOSSES[name], times)

        def in_float32(y_true, raw_prediction, sample_weight):
            loss, gradient = function(y_true.astype(np.float32), raw_prediction.astype(np.float32), sample_weight)
            return loss.astype(np.float32), gradient.astype(np.float32)

        return in_float32

    network = Network(SIZES, "relu", loss=narrow(1.0), dtype=dtype, random_state=0)
    check = gradient_check(network, X, y, weight)
    assert check.passed, str(check)
    assert check["loss"].n_too_small < check["loss"].n_compared / 5  # most are large enough to be compared
    for times in (-1.0, 2.0, 1.1):
        check = gradient_check(network.with_loss(narrow(times)), X, y, weight)
        assert check["loss"].verdict == "WRONG"
        assert_allclose(check["loss"].factor, times, rtol=5e-3)


def test_one_derivative_gives_no_common_factor():
    network = Network([1, 1], loss=custom(lambda y, p: (p - y) ** 2 / 2, lambda y, p: 3 * (p - y)), random_state=0)
    check = gradient_check(network, np.ones((1, 1)), np.zeros((1, 1)))
    assert check["loss"].verdict == "WRONG"
    assert check["loss"].factor is None
    check = gradient_check(network, np.ones((2, 1)), np.zeros((2, 1)))
    assert_allclose(check["loss"].factor, 3)


def test_custom_loss_with_another_gradient():
    X, y, _ = problem()
    loss = custom(lambda y, p: np.sqrt(1 + (p - y) ** 2), lambda y, p: (p - y) / (1 + (p - y) ** 2))
    check = gradient_check(Network(SIZES, "tanh", loss=loss, random_state=0), X, y)
    assert check["loss"].verdict == "WRONG"
    assert check["loss"].factor is None
    worst = check["loss"].worst
    i, j = check["loss"].index[worst]
    assert f"{check['loss'].gradient[worst]:.6g} at ({i}, {j}), where the central difference is" in str(check)


def test_custom_loss_that_is_wrong_in_one_row():
    X, y, _ = problem(n=300)
    right = custom(*LOSSES["log-cosh"])

    def wrong(y_true, raw_prediction, sample_weight):
        loss, gradient = right(y_true, raw_prediction, sample_weight)
        gradient[y_true == y[123]] *= 1.01
        return loss, gradient

    check = gradient_check(Network(SIZES, "tanh", loss=wrong, random_state=0), X, y, n_checks=2)
    assert check["loss"].index[check["loss"].worst][0] == 123
    assert not check.passed


@pytest.mark.parametrize("group", ["W_1", "b_1", "W_2", "b_2", "W_3", "b_3"])
@pytest.mark.parametrize("mistake", ["a term lost", "wrong sign"])
def test_mistake_in_the_backward_pass(group, mistake, monkeypatch):
    X, y, _ = problem()
    original, layer = Network.loss_and_gradient, int(group[-1]) - 1

    def mistaken(network, *arguments):
        loss, gradient = original(network, *arguments)
        part = network.split(gradient)["Wb".index(group[0])][layer]
        if mistake == "wrong sign":
            part *= -1
        else:
            part += 1e-4 * np.abs(part).max()
        return loss, gradient

    monkeypatch.setattr(Network, "loss_and_gradient", mistaken)
    check = gradient_check(Network(SIZES, "tanh", alpha=0.1, random_state=0), X, y)
    assert {g.name: g.verdict for g in check.groups if g.name != group} == dict.fromkeys(
        {"loss", "W_1", "b_1", "W_2", "b_2", "W_3", "b_3"} - {group}, "ok"
    )
    assert check[group].verdict == "WRONG"
    assert f"{group}: backpropagation is wrong" in str(check)
    if mistake == "wrong sign":
        assert_allclose(check[group].factor, -1, rtol=1e-6)


def test_mistake_in_small_derivatives(monkeypatch):
    # 1e-8: above the resolution of the first step, 1e-10, and below that of the smaller ones
    X, y, _ = problem()
    network = Network([4, 6, 2], "tanh", random_state=0)
    network.coefs[1] *= 1e-7
    assert gradient_check(network, X, y)["W_1"].verdict == "ok"
    original = Network.loss_and_gradient

    def mistaken(network, *arguments):
        loss, gradient = original(network, *arguments)
        network.split(gradient)[0][0][...] *= 2
        return loss, gradient

    monkeypatch.setattr(Network, "loss_and_gradient", mistaken)
    assert gradient_check(network, X, y)["W_1"].verdict == "WRONG"


def test_forgotten_penalty(monkeypatch):
    X, y, _ = problem()
    original = Network.loss_and_gradient

    def forgetful(network, *arguments):
        loss, gradient = original(network, *arguments)
        gradient[: network.n_coefs] -= network.alpha / len(X) * network.params[: network.n_coefs]
        return loss, gradient

    monkeypatch.setattr(Network, "loss_and_gradient", forgetful)
    check = gradient_check(Network(SIZES, "tanh", alpha=1e-3, random_state=0), X, y)
    assert [group.name for group in check.groups if not group.passed] == ["W_1", "W_2", "W_3"]


# Where differences cannot decide


def test_activations_with_corners():
    assert {"relu", "leaky_relu", "selu"} == CORNERED


def test_corners_are_left_out_and_counted():
    # a row of zeros and biases of zero: every pre-activation of the first layer is at the corner of relu
    X, y, _ = problem(n=3)
    X[0] = 0
    network = Network([4, 6, 2], "relu", random_state=0)
    network.intercepts[0][...] = 0
    check = gradient_check(network, X, y)
    assert check["b_1"].n_corners > 0
    assert check["b_1"].n_corners + check["b_1"].n_compared == 6
    only = gradient_check(network, X[:1], y[:1])
    assert only["b_1"].verdict == "not checked"
    assert np.isnan(only["b_1"].largest_error)
    assert not only.passed
    assert "b_1: every derivative is at a corner, where a unit changes sign" in str(only)
    # elu has one slope there, but two second derivatives: the differences are off by a part of h
    smooth = Network([4, 6, 2], "elu", random_state=0)
    smooth.params = network.params
    for loss in ("squared_error", custom(lambda y, p: (y - p) ** 2 / 2, lambda y, p: 1.00001 * (p - y))):
        check = gradient_check(smooth.with_loss(loss), X, y)
        assert check.passed == (loss == "squared_error")
        assert check["b_1"].n_corners == 0


def test_a_corner_near_by_is_no_excuse():
    # a unit changes sign within the first step, but not within a smaller one: the derivative is still checked
    X, y = np.array([[1.0]]), np.array([5.0])
    for distance in (2e-6, 1e-7):
        network = Network([1, 1, 1], "relu", random_state=0)
        network.params = [1.0, 1.0, -1.0 + distance, 0.0]  # z = distance, the first step is 6e-6
        check = gradient_check(network, X, y)
        assert check["b_1"].n_corners == 0
        assert check.passed, str(check)
        wrong = custom(lambda y, p: (y - p) ** 2 / 2, lambda y, p: 1.1 * (p - y))
        assert gradient_check(network.with_loss(wrong), X, y)["b_1"].verdict == "WRONG"


def test_derivatives_below_the_resolution():
    X, y, _ = problem()
    network = Network([4] + [6] * 30 + [2], "logistic", random_state=0)
    check = gradient_check(network, X, y, n_checks=5)
    assert check.passed
    assert check["W_1"].verdict == "too small"
    assert check["W_1"].n_too_small == 5
    assert check["W_31"].verdict == "ok"
    assert "W_1: the derivatives are below" in str(check)


def test_dead_units_have_derivatives_of_zero():
    X, y, _ = problem()
    network = Network(SIZES, "relu", random_state=0)
    network.intercepts[0][...] = -100
    check = gradient_check(network, X, y)
    assert check.passed
    assert check["W_1"].verdict == "ok"
    assert check["W_1"].largest_error == 0


def test_clipped_probabilities_are_left_out():
    X, y, _ = problem("log_loss")
    network = Network([4, 2], output_activation="softmax", loss="log_loss", random_state=0)
    X[3] *= 1e4
    wrong = 1 - network.forward(X[3:4]).round()
    y[3] = wrong  # surely the other class: the loss is -log eps there, whatever the weights
    check = gradient_check(network, X, y)
    assert check.n_clipped == 1
    assert check.passed
    assert "1 row(s) left out: the loss clips a probability" in str(check)
    with pytest.raises(ValueError, match="clips a probability in every row"):
        gradient_check(network, X[3:4], y[3:4])


# Arguments


def test_sample_of_the_parameters():
    rng = np.random.RandomState(0)
    assert_array_equal(sample((2, 3), 6, rng), [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2)])
    drawn = sample((20, 30), 50, rng)
    assert len(np.unique(drawn, axis=0)) == 50
    X, y, _ = problem()
    network = Network(SIZES, "tanh", random_state=0)
    one, same, other = (gradient_check(network, X, y, n_checks=4, random_state=seed)["W_1"] for seed in (0, 0, 1))
    assert len(one.index) == one.n_compared == 4
    assert_array_equal(one.index, same.index)
    assert (one.index != other.index).any()
    dW = network.split(network.loss_and_gradient(X, y)[1])[0][0]
    assert_array_equal(one.gradient, dW[tuple(one.index.T)])


@pytest.mark.parametrize("n_checks", [0, 2.5, True, None])
def test_bad_n_checks(n_checks):
    X, y, _ = problem()
    with pytest.raises(ValueError, match="n_checks must be an integer >= 1"):
        gradient_check(Network(SIZES, random_state=0), X, y, n_checks=n_checks)


@pytest.mark.parametrize("tolerance", [0, -1e-6, np.nan, np.inf, "1e-6", None])
def test_bad_tolerance(tolerance):
    X, y, _ = problem()
    with pytest.raises(ValueError, match="tolerance must be a finite number > 0"):
        gradient_check(Network(SIZES, random_state=0), X, y, tolerance=tolerance)


def test_bad_data():
    X, y, _ = problem()
    network = Network(SIZES, "relu", "exp", "poisson", random_state=0)
    with pytest.raises(ValueError, match=r"y must have shape \(25, 2\)"):
        gradient_check(network, X, y[:, 0])
    with pytest.raises(ValueError, match="the loss is inf at these weights"):
        gradient_check(network, X * 1e6, np.abs(y))
    with pytest.raises(NotFittedError):
        gradient_check(MLPRegressor(), X, y)
    with pytest.raises(KeyError, match="no group 'W_4'; there are loss, W_1"):
        gradient_check(Network(SIZES, random_state=0), X, y)["W_4"]


def test_custom_loss_that_returns_something_else():
    X, y, _ = problem()
    with pytest.raises(ValueError, match=r"the gradient from .* must have shape \(25, 2\)"):
        gradient_check(Network(SIZES, loss=lambda y, p, w: (y[:, 0], y[:, 0]), random_state=0), X, y)


def test_table():
    X, y, _ = problem()
    check = gradient_check(Network(SIZES, "tanh", random_state=0), X, y, n_checks=10)
    lines = str(check).splitlines()
    assert lines[0] == check.network
    assert " ".join(lines[2].split()) == "group shape compared at corners too small largest relative error verdict"
    errors = [f"{group.largest_error:.1e}" for group in check.groups]
    assert lines[4].split() == ["W_1", "4", "x", "6", "10", "of", "24", "0", "0", errors[1], "ok"]
    assert lines[-1] == "passed at a tolerance of 1e-06"
    assert repr(check).startswith("<GradientCheck passed: largest relative error")
    assert repr(check["b_2"]).startswith("<GroupCheck b_2: ok")


def test_any_layers():
    branch = [Dense(6, "relu"), Scale(0.7), Dense(8)]
    layers = [Scale(), Dense(8, "gelu"), Residual(branch), Dense(2, use_bias=False)]
    network = Network(layers=layers, n_features=5, random_state=1, alpha=0.1)
    rng = np.random.default_rng(0)
    X, Y = rng.normal(size=(12, 5)), rng.normal(size=(12, 2))
    check = gradient_check(network, X, Y, rng.uniform(0, 2, 12))
    assert check.passed
    assert [group.name for group in check.groups] == ["loss", *(block.name for block in network.graph.blocks)]
