"""The losses of classes and labels."""

from numbers import Integral, Real
from typing import ClassVar

import numpy as np

from fastbp.compatibility import Interval
from fastbp.kernels.activations import activation_forward
from fastbp.kernels.dispatch import LOSS_CONSTANT_LIMIT
from fastbp.losses.base import PROBABILITIES, Loss
from fastbp.parametrized import parameter, parametrized


@parametrized
class ClassLoss(Loss):
    """Base class of the losses of classes and labels, whose outputs are probabilities; not to be used itself.

    Attributes
    ----------
    is_binary : bool
        Whether the outputs are those of labels that are there or not; else those of classes, of which one occurs.
    """

    domain = PROBABILITIES
    mean_domain = PROBABILITIES
    is_binary: ClassVar[bool] = False

    @property
    def is_smoothed(self) -> bool:
        """bool: whether no class, and no label, has a target of 0 or 1."""
        return False

    def is_clipped(self, y: np.ndarray, a: np.ndarray) -> np.ndarray:
        """Where the probability of what occurs is below eps, or that of a label that does not is above 1 - eps.

        Parameters
        ----------
        y, a : ndarray of shape (n, n_outputs)

        Returns
        -------
        ndarray of bool of shape (n,)
        """
        eps = np.finfo(a.dtype).eps
        clipped = ((y > 0) | self.is_smoothed) & (a <= eps)
        if self.is_binary:
            clipped |= ((y < 1) | self.is_smoothed) & (a >= 1 - eps)
        return clipped.any(axis=1)


@parametrized
class SmoothedLoss(ClassLoss):
    """Base class of the log-losses, whose targets can be smoothed; not to be used itself."""

    label_smoothing: float = parameter(
        0.0,
        [Interval(Real, 0, 1, closed="left")],
        "float",
        """
        e in [0, 1): the targets become ``(1 - e) * y + e / K`` for K classes, so that probabilities of 0 and 1 are no
        longer the best ones. K is 2 for one output, and for labels that are there or not. (Szegedy et al., 2016,
        Rethinking the Inception architecture for computer vision, CVPR; PyTorch's ``cross_entropy`` has the same
        formula.)""",
    )

    @property
    def is_smoothed(self) -> bool:
        """bool: whether no class, and no label, has a target of 0 or 1."""
        return self.label_smoothing > 0

    @property
    def kernel(self) -> str:
        """str: the name in the kernels' table."""
        return f"smoothed_{self.name}" if self.label_smoothing else self.name

    @property
    def constants(self) -> tuple[float, ...]:
        """tuple of float: the smoothing, if there is any."""
        return (float(self.label_smoothing),) if self.label_smoothing else ()


@parametrized
class LogLoss(SmoothedLoss):
    """The log-loss of several classes, or cross-entropy, ``-sum_j y_j log(a_j)`` with the probabilities ``a`` of a row.

    With an output other than softmax it stands for `BinaryLogLoss`.

    Parameters
    ----------
    {parameters}

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


@parametrized
class BinaryLogLoss(SmoothedLoss):
    """The log-loss of labels that are there or not, ``-sum_j (y_j log(a_j) + (1 - y_j) log(1 - a_j))``.

    Parameters
    ----------
    {parameters}

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
    is_binary = True


@parametrized
class Focal(ClassLoss):
    """The focal loss of several classes, ``-sum_j y_j (1 - a_j)**gamma log(a_j)``: easy rows count less.

    With an output other than softmax it stands for `BinaryFocal`.

    Parameters
    ----------
    {parameters}

    References
    ----------
    Lin, Goyal, Girshick, He and Dollar (2017), Focal loss for dense object detection, ICCV, eq. 4.

    Examples
    --------
    >>> from fastbp.losses import Focal
    >>> Focal(gamma=1.0)
    Focal(gamma=1.0)
    """

    name = "focal"

    gamma: float = parameter(
        2.0,
        [Interval(Real, 0, None, closed="left")],
        "float",
        "How much less rows count whose class has a high probability; 0 is the log-loss.",
    )


@parametrized
class BinaryFocal(Focal):
    """The focal loss of labels that are there or not: the sum over j of
    ``-y_j (1 - a_j)**gamma log(a_j) - (1 - y_j) a_j**gamma log(1 - a_j)``.

    Parameters
    ----------
    {parameters}

    References
    ----------
    Lin, Goyal, Girshick, He and Dollar (2017), Focal loss for dense object detection, ICCV, eq. 4.

    Examples
    --------
    >>> from fastbp.losses import BinaryFocal
    >>> BinaryFocal().link
    'logistic'
    """

    name = "binary_focal"
    is_binary = True


@parametrized
class MultiOutputLogLoss(SmoothedLoss):
    """The log-loss of several columns of classes, one softmax for each: the sum over the columns of `LogLoss`.

    The network's outputs are raw, the softmax is part of the loss. The targets are the indicators of all columns, one
    after the other.

    Parameters
    ----------
    {parameters}

    Examples
    --------
    >>> import numpy as np
    >>> from fastbp.losses import MultiOutputLogLoss
    >>> MultiOutputLogLoss(n_classes=(2, 3)).predictions(np.zeros((1, 5))).round(2)
    array([[0.5 , 0.5 , 0.33, 0.33, 0.33]])
    """

    name = "multioutput_log_loss"

    n_classes: tuple[int, ...] = parameter(
        (2,), [list, tuple], "list of int", "The number of classes of each column, at least one."
    )

    @property
    def kernel(self) -> str:
        """str: the name in the kernels' table."""
        return self.name

    @property
    def constants(self) -> tuple[float, ...]:
        """tuple of float: the smoothing, and the numbers of classes."""
        return (float(self.label_smoothing), *map(float, self.n_classes))

    def _validate_params(self) -> None:
        super()._validate_params()
        if not all(isinstance(n, Integral) and n >= 1 for n in self.n_classes):
            raise ValueError(f"n_classes must hold integers >= 1, got {self.n_classes}")
        if not 1 <= len(self.n_classes) < LOSS_CONSTANT_LIMIT:
            raise ValueError(
                f"n_classes must have 1 to {LOSS_CONSTANT_LIMIT - 1} entries, one for each column of y, got "
                f"{len(self.n_classes)}; for more columns, fit several models, each on some of them"
            )

    def target_width(self, n_outputs: int) -> int:
        """As many columns as outputs.

        Parameters
        ----------
        n_outputs : int

        Returns
        -------
        int
        """
        if n_outputs != sum(self.n_classes):
            raise ValueError(
                f"n_classes={self.n_classes} needs a network with {sum(self.n_classes)} outputs, one for each class, "
                f"got {n_outputs}"
            )
        return n_outputs

    def accepts_output(self, activation: str) -> bool:
        """Whether an activation is the identity.

        Parameters
        ----------
        activation : str

        Returns
        -------
        bool
        """
        return activation == self.link

    def columns(self, array: np.ndarray) -> list[np.ndarray]:
        """The parts of an array that belong to each column of y.

        Parameters
        ----------
        array : ndarray of shape (n, n_outputs)

        Returns
        -------
        list of ndarray of shape (n, n_classes of the column)
        """
        return np.split(array, np.cumsum(self.n_classes)[:-1], axis=1)

    def predictions(self, output: np.ndarray) -> np.ndarray:
        """The probabilities of all classes of all columns.

        Parameters
        ----------
        output : ndarray of shape (n, n_outputs)

        Returns
        -------
        ndarray of shape (n, n_outputs)
        """
        return np.hstack([activation_forward(part, "softmax") for part in self.columns(output)])

    def is_clipped(self, y: np.ndarray, a: np.ndarray) -> np.ndarray:
        """Where the probability of a class that occurs is below eps.

        Parameters
        ----------
        y, a : ndarray of shape (n, n_outputs)

        Returns
        -------
        ndarray of bool of shape (n,)
        """
        return super().is_clipped(y, self.predictions(a))
