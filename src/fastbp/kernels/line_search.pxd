"""Line search by Moré and Thuente."""


# A step along the direction, with the value of the function and its slope there
cdef struct trial_t:
    double step, value, slope


cdef class LineSearch:
    cdef readonly double step
    cdef bint is_bracketed
    cdef bint is_decreased
    cdef trial_t start
    # the best step so far, and the other end of the interval that contains a minimizer
    cdef trial_t best
    cdef trial_t other
    cdef double smallest
    cdef double largest
    # of the interval after the last step, and after the one before
    cdef double width
    cdef double width_before

    cdef void begin(self, double value, double slope, double step) noexcept nogil
    cdef bint take(self, double value, double slope) noexcept nogil
    cdef bint accepts(self, trial_t trial) noexcept nogil
    cdef void next_step(self, trial_t trial) noexcept nogil
    cdef double beyond(self, trial_t trial) noexcept nogil
    cdef void bound_steps(self) noexcept nogil
