"""A function of the user's as a loss."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastbp.kernels.data import Data
from fastbp.losses.base import Loss
from fastbp.parametrized import parametrized, required_parameter


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

    function: Callable[..., Any] = required_parameter(
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

    def __call__(
        self,
        y_true: NDArray[Any],
        sample_weight: NDArray[Any] | None,
        raw: NDArray[Any],
        gradient: NDArray[Any],
        row_loss: NDArray[Any],
    ) -> None:
        """Fill in the loss and its gradient for a batch.

        Parameters
        ----------
        y_true : ndarray of shape (n, n_outputs)
        sample_weight : ndarray of shape (n,) or None
        raw : ndarray of shape (n, n_outputs)
        gradient : ndarray of shape (n, n_outputs)
            Overwritten.
        row_loss : ndarray of shape (n,)
            Overwritten; NaN when the gradient is not finite, so that the step is abandoned.
        """
        loss, slope = self.checked(y_true, raw, sample_weight)
        with np.errstate(over="ignore"):  # what does not fit the network's dtype is not finite, as below
            row_loss[...], gradient[...] = loss, slope
        if not np.isfinite(gradient).all():
            row_loss[...] = np.nan

    def checked(
        self, y_true: NDArray[Any], raw_prediction: NDArray[Any], sample_weight: NDArray[Any] | None
    ) -> list[NDArray[Any]]:
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

    def check_weights(self, data: Data) -> None:
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
