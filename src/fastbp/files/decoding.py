"""From JSON and tensors to a tree of values: the way back of ``encoding``.

A file may be damaged, or made to do harm. So every part is checked when it is met: each tensor is used once, classes
come from the table in ``kinds``, and what is allocated is bounded by the size of the file.
"""

import struct

import numpy as np

from fastbp.files.arrays import checked_dtype, decoded_array, decoded_scalar, decoded_tensor
from fastbp.files.encoding import DEPTH_LIMIT
from fastbp.files.kinds import KINDS
from fastbp.files.places import under

#: Bytes of text arrays, whose items are padded to one width, for each character of JSON, and for any file
BYTES_PER_CHARACTER, FREE_BYTES = 64, 2**24
#: Keys of a dict whose hash is that of another one. It takes quadratic time to make a dict of such keys, which are
#: easily found for numbers, whose hashes are not random
COLLISION_LIMIT = 100


class Decoder:
    """Makes values of JSON.

    Parameters
    ----------
    tensors : dict of str to ndarray
    n_characters : int
        Length of the JSON.
    """

    def __init__(self, tensors, n_characters):
        self.tensors, self.depth = dict(tensors), 0
        self.budget = FREE_BYTES + BYTES_PER_CHARACTER * n_characters

    def decode(self, node, place):
        """The value of a part of the JSON.

        Parameters
        ----------
        node : object
            As `json.loads` returns it.
        place : str
            Its path in the tree, for messages.

        Returns
        -------
        object

        Raises
        ------
        ValueError, TypeError
            For what no encoder has written.
        """
        if self.depth >= DEPTH_LIMIT:
            raise ValueError(f"{place} is nested more than {DEPTH_LIMIT} levels deep")
        self.depth += 1
        try:
            if isinstance(node, list):
                return self.items(node, place)
            if not isinstance(node, dict):
                return node
            if "$type" in node:
                return self.object(node, place)
            if not any(key.startswith("$") for key in node):
                return {key: self.decode(item, under(place, key)) for key, item in node.items()}
            ((tag, content),) = node.items()
            if tag not in DECODED:
                raise ValueError(f"{place} has an unknown tag {tag!r}")
            return DECODED[tag](self, content, place)
        finally:
            self.depth -= 1

    def object(self, node, place):
        """An object of a class in the table."""
        content = dict(node)
        name = content.pop("$type")
        if not isinstance(name, str) or name not in KINDS:
            raise ValueError(f"{place or 'the model'} is of an unknown class {name!r}")
        return KINDS[name].decode(self, content, place)

    def items(self, nodes, place):
        """The value of each node of a list."""
        if not isinstance(nodes, list):
            raise ValueError(f"{place} must be a list, got {type(nodes).__name__}")
        return [self.decode(node, f"{place}[{i}]") for i, node in enumerate(nodes)]

    def list_of(self, length, nodes, place):
        """A list as it is in the JSON, whose length is checked."""
        if not isinstance(nodes, list) or len(nodes) != length:
            raise ValueError(f"{place} must be a list of {length}")
        return nodes

    def parts(self, content, needed, possible, place):
        """An object of JSON, whose keys are checked."""
        if not isinstance(content, dict) or not set(needed) <= content.keys() <= {*needed, *possible}:
            raise ValueError(f"{place or 'the model'} must have the parts {', '.join(needed)}")
        return content

    def text(self, content, place):
        """A string as it is in the JSON."""
        if not isinstance(content, str):
            raise ValueError(f"{place} must be a string, got {type(content).__name__}")
        return content

    def tensor(self, name, place):
        """A tensor, which is used once.

        Parameters
        ----------
        name : str
        place : str

        Returns
        -------
        ndarray
            Contiguous and writeable.
        """
        if not isinstance(name, str) or name not in self.tensors:
            raise ValueError(f"{place} names a tensor {name!r}, which is not there, or was used already")
        return self.tensors.pop(name)

    def spend(self, n_bytes, place):
        """Count bytes that are allocated and that the file does not hold."""
        self.budget -= n_bytes
        if self.budget < 0:
            raise ValueError(f"{place} would take more memory than this file can ask for")

    def finish(self):
        """ValueError if tensors are left over."""
        if self.tensors:
            raise ValueError(f"the tensor {min(self.tensors)!r} belongs to nothing")

    def float(self, content, place):
        """A float from its bits."""
        bits = bytes.fromhex(self.text(content, place))
        if len(bits) != 8:
            raise ValueError(f"{place} must have 8 bytes, got {len(bits)}")
        return struct.unpack("<d", bits)[0]

    def bytes(self, content, place):
        """Bytes from hexadecimal digits."""
        return bytes.fromhex(self.text(content, place))

    def floats(self, content, place):
        """A list of floats from a tensor."""
        tensor = self.tensor(content, place)
        if tensor.dtype != np.float64 or tensor.ndim != 1:
            raise ValueError(f"{place} must be a tensor of float64 of one dimension")
        return tensor.tolist()

    def tuple(self, content, place):
        """A tuple."""
        return tuple(self.items(content, place))

    def slice(self, content, place):
        """A slice."""
        return slice(*self.items(self.list_of(3, content, place), place))

    def dict(self, content, place):
        """A dict from pairs."""
        if not isinstance(content, list):
            raise ValueError(f"{place} must be a list of pairs")
        pairs = [self.items(self.list_of(2, pair, place), place) for pair in content]
        n_collisions = len(pairs) - len({hash(key) for key, _ in pairs})
        if n_collisions > COLLISION_LIMIT:
            raise ValueError(f"{place} has {n_collisions:,} keys with the hashes of others")
        found = dict(pairs)
        if len(found) != len(pairs):
            raise ValueError(f"{place} has a key twice")
        return found

    def dtype(self, content, place):
        """A dtype."""
        return checked_dtype(content, place)


#: tag -> the function (decoder, content, place) that makes its value
DECODED = {
    "$float": Decoder.float,
    "$bytes": Decoder.bytes,
    "$floats": Decoder.floats,
    "$tuple": Decoder.tuple,
    "$slice": Decoder.slice,
    "$dict": Decoder.dict,
    "$dtype": Decoder.dtype,
    "$scalar": decoded_scalar,
    "$array": decoded_array,
    "$tensor": decoded_tensor,
}
