/* The losses: the loss of one output with its first and second derivative with respect to the mean a, which is the
 * output of the network.
 *
 * In training, a loss gets the raw output z: the functions in the second half of this file compute the loss and
 * delta = d loss / dz in one pass over the rows. If loss and link are a canonical pair, a = link(z) and delta = a - y.
 *
 * Probabilities are clipped to [eps, 1 - eps] of their type, as in scikit-learn. The loss of a row is the sum over its
 * outputs. A new elementwise loss needs three functions here, one line in LOSSES (program.h) and a class in
 * fastbp/losses.py.
 */
#ifndef FASTBP_LOSSES_H
#define FASTBP_LOSSES_H

#include <float.h>

#include "activations.h"

#define EPS ((real)(FASTBP_DOUBLE ? DBL_EPSILON : FLT_EPSILON))

INLINE vec clip_probability(vec p) { return vmax(splat(EPS), vmin(splat((real)1 - EPS), p)); }

/* Every derivative takes y and a; some formulas need only one of them. */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wunused-parameter"

INLINE vec l_squared_error(vec y, vec a) { return (a - y) * (a - y) * (real)0.5; }
INLINE vec dl_squared_error(vec y, vec a) { return a - y; }
INLINE vec d2l_squared_error(vec y, vec a) { return splat(1); }

INLINE vec l_log_loss(vec y, vec a) { return -(y * vlog(clip_probability(a))); }
INLINE vec dl_log_loss(vec y, vec a) { return -(y / clip_probability(a)); }
INLINE vec d2l_log_loss(vec y, vec a) {
    vec p = clip_probability(a);
    return y / p / p;
}

INLINE vec l_binary_log_loss(vec y, vec a) {
    vec p = clip_probability(a);
    return -(y * vlog(p) + ((real)1 - y) * vlog((real)1 - p));
}
INLINE vec dl_binary_log_loss(vec y, vec a) {
    vec p = clip_probability(a);
    return (p - y) / (p * ((real)1 - p));
}
INLINE vec d2l_binary_log_loss(vec y, vec a) {
    vec p = clip_probability(a), q = (real)1 - p;
    return y / p / p + ((real)1 - y) / q / q;
}

/* half the Poisson deviance: y log(y / a) - y + a */
INLINE vec l_poisson(vec y, vec a) { return choose(greater(y, (vec){0}), y * vlog(y / a), (vec){0}) - y + a; }
INLINE vec dl_poisson(vec y, vec a) { return (real)1 - y / a; }
INLINE vec d2l_poisson(vec y, vec a) { return y / a / a; }

#pragma GCC diagnostic pop

/* row_loss[r] = sum of row r of t, m wide */
INLINE void sum_rows(const real *t, double *row_loss, ptrdiff_t rows, ptrdiff_t m) {
    for (ptrdiff_t r = 0; r < rows; r++) {
        real total = 0;
        for (ptrdiff_t j = 0; j < m; j++)
            total += t[r * m + j];
        row_loss[r] = (double)total;
    }
}

#define ROUND ((ptrdiff_t)512) /* size of the buffer of losses of single outputs */
#define LOOPS(name, link, family)                                                                               \
    static void name##_rows(const real *y, const real *a, double *row_loss, ptrdiff_t rows, ptrdiff_t m) {      \
        if (m < VL) { /* few outputs: a vector holds several rows */                                            \
            for (ptrdiff_t n; rows > 0; rows -= n, row_loss += n, y += n * m, a += n * m) {                     \
                real t[ROUND];                                                                                  \
                n = rows < ROUND / m ? rows : ROUND / m;                                                        \
                FOR_VECTORS(n * m, { STORE(t, l_##name(LOAD(y), LOAD(a))); });                                  \
                sum_rows(t, row_loss, n, m);                                                                    \
            }                                                                                                   \
            return;                                                                                             \
        }                                                                                                       \
        for (ptrdiff_t r = 0; r < rows; r++, y += m, a += m) {                                                  \
            vec total = {0};                                                                                    \
            FOR_VECTORS(m, {                                                                                    \
                vec l = l_##name(LOAD(y), LOAD(a));                                                             \
                total += lanes == VL ? l : choose(first_n(lanes), l, (vec){0});                                 \
            });                                                                                                 \
            row_loss[r] = (double)sum_lanes(total);                                                             \
        }                                                                                                       \
    }                                                                                                           \
    static void name##_gradient(const real *y, const real *a, real *dA, ptrdiff_t n) {                          \
        FOR_VECTORS(n, { STORE(dA, dl_##name(LOAD(y), LOAD(a))); });                                            \
    }                                                                                                           \
    static void name##_curvature(const real *y, const real *a, real *d2A, ptrdiff_t n) {                        \
        FOR_VECTORS(n, { STORE(d2A, d2l_##name(LOAD(y), LOAD(a))); });                                          \
    }                                                                                                           \
    static void name##_on_mean(const loss_t *loss, const real *y, const real *a, double *row_loss, real *delta, \
                               ptrdiff_t rows, ptrdiff_t m) {                                                   \
        (void)loss;                                                                                             \
        name##_rows(y, a, row_loss, rows, m);                                                                   \
        name##_gradient(y, a, delta, rows * m);                                                                 \
    }                                                                                                           \
    static void name##_on_mean_tangent(const loss_t *loss, const real *y, const real *a, const real *da,        \
                                       real *tangent, real *scratch, ptrdiff_t rows, ptrdiff_t m) {             \
        (void)loss, (void)scratch;                                                                              \
        FOR_VECTORS(rows * m, { STORE(tangent, LOAD(da) * d2l_##name(LOAD(y), LOAD(a))); });                    \
    }                                                                                                           \
    family(name, link)

/* Loss and link are a canonical pair: delta = l'(a) link'(z) = a - y, so the tangent of delta is that of a. */
#define canonical(name, link)                                                                                          \
    static void name##_on_raw(const loss_t *loss, const real *y, const real *z, double *row_loss, real *delta,         \
                              ptrdiff_t rows, ptrdiff_t m) {                                                           \
        const real *a = z;                                                                                             \
        (void)loss;                                                                                                    \
        if (ACT_##link != ACT_identity) {                                                                              \
            activation_forward(ACT_##link, z, delta, rows, m);                                                         \
            a = delta;                                                                                                 \
        }                                                                                                              \
        name##_rows(y, a, row_loss, rows, m);                                                                          \
        FOR_VECTORS(rows * m, { STORE(delta, LOAD(a) - LOAD(y)); });                                                   \
    }                                                                                                                  \
    static void name##_on_raw_tangent(const loss_t *loss, const real *y, const real *z, const real *dz, real *tangent, \
                                      real *scratch, ptrdiff_t rows, ptrdiff_t m) {                                    \
        (void)loss, (void)y;                                                                                           \
        memcpy(tangent, dz, (size_t)(rows * m) * sizeof(real));                                                        \
        if (ACT_##link != ACT_identity) {                                                                              \
            activation_forward(ACT_##link, z, scratch, rows, m);                                                       \
            activation_backward(ACT_##link, z, scratch, tangent, rows, m);                                             \
        }                                                                                                              \
    }
/* The link is the identity: the raw output is the mean. */
#define direct(name, link)                                                                                             \
    static void name##_on_raw(const loss_t *loss, const real *y, const real *z, double *row_loss, real *delta,         \
                              ptrdiff_t rows, ptrdiff_t m) {                                                           \
        name##_on_mean(loss, y, z, row_loss, delta, rows, m);                                                          \
    }                                                                                                                  \
    static void name##_on_raw_tangent(const loss_t *loss, const real *y, const real *z, const real *dz, real *tangent, \
                                      real *scratch, ptrdiff_t rows, ptrdiff_t m) {                                    \
        name##_on_mean_tangent(loss, y, z, dz, tangent, scratch, rows, m);                                             \
    }
LOSSES(LOOPS)
#undef LOOPS
#undef canonical
#undef direct

/* y (rows, target width); z, a, delta (rows, m). Second index: 0 for the loss of the mean, 1 for that of the raw
 * output. */
typedef void loss_function_t(const loss_t *loss, const real *y, const real *z, double *row_loss, real *delta,
                             ptrdiff_t rows, ptrdiff_t m);
/* tangent = change of delta when z changes by dz; scratch (rows, m) is overwritten */
typedef void loss_tangent_t(const loss_t *loss, const real *y, const real *z, const real *dz, real *tangent,
                            real *scratch, ptrdiff_t rows, ptrdiff_t m);
#define ENTRY(name, link, family) {name##_on_mean, name##_on_raw},
static loss_function_t *const loss_functions[][2] = {LOSSES(ENTRY)};
#undef ENTRY
#define ENTRY(name, link, family) {name##_on_mean_tangent, name##_on_raw_tangent},
static loss_tangent_t *const loss_tangents[][2] = {LOSSES(ENTRY)};
#undef ENTRY

/* The loss of each row, and delta = d loss / dz, from the raw output z */
static void loss_on_raw(const loss_t *loss, const void *y, const void *z, double *row_loss, void *delta, int64_t rows,
                        int64_t m) {
    loss_functions[loss->kind][1](loss, y, z, row_loss, delta, rows, m);
}

/* row_loss[r] = sum_j l(y[r, j], a[r, j]) */
static void loss_rows(int loss, const void *y, const void *a, double *row_loss, int64_t rows, int64_t m) {
    switch (loss) {
#define CASE(name, link, family) \
    case LOSS_##name: name##_rows(y, a, row_loss, rows, m); break;
        LOSSES(CASE)
#undef CASE
    }
}

/* dA = dl/da */
static void loss_gradient(int loss, const void *y, const void *a, void *dA, int64_t rows, int64_t m) {
    switch (loss) {
#define CASE(name, link, family) \
    case LOSS_##name: name##_gradient(y, a, dA, rows *m); break;
        LOSSES(CASE)
#undef CASE
    }
}

/* d2A = d2l/da2; the Hessian is diagonal, because the loss is a sum over the outputs */
static void loss_curvature(int loss, const void *y, const void *a, void *d2A, int64_t rows, int64_t m) {
    switch (loss) {
#define CASE(name, link, family) \
    case LOSS_##name: name##_curvature(y, a, d2A, rows *m); break;
        LOSSES(CASE)
#undef CASE
    }
}

#endif
