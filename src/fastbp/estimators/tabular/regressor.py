"""The regressor for tables."""

from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.metrics import r2_score
from sklearn.utils import check_array, column_or_1d
from sklearn.utils.validation import check_consistent_length

from fastbp.compatibility import RegressorMixin, fit_context
from fastbp.estimators.numeric import check_numeric
from fastbp.estimators.regressor import MLPRegressor
from fastbp.estimators.tabular.base import OVERRIDES, BaseTabularMLP
from fastbp.estimators.tabular.combination import mixture_weights, n_effective
from fastbp.estimators.tabular.conformal import half_width, kept_residuals
from fastbp.estimators.tabular.docs import documented
from fastbp.estimators.tabular.targets import NumberSummary
from fastbp.estimators.validation import GivenRows
from fastbp.parametrized import parametrized


@documented
@parametrized(eq=False)
class TabularMLPRegressor(RegressorMixin, BaseTabularMLP):
    """Regressor for tables without tuning: an ensemble of multi-layer perceptrons that take a table as it comes.

    Columns may be numbers, strings, booleans, categories and dtypes with missing values, with missing values in any of
    them; X may be a data frame of pandas or polars, a table of Arrow, or an array. Numbers are scaled and embedded,
    categories encoded within the networks. Targets are standardized for the training, and predictions lie within the
    range of the targets.

    Parameters
    ----------
    {parameters}

    Attributes
    ----------
    {attributes}

    n_outputs_ : int
        Targets of a row.

    See Also
    --------
    TabularMLPClassifier : For classes as targets.
    fastbp.MLPRegressor : A single network with all its parameters.

    Notes
    -----
    {notes}

    Examples
    --------
    >>> import numpy as np
    >>> from fastbp import TabularMLPRegressor
    >>> rng = np.random.RandomState(0)
    >>> X = rng.rand(300, 2)
    >>> X[:30, 1] = np.nan
    >>> y = np.sin(6 * X[:, 0]) + np.nan_to_num(X[:, 1])
    >>> model = TabularMLPRegressor(preset="fast", random_state=0).fit(X, y)
    >>> float(model.score(X, y)) > 0.9
    True
    >>> lower, upper = model.predict_interval(X[:2], coverage=0.9)
    >>> bool((lower < upper).all())
    True
    """

    _kind = "regression"
    _overrides = OVERRIDES
    _model_class = MLPRegressor
    _new_summary = NumberSummary

    def _check_y(self, y, X, is_known=False):
        check_numeric("y", y)
        with np.errstate(over="ignore", invalid="ignore"):  # scikit-learn adds up all numbers
            y = check_array(y, ensure_2d=False, dtype=np.float64, input_name="y")
        if y.ndim == 2 and y.shape[1] == 1:
            y = column_or_1d(y, warn=not is_known)
        check_consistent_length(X, y)
        return y

    def _learn_targets(self, y) -> None:
        self._learn_summary(NumberSummary().add(y))

    def _learn_summaries(self, all, weighted, classes):
        if weighted.n:
            self._learn_summary(weighted)
        return weighted.n, None

    def _learn_summary(self, summary) -> None:
        self.n_outputs_: int = len(summary.low)
        self._is_flat = summary.is_flat
        self._lowest, self._highest = summary.low, summary.high
        with np.errstate(over="ignore"):
            if not np.isfinite(self._highest - self._lowest).all():
                raise ValueError(
                    f"y must not reach further than the largest float64, {np.finfo(np.float64).max:.3g}, and reaches "
                    f"from {summary.low.min():.3g} to {summary.high.max():.3g}: divide it by a number"
                )
        self._mean = summary.mean
        self._deviation = np.where(summary.deviation > 0, summary.deviation, 1)

    def _encode(self, y):
        if y.size != len(y) * self.n_outputs_:
            raise ValueError(f"y_val must have {self.n_outputs_} columns, as y, got shape {y.shape}")
        with np.errstate(over="ignore"):
            columns = ((y.reshape(len(y), -1) - self._mean) / self._deviation).astype(np.float32)
        if not np.isfinite(columns).all():  # of rows to validate on
            raise ValueError(f"y_val holds {y.flat[np.abs(y).argmax()]:.3g}, which is too far from all values of y")
        return columns.ravel() if y.ndim == 1 else columns

    def _classes_of(self, targets) -> None:
        return None

    def _weighted(self, y, sample_weight):
        return sample_weight

    def _kept_rows(self, y, weight):
        return weight > 0

    def _model_params(self, cycle):
        return {}

    def _model_output(self, model, X):
        return model.predict(X).reshape(len(X), -1)

    def _jacobian_of(self, number, X):
        return self.estimators_[number].network_.jacobian(X)

    def _weights_of_candidates(self, predictions, targets, sample_weight):
        def mean_square(mean):
            errors = ((mean - targets.reshape(len(targets), -1)) ** 2).mean(axis=1)
            return np.average(errors, weights=sample_weight)

        # minus the log-likelihood of a normal distribution whose variance is the best candidate's mean square
        variance = max(min(map(mean_square, predictions)), np.finfo(np.float32).tiny)
        n = n_effective(len(targets), sample_weight)
        return mixture_weights(predictions, lambda mean: mean_square(mean) / (2 * variance), n)

    def _forget_calibration(self, n_models) -> None:
        self._residuals = np.empty((0, self.n_outputs_))
        self._n_residuals = 0

    def _calibrate(self, predictions, targets, sample_weight) -> None:
        residuals = self._decoded(predictions) - self._decoded(targets.reshape(len(targets), -1).astype(np.float64))
        self._residuals, self._n_residuals = kept_residuals(residuals), len(residuals)

    def _score_encoded(self, predictions, targets, sample_weight):
        if len(targets) < 2:
            return np.nan
        low, high = ((limit - self._mean) / self._deviation for limit in (self._lowest, self._highest))
        return r2_score(targets.reshape(len(targets), -1), np.clip(predictions, low, high), sample_weight=sample_weight)

    def _decoded(self, standardized):
        """Predictions in the units of y, within its range."""
        return np.clip(standardized * self._deviation + self._mean, self._lowest, self._highest)

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
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
        sample_weight : array-like of shape (n_samples,), default=None
            Not negative.
        X_val : data frame or array-like of shape (n_val, n_features), default=None
            Rows that take the place of the out-of-bag rows: all members are trained on all rows of X then.
        y_val : array-like of shape (n_val,) or (n_val, n_outputs), default=None
            Their targets.
        sample_weight_val : array-like of shape (n_val,), default=None
            Their weights.

        Returns
        -------
        self : TabularMLPRegressor
        """
        return self._fit(X, y, sample_weight, GivenRows(X_val, y_val, sample_weight_val))

    def predict(self, X: ArrayLike) -> NDArray[Any]:
        """The predicted targets.

        Parameters
        ----------
        X : data frame or array-like of shape (n_samples, n_features)

        Returns
        -------
        ndarray of shape (n_samples,) or (n_samples, n_outputs)
        """
        model = self._snapshot()
        return model._shaped(model._decoded(model._combined(model._encoded(X))))

    def predict_interval(self, X: ArrayLike, coverage: float = 0.9) -> tuple[NDArray[Any], NDArray[Any]]:
        """Intervals that contain the target of a new row with a probability of about `coverage`.

        They have the width that covers this share of the out-of-bag rows (split conformal prediction: Lei et al., 2018,
        Distribution-free predictive inference for regression, algorithm 2), the same for all rows: the probability is
        that over all rows, not that for rows like these. It holds for new rows from the same source. Each out-of-bag
        row is predicted by those members only that were not trained on it, whose errors are a little larger than those
        of all members; but the members are weighted by the same rows. Sample weights have no effect on the width.

        Parameters
        ----------
        X : data frame or array-like of shape (n_samples, n_features)
        coverage : float, default=0.9
            Above 0 and below 1.

        Returns
        -------
        lower, upper : ndarray of shape (n_samples,) or (n_samples, n_outputs)
            Not limited to the range of the targets in training.

        Raises
        ------
        ValueError
            If there are too few out-of-bag rows for the coverage, or none.
        """
        model = self._snapshot()
        half = half_width(model._residuals, model._n_residuals, coverage)
        middle = model._decoded(model._combined(model._encoded(X)))
        return model._shaped(middle - half), model._shaped(middle + half)

    def input_gradient(self, X: ArrayLike) -> NDArray[Any]:
        """The derivatives of the predictions by the columns.

        Parameters
        ----------
        X : data frame or array-like of shape (n_samples, n_features)

        Returns
        -------
        ndarray of shape (n_samples, n_features) or (n_samples, n_outputs, n_features)
            In units of y for a unit of the column; NaN for categories. The limits of the predictions by the range of
            the targets do not count.
        """
        model = self._snapshot()
        gradient = model._jacobian(model._encoded(X)) * model._deviation[:, None]
        return gradient[:, 0] if model._is_flat else gradient

    def _shaped(self, columns):
        """In the shape of y."""
        return columns.ravel() if self._is_flat else columns

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags
