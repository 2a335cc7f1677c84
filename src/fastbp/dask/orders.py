"""The order of the rows of a shard: a function of a generator and the number of an epoch."""

from copy import deepcopy

import numpy as np

from fastbp.kernels.shuffling import shuffle


class Order:
    """The order of a shard's rows in an epoch: that of the epoch before, shuffled once more.

    Parameters
    ----------
    generator : RandomState or None
        As before the first epoch; copied. None: the rows stay as they are.
    n_rows : int
    """

    def __init__(self, generator, n_rows):
        self.start, self.epoch = generator, -1
        self.rows = np.arange(n_rows, dtype=np.int64)
        self.generator = None if generator is None else deepcopy(generator)

    def is_from(self, generator, epoch):
        """Whether this is an order of the same generator, from which that of an epoch can be reached."""
        if generator is None or self.start is None:
            return generator is self.start
        return self.epoch <= epoch and is_same_state(self.start, generator)

    def of_epoch(self, epoch):
        """The numbers of the rows; overwritten by later calls."""
        while self.generator is not None and self.epoch < epoch:
            shuffle(self.generator, self.rows)
            self.epoch += 1
        return self.rows


def is_same_state(one, other):
    """Whether two RandomStates are in the same state."""
    return repr_of(one) == repr_of(other)


def repr_of(generator):
    """The state of a RandomState, to be compared."""
    state = generator.get_state(legacy=False)
    inner = {name: np.asarray(value).tobytes() for name, value in state["state"].items()}
    return state["bit_generator"], state.get("has_gauss"), state.get("gauss"), inner
