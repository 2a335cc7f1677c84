"""How the predictions of members become one: weights, temperature, and what the out-of-bag rows tell of them.

A candidate is one of the settings of the members: see `out_of_bag.py`.
"""

import numpy as np
from scipy.optimize import minimize_scalar

#: Rounds of the greedy selection
ROUNDS = 25
#: Bounds of the temperature
TEMPERATURES = (0.25, 4.0)


def greedy_weights(predictions, loss):
    """Weights of the candidates by greedy selection with replacement (Caruana, Niculescu-Mizil, Crew and Ksikes, 2004,
    Ensemble selection from libraries of models, ICML, sections 2.1 and 2.2).

    In each round, the candidate is added with which the mean of all that were added has the smallest loss. The weights
    are the shares of the candidates after the best round.

    Parameters
    ----------
    predictions : ndarray of shape (n_candidates, n, n_outputs)
    loss : callable
        Of the predictions of shape (n, n_outputs): a number.

    Returns
    -------
    ndarray of shape (n_candidates,)
        The sum is 1.
    """
    counts, total = np.zeros(len(predictions)), np.zeros(predictions.shape[1:])
    best, best_counts = np.inf, np.ones(len(predictions))
    for size in range(1, 1 + (ROUNDS if len(predictions) > 1 else 0)):
        losses = [loss((total + one) / size) for one in predictions]
        chosen = int(np.argmin(losses))
        counts[chosen] += 1
        total += predictions[chosen]
        if losses[chosen] < best:
            best, best_counts = losses[chosen], counts.copy()
    return best_counts / best_counts.sum()


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
    """The temperature with the smallest log-loss, within `TEMPERATURES`.

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
    found = minimize_scalar(
        lambda log_t: log_loss(tempered(probabilities, np.exp(log_t)), labels, sample_weight),
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
