"""Many estimators fitted on the same data at the same time."""

from collections.abc import Mapping, Sequence
from numbers import Integral
from typing import Any, TypeVar

import numpy as np
from numpy.typing import ArrayLike
from scipy.sparse import issparse, sparray, spmatrix
from sklearn import config_context, get_config
from sklearn.base import clone
from sklearn.model_selection import ParameterGrid

from fastbp.data import checked_csr, checked_sparse
from fastbp.estimators.base import BaseMLP
from fastbp.estimators.numeric import check_numeric
from fastbp.kernels.interrupts import stopped_when
from fastbp.kernels.pool import Pool
from fastbp.kernels.precision import PRECISIONS
from fastbp.mapped import is_mapped
from fastbp.parametrized import Parametrized
from fastbp.threads import available_threads, no_more_threads

E = TypeVar("E", bound=BaseMLP)


def fit_many(
    estimators: Sequence[E],
    X: ArrayLike | sparray | spmatrix,
    y: ArrayLike,
    sample_weight: ArrayLike | None = None,
    n_jobs: int | None = None,
) -> list[E]:
    """Fit each estimator on the same data, several at a time, each in one thread.

    The models are those that ``estimator.fit(X, y)`` gives, to the last bit. For many small networks this is faster
    than one fit after the other: a small step gains little from a second thread.

    Parameters
    ----------
    estimators : sequence of MLPClassifier or MLPRegressor
        Fitted in place. Their `n_threads` has no effect on these fits. See `expand_grid` for a grid of parameters.
    X : array-like or sparse matrix of shape (n_samples, n_features)
        If it must be converted, for instance to float64, all estimators share one copy for each dtype. Data frames are
        converted by each estimator itself, and so are the batches of an np.memmap.
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
    errors = fit_all(estimators, shared_rows(estimators, X), y, sample_weight, checked_n_jobs(n_jobs))
    if errors:
        first = min(errors)
        error = errors[first]
        others = (
            "" if len(errors) == 1 else f" Also failed: {', '.join(f'estimators[{i}]' for i in sorted(errors)[1:])}."
        )
        error.add_note(f"This is the error of estimators[{first}] of fit_many, {estimators[first]!r}.{others}")
        raise error
    return estimators


def expand_grid(
    estimator: E, param_grid: Mapping[str, Sequence[Any]] | Sequence[Mapping[str, Sequence[Any]]]
) -> list[E]:
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


def checked_estimators(estimators: Sequence[E]) -> list[E]:
    """The estimators as a list; TypeError or ValueError where they cannot be fitted at the same time."""
    if isinstance(estimators, BaseMLP) or not hasattr(estimators, "__iter__"):
        raise TypeError(f"estimators must be a list of MLPClassifier or MLPRegressor, got {estimators!r}")
    estimators = list(estimators)
    seen: dict[int, int] = {}
    owners: dict[int, Any] = {}
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

    Data frames, and what is not numeric or lies in a file, are left to the estimators.
    """
    X = checked_sparse("X", X)
    if hasattr(X, "columns") or is_mapped(X):
        return [X] * len(estimators)
    if issparse(X):
        rows = X if X.format == "csr" else checked_csr("X", X)
    else:
        check_numeric("X", X)
        rows = np.asarray(X)
    if rows.dtype.kind not in "fiub":
        return [X] * len(estimators)
    own = np.dtype(np.float32 if rows.dtype == np.float32 else np.float64)
    wanted = [estimator.dtype for estimator in estimators]  # anything: `fit` checks it
    dtypes = [PRECISIONS[name].dtype if isinstance(name, str) and name in PRECISIONS else own for name in wanted]
    with np.errstate(over="ignore"):  # the estimator says that values are too large
        if issparse(rows):
            copies = {dtype: rows.astype(dtype, copy=False) for dtype in set(dtypes)}
        else:
            copies = {dtype: np.require(rows, dtype, "C") for dtype in set(dtypes)}
    return [copies[dtype] for dtype in dtypes]


def fit_all(estimators, rows, y, sample_weight, n_threads):
    """Fit in threads; each takes the next estimator until there are no more.

    Parameters
    ----------
    estimators : list of BaseMLP
    rows : list of array-like
        X for each of them.
    y, sample_weight : array-like
    n_threads : int
        At most.

    Returns
    -------
    dict of int to Exception
        The errors of the fits that failed.

    Raises
    ------
    BaseException
        What is no Exception, such as Ctrl-C or a KeyboardInterrupt of a callback; all fits have ended then.
    """
    errors = {}

    def fit(number) -> None:
        try:
            estimators[number].fit(rows[number], y, sample_weight)
        except Exception as error:
            errors[number] = error

    in_threads(fit, range(len(estimators)), n_threads)
    return errors


def in_threads(function, items, n_threads) -> None:
    """Call a function for each item, in threads of which the calling one is the first. What it computes uses no further
    threads.

    Parameters
    ----------
    function : callable
        ``function(item)``.
    items : sequence
        Taken in this order.
    n_threads : int
        At most.

    Raises
    ------
    BaseException
        The first exception of the function, or one from outside, such as Ctrl-C; all calls have ended then.
    """
    config = get_config()  # each thread has a configuration of its own

    def work(pool) -> None:
        with config_context(**config), no_more_threads(), stopped_when(lambda: pool.halted):
            for number in pool:
                try:
                    function(items[number])
                except BaseException:
                    if pool.halted:  # by another thread, whose exception the pool raises
                        return
                    raise

    Pool(len(items)).run(work, n_threads)
