"""The penalties, a part of the loss summed over the rows::

    alpha / 2 * sum of squared weights        its gradient: alpha * weights
    l1 * sum of absolute weights              its subgradient: l1 * sign(weights), 0 at 0

The mean loss divides them by the sum of the sample weights, like the losses of the rows. Biases have no penalty.
"""

import numpy as np


def penalty_of(alpha, l1, weights):
    """The penalty on some weights.

    Parameters
    ----------
    alpha, l1 : float
    weights : ndarray of shape (n,)

    Returns
    -------
    float
    """
    squares = 0.5 * alpha * float(weights @ weights) if alpha else 0.0
    return squares + l1 * float(np.abs(weights).sum()) if l1 else squares


def penalty_gradient(alpha, l1, weights):
    """The gradient of the penalty on some weights.

    Parameters
    ----------
    alpha, l1 : float
    weights : ndarray of shape (n,)

    Returns
    -------
    ndarray of the shape and dtype of `weights`
    """
    gradient = penalty_gradient_change(alpha, weights)
    return gradient + weights.dtype.type(l1) * np.sign(weights) if l1 else gradient


def penalty_gradient_change(alpha, change):
    """How much the gradient changes when the weights change; l1 adds nothing while no weight changes its sign.

    Parameters
    ----------
    alpha : float
    change : ndarray of shape (n,)

    Returns
    -------
    ndarray of the shape and dtype of `change`
    """
    return change.dtype.type(alpha) * change
