"""Sources of files: which files, and the order of their parts."""

import glob
import os
from collections.abc import Iterable
from itertools import chain
from pathlib import Path

from fastbp.sources.base import Source

#: Rows of a block, at most
BLOCK_ROWS = 65_536
#: Bytes of a block, at most, unless a single row has more
BLOCK_BYTES = 2**25
#: Endings of the files that are read, by their format
ENDINGS = {
    "npy": (".npy",),
    "npz": (".npz",),
    "Parquet": (".parquet", ".pq"),
    "CSV": (".csv", ".csv.gz", ".csv.bz2", ".csv.zst"),
    "Arrow": (".arrow", ".feather", ".ipc"),
}


class FileSource(Source):
    """Base class of the sources of files. A file has one part or several, which are read in any order.

    Parameters
    ----------
    paths : list of str
        Of the files, all of one format.
    block_rows : int
        Rows of a block, at most.

    Attributes
    ----------
    parts : list of tuple
        What `_read` takes.
    """

    is_reordered = True

    def __init__(self, paths, block_rows):
        self.paths, self.block_rows = paths, block_rows
        self.parts = []

    def __repr__(self):
        shown = ", ".join(map(repr, self.paths if len(self.paths) < 4 else [self.paths[0], "...", self.paths[-1]]))
        settings = "".join(f", {name}={value!r}" for name, value in self._settings() if value is not None)
        return f"{type(self).__name__}([{shown}]{settings})"

    def blocks(self, generator=None):
        """Begin a new pass; see `Source.blocks`.

        Parameters
        ----------
        generator : numpy.random.Generator or None, default=None
            Draws the order of the parts, in this call.

        Returns
        -------
        generator of Block
        """
        order = range(len(self.parts)) if generator is None else generator.permutation(len(self.parts))
        return self._pass([self.parts[number] for number in order])

    def targets(self):
        """Begin a new pass over y and sample_weight alone; see `Source.targets`.

        Returns
        -------
        generator of (y, sample_weight)
        """
        return ((block.y, block.sample_weight) for block in self._pass(self.parts, with_X=False))

    def _pass(self, parts, **options):
        """The blocks of parts; what is raised has a note that names the file."""
        for part in parts:
            try:
                yield from self._read(part, **options)
            except Exception as error:
                error.add_note(f"raised while {part[0]!r} was read")
                raise

    def _read(self, part, *, with_X=True):
        """An iterator over the blocks of a part, whose X is None if it is not wanted."""
        raise TypeError(f"{type(self).__name__} must define _read")

    def _settings(self):
        """What else `repr` shows: pairs of a name and a value."""
        return []


def as_paths(source):
    """The paths that a source names.

    Parameters
    ----------
    source : object

    Returns
    -------
    list of str or None
        Absolute. Those of a glob or a folder are sorted; a list keeps its order. None if the source names no paths.

    Raises
    ------
    FileNotFoundError
        For a path that does not exist, and a glob that matches none.
    ValueError
        For a folder without files of a format that is read, and an address of the internet.
    """
    if not are_paths(source):
        return None
    return [path for each in ([source] if is_path(source) else source) for path in expanded(os.fspath(each))]


def is_path(source):
    """Whether a source is a path."""
    return isinstance(source, (str, os.PathLike))


def are_paths(source):
    """Whether a source is a path, or a list of paths."""
    return is_path(source) or (isinstance(source, (list, tuple)) and bool(source) and all(map(is_path, source)))


def expanded(path):
    """The files of a path: itself, those that match it, or those of a folder."""
    if "://" in path:
        raise ValueError(
            f"source must name local files, got {path!r}: for others give a pyarrow.dataset.dataset({path!r})"
        )
    if os.path.exists(path):
        return files_of(path)
    if not glob.has_magic(path):
        raise FileNotFoundError(f"source: there is no file {path!r} (the working folder is {os.getcwd()!r})")
    matching, is_tree = sorted(glob.glob(path, recursive=True)), "**" in path
    if is_tree:  # which matches folders, also those that hold nothing but folders
        matching = [name for name in matching if not os.path.isdir(name) or names_in(name)]
    if not matching:
        raise FileNotFoundError(f"source: no file matches {path!r} (the working folder is {os.getcwd()!r})")
    files = [each for name in matching for each in files_of(name)]
    return sorted(set(files)) if is_tree else files  # a tree has folders, and once more the files in them


def files_of(path):
    """The file of a path that exists, or those of a folder; ValueError for one without files of a format."""
    if not os.path.isdir(path):
        return [os.path.abspath(path)]
    names = names_in(path)
    if not names:
        raise ValueError(
            f"source: the folder {path!r} holds no file that ends with {all_endings()}; for a tree of folders give "
            "a pyarrow.dataset.dataset(path, partitioning='hive')"
        )
    return [os.path.abspath(os.path.join(path, name)) for name in names]


def names_in(folder):
    """The names of the files in a folder that have a format, sorted."""
    return sorted(name for name in os.listdir(folder) if format_of(name) and not name.startswith((".", "_")))


def format_of(path):
    """The format of a file by the ending of its name; None for others."""
    name = Path(path).name.lower()
    return next((form for form, endings in ENDINGS.items() if name.endswith(endings)), None)


def common_format(paths):
    """The one format of files; ValueError for others."""
    form = format_of(paths[0])
    for path in paths:
        if format_of(path) is None:
            raise ValueError(f"source: {path!r} must end with {all_endings()}")
        if format_of(path) != form:
            raise ValueError(
                f"source must name files of one format, got {paths[0]!r} ({form}) and {path!r} ({format_of(path)})"
            )
    return form


def all_endings():
    """The endings of the files that are read, for messages."""
    endings = list(chain.from_iterable(ENDINGS.values()))
    return f"{', '.join(endings[:-1])} or {endings[-1]}"


def rows_of_block(block_rows, row_bytes):
    """Rows of a block whose rows have `row_bytes` bytes each."""
    return min(block_rows, max(1, BLOCK_BYTES // max(1, row_bytes)))


def as_list(name, value):
    """The argument `name`, a sequence, as a list; ValueError for a string or anything that is no sequence."""
    if isinstance(value, (str, bytes)) or not isinstance(value, Iterable):
        raise ValueError(f"{name} must be a list, got {value!r}")
    return list(value)


def check_apart(columns, others):
    """ValueError if a column is used twice: as one of X and as target, for instance."""
    seen = set()
    for column in (*others, *columns):
        if column in seen:
            raise ValueError(f"columns, target and weight must name each column once, got {column!r} twice")
        seen.add(column)
