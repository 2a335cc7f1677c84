"""What the learning rate, weight decay and dropout are multiplied by from step to step."""

import numpy as np

#: Factors in one call of the compiled loop; bounds their memory.
FACTORS_AT_ONCE = 1 << 16


class RateFactors:
    """The factors of the learning rate in the steps of a run: that of a `ProgressSchedule`, times that of the warm-up.

    Parameters
    ----------
    schedule : Schedule
        A `ProgressSchedule` gives factors, any other none.
    warmup_epochs : float
        Epochs in which the factor of the warm-up rises linearly to 1.
    n_epochs : int
        Epochs of the run, for the progress.
    n_steps : int
        Steps of an epoch.
    """

    def __init__(self, schedule, warmup_epochs, n_epochs, n_steps):
        self.schedule, self.warmup_epochs = schedule, warmup_epochs
        self.n_epochs, self.n_steps = n_epochs, n_steps

    @property
    def epochs_at_once(self):
        """int: epochs whose factors are computed together, at most."""
        return max(1, FACTORS_AT_ONCE // self.n_steps)

    def of_epochs(self, begin, end):
        """The factors of the epochs [begin, end), counted from 0.

        Parameters
        ----------
        begin, end : int

        Returns
        -------
        ndarray of shape (end - begin, n_steps) or None
            None: all are 1.
        """
        if not self.schedule.has_end and begin >= self.warmup_epochs:
            return None
        return self.of_steps(np.arange(begin * self.n_steps, end * self.n_steps)).reshape(-1, self.n_steps)

    def of_first_step(self, epoch):
        """The factor of the first step of an epoch; where the run is over, that of the progress 1.

        Parameters
        ----------
        epoch : int

        Returns
        -------
        float
        """
        return float(self.of_steps(np.array([epoch * self.n_steps]))[0])

    def of_steps(self, steps):
        """The factors of steps of the run, counted from 0."""
        factors = np.ones(len(steps))
        if self.schedule.has_end:
            factors *= self.schedule.factor(np.minimum(steps / (self.n_epochs * self.n_steps), 1))
        if self.warmup_epochs > 0:
            with np.errstate(over="ignore"):  # of a warm-up much shorter than a step
                factors *= np.minimum((steps + 1) / (self.warmup_epochs * self.n_steps), 1)
        return factors


class DropoutFactors(RateFactors):
    """The factors of the rates of dropout in the steps of a run.

    Parameters
    ----------
    schedule : ProgressSchedule
    n_epochs, n_steps : int
        As for `RateFactors`.
    """

    def __init__(self, schedule, n_epochs, n_steps):
        super().__init__(schedule, 0.0, n_epochs, n_steps)

    def of_steps(self, steps):
        """The factors of steps of the run; ValueError for one above 1, with which a rate could be 1."""
        factors = super().of_steps(steps)
        if factors.max() > 1:
            raise ValueError(
                f"the factors of dropout_schedule must not be above 1, got {factors.max():g}: set larger rates of "
                "dropout, which the schedule lowers"
            )
        return factors
