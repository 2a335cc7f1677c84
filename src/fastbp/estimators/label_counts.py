"""The labels of rows that are not in memory at the same time, and how many rows have each."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, eq=False)
class LabelCounts:
    """The labels of all rows, in place of a y of one dimension.

    Parameters
    ----------
    classes : ndarray of shape (n_classes,)
        The different labels, sorted.
    counts : ndarray of int64 of shape (n_classes,) or None
        The rows of each; None if they were not counted.
    """

    classes: np.ndarray
    counts: np.ndarray | None = None

    def balanced(self):
        """ndarray of float64 of shape (n_classes,): the weight of each class by ``class_weight="balanced"``, ``n_rows /
        (n_classes * count)`` of the classes that have rows; 1 of others."""
        has_rows = self.counts > 0
        weights = np.ones(len(self.classes))
        weights[has_rows] = self.counts.sum() / (has_rows.sum() * self.counts[has_rows].astype(np.float64))
        return weights

    def among(self, classes):
        """The same for all of `classes`, of which some may have no rows.

        Parameters
        ----------
        classes : array-like of shape (n_classes,)

        Returns
        -------
        LabelCounts

        Raises
        ------
        ValueError
            If a label is not one of them.
        """
        classes = np.unique(np.asarray(classes))
        counts = np.zeros(len(classes), np.int64)
        if len(self.classes):
            missing = np.setdiff1d(self.classes, classes)
            if len(missing):
                raise ValueError(
                    f"classes must name all labels of y, got {classes.tolist()} without {missing.tolist()}"
                )
            counts[np.searchsorted(classes, self.classes)] = self.counts
        return LabelCounts(classes, counts)


class LabelSummary:
    """Counts labels in one part of the rows after the other.

    Attributes
    ----------
    dtype : dtype or None
        That an array of all labels has; None before the first ones.
    """

    dtype = kind = None

    def __init__(self):
        self.counts = {}

    def add(self, y):
        """Count the labels of an array of shape (n,)."""
        self.add_counted(*np.unique(y, return_counts=True))

    def add_counted(self, labels, counts):
        """Add labels that were counted, each once: arrays of the same length.

        Raises
        ------
        ValueError
            For text, if the labels before are numbers, and the other way round.
        """
        if not len(labels):
            return
        kind = content_of(labels)
        if self.kind not in (None, kind):
            raise ValueError(f"y must hold labels of one type, got {self.kind} in some parts and {kind} in others")
        self.kind = kind
        self.dtype = labels.dtype if self.dtype is None else np.promote_types(self.dtype, labels.dtype)
        for label, count in zip(labels, counts, strict=True):
            self.counts[label] = self.counts.get(label, 0) + int(count)

    @property
    def labels(self):
        """LabelCounts: the labels that were met."""
        labels = sorted(self.counts)
        return LabelCounts(np.array(labels, self.dtype), np.array([self.counts[label] for label in labels], np.int64))


def content_of(y):
    """What an array of labels that is not empty, or a sparse matrix of ones, holds: "text", "bytes" or "numbers"."""
    cls = type(y.flat[0]) if y.dtype.kind == "O" else y.dtype.type
    return next((name for name, base in (("text", str), ("bytes", bytes)) if issubclass(cls, base)), "numbers")
