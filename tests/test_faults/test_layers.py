"""`layers` of the estimators: assigned weights, further training with other layers, and bad values."""

import copy
import pickle
from dataclasses import replace

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone

from estimator_layer_cases import (
    SCORE,
    SMALL,
    X,
    assert_same_model,
    both_estimators,
    fitted,
    labels,
    mixed_layers,
    output,
)
from fastbp import MLPClassifier, MLPRegressor, slim
from fastbp.layers import Dense, Layer, Residual, Scale

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


# Assigned weights


@pytest.mark.fault(41)
@both_estimators
@pytest.mark.parametrize(
    "change", [np.ndarray.tolist, np.asfortranarray, lambda a: a.astype(np.float32)], ids=["list", "fortran", "float32"]
)
def test_assigned_weights(Estimator, change):
    y = labels(Estimator)
    model, other = fitted(Estimator), fitted(Estimator)
    for network in (model.network_, other.network_):
        network.params = network.params.astype(np.float32)  # so that no change rounds
    before = output(model)
    other.coefs_, other.intercepts_ = tuple(map(change, other.coefs_)), [change(2 * b) for b in other.intercepts_]
    with np.errstate(all="raise"):
        assert (output(other) != before).any()
    for view in model.intercepts_:
        view *= 2
    for same in (other, pickle.loads(pickle.dumps(other)), slim(other), copy.copy(other)):
        assert_allclose(output(same), output(model), rtol=1e-5)
    if other.network_.dtype == np.float64:  # else the optimizer begins anew
        assert_same_model(model.partial_fit(X, y), other.partial_fit(X, y))


@pytest.mark.fault(41)
@pytest.mark.parametrize(
    ("name", "value", "error", "message"),
    [
        ("coefs_", [np.ones((4, 5))], ValueError, r"coefs_ must hold 4 arrays for the fitted layers, got 1"),
        ("intercepts_", [np.ones(5)] * 4, ValueError, r"intercepts_ must hold 3 arrays for the fitted layers, got 4"),
        ("intercepts_", [np.ones(5)] * 3, ValueError, r"intercepts_\[0\] must have shape \(6,\), got \(5,\)"),
        ("intercepts_", ["a"] * 3, TypeError, r"intercepts_\[0\] must hold real numbers, got dtype <U1"),
        ("coefs_", None, TypeError, r"coefs_ must be a list of arrays, got NoneType"),
    ],
)
def test_assigned_weights_that_do_not_fit(name, value, error, message):
    model = fitted(MLPRegressor)
    good, before = getattr(model, name), model.predict(X)
    setattr(model, name, value)
    for call in (model.predict, lambda X: model.partial_fit(X, labels(MLPRegressor)), lambda X: pickle.dumps(model)):
        with pytest.raises(error, match=message):
            call(X)
    setattr(model, name, good)
    assert_array_equal(model.predict(X), before)


def test_factors_that_are_not_finite():
    model = fitted(MLPClassifier)
    model.network_.blocks["s_2"][0] = np.nan
    with pytest.raises(ValueError, match=r"not a number: network_.blocks\['s_2'\] holds nan. Assign finite weights"):
        model.predict_proba(X)


# Further training


@pytest.mark.fault(38)
@both_estimators
@pytest.mark.parametrize("how", ["warm_start", "partial_fit"])
def test_further_training_with_changed_layers(Estimator, how):
    y = labels(Estimator)
    model = fitted(Estimator, warm_start=True)
    before = output(model)
    train = model.fit if how == "warm_start" else model.partial_fit
    for layers in (
        mixed_layers()[:-1],
        [Dense(5, "tanh", use_bias=False), Dense(5)],
        [Dense(5, "relu", use_bias=False), *mixed_layers()[1:]],
        [Dense(5, "tanh"), *mixed_layers()[1:]],
        None,
    ):
        message = r"go on with the fitted layers \[Dense\(units=5.* but layers=.* asks for \[Dense.*"
        model.set_params(layers=layers)
        with pytest.raises(
            ValueError, match=message + r"Set layers back to \[Dense.*, or fit anew with warm_start=Fal"
        ):
            train(X, y)
        assert_array_equal(output(model), before)
    train_again = fitted(Estimator, warm_start=True)
    train_again.fit(X, y) if how == "warm_start" else train_again.partial_fit(X, y)
    model.set_params(layers=mixed_layers())
    train(X, y)
    assert_same_model(model, train_again)


def test_further_training_by_size_or_by_layers():
    y = labels(MLPRegressor)
    by_size = MLPRegressor(hidden_layer_sizes=(5, 3), activation="tanh", **SMALL, warm_start=True).fit(X, y)
    by_layers = clone(by_size).fit(X, y).set_params(layers=[Dense(5, "tanh"), Dense(3, "tanh")])
    assert_same_model(by_size.fit(X, y), by_layers.fit(X, y))
    assert_same_model(by_size.partial_fit(X, y), by_layers.set_params(layers=None).partial_fit(X, y))
    with pytest.raises(ValueError, match=r"fitted layers \[Dense.* but layers=\[.* asks for \[Dense\(units=5"):
        by_layers.set_params(layers=[Dense(5, "tanh")]).fit(X, y)


@pytest.mark.parametrize("how", ["warm_start", "partial_fit"])
def test_layers_can_be_frozen_for_further_training(how):
    y = labels(MLPRegressor)
    layers = [Dense(5, "tanh"), Scale(), Dense(4, "tanh")]
    model = fitted(MLPRegressor, layers, warm_start=True)
    before = {name: block.copy() for name, block in model.network_.blocks.items()}
    model.layers = [*(replace(layer, learning_rate_factor=0.0) for layer in layers[:2]), layers[2]]
    model.fit(X, y) if how == "warm_start" else model.partial_fit(X, y)
    for name, block in model.network_.blocks.items():
        assert (block == before[name]).all() == (name in ("W_1", "b_1", "s_1")), name


def test_a_changed_output_counts_in_further_training():
    y = np.exp(SCORE[:, 0])
    model = MLPRegressor(layers=mixed_layers(), warm_start=True, **SMALL).fit(X, y)
    raw = model.predict(X)
    assert_array_equal(model.set_params(loss="poisson").predict(X), raw)
    model.fit(X, y)
    assert model.network_.graph.output_activation == model.out_activation_ == "exp"
    assert (model.predict(X) > 0).all()
    with pytest.raises(ValueError, match=r"but y asks for .*Dense\(units=2, act.* Bring data with as many"):
        model.fit(X, np.exp(SCORE))


# Bad values


class WithoutEmit(Layer):
    pass


@pytest.mark.fault(17)
@both_estimators
@pytest.mark.parametrize(
    ("layers", "error", "message"),
    [
        (
            Dense(3),
            TypeError,
            r"layers must be None or a list of objects of fastbp.layers, such as .*; got Dense\(units=3",
        ),
        ("relu", TypeError, "layers must be None or a list of objects of fastbp.layers, such as .*; got 'relu'"),
        (100, TypeError, "layers must be None or a list of objects of fastbp.layers, such as .*; got 100"),
        (iter([Dense(3)]), TypeError, "layers must be None or a list of objects of fastbp.layers"),
        ([Dense(3), 100], TypeError, r"layers\[1\] must be an object of fastbp.layers, such as .*; got 100"),
        ([Dense], TypeError, r"layers\[0\] must be an object of fastbp.layers, such as .*; got <class"),
        ([Residual([])], ValueError, "a Residual needs at least one layer"),
        ([Residual([Dense(3)])], ValueError, "must end with the width that they begin with, 4; got 3"),
        ([WithoutEmit()], TypeError, "WithoutEmit must have a method emit"),
        ([Dense(10**12)], MemoryError, r"layers=\[Dense\(units=1000000000000.* is too large"),
    ],
)
def test_bad_layers(Estimator, layers, error, message):
    model = fitted(Estimator)
    before = output(model)
    model.set_params(layers=layers)
    for train in (model.fit, model.partial_fit):
        with pytest.raises(error, match=message):
            train(X, labels(Estimator))
    assert_array_equal(output(model), before)
