/* The kernels for one instruction set and one real type.
 *
 * setup.py compiles this file once for each pair, with the flags of the instruction set and
 *     FASTBP_DOUBLE   0 float, 1 double
 *     FASTBP_TABLE    the name of the table below, e.g. fastbp_kernels_avx2_double
 *     FASTBP_FLAGS    all the flags, as a string, for show_config
 * Everything but the table is static: no function compiled for one instruction set can be linked into another's.
 */
#include "isa.h"

#include "step.h"

static void matmul_door(int64_t n, int64_t m, int64_t k, const void *a, int64_t a_row, int64_t a_col, const void *b,
                        int64_t b_row, const void *init, int64_t init_row, void *c, int64_t c_row) {
    matmul(n, m, k, a, a_row, a_col, b, b_row, init, init_row, c, c_row);
}
static void transpose_door(const void *a, int64_t rows, int64_t cols, void *out) {
    transpose(a, cols, rows, cols, out, rows);
}
static void column_sums_door(const void *a, int64_t rows, int64_t cols, void *out) {
    column_sums(a, cols, rows, cols, out);
}
static void activation_forward_door(int activation, const void *z, void *a, int64_t rows, int64_t m) {
    activation_forward(activation, z, a, rows, m);
}
static void activation_backward_door(int activation, const void *z, const void *a, void *delta, int64_t rows,
                                     int64_t m) {
    activation_backward(activation, z, a, delta, rows, m);
}
static void activation_backward_tangent_door(int activation, const void *z, const void *a, const void *dz,
                                             const void *da, const void *dA, void *tangent, int64_t rows, int64_t m) {
    activation_backward_tangent(activation, z, a, dz, da, dA, tangent, rows, m);
}
static void loss_rows_door(int loss, const void *y, const void *a, double *row_loss, int64_t rows, int64_t m) {
    loss_rows(loss, y, a, row_loss, rows, m);
}
static void loss_gradient_door(int loss, const void *y, const void *a, void *dA, int64_t rows, int64_t m) {
    loss_gradient(loss, y, a, dA, rows, m);
}
static void loss_curvature_door(int loss, const void *y, const void *a, void *d2A, int64_t rows, int64_t m) {
    loss_curvature(loss, y, a, d2A, rows, m);
}
static void apply_update_door(const update_t *u, const void *g, void *w, void *s0, void *s1, int64_t n) {
    apply_update(u, g, w, s0, s1, n);
}

static int all_finite_door(const void *x, int64_t n) { return all_finite(x, n); }

/* numbers only: __VERSION__ and its like hold what distributors add */
#define TEXT_OF(x) #x
#define TEXT(x) TEXT_OF(x)
#if defined(__apple_build_version__)
#define COMPILER "Apple clang " TEXT(__clang_major__) "." TEXT(__clang_minor__) "." TEXT(__clang_patchlevel__)
#elif defined(__clang__)
#define COMPILER "clang " TEXT(__clang_major__) "." TEXT(__clang_minor__) "." TEXT(__clang_patchlevel__)
#else
#define COMPILER "gcc " TEXT(__GNUC__) "." TEXT(__GNUC_MINOR__) "." TEXT(__GNUC_PATCHLEVEL__)
#endif

extern const kernels_t FASTBP_TABLE;
const kernels_t FASTBP_TABLE = {
    .vector_bytes = VBYTES,
    .block_rows = ROWS_MAX,
    .block_vectors = VECS_MAX,
    .compiler = COMPILER,
    .flags = FASTBP_FLAGS,
    .forward_rows = forward_rows,
    .backward_rows = backward_rows,
    .forward_backward_rows = forward_backward_rows,
    .slot_gradient = slot_gradient,
    .sparse_columns = sparse_columns,
    .transpose_layer = transpose_layer,
    .update_tile = update_tile,
    .descend_tile = descend_tile,
    .deltas_finite = deltas_finite,
    .all_finite = all_finite_door,
    .matmul = matmul_door,
    .transpose = transpose_door,
    .column_sums = column_sums_door,
    .activation_forward = activation_forward_door,
    .activation_backward = activation_backward_door,
    .activation_backward_tangent = activation_backward_tangent_door,
    .loss_rows = loss_rows_door,
    .loss_gradient = loss_gradient_door,
    .loss_curvature = loss_curvature_door,
    .apply_update = apply_update_door,
};
