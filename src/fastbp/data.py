"""Conversion of the user's arrays to the `Data` that the kernels read.

A C-contiguous X of the network's dtype and the values of a CSR matrix are not copied, nor is any np.memmap: see
`fastbp.mapped`. Indices and class numbers, with
which the kernels address memory, are copied and checked by `Data`.

SciPy's routines, and the functions of scikit-learn that call them, use the indices of a sparse matrix without checks:
`check_sparse` is called before all of these.
"""

import operator
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from fastbp.kernels.data import Data, check_below, check_integers, check_starts, private_indices, private_starts
from fastbp.kernels.predictor import all_finite
from fastbp.mapped import MappedRows, is_convertible, is_mapped, is_read_in_place

#: Elements of a dense indicator matrix that are processed at once, so that no array of its whole size is allocated.
BLOCK_ELEMENTS = 2**20
#: Sparse formats whose indices are copied and checked as they are; others are copied whole, and converted
OF_KERNELS = ("csr", "csc")


def real_array(name: str, values: Any) -> NDArray[Any]:
    """`values` as an array of real numbers.

    Parameters
    ----------
    name : str
        The argument's name, for messages.
    values : array-like
        Numbers or booleans; also a pandas data frame with nullable dtypes.

    Returns
    -------
    ndarray

    Raises
    ------
    TypeError
        For anything else: dates, strings, bytes, complex numbers, objects.
    """
    if sparse.issparse(values):
        raise TypeError(f"{name} must be dense, got a sparse matrix; use {name}.toarray()")
    array = np.asarray(values)
    if array.dtype.kind in "fiub":
        return array
    dtypes = np.atleast_1d(np.asarray(getattr(values, "dtypes", getattr(values, "dtype", None)), object))
    columns = getattr(values, "columns", [getattr(values, "name", None)])
    if array.dtype.kind == "O" and hasattr(values, "to_numpy") and len(dtypes) == len(columns):
        wrong = [f"{column!r}: {dtype}" for column, dtype in zip(columns, dtypes, strict=True) if not is_real(dtype)]
        if not wrong:
            return values.to_numpy(np.float64, na_value=np.nan)
        raise TypeError(f"{name} must hold real numbers, got column(s) {', '.join(wrong[:10])}")
    raise TypeError(f"{name} must hold real numbers, got dtype {array.dtype}")


def is_real(dtype):
    """Whether a dtype, of NumPy or pandas, is one of real numbers or booleans."""
    return getattr(dtype, "kind", "O") in "fiub"


def check_sparse(name, matrix):
    """ValueError unless a sparse matrix is consistent: the lengths of its arrays match, its indices are in range.

    Parameters
    ----------
    name : str
        The argument's name, for messages.
    matrix : object
        A sparse matrix of any format; anything else passes.

    Notes
    -----
    Another thread can write to the matrix after the check: memory must be addressed with a checked copy only.
    """
    if not sparse.issparse(matrix) or matrix.ndim != 2:
        return
    check = CHECKS.get(matrix.format)
    if check is not None:
        check(name, matrix, *matrix.shape)


def check_compressed(name, matrix, n_major, n_minor):
    """`check_sparse` for `n_major` rows (of CSC: columns; of BSR: rows of blocks), indices below `n_minor`."""
    indptr, indices = matrix.indptr, matrix.indices
    check_integers(f"{name}.indptr", indptr)
    check_integers(f"{name}.indices", indices)
    check_starts(f"{name}.indptr", indptr, n_major, min(len(indices), len(matrix.data)))
    check_below(f"{name}.indices", indices[: indptr[-1]], n_minor)


def check_csr(name, matrix, n_rows, n_columns):
    """`check_sparse` for compressed rows."""
    check_values(name, matrix.data, 1)
    check_compressed(name, matrix, n_rows, n_columns)


def check_csc(name, matrix, n_rows, n_columns):
    """`check_sparse` for compressed columns."""
    check_values(name, matrix.data, 1)
    check_compressed(name, matrix, n_columns, n_rows)


def check_bsr(name, matrix, n_rows, n_columns):
    """`check_sparse` for compressed rows of blocks."""
    check_values(name, matrix.data, 3)
    height, width = matrix.data.shape[1:]
    if not height or not width or n_rows % height or n_columns % width:
        raise ValueError(f"{name}.data holds blocks of {height} x {width}, which do not divide {n_rows} x {n_columns}")
    check_compressed(name, matrix, n_rows // height, n_columns // width)


def check_coo(name, matrix, n_rows, n_columns):
    """`check_sparse` for coordinates."""
    check_values(name, matrix.data, 1)
    for axis, coordinates, limit in (("row", matrix.row, n_rows), ("col", matrix.col, n_columns)):
        check_integers(f"{name}.{axis}", coordinates)
        if len(coordinates) != len(matrix.data):
            raise ValueError(
                f"{name}.{axis} must have a number for each of the {len(matrix.data)} values in {name}.data, "
                f"got {len(coordinates)}"
            )
        check_below(f"{name}.{axis}", coordinates, limit)


def check_dia(name, matrix, n_rows, n_columns):
    """`check_sparse` for diagonals."""
    check_values(name, matrix.data, 2)
    check_integers(f"{name}.offsets", matrix.offsets)
    if len(matrix.offsets) != len(matrix.data):
        raise ValueError(
            f"{name}.offsets must have a number for each of the {len(matrix.data)} diagonals in {name}.data, got "
            f"{len(matrix.offsets)}"
        )
    offsets = matrix.offsets
    if offsets.size and not (-n_rows < offsets.min() and offsets.max() < n_columns):
        raise ValueError(
            f"{name}.offsets must lie above {-n_rows} and below {n_columns}, got {offsets.min()} to {offsets.max()}"
        )


def check_lil(name, matrix, n_rows, n_columns):
    """`check_sparse` for lists of columns."""
    if np.shape(matrix.rows) != (n_rows,) or np.shape(matrix.data) != (n_rows,):
        raise ValueError(f"{name}.rows and {name}.data must hold {n_rows} lists each")
    for row, (columns, values) in enumerate(zip(matrix.rows, matrix.data, strict=True)):
        if not isinstance(columns, list) or not isinstance(values, list) or len(columns) != len(values):
            raise ValueError(f"{name}.rows[{row}] and {name}.data[{row}] must be lists of the same length")
    check_below(f"{name}.rows", integers(f"{name}.rows", chain.from_iterable(matrix.rows)), n_columns)


def check_dok(name, matrix, n_rows, n_columns):
    """`check_sparse` for a dictionary."""
    keys = list(matrix.keys())
    for key in keys:
        if not isinstance(key, tuple) or len(key) != 2:
            raise ValueError(f"the keys of {name} must be (row, column), got {key!r}")
    for axis, limit in enumerate((n_rows, n_columns)):
        label = f"the {('row', 'column')[axis]} numbers of {name}"
        check_below(label, integers(label, (key[axis] for key in keys)), limit)


CHECKS = {
    "csr": check_csr,
    "csc": check_csc,
    "bsr": check_bsr,
    "coo": check_coo,
    "dia": check_dia,
    "lil": check_lil,
    "dok": check_dok,
}


def integers(name, numbers):
    """An array of the integers; ValueError if one of them is no integer."""
    try:
        return np.fromiter(map(operator.index, numbers), np.int64)
    except (TypeError, ValueError, OverflowError) as error:
        raise ValueError(f"{name} must be integers: {error}") from error


def check_values(name, values, ndim):
    """ValueError unless the values of a sparse matrix are an array of `ndim` dimensions."""
    if np.ndim(values) != ndim:
        raise ValueError(f"{name}.data must have {ndim} dimension(s), got shape {np.shape(values)}")


def checked_csr(name, matrix):
    """A sparse matrix as CSR, with index arrays that are checked copies.

    Parameters
    ----------
    name : str
        The argument's name, for messages.
    matrix : sparse matrix
        CSR shares its values with the result.

    Returns
    -------
    csr_array
    """
    check_sparse(name, matrix)
    if matrix.format not in OF_KERNELS:  # SciPy follows the indices when it converts: those of a checked copy
        matrix = matrix.copy()
        check_sparse(name, matrix)
    if matrix.format in OF_KERNELS:
        shape, container = matrix.shape, sparse.csr_array if matrix.format == "csr" else sparse.csc_array
        n_major, n_minor = shape if matrix.format == "csr" else shape[::-1]
        indptr = private_starts(f"{name}.indptr", matrix.indptr, n_major, min(len(matrix.indices), len(matrix.data)))
        indices = private_indices(f"{name}.indices", matrix.indices[: indptr[-1]], n_minor)
        matrix = container((matrix.data[: indptr[-1]], indices, narrow(indptr)), shape=shape)
    return matrix.tocsr()


def checked_sparse(name, X):
    """X, of which a sparse matrix is checked, and one in a format that scikit-learn would convert has become CSR.

    Parameters
    ----------
    name : str
        The argument's name, for messages.
    X : object

    Returns
    -------
    object
    """
    if sparse.issparse(X) and X.ndim == 2 and X.format not in OF_KERNELS:
        return checked_csr(name, X)
    check_sparse(name, X)
    return X


def summed_csr(name, matrix):
    """`checked_csr`, with repeated entries added up."""
    matrix = checked_csr(name, matrix)
    if not matrix.has_canonical_format:
        matrix = matrix.copy()
        matrix.sum_duplicates()
    return matrix


def as_rows(X, dtype):
    """X as `Data` takes it: a C-contiguous, aligned array, (values, indices, indptr, shape), or `MappedRows`.

    Parameters
    ----------
    X : ndarray, sparse matrix or MappedRows of shape (n, n_features)
        Any other sparse format becomes CSR; duplicates and unsorted indices are allowed, and no dense copy is made.
    dtype : dtype
        float32 or float64.
    """
    if type(X) is np.ndarray and X.dtype == dtype and X.flags.c_contiguous and X.flags.aligned:
        return X
    if isinstance(X, MappedRows):
        return X if X.dtype == dtype else converted_again(X, dtype)
    if is_mapped(X) and is_convertible(X.dtype) and not is_read_in_place(X, dtype):
        return converted_again(MappedRows(X, X.dtype), dtype)
    if not sparse.issparse(X):
        return dense("X", np.asarray(X), dtype)
    if X.format != "csr":
        X = checked_csr("X", X)
    check_values("X", X.data, 1)
    return dense("X", X.data, dtype), X.indices, X.indptr, X.shape


def converted_again(X, dtype):
    """`MappedRows` of another dtype; ValueError where `lowered` has one, or rounding twice is not the same as rounding
    once.

    Parameters
    ----------
    X : MappedRows
    dtype : dtype
        float32 or float64.

    Returns
    -------
    MappedRows
    """
    other = MappedRows(X.array, dtype, X.rows)
    source = X.array.dtype
    is_rounded_twice = source.kind in "iu" and source.itemsize == 8 and X.dtype == np.float64 != dtype
    if is_rounded_twice or (source.itemsize == 8 and source.kind == "f" and dtype == np.float32):
        for rows in X.slices():
            low = lowered("X", X[rows], dtype)
            if is_rounded_twice and not np.array_equal(low, other[rows]):
                raise ValueError(
                    f"X is a memmap of {source} with integers above 2^53, which are rounded for a network of {dtype}: "
                    f"set dtype='{dtype}'"
                )
    return other


def lowered(name, array, dtype):
    """`array`, as float32 if that is what `dtype` asks for; ValueError if finite values do not fit."""
    if dtype != np.float32 or array.dtype == np.float32:
        return array
    with np.errstate(over="ignore"):
        low = array.astype(np.float32)
    if low.flags.c_contiguous and all_finite(low):  # without the arrays of the comparison
        return low
    if not np.array_equal(np.isfinite(low), np.isfinite(array)):
        raise ValueError(f"{name} holds values too large for float32; scale them, or use float64 throughout")
    return low


def dense(name, array, dtype):
    """`array` in the layout that the kernels read: C-contiguous, aligned, of `dtype`; see `lowered`."""
    return np.require(lowered(name, array, dtype), dtype, ["C_CONTIGUOUS", "ALIGNED"])


def indicator_csr(Y):
    """The positions of the ones in a matrix of zeros and ones, as CSR.

    Parameters
    ----------
    Y : ndarray or sparse matrix of shape (n, n_outputs)
        Nonzero elements count as one. A sparse matrix of any format is not made dense.

    Returns
    -------
    csr_array of int8
        Without explicit zeros; a CSR matrix that has none shares its index arrays with the result.
    """
    if sparse.issparse(Y):
        Y = summed_csr("y", Y)
        keep = Y.data != 0
        indices, indptr = Y.indices, Y.indptr
        if not keep.all():
            indices, indptr = indices[keep], np.concatenate([[0], np.cumsum(keep)])[indptr]
    else:
        step = max(1, BLOCK_ELEMENTS // max(1, Y.shape[1]))
        blocks = [slice(start, start + step) for start in range(0, len(Y), step)]
        indptr = np.zeros(len(Y) + 1, np.int64)
        for rows in blocks:
            np.cumsum(np.count_nonzero(Y[rows], axis=1), out=indptr[1:][rows])
            indptr[1:][rows] += indptr[rows.start]
        indices = np.empty(indptr[-1], np.int32 if Y.shape[1] <= 2**31 else np.int64)
        for rows in blocks:
            ones = indptr[rows.start], indptr[min(rows.stop, len(Y))]
            indices[slice(*ones)] = np.nonzero(Y[rows])[1]
    return sparse.csr_array((np.ones(len(indices), np.int8), indices, narrow(indptr)), shape=Y.shape)


def narrow(indptr):
    """`indptr` as int32 where its numbers allow: SciPy makes the indices as wide as these, which costs a copy."""
    return indptr.astype(np.int32) if indptr[-1] < 2**31 else indptr


def make_data(X, targets, sample_weight, n_outputs, dtype):
    """The training set of a network with `n_outputs` outputs.

    Parameters
    ----------
    X : ndarray, sparse matrix or MappedRows of shape (n, n_features)
    targets : ndarray, csr_array or None
        Integers of shape (n,): class numbers below `n_outputs`, for one-hot targets. Else numbers of shape (n,
        n_outputs), or the result of `indicator_csr`. None for forward passes.
    sample_weight : array-like of shape (n,) or None
    n_outputs : int
    dtype : dtype
        The network's.

    Returns
    -------
    Data
    """
    Y = labels = label_start = None
    if sparse.issparse(targets):
        if targets.shape != (X.shape[0], n_outputs):
            raise ValueError(f"y must have shape {(X.shape[0], n_outputs)}, got {targets.shape}")
        labels, label_start = targets.indices, targets.indptr
    elif targets is not None and targets.ndim == 1:
        labels = np.asarray(targets)
    elif targets is not None:
        Y = dense("y", targets, dtype)
    if sample_weight is not None:
        sample_weight = np.array(sample_weight, np.float64, order="C")  # a copy: what was checked stays as it is
    rows = as_rows(X, dtype)
    if isinstance(rows, MappedRows):
        return Data(rows.array, Y, labels, sample_weight, n_outputs, label_start, rows.dtype)
    return Data(rows, Y, labels, sample_weight, n_outputs, label_start)


def check_weight_scale(sample_weight, dtype):
    """ValueError unless the weights are in a range that arithmetic in `dtype` can handle.

    Parameters
    ----------
    sample_weight : ndarray of float64 of shape (n,)
    dtype : dtype
        float32 or float64.

    Notes
    -----
    A step multiplies derivatives by the weights and divides by the weights' sum. Derivatives between eps^2 and
    1 / eps^2 must neither overflow nor underflow; a product below the smallest normal number is flushed to zero.
    """
    info = np.finfo(dtype)
    smallest, largest = float(info.tiny) / float(info.eps) ** 2, float(info.max) * float(info.eps) ** 2
    with np.errstate(over="ignore"):
        total = float(np.sum(sample_weight))
    if not np.isfinite(sample_weight).all():
        raise ValueError("sample_weight must be finite, got NaN or infinity")
    if not sample_weight.any():
        raise ValueError("Sample weights must contain at least one non-zero number: sample_weight is zero everywhere")
    if not (smallest <= sample_weight.max() and total <= largest):
        raise ValueError(
            f"sample_weight must have a largest value of at least {smallest:.1g} and a sum of at most {largest:.1g} in "
            f"{np.dtype(dtype)}, got {sample_weight.max():g} and {total:g}; divide the weights by their mean"
        )
