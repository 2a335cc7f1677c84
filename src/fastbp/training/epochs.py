"""What makes the steps of epochs: the rows in memory, or windows of rows that are read one after the other.

The `Trainer` decides about epochs: learning rates, patience, callbacks, the record. The steps are made by one of the
objects here, which have the same methods: `InMemoryEpochs`, and `WindowedEpochs` for data that are larger than memory.
``fastbp.dask`` has another one, whose steps are made by several processes.
"""

import math
from abc import ABC, abstractmethod
from time import perf_counter

import numpy as np

from fastbp.kernels.partition import ceil_div
from fastbp.kernels.training import COMPLETED, DIVERGED, GREW


class Epochs(ABC):
    """The methods that a `Trainer` calls; a context manager around its calls of `train`.

    Parameters
    ----------
    n_rows : int
        Rows of an epoch.
    batch_size : int

    Attributes
    ----------
    at_once : int or None
        Epochs that one call of `train` can make at most; None for any number.
    epochs_done : int
        Whole epochs of the last call of `train`.
    first_loss : float
        Mean loss of the first batch, before any step; NaN before. May be set to a better estimate.
    team : Team or None
        The running threads of training; None if there is one thread.
    n_trained : int
        Rows of the last epoch of the last call of `train`: fewer than `n_rows` if a callback has ended it before.
    data_stays : bool
        Whether the rows are at the same place in memory throughout.
    source_failed : bool
        Whether the exception that `train` raised is one of the source of the rows: no fault of the training.
    needs_statistics : bool
        Whether the running statistics of batch normalization have to be computed anew after each epoch.
    """

    at_once, needs_statistics = 1, False
    epochs_done, first_loss, team, data_stays, source_failed = 0, math.nan, None, True, False

    def __init__(self, n_rows, batch_size):
        self.n_rows, self.batch_size = n_rows, batch_size

    @property
    def n_trained(self):
        """int: rows of the last epoch that was trained."""
        return self.n_rows

    @property
    def n_steps(self):
        """int: steps of an epoch."""
        return ceil_div(self.n_rows, self.batch_size)

    def bind(self, trainer):
        """Get ready to train the network of a trainer.

        Parameters
        ----------
        trainer : Trainer
        """
        self.trainer = trainer

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        return None

    @abstractmethod
    def train(self, rates, losses, patience, seconds, decay_factors, dropout_factors):
        """Train epochs: change the parameters of the trainer's network, its optimizer and its average.

        Parameters
        ----------
        rates : ndarray of float64 of shape (n_epochs,) or (n_epochs, n_steps)
            Learning rate of each epoch, or of each of its steps; at most `at_once` epochs.
        losses : ndarray of shape (n_epochs,)
            Overwritten: the mean loss of each epoch.
        patience : Patience or None
            Notes the loss of every epoch.
        seconds : ndarray of shape (n_epochs,)
            Overwritten: the time from the beginning of this call to the end of each epoch.
        decay_factors, dropout_factors : ndarray of float64 of shape (n_epochs, n_steps) or None

        Returns
        -------
        n_epochs : int
        status : int
            As `TrainingLoop.train` returns them.
        """

    @abstractmethod
    def renew_statistics(self):
        """Set the running statistics of batch normalization to those at the parameters as they are now."""

    @abstractmethod
    def initial_loss(self):
        """float: the mean loss of all rows at the parameters with which the run began, with the penalty, as
        `TrainingLoop.train` computes it; or an estimate of it. Asked for after an epoch whose loss has grown."""


class InMemoryEpochs(Epochs):
    """Epochs over rows that are in memory.

    Parameters
    ----------
    data : Data
    rows : ndarray of int64 or None
        The rows to train on; shuffled in place each epoch if `random_state` is given. None: all as they stand.
    batch_size : int
    random_state : RandomState or None
    lock : lock or None
        To hold while `random_state` is drawn from, when others draw from it too.
    """

    at_once = None

    def __init__(self, data, rows, batch_size, random_state=None, lock=None):
        super().__init__(data.n_rows if rows is None else len(rows), batch_size)
        self.data, self.rows, self.random_state, self.lock = data, rows, random_state, lock

    def bind(self, trainer):
        """See `Epochs`."""
        super().bind(trainer)
        if trainer.mixup_alpha > 0 and self.rows is None:
            self.rows = np.arange(self.data.n_rows)  # mixed rows are written to a buffer, as rows that are picked
        self.loop = trainer.training_loop(self.data, self.batch_size, self.rows is not None)

    def __enter__(self):
        self.loop.__enter__()  # its threads live for the whole run
        return self

    def __exit__(self, *exception):
        self.loop.__exit__(*exception)

    @property
    def team(self):
        """Team or None: the running threads of training."""
        return self.loop.team if self.loop.team.n_threads > 1 else None

    @property
    def epochs_done(self):
        """int: whole epochs of the last call of `train`."""
        return self.loop.epochs_done

    @property
    def first_loss(self):
        """float: mean loss of the first batch, before any step."""
        return self.loop.first_loss

    @first_loss.setter
    def first_loss(self, value):
        self.loop.first_loss = value

    def train(self, rates, losses, patience, seconds, decay_factors, dropout_factors):
        """See `Epochs`."""
        trainer, loop = self.trainer, self.loop
        trainer.optimizer.attach(loop, trainer.network.alpha, l1=trainer.network.l1, **trainer.update_options)
        trainer.average.attach(loop)
        trainer.clock.note_call()
        try:
            return self.steps(rates, losses, patience, seconds, decay_factors, dropout_factors)
        finally:
            self.note_steps()

    def note_steps(self):
        """Have optimizer and average know how many steps were made."""
        self.trainer.optimizer.n_steps = self.loop.n_steps
        self.trainer.average.after_steps(self.loop.n_steps)

    def steps(self, rates, losses, patience, seconds, decay_factors, dropout_factors):
        """`train`, with the loop as it is set up for it."""
        return self.loop.train(
            self.rows,
            self.random_state,
            self.trainer.loss_scale,
            rates,
            losses,
            patience,
            self.lock,
            seconds,
            decay_factors,
            dropout_factors,
        )

    def renew_statistics(self):
        """See `Epochs`."""
        self.loop.renew_statistics(self.rows)

    def initial_loss(self):
        """See `Epochs`."""
        with self.trainer.at_initial_params() as network:
            return network.objective(self.data, self.trainer.loss_scale, team=self.team)[0]


class WindowedEpochs(InMemoryEpochs):
    """Epochs over windows of rows: one is trained on while the next one is read.

    Rows are shuffled in each window, and batches do not go across windows: all windows but the last one of an epoch
    hold a multiple of `batch_size`. So an epoch has as many steps as one over the same rows in memory; and where one
    window holds all rows, it comes to the same parameters, to the last bit.

    Parameters
    ----------
    windows : Windows
        Which has the first window.
    rows, batch_size, random_state, lock
        As for `InMemoryEpochs`; `rows` are the numbers of the rows of the first window. The order of a shorter window
        is that of its rows among these, shuffled once more.
    """

    at_once, data_stays = 1, False
    n_trained, mean_initial_loss = 0, 0.0

    def __init__(self, windows, rows, batch_size, random_state=None, lock=None):
        super().__init__(windows.current.data, rows, batch_size, random_state, lock)
        self.windows, self.n_rows, self.n_done = windows, windows.n_rows, 0

    def bind(self, trainer):
        """See `Epochs`."""
        super().bind(trainer)
        self.order = self.rows

    def __enter__(self):
        self.windows.begin(self.trainer.history.n_iter, self.loop.note_reading)
        try:
            return super().__enter__()
        except BaseException:
            self.windows.close()
            raise

    def __exit__(self, *exception):
        super().__exit__(*exception)
        self.windows.close()

    @property
    def source_failed(self):
        """bool: whether the source of the rows has raised an exception."""
        return self.windows.failed

    @property
    def epochs_done(self):
        """int: whole epochs of the last call of `train`."""
        return self.n_done

    def steps(self, rates, losses, patience, seconds, decay_factors, dropout_factors):
        """`train`, with the loop as it is set up for it."""
        self.n_done, self.n_trained, step, status, begin = 0, 0, 0, COMPLETED, perf_counter()
        self.mean_initial_loss = 0.0
        rates, decay_factors, dropout_factors = (
            None if numbers is None else np.broadcast_to(numbers.reshape(1, -1), (1, self.n_steps))
            for numbers in (rates, decay_factors, dropout_factors)
        )
        for window in self.windows.epoch():
            self.use(window)
            n_rows = window.data.n_rows
            part = np.s_[:, step : step + ceil_div(n_rows, self.batch_size)]
            _, status = self.loop.train(
                self.rows,
                self.random_state,
                self.trainer.loss_scale,
                rates[part],
                losses,
                lock=self.lock,
                decay_factors=None if decay_factors is None else decay_factors[part],
                dropout_factors=None if dropout_factors is None else dropout_factors[part],
                continues=step > 0,
            )
            step, self.n_trained = part[1].stop, self.n_trained + n_rows
            if status == DIVERGED:
                break
            self.note_initial_loss(status)
            if self.end_window():
                break
        if patience is not None and status == COMPLETED:
            patience.observe(losses[0])
        self.n_done, seconds[0] = 1, perf_counter() - begin
        return 1, status

    def end_window(self):
        """Have callbacks see the end of a window. Whether one of them asked for the end of training."""
        self.note_steps()
        try:
            return self.trainer.end_window(self.n_trained, self.n_rows, self.windows.seconds_waited)
        finally:
            self.trainer.average.attach(self.loop)  # it begins anew where a callback has edited the parameters

    def note_initial_loss(self, status):
        """Note the loss of this window at the initial parameters where it may be needed: where the loss of the epoch
        has grown so far. Other windows count as 0: only windows that raise the loss can tell that it was as large
        before. So a run whose loss does not grow pays nothing, and one window gives the loss of all rows."""
        data, loss = self.data, 0.0
        if status == GREW and self.trainer.initial_loss is None and data.weight_sum > 0:
            loss = super().initial_loss()
        share = data.n_rows / self.n_trained
        self.mean_initial_loss = (1 - share) * self.mean_initial_loss + share * loss  # may be inf

    def initial_loss(self):
        """See `Epochs`: an estimate from below, of the rows that the last epoch has trained on."""
        return self.mean_initial_loss

    def use(self, window):
        """Have the steps to come made of the rows of a window, and callbacks see these."""
        data, rows = window
        if data is not self.data:
            self.loop.plan.bind_data(data)
            self.data = data
        if self.order is not None:
            self.rows = self.order if data.n_rows == len(self.order) else self.order[self.order < data.n_rows]
        if rows is not None:
            self.trainer.callbacks.see_rows(*rows, self.rows)
