"""Losses as user-defined functions, and the built-in pair of loss and output activation that each must equal."""

import numpy as np
from scipy.special import expit, log_softmax, xlogy


def weighted(loss, gradient, sample_weight):
    """Both times the sample weights, where there are any."""
    if sample_weight is None:
        return loss, gradient
    return loss * sample_weight, gradient * sample_weight[:, None]


def squared_error(y_true, raw_prediction, sample_weight):
    difference = raw_prediction - y_true
    return weighted((difference * difference * 0.5).sum(axis=1), difference, sample_weight)


def poisson(y_true, raw_prediction, sample_weight):
    """Half the deviance, of e to the raw prediction."""
    mean = np.exp(raw_prediction)
    return weighted((xlogy(y_true, y_true / mean) - y_true + mean).sum(axis=1), mean - y_true, sample_weight)


def binary_log_loss(y_true, raw_prediction, sample_weight):
    # log(1 + e^z) - y z
    loss = (np.logaddexp(0, raw_prediction) - y_true * raw_prediction).sum(axis=1)
    return weighted(loss, expit(raw_prediction) - y_true, sample_weight)


def log_loss(y_true, raw_prediction, sample_weight):
    log_p = log_softmax(raw_prediction, axis=1)
    return weighted(-(y_true * log_p).sum(axis=1), np.exp(log_p) - y_true, sample_weight)


def exponential_squared_error(y_true, raw_prediction, sample_weight):
    """The squared error of e to the raw prediction."""
    a = np.exp(raw_prediction)
    return weighted(((a - y_true) ** 2 / 2).sum(axis=1), (a - y_true) * a, sample_weight)


class Pinball:
    """The quantile loss, as an object with a parameter."""

    def __init__(self, quantile=0.5):
        self.quantile = quantile

    def __call__(self, y_true, raw_prediction, sample_weight):
        above = y_true > raw_prediction
        slope = np.where(above, -self.quantile, 1 - self.quantile)
        return weighted((slope * (raw_prediction - y_true)).sum(axis=1), slope, sample_weight)


class Recording:
    """A loss that records its arguments, and can call a function at its k-th call."""

    def __init__(self, function, call_number=None, action=None):
        self.function, self.call_number, self.action = function, call_number, action
        self.calls = []

    def __call__(self, y_true, raw_prediction, sample_weight):
        self.calls.append((y_true, raw_prediction, sample_weight))
        if len(self.calls) == self.call_number:
            changed = self.action()
            if changed is not None:
                return changed
        return self.function(y_true, raw_prediction, sample_weight)
