from collections.abc import Sequence
from typing import Any, Self

from numpy.typing import NDArray
from typing_extensions import disjoint_base

INSTRUCTION: str

def scratch_width(fan_in: int) -> int: ...

@disjoint_base
class QuantizedLayers:
    shapes: list[tuple[int, int]]
    def __new__(
        cls, layers: Sequence[tuple[NDArray[Any], NDArray[Any], NDArray[Any], NDArray[Any] | None]]
    ) -> Self: ...
    def multiply(self, number: int, X: NDArray[Any]) -> NDArray[Any]: ...
