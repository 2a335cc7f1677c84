/* scale: out = in * s, with a factor for each feature, the block s (1, width). */
#ifndef FASTBP_KINDS_SCALE_H
#define FASTBP_KINDS_SCALE_H

#include "../nodes.h"

/* out = x * s for every row, or out += x * s */
INLINE void scale_rows(const real *x, const real *s, int add, ptrdiff_t rows, ptrdiff_t m, real *out) {
    for (ptrdiff_t r = 0; r < rows; r++, x += m, out += m)
        FOR_VECTORS(m, { STORE(out, add ? LOAD(out) + LOAD(x) * LOAD(s) : LOAD(x) * LOAD(s)); });
}

/* g += the sum of x * y over the rows, in order */
INLINE void add_row_products(const real *x, const real *y, ptrdiff_t rows, ptrdiff_t m, ptrdiff_t cols, real *g) {
    FOR_VECTORS(cols, {
        vec total = LOAD(g);
        for (ptrdiff_t r = 0; r < rows; r++)
            total += LOAD(x + r * m) * LOAD(y + r * m);
        STORE(g, total);
    });
}

static void scale_forward(const plan_t *p, const operation_t *op, int64_t lo, int64_t hi) {
    const block_t *s = blocks_of(p, op);
    scale_rows(value_of(p, op->input, lo), params_of(p, s), 0, hi - lo, s->cols, out_of(p, op->output, lo));
}

/* forward: out = in * s, so d in = d out * s */
static void scale_backward(const plan_t *p, const operation_t *op, int64_t lo, int64_t hi) {
    const block_t *s = blocks_of(p, op);
    real *dx = grad_of(p, op->input, lo);
    if (dx)
        scale_rows(grad_of(p, op->output, lo), params_of(p, s), (int)op->adds, hi - lo, s->cols, dx);
}

/* forward: out = in * s, so ds = the sum of in * d out over the rows */
static void scale_gradient(const plan_t *p, const operation_t *op, const tile_t *tile, int64_t lo, int64_t hi, void *g,
                           void *scratch, int add) {
    const ptrdiff_t m = (ptrdiff_t)blocks_of(p, op)->cols, cols = (ptrdiff_t)(tile->col_end - tile->col_begin);
    (void)scratch;
    if (!add)
        memset(g, 0, (size_t)cols * sizeof(real));
    add_row_products(value_of(p, op->input, lo) + tile->col_begin, grad_of(p, op->output, lo) + tile->col_begin,
                     hi - lo, m, cols, g);
}

/* out = in * s, so its tangent is d in * s + in * ds */
static void scale_tangent(const plan_t *p, const operation_t *op, int64_t lo, int64_t hi) {
    const block_t *s = blocks_of(p, op);
    const real *dx = tangent_of(p, op->input, lo);
    real *out = tangent_of(p, op->output, lo);
    const ptrdiff_t n = hi - lo, m = (ptrdiff_t)s->cols;
    if (dx)
        scale_rows(dx, params_of(p, s), 0, n, m, out);
    else
        memset(out, 0, (size_t)(n * m) * sizeof(real));
    if (p->direction)
        scale_rows(value_of(p, op->input, lo), (const real *)p->direction + s->offset, 1, n, m, out);
}

/* d in = d out * s, so its tangent is d(d out) * s + d out * ds */
static void scale_backward_tangent(const plan_t *p, const operation_t *op, int64_t lo, int64_t hi) {
    const block_t *s = blocks_of(p, op);
    real *out = grad_tangent_of(p, op->input, lo);
    if (!out)
        return;
    const ptrdiff_t n = hi - lo, m = (ptrdiff_t)s->cols;
    scale_rows(grad_tangent_of(p, op->output, lo), params_of(p, s), (int)op->adds, n, m, out);
    scale_rows(grad_of(p, op->output, lo), (const real *)p->direction + s->offset, 1, n, m, out);
}

/* ds = the sum of in * d out over the rows, so its tangent is the sum of in * d(d out) + d in * d out */
static void scale_gradient_tangent(const plan_t *p, const operation_t *op, const tile_t *tile, int64_t lo, int64_t hi,
                                   void *g) {
    const ptrdiff_t m = (ptrdiff_t)blocks_of(p, op)->cols, cols = (ptrdiff_t)(tile->col_end - tile->col_begin);
    const real *dx = tangent_of(p, op->input, lo);
    add_row_products(value_of(p, op->input, lo) + tile->col_begin, grad_tangent_of(p, op->output, lo) + tile->col_begin,
                     hi - lo, m, cols, g);
    if (dx)
        add_row_products(dx + tile->col_begin, grad_of(p, op->output, lo) + tile->col_begin, hi - lo, m, cols, g);
}

static const kind_t scale_kind = {
    .forward = scale_forward,
    .backward = scale_backward,
    .gradient = scale_gradient,
    .tangent = scale_tangent,
    .backward_tangent = scale_backward_tangent,
    .gradient_tangent = scale_gradient_tangent,
};

#endif
