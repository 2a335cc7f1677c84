"""The data and the initial weights of the workloads."""

import itertools
import math

import numpy as np


def make_data(workload, dtype):
    """Draw or load the data of a workload.

    Parameters
    ----------
    workload : workloads.Workload
        Shapes, task and source.
    dtype : {"float32", "float64"}
        Type of X, and of y in regression.

    Returns
    -------
    X : ndarray or csr_array of shape (n_samples, n_features)
    y : ndarray of shape (n_samples,) or (n_samples, n_targets)
        Class numbers (int64), each class present; or targets of type `dtype`.
    """
    if workload.n_nonzeros:
        return make_sparse_data(workload, dtype)
    return draw_from_teacher(workload, dtype) if workload.data == "teacher" else load_data(workload, dtype)


def draw_from_teacher(workload, dtype):
    """Draw the targets of normal rows from a linear teacher with noise.

    With noise the gradients do not approach zero, however long a fit is. Otherwise denormal numbers would slow a
    contender down after many epochs.

    Parameters
    ----------
    workload : workloads.Workload
    dtype : {"float32", "float64"}

    Returns
    -------
    X, y : ndarray
        See `make_data`.
    """
    rng = np.random.default_rng(0)
    n, n_features, n_outputs = workload.n_samples, workload.layer_sizes[0], workload.layer_sizes[-1]
    X = rng.standard_normal((n, n_features), dtype)
    teacher = (rng.standard_normal((n_features, n_outputs)) / math.sqrt(n_features)).astype(dtype)
    if workload.task == "regression":
        y = np.sin(X @ teacher) + 0.3 * rng.standard_normal((n, n_outputs))
        return X, (y[:, 0] if n_outputs == 1 else y).astype(dtype)
    y = np.argmax(X @ teacher + 0.5 * rng.gumbel(size=(n, n_outputs)), axis=1)
    y[:n_outputs] = np.arange(n_outputs)
    return X, y.astype(np.int64)


def make_sparse_data(workload, dtype):
    """Draw sparse rows: the columns are divided into equal ranges, and each range has one normal number. Classes are
    random.

    Parameters
    ----------
    workload : workloads.Workload
    dtype : {"float32", "float64"}

    Returns
    -------
    X : csr_array
    y : ndarray
        See `make_data`.
    """
    from scipy.sparse import csr_array

    rng = np.random.default_rng(0)
    n, n_features, n_classes = workload.n_samples, workload.layer_sizes[0], workload.layer_sizes[-1]
    nonzeros = workload.n_nonzeros
    run = n_features // nonzeros
    columns = run * np.arange(nonzeros) + rng.integers(0, run, (n, nonzeros))
    values = rng.standard_normal((n, nonzeros), dtype)
    indptr = np.arange(0, n * nonzeros + 1, nonzeros, dtype=np.int32)
    X = csr_array((values.ravel(), columns.ravel().astype(np.int32), indptr), shape=(n, n_features))
    return X, rng.permutation(np.arange(n) % n_classes)


def load_data(workload, dtype):
    """Load a table that comes with scikit-learn; the pixels of the digits are scaled to [0, 1].

    Parameters
    ----------
    workload : workloads.Workload
        `data` is "digits" or "iris".
    dtype : {"float32", "float64"}

    Returns
    -------
    X, y : ndarray
        The first `n_samples` rows; see `make_data`.
    """
    from sklearn import datasets

    X, y = getattr(datasets, f"load_{workload.data}")(return_X_y=True)
    X = X / 16 if workload.data == "digits" else X
    return X[: workload.n_samples].astype(dtype), y[: workload.n_samples].astype(np.int64)


def initial_parameters(layer_sizes, dtype):
    """Draw weights and intercepts from scikit-learn's initial distribution.

    For peers that have no initial weights of their own. With smaller weights the gradients of a deep net would
    underflow, and arithmetic with denormal numbers is slow.

    Parameters
    ----------
    layer_sizes : sequence of int
        Number of units of every layer.
    dtype : {"float32", "float64"}
        Type of the arrays.

    Returns
    -------
    list of (W, b)
        Uniform within ±√(6/(fan_in + fan_out)) (Glorot and Bengio 2010, eq. 16);
        shapes (fan_in, fan_out) and (fan_out,).
    """
    rng = np.random.default_rng(1)
    parameters = []
    for fan_in, fan_out in itertools.pairwise(layer_sizes):
        bound = math.sqrt(6 / (fan_in + fan_out))
        W = rng.uniform(-bound, bound, (fan_in, fan_out)).astype(dtype)
        b = rng.uniform(-bound, bound, fan_out).astype(dtype)
        parameters.append((W, b))
    return parameters
