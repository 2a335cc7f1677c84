/* row_norm: y = gain * n [+ shift], where n = (x - mean) * scale is the row, normalized by its own statistics.
 *
 *     argument 1, layer normalization   mean and variance of the row, scale = 1 / sqrt(variance + epsilon)
 *     argument 0, RMS normalization     mean = 0, scale = 1 / sqrt(mean of x^2 + epsilon)
 *
 * The blocks are gain (1, width) and, with the argument 1, shift (1, width). The constant is epsilon. The forward pass
 * saves mean and scale. In the formulas below, E is the mean over the row, and c = x - mean.
 */
#ifndef FASTBP_KINDS_ROW_NORM_H
#define FASTBP_KINDS_ROW_NORM_H

#include "../gemm.h"
#include "../nodes.h"

typedef struct {
    real mean, scale;
} statistics_t;

/* The mean over a row; what is computed for lanes beyond its end does not count. */
#define ROW_MEAN(m, ...)                                                       \
    ({                                                                         \
        vec total_ = {0};                                                      \
        FOR_VECTORS(m, {                                                       \
            const vec v_ = (__VA_ARGS__);                                      \
            total_ += lanes == VL ? v_ : choose(first_n(lanes), v_, (vec){0}); \
        });                                                                    \
        sum_lanes(total_) / (real)(m);                                         \
    })

INLINE statistics_t *saved_of(const plan_t *p, const operation_t *op, int64_t r) {
    return op->saved < 0 ? NULL : (statistics_t *)((real *)p->values + op->saved * p->capacity) + r;
}

static void row_norm_forward(const plan_t *p, const operation_t *op, int64_t lo, int64_t hi) {
    const block_t *blocks = blocks_of(p, op);
    const ptrdiff_t m = (ptrdiff_t)blocks->cols;
    const real *x = value_of(p, op->input, lo), *gain = params_of(p, blocks),
               *shift = op->argument ? params_of(p, blocks + 1) : NULL;
    statistics_t *saved = saved_of(p, op, lo);
    real *y = out_of(p, op->output, lo);
    for (int64_t r = lo; r < hi; r++, x += m, y += m) {
        const real mean = op->argument ? ROW_MEAN(m, LOAD(x)) : 0,
                   variance = ROW_MEAN(m, (LOAD(x) - mean) * (LOAD(x) - mean)),
                   scale = (real)(1 / sqrt((double)variance + op->constant[0]));
        if (saved)
            *saved++ = (statistics_t){mean, scale};
        if (shift)
            FOR_VECTORS(m, { STORE(y, (LOAD(x) - mean) * scale * LOAD(gain) + LOAD(shift)); });
        else
            FOR_VECTORS(m, { STORE(y, LOAD(x) * scale * LOAD(gain)); });
    }
}

/* forward: n = c * scale, d scale = -scale^2 E(n c'), so with g = dy * gain: dx = scale * (g - E(g) - n E(g n));
 * without E(g) if the mean is not subtracted */
static void row_norm_backward(const plan_t *p, const operation_t *op, int64_t lo, int64_t hi) {
    const block_t *blocks = blocks_of(p, op);
    const ptrdiff_t m = (ptrdiff_t)blocks->cols;
    const real *x = value_of(p, op->input, lo), *dy = grad_of(p, op->output, lo), *gain = params_of(p, blocks);
    const statistics_t *saved = saved_of(p, op, lo);
    real *dx = grad_of(p, op->input, lo);
    if (!dx)
        return;
    for (int64_t r = lo; r < hi; r++, x += m, dy += m, dx += m, saved++) {
        const real mean = saved->mean, scale = saved->scale;
        vec sum_g = {0}, sum_gn = {0};
        FOR_VECTORS(m, {
            const vec g = LOAD(dy) * LOAD(gain);
            sum_g += g;
            sum_gn += g * ((LOAD(x) - mean) * scale);
        });
        const real a = op->argument ? sum_lanes(sum_g) / (real)m : 0, b = sum_lanes(sum_gn) / (real)m;
        FOR_VECTORS(m, {
            const vec d = (LOAD(dy) * LOAD(gain) - a - (LOAD(x) - mean) * scale * b) * scale;
            STORE(dx, op->adds ? LOAD(dx) + d : d);
        });
    }
}

/* forward: y = gain * n + shift, so d gain = the sum of dy * n over the rows, and d shift = the sum of dy */
static void row_norm_gradient(const plan_t *p, const operation_t *op, const tile_t *tile, int64_t lo, int64_t hi,
                              void *g_, void *scratch, int add) {
    const ptrdiff_t m = (ptrdiff_t)blocks_of(p, op)->cols, cols = (ptrdiff_t)(tile->col_end - tile->col_begin);
    const real *x = value_of(p, op->input, lo) + tile->col_begin, *dy = grad_of(p, op->output, lo) + tile->col_begin;
    const statistics_t *saved = saved_of(p, op, lo);
    real *g = g_;
    (void)scratch;
    if (tile->block != op->first_block) {
        column_sums(dy, m, hi - lo, cols, g, add);
        return;
    }
    FOR_VECTORS(cols, {
        vec total = add ? LOAD(g) : (vec){0};
        for (ptrdiff_t r = 0; r < hi - lo; r++)
            total += LOAD(dy + r * m) * ((LOAD(x + r * m) - saved[r].mean) * saved[r].scale);
        STORE(g, total);
    });
}

/* The tangent of n is scale * (c' - n * E(n c')), where c' = x' - E(x'), or x' if the mean is not subtracted. Returns
 * {E(x'), E(n c')}. */
INLINE statistics_t tangent_means(const operation_t *op, ptrdiff_t m, const real *x, const real *dx,
                                  const statistics_t *saved) {
    const real mean = saved->mean, scale = saved->scale, shift = op->argument ? ROW_MEAN(m, LOAD(dx)) : 0;
    return (statistics_t){shift, ROW_MEAN(m, (LOAD(x) - mean) * scale * (LOAD(dx) - shift))};
}

/* The tangent of y is n' * gain + n * gain' + shift' */
static void row_norm_tangent(const plan_t *p, const operation_t *op, int64_t lo, int64_t hi) {
    const block_t *blocks = blocks_of(p, op);
    const ptrdiff_t m = (ptrdiff_t)blocks->cols;
    const real *x = value_of(p, op->input, lo), *dx = tangent_of(p, op->input, lo), *gain = params_of(p, blocks),
               *direction = p->direction;
    const statistics_t *saved = saved_of(p, op, lo);
    real *out = tangent_of(p, op->output, lo);
    for (int64_t r = lo; r < hi; r++, x += m, out += m, saved++) {
        const real mean = saved->mean, scale = saved->scale;
        memset(out, 0, (size_t)m * sizeof(real));
        if (dx) {
            const statistics_t d = tangent_means(op, m, x, dx, saved);
            FOR_VECTORS(m, {
                const vec n = (LOAD(x) - mean) * scale;
                STORE(out, (LOAD(dx) - d.mean - n * d.scale) * scale * LOAD(gain));
            });
            dx += m;
        }
        if (direction) {
            const real *d_gain = direction + blocks->offset;
            FOR_VECTORS(m, { STORE(out, LOAD(out) + (LOAD(x) - mean) * scale * LOAD(d_gain)); });
            if (op->argument)
                copy_or_add(direction + blocks[1].offset, out, 1, m);
        }
    }
}

/* dx = scale * (g - E(g) - n E(g n)), so its tangent is, with scale' = -scale^2 E(n c') and g' = dy' gain + dy gain',
 * scale' * (g - E(g) - n E(g n)) + scale * (g' - E(g') - n' E(g n) - n E(g' n + g n')) */
static void row_norm_backward_tangent(const plan_t *p, const operation_t *op, int64_t lo, int64_t hi) {
    const block_t *blocks = blocks_of(p, op);
    const ptrdiff_t m = (ptrdiff_t)blocks->cols;
    const real *x = value_of(p, op->input, lo), *dx = tangent_of(p, op->input, lo), *gain = params_of(p, blocks),
               *dy = grad_of(p, op->output, lo), *ddy = grad_tangent_of(p, op->output, lo),
               *d_gain = (const real *)p->direction + blocks->offset;
    const statistics_t *saved = saved_of(p, op, lo);
    real *out = grad_tangent_of(p, op->input, lo);
    if (!out)
        return;
    for (int64_t r = lo; r < hi; r++, x += m, dx += m, dy += m, ddy += m, out += m, saved++) {
        const real mean = saved->mean, scale = saved->scale;
        const statistics_t d = tangent_means(op, m, x, dx, saved); /* `out` is not NULL, so the input is a node */
#define N ((LOAD(x) - mean) * scale)
#define DN ((LOAD(dx) - d.mean - N * d.scale) * scale)
#define G (LOAD(dy) * LOAD(gain))
#define DG (LOAD(ddy) * LOAD(gain) + LOAD(dy) * LOAD(d_gain))
        const real a = op->argument ? ROW_MEAN(m, G) : 0, da = op->argument ? ROW_MEAN(m, DG) : 0,
                   b = ROW_MEAN(m, G * N), db = ROW_MEAN(m, DG * N + G * DN);
        FOR_VECTORS(m, {
            const vec change = (DG - da - DN * b - N * db) * scale - (G - a - N * b) * (scale * scale * d.scale);
            STORE(out, op->adds ? LOAD(out) + change : change);
        });
#undef N
#undef DN
#undef G
#undef DG
    }
}

/* d gain = the sum of dy * n, so its tangent is the sum of dy' * n + dy * n'; that of d shift is the sum of dy' */
static void row_norm_gradient_tangent(const plan_t *p, const operation_t *op, const tile_t *tile, int64_t lo,
                                      int64_t hi, void *g_) {
    const ptrdiff_t m = (ptrdiff_t)blocks_of(p, op)->cols;
    const real *x = value_of(p, op->input, lo), *dx = tangent_of(p, op->input, lo), *dy = grad_of(p, op->output, lo),
               *ddy = grad_tangent_of(p, op->output, lo);
    const statistics_t *saved = saved_of(p, op, lo);
    real *g = g_;
    if (tile->block != op->first_block) {
        column_sums(ddy, m, hi - lo, m, g, 1);
        return;
    }
    for (int64_t r = lo; r < hi; r++, x += m, dy += m, ddy += m, saved++) {
        const real mean = saved->mean, scale = saved->scale;
        FOR_VECTORS(m, { STORE(g, LOAD(g) + LOAD(ddy) * ((LOAD(x) - mean) * scale)); });
        if (dx) {
            const statistics_t d = tangent_means(op, m, x, dx, saved);
            FOR_VECTORS(m, {
                const vec n = (LOAD(x) - mean) * scale;
                STORE(g, LOAD(g) + LOAD(dy) * ((LOAD(dx) - d.mean - n * d.scale) * scale));
            });
            dx += m;
        }
    }
}

static const kind_t row_norm_kind = {
    .forward = row_norm_forward,
    .backward = row_norm_backward,
    .gradient = row_norm_gradient,
    .tangent = row_norm_tangent,
    .backward_tangent = row_norm_backward_tangent,
    .gradient_tangent = row_norm_gradient_tangent,
};

#endif
