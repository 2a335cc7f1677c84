/* The losses. Each has four functions over rows:
 *
 *     name_on_mean           the loss of each row and its gradient dA, from the network's output, the mean a
 *     name_on_mean_tangent   the change of dA when a changes by da
 *     name_on_raw            the loss of each row and delta = d loss / dz, from the raw output z; a = link(z)
 *     name_on_raw_tangent    the change of delta when z changes by dz
 *
 * Macros write them. ELEMENTWISE writes the first two for a loss that is a sum over the outputs of a row, from the loss
 * of one output, l_name, and its first and second derivative. CANONICAL, CHAINED and DIRECT write the other two. A loss
 * of another form has functions of its own, which must also take targets of another width than the output's
 * (loss->target_width). All functions get the constants of the loss.
 *
 * Probabilities are clipped to [eps, 1 - eps] of their type, as in scikit-learn. A new loss needs its functions in
 * losses/, one line in LOSSES (program.h) and a class in fastbp/losses/.
 */
#ifndef FASTBP_LOSSES_H
#define FASTBP_LOSSES_H

#include <float.h>

#include "activations.h"

#define EPS ((real)(FASTBP_DOUBLE ? DBL_EPSILON : FLT_EPSILON))

INLINE vec clip_probability(vec p) { return vmax(splat(EPS), vmin(splat((real)1 - EPS), p)); }

/* LINK_name: the link of each loss */
#define ENTRY(name, link, ...) LINK_##name = ACT_##link,
enum { LOSSES(ENTRY) };
#undef ENTRY
INLINE int is_identity(int activation) { return activation == ACT_identity; }

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
#define ELEMENTWISE(name)                                                                                       \
    static void name##_rows(const loss_t *loss, const real *y, const real *a, double *row_loss, ptrdiff_t rows, \
                            ptrdiff_t m) {                                                                      \
        if (m < VL) { /* few outputs: a vector holds several rows */                                            \
            for (ptrdiff_t n; rows > 0; rows -= n, row_loss += n, y += n * m, a += n * m) {                     \
                real t[ROUND];                                                                                  \
                n = rows < ROUND / m ? rows : ROUND / m;                                                        \
                FOR_VECTORS(n * m, { STORE(t, l_##name(loss, LOAD(y), LOAD(a))); });                            \
                sum_rows(t, row_loss, n, m);                                                                    \
            }                                                                                                   \
            return;                                                                                             \
        }                                                                                                       \
        for (ptrdiff_t r = 0; r < rows; r++, y += m, a += m) {                                                  \
            vec total = {0};                                                                                    \
            FOR_VECTORS(m, {                                                                                    \
                vec l = l_##name(loss, LOAD(y), LOAD(a));                                                       \
                total += lanes == VL ? l : choose(first_n(lanes), l, (vec){0});                                 \
            });                                                                                                 \
            row_loss[r] = (double)sum_lanes(total);                                                             \
        }                                                                                                       \
    }                                                                                                           \
    static void name##_on_mean(const loss_t *loss, const real *y, const real *a, double *row_loss, real *dA,    \
                               ptrdiff_t rows, ptrdiff_t m) {                                                   \
        name##_rows(loss, y, a, row_loss, rows, m);                                                             \
        FOR_VECTORS(rows * m, { STORE(dA, dl_##name(loss, LOAD(y), LOAD(a))); });                               \
    }                                                                                                           \
    static void name##_on_mean_tangent(const loss_t *loss, const real *y, const real *a, const real *da,        \
                                       real *tangent, real *scratch, ptrdiff_t rows, ptrdiff_t m) {             \
        (void)scratch;                                                                                          \
        FOR_VECTORS(rows * m, { STORE(tangent, LOAD(da) * d2l_##name(loss, LOAD(y), LOAD(a))); });              \
    }

/* Loss and link are a canonical pair: delta = l'(a) link'(z) = a - target(loss, y), so the tangent of delta is that
 * of a. */
#define CANONICAL_TO(name, target)                                                                                     \
    static void name##_on_raw(const loss_t *loss, const real *y, const real *z, double *row_loss, real *delta,         \
                              ptrdiff_t rows, ptrdiff_t m) {                                                           \
        const real *a = z;                                                                                             \
        if (!is_identity(LINK_##name)) {                                                                               \
            activation_forward(LINK_##name, z, delta, rows, m);                                                        \
            a = delta;                                                                                                 \
        }                                                                                                              \
        name##_rows(loss, y, a, row_loss, rows, m);                                                                    \
        FOR_VECTORS(rows * m, { STORE(delta, LOAD(a) - target(loss, LOAD(y))); });                                     \
    }                                                                                                                  \
    static void name##_on_raw_tangent(const loss_t *loss, const real *y, const real *z, const real *dz, real *tangent, \
                                      real *scratch, ptrdiff_t rows, ptrdiff_t m) {                                    \
        (void)loss, (void)y;                                                                                           \
        memcpy(tangent, dz, (size_t)(rows * m) * sizeof(real));                                                        \
        if (!is_identity(LINK_##name)) {                                                                               \
            activation_forward(LINK_##name, z, scratch, rows, m);                                                      \
            activation_backward(LINK_##name, z, scratch, tangent, rows, m);                                            \
        }                                                                                                              \
    }
#define CANONICAL(name) CANONICAL_TO(name, given_target)
INLINE vec given_target(const loss_t *loss, vec y) {
    (void)loss;
    return y;
}

/* Another loss whose link is not the identity: delta = l'(a) f'(z), with a = f(z) */
#define CHAINED(name, link)                                                                                            \
    static void name##_on_raw(const loss_t *loss, const real *y, const real *z, double *row_loss, real *delta,         \
                              ptrdiff_t rows, ptrdiff_t m) {                                                           \
        activation_forward(LINK_##name, z, delta, rows, m);                                                            \
        name##_rows(loss, y, delta, row_loss, rows, m);                                                                \
        FOR_VECTORS(rows * m, {                                                                                        \
            const vec a = LOAD(delta);                                                                                 \
            STORE(delta, dl_##name(loss, LOAD(y), a) * df_##link(LOAD(z), a));                                         \
        });                                                                                                            \
    }                                                                                                                  \
    static void name##_on_raw_tangent(const loss_t *loss, const real *y, const real *z, const real *dz, real *tangent, \
                                      real *scratch, ptrdiff_t rows, ptrdiff_t m) {                                    \
        (void)scratch;                                                                                                 \
        FOR_VECTORS(rows * m, {                                                                                        \
            const vec zv = LOAD(z), yv = LOAD(y), a = f_##link(zv), slope = df_##link(zv, a);                          \
            const vec bend = d2l_##name(loss, yv, a) * slope * slope + dl_##name(loss, yv, a) * d2f_##link(zv, a);     \
            STORE(tangent, LOAD(dz) * bend);                                                                           \
        });                                                                                                            \
    }

/* The link is the identity: the raw output is the output. */
#define DIRECT(name)                                                                                                   \
    static void name##_on_raw(const loss_t *loss, const real *y, const real *z, double *row_loss, real *delta,         \
                              ptrdiff_t rows, ptrdiff_t m) {                                                           \
        name##_on_mean(loss, y, z, row_loss, delta, rows, m);                                                          \
    }                                                                                                                  \
    static void name##_on_raw_tangent(const loss_t *loss, const real *y, const real *z, const real *dz, real *tangent, \
                                      real *scratch, ptrdiff_t rows, ptrdiff_t m) {                                    \
        name##_on_mean_tangent(loss, y, z, dz, tangent, scratch, rows, m);                                             \
    }

#define CONSTANT(i) ((real)loss->constant[i])

/* Every formula takes the loss, y and a; some need only one of them. */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wunused-parameter"
#include "losses/classification.h"
#include "losses/regression.h"
#pragma GCC diagnostic pop

/* y (rows, target width); z, a, delta (rows, m). Second index: 0 for the loss of the mean, 1 for that of the raw
 * output. */
typedef void loss_function_t(const loss_t *loss, const real *y, const real *z, double *row_loss, real *delta,
                             ptrdiff_t rows, ptrdiff_t m);
/* tangent = change of delta when z changes by dz; scratch (rows, m) is overwritten */
typedef void loss_tangent_t(const loss_t *loss, const real *y, const real *z, const real *dz, real *tangent,
                            real *scratch, ptrdiff_t rows, ptrdiff_t m);
#define ENTRY(name, ...) {name##_on_mean, name##_on_raw},
static loss_function_t *const loss_functions[][2] = {LOSSES(ENTRY)};
#undef ENTRY
#define ENTRY(name, ...) {name##_on_mean_tangent, name##_on_raw_tangent},
static loss_tangent_t *const loss_tangents[][2] = {LOSSES(ENTRY)};
#undef ENTRY

#endif
