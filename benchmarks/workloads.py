"""What is timed: the list of workloads, their synthetic data and their FLOPs.

A further row is one more entry of `WORKLOADS`. A kind of work other than training is another
`job`: a peer takes part in it when its module has a function of that name.
"""

import itertools
import math
from dataclasses import dataclass

import numpy as np


def flops_per_step(layer_sizes, batch_size):
    """Floating-point operations of the matrix products of one training step.

    Each layer needs three products of 2·B·n_i·n_{i+1} operations: the forward pass, the gradient
    of the weights and the gradient with respect to the layer's input. The first layer's input
    is the data, whose gradient nobody needs::

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
    n_weights = sum(a * b for a, b in itertools.pairwise(layer_sizes))
    return 6 * batch_size * n_weights - 2 * batch_size * layer_sizes[0] * layer_sizes[1]


@dataclass(frozen=True)
class Workload:
    """One row of the benchmark.

    Parameters
    ----------
    name : str
        What the user calls it: the layer sizes, usually.
    layer_sizes : tuple of int
        Number of features, hidden units of each layer, number of targets or classes.
    batch_size, n_samples : int
        Rows of a batch and of the whole data set.
    task : {"classification", "regression"}
        Decides the loss and the output layer.
    job : str, default="train"
        The kind of work, which is the name of the function that a peer's module offers for it.
    """

    name: str
    layer_sizes: tuple
    batch_size: int
    n_samples: int
    task: str = "classification"
    job: str = "train"

    @property
    def is_binary(self):
        """Whether the output layer is one logistic unit, as scikit-learn makes it."""
        return self.task == "classification" and self.layer_sizes[-1] == 2

    @property
    def trained_layer_sizes(self):
        """The layers that are really trained, by every peer alike."""
        return (*self.layer_sizes[:-1], 1) if self.is_binary else self.layer_sizes

    @property
    def steps_per_epoch(self):
        """Number of batches, the short last one included."""
        return math.ceil(self.n_samples / self.batch_size)

    @property
    def flops_per_step(self):
        """FLOPs of a step on a full batch; see `flops_per_step`."""
        return flops_per_step(self.trained_layer_sizes, self.batch_size)

    @property
    def flops_per_epoch(self):
        """FLOPs of an epoch; they are linear in the rows, so a short last batch counts as such."""
        return flops_per_step(self.trained_layer_sizes, self.n_samples)


WORKLOADS = {
    workload.name: workload
    for workload in (
        Workload("4-8-3", (4, 8, 3), 32, 150),
        Workload("20-64-64-1", (20, 64, 64, 1), 128, 10_000, task="regression"),
        Workload("20-100-2", (20, 100, 2), 200, 10_000),
        Workload("64-100-10", (64, 100, 10), 200, 1_797),
        Workload("784-100-10", (784, 100, 10), 200, 10_000),
        Workload("784-512-256-10", (784, 512, 256, 10), 256, 10_000),
        Workload("1024-2048-2048-1000", (1024, 2048, 2048, 1000), 512, 4_096),
        Workload("32-[32]x50-10", (32, *[32] * 50, 10), 128, 4_096),
    )
}


def make_data(workload, dtype):
    """Draw the data of a workload: a linear teacher with noise.

    The noise keeps the gradients away from zero however long a fit is, so that no contender
    slows down over denormal numbers when it is given many epochs.

    Parameters
    ----------
    workload : Workload
        Shapes and task.
    dtype : {"float32", "float64"}
        Type of X, and of y in regression.

    Returns
    -------
    X : ndarray of shape (n_samples, n_features)
    y : ndarray of shape (n_samples,) or (n_samples, n_targets)
        Class numbers (int64), each class present; or targets of type `dtype`.
    """
    rng = np.random.default_rng(0)
    n, n_features, n_outputs = workload.n_samples, workload.layer_sizes[0], workload.layer_sizes[-1]
    X = rng.standard_normal((n, n_features))
    teacher = rng.standard_normal((n_features, n_outputs)) / math.sqrt(n_features)
    if workload.task == "regression":
        y = np.sin(X @ teacher) + 0.3 * rng.standard_normal((n, n_outputs))
        return X.astype(dtype), (y[:, 0] if n_outputs == 1 else y).astype(dtype)
    y = np.argmax(X @ teacher + 0.5 * rng.gumbel(size=(n, n_outputs)), axis=1)
    y[:n_outputs] = np.arange(n_outputs)
    return X.astype(dtype), y.astype(np.int64)


def initial_parameters(layer_sizes, dtype):
    """Draw weights and intercepts from scikit-learn's initial distribution.

    Peers that leave the choice to their user start from these: with smaller weights the
    gradients of a deep net underflow, and the time measured would be that of denormal numbers.

    Parameters
    ----------
    layer_sizes : sequence of int
        Number of units of every layer.
    dtype : {"float32", "float64"}
        Type of the arrays.

    Returns
    -------
    list of (W, b)
        Uniform within ±√(6/(fan_in + fan_out)) (Glorot and Bengio 2010, eq. 16);
        shapes (fan_in, fan_out) and (fan_out,).
    """
    rng = np.random.default_rng(1)
    parameters = []
    for fan_in, fan_out in itertools.pairwise(layer_sizes):
        bound = math.sqrt(6 / (fan_in + fan_out))
        W = rng.uniform(-bound, bound, (fan_in, fan_out)).astype(dtype)
        b = rng.uniform(-bound, bound, fan_out).astype(dtype)
        parameters.append((W, b))
    return parameters
