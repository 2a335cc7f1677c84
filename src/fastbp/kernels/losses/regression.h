/* Losses of numbers. */
#ifndef FASTBP_LOSSES_REGRESSION_H
#define FASTBP_LOSSES_REGRESSION_H

INLINE vec l_squared_error(const loss_t *loss, vec y, vec a) { return (a - y) * (a - y) * (real)0.5; }
INLINE vec dl_squared_error(const loss_t *loss, vec y, vec a) { return a - y; }
INLINE vec d2l_squared_error(const loss_t *loss, vec y, vec a) { return splat(1); }
ELEMENTWISE(squared_error)
CANONICAL(squared_error)

/* |a - y|; the last choice passes 0 and NaN on */
INLINE vec l_absolute_error(const loss_t *loss, vec y, vec a) { return vabs(a - y); }
INLINE vec dl_absolute_error(const loss_t *loss, vec y, vec a) {
    return choose(greater(a, y), splat(1), choose(less(a, y), splat(-1), a - y));
}
INLINE vec d2l_absolute_error(const loss_t *loss, vec y, vec a) { return (vec){0}; }
ELEMENTWISE(absolute_error)
DIRECT(absolute_error)

/* Huber (1964): half the square up to delta, linear from there on */
INLINE vec l_huber(const loss_t *loss, vec y, vec a) {
    vec r = vabs(a - y), delta = splat(CONSTANT(0));
    return choose(greater(r, delta), delta * (r - delta * (real)0.5), r * r * (real)0.5);
}
INLINE vec dl_huber(const loss_t *loss, vec y, vec a) {
    return vmax(splat(-CONSTANT(0)), vmin(splat(CONSTANT(0)), a - y)); /* NaN passes through */
}
INLINE vec d2l_huber(const loss_t *loss, vec y, vec a) {
    return choose(greater(vabs(a - y), splat(CONSTANT(0))), (vec){0}, splat(1));
}
ELEMENTWISE(huber)
DIRECT(huber)

/* Koenker and Bassett (1978): q (y - a) below y, (1 - q) (a - y) above; -q at y */
INLINE vec l_quantile(const loss_t *loss, vec y, vec a) {
    vec r = a - y;
    return r * choose(greater(r, (vec){0}), splat((real)1 - CONSTANT(0)), splat(-CONSTANT(0)));
}
INLINE vec dl_quantile(const loss_t *loss, vec y, vec a) {
    vec r = a - y;
    return choose(greater(r, (vec){0}), splat((real)1 - CONSTANT(0)),
                  choose(less(r, (vec){0}), splat(-CONSTANT(0)), r - CONSTANT(0)));
}
INLINE vec d2l_quantile(const loss_t *loss, vec y, vec a) { return (vec){0}; }
ELEMENTWISE(quantile)
DIRECT(quantile)

/* Several quantiles of one target that never cross: a_0 = z_0, a_j = a_(j-1) + softplus(z_j), and the sum of their
 * losses. With the sum S_j of dl / da_i over i >= j: delta_0 = S_0, delta_j = S_j softplus'(z_j). row_loss may be NULL.
 */
static void quantiles_rows(const loss_t *loss, const real *y, const real *z, double *row_loss, real *delta,
                           ptrdiff_t rows, ptrdiff_t m) {
    real slope[ROUND];
    for (ptrdiff_t n; rows > 0; rows -= n, y += n, z += n * m, delta += n * m) {
        n = rows < ROUND / m ? rows : ROUND / m; /* m <= MAX_LOSS_CONSTANTS */
        FOR_VECTORS(n * m, {
            const vec zv = LOAD(z);
            STORE(delta, f_softplus(zv));
            STORE(slope, vlogistic(zv));
        });
        for (ptrdiff_t r = 0; r < n; r++) {
            real *d = delta + r * m, *s = slope + r * m;
            real total = 0, sum = 0, a = d[0] = z[r * m];
            s[0] = 1;
            for (ptrdiff_t j = 0; j < m; j++) {
                a = j ? a + d[j] : a;
                const real error = a - y[r], q = CONSTANT(j);
                total += error * (error > 0 ? 1 - q : -q);
                d[j] = error > 0 ? 1 - q : error < 0 ? -q : error - q; /* NaN passes through */
            }
            for (ptrdiff_t j = m - 1; j >= 0; j--) {
                sum += d[j];
                d[j] = sum * s[j];
            }
            if (row_loss)
                *row_loss++ = (double)total;
        }
    }
}
static void quantiles_on_mean(const loss_t *loss, const real *y, const real *z, double *row_loss, real *delta,
                              ptrdiff_t rows, ptrdiff_t m) {
    quantiles_rows(loss, y, z, row_loss, delta, rows, m);
}
/* softplus'' = softplus' (1 - softplus'), and S_j is constant but for jumps */
static void quantiles_on_mean_tangent(const loss_t *loss, const real *y, const real *z, const real *dz, real *tangent,
                                      real *scratch, ptrdiff_t rows, ptrdiff_t m) {
    quantiles_rows(loss, y, z, NULL, scratch, rows, m);
    FOR_VECTORS(rows * m, { STORE(tangent, LOAD(scratch) * LOAD(dz) * vlogistic(-LOAD(z))); });
    for (ptrdiff_t r = 0; r < rows; r++)
        tangent[r * m] = 0;
}
DIRECT(quantiles)

/* half the Poisson deviance: y log(y / a) - y + a */
INLINE vec l_poisson(const loss_t *loss, vec y, vec a) {
    return choose(greater(y, (vec){0}), y * vlog(y / a), (vec){0}) - y + a;
}
INLINE vec dl_poisson(const loss_t *loss, vec y, vec a) { return (real)1 - y / a; }
INLINE vec d2l_poisson(const loss_t *loss, vec y, vec a) { return y / a / a; }
ELEMENTWISE(poisson)
CANONICAL(poisson)

/* half the gamma deviance: y / a - log(y / a) - 1 */
INLINE vec l_gamma(const loss_t *loss, vec y, vec a) { return y / a - vlog(y / a) - (real)1; }
INLINE vec dl_gamma(const loss_t *loss, vec y, vec a) { return ((real)1 - y / a) / a; }
INLINE vec d2l_gamma(const loss_t *loss, vec y, vec a) { return (y / a * (real)2 - (real)1) / a / a; }
ELEMENTWISE(gamma)
CHAINED(gamma, exp)

/* half the Tweedie deviance of a power p in (1, 2): y^(2-p) / ((1-p) (2-p)) - y a^(1-p) / (1-p) + a^(2-p) / (2-p) */
INLINE vec power_of(vec x, double power) { return vexp(vlog(x) * (real)power); }
INLINE vec l_tweedie(const loss_t *loss, vec y, vec a) {
    const double p = loss->constant[0];
    vec t = power_of(a, 1 - p);
    vec best = choose(greater(y, (vec){0}), power_of(y, 2 - p), (vec){0}) * (real)(1 / ((1 - p) * (2 - p)));
    return best - y * t * (real)(1 / (1 - p)) + a * t * (real)(1 / (2 - p));
}
INLINE vec dl_tweedie(const loss_t *loss, vec y, vec a) {
    return power_of(a, 1 - loss->constant[0]) * ((real)1 - y / a);
}
INLINE vec d2l_tweedie(const loss_t *loss, vec y, vec a) {
    return power_of(a, 1 - loss->constant[0]) / a * (y / a * CONSTANT(0) + ((real)1 - CONSTANT(0)));
}
ELEMENTWISE(tweedie)
CHAINED(tweedie, exp)

/* The negative log-likelihood of normal distributions: (log(2 pi v) + (y - a)^2 / v) / 2, v = e^s + epsilon. The first
 * half of a row has the means a, the second the s. */
#define LOG_2PI ((real)1.83787706640934548356)
static void gaussian_on_mean(const loss_t *loss, const real *y, const real *a, double *row_loss, real *dA,
                             ptrdiff_t rows, ptrdiff_t m) {
    const ptrdiff_t half = m / 2;
    for (ptrdiff_t r = 0; r < rows; r++, y += half, a += m, dA += m) {
        vec total = {0};
        FOR_VECTORS(half, {
            const vec e = vexp(LOAD(a + half)), v = e + CONSTANT(0), error = LOAD(a) - LOAD(y), slope = error / v;
            const vec l = (vlog(v) + error * slope + LOG_2PI) * (real)0.5;
            STORE(dA, slope);
            STORE(dA + half, ((real)1 - error * slope) * (e / v) * (real)0.5);
            total += lanes == VL ? l : choose(first_n(lanes), l, (vec){0});
        });
        row_loss[r] = (double)sum_lanes(total);
    }
}
/* with w = e^s / v, whose derivative by s is w (1 - w) */
static void gaussian_on_mean_tangent(const loss_t *loss, const real *y, const real *a, const real *da, real *tangent,
                                     real *scratch, ptrdiff_t rows, ptrdiff_t m) {
    const ptrdiff_t half = m / 2;
    (void)scratch;
    for (ptrdiff_t r = 0; r < rows; r++, y += half, a += m, da += m, tangent += m)
        FOR_VECTORS(half, {
            const vec e = vexp(LOAD(a + half)), v = e + CONSTANT(0), error = LOAD(a) - LOAD(y), slope = error / v;
            const vec w = e / v, dw = LOAD(da + half) * w;
            const vec change = LOAD(da) / v - slope * dw; /* of the slope */
            STORE(tangent, change);
            STORE(tangent + half,
                  (((real)1 - error * slope) * ((real)1 - w) * dw - w * (LOAD(da) * slope + error * change)) *
                      (real)0.5);
        });
}
DIRECT(gaussian)

#endif
