"""What all losses have in common."""

from numbers import Real
from typing import Any, ClassVar

import numpy as np

from fastbp.activations import output_range
from fastbp.compatibility import Interval
from fastbp.kernels.dispatch import LINKS, target_width
from fastbp.parametrized import Parametrized, parametrized

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
        The name that stands for an object with default parameters.
    domain : Interval
        Of the targets.
    mean_domain : Interval
        Of the network's outputs.
    """

    domain: ClassVar[Interval] = REAL_NUMBERS
    mean_domain: ClassVar[Interval] = REAL_NUMBERS

    @property
    def kernel(self) -> str:
        """str: the name in the kernels' table."""
        return self.name

    @property
    def estimates_spread(self) -> bool:
        """bool: whether the predictions tell how far targets lie from their middle."""
        return False

    @property
    def link(self) -> str:
        """str: the output activation that belongs to the loss, which the kernels compute together with it."""
        return LINKS[self.kernel]

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
        return target_width(self.kernel, n_outputs)

    def n_units(self, n_targets: int) -> int:
        """The units of the output layer.

        Parameters
        ----------
        n_targets : int
            Columns of the targets.

        Returns
        -------
        int
        """
        return n_targets

    def predictions(self, output: np.ndarray) -> np.ndarray:
        """What a network predicts that was trained with this loss.

        Parameters
        ----------
        output : ndarray of shape (n, n_units)
            Of the network.

        Returns
        -------
        ndarray of shape (n, n_predictions)
        """
        return output

    def point_predictions(self, predictions: np.ndarray) -> np.ndarray:
        """One number for each target, for a score.

        Parameters
        ----------
        predictions : ndarray
            As an estimator's `predict` returns them.

        Returns
        -------
        ndarray of the shape of the targets
        """
        return predictions

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

    def check_targets(self, y: np.ndarray) -> None:
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


def as_text(domain: Any) -> str:
    """The domain of a loss in words; it has a lower end."""
    low, high = domain.left, domain.right
    if high is not None:
        return f"in [{low:g}, {high:g}]"
    return f">= {low:g}" if domain.closed == "left" else "positive"
