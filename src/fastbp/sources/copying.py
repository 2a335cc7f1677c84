"""Copies of blocks: an iterator may use the memory of a block again for the next one."""

import numpy as np

from fastbp.sources.base import library_of


def copied(part):
    """A copy of X, y or sample weights.

    Parameters
    ----------
    part : array, sparse matrix, data frame, list or None

    Returns
    -------
    object
        Of the same type. Values of polars and pyarrow, which may lie in an array of NumPy, are copied too; their own
        copies share them.
    """
    library = library_of(part)
    if library == "polars":
        return part[np.arange(len(part))]
    if library == "pyarrow":
        return part.take(np.arange(len(part)))
    return part.copy() if hasattr(part, "copy") else part
