"""The classifier."""

from collections.abc import Callable
from dataclasses import KW_ONLY
from os import PathLike
from typing import Any, Never, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import issparse, sparray, spmatrix
from scipy.special import log_expit
from sklearn.metrics import accuracy_score

from fastbp.activations import Activation, name_of
from fastbp.compatibility import ClassifierMixin, StrOptions, available_if, checked_sample_weight, fit_context
from fastbp.data import check_sparse
from fastbp.estimators.base import LOSS_CURVE_LIMIT
from fastbp.estimators.base_classifier import BaseClassifier
from fastbp.estimators.class_targets import (
    COLUMNS,
    IN_WORDS,
    LABELS,
    PROBABILITIES,
    check_labels,
    check_probabilities,
    weights_of_rows,
)
from fastbp.estimators.docs import FUNCTION_LOSS, documented
from fastbp.estimators.labels import are_surely_labels
from fastbp.estimators.numeric import check_numeric
from fastbp.estimators.parameters import parameter_of
from fastbp.estimators.rows import RowsInMemory
from fastbp.estimators.signatures import hide_unexpected, reject_unexpected
from fastbp.estimators.validation import GivenRows
from fastbp.kernels.activations import activation_forward
from fastbp.kernels.predictor import all_finite
from fastbp.losses import LogLoss, Loss, MultiOutputLogLoss
from fastbp.parametrized import NameOrObject, parameter, parametrized


def log_logistic(z):
    """The logarithm of the logistic function: of its value where that is above 1/2, so that the order of probabilities
    that round to 1 is that of `predict_proba`; else from `z`, where the value may round to 0."""
    return np.log(activation_forward(z, "logistic"), out=log_expit(z), where=z > 0)


def accuracy(y, predictions, sample_weight=None):
    """scikit-learn's `accuracy_score`; of class labels without its checks, which take longer than a short epoch. Of
    several columns of labels, which it does not take, the share of rows in which all are right."""
    if issparse(y) or issparse(predictions):
        return accuracy_score(y, predictions, sample_weight=sample_weight)
    right = y == predictions
    return np.average(right if y.ndim == 1 else right.all(axis=1), weights=sample_weight)


@documented(LOSS_CURVE_LIMIT)
@parametrized(eq=False)
class MLPClassifier(ClassifierMixin, BaseClassifier):
    """Multi-layer perceptron classifier: log-loss, trained by Adam, gradient descent or L-BFGS.

    A drop-in replacement of ``sklearn.neural_network.MLPClassifier``: same parameters, same results, sooner.

    Parameters
    ----------
    {parameters}

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,), or list of them
        The class labels; for several columns of labels those of each column.

    {attributes}

    Notes
    -----
    The output activation is softmax for more than two classes, else logistic; for multilabel targets one logistic
    unit for each label. For several columns of labels the output is raw, and softmax is part of the loss. float64 input
    is computed in float64, float32 in float32, unless `dtype` is given.

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

    loss: str | Loss | Callable[..., Any] = parameter(
        "log_loss",
        [NameOrObject(("log_loss", "focal"), Loss), callable],
        "{'log_loss', 'focal'}, LogLoss, Focal or callable",
        "The log-loss; the focal loss, for which rows that are easy to classify count less; or a function\n"
        + FUNCTION_LOSS,
    )

    output_activation: str | Activation = parameter(
        "auto",
        [NameOrObject(("auto", "logistic", "softmax"), Activation)],
        None,
        "Activation of the output layer; 'auto' is the one that belongs to the targets, and no other is accepted.",
    )

    label_smoothing: float = parameter_of(LogLoss, "label_smoothing")

    class_weight: dict[Any, float] | list[dict[Any, float]] | str | None = parameter(
        None,
        [dict, list, StrOptions({"balanced"}), None],
        "dict, list of dict, 'balanced' or None",
        """
        Weights of the classes, as ``{label: weight}``; a class that is not named has weight 1. Where labels are named
        that are no classes (yet, for `partial_fit`), all classes must be named. The sample weights are multiplied by
        the weights, also those of the rows to validate on, held out or given as `X_val`: their scores and losses weigh
        the classes as the training loss does. 'balanced' is ``n_samples / (n_classes * count of the class)`` in
        y, which `partial_fit` cannot know and refuses. For several columns of labels a list with a dict for each
        column; weights of a row are multiplied. Not for indicators of several labels, nor for rows of probabilities.
        (King and Zeng, 2001, Logistic regression in rare events data, Political Analysis 9.)""",
    )

    _score_function = staticmethod(accuracy)

    @property
    def _network_loss(self):
        """The loss as `Network` takes it; ValueError where it does not fit the other parameters or the form of y."""
        loss, smoothing = self.loss, self.label_smoothing
        if smoothing and loss != LogLoss.name:
            raise ValueError(
                f"label_smoothing={smoothing!r} is for loss='log_loss', got loss={loss!r}. An object has its own: "
                "loss=LogLoss(label_smoothing=0.1), with label_smoothing=0.0."
            )
        if self._form == COLUMNS:
            if loss != LogLoss.name and not isinstance(loss, LogLoss):
                raise ValueError(f"loss must be 'log_loss' for several columns of labels, got {loss!r}")
            return MultiOutputLogLoss(getattr(loss, "label_smoothing", smoothing), [len(c) for c in self.classes_])
        return LogLoss(smoothing) if smoothing else loss

    def _weighted_by_class(self, y, sample_weight, y_train, may_be_zero=False):
        if self.class_weight is None:
            return sample_weight
        weights = weights_of_rows(self.class_weight, self._form, self.classes_, y, y_train)
        counted = weights if sample_weight is None else weights[sample_weight > 0]
        if len(counted) and not counted.any() and not may_be_zero:
            rows = "every row" if sample_weight is None else "every row with a sample weight above zero"
            raise ValueError(
                f"class_weight={self.class_weight!r} gives {rows} a weight of zero: give a class that y has a weight "
                "above zero"
            )
        return weights if sample_weight is None else sample_weight * weights

    def _output_activation(self):
        if self._form == COLUMNS:
            y_type, name = IN_WORDS[COLUMNS], "identity"
        else:
            y_type = self._label_binarizer.y_type_
            name = "softmax" if y_type == "multiclass" else "logistic"
        if self.output_activation != "auto" and name_of(self.output_activation) != name:
            raise ValueError(
                f"output_activation must be 'auto' or {name!r} for {y_type} targets, got {self.output_activation!r}"
            )
        return name

    @fit_context(prefer_skip_nested_validation=True)
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
        classes: ArrayLike | list[ArrayLike] | None = None,
        resume_from: str | PathLike[str] | Self | None = None,
        **others: Never,
    ) -> Self:
        """Fit the model to X and y.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)
            An np.memmap is not copied, whatever its dtype and layout: what is not float32 or float64 in C order is
            converted batch by batch, and gives the model of ``numpy.array(X)``. In memory come the rows that
            `early_stopping` holds out; with 'lbfgs' and batch normalization, the values of all layers for all rows.
        y : array-like of shape (n_samples,), (n_samples, n_labels), (n_samples, n_classes) or (n_samples, n_columns)
            Class labels; or of two dimensions one of three forms, which follows from the values:

            - only two different whole numbers: indicators of several labels for each row;
            - some numbers are not whole: rows of probabilities, one for each class, in [0, 1] and with the sum 1;
            - text, or more than two different whole numbers: several columns of labels, one softmax for each.
        sample_weight : array-like of shape (n_samples,), default=None
            Not negative.
        X_val : array-like or sparse matrix of shape (n_val, n_features), default=None
            Rows to validate on after each epoch. With `early_stopping` they take the place of held-out rows; without,
            their scores are only recorded. In a pipeline, ``Pipeline(..., transform_input=["X_val"])`` transforms them
            as X. Not with 'lbfgs'.
        y_val : array-like of shape (n_val,) or (n_val, n_labels), default=None
            Their targets; a class that y does not have is an error.
        sample_weight_val : array-like of shape (n_val,), default=None
            Their weights, which `class_weight` multiplies; without, all count alike.
        classes : array-like of shape (n_classes,) or list of them, default=None
            For a y of two dimensions. Labels in sorted order: y has rows of probabilities of these classes, even where
            all are 0 or 1. A list of lists: y has columns of labels, and these are the classes of each, even where y
            has two different numbers only. None: the form follows from the values as above, and classes are numbered
            from 0.
        resume_from : str, path, fitted estimator or None, default=None
            A file that `fastbp.callbacks.Checkpoint` has saved, or the estimator loaded from it: the run goes on from
            there, and comes to the model of the uninterrupted run, to the last bit. X, y and the other arguments must
            be those of that run, and the parameters too, but for `callbacks`, `max_time`, `max_fun`, `n_threads`,
            `verbose`, `init_from` and `warm_start`, which have no effect on what follows; for `random_state`, unless it
            is an int; and for `max_iter`, unless `learning_rate`, `swa_start` or `warmup` depends on it. A RandomState
            is set to the state that it had in the run; with None a generator of its own goes on. The callbacks should
            be those of the run: those that have a state get it back (see `fastbp.training.callbacks`). A run that was
            over gives its model at once. A path that ends in ".safetensors" is a model file of `fastbp.save`; any
            other one is a pickle: load it from sources that you trust only.

        Returns
        -------
        self : MLPClassifier

        Raises
        ------
        OSError, ValueError
            Of `resume_from`: if the file cannot be read, is no checkpoint, or is one of other data or parameters, which
            are named. The estimator is then as it was.
        """
        reject_unexpected(self, others)
        given = GivenRows(X_val, y_val, sample_weight_val)
        announce = None if classes is None else lambda model: setattr(model, "_announced_classes", classes)
        return self._fit(RowsInMemory(X, y, sample_weight), prepare=announce, given=given, resume_from=resume_from)

    @available_if(lambda self: self._check_solver())
    @fit_context(prefer_skip_nested_validation=True)
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
        y : array-like of shape (n_samples,), (n_samples, n_labels), (n_samples, n_classes) or (n_samples, n_columns)
            In one of the forms of `fit`. The first call decides which it is.
        sample_weight : array-like of shape (n_samples,), default=None
        classes : array-like of shape (n_classes,) or list of them, default=None
            All classes; needed on the first call. For columns of labels a list for each. A later call may add new ones,
            and has to name the old ones too, in any order. For rows of probabilities they are sorted, and for
            indicators the numbers of the columns.

        Returns
        -------
        self : MLPClassifier

        Notes
        -----
        For new classes the output layer gets new units. Their weights are drawn as initial weights (`weight_init`;
        those of 'data_dependent' are not adapted to data), and the optimizer's numbers for them are 0. All other
        weights, their averages and the optimizer's numbers for them stay as they are, so that the ratios between the
        probabilities of the old classes do too. Units are in the order of ``classes_``, which is sorted. Two classes
        have one logistic unit with the raw output z, and its probabilities are softmax((0, z)): with more classes it
        becomes the unit of the second class, and the unit of the first one begins with weights of 0. The unit of a
        single class, which tells nothing, is drawn anew.
        """
        return self._partial_fit(X, y, sample_weight, lambda model: model._learn_classes(y, classes))

    def predict(self, X: ArrayLike | sparray | spmatrix) -> NDArray[Any]:
        """The most probable class of each row, or of each column of labels; for multilabel models, every label with
        probability above 1/2.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)

        Returns
        -------
        y : ndarray of shape (n_samples,), (n_samples, n_labels) or (n_samples, n_columns)
        """
        model = self._snapshot()
        return model._decode(model._forward(X))

    def predict_proba(self, X: ArrayLike | sparray | spmatrix) -> NDArray[Any] | Any:
        """The probability of each class.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)

        Returns
        -------
        probabilities : ndarray of shape (n_samples, n_classes), or list of them
            In the order of ``classes_``; rows sum to 1, but for multilabel models. Where training has met one class
            only, one column of ones. For several columns of labels a list, as scikit-learn's forests return it.

        Raises
        ------
        ValueError
            If a probability is not a number, because X is too large or weights are not finite.
        """
        model = self._snapshot()
        output = model._forward(X)
        if model._form == COLUMNS:
            return model._fitted_loss.columns(model._fitted_loss.predictions(output))
        if output.shape[1] > 1:
            return output
        return np.ones_like(output) if len(model.classes_) == 1 else np.hstack([1 - output, output])

    def predict_log_proba(self, X: ArrayLike | sparray | spmatrix) -> NDArray[Any] | Any:
        """The logarithm of `predict_proba`, from the raw output: finite also where a probability rounds to 0.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)

        Returns
        -------
        log_probabilities : ndarray of shape (n_samples, n_classes), or list of them
        """
        model = self._snapshot()
        raw = model._forward(X, raw=True)
        if model._form == COLUMNS:
            return [model._log_softmax(np.ascontiguousarray(part)) for part in model._fitted_loss.columns(raw)]
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

    def _report_not_finite(self, output) -> None:
        if np.isnan(output).any():  # infinite raw predictions of probabilities 0 and 1 are fine
            raise ValueError(f"the network's output is not a number: {self._why_not_finite()}")

    def score(
        self,
        X: ArrayLike | sparray | spmatrix,
        y: ArrayLike | sparray | spmatrix,
        sample_weight: ArrayLike | None = None,
    ) -> float:
        """The accuracy on X and y; for several labels or columns, the share of rows in which all are right.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)
        y : array-like or sparse matrix of shape (n_samples,), (n_samples, n_labels) or (n_samples, n_columns)
            A model that was fitted to rows of probabilities also takes these: the most probable class counts.
        sample_weight : array-like of shape (n_samples,), default=None

        Returns
        -------
        float
        """
        check_sparse("y", y)
        if y is None:
            raise ValueError("y must be an array of labels, got None")
        if not issparse(y):
            check_labels("y", y)
        if sample_weight is not None:
            check_numeric("sample_weight", sample_weight)
            sample_weight = checked_sample_weight(sample_weight, X, allow_all_zero_weights=self._form != COLUMNS)
        if self._form == COLUMNS:
            y = np.asarray(y)
            if y.shape != (len(y), len(self.classes_)):
                raise ValueError(f"y must have {len(self.classes_)} columns of labels, got shape {y.shape}")
            return float(accuracy(y, self.predict(X), sample_weight))
        if self._form == PROBABILITIES and np.ndim(y) == 2:  # type: ignore[arg-type]
            y = np.asarray(y)
            check_probabilities(y, len(self.classes_))
            y = self._true_values(y)
        if sample_weight is None and self._form == LABELS and are_surely_labels(y, getattr(self, "classes_", None)):
            predictions = self.predict(X)
            if predictions.shape == np.shape(y):  # type: ignore[arg-type]
                return float(accuracy(y, predictions))
        with np.errstate(over="ignore", invalid="ignore"):  # huge numbers are no labels, and have an error
            return super().score(X, y, sample_weight)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        tags.target_tags.multi_output = True
        return tags
