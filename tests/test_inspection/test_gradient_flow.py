"""`gradient_flow`: its measurements, and that training is not changed."""

import copy
import pickle

import numpy as np
import pytest
import scipy.sparse as sp
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone

from fastbp import MLPClassifier, MLPRegressor, Network
from fastbp.inspection import GradientFlow, backprop_trace, gradient_flow
from fastbp.inspection.gradient_flow import PROBE_ROWS, probe
from fastbp.training import TrainingState

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

RNG = np.random.default_rng(0)
X = RNG.normal(size=(80, 4))
LABELS = np.array(["a", "b", "c"])[np.digitize(X[:, 0] * X[:, 1], [-0.3, 0.3])]
Y = np.sin(X[:, 0])


def state_of(network, rows=X, targets=Y[:, None], weight=None, max_iter=9):
    return TrainingState(network, max_iter, rows, targets, weight)


def fitted(flow, activation="tanh", hidden=(5, 3), **arguments):
    model = MLPClassifier(
        hidden, activation, **{"max_iter": 6, "tol": 0, "random_state": 0, "callbacks": flow} | arguments
    )
    return model.fit(X, LABELS)


# What is measured


def test_numbers_of_the_last_measurement():
    flow = gradient_flow()
    model = fitted(flow, alpha=0.5)
    trace = backprop_trace(model, X, LABELS)
    assert flow.activations == ("tanh", "tanh", "softmax")
    assert flow.shapes == [(4, 5), (5, 3), (3, 3)]
    for i, layer in enumerate(trace.layers):
        # the gradient of the data alone: the penalty would hide that it vanishes
        assert_allclose(flow.gradient_norms[-1, i], np.linalg.norm(layer.dW_data), rtol=1e-12)
        assert_allclose(flow.gradient_rms[-1, i], np.sqrt((layer.dW_data**2).mean()), rtol=1e-12)
        assert_allclose(flow.weight_norms[-1, i], np.linalg.norm(layer.W), rtol=1e-12)
    assert flow.gradient_norms.shape == flow.dead.shape == (7, 3)
    assert np.isnan(flow.dead[:, -1]).all()
    assert np.isnan(flow.saturated[:, -1]).all()


def test_update_ratio_is_that_of_an_epoch():
    network = Network([4, 5, 1], "tanh", random_state=0)
    flow, state = gradient_flow(every=4), state_of(network)
    flow.on_fit_begin(state)
    before = [W.copy() for W in network.coefs]
    for W, step in zip(network.coefs, (0.1, 0.3), strict=True):
        W *= 1 + 4 * step
    state.history.n_iter = 4
    assert flow.on_epoch_end(state) is False
    assert np.isnan(flow.update_ratios[0]).all()
    assert_allclose(flow.update_ratios[1], [0.1, 0.3])
    assert_allclose(flow.weight_norms[0], [np.linalg.norm(W) for W in before])


def test_dead_units():
    network = Network([4, 5, 3, 1], "relu", random_state=0)
    network.intercepts[0][:2] = -100
    flow = gradient_flow()
    flow.on_fit_begin(state_of(network))
    alive = network.copy()
    assert_allclose(flow.dead[0, 0], 2 / 5)
    assert flow.saturated[0, 0] == 0
    # dead on the rows of the probe, on which the callback measures
    network = alive
    network.intercepts[0][...] = -100
    flow = gradient_flow(np.full((2, 4), 200.0), np.zeros(2))
    flow.on_fit_begin(state_of(network))
    assert flow.dead[0, 0] < 1


@pytest.mark.parametrize(("activation", "edge"), [("tanh", 0.95**0.5), ("logistic", None)])
def test_saturated_units(activation, edge):
    # one input, one unit, weight 1: the slope of row i is f'(x_i)
    network = Network([1, 1, 1], activation, random_state=0)
    network.params = [1, 1, 0, 0]
    rows = np.linspace(-8, 8, 101)[:, None]
    flow = gradient_flow(rows, np.zeros(101))
    flow.on_fit_begin(state_of(network))
    if activation == "tanh":
        expected = (np.abs(np.tanh(rows)) > edge).mean()  # 1 - a^2 < 0.05
    else:
        a = 1 / (1 + np.exp(-rows))
        expected = (a * (1 - a) < 0.05 * 0.25).mean()
    assert 0.3 < expected < 0.9
    assert_allclose(flow.saturated[0, 0], expected)


def test_vanishing_and_exploding():
    flow = gradient_flow()
    assert flow.vanishing == flow.exploding == ()
    fitted(flow, "logistic", [6] * 9)
    assert set(flow.vanishing) >= {1, 2, 3}
    assert {8, 9, 10}.isdisjoint(flow.vanishing)
    assert flow.exploding == ()
    rms = flow.gradient_rms[-1]
    assert_allclose(flow.relative_gradient, rms / rms[-1])
    assert f"layer(s) {', '.join(map(str, flow.vanishing))}: the gradient vanishes" in str(flow)

    network = Network([4] + [6] * 9 + [1], "relu", random_state=0)
    for W in network.coefs[1:]:
        W *= 8
    flow = gradient_flow()
    flow.on_fit_begin(state_of(network))
    # outputs grow as gradients do: all layers are of one size, far above their weights
    assert flow.exploding == tuple(range(1, 11))
    assert "the gradient explodes" in str(flow)

    network = Network([4, 6, 6, 1], "identity", random_state=0)
    network.coefs[0][...] *= 1e-6
    network.intercepts[0][...] = network.intercepts[1][...] = 0
    flow = gradient_flow()
    flow.on_fit_begin(state_of(network))
    # dW_1 = X^T delta, while dW_2 and dW_3 are products with outputs of 1e-6
    assert flow.exploding == (1,)
    assert flow.vanishing == ()

    network.params[0] = np.nan
    flow = gradient_flow()
    flow.on_fit_begin(state_of(network))
    assert 1 in flow.exploding


def test_healthy_training_gives_no_hint():
    flow = gradient_flow()
    fitted(flow, "tanh", (8, 8))
    assert flow.vanishing == flow.exploding == ()
    assert "gradient vanishes" not in str(flow)


# When


@pytest.mark.parametrize(("every", "epochs"), [(1, [0, 1, 2, 3, 4, 5, 6]), (4, [0, 4, 6]), (3, [0, 3, 6]), (9, [0, 6])])
def test_epochs(every, epochs):
    flow = gradient_flow(every=every)
    fitted(flow)
    assert flow.epochs == epochs
    assert len(flow.weight_norms) == len(epochs)


@pytest.mark.parametrize("arguments", [{"solver": "lbfgs"}, {"early_stopping": True}, {"solver": "sgd"}])
def test_every_solver(arguments):
    flow = gradient_flow()
    model = fitted([flow], **arguments)
    assert flow.epochs == list(range(model.n_iter_ + 1))
    assert np.isfinite(flow.gradient_norms).all()


def test_partial_fit_goes_on_and_fit_begins_anew():
    flow = gradient_flow(every=2)
    model = MLPRegressor(hidden_layer_sizes=(5,), random_state=0, callbacks=flow, max_iter=3)
    for _ in range(3):
        model.partial_fit(X, Y)
    assert flow.epochs == [0, 1, 2, 3]
    assert (flow.update_ratios[1:] > 0).all()
    model.fit(X, Y)
    assert flow.epochs == [0, 2, 3]
    MLPRegressor(hidden_layer_sizes=(5, 5), random_state=0, callbacks=flow, max_iter=3).fit(X, Y)
    assert flow.gradient_norms.shape == (3, 3)


def test_training_is_as_without():
    plain = MLPClassifier((5, 3), max_iter=6, tol=0, random_state=0).fit(X, LABELS)
    watched = fitted(gradient_flow(), "relu")
    assert_array_equal(plain.network_.params, watched.network_.params)
    assert plain.loss_curve_ == watched.loss_curve_


# On what


def test_probe_of_few_rows_is_all_of_them():
    weight = np.ones(80)
    weight[10] = 0
    rows, targets, found = probe(state_of(None, X, Y[:, None], weight))
    assert_array_equal(rows, np.delete(X, 10, axis=0))
    assert_array_equal(targets[:, 0], np.delete(Y, 10))
    assert_array_equal(found, np.ones(79))


def test_probe_of_many_rows_is_evenly_spaced():
    many = np.arange(10_000.0)[:, None]
    state = state_of(None, many, many)
    rows, targets, weight = probe(state)
    assert len(rows) == PROBE_ROWS == 256
    assert weight is None
    assert_array_equal(rows, targets)
    assert rows[0, 0] == 0
    assert rows[-1, 0] == 9_999
    assert set(np.diff(rows[:, 0])) == {39, 40}
    state.train_rows = np.random.default_rng(0).permutation(5_000)
    held_in = probe(state)[0][:, 0]
    assert held_in.max() == 4_999
    assert (np.diff(held_in) > 0).all()


def test_probe_leaves_out_the_rows_held_out():
    flow, seen = gradient_flow(), []

    class Spy:
        def on_fit_begin(self, state):
            seen.append((probe(state)[0], np.sort(state.train_rows)))

    fitted([flow, Spy()], early_stopping=True, validation_fraction=0.3)
    rows, training = seen[0]
    assert_array_equal(rows, X[training])
    assert len(rows) == 56


def test_rows_of_the_user():
    flow = gradient_flow(X[:7], [0, 1, 2, 0, 1, 2, 0], np.arange(7.0))
    model = fitted(flow)
    expected = backprop_trace(model.network_, X[:7], [0, 1, 2, 0, 1, 2, 0], np.arange(7.0))
    assert_allclose(flow.gradient_norms[-1, 0], np.linalg.norm(expected.layers[0].dW_data))


def test_sparse_rows():
    rows = np.where(X > 0, X, 0)
    flows = gradient_flow(), gradient_flow()
    for flow, data in zip(flows, (rows, sp.csr_array(rows)), strict=True):
        MLPClassifier((5,), max_iter=3, random_state=0, callbacks=flow).fit(data, LABELS)
    assert_allclose(flows[0].gradient_norms, flows[1].gradient_norms, rtol=1e-10)


# The object


def test_copies_keep_the_record():
    flow = gradient_flow(every=2)
    model = fitted(flow)
    for other in (copy.deepcopy(flow), pickle.loads(pickle.dumps(flow)), clone(model).callbacks):
        assert str(other) == str(flow)
        assert other.every == 2
    empty = clone(MLPClassifier(callbacks=gradient_flow())).callbacks
    assert empty.epochs == []
    assert empty.gradient_norms.shape == (0, 0)


def test_table():
    flow = gradient_flow()
    assert "nothing measured yet" in str(flow)
    fitted(flow)
    lines = str(flow).splitlines()
    assert lines[0] == "Gradient flow, epochs 0 to 6, 7 measurement(s)"
    assert " ".join(lines[2].split()) == (
        "layer shape activation |dW| first |dW| last vs output |W| first |W| last update/epoch dead saturated"
    )
    assert len(lines) == 6
    assert lines[3].split()[:6] == ["1", "4", "x", "5", "tanh", f"{flow.gradient_norms[0, 0]:.3g}"]
    assert lines[-1].split()[-2:] == ["-", "-"]
    assert repr(flow) == "<GradientFlow: 7 measurement(s) of 3 layer(s)>"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (dict(X=X), "X and y must be given together"),
        (dict(y=Y), "X and y must be given together"),
        (dict(sample_weight=Y), "sample_weight must be given together with X and y"),
        (dict(every=0), "every must be an integer >= 1, got 0"),
        (dict(every=1.5), "every must be an integer >= 1, got 1.5"),
        (dict(every=True), "every must be an integer >= 1, got True"),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        GradientFlow(**arguments)


def test_probe_that_does_not_fit_the_network():
    with pytest.raises(ValueError, match=r"X must have shape \(n, 4\)"):
        fitted(gradient_flow(X[:, :2], Y))
    with pytest.raises(TypeError, match="y must hold real numbers"):
        fitted(gradient_flow(X, LABELS))
