# cython: cdivision=True
"""The iterations of L-BFGS: directions from the last pairs of steps and changes of the gradient, and line searches.

The direction is d = -H g, where H is the inverse of the Hessian that BFGS updates by the pairs (s_j, y_j) make of
gamma I, with gamma = s y / y y of the newest pair. The two-loop recursion computes it::

    q = g
    for j from the newest pair to the oldest:      alpha_j = s_j q / s_j y_j;      q = q - alpha_j y_j
    r = gamma q
    for j from the oldest pair to the newest:      r = r + (alpha_j - y_j r / s_j y_j) s_j
    d = -r

q and r are combinations of g, the s_j and the y_j, so that the recursion can run over their coefficients, given the
products of these vectors. Only the products with the newest pair and with g are new in an iteration. Two passes over
the memory are enough: one for the products, one for the combination. The products are float64 sums of parts of PART
numbers, in their order, for any number of threads.

Decisions are those of L-BFGS-B 3.0 without bounds: when a pair is not stored, when the memory is forgotten, which first
step a line search tries, and when it gives up.

Nocedal (1980), Updating quasi-Newton matrices with limited storage, Mathematics of Computation 35. Liu and Nocedal
(1989), On the limited memory BFGS method for large scale optimization, Mathematical Programming 45, algorithm 2.1.
Byrd, Nocedal and Schnabel (1994), Representations of quasi-Newton matrices and their use in limited memory methods,
Mathematical Programming 63, section 3. Byrd, Lu, Nocedal and Zhu (1995), A limited memory algorithm for bound
constrained optimization, SIAM Journal on Scientific Computing 16.
"""

import numpy as np

from libc.math cimport fmin, isnan, sqrt
from libc.stdint cimport int64_t
from libc.string cimport memcpy

from fastbp.kernels.data cimport address
from fastbp.kernels.dispatch cimport kernels_for
from fastbp.kernels.line_search cimport LineSearch
from fastbp.kernels.processor cimport flush_denormals, restore_denormals
from fastbp.kernels.team cimport Task, Team

# what to do next
cpdef enum:
    EVALUATE  # the loss and the gradient at `x`
    ITERATED  # `x` is the next iterate
    FAILED  # nothing: no step along the steepest descent is accepted

# numbers of a part of the vectors: 8 KiB
cdef int64_t PART = 1024
# Fewer parts are one thread's: its two passes take less than a tenth of a millisecond.
cdef int64_t FEWEST_SHARED_PARTS = 16
# evaluations of a line search
cdef int64_t MAX_TRIALS = 20
cdef double LARGEST_FIRST_STEP = 1e10
cdef double EPSILON = 2.0 ** -52

# the passes over the vectors
cdef enum:
    PRODUCTS
    COMBINE
    SLOPE


cdef class LBFGS(Task):
    """A minimization in reverse communication: the caller evaluates the function where it is told.

    Parameters
    ----------
    x : ndarray of float64 of shape (n,)
        The starting point; copied.
    team : Team
        Shares the passes over long vectors.

    Attributes
    ----------
    loss, loss_before : float
        The last one that `note` was given, and that of the iterate where the line search began.
    largest_gradient : float
        The largest magnitude in the last gradient, NaN if a number of it is NaN.
    n_iterations : int
    """

    def __init__(self, x, Team team not None):
        self.n = len(x)
        if self.n == 0:
            raise ValueError("x must have at least one number, got none")
        self.team, self.search, self.kernels = team, LineSearch(), kernels_for(True)
        self.n_parts = (self.n + PART - 1) // PART
        self.stride = (self.n + 7) // 8 * 8  # whole cache lines
        vectors, pairs = np.zeros((5, self.stride)), np.empty((2, MAX_PAIRS, self.stride))
        sums = np.empty((self.n_parts, 4 * MAX_PAIRS))
        vectors[0, :self.n] = x
        self.arrays = [vectors, pairs, sums]
        self.x, self.x_before, self.g, self.g_before, self.d = (
            <double *> address(vectors[0], True), <double *> address(vectors[1], True),
            <double *> address(vectors[2], True), <double *> address(vectors[3], True),
            <double *> address(vectors[4], True),
        )
        self.s, self.y = <double *> address(pairs[0], True), <double *> address(pairs[1], True)
        self.sums = <double *> address(sums, True)
        self.forget()

    @property
    def x(self):
        """ndarray of float64 of shape (n,): the point to evaluate, or the iterate; a copy."""
        return copied(self.x, self.n)

    @property
    def gradient(self):
        """ndarray of float64 of shape (n,): that at `x`; a copy."""
        return copied(self.g, self.n)

    @property
    def direction(self):
        """ndarray of float64 of shape (n,): from the iterate to the point at step 1; a copy."""
        return copied(self.d, self.n)

    cdef int check_begun(self) except -1:
        """Refuse an object that was made without `__init__`, which has no memory for vectors."""
        if self.team is None:
            raise ValueError("the minimization has no starting point: make it by LBFGS(x, team)")
        return 0

    def note(self, double loss, const double[::1] gradient):
        """Note the loss and the gradient at `x`.

        Parameters
        ----------
        loss : float
        gradient : ndarray of float64 of shape (n,)

        Returns
        -------
        int
            EVALUATE; ITERATED, also for the starting point; or FAILED, and `x` is the iterate before.
        """
        cdef unsigned long long mode
        cdef int task
        self.check_begun()
        if gradient.shape[0] != self.n:
            raise ValueError(f"gradient must have shape ({self.n},), got ({gradient.shape[0]},)")
        with nogil:
            mode = flush_denormals()
            memcpy(self.g, &gradient[0], self.n * sizeof(double))
            self.loss = loss
            task = self.take()
            restore_denormals(mode)
        return task

    def iterate(self):
        """Begin an iteration from `x`, whose loss and gradient were noted last.

        Returns
        -------
        int
            EVALUATE or FAILED.
        """
        cdef unsigned long long mode
        cdef int task
        self.check_begun()
        with nogil:
            mode = flush_denormals()
            self.x, self.x_before, self.g, self.g_before = self.x_before, self.x, self.g_before, self.g
            self.loss_before = self.loss
            self.update_memory()
            task = self.begin_search()
            restore_denormals(mode)
        return task

    # The line search

    cdef int take(self) noexcept nogil:
        """`note`."""
        self.run(SLOPE, 1, 1)
        self.slope, self.largest_gradient = self.total[0], self.total[1]
        if not self.is_searching:
            return ITERATED
        if not self.search.take(self.loss, self.slope):
            return self.try_step()
        self.is_searching = False
        self.n_iterations += 1
        return ITERATED

    cdef int begin_search(self) noexcept nogil:
        """Search along the direction that the memory gives, or, without a memory, along the steepest descent."""
        cdef double step = 1
        self.recursion()
        self.run(COMBINE, 2, 0)
        self.slope_before = self.total[0]
        if self.slope_before >= 0:
            return self.restart()
        if self.n_iterations == 0:
            step = fmin(1 / sqrt(self.total[1]), LARGEST_FIRST_STEP)
        self.search.begin(self.loss_before, self.slope_before, step)
        self.is_searching, self.n_trials = True, 0
        return self.try_step()

    cdef int try_step(self) noexcept nogil:
        """Move to the step that the line search wants to know about."""
        if self.n_trials == MAX_TRIALS:
            return self.restart()
        self.n_trials += 1
        self.move()
        return EVALUATE

    cdef int restart(self) noexcept nogil:
        """After a search without success: search along the steepest descent, unless that was done."""
        cdef int64_t n_pairs = self.n_pairs
        self.forget()
        if n_pairs:
            return self.begin_search()
        self.is_searching = False
        memcpy(self.x, self.x_before, self.n * sizeof(double))
        memcpy(self.g, self.g_before, self.n * sizeof(double))
        return FAILED

    cdef void move(self) noexcept nogil:
        """x = x_before + step d"""
        cdef int64_t i
        cdef double step = self.search.step
        for i in range(self.n):
            self.x[i] = step * self.d[i] + self.x_before[i]

    # The memory

    cdef void forget(self) noexcept nogil:
        """Delete all pairs."""
        self.n_pairs, self.newest = 0, MAX_PAIRS - 1

    cdef void update_memory(self) noexcept nogil:
        """Add the pair of the last iteration, unless its curvature is too small, and compute the new products."""
        cdef int64_t j, k
        cdef double step = self.search.step
        cdef double curvature = (self.slope - self.slope_before) * step  # s y
        self.makes_pair = self.n_iterations > 0 and not curvature <= -EPSILON * self.slope_before * step
        if self.makes_pair:
            self.newest = (self.newest + 1) % MAX_PAIRS
            self.n_pairs = min(self.n_pairs + 1, MAX_PAIRS)
        if self.n_pairs == 0:
            return
        self.run(PRODUCTS, 4 * self.n_pairs, 0)
        k = self.newest
        for j in range(self.n_pairs):
            self.sg[j], self.yg[j] = self.total[4 * j], self.total[4 * j + 1]
            if self.makes_pair:
                self.sy[j][k], self.yy[j][k], self.yy[k][j] = (
                    self.total[4 * j + 2], self.total[4 * j + 3], self.total[4 * j + 3]
                )
        if self.makes_pair:
            self.sy[k][k] = curvature
            self.gamma = curvature / self.yy[k][k]

    cdef int64_t place(self, int64_t age) noexcept nogil:
        """Where in the memory a pair is; the newest has the age 0."""
        return (self.newest - age + MAX_PAIRS) % MAX_PAIRS

    cdef void recursion(self) noexcept nogil:
        """The coefficients of the direction. They are not finite if a gradient was not: then no step is accepted."""
        cdef int64_t age, other, i, j
        cdef double product
        cdef double alpha[MAX_PAIRS]
        cdef double of_s[MAX_PAIRS]
        self.coef_g = -self.gamma if self.n_pairs else -1
        for age in range(self.n_pairs):
            i = self.place(age)
            product = self.sg[i]
            for other in range(age):
                j = self.place(other)
                product -= alpha[j] * self.sy[i][j]
            alpha[i] = product / self.sy[i][i]
        for age in range(self.n_pairs - 1, -1, -1):
            i = self.place(age)
            product = self.yg[i]
            for other in range(self.n_pairs):
                j = self.place(other)
                product -= alpha[j] * self.yy[i][j]
            product *= self.gamma
            for other in range(age + 1, self.n_pairs):
                j = self.place(other)
                product += of_s[j] * self.sy[j][i]
            of_s[i] = alpha[i] - product / self.sy[i][i]
            self.coefs[2 * i], self.coefs[2 * i + 1] = -of_s[i], self.gamma * alpha[i]

    # Passes over the vectors

    cdef void run(self, int64_t phase, int64_t n_sums, int64_t n_largest) noexcept nogil:
        """A pass; then the sums over the parts, and behind them the largest numbers of the parts, or NaN."""
        cdef int64_t part, i
        cdef double *sums
        if self.n_parts < FEWEST_SHARED_PARTS:
            self.team.run_alone(self, phase, phase + 1)
        else:
            self.team.run(self, phase, phase + 1)
        for i in range(n_sums + n_largest):
            self.total[i] = 0
        for part in range(self.n_parts):
            sums = self.sums + part * 4 * MAX_PAIRS
            for i in range(n_sums):
                self.total[i] += sums[i]
            for i in range(n_sums, n_sums + n_largest):
                if not (isnan(self.total[i]) or self.total[i] > sums[i]):
                    self.total[i] = sums[i]

    cdef bint work(self, int64_t phase, int64_t thread) noexcept nogil:
        """A thread's parts of a pass."""
        cdef int64_t part, n_threads = self.team.n_threads
        for part in range(thread * self.n_parts // n_threads, (thread + 1) * self.n_parts // n_threads):
            self.pass_over(phase, part)
        return True

    cdef void pass_over(self, int64_t phase, int64_t part) noexcept nogil:
        cdef int64_t begin = part * PART, pair = self.newest * self.stride + begin
        cdef int64_t n = min(PART, self.n - begin)
        cdef double *sums = self.sums + part * 4 * MAX_PAIRS
        if phase == SLOPE:
            self.kernels.slope_and_largest(self.d + begin, self.g + begin, n, sums)
        elif phase == COMBINE:
            self.kernels.combine_pairs(self.s + begin, self.y + begin, self.stride, self.n_pairs, self.coefs,
                                       self.coef_g, self.g_before + begin, self.x_before + begin, n, self.d + begin,
                                       self.x + begin, sums)
        else:
            if self.makes_pair:  # the iterate has become x_before, and g is the gradient of the one before
                self.kernels.make_pair(self.search.step, self.d + begin, self.g_before + begin, self.g + begin, n,
                                       self.s + pair, self.y + pair)
            self.kernels.pair_products(self.s + begin, self.y + begin, self.stride, self.n_pairs, self.g_before + begin,
                                       self.y + pair, n, sums)


cdef copied(const double *numbers, int64_t n):
    """A new array with the numbers."""
    cdef double[::1] copy = np.empty(n)
    memcpy(&copy[0], numbers, n * sizeof(double))
    return copy.base
