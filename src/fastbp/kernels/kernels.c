/* The kernels for one instruction set and one real type.
 *
 * setup.py compiles this file once for each pair, with the flags of the instruction set and
 *     FASTBP_DOUBLE   0 float, 1 double
 *     FASTBP_BFLOAT16 1: the products of matrices of float in bfloat16; else 0, or not defined
 *     FASTBP_TABLE    the name of the table below, e.g. fastbp_kernels_avx2_double
 *     FASTBP_FLAGS    all the flags, as a string, for show_config
 * Everything except the table is static, so that no function compiled for one instruction set is linked into the code
 * of another one.
 */
#include "derivatives.h"
#include "lbfgs.h"

/* Functions with the signatures of the table, for kernels whose own signatures differ */
static void transpose_entry(const void *a, int64_t rows, int64_t cols, void *out) {
    transpose(a, cols, rows, cols, out, rows);
}
static void convert_entry(const data_t *data, int64_t row, int64_t n_features, void *out) {
    convert_part(data, row, 0, n_features, out);
}
static void column_sums_entry(const void *a, int64_t rows, int64_t cols, void *out) {
    column_sums(a, cols, rows, cols, out, 0);
}
static void loss_entry(const loss_t *loss, const void *y, const void *z, double *row_loss, void *delta, int64_t rows,
                       int64_t m) {
    loss_functions[loss->kind][loss->is_raw](loss, y, z, row_loss, delta, rows, m);
}
static void loss_tangent_entry(const loss_t *loss, const void *y, const void *z, const void *dz, void *tangent,
                               void *scratch, int64_t rows, int64_t m) {
    loss_tangents[loss->kind][loss->is_raw](loss, y, z, dz, tangent, scratch, rows, m);
}
static void transform_entry(const optimizer_t *o, int64_t phase, void *g, void *const *state, int64_t rows,
                            int64_t cols, void *scratch) {
    pool_t pool;
    share_t all;
    pool_init(&pool);
    share_init(&all, &pool, INT64_MAX);
    transform(o, phase, g, state, 0, rows, cols, scratch, &all);
}
static void apply_update_entry(const optimizer_t *o, const void *g, void *w, void *const *state, int64_t n) {
    update_t update = {.g = g, .scale = 1, .w = w, .to = w, .state = state, .rows = 1, .n = n};
    apply_update(o, 1, 0, &update);
}

/* numbers only: __VERSION__ also has text that distributors add */
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
    .kinds = kinds,
    .draw_mixup = draw_mixup,
    .forward_rows = forward_rows,
    .backward_rows = backward_rows,
    .forward_backward_rows = forward_backward_rows,
    .forward_segment = forward_segment,
    .backward_segment = backward_segment,
    .keep_statistics = keep_statistics,
    .slot_gradient = slot_gradient,
    .prepare_gradients = prepare_gradients,
    .update_tile = update_tile,
    .store_tile = store_tile,
    .finish_tile = finish_tile,
    .limit_gradient = limit_gradient,
    .transform_gradient = transform_gradient,
    .update_from_gradient = update_from_gradient,
    .limit_columns = limit_columns,
    .refresh_mirrors = refresh_mirrors,
    .look_ahead = look_ahead,
    .output_gradient_is_finite = output_gradient_is_finite,
    .output_loss = output_loss,
    .output_loss_tangent = output_loss_tangent,
    .push = push,
    .pull = pull,
    .pull_tangent = pull_tangent,
    .convert = convert_entry,
    .matmul = matmul,
    .transpose = transpose_entry,
    .column_sums = column_sums_entry,
    .activation_forward = activation_forward,
    .activation_backward = activation_backward,
    .activation_backward_tangent = activation_backward_tangent,
    .loss = loss_entry,
    .loss_tangent = loss_tangent_entry,
    .prepare_optimizer = prepare_optimizer,
    .transform_phases = transform_phases,
    .transform_scratch = transform_scratch,
    .transform = transform_entry,
    .apply_update = apply_update_entry,
    .norm = norm,
    .all_finite = all_finite,
#if FASTBP_DOUBLE
    .make_pair = make_pair,
    .pair_products = pair_products,
    .combine_pairs = combine_pairs,
    .slope_and_largest = slope_and_largest,
#endif
};
