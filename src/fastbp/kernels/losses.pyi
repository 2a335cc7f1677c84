from collections.abc import Sequence
from typing import Any, TypeVar, overload

import numpy as np
from numpy.typing import ArrayLike, NDArray

_Real = TypeVar("_Real", np.float32, np.float64)

def checked(loss: str, Y: ArrayLike, Z: ArrayLike, name: str = "Z") -> tuple[NDArray[Any], NDArray[Any]]: ...

# of arrays, the elements decide; lists and integers become float64, or float32 beside a float32 array
@overload
def loss_on_mean(
    Y: NDArray[_Real], A: NDArray[_Real], loss: str, constants: Sequence[float] = ()
) -> tuple[NDArray[np.float64], NDArray[_Real]]: ...
@overload
def loss_on_mean(
    Y: ArrayLike, A: ArrayLike, loss: str, constants: Sequence[float] = ()
) -> tuple[NDArray[np.float64], NDArray[Any]]: ...
@overload
def loss_on_raw(
    Y: NDArray[_Real], Z: NDArray[_Real], loss: str, constants: Sequence[float] = ()
) -> tuple[NDArray[np.float64], NDArray[_Real]]: ...
@overload
def loss_on_raw(
    Y: ArrayLike, Z: ArrayLike, loss: str, constants: Sequence[float] = ()
) -> tuple[NDArray[np.float64], NDArray[Any]]: ...
@overload
def loss_on_mean_tangent(
    Y: NDArray[_Real], A: NDArray[_Real], dA: NDArray[_Real], loss: str, constants: Sequence[float] = ()
) -> NDArray[_Real]: ...
@overload
def loss_on_mean_tangent(
    Y: ArrayLike, A: ArrayLike, dA: ArrayLike, loss: str, constants: Sequence[float] = ()
) -> NDArray[Any]: ...
@overload
def loss_on_raw_tangent(
    Y: NDArray[_Real], Z: NDArray[_Real], dZ: NDArray[_Real], loss: str, constants: Sequence[float] = ()
) -> NDArray[_Real]: ...
@overload
def loss_on_raw_tangent(
    Y: ArrayLike, Z: ArrayLike, dZ: ArrayLike, loss: str, constants: Sequence[float] = ()
) -> NDArray[Any]: ...
