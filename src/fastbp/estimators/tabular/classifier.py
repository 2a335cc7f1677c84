"""The classifier for tables."""

from dataclasses import KW_ONLY
from numbers import Real
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.metrics import accuracy_score
from sklearn.preprocessing import LabelEncoder
from sklearn.utils import column_or_1d, compute_class_weight, compute_sample_weight
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_consistent_length

from fastbp.compatibility import ClassifierMixin, Interval, StrOptions, fit_context
from fastbp.estimators.class_targets import check_labels, label_array
from fastbp.estimators.classifier import MLPClassifier
from fastbp.estimators.label_counts import LabelSummary
from fastbp.estimators.tabular.base import OVERRIDES, BaseTabularMLP
from fastbp.estimators.tabular.columns import is_missing
from fastbp.estimators.tabular.combination import (
    best_temperature,
    log_loss,
    mixture_weights,
    n_effective,
    tempered,
    without_smoothing,
)
from fastbp.estimators.tabular.docs import documented
from fastbp.estimators.tabular.gradients import of_both_classes, of_tempered, of_unsmoothed
from fastbp.estimators.validation import GivenRows
from fastbp.parametrized import parameter, parametrized


@documented
@parametrized(eq=False)
class TabularMLPClassifier(ClassifierMixin, BaseTabularMLP):
    """Classifier for tables without tuning: an ensemble of multi-layer perceptrons that take a table as it comes.

    Columns may be numbers, strings, booleans, categories and dtypes with missing values, with missing values in any of
    them; X may be a data frame of pandas or polars, a table of Arrow, or an array. Numbers are scaled and embedded,
    categories encoded within the networks.

    Parameters
    ----------
    {parameters}

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        The class labels.

    temperature_ : float
        By which the logarithms of the probabilities are divided, so that they fit the frequencies of the classes in the
        out-of-bag rows; 1 without such rows. Each model has a temperature of its own besides, before they are mixed.

    oob_log_loss_ : float
        Log-loss of the out-of-bag rows, after calibration; NaN without them.

    {attributes}

    See Also
    --------
    TabularMLPRegressor : For numbers as targets.
    fastbp.MLPClassifier : A single network with all its parameters.

    Notes
    -----
    {notes}

    Examples
    --------
    >>> import numpy as np
    >>> from fastbp import TabularMLPClassifier
    >>> rng = np.random.RandomState(0)
    >>> X = np.column_stack([rng.rand(300), rng.choice(["red", "green", "blue"], 300)]).astype(object)
    >>> X[:, 0] = X[:, 0].astype(float)
    >>> y = np.where((X[:, 0] > 0.5) ^ (X[:, 1] == "red"), "yes", "no")
    >>> model = TabularMLPClassifier(preset="fast", random_state=0).fit(X, y)
    >>> float(model.score(X, y)) > 0.9
    True
    """

    _: KW_ONLY

    label_smoothing: float | None = parameter(
        None,
        [None, Interval(Real, 0, 1, closed="left")],
        "float or None",
        """
        Share of the targets that is spread evenly over all classes (Szegedy et al., 2016, Rethinking the Inception
        architecture for computer vision); its effect on the probabilities is undone. None for that of the preset.""",
    )

    class_weight: dict[Any, float] | str | None = parameter(
        None,
        [dict, StrOptions({"balanced"}), None],
        "dict, 'balanced' or None",
        """
        Weights of the classes, as ``{label: weight}``, by which the sample weights are multiplied; 'balanced' is
        ``n_samples / (n_classes * count of the class)``.""",
    )

    _overrides = (*OVERRIDES, "label_smoothing")
    _model_class = MLPClassifier
    _new_summary = LabelSummary

    def _check_y(self, y, X, is_known=False):
        if isinstance(y, (list, tuple)):
            y = label_array("y", y)
        labels = np.asarray(y)
        if labels.dtype == object and labels.ndim == 1 and any(map(is_missing, labels)):
            raise ValueError("Input y contains missing labels: drop the rows without a label")
        if not is_known:
            check_classification_targets(y)
        y = column_or_1d(y, warn=not is_known)
        check_consistent_length(X, y)
        return y

    @property
    def _kind(self) -> str:
        return "binary" if len(self.classes_) == 2 else "multiclass"

    def _learn_targets(self, y) -> None:
        self._labels = LabelEncoder().fit(y)
        self.classes_: NDArray[Any] = self._labels.classes_
        if len(self.classes_) < 2:
            raise ValueError(
                f"y has one class only, {self.classes_.tolist()[0]!r}: {type(self).__name__} needs at least 2 classes"
            )

    def _learn_summaries(self, all, weighted, classes):
        labels = all.labels
        check_labels("y", labels.classes)
        if classes is not None:
            check_labels("classes", classes)
            labels = labels.among(classes)
        self._learn_targets(labels.classes)
        weights, n_weighted = self._weights_of_classes(labels), weighted.labels.among(labels.classes).counts
        return int(n_weighted.sum() if weights is None else n_weighted[weights > 0].sum()), weights

    def _weights_of_classes(self, labels):
        """The weight of each class of a LabelCounts by `class_weight`, or None for None."""
        if self.class_weight is None:
            return None
        if self.class_weight == "balanced":
            return labels.balanced()
        return compute_class_weight(self.class_weight, classes=self.classes_, y=self.classes_)

    def _encode(self, y):
        return self._labels.transform(y)

    def _classes_of(self, targets):
        return targets

    def _weighted(self, y, sample_weight):
        if self.class_weight is None:
            return sample_weight
        weights = compute_sample_weight(self.class_weight, y)
        return weights if sample_weight is None else weights * sample_weight

    def _kept_rows(self, y, weight):
        return (weight > 0) | ~np.isin(y, y[weight > 0])  # a class that has no weight is a class still

    def _model_params(self, cycle):
        return {"label_smoothing": cycle.label_smoothing}

    def _model_output(self, model, X):
        return without_smoothing(model.predict_proba(X), model.label_smoothing)

    def _jacobian_of(self, number, X):
        model = self.estimators_[number]
        jacobian, probabilities = of_both_classes(model.network_.jacobian(X)), model.predict_proba(X)
        jacobian = of_unsmoothed(jacobian, probabilities, model.label_smoothing)
        probabilities = without_smoothing(probabilities, model.label_smoothing)
        return of_tempered(jacobian, probabilities, self._temperatures[number])

    def _weights_of_candidates(self, predictions, targets, sample_weight):
        n = n_effective(len(targets), sample_weight)
        return mixture_weights(predictions, lambda mean: log_loss(mean, targets, sample_weight), n)

    def _forget_calibration(self, n_models) -> None:
        self.temperature_: float = 1.0
        self.oob_log_loss_: float = np.nan
        self._temperatures = np.ones(n_models)

    def _calibrate_candidates(self, predictions, candidate_of_model, targets, sample_weight):
        # a candidate that was trained longer is more confident than another: each has a temperature before they mix
        of_candidates = np.array([best_temperature(p, targets, sample_weight) for p in predictions])
        self._temperatures = of_candidates[candidate_of_model]
        return np.stack([tempered(p, t) for p, t in zip(predictions, of_candidates, strict=True)])

    def _calibrated(self, number, output):
        return tempered(output, self._temperatures[number])

    def _keep(self, is_kept) -> None:
        super()._keep(is_kept)
        self._temperatures = self._temperatures[is_kept]

    def _calibrate(self, predictions, targets, sample_weight) -> None:
        self.temperature_ = best_temperature(predictions, targets, sample_weight)
        self.oob_log_loss_ = log_loss(tempered(predictions, self.temperature_), targets, sample_weight)

    def _score_encoded(self, predictions, targets, sample_weight):
        return accuracy_score(targets, predictions.argmax(axis=1), sample_weight=sample_weight)

    @fit_context(prefer_skip_nested_validation=True)
    def fit(
        self,
        X: ArrayLike,
        y: ArrayLike,
        sample_weight: ArrayLike | None = None,
        *,
        X_val: ArrayLike | None = None,
        y_val: ArrayLike | None = None,
        sample_weight_val: ArrayLike | None = None,
    ) -> Self:
        """Fit the members to X and y.

        Parameters
        ----------
        X : data frame or array-like of shape (n_samples, n_features)
        y : array-like of shape (n_samples,)
            Class labels.
        sample_weight : array-like of shape (n_samples,), default=None
            Not negative.
        X_val : data frame or array-like of shape (n_val, n_features), default=None
            Rows that take the place of the out-of-bag rows: all members are trained on all rows of X then.
        y_val : array-like of shape (n_val,), default=None
            Their labels; a class that y does not have is an error.
        sample_weight_val : array-like of shape (n_val,), default=None
            Their weights.

        Returns
        -------
        self : TabularMLPClassifier
        """
        return self._fit(X, y, sample_weight, GivenRows(X_val, y_val, sample_weight_val))

    def predict(self, X: ArrayLike) -> NDArray[Any]:
        """The most probable class of each row.

        Parameters
        ----------
        X : data frame or array-like of shape (n_samples, n_features)

        Returns
        -------
        ndarray of shape (n_samples,)
        """
        model = self._snapshot()
        return model.classes_[model._combined(model._encoded(X)).argmax(axis=1)]  # no temperature changes the order

    def predict_proba(self, X: ArrayLike) -> NDArray[Any]:
        """The probability of each class.

        Parameters
        ----------
        X : data frame or array-like of shape (n_samples, n_features)

        Returns
        -------
        ndarray of shape (n_samples, n_classes)
            In the order of ``classes_``; rows sum to 1.
        """
        model = self._snapshot()
        return tempered(model._combined(model._encoded(X)), model.temperature_)

    def predict_log_proba(self, X: ArrayLike) -> NDArray[Any]:
        """The logarithm of `predict_proba`.

        Parameters
        ----------
        X : data frame or array-like of shape (n_samples, n_features)

        Returns
        -------
        ndarray of shape (n_samples, n_classes)
        """
        with np.errstate(divide="ignore"):
            return np.log(self.predict_proba(X))

    def input_gradient(self, X: ArrayLike) -> NDArray[Any]:
        """The derivatives of the probabilities by the columns.

        Parameters
        ----------
        X : data frame or array-like of shape (n_samples, n_features)

        Returns
        -------
        ndarray of shape (n_samples, n_classes, n_features)
            For a unit of the column; NaN for categories.
        """
        model = self._snapshot()
        X = model._encoded(X)
        return of_tempered(model._jacobian(X), model._combined(X), model.temperature_)
