"""The state of an optimizer in a run; its formula and constants are in ``fastbp.optimizers``."""

from copy import copy

import numpy as np


class OptimizerState:
    """An optimizer in a run: its moments, the number of its steps, and its learning rate.

    Parameters
    ----------
    optimizer : Optimizer
        Its constants are copied: a later ``set_params`` does not change the run.
    n_params : int
        Number of the network's parameters.
    dtype : dtype
        Of the parameters.
    learning_rate : float
        Of the first epoch.

    Attributes
    ----------
    optimizer : Optimizer
    learning_rate : float
        Of the next epoch, without `factor`; schedules of epochs change it.
    factor : float
        Factor of the learning rate in the next step; schedules of progress and the warm-up change it.
    n_steps : int
        Steps taken.
    n_epochs : int
        Whole epochs.
    state : list of ndarray of shape (n_params,)
        sgd: the velocity. adam: the averages of the gradient and of its square. muon: the average of the gradient, and
        that of its square for the parameters that adam updates. Laid out as the parameters.
    """

    def __init__(self, optimizer, n_params, dtype, learning_rate=0.001):
        self.optimizer = copy(optimizer)
        self.learning_rate = float(learning_rate)
        self.factor, self.n_steps, self.n_epochs = 1.0, 0, 0
        self.state = [np.zeros(n_params, dtype) for _ in range(optimizer.n_states)]

    @property
    def name(self):
        """str: of the optimizer."""
        return self.optimizer.name

    def attach(self, loop, alpha):
        """Have the updates of a training loop made by this optimizer.

        Parameters
        ----------
        loop : TrainingLoop
            Overwrites the arrays; its `n_steps` continues the count.
        alpha : float
            L2 penalty.
        """
        optimizer, graph = self.optimizer, loop.plan.program.graph
        loop.set_optimizer(
            optimizer.updates,
            optimizer.update_of(graph),
            self.state,
            self.n_steps,
            alpha,
            update_flops=optimizer.update_flops(graph),
        )

    def copy(self):
        """The same with copies of the arrays."""
        other = copy(self)
        other.state = [array.copy() for array in self.state]
        return other

    def __setstate__(self, state):
        self.__dict__.update({"factor": 1.0, "n_epochs": 0} | state)  # a pickle of an older version lacks these
        # read-only where the pickle's buffers, or a memory map, are not to be written to: steps write
        self.state = [np.require(array, requirements=["C_CONTIGUOUS", "ALIGNED", "WRITEABLE"]) for array in self.state]

    def matches(self, name, params):
        """Whether this is the state of the optimizer `name`, for such parameters."""
        is_same = name == self.name
        return is_same and all(s.shape == params.shape and s.dtype == params.dtype for s in self.state)
