"""A computational graph over NumPy arrays with reverse-mode differentiation, written to be read.

The result of an operation on a `Variable` is another `Variable`, which stores the operation and its operands: a graph.
From the gradient of a node y follows the gradient of each operand x by the chain rule, as a vector-Jacobian product::

    dL/dx  +=  (dL/dy) ∂y/∂x

with ``+=`` because the contributions of all paths from x to L are added.

===================  ===================================================================================
``variable.py``      `Variable`, its `backward`, and the decorator that makes operations
``operations.py``    the operations: one function each, with its value and its derivatives
``functional.py``    `grad` and `value_and_grad` of a function; `FormulaLoss`, a loss from its formula
``graph.py``         `Graph`: the nodes as a table and as a Graphviz source
===================  ===================================================================================

References
----------
Griewank and Walther (2008), Evaluating Derivatives, section 3.2: the reverse mode.

Examples
--------
>>> from fastbp.autodiff import Variable
>>> a, b, c = Variable(2.0, name="a"), Variable(-3.0, name="b"), Variable(10.0, name="c")
>>> L = a * b + c
>>> L.backward()
>>> float(L), float(a.gradient), float(b.gradient), float(c.gradient)
(4.0, -3.0, 2.0, 1.0)
"""

from fastbp.autodiff.functional import FormulaLoss, grad, value_and_grad
from fastbp.autodiff.graph import Graph
from fastbp.autodiff.operations import (
    absolute,
    add,
    divide,
    exp,
    getitem,
    log,
    logistic,
    logsumexp,
    matmul,
    maximum,
    mean,
    minimum,
    multiply,
    negative,
    power,
    relu,
    reshape,
    softplus,
    subtract,
    sum,
    tanh,
    transpose,
    where,
)
from fastbp.autodiff.variable import OPERATIONS, Variable, constant, operation

__all__ = [
    "OPERATIONS",
    "FormulaLoss",
    "Graph",
    "Variable",
    "absolute",
    "add",
    "constant",
    "divide",
    "exp",
    "getitem",
    "grad",
    "log",
    "logistic",
    "logsumexp",
    "matmul",
    "maximum",
    "mean",
    "minimum",
    "multiply",
    "negative",
    "operation",
    "power",
    "relu",
    "reshape",
    "softplus",
    "subtract",
    "sum",
    "tanh",
    "transpose",
    "value_and_grad",
    "where",
]
