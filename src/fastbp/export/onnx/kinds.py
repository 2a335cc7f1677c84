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


def bins_of(edges):
    """The bins of columns, without those of no width.

    Parameters
    ----------
    edges : ndarray of shape (n_columns, n_bins + 1)

    Returns
    -------
    numbers : ndarray of int of shape (n_columns, most)
        Of the bins of each column; 0 where a column has fewer than others.
    starts, sizes : ndarray of shape (n_columns, most)
        The lower edges and the widths; infinite where there is no bin, and for a column without a bin a first one that
        begins at 0.
    """
    found = [np.flatnonzero(widths > 0) for widths in np.diff(edges)]
    most = max(1, *map(len, found))
    numbers = np.zeros((len(edges), most), int)
    starts, sizes = np.full((2, len(edges), most), np.inf, edges.dtype)
    starts[:, 0] = 0
    for j, own in enumerate(found):
        numbers[j, : len(own)] = own
        starts[j, : len(own)], sizes[j, : len(own)] = edges[j, own], edges[j, own + 1] - edges[j, own]
    return numbers, starts, sizes


def piecewise_linear(op, inputs, arrays):
    """x' u + t_b + f p_b with the bin b of x, the sum t_b of c and all p of lower bins, and the share f of the bin that
    lies below x; m where x is NaN. As in the kernel, these are looked up in tables."""
    (x, scaled), (u, c, p, m, edges) = inputs, arrays
    n_columns, width = u.shape
    numbers, starts, sizes = bins_of(edges)
    most = numbers.shape[1]
    given = x.columns(op.integers)
    is_below = given.reshape(0, n_columns, 1) < starts
    bins = (most - 1 - is_below.cast(x.dtype).sum(axis=2, keepdims=False)).apply("Relu")
    places = bins.cast(INT64) + most * np.arange(n_columns)

    def looked_up(values):
        return x.graph.constant(values, x.dtype).gather(places)

    share = ((given - looked_up(starts.ravel())) / looked_up(sizes.ravel())).clip(0, 1)
    p = p.reshape(n_columns, -1, width)
    sums = np.cumsum(np.concatenate([c[:, None], p], axis=1), axis=1)
    below, own = (table[np.arange(n_columns)[:, None], numbers].reshape(-1, width) for table in (sums, p))
    z = looked_up(below) + looked_up(own) * share.reshape(0, n_columns, 1) + scaled.reshape(0, n_columns, 1) * u
    return embedded(op, inputs, z, m)


def periodic(op, inputs, arrays):
    """cos(2 pi (omega x' + phi)) V + d; m where x is NaN."""
    (x, scaled), (omega, phi, V, d, m) = inputs, arrays
    n_columns, width = d.shape
    turns = scaled.reshape(0, n_columns, 1) * omega + phi
    # whole turns are taken off, since the product with 2 pi is rounded; cos(2 pi a) = sin(2 pi (1/4 - |a|)), since
    # onnxruntime had Cos for float32 only
    part = (turns - turns.apply("Round")).apply("Abs")
    v = ((0.25 - part) * (2 * np.pi)).apply("Sin")
    # a product for each column: those of several matrices fail in onnxruntime of 2025 if there are no rows
    first, *others = (
        v.gather(x.graph.constant(j, INT64), axis=1).apply("Gemm", V[j].reshape(-1, width), d[j])
        for j in range(n_columns)
    )
    return embedded(op, inputs, first.concatenate(*others).reshape(0, n_columns, width), m)


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
