"""Sources of .npy files, which are read some rows at a time.

The files are read and not mapped: a mapped file counts as memory of the process, and one that another program makes
shorter would end it.
"""

from numbers import Integral

import numpy as np

from fastbp.sources.base import Block
from fastbp.sources.files import FileSource, as_list, check_apart, rows_of_block
from fastbp.sources.matrix import ROWS, matrix_dtype, runs, transpose
from fastbp.sources.npy_header import check_widths, checked_numbers, fill, npy_header, target_dtype


class NpySource(FileSource):
    """Files with one matrix each, whose columns are those of X, the target and the weight.

    Parameters
    ----------
    paths : list of str
    columns : list of int or None
        Numbers of the columns of X. None: all but the target and the weight.
    target : int or list of int
        The column of y, or several. Negative numbers count from the end.
    weight : int or None
        The column of the sample weights.
    block_rows : int
        Rows of a block, at most.
    """

    def __init__(self, paths, columns, target, weight, block_rows):
        super().__init__(paths, block_rows)
        self.headers = {path: npy_header(path) for path in paths}
        self.n_columns = check_widths({path: header.shape for path, header in self.headers.items()})
        self._check_columns(columns, target, weight)
        for path in paths:
            header = self.headers[path]
            step = rows_of_block(block_rows, self.n_columns * header.dtype.itemsize)
            starts = range(0, header.shape[0], step)
            self.parts += [(path, start, min(start + step, header.shape[0])) for start in starts]
        self.n_rows = sum(self.headers[path].shape[0] for path in paths)
        self.dtype = matrix_dtype(header.dtype for header in self.headers.values())

    def _check_columns(self, columns, target, weight):
        """Set the numbers of the columns."""
        if target is None:
            raise ValueError("target must be the number of the column of y in .npy files, got None; -1 is the last one")
        self.has_one_target = isinstance(target, Integral)
        targets = [target] if self.has_one_target else as_list("target", target)
        self.target_numbers = self._numbers("target", targets)
        self.weight_numbers = [] if weight is None else self._numbers("weight", [weight])
        used = {*self.target_numbers, *self.weight_numbers}
        others = [number for number in range(self.n_columns) if number not in used]
        self.column_numbers = others if columns is None else self._numbers("columns", as_list("columns", columns))
        if not self.column_numbers:
            raise ValueError(f"columns: no column is left for X, of {self.n_columns} in {self.paths[0]!r}")
        check_apart(self.column_numbers, self.target_numbers + self.weight_numbers)

    def _numbers(self, name, numbers):
        """Numbers of columns, counted from 0."""
        return checked_numbers(name, numbers, self.n_columns, repr(self.paths[0]))

    def _settings(self):
        target = self.target_numbers[0] if self.has_one_target else self.target_numbers
        return [("target", target), ("weight", self.weight_numbers[0] if self.weight_numbers else None)]

    def _read(self, part, *, with_X=True):
        path, start, stop = part
        header, n_rows = self.headers[path], stop - start
        X = np.empty((n_rows, len(self.column_numbers) if with_X else 0), self.dtype)
        y = np.empty((n_rows, len(self.target_numbers)), target_dtype(header.dtype))
        weight = np.empty((n_rows, len(self.weight_numbers)))
        wanted = [(self.column_numbers if with_X else [], X), (self.target_numbers, y), (self.weight_numbers, weight)]
        with open(path, "rb", buffering=0) as file:
            (read_columns if header.is_fortran else read_rows)(file, header, start, wanted)
        yield Block(
            X if with_X else None, y[:, 0] if self.has_one_target else y, weight[:, 0] if self.weight_numbers else None
        )


def read_rows(file, header, start, wanted):
    """Read rows of a C-contiguous matrix.

    Parameters
    ----------
    file : file
    header : Header
    start : int
        The first row.
    wanted : list of (list of int, ndarray of shape (n_rows, n_columns))
        Numbers of columns, and where they are written.
    """
    n_rows, n_columns = len(wanted[0][1]), header.shape[1]
    buffer = np.empty((min(ROWS, n_rows), n_columns), header.dtype)
    places = [(out, place, run) for numbers, out in wanted for place, run in runs(numbers)]
    file.seek(header.offset + start * n_columns * header.dtype.itemsize)
    for first in range(0, n_rows, ROWS):
        rows = buffer[: min(ROWS, n_rows - first)]
        fill(file, rows)
        for out, place, run in places:
            out[first : first + ROWS, place : place + run.stop - run.start] = rows[:, run]


def read_columns(file, header, start, wanted):
    """`read_rows` of a Fortran-contiguous matrix."""
    n_rows, size = len(wanted[0][1]), header.dtype.itemsize
    for numbers, out in wanted:
        columns = np.empty((len(numbers), n_rows), header.dtype)
        for column, number in zip(columns, numbers, strict=True):
            file.seek(header.offset + (number * header.shape[0] + start) * size)
            fill(file, column)
        transpose(list(columns), out)
