"""Matrices in files for the tests of np.memmap."""

import numpy as np


def in_file(folder, array, order="C", offset=0):
    """A read-only np.memmap of the array, in a new file of the folder.

    Parameters
    ----------
    folder : Path
    array : ndarray
    order : {"C", "F"}
    offset : int
        Bytes before the array.
    """
    path = folder / f"{len(list(folder.iterdir()))}.bin"
    path.write_bytes(b"\0" * offset + array.tobytes(order))
    return np.memmap(path, array.dtype, "r", offset, array.shape, order)
