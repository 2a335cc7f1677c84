"""Pairs of the options of training, drawn at random: the gradient, threads, pickles and further training."""

import pickle

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from fastbp import MLPClassifier, MLPRegressor
from fastbp.activations import Blend
from fastbp.inspection import gradient_check
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
    "solver": ["sgd", "adamw", "nadam", "rmsprop", "adagrad", "lion", "muon"],
    "ema_decay": [0.9],
    "learning_rate": ["plateau"],
    "warmup": [2],
    "weight_init": ["he_normal", "orthogonal", "data_dependent"],
    "dtype": ["float32"],
}
OWN = {
    MLPRegressor: {
        "loss": ["absolute_error", "huber", "gamma", "tweedie", "gaussian", "poisson", Quantile([0.1, 0.5, 0.9])]
    },
    MLPClassifier: {"loss": ["focal"], "class_weight": [{0: 1, 1: 2, 2: 3}], "label_smoothing": [0.1]},
}
N_PAIRS = 60
#: Pairs that are refused
REFUSED = [{"mixup_alpha", f"loss={loss}"} for loss in ("gaussian", OWN[MLPRegressor]["loss"][-1])]

RNG = np.random.default_rng(0)
X = RNG.normal(size=(60, 5))
TARGETS = {MLPRegressor: np.exp(0.3 * X[:, 0]) + 0.1, MLPClassifier: np.arange(60) % 3}


def pairs():
    """(class, parameters) of random pairs of options, with a fixed seed."""
    rng = np.random.default_rng(1)
    found = []
    for number in range(N_PAIRS):
        Estimator = (MLPRegressor, MLPClassifier)[number % 2]
        options = OPTIONS | OWN[Estimator]
        names = rng.choice(sorted(options), 2, replace=False).tolist()
        params = {name: options[name][rng.integers(len(options[name]))] for name in names}
        if not any(refused <= {*params, f"loss={params.get('loss')}"} for refused in REFUSED):
            found.append((Estimator, params))
    return found


def name_of(pair):
    Estimator, params = pair
    return f"{Estimator.__name__}-" + "-".join(f"{name}={value}" for name, value in params.items())


@pytest.mark.parametrize("pair", pairs(), ids=name_of)
def test_pair(pair, monkeypatch):
    Estimator, params = pair
    y = TARGETS[Estimator]
    settings = dict(hidden_layer_sizes=(6, 6), max_iter=4, batch_size=32, random_state=0)
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
