"""The rows that early stopping holds out."""

import numpy as np
from sklearn.model_selection import train_test_split
from sklearn.utils import _safe_indexing

from fastbp.data import make_data
from fastbp.training import HeldOut


def split_rows(n_rows, sample_weight, validation_fraction, stratify, random_state):
    """Row numbers to train on and to hold out: scikit-learn's split of X itself, made on row numbers.

    Rows of weight zero have no part in training, nor in a score, and are in neither of the two.

    Parameters
    ----------
    n_rows : int
    sample_weight : ndarray of shape (n_rows,) or None
    validation_fraction : float
        Share of the rows to hold out.
    stratify : ndarray of shape (n_rows,) or None
        Both parts get their share of each of its values.
    random_state : RandomState

    Returns
    -------
    train, held_out : ndarray of int64

    Raises
    ------
    ValueError
        If either part would be too small, or a value of `stratify` occurs only once.
    """
    rows = np.arange(n_rows, dtype=np.int64) if sample_weight is None else np.flatnonzero(sample_weight)
    classes = None if stratify is None else stratify[rows]
    counts = [len(rows)] if classes is None else np.unique(classes, return_counts=True)[1]
    n_held_out = int(np.ceil(validation_fraction * len(rows)))
    n_train = len(rows) - n_held_out
    is_splittable = classes is None or min(counts) >= 2  # train_test_split names the class that is too small
    if is_splittable and (n_held_out < 2 or min(n_held_out, n_train) < len(counts)):
        raise ValueError(
            "The validation set is too small. Increase 'validation_fraction' or the size of your dataset: "
            f"validation_fraction={validation_fraction} of n_samples={len(rows)}"
            f"{'' if len(rows) == n_rows else ' with a weight above zero'} holds out {n_held_out} and leaves {n_train} "
            f"to train on; needed are {max(2, len(counts))} and {len(counts)}"
            f"{'' if classes is None else ', one of each class'}."
        )
    return train_test_split(rows, random_state=random_state, test_size=validation_fraction, stratify=classes)


def hold_out(estimator, X, y, targets, sample_weight, dtype, random_state, attempt):
    """Split the rows for early stopping.

    Parameters
    ----------
    estimator : BaseMLP
        Tells how to stratify, and how to score predictions.
    X : ndarray or sparse matrix of shape (n_samples, n_features)
    y : ndarray of shape (n_samples,) or (n_samples, n_outputs)
        For the score.
    targets : ndarray or sparse matrix
        `y` as the network takes it.
    sample_weight : ndarray of shape (n_samples,) or None
    dtype : dtype
        Of the network.
    random_state : RandomState
    attempt : Attempt
        Takes the warning of classes that are held out as a whole.

    Returns
    -------
    train : ndarray of int64
        The numbers of the rows to train on.
    held_out : HeldOut
    """
    stratify = estimator._stratified(targets)
    train, rows = split_rows(X.shape[0], sample_weight, estimator.validation_fraction, stratify, random_state)
    untrained = estimator._untrained_classes(targets, train)
    if len(untrained):
        attempt.warn(
            f"early_stopping holds out every row of the classes {', '.join(map(str, untrained))}: none is left to "
            "train on. Bring more rows of them, or lower validation_fraction."
        )
    y_held_out = y[rows]
    weight = None if sample_weight is None else sample_weight[rows]

    def score(output):
        predictions = estimator._decode(output)
        if predictions.dtype.kind == "f" and not np.isfinite(predictions).all():
            return np.nan
        with np.errstate(over="ignore"):
            return float(estimator._score_function(y_held_out, predictions, sample_weight=weight))

    data = make_data(_safe_indexing(X, rows), targets[rows], weight, estimator.n_outputs_, dtype)
    return train, HeldOut(data, score, estimator._score_is_constant(y_held_out))
