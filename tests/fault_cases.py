"""Data and small models for the tests of bad input."""

import numpy as np
import pytest

from fastbp import MLPClassifier, MLPRegressor

SMALL = dict(hidden_layer_sizes=(6, 4), max_iter=4, batch_size=16, random_state=0)
ESTIMATORS = [MLPClassifier, MLPRegressor]
both_estimators = pytest.mark.parametrize("Estimator", ESTIMATORS)


def make_data(n_samples=50, n_features=6):
    """X with many zeros, and three classes that also serve as a numeric target."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(n_samples, n_features))
    X[rng.random(X.shape) < 0.5] = 0.0
    return X, (X[:, 0] > 0).astype(int) + (X[:, 1] > 0)


def output(model, X):
    return model.predict_proba(X) if isinstance(model, MLPClassifier) else model.predict(X)
