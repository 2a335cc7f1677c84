"""Learning rate schedules.

A schedule answers two questions: which rate follows when an epoch ends, and what to do when patience runs out. A new
schedule is one class here and one entry in ``SCHEDULES``.
"""


class Constant:
    """The rate stays; when patience runs out, training stops.

    Parameters
    ----------
    learning_rate_init : float
    power_t : float
        Exponent of `InverseScaling`; others ignore it.
    """

    def __init__(self, learning_rate_init, power_t=0.5):
        self.learning_rate_init = float(learning_rate_init)
        self.power_t = power_t

    def after_epoch(self, rate, t):
        """The rate for the next epoch.

        Parameters
        ----------
        rate : float
            The rate of the epoch that ended.
        t : int
            Rows trained on since the weights were drawn, counting each epoch's.
        """
        return rate

    def on_plateau(self, rate):
        """What follows when patience runs out.

        Returns
        -------
        rate : float or None
            The rate to go on with; None to stop.
        comment : str
            For the log.
        """
        return None, "Stopping."


class InverseScaling(Constant):
    """rate = learning_rate_init / (t + 1)^power_t."""

    def after_epoch(self, rate, t):
        """The rate after `t` rows; 0 where the power is too large for a float."""
        try:
            return self.learning_rate_init / (t + 1) ** self.power_t
        except OverflowError:
            return 0.0


class Adaptive(Constant):
    """The rate stays while the loss falls, and is divided by 5 each time patience runs out; training stops when it
    is 1e-6 or less."""

    def on_plateau(self, rate):
        """A fifth of the rate, or None when it is small enough already."""
        if rate <= 1e-6:
            return None, "Learning rate too small. Stopping."
        rate /= 5.0
        return rate, f"Setting learning rate to {rate:f}"


SCHEDULES = {"constant": Constant, "invscaling": InverseScaling, "adaptive": Adaptive}
