"""Many estimators fitted on the same data at the same time."""

import ctypes
import threading
from collections.abc import Mapping, Sequence
from numbers import Integral

import numpy as np
from numpy.typing import ArrayLike
from scipy.sparse import issparse, sparray, spmatrix
from sklearn import config_context, get_config
from sklearn.base import clone
from sklearn.model_selection import ParameterGrid

from fastbp.data import check_sparse
from fastbp.estimators.base import BaseMLP
from fastbp.estimators.numeric import check_numeric
from fastbp.parametrized import Parametrized
from fastbp.threads import available_threads, no_more_threads

#: How often the calling thread, which waits for the others, lets Python deliver signals
SECONDS_BETWEEN_CHECKS = 0.05


def fit_many(
    estimators: Sequence[BaseMLP],
    X: ArrayLike | sparray | spmatrix,
    y: ArrayLike,
    sample_weight: ArrayLike | None = None,
    n_jobs: int | None = None,
) -> list[BaseMLP]:
    """Fit each estimator on the same data, several at a time, each in one thread.

    The models are those that ``estimator.fit(X, y)`` gives, to the last bit. For many small networks this is faster
    than one fit after the other: a small step gains little from a second thread.

    Parameters
    ----------
    estimators : sequence of MLPClassifier or MLPRegressor
        Fitted in place. Their `n_threads` has no effect on these fits. See `expand_grid` for a grid of parameters.
    X : array-like or sparse matrix of shape (n_samples, n_features)
        If it must be converted, for instance to float64, all estimators share one copy for each dtype. Data frames are
        converted by each estimator itself.
    y : array-like of shape (n_samples,) or (n_samples, n_outputs)
    sample_weight : array-like of shape (n_samples,), default=None
    n_jobs : int or None, default=None
        At most so many fits at a time; None or -1 for the threads that the process may use (see ``n_threads`` of the
        estimators).

    Returns
    -------
    list of MLPClassifier or MLPRegressor
        The estimators.

    Raises
    ------
    TypeError, ValueError
        If `estimators` holds anything else, an object twice, or objects that share what changes during a fit: a
        generator as `random_state`, or a callback of `fastbp.callbacks` other than `History`.
    Exception
        The exception of the first of the estimators whose fit failed, with a note that names it and the others that
        failed. All others are fitted by then; those that failed are unchanged.
    KeyboardInterrupt
        Ends all fits, also where a callback raises it; SystemExit does too. As after an interrupted `fit`, each
        estimator in work has the weights of its last complete step.

    Examples
    --------
    >>> from fastbp import MLPClassifier, expand_grid, fit_many
    >>> from sklearn.datasets import load_iris
    >>> X, y = load_iris(return_X_y=True)
    >>> model = MLPClassifier(max_iter=500, tol=0.01, random_state=0)
    >>> models = fit_many(expand_grid(model, {"alpha": [0.0001, 0.01], "activation": ["relu", "tanh"]}), X, y)
    >>> best = max(models, key=lambda model: model.score(X, y))
    """
    estimators = checked_estimators(estimators)
    shared = shared_rows(estimators, X)
    run = Fits(estimators, shared, y, sample_weight)
    run.run(min(checked_n_jobs(n_jobs), len(estimators)))
    errors = {number: error for number, error in enumerate(run.errors) if error is not None}
    if errors:
        first, error = next(iter(errors.items()))
        others = "" if len(errors) == 1 else f" Also failed: {', '.join(f'estimators[{i}]' for i in list(errors)[1:])}."
        error.add_note(f"This is the error of estimators[{first}] of fit_many, {estimators[first]!r}.{others}")
        raise error
    return estimators


def expand_grid(
    estimator: BaseMLP, param_grid: Mapping[str, Sequence] | Sequence[Mapping[str, Sequence]]
) -> list[BaseMLP]:
    """Unfitted clones of an estimator, one for each combination of parameters.

    Parameters
    ----------
    estimator : MLPClassifier or MLPRegressor
    param_grid : dict of str to sequence, or sequence of such dicts
        As for scikit-learn's ParameterGrid, whose order the clones have.

    Returns
    -------
    list of MLPClassifier or MLPRegressor

    Examples
    --------
    >>> from fastbp import MLPRegressor, expand_grid
    >>> expand_grid(MLPRegressor(), {"alpha": [0.01, 0.1]})
    [MLPRegressor(alpha=0.01), MLPRegressor(alpha=0.1)]
    """
    # the values are cloned too: an object, such as an optimizer, must not be shared by several estimators
    return [
        clone(estimator).set_params(**{name: clone(value, safe=False) for name, value in params.items()})
        for params in ParameterGrid(param_grid)
    ]


def checked_estimators(estimators):
    """The estimators as a list; TypeError or ValueError where they cannot be fitted at the same time."""
    if isinstance(estimators, BaseMLP) or not hasattr(estimators, "__iter__"):
        raise TypeError(f"estimators must be a list of MLPClassifier or MLPRegressor, got {estimators!r}")
    estimators = list(estimators)
    seen, owners = {}, {}
    for number, estimator in enumerate(estimators):
        if not isinstance(estimator, BaseMLP):
            raise TypeError(
                f"estimators[{number}] must be a MLPClassifier or MLPRegressor of fastbp, got "
                f"{type(estimator).__name__}"
            )
        if id(estimator) in seen:
            raise ValueError(
                f"estimators[{seen[id(estimator)]}] and estimators[{number}] are the same object; use "
                "sklearn.base.clone to fit it twice"
            )
        seen[id(estimator)] = number
        for name, value, way_out in of_one_fit(estimator):
            owner = owners.setdefault(id(value), number)
            if owner != number:
                raise ValueError(
                    f"estimators[{owner}] and estimators[{number}] share the {name} {value!r}: their results would "
                    f"depend on the order of the fits; {way_out}"
                )
    return estimators


def of_one_fit(estimator):
    """What changes during a fit, so that no two estimators may share it: (name, value, what to do about it) for each.

    Callbacks that are parametrized keep count of one fit; others, such as `History`, may be made for several.
    """
    if isinstance(estimator.random_state, (np.random.RandomState, np.random.Generator)):
        yield "random_state", estimator.random_state, "use different integers"
    callbacks = estimator.callbacks
    for callback in callbacks if isinstance(callbacks, (list, tuple)) else [callbacks]:
        if isinstance(callback, Parametrized):
            yield "callback", callback, "give each one of its own, as clones of one estimator have"


def checked_n_jobs(n_jobs):
    """The number of fits at a time."""
    if n_jobs is None or n_jobs == -1:
        return available_threads()
    if isinstance(n_jobs, bool) or not isinstance(n_jobs, Integral) or n_jobs < 1:
        raise ValueError(f"n_jobs must be None, -1 or an integer >= 1, got {n_jobs!r}")
    return int(n_jobs)


def shared_rows(estimators, X):
    """X for each estimator: arrays that no estimator has to convert, one for each dtype.

    Data frames, and what is not numeric, are left to the estimators.
    """
    check_sparse("X", X)
    if hasattr(X, "columns"):
        return [X] * len(estimators)
    if issparse(X):
        rows = X.tocsr()
    else:
        check_numeric("X", X)
        rows = np.asarray(X)
    if rows.dtype.kind not in "fiub":
        return [X] * len(estimators)
    own = "float32" if rows.dtype == np.float32 else "float64"
    wanted = [estimator.dtype for estimator in estimators]  # anything: `fit` checks it
    dtypes = [dtype if isinstance(dtype, str) and dtype in ("float32", "float64") else own for dtype in wanted]
    with np.errstate(over="ignore"):  # the estimator says that values are too large
        if issparse(rows):
            copies = {dtype: rows.astype(dtype, copy=False) for dtype in set(dtypes)}
        else:
            copies = {dtype: np.require(rows, dtype, "C") for dtype in set(dtypes)}
    return [copies[dtype] for dtype in dtypes]


class Fits:
    """Fits in threads, each of which takes the next estimator until there are no more.

    Parameters
    ----------
    estimators : list of BaseMLP
    rows : list of array-like
        X for each of them.
    y, sample_weight : array-like

    Attributes
    ----------
    errors : list of Exception or None
        Of each fit that failed.
    interruption : BaseException or None
        What ended a fit and is no Exception, such as a KeyboardInterrupt of a callback. It ends all fits.
    """

    def __init__(self, estimators, rows, y, sample_weight):
        self.estimators, self.rows, self.y, self.sample_weight = estimators, rows, y, sample_weight
        self.errors = [None] * len(estimators)
        self.numbers = iter(range(len(estimators)))
        self.lock = threading.Lock()
        self.config = get_config()  # each thread has its own
        self.stopped, self.interruption = False, None

    def run(self, n_threads):
        """Fit all estimators; an exception from outside stops the threads, and is raised when they have ended."""
        ended = {}  # of each thread that was started
        try:
            for i in range(n_threads):
                event = threading.Event()
                thread = threading.Thread(target=self.work, args=(event,), name=f"fit_many-{i}", daemon=True)
                thread.start()
                ended[thread] = event
            wait_for(ended, self.check)
            self.check()
        except BaseException:
            self.stopped = True
            for thread, event in ended.items():
                if not event.is_set():
                    # delivered between two steps of the training, as Ctrl-C is in the main thread
                    ctypes.pythonapi.PyThreadState_SetAsyncExc(
                        ctypes.c_ulong(thread.ident), ctypes.py_object(KeyboardInterrupt)
                    )
            wait_for(ended)
            raise

    def check(self):
        """Raise what interrupted a fit, if anything did."""
        if self.interruption is not None:
            raise self.interruption

    def work(self, ended):
        """What each thread does; `ended` is set at the end."""
        try:
            interruption = self.fit_next()
        finally:
            ended.set()
        self.interruption = self.interruption or interruption  # now `run` sends nothing to this thread

    def fit_next(self):
        """Fit one estimator after the other. Returns what interrupted a fit from inside, or None."""
        try:
            with config_context(**self.config):
                while not self.stopped:
                    with self.lock:
                        number = next(self.numbers, None)
                    if number is None:
                        break
                    try:
                        self.fit(number)
                    except Exception as error:
                        self.errors[number] = error
        except BaseException as error:
            if not self.stopped:  # else sent by `run`
                self.stopped = True
                return error
        return None

    def fit(self, number):
        """Fit an estimator in one thread."""
        with no_more_threads():
            self.estimators[number].fit(self.rows[number], self.y, self.sample_weight)


def wait_for(ended, check=lambda: None):
    """Wait until threads have ended, and let Python deliver signals meanwhile.

    Before Python 3.13, a thread whose ``join`` was interrupted by Ctrl-C is said not to be alive, whether it is or not.
    So threads set events.

    Parameters
    ----------
    ended : dict of Thread to Event
    check : callable
        Called now and then; what it raises ends the waiting.
    """
    for thread, event in ended.items():
        while not event.wait(SECONDS_BETWEEN_CHECKS):
            check()
        thread.join()
