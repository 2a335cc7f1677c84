"""The losses: what their targets may be, which output activation belongs to them, and the user's own.

The arithmetic of the built-in losses is in the kernels (``kernels/losses.h``). A new loss is one class here and its
functions there. A function of the user's is wrapped in a `FunctionLoss`.
"""

from collections.abc import Callable
from copy import copy
from typing import Any

from fastbp.losses.base import Loss
from fastbp.losses.classification import BinaryFocal, BinaryLogLoss, Focal, LogLoss, MultiOutputLogLoss
from fastbp.losses.function import FunctionLoss
from fastbp.losses.regression import (
    AbsoluteError,
    Gamma,
    Gaussian,
    Huber,
    Poisson,
    Quantile,
    SquaredError,
    Tweedie,
)

__all__ = [
    "LOSSES",
    "AbsoluteError",
    "BinaryFocal",
    "BinaryLogLoss",
    "Focal",
    "FunctionLoss",
    "Gamma",
    "Gaussian",
    "Huber",
    "LogLoss",
    "Loss",
    "MultiOutputLogLoss",
    "Poisson",
    "Quantile",
    "SquaredError",
    "Tweedie",
    "as_loss",
    "resolve",
]

#: name -> class of every built-in loss
LOSSES = {
    cls.name: cls
    for cls in (
        SquaredError,
        LogLoss,
        BinaryLogLoss,
        Poisson,
        AbsoluteError,
        Huber,
        Quantile,
        Gamma,
        Tweedie,
        Gaussian,
        Focal,
        BinaryFocal,
        MultiOutputLogLoss,
    )
}

#: What a loss of classes stands for where the output is not softmax, by its class
BINARY: dict[type[Loss], type[Loss]] = {LogLoss: BinaryLogLoss, Focal: BinaryFocal}


def as_loss(loss: str | Loss | Callable[..., Any]) -> Loss:
    """The object that a name, an object or a function stands for.

    Parameters
    ----------
    loss : str, Loss or callable
        A key of ``LOSSES``; an object, of which a copy is made; or a function as `FunctionLoss` takes it.

    Returns
    -------
    Loss

    Raises
    ------
    ValueError
        For anything else, with all names; for a parameter of an object that is not valid.
    """
    if isinstance(loss, Loss) and (loss.name in LOSSES or isinstance(loss, FunctionLoss)):
        loss._validate_params()
        return copy(loss)
    if callable(loss) and not isinstance(loss, type):
        return FunctionLoss(loss)
    if not isinstance(loss, str) or loss not in LOSSES:
        raise ValueError(f"loss must be one of {', '.join(sorted(LOSSES))}; got {loss!r}")
    return LOSSES[loss]()


def resolve(loss: str | Loss | Callable[..., Any], output_activation: str) -> Loss:
    """The loss that a network with some output activation trains with.

    Parameters
    ----------
    loss : str, Loss or callable
        As for `as_loss`.
    output_activation : str

    Returns
    -------
    Loss
        For a log-loss or a focal loss whose output is not its link, softmax, the binary one with the same parameters,
        which is summed over the outputs.
    """
    loss = as_loss(loss)
    binary = BINARY.get(type(loss))
    return loss if binary is None or output_activation == loss.link else binary(**loss.get_params())
