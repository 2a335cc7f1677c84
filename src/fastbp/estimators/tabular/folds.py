"""Which rows each member of an ensemble is trained on, and which are out of its bag."""

import numpy as np
from sklearn.model_selection import KFold, StratifiedKFold

#: With fewer rows, all members are trained on all rows
FEWEST_ROWS = 20


def out_of_bag_rows(n_rows, n_folds, share, classes, random_state):
    """The rows that are out of bag in each fold.

    The folds are disjoint as long as ``n_folds * share`` is at most 1, and go round after that.

    Parameters
    ----------
    n_rows : int
    n_folds : int
    share : float
        Of the rows that are out of bag, in [0, 1/2].
    classes : ndarray of int of shape (n_rows,) or None
        Numbers of the classes of the rows; each fold has its share of each, and leaves at least one row of each to
        train on.
    random_state : RandomState

    Returns
    -------
    list of ndarray of int64
        Sorted. Empty arrays with a share of 0, or fewer than `FEWEST_ROWS` rows.
    """
    n_parts = 0 if share == 0 else max(2, round(1 / share))
    if n_rows < max(FEWEST_ROWS, n_parts) or not n_parts:
        return [np.empty(0, np.int64)] * n_folds
    if classes is None:
        splits = KFold(n_parts, shuffle=True, random_state=random_state).split(np.empty(n_rows))
        parts = [rows for _, rows in splits]
    else:
        parts = stratified_parts(classes, n_parts, random_state)
    return [np.sort(parts[fold % n_parts]).astype(np.int64) for fold in range(n_folds)]


def stratified_parts(classes, n_parts, random_state):
    """A partition of the rows, with each class spread evenly. One row of each class that has fewer rows than there are
    parts is in none.

    Parameters
    ----------
    classes : ndarray of int of shape (n_rows,)
    n_parts : int
    random_state : RandomState

    Returns
    -------
    list of ndarray of int
    """
    counts = np.bincount(classes)
    # a class of fewer rows than parts is no reason for a warning
    common = counts[classes] >= n_parts
    parts = [[] for _ in range(n_parts)]
    rows = np.flatnonzero(common)
    if len(rows):
        splits = StratifiedKFold(n_parts, shuffle=True, random_state=random_state).split(rows, classes[rows])
        parts = [[rows[chosen]] for _, chosen in splits]
    # rare classes: all but one row of each, dealt out one by one
    rare = random_state.permutation(np.flatnonzero(~common))
    _, first = np.unique(classes[rare], return_index=True)
    for number, row in enumerate(np.delete(rare, first)):
        parts[number % n_parts].append(np.array([row]))
    return [np.concatenate(part) if part else np.empty(0, np.int64) for part in parts]
