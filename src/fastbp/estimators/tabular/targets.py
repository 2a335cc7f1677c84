"""What must be known of the targets of all rows before training, learned from one part after the other."""

import numpy as np

WEIGHTS_ARE_ZERO = (
    "sample_weight, times class_weight if there is one, is zero for every row: give a row a weight above zero"
)


class NumberSummary:
    """Range, mean and standard deviation of each target. The parts of a sum of squares are joined as by Chan, Golub and
    LeVeque (1983, Algorithms for computing the sample variance, The American Statistician 37).

    Attributes
    ----------
    n : int
        Rows.
    is_flat : bool
        Whether y has one dimension.
    low, high, mean, deviation : ndarray of float64 of shape (n_outputs,)
    """

    n = 0

    def add(self, y):
        """Learn from an array of shape (n,) or (n, n_outputs), of finite float64.

        Returns
        -------
        self : NumberSummary
        """
        columns, is_first = y.reshape(len(y), -1), self.n == 0
        if is_first:
            self.is_flat, self.low, self.high = y.ndim == 1, columns.min(axis=0), columns.max(axis=0)
        elif self.is_flat != (y.ndim == 1) or len(self.low) != columns.shape[1]:
            raise ValueError(f"y has the shape {y.shape}, and had {len(self.low)} columns in the first block")
        self.low, self.high = np.minimum(self.low, columns.min(axis=0)), np.maximum(self.high, columns.max(axis=0))
        # sums and squares of the largest numbers must not overflow
        scale = np.maximum(np.abs(self.low), np.abs(self.high))
        scale = np.where(scale > 0, scale, 1)
        n, mean = len(y), (columns / scale).mean(axis=0) * scale
        deviation = ((columns / scale) - mean / scale).std(axis=0) * scale
        if is_first:
            self.n, self.mean, self.deviation = n, mean, deviation
            return self
        total = self.n + n
        before, share = self.n / total, n / total
        between = before * share * ((self.mean / scale) - (mean / scale)) ** 2
        squares = before * (self.deviation / scale) ** 2 + share * (deviation / scale) ** 2
        self.deviation = np.sqrt(squares + between) * scale
        self.mean = (before * (self.mean / scale) + share * (mean / scale)) * scale
        self.n = total
        return self
