"""Small estimators with layers of all kinds, for the tests of `layers`."""

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from fastbp import MLPClassifier, MLPRegressor
from fastbp.layers import Activation, Dense, Residual, Scale

RNG = np.random.default_rng(0)
N = 60
X = RNG.normal(size=(N, 4))
SCORE = np.tanh(X @ RNG.normal(size=(4, 2)))
SMALL = dict(max_iter=4, batch_size=16, random_state=0)
ESTIMATORS = [MLPClassifier, MLPRegressor]
both_estimators = pytest.mark.parametrize("Estimator", ESTIMATORS)


def mixed_layers():
    """Layers with all kinds of parameters: a bias is missing, and scales stand between."""
    return [
        Dense(5, "tanh", use_bias=False),
        Scale(0.5),
        Residual([Dense(6, "softplus"), Scale(), Dense(5)]),
        Activation("tanh"),
    ]


def labels(Estimator):
    return np.digitize(SCORE[:, 0], [-0.5, 0.5]) if Estimator is MLPClassifier else SCORE[:, 0]


def output(model, X=X):
    return model.predict_proba(X) if isinstance(model, MLPClassifier) else model.predict(X)


def fitted(Estimator, layers=None, **params):
    return Estimator(**SMALL | params, layers=mixed_layers() if layers is None else layers).fit(X, labels(Estimator))


def assert_same_model(one, other):
    assert_array_equal(one.network_.params, other.network_.params)
    assert_array_equal(output(one), output(other))
    for name in ("coefs_", "intercepts_"):
        for a, b in zip(getattr(one, name), getattr(other, name), strict=True):
            assert_array_equal(a, b)
