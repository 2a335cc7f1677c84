"""The compiled loops around `step.h`: the shuffle, the stopping rule, and whole epochs beside the textbook's loop."""

import functools
import pickle
import time

import numpy as np
import pytest
import scipy.sparse as sp
from numpy.testing import assert_allclose, assert_array_equal

import fastbp.kernels.slicing
import fastbp.network
import fastbp.threads
import reference
from fastbp import Network
from fastbp.data import make_data
from fastbp.kernels import dense_backward
from fastbp.kernels.data import Data
from fastbp.kernels.dispatch import N_MEMORY
from fastbp.kernels.patience import Patience
from fastbp.kernels.shuffling import shuffle
from fastbp.kernels.team import Team
from fastbp.kernels.training import COMPLETED, DIVERGED, OUT_OF_PATIENCE
from fastbp.optimizers import SGD, Adam, Muon
from fastbp.training import OptimizerState
from interrupts import interrupt_after, processor_seconds

both_dtypes = pytest.mark.parametrize("dtype", [np.float32, np.float64], ids=["float32", "float64"])


NO_MEMORY = np.zeros((1, N_MEMORY))


# The shuffle


@pytest.mark.parametrize("bit_generator", [np.random.MT19937, np.random.PCG64, np.random.Philox, np.random.SFC64])
def test_shuffle_is_numpys(bit_generator):
    ours, numpys = (np.random.RandomState(bit_generator(5)) for _ in range(2))
    for n in [*range(101), 1_000, 65_537, 100_000]:
        rows, expected = np.arange(n), np.arange(n)
        shuffle(ours, rows)
        numpys.shuffle(expected)
        assert_array_equal(rows, expected)
    # the generators stand at the same place: what is drawn next is the same
    assert_array_equal(ours.randint(2**31, size=5), numpys.randint(2**31, size=5))
    assert_array_equal(ours.standard_normal(5), numpys.standard_normal(5))


# The stopping rule


class PatienceTwin:
    """scikit-learn's rule, with its branches in scikit-learn's order."""

    def __init__(self, tol, limit):
        self.tol, self.limit, self.best, self.count = tol, limit, np.inf, 0

    def observe(self, value):
        if value > self.best - self.tol:
            self.count += 1
        else:
            self.count = 0
        improved = value < self.best
        if improved:
            self.best = value
        return improved


@pytest.mark.parametrize("tol", [0.0, 0.1, 10.0])
@pytest.mark.parametrize("limit", [0, 2, np.inf])
@pytest.mark.parametrize("seed", range(3))
def test_patience(tol, limit, seed):
    rng = np.random.default_rng(seed)
    values = rng.normal(size=60).round(1) - np.arange(60) / 30
    values[rng.integers(60, size=6)] = np.nan
    values[rng.integers(60, size=2)] = np.inf
    ours, twin = Patience(tol, limit), PatienceTwin(tol, limit)
    for value in values:
        assert ours.observe(value) == twin.observe(value)
        assert (ours.best, ours.count) == (twin.best, twin.count)
        assert ours.is_exhausted == (twin.count > limit)


def test_patience_can_be_pickled():
    patience = Patience(0.5, 3)
    for value in (4.0, 2.0, 1.9):
        patience.observe(value)
    restored = pickle.loads(pickle.dumps(patience))
    assert (restored.tol, restored.limit, restored.best, restored.count) == (0.5, 3, 1.9, 1)


# Epochs


SIZES, N, ALPHA = (6, 9, 5, 3), 50, 0.3
RATES = np.array([0.05, 0.05, 0.02, 0.01])
RATES_OF_STEPS = RATES[:, None] * np.linspace(0.2, 1, -(-N // 7))  # batches of 7 rows
UPDATES = {
    "sgd": (reference.sgd_update, dict(momentum=0.0, nesterov=False)),
    "momentum": (reference.sgd_update, dict(momentum=0.8, nesterov=False)),
    "nesterov": (reference.sgd_update, dict(momentum=0.8, nesterov=True)),
    "adam": (reference.adam_update, dict(beta_1=0.8, beta_2=0.95, epsilon=1e-6)),
}
OUTPUTS = {
    "identity": "squared_error",
    "softmax": "log_loss",
    "logistic": "log_loss",
    "exp": "poisson",
    "tanh": "squared_error",
}


def problem(output_activation, dtype=np.float64, sparse=False, weighted=False):
    """X, Y, sample_weight and a network; half of X is zero, and the last rows weigh nothing."""
    rng = np.random.default_rng(1)
    X, Y = rng.normal(size=(N, SIZES[0])), rng.uniform(size=(N, SIZES[-1])).round(1)
    X[rng.random(X.shape) < 0.5] = 0
    if output_activation == "softmax":
        Y = np.eye(SIZES[-1])[rng.integers(SIZES[-1], size=N)]
    weight = np.where(np.arange(N) < N - 8, rng.uniform(0.5, 2, N), 0) if weighted else None
    network = Network(
        SIZES,
        ("tanh", "gelu"),
        output_activation,
        OUTPUTS[output_activation],
        alpha=ALPHA,
        dtype=dtype,
        random_state=0,
    )
    return (sp.csr_array(X) if sparse else X), Y, weight, network


def train(network, X, Y, weight, update="sgd", batch_size=7, seed=None, patience=None, rates=RATES, **changes):
    """Epochs through a Plan: (n_epochs, status, losses, optimizer)."""
    twin, constants = UPDATES[update]
    constants = {"nesterovs_momentum" if k == "nesterov" else k: v for k, v in constants.items()}
    cls = Adam if twin is reference.adam_update else SGD
    optimizer = OptimizerState(cls(**constants), network.n_params, network.dtype)
    data = make_data(X, Y, weight, network.n_outputs, network.dtype)
    rows, random_state = (None, None) if seed is None else (np.arange(N), np.random.RandomState(seed))
    loop = network.training_loop(data, batch_size, indexed=rows is not None)
    losses = np.full(len(rates), np.nan)
    optimizer.attach(loop, network.alpha)
    done, status = loop.train(rows, random_state, 1.0, rates, losses, patience)
    optimizer.n_steps = loop.n_steps
    return done, status, losses, optimizer


def test_rates_of_steps():
    X, Y, weight, network = problem("identity", weighted=True)  # with batches that weigh nothing, which make no step
    coefs, intercepts = ([w.copy() for w in arrays] for arrays in (network.coefs, network.intercepts))
    expected, steps = reference.train(
        coefs,
        intercepts,
        X,
        Y,
        update=functools.partial(reference.adam_update, **UPDATES["adam"][1]),
        rates=RATES_OF_STEPS,
        batch_size=7,
        random_state=np.random.RandomState(3),
        sample_weight=weight,
        alpha=ALPHA,
        activations=("tanh", "gelu", "identity"),
        loss="squared_error",
    )
    done, status, losses, optimizer = train(network, X, Y, weight, "adam", seed=3, rates=RATES_OF_STEPS)
    assert (done, status, optimizer.n_steps) == (len(RATES), COMPLETED, steps)
    assert_allclose(losses, expected, rtol=1e-9)
    for actual, twin in zip([*network.coefs, *network.intercepts], [*coefs, *intercepts], strict=True):
        assert_allclose(actual, twin, rtol=1e-7, atol=1e-9)


def test_equal_rates_of_steps_are_a_rate_of_the_epoch():
    params = []
    for rates in (RATES, np.repeat(RATES[:, None], len(RATES_OF_STEPS[0]), axis=1)):
        X, Y, weight, network = problem("softmax")
        train(network, X, Y, weight, seed=3, rates=rates)
        params.append(network.params)
    assert_array_equal(*params)


@pytest.mark.parametrize("shape", [(4, 7), (4, 9), (4, 8, 1)])
def test_a_wrong_number_of_rates(shape):
    X, Y, weight, network = problem("softmax")
    with pytest.raises(ValueError, match=r"broadcast|more dimensions"):
        train(network, X, Y, weight, rates=np.full(shape, 0.1))


@pytest.mark.parametrize("update", UPDATES)
@pytest.mark.parametrize("output_activation", OUTPUTS)
@pytest.mark.parametrize(
    ("sparse", "weighted", "seed"), [(False, False, 3), (True, False, 3), (False, True, None), (True, True, 3)]
)
def test_textbook_training(update, output_activation, sparse, weighted, seed):
    X, Y, weight, network = problem(output_activation, sparse=sparse, weighted=weighted)
    coefs, intercepts = ([w.copy() for w in arrays] for arrays in (network.coefs, network.intercepts))
    twin, constants = UPDATES[update]
    expected, steps = reference.train(
        coefs,
        intercepts,
        X.toarray() if sparse else X,
        Y,
        update=functools.partial(twin, **constants),
        rates=RATES,
        batch_size=7,
        random_state=None if seed is None else np.random.RandomState(seed),
        sample_weight=weight,
        activations=network.activations,
        loss=network.kernel_loss,
        alpha=ALPHA,
    )
    done, status, losses, optimizer = train(network, X, Y, weight, update, seed=seed)
    assert (done, status, optimizer.n_steps) == (len(RATES), COMPLETED, steps)
    # 32 steps whose roundings, some 1e-15 each, the curvature may magnify; Adam divides by sqrt(v) near 0
    assert_allclose(losses, expected, rtol=1e-9)
    for ours, theirs in zip(network.coefs + network.intercepts, coefs + intercepts, strict=True):
        assert_allclose(ours, theirs, rtol=1e-8, atol=1e-10)


@both_dtypes
@pytest.mark.parametrize("fan_out", [1, 2, 3, 4, 5, 8, 11, 16, 18, 35, 68])
def test_a_step_of_one_row_is_that_of_its_gradient(fan_out, dtype):
    # an outer product, updated tile by tile
    rng = np.random.RandomState(0)
    X, Y = rng.normal(size=(1, 70)).astype(dtype), rng.normal(size=(1, 3)).astype(dtype)
    network = Network([70, fan_out, 3], "tanh", dtype=dtype, random_state=0, alpha=0)
    network.params[...] = rng.normal(size=network.n_params)
    _, gradient = network.loss_and_gradient(X, Y)
    of_parameters = network.copy()
    of_parameters.params[...] = gradient
    delta = of_parameters.intercepts[0][None].copy()  # of one row
    by_product = dense_backward(delta, X, network.coefs[0].copy(), delta)[1]
    assert_array_equal(of_parameters.coefs[0], by_product)
    expected = network.params - dtype(0.25) * gradient
    state = OptimizerState(SGD(momentum=0.0, nesterovs_momentum=False), network.n_params, network.dtype)
    loop = network.training_loop(make_data(X, Y, None, 3, network.dtype), 1)
    loop.set_optimizer([("sgd", (0.0, 0.0))], [0] * len(network.graph.blocks), state.state, state.memory, 0, 0)
    loop.train(None, None, 1.0, np.full(1, 0.25), np.empty(1))
    assert_array_equal(network.params, expected)


@both_dtypes
@pytest.mark.parametrize("clip_norm", [np.inf, 1e30], ids=["by tile", "stored"])
def test_an_infinite_bias_stays(clip_norm, dtype):
    # the bias of a unit that is switched off: its gradient is 0, and biases have no penalty
    rng = np.random.RandomState(0)
    X, Y = rng.normal(size=(20, 5)).astype(dtype), rng.normal(size=(20, 3)).astype(dtype)
    network = Network([5, 9, 3], "relu", dtype=dtype, random_state=0, alpha=0.5)
    network.intercepts[0][4] = -np.inf
    state, losses = OptimizerState(Adam(), network.n_params, network.dtype), np.empty(3)
    loop = network.training_loop(make_data(X, Y, None, 3, network.dtype), 10)
    loop.set_optimizer(
        Adam().kernel_constants,
        Adam().kernel_of_blocks(network.graph),
        state.state,
        state.memory,
        0,
        0.5,
        clip_norm=clip_norm,
    )
    assert loop.train(None, None, 1.0, np.full(3, 1e-2), losses) == (3, COMPLETED)
    assert np.isfinite(losses).all()
    assert network.intercepts[0][4] == -np.inf
    assert np.isfinite(np.delete(network.intercepts[0], 4)).all()


@pytest.mark.parametrize("output_activation", ["softmax", "identity"])
@pytest.mark.parametrize("kind", ["dense", "csr", "weights", "slices"])
@both_dtypes
def test_any_number_of_threads_gives_the_same_bits(output_activation, kind, dtype, monkeypatch):
    monkeypatch.setattr(fastbp.threads, "FLOPS_PER_THREAD", 1)
    monkeypatch.setattr(fastbp.network, "STARTED_FLOPS_PER_THREAD", 1)
    results = []
    for n_threads in (1, 2, 3, 5):
        X, Y, weight, network = problem(output_activation, dtype, kind == "csr", kind == "weights")
        network.n_threads = n_threads
        seed = None if kind == "slices" else 0
        _, _, losses, optimizer = train(network, X, Y, weight, "adam", batch_size=33, seed=seed)
        loss, gradient = network.loss_and_gradient(X, Y, weight)
        results.append([network.params, losses, *optimizer.state, gradient, network.forward(X), [loss]])
    for result in results[1:]:
        for ours, first in zip(result, results[0], strict=True):
            assert_array_equal(ours, first)


@pytest.mark.parametrize("n_threads", [1, 3])
@both_dtypes
def test_class_numbers_equal_one_hot_rows(n_threads, dtype, monkeypatch):
    monkeypatch.setattr(fastbp.threads, "FLOPS_PER_THREAD", 1)
    monkeypatch.setattr(fastbp.network, "STARTED_FLOPS_PER_THREAD", 1)
    results = []
    for labels in (False, True):
        X, Y, weight, network = problem("softmax", dtype, weighted=True)
        network.n_threads = n_threads
        _, _, losses, _ = train(network, X, Y.argmax(axis=1) if labels else Y, weight, seed=0)
        results.append((network.params, losses))
    for ours, first in zip(*results, strict=True):
        assert_array_equal(ours, first)


def test_a_batch_without_weight_is_no_step():
    X, Y, _, network = problem("identity")
    weight = np.ones(N)
    weight[7:14] = 0
    train(network, X, Y, weight, "adam")
    kept = np.delete(np.arange(N), np.s_[7:14])
    *_, other = problem("identity")
    _, _, _, optimizer = train(other, X[kept], Y[kept], np.ones(N - 7), "adam")
    assert optimizer.n_steps == len(RATES) * 7
    assert_array_equal(network.params, other.params)


def test_all_weights_one_is_no_weights():
    X, Y, _, network = problem("softmax")
    *_, other = problem("softmax")
    train(network, X, Y, np.ones(N), seed=0)
    train(other, X, Y, None, seed=0)
    assert_array_equal(network.params, other.params)


def test_patience_ends_the_epochs():
    X, Y, _, network = problem("identity")
    rates = np.full(20, 1e-6)
    done, status, losses, _ = train(network, X, Y, None, patience=Patience(1.0, 2), rates=rates)
    # the first loss is better than none; the next three are not by 1.0
    assert (done, status) == (4, OUT_OF_PATIENCE)
    assert np.isfinite(losses[:4]).all()
    assert np.isnan(losses[4:]).all()


@pytest.mark.parametrize("n_threads", [1, 3])
@pytest.mark.parametrize("update", ["momentum", "adam"])
def test_a_diverging_step_is_not_made(update, n_threads, monkeypatch):
    monkeypatch.setattr(fastbp.threads, "FLOPS_PER_THREAD", 1)
    monkeypatch.setattr(fastbp.network, "STARTED_FLOPS_PER_THREAD", 1)
    X, Y, _, network = problem("identity")
    network.n_threads = n_threads
    Y[30] = np.inf  # in the fifth batch of seven rows
    done, status, losses, optimizer = train(network, X, Y, None, update)
    assert (done, status, optimizer.n_steps) == (1, DIVERGED, 4)
    assert not np.isfinite(losses[0])
    *_, expected = problem("identity")
    twin = train(expected, X[:28], Y[:28], None, update, rates=RATES[:1])[3]
    assert_array_equal(network.params, expected.params)
    for ours, first in zip(optimizer.state, twin.state, strict=True):
        assert_array_equal(ours, first)


def test_an_overflow_of_the_loss_alone_is_no_divergence():
    X, Y, _, network = problem("identity")
    Y[3] = 1e200  # its square is no number, its difference from the output is
    done, status, losses, _ = train(network, X, Y, None, rates=np.full(2, 1e-250))
    assert (done, status) == (2, COMPLETED)
    assert (losses == np.inf).all()
    assert np.isfinite(network.params).all()


def test_the_lock_is_held_while_rows_are_shuffled():
    held = []

    class Lock:
        def acquire(self, blocking):
            assert not blocking
            held.append("acquired")
            return True

        def release(self):
            held.append("released")

    X, Y, _, network = problem("identity")
    optimizer = OptimizerState(SGD(), network.n_params, network.dtype)
    loop = network.training_loop(make_data(X, Y, None, 3, network.dtype), 7, indexed=True)
    rows = np.arange(N)
    optimizer.attach(loop, 0.0)
    loop.train(rows, np.random.RandomState(0), 1.0, RATES, np.empty(4), None, Lock())
    assert held == ["acquired", "released"] * 4


def test_data_must_be_contiguous():
    with pytest.raises(ValueError, match="not C-contiguous"):
        Data(np.ones((4, 3)).T)


@pytest.mark.parametrize("n_threads", [1, 2])
def test_interrupt(n_threads):
    # 60,000 rows through 6 million weights: 7e11 operations forward, of which a hundredth is no small work either
    X, y = np.zeros((60_000, 20), np.float32), np.zeros(60_000)
    network = Network([20, 2000, 2000, 900, 1], dtype=np.float32, random_state=0, n_threads=n_threads)
    before = network.params.copy()
    for work in (lambda n: network.forward(X[:n]), lambda n: network.loss_and_gradient(X[:n], y[:n])):
        hundredth = processor_seconds(work, 600)
        with pytest.raises(KeyboardInterrupt), interrupt_after(2 * hundredth) as interrupt:
            work(60_000)
        assert interrupt.delay < 5 * hundredth
    assert_array_equal(network.params, before)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("n_rows", [200, 203, 170], ids=["whole slots", "a short batch", "an empty slot"])
def test_changing_between_team_and_one_thread_changes_nothing(dtype, n_rows, monkeypatch):
    # decisions that hold for no time: four steps of the team, four of one thread, and so on
    monkeypatch.setattr(fastbp.threads, "FLOPS_PER_THREAD", 1)
    rng = np.random.RandomState(0)
    X, y = rng.normal(size=(n_rows, 6)).astype(dtype), rng.normal(size=(n_rows, 2)).astype(dtype)

    def trained(n_threads):
        network = Network([6, 9, 2], dtype=dtype, random_state=0, n_threads=n_threads, alpha=1e-3)
        loop = network.training_loop(make_data(X, y, None, 2, network.dtype), 160, indexed=True)
        loop.tuner.first_seconds = loop.tuner.longest_pause = 0.0
        optimizer, losses = OptimizerState(Adam(), network.n_params, network.dtype), np.empty(40)
        optimizer.attach(loop, 1e-3)
        loop.train(np.arange(n_rows), np.random.RandomState(1), 1.0, np.full(40, 1e-2), losses)
        return network.params, losses

    params, losses = trained(1)
    for n_threads in (2, 3):
        other_params, other_losses = trained(n_threads)
        assert_array_equal(other_params, params)
        assert_array_equal(other_losses, losses)


def test_beside_a_reader_the_choice_of_threads_is_made_apart(monkeypatch):
    monkeypatch.setattr(fastbp.threads, "FLOPS_PER_THREAD", 1)
    network = Network([6, 9, 2], random_state=0, n_threads=2)
    X, y = np.ones((160, 6)), np.ones((160, 2))
    optimizer, losses, rates = OptimizerState(Adam(), network.n_params, network.dtype), np.empty(1), np.full(1, 1e-3)

    def one_step():
        optimizer.attach(loop, 0.0)
        loop.train(None, None, 1.0, rates, losses)

    def steps_until_one_thread_is_tried(tuner):
        """The team works for a while before, once its threads are there."""
        for number in range(100_000):
            if tuner.alone:
                return number
            one_step()
        return None

    with network.training_loop(make_data(X, y, None, 2, network.dtype), 160, indexed=False) as loop:
        loop.note_reading(True)
        assert steps_until_one_thread_is_tried(loop.tuner_beside_reader) >= 1
        assert not loop.tuner.alone
        loop.note_reading(False)
        assert steps_until_one_thread_is_tried(loop.tuner) >= 1
        assert loop.tuner_beside_reader.alone  # it has seen no step since


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_large_layers_are_packed_and_tiled(dtype, monkeypatch):
    # wide enough for tiles of columns, high and deep enough for packed panels, and no size a multiple of any block
    monkeypatch.setattr(fastbp.threads, "FLOPS_PER_THREAD", 1)
    sizes, n_rows = (131, 415, 203, 3), 77
    rng = np.random.RandomState(0)
    X, Y = rng.normal(size=(n_rows, 131)).astype(dtype), rng.normal(size=(n_rows, 3)).astype(dtype)

    def trained(n_threads):
        network = Network(sizes, "tanh", dtype=dtype, random_state=0, n_threads=n_threads, alpha=0.5)
        optimizer, losses = OptimizerState(Adam(), network.n_params, network.dtype), np.empty(3)
        loop = network.training_loop(make_data(X, Y, None, 3, network.dtype), n_rows)
        optimizer.attach(loop, 0.5)
        loop.train(None, None, 1.0, np.full(3, 1e-2), losses)
        return network, losses

    network, losses = trained(1)
    start = Network(sizes, "tanh", dtype=np.float64, random_state=0)
    coefs, intercepts = [W.copy() for W in start.coefs], [b.copy() for b in start.intercepts]
    expected, _ = reference.train(
        coefs,
        intercepts,
        X.astype(float),
        Y.astype(float),
        update=reference.OPTIMIZERS["adam"],
        rates=[1e-2] * 3,
        batch_size=n_rows,
        activations=["tanh", "tanh", "identity"],
        loss="squared_error",
        alpha=0.5,
    )
    # three steps of Adam pass on the rounding of sums over 415 terms, divided by gradients that may be small
    rtol = 1e-9 if dtype == np.float64 else 2e-3
    assert_allclose(losses, expected, rtol=rtol)
    for ours, theirs in zip(network.coefs + network.intercepts, coefs + intercepts, strict=True):
        assert_allclose(ours, theirs, rtol=rtol, atol=rtol * np.abs(theirs).max())
    for n_threads in (2, 3):
        other, other_losses = trained(n_threads)
        assert_array_equal(other.params, network.params)
        assert_array_equal(other_losses, losses)


# sizes of the layers, rows of the data, and options of `set_optimizer`
TEAMWORK = {
    "tiles cut by columns": ([131, 415, 203, 3], 77, {}),
    "with a mean of the weights": ([131, 415, 3], 77, {"average": True}),
    "L1 penalty": ([131, 207, 3], 90, {"l1": 0.3}),
    "weight decay": ([131, 207, 3], 90, {"weight_decay": 0.3}),
    "stored gradient": ([131, 207, 3], 90, {"clip_norm": 0.1}),
    "slots": ([20, 30, 10, 2], 403, {}),
    "many small tiles": ([300, 177, 77, 33, 7], 91, {}),
    "one row in the last batch": ([30, 50, 2], 91, {}),
}


@pytest.mark.parametrize("case", TEAMWORK)
@both_dtypes
def test_a_team_gives_the_bits_of_one_thread(case, dtype, monkeypatch):
    monkeypatch.setattr(fastbp.threads, "FLOPS_PER_THREAD", 1)
    sizes, n_rows, options = TEAMWORK[case]
    rng = np.random.RandomState(0)
    X, Y = (rng.normal(size=(n_rows, width)).astype(dtype) for width in (sizes[0], sizes[-1]))
    batch_size = 200 if case == "slots" else 45

    def trained(n_threads):
        network = Network(sizes, "tanh", dtype=dtype, random_state=0, n_threads=n_threads, alpha=0.5)
        state, losses = OptimizerState(Adam(), network.n_params, network.dtype), np.empty(4)
        team = Team(n_threads)  # one that is given is not tuned: it works in every step once it is complete
        loop = network.training_loop(make_data(X, Y, None, sizes[-1], network.dtype), batch_size, team=team)
        assert loop.team is team or n_threads == 1
        assert bool(loop.plan.n_slots) == (case == "slots")
        updates = Adam().kernel_constants, Adam().kernel_of_blocks(network.graph)
        kept = {name: value for name, value in options.items() if name != "average"}
        loop.set_optimizer(*updates, state.state, state.memory, 0, 0.5, **kept)
        average = np.zeros_like(network.params)
        if "average" in options:
            loop.set_average(average, 0.8)
        with loop:
            time.sleep(0.02)  # for its threads to arrive
            loop.train(None, None, 1.0, np.full(4, 1e-2), losses)
        return network.params, losses, average, *state.state

    one, *others = (trained(n_threads) for n_threads in (1, 2, 3))
    assert np.isfinite(one[0]).all()
    for other in others:
        for array, expected in zip(other, one, strict=True):
            assert_array_equal(array, expected)


# Updates from a stored gradient


def trained_with(solver, dtype, n_threads, monkeypatch, *, clip_norm=np.inf, sliced=False):
    """(params, losses, *states) after some steps."""
    monkeypatch.setattr(fastbp.threads, "FLOPS_PER_THREAD", 1)
    if sliced:
        monkeypatch.setattr(fastbp.kernels.slicing, "LARGEST_STEP", 0)
        monkeypatch.setattr(fastbp.kernels.slicing, "SLICE_COST", 0)
        monkeypatch.setattr(fastbp.kernels.slicing, "FEWEST_SLICE_ROWS", 16)
    rng = np.random.RandomState(0)
    X, Y = rng.normal(size=(90, 131)).astype(dtype), rng.normal(size=(90, 3)).astype(dtype)
    network = Network([131, 207, 3], "tanh", dtype=dtype, random_state=0, n_threads=n_threads, alpha=0.5)
    state, losses = OptimizerState(solver, network.n_params, network.dtype), np.empty(3)
    loop = network.training_loop(make_data(X, Y, None, 3, network.dtype), 45)
    assert (loop.plan.capacity < 45) == sliced
    updates = solver.kernel_constants, solver.kernel_of_blocks(network.graph)
    loop.set_optimizer(*updates, state.state, state.memory, 0, 0.5, clip_norm=clip_norm)
    loop.train(None, None, 1.0, np.full(3, 1e-2), losses)
    return network.params, losses, *state.state


@both_dtypes
@pytest.mark.parametrize("n_threads", [1, 3])
@pytest.mark.parametrize("optimizer", [SGD(), Adam()], ids=["sgd", "adam"])
def test_updates_from_a_stored_gradient_are_those_by_tile(optimizer, n_threads, dtype, monkeypatch):
    # a limit that no gradient reaches: the gradient is stored, and not changed
    by_tile, stored = (
        trained_with(optimizer, dtype, n_threads, monkeypatch, clip_norm=limit) for limit in (np.inf, 1e30)
    )
    for array, expected in zip(stored, by_tile, strict=True):
        assert_array_equal(array, expected)


@both_dtypes
@pytest.mark.parametrize("solver", [SGD(), Muon()], ids=["sgd", "muon"])
@pytest.mark.parametrize("sliced", [False, True])
def test_updates_from_a_stored_gradient_do_not_depend_on_the_threads(solver, sliced, dtype, monkeypatch):
    one, *others = (
        trained_with(solver, dtype, n_threads, monkeypatch, clip_norm=0.1, sliced=sliced) for n_threads in (1, 2, 3)
    )
    for other in others:
        for array, expected in zip(other, one, strict=True):
            assert_array_equal(array, expected)


@both_dtypes
@pytest.mark.parametrize("solver", [SGD(), Muon()], ids=["sgd", "muon"])
def test_clipping_and_muon_with_slots_do_not_depend_on_the_threads(solver, dtype, monkeypatch):
    monkeypatch.setattr(fastbp.threads, "FLOPS_PER_THREAD", 1)
    rng = np.random.RandomState(0)
    X, Y = rng.normal(size=(200, 20)).astype(dtype), rng.normal(size=(200, 2)).astype(dtype)

    def trained(n_threads):
        network = Network([20, 30, 10, 2], "tanh", dtype=dtype, random_state=0, n_threads=n_threads, alpha=0.5)
        state = OptimizerState(solver, network.n_params, network.dtype)
        loop = network.training_loop(make_data(X, Y, None, 2, network.dtype), 200)
        assert loop.plan.n_slots > 0
        loop.set_optimizer(
            solver.kernel_constants,
            solver.kernel_of_blocks(network.graph),
            state.state,
            state.memory,
            0,
            0.5,
            clip_norm=0.1,
        )
        loop.train(None, None, 1.0, np.full(3, 1e-2), np.empty(3))
        return network.params

    for n_threads in (2, 3):
        assert_array_equal(trained(n_threads), trained(1))


@both_dtypes
@pytest.mark.parametrize("clip_norm", [np.inf, 0.1])
def test_threads_share_the_updates_of_blocks(clip_norm, dtype, monkeypatch):
    """Matrices with more rows or more columns, whose products have one tile or several."""
    monkeypatch.setattr(fastbp.threads, "FLOPS_PER_THREAD", 1)
    rng = np.random.RandomState(0)
    X, Y = rng.normal(size=(40, 230)).astype(dtype), rng.normal(size=(40, 2)).astype(dtype)

    def trained(n_threads):
        network = Network([230, 200, 30, 110, 2], "tanh", dtype=dtype, random_state=0, n_threads=n_threads)
        solver = Muon(n_iterations=3)
        state = OptimizerState(solver, network.n_params, network.dtype)
        with network.training_loop(make_data(X, Y, None, 2, network.dtype), 20) as loop:
            state.attach(loop, 0.0, clip_norm=clip_norm)
            loop.train(None, None, 1.0, np.full(10, 1e-2), np.empty(10))
        return network.params, *state.state

    one = trained(1)
    for n_threads in (2, 3, 5):
        for array, expected in zip(trained(n_threads), one, strict=True):
            assert_array_equal(array, expected)


@pytest.mark.parametrize(("dtype", "size"), [(np.float32, 1e20), (np.float64, 1e160)], ids=["float32", "float64"])
def test_a_gradient_whose_square_overflows_is_clipped(dtype, size):
    network = Network([2, 1], dtype=dtype, random_state=0)
    before = network.params.copy()
    X, Y = np.array([[1.0, 2.0]], dtype), np.array([[size]], dtype)
    loop = network.training_loop(make_data(X, Y, None, 1, network.dtype), 1)
    solver = SGD(momentum=0.0)
    state = OptimizerState(solver, network.n_params, network.dtype)
    loop.set_optimizer(
        solver.kernel_constants,
        solver.kernel_of_blocks(network.graph),
        state.state,
        state.memory,
        0,
        0.0,
        clip_norm=1.0,
    )
    with np.errstate(over="ignore"):
        loop.train(None, None, 1.0, np.array([0.5]), np.empty(1))
    # the gradient is -size (1, 2, 1), of norm sqrt(6) size
    assert_allclose(network.params - before, 0.5 * np.array([1, 2, 1]) / np.sqrt(6), rtol=1e-5)


def test_an_optimizer_that_is_refused_leaves_the_one_before():
    X, Y, _, network = problem("identity")
    twin = network.copy()
    for net, is_disturbed in ((network, True), (twin, False)):
        loop = net.training_loop(make_data(X, Y, None, 3, net.dtype), 7)
        state = OptimizerState(Adam(), net.n_params, net.dtype)
        state.attach(loop, ALPHA)
        if is_disturbed:
            velocity, refused = [np.zeros_like(net.params)], []
            for optimizers, numbers, arrays, limits in (
                (SGD().kernel_constants, [0] * 6, [], {}),
                (SGD().kernel_constants, [1] * 6, velocity, {}),
                (SGD().kernel_constants, [0] * 6, velocity, {"clip_norm": -1.0}),
                (SGD().kernel_constants, [0] * 6, velocity, {"max_norm": 0.0}),
                ([("newton", ())], [0] * 6, velocity, {}),
                (Muon().kernel_constants, [0] * 6, velocity, {}),
            ):
                with pytest.raises(ValueError, match=r"optimizer|clip_norm|max_norm"):
                    loop.set_optimizer(optimizers, numbers, arrays, NO_MEMORY, 0, 0.0, **limits)
                refused.append([np.full((1, 11), 3.0) for _ in range(20)])  # takes the place of what was freed
        loop.train(None, None, 1.0, RATES, np.empty(4))
        if is_disturbed:
            assert all((array == 3).all() for arrays in refused for array in arrays)
    assert_array_equal(network.params, twin.params)


def test_an_indexed_loop_has_no_gradient_of_all_rows():
    X, Y, _, network = problem("identity")
    loop = network.training_loop(make_data(X, Y, None, 3, network.dtype), 7, indexed=True)
    with pytest.raises(ValueError, match="takes the rows as they stand"):
        loop.loss_and_gradient(np.empty_like(network.params))


@pytest.mark.parametrize("sliced", [False, True])
def test_clipped_gradient_has_the_norm(sliced, monkeypatch):
    before = trained_with(SGD(momentum=0.0), np.float64, 2, monkeypatch, sliced=sliced)[0]
    limit, rate = 0.02, 1e-2
    rng = np.random.RandomState(0)
    X, Y = rng.normal(size=(90, 131)), rng.normal(size=(90, 3))
    network = Network([131, 207, 3], "tanh", random_state=0, alpha=0.5)
    params = network.params.copy()
    for _ in range(3):
        for batch in (slice(0, 45), slice(45, 90)):
            gradient = network.loss_and_gradient(X[batch], Y[batch])[1]
            assert np.linalg.norm(gradient) > limit
            network.params -= rate * gradient * limit / np.linalg.norm(gradient)
    clipped = trained_with(SGD(momentum=0.0), np.float64, 2, monkeypatch, clip_norm=limit, sliced=sliced)[0]
    # the sums over the rows are in another order: rounding, in a step of length rate * limit
    assert_allclose(clipped, network.params, rtol=0, atol=1e-14)
    assert np.linalg.norm(clipped - params) <= 6 * rate * limit
    assert np.linalg.norm(before - params) > 6 * rate * limit


@both_dtypes
def test_muon_updates_hidden_matrices_and_adamw_the_rest(dtype):
    """Against twins that are given the gradients of the network."""
    decay = 0.2
    rng = np.random.default_rng(0)
    X, Y = rng.normal(size=(40, 6)).astype(dtype), rng.normal(size=(40, 2)).astype(dtype)
    network = Network([6, 9, 5, 2], "tanh", dtype=dtype, random_state=0, alpha=0.1)
    twin = Network([6, 9, 5, 2], "tanh", dtype=np.float64, random_state=0, alpha=0.1)
    twin.params = network.params
    solver = Muon(momentum=0.9, weight_decay=decay)
    state = OptimizerState(solver, network.n_params, network.dtype)
    loop = network.training_loop(make_data(X, Y, None, 2, network.dtype), 40)
    state.attach(loop, network.alpha)
    loop.train(None, None, 1.0, np.full(4, 1e-2), np.empty(4))
    states = {name: [np.zeros_like(block)] * 2 for name, block in twin.blocks.items()}
    for step in range(1, 5):
        gradients = twin.split_blocks(twin.loss_and_gradient(X, Y)[1])
        for name, block in twin.blocks.items():
            by_muon = name in ("W_1", "W_2")
            update = reference.OPTIMIZERS["muon" if by_muon else "adamw"]
            constants = dict(momentum=0.9) if by_muon else {}
            if name[0] == "W":
                block *= 1 - 1e-2 * decay
            block[...], states[name] = update(
                gradients[name], block, states[name], step, learning_rate=1e-2, **constants
            )
    # the gradients of four steps, and the products of the iteration
    rtol = 1e-9 if dtype == np.float64 else 2e-3
    for name, block in network.blocks.items():
        assert_allclose(block, twin.blocks[name], rtol=rtol, atol=rtol * np.abs(twin.blocks[name]).max(), err_msg=name)


@pytest.mark.parametrize("clip_norm", [0.0, -1.0, np.nan])
def test_clip_norm_must_be_positive(clip_norm):
    X, Y, _, network = problem("identity")
    loop = network.training_loop(make_data(X, Y, None, 3, network.dtype), 7)
    with pytest.raises(ValueError, match="clip_norm must be positive, got"):
        loop.set_optimizer(
            SGD().kernel_constants, [0] * 6, [np.zeros_like(network.params)], NO_MEMORY, 0, 0.0, clip_norm=clip_norm
        )


def test_states_and_blocks_that_are_not_the_optimizers():
    X, Y, _, network = problem("identity")
    loop = network.training_loop(make_data(X, Y, None, 3, network.dtype), 7)
    with pytest.raises(ValueError, match=r"adam must have 2 arrays optimizer.state, got 1"):
        loop.set_optimizer(Adam().kernel_constants, [0] * 6, [np.zeros_like(network.params)], NO_MEMORY, 0, 0.0)
    for numbers in ([0] * 5, [0, 0, 0, 0, 0, 1], [-1] * 6):
        with pytest.raises(ValueError, match=r"optimizer_of must be 6 numbers below 1, got"):
            loop.set_optimizer(SGD().kernel_constants, numbers, [np.zeros_like(network.params)], NO_MEMORY, 0, 0.0)


def test_training_without_an_optimizer():
    X, Y, _, network = problem("identity")
    loop = network.training_loop(make_data(X, Y, None, 3, network.dtype), 7)
    with pytest.raises(ValueError, match="call set_optimizer"):
        loop.train(None, None, 1.0, RATES, np.empty(4))


def test_constants_that_are_not_the_optimizers():
    X, Y, _, network = problem("identity")
    loop = network.training_loop(make_data(X, Y, None, 3, network.dtype), 7)
    with pytest.raises(ValueError, match=r"adam has the constants \('beta_1', 'beta_2', 'epsilon'\), got \(0.9,\)"):
        loop.set_optimizer([("adam", (0.9,))], [0] * 6, [np.zeros_like(network.params)] * 2, NO_MEMORY, 0, 0.0)
