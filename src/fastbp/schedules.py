"""Learning rate schedules.

There are two types. A `Schedule` of epochs says which rate follows when an epoch ends, and what happens when patience
runs out. A `ProgressSchedule` says by which factor the rate differs from the estimator's `learning_rate_init` in each
step. It depends on the progress of the run: the number of steps done, divided by the number of steps in `max_iter`
epochs. `fastbp.find_learning_rate` looks for a `learning_rate_init` to begin with. A new schedule is one class here,
named in ``SCHEDULES``.
"""

from collections.abc import Callable
from numbers import Integral, Real
from typing import Any, ClassVar

import numpy as np

from fastbp.compatibility import Interval
from fastbp.parametrized import Parametrized, parameter, parametrized, required_parameter

__all__ = [
    "SCHEDULES",
    "Adaptive",
    "Constant",
    "CosLog4",
    "Cosine",
    "FlatCosine",
    "FunctionSchedule",
    "InverseScaling",
    "OneCycle",
    "Plateau",
    "ProgressSchedule",
    "Schedule",
    "WarmupCosine",
]


@parametrized
class Schedule(Parametrized):
    """Base class of the schedules; not to be used itself."""

    #: Whether its name counts only with an optimizer that uses such names, as in scikit-learn; an object always counts.
    is_for_sgd: ClassVar[bool] = False

    #: Whether the rates depend on the number of epochs.
    has_end: ClassVar[bool] = False

    #: Whether the rate falls when patience runs out.
    waits_for_plateau: ClassVar[bool] = False

    def after_epoch(self, rate: float, rows_seen: int, learning_rate_init: float) -> float:
        """The rate for the next epoch; here the same again.

        Parameters
        ----------
        rate : float
            The rate of the epoch that ended.
        rows_seen : int
            Rows trained on since the weights were drawn, counting each epoch's.
        learning_rate_init : float
            The initial rate.

        Returns
        -------
        float
        """
        return rate

    def on_plateau(self, rate: float) -> tuple[float | None, str]:
        """What follows when patience runs out; here the end of training.

        Parameters
        ----------
        rate : float
            The rate of the epoch that ended.

        Returns
        -------
        rate : float or None
            The rate to go on with; None to stop.
        comment : str
            For the log.
        """
        return None, "Stopping."


@parametrized
class Constant(Schedule):
    """The rate stays; when patience runs out, training stops.

    Examples
    --------
    >>> from fastbp.schedules import Constant
    >>> Constant().after_epoch(0.1, rows_seen=1000, learning_rate_init=0.1)
    0.1
    """

    name = "constant"


@parametrized
class InverseScaling(Schedule):
    """The rate falls with the rows trained on: ``learning_rate_init / (rows_seen + 1)**power_t`` after an epoch.

    Parameters
    ----------
    {parameters}

    References
    ----------
    Robbins and Monro (1951), A stochastic approximation method, Annals of Mathematical Statistics 22: with a `power_t`
    above 1/2, up to 1, the rates are those of their theorem. The count of rows is scikit-learn's.

    Examples
    --------
    >>> from fastbp.schedules import InverseScaling
    >>> InverseScaling(power_t=0.5).after_epoch(0.1, rows_seen=99, learning_rate_init=0.1)
    0.01
    """

    name = "invscaling"
    is_for_sgd = True

    power_t: float = parameter(0.5, [Interval(Real, 0, None, closed="left")], "float", "Exponent, at least 0.")

    def after_epoch(self, rate: float, rows_seen: int, learning_rate_init: float) -> float:
        """The rate after `rows_seen` rows; 0 where the power is too large for a float.

        Parameters
        ----------
        rate : float
            Not used.
        rows_seen : int
        learning_rate_init : float

        Returns
        -------
        float
        """
        try:
            return learning_rate_init / (rows_seen + 1) ** self.power_t
        except OverflowError:
            return 0.0


@parametrized
class Adaptive(Schedule):
    """The rate stays while the loss falls, and is divided by 5 each time patience runs out; training stops when it is
    1e-6 or less.

    Examples
    --------
    >>> from fastbp.schedules import Adaptive
    >>> Adaptive().on_plateau(0.5)
    (0.1, 'Setting learning rate to 0.100000')
    """

    name = "adaptive"
    is_for_sgd = True
    waits_for_plateau = True

    def on_plateau(self, rate: float) -> tuple[float | None, str]:
        """A fifth of the rate, or None when it is small enough already.

        Parameters
        ----------
        rate : float

        Returns
        -------
        rate : float or None
        comment : str
        """
        if rate <= 1e-6:
            return None, "Learning rate too small. Stopping."
        rate /= 5.0
        return rate, f"Setting learning rate to {rate:f}"


@parametrized
class Plateau(Schedule):
    """The rate is multiplied by a factor each time patience runs out; training stops when the rate is at its minimum.

    What patience watches is the training loss, or with `early_stopping` the score of the held-out rows. The patience is
    the estimator's `n_iter_no_change`, the threshold its `tol`.

    Parameters
    ----------
    {parameters}

    References
    ----------
    The rule of ``torch.optim.lr_scheduler.ReduceLROnPlateau``; here it also ends the training.

    Examples
    --------
    >>> from fastbp.schedules import Plateau
    >>> Plateau(factor=0.5).on_plateau(0.25)
    (0.125, 'Setting learning rate to 0.125000')
    """

    name = "plateau"
    waits_for_plateau = True

    factor: float = parameter(
        0.1, [Interval(Real, 0, 1, closed="neither")], "float", "What the rate is multiplied by, in (0, 1)."
    )
    min_rate: float = parameter(
        1e-6,
        [Interval(Real, 0, None, closed="neither")],
        "float",
        "The smallest rate, above 0. When patience runs out at this rate or a smaller one, training stops.",
    )

    def on_plateau(self, rate: float) -> tuple[float | None, str]:
        """The lower rate, or None when it is the smallest already.

        Parameters
        ----------
        rate : float

        Returns
        -------
        rate : float or None
        comment : str
        """
        if rate <= self.min_rate:
            return None, "Learning rate too small. Stopping."
        rate = max(rate * self.factor, self.min_rate)
        return rate, f"Setting learning rate to {rate:f}"


@parametrized
class ProgressSchedule(Schedule):
    """Base class of the schedules whose rate changes from step to step; not to be used itself.

    The rate of a step is ``learning_rate_init * factor(progress)``, where the progress is the number of steps done
    divided by the number of steps in `max_iter` epochs. Subclasses override `factor`. The estimators' parameters
    `weight_decay_schedule` and `dropout_schedule` take these schedules too, for factors of weight decay and dropout.
    """

    has_end = True

    def factor(self, progress: Any) -> Any:
        """The factor of the learning rate; here 1.

        Parameters
        ----------
        progress : float or ndarray of shape (n,)
            In [0, 1].

        Returns
        -------
        float or ndarray of shape (n,)
        """
        return np.ones_like(progress, float)[()]


#: What a rate ends with, for the schedules that fall to the end
FINAL_FACTOR = [Interval(Real, 0, None, closed="left")]


def between(begin: Any, end: Any, progress: Any) -> Any:
    """Half a period of a cosine, from `begin` at progress 0 to `end` at progress 1."""
    return end + (begin - end) * 0.5 * (1 + np.cos(np.pi * progress))


@parametrized
class Cosine(ProgressSchedule):
    """The rate falls to the end along half a period of a cosine.

    The factor is ``final_factor + (1 - final_factor) * (1 + cos(pi * progress)) / 2``.

    Parameters
    ----------
    {parameters}

    References
    ----------
    Loshchilov and Hutter (2017), SGDR: stochastic gradient descent with warm restarts, ICLR, eq. 5, without restarts.

    Examples
    --------
    >>> import numpy as np
    >>> from fastbp.schedules import Cosine
    >>> Cosine().factor(np.array([0, 1 / 3, 1])).round(2)
    array([1.  , 0.75, 0.  ])
    """

    name = "cosine"

    final_factor: float = parameter(0.0, FINAL_FACTOR, "float", "Factor of the rate at the end, at least 0.")

    def factor(self, progress: Any) -> Any:
        """From 1 to `final_factor`.

        Parameters
        ----------
        progress : float or ndarray of shape (n,)

        Returns
        -------
        float or ndarray of shape (n,)
        """
        return between(1.0, self.final_factor, progress)


@parametrized
class FlatCosine(ProgressSchedule):
    """The rate stays, then falls to 0 along half a period of a cosine.

    The factor is 1 up to the progress `flat`, and that of `Cosine` over the rest.

    Parameters
    ----------
    {parameters}

    References
    ----------
    Holzmüller, Grinsztajn and Steinwart (2024), Better by default: strong pre-tuned MLPs and boosted trees on tabular
    data, NeurIPS, section 3.1 (RealMLP), where dropout and weight decay have this schedule.

    Examples
    --------
    >>> import numpy as np
    >>> from fastbp.schedules import FlatCosine
    >>> FlatCosine().factor(np.array([0, 0.5, 0.75, 1])).round(2)
    array([1. , 1. , 0.5, 0. ])
    """

    name = "flat_cosine"

    flat: float = parameter(
        0.5,
        [Interval(Real, 0, 1, closed="left")],
        "float",
        "Share of the training in which the rate stays, in [0, 1).",
    )

    def factor(self, progress: Any) -> Any:
        """From 1 to 0.

        Parameters
        ----------
        progress : float or ndarray of shape (n,)

        Returns
        -------
        float or ndarray of shape (n,)
        """
        return between(1.0, 0.0, np.maximum(progress - self.flat, 0) / (1 - self.flat))


@parametrized
class WarmupCosine(ProgressSchedule):
    """The rate rises linearly from 0, then falls to the end along half a period of a cosine.

    The factor is ``progress / warmup`` up to the progress `warmup`, and that of `Cosine` over the rest. With
    ``overlap=True`` it is ``min(progress / warmup, 1)`` times that of `Cosine` over the whole training.

    Parameters
    ----------
    {parameters}

    References
    ----------
    Goyal et al. (2017), Accurate, large minibatch SGD: training ImageNet in 1 hour, section 2.2, for the warm-up;
    Loshchilov and Hutter (2017), SGDR, ICLR, eq. 5, for the cosine.

    Examples
    --------
    >>> import numpy as np
    >>> from fastbp.schedules import WarmupCosine
    >>> WarmupCosine(warmup=0.2).factor(np.array([0, 0.1, 0.2, 0.6, 1])).round(2)
    array([0. , 0.5, 1. , 0.5, 0. ])
    """

    name = "warmup_cosine"

    warmup: float = parameter(
        0.1,
        [Interval(Real, 0, 1, closed="neither")],
        "float",
        "Share of the training in which the rate rises, in (0, 1).",
    )
    final_factor: float = parameter(0.0, FINAL_FACTOR, "float", "Factor of the rate at the end, at least 0.")
    overlap: bool = parameter(
        False,
        ["boolean"],
        "bool",
        "Whether the cosine begins at the progress 0, so that it falls while the warm-up rises.",
    )

    def factor(self, progress: Any) -> Any:
        """From 0 up, then to `final_factor`.

        Parameters
        ----------
        progress : float or ndarray of shape (n,)

        Returns
        -------
        float or ndarray of shape (n,)
        """
        if self.overlap:
            return np.minimum(progress / self.warmup, 1.0) * between(1.0, self.final_factor, progress)
        falling = between(1.0, self.final_factor, (progress - self.warmup) / (1 - self.warmup))
        return np.where(progress < self.warmup, progress / self.warmup, falling)[()]


@parametrized
class OneCycle(ProgressSchedule):
    """The rate rises to its maximum and falls far below its beginning, along half a period of a cosine each.

    The factor goes from ``initial_factor * max_factor`` to `max_factor` at the progress `warmup`, and from there to
    ``final_factor * max_factor`` at the end. With the default `max_factor` the largest rate is `learning_rate_init`:
    `fastbp.find_learning_rate` suggests one.

    Parameters
    ----------
    {parameters}

    References
    ----------
    Smith and Topin (2018), Super-convergence: very fast training of neural networks using large learning rates. The
    form and the defaults are those of ``torch.optim.lr_scheduler.OneCycleLR``; the momentum does not change.

    Examples
    --------
    >>> import numpy as np
    >>> from fastbp.schedules import OneCycle
    >>> OneCycle(max_factor=10).factor(np.array([0, 0.3, 0.65, 1])).round(2)
    array([ 0.4, 10. ,  5. ,  0. ])
    """

    name = "one_cycle"

    max_factor: float = parameter(1.0, [Interval(Real, 0, None, closed="neither")], "float", "The largest factor.")
    warmup: float = parameter(
        0.3,
        [Interval(Real, 0, 1, closed="neither")],
        "float",
        "Share of the training in which the rate rises, in (0, 1).",
    )
    initial_factor: float = parameter(
        0.04, [Interval(Real, 0, 1, closed="both")], "float", "The first rate, as a share of the largest one."
    )
    final_factor: float = parameter(
        4e-6, [Interval(Real, 0, 1, closed="both")], "float", "The last rate, as a share of the largest one."
    )

    def factor(self, progress: Any) -> Any:
        """Up, then down.

        Parameters
        ----------
        progress : float or ndarray of shape (n,)

        Returns
        -------
        float or ndarray of shape (n,)
        """
        rising = between(self.initial_factor, 1.0, progress / self.warmup)
        falling = between(1.0, self.final_factor, (progress - self.warmup) / (1 - self.warmup))
        return self.max_factor * np.where(progress < self.warmup, rising, falling)[()]


@parametrized
class CosLog4(ProgressSchedule):
    """The rate goes up and down in cycles, each about twice as long as the one before, and ends at 0.

    The factor is ``(1 - cos(2 * pi * log2(1 + (2**n_cycles - 1) * progress))) / 2``. The first step has the rate 0.

    Parameters
    ----------
    {parameters}

    References
    ----------
    Holzmüller, Grinsztajn and Steinwart (2024), Better by default: strong pre-tuned MLPs and boosted trees on tabular
    data, NeurIPS, section 3.1 (RealMLP), with 4 cycles.

    Examples
    --------
    >>> import numpy as np
    >>> from fastbp.schedules import CosLog4
    >>> CosLog4().factor(np.array([0, 1 / 15, 3 / 15, 1])).round(2)  # between two cycles the factor is 0
    array([0., 0., 0., 0.])
    """

    name = "coslog4"

    n_cycles: int = parameter(4, [Interval(Integral, 1, 30, closed="both")], "int", "Number of cycles, at least 1.")

    def factor(self, progress: Any) -> Any:
        """From 0 up to 1 and down to 0 in each cycle.

        Parameters
        ----------
        progress : float or ndarray of shape (n,)

        Returns
        -------
        float or ndarray of shape (n,)
        """
        return 0.5 * (1 - np.cos(2 * np.pi * np.log2(1 + (2**self.n_cycles - 1) * progress)))


@parametrized
class FunctionSchedule(ProgressSchedule):
    """A schedule that is a function of the user's, called for every step.

    Parameters
    ----------
    {parameters}
    """

    function: Callable[[float], float] = required_parameter(
        [callable],
        "callable",
        """
        ``function(progress) -> factor``, from a float in [0, 1] to what `learning_rate_init` is multiplied by: finite,
        at least 0.""",
    )
    of: str = parameter("learning_rate", [str], "str", "The estimator's parameter that has the function as its value.")

    def factor(self, progress: Any) -> Any:
        """What the function returns.

        Parameters
        ----------
        progress : float or ndarray of shape (n,)

        Returns
        -------
        float or ndarray of shape (n,)

        Raises
        ------
        ValueError
            For a value that is no finite number of at least 0.
        """
        factors = np.array([self.checked(p) for p in np.ravel(progress).tolist()])
        return factors.reshape(np.shape(progress))[()]

    def checked(self, progress: float) -> float:
        """The function's factor for one step.

        Parameters
        ----------
        progress : float

        Returns
        -------
        float
        """
        found: Any = self.function(progress)
        if not isinstance(found, Real) or not 0 <= found < np.inf:  # type: ignore[operator]
            raise ValueError(
                f"{self.of}={getattr(self.function, '__name__', None) or repr(self.function)} must return a finite "
                f"number of at least 0, a factor; got {found!r} for the progress {progress:g}"
            )
        return float(found)


#: name -> class of every schedule
SCHEDULES = {
    cls.name: cls
    for cls in (Constant, InverseScaling, Adaptive, Plateau, Cosine, FlatCosine, WarmupCosine, OneCycle, CosLog4)
}
