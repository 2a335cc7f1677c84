/* The optimizers: updates of the weights by their gradient.
 *
 *     g       gradient of the batch loss            (n,), or (rows, cols) for an update of a whole block
 *     w       weights, overwritten                  the same
 *     state   arrays laid out as all parameters; those of the weights begin at `place`, and are overwritten
 *     rate    learning rate of this step, times the group's factor and the correction
 *     scratch of update_scratch numbers, only for an update of a whole block
 *
 * An optimizer is two functions here (three, if it updates whole blocks), one line in OPTIMIZERS (program.h) and a
 * dataclass in fastbp/optimizers.py. Scalars are computed in double and rounded once to the real type.
 */
#ifndef FASTBP_OPTIMIZERS_H
#define FASTBP_OPTIMIZERS_H

#include "gemm.h"
#include "program.h"
#include "simd.h"

/* v = mu v - eta g; w += v, or with Nesterov's momentum w += mu v - eta g (Sutskever et al., 2013) */
static double correction_sgd(const optimizer_t *o, int64_t step) {
    (void)o, (void)step;
    return 1;
}
static void update_sgd(const optimizer_t *o, double rate, const real *g, real *w, void *const *state, ptrdiff_t place,
                       ptrdiff_t n) {
    const real mu = (real)o->sgd.momentum, eta = (real)rate;
    real *s = (real *)state[0] + place;
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
static void update_adam(const optimizer_t *o, double rate, const real *g, real *w, void *const *state, ptrdiff_t place,
                        ptrdiff_t n) {
    const real b1 = (real)o->adam.beta_1, c1 = (real)(1 - o->adam.beta_1);
    const real b2 = (real)o->adam.beta_2, c2 = (real)(1 - o->adam.beta_2);
    const real eta = (real)rate, eps = (real)o->adam.epsilon;
    real *s0 = (real *)state[0] + place, *s1 = (real *)state[1] + place;
    FOR_VECTORS(n, {
        vec grad = LOAD(g);
        vec m = LOAD(s0) * b1 + grad * c1;
        vec v = LOAD(s1) * b2 + (grad * grad) * c2;
        STORE(s0, m);
        STORE(s1, v);
        STORE(w, LOAD(w) - m * eta / (vsqrt(v) + eps));
    });
}

/* The Euclidean norm, without overflow of the squares */
static double norm(const void *x_, int64_t n) {
    const real *x = x_;
    double largest = 0, total = 0;
    for (int64_t i = 0; i < n; i++)
        largest = fabs((double)x[i]) > largest ? fabs((double)x[i]) : largest;
    if (largest == 0)
        return 0;
    for (int64_t i = 0; i < n; i++)
        total += (double)x[i] / largest * ((double)x[i] / largest);
    return largest * sqrt(total);
}

/* Move x near the orthogonal matrix closest to it: U V^T of its singular value decomposition U S V^T. The iteration
 * x = a x + b x (x^T x) + c x (x^T x)^2 brings all singular values between 0 and 1 near 1 (Newton and Schulz, with the
 * coefficients of Jordan et al., 2024, Muon: an optimizer for hidden layers in neural networks).
 * x (rows, cols) with rows >= cols; scratch: 2 cols^2 + rows * cols
 * cold: else the compiler specializes the products of a step less, which then take 2 % more instructions. */
static __attribute__((noinline, cold)) void orthogonalize(real *x, ptrdiff_t rows, ptrdiff_t cols, int n_iterations,
                                                          real *scratch) {
    const real a = (real)3.4445, b = (real)-4.7750, c = (real)2.0315;
    const ptrdiff_t n = rows * cols, n_gram = cols * cols;
    real *gram = scratch, *factor = gram + n_gram, *next = factor + n_gram;
    const double length = norm(x, n);
    if (length == 0)
        return;
    for (ptrdiff_t i = 0; i < n; i++)
        x[i] = (real)((double)x[i] / length);
    for (int iteration = 0; iteration < n_iterations; iteration++) {
        matmul(cols, cols, rows, transposed(x, cols), by_rows(x, cols), zero_matrix(), gram, cols);
        matmul(cols, cols, cols, by_rows(gram, cols), by_rows(gram, cols), zero_matrix(), factor, cols);
        FOR_VECTORS(n_gram, { STORE(factor, LOAD(gram) * b + LOAD(factor) * c); });
        matmul(rows, cols, cols, by_rows(x, cols), by_rows(factor, cols), zero_matrix(), next, cols);
        FOR_VECTORS(n, { STORE(x, LOAD(x) * a + LOAD(next)); });
    }
}

/* m = mu m + (1 - mu) g; w -= eta 0.2 sqrt(max(rows, cols)) orthogonalized(m), or with Nesterov's momentum of
 * mu m + (1 - mu) g. The factor gives updates the size of Adam's (Liu et al., 2025, Muon is scalable for LLM training,
 * section 2.2), so that both have the same learning rate. */
static double correction_muon(const optimizer_t *o, int64_t step) {
    (void)o, (void)step;
    return 1;
}
static int64_t scratch_muon(int64_t rows, int64_t cols) {
    const int64_t k = rows < cols ? rows : cols;
    return 2 * k * k + 3 * rows * cols;
}
static __attribute__((noinline)) void update_muon(const optimizer_t *o, double rate, const real *g, real *w,
                                                  void *const *state, ptrdiff_t place, ptrdiff_t rows, ptrdiff_t cols,
                                                  real *scratch) {
    const ptrdiff_t n = rows * cols;
    const int looks_ahead = o->muon.nesterovs_momentum != 0, n_iterations = (int)o->muon.n_iterations;
    const real mu = (real)o->muon.momentum, c1 = (real)(1 - o->muon.momentum);
    const real of_m = looks_ahead ? mu : 1, of_g = looks_ahead ? c1 : 0;
    const real eta = (real)(rate * 0.2 * sqrt((double)(rows > cols ? rows : cols)));
    real *s = (real *)state[0] + place, *x = scratch, *tall = x + n;
    FOR_VECTORS(n, {
        vec grad = LOAD(g);
        vec m = LOAD(s) * mu + grad * c1;
        STORE(s, m);
        STORE(x, m * of_m + grad * of_g);
    });
    if (rows >= cols) {
        orthogonalize(x, rows, cols, n_iterations, tall);
    } else {
        transpose(x, cols, rows, cols, tall, rows);
        orthogonalize(tall, cols, rows, n_iterations, tall + n);
        transpose(tall, rows, cols, rows, x, cols);
    }
    FOR_VECTORS(n, { STORE(w, LOAD(w) - LOAD(x) * eta); });
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

/* Numbers of scratch for an update of (rows, cols) weights */
static int64_t update_scratch(const optimizer_t *o, int64_t rows, int64_t cols) {
    switch (o->kind) {
#define SCRATCH_0(name) 0
#define SCRATCH_1(name) scratch_##name(rows, cols)
#define CASE(name, n_states, by_block, ...) \
    case OPTIMIZER_##name: return SCRATCH_##by_block(name);
        OPTIMIZERS(CASE)
#undef CASE
    }
    return 0;
}

static void apply_update(const optimizer_t *o, double factor, const real *g, real *w, void *const *state,
                         ptrdiff_t place, ptrdiff_t rows, ptrdiff_t cols, real *scratch) {
    const double rate = o->learning_rate * factor * o->correction;
    switch (o->kind) {
#define UPDATE_0(name) update_##name(o, rate, g, w, state, place, rows *cols)
#define UPDATE_1(name) update_##name(o, rate, g, w, state, place, rows, cols, scratch)
#define CASE(name, n_states, by_block, ...) \
    case OPTIMIZER_##name: UPDATE_##by_block(name); break;
        OPTIMIZERS(CASE)
#undef CASE
    }
}

#endif
