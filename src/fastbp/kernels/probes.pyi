from collections.abc import Callable
from typing import TypeVar

import numpy as np
from numpy.typing import DTypeLike, NDArray

_Real = TypeVar("_Real", np.float32, np.float64)

MATH_FUNCTIONS: dict[str, int]

def fma_peak(dtype: DTypeLike = ..., seconds: float = 0.2, n_threads: int = 1) -> float: ...
def memory_rate(n_bytes: int, seconds: float = 0.2, n_threads: int = 1) -> float: ...
def best_rate(loop: Callable[[int], float], seconds: float, n_threads: int) -> float: ...
def math_function(name: str, x: NDArray[_Real]) -> NDArray[_Real]: ...
