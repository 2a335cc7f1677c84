from collections.abc import Sequence
from threading import Lock
from typing import Any, Self

import numpy as np
from numpy.random import RandomState
from numpy.typing import NDArray
from typing_extensions import disjoint_base

from fastbp.kernels.patience import Patience
from fastbp.kernels.plan import Plan
from fastbp.kernels.team import Team
from fastbp.kernels.team_tuner import TeamTuner

COMPLETED: int
OUT_OF_PATIENCE: int
DIVERGED: int
GREW: int
GROWTH: float

@disjoint_base
class TrainingLoop:
    first_loss: float

    def __init__(self, plan: Plan, team: Team | None = None) -> None: ...
    def __enter__(self) -> Self: ...
    def __exit__(self, *exception: object) -> None: ...
    def note_reading(self, reads: bool) -> None: ...
    def loss_and_gradient(self, gradient: NDArray[Any]) -> float: ...
    def set_optimizer(
        self,
        optimizers: Sequence[tuple[str, Sequence[float]]],
        optimizer_of: Sequence[int],
        states: Sequence[NDArray[Any]],
        memory: NDArray[np.float64],
        n_steps: int,
        alpha: float,
        *,
        update_flops: float = 0.0,
        **options: float,
    ) -> None: ...
    def set_average(self, average: NDArray[Any] | None, decay: float = 0.0, begin: int = 0) -> None: ...
    def train(
        self,
        rows: NDArray[np.int64] | None,
        random_state: RandomState | None,
        loss_scale: float,
        rates: NDArray[np.float64],
        losses: NDArray[np.float64],
        patience: Patience | None = None,
        lock: Lock | None = None,
        seconds: NDArray[np.float64] | None = None,
        decay_factors: NDArray[np.float64] | None = None,
        dropout_factors: NDArray[np.float64] | None = None,
        continues: bool = False,
    ) -> tuple[int, int]: ...
    def renew_statistics(self, rows: NDArray[np.int64] | None = None) -> None: ...
    def bind_rows(self, rows: NDArray[np.int64] | None) -> None: ...
    @property
    def plan(self) -> Plan: ...
    @property
    def team(self) -> Team: ...
    @property
    def tuner(self) -> TeamTuner: ...
    @property
    def tuner_beside_reader(self) -> TeamTuner: ...
    @property
    def n_steps(self) -> int: ...
    @property
    def epochs_done(self) -> int: ...
