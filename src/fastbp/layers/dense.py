"""Fully connected layers, and functions of their output."""

from dataclasses import dataclass
from math import isfinite
from numbers import Real

from fastbp.activations import Prelu, resolve
from fastbp.kernels.dispatch import ACTIVATIONS
from fastbp.kernels.graph import Group
from fastbp.layers.base import Layer, check_factor, check_integer


@dataclass(frozen=True)
class Dense(Layer):
    """A fully connected layer: ``f(x W + b)``.

    Parameters
    ----------
    units : int
        Width of the output.
    activation : str or object of `fastbp.activations`, default="identity"
        The function f.
    use_bias : bool, default=True
        Whether to add b.
    learning_rate_factor : float, default=1.0
        The learning rate of W and b is multiplied by it.
    penalty_factor : float, default=1.0
        The penalties ``alpha`` and ``l1`` and the weight decay of W are multiplied by it; b has none of them.
    """

    units: int
    activation: object = "identity"
    use_bias: bool = True
    learning_rate_factor: float = 1.0
    penalty_factor: float = 1.0

    def check(self):
        """See `Layer.check`."""
        check_integer("units", self.units)
        resolve(self.activation)
        check_factor("learning_rate_factor", self.learning_rate_factor)
        check_factor("penalty_factor", self.penalty_factor)

    def emit(self, builder, node):
        """Append x W + b, and f unless it is the identity.

        Parameters
        ----------
        builder, node
            As for `Layer.emit`.

        Returns
        -------
        int
        """
        fan_in, rate = builder.widths[node], float(self.learning_rate_factor)
        factor = float(self.penalty_factor)
        blocks = [("W", (fan_in, int(self.units)), Group(rate, penalty=factor, decay=factor))]
        if self.use_bias:
            blocks.append(("b", (int(self.units),), Group(rate)))
        node = builder.emit("dense", node, self.units, blocks=blocks, layer=self)
        activation = resolve(self.activation)
        return node if activation == "identity" else emit_activation(builder, node, activation, self)

    def initialize(self, blocks, draw):
        """W and b as the network's initializer draws them.

        Parameters
        ----------
        blocks, draw
            As for `Layer.initialize`.
        """
        W, b = draw(*blocks[0].shape)
        for block, values in zip(blocks, (W, b), strict=False):
            block[...] = values


@dataclass(frozen=True)
class Activation(Layer):
    """A function of each number, or for softmax of each row: ``f(x)``.

    Parameters
    ----------
    activation : str or object of `fastbp.activations`
        `Prelu` and `Blend` have a trained parameter for each unit.
    """

    activation: object

    def check(self):
        """See `Layer.check`."""
        resolve(self.activation)

    def emit(self, builder, node):
        """Append f(x).

        Parameters
        ----------
        builder, node
            As for `Layer.emit`.

        Returns
        -------
        int
        """
        return emit_activation(builder, node, resolve(self.activation), self)

    def initialize(self, blocks, draw):
        """The same first value for all units.

        Parameters
        ----------
        blocks, draw
            As for `Layer.initialize`.
        """
        blocks[0][...] = resolve(self.activation).initial


@dataclass(frozen=True)
class Scale(Layer):
    """A trained factor for each feature: ``x * s``.

    Parameters
    ----------
    initial : float, default=1.0
        First value of all factors.
    learning_rate_factor : float, default=1.0
        The learning rate of s is multiplied by it.
    """

    initial: float = 1.0
    learning_rate_factor: float = 1.0

    def check(self):
        """See `Layer.check`."""
        if isinstance(self.initial, bool) or not isinstance(self.initial, Real) or not isfinite(self.initial):
            raise ValueError(f"initial must be a finite number, got {self.initial!r}")
        check_factor("learning_rate_factor", self.learning_rate_factor)

    def emit(self, builder, node):
        """Append x * s.

        Parameters
        ----------
        builder, node
            As for `Layer.emit`.

        Returns
        -------
        int
        """
        width = builder.widths[node]
        blocks = [("s", (width,), Group(float(self.learning_rate_factor)))]
        return builder.emit("scale", node, width, blocks=blocks, layer=self)

    def initialize(self, blocks, draw):
        """All factors alike.

        Parameters
        ----------
        blocks, draw
            As for `Layer.initialize`.
        """
        blocks[0][...] = self.initial


def emit_activation(builder, node, activation, layer):
    """Append an activation, as `fastbp.activations.resolve` gives it, for a layer."""
    width = builder.widths[node]
    if isinstance(activation, str):
        return builder.emit("activation", node, width, argument=ACTIVATIONS[activation], layer=layer)
    owner = Activation(activation)  # which initializes the parameters
    if isinstance(activation, Prelu):
        return builder.emit("prelu", node, width, blocks=[("slope", (width,), Group())], layer=owner)
    end = emit_activation(builder, node, resolve(activation.activation), layer)
    return builder.emit("blend", node, width, input2=end, blocks=[("alpha", (width,), Group())], layer=owner)
