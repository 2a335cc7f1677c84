"""Activations: kernel, twin and finite differences over the whole table; `activations.pyx` and `activations.h`."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import reference
from fastbp.kernels import (
    ACTIVATIONS,
    NEEDS_PREACTIVATION,
    activation_backward,
    activation_backward_tangent,
    activation_forward,
)

SIZES = (1, 2, 3, 7, 8, 9, 31, 33, 100)
every_activation = pytest.mark.parametrize("name", ACTIVATIONS)
both_dtypes = pytest.mark.parametrize("dtype", [np.float32, np.float64], ids=["float32", "float64"])


def close(actual, expected, dtype, scale=1.0):
    """Within rounding: 100 eps relative, which the left tail of gelu needs (its error grows as z^2 ulp, |z| < 10), and
    16 eps absolute, where derivatives such as 1 - a^2 take differences of numbers near `scale`."""
    eps = np.finfo(dtype).eps
    assert actual.dtype == dtype
    assert_allclose(actual, expected, rtol=100 * eps, atol=16 * eps * scale)


def pre_activations(n, m, dtype, seed=0):
    """Small and large values of either sign."""
    rng = np.random.default_rng(seed)
    return (rng.uniform(-9.9, 9.9, (n, m)) * rng.choice([1, 0.1, 1e-4], (n, m))).astype(dtype)


def forward_and_backward(name, Z, dA):
    A = activation_forward(Z, name)
    return A, activation_backward(dA, A, name, Z=Z if name in NEEDS_PREACTIVATION else None)


@every_activation
@both_dtypes
@pytest.mark.parametrize("m", SIZES)
def test_twin(name, dtype, m):
    for n in SIZES:
        Z = pre_activations(n, m, dtype, seed=n)
        dA = np.random.default_rng(m).normal(size=(n, m)).astype(dtype)
        A, delta = forward_and_backward(name, Z, dA)
        forward, backward = reference.ACTIVATIONS[name]
        # the twin computes in float64 what either dtype is given
        expected = forward(Z.astype(np.float64))
        # e^z may be large: its derivative scales with it
        scale = np.abs(dA).max() * max(1.0, np.abs(expected).max() if name == "exp" else 10.0)
        close(A, expected, dtype)
        close(delta, backward(Z.astype(np.float64), expected, dA.astype(np.float64)), dtype, scale)


@every_activation
@both_dtypes
def test_finite_differences(name, dtype):
    Z = pre_activations(3, 5, np.float64)
    Z[np.abs(Z) < 1e-2] = 0.5  # off the kink of relu and its kin
    dA = np.random.default_rng(1).normal(size=Z.shape)
    expected = reference.finite_difference(lambda z: (dA * activation_forward(z, name)).sum(), Z, 1e-5)
    _, delta = forward_and_backward(name, Z.astype(dtype), dA.astype(dtype))
    # The difference quotient loses 1e-16 |f| / 1e-5; float32 rounds Z itself, and e^z is up to e^10 of slope e^10.
    scale = max(1.0, np.abs(expected).max())
    assert_allclose(delta, expected, rtol=1e-5, atol=scale * (1e-9 if dtype == np.float64 else 1e-5))


@every_activation
@both_dtypes
def test_value_does_not_depend_on_position(name, dtype):
    if name == "softmax":
        Z = pre_activations(37, 11, dtype)
        A, delta = forward_and_backward(name, Z, Z)
        parts = [slice(i, i + k) for i in range(5) for k in (1, 2, 7, 30)]
    else:
        Z = pre_activations(1, 100, dtype)
        A, delta = forward_and_backward(name, Z, Z)
        parts = [(slice(None), slice(i, i + k)) for i in range(18) for k in (1, 2, 3, 5, 8, 16, 31)]
    for part in parts:
        part_A, part_delta = forward_and_backward(name, Z[part], Z[part])
        assert_array_equal(part_A, A[part])
        assert_array_equal(part_delta, delta[part])


@every_activation
@both_dtypes
def test_nan_stays_nan_where_it_is(name, dtype):
    Z = pre_activations(4, 21, dtype)
    clean = activation_forward(Z, name)
    Z[2, 17] = np.nan
    A = activation_forward(Z, name)
    hit = np.zeros(A.shape, bool)
    hit[2, slice(None) if name == "softmax" else 17] = True
    assert np.isnan(A[hit]).all()
    assert_array_equal(A[~hit], clean[~hit])


LIMITS = {
    "logistic": (0.0, 1.0),
    "tanh": (-1.0, 1.0),
    "relu": (0.0, np.inf),
    "elu": (-1.0, np.inf),
    "selu": (-reference.SELU_SCALE * reference.SELU_ALPHA, np.inf),
    "softplus": (0.0, np.inf),
    "exp": (0.0, np.inf),
    "identity": (-np.inf, np.inf),
    "leaky_relu": (-np.inf, np.inf),
}


@pytest.mark.parametrize("name", LIMITS)
@both_dtypes
def test_limits_at_infinity(name, dtype):
    A = activation_forward(np.array([[-np.inf, np.inf]], dtype), name)
    assert_array_equal(A, np.array([LIMITS[name]], dtype))


@pytest.mark.parametrize("name", ["gelu", "silu", "mish"])
@both_dtypes
def test_far_tails(name, dtype):
    # z f(z) with f -> 0 on the left, f -> 1 on the right
    Z = np.array([[-1e4, -500, 500, 1e4]], dtype)
    A, slope = forward_and_backward(name, Z, np.ones_like(Z))
    # what is left of e^-500 is far below the smallest float32 and of no account in float64
    assert_allclose(A, [[0, 0, 500, 1e4]], rtol=0, atol=1e-30)
    # f(z) is 1 there to the last bit, and z f'(z) nothing
    assert_allclose(slope, [[0, 0, 1, 1]], rtol=2 * np.finfo(dtype).eps, atol=1e-30)


@both_dtypes
def test_softmax_of_extreme_rows(dtype):
    Z = np.array([[1e30, 0, -1e30], [-1e4, -1e4, -1e4], [88, 89, 90]], dtype)
    A = activation_forward(Z, "softmax")
    expected = reference.softmax(Z.astype(np.float64))
    close(A, expected, dtype)
    # three roundings
    assert_allclose(A.sum(axis=1), 1, rtol=4 * np.finfo(dtype).eps)


@pytest.mark.parametrize("name", ["relu", "leaky_relu"])
def test_slope_at_the_kink_is_the_left_one(name):
    zero = np.zeros((1, 1))
    assert activation_backward(zero + 1, zero, name) == {"relu": 0.0, "leaky_relu": 0.01}[name]


@pytest.mark.parametrize("name", sorted(NEEDS_PREACTIVATION))
def test_preactivation_is_asked_for(name):
    A = np.ones((2, 3))
    with pytest.raises(ValueError, match=f"derivative of {name} needs the pre-activation Z"):
        activation_backward(A, A, name)


def test_empty_arrays():
    assert activation_forward(np.empty((0, 3)), "tanh").shape == (0, 3)
    assert activation_backward(np.empty((0, 3)), np.empty((0, 3)), "tanh").shape == (0, 3)


# The tangent of the backward pass: dA_tangent f'(z) + dA f''(z) Z_tangent


def tangent_problem(n, m, dtype):
    """(dA, dA_tangent, Z, Z_tangent)"""
    dA, dA_tangent, Z_tangent = np.random.default_rng(m).normal(size=(3, n, m)).astype(dtype)
    return dA, dA_tangent, pre_activations(n, m, dtype, seed=n), Z_tangent


@every_activation
@both_dtypes
@pytest.mark.parametrize("m", SIZES)
def test_twin_of_the_tangent(name, dtype, m):
    for n in SIZES:
        dA, dA_tangent, Z, Z_tangent = problem = tangent_problem(n, m, dtype)
        kept = [array.copy() for array in problem]
        found = activation_backward_tangent(dA, dA_tangent, Z, Z_tangent, name)
        dA, dA_tangent, Z, Z_tangent = (array.astype(np.float64) for array in problem)
        expected = reference.BACKWARD_TANGENTS[name](Z, Z_tangent, dA, dA_tangent)
        # e^z may be large; else slopes and second derivatives are of order one, as are the rows of softmax
        largest = max(np.abs(array).max() for array in (dA, dA_tangent, dA * Z_tangent))
        scale = 10 * largest * max(1.0, np.exp(Z).max() if name == "exp" else 1.0) * (m if name == "softmax" else 1)
        close(found, expected, dtype, scale)
        for array, before in zip(problem, kept, strict=True):
            assert_array_equal(array, before)


@every_activation
def test_finite_differences_of_the_tangent(name):
    dA, dA_tangent, Z, Z_tangent = tangent_problem(3, 5, np.float64)
    Z[np.abs(Z) < 1e-2] = 0.5  # off the kink of relu and its kin

    def moved(t):
        return forward_and_backward(name, Z + t * Z_tangent, dA + t * dA_tangent)[1]

    expected = (moved(1e-5) - moved(-1e-5)) / 2e-5
    # the third derivative times 1e-10, and rounding of 1e-16 / 1e-5; e^z is up to e^10, its roundings with it
    scale = max(1.0, np.abs(expected).max())
    found = activation_backward_tangent(dA, dA_tangent, Z, Z_tangent, name)
    assert_allclose(found, expected, rtol=1e-7, atol=1e-9 * scale)


@every_activation
@both_dtypes
def test_tangent_does_not_depend_on_position(name, dtype):
    if name == "softmax":
        problem, parts = tangent_problem(37, 11, dtype), [slice(i, i + k) for i in range(5) for k in (1, 2, 7, 30)]
    else:
        problem = tangent_problem(1, 100, dtype)
        parts = [(slice(None), slice(i, i + k)) for i in range(18) for k in (1, 2, 3, 5, 8, 16, 31)]
    whole = activation_backward_tangent(*problem, name)
    for part in parts:
        assert_array_equal(activation_backward_tangent(*(array[part] for array in problem), name), whole[part])


@every_activation
@both_dtypes
def test_tangent_is_linear_in_what_moves(name, dtype):
    dA, dA_tangent, Z, Z_tangent = tangent_problem(5, 9, dtype)
    nothing = np.zeros_like(Z)
    assert not activation_backward_tangent(dA, nothing, Z, nothing, name).any()
    # without a move of Z, backward itself; with one, twice as far for twice the move (a factor of two is exact)
    along_dA = activation_backward_tangent(dA, dA_tangent, Z, nothing, name)
    close(along_dA, forward_and_backward(name, Z, dA_tangent)[1], dtype, np.abs(along_dA).max())
    along_Z = activation_backward_tangent(dA, nothing, Z, Z_tangent, name)
    assert_array_equal(activation_backward_tangent(dA, nothing, Z, 2 * Z_tangent, name), 2 * along_Z)


@pytest.mark.parametrize("name", [name for name in ACTIVATIONS if name not in ("softmax", "exp")])
@both_dtypes
def test_second_derivative_far_out(name, dtype):
    # beyond 1.9e19 a float32 overflows when it is squared, a float64 beyond 1.4e154
    Z = np.array([[-1.0, 1.0]]) * (1e30 if dtype == np.float32 else 1e200)
    Z, ones = Z.astype(dtype), np.ones((1, 2), dtype)
    assert_array_equal(activation_backward_tangent(ones, 0 * ones, Z, ones, name), [[0, 0]])


@pytest.mark.parametrize("name", ["relu", "leaky_relu", "elu", "selu"])
def test_second_derivative_at_the_kink_is_that_of_a_line(name):
    zero, one = np.zeros((1, 1)), np.ones((1, 1))
    assert activation_backward_tangent(one, zero, zero, one, name) == 0


def test_tangent_of_empty_arrays():
    assert activation_backward_tangent(*[np.empty((0, 3))] * 4, "tanh").shape == (0, 3)
