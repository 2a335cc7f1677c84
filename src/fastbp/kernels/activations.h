/* The activations: each function f with its derivatives f' and f'', elementwise on vectors.
 *
 *     forward   a = f(z)
 *     backward  delta *= f'(z)      a formula of a = f(z) if there is one, else of z
 *     tangent of backward           d(dA f'(z)) = d(dA) f'(z) + dA f''(z) dz
 *
 * A new activation needs three functions here, one line in ACTIVATIONS (program.h) and its formula in
 * fastbp/activations.py. Python, the parameter constraints of the estimators and the tests take the name from
 * ACTIVATIONS.
 */
#ifndef FASTBP_ACTIVATIONS_H
#define FASTBP_ACTIVATIONS_H

#include "program.h"
#include "vmath.h"

#define LEAKY_SLOPE ((real)0.01)
/* Klambauer et al. (2017), Self-Normalizing Neural Networks, eq. 14 */
#define SELU_ALPHA ((real)1.6732632423543772848)
#define SELU_SCALE ((real)1.0507009873554804934)
#define INV_SQRT_2PI ((real)0.39894228040143267794)

/* Every derivative takes z and a; most formulas need only one of them. */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wunused-parameter"

INLINE vec f_logistic(vec z) { return vlogistic(z); }
INLINE vec df_logistic(vec z, vec a) { return a * ((real)1 - a); }
INLINE vec d2f_logistic(vec z, vec a) { return a * ((real)1 - a) * ((real)1 - a * (real)2); }

INLINE vec f_tanh(vec z) { return vtanh(z); }
INLINE vec df_tanh(vec z, vec a) { return (real)1 - a * a; }
INLINE vec d2f_tanh(vec z, vec a) { return a * (a * a - (real)1) * (real)2; }

INLINE vec f_relu(vec z) { return vmax((vec){0}, z); } /* second argument: NaN passes through */
INLINE vec df_relu(vec z, vec a) { return choose(greater(a, (vec){0}), splat(1), (vec){0}); }
INLINE vec d2f_relu(vec z, vec a) { return (vec){0}; }

INLINE vec f_leaky_relu(vec z) { return choose(less(z, (vec){0}), z * LEAKY_SLOPE, z); }
INLINE vec df_leaky_relu(vec z, vec a) { return choose(greater(a, (vec){0}), splat(1), splat(LEAKY_SLOPE)); }
INLINE vec d2f_leaky_relu(vec z, vec a) { return (vec){0}; }

INLINE vec f_elu(vec z) { return choose(less(z, (vec){0}), vexpm1(z), z); }
INLINE vec df_elu(vec z, vec a) { return choose(less(a, (vec){0}), a + (real)1, splat(1)); }
INLINE vec d2f_elu(vec z, vec a) { return choose(less(a, (vec){0}), a + (real)1, (vec){0}); }

INLINE vec f_selu(vec z) { return choose(less(z, (vec){0}), vexpm1(z) * SELU_ALPHA, z) * SELU_SCALE; }
INLINE vec df_selu(vec z, vec a) { return choose(less(a, (vec){0}), a + SELU_ALPHA * SELU_SCALE, splat(SELU_SCALE)); }
INLINE vec d2f_selu(vec z, vec a) { return choose(less(a, (vec){0}), a + SELU_ALPHA * SELU_SCALE, (vec){0}); }

INLINE vec f_gelu(vec z) { return z * vnormal_cdf(z); } /* Hendrycks and Gimpel (2016): x Phi(x), exact */
INLINE vec normal_pdf(vec z) { return rounded(vexp(z * z * (real)-0.5) * INV_SQRT_2PI); }
INLINE vec df_gelu(vec z, vec a) { return vnormal_cdf(z) + z * normal_pdf(z); }
INLINE vec d2f_gelu(vec z, vec a) {
    vec p = normal_pdf(z);
    return p * (real)2 - rounded(z * p * z); /* p (2 - z^2), where z^2 may overflow */
}

INLINE vec f_silu(vec z) { return z * vlogistic(z); }
INLINE vec df_silu(vec z, vec a) {
    vec s = vlogistic(z);
    return s + z * (s * ((real)1 - s));
}
INLINE vec d2f_silu(vec z, vec a) {
    vec s = vlogistic(z);
    return s * ((real)1 - s) * (z * ((real)1 - s * (real)2) + (real)2);
}

/* Misra (2019): z tanh(softplus z). With e = e^z and n = e (e + 2): tanh(log(1 + e)) = n / (n + 2). */
#define MISH_LINEAR ((real)40) /* from here on mish is z to the last bit */
INLINE vec mish_e(vec z) { return vexp(vmin(splat(MISH_LINEAR), z)); }
INLINE vec f_mish(vec z) {
    vec e = mish_e(z), n = e * (e + (real)2);
    return z * (n / (n + (real)2));
}
INLINE vec df_mish(vec z, vec a) {
    vec e = mish_e(z), n = e * (e + (real)2), d = n + (real)2;
    vec slope = n / d + z * ((e * (e + (real)1)) / d * (real)4 / d);
    return choose(less(z, splat(MISH_LINEAR)), slope, choose(greater(z, (vec){0}), splat(1), z));
}
/* with t = tanh(softplus z), 1 - t^2 = 4 (n + 1) / (n + 2)^2, and s = logistic z: (1 - t^2) s (2 + z (1 - s - 2 t s))
 */
INLINE vec d2f_mish(vec z, vec a) {
    vec e = mish_e(z), n = e * (e + (real)2), d = n + (real)2, t = n / d, s = e / (e + (real)1);
    vec bend = (n + (real)1) / d * (real)4 / d * s * (z * ((real)1 - s - t * s * (real)2) + (real)2);
    return choose(less(z, splat(MISH_LINEAR)), bend, (vec){0});
}

INLINE vec f_softplus(vec z) { return vmax((vec){0}, z) + vlog1p(vexp(-vabs(z))); }
INLINE vec df_softplus(vec z, vec a) { return -vexpm1(-a); } /* logistic(z) = 1 - e^(-a) */
INLINE vec d2f_softplus(vec z, vec a) { return -vexpm1(-a) * vexp(-a); }

INLINE vec f_exp(vec z) { return vexp(z); }
INLINE vec df_exp(vec z, vec a) { return a; }
INLINE vec d2f_exp(vec z, vec a) { return a; }

#pragma GCC diagnostic pop

/* softmax works on whole rows: a_j = e^(z_j - max z) / sum_i e^(z_i - max z) */
INLINE void softmax_row(const real *z, real *a, ptrdiff_t m) {
    vec top = splat((real)-INFINITY), total = {0};
    FOR_VECTORS(m, { top = vmax(lanes == VL ? load(z + i) : choose(first_n(lanes), load_n(z + i, lanes), top), top); });
    const real z_max = max_lanes(top);
    FOR_VECTORS(m, {
        vec e = vexp(LOAD(z) - z_max);
        STORE(a, e);
        total += lanes == VL ? e : choose(first_n(lanes), e, (vec){0});
    });
    const real scale = (real)1 / sum_lanes(total);
    FOR_VECTORS(m, { STORE(a, LOAD(a) * scale); });
}

/* The same for rows shorter than a vector. Only the exponentials, which take most of the time, are computed on vectors,
 * over the ends of rows. */
INLINE void softmax_narrow(const real *z, real *a, ptrdiff_t rows, ptrdiff_t m) {
    for (ptrdiff_t r = 0; r < rows; r++) {
        real top = z[r * m];
        for (ptrdiff_t j = 1; j < m; j++)
            top = larger(z[r * m + j], top);
        for (ptrdiff_t j = 0; j < m; j++)
            a[r * m + j] = z[r * m + j] - top;
    }
    FOR_VECTORS(rows * m, { STORE(a, vexp(LOAD(a))); });
    for (ptrdiff_t r = 0; r < rows; r++) {
        real total = 0;
        for (ptrdiff_t j = 0; j < m; j++)
            total += a[r * m + j];
        const real scale = (real)1 / total;
        for (ptrdiff_t j = 0; j < m; j++)
            a[r * m + j] *= scale;
    }
}

static void softmax_forward(const real *z, real *a, ptrdiff_t rows, ptrdiff_t m) {
    if (m < VL)
        softmax_narrow(z, a, rows, m);
    else
        for (ptrdiff_t r = 0; r < rows; r++)
            softmax_row(z + r * m, a + r * m, m);
}

/* backward: delta_j = a_j (dA_j - sum_i dA_i a_i), the product with the transposed Jacobian diag(a) - a a^T */
static void softmax_backward_row(const real *a, real *delta, ptrdiff_t m) {
    vec inner = {0};
    FOR_VECTORS(m, { inner += LOAD(delta) * LOAD(a); });
    const real s = sum_lanes(inner);
    FOR_VECTORS(m, { STORE(delta, LOAD(a) * (LOAD(delta) - s)); });
}

/* the tangent of the line above: da_j (dA_j - s) + a_j (d(dA_j) - ds), with ds = sum_i d(dA_i) a_i + dA_i da_i */
static void softmax_backward_tangent_row(const real *a, const real *da, const real *dA, real *tangent, ptrdiff_t m) {
    vec inner = {0}, change = {0};
    FOR_VECTORS(m, {
        inner += LOAD(dA) * LOAD(a);
        change += LOAD(tangent) * LOAD(a) + LOAD(dA) * LOAD(da);
    });
    const real s = sum_lanes(inner), ds = sum_lanes(change);
    FOR_VECTORS(m, { STORE(tangent, LOAD(da) * (LOAD(dA) - s) + LOAD(a) * (LOAD(tangent) - ds)); });
}

#define LOOPS(name, needs_z)                                                                                         \
    static void name##_forward(const real *z, real *a, ptrdiff_t n) {                                                \
        FOR_VECTORS(n, { STORE(a, f_##name(LOAD(z))); });                                                            \
    }                                                                                                                \
    static void name##_backward(const real *z, const real *a, real *delta, ptrdiff_t n) {                            \
        FOR_VECTORS(n, { STORE(delta, LOAD(delta) * df_##name(needs_z ? LOAD(z) : (vec){0}, LOAD(a))); });           \
    }                                                                                                                \
    static void name##_backward_tangent(const real *z, const real *a, const real *dz, const real *dA, real *tangent, \
                                        ptrdiff_t n) {                                                               \
        FOR_VECTORS(n, {                                                                                             \
            const vec zv = LOAD(z), av = LOAD(a);                                                                    \
            STORE(tangent,                                                                                           \
                  rounded(LOAD(tangent) * df_##name(zv, av)) + rounded(LOAD(dA) * LOAD(dz) * d2f_##name(zv, av)));   \
        });                                                                                                          \
    }
ELEMENTWISE_BUT_IDENTITY(LOOPS)
#undef LOOPS

/* a = f(z) for `rows` rows of m units, contiguous; a may be z */
static void activation_forward(int activation, const void *z_, void *a_, int64_t rows, int64_t m) {
    const real *z = z_;
    real *a = a_;
    switch (activation) {
    case ACT_identity:
        if (a != z)
            memcpy(a, z, (size_t)(rows * m) * sizeof(real));
        break;
    case ACT_softmax: softmax_forward(z, a, rows, m); break;
#define CASE(name, needs_z) \
    case ACT_##name: name##_forward(z, a, rows *m); break;
        ELEMENTWISE_BUT_IDENTITY(CASE)
#undef CASE
    }
}

/* delta *= f'(z) for `rows` rows of m units; z is read only by the activations that keep it */
static void activation_backward(int activation, const void *z, const void *a_, void *delta_, int64_t rows, int64_t m) {
    const real *a = a_;
    real *delta = delta_;
    switch (activation) {
    case ACT_identity: break;
    case ACT_softmax:
        for (ptrdiff_t r = 0; r < rows; r++)
            softmax_backward_row(a + r * m, delta + r * m, m);
        break;
#define CASE(name, needs_z) \
    case ACT_##name: name##_backward(z, a, delta, rows *m); break;
        ELEMENTWISE_BUT_IDENTITY(CASE)
#undef CASE
    }
}

/* The change of activation_backward(dA) when z changes by dz, a by da, and dA by `tangent`, which is overwritten with
 * it (forward mode over reverse mode; Pearlmutter, 1994). As above, z is read only by the activations that keep it. */
static void activation_backward_tangent(int activation, const void *z, const void *a_, const void *dz, const void *da_,
                                        const void *dA_, void *tangent_, int64_t rows, int64_t m) {
    const real *a = a_, *da = da_, *dA = dA_;
    real *tangent = tangent_;
    switch (activation) {
    case ACT_identity: break;
    case ACT_softmax:
        for (ptrdiff_t r = 0; r < rows; r++)
            softmax_backward_tangent_row(a + r * m, da + r * m, dA + r * m, tangent + r * m, m);
        break;
#define CASE(name, needs_z) \
    case ACT_##name: name##_backward_tangent(z, a, dz, dA, tangent, rows *m); break;
        ELEMENTWISE_BUT_IDENTITY(CASE)
#undef CASE
    }
}

#endif
