"""The rows that early stopping holds out."""

import numpy as np
from sklearn.model_selection import train_test_split


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
