"""Minimization of a function of one flat vector by L-BFGS, with the results of SciPy's L-BFGS-B without bounds."""

import numpy as np
from scipy.optimize import OptimizeResult

from fastbp.kernels.lbfgs import EVALUATE, FAILED, LBFGS

# What ended a minimization, in SciPy's words, which scikit-learn's warnings quote, and its status
GRADIENT_IS_SMALL = "CONVERGENCE: NORM OF PROJECTED GRADIENT <= PGTOL"
VALUE_IS_STABLE = "CONVERGENCE: RELATIVE REDUCTION OF F <= FACTR*EPSMCH"
NO_MORE_ITERATIONS = "STOP: TOTAL NO. OF ITERATIONS REACHED LIMIT"
NO_MORE_EVALUATIONS = "STOP: TOTAL NO. OF F,G EVALUATIONS EXCEEDS LIMIT"
STOPPED_BY_CALLBACK = "`callback` raised `StopIteration`."
NO_STEP_FOUND = "ABNORMAL: "
CONVERGED, LIMIT_REACHED, FAILED_SEARCH, STOPPED = 0, 1, 2, 99

#: SciPy's default tolerance of the relative reduction of the value
VALUE_TOL = 1e7 * np.finfo(float).eps


class Function:
    """A function that is not evaluated again at the point of its last evaluation.

    Parameters
    ----------
    value_and_gradient : callable
        As for `minimize`.

    Attributes
    ----------
    n_evaluations : int
    """

    def __init__(self, value_and_gradient):
        self.value_and_gradient = value_and_gradient
        self.point, self.result, self.n_evaluations = None, None, 0

    def __call__(self, x):
        """The value and the gradient at a point, an array that is not changed later."""
        if self.point is None or not np.array_equal(x, self.point):
            value, gradient = self.value_and_gradient(x)
            self.result = float(value), np.ascontiguousarray(gradient, np.float64)
            self.point = x
            self.n_evaluations += 1
        return self.result


def minimize(value_and_gradient, x, team, *, max_iter, max_fun, tol, callback=None):
    """Minimize a function by L-BFGS with a memory of 10 pairs.

    Parameters
    ----------
    value_and_gradient : callable
        ``value_and_gradient(x) -> (float, ndarray of shape (n,))``; it must keep no reference to the array of the
        gradient, and not change x.
    x : ndarray of float64 of shape (n,)
        The starting point.
    team : fastbp.kernels.team.Team
        Shares the work between two evaluations. Results do not depend on it.
    max_iter, max_fun : int
        Largest numbers of iterations and evaluations; at least one iteration is made. `max_fun` is checked after each
        iteration.
    tol : float
        Converged when no component of the gradient exceeds this, or when an iteration reduces the value by less than
        2e-9 of it, or of 1.
    callback : callable or None
        Called after each iteration with a result that has ``x`` and ``fun``. By StopIteration it ends the minimization.

    Returns
    -------
    OptimizeResult
        Like that of ``scipy.optimize.minimize(method="L-BFGS-B")``: ``x``, ``fun``, ``jac``, ``nit``, ``nfev``,
        ``status`` (0: converged, 1: a limit was reached, 2: no step was found, 99: by the callback), ``success`` and
        ``message``. If no step was found, ``fun`` is the value that was evaluated last.

    References
    ----------
    Liu and Nocedal (1989), On the limited memory BFGS method for large scale optimization.
    Zhu, Byrd, Lu and Nocedal (1997), Algorithm 778: L-BFGS-B, ACM Transactions on Mathematical Software 23.
    """
    function, search = Function(value_and_gradient), LBFGS(x, team)
    search.note(*function(search.x))
    message = GRADIENT_IS_SMALL if search.largest_gradient <= tol else None
    while message is None:
        task = search.iterate()
        while task == EVALUATE:
            task = search.note(*function(search.x))
        if task == FAILED:
            message = NO_STEP_FOUND
        elif _stops(callback, search):
            message = STOPPED_BY_CALLBACK
        elif search.n_iterations >= max_iter:
            message = NO_MORE_ITERATIONS
        elif function.n_evaluations > max_fun:
            message = NO_MORE_EVALUATIONS
        else:
            message = _convergence(search, tol)
    status = FAILED_SEARCH
    if message in (GRADIENT_IS_SMALL, VALUE_IS_STABLE):
        status = CONVERGED
    elif message == STOPPED_BY_CALLBACK:
        status = STOPPED
    elif search.n_iterations >= max_iter or function.n_evaluations > max_fun:
        status = LIMIT_REACHED
    return OptimizeResult(
        x=search.x,
        fun=search.loss,
        jac=search.gradient,
        nit=search.n_iterations,
        nfev=function.n_evaluations,
        status=status,
        success=status == CONVERGED,
        message=message,
    )


def _stops(callback, search):
    """Whether the callback ends the minimization after this iteration."""
    try:
        if callback is not None:
            callback(OptimizeResult(x=search.x, fun=search.loss))
    except StopIteration:
        return True
    return False


def _convergence(search, tol):
    """The message if the last iteration meets a tolerance."""
    if search.largest_gradient <= tol:
        return GRADIENT_IS_SMALL
    scale = max(abs(search.loss_before), abs(search.loss), 1)
    return VALUE_IS_STABLE if search.loss_before - search.loss <= VALUE_TOL * scale else None
