"""Normalization of rows and columns."""

from dataclasses import dataclass
from typing import Any, ClassVar

from numpy.typing import NDArray

from fastbp.kernels.graph import GraphBuilder, Group
from fastbp.layers.base import STATISTICS, Layer, check_epsilon, check_factor, check_positive


@dataclass(frozen=True)
class RowNorm(Layer):
    """Base of `LayerNorm` and `RMSNorm`."""

    epsilon: float = 1e-5
    learning_rate_factor: float = 1.0

    has_mean: ClassVar[bool]

    def check(self) -> None:
        """See `Layer.check`."""
        check_epsilon(self.epsilon)
        check_factor("learning_rate_factor", self.learning_rate_factor)

    def emit(self, builder: GraphBuilder, node: int) -> int:
        """Append the normalized rows.

        Parameters
        ----------
        builder, node
            As for `Layer.emit`.

        Returns
        -------
        int
        """
        width, group, has_mean = builder.widths[node], Group(float(self.learning_rate_factor)), int(self.has_mean)
        blocks = [(name, (width,), group) for name in ("gain", "shift")[: 1 + has_mean]]
        constants = (self.epsilon,)
        return builder.emit("row_norm", node, width, blocks=blocks, argument=has_mean, constants=constants, layer=self)

    def initialize(self, blocks: list[NDArray[Any]], draw: Any) -> None:
        """Gains of 1, and shifts of 0.

        Parameters
        ----------
        blocks, draw
            As for `Layer.initialize`.
        """
        for block, value in zip(blocks, (1, 0), strict=False):
            block[...] = value


@dataclass(frozen=True)
class LayerNorm(RowNorm):
    """Each row, normalized by its own mean and variance: ``(x - mean) / sqrt(variance + epsilon) * gain + shift``.

    Training and prediction are alike; rows do not depend on each other.

    Parameters
    ----------
    epsilon : float, default=1e-5
        Above 0.
    learning_rate_factor : float, default=1.0
        The learning rate of gain and shift is multiplied by it.

    References
    ----------
    Ba, Kiros and Hinton (2016), Layer normalization, eq. 4.
    """

    has_mean = True


@dataclass(frozen=True)
class RMSNorm(RowNorm):
    """Each row, normalized by its own root mean square: ``x / sqrt(mean(x^2) + epsilon) * gain``.

    Training and prediction are alike; rows do not depend on each other.

    Parameters
    ----------
    epsilon : float, default=1e-5
        Above 0.
    learning_rate_factor : float, default=1.0
        The learning rate of the gain is multiplied by it.

    References
    ----------
    Zhang and Sennrich (2019), Root mean square layer normalization, NeurIPS, eq. 4.
    """

    has_mean = False


@dataclass(frozen=True)
class BatchNorm(Layer):
    """Each column, normalized by its mean and variance: ``(x - mean) / sqrt(variance + epsilon) * gamma + beta``.

    In training these are the mean and the variance (divided by n) of the batch. Everywhere else (predictions,
    derivatives, ``Network.loss_and_gradient``, the loss of held-out rows) they are the running statistics, which each
    training step of an estimator updates, with the unbiased variance (divided by n - 1)::

        running = (1 - momentum) * running + momentum * statistic of the batch

    Running statistics are parameters without a gradient: ``Network.params`` and ``Network.blocks`` contain them, as do
    copies, averages of the weights and pickles, but no optimizer, penalty or limit of a norm changes them.

    Rows count by their sample weights: a row of weight 2 as two equal rows, one of weight 0 not at all. (In Keras and
    PyTorch the weights do not matter here.) A batch in which only one row counts has no variance: it is normalized by
    the running statistics, and leaves them as they are.

    Parameters
    ----------
    momentum : float, default=0.1
        The share of the batch in the running statistics, above 0 and up to 1, as in PyTorch. (Keras's momentum is 1
        minus this.)
    epsilon : float, default=1e-5
        Above 0.
    learning_rate_factor : float, default=1.0
        The learning rate of gamma and beta is multiplied by it.

    Notes
    -----
    A step needs the values of all rows of its batch at the same time. Other networks divide a batch whose step takes
    seconds; with this layer, Ctrl-C waits until the step ends.

    With ``solver='lbfgs'`` the batch is all rows, whose values in all layers are kept, and after each iteration the
    running statistics are theirs. With `swa_start`, and after the epochs of 'schedule_free', the running statistics are
    computed anew for the averaged weights, as the means over one pass of the batches; with `ema_decay` they are
    averaged with the weights.

    References
    ----------
    Ioffe and Szegedy (2015), Batch normalization: accelerating deep network training by reducing internal covariate
    shift, algorithms 1 and 2.
    """

    momentum: float = 0.1
    epsilon: float = 1e-5
    learning_rate_factor: float = 1.0

    def check(self) -> None:
        """See `Layer.check`."""
        check_positive("momentum", self.momentum)
        if self.momentum > 1:
            raise ValueError(f"momentum must be a number > 0 and <= 1, got {self.momentum!r}")
        check_epsilon(self.epsilon)
        check_factor("learning_rate_factor", self.learning_rate_factor)

    def emit(self, builder: GraphBuilder, node: int) -> int:
        """Append the normalized columns.

        Parameters
        ----------
        builder, node
            As for `Layer.emit`.

        Returns
        -------
        int
        """
        width, trained = builder.widths[node], Group(float(self.learning_rate_factor))
        groups = {"gamma": trained, "beta": trained, "mean": STATISTICS, "variance": STATISTICS}
        blocks = [(name, (width,), group) for name, group in groups.items()]
        constants = (self.epsilon, self.momentum)
        return builder.emit("batch_norm", node, width, blocks=blocks, constants=constants, layer=self)

    def initialize(self, blocks: list[NDArray[Any]], draw: Any) -> None:
        """Gamma and variance of 1, beta and mean of 0.

        Parameters
        ----------
        blocks, draw
            As for `Layer.initialize`.
        """
        for block, value in zip(blocks, (1, 0, 0, 1), strict=True):
            block[...] = value
