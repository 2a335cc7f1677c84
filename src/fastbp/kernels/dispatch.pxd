"""C declarations of program.h, for the Cython code of this package and of users."""

from libc.stdint cimport int8_t, int32_t, int64_t, uint64_t


cdef extern from "quantized.h" nogil:
    ctypedef struct quantized_layer_t:
        const quantized_kernels_t *kernels
        int64_t rows, cols
        const void *weights
        const float *scale
        const float *sums
        const float *bias

    ctypedef struct quantized_kernels_t:
        const char *instruction
        int64_t element_bytes
        void (*pack)(const int8_t *q, int64_t rows, int64_t cols, void *packed) noexcept nogil
        void (*multiply)(const quantized_layer_t *layer, const float *x, int64_t n, void *scratch,
                         float *z) noexcept nogil


cdef extern from "program.h" nogil:
    enum: LOSS_GIVEN
    enum: MAX_STATES
    enum: MAX_BINS, MAX_WAVES
    enum: MAX_CONSTANTS, MAX_LOSS_CONSTANTS
    enum: MAX_MEMORY
    enum: TABLE_float, TABLE_double, TABLE_bfloat16
    enum: PART_ROWS, BATCH_STATISTICS, PART_STATISTICS

    ctypedef struct node_t:
        int64_t width, value, grad, tangent

    ctypedef struct block_t:
        int64_t operation, offset, rows, cols, mirror, group

    ctypedef struct operation_t:
        int64_t kind, input, input2, output, adds, first_block, n_blocks, first_integer, argument, saved
        double constant[4]

    ctypedef struct group_t:
        double learning_rate, penalty, l1, decay

    ctypedef struct program_t:
        const node_t *nodes
        const block_t *blocks
        const operation_t *operations
        const int64_t *integers
        int64_t n_nodes, n_blocks, n_operations
        int64_t n_params
        int64_t output, raw_output

    ctypedef struct data_t:
        const void *X
        const int64_t *indptr
        const void *indices
        int64_t index_bytes
        const void *Y
        const int32_t *labels
        const int64_t *label_start
        const double *sample_weight
        int64_t element, row_bytes, column_bytes, is_swapped

    ctypedef struct loss_t:
        int64_t kind, is_raw, target_width
        double constant[100]

    ctypedef struct optimizer_t:
        int64_t kind
        double learning_rate, correction
        double *memory
        double next_memory[2]
        double constant[8]

    ctypedef struct columns_t:
        int64_t *start
        int32_t *row
        void *value

    ctypedef struct mixup_t:
        double share
        int64_t distance, n

    ctypedef struct plan_t:
        program_t program
        data_t data
        loss_t loss
        void *params
        const quantized_layer_t *quantized
        const int64_t *rows
        int64_t start, n
        double weight_sum
        uint64_t seed
        int64_t step, batch_start
        double dropout_factor
        mixup_t mixup
        int64_t capacity
        void *values
        void *grads
        void *tangents
        void *grad_tangents
        void *mirrors
        void *targets
        double *row_loss
        int64_t row_block
        columns_t columns
        void *statistics
        int64_t statistics_width
        const void *input_tangent
        void *input_grad
        void *out
        const void *direction
        const void *direction_mirrors
        const group_t *groups
        const optimizer_t *optimizers
        const int64_t *optimizer_of
        void *const *state
        void *average
        double average_rate
        void *gradient
        int64_t adds_gradient
        int64_t is_shared
        int64_t n_slots, slot_rows
        void *slots

    ctypedef struct norms_t:
        double squares, magnitudes

    ctypedef struct tile_t:
        int64_t block, row_begin, row_end, col_begin, col_end

    ctypedef struct share_t:
        int64_t chunk

    ctypedef struct matrix_t:
        const void *p
        int64_t row, col

    matrix_t by_rows(const void *p, int64_t width)
    matrix_t transposed(const void *p, int64_t width)
    matrix_t repeated(const void *row)
    matrix_t zero_matrix()

    ctypedef struct kind_t:
        void (*backward)(const plan_t *, const operation_t *, int64_t lo, int64_t hi) noexcept nogil
        void (*prepare)(const plan_t *, const operation_t *) noexcept nogil
        void (*gradient)(const plan_t *, const operation_t *, const tile_t *, int64_t lo, int64_t hi, void *g,
                         void *scratch, int add) noexcept nogil
        void (*tangent)(const plan_t *, const operation_t *, int64_t lo, int64_t hi) noexcept nogil
        void (*backward_tangent)(const plan_t *, const operation_t *, int64_t lo, int64_t hi) noexcept nogil
        void (*gradient_tangent)(const plan_t *, const operation_t *, const tile_t *, int64_t lo, int64_t hi,
                                 void *g) noexcept nogil
        void (*reduce)(const plan_t *, const operation_t *, int64_t left, int64_t right) noexcept nogil
        void (*reduce_backward)(const plan_t *, const operation_t *, int64_t left, int64_t right) noexcept nogil

    ctypedef struct kernels_t:
        int64_t vector_bytes
        int64_t block_rows
        int64_t block_vectors
        const char *compiler
        const char *flags
        const kind_t *const *kinds
        void (*draw_mixup)(plan_t *, double alpha, int64_t n) noexcept nogil
        void (*forward_rows)(const plan_t *, int64_t lo, int64_t hi) noexcept nogil
        void (*backward_rows)(const plan_t *, int64_t lo, int64_t hi) noexcept nogil
        void (*forward_backward_rows)(const plan_t *, int64_t lo, int64_t hi) noexcept nogil
        void (*forward_segment)(const plan_t *, int64_t before, int64_t after, int64_t lo, int64_t hi) noexcept nogil
        void (*backward_segment)(const plan_t *, int64_t before, int64_t after, int64_t lo, int64_t hi) noexcept nogil
        int (*keep_statistics)(const plan_t *, double momentum) noexcept nogil
        void (*slot_gradient)(const plan_t *, int64_t slot, void *scratch) noexcept nogil
        void (*prepare_gradients)(const plan_t *) noexcept nogil
        norms_t (*update_tile)(const plan_t *, const tile_t *, void *scratch) noexcept nogil
        void (*store_tile)(const plan_t *, const tile_t *, void *scratch) noexcept nogil
        norms_t (*finish_tile)(const plan_t *, const tile_t *, double *gradient_squares) noexcept nogil
        void (*limit_gradient)(const plan_t *, const tile_t *, double factor) noexcept nogil
        void (*transform_gradient)(const plan_t *, int64_t block, int64_t phase, void *scratch,
                                   share_t *share) noexcept nogil
        void (*update_from_gradient)(const plan_t *, const tile_t *) noexcept nogil
        void (*limit_columns)(const plan_t *, const tile_t *, double max_norm, void *scratch) noexcept nogil
        void (*refresh_mirrors)(const plan_t *) noexcept nogil
        void (*look_ahead)(const plan_t *, double sign) noexcept nogil
        int (*output_gradient_is_finite)(const plan_t *) noexcept nogil
        void (*output_loss)(const plan_t *) noexcept nogil
        void (*output_loss_tangent)(const plan_t *) noexcept nogil
        void (*push)(const plan_t *) noexcept nogil
        void (*pull)(const plan_t *, int64_t begin, int64_t end, void *gradient) noexcept nogil
        void (*pull_tangent)(const plan_t *, void *gradient) noexcept nogil
        void (*convert)(const data_t *, int64_t row, int64_t n_features, void *out) noexcept nogil
        void (*matmul)(int64_t n, int64_t m, int64_t k, matrix_t a, matrix_t b, matrix_t init,
                       void *c, int64_t c_row) noexcept nogil
        void (*transpose)(const void *a, int64_t rows, int64_t cols, void *out) noexcept nogil
        void (*column_sums)(const void *a, int64_t rows, int64_t cols, void *out) noexcept nogil
        void (*activation_forward)(int activation, const void *z, void *a, int64_t rows, int64_t m) noexcept nogil
        void (*activation_backward)(int activation, const void *z, const void *a, void *delta,
                                    int64_t rows, int64_t m) noexcept nogil
        void (*activation_backward_tangent)(int activation, const void *z, const void *a, const void *dz,
                                            const void *da, const void *dA, void *tangent,
                                            int64_t rows, int64_t m) noexcept nogil
        void (*loss)(const loss_t *, const void *y, const void *z, double *row_loss, void *delta, int64_t rows,
                     int64_t m) noexcept nogil
        void (*loss_tangent)(const loss_t *, const void *y, const void *z, const void *dz, void *tangent, void *scratch,
                             int64_t rows, int64_t m) noexcept nogil
        void (*prepare_optimizer)(optimizer_t *, int64_t step) noexcept nogil
        int64_t (*transform_phases)(const optimizer_t *) noexcept nogil
        int64_t (*transform_scratch)(const optimizer_t *, int64_t rows, int64_t cols) noexcept nogil
        void (*transform)(const optimizer_t *, int64_t phase, void *g, void *const *state, int64_t rows, int64_t cols,
                          void *scratch) noexcept nogil
        void (*apply_update)(const optimizer_t *, const void *g, void *w, void *const *state,
                             int64_t n) noexcept nogil
        double (*norm)(const void *x, int64_t n) noexcept nogil
        int (*all_finite)(const void *x, int64_t n) noexcept nogil
        void (*make_pair)(double step, const double *d, const double *g, const double *g_before, int64_t n,
                          double *s, double *y) noexcept nogil
        void (*pair_products)(const double *s, const double *y, int64_t stride, int64_t n_pairs, const double *g,
                              const double *v, int64_t n, double *sums) noexcept nogil
        void (*combine_pairs)(const double *s, const double *y, int64_t stride, int64_t n_pairs, const double *coefs,
                              double coef_g, const double *g, const double *x_before, int64_t n, double *d,
                              double *x, double *sums) noexcept nogil
        void (*slope_and_largest)(const double *d, const double *g, int64_t n, double *sums) noexcept nogil


# The kernels of a table, for the instruction set in use; float is 0, double 1. NULL for products in bfloat16 where they
# are not possible.
cdef const kernels_t *kernels_for(int table) noexcept nogil
