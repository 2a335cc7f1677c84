"""Rows that members were not trained on, and what the members predict for them.

The members of an ensemble have one of several settings each, the candidates, and several members have the same
settings. A fold is a part of the rows with the members for which it is out of bag, one of each candidate; so candidates
are compared on the same rows.
"""

from dataclasses import dataclass

import numpy as np


@dataclass
class Fold:
    """Rows, and the members that were not trained on them.

    Attributes
    ----------
    X : ndarray of shape (n, n_columns)
        Encoded.
    targets : ndarray of shape (n,) or (n, n_outputs)
    sample_weight : ndarray of shape (n,) or None
    members : list of list of int
        Of each candidate the numbers of the members.
    """

    X: np.ndarray
    targets: np.ndarray
    sample_weight: np.ndarray | None
    members: list

    def head(self, n_rows):
        """The same with the first rows only."""
        weight = None if self.sample_weight is None else self.sample_weight[:n_rows]
        return Fold(self.X[:n_rows], self.targets[:n_rows], weight, self.members)


class OutOfBag:
    """The folds of a fitted ensemble; empty if no row is out of bag.

    Parameters
    ----------
    folds : list of Fold
        Those in which a candidate has no member are left out: candidates could not be compared there.
    """

    def __init__(self, folds):
        self.folds = [fold for fold in folds if len(fold.X) and all(fold.members)]

    def __len__(self):
        return sum(len(fold.X) for fold in self.folds)

    @property
    def targets(self):
        """ndarray: of all rows, in the order of the folds."""
        return np.concatenate([fold.targets for fold in self.folds])

    @property
    def sample_weight(self):
        """ndarray of shape (n,) or None: of all rows."""
        weights = [fold.sample_weight for fold in self.folds]
        return None if weights[0] is None else np.concatenate(weights)

    def head(self, n_rows):
        """The same with at most so many rows, as many of each fold."""
        share = -(-n_rows // max(1, len(self.folds)))
        return OutOfBag([fold.head(share) for fold in self.folds])

    def predictions(self, predict):
        """What each candidate predicts for each row.

        Parameters
        ----------
        predict : callable
            ``predict(member, X)`` of shape (n, n_outputs).

        Returns
        -------
        ndarray of shape (n_candidates, n, n_outputs), float64
        """
        found = [
            [np.mean([predict(member, fold.X) for member in members], axis=0, dtype=np.float64) for members in fold.members]
            for fold in self.folds
        ]
        return np.concatenate(found, axis=1)
