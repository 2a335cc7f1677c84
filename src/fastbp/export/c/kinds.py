"""The kinds of operations in C: which function of `helpers` an operation calls, with which arrays.

A new kind is a function here, its entry in `KINDS`, and the function in C. Kinds of training only, which
`Graph.for_prediction` replaces, have no entry.
"""

import numpy as np

from fastbp.export.c.text import double, literal
from fastbp.kernels.graph import NAMES


class Call:
    """An operation whose call is written.

    Parameters
    ----------
    source : Source
        Gets the arrays.
    graph : Graph
    op : Operation
    blocks : list of ndarray
        Its parameters.
    inputs : list of str
        Where its inputs are, as C expressions.
    output : str
        Where its output is.
    label : str
        In front of the names of its arrays, such as "member_2_".
    """

    def __init__(self, source, graph, op, blocks, inputs, output, label):
        self.source, self.op, self.blocks, self.label = source, op, blocks, label
        self.inputs, self.output = inputs, output
        self.names = [block.name for block in graph.blocks_of(op)]
        self.n_inputs = [graph.widths[node] for node in (op.input, op.input2) if node >= 0]
        self.width = graph.widths[op.output]

    def array(self, number):
        """Write a block of parameters; its name."""
        return self.named(self.names[number], self.blocks[number])

    def named(self, name, values):
        """Write another array; its name."""
        return self.source.array(self.label + name, values)

    def number(self, value):
        """A constant in the type of the parameters."""
        return literal(self.blocks[0].dtype.type(value))

    def columns(self, values):
        """Write numbers of columns, or how many levels they have."""
        return self.named(f"columns_{self.op.output}", np.asarray(values, np.int64))

    def write(self, function, *arguments):
        """The statement that calls a function of `helpers`; its last argument is the output."""
        return f"@{function}({', '.join(map(str, (*arguments, self.output)))});"


def dense(call):
    """y = x W + b."""
    x, n = call.inputs[0], call.n_inputs[0]
    if len(call.blocks) == 1:
        return call.write("dense_without_bias", x, n, call.array(0), call.width)
    return call.write("dense", x, n, call.array(0), call.array(1), call.width)


def activation(call):
    """y = f(x)."""
    name = NAMES[call.op.argument]
    return call.write("copy" if name == "identity" else name, call.inputs[0], call.width)


def add(call):
    """y = x + x2."""
    return call.write("add", *call.inputs, call.width)


def with_one_block(name):
    """A kind whose function takes the inputs, its block and the width."""

    def kind(call):
        return call.write(name, *call.inputs, call.array(0), call.width)

    return kind


def row_norm(call):
    """Layer and RMS normalization."""
    epsilon = double(call.op.constants[0])
    if call.op.argument:
        return call.write("layer_norm", call.inputs[0], epsilon, call.array(0), call.array(1), call.width)
    return call.write("rms_norm", call.inputs[0], epsilon, call.array(0), call.width)


def running_norm(call):
    """Batch normalization by its running statistics, with one factor in place of gamma and variance."""
    gamma, beta, mean, variance = call.blocks
    slope = gamma * (1 / np.sqrt(variance + variance.dtype.type(call.op.constants[0])))
    names = call.named(call.names[2], mean), call.named(call.names[0], slope), call.named(call.names[1], beta)
    return call.write("running_norm", call.inputs[0], *names, call.width)


def concatenate(call):
    """y = [x, x2]."""
    (x, x2), (n, n2) = call.inputs, call.n_inputs
    return f"@copy({x}, {n}, {call.output});\n@copy({x2}, {n2}, {call.output} + {n});"


def robust_scale(call):
    """Columns of numbers, scaled."""
    center, factor = call.blocks
    columns = call.columns(call.op.integers or range(call.width))
    (clip,) = call.op.constants
    if clip:
        arrays = call.array(0), call.array(1)
        return call.write("robust_scale", call.inputs[0], columns, *arrays, call.number(clip), call.width)
    if not center.any() and (factor == 1).all():
        return call.write("select_columns", call.inputs[0], columns, call.width)
    return call.write("linear_scale", call.inputs[0], columns, call.array(0), call.array(1), call.width)


def codes(call):
    """(columns, levels, how many) of a kind that reads codes."""
    n, *rest = call.op.integers
    levels = call.named(f"levels_{call.op.output}", np.asarray(rest[n:], np.int64))
    return call.columns(rest[:n]), levels, n


def one_hot(call):
    """Zeros, and ones for codes."""
    return call.write("one_hot", call.inputs[0], *codes(call))


def embedding(call):
    """Rows of a table for codes."""
    name = "embedding_sum" if call.op.argument else "embedding"
    return call.write(name, call.inputs[0], *codes(call), call.array(0), call.blocks[0].shape[1])


def with_kept(call, statement, size):
    """A statement, and behind its output of `size` numbers the second input, if that is kept."""
    if not call.op.argument:
        return statement
    return f"{statement}\n@copy({call.inputs[1]}, {call.n_inputs[1]}, {call.output} + {size});"


def piecewise_linear(call):
    """Vectors of numbers, by bins."""
    n, width = call.blocks[0].shape
    bins = call.blocks[4].shape[1] - 1
    arrays = [call.array(number) for number in range(5)]
    statement = call.write("piecewise_linear", *call.inputs, call.columns(call.op.integers), n, *arrays, bins, width)
    return with_kept(call, statement, n * width)


def periodic(call):
    """Vectors of numbers, by cosines."""
    n, frequencies = call.blocks[0].shape
    width = call.blocks[3].shape[1]
    arrays = [call.array(number) for number in range(5)]
    # beyond it, the kernels take the angle as 0 (cos2pi in kernels/vmath.h)
    limit = call.number(2.0 ** (19 if call.blocks[0].dtype == np.float32 else 48))
    sizes = frequencies, width, limit
    statement = call.write("periodic", *call.inputs, call.columns(call.op.integers), n, *arrays, *sizes)
    return with_kept(call, statement, n * width)


#: kind -> statements of an operation
KINDS = {
    "dense": dense,
    "activation": activation,
    "add": add,
    "scale": with_one_block("scale"),
    "row_norm": row_norm,
    "running_norm": running_norm,
    "prelu": with_one_block("prelu"),
    "blend": with_one_block("blend"),
    "concatenate": concatenate,
    "robust_scale": robust_scale,
    "one_hot": one_hot,
    "embedding": embedding,
    "piecewise_linear": piecewise_linear,
    "periodic": periodic,
}
#: Kinds whose output may be in the place of their first input: number i of it needs no other number after i
IN_PLACE = ("activation", "add", "scale", "row_norm", "running_norm", "prelu", "blend")
