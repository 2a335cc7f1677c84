"""Public functions that update weights by their gradient (`optimizers.h`).

    sgd     v = momentum v - eta g;  w += v,  or with Nesterov's look-ahead  w += momentum v - eta g
    adam    m = beta_1 m + (1 - beta_1) g;  v = beta_2 v + (1 - beta_2) g^2
            w -= eta sqrt(1 - beta_2^t) / (1 - beta_1^t) m / (sqrt(v) + epsilon)
    others  see the classes of `fastbp.optimizers`

Sutskever, Martens, Dahl and Hinton (2013), On the importance of initialization and momentum in deep learning;
Kingma and Ba (2015), Adam: a method for stochastic optimization.
"""

import numpy as np

from fastbp.kernels.dispatch cimport MAX_MEMORY, MAX_STATES, kernels_for, kernels_t, optimizer_t

from fastbp.kernels._arguments import as_input, as_output, check_name
from fastbp.kernels.dispatch import N_MEMORY, N_STATES, OPTIMIZER_CONSTANTS, OPTIMIZERS

ctypedef fused real:
    float
    double


def _apply(name, constants, double learning_rate, long long step, const real[:, ::1] g, real[:, ::1] w, states,
           double[::1] memory):
    """Step number `step`, counted from 1, of an optimizer."""
    cdef long long phase, rows = g.shape[0], cols = g.shape[1]
    cdef real[:, ::1] direction
    cdef optimizer_t optimizer
    cdef const kernels_t *kernels = kernels_for(real is double)
    cdef void *pointers[MAX_STATES]
    cdef real[:, ::1] state
    cdef real[::1] scratch
    cdef int i
    optimizer.kind, optimizer.learning_rate, optimizer.memory = OPTIMIZERS[name], learning_rate, &memory[0]
    for i, constant in enumerate(constants):
        optimizer.constant[i] = constant
    for i in range(MAX_MEMORY):
        optimizer.next_memory[i] = memory[i]
    if g.size:
        for i, array in enumerate(states):
            state = array
            pointers[i] = &state[0, 0]
        scratch = np.empty(max(kernels.transform_scratch(&optimizer, rows, cols), 1), g.base.dtype)
        direction = np.array(g)
        with nogil:
            kernels.prepare_optimizer(&optimizer, step)
            for phase in range(kernels.transform_phases(&optimizer)):
                kernels.transform(&optimizer, phase, &direction[0, 0], pointers, rows, cols, &scratch[0])
            kernels.apply_update(&optimizer, &direction[0, 0], &w[0, 0], pointers, rows * cols)
        for i in range(MAX_MEMORY):
            memory[i] = optimizer.next_memory[i]


def checked(g, w, states, ndim=1):
    """The gradient as an input, the weights and states as outputs of the same shape and dtype."""
    g = as_input("g", g, ndim)
    outputs = []
    for name, array in [("w", w), *states]:
        outputs.append(as_output(name, check_given(name, array), g.shape, g.dtype, (g, *outputs)))
    return g, outputs[0], outputs[1:]


def check_given(name, array):
    """None is no array to overwrite."""
    if array is None:
        raise TypeError(f"{name} must be a numpy.ndarray to overwrite, got None")
    return array


def sgd_update(g, w, velocity, *, learning_rate, momentum=0.9, nesterov=True):
    """One step of gradient descent with momentum.

    Parameters
    ----------
    g : array-like of shape (n,), float32 or float64
        Gradient.
    w, velocity : ndarray of shape (n,)
        Overwritten.
    learning_rate, momentum : float
    nesterov : bool
    """
    g, w, (velocity,) = checked(g, w, [("velocity", velocity)])
    _apply("sgd", (momentum, nesterov), learning_rate, 1, g[None], w[None], [velocity[None]], np.zeros(N_MEMORY))


def adam_update(g, w, m, v, t, *, learning_rate=0.001, beta_1=0.9, beta_2=0.999, epsilon=1e-8):
    """Step number `t` (from 1) of Adam.

    Parameters
    ----------
    g : array-like of shape (n,), float32 or float64
        Gradient.
    w, m, v : ndarray of shape (n,)
        Weights and the moving averages of the gradient and of its square; overwritten.
    t : int
        Steps taken, this one included.
    learning_rate, beta_1, beta_2, epsilon : float
    """
    if t < 1:
        raise ValueError(f"t counts the steps including this one and must be at least 1, got {t}")
    g, w, (m, v) = checked(g, w, [("m", m), ("v", v)])
    _apply("adam", (beta_1, beta_2, epsilon), learning_rate, t, g[None], w[None], [m[None], v[None]],
           np.zeros(N_MEMORY))


def optimizer_update(optimizer, g, w, states, *, learning_rate, constants, step=1, memory=None):
    """One step of any optimizer for a matrix of weights.

    Parameters
    ----------
    optimizer : str
        A name in ``fastbp.kernels.OPTIMIZERS``.
    g : array-like of shape (rows, cols), float32 or float64
        Gradient.
    w : ndarray of shape (rows, cols)
        Overwritten.
    states : sequence of ndarray of shape (rows, cols)
        As many as ``fastbp.kernels.dispatch.N_STATES`` says; zero before the first step. Overwritten.
    learning_rate : float
    constants : dict of str to float
        With the names in ``fastbp.kernels.dispatch.OPTIMIZER_CONSTANTS``.
    step : int
        Number of the step, counted from 1.
    memory : ndarray of float64 of shape (N_MEMORY,) or None
        What ``nadam`` and ``schedule_free`` keep from step to step besides; zero before the first step. Overwritten.
        N_MEMORY is in ``fastbp.kernels.dispatch``. None: zeros.
    """
    check_name("optimizer", optimizer, OPTIMIZERS)
    names, n_states = OPTIMIZER_CONSTANTS[optimizer], N_STATES[optimizer]
    if set(constants) != set(names):
        raise ValueError(f"constants of {optimizer} must be {', '.join(names)}; got {', '.join(constants)}")
    if len(states) != n_states:
        raise ValueError(f"{optimizer} has {n_states} states, got {len(states)}")
    if step < 1:
        raise ValueError(f"step counts the steps including this one and must be at least 1, got {step}")
    g, w, states = checked(g, w, [(f"states[{i}]", state) for i, state in enumerate(states)], 2)
    memory = np.zeros(N_MEMORY) if memory is None else memory
    memory = as_output("memory", memory, (N_MEMORY,), np.dtype(np.float64), (g, w, *states))
    _apply(optimizer, [constants[name] for name in names], learning_rate, step, g, w, states, memory)
