/* L-BFGS over flat vectors: the passes over the pairs of the memory, for a part of n numbers of all vectors.
 *
 * The memory holds pairs of vectors: steps s_j, and changes y_j of the gradient over these steps. Pair j begins at
 * s + j * stride and y + j * stride. The caller divides long vectors into parts that depend on the number of parameters
 * only, and adds the sums of the parts in their order, so that results do not depend on the number of threads. A part
 * fits into the first-level cache: each number of the memory comes from further away once in a pass.
 */
#ifndef FASTBP_LBFGS_H
#define FASTBP_LBFGS_H

#include "simd.h"

#if FASTBP_DOUBLE /* the vectors are float64, also for networks of float32 */

/* The newest pair: s = step d, y = g - the gradient before */
static void make_pair(double step, const double *d, const double *g, const double *g_before, int64_t n, double *s,
                      double *y) {
    const vec factor = splat(step);
    FOR_VECTORS((ptrdiff_t)n, {
        STORE(s, factor * LOAD(d));
        STORE(y, LOAD(g) - LOAD(g_before));
    });
}

/* sums[4 j ...] = s_j g, y_j g, s_j v, y_j v */
static void pair_products(const double *s, const double *y, int64_t stride, int64_t n_pairs, const double *g,
                          const double *v, int64_t n, double *sums) {
    for (int64_t j = 0; j < n_pairs; j++, s += stride, y += stride, sums += 4) {
        /* two sums for each product: a sum waits for its last addition */
        vec sg[2] = {{0}}, yg[2] = {{0}}, sv[2] = {{0}}, yv[2] = {{0}};
        const ptrdiff_t even = (ptrdiff_t)n - (ptrdiff_t)n % (2 * VL);
        for (ptrdiff_t i = 0; i < even; i += 2 * VL)
            for (int k = 0; k < 2; k++) {
                const vec si = load(s + i + k * VL), yi = load(y + i + k * VL);
                const vec gi = load(g + i + k * VL), vi = load(v + i + k * VL);
                sg[k] += si * gi;
                yg[k] += yi * gi;
                sv[k] += si * vi;
                yv[k] += yi * vi;
            }
        FOR_VECTORS((ptrdiff_t)n - even, {
            const vec si = LOAD(s + even), yi = LOAD(y + even), gi = LOAD(g + even), vi = LOAD(v + even);
            sg[0] += si * gi;
            yg[0] += yi * gi;
            sv[0] += si * vi;
            yv[0] += yi * vi;
        });
        sums[0] = sum_lanes(sg[0] + sg[1]);
        sums[1] = sum_lanes(yg[0] + yg[1]);
        sums[2] = sum_lanes(sv[0] + sv[1]);
        sums[3] = sum_lanes(yv[0] + yv[1]);
    }
}

/* d = c_g g + sum of c_j s_j + c'_j y_j, with coefs = c_0, c'_0, c_1, c'_1, ...
 * Then x = x_before + d, and d is rounded to x - x_before, the step that is taken. sums = d g, d d */
static void combine_pairs(const double *s, const double *y, int64_t stride, int64_t n_pairs, const double *coefs,
                          double coef_g, const double *g, const double *x_before, int64_t n, double *d, double *x,
                          double *sums) {
    vec slope = {0}, squares = {0};
    const vec of_g = splat(coef_g);
    FOR_VECTORS((ptrdiff_t)n, { STORE(d, of_g * LOAD(g)); });
    for (int64_t j = 0; j < n_pairs; j++, s += stride, y += stride) {
        const vec of_s = splat(coefs[2 * j]), of_y = splat(coefs[2 * j + 1]);
        FOR_VECTORS((ptrdiff_t)n, { STORE(d, LOAD(d) + rounded(of_s * LOAD(s)) + rounded(of_y * LOAD(y))); });
    }
    FOR_VECTORS((ptrdiff_t)n, {
        const vec before = LOAD(x_before);
        const vec after = before + LOAD(d);
        const vec step = after - before;
        STORE(x, after);
        STORE(d, step);
        slope += step * LOAD(g);
        squares += step * step;
    });
    sums[0] = sum_lanes(slope);
    sums[1] = sum_lanes(squares);
}

/* sums = d g, the largest |g| or, if there is a NaN in g, NaN */
static void slope_and_largest(const double *d, const double *g, int64_t n, double *sums) {
    vec slope = {0}, largest = {0}, total = {0};
    FOR_VECTORS((ptrdiff_t)n, {
        const vec gi = LOAD(g);
        slope += gi * LOAD(d);
        largest = vmax(vabs(gi), largest);
        total += vabs(gi); /* NaN if one of them is */
    });
    const double sum = sum_lanes(total);
    sums[0] = sum_lanes(slope);
    sums[1] = sum != sum ? sum : max_lanes(largest);
}

#endif

#endif
