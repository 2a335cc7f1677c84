"""The kernels: arrays in, arrays out; float32 and float64; no GIL while they run.

Doors for users stand here; Cython code can ``cimport`` the pointer kernels from ``fastbp.kernels.dense`` and the table
of all of them from ``fastbp.kernels.dispatch``. C sources and headers are installed beside the modules.
"""

from fastbp.kernels.activations import activation_backward, activation_forward
from fastbp.kernels.dense import dense_backward, dense_forward
from fastbp.kernels.dispatch import ACTIVATIONS, ISA, LOSSES, NEEDS_PREACTIVATION, SUPPORTED_ISAS, fma_peak
from fastbp.kernels.losses import loss_gradient, loss_rows
from fastbp.kernels.optimizers import adam_update, sgd_update

__all__ = [
    "ACTIVATIONS",
    "ISA",
    "LOSSES",
    "NEEDS_PREACTIVATION",
    "SUPPORTED_ISAS",
    "activation_backward",
    "activation_forward",
    "adam_update",
    "dense_backward",
    "dense_forward",
    "fma_peak",
    "loss_gradient",
    "loss_rows",
    "sgd_update",
]
