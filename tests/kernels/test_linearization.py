"""A kept forward pass and the products with its Jacobian: kernel, twin and finite differences; `linearization.pyx`."""

from itertools import pairwise

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import reference
from fastbp import Network
from fastbp.kernels import ACTIVATIONS
from fastbp.kernels.data import Data
from fastbp.kernels.graph import GraphBuilder, Group
from fastbp.kernels.linearization import Linearization, mirrors_of
from fastbp.kernels.program import DERIVATIVES, INSPECTION, Program

every_activation = pytest.mark.parametrize("name", ACTIVATIONS)
both_dtypes = pytest.mark.parametrize("dtype", [np.float32, np.float64], ids=["float32", "float64"])
# no hidden layer; widths that fill no vector; one unit
SIZES = [(3, 2), (1, 1), (4, 5, 3, 2), (9, 1, 17), (33, 31, 7, 100)]
# layers, and as many rows, that the products with matrices pack
WIDE, ROWS = (120, 110, 100), 130
# a call's worth of arguments, each laid out as the output or as the parameters
PULL, TANGENT = ("dA", "gradient", "dX"), ("dA", "dA_tangent", "direction", "direction_mirrors", "out")


class Problem:
    """A network as the kernel takes it, as the twins take it, and arrays to multiply with."""

    def __init__(self, sizes, activation="tanh", dtype=np.float64, n=5, seed=0):
        rng = np.random.default_rng(seed)
        shapes = list(pairwise(sizes))
        # e^z of e^z soon leaves the range of numbers
        self.activations = ["tanh" if activation == "exp" else activation] * (len(shapes) - 1) + [activation]
        ends = np.cumsum([i * o for i, o in shapes] + [o for _, o in shapes])
        self.starts = [0, *ends[:-1]]
        self.shapes = shapes
        builder, node = GraphBuilder(sizes[0]), 0
        for (fan_in, fan_out), name in zip(shapes, self.activations, strict=True):
            blocks = [("W", (fan_in, fan_out), Group()), ("b", (fan_out,), Group())]
            node = builder.emit("dense", node, fan_out, blocks=blocks)
            node = builder.emit("activation", node, fan_out, argument=ACTIVATIONS[name])
        self.graph = builder.finish()
        self.program = Program(self.graph, dtype, DERIVATIVES)
        scale = np.concatenate([np.full(i * o, i**-0.5) for i, o in shapes] + [np.full(o, 0.5) for _, o in shapes])
        self.params, self.direction = (scale * rng.normal(size=(2, len(scale)))).astype(dtype)
        self.X, self.dX = rng.normal(size=(2, n, sizes[0])).astype(dtype)
        self.dA, self.dA_tangent = rng.normal(size=(2, n, sizes[-1])).astype(dtype)
        self.mirrors = mirrors_of(self.program, self.params)
        self.direction_mirrors = mirrors_of(self.program, self.direction)
        self.linearization = self.linearize()
        self.raw = self.linearize(program=Program(self.graph, dtype, DERIVATIVES, raw=True))

    def linearize(self, X=None, params=None, program=None):
        program = self.program if program is None else program
        params = self.params if params is None else params
        X = self.X if X is None else X
        return Linearization(program, params, mirrors_of(program, params), Data(X))

    def split(self, flat):
        """(coefs, intercepts) of a flat vector, in float64."""
        flat, n = flat.astype(np.float64), len(self.shapes)
        coefs = [flat[s : s + i * o].reshape(i, o) for s, (i, o) in zip(self.starts[:n], self.shapes, strict=True)]
        return coefs, [flat[s : s + o] for s, (_, o) in zip(self.starts[n:], self.shapes, strict=True)]

    def twin_forward(self, flat=None):
        """(A, Z) of all layers."""
        return reference.forward(
            *self.split(self.params if flat is None else flat), self.X.astype(np.float64), self.activations
        )


def close(actual, expected, dtype, factor=100):
    """Within `factor` roundings of the largest number: sums over up to 130 terms of either sign, layer by layer."""
    assert actual.dtype == dtype
    scale = max(1.0, np.abs(expected).max())
    assert_allclose(actual, expected, rtol=0, atol=factor * np.finfo(dtype).eps * scale)


@both_dtypes
@pytest.mark.parametrize("sizes", SIZES)
def test_mirrors(sizes, dtype):
    problem = Problem(sizes, dtype=dtype)
    coefs, _ = problem.split(problem.params)
    mirrored = [block for block in problem.program.blocks if block["mirror"] >= 0]
    for W, block in zip(coefs, mirrored, strict=True):
        found = problem.mirrors[block["mirror"] : block["mirror"] + W.size].reshape(W.shape[::-1])
        assert_array_equal(found, W.T)


@both_dtypes
@pytest.mark.parametrize("sizes", SIZES)
@every_activation
def test_twins(name, sizes, dtype):
    check_twins(Problem(sizes, name, dtype))


@both_dtypes
def test_twins_of_wide_layers(dtype):
    check_twins(Problem(WIDE, "tanh", dtype, n=ROWS))


def check_twins(problem):
    dtype = problem.params.dtype
    A, Z = problem.twin_forward()
    close(problem.linearization.output, A[-1], dtype)
    close(problem.raw.output, Z[-1], dtype)
    J = reference.jacobian(*problem.split(problem.params), problem.X.astype(np.float64), problem.activations)
    close(problem.linearization.push(problem.dX), np.einsum("nkj,nj->nk", J, problem.dX), dtype)
    dX, gradient = np.empty_like(problem.X), np.ones_like(problem.params)
    problem.linearization.pull(problem.dA, gradient, dX)
    close(dX, np.einsum("nk,nkj->nj", problem.dA, J), dtype)
    gradients, dA = ([], []), problem.dA.astype(np.float64)
    coefs, _ = problem.split(problem.params)
    for i in reversed(range(len(coefs))):
        activation = problem.activations[i]
        dA, dW, db = reference.dense_backward(dA, A[i], coefs[i], A[i + 1], Z[i + 1], activation)
        gradients[0].insert(0, dW.ravel())
        gradients[1].insert(0, db)
    # it is added to what is there
    close(gradient, 1 + np.concatenate([*gradients[0], *gradients[1]]), dtype)


@every_activation
def test_finite_differences_of_the_products(name):
    problem = Problem((4, 5, 3, 2), name)

    def moved(t):
        return problem.linearize(params=problem.params + t * problem.direction)

    def gradient(t):
        total = np.zeros_like(problem.params)
        moved(t).pull(problem.dA + t * problem.dA_tangent, total)
        return total

    # a gradient's move along the direction is the tangent; central differences: 1e-12 of curvature, 1e-16 / 1e-6
    change = problem.linearization.push_parameters(problem.direction, problem.direction_mirrors)
    scale = max(1.0, np.abs(change).max())
    assert_allclose(change, (moved(1e-6).output - moved(-1e-6).output) / 2e-6, rtol=1e-6, atol=1e-8 * scale)
    found = np.zeros_like(problem.params)
    problem.linearization.pull_tangent(
        problem.dA, problem.dA_tangent, problem.direction, problem.direction_mirrors, found
    )
    scale = max(1.0, np.abs(found).max())
    assert_allclose(found, (gradient(1e-6) - gradient(-1e-6)) / 2e-6, rtol=1e-6, atol=1e-8 * scale)


@both_dtypes
@pytest.mark.parametrize(("sizes", "n"), [*((sizes, 7) for sizes in SIZES), (WIDE, ROWS)])
def test_tangent_twin(sizes, n, dtype):
    problem = Problem(sizes, "silu", dtype, n)
    found, y = np.ones_like(problem.params), problem.dA
    # squared error: dA = a - y, whose change is that of a
    change = problem.linearization.push_parameters(problem.direction, problem.direction_mirrors)
    problem.linearization.pull_tangent(
        problem.linearization.output - y, change, problem.direction, problem.direction_mirrors, found
    )
    products = reference.hvp(
        *problem.split(problem.params),
        problem.X.astype(np.float64),
        y.astype(np.float64),
        *problem.split(problem.direction),
        activations=problem.activations,
        loss="squared_error",
    )
    expected = np.concatenate([w.ravel() for w in products[0] + products[1]]) * len(y)  # the twin's is a mean
    close(found, 1 + expected, dtype, 1000)


@every_activation
def test_a_gradient_by_the_raw_output(name):
    problem = Problem((4, 5, 3), name)
    z, dA, dA_tangent = problem.raw.output, problem.dA, problem.dA_tangent
    a = problem.linearization.output
    direction, mirrors = problem.direction, problem.direction_mirrors
    delta = np.ascontiguousarray(reference.ACTIVATIONS[name][1](z, a, dA))
    by_output, by_raw_output = np.zeros((2, *problem.params.shape))
    problem.linearization.pull(dA, by_output)
    problem.raw.pull(delta, by_raw_output)
    close(by_raw_output, by_output, np.float64)
    # and their tangents
    dz = problem.raw.push_parameters(direction, mirrors).copy()
    delta_tangent = np.ascontiguousarray(reference.BACKWARD_TANGENTS[name](z, dz, dA, dA_tangent))
    by_output, by_raw_output = np.zeros((2, *problem.params.shape))
    problem.linearization.pull_tangent(dA, dA_tangent, direction, mirrors, by_output)
    problem.raw.pull_tangent(delta, delta_tangent, direction, mirrors, by_raw_output)
    close(by_raw_output, by_output, np.float64)


@both_dtypes
def test_rows_do_not_depend_on_each_other(dtype):
    problem = Problem((9, 12, 5), "gelu", dtype, n=40)
    pushed, pulled = problem.linearization.push(problem.dX).copy(), np.empty_like(problem.X)
    problem.linearization.pull(problem.dA, dX=pulled)
    for rows in (slice(i, i + k) for i in range(18) for k in (1, 3, 8, 21)):
        part = problem.linearize(problem.X[rows])
        assert_array_equal(part.output, problem.linearization.output[rows])
        assert_array_equal(part.push(problem.dX[rows]), pushed[rows])
        dX = np.empty_like(problem.X[rows])
        part.pull(problem.dA[rows], dX=dX)
        assert_array_equal(dX, pulled[rows])


def test_what_is_read_is_not_written_to():
    problem = Problem((4, 5, 3, 2), "mish")
    names = ("params", "mirrors", "X", "dX", "dA", "dA_tangent", "direction", "direction_mirrors")
    kept = {name: getattr(problem, name).copy() for name in names}
    for name in names:
        getattr(problem, name).flags.writeable = False
    linearization = Linearization(problem.program, problem.params, problem.mirrors, Data(problem.X))
    output = linearization.output.copy()
    linearization.push(problem.dX)
    linearization.pull(problem.dA, np.zeros_like(problem.params), np.empty_like(problem.X))
    tangents = (problem.dA, problem.dA_tangent, problem.direction, problem.direction_mirrors)
    linearization.pull_tangent(*tangents, np.zeros_like(problem.params))
    for name in names:
        assert_array_equal(getattr(problem, name), kept[name])
    assert_array_equal(linearization.output, output)


def arguments(problem):
    """Every argument that fits, by name."""
    flat = np.zeros_like(problem.params)
    return dict(
        dX=problem.dX,
        dA=problem.dA,
        dA_tangent=problem.dA_tangent,
        direction=problem.direction,
        direction_mirrors=problem.direction_mirrors,
        gradient=flat,
        out=flat.copy(),
    )


@pytest.mark.parametrize(
    ("method", "name"),
    [("push", "dX"), ("push_parameters", "direction"), ("push_parameters", "direction_mirrors")]
    + [("pull", name) for name in PULL]
    + [("pull_tangent", name) for name in TANGENT],
)
def test_arrays_that_a_pointer_could_not_bear(method, name):
    problem = Problem((4, 5, 3), "tanh")
    problem.linearization.push_parameters(problem.direction, problem.direction_mirrors)
    names = {"push": ("dX",), "push_parameters": TANGENT[2:4], "pull": PULL, "pull_tangent": TANGENT}[method]
    fitting = {k: v for k, v in arguments(problem).items() if k in names}
    getattr(problem.linearization, method)(**fitting)
    array = fitting[name]
    for wrong in (array[:-1], array.astype(np.float32), array[None]):
        with pytest.raises(ValueError, match=rf"^{name} must be float64 of shape \({array.shape[0]},.*, got "):
            getattr(problem.linearization, method)(**{**fitting, name: wrong})


def test_a_forward_pass_over_arrays_that_do_not_fit():
    problem = Problem((4, 5, 3), "tanh")
    for X in (problem.X[:, 1:].copy(), problem.X.astype(np.float32)):
        with pytest.raises(ValueError, match="X must be dense, float64, of 4 features; got"):
            problem.linearize(X)
    with pytest.raises(ValueError, match=r"mirrors must be float64 of shape \(\d+,\), got float64 of "):
        Linearization(problem.program, problem.params, problem.mirrors[1:], Data(problem.X))
    with pytest.raises(ValueError, match=r"params must be float64 of shape \(43,\), got float64 of \(42,\)"):
        Linearization(problem.program, problem.params[1:], problem.mirrors, Data(problem.X))


@both_dtypes
def test_forward_of_one_operation(dtype):
    network = Network([3, 4, 2], "tanh", dtype=dtype, random_state=0)
    program = network.program(INSPECTION)
    X = np.random.default_rng(0).normal(size=(7, 3)).astype(dtype)
    kept = Linearization(program, network.params, mirrors_of(program, network.params), Data(X))
    before = [kept.value(op.output).copy() for op in network.graph.operations]
    network.params *= 2
    kept.forward(0)
    assert_array_equal(kept.value(network.graph.operations[0].output), 2 * before[0])
    assert_array_equal(kept.value(network.graph.operations[1].output), before[1])
    for number in range(1, 4):
        kept.forward(number)
    assert_array_equal(kept.output, network.forward(X))
    for number in (-1, 4):
        with pytest.raises(IndexError, match=f"4 operations, got number {number}"):
            kept.forward(number)
