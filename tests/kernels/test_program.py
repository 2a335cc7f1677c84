"""The compiler of programs: where buffers lie, which share a place, where gradients are added."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from fastbp.base_network import graph_of
from fastbp.kernels import ACTIVATIONS
from fastbp.kernels.data import Data
from fastbp.kernels.dispatch import KINDS, KINDS_IN_PLACE, LOSSES, N_SAVED, NEEDS_PREACTIVATION, table_facts
from fastbp.kernels.graph import GraphBuilder, Group
from fastbp.kernels.linearization import Linearization
from fastbp.kernels.plan import Plan
from fastbp.kernels.predictor import Predictor
from fastbp.kernels.program import (
    DERIVATIVES,
    INSPECTION,
    PREDICTION,
    TRAINING,
    Program,
    drops_link,
    place,
    place_all,
    program_of,
)
from fastbp.kernels.training import TrainingLoop
from fastbp.layers import Activation, Dense, Dropout, Residual, Scale
from graph_reference import GraphTwin
from layer_cases import STACKS, random_stack

PURPOSES = (TRAINING, PREDICTION, DERIVATIVES, INSPECTION)
every_purpose = pytest.mark.parametrize("purpose", PURPOSES)
NEEDS_INPUT = {ACTIVATIONS[name] for name in NEEDS_PREACTIVATION}


def graph(layers, n_features=4, output_activation="identity"):
    return graph_of(layers, n_features, output_activation)


def compiled(layers, purpose=TRAINING, n_features=4, dtype=np.float64, **options):
    wanted = graph(layers, n_features)
    return Program(wanted if purpose == TRAINING else wanted.for_prediction, dtype, purpose, **options)


# Gradients that are needed


def test_no_gradient_is_computed_where_no_parameters_come_before():
    layers = [Dropout(0.5), Activation("tanh"), Residual([Activation("gelu")]), Dense(9), Dense(2)]
    found = compiled(layers)
    is_dense = found.operations["kind"] == KINDS["dense"]
    first = found.operations["output"][is_dense][0]
    assert first == 5
    assert (found.nodes["grad"][:first] == -1).all()
    assert (found.nodes["grad"][first:] >= 0).all()
    # W^T is for the gradient of the input
    weights = found.operations["first_block"][is_dense]
    assert (found.blocks["mirror"][weights] >= 0).tolist() == [False, True]
    # a layer with parameters in front
    with_scale = compiled([Scale(), *layers])
    assert (with_scale.nodes["grad"][1:] >= 0).all()
    assert (with_scale.blocks["mirror"] >= 0).sum() == 2
    # the derivatives by the input need all
    assert (compiled(layers, DERIVATIVES).nodes["grad"][1:] >= 0).all()


# Places of buffers


@pytest.mark.parametrize("seed", range(50))
def test_buffers_that_are_needed_together_do_not_overlap(seed):
    rng = np.random.default_rng(seed)
    n = int(rng.integers(1, 12))
    intervals = {
        buffer: (int(rng.integers(1, 9)), first, first + rng.integers(0, 6))
        for buffer, first in enumerate(rng.integers(-1, 12, size=n))
    }
    places, total = place(intervals)
    for a, (width, first, last) in intervals.items():
        assert 0 <= places[a] <= total - width
        for b, (other_width, other_first, other_last) in intervals.items():
            if a < b and first <= other_last and other_first <= last:
                assert places[a] + width <= places[b] or places[b] + other_width <= places[a]
    assert total <= sum(width for width, _, _ in intervals.values())
    # what is needed at some moment takes room at least
    most = max(
        sum(width for width, first, last in intervals.values() if first <= moment <= last) for moment in range(-1, 18)
    )
    assert total >= most


def test_a_gap_is_used_again():
    assert place({0: (3, 0, 1), 1: (2, 0, 5), 2: (3, 2, 3), 3: (1, 2, 3)}) == ({0: 0, 1: 3, 2: 0, 3: 5}, 6)
    assert place_all({4: 3, 2: 2}) == ({4: 0, 2: 3}, 5)


class Memory:
    """Columns of a workspace, each of which remembers what was written to it last."""

    def __init__(self, program, field):
        self.nodes, self.field, self.columns = program.nodes, field, {}
        self.absent = made_of_the_input(program) if field == "grad" and program.purpose == TRAINING else {0}

    def span(self, node):
        begin = int(self.nodes[node][self.field])
        return range(begin, begin + int(self.nodes[node]["width"]))

    def write(self, node, what):
        if self.nodes[node][self.field] >= 0:
            self.columns.update((column, what) for column in self.span(node))

    def holds(self, node, what):
        if self.nodes[node][self.field] < 0:
            return node in self.absent
        return all(self.columns.get(column) == what for column in self.span(node))


def inputs(op):
    return [int(node) for node in (op["input"], op["input2"]) if node >= 0]


def made_of_the_input(program):
    """The nodes that depend on no trained parameters."""
    found = {0}
    for number, op in enumerate(program.operations):
        if not program.graph.has_trained_blocks(program.graph.operations[number]) and found.issuperset(inputs(op)):
            found.add(int(op["output"]))
    return found


def run_forward(program):
    """Every operation finds the values of its inputs; gives the memory after it."""
    values = Memory(program, "value")
    values.write(0, ("value", 0))
    for op in program.operations:
        for node in inputs(op):
            assert values.holds(node, ("value", node))
        values.write(int(op["output"]), ("value", int(op["output"])))
    output = int(program.operations[-1]["output"])
    assert values.holds(output, ("value", output))
    return values


def run_backward(program, values):
    """Every operation finds the gradient by its output, complete, and the values that its derivative is written with;
    gradients are overwritten by the first reader of a node, and added to by the others."""
    grads, parts = Memory(program, "grad"), {}
    output = int(program.operations[-1]["output"])
    readers = [node for op in program.operations for node in inputs(op)]
    grads.write(output, ("grad", output))
    for op in program.operations[::-1]:
        node, name = int(op["output"]), list(KINDS)[op["kind"]]
        if node != output:
            assert parts[node] == readers.count(node)
        assert grads.holds(node, ("grad", node))
        needed = [] if name == "add" else inputs(op)
        if name == "activation" and op["argument"] == ACTIVATIONS["identity"]:
            needed = []
        elif name == "activation" and int(op["argument"]) not in NEEDS_INPUT:
            needed = [node]
        assert all(values.holds(one, ("value", one)) for one in needed)
        for bit, one in enumerate(inputs(op)):
            adds = bool(op["adds"] & (1 << bit))
            assert adds == (one in parts)
            if adds and one > 0:
                assert grads.holds(one, ("grad", one))
            parts[one] = parts.get(one, 0) + 1
            grads.write(one, ("grad", one))


def stacks():
    return [*STACKS.values(), *(random_stack(seed) for seed in range(60))]


@pytest.mark.parametrize("raw", [False, True], ids=["mean", "raw"])
@every_purpose
def test_every_operation_finds_its_numbers(purpose, raw):
    for n_features, layers in stacks():
        program = compiled(layers, purpose, n_features, raw=raw)
        values = run_forward(program)
        if purpose != PREDICTION:
            run_backward(program, values)
        for field, columns in (
            ("value", program.value_columns),
            ("grad", program.grad_columns),
            ("tangent", program.tangent_columns),
        ):
            placed = program.nodes[program.nodes[field] >= 0]
            ends = [*(placed[field] + placed["width"])]
            if field == "value":  # behind them, what operations save
                saving = program.operations["saved"] >= 0
                saving[program.reductions] = False  # see test_statistics
                for number in saving.nonzero()[0]:
                    op, source = program.operations[number], program.graph.operations[number]
                    assert op["saved"] == max(ends)
                    ends.append(op["saved"] + N_SAVED[source.kind] * program.graph.saved_parts(source))
            assert max(ends, default=0) == columns


@every_purpose
def test_statistics(purpose):
    # operations that need all rows of a batch have columns of their own
    n_features, layers = STACKS["batch norm"]
    program = compiled(layers, purpose, n_features)
    kinds = [list(KINDS)[kind] for kind in program.operations["kind"]]
    assert program.reductions == [i for i, kind in enumerate(kinds) if kind == "batch_norm"]
    assert program.operations["saved"][program.reductions].tolist() == ([0, 5, 11] if purpose == TRAINING else [])
    assert program.statistics_width == (17 if purpose == TRAINING else 0)
    assert kinds.count("running_norm") == (0 if purpose == TRAINING else 3)


@pytest.mark.parametrize("purpose", [TRAINING, INSPECTION])
def test_all_gradients_are_kept_for_those_of_the_parameters(purpose):
    # only an activation's output shares the place of its input, where nothing but the activation reads it
    for n_features, layers in stacks():
        program = compiled(layers, purpose, n_features)
        made_by = {int(op["output"]): op for op in program.operations}
        spans = {}
        grads = Memory(program, "grad")
        for node in made_by.keys() - grads.absent:
            spans.setdefault(tuple(grads.span(node)), []).append(node)
        columns = [column for span in spans for column in span]
        assert len(columns) == len(set(columns))
        for nodes in spans.values():
            for node in nodes[1:]:
                assert purpose == TRAINING
                assert list(KINDS)[made_by[node]["kind"]] in KINDS_IN_PLACE


@every_purpose
def test_tangents_have_places_of_their_own(purpose):
    program = compiled(STACKS["nested"][1], purpose)
    spans = [set(Memory(program, "tangent").span(node)) for node in range(1, len(program.nodes))]
    if purpose == DERIVATIVES:
        assert sum(map(len, spans)) == len(set().union(*spans)) == program.tangent_columns
    else:
        assert (program.nodes["tangent"] == -1).all()


def shares(program, node, field):
    """Whether the operation that makes a node works in place."""
    (op,) = (op for op in program.operations if op["output"] == node)
    return bool(program.nodes[node][field] == program.nodes[op["input"]][field])


@every_purpose
@pytest.mark.parametrize("name", ["tanh", "gelu"])
def test_in_place(name, purpose):
    program = compiled([Dense(3, name), Dense(2)], purpose)
    assert shares(program, 2, "value") == (purpose == PREDICTION or (purpose != INSPECTION and name == "tanh"))
    assert shares(program, 2, "grad") == (purpose != INSPECTION)  # in prediction neither has a place
    # not where another operation reads the input
    program = compiled([Dense(3), Residual([Activation(name), Scale()])], purpose)
    assert not shares(program, 2, "value")
    # the input is the user's
    program = compiled([Activation(name), Dense(2)], purpose)
    assert program.nodes[0]["value"] == -1
    assert program.nodes[1]["value"] >= 0


@every_purpose
def test_an_activation_does_not_overwrite_the_output_of_another(purpose):
    # whose derivative is written with it
    program = compiled([Dense(3, "tanh"), Activation("logistic"), Dense(2)], purpose)
    assert shares(program, 3, "value") == (purpose == PREDICTION)


def test_prediction_uses_buffers_again():
    layers = [Dense(10, "tanh") for _ in range(20)]
    assert compiled(layers, PREDICTION).value_columns == 20
    assert compiled([Residual([Dense(4), Dense(4)]) for _ in range(10)], PREDICTION).value_columns <= 12
    assert compiled(layers, DERIVATIVES).grad_columns == 20
    assert compiled(layers, TRAINING).grad_columns == 200


def test_the_input_is_gathered_into_a_buffer():
    for purpose in PURPOSES:
        program = compiled([Dense(3), Dense(2)], purpose, indexed=True)
        assert program.nodes[0]["value"] >= 0
        run_forward(program)
    assert compiled([Dense(3), Dense(2)], sparse=True, indexed=True).nodes[0]["value"] == -1


# Blocks and operations


def narrow_width(dtype):
    """The widest output for which a forward pass in training reads W^T."""
    return table_facts(dtype)["vector_bytes"] // np.dtype(dtype).itemsize // 4


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_mirrors(dtype):
    narrow = max(narrow_width(dtype), 1)
    layers = [Dense(narrow + 1), Scale(), Dense(20), Dense(narrow)]
    program = compiled(layers, TRAINING, dtype=dtype)
    first, scale, second, last = (program.blocks[i] for i in (0, 2, 3, 5))
    assert first["mirror"] == scale["mirror"] == -1  # the gradient of the input is not wanted
    assert 0 <= second["mirror"] < last["mirror"]
    assert second["mirror"] + (narrow + 1) * 20 <= last["mirror"]
    assert last["mirror"] % 16 == 0
    assert last["mirror"] + 20 * narrow <= program.mirror_size
    for purpose in (DERIVATIVES, INSPECTION):
        mirrors = compiled(layers, purpose, dtype=dtype).blocks["mirror"]
        assert (mirrors >= 0).tolist() == [True, False, False, True, False, True, False]
    assert (compiled(layers, PREDICTION, dtype=dtype).blocks["mirror"] == -1).all()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_narrow_outputs_are_computed_from_the_mirror(dtype):
    narrow = narrow_width(dtype)
    for width in {max(narrow, 1), narrow + 1}:
        for purpose in PURPOSES:
            program = compiled([Dense(width)], purpose, dtype=dtype)
            reads_mirror = program.operations[0]["argument"]
            assert reads_mirror == (purpose == TRAINING and width <= narrow)
            assert not reads_mirror or program.blocks[0]["mirror"] >= 0
        sparse = compiled([Dense(width)], TRAINING, dtype=dtype, sparse=True)
        assert (sparse.operations[0]["argument"], sparse.blocks[0]["mirror"]) == (0, -1)


def test_numbers_of_a_program():
    program = compiled([Dense(5, "tanh"), Residual([Scale(), Dense(5, use_bias=False)]), Dense(2)])
    names = [list(KINDS)[kind] for kind in program.operations["kind"]]
    assert names == ["dense", "activation", "scale", "dense", "add", "dense", "activation"]
    assert program.nodes["width"].tolist() == [4, 5, 5, 5, 5, 5, 2, 2]
    blocks = program.blocks
    assert blocks["operation"].tolist() == [0, 0, 2, 3, 5, 5]
    assert list(zip(blocks["rows"].tolist(), blocks["cols"].tolist(), strict=True)) == [
        *[(4, 5), (1, 5), (1, 5), (5, 5), (5, 2), (1, 2)]
    ]
    assert blocks["offset"].tolist() == [0, 55, 60, 20, 45, 65]
    # the gradient of the sum's input, which the scale reads too
    assert program.operations["adds"].tolist() == [0, 0, 1, 0, 0, 0, 0]
    assert program.operations["input2"].tolist() == [-1, -1, -1, -1, 4, -1, -1]
    assert program.is_by_rows
    for order in ("forward", "reverse", "second"):
        program.check_derivatives(order)


def test_a_sparse_program():
    program = compiled([Dense(5, "tanh"), Dense(2)], sparse=True, indexed=True)
    names = [list(KINDS)[kind] for kind in program.operations["kind"]]
    assert names == ["dense_sparse", "activation", "dense", "activation"]
    assert program.is_sparse
    assert not program.is_by_rows
    for order, words in (("forward", "forward-mode"), ("reverse", "reverse-mode"), ("second", "second")):
        with pytest.raises(ValueError, match=f"the operation dense_sparse has no {words} derivative"):
            program.check_derivatives(order)


def test_a_raw_program_lacks_the_output_activation():
    layers = [Dense(5, "tanh"), Dense(2)]
    whole = Program(graph(layers, 4, "softmax"), np.float64, TRAINING)
    raw = Program(graph(layers, 4, "softmax"), np.float64, TRAINING, raw=True)
    assert len(whole.operations) == len(raw.operations) + 1
    assert raw.operations[-1]["output"] == whole.operations[-1]["input"]
    assert (raw.nodes[-1]["value"], raw.nodes[-1]["grad"]) == (-1, -1)


def test_arrays_of_structs_are_read_only():
    program = compiled([Dense(2)])
    for array in (program.nodes, program.blocks, program.operations):
        assert not array.flags.writeable
        with pytest.raises(ValueError, match="WRITEABLE"):
            array.flags.writeable = True


@pytest.mark.parametrize("loss", LOSSES)
def test_which_output_activation_a_loss_contains(loss):
    contained = {
        **dict.fromkeys(("log_loss", "smoothed_log_loss", "focal"), "softmax"),
        **dict.fromkeys(("binary_log_loss", "smoothed_binary_log_loss", "binary_focal"), "logistic"),
        **dict.fromkeys(("poisson", "gamma", "tweedie"), "exp"),
    }
    for name in ACTIVATIONS:
        assert drops_link(graph([Dense(2)], 4, name), loss) == (contained.get(loss, "identity") == name)
        assert drops_link(graph([Dense(2)], 4, name), None)


# Errors


def dense_alone():
    builder = GraphBuilder(3)
    builder.emit("dense", 0, 2, blocks=[("W", (3, 2), Group()), ("b", (2,), Group())])
    return builder.finish()


def test_a_raw_output_needs_an_activation():
    with pytest.raises(ValueError, match="needs a graph whose last operation is an activation"):
        Program(dense_alone(), np.float64, TRAINING, raw=True)


@every_purpose
@pytest.mark.parametrize(
    ("layers", "names"),
    [
        ([Scale(), Dense(2)], "Scale"),
        ([Activation("tanh"), Dense(2)], "Activation"),
        ([Residual([Dense(4)]), Dense(2)], "Residual"),
        ([Residual([Scale(), Dense(4)]), Dense(2)], "Residual, Scale"),
    ],
)
def test_only_dense_layers_read_sparse_rows(layers, names, purpose):
    with pytest.raises(ValueError, match=f"a sparse X can be read by Dense layers only, and here {names} reads it too"):
        compiled(layers, purpose, sparse=True)


def test_an_unknown_purpose():
    with pytest.raises(ValueError, match=r"the purpose of the program must be training or .*, got 'guessing'"):
        compiled([Dense(2)], "guessing")


def test_a_graph_is_compiled_once_for_each_purpose_dtype_and_option():
    made, dtypes = graph([Dense(3, "tanh"), Dense(2)]), [np.dtype(np.float32), np.dtype(np.float64)]
    keys = [
        (dtype, purpose, *options)
        for dtype in dtypes
        for purpose in PURPOSES
        for options in ((), (True,), (False, True), (False, False, True))
    ]
    programs = [program_of(made, *key) for key in keys]
    assert len(set(map(id, programs))) == len(keys)
    for key, program in zip(keys, programs, strict=True):
        raw, sparse, indexed = (*key[2:], False, False, False)[:3]
        assert program_of(made, *key) is program
        assert (program.dtype, program.purpose) == key[:2]
        assert (program.is_raw, program.is_sparse, program.is_indexed) == (raw, sparse, indexed)
    assert program_of(graph([Dense(3, "tanh"), Dense(2)]), *keys[0]) is not programs[0]


@pytest.mark.parametrize("purpose", PURPOSES)
def test_programs_that_were_compiled_for_something_else(purpose):
    program, X, y = compiled([Dense(2)], purpose), np.zeros((3, 4)), np.zeros((3, 2))
    params, mirrors = np.zeros(10), np.zeros(program.mirror_size)
    users = {
        TRAINING: lambda: Plan(program, params, "squared_error", Data(X, y, n_outputs=2), 3),
        PREDICTION: lambda: Predictor(program, params),
        DERIVATIVES: lambda: Linearization(program, params, mirrors, Data(X)),
        INSPECTION: lambda: Linearization(program, params, mirrors, Data(X)),
    }
    for needed, make in users.items():
        if needed == purpose or {needed, purpose} == {DERIVATIVES, INSPECTION}:
            make()
        else:
            match = f"the purpose of the program must be .*{needed}.*, got '{purpose}'"
            with pytest.raises(ValueError, match=match):
                make()


def test_derivatives_of_a_sparse_program():
    program = compiled([Dense(2)], DERIVATIVES, sparse=True)
    with pytest.raises(ValueError, match="derivatives are taken of dense data, and the program is for sparse data"):
        Linearization(program, np.zeros(10), np.zeros(program.mirror_size), Data(np.zeros((3, 4))))


def test_weights_of_rows_where_no_activation_ends_the_graph():
    graph, rng = dense_alone(), np.random.default_rng(0)
    X, y, weight, params = rng.normal(size=(5, 3)), rng.normal(size=(5, 2)), rng.uniform(size=5), rng.normal(size=8)
    data = Data(X, y, sample_weight=weight, n_outputs=2)
    gradient = np.empty(8)
    total = TrainingLoop(
        Plan(Program(graph, np.float64, TRAINING), params, "squared_error", data, 5)
    ).loss_and_gradient(gradient)
    loss, expected, _ = GraphTwin(graph, params).loss_and_gradient(X, y, loss="squared_error", sample_weight=weight)
    assert_allclose(total, loss * weight.sum(), rtol=1e-12)
    assert_allclose(gradient, expected * weight.sum(), rtol=1e-12)
