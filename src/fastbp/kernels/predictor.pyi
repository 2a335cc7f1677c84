from typing import Any, Self

from numpy.typing import NDArray
from typing_extensions import disjoint_base

from fastbp.kernels.data import Data
from fastbp.kernels.pool import Pool
from fastbp.kernels.program import Program
from fastbp.kernels.quantized import QuantizedLayers
from fastbp.kernels.team import Task, Team

def all_finite(array: NDArray[Any]) -> bool: ...

@disjoint_base
class ForwardPass(Task):
    def __new__(cls, n_threads: int) -> Self: ...

@disjoint_base
class Predictor:
    def __init__(self, program: Program, params: NDArray[Any], quantized: QuantizedLayers | None = None) -> None: ...
    def __call__(self, data: Data, out: NDArray[Any], n_threads: int = 1, team: Team | None = None) -> None: ...
    def of_few_rows(self, X: object, most_rows: int) -> NDArray[Any] | None: ...
    def run_by_team(self, data: Data, out: NDArray[Any], team: Team) -> None: ...
    def run(self, data: Data, out: NDArray[Any], chunk_rows: int, pool: Pool | None) -> None: ...
