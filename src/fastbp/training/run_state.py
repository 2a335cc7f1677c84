"""The state of a run that is not over, from which it goes on as if it had not been interrupted.

The objects that change in a run have a pair of methods, named as those of PyTorch:

- ``state_dict()`` returns plain values: dicts, lists, numbers, strings, None and arrays. These may be the object's own:
  who keeps a state of a network, an optimizer, an average or a record takes it from a copy of the object.
- ``load_state_dict(state)`` gives an object that is set up for the same run this state. What changes is copied.
"""

from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any
from zlib import crc32

import numpy as np
from scipy.sparse import issparse

#: Of what `Run.state_dict` returns; another number for other contents
FORMAT = 1

#: Bytes of an array whose checksum is computed at once: bounds the copy of one that is not contiguous
CHUNK = 1 << 24


@dataclass
class Run:
    """All that changes in a run of training, and the data that must not change.

    Parameters
    ----------
    network : Network
    random_state : RandomState
    data : DataChecksums
    history : History
    callbacks : Callbacks
    rows : ndarray of int64 or None
        The rows that are trained on, in the order of the last epoch.
    optimizer : OptimizerState or None
        None, as all that follows but `evaluations`, for L-BFGS.
    average : NoAverage, MovingAverage, EpochAverage or None
    stopping : LossStopping, EarlyStopping or None
    trainer : Trainer or None
    evaluations : Evaluations or None
        Of L-BFGS; None for all other solvers.
    """

    network: Any
    random_state: Any
    data: Any
    history: Any
    callbacks: Any
    rows: Any = None
    optimizer: Any = None
    average: Any = None
    stopping: Any = None
    trainer: Any = None
    evaluations: Any = None

    @property
    def parts(self):
        """dict of str to object: what has the two methods, the data first, whose values are checked."""
        names = [f.name for f in fields(self) if hasattr(getattr(self, f.name), "load_state_dict")]
        return {name: getattr(self, name) for name in names}

    def state_dict(self):
        """The state at the end of an epoch."""
        return {
            "format": FORMAT,
            "params": self.network.params,
            "rows": None if self.rows is None else self.rows.copy(),
            "random_state": self.random_state.get_state(legacy=False),
            **{name: part.state_dict() for name, part in self.parts.items()},
        }

    def load_state_dict(self, state):
        """Go on from a state.

        Parameters
        ----------
        state : dict

        Raises
        ------
        ValueError
            If the data are others, or the bit generator is of another kind.
        """
        for name, part in self.parts.items():
            part.load_state_dict(state[name])
        self.network.params = state["params"]
        if self.rows is not None:
            self.rows[...] = state["rows"]
        saved, own = (s["bit_generator"] for s in (state["random_state"], self.random_state.get_state(legacy=False)))
        if saved != own:
            raise ValueError(
                f"resume_from: random_state has the bit generator {own}, and the run of the checkpoint has {saved}"
            )
        self.random_state.set_state(state["random_state"])


class DataChecksums:
    """The data of a run, and checksums of them, which are computed when they are needed.

    Parameters
    ----------
    arrays : dict of str to (ndarray, sparse matrix or None)
        By the names that `fit` has for them, as the network takes them.
    """

    def __init__(self, arrays):
        self.arrays = arrays

    @cached_property
    def checksums(self):
        """dict of str to (dict or None): format, shape, dtype and CRC-32 of each array."""
        return {name: checksum(array) for name, array in self.arrays.items()}

    def state_dict(self):
        """The checksums."""
        return self.checksums

    def load_state_dict(self, state):
        """Check that the data are those of the checksums.

        Parameters
        ----------
        state : dict

        Raises
        ------
        ValueError
        """
        for name in {**self.checksums, **state}:
            ours, theirs = self.checksums.get(name), state.get(name)
            if ours == theirs:
                continue
            if ours is None or theirs is None:
                what = f"{name} is {'not ' * (ours is None)}given, and was {'not ' * (theirs is None)}given to the run"
            else:
                key = next(key for key in ours if ours[key] != theirs[key])  # the values come last
                what = f"{name} has other values than in the run"
                if key != "crc32":
                    what = f"{name} has the {key} {ours[key]}, and had {theirs[key]} in the run"
            raise ValueError(f"resume_from: {what} of the checkpoint; give fit the same data, in the same order")


def checksum(array):
    """Format, shape, dtype and CRC-32 of an array or a sparse matrix; None for None.

    Parameters
    ----------
    array : ndarray, sparse matrix or None

    Returns
    -------
    dict or None
    """
    if array is None:
        return None
    parts = (array.indptr, array.indices, array.data) if issparse(array) else (array,)
    return {
        "format": array.format if issparse(array) else "dense",
        "shape": str(array.shape),
        "dtype": array.dtype.str,
        "crc32": [crc32_of(part) for part in parts],
    }


def crc32_of(array):
    """The CRC-32 of the values of an array, in their order."""
    if array.dtype.hasobject:
        return crc32("\n".join(map(repr, array.ravel())).encode())
    total, step = 0, max(1, CHUNK // max(1, array[:1].nbytes))
    for start in range(0, len(array), step):
        total = crc32(np.ascontiguousarray(array[start : start + step]).view(np.uint8), total)
    return total
