from typing import Any, TypeVar, overload

import numpy as np
from numpy.typing import ArrayLike, NDArray

_Real = TypeVar("_Real", np.float32, np.float64)

def layer_inputs(X: ArrayLike, W: ArrayLike) -> tuple[NDArray[Any], NDArray[Any]]: ...
def products_table(dtype: np.dtype[Any], products: str | None) -> int: ...

# of arrays, the elements decide; lists and integers become float64, or float32 beside a float32 array
@overload
def dense_forward(
    X: NDArray[_Real],
    W: NDArray[_Real],
    b: NDArray[_Real],
    activation: str = "identity",
    out: NDArray[_Real] | None = None,
    *,
    Z: NDArray[_Real] | None = None,
    products: str | None = None,
) -> NDArray[_Real]: ...
@overload
def dense_forward(
    X: ArrayLike,
    W: ArrayLike,
    b: ArrayLike,
    activation: str = "identity",
    out: NDArray[Any] | None = None,
    *,
    Z: NDArray[Any] | None = None,
    products: str | None = None,
) -> NDArray[Any]: ...
@overload
def dense_backward(
    dA: NDArray[_Real],
    X: NDArray[_Real],
    W: NDArray[_Real],
    A: NDArray[_Real],
    activation: str = "identity",
    dX: NDArray[_Real] | None = None,
    dW: NDArray[_Real] | None = None,
    db: NDArray[_Real] | None = None,
    *,
    Z: NDArray[_Real] | None = None,
    products: str | None = None,
) -> tuple[NDArray[_Real], NDArray[_Real], NDArray[_Real]]: ...
@overload
def dense_backward(
    dA: ArrayLike,
    X: ArrayLike,
    W: ArrayLike,
    A: ArrayLike,
    activation: str = "identity",
    dX: NDArray[Any] | None = None,
    dW: NDArray[Any] | None = None,
    db: NDArray[Any] | None = None,
    *,
    Z: ArrayLike | None = None,
    products: str | None = None,
) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]: ...
