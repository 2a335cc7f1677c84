from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

_Real = TypeVar("_Real", np.float32, np.float64)

def checked(
    g: ArrayLike, w: NDArray[Any] | None, states: Sequence[tuple[str, NDArray[Any] | None]], ndim: int = 1
) -> tuple[NDArray[Any], NDArray[Any], list[NDArray[Any]]]: ...
def check_given(name: str, array: NDArray[Any] | None) -> NDArray[Any]: ...
def sgd_update(
    g: ArrayLike,
    w: NDArray[_Real],
    velocity: NDArray[_Real],
    *,
    learning_rate: float,
    momentum: float = 0.9,
    nesterov: bool = True,
) -> None: ...
def adam_update(
    g: ArrayLike,
    w: NDArray[_Real],
    m: NDArray[_Real],
    v: NDArray[_Real],
    t: int,
    *,
    learning_rate: float = 0.001,
    beta_1: float = 0.9,
    beta_2: float = 0.999,
    epsilon: float = 1e-8,
) -> None: ...
def optimizer_update(
    optimizer: str,
    g: ArrayLike,
    w: NDArray[_Real],
    states: Sequence[NDArray[_Real]],
    *,
    learning_rate: float,
    constants: Mapping[str, float],
    step: int = 1,
    memory: NDArray[np.float64] | None = None,
) -> None: ...
