"""Minimization by L-BFGS beside SciPy's; `training/minimization.py`."""

import numpy as np
import pytest
import scipy
import scipy.optimize
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.datasets import load_digits

from fastbp import Network
from fastbp.kernels.team import Team
from fastbp.training.minimization import minimize

# what is done with NaN was another in Fortran
is_scipy_in_c = pytest.mark.skipif(
    tuple(map(int, scipy.__version__.split(".")[:2])) < (1, 15), reason="SciPy before 1.15 treats NaN differently"
)


def quadratic():
    rng = np.random.default_rng(0)
    scale, b = np.logspace(0, 3, 500), rng.normal(size=500)
    return lambda x: (x @ (scale * x) / 2 - b @ x, scale * x - b), rng.normal(size=500)


def rosenbrock():
    start = np.random.default_rng(1).uniform(-2, 2, 100)
    return lambda x: (scipy.optimize.rosen(x), scipy.optimize.rosen_der(x)), start


def network(sizes, activation, output, loss, X, y):
    """The loss of a network, and its parameters."""
    net = Network(sizes, activation, output, loss=loss, alpha=1e-3, random_state=0)

    def function(x):
        net.params = x
        return net.loss_and_gradient(X, y)

    return function, net.params.copy()


def digits(activation):
    X, y = load_digits(return_X_y=True)
    return network([64, 30, 10], activation, "softmax", "log_loss", X[:500] / 16, y[:500])


def regression():
    X = np.random.default_rng(3).normal(size=(400, 8))
    return network(
        [8, 30, 20, 1], "tanh", "identity", "squared_error", X, np.sin(X[:, :1]) * X[:, 1:2] + X[:, 2:3] ** 2
    )


PROBLEMS = {
    "quadratic": quadratic,
    "Rosenbrock": rosenbrock,
    "digits, relu": lambda: digits("relu"),
    "digits, logistic": lambda: digits("logistic"),
    "regression, tanh": regression,
}


def by_scipy(function, start, *, max_iter, max_fun, tol, callback=None):
    """The same by SciPy."""
    options = {"maxiter": max_iter, "maxfun": max_fun, "gtol": tol}

    def each(intermediate_result):
        callback(intermediate_result)

    return scipy.optimize.minimize(
        function, start, method="L-BFGS-B", jac=True, options=options, callback=callback and each
    )


def by_us(function, start, team=None, **options):
    return minimize(function, start, team or Team(1), **options)


def outcome(result):
    return result.nit, result.nfev, result.status, result.message


@pytest.mark.parametrize("make", PROBLEMS.values(), ids=PROBLEMS)
def test_the_iterates_are_those_of_scipy(make):
    function, start = make()
    points, others = [], []
    options = dict(max_iter=50, max_fun=15_000, tol=1e-8)
    result = by_us(function, start, callback=lambda iterate: points.append(iterate.x), **options)
    other = by_scipy(function, start, callback=lambda iterate: others.append(iterate.x.copy()), **options)
    assert outcome(result) == outcome(other)
    assert len(points) == len(others) >= 40
    for point, expected in zip(points, others, strict=True):
        # rounding errors grow along the path: 1e-10 after 50 iterations of Rosenbrock's function
        assert_allclose(point, expected, rtol=0, atol=1e-6 * np.abs(expected).max())
    assert_allclose(result.fun, other.fun, rtol=1e-9)
    assert_array_equal(result.x, points[-1])


def small_problem(seed):
    """A function of few variables that may fail from some evaluation on, its starting point, and options."""
    rng = np.random.default_rng(seed)
    n, kind = int(rng.integers(1, 20)), seed % 7
    scale, b, start = rng.uniform(0.2, 5, n), rng.normal(size=n), 3 * rng.normal(size=n)
    bad, first_bad, n_bad = rng.choice([np.nan, np.inf, -np.inf]), int(rng.integers(1, 15)), rng.choice([1, 1000])
    is_bad_gradient = rng.random() < 0.7
    count = 0

    def function(x):
        nonlocal count
        count += 1
        if kind in (0, 1):
            value, gradient = x @ (scale * x) / 2 - b @ x, scale * x - b
        elif kind in (2, 3):
            value, gradient = scale @ (x - b) ** 4 + x @ x, 4 * scale * (x - b) ** 3 + 2 * x
        elif kind in (4, 5):
            value, gradient = np.cos(scale * x).sum() + x @ x / 10, -scale * np.sin(scale * x) + x / 5
        else:  # its gradient does not become small
            value, gradient = np.abs(x - b).sum(), np.sign(x - b)
        if kind in (1, 3, 5) and first_bad <= count < first_bad + n_bad:
            value, gradient = bad, gradient * np.nan if is_bad_gradient else gradient
        return float(value), gradient

    limits = dict(max_iter=int(rng.choice([1, 4, 30])), max_fun=int(rng.choice([1, 5, 20, 15_000])))
    return function, start, limits | {"tol": float(rng.choice([1e-5, 1e-1]))}


@is_scipy_in_c
@pytest.mark.parametrize("first", range(0, 350, 50))
def test_random_problems_end_as_with_scipy(first):
    messages = set()
    for seed in range(first, first + 50):
        function, start, options = small_problem(seed)
        result = by_us(function, start, **options)
        function, start, options = small_problem(seed)
        other = by_scipy(function, start, **options)
        assert outcome(result) == outcome(other), seed
        assert_allclose(result.x, other.x, rtol=1e-5, atol=1e-6, err_msg=f"seed {seed}")
        assert_allclose(result.fun, other.fun, rtol=1e-6, atol=1e-9, err_msg=f"seed {seed}")
        messages.add(result.message)
    assert len(messages) >= 4  # small gradients, stable values, too many iterations or evaluations, no step


@is_scipy_in_c
@pytest.mark.parametrize(
    "function",
    [
        lambda x: (np.nan, x * np.nan),
        lambda x: (np.inf, x * np.nan),
        lambda x: (x @ x, np.zeros_like(x)),
        lambda x: (x @ x, -2 * x),  # the slope is wrong
        lambda x: (-x.sum(), -np.ones_like(x)),  # without a minimum
    ],
    ids=["NaN", "inf", "zero gradient", "wrong gradient", "unbounded"],
)
def test_failures_end_as_with_scipy(function):
    options = dict(max_iter=60, max_fun=100, tol=1e-5)
    start = np.array([1.0, 2.0, 3.0])
    result, other = by_us(function, start, **options), by_scipy(function, start, **options)
    assert outcome(result) == outcome(other)
    assert_allclose(result.x, other.x, rtol=1e-12)
    assert_array_equal(result.fun, other.fun)
    assert_array_equal(start, [1.0, 2.0, 3.0])


@is_scipy_in_c
def test_a_gradient_of_zeros_beside_a_loss_of_nan():
    def by_calls():
        n_calls = 0

        def function(x):
            nonlocal n_calls
            n_calls += 1
            return (np.nan, np.zeros_like(x)) if n_calls == 2 else (x @ x / 2, x.copy())

        return function

    options = dict(max_iter=60, max_fun=100, tol=1e-5)
    start = np.array([1.0, 0.2])
    result, other = by_us(by_calls(), start, **options), by_scipy(by_calls(), start, **options)
    assert outcome(result) == outcome(other)
    assert_allclose(result.x, other.x, rtol=1e-12)


def test_a_callback_may_end_it():
    function, start = quadratic()
    seen = []

    def callback(iterate):
        seen.append(iterate.fun)
        if len(seen) == 3:
            raise StopIteration

    options = dict(max_iter=50, max_fun=1000, tol=1e-5, callback=callback)
    result = by_us(function, start, **options)
    seen_by_us, seen[:] = seen[:], []
    other = by_scipy(function, start, **options)
    assert result.nit == 3
    assert not result.success
    assert outcome(result) == outcome(other)
    assert_allclose(seen_by_us, seen, rtol=1e-10)


def test_an_exception_is_passed_on():
    def function(x):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        by_us(function, np.ones(3), max_iter=5, max_fun=50, tol=1e-5)


def test_threads_change_nothing():
    function, start = rosenbrock()
    start = np.tile(start, 200)  # numbers enough for threads to share them
    options = dict(max_iter=20, max_fun=1000, tol=1e-5)
    expected = by_us(function, start, **options)
    with Team(2) as team:
        result = by_us(function, start, team, **options)
    assert_array_equal(result.x, expected.x)
    assert result.fun == expected.fun


def test_a_gradient_of_float32_is_converted():
    function, start = quadratic()
    options = dict(max_iter=10, max_fun=1000, tol=1e-5)

    def rounded(x):
        value, gradient = function(x)
        return value, gradient.astype(np.float32)

    result, other = by_us(rounded, start, **options), by_scipy(rounded, start, **options)
    assert result.jac.dtype == np.float64
    assert_allclose(result.x, other.x, rtol=1e-7)
