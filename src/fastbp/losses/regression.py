"""The losses of numbers."""

from numbers import Real

import numpy as np

from fastbp.compatibility import Interval
from fastbp.kernels.dispatch import LOSS_CONSTANT_LIMIT
from fastbp.losses.base import NOT_NEGATIVE, POSITIVE, Loss
from fastbp.parametrized import parameter, parametrized


@parametrized
class SquaredError(Loss):
    """Half the squared error, ``sum_j (a_j - y_j)**2 / 2`` over the outputs of a row.

    In the estimators' ``loss_`` it is the mean over the outputs, as in scikit-learn (its issue 8349).

    Examples
    --------
    >>> from fastbp.losses import SquaredError
    >>> SquaredError().link
    'identity'
    """

    name = "squared_error"

    def recorded_scale(self, n_outputs: int) -> float:
        """One over the number of outputs.

        Parameters
        ----------
        n_outputs : int

        Returns
        -------
        float
        """
        return 1.0 / n_outputs


@parametrized
class Poisson(Loss):
    """Half the Poisson deviance, ``sum_j (y_j log(y_j / a_j) - y_j + a_j)``, for counts ``y >= 0`` with means ``a``.

    References
    ----------
    McCullagh and Nelder (1989), Generalized Linear Models, 2nd edition, section 2.3.

    Examples
    --------
    >>> from fastbp.losses import Poisson
    >>> Poisson().link
    'exp'
    """

    name = "poisson"
    domain = NOT_NEGATIVE
    mean_domain = POSITIVE


@parametrized
class AbsoluteError(Loss):
    """The absolute error, ``sum_j |a_j - y_j|``; the outputs are medians.

    The derivative is taken as 0 where an output is equal to its target.

    Examples
    --------
    >>> from fastbp.losses import AbsoluteError
    >>> AbsoluteError().link
    'identity'
    """

    name = "absolute_error"


@parametrized
class Huber(Loss):
    """The Huber loss: half the squared error up to `delta`, linear from there on, so that outliers count less.

    ``sum_j r_j**2 / 2`` where ``r_j = |a_j - y_j|`` is at most `delta`, else ``delta * (r_j - delta / 2)``.

    Parameters
    ----------
    {parameters}

    References
    ----------
    Huber (1964), Robust estimation of a location parameter, Annals of Mathematical Statistics 35.

    Examples
    --------
    >>> from fastbp.losses import Huber
    >>> Huber(delta=2.0)
    Huber(delta=2.0)
    """

    name = "huber"

    delta: float = parameter(
        1.0,
        [Interval(Real, 0, None, closed="neither")],
        "float",
        "The error from which on the loss is linear, in the units of y.",
    )


@parametrized
class Quantile(Loss):
    """The quantile loss, or pinball loss, ``sum_j max(q (y_j - a_j), (1 - q) (a_j - y_j))``.

    The outputs are the q-quantiles of the targets. A list has several quantiles of one target, which never cross: the
    first output z_0 of the network is the smallest quantile, and each other one adds ``softplus(z_j)``,
    ``a_j = a_(j - 1) + log(1 + exp(z_j))``. The loss is the sum over the quantiles then.

    Parameters
    ----------
    {parameters}

    References
    ----------
    Koenker and Bassett (1978), Regression quantiles, Econometrica 46.

    Gasthaus et al. (2019), Probabilistic forecasting with spline quantile function RNNs, AISTATS: quantiles as sums of
    positive steps.

    Examples
    --------
    >>> import numpy as np
    >>> from fastbp.losses import Quantile
    >>> Quantile([0.1, 0.5, 0.9]).predictions(np.array([[-1.0, 0.0, 2.0]])).round(2)
    array([[-1.  , -0.31,  1.82]])
    """

    name = "quantile"

    quantile: float | list[float] = parameter(
        0.5,
        [Interval(Real, 0, 1, closed="neither"), list, tuple],
        "float or list of float",
        "The quantile, between 0 and 1; or a list of several, in increasing order.",
    )

    @property
    def _is_list(self) -> bool:
        return isinstance(self.quantile, (list, tuple))

    @property
    def _levels(self) -> list[float]:
        return list(self.quantile) if isinstance(self.quantile, (list, tuple)) else [self.quantile]

    @property
    def kernel(self) -> str:
        """str: the name in the kernels' table."""
        return "quantiles" if self._is_list else "quantile"

    @property
    def constants(self) -> tuple[float, ...]:
        """tuple of float: the quantiles."""
        return tuple(map(float, self._levels))

    @property
    def estimates_spread(self) -> bool:
        """bool: whether there is a quantile beside the median."""
        return self._is_list or self.quantile != 0.5

    def _validate_params(self) -> None:
        super()._validate_params()
        if not self._is_list:
            return
        levels = self._levels
        if not 2 <= len(levels) <= LOSS_CONSTANT_LIMIT:
            raise ValueError(
                f"quantile must have 2 to {LOSS_CONSTANT_LIMIT} entries where it is a list, got {len(levels)}; give a "
                "float for one quantile"
            )
        if not all(isinstance(q, Real) and 0 < q < 1 for q in levels) or levels != sorted(set(levels)):
            raise ValueError(f"quantile must hold numbers between 0 and 1 in increasing order, got {levels}")

    def target_width(self, n_outputs: int) -> int:
        """One column for several quantiles; else as many as outputs.

        Parameters
        ----------
        n_outputs : int

        Returns
        -------
        int
        """
        if self._is_list and n_outputs != len(self._levels):
            raise ValueError(
                f"a loss with {len(self._levels)} quantiles needs a network with as many outputs, got {n_outputs}"
            )
        return super().target_width(n_outputs)

    def n_units(self, n_targets: int) -> int:
        """A unit for each quantile of a list; else for each target.

        Parameters
        ----------
        n_targets : int

        Returns
        -------
        int

        Raises
        ------
        ValueError
            For several quantiles of several targets.
        """
        if self._is_list and n_targets != 1:
            raise ValueError(
                f"several quantiles need a y of one column, got {n_targets} columns; fit one model for each column, or "
                "give one quantile as a float"
            )
        return len(self._levels) if self._is_list else n_targets

    def accepts_output(self, activation: str) -> bool:
        """Whether an activation is the identity, for several quantiles; else any is.

        Parameters
        ----------
        activation : str

        Returns
        -------
        bool
        """
        return not self._is_list or activation == self.link

    def predictions(self, output: np.ndarray) -> np.ndarray:
        """The quantiles.

        Parameters
        ----------
        output : ndarray of shape (n, n_units)

        Returns
        -------
        ndarray of shape (n, n_quantiles) or (n, n_targets)
        """
        if not self._is_list:
            return output
        steps = np.logaddexp(0, output)
        steps[:, 0] = output[:, 0]
        return np.cumsum(steps, axis=1)  # sums of rounded positive numbers do not fall

    def point_predictions(self, predictions: np.ndarray) -> np.ndarray:
        """The quantile; of several the one that is nearest to the median.

        Parameters
        ----------
        predictions : ndarray of shape (n, n_quantiles), (n,) or (n, n_targets)

        Returns
        -------
        ndarray of shape (n,) or (n, n_targets)
        """
        if not self._is_list:
            return predictions
        return predictions[:, np.argmin(np.abs(np.subtract(self.quantile, 0.5)))]


@parametrized
class Gamma(Loss):
    """Half the gamma deviance, ``sum_j (y_j / a_j - log(y_j / a_j) - 1)``, for ``y > 0`` with means ``a``.

    For positive amounts whose standard deviation is proportional to the mean.

    References
    ----------
    McCullagh and Nelder (1989), Generalized Linear Models, 2nd edition, section 8.3.

    Examples
    --------
    >>> from fastbp.losses import Gamma
    >>> Gamma().link
    'exp'
    """

    name = "gamma"
    domain = POSITIVE
    mean_domain = POSITIVE


@parametrized
class Tweedie(Loss):
    """Half the Tweedie deviance of a power between 1 and 2, for ``y >= 0`` with means ``a``: sums of gamma amounts.

    ``sum_j (y_j**(2 - p) / ((1 - p) (2 - p)) - y_j a_j**(1 - p) / (1 - p) + a_j**(2 - p) / (2 - p))``, for amounts
    that are zero with some probability, such as the claims of a policy: their number has a Poisson distribution, each
    has a gamma distribution, and the variance of the sum is proportional to ``a**p``.

    Parameters
    ----------
    {parameters}

    References
    ----------
    Jorgensen (1987), Exponential dispersion models, Journal of the Royal Statistical Society B 49.

    Examples
    --------
    >>> from fastbp.losses import Tweedie
    >>> Tweedie(power=1.2)
    Tweedie(power=1.2)
    """

    name = "tweedie"
    domain = NOT_NEGATIVE
    mean_domain = POSITIVE

    power: float = parameter(
        1.5, [Interval(Real, 1, 2, closed="neither")], "float", "The power p of the variance, between 1 and 2."
    )


@parametrized
class Gaussian(Loss):
    """The negative log-likelihood of normal distributions, whose means and variances the network predicts.

    ``sum_j (log(2 pi v_j) + (y_j - a_j)**2 / v_j) / 2`` with ``v_j = exp(s_j) + epsilon``. The output layer has two
    units for each target: first all means a_j, then all s_j. Standardize y, so that the variances are of order one.

    Parameters
    ----------
    {parameters}

    References
    ----------
    Nix and Weigend (1994), Estimating the mean and variance of the target probability distribution, ICNN.

    Examples
    --------
    >>> import numpy as np
    >>> from fastbp.losses import Gaussian
    >>> Gaussian().predictions(np.array([[3.0, 0.0]])), Gaussian().deviations(np.array([[3.0, 0.0]])).round(3)
    (array([[3.]]), array([[1.]]))
    """

    name = "gaussian"

    epsilon: float = parameter(
        1e-6,
        [Interval(Real, 0, None, closed="neither")],
        "float",
        "Smallest variance, in the squared units of y.",
    )

    @property
    def estimates_spread(self) -> bool:
        """bool: True, for the variances."""
        return True

    def target_width(self, n_outputs: int) -> int:
        """Half as many columns as outputs.

        Parameters
        ----------
        n_outputs : int

        Returns
        -------
        int
        """
        if n_outputs % 2:
            raise ValueError(
                f"loss='gaussian' needs two outputs of the network for each target, a mean and a variance, got "
                f"{n_outputs}"
            )
        return n_outputs // 2

    def n_units(self, n_targets: int) -> int:
        """Two for each target.

        Parameters
        ----------
        n_targets : int

        Returns
        -------
        int
        """
        return 2 * n_targets

    def accepts_output(self, activation: str) -> bool:
        """Whether an activation is the identity.

        Parameters
        ----------
        activation : str

        Returns
        -------
        bool
        """
        return activation == self.link

    def predictions(self, output: np.ndarray) -> np.ndarray:
        """The means.

        Parameters
        ----------
        output : ndarray of shape (n, 2 * n_targets)

        Returns
        -------
        ndarray of shape (n, n_targets)
        """
        return output[:, : output.shape[1] // 2]

    def deviations(self, output: np.ndarray) -> np.ndarray:
        """The standard deviations.

        Parameters
        ----------
        output : ndarray of shape (n, 2 * n_targets)

        Returns
        -------
        ndarray of shape (n, n_targets)
        """
        roots = np.exp(output[:, output.shape[1] // 2 :] / 2)  # exp(s) may be too large a number, and its root not
        return np.hypot(roots, output.dtype.type(np.sqrt(self.epsilon)))
