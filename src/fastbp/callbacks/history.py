"""A record of every epoch of every fit."""

from time import perf_counter
from typing import Any

from fastbp.training import Callback
from fastbp.training.state import TrainingState


class History(Callback):
    """Records every epoch of every fit; clones of an estimator share it.

    An estimator has a record of its own, ``history_``. This one also has the iterations of 'lbfgs', can be read while
    training goes on, and collects the fits of a cross-validation (in one process).

    Attributes
    ----------
    fits : list of dict of str to list of float
        A record for each fit, in the order in which they began. Its columns are 'epoch', those of ``history_`` that
        there are, and 'elapsed', the seconds since the fit began.

    Examples
    --------
    >>> from fastbp import MLPRegressor
    >>> from fastbp.callbacks import History
    >>> history = History()
    >>> model = MLPRegressor(tol=0.1, callbacks=history, random_state=0).fit([[0.0], [1.0]], [0.0, 1.0])
    >>> list(history.last)
    ['epoch', 'loss', 'learning_rate', 'seconds', 'elapsed']
    """

    def __init__(self) -> None:
        self.fits: list[dict[str, list[float]]] = []
        self._running: dict[int, tuple[dict[str, list[float]], float]] = {}

    @property
    def last(self) -> dict[str, list[float]]:
        """dict of str to list of float: the record of the fit that began last."""
        return self.fits[-1]

    def on_fit_begin(self, state: TrainingState) -> None:
        """Begin a new record.

        Parameters
        ----------
        state : TrainingState
        """
        record: dict[str, list[float]] = {}
        self._running[id(state)] = record, perf_counter()
        self.fits.append(record)

    def on_epoch_end(self, state: TrainingState) -> None:
        """Add an epoch to the record.

        Parameters
        ----------
        state : TrainingState
        """
        record, begin = self._running[id(state)]
        for name, value in {"epoch": state.epoch, **state.metrics, "elapsed": perf_counter() - begin}.items():
            record.setdefault(name, []).append(value)

    def on_fit_end(self, state: TrainingState) -> None:
        """The record is complete.

        Parameters
        ----------
        state : TrainingState
        """
        self._running.pop(id(state), None)

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_running": {}}
