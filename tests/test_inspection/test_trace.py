"""Every number of a traced pass against NumPy, the public functions of the kernels, and the compiled gradient."""

import numpy as np
import pytest
import scipy.sparse as sp
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import reference
from fastbp import MLPClassifier, MLPRegressor, Network
from fastbp.inspection import backprop_trace
from fastbp.kernels import activation_backward, activation_forward, dense_backward
from fastbp.layers import Activation, Dense, Residual, Scale
from network_cases import HIDDEN, PAIRS, SIZES, problem


def pseudo_huber(y_true, raw_prediction, sample_weight):
    """Charbonnier et al. (1994): sqrt(1 + r^2) - 1."""
    r = raw_prediction - y_true
    loss, gradient = (np.sqrt(1 + r**2) - 1).sum(axis=1), r / np.sqrt(1 + r**2)
    return (loss, gradient) if sample_weight is None else (loss * sample_weight, gradient * sample_weight[:, None])


def twin(network, X, y, weight):
    """(deltas, dWs, dbs, dX) of the weighted mean loss by the recursion, in NumPy and float64."""
    coefs, intercepts = ([w.astype(np.float64) for w in arrays] for arrays in (network.coefs, network.intercepts))
    A, Z = reference.forward(coefs, intercepts, X, network.activations)
    S = weight.sum()
    if callable(network.loss):
        deltas = [pseudo_huber(y, Z[-1], weight)[1] / S]
    else:
        dA = weight[:, None] / S * reference.LOSSES[network.kernel_loss][1](y, A[-1])
        deltas = [reference.ACTIVATIONS[network.activations[-1]][1](Z[-1], A[-1], dA)]
    dWs, dbs = [], []
    for i in reversed(range(len(coefs))):
        dWs.insert(0, A[i].T @ deltas[0] + network.alpha / S * coefs[i])
        dbs.insert(0, deltas[0].sum(axis=0))
        dX = deltas[0] @ coefs[i].T
        if i:
            deltas.insert(0, reference.ACTIVATIONS[network.activations[i - 1]][1](Z[i], A[i], dX))
    return A, Z, deltas, dWs, dbs, dX


def check_trace(network, X, y, weight, tolerance):
    trace = backprop_trace(network, X, y, weight)
    A, Z, deltas, dWs, dbs, dX = twin(network, X, y, np.ones(len(X)) if weight is None else weight)
    close = dict(rtol=tolerance, atol=tolerance)
    for i, layer in enumerate(trace.layers):
        assert layer.number == i + 1
        assert layer.activation == network.activations[i]
        assert_allclose(layer.inputs, A[i], **close)
        assert_allclose(layer.z, Z[i + 1], **close)
        assert_allclose(layer.a, A[i + 1], **close)
        assert_allclose(layer.delta, deltas[i], **close)
        assert_allclose(layer.dW, dWs[i], **close)
        assert_allclose(layer.db, dbs[i], **close)
        assert_allclose(layer.dW_data, layer.inputs.T @ layer.delta, **close)
        assert_array_equal(layer.W, network.coefs[i])
        if layer.activation == "softmax":
            slope = layer.a * (1 - layer.a)
        else:
            slope = reference.ELEMENTWISE[layer.activation][1](Z[i + 1])
        assert_allclose(layer.f_prime, slope, **close)
        for name, size in layer.norms.items():
            assert_allclose(size, np.sqrt((getattr(layer, name).astype(np.float64) ** 2).sum()), rtol=1e-6)
    assert_allclose(trace.dX, dX, **close)
    loss, gradient = network.loss_and_gradient(X, y, weight)
    assert_allclose(trace.loss, loss, rtol=tolerance)
    # the total is what the compiled pass returns, penalty and mean included
    assert_allclose(trace.gradient, gradient, **close)
    flat = np.concatenate([g.ravel() for g in [*(y.dW for y in trace.layers), *(y.db for y in trace.layers)]])
    assert_array_equal(flat, trace.gradient)
    assert {array.dtype for y in trace.layers for array in (y.z, y.a, y.delta, y.dW)} == {network.dtype}
    return trace


# Each number


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("hidden", HIDDEN)
def test_hidden_activation(hidden, weighted):
    X, y, weight = problem("squared_error")
    network = Network(SIZES, hidden, alpha=0.1, random_state=3)
    trace = check_trace(network, X, y, weight if weighted else None, 1e-12)
    for below, layer in zip(trace.layers, trace.layers[1:], strict=False):
        # equal to the public functions of the layer, bit for bit
        assert_array_equal(below.dA, dense_backward(layer.delta, layer.inputs, layer.W, layer.z)[0])
        assert_array_equal(below.delta, activation_backward(below.dA, below.a, hidden, Z=below.z))


@pytest.mark.parametrize(("output", "loss"), PAIRS)
def test_output_and_loss(output, loss):
    X, y, weight = problem(loss)
    network = Network(SIZES, ("tanh", "gelu"), output, loss, alpha=0.1, random_state=1)
    if output in ("relu", "leaky_relu", "elu", "selu"):
        network.intercepts[-1][...] = 3  # off the kink
    trace = check_trace(network, X, y, weight, 1e-11)
    last = trace.layers[-1]
    if last.dA is None:  # a canonical pair: delta = a - y, times the row's share
        assert_allclose(last.delta, (last.a - y) * (weight / weight.sum())[:, None], rtol=1e-14, atol=1e-16)
    else:
        assert_allclose(last.delta, activation_backward(last.dA, last.a, output, Z=last.z), rtol=1e-14)


@pytest.mark.parametrize(("output", "loss"), [*PAIRS[:3], ("softmax", "log_loss"), ("exp", "poisson")])
def test_float32(output, loss):
    X, y, weight = problem(loss)
    network = Network(SIZES, "silu", output, loss, alpha=0.1, dtype=np.float32, random_state=1)
    check_trace(network, X.astype(np.float32), y, weight, 2e-6)  # some dozen roundings of 6e-8


@pytest.mark.parametrize("output", ["identity", "logistic", "softplus"])
def test_loss_that_is_a_function(output):
    X, y, weight = problem("squared_error")
    network = Network(SIZES, "tanh", output, pseudo_huber, alpha=0.1, random_state=0)
    trace = check_trace(network, X, y, weight, 1e-12)
    assert trace.layers[-1].dA is None
    assert_allclose(trace.row_loss, pseudo_huber(y, trace.layers[-1].z, weight)[0])


def test_penalty_and_loss_add_up():
    X, y, weight = problem("squared_error")
    network = Network(SIZES, "tanh", alpha=0.3, random_state=0)
    trace = backprop_trace(network, X, y, weight)
    squares = sum((W**2).sum() for W in network.coefs)
    assert_allclose(trace.penalty, 0.15 * squares / weight.sum())
    assert_allclose(trace.loss, trace.row_loss.sum() / trace.weight_sum + trace.penalty)
    assert_allclose(trace.layers[0].dW - trace.layers[0].dW_data, 0.3 / weight.sum() * network.coefs[0], atol=1e-15)
    free = Network(SIZES, "tanh", random_state=0)
    layer = backprop_trace(free, X, y).layers[0]
    assert_array_equal(layer.dW, layer.dW_data)


def test_input_gradient():
    X, y, weight = problem("log_loss")
    network = Network(SIZES, "tanh", "softmax", "log_loss", alpha=0.1, random_state=0)
    assert_allclose(backprop_trace(network, X, y, weight).dX, network.input_gradient(X, y, weight), atol=1e-14)


# What it takes


def test_class_numbers_and_sparse_rows():
    X, y, weight = problem("log_loss")
    X[X < 0] = 0
    network = Network(SIZES, "tanh", "softmax", "log_loss", random_state=0)
    dense = backprop_trace(network, X, y, weight)
    for rows in (sp.csr_array(X), sp.csc_matrix(X)):
        trace = backprop_trace(network, rows, y.argmax(axis=1), weight)
        assert_array_equal(trace.gradient, dense.gradient)
        assert trace.loss == dense.loss


def test_trace_is_of_its_moment():
    X, y, _ = problem("squared_error")
    network = Network(SIZES, "tanh", random_state=0)
    params = network.params.copy()
    trace = backprop_trace(network, X, y)
    assert_array_equal(network.params, params)
    network.params[...] = 0
    assert trace.layers[0].W.any()


def test_gradients_smaller_than_the_root_of_the_smallest_number():
    # their squares are zero in float64, their norms are not
    network = Network([2, 2, 1], "tanh", random_state=0)
    network.coefs[1] *= 1e-200
    layer = backprop_trace(network, np.ones((1, 2)), np.zeros(1)).layers[0]
    assert 0 < layer.norms["dW"] < 1e-190
    assert_allclose(layer.norms["dW"], np.linalg.norm(layer.dW * 1e200) * 1e-200, rtol=1e-12)


def test_classifier_with_labels_of_its_own():
    X, _, _ = problem("log_loss", 60)
    y = np.array(["low", "middle", "high"])[np.digitize(X[:, 0], [-0.5, 0.5])]
    model = MLPClassifier((5,), random_state=0, max_iter=5, tol=0, n_iter_no_change=5)
    with pytest.warns(UserWarning, match="Maximum iterations"):
        model.fit(X, y)
    trace = backprop_trace(model, X, y)
    expected = model.network_.loss_and_gradient(X, np.searchsorted(model.classes_, y))
    assert_allclose(trace.loss, expected[0], rtol=1e-14)
    assert_allclose(trace.gradient, expected[1], rtol=1e-10, atol=1e-15)


# What it prints


def test_table():
    X, y, _ = problem("log_loss")
    network = Network(SIZES, "tanh", "softmax", "log_loss", alpha=0.5, random_state=0)
    trace = backprop_trace(network, X, y)
    head, rows, _, header, *lines = str(trace).splitlines()
    assert head == repr(network)
    assert rows == f"6 row(s), loss {trace.loss:.6g}, {trace.penalty:.6g} of it the penalty"
    assert " ".join(header.split()) == "layer shape activation |z| |a| mean f'(z) |delta| |W| |dW| |b| |db|"
    for layer, line in zip(trace.layers, lines, strict=False):
        n = layer.norms
        values = (n["z"], n["a"], layer.f_prime.mean(), n["delta"], n["W"], n["dW"], n["b"], n["db"])
        shape = f"{layer.W.shape[0]} x {layer.W.shape[1]}"
        assert line.split() == [str(layer.number), *shape.split(), layer.activation, *(f"{v:.3g}" for v in values)]
    assert "6 rows" in repr(trace)
    assert repr(trace.layers[2]) == "<LayerTrace 3: 3-2, softmax, 6 rows>"


# Errors


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ((np.ones((6, 3)), np.ones((6, 2))), ValueError, r"X must have shape \(n, 4\)"),
        ((np.ones((6, 4)), np.ones((5, 2))), ValueError, r"y must have shape \(6, 2\)"),
        ((np.ones((6, 4)), np.ones((6, 2)), np.ones(5)), ValueError, r"sample_weight must have shape \(6,\)"),
        ((np.ones((0, 4)), np.ones((0, 2))), ValueError, "X has no rows"),
        ((np.full((6, 4), "a"), np.ones((6, 2))), TypeError, "X must hold real numbers"),
    ],
)
def test_bad_arguments(arguments, error, message):
    with pytest.raises(error, match=message):
        backprop_trace(Network(SIZES, random_state=0), *arguments)


def test_other_objects():
    X, y, _ = problem("squared_error")
    with pytest.raises(NotFittedError):
        backprop_trace(MLPRegressor(), X, y)
    with pytest.raises(TypeError, match=r"got Pipeline.*the last step, and X as the steps before"):
        backprop_trace(make_pipeline(StandardScaler(), MLPRegressor()), X, y)


# Any layers


def network_of_layers(**settings):
    """A network with every kind of operation; the residual branch begins with an activation of what it passes by."""
    branch = [Activation("tanh"), Dense(6, "gelu"), Scale(0.7), Dense(8)]
    layers = [Dense(8, "silu"), Residual(branch), Scale(1.5), Activation("softplus"), Dense(3, use_bias=False)]
    return Network(layers=layers, n_features=5, random_state=1, alpha=0.1, **settings)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("output_activation", ["identity", "logistic"])
def test_every_kind_of_operation(output_activation, weighted):
    network = network_of_layers(output_activation=output_activation)
    rng = np.random.default_rng(0)
    X, Y, weight = rng.normal(size=(7, 5)), rng.normal(size=(7, 3)), rng.uniform(0, 2, 7) if weighted else None
    trace = backprop_trace(network, X, Y, weight)
    loss, gradient = network.loss_and_gradient(X, Y, weight)
    assert_allclose(trace.loss, loss, rtol=1e-12)
    assert_allclose(trace.gradient, gradient, rtol=1e-10, atol=1e-13)
    assert_allclose(trace.dX, network.input_gradient(X, Y, weight), rtol=1e-10, atol=1e-13)
    operations = trace.operations
    assert [op.kind for op in operations] == [op.kind for op in network.graph.operations]
    assert [name for op in operations for name in op.parameters] == [block.name for block in network.graph.blocks]
    dense, silu, tanh, _, _, scale, branch, total = operations[:8]
    # the two that read the output of silu give it their gradients
    assert_array_equal(tanh.inputs[0], silu.output)
    assert_array_equal(total.inputs[0], silu.output)
    assert_array_equal(total.inputs[1], branch.output)
    assert_array_equal(branch.d_output, total.d_output)
    through_tanh = activation_backward(tanh.d_output, tanh.output, "tanh")
    assert_allclose(silu.d_output, total.d_output + through_tanh, rtol=1e-12, atol=1e-15)
    assert_allclose(dense.d_output, activation_backward(silu.d_output, silu.output, "silu", Z=dense.output), rtol=1e-12)
    assert_allclose(scale.output, scale.inputs[0] * scale.parameters["s_1"], rtol=1e-12)
    assert_allclose(scale.gradients["s_1"], (scale.inputs[0] * scale.d_output).sum(axis=0), rtol=1e-12, atol=1e-15)
    assert (operations[-1].d_output is None) == (output_activation == "identity")
    assert "add" in str(trace)
    assert "s_2" in str(trace)
    assert [layer.W.shape for layer in trace.layers] == [(5, 8), (8, 6), (6, 8), (8, 3)]
    assert trace.layers[-1].b.shape == trace.layers[-1].db.shape == (0,)


@pytest.mark.parametrize("branch", [[Dense(5, "gelu")], [Activation("tanh"), Dense(5)], [Dense(5), Activation("relu")]])
def test_the_delta_of_every_layer_is_that_of_its_own_activation(branch):
    layers = [Dense(5), Residual(branch), Activation("silu"), Dense(2, "tanh")]
    network = Network(layers=layers, n_features=3, random_state=0)
    rng = np.random.default_rng(0)
    trace = backprop_trace(network, rng.normal(size=(7, 3)), rng.normal(size=(7, 2)))
    assert [layer.activation for layer in trace.layers] == list(network.graph.own_activations)
    for layer in trace.layers:
        assert_allclose(layer.z, layer.inputs @ layer.W + layer.b, rtol=1e-12, atol=1e-15)
        assert_allclose(layer.a, activation_forward(layer.z, layer.activation), rtol=1e-12)
        assert_allclose(layer.delta, layer.dA * layer.f_prime, rtol=1e-12, atol=1e-15)
        assert_allclose(layer.dW, layer.inputs.T @ layer.delta, rtol=1e-10, atol=1e-14)
