"""Blocks as one block."""

import sys
from itertools import chain

import numpy as np
from scipy import sparse

from fastbp.sources.base import Block


def joined_blocks(argument, blocks):
    """Blocks as one: X, y and sample_weight are of the kind that the first block has.

    Parameters
    ----------
    argument : str
        What the blocks are of, for messages.
    blocks : list of Block
        At least one.

    Returns
    -------
    Block

    Raises
    ------
    ValueError
        If some have a sample_weight, and others have none.
    """
    return Block(*(joined(argument, *parts) for parts in zip(Block._fields, zip(*blocks, strict=True), strict=True)))


def joined(argument, name, parts):
    """Parts of X, y or sample_weight as one of the kind that they have."""
    if any(part is None for part in parts):
        if not all(part is None for part in parts):
            raise ValueError(f"{argument}: {name} is there in some blocks, and missing in others")
        return None
    if len(parts) == 1:
        return parts[0]
    if sparse.issparse(parts[0]):
        return sparse.vstack(parts, format="csr")
    if isinstance(parts[0], list):
        return list(chain.from_iterable(parts))
    module = type(parts[0]).__module__.partition(".")[0]
    for library in ("pandas", "polars"):
        if module == library:
            return sys.modules[library].concat(parts)
    if module == "pyarrow":
        return sys.modules[module].concat_tables(parts)
    return np.concatenate(parts)
