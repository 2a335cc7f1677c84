"""Layers that make a vector of each number of a table: piecewise linear and periodic embeddings."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from fastbp.initializers import normal
from fastbp.kernels.dispatch import BIN_LIMIT, WAVE_LIMIT
from fastbp.kernels.graph import GraphBuilder, Group
from fastbp.kernels.shuffling import uniform
from fastbp.layers.base import (
    STATISTICS,
    Layer,
    check_factor,
    check_integer,
    check_positive,
    checked_columns,
    columns_among,
)
from fastbp.layers.bins import bin_edges
from fastbp.layers.columns import RobustScale

#: Between the first and the last edge before a layer adapts to rows
INITIAL_EDGES = (-2.0, 2.0)


class NumericEmbedding(Layer):
    """Base of the embeddings of numbers, with the fields `width`, `columns`, `keep_input`, `clip` and
    `learning_rate_factor`. They read columns x, and x' = `RobustScale` of them."""

    adapts: ClassVar[bool] = True
    accepts_missing: ClassVar[bool] = True

    width: int
    columns: Sequence[int] | None
    keep_input: bool
    clip: float | None
    learning_rate_factor: float

    def check(self) -> None:
        """See `Layer.check`. Also makes a tuple of the columns."""
        check_integer("width", self.width)
        object.__setattr__(self, "columns", checked_columns(self.columns))
        if not isinstance(self.keep_input, (bool, np.bool_)):
            raise ValueError(f"keep_input must be True or False, got {self.keep_input!r}")
        RobustScale(self.columns, self.clip)  # which checks the clip
        check_factor("learning_rate_factor", self.learning_rate_factor)

    def emit_embedding(
        self,
        kind: str,
        builder: GraphBuilder,
        node: int,
        sizes: dict[str, int],
        statistics: Mapping[str, int] = MappingProxyType({}),
    ) -> int:
        """Append x', and the embeddings.

        Parameters
        ----------
        kind : str
        builder, node
            As for `Layer.emit`.
        sizes, statistics : dict of str to int
            Trained blocks and others: name and numbers for each column.

        Returns
        -------
        int
        """
        columns = columns_among(self, builder.widths[node])
        n, group = len(columns), Group(float(self.learning_rate_factor))
        return builder.emit(
            kind,
            node,
            n * (int(self.width) + bool(self.keep_input)),
            input2=RobustScale(self.columns, self.clip).emit(builder, node),
            blocks=[
                *((name, (n, size), group) for name, size in sizes.items()),
                *((name, (n, size), STATISTICS) for name, size in dict(statistics).items()),
            ],
            argument=int(self.keep_input),
            integers=columns,
            layer=self,
        )


@dataclass(frozen=True)
class PiecewiseLinear(NumericEmbedding):
    """A vector for each number of a table, piecewise linear in it: ``[z_1, z_2, ..., x'_1, x'_2, ...]`` of the columns
    j that it reads, with x' = `RobustScale` of x and ::

        z_j = x'_j u_j + c_j + sum over the bins i of f_ji p_ji
        f_ji = clip((x_j - e_ji) / (e_j(i+1) - e_ji), 0, 1)

    So a dense layer behind it can react to each bin of a number on its own, such as to a threshold. Where x_j is
    missing (NaN), z_j is m_j, and x'_j is 0. The vectors u, c, p and m are trained; p and m begin at 0.

    The edges e of the bins are learned from the rows to train on. If a column has no more than ``bins + 1`` different
    values, all of them are edges. Otherwise every value that more than ``1 / bins`` of the rows have is an edge, and
    the other edges are even quantiles of the remaining rows. A constant column, or one without any number, has no
    bins.

    Parameters
    ----------
    width : int, default=8
        Of z_j.
    bins : int, default=32
        Bins of each column at most; up to 256.
    columns : sequence of int or None, default=None
        The columns to read, from 0; None: all. Kept as a tuple.
    keep_input : bool, default=True
        Whether x' is part of the output.
    clip : float or None, default=3.0
        That of `RobustScale`.
    learning_rate_factor : float, default=1.0
        The learning rate of u, c, p and m is multiplied by it. They have neither penalties nor weight decay.

    Notes
    -----
    The estimators set the edges at the beginning of `fit`, with `Network.adapt`, from all rows to train on, each
    counted once whatever its sample weight; later rows (`partial_fit`, `warm_start`) do not change them. Edges
    count as one if they are within 8 rounding errors of each other, or a millionth of the distance between the
    quartiles of all edges: a slope between them would be noise.

    z_j is not a product with the bins: it is an interpolation between two rows of a table of prefix sums. So 32 bins
    cost hardly more than 2; with 256, training takes about half as long again. The output has ``width + 1`` numbers for
    each column, and there are ``bins * width`` parameters p. For some hundred columns or more, such as pixels, the
    dense layer behind it costs far more than without it.

    The derivative by x at an edge is that to its right; beyond the first and the last edge only x' depends on x.

    References
    ----------
    Gorishniy, Rubachev and Babenko (2022), On embeddings for numerical features in tabular deep learning, NeurIPS,
    section 3.2: piecewise linear encoding, with a linear layer; quantiles as edges.
    """

    width: int = 8
    bins: int = 32
    columns: Sequence[int] | None = None
    keep_input: bool = True
    clip: float | None = 3.0
    learning_rate_factor: float = 1.0

    def check(self) -> None:
        """See `Layer.check`. Also makes a tuple of the columns."""
        check_integer("bins", self.bins)
        if self.bins > BIN_LIMIT:
            raise ValueError(f"bins must be at most {BIN_LIMIT}, got {self.bins!r}")
        super().check()

    def emit(self, builder: GraphBuilder, node: int) -> int:
        """Append x', and z.

        Parameters
        ----------
        builder, node
            As for `Layer.emit`.

        Returns
        -------
        int
        """
        width, bins = int(self.width), int(self.bins)
        sizes = {"u": width, "c": width, "p": bins * width, "missing": width}
        return self.emit_embedding("piecewise_linear", builder, node, sizes, {"edges": bins + 1})

    def initialize(self, blocks: list[NDArray[Any]], draw: Any) -> None:
        """Uniform u and c in [-1, 1]; p and m of 0; evenly spaced edges between -2 and 2.

        Parameters
        ----------
        blocks, draw
            As for `Layer.initialize`.
        """
        u, c, p, missing, edges = blocks
        for block in (u, c):
            block[...] = uniform(draw.random_state, -1, 1, block.shape)
        p[...] = missing[...] = 0
        edges[...] = np.linspace(*INITIAL_EDGES, edges.shape[1])

    def adapt(self, blocks: list[NDArray[Any]], X: NDArray[Any]) -> None:
        """The edges of the bins. A column with fewer of them repeats the last one.

        Parameters
        ----------
        blocks, X
            As for `Layer.adapt`.
        """
        edges = blocks[-1]
        for row, column in zip(edges, columns_among(self, X.shape[1]), strict=True):
            found = bin_edges(X[:, column], len(row) - 1, edges.dtype)
            row[: len(found)] = found
            row[len(found) :] = found[-1] if len(found) else 0


@dataclass(frozen=True)
class Periodic(NumericEmbedding):
    """A vector for each number of a table, of cosines of it: ``[z_1, z_2, ..., x'_1, x'_2, ...]`` of the columns j that
    it reads, with x' = `RobustScale` of x and ::

        z_j = cos(2 pi (omega_j x'_j + phi_j)) V_j + d_j

    Where x_j is missing (NaN), z_j is m_j, and x'_j is 0. All of omega, phi (one for each frequency), V, d and m are
    trained. At the beginning, omega is normal with the standard deviation `sigma`, phi uniform in [-1/2, 1/2], V and d
    uniform in [-b, b], b = 1 / sqrt(frequencies), and m is 0.

    Parameters
    ----------
    frequencies : int, default=16
        Cosines of each column; up to 256.
    width : int, default=4
        Of z_j; up to 256.
    sigma : float, default=0.1
        Of the frequencies, in turns for each unit of x'. Larger ones begin with functions that vary faster.
    columns : sequence of int or None, default=None
        The columns to read, from 0; None: all. Kept as a tuple.
    keep_input : bool, default=True
        Whether x' is part of the output.
    clip : float or None, default=3.0
        That of `RobustScale`.
    learning_rate_factor : float, default=1.0
        The learning rate of all parameters is multiplied by it. They have neither penalties nor weight decay.

    References
    ----------
    Holzmüller, Grinsztajn and Steinwart (2024), Better by default: strong pre-tuned MLPs and boosted trees on tabular
    data, NeurIPS, section 3: the embedding PBLD. Gorishniy, Rubachev and Babenko (2022), On embeddings for numerical
    features in tabular deep learning, NeurIPS, section 3.3: periodic activations.
    """

    frequencies: int = 16
    width: int = 4
    sigma: float = 0.1
    columns: Sequence[int] | None = None
    keep_input: bool = True
    clip: float | None = 3.0
    learning_rate_factor: float = 1.0

    def check(self) -> None:
        """See `Layer.check`. Also makes a tuple of the columns."""
        check_integer("frequencies", self.frequencies)
        super().check()
        for name in ("frequencies", "width"):
            if getattr(self, name) > WAVE_LIMIT:
                raise ValueError(f"{name} must be at most {WAVE_LIMIT}, got {getattr(self, name)!r}")
        check_positive("sigma", self.sigma)

    def emit(self, builder: GraphBuilder, node: int) -> int:
        """Append x', and z.

        Parameters
        ----------
        builder, node
            As for `Layer.emit`.

        Returns
        -------
        int
        """
        n, width = int(self.frequencies), int(self.width)
        sizes = {"omega": n, "phi": n, "V": n * width, "d": width, "unknown": width}
        return self.emit_embedding("periodic", builder, node, sizes)

    def initialize(self, blocks: list[NDArray[Any]], draw: Any) -> None:
        """Normal omega, uniform phi, V and d, m of 0: see the class.

        Parameters
        ----------
        blocks, draw
            As for `Layer.initialize`.
        """
        omega, phi, V, d, unknown = blocks
        bound = self.frequencies**-0.5
        omega[...] = self.sigma * normal(draw.random_state, omega.shape)
        for block, limit in ((phi, 0.5), (V, bound), (d, bound)):
            block[...] = uniform(draw.random_state, -limit, limit, block.shape)
        unknown[...] = 0

    def adapt(self, blocks: list[NDArray[Any]], X: NDArray[Any]) -> None:
        """Nothing: x' is all that depends on the rows, and `RobustScale` adapts by itself.

        Parameters
        ----------
        blocks, X
            As for `Layer.adapt`.
        """
        return None
