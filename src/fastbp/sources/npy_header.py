"""What a .npy file begins with, also one that is an array in a .npz file, and reading of what follows."""

import os
from numbers import Integral
from typing import NamedTuple

import numpy as np

from fastbp.sources.matrix import matrix_dtype


class Header(NamedTuple):
    """What a .npy file begins with, and where the numbers are."""

    shape: tuple
    is_fortran: bool
    dtype: np.dtype
    offset: int


def npy_header(path):
    """The header of a .npy file with a matrix of numbers; ValueError for others."""
    with open(path, "rb") as file:
        header = read_header(repr(path), file)
    check_numbers(repr(path), header)
    wanted = header.offset + int(np.prod(header.shape, dtype=object)) * header.dtype.itemsize
    if os.path.getsize(path) < wanted:
        raise ValueError(f"source: {path!r} is not whole: it has {os.path.getsize(path)} bytes of {wanted}")
    return header


def read_header(name, file):
    """The header in a file that is at its beginning; ValueError if there is none."""
    try:
        version = np.lib.format.read_magic(file)
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        return Header(*read(file), file.tell())
    except ValueError as error:
        raise ValueError(f"source: {name} cannot be read as .npy: {error}") from error


def check_numbers(name, header):
    """ValueError unless a header is that of a matrix of numbers."""
    if header.dtype.names:
        raise ValueError(
            f"source: {name} holds records of the fields {list(header.dtype.names)}: save a matrix instead, which "
            "numpy.lib.recfunctions.structured_to_unstructured gives"
        )
    if header.dtype.kind not in "fiub" or len(header.shape) != 2:
        raise ValueError(
            f"source: {name} must hold a matrix of real numbers, got shape {header.shape} and dtype {header.dtype}"
        )


def check_widths(shapes):
    """The number of columns that all files have; ValueError if it differs."""
    first = next(iter(shapes))
    for path, shape in shapes.items():
        if shape[1] != shapes[first][1]:
            raise ValueError(
                f"source must name files with the same columns, got {shapes[first][1]} in {first!r} and {shape[1]} in "
                f"{path!r}"
            )
    return shapes[first][1]


def checked_numbers(name, numbers, n_columns, matrix):
    """The numbers of columns in an argument, counted from 0; ValueError for others than a matrix has.

    Parameters
    ----------
    name : str
        Of the argument.
    numbers : list
    n_columns : int
        Of the matrix.
    matrix : str
        How messages call it.

    Returns
    -------
    list of int
    """
    for number in numbers:
        if not isinstance(number, Integral) or isinstance(number, bool):
            raise ValueError(f"{name} must be the number of a column of {matrix}, got {number!r}")
        if not -n_columns <= number < n_columns:
            raise ValueError(f"{name} must be a column of {matrix}, which has {n_columns}, got {number}")
    return [int(number) % n_columns for number in numbers]


def target_dtype(dtype):
    """The dtype of y from a file: float32 or float64 for floats, else that of the file."""
    return matrix_dtype([dtype]) if dtype.kind == "f" else dtype.newbyteorder("=")


def fill(file, array):
    """Read a C-contiguous array; ValueError if the file ends before."""
    rest = memoryview(array.reshape(-1).view(np.uint8))
    while len(rest):
        n_bytes = file.readinto(rest)
        if not n_bytes:
            raise ValueError("the file has ended too early")
        rest = rest[n_bytes:]
