"""The cases of test_parity.py: data, optimizers and features by name."""

from functools import cache

import numpy as np
import scipy.sparse as sp
from sklearn import neural_network as reference

import fastbp

ACTIVATIONS = ("identity", "logistic", "tanh", "relu")

N_SAMPLES, N_FEATURES = 70, 6

# Learning rates as large as every target bears, so that twenty epochs move the
# weights far from where they started.
OPTIMIZERS = {
    "sgd": dict(solver="sgd", learning_rate_init=0.05, momentum=0.0),
    "momentum": dict(solver="sgd", learning_rate_init=0.02, nesterovs_momentum=False),
    "nesterov": dict(solver="sgd", learning_rate_init=0.02, momentum=0.8),
    "invscaling": dict(solver="sgd", learning_rate="invscaling", learning_rate_init=0.1, power_t=0.2),
    # No epoch gains as much as tol, so that the rate drops on every third one.
    "adaptive": dict(solver="sgd", learning_rate="adaptive", learning_rate_init=0.05, tol=10.0, n_iter_no_change=2),
    "adam": dict(solver="adam", learning_rate_init=0.01, beta_2=0.99),
}

# 14 divides all 70 rows; 16 divides neither these nor the 56 that early
# stopping leaves for training.
FEATURES = {
    "early_stopping": dict(early_stopping=True, validation_fraction=0.2),
    "sample_weight": dict(batch_size=14),
    "sparse": dict(batch_size=14),
    "odd_batch": dict(batch_size=16),
}


@cache
def targets():
    """Targets by name, each related to X so that there is something to learn."""
    rng = np.random.default_rng(7)
    X = dense_X()
    score = X @ rng.normal(size=(N_FEATURES, 3)) + 0.3 * rng.normal(size=(N_SAMPLES, 3))
    return {
        "binary": (score[:, 0] > 0).astype(int),
        "multiclass": score.argmax(axis=1),
        "multilabel": (score > 0.2).astype(int),
        "regression": score[:, 0],
        "multioutput": score,
        "poisson": rng.poisson(np.exp(0.4 * score[:, 0])).astype(float),
    }


TARGETS = ("binary", "multiclass", "multilabel", "regression", "multioutput", "poisson")


@cache
def dense_X():
    """Values of which half are zero, so that the same X serves the sparse cases."""
    rng = np.random.default_rng(3)
    X = rng.normal(size=(N_SAMPLES, N_FEATURES))
    X[rng.random(X.shape) < 0.5] = 0.0
    return X


@cache
def sample_weight():
    """Weights of very different size, some of them zero, no batch of zeros only."""
    rng = np.random.default_rng(11)
    weights = rng.uniform(0.1, 3.0, size=N_SAMPLES)
    weights[::9] = 0.0
    return weights


def sparse_X(target):
    """CSC for the targets of several columns, CSR for the others."""
    container = sp.csc_array if target in ("multilabel", "multioutput") else sp.csr_array
    return container(dense_X())


class WithTheLossOfItsGradient(reference.MLPRegressor):
    """scikit-learn's regressor, its L-BFGS given the loss that the gradient belongs to: with several outputs the
    original gives it the mean over the outputs beside the gradient of the sum, and fastbp does not: see
    docs/differences.md."""

    def _data_share_times(self, factor, loss, n_rows, sample_weight):
        weight_sum = n_rows if sample_weight is None else sample_weight.sum()
        penalty = 0.5 * self.alpha * sum(np.sum(W**2) for W in self.coefs_) / weight_sum
        return factor * (loss - penalty) + penalty

    def _loss_grad_lbfgs(self, packed, X, y, sample_weight, *buffers):
        loss, gradient = super()._loss_grad_lbfgs(packed, X, y, sample_weight, *buffers)
        return self._data_share_times(self.n_outputs_, loss, X.shape[0], sample_weight), gradient

    def _fit_lbfgs(self, X, y, sample_weight, *buffers):
        super()._fit_lbfgs(X, y, sample_weight, *buffers)
        self.loss_ = self._data_share_times(1 / self.n_outputs_, self.loss_, X.shape[0], sample_weight)


def estimator(module, target, **params):
    """The classifier or regressor of `module` that `target` asks for."""
    if module is reference and target == "multioutput" and params.get("solver") == "lbfgs":
        return WithTheLossOfItsGradient(**params)
    if target in ("binary", "multiclass", "multilabel"):
        return module.MLPClassifier(**params)
    if target == "poisson":
        params["loss"] = "poisson"
    return module.MLPRegressor(**params)


def pair(target, **params):
    """(fastbp's, scikit-learn's) estimator with the same parameters."""
    return estimator(fastbp, target, **params), estimator(reference, target, **params)
