"""The L2 penalty, a part of the loss summed over the rows::

    alpha / 2 * sum of squared weights        its gradient: alpha * weights

The mean loss divides both by the sum of the sample weights, like the losses of the rows. Biases have no penalty.
"""


def l2_penalty(alpha, weights):
    """The penalty on some weights.

    Parameters
    ----------
    alpha : float
    weights : ndarray of shape (n,)

    Returns
    -------
    float
    """
    return 0.5 * alpha * float(weights @ weights) if alpha else 0.0


def l2_gradient(alpha, weights):
    """The gradient of the penalty, and its change when the weights change by `weights`.

    Parameters
    ----------
    alpha : float
    weights : ndarray

    Returns
    -------
    ndarray of the shape and dtype of `weights`
    """
    return weights.dtype.type(alpha) * weights
