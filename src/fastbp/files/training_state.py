"""The state of training in a fitted estimator, to JSON and back: the optimizer's moments, and averages of weights."""

import numpy as np

from fastbp.files.checks import is_count, is_number
from fastbp.files.places import under
from fastbp.kernels.dispatch import N_MEMORY
from fastbp.optimizers import Optimizer
from fastbp.training import EpochAverage, MovingAverage, OptimizerState
from fastbp.training.optimizer_state import check_epsilon

OF_OPTIMIZER = ("optimizer", "learning_rate", "factor", "n_steps", "n_epochs", "seed", "state", "memory")
OF_AVERAGE = ("params", "raw", "n", "is_shown")
#: class of averages -> its parameter
PARAMETERS = {MovingAverage: "decay", EpochAverage: "begin"}
SEED_LIMIT = 2**63


def encoded_optimizer(encoder, state, place):
    """An `OptimizerState`.

    Parameters
    ----------
    encoder : Encoder
    state : OptimizerState
    place : str

    Returns
    -------
    dict
    """
    return {name: encoder.encode(getattr(state, name), under(place, name)) for name in OF_OPTIMIZER}


def decoded_optimizer(decoder, content, place):
    """The OptimizerState that `encoded_optimizer` described.

    Parameters
    ----------
    decoder : Decoder
    content : dict
    place : str

    Returns
    -------
    OptimizerState
    """
    parts = decoder.parts(content, OF_OPTIMIZER, (), place)
    values = {name: decoder.decode(parts[name], under(place, name)) for name in OF_OPTIMIZER}
    optimizer, state = values["optimizer"], values["state"]
    if not isinstance(optimizer, Optimizer):
        raise ValueError(f"{place}.optimizer must be an optimizer, got {type(optimizer).__name__}")
    if not all(is_count(values[name]) for name in ("n_steps", "n_epochs")):
        raise ValueError(f"{place} must have counted its steps and epochs")
    for name in ("learning_rate", "factor"):
        if not is_number(values[name]) or not 0 <= values[name] < np.inf:
            raise ValueError(f"{place}.{name} must be a finite number >= 0, got {values[name]!r}")
    seed = values["seed"]
    if seed is not None and not (type(seed) is int and 0 <= seed < SEED_LIMIT):
        raise ValueError(f"{place}.seed must be None or an integer >= 0 and < 2**63, got {seed!r}")
    if not isinstance(state, list) or len(state) != optimizer.n_states or not are_flat(state):
        raise ValueError(f"{place}.state must have {optimizer.n_states} arrays of one length and dtype")
    memory, n_kernels = values["memory"], len(optimizer.kernel_constants)
    if not isinstance(memory, np.ndarray) or memory.dtype != np.float64 or memory.shape != (n_kernels, N_MEMORY):
        raise ValueError(f"{place}.memory must be float64 of shape ({n_kernels}, {N_MEMORY})")
    if state:
        check_epsilon(optimizer, state[0].dtype)
    found = object.__new__(OptimizerState)
    found.__setstate__(values)
    return found


def are_flat(arrays):
    """Whether all are vectors of one length, and of one dtype that networks have."""
    if not all(isinstance(a, np.ndarray) and a.ndim == 1 and a.dtype in (np.float32, np.float64) for a in arrays):
        return False
    return all(a.shape == arrays[0].shape and a.dtype == arrays[0].dtype for a in arrays)


def encoded_average(encoder, average, place):
    """A `MovingAverage` or an `EpochAverage`.

    Parameters
    ----------
    encoder : Encoder
    average : MovingAverage or EpochAverage
    place : str

    Returns
    -------
    dict
    """
    names = (*OF_AVERAGE, PARAMETERS[type(average)])
    return {name: encoder.encode(getattr(average, name), under(place, name)) for name in names}


def average_decoder(cls):
    """The function (decoder, content, place) that makes an average of a class of what `encoded_average` wrote.

    Parameters
    ----------
    cls : type

    Returns
    -------
    callable
    """
    parameter = PARAMETERS[cls]

    def decoded(decoder, content, place):
        parts = decoder.parts(content, (*OF_AVERAGE, parameter), (), place)
        values = {name: decoder.decode(part, under(place, name)) for name, part in parts.items()}
        own = values[parameter]
        is_own = is_count(own) if cls is EpochAverage else is_number(own) and 0 <= own < 1
        if not is_own or not is_count(values["n"]) or type(values["is_shown"]) is not bool:
            raise ValueError(f"{place} is no average of weights")
        if not are_flat([values["params"], values["raw"]]):
            raise ValueError(f"{place} must have two vectors of one length and dtype")
        average = object.__new__(cls)
        average.__setstate__(values)
        return average

    return decoded
