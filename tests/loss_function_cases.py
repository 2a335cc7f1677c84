"""Pairs of estimators for the tests: one with a function as its loss, one with the built-in loss that it equals."""

import numpy as np
import pytest

from fastbp import MLPClassifier, MLPRegressor
from loss_functions import binary_log_loss, exponential_squared_error, log_loss, poisson, squared_error

RNG = np.random.default_rng(0)
N = 53
X = RNG.normal(size=(N, 4))
X[RNG.random(X.shape) < 0.3] = 0
SCORE = X @ RNG.normal(size=(4, 3)) + 0.3 * RNG.normal(size=(N, 3))
WEIGHT = RNG.uniform(0.2, 3, N)
WEIGHT[::9] = 0

# target: (the estimator, y, the built-in loss, the function, its output activation)
TARGETS = {
    "regression": (MLPRegressor, SCORE[:, 0], "squared_error", squared_error, "identity"),
    "multioutput": (MLPRegressor, SCORE, "squared_error", squared_error, "identity"),
    "counts": (MLPRegressor, RNG.poisson(np.exp(0.3 * SCORE[:, 0])), "poisson", poisson, "exp"),
    "exponential": (MLPRegressor, np.exp(0.3 * SCORE[:, 0]), "squared_error", exponential_squared_error, "exp"),
    "binary": (MLPClassifier, np.where(SCORE[:, 0] > 0, "yes", "no"), "log_loss", binary_log_loss, "logistic"),
    "multiclass": (MLPClassifier, SCORE.argmax(axis=1) + 5, "log_loss", log_loss, "softmax"),
    "multilabel": (MLPClassifier, (SCORE > 0.2).astype(int), "log_loss", binary_log_loss, "logistic"),
}
SMALL = dict(hidden_layer_sizes=(6, 5), activation="tanh", max_iter=8, batch_size=16, random_state=0)
SOLVERS = ("sgd", "adam", "lbfgs")
# The built-in squared error is a mean over the outputs, as in scikit-learn, while its gradient is that of the sum.
# lbfgs needs both, and goes another way than with the sum that a function returns.
every_target_and_solver = pytest.mark.parametrize(
    ("target", "solver"),
    [(target, solver) for target in TARGETS for solver in SOLVERS if (target, solver) != ("multioutput", "lbfgs")],
)
every_target = pytest.mark.parametrize("target", TARGETS)


def pair(target, **params):
    """(the estimator with the function, with the built-in loss, y)."""
    Estimator, y, loss, function, output = TARGETS[target]
    params = {**SMALL, "output_activation": output, **params}
    return Estimator(loss=function, **params), Estimator(loss=loss, **params), y


def weights(model):
    return np.concatenate([w.ravel() for w in [*model.coefs_, *model.intercepts_]])
