"""The parameters of the estimators that make layers of `hidden_layer_sizes`; `estimators/construction.py`."""

import copy
import pickle
from math import sqrt

import numpy as np
import pytest
import scipy.sparse as sp
from numpy.testing import assert_array_equal
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV

from estimator_layer_cases import SMALL, X, assert_same_model, both_estimators, labels
from fastbp import MLPClassifier, MLPRegressor, slim
from fastbp.activations import Blend, Gelu, Prelu, Softmax
from fastbp.layers import Activation, BatchNorm, Dense, Dropout, LayerNorm, Residual, RMSNorm, Scale

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


def make(Estimator, **params):
    return Estimator(**SMALL | dict(hidden_layer_sizes=(8, 8)) | params)


def fitted(Estimator, **params):
    return make(Estimator, **params).fit(X, labels(Estimator))


#: parameters -> the layers that they stand for
CASES = {
    "dropout": (dict(dropout=0.3), [Dense(8, "relu"), Dropout(0.3), Dense(8, "relu"), Dropout(0.3)]),
    "dropout of each": (dict(dropout=[0, 0.3]), [Dense(8, "relu"), Dense(8, "relu"), Dropout(0.3)]),
    "input_dropout": (dict(input_dropout=0.2), [Dropout(0.2), Dense(8, "relu"), Dense(8, "relu")]),
    "residual": (
        dict(hidden_layer_sizes=(5, 8, 8, 8, 4), residual=True),
        [
            *[Dense(5), Activation("relu"), Dense(8)],
            *[Residual([Activation("relu"), Dense(8), Scale(1 / sqrt(2), 1 / sqrt(2))])] * 2,
            *[Activation("relu"), Dense(4), Activation("relu")],
        ],
    ),
    "batch": (dict(normalization="batch"), [*[Dense(8), BatchNorm(), Activation("relu")] * 2]),
    "layer": (dict(normalization="layer"), [*[Dense(8), LayerNorm(), Activation("relu")] * 2]),
    "rms": (
        dict(normalization="rms", activation=["identity", Blend("silu", initial=0.5)]),
        [Dense(8), RMSNorm(), Activation("identity"), Dense(8), RMSNorm(), Activation(Blend("silu", initial=0.5))],
    ),
    "a residual in between": (
        dict(hidden_layer_sizes=(8, 8, 3), residual=True, normalization="rms"),
        [
            *[Dense(8), Residual([RMSNorm(), Activation("relu"), Dense(8), Scale(1.0)])],
            *[RMSNorm(), Activation("relu"), Dense(3), RMSNorm(), Activation("relu")],
        ],
    ),
    "prelu": (dict(activation="prelu"), [Dense(8, Prelu()), Dense(8, Prelu(initial=0.25))]),
    "all": (
        dict(residual=True, dropout=(0.1, 0.3), input_dropout=0.2, activation=["tanh", Gelu()], normalization="layer"),
        [
            *[Dropout(0.2), Dense(8)],
            Residual([LayerNorm(), Activation("tanh"), Dropout(0.1), Dense(8), Scale(1.0)]),
            *[LayerNorm(), Activation("gelu"), Dropout(0.3)],
        ],
    ),
}
every_case = pytest.mark.parametrize("case", CASES)


@both_estimators
@every_case
def test_parameters_and_the_layers_that_they_stand_for(Estimator, case):
    params, layers = CASES[case]
    model, by_layers = fitted(Estimator, **params), fitted(Estimator, layers=layers)
    assert model.network_.layers == (*layers, Dense(model.n_outputs_))
    assert_same_model(model, by_layers)
    assert model.loss_ == by_layers.loss_
    for _ in range(2):
        model.partial_fit(X, labels(Estimator)), by_layers.partial_fit(X, labels(Estimator))
    assert_same_model(model, by_layers)


@both_estimators
@every_case
def test_copies_go_on(Estimator, case):
    params, y = CASES[case][0], labels(Estimator)
    model = fitted(Estimator, **params)
    assert_same_model(model, clone(model).fit(X, y))
    copies = [how(model) for how in (copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m)))]
    assert_same_model(model, slim(model))
    model.partial_fit(X, y)
    for other in copies:
        assert_same_model(model, other.partial_fit(X, y))
    model.set_params(warm_start=True).fit(X, y)
    for other in copies:
        assert_same_model(model, other.set_params(warm_start=True).fit(X, y))


@every_case
def test_grid_search(case):
    params = CASES[case][0]
    values = {name: [MLPRegressor().get_params()[name], value] for name, value in params.items() if name != "residual"}
    search = GridSearchCV(make(MLPRegressor), values, cv=2, error_score="raise").fit(X, labels(MLPRegressor))
    assert search.best_params_.keys() == values.keys()


@both_estimators
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_any_number_of_threads_gives_the_same_bits(Estimator, dtype):
    X_, y = np.tile(X, (20, 1)).astype(dtype), np.tile(labels(Estimator), 20)
    params = dict(CASES["all"][0], hidden_layer_sizes=(64, 64), batch_size=400, early_stopping=True)
    models = [make(Estimator, **params, n_threads=n).fit(X_, y) for n in (1, 2)]
    assert_same_model(*models)


# Dropout


@both_estimators
def test_the_random_numbers_of_other_fits_stay(Estimator):
    # the seed is drawn behind the initial weights, and only with dropout
    states, rates = [], (0.0, [0, 0], 0.5)
    for rate in rates:
        rng = np.random.RandomState(3)
        fitted(Estimator, dropout=rate, random_state=rng, shuffle=False)
        states.append(rng.randint(2**31))
    assert states[0] == states[1] != states[2]


def test_a_new_seed_for_each_fit():
    rng = np.random.RandomState(3)
    start = fitted(MLPRegressor, dropout=0.5, max_iter=1, random_state=rng)
    seeds = [start._optimizer.seed]
    start.partial_fit(X, labels(MLPRegressor))
    assert start._optimizer.seed == seeds[0]
    assert start._optimizer.n_steps == 8  # the masks differ in the number of the step
    seeds.append(start.set_params(warm_start=True).fit(X, labels(MLPRegressor))._optimizer.seed)
    assert len(set(seeds)) == 2
    assert fitted(MLPRegressor)._optimizer.seed is None


@both_estimators
def test_predictions_are_without_dropout(Estimator):
    model = fitted(Estimator, dropout=0.5, input_dropout=0.5)
    plain = fitted(Estimator)
    for mine, others in zip(plain.coefs_ + plain.intercepts_, model.coefs_ + model.intercepts_, strict=True):
        mine[...] = others
    assert_array_equal(plain.predict(X), model.predict(X))
    assert plain.score(X, labels(Estimator)) == model.score(X, labels(Estimator))
    y = labels(Estimator)
    assert_array_equal(plain.network_.loss_and_gradient(X, y)[1], model.network_.loss_and_gradient(X, y)[1])


def test_the_rate_may_change_between_fits():
    y = labels(MLPRegressor)
    model = fitted(MLPRegressor, dropout=0.5)
    for rate in (0.2, [0.1, 0.3], 0.0, 0.4):
        before = model.network_.params.copy()
        model.set_params(dropout=rate).partial_fit(X, y)
        assert model.network_.has_dropout == (rate != 0.0)
        assert 0 < np.abs(model.network_.params - before).max() < 0.1


@both_estimators
@pytest.mark.parametrize("how", ["warm_start", "partial_fit"])
@pytest.mark.parametrize(
    ("before", "after", "reason", "way"),
    [
        ({}, dict(normalization="layer"), r"normalization='layer' asks for \[Dense", "Set normalization back to None"),
        (dict(normalization="rms"), dict(normalization="layer"), "normalization='layer' asks", "back to 'rms'"),
        ({}, dict(residual=True), "residual=True asks", "Set residual back to False"),
        ({}, dict(hidden_layer_sizes=(8, 7)), r"hidden_layer_sizes=\(8, 7\) asks for \(4, 8, 7, ", r"back to \(8, 8\)"),
        ({}, dict(layers=[Dense(3)]), r"layers=\[Dense.* asks for", "Set layers back to None"),
        (
            dict(dropout=0.1),
            dict(hidden_layer_sizes=(7, 8), normalization="rms", dropout=0.2),
            r"hidden_layer_sizes=\(7, 8\) and normalization='rms' ask for",
            r"Set hidden_layer_sizes back to \(8, 8\) and set normalization back to None",
        ),
    ],
)
def test_the_message_names_the_parameter_that_changed(Estimator, how, before, after, reason, way):
    y = labels(Estimator)
    model = fitted(Estimator, warm_start=True, **before)
    outputs = model.predict(X)
    model.set_params(**after)
    with pytest.raises(ValueError, match=rf"go on with the fitted layers .* but {reason}.*{way}.*, or fit anew"):
        model.fit(X, y) if how == "warm_start" else model.partial_fit(X, y)
    assert_array_equal(model.predict(X), outputs)


def test_dropout_regularizes():
    # noise only: a net that learns it by heart has a training error near zero
    rng = np.random.default_rng(0)
    noise, y = rng.normal(size=(60, 10)), rng.normal(size=60)
    model = MLPRegressor(hidden_layer_sizes=(64,), learning_rate_init=0.01, max_iter=400, tol=0, random_state=0)
    errors = [np.mean((model.set_params(dropout=rate).fit(noise, y).predict(noise) - y) ** 2) for rate in (0.0, 0.5)]
    assert errors[0] < 0.01 < 0.05 < errors[1]


def test_sparse_rows():
    y, sparse = labels(MLPRegressor), sp.csr_array(np.where(X > 0, X, 0))
    model = fitted(MLPRegressor, dropout=0.5)
    assert model.__sklearn_tags__().input_tags.sparse
    model.fit(sparse, y)
    message = r"input_dropout=0.1 needs a dense X, got a sparse one: use X.toarray\(\), or set input_dropout=0"
    with pytest.raises(ValueError, match=message):
        make(MLPRegressor, input_dropout=0.1).fit(sparse, y)
    assert not make(MLPRegressor, input_dropout=0.1).__sklearn_tags__().input_tags.sparse


# Activations


@both_estimators
def test_an_activation_of_each_layer(Estimator):
    model = fitted(Estimator, activation=("tanh", Gelu()))
    assert model.network_.activations == ("tanh", "gelu", model.out_activation_)
    assert "layers" not in model.network_.definition
    assert_same_model(model, fitted(Estimator, activation=["tanh", "gelu"]))
    for name in ("relu", "tanh"):
        assert_same_model(fitted(Estimator, activation=name), fitted(Estimator, activation=[name] * 2))
    before = model.predict(X)
    model.coefs_ = [W.copy() for W in model.coefs_]  # weights of one's own
    assert_array_equal(model.predict(X), before)
    assert model.set_params(activation=["gelu", "tanh"]).network_.activations[:2] == ("gelu", "tanh")


@both_estimators
def test_no_hidden_layers(Estimator):
    y = labels(Estimator)
    model = make(Estimator, hidden_layer_sizes=(), activation=[], dropout=[], input_dropout=0.1).fit(X, y)
    assert model.network_.layers == (Dropout(0.1), Dense(model.n_outputs_))
    assert make(Estimator, hidden_layer_sizes=(), activation=[]).fit(X, y).network_.layer_sizes[0] == 4


@both_estimators
def test_activations_with_parameters(Estimator):
    model = fitted(Estimator, activation=["prelu", Blend(Prelu(), initial=0.5)])
    blocks = model.network_.blocks
    assert [name for name in blocks if name[0] in "as"] == ["slope_1", "slope_2", "alpha_1"]
    for name, first in (("slope_1", 0.25), ("slope_2", 0.25), ("alpha_1", 0.5)):
        assert blocks[name].shape == (8,)
        assert len(set(blocks[name])) > 1  # they were trained
        assert 0 < np.abs(blocks[name] - first).max() < 0.2
    model.set_params(activation=Blend()).set_params(activation__initial=0.3)
    assert model.activation == Blend(initial=0.3)


def test_an_activation_with_parameters_that_were_not_trained():
    model = fitted(MLPRegressor)
    before = model.predict(X)
    with pytest.raises(ValueError, match="activation='prelu' was set after fit, and has parameters that were not trai"):
        model.set_params(activation="prelu").predict(X)
    assert_array_equal(model.set_params(activation="relu").predict(X), before)
    for trained, others in (("prelu", ["relu", Blend()]), (Blend("silu"), ["relu", Blend("tanh")])):
        model = fitted(MLPRegressor, activation=trained)
        before = model.predict(X)
        for other in others:
            with pytest.raises(ValueError, match="was set after fit, "):
                model.set_params(activation=other).predict(X)
        assert_array_equal(model.set_params(activation=trained).predict(X), before)


@both_estimators
@pytest.mark.parametrize(
    "params",
    [
        {},
        dict(dropout=0.2, input_dropout=0.1),
        dict(normalization="layer"),
        dict(residual=True),
        dict(normalization="rms", residual=True, dropout=0.1),
        dict(frozen_layers=[0]),
    ],
    ids=str,
)
def test_an_activation_set_after_fit_is_followed(Estimator, params):
    """As scikit-learn does, whatever layers the other parameters ask for."""
    y = labels(Estimator)
    fitted_relu, fitted_tanh = (fitted(Estimator, activation=name, **params) for name in ("relu", "tanh"))
    fitted_tanh.network_.params[:] = fitted_relu.network_.params
    before = fitted_relu.predict(X)
    model = pickle.loads(pickle.dumps(fitted_relu)).set_params(activation="tanh")
    raw = model.network_.raw_prediction(X)
    assert_array_equal(raw, fitted_tanh.network_.raw_prediction(X))
    assert (raw != fitted_relu.network_.raw_prediction(X)).any()
    assert model.network_.activations[:-1] == ("tanh", "tanh")
    for copied in (pickle.loads(pickle.dumps(model)), slim(model)):
        assert_array_equal(copied.network_.raw_prediction(X), raw)
        assert_array_equal(copied.set_params(activation="relu").predict(X), before)
    # a list of names, and weights of one's own
    model.set_params(activation=["tanh", "relu"]).coefs_ = [W.copy() for W in model.coefs_]
    assert model.network_.activations[:-1] == ("tanh", "relu")
    assert_array_equal(model.set_params(activation="relu").predict(X), before)
    # training goes on with it
    model = pickle.loads(pickle.dumps(fitted_relu)).set_params(activation="tanh").partial_fit(X, y)
    assert model.network_.activations[:-1] == ("tanh", "tanh")


def test_activations_of_a_network_tell_what_is_there():
    for params, expected in (
        (dict(activation="prelu"), ("prelu", "prelu")),
        (dict(activation=["tanh", Blend("silu")]), ("tanh", "blend")),
        (dict(normalization="layer"), ("relu", "relu")),
        (dict(normalization="rms", dropout=0.1, residual=True, activation="gelu"), ("gelu", "gelu")),
    ):
        network = fitted(MLPRegressor, **params).network_
        assert network.activations == (*expected, "identity")
        assert ", ".join(expected) in repr(network)


# Normalization and residual connections


def data_and_1000_layers(activation):
    X = np.random.default_rng(0).uniform(-1, 1, (40, 2))
    params = dict(batch_size=40, max_iter=80, learning_rate="cosine", dtype="float32", n_threads=1, random_state=0)
    return X, X[:, 0] * X[:, 1] > 0, MLPClassifier((16,) * 1000, activation, **params)


@pytest.mark.parametrize("normalization", [None, "batch", "layer", "rms"])
@pytest.mark.parametrize("activation", ["relu", "tanh", "gelu"])
def test_1000_layers_train(activation, normalization):
    X, y, model = data_and_1000_layers(activation)
    model.set_params(residual=True, normalization=normalization)
    assert model.fit(X, y).score(X, y) > 0.9


@pytest.mark.parametrize("activation", ["relu", "tanh", "gelu"])
def test_without_residual_connections_1000_layers_do_not_train(activation):
    X, y, model = data_and_1000_layers(activation)
    # all rows have the same output
    assert np.ptp(model.fit(X, y).predict_proba(X), axis=0).max() < 1e-6


# Wrong values


@both_estimators
@pytest.mark.parametrize(
    ("params", "message"),
    [
        (dict(dropout=1.0), r"The 'dropout' parameter of \w+ must be a float in the range \[0.0, 1.0\)"),
        (dict(dropout=-0.1), r"The 'dropout' parameter of \w+ must be a float in the range"),
        (dict(dropout="0.5"), r"The 'dropout' parameter of \w+ must be a float in the range"),
        (dict(dropout=[0.5]), r"dropout must be one number or 2, one for each hidden layer; got \[0.5\]"),
        (dict(dropout=[0.5, 1.0]), "dropout must be a number >= 0 and < 1, got 1.0"),
        (dict(dropout=[0.5, np.nan]), "dropout must be a number >= 0 and < 1, got nan"),
        (dict(dropout=[0.5, None]), "dropout must be a number >= 0 and < 1, got None"),
        (dict(input_dropout=[0.5]), r"The 'input_dropout' parameter of \w+ must be a float in the range"),
        (dict(dropout=0.5, solver="lbfgs"), "solver='lbfgs' cannot train with dropout"),
        (dict(layers=[Dropout(0.5)], solver="lbfgs"), "solver='lbfgs' cannot train with dropout"),
        (dict(dropout=0.5, layers=[]), "dropout=0.5 cannot be combined with layers"),
        (dict(dropout=[0, 0.1], layers=[]), r"dropout=\[0, 0.1\] cannot be combined with layers"),
        (dict(input_dropout=0.5, layers=[]), "input_dropout=0.5 cannot be combined with layers"),
        (dict(residual=True, layers=[]), "residual=True cannot be combined with layers"),
        (dict(normalization="batch", layers=[]), "normalization='batch' cannot be combined with .*layers.BatchNorm"),
        (dict(normalization="layer", layers=[]), "normalization='layer' cannot be combined with .*layers.LayerNorm"),
        (dict(normalization="group"), r"The 'normalization' parameter of \w+ must be None or a str among"),
        (dict(activation=[Prelu(initial=np.nan), "relu"]), "The 'initial' parameter of Prelu must be a float"),
        (dict(activation=Blend("sine")), "The 'activation' parameter of Blend must be a str among"),
        (dict(residual=2), r"The 'residual' parameter of \w+ must be"),
        (dict(residual=True, hidden_layer_sizes=(3, 4)), "residual=True needs two hidden layers of equal width"),
        (dict(activation=["relu"]), r"activation must be one name or 2 names, one for each hidden layer; got \['relu'"),
        (dict(activation=["relu", "sine"]), "activation of a hidden layer must be one of .*; got 'sine'"),
        (dict(activation=["relu", 3]), "activation of a hidden layer must be one of ((?!softmax|exp).)*; got 3$"),
        (dict(activation=["relu", Softmax()]), r"activation of a hidden layer must be one of .*; got Softmax\(\)"),
        (dict(activation=["relu", "softmax"]), "activation of a hidden layer must be one of .*; got 'softmax'"),
    ],
)
def test_values_that_cannot_be(Estimator, params, message):
    model = fitted(Estimator)
    before = model.predict(X)
    with pytest.raises(ValueError, match=message):
        model.set_params(**params).fit(X, labels(Estimator))
    assert_array_equal(model.set_params(**make(Estimator).get_params()).predict(X), before)


@pytest.mark.parametrize("rate", [1, -0.1, np.nan, "0.5", None, True])
def test_a_rate_that_no_layer_can_have(rate):
    with pytest.raises(ValueError, match="rate must be a number >= 0 and < 1, got"):
        Dropout(rate)


def test_a_rate_of_zero_is_no_layer():
    assert_same_model(fitted(MLPClassifier), fitted(MLPClassifier, layers=[Dense(8, "relu"), Dropout(0.0)] * 2))
