"""The members that fit into a number of seconds: planned before the training, and watched while it goes on.

The plan comes from the measured time of an epoch. The speed may change later, when other programs run. A cycle
therefore has as many of its epochs as there is time for at the speed of the last cycle that a member has finished. A
cycle for which there is too little time, or in which the time ends, is given up, if there is another model to return.
"""

from dataclasses import replace
from math import ceil, inf
from time import perf_counter

from sklearn.base import clone

from fastbp.estimators.tabular.presets import total_epochs, with_epochs
from fastbp.training import Callback

#: Rows of the run that measures the speed
ROWS_OF_PROBE = 4096
#: Seconds; a clock may show no difference
SHORTEST = 1e-7
#: Share of the time that is left for the training, the rest being for what cannot be foreseen
SHARE_FOR_TRAINING = 0.85
#: Members are left out rather than that all have less than this share of their epochs: with 10,000 rows, two members of
#: 40 epochs are better than four of 24 on seven of eight tables
LEAST_SHARE = 0.85
#: A further cycle of a member is not begun with less than this share of its epochs
LEAST_SHARE_OF_CYCLE = 0.25
#: Share of the epochs for which there seems to be time that a cycle has when it cannot have all
MARGIN = 0.9
#: No epoch is left out for the little time that passes between the plan and the training
NEARLY_ALL = 0.98


def seconds_of_an_epoch(member, X, targets):
    """Measured time of a row in an epoch, times the number of rows.

    Parameters
    ----------
    member : MLPClassifier or MLPRegressor
    X, targets : ndarray
        To train on.

    Returns
    -------
    float
        With one thread.
    """
    step = -(-len(X) // ROWS_OF_PROBE)  # y may be sorted
    X, targets, n = X[::step], targets[::step], len(X)
    probe = clone(member).set_params(max_iter=2, n_threads=1, callbacks=None, verbose=False)
    probe.fit(X, targets)
    first, second = probe.history_["seconds"]
    return max(second - first, SHORTEST) * n / len(X)


def planned(cycles, n_members, epochs, n_threads):
    """The members that fit into the time.

    Each member is trained in one thread, so that the members are trained in rounds. If there is no time for all rounds,
    then for as many as leave each member `LEAST_SHARE` of its epochs; a single member, which all threads train
    together, has fewer if need be.

    Parameters
    ----------
    cycles : tuple of Cycle
        Of each member.
    n_members : int
    epochs : float
        For which there is time, in one thread.
    n_threads : int

    Returns
    -------
    tuple of Cycle
    int
        The number of members, at least one.
    """
    total = total_epochs(cycles)
    n_rounds = int(min(ceil(n_members / n_threads), epochs / (LEAST_SHARE * total)))
    n_members = max(1, min(n_members, n_rounds * n_threads))
    most = epochs * n_threads if n_members == 1 else epochs / n_rounds
    return (cycles if most >= total else with_epochs(cycles, max(1, int(most)))), n_members


class Budget:
    """The time in which the members are trained. Several threads look at it.

    Parameters
    ----------
    end : float
        When the training has to end, of `time.perf_counter`; inf for never.
    seconds_of_epoch : float
        Expected time of an epoch of a member.
    """

    def __init__(self, end=inf, seconds_of_epoch=0.0):
        self.end, self.seconds_of_epoch = end, seconds_of_epoch
        #: Whether there is a model to return
        self.has_model = False

    def share(self, cycles):
        """The share of the epochs of these cycles for which there is time, at most 1."""
        needed = total_epochs(cycles) * self.seconds_of_epoch
        left = self.end - perf_counter()
        if left <= 0:
            return 0.0
        return 1.0 if needed <= left else left / needed

    def has_time_for(self, cycles, is_first):
        """Whether to begin with these cycles, of which the first one is the first of a member, or a further one. Models
        of much less training than the others would spoil the mean."""
        return not self.has_model or self.share(cycles) >= (LEAST_SHARE if is_first else LEAST_SHARE_OF_CYCLE)

    def fitting(self, cycles):
        """The first of these cycles, with fewer epochs if there is no time for all cycles as they are."""
        share = self.share(cycles)
        if share > NEARLY_ALL:
            return cycles[0]
        return replace(cycles[0], epochs=max(1, int(MARGIN * share * cycles[0].epochs)))

    def end_cycle(self, seconds, n_epochs):
        """Learn from a trained model how long an epoch takes, with all that belongs to it."""
        self.has_model = True
        self.seconds_of_epoch = seconds / n_epochs

    def deadline(self):
        """Deadline of a model, or None if there is no limit."""
        return None if self.end == inf else Deadline(self)


class Deadline(Callback):
    """Ends the training of a model when the time is over, unless there is no other model yet.

    Parameters
    ----------
    budget : Budget

    Attributes
    ----------
    has_passed : bool
        Whether it has, so that the model is not to be used.
    """

    def __init__(self, budget):
        self.budget, self.has_passed = budget, False

    def on_epoch_end(self, state):
        """Look at the clock."""
        is_over = self.budget.has_model and perf_counter() > self.budget.end
        self.has_passed = is_over and state.epoch < state.max_iter
        return self.has_passed
