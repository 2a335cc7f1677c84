"""A search for the learning rate: the loss along a run of steps whose learning rate grows."""

import warnings
from dataclasses import dataclass
from functools import partial
from numbers import Integral, Real
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.ndimage import gaussian_filter1d
from scipy.sparse import sparray, spmatrix
from sklearn.base import clone

from fastbp.estimators.base import BaseMLP
from fastbp.estimators.parameters import is_stochastic
from fastbp.training import RateSweep

#: What has no part in the sweep: what changes the learning rate, happens between epochs, or belongs to earlier fits
LEFT_OUT = dict(
    learning_rate="constant",
    weight_decay_schedule=None,
    dropout_schedule=None,
    warmup=0,
    early_stopping=False,
    scoring=None,
    ema_decay=None,
    swa_start=None,
    max_time=None,
    callbacks=None,
    verbose=False,
    warm_start=False,
)
#: Fewer steps do not show how the loss changes
FEWEST_STEPS = 20
#: Steps of the sweep divided by the standard deviation, in steps, of the Gaussian that smooths the losses
SMOOTHING = 50
#: A larger rise of the smoothed losses, as a share of their fall before, is where they begin to grow
LARGEST_RISE = 0.1
#: A smaller fall, as a share of the losses themselves, is one of their rounding errors
SMALLEST_FALL = 1e-6


@dataclass(frozen=True, eq=False)
class LearningRateSweep:
    """The losses along a learning rate range test, and the learning rate that they suggest.

    Parameters
    ----------
    learning_rates : ndarray of shape (n_done,)
        Of each step that was made; they grow exponentially.
    losses : ndarray of shape (n_done,)
        The mean loss of the batch before each step, as in ``loss_curve_``: with the penalty, and for several outputs of
        the squared error their mean.
    smoothed : ndarray of shape (n_done,)
        The losses, smoothed by a Gaussian along the steps, without a lag. Losses that are far above the first ones
        count as their ceiling: the first level plus the whole fall.
    steepest, lowest : float
        The learning rates at which `smoothed` falls most, by the logarithm of the rate, and at which it is smallest
        before it grows for the first time.
    suggestion : float or None
        The geometric mean of these two; None where the loss does not fall by more than its noise, and by more than a
        millionth.
    """

    learning_rates: NDArray[Any]
    losses: NDArray[Any]
    smoothed: NDArray[Any]
    steepest: float
    lowest: float
    suggestion: float | None

    def __repr__(self) -> str:
        first, last = self.learning_rates[[0, -1]]
        suggestion = None if self.suggestion is None else f"{self.suggestion:.3g}"
        return f"LearningRateSweep(suggestion={suggestion}, {len(self.losses)} steps from {first:g} to {last:g})"


def find_learning_rate(
    estimator: BaseMLP,
    X: ArrayLike | sparray | spmatrix,
    y: ArrayLike | sparray | spmatrix,
    sample_weight: ArrayLike | None = None,
    *,
    classes: ArrayLike | None = None,
    min_learning_rate: float = 1e-6,
    max_learning_rate: float = 10.0,
    n_steps: int = 200,
) -> LearningRateSweep:
    """Look for a good `learning_rate_init`: the learning rate range test.

    New weights are trained by one step on each of `n_steps` batches, over as many epochs as that takes, while the
    learning rate grows exponentially. A learning rate that is too small does not change the loss, a good one makes it
    fall, and one that is too large makes it grow. The sweep ends early where an average of the losses has grown by
    three times its smallest value, or three times its fall up to there.

    The suggestion lies halfway, on a logarithmic scale, between the learning rate with the steepest fall of the
    smoothed loss and the one with its smallest value before it grows. It is meant for 'constant', and as the largest
    rate of 'cosine', 'one_cycle' and their relatives.

    Parameters
    ----------
    estimator : MLPClassifier or MLPRegressor
        With a stochastic solver. It is not changed. Its network, solver, batch size, penalties, dropout and so on are
        those of the sweep; schedule, warm-up, early stopping, averages of weights and callbacks have no part in it.
    X : array-like or sparse matrix of shape (n_samples, n_features)
    y : array-like or sparse matrix
        As for `fit`.
    sample_weight : array-like of shape (n_samples,), default=None
    classes : array-like, default=None
        As for `fit` of the classifier.
    min_learning_rate, max_learning_rate : float, default=1e-6, 10.0
        Ends of the sweep.
    n_steps : int, default=200
        At least 20.

    Returns
    -------
    LearningRateSweep
        `suggestion`, `learning_rates`, `losses`, `smoothed`; see `fastbp.inspection.LearningRateDisplay` for a plot.

    Raises
    ------
    TypeError, ValueError
        For another estimator, for 'lbfgs', and for whatever `fit` refuses.

    Warns
    -----
    UserWarning
        If the loss does not fall, for which nothing is suggested, or if it still falls at the end of the sweep.

    Notes
    -----
    The suggestion is the start of a search, not its end. It is weak

    - where single batches have very different losses: few rows, small batches, much noise in y;
    - where the loss barely falls before it grows, as in deep plain networks;
    - for long trainings, for which a smaller rate is often better: the sweep sees the first steps only, and nothing of
      the score on new rows;
    - for other settings: it depends on solver, batch size, network, and the scale of X and y.

    References
    ----------
    Smith (2017), Cyclical learning rates for training neural networks, WACV, section 3.3: the test, with a rate that
    grows linearly.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from fastbp import MLPClassifier, find_learning_rate
    >>> X, y = load_digits(return_X_y=True)
    >>> model = MLPClassifier(random_state=0)
    >>> sweep = find_learning_rate(model, X / 16, y)
    >>> 0.003 < sweep.suggestion < 0.05
    True
    >>> model = model.set_params(learning_rate_init=sweep.suggestion)
    """
    check_estimator(estimator)
    rates = checked_rates(min_learning_rate, max_learning_rate, n_steps)
    model = clone(type(estimator)(**estimator.get_params(deep=False) | LEFT_OUT))
    model._trainer = partial(RateSweep, rates=rates)
    model.fit(X, y, sample_weight, **{} if classes is None else {"classes": classes})
    sweep = sweep_of(np.array(model.history_["learning_rate"]), np.array(model.loss_curve_), n_steps)
    if sweep.suggestion is None:
        warnings.warn(
            f"The loss does not fall by more than its noise between learning rates of {min_learning_rate:g} and "
            f"{sweep.learning_rates[-1]:g}: none is suggested. Try more n_steps, larger batches or another range, and "
            "scale X and y.",
            stacklevel=2,
        )
    elif len(sweep.losses) == n_steps and sweep.lowest == sweep.learning_rates[-1]:
        warnings.warn(
            f"The loss still falls at max_learning_rate={max_learning_rate:g}: raise it for a better suggestion.",
            stacklevel=2,
        )
    return sweep


def check_estimator(estimator) -> None:
    """TypeError or ValueError unless it is an estimator of fastbp whose solver has a learning rate."""
    if not isinstance(estimator, BaseMLP):
        raise TypeError(
            f"estimator must be a MLPClassifier or MLPRegressor of fastbp, got {type(estimator).__name__}. Of a "
            "pipeline, give the last step, and X as the steps before it leave it: pipeline[-1], "
            "pipeline[:-1].fit_transform(X)."
        )
    if hasattr(estimator, "to_local"):
        raise TypeError(
            f"estimator must train on one machine, got {type(estimator).__name__}: give estimator.to_local(), and a "
            "sample of the rows that fits in memory"
        )
    if not is_stochastic(estimator.solver):
        raise ValueError(
            f"solver={estimator.solver!r} has no learning rate to be found: choose a stochastic solver, such as 'adam'"
        )


def checked_rates(first, last, n_steps):
    """The learning rates of the sweep; ValueError for a range or a number of steps that makes none."""
    for name, value in (("min_learning_rate", first), ("max_learning_rate", last)):
        if isinstance(value, bool) or not isinstance(value, Real) or not 0 < value < np.inf:
            raise ValueError(f"{name} must be a finite number > 0, got {value!r}")
    if not first < last:
        raise ValueError(f"min_learning_rate={first:g} must be less than max_learning_rate={last:g}")
    if isinstance(n_steps, bool) or not isinstance(n_steps, Integral) or n_steps < FEWEST_STEPS:
        raise ValueError(f"n_steps must be an integer >= {FEWEST_STEPS}, got {n_steps!r}")
    return np.geomspace(first, last, n_steps)


def sweep_of(learning_rates, losses, n_steps):
    """What the losses of a sweep, which may have ended early, tell.

    Parameters
    ----------
    learning_rates, losses : ndarray of shape (n_done,)
    n_steps : int
        Of the whole sweep.

    Returns
    -------
    LearningRateSweep
    """
    sigma = max(1.0, n_steps / SMOOTHING)
    highest = losses[: int(2 * sigma)].max()  # of losses that no step has changed much yet
    smoothed = gaussian_filter1d(np.minimum(losses, 2 * highest - losses.min()), sigma)
    low, falls = lowest_point(losses, smoothed)
    slopes = np.gradient(smoothed, np.log(learning_rates)) if low > 0 else smoothed
    steepest, lowest = learning_rates[np.argmin(slopes[: low + 1])], learning_rates[low]
    suggestion = float(np.sqrt(steepest * lowest)) if falls else None
    return LearningRateSweep(learning_rates, losses, smoothed, float(steepest), float(lowest), suggestion)


def lowest_point(losses, smoothed):
    """Where the smoothed losses are smallest before they grow, for the first time after half of their whole fall.

    Parameters
    ----------
    losses, smoothed : ndarray of shape (n_done,)

    Returns
    -------
    step : int
    falls : bool
        Whether they fall up to there by more than the standard deviation of the losses around them, and by more than
        rounding errors.
    """
    low = int(np.argmin(smoothed))
    noise = np.std((losses - smoothed)[: low + 1])
    best = np.minimum.accumulate(smoothed)
    fall, rise = smoothed[0] - best, smoothed - best
    grown = (fall > fall[-1] / 2) & (rise > np.maximum(LARGEST_RISE * fall, noise / 2))
    if grown.any():
        low = int(np.argmin(smoothed[: np.argmax(grown)]))
    rounding = SMALLEST_FALL * np.abs(smoothed[: low + 1]).max()
    return low, bool(fall[low] > max(noise, rounding))
