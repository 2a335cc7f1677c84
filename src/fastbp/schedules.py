"""Learning rate schedules.

A schedule answers two questions: which rate follows when an epoch ends, and what to do when patience runs out. The
initial rate is the estimator's `learning_rate_init`. A new schedule is one class here, named in ``SCHEDULES``.
"""

from numbers import Real

from sklearn.utils._param_validation import Interval

from fastbp.parametrized import Parametrized, parameter, parametrized

__all__ = ["SCHEDULES", "Adaptive", "Constant", "InverseScaling", "Schedule"]


@parametrized
class Schedule(Parametrized):
    """Base class of the schedules; not to be used itself."""

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


#: name -> class of every schedule
SCHEDULES = {cls.name: cls for cls in (Constant, InverseScaling, Adaptive)}
