from typing import Any, TypeVar, overload

import numpy as np
from numpy.typing import ArrayLike, NDArray

_Real = TypeVar("_Real", np.float32, np.float64)

# of arrays, the elements decide; lists and integers become float64, or float32 beside a float32 array
@overload
def activation_forward(Z: NDArray[_Real], activation: str, out: NDArray[_Real] | None = None) -> NDArray[_Real]: ...
@overload
def activation_forward(Z: ArrayLike, activation: str, out: NDArray[Any] | None = None) -> NDArray[Any]: ...
@overload
def activation_backward(
    dA: NDArray[_Real],
    A: NDArray[_Real],
    activation: str,
    out: NDArray[_Real] | None = None,
    *,
    Z: NDArray[_Real] | None = None,
) -> NDArray[_Real]: ...
@overload
def activation_backward(
    dA: ArrayLike,
    A: ArrayLike,
    activation: str,
    out: NDArray[Any] | None = None,
    *,
    Z: ArrayLike | None = None,
) -> NDArray[Any]: ...
@overload
def activation_backward_tangent(
    dA: NDArray[_Real],
    dA_tangent: NDArray[_Real],
    Z: NDArray[_Real],
    Z_tangent: NDArray[_Real],
    activation: str,
) -> NDArray[_Real]: ...
@overload
def activation_backward_tangent(
    dA: ArrayLike, dA_tangent: ArrayLike, Z: ArrayLike, Z_tangent: ArrayLike, activation: str
) -> NDArray[Any]: ...
