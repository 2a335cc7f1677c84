"""The epochs of a fit on a cluster: rounds of local training, and averages."""

import logging
from copy import deepcopy
from time import perf_counter
from uuid import uuid4

import numpy as np

from fastbp.dask.cluster import SECONDS_BETWEEN_LOOKS
from fastbp.dask.division import moved_homes
from fastbp.dask.outer import OuterNesterov
from fastbp.dask.rounds import Round, Settings, State, generator_after, objective, renew_statistics, run_round
from fastbp.kernels.partition import ceil_div
from fastbp.kernels.training import COMPLETED, DIVERGED, GREW
from fastbp.training import Epochs

LOGGER = logging.getLogger("fastbp.dask")

#: The most steps of a round with ``sync_every="auto"``
AUTO_STEPS = 50
#: Learning rates and factors of tasks that make no steps
NO_NUMBERS = np.zeros(1), None, None


def rounds_of(n_steps, sync_every, is_alone):
    """The rounds of an epoch.

    Parameters
    ----------
    n_steps : int
        Of an epoch.
    sync_every : int or "auto"
        Steps of a round.
    is_alone : bool
        Whether a round changes nothing: there is one shard, and the outer step is to its weights.

    Returns
    -------
    int
    """
    if is_alone:
        return 1
    return ceil_div(n_steps, AUTO_STEPS if sync_every == "auto" else int(sync_every))


def batch_size_of(batch_size, n_rows, n_total):
    """Rows of a shard's batch: its share of the batch of all shards, so that all make about the same number of steps.

    Parameters
    ----------
    batch_size : int
        Of all shards together.
    n_rows, n_total : int
        Rows of the shard, and of all shards.

    Returns
    -------
    int
    """
    return max(1, min(round(batch_size * n_rows / n_total), n_rows))


def generators_of(generator, n):
    """The generators that shuffle the rows of n shards.

    Parameters
    ----------
    generator : RandomState
        Not drawn from. A single shard has a copy of it.
    n : int

    Returns
    -------
    list of RandomState
    """
    if n == 1:
        return [deepcopy(generator)]
    entropy = deepcopy(generator).randint(0, 2**32, 4, dtype=np.uint32).tolist()
    seeds = np.random.SeedSequence(entropy).spawn(n)
    return [np.random.RandomState(np.random.MT19937(seed)) for seed in seeds]


def seed_of(seed, index):
    """The seed of a shard's dropout and mixup; that of the first shard is the seed itself."""
    if seed is None or index == 0:
        return seed
    return int(np.random.SeedSequence([seed, index]).generate_state(1, np.uint64)[0] >> np.uint64(1))


def numbers_of_steps(numbers, n_steps):
    """The numbers, such as learning rates, of the steps of a shard, from those of the steps of an epoch.

    Parameters
    ----------
    numbers : ndarray or None
        One for all steps, or one for each.
    n_steps : int
        Of the shard; may differ from the number of steps for which they were made.

    Returns
    -------
    ndarray of shape (n_steps,) or None
    """
    if numbers is None:
        return None
    numbers = np.atleast_1d(np.squeeze(numbers, 0) if np.ndim(numbers) == 2 else numbers)
    return numbers[np.arange(n_steps) * len(numbers) // n_steps].astype(np.float64)


class DistributedEpochs(Epochs):
    """Epochs over shards of rows that the workers of a cluster hold.

    In an epoch each shard is passed over once. The epoch is divided into rounds; after each round the weights, and the
    optimizer's arrays, are averaged, and the client keeps the average, from which the next round begins. Workers that
    have joined are used from the next round on; where rounds take less than a second, from one in the next second on.

    Parameters
    ----------
    rows : DaskRows
    shards : list of (Future, str, int)
        Each shard, its worker, and its rows.
    batch_size : int
        Of all shards together.
    random_state : RandomState or None
    lock : lock or None
        Of the generator, where others draw from it too.
    """

    at_once, rows, n_trained = 1, None, 0

    def __init__(self, rows, shards, batch_size, random_state=None, lock=None):
        super().__init__(rows.n_rows, batch_size)
        self.source, self.cluster, self.shards = rows, rows.cluster, shards
        self.random_state, self.lock, self.generators = random_state, lock, None
        self.sync_every = rows.model.sync_every

    @property
    def n_steps(self):
        """int: the most steps of a shard in an epoch."""
        return max(self.steps_of_shards)

    @property
    def rows_of_shards(self):
        """list of int: rows of each shard."""
        return [n_rows for _, _, n_rows in self.shards]

    @property
    def batch_sizes(self):
        """list of int: rows of a batch of each shard."""
        return [batch_size_of(self.batch_size, n_rows, self.n_rows) for _, _, n_rows in self.shards]

    @property
    def steps_of_shards(self):
        """list of int: steps of each shard in an epoch."""
        return [ceil_div(n_rows, size) for (_, _, n_rows), size in zip(self.shards, self.batch_sizes, strict=True)]

    def bind(self, trainer):
        """See `Epochs`."""
        super().bind(trainer)
        network, average, model = trainer.network, trainer.average, self.source.model
        self.settings = Settings(
            uuid4().hex,
            {**network.definition, **network.settings, "dtype": network.precision},
            trainer.optimizer.optimizer,
            trainer.update_options,
            trainer.loss_scale,
            trainer.mixup_alpha,
            getattr(average, "decay", None),
            model.n_threads,
        )
        self.outer = OuterNesterov(model.outer_learning_rate, 0.0, network, trainer.update_options.get("max_norm"))
        if self.outer_state is not None:
            self.outer.load_state_dict(self.outer_state)

    # The state of the outer step, in a checkpoint

    outer = outer_state = None

    def state_dict(self):
        """All that changes in a run; see `fastbp.training.run_state`."""
        velocity = None if self.outer is None else self.outer.velocity
        return {"velocity": None if velocity is None else velocity.copy(), "rows_of_shards": self.rows_of_shards}

    def load_state_dict(self, state):
        """Go on from a state.

        Parameters
        ----------
        state : dict

        Raises
        ------
        ValueError
            If the rows are divided otherwise.
        """
        if state["rows_of_shards"] != self.rows_of_shards:
            raise ValueError(
                f"resume_from: the rows are divided into shards of {self.rows_of_shards!r:.100} rows, and were divided "
                f"into shards of {state['rows_of_shards']!r:.100} in the run of the checkpoint: give the client as "
                "many workers, and X as many partitions, as then, or go on from its weights with init_from"
            )
        self.outer_state = state

    # Epochs

    def train(self, rates, losses, patience, seconds, decay_factors, dropout_factors):
        """See `Epochs`."""
        trainer, begin = self.trainer, perf_counter()
        self.epochs_done = 0
        trainer.clock.note_call()
        self.use_workers()
        numbers = rates, decay_factors, dropout_factors
        n_rounds = rounds_of(self.n_steps, self.sync_every, len(self.shards) == 1 and self.outer.is_average)
        loss, status, self.n_trained = 0.0, COMPLETED, 0
        for number in range(n_rounds):
            if perf_counter() - self.seen > SECONDS_BETWEEN_LOOKS:  # it takes a message to the scheduler and back
                self.use_workers()
            works = self.works(trainer.history.n_iter, number / n_rounds, (number + 1) / n_rounds, numbers)
            result = self.run(run_round, works)
            if result.rows:
                self.n_trained += result.rows
                loss += (result.loss - loss) * (result.rows / self.n_trained)
            if result.status == DIVERGED:
                status = DIVERGED
                break
            status = GREW if result.status == GREW else status
            if result.state is not None:  # rows that were divided anew may have no step in a short round
                self.take(result.state)
            if trainer.end_window(self.n_trained, self.n_rows, 0.0):
                break
        losses[0], seconds[0], self.epochs_done = loss, perf_counter() - begin, 1
        if patience is not None and status == COMPLETED:
            patience.observe(loss)
        return 1, status

    def works(self, epoch, begin, end, numbers=NO_NUMBERS):
        """What each shard is to do: the steps from one share of the epoch to another.

        Parameters
        ----------
        epoch : int
        begin, end : float
        numbers : tuple
            Learning rates, and factors of decay and of dropout, as given to `train`.

        Returns
        -------
        list of Round
        """
        network, seed = self.trainer.network, self.trainer.optimizer.seed
        works = []
        for index, (n_steps, batch_size) in enumerate(zip(self.steps_of_shards, self.batch_sizes, strict=True)):
            steps = slice(round(begin * n_steps), round(end * n_steps))
            own = (numbers_of_steps(values, n_steps) for values in numbers)
            rates, decay, dropout = (None if values is None else values[steps] for values in own)
            share = batch_size / self.batch_size  # of the penalty of a batch, as of its rows
            penalties = {"alpha": network.alpha * share, "l1": network.l1 * share}
            generator = None if self.random_state is None else self.generators_now[index]
            works.append(
                Round(
                    epoch,
                    steps.start,
                    steps.stop,
                    batch_size,
                    rates,
                    decay,
                    dropout,
                    generator,
                    seed_of(seed, index),
                    penalties,
                )
            )
        return works

    @property
    def generators_now(self):
        """list of RandomState: of the shards, before the first epoch."""
        if self.generators is None or len(self.generators) != len(self.shards):
            self.generators = generators_of(self.random_state, len(self.shards))
        return self.generators

    def run(self, function, works):
        """The mean of what a function of ``rounds.py`` returns for the shards at the state of now.

        Parameters
        ----------
        function : callable
        works : list of Round

        Returns
        -------
        Contribution
        """
        state = self.state()

        def attempt():
            sent = self.cluster.send(state)
            futures = [
                self.cluster.submit(worker, function, shard, sent, self.settings, work)
                for (shard, worker, _), work in zip(self.shards, works, strict=True)
            ]
            return self.cluster.combined(futures)

        return self.cluster.repeated(attempt)

    def state(self):
        """The state of training, with arrays of its own: on a cluster in this process nothing is copied on the way."""
        trainer, optimizer, average = self.trainer, self.trainer.optimizer, self.trainer.average
        is_moving = self.settings.decay is not None
        return State(
            trainer.network.params,
            optimizer.state,
            optimizer.memory,
            optimizer.n_steps,
            self.first_loss,
            average.params if is_moving else None,
            average.n if is_moving else 0,
        ).copy()

    def take(self, state):
        """Go on from the average of a round."""
        trainer, optimizer = self.trainer, self.trainer.optimizer
        trainer.network.params = self.outer.step(trainer.network.params, state.params)
        for ours, mean in zip(optimizer.state, state.moments, strict=True):
            ours[...] = mean
        optimizer.memory[...] = state.memory
        optimizer.n_steps, self.first_loss = state.n_steps, state.first_loss
        if state.average is not None:
            average = trainer.average
            average.params[...], average.n = state.average, state.n_averaged
            average.begin = state.n_steps - state.n_averaged

    def use_workers(self):
        """Take notice of workers that have joined or gone.

        If there are more workers than shards, and partitions for them, the partitions are divided anew. Otherwise the
        shards stay as they are, so that the loss of a worker changes no result; those of workers that are gone get
        another one. Where the rows are divided anew in the middle of an epoch, each shard goes on with the same share
        of its new rows: in that epoch some rows come twice, and others not.
        """
        self.cluster.look()
        workers, self.seen = self.cluster.wait_for_workers(), perf_counter()
        self.give_rows(workers)
        self.outer.momentum = momentum_of(
            self.source.model.outer_momentum, self.trainer.optimizer.optimizer, len(self.shards)
        )

    def give_rows(self, workers):
        """Give the shards to these workers; see `use_workers`."""
        n_partitions = sum(size > 0 for size in self.source.sizes)
        if len(self.shards) < min(len(workers), n_partitions):
            parts, homes = self.source.divided(workers)
            if len(parts) > len(self.shards):
                LOGGER.info("%d workers: the rows are divided among %d", len(workers), len(parts))
                self.shards = self.source.encoded(parts, homes)
                return
        homes = moved_homes([worker for _, worker, _ in self.shards], workers)
        for index, ((future, worker, n_rows), home) in enumerate(zip(self.shards, homes, strict=True)):
            if home != worker:
                LOGGER.warning("worker %s is gone: its rows are with %s from now on", worker, home)
                self.shards[index] = future, home, n_rows

    @property
    def source_failed(self):
        """bool: whether rows were lost with workers, and cannot be computed again."""
        return self.cluster.has_lost_rows

    @property
    def needs_statistics(self):
        """bool: whether something sees the weights after each epoch, which several shards have averaged: their
        activations have other statistics than the average of those of the shards."""
        trainer = self.trainer
        return len(self.shards) > 1 and bool(trainer.stopping.is_scored or trainer.callbacks)

    def renew_statistics(self):
        """See `Epochs`."""
        network = self.trainer.network
        if all(network.graph.groups[block.group].trained for block in network.graph.blocks):
            return
        result = self.run(renew_statistics, self.works(self.trainer.history.n_iter - 1, 0, 1))
        network.params = result.state.params

    def initial_loss(self):
        """See `Epochs`."""
        with self.trainer.at_initial_params():
            return self.run(objective, self.works(0, 0, 1)).loss

    def __exit__(self, kind, error, traceback):
        if kind is None and self.trainer.history.n_iter:
            if len(self.shards) > 1 and not self.needs_statistics:  # else they are new
                self.renew_statistics()
                self.trainer.average.note_statistics(self.trainer.network)
            if self.random_state is not None:
                self.advance()
        self.shards = self.cluster.rows = []  # an exception may keep this object

    def advance(self):
        """Leave the generator as training leaves it: after the shuffles of a single shard as `fit` does; else, where
        each shard has a generator of its own, after the draw of these."""
        if len(self.shards) > 1 or self.random_state is np.random.mtrand._rand:
            self.random_state.randint(0, 2**32, 4, dtype=np.uint32)
            return
        (shard, worker, _), (work,) = self.shards[0], self.works(self.trainer.history.n_iter - 1, 0, 1)
        state = self.cluster.result(self.cluster.submit(worker, generator_after, shard, None, self.settings, work))
        self.random_state.set_state(state)


def momentum_of(momentum, optimizer, n_shards):
    """The momentum of the outer step.

    Parameters
    ----------
    momentum : float or "auto"
        As the parameter of the estimators.
    optimizer : Optimizer
    n_shards : int

    Returns
    -------
    float
    """
    if momentum != "auto":
        return float(momentum)
    return 0.0 if optimizer.averages else 1 - n_shards**-0.5
