"""Fully connected layers, and functions of their output."""

from dataclasses import dataclass
from math import isfinite, sqrt
from numbers import Real
from typing import Any

from numpy.typing import NDArray

from fastbp.activations import Activation as ActivationFunction
from fastbp.activations import Blend, Prelu, resolve
from fastbp.kernels.dispatch import ACTIVATIONS
from fastbp.kernels.graph import GraphBuilder, Group
from fastbp.layers.base import Layer, check_factor, check_integer


@dataclass(frozen=True)
class Dense(Layer):
    """A fully connected layer: ``f(x W + b)``.

    Parameters
    ----------
    units : int or None
        Width of the output. None is for `output_layer` of the estimators, which know it.
    activation : str or object of `fastbp.activations`, default="identity"
        The function f.
    use_bias : bool, default=True
        Whether to add b.
    learning_rate_factor : float, default=1.0
        The learning rate of W and b is multiplied by it.
    penalty_factor : float, default=1.0
        The penalties ``alpha`` and ``l1`` and the weight decay of W are multiplied by it; b has none of them.
    parametrization : {'standard', 'ntk'}, default='standard'
        'ntk' is the neural tangent parametrization, for Adam and its relatives: the learning rate of W is divided by
        ``sqrt(fan_in)``, where fan_in is the number of inputs. See the notes.
    bias_learning_rate_factor : float, default=1.0
        The learning rate of b is multiplied by it too.

    Notes
    -----
    In the neural tangent parametrization (Jacot et al., 2018, section 3) the output is ``x V / sqrt(fan_in) + b``, and
    the numbers of V have the variance 1. Here W stands for ``V / sqrt(fan_in)``. The step of Adam does not depend on
    the scale of the gradient (but for `epsilon`): a step with the learning rate h changes each number of V by about h,
    and so each number of W by about ``h / sqrt(fan_in)``, which is a step of Adam on W with this learning rate. The
    same holds for other optimizers that divide by the size of the gradient, such as 'adamw', 'nadam', 'rmsprop' and
    'lion'. It does not hold for 'sgd', where the factor would be ``1 / fan_in``.

    Decoupled weight decay multiplies V, and therefore W, by ``1 - h * weight_decay`` in a step: it is not divided by
    ``sqrt(fan_in)``. The penalties ``alpha`` and ``l1`` are those of W.

    References
    ----------
    Jacot, Gabriel and Hongler (2018), Neural tangent kernel: convergence and generalization in neural networks,
    NeurIPS.
    """

    units: int | None
    activation: str | ActivationFunction = "identity"
    use_bias: bool = True
    learning_rate_factor: float = 1.0
    penalty_factor: float = 1.0
    parametrization: str = "standard"
    bias_learning_rate_factor: float = 1.0

    def check(self) -> None:
        """See `Layer.check`."""
        if self.units is not None:
            check_integer("units", self.units)
        resolve(self.activation)
        for name in ("learning_rate_factor", "penalty_factor", "bias_learning_rate_factor"):
            check_factor(name, getattr(self, name))
        if not isinstance(self.parametrization, str) or self.parametrization not in ("standard", "ntk"):
            raise ValueError(f"parametrization must be 'standard' or 'ntk', got {self.parametrization!r}")

    def emit(self, builder: GraphBuilder, node: int) -> int:
        """Append x W + b, and f unless it is the identity.

        Parameters
        ----------
        builder, node
            As for `Layer.emit`.

        Returns
        -------
        int
        """
        check_integer("units", self.units)
        units: Any = self.units
        fan_in, rate = builder.widths[node], float(self.learning_rate_factor)
        penalty, root = float(self.penalty_factor), sqrt(fan_in) if self.parametrization == "ntk" else 1.0
        # a step decays by learning_rate * factor of the learning rate * factor of the decay
        blocks: list[tuple[str, tuple[int, ...], Group]] = [
            ("W", (fan_in, int(units)), Group(rate / root, penalty=penalty, decay=penalty * root))
        ]
        if self.use_bias:
            blocks.append(("b", (int(units),), Group(rate * float(self.bias_learning_rate_factor))))
        node = builder.emit("dense", node, units, blocks=blocks, layer=self)
        activation = resolve(self.activation)
        return node if activation == "identity" else emit_activation(builder, node, activation, self)

    def initialize(self, blocks: list[NDArray[Any]], draw: Any) -> None:
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
    learning_rate_factor : float, default=1.0
        The learning rate of the trained parameters is multiplied by it.
    """

    activation: str | ActivationFunction
    learning_rate_factor: float = 1.0

    def check(self) -> None:
        """See `Layer.check`."""
        resolve(self.activation)
        check_factor("learning_rate_factor", self.learning_rate_factor)

    def emit(self, builder: GraphBuilder, node: int) -> int:
        """Append f(x).

        Parameters
        ----------
        builder, node
            As for `Layer.emit`.

        Returns
        -------
        int
        """
        return emit_activation(builder, node, resolve(self.activation), self, float(self.learning_rate_factor))

    def initialize(self, blocks: list[NDArray[Any]], draw: Any) -> None:
        """The same first value for all units.

        Parameters
        ----------
        blocks, draw
            As for `Layer.initialize`.
        """
        blocks[0][...] = resolve(self.activation).initial  # type: ignore[union-attr]


@dataclass(frozen=True)
class Scale(Layer):
    """A trained factor for each feature: ``x * s``.

    Parameters
    ----------
    initial : float, default=1.0
        First value of all factors.
    learning_rate_factor : float, default=1.0
        The learning rate of s is multiplied by it.
    penalty_factor : float, default=0.0
        The penalties ``alpha`` and ``l1`` and the weight decay of s are multiplied by it.
    """

    initial: float = 1.0
    learning_rate_factor: float = 1.0
    penalty_factor: float = 0.0

    def check(self) -> None:
        """See `Layer.check`."""
        if isinstance(self.initial, bool) or not isinstance(self.initial, Real) or not isfinite(self.initial):
            raise ValueError(f"initial must be a finite number, got {self.initial!r}")
        check_factor("learning_rate_factor", self.learning_rate_factor)
        check_factor("penalty_factor", self.penalty_factor)

    def emit(self, builder: GraphBuilder, node: int) -> int:
        """Append x * s.

        Parameters
        ----------
        builder, node
            As for `Layer.emit`.

        Returns
        -------
        int
        """
        width, penalty = builder.widths[node], float(self.penalty_factor)
        blocks = [("s", (width,), Group(float(self.learning_rate_factor), penalty=penalty, decay=penalty))]
        return builder.emit("scale", node, width, blocks=blocks, layer=self)

    def initialize(self, blocks: list[NDArray[Any]], draw: Any) -> None:
        """All factors alike.

        Parameters
        ----------
        blocks, draw
            As for `Layer.initialize`.
        """
        blocks[0][...] = self.initial


def check_output_layer(layer: object) -> None:
    """TypeError or ValueError unless the value of `output_layer` of an estimator is None, or a `Dense` that leaves
    units and activation to the estimator."""
    if layer is None:
        return
    if not isinstance(layer, Dense):
        raise TypeError(f"output_layer must be None or an object of fastbp.layers.Dense, got {layer!r}")
    if layer.units is not None:
        raise ValueError(f"output_layer must have units=None: the targets decide how many; got {layer!r}")
    if resolve(layer.activation) != "identity":
        raise ValueError(
            f"output_layer must have activation='identity': the loss, or output_activation, decides it; got {layer!r}"
        )


def emit_activation(
    builder: GraphBuilder, node: int, activation: str | Prelu | Blend, layer: Layer, rate: float = 1.0
) -> int:
    """Append an activation, as `fastbp.activations.resolve` gives it, for a layer; `rate`: the factor of the learning
    rate of trained parameters."""
    width = builder.widths[node]
    if isinstance(activation, str):
        return builder.emit("activation", node, width, argument=ACTIVATIONS[activation], layer=layer)
    owner = Activation(activation)  # which initializes the parameters
    if isinstance(activation, Prelu):
        return builder.emit("prelu", node, width, blocks=[("slope", (width,), Group(rate))], layer=owner)
    end = emit_activation(builder, node, resolve(activation.activation), layer, rate)
    return builder.emit("blend", node, width, input2=end, blocks=[("alpha", (width,), Group(rate))], layer=owner)
