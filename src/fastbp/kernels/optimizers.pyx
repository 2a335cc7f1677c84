"""Public functions that update weights by their gradient (`optimizers.h`).

    sgd     v = momentum v - eta g;  w += v,  or with Nesterov's look-ahead  w += momentum v - eta g
    adam    m = beta_1 m + (1 - beta_1) g;  v = beta_2 v + (1 - beta_2) g^2
            w -= eta sqrt(1 - beta_2^t) / (1 - beta_1^t) m / (sqrt(v) + epsilon)

Sutskever, Martens, Dahl and Hinton (2013), On the importance of initialization and momentum in deep learning;
Kingma and Ba (2015), Adam: a method for stochastic optimization.
"""

from fastbp.kernels.dispatch cimport MAX_STATES, kernels_for, optimizer_t

from fastbp.kernels._arguments import as_input, as_output
from fastbp.kernels.dispatch import OPTIMIZERS

ctypedef fused real:
    float
    double


def _apply(name, constants, double learning_rate, long long step, const real[::1] g, real[::1] w, list states):
    """Step number `step`, counted from 1, of an optimizer."""
    cdef optimizer_t optimizer
    cdef void *pointers[MAX_STATES]
    cdef real[::1] state
    cdef int i
    optimizer.kind, optimizer.learning_rate = OPTIMIZERS[name], learning_rate
    for i, constant in enumerate(constants):
        optimizer.constant[i] = constant
    if g.shape[0]:
        for i, array in enumerate(states):
            state = array
            pointers[i] = &state[0]
        with nogil:
            kernels_for(real is double).prepare_optimizer(&optimizer, step)
            kernels_for(real is double).apply_update(&optimizer, &g[0], &w[0], pointers, g.shape[0])


def checked(g, w, states):
    """The gradient as an input, the weights and states as outputs of the same shape and dtype."""
    g = as_input("g", g, 1)
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
    _apply("sgd", (momentum, nesterov), learning_rate, 1, g, w, [velocity])


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
    _apply("adam", (beta_1, beta_2, epsilon), learning_rate, t, g, w, [m, v])
