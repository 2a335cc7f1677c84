"""What an operation of each kind needs: widths of inputs and output, shapes of blocks, and numbers that fit together.

The kernels rely on it: `GraphBuilder` refuses all other operations, with the docstring of the function as explanation.
"""

from collections.abc import Sequence
from math import inf
from typing import Any, NamedTuple

from fastbp.kernels.dispatch import ACTIVATIONS, BIN_LIMIT, WAVE_LIMIT


class Form(NamedTuple):
    """The form of an operation.

    Attributes
    ----------
    inputs : list of int
        Widths of the nodes that it reads, one or two.
    width : int
        Of its output.
    shapes : list of tuple of int
        Of its blocks.
    argument : int
    constants : sequence of float
    integers : sequence of int
        As for `fastbp.kernels.graph.Operation`.
    """

    inputs: list[int]
    width: int
    shapes: list[tuple[int, ...]]
    argument: int
    constants: Sequence[float]
    integers: Sequence[int]


def dense_fits(form: Form) -> bool:
    """W of shape (width of the input, width), and b of shape (width,) or none."""
    matrix = (form.inputs[0], form.width)
    return len(form.inputs) == 1 and form.shapes in ([matrix], [matrix, (form.width,)])


def activation_fits(form: Form) -> bool:
    """An input as wide as the output, no blocks, and the number of an activation."""
    return form.inputs == [form.width] and form.shapes == [] and form.argument in ACTIVATIONS.values()


def add_fits(form: Form) -> bool:
    """Two inputs as wide as the output, and no blocks."""
    return form.inputs == [form.width, form.width] and form.shapes == []


def scale_fits(form: Form) -> bool:
    """An input as wide as the output, and s of shape (width,)."""
    return form.inputs == [form.width] and form.shapes == [(form.width,)]


def dropout_fits(form: Form) -> bool:
    """An input as wide as the output, no blocks, and a rate in [0, 1)."""
    return form.inputs == [form.width] and form.shapes == [] and len(form.constants) == 1 and 0 <= form.constants[0] < 1


def row_norm_fits(form: Form) -> bool:
    """An input as wide as the output, the argument 1 with two blocks of shape (width,), or 0 with one, and a number
    above 0."""
    is_known = (form.argument, form.shapes) in ((1, [(form.width,)] * 2), (0, [(form.width,)]))
    return form.inputs == [form.width] and is_known and len(form.constants) == 1 and 0 < form.constants[0] < inf


def running_norm_fits(form: Form) -> bool:
    """An input as wide as the output, four blocks of shape (width,), and a number above 0."""
    return (
        form.inputs == [form.width]
        and form.shapes == [(form.width,)] * 4
        and len(form.constants) == 1
        and 0 < form.constants[0] < inf
    )


def batch_norm_fits(form: Form) -> bool:
    """An input as wide as the output, four blocks of shape (width,), a number above 0, and one above 0 and up to 1."""
    fits = running_norm_fits(form._replace(constants=form.constants[:1]))
    return fits and len(form.constants) == 2 and 0 < form.constants[1] <= 1


def prelu_fits(form: Form) -> bool:
    """An input as wide as the output, and a block of shape (width,)."""
    return form.inputs == [form.width] and form.shapes == [(form.width,)]


def blend_fits(form: Form) -> bool:
    """Two inputs as wide as the output, and a block of shape (width,)."""
    return form.inputs == [form.width, form.width] and form.shapes == [(form.width,)]


def concatenate_fits(form: Form) -> bool:
    """Two inputs that are together as wide as the output, and no blocks."""
    return len(form.inputs) == 2 and sum(form.inputs) == form.width and form.shapes == []


def robust_scale_fits(form: Form) -> bool:
    """One input, two blocks of shape (width,), a finite number of at least 0, and the argument 1 with columns as
    integers, or 0 for all columns."""
    n, width = len(form.integers), form.width
    is_known = (form.argument, n) == (1, width) or (form.argument, n, form.inputs[0]) == (0, 0, width)
    fits = (
        len(form.inputs) == 1
        and form.shapes == [(form.width,)] * 2
        and len(form.constants) == 1
        and 0 <= form.constants[0] < inf
    )
    return is_known and fits and all(0 <= column < form.inputs[0] for column in form.integers)


def levels_of(inputs: list[int], integers: Sequence[int]) -> Any:
    """The levels of the columns with codes, from the integers of a kind that reads them: how many columns, the columns
    and the levels; None if they are not that."""
    n = (len(integers) - 1) // 2
    columns, levels = integers[1 : n + 1], integers[n + 1 :]
    fits = n >= 1 and integers[0] == n == len(levels) and len(inputs) == 1
    return levels if fits and all(0 <= column < inputs[0] for column in columns) and min(levels) >= 1 else None


def one_hot_fits(form: Form) -> bool:
    """One input, no blocks, and as integers the number of columns, the columns and their levels, which are together as
    many as the output is wide."""
    levels = levels_of(form.inputs, form.integers)
    return levels is not None and sum(levels) == form.width and form.shapes == []


def embedding_fits(form: Form) -> bool:
    """One input, as integers the number of columns, the columns and their levels, and a matrix of levels + 1 rows for
    each column; the output is as wide as the matrix with the argument 1, and with 0 for each of the columns."""
    levels = levels_of(form.inputs, form.integers)
    if levels is None or form.argument not in (0, 1):
        return False
    columns = 1 if form.argument else len(levels)
    return form.width % columns == 0 and form.shapes == [(sum(levels) + len(levels), form.width // columns)]


def piecewise_linear_fits(form: Form) -> bool:
    """Two inputs; numbers of columns of the first one as integers, as many as the second one is wide; u, c (columns,
    w), p (columns, bins w), m (columns, w) and edges (columns, bins + 1), with up to 256 bins; and an output of columns
    times w, or, with the argument 1, of so many and columns."""
    if len(form.inputs) != 2 or len(form.shapes) != 5 or any(len(shape) != 2 for shape in form.shapes):
        return False
    (columns, w), bins = form.shapes[0], form.shapes[4][1] - 1
    are_shapes = form.shapes == [(columns, w), (columns, w), (columns, bins * w), (columns, w), (columns, bins + 1)]
    return (
        are_shapes
        and 1 <= bins <= BIN_LIMIT
        and reads_columns(form.inputs, columns, form.integers)
        and form.argument in (0, 1)
        and form.width == columns * (w + form.argument)
    )


def periodic_fits(form: Form) -> bool:
    """Two inputs and integers as for `piecewise_linear`; omega and phi (columns, frequencies), V (columns, frequencies
    w), d and m (columns, w), with frequencies and w up to 256; and an output as for `piecewise_linear`."""
    if len(form.inputs) != 2 or len(form.shapes) != 5 or any(len(shape) != 2 for shape in form.shapes):
        return False
    (columns, frequencies), w = form.shapes[0], form.shapes[3][1]
    are_shapes = form.shapes == [form.shapes[0], form.shapes[0], (columns, frequencies * w), (columns, w), (columns, w)]
    return (
        are_shapes
        and max(frequencies, w) <= WAVE_LIMIT
        and reads_columns(form.inputs, columns, form.integers)
        and form.argument in (0, 1)
        and form.width == columns * (w + form.argument)
    )


def reads_columns(inputs: list[int], columns: Any, integers: Sequence[int]) -> bool:
    """Whether the integers are so many numbers of columns of the first input, and the second one has as many."""
    return len(integers) == columns == inputs[1] and all(0 <= number < inputs[0] for number in integers)


#: kind -> whether a form fits it. `dense_sparse` and `dense_int8` are not here: they take the place of `dense`.
FITS = {
    "dense": dense_fits,
    "activation": activation_fits,
    "add": add_fits,
    "scale": scale_fits,
    "dropout": dropout_fits,
    "row_norm": row_norm_fits,
    "batch_norm": batch_norm_fits,
    "running_norm": running_norm_fits,
    "prelu": prelu_fits,
    "blend": blend_fits,
    "concatenate": concatenate_fits,
    "robust_scale": robust_scale_fits,
    "one_hot": one_hot_fits,
    "embedding": embedding_fits,
    "piecewise_linear": piecewise_linear_fits,
    "periodic": periodic_fits,
}
#: Kinds whose operations have integers
KINDS_WITH_INTEGERS = ("robust_scale", "one_hot", "embedding", "piecewise_linear", "periodic")
