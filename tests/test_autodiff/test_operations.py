"""All operations: derivatives against finite differences, values against NumPy, float32; `operations.py`."""

import inspect
import operator

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import fastbp.autodiff as ad
import reference
from autodiff_cases import RNG, normal, positive
from fastbp.autodiff import OPERATIONS, Variable, operation

OVER_AXES = [(normal(3, 4), None), (normal(2, 3, 4), 1), (normal(2, 3, 4), (0, -1)), (np.float64(2), None)]

# name: [(operands, settings)], for those that cannot take positive arrays of shape (3, 4), or can take more
CASES = {
    "matmul": [
        ((normal(*a), normal(*b)), {})
        for a, b in [
            [(3, 4), (4, 2)],
            [(4,), (4, 2)],
            [(3, 4), (4,)],
            [(4,), (4,)],
            [(5, 3, 4), (4, 2)],
            [(5, 1, 3, 4), (2, 4, 2)],
            [(4,), (5, 4, 2)],
            [(5, 3, 4), (4,)],
        ]
    ],
    "where": [((np.array([True, False, True, False]), normal(3, 4), normal(3, 4)), {})],
    "power": [((positive(3, 4), normal(3, 4)), {}), ((positive(3), 2.0), {}), ((2.0, normal(3)), {})],
    "getitem": [
        ((normal(3, 4),), {"index": index})
        for index in [
            1,
            (slice(None), 2),
            (..., None, slice(0, 4, 2)),
            np.array([0, 2, 2, 2]),
            (np.array([[0], [0]]), np.array([1, 1, 3])),
            np.array([True, False, True]),
        ]
    ],
    "reshape": [((normal(3, 4),), {"shape": shape}) for shape in [(2, 6), -1, (3, 1, 4)]],
    "transpose": [((normal(2, 3, 4),), {"axes": axes}) for axes in [None, (2, 0, 1), (-1, 0, 1)]],
} | {
    name: [((x,), {"axis": axis, "keepdims": keepdims}) for x, axis in OVER_AXES for keepdims in (False, True)]
    for name in ("sum", "mean", "logsumexp")
}
BOTH_SIGNS = ("add", "subtract", "multiply", "divide", "negative", "maximum", "minimum")
BOTH_SIGNS += ("exp", "tanh", "logistic", "softplus", "relu", "absolute")


def operands_of(name):
    """The names of an operation's operands, and of the settings that it must be given."""
    parameters = inspect.signature(OPERATIONS[name]).parameters.values()
    positional = [p.name for p in parameters if p.kind is not p.KEYWORD_ONLY]
    return positional, [p.name for p in parameters if p.kind is p.KEYWORD_ONLY and p.default is p.empty]


def cases():
    found = []
    for name in OPERATIONS:
        operands, needed = operands_of(name)
        assert name in CASES or not needed, f"{name} needs {needed}: add examples to CASES"
        draw = normal if name in BOTH_SIGNS else positive
        default = [(tuple(draw(3, 4) for _ in operands), {})]
        for i, case in enumerate(CASES.get(name, default)):
            found.append(pytest.param(name, *case, id=f"{name}-{i}"))
    return found


def check_gradients(name, operands, settings):
    """dL/d(operand) of L = Σ weights y against central differences, for every operand."""
    f = OPERATIONS[name]
    variables = [Variable(x) for x in operands]
    y = f(*variables, **settings)
    weights = RNG.normal(size=y.shape)
    y.backward(weights)
    for i, x in enumerate(variables):

        def L(value, i=i):
            moved = [Variable(value) if j == i else other for j, other in enumerate(variables)]
            return float((weights * f(*moved, **settings).value).sum())

        assert x.gradient.shape == x.shape
        # eps^2 = 1e-12 of the third derivative, 1e-16 / 1e-6 of rounding, of numbers up to 100
        assert_allclose(x.gradient, reference.finite_difference(L, x.value), rtol=1e-7, atol=1e-7)


def test_every_case_is_of_an_operation():
    assert {*CASES, *BOTH_SIGNS} <= set(OPERATIONS) <= set(ad.__all__)


@pytest.mark.parametrize(("name", "operands", "settings"), cases())
def test_gradient(name, operands, settings):
    check_gradients(name, operands, settings)


@pytest.mark.parametrize("shapes", [[(3, 1), (4,)], [(), (2, 3)], [(2, 3), ()], [(1, 3), (2, 1)], [(2, 1, 3), (4, 1)]])
@pytest.mark.parametrize("name", [name for name in OPERATIONS if len(operands_of(name)[0]) > 1 and name != "matmul"])
def test_broadcasting(name, shapes):
    operands = [positive(*shape) for shape in shapes]
    if name == "where":
        operands.insert(0, positive(*shapes[-1]) > 1)
    check_gradients(name, operands, {})


@pytest.mark.parametrize(("name", "operands", "settings"), cases())
def test_float32_stays(name, operands, settings):
    y = OPERATIONS[name](*map(Variable, operands), **settings)
    narrow = [Variable(np.asarray(x, np.float32)) for x in operands]
    y32 = OPERATIONS[name](*narrow, **settings)
    assert y32.dtype == np.float32
    # float32's 1e-7, times the handful of operations in one
    assert_allclose(y32.value, y.value, rtol=1e-5, atol=1e-6)
    y32.backward(np.ones(y.shape))
    assert all(x.gradient.dtype == np.float32 for x in narrow)


NUMPY = {
    "absolute": np.abs,
    "logistic": reference.expit,
    "relu": lambda x: np.maximum(x, 0),
    "softplus": reference.softplus,
    "logsumexp": lambda x, **settings: np.log(np.sum(np.exp(x), **settings)),
    "getitem": lambda x, index: x[index],
    "reshape": lambda x, shape: x.reshape(shape),
}


@pytest.mark.parametrize(("name", "operands", "settings"), cases())
def test_value_is_numpys(name, operands, settings):
    expected = NUMPY.get(name, getattr(np, name, None))(*operands, **settings)
    # the few that are not NumPy's own functions round once or twice more
    assert_allclose(OPERATIONS[name](*operands, **settings).value, expected, rtol=1e-14, atol=1e-15)


OPERATORS = ["add", "sub", "mul", "truediv", "pow", "matmul", "lt", "le", "gt", "ge", "eq", "ne"]


@pytest.mark.parametrize("name", OPERATORS)
def test_operators_take_arrays_on_both_sides(name):
    f, a, b = getattr(operator, name), positive(3, 3), positive(3, 3)
    b[0] = a[0]
    x, y = Variable(a), Variable(b)
    for found in (f(x, y), f(x, b), f(a, y), f(x, b.tolist()) if name != "matmul" else f(x, b)):
        if name in ("lt", "le", "gt", "ge", "eq", "ne"):
            assert type(found) is np.ndarray
            assert found.dtype == bool
            assert_array_equal(found, f(a, b))
        else:
            assert isinstance(found, Variable)
            assert_array_equal(found.value, f(a, b))
    if name != "matmul":
        for number in (2, 0.5, np.float32(0.5), np.float64(2), np.array(0.5)):
            for found, expected in ((f(x, number), f(a, number)), (f(number, x), f(number, a))):
                assert_array_equal(getattr(found, "value", found), expected)


def test_methods():
    a = normal(2, 3)
    x = Variable(a)
    for found, expected in [
        (-x, -a),
        (abs(x), abs(a)),
        (x.T, a.T),
        (x.transpose((1, 0)), a.T),
        (x.reshape(3, 2), a.reshape(3, 2)),
        (x.reshape((3, 2)), a.reshape(3, 2)),
        (x.reshape(-1), a.ravel()),
        (x.sum(0), a.sum(0)),
        (x.mean(axis=1, keepdims=True), a.mean(axis=1, keepdims=True)),
        (x[:, 1], a[:, 1]),
    ]:
        assert_array_equal(found.value, expected)
    assert (x.shape, x.ndim, x.size, x.dtype, len(x)) == (a.shape, 2, 6, a.dtype, 2)
    first, second = x
    assert_array_equal(first.value, a[0])
    assert_array_equal(second.value, a[1])


def test_stable_far_from_zero():
    x = Variable([-800.0, -40.0, 40.0, 800.0])
    assert_allclose(ad.softplus(x).value, [0, np.exp(-40), 40, 800], rtol=1e-14)
    assert_allclose(ad.logistic(x).value, [0, np.exp(-40), 1, 1], rtol=1e-14)
    y = ad.logsumexp(x)
    y.backward()
    assert float(y) == 800
    assert_array_equal(x.gradient, [0, 0, 0, 1])
    ad.softplus(x).backward(np.ones(4))
    assert_allclose(x.gradient, [0, np.exp(-40), 1, 1], rtol=1e-13)


@pytest.mark.filterwarnings("ignore:invalid value encountered in log")
def test_conventions_where_a_derivative_jumps():
    zero = Variable(np.zeros(3))
    for y, expected in [(ad.relu(zero), 0), (abs(zero), 0), (ad.maximum(zero, 0), 0.5), (ad.minimum(zero, 0), 0.5)]:
        y.backward(np.ones(3))
        assert_array_equal(zero.gradient, np.full(3, expected))
    a, b = Variable([0.0, 0.0, -2.0]), Variable([0.0, 2.0, 0.0])
    (a**b).backward(np.ones(3))
    assert_array_equal(a.gradient, [0, 0, 0])
    assert_array_equal(b.gradient[:2], [0, 0])
    assert np.isnan(b.gradient[2])  # (-2)^b is not real to the left or right of b = 0


def test_power_of_negative_numbers():
    x = Variable(normal(5))
    for exponent in (3, 2.0, -1):
        (x**exponent).backward(np.ones(5))
        assert_allclose(x.gradient, exponent * x.value ** (exponent - 1.0), rtol=1e-14)


def test_an_operation_of_ones_own():
    try:

        @operation("sin")
        def sin(x):
            """The sine."""
            return np.sin(x), lambda g: g * np.cos(x)

        assert sin.__doc__ == "The sine."
        assert OPERATIONS["sin"] is sin
        check_gradients("sin", [normal(3)], {})
        with pytest.raises(TypeError, match=r"use fastbp\.autodiff\.sin"):
            np.sin(Variable(1.0))
    finally:
        del OPERATIONS["sin"]
