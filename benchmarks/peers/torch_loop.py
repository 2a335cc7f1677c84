"""PyTorch as one would write it for a small table: tensors in memory, no DataLoader.

The indices are permuted once an epoch and sliced into batches. There is no L2 penalty and no loss curve, which the
estimators compute: the peer has less work than they have.
"""

import torch
from torch import nn

from data import initial_parameters, make_data
from peers import time_calls
from peers.torch_options import ACTIVATIONS, OPTIONS, Residual


def make_network(workload, dtype):
    """Build the multi-layer perceptron, without an activation after the last layer.

    Parameters
    ----------
    workload : workloads.Workload
        The layers, their activation and an option of training.
    dtype : {"float32", "float64"}
        Type of the parameters.

    Returns
    -------
    torch.nn.Sequential
    """
    option, activation = OPTIONS[workload.option], ACTIVATIONS[workload.activation]
    *hidden, n_outputs = workload.trained_layer_sizes
    parameters = initial_parameters((*hidden, n_outputs * option.output_factor), dtype)
    modules = list(option.first)
    for number, (W, b) in enumerate(parameters):
        linear = nn.Linear(*W.shape, dtype=getattr(torch, dtype))
        with torch.no_grad():
            linear.weight.copy_(torch.from_numpy(W.T))
            linear.bias.copy_(torch.from_numpy(b))
        if number == len(parameters) - 1:
            modules.append(linear)
            break
        layer = [linear, *option.hidden(len(b), activation)]
        is_between_equals = number > 0 and len(b) == len(W)
        modules += [Residual(layer)] if option.residual and is_between_equals else layer
    return nn.Sequential(*modules).to(getattr(torch, dtype))


def make_loss(workload):
    """The mean loss of a task, or that of the option of training."""
    option = OPTIONS[workload.option]
    if option.loss:
        return option.loss
    if workload.task == "regression":
        return nn.MSELoss()
    return nn.BCEWithLogitsLoss() if workload.is_binary else nn.CrossEntropyLoss()


def train(package, workload, dtype):
    """Prepare a training loop of a given number of epochs.

    Parameters
    ----------
    package : str
        Not used.
    workload : workloads.Workload
        Shapes, task and option of training.
    dtype : {"float32", "float64"}
        Type of the data and of the parameters.

    Returns
    -------
    callable
        ``run(epochs)``.
    """
    X, y = map(torch.from_numpy, make_data(workload, dtype))
    if workload.task == "regression":
        y = y.reshape(len(y), -1)
    elif workload.is_binary:
        y = y.to(X.dtype).reshape(-1, 1)
    option, loss_function = OPTIONS[workload.option], make_loss(workload)
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
        optimizers = option.optimizers(network)
        n_steps = epochs * workload.steps_per_epoch
        schedules = [option.schedule(optimizer, n_steps) for optimizer in optimizers] if option.schedule else []
        after_step = option.after_step(network) if option.after_step else None
        for _ in range(epochs):
            for batch in batches():
                X_batch, y_batch = option.mix(*batch) if option.mix else batch
                for optimizer in optimizers:
                    optimizer.zero_grad()
                loss = loss_function(network(X_batch), y_batch)
                if option.penalty:
                    loss = loss + option.penalty(network)
                loss.backward()
                if option.before_step:
                    option.before_step(network)
                for step in (*optimizers, *schedules):
                    step.step()
                if after_step:
                    after_step()

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
