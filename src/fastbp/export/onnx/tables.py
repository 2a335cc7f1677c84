"""From the columns of a table to the numbers that a network reads, as nodes of an ONNX graph."""

import numpy as np

from fastbp.export.onnx.tensors import TEXT
from fastbp.export.tables import LevelColumn, NumberColumn

FLOAT32, FLOAT64 = np.dtype(np.float32), np.dtype(np.float64)


class TableInputs:
    """The columns of a table as they come: in one tensor for each, or in several together.

    Parameters
    ----------
    parts : list of (Tensor, int)
        Tensors of shape (n, width), and their widths.
    """

    def __init__(self, parts):
        self._parts = parts
        self._places = [(part, i) for part, (_, width) in enumerate(parts) for i in range(width)]

    @property
    def n_columns(self):
        """int: of the whole table."""
        return len(self._places)

    def dtype(self, number):
        """The dtype of a column."""
        return self._parts[self._places[number][0]][0].dtype

    def columns(self, numbers, dtype):
        """Some columns side by side.

        Parameters
        ----------
        numbers : sequence of int
            In ascending order.
        dtype : numpy.dtype
            To which they are converted.

        Returns
        -------
        Tensor of shape (n, len(numbers))
        """
        wanted = {}
        for part, i in (self._places[number] for number in numbers):
            wanted.setdefault(part, []).append(i)
        tensors = []
        for part, own in wanted.items():
            tensor, width = self._parts[part]
            tensors.append((tensor if len(own) == width else tensor.columns(own)).cast(dtype))
        return tensors[0].concatenate(*tensors[1:])


def encoded(columns, inputs, missing_text):
    """The numbers that the members of an ensemble read.

    Parameters
    ----------
    columns : tuple of NumberColumn or LevelColumn
    inputs : TableInputs
    missing_text : str
        What stands for missing in columns of text.

    Returns
    -------
    Tensor of float32 of shape (n, n_columns)

    Raises
    ------
    TypeError
        For text where there were numbers in fit, and numbers where there was text.
    ValueError
        If a column knows `missing_text` as a value.
    """
    check_types(columns, inputs)
    numbers = [i for i, column in enumerate(columns) if isinstance(column, NumberColumn)]
    levels = [i for i, column in enumerate(columns) if isinstance(column, LevelColumn)]
    found = [encoded_numbers([columns[i] for i in numbers], numbers, inputs)] if numbers else []
    for i in levels:
        if inputs.dtype(i) == TEXT:
            found.append(codes_of_text(columns[i], inputs.columns([i], TEXT), missing_text))
        else:
            found.append(codes_of_numbers(columns[i], inputs.columns([i], FLOAT64)))
    matrix = found[0].concatenate(*found[1:])
    order = np.argsort(numbers + levels)
    return matrix if (order == np.arange(len(order))).all() else matrix.columns(order)


def check_types(columns, inputs):
    """TypeError unless text is where it was in fit. A column of categories of which none is known may be either."""
    for number, column in enumerate(columns):
        is_text = inputs.dtype(number) == TEXT
        is_known = isinstance(column, NumberColumn) or column.codes
        if is_known and is_text != column.is_text:
            found, wanted = ("text", "numbers") if is_text else ("numbers", "text")
            raise TypeError(f"column {column.name!r} held {wanted} in fit, and is declared as {found}")


def encoded_numbers(columns, numbers, inputs):
    """The columns of numbers, side by side: see `NumberColumn`."""
    shift, factor = (np.array([getattr(column, name) for column in columns]) for name in ("shift", "factor"))
    is_binary = np.array([column.is_binary for column in columns])
    if shift.any() or (factor != 1).any():
        x = (inputs.columns(numbers, FLOAT64) - shift) * factor
    else:
        x = inputs.columns(numbers, FLOAT32)
    bound = columns[0].bound
    v = x.cast(FLOAT32).clip(-bound, bound)
    if not is_binary.any():
        return v
    pair = 2 * v.clip(0, 1) - 1
    pair = v.graph.constant(0, FLOAT32).where(v.is_nan(), pair)
    return pair if is_binary.all() else pair.where(v.graph.constant(is_binary, bool), v)


def codes_of_text(column, x, missing_text):
    """The codes of text: a look-up in a table."""
    codes = dict(column.codes)
    if column.knows_missing:
        if missing_text in codes:
            raise ValueError(
                f"missing_text={missing_text!r} stands for missing, and column {column.name!r} has it as a value: give "
                "another text"
            )
        codes[missing_text] = column.missing
    codes = codes or {missing_text: column.unseen}  # the operator must have an entry
    return x.apply(
        "LabelEncoder",
        dtype=FLOAT32,
        domain="ai.onnx.ml",
        keys_strings=list(codes),
        values_floats=list(map(float, codes.values())),
        default_float=float(column.unseen),
    )


def codes_of_numbers(column, x):
    """The codes of numbers, by comparison with all of them."""
    known_codes = column.codes or {np.nan: 0.0}  # which no number is equal to
    is_level = x.equals(list(known_codes)).cast(FLOAT32)
    codes = is_level @ np.reshape(list(known_codes.values()), (-1, 1))
    known = codes.where(is_level.sum() > 0, x.graph.constant(column.unseen, FLOAT32))
    return x.graph.constant(column.missing, FLOAT32).where(x.is_nan(), known)
