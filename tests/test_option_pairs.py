"""Pairs of the options of training, each with a random other one: gradient, threads, pickles, further training."""

import pickle

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from fastbp import MLPClassifier, MLPRegressor
from fastbp.activations import Blend
from fastbp.inspection import gradient_check
from fastbp.layers import Dense
from fastbp.losses import Quantile

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

OPTIONS = {
    "activation": ["tanh", "gelu", "prelu", Blend("silu"), ["tanh", "silu"]],
    "normalization": ["batch", "layer", "rms"],
    "residual": [True],
    "alpha": [0.1],
    "l1": [0.05],
    "dropout": [0.3],
    "input_dropout": [0.2],
    "mixup_alpha": [0.4],
    "clip_norm": [0.1],
    "max_norm": [0.5],
    "weight_decay": [0.1],
    "solver": ["sgd", "adamw", "nadam", "rmsprop", "adagrad", "lion", "muon", "schedule_free"],
    "ema_decay": [0.9],
    "learning_rate": ["plateau"],
    "warmup": [2],
    "weight_init": ["he_normal", "orthogonal", "data_dependent", "data_dependent_random_bias"],
    "output_layer": [Dense(None, parametrization="ntk", bias_learning_rate_factor=0.1)],
    "frozen_layers": [[0], [-1]],
}
OWN = {
    MLPRegressor: {
        "loss": ["absolute_error", "huber", "gamma", "tweedie", "gaussian", "poisson", Quantile([0.1, 0.5, 0.9])]
    },
    MLPClassifier: {"loss": ["focal"], "class_weight": [{0: 1, 1: 2, 2: 3}], "label_smoothing": [0.1]},
}
#: Only one of the two can be set, for some values: schedule_free has an average of its own, whose norm is not limited,
#: focal has no smoothing, and mixup is not for losses that estimate the spread
EXCLUSIVE = [{"ema_decay", "solver"}, {"max_norm", "solver"}, {"loss", "label_smoothing"}, {"loss", "mixup_alpha"}]

RNG = np.random.default_rng(0)
X = RNG.normal(size=(60, 5))
TARGETS = {MLPRegressor: np.exp(0.3 * X[:, 0]) + 0.1, MLPClassifier: np.arange(60) % 3}


def pairs():
    """(class, parameters): every value of every option, each with a random one of another option; with a fixed seed."""
    rng = np.random.default_rng(1)
    found = []
    for Estimator, own in OWN.items():
        options = OPTIONS | own
        for name, values in options.items():
            for value in values:
                others = [other for other in sorted(options) if other != name and {name, other} not in EXCLUSIVE]
                other = rng.choice(others)
                found.append((Estimator, {name: value, other: options[other][rng.integers(len(options[other]))]}))
    return found


def name_of(pair):
    Estimator, params = pair
    return f"{Estimator.__name__}-" + "-".join(f"{name}={value}" for name, value in params.items())


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("pair", pairs(), ids=name_of)
def test_pair(pair, dtype, monkeypatch):
    Estimator, params = pair
    y = TARGETS[Estimator]
    settings = dict(hidden_layer_sizes=(6, 6), max_iter=4, batch_size=32, dtype=dtype, random_state=0)
    model = Estimator(**settings, **params, n_threads=1).fit(X, y)
    assert gradient_check(model, X[:8], y[:8]).passed

    # the same bits with two threads
    monkeypatch.setattr("fastbp.threads.FLOPS_PER_THREAD", 1)
    twin = Estimator(**settings, **params, n_threads=2).fit(X, y)
    assert_array_equal(twin.network_.params, model.network_.params)
    assert twin.loss_curve_ == model.loss_curve_

    # pickles and further training
    restored = pickle.loads(pickle.dumps(model))
    assert_array_equal(restored.predict(X), model.predict(X))
    for one in (model, restored):
        one.partial_fit(X, y)
    assert_array_equal(restored.network_.params, model.network_.params)
    assert np.isfinite(model.loss_)
