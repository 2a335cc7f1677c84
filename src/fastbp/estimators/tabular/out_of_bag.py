"""Rows that models were not trained on, and what the models predict for them.

A candidate is what can have a weight of its own in an ensemble: the models of the members after one of the cycles of
their training. A fold is a part of the rows with the models for which it is out of bag, at least one of each candidate;
so candidates are compared on the same rows.
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np


@dataclass
class Rows:
    """Rows to train on, or to compare with.

    Attributes
    ----------
    X : ndarray of shape (n, n_columns)
        Encoded.
    targets : ndarray of shape (n,) or (n, n_outputs)
    sample_weight : ndarray of shape (n,) or None
    trains_in_turn : bool
        Whether members are trained one after the other, not at the same time.
    """

    X: np.ndarray
    targets: np.ndarray
    sample_weight: np.ndarray | None = None
    trains_in_turn: ClassVar[bool] = False

    @property
    def n_rows(self):
        """int: rows to train on."""
        return len(self.X)

    def part(self, rows):
        """Some of the rows; `rows` are numbers, or a slice."""
        weight = None if self.sample_weight is None else self.sample_weight[rows]
        return Rows(self.X[rows], self.targets[rows], weight)

    def without(self, rows):
        """All other rows."""
        return self.part(np.delete(np.arange(len(self.X)), rows)) if len(rows) else self

    def is_constant(self, column):
        """Whether all numbers of a column are alike; NaN is like NaN only."""
        x = self.X[:, column]
        return bool((x == x[0]).all() or np.isnan(x).all())

    def oob_share(self, share):
        """The share of X that is out of bag for a member, if it is to be `share` of the rows to train on."""
        return share

    def train(self, member, **validation):
        """Fit an estimator; `validation` are the arguments of its `fit` that bring a validation set."""
        member.fit(self.X, self.targets, self.sample_weight, **validation)


@dataclass
class Fold:
    """Rows, and the models that were not trained on them.

    Attributes
    ----------
    rows : Rows
    models : list of list of int
        Of each candidate the numbers of the models.
    """

    rows: Rows
    models: list


def models_of(fold, fold_of_model, candidate_of_model):
    """The models that have a fold, by candidates.

    Parameters
    ----------
    fold : int
    fold_of_model, candidate_of_model : list of int

    Returns
    -------
    list of list of int
    """
    models = [[] for _ in range(max(candidate_of_model) + 1)]
    for number, candidate in enumerate(candidate_of_model):
        if fold_of_model[number] == fold:
            models[candidate].append(number)
    return models


class OutOfBag:
    """The folds of a fitted ensemble; empty if no row is out of bag.

    Parameters
    ----------
    folds : list of Fold
        Those in which a candidate has no model are left out: candidates could not be compared there.
    """

    def __init__(self, folds):
        self.folds = [fold for fold in folds if len(fold.rows.X) and all(fold.models)]

    def __len__(self):
        return sum(len(fold.rows.X) for fold in self.folds)

    @property
    def targets(self):
        """ndarray: of all rows, in the order of the folds."""
        return np.concatenate([fold.rows.targets for fold in self.folds])

    @property
    def sample_weight(self):
        """ndarray of shape (n,) or None: of all rows."""
        weights = [fold.rows.sample_weight for fold in self.folds]
        return None if weights[0] is None else np.concatenate(weights)

    def head(self, n_rows):
        """The same with at most so many rows, as many of each fold."""
        share = -(-n_rows // max(1, len(self.folds)))
        return OutOfBag([Fold(fold.rows.part(slice(share)), fold.models) for fold in self.folds])

    def predictions(self, predict):
        """What each candidate predicts for each row.

        Parameters
        ----------
        predict : callable
            ``predict(model, X)`` of shape (n, n_outputs), for the number of a model.

        Returns
        -------
        ndarray of shape (n_candidates, n, n_outputs), float64
        """
        found = []
        for fold in self.folds:
            of_models = [[predict(model, fold.rows.X) for model in models] for models in fold.models]
            found.append([np.mean(predictions, axis=0, dtype=np.float64) for predictions in of_models])
        return np.concatenate(found, axis=1)
