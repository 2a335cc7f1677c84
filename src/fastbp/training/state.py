"""What callbacks see of a run."""

from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastbp.network import Network
from fastbp.training.history import History


class TrainingState:
    """What a callback sees: live views, which are read-only by agreement, but for the network's parameters; L-BFGS
    keeps its own, and overwrites an edit.

    Attributes
    ----------
    network : Network
        The one in training; with early stopping, in on_fit_end the one with the best validation score. With `ema_decay`
        or `swa_start` it has the averaged weights, as soon as there are any. Training goes on from the raw ones, unless
        a callback edits the network's parameters: then from the edited ones, and the average begins anew.
    max_iter : int
        Most epochs of this run.
    X, targets, sample_weight : ndarray, sparse matrix or None
        What it trains on, as ``Network.loss_and_gradient`` takes them; of several labels, `targets` is a csr_array of
        ones; X is an np.memmap where `fit` was given one. With early stopping the held-out rows are among them;
        `train_rows` tells which are not. With `fit_batches` those of the window of
        rows that is trained on now, whose memory is used again for later ones.
    rows_in_epoch, rows_of_epoch : int
        In `on_window_end`: how many rows of the current epoch are trained on, and how many it has. Elsewhere 0.
    seconds_waited : float
        With `fit_batches` the time that training has waited for rows to be read.
    """

    network: Network
    max_iter: int
    X: Any
    targets: Any
    sample_weight: Any
    rows_in_epoch: int
    rows_of_epoch: int
    seconds_waited: float
    history: History

    def __init__(self, network: Network, max_iter: int, X: Any, targets: Any, sample_weight: Any = None) -> None:
        self.network = network
        self.max_iter = max_iter
        self.see_rows(X, targets, sample_weight)
        self.train_rows = None
        self.rows_in_epoch, self.rows_of_epoch, self.seconds_waited = 0, 0, 0.0
        self.history = History()
        self.optimizer: Any = None
        self.make_estimator: Any = None  # a function of the state that makes `estimator`
        self.make_checkpoint: Any = None  # a function of the state that makes `checkpoint`

    def see_rows(self, X: Any, targets: Any, sample_weight: Any) -> None:
        """Set the rows that it trains on."""
        self.X, self.targets, self.sample_weight = X, read_only(targets), sample_weight

    @property
    def train_rows(self) -> NDArray[np.int64] | None:
        """ndarray of int64 or None: a copy of the numbers of the rows trained on, in the order of the last epoch; None
        for all as they stand."""
        return None if self._train_rows is None else self._train_rows.copy()

    @train_rows.setter
    def train_rows(self, rows: NDArray[np.int64] | None) -> None:
        self._train_rows = rows

    @property
    def epoch(self) -> int:
        """int: epochs (for L-BFGS: iterations) of this run that are over; in `on_window_end` without the current one,
        as all that is recorded of epochs."""
        return self.history.n_iter

    @property
    def loss(self) -> float:
        """float: mean loss of the last epoch, NaN before the first."""
        return self.history.loss_curve[-1] if self.history.loss_curve else float("nan")

    @property
    def loss_curve(self) -> list[float]:
        """list of float: the mean loss of each epoch, over all runs that kept the weights."""
        return self.history.loss_curve

    @property
    def validation_score(self) -> float | None:
        """float or None: of the last epoch; None without a validation set."""
        scores = self.history.validation_scores
        return scores[-1] if scores else None

    @property
    def validation_scores(self) -> list[float] | None:
        """list of float or None: of every epoch."""
        return self.history.validation_scores

    @property
    def metrics(self) -> dict[str, float]:
        """dict of str to float: the last epoch, by the columns of the estimator's ``history_``; for L-BFGS the loss
        only. Empty before the first epoch."""
        return self.history.last_epoch()

    @property
    def estimator(self) -> Any:
        """MLPClassifier or MLPRegressor: a copy, as if training had ended now, with the weights of now. In
        `on_window_end`, `n_iter_`, `t_` and the record are those of the epochs that are over."""
        if self.make_estimator is None:
            raise AttributeError("state.estimator is there in a fit of an estimator only, and not in a copy by pickle")
        return self.make_estimator(self)

    @property
    def checkpoint(self) -> Any:
        """MLPClassifier or MLPRegressor: as `estimator`, without callbacks, and with the state of the run: saved by
        pickle, it can be given to ``fit(..., resume_from=...)``. It is there during the fit, and complete in
        `on_epoch_complete` only. For 'lbfgs' the callback needs a true attribute ``saves_run``, for which evaluations
        of the loss are kept.
        """
        if self.make_checkpoint is None:
            raise AttributeError("state.checkpoint is there during a fit of an estimator only")
        return self.make_checkpoint(self)

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"make_estimator": None, "make_checkpoint": None}

    @property
    def learning_rate(self) -> float | None:
        """float or None: of the coming step, the first one of an epoch; None for L-BFGS. It may be set: 'invscaling'
        computes the rates after that anew, any other schedule goes on from there. Where schedule or warm-up give each
        step a factor, the rates of all coming steps change in the same ratio; a factor of 0 leaves nothing to set. In
        `on_window_end` it is that of the first step of the current epoch, whose rates are decided: AttributeError where
        it is set there.
        """
        return None if self.optimizer is None else self.optimizer.learning_rate * self.optimizer.factor

    @learning_rate.setter
    def learning_rate(self, rate: float) -> None:
        if self.optimizer is None:
            raise AttributeError("state.learning_rate cannot be set: solver='lbfgs' has no learning rate")
        if self.rows_of_epoch:
            raise AttributeError(
                "state.learning_rate cannot be set in on_window_end: the rates of an epoch are decided when it "
                "begins. Set it in on_epoch_end or on_epoch_begin, or let it change from step to step by a schedule, "
                "such as learning_rate='cosine' or a function"
            )
        if isinstance(rate, bool) or not isinstance(rate, Real) or not 0 <= rate < float("inf"):
            raise ValueError(f"state.learning_rate must be a finite number of at least 0, got {rate!r}")
        if self.optimizer.factor > 0:
            self.optimizer.learning_rate = float(rate) / self.optimizer.factor

    @property
    def rows_seen(self) -> int:
        """int: rows trained on, over all runs that kept the weights; 0 for L-BFGS. In `on_window_end` those of the
        epochs that are over: `rows_in_epoch` come to them."""
        return self.history.rows_seen


def read_only(array: Any) -> Any:
    """A view of an ndarray that cannot be written to; anything else as it is."""
    if isinstance(array, np.ndarray):
        array = array.view()
        array.flags.writeable = False
    return array
