# cython: cdivision=True
"""Line search along a descent direction: steps of sufficient decrease whose slope is small enough.

With phi(t) the function at step t, a step is accepted if

    phi(t) <= phi(0) + DECREASE t phi'(0)    and    |phi'(t)| <= CURVATURE |phi'(0)|

The trial steps minimize interpolating cubics and parabolas, safeguarded within an interval that contains a minimizer as
soon as one is known. Constants and safeguards are those of L-BFGS-B 3.0, where every step is unbounded.

Moré and Thuente (1994), Line search algorithms with guaranteed sufficient decrease, ACM Transactions on Mathematical
Software 20; sections 2 to 4.
"""

from libc.math cimport INFINITY, fabs, fmax, fmin, sqrt

# sufficient decrease (mu) and curvature (eta) of the conditions above
cdef double DECREASE = 1e-3
cdef double CURVATURE = 0.9
# An interval that is relatively narrower ends the search.
cdef double NARROW = 0.1
cdef double LARGEST_STEP = 1e10
# While no interval is known, the next step is between these multiples of the last change beyond the last step.
cdef double LEAST_EXTRAPOLATION = 1.1
cdef double MOST_EXTRAPOLATION = 4.0
# An interval that did not shrink to this part of what it was two steps ago is bisected; the next step is at most this
# part of the way to its other end.
cdef double SHRINKAGE = 0.66


cdef double cubic_fraction(trial_t a, trial_t b, bint may_have_none) noexcept nogil:
    """Where the cubic that interpolates two steps has its minimizer, as a fraction of the way from a to b. Where there
    may be none, infinity says so."""
    cdef double theta = 3 * (a.value - b.value) / (b.step - a.step) + a.slope + b.slope
    cdef double scale = fmax(fabs(theta), fmax(fabs(a.slope), fabs(b.slope)))
    cdef double discriminant = (theta / scale) * (theta / scale) - (a.slope / scale) * (b.slope / scale)
    cdef double gamma = scale * sqrt(discriminant)
    if may_have_none and not discriminant > 0:
        return INFINITY
    if a.step > b.step:
        gamma = -gamma
    return ((gamma - a.slope) + theta) / (((gamma - a.slope) + gamma) + b.slope)


cdef double secant_step(trial_t a, trial_t b) noexcept nogil:
    """Where the line through the slopes at two steps is zero."""
    return a.step + a.slope / (a.slope - b.slope) * (b.step - a.step)


cdef class LineSearch:
    """The state of a search.

    Attributes
    ----------
    step : float
        The step to evaluate next, or the accepted one.
    """

    def start_at(self, double value, double slope, double step):
        """Begin a search.

        Parameters
        ----------
        value, slope : float
            phi(0) and phi'(0), which must be below 0.
        step : float
            The first step to try, above 0.
        """
        if not (slope < 0 < step <= LARGEST_STEP):
            raise ValueError(f"slope must be below 0 and step in (0, {LARGEST_STEP}], got {slope} and {step}")
        self.begin(value, slope, step)

    def observe(self, double value, double slope):
        """Note phi and phi' at `step`.

        Returns
        -------
        bool
            Whether the search is over: `step` is accepted, or the best that rounding errors permit. Otherwise `step` is
            the next one to evaluate.
        """
        return self.take(value, slope)

    cdef void begin(self, double value, double slope, double step) noexcept nogil:
        """`start_at`."""
        self.is_bracketed = self.is_decreased = False
        self.start.step, self.start.value, self.start.slope = 0, value, slope
        self.best = self.other = self.start
        self.smallest, self.largest = 0, step + MOST_EXTRAPOLATION * step
        self.width, self.width_before = LARGEST_STEP, 2 * LARGEST_STEP
        self.step = step

    cdef bint take(self, double value, double slope) noexcept nogil:
        """`observe`."""
        cdef trial_t trial
        cdef double required = DECREASE * self.start.slope
        trial.step, trial.value, trial.slope = self.step, value, slope
        if value <= self.start.value + self.step * required and slope >= 0:
            self.is_decreased = True
        if self.accepts(trial):
            return True
        if not self.is_decreased and self.best.value >= value > self.start.value + self.step * required:
            # (2.1) of the paper: until a step has decreased enough, the function minus the required decrease
            trial.value, trial.slope = value - trial.step * required, slope - required
            self.best.value, self.best.slope = self.best.value - self.best.step * required, self.best.slope - required
            self.other.value, self.other.slope = (
                self.other.value - self.other.step * required, self.other.slope - required
            )
            self.next_step(trial)
            self.best.value, self.best.slope = self.best.value + self.best.step * required, self.best.slope + required
            self.other.value, self.other.slope = (
                self.other.value + self.other.step * required, self.other.slope + required
            )
        else:
            self.next_step(trial)
        self.bound_steps()
        return False

    cdef bint accepts(self, trial_t trial) noexcept nogil:
        """Whether the search ends with a trial: by the two conditions, or because no better one can be found."""
        cdef double required = DECREASE * self.start.slope
        cdef bint decreases = trial.value <= self.start.value + trial.step * required
        if decreases and fabs(trial.slope) <= -CURVATURE * self.start.slope:
            return True
        if self.is_bracketed and (trial.step <= self.smallest or trial.step >= self.largest
                                  or self.largest - self.smallest <= NARROW * self.largest):
            return True
        if trial.step == LARGEST_STEP and decreases and trial.slope <= required:
            return True
        return trial.step == 0 and (trial.value > self.start.value or trial.slope >= required)

    cdef void next_step(self, trial_t trial) noexcept nogil:
        """The next step, from the interval and a trial, and the interval with the trial: section 4 of the paper."""
        cdef double cubic, parabola, step
        cdef double best_step = self.best.step
        cdef bint changes_sign = trial.slope * (self.best.slope / fabs(self.best.slope)) < 0
        if trial.value > self.best.value:  # case 1: between the two there is a minimizer
            cubic = best_step + cubic_fraction(self.best, trial, False) * (trial.step - best_step)
            parabola = best_step + self.best.slope / (
                (self.best.value - trial.value) / (trial.step - best_step) + self.best.slope
            ) / 2 * (trial.step - best_step)
            step = cubic if fabs(cubic - best_step) < fabs(parabola - best_step) else cubic + (parabola - cubic) / 2
            self.is_bracketed = True
        elif changes_sign:  # case 2: lower, and between the two there is a minimizer
            cubic = trial.step + cubic_fraction(trial, self.best, False) * (best_step - trial.step)
            parabola = secant_step(trial, self.best)
            step = cubic if fabs(cubic - trial.step) > fabs(parabola - trial.step) else parabola
            self.is_bracketed = True
        elif fabs(trial.slope) < fabs(self.best.slope):  # case 3: lower and flatter
            step = self.beyond(trial)
        elif self.is_bracketed:  # case 4: lower and steeper
            step = trial.step + cubic_fraction(trial, self.other, False) * (self.other.step - trial.step)
        else:
            step = self.largest if trial.step > best_step else self.smallest
        if trial.value > self.best.value:
            self.other = trial
        else:
            if changes_sign:
                self.other = self.best
            self.best = trial
        self.step = step

    cdef double beyond(self, trial_t trial) noexcept nogil:
        """Case 3: a step on the other side of the trial than the best one."""
        cdef bint is_upward = trial.step > self.best.step
        cdef double fraction = cubic_fraction(trial, self.best, True)
        cdef double parabola = secant_step(trial, self.best), step, most
        # a minimizer of the cubic beyond the trial is at a negative fraction of the way back
        cdef double cubic = self.largest if is_upward else self.smallest
        if fraction < 0:
            cubic = trial.step + fraction * (self.best.step - trial.step)
        if self.is_bracketed:
            step = cubic if fabs(cubic - trial.step) < fabs(parabola - trial.step) else parabola
            most = trial.step + SHRINKAGE * (self.other.step - trial.step)
            return fmin(most, step) if is_upward else fmax(most, step)
        step = cubic if fabs(cubic - trial.step) > fabs(parabola - trial.step) else parabola
        return fmax(self.smallest, fmin(self.largest, step))

    cdef void bound_steps(self) noexcept nogil:
        """Bisect an interval that does not shrink; then the bounds of the next step, and the step within them."""
        cdef double width = fabs(self.other.step - self.best.step)
        if self.is_bracketed:
            if width >= SHRINKAGE * self.width_before:
                self.step = self.best.step + 0.5 * (self.other.step - self.best.step)
            self.width_before, self.width = self.width, width
            self.smallest = fmin(self.best.step, self.other.step)
            self.largest = fmax(self.best.step, self.other.step)
        else:
            self.smallest = self.step + LEAST_EXTRAPOLATION * (self.step - self.best.step)
            self.largest = self.step + MOST_EXTRAPOLATION * (self.step - self.best.step)
        # of a step that is NaN, fmax makes 0
        self.step = fmin(fmax(self.step, 0), LARGEST_STEP)
        if self.is_bracketed and (self.step <= self.smallest or self.step >= self.largest
                                  or self.largest - self.smallest <= NARROW * self.largest):
            self.step = self.best.step
