"""Initial weights.

A new initializer is one function here and one entry in ``INITIALIZERS``.
"""

import numpy as np
from sklearn.utils import check_random_state

from fastbp.kernels.shuffling import uniform


def glorot_uniform(fan_in, fan_out, activation, random_state):
    """Uniform in [-b, b], b = sqrt(6 / (fan_in + fan_out)); sqrt(2 / ...) for the logistic activation.

    Parameters
    ----------
    fan_in, fan_out : int
    activation : str or None
        The activation of the hidden layers, which determines the bound of all layers, the output layer included, also
        where there is no hidden layer.
    random_state : RandomState

    Returns
    -------
    W : ndarray of shape (fan_in, fan_out), float64
    b : ndarray of shape (fan_out,), float64

    References
    ----------
    Glorot and Bengio (2010), Understanding the difficulty of training deep feedforward neural networks, eq. 16.
    The order of the draws, the bound of the logistic function and the random intercepts are scikit-learn's.
    """
    bound = np.sqrt((2 if activation == "logistic" else 6) / (fan_in + fan_out))
    return uniform(random_state, -bound, bound, (fan_in, fan_out)), uniform(random_state, -bound, bound, fan_out)


INITIALIZERS = {"glorot_uniform": glorot_uniform}


def legacy_generator(random_state):
    """The RandomState to draw from: scikit-learn's ``check_random_state``, for a Generator too.

    Parameters
    ----------
    random_state : int, RandomState, Generator or None
        Of a Generator, the bit generator is used: the Generator continues after these draws.

    Returns
    -------
    RandomState
    """
    if isinstance(random_state, np.random.Generator):
        return np.random.RandomState(random_state.bit_generator)
    return check_random_state(random_state)
