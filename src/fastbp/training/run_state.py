"""The state of a run that is not over, from which it goes on as if it had not been interrupted.

The objects that change in a run have a pair of methods, named as those of PyTorch:

- ``state_dict()`` returns plain values: dicts, lists, numbers, strings, None, arrays and generators. These may be the
  object's own: who keeps a state of a network, an optimizer, an average or a record takes it from a copy of the object.
- ``load_state_dict(state)`` gives an object that is set up for the same run this state. What changes is copied.
"""

from dataclasses import dataclass, fields
from typing import Any
from zlib import crc32

import numpy as np
from scipy.sparse import issparse

from fastbp.kernels.cached import cached_property

#: Of what `Run.state_dict` returns; another number for other contents
FORMAT = 1

#: Integers are below it, so that they can be counted on; but for the seed of random numbers
COUNT_LIMIT, SEED_LIMIT = 2**53, 2**63

#: Arrays that a run has at its beginning, and may drop
MAY_BECOME_NONE = ("stopping.best_params_by_loss",)

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
    epochs : Epochs or None
        What makes the steps.
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
    epochs: Any = None

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
            "random_state": self.random_state,
            **{name: part.state_dict() for name, part in self.parts.items()},
        }

    def check(self, state):
        """Check that a state is one of this run.

        Parameters
        ----------
        state : dict

        Raises
        ------
        ValueError
            If the data are others, the bit generator is of another kind, or the state is not that of such a run.
        """
        parts = self.parts
        missing = {"params", "rows", "random_state", *parts} - state.keys()
        if missing or not isinstance(state["data"], dict):
            raise ValueError(f"resume_from: the state of the run is damaged: it has no {min(missing, default='data')}")
        check_generators(self.random_state, state["random_state"])
        own = {"params": self.network.params, "rows": self.rows}
        own |= {name: part.state_dict() for name, part in parts.items() if name not in ("data", "callbacks")}
        parts["data"].load_state_dict(state["data"])  # other data explain all other differences
        for name, value in own.items():
            check_like(value, state[name], name, self.network.n_params)
        if self.rows is not None and not np.array_equal(np.sort(state["rows"]), np.sort(self.rows)):
            raise ValueError("resume_from: the run of the checkpoint trains on other rows")

    def load_state_dict(self, state):
        """Go on from a state.

        Parameters
        ----------
        state : dict
            Which `check` has found to be one of this run.
        """
        for name, part in self.parts.items():
            part.load_state_dict(state[name])
        self.network.params = state["params"]
        if self.rows is not None:
            self.rows[...] = state["rows"]
        self.random_state.set_state(state["random_state"].get_state(legacy=False))

    def undo_edits(self, state):
        """Undo what ``on_fit_begin`` of a callback may have set: the parameters and the learning rate. It did so at the
        beginning of the run, and what became of it since is in the state.

        Parameters
        ----------
        state : dict
        """
        self.network.params = state["params"]
        if self.optimizer is not None:
            self.optimizer.load_state_dict(state["optimizer"])


def check_generators(own, saved):
    """ValueError if `saved` is no generator with the bit generator of `own`."""
    kinds = [type(getattr(generator, "_bit_generator", None)).__name__ for generator in (own, saved)]
    if kinds[0] != kinds[1]:
        raise ValueError(
            f"resume_from: random_state has the bit generator {kinds[0]}, and the run of the checkpoint has {kinds[1]}"
        )


def check_like(own, saved, place, n_params):
    """Check that a part of a saved state is of the kind that a run has: what is in a file may be damaged.

    Parameters
    ----------
    own : object
        What a run has at its beginning, where lists and some dicts are empty, and some values None.
    saved : object
    place : str
        The name of the part.
    n_params : int
        Parameters of the network: the length of the vectors that may be None at the beginning.

    Raises
    ------
    ValueError
    """
    if isinstance(own, dict):
        is_like = isinstance(saved, dict) and (not own or own.keys() == saved.keys())
        for name, value in saved.items() if is_like else ():
            check_like(own.get(name, []), value, f"{place}.{name}", n_params)
    elif isinstance(own, list):
        is_of_arrays = any(isinstance(item, np.ndarray) for item in own)
        is_like = isinstance(saved, list) and (not is_of_arrays or len(saved) == len(own))
        is_like = is_like and all(is_vector(item, n_params) or (not is_of_arrays and is_number(item)) for item in saved)
    elif isinstance(own, np.ndarray):
        is_like = isinstance(saved, np.ndarray) and (own.shape, own.dtype.kind) == (saved.shape, saved.dtype.kind)
        is_like = is_like or (saved is None and place in MAY_BECOME_NONE)
    elif isinstance(own, (int, np.integer)) and place != "optimizer.seed":
        is_like = isinstance(saved, (int, np.integer)) and 0 <= saved < COUNT_LIMIT
    else:
        limit = SEED_LIMIT if place == "optimizer.seed" else COUNT_LIMIT
        is_like = is_number(saved, limit) or (own is None and (saved is None or is_vector(saved, n_params)))
    if not is_like:
        raise ValueError(f"resume_from: {place} in the state of the run is damaged: {saved!r:.100}")


def is_number(value, limit=COUNT_LIMIT):
    """Whether a value is a float, or an integer below a limit."""
    return isinstance(value, (float, np.floating)) or (isinstance(value, (int, np.integer)) and abs(value) < limit)


def is_vector(value, n_params):
    """Whether a value is a vector of one number for each parameter."""
    return isinstance(value, np.ndarray) and value.shape == (n_params,) and value.dtype.kind == "f"


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
            if not is_checksum(theirs):
                raise ValueError(f"resume_from: data.{name} in the state of the run is damaged: {theirs!r:.100}")
            if ours == theirs:
                continue
            if ours is None or theirs is None:
                what = f"{name} is {'not ' * (ours is None)}given, and was {'not ' * (theirs is None)}given to the run"
            else:
                key = next((key for key in ours if ours[key] != theirs.get(key)), "crc32")  # the values come last
                what = f"{name} has other values than in the run"
                if key != "crc32":
                    what = f"{name} has the {key} {ours[key]}, and had {theirs.get(key)} in the run"
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


def is_checksum(value):
    """Whether a value is one that `checksum` may return: None, or text and lists of numbers by their names."""
    if not isinstance(value, dict):
        return value is None
    parts = [part for item in value.values() for part in (item if isinstance(item, list) else [item])]
    return all(isinstance(part, (str, int)) for part in parts)


def crc32_of(array):
    """The CRC-32 of the values of an array, in their order."""
    if array.dtype.hasobject:
        return crc32("\n".join(map(repr, array.ravel())).encode())
    total, step = 0, max(1, CHUNK // max(1, array[:1].nbytes))
    for start in range(0, len(array), step):
        total = crc32(np.ascontiguousarray(array[start : start + step]).view(np.uint8), total)
    return total
