"""The vector functions of `vmath.h`: accuracy in units in the last place, and what happens at the ends of the range.

One ulp is the distance between the two floating-point numbers around the exact value.  For float32 the exact value is
taken from float64 functions, which are right to 1e-8 ulp of float32; for float64 from mpmath with 40 digits.
"""

import mpmath
import numpy as np
import pytest
from numpy.testing import assert_array_equal
from scipy import special

from fastbp.kernels.probes import MATH_FUNCTIONS, math_function

both_dtypes = pytest.mark.parametrize("dtype", [np.float32, np.float64], ids=["float32", "float64"])

# Largest errors in ulp, as the table in vmath.h claims them.  A search through 4 million arguments of each function
# and dtype found 1.07, 1.95, 1.99, 2.42, 2.55 and 2.41.
MAX_ULP = {
    "exp": 1.5,
    "expm1": 2.0,
    "log": 2.0,
    "log1p": 2.5,
    "tanh": 3.0,
    "logistic": 2.5,
    "cos2pi": 3.0,
    "sin2pi": 3.0,
}

# Largest absolute errors of normal_cdf; the values themselves are rounded by half an ulp of 1, 6e-8 and 1.1e-16.
MAX_NORMAL_CDF = {np.float32: 2e-7, np.float64: 4e-16}

EXACT_64 = {
    "exp": mpmath.exp,
    "expm1": mpmath.expm1,
    "log": mpmath.log,
    "log1p": mpmath.log1p,
    "tanh": mpmath.tanh,
    "logistic": lambda x: 1 / (1 + mpmath.exp(-x)),
    "normal_cdf": lambda x: mpmath.erfc(-x / mpmath.sqrt(2)) / 2,
    "cos2pi": lambda x: mpmath.cospi(2 * x),
    "sin2pi": lambda x: mpmath.sinpi(2 * x),
}
EXACT_32 = {
    "exp": np.exp,
    "expm1": np.expm1,
    "log": np.log,
    "log1p": np.log1p,
    "tanh": np.tanh,
    "logistic": special.expit,
    "normal_cdf": special.ndtr,
    "cos2pi": lambda x: np.where(np.isin(x * 4 % 4, (1, 3)), 0, np.cos(2 * np.pi * (x - np.rint(x)))),
    "sin2pi": lambda x: np.where(np.isin(x * 4 % 4, (0, 2)), 0, np.sin(2 * np.pi * (x - np.rint(x)))),
}

# where e^x is neither 0 nor inf, and normal
EXP_RANGE = {np.float32: (-86.0, 88.72), np.float64: (-707.0, 709.78)}


def arguments(name, dtype, n):
    """Arguments over the whole range: evenly spread, and of every order of magnitude."""
    rng = np.random.default_rng(0)
    low, high = EXP_RANGE[dtype]
    mantissa = np.finfo(dtype).nmant
    wide = np.exp2(rng.uniform(-mantissa - 6, 4, n)) * rng.choice([-1, 1], n)
    near_one = 1 + rng.uniform(-0.01, 0.01, n)
    spread = {
        "exp": [rng.uniform(low, high, n), wide],
        "expm1": [rng.uniform(-50, high, n), rng.uniform(-2, 2, n), wide],
        "log": [np.exp2(rng.uniform(np.finfo(dtype).minexp, np.finfo(dtype).maxexp, n)), near_one],
        "log1p": [rng.uniform(0, 1, n), np.minimum(np.abs(wide), 1)],
        "tanh": [rng.uniform(-25, 25, n), rng.uniform(-1, 1, n), wide],
        "logistic": [rng.uniform(low, 40, n), rng.uniform(-2, 2, n), wide],
        "normal_cdf": [rng.uniform(-9, 9, n), rng.uniform(-2, 2, n), wide],
        "cos2pi": [rng.uniform(-1e4, 1e4, n), rng.uniform(-2, 2, n), wide],
        "sin2pi": [rng.uniform(-1e4, 1e4, n), rng.uniform(-2, 2, n), wide],
    }
    return np.concatenate(spread[name]).astype(dtype)


def error_and_exact(name, x):
    """(kernel - exact) and the exact values, as float64 numbers."""
    y = math_function(name, x)
    if x.dtype == np.float32:
        exact = EXACT_32[name](x.astype(np.float64))
        return y - exact, exact
    with mpmath.workdps(40):
        exact = [EXACT_64[name](mpmath.mpf(value)) for value in x.tolist()]
        error = [float(mpmath.mpf(value) - e) for value, e in zip(y.tolist(), exact, strict=True)]
    return np.array(error), np.array([float(e) for e in exact])


def test_every_function_is_measured():
    assert set(EXACT_64) == set(EXACT_32) == {*MAX_ULP, "normal_cdf"} == set(MATH_FUNCTIONS)


@pytest.mark.parametrize("name", MAX_ULP)
@both_dtypes
def test_ulp(name, dtype):
    x = arguments(name, dtype, 100_000 if dtype == np.float32 else 1_500)
    error, exact = error_and_exact(name, x)
    ulp = np.abs(error) / np.spacing(np.abs(exact).astype(dtype))
    worst = ulp.argmax()
    assert ulp[worst] <= MAX_ULP[name], f"{ulp[worst]:.3f} ulp at {x[worst]!r}"


@both_dtypes
def test_normal_cdf(dtype):
    x = arguments("normal_cdf", dtype, 100_000 if dtype == np.float32 else 1_000)
    error, exact = error_and_exact("normal_cdf", x)
    assert np.abs(error).max() <= MAX_NORMAL_CDF[dtype]
    # In the left tail e^(-x^2 / 2) turns the relative error eps of x^2 / 2 into x^2 eps / 2; the polynomial and the
    # products around it add some eps. It ends where that exponential does.
    tail = (x < 0) & (x**2 / 2 < -EXP_RANGE[dtype][0])
    relative = np.abs(error[tail] / exact[tail])
    assert (relative <= (6 + x[tail].astype(np.float64) ** 2) * np.finfo(dtype).eps).all()


# function: arguments and values that are exact
INF, NAN = np.inf, np.nan
EXACT_VALUES = {
    "exp": ([0.0, -0.0, INF, -INF], [1.0, 1.0, INF, 0.0]),
    "expm1": ([0.0, -0.0, INF, -INF, -1e30], [0.0, 0.0, INF, -1.0, -1.0]),
    "log": ([1.0, INF], [0.0, INF]),
    "log1p": ([0.0], [0.0]),
    "tanh": ([0.0, INF, -INF, 1e30, -1e30, 25.0], [0.0, 1.0, -1.0, 1.0, -1.0, 1.0]),
    "logistic": ([0.0, -0.0, INF, -INF, 1e30, -1e30], [0.5, 0.5, 1.0, 0.0, 1.0, 0.0]),
    "cos2pi": ([0.0, 0.25, -0.5, 0.75, 1e4, 12.5, INF, -INF, 1e16], [1.0, 0.0, -1.0, 0.0, 1.0, -1.0, NAN, NAN, 1.0]),
    "sin2pi": ([0.0, 0.25, -0.5, 0.75, 1e4, 12.5, INF, -INF, 1e16], [0.0, 1.0, 0.0, -1.0, 0.0, 0.0, NAN, NAN, 0.0]),
    "normal_cdf": ([INF, -INF, 1e15, -1e15, 40.0, -40.0], [1.0, 0.0, 1.0, 0.0, 1.0, 0.0]),
}


@pytest.mark.parametrize("name", EXACT_VALUES)
@both_dtypes
def test_exact_values(name, dtype):
    x, expected = (np.array(values, dtype) for values in EXACT_VALUES[name])
    assert_array_equal(math_function(name, x), expected)


@pytest.mark.parametrize("name", MATH_FUNCTIONS)
@both_dtypes
def test_nan(name, dtype):
    x = np.full(19, 0.5, dtype)
    clean = math_function(name, x)
    x[[0, 17]] = NAN
    y = math_function(name, x)
    assert_array_equal(np.isnan(y), np.isnan(x))
    assert_array_equal(y[1:17], clean[1:17])


@both_dtypes
def test_tanh_is_odd(dtype):
    x = np.abs(arguments("tanh", dtype, 1_000))
    assert_array_equal(math_function("tanh", -x), -math_function("tanh", x))
    assert np.signbit(math_function("tanh", np.array([-0.0], dtype))).all()


@both_dtypes
def test_overflow_of_exp(dtype):
    # the last number whose exponential is finite, and the next
    last = np.log(np.finfo(dtype).max).astype(dtype)
    while np.exp(last.astype(np.longdouble)) > np.finfo(dtype).max:
        last = np.nextafter(last, dtype(0))
    beyond = np.nextafter(last, dtype(INF))
    for name in ("exp", "expm1"):
        y = math_function(name, np.array([last, beyond + 1e-3 * beyond], dtype))
        # a few ulp of the argument are several hundred of the value, but no less than 0.999 of the largest number
        assert y[0] > 0.99 * np.finfo(dtype).max
        assert y[1] == INF


@both_dtypes
def test_underflow(dtype):
    low = dtype(EXP_RANGE[dtype][0])
    x = np.array([low, np.nextafter(low, dtype(-INF)), 10 * low], dtype)
    y = math_function("exp", x)
    # no denormal results: below the bound everything is zero
    assert y[0] >= np.finfo(dtype).smallest_normal
    assert_array_equal(y[1:], [0, 0])
    assert_array_equal(math_function("logistic", 10 * x), [0, 0, 0])


@both_dtypes
def test_denormal_arguments(dtype):
    tiny = np.finfo(dtype).smallest_subnormal
    x = tiny * np.arange(-8, 9).astype(dtype)
    for name in ("expm1", "tanh"):
        # f(x) = x here; half of an odd denormal is no number, so that one unit may be lost
        assert (np.abs(math_function(name, x) - x) <= tiny).all()
    assert_array_equal(math_function("exp", x), np.ones_like(x))
    assert_array_equal(math_function("logistic", x), np.full_like(x, 0.5))
    assert_array_equal(math_function("log1p", np.abs(x)), np.abs(x))


@pytest.mark.parametrize("name", MATH_FUNCTIONS)
@both_dtypes
def test_order_is_kept(name, dtype):
    # coarse steps over the range: an argument reduction that jumped at a multiple of ln 2 would show
    ranges = {"log": (0.1, 100), "log1p": (0, 1), "normal_cdf": (-5, 5), "tanh": (-5, 5)}
    ranges |= {"cos2pi": (-0.5, 0), "sin2pi": (-0.25, 0.25)}
    low, high = ranges.get(name, (-15, 15))
    y = math_function(name, np.linspace(low, high, 5001).astype(dtype))
    assert (np.diff(y) >= 0).all()
