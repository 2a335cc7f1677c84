"""Models, data and comparisons for the tests of resumed runs."""

from itertools import product

import numpy as np
from scipy.sparse import csr_array
from sklearn.base import clone

from fastbp import MLPClassifier, MLPRegressor
from fastbp.callbacks import Checkpoint, ReduceOnPlateau
from fastbp.kernels.patience import Patience
from fastbp.optimizers import OPTIMIZERS
from fastbp.schedules import SCHEDULES

RNG = np.random.default_rng(0)
X = RNG.normal(size=(40, 4))
SCORE = X[:, 0] * X[:, 1] + 0.1 * RNG.normal(size=40)
TARGETS = {MLPRegressor: SCORE, MLPClassifier: np.where(SCORE > 0.3, "yes", np.where(SCORE < -0.3, "no", "perhaps"))}
WEIGHT = RNG.uniform(0.5, 2, 40)
SMALL = dict(
    hidden_layer_sizes=(5, 5),
    max_iter=8,
    batch_size=12,
    random_state=0,
    learning_rate_init=0.02,
    n_iter_no_change=2,
    tol=0.01,
    validation_fraction=0.3,
)

#: What the cases have beside solver, schedule and stopping rule: parameters, and arguments of fit
OPTIONS = {
    "plain": ({}, {}),
    "dropout": (dict(dropout=0.3, input_dropout=0.1), {}),
    "schedules of dropout and decay": (
        dict(dropout=0.3, dropout_schedule="flat_cosine", weight_decay=0.1, weight_decay_schedule="cosine"),
        {},
    ),
    "mixup": (dict(mixup_alpha=0.4), {}),
    "ema": (dict(ema_decay=0.8), {}),
    "swa": (dict(swa_start=0.4), {}),
    "batch normalization": (dict(normalization="batch"), {}),
    "swa of batch normalization": (dict(swa_start=0.4, normalization="batch"), {}),
    "frozen layers": (dict(frozen_layers=[0]), {}),
    "warm-up": (dict(warmup=3), {}),
    "rows in their order": (dict(shuffle=False), {}),
    "no seed": (dict(random_state=None), {}),
    "a generator": (dict(random_state=lambda: np.random.RandomState(5)), {}),
    "float32": (dict(dtype="float32"), {}),
    "limits": (dict(clip_norm=0.5, max_norm=2.0, alpha=0.1, l1=0.01), {}),
    "sparse": ({}, dict(X=csr_array(np.where(X > 0, X, 0)))),
    "a validation set": (dict(scoring=[None, "loss"]), dict(X_val=X[:9], y_val=slice(9))),
    "weights": ({}, dict(sample_weight=WEIGHT)),
    "a falling rate": (dict(callbacks=lambda: [ReduceOnPlateau(patience=1, tol=0.05)]), {}),
    "everything": (
        dict(
            dropout=0.2, normalization="batch", ema_decay=0.7, warmup=2, random_state=lambda: np.random.RandomState(7)
        ),
        dict(sample_weight=WEIGHT),
    ),
}


def cases():
    """name -> (class, parameters, name of the options): each solver with each schedule and both stopping rules; the
    options take turns, beginning anew nowhere, so that each meets many of them."""
    names, found = list(OPTIONS), {}
    for number, (solver, schedule, early) in enumerate(product(OPTIMIZERS, SCHEDULES, (False, True))):
        Estimator = list(TARGETS)[number % 2]
        options = names[number % len(names)]
        params = OPTIONS[options][0]
        averages = OPTIMIZERS[solver].averages
        waits = SCHEDULES[schedule].waits_for_plateau and not early
        if (averages and {"ema_decay", "swa_start", "max_norm"} & params.keys()) or (waits and "swa_start" in params):
            options = "dropout"
        found[f"{Estimator.__name__}-{solver}-{schedule}-{'score' if early else 'loss'}-{options}"] = (
            Estimator,
            dict(solver=solver, learning_rate=schedule, early_stopping=early),
            options,
        )
    return found


def estimator(Estimator, params, options, folder=None):
    """An unfitted estimator of a case, with a checkpoint of every epoch in a folder."""
    own = {name: value() if callable(value) else value for name, value in OPTIONS[options][0].items()}
    callbacks = own.pop("callbacks", [])
    if folder is not None:
        callbacks = [Checkpoint(folder / "{epoch}"), *callbacks]
    return Estimator(**SMALL | params | own, callbacks=callbacks or None)


def fit(model, options, **more):
    """Fit to the data of a case."""
    arguments = dict(OPTIONS[options][1])
    y = TARGETS[type(model)]
    if "y_val" in arguments:
        arguments["y_val"] = y[arguments["y_val"]]
    return model.fit(arguments.pop("X", X), y, **arguments, **more)


def plain(value):
    """A value as nested tuples of bytes, numbers and texts, of which equal ones have the same bits."""
    if isinstance(value, np.ndarray):
        return ("array", value.shape, value.dtype.str, value.tobytes() if value.dtype != object else tuple(value.flat))
    if isinstance(value, np.random.RandomState):
        return plain(value.get_state(legacy=False))
    if isinstance(value, dict):
        return ("dict", *((name, plain(item)) for name, item in sorted(value.items())))
    if isinstance(value, (list, tuple)):
        return ("sequence", *map(plain, value))
    if isinstance(value, Patience):
        return ("patience", value.tol, value.limit, value.best, value.count)
    if isinstance(value, float):
        return value.hex()
    if value is None or isinstance(value, (int, str, bool, np.generic, type)):
        return value
    return (type(value).__qualname__, plain(vars(value)))


def assert_same_model(resumed, uninterrupted):
    """All attributes have the same bits, but for times."""
    states = [model.__getstate__() for model in (resumed, uninterrupted)]
    for state in states:
        for name in ("callbacks", "random_state", "n_threads", "max_time", "warm_start", "_metadata_request"):
            state.pop(name, None)
        settings, params = state["_network_state"]
        state["_network_state"] = settings | {"n_threads": None}, params
        for name in ("history_", "_optimizer"):
            if name in state:
                state[name] = dict(state[name]) if name == "history_" else vars(state[name])
        state.get("history_", {}).pop("seconds", None)
    assert states[0].keys() == states[1].keys()
    different = [name for name in states[0] if plain(states[0][name]) != plain(states[1][name])]
    assert not different, different


def fresh(model, **params):
    """A clone, whose generator has drawn other numbers, and whose callbacks save nothing."""
    model = clone(model)
    callbacks = model.callbacks if isinstance(model.callbacks, list) else [model.callbacks]
    model.set_params(callbacks=[c for c in callbacks if c is not None and not isinstance(c, Checkpoint)], **params)
    if isinstance(model.random_state, np.random.RandomState):
        model.random_state.normal(size=3)
    return model
