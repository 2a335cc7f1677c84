/* The optimizers: updates of the weights by their gradient.
 *
 *     g       gradient of the batch loss            (n,)
 *     w       weights, overwritten                  (n,)
 *     state   arrays laid out as the weights        (n,) each, overwritten
 *     rate    learning rate of this step, times the group's factor and the correction
 *
 * An optimizer is two functions here, one line in OPTIMIZERS (program.h) and a dataclass in fastbp/optimizers.py.
 * Scalars are computed in double and rounded once to the real type.
 */
#ifndef FASTBP_OPTIMIZERS_H
#define FASTBP_OPTIMIZERS_H

#include "program.h"
#include "simd.h"

/* v = mu v - eta g; w += v, or with Nesterov's momentum w += mu v - eta g (Sutskever et al., 2013) */
static double correction_sgd(const optimizer_t *o, int64_t step) {
    (void)o, (void)step;
    return 1;
}
static void update_sgd(const optimizer_t *o, double rate, const real *g, real *w, real *const *state, ptrdiff_t n) {
    const real mu = (real)o->sgd.momentum, eta = (real)rate;
    real *s = state[0];
    if (o->sgd.nesterovs_momentum != 0) {
        FOR_VECTORS(n, {
            vec step = LOAD(g) * eta;
            vec v = LOAD(s) * mu - step;
            STORE(s, v);
            STORE(w, LOAD(w) + (v * mu - step));
        });
    } else {
        FOR_VECTORS(n, {
            vec v = LOAD(s) * mu - LOAD(g) * eta;
            STORE(s, v);
            STORE(w, LOAD(w) + v);
        });
    }
}

/* m = b1 m + (1 - b1) g; v = b2 v + (1 - b2) g^2; w -= eta_t m / (sqrt v + eps) (Kingma and Ba, 2015, with the bias
 * corrections in eta_t = eta sqrt(1 - b2^t) / (1 - b1^t), as at the end of their section 2) */
static double correction_adam(const optimizer_t *o, int64_t step) {
    return sqrt(1 - pow(o->adam.beta_2, (double)step)) / (1 - pow(o->adam.beta_1, (double)step));
}
static void update_adam(const optimizer_t *o, double rate, const real *g, real *w, real *const *state, ptrdiff_t n) {
    const real b1 = (real)o->adam.beta_1, c1 = (real)(1 - o->adam.beta_1);
    const real b2 = (real)o->adam.beta_2, c2 = (real)(1 - o->adam.beta_2);
    const real eta = (real)rate, eps = (real)o->adam.epsilon;
    real *s0 = state[0], *s1 = state[1];
    FOR_VECTORS(n, {
        vec grad = LOAD(g);
        vec m = LOAD(s0) * b1 + grad * c1;
        vec v = LOAD(s1) * b2 + (grad * grad) * c2;
        STORE(s0, m);
        STORE(s1, v);
        STORE(w, LOAD(w) - m * eta / (vsqrt(v) + eps));
    });
}

#define LIMITS(name, n_states, ...)                                                           \
    _Static_assert((n_states) <= MAX_STATES, #name " has more state arrays than MAX_STATES"); \
    _Static_assert(sizeof(((optimizer_t *)0)->name) <= MAX_CONSTANTS * sizeof(double),        \
                   #name " has more constants than MAX_CONSTANTS");
OPTIMIZERS(LIMITS)
#undef LIMITS

/* Compute the scalars of step number `step`, counted from 1. */
static void prepare_optimizer(optimizer_t *o, int64_t step) {
    switch (o->kind) {
#define CASE(name, ...) \
    case OPTIMIZER_##name: o->correction = correction_##name(o, step); break;
        OPTIMIZERS(CASE)
#undef CASE
    }
}

static void apply_update(const optimizer_t *o, double factor, const real *g, real *w, real *const *state, ptrdiff_t n) {
    const double rate = o->learning_rate * factor * o->correction;
    switch (o->kind) {
#define CASE(name, ...) \
    case OPTIMIZER_##name: update_##name(o, rate, g, w, state, n); break;
        OPTIMIZERS(CASE)
#undef CASE
    }
}

#endif
