"""Checks of the arguments of the public functions of the kernels.

The kernels take pointers and check nothing. After these checks the element type is float32 or float64 and the same for
all arguments, shapes match, inputs are contiguous (copied if necessary, never written to), and outputs are writeable
and of exactly this type.
"""

import numpy as np

REAL_TYPES = (np.dtype(np.float32), np.dtype(np.float64))


def as_input(name, array, ndim, dtype=None):
    """`array` as a C-contiguous, aligned ndarray of `ndim` dimensions and a real type.

    Parameters
    ----------
    name : str
        The argument's name, for messages.
    array : array-like
        float32 or float64 are kept, where `dtype` does not ask for the other; integers, booleans and sequences become
        `dtype`, or float64.
    ndim : int
    dtype : dtype or None
        The type of the other arguments.

    Raises
    ------
    TypeError
        For a type that is not real, or another real type than `dtype`.
    ValueError
        For another number of dimensions.
    """
    array = np.asarray(array)
    if array.dtype.kind not in "fiub":
        raise TypeError(f"{name} must hold real numbers, got dtype {array.dtype}")
    if array.dtype.kind != "f":
        array = array.astype(dtype or np.float64)
    if array.dtype.newbyteorder("=") not in REAL_TYPES:
        raise TypeError(f"{name} must be float32 or float64, got {array.dtype}; convert it with astype")
    if dtype is not None and array.dtype.newbyteorder("=") != dtype:
        raise TypeError(
            f"{name} is {array.dtype} where the arguments before it are {dtype}; convert one of them with astype"
        )
    if array.ndim != ndim:
        raise ValueError(f"{name} must have {ndim} dimension(s), got shape {array.shape}")
    return np.require(array, array.dtype.newbyteorder("="), ["C_CONTIGUOUS", "ALIGNED"])


def check_shape(name, array, shape):
    """Raise a ValueError that names the argument unless it has the given shape."""
    if array.shape != shape:
        raise ValueError(f"{name} must have shape {shape} to fit the other arguments, got {array.shape}")
    return array


def as_output(name, array, shape, dtype, inputs=()):
    """`array`, or a new array when it is None, to be overwritten.

    Raises
    ------
    TypeError
        If it is not an ndarray of exactly this dtype.
    ValueError
        If its shape is another, if it is read-only or not C-contiguous, or if it shares memory with one of `inputs`.
    """
    if array is None:
        return np.empty(shape, dtype)
    if not isinstance(array, np.ndarray):
        raise TypeError(f"{name} must be a numpy.ndarray to write to, got {type(array).__name__}")
    if array.dtype != dtype:
        raise TypeError(f"{name} must have dtype {dtype} like the inputs, got {array.dtype}")
    check_shape(name, array, shape)
    if not array.flags.writeable:
        raise ValueError(f"{name} is read-only; pass an array that can be written to, or None for a new one")
    if not (array.flags.c_contiguous and array.flags.aligned):
        raise ValueError(f"{name} must be C-contiguous and aligned; pass None for a new array")
    for other in inputs:
        if np.may_share_memory(array, other):
            raise ValueError(f"{name} shares memory with an input, which would be overwritten while it is read")
    return array


def check_name(kind, name, table):
    """The number of `name` in a table of names.

    Raises
    ------
    ValueError
        Naming all that are known.
    """
    if name not in table:
        raise ValueError(f"{kind} must be one of {', '.join(sorted(table))}; got {name!r}")
    return table[name]
