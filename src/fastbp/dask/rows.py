"""The rows of a cluster that a fit trains on: divided into shards, described, and encoded on the workers."""

import numpy as np
from sklearn.base import is_classifier

from fastbp.dask.collections import aligned_partitions
from fastbp.dask.division import divide, homes
from fastbp.dask.epochs import DistributedEpochs
from fastbp.dask.shards import Encoder, as_local, describe, encode, load, sample, weight_sum
from fastbp.estimators.class_targets import COLUMNS, form_of
from fastbp.estimators.label_counts import LabelSummary
from fastbp.estimators.rows import checked_weight
from fastbp.estimators.validation import naming
from fastbp.sources.joining import joined_blocks

#: Rows that the client gets, at most: what layers and initial weights learn from data, they learn from these
SAMPLE_ROWS = 2000


class DaskRows:
    """The arguments of `fit` on a cluster.

    Parameters
    ----------
    cluster : Cluster
    X, y, sample_weight : collection
        See ``collections.py``.

    Attributes
    ----------
    y : None
        The client has no y of all rows.
    labels : LabelCounts or None
        Of all rows; None for a regressor, and where y has two dimensions.
    n_rows : int
        Known after `check`.
    is_part : bool
        What `check` returns is a part of the rows.
    """

    y = labels = None
    is_part = True

    def __init__(self, cluster, X, y, sample_weight=None):
        self.cluster = cluster
        X, rows = aligned_partitions(X, y, sample_weight)
        self.keys = [part for part, _, _ in rows]
        self.partitions = [(number, *parts) for number, parts in enumerate(rows)]
        self.sizes, self.has_sample_weight = sizes_of(X, len(self.keys)), sample_weight is not None

    # Division

    def divided(self, workers):
        """(the numbers of the partitions of each shard, the worker of each shard)."""
        places = self.cluster.places(self.keys)
        shards = divide(self.sizes, places, workers)
        return shards, homes(shards, places, workers)

    def loaded(self, shards, workers):
        """The futures of the partitions of each shard, in the memory of its worker."""
        from dask import delayed

        read = delayed(load, pure=False)
        parts = [
            self.cluster.compute(worker, read([self.partitions[number] for number in shard]))
            for shard, worker in zip(shards, workers, strict=True)
        ]
        self.cluster.rows = [*self.cluster.rows, *parts]
        return parts

    # Before training

    def check(self, model, reset):
        """Read the partitions; see `RowsInMemory.check`. What is returned are some rows of all."""
        self.model = model
        self.cluster.look()
        self.shards, self.workers = self.divided(self.cluster.wait_for_workers())
        self.parts = self.loaded(self.shards, self.workers)
        self.learn(self.described(is_classifier(model)))
        X, y, weight = self.checked(self.sampled(), reset)
        if is_classifier(model):
            self.learn_labels(y)
        return X, y, weight

    def described(self, has_labels):
        """What `describe` tells of all partitions, in their order."""
        futures = [
            self.cluster.submit(worker, describe, parts, has_labels)
            for worker, parts in zip(self.workers, self.parts, strict=True)
        ]
        return sorted(
            (entry for entries in self.cluster.gather(futures) for entry in entries), key=lambda entry: entry[0]
        )

    def learn(self, described):
        """Note the numbers of rows and the labels."""
        self.rows_of = {number: n_rows for number, n_rows, _, _ in described}
        self.sizes = [self.rows_of.get(number, 0) for number in range(len(self.sizes))]
        self.n_rows = sum(self.sizes)
        if not self.n_rows:
            raise ValueError(f"X has no rows: all of its {len(self.sizes)} partitions are empty")
        self.counts = [counts for _, _, counts, _ in described]
        self.columns = [columns for _, _, _, columns in described]

    def learn_labels(self, y):
        """Note the labels of all rows, for a classifier.

        Parameters
        ----------
        y : ndarray
            Of the sample, validated.
        """
        model = self.model
        if y.ndim == 1:
            summary = LabelSummary()
            for counts in self.counts:
                summary.add_counted(*counts)
            self.labels = summary.labels
            return
        if model.class_weight == "balanced":
            raise ValueError(
                "class_weight='balanced' is there for a y of one dimension on a cluster; give the weights as dicts"
            )
        announced = vars(model).get("_announced_classes")
        if form_of(y, announced) == COLUMNS and announced is None:
            wrong = [number for number, columns in zip(self.rows_of, self.columns, strict=True) if columns is None]
            if wrong:
                raise ValueError(
                    f"y must hold labels, columns of whole numbers or text, as in other partitions; got numbers that "
                    f"are not whole in partition {wrong[0]}"
                )
            model._announced_classes = [
                np.unique(np.concatenate(column)).tolist() for column in zip(*self.columns, strict=True)
            ]

    def checked(self, blocks, reset):
        """The sample as one, checked as `fit` checks its rows; of an error the partition is named.

        Parameters
        ----------
        blocks : list of (int, Block)
        reset : bool
            As for `check`.
        """
        try:
            block = joined_blocks("X and y", [block for _, block in blocks])
            X, y = self.model._check(block.X, block.y, reset=reset)
            weight = checked_weight(block.sample_weight, X, may_be_zero=True)
            return X, y, weight if weight is None or weight.any() else None  # other rows may have a weight
        except (TypeError, ValueError):
            model = as_local(self.model, dict(vars(self.model)))
            for number, block in blocks:
                with naming(f"partition {number}"):
                    X, _ = model._check(block.X, block.y, reset=reset)
                    checked_weight(block.sample_weight, X, may_be_zero=True)
                reset = False
            raise

    def sampled(self):
        """Some rows of the partitions, a list of (int, Block): evenly spaced, and all where there are few."""
        step = -(-self.n_rows // SAMPLE_ROWS)
        begin, wanted = 0, {}
        for number, n_rows in self.rows_of.items():
            first = -begin % step
            if first < n_rows:
                wanted[number] = np.arange(first, n_rows, step)
            begin += n_rows
        futures = [
            self.cluster.submit(worker, sample, parts, {n: wanted[n] for n in shard if n in wanted})
            for shard, worker, parts in zip(self.shards, self.workers, self.parts, strict=True)
        ]
        return sorted((e for entries in self.cluster.gather(futures) for e in entries), key=lambda e: e[0])

    # Training

    def n_trained(self, rows):
        """Rows of an epoch; `rows` are those of the sample."""
        return self.n_rows

    def epochs(self, data, rows, batch_size, random_state, lock):
        """What makes the steps of epochs; arguments as for `RowsInMemory.epochs`, of the sample."""
        self.encoder = Encoder(self.model, self.labels, data.n_outputs, data.values.dtype)
        encoded = self.encoded(self.shards, self.workers, self.parts)
        self.parts = None
        self.check_weights(encoded)
        return DistributedEpochs(self, encoded, batch_size, random_state, lock)

    def check_weights(self, encoded):
        """ValueError where all rows of all shards have a weight of zero."""
        is_weighted = self.has_sample_weight or getattr(self.model, "class_weight", None) is not None
        if is_weighted and not any(
            self.cluster.gather([self.cluster.submit(worker, weight_sum, shard) for shard, worker, _ in encoded])
        ):
            raise ValueError(
                "sample_weight and class_weight give every row a weight of zero: give at least one a weight above zero"
            )

    def encoded(self, shards, workers, parts=None):
        """The shards that training takes.

        Parameters
        ----------
        shards : list of list of int
        workers : list of str
        parts : list of Future or None
            Of the loaded partitions.

        Returns
        -------
        list of (Future, str, int)
            Each shard with rows, its worker, and its rows.

        Raises
        ------
        ValueError, TypeError
            For rows that `fit` does not accept either; names the partition.
        """
        parts = self.loaded(shards, workers) if parts is None else parts
        rows = [sum(self.sizes[number] for number in shard) for shard in shards]
        found = [
            (self.cluster.submit(worker, encode, self.encoder, part), worker, n_rows)
            for worker, part, n_rows in zip(workers, parts, rows, strict=True)
            if n_rows
        ]
        futures = [future for future, _, _ in found]
        self.cluster.rows = [*self.cluster.rows, *futures]
        self.cluster.raise_errors_of(futures)
        self.cluster.rows = futures
        return found


def sizes_of(X, n):
    """The rows of each of the n partitions, 1 where they are not known."""
    chunks = getattr(X, "chunks", [[np.nan]])[0]
    return [1] * n if np.isnan(chunks).any() else [int(size) for size in chunks]
