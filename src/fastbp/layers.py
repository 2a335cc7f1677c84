"""Layers as objects.

A layer describes itself: it emits operations into the computational graph, names the parameters that they own, and
fills in their first values. `fastbp.Network` and the estimators compile the graph into a program of kernels
(``fastbp.kernels.program``).

==============  ============================  =========================================
layer           output                        parameters
==============  ============================  =========================================
`Dense`         ``f(x W + b)``                W (fan_in, units), b (units,)
`Activation`    ``f(x)``                      none, or one for each unit
`Residual`      ``x + layers(x)``             those of its layers
`Scale`         ``x * s``                     s (width,), a factor for each feature
`LayerNorm`     ``(x - mean) / sd * g + s``   g, s (width,); mean and sd of the row
`RMSNorm`       ``x / rms * g``               g (width,); rms of the row
`BatchNorm`     ``(x - mean) / sd * g + b``   g, b (width,); mean and sd of the column over the batch
`Dropout`       ``x * mask / (1 - rate)``     none; active in training only
==============  ============================  =========================================

A new layer is one class here; a new kind of operation is one file in ``kernels/kinds/`` besides.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf, isfinite, sqrt
from numbers import Integral, Real
from typing import ClassVar

import numpy as np

from fastbp.activations import Prelu, resolve
from fastbp.kernels.dispatch import ACTIVATIONS
from fastbp.kernels.graph import Group

__all__ = ["Activation", "BatchNorm", "Dense", "Dropout", "Layer", "LayerNorm", "RMSNorm", "Residual", "Scale"]

#: The group of parameters that operations write
STATISTICS = Group(0.0, trained=False)


class Layer:
    """Base class of all layers.

    A layer describes operations and holds no parameters: these belong to the network. If the same object appears twice
    in a network, it has two sets of parameters.

    A subclass is a dataclass with a method ``emit(builder, node)``, which appends operations to a
    `fastbp.kernels.graph.GraphBuilder` and returns the node that holds its output, and, if it owns parameters,
    ``initialize(blocks, draw)``. Decorate it with ``@dataclass(frozen=True)``: a network keeps copies of its layers,
    and a change of a layer afterwards has no effect. To change a field, use ``dataclasses.replace``.
    """

    #: Whether it learns from the rows to train on before training begins: it has a method `adapt`.
    adapts: ClassVar[bool] = False

    #: Whether it takes missing numbers, which are NaN, in the columns that it reads.
    accepts_missing: ClassVar[bool] = False

    def __post_init__(self):
        self.check()

    def __setstate__(self, state):
        # copies and pickles do not call the constructor, and the values in a pickle may be damaged
        vars(self).update(state)
        self.check()

    def check(self):
        """ValueError or TypeError for a bad value of a field; called for every new object, also one that is a copy or
        from a pickle."""
        return None

    def emit(self, builder, node: int) -> int:
        """Append the layer's operations.

        Parameters
        ----------
        builder : GraphBuilder
        node : int
            The node that the layer reads.

        Returns
        -------
        int
            The node that holds its output.
        """
        raise TypeError(f"{type(self).__name__} must have a method emit(builder, node)")

    def initialize(self, blocks, draw):
        """Fill in the first values of the parameters of one of the layer's operations.

        Parameters
        ----------
        blocks : list of ndarray
            Views of the operation's parameters.
        draw : callable
            ``draw(fan_in, fan_out) -> (W, b)``: the network's initializer.
        """
        raise TypeError(f"{type(self).__name__} owns {len(blocks)} blocks of parameters and must have initialize")

    def adapt(self, blocks, X):
        """Set parameters of one of the layer's operations by the rows to train on, such as medians of columns. Only for
        a layer that says so by `adapts`, and reads the input of the network.

        Parameters
        ----------
        blocks : list of ndarray
            Views of the operation's parameters, after `initialize`.
        X : ndarray of shape (n, n_features)
            The rows. Not to be written to.
        """
        raise TypeError(f"{type(self).__name__} has adapts=True and must have a method adapt(blocks, X)")


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
    activation: object = "identity"
    use_bias: bool = True
    learning_rate_factor: float = 1.0
    penalty_factor: float = 1.0
    parametrization: str = "standard"
    bias_learning_rate_factor: float = 1.0

    def check(self):
        """See `Layer.check`."""
        if self.units is not None:
            check_integer("units", self.units)
        resolve(self.activation)
        for name in ("learning_rate_factor", "penalty_factor", "bias_learning_rate_factor"):
            check_factor(name, getattr(self, name))
        if not isinstance(self.parametrization, str) or self.parametrization not in ("standard", "ntk"):
            raise ValueError(f"parametrization must be 'standard' or 'ntk', got {self.parametrization!r}")

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
        check_integer("units", self.units)
        fan_in, rate = builder.widths[node], float(self.learning_rate_factor)
        penalty, root = float(self.penalty_factor), sqrt(fan_in) if self.parametrization == "ntk" else 1.0
        # a step decays by learning_rate * factor of the learning rate * factor of the decay
        blocks = [("W", (fan_in, int(self.units)), Group(rate / root, penalty=penalty, decay=penalty * root))]
        if self.use_bias:
            blocks.append(("b", (int(self.units),), Group(rate * float(self.bias_learning_rate_factor))))
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
    learning_rate_factor : float, default=1.0
        The learning rate of the trained parameters is multiplied by it.
    """

    activation: object
    learning_rate_factor: float = 1.0

    def check(self):
        """See `Layer.check`."""
        resolve(self.activation)
        check_factor("learning_rate_factor", self.learning_rate_factor)

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
        return emit_activation(builder, node, resolve(self.activation), self, float(self.learning_rate_factor))

    def initialize(self, blocks, draw):
        """The same first value for all units.

        Parameters
        ----------
        blocks, draw
            As for `Layer.initialize`.
        """
        blocks[0][...] = resolve(self.activation).initial


@dataclass(frozen=True)
class Residual(Layer):
    """A connection past some layers: ``x + layers(x)`` (He, Zhang, Ren and Sun, 2016, Deep residual learning for image
    recognition, eq. 1).

    Parameters
    ----------
    layers : sequence of Layer
        Their last output must be as wide as x. Kept as a tuple.
    """

    layers: Sequence = ()

    def check(self):
        """See `Layer.check`. Also makes a tuple of the layers."""
        object.__setattr__(self, "layers", tuple(check_layers("layers", self.layers)))

    def emit(self, builder, node):
        """Append the layers, and the sum.

        Parameters
        ----------
        builder, node
            As for `Layer.emit`.

        Returns
        -------
        int
        """
        if not self.layers:
            raise ValueError("a Residual needs at least one layer")
        end = node
        for layer in self.layers:
            end = layer.emit(builder, end)
        width = builder.widths[node]
        if builder.widths[end] != width:
            raise ValueError(
                f"the layers of a Residual must end with the width that they begin with, {width}; got "
                f"{builder.widths[end]} from {list(self.layers)}"
            )
        return builder.emit("add", node, width, input2=end, layer=self)


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

    def check(self):
        """See `Layer.check`."""
        if isinstance(self.initial, bool) or not isinstance(self.initial, Real) or not isfinite(self.initial):
            raise ValueError(f"initial must be a finite number, got {self.initial!r}")
        check_factor("learning_rate_factor", self.learning_rate_factor)
        check_factor("penalty_factor", self.penalty_factor)

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
        width, penalty = builder.widths[node], float(self.penalty_factor)
        blocks = [("s", (width,), Group(float(self.learning_rate_factor), penalty=penalty, decay=penalty))]
        return builder.emit("scale", node, width, blocks=blocks, layer=self)

    def initialize(self, blocks, draw):
        """All factors alike.

        Parameters
        ----------
        blocks, draw
            As for `Layer.initialize`.
        """
        blocks[0][...] = self.initial


@dataclass(frozen=True)
class RowNorm(Layer):
    """Base of `LayerNorm` and `RMSNorm`."""

    epsilon: float = 1e-5
    learning_rate_factor: float = 1.0

    has_mean: ClassVar[bool]

    def check(self):
        """See `Layer.check`."""
        check_epsilon(self.epsilon)
        check_factor("learning_rate_factor", self.learning_rate_factor)

    def emit(self, builder, node):
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

    def initialize(self, blocks, draw):
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

    def check(self):
        """See `Layer.check`."""
        check_positive("momentum", self.momentum)
        if self.momentum > 1:
            raise ValueError(f"momentum must be a number > 0 and <= 1, got {self.momentum!r}")
        check_epsilon(self.epsilon)
        check_factor("learning_rate_factor", self.learning_rate_factor)

    def emit(self, builder, node):
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

    def initialize(self, blocks, draw):
        """Gamma and variance of 1, beta and mean of 0.

        Parameters
        ----------
        blocks, draw
            As for `Layer.initialize`.
        """
        for block, value in zip(blocks, (1, 0, 0, 1), strict=True):
            block[...] = value


@dataclass(frozen=True)
class Dropout(Layer):
    """Random zeros in training: ``x * mask / (1 - rate)``, where each number of the mask is 0 with the probability
    `rate`, else 1. Predictions, derivatives and the loss of held-out rows are computed without it.

    The estimators draw a seed from `random_state` for each `fit`. A mask is a hash of the seed, the number of the step,
    the layer, the row of the batch and the unit: the results do not depend on the number of threads.

    Parameters
    ----------
    rate : float
        In [0, 1).

    References
    ----------
    Srivastava, Hinton, Krizhevsky, Sutskever and Salakhutdinov (2014), Dropout: a simple way to prevent neural networks
    from overfitting, Journal of Machine Learning Research 15. Inverted: the factor 1 / (1 - rate) in training takes
    the place of a factor in prediction.
    """

    rate: float

    def check(self):
        """See `Layer.check`."""
        check_rate("rate", self.rate)

    def emit(self, builder, node):
        """Append x * mask / (1 - rate), unless the rate is 0.

        Parameters
        ----------
        builder, node
            As for `Layer.emit`.

        Returns
        -------
        int
        """
        if self.rate == 0:
            return node
        return builder.emit("dropout", node, builder.widths[node], constants=(self.rate,), layer=self)


def check_layers(name, layers):
    """The layers as a list; TypeError unless each of them is a `Layer`.

    Parameters
    ----------
    name : str
        Of the argument, for the message.
    layers : sequence of Layer

    Returns
    -------
    list of Layer
    """
    if isinstance(layers, (str, Layer)) or not hasattr(layers, "__iter__"):
        raise TypeError(f"{name} must be a list of objects of fastbp.layers, got {layers!r}")
    layers = list(layers)
    for i, layer in enumerate(layers):
        if not isinstance(layer, Layer):
            raise TypeError(f"{name}[{i}] must be an object of fastbp.layers, such as Dense(64, 'relu'); got {layer!r}")
    return layers


def check_output_layer(layer):
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


def emit_activation(builder, node, activation, layer, rate=1.0):
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


def check_integer(name, value):
    """ValueError unless the value is an integer of at least 1."""
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, Integral) or value < 1:
        raise ValueError(f"{name} must be an integer >= 1, got {value!r}")


def check_rate(name, value):
    """ValueError unless the value is a number in [0, 1)."""
    if isinstance(value, bool) or not isinstance(value, Real) or not 0 <= value < 1:
        raise ValueError(f"{name} must be a number >= 0 and < 1, got {value!r}")


def check_positive(name, value):
    """ValueError unless the value is a finite number above 0."""
    if isinstance(value, bool) or not isinstance(value, Real) or not 0 < value < inf:
        raise ValueError(f"{name} must be a finite number > 0, got {value!r}")


def check_epsilon(epsilon, dtype="float64"):
    """ValueError unless the `epsilon` of a normalization is a finite number above 0, also in the arithmetic of `dtype`,
    in which numbers below the smallest normal one are 0: the scale of a constant column or row would be infinite."""
    check_positive("epsilon", epsilon)
    limits = np.finfo(dtype)
    smallest, largest = float(limits.tiny), float(limits.max)
    if not smallest <= float(epsilon) <= largest:
        other = ", or dtype='float64'" if np.dtype(dtype) == np.float32 else ""
        raise ValueError(
            f"epsilon={epsilon!r} of a normalization is too {'small' if epsilon < smallest else 'large'} for "
            f"{np.dtype(dtype)}, in which it must be in [{smallest:.3g}, {largest:.3g}]: use another one, such as "
            f"1e-5{other}"
        )


def check_factor(name, value):
    """ValueError unless the value is a finite number of at least 0."""
    if isinstance(value, bool) or not isinstance(value, Real) or not 0 <= value < inf:
        raise ValueError(f"{name} must be a finite number >= 0, got {value!r}")
