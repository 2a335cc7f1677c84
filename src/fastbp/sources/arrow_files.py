"""How Parquet, CSV and Arrow files and datasets of pyarrow are read: their schemas, parts and record batches.

A part is a tuple that begins with the path. Everything is read in the calling thread where that is possible, so that
the threads of training keep their processors, and little is read ahead, so that the memory is bounded.
"""

from itertools import chain

import numpy as np

from fastbp.sources.files import rows_of_block

#: Bytes of a CSV file that are parsed at once, from the first of which the types of the columns are taken
CSV_BYTES = 2**21
#: Bytes that are read at once from all columns of a Parquet file, and from one
BUFFER_BYTES, COLUMN_BYTES = 2**25, 2**20
#: Bytes of a value whose type has no fixed width, as an estimate
TEXT_BYTES = 32


class FileReader:
    """Base class of what reads files of one format: it also has `schema`, `parts` and `batches`, as those below."""

    def settled(self, schemas):
        """The schemas of all files as they will be read, by path: as they are found in the files."""
        return schemas


class Parquet(FileReader):
    """Parts are row groups; small ones that follow each other are one part."""

    def __init__(self):
        self.metadata = {}

    def schema(self, path):
        """The schema of a file, whose metadata are kept."""
        with self._opened(path, 1) as file:
            self.metadata[path] = file.metadata
            return file.schema_arrow

    def parts(self, path, block_rows):
        """The parts of a file, and its number of rows."""
        metadata, parts, sizes = self.metadata[path], [], []
        for group in range(metadata.num_row_groups):
            n_rows = metadata.row_group(group).num_rows
            if sizes and sizes[-1] + n_rows <= block_rows:
                parts[-1][1].append(group)
                sizes[-1] += n_rows
            else:
                parts.append((path, [group]))
                sizes.append(n_rows)
        return parts, metadata.num_rows

    def batches(self, part, names, n_rows):
        """The record batches of a part, of `n_rows` rows at most, with the columns `names`."""
        path, groups = part
        with self._opened(path, len(names)) as file:
            yield from file.iter_batches(n_rows, row_groups=groups, columns=names, use_threads=False)

    def _opened(self, path, n_columns):
        """A file. A buffer for each column, in place of all bytes of a row group, bounds the memory."""
        import pyarrow.parquet as pq

        buffer_size = min(COLUMN_BYTES, max(2**14, BUFFER_BYTES // max(1, n_columns)))
        return pq.ParquetFile(path, metadata=self.metadata.get(path), buffer_size=buffer_size, pre_buffer=False)


class CSV(FileReader):
    """A file is one part. Columns of numbers are read as float64, also if those at the beginning are integers; but
    targets that begin with integers must be integers, which may be the numbers of classes. A column without values at
    the beginning of a file has the type that it has in the other files, and else float64."""

    def __init__(self, targets):
        self.targets, self.types = targets, {}

    def schema(self, path):
        """The schema of a file, by its beginning."""
        with self._opened(path) as reader:
            return reader.schema

    def settled(self, schemas):
        """The schemas of all files as they will be read, by path."""
        import pyarrow as pa

        found = {}
        for field in chain.from_iterable(schemas.values()):
            found.setdefault(field.name, []).append(field.type)
        for path, schema in schemas.items():
            self.types[path] = {
                field.name: csv_type(field.type, found[field.name], is_target=field.name in self.targets)
                for field in schema
            }
        return {
            path: pa.schema([(name, self.types[path][name]) for name in schema.names])
            for path, schema in schemas.items()
        }

    def parts(self, path, block_rows):
        """The parts of a file, and its number of rows, which is not known."""
        return [(path,)], None

    def batches(self, part, names, n_rows):
        """The record batches of a part."""
        types = {name: kind for name, kind in self.types[part[0]].items() if name in names}
        with self._opened(part[0], include_columns=names, column_types=types) as reader:
            try:
                yield from reader
            except ValueError as error:
                error.add_note(
                    f"the types of the columns are those of the first {CSV_BYTES / 2**20:.0f} MB; for others, give a "
                    "pyarrow.dataset.dataset whose CsvFileFormat has convert_options with column_types"
                )
                raise

    @staticmethod
    def _opened(path, **options):
        import pyarrow.csv

        return pyarrow.csv.open_csv(
            path,
            read_options=pyarrow.csv.ReadOptions(block_size=CSV_BYTES, use_threads=False),
            convert_options=pyarrow.csv.ConvertOptions(strings_can_be_null=True, **options),
        )


class Arrow(FileReader):
    """Files of the IPC format, of which some record batches are a part, and streams, which are one part."""

    def __init__(self):
        self.schemas = {}

    def schema(self, path):
        """The schema of a file, which is kept."""
        with self._opened(path) as reader:
            self.schemas[path] = reader.schema
            return reader.schema

    def parts(self, path, block_rows):
        """The parts of a file, and its number of rows; None of a stream."""
        import pyarrow.dataset

        with self._opened(path) as reader:
            n_batches = getattr(reader, "num_record_batches", None)
        if n_batches is None:
            return [(path, None)], None
        n_rows = pyarrow.dataset.dataset(path, format="ipc").count_rows()
        step = max(1, block_rows * n_batches // max(1, n_rows))
        return [(path, range(start, min(start + step, n_batches))) for start in range(0, n_batches, step)], n_rows

    def batches(self, part, names, n_rows):
        """The record batches of a part."""
        path, numbers = part
        with self._opened(path, names) as reader:
            yield from reader if numbers is None else map(reader.get_batch, numbers)

    def _opened(self, path, names=None):
        """A reader of some columns. The file is not mapped, because that counts as memory of the process."""
        import pyarrow as pa

        options = {}
        if names is not None:
            schema = self.schemas[path]
            fields = [schema.get_field_index(name) for name in names]
            options["options"] = pa.ipc.IpcReadOptions(included_fields=fields, use_threads=False)
        file = pa.OSFile(path)
        try:
            return pa.ipc.open_file(file, **options)
        except pa.ArrowInvalid:
            file.seek(0)
            return pa.ipc.open_stream(file, **options)


class Dataset(FileReader):
    """A dataset of pyarrow. Parts are its fragments, of Parquet files their row groups. A filtered one is one part."""

    def __init__(self, dataset):
        self.dataset = dataset

    def schema(self, path):
        """The schema of the dataset."""
        return self.dataset.schema

    def parts(self, path, block_rows):
        """The parts of the dataset, and its number of rows if it consists of Parquet files."""
        try:
            fragments = list(self.dataset.get_fragments())
        except ValueError:  # it has a filter
            return [(path, self.dataset, {})], None
        parts, n_rows = [], 0
        for fragment in fragments:
            options = {"schema": self.dataset.schema}
            groups = fragment.split_by_row_group() if hasattr(fragment, "split_by_row_group") else [fragment]
            parts += [(getattr(fragment, "path", path), group, options) for group in groups]
            has_metadata = n_rows is not None and hasattr(fragment, "row_groups")
            n_rows = n_rows + sum(group.num_rows for group in fragment.row_groups) if has_metadata else None
        return parts, n_rows

    def batches(self, part, names, n_rows):
        """The record batches of a part."""
        _, scanned, options = part
        return scanned.scanner(
            columns=names, batch_size=n_rows, batch_readahead=1, fragment_readahead=1, **options
        ).to_batches()


READERS = {"Parquet": Parquet, "Arrow": Arrow}


def is_number(kind):
    """Whether a type of Arrow is one of numbers or bools, or of a column without values."""
    import pyarrow.types as of

    return any(test(kind) for test in (of.is_floating, of.is_integer, of.is_boolean, of.is_decimal, of.is_null))


def merged_type(first, second):
    """The type that holds the values of two types; None if there is none."""
    import pyarrow as pa

    if first == second or pa.types.is_null(second):
        return first
    if pa.types.is_null(first):
        return second
    if is_number(first) != is_number(second):
        return None
    if is_number(first):
        common = np.result_type(numpy_dtype(first), numpy_dtype(second))
        # Arrow has no cast from bools to half floats
        return pa.from_numpy_dtype(np.float32 if common == np.float16 else common)
    for pair in ((first, second), (plain_type(first), plain_type(second))):
        try:
            schemas = [pa.schema([("column", kind)]) for kind in pair]
            return pa.unify_schemas(schemas, promote_options="permissive").field("column").type
        except pa.ArrowException:
            continue
    return None


def plain_type(kind):
    """The type of the values of dictionaries, and of text whatever its layout; of others, their own."""
    import pyarrow as pa

    kind = kind.value_type if pa.types.is_dictionary(kind) else kind
    return pa.large_string() if str(kind) == "string_view" else kind


def csv_type(kind, found, *, is_target):
    """The type that a column is read as, by that at the beginning of the file, and those found in all files."""
    import pyarrow as pa

    if pa.types.is_null(kind):
        kind = next((other for other in found if not pa.types.is_null(other)), pa.float64())
    return pa.float64() if pa.types.is_integer(kind) and (not is_target or pa.float64() in found) else kind


def numpy_dtype(kind):
    """The dtype of NumPy for a type of numbers."""
    import pyarrow.types as of

    if of.is_null(kind):
        return "f4"
    return "f8" if of.is_decimal(kind) else kind.to_pandas_dtype()


def batch_rows(kinds, block_rows):
    """Rows of a block with columns of these types."""
    return rows_of_block(block_rows, sum(byte_width(kind) for kind in kinds))


def byte_width(kind):
    """Bytes of a value, as an estimate."""
    try:
        return max(1, kind.bit_width // 8)
    except ValueError:
        return TEXT_BYTES
