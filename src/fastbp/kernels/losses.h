/* The losses: the loss of one output beside its first and second derivative with respect to the network's output a.
 *
 * Probabilities are clipped to [eps, 1 - eps] of their own type, as scikit-learn does. A row's loss is the sum
 * over its outputs. A new loss is three functions here and one line in LOSSES (isa.h).
 */
#ifndef FASTBP_LOSSES_H
#define FASTBP_LOSSES_H

#include <float.h>

#include "activations.h"

#define EPS ((real)(FASTBP_DOUBLE ? DBL_EPSILON : FLT_EPSILON))

INLINE vec clip_probability(vec p) { return vmax(splat(EPS), vmin(splat((real)1 - EPS), p)); }

/* Every derivative is given y and a, whichever of them its formula has. */
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

#define ROUND ((ptrdiff_t)512) /* losses of single outputs that are held at a time */
#define LOOPS(name, canonical)                                                                             \
    static void name##_rows(const real *y, const real *a, double *row_loss, ptrdiff_t rows, ptrdiff_t m) { \
        if (m < VL) { /* few outputs: a vector holds several rows */                                       \
            for (ptrdiff_t n; rows > 0; rows -= n, row_loss += n, y += n * m, a += n * m) {                \
                real t[ROUND];                                                                             \
                n = rows < ROUND / m ? rows : ROUND / m;                                                   \
                FOR_VECTORS(n * m, { STORE(t, l_##name(LOAD(y), LOAD(a))); });                             \
                sum_rows(t, row_loss, n, m);                                                               \
            }                                                                                              \
            return;                                                                                        \
        }                                                                                                  \
        for (ptrdiff_t r = 0; r < rows; r++, y += m, a += m) {                                             \
            vec total = {0};                                                                               \
            FOR_VECTORS(m, {                                                                               \
                vec l = l_##name(LOAD(y), LOAD(a));                                                        \
                total += left == VL ? l : choose(first_n(left), l, (vec){0});                              \
            });                                                                                            \
            row_loss[r] = (double)sum_lanes(total);                                                        \
        }                                                                                                  \
    }                                                                                                      \
    static void name##_gradient(const real *y, const real *a, real *dA, ptrdiff_t n) {                     \
        FOR_VECTORS(n, { STORE(dA, dl_##name(LOAD(y), LOAD(a))); });                                       \
    }                                                                                                      \
    static void name##_curvature(const real *y, const real *a, real *d2A, ptrdiff_t n) {                   \
        FOR_VECTORS(n, { STORE(d2A, d2l_##name(LOAD(y), LOAD(a))); });                                     \
    }
LOSSES(LOOPS)
#undef LOOPS

/* row_loss[r] = sum_j l(y[r, j], a[r, j]) */
static void loss_rows(int loss, const real *y, const real *a, double *row_loss, ptrdiff_t rows, ptrdiff_t m) {
    switch (loss) {
#define CASE(name, canonical) \
    case LOSS_##name: name##_rows(y, a, row_loss, rows, m); break;
        LOSSES(CASE)
#undef CASE
    }
}

/* dA = dl/da */
static void loss_gradient(int loss, const real *y, const real *a, real *dA, ptrdiff_t rows, ptrdiff_t m) {
    switch (loss) {
#define CASE(name, canonical) \
    case LOSS_##name: name##_gradient(y, a, dA, rows *m); break;
        LOSSES(CASE)
#undef CASE
    }
}

/* d2A = d2l/da2: no output's loss depends on another output, so the Hessian is a diagonal */
static void loss_curvature(int loss, const real *y, const real *a, real *d2A, ptrdiff_t rows, ptrdiff_t m) {
    switch (loss) {
#define CASE(name, canonical) \
    case LOSS_##name: name##_curvature(y, a, d2A, rows *m); break;
        LOSSES(CASE)
#undef CASE
    }
}

/* delta = dl/dz of the last layer. For a canonical pair of loss and output activation the two derivatives cancel:
 * delta = a - y. Otherwise the chain rule is applied factor by factor. */
static void output_delta(int loss, int canonical, int activation, const real *y, const real *z, const real *a,
                         real *delta, ptrdiff_t rows, ptrdiff_t m) {
    if (canonical) {
        FOR_VECTORS(rows * m, { STORE(delta, LOAD(a) - LOAD(y)); });
    } else {
        loss_gradient(loss, y, a, delta, rows, m);
        activation_backward(activation, z, a, delta, rows, m);
    }
}

#endif
