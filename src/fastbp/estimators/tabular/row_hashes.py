"""Rows that are left out of each pass over a source, whose blocks may come in another order each time.

They are found by what they hold: a hash of the encoded row, its target and its weight. Of rows that are all alike, as
many are left out as are held out; which ones makes no difference.
"""

import numpy as np

#: Rows that are hashed at once
ROWS = 2**14
#: An odd number with irregular bits, that of SplitMix64
FACTOR = np.uint64(0x9E3779B97F4A7C15)
HALF = np.uint64(32)


class HeldOut:
    """The rows to leave out of one pass.

    Parameters
    ----------
    rows : Rows

    Attributes
    ----------
    hashes : ndarray of uint64
        Sorted, each once.
    left : ndarray of int64
        How many rows of each hash are still to be left out.
    """

    def __init__(self, rows):
        self.hashes, self.left = np.unique(row_hashes(rows), return_counts=True)

    def without(self, rows):
        """Rows without those that are held out.

        Parameters
        ----------
        rows : Rows

        Returns
        -------
        Rows
        """
        hashes = row_hashes(rows)
        place = np.minimum(np.searchsorted(self.hashes, hashes), len(self.hashes) - 1)
        found = np.flatnonzero((self.hashes[place] == hashes) & (self.left[place] > 0))
        if not len(found):
            return rows
        found = found[np.argsort(place[found], kind="stable")]
        place = place[found]
        rank = np.arange(len(place)) - np.searchsorted(place, place)  # among the rows that are alike
        is_out = rank < self.left[place]
        self.left = self.left - np.bincount(place[is_out], minlength=len(self.left))
        return rows.without(found[is_out])

    def check_found(self):
        """ValueError at the end of a pass in which not all of them have come."""
        n = int(self.left.sum())
        if n:
            raise ValueError(
                f"source has not given {n} rows again that were in its first pass, and are out of bag: it has to give "
                "the same rows in each pass. If it changes them on purpose, give validation=(X, y), or set "
                "oob_fraction=0"
            )


def row_hashes(rows):
    """A hash of each row.

    Parameters
    ----------
    rows : Rows

    Returns
    -------
    ndarray of uint64 of shape (n,)
        A sum of products of the mixed 32-bit words with random numbers, modulo 2**64.
    """
    n = len(rows.X)
    hashes, generator = np.zeros(n, np.uint64), np.random.default_rng(0)
    for part in (rows.X, rows.targets, rows.sample_weight):
        if part is None or n == 0:
            continue
        words = np.ascontiguousarray(part).reshape(n, -1).view(np.uint32)
        factors = generator.integers(2**64, size=words.shape[1], dtype=np.uint64) | np.uint64(1)
        for start in range(0, n, ROWS):
            mixed = words[start : start + ROWS].astype(np.uint64)
            mixed += np.uint64(1)
            mixed *= FACTOR
            mixed ^= mixed >> HALF
            hashes[start : start + ROWS] += mixed @ factors
    return hashes
