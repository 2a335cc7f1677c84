"""The file itself: tensors and text in the safetensors format.

::

    8 bytes   length of the header, an unsigned little-endian integer
    header    JSON: the texts in "__metadata__", and dtype, shape and place of each tensor
    data      the tensors, one after the other, without gaps

The header is checked before anything follows it: shapes, places and the length of the file must agree to the byte. A
digest in the metadata covers all texts and tensors.

References
----------
The format: https://huggingface.co/docs/safetensors
"""

import json
from hashlib import sha256
from math import prod

import numpy as np

#: name of a dtype in the header -> bytes of a number
ITEM_SIZES = {
    "BOOL": 1,
    **{f"{kind}{8 * size}": size for kind in "IU" for size in (1, 2, 4, 8)},
    **{f"F{8 * size}": size for size in (2, 4, 8)},
}
#: The library reads no longer headers
HEADER_LIMIT = 100_000_000
#: Dimensions of a tensor
DIMENSION_LIMIT = 32


def safetensors():
    """The module ``safetensors.numpy``; ImportError with the way out where it is not installed."""
    try:
        import safetensors.numpy
    except ImportError as error:
        raise ImportError("model files need the package safetensors: pip install fastbp[save]") from error
    return safetensors.numpy


def packed(texts, tensors):
    """The bytes of a file.

    Parameters
    ----------
    texts : dict of str to str
    tensors : dict of str to ndarray
        Contiguous.

    Returns
    -------
    bytes

    Raises
    ------
    ValueError
        If the texts are too long for the format.
    """
    library = safetensors()
    if sum(map(len, texts.values())) > HEADER_LIMIT // 4:  # quotation marks in it are escaped
        raise ValueError(
            "the parameters, labels and names take more text than the format allows. Save with pickle or joblib."
        )
    return library.save(tensors, {**texts, "digest": digest(texts, tensors)})


def digest(texts, tensors):
    """A digest of all texts and tensors.

    Parameters
    ----------
    texts : dict of str to str
    tensors : dict of str to ndarray
        Contiguous.

    Returns
    -------
    str
        Hexadecimal digits of SHA-256.
    """
    found = sha256(json.dumps(sorted(texts.items())).encode())
    for name in sorted(tensors):
        array = tensors[name]
        found.update(json.dumps([name, array.dtype.name, list(array.shape)]).encode())
        found.update(array.reshape(-1).view(np.uint8))
    return found.hexdigest()


def unpacked(content):
    """The texts and tensors of a file.

    Parameters
    ----------
    content : bytes

    Returns
    -------
    texts : dict of str to str
    tensors : dict of str to ndarray
        Not yet compared with the digest: see `check_digest`.

    Raises
    ------
    ValueError
        For anything that is not in the format.
    """
    header = checked_header(content)
    try:
        tensors = safetensors().load(content)
    except Exception as error:  # SafetensorError has no other base
        if isinstance(error, (ImportError, MemoryError)):
            raise
        raise ValueError(f"not in the safetensors format: {error}") from error
    return header["__metadata__"], tensors


def check_digest(texts, tensors):
    """Check that nothing was changed since the file was written.

    Parameters
    ----------
    texts, tensors
        From `unpacked`.

    Raises
    ------
    ValueError
    """
    texts = dict(texts)
    expected = texts.pop("digest", None)
    if expected != digest(texts, tensors):
        raise ValueError("damaged: the content does not agree with the digest in it. Use another copy, or save again.")


def checked_header(content):
    """The header of a file, which agrees with the length of the file to the byte.

    Parameters
    ----------
    content : bytes

    Returns
    -------
    dict

    Raises
    ------
    ValueError
    """
    length = int.from_bytes(content[:8], "little")
    if len(content) < 8 or length > min(len(content) - 8, HEADER_LIMIT):
        raise ValueError(f"cut, or no model file: it has {len(content):,} bytes, and a header of {length:,}")
    header = loads(content[8 : 8 + length], "header")
    if not isinstance(header, dict):
        raise ValueError("no model file: its header is no object")
    texts = header.get("__metadata__")
    if not isinstance(texts, dict) or not all(isinstance(text, str) for text in texts.values()):
        raise ValueError("no model file of fastbp: it has no metadata")
    places = sorted(checked_place(name, entry) for name, entry in header.items() if name != "__metadata__")
    end = 0
    for begin, stop, name in places:
        if begin != end:
            raise ValueError(f"the tensor {name!r} begins at byte {begin}, and the one before it ends at {end}")
        end = stop
    if 8 + length + end != len(content):
        raise ValueError(f"the header describes {8 + length + end:,} bytes, and the file has {len(content):,}")
    return header


def checked_place(name, entry):
    """(begin, end, name) of a tensor, from its entry in the header; ValueError where shape and place do not agree."""
    if not isinstance(entry, dict) or entry.keys() != {"dtype", "shape", "data_offsets"}:
        raise ValueError(f"the tensor {name!r} has no dtype, shape and place")
    dtype, shape, place = entry["dtype"], entry["shape"], entry["data_offsets"]
    if not isinstance(dtype, str) or dtype not in ITEM_SIZES:
        raise ValueError(f"the tensor {name!r} has an unknown dtype {dtype!r}")
    for numbers in (shape, place):
        if not isinstance(numbers, list) or not all(type(n) is int and n >= 0 for n in numbers):
            raise ValueError(f"the tensor {name!r} has the shape {shape!r} and the place {place!r}")
    if len(shape) > DIMENSION_LIMIT or len(place) != 2 or place[1] - place[0] != ITEM_SIZES[dtype] * prod(shape):
        raise ValueError(f"the tensor {name!r} of {dtype} has the shape {shape}, which does not fit into {place}")
    return place[0], place[1], name


def loads(text, what):
    """A value from JSON, without keys that come twice.

    Parameters
    ----------
    text : str or bytes
    what : str
        For messages.

    Returns
    -------
    object

    Raises
    ------
    ValueError
        Also where it is nested too deep.
    """
    try:
        return json.loads(text, object_pairs_hook=with_single_keys, parse_constant=refused_constant)
    except RecursionError as error:
        raise ValueError(f"the {what} is nested too deep") from error
    except ValueError as error:
        raise ValueError(f"damaged, or no model file: the {what} is no JSON: {error}") from error


def with_single_keys(pairs):
    """A dict of pairs; ValueError for a key that comes twice."""
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key comes twice")
    return found


def refused_constant(name):
    """ValueError for what is no JSON: NaN, Infinity."""
    raise ValueError(f"{name} is no JSON")
