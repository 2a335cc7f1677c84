"""The computational graph: every operation in its table, and backpropagation through them; `autodiff/`."""

import copy
import inspect
import operator
import pickle
import re

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import fastbp.autodiff as ad
import reference
from fastbp import Network
from fastbp.autodiff import OPERATIONS, FormulaLoss, Graph, Variable, constant, grad, operation, value_and_grad
from fastbp.autodiff.graph import describe
from fastbp.kernels import ACTIVATIONS

RNG = np.random.default_rng(0)


@pytest.fixture(autouse=True)
def same_numbers_whatever_ran_before():
    RNG.bit_generator.state = np.random.default_rng(1).bit_generator.state


def normal(*shape):
    """Numbers of both signs, away from 0, where some derivatives jump."""
    return RNG.choice([-1, 1], shape) * RNG.uniform(0.2, 2, shape)


def positive(*shape):
    return RNG.uniform(0.2, 2, shape)


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


# The table of operations


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


# Backward


def test_gradients_add_up_where_a_variable_is_used_twice():
    x, y = Variable(3.0), Variable(-2.0)
    (x * x + x * y + x).backward()
    assert (x.gradient, y.gradient) == (2 * 3 - 2 + 1, 3)
    h = ad.tanh(x)
    (h * h + h).backward()  # by two paths through an inner node
    assert_allclose(x.gradient, (2 * np.tanh(3) + 1) / np.cosh(3) ** 2, rtol=1e-13)
    assert_allclose(h.gradient, 2 * np.tanh(3) + 1, rtol=1e-15)


def test_repeated_indices_add_up():
    x = Variable([1.0, 2.0, 3.0])
    x[[0, 2, 2, 2]].sum().backward()
    assert_array_equal(x.gradient, [1, 0, 3])


def test_backward_twice_computes_anew():
    x = Variable([1.0, 2.0])
    y = (x**2).sum()
    for _ in range(2):
        y.backward()
        assert_array_equal(x.gradient, [2, 4])
    (3 * x).sum().backward()
    assert_array_equal(x.gradient, [3, 3])


def test_backward_leaves_given_arrays_alone():
    x, weights = Variable([1.0, 2.0]), np.ones(2)
    y = x + 1
    y.backward(weights)
    x.gradient *= 5
    assert_array_equal(weights, [1, 1])
    assert_array_equal(y.gradient, [1, 1])
    given = np.array([1.0, 2.0])
    x = Variable(given)
    x.value -= 1
    assert_array_equal(given, [1, 2])


def test_augmented_assignment_rebinds():
    x = first = Variable([1.0, 2.0])
    x += 1
    x *= x
    assert x is not first
    assert_array_equal(first.value, [1, 2])
    x.backward([1, 1])
    assert_array_equal(first.gradient, [4, 6])


def test_constants():
    c = constant([1.0, 2.0], name="c")
    x = Variable([3.0, 4.0])
    on_constants = c * 2
    y = (on_constants * x).sum()
    y.backward()
    assert_array_equal(x.gradient, [2, 4])
    assert c.gradient is None
    assert on_constants.gradient is None
    assert (c.is_constant, on_constants.is_constant, y.is_constant) == (True, True, False)
    given = np.ones(2)
    assert constant(given).value is given
    assert constant(given, dtype=np.float32).dtype == np.float32


def test_dtypes():
    for value in (1, True, [1, 2], np.float16(1), np.arange(3, dtype=">i4"), np.ones(2, ">f8")):
        assert Variable(value).dtype == np.float64
        assert Variable(value).dtype.isnative
    assert Variable(np.ones(2, ">f4")).dtype == np.float32
    x = Variable(np.ones(2, np.float32))
    for other in (2, 0.5, np.float64(2), np.ones(2), np.arange(2), [1.0, 2.0], True):
        for y in (x * other, other * x):
            assert y.dtype == np.float32
    wide = Variable(np.ones(2))
    y = (x * wide).sum()
    assert y.dtype == np.float64
    y.backward()
    assert (x.gradient.dtype, wide.gradient.dtype) == (np.float32, np.float64)
    assert ad.exp(np.ones(2, np.float32)).dtype == np.float32


def test_deep_graph():
    x = Variable(1.0)
    y = x
    for _ in range(10_000):
        y = y + x
    y.backward()
    assert x.gradient == 10_001
    assert len(Graph(y)) == 10_001
    del y  # and its nodes are taken down without recursion


def test_topological_order():
    x = Variable(1.0)
    h = ad.tanh(x)
    y = h * (h + x)
    order = ad.variable.topological_order(y)
    position = {id(node): i for i, node in enumerate(order)}
    assert len(position) == len(order) == 4
    assert order[-1] is y
    assert all(position[id(operand)] < position[id(node)] for node in order for operand in node.operands)


# Errors


def test_backward_errors():
    x = Variable(np.ones((2, 3)))
    with pytest.raises(ValueError, match=r"starts from a single number.* shape \(2, 3\)"):
        (2 * x).backward()
    with pytest.raises(ValueError, match=r"gradient must have the shape of the output, \(2, 3\), got \(3,\)"):
        (2 * x).backward(np.ones(3))
    with pytest.raises(ValueError, match="no Variable took part"):
        (constant(1.0) * 2).backward()
    x[:1, :1].backward()  # one element is a single number in any shape
    assert x.gradient.sum() == 1


@pytest.mark.parametrize("value", [1j, "1", None, object(), np.array(["a"]), np.datetime64("2020-01-01")])
def test_values_that_are_not_real(value):
    for make in (Variable, constant, lambda value: Variable(1.0) + value):
        with pytest.raises(TypeError, match="holds real numbers, got dtype"):
            make(value)


def test_a_variable_of_a_variable():
    with pytest.raises(TypeError, match=r"expected an array or a number, got Variable\(1\.\)"):
        Variable(Variable(1.0))


def test_truth_value():
    x = Variable(1.0)
    with pytest.raises(TypeError, match=r"no truth value.*where"):
        bool(x)
    assert x > 0  # a plain array
    assert x in {x}


@pytest.mark.parametrize(
    ("call", "advice"),
    [
        (np.exp, "np.exp does not record.*use fastbp.autodiff.exp,"),
        (np.abs, "use fastbp.autodiff.absolute,"),
        (lambda x: np.maximum(x, 0), "use fastbp.autodiff.maximum,"),
        (np.sqrt, "one of fastbp.autodiff .*exp.*where"),
        (np.sum, "use fastbp.autodiff.sum,"),
        (np.mean, "use fastbp.autodiff.mean,"),
        (lambda x: np.where(x > 0, x, 0), "use fastbp.autodiff.where,"),
        (np.asarray, "np.asarray does not record.*`.value`"),
        (lambda x: np.add.reduce(x), "use fastbp.autodiff.add,"),
        (lambda x: operator.iadd(np.ones(2), x), "use fastbp.autodiff.add,"),
    ],
)
def test_numpy_functions(call, advice):
    with pytest.raises(TypeError, match=advice):
        call(Variable([1.0, 2.0]))


def test_items_cannot_be_assigned():
    x = Variable([1.0, 2.0])
    with pytest.raises(TypeError, match="does not support item assignment"):
        x[0] = 1
    with pytest.raises(TypeError, match=r"len\(\) of unsized object"):
        list(Variable(1.0))


def test_copies():
    x = Variable([1.0, 2.0], name="x")
    for twin in (copy.copy(x), copy.deepcopy(x), pickle.loads(pickle.dumps(x))):
        assert twin.name == "x"
        assert_array_equal(twin.value, x.value)
    with pytest.raises(TypeError, match="only a leaf"):
        pickle.dumps(x + 1)


def test_repr():
    assert repr(Variable(2.0, name="a")) == "Variable(2., name='a')"
    assert repr(Variable([1.0, 2.5])) == "Variable([1. , 2.5])"
    assert repr(Variable(2.0) * 3) == "Variable(6., operation='multiply')"
    assert len(repr(Variable(np.zeros(1000)))) < 100


# Functions


def test_grad():
    assert grad(lambda x: x**3)(2.0) == 12
    value, (da, db) = value_and_grad(lambda a, b, *, k: (k * a * b).sum())(np.ones(2), [2, 3], k=np.array([1, 10]))
    assert value == 32
    assert_array_equal(da, [2, 30])
    assert_array_equal(db, [1, 10])
    value, (da, db) = value_and_grad(lambda a, b: a.sum())(np.ones(2, np.float32), np.ones(3))
    assert value.dtype == da.dtype == np.float32
    assert_array_equal(db, np.zeros(3))


def test_grad_keeps_the_functions_name():
    def f(x):
        """Documentation."""
        return x

    assert (grad(f).__name__, grad(f).__doc__, value_and_grad(f).__name__) == ("f", "Documentation.", "f")


def test_grad_errors():
    with pytest.raises(TypeError, match=r"float must return a Variable.*got 2\.0"):
        grad(float)(2.0)
    with pytest.raises(ValueError, match=r"shape \(2,\)"):
        grad(lambda x: x * 2)([1, 2])
    with pytest.raises(ValueError, match="no Variable took part"):
        grad(lambda x: constant(1.0))(2.0)


# Losses from formulas


def log_cosh(y_true, raw_prediction):
    error = raw_prediction - y_true
    return error + ad.softplus(-2 * error) - np.log(2)


def pinball(y_true, raw_prediction):
    error = y_true - raw_prediction
    return ad.maximum(0.9 * error, -0.1 * error).sum(axis=1)


def multiclass(y_true, raw_prediction):
    return ad.logsumexp(raw_prediction, axis=1) - (y_true * raw_prediction).sum(axis=1)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("formula", [log_cosh, pinball, multiclass])
def test_formula_loss(formula, weighted):
    y, z = normal(5, 3), normal(5, 3)
    weight = np.array([1, 0, 2, 0.5, 3]) if weighted else None
    loss, gradient = FormulaLoss(formula)(y, z, weight)
    assert loss.shape == (5,)
    factor = np.ones(5) if weight is None else weight
    for i in range(5):

        def row(prediction, i=i):
            value = formula(y[i : i + 1], Variable(prediction[None])).value
            return factor[i] * float(value.sum())

        assert_allclose(loss[i], row(z[i]), rtol=1e-13)
        # central differences: see check_gradients
        assert_allclose(gradient[i], reference.finite_difference(row, z[i]), rtol=1e-7, atol=1e-8)


def test_formula_loss_in_float32():
    y, z = (normal(5, 3).astype(np.float32) for _ in range(2))
    loss, gradient = FormulaLoss(log_cosh)(y, z, np.full(5, 2.0))
    assert loss.dtype == gradient.dtype == np.float32
    # float32's 1e-7, and log(2) taken off softplus(0)
    assert_allclose(gradient, 2 * np.tanh(z - y), rtol=1e-5, atol=1e-6)


def test_formula_loss_is_pickled_by_name():
    loss = pickle.loads(pickle.dumps(FormulaLoss(log_cosh)))
    assert loss.formula is log_cosh
    assert repr(loss) == "FormulaLoss(log_cosh)"
    assert copy.deepcopy(loss)(np.zeros((1, 1)), np.zeros((1, 1)))[0].shape == (1,)


def test_formula_loss_errors():
    y = z = np.ones((3, 2))
    with pytest.raises(TypeError, match="formula must be a function"):
        FormulaLoss("log_cosh")
    with pytest.raises(ValueError, match=r"one loss for each row, of shape \(3,\) or \(3, 2\), got \(\);.*leave"):
        FormulaLoss(lambda y, z: ((y - z) ** 2).mean())(y, z)
    for formula in (lambda y, z: (y - z.value) ** 2, lambda y, z: ad.exp(y)):
        with pytest.raises(TypeError, match="<lambda> must return a Variable computed from raw_prediction"):
            FormulaLoss(formula)(y, z)
    with pytest.raises(ValueError, match=r"sample_weight must have shape \(3,\), one for each row, got \(2,\)"):
        FormulaLoss(log_cosh)(y, z, np.ones(2))


# The same network in the graph

GRAPH_ACTIVATIONS = {
    "identity": lambda z: z,
    "logistic": ad.logistic,
    "tanh": ad.tanh,
    "relu": ad.relu,
    "leaky_relu": lambda z: ad.maximum(z, 0.01 * z),
    "elu": lambda z: ad.where(z > 0, z, ad.exp(ad.minimum(z, 0)) - 1),
    "selu": lambda z: reference.SELU_SCALE * ad.where(z > 0, z, reference.SELU_ALPHA * (ad.exp(ad.minimum(z, 0)) - 1)),
    "silu": lambda z: z * ad.logistic(z),
    "mish": lambda z: z * ad.tanh(ad.softplus(z)),
    "softplus": ad.softplus,
    "exp": ad.exp,
    "softmax": lambda z: ad.exp(z - ad.logsumexp(z, axis=1, keepdims=True)),
}
GRAPH_LOSSES = {
    "squared_error": lambda y, a: (a - y) ** 2 / 2,
    "log_loss": lambda y, a: -y * ad.log(a),
    "binary_log_loss": lambda y, a: -y * ad.log(a) - (1 - y) * ad.log(1 - a),
    "poisson": lambda y, a: a - y * ad.log(a) + np.where(y > 0, y * np.log(np.maximum(y, 1)) - y, 0),
}
SAME_NETWORKS = (
    [(name, "identity", "squared_error") for name in GRAPH_ACTIVATIONS if name not in ("exp", "softmax")]
    + [("tanh", name, "squared_error") for name in GRAPH_ACTIVATIONS]
    + [("tanh", "softmax", "log_loss"), ("relu", "logistic", "log_loss"), ("silu", "softmax", "binary_log_loss")]
    + [("tanh", "exp", "poisson"), ("relu", "softplus", "poisson")]
)


@pytest.mark.parametrize(("hidden", "output", "loss"), SAME_NETWORKS)
def test_same_gradient_as_the_kernels(hidden, output, loss):
    assert {hidden, output} <= set(ACTIVATIONS)
    X, weight = normal(6, 4), RNG.uniform(0.5, 2, 6)
    y = np.eye(2)[RNG.integers(2, size=6)] if "log_loss" in loss else RNG.poisson(2, (6, 2)).astype(float)
    network = Network((4, 5, 3, 2), hidden, output, loss, alpha=0.1, random_state=0)
    coefs, intercepts = ([Variable(w) for w in arrays] for arrays in (network.coefs, network.intercepts))
    a = X
    for W, b, name in zip(coefs, intercepts, network.activations, strict=True):
        a = GRAPH_ACTIVATIONS[name](a @ W + b)
    rows = GRAPH_LOSSES[network.kernel_loss](y, a).sum(axis=1)
    penalty = network.alpha / 2 * sum((W**2).sum() for W in coefs)
    mean_loss = ((rows * weight).sum() + penalty) / weight.sum()
    mean_loss.backward()
    expected, gradient = network.loss_and_gradient(X, y, weight)
    # a few hundred roundings of numbers of order one
    assert_allclose(float(mean_loss), expected, rtol=1e-12)
    found = np.concatenate([w.gradient.ravel() for w in coefs + intercepts])
    assert_allclose(found, gradient, rtol=1e-10, atol=1e-12)


def test_same_gradient_as_torch():
    torch = pytest.importorskip("torch")
    X, W, b, y = normal(6, 4), normal(4, 3), normal(3), RNG.integers(3, size=6)

    def net(xp, W, b, logsumexp):
        z = xp.tanh(X_(X) @ W + b)[:, [0, 1, 1]] ** 2
        z = xp.where(z > 0.1, z, 2 * z).T.reshape(6, 3)
        return (logsumexp(z) - z[np.arange(6), y]).mean() + abs(W).sum() / xp.maximum(b, b * 0 + 1).sum()

    X_ = np.asarray
    ours = [Variable(W), Variable(b)]
    net(ad, *ours, lambda z: ad.logsumexp(z, axis=1)).backward()
    X_ = torch.tensor
    theirs = [torch.tensor(w, requires_grad=True) for w in (W, b)]
    net(torch, *theirs, lambda z: torch.logsumexp(z, axis=1)).backward()
    for mine, other in zip(ours, theirs, strict=True):
        # a few dozen roundings of numbers of order one
        assert_allclose(mine.gradient, other.grad.numpy(), rtol=1e-12, atol=1e-13)


# Graph


def example():
    a, b = Variable(2.0, name="a"), Variable(-3.0, name="b")
    L = a * b + 10
    L.name = "L"
    L.backward()
    return Graph(L)


def test_graph():
    graph = example()
    assert [node.name for node in graph.nodes] == ["a", "b", None, None, "L"]
    assert [graph.kind(node) for node in graph.nodes] == ["variable", "variable", "operation", "constant", "output"]
    assert [graph.title(node) for node in graph.nodes] == ["a", "b", "×", "", "L = +"]
    assert graph.edges == [(0, 2), (1, 2), (2, 4), (3, 4)]
    assert repr(graph) == "<Graph of 5 nodes, 4 edges>"
    lines = str(graph).splitlines()
    assert len(lines) == 6
    assert re.fullmatch(r"2  ×      operation  0 1       \(\)     -6     1", lines[3])
    with pytest.raises(TypeError, match="output must be a Variable"):
        Graph(1.0)


def test_titles_tell_the_settings():
    x = Variable(np.ones((2, 3)))
    for y, title in [
        (x.sum(axis=0), "Σ axis=0"),
        (x.mean(), "mean"),
        (x.sum(axis=1, keepdims=True), "Σ axis=1 keepdims=True"),
        (x[0], "[ ] index=0"),
        (x[np.arange(2), np.arange(2)], "[ ]"),
    ]:
        assert Graph(y).title(y) == title


def test_dot():
    lines = example().to_dot().splitlines()
    assert lines[0] == "digraph {"
    assert lines[-1] == "}"
    assert [line.strip() for line in lines[-5:-1]] == ["0 -> 2;", "1 -> 2;", "2 -> 4;", "3 -> 4;"]
    assert lines[3].startswith(r'    0 [label="a\lvalue 2\lgradient -3\l", shape=box, style="filled,bold"')
    assert r'3 [label="10\l", shape=box, style="filled,dashed"' in lines[6]
    assert "peripheries=2" in lines[7]


def test_dot_escapes():
    dot = Graph(Variable(1.0, name='a "b" \\ c\nd')).to_dot()
    assert r'label="a \"b\" \\ c d\lvalue 1\l"' in dot


@pytest.mark.parametrize(
    ("array", "lines"),
    [
        (np.float64(1 / 3), ["0.333"]),
        (-0.0, ["0"]),
        ([1.0, -20.5], ["    1 -20.5"]),
        ([[1.0, 2.0], [3.0, 4e-9]], ["    1     2", "    3 4e-09"]),
        (np.full((4, 3), 0.5), ["(4, 3), norm 1.73"]),
        (np.ones(5), ["(5,), norm 2.24"]),
        (np.ones((1, 1, 1)), ["(1, 1, 1), norm 1"]),
        (np.ones((0, 3)), ["(0, 3), norm 0"]),
        ([np.nan, np.inf], ["nan inf"]),
    ],
)
def test_describe(array, lines):
    assert describe(np.asarray(array)) == lines
