"""The outer step: from the weights before a round and their average after it to the weights of the next round."""

import numpy as np


class OuterNesterov:
    """Gradient descent with Nesterov's momentum on the change that rounds make (DiLoCo).

    With the weights ``w`` before a round and their average ``a`` after it, ``g = w - a`` stands for a gradient, and the
    velocity ``v`` and the weights become::

        v = momentum * v + g
        w = w - learning_rate * (g + momentum * v)

    With a learning rate of 1 and no momentum the weights become ``a``, to the last bit. Running statistics are no
    weights, and become their average in any case, until they are computed anew.

    Parameters
    ----------
    learning_rate, momentum : float
    network : Network
        Tells which parameters are trained.
    max_norm : float or None
        Largest norm of a column of dense weights; None for no limit. The average of weights within it is within it, and
        a step beyond the average is scaled back.

    Attributes
    ----------
    velocity : ndarray of float64 of shape (n_params,) or None
        None before the first step with momentum.

    References
    ----------
    Douillard et al. (2023), DiLoCo: distributed low-communication training of language models, arXiv:2311.08105,
    algorithm 1.
    """

    def __init__(self, learning_rate, momentum, network, max_norm=None):
        self.learning_rate, self.momentum = float(learning_rate), float(momentum)
        self.velocity = None
        self.is_trained = np.ones(network.n_params, bool)
        for block in network.graph.blocks:
            if not network.graph.groups[block.group].trained:
                block.view(self.is_trained)[...] = False
        dense = [] if max_norm is None else [block for block, _ in network.graph.dense_blocks]
        self.limited = [block for block in dense if network.graph.groups[block.group].learning_rate > 0]
        self.max_norm = max_norm

    @property
    def is_average(self):
        """bool: whether the step is to the average itself."""
        return self.learning_rate == 1 and self.momentum == 0

    def step(self, before, mean):
        """The weights of the next round.

        Parameters
        ----------
        before, mean : ndarray of shape (n_params,)
            Before the round, and their average after it.

        Returns
        -------
        ndarray of shape (n_params,)
        """
        if self.is_average:
            return mean
        change = before.astype(np.float64) - mean
        if self.momentum:
            self.velocity = change if self.velocity is None else self.momentum * self.velocity + change
            change = change + self.momentum * self.velocity
        after = before - self.learning_rate * change
        for block in self.limited:
            weights = block.view(after)
            weights *= self.max_norm / np.maximum(np.linalg.norm(weights, axis=0), self.max_norm)
        return np.where(self.is_trained, after, mean).astype(mean.dtype)

    def state_dict(self):
        """All that changes in a run; see `fastbp.training.run_state`."""
        return {"velocity": self.velocity}

    def load_state_dict(self, state):
        """Go on from a state.

        Parameters
        ----------
        state : dict
        """
        self.velocity = state["velocity"]
