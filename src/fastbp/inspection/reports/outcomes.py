"""Predictions beside the truth: a part for each target."""

from dataclasses import dataclass, field

import numpy as np
from scipy import sparse
from scipy.stats import norm
from sklearn.base import is_classifier

from fastbp.estimators.class_targets import COLUMNS, INDICATORS, LABELS, PROBABILITIES
from fastbp.estimators.encoder import MLPEncoder
from fastbp.losses import Gaussian
from fastbp.losses.regression import Quantile

#: The classes of a label that a row has or has not
NO_YES = ["no", "yes"]

#: The shares of rows that intervals should cover
LEVELS = (0.5, 0.6, 0.7, 0.8, 0.9, 0.95)


@dataclass(frozen=True, eq=False)
class ClassPart:
    """A target with classes.

    Attributes
    ----------
    name : str
        "" if there is only one target.
    classes : list of str
    true, predicted : ndarray of int of shape (n,)
        Numbers of classes.
    probabilities : ndarray of shape (n, n_classes)
    """

    name: str
    classes: list
    true: np.ndarray
    predicted: np.ndarray
    probabilities: np.ndarray


@dataclass(frozen=True, eq=False)
class NumberPart:
    """A target with numbers.

    Attributes
    ----------
    name : str
        "" if there is only one target.
    true, predicted : ndarray of shape (n,)
    """

    name: str
    true: np.ndarray
    predicted: np.ndarray


@dataclass(frozen=True, eq=False)
class Coverage:
    """How many rows lie in what should hold a certain share of them.

    Attributes
    ----------
    what : str
        What should hold them, in words.
    expected : ndarray of shape (k,)
    observed : ndarray of shape (k,)
    """

    what: str
    expected: np.ndarray
    observed: np.ndarray


@dataclass(frozen=True, eq=False)
class Outcome:
    """What a model predicts for some rows.

    Attributes
    ----------
    parts : list of ClassPart or NumberPart
        Without those that are not finite.
    coverage : Coverage or None
    failure : str or None
        Why there are no predictions.
    """

    parts: list = field(default_factory=list)
    coverage: Coverage | None = None
    failure: str | None = None

    @property
    def varies(self):
        """bool: whether the truth differs between rows, so that a constant prediction cannot be right in all."""
        return any((part.true != part.true[0]).any() for part in self.parts)

    @property
    def has_classes(self):
        """bool: whether the targets are classes."""
        return bool(self.parts) and isinstance(self.parts[0], ClassPart)


def outcome_of(subject):
    """The predictions of a Subject beside its targets: Outcome."""
    try:
        if is_classifier(subject.model):
            return Outcome(class_parts(subject))
        parts = number_parts(subject)
        coverage = None if isinstance(subject.model, MLPEncoder) else coverage_of(subject)
    except ValueError as error:  # a classifier refuses to predict what is not a number
        if "not a number" not in str(error):
            raise
        return Outcome(failure=str(error))
    if not all(np.isfinite(part.predicted).all() for part in parts):
        return Outcome(failure="Some predictions are infinite or not a number.")
    return Outcome(parts, coverage)


def class_parts(subject):
    """The parts of a classifier."""
    estimator, model, y = subject.estimator, subject.model, subject.y
    predicted, probabilities = estimator.predict(subject.X), estimator.predict_proba(subject.X)
    predicted, y = (values.toarray() if sparse.issparse(values) else values for values in (predicted, y))
    form = getattr(model, "_form", LABELS)
    if form == COLUMNS:
        return [
            class_part(name, model.classes_[i], y[:, i], predicted[:, i], probabilities[i])
            for i, name in enumerate(names_of(subject, len(model.classes_), "column"))
        ]
    if form == INDICATORS:
        p = np.stack([1 - probabilities, probabilities], axis=2)
        return [
            class_part(name, np.array([0, 1]), y[:, i], predicted[:, i], p[:, i], NO_YES)
            for i, name in enumerate(names_of(subject, y.shape[1], "label"))
        ]
    if form == PROBABILITIES:
        y = model._true_values(y)
    return [class_part("", model.classes_, y, predicted, probabilities)]


def class_part(name, classes, true, predicted, probabilities, names=None):
    """A part, of which labels become numbers of classes."""
    codes = [np.searchsorted(classes, np.asarray(labels).astype(classes.dtype)) for labels in (true, predicted)]
    return ClassPart(name, names or [str(label) for label in classes.tolist()], *codes, np.asarray(probabilities))


def names_of(subject, n, what):
    """The names of the columns of y."""
    names = subject.target_names
    return names if names is not None and len(names) == n else [f"{what} {i + 1}" for i in range(n)]


def number_parts(subject):
    """The parts of a regressor, or of an autoencoder."""
    model = subject.model
    if isinstance(model, MLPEncoder):
        true = np.asarray(subject.X_model, np.float64)
        predicted, names = model.inverse_transform(model.transform(subject.X_model)), subject.model_names
    else:
        predicted, true = subject.estimator.predict(subject.X), np.asarray(subject.y, np.float64)
        predicted = model._scored(predicted) if hasattr(model, "_scored") else predicted
        names = None
    true, predicted = true.reshape(len(true), -1), np.asarray(predicted, np.float64).reshape(len(true), -1)
    n = true.shape[1]
    names = [""] if n == 1 else names or names_of(subject, n, "output")
    return [NumberPart(name, true[:, i], predicted[:, i]) for i, name in enumerate(names)]


def coverage_of(subject):
    """Coverage of the quantiles or intervals that a regressor predicts; None if it predicts none."""
    model, weight = subject.model, subject.sample_weight
    loss, y = getattr(model, "_fitted_loss", None), np.asarray(subject.y_model, np.float64)

    def share(is_inside):
        return float(np.average(is_inside.reshape(len(y), -1).mean(axis=1), weights=weight))

    if isinstance(loss, Quantile) and loss.quantile != 0.5:
        columns = np.asarray(model.predict(subject.X_model)).reshape(len(y), -1)
        columns = columns.T[:, :, None] if loss._is_list else columns[None]
        observed = [share(y.reshape(len(y), -1) <= column) for column in columns]
        return Coverage("below the predicted quantile", np.array(loss.constants), np.array(observed))
    if isinstance(loss, Gaussian):
        mean, std = model.predict(subject.X_model, return_std=True)
        observed = [share(np.abs(y - mean) <= norm.ppf((1 + level) / 2) * std) for level in LEVELS]
        return Coverage("in the predicted interval", np.array(LEVELS), np.array(observed))
    if hasattr(model, "predict_interval"):
        expected, observed = [], []
        for level in LEVELS:
            try:
                low, high = model.predict_interval(subject.X_model, coverage=level)
            except ValueError:  # too few out-of-bag rows for this level
                continue
            expected.append(level)
            observed.append(share((low <= y) & (y <= high)))
        return Coverage("in the predicted interval", np.array(expected), np.array(observed)) if expected else None
    return None
