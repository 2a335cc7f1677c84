"""Derivatives of functions: `grad`, `value_and_grad`, and `FormulaLoss`, a loss from its formula."""

import functools
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastbp.autodiff.variable import Variable


def value_and_grad(f: Callable[..., Any]) -> Callable[..., Any]:
    """Make the function that returns the value of f and its gradient.

    Parameters
    ----------
    f : callable
        Of Variables, to a Variable with one element.

    Returns
    -------
    callable
        Of the same arguments as arrays. Positional arguments are variables; keyword arguments are constants, passed
        to f unchanged. It returns (value, gradient), with a tuple of gradients for several positional arguments.

    Examples
    --------
    Minimization by an optimizer that needs both:

    >>> import numpy as np
    >>> from fastbp.autodiff import value_and_grad
    >>> from scipy.optimize import minimize
    >>> def rosenbrock(x):
    ...     return (100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2).sum()
    >>> result = minimize(value_and_grad(rosenbrock), np.zeros(3), jac=True)
    >>> result.x.round(3)
    array([1., 1., 1.])
    """

    @functools.wraps(f)
    def value_and_gradient(*args: Any, **constants: Any) -> Any:
        variables = [Variable(x) for x in args]
        output = f(*variables, **constants)
        if not isinstance(output, Variable):
            raise TypeError(f"{name_of(f)} must return a Variable computed from its arguments, got {output!r}")
        output.backward()
        # the gradient is None where the output does not depend on the argument
        gradients = tuple(np.zeros_like(x.value) if x.gradient is None else x.gradient for x in variables)
        return output.value[()], gradients[0] if len(gradients) == 1 else gradients

    return value_and_gradient


def grad(f: Callable[..., Any]) -> Callable[..., Any]:
    """Make the function that returns the gradient of f; see `value_and_grad`.

    Parameters
    ----------
    f : callable
        Of Variables, to a Variable with one element.

    Returns
    -------
    callable

    Examples
    --------
    >>> from fastbp.autodiff import grad
    >>> float(grad(lambda x: x**3)(2.0))
    12.0
    """
    both = value_and_grad(f)

    @functools.wraps(f)
    def gradient(*args: Any, **constants: Any) -> Any:
        return both(*args, **constants)[1]

    return gradient


class FormulaLoss:
    """A loss for the estimators (their parameter ``loss``) from its formula, without a derivative by hand.

    Parameters
    ----------
    formula : callable
        ``formula(y_true, raw_prediction)`` of an ndarray and a Variable, both of shape (n, n_outputs), to a Variable
        of shape (n,), or (n, n_outputs) to be summed over the outputs. raw_prediction is the network's output before
        the output activation. A row's loss must depend on that row only: no mean over rows. To be pickled with an
        estimator, the formula must be importable by its name: not a lambda, and not a function decorated with this
        class.

    Examples
    --------
    The logarithm of cosh, between the squared and the absolute error:

    >>> import numpy as np
    >>> from fastbp.autodiff import FormulaLoss, softplus
    >>> def log_cosh(y_true, raw_prediction):
    ...     error = raw_prediction - y_true
    ...     return error + softplus(-2 * error) - np.log(2)
    >>> loss, gradient = FormulaLoss(log_cosh)(np.zeros((2, 1)), np.array([[1.0], [-3.0]]))
    >>> loss.round(3), gradient.ravel().round(3)
    (array([0.434, 2.309]), array([ 0.762, -0.995]))
    """

    def __init__(self, formula: Callable[..., Any]) -> None:
        if not callable(formula):
            raise TypeError(f"formula must be a function of y_true and raw_prediction, got {formula!r}")
        self.formula = formula

    def __call__(
        self, y_true: NDArray[Any], raw_prediction: NDArray[Any], sample_weight: ArrayLike | None = None
    ) -> tuple[NDArray[Any], NDArray[Any]]:
        """Each row's loss and its gradient.

        Parameters
        ----------
        y_true, raw_prediction : ndarray of shape (n, n_outputs)
        sample_weight : array-like of shape (n,) or None
            Factors of the rows' losses, and so of their gradients.

        Returns
        -------
        loss : ndarray of shape (n,), of raw_prediction's dtype
        gradient : ndarray of shape (n, n_outputs), of raw_prediction's dtype
            d loss[i] / d raw_prediction[i].
        """
        x = Variable(raw_prediction, name="raw_prediction")
        rows = self.formula(y_true, x)
        if not isinstance(rows, Variable) or rows.is_constant:
            raise TypeError(
                f"{name_of(self.formula)} must return a Variable computed from raw_prediction, got {rows!r}"
            )
        n = x.shape[:1]
        if rows.shape not in (n, x.shape):
            raise ValueError(
                f"{name_of(self.formula)} must return one loss for each row, of shape {n} or {x.shape}, got "
                f"{rows.shape}; if it ends in a sum or a mean over the rows, leave that out"
            )
        if rows.ndim == 2:
            rows = rows.sum(axis=1)
        weight = np.ones(n, x.dtype) if sample_weight is None else np.asarray(sample_weight, x.dtype)
        if weight.shape != n:
            raise ValueError(f"sample_weight must have shape {n}, one for each row, got {weight.shape}")
        # no row depends on another: row i of d(Σ_i weight_i loss_i)/dx is the gradient of row i's loss
        rows.backward(weight)
        return weight * rows.value.astype(x.dtype, copy=False), x.gradient

    def __repr__(self) -> str:
        return f"FormulaLoss({name_of(self.formula)})"


def name_of(function: object) -> str:
    """The name of a function, for messages."""
    return getattr(function, "__name__", None) or repr(function)
