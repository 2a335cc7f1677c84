"""The state of an optimizer in a run; its formula and constants are in ``fastbp.optimizers``."""

from copy import copy

import numpy as np

from fastbp.kernels.dispatch import N_MEMORY

#: The smallest `epsilon` of an optimizer: above the smallest normal number, below which the kernels flush to zero, by a
#: factor of 1 / eps, because some of them multiply epsilon by sqrt(1 - beta_2**t)
SMALLEST_EPSILON = {np.dtype(np.float32): 1e-31, np.dtype(np.float64): 1e-291}

#: The attributes of an `OptimizerState` that are numbers and change in a run
OF_THE_RUN = ("learning_rate", "factor", "n_steps", "n_epochs", "seed")


class OptimizerState:
    """An optimizer in a run: its moments, the number of its steps, its learning rate, and the seed of its random
    numbers.

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

    Raises
    ------
    ValueError
        If the optimizer's `epsilon` is too small for the dtype.

    Attributes
    ----------
    optimizer : Optimizer
    learning_rate : float
        Of the next epoch, without `factor`; schedules of epochs change it.
    factor : float
        Factor of the learning rate in the next step; schedules of progress and the warm-up change it.
    n_steps : int
        Steps taken.
    seed : int or None
        What the masks of dropout and the mixtures of mixup depend on, beside the number of the step; None if there is
        neither.
    n_epochs : int
        Whole epochs.
    state : list of ndarray of shape (n_params,)
        sgd: the velocity. adam: the averages of the gradient and of its square. muon: the average of the gradient, and
        that of its square for the parameters that adam updates. Others: see ``kernels/optimizers.h``. Laid out as the
        parameters.
    memory : ndarray of float64 of shape (n_kernels, N_MEMORY)
        Numbers that each kernel of the optimizer keeps from step to step. nadam: one minus the product of the momenta.
        schedule_free: the sum of the weights of all steps, and the largest learning rate.
    """

    seed = None  # of states in older pickles

    def __init__(self, optimizer, n_params, dtype, learning_rate=0.001):
        check_epsilon(optimizer, dtype)
        self.optimizer = copy(optimizer)
        self.learning_rate = float(learning_rate)
        self.factor, self.n_steps, self.n_epochs, self.seed = 1.0, 0, 0, None
        self.state = [np.zeros(n_params, dtype) for _ in range(optimizer.n_states)]
        self.memory = np.zeros((len(optimizer.kernel_constants), N_MEMORY))

    @property
    def name(self):
        """str: of the optimizer."""
        return self.optimizer.name

    def attach(self, loop, alpha, *, l1=0.0, weight_decay=None, clip_norm=None, max_norm=None):
        """Have the updates of a training loop made by this optimizer.

        Parameters
        ----------
        loop : TrainingLoop
            Overwrites the arrays; its `n_steps` continues the count.
        alpha, l1 : float
            L2 and L1 penalty.
        weight_decay : float or None
            Decoupled weight decay; None for the optimizer's own.
        clip_norm, max_norm : float or None
            Largest norm of the gradient, and of the weights of a unit; None for no limit.
        """
        optimizer, graph = self.optimizer, loop.plan.program.graph
        loop.set_optimizer(
            optimizer.kernel_constants,
            optimizer.kernel_of_blocks(graph),
            self.state,
            self.memory,
            self.n_steps,
            alpha,
            l1=l1,
            clip_norm=np.inf if clip_norm is None else clip_norm,
            max_norm=np.inf if max_norm is None else max_norm,
            weight_decay=optimizer.weight_decay if weight_decay is None else weight_decay,
            update_flops=optimizer.update_flops(graph),
        )
        loop.plan.seed = self.seed or 0

    def state_dict(self):
        """All that changes in a run; see `fastbp.training.run_state`."""
        return {name: getattr(self, name) for name in OF_THE_RUN} | {"state": self.state, "memory": self.memory}

    def load_state_dict(self, state):
        """Go on from a state.

        Parameters
        ----------
        state : dict
        """
        for name in OF_THE_RUN:
            setattr(self, name, state[name])
        for ours, saved in zip([*self.state, self.memory], [*state["state"], state["memory"]], strict=True):
            ours[...] = saved

    def copy(self):
        """The same with copies of the arrays."""
        other = copy(self)
        other.state = [array.copy() for array in self.state]
        other.memory = self.memory.copy()
        return other

    def __setstate__(self, state):
        self.__dict__.update({"factor": 1.0, "n_epochs": 0} | state)  # a pickle of an older version lacks these
        # read-only where the pickle's buffers, or a memory map, are not to be written to: steps write
        self.state = [writeable(array) for array in self.state]
        self.memory = writeable(self.memory)

    def matches(self, name, params):
        """Whether this is the state of the optimizer `name`, for such parameters."""
        is_same = name == self.name
        return is_same and all(s.shape == params.shape and s.dtype == params.dtype for s in self.state)


def check_epsilon(optimizer, dtype):
    """ValueError where the `epsilon` of an optimizer may be zero in the arithmetic of `dtype`: a step of a parameter
    without a gradient would be 0 / 0."""
    epsilon, dtype = getattr(optimizer, "epsilon", None), np.dtype(dtype)
    smallest = SMALLEST_EPSILON[dtype]
    if epsilon is not None and epsilon < smallest:
        other = ", or dtype='float64'" if dtype == np.float32 else ""
        raise ValueError(
            f"epsilon={epsilon!r} of the solver {optimizer.name!r} is too small for {dtype}, in which it must be at "
            f"least {smallest}: use a larger one, such as 1e-8{other}"
        )


def writeable(array):
    """The array, or a copy of it where the kernels cannot write to it."""
    return np.require(array, requirements=["C_CONTIGUOUS", "ALIGNED", "WRITEABLE"])
