import numpy as np
from numpy.random import RandomState
from numpy.typing import NDArray

def uniform(
    random_state: RandomState, low: float, high: float, shape: int | tuple[int, ...]
) -> NDArray[np.float64]: ...
def shuffle(random_state: RandomState, rows: NDArray[np.int64]) -> None: ...
