"""The losses of classes and labels."""

import numpy as np

from fastbp.losses.base import PROBABILITIES, Loss
from fastbp.parametrized import parametrized


@parametrized
class LogLoss(Loss):
    """The log-loss of several classes, or cross-entropy, ``-sum_j y_j log(a_j)`` with the probabilities ``a`` of a row.

    With an output other than softmax it stands for `BinaryLogLoss`.

    References
    ----------
    Bishop (2006), Pattern Recognition and Machine Learning, eq. 4.108.

    Examples
    --------
    >>> from fastbp.losses import LogLoss
    >>> LogLoss().link
    'softmax'
    """

    name = "log_loss"
    domain = PROBABILITIES
    mean_domain = PROBABILITIES

    def is_clipped(self, y: np.ndarray, a: np.ndarray) -> np.ndarray:
        """Where the probability of a class that occurs is below eps.

        Parameters
        ----------
        y, a : ndarray of shape (n, n_outputs)

        Returns
        -------
        ndarray of bool of shape (n,)
        """
        eps = np.finfo(a.dtype).eps
        return ((y > 0) & (a <= eps)).any(axis=1)


@parametrized
class BinaryLogLoss(Loss):
    """The log-loss of labels that are there or not, ``-sum_j (y_j log(a_j) + (1 - y_j) log(1 - a_j))``.

    References
    ----------
    Bishop (2006), Pattern Recognition and Machine Learning, eq. 4.90.

    Examples
    --------
    >>> from fastbp.losses import BinaryLogLoss
    >>> BinaryLogLoss().link
    'logistic'
    """

    name = "binary_log_loss"
    domain = PROBABILITIES
    mean_domain = PROBABILITIES

    def is_clipped(self, y: np.ndarray, a: np.ndarray) -> np.ndarray:
        """Where a label occurs with a probability below eps, or does not with one above 1 - eps.

        Parameters
        ----------
        y, a : ndarray of shape (n, n_outputs)

        Returns
        -------
        ndarray of bool of shape (n,)
        """
        eps = np.finfo(a.dtype).eps
        return (((y > 0) & (a <= eps)) | ((y < 1) & (a >= 1 - eps))).any(axis=1)
