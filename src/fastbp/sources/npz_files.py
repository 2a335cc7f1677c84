"""Sources of .npz files, whose arrays are read some rows at a time, also where they are compressed."""

import zipfile

import numpy as np

from fastbp.sources.base import Block
from fastbp.sources.files import FileSource, as_list, check_apart, rows_of_block
from fastbp.sources.matrix import matrix_dtype
from fastbp.sources.npy_header import check_numbers, check_widths, checked_numbers, fill, read_header, target_dtype


class NpzSource(FileSource):
    """Files with the arrays X and y, and sample weights.

    Parameters
    ----------
    paths : list of str
    columns : list of int or None
        Numbers of columns of the array X that are the columns of X. None: all.
    target : str or None
        The name of the array of y. None: "y".
    weight : str or None
        The name of the array of the sample weights. None: "sample_weight", if the first file has it.
    block_rows : int
        Rows of a block, at most.
    """

    def __init__(self, paths, columns, target, weight, block_rows):
        super().__init__(paths, block_rows)
        self.target = "y" if target is None else self._checked_name("target", target)
        with opened_zip(paths[0]) as archive:
            default = "sample_weight" if "sample_weight.npy" in archive.namelist() else None
        self.weight = default if weight is None else self._checked_name("weight", weight)
        self.names = ["X", self.target] + ([] if self.weight is None else [self.weight])
        self.headers = {path: self._headers(path) for path in paths}
        width = check_widths({path: headers[0].shape for path, headers in self.headers.items()})
        self.columns = None if columns is None else self._numbers(as_list("columns", columns), width)
        self.parts = [(path,) for path in paths]
        self.n_rows = sum(self.headers[path][0].shape[0] for path in paths)
        self.dtype = matrix_dtype(headers[0].dtype for headers in self.headers.values())

    @staticmethod
    def _checked_name(name, value):
        """The name of an array; ValueError unless it is one."""
        if not isinstance(value, str):
            raise ValueError(f"{name} must be the name of an array in .npz files, got {value!r}")
        return value

    def _numbers(self, columns, width):
        """The numbers of the columns of X, counted from 0."""
        matrix = f"'X' in {self.paths[0]!r}"
        numbers = checked_numbers("columns", columns, width, matrix)
        if not numbers:
            raise ValueError(f"columns: no column is left for X, of {width} in {matrix}")
        check_apart(numbers, [])
        return numbers

    def _headers(self, path):
        """The headers of the arrays of a file."""
        with opened_zip(path) as archive:
            held = [name.removesuffix(".npy") for name in archive.namelist()]
            for name in self.names:
                if name not in held:
                    raise ValueError(f"source: {path!r} must hold an array {name!r}, it holds {held}")
            headers = []
            for name in self.names:
                with archive.open(name + ".npy") as file:
                    headers.append(read_header(f"{name!r} in {path!r}", file))
        for name, header in zip(self.names, headers, strict=True):
            if name == "X":
                check_numbers(f"'X' in {path!r}", header)
            if header.dtype.hasobject:
                raise ValueError(f"source: {name!r} in {path!r} holds Python objects: save numbers or text")
            if not header.shape or header.shape[0] != headers[0].shape[0]:
                raise ValueError(
                    f"source: {name!r} in {path!r} must have a row for each of X, which has {headers[0].shape[0]}, got "
                    f"shape {header.shape}"
                )
        return headers

    def _settings(self):
        return [("target", self.target), ("weight", self.weight)]

    def _read(self, part, *, with_X=True):
        (path,) = part
        headers, names = self.headers[path], self.names
        row_bytes = max(header.dtype.itemsize * int(np.prod(header.shape[1:])) for header in headers)
        step = rows_of_block(self.block_rows, row_bytes)
        with opened_zip(path) as archive:
            arrays = [
                Rows(archive, name, header) if with_X or name != "X" else None
                for name, header in zip(names, headers, strict=True)
            ]
            for start in range(0, headers[0].shape[0], step):
                n_rows = min(step, headers[0].shape[0] - start)
                X, y, *weight = [None if array is None else array.read(n_rows) for array in arrays]
                if X is not None:
                    X = np.ascontiguousarray(X if self.columns is None else X[:, self.columns], self.dtype)
                yield Block(X, y.astype(target_dtype(y.dtype), copy=False), *weight)


class Rows:
    """An array in a .npz file, of which the next rows are read. One in Fortran order is read whole."""

    def __init__(self, archive, name, header):
        self.header, self.whole, self.n_read = header, None, 0
        self.file = archive.open(name + ".npy")
        if header.is_fortran and len(header.shape) > 1:
            self.whole = np.lib.format.read_array(self.file, allow_pickle=False)
        else:
            read_header(name, self.file)

    def read(self, n_rows):
        """The next rows: an array."""
        if self.whole is None:
            rows = np.empty((n_rows, *self.header.shape[1:]), self.header.dtype)
            fill(self.file, rows)
        else:
            rows = self.whole[self.n_read : self.n_read + n_rows]
        self.n_read += n_rows
        return rows


def opened_zip(path):
    """A .npz file; ValueError for another one."""
    try:
        return zipfile.ZipFile(path)
    except zipfile.BadZipFile as error:
        raise ValueError(f"source: {path!r} cannot be read as .npz: {error}") from error
