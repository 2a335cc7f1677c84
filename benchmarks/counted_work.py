"""The work that `instructions.py` runs under callgrind to count its instructions.

    python counted_work.py DIRECTORY NAME...

DIRECTORY contains the package fastbp, and each NAME is a workload. Only the compiled kernels are imported, without the
package's `__init__`: the import of scikit-learn and scipy, which the rest of fastbp needs, takes half a minute under
callgrind.

The work is divided into sections. Each section begins and ends with a mark, and a line is printed for it. Every kind of
work has a short and a long section. What is not the work itself (the interpreter, calls, preparation) is the same in
both, and cancels in their difference.
"""

import gc
import os
import sys
from dataclasses import replace
from itertools import pairwise
from types import ModuleType

import numpy as np

from data import initial_parameters, make_data
from workloads import WORKLOADS

#: The numbers of repetitions: before the sections (the loader binds symbols, and the interpreter specializes its
#: bytecode), in the short section, and in the long one. Counts are exact, so one step of difference is enough. More
#: would be slow: valgrind emulates a fused multiply-add element by element, and a step of the widest net takes seconds.
REPETITIONS = {"step": (1, 0, 1), "predict": (20, 10, 30)}
#: The activation of the output layer and the loss, of each task
OUTPUTS = {
    "binary": ("logistic", "binary_log_loss"),
    "classification": ("softmax", "log_loss"),
    "regression": ("identity", "squared_error"),
}
#: A mark: a function of the C library that Python calls nowhere else. callgrind starts a new file at each call of it.
mark = os.ctermid


def import_kernels(directory):
    """Import the kernels without running ``fastbp/__init__.py``.

    Parameters
    ----------
    directory : str
        Contains the package.
    """
    package = ModuleType("fastbp")
    package.__path__ = [directory]
    sys.modules["fastbp"] = package
    import fastbp.kernels  # noqa: F401


def make_network(workload, dtype="float32", activation="relu"):
    """The graph and the flat parameters, in the layout of `fastbp.Network`.

    Parameters
    ----------
    workload : workloads.Workload
    dtype : {"float32", "float64"}, default="float32"
    activation : str, default="relu"
        Of the hidden layers.

    Returns
    -------
    graph : fastbp.kernels.graph.Graph
    params : ndarray of shape (n_params,)
    loss : str
        Its name in the kernels.
    """
    from fastbp.kernels import ACTIVATIONS
    from fastbp.kernels.graph import GraphBuilder, Group

    sizes = workload.trained_layer_sizes
    output, loss = OUTPUTS["binary" if workload.is_binary else workload.task]
    builder, node = GraphBuilder(sizes[0]), 0
    for number, (fan_in, fan_out) in enumerate(pairwise(sizes), 1):
        blocks = [("W", (fan_in, fan_out), Group(penalty=1.0)), ("b", (fan_out,), Group())]
        node = builder.emit("dense", node, fan_out, blocks=blocks)
        name = output if number == len(sizes) - 1 else activation
        if name != "identity":
            node = builder.emit("activation", node, fan_out, argument=ACTIVATIONS[name])
    parameters = initial_parameters(sizes, dtype)
    params = np.concatenate([*(W.ravel() for W, _ in parameters), *(b for _, b in parameters)])
    return builder.finish(), params, loss


def make_targets(workload, y, dtype):
    """The targets as the kernels take them.

    Parameters
    ----------
    workload : workloads.Workload
    y : ndarray
        See `data.make_data`.
    dtype : {"float32", "float64"}

    Returns
    -------
    Y, labels : ndarray or None
        One of them is None.
    """
    if workload.task == "regression" or workload.is_binary:
        return y.reshape(len(y), -1).astype(dtype), None
    return None, y


def step(workload, graph, params, loss):
    """Training by Adam on batches whose rows are given by an index, as in the estimators.

    Parameters
    ----------
    workload : workloads.Workload
    graph, params, loss
        See `make_network`.

    Returns
    -------
    callable
        ``run(n_steps)``.
    """
    from fastbp.kernels.data import Data
    from fastbp.kernels.dispatch import N_MEMORY
    from fastbp.kernels.plan import Plan
    from fastbp.kernels.program import TRAINING, Program
    from fastbp.kernels.training import COMPLETED, TrainingLoop

    X, y = make_data(replace(workload, n_samples=workload.batch_size), "float32")
    data = Data(X, *make_targets(workload, y, "float32"), None, workload.trained_layer_sizes[-1])
    program = Program(graph, params.dtype, TRAINING, raw=True, indexed=True)
    loop = TrainingLoop(Plan(program, params, loss, data, workload.batch_size))
    rows = np.random.RandomState(0).permutation(len(X))
    state = [np.zeros_like(params), np.zeros_like(params)]
    loop.set_optimizer([("adam", (0.9, 0.999, 1e-8))], [0] * len(graph.blocks), state, np.zeros((1, N_MEMORY)), 0, 1e-4)

    def train(n_steps):  # an epoch is one batch
        losses = np.empty(n_steps)
        done = loop.train(rows, None, 1.0, np.full(n_steps, 1e-3), losses)
        assert done == (n_steps, COMPLETED)

    return train


def predict(workload, graph, params, loss):
    """The forward pass of one row. The row's `Data` and the array for the result are made in each call.

    Parameters
    ----------
    workload : workloads.Workload
    graph, params, loss
        See `make_network`.

    Returns
    -------
    callable
        ``run(n_calls)``.
    """
    from fastbp.kernels.data import Data
    from fastbp.kernels.predictor import Predictor
    from fastbp.kernels.program import PREDICTION, Program

    X, _ = make_data(replace(workload, n_samples=workload.layer_sizes[-1]), "float32")
    row, n_outputs = X[:1], workload.trained_layer_sizes[-1]
    predictor = Predictor(Program(graph, params.dtype, PREDICTION), params)

    def call(n_calls):
        for _ in range(n_calls):
            predictor(Data(row, None, None, None, n_outputs), np.empty((1, n_outputs), np.float32))

    return call


def main(directory, *names):
    """Do the work and print the names of its sections.

    Parameters
    ----------
    directory : str
        Contains the package fastbp.
    *names : str
        Workloads.
    """
    import_kernels(directory)
    gc.disable()
    for name in names:
        workload = WORKLOADS[name]
        for prepare in (step, predict):
            work = prepare(workload, *make_network(workload))
            first, *lengths = REPETITIONS[prepare.__name__]
            work(first)
            for length in lengths:
                mark()
                work(length)
                mark()
                print(name, prepare.__name__, length, flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
