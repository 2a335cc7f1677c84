"""The iterations of L-BFGS."""

from libc.stdint cimport int64_t

from fastbp.kernels.dispatch cimport kernels_t
from fastbp.kernels.line_search cimport LineSearch
from fastbp.kernels.team cimport Task, Team


cdef enum:
    MAX_PAIRS = 10


cdef class LBFGS(Task):
    cdef Team team
    cdef LineSearch search
    cdef const kernels_t *kernels
    cdef int64_t n
    cdef int64_t n_parts
    cdef int64_t stride
    cdef list arrays
    # the iterate, the point to evaluate, and the gradients there
    cdef double *x_before
    cdef double *x
    cdef double *g_before
    cdef double *g
    cdef double *d
    # the memory, a ring of pairs: s and y of all places, how many are in use, and the place of the newest
    cdef double *s
    cdef double *y
    cdef int64_t n_pairs
    cdef int64_t newest
    cdef bint makes_pair
    # what a pass sums up, for each part and in all
    cdef double *sums
    cdef double total[4 * MAX_PAIRS]
    # s_i y_j where pair j is not older than pair i, y_i y_j, s_i g, y_i g
    cdef double sy[MAX_PAIRS][MAX_PAIRS]
    cdef double yy[MAX_PAIRS][MAX_PAIRS]
    cdef double sg[MAX_PAIRS]
    cdef double yg[MAX_PAIRS]
    cdef double gamma
    # the direction: coefficients of s_0, y_0, s_1, y_1, ..., and of g
    cdef double coefs[2 * MAX_PAIRS]
    cdef double coef_g
    cdef bint is_searching
    cdef int64_t n_trials
    cdef double slope
    cdef double slope_before
    cdef readonly double loss
    cdef readonly double loss_before
    cdef readonly double largest_gradient
    cdef readonly int64_t n_iterations

    cdef int take(self) noexcept nogil
    cdef int begin_search(self) noexcept nogil
    cdef int try_step(self) noexcept nogil
    cdef int restart(self) noexcept nogil
    cdef void forget(self) noexcept nogil
    cdef int check_begun(self) except -1
    cdef void update_memory(self) noexcept nogil
    cdef void recursion(self) noexcept nogil
    cdef int64_t place(self, int64_t age) noexcept nogil
    cdef void move(self) noexcept nogil
    cdef void run(self, int64_t phase, int64_t n_sums, int64_t n_largest) noexcept nogil
    cdef void pass_over(self, int64_t phase, int64_t part) noexcept nogil
