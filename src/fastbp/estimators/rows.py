"""The rows that a fit trains on, as one object: given as a whole in memory, or read in blocks (`streams.py`)."""

from fastbp.compatibility import checked_sample_weight
from fastbp.estimators.numeric import check_numeric
from fastbp.training import InMemoryEpochs


class RowsInMemory:
    """The arguments of `fit`, as they came.

    Parameters
    ----------
    X, y, sample_weight
        As for `fit`.

    Attributes
    ----------
    labels : None
        All labels are in y.
    is_part : bool
        Whether what `check` returns is a part of the rows.
    n_rows : int
        Known after `check`.
    """

    labels, is_part = None, False

    def __init__(self, X, y, sample_weight=None):
        self.X, self.y, self.sample_weight = X, y, sample_weight

    def check(self, model, reset):
        """Check the rows.

        Parameters
        ----------
        model : BaseMLP
            Learns the columns of X.
        reset : bool
            Whether it is to forget the columns that it knows.

        Returns
        -------
        X : ndarray or sparse matrix of shape (n_rows, n_features)
        y : ndarray or sparse matrix of shape (n_rows,) or (n_rows, n_outputs)
        sample_weight : ndarray of shape (n_rows,) or None
        """
        X, y = model._check(self.X, self.y, reset=reset)
        self.n_rows = X.shape[0]
        return X, y, checked_weight(self.sample_weight, X)

    def n_trained(self, rows):
        """Rows that batches are made of.

        Parameters
        ----------
        rows : ndarray of int64 or None
            Numbers of the rows to train on; None for all.

        Returns
        -------
        int
        """
        return self.n_rows if rows is None else len(rows)

    def epochs(self, data, rows, batch_size, random_state, lock):
        """What makes the steps of epochs over these rows; arguments and result as of `InMemoryEpochs`."""
        return InMemoryEpochs(data, rows, batch_size, random_state, lock)


def checked_weight(sample_weight, X, may_be_zero=False):
    """The sample weights as an array of float64; None for None.

    Parameters
    ----------
    sample_weight : array-like of shape (n_rows,) or None
    X : ndarray or sparse matrix of shape (n_rows, n_features)
    may_be_zero : bool
        Whether all of them may be zero.

    Returns
    -------
    ndarray of shape (n_rows,) or None

    Raises
    ------
    ValueError, TypeError
        For weights that are negative or no numbers.
    """
    if sample_weight is None:
        return None
    check_numeric("sample_weight", sample_weight)
    return checked_sample_weight(sample_weight, X, ensure_non_negative=True, allow_all_zero_weights=may_be_zero)
