"""The kernels: arrays in, arrays out; float32 and float64; no GIL while they run.

These are the public functions, which check their arguments. Cython code can ``cimport`` the kernels that take pointers
from ``fastbp.kernels.dense``, and the table of all kernels from ``fastbp.kernels.dispatch``, with `get_include` among
its include directories.
"""

from pathlib import Path

from fastbp.kernels.activations import activation_backward, activation_backward_tangent, activation_forward
from fastbp.kernels.dense import dense_backward, dense_forward
from fastbp.kernels.dispatch import ACTIVATIONS, ISA, LOSSES, NEEDS_PREACTIVATION, OPTIMIZERS, SUPPORTED_ISAS
from fastbp.kernels.losses import loss_on_mean, loss_on_mean_tangent, loss_on_raw, loss_on_raw_tangent
from fastbp.kernels.optimizers import adam_update, optimizer_update, sgd_update
from fastbp.kernels.probes import fma_peak


def get_include() -> str:
    """The directory of ``program.h``, which C code compiled from ``cimport fastbp.kernels...`` includes."""
    return str(Path(__file__).parent)


__all__ = [
    "ACTIVATIONS",
    "ISA",
    "LOSSES",
    "NEEDS_PREACTIVATION",
    "OPTIMIZERS",
    "SUPPORTED_ISAS",
    "activation_backward",
    "activation_backward_tangent",
    "activation_forward",
    "adam_update",
    "dense_backward",
    "dense_forward",
    "fma_peak",
    "get_include",
    "loss_on_mean",
    "loss_on_mean_tangent",
    "loss_on_raw",
    "loss_on_raw_tangent",
    "optimizer_update",
    "sgd_update",
]
