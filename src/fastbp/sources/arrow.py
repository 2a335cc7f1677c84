"""Sources of tables in files: Parquet, CSV, Arrow, and datasets of pyarrow."""

import difflib
from itertools import chain

import numpy as np

from fastbp.sources.arrow_files import CSV, READERS, Dataset, batch_rows, is_number, merged_type, numpy_dtype
from fastbp.sources.base import Block
from fastbp.sources.files import FileSource, as_list, check_apart
from fastbp.sources.matrix import matrix_dtype, transpose


class ArrowSource(FileSource):
    """Tables in files, with named columns.

    X is a matrix if all its columns are numbers or bools, with NaN for missing values, and else a table of pyarrow. A
    column that has another type in some files, as integers and floats, has the type that holds both in all blocks.

    Parameters
    ----------
    paths : list of str
        For a dataset one name in place of the files, which messages show: ["pyarrow.dataset"].
    form : str
        "Parquet", "CSV" or "Arrow"; for a dataset "dataset".
    columns : list of str or None
        The columns of X. None: all but the target and the weight.
    target : str or list of str
        The column of y, or several.
    weight : str or None
        The column of the sample weights.
    block_rows : int
        Rows of a block, at most.
    frames : bool
        X is a table, also if all its columns are numbers.
    dataset : pyarrow.dataset.Dataset or None
        Read in place of files.
    """

    def __init__(self, paths, form, columns, target, weight, block_rows, frames=False, dataset=None):
        check_pyarrow(form)
        super().__init__(paths, block_rows)
        self.target, self.weight = target, weight
        self.target_names = checked_names("target", target if isinstance(target, (list, tuple)) else [target])
        self.others = self.target_names + ([] if weight is None else checked_names("weight", [weight]))
        check_apart([], self.others)
        if dataset is not None:
            self.reader = Dataset(dataset)
        else:
            self.reader = CSV(self.target_names) if form == "CSV" else READERS[form]()
        schemas = self.reader.settled({path: self._opened(form, self.reader.schema, path) for path in paths})
        self.columns = self._chosen_columns(columns, schemas)
        kinds = self._kinds(schemas)
        self.types = {name: common_type(name, dict(zip(schemas, found, strict=True))) for name, found in kinds.items()}
        self.n_rows = 0
        for path in paths:
            parts, n_rows = self._opened(form, self.reader.parts, path, block_rows)
            self.parts += parts
            self.n_rows = None if n_rows is None or self.n_rows is None else self.n_rows + n_rows
        self.batch_rows = batch_rows([self.types[name] for name in self.columns], block_rows)
        self.dtype = None if frames else matrix_of(self.columns, kinds)
        self.y_dtype = matrix_of(self.target_names, kinds)
        if self.y_dtype is None and not isinstance(target, str):
            raise ValueError(f"target must name columns of numbers, if it names several, got {target!r}")
        if weight is not None and matrix_of([weight], kinds) is None:
            raise ValueError(f"weight must name a column of numbers, got {weight!r}, of type {self.types[weight]}")
        self.feature_names = None if self.dtype is None else list(self.columns)

    @staticmethod
    def _opened(form, method, path, *rest):
        """What a method of the reader tells of a file; ValueError if that cannot be read."""
        try:
            return method(path, *rest)
        except (ValueError, OSError) as error:  # ArrowInvalid is a ValueError
            raise ValueError(f"source: {path!r} cannot be read as {form}: {error}") from error

    def _chosen_columns(self, columns, schemas):
        """The names of the columns of X, by the argument and the schemas of the files."""
        if columns is None:
            chosen = self._columns_of_all(schemas)
        else:
            chosen = checked_names("columns", as_list("columns", columns))
            check_apart(chosen, self.others)
        if not chosen:
            first = self.paths[0]
            raise ValueError(f"columns: no column is left for X, of {schemas[first].names} in {first!r}")
        return chosen

    def _columns_of_all(self, schemas):
        """The columns of the first file but the target and the weight; ValueError if another file has more."""
        left_out = {*self.others, *chain.from_iterable(map(index_names, schemas.values()))}
        first = self.paths[0]
        for path, schema in schemas.items():
            more = [name for name in schema.names if name not in left_out and name not in schemas[first].names]
            if more:
                raise ValueError(
                    f"source must name files with the same columns: {more[0]!r} is in {path!r} and not in {first!r}; "
                    "columns=[...] chooses those that all files have"
                )
        return [name for name in schemas[first].names if name not in left_out]

    def _kinds(self, schemas):
        """The types that each column of interest has in the files; ValueError if one is not there."""
        kinds = {}
        weights = [] if self.weight is None else [self.weight]
        for role, names in (("target", self.target_names), ("weight", weights), ("columns", self.columns)):
            for name in names:
                kinds[name] = [column_type(role, name, path, schemas) for path in schemas]
        return kinds

    def _settings(self):
        return [("target", self.target), ("weight", self.weight)]

    def _read(self, part, *, with_X=True):
        names = [*(self.columns if with_X else []), *self.others]
        for batch in self.reader.batches(part, names, self.batch_rows):
            for start in range(0, batch.num_rows, self.batch_rows):
                yield self._block(batch.slice(start, self.batch_rows), with_X)

    def _block(self, batch, with_X):
        """The block of a record batch."""
        X = None
        if with_X:
            X = self._table(batch) if self.dtype is None else matrix(batch, self.columns, self.dtype)
        if isinstance(self.target, str):
            y = target_array(cast(batch.column(self.target), self.types[self.target]))
        else:
            y = matrix(batch, self.target_names, self.y_dtype)
        return Block(X, y, None if self.weight is None else matrix(batch, [self.weight], np.float64)[:, 0])

    def _table(self, batch):
        """The columns of X of a record batch as a table."""
        import pyarrow as pa

        return pa.table([cast(batch.column(name), self.types[name]) for name in self.columns], names=self.columns)


def check_pyarrow(form):
    """ImportError, with the way out, unless pyarrow is installed."""
    try:
        import pyarrow  # noqa: F401
    except ImportError as error:
        raise ImportError(f"to read {form} files, fastbp needs pyarrow: pip install 'fastbp[arrow]'") from error


def checked_names(name, values):
    """The names of columns in an argument; ValueError unless they are all strings."""
    for value in values:
        if not isinstance(value, str):
            raise ValueError(f"{name} must be given by the names of columns in these files, got {value!r}")
    return list(values)


def index_names(schema):
    """The columns that pandas has written for the index of a data frame, which is not part of X."""
    names = (schema.pandas_metadata or {}).get("index_columns", [])
    return [name for name in names if isinstance(name, str)]


def column_type(role, name, path, schemas):
    """The type of a column in a file; ValueError, which names what is there, if there is no such column."""
    names = schemas[path].names
    if names.count(name) == 1:
        return schemas[path].field(name).type
    if name in names:
        raise ValueError(f"{role} must name one column, got {name!r}, which {path!r} has {names.count(name)} times")
    first = next(iter(schemas))
    if path != first and name in schemas[first].names:
        raise ValueError(f"source must name files with the same columns: {name!r} is in {first!r} and not in {path!r}")
    near = difflib.get_close_matches(str(name), names, 3) or names[:20]
    more = "" if len(near) == len(names) or len(near) <= 3 else ", ..."
    raise ValueError(f"{role}: {path!r} has no column {name!r}; it has {', '.join(map(repr, near))}{more}")


def matrix_of(names, kinds):
    """The dtype of the matrix of some columns; None if they are not all numbers."""
    found = [kind for name in names for kind in kinds[name]]
    return matrix_dtype(map(numpy_dtype, found)) if all(map(is_number, found)) else None


def common_type(name, kinds):
    """The type of a column in all files, given that in each of them; ValueError if there is none."""
    import pyarrow as pa

    known = {path: kind for path, kind in kinds.items() if not pa.types.is_null(kind)} or kinds
    first = next(iter(known))
    common = known[first]
    for path, kind in known.items():
        merged = merged_type(common, kind)
        if merged is None:
            raise ValueError(
                f"source must name files with the same columns, got {name!r} of type {kinds[first]} in {first!r} and "
                f"of type {kind} in {path!r}"
            )
        common = merged
    return common


def cast(column, kind):
    """A column as one of a type that holds its values; integers that float64 does not hold are rounded."""
    import pyarrow as pa

    return column if column.type == kind else column.cast(kind, safe=not pa.types.is_floating(kind))


def matrix(batch, names, dtype):
    """Columns of numbers of a record batch as a C-contiguous matrix; NaN stands for missing values."""
    out = np.empty((batch.num_rows, len(names)), dtype)
    transpose([numbers(batch.column(name), dtype) for name in names], out)
    return out


def numbers(column, dtype):
    """A column of numbers as an array, which shares its memory where that is possible."""
    import pyarrow as pa

    # NumPy gets NaN for the missing values of floats, and objects for those of others
    if not pa.types.is_floating(column.type) and (column.null_count or pa.types.is_decimal(column.type)):
        column = column.cast(pa.from_numpy_dtype(dtype), safe=False)
    return column.to_numpy(zero_copy_only=False)


def target_array(column):
    """A column as y: a copy, which does not keep the rest of the batch in memory. Missing values are NaN or None."""
    import pyarrow as pa

    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    if pa.types.is_float16(column.type):
        return numbers(column, np.float32).astype(np.float32)
    return np.array(numbers(column, np.float64) if is_number(column.type) else column.to_numpy(zero_copy_only=False))
