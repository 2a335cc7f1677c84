/* What becomes of a gradient: added to what is there (accumulate), or made into a step (sgd, adam).
 *
 *     g   gradient of the batch loss            (n,)
 *     w   weights, overwritten by a step        (n,)
 *     s0, s1   state, laid out as the weights   (n,)
 *
 * Scalars are computed in double and rounded once to the real type. A new optimizer is one function here and one
 * line in UPDATES (isa.h).
 */
#ifndef FASTBP_UPDATES_H
#define FASTBP_UPDATES_H

#include "isa.h"
#include "simd.h"

/* Every optimizer is given both states, however many it keeps. */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wunused-parameter"

static void update_accumulate(const update_t *u, const real *g, real *w, real *s0, real *s1, ptrdiff_t n) {
    FOR_VECTORS(n, { STORE(s0, LOAD(s0) + LOAD(g)); });
}

/* v = mu v - eta g; w += v, or with Nesterov's look-ahead w += mu v - eta g (Sutskever et al., 2013) */
static void update_sgd(const update_t *u, const real *g, real *w, real *s0, real *s1, ptrdiff_t n) {
    const real mu = (real)u->momentum, eta = (real)u->learning_rate;
    if (u->nesterov) {
        FOR_VECTORS(n, {
            vec step = LOAD(g) * eta;
            vec v = LOAD(s0) * mu - step;
            STORE(s0, v);
            STORE(w, LOAD(w) + (v * mu - step));
        });
    } else {
        FOR_VECTORS(n, {
            vec v = LOAD(s0) * mu - LOAD(g) * eta;
            STORE(s0, v);
            STORE(w, LOAD(w) + v);
        });
    }
}

/* m = b1 m + (1 - b1) g; v = b2 v + (1 - b2) g^2; w -= eta_t m / (sqrt v + eps) (Kingma and Ba, 2015, with the bias
 * corrections in eta_t = eta sqrt(1 - b2^t) / (1 - b1^t), as at the end of their section 2) */
static void update_adam(const update_t *u, const real *g, real *w, real *s0, real *s1, ptrdiff_t n) {
    const real b1 = (real)u->beta_1, c1 = (real)(1 - u->beta_1), b2 = (real)u->beta_2, c2 = (real)(1 - u->beta_2);
    const real eta = (real)u->learning_rate, eps = (real)u->epsilon;
    FOR_VECTORS(n, {
        vec grad = LOAD(g);
        vec m = LOAD(s0) * b1 + grad * c1;
        vec v = LOAD(s1) * b2 + (grad * grad) * c2;
        STORE(s0, m);
        STORE(s1, v);
        STORE(w, LOAD(w) - m * eta / (vsqrt(v) + eps));
    });
}

#pragma GCC diagnostic pop

static void apply_update(const update_t *u, const real *g, real *w, real *s0, real *s1, ptrdiff_t n) {
    switch (u->kind) {
#define CASE(name, states) \
    case UPDATE_##name: update_##name(u, g, w, s0, s1, n); break;
        UPDATES(CASE)
#undef CASE
    }
}

#endif
