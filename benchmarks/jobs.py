"""The kinds of work: the unit, how it is timed, and the number of operations.

A new kind of work is an entry of `JOBS`, and a function of that name in the module of every peer that can do it
(see `peers`): products with Jacobians and Hessians, for example, would be the entries "vjp" and "hvp".
"""

import itertools
from collections.abc import Callable
from dataclasses import dataclass


def n_weights(layer_sizes):
    """Number of weights, intercepts not counted.

    Parameters
    ----------
    layer_sizes : sequence of int
        Number of units of every layer, input and output included.

    Returns
    -------
    int
    """
    return sum(a * b for a, b in itertools.pairwise(layer_sizes))


def flops_per_step(layer_sizes, batch_size):
    """Floating-point operations of the matrix products of one training step.

    Each layer needs three products of 2·B·n_i·n_{i+1} operations: the forward pass, the gradient
    of the weights and the gradient with respect to the layer's input. The first layer's input is the data, whose
    gradient is not needed::

        6·B·Σ n_i·n_{i+1} − 2·B·n_0·n_1

    Activations, the loss and the optimizer's update are not counted.

    Parameters
    ----------
    layer_sizes : sequence of int
        Number of units of every layer, input and output included.
    batch_size : int
        Rows of the batch, B above.

    Returns
    -------
    int
        Number of additions and multiplications.
    """
    return 6 * batch_size * n_weights(layer_sizes) - 2 * batch_size * layer_sizes[0] * layer_sizes[1]


def flops_of_training(workload):
    """FLOPs of an epoch. They are proportional to the rows, so a short last batch counts for its rows.

    Parameters
    ----------
    workload : workloads.Workload

    Returns
    -------
    int or None
        None for sparse rows, which are bound by memory.
    """
    if workload.n_nonzeros:
        return None
    return flops_per_step(workload.trained_layer_sizes, workload.n_samples)


def flops_of_prediction(workload):
    """FLOPs of the products of a forward pass: 2·n·Σ n_i·n_{i+1}.

    Parameters
    ----------
    workload : workloads.Workload

    Returns
    -------
    int
    """
    return 2 * workload.n_samples * n_weights(workload.trained_layer_sizes)


def bytes_per_step(workload, itemsize, index_bytes=4):
    """The fewest bytes that a training step with Adam moves, on sparse rows::

        6·s·P + B·nnz·(s + i)

    All P parameters and their two moments, of s bytes each, are read and written. The B·nnz non-zeros are read, with
    indices of i bytes. The rows of the first layer's weights that the forward pass reads are not counted a second time.

    Parameters
    ----------
    workload : workloads.Workload
    itemsize, index_bytes : int
        s and i above.

    Returns
    -------
    int
    """
    sizes = workload.trained_layer_sizes
    n_params = n_weights(sizes) + sum(sizes[1:])
    return 6 * itemsize * n_params + workload.batch_size * workload.n_nonzeros * (itemsize + index_bytes)


@dataclass(frozen=True)
class Job:
    """A kind of work.

    Parameters
    ----------
    unit : str
        What ``run(count)`` does `count` times.
    prefix : {"m", "u"}, default="m"
        Whether the tables give a unit's time in ms or µs.
    base : int, default=0
        Units in the shorter of two runs. The time of a unit is the difference of the two runs, in which fixed costs
        cancel. 0: there is no shorter run, and all costs belong to the unit.
    once : bool, default=False
        Whether only one unit is run, because its time is not the result.
    own_processes : bool, default=False
        Whether it starts processes of its own, which divide the cores among themselves. The number of threads is then
        not limited.
    has_steps : bool, default=False
        Whether a unit consists of training steps, `Workload.steps_per_epoch` of them.
    count_flops : callable, default=None
        Gives the FLOPs of a unit of a workload; None if they are unknown, or if the time does not depend on them.
    """

    unit: str
    prefix: str = "m"
    base: int = 0
    once: bool = False
    own_processes: bool = False
    has_steps: bool = False
    count_flops: Callable | None = None


JOBS = {
    "train": Job("epoch", base=1, has_steps=True, count_flops=flops_of_training),
    "lbfgs": Job("fit"),
    "fit": Job("fit"),
    "fit_memmap": Job("fit", once=True),
    "grid_search": Job("search", own_processes=True),
    "predict": Job("call", count_flops=flops_of_prediction),
    "predict_row": Job("call", prefix="u"),
}
