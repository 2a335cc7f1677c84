# cython: language_level=3
"""Compiled loops that repeat the three products of backpropagation, by fastbp's kernels and by SciPy's BLAS.

    forward    Z  (n, m) = X (n, k) W (k, m)
    backward   dX (n, k) = delta (n, m) W^T
               dW (k, m) = X^T delta

`gemm.py` compiles this when it is run. All matrices are C-contiguous.
"""

import time

from fastbp.kernels.dispatch cimport by_rows, kernels_for, kernels_t, transposed, zero_matrix
from scipy.linalg.cython_blas cimport dgemm, sgemm

ctypedef fused real:
    float
    double


def fastbp_seconds(str product, real[:, ::1] X, real[:, ::1] W, real[:, ::1] W_transposed, real[:, ::1] delta,
                   real[:, ::1] out, int repeats):
    """Seconds of `repeats` products; `product` is Z, dX or dW. The result is in `out`.

    dX reads `W_transposed`, which the update of the weights writes in training.
    """
    cdef const kernels_t *kernels = kernels_for(real is double)
    cdef Py_ssize_t n = X.shape[0], k = X.shape[1], m = W.shape[1]
    cdef int _i
    start = time.perf_counter()
    if product == "Z":
        with nogil:
            for _i in range(repeats):
                kernels.matmul(n, m, k, by_rows(&X[0, 0], k), by_rows(&W[0, 0], m), zero_matrix(), &out[0, 0], m)
    elif product == "dX":
        with nogil:
            for _i in range(repeats):
                kernels.matmul(n, k, m, by_rows(&delta[0, 0], m), by_rows(&W_transposed[0, 0], k), zero_matrix(),
                               &out[0, 0], k)
    else:
        with nogil:
            for _i in range(repeats):
                kernels.matmul(k, m, n, transposed(&X[0, 0], k), by_rows(&delta[0, 0], m), zero_matrix(), &out[0, 0], m)
    return time.perf_counter() - start


cdef void gemm(char *trans_a, char *trans_b, int m, int n, int k, real *a, int lda, real *b, int ldb,
               real *c) noexcept nogil:
    cdef real one = 1, zero = 0
    if real is double:
        dgemm(trans_a, trans_b, &m, &n, &k, &one, a, &lda, b, &ldb, &zero, c, &m)
    else:
        sgemm(trans_a, trans_b, &m, &n, &k, &one, a, &lda, b, &ldb, &zero, c, &m)


def blas_seconds(str product, real[:, ::1] X, real[:, ::1] W, real[:, ::1] W_transposed, real[:, ::1] delta,
                 real[:, ::1] out, int repeats):
    """The same for BLAS, which reads W transposed and does not need `W_transposed`.

    For BLAS, which stores matrices column by column, all matrices here are transposed. So it computes the transposed
    product, with the factors in reverse order.
    """
    cdef int n = X.shape[0], k = X.shape[1], m = W.shape[1], _i
    start = time.perf_counter()
    if product == "Z":
        with nogil:
            for _i in range(repeats):
                gemm(b"N", b"N", m, n, k, &W[0, 0], m, &X[0, 0], k, &out[0, 0])
    elif product == "dX":
        with nogil:
            for _i in range(repeats):
                gemm(b"T", b"N", k, n, m, &W[0, 0], m, &delta[0, 0], m, &out[0, 0])
    else:
        with nogil:
            for _i in range(repeats):
                gemm(b"N", b"T", m, k, n, &delta[0, 0], m, &X[0, 0], k, &out[0, 0])
    return time.perf_counter() - start
