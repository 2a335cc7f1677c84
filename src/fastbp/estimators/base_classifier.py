"""What the classifier makes of its y: forms, classes, and the way between labels and the network's targets."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import issparse
from sklearn.preprocessing import LabelBinarizer
from sklearn.utils import column_or_1d
from sklearn.utils.multiclass import type_of_target

from fastbp.checks import checked_indicator
from fastbp.compatibility import check_partial_fit_first_call
from fastbp.data import check_sparse, checked_sparse, indicator_csr
from fastbp.estimators.base import BaseMLP
from fastbp.estimators.class_targets import (
    COLUMNS,
    IN_WORDS,
    INDICATORS,
    LABELS,
    PROBABILITIES,
    check_class_weight,
    check_columns,
    check_labels,
    check_numbers_of_columns,
    check_probabilities,
    check_sorted,
    classes_of_columns,
    form_of,
    indicators_of_columns,
    is_list_of_lists,
    is_same_classes,
    label_array,
    labels_of_columns,
    shape_in_words,
)
from fastbp.estimators.inputs import validated
from fastbp.estimators.labels import fitted_binarizer, labels_of, labels_of_output, numbers_of_labels
from fastbp.estimators.more_classes import extend_output, extended_classes, lacks_known, sources_of_units
from fastbp.estimators.numeric import check_numeric


class BaseClassifier(BaseMLP):
    """Base of MLPClassifier; not to be used itself."""

    classes_: NDArray[Any] | list[NDArray[Any]]
    class_weight: dict[Any, float] | list[dict[Any, float]] | str | None  # a field of MLPClassifier

    _form = LABELS  # of y, until `fit` learns another

    def _check(self, X, y, reset):
        X = checked_sparse("X", X)
        check_numeric("X", X)
        if issparse(y):
            y = checked_indicator(y)
        elif isinstance(y, (list, tuple)):
            y = label_array("y", y)
        X, y = validated(self, X, y, multi_output=True, reset=reset)
        if y.dtype == object and any(label is None for label in y.flat):
            raise ValueError("Input y contains None: drop the rows without a label")
        if y.ndim == 2 and y.shape[1] == 1:
            y = column_or_1d(y, warn=True)
        return X, y

    def _learn_targets(self, y, incremental, continues, labels=None) -> None:
        announced = vars(self).pop("_announced_classes", None)
        is_known = hasattr(self, "classes_") and continues
        if is_known and announced is not None and not is_same_classes(announced, self.classes_):
            raise ValueError(
                f"classes must be those of the fitted model, {self.classes_}, got {announced!r}: leave it out, or fit "
                "anew with warm_start=False"
            )
        if not is_known:
            self._learn_form(y, announced, labels)
        elif self._form in (PROBABILITIES, COLUMNS):
            self._check_targets(y)
        else:
            classes = self._labels_in(y) if labels is None else labels.classes
            if self.warm_start and set(classes) != set(self.classes_):
                raise ValueError(
                    "warm_start can only be used where `y` has the same classes as in the previous call to fit. "
                    f"Previously got {self.classes_}, `y` has {classes}"
                )
            self._check_classes(classes)
        check_class_weight(self.class_weight, self._form, incremental)

    def _learn_form(self, y, classes, labels=None) -> None:
        """Note the form of y and its classes; `classes` are those that the user gave, or None. `labels` has the labels
        of all rows where y is a part of them."""
        form = form_of(y, classes)
        check_labels("classes", classes)
        if classes is not None and form == LABELS:
            raise ValueError("classes is for a y of two dimensions, got a y with one label for each row: leave it out")
        self._form = PROBABILITIES if classes is not None and form == INDICATORS else form
        if self._form == COLUMNS:
            self.classes_ = classes_of_columns(y, classes)
            check_columns(y, self.classes_)
            return
        if self._form == PROBABILITIES:
            names = np.arange(y.shape[1]) if classes is None else np.asarray(classes)
            check_probabilities(y, len(names))
            check_sorted(names)
        elif y.ndim == 1 and labels is not None:
            y = labels.classes
        self._label_binarizer = fitted_binarizer(names if self._form == PROBABILITIES else y)
        self.classes_ = self._label_binarizer.classes_

    def _labels_in(self, y):
        """The labels that a validated y of labels or indicators holds."""
        self._check_form(y)
        return labels_of(y)

    def _check_form(self, y) -> None:
        """ValueError for a y of another form than the one that the model has learned from."""
        learned = self._form
        came = LABELS if y.ndim == 1 else form_of(y) if learned == LABELS else learned
        if came != learned:
            raise ValueError(
                f"y holds {IN_WORDS[came]}, and the model has learned from {IN_WORDS[learned]}. Bring y in the form "
                "that was learned first, or fit a new estimator."
            )

    def _check_targets(self, y) -> None:
        if self._form == PROBABILITIES:
            self._check_form(y)
            check_probabilities(y, len(self.classes_))
        elif self._form == COLUMNS:
            self._check_form(y)
            check_columns(y, self.classes_)
        else:
            self._check_classes(self._labels_in(y))

    def _check_classes(self, classes) -> None:
        """ValueError for labels that the model does not know."""
        if len(np.setdiff1d(classes, self.classes_, assume_unique=True)):
            raise ValueError(
                f"`y` has classes not in `self.classes_`. `self.classes_` has {self.classes_}. 'y' has {classes}."
            )

    def _learn_classes(self, y, classes) -> None:
        """Note the classes that partial_fit is given: all of them in the first call, and later ones that are new."""
        check_sparse("y", y)
        check_labels("classes", classes)
        if getattr(getattr(y, "dtype", None), "kind", None) == "O":
            check_labels("y", y)
        if hasattr(self, "classes_") and self._form != COLUMNS and is_list_of_lists(classes):
            raise ValueError(f"classes must have shape (n_classes,), got a list of lists, {classes!r}")
        if classes is not None and hasattr(self, "classes_"):
            self._extend_classes(classes)
        if self._learn_classes_of_two_dimensions(y, classes):
            return
        if is_list_of_lists(classes) or (np.ndim(classes) > 1 and not type_of_target(y).startswith("multilabel")):
            raise ValueError(
                f"classes must have shape (n_classes,), got {shape_in_words(classes)}; give numpy.unique of all labels"
            )
        if check_partial_fit_first_call(self, classes):
            multilabel = type_of_target(y).startswith("multilabel")
            self._form = INDICATORS if multilabel else LABELS
            self._label_binarizer = LabelBinarizer().fit(y if multilabel else classes)
            if multilabel:
                check_numbers_of_columns(self.classes_, len(self._label_binarizer.classes_))

    def _extend_classes(self, classes) -> None:
        """Give the fitted network units for the classes that are new. ValueError where `classes` lack some that it
        knows; where they are of another form, nothing is done: an error follows."""
        if lacks_known(self._form, self.classes_, classes):
            raise ValueError(
                f"`classes={classes}` is not the same as on last call to partial_fit, was: {self.classes_}. New "
                "classes may be added, but the old ones must be named too."
            )
        after = extended_classes(self._form, self.classes_, classes)
        if after is None:
            return
        sources = sources_of_units(self._form, self.classes_, after)
        self.classes_ = after
        if self._form != COLUMNS:
            labels = np.eye(len(after), dtype=int) if self._form == INDICATORS else after
            self._label_binarizer = LabelBinarizer().fit(labels)
        extend_output(self, sources)

    def _learn_classes_of_two_dimensions(self, y, classes) -> bool:
        """Note the classes of the first call of partial_fit, where y has probabilities or several columns. False where
        it has not."""
        y = y if hasattr(y, "ndim") else label_array("y", y)
        is_fitted = hasattr(self, "classes_")
        form = self._form if is_fitted else form_of(y, classes)
        if form not in (PROBABILITIES, COLUMNS):
            return False
        if not is_fitted:
            if classes is None:
                raise ValueError("classes must be passed on the first call to partial_fit.")
            self._announced_classes = classes
        elif classes is not None and not is_same_classes(classes, self.classes_):
            raise ValueError(
                f"`classes={classes}` is not the same as on last call to partial_fit, was: {self.classes_}"
            )
        return True

    def _encode(self, y, dtype):
        """Class numbers of shape (n,) for a softmax output; for several labels, where the ones are; else indicators of
        shape (n, 1). Probabilities as they are, of two classes those of the second one."""
        if self._form == COLUMNS:
            return indicators_of_columns(y, self.classes_)
        if self._form == PROBABILITIES:
            return np.ascontiguousarray(y[:, 1:] if len(self.classes_) == 2 else y, dtype)
        if self._label_binarizer.y_type_ == "multiclass":
            return numbers_of_labels(y, self.classes_)
        if self._label_binarizer.y_type_ == "multilabel-indicator":
            if y.ndim != 2 or y.shape[1] != len(self.classes_):
                raise ValueError(f"y must be an indicator matrix of {len(self.classes_)} labels, got shape {y.shape}")
            return indicator_csr(y)
        if len(self.classes_) == 1:
            return np.zeros((len(y), 1), dtype)
        return (y == self.classes_[1]).astype(dtype)[:, None]

    def _stratified(self, targets):
        # as bool: scikit-learn's messages about too small classes name True and False
        return targets.astype(bool) if self.n_outputs_ == 1 and self._form != PROBABILITIES else None

    def _untrained_classes(self, targets, train):
        if self._form == PROBABILITIES:
            return ()
        if targets.ndim == 2 and self.n_outputs_ == 1:
            targets = targets.ravel().astype(np.int64)
        if targets.ndim == 1:
            n_classes = len(self.classes_)
            counts, trained = (np.bincount(t, minlength=n_classes) for t in (targets, targets[train]))
        else:
            counts, trained = np.asarray(targets.sum(axis=0)), np.asarray(targets[train].sum(axis=0))
        classes = np.concatenate(self.classes_) if self._form == COLUMNS else self.classes_
        return classes[(counts > 0) & (trained == 0)]

    def _score_is_constant(self, y) -> bool:
        return False

    def _scored(self, predictions):
        return predictions

    def _true_values(self, y):
        return self.classes_[np.argmax(y, axis=1)] if self._form == PROBABILITIES else y

    def _decode(self, output):
        if self._form == COLUMNS:
            parts = self._fitted_loss.columns(output)
            return labels_of_columns([part.argmax(axis=1) for part in parts], self.classes_)
        return labels_of_output(self._label_binarizer, output)
