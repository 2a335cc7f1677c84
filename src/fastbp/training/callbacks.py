"""Callbacks: the user's code that runs at the beginning of a fit, after each epoch, and at the end. Some are in
`fastbp.callbacks`, to be used as they are.

A callback is a plain object with any of the methods ``on_fit_begin(state)``, ``on_epoch_begin(state)``,
``on_epoch_end(state)``, which ends training by returning True, ``on_epoch_complete(state)`` and ``on_fit_end(state)``.
All get the same `TrainingState`. Where there are no callbacks the loop over epochs does not return to Python at all.
With `fit_batches`, where an epoch can take long, ``on_window_end(state)`` is called after each window of rows; it ends
training by returning True, too.

A callback that saves the run does so in ``on_epoch_complete(state)``, which is called after ``on_epoch_end`` of all
callbacks; see `fastbp.callbacks.Checkpoint`.

Callbacks and resumed runs
--------------------------
``fit(..., resume_from=checkpoint)`` goes on with a run that was saved; ``on_fit_begin`` is called, with a state that
has the epochs before in its record. A callback whose own state has an effect on the model has two methods, named as
PyTorch's: ``state_dict()`` returns this state, as dicts, lists, numbers, strings, None and NumPy arrays. It is called
when the run is saved. ``load_state_dict(state)`` is called with it in the resumed run, after ``on_fit_begin`` of all
callbacks. A learning rate or parameters of the network that ``on_fit_begin`` sets count at the beginning of a run only:
the resumed one has those of the saved run. The first callback of a class gets the state of the first one of this class
in the saved run, the second one that of the second, and so on. A callback without the methods, or without a saved one
of its class, starts anew; a state without a callback is not used. Where a callback had ended the saved run, the resumed
one ends at once, unless the callback is left out or has other parameters, such as a `TimeLimit` of more seconds.

Callbacks and copies of an estimator
------------------------------------
``sklearn.base.clone``, and so ``cross_val_score``, ``GridSearchCV`` and the like, copies the parameters of an
estimator, its callbacks among them, by ``copy.deepcopy``. A callback that cannot be copied, for instance because it
holds an open file, a lock or a connection, has three ways out:

- Let its class inherit from `fastbp.Callback`, or have a method ``__sklearn_clone__(self)`` that returns `self`: all
  clones share the one object. It is called in every fit, in several at the same time where fits run in threads.
- Let ``__sklearn_clone__`` return a new object for each clone.
- Open the file in ``on_fit_begin`` and close it in ``on_fit_end``, so that there is nothing to copy between fits.

With ``n_jobs=2`` and more, estimators go to other processes by pickle, whatever ``__sklearn_clone__`` does: the
callback must be picklable (``__getstate__`` leaves out what is not), and each process has a copy of its own. What such
a copy collects does not come back.
"""

import sys
from collections.abc import Iterable
from typing import Any, Self

from fastbp.losses import FunctionLoss
from fastbp.schedules import FunctionSchedule
from fastbp.training.callback_states import load_states, states_of
from fastbp.training.state import TrainingState
from fastbp.training.validation import call_scorer

EVENTS = ("on_fit_begin", "on_epoch_begin", "on_window_end", "on_epoch_end", "on_epoch_complete", "on_fit_end")


class Callback:
    """Base class of callbacks that the clones of an estimator share.

    A callback need not inherit from it: any object with one of the six methods will do. What the base class adds is
    ``__sklearn_clone__``: where scikit-learn copies an estimator (``clone``, ``cross_val_score``, ``GridSearchCV``),
    the copies get this very object and not a deep copy, so that it may hold an open file or any other thing that cannot
    be copied, and sees the fits of all of them. With ``n_jobs`` above 1 it must be picklable, and the processes have
    copies of their own.

    Examples
    --------
    >>> import sys
    >>> from fastbp import Callback, MLPRegressor
    >>> from sklearn.base import clone
    >>> class Log(Callback):
    ...     def __init__(self, file):
    ...         self.file = file
    ...
    ...     def on_epoch_end(self, state):
    ...         print(state.epoch, round(state.loss, 2), file=self.file)
    ...         return state.epoch == 2
    >>> model = clone(MLPRegressor(callbacks=Log(sys.stdout), alpha=0, random_state=0))
    >>> model.fit([[0.0], [1.0]], [0.0, 1.0]).n_iter_
    1 0.17
    2 0.16
    2
    """

    def on_fit_begin(self, state: TrainingState) -> None:
        """Called before the first epoch.

        Parameters
        ----------
        state : TrainingState
        """
        return None

    def on_epoch_begin(self, state: TrainingState) -> None:
        """Called before each epoch; with L-BFGS before each iteration, and once more where none follows.

        Parameters
        ----------
        state : TrainingState
        """
        return None

    def on_window_end(self, state: TrainingState) -> bool | None:
        """Called after each window of rows with `fit_batches`, which reads them in windows, and after each round with
        `fastbp.dask`; never else. The learning rate cannot be set here; the network's parameters can.

        Parameters
        ----------
        state : TrainingState

        Returns
        -------
        stop : bool
            True ends training. The epoch, which has fewer rows then, counts as one that is over.
        """
        return False

    def on_epoch_end(self, state: TrainingState) -> bool | None:
        """Called after each epoch, with L-BFGS after each iteration.

        Parameters
        ----------
        state : TrainingState

        Returns
        -------
        stop : bool
            True ends training.
        """
        return False

    def on_epoch_complete(self, state: TrainingState) -> None:
        """Called after each epoch when `on_epoch_end` of all callbacks has returned: for a callback that saves the run.

        Parameters
        ----------
        state : TrainingState
        """
        return None

    def on_fit_end(self, state: TrainingState) -> None:
        """Called when training is over, however it ended.

        Parameters
        ----------
        state : TrainingState
        """
        return None

    def __sklearn_clone__(self) -> Self:
        return self


class Callbacks:
    """The callbacks of a run, called at each event in their order; False if there are none.

    A context manager around the run: ``on_fit_begin`` of each callback is called when it is entered, and ``on_fit_end``
    of each whose ``on_fit_begin`` has returned when it is left, also after an exception, and also when another
    callback raises one.

    Parameters
    ----------
    callbacks : None, object, or list or tuple of objects
    state : TrainingState

    Raises
    ------
    TypeError
        For an object with none of the six methods.

    Attributes
    ----------
    answers : list of bool
        Whether each of them asked for the end of training after the last epoch, or the last window.
    """

    def __init__(self, callbacks: Any = None, state: TrainingState | None = None) -> None:
        if callbacks is None:
            callbacks = ()
        self.objects = list(callbacks) if isinstance(callbacks, (list, tuple)) else [callbacks]
        self.state = state
        self.begun: list[object] = []
        self.answers: list[bool] = []
        self.saved: list[dict[str, Any]] = []
        for number, callback in enumerate(self.objects):
            if isinstance(callback, type) or not any(callable(getattr(callback, event, None)) for event in EVENTS):
                raise TypeError(
                    f"callbacks[{number}] must be an object with a method {', '.join(EVENTS[:-1])} or {EVENTS[-1]}; "
                    f"got {callback!r}"
                )

    def __bool__(self) -> bool:
        return bool(self.objects)

    def notify(self, event: str) -> bool:
        """Call the event's method of every callback that has it. Whether one of them returned something true."""
        return any([self.notify_one(callback, event) for callback in self.objects])

    def notify_one(self, callback: object, event: str) -> bool:
        """Call the event's method of a callback, if it has one. Whether it returned something true."""
        method = getattr(callback, event, None)
        return callable(method) and bool(method(self.state))

    def see_rows(self, X: Any, targets: Any, sample_weight: Any, train_rows: Any) -> None:
        """Show the callbacks other rows, which take the place of those that training was begun with; arguments as the
        attributes of `TrainingState`."""
        if self.state is not None:
            self.state.see_rows(X, targets, sample_weight)
            self.state.train_rows = train_rows

    def end_window(self, n_rows: int, n_total: int, seconds_waited: float) -> bool:
        """Call ``on_window_end`` of all callbacks, of which there is one at least, and note their answers.

        Parameters
        ----------
        n_rows, n_total : int
            Rows of the epoch that are trained on, and all of them.
        seconds_waited : float
            For rows to be read, since the beginning of the run.

        Returns
        -------
        bool
            Whether one of them asked for the end of training.
        """
        state: Any = self.state
        state.rows_in_epoch, state.rows_of_epoch, state.seconds_waited = n_rows, n_total, seconds_waited
        try:
            self.answers = [self.notify_one(callback, "on_window_end") for callback in self.objects]
        finally:
            state.rows_in_epoch = state.rows_of_epoch = 0
        return self.ask_to_stop

    def end_epoch(self) -> None:
        """Call ``on_epoch_end`` of all callbacks and note their answers, then ``on_epoch_complete``."""
        before = self.answers if self.ask_to_stop else [False] * len(self.objects)  # of the last window
        self.answers = [
            self.notify_one(callback, "on_epoch_end") or answer
            for callback, answer in zip(self.objects, before, strict=True)
        ]
        self.notify("on_epoch_complete")

    @property
    def ask_to_stop(self) -> bool:
        """bool: whether one of them has asked for the end of training."""
        return any(self.answers)

    @property
    def save_run(self) -> bool:
        """bool: whether one of them saves the run."""
        return any(getattr(callback, "saves_run", False) for callback in self.objects)

    def state_dict(self) -> list[dict[str, Any]]:
        """What is to be known of each of them in a resumed run; see `fastbp.training.run_state`."""
        return states_of(self.objects, self.answers)

    def load_state_dict(self, state: list[dict[str, Any]]) -> None:
        """Have the callbacks go on from a state, after their ``on_fit_begin``.

        Parameters
        ----------
        state : list of dict
        """
        self.saved = state

    def __enter__(self) -> Self:
        self.begun = []
        try:
            for callback in self.objects:
                self.notify_one(callback, "on_fit_begin")
                self.begun.append(callback)
            self.answers = load_states(self.objects, self.saved)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *exception: object) -> None:
        self.end(self.begun)

    def end(self, callbacks: Iterable[object]) -> None:
        """Tell every callback of the end, also when one of them raises."""
        before, error = sys.exception(), None
        for callback in callbacks:
            try:
                self.notify_one(callback, "on_fit_end")
            except BaseException as latest:
                if error is not None:
                    follow(latest, error, before)
                error = latest
        if error is not None:
            context = error.__context__
            try:
                raise error
            finally:
                error.__context__ = context  # raise has set it to what was handled before


def follow(latest: BaseException, error: BaseException, before: BaseException | None) -> None:
    """Make `error` the context of `latest`, in place of `before`, which was being handled when both were raised."""
    while latest.__context__ is not None and latest.__context__ is not before and latest is not error:
        latest = latest.__context__
    if latest is not error:
        latest.__context__ = error


#: What calls code of the user's during training
USERS_FUNCTIONS = (Callbacks.notify_one, FunctionLoss.checked, FunctionSchedule.checked, call_scorer)
