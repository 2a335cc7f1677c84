"""A round of local training on one shard of the rows: pure functions of their arguments.

`run_round` depends on its arguments only: the shard, the state after the last average, and what to do. So any worker
can repeat it. What is kept between rounds, on the shard, makes the next one fast and changes no result: the network
with its workspace, and the order of the rows.
"""

import threading
from collections import defaultdict
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from fastbp.dask.orders import Order
from fastbp.data import make_data
from fastbp.kernels.training import COMPLETED, DIVERGED, GREW
from fastbp.network import Network
from fastbp.training import OptimizerState


@dataclass(frozen=True, eq=False)
class Settings:
    """What stays the same in all rounds of a run.

    Parameters
    ----------
    token : str
        Of the run: settings with the same one are the same.
    definition : dict
        The arguments of `Network`, but for the parameters.
    optimizer : Optimizer
    update_options : dict
        Keyword arguments of `OptimizerState.attach`.
    loss_scale, mixup_alpha : float
        As for `Trainer`.
    decay : float or None
        Of the moving average of the weights; None for none.
    n_threads : int or None
        None: as many as the worker has.
    """

    token: str
    definition: dict
    optimizer: Any
    update_options: dict
    loss_scale: float = 1.0
    mixup_alpha: float = 0.0
    decay: float | None = None
    n_threads: int | None = None


@dataclass(frozen=True, eq=False)
class State:
    """The state of training between two rounds.

    Parameters
    ----------
    params : ndarray of shape (n_params,)
    moments : list of ndarray of shape (n_params,)
        The arrays of the optimizer.
    memory : ndarray of float64
        Its other numbers.
    n_steps : int
        Steps taken.
    first_loss : float
        Mean loss of the first batch, before any step; NaN before.
    average : ndarray of shape (n_params,) or None
        The moving average of the weights.
    n_averaged : int
        Steps in it.
    """

    params: np.ndarray
    moments: list
    memory: np.ndarray
    n_steps: int = 0
    first_loss: float = float("nan")
    average: np.ndarray | None = None
    n_averaged: int = 0

    @property
    def arrays(self):
        """list of ndarray: all that are averaged."""
        return [self.params, *self.moments, self.memory, *([] if self.average is None else [self.average])]

    def with_arrays(self, arrays):
        """The same with other arrays, in the order of `arrays`."""
        params, *moments, memory = arrays if self.average is None else arrays[:-1]
        return replace(
            self,
            params=params,
            moments=moments,
            memory=memory,
            average=None if self.average is None else arrays[-1],
        )

    def copy(self):
        """The same with copies of the arrays."""
        return self.with_arrays([array.copy() for array in self.arrays])


@dataclass(frozen=True, eq=False)
class Round:
    """What a shard is to do in a round.

    Parameters
    ----------
    epoch : int
        Of the run, counted from 0.
    begin, end : int
        Steps of the shard in this epoch.
    batch_size : int
        Of the shard.
    rates : ndarray of float64 of shape (1,) or (end - begin,)
        The learning rate of all steps, or of each.
    decay_factors, dropout_factors : ndarray of float64 of shape (end - begin,) or None
        As for `TrainingLoop.train`.
    generator : RandomState or None
        As it was before the first epoch, when it shuffled the rows for the first time; None: they stay as they are.
    seed : int
        Of dropout and mixup.
    penalties : dict
        The network's alpha and l1.
    """

    epoch: int
    begin: int
    end: int
    batch_size: int
    rates: np.ndarray
    decay_factors: np.ndarray | None = None
    dropout_factors: np.ndarray | None = None
    generator: Any = None
    seed: int | None = None
    penalties: dict = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Contribution:
    """What a round, or several together, have come to.

    Parameters
    ----------
    rows : int
        Rows that were trained on.
    weight : float
        The sum of their sample weights; without any, their number.
    state : State or None
        After the round: the mean by weights, of several shards. None without rows.
    loss : float
        Mean loss of the rows.
    status : int
        COMPLETED, DIVERGED or GREW.
    """

    rows: int
    weight: float = 0.0
    state: State | None = None
    loss: float = 0.0
    status: int = COMPLETED


class Workspace:
    """What a shard keeps between the rounds of a run.

    Parameters
    ----------
    data : Data
    settings : Settings
    batch_size : int
    """

    def __init__(self, data, settings, batch_size):
        self.token, self.order, self.batch_size = settings.token, None, batch_size
        self.network = Network(**settings.definition, initializer=None)
        self.loop = self.network.training_loop(
            data,
            self.batch_size,
            True,
            n_threads=settings.n_threads or worker_threads(),
            update_flops=settings.optimizer.update_flops(self.network.graph),
            training=True,
        )
        self.loop.plan.bind_mixup(settings.mixup_alpha)

    def rows_of_epoch(self, generator, epoch, n_rows):
        """The order of the rows in an epoch."""
        if self.order is None or not self.order.is_from(generator, epoch):
            self.order = Order(generator, n_rows)
        return self.order.of_epoch(epoch)


class Shard:
    """The encoded rows that one worker holds.

    Parameters
    ----------
    X, targets, sample_weight, n_targets, dtype
        As for `make_data`.
    """

    def __init__(self, X, targets, sample_weight, n_targets, dtype):
        self.arguments = X, targets, sample_weight, n_targets, dtype
        self.data = make_data(X, targets, sample_weight, n_targets, dtype)
        self.workspace, self.lock = None, threading.Lock()

    @property
    def n_rows(self):
        """int: rows."""
        return self.data.n_rows

    def weight_of(self, rows):
        """float: the sum of the sample weights of some rows; without any, their number."""
        weight = self.data.sample_weight
        return float(len(rows) if weight is None else weight[rows].sum())

    def workspace_for(self, settings, batch_size):
        """What is kept for the rounds of a run; that of another run is dropped."""
        place = self.workspace
        if place is None or (place.token, place.batch_size) != (settings.token, batch_size):
            self.workspace = Workspace(self.data, settings, batch_size)
        return self.workspace

    def __sizeof__(self):
        data = self.data
        arrays = data.values, data.indices, data.indptr, data.Y, data.labels, data.sample_weight, data.label_start
        return object.__sizeof__(self) + sum(array.nbytes for array in arrays if array is not None)

    def __reduce__(self):
        return Shard, self.arguments


#: The address of a Dask worker in this process -> the lock of its rounds
ROUND_LOCKS = defaultdict(threading.Lock)


def this_worker():
    """The Dask worker that runs this task; None outside of a task."""
    from distributed import get_worker

    try:
        return get_worker()
    except ValueError:
        return None


def worker_threads():
    """The threads of the Dask worker that runs this task; None outside of a task."""
    worker = this_worker()
    return None if worker is None else worker.state.nthreads


@contextmanager
def alone_on(shard):
    """Within it, no other task uses the shard, and no other round runs on this worker, since each takes all of its
    threads: a worker has two shards after one was lost."""
    with ROUND_LOCKS[getattr(this_worker(), "address", None)], shard.lock:
        yield


def run_round(shard, state, settings, work):
    """Train on a part of an epoch of a shard.

    Parameters
    ----------
    shard : Shard
    state : State
        After the last average; not changed.
    settings : Settings
    work : Round

    Returns
    -------
    Contribution
    """
    if work.begin == work.end:
        return Contribution(0)
    with alone_on(shard):
        place = shard.workspace_for(settings, work.batch_size)
        network, loop = place.network, place.loop
        network.params = state.params
        optimizer = OptimizerState(settings.optimizer, network.n_params, network.dtype)
        optimizer.n_steps, optimizer.seed = state.n_steps, work.seed
        optimizer.state, optimizer.memory = [array.copy() for array in state.moments], state.memory.copy()
        optimizer.attach(loop, **work.penalties, **settings.update_options)
        average, begin = None, state.n_steps - state.n_averaged
        if state.average is not None:
            average = state.average.copy()
            loop.set_average(average, settings.decay, begin)
        order = place.rows_of_epoch(work.generator, work.epoch, shard.n_rows)
        rows = order[work.begin * work.batch_size : work.end * work.batch_size]
        loop.first_loss, losses = state.first_loss, np.empty(1)
        others = [None if f is None else f[None] for f in (work.decay_factors, work.dropout_factors)]
        _, status = loop.train(rows, None, settings.loss_scale, work.rates[None], losses, None, None, None, *others)
        after = State(
            network.params.copy(),
            optimizer.state,
            optimizer.memory,
            loop.n_steps,
            loop.first_loss,
            average,
            loop.n_steps - begin if average is not None else 0,
        )
    return Contribution(len(rows), shard.weight_of(rows), after, float(losses[0]), status)


def renew_statistics(shard, state, settings, work):
    """The running statistics of batch normalization over the batches of a shard, at the parameters of `state`.

    Parameters
    ----------
    shard, state, settings, work
        As for `run_round`; of `work` the epoch, whose batches these are.

    Returns
    -------
    Contribution
        Only the running statistics in its parameters differ from those of `state`.
    """
    with alone_on(shard):
        place = shard.workspace_for(settings, work.batch_size)
        place.network.params = state.params
        place.loop.renew_statistics(place.rows_of_epoch(work.generator, work.epoch, shard.n_rows))
        weight = float(shard.data.weight_sum)
        return Contribution(shard.n_rows, weight, replace(state, params=place.network.params.copy()))


def objective(shard, state, settings, work):
    """The mean loss of a shard at the parameters of `state`, with its share of the penalty; arguments: see `run_round`.

    Returns
    -------
    Contribution
        With a loss of 0 where the shard has no weight.
    """
    weight, loss = float(shard.data.weight_sum), 0.0
    if weight:
        network = Network(**settings.definition | work.penalties, initializer=None)
        network.params = state.params
        loss = network.objective(shard.data, settings.loss_scale)[0]
    return Contribution(shard.n_rows, weight, state, loss)


def generator_after(shard, state, settings, work):
    """The state of the generator when the rows have been shuffled for the last epoch; arguments as of `run_round`.

    Returns
    -------
    dict
    """
    with alone_on(shard):
        place = shard.workspace_for(settings, work.batch_size)
        place.rows_of_epoch(work.generator, work.epoch, shard.n_rows)
        return place.order.generator.get_state(legacy=False)


def combine(contributions):
    """The mean of contributions by their weights, so that sample weights mean the same as on one machine however the
    rows are divided. Those without weight, which have learned nothing, are left out; if all are, the mean is by rows.

    Each is added to the mean of those before by ``mean += (value - mean) * weight / total``, in float64: that of one
    contribution is the contribution itself, and that of equal numbers, such as frozen weights, the number itself, both
    to the last bit.

    Parameters
    ----------
    contributions : list of Contribution

    Returns
    -------
    Contribution
        The first one that has diverged, if any has.
    """
    diverged = [c for c in contributions if c.status == DIVERGED]
    if diverged:
        return diverged[0]
    parts = [c for c in contributions if c.weight] or [c for c in contributions if c.rows]
    if not parts:
        return contributions[0]
    first = parts[0].state
    total, loss, first_loss = parts[0].weight or parts[0].rows, parts[0].loss, first.first_loss
    means = [array.astype(np.float64) for array in first.arrays]
    for part in parts[1:]:
        own = part.weight or part.rows
        total += own
        share = own / total
        for mean, array in zip(means, part.state.arrays, strict=True):
            mean += (array - mean) * share
        loss += (part.loss - loss) * share
        first_loss += (part.state.first_loss - first_loss) * share
    arrays = [mean.astype(array.dtype, copy=False) for mean, array in zip(means, first.arrays, strict=True)]
    state = replace(
        first.with_arrays(arrays),
        n_steps=max(part.state.n_steps for part in parts),
        n_averaged=max(part.state.n_averaged for part in parts),
        first_loss=first_loss,
    )
    status = GREW if any(part.status == GREW for part in parts) else COMPLETED
    rows, weight = sum(c.rows for c in contributions), sum(c.weight for c in contributions)
    return Contribution(rows, weight, state, loss, status)
