"""Epochs of gradient descent: the schedule, the stopping rule, the record.

The loop over batches runs in the kernels (`TrainingLoop.train`), and so does the loop over epochs as long as no Python
code has to run between two of them: `Trainer` asks for as many epochs as it can. With a validation set, a log or
callbacks it asks for one at a time.
"""

from contextlib import contextmanager
from time import perf_counter

import numpy as np

from fastbp.kernels.interrupts import is_interruption
from fastbp.kernels.training import COMPLETED, DIVERGED, GREW, GROWTH
from fastbp.training.averaging import NoAverage
from fastbp.training.callbacks import USERS_FUNCTIONS, Callbacks

NO_AVERAGE = NoAverage()

#: Epochs in one call of the compiled loop when no Python code runs between them; bounds the memory of their rates.
EPOCHS_AT_ONCE = 256

#: The attributes of a `Trainer` that change in a run and belong to no other object
OF_THE_RUN = ("exhausted", "first_loss", "initial_params", "initial_loss")


class Clock:
    """The training time of a run, which goes on from that of earlier runs.

    Parameters
    ----------
    n_epochs : int
        The most epochs in one call of the compiled loop.
    seconds : list of float
        The times of earlier runs.

    Attributes
    ----------
    ends : ndarray of shape (n_epochs,)
        Where the compiled loop writes the time from the beginning of a call to the end of each epoch.
    """

    def __init__(self, n_epochs, seconds):
        self.ends = np.empty(n_epochs)
        before = seconds[-1] if seconds and np.isfinite(seconds[-1]) else 0.0
        self.begin, self.call = perf_counter() - before, None

    def note_call(self):
        """The compiled loop is called now."""
        self.call = perf_counter() - self.begin

    def seconds(self, n_epochs):
        """The training time up to the end of each of the first epochs of this call: a list of float."""
        return (self.call + self.ends[:n_epochs]).tolist()


class Trainer:
    """Trains a network by mini-batch gradient descent.

    Parameters
    ----------
    network : Network
        Its parameters are overwritten.
    optimizer : OptimizerState
        Overwritten.
    schedule : Schedule
    history : History
        Written to.
    stopping : LossStopping or EarlyStopping
        Decides when training stops before its last epoch, and which parameters it leaves.
    learning_rate_init : float
        The rate from which the schedule starts.
    loss_scale : float
        Factor of the data's share in the recorded losses.
    verbose : bool
        Print a line for each epoch.
    callbacks : Callbacks or None
        Called after every epoch.
    update_options : dict or None
        What updates do besides the optimizer's formula: keyword arguments of `OptimizerState.attach`.
    factors : RateFactors or None
        Of the learning rate, from step to step; None: the rate changes between epochs only.
    decay_factors, dropout_factors : RateFactors or None
        Of weight decay and of the rates of dropout, from step to step; None: they stay.
    average : NoAverage, MovingAverage or EpochAverage
        Of the weights; callbacks, scores and the result see it, the recorded losses are those of the raw weights.
    mixup_alpha : float
        Both parameters of the distribution from which the shares of mixed rows are drawn; 0: rows are not mixed.

    Attributes
    ----------
    warning : str or None
        What the caller should warn of when it has stored the results.
    exhausted : bool
        Whether patience has run out and ends the run.
    first_loss : float
        As `TrainingLoop.first_loss`.
    initial_params : ndarray of shape (n_params,)
        The parameters at the beginning of the run.
    initial_loss : float or None
        Their mean loss over all rows, or an estimate of it, once it was needed.
    """

    def __init__(
        self,
        network,
        optimizer,
        schedule,
        history,
        stopping,
        *,
        learning_rate_init,
        loss_scale=1.0,
        verbose=False,
        callbacks=None,
        update_options=None,
        factors=None,
        decay_factors=None,
        dropout_factors=None,
        average=NO_AVERAGE,
        mixup_alpha=0.0,
    ):
        self.decay_factors, self.dropout_factors = decay_factors, dropout_factors
        self.network, self.factors, self.average, self.mixup_alpha = network, factors, average, mixup_alpha
        optimizer.factor = 1.0 if factors is None else factors.of_first_step(optimizer.n_epochs)
        self.optimizer = optimizer
        self.schedule = schedule
        self.history = history
        self.stopping = stopping
        self.learning_rate_init = learning_rate_init
        self.loss_scale = loss_scale
        self.verbose = verbose
        self.callbacks = callbacks or Callbacks()
        self.update_options = update_options or {}
        self.warning = None
        self.exhausted = False
        self.first_loss, self.initial_loss, self.initial_params = np.nan, None, None

    def run(self, epochs, max_iter):
        """Train until `max_iter` epochs are done or patience runs out.

        Parameters
        ----------
        epochs : Epochs
            Makes the steps.
        max_iter : int

        Returns
        -------
        stopped : bool
            Whether patience ran out, a callback asked for it, or the loss grew more than a million times; with early
            stopping also whether training diverged.

        Raises
        ------
        ValueError
            When the loss diverges without early stopping; the weights are then those before the step.
        BaseException
            Exceptions from outside, such as Ctrl-C, and those of a source of rows, for which ``history.interrupted`` is
            set. The weights are those of the last complete step, and complete epochs are recorded.
        """
        try:
            return self.run_epochs(epochs, max_iter)
        except BaseException as error:
            self.history.interrupted = epochs.source_failed or is_interruption(error, USERS_FUNCTIONS)
            raise
        finally:
            self.average.show(self.network)
            self.stopping.restore()

    def run_epochs(self, epochs, max_iter):
        """`run`, without what it does after an exception."""
        epochs.bind(self)
        history, optimizer, stopping, average = self.history, self.optimizer, self.stopping, self.average
        watched = stopping.is_scored or self.verbose or self.callbacks
        at_once = min(1 if watched else EPOCHS_AT_ONCE, epochs.at_once or max_iter, max_iter)
        for factors in (self.factors, self.decay_factors, self.dropout_factors):
            if factors is not None:
                at_once = min(at_once, factors.epochs_at_once)
        losses = np.empty(at_once)
        self.clock = Clock(at_once, history.seconds)
        epochs.first_loss = self.first_loss
        if self.initial_params is None:
            self.initial_params = self.network.params.copy()
        with epochs:
            while history.n_iter < max_iter and not self.has_stopped:
                self.callbacks.notify("on_epoch_begin")
                rates = self.coming_rates(self.coming_epochs(at_once, max_iter), epochs.n_rows)
                rates_of_steps, others = self.rates_of_steps(rates[:-1]), self.other_factors(len(rates) - 1)
                average.hide(self.network)
                try:
                    done, status = epochs.train(
                        rates_of_steps, losses, stopping.loop_patience, self.clock.ends, *others
                    )
                except BaseException:
                    self.record(epochs.epochs_done, epochs.n_rows, losses, rates, rates_of_steps)
                    raise
                finally:
                    self.first_loss = epochs.first_loss
                self.record(done, epochs.n_trained, losses, rates, rates_of_steps)
                if self.verbose:
                    print(f"Iteration {history.n_iter}, loss = {history.loss_curve[-1]:.8f}")
                if status == GREW and not self.has_grown(epochs):
                    status = COMPLETED
                    if stopping.loop_patience is not None:
                        stopping.loop_patience.observe(history.loss_curve[-1])
                if status in (DIVERGED, GREW):
                    self.diverged(status, np.max(rates_of_steps[done - 1]), epochs.first_loss)
                    return True
                average.after_epochs(self.network, history.n_iter)
                average.show(self.network)
                if average.needs_statistics or optimizer.optimizer.averages or epochs.needs_statistics:
                    epochs.renew_statistics()
                    average.note_statistics(self.network)
                evaluation = stopping.after_epoch(epochs.team)
                if evaluation is not None:
                    self.record_evaluation(*evaluation)
                # the schedule decides first, so that callbacks see the learning rate of the coming epoch
                self.exhausted = stopping.is_exhausted and not self.lower_rate()
                self.callbacks.end_epoch()
        return self.has_stopped

    @property
    def has_stopped(self):
        """bool: whether patience has run out, or a callback asked for the end."""
        return self.exhausted or self.callbacks.ask_to_stop

    def state_dict(self):
        """All that changes in a run and belongs to no other object; see `fastbp.training.run_state`."""
        return {name: getattr(self, name) for name in OF_THE_RUN}

    def load_state_dict(self, state):
        """Go on from a state.

        Parameters
        ----------
        state : dict
        """
        for name in OF_THE_RUN:
            setattr(self, name, state[name])

    def training_loop(self, data, batch_size, indexed):
        """The loop over the batches of `data`, as `Network.training_loop` makes it, with all that is for training
        only."""
        update_flops = self.optimizer.optimizer.update_flops(self.network.graph)
        loop = self.network.training_loop(data, batch_size, indexed, update_flops=update_flops, training=True)
        loop.plan.bind_mixup(self.mixup_alpha)
        return loop

    def end_window(self, n_rows, n_total, seconds_waited):
        """Call ``on_window_end`` of all callbacks, which see the average of the weights, as after an epoch; see
        `Callbacks.end_window`."""
        if not self.callbacks:
            return False
        self.average.show(self.network)
        try:
            return self.callbacks.end_window(n_rows, n_total, seconds_waited)
        finally:
            self.average.hide(self.network)

    def has_grown(self, epochs):
        """Whether the loss is also far larger than that of all rows at the initial parameters: the first batch may not
        contain the rows with the largest losses."""
        if self.initial_loss is None:
            self.initial_loss = epochs.initial_loss()
        epochs.first_loss = max(epochs.first_loss, self.initial_loss)
        return not self.history.loss_curve[-1] <= GROWTH * epochs.first_loss

    @contextmanager
    def at_initial_params(self):
        """The network, which has the parameters of the beginning of the run in the ``with`` block."""
        network, params = self.network, self.network.params.copy()
        network.params = self.initial_params
        try:
            yield network
        finally:
            network.params = params

    def record(self, n_epochs, n_rows, losses, rates, rates_of_steps):
        """Record epochs that are over."""
        history = self.history
        history.n_iter += n_epochs
        history.rows_seen += n_epochs * n_rows
        history.loss_curve.extend(losses[:n_epochs].tolist())
        first = rates_of_steps if rates_of_steps.ndim == 1 else rates_of_steps[:, 0]
        history.learning_rates.extend(first[:n_epochs].tolist())
        history.seconds.extend(self.clock.seconds(n_epochs))
        optimizer = self.optimizer
        optimizer.learning_rate, optimizer.n_epochs = float(rates[n_epochs]), optimizer.n_epochs + n_epochs
        if self.factors is not None:
            optimizer.factor = self.factors.of_first_step(optimizer.n_epochs)

    def coming_rates(self, n_epochs, n_rows):
        """The learning rates of the next epochs, and of the one after them."""
        rates = np.empty(n_epochs + 1)
        rate = self.optimizer.learning_rate
        for i in range(n_epochs + 1):
            rates[i] = rate
            rate = self.schedule.after_epoch(rate, self.history.rows_seen + (i + 1) * n_rows, self.learning_rate_init)
        return rates

    def coming_epochs(self, at_once, max_iter):
        """How many epochs the compiled loop is to run next, at most `at_once`."""
        n_iter = self.history.n_iter
        limits = [at_once, max_iter - n_iter, self.average.epochs_at_once(n_iter)]
        return min(limit for limit in limits if limit is not None)

    def rates_of_steps(self, rates):
        """The learning rates of the steps of the next epochs, whose rates without factors these are.

        Returns
        -------
        ndarray of shape (n_epochs,) or (n_epochs, n_steps)
        """
        begin = self.optimizer.n_epochs
        factors = None if self.factors is None else self.factors.of_epochs(begin, begin + len(rates))
        return rates if factors is None else rates[:, None] * factors

    def other_factors(self, n_epochs):
        """The factors of weight decay and dropout in the steps of the next epochs; None where all are 1."""
        begin = self.optimizer.n_epochs
        both = self.decay_factors, self.dropout_factors
        return [None if factors is None else factors.of_epochs(begin, begin + n_epochs) for factors in both]

    def record_evaluation(self, score, values):
        """Record what was computed on the validation set after an epoch."""
        self.history.add_validation(score, values)
        if self.verbose:
            print(f"Validation score: {score:f}")

    def lower_rate(self):
        """Patience has run out: let the schedule lower the learning rate. False if it ends training instead."""
        rate, comment = self.schedule.on_plateau(self.optimizer.learning_rate)
        if self.verbose:
            patience = self.stopping.patience
            epochs = f"{patience.limit:.0f} consecutive epochs"
            print(f"{self.stopping.watched} did not improve more than tol={patience.tol:f} for {epochs}. {comment}")
        if rate is None:
            return False
        self.optimizer.learning_rate = rate
        self.stopping.renew()
        return True

    def diverged(self, status, rate, first_loss):
        """The loss and its gradient are no longer finite, or the loss grew more than a million times: stop here, and
        say where and at which rate."""
        where = f"in epoch {self.history.n_iter} with learning rate {rate:g}"
        advice = "Scale the inputs, or lower learning_rate_init."
        if status == DIVERGED and not self.stopping.survives_divergence:
            raise ValueError(
                "Solver produced non-finite parameter weights. The input data may contain large values and need to be "
                f"preprocessed. The loss diverged {where}: scale the inputs, or lower learning_rate_init."
            )
        what = f"The loss diverged {where}"
        if status == GREW:
            what = f"The loss grew from {first_loss:g} before training to {self.history.loss_curve[-1]:g} {where}"
        if self.stopping.is_scored:
            self.record_evaluation(np.nan, {})
        self.warning = f"{what}; training stopped{self.stopping.kept_text}. {advice}"
