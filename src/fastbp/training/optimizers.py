"""The state of a stochastic optimizer; its arithmetic is in the kernels (``fastbp.kernels.optimizers``)."""

from copy import copy

import numpy as np

from fastbp.kernels.dispatch import N_STATES


class Optimizer:
    """The constants, the moments and the clock of an optimizer.

    Parameters
    ----------
    name : {"sgd", "adam"}
    n_params : int
    dtype : dtype
        Of the parameters.
    learning_rate_init, momentum, nesterovs_momentum, beta_1, beta_2, epsilon
        As the estimators' parameters of these names.

    Attributes
    ----------
    learning_rate : float
        Of the next epoch; schedules change it.
    t : int
        Steps taken.
    state : list of ndarray of shape (n_params,)
        sgd: the velocity. adam: the averages of the gradient and of its square. Laid out as the parameters.
    """

    def __init__(
        self,
        name,
        n_params,
        dtype,
        learning_rate_init=0.001,
        momentum=0.9,
        nesterovs_momentum=True,
        beta_1=0.9,
        beta_2=0.999,
        epsilon=1e-8,
    ):
        self.name = name
        self.learning_rate_init = float(learning_rate_init)
        self.learning_rate = float(learning_rate_init)
        self.momentum = float(momentum)
        self.nesterovs_momentum = bool(nesterovs_momentum)
        self.beta_1, self.beta_2 = float(beta_1), float(beta_2)
        self.epsilon = float(epsilon)
        self.t = 0
        self.state = [np.zeros(n_params, dtype) for _ in range(N_STATES[name])]

    def copy(self):
        """An optimizer with copies of the state."""
        other = copy(self)
        other.state = [array.copy() for array in self.state]
        return other

    def __setstate__(self, state):
        self.__dict__.update(state)
        # read-only where the pickle's buffers, or a memory map, are not to be written to: steps write
        self.state = [np.require(array, requirements=["C_CONTIGUOUS", "ALIGNED", "WRITEABLE"]) for array in self.state]

    def fits(self, name, params):
        """Whether this is the optimizer `name`, with a state for such parameters."""
        return name == self.name and all(s.shape == params.shape and s.dtype == params.dtype for s in self.state)
