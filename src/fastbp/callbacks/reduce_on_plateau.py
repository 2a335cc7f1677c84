"""A learning rate that falls when what is watched no longer improves."""

from numbers import Integral, Real
from typing import Any

from fastbp.callbacks.monitor import MONITOR, monitored
from fastbp.compatibility import Interval
from fastbp.kernels.patience import Patience
from fastbp.parametrized import Parametrized, parameter, parametrized
from fastbp.training.state import TrainingState


@parametrized(eq=False)
class ReduceOnPlateau(Parametrized):
    """Multiplies the learning rate by a factor when what is watched no longer improves.

    Early stopping counts on meanwhile: its patience, `n_iter_no_change`, should be the larger one. A schedule that
    computes the rate from the number of epochs or rows, such as 'invscaling', overwrites the new rate.

    Parameters
    ----------
    {parameters}

    Examples
    --------
    >>> from fastbp import MLPRegressor
    >>> from fastbp.callbacks import ReduceOnPlateau
    >>> slower = ReduceOnPlateau(factor=0.5, patience=1, tol=10)
    >>> model = MLPRegressor(tol=0.1, n_iter_no_change=5, callbacks=slower, random_state=0)
    >>> model.fit([[0.0], [1.0]], [0.0, 1.0]).history_["learning_rate"]
    [0.001, 0.001, 0.001, 0.0005, 0.0005, 0.00025, 0.00025]
    """

    factor: float = parameter(0.1, [Interval(Real, 0, 1, closed="neither")], "float", "The factor, below 1.")

    patience: int = parameter(
        5,
        [Interval(Integral, 0, None, closed="left")],
        "int",
        "The rate falls after more than so many epochs in a row without an improvement by `tol`.",
    )

    tol: float = parameter(
        1e-4, [Interval(Real, 0, None, closed="left")], "float", "The least improvement that counts."
    )

    min_rate: float = parameter(0.0, [Interval(Real, 0, None, closed="left")], "float", "The rate falls no lower.")

    monitor: str | None = parameter(None, [str, None], "str or None", MONITOR)

    def on_fit_begin(self, state: TrainingState) -> None:
        """Begin to count.

        Parameters
        ----------
        state : TrainingState

        Raises
        ------
        ValueError
            For a solver without a learning rate.
        """
        self._validate_params()
        if state.learning_rate is None:
            raise ValueError("ReduceOnPlateau needs a learning rate, and solver='lbfgs' has none; leave it out")
        self._patience = Patience(self.tol, self.patience)

    def on_epoch_end(self, state: TrainingState) -> None:
        """Lower the rate if it is time.

        Parameters
        ----------
        state : TrainingState
        """
        value, sign = monitored(state, self.monitor)
        self._patience.observe(-sign * value)
        if self._patience.is_exhausted:
            self._patience.renew()
            rate: Any = state.learning_rate
            state.learning_rate = min(rate, max(self.factor * rate, self.min_rate))

    def state_dict(self) -> dict[str, Any]:
        """What has been counted, for a resumed run.

        Returns
        -------
        dict
        """
        return self._patience.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Count on.

        Parameters
        ----------
        state : dict
        """
        self._patience.load_state_dict(state)
