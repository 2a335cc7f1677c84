/* robust_scale: y = r / sqrt(1 + (r / clip)^2), r = (x - center) * factor (Holzmüller, Grinsztajn and Steinwart, 2024,
 * Better by default: strong pre-tuned MLPs and boosted trees on tabular data, section 3); 0 where x is missing (NaN).
 * Without a clip, where the constant is 0: y = r.
 *
 * The blocks center and factor (1, width) are not trained, and constants in all derivatives. The argument is 1 if the
 * integers are the columns to read, and 0 if these are all columns of the input.
 */
#ifndef FASTBP_KINDS_ROBUST_SCALE_H
#define FASTBP_KINDS_ROBUST_SCALE_H

#include "columns.h"

/* What the functions below read of the operation */
typedef struct {
    const real *center, *factor;
    const int64_t *columns;
    real clip, inverse; /* of the clip */
    ptrdiff_t width, m; /* of input and output */
} robust_t;
INLINE robust_t robust_of(const plan_t *p, const operation_t *op) {
    const block_t *center = blocks_of(p, op);
    const real clip = (real)op->constant[0];
    return (robust_t){params_of(p, center),
                      params_of(p, center + 1),
                      op->argument ? integers_of(p, op) : NULL,
                      clip,
                      clip != 0 ? 1 / clip : 0,
                      (ptrdiff_t)node_of(p, op->input)->width,
                      (ptrdiff_t)center->cols};
}

/* r / clip, or r without a clip; 0 where x is NaN. Beyond 1e9, where t / sqrt(1 + t^2) is 1 in both types and t^2 could
 * be infinite, it is 1e9. */
INLINE vec scaled(vec x, vec center, vec factor, real inverse) {
    const vec zero = {0}, largest = splat((real)1e9), r = (x - center) * factor,
              known = choose(less(zero, r), r, choose(less(r, zero), r, zero));
    return inverse != 0 ? vmax(vmin(known * inverse, largest), -largest) : known;
}

static void robust_scale_forward(const plan_t *p, const operation_t *op, int64_t lo, int64_t hi) {
    const robust_t s = robust_of(p, op);
    const real *x = value_of(p, op->input, lo);
    real *y = out_of(p, op->output, lo), buffer[GATHERED];
    for (int64_t r = lo; r < hi; r++, x += s.width, y += s.m)
        for (ptrdiff_t first = 0; first < s.m; first += GATHERED) {
            const ptrdiff_t n = s.m - first < GATHERED ? s.m - first : GATHERED;
            const real *v = gathered(x, s.columns, first, n, buffer), *center = s.center + first,
                       *factor = s.factor + first;
            real *to = y + first;
            FOR_VECTORS(n, {
                const vec t = scaled(LOAD(v), LOAD(center), LOAD(factor), s.inverse);
                STORE(to, s.inverse != 0 ? t * s.clip / vsqrt(1 + t * t) : t);
            });
        }
}

/* The derivative of y by x where x is not missing, factor (1 + t^2)^(-3/2) with t = r / clip, or the second derivative,
 * -3 t factor^2 / clip (1 + t^2)^(-5/2) */
INLINE vec robust_slope(vec x, vec center, vec factor, real inverse, int second) {
    const vec zero = {0};
    if (inverse == 0)
        return second ? zero : factor;
    const vec t = scaled(x, center, factor, inverse), one = 1 / (1 + t * t), slope = factor * one * vsqrt(one);
    return second ? slope * one * t * factor * (-3 * inverse) : slope;
}

/* One row: out = v * slope, or out += that, where x is not missing, else 0. dx not NULL: v * dx in place of v, with the
 * second derivative as the slope. `out` is a row of the output, or, with `scatters`, of the input. */
INLINE void robust_row(const robust_t s, const real *x, const real *v, const real *dx, int v_is_input, int scatters,
                       int add, real *out) {
    real xs[GATHERED], vs[GATHERED], dxs[GATHERED], products[GATHERED];
    const int64_t *scattered = scatters ? s.columns : NULL;
    for (ptrdiff_t first = 0; first < s.m; first += GATHERED) {
        const ptrdiff_t n = s.m - first < GATHERED ? s.m - first : GATHERED;
        const real *own = gathered(x, s.columns, first, n, xs), *center = s.center + first, *factor = s.factor + first,
                   *from = gathered(v, v_is_input ? s.columns : NULL, first, n, vs),
                   *change = dx ? gathered(dx, s.columns, first, n, dxs) : NULL;
        real *to = place_of_gathered(out, scattered, first, products);
        const int in_place = add && !scattered;
        FOR_VECTORS(n, {
            const vec zero = {0};
            const vec given = LOAD(own);
            vec product = LOAD(from) * robust_slope(given, LOAD(center), LOAD(factor), s.inverse, change != NULL);
            if (change)
                product *= LOAD(change);
            /* x - x is 0, or NaN where x is missing */
            const vec nothing = given - given;
            product = choose(less(nothing, splat(1)), product, zero);
            STORE(to, in_place ? LOAD(to) + product : product);
        });
        scatter(products, scattered, first, n, out);
    }
}

/* forward: y = y(x), so dx = dy * y'(x) */
static void robust_scale_backward(const plan_t *p, const operation_t *op, int64_t lo, int64_t hi) {
    const robust_t s = robust_of(p, op);
    const real *x = value_of(p, op->input, lo), *dy = grad_of(p, op->output, lo);
    real *dx = grad_of(p, op->input, lo);
    if (!dx)
        return;
    if (s.columns)
        clear_gradient(p, op->input, op->adds, hi - lo, dx);
    for (int64_t r = lo; r < hi; r++, x += s.width, dx += s.width, dy += s.m)
        robust_row(s, x, dy, NULL, 0, 1, (int)op->adds, dx);
}

/* The blocks are not trained */
static void robust_scale_gradient(const plan_t *p, const operation_t *op, const tile_t *tile, int64_t lo, int64_t hi,
                                  void *g, void *scratch, int add) {
    (void)p, (void)op, (void)lo, (void)hi, (void)scratch;
    clear(g, add, (ptrdiff_t)(tile->col_end - tile->col_begin));
}

/* The tangent of y is x' * y'(x) */
static void robust_scale_tangent(const plan_t *p, const operation_t *op, int64_t lo, int64_t hi) {
    const robust_t s = robust_of(p, op);
    const real *x = value_of(p, op->input, lo), *dx = tangent_of(p, op->input, lo);
    real *out = tangent_of(p, op->output, lo);
    if (!dx) {
        memset(out, 0, (size_t)((hi - lo) * s.m) * sizeof(real));
        return;
    }
    for (int64_t r = lo; r < hi; r++, x += s.width, dx += s.width, out += s.m)
        robust_row(s, x, dx, NULL, 1, 0, 0, out);
}

/* dx = dy * y'(x), so its tangent is dy' * y'(x) + dy * y''(x) * x' */
static void robust_scale_backward_tangent(const plan_t *p, const operation_t *op, int64_t lo, int64_t hi) {
    const robust_t s = robust_of(p, op);
    const real *x = value_of(p, op->input, lo), *dx = tangent_of(p, op->input, lo), *dy = grad_of(p, op->output, lo),
               *change = grad_tangent_of(p, op->output, lo);
    real *out = grad_tangent_of(p, op->input, lo);
    if (!out)
        return;
    if (s.columns)
        clear_gradient(p, op->input, op->adds, hi - lo, out);
    for (int64_t r = lo; r < hi; r++, x += s.width, out += s.width, dy += s.m, change += s.m) {
        robust_row(s, x, change, NULL, 0, 1, (int)op->adds, out);
        if (dx) {
            robust_row(s, x, dy, dx, 0, 1, 1, out);
            dx += s.width;
        }
    }
}

static void robust_scale_gradient_tangent(const plan_t *p, const operation_t *op, const tile_t *tile, int64_t lo,
                                          int64_t hi, void *g) {
    (void)p, (void)op, (void)tile, (void)lo, (void)hi, (void)g;
}

static const kind_t robust_scale_kind = {
    .forward = robust_scale_forward,
    .backward = robust_scale_backward,
    .gradient = robust_scale_gradient,
    .tangent = robust_scale_tangent,
    .backward_tangent = robust_scale_backward_tangent,
    .gradient_tangent = robust_scale_gradient_tangent,
};

#endif
