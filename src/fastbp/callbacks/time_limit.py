"""A limit of the time of training."""

from numbers import Real
from time import perf_counter
from typing import Any

from fastbp.compatibility import Interval
from fastbp.parametrized import Parametrized, parameter, parametrized
from fastbp.training.state import TrainingState


@parametrized(eq=False)
class TimeLimit(Parametrized):
    """Ends training after the first epoch (for 'lbfgs': iteration; with `fit_batches`: window of rows) that ends when
    so many seconds are over.

    The estimators' parameter `max_time` does the same. In a resumed run the time of the saved one counts.

    Parameters
    ----------
    {parameters}

    Examples
    --------
    >>> from fastbp import MLPRegressor
    >>> from fastbp.callbacks import TimeLimit
    >>> model = MLPRegressor(max_iter=10**9, tol=0, n_iter_no_change=10**9, callbacks=TimeLimit(0.01))
    >>> model.fit([[0.0], [1.0]], [0.0, 1.0]).n_iter_ < 10**9
    True
    """

    seconds: float = parameter(60.0, [Interval(Real, 0, None, closed="neither")], "float", "The limit.")

    def on_fit_begin(self, state: TrainingState) -> None:
        """Note the time.

        Parameters
        ----------
        state : TrainingState
        """
        self._validate_params()
        self._begin = perf_counter()

    def on_epoch_end(self, state: TrainingState) -> bool:
        """Whether the time is over.

        Parameters
        ----------
        state : TrainingState

        Returns
        -------
        bool
        """
        return perf_counter() - self._begin >= self.seconds

    def on_window_end(self, state: TrainingState) -> bool:
        """Whether the time is over; see `on_epoch_end`.

        Parameters
        ----------
        state : TrainingState

        Returns
        -------
        bool
        """
        return self.on_epoch_end(state)

    def state_dict(self) -> dict[str, Any]:
        """The time that is over, for a resumed run: it counts on.

        Returns
        -------
        dict
        """
        return {"elapsed": perf_counter() - self._begin}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from the time of the saved run.

        Parameters
        ----------
        state : dict
        """
        self._begin = perf_counter() - state["elapsed"]
