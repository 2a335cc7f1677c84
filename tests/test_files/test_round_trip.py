"""Estimators and networks that are saved and loaded: equal to the last bit, and they train on alike."""

import copy
import pickle

import joblib
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from sklearn.base import clone

import fastbp
from case_names import case_name
from fastbp import MLPClassifier, MLPEncoder, MLPRegressor, Network
from fastbp.activations import ACTIVATIONS, HIDDEN_ACTIVATIONS, TRAINED_ACTIVATIONS, Blend, Prelu
from fastbp.callbacks import History, ReduceOnPlateau, TimeLimit
from fastbp.layers import (
    Activation,
    BatchNorm,
    Concatenate,
    Dense,
    Dropout,
    Embedding,
    LayerNorm,
    OneHot,
    Periodic,
    PiecewiseLinear,
    Residual,
    RMSNorm,
    RobustScale,
    Scale,
    SelectColumns,
    Sum,
)
from fastbp.layers.base import all_layers
from fastbp.losses import LOSSES, LogLoss, Quantile, Tweedie
from fastbp.optimizers import OPTIMIZERS, Adam
from fastbp.schedules import SCHEDULES, FlatCosine, WarmupCosine
from file_cases import LABELS, POSITIVE, X, assert_goes_on, assert_same, round_trip

pytestmark = [
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
    pytest.mark.filterwarnings("ignore:Got `batch_size` less than 1"),
]

SETTINGS = dict(hidden_layer_sizes=(6, 6), max_iter=4, batch_size=32, random_state=0)
TARGETS = {MLPClassifier: LABELS, MLPRegressor: POSITIVE}
both_estimators = pytest.mark.parametrize("Estimator", [MLPClassifier, MLPRegressor])
both_dtypes = pytest.mark.parametrize("dtype", ["float32", "float64"])


def check(model, tmp_path, X=X, y=None):
    """The whole round of a fitted model."""
    y = TARGETS[type(model)] if y is None else y
    loaded = round_trip(model, tmp_path)
    assert_same(model, loaded)
    assert_same(model.get_params(deep=False), loaded.get_params(deep=False))
    assert_same(clone(model).get_params(deep=False), clone(loaded).get_params(deep=False))
    assert_goes_on(model, loaded, X, y)
    return loaded


def fitted(Estimator, y=None, X=X, **params):
    return Estimator(**SETTINGS | params).fit(X, TARGETS[Estimator] if y is None else y)


# Each of the tables


@both_dtypes
@both_estimators
@pytest.mark.parametrize("solver", ["lbfgs", *OPTIMIZERS, *(cls() for cls in OPTIMIZERS.values())], ids=str)
def test_optimizers(solver, Estimator, dtype, tmp_path):
    check(fitted(Estimator, solver=solver, dtype=dtype), tmp_path)


@both_estimators
@pytest.mark.parametrize("schedule", [*SCHEDULES, *(cls() for cls in SCHEDULES.values())], ids=str)
def test_schedules(schedule, Estimator, tmp_path):
    model = Estimator(**SETTINGS, solver="sgd", learning_rate=schedule, n_iter_no_change=1, tol=1.0, warm_start=True)
    check(model.fit(X, TARGETS[Estimator]), tmp_path)


def loss_cases():
    """(class, loss, targets) for every loss: names, and objects with default parameters."""
    for name, cls in LOSSES.items():
        if name in ("log_loss", "focal"):
            yield from ((MLPClassifier, loss, LABELS) for loss in (name, cls()))
        elif "log_loss" not in name and "focal" not in name:
            yield from ((MLPRegressor, loss, POSITIVE) for loss in (name, cls()))
    yield MLPRegressor, Quantile([0.1, 0.5, 0.9]), POSITIVE
    yield MLPRegressor, Tweedie(1.2), POSITIVE
    yield MLPClassifier, LogLoss(label_smoothing=0.1), LABELS


@pytest.mark.parametrize(("Estimator", "loss", "y"), list(loss_cases()), ids=str)
def test_losses(Estimator, loss, y, tmp_path):
    check(fitted(Estimator, y, loss=loss), tmp_path, y=y)


def network_losses():
    """Every loss, for a network with two outputs."""
    for name, cls in LOSSES.items():
        loss = cls(n_classes=(2,)) if name == "multioutput_log_loss" else cls()
        activation = {"log_loss": "softmax", "focal": "softmax"}.get(name, loss.link)
        yield loss, activation


@pytest.mark.parametrize(("loss", "activation"), list(network_losses()), ids=str)
def test_losses_of_networks(loss, activation, tmp_path):
    network = Network([4, 5, 2], "tanh", activation, loss, alpha=0.1, l1=0.01, random_state=0, n_threads=2)
    loaded = round_trip(network, tmp_path)
    assert_same(network, loaded)
    assert_same(network.forward(X), loaded.forward(X))
    assert loaded.loss == loss


@both_dtypes
@pytest.mark.parametrize("activation", [*HIDDEN_ACTIVATIONS, *(cls() for cls in TRAINED_ACTIVATIONS.values())], ids=str)
def test_hidden_activations(activation, dtype, tmp_path):
    check(fitted(MLPRegressor, activation=activation, dtype=dtype), tmp_path)


@pytest.mark.parametrize("activation", [*ACTIVATIONS, *(cls() for cls in ACTIVATIONS.values())], ids=str)
def test_output_activations(activation, tmp_path):
    network = Network([4, 5, 3], output_activation=activation, random_state=0)
    loaded = round_trip(network, tmp_path)
    assert_same(network, loaded)
    assert_same(network.forward(X), loaded.forward(X))


@pytest.mark.parametrize("activation", [[Prelu(0.1), "tanh"], Blend("silu", 0.3), Blend(Prelu())], ids=str)
def test_activations_of_each_layer(activation, tmp_path):
    check(fitted(MLPRegressor, activation=activation), tmp_path)


LAYERS = [
    Dense(6, "tanh", False, 0.5, 0.0, parametrization="ntk", bias_learning_rate_factor=0.1),
    BatchNorm(momentum=0.2, epsilon=1e-4),
    Activation(Prelu(0.1), learning_rate_factor=0.3),
    Dropout(0.2),
    Residual([Dense(6), LayerNorm(), Activation("gelu"), Dense(6), Scale(0.5, 2, 3), Residual([Dense(6)])]),
    RMSNorm(),
]
#: of columns of numbers
COLUMNS = [
    Concatenate(
        [
            [OneHot([3], [0]), RobustScale(clip=None)],
            RobustScale([2, 1]),
            Embedding([2], 3, [3], "sum"),
            SelectColumns([1]),
        ]
    ),
    Sum([Dense(6), [Activation("tanh"), Dense(6)]]),
]
NUMBERS = [Concatenate([PiecewiseLinear(3, 5, [2, 0], False, None, 0.5), Periodic(4, 3, 0.5, None, True, 2.0, 0.5)])]


@both_dtypes
@both_estimators
def test_layers(Estimator, dtype, tmp_path):
    used = {type(layer) for layer in all_layers([*LAYERS, *COLUMNS, *NUMBERS])}
    assert used == {getattr(fastbp.layers, name) for name in fastbp.layers.__all__} - {fastbp.layers.Layer}
    check(fitted(Estimator, layers=LAYERS, dtype=dtype), tmp_path)


@both_estimators
def test_layers_of_columns(Estimator, tmp_path):
    codes = np.where(X > 1, np.nan, np.rint(X))
    check(fitted(Estimator, X=codes, layers=COLUMNS), tmp_path, codes)
    numbers = np.where(X > 1, np.nan, X)
    check(fitted(Estimator, X=numbers, layers=NUMBERS), tmp_path, numbers)


# Options


OPTIONS = [
    {"hidden_layer_sizes": ()},
    {"hidden_layer_sizes": np.array([5, 3])},
    {"normalization": "batch", "residual": True},
    {"normalization": "layer", "dropout": [0.1, 0.2]},
    {"normalization": "rms", "input_dropout": 0.2},
    {"mixup_alpha": 0.4},
    {"frozen_layers": [0], "l1": 0.1, "clip_norm": 0.1, "max_norm": 0.5, "weight_decay": 0.1},
    {"ema_decay": 0.9},
    {"ema_decay": 0.9, "early_stopping": True, "max_iter": 30},
    {"swa_start": 0.5},
    {"early_stopping": True, "max_iter": 30, "n_iter_no_change": 3},
    {"early_stopping": True, "scoring": ["loss", "neg_mean_squared_error"], "max_iter": 10, "restore_best": False},
    {"warm_start": True, "early_stopping": True},
    {"weight_init": "data_dependent", "warmup": 2},
    {"weight_init": "data_dependent_random_bias", "output_layer": Dense(None, use_bias=False, parametrization="ntk")},
    {"dropout": 0.3, "dropout_schedule": FlatCosine(0.4), "weight_decay_schedule": WarmupCosine(0.1, overlap=True)},
    {"solver": Adam(beta_1=0.5), "n_iter_no_change": np.inf, "max_time": 1000.0, "alpha": np.float32(0.1)},
    {"random_state": np.random.RandomState(3)},
    {"random_state": np.random.default_rng(3)},
    {"random_state": np.random.Generator(np.random.Philox(3))},
    {"random_state": np.random.Generator(np.random.SFC64(3))},
    {"random_state": np.random.Generator(np.random.PCG64DXSM(3))},
    {"random_state": None, "shuffle": False, "batch_size": "auto"},
    {"callbacks": [TimeLimit(1000.0), ReduceOnPlateau(patience=1)]},
    {"n_threads": 1, "verbose": 0, "max_iter": 1},
]


@both_estimators
@pytest.mark.parametrize("options", OPTIONS, ids=case_name)
def test_options(options, Estimator, tmp_path):
    if options.get("scoring") and Estimator is MLPClassifier:
        options = options | {"scoring": ["loss", "balanced_accuracy"]}
    options = copy.deepcopy(options)
    if options.get("random_state", 0) is None:
        np.random.seed(0)
    model = fitted(Estimator, **options)
    loaded = round_trip(model, tmp_path)
    assert_same(model, loaded)
    has_end = {"swa_start", "dropout_schedule"} & options.keys()
    if has_end or options.get("random_state", 0) is None or options.get("early_stopping"):
        assert_same(model.predict(X), loaded.predict(X))
    else:
        assert_goes_on(model, loaded, X, TARGETS[Estimator])


def test_a_record_of_fits(tmp_path):
    model = fitted(MLPRegressor, callbacks=[History()])
    loaded = round_trip(model, tmp_path)
    assert_same(model, loaded)
    loaded.fit(X, POSITIVE)
    assert len(loaded.callbacks[0].fits) == 2


@both_estimators
def test_warm_start_holds_out_the_same_rows(Estimator, tmp_path):
    model = fitted(Estimator, warm_start=True, early_stopping=True, random_state=5)
    loaded = round_trip(model, tmp_path)
    for one in (model, loaded):
        one.fit(X, TARGETS[Estimator])
    assert_same(model.coefs_, loaded.coefs_)
    assert_same(model.validation_scores_, loaded.validation_scores_)


@both_estimators
def test_a_run_of_averages_goes_on(Estimator, tmp_path):
    model = fitted(Estimator, swa_start=0.5, warm_start=True)
    loaded = round_trip(model, tmp_path)
    assert_same(model.raw_params_, loaded.raw_params_)
    for one in (model, loaded):
        one.fit(X, TARGETS[Estimator])
    assert_same(model.coefs_, loaded.coefs_)


@both_estimators
def test_init_from(Estimator, tmp_path):
    source = fitted(Estimator)
    for init_from in (source, (source.coefs_, source.intercepts_)):
        model = fitted(Estimator, init_from=init_from)
        loaded = round_trip(model, tmp_path)
        assert_same(clone(model).fit(X, TARGETS[Estimator]).coefs_, clone(loaded).fit(X, TARGETS[Estimator]).coefs_)
        assert_goes_on(model, loaded, X, TARGETS[Estimator])


@both_estimators
def test_unfitted(Estimator, tmp_path):
    model = Estimator(**SETTINGS, solver=Adam(beta_1=0.5), layers=LAYERS)
    loaded = round_trip(model, tmp_path)
    assert_same(model, loaded)
    y = TARGETS[Estimator]
    assert_same(model.fit(X, y).coefs_, loaded.fit(X, y).coefs_)


@both_estimators
def test_slim(Estimator, tmp_path):
    model = fitted(Estimator)
    slim = fastbp.slim(model)
    loaded = round_trip(slim, tmp_path)
    assert_same(slim, loaded)
    assert_same(model.predict(X), loaded.predict(X))
    with pytest.warns(UserWarning, match="slim"):
        loaded.partial_fit(X, TARGETS[Estimator])


def test_a_record_is_one_list(tmp_path):
    # partial_fit appends to both
    loaded = round_trip(fitted(MLPRegressor), tmp_path)
    assert loaded.loss_curve_ is loaded.history_["loss"]


def test_edited_weights(tmp_path):
    model = fitted(MLPRegressor)
    model.coefs_[0] = model.coefs_[0] * 2
    loaded = round_trip(model, tmp_path)
    assert_same(model.predict(X), loaded.predict(X))


@pytest.mark.filterwarnings("ignore:Got `batch_size` less than 1 or larger than sample size")
def test_a_huge_batch(tmp_path):
    model = MLPRegressor(hidden_layer_sizes=(3,), max_iter=2, batch_size=2**62).fit(X, POSITIVE)
    assert_same(round_trip(model, tmp_path), model)


def test_a_long_record(tmp_path):
    model = MLPRegressor(**SETTINGS | dict(max_iter=300, n_iter_no_change=300)).fit(X, POSITIVE)
    check(model, tmp_path)


# Targets


CLASS_TARGETS = {
    "two labels": (LABELS > 0, {}),
    "text": (np.array(["a", "b", "été"])[LABELS], {}),
    "objects": (np.array(["a", "b", "c"], object)[LABELS], {}),
    "wide text": (np.array(["a", "b", "c"], "U1000")[LABELS], {}),
    "int8": (LABELS.astype(np.int8), {}),
    "big endian": (LABELS.astype(">i4"), {}),
    "float": (LABELS.astype(float), {}),
    "large": (LABELS + 2**60, {}),
    "indicators": (np.eye(3, dtype=int)[LABELS], {}),
    "sparse indicators": (sp.csr_matrix(np.eye(3, dtype=int)[LABELS]), {}),
    "probabilities": (np.random.default_rng(0).dirichlet([1.0, 1.0, 1.0], 60), {}),
    "probabilities of names": (np.random.default_rng(0).dirichlet([1.0, 1.0], 60), {"classes": ["no", "yes"]}),
    "columns": (np.stack([LABELS, LABELS > 0], axis=1), {}),
    "columns of text and numbers": (np.stack([np.array(["x", "y", "z"], object)[LABELS], LABELS], axis=1), {}),
}


def as_dense(y):
    return y.toarray() if sp.issparse(y) else y


@pytest.mark.parametrize("name", CLASS_TARGETS)
def test_targets(name, tmp_path):
    y, options = CLASS_TARGETS[name]
    model = MLPClassifier(**SETTINGS).fit(X, y, **options)
    loaded = round_trip(model, tmp_path)
    assert_same(model, loaded)
    assert sp.issparse(model.predict(X)) == sp.issparse(loaded.predict(X))
    assert_same(as_dense(model.predict(X)), as_dense(loaded.predict(X)))
    assert_same(model.predict_proba(X), loaded.predict_proba(X))
    for one in (model, loaded):
        one.partial_fit(X, y)
    assert_same(model.coefs_, loaded.coefs_)


@pytest.mark.parametrize("weight", ["balanced", {0: 1.0, 1: 2.0, 2: 3}, {np.int64(0): 1.0, np.int64(1): 2.0}], ids=str)
def test_class_weights(weight, tmp_path):
    model = fitted(MLPClassifier, class_weight=weight)
    assert_same(model, round_trip(model, tmp_path))


def test_classes_that_come_later(tmp_path):
    few, y = LABELS < 2, LABELS
    model = MLPClassifier(**SETTINGS).partial_fit(X[few], y[few], classes=[0, 1])
    loaded = round_trip(model, tmp_path)
    for one in (model, loaded):
        one.partial_fit(X, y, classes=[0, 1, 2])
    assert_same(model.coefs_, loaded.coefs_)
    check(model, tmp_path)


def test_several_outputs(tmp_path):
    check(fitted(MLPRegressor, X[:, :2]), tmp_path, y=X[:, :2])


def test_feature_names(tmp_path):
    table = pd.DataFrame(X, columns=["größe", "b", "c", "d"])
    loaded = check(fitted(MLPRegressor, X=table), tmp_path, X=table)
    with pytest.raises(ValueError, match="feature names should match"):
        loaded.predict(table.rename(columns={"b": "other"}))


# The encoder, networks


def test_encoder(tmp_path):
    regressor = MLPRegressor(activation="tanh", max_iter=5, random_state=0)
    encoder = MLPEncoder(2, (5,), regressor, input_dropout=0.1).set_output(transform="pandas")
    assert_same(encoder, round_trip(encoder, tmp_path))
    encoder.fit(pd.DataFrame(X, columns=list("abcd")))
    loaded = round_trip(encoder, tmp_path)
    assert_same(encoder, loaded)
    table = pd.DataFrame(X, columns=list("abcd"))
    pd.testing.assert_frame_equal(loaded.transform(table), encoder.transform(table), check_exact=True)
    assert_same(loaded.inverse_transform(X[:, :2]), encoder.inverse_transform(X[:, :2]))


@both_dtypes
@pytest.mark.parametrize(
    "definition", [dict(layer_sizes=[4, 5, 3, 2], activation="tanh"), dict(layers=LAYERS, n_features=4)]
)
def test_networks(definition, dtype, tmp_path):
    network = Network(**definition, dtype=dtype, random_state=0, alpha=0.5)
    loaded = round_trip(network, tmp_path)
    assert_same(network, loaded)
    y = np.ones((60, network.n_outputs))
    assert_same(network.loss_and_gradient(X, y), loaded.loss_and_gradient(X, y))
    loaded.params[:] = 0


# Other ways


def by_pickle(model, tmp_path):
    return pickle.loads(pickle.dumps(model))


def by_joblib(model, tmp_path):
    joblib.dump(model, tmp_path / "model.joblib", compress=3)
    return joblib.load(tmp_path / "model.joblib")


def by_copy(model, tmp_path):
    return copy.deepcopy(model)


@pytest.mark.fault(34)
@both_estimators
@pytest.mark.parametrize("way", [by_pickle, by_joblib, by_copy, round_trip])
@pytest.mark.parametrize("options", [{}, {"solver": "sgd"}, {"dropout": 0.2}, {"ema_decay": 0.9}], ids=str)
def test_partial_fit_goes_on(options, way, Estimator, tmp_path):
    y = TARGETS[Estimator]
    classes = {"classes": [0, 1, 2]} if Estimator is MLPClassifier else {}
    model = Estimator(**SETTINGS, **options).partial_fit(X, y, **classes)
    other = way(model, tmp_path)
    before = other.predict_proba(X) if classes else other.predict(X)
    assert_goes_on(model, other, X, y)
    after = other.predict_proba(X) if classes else other.predict(X)
    assert (before != after).any()
