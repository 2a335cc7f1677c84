"""JAX with one compiled call for each epoch: a `lax.scan` over the batches, with Adam as a function.

The scan needs batches of equal size. The short last batch of an epoch is one more step in the same compiled function,
so that the numbers of steps and samples are those of the other contenders. NumPy draws the permutation, because
`jax.random` sorts for it, which costs several times as much on a CPU. If a step takes all rows, which are not shuffled
then, one compiled call does all epochs. Parameters and moments are donated, so that they are updated in place. There is
no L2 penalty and no loss curve, which the estimators compute: the peer has less work than they have.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np

from data import initial_parameters, make_data
from peers import time_calls

ACTIVATIONS = {"relu": jax.nn.relu, "tanh": jnp.tanh, "logistic": jax.nn.sigmoid}


def forward(activation, parameters, X):
    """Compute the output before softmax or logistic, shape (n, n_outputs)."""
    *hidden, (W, b) = parameters
    A = X
    for W_hidden, b_hidden in hidden:
        A = activation(A @ W_hidden + b_hidden)
    return A @ W + b


def squared_error(z, y):
    """Mean squared error."""
    return jnp.mean((z - y.reshape(z.shape)) ** 2)


def binary_log_loss(z, y):
    """Mean of log(1 + eᶻ) − y·z."""
    return jnp.mean(jax.nn.softplus(z[:, 0]) - y * z[:, 0])


def multiclass_log_loss(z, y):
    """Mean of −log softmax(z)[y], with y as one-hot rows, because the gradient of an indexed read is a slow scatter."""
    one_hot = jax.nn.one_hot(y, z.shape[1], dtype=z.dtype)
    return -jnp.mean(jnp.sum(one_hot * jax.nn.log_softmax(z), axis=1))


def adam(parameters, gradients, m, v, t):
    """One step of Adam (Kingma and Ba 2015, section 2's efficient form), t counted from 1."""
    learning_rate, beta_1, beta_2, epsilon = 1e-3, 0.9, 0.999, 1e-8
    m = jax.tree.map(lambda m, g: beta_1 * m + (1 - beta_1) * g, m, gradients)
    v = jax.tree.map(lambda v, g: beta_2 * v + (1 - beta_2) * g * g, v, gradients)
    # t is a 32-bit integer; the power is taken in the type of the parameters.
    t = t.astype(jax.tree.leaves(parameters)[0].dtype)
    rate = learning_rate * jnp.sqrt(1 - beta_2**t) / (1 - beta_1**t)
    update = jax.tree.map(lambda m, v: rate * m / (jnp.sqrt(v) + epsilon), m, v)
    return jax.tree.map(jnp.subtract, parameters, update), m, v


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
    jax.config.update("jax_enable_x64", dtype == "float64")
    X, y = map(jnp.asarray, make_data(workload, dtype))
    if workload.task == "regression":
        loss = squared_error
    else:
        loss = binary_log_loss if workload.is_binary else multiclass_log_loss
    n, batch_size = workload.n_samples, workload.batch_size
    n_full = n - n % batch_size
    activation = ACTIVATIONS[workload.activation]

    def step(X_batch, y_batch, state):
        parameters, m, v, t = state
        gradients = jax.grad(lambda p: loss(forward(activation, p, X_batch), y_batch))(parameters)
        return (*adam(parameters, gradients, m, v, t + 1), t + 1)

    @functools.partial(jax.jit, donate_argnums=0)
    def epoch(state, X, y, permutation):
        batches = permutation[:n_full].reshape(-1, batch_size)
        state, _ = jax.lax.scan(lambda s, batch: (step(X[batch], y[batch], s), None), state, batches)
        rest = permutation[n_full:]
        return step(X[rest], y[rest], state) if n_full < n else state

    @functools.partial(jax.jit, donate_argnums=0)
    def full_batch_epochs(state, X, y, epochs):
        return jax.lax.fori_loop(0, epochs, lambda _, state: step(X, y, state), state)

    def run(epochs):
        rng = np.random.default_rng(0)
        initial = initial_parameters(workload.trained_layer_sizes, dtype)
        parameters = jax.tree.map(jnp.array, initial)
        m, v = (jax.tree.map(jnp.zeros_like, parameters) for _ in range(2))
        state = (parameters, m, v, jnp.zeros((), jnp.int32))
        if workload.is_full_batch:
            state = full_batch_epochs(state, X, y, epochs)
        else:
            for _ in range(epochs):
                state = epoch(state, X, y, rng.permutation(n).astype(np.int32))
        jax.block_until_ready(state)

    return run


def predict(package, workload, dtype):
    """Prepare predictions of the class of all rows, which are JAX arrays already.

    Parameters
    ----------
    package, workload, dtype
        As for `train`.

    Returns
    -------
    callable
        ``run(calls)``.
    """
    jax.config.update("jax_enable_x64", dtype == "float64")
    activation = ACTIVATIONS[workload.activation]
    X = jnp.asarray(make_data(workload, dtype)[0])
    parameters = jax.tree.map(jnp.array, initial_parameters(workload.trained_layer_sizes, dtype))
    classes = jax.jit(lambda parameters, X: jnp.argmax(forward(activation, parameters, X), axis=1))

    def run(calls):
        for _ in range(calls):
            np.asarray(classes(parameters, X))

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
    jax.config.update("jax_enable_x64", dtype == "float64")
    X = make_data(workload, dtype)[0]
    parameters = jax.tree.map(jnp.array, initial_parameters(workload.trained_layer_sizes, dtype))
    output = jax.jit(functools.partial(forward, ACTIVATIONS[workload.activation]))
    return time_calls(lambda: np.asarray(output(parameters, X)))
