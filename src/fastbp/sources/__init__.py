"""Training sets that are read block by block, for `fit_batches`: from files, data loaders and functions."""

import sys
from collections.abc import Sequence
from typing import Any

from fastbp.sources.arrow import ArrowSource
from fastbp.sources.base import Block, Source
from fastbp.sources.files import BLOCK_ROWS, FileSource, are_paths, as_paths, common_format
from fastbp.sources.iterables import IterableSource, UserSource
from fastbp.sources.npy_files import NpySource
from fastbp.sources.npz_files import NpzSource

__all__ = ["Block", "Source", "as_source"]


def as_source(
    source: Any,
    *,
    columns: Sequence[str] | Sequence[int] | None = None,
    target: str | int | Sequence[str] | Sequence[int] | None = None,
    weight: str | int | None = None,
    block_rows: int | None = None,
    frames: bool = False,
) -> Source:
    """Make a `Source` of anything that gives blocks again and again.

    Parameters
    ----------
    source : Source, callable, iterable, path, list of paths, or pyarrow.dataset.Dataset
        - A function without arguments that returns an iterator of blocks, or an object whose ``__iter__`` does, such as
          a list or a data loader. A block is a tuple ``(X, y)`` or ``(X, y, sample_weight)``. Also a `Source`.
        - A path, a glob such as ``"data/*.parquet"``, a folder, or a list of these. The files have one format: .npy,
          .npz, .parquet, .csv (also compressed, as .csv.gz), .arrow, .feather or .ipc. Those of a glob or a folder are
          sorted by name; a list keeps its order.
        - A dataset of pyarrow, for partitions, filters and remote files.

        .npy files hold a matrix, whose columns are named by their numbers. .npz files hold arrays X, y and, if there
        are weights, sample_weight. All but .npy and .npz need pyarrow.
    columns : list of str or int, default=None
        The columns of X; numbers of columns for .npy and .npz. None: all but the target and the weight.
    target : str, int or list, default=None
        The column of y, or several; of .npz files the name of the array, by default "y". Files in other formats must
        have it.
    weight : str or int, default=None
        The column of the sample weights; of .npz files the name of the array, by default "sample_weight", if it exists.
    block_rows : int, default=None
        Rows of a block from files, at most. None: 65,536, or fewer if these were more than 32 MB.
    frames : bool, default=False
        X from Parquet, CSV and Arrow files is always a table of pyarrow. False: it is a matrix if all its columns are
        numbers or bools, of float32 if that holds them without loss, else of float64, with NaN for missing values.

    Returns
    -------
    Source

    Raises
    ------
    TypeError
        For an iterator, which can be read once only, and for what gives no blocks.
    FileNotFoundError
        For a path that does not exist, and a glob that matches none.
    ValueError
        For files of another format or of several, files whose columns have different names or types that have none in
        common, columns that do not exist, and arguments that a source does not take. With `columns`, files may have
        others besides.
    ImportError
        If pyarrow is needed and not installed.

    Examples
    --------
    >>> import numpy as np
    >>> from fastbp.sources import as_source
    >>> blocks = [(np.zeros((100, 4)), np.zeros(100)), (np.ones((50, 4)), np.ones(50))]
    >>> [len(block.y) for block in as_source(blocks).blocks()]
    [100, 50]
    """
    chosen = {"columns": columns, "target": target, "weight": weight, "block_rows": block_rows}
    paths, dataset = as_paths(source), source if is_dataset(source) else None
    if paths is None and dataset is None:
        for name, value in chosen.items():
            if value is not None:
                raise ValueError(
                    f"{name} is for files: {type(source).__name__} as source gives its blocks as they are, got "
                    f"{name}={value!r}"
                )
        if isinstance(source, (FileSource, IterableSource, UserSource)):
            return source
        return (UserSource if isinstance(source, Source) else IterableSource)(source)
    chosen["block_rows"] = checked_block_rows(block_rows)
    if dataset is not None:
        return ArrowSource(["pyarrow.dataset"], "dataset", **chosen, frames=frames, dataset=dataset)
    form = common_format(paths)
    if form in ("npy", "npz"):
        return (NpySource if form == "npy" else NpzSource)(paths, **chosen)
    return ArrowSource(paths, form, **chosen, frames=frames)


def are_files(source: Any) -> bool:
    """Whether the arguments for files are for this source: paths, or a dataset of pyarrow."""
    return are_paths(source) or is_dataset(source)


def have_named_columns(files: Any) -> bool:
    """Whether the columns of files, for which `are_files` is true, have names."""
    return is_dataset(files) or common_format(as_paths(files)) not in ("npy", "npz")


def is_dataset(source: Any) -> bool:
    """Whether the source is a dataset of pyarrow, which is not imported for that."""
    module = sys.modules.get("pyarrow.dataset")
    return module is not None and isinstance(source, module.Dataset)


def checked_block_rows(block_rows: Any) -> int:
    """The number of rows, 65,536 for None; ValueError unless it is an integer of at least 1."""
    if block_rows is None:
        return BLOCK_ROWS
    if isinstance(block_rows, bool) or not hasattr(block_rows, "__index__") or block_rows < 1:
        raise ValueError(f"block_rows must be None or an integer >= 1, got {block_rows!r}")
    return int(block_rows)
