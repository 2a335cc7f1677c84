"""X, `hidden_layer_sizes` and `layers` as the network of an estimator takes them."""

from contextlib import contextmanager
from numbers import Integral

import numpy as np
from scipy.sparse import issparse
from sklearn.utils.validation import assert_all_finite, validate_data

from fastbp.data import checked_sparse
from fastbp.estimators.attempt import with_attributes
from fastbp.estimators.numeric import check_numeric
from fastbp.kernels.precision import PRECISIONS
from fastbp.kernels.predictor import all_finite
from fastbp.layers import Layer
from fastbp.layers.base import all_layers, check_layers
from fastbp.mapped import MappedRows, is_convertible, is_mapped, is_read_in_place

#: Numbers that are converted and checked at once: 128 kB of float32
BLOCK_ELEMENTS = 2**15
FLOATS = (np.float64, np.float32)
#: The parameter `dtype` -> dtypes of X that are not converted; others are converted to the first one
INPUT_DTYPES = {
    None: FLOATS,
    **{name: (precision.dtype.type,) for name, precision in PRECISIONS.items()},
}


def validated_X(estimator, X):
    """X as scikit-learn validates it: an array or a CSR or CSC matrix of real numbers, with the columns of `fit`."""
    X = checked_sparse("X", X)
    check_numeric("X", X)
    return validated(estimator, X, reset=False)


def validated(estimator, X, *y, **options):
    """scikit-learn's `validate_data`, with X in the dtype that the parameter `dtype` asks for."""
    dtypes = INPUT_DTYPES[estimator.dtype]
    if needs_no_validation(estimator, X, *y, reset=options["reset"], dtypes=dtypes):
        if options["reset"]:
            estimator.n_features_in_ = X.shape[1]
            vars(estimator).pop("feature_names_in_", None)
        return (X, *y) if y else X
    # what is too large for float32 has an error of its own, as have infinities, whose sum is none
    takes_missing = accepts_missing(estimator, is_fitted=not options["reset"])
    ensure_all_finite = "allow-nan" if takes_missing else True  # of X; y is checked by itself
    with np.errstate(over="ignore", invalid="ignore"), naming_way_out_of_missing():
        if is_mapped(X) and X.dtype.kind in "fiub":
            dtype = X.dtype if X.dtype in dtypes else np.dtype(dtypes[0])
            if not is_read_in_place(X, dtype):
                return validated_mapped(estimator, MappedRows(X, dtype), *y, takes_missing=takes_missing, **options)
        if dtypes == INPUT_DTYPES["float32"] and is_large(X):
            low = lowered_if_finite(X, takes_missing)
            if low is not None:
                X, ensure_all_finite = low, False
        return validate_data(
            estimator,
            X,
            *y,
            accept_sparse=["csr", "csc"],
            dtype=dtypes,
            ensure_all_finite=ensure_all_finite,
            **options,
        )


def validated_mapped(estimator, X, *y, takes_missing, **options):
    """`validated` for a matrix in a file, which is not copied.

    Parameters
    ----------
    estimator : BaseMLP
    X : MappedRows
    *y : array-like
        None, or one.
    takes_missing : bool
        Whether X may hold NaN.
    **options
        Of scikit-learn's `validate_data`.

    Returns
    -------
    X : MappedRows
    y : ndarray
        If it was given.

    Raises
    ------
    TypeError, ValueError
        As from `validate_data`; for floats of more than 64 bits.
    """
    if not is_convertible(X.array.dtype):
        raise TypeError(
            f"X is a memmap of {X.array.dtype}, which is not converted while training: give a copy in memory, "
            "numpy.array(X, dtype=numpy.float64), or write the file as float64"
        )
    # scikit-learn checks all but the numbers on one that has the same shape and dtype, and a single number
    stand_in = np.broadcast_to(np.zeros((), X.dtype), X.shape)
    checked = validate_data(estimator, stand_in, *y, dtype=X.dtype, ensure_all_finite=False, **options)
    if X.array.dtype.kind == "f":
        # pages of the file are read once if blocks are parts of it
        transposed = X.array.flags.f_contiguous and not X.array.flags.c_contiguous
        source = MappedRows(X.array.T, X.dtype) if transposed else X
        for rows in source.slices():
            converted = source[rows]
            if not is_valid(converted, takes_missing):
                name = type(estimator).__name__
                assert_all_finite(converted, allow_nan=takes_missing, estimator_name=name, input_name="X")
    return (X, checked[1]) if y else X


def accepts_missing(estimator, is_fitted=False):
    """Whether the network takes missing numbers in X, which are NaN: the one that `layers` ask for, or the fitted
    one."""
    network = vars(estimator).get("_network") if is_fitted else None
    if network is not None:
        return network.accepts_missing
    layers = estimator.layers
    return isinstance(layers, (list, tuple)) and any(isinstance(e, Layer) and e.accepts_missing for e in layers[:1])


@contextmanager
def naming_way_out_of_missing():
    """Add to an error of scikit-learn about missing numbers how a network can take them."""
    try:
        yield
    except ValueError as error:
        if "Input X contains NaN" in str(error):
            raise ValueError(
                f"{error}\nA network takes them if its first layer does, as RobustScale of fastbp.layers: "
                "layers=[RobustScale(), Dense(100, 'relu')]."
            ) from error
        raise


def is_large(X):
    """Whether X is an array of float64 of which a copy does not stay in the cache."""
    return type(X) is np.ndarray and X.dtype == np.float64 and X.ndim == 2 and X.size > BLOCK_ELEMENTS


def lowered_if_finite(X, takes_missing=False):
    """X as float32, or None where a number is not finite then: checked while it is in the cache.

    Parameters
    ----------
    X : ndarray of float64 of shape (n, n_features)
    takes_missing : bool
        Whether NaN, which are missing numbers, are no reason for None.

    Returns
    -------
    ndarray of float32 or None
    """
    low = np.empty(X.shape, np.float32)
    step = max(1, BLOCK_ELEMENTS // X.shape[1])
    for start in range(0, len(X), step):
        rows = low[start : start + step]
        rows[...] = X[start : start + step]
        if not is_valid(rows, takes_missing):
            return None
    return low


def is_valid(X, takes_missing):
    """Whether all numbers of an array are finite, or, with `takes_missing`, none is infinite."""
    return all_finite(X) or (takes_missing and not np.isinf(X).any())


def needs_no_validation(estimator, X, *y, reset=False, dtypes=FLOATS):
    """Whether X, and y if it is given, are arrays in which scikit-learn's `validate_data` would change and report
    nothing. It takes five times as long as all the rest of a prediction for a row, and half of a short fit.

    Parameters
    ----------
    estimator : BaseMLP
    X : object
    *y : object
        None, or one.
    reset : bool
        Whether the estimator is to learn the columns of X, and not to compare them with those that it knows.
    dtypes : tuple
        Of an X that is not converted.

    Returns
    -------
    bool
    """
    return (
        type(X) is np.ndarray
        and X.dtype in dtypes
        and X.flags.c_contiguous
        and X.flags.aligned
        and X.ndim == 2
        and X.size > 0
        and (reset or (knows_no_names(estimator) and X.shape[1] == estimator.n_features_in_))
        and (all_finite(X) or is_valid(X, accepts_missing(estimator, is_fitted=not reset)))
        and all(is_plain(values) and len(values) == len(X) for values in y)
    )


def knows_no_names(estimator):
    """Whether the estimator is fitted, and knows no names of columns, which scikit-learn would miss in an array."""
    attributes = estimator.__dict__
    return "n_layers_" in attributes and "feature_names_in_" not in attributes


def is_plain(y):
    """Whether y is an array of numbers that are finite, of one or two dimensions."""
    return (
        type(y) is np.ndarray
        and y.ndim in (1, 2)
        and y.size > 0
        and (
            y.dtype.kind in "iub" or (y.dtype in FLOATS and y.flags.c_contiguous and y.flags.aligned and all_finite(y))
        )
    )


def without_names(estimator):
    """The estimator, but without the names of columns: X without names is like that of its fit.

    Parameters
    ----------
    estimator : BaseMLP

    Returns
    -------
    BaseMLP
        Shares the attributes.
    """
    attributes = vars(estimator).copy()  # in one step: another thread may set attributes
    attributes.pop("feature_names_in_", None)
    return with_attributes(estimator, attributes)


def check_names(what, estimator, names):
    """ValueError for columns of other names than those that the estimator knows, if it knows any.

    Parameters
    ----------
    what : str
        What has the columns, for the message.
    estimator : BaseMLP
    names : list of str
    """
    known = vars(estimator).get("feature_names_in_")
    if known is not None and list(known) != list(names):
        raise ValueError(f"the columns of {what} are {list(names)}, and the model was fitted to {list(known)}")


def check_dense(name, value, X):
    """ValueError where a parameter is set that needs a dense X, and X is sparse; 0 is no effect."""
    if issparse(X):
        raise ValueError(f"{name}={value!r} needs a dense X, got a sparse one: use X.toarray(), or set {name}=0")


def check_mixup(estimator, X):
    """ValueError where rows are to be mixed, and X or the loss does not allow it.

    Parameters
    ----------
    estimator : BaseMLP
        Its loss is known.
    X : ndarray or sparse matrix
        Validated.
    """
    value = estimator.mixup_alpha
    check_dense("mixup_alpha", value, X)
    if estimator._fitted_loss.estimates_spread:
        raise ValueError(
            f"mixup_alpha={value!r} makes targets spread less, and loss={estimator.loss!r} estimates how far they "
            "spread: set mixup_alpha=0, or choose another loss, such as 'squared_error' or 'absolute_error'"
        )
    readers = [layer for layer in all_layers(estimator.layers or ()) if layer.reads_codes]
    if readers:
        raise ValueError(
            f"mixup_alpha={value!r} mixes rows of X, and {readers[0]} reads codes of categories, of which there are no "
            "mixtures: set mixup_alpha=0"
        )


def checked_hidden_layer_sizes(sizes):
    """The parameter `hidden_layer_sizes` as a list of int; ValueError unless all are integers above 0."""
    sizes = list(sizes) if hasattr(sizes, "__iter__") else [sizes]
    for size in sizes:
        if isinstance(size, (bool, np.bool_)) or not isinstance(size, Integral):
            raise ValueError(f"hidden_layer_sizes must be integers, got {size!r} in {sizes}.")
    if any(size <= 0 for size in sizes):
        raise ValueError(f"hidden_layer_sizes must be > 0, got {sizes}.")
    return [int(size) for size in sizes]


def checked_layers(layers):
    """The parameter `layers` as a list; TypeError unless it is a list or tuple of layers."""
    if not isinstance(layers, (list, tuple)):
        raise TypeError(
            f"layers must be None or a list of objects of fastbp.layers, such as [Dense(100, 'relu')]; got {layers!r}"
        )
    return check_layers("layers", layers)
