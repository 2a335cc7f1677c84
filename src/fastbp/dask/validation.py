"""Validation sets that a worker holds: it computes scores and losses, and the client gets numbers only."""

import threading
from dataclasses import dataclass
from typing import Any

from fastbp.dask.collections import aligned_partitions, check_is_distributed, is_distributed
from fastbp.dask.shards import Encoder, load
from fastbp.estimators.scoring import largest_score, scorers_of
from fastbp.estimators.validation import GivenRows, naming
from fastbp.network import Network
from fastbp.sources.joining import joined_blocks
from fastbp.training import ValidationSet

NAMES = ("X_val", "y_val", "sample_weight_val")


class HeldRows:
    """The rows to validate on, on the worker that has them.

    Parameters
    ----------
    model : BaseMLP
        That knows its columns and targets.
    labels : LabelCounts or None
        Of the rows to train on.
    definition : dict
        The arguments of `Network`, but for the parameters.
    block : Block
    """

    def __init__(self, model, labels, definition, block):
        self.arguments = model, labels, definition, block
        self.network, self.lock = Network(**definition, initializer=None), threading.Lock()
        self.validation = GivenRows(*block).validation_set(model, self.network, labels)

    def __reduce__(self):
        return HeldRows, self.arguments


def hold(encoder, definition, parts):
    """The rows to validate on; see `HeldRows`."""
    if not parts:
        raise ValueError("X_val and y_val: all partitions are empty")
    return HeldRows(
        encoder.model, encoder.labels, definition, joined_blocks("X_val and y_val", [part.block for part in parts])
    )


def is_constant(held):
    """Whether the score of the rows is the same for all predictions."""
    return held.validation.score_is_constant


def evaluate(held, params):
    """The `Evaluation` of some parameters."""
    with held.lock:
        held.network.params = params
        return held.validation.evaluate(held.network, None)


def loss(held, params):
    """The mean loss at some parameters."""
    with held.lock:
        held.network.params = params
        return held.validation.loss(held.network, None)


@dataclass(frozen=True, eq=False)
class NoRows:
    """In place of `Scores`: the client has no rows."""

    X = y = sample_weight = None


@dataclass(frozen=True, eq=False)
class RemoteValidationSet(ValidationSet):
    """A validation set that a worker holds; `data` is None, and `scores` are `NoRows`.

    Parameters
    ----------
    cluster : Cluster
    held : Future
        Of `HeldRows`.
    """

    cluster: Any = None
    held: Any = None

    def evaluate(self, network, team):
        """See `ValidationSet.evaluate`."""
        return self.of_params(evaluate, network.params)

    def loss(self, network, team):
        """See `ValidationSet.loss`."""
        return self.of_params(loss, network.params)

    def of_params(self, function, params):
        """What a function of the rows and the parameters returns, computed where the rows are."""

        def attempt():
            return self.cluster.result(self.cluster.submit(None, function, self.held, self.cluster.send(params.copy())))

        return self.cluster.repeated(attempt)


@dataclass(frozen=True)
class DistributedGivenRows(GivenRows):
    """The arguments of `fit` that bring a validation set, where they are collections on a cluster.

    Parameters
    ----------
    cluster : Cluster
    rows : DaskRows
        To train on.
    """

    cluster: Any = None
    rows: Any = None

    def check(self, estimator):
        """See `GivenRows.check`."""
        super().check(estimator)
        for name in NAMES:
            if getattr(self, name) is not None:
                check_is_distributed(name, getattr(self, name), estimator)

    def validation_set(self, estimator, network, y_train):
        """See `GivenRows.validation_set`."""
        from dask import delayed

        with naming("X_val and y_val"):
            _, rows = aligned_partitions(self.X_val, self.y_val, self.sample_weight_val)
        parts = [(number, *values) for number, values in enumerate(rows)]
        definition = {**network.definition, **network.settings, "dtype": network.precision}
        encoder = Encoder(estimator, self.rows.labels, network.n_targets, network.dtype)
        worker = self.cluster.wait_for_workers()[0]
        loaded = self.cluster.compute(worker, delayed(load, pure=False)(parts))
        held = self.cluster.submit(worker, hold, encoder, definition, loaded)
        scorers = scorers_of(estimator.scoring)
        return RemoteValidationSet(
            None,
            NoRows(),
            tuple(scorers),
            records_loss=True,
            loss_scale=estimator._loss_scale,
            score_is_constant=self.cluster.result(self.cluster.submit(worker, is_constant, held)),
            largest_score=largest_score(next(iter(scorers.values()))),
            cluster=self.cluster,
            held=held,
        )


def given_rows(cluster, rows, X_val, y_val, sample_weight_val):
    """The arguments of `fit` that bring a validation set: on a cluster, or in memory.

    Parameters
    ----------
    cluster : Cluster
    rows : DaskRows
        To train on.
    X_val, y_val, sample_weight_val : object
        As for `fit`.

    Returns
    -------
    GivenRows
    """
    arguments = X_val, y_val, sample_weight_val
    if any(is_distributed(argument) for argument in arguments):
        return DistributedGivenRows(*arguments, cluster=cluster, rows=rows)
    return GivenRows(*arguments)
