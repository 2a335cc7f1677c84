"""Importances of the columns, by permutation of out-of-bag rows."""

from dataclasses import replace

import numpy as np

from fastbp.estimators.tabular.out_of_bag import OutOfBag

#: Share of the arithmetic of the training that the importances may take
SHARE_OF_TRAINING = 0.05
#: Forward and backward pass take as long as so many forward passes
PASSES_OF_A_STEP = 3


def rows_to_permute(n_columns, rows_trained):
    """How many out-of-bag rows to use, so that the importances take a small part of the time of the training.

    Parameters
    ----------
    n_columns : int
    rows_trained : int
        Rows of all epochs of a member.

    Returns
    -------
    int
    """
    return max(1, int(SHARE_OF_TRAINING * PASSES_OF_A_STEP * rows_trained / n_columns))


def permutation_importances(out_of_bag, score, random_state):
    """How much the score falls when the values of a column are permuted (Breiman, 2001, Random forests, Machine
    Learning 45, section 10).

    Parameters
    ----------
    out_of_bag : OutOfBag
    score : callable
        Of an `OutOfBag`: a number.
    random_state : RandomState

    Returns
    -------
    ndarray of shape (n_columns,)
    """
    base, (_, n_columns) = score(out_of_bag), out_of_bag.folds[0].rows.X.shape
    falls = np.empty(n_columns)
    for column in range(n_columns):
        falls[column] = base - score(permuted(out_of_bag, column, random_state))
    return falls


def permuted(out_of_bag, column, random_state):
    """The same rows with the values of a column permuted within each fold."""
    folds = []
    for fold in out_of_bag.folds:
        X = fold.rows.X.copy()
        X[:, column] = random_state.permutation(X[:, column])
        folds.append(replace(fold, rows=replace(fold.rows, X=X)))
    return OutOfBag(folds)
