"""The kinds of operations as formulas on tensors of an ONNX graph.

A function of a kind takes the operation, its inputs as a list of Tensor of shape (n, width), and the arrays of its
blocks, and returns the output. What the arguments, constants and integers of an operation are, is said in
``kernels/graph.py`` and ``kernels/kinds/``.
"""

import numpy as np

from fastbp.export.onnx.activations import ACTIVATIONS
from fastbp.export.onnx.tensors import INT64
from fastbp.kernels.graph import NAMES

#: Where ``t / sqrt(1 + t^2)`` is 1 in float32 and float64, and t^2 is finite
LARGEST_RATIO = 1e9


def dense(op, inputs, arrays):
    """x W + b."""
    (x,) = inputs
    return x.apply("Gemm", *arrays)


def activation(op, inputs, arrays):
    """f(x)."""
    (x,) = inputs
    return ACTIVATIONS[NAMES[op.argument]](x)


def add(op, inputs, arrays):
    """x + x2."""
    x, x2 = inputs
    return x + x2


def scale(op, inputs, arrays):
    """x s."""
    (x,), (s,) = inputs, arrays
    return x * s


def row_norm(op, inputs, arrays):
    """c / sqrt(E(c^2) + epsilon) gain + shift with c = x - E(x), or without mean and shift."""
    (x,), (gain, *shift) = inputs, arrays
    m = len(gain)
    c = x - x.sum() / m if op.argument else x
    variance = (c * c).sum() / m
    normalized = c * (1 / (variance + op.constants[0]).apply("Sqrt")) * gain
    return normalized + shift[0] if shift else normalized


def running_norm(op, inputs, arrays):
    """(x - mean) / sqrt(variance + epsilon) gamma + beta."""
    (x,), (gamma, beta, mean, variance) = inputs, arrays
    return (x - mean) * (gamma / np.sqrt(variance + gamma.dtype.type(op.constants[0]))) + beta


def prelu(op, inputs, arrays):
    """x where x > 0, else a x. onnxruntime has PRelu for float32 only."""
    (x,), (a,) = inputs, arrays
    return x.where(x > 0, x * a)


def blend(op, inputs, arrays):
    """x + alpha (x2 - x)."""
    (x, x2), (alpha,) = inputs, arrays
    return x + alpha * (x2 - x)


def concatenate(op, inputs, arrays):
    """The columns of x and x2, side by side."""
    x, x2 = inputs
    return x.concatenate(x2)


def robust_scale(op, inputs, arrays):
    """r / sqrt(1 + (r / clip)^2) with r = (x - center) factor of some columns, 0 where x is NaN; without a clip r."""
    (x,), (center, factor), (clip,) = inputs, arrays, op.constants
    r = ((x.columns(op.integers) if op.argument else x) - center) * factor
    known = x.graph.constant(0, x.dtype).where(r.is_nan(), r)
    if not clip:
        return known
    t = (known * (1 / clip)).clip(-LARGEST_RATIO, LARGEST_RATIO)
    return t * clip / (1 + t * t).apply("Sqrt")


def codes_of(op, x):
    """The codes in columns of categories.

    Parameters
    ----------
    op : Operation
        Of a kind that reads codes.
    x : Tensor of shape (n, width)

    Returns
    -------
    codes : Tensor of shape (n, n_columns)
        The nearest integer; the number of levels for what is no code, or NaN.
    levels : ndarray of int of shape (n_columns,)
        How many each column has.
    """
    n = op.integers[0]
    levels = np.array(op.integers[n + 1 :])
    given = x.columns(op.integers[1 : n + 1])
    is_code = (given > -0.5) & (given < levels - 0.5)
    return (given + 0.5).apply("Floor").where(is_code, levels), levels


def one_hot(op, inputs, arrays):
    """1 for the code of each column, 0 for its other levels."""
    codes, levels = codes_of(op, inputs[0])
    column_of_unit = np.repeat(np.arange(len(levels)), levels)
    level_of_unit = np.concatenate([np.arange(n) for n in levels])
    return codes.columns(column_of_unit).equals(level_of_unit).cast(codes.dtype)


def embedding(op, inputs, arrays):
    """The rows of the table that belong to the codes, side by side or added up. A column with m levels has m + 1
    rows."""
    codes, levels = codes_of(op, inputs[0])
    (table,) = arrays
    first_rows = np.cumsum([0, *(levels + 1)[:-1]])
    numbers = codes.cast(INT64) + first_rows
    rows = codes.graph.constant(table, table.dtype).gather(numbers)
    return rows.sum(axis=1, keepdims=False) if op.argument else rows.reshape(0, table.shape[1] * len(levels))


def embedded(op, inputs, z, missing):
    """The output of an embedding of numbers.

    Parameters
    ----------
    op : Operation
    inputs : list of Tensor
        x, and the scaled columns x'.
    z : Tensor of shape (n, n_columns, width)
        Where x is known.
    missing : ndarray of shape (n_columns, width)
        Where x is NaN.

    Returns
    -------
    Tensor
        [z_1, z_2, ...], and x' behind it if the argument is 1.
    """
    x, scaled = inputs
    is_missing = x.columns(op.integers).is_nan().reshape(0, *missing.shape[:1], 1)
    z = x.graph.constant(missing, x.dtype).where(is_missing, z).reshape(0, missing.size)
    return z.concatenate(scaled) if op.argument else z


def piecewise_linear(op, inputs, arrays):
    """x' u + c + the sum over the bins of f p, with f = clip((x - e_i) / (e_(i+1) - e_i), 0, 1); m where x is NaN."""
    (x, scaled), (u, c, p, m, edges) = inputs, arrays
    n_columns, width = u.shape
    size = np.diff(edges)
    is_bin = (size > 0).astype(edges.dtype)  # a bin of no width does not count
    given = x.columns(op.integers).reshape(0, n_columns, 1)
    f = ((given - edges[:, :-1]) / np.where(size > 0, size, 1)).clip(0, 1) * is_bin
    pieces = f.transpose(1, 0, 2) @ p.reshape(n_columns, -1, width)
    z = scaled.reshape(0, n_columns, 1) * u + c + pieces.transpose(1, 0, 2)
    return embedded(op, inputs, z, m)


def periodic(op, inputs, arrays):
    """cos(2 pi (omega x' + phi)) V + d; m where x is NaN."""
    (_, scaled), (omega, phi, V, d, m) = inputs, arrays
    n_columns, width = d.shape
    turns = scaled.reshape(0, n_columns, 1) * omega + phi
    # whole turns are taken off: the product with 2 pi is rounded
    v = ((turns - turns.apply("Round")) * (2 * np.pi)).apply("Cos")
    waves = v.transpose(1, 0, 2) @ V.reshape(n_columns, -1, width)
    return embedded(op, inputs, waves.transpose(1, 0, 2) + d, m)


#: Kind -> function of (Operation, inputs, arrays)
KINDS = {
    "dense": dense,
    "activation": activation,
    "add": add,
    "scale": scale,
    "row_norm": row_norm,
    "running_norm": running_norm,
    "prelu": prelu,
    "blend": blend,
    "concatenate": concatenate,
    "robust_scale": robust_scale,
    "one_hot": one_hot,
    "embedding": embedding,
    "piecewise_linear": piecewise_linear,
    "periodic": periodic,
}


def forward(network, x):
    """The nodes of a network.

    Parameters
    ----------
    network : ForwardPass
    x : Tensor of shape (n, n_features)
        Of the network's dtype.

    Returns
    -------
    dict of int to Tensor
        What each node of the network's graph is.
    """
    nodes = {0: x}
    for op in network.operations:
        inputs = [nodes[node] for node in (op.input, op.input2) if node >= 0]
        nodes[op.output] = KINDS[op.kind](op, inputs, network.arrays(op))
    return nodes
