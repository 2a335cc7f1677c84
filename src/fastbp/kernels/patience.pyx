"""The stopping rule, which the compiled loop over epochs and Python share."""

from libc.math cimport INFINITY


cdef class Patience:
    """Counts the observations in a row that were not better than the best by `tol`; smaller is better.

    Attributes
    ----------
    best : float
        The smallest value noted.
    tol : float
        An observation counts as no improvement when it is above ``best - tol``.
    limit : float
        Patience is exhausted when the count exceeds this; may be inf.
    count : int
        Observations in a row without improvement.

    Notes
    -----
    scikit-learn's rule, for a loss as it stands and for a score with its sign changed. NaN is no improvement, but sets
    the count back to 0.
    """

    def __init__(self, double tol, double limit, double best=INFINITY):
        self.tol, self.limit, self.best, self.count = tol, limit, best, 0

    cdef bint note(self, double value) noexcept nogil:
        self.count = self.count + 1 if value > self.best - self.tol else 0
        if value < self.best:
            self.best = value
            return True
        return False

    cdef bint exhausted(self) noexcept nogil:
        return self.count > self.limit

    def observe(self, double value):
        """Note one value; True when it is the best so far."""
        return self.note(value)

    def renew(self):
        """Count from zero again; the best value stays."""
        self.count = 0

    @property
    def is_exhausted(self):
        """bool: has the count exceeded the limit?"""
        return self.exhausted()

    def __reduce__(self):
        return _restore_patience, (self.tol, self.limit, self.best, self.count)


def _restore_patience(tol, limit, best, count):
    patience = Patience(tol, limit, best)
    patience.count = count
    return patience
