/* prelu: y = x if x > 0, else a * x, with a slope for each feature, the block a (1, width) (He, Zhang, Ren and Sun,
 * 2015, Delving deep into rectifiers, eq. 1). */
#ifndef FASTBP_KINDS_PRELU_H
#define FASTBP_KINDS_PRELU_H

#include "../nodes.h"

/* v where x > 0, else w */
INLINE vec where_positive(vec x, vec v, vec w) { return choose(greater(x, (vec){0}), v, w); }

static void prelu_forward(const plan_t *p, const operation_t *op, int64_t lo, int64_t hi) {
    const block_t *block = blocks_of(p, op);
    const ptrdiff_t m = (ptrdiff_t)block->cols;
    const real *x = value_of(p, op->input, lo), *a = params_of(p, block);
    real *y = out_of(p, op->output, lo);
    for (int64_t r = lo; r < hi; r++, x += m, y += m)
        FOR_VECTORS(m, { STORE(y, where_positive(LOAD(x), LOAD(x), LOAD(x) * LOAD(a))); });
}

/* out = v * f'(x), or out += that, for every row of v */
INLINE void prelu_slopes(const real *x, const real *a, const real *v, int add, ptrdiff_t rows, ptrdiff_t m, real *out) {
    for (ptrdiff_t r = 0; r < rows; r++, x += m, v += m, out += m)
        FOR_VECTORS(m, {
            const vec product = where_positive(LOAD(x), LOAD(v), LOAD(v) * LOAD(a));
            STORE(out, add ? LOAD(out) + product : product);
        });
}

/* forward: y = x or a x, so dx = dy or a dy */
static void prelu_backward(const plan_t *p, const operation_t *op, int64_t lo, int64_t hi) {
    const block_t *a = blocks_of(p, op);
    real *dx = grad_of(p, op->input, lo);
    if (dx)
        prelu_slopes(value_of(p, op->input, lo), params_of(p, a), grad_of(p, op->output, lo), (int)op->adds, hi - lo,
                     (ptrdiff_t)a->cols, dx);
}

/* g += the sum over the rows of v * w where x <= 0 */
INLINE void add_negative_products(const real *x, const real *v, const real *w, ptrdiff_t rows, ptrdiff_t m,
                                  ptrdiff_t cols, real *g) {
    FOR_VECTORS(cols, {
        vec total = LOAD(g);
        for (ptrdiff_t r = 0; r < rows; r++)
            total += where_positive(LOAD(x + r * m), (vec){0}, LOAD(v + r * m) * LOAD(w + r * m));
        STORE(g, total);
    });
}

/* forward: y = a x where x <= 0, so da = the sum of x * dy over these rows */
static void prelu_gradient(const plan_t *p, const operation_t *op, const tile_t *tile, int64_t lo, int64_t hi, void *g,
                           void *scratch, int add) {
    const ptrdiff_t m = (ptrdiff_t)blocks_of(p, op)->cols, cols = (ptrdiff_t)(tile->col_end - tile->col_begin);
    const real *x = value_of(p, op->input, lo) + tile->col_begin, *dy = grad_of(p, op->output, lo) + tile->col_begin;
    (void)scratch;
    if (!add)
        memset(g, 0, (size_t)cols * sizeof(real));
    add_negative_products(x, x, dy, hi - lo, m, cols, g);
}

/* out += v * a' where x <= 0, for every row of v; a' is the direction of a */
INLINE void add_negative_scaled(const real *x, const real *v, const real *da, ptrdiff_t rows, ptrdiff_t m, real *out) {
    for (ptrdiff_t r = 0; r < rows; r++, x += m, v += m, out += m)
        FOR_VECTORS(m, { STORE(out, LOAD(out) + where_positive(LOAD(x), (vec){0}, LOAD(v) * LOAD(da))); });
}

/* The tangent of y is x' or a x' + a' x */
static void prelu_tangent(const plan_t *p, const operation_t *op, int64_t lo, int64_t hi) {
    const block_t *a = blocks_of(p, op);
    const ptrdiff_t n = hi - lo, m = (ptrdiff_t)a->cols;
    const real *x = value_of(p, op->input, lo), *dx = tangent_of(p, op->input, lo);
    real *out = tangent_of(p, op->output, lo);
    if (dx)
        prelu_slopes(x, params_of(p, a), dx, 0, n, m, out);
    else
        memset(out, 0, (size_t)(n * m) * sizeof(real));
    if (p->direction)
        add_negative_scaled(x, x, (const real *)p->direction + a->offset, n, m, out);
}

/* dx = dy or a dy, so its tangent is dy' or a dy' + a' dy */
static void prelu_backward_tangent(const plan_t *p, const operation_t *op, int64_t lo, int64_t hi) {
    const block_t *a = blocks_of(p, op);
    const ptrdiff_t n = hi - lo, m = (ptrdiff_t)a->cols;
    const real *x = value_of(p, op->input, lo);
    real *out = grad_tangent_of(p, op->input, lo);
    if (!out)
        return;
    prelu_slopes(x, params_of(p, a), grad_tangent_of(p, op->output, lo), (int)op->adds, n, m, out);
    add_negative_scaled(x, grad_of(p, op->output, lo), (const real *)p->direction + a->offset, n, m, out);
}

/* da = the sum of x * dy where x <= 0, so its tangent is the sum of x * dy' + x' * dy */
static void prelu_gradient_tangent(const plan_t *p, const operation_t *op, const tile_t *tile, int64_t lo, int64_t hi,
                                   void *g) {
    const ptrdiff_t m = (ptrdiff_t)blocks_of(p, op)->cols;
    const real *x = value_of(p, op->input, lo), *dx = tangent_of(p, op->input, lo);
    (void)tile;
    add_negative_products(x, x, grad_tangent_of(p, op->output, lo), hi - lo, m, m, g);
    if (dx)
        add_negative_products(x, dx, grad_of(p, op->output, lo), hi - lo, m, m, g);
}

static const kind_t prelu_kind = {
    .forward = prelu_forward,
    .backward = prelu_backward,
    .gradient = prelu_gradient,
    .tangent = prelu_tangent,
    .backward_tangent = prelu_backward_tangent,
    .gradient_tangent = prelu_gradient_tangent,
};

#endif
