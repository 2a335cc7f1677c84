"""Layers that are made of other layers."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import reduce

from fastbp.kernels.graph import GraphBuilder
from fastbp.layers.base import Layer, check_layers, emit_all


@dataclass(frozen=True)
class Residual(Layer):
    """A connection past some layers: ``x + layers(x)`` (He, Zhang, Ren and Sun, 2016, Deep residual learning for image
    recognition, eq. 1).

    Parameters
    ----------
    layers : sequence of Layer
        Their last output must be as wide as x. Kept as a tuple.
    """

    layers: Sequence[Layer] = ()

    def check(self) -> None:
        """See `Layer.check`. Also makes a tuple of the layers."""
        object.__setattr__(self, "layers", tuple(check_layers("layers", self.layers)))

    @property
    def inner(self) -> tuple[Sequence[Layer], ...]:
        """tuple of tuple of Layer: the layers."""
        return (self.layers,)

    def with_inner(self, inner: Sequence[Sequence[Layer]]) -> Layer:
        """The same with other layers.

        Parameters
        ----------
        inner : sequence of sequence of Layer
            One list.

        Returns
        -------
        Residual
        """
        return replace(self, layers=inner[0])

    def emit(self, builder: GraphBuilder, node: int) -> int:
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
        end = emit_all(self.layers, builder, node)
        width = builder.widths[node]
        if builder.widths[end] != width:
            raise ValueError(
                f"the layers of a Residual must end with the width that they begin with, {width}; got "
                f"{builder.widths[end]} from {list(self.layers)}"
            )
        return builder.emit("add", node, width, input2=end, layer=self)


@dataclass(frozen=True)
class Branches(Layer):
    """Base of `Concatenate` and `Sum`: several lists of layers that read the same input."""

    branches: Sequence[Layer | Sequence[Layer]]

    def check(self) -> None:
        """See `Layer.check`. Also makes tuples of the branches."""
        if isinstance(self.branches, (str, Layer)) or not hasattr(self.branches, "__iter__"):
            raise TypeError(f"branches must be a list of layers, and lists of layers, got {self.branches!r}")
        branches = []
        for i, branch in enumerate(self.branches):
            layers = [branch] if isinstance(branch, Layer) else branch
            branches.append(tuple(check_layers(f"branches[{i}]", layers)))
        if not branches:
            raise ValueError(f"a {type(self).__name__} needs at least one branch, got {self.branches!r}")
        object.__setattr__(self, "branches", tuple(branches))

    @property
    def accepts_missing(self) -> bool:  # type: ignore[override]
        """bool: whether each branch begins with a layer that takes missing numbers, which are NaN."""
        return all(branch and branch[0].accepts_missing for branch in self.inner)

    @property
    def inner(self) -> tuple[Sequence[Layer], ...]:
        """tuple of tuple of Layer: the branches."""
        return self.branches  # type: ignore[return-value]  # `check` has made tuples of layers of them

    def with_inner(self, inner: Sequence[Sequence[Layer]]) -> Layer:
        """The same with other branches.

        Parameters
        ----------
        inner : sequence of sequence of Layer

        Returns
        -------
        Branches
        """
        return replace(self, branches=inner)


@dataclass(frozen=True)
class Concatenate(Branches):
    """The outputs of several branches, side by side: ``[branch_1(x), branch_2(x), ...]``.

    Parameters
    ----------
    branches : sequence of Layer, or of sequences of Layer
        All read the same input. An empty list is the input itself. Kept as a tuple of tuples.

    Examples
    --------
    Categories in the first column, numbers in the others:

    >>> import numpy as np
    >>> from fastbp import Network
    >>> from fastbp.layers import Concatenate, Dense, OneHot, RobustScale
    >>> layers = [Concatenate([OneHot([3], columns=[0]), RobustScale(columns=[1, 2])]), Dense(8, "relu"), Dense(1)]
    >>> X = np.array([[0, 1.5, np.nan], [2, 0.5, 7.0]])
    >>> network = Network(layers=layers, n_features=3, random_state=0)
    >>> network.adapt(X)
    >>> network.forward(X).shape
    (2, 1)
    """

    def emit(self, builder: GraphBuilder, node: int) -> int:
        """Append the branches, and put their outputs side by side.

        Parameters
        ----------
        builder, node
            As for `Layer.emit`.

        Returns
        -------
        int
        """
        ends = [emit_all(branch, builder, node) for branch in self.inner]

        def beside(left: int, right: int) -> int:
            width = builder.widths[left] + builder.widths[right]
            return builder.emit("concatenate", left, width, input2=right, layer=self)

        return reduce(beside, ends)


@dataclass(frozen=True)
class Sum(Branches):
    """The sum of the outputs of several branches: ``branch_1(x) + branch_2(x) + ...``.

    Parameters
    ----------
    branches : sequence of Layer, or of sequences of Layer
        All read the same input, and have outputs of one width. An empty list is the input itself. Kept as a tuple of
        tuples.

    Examples
    --------
    A fully connected layer of categories and numbers, where the weights of a category are looked up:

    >>> from fastbp import Network
    >>> from fastbp.layers import Activation, Dense, Embedding, RobustScale, Sum
    >>> categories = Embedding([30, 5], 8, columns=[0, 1], combine="sum")
    >>> layers = [Sum([categories, [RobustScale(columns=[2, 3]), Dense(8)]]), Activation("relu"), Dense(1)]
    >>> network = Network(layers=layers, n_features=4, random_state=0)
    >>> {name: network.blocks[name].shape for name in ("table_1", "W_1")}
    {'table_1': (37, 8), 'W_1': (2, 8)}
    """

    def emit(self, builder: GraphBuilder, node: int) -> int:
        """Append the branches, and add their outputs up.

        Parameters
        ----------
        builder, node
            As for `Layer.emit`.

        Returns
        -------
        int
        """
        ends = [emit_all(branch, builder, node) for branch in self.inner]
        widths = [builder.widths[end] for end in ends]
        if len(set(widths)) > 1:
            raise ValueError(f"the branches of a Sum must have outputs of one width, got {widths} from {self.branches}")
        return reduce(lambda end, other: builder.emit("add", end, widths[0], input2=other, layer=self), ends)
