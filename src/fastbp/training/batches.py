"""The size of batches."""

import numpy as np

#: A size may differ from the one that was asked for by so much of it
LARGEST_CHANGE = 1 / 4
#: A last batch that lacks less than this share of its size is as good as a full one
FULL_ENOUGH = 1 / 16


def even_batch_size(n_rows, batch_size):
    """A size near `batch_size` with which the last batch of an epoch is as large as the others, or nearly so.

    The mean gradient of a short last batch is noisier than that of the others, and its step is as large: this matters
    for high learning rates.

    Parameters
    ----------
    n_rows : int
        At least 1.
    batch_size : int
        At least 1.

    Returns
    -------
    int
        The size nearest to `batch_size` whose last batch lacks at most a sixteenth of its rows; if there is none, that
        whose last batch is fullest. It is one of those that differ from `batch_size` by at most a quarter, or the one
        of ``round(n_rows / batch_size)`` batches. At most `n_rows`.
    """
    n_batches = max(1, round(n_rows / batch_size))
    change = int(LARGEST_CHANGE * batch_size)
    sizes = np.append(np.arange(batch_size - change, batch_size + change + 1), -(-n_rows // n_batches))
    sizes = np.minimum(sizes, n_rows)
    last = n_rows - (-(-n_rows // sizes) - 1) * sizes
    missing = np.maximum((sizes - last) / sizes, FULL_ENOUGH)
    return int(sizes[np.lexsort((np.abs(sizes - batch_size), missing))[0]])
