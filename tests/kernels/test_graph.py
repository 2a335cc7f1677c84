"""Graphs of operations: nodes, names and places of blocks, groups, and what a builder refuses; `graph.py`."""

import re
from dataclasses import dataclass

import numpy as np
import pytest

from fastbp import Network
from fastbp.activations import Blend
from fastbp.kernels import ACTIVATIONS
from fastbp.kernels.dispatch import KINDS
from fastbp.kernels.forms import FITS
from fastbp.kernels.graph import GraphBuilder, Group
from fastbp.layers import Activation, Dense, Dropout, Layer, LayerNorm, Residual, RMSNorm, Scale
from layer_cases import random_stack


def graph(layers, n_features=4, **params):
    return Network(layers=layers, n_features=n_features, initializer=None, **params).graph


def test_a_dense_stack():
    found = graph([Dense(5, "tanh"), Dense(3, "relu"), Dense(2)], output_activation="softmax")
    assert found.widths == (4, 5, 5, 3, 3, 2, 2)
    assert [op.kind for op in found.operations] == ["dense", "activation"] * 3
    assert [(op.input, op.input2, op.output) for op in found.operations] == [(i, -1, i + 1) for i in range(6)]
    assert found.activations == ("tanh", "relu", "softmax")
    assert (found.first_activation, found.output_activation) == ("tanh", "softmax")
    assert (found.n_features, found.n_outputs, found.n_params, found.n_coefs) == (4, 2, 51, 41)
    assert (found.dense_shapes, found.n_input_weights) == ([(4, 5), (5, 3), (3, 2)], 20)
    assert found.is_dense_stack
    assert [op.kind for op in found.readers_of_input] == ["dense"]


def test_matrices_come_first_in_the_flat_vector():
    layers = [Dense(5), Residual([Scale(), Dense(5, use_bias=False)]), Scale(), Dense(2)]
    found = graph(layers)
    # name, operation, offset, shape, in the order of the operations
    assert [(b.name, b.operation, b.offset, b.shape) for b in found.blocks] == [
        ("W_1", 0, 0, (4, 5)),
        ("b_1", 0, 55, (5,)),
        ("s_1", 1, 60, (5,)),
        ("W_2", 2, 20, (5, 5)),
        ("s_2", 4, 65, (5,)),
        ("W_3", 5, 45, (5, 2)),
        ("b_3", 5, 70, (2,)),
    ]
    assert (found.n_coefs, found.n_params) == (55, 72)
    assert [(b.rows, b.cols, b.size) for b in found.blocks[:3]] == [(4, 5, 20), (1, 5, 5), (1, 5, 5)]
    assert [b and b.name for _, b in found.dense_blocks] == ["b_1", None, "b_3"]


@pytest.mark.parametrize("seed", range(10))
def test_blocks_cover_the_flat_vector_once(seed):
    n_features, layers = random_stack(seed)
    found, places = graph(layers, n_features), []
    for block in found.blocks:
        places += range(block.offset, block.offset + block.size)
        op = found.operations[block.operation]
        assert 0 <= found.blocks.index(block) - op.first_block < op.n_blocks
    assert sorted(places) == list(range(found.n_params))


def test_a_residual_is_a_sum():
    found = graph([Dense(5), Residual([Dense(7, "tanh"), Dense(5)]), Dense(2)])
    (add,) = (op for op in found.operations if op.kind == "add")
    assert (add.input, add.input2, add.output) == (1, 4, 5)
    assert isinstance(add.layer, Residual)
    assert found.activations == ("identity", "tanh", "identity", "identity")
    assert not found.is_dense_stack


@dataclass
class Gate(Layer):
    """tanh(x U) + x V: the activation comes right after the operation of V, and reads that of U."""

    def emit(self, builder, node):
        shape = (builder.widths[node], builder.widths[node])
        U, V = (builder.emit("dense", node, shape[1], blocks=[(name, shape, Group())], layer=self) for name in "UV")
        return builder.emit("add", Activation("tanh").emit(builder, U), shape[1], input2=V, layer=self)


@pytest.mark.parametrize(
    ("layers", "activations"),
    [
        ([Dense(4), Activation("relu")], ("relu",)),
        ([Dense(4, "tanh"), Activation("relu")], ("tanh",)),
        ([Residual([Dense(4)]), Activation("relu")], ("identity",)),  # relu reads the sum
        ([Dense(4), Residual([Activation("relu")])], ("identity",)),  # the sum reads the output of Dense too
        ([Dense(4), Scale(), Activation("relu")], ("identity",)),
        ([Gate(), Dense(2, "gelu")], ("tanh", "identity", "gelu")),
    ],
    ids=str,
)
def test_the_activation_of_a_dense_operation_is_the_one_that_alone_reads_it(layers, activations):
    found = graph(layers)
    assert found.own_activations == activations
    for (dense, after), name in zip(found.dense_operations, activations, strict=True):
        assert dense.kind == "dense"
        assert (after is None) == (name == "identity")
        if after is not None:
            assert (after.kind, after.input, after.argument) == ("activation", dense.output, ACTIVATIONS[name])


@pytest.mark.parametrize(
    ("layers", "activations"),
    [
        ([Dense(4, "relu")], ("relu",)),
        ([Dense(4, "prelu"), Dense(3, Blend("silu"))], ("prelu", "blend")),
        ([Dense(4), LayerNorm(), Activation("gelu")], ("gelu",)),
        ([Dense(4), RMSNorm(), Dropout(0.1), Activation("prelu"), Scale()], ("prelu",)),
        ([Dense(4), Scale(), Dense(4), Scale()], ("identity", "identity")),
        ([Dense(4), Residual([LayerNorm(), Dense(4, "tanh")])], ("identity", "tanh")),
        ([Dense(4), Residual([Activation("tanh")])], ("tanh",)),
        (
            [Dense(4), Residual([RMSNorm(), Activation("tanh"), Dense(4), Scale()]), Activation("relu")],
            ("tanh", "relu"),
        ),
        ([Dense(4), Residual([Dense(4)])], ("identity", "identity")),
        ([Gate(), Dense(2, "gelu")], ("tanh", "identity", "gelu")),
    ],
    ids=str,
)
def test_the_activation_that_follows_a_dense_operation(layers, activations):
    assert graph([*layers, Dense(1)]).activations == (*activations, "identity")


@pytest.mark.parametrize(
    "layers",
    [
        [Dense(5, use_bias=False), Dense(2)],
        [Dense(5, "tanh"), Activation("tanh"), Dense(2)],
        [Activation("tanh"), Dense(2)],
        [Scale(), Dense(2)],
        [Residual([Dense(4)]), Dense(2)],
    ],
    ids=str,
)
def test_what_is_no_dense_stack(layers):
    assert not graph(layers).is_dense_stack


def test_the_output_activation():
    # an activation at the end is the output's, and another may follow it
    assert [op.kind for op in graph([Dense(2, "tanh")]).operations] == ["dense", "activation"]
    assert graph([Dense(2, "tanh")]).output_activation == "tanh"
    assert graph([Dense(2, "tanh")]).first_activation is None
    found = graph([Dense(2, "tanh")], output_activation="softmax")
    assert [op.kind for op in found.operations] == ["dense", "activation", "activation"]
    assert (found.first_activation, found.output_activation) == ("tanh", "softmax")
    assert graph([Dense(2)]).operations[-1].argument == ACTIVATIONS["identity"]


def test_groups():
    same, rate, factor = Dense(5), Dense(5, learning_rate_factor=0.5), Dense(2, penalty_factor=3)
    found = graph([same, rate, Scale(learning_rate_factor=0.5), same, factor])
    assert found.groups == (Group(1, 1, 1), Group(1), Group(0.5, 1, 1), Group(0.5), Group(1, 3, 3))
    assert [block.group for block in found.blocks] == [0, 1, 2, 3, 3, 0, 1, 4, 1]
    # neighbours with the same factor are one part
    sizes = [block.size for block in found.blocks if len(block.shape) == 2]
    ends = np.cumsum(sizes)
    assert found.penalized == [(slice(0, ends[2]), 1.0), (slice(ends[2], ends[3]), 3.0)]
    assert graph([Dense(5, penalty_factor=0), Dense(2)]).penalized == [(slice(20, 30), 1.0)]
    assert graph([Scale()]).penalized == []


# What a builder refuses


def test_an_unknown_kind():
    with pytest.raises(ValueError, match=re.escape(f"kind must be one of {', '.join(FITS)}; got 'conv'")):
        GraphBuilder(3).emit("conv", 0, 3)


@pytest.mark.parametrize(("input", "input2"), [(-1, -1), (2, -1), (0, 2), (0, -2)])
def test_nodes_that_are_not_there(input, input2):
    builder = GraphBuilder(3)
    builder.emit("scale", 0, 3, blocks=[("s", (3,), Group())])
    wrong = input2 if input == 0 else input
    with pytest.raises(ValueError, match=f"the graph has 2 nodes, an operation reads node {wrong}"):
        builder.emit("add", input, 3, input2=input2)


@pytest.mark.parametrize(("width", "shape"), [(0, (3, 2)), (-4, (3, 2)), (2, (3, 0)), (2, (-3, 2))])
def test_widths_of_nothing(width, shape):
    with pytest.raises(ValueError, match=r"widths and shapes must be at least 1, got (0|-\d) in an operation 'dense'"):
        GraphBuilder(3).emit("dense", 0, width, blocks=[("W", shape, Group())])


@pytest.mark.parametrize("value", [-1.0, np.nan, np.inf])
@pytest.mark.parametrize("name", ["learning_rate", "penalty", "decay"])
def test_factors_of_a_group(name, value):
    with pytest.raises(ValueError, match=f"{name} of a Group must be a finite number >= 0, got {value}"):
        Group(**{name: value})


@dataclass
class Unread(Layer):
    """Emits an operation and returns the node that it was given."""

    def emit(self, builder, node):
        builder.emit("scale", node, builder.widths[node], blocks=[("s", (builder.widths[node],), Group())], layer=self)
        return node


@dataclass
class Fork(Layer):
    """Two activations of the same node, of which the first one is the output."""

    def emit(self, builder, node):
        first, _ = (Activation(name).emit(builder, node) for name in ("tanh", "gelu"))
        return first


@pytest.mark.parametrize(
    ("layers", "kind", "layer"),
    [
        ([Unread(), Dense(2)], "scale", "Unread()"),
        ([Dense(2), Unread()], "scale", "Unread()"),
        ([Dense(2), Fork()], "activation", "Activation(activation='gelu', learning_rate_factor=1.0)"),
    ],
)
def test_an_output_that_nobody_reads(layers, kind, layer):
    with pytest.raises(
        ValueError, match=re.escape(f"no operation reads the output of an operation {kind!r} of {layer}")
    ):
        Network(layers=layers, n_features=3)


STATISTICS = [(name, (2,), Group(trained=False)) for name in ("center", "factor")]


@pytest.mark.parametrize(
    ("kind", "width", "settings"),
    [
        ("dense", 3, dict(blocks=[("W", (50, 3), Group())])),
        ("dense", 3, dict(blocks=[("W", (4, 2), Group())])),
        ("dense", 3, dict(blocks=[("W", (4, 3), Group()), ("b", (2,), Group())])),
        ("dense", 3, {}),
        ("activation", 5, dict(argument=0)),
        ("activation", 4, dict(argument=77)),
        ("add", 4, {}),
        ("add", 3, dict(input2=0)),
        ("scale", 4, dict(blocks=[("s", (100_000,), Group())])),
        ("scale", 5, dict(blocks=[("s", (5,), Group())])),
        ("scale", 4, dict(blocks=[("s", (4,), Group())], integers=[1])),
        ("concatenate", 9, dict(input2=0)),
        ("concatenate", 8, {}),
        ("robust_scale", 2, dict(blocks=STATISTICS, constants=(3,), argument=1, integers=[0, 4])),
        ("robust_scale", 2, dict(blocks=STATISTICS, constants=(3,), argument=1, integers=[-1, 3])),
        ("robust_scale", 2, dict(blocks=STATISTICS, constants=(3,), argument=1, integers=[1])),
        ("robust_scale", 2, dict(blocks=STATISTICS, constants=(3,), argument=0)),
        ("robust_scale", 2, dict(blocks=STATISTICS, constants=(np.inf,), argument=1, integers=[0, 1])),
        ("robust_scale", 2, dict(blocks=STATISTICS[:1], constants=(3,), argument=1, integers=[0, 1])),
        ("one_hot", 5, {}),
        ("one_hot", 5, dict(integers=[1, 4, 5])),
        ("one_hot", 5, dict(integers=[1, -1, 5])),
        ("one_hot", 5, dict(integers=[2, 1, 5])),
        ("one_hot", 5, dict(integers=[2, 0, 1, 3, 3])),
        ("one_hot", 5, dict(integers=[2, 0, 1, 6, -1])),
        ("embedding", 4, dict(integers=[1, 0, 2], blocks=[("table", (2, 4), Group())])),
        ("embedding", 3, dict(integers=[1, 0, 2], blocks=[("table", (3, 4), Group())])),
        ("embedding", 4, dict(integers=[2, 0, 1, 2, 2], blocks=[("table", (6, 4), Group())])),
        ("embedding", 4, dict(integers=[1, 0, 2], blocks=[("table", (3, 4), Group())], argument=2)),
    ],
)
def test_an_operation_that_does_not_fit_its_kind(kind, width, settings):
    builder = GraphBuilder(4)
    with pytest.raises(ValueError, match=f"an operation '{kind}' of None needs this: "):
        builder.emit(kind, 0, width, **settings)
    assert (builder.widths, builder.operations, builder.blocks) == ([4], [], [])


#: kind: (width of the output, shapes of the blocks) of an embedding of 4 columns by vectors of width 3, with x'
EMBEDDINGS = {
    "piecewise_linear": (16, [(4, 3), (4, 3), (4, 6), (4, 3), (4, 3)]),
    "periodic": (16, [(4, 2), (4, 2), (4, 6), (4, 3), (4, 3)]),
}
#: The same with 257 bins, or of width 257
TOO_LARGE = {
    "piecewise_linear": (16, [(4, 3), (4, 3), (4, 771), (4, 3), (4, 258)]),
    "periodic": (1032, [(4, 2), (4, 2), (4, 514), (4, 257), (4, 257)]),
}


@pytest.mark.parametrize("kind", EMBEDDINGS)
def test_an_embedding_of_numbers_that_does_not_fit_its_kind(kind):
    (width, shapes), builder = EMBEDDINGS[kind], GraphBuilder(4)

    def emit(width=width, shapes=shapes, **settings):
        blocks = [(f"{kind}_{i}", shape, Group()) for i, shape in enumerate(shapes)]
        builder.emit(kind, 0, width, blocks=blocks, **dict(input2=0, argument=1, integers=range(4)) | settings)

    for wrong in (
        dict(width=12),
        dict(argument=2),
        dict(input2=-1),
        dict(integers=range(3)),
        dict(integers=range(1, 5)),
        dict(integers=[0, 1, 2, -1]),
        dict(shapes=shapes[:4]),
        dict(shapes=[*shapes[:4], (4,)]),
        dict(shapes=[*shapes[:2], (4, 5), *shapes[3:]]),
        dict(shapes=[(3, columns) for _, columns in shapes]),
        dict(zip(("width", "shapes"), TOO_LARGE[kind], strict=True)),
    ):
        with pytest.raises(ValueError, match=f"an operation '{kind}' of None needs this: "):
            emit(**wrong)
    assert (builder.widths, builder.operations, builder.blocks) == ([4], [], [])
    emit()
    assert builder.widths == [4, width]


@pytest.mark.parametrize(
    ("kind", "blocks", "owner"),
    [
        ("scale", [("b", (4,), Group())], "dense"),
        ("scale", [("W", (4,), Group())], "dense"),
        ("dense", [("V", (4, 4), Group()), ("V", (4,), Group())], "dense"),
        ("dense", [("s", (4, 4), Group())], "scale"),
    ],
)
def test_names_of_blocks_that_are_taken(kind, blocks, owner):
    builder = GraphBuilder(4)
    builder.emit("dense", 0, 4, blocks=[("W", (4, 4), Group()), ("b", (4,), Group())])
    builder.emit("scale", 1, 4, blocks=[("s", (4,), Group())])
    before = list(builder.blocks)
    message = f"an operation '{kind}' of None has a block '{blocks[0][0]}', but an operation '{owner}' has a block of"
    with pytest.raises(ValueError, match=message):
        builder.emit(kind, 2, 4, blocks=blocks)
    assert builder.blocks == before
    builder.emit("dense", 2, 4, blocks=[("W", (4, 4), Group())])
    assert [name for name, *_ in builder.blocks] == ["W_1", "b_1", "s_1", "W_2"]


def test_a_rule_for_every_kind():
    assert set(FITS) == set(KINDS) - {"dense_sparse", "dense_int8"}  # which take the place of dense
    with pytest.raises(ValueError, match=r"kind must be one of dense, activation, add, .*; got 'dense_sparse'"):
        GraphBuilder(4).emit("dense_sparse", 0, 3)
