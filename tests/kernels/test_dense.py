"""The dense layer: kernel, twin and finite differences; `dense.pyx` and `gemm.h`."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import reference
from fastbp.kernels import ACTIVATIONS, NEEDS_PREACTIVATION, dense_backward, dense_forward

SIZES = (1, 2, 3, 7, 8, 9, 31, 33, 100)
both_dtypes = pytest.mark.parametrize("dtype", [np.float32, np.float64], ids=["float32", "float64"])
# 81 of the 729 triples (n, fan_in, fan_out): every pair of sizes occurs in every two of the three places.
SHAPES = [(n, SIZES[(i + s) % 9], SIZES[(i + 2 * s) % 9]) for i, n in enumerate(SIZES) for s in range(9)]


def layer(n, fan_in, fan_out, dtype):
    """X, W, b and the gradient of the output."""
    rng = np.random.default_rng(0)
    shapes = (n, fan_in), (fan_in, fan_out), (fan_out,), (n, fan_out)
    return [rng.normal(size=shape).astype(dtype) for shape in shapes]


def assert_product(actual, A, B, plus=0.0):
    """actual = A B + plus within the bound for any order of summation: |error| <= k eps (|A| |B| + |plus|), with k
    terms (Higham, Accuracy and Stability of Numerical Algorithms, eq. 3.5); twice that, as the twin errs as well."""
    k, eps = A.shape[1] + 1, np.finfo(actual.dtype).eps
    A, B = A.astype(np.float64), B.astype(np.float64)
    bound = 2 * k * eps * (np.abs(A) @ np.abs(B) + np.abs(plus))
    assert (np.abs(actual - (A @ B + plus)) <= bound).all()


@both_dtypes
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_products(shape, dtype):
    X, W, b, dA = layer(*shape, dtype)
    A = dense_forward(X, W, b)
    assert A.dtype == dtype
    assert_product(A, X, W, b.astype(np.float64))
    dX, dW, db = dense_backward(dA, X, W, A)
    assert (dX.dtype, dW.dtype, db.dtype) == (dtype,) * 3
    assert_product(dX, dA, W.T)
    assert_product(dW, X.T, dA)
    assert_product(db[None], np.ones((1, shape[0])), dA)


@both_dtypes
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_twin(name, dtype):
    X, W, b, dA = layer(9, 7, 33, dtype)
    W /= 3  # pre-activations of order one
    Z = np.empty_like(dA)
    A = dense_forward(X, W, b, name, Z=Z)
    x, w, bias, gradient = (array.astype(np.float64) for array in (X, W, b, dA))
    expected_A, expected_Z = reference.dense_forward(x, w, bias, name)
    # sums of up to 33 terms of order one to ten (e^z up to a hundred)
    tolerance = dict(rtol=100 * np.finfo(dtype).eps, atol=100 * np.finfo(dtype).eps)
    assert_allclose(A, expected_A, **tolerance)
    if name in NEEDS_PREACTIVATION:
        assert_allclose(Z, expected_Z, **tolerance)
    actual = dense_backward(dA, X, W, A, name, Z=Z)
    expected = reference.dense_backward(gradient, x, w, expected_A, expected_Z, name)
    for ours, twin in zip(actual, expected, strict=True):
        scale = np.abs(twin).max()
        assert_allclose(ours, twin, rtol=0, atol=100 * np.finfo(dtype).eps * scale)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_finite_differences(name):
    X, W, b, dA = layer(3, 4, 5, np.float64)
    Z = np.empty_like(dA)
    A = dense_forward(X, W, b, name, Z=Z)
    gradients = dense_backward(dA, X, W, A, name, Z=Z)
    for i, gradient in enumerate(gradients):

        def scalar(value, i=i):
            arguments = [X, W, b]
            arguments[i] = value
            return (dA * dense_forward(*arguments, name)).sum()

        # error 1e-12 from the curvature, 1e-15 / 1e-6 from rounding, times values up to e^5
        assert_allclose(gradient, reference.finite_difference(scalar, [X, W, b][i]), rtol=1e-6, atol=1e-7)


@both_dtypes
@pytest.mark.parametrize("fan_out", [1, 7, 16, 33, 100])
def test_rows_do_not_depend_on_each_other(fan_out, dtype):
    X, W, b, dA = layer(40, 31, fan_out, dtype)
    A = dense_forward(X, W, b, "tanh")
    dX, _, _ = dense_backward(dA, X, W, A, "tanh")
    for begin in (0, 1, 2, 3, 5, 8, 17):
        for n in (1, 2, 3, 4, 5, 6, 7, 8, 9, 13, 23):
            part = slice(begin, begin + n)
            assert_array_equal(dense_forward(X[part], W, b, "tanh"), A[part])
            assert_array_equal(dense_backward(dA[part], X[part], W, A[part], "tanh")[0], dX[part])


@both_dtypes
def test_columns_do_not_depend_on_each_other(dtype):
    X, W, b, dA = layer(9, 31, 100, dtype)
    A = dense_forward(X, W, b, "tanh")
    _, dW, db = dense_backward(dA, X, W, A, "tanh")
    for begin in (0, 1, 5, 16, 31):
        for m in (1, 2, 3, 7, 8, 15, 16, 17, 33, 48, 65):
            part = np.s_[:, begin : begin + m]
            assert_array_equal(dense_forward(X, W[part], b[part[1]], "tanh"), A[part])
            _, dW_part, db_part = dense_backward(dA[part], X, W[part], A[part], "tanh")
            assert_array_equal(dW_part, dW[part])
            assert_array_equal(db_part, db[part[1]])


@both_dtypes
def test_rows_of_the_weight_gradient_do_not_depend_on_each_other(dtype):
    X, W, b, dA = layer(33, 40, 9, dtype)
    A = dense_forward(X, W, b)
    _, dW, _ = dense_backward(dA, X, W, A)
    for begin in (0, 1, 3, 8, 16):
        for n in (1, 2, 3, 5, 6, 8, 12, 24):
            part = slice(begin, begin + n)
            assert_array_equal(dense_backward(dA, X[:, part], W[part], A)[1], dW[part])


@both_dtypes
@pytest.mark.parametrize("fan_out", range(1, 52))
def test_every_width_has_the_bits_of_its_columns(fan_out, dtype):
    # panels of one to three vectors of 16 to 64 bytes, whose last one is whole, ragged, or ragged in its lower half
    X, W, b, dA = layer(15, 21, 52, dtype)
    Z, dW = dense_forward(X, W, b), dense_backward(dA, X, W, np.zeros_like(dA))[1]
    first = np.s_[:, :fan_out]
    W1, dA1 = np.ascontiguousarray(W[first]), np.ascontiguousarray(dA[first])
    assert_array_equal(dense_forward(X, W1, b[:fan_out]), Z[first])
    assert_array_equal(dense_backward(dA1, X, W1, np.zeros_like(dA1))[1], dW[first])
    assert_product(Z[first], X, W1, b[:fan_out].astype(np.float64))


# Packed panels of B, runs of k and chunks of rows: shapes on both sides of every limit, for vectors of 16 to 64 bytes.
# 263 rows leave a chunk with fewer rows than a block.
LARGE_SHAPES = [(32, 1100, 49), (39, 513, 100), (263, 600, 48), (300, 1600, 33), (520, 385, 17), (48, 3100, 8)]


@both_dtypes
@pytest.mark.parametrize("shape", LARGE_SHAPES, ids=str)
def test_large_products_have_the_bits_of_their_rows(shape, dtype):
    X, W, b, dA = layer(*shape, dtype)
    Z = dense_forward(X, W, b)
    dX, dW, _ = dense_backward(dA, X, W, Z)
    for row in (0, 7, 8, shape[0] // 2, shape[0] - 1):
        one = np.s_[row : row + 1]
        assert_array_equal(dense_forward(X[one], W, b), Z[one])
        assert_array_equal(dense_backward(dA[one], X[one], W, Z[one])[0], dX[one])
    for column in (0, 5, shape[1] // 2, shape[1] - 1):
        one = np.s_[:, column : column + 1]
        assert_array_equal(dense_backward(dA, X[one].copy(), W[column : column + 1], Z)[1], dW[column : column + 1])
    assert_product(Z, X, W, b.astype(np.float64))
    assert_product(dW, X.T, dA)


@both_dtypes
def test_small_integers_are_exact(dtype):
    rng = np.random.default_rng(0)
    X, W, b = (rng.integers(-8, 9, size=s).astype(dtype) for s in ((33, 100), (100, 31), (31,)))
    # every partial sum is an integer below 2^24
    assert_array_equal(dense_forward(X, W, b), X @ W + b)


@both_dtypes
def test_nan_and_infinity_pass_through(dtype):
    X, W, b, _ = layer(9, 8, 33, dtype)
    X[2, 3], X[5, 0] = np.nan, np.inf
    A = dense_forward(X, W, b)
    assert np.isnan(A[2]).all()
    assert_array_equal(A[5], np.where(W[0] > 0, np.inf, -np.inf))
    assert np.isfinite(np.delete(A, [2, 5], axis=0)).all()


@pytest.mark.parametrize(
    ("shapes", "name"),
    [
        ([(0, 3), (3, 2), (2,)], "X"),
        ([(4, 0), (0, 2), (2,)], "X"),
        ([(4, 3), (3, 0), (0,)], "W"),
    ],
)
def test_nothing_to_multiply_is_refused(shapes, name):
    X, W, b = (np.empty(shape) for shape in shapes)
    with pytest.raises(ValueError, match=f"^{name} must not be empty"):
        dense_forward(X, W, b)
    output = np.empty((len(X), W.shape[1]))
    with pytest.raises(ValueError, match=f"^{name} must not be empty"):
        dense_backward(output, X, W, output)
