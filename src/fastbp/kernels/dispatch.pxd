"""C declarations of the kernel tables (isa.h), for this package's and other people's Cython code."""

from libc.stdint cimport int32_t, int64_t


cdef extern from "isa.h" nogil:
    enum: LOSS_GIVEN
    enum: UPDATE_accumulate
    enum: UPDATE_adam

    ctypedef struct layer_t:
        int64_t fan_in, fan_out
        int64_t coef, intercept
        int64_t activation
        int64_t a, z, delta
        int64_t transposed

    ctypedef struct data_t:
        const void *X
        const int64_t *indptr
        const void *indices
        int64_t index_bytes
        const void *Y
        const int32_t *labels
        const int64_t *label_start
        const double *sample_weight

    ctypedef struct update_t:
        int64_t kind
        double alpha
        double learning_rate
        double momentum
        int64_t nesterov
        double beta_1, beta_2, epsilon

    ctypedef struct plan_t:
        const layer_t *layers
        int64_t n_layers
        int64_t loss, canonical
        void *params
        void *state[2]
        update_t update
        data_t data
        const int64_t *rows
        int64_t start, n
        double weight_sum
        void *workspace
        int64_t x, y
        double *row_loss
        int64_t row_block
        void *out
        int64_t n_slots, slot_rows
        int64_t slots
        int64_t n_params
        int64_t *column_start
        int32_t *column_row
        void *column_value

    ctypedef struct tile_t:
        int64_t layer, begin, end, left, right

    ctypedef struct kernels_t:
        int64_t vector_bytes
        int64_t block_rows
        int64_t block_vectors
        const char *compiler
        const char *flags
        void (*forward_rows)(const plan_t *, int64_t lo, int64_t hi) noexcept nogil
        void (*backward_rows)(const plan_t *, int64_t lo, int64_t hi) noexcept nogil
        void (*forward_backward_rows)(const plan_t *, int64_t lo, int64_t hi) noexcept nogil
        void (*slot_gradient)(const plan_t *, int64_t slot, void *scratch) noexcept nogil
        void (*sparse_columns)(const plan_t *) noexcept nogil
        void (*transpose_layer)(const plan_t *, int64_t layer) noexcept nogil
        double (*update_tile)(const plan_t *, const tile_t *, void *scratch) noexcept nogil
        double (*descend_tile)(const plan_t *, const tile_t *, void *gradient) noexcept nogil
        int (*deltas_finite)(const plan_t *) noexcept nogil
        int (*all_finite)(const void *x, int64_t n) noexcept nogil
        void (*matmul)(int64_t n, int64_t m, int64_t k, const void *a, int64_t a_row, int64_t a_col,
                       const void *b, int64_t b_row, const void *init, int64_t init_row,
                       void *c, int64_t c_row) noexcept nogil
        void (*transpose)(const void *a, int64_t rows, int64_t cols, void *out) noexcept nogil
        void (*column_sums)(const void *a, int64_t rows, int64_t cols, void *out) noexcept nogil
        void (*activation_forward)(int activation, const void *z, void *a, int64_t rows, int64_t m) noexcept nogil
        void (*activation_backward)(int activation, const void *z, const void *a, void *delta,
                                    int64_t rows, int64_t m) noexcept nogil
        void (*activation_backward_tangent)(int activation, const void *z, const void *a, const void *dz,
                                            const void *da, const void *dA, void *tangent,
                                            int64_t rows, int64_t m) noexcept nogil
        void (*loss_rows)(int loss, const void *y, const void *a, double *row_loss, int64_t rows,
                          int64_t m) noexcept nogil
        void (*loss_gradient)(int loss, const void *y, const void *a, void *dA, int64_t rows, int64_t m) noexcept nogil
        void (*loss_curvature)(int loss, const void *y, const void *a, void *d2A, int64_t rows,
                               int64_t m) noexcept nogil
        void (*apply_update)(const update_t *, const void *g, void *w, void *s0, void *s1, int64_t n) noexcept nogil


# The kernels for float (0) or double (1) at the instruction set in use.
cdef const kernels_t *kernels_for(bint is_double) noexcept nogil
