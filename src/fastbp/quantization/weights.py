"""Matrices of weights of 8 bits, and which matrices of a network become such."""

from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastbp.kernels.graph import Graph

#: The largest absolute value of a weight of 8 bits: symmetric about 0
LARGEST = 127
#: A layer with fewer inputs or outputs stays in float32. Its rows are rounded in about the time that the product takes,
#: and the product fills the vectors of integers badly.
FEWEST_INPUTS, FEWEST_OUTPUTS = 16, 17


class QuantizedMatrix(NamedTuple):
    """A matrix W of weights as ``scale * q``.

    Attributes
    ----------
    q : ndarray of int8 of shape (fan_in, fan_out)
        From -127 to 127.
    scale : ndarray of float32 of shape (fan_out,)
        0 for columns of zeros, and of numbers so small that it would be a denormal number.
    sums : ndarray of float32 of shape (fan_out,)
        Those of the columns of W.
    """

    q: NDArray[Any]
    scale: NDArray[Any]
    sums: NDArray[Any]


def quantized_matrix(W: NDArray[Any]) -> QuantizedMatrix:
    """The nearest matrix of 8 bits: ``|W - scale * q| <= scale / 2``, where the largest number of a column is 127 times
    its scale. Columns whose scale would be a denormal number become zero.

    Parameters
    ----------
    W : ndarray of shape (fan_in, fan_out)
        Finite.

    Returns
    -------
    QuantizedMatrix
    """
    W = np.asarray(W, np.float64)
    scale = (np.abs(W).max(axis=0) / LARGEST).astype(np.float32)
    scale[scale < np.finfo(np.float32).tiny] = 0  # denormal numbers count as zero in the kernels
    divisor = np.where(scale > 0, scale.astype(np.float64), np.inf)
    q = np.clip(np.rint(W / divisor), -LARGEST, LARGEST).astype(np.int8)
    with np.errstate(over="ignore"):  # QuantizedNetwork refuses sums that are not finite
        sums = W.sum(axis=0).astype(np.float32)
    return QuantizedMatrix(np.ascontiguousarray(q), scale, sums)


def quantized_names(graph: Graph) -> tuple[str, ...]:
    """The names of the matrices of a graph that become matrices of 8 bits: those of fully connected layers with at
    least 16 inputs and 17 outputs.

    Parameters
    ----------
    graph : Graph

    Returns
    -------
    tuple of str
    """
    return tuple(W.name for W, _ in graph.dense_blocks if W.rows >= FEWEST_INPUTS and W.cols >= FEWEST_OUTPUTS)


def quantized_graph(graph: Graph, names: tuple[str, ...]) -> Graph:
    """The graph with operations `dense_int8` for some matrices, which are not in its flat vector of parameters.

    Parameters
    ----------
    graph : Graph
        For prediction.
    names : tuple of str
        From `quantized_names`. The number of a matrix among them is the argument of its operation.

    Returns
    -------
    Graph
    """
    operations = []
    for op in graph.operations:
        name = graph.blocks[op.first_block].name if op.n_blocks else None
        is_quantized = name in names
        operations.append(op._replace(kind="dense_int8", argument=names.index(name)) if is_quantized else op)
    places, end = {}, 0
    for block in sorted(graph.blocks, key=lambda block: block.offset):
        is_quantized = block.name in names
        places[block.name] = 0 if is_quantized else end
        end += 0 if is_quantized else block.size
    blocks = tuple(block._replace(offset=places[block.name]) for block in graph.blocks)
    return replace(graph, operations=tuple(operations), blocks=blocks, n_params=end)
