"""Layers as objects, and networks that are made of them; `layers/`."""

import pickle
import re
from copy import copy, deepcopy
from dataclasses import FrozenInstanceError, dataclass, fields, replace

import numpy as np
import pytest
import scipy.sparse as sp
from numpy.testing import assert_allclose, assert_array_equal

import reference
from fastbp import Network, activations
from fastbp.data import make_data
from fastbp.initializers import INITIALIZERS
from fastbp.inspection import gradient_check
from fastbp.kernels.data import Data
from fastbp.kernels.graph import GraphBuilder, Group
from fastbp.kernels.plan import Plan
from fastbp.kernels.program import TRAINING, Program
from fastbp.kernels.training import TrainingLoop
from fastbp.layers import Activation, Dense, Dropout, Layer, Residual, Scale
from fastbp.optimizers import SGD, Adam
from fastbp.training import OptimizerState
from graph_reference import GraphTwin
from layer_cases import STACKS

RNG = np.random.default_rng(0)
X, y = RNG.normal(size=(40, 4)), RNG.normal(size=(40, 2))
LAYERS = [
    Dense(5, "tanh"),
    Dense(5, use_bias=False, learning_rate_factor=0.5, penalty_factor=2),
    Activation("gelu"),
    Residual([Dense(7, "relu"), Scale(0.5, learning_rate_factor=0.0), Dense(5)]),
    Dense(2),
]


def make(layers=LAYERS, n_features=4, **params):
    return Network(layers=layers, n_features=n_features, random_state=0, **params)


def train(network, optimizer=None, epochs=3, rate=0.05):
    """The losses of some epochs of 16 rows a step."""
    data = make_data(X, y, None, 2, network.dtype)
    state = OptimizerState(optimizer or SGD(), network.n_params, network.dtype)
    loop, losses = network.training_loop(data, 16), np.empty(epochs)
    state.attach(loop, network.alpha)
    loop.train(None, None, 1.0, np.full(epochs, rate), losses)
    return losses


# The objects


@pytest.mark.parametrize("layer", LAYERS, ids=str)
def test_equality_copies_and_pickles(layer):
    assert layer == layer
    for other in (copy(layer), deepcopy(layer), pickle.loads(pickle.dumps(layer)), eval(repr(layer))):
        assert other is not layer
        assert other == layer
        assert repr(other) == repr(layer)


def test_what_is_not_equal():
    different = [Dense(5), Dense(6), Dense(5, "tanh"), Dense(5, use_bias=False), Dense(5, penalty_factor=2), Scale()]
    different += [Scale(2.0), Activation("tanh"), Residual([Dense(5)]), Residual([Dense(6)]), Residual([])]
    for i, one in enumerate(different):
        assert [one == other for other in different] == [i == j for j in range(len(different))]


def test_repr():
    scale = "Scale(initial=2.0, learning_rate_factor=1.0, penalty_factor=0.0)"
    assert repr(Residual([Scale(2.0)])) == f"Residual(layers=({scale},))"
    assert repr(Activation("tanh")) == "Activation(activation='tanh', learning_rate_factor=1.0)"


def test_a_residual_has_a_tuple_of_its_own():
    layers = [Dense(4)]
    residual = Residual(layers)
    layers.append(residual)  # else it would contain itself
    assert residual.layers == (Dense(4),)
    assert residual == Residual((Dense(4),))
    assert residual == Residual(layer for layer in [Dense(4)])
    assert Residual() == Residual([])


@pytest.mark.parametrize("layer", LAYERS, ids=str)
def test_fields_cannot_be_assigned(layer):
    before = repr(layer)
    for field in fields(layer):
        with pytest.raises(FrozenInstanceError, match=f"cannot assign to field '{field.name}'"):
            setattr(layer, field.name, getattr(layer, field.name))
    assert repr(layer) == before


@pytest.mark.parametrize(
    ("make_layer", "message"),
    [
        (lambda: Dense(0), "units must be an integer >= 1, got 0"),
        (lambda: Dense(-3), "units must be an integer >= 1, got -3"),
        (lambda: Dense(2.0), "units must be an integer >= 1, got 2.0"),
        (lambda: Dense(True), "units must be an integer >= 1, got True"),
        (lambda: Dense("8"), "units must be an integer >= 1, got '8'"),
        (lambda: Dense(3, "tang"), "activation must be one of .*; got 'tang'"),
        (lambda: Dense(3, None), "activation must be one of .*; got None"),
        (lambda: Dense(3, learning_rate_factor=-1), "learning_rate_factor must be a finite number >= 0, got -1"),
        (lambda: Dense(3, learning_rate_factor=np.inf), "learning_rate_factor must be a finite number >= 0, got inf"),
        (lambda: Dense(3, penalty_factor=np.nan), "penalty_factor must be a finite number >= 0, got nan"),
        (lambda: Dense(3, penalty_factor="1"), "penalty_factor must be a finite number >= 0, got '1'"),
        (lambda: Dense(3, penalty_factor=True), "penalty_factor must be a finite number >= 0, got True"),
        (
            lambda: Dense(3, bias_learning_rate_factor=-1),
            "bias_learning_rate_factor must be a finite number >= 0, got -1",
        ),
        (lambda: Dense(3, parametrization="NTK"), "parametrization must be 'standard' or 'ntk', got 'NTK'"),
        (lambda: Dense(3, parametrization=None), "parametrization must be 'standard' or 'ntk', got None"),
        (lambda: Activation("prelu", -1), "learning_rate_factor must be a finite number >= 0, got -1"),
        (lambda: Activation("tang"), "activation must be one of .*; got 'tang'"),
        (lambda: Scale(np.inf), "initial must be a finite number, got inf"),
        (lambda: Scale("1"), "initial must be a finite number, got '1'"),
        (lambda: Scale(True), "initial must be a finite number, got True"),
        (lambda: Scale(learning_rate_factor=-0.1), "learning_rate_factor must be a finite number >= 0, got -0.1"),
        (lambda: Scale(penalty_factor=-0.1), "penalty_factor must be a finite number >= 0, got -0.1"),
    ],
)
def test_values_that_no_layer_can_have(make_layer, message):
    with pytest.raises(ValueError, match=message):
        make_layer()


@pytest.mark.parametrize("n", [np.int32(5), np.int64(5)])
def test_numbers_of_numpy(n):
    assert make([Dense(n, penalty_factor=np.float32(0.5)), Dense(2)]).layer_sizes == (4, 5, 2)


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        (Dense(3), "must be a list of objects of fastbp.layers, got Dense"),
        ("Dense", "must be a list of objects of fastbp.layers, got 'Dense'"),
        (5, "must be a list of objects of fastbp.layers, got 5"),
        ([Dense(3), 5], r"\[1\] must be an object of fastbp.layers, such as Dense\(64, 'relu'\); got 5"),
        ([Dense], r"\[0\] must be an object of fastbp.layers"),
    ],
)
@pytest.mark.parametrize("owner", [Residual, make], ids=["Residual", "Network"])
def test_what_is_no_list_of_layers(owner, layers, message):
    with pytest.raises(TypeError, match="layers ?" + message):
        owner(layers)


@pytest.mark.parametrize(
    ("params", "message"),
    [
        (dict(), "a network is made of layer_sizes or of layers: give one of them, got layer_sizes=None and layers="),
        (dict(layer_sizes=[4, 2], layers=LAYERS), "give one of them"),
        (dict(layers=LAYERS), "n_features, the width of the input of the layers, must be an integer >= 1, got None"),
        (dict(layers=LAYERS, n_features=0), "must be an integer >= 1, got 0"),
        (dict(layers=LAYERS, n_features=True), "must be an integer >= 1, got True"),
        (dict(layers=[], n_features=4), r"layers must have parameters to train, got \[\]"),
        (dict(layers=[Activation("tanh")], n_features=4), "layers must have parameters to train, got"),
        (dict(layers=[Residual([])], n_features=4), "a Residual needs at least one layer"),
        (
            dict(layers=[Dense(3), Residual([Dense(4)])], n_features=4),
            r"the layers of a Residual must end with the width that they begin with, 3; got 4 from \[Dense\(units=4",
        ),
    ],
)
def test_layers_that_make_no_network(params, message):
    with pytest.raises(ValueError, match=message):
        Network(**params)


@pytest.mark.parametrize("rate", [0.0, 0.5])
def test_a_connection_past_dropout_alone(rate):
    # outside of training it is x + x; a rate of 0 makes no operation
    network = Network(layers=[Dense(5, "tanh"), Residual([Dropout(rate)]), Dense(2)], n_features=4, random_state=0)
    X = np.random.default_rng(0).normal(size=(6, 4))
    (W, V), (b, c) = network.coefs, network.intercepts
    assert_allclose(network.forward(X), 2 * np.tanh(X @ W + b) @ V + c, rtol=0, atol=1e-14)
    assert gradient_check(network, X, X[:, :2]).passed


def test_a_layer_without_emit():
    class Nothing(Layer):
        pass

    with pytest.raises(TypeError, match=r"Nothing must have a method emit\(builder, node\)"):
        make([Nothing()])
    with pytest.raises(TypeError, match="Nothing owns 2 blocks of parameters and must have initialize"):
        Nothing().initialize([np.zeros(1)] * 2, None)


# Networks of layers


def test_the_short_form_is_dense_layers():
    short = Network([4, 5, 3, 2], ["tanh", "gelu"], "softmax", random_state=0)
    long = make([Dense(5, "tanh"), Dense(3, activations.Gelu()), Dense(2)], output_activation="softmax")
    assert_array_equal(short.params, long.params)
    assert_array_equal(short.forward(X), long.forward(X))
    assert (short.layer_sizes, short.activations, repr(short)) == (long.layer_sizes, long.activations, repr(long))
    assert short.layers == (Dense(5, "tanh"), Dense(3, "gelu"), Dense(2))
    assert long.layers == (Dense(5, "tanh"), Dense(3, activations.Gelu()), Dense(2))


def test_blocks_are_views():
    network = make()
    shapes = {name: block.shape for name, block in network.blocks.items()}
    assert shapes == {
        "W_1": (4, 5),
        "W_2": (5, 5),
        "W_3": (5, 7),
        "W_4": (7, 5),
        "W_5": (5, 2),
        "b_1": (5,),
        "b_3": (7,),
        "s_1": (7,),
        "b_4": (5,),
        "b_5": (2,),
    }
    assert_array_equal(np.concatenate([block.ravel() for block in network.blocks.values()]), network.params)
    for block in network.blocks.values():
        assert np.shares_memory(block, network.params)
    network.blocks["s_1"][2] = 7.0
    assert 7.0 in network.params
    assert [W.shape for W in network.coefs] == [shapes[f"W_{i}"] for i in range(1, 6)]
    assert [b.shape for b in network.intercepts] == [(5,), (7,), (5,), (2,)]  # the second layer has none
    for i, W in enumerate(network.coefs):
        assert_array_equal(W, network.blocks[f"W_{i + 1}"])


def test_split():
    network = make()
    flat = np.arange(network.n_params)
    coefs, intercepts = network.split(flat)
    blocks = network.split_blocks(flat)
    for i, W in enumerate(coefs):
        assert np.shares_memory(W, flat)
        assert_array_equal(W, blocks[f"W_{i + 1}"])
    assert [b.tolist() for b in intercepts] == [blocks[name].tolist() for name in blocks if name[0] == "b"]
    assert sorted(n for block in blocks.values() for n in block.ravel()) == flat.tolist()
    for split in (network.split, network.split_blocks):
        with pytest.raises(ValueError, match=rf"flat must have shape \({network.n_params},\)"):
            split(flat[1:])


@pytest.mark.parametrize("make_copy", [Network.copy, deepcopy, lambda n: pickle.loads(pickle.dumps(n))])
def test_copies(make_copy):
    network = make(alpha=0.1)
    expected = network.forward(X)
    other = make_copy(network)
    assert (other.layers, repr(other), other.graph.groups) == (network.layers, repr(network), network.graph.groups)
    assert_array_equal(other.params, network.params)
    assert not np.shares_memory(other.params, network.params)
    train(other)
    assert_array_equal(network.forward(X), expected)
    train(network)
    assert_array_equal(other.forward(X), network.forward(X))


def test_astype():
    network = make()
    single = network.astype(np.float32)
    assert single.dtype == single.params.dtype == single.forward(X).dtype == np.float32
    assert_allclose(single.forward(X), network.forward(X), rtol=1e-4, atol=1e-5)
    assert {name: block.dtype for name, block in single.blocks.items()} == dict.fromkeys(network.blocks, np.float32)
    back = single.astype(np.float64)
    assert_array_equal(back.params, single.params.astype(np.float64))


def test_with_loss():
    network = make(output_activation="softmax")
    other = network.with_loss("log_loss")
    labels = np.arange(40) % 2
    assert np.shares_memory(other.params, network.params)
    twin = GraphTwin(network.graph, network.params)
    for each, loss in ((network, "squared_error"), (other, "log_loss"), (network, "squared_error")):
        expected = twin.loss_and_gradient(X, np.eye(2)[labels], loss=loss)
        found = each.loss_and_gradient(X, labels)
        assert_allclose(found[0], expected[0], rtol=1e-12)
        assert_allclose(found[1], expected[1], rtol=1e-9, atol=1e-12)


def test_a_network_keeps_layers_of_its_own():
    layers = [Dense(5, "tanh"), Residual([TwoHeads(5)]), Dense(2)]
    network = make(layers)
    heads = layers[1].layers[0]  # its class is not frozen
    heads.units = 9
    layers.append(Dense(3))
    assert network.layers == (Dense(5, "tanh"), Residual([TwoHeads(5)]), Dense(2))
    network.layers[1].layers[0].units = 9
    assert_array_equal(pickle.loads(pickle.dumps(network)).forward(X), network.forward(X))
    heads.units = 0
    with pytest.raises(ValueError, match="units must be above 0, got 0"):
        make(layers)


def test_the_same_layer_twice_is_two_layers():
    dense = Dense(4, "tanh")
    assert list(make([dense, dense]).blocks) == ["W_1", "W_2", "b_1", "b_2"]


def test_a_damaged_pickle():
    state = make([Dense(3), Dense(2)]).__getstate__()
    dense = object.__new__(Dense)
    dense.__dict__.update(units=-3, activation="identity", use_bias=True, learning_rate_factor=1.0, penalty_factor=1.0)
    for layers, message in (
        ([dense, Dense(2)], "units must be an integer >= 1, got -3"),
        ([Dense(3), Residual([Dense(3), dense]), Dense(2)], "units must be an integer >= 1, got -3"),
        ([Dense(5), Dense(2)], "must be 37 numbers"),
    ):
        with pytest.raises(ValueError, match=message):
            object.__new__(Network).__setstate__({**state, "layers": layers})
    with pytest.raises(TypeError, match="layers must be a list of objects"):
        object.__new__(Network).__setstate__({**state, "layers": 3})


@pytest.mark.parametrize(
    ("layer", "name", "value", "error", "message"),
    [
        (Dense(3), "units", 0, ValueError, "units must be an integer >= 1, got 0"),
        (Dense(3), "activation", "sine", ValueError, "activation must be one of .*; got 'sine'"),
        (Scale(), "initial", np.nan, ValueError, "initial must be a finite number, got nan"),
        (Residual([Dense(4)]), "layers", None, TypeError, "layers must be a list of objects of .*, got None"),
        (Residual([Dense(4)]), "layers", [5], TypeError, r"layers\[0\] must be an object of fastbp.layers"),
    ],
)
def test_a_bad_value_in_the_pickle_of_a_layer(layer, name, value, error, message):
    object.__setattr__(layer, name, value)
    for owner in (layer, [Dense(3), layer], Residual([Dense(4), layer])):
        stream = pickle.dumps(owner)
        with pytest.raises(error, match=message):
            pickle.loads(stream)


def test_a_pickle_of_an_older_version():
    dense, scale = object.__new__(Dense), object.__new__(Scale)
    dense.__setstate__(dict(units=3, activation="tanh", use_bias=True, learning_rate_factor=0.5, penalty_factor=2.0))
    scale.__setstate__(dict(initial=2.0, learning_rate_factor=0.5))
    assert (dense, scale) == (Dense(3, "tanh", True, 0.5, 2.0), Scale(2.0, 0.5))
    assert make([dense, scale, Dense(2)]).graph == make([replace(dense), replace(scale), Dense(2)]).graph


@pytest.mark.parametrize("initializer", INITIALIZERS)
def test_first_values(initializer):
    layers = [Dense(5, "relu"), Residual([Scale(0.3), Dense(5, use_bias=False)]), Scale(-2.0), Dense(2)]
    network = Network(layers=layers, n_features=4, random_state=3, initializer=initializer)
    # drawn one dense layer after the other, with the bound of the first activation
    rng, draw = np.random.RandomState(3), INITIALIZERS[initializer]
    for name, shape in (("1", (4, 5)), ("2", (5, 5)), ("3", (5, 2))):
        W, b = draw(*shape, "relu", rng)
        assert_array_equal(network.blocks[f"W_{name}"], W)
        if name != "2":
            assert_array_equal(network.blocks[f"b_{name}"], b)
    assert (network.blocks["s_1"] == 0.3).all()
    assert (network.blocks["s_2"] == -2.0).all()
    network.params[:] = 0
    network.initialize(3, initializer)
    assert (network.blocks["s_2"] == -2.0).all()


# Groups


@pytest.mark.parametrize("optimizer", [SGD(), Adam()], ids=str)
def test_a_learning_rate_factor_of_zero_freezes_a_layer(optimizer):
    layers = [Dense(5, "tanh"), Residual([Dense(5, "relu", learning_rate_factor=0), Scale(learning_rate_factor=0)])]
    network = make([*layers, Dense(2)], alpha=0.1)
    before = {name: block.copy() for name, block in network.blocks.items()}
    train(network, optimizer)
    frozen = [name for name, block in network.blocks.items() if (block == before[name]).all()]
    assert frozen == ["W_2", "b_2", "s_1"]


def test_learning_rate_factors_multiply_the_learning_rate():
    # one step of plain gradient descent
    layers = [Dense(5, "tanh", learning_rate_factor=3.0), Scale(learning_rate_factor=0.5), Dense(2)]
    network = make(layers)
    before, gradient = network.params.copy(), network.split_blocks(network.loss_and_gradient(X[:16], y[:16])[1])
    data = make_data(X[:16], y[:16], None, 2, network.dtype)
    state, loop = OptimizerState(SGD(momentum=0.0), network.n_params, network.dtype), network.training_loop(data, 16)
    state.attach(loop, 0.0)
    loop.train(None, None, 1.0, np.full(1, 0.1), np.empty(1))
    for name, factor in {"W_1": 3, "b_1": 3, "s_1": 0.5, "W_2": 1, "b_2": 1}.items():
        step = network.blocks[name] - network.split_blocks(before)[name]
        assert_allclose(step, -0.1 * factor * gradient[name], rtol=1e-9, atol=1e-15)


def test_factors_of_the_groups():
    layers = [
        Scale(1.0, 6, 5),
        Dense(9, "tanh", parametrization="ntk", bias_learning_rate_factor=0.1),
        Activation(activations.Blend("prelu"), 0.3),
        Dense(2, learning_rate_factor=3, penalty_factor=2, parametrization="ntk"),
    ]
    network = make(layers, n_features=4)
    groups = {block.name: network.graph.groups[block.group] for block in network.graph.blocks}
    assert groups == {
        "s_1": Group(6.0, 5.0, 5.0),
        "W_1": Group(1 / 2, 1.0, 2.0),  # fan_in 4: a step decays by learning_rate * 1 / 2 * 2 * weight_decay
        "b_1": Group(0.1),
        "slope_1": Group(0.3),
        "alpha_1": Group(0.3),
        "W_2": Group(3 / 3, 2.0, 6.0),
        "b_2": Group(3.0),
    }


def test_a_layer_that_leaves_its_units_to_an_estimator():
    with pytest.raises(ValueError, match="units must be an integer >= 1, got None"):
        make([Dense(5), Dense(None)])


def test_penalty_factors():
    def layers(factor):
        return [
            Dense(5, "tanh", penalty_factor=factor),
            Scale(penalty_factor=3 * factor),
            Dense(2, penalty_factor=2 * factor, parametrization="ntk"),
        ]

    alpha, n = 0.7, len(X)
    plain, penalized = make(layers(0), alpha=alpha), make(layers(1.5), alpha=alpha)
    factors = np.zeros(plain.n_params)
    for name, factor in (("W_1", 1.5), ("s_1", 4.5), ("W_2", 3.0)):
        plain.split_blocks(factors)[name][...] = alpha * factor
    assert_array_equal(plain.params, penalized.params)
    assert plain.penalty() == 0
    assert type(plain.penalty()) is float
    penalty = factors @ plain.params**2 / 2
    assert_allclose(penalized.penalty(), penalty, rtol=1e-12)
    (loss, gradient), (full_loss, full_gradient) = (each.loss_and_gradient(X, y) for each in (plain, penalized))
    assert_allclose(full_loss, loss + penalty / n, rtol=1e-12)
    assert_allclose(full_gradient, gradient + factors * plain.params / n, rtol=1e-9, atol=1e-15)
    direction = RNG.normal(size=plain.n_params)
    change = penalized.hvp(X, y, direction) - plain.hvp(X, y, direction)
    assert_allclose(change, factors * direction / n, rtol=1e-9, atol=1e-14)
    # the loss of the first step of training, before any change of the parameters
    data, losses = make_data(X, y, None, 2, np.float64), np.empty(1)
    state, loop = OptimizerState(SGD(), penalized.n_params, np.float64), penalized.training_loop(data, n)
    state.attach(loop, alpha)
    loop.train(None, None, 1.0, np.full(1, 0.1), losses)
    assert_allclose(losses[0], full_loss, rtol=1e-12)


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
@pytest.mark.parametrize("factor", [1.0, 0.5])
def test_decay(factor, optimizer):
    # w -= rate factor decay w, and the optimizer's step from the gradient at the old w (Loshchilov and Hutter, 2019)
    builder = GraphBuilder(4)
    blocks = [("W", (4, 2), Group(factor, penalty=1.0, decay=0.6)), ("b", (2,), Group(decay=0.2))]
    node = builder.emit("dense", 0, 2, blocks=blocks)
    builder.emit("activation", node, 2)
    graph, params = builder.finish(), RNG.normal(size=10)
    twin = GraphTwin(graph, params)
    loop = TrainingLoop(
        Plan(Program(graph, np.float64, TRAINING), params, "squared_error", Data(X, y, n_outputs=2), 16)
    )
    state, losses = OptimizerState({"sgd": SGD(), "adam": Adam()}[optimizer], 10, np.float64), np.empty(3)
    state.attach(loop, 0.2, weight_decay=0.5)
    before = params.copy()
    loop.train(None, None, 1.0, np.full(3, 0.05), losses)
    expected = twin.train(
        X,
        y,
        update=reference.OPTIMIZERS[optimizer],
        rates=[0.05] * 3,
        batch_size=16,
        loss="squared_error",
        alpha=0.2,
        weight_decay=0.5,
    )
    assert_allclose(losses, expected, rtol=1e-10)
    assert_allclose(params, twin.params, rtol=1e-9, atol=1e-12)
    assert (params != before).all()


# A layer of one's own


@dataclass
class TwoHeads(Layer):
    """x W + x V, two dense operations that read the same node. Its fields can be assigned."""

    units: int

    def check(self):
        if self.units < 1:
            raise ValueError(f"units must be above 0, got {self.units}")

    def emit(self, builder, node):
        shape = (builder.widths[node], self.units)
        first, second = (
            builder.emit("dense", node, self.units, blocks=[(name, shape, Group(penalty=1.0))], layer=self)
            for name in ("W", "V")
        )
        return builder.emit("add", first, self.units, input2=second, layer=self)

    def initialize(self, blocks, draw):
        blocks[0][...] = draw(*blocks[0].shape)[0]


@pytest.mark.parametrize("layers", [[TwoHeads(5), Dense(2)], [Dense(5, "tanh"), TwoHeads(3), Dense(2)]], ids=str)
def test_a_layer_of_ones_own(layers):
    network = make(layers, alpha=0.1)
    twin, direction = GraphTwin(network.graph, network.params), RNG.normal(size=network.n_params)
    loss, gradient, dX = twin.loss_and_gradient(X, y, loss="squared_error", alpha=0.1)
    for data in (X, sp.csr_array(X)):
        found = network.loss_and_gradient(data, y)
        assert_allclose(found[0], loss, rtol=1e-12)
        assert_allclose(found[1], gradient, rtol=1e-9, atol=1e-12)
        assert_allclose(network.input_gradient(data, y), dX, rtol=1e-9, atol=1e-12)
        product = twin.hvp(X, y, direction, loss="squared_error", alpha=0.1)
        assert_allclose(network.hvp(data, y, direction), product, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("stack", STACKS)
def test_a_pickle_of_every_stack(stack):
    n_features, layers = STACKS[stack]
    network = make(layers, n_features, loss="squared_error")
    loaded = pickle.loads(pickle.dumps(network))
    rows = RNG.normal(size=(5, n_features))
    assert_array_equal(loaded.forward(rows), network.forward(rows))
    assert repr(loaded) == repr(network)
    assert re.search(r"in \d+ operations", repr(network)) or network.graph.is_dense_stack


def test_replace():
    assert replace(Dense(5, "tanh"), units=6) == Dense(6, "tanh")
    with pytest.raises(ValueError, match="units must be an integer >= 1, got 0"):
        replace(Dense(5), units=0)
