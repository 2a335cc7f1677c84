"""Networks and data for the tests of `Network`: every activation, every pair of output activation and loss."""

import numpy as np

from fastbp.kernels import ACTIVATIONS

SIZES = (4, 5, 3, 2)
HIDDEN = [name for name in ACTIVATIONS if name not in ("softmax", "exp")]
# Every output that yields what the loss can take: probabilities, positive means, any number.
POSITIVE = ["logistic", "softmax", "softplus", "exp"]
PAIRS = (
    [(name, "squared_error") for name in ACTIVATIONS]
    + [("softmax", "log_loss"), ("logistic", "log_loss"), ("softmax", "binary_log_loss")]
    + [(name, "poisson") for name in POSITIVE]
)


def problem(loss, n=6, n_features=SIZES[0], n_outputs=SIZES[-1], seed=0):
    """X with zeros in it, targets that suit the loss, sample weights of which one is zero."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, n_features))
    X[rng.random(X.shape) < 0.3] = 0
    y = rng.normal(size=(n, n_outputs))
    if "log_loss" in loss:
        y = np.eye(n_outputs)[rng.integers(n_outputs, size=n)]
    elif loss == "poisson":
        y = rng.poisson(1.5, size=(n, n_outputs)).astype(float)
    weight = rng.uniform(0.5, 2, n)
    weight[1:2] = 0
    return X, y, weight
