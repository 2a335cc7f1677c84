"""PyTorch as one would write it for a small table: tensors in memory, no DataLoader.

The indices are permuted once an epoch and sliced into batches. There is no L2 penalty and no loss curve, which the
estimators compute: the peer has less work than they have.
"""

import itertools

import torch
from torch import nn

from data import initial_parameters, make_data
from peers import time_calls

ACTIVATIONS = {"relu": nn.ReLU, "tanh": nn.Tanh}


def make_network(workload, dtype):
    """Build the multi-layer perceptron, without an activation after the last layer.

    Parameters
    ----------
    workload : workloads.Workload
        The layers and their activation.
    dtype : {"float32", "float64"}
        Type of the parameters.

    Returns
    -------
    torch.nn.Sequential
    """
    modules = []
    for W, b in initial_parameters(workload.trained_layer_sizes, dtype):
        linear = nn.Linear(*W.shape, dtype=getattr(torch, dtype))
        with torch.no_grad():
            linear.weight.copy_(torch.from_numpy(W.T))
            linear.bias.copy_(torch.from_numpy(b))
        modules += [linear, ACTIVATIONS[workload.activation]()]
    return nn.Sequential(*modules[:-1])


def make_adam(parameters):
    """Make the fused Adam if this build of PyTorch has it for the type, otherwise the plain one."""
    parameters = list(parameters)
    try:
        return torch.optim.Adam(parameters, lr=1e-3, fused=True)
    except (RuntimeError, TypeError):
        return torch.optim.Adam(parameters, lr=1e-3)


def train(package, workload, dtype):
    """Prepare a training loop of a given number of epochs.

    Parameters
    ----------
    package : str
        Not used.
    workload : workloads.Workload
        Shapes and task.
    dtype : {"float32", "float64"}
        Type of the data and of the parameters.

    Returns
    -------
    callable
        ``run(epochs)``.
    """
    X, y = map(torch.from_numpy, make_data(workload, dtype))
    if workload.task == "regression":
        loss_function, y = nn.MSELoss(), y.reshape(len(y), -1)
    elif workload.is_binary:
        loss_function, y = nn.BCEWithLogitsLoss(), y.to(X.dtype).reshape(-1, 1)
    else:
        loss_function = nn.CrossEntropyLoss()
    n, batch_size = workload.n_samples, workload.batch_size

    def batches():
        if workload.is_full_batch:
            yield X, y
            return
        permutation = torch.randperm(n)
        for start in range(0, n, batch_size):
            batch = permutation[start : start + batch_size]
            yield X[batch], y[batch]

    def run(epochs):
        network = make_network(workload, dtype)
        optimizer = make_adam(network.parameters())
        for _ in itertools.repeat(None, epochs):
            for X_batch, y_batch in batches():
                optimizer.zero_grad()
                loss_function(network(X_batch), y_batch).backward()
                optimizer.step()

    return run


def predict(package, workload, dtype):
    """Prepare predictions of the class of all rows, which are a tensor already.

    Parameters
    ----------
    package, workload, dtype
        As for `train`.

    Returns
    -------
    callable
        ``run(calls)``.
    """
    X, network = torch.from_numpy(make_data(workload, dtype)[0]), make_network(workload, dtype)

    @torch.inference_mode()
    def run(calls):
        for _ in range(calls):
            network(X).argmax(1).numpy()

    return run


def predict_row(package, workload, dtype):
    """Prepare predictions for one row, from NumPy array to NumPy array, each timed by itself.

    Parameters
    ----------
    package, workload, dtype
        As for `train`.

    Returns
    -------
    callable
        ``run(calls)``.
    """
    X, network = make_data(workload, dtype)[0], make_network(workload, dtype)

    @torch.inference_mode()
    def call():
        return network(torch.from_numpy(X)).numpy()

    return time_calls(call)
