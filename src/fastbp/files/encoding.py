"""From a tree of values to JSON and tensors.

What JSON has stands for itself: None, bool, int, str, finite floats, lists, and dicts whose keys are strings. All else
is an object with one key that begins with "$", such as ``{"$tuple": [1, 2]}``; an object with "$type" is one of a class
in ``kinds``.
"""

import struct
from math import isfinite

import numpy as np

from fastbp.files.arrays import DTYPE, encoded_array, encoded_scalar
from fastbp.files.errors import Unsavable
from fastbp.files.kinds import KINDS, NAMES
from fastbp.files.places import under

#: Trees are no deeper: below Python's limit of recursion
DEPTH_LIMIT = 100
#: Lists of more floats are tensors
INLINE_FLOATS = 100


class Encoder:
    """Makes JSON of values.

    Attributes
    ----------
    tensors : dict of str to ndarray
        What the JSON names.
    padded : int
        Bytes of the arrays in the JSON: those of text are padded to one width.
    """

    def __init__(self):
        self.tensors, self.padded, self.depth = {}, 0, 0

    def encode(self, value, place):
        """The JSON of a value.

        Parameters
        ----------
        value : object
        place : str
            Its path in the tree, for messages and names of tensors.

        Returns
        -------
        object
            As `json.dumps` takes it.

        Raises
        ------
        Unsavable
            For a value of a type that is not in the table.
        """
        if self.depth >= DEPTH_LIMIT:
            raise Unsavable(place, value)
        self.depth += 1
        try:
            return self._encoded(value, place)
        finally:
            self.depth -= 1

    def _encoded(self, value, place):
        if value is None or type(value) in (bool, int, str):
            return value
        encoded = ENCODED.get(type(value))
        if encoded is not None:
            return encoded(self, value, place)
        if type(value) in NAMES:
            name = NAMES[type(value)]
            return {"$type": name, **KINDS[name].encode(self, value, place)}
        if isinstance(value, np.generic):
            return {"$scalar": encoded_scalar(value, place)}
        if isinstance(value, np.dtype) and DTYPE.fullmatch(value.str):
            return {"$dtype": value.str}
        raise Unsavable(place, value)

    def float(self, value, place):
        """A number, or the bits of one that is not finite."""
        return value if isfinite(value) else {"$float": struct.pack("<d", value).hex()}

    def bytes(self, value, place):
        """Hexadecimal digits."""
        return {"$bytes": value.hex()}

    def list(self, value, place):
        """A list, or a tensor of many floats."""
        if len(value) > INLINE_FLOATS and all(type(item) is float for item in value):
            return {"$floats": self.tensor(np.array(value), place)}
        return self.items(value, place)

    def tuple(self, value, place):
        """The items."""
        return {"$tuple": self.items(value, place)}

    def slice(self, value, place):
        """Start, stop and step."""
        return {"$slice": self.items((value.start, value.stop, value.step), place)}

    def dict(self, value, place):
        """An object of JSON, or pairs where there are other keys than names."""
        if all(type(key) is str and not key.startswith("$") for key in value):
            return {key: self.encode(item, under(place, key)) for key, item in value.items()}
        pairs = [
            [self.encode(key, f"a key of {place}"), self.encode(item, f"{place}[{key!r}]")]
            for key, item in value.items()
        ]
        return {"$dict": pairs}

    def items(self, values, place):
        """The JSON of each value."""
        return [self.encode(item, f"{place}[{i}]") for i, item in enumerate(values)]

    def array(self, value, place):
        """Text, labels and flags in JSON; all else a tensor."""
        return encoded_array(self, value, place)

    def tensor(self, array, place):
        """Keep an array as a tensor.

        Parameters
        ----------
        array : ndarray
            Of numbers or bools.
        place : str

        Returns
        -------
        str
            The tensor's name: its place.
        """
        name = place
        while name in self.tensors:  # a key of a dict may look like a path
            name += "'"
        native = array.astype(array.dtype.newbyteorder("="), order="C", copy=False)
        self.tensors[name] = np.ascontiguousarray(native).reshape(array.shape)
        return name


#: type -> the method that encodes its values
ENCODED = {
    float: Encoder.float,
    bytes: Encoder.bytes,
    list: Encoder.list,
    tuple: Encoder.tuple,
    slice: Encoder.slice,
    dict: Encoder.dict,
    np.ndarray: Encoder.array,
    np.memmap: Encoder.array,
}
