"""The stopping rule of the compiled loop over epochs, which is also used from Python."""

from libc.math cimport INFINITY


cdef class Patience:
    """Counts successive values that do not improve on the best one by at least `tol`; smaller is better.

    Attributes
    ----------
    best : float
        The smallest value so far.
    tol : float
        A value is no improvement if it is above ``best - tol``.
    limit : float
        Patience is exhausted when the count exceeds this; may be inf.
    count : int
        Successive values without improvement.

    Notes
    -----
    This is scikit-learn's rule, for a loss, or for a score with its sign changed. NaN is no improvement, but resets the
    count to 0.
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
        """Note a value. Returns whether it is the best so far."""
        return self.note(value)

    def renew(self):
        """Reset the count to zero; the best value is kept."""
        self.count = 0

    @property
    def is_exhausted(self):
        """bool: whether the count exceeds the limit."""
        return self.exhausted()

    def state_dict(self):
        """What changes in a run."""
        return {"best": self.best, "count": self.count}

    def load_state_dict(self, state):
        """Go on from what `state_dict` has returned."""
        self.best, self.count = state["best"], state["count"]

    def __reduce__(self):
        return _restore_patience, (self.tol, self.limit, self.best, self.count)


def _restore_patience(tol, limit, best, count):
    patience = Patience(tol, limit, best)
    patience.count = count
    return patience
