"""The pure functions of a round: parts of epochs, orders, averages, the outer step. Without a cluster."""

import pickle
from dataclasses import replace

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from fastbp import MLPClassifier
from fastbp.dask.epochs import batch_size_of, generators_of, momentum_of, numbers_of_steps, rounds_of, seed_of
from fastbp.dask.orders import Order
from fastbp.dask.outer import OuterNesterov
from fastbp.dask.rounds import Contribution, Round, Settings, Shard, State, combine, objective, run_round
from fastbp.data import make_data
from fastbp.kernels.training import DIVERGED
from fastbp.layers import BatchNorm, Dense
from fastbp.network import Network
from fastbp.optimizers import SGD, Adam, ScheduleFree
from fastbp.training import OptimizerState

pytest.importorskip("distributed")

N, BATCH = 103, 10
RNG = np.random.RandomState(0)
X = RNG.randn(N, 5)
Y = RNG.randint(3, size=N)


def begin(optimizer, decay=None):
    """(shard, state, settings) of a new network."""
    network = Network((5, 6, 3), output_activation="softmax", loss="log_loss", random_state=np.random.RandomState(1))
    definition = {**network.definition, **network.settings, "dtype": network.dtype}
    optimizer_state = OptimizerState(optimizer, network.n_params, network.dtype)
    average = None if decay is None else network.params.copy()
    state = State(network.params.copy(), optimizer_state.state, optimizer_state.memory, average=average)
    settings = Settings("run", definition, optimizer, {}, decay=decay)
    return Shard(X, Y, None, 3, np.float64), state, settings


def work(epoch=0, begin=0, end=11, generator=None, rate=0.01):
    rates = np.full(end - begin, rate)
    return Round(epoch, begin, end, BATCH, rates, generator=generator, penalties={"alpha": 1e-4, "l1": 0.0})


def assert_same(one, other):
    for a, b in zip(one.arrays, other.arrays, strict=True):
        assert_array_equal(a, b)
    assert (one.n_steps, one.first_loss, one.n_averaged) == (other.n_steps, other.first_loss, other.n_averaged)


@pytest.mark.parametrize("optimizer", [Adam(), SGD(momentum=0.9)], ids=lambda optimizer: optimizer.name)
def test_parts_of_an_epoch_are_the_epoch(optimizer):
    shard, state, settings = begin(optimizer, decay=0.9)
    generator = np.random.RandomState(3)
    whole = run_round(shard, state, settings, work(2, generator=generator))
    n_rows, loss = 0, 0.0
    for first, last in [(0, 4), (4, 4), (4, 10), (10, 11)]:
        part = run_round(shard, state, settings, work(2, first, last, generator))
        if part.rows:
            state, n_rows, loss = part.state, n_rows + part.rows, loss + part.loss * part.rows
    assert n_rows == whole.rows == N
    assert_same(state, whole.state)
    assert_allclose(loss / N, whole.loss, rtol=1e-14)


def test_a_round_depends_on_its_arguments_only():
    shard, state, settings = begin(Adam())
    before = state.copy()
    generator = np.random.RandomState(3)
    first = run_round(shard, state, settings, work(1, 2, 7, generator))
    run_round(
        shard, first.state, settings, work(5, generator=generator)
    )  # leaves other orders and other weights behind
    run_round(shard, first.state, settings, work(0, generator=np.random.RandomState(4)))
    assert_same(run_round(shard, state, settings, work(1, 2, 7, generator)).state, first.state)
    copy = pickle.loads(pickle.dumps(shard))
    assert_same(run_round(copy, state, settings, work(1, 2, 7, generator)).state, first.state)
    assert_same(state, before)
    assert_array_equal(generator.get_state()[1], np.random.RandomState(3).get_state()[1])


def test_orders_are_those_of_fit():
    generator = np.random.RandomState(5)
    rows = np.arange(50)
    orders = []
    for _ in range(4):
        generator.shuffle(rows)
        orders.append(rows.copy())
    order = Order(np.random.RandomState(5), 50)
    for epoch in (0, 1, 3):
        assert_array_equal(order.of_epoch(epoch), orders[epoch])
    assert not order.is_from(np.random.RandomState(5), 2)
    assert order.is_from(np.random.RandomState(5), 3)
    assert not order.is_from(np.random.RandomState(6), 3)
    pcg = np.random.RandomState(np.random.PCG64(1))
    assert generators_of(pcg, 1)[0].randint(1 << 30) == pcg.randint(1 << 30)


def contributions(n, dtype=np.float64):
    rng = np.random.RandomState(n)
    states = [
        State(
            rng.randn(7).astype(dtype),
            [rng.randn(7).astype(dtype)],
            rng.randn(1, 2),
            i,
            rng.rand(),
            rng.randn(7).astype(dtype),
        )
        for i in range(n)
    ]
    return [Contribution(10 * (i + 1), rng.rand(), state, rng.rand()) for i, state in enumerate(states)]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_average_is_weighted(dtype):
    parts = contributions(5, dtype)
    result = combine([Contribution(0), *parts])
    weights = [part.weight for part in parts]
    eps = np.finfo(dtype).eps
    for index, mean in enumerate(result.state.arrays):
        arrays = [part.state.arrays[index].astype(np.float64) for part in parts]
        assert mean.dtype == parts[0].state.arrays[index].dtype
        assert_allclose(mean, np.average(arrays, axis=0, weights=weights), rtol=4 * eps, atol=4 * eps)
    assert (result.rows, result.state.n_steps) == (150, 4)
    assert result.weight == pytest.approx(sum(weights), rel=1e-14)
    assert_allclose(result.loss, np.average([part.loss for part in parts], weights=weights))
    nested = combine([combine(parts[:2]), combine(parts[2:])])
    assert_allclose(nested.state.params, result.state.params, rtol=8 * eps, atol=8 * eps)


def test_the_average_of_one_and_of_equals_is_exact():
    (part,) = contributions(1, np.float32)
    result = combine([Contribution(0), part])
    assert_same(result.state, part.state)
    assert (result.rows, result.weight, result.loss) == (part.rows, part.weight, part.loss)
    others = [replace(part, weight=weight) for weight in (3, 7, 11)]
    assert_same(combine(others).state, part.state)


def test_what_has_no_weight_is_left_out():
    one, other, last = contributions(3)
    idle = replace(other, weight=0.0, state=replace(other.state, first_loss=np.nan))
    result, expected = combine([idle, one, last]), combine([one, last])
    assert_same(result.state, expected.state)
    assert (result.rows, result.weight, result.loss) == (60, expected.weight, expected.loss)
    none = combine([replace(one, weight=0.0), replace(last, weight=0.0)])
    assert_allclose(none.state.params, (10 * one.state.params + 30 * last.state.params) / 40, rtol=1e-14, atol=1e-14)
    assert (none.rows, none.weight) == (40, 0)


def test_divergence_wins():
    parts = contributions(3)
    diverged = replace(parts[1], status=DIVERGED)
    assert combine([parts[0], diverged, parts[2]]) is diverged


def test_the_objective_of_shards_is_that_of_all_rows():
    """Whatever the weights: that of rows without any is left out, and the penalty counts once."""
    weight = np.where(np.arange(N) < 60, np.arange(N) + 1.0, 0.0)
    _, state, settings = begin(Adam())
    settings.definition["alpha"] = 5.0
    network = Network(**settings.definition, initializer=None)
    network.params = state.params
    parts = [
        objective(Shard(X[i:j], Y[i:j], weight[i:j], 3, np.float64), state, settings, replace(work(), penalties=share))
        for i, j, share in ((0, 40, {"alpha": 2.0}), (40, 60, {"alpha": 3.0}), (60, N, {"alpha": 4.0}))
    ]
    assert combine(parts).loss == pytest.approx(network.objective(make_data(X, Y, weight, 3, np.float64))[0], rel=1e-12)


def nesterov(before, mean, velocity, learning_rate, momentum):
    """Algorithm 1 of Douillard et al. (2023), with Sutskever's form of the momentum."""
    gradient = before - mean
    velocity = momentum * velocity + gradient
    return before - learning_rate * (gradient + momentum * velocity), velocity


def test_outer_step():
    network = Network((4, 3, 2), output_activation="softmax", loss="log_loss", random_state=0)
    outer, velocity = OuterNesterov(0.7, 0.9, network), np.zeros(network.n_params)
    params = expected = network.params.copy()
    rng = np.random.RandomState(1)
    for _ in range(4):
        mean = params + rng.randn(len(params))
        expected, velocity = nesterov(expected, mean, velocity, 0.7, 0.9)
        params = outer.step(params, mean)
        assert_allclose(params, expected, rtol=1e-13, atol=1e-13)  # some roundings of numbers near 1
    other = OuterNesterov(0.7, 0.9, network)
    other.load_state_dict(pickle.loads(pickle.dumps(outer.state_dict())))
    assert_array_equal(other.step(params, mean), outer.step(params, mean))


def test_outer_step_to_the_average_and_running_statistics():
    layers = [Dense(4), BatchNorm(), Dense(2)]
    network = Network(layers=layers, n_features=3, output_activation="softmax", loss="log_loss", random_state=0)
    before, mean = network.params.copy(), network.params + 0.125
    assert OuterNesterov(1, 0, network).step(before, mean) is mean
    after = OuterNesterov(2, 0.5, network).step(before, mean)
    statistics = ~OuterNesterov(1, 0, network).is_trained
    assert statistics.sum() == 8  # a mean and a variance of each unit
    assert_array_equal(after[statistics], mean[statistics])
    assert (after[~statistics] > mean[~statistics]).all()


def test_what_each_shard_is_to_do():
    assert [batch_size_of(200, n, 1000) for n in (1000, 500, 3, 1)] == [200, 100, 1, 1]
    assert [rounds_of(300, every, False) for every in ("auto", 7, 300, 1000)] == [6, 43, 1, 1]
    assert rounds_of(300, "auto", True) == 1
    assert_array_equal(numbers_of_steps(np.arange(6.0)[None], 3), [0, 2, 4])
    assert_array_equal(numbers_of_steps(np.arange(3.0)[None], 3), [0, 1, 2])
    assert_array_equal(numbers_of_steps(np.array([0.5]), 2), [0.5, 0.5])
    assert numbers_of_steps(None, 4) is None
    assert [seed_of(seed, 0) for seed in (None, 5)] == [None, 5]
    assert seed_of(5, 1) not in (5, seed_of(5, 2))
    assert [momentum_of("auto", Adam(), n) for n in (1, 4)] == [0, 0.5]
    assert [momentum_of("auto", optimizer, 4) for optimizer in (SGD(), ScheduleFree())] == [0.5, 0]
    assert momentum_of(0.9, SGD(), 1) == 0.9


def test_generators():
    generator = np.random.RandomState(0)
    (alone,) = generators_of(generator, 1)
    many = generators_of(generator, 3)
    draws = [g.randint(1 << 30) for g in (alone, *many, *generators_of(generator, 3))]
    assert draws[1:4] == draws[4:]
    assert len(set(draws)) == 4
    assert draws[0] == generator.randint(1 << 30)  # which nothing was drawn from


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_rounds_of_one_shard_are_fit():
    """A twin of `fit`: the parts of its epochs, one after the other."""
    model = MLPClassifier((6,), batch_size=BATCH, max_iter=3, random_state=1).fit(X, Y)
    start = MLPClassifier((6,), batch_size=BATCH, max_iter=1, learning_rate_init=1e-300, random_state=1).fit(X, Y)
    network, optimizer = start.network_, OptimizerState(Adam(), model.network_.n_params, np.float64)
    settings = Settings("run", {**network.definition, **network.settings, "dtype": network.dtype}, Adam(), {})
    generator = np.random.RandomState(1)
    for shape in ((5, 6), (6,), (6, 3), (3,)):  # the initial weights and biases
        generator.uniform(size=shape)
    state = State(network.params.copy(), optimizer.state, optimizer.memory)
    shard = Shard(X, Y, None, 3, np.float64)
    for epoch in range(3):
        for first, last in ((0, 5), (5, 11)):
            state = run_round(shard, state, settings, work(epoch, first, last, generator, 0.001)).state
    assert_array_equal(state.params, model.network_.params)
