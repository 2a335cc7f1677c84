from collections.abc import Sequence
from typing import Any

from numpy.typing import NDArray
from typing_extensions import disjoint_base

INSTRUCTION: str

def scratch_width(fan_in: int) -> int: ...

@disjoint_base
class QuantizedLayers:
    shapes: list[tuple[int, int]]
    def __init__(
        self, layers: Sequence[tuple[NDArray[Any], NDArray[Any], NDArray[Any], NDArray[Any] | None]]
    ) -> None: ...
    def multiply(self, number: int, X: NDArray[Any]) -> NDArray[Any]: ...
