from typing import Any

from numpy.typing import DTypeLike

ACTIVATIONS: dict[str, int]
NEEDS_PREACTIVATION: frozenset[str]
LOSSES: dict[str, int]
LINKS: dict[str, str]
LOSS_CONSTANTS: dict[str, tuple[str, ...]]
LOSS_CONSTANT_LIMIT: int
BIN_LIMIT: int
WAVE_LIMIT: int
OPTIMIZERS: dict[str, int]
N_STATES: dict[str, int]
OPTIMIZERS_BY_BLOCK: frozenset[str]
OPTIMIZERS_AVERAGING: frozenset[str]
OPTIMIZER_CONSTANTS: dict[str, tuple[str, ...]]
N_MEMORY: int
KINDS: dict[str, int]
KINDS_BY_ROWS: frozenset[str]
KINDS_IN_PLACE: frozenset[str]
N_SAVED: dict[str, int]
ELEMENTS: dict[str, int]
COMPILED_ISAS: tuple[str, ...]
SUPPORTED_ISAS: tuple[str, ...]
VERSION: str
CYTHON_VERSION: str
WANTED_ISA: str | None
ISA: str
MISSING_BFLOAT16: str | None
TABLES: dict[str, int]

def target_width(loss: str, n_outputs: int) -> int: ...
def choose_isa(wanted: str | None = None) -> str: ...
def missing_bfloat16(isa: str, is_compiled: bool, is_supported: bool) -> str | None: ...
def check_available(table: int) -> None: ...
def table_facts(dtype: DTypeLike) -> dict[str, Any]: ...
