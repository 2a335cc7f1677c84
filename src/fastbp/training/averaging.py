"""Averages of the weights along a run: the network predicts with them, and training goes on from the raw weights.

The `Trainer` has one of three objects with the same methods: `NoAverage`; `MovingAverage`, which the compiled loop
updates after each step; `EpochAverage`, which is updated here after each epoch.
"""

import numpy as np

from fastbp.training.optimizer_state import writeable


class NoAverage:
    """The weights are not averaged."""

    #: Whether there are weights in the average.
    is_begun = False
    #: Whether the running statistics of batch normalization have to be computed anew for the average.
    needs_statistics = False

    def attach(self, loop):
        """Have a training loop update the average.

        Parameters
        ----------
        loop : TrainingLoop
        """
        return None

    def epochs_at_once(self, n_iter):
        """How many epochs may follow the first `n_iter` before `after_epochs` is called; None for any number."""
        return None

    def after_steps(self, n_steps):
        """Note how many steps the optimizer has made so far."""
        return None

    def after_epochs(self, network, n_iter):
        """Note that `n_iter` epochs are over.

        Parameters
        ----------
        network : Network
            With the raw weights.
        n_iter : int
        """
        return None

    def show(self, network):
        """Give the network the average, if there is one."""
        return None

    def note_statistics(self, network):
        """Note that the network, which has the average, got new running statistics."""
        return None

    def hide(self, network):
        """Give the network the raw weights back."""
        return None

    def state_dict(self):
        """All that changes in a run; see `fastbp.training.run_state`."""
        return {}

    def load_state_dict(self, state):
        """Go on from a state.

        Parameters
        ----------
        state : dict
        """
        return None

    def copy(self):
        """The same with arrays of its own."""
        return self


class Average(NoAverage):
    """What the two averages share.

    Parameters
    ----------
    params : ndarray of shape (n_params,)
        Not kept.

    Attributes
    ----------
    params : ndarray of shape (n_params,)
        The average.
    raw : ndarray of shape (n_params,)
        While the average is shown: the weights that training goes on from.
    n : int
        Number of averaged vectors.
    is_shown : bool
        Whether the network has the average.
    """

    def __init__(self, params):
        self.params, self.raw = params.copy(), params.copy()
        self.n, self.is_shown = 0, False

    @property
    def is_begun(self):
        """bool: whether there are weights in the average."""
        return self.n > 0

    def is_in(self, network):
        """Whether the network has exactly this average, in its dtype: nobody has edited or trained it since."""
        return self.is_shown and np.array_equal(self.params.astype(network.dtype, copy=False), network.params)

    def show(self, network):
        """Give the network the average, if there is one, and keep the raw weights."""
        if self.is_begun and not self.is_shown:
            self.raw[...] = network.params
            network.params = self.params
            self.is_shown = True

    def note_statistics(self, network):
        """Note that the network, which has the average, got new running statistics.

        Parameters
        ----------
        network : Network
        """
        if self.is_shown:
            self.params[...] = network.params

    def hide(self, network):
        """Give the network the raw weights back. If its weights were edited meanwhile, training goes on from the edited
        ones, and the average begins anew."""
        if not self.is_shown:
            return
        if self.is_in(network):
            network.params = self.raw
        else:
            self.n = 0
        self.is_shown = False

    def state_dict(self):
        """All that changes in a run; see `fastbp.training.run_state`."""
        return {"params": self.params, "raw": self.raw, "n": self.n, "is_shown": self.is_shown}

    def load_state_dict(self, state):
        """Go on from a state.

        Parameters
        ----------
        state : dict
        """
        self.params[...], self.raw[...] = state["params"], state["raw"]
        self.n, self.is_shown = state["n"], state["is_shown"]

    def copy(self):
        """The same with copies of the arrays."""
        other = object.__new__(type(self))
        other.__dict__ = vars(self) | {"params": self.params.copy(), "raw": self.raw.copy()}
        return other

    def __setstate__(self, state):
        self.__dict__.update(state)
        # read-only where the pickle's buffers, or a memory map, are not to be written to: training writes
        for name in ("params", "raw"):
            setattr(self, name, writeable(getattr(self, name)))


class MovingAverage(Average):
    """The exponential moving average of the weights after each step.

    After n steps with the weights ``w_1, ..., w_n`` it is ``sum(decay**(n - i) * w_i) / sum(decay**(n - i))``: the
    average of Polyak and Juditsky (1992) with exponential weights, and the bias correction of Kingma and Ba (2015).

    Parameters
    ----------
    params : ndarray of shape (n_params,)
        Not kept.
    decay : float
        In [0, 1).
    """

    def __init__(self, params, decay):
        super().__init__(params)
        self.decay, self.begin = decay, 0

    def attach(self, loop):
        """Have a training loop update the average after each step from now on.

        Parameters
        ----------
        loop : TrainingLoop
        """
        self.begin = loop.n_steps - self.n
        loop.set_average(self.params, self.decay, self.begin)

    def after_steps(self, n_steps):
        """Note how many steps the optimizer has made so far."""
        self.n = n_steps - self.begin

    def state_dict(self):
        """All that changes in a run; see `fastbp.training.run_state`."""
        return super().state_dict() | {"begin": self.begin}

    def load_state_dict(self, state):
        """Go on from a state.

        Parameters
        ----------
        state : dict
        """
        super().load_state_dict(state)
        self.begin = state["begin"]


class EpochAverage(Average):
    """The mean of the weights at the ends of the last epochs: stochastic weight averaging (Izmailov et al., 2018).

    Parameters
    ----------
    params : ndarray of shape (n_params,)
        Not kept.
    begin : int
        Epochs before the first one that counts.
    """

    def __init__(self, params, begin):
        super().__init__(params)
        self.begin = begin

    @property
    def needs_statistics(self):
        """bool: whether the network has the average, whose activations have other statistics than those of the weights
        that were averaged (Izmailov et al., 2018, section 3.2)."""
        return self.is_shown

    def epochs_at_once(self, n_iter):
        """All epochs that do not count, and one at a time of the others.

        Parameters
        ----------
        n_iter : int

        Returns
        -------
        int
        """
        return max(1, self.begin - n_iter)

    def after_epochs(self, network, n_iter):
        """Add the weights to the average, if the last epoch counts.

        Parameters
        ----------
        network : Network
        n_iter : int
        """
        if n_iter > self.begin:
            self.n += 1
            self.params += (network.params - self.params) * (1 / self.n)
