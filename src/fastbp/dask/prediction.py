"""Predictions for collections: collections again, whose partitions are computed where those of X are."""

import numpy as np

from fastbp.dask.collections import (
    aligned_partitions,
    check_is_distributed,
    is_array,
    is_frame,
    partitions_of,
    with_whole_rows,
)
from fastbp.estimators.inputs import without_names
from fastbp.estimators.window_cutter import n_rows_of


def predicted(X, model, method, column=None):
    """What a method of a model returns for a block of rows, which may be empty.

    Parameters
    ----------
    X : array, sparse matrix or data frame of shape (n, n_features)
    model : MLPClassifier or MLPRegressor
    method : str
        Its name.
    column : int or None
        The number of an array, where the method returns a list of them.

    Returns
    -------
    ndarray, or Series or DataFrame where X is one
    """
    if n_rows_of(X):
        result = getattr(model, method)(X)
        result = result if column is None else result[column]
    else:
        result = example(model, method, dtype_of(X), column)[:0]
    return like_frame(result, X, model) if hasattr(X, "iloc") else result


def example(model, method, dtype, column=None):
    """What a method returns for one row of a dtype."""
    result = getattr(without_names(model), method)(np.zeros((1, model.n_features_in_), dtype))
    return result if column is None else result[column]


def dtype_of(X):
    """The dtype of a collection or a block as one array of numbers: float64 where it is none, or not known before it is
    computed."""
    dtypes = np.atleast_1d(np.asarray(getattr(X, "dtype", getattr(X, "dtypes", None)), object))
    is_known = all(isinstance(dtype, np.dtype) and dtype.kind in "fiub" for dtype in dtypes)
    return np.result_type(*dtypes) if is_known else np.dtype(np.float64)


def like_frame(result, X, model):
    """Predictions as a Series or DataFrame with the index of X."""
    import pandas

    if result.ndim == 1:
        return pandas.Series(result, index=X.index)
    classes = getattr(model, "classes_", None)
    is_named = isinstance(classes, np.ndarray) and len(classes) == result.shape[1]
    return pandas.DataFrame(result, index=X.index, columns=classes if is_named else range(result.shape[1]))


def lazy(X, model, method):
    """The predictions for a collection.

    Parameters
    ----------
    X : collection
        See ``collections.py``.
    model : MLPClassifier or MLPRegressor
    method : str

    Returns
    -------
    Dask array, data frame or series, list of delayed blocks, or a list of these where the method returns a list
    """
    one = example(model, method, dtype_of(X))
    if isinstance(one, list):
        return [lazy_one(X, model, method, column) for column in range(len(one))]
    return lazy_one(X, model, method, None)


def lazy_one(X, model, method, column):
    """One collection of predictions; see `lazy` and `predicted`."""
    from dask import delayed

    held = delayed(model, traverse=False)  # once in the graph
    one = example(model, method, dtype_of(X), column)
    if is_array(X):
        X = with_whole_rows("X", X)
        shape = {"drop_axis": 1} if one.ndim == 1 else {"chunks": (X.chunks[0], (one.shape[1],))}
        return X.map_blocks(predicted, held, method, column, dtype=one.dtype, meta=one[:0], **shape)
    if is_frame(X):
        meta = like_frame(one[:0], X._meta.iloc[:0], model)
        return X.map_partitions(predicted, held, method, column, meta=meta)
    return [delayed(predicted)(part, held, method, column) for part in partitions_of(X)]


def sums_of_accuracy(model, X, y, weight):
    """(sum of the weights, sum of the weights of the rows that are right) of a partition."""
    if not n_rows_of(X):
        return 0.0, 0.0
    total = n_rows_of(X) if weight is None else float(np.sum(np.asarray(weight)))
    return total, total * model.score(X, y, weight) if total else 0.0


def sums_of_squares(model, X, y, weight):
    """(sum of the weights, means of y, sums of squares about them, sums of squared errors) of a partition; each but the
    first has a number for each column."""
    if not n_rows_of(X):
        return 0.0, 0.0, 0.0, 0.0
    y = np.asarray(y, np.float64).reshape(n_rows_of(X), -1)
    error = y - np.asarray(model._scored(model.predict(X)), np.float64).reshape(y.shape)
    weight = np.ones(len(y)) if weight is None else np.asarray(weight, np.float64).ravel()
    total = weight.sum()
    mean = weight @ y / total if total else np.zeros(y.shape[1])
    return total, mean, weight @ (y - mean) ** 2, weight @ error**2


def accuracy_of(sums):
    """The accuracy, from what `sums_of_accuracy` returns for the partitions."""
    total, right = np.sum(sums, axis=0)
    return float(right / total)


def r2_of(sums):
    """R^2, the mean over the columns, from what `sums_of_squares` returns for the partitions."""
    total, mean, squares, errors = 0.0, 0.0, 0.0, 0.0
    for own_total, own_mean, own_squares, own_errors in sums:  # Chan, Golub and LeVeque (1979)
        if own_total:
            both = total + own_total
            squares = squares + own_squares + (own_mean - mean) ** 2 * (total * own_total / both)
            mean = mean + (own_mean - mean) * (own_total / both)
            total, errors = both, errors + own_errors
    squares, errors = np.atleast_1d(squares), np.atleast_1d(errors)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.where(squares > 0, errors / squares, (errors > 0).astype(float))  # as scikit-learn
    return float(np.mean(1 - ratio))


def total_score(cluster, model, X, y, sample_weight, of_partition, of_sums):
    """A score of all rows.

    Parameters
    ----------
    cluster : Cluster
    model : MLPClassifier or MLPRegressor
    X, y, sample_weight : collection
        The last one may be None.
    of_partition : callable
        ``(model, X, y, sample_weight) -> sums``.
    of_sums : callable
        ``(list of sums) -> float``.

    Returns
    -------
    float
    """
    from dask import delayed

    for name, value in (("y", y), ("sample_weight", sample_weight)):
        if value is not None or name == "y":
            check_is_distributed(name, value, model)
    _, rows = aligned_partitions(X, y, sample_weight)
    held, count = delayed(model, traverse=False), delayed(of_partition, pure=False)
    sums = [count(held, *parts) for parts in rows]
    return of_sums(cluster.gather(cluster.client.compute(sums)))
