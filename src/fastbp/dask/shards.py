"""From partitions to shards, on the workers: read, described, encoded as `fit` does it, and joined."""

from dataclasses import dataclass

import numpy as np
from scipy import sparse

from fastbp.compatibility import safe_indexing
from fastbp.dask.rounds import Shard
from fastbp.data import check_weight_scale
from fastbp.estimators.class_targets import check_labels
from fastbp.estimators.streams import CheckedBlocks
from fastbp.estimators.validation import naming
from fastbp.estimators.window_cutter import n_rows_of, stacked
from fastbp.sources import Block

#: What a model knows of its rows when training begins
LEARNED = (
    "_fitted_loss",
    "_form",
    "_label_binarizer",
    "_n_units",
    "classes_",
    "feature_names_in_",
    "n_features_in_",
    "n_outputs_",
    "out_activation_",
)


@dataclass(frozen=True, eq=False)
class Numbered:
    """A partition and its number.

    Parameters
    ----------
    number : int
    block : Block
    """

    number: int
    block: Block

    @property
    def name(self):
        """str: for messages."""
        return f"partition {self.number}"


def load(parts):
    """The partitions of a shard, once they are there.

    Parameters
    ----------
    parts : list of (int, X, y, sample_weight)

    Returns
    -------
    list of Numbered
        Without empty ones.

    Raises
    ------
    ValueError
        If X, y and sample_weight of a partition have different numbers of rows.
    """
    loaded = []
    for number, X, y, weight in parts:
        lengths = {n: n_rows_of(v) for n, v in (("X", X), ("y", y), ("sample_weight", weight)) if v is not None}
        for name, n in lengths.items():
            if n != lengths["X"]:
                raise ValueError(
                    f"partition {number}: X has {lengths['X']} rows, and {name} has {n}; the partitions of both must "
                    "be the same rows"
                )
        if lengths["X"]:
            loaded.append(Numbered(number, Block(X, y, weight)))
    return loaded


def describe(parts, has_labels):
    """What the client has to know of the partitions.

    Parameters
    ----------
    parts : list of Numbered
    has_labels : bool
        Whether y holds classes.

    Returns
    -------
    list of (int, int, (labels, counts) or None, list of ndarray or None)
        For each partition its number, its rows, for a y of one dimension its labels and how often each occurs, and for
        one of two dimensions of whole numbers or text the labels of each column: None where some are not whole.
    """
    described = []
    for part in parts:
        counts = columns = None
        y = part.block.y
        if has_labels and not sparse.issparse(y):
            with naming(part.name):
                y = np.asarray(y)
                y = y.ravel() if y.ndim == 2 and y.shape[1] == 1 else y
                check_labels("y", y)
                if y.ndim == 1:
                    counts = np.unique(y, return_counts=True)
                elif y.ndim == 2 and (y.dtype.kind != "f" or np.array_equal(y, np.trunc(y))):
                    columns = [np.unique(column) for column in y.T]
        described.append((part.number, n_rows_of(part.block.X), counts, columns))
    return described


def sample(parts, rows):
    """Some rows of the partitions.

    Parameters
    ----------
    parts : list of Numbered
    rows : dict of int to ndarray of int64
        The numbers of the rows of some partitions.

    Returns
    -------
    list of (int, Block)
    """
    return [
        (part.number, Block(*(None if v is None else taken(v, rows[part.number]) for v in part.block)))
        for part in parts
        if part.number in rows
    ]


def taken(values, rows):
    """Some rows of X, y or sample_weight."""
    return values.tocsr()[rows] if sparse.issparse(values) else safe_indexing(values, rows)


class Encoder:
    """Checks partitions as `fit` checks its rows, and makes what the network takes of them.

    Parameters
    ----------
    model : BaseMLP
        That knows its columns and targets.
    labels : LabelCounts or None
        Of all rows.
    n_targets : int
    dtype : dtype
        Of the network.
    """

    def __init__(self, model, labels, n_targets, dtype):
        names = {*as_local(model, {})._parameter_constraints, *LEARNED}
        known = {name: value for name, value in vars(model).items() if name in names}
        self.model = as_local(model, known | {"callbacks": None, "init_from": None})
        self.labels, self.n_targets, self.dtype = labels, n_targets, dtype

    def __call__(self, parts):
        """The shard of some partitions.

        Parameters
        ----------
        parts : list of Numbered
            At least one.

        Returns
        -------
        Shard

        Raises
        ------
        ValueError, TypeError
            As `fit`; names the partition.
        """
        checked = CheckedBlocks(self.model, False)
        checked.is_learned = True
        encoded = []
        for part in parts:
            with naming(part.name), np.errstate(over="ignore", invalid="ignore"):
                encoded.append(self.encoded(*checked.checked(part.block)))
        X, targets, weight = map(stacked, zip(*encoded, strict=True))
        return Shard(X, targets, weight, self.n_targets, self.dtype)

    def encoded(self, X, y, weight):
        """X, targets and weights of a partition as the network takes them."""
        targets = self.model._encode(y, X.dtype)
        weight = self.model._weighted_by_class(y, weight, self.labels or y, may_be_zero=True)
        if weight is not None and weight.any():
            check_weight_scale(weight, self.dtype)
        return X, targets, weight


def as_local(model, attributes):
    """An estimator of the class that a model has on one machine.

    Parameters
    ----------
    model : DaskMLPClassifier or DaskMLPRegressor
    attributes : dict
        All that it has.

    Returns
    -------
    MLPClassifier or MLPRegressor
    """
    cls = next(cls for cls in type(model).__mro__ if not cls.__module__.startswith("fastbp.dask"))
    other = object.__new__(cls)
    other.__dict__ = attributes
    return other


def encode(encoder, parts):
    """The shard of some partitions.

    Parameters
    ----------
    encoder : Encoder
    parts : list of Numbered

    Returns
    -------
    Shard
    """
    return encoder(parts)


def weight_sum(shard):
    """float: the sum of the weights of the rows of a shard."""
    return float(shard.data.weight_sum)
