"""Arrays and scalars of NumPy, to JSON or tensors and back."""

import re
from math import isfinite, prod

import numpy as np

from fastbp.files.errors import Unsavable

#: What the dtype of an array or a scalar may be, as `numpy.dtype.str`
DTYPE = re.compile(r"[<>|=](b1|[iu][1248]|f[248]|[Mm]8(\[\d{0,4}[a-zA-Z]{1,2}\])?|U\d{1,9}|S\d{1,9}|O)")
#: Arrays of integers or bools with more numbers are tensors
INLINE_SIZE = 4096
#: What an array of objects may hold
PLAIN = (type(None), bool, int, float, str, bytes, np.generic)


def checked_dtype(text, place):
    """The dtype of a name.

    Parameters
    ----------
    text : str
        As `numpy.dtype.str`.
    place : str

    Returns
    -------
    dtype

    Raises
    ------
    ValueError
        For anything but the dtypes of numbers, text, times and objects.
    """
    if not isinstance(text, str) or DTYPE.fullmatch(text) is None:
        raise ValueError(f"{place} has an unknown dtype {text!r}")
    return np.dtype(text)


def encoded_scalar(value, place):
    """``[dtype, value]`` of a scalar; what is not finite as hexadecimal digits.

    Parameters
    ----------
    value : numpy.generic
    place : str

    Returns
    -------
    list
    """
    kind, dtype = value.dtype.kind, value.dtype
    if DTYPE.fullmatch(dtype.str) is None or kind == "O":
        raise Unsavable(place, value)
    if kind in "biuU" or (kind == "f" and isfinite(value)):
        return [dtype.str, value.item()]
    return [dtype.str, np.asarray(value).tobytes().hex()]


def decoded_scalar(decoder, content, place):
    """The scalar that `encoded_scalar` described.

    Parameters
    ----------
    decoder : Decoder
    content : list
    place : str

    Returns
    -------
    numpy.generic
    """
    text, value = decoder.list_of(2, content, place)
    dtype = checked_dtype(text, place)
    if isinstance(value, str) and dtype.kind != "U":
        data = bytes.fromhex(value)
        if len(data) != dtype.itemsize or dtype.kind not in "fSmM":
            raise ValueError(f"{place} is no scalar of dtype {text}")
        return np.frombuffer(data, dtype)[0]
    expected = {"b": bool, "i": int, "u": int, "f": (int, float), "U": str}.get(dtype.kind, ())
    if not isinstance(value, expected) or (dtype.kind != "b" and isinstance(value, bool)):
        raise ValueError(f"{place} is no scalar of dtype {text}")
    decoder.spend(dtype.itemsize, place)
    check_range([value], dtype, place)
    return np.array(value, dtype)[()]


def check_range(values, dtype, place):
    """ValueError for integers that the dtype cannot hold: NumPy 1 would only warn."""
    if dtype.kind in "iu" and len(values):
        limits = np.iinfo(dtype)
        for value in (min(values), max(values)):
            if not limits.min <= value <= limits.max:
                raise ValueError(f"{place} of dtype {dtype} holds {value}")


def encoded_array(encoder, array, place):
    """An array as JSON, or as a tensor.

    Parameters
    ----------
    encoder : Encoder
    array : ndarray
    place : str

    Returns
    -------
    dict
    """
    array = np.asarray(array)
    kind, dtype = array.dtype.kind, array.dtype
    if DTYPE.fullmatch(dtype.str) is None:
        raise Unsavable(place, array)
    order = {"order": "F"} if array.flags.f_contiguous and not array.flags.c_contiguous else {}
    if kind in "OUS" or (kind in "biu" and array.size <= INLINE_SIZE):
        values = array.ravel().tolist()
        for value in values:
            if not isinstance(value, PLAIN):
                raise Unsavable(place, value)
        encoder.padded += array.nbytes
        values = encoder.items(values, place)
        return {"$array": {"dtype": dtype.str, "shape": list(array.shape), "values": values, **order}}
    name = encoder.tensor(array.view(f"{dtype.byteorder}i8") if kind in "mM" else array, place)
    return {"$tensor": {"name": name, "dtype": dtype.str, **order}}


def decoded_array(decoder, content, place):
    """The array that is in JSON.

    Parameters
    ----------
    decoder : Decoder
    content : dict
    place : str

    Returns
    -------
    ndarray
    """
    parts = decoder.parts(content, ("dtype", "shape", "values"), ("order",), place)
    dtype, shape = checked_dtype(parts["dtype"], place), parts["shape"]
    if dtype.kind not in "OUSbiu":
        raise ValueError(f"{place} of dtype {dtype} must be a tensor")
    values = decoder.items(parts["values"], place)
    if not isinstance(shape, list) or not all(type(n) is int and n >= 0 for n in shape):
        raise ValueError(f"{place} has a shape {shape!r}")
    if len(shape) > 32 or prod(shape) != len(values) or sum(shape) > len(values) + 32:
        raise ValueError(f"{place} has the shape {shape} and {len(values)} values")
    expected = {"U": str, "S": bytes, "b": bool, "i": int, "u": int}.get(dtype.kind, PLAIN)
    for value in values:
        is_number = dtype.kind in "iu"
        if not isinstance(value, expected) or (is_number and isinstance(value, bool)):
            raise ValueError(f"{place} of dtype {dtype} holds {value!r}")
    check_range(values, dtype, place)
    decoder.spend(max(dtype.itemsize, 1) * len(values), place)
    array = np.empty(len(values), dtype)
    array[:] = values
    return ordered(array.reshape(shape), parts.get("order"), place)


def decoded_tensor(decoder, content, place):
    """The array that is a tensor.

    Parameters
    ----------
    decoder : Decoder
    content : dict
    place : str

    Returns
    -------
    ndarray
    """
    parts = decoder.parts(content, ("name", "dtype"), ("order",), place)
    dtype, tensor = checked_dtype(parts["dtype"], place), decoder.tensor(parts["name"], place)
    stored = np.dtype(np.int64) if dtype.kind in "mM" else dtype.newbyteorder("=")
    if tensor.dtype != stored:
        raise ValueError(f"{place} is to be of dtype {dtype}, and its tensor has {tensor.dtype}")
    if dtype.kind in "mM":
        tensor = tensor.view(dtype.newbyteorder("="))
    return ordered(tensor.astype(dtype, copy=False), parts.get("order"), place)


def ordered(array, order, place):
    """The array in the memory order that is asked for."""
    if order not in (None, "F"):
        raise ValueError(f"{place} has an unknown order {order!r}")
    return array if order is None else np.asfortranarray(array)
