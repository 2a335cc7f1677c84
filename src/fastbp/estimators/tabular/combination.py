"""How the predictions of members become one: weights, temperature, and what the out-of-bag rows tell of them.

A candidate is one of the settings of the members: see `out_of_bag.py`.
"""

import numpy as np
from scipy.optimize import minimize, minimize_scalar
from scipy.special import log_softmax, softmax

#: Bounds of the temperature
TEMPERATURES = (0.2, 5.0)
#: The logarithm of a temperature has a normal prior with the variance 1/10
PRECISION = 10.0
#: Candidates of a smaller weight are left out
SMALLEST_WEIGHT = 0.03


def n_effective(n, sample_weight):
    """How many rows of equal weight tell as much: ``(sum w)**2 / sum w**2`` (Kish, 1965, Survey sampling)."""
    if sample_weight is None:
        return n
    w = sample_weight / sample_weight.max()  # whose squares are neither too large nor too small
    return w.sum() ** 2 / (w**2).sum()


def mixture_weights(predictions, loss, n):
    """Weights of the candidates: the maximum of the posterior with the log-likelihood ``-n loss`` and a Dirichlet prior
    of the concentrations 2, ``log p(w) = sum_k log w_k``. With few rows they stay near those of a plain mean.

    Parameters
    ----------
    predictions : ndarray of shape (n_candidates, n_rows, n_outputs)
    loss : callable
        Of the predictions of shape (n_rows, n_outputs): minus the mean log-likelihood.
    n : float
        Rows, or their effective number.

    Returns
    -------
    ndarray of shape (n_candidates,)
        The sum is 1. A weight below `SMALLEST_WEIGHT` is 0.
    """
    n_candidates = len(predictions)
    if n_candidates == 1:
        return np.ones(1)

    def negative_log_posterior(z):
        return n * loss(np.tensordot(softmax(z), predictions, 1)) - log_softmax(z).sum()

    start = np.zeros(n_candidates)
    weights = softmax(minimize(negative_log_posterior, start, method="BFGS", options={"gtol": 1e-3 * n_candidates}).x)
    weights[weights < SMALLEST_WEIGHT] = 0
    return weights / weights.sum()


def log_loss(probabilities, labels, sample_weight):
    """Mean of ``-log p`` of the classes that the rows have.

    Parameters
    ----------
    probabilities : ndarray of shape (n, n_classes)
    labels : ndarray of int of shape (n,)
    sample_weight : ndarray of shape (n,) or None

    Returns
    -------
    float
    """
    own = probabilities[np.arange(len(labels)), labels]
    return -np.average(np.log(np.maximum(own, np.finfo(np.float32).tiny)), weights=sample_weight)


def tempered(probabilities, temperature):
    """Probabilities ``p^(1/T) / sum p^(1/T)``: those of the logits divided by T (Guo, Pleiss, Sun and Weinberger, 2017,
    On calibration of modern neural networks, ICML, section 4.2).

    Parameters
    ----------
    probabilities : ndarray of shape (n, n_classes)
    temperature : float

    Returns
    -------
    ndarray of shape (n, n_classes)
    """
    if temperature == 1:
        return probabilities
    powers = probabilities / probabilities.max(axis=1, keepdims=True)
    powers **= 1 / temperature
    powers /= powers.sum(axis=1, keepdims=True)
    return powers


def best_temperature(probabilities, labels, sample_weight):
    """The temperature T with the largest posterior, within `TEMPERATURES`. The prior of log T is normal, so that few
    rows, all of which are predicted well, do not make T very small.

    Parameters
    ----------
    probabilities : ndarray of shape (n, n_classes)
        Out of bag.
    labels : ndarray of int of shape (n,)
    sample_weight : ndarray of shape (n,) or None

    Returns
    -------
    float
    """
    n = n_effective(len(labels), sample_weight)
    found = minimize_scalar(
        lambda log_t: (
            n * log_loss(tempered(probabilities, np.exp(log_t)), labels, sample_weight) + PRECISION / 2 * log_t**2
        ),
        bounds=np.log(TEMPERATURES),
        method="bounded",
    )
    return float(np.exp(found.x))


def without_smoothing(probabilities, label_smoothing):
    """Probabilities of a model that was trained on smoothed labels, without the share that the smoothing adds to each:
    ``max(p - eps / C, 0.1 eps / C)``, and the sum 1 again.

    With a label smoothing of eps, the probabilities that minimize the loss are ``(1 - eps) p + eps / C`` of those, p,
    without; what is left below a tenth of the share counts as this tenth.

    Parameters
    ----------
    probabilities : ndarray of shape (n, n_classes)
        Overwritten.
    label_smoothing : float

    Returns
    -------
    ndarray of shape (n, n_classes)
    """
    if label_smoothing == 0:
        return probabilities
    share = label_smoothing / probabilities.shape[1]
    np.maximum(probabilities - share, 0.1 * share, out=probabilities)
    probabilities /= probabilities.sum(axis=1, keepdims=True)
    return probabilities
