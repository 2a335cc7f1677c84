"""The arguments of `fit` on a cluster as lists of partitions, which stay where they are."""

import math

IN_WORDS = "a Dask array, a Dask data frame or series, or a list of delayed blocks or futures"


def is_list_of_delayed(value):
    """Whether a value is a list of delayed objects or futures."""
    from dask.delayed import Delayed
    from distributed import Future

    return isinstance(value, (list, tuple)) and len(value) > 0 and all(isinstance(v, (Delayed, Future)) for v in value)


def is_array(value):
    """Whether a value is a Dask array."""
    from dask.array import Array

    return isinstance(value, Array)


def is_frame(value):
    """Whether a value is a Dask data frame or series."""
    import dask

    return dask.is_dask_collection(value) and hasattr(value, "partitions") and hasattr(value, "npartitions")


def is_distributed(value):
    """Whether a value is something that `partitions_of` takes."""
    return is_array(value) or is_frame(value) or is_list_of_delayed(value)


def check_is_distributed(name, value, estimator):
    """TypeError unless a value is something that `partitions_of` takes."""
    if not is_distributed(value):
        kind = type(estimator).__name__
        raise TypeError(
            f"{name} must be {IN_WORDS}; got {type(value).__name__}. For data in memory use "
            f"{kind.removeprefix('Dask')}, or make a collection of them, as dask.array.from_array(X, chunks=10_000)"
        )


def partitions_of(value):
    """The partitions of a collection, as delayed objects or futures.

    Parameters
    ----------
    value : Dask array, data frame or series, or list of delayed blocks
        The columns of an array must be in one chunk.

    Returns
    -------
    list
    """
    if is_array(value) or is_frame(value):
        return list(value.to_delayed().ravel() if is_array(value) else value.to_delayed())
    return list(value)


def n_partitions(value):
    """The number of partitions of a collection."""
    if is_array(value):
        return value.numblocks[0]
    return value.npartitions if is_frame(value) else len(value)


def with_whole_rows(name, value):
    """A Dask array with all of its columns in one chunk; anything else as it is.

    Raises
    ------
    ValueError
        For an array of more than two dimensions.
    """
    if not is_array(value):
        return value
    if value.ndim not in (1, 2):
        raise ValueError(f"{name} must have one or two dimensions, got shape {value.shape}")
    return value.rechunk({1: -1}) if value.ndim == 2 and value.numblocks[1] > 1 else value


def aligned_partitions(X, y, sample_weight):
    """The partitions of X, y and sample weights, which are made the same rows; see `aligned`.

    Parameters
    ----------
    X, y : collection
    sample_weight : collection or None

    Returns
    -------
    X : collection
    rows : list of (X, y, sample_weight)
        Of each partition, as delayed objects or futures; its weights are None where there are none.
    """
    X, others = aligned(X, {"y": y, "sample_weight": sample_weight})
    columns = [partitions_of(X), partitions_of(others["y"])]
    weights = others["sample_weight"]
    columns.append([None] * len(columns[0]) if weights is None else partitions_of(weights))
    return X, list(zip(*columns, strict=True))


def aligned(X, others):
    """Collections with the same partitions as X.

    Parameters
    ----------
    X : collection
    others : dict of str to (collection or None)

    Returns
    -------
    X : collection
    others : dict of str to (collection or None)
        Arrays whose chunks have other, known sizes are rechunked.

    Raises
    ------
    ValueError
        Where the partitions differ; names the way out.
    """
    X = with_whole_rows("X", X)
    result = {}
    for name, value in others.items():
        if value is not None:
            value = with_whole_rows(name, value)
            if is_array(X) and is_array(value):
                value = rechunked_like(name, value, X)
            check_same_partitions(name, value, X)
        result[name] = value
    return X, result


def rechunked_like(name, value, X):
    """A Dask array with the rows of X in each chunk, where all sizes are known."""
    ours, theirs = value.chunks[0], X.chunks[0]
    if any(math.isnan(size) for size in (*ours, *theirs)) or ours == theirs:
        return value
    if sum(ours) != sum(theirs):
        raise ValueError(f"X and {name} must have the same number of rows, got {sum(theirs)} and {sum(ours)}")
    return value.rechunk({0: theirs})


def check_same_partitions(name, value, X):
    """ValueError where a collection has other partitions than X."""
    ours, theirs = n_partitions(value), n_partitions(X)
    divisions = [getattr(c, "divisions", None) if is_frame(c) else None for c in (value, X)]
    known = [d is not None and None not in d for d in divisions]
    if ours != theirs:
        what = f"{ours} and {theirs} partitions"
    elif all(known) and divisions[0] != divisions[1]:
        what = f"the divisions {divisions[0]} and {divisions[1]}"
    else:
        return
    raise ValueError(
        f"{name} and X must have the same partitions, got {what}. Take both from one data frame, as X = df[columns] "
        f"and y = df['target'], or give them the same partitions: df.repartition(npartitions=...) or "
        "array.rechunk(...), after array.compute_chunk_sizes() where sizes are not known"
    )
