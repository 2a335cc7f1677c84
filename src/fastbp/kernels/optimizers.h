/* The optimizers: updates of the weights by their gradient.
 *
 * FOR_PARAMETERS runs over the weights of an update (update_t) and has, in its body,
 *
 *     old     a vector of the weights before the update, after the decoupled decay
 *     grad    their gradient, with the L2 penalty
 *
 * and STORE_WEIGHTS stores those after it. state_of gives the state arrays, which the body reads and overwrites.
 *
 * Before the updates of a step, prepare_name computes what they all have in common from the number of the step, counted
 * from 1: the correction, a factor of the learning rate, which is 1 otherwise; further scalars; and the memory after
 * this step, from that before it.
 *
 * An update that depends on a whole block, a matrix of (rows, cols) weights, is made in two steps. First transform_name
 * makes the direction of the update of the gradient, in phases_name phases with a barrier after each, and with
 * scratch_name numbers of scratch. All threads call it; they share the parts of a phase, which depend on the shape only
 * (share_takes in pool.h). All phases but the last write to the scratch only, so that a step can be abandoned before
 * the last one. Then update_name has the direction as g.
 *
 * An optimizer is these functions here, prepare_name and update_name for most, one line in OPTIMIZERS (program.h) and a
 * dataclass in fastbp/optimizers.py. Scalars are computed in double and rounded once to the real type.
 */
#ifndef FASTBP_OPTIMIZERS_H
#define FASTBP_OPTIMIZERS_H

#include "orthogonalize.h"
#include "pool.h"
#include "program.h"
#include "simd.h"

/* Updates of (rows, n) weights, `row` apart in the arrays that are laid out as all parameters. Their gradient is
 * (g + penalty w) scale: it is computed from the gradient g of the summed loss in the pass that makes the update. */
typedef struct {
    const real *g;
    ptrdiff_t g_row;
    real penalty, scale;
    real *w;
    real *to;           /* where the weights after the update are stored: w, or another array, such as g ... */
    ptrdiff_t to_row;   /* ... whose rows are this far apart */
    void *const *state; /* arrays laid out as all parameters ... */
    ptrdiff_t place;    /* ... in which those of w begin here */
    ptrdiff_t rows, n, row;
    real keep;      /* decoupled decay: the weights are multiplied by it before the update */
    double rate;    /* learning rate of this step, times the group's factor and the correction */
    double decay;   /* decoupled decay, for an optimizer that averages; for others see keep */
    double squares; /* OUT: += the squares of the weights before the update */
} update_t;

INLINE real *state_of(const update_t *u, int number) { return (real *)u->state[number] + u->place; }

/* The gradient of the mean loss with the penalty; `rounded`: an update that adds it to something must not fuse them. */
INLINE vec finished(vec g, vec w, real penalty, real scale) { return rounded((g + w * penalty) * scale); }

/* Without a penalty, an infinite weight, such as the bias of a unit that is switched off, has no part in its gradient:
 * all_ has no bits then. A condition in the loop would be a second loop, whose products GCC may fuse in another way. */
#define FOR_PARAMETERS(u, ...)                                                      \
    do {                                                                            \
        const real *const from_ = (u)->w;                                           \
        const real penalty_ = (u)->penalty, scale_ = (u)->scale, keep_ = (u)->keep; \
        const uvec all_ = (uvec){0} - (lane_uint)(penalty_ != 0);                   \
        for (ptrdiff_t row_ = 0; row_ < (u)->rows; row_++) {                        \
            const ptrdiff_t begin_ = row_ * (u)->row;                               \
            const ptrdiff_t end_ = begin_ + (u)->n;                                 \
            const real *const g_ = (u)->g + row_ * (u)->g_row;                      \
            real *const to_ = (u)->to + row_ * (u)->to_row;                         \
            vec squares_ = {0};                                                     \
            ptrdiff_t i = begin_;                                                   \
            for (; i + VL <= end_; i += VL)                                         \
                UPDATE_LANES(VL, __VA_ARGS__)                                       \
            if (i < end_)                                                           \
                UPDATE_LANES(end_ - i, __VA_ARGS__)                                 \
            (u)->squares += (double)sum_lanes(squares_);                            \
        }                                                                           \
    } while (0)
#define UPDATE_LANES(n_lanes, ...)                                    \
    {                                                                 \
        const ptrdiff_t lanes = n_lanes;                              \
        const vec before_ = LOAD(from_);                              \
        const vec old = settled(before_ * keep_);                     \
        const vec g_vec_ = load_lanes(g_ + (i - begin_), lanes);      \
        const vec pulled_ = (vec)((uvec)before_ & all_);              \
        const vec grad = finished(g_vec_, pulled_, penalty_, scale_); \
        squares_ += before_ * before_;                                \
        __VA_ARGS__                                                   \
    }
#define STORE_WEIGHTS(v) (lanes == VL ? store(to_ + (i - begin_), (v)) : store_n(to_ + (i - begin_), (v), lanes))

/* v = mu v - eta g; w += v, or with Nesterov's momentum w += mu v - eta g (Sutskever et al., 2013) */
static void prepare_sgd(optimizer_t *o, int64_t step) { (void)o, (void)step; }
static void update_sgd(const optimizer_t *o, update_t *u) {
    const real mu = (real)o->sgd.momentum, eta = (real)u->rate;
    real *s = state_of(u, 0);
    if (o->sgd.nesterovs_momentum != 0) {
        FOR_PARAMETERS(u, {
            vec step = grad * eta;
            vec v = LOAD(s) * mu - step;
            STORE(s, v);
            STORE_WEIGHTS(old + (v * mu - step));
        });
    } else {
        FOR_PARAMETERS(u, {
            vec v = LOAD(s) * mu - grad * eta;
            STORE(s, v);
            STORE_WEIGHTS(old + v);
        });
    }
}

/* m = b1 m + (1 - b1) g; v = b2 v + (1 - b2) g^2; w -= eta_t m / (sqrt v + eps) (Kingma and Ba, 2015, with the bias
 * corrections in eta_t = eta sqrt(1 - b2^t) / (1 - b1^t), as at the end of their section 2) */
static void prepare_adam(optimizer_t *o, int64_t step) {
    o->correction = sqrt(1 - pow(o->adam.beta_2, (double)step)) / (1 - pow(o->adam.beta_1, (double)step));
}
INLINE void adam(double beta_1, double beta_2, double epsilon, update_t *u) {
    const real b1 = (real)beta_1, c1 = (real)(1 - beta_1), b2 = (real)beta_2, c2 = (real)(1 - beta_2);
    const real eta = (real)u->rate, eps = (real)epsilon;
    real *s0 = state_of(u, 0), *s1 = state_of(u, 1);
    FOR_PARAMETERS(u, {
        vec m = LOAD(s0) * b1 + grad * c1;
        vec v = LOAD(s1) * b2 + (grad * grad) * c2;
        STORE(s0, m);
        STORE(s1, v);
        STORE_WEIGHTS(old - quotient(m * eta, vsqrt(v) + eps));
    });
}
static void update_adam(const optimizer_t *o, update_t *u) { adam(o->adam.beta_1, o->adam.beta_2, o->adam.epsilon, u); }

/* The same with eps sqrt(1 - b2^t) in place of eps: as in the algorithm of Kingma and Ba, and in PyTorch, eps is added
 * to sqrt(v / (1 - b2^t)). The decay of the weights is that of their group. */
static void prepare_adamw(optimizer_t *o, int64_t step) {
    const double unbiased = sqrt(1 - pow(o->adamw.beta_2, (double)step));
    o->correction = unbiased / (1 - pow(o->adamw.beta_1, (double)step));
    o->scalar[0] = unbiased * o->adamw.epsilon;
}
static void update_adamw(const optimizer_t *o, update_t *u) { adam(o->adamw.beta_1, o->adamw.beta_2, o->scalar[0], u); }

/* m and v as Adam's; w -= eta (a m + b g) / (sqrt(v / (1 - b2^t)) + eps), where a = mu_(t+1) / (1 - M mu_(t+1)) and
 * b = (1 - mu_t) / (1 - M), with mu_t = b1 (1 - 0.96^(t psi) / 2) and M = mu_1 mu_2 ... mu_t (Dozat, 2016). The memory
 * is 1 - M, so that it begins with 0. */
static void prepare_nadam(optimizer_t *o, int64_t step) {
    const double b1 = o->nadam.beta_1, psi = o->nadam.momentum_decay, t = (double)step;
    const double mu = b1 * (1 - 0.5 * pow(0.96, t * psi)), next = b1 * (1 - 0.5 * pow(0.96, (t + 1) * psi));
    const double product = (1 - o->memory[0]) * mu;
    o->scalar[0] = next / (1 - product * next);
    o->scalar[1] = (1 - mu) / (1 - product);
    o->scalar[2] = 1 / sqrt(1 - pow(o->nadam.beta_2, t));
    o->next_memory[0] = 1 - product;
}
static void update_nadam(const optimizer_t *o, update_t *u) {
    const real b1 = (real)o->nadam.beta_1, c1 = (real)(1 - o->nadam.beta_1);
    const real b2 = (real)o->nadam.beta_2, c2 = (real)(1 - o->nadam.beta_2);
    const real of_m = (real)(u->rate * o->scalar[0]), of_g = (real)(u->rate * o->scalar[1]);
    const real unbiased = (real)o->scalar[2], eps = (real)o->nadam.epsilon;
    real *s0 = state_of(u, 0), *s1 = state_of(u, 1);
    FOR_PARAMETERS(u, {
        vec m = LOAD(s0) * b1 + grad * c1;
        vec v = LOAD(s1) * b2 + (grad * grad) * c2;
        STORE(s0, m);
        STORE(s1, v);
        STORE_WEIGHTS(old - quotient(m * of_m + grad * of_g, vsqrt(v) * unbiased + eps));
    });
}

/* v = rho v + (1 - rho) g^2; u = mu u + g / (sqrt v + eps); w -= eta u (Tieleman and Hinton, 2012), or centered, with
 * m = rho m + (1 - rho) g and v - m^2 in place of v (Graves, 2013) */
static void prepare_rmsprop(optimizer_t *o, int64_t step) { (void)o, (void)step; }
static void update_rmsprop(const optimizer_t *o, update_t *u) {
    const real rho = (real)o->rmsprop.rho, rest = (real)(1 - o->rmsprop.rho), mu = (real)o->rmsprop.momentum;
    const real eta = (real)u->rate, eps = (real)o->rmsprop.epsilon;
    real *s0 = state_of(u, 0), *s1 = state_of(u, 1), *s2 = state_of(u, 2);
    const int centered = o->rmsprop.centered != 0;
    FOR_PARAMETERS(u, {
        vec v = LOAD(s0) * rho + (grad * grad) * rest;
        STORE(s0, v);
        if (centered) {
            vec m = LOAD(s2) * rho + grad * rest;
            STORE(s2, m);
            v = vmax((vec){0}, v - m * m); /* rounding may bring it below 0; NaN stays */
        }
        vec velocity = LOAD(s1) * mu + quotient(grad, vsqrt(v) + eps);
        STORE(s1, velocity);
        STORE_WEIGHTS(old - velocity * eta);
    });
}

/* v = v + g^2; w -= eta g / (sqrt v + eps) (Duchi, Hazan and Singer, 2011) */
static void prepare_adagrad(optimizer_t *o, int64_t step) { (void)o, (void)step; }
static void update_adagrad(const optimizer_t *o, update_t *u) {
    const real eta = (real)u->rate, eps = (real)o->adagrad.epsilon;
    real *s = state_of(u, 0);
    FOR_PARAMETERS(u, {
        vec v = LOAD(s) + grad * grad;
        STORE(s, v);
        STORE_WEIGHTS(old - quotient(grad * eta, vsqrt(v) + eps));
    });
}

/* w -= eta sign(b1 m + (1 - b1) g); m = b2 m + (1 - b2) g (Chen et al., 2023) */
static void prepare_lion(optimizer_t *o, int64_t step) { (void)o, (void)step; }
static void update_lion(const optimizer_t *o, update_t *u) {
    const real b1 = (real)o->lion.beta_1, c1 = (real)(1 - o->lion.beta_1);
    const real b2 = (real)o->lion.beta_2, c2 = (real)(1 - o->lion.beta_2);
    const real eta = (real)u->rate;
    real *s = state_of(u, 0);
    FOR_PARAMETERS(u, {
        vec m = LOAD(s);
        STORE_WEIGHTS(old - vsign(m * b1 + grad * c1) * eta);
        STORE(s, m * b2 + grad * c2);
    });
}

/* Schedule-free AdamW (Defazio et al., 2024, The road less scheduled). With the steps z and their average x, the
 * gradient is that at w = (1 - b1) z + b1 x, and the result is x:
 *
 *     v = b2 v + (1 - b2) g^2;  u = eta_t (g / (sqrt(v / (1 - b2^t)) + eps) + decay w)
 *     z = z - u;  x = (1 - c_t) x + c_t z
 *
 * c_t is the share of this step in the sum of the weights of all steps so far, which are the squares of the largest
 * eta_t until then; eta_t rises to eta in the first warmup_steps steps. The state is d = z - x, so that
 * w = x + (1 - b1) d. The memory is the sum of the weights and the largest eta_t. */
static void prepare_schedule_free(optimizer_t *o, int64_t step) {
    const double b1 = o->schedule_free.beta_1, t = (double)step, warmup = o->schedule_free.warmup_steps;
    o->correction = t < warmup ? t / warmup : 1;
    const double rate = o->learning_rate * o->correction, largest = rate > o->memory[1] ? rate : o->memory[1];
    const double weight = largest * largest, sum = o->memory[0] + weight, share = sum > 0 ? weight / sum : 0;
    o->scalar[0] = 1 - share;
    o->scalar[1] = 1 - b1 * (1 - share);
    o->scalar[2] = 1 / sqrt(1 - pow(o->schedule_free.beta_2, t));
    o->next_memory[0] = sum;
    o->next_memory[1] = largest;
}
static double lookahead_schedule_free(const optimizer_t *o) { return 1 - o->schedule_free.beta_1; }
static void update_schedule_free(const optimizer_t *o, update_t *u) {
    const real b2 = (real)o->schedule_free.beta_2, c2 = (real)(1 - o->schedule_free.beta_2);
    const real eta = (real)u->rate, shrink = (real)(u->rate * u->decay), eps = (real)o->schedule_free.epsilon;
    const real keep = (real)o->scalar[0], ahead = (real)o->scalar[1], unbiased = (real)o->scalar[2];
    const real back = (real)lookahead_schedule_free(o);
    real *s0 = state_of(u, 0), *s1 = state_of(u, 1);
    FOR_PARAMETERS(u, {
        vec d = LOAD(s0);
        vec v = LOAD(s1) * b2 + (grad * grad) * c2;
        vec step = quotient(grad * eta, vsqrt(v) * unbiased + eps);
        vec moved = d - (step + old * shrink); /* from x to z after the step */
        STORE(s0, moved * keep);
        STORE(s1, v);
        STORE_WEIGHTS(old - d * back + moved * ahead);
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

/* m = mu m + (1 - mu) g; w -= eta 0.2 sqrt(max(rows, cols)) orthogonalized(m), or with Nesterov's momentum of
 * mu m + (1 - mu) g. The factor gives updates the size of Adam's (Liu et al., 2025, Muon is scalable for LLM training,
 * section 2.2), so that both have the same learning rate. */
static void prepare_muon(optimizer_t *o, int64_t step) { (void)o, (void)step; }
static int64_t scratch_muon(int64_t rows, int64_t cols) { return orthogonalize_scratch(rows, cols); }
static int64_t phases_muon(const optimizer_t *o) { return 2 + orthogonalize_phases((int)o->muon.n_iterations); }
static void transform_muon(const optimizer_t *o, int64_t phase, real *g, void *const *state, ptrdiff_t place,
                           ptrdiff_t rows, ptrdiff_t cols, real *scratch, share_t *share) {
    const orthogonal_t matrix = orthogonal_of(rows, cols, scratch);
    const int looks_ahead = o->muon.nesterovs_momentum != 0;
    const real mu = (real)o->muon.momentum, c1 = (real)(1 - o->muon.momentum);
    const real of_m = looks_ahead ? mu : 1, of_g = looks_ahead ? c1 : 0;
    const double size = 0.2 * sqrt((double)(rows > cols ? rows : cols));
    const int n_iterations = (int)o->muon.n_iterations, is_first = phase == 0, is_last = phase == phases_muon(o) - 1;
    if (!is_first && !is_last)
        orthogonalize(&matrix, phase - 1, n_iterations, size, share);
    for (ptrdiff_t r = 0; (is_first || is_last) && r < rows; r += EDGE) {
        const ptrdiff_t n = (rows - r < EDGE ? rows - r : EDGE) * cols;
        real *from = g + r * cols, *s = (real *)state[0] + place + r * cols, *x = rows_to_set(&matrix, r);
        if (!share_takes(share))
            continue;
        if (is_first) {
            FOR_VECTORS(n, {
                vec grad = LOAD(from);
                vec m = LOAD(s) * mu + grad * c1;
                STORE(x, m * of_m + grad * of_g);
            });
            set_rows(&matrix, r);
        } else {
            FOR_VECTORS(n, { STORE(s, LOAD(s) * mu + LOAD(from) * c1); });
            get_rows(&matrix, n_iterations, r, from);
        }
    }
}
static void update_muon(const optimizer_t *o, update_t *u) {
    const real eta = (real)u->rate;
    (void)o;
    FOR_PARAMETERS(u, { STORE_WEIGHTS(old - grad * eta); });
}

#define FORM(name, n_states, form, ...) FORM_##form,
static const int optimizer_forms[] = {OPTIMIZERS(FORM)};
#undef FORM

#define LIMITS(name, n_states, ...)                                                           \
    _Static_assert((n_states) <= MAX_STATES, #name " has more state arrays than MAX_STATES"); \
    _Static_assert(sizeof(((optimizer_t *)0)->name) <= MAX_CONSTANTS * sizeof(double),        \
                   #name " has more constants than MAX_CONSTANTS");
OPTIMIZERS(LIMITS)
#undef LIMITS

/* Compute the scalars of step number `step`, counted from 1, and the memory after it. */
static void prepare_optimizer(optimizer_t *o, int64_t step) {
    o->correction = 1;
    switch (o->kind) {
#define CASE(name, ...) \
    case OPTIMIZER_##name: prepare_##name(o, step); break;
        OPTIMIZERS(CASE)
#undef CASE
    }
}

/* The transform of the gradient of a whole block, where there is one: how many phases and numbers of scratch it needs,
 * and a share of the work of a phase. */
static int64_t transform_phases(const optimizer_t *o) {
    switch (o->kind) {
#define PHASES_elementwise(name) 0
#define PHASES_averaging(name) 0
#define PHASES_blockwise(name) phases_##name(o)
#define CASE(name, n_states, form, ...) \
    case OPTIMIZER_##name: return PHASES_##form(name);
        OPTIMIZERS(CASE)
#undef CASE
    }
    return 0;
}
static int64_t transform_scratch(const optimizer_t *o, int64_t rows, int64_t cols) {
    switch (o->kind) {
#define SCRATCH_elementwise(name) 0
#define SCRATCH_averaging(name) 0
#define SCRATCH_blockwise(name) scratch_##name(rows, cols)
#define CASE(name, n_states, form, ...) \
    case OPTIMIZER_##name: return SCRATCH_##form(name);
        OPTIMIZERS(CASE)
#undef CASE
    }
    return 0;
}
static void transform(const optimizer_t *o, int64_t phase, real *g, void *const *state, ptrdiff_t place, ptrdiff_t rows,
                      ptrdiff_t cols, real *scratch, share_t *share) {
    switch (o->kind) {
#define TRANSFORM_elementwise(name) (void)0
#define TRANSFORM_averaging(name) (void)0
#define TRANSFORM_blockwise(name) transform_##name(o, phase, g, state, place, rows, cols, scratch, share)
#define CASE(name, n_states, form, ...) \
    case OPTIMIZER_##name: TRANSFORM_##form(name); break;
        OPTIMIZERS(CASE)
#undef CASE
    }
}

/* What the gradient is computed at is the result plus so many times the first state array. */
static double lookahead(const optimizer_t *o) {
    switch (o->kind) {
#define LOOKAHEAD_elementwise(name) 0
#define LOOKAHEAD_blockwise(name) 0
#define LOOKAHEAD_averaging(name) lookahead_##name(o)
#define CASE(name, n_states, form, ...) \
    case OPTIMIZER_##name: return LOOKAHEAD_##form(name);
        OPTIMIZERS(CASE)
#undef CASE
    }
    return 0;
}

/* factor, decay: of the group. With the factor 0 weights and state stay as they are: what they gathered before, such as
 * a velocity, would move the weights otherwise. */
static void apply_update(const optimizer_t *o, double factor, double decay, update_t *u) {
    if (factor == 0)
        return;
    u->rate = o->learning_rate * factor * o->correction;
    u->decay = decay;
    u->keep = optimizer_forms[o->kind] == FORM_averaging ? 1 : (real)(1 - o->learning_rate * factor * decay);
    switch (o->kind) {
#define CASE(name, ...) \
    case OPTIMIZER_##name: update_##name(o, u); break;
        OPTIMIZERS(CASE)
#undef CASE
    }
}

#endif
