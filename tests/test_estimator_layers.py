"""`layers` of the estimators: hidden layers as objects; `estimators/construction.py`, `estimators/weights.py`."""

import copy
import pickle

import numpy as np
import pytest
import scipy.sparse as sp
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV

import reference
from estimator_layer_cases import (
    RNG,
    SCORE,
    SMALL,
    N,
    X,
    assert_same_model,
    both_estimators,
    fitted,
    labels,
    mixed_layers,
    output,
)
from fastbp import MLPClassifier, MLPRegressor, slim
from fastbp.activations import Relu
from fastbp.layers import Activation, Dense, Residual, Scale

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


# Dense layers: the model of hidden_layer_sizes and activation


@both_estimators
@pytest.mark.parametrize("solver", ["sgd", "adam", "lbfgs"])
@pytest.mark.parametrize(
    ("sizes", "activation", "layers"),
    [
        ((100,), "relu", [Dense(100, "relu")]),
        ((7, 5), "logistic", [Dense(7, "logistic"), Dense(5), Activation("logistic")]),
        ((6, 6), "identity", (Dense(6), Dense(6))),
        ((), "relu", []),
    ],
    ids=["default", "logistic", "identity", "no hidden layer"],
)
def test_dense_layers_give_the_model_of_the_sizes(Estimator, solver, sizes, activation, layers):
    y = labels(Estimator)
    params = SMALL | dict(solver=solver, early_stopping=True, validation_fraction=0.2)
    by_size = Estimator(hidden_layer_sizes=sizes, activation=activation, **params).fit(X, y)
    by_layers = Estimator(layers=layers, **params).fit(X, y)
    assert_same_model(by_size, by_layers)
    assert by_layers.loss_ == by_size.loss_
    assert by_layers.n_iter_ == by_size.n_iter_
    assert by_layers.n_layers_ == by_size.n_layers_ == len(sizes) + 2
    if solver != "lbfgs":
        for _ in range(2):
            for model in (by_size, by_layers):
                model.set_params(early_stopping=False).partial_fit(X, y)
        assert_same_model(by_size, by_layers)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("container", [np.asarray, sp.csr_array, sp.csc_matrix])
def test_sparse_rows_and_several_outputs(dtype, container):
    given = container(np.where(X > 0, X, 0).astype(dtype))
    for Estimator, y in ((MLPRegressor, SCORE), (MLPClassifier, (SCORE > 0).astype(int))):
        by_size = Estimator((9,), **SMALL) if Estimator is MLPClassifier else Estimator("squared_error", (9,), **SMALL)
        by_layers = Estimator(**SMALL, layers=[Dense(9, Relu())])
        assert_array_equal(by_size.fit(given, y).network_.params, by_layers.fit(given, y).network_.params)
        assert by_layers.network_.dtype == dtype
        assert_array_equal(by_size.predict(given), by_layers.predict(given))


def test_layers_come_before_sizes_and_activation():
    y = labels(MLPRegressor)
    model = MLPRegressor(hidden_layer_sizes=(3, 3), activation="tanh", layers=[Dense(8, "relu")], **SMALL).fit(X, y)
    assert_same_model(model, MLPRegressor(hidden_layer_sizes=(8,), **SMALL).fit(X, y))
    before = model.predict(X)
    assert_array_equal(model.set_params(activation="logistic").predict(X), before)
    # without them the next fit is one by size; the fitted model stays what it is
    assert_array_equal(model.set_params(layers=None).predict(X), before)
    assert model.fit(X, y).network_.layer_sizes == (4, 3, 3, 1)


# Other layers


@both_estimators
def test_the_network_of_other_layers(Estimator):
    model = fitted(Estimator)
    n_outputs = 3 if Estimator is MLPClassifier else 1
    blocks = model.network_.blocks
    assert {name: block.shape for name, block in blocks.items()} == {
        "W_1": (4, 5),
        "W_2": (5, 6),
        "W_3": (6, 5),
        "W_4": (5, n_outputs),
        "s_1": (5,),
        "b_2": (6,),
        "s_2": (6,),
        "b_3": (5,),
        "b_4": (n_outputs,),
    }
    assert model.n_layers_ == 5
    assert model.network_.layers == (*mixed_layers(), Dense(n_outputs))
    for views, names in ((model.coefs_, ["W_1", "W_2", "W_3", "W_4"]), (model.intercepts_, ["b_2", "b_3", "b_4"])):
        for view, name in zip(views, names, strict=True):
            assert_array_equal(view, blocks[name])
            assert np.shares_memory(view, model.network_.params)
    (W1, W2, W3, W4), (b2, b3, b4) = model.coefs_, model.intercepts_
    a = np.tanh(X @ W1) * blocks["s_1"]
    a = np.tanh(a + (np.logaddexp(0, a @ W2 + b2) * blocks["s_2"]) @ W3 + b3)
    z = a @ W4 + b4
    expected = reference.ACTIVATIONS["softmax"][0](z) if Estimator is MLPClassifier else z[:, 0]
    assert_allclose(output(model), expected, rtol=1e-12)


@both_estimators
@pytest.mark.parametrize("first", [[], [Dense(4, "softmax")]], ids=["", "softmax"])
def test_gradient_against_finite_differences(Estimator, first):
    model = fitted(Estimator, [*first, *mixed_layers()], alpha=0.1)
    network, data, targets = model._network_and_data(X, labels(Estimator))
    weight = RNG.uniform(0.5, 2, N)
    _, gradient = network.loss_and_gradient(data, targets, weight)
    start, step = network.params.copy(), 1e-6

    def loss_at(i, change):
        network.params = start + change * np.eye(1, len(start), i)[0]
        return network.loss_and_gradient(data, targets, weight)[0]

    differences = [(loss_at(i, step) - loss_at(i, -step)) / (2 * step) for i in range(len(start))]
    assert_allclose(gradient, differences, rtol=1e-6, atol=1e-8)


@both_estimators
@pytest.mark.parametrize("solver", ["sgd", "adam", "lbfgs"])
def test_training_of_a_residual_network(Estimator, solver):
    layers = [Dense(16, "relu"), *(Residual([Dense(16, "relu"), Dense(16)]) for _ in range(6)), Activation("relu")]
    params = dict(layers=layers, solver=solver, learning_rate_init=0.01, random_state=0, tol=0)
    model = Estimator(**params, max_iter=200).fit(X, labels(Estimator))
    begin = Estimator(**params, max_iter=1).fit(X, labels(Estimator))
    assert model.score(X, labels(Estimator)) > max(0.95, begin.score(X, labels(Estimator)))
    assert model.loss_ < begin.loss_ / 5


def test_a_layer_that_appears_twice_has_parameters_for_each():
    block = Residual([Dense(5, "tanh"), Scale()])
    twice = fitted(MLPRegressor, [Dense(5), block, block])
    assert_same_model(twice, fitted(MLPRegressor, [Dense(5), block, copy.deepcopy(block)]))
    assert twice.network_.n_params == 25 + 2 * 35 + 6
    assert (twice.coefs_[1] != twice.coefs_[2]).all()


def test_factors_of_learning_rate_and_penalty():
    y = labels(MLPRegressor)
    still = [Dense(5, "tanh", learning_rate_factor=0), Scale(learning_rate_factor=0), Dense(4, "tanh")]
    model = MLPRegressor(layers=still, **SMALL)
    begin = copy.deepcopy(model).set_params(learning_rate_init=1e-300).fit(X, y).network_.blocks
    end = model.fit(X, y).network_.blocks
    for name in end:
        assert (end[name] == begin[name]).all() == (name in ("W_1", "b_1", "s_1")), name
    # without a penalty on the first layer the two learn something else
    free = MLPRegressor(layers=[Dense(5, "tanh", penalty_factor=0)], alpha=10, **SMALL).fit(X, y)
    penalized = MLPRegressor(layers=[Dense(5, "tanh")], alpha=10, **SMALL).fit(X, y)
    assert np.abs(free.coefs_[0]).sum() > np.abs(penalized.coefs_[0]).sum()
    loss, _ = free.network_.loss_and_gradient(X, y)
    unpenalized = ((free.predict(X) - y) ** 2).mean() / 2
    assert_allclose(loss - unpenalized, 10 / 2 * (free.coefs_[1] ** 2).sum() / N, rtol=1e-10)


def test_early_stopping_and_callbacks():
    class Count:
        def on_epoch_end(self, state):
            self.blocks = state.network.blocks.keys()

    counter = Count()
    model = fitted(MLPClassifier, early_stopping=True, max_iter=30, learning_rate_init=0.1, callbacks=counter)
    assert counter.blocks == model.network_.blocks.keys()
    assert model.best_validation_score_ == max(model.validation_scores_)


# Sparse rows


@pytest.mark.parametrize("solver", ["sgd", "adam", "lbfgs"])
@pytest.mark.parametrize("first", [Scale(), Residual([Dense(4)])], ids=str)
def test_sparse_rows_for_another_layer_than_dense(solver, first):
    y = labels(MLPRegressor)
    model = MLPRegressor(layers=[first, Dense(3, "relu")], solver=solver, **SMALL).fit(X, y)
    assert not model.__sklearn_tags__().input_tags.sparse
    before = model.predict(X)
    name = type(first).__name__
    message = f"a sparse X can be read by Dense layers only, and here {name} reads it too; use X.toarray"
    for call in (model.predict, lambda X: model.fit(X, y), lambda X: model.score(X, y)):
        with pytest.raises(ValueError, match=message):
            call(sp.csr_array(X))
    assert_array_equal(model.predict(X), before)


@pytest.mark.parametrize("solver", ["sgd", "adam", "lbfgs"])
def test_sparse_rows_for_other_layers_behind_a_dense_one(solver):
    y = labels(MLPRegressor)
    dense, sparse = (fitted(MLPRegressor, solver=solver) for _ in range(2))
    assert dense.__sklearn_tags__().input_tags.sparse
    sparse.fit(sp.csr_array(X), y)
    assert_allclose(sparse.predict(sp.csr_array(X)), dense.predict(X), rtol=1e-9)


# Copies


COPIES = {
    "pickle": lambda model: pickle.loads(pickle.dumps(model)),
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
    "slim": slim,
    "slim pickle": lambda model: pickle.loads(pickle.dumps(slim(model))),
}


@both_estimators
@pytest.mark.parametrize("how", COPIES)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_copies_have_all_parameters_as_their_own(Estimator, how, dtype):
    model = fitted(Estimator).fit(X.astype(dtype), labels(Estimator))
    other = COPIES[how](model)
    assert_same_model(model, other)
    assert vars(other).keys() | {"_is_slim"} >= {name for name in vars(model) if name.endswith("_")}
    assert other.layers == model.layers
    assert other.network_.dtype == dtype
    before = output(model)
    other.network_.params *= 2
    assert (other.coefs_[0] == 2 * model.coefs_[0]).all()
    assert_array_equal(output(model), before)


@both_estimators
def test_a_pickle_holds_each_parameter_once(Estimator):
    model = slim(fitted(Estimator, [Dense(200, "relu"), Scale()]))
    size = model.network_.params.nbytes
    assert size < len(pickle.dumps(model)) < size + 4000


@both_estimators
def test_a_pickle_goes_on(Estimator):
    y = labels(Estimator)
    model = fitted(Estimator)
    other = pickle.loads(pickle.dumps(model))
    for _ in range(2):
        assert_same_model(model.partial_fit(X, y), other.partial_fit(X, y))
    assert_same_model(model.fit(X, y), other.fit(X, y))


def test_a_pickle_of_weights_and_biases_only():
    # an older version stored coefs_ and intercepts_, and the estimator had no layers
    model = MLPRegressor(hidden_layer_sizes=(5,), **SMALL).fit(X, SCORE)
    old = {name: value for name, value in copy.deepcopy(vars(model)).items() if name not in ("_network", "layers")}
    other = object.__new__(MLPRegressor)
    other.__setstate__({**old, "_fastbp_version": model.__getstate__()["_fastbp_version"]})
    assert_same_model(model, other)
    assert_same_model(model.partial_fit(X, SCORE), other.partial_fit(X, SCORE))


@both_estimators
def test_clones(Estimator):
    model = fitted(Estimator)
    other = clone(model)
    assert not hasattr(other, "coefs_")
    assert other.get_params() == model.get_params()
    assert all(a is not b for a, b in zip(other.layers, model.layers, strict=True))
    assert_same_model(model, other.fit(X, labels(Estimator)))
    assert clone(Estimator(layers=(Dense(3),))).layers == (Dense(3),)
    assert repr(Estimator(layers=[Dense(3)])).count("Dense(units=3") == 1


def test_grid_search():
    candidates = [[Dense(4, "tanh")], [Dense(8, "tanh"), Residual([Dense(8, "tanh"), Dense(8)])], [], None]
    search = GridSearchCV(MLPRegressor(**SMALL, solver="lbfgs"), {"layers": candidates}, cv=3, error_score="raise")
    search.fit(X, labels(MLPRegressor))
    assert search.best_params_["layers"] in candidates
    assert search.cv_results_["param_layers"].tolist() == candidates
    best = clone(search.best_estimator_).fit(X, labels(MLPRegressor))
    assert_same_model(search.best_estimator_, best)


def test_the_fitted_model_has_layers_of_its_own():
    y = labels(MLPRegressor)
    model = fitted(MLPRegressor, [Dense(5, "relu"), Residual([Dense(5)])])
    before = model.predict(X)
    model.layers[:] = [Dense(5, "tanh"), Residual([Dense(7)]), Scale()]
    for other in (model, pickle.loads(pickle.dumps(model)), copy.deepcopy(model), slim(model)):
        assert_array_equal(other.predict(X), before)
        assert other.network_.layers == (Dense(5, "relu"), Residual([Dense(5)]), Dense(1))
    with pytest.raises(ValueError, match="the layers of a Residual must end with the width that they begin with, 5"):
        model.fit(X, y)
    assert_array_equal(model.predict(X), before)
