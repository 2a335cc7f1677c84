"""The operations of the graph: one function each, which returns the value and the vector-Jacobian products.

g is dL/dy, the gradient of the value y; the functions of g return dL/d(operand), in the order of the operands. To add
an operation, add a function here.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastbp.autodiff.variable import operation

# Arithmetic


@operation("+")
def add(a: Any, b: Any) -> tuple[Any, ...]:
    """a + b."""
    return a + b, lambda g: g, lambda g: g


@operation("−")
def subtract(a: Any, b: Any) -> tuple[Any, ...]:
    """a - b."""
    return a - b, lambda g: g, lambda g: -g


@operation("×")
def multiply(a: Any, b: Any) -> tuple[Any, ...]:
    """a * b, element by element."""
    return a * b, lambda g: g * b, lambda g: g * a


@operation("/")
def divide(a: Any, b: Any) -> tuple[Any, ...]:
    """a / b."""
    y = a / b
    return y, lambda g: g / b, lambda g: -g * y / b


@operation("**")
def power(a: Any, b: Any) -> tuple[Any, ...]:
    """a ** b: ∂y/∂a = b a^(b-1), which is 0 for b = 0, and ∂y/∂b = y log a, which is 0 for a = 0 < b."""
    y = a**b
    return y, lambda g: g * b * a ** np.where(b == 0, 1, b - 1), lambda g: g * y * np.log(np.where(a == 0, 1, a))


@operation("−")
def negative(x: Any) -> tuple[Any, ...]:
    """-x."""
    return -x, lambda g: -g


@operation("@")
def matmul(a: Any, b: Any) -> tuple[Any, ...]:
    """a @ b: dL/da = dL/dy bᵀ and dL/db = aᵀ dL/dy; vectors and stacks of matrices as in NumPy."""
    A = a[None, :] if a.ndim == 1 else a  # a vector on the left is a row,
    B = b[:, None] if b.ndim == 1 else b  # a vector on the right a column

    def as_matrix(g: NDArray[Any]) -> NDArray[Any]:  # with this row or column, which the product lacks
        return np.expand_dims(g, (-2,) * (a.ndim == 1) + (-1,) * (b.ndim == 1))

    def vjp_a(g: NDArray[Any]) -> NDArray[Any]:
        dA = as_matrix(g) @ B.swapaxes(-1, -2)
        return dA[..., 0, :] if a.ndim == 1 else dA

    def vjp_b(g: NDArray[Any]) -> NDArray[Any]:
        dB = A.swapaxes(-1, -2) @ as_matrix(g)
        return dB[..., 0] if b.ndim == 1 else dB

    return a @ b, vjp_a, vjp_b


# Functions of each element


@operation("exp")
def exp(x: Any) -> tuple[Any, ...]:
    """e^x: y' = y."""
    y = np.exp(x)
    return y, lambda g: g * y


@operation("log")
def log(x: Any) -> tuple[Any, ...]:
    """The natural logarithm: y' = 1 / x."""
    return np.log(x), lambda g: g / x


@operation("tanh")
def tanh(x: Any) -> tuple[Any, ...]:
    """The hyperbolic tangent: y' = 1 - y²."""
    y = np.tanh(x)
    return y, lambda g: g * (1 - y**2)


@operation("logistic")
def logistic(x: Any) -> tuple[Any, ...]:
    """1 / (1 + e^-x): y' = y (1 - y)."""
    y = np.exp(-np.logaddexp(0, -x))
    return y, lambda g: g * y * (1 - y)


@operation("softplus")
def softplus(x: Any) -> tuple[Any, ...]:
    """log(1 + e^x): y' = logistic(x) = e^(x - y)."""
    y = np.logaddexp(0, x)
    return y, lambda g: g * np.exp(x - y)


@operation("relu")
def relu(x: Any) -> tuple[Any, ...]:
    """max(x, 0): y' = 1 where x > 0, else 0."""
    return np.maximum(x, 0), lambda g: g * (x > 0)


@operation("abs")
def absolute(x: Any) -> tuple[Any, ...]:
    """The absolute value: y' = sign(x), 0 at 0."""
    return np.abs(x), lambda g: g * np.sign(x)


@operation("max")
def maximum(a: Any, b: Any) -> tuple[Any, ...]:
    """The larger of a and b, which gets the gradient; where they are equal, each gets half of it."""
    return np.maximum(a, b), lambda g: g * ((a > b) + (a == b) / 2), lambda g: g * ((b > a) + (a == b) / 2)


@operation("min")
def minimum(a: Any, b: Any) -> tuple[Any, ...]:
    """The smaller of a and b, which gets the gradient; where they are equal, each gets half of it."""
    return np.minimum(a, b), lambda g: g * ((a < b) + (a == b) / 2), lambda g: g * ((b < a) + (a == b) / 2)


@operation("where")
def where(condition: Any, a: Any, b: Any) -> tuple[Any, ...]:
    """a where the condition holds, else b. Both are computed, and the gradient of the one that is not chosen is 0 times
    its derivative: keep it finite, as in ``where(x > 0, log(maximum(x, 1e-9)), 0)``."""
    chosen = condition != 0
    return (
        np.where(chosen, a, b),
        lambda g: np.zeros_like(g),  # the value does not change with the condition
        lambda g: np.where(chosen, g, 0),
        lambda g: np.where(chosen, 0, g),
    )


# Sums over axes: y keeps these axes with length 1, so that y and g broadcast against x


@operation("Σ")
def sum(x: Any, *, axis: int | tuple[int, ...] | None = None, keepdims: bool = False) -> tuple[Any, ...]:
    """The sum over some axes, or over all: ∂y/∂x = 1 for each element."""
    y = x.sum(axis=axis, keepdims=True)
    return y if keepdims else y.squeeze(axis), lambda g: np.broadcast_to(g.reshape(y.shape), x.shape)


@operation("mean")
def mean(x: Any, *, axis: int | tuple[int, ...] | None = None, keepdims: bool = False) -> tuple[Any, ...]:
    """The mean over some axes, or over all: ∂y/∂x = 1/n for each of n elements."""
    y = x.mean(axis=axis, keepdims=True)
    return y if keepdims else y.squeeze(axis), lambda g: np.broadcast_to(g.reshape(y.shape) * y.size / x.size, x.shape)


@operation("log Σ exp")
def logsumexp(x: Any, *, axis: int | tuple[int, ...] | None = None, keepdims: bool = False) -> tuple[Any, ...]:
    """log Σ e^x over some axes, or over all, without overflow: ∂y/∂x = e^(x - y), the softmax of x."""
    top = x.max(axis=axis, keepdims=True)
    y = top + np.log(np.exp(x - top).sum(axis=axis, keepdims=True))
    return y if keepdims else y.squeeze(axis), lambda g: g.reshape(y.shape) * np.exp(x - y)


# Elements in another order


@operation("[ ]")
def getitem(x: Any, *, index: Any) -> tuple[Any, ...]:
    """x[index], for every index that NumPy accepts; the gradients of an element that is selected twice are added."""

    def vjp(g: NDArray[Any]) -> NDArray[Any]:
        dx = np.zeros_like(x)
        np.add.at(dx, index, g)
        return dx

    return x[index], vjp


@operation("reshape")
def reshape(x: Any, *, shape: int | tuple[int, ...]) -> tuple[Any, ...]:
    """The same elements in another shape."""
    return np.reshape(x, shape), lambda g: g.reshape(x.shape)


@operation("transpose")
def transpose(x: Any, *, axes: tuple[int, ...] | None = None) -> tuple[Any, ...]:
    """The axes in another order, or reversed; the gradient is transposed by the inverse order."""
    inverse = None if axes is None else np.argsort([axis % x.ndim for axis in axes])
    return np.transpose(x, axes), lambda g: np.transpose(g, inverse)
