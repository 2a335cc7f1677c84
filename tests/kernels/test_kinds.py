"""Every kind of operation: kernel, twin and finite differences."""

import numpy as np
import pytest
import scipy.sparse as sp
from numpy.testing import assert_allclose

import graph_reference
from fastbp.kernels import ACTIVATIONS
from fastbp.kernels.data import Data
from fastbp.kernels.dispatch import KINDS
from fastbp.kernels.graph import GraphBuilder, Group
from fastbp.kernels.linearization import Linearization, mirrors_of
from fastbp.kernels.plan import Plan
from fastbp.kernels.predictor import Predictor
from fastbp.kernels.program import DERIVATIVES, PREDICTION, TRAINING, Program
from fastbp.kernels.training import TrainingLoop
from graph_reference import GraphTwin

both_dtypes = pytest.mark.parametrize("dtype", [np.float32, np.float64], ids=["float32", "float64"])
# widths that fill no vector of any instruction set, and rows that fill no register block
WIDTHS, N_ROWS = (1, 3, 17, 35), 11


def dense(builder, node, width, bias=True):
    blocks = [("W", (builder.widths[node], width), Group(penalty=1.0)), ("b", (width,), Group())]
    return builder.emit("dense", node, width, blocks=blocks if bias else blocks[:1])


def activation(builder, node, name="tanh"):
    return builder.emit("activation", node, builder.widths[node], argument=ACTIVATIONS[name])


def vectors(builder, node, *names):
    return [(name, (builder.widths[node],), Group()) for name in names]


def robust_scale(builder, node, *columns, clip=3.0):
    """Of all columns, in an order that is not theirs, or of these."""
    width = len(columns) or builder.widths[node]
    blocks = [(name, (width,), Group(trained=False)) for name in ("center", "factor")]
    numbers = dict(argument=int(bool(columns)), constants=(clip,), integers=columns)
    return builder.emit("robust_scale", node, width, blocks=blocks, **numbers)


def codes(builder, node):
    """(levels, integers) of codes in all columns, the last one first."""
    width = builder.widths[node]
    levels = [1 + j % 3 for j in range(width)]
    return levels, (width, *reversed(range(width)), *levels)


def one_hot(builder, node):
    levels, integers = codes(builder, node)
    return builder.emit("one_hot", node, sum(levels), integers=integers)


def embedding(builder, node, width, is_sum):
    levels, integers = codes(builder, node)
    blocks = [("table", (sum(levels) + len(levels), width), Group(penalty=1.0))]
    total = width if is_sum else width * len(levels)
    return builder.emit("embedding", node, total, blocks=blocks, argument=int(is_sum), integers=integers)


def embedded(kind, builder, node, keep, width, shapes, edges=0):
    """An embedding of some of the columns, one of them twice; the second input is what a dense layer makes of them."""
    columns = [*range(0, builder.widths[node], 2), builder.widths[node] - 1]
    blocks = [(f"{kind}_{i}", (len(columns), size), Group()) for i, size in enumerate(shapes)]
    if edges:
        blocks.append(("edges", (len(columns), edges), Group(trained=False)))
    return builder.emit(
        kind,
        node,
        len(columns) * (width + keep),
        input2=activation(builder, dense(builder, activation(builder, node), len(columns))),
        blocks=blocks,
        argument=keep,
        integers=columns,
    )


def piecewise_linear(builder, node, width, bins, keep):
    sizes = (width, width, bins * width, width)
    return embedded("piecewise_linear", builder, node, keep, width, sizes, edges=bins + 1)


def periodic(builder, node, width, frequencies, keep):
    sizes = (frequencies, frequencies, frequencies * width, width, width)
    return embedded("periodic", builder, node, keep, width, sizes)


#: kind: what appends an operation of it that reads `node`
EMITTERS = {
    "dense": lambda builder, node: dense(builder, node, 2 * builder.widths[node] + 1),
    "activation": activation,
    "add": lambda builder, node: builder.emit("add", node, builder.widths[node], input2=node),
    "scale": lambda builder, node: builder.emit(
        "scale", node, builder.widths[node], blocks=[("s", (builder.widths[node],), Group())]
    ),
    "layer norm": lambda builder, node: builder.emit(
        "row_norm",
        node,
        builder.widths[node],
        blocks=vectors(builder, node, "gain", "shift"),
        argument=1,
        constants=(0.1,),
    ),
    "rms norm": lambda builder, node: builder.emit(
        "row_norm", node, builder.widths[node], blocks=vectors(builder, node, "gain"), constants=(0.1,)
    ),
    "running norm": lambda builder, node: builder.emit(
        "running_norm",
        node,
        builder.widths[node],
        blocks=[
            *vectors(builder, node, "gamma", "beta"),
            *((name, (builder.widths[node],), Group(trained=False)) for name in ("mean", "variance")),
        ],
        constants=(0.1,),
    ),
    "prelu": lambda builder, node: builder.emit(
        "prelu", node, builder.widths[node], blocks=vectors(builder, node, "slope")
    ),
    "blend": lambda builder, node: builder.emit(
        "blend", node, builder.widths[node], input2=activation(builder, node), blocks=vectors(builder, node, "alpha")
    ),
    "piecewise linear": lambda builder, node: piecewise_linear(builder, node, 3, 9, 1),
    "piecewise linear without x'": lambda builder, node: piecewise_linear(builder, node, 17, 1, 0),
    "periodic": lambda builder, node: periodic(builder, node, 3, 5, 1),
    "periodic without x'": lambda builder, node: periodic(builder, node, 17, 20, 0),
    "blend with the input": lambda builder, node: builder.emit(
        "blend",
        activation(builder, node),
        builder.widths[node],
        input2=node,
        blocks=vectors(builder, node, "alpha"),
    ),
    "concatenate": lambda builder, node: builder.emit(
        "concatenate", node, 2 * builder.widths[node], input2=activation(builder, node)
    ),
    "concatenate with itself": lambda builder, node: builder.emit(
        "concatenate", node, 2 * builder.widths[node], input2=node
    ),
    "robust scale": robust_scale,
    "robust scale without a clip": lambda builder, node: robust_scale(builder, node, clip=0.0),
    "robust scale of columns": lambda builder, node: robust_scale(
        builder, node, *reversed(range(0, builder.widths[node], 2))
    ),
    # more than are put side by side at a time, and a column that is read twice
    "robust scale of many columns": lambda builder, node: robust_scale(
        builder, node, *(j % builder.widths[node] for j in range(70))
    ),
    "one hot": one_hot,
    "embedding": lambda builder, node: embedding(builder, node, 3, False),
    # more columns than are looked up at a time
    "embedding of many columns": lambda builder, node: embedding(
        builder, builder.emit("concatenate", node, 2 * builder.widths[node], input2=node), 2, True
    ),
    "embedding, added up": lambda builder, node: embedding(builder, node, 19, True),
}
#: kinds that take the place of another
REPLACED = {"dense_sparse", "dense_int8"}
#: kinds whose twins are elsewhere: test_quantized.py
ELSEWHERE = {"dense_int8"}
#: kinds of training only, which no program for derivatives contains: test_dropout.py, test_batch_norm.py
TRAINING_ONLY = {"dropout", "batch_norm"}
every_kind = pytest.mark.parametrize("kind", EMITTERS)


def test_every_kind_has_a_twin():
    assert set(graph_reference.KINDS) | ELSEWHERE == set(KINDS)
    emitted = {Problem(kind, 3).graph.operations[-2].kind for kind in EMITTERS}
    assert emitted | REPLACED | TRAINING_ONLY == set(KINDS)


def set_edges(edges):
    """Ascending edges; of the first column only one bin, and of the second none."""
    edges[...] = np.cumsum(edges, axis=1) - 4
    edges[0, 1:] = edges[0, -1]
    edges[1:2] = 0.25


class Problem:
    """An operation of a kind that reads the input, or the output of a dense operation in front of it."""

    def __init__(self, kind, width, dtype=np.float64, in_front=False):
        builder = GraphBuilder(width)
        node = dense(builder, 0, width) if in_front else 0
        activation(builder, EMITTERS[kind](builder, node), "identity")
        self.graph, self.dtype = builder.finish(), dtype
        rng = np.random.default_rng(0)
        self.params, self.direction = rng.normal(size=(2, self.graph.n_params)).astype(dtype)
        for block in self.graph.blocks:
            if not self.graph.groups[block.group].trained:  # a constant; a variance must not be negative
                block.view(self.direction)[...] = 0
                block.view(self.params)[...] = np.abs(block.view(self.params)) % 1 + 0.5  # magnifies roundings little
                if block.name == "edges_1":
                    set_edges(block.view(self.params))
        self.X, self.dX = rng.normal(size=(2, N_ROWS, width)).astype(dtype)
        self.dA, self.dA_tangent = rng.normal(size=(2, N_ROWS, self.graph.n_outputs)).astype(dtype)
        self.program = Program(self.graph, dtype, DERIVATIVES)
        self.direction_mirrors = mirrors_of(self.program, self.direction)
        self.twin = GraphTwin(self.graph, self.params)
        self.values = self.twin.forward(self.X)
        self.output = self.graph.operations[-1].output

    def linearization(self, params=None, X=None):
        params = self.params if params is None else params
        X = self.X if X is None else X
        return Linearization(self.program, params, mirrors_of(self.program, params), Data(X))


def close(actual, expected, dtype, factor=1):
    """Within some roundings of the largest number: sums over at most 71 terms of either sign, twice."""
    assert actual.dtype == dtype
    largest = max(1.0, np.abs(expected).max(initial=0))
    assert_allclose(actual, expected, rtol=0, atol=50 * factor * np.finfo(dtype).eps * largest)


@both_dtypes
@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("in_front", [False, True], ids=["of the input", "of a node"])
@every_kind
def test_kernel_and_twin(kind, in_front, width, dtype):
    problem = Problem(kind, width, dtype, in_front)
    # a rounding of a number counts 2 pi omega times, or as often as a bin is steep
    factor = 10 if kind.startswith(("periodic", "piecewise")) else 1
    kept, twin, values = problem.linearization(), problem.twin, problem.values
    close(kept.output, values[problem.output], dtype, factor)
    gradient, dX = np.ones_like(problem.params), np.empty_like(problem.X)
    kept.pull(problem.dA, gradient, dX)
    grads, expected = twin.pull(values, problem.dA)
    close(dX, grads[0], dtype, factor)
    close(gradient, 1 + expected, dtype, factor)  # it is added
    by_input = twin.push(values, problem.dX, np.zeros_like(problem.direction))[problem.output]
    close(kept.push(problem.dX), by_input, dtype, factor)
    changes = twin.push(values, np.zeros_like(problem.X), problem.direction)
    close(kept.push_parameters(problem.direction, problem.direction_mirrors), changes[problem.output], dtype, factor)
    found = np.ones_like(problem.params)
    kept.pull_tangent(problem.dA, problem.dA_tangent, problem.direction, problem.direction_mirrors, found)
    expected = twin.pull_tangent(values, changes, problem.direction, problem.dA, problem.dA_tangent)
    close(found, 1 + expected, dtype, factor)


@pytest.mark.parametrize("in_front", [False, True], ids=["of the input", "of a node"])
@every_kind
def test_finite_differences(kind, in_front):
    problem, eps = Problem(kind, 3, in_front=in_front), 1e-6
    tolerance = dict(rtol=1e-6, atol=1e-7)  # of central differences: 1e-12 by the curvature, 1e-16 / eps by rounding

    def moved(t, along_X=False):
        if along_X:
            return problem.linearization(X=problem.X + t * problem.dX)
        return problem.linearization(params=problem.params + t * problem.direction)

    def gradients(t):
        gradient, dX = np.zeros_like(problem.params), np.empty_like(problem.X)
        moved(t).pull(problem.dA + t * problem.dA_tangent, gradient, dX)
        return gradient

    kept = problem.linearization()
    gradient, dX = np.zeros_like(problem.params), np.empty_like(problem.X)
    kept.pull(problem.dA, gradient, dX)
    by_params = (moved(eps).output - moved(-eps).output) / (2 * eps)
    by_X = (moved(eps, True).output - moved(-eps, True).output) / (2 * eps)
    assert_allclose(kept.push(problem.dX), by_X, **tolerance)
    assert_allclose(kept.push_parameters(problem.direction, problem.direction_mirrors), by_params, **tolerance)
    assert_allclose((dX * problem.dX).sum(), (problem.dA * by_X).sum(), **tolerance)
    assert_allclose(gradient @ problem.direction, (problem.dA * by_params).sum(), **tolerance)
    found = np.zeros_like(problem.params)
    kept.pull_tangent(problem.dA, problem.dA_tangent, problem.direction, problem.direction_mirrors, found)
    assert_allclose(found, (gradients(eps) - gradients(-eps)) / (2 * eps), **tolerance)


@pytest.mark.parametrize("index_dtype", [np.int32, np.int64])
@pytest.mark.parametrize("bias", [True, False], ids=["bias", "no bias"])
@both_dtypes
@pytest.mark.parametrize("width", WIDTHS)
def test_dense_sparse(width, dtype, bias, index_dtype):
    rng = np.random.default_rng(0)
    builder = GraphBuilder(6)
    activation(builder, dense(builder, 0, width, bias), "identity")
    graph = builder.finish()
    params = rng.normal(size=graph.n_params).astype(dtype)
    X = (rng.normal(size=(N_ROWS, 6)) * (rng.random((N_ROWS, 6)) < 0.4)).astype(dtype)
    X[3], X[:, 2] = 0, 0  # an empty row and an empty column
    csr = sp.csr_array(X)
    arrays = (csr.data, csr.indices.astype(index_dtype), csr.indptr.astype(index_dtype), csr.shape)
    Y = rng.normal(size=(N_ROWS, width)).astype(dtype)
    data, twin = Data(arrays, Y, n_outputs=width), GraphTwin(graph, params)
    out = np.empty((N_ROWS, width), dtype)
    program = Program(graph, dtype, PREDICTION, sparse=True)
    assert list(program.operations["kind"]) == [KINDS["dense_sparse"], KINDS["activation"]]
    Predictor(program, params)(data, out)
    close(out, twin.output(X), dtype)
    program, gradient = Program(graph, dtype, TRAINING, raw=True, sparse=True), np.empty(graph.n_params, dtype)
    loop = TrainingLoop(Plan(program, params, "squared_error", data, N_ROWS))
    total = loop.loss_and_gradient(gradient)
    loss, expected, _ = twin.loss_and_gradient(X, Y, loss="squared_error")
    assert_allclose(total, loss * N_ROWS, rtol=1e-5 if dtype == np.float32 else 1e-12)
    close(gradient, expected * N_ROWS, dtype)
