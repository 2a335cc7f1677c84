/* blend: y = x + alpha * (f - x) of two inputs x and f, with a share for each feature, the block alpha (1, width). */
#ifndef FASTBP_KINDS_BLEND_H
#define FASTBP_KINDS_BLEND_H

#include "../nodes.h"

/* The numbers of a row, or zeros for NULL */
#define LOAD_OR_ZERO(v) ((v) ? LOAD(v) : (vec){0})
INLINE const real *row_of(const real *v, ptrdiff_t r, ptrdiff_t m) { return v ? v + r * m : NULL; }

static void blend_forward(const plan_t *p, const operation_t *op, int64_t lo, int64_t hi) {
    const block_t *block = blocks_of(p, op);
    const ptrdiff_t m = (ptrdiff_t)block->cols;
    const real *x = value_of(p, op->input, lo), *f = value_of(p, op->input2, lo), *alpha = params_of(p, block);
    real *y = out_of(p, op->output, lo);
    for (int64_t r = lo; r < hi; r++, x += m, f += m, y += m)
        FOR_VECTORS(m, { STORE(y, LOAD(x) + LOAD(alpha) * (LOAD(f) - LOAD(x))); });
}

/* dx = dy - alpha * dy and df = alpha * dy, or added to them */
INLINE void blend_shares(const real *dy, const real *alpha, int64_t adds, ptrdiff_t rows, ptrdiff_t m, real *dx,
                         real *df) {
    for (ptrdiff_t r = 0; r < rows; r++, dy += m) {
        if (dx) {
            FOR_VECTORS(m, {
                const vec share = LOAD(dy) - LOAD(alpha) * LOAD(dy);
                STORE(dx, adds & 1 ? LOAD(dx) + share : share);
            });
            dx += m;
        }
        if (df) {
            FOR_VECTORS(m, {
                const vec share = LOAD(alpha) * LOAD(dy);
                STORE(df, adds & 2 ? LOAD(df) + share : share);
            });
            df += m;
        }
    }
}

/* forward: y = x + alpha * (f - x), so dx = (1 - alpha) * dy and df = alpha * dy */
static void blend_backward(const plan_t *p, const operation_t *op, int64_t lo, int64_t hi) {
    const block_t *alpha = blocks_of(p, op);
    blend_shares(grad_of(p, op->output, lo), params_of(p, alpha), op->adds, hi - lo, (ptrdiff_t)alpha->cols,
                 grad_of(p, op->input, lo), grad_of(p, op->input2, lo));
}

/* g += the sum of v * (f - x) over the rows; x and f may be NULL for zeros */
INLINE void add_products_of_differences(const real *v, const real *x, const real *f, ptrdiff_t rows, ptrdiff_t m,
                                        ptrdiff_t cols, real *g) {
    for (ptrdiff_t r = 0; r < rows; r++, v += m) {
        const real *xr = row_of(x, r, m), *fr = row_of(f, r, m);
        FOR_VECTORS(cols, { STORE(g, LOAD(g) + LOAD(v) * (LOAD_OR_ZERO(fr) - LOAD_OR_ZERO(xr))); });
    }
}

/* forward: y = x + alpha * (f - x), so d alpha = the sum of dy * (f - x) over the rows */
static void blend_gradient(const plan_t *p, const operation_t *op, const tile_t *tile, int64_t lo, int64_t hi, void *g,
                           void *scratch, int add) {
    const ptrdiff_t m = (ptrdiff_t)blocks_of(p, op)->cols, begin = (ptrdiff_t)tile->col_begin,
                    cols = (ptrdiff_t)tile->col_end - begin;
    (void)scratch;
    if (!add)
        memset(g, 0, (size_t)cols * sizeof(real));
    add_products_of_differences(grad_of(p, op->output, lo) + begin, value_of(p, op->input, lo) + begin,
                                value_of(p, op->input2, lo) + begin, hi - lo, m, cols, g);
}

/* The tangent of y is x' + alpha * (f' - x') + alpha' * (f - x) */
static void blend_tangent(const plan_t *p, const operation_t *op, int64_t lo, int64_t hi) {
    const block_t *block = blocks_of(p, op);
    const ptrdiff_t m = (ptrdiff_t)block->cols;
    const real *x = value_of(p, op->input, lo), *f = value_of(p, op->input2, lo), *dx = tangent_of(p, op->input, lo),
               *df = tangent_of(p, op->input2, lo), *alpha = params_of(p, block),
               *d_alpha = p->direction ? (const real *)p->direction + block->offset : NULL;
    real *out = tangent_of(p, op->output, lo);
    for (int64_t r = 0; r < hi - lo; r++, x += m, f += m, out += m) {
        const real *dxr = row_of(dx, r, m), *dfr = row_of(df, r, m);
        FOR_VECTORS(m, {
            const vec d = LOAD_OR_ZERO(dxr);
            STORE(out, d + LOAD(alpha) * (LOAD_OR_ZERO(dfr) - d) + LOAD_OR_ZERO(d_alpha) * (LOAD(f) - LOAD(x)));
        });
    }
}

/* dx = dy - alpha * dy and df = alpha * dy, so their tangents are dy' - alpha * dy' - alpha' * dy and
 * alpha * dy' + alpha' * dy */
static void blend_backward_tangent(const plan_t *p, const operation_t *op, int64_t lo, int64_t hi) {
    const block_t *block = blocks_of(p, op);
    const ptrdiff_t m = (ptrdiff_t)block->cols;
    const real *dy = grad_of(p, op->output, lo), *d_alpha = (const real *)p->direction + block->offset;
    real *dx = grad_tangent_of(p, op->input, lo), *df = grad_tangent_of(p, op->input2, lo);
    blend_shares(grad_tangent_of(p, op->output, lo), params_of(p, block), op->adds, hi - lo, m, dx, df);
    for (int64_t r = lo; r < hi; r++, dy += m) {
        if (dx) {
            FOR_VECTORS(m, { STORE(dx, LOAD(dx) - LOAD(d_alpha) * LOAD(dy)); });
            dx += m;
        }
        if (df) {
            FOR_VECTORS(m, { STORE(df, LOAD(df) + LOAD(d_alpha) * LOAD(dy)); });
            df += m;
        }
    }
}

/* d alpha = the sum of dy * (f - x), so its tangent is the sum of dy' * (f - x) + dy * (f' - x') */
static void blend_gradient_tangent(const plan_t *p, const operation_t *op, const tile_t *tile, int64_t lo, int64_t hi,
                                   void *g) {
    const ptrdiff_t m = (ptrdiff_t)blocks_of(p, op)->cols;
    (void)tile;
    add_products_of_differences(grad_tangent_of(p, op->output, lo), value_of(p, op->input, lo),
                                value_of(p, op->input2, lo), hi - lo, m, m, g);
    add_products_of_differences(grad_of(p, op->output, lo), tangent_of(p, op->input, lo), tangent_of(p, op->input2, lo),
                                hi - lo, m, m, g);
}

static const kind_t blend_kind = {
    .forward = blend_forward,
    .backward = blend_backward,
    .gradient = blend_gradient,
    .tangent = blend_tangent,
    .backward_tangent = blend_backward_tangent,
    .gradient_tangent = blend_gradient_tangent,
};

#endif
