"""Checks of what a `Network` is given: of its constructor's arguments, and of the data.

Each function returns the argument in the form that the network keeps, or raises an error that names the argument and
the value.
"""

import os
from functools import cache
from numbers import Integral
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray
from scipy.sparse import issparse

from fastbp.activations import resolve
from fastbp.data import check_weight_scale, dense, indicator_csr, real_array, summed_csr
from fastbp.kernels._arguments import check_shape


def checked_layer_sizes(layer_sizes):
    """The sizes as a tuple of int; ValueError unless there are two or more, all integers of at least 1."""
    sizes = tuple(layer_sizes)
    for size in sizes:
        if isinstance(size, (bool, np.bool_)) or not isinstance(size, (int, np.integer)) or size < 1:
            raise ValueError(f"layer sizes must be integers >= 1, got {size!r} in {sizes}")
    if len(sizes) < 2:
        raise ValueError(f"a network needs at least an input and an output layer, got layer sizes {sizes}")
    return tuple(int(size) for size in sizes)


def checked_n_features(n_features):
    """The width of the input as an int; ValueError unless it is an integer of at least 1."""
    if isinstance(n_features, (bool, np.bool_)) or not isinstance(n_features, Integral) or n_features < 1:
        raise ValueError(
            f"n_features, the width of the input of the layers, must be an integer >= 1, got {n_features!r}"
        )
    return int(n_features)


def checked_penalty(name, value):
    """The strength of a penalty as a float; ValueError unless it is finite and not negative."""
    if not (np.isfinite(float(value)) and value >= 0):  # NumPy does not know integers beyond 64 bits
        raise ValueError(f"{name} must be a finite number >= 0, got {value!r}")
    return float(value)


def checked_n_threads(n_threads):
    """The number of threads; ValueError unless it is None or an integer of at least 1."""
    if n_threads is not None and (not isinstance(n_threads, Integral) or n_threads < 1):
        raise ValueError(f"n_threads must be None or an integer >= 1, got {n_threads!r}")
    return n_threads


def check_memory(layer_sizes, n_params, dtype):
    """MemoryError, before anything is allocated, if the parameters alone are larger than the machine's memory."""
    size, physical = dtype.itemsize * n_params, physical_memory()
    if size > physical:
        raise MemoryError(
            f"the parameters of layers {layer_sizes} take {size / 2**30:,.1f} GiB, and this machine has "
            f"{physical / 2**30:,.1f} GiB; use smaller layers"
        )


@cache
def physical_memory():
    """The machine's memory in bytes; where the system does not report it, the address space of current processors."""
    if hasattr(os, "sysconf") and "SC_PHYS_PAGES" in os.sysconf_names:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return 2**48


def hidden_activations(activation, n_hidden):
    """(the activation of each hidden layer, the first one or None), as `fastbp.activations.resolve` gives them."""
    if isinstance(activation, str) or not hasattr(activation, "__len__"):
        found = resolve(activation)
        return (found,) * n_hidden, found
    if len(activation) != n_hidden:
        raise ValueError(
            f"activation must be one name or {n_hidden} names, one for each hidden layer; got {list(activation)}"
        )
    found = tuple(map(resolve, activation))
    return found, found[0] if found else None


def checked_array(name: str, array: Any, shape: tuple[int, ...], dtype: DTypeLike) -> NDArray[Any]:
    """An argument as a C-contiguous, aligned array of a dtype; ValueError unless it has this shape."""
    return dense(name, check_shape(name, real_array(name, array), shape), dtype)


def checked_X(X, n_features):
    """X as an array, or the sparse matrix that it is; TypeError or ValueError unless it holds real numbers in
    `n_features` columns."""
    if not issparse(X):
        X = real_array("X", X)
    elif X.dtype.kind not in "fiub":
        raise TypeError(f"X must hold real numbers, got dtype {X.dtype}")
    if X.ndim != 2 or X.shape[1] != n_features:
        raise ValueError(f"X must have shape (n, {n_features}) for this network, got {X.shape}")
    return X


def checked_y(y, n, n_outputs, output_activation):
    """The targets of `n` rows as `make_data` takes them; ValueError unless they fit the outputs."""
    y = checked_indicator(y) if issparse(y) else real_array("y", y)
    if n == 0:
        raise ValueError("X has no rows: a mean loss needs at least one")
    if output_activation == "softmax" and y.ndim == 1 and y.dtype.kind in "iu":
        if y.size and not (y.min() >= 0 and y.max() < n_outputs):
            raise ValueError(f"y as class numbers must lie in [0, {n_outputs}), got {y.min()} to {y.max()}")
        shape = (n,)
    else:
        if y.ndim == 1 and n_outputs == 1:
            y = y[:, None]
        shape = (n, n_outputs)
    if y.shape != shape:
        raise ValueError(f"y must have shape {shape} to fit X and the network, got {y.shape}")
    return y


def checked_indicator(y):
    """A sparse y as `make_data` takes it; ValueError unless it holds zeros and ones."""
    if y.dtype.kind not in "fiub":
        raise TypeError(f"y must hold real numbers, got dtype {y.dtype}")
    if y.ndim != 2:
        raise ValueError(f"y must have two dimensions where it is sparse, got shape {y.shape}")
    summed = summed_csr("y", y)
    wrong = summed.data[(summed.data != 0) & (summed.data != 1)]
    if wrong.size:
        raise ValueError(f"y must hold zeros and ones where it is sparse, got {wrong[0]}; use y.toarray()")
    return indicator_csr(summed)


def checked_weight(sample_weight, n, dtype):
    """The weights as float64; ValueError unless finite, not negative, not all zero, and one for each row."""
    if sample_weight is None:
        return None
    weight = real_array("sample_weight", sample_weight).astype(np.float64, copy=False)
    if weight.shape != (n,):
        raise ValueError(f"sample_weight must have shape ({n},), got {weight.shape}")
    if (weight < 0).any():
        raise ValueError(f"sample_weight must not be negative, got {weight.min():g}")
    check_weight_scale(weight, dtype)
    return weight
