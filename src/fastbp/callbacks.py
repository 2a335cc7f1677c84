"""Callbacks to use: a record, checkpoints, a time limit, a falling learning rate, the pruning of Optuna's trials.

They are given to an estimator as ``callbacks=[...]``. How to write one is described in `fastbp.training.callbacks`.
All but `History` and `OptunaPruner` are parametrized objects, of which each clone of an estimator gets its own.
"""

import os
import pickle
from numbers import Integral, Real
from os import PathLike
from time import perf_counter
from typing import Any

from sklearn.utils._param_validation import Interval

from fastbp.kernels.patience import Patience
from fastbp.parametrized import Parametrized, parameter, parametrized
from fastbp.training import Callback

__all__ = ["Callback", "Checkpoint", "History", "OptunaPruner", "ReduceOnPlateau", "TimeLimit"]

MONITOR = """
    What is watched: a column of the estimator's ``history_``, such as 'loss', 'validation_loss' or 'validation_score'.
    None: the score that early stopping watches; without a validation set, the training loss. Losses are to fall, scores
    to rise."""


def monitored(state, monitor):
    """The value that is watched, of the last epoch.

    Parameters
    ----------
    state : TrainingState
    monitor : str or None

    Returns
    -------
    value : float
    sign : int
        1 where larger is better, -1 for a loss.

    Raises
    ------
    ValueError
        For a column that there is not.
    """
    if monitor is None:
        return (state.loss, -1) if state.validation_score is None else (state.validation_score, 1)
    metrics = state.metrics
    if monitor not in metrics:
        raise ValueError(f"monitor must be None or one of {', '.join(metrics)}; got {monitor!r}")
    return metrics[monitor], -1 if monitor in ("loss", "validation_loss") else 1


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

    def __init__(self):
        self.fits = []
        self._running = {}

    @property
    def last(self):
        """dict of str to list of float: the record of the fit that began last."""
        return self.fits[-1]

    def on_fit_begin(self, state):
        """Begin a new record.

        Parameters
        ----------
        state : TrainingState
        """
        record = {}
        self._running[id(state)] = record, perf_counter()
        self.fits.append(record)

    def on_epoch_end(self, state):
        """Add an epoch to the record.

        Parameters
        ----------
        state : TrainingState
        """
        record, begin = self._running[id(state)]
        for name, value in {"epoch": state.epoch, **state.metrics, "elapsed": perf_counter() - begin}.items():
            record.setdefault(name, []).append(value)

    def on_fit_end(self, state):
        """The record is complete.

        Parameters
        ----------
        state : TrainingState
        """
        self._running.pop(id(state), None)

    def __getstate__(self):
        return self.__dict__ | {"_running": {}}


@parametrized(eq=False)
class TimeLimit(Parametrized):
    """Ends training after the first epoch (for 'lbfgs': iteration) that ends when so many seconds are over.

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

    def on_fit_begin(self, state):
        """Note the time.

        Parameters
        ----------
        state : TrainingState
        """
        self._validate_params()
        self._begin = perf_counter()

    def on_epoch_end(self, state):
        """Whether the time is over.

        Parameters
        ----------
        state : TrainingState

        Returns
        -------
        bool
        """
        return perf_counter() - self._begin >= self.seconds

    def state_dict(self):
        """The time that is over, for a resumed run: it counts on.

        Returns
        -------
        dict
        """
        return {"elapsed": perf_counter() - self._begin}

    def load_state_dict(self, state):
        """Go on from the time of the saved run.

        Parameters
        ----------
        state : dict
        """
        self._begin = perf_counter() - state["elapsed"]


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

    def on_fit_begin(self, state):
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

    def on_epoch_end(self, state):
        """Lower the rate if it is time.

        Parameters
        ----------
        state : TrainingState
        """
        value, sign = monitored(state, self.monitor)
        self._patience.observe(-sign * value)
        if self._patience.is_exhausted:
            self._patience.renew()
            state.learning_rate = min(state.learning_rate, max(self.factor * state.learning_rate, self.min_rate))

    def state_dict(self):
        """What has been counted, for a resumed run.

        Returns
        -------
        dict
        """
        return {"best": self._patience.best, "count": self._patience.count}

    def load_state_dict(self, state):
        """Count on.

        Parameters
        ----------
        state : dict
        """
        self._patience.best, self._patience.count = state["best"], state["count"]


@parametrized(eq=False)
class Checkpoint(Parametrized):
    """Saves the estimator during training, so that a run that ends before its time can be resumed.

    The file has the estimator with the weights of that epoch, without its callbacks. Its ending decides the format:
    ".safetensors" is that of `fastbp.save`, which holds no code and refuses parameters that are functions; any other
    ending means a pickle, to be loaded from sources that you trust only. The file is written aside, flushed to the
    disk, and then renamed: at any time it is a whole one. A process that is killed meanwhile leaves a file
    ``<path>.<hex digits>.tmp`` behind, which can be deleted.

    ``fit(X, y, ..., resume_from=path)`` of an estimator with the same parameters, on the same data, goes on with the
    run from that epoch, and gives the model of the uninterrupted run to the last bit: the file has all that changes in
    a run, such as the weights and their averages, the optimizer's state, the generator, the order of the rows, the
    record, patience and the best weights, and the state of callbacks. The estimator's `fit` tells which parameters may
    differ. The data are not in the file, but checksums of them. It is saved when all callbacks have seen the end of the
    epoch, wherever the `Checkpoint` stands among them. Beside what the estimator has, the file has the weights before
    training, with `early_stopping` the best ones, and 8 bytes for each row.

    The loaded estimator is also one like any other: it predicts, and `partial_fit` trains it on, with the optimizer's
    state, learning rate and generator of that epoch, after which it has no run to resume. `fit` with ``warm_start``
    goes on from the weights, with a new optimizer, patience and generator, as always.

    For 'lbfgs', whose state scipy does not give away, all losses and gradients since the beginning are kept and saved,
    and the optimizer is led along them when the run is resumed. They take one number for each weight, of the dtype of
    the network, for each evaluation: in memory as long as the fit lasts, and in each file.

    Parameters
    ----------
    {parameters}

    Examples
    --------
    >>> import pickle, tempfile
    >>> from pathlib import Path
    >>> from fastbp import MLPRegressor
    >>> from fastbp.callbacks import Checkpoint
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     saves = Checkpoint(Path(folder) / "model-{epoch:03}.pickle", every=20)
    ...     model = MLPRegressor(tol=0.1, n_iter_no_change=30, callbacks=saves).fit([[0.0], [1.0]], [0.0, 1.0])
    ...     pickle.loads((Path(folder) / "model-020.pickle").read_bytes()).n_iter_
    20

    A fit that goes on where it was interrupted, however often:

    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder) / "run.pickle"
    ...     model = MLPRegressor(tol=0.1, random_state=0, callbacks=Checkpoint(path, every=None, seconds=60))
    ...     model = model.fit([[0.0], [1.0]], [0.0, 1.0], resume_from=path if path.exists() else None)
    """

    path: str | PathLike = parameter(
        "model.pickle",
        [str, PathLike],
        "str or path",
        """
        The file; written over. ``{epoch}``, ``{loss}`` and ``{score}``, which there is with a validation set, are
        replaced as by `str.format`, so that several are kept: ``"model-{epoch:03}.pickle"``. Other braces are doubled.
        Its folder must be there.""",
    )

    every: int | None = parameter(
        1,
        [Interval(Integral, 1, None, closed="left"), None],
        "int or None",
        "Save after every so many epochs or iterations; None: by time only.",
    )

    best_only: bool = parameter(
        False, ["boolean"], "bool", "Save only where what is watched is better than ever before in this fit."
    )

    monitor: str | None = parameter(None, [str, None], "str or None", MONITOR)

    seconds: float | None = parameter(
        None,
        [Interval(Real, 0, None, closed="neither"), None],
        "float or None",
        """
        Save at the end of the first epoch that ends so many seconds after the last save, or after the beginning of the
        fit; None: by epochs only. Beside `every`, whichever comes first.""",
    )

    #: Has 'lbfgs' keep what a resumed run needs
    saves_run = True

    def on_fit_begin(self, state):
        """Forget the best value of an earlier fit.

        Parameters
        ----------
        state : TrainingState

        Raises
        ------
        ValueError
            If neither `every` nor `seconds` tells when to save.
        FileNotFoundError
            If there is no folder for the file: the training must not be lost when it is time to save.
        """
        self._validate_params()
        if self.every is None and self.seconds is None:
            raise ValueError("Checkpoint never saves with every=None and seconds=None: set one of them")
        folder = os.path.dirname(os.fspath(self.path))
        if folder and "{" not in folder and not os.path.isdir(folder):
            raise FileNotFoundError(f"path of Checkpoint: there is no folder {folder!r}; create it before fit")
        self._best, self._is_due, self._last_save = None, False, perf_counter()

    def on_epoch_end(self, state):
        """Find out whether it is time to save.

        Parameters
        ----------
        state : TrainingState
        """
        is_late = self.seconds is not None and perf_counter() - self._last_save >= self.seconds
        self._is_due = is_late or (self.every is not None and state.epoch % self.every == 0)
        if self._is_due and self.best_only:
            value, sign = monitored(state, self.monitor)
            is_best = value == value and (self._best is None or sign * value > self._best)  # NaN is never the best
            self._is_due, self._best = is_best, sign * value if is_best else self._best

    def on_epoch_complete(self, state):
        """Save, if it is time: now all callbacks have the state from which the run goes on.

        Parameters
        ----------
        state : TrainingState
        """
        if self._is_due:
            state.checkpoint._save_checkpoint(self._path(state))
            self._last_save = perf_counter()

    def state_dict(self):
        """The best value, for a resumed run.

        Returns
        -------
        dict
        """
        return {"best": self._best}

    def load_state_dict(self, state):
        """Compare with the best value of the saved run.

        Parameters
        ----------
        state : dict
        """
        self._best = state["best"]

    def _path(self, state):
        """The file for this epoch; ValueError where the text cannot be formatted."""
        try:
            return os.fspath(self.path).format(epoch=state.epoch, loss=state.loss, score=state.validation_score)
        except (LookupError, ValueError, TypeError) as error:
            raise ValueError(
                f"path={os.fspath(self.path)!r} of Checkpoint cannot be formatted with epoch={state.epoch}, "
                f"loss={state.loss:g} and score={state.validation_score}: {error!r}. Double the braces that are to "
                "stay; score needs a validation set."
            ) from error


def pickled(estimator):
    """The pickle of an estimator; TypeError where it has parameters that cannot be pickled."""
    try:
        return pickle.dumps(estimator)
    except (pickle.PicklingError, AttributeError, TypeError) as error:
        raise TypeError(
            f"Checkpoint cannot pickle the estimator: {error!r}. In its parameters, use functions and classes that a "
            "module defines, in place of lambdas and local ones."
        ) from error


@parametrized(eq=False)
class OptunaPruner(Parametrized):
    """Reports each epoch to a trial of Optuna, and ends the fit with ``optuna.TrialPruned`` if the trial is not
    promising.

    The fit then leaves the estimator as it was. A trial counts epochs: give it one fit, not a cross-validation.

    Parameters
    ----------
    {parameters}

    References
    ----------
    Akiba, Sano, Yanase, Ohta and Koyama (2019), Optuna: a next-generation hyperparameter optimization framework, KDD.

    Examples
    --------
    >>> from fastbp import MLPRegressor
    >>> from fastbp.callbacks import OptunaPruner
    >>> def objective(trial):
    ...     rate = trial.suggest_float("learning_rate_init", 1e-4, 1e-1, log=True)
    ...     model = MLPRegressor(learning_rate_init=rate, callbacks=OptunaPruner(trial))
    ...     return model.fit(X, y).loss_
    """

    trial: Any = parameter(None, "no_validation", "optuna.Trial", "Or any object with ``report`` and ``should_prune``.")

    monitor: str | None = parameter(
        None, [str, None], "str or None", MONITOR + " The study's direction is to agree with that."
    )

    def on_fit_begin(self, state):
        """Check the trial.

        Parameters
        ----------
        state : TrainingState

        Raises
        ------
        TypeError
            For an object without the two methods.
        """
        self._validate_params()
        for method in ("report", "should_prune"):
            if not callable(getattr(self.trial, method, None)):
                raise TypeError(f"trial must be an optuna.Trial, with a method {method}; got {self.trial!r}")

    def on_epoch_end(self, state):
        """Report, and prune.

        Parameters
        ----------
        state : TrainingState

        Raises
        ------
        optuna.TrialPruned
        """
        value, _ = monitored(state, self.monitor)
        self.trial.report(value, state.epoch)
        if self.trial.should_prune():
            from optuna import TrialPruned

            raise TrialPruned(f"after epoch {state.epoch}, with {self.monitor or 'a value'} of {value:g}")

    def __sklearn_clone__(self):
        return self
