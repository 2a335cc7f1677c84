/* running_norm: y = gamma * n + beta, where n = (x - mean) * scale and scale = 1 / sqrt(variance + epsilon): batch
 * normalization in prediction. Mean and variance are the running statistics, which are constants here.
 *
 * The blocks and the first constant are those of batch_norm.
 */
#ifndef FASTBP_KINDS_RUNNING_NORM_H
#define FASTBP_KINDS_RUNNING_NORM_H

#include "../gemm.h"
#include "../nodes.h"

/* What the functions below read of the blocks */
typedef struct {
    const real *gamma, *beta, *mean, *variance;
    real epsilon;
} running_t;
INLINE running_t running_of(const plan_t *p, const operation_t *op) {
    const block_t *blocks = blocks_of(p, op);
    return (running_t){params_of(p, blocks), params_of(p, blocks + 1), params_of(p, blocks + 2),
                       params_of(p, blocks + 3), (real)op->constant[0]};
}
#define RUNNING_SCALE (1 / vsqrt(LOAD(s.variance) + s.epsilon))

static void running_norm_forward(const plan_t *p, const operation_t *op, int64_t lo, int64_t hi) {
    const ptrdiff_t n = (ptrdiff_t)(hi - lo), m = (ptrdiff_t)blocks_of(p, op)->cols;
    const running_t s = running_of(p, op);
    const real *x = value_of(p, op->input, lo);
    real *y = out_of(p, op->output, lo);
    FOR_VECTORS(m, {
        const vec center = LOAD(s.mean), slope = LOAD(s.gamma) * RUNNING_SCALE, shift = LOAD(s.beta);
        for (ptrdiff_t k = 0; k < n; k++)
            STORE(y + k * m, (LOAD(x + k * m) - center) * slope + shift);
    });
}

/* out = x * factor * scale for every row, or out += x * factor * scale */
INLINE void scale_by_running(const running_t s, const real *x, const real *factor, int add, ptrdiff_t n, ptrdiff_t m,
                             real *out) {
    FOR_VECTORS(m, {
        const vec slope = LOAD(factor) * RUNNING_SCALE;
        for (ptrdiff_t k = 0; k < n; k++) {
            const vec v = LOAD(x + k * m) * slope;
            STORE(out + k * m, add ? LOAD(out + k * m) + v : v);
        }
    });
}

/* forward: n = (x - mean) * scale, so dx = dy * gamma * scale */
static void running_norm_backward(const plan_t *p, const operation_t *op, int64_t lo, int64_t hi) {
    const running_t s = running_of(p, op);
    real *dx = grad_of(p, op->input, lo);
    if (dx)
        scale_by_running(s, grad_of(p, op->output, lo), s.gamma, (int)op->adds, (ptrdiff_t)(hi - lo),
                         (ptrdiff_t)blocks_of(p, op)->cols, dx);
}

/* forward: y = gamma * n + beta, so d gamma = the sum of dy * n over the rows, and d beta = the sum of dy; 0 for the
 * statistics */
static void running_norm_gradient(const plan_t *p, const operation_t *op, const tile_t *tile, int64_t lo, int64_t hi,
                                  void *g_, void *scratch, int add) {
    const ptrdiff_t n = (ptrdiff_t)(hi - lo), m = (ptrdiff_t)blocks_of(p, op)->cols,
                    cols = (ptrdiff_t)(tile->col_end - tile->col_begin);
    const running_t s = running_of(p, op);
    const int64_t number = tile->block - op->first_block, begin = tile->col_begin;
    const real *x = value_of(p, op->input, lo) + begin, *dy = grad_of(p, op->output, lo) + begin;
    real *g = g_;
    (void)scratch;
    if (number == 1)
        column_sums(dy, m, hi - lo, cols, g, add);
    else if (number > 1 && !add)
        memset(g, 0, (size_t)cols * sizeof(real));
    else if (number == 0)
        FOR_VECTORS(cols, {
            const vec center = LOAD(s.mean + begin), root = vsqrt(LOAD(s.variance + begin) + s.epsilon);
            vec total = {0};
            for (ptrdiff_t k = 0; k < n; k++)
                total += LOAD(dy + k * m) * (LOAD(x + k * m) - center);
            total /= root;
            STORE(g, add ? LOAD(g) + total : total);
        });
}

/* The tangent of y is gamma * n' + n * gamma' + beta', with n' = x' * scale */
static void running_norm_tangent(const plan_t *p, const operation_t *op, int64_t lo, int64_t hi) {
    const block_t *blocks = blocks_of(p, op);
    const ptrdiff_t n = (ptrdiff_t)(hi - lo), m = (ptrdiff_t)blocks->cols;
    const running_t s = running_of(p, op);
    const real *x = value_of(p, op->input, lo), *dx = tangent_of(p, op->input, lo), *direction = p->direction;
    real *out = tangent_of(p, op->output, lo);
    if (dx)
        scale_by_running(s, dx, s.gamma, 0, n, m, out);
    else
        memset(out, 0, (size_t)(n * m) * sizeof(real));
    if (!direction)
        return;
    const real *d_gamma = direction + blocks[0].offset, *d_beta = direction + blocks[1].offset;
    FOR_VECTORS(m, {
        const vec center = LOAD(s.mean), slope = LOAD(d_gamma) * RUNNING_SCALE, shift = LOAD(d_beta);
        for (ptrdiff_t k = 0; k < n; k++)
            STORE(out + k * m, LOAD(out + k * m) + (LOAD(x + k * m) - center) * slope + shift);
    });
}

/* dx = dy * gamma * scale, so its tangent is (dy' * gamma + dy * gamma') * scale */
static void running_norm_backward_tangent(const plan_t *p, const operation_t *op, int64_t lo, int64_t hi) {
    const block_t *blocks = blocks_of(p, op);
    const ptrdiff_t n = (ptrdiff_t)(hi - lo), m = (ptrdiff_t)blocks->cols;
    const running_t s = running_of(p, op);
    real *out = grad_tangent_of(p, op->input, lo);
    if (!out)
        return;
    scale_by_running(s, grad_tangent_of(p, op->output, lo), s.gamma, (int)op->adds, n, m, out);
    scale_by_running(s, grad_of(p, op->output, lo), (const real *)p->direction + blocks->offset, 1, n, m, out);
}

/* d gamma = the sum of dy * n, so its tangent is the sum of dy' * n + dy * x' * scale; d beta = the sum of dy, so its
 * tangent is that of dy' */
static void running_norm_gradient_tangent(const plan_t *p, const operation_t *op, const tile_t *tile, int64_t lo,
                                          int64_t hi, void *g_) {
    const ptrdiff_t n = (ptrdiff_t)(hi - lo), m = (ptrdiff_t)blocks_of(p, op)->cols;
    const running_t s = running_of(p, op);
    const int64_t number = tile->block - op->first_block;
    const real *x = value_of(p, op->input, lo), *dx = tangent_of(p, op->input, lo), *dy = grad_of(p, op->output, lo),
               *ddy = grad_tangent_of(p, op->output, lo);
    real *g = g_;
    if (number == 1)
        column_sums(ddy, m, hi - lo, m, g, 1);
    if (number != 0)
        return;
    FOR_VECTORS(m, {
        const vec center = LOAD(s.mean), scale = RUNNING_SCALE;
        vec total = {0};
        for (ptrdiff_t k = 0; k < n; k++) {
            total += LOAD(ddy + k * m) * (LOAD(x + k * m) - center);
            if (dx)
                total += LOAD(dy + k * m) * LOAD(dx + k * m);
        }
        STORE(g, LOAD(g) + total * scale);
    });
}

static const kind_t running_norm_kind = {
    .forward = running_norm_forward,
    .backward = running_norm_backward,
    .gradient = running_norm_gradient,
    .tangent = running_norm_tangent,
    .backward_tangent = running_norm_backward_tangent,
    .gradient_tangent = running_norm_gradient_tangent,
};

#endif
