"""Losses: kernel, twin and finite differences over the whole table; `losses.pyx` and `losses.h`."""

import re

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn._loss import loss as peer

import reference
from fastbp.kernels import LOSSES, loss_on_mean, loss_on_mean_tangent, loss_on_raw, loss_on_raw_tangent
from fastbp.kernels.dispatch import LINKS, target_width

SIZES = (1, 2, 3, 7, 8, 9, 31, 33, 100)
every_loss = pytest.mark.parametrize("name", LOSSES)
every_sum_over_outputs = pytest.mark.parametrize("name", reference.LOSSES)
every_row_loss = pytest.mark.parametrize("name", reference.ROW_LOSSES)
#: Losses whose outputs may be any numbers
ANY_OUTPUT = ("squared_error", "absolute_error", "huber", "quantile", "quantiles", "gaussian")
#: Losses of one class in each row, and of labels that are there or not
ONE_CLASS, LABELS = (
    ("log_loss", "smoothed_log_loss", "focal"),
    (
        "binary_log_loss",
        "smoothed_binary_log_loss",
        "binary_focal",
    ),
)
#: Losses whose second derivative does not depend on the output, but for jumps
PIECEWISE = ("squared_error", "absolute_error", "huber", "quantile")
both_dtypes = pytest.mark.parametrize("dtype", [np.float32, np.float64], ids=["float32", "float64"])


def constants_of(name, m):
    """Constants of a loss of m outputs, other than the defaults."""
    if name == "quantiles":
        return tuple(np.arange(1, m + 1) / (m + 1))
    if name == "multioutput_log_loss":
        return (0.2, *([m // 2, m - m // 2] if m > 1 else [1]))
    return {
        "huber": (0.7,),
        "quantile": (0.3,),
        "tweedie": (1.4,),
        "gaussian": (0.01,),
        "smoothed_log_loss": (0.2,),
        "smoothed_binary_log_loss": (0.2,),
        "focal": (1.5,),
        "binary_focal": (1.5,),
    }.get(name, ())


def targets_and_outputs(name, n, m, dtype):
    """What the loss is made for: any numbers, one-hot rows, zeros and ones, counts, positive amounts."""
    rng = np.random.default_rng(n * 1000 + m)
    if name in ANY_OUTPUT:
        Y, A = rng.normal(size=(n, target_width(name, m))), rng.normal(size=(n, m))
    elif name == "multioutput_log_loss":
        Y = np.hstack([np.eye(k)[rng.integers(k, size=n)] for k in constants_of(name, m)[1:]])
        A = rng.normal(size=(n, m))
    elif name in ONE_CLASS:
        Y, A = np.eye(m)[rng.integers(m, size=n)], rng.dirichlet(np.ones(m) * 2, size=n)
    elif name in LABELS:
        Y, A = rng.integers(2, size=(n, m)), rng.uniform(0.01, 0.99, size=(n, m))
    elif name == "gamma":
        Y, A = rng.gamma(2, size=(n, m)), rng.uniform(0.1, 5, size=(n, m))
    else:
        Y, A = rng.poisson(2, size=(n, m)), rng.uniform(0.1, 5, size=(n, m))
    return Y.astype(dtype), A.astype(dtype)


def on_mean(Y, A, name):
    """Loss of each row and its gradient."""
    return loss_on_mean(Y, A, name, constants_of(name, A.shape[1]))


def on_raw(Y, Z, name):
    """Loss of each row and its gradient, by the raw output."""
    return loss_on_raw(Y, Z, name, constants_of(name, Z.shape[1]))


def on_mean_tangent(Y, A, dA, name):
    """The change of the gradient."""
    return loss_on_mean_tangent(Y, A, dA, name, constants_of(name, A.shape[1]))


def on_raw_tangent(Y, Z, dZ, name):
    """The change of the gradient by the raw output."""
    return loss_on_raw_tangent(Y, Z, dZ, name, constants_of(name, Z.shape[1]))


def loss_rows(Y, A, name):
    """The loss of each row."""
    return on_mean(Y, A, name)[0]


def loss_gradient(Y, A, name):
    """The gradient of each row's loss."""
    return on_mean(Y, A, name)[1]


def loss_curvature(Y, A, name):
    """The second derivative by every output, where the Hessian is diagonal; else the sums of its rows."""
    return on_mean_tangent(Y, A, np.ones_like(A), name)


@every_sum_over_outputs
@both_dtypes
@pytest.mark.parametrize("m", SIZES)
def test_twin(name, dtype, m):
    eps = np.finfo(dtype).eps
    for n in SIZES:
        Y, A = targets_and_outputs(name, n, m, dtype)
        loss, derivative = reference.LOSSES[name]
        y, a, constants = Y.astype(np.float64), A.astype(np.float64), constants_of(name, m)
        if m == 1 and name in ONE_CLASS:
            a[...] = np.clip(a, eps, 1 - eps)  # the only class has probability one
        elements = loss(y, a, *constants)
        rows = loss_rows(Y, A, name)
        assert rows.dtype == np.float64
        # each element within some eps of its terms (of order 1 to 10), the sum of m of them within m eps of the sum
        assert_allclose(rows, elements.sum(axis=1), rtol=(m + 8) * eps, atol=40 * eps * np.sqrt(m))
        gradient = loss_gradient(Y, A, name)
        assert gradient.dtype == dtype
        # a difference of numbers up to 5, and in the log loss a quotient
        assert_allclose(gradient, derivative(y, a, *constants), rtol=16 * eps, atol=16 * eps)
        curvature = loss_curvature(Y, A, name)
        assert curvature.dtype == dtype
        # quotients of positive numbers; 1 - a of the binary log loss, above 0.01, is a difference of numbers near one
        # (of gamma and tweedie differences of numbers up to 2 y / a^3)
        # (of the focal loss a power, exp(1.5 log q) with -35 < log q, and differences)
        rtol = 32 * eps if "focal" in name else 8 * eps
        atol = 0 if name not in ("gamma", "tweedie") else 16 * eps * (y / a**3).max()
        assert_allclose(curvature, reference.CURVATURES[name](y, a, *constants), rtol=rtol, atol=atol)


@every_loss
@both_dtypes
def test_finite_differences(name, dtype):
    Y, A = targets_and_outputs(name, 5, 4, np.float64)
    A = np.clip(A, 0.05, None) if name not in (*ANY_OUTPUT, "multioutput_log_loss") else A
    expected = reference.finite_difference(lambda a: loss_rows(Y, a, name).sum(), A, 1e-6)
    # curvature y / a^3 up to 1e4 times eps^2 = 1e-12, and rounding 1e-15 / 1e-6; float32 rounds A
    rtol = 1e-7 if dtype == np.float64 else 1e-5
    assert_allclose(loss_gradient(Y.astype(dtype), A.astype(dtype), name), expected, rtol=rtol, atol=1e-7)


@every_sum_over_outputs
def test_curvature_by_finite_differences(name):
    Y, A = targets_and_outputs(name, 5, 4, np.float64)
    A = np.clip(A, 0.05, 0.95) if name not in (*ANY_OUTPUT, "multioutput_log_loss") else A
    expected = (loss_gradient(Y, A + 1e-6, name) - loss_gradient(Y, A - 1e-6, name)) / 2e-6
    # third derivatives up to 2 / 0.05^3 = 1e4 of 1e-12 each, and rounding 20 * 1e-16 / 1e-6
    assert_allclose(loss_curvature(Y, A, name), expected, rtol=1e-7, atol=1e-7)


@every_loss
@both_dtypes
def test_rows_do_not_depend_on_each_other(name, dtype):
    for m in (2, 6):
        Y, A = targets_and_outputs(name, 40, m, dtype)
        rows, gradient, curvature = (f(Y, A, name) for f in (loss_rows, loss_gradient, loss_curvature))
        for part in (slice(i, i + k) for i in range(18) for k in (1, 3, 8, 21)):
            assert_array_equal(loss_rows(Y[part], A[part], name), rows[part])
            assert_array_equal(loss_gradient(Y[part], A[part], name), gradient[part])
            assert_array_equal(loss_curvature(Y[part], A[part], name), curvature[part])


@pytest.mark.parametrize("name", ["log_loss", "binary_log_loss"])
@both_dtypes
def test_probabilities_are_clipped(name, dtype):
    eps = float(np.finfo(dtype).eps)
    Y, A = np.array([[1, 0], [0, 1]], dtype), np.array([[0, 1], [0, 1]], dtype)
    rows = loss_rows(Y, A, name)
    # -log eps for each certainty that was wrong, -log(1 - eps) = eps for each that was right
    wrong = {"log_loss": 1, "binary_log_loss": 2}[name]
    assert_allclose(rows, [-wrong * np.log(eps), wrong * eps], rtol=1e-6)
    assert np.isfinite(loss_gradient(Y, A, name)).all()
    # 1 / eps^2 of a certainty that was wrong, far inside the range of either type
    curvature = loss_curvature(Y, A, name)
    assert np.isfinite(curvature).all()
    assert_allclose(curvature[0, 0], eps**-2, rtol=1e-6)


@both_dtypes
def test_poisson_of_zero_counts(dtype):
    Y, A = np.zeros((2, 3), dtype), np.full((2, 3), 0.5, dtype)
    # y log(y / a) is 0 at y = 0; halves are exact
    assert_array_equal(loss_rows(Y, A, "poisson"), [1.5, 1.5])
    assert_array_equal(loss_gradient(Y, A, "poisson"), np.ones((2, 3)))
    assert_array_equal(loss_curvature(Y, A, "poisson"), np.zeros((2, 3)))


@pytest.mark.parametrize("name", [name for name in reference.LOSSES if not name.startswith("smoothed")])
@both_dtypes
def test_perfect_prediction(name, dtype):
    positive = name in ("poisson", "gamma", "tweedie")
    Y = A = np.eye(3, dtype=dtype) + positive
    # clipping leaves eps for each probability
    # (the terms of tweedie, 1 / (0.4 * 0.6) and their sums, are a few eps wrong each)
    assert_allclose(loss_rows(Y, A, name), 0, atol=(64 if name == "tweedie" else 4) * np.finfo(dtype).eps)


@every_sum_over_outputs
def test_nan_is_seen(name):
    Y, A = targets_and_outputs(name, 4, 5, np.float64)
    Y[...] = 1
    A[2, 3] = np.nan
    assert_array_equal(np.isnan(loss_rows(Y, A, name)), [False, False, True, False])
    assert_array_equal(np.isnan(loss_gradient(Y, A, name)), np.isnan(A))
    if name not in PIECEWISE:
        assert_array_equal(np.isnan(loss_curvature(Y, A, name)), np.isnan(A))


def test_no_rows():
    assert loss_rows(np.empty((0, 3)), np.empty((0, 3)), "squared_error").shape == (0,)
    assert loss_gradient(np.empty((0, 3)), np.empty((0, 3)), "squared_error").shape == (0, 3)
    assert loss_curvature(np.empty((0, 3)), np.empty((0, 3)), "squared_error").shape == (0, 3)


@every_sum_over_outputs
@both_dtypes
@pytest.mark.parametrize("m", SIZES)
def test_on_the_raw_output(name, dtype, m):
    eps = np.finfo(dtype).eps
    rng = np.random.default_rng(m)
    link, through_link = reference.ACTIVATIONS[LINKS[name]]
    for n in SIZES:
        Y, _ = targets_and_outputs(name, n, m, dtype)
        Z = rng.normal(size=(n, m)).astype(dtype)
        y, z = Y.astype(np.float64), Z.astype(np.float64)
        a = link(z)
        loss, derivative = reference.LOSSES[name]
        constants = constants_of(name, m)
        rows, delta = on_raw(Y, Z, name)
        assert (rows.dtype, delta.dtype) == (np.float64, dtype)
        if m > 1 or name not in ONE_CLASS:  # the only class has probability one, where the loss clips it
            # each element within some eps of its terms (of order 1 to 10); the link has a few roundings more
            assert_allclose(rows, loss(y, a, *constants).sum(axis=1), rtol=(m + 16) * eps, atol=60 * eps * np.sqrt(m))
            # by the chain rule: the product with the Jacobian of the link
            assert_allclose(delta, through_link(z, a, derivative(y, a, *constants)), rtol=16 * eps, atol=24 * eps)


@every_loss
def test_finite_differences_by_the_raw_output(name):
    Y, _ = targets_and_outputs(name, 5, 4, np.float64)
    Z = np.random.default_rng(0).normal(size=(5, 4))
    expected = reference.finite_difference(lambda z: on_raw(Y, z, name)[0].sum(), Z, 1e-6)
    assert_allclose(on_raw(Y, Z, name)[1], expected, rtol=1e-6, atol=1e-8)


@every_loss
def test_tangents_are_the_change_of_the_gradients(name):
    Y, A = targets_and_outputs(name, 5, 4, np.float64)
    A = np.clip(A, 0.05, 0.95) if name not in (*ANY_OUTPUT, "multioutput_log_loss") else A
    rng = np.random.default_rng(0)
    Z, direction = rng.normal(size=(2, 5, 4))
    for function, tangent, at in ((on_mean, on_mean_tangent, A), (on_raw, on_raw_tangent, Z)):
        after, before = (function(Y, at + h * direction, name)[1] for h in (1e-6, -1e-6))
        # third derivatives up to 2 / 0.05^3 = 1e4 of 1e-12 each, and rounding 20 * 1e-16 / 1e-6
        assert_allclose(tangent(Y, at, direction, name), (after - before) / 2e-6, rtol=1e-6, atol=1e-7)


@every_loss
@pytest.mark.parametrize("function", [loss_on_mean, loss_on_raw])
def test_constants_must_be_those_of_the_loss(name, function):
    Y, A = targets_and_outputs(name, 2, 4, np.float64)
    wrong = () if name in ("quantiles", "multioutput_log_loss") else (1.0, 2.0, 3.0)
    with pytest.raises(ValueError, match=rf"{name} has the constants \(.*\), got {re.escape(str(wrong))}"):
        function(Y, A, name, wrong)


@every_row_loss
@both_dtypes
@pytest.mark.parametrize("m", [2, 4, 8, 16, 34, 100])
def test_twin_of_a_row_loss(name, dtype, m):
    eps = np.finfo(dtype).eps
    for n in SIZES:
        Y, A = targets_and_outputs(name, n, m, dtype)
        rows, gradient = reference.ROW_LOSSES[name](*(v.astype(np.float64) for v in (Y, A)), *constants_of(name, m))
        # quantiles are sums of m steps, and their losses sums of m quantiles; variances are between 0.05 and 20, and
        # the squared errors over them up to 500
        scale = m**2 if name == "quantiles" else 500
        assert_allclose(loss_rows(Y, A, name), rows, rtol=(m + 16) * eps, atol=scale * eps)
        assert_allclose(loss_gradient(Y, A, name), gradient, rtol=32 * eps, atol=scale * eps)


@every_row_loss
def test_nan_is_seen_by_a_row_loss(name):
    Y, A = targets_and_outputs(name, 4, 6, np.float64)
    A[2, 3] = np.nan
    assert_array_equal(np.isnan(loss_rows(Y, A, name)), [False, False, True, False])
    assert_array_equal(np.isnan(loss_gradient(Y, A, name)).any(axis=1), [False, False, True, False])


@every_loss
@both_dtypes
def test_large_raw_outputs(name, dtype):
    # within the range of exp of either type, and far from all targets
    Y = np.ones((2, target_width(name, 4)), dtype)
    Z = np.array([[40, -40, 30, -30], [-40, 40, -30, 30]], dtype)
    rows, delta = on_raw(Y, Z, name)
    assert np.isfinite(rows).all()
    assert np.isfinite(delta).all()


def test_outputs_that_a_loss_cannot_have():
    with pytest.raises(ValueError, match="the loss gaussian cannot have 3 outputs"):
        loss_on_raw(np.ones((2, 1)), np.ones((2, 3)), "gaussian", (1e-6,))
    with pytest.raises(ValueError, match="the loss quantiles cannot have 101 outputs"):
        loss_on_raw(np.ones((2, 1)), np.ones((2, 101)), "quantiles", (0.5,))


def peers():
    """(name, constants, scikit-learn's loss)."""
    return [
        ("absolute_error", (), peer.AbsoluteError()),
        ("huber", (0.7,), peer.HuberLoss(quantile=0.9, delta=0.7)),
        ("quantile", (0.3,), peer.PinballLoss(quantile=0.3)),
        ("poisson", (), peer.HalfPoissonLoss()),
        ("gamma", (), peer.HalfGammaLoss()),
        ("tweedie", (1.4,), peer.HalfTweedieLoss(power=1.4)),
    ]


@pytest.mark.parametrize(("name", "constants", "loss"), peers(), ids=lambda v: v if isinstance(v, str) else "")
def test_as_in_scikit_learn(name, constants, loss):
    rng = np.random.default_rng(0)
    y, z = rng.gamma(2, size=50), rng.normal(size=50)
    found, delta = loss_on_raw(y[:, None], z[:, None], name, constants)
    expected, gradient = loss.loss_gradient(y, z)
    expected += loss.constant_to_optimal_zero(y)  # what it leaves out of the loss: the terms without z
    assert_allclose(found, expected, rtol=1e-12, atol=1e-13)
    assert_allclose(delta[:, 0], gradient, rtol=1e-12, atol=1e-14)


@both_dtypes
@pytest.mark.parametrize("name", ["smoothed_log_loss", "smoothed_binary_log_loss"])
def test_the_best_prediction_of_smoothed_targets(name, dtype):
    eps, K = 0.3, 4 if name == "smoothed_log_loss" else 2
    Y = np.eye(4, dtype=dtype)
    best = (Y * dtype(1 - eps) + dtype(eps) / K).astype(dtype)
    _, gradient = loss_on_mean(Y, best, name, (eps,))
    if name == "smoothed_log_loss":  # whose outputs sum to one: all derivatives are alike
        gradient += 1
    assert_allclose(gradient, 0, atol=8 * np.finfo(dtype).eps)


@both_dtypes
@pytest.mark.parametrize(("focal", "plain"), [("focal", "log_loss"), ("binary_focal", "binary_log_loss")])
def test_focal_loss_with_gamma_zero_is_the_log_loss(focal, plain, dtype):
    Y, _ = targets_and_outputs(plain, 20, 3, dtype)
    Z, dZ = np.random.default_rng(0).normal(size=(2, 20, 3)).astype(dtype)
    tolerance = dict(rtol=1e-4 if dtype == np.float32 else 1e-12, atol=32 * np.finfo(dtype).eps)
    for found, expected in zip(loss_on_raw(Y, Z, focal, (0.0,)), loss_on_raw(Y, Z, plain), strict=True):
        assert_allclose(found, expected, **tolerance)
    found, expected = loss_on_raw_tangent(Y, Z, dZ, focal, (0.0,)), loss_on_raw_tangent(Y, Z, dZ, plain)
    assert_allclose(found, expected, **tolerance)


def test_a_certain_mistake_has_a_gradient_under_the_focal_loss():
    # the probability of the right class rounds to 0: the gradient is that of the log-loss, all the same
    Z = np.array([[-200.0, 200.0]], np.float32)
    _, delta = loss_on_raw(np.array([[1, 0]], np.float32), Z, "focal", (2.0,))
    assert_allclose(delta, [[-1, 1]], rtol=1e-6)
    _, delta = loss_on_raw(np.array([[1, 0]], np.float32), Z, "binary_focal", (2.0,))
    assert_allclose(delta, [[-1, 1]], rtol=1e-6)


def test_wrong_numbers_of_classes_stay_in_the_row():
    Y, Z = np.eye(4), np.random.default_rng(0).normal(size=(4, 4))
    whole = loss_on_raw(Y, Z, "log_loss")
    for sizes in ((9,), (-1,), (4, 4), (0, 7, 7)):
        for found, expected in zip(loss_on_raw(Y, Z, "multioutput_log_loss", (0, *sizes)), whole, strict=True):
            assert_allclose(found, expected, rtol=1e-12)
