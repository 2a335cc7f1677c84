"""Labels, one for each row: what scikit-learn's functions make of them, sooner where they are integers.

scikit-learn finds out in each call what its arguments are, which takes longer than a short epoch. Here it is known: the
labels were validated.
"""

import numpy as np
from sklearn.preprocessing import LabelBinarizer
from sklearn.utils.multiclass import unique_labels

from fastbp.compatibility import attach_unique
from fastbp.kernels.data import distinct_integers


def counted_labels(y):
    """The different values of integers, by counting.

    Parameters
    ----------
    y : ndarray

    Returns
    -------
    ndarray of shape (n_labels,), or None
        In sorted order; None where y does not hold integers in one dimension, or these are spread too far.
    """
    if y.ndim != 1 or y.dtype.kind not in "iu" or y.dtype == np.uint64:  # which does not fit into int64
        return None
    labels = distinct_integers(np.ascontiguousarray(y, np.int64))
    return None if labels is None else labels.astype(y.dtype.newbyteorder("="))


def labels_of(y):
    """scikit-learn's `unique_labels` of a validated y of labels or indicators: an ndarray of shape (n_labels,)."""
    labels = counted_labels(y)
    return unique_labels(y) if labels is None else labels


def fitted_binarizer(y):
    """``LabelBinarizer().fit(y)``, without its checks where y holds integers that surely are labels.

    Parameters
    ----------
    y : ndarray or sparse matrix
        Validated labels or indicators.

    Returns
    -------
    LabelBinarizer
    """
    labels = counted_labels(y)
    # scikit-learn warns of so many labels that they could be the numbers of a regression
    if labels is None or 2 * len(labels) > len(y):
        return LabelBinarizer().fit(y if y.ndim > 1 or y.dtype.kind not in "biufUS" else attach_unique(y))
    binarizer = LabelBinarizer()
    binarizer.y_type_ = "binary" if len(labels) <= 2 else "multiclass"
    binarizer.sparse_input_ = False
    binarizer.classes_ = labels
    return binarizer


def numbers_of_labels(y, classes):
    """The number of each label in the sorted `classes`, which have them all.

    Parameters
    ----------
    y : ndarray of shape (n,)
    classes : ndarray of shape (n_classes,)

    Returns
    -------
    ndarray of int64 of shape (n,)
    """
    if y.dtype.kind == classes.dtype.kind == "i" and int(classes[-1]) - int(classes[0]) == len(classes) - 1:
        return np.subtract(y, classes[0], dtype=np.int64)
    return np.searchsorted(classes, y)


def labels_of_output(binarizer, output):
    """``binarizer.inverse_transform(output)``; of one label for each row without its checks, which take longer than a
    prediction for a row.

    Parameters
    ----------
    binarizer : LabelBinarizer
        Fitted.
    output : ndarray of shape (n, n_outputs)
        Probabilities.

    Returns
    -------
    ndarray or sparse matrix of shape (n,) or (n, n_labels)
    """
    classes = binarizer.classes_
    if binarizer.y_type_ == "multiclass":
        return classes.take(output.argmax(axis=1), mode="clip")
    if binarizer.y_type_ == "binary":
        return classes[(output.ravel() > 0.5).astype(np.intp)] if len(classes) == 2 else np.repeat(classes, len(output))
    return binarizer.inverse_transform(output)


def are_surely_labels(y, classes):
    """Whether scikit-learn's metrics would say nothing of the labels of some rows, and of predictions for them.

    Parameters
    ----------
    y : object
    classes : ndarray or list of ndarray
        Of which predictions are.

    Returns
    -------
    bool
    """
    if type(y) is not np.ndarray or type(classes) is not np.ndarray or classes.dtype.kind not in "iu":
        return False
    labels = counted_labels(y)
    # it warns of so many labels that they could be the numbers of a regression
    return labels is not None and 2 * max(len(labels), len(classes)) <= len(y)
