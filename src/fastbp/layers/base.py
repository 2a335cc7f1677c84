"""The base class of all layers, and checks of their fields."""

from collections.abc import Iterable, Iterator, Sequence
from math import inf
from numbers import Integral, Real
from typing import Any, ClassVar

import numpy as np
from numpy.typing import DTypeLike, NDArray

from fastbp.kernels.graph import GraphBuilder, Group

#: The group of parameters that operations write, or that layers set by the rows to train on
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

    #: Whether it takes missing numbers, which are NaN, in what it reads, and has none in its output.
    accepts_missing: ClassVar[bool] = False

    #: Whether it takes numbers in what it reads as codes of categories, which cannot be averaged.
    reads_codes: ClassVar[bool] = False

    def __post_init__(self) -> None:
        self.check()

    def __setstate__(self, state: dict[str, Any]) -> None:
        # copies and pickles do not call the constructor, and the values in a pickle may be damaged
        vars(self).update(state)
        self.check()

    def check(self) -> None:
        """ValueError or TypeError for a bad value of a field; called for every new object, also one that is a copy or
        from a pickle."""
        return None

    @property
    def inner(self) -> tuple[Sequence["Layer"], ...]:
        """tuple of tuple of Layer: the lists of layers that it is made of; none for most layers."""
        return ()

    def with_inner(self, inner: Sequence[Sequence["Layer"]]) -> "Layer":
        """The same layer made of other layers.

        Parameters
        ----------
        inner : sequence of sequence of Layer
            As many lists as `inner` has.

        Returns
        -------
        Layer
        """
        return self

    def emit(self, builder: GraphBuilder, node: int) -> int:
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

    def initialize(self, blocks: list[NDArray[Any]], draw: Any) -> None:
        """Fill in the first values of the parameters of one of the layer's operations.

        Parameters
        ----------
        blocks : list of ndarray
            Views of the operation's parameters.
        draw : callable
            ``draw(fan_in, fan_out) -> (W, b)``: the network's initializer. ``draw.random_state`` is the RandomState
            that it draws from.
        """
        raise TypeError(f"{type(self).__name__} owns {len(blocks)} blocks of parameters and must have initialize")

    def adapt(self, blocks: list[NDArray[Any]], X: NDArray[Any]) -> None:
        """Set parameters of one of the layer's operations by the rows to train on, such as medians of columns, and
        check the rows. Only for a layer that says so by `adapts`.

        Parameters
        ----------
        blocks : list of ndarray
            Views of the operation's parameters, after `initialize`.
        X : ndarray of shape (n, width)
            What the operation reads for these rows: the input of the network, or the output of layers that have no
            trained parameters. Not to be written to. Where the rows are in a file (np.memmap), an object with a
            `shape` that gives columns only, by ``X[:, number]``.
        """
        raise TypeError(f"{type(self).__name__} has adapts=True and must have a method adapt(blocks, X)")


def check_layers(name: str, layers: Any) -> list[Layer]:
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


def emit_all(layers: Iterable[Layer], builder: GraphBuilder, node: int) -> int:
    """Append layers one after the other.

    Parameters
    ----------
    layers : sequence of Layer
    builder, node
        As for `Layer.emit`.

    Returns
    -------
    int
        The node that holds the output of the last; `node` without layers.
    """
    for layer in layers:
        node = layer.emit(builder, node)
    return node


def all_layers(layers: Iterable[Layer]) -> Iterator[Layer]:
    """The layers, and those that they are made of.

    Parameters
    ----------
    layers : sequence of Layer

    Yields
    ------
    Layer
    """
    for layer in layers:
        yield layer
        for inner in layer.inner:
            yield from all_layers(inner)


def checked_columns(columns: Any) -> tuple[int, ...] | None:
    """Numbers of columns as a tuple of int, or None; ValueError or TypeError unless they are different integers of at
    least 0."""
    if columns is None:
        return None
    if isinstance(columns, str) or not hasattr(columns, "__iter__"):
        raise TypeError(f"columns must be None or a list of integers, got {columns!r}")
    columns = list(columns)
    for column in columns:
        if isinstance(column, (bool, np.bool_)) or not isinstance(column, Integral) or column < 0:
            raise ValueError(f"columns must be integers >= 0, got {column!r}")
    if not columns or len(set(columns)) < len(columns):
        raise ValueError(f"columns must be one or more numbers, all different; got {columns}")
    return tuple(map(int, columns))


def columns_among(layer: Any, width: int) -> tuple[int, ...]:
    """The columns that a layer reads of an input of this width, as a tuple of int; ValueError if there are fewer.

    Parameters
    ----------
    layer : Layer
        With the field `columns`.
    width : int

    Returns
    -------
    tuple of int
    """
    if layer.columns is None:
        return tuple(range(width))
    if max(layer.columns) >= width:
        raise ValueError(f"columns of {layer} must be below {width}, the width of what it reads; got {layer.columns}")
    return layer.columns


def check_integer(name: str, value: Any) -> None:
    """ValueError unless the value is an integer of at least 1."""
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, Integral) or value < 1:
        raise ValueError(f"{name} must be an integer >= 1, got {value!r}")


def check_rate(name: str, value: Any) -> None:
    """ValueError unless the value is a number in [0, 1)."""
    if isinstance(value, bool) or not isinstance(value, Real) or not 0 <= value < 1:  # type: ignore[operator]
        raise ValueError(f"{name} must be a number >= 0 and < 1, got {value!r}")


def check_positive(name: str, value: Any) -> None:
    """ValueError unless the value is a finite number above 0."""
    if isinstance(value, bool) or not isinstance(value, Real) or not 0 < value < inf:  # type: ignore[operator]
        raise ValueError(f"{name} must be a finite number > 0, got {value!r}")


def check_epsilon(epsilon: Any, dtype: DTypeLike = "float64") -> None:
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


def check_factor(name: str, value: Any) -> None:
    """ValueError unless the value is a finite number of at least 0."""
    if isinstance(value, bool) or not isinstance(value, Real) or not 0 <= value < inf:  # type: ignore[operator]
        raise ValueError(f"{name} must be a finite number >= 0, got {value!r}")
