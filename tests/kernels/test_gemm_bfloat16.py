"""Matrix products in bfloat16: kernel, twin and order of summation; `gemm_bfloat16.h`, `precision.py`."""

import re

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from bfloat16_cases import UNIT, needs_bfloat16, product, rounded
from fastbp.kernels import dense_backward, dense_forward
from fastbp.kernels.dispatch import COMPILED_ISAS, MISSING_BFLOAT16, TABLES, check_available, missing_bfloat16
from fastbp.kernels.precision import PRECISIONS, precision_of

# around the rows of a block and of a strip, the pairs of a run, the columns of a panel, and the rows of a chunk
ROWS = (1, 2, 3, 7, 8, 9, 16, 17, 33, 130, 4)
COLUMNS = (1, 2, 15, 16, 17, 47, 48, 49, 100, 193, 97)
INNER = (1, 2, 3, 31, 32, 33, 255, 256, 257, 515, 64)
# each pair of sizes occurs in each two of the three places
SHAPES = [(n, INNER[(i + s) % 11], COLUMNS[(i + 2 * s) % 11]) for i, n in enumerate(ROWS) for s in range(11)]


def layer(n, fan_in, fan_out):
    """X, W, b and the gradient of the output, in float32."""
    rng = np.random.default_rng(0)
    shapes = (n, fan_in), (fan_in, fan_out), (fan_out,), (n, fan_out)
    return [rng.normal(size=shape).astype(np.float32) for shape in shapes]


def forward(X, W, b):
    return dense_forward(X, W, b, products="bfloat16")


def backward(dA, X, W):
    return dense_backward(dA, X, W, dA, products="bfloat16")


def assert_product(actual, A, B, init=0.0):
    """Against the twin, within the bound for any order of float32 sums (Higham, Accuracy and Stability of Numerical
    Algorithms, eq. 3.5), once for the kernel and once for the twin: a processor may round a pair only once."""
    k = A.shape[1] + 1
    scale = np.abs(rounded(A)) @ np.abs(rounded(B)) + np.abs(init)
    assert actual.dtype == np.float32
    assert (np.abs(actual - product(A, B, init)) <= 2 * k * np.finfo(np.float32).eps * scale).all()


@needs_bfloat16
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_the_three_products(shape):
    X, W, b, dA = layer(*shape)
    assert_product(forward(X, W, b), X, W, b)
    dX, dW, db = backward(dA, X, W)
    assert_product(dX, dA, np.ascontiguousarray(W.T))
    assert_product(dW, np.ascontiguousarray(X.T), dA)
    # sums of the gradient are no products: the same as in float32
    assert_array_equal(db, dense_backward(dA, X, W, dA)[2])


@needs_bfloat16
def test_the_error_is_that_of_eight_bits():
    X, W, b, _ = layer(64, 300, 100)
    exact = X.astype(np.float64) @ W + b
    errors = np.abs(forward(X, W, b) - exact)
    # each factor errs by half a unit in the eighth bit at most; sums of float32 add some 1e-5 of that
    assert (errors <= 1.01 * UNIT * (np.abs(X) @ np.abs(W)) + 1e-5).all()
    # and by much more than in float32
    assert errors.max() > 100 * np.abs(dense_forward(X, W, b) - exact).max()


@needs_bfloat16
def test_rounding_to_nearest_even():
    one = np.ones((1, 1), np.float32)
    # 1 + 2^-8 and 1 + 3 2^-8 are halfway between two numbers of 8 bits
    for number, expected in ((1 + 2**-8, 1), (1 + 3 * 2**-8, 1 + 2**-6), (1 + 2**-8 + 2**-20, 1 + 2**-7)):
        given = np.full((1, 1), number, np.float32)
        assert forward(given, one, np.zeros(1, np.float32)) == np.float32(expected) == rounded(given)
        assert forward(one, given, np.zeros(1, np.float32)) == np.float32(expected)


@needs_bfloat16
@pytest.mark.parametrize("fan_in", [1, 2, 33, 301])
def test_an_element_does_not_depend_on_what_is_computed_beside_it(fan_in):
    """The rows and columns of threads and tiles: to the last bit."""
    X, W, b, dA = layer(150, fan_in, 101)
    Z = forward(X, W, b)
    dX, dW, _ = backward(dA, X, W)
    for begin, end in ((0, 1), (1, 3), (5, 12), (8, 72), (149, 150)):
        assert_array_equal(forward(X[begin:end], W, b), Z[begin:end])
        assert_array_equal(backward(dA[begin:end], X[begin:end], W)[0], dX[begin:end])
    for begin, end in ((0, 1), (1, 18), (30, 101), (100, 101)):
        assert_array_equal(forward(X, W[:, begin:end], b[begin:end]), Z[:, begin:end])
        assert_array_equal(backward(dA[:, begin:end], X, W[:, begin:end])[1], dW[:, begin:end])
        rows = X[:, begin % fan_in : end]
        assert_array_equal(backward(dA, rows, W[begin % fan_in : end])[1], dW[begin % fan_in : end])


@needs_bfloat16
def test_what_is_not_finite_stays_so():
    X, W, b, _ = layer(20, 33, 20)
    X[3, 32], X[4, 0] = np.nan, np.inf
    Z = forward(X, W, b)
    assert np.isnan(Z[3]).all()
    assert not np.isfinite(Z[4]).any()
    assert np.isfinite(np.delete(Z, [3, 4], axis=0)).all()
    # the largest float32 has no number of 8 bits near it
    assert np.isinf(forward(np.full((1, 1), np.finfo(np.float32).max), np.ones((1, 1), np.float32), np.zeros(1, "f4")))


@needs_bfloat16
def test_products_of_other_arrays():
    X, W, b, dA = layer(3, 4, 5)
    with pytest.raises(ValueError, match=r"'bfloat16' of float32 arrays, got 'bfloat16' of float64"):
        dense_forward(*(a.astype(np.float64) for a in (X, W, b)), products="bfloat16")
    with pytest.raises(ValueError, match=r"products must be None, or .* got 'float16' of float32"):
        dense_backward(dA, X, W, dA, products="float16")


@pytest.mark.skipif(MISSING_BFLOAT16 is None, reason="this processor has the instructions, and they are in use")
def test_without_the_instructions():
    X, W, b, _ = layer(3, 4, 5)
    with pytest.raises(ValueError, match=r"dtype='bfloat16' is not possible here: .* Train with dtype='float32'"):
        dense_forward(X, W, b, products="bfloat16")


@pytest.mark.parametrize(
    ("isa", "is_compiled", "is_supported", "reason"),
    [
        (COMPILED_ISAS[-1], False, True, "build .* GCC 10 or Clang 10"),
        (COMPILED_ISAS[-1], True, False, "this processor lacks the instructions AVX512_BF16"),
        ("lower", True, True, f"FASTBP_ISA=lower excludes .* set FASTBP_ISA={COMPILED_ISAS[-1]} or leave it unset"),
    ],
)
def test_why_it_is_missing(isa, is_compiled, is_supported, reason):
    assert re.search(reason, missing_bfloat16(isa, is_compiled, is_supported))


def test_nothing_is_missing():
    assert missing_bfloat16(COMPILED_ISAS[-1], True, True) is None
    for name in ("float32", "float64"):
        check_available(TABLES[name])


def test_precisions():
    assert list(PRECISIONS) == list(TABLES) == ["float32", "float64", "bfloat16"]
    for given in ("float32", np.float32, "f4", np.dtype("=f4")):
        assert precision_of(given) is PRECISIONS["float32"]
    assert precision_of(float) is PRECISIONS["float64"]
    bfloat16 = precision_of("bfloat16")
    assert (bfloat16.dtype, bfloat16.table) == (np.float32, TABLES["float32"])
    for wrong in ("float16", np.dtype(np.float32).newbyteorder(), "i8", np.complex128):
        with pytest.raises(ValueError, match="dtype must be float32, float64 or bfloat16"):
            precision_of(wrong)
    with pytest.raises(TypeError):
        precision_of("number")


def test_the_dtype_of_ml_dtypes():
    ml_dtypes = pytest.importorskip("ml_dtypes")
    assert precision_of(ml_dtypes.bfloat16) is PRECISIONS["bfloat16"]
    assert precision_of(np.dtype(ml_dtypes.bfloat16)) is PRECISIONS["bfloat16"]
