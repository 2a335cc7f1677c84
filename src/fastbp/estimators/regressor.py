"""The regressor."""

import warnings
from typing import ClassVar, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import issparse, sparray, spmatrix
from sklearn.base import RegressorMixin, _fit_context
from sklearn.metrics import r2_score
from sklearn.utils import column_or_1d
from sklearn.utils._param_validation import StrOptions
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import validate_data

from fastbp.data import check_sparse
from fastbp.estimators.base import HIDDEN_ACTIVATIONS, LOSS_CURVE_LIMIT, BaseMLP
from fastbp.estimators.docs import documented
from fastbp.estimators.numeric import check_numeric
from fastbp.estimators.signatures import hides_others, refuse_others
from fastbp.kernels.dispatch import ACTIVATIONS, CANONICAL_ACTIVATION

#: Output activations that are positive, as the mean of a Poisson variable is
POSITIVE = ("exp", "softplus", "logistic")


@documented(HIDDEN_ACTIVATIONS, LOSS_CURVE_LIMIT)
class MLPRegressor(RegressorMixin, BaseMLP):
    """Multi-layer perceptron regressor: least squares or Poisson, trained by Adam, gradient descent or L-BFGS.

    A drop-in replacement of ``sklearn.neural_network.MLPRegressor``: same parameters, same results, sooner.

    Parameters
    ----------
    loss : {'squared_error', 'poisson'} or callable, default='squared_error'
        Half the squared error, or half the Poisson deviance, which requires ``y >= 0``, or a function
        {cost}

    {parameters}

    Attributes
    ----------
    {attributes}

    Notes
    -----
    With several outputs, the squared error in ``loss_`` and ``loss_curve_`` is the mean over the outputs, while the
    gradient that training follows is that of the sum. This is scikit-learn's convention (its issue 8349), kept so
    that curves compare.

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

    _parameter_constraints: ClassVar[dict] = {
        **BaseMLP._parameter_constraints,
        "loss": [StrOptions({"squared_error", "poisson"}), callable],
        "output_activation": [StrOptions({"auto", *ACTIVATIONS} - {"softmax"})],
    }
    _score_function = staticmethod(r2_score)

    def __init__(
        self,
        loss="squared_error",
        hidden_layer_sizes=(100,),
        activation="relu",
        *,
        solver="adam",
        alpha=0.0001,
        batch_size="auto",
        learning_rate="constant",
        learning_rate_init=0.001,
        power_t=0.5,
        max_iter=200,
        shuffle=True,
        random_state=None,
        tol=1e-4,
        verbose=False,
        warm_start=False,
        momentum=0.9,
        nesterovs_momentum=True,
        early_stopping=False,
        validation_fraction=0.1,
        beta_1=0.9,
        beta_2=0.999,
        epsilon=1e-8,
        n_iter_no_change=10,
        max_fun=15000,
        n_threads=None,
        output_activation="auto",
        callbacks=None,
    ):
        super().__init__(
            hidden_layer_sizes,
            activation,
            solver=solver,
            alpha=alpha,
            batch_size=batch_size,
            learning_rate=learning_rate,
            learning_rate_init=learning_rate_init,
            power_t=power_t,
            max_iter=max_iter,
            shuffle=shuffle,
            random_state=random_state,
            tol=tol,
            verbose=verbose,
            warm_start=warm_start,
            momentum=momentum,
            nesterovs_momentum=nesterovs_momentum,
            early_stopping=early_stopping,
            validation_fraction=validation_fraction,
            beta_1=beta_1,
            beta_2=beta_2,
            epsilon=epsilon,
            n_iter_no_change=n_iter_no_change,
            max_fun=max_fun,
            n_threads=n_threads,
            loss=loss,
            output_activation=output_activation,
            callbacks=callbacks,
        )

    @property
    def _loss_scale(self):
        return 1.0 / self.n_outputs_ if self.loss == "squared_error" else 1.0

    def _output_activation(self):
        name = self.output_activation
        if name == "auto":
            return "identity" if callable(self.loss) else CANONICAL_ACTIVATION[self.loss]
        if self.loss == "poisson" and name not in POSITIVE:
            raise ValueError(
                f"output_activation must be positive for loss='poisson': 'auto' or one of {POSITIVE}; got {name!r}"
            )
        return name

    def _check(self, X, y, reset):
        check_sparse("X", X)
        if issparse(y):
            raise TypeError("y must be dense, got a sparse matrix; use y.toarray()")
        check_numeric("X", X)
        check_numeric("y", y)
        X, y = validate_data(
            self,
            X,
            y,
            accept_sparse=["csr", "csc"],
            multi_output=True,
            y_numeric=True,
            dtype=(np.float64, np.float32),
            reset=reset,
        )
        if y.ndim == 2 and y.shape[1] == 1:
            y = column_or_1d(y, warn=True)
        return X, y

    def _learn_targets(self, y, incremental):
        self._check_targets(y)

    def _check_targets(self, y):
        if self.loss == "poisson" and (y < 0).any():
            raise ValueError(f"loss='poisson' requires y >= 0, got a smallest y of {y.min():g}")

    def _encode(self, y, dtype):
        """Numbers of shape (n, n_outputs)."""
        with np.errstate(over="ignore"):
            targets = y.astype(dtype).reshape(len(y), -1)
        if np.isnan(targets).any():  # None among objects
            raise ValueError("Input y contains NaN: drop the rows without a target")
        if not np.isfinite(targets).all():
            raise ValueError(f"y holds values too large for {dtype}, the dtype of X; scale y or pass X as float64")
        return targets

    def _stratified(self, targets):
        return None

    def _untrained_classes(self, targets, train):
        return ()

    def _score_is_constant(self, y):
        return bool((y == y[0]).all())  # R^2 is 0 then

    def _report_not_finite(self, output):
        warnings.warn(
            f"The prediction holds values that are not finite: {self._why_not_finite()}", RuntimeWarning, stacklevel=4
        )

    def _decode(self, output):
        return output.ravel() if output.shape[1] == 1 else output

    @_fit_context(prefer_skip_nested_validation=True)
    @hides_others
    def fit(
        self, X: ArrayLike | sparray | spmatrix, y: ArrayLike, sample_weight: ArrayLike | None = None, **others
    ) -> Self:
        """Fit the model to X and y.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
        sample_weight : array-like of shape (n_samples,), default=None
            Not negative.

        Returns
        -------
        self : MLPRegressor
        """
        refuse_others(self, others)
        return self._fit(X, y, sample_weight, incremental=False)

    @available_if(lambda self: self._check_solver())
    @_fit_context(prefer_skip_nested_validation=True)
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

    def predict(self, X: ArrayLike | sparray | spmatrix) -> NDArray:
        """The network's output.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)

        Returns
        -------
        y : ndarray of shape (n_samples,) or (n_samples, n_outputs)
        """
        model = self._as_it_is()
        return model._decode(model._forward(X))
