"""Backpropagation through the graph, constants, dtypes, copies and errors; `variable.py`."""

import copy
import operator
import pickle

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import fastbp.autodiff as ad
from fastbp.autodiff import Graph, Variable, constant


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
    with pytest.raises(ValueError, match=r"needs an output with one element.* shape \(2, 3\)"):
        (2 * x).backward()
    with pytest.raises(ValueError, match=r"gradient must have the shape of the output, \(2, 3\), got \(3,\)"):
        (2 * x).backward(np.ones(3))
    with pytest.raises(ValueError, match="it was not computed from a Variable"):
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
