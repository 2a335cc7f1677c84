"""The classifier."""

from collections.abc import Callable
from dataclasses import KW_ONLY
from typing import Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import sparray, spmatrix
from scipy.special import log_expit
from sklearn.base import ClassifierMixin, _fit_context
from sklearn.metrics import accuracy_score
from sklearn.preprocessing import LabelBinarizer
from sklearn.utils import column_or_1d
from sklearn.utils.metaestimators import available_if
from sklearn.utils.multiclass import _check_partial_fit_first_call, type_of_target, unique_labels

from fastbp.activations import Activation, name_of
from fastbp.data import check_sparse, indicator_csr
from fastbp.estimators.base import LOSS_CURVE_LIMIT, BaseMLP
from fastbp.estimators.docs import FUNCTION_LOSS, documented
from fastbp.estimators.inputs import validated
from fastbp.estimators.numeric import check_numeric
from fastbp.estimators.signatures import hide_unexpected, reject_unexpected
from fastbp.estimators.validation import GivenRows
from fastbp.estimators.weights import why_not_finite
from fastbp.kernels.activations import activation_forward
from fastbp.kernels.predictor import all_finite
from fastbp.losses import Loss
from fastbp.parametrized import NameOrObject, parameter, parametrized


def log_logistic(z):
    """The logarithm of the logistic function: of its value where that is above 1/2, so that the order of probabilities
    that round to 1 is that of `predict_proba`; else from `z`, where the value may round to 0."""
    return np.log(activation_forward(z, "logistic"), out=log_expit(z), where=z > 0)


def accuracy(y, predictions, sample_weight=None):
    """scikit-learn's `accuracy_score`; of class labels without its checks, which take longer than a short epoch."""
    if y.ndim == 1:
        return np.average(y == predictions, weights=sample_weight)
    return accuracy_score(y, predictions, sample_weight=sample_weight)


@documented(LOSS_CURVE_LIMIT)
@parametrized(eq=False)
class MLPClassifier(ClassifierMixin, BaseMLP):
    """Multi-layer perceptron classifier: log-loss, trained by Adam, gradient descent or L-BFGS.

    A drop-in replacement of ``sklearn.neural_network.MLPClassifier``: same parameters, same results, sooner.

    Parameters
    ----------
    {parameters}

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        The class labels.

    {attributes}

    Notes
    -----
    The output activation is softmax for more than two classes, else logistic; for multilabel targets one logistic
    unit for each label. float64 input is computed in float64, float32 in float32, unless `dtype` is given.

    References
    ----------
    Rumelhart, Hinton and Williams (1986), Learning representations by back-propagating errors, Nature 323.

    Glorot and Bengio (2010), Understanding the difficulty of training deep feedforward neural networks, AISTATS.

    Kingma and Ba (2015), Adam: a method for stochastic optimization, ICLR.

    Examples
    --------
    >>> from fastbp import MLPClassifier
    >>> from sklearn.datasets import make_classification
    >>> from sklearn.model_selection import train_test_split
    >>> X, y = make_classification(n_samples=100, random_state=1)
    >>> X_train, X_test, y_train, y_test = train_test_split(X, y, stratify=y, random_state=1)
    >>> classifier = MLPClassifier(random_state=1, max_iter=300).fit(X_train, y_train)
    >>> classifier.predict(X_test[:5])
    array([1, 0, 1, 0, 1])
    """

    _: KW_ONLY

    loss: str | Loss | Callable = parameter(
        "log_loss",
        [NameOrObject(("log_loss",), Loss), callable],
        "'log_loss', LogLoss or callable",
        "The log-loss, or a function\n" + FUNCTION_LOSS,
    )

    output_activation: str | Activation = parameter(
        "auto",
        [NameOrObject(("auto", "logistic", "softmax"), Activation)],
        None,
        "Activation of the output layer; 'auto' is the one that belongs to the targets, and no other is accepted.",
    )

    _score_function = staticmethod(accuracy)

    def _output_activation(self):
        y_type = self._label_binarizer.y_type_
        name = "softmax" if y_type == "multiclass" else "logistic"
        if self.output_activation != "auto" and name_of(self.output_activation) != name:
            raise ValueError(
                f"output_activation must be 'auto' or {name!r} for {y_type} targets, got {self.output_activation!r}"
            )
        return name

    def _check(self, X, y, reset):
        check_sparse("X", X)
        check_sparse("y", y)
        check_numeric("X", X)
        X, y = validated(self, X, y, multi_output=True, reset=reset)
        if y.dtype == object and any(label is None for label in y.flat):
            raise ValueError("Input y contains None: drop the rows without a label")
        if y.ndim == 2 and y.shape[1] == 1:
            y = column_or_1d(y, warn=True)
        return X, y

    def _learn_targets(self, y, incremental):
        if not hasattr(self, "classes_") or not (self.warm_start or incremental):
            self._label_binarizer = LabelBinarizer().fit(y)
            self.classes_ = self._label_binarizer.classes_
        else:
            classes = self._labels_in(y)
            if self.warm_start and set(classes) != set(self.classes_):
                raise ValueError(
                    "warm_start can only be used where `y` has the same classes as in the previous call to fit. "
                    f"Previously got {self.classes_}, `y` has {classes}"
                )
            self._check_classes(classes)

    def _labels_in(self, y):
        """The labels that a validated y holds; ValueError for indicators of several labels where the model has learned
        from labels, and the reverse."""
        forms = ("one label for each row", "indicators of several labels for each row")
        learned = self._label_binarizer.y_type_.startswith("multilabel")
        came = y.ndim == 2
        if came != learned:
            raise ValueError(
                f"y holds {forms[came]}, and the model has learned from {forms[learned]}. Bring y in the form that was "
                "learned first, or fit a new estimator."
            )
        return unique_labels(y)

    def _check_targets(self, y):
        self._check_classes(self._labels_in(y))

    def _check_classes(self, classes):
        """ValueError for labels that the model does not know."""
        if len(np.setdiff1d(classes, self.classes_, assume_unique=True)):
            raise ValueError(
                f"`y` has classes not in `self.classes_`. `self.classes_` has {self.classes_}. 'y' has {classes}."
            )

    def _learn_classes(self, y, classes):
        """Note the classes that the first call of partial_fit announces."""
        check_sparse("y", y)
        if np.ndim(classes) > 1 and not type_of_target(y).startswith("multilabel"):
            raise ValueError(
                f"classes must have shape (n_classes,), got {np.shape(classes)}; give numpy.unique of all labels"
            )
        if _check_partial_fit_first_call(self, classes):
            multilabel = type_of_target(y).startswith("multilabel")
            self._label_binarizer = LabelBinarizer().fit(y if multilabel else classes)
            if multilabel and not np.array_equal(self.classes_, self._label_binarizer.classes_):
                n_labels = len(self._label_binarizer.classes_)
                raise ValueError(
                    f"for indicators of {n_labels} labels, classes must be the columns of y, numpy.arange({n_labels}); "
                    f"got {classes}"
                )

    def _encode(self, y, dtype):
        """Class numbers of shape (n,) for a softmax output; for several labels, where the ones are; else indicators of
        shape (n, 1)."""
        if self._label_binarizer.y_type_ == "multiclass":
            return np.searchsorted(self.classes_, y)
        if self._label_binarizer.y_type_ == "multilabel-indicator":
            if y.ndim != 2 or y.shape[1] != len(self.classes_):
                raise ValueError(f"y must be an indicator matrix of {len(self.classes_)} labels, got shape {y.shape}")
            return indicator_csr(y)
        return self._label_binarizer.transform(y).astype(dtype)

    def _stratified(self, targets):
        # as bool: scikit-learn's messages about too small classes name True and False
        return targets.astype(bool) if self.n_outputs_ == 1 else None

    def _untrained_classes(self, targets, train):
        if targets.ndim == 2 and self.n_outputs_ == 1:
            targets = targets.ravel().astype(np.int64)
        if targets.ndim == 1:
            n_classes = len(self.classes_)
            counts, trained = (np.bincount(t, minlength=n_classes) for t in (targets, targets[train]))
        else:
            counts, trained = np.asarray(targets.sum(axis=0)), np.asarray(targets[train].sum(axis=0))
        return self.classes_[(counts > 0) & (trained == 0)]

    def _score_is_constant(self, y):
        return False

    def _scored(self, predictions):
        return predictions

    def _decode(self, output):
        if self.n_outputs_ == 1:
            output = output.ravel()
        return self._label_binarizer.inverse_transform(output)

    @_fit_context(prefer_skip_nested_validation=True)
    @hide_unexpected
    def fit(
        self,
        X: ArrayLike | sparray | spmatrix,
        y: ArrayLike,
        sample_weight: ArrayLike | None = None,
        *,
        X_val: ArrayLike | sparray | spmatrix | None = None,
        y_val: ArrayLike | None = None,
        sample_weight_val: ArrayLike | None = None,
        **others,
    ) -> Self:
        """Fit the model to X and y.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)
        y : array-like of shape (n_samples,) or (n_samples, n_labels)
            Class labels, or an indicator matrix of several labels.
        sample_weight : array-like of shape (n_samples,), default=None
            Not negative.
        X_val : array-like or sparse matrix of shape (n_val, n_features), default=None
            Rows to validate on after each epoch. With `early_stopping` they take the place of held-out rows; without,
            their scores are only recorded. In a pipeline, ``Pipeline(..., transform_input=["X_val"])`` transforms them
            as X. Not with 'lbfgs'.
        y_val : array-like of shape (n_val,) or (n_val, n_labels), default=None
            Their targets; a class that y does not have is an error.
        sample_weight_val : array-like of shape (n_val,), default=None
            Their weights; without, all count alike.

        Returns
        -------
        self : MLPClassifier
        """
        reject_unexpected(self, others)
        given = GivenRows(X_val, y_val, sample_weight_val)
        return self._fit(X, y, sample_weight, incremental=False, given=given)

    @available_if(lambda self: self._check_solver())
    @_fit_context(prefer_skip_nested_validation=True)
    def partial_fit(
        self,
        X: ArrayLike | sparray | spmatrix,
        y: ArrayLike,
        sample_weight: ArrayLike | None = None,
        classes: ArrayLike | None = None,
    ) -> Self:
        """Train for one epoch over the given rows, going on where the last call stopped.

        Calls for one estimator must come one after another: of two at the same time, in threads, the one that ends
        last wins, and what the other learned is lost. A `batch_size` above the number of rows is clipped; a warning
        comes with the first such call.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)
        y : array-like of shape (n_samples,) or (n_samples, n_labels)
        sample_weight : array-like of shape (n_samples,), default=None
        classes : array-like of shape (n_classes,), default=None
            All classes that any call will bring; needed on the first call.

        Returns
        -------
        self : MLPClassifier
        """
        return self._partial_fit(X, y, sample_weight, lambda model: model._learn_classes(y, classes))

    def predict(self, X: ArrayLike | sparray | spmatrix) -> NDArray:
        """The most probable class of each row; for multilabel models, every label with probability above 1/2.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)

        Returns
        -------
        y : ndarray of shape (n_samples,) or (n_samples, n_labels)
        """
        model = self._snapshot()
        return model._decode(model._forward(X))

    def predict_proba(self, X: ArrayLike | sparray | spmatrix) -> NDArray:
        """The probability of each class.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)

        Returns
        -------
        probabilities : ndarray of shape (n_samples, n_classes)
            In the order of ``classes_``; rows sum to 1, but for multilabel models. Where training has met one class
            only, one column of ones.

        Raises
        ------
        ValueError
            If a probability is not a number, because X is too large or weights are not finite.
        """
        model = self._snapshot()
        output = model._forward(X)
        if output.shape[1] > 1:
            return output
        return np.ones_like(output) if len(model.classes_) == 1 else np.hstack([1 - output, output])

    def predict_log_proba(self, X: ArrayLike | sparray | spmatrix) -> NDArray:
        """The logarithm of `predict_proba`, from the raw output: finite also where a probability rounds to 0.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)

        Returns
        -------
        log_probabilities : ndarray of shape (n_samples, n_classes)
        """
        model = self._snapshot()
        raw = model._forward(X, raw=True)
        if len(model.classes_) == 1:
            return np.zeros_like(raw)
        if model.out_activation_ == "softmax":
            return model._log_softmax(raw)
        return np.hstack([log_logistic(-raw), log_logistic(raw)]) if raw.shape[1] == 1 else log_logistic(raw)

    def _log_softmax(self, raw):
        """The logarithm of softmax, by the reductions themselves: for one row, the methods take twice as long."""
        with np.errstate(over="ignore", invalid="ignore"):  # _report_not_finite tells of them
            raw -= np.maximum.reduce(raw, axis=1, keepdims=True)
            raw -= np.log(np.add.reduce(np.exp(raw), axis=1, keepdims=True))
        if not all_finite(raw):
            self._report_not_finite(raw)
        return raw

    def _report_not_finite(self, output):
        if np.isnan(output).any():  # infinite raw predictions of probabilities 0 and 1 are fine
            raise ValueError(f"the network's output is not a number: {why_not_finite(self)}")

    def score(
        self,
        X: ArrayLike | sparray | spmatrix,
        y: ArrayLike | sparray | spmatrix,
        sample_weight: ArrayLike | None = None,
    ) -> float:
        """The accuracy on X and y; for multilabel models, the share of rows in which every label is right.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)
        y : array-like or sparse matrix of shape (n_samples,) or (n_samples, n_labels)
        sample_weight : array-like of shape (n_samples,), default=None

        Returns
        -------
        float
        """
        check_sparse("y", y)
        return super().score(X, y, sample_weight)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        return tags
