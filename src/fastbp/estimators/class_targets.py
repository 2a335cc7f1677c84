"""The forms of a classifier's y that scikit-learn's has not: rows of probabilities, and several columns of labels.

A y of one dimension has labels. The form of a y of two dimensions follows from its values and from `classes`; see
`form_of`. Once a model is fitted, the form is known, and `partial_fit`, `warm_start` and `score` ask for the same one.
"""

from numbers import Real

import numpy as np
from scipy import sparse
from sklearn.utils.class_weight import compute_class_weight
from sklearn.utils.multiclass import type_of_target

from fastbp.estimators.label_counts import LabelCounts

LABELS, INDICATORS, PROBABILITIES, COLUMNS = "labels", "indicators", "probabilities", "columns"

#: The forms in words, for messages
IN_WORDS = {
    LABELS: "one label for each row",
    INDICATORS: "indicators of several labels for each row",
    PROBABILITIES: "rows of probabilities",
    COLUMNS: "several columns of labels",
}


def form_of(y, classes=None):
    """The form of a classifier's y.

    Parameters
    ----------
    y : ndarray or sparse matrix
        Validated.
    classes : array-like, list of array-like, or None
        As given to `fit` or `partial_fit`.

    Returns
    -------
    str
        ``LABELS`` for one dimension. For two: ``COLUMNS`` if `classes` is a list of lists, or if y is of
        scikit-learn's type "multiclass-multioutput": text, or more than two different whole numbers. ``PROBABILITIES``
        if it is of the type "continuous-multioutput": some numbers are not whole. Else ``INDICATORS``.
    """
    if y.ndim == 1:
        return LABELS
    if sparse.issparse(y):
        return INDICATORS
    if is_list_of_lists(classes):
        return COLUMNS
    values = np.asarray(y)
    if values.dtype == object and any(isinstance(label, str) for label in values.flat):
        return COLUMNS  # perhaps with numbers in other columns, of which scikit-learn knows no type
    by_type = {"multiclass-multioutput": COLUMNS, "continuous-multioutput": PROBABILITIES}
    return by_type.get(type_of_target(y), INDICATORS)


def is_list_of_lists(classes):
    """Whether `classes` has the classes of several columns."""
    return isinstance(classes, (list, tuple)) and all(np.ndim(c) == 1 for c in classes) and len(classes) > 0


def check_labels(name, labels):
    """Check that labels can be sorted and compared.

    Parameters
    ----------
    name : str
        Of the argument, for the message.
    labels : array-like, list of array-like, or None

    Raises
    ------
    ValueError
        For NaN, None and dates, and for lists of different lengths.
    """
    if labels is None:
        return
    for part in labels if is_list_of_lists(labels) else [labels]:
        values = label_array(name, part)
        if values.ndim == 0:
            raise ValueError(f"{name} must be an array of labels, got {part!r}")
        if values.dtype.kind in "mM":
            raise ValueError(f"{name} must hold labels, got {values.dtype}; use strings or integers")
        if values.dtype.kind == "O" and any(label is None for label in values.flat):
            raise ValueError(f"{name} must hold labels, got None in {part!r}")
        if values.dtype.kind == "O" and values.ndim == 1 and len({isinstance(label, str) for label in values}) > 1:
            raise ValueError(f"{name} must hold labels of one type, got strings and other objects in {part!r}")
        if values.dtype.kind == "f" and np.isnan(values).any():
            raise ValueError(f"{name} must hold labels, got NaN in {part!r}")


def label_array(name, labels):
    """`labels` as an array; ValueError for lists of different lengths."""
    try:
        return np.asarray(labels)
    except ValueError as error:
        raise ValueError(f"{name} must be an array of labels, and has rows of different lengths") from error


def shape_in_words(labels):
    """The shape of labels, for a message."""
    try:
        return str(np.shape(labels))
    except ValueError:
        return "rows of different lengths"


def is_same_classes(classes, known):
    """Whether `classes`, as a user gives them for a y of two dimensions, are those that a model knows.

    Parameters
    ----------
    classes : array-like or list of array-like
    known : ndarray or list of ndarray

    Returns
    -------
    bool
    """
    if not isinstance(known, list):
        return np.array_equal(classes, known)
    if not is_list_of_lists(classes) or len(classes) != len(known):
        return False
    return all(np.array_equal(np.unique(c), k) for c, k in zip(classes, known, strict=True))


def check_sorted(names):
    """Check the labels of the columns of probabilities.

    Parameters
    ----------
    names : ndarray

    Raises
    ------
    ValueError
        Unless they are different and in sorted order.
    """
    if not np.array_equal(names, np.unique(names)):
        raise ValueError(
            f"classes, the labels of the columns of y, must be different and in sorted order, got {names}; sort them "
            "together with the columns"
        )


def check_numbers_of_columns(classes, n_labels):
    """Check the classes of indicators.

    Parameters
    ----------
    classes : ndarray
    n_labels : int
        Number of columns.

    Raises
    ------
    ValueError
        Unless they are the numbers of the columns.
    """
    if not np.array_equal(classes, np.arange(n_labels)):
        raise ValueError(
            f"for indicators of {n_labels} labels, classes must be the columns of y, numpy.arange({n_labels}); got "
            f"{np.asarray(classes).tolist()}"
        )


def check_probabilities(y, n_classes):
    """Check rows of probabilities.

    Parameters
    ----------
    y : ndarray of shape (n, n_classes)
    n_classes : int

    Raises
    ------
    ValueError
        Unless all are in [0, 1] and the rows sum to one, within 1e-6, or 1e-3 of float16 or float32.
    """
    if y.ndim != 2 or y.shape[1] != n_classes:
        raise ValueError(
            f"y as rows of probabilities must have a column for each of the {n_classes} classes, got shape {y.shape}"
        )
    if not len(y):
        raise ValueError("y as rows of probabilities must have at least one row, got none")
    if y.dtype.kind not in "fiub":
        raise ValueError(f"y as rows of probabilities must hold real numbers, got dtype {y.dtype}")
    if y.min() < 0 or y.max() > 1:
        wrong = y.min() if y.min() < 0 else y.max()
        raise ValueError(
            "y of two dimensions with numbers that are not whole must be rows of probabilities, in [0, 1]; got "
            f"{wrong:g}"
        )
    sums = y.sum(axis=1, dtype=np.float64)
    furthest = int(np.argmax(np.abs(sums - 1)))
    if abs(sums[furthest] - 1) > (1e-6 if y.dtype.itemsize >= 8 else 1e-3):
        raise ValueError(
            f"y of two dimensions with numbers that are not whole must be rows of probabilities, which sum to one; row "
            f"{furthest} sums to {sums[furthest]:g}. For several labels in a row give zeros and ones."
        )


def classes_of_columns(y, classes=None):
    """The classes of each column of y.

    Parameters
    ----------
    y : ndarray of shape (n, n_columns)
    classes : list of array-like, or None
        All classes of each column; None for those that y has.

    Returns
    -------
    list of ndarray

    Raises
    ------
    ValueError
        For another number of columns, or anything but a list of lists.
    """
    if classes is None:
        return [np.unique(column) for column in y.T]
    if not is_list_of_lists(classes):
        raise ValueError(
            f"classes must be a list with the classes of each column, for the {y.shape[1]} columns of labels in y, got "
            f"{classes!r}"
        )
    if len(classes) != y.shape[1]:
        raise ValueError(
            f"classes must have a list for each of the {y.shape[1]} columns of y, got {len(classes)} lists"
        )
    return [np.unique(c) for c in classes]


def labels_of_columns(numbers, classes):
    """The labels of the columns.

    Parameters
    ----------
    numbers : list of ndarray of int of shape (n,)
        Those of the labels in `classes`.
    classes : list of ndarray
        Of each column.

    Returns
    -------
    ndarray of shape (n, n_columns)
        Of objects where some columns have text and others have numbers.
    """
    columns = [c[number] for number, c in zip(numbers, classes, strict=True)]
    is_text = {c.dtype.kind in "US" for c in classes}
    return np.stack([c.astype(object) for c in columns] if len(is_text) > 1 else columns, axis=1)


def check_columns(y, classes):
    """Check that the labels in the columns of y are known.

    Parameters
    ----------
    y : ndarray
    classes : list of ndarray

    Raises
    ------
    ValueError
        Names the column.
    """
    if y.ndim != 2 or y.shape[1] != len(classes):
        raise ValueError(f"y must have {len(classes)} columns of labels, got shape {y.shape}")
    for number, (column, known) in enumerate(zip(y.T, classes, strict=True)):
        unknown = np.setdiff1d(column, known)
        if len(unknown):
            raise ValueError(f"column {number} of y has classes {unknown} that are not in classes_[{number}], {known}")


def indicators_of_columns(y, classes):
    """The indicators of all columns, one after the other, as CSR.

    Parameters
    ----------
    y : ndarray of shape (n, n_columns)
    classes : list of ndarray

    Returns
    -------
    csr_array of int8, of shape (n, number of all classes)
    """
    starts = np.cumsum([0, *map(len, classes)])
    indices = np.column_stack(
        [start + np.searchsorted(c, column) for start, c, column in zip(starts, classes, y.T, strict=False)]
    ).ravel()
    indptr = np.arange(0, y.size + 1, y.shape[1])
    return sparse.csr_array((np.ones(y.size, np.int8), indices, indptr), shape=(len(y), starts[-1]))


def check_class_weight(class_weight, form, incremental):
    """Check that a `class_weight` fits the form of y.

    Parameters
    ----------
    class_weight : dict, list of dict, "balanced" or None
    form : str
    incremental : bool
        Whether this is `partial_fit`.

    Raises
    ------
    ValueError
    """
    if class_weight is None:
        return
    if incremental and class_weight == "balanced":
        raise ValueError(
            "class_weight='balanced' is not supported by partial_fit, which does not know the classes of all rows. "
            "Give a dict, for instance of what sklearn.utils.class_weight.compute_class_weight returns, or "
            "sample_weight."
        )
    if isinstance(class_weight, list) and not all(isinstance(weights, dict) for weights in class_weight):
        raise ValueError(f"class_weight must hold dicts, one for each column of y, got {class_weight!r}")
    if form in (INDICATORS, PROBABILITIES):
        raise ValueError(
            f"class_weight is for rows with one class each, and y holds {IN_WORDS[form]}; give sample_weight, got "
            f"class_weight={class_weight!r}"
        )
    if (form == COLUMNS) != isinstance(class_weight, list) and class_weight != "balanced":
        wanted = "a list of dicts, one for each column," if form == COLUMNS else "a dict"
        raise ValueError(
            f"class_weight must be {wanted} or 'balanced' for a y with {IN_WORDS[form]}, got {class_weight!r}"
        )


def weights_of_rows(class_weight, form, classes, y, y_train):
    """The weight that each row has by its class.

    Parameters
    ----------
    class_weight : dict, list of dict or "balanced"
        See `check_class_weight`.
    form : str
        ``LABELS`` or ``COLUMNS``.
    classes : ndarray or list of ndarray
        Known to the model.
    y : ndarray of shape (n,) or (n, n_columns)
    y_train : ndarray of shape (n_train,) or (n_train, n_columns), or LabelCounts
        The classes that "balanced" counts.

    Returns
    -------
    ndarray of shape (n,)

    Raises
    ------
    ValueError
        For weights that are negative or no numbers, or another number of dicts than columns.
    """
    if form == COLUMNS:  # the product over the columns, as in scikit-learn's forests
        n = len(classes)
        of_columns = class_weight if isinstance(class_weight, list) else [class_weight] * n
        if len(of_columns) != n:
            raise ValueError(f"class_weight must have a dict for each of the {n} columns of y, got {class_weight!r}")
        columns = zip(of_columns, classes, y.T, y_train.T, strict=True)
        weights = np.prod([weights_of_column(*column) for column in columns], axis=0)
    else:
        weights = weights_of_column(class_weight, classes, y, y_train)
    if (weights < 0).any() or not np.isfinite(weights).all():
        raise ValueError(f"class_weight must hold finite numbers that are not negative, got {class_weight!r}")
    return weights


def weights_of_column(class_weight, classes, y, y_train):
    """The weight of each label in y; 1 of a class that "balanced" cannot count. For `y_train` see `LabelCounts`."""
    if isinstance(y_train, LabelCounts):
        if class_weight == "balanced":
            return y_train.balanced()[np.searchsorted(classes, y)]
        y_train = classes
    for label, weight in class_weight.items() if isinstance(class_weight, dict) else ():
        if not isinstance(weight, Real):
            raise ValueError(f"class_weight must hold numbers, got {weight!r} for the class {label!r}")
    weights = np.ones(len(classes))
    counted = np.isin(classes, y_train) if class_weight == "balanced" else np.full(len(classes), True)
    weights[counted] = compute_class_weight(class_weight, classes=classes[counted], y=y_train)
    return weights[np.searchsorted(classes, y)]
