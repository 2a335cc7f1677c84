"""Which members, and how many of their epochs, fit into a number of seconds."""

from sklearn.base import clone

from fastbp.estimators.tabular.presets import total_epochs, with_epochs

#: Rows of the run that measures the speed
ROWS_OF_PROBE = 4096
#: Share of the time that is left for the training, the rest being for what cannot be foreseen
SHARE_FOR_TRAINING = 0.85


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
    """
    step = -(-len(X) // ROWS_OF_PROBE)  # y may be sorted
    X, targets, n = X[::step], targets[::step], len(X)
    probe = clone(member).set_params(max_iter=2, n_threads=1, callbacks=None, verbose=False)
    probe.fit(X, targets)
    first, second = probe.history_["seconds"]
    return (second - first) * n / len(X)


def planned(members, seconds, seconds_of_epoch, n_threads):
    """The members that fit into the time.

    Parameters
    ----------
    members : list of tuple of Cycle
    seconds : float
        That are left.
    seconds_of_epoch : float
        Of one member, in one thread.
    n_threads : int

    Returns
    -------
    list of tuple of Cycle
        The first ones; at least one, which has fewer epochs if need be.
    """
    chosen = list(members)
    seconds = SHARE_FOR_TRAINING * seconds
    while len(chosen) > 1 and duration(map(total_epochs, chosen), n_threads) * seconds_of_epoch > seconds:
        chosen.pop()
    if len(chosen) == 1:  # which all threads train together
        most = int(seconds * n_threads / seconds_of_epoch) if seconds > 0 else 1
        if most < total_epochs(chosen[0]):
            chosen = [with_epochs(chosen[0], max(1, most))]
    return chosen


def duration(epochs, n_threads):
    """Epochs that pass until all members are trained, each in one thread, by the next one that is free.

    Parameters
    ----------
    epochs : iterable of int
        Of each member.
    n_threads : int

    Returns
    -------
    int
    """
    free = [0] * n_threads
    for one in sorted(epochs, reverse=True):
        free[free.index(min(free))] += one
    return max(free)
