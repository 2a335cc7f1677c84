"""The dense layer as pointer kernels: no checks, no GIL. Everything is C-contiguous.

`table` is TABLE_float or TABLE_double, as what the void pointers point to, or TABLE_bfloat16: float, with products in
bfloat16, where that table is there (`kernels_for`).
"""

from libc.stdint cimport int64_t


# z = x W + b, a = f(z). X (n, fan_in), W (fan_in, fan_out), b (fan_out,), Z and A (n, fan_out); Z may be A.
cdef void forward(int table, const void *X, const void *W, const void *b, void *Z, void *A, int64_t n,
                  int64_t fan_in, int64_t fan_out, int activation) noexcept nogil

# delta holds dA on entry and dz = dA * f'(z) on return. dX (n, fan_in), dW as W, db as b. W_transposed is
# scratch for (fan_out, fan_in).
cdef void backward(int table, void *delta, const void *X, const void *W, const void *Z, const void *A,
                   void *W_transposed, void *dX, void *dW, void *db, int64_t n, int64_t fan_in, int64_t fan_out,
                   int activation) noexcept nogil
