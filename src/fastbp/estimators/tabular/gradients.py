"""Derivatives of what an ensemble predicts with respect to its columns: the chain rule from the members' Jacobians."""

import numpy as np


def of_both_classes(jacobian):
    """Of the two probabilities 1 - a and a, where a member with two classes has the output a.

    Parameters
    ----------
    jacobian : ndarray of shape (n, n_outputs, n_columns)

    Returns
    -------
    ndarray of shape (n, n_classes, n_columns)
    """
    return np.concatenate([-jacobian, jacobian], axis=1) if jacobian.shape[1] == 1 else jacobian


def of_normalized(jacobian, values):
    """Of values divided by their sum: ``(dv_c - p_c * sum_k dv_k) / sum_k v_k`` with ``p = v / sum_k v_k``.

    Parameters
    ----------
    jacobian : ndarray of shape (n, n_classes, n_columns)
        Of the values.
    values : ndarray of shape (n, n_classes)

    Returns
    -------
    ndarray of shape (n, n_classes, n_columns)
    """
    total = values.sum(axis=1)[:, None, None]
    p = values[:, :, None] / total
    return (jacobian - p * jacobian.sum(axis=1, keepdims=True)) / total


def of_unsmoothed(jacobian, probabilities, label_smoothing):
    """Of `without_smoothing` (combination.py).

    Parameters
    ----------
    jacobian : ndarray of shape (n, n_classes, n_columns)
        Of the member's probabilities.
    probabilities : ndarray of shape (n, n_classes)
        The member's.
    label_smoothing : float

    Returns
    -------
    ndarray of shape (n, n_classes, n_columns)
    """
    if label_smoothing == 0:
        return jacobian
    share = label_smoothing / probabilities.shape[1]
    rest = probabilities - share
    is_above = rest > 0.1 * share
    return of_normalized(np.where(is_above[:, :, None], jacobian, 0), np.where(is_above, rest, 0.1 * share))


def of_tempered(jacobian, probabilities, temperature):
    """Of `tempered` (combination.py): ``dt_c = t_c / T * (dp_c / p_c - sum_k t_k dp_k / p_k)``.

    Parameters
    ----------
    jacobian : ndarray of shape (n, n_classes, n_columns)
        Of the probabilities p.
    probabilities : ndarray of shape (n, n_classes)
        p.
    temperature : float
        T.

    Returns
    -------
    ndarray of shape (n, n_classes, n_columns)
    """
    if temperature == 1:
        return jacobian
    smallest = np.finfo(np.float64).tiny
    logarithmic = jacobian / np.maximum(probabilities, smallest)[:, :, None]
    powers = (probabilities / probabilities.max(axis=1, keepdims=True)) ** (1 / temperature)
    t = (powers / powers.sum(axis=1, keepdims=True))[:, :, None]
    return t / temperature * (logarithmic - (t * logarithmic).sum(axis=1, keepdims=True))
