"""Blocks as one block."""

import sys
from itertools import chain

import numpy as np
from scipy import sparse

from fastbp.sources.arrow import cast
from fastbp.sources.arrow_files import merged_type
from fastbp.sources.base import Block, library_of

#: Packages of data frames
LIBRARIES = ("pandas", "polars", "pyarrow")
#: `numpy.dtype.kind` -> what an array holds; arrays of objects may hold anything
CONTENTS = dict.fromkeys("biufc", "numbers") | dict.fromkeys("UST", "text")

OTHER_TYPES = "has columns of other types than the blocks before"


def joined_blocks(argument, blocks, numbers=None):
    """Blocks as one: X, y and sample_weight are of the kind that the first block has.

    Parameters
    ----------
    argument : str
        What the blocks are of, for messages.
    blocks : list of Block
        At least one.
    numbers : list of int, default=None
        How messages number the blocks; None for 0, 1, ...

    Returns
    -------
    Block

    Raises
    ------
    ValueError
        If some have a sample_weight, and others have none; for a block of other columns than the first one, of another
        kind, or of text where that has numbers.
    """
    labels = [f"block {number} of {argument}" for number in (range(len(blocks)) if numbers is None else numbers)]
    fields = zip(Block._fields, zip(*blocks, strict=True), strict=True)
    return Block(*(joined(argument, labels, name, parts) for name, parts in fields))


def joined(argument, labels, name, parts):
    """Parts of X, y or sample_weight as one of the kind that they have; `labels` are what messages call the blocks."""
    if any(part is None for part in parts):
        if not all(part is None for part in parts):
            raise ValueError(f"{argument}: {name} is there in some blocks, and missing in others")
        return None
    if len(parts) == 1:
        return parts[0]
    parts = [as_known(part) for part in parts]
    if name != "X" and not any(map(sparse.issparse, parts)):
        parts = alike(parts)
    kinds = [kind_of(part) for part in parts]
    for label, part, kind in zip(labels, parts, kinds, strict=True):
        difference = difference_between(parts[0], kinds[0], part, kind)
        if difference:
            raise ValueError(f"{label}: {name} {difference}")
    return JOIN[kinds[0]]([f"{label}: {name}" for label in labels], parts)


# How blocks may differ


def as_known(part):
    """X, y or sample weights as one of the types that `JOIN` has: tables for record batches, arrays for the columns of
    polars and pyarrow."""
    library = library_of(part)
    if library == "pyarrow" and type(part).__name__ == "RecordBatch":
        return sys.modules[library].Table.from_batches([part])
    if library in ("polars", "pyarrow") and names_of(part) is None:
        return np.asarray(part)
    return part


def alike(parts):
    """Parts of y or sample weights as arrays, unless all are of one kind. Frames of one column are arrays, because its
    name does not count; if some parts are of one dimension, single columns are so too."""
    parts = [np.asarray(part) if len(names_of(part) or ()) == 1 else part for part in parts]
    if len(set(map(kind_of, parts))) > 1:
        parts = [np.asarray(part) for part in parts]
    shapes = [shape_of_rows(part) for part in parts]
    if () not in shapes:
        return parts
    return [np.asarray(part)[:, 0] if shape == (1,) else part for part, shape in zip(parts, shapes, strict=True)]


def kind_of(part):
    """What messages call the type of X, y or sample weights: a key of `JOIN`."""
    if sparse.issparse(part):
        return "a sparse matrix"
    library = library_of(part)
    return f"of {library}" if library in LIBRARIES else "an array"


def names_of(part):
    """The names of the columns of a data frame; None of anything else."""
    names = getattr(part, "column_names" if library_of(part) == "pyarrow" else "columns", None)
    return None if names is None else list(names)


def difference_between(first, kind_of_first, part, kind):
    """How X, y or sample weights differ from those of the first block, in words; "" where they can be joined."""
    if kind != kind_of_first:
        return f"is {kind}, and was {kind_of_first} in the first block"
    names, expected = names_of(part), names_of(first)
    if names != expected and None not in (names, expected):
        missing = [name for name in expected if name not in names]
        new = [name for name in names if name not in expected]
        what = f"without {missing} and with {new}" if missing or new else "in another order"
        return f"must have the columns of the first block, got them {what}"
    shape, expected = shape_of_rows(part), shape_of_rows(first)
    if shape != expected:
        return f"has rows of the shape {shape}, and had rows of the shape {expected} in the first block"
    content, expected = (CONTENTS.get(one.dtype.kind) if isinstance(one, np.ndarray) else None for one in (part, first))
    if content != expected and None not in (content, expected):
        return f"holds {content}, and held {expected} in the first block"
    return ""


def shape_of_rows(part):
    """The shape of each row. Of a list, the first row is looked at; sparse matrices of some formats have no slices."""
    return np.shape(part if hasattr(part, "shape") else part[:1])[1:]


# Joining of parts that do not differ; `labels` begin the messages


def join_arrays(labels, parts):
    """Arrays and lists."""
    if all(isinstance(part, list) for part in parts):
        return list(chain.from_iterable(parts))
    return np.concatenate([of_list(part) if isinstance(part, list) else part for part in parts])


def of_list(values):
    """A list as an array, in which numbers beside text stay numbers."""
    array = np.asarray(values)
    return np.array(values, dtype=object) if array.dtype.kind in "US" else array


def join_pandas(labels, parts):
    """Data frames or series. Columns of categories stay so, with the categories of all parts."""
    pandas = sys.modules["pandas"]
    if parts[0].ndim == 1:
        return pandas.concat(parts)
    parts = [part.copy(deep=False) for part in parts]
    for number, dtype in enumerate(parts[0].dtypes):
        if isinstance(dtype, pandas.CategoricalDtype) and any(part.dtypes.iloc[number] != dtype for part in parts):
            columns = [part.iloc[:, number].astype("category") for part in parts]
            first, *others = (column.cat.categories for column in columns)
            dtype = pandas.CategoricalDtype(first.append(others).unique())
            for part, column in zip(parts, columns, strict=True):
                part.isetitem(number, column.astype(dtype))
    return pandas.concat(parts)


def join_polars(labels, parts):
    """Data frames, of which columns of numbers may be of different types. Columns of categories become text, unless all
    have the same."""
    polars = sys.modules["polars"]
    parts = as_text(parts, [name for name, dtype in parts[0].schema.items() if differs(name, dtype, parts)])
    first = parts[0].head(0)
    for label, part in zip(labels, parts, strict=True):
        try:
            both = polars.concat([first, part.head(0)], how="vertical_relaxed")
        except polars.exceptions.PolarsError as error:
            raise ValueError(f"{label} {OTHER_TYPES}: {error}") from error
        for name, dtype in both.schema.items():  # polars makes text of numbers beside text
            found = [first[name].dtype, part[name].dtype]
            if any(one.is_numeric() for one in found) and not dtype.is_numeric():
                raise ValueError(f"{label} {OTHER_TYPES}: column {name!r} is {found[1]}, and was {found[0]}")
        first = both
    return polars.concat(parts, how="vertical_relaxed")


def differs(name, dtype, parts):
    """Whether a column of some data frames is of another dtype than this."""
    return any(part.schema[name] != dtype for part in parts)


def as_text(parts, names):
    """Data frames of polars, in which some columns are text where they are categories."""
    polars = sys.modules["polars"]
    categories = (polars.Categorical, polars.Enum)
    return [
        part.with_columns(part[name].cast(polars.String) for name in names if isinstance(part.schema[name], categories))
        for part in parts
    ]


def join_pyarrow(labels, parts):
    """Tables, of which columns of numbers or bools may be of different types. Columns that are dictionaries in the
    first table stay so, others become none."""
    pyarrow = sys.modules["pyarrow"]
    is_dictionary = [pyarrow.types.is_dictionary(field.type) for field in parts[0].schema]
    common = value_types(parts[0])
    for label, part in zip(labels, parts, strict=True):
        for number, kind in enumerate(value_types(part)):
            before, common[number] = common[number], merged_type(common[number], kind)
            if common[number] is None:
                name = part.column_names[number]
                raise ValueError(f"{label} {OTHER_TYPES}: column {name!r} is {kind}, and was {before}")
    tables = []
    for label, part in zip(labels, parts, strict=True):
        try:
            columns = map(typed, part.columns, common, is_dictionary)
            tables.append(pyarrow.table(list(columns), names=part.column_names))
        except pyarrow.ArrowException as error:
            raise ValueError(f"{label} {OTHER_TYPES}: {error}") from error
    return pyarrow.concat_tables(tables, promote_options="permissive")  # the indices of dictionaries may differ in type


def value_types(table):
    """The types of the columns of a table of pyarrow; of dictionaries, those of their values."""
    types = sys.modules["pyarrow"].types
    return [field.type.value_type if types.is_dictionary(field.type) else field.type for field in table.schema]


def typed(column, kind, is_dictionary):
    """A column of pyarrow with values of a type, as a dictionary without an order or without one."""
    if sys.modules["pyarrow"].types.is_dictionary(column.type):
        if is_dictionary and column.type.value_type == kind and not column.type.ordered:
            return column
        column = column.cast(column.type.value_type)
    column = cast(column, kind)
    return column.dictionary_encode() if is_dictionary else column


#: What `kind_of` returns -> what joins the parts
JOIN = {
    "a sparse matrix": lambda labels, parts: sparse.vstack(parts, format="csr"),
    "an array": join_arrays,
    "of pandas": join_pandas,
    "of polars": join_polars,
    "of pyarrow": join_pyarrow,
}
