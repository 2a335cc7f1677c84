"""Batch normalization in training, beside its twin; `kinds/batch_norm.h`, and programs in segments."""

import numpy as np
import pytest
import scipy.sparse as sp
from numpy.testing import assert_allclose, assert_array_equal

import fastbp.kernels.slicing
import fastbp.kernels.training
import fastbp.threads
from fastbp import Network
from fastbp.data import make_data
from fastbp.kernels.program import DERIVATIVES, INSPECTION, PREDICTION, Program
from fastbp.kernels.training import DIVERGED
from fastbp.layers import Activation, BatchNorm, Dense, Dropout, Residual, Scale
from fastbp.optimizers import SGD, Adam, AdamW, Muon
from fastbp.training import OptimizerState
from graph_reference import GraphTwin

both_dtypes = pytest.mark.parametrize("dtype", [np.float32, np.float64], ids=["float32", "float64"])
#: batches of 64 rows, and a last one of 11, which is no multiple of a run of rows
N_ROWS, BATCH = 203, 64
#: widths are no multiple of a vector; the second is cut into tiles of columns, and two threads have columns to reduce
STACKS = {
    "small": [
        Dense(9),
        BatchNorm(0.3, 1e-3),
        Activation("tanh"),
        Residual([BatchNorm(), Dense(9, "gelu"), Dropout(0.125)]),
        Scale(0.5),
        BatchNorm(1.0),
        Dense(2),
    ],
    "wide": [Dense(230), BatchNorm(), Residual([Dense(230, "silu"), BatchNorm()]), Dense(2)],
    "of the input": [BatchNorm(), Dense(7, "tanh"), Dense(2)],
    "one after the other": [Dense(7), BatchNorm(), BatchNorm(0.5), Dense(2)],
    "at the end": [Dense(7, "tanh"), Dense(2), BatchNorm()],
    "relu": [Dense(9), BatchNorm(), Activation("relu"), Dense(2)],
    "alone": [BatchNorm()],
}
every_stack = pytest.mark.parametrize("stack", STACKS)


def make(stack="small", dtype=np.float64, **params):
    n_features = {"wide": 131, "alone": 2}.get(stack, 6)
    network = Network(layers=STACKS[stack], n_features=n_features, dtype=dtype, random_state=0, **params)
    rng = np.random.default_rng(3)
    for name, block in network.blocks.items():  # no gamma of 1, and running statistics that are not the initial ones
        block += (0.1 * rng.random(block.shape) if name[:2] not in ("W_", "b_") else 0 * block).astype(dtype)
    return network


def problem(network, n=N_ROWS):
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(n, network.graph.n_features)), rng.normal(size=(n, 2))
    return (3 + X).astype(network.dtype), y.astype(network.dtype)


def epochs(
    network, batch_size=BATCH, n_epochs=2, n_threads=1, weight=None, optimizer=None, rows=None, data=None, **options
):
    """The losses of some epochs of gradient descent, and the loop."""
    X, y = problem(network)
    data = make_data(X, y, weight, 2, network.dtype) if data is None else data
    loop = network.training_loop(data, batch_size, rows is not None, n_threads, training=True)
    state, losses = OptimizerState(optimizer or SGD(momentum=0.0), network.n_params, network.dtype), np.empty(n_epochs)
    state.seed = 7
    state.attach(loop, network.alpha, l1=network.l1, **options)
    _, status = loop.train(rows, None, 1.0, np.full(n_epochs, 0.05), losses)
    return losses, (loop, status)


def running(network):
    """The blocks of running statistics, by name."""
    return {name: block for name, block in network.blocks.items() if name.startswith(("mean_", "variance_"))}


@pytest.mark.parametrize("weighted", [False, True], ids=["", "weighted"])
@both_dtypes
@every_stack
def test_training_and_its_twin(stack, dtype, weighted):
    network = make(stack, dtype, alpha=0.1)
    weight = np.random.default_rng(4).integers(0, 3, N_ROWS).astype(np.float64) if weighted else None
    twin = GraphTwin(network.training_graph, network.params, 7)
    losses, _ = epochs(network, weight=weight)
    expected = twin.train(
        *problem(network),
        update=lambda g, w, state, t, learning_rate: (w - learning_rate * g, state),
        rates=[0.05] * 2,
        batch_size=BATCH,
        loss="squared_error",
        alpha=0.1,
        sample_weight=weight,
    )
    tolerance = 1e-10 if dtype == np.float64 else 3e-4  # some thousand roundings
    assert_allclose(losses, expected, rtol=tolerance)
    assert_allclose(network.params, twin.params, rtol=tolerance, atol=tolerance)


@both_dtypes
@every_stack
def test_gradient_against_finite_differences(stack, dtype):
    # of the loss of all rows as one batch; the differences are those of the same network in float64
    network = make(stack, dtype)
    rng, eps = np.random.default_rng(1), 1e-6

    def loss_and_gradient(network):
        X, y = problem(network)
        weight = np.random.default_rng(4).random(N_ROWS)
        loop = network.training_loop(make_data(X, y, weight, 2, network.dtype), N_ROWS, training=True)
        loop.plan.seed, gradient = 3, np.empty(network.n_params, network.dtype)
        return loop.loss_and_gradient(gradient), gradient

    _, gradient = loss_and_gradient(network)
    twice = network.astype(np.float64)
    start = twice.params.copy()
    for name, block in network.split_blocks(np.arange(network.n_params)).items():
        direction, losses = np.zeros(network.n_params), []
        direction[block] = rng.normal(size=block.shape)
        for sign in (1, -1):
            twice.params = start + sign * eps * direction
            losses.append(loss_and_gradient(twice)[0])
        difference = (losses[0] - losses[1]) / (2 * eps)
        if name in running(network):  # the loss does not depend on them
            assert difference == 0
            assert_array_equal(gradient[block], 0)
            continue
        # a bias in front of a normalization has a gradient of zero: rounding errors of the whole
        size = np.linalg.norm(gradient) * np.linalg.norm(direction)
        assert abs(gradient @ direction - difference) < (1e-7 if dtype == np.float64 else 1e-5) * size, name


@both_dtypes
@every_stack
def test_any_number_of_threads_gives_the_same_bits(stack, dtype, monkeypatch):
    monkeypatch.setattr(fastbp.threads, "FLOPS_PER_THREAD", 1)
    networks = [make(stack, dtype) for _ in range(3)]
    losses = [epochs(network, n_threads=i + 1)[0] for i, network in enumerate(networks)]
    for i in (1, 2):
        assert_array_equal(networks[i].params, networks[0].params)
        assert_array_equal(losses[i], losses[0])


@both_dtypes
def test_indexed_rows_and_sparse_rows(dtype):
    layers = STACKS["one after the other"]
    networks = [Network(layers=layers, n_features=6, dtype=dtype, random_state=0) for _ in range(3)]
    X, y = problem(networks[0])
    X *= X > 3
    rows = np.random.default_rng(2).permutation(N_ROWS)
    losses = [
        epochs(network, rows=r, data=make_data(features, targets, None, 2, dtype))[0]
        for network, r, features, targets in zip(
            networks, (None, rows, rows), (X[rows], X, sp.csr_array(X)), (y[rows], y, y), strict=True
        )
    ]
    assert_array_equal(networks[1].params, networks[0].params)
    assert_array_equal(losses[1], losses[0])
    rtol = 1e-10 if dtype == np.float64 else 1e-3  # a sparse product has another order
    assert_allclose(networks[2].params, networks[0].params, rtol=rtol, atol=rtol)


def test_sparse_rows_cannot_be_normalized():
    network = Network(layers=[BatchNorm(), Dense(2)], n_features=6, random_state=0)
    data = make_data(sp.eye(6, format="csr"), np.zeros((6, 2)), None, 2, np.float64)
    with pytest.raises(ValueError, match="and here BatchNorm reads it too"):
        network.training_loop(data, 6, training=True)


@both_dtypes
@every_stack
@pytest.mark.parametrize("n_threads", [1, 2])
def test_a_function_as_loss(stack, dtype, n_threads, monkeypatch):
    def half_square(y, z, weight):
        return ((z - y) ** 2).sum(axis=1) / 2, z - y

    monkeypatch.setattr(fastbp.threads, "FLOPS_PER_THREAD", 1)
    named, custom = make(stack, dtype), make(stack, dtype, loss=half_square)
    losses = [epochs(network, n_threads=n_threads)[0] for network in (named, custom)]
    assert_allclose(losses[1], losses[0], rtol=1e-6)
    assert_array_equal(custom.params, named.params)


@both_dtypes
def test_a_batch_of_one_row(dtype):
    # the last of each epoch: the running statistics take the place of its own, and stay as they are
    network = make("one after the other", dtype)
    (X, y), twin = problem(network), GraphTwin(network.training_graph, network.params)
    losses, _ = epochs(network, data=make_data(X[:65], y[:65], None, 2, dtype))
    update = dict(update=lambda g, w, state, t, learning_rate: (w - learning_rate * g, state))
    expected = twin.train(X[:65], y[:65], rates=[0.05] * 2, batch_size=BATCH, loss="squared_error", **update)
    tolerance = 1e-10 if dtype == np.float64 else 3e-4
    assert_allclose(losses, expected, rtol=tolerance)
    assert_allclose(network.params, twin.params, rtol=tolerance, atol=tolerance)
    # a first batch of one row: its loss is that of the prediction
    before = network.copy()
    losses, _ = epochs(network, 1, n_epochs=1, data=make_data(X[:1], y[:1], None, 2, dtype))
    assert_allclose(losses[0], before.loss_and_gradient(X[:1], y[:1])[0], rtol=1e-5)
    for name, block in running(network).items():
        assert_array_equal(block, before.blocks[name])
    assert (network.blocks["gamma_1"] != before.blocks["gamma_1"]).any()


@pytest.mark.parametrize(
    ("optimizer", "options"),
    [
        (Adam(), dict(clip_norm=0.1)),
        (AdamW(), dict(weight_decay=0.5)),
        (Muon(), {}),
        (SGD(), dict(max_norm=0.5)),
    ],
    ids=["clip_norm", "weight_decay", "muon", "max_norm"],
)
def test_updates_do_not_touch_running_statistics(optimizer, options):
    # statistics of the first layer are those of X, whatever the updates
    stack, found = "of the input", []
    for settings in ({}, dict(alpha=0.3, l1=0.2)):
        network = make(stack, **settings)
        epochs(network, optimizer=optimizer, **options)
        found.append({name: block.copy() for name, block in running(network).items()})
    expected = make(stack)
    X, batches = problem(expected)[0], range(0, N_ROWS, BATCH)
    mean, variance = expected.blocks["mean_1"], expected.blocks["variance_1"]
    for start in [*batches, *batches]:
        batch = X[start : start + BATCH]
        mean[...], variance[...] = 0.9 * mean + 0.1 * batch.mean(0), 0.9 * variance + 0.1 * batch.var(0, ddof=1)
    for statistics in found:
        assert_allclose(statistics["mean_1"], mean, rtol=1e-12)
        assert_allclose(statistics["variance_1"], variance, rtol=1e-12)


def test_a_moving_average_contains_the_statistics():
    network, average = make(), np.zeros(make().n_params)
    X, y = problem(network)
    loop = network.training_loop(make_data(X, y, None, 2, network.dtype), N_ROWS, training=True)
    OptimizerState(SGD(momentum=0.0), network.n_params, network.dtype).attach(loop, 0.0)
    loop.set_average(average, 0.5)
    params = []
    for _ in range(3):
        loop.train(None, None, 1.0, np.full(1, 0.05), np.empty(1))
        params.append(network.params.copy())
    assert_allclose(average, np.average(params, axis=0, weights=[0.25, 0.5, 1]), rtol=1e-12)


@both_dtypes
@pytest.mark.parametrize("value", [np.inf, np.nan, "huge"])
@pytest.mark.parametrize("stack", ["small", "wide", "of the input", "relu"])
def test_an_abandoned_step_changes_nothing(stack, value, dtype):
    network = make(stack, dtype)
    X, y = problem(network)
    # mean and normalized values of such numbers are finite, their variance is not
    X[150] = np.finfo(dtype).max ** 0.75 if value == "huge" else value
    data = make_data(X, y, None, 2, dtype)
    before = network.copy()
    epochs(before, n_epochs=1, data=make_data(X[:128], y[:128], None, 2, dtype))
    _, (loop, status) = epochs(network, n_epochs=1, data=data)
    assert status == DIVERGED
    assert loop.n_steps == 2
    assert_array_equal(network.params, before.params)
    assert np.isfinite(network.params).all()


def test_batches_of_weight_zero_are_left_out():
    weight = np.ones(N_ROWS)
    weight[:BATCH] = 0
    network, expected = make(), make()
    X, y = problem(network)
    _, (loop, _) = epochs(network, n_epochs=1, weight=weight)
    assert loop.n_steps == 3
    state = OptimizerState(SGD(momentum=0.0), network.n_params, network.dtype)
    state.seed = 7
    loop = expected.training_loop(make_data(X[BATCH:], y[BATCH:], None, 2, np.float64), BATCH, training=True)
    state.attach(loop, 0.0)
    loop.train(None, None, 1.0, np.full(1, 0.05), np.empty(1))
    assert_array_equal(network.params, expected.params)


@both_dtypes
@pytest.mark.parametrize("stack", ["wide", "of the input", "one after the other", "at the end"])
def test_weights_are_numbers_of_rows(stack, dtype):
    # batches in which rows have the weights 0, 1 and 2, and those in which they stand as often
    network, repeated = (make(stack, dtype) for _ in range(2))
    (X, y), weight = problem(network), np.random.default_rng(4).integers(0, 3, N_ROWS)
    rows = np.repeat(np.arange(N_ROWS), weight)
    by_weight, _ = epochs(network, N_ROWS, weight=weight.astype(np.float64))
    by_rows, _ = epochs(repeated, len(rows), data=make_data(X[rows], y[rows], None, 2, dtype))
    rtol = 1e-10 if dtype == np.float64 else 1e-3
    assert_allclose(by_weight, by_rows, rtol=rtol)
    assert_allclose(network.params, repeated.params, rtol=rtol, atol=rtol)


def test_small_weights():
    # which are no numbers of rows: their scale does not matter
    found = []
    for scale in (1e-3, 1e-6):
        network = make("one after the other")
        epochs(network, weight=np.full(N_ROWS, scale))
        found.append(network.params.copy())
    network = make("one after the other")
    epochs(network)
    for params in found:
        assert_allclose(params, network.params, rtol=1e-10)


def test_a_batch_in_which_one_row_counts():
    network = make("one after the other")
    X, y = problem(network)
    weight = np.zeros(N_ROWS)
    weight[[70, 130, 140]] = 0.5, 1, 2  # no row counts in the first batch, one in the second, two in the third
    before = network.copy()
    _, (loop, _) = epochs(network, n_epochs=1, weight=weight)
    assert loop.n_steps == 2
    twin = GraphTwin(before.training_graph, before.params)
    for batch in (np.arange(64, 128), np.arange(128, 192)):
        twin.weight = weight[batch]
        _, gradient, _ = twin.loss_and_gradient(X[batch], y[batch], loss="squared_error", sample_weight=weight[batch])
        kept = twin.kept(twin.forward(X[batch]))
        twin.params -= 0.05 * gradient
        for block, value in kept:
            block.view(twin.params)[...] = value
    assert_allclose(network.params, twin.params, rtol=1e-9, atol=1e-12)


def test_a_batch_is_not_divided(monkeypatch):
    for name, value in (("LARGEST_STEP", 0), ("SLICE_COST", 0), ("FEWEST_SLICE_ROWS", 20)):
        monkeypatch.setattr(fastbp.kernels.slicing, name, value)
    network = make()
    _, (loop, _) = epochs(network, batch_size=150)
    assert loop.plan.capacity == 150


@pytest.mark.parametrize("n_threads", [1, 2])
def test_renewed_statistics(n_threads, monkeypatch):
    # the means of the statistics of the batches, at parameters that do not change; nothing else does either
    monkeypatch.setattr(fastbp.threads, "FLOPS_PER_THREAD", 1)
    network = Network(layers=STACKS["one after the other"], n_features=6, random_state=0)
    network.params += 0.1
    X, y = problem(network, 129)  # the last batch is one row, which has no variance
    loop = network.training_loop(make_data(X, y, None, 2, np.float64), BATCH, True, n_threads, training=True)
    before, rows = network.copy(), np.random.default_rng(0).permutation(129)
    loop.renew_statistics(rows)
    W, b, blocks = network.coefs[0], network.intercepts[0], network.blocks
    batches = [X[rows[:64]] @ W + b, X[rows[64:128]] @ W + b]
    assert_allclose(blocks["mean_1"], np.mean([z.mean(0) for z in batches], axis=0), rtol=1e-12)
    assert_allclose(blocks["variance_1"], np.mean([z.var(0, ddof=1) for z in batches], axis=0), rtol=1e-12)
    normal = [(z - z.mean(0)) / np.sqrt(z.var(0) + 1e-5) * blocks["gamma_1"] + blocks["beta_1"] for z in batches]
    assert_allclose(blocks["mean_2"], np.mean([z.mean(0) for z in normal], axis=0), rtol=1e-12)
    assert_allclose(blocks["variance_2"], np.mean([z.var(0, ddof=1) for z in normal], axis=0), rtol=1e-12)
    for name in blocks.keys() - running(network).keys():
        assert_array_equal(blocks[name], before.blocks[name])
    plain = Network([6, 2], random_state=0)
    plain.training_loop(make_data(X, y, None, 2, np.float64), BATCH).renew_statistics()  # nothing to do


def test_renewed_statistics_of_weighted_rows():
    # batches without rows that count have no part; of a single one, neither
    network = make("of the input")
    X, y = problem(network)
    weight = np.random.default_rng(4).integers(0, 3, N_ROWS).astype(np.float64)
    weight[:64], weight[128:192] = 0, 0
    weight[130] = 1
    network.training_loop(make_data(X, y, weight, 2, np.float64), BATCH, training=True).renew_statistics()
    batches = [np.repeat(X[rows], weight[rows].astype(int), axis=0) for rows in (slice(64, 128), slice(192, None))]
    assert_allclose(network.blocks["mean_1"], np.mean([batch.mean(0) for batch in batches], axis=0), rtol=1e-12)
    expected = np.mean([batch.var(0, ddof=1) for batch in batches], axis=0)
    assert_allclose(network.blocks["variance_1"], expected, rtol=1e-12)


@pytest.mark.parametrize("weighted", [False, True], ids=["", "weighted"])
@pytest.mark.parametrize("stack", ["wide", "of the input", "at the end"])
def test_mixed_rows(stack, weighted):
    # statistics are those of the mixed rows, which count by the weights of the pairs; renewed ones those of the rows
    network, rows = make(stack), np.arange(N_ROWS)
    X, y = problem(network)
    weight = np.random.default_rng(4).integers(0, 3, N_ROWS).astype(np.float64) if weighted else None
    loop = network.training_loop(make_data(X, y, weight, 2, np.float64), BATCH, True, training=True)
    loop.plan.bind_mixup(0.4)
    state, losses = OptimizerState(SGD(momentum=0.0), network.n_params, network.dtype), np.empty(2)
    state.seed = 7
    state.attach(loop, 0.0)
    twin = GraphTwin(network.training_graph, network.params, loop.plan.seed)
    loop.train(rows, None, 1.0, np.full(2, 0.05), losses)
    expected = twin.train(
        X,
        y,
        update=lambda g, w, state, t, learning_rate: (w - learning_rate * g, state),
        rates=[0.05] * 2,
        batch_size=BATCH,
        loss="squared_error",
        sample_weight=weight,
        mixup_alpha=0.4,
    )
    assert_allclose(losses, expected, rtol=1e-10)
    assert_allclose(network.params, twin.params, rtol=1e-10, atol=1e-10)
    plain = network.copy()
    loop.renew_statistics(rows)
    data = make_data(X, y, weight, 2, np.float64)
    plain.training_loop(data, BATCH, True, training=True).renew_statistics(rows)
    assert_array_equal(network.params, plain.params)


def test_an_interrupted_renewal_changes_nothing(monkeypatch):
    monkeypatch.setattr(fastbp.kernels.slicing, "FLOPS_BETWEEN_CHECKS", 1.0)  # a check after every batch
    network = make()
    X, y = problem(network)
    loop, calls = network.training_loop(make_data(X, y, None, 2, np.float64), BATCH, training=True), []

    def check_signals():
        calls.append(network.params.copy())
        if len(calls) == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(fastbp.kernels.training, "check_signals", check_signals)
    before = network.params.copy()
    with pytest.raises(KeyboardInterrupt):
        loop.renew_statistics()
    assert (calls[0] != before).any()
    assert_array_equal(network.params, before)


def test_large_means_and_many_rows():
    # float32 sums of 5,000 numbers near 1000 that vary by 1: the variance has errors of the order of the roundings of X
    X = (1000 + np.random.default_rng(0).normal(size=(5001, 3))).astype(np.float32)
    network = Network(layers=[BatchNorm(1.0), Dense(2)], n_features=3, dtype=np.float32, random_state=0)
    data = make_data(X, np.zeros((5001, 2)), None, 2, np.float32)
    network.training_loop(data, 5001, training=True).renew_statistics()
    exact = X.astype(np.float64)
    assert_allclose(network.blocks["mean_1"], exact.mean(0), rtol=1e-6)
    assert_allclose(network.blocks["variance_1"], exact.var(0, ddof=1), rtol=1e-4)


def test_other_programs_use_running_statistics():
    network = make()
    assert network.has_batch_norm
    kinds = [op.kind for op in network.graph.operations]
    assert (kinds.count("batch_norm"), kinds.count("running_norm")) == (0, 3)
    assert [op.kind for op in network.training_graph.operations].count("batch_norm") == 3
    for purpose in (PREDICTION, DERIVATIVES, INSPECTION):
        with pytest.raises(ValueError, match="nor statistics of a batch: compile graph"):
            Program(network.training_graph, np.float64, purpose)
    assert not Network(layers=[Dense(3)], n_features=2).has_batch_norm


@both_dtypes
@every_stack
def test_prediction_and_derivatives_and_their_twin(stack, dtype):
    network = make(stack, dtype)
    (X, y), twin = problem(network, 19), GraphTwin(network.graph, network.params)
    tolerance = dict(rtol=1e-10, atol=1e-10) if dtype == np.float64 else dict(rtol=1e-3, atol=1e-4)
    assert_allclose(network.forward(X), twin.output(X), **tolerance)
    loss, gradient = network.loss_and_gradient(X, y)
    expected = twin.loss_and_gradient(X, y, loss="squared_error")
    assert_allclose(loss, expected[0], **tolerance)
    assert_allclose(gradient, expected[1], **tolerance)
    direction = np.random.default_rng(0).normal(size=network.n_params).astype(dtype)
    expected = twin.hvp(X, y, direction, loss="squared_error")
    assert_allclose(network.hvp(X, y, direction), expected, **tolerance)
    v, u = np.ones((19, 2), dtype), np.ones_like(X)
    assert_allclose(network.vjp(X, v), twin.vjp(X, v), **tolerance)
    assert_allclose(network.jvp(X, u), twin.jvp(X, u), **tolerance)
