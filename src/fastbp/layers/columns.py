"""Layers that read the columns of a table: numbers that may be missing, and codes of categories."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt
from numbers import Integral, Real
from typing import Any, ClassVar

import numpy as np
from numpy.typing import DTypeLike, NDArray

from fastbp.initializers import normal
from fastbp.kernels.graph import GraphBuilder, Group
from fastbp.layers.base import STATISTICS, Layer, check_factor, check_integer, checked_columns, columns_among

#: A range counts as 0 if it is not above so many rounding errors of its ends: about 1e-6 of them in float32
ROUNDING_ERRORS = 8
#: Above it, there is no number between two integers in float32 by which codes could be rounded
MOST_LEVELS = 2**23


@dataclass(frozen=True)
class RobustScale(Layer):
    """Columns in units of their middle half, with a smooth limit: ``r / sqrt(1 + (r / clip)**2)``, where
    ``r = (x - median) / (q75 - q25)`` with the quartiles of the column over the rows to train on.

    If the quartiles are equal, half of ``max - min`` takes the place of their difference; a constant column becomes 0.
    The output is between -clip and clip. Missing numbers, which are NaN, are left out of the statistics and become 0,
    as the median does; so does a column without any number.

    Parameters
    ----------
    columns : sequence of int or None, default=None
        The columns to read, from 0; the output has one for each of them. None: all. Kept as a tuple.
    clip : float or None, default=3.0
        None: no limit.

    Notes
    -----
    The estimators compute the statistics at the beginning of `fit` from all rows to train on, with `Network.adapt`.
    Each row counts once, whatever its sample weight, and later rows (`partial_fit`, `warm_start`) do not change them.
    They are the blocks center_1 and factor_1, which no optimizer changes.

    A range counts as 0 if it is within 8 rounding errors of the numbers that it lies between, about 1e-6 of them in
    float32, or below the smallest normal number: such a column has no information in this arithmetic. The factor is at
    least the smallest normal number.

    References
    ----------
    Holzmüller, Grinsztajn and Steinwart (2024), Better by default: strong pre-tuned MLPs and boosted trees on tabular
    data, NeurIPS, section 3: robust scaling and smooth clipping.
    """

    columns: Sequence[int] | None = None
    clip: float | None = 3.0

    adapts: ClassVar[bool] = True
    accepts_missing: ClassVar[bool] = True

    def check(self) -> None:
        """See `Layer.check`. Also makes a tuple of the columns."""
        object.__setattr__(self, "columns", checked_columns(self.columns))
        clip = self.clip
        if clip is not None and (isinstance(clip, bool) or not isinstance(clip, Real) or not 1e-6 <= clip <= 1e6):
            raise ValueError(f"clip must be None or a number in [1e-6, 1e6], got {clip!r}")

    def emit(self, builder: GraphBuilder, node: int) -> int:
        """Append the scaled columns.

        Parameters
        ----------
        builder, node
            As for `Layer.emit`.

        Returns
        -------
        int
        """
        return emit_scaled(builder, node, self, self.clip)

    def initialize(self, blocks: list[NDArray[Any]], draw: Any) -> None:
        """Centers of 0, and factors of 1.

        Parameters
        ----------
        blocks, draw
            As for `Layer.initialize`.
        """
        for block, value in zip(blocks, (0, 1), strict=True):
            block[...] = value

    def adapt(self, blocks: list[NDArray[Any]], X: NDArray[Any]) -> None:
        """The medians, and the reciprocals of the ranges.

        Parameters
        ----------
        blocks, X
            As for `Layer.adapt`.
        """
        centers, factors = blocks
        for i, column in enumerate(columns_among(self, X.shape[1])):
            centers[i], factors[i] = center_and_factor(X[:, column], centers.dtype)


@dataclass(frozen=True)
class SelectColumns(Layer):
    """Some columns as they are; missing numbers, which are NaN, become 0.

    Parameters
    ----------
    columns : sequence of int
        The columns to read, from 0; the output has one for each of them. Kept as a tuple.

    Notes
    -----
    Computed as `RobustScale` with a center of 0, a factor of 1 and no limit, which no rows change.
    """

    columns: Sequence[int]

    accepts_missing: ClassVar[bool] = True

    def check(self) -> None:
        """See `Layer.check`. Also makes a tuple of the columns."""
        if self.columns is None:
            raise ValueError("columns must be a sequence of integers >= 0, got None")
        object.__setattr__(self, "columns", checked_columns(self.columns))

    def emit(self, builder: GraphBuilder, node: int) -> int:
        """Append the chosen columns.

        Parameters
        ----------
        builder, node
            As for `Layer.emit`.

        Returns
        -------
        int
        """
        return emit_scaled(builder, node, self, None)

    def initialize(self, blocks: list[NDArray[Any]], draw: Any) -> None:
        """Centers of 0, and factors of 1.

        Parameters
        ----------
        blocks, draw
            As for `Layer.initialize`.
        """
        RobustScale(self.columns).initialize(blocks, draw)


def emit_scaled(builder: GraphBuilder, node: int, layer: Layer, clip: float | None) -> int:
    """Append the columns that a layer reads, scaled."""
    width = builder.widths[node]
    columns = columns_among(layer, width)
    blocks = [(name, (len(columns),), STATISTICS) for name in ("center", "factor")]
    chosen = () if columns == tuple(range(width)) else columns
    return builder.emit(
        "robust_scale",
        node,
        len(columns),
        blocks=blocks,
        argument=int(bool(chosen)),
        constants=(clip or 0.0,),
        integers=chosen,
        layer=layer,
    )


def center_and_factor(x: NDArray[Any], dtype: DTypeLike) -> tuple[float, float]:
    """The median of a column, and the reciprocal of its range; see `RobustScale`.

    Parameters
    ----------
    x : ndarray of shape (n,)
        NaN, which are missing, and infinite numbers are left out.
    dtype : dtype
        The arithmetic in which the numbers will be used, float32 or float64.

    Returns
    -------
    center, factor : float
        0 and 0 if there are no numbers; a factor of 0 for a column that is constant.
    """
    limits = np.finfo(dtype)
    with np.errstate(under="ignore", over="ignore"):
        x = x.astype(dtype, copy=False).astype(np.float64)
        x = x[np.isfinite(x)]
        if not x.size:
            return 0.0, 0.0
        # a fourth of the numbers: their differences are finite
        low, lower, center, upper, high = np.quantile(x / 4, [0, 0.25, 0.5, 0.75, 1])
        for begin, end, width in ((lower, upper, upper - lower), (low, high, (high - low) / 2)):
            rounding = ROUNDING_ERRORS * float(limits.eps) * max(abs(begin), abs(end))
            if end - begin > max(rounding, float(limits.tiny) / 4):
                return 4 * center, max(0.25 / width, float(limits.tiny))
    return 4 * center, 0.0


@dataclass(frozen=True)
class ReadsCodes(Layer):
    """Base of the layers that read columns of codes 0, 1, ..., levels - 1."""

    levels: Sequence[int]

    adapts: ClassVar[bool] = True
    accepts_missing: ClassVar[bool] = True
    reads_codes: ClassVar[bool] = True

    def check(self) -> None:
        """See `Layer.check`. Also makes tuples of levels and columns."""
        object.__setattr__(self, "columns", checked_columns(self.columns))  # type: ignore[attr-defined]
        levels = self.levels
        if isinstance(levels, str) or not hasattr(levels, "__iter__"):
            raise TypeError(f"levels must be a list of integers, one for each column, got {levels!r}")
        levels = list(levels)
        for level in levels:
            is_integer = isinstance(level, Integral) and not isinstance(level, (bool, np.bool_))
            if not is_integer or not 1 <= level <= MOST_LEVELS:
                raise ValueError(f"levels must be integers >= 1 and <= {MOST_LEVELS}, got {level!r}")
        if not levels or (self.columns is not None and len(levels) != len(self.columns)):  # type: ignore[attr-defined]
            raise ValueError(f"levels must be one number for each column, got {levels} for columns={self.columns}")  # type: ignore[attr-defined]
        object.__setattr__(self, "levels", tuple(map(int, levels)))

    def codes(self, builder: GraphBuilder, node: int) -> tuple[int, ...]:
        """The integers of an operation that reads these columns.

        Parameters
        ----------
        builder, node
            As for `Layer.emit`.

        Returns
        -------
        tuple of int
            How many columns, the columns, and the levels of each.

        Raises
        ------
        ValueError
            If the columns and the levels do not fit what the layer reads, or if it reads the output of `Dropout`, which
            would change the codes.
        """
        width = builder.widths[node]
        dropped: set[int] = set()
        for op in builder.operations:
            if op.kind == "dropout" or not dropped.isdisjoint((op.input, op.input2)):
                dropped.add(op.output)
        if node in dropped:
            raise ValueError(
                f"{self} reads codes of categories, which Dropout in front of it would change: put it behind"
            )
        columns = columns_among(self, width)
        if len(columns) != len(self.levels):
            raise ValueError(
                f"levels of {self} must be one number for each of the {width} columns that it reads, got "
                f"{len(self.levels)}; name the columns that hold codes in columns"
            )
        return (len(columns), *columns, *self.levels)

    def adapt(self, blocks: list[NDArray[Any]], X: NDArray[Any]) -> None:
        """Check that the codes of the rows to train on are integers; nothing is learned from them.

        Parameters
        ----------
        blocks, X
            As for `Layer.adapt`.

        Raises
        ------
        ValueError
            Names the column and the number.
        """
        for column in columns_among(self, X.shape[1]):
            codes = X[:, column]
            wrong = codes[(codes != np.rint(codes)) & ~np.isnan(codes)]
            if wrong.size:
                raise ValueError(
                    f"column {column} of what {type(self).__name__} reads must hold codes of categories, which are "
                    f"integers, got {wrong[0]}; encode the column with sklearn.preprocessing.OrdinalEncoder, or leave "
                    "it out of columns"
                )


@dataclass(frozen=True)
class OneHot(ReadsCodes):
    """A 1 among zeros for each category: columns of codes 0, 1, ..., levels - 1 become as many columns each.

    Codes below 0 or above levels - 1, which are for categories that were unseen in training, and missing codes, which
    are NaN, become zeros only.

    Parameters
    ----------
    levels : sequence of int
        How many codes each column has. Kept as a tuple.
    columns : sequence of int or None, default=None
        The columns with codes, from 0. None: all. Kept as a tuple.

    Notes
    -----
    The estimators refuse rows to train on whose codes are no integers. Anywhere else a code is rounded to the nearest
    integer. The derivative by the input is 0.

    The next layer multiplies all numbers. With many levels, `Embedding` with ``combine="sum"`` is faster than a `Dense`
    layer behind this one.
    """

    columns: Sequence[int] | None = None

    def emit(self, builder: GraphBuilder, node: int) -> int:
        """Append the columns of zeros and ones.

        Parameters
        ----------
        builder, node
            As for `Layer.emit`.

        Returns
        -------
        int
        """
        integers = self.codes(builder, node)
        return builder.emit("one_hot", node, sum(self.levels), integers=integers, layer=self)


@dataclass(frozen=True)
class Embedding(ReadsCodes):
    """A trained vector for each category: columns of codes 0, 1, ..., levels - 1 select rows of a table.

    Each column has rows of its own, and one more for codes below 0 or above levels - 1, which are for categories that
    were unseen in training, and for missing codes, which are NaN.

    Parameters
    ----------
    levels : sequence of int
        How many codes each column has. Kept as a tuple.
    width : int
        Length of the vectors.
    columns : sequence of int or None, default=None
        The columns with codes, from 0. None: all. Kept as a tuple.
    combine : {'concatenate', 'sum'}, default='concatenate'
        The vectors of the columns side by side, or their sum. The sum is what a `Dense` layer of `width` units without
        biases computes from `OneHot` columns, but the weights are looked up, and nothing is multiplied.
    learning_rate_factor : float, default=1.0
        The learning rate of the table is multiplied by it.
    penalty_factor : float, default=1.0
        The penalties ``alpha`` and ``l1`` and the weight decay of the table are multiplied by it.

    Notes
    -----
    The initial values are normal with mean 0 and variance 1, or, where the vectors of k columns are added up, 1 / k, so
    that the output has the variance 1. Rows for unseen and missing codes are zeros. They are trained only if there are
    such codes among the rows to train on.

    The table is the block table_1. A step looks up and changes rows of the categories in the batch, but optimizers,
    penalties and averages go through the whole table: with Adam and 10,000 levels of width 8, 60 microseconds of one
    core.

    The estimators refuse rows to train on whose codes are no integers. Anywhere else a code is rounded to the nearest
    integer. The derivative by the input is 0.

    References
    ----------
    Guo and Berkhahn (2016), Entity embeddings of categorical variables.
    """

    width: int
    columns: Sequence[int] | None = None
    combine: str = "concatenate"
    learning_rate_factor: float = 1.0
    penalty_factor: float = 1.0

    def check(self) -> None:
        """See `Layer.check`. Also makes tuples of levels and columns."""
        super().check()
        check_integer("width", self.width)
        if not isinstance(self.combine, str) or self.combine not in ("concatenate", "sum"):
            raise ValueError(f"combine must be 'concatenate' or 'sum', got {self.combine!r}")
        check_factor("learning_rate_factor", self.learning_rate_factor)
        check_factor("penalty_factor", self.penalty_factor)

    def emit(self, builder: GraphBuilder, node: int) -> int:
        """Append the rows of the table.

        Parameters
        ----------
        builder, node
            As for `Layer.emit`.

        Returns
        -------
        int
        """
        n, width, penalty = len(self.levels), int(self.width), float(self.penalty_factor)
        group = Group(float(self.learning_rate_factor), penalty=penalty, decay=penalty)
        is_sum = self.combine == "sum"
        return builder.emit(
            "embedding",
            node,
            width if is_sum else n * width,
            blocks=[("table", (sum(self.levels) + n, width), group)],
            argument=int(is_sum),
            integers=self.codes(builder, node),
            layer=self,
        )

    def initialize(self, blocks: list[NDArray[Any]], draw: Any) -> None:
        """Normal numbers; zeros for unseen and missing codes.

        Parameters
        ----------
        blocks, draw
            As for `Layer.initialize`.
        """
        (table,) = blocks
        table[...] = normal(draw.random_state, table.shape)
        if self.combine == "sum":
            table /= sqrt(len(self.levels))
        table[np.cumsum(np.add(self.levels, 1)) - 1] = 0
