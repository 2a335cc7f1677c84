"""The regressor."""

import warnings
from collections.abc import Callable
from dataclasses import KW_ONLY
from os import PathLike
from textwrap import indent
from typing import Any, Literal, Never, Self, overload

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import issparse, sparray, spmatrix
from sklearn.metrics import r2_score
from sklearn.utils import column_or_1d

from fastbp.activations import ACTIVATIONS, Activation, name_of
from fastbp.compatibility import RegressorMixin, available_if, checked_sample_weight, fit_context
from fastbp.data import checked_sparse
from fastbp.estimators.base import LOSS_CURVE_LIMIT, BaseMLP
from fastbp.estimators.docs import FUNCTION_LOSS, documented
from fastbp.estimators.inputs import validated
from fastbp.estimators.numeric import check_numeric
from fastbp.estimators.rows import RowsInMemory
from fastbp.estimators.signatures import hide_unexpected, reject_unexpected
from fastbp.estimators.validation import GivenRows
from fastbp.losses import LOSSES, Gaussian, Loss, as_loss
from fastbp.losses.base import PROBABILITIES, as_text
from fastbp.parametrized import NameOrObject, parameter, parametrized

#: The losses whose targets are no probabilities
REGRESSION_LOSSES = {name: cls for name, cls in LOSSES.items() if cls.domain != PROBABILITIES}
#: What the output layer can be: softmax is for classes
OUTPUTS = ("auto", *(name for name in ACTIVATIONS if name != "softmax"))


@parametrized(eq=False)
class RegressionLoss:
    """The parameter `loss` of the regressor, which comes first: a dataclass begins with the fields of its last base."""

    loss: str | Loss | Callable[..., Any] = parameter(
        "squared_error",
        [NameOrObject(REGRESSION_LOSSES, Loss), callable],
        f"{{{', '.join(map(repr, REGRESSION_LOSSES))}}}, Loss or callable",
        "{names}\n- or a function\n" + indent(FUNCTION_LOSS, "  "),
        names=REGRESSION_LOSSES,
    )


@documented(LOSS_CURVE_LIMIT)
@parametrized(eq=False)
class MLPRegressor(RegressorMixin, BaseMLP, RegressionLoss):
    """Multi-layer perceptron regressor, trained by Adam, gradient descent or L-BFGS.

    A drop-in replacement of ``sklearn.neural_network.MLPRegressor``: same parameters, same results, sooner.

    Parameters
    ----------
    {parameters}

    Attributes
    ----------
    {attributes}

    Notes
    -----
    ``loss_`` and ``loss_curve_`` are means over the rows of the loss summed over the outputs, the penalty included.
    Only the squared error is the mean over the outputs besides, while the gradient that training follows is that of
    the sum. This is scikit-learn's convention (its issue 8349), kept so that curves compare.

    `score`, and by default the score of `early_stopping`, is R^2 for every loss. Early stopping for a quantile far from
    the median, or for 'gaussian', should watch the loss: ``scoring="loss"``.

    References
    ----------
    Rumelhart, Hinton and Williams (1986), Learning representations by back-propagating errors, Nature 323.

    Kingma and Ba (2015), Adam: a method for stochastic optimization, ICLR.

    Examples
    --------
    >>> from fastbp import MLPRegressor
    >>> from sklearn.datasets import make_regression
    >>> from sklearn.model_selection import train_test_split
    >>> X, y = make_regression(n_samples=200, n_features=20, random_state=1)
    >>> X_train, X_test, y_train, y_test = train_test_split(X, y, random_state=1)
    >>> regressor = MLPRegressor(random_state=1, max_iter=2000, tol=0.1)
    >>> regressor.fit(X_train, y_train)
    MLPRegressor(max_iter=2000, random_state=1, tol=0.1)
    >>> round(regressor.score(X_test, y_test), 2)
    0.98
    """

    _: KW_ONLY

    output_activation: str | Activation = parameter(
        "auto",
        [NameOrObject(OUTPUTS, Activation)],
        None,
        """
        Activation of the output layer; 'auto' is the one that belongs to the loss: 'exp' for 'poisson', 'gamma' and
        'tweedie', whose means must be positive, 'identity' for all others. 'gaussian' and a list of quantiles accept
        no other.""",
    )

    _score_function = staticmethod(r2_score)

    def _output_activation(self):
        loss = self._fitted_loss
        if self.output_activation == "auto":
            return loss.link
        name = name_of(self.output_activation)
        if not loss.accepts_output(name):
            accepted = tuple(output for output in OUTPUTS[1:] if loss.accepts_output(output))
            domain = "the link" if accepted == (loss.link,) else as_text(loss.mean_domain)
            raise ValueError(
                f"output_activation must be {domain} for loss={loss.name!r}: 'auto' or one of {accepted}; got {name!r}"
            )
        return name

    def _count_units(self, targets):
        return self._fitted_loss.n_units(targets.shape[1])

    def _check(self, X, y, reset):
        X = checked_sparse("X", X)
        if issparse(y):
            raise TypeError("y must be dense, got a sparse matrix; use y.toarray()")
        check_numeric("X", X)
        check_numeric("y", y)
        X, y = validated(self, X, y, multi_output=True, y_numeric=True, reset=reset)
        if y.ndim == 2 and y.shape[1] == 1:
            y = column_or_1d(y, warn=True)
        return X, y

    def _learn_targets(self, y, incremental, continues, labels=None) -> None:
        self._check_targets(y)

    def _weighted_by_class(self, y, sample_weight, y_train, may_be_zero=False):
        return sample_weight

    def _check_targets(self, y) -> None:
        as_loss(self.loss).check_targets(y)

    def _encode(self, y, dtype):
        """Numbers of shape (n, n_outputs)."""
        with np.errstate(over="ignore"):
            targets = y.astype(dtype).reshape(len(y), -1)
        if np.isnan(targets).any():  # None among objects
            raise ValueError("Input y contains NaN: drop the rows without a target")
        if not np.isfinite(targets).all():
            raise ValueError(f"y holds values too large for {dtype}, the dtype of X; scale y or pass X as float64")
        return targets

    def _stratified(self, targets) -> None:
        return None

    def _untrained_classes(self, targets, train):
        return ()

    def _score_is_constant(self, y):
        return bool((y == y[0]).all())  # R^2 is 0 then

    def _report_not_finite(self, output) -> None:
        warnings.warn(
            f"The prediction holds values that are not finite: {self._why_not_finite()}",
            RuntimeWarning,
            stacklevel=4,
        )

    def _scored(self, predictions):
        return self._fitted_loss.point_predictions(predictions)

    def _true_values(self, y):
        return y

    def _decode(self, output):
        if output.shape[1] > 1:
            output = self._fitted_loss.predictions(output)
        return output.ravel() if output.shape[1] == 1 else output

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
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
        sample_weight : array-like of shape (n_samples,), default=None
            Not negative.
        X_val : array-like or sparse matrix of shape (n_val, n_features), default=None
            Rows to validate on after each epoch. With `early_stopping` they take the place of held-out rows; without,
            their scores are only recorded. In a pipeline, ``Pipeline(..., transform_input=["X_val"])`` transforms them
            as X. Not with 'lbfgs'.
        y_val : array-like of shape (n_val,) or (n_val, n_outputs), default=None
            Their targets; a class that y does not have is an error.
        sample_weight_val : array-like of shape (n_val,), default=None
            Their weights; without, all count alike.
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
        self : MLPRegressor

        Raises
        ------
        OSError, ValueError
            Of `resume_from`: if the file cannot be read, is no checkpoint, or is one of other data or parameters, which
            are named. The estimator is then as it was.
        """
        reject_unexpected(self, others)
        given = GivenRows(X_val, y_val, sample_weight_val)
        return self._fit(RowsInMemory(X, y, sample_weight), given=given, resume_from=resume_from)

    @available_if(lambda self: self._check_solver())
    @fit_context(prefer_skip_nested_validation=True)
    def partial_fit(
        self, X: ArrayLike | sparray | spmatrix, y: ArrayLike, sample_weight: ArrayLike | None = None
    ) -> Self:
        """Train for one epoch over the given rows, going on where the last call stopped.

        Calls for one estimator must come one after another: of two at the same time, in threads, the one that ends
        last wins, and what the other learned is lost. A `batch_size` above the number of rows is clipped; a warning
        comes with the first such call.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
        sample_weight : array-like of shape (n_samples,), default=None

        Returns
        -------
        self : MLPRegressor
        """
        return self._partial_fit(X, y, sample_weight)

    @overload
    def predict(self, X: ArrayLike | sparray | spmatrix, return_std: Literal[False] = False) -> NDArray[Any]: ...

    @overload
    def predict(
        self, X: ArrayLike | sparray | spmatrix, return_std: Literal[True]
    ) -> tuple[NDArray[Any], NDArray[Any]]: ...

    def predict(
        self, X: ArrayLike | sparray | spmatrix, return_std: bool = False
    ) -> NDArray[Any] | tuple[NDArray[Any], NDArray[Any]]:
        """The prediction: what the loss makes of the network's output, of most losses this output itself.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)
        return_std : bool, default=False
            Whether to return the standard deviation too, for a model that was fitted with ``loss="gaussian"``.

        Returns
        -------
        y : ndarray of shape (n_samples,) or (n_samples, n_outputs)
            A column for each target, or for each entry of a list of quantiles.
        y_std : ndarray of the shape of `y`
            Only if `return_std`.

        Raises
        ------
        ValueError
            If `return_std`, and the model was fitted with another loss.
        """
        model = self._snapshot()
        output = model._forward(X)
        mean = model._decode(output)
        if not return_std:
            return mean
        loss = model._fitted_loss
        if not isinstance(loss, Gaussian):
            raise ValueError(
                "return_std=True needs a model that was fitted with loss='gaussian', which predicts variances; this "
                f"one was fitted with {loss!r}"
            )
        return mean, loss.deviations(output).reshape(mean.shape)

    def score(self, X: ArrayLike | sparray | spmatrix, y: ArrayLike, sample_weight: ArrayLike | None = None) -> float:
        """The coefficient of determination R^2 of the predictions, whatever the loss.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
        sample_weight : array-like of shape (n_samples,), default=None

        Returns
        -------
        float
            Of several quantiles, that of the quantile nearest to the median. For other losses see the metrics of
            scikit-learn, such as ``d2_pinball_score``.
        """
        check_numeric("y", y)
        if sample_weight is not None:
            check_numeric("sample_weight", sample_weight)
            sample_weight = checked_sample_weight(sample_weight, X, allow_all_zero_weights=True)
        predictions = self._scored(self.predict(X))
        with np.errstate(over="ignore", invalid="ignore"):
            score = r2_score(y, predictions, sample_weight=sample_weight)
        if not np.isfinite(score) and len(predictions) > 1:  # of a single row scikit-learn tells
            warnings.warn(
                f"R^2 is {score}: squares of y or of the predictions are not finite in {predictions.dtype}. Scale y.",
                RuntimeWarning,
                stacklevel=2,
            )
        return score
