"""Validation sets that a worker holds: it computes scores and losses, and the client gets numbers only."""

import threading
from dataclasses import dataclass

from fastbp.dask.collections import aligned, check_is_distributed, is_distributed, partitions_of
from fastbp.dask.shards import Encoder, joined_blocks, load
from fastbp.estimators.scoring import largest_score, scorers_of
from fastbp.estimators.validation import GivenRows, naming
from fastbp.network import Network
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
    return HeldRows(encoder.model, encoder.labels, definition, joined_blocks([part.block for part in parts]))


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


class RemoteValidationSet(ValidationSet):
    """A validation set that a worker holds.

    Parameters
    ----------
    cluster : Cluster
    held : Future
        Of `HeldRows`.
    **others : object
        As for `ValidationSet`.
    """

    def __init__(self, cluster, held, **others):
        super().__init__(data=None, scores=NoRows(), **others)
        object.__setattr__(self, "cluster", cluster)
        object.__setattr__(self, "held", held)

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


class DistributedGivenRows(GivenRows):
    """The arguments of `fit` that bring a validation set, where they are collections on a cluster."""

    def check(self, estimator):
        """See `GivenRows.check`."""
        super().check(estimator)
        for name in NAMES:
            if getattr(self, name) is not None:
                check_is_distributed(name, getattr(self, name), estimator)

    def on(self, cluster, rows):
        """The same, with the cluster and the rows to train on."""
        object.__setattr__(self, "cluster", cluster)
        object.__setattr__(self, "rows", rows)
        return self

    def validation_set(self, estimator, network, y_train):
        """See `GivenRows.validation_set`."""
        from dask import delayed

        with naming("X_val and y_val"):
            X, others = aligned(self.X_val, {"y": self.y_val, "sample_weight": self.sample_weight_val})
        columns = [partitions_of(X), partitions_of(others["y"])]
        weight = others["sample_weight"]
        columns.append([None] * len(columns[0]) if weight is None else partitions_of(weight))
        parts = [(number, *values) for number, values in enumerate(zip(*columns, strict=True))]
        definition = {**network.definition, **network.settings, "dtype": network.dtype}
        encoder = Encoder(estimator, self.rows.labels, network.n_targets, network.dtype)
        worker = self.cluster.workers[0]
        loaded = self.cluster.compute(worker, delayed(load, pure=False)(parts))
        held = self.cluster.submit(worker, hold, encoder, definition, loaded)
        first = next(iter(scorers_of(estimator.scoring).values()))
        return RemoteValidationSet(
            self.cluster,
            held,
            names=tuple(scorers_of(estimator.scoring)),
            records_loss=True,
            loss_scale=estimator._loss_scale,
            score_is_constant=self.cluster.result(self.cluster.submit(worker, is_constant, held)),
            largest_score=largest_score(first),
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
        return DistributedGivenRows(*arguments).on(cluster, rows)
    return GivenRows(*arguments)
