"""The losses: what their targets may be, which output activation belongs to them, and the user's own.

The arithmetic of the built-in losses is in the kernels (``kernels/losses.h``). A new loss is one class here and its
functions there. A function of the user's is wrapped in a `FunctionLoss`.
"""

from collections.abc import Callable
from copy import copy
from dataclasses import MISSING
from numbers import Real
from typing import ClassVar

import numpy as np
from sklearn.utils._param_validation import Interval

from fastbp.activations import output_range
from fastbp.kernels.dispatch import LINKS, target_width
from fastbp.parametrized import Parametrized, parameter, parametrized

__all__ = [
    "LOSSES",
    "BinaryLogLoss",
    "FunctionLoss",
    "LogLoss",
    "Loss",
    "Poisson",
    "SquaredError",
    "as_loss",
    "resolve",
]

REAL_NUMBERS = Interval(Real, None, None, closed="neither")
NOT_NEGATIVE = Interval(Real, 0, None, closed="left")
POSITIVE = Interval(Real, 0, None, closed="neither")
PROBABILITIES = Interval(Real, 0, 1, closed="both")


@parametrized
class Loss(Parametrized):
    """Base class of the losses; not to be used itself.

    Attributes
    ----------
    name : str
        In the kernels' table; also the name that stands for an object with default parameters.
    domain : Interval
        Of the targets.
    mean_domain : Interval
        Of the network's outputs.
    """

    domain: ClassVar[Interval] = REAL_NUMBERS
    mean_domain: ClassVar[Interval] = REAL_NUMBERS

    @property
    def link(self) -> str:
        """str: the output activation that belongs to the loss: the derivative by its pre-activation is a - y."""
        return LINKS[self.name]

    def target_width(self, n_outputs: int) -> int:
        """The columns of the targets.

        Parameters
        ----------
        n_outputs : int
            Units of the output layer.

        Returns
        -------
        int
        """
        return target_width(self.name, n_outputs)

    def recorded_scale(self, n_outputs: int) -> float:
        """The factor of this loss in the estimators' ``loss_`` and ``loss_curve_``.

        Parameters
        ----------
        n_outputs : int

        Returns
        -------
        float
        """
        return 1.0

    def accepts_output(self, activation: str) -> bool:
        """Whether all outputs of an activation are in `mean_domain`.

        Parameters
        ----------
        activation : str

        Returns
        -------
        bool
        """
        return all(value in self.mean_domain for value in output_range(activation))

    def is_clipped(self, y: np.ndarray, a: np.ndarray) -> np.ndarray:
        """Where the loss clips an output: it is constant there, and its gradient is not zero.

        Parameters
        ----------
        y, a : ndarray of shape (n, n_targets), (n, n_outputs)
            Targets and outputs.

        Returns
        -------
        ndarray of bool of shape (n,)
            One for each row.
        """
        return np.zeros(len(a), bool)

    def check_targets(self, y: np.ndarray):
        """Check that targets are in the domain of the loss.

        Parameters
        ----------
        y : ndarray
            Not empty.

        Raises
        ------
        ValueError
            Names the smallest or largest target.
        """
        if self.domain is REAL_NUMBERS:
            return
        for what, value in (("smallest", y.min()), ("largest", y.max())):
            if value not in self.domain:
                raise ValueError(f"loss={self.name!r} requires y {as_text(self.domain)}, got a {what} y of {value}")


@parametrized
class SquaredError(Loss):
    """Half the squared error, ``sum_j (a_j - y_j)**2 / 2`` over the outputs of a row.

    In the estimators' ``loss_`` it is the mean over the outputs, as in scikit-learn (its issue 8349).

    Examples
    --------
    >>> from fastbp.losses import SquaredError
    >>> SquaredError().link
    'identity'
    """

    name = "squared_error"

    def recorded_scale(self, n_outputs: int) -> float:
        """One over the number of outputs.

        Parameters
        ----------
        n_outputs : int

        Returns
        -------
        float
        """
        return 1.0 / n_outputs


@parametrized
class LogLoss(Loss):
    """The log-loss of several classes, or cross-entropy, ``-sum_j y_j log(a_j)`` with the probabilities ``a`` of a row.

    With an output other than softmax it stands for `BinaryLogLoss`.

    References
    ----------
    Bishop (2006), Pattern Recognition and Machine Learning, eq. 4.108.

    Examples
    --------
    >>> from fastbp.losses import LogLoss
    >>> LogLoss().link
    'softmax'
    """

    name = "log_loss"
    domain = PROBABILITIES
    mean_domain = PROBABILITIES

    def is_clipped(self, y: np.ndarray, a: np.ndarray) -> np.ndarray:
        """Where the probability of a class that occurs is below eps.

        Parameters
        ----------
        y, a : ndarray of shape (n, n_outputs)

        Returns
        -------
        ndarray of bool of shape (n,)
        """
        eps = np.finfo(a.dtype).eps
        return ((y > 0) & (a <= eps)).any(axis=1)


@parametrized
class BinaryLogLoss(Loss):
    """The log-loss of labels that are there or not, ``-sum_j (y_j log(a_j) + (1 - y_j) log(1 - a_j))``.

    References
    ----------
    Bishop (2006), Pattern Recognition and Machine Learning, eq. 4.90.

    Examples
    --------
    >>> from fastbp.losses import BinaryLogLoss
    >>> BinaryLogLoss().link
    'logistic'
    """

    name = "binary_log_loss"
    domain = PROBABILITIES
    mean_domain = PROBABILITIES

    def is_clipped(self, y: np.ndarray, a: np.ndarray) -> np.ndarray:
        """Where a label occurs with a probability below eps, or does not with one above 1 - eps.

        Parameters
        ----------
        y, a : ndarray of shape (n, n_outputs)

        Returns
        -------
        ndarray of bool of shape (n,)
        """
        eps = np.finfo(a.dtype).eps
        return (((y > 0) & (a <= eps)) | ((y < 1) & (a >= 1 - eps))).any(axis=1)


@parametrized
class Poisson(Loss):
    """Half the Poisson deviance, ``sum_j (y_j log(y_j / a_j) - y_j + a_j)``, for counts ``y >= 0`` with means ``a``.

    References
    ----------
    McCullagh and Nelder (1989), Generalized Linear Models, 2nd edition, section 2.3.

    Examples
    --------
    >>> from fastbp.losses import Poisson
    >>> Poisson().link
    'exp'
    """

    name = "poisson"
    domain = NOT_NEGATIVE
    mean_domain = POSITIVE


#: name -> class of every built-in loss
LOSSES = {cls.name: cls for cls in (SquaredError, LogLoss, BinaryLogLoss, Poisson)}


@parametrized
class FunctionLoss(Loss):
    """A loss that is a function of the user's, called between the forward and the backward pass of each batch.

    Parameters
    ----------
    {parameters}

    Notes
    -----
    The signature is that of the loss functions in gradient boosting libraries and in ``sklearn._loss``. A gradient by
    the raw prediction is what lets a link and its loss cancel: for a logistic output and the log-loss it is ``p - y``.
    """

    function: Callable = parameter(
        MISSING,
        [callable],
        "callable",
        """
        ``function(y_true, raw_prediction, sample_weight) -> (loss, gradient)``. `y_true` and `raw_prediction`, of shape
        (n, n_outputs) and the network's dtype, are the targets (read-only; class numbers as indicators) and the output
        before the output activation; `sample_weight` is None or float64 of shape (n,), read-only. `loss`, of shape
        (n,), is the loss of each row, and `gradient`, of shape (n, n_outputs), its derivative by `raw_prediction`, both
        times the sample weights where there are any.""",
    )

    @property
    def link(self) -> str:
        """str: identity; the function is one of the raw prediction."""
        return "identity"

    @property
    def constants(self) -> tuple[float, ...]:
        """tuple: empty; the kernels do not compute this loss."""
        return ()

    def target_width(self, n_outputs: int) -> int:
        """As many as outputs.

        Parameters
        ----------
        n_outputs : int

        Returns
        -------
        int
        """
        return n_outputs

    @property
    def label(self) -> str:
        """str: the loss, for messages."""
        return f"loss={getattr(self.function, '__name__', None) or repr(self.function)}"

    def __call__(self, data, rows, raw, gradient, row_loss):
        """Fill in the loss and its gradient for a batch.

        Parameters
        ----------
        data : Data
        rows : slice, or ndarray of int64
            The rows of the data in the batch.
        raw : ndarray of shape (n, n_outputs)
        gradient : ndarray of shape (n, n_outputs)
            Overwritten.
        row_loss : ndarray of shape (n,)
            Overwritten; NaN when the gradient is not finite, so that the step is abandoned.
        """
        weight = data.sample_weight
        loss, slope = self.checked(data.targets(rows), raw, None if weight is None else weight[rows])
        with np.errstate(over="ignore"):  # what does not fit the network's dtype is not finite, as below
            row_loss[...], gradient[...] = loss, slope
        if not np.isfinite(gradient).all():
            row_loss[...] = np.nan

    def checked(self, y_true, raw_prediction, sample_weight):
        """(loss, gradient) of the function, as arrays.

        Parameters
        ----------
        y_true, raw_prediction : ndarray of shape (n, n_outputs)
        sample_weight : ndarray of shape (n,) or None

        Returns
        -------
        loss : ndarray of shape (n,)
        gradient : ndarray of shape (n, n_outputs)

        Raises
        ------
        TypeError, ValueError
            If the function returns anything but two arrays of real numbers of the right shapes.
        """
        if sample_weight is not None:
            sample_weight = sample_weight[:]  # a view: the user's own array stays writeable
            sample_weight.flags.writeable = False
        returned = self.function(y_true, raw_prediction.copy(), sample_weight)  # a copy: the workspace is used again
        if not isinstance(returned, (tuple, list)):
            raise TypeError(f"{self.label} must return (loss, gradient), got {type(returned).__name__}")
        if len(returned) != 2:
            raise TypeError(f"{self.label} must return (loss, gradient), got {len(returned)} values")
        shapes = {"loss": (len(raw_prediction),), "gradient": raw_prediction.shape}
        arrays = []
        for (name, shape), value in zip(shapes.items(), returned, strict=True):
            array = np.asarray(value)
            if array.dtype.kind not in "fiub":
                raise TypeError(f"the {name} from {self.label} must hold real numbers, got dtype {array.dtype}")
            if array.shape != shape:
                raise ValueError(f"the {name} from {self.label} must have shape {shape}, got {array.shape}")
            arrays.append(array)
        return arrays

    def check_weights(self, data):
        """Check that the function multiplies by the sample weights.

        Parameters
        ----------
        data : Data
            Some rows are evaluated with and without their weights.

        Raises
        ------
        ValueError
            If it does not: the weights would be without effect.
        """
        if data.sample_weight is None:
            return
        rows = np.flatnonzero(data.sample_weight != 1)[:16]
        if not rows.size:
            return
        y_true, weight = data.targets(rows), data.sample_weight[rows]
        raw = np.full_like(y_true, 0.5)
        plain = self.checked(y_true, raw, None)
        weighted = self.checked(y_true, raw, weight)
        for name, before, after in zip(("loss", "gradient"), plain, weighted, strict=True):
            factor = weight.reshape(-1, *[1] * (before.ndim - 1))
            if not np.allclose(after, before * factor, rtol=1e-3, equal_nan=True):
                raise ValueError(
                    f"the {name} from {self.label} must be multiplied by sample_weight where that is not None"
                )


def as_text(domain):
    """The domain of a loss in words; it has a lower end."""
    low, high = domain.left, domain.right
    if high is not None:
        return f"in [{low:g}, {high:g}]"
    return f">= {low:g}" if domain.closed == "left" else "positive"


def as_loss(loss: str | Loss | Callable) -> Loss:
    """The object that a name, an object or a function stands for.

    Parameters
    ----------
    loss : str, Loss or callable
        A key of ``LOSSES``; an object, of which a copy is made; or a function as `FunctionLoss` takes it.

    Returns
    -------
    Loss

    Raises
    ------
    ValueError
        For anything else, with all names.
    """
    if isinstance(loss, Loss) and (loss.name in LOSSES or isinstance(loss, FunctionLoss)):
        return copy(loss)
    if callable(loss) and not isinstance(loss, type):
        return FunctionLoss(loss)
    if not isinstance(loss, str) or loss not in LOSSES:
        raise ValueError(f"loss must be one of {', '.join(sorted(LOSSES))}; got {loss!r}")
    return LOSSES[loss]()


def resolve(loss: str | Loss | Callable, output_activation: str) -> Loss:
    """The loss that a network with some output activation trains with.

    Parameters
    ----------
    loss : str, Loss or callable
        As for `as_loss`.
    output_activation : str

    Returns
    -------
    Loss
        For a log-loss whose output is not its link, softmax, the binary one, which is summed over the outputs.
    """
    loss = as_loss(loss)
    return BinaryLogLoss() if isinstance(loss, LogLoss) and output_activation != loss.link else loss
