"""Importances of the columns, by permutation of out-of-bag rows."""

from dataclasses import replace

import numpy as np

from fastbp.estimators.tabular.out_of_bag import OutOfBag

#: Share of the arithmetic of the training that the importances may take
SHARE_OF_TRAINING = 0.05
#: Forward and backward pass take as long as so many forward passes
PASSES_OF_A_STEP = 3
#: But at least so many rows are used: fewer tell nothing
FEWEST_ROWS = 20
#: Numbers in the permuted rows that are predicted at once. A prediction of a few rows takes as long as one of many.
NUMBERS_AT_ONCE = 2**22


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
    return max(FEWEST_ROWS, int(SHARE_OF_TRAINING * PASSES_OF_A_STEP * rows_trained / n_columns))


def permutation_importances(out_of_bag, predict, score, random_state):
    """How much the score falls when the values of a column are permuted (Breiman, 2001, Random forests, Machine
    Learning 45, section 10).

    Parameters
    ----------
    out_of_bag : OutOfBag
    predict : callable
        Of an `OutOfBag`: the predictions of its rows, of shape (n, n_outputs).
    score : callable
        Of predictions of all rows of `out_of_bag`: a number.
    random_state : RandomState

    Returns
    -------
    ndarray of shape (n_columns,)
    """
    base, n_columns = score(predict(out_of_bag)), out_of_bag.folds[0].rows.X.shape[1]
    n_at_once = max(1, NUMBERS_AT_ONCE // (len(out_of_bag) * n_columns))
    falls = []
    for start in range(0, n_columns, n_at_once):
        columns = range(start, min(start + n_at_once, n_columns))
        predictions = predict(permuted(out_of_bag, columns, random_state))
        falls.extend(base - score(one) for one in of_copies(predictions, out_of_bag, len(columns)))
    return np.array(falls)


def permuted(out_of_bag, columns, random_state):
    """The same rows once for each column, with the values of this column permuted within each fold."""
    folds = []
    for fold in out_of_bag.folds:
        X = np.repeat(fold.rows.X[np.newaxis], len(columns), axis=0)
        for copy, column in zip(X, columns, strict=True):
            copy[:, column] = random_state.permutation(copy[:, column])
        folds.append(replace(fold, rows=replace(fold.rows, X=X.reshape(-1, X.shape[2]))))
    return OutOfBag(folds)


def of_copies(predictions, out_of_bag, n_copies):
    """The predictions for `permuted` rows by copies: ndarray of shape (n_copies, len(out_of_bag), n_outputs)."""
    ends = np.cumsum([len(fold.rows.X) * n_copies for fold in out_of_bag.folds])
    parts = np.split(predictions, ends[:-1])
    return np.concatenate([part.reshape(n_copies, -1, part.shape[1]) for part in parts], axis=1)
