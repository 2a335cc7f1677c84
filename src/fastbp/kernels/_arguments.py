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
        Numbers of float32 or float64 keep their type; integers and booleans become `dtype`, or float64 if it is None.
    ndim : int
    dtype : dtype or None
        The type of the other arguments; None for the first one.

    Returns
    -------
    ndarray
        `array` itself where nothing is to be changed.

    Raises
    ------
    TypeError
        If the elements are not real numbers, or are neither float32 nor float64, or of another type than `dtype`.
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
    """The array; ValueError, which names the argument, unless it has the given shape."""
    if array.shape != shape:
        raise ValueError(f"{name} must have shape {shape} to fit the other arguments, got {array.shape}")
    return array


def as_output(name, array, shape, dtype, inputs=()):
    """An array for a result: `array`, or a new one if it is None.

    Parameters
    ----------
    name : str
        The argument's name, for messages.
    array : ndarray or None
    shape : tuple of int
    dtype : dtype
    inputs : sequence of ndarray
        Arrays that are read while the result is written.

    Returns
    -------
    ndarray
        Its contents are arbitrary.

    Raises
    ------
    TypeError
        If it is not an ndarray of exactly this dtype.
    ValueError
        If it has another shape, is read-only, is not C-contiguous or not aligned, or shares memory with one of
        `inputs`.
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
        If the table does not contain it, with all names that it contains.
    """
    if name not in table:
        raise ValueError(f"{kind} must be one of {', '.join(sorted(table))}; got {name!r}")
    return table[name]
