"""Every kind of operation in onnxruntime, in stacks of layers by hand and at random."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings

import fastbp.layers
from fastbp import Network, to_onnx
from fastbp.export.description import KINDS
from fastbp.export.onnx.kinds import KINDS as WITH_A_FORM
from fastbp.kernels.forms import FITS
from fastbp.layers import Dense, Dropout
from fuzz_networks import problems
from layer_cases import STACKS, random_stack
from onnx_cases import assert_agrees, assert_close, run

pytest.importorskip("onnxruntime")

RNG = np.random.default_rng(0)


def network_of(width, layers, dtype="float64", seed=0):
    """A network whose parameters are not those of the beginning: also running statistics, centers, factors, and edges,
    of which some make a bin of no width."""
    network = Network(layers=layers, n_features=width, dtype=dtype, random_state=seed)
    rng = np.random.default_rng(seed)
    for name, block in network.blocks.items():
        block += 0.1 * np.abs(rng.normal(size=block.shape))
        if name.startswith("edges"):
            block[...] = np.sort(rng.normal(size=block.shape), axis=1)
            block[:, -1] = block[:, -2]
    return network


def rows(width, n=40, seed=0):
    """Rows with small codes in them, and numbers."""
    rng = np.random.default_rng(seed)
    return np.where(rng.random((n, width)) < 0.3, rng.integers(0, 5, (n, width)), rng.normal(size=(n, width)))


def test_every_kind_has_a_form():
    assert set(WITH_A_FORM) == set(KINDS)
    assert set(FITS) == {*KINDS, "dropout", "batch_norm"}


def test_the_stacks_have_every_kind_and_layer():
    networks = [network_of(width, layers) for width, layers in STACKS.values()]
    assert {op.kind for network in networks for op in network.graph.for_prediction.operations} == set(KINDS)
    of_package = {cls for cls in vars(fastbp.layers).values() if isinstance(cls, type)} - {fastbp.layers.Layer, Dropout}
    found = {type(layer) for _, layers in STACKS.values() for layer in fastbp.layers.base.all_layers(layers)}
    assert found == of_package


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", STACKS)
def test_stacks(name, dtype):
    width, layers = STACKS[name]
    X = rows(width).astype(dtype)
    assert_agrees(network_of(width, layers, dtype), X, methods=("forward",))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", ["columns", "numbers", "table"])
def test_missing_and_unknown(name, dtype):
    width, layers = STACKS[name]
    X = rows(width).astype(dtype)
    network = network_of(width, layers, dtype)
    X[RNG.random(X.shape) < 0.3] = np.nan
    X[::7] = -3.0
    X[1::7] = 1e6
    wanted = network.forward(X)
    finite = np.isfinite(wanted)  # where missing numbers meet a layer that takes none, they go through
    found = run(to_onnx(network), X)["variable"]
    assert finite.any()
    assert (np.isfinite(found) == finite).all()
    assert_close(np.where(finite, found, 0), np.where(finite, wanted, 0))


@pytest.mark.parametrize("name", ["columns", "numbers", "normalized", "nested"])
@pytest.mark.parametrize("n", [0, 1])
def test_no_row_and_one_row(name, n):
    width, layers = STACKS[name]
    network, X = network_of(width, layers), rows(width)[:n]
    assert_agrees(network, X, methods=("forward",))


def test_codes_on_the_edge():
    network = network_of(1, [fastbp.layers.Embedding([3], 2), Dense(2)])
    X = np.array([-0.5, -0.49, 0.49, 0.5, 1.5, 2.49, 2.5, 3.0, np.nan, -1e30, 1e30])[:, None]
    assert_agrees(network, X, methods=("forward",))


def test_dropout_is_left_out():
    layers = [Dense(4, "tanh"), Dropout(0.5), Dense(2)]
    network = network_of(3, layers)
    assert_agrees(network, rows(3), methods=("forward",))
    assert [node.op_type for node in to_onnx(network).graph.node] == ["Gemm", "Tanh", "Gemm", "Identity"]


@pytest.mark.parametrize("seed", range(20))
def test_random_stacks(seed):
    width, layers = random_stack(seed)
    for dtype in ("float32", "float64"):
        network, X = network_of(width, layers, dtype, seed), rows(width).astype(dtype)
        assert_agrees(network, X, methods=("forward",))


@settings(max_examples=60, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck))
@given(problems())
def test_fuzzed_networks(problem):
    """Random stacks of all layers with branches, activations with their constants, and output activations."""
    network = problem.made()[0]
    X = rows(problem.n_features, problem.n, problem.seed).astype(network.dtype)
    # sums of several branches: the network's own rounding in float32 is up to 6e-7
    assert_agrees(network, X, methods=("forward",), tolerance=5e-6 if network.dtype == np.float32 else None)
