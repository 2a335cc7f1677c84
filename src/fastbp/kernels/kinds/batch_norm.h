/* batch_norm: y = gamma * n + beta, where n = (x - mean) * scale is a column, normalized by the statistics of the
 * batch: scale = 1 / sqrt(variance + epsilon) (Ioffe and Szegedy, 2015, Batch normalization, algorithm 1).
 *
 * The blocks are gamma, beta, and the running mean and variance, all (1, width); the last two are not trained, and have
 * no gradient. The constants are epsilon and the momentum of the running statistics.
 *
 * A row counts by its sample weight: a row of weight 2 as two equal rows, one of weight 0 not at all. With weights w
 * and their sum S, mean = sum of w x / S, and variance = sum of w (x - mean)^2 / S.
 *
 * A batch in which only one row counts has no variance. It is normalized by the running statistics, which it does not
 * change.
 *
 * Statistics are computed in two steps, so that threads exchange only the statistics of runs of rows, and no value of a
 * node: each thread summarizes its rows, in runs of PART_ROWS, and then adds up the runs for its columns, in order.
 */
#ifndef FASTBP_KINDS_BATCH_NORM_H
#define FASTBP_KINDS_BATCH_NORM_H

#include "../mixup.h"
#include "../nodes.h"

/* Rows of the statistics: of the batch; mean and sum of squares, or d_gamma and d_beta, of the first run of rows */
enum { FIRST_KEPT = 2 }; /* index of the first of the blocks that are not trained */
enum { BATCH_MEAN, BATCH_SCALE, BATCH_VARIANCE, BATCH_D_GAMMA, BATCH_D_BETA, BATCH_PARTS };

/* The first column of an operation in a row of the statistics */
INLINE real *statistics_of(const plan_t *p, const operation_t *op, int64_t row) {
    return (real *)p->statistics + row * p->statistics_width + op->saved;
}
INLINE real *part_of(const plan_t *p, const operation_t *op, int64_t r) {
    return statistics_of(p, op, BATCH_PARTS + r / PART_ROWS * PART_STATISTICS);
}

/* Run the body for runs of rows [r, r + n) of [lo, hi), with n = PART_ROWS as a constant, and less in the last run */
#define FOR_PARTS(lo, hi, ...)                          \
    do {                                                \
        int64_t r = (lo);                               \
        for (; r + PART_ROWS <= (hi); r += PART_ROWS) { \
            const ptrdiff_t n = PART_ROWS;              \
            __VA_ARGS__                                 \
        }                                               \
        if (r < (hi)) {                                 \
            const ptrdiff_t n = (ptrdiff_t)((hi) - r);  \
            __VA_ARGS__                                 \
        }                                               \
    } while (0)

/* The sample weights of rows [r, r + n), and their sum */
INLINE real weights_of(const plan_t *p, int64_t r, ptrdiff_t n, real *w) {
    real sum = 0;
    for (ptrdiff_t k = 0; k < n; k++)
        sum += w[k] = (real)weight_of(p, r + k);
    return sum;
}
/* The number of rows that count, or `most` if there are more */
INLINE int64_t rows_that_count(const plan_t *p, int64_t most) {
    int64_t found = 0;
    if (!p->data.sample_weight)
        return p->n;
    for (int64_t r = 0; r < p->n && found < most; r++)
        found += weight_of(p, r) > 0;
    return found;
}

/* Mean and sum of squared distances from it, of n rows with the weights w, whose sum is given; w NULL: all are 1 */
INLINE void summarize_rows(const real *x, const real *w, real weight_sum, ptrdiff_t n, ptrdiff_t m, real *mean,
                           real *squares) {
    const real share = weight_sum > 0 ? 1 / weight_sum : 0;
    FOR_VECTORS(m, {
        vec total = {0}, sum = {0};
        for (ptrdiff_t k = 0; k < n; k++)
            total += w ? LOAD(x + k * m) * w[k] : LOAD(x + k * m);
        total *= share;
        for (ptrdiff_t k = 0; k < n; k++) {
            const vec d = LOAD(x + k * m) - total;
            sum += w ? d * w[k] * d : d * d;
        }
        STORE(mean, total);
        STORE(squares, sum);
    });
}

static void batch_norm_summarize(const plan_t *p, const operation_t *op, int64_t lo, int64_t hi) {
    const ptrdiff_t m = (ptrdiff_t)node_of(p, op->input)->width;
    FOR_PARTS(lo, hi, {
        const real *x = value_of(p, op->input, r);
        real *part = part_of(p, op, r), *squares = part + p->statistics_width;
        if (p->data.sample_weight) {
            real w[PART_ROWS];
            const real weight_sum = weights_of(p, r, n, w);
            summarize_rows(x, w, weight_sum, n, m, part, squares);
        } else {
            summarize_rows(x, NULL, (real)n, n, m, part, squares);
        }
    });
}

/* Mean and squares of the rows before and those of a run together: mean += d b / (a + b), squares += d^2 a b / (a + b),
 * for the weights a and b, with d the difference of the means (Chan, Golub and LeVeque, 1983, Algorithms for computing
 * the sample variance, eq. 2.1). A variance that is too large for the type makes the scale, and so the loss, NaN. */
static void batch_norm_reduce(const plan_t *p, const operation_t *op, int64_t left, int64_t right) {
    const ptrdiff_t m = (ptrdiff_t)(right - left);
    real *mean = statistics_of(p, op, BATCH_MEAN) + left, *scale = statistics_of(p, op, BATCH_SCALE) + left,
         *variance = statistics_of(p, op, BATCH_VARIANCE) + left;
    if (rows_that_count(p, 2) == 1) {
        const block_t *blocks = blocks_of(p, op);
        memcpy(mean, params_of(p, blocks + FIRST_KEPT) + left, (size_t)m * sizeof(real));
        memcpy(variance, params_of(p, blocks + FIRST_KEPT + 1) + left, (size_t)m * sizeof(real));
    } else {
        double sum = 0;
        memset(mean, 0, (size_t)m * sizeof(real));
        memset(variance, 0, (size_t)m * sizeof(real));
        FOR_PARTS(0, p->n, {
            real w[PART_ROWS];
            const double added = p->data.sample_weight ? (double)weights_of(p, r, n, w) : (double)n;
            const real *part = part_of(p, op, r) + left, *squares = part + p->statistics_width;
            if (added > 0) {
                const double share = added / (sum + added);
                const real b = (real)share, ab = (real)(sum * share);
                sum += added;
                FOR_VECTORS(m, {
                    const vec d = LOAD(part) - LOAD(mean);
                    STORE(mean, LOAD(mean) + d * b);
                    STORE(variance, LOAD(variance) + LOAD(squares) + d * d * ab);
                });
            }
        });
        const real share = (real)(1 / sum);
        FOR_VECTORS(m, { STORE(variance, LOAD(variance) * share); });
    }
    const real epsilon = (real)op->constant[0];
    FOR_VECTORS(m, {
        const vec v = LOAD(variance);
        STORE(scale, 1 / vsqrt(v + epsilon) + v * (real)0); /* infinity * 0 is NaN */
    });
}

static void batch_norm_forward(const plan_t *p, const operation_t *op, int64_t lo, int64_t hi) {
    const block_t *blocks = blocks_of(p, op);
    const ptrdiff_t m = (ptrdiff_t)blocks->cols;
    const real *mean = statistics_of(p, op, BATCH_MEAN), *scale = statistics_of(p, op, BATCH_SCALE),
               *gamma = params_of(p, blocks), *beta = params_of(p, blocks + 1);
    FOR_PARTS(lo, hi, {
        const real *x = value_of(p, op->input, r);
        real *y = out_of(p, op->output, r);
        FOR_VECTORS(m, {
            const vec center = LOAD(mean), slope = LOAD(scale) * LOAD(gamma), shift = LOAD(beta);
            for (ptrdiff_t k = 0; k < n; k++)
                STORE(y + k * m, (LOAD(x + k * m) - center) * slope + shift);
        });
    });
}

/* forward: y = gamma * n + beta, so d gamma = the sum of dy * n over the rows, and d beta = the sum of dy */
static void batch_norm_summarize_backward(const plan_t *p, const operation_t *op, int64_t lo, int64_t hi) {
    const ptrdiff_t m = (ptrdiff_t)node_of(p, op->input)->width;
    const real *mean = statistics_of(p, op, BATCH_MEAN), *scale = statistics_of(p, op, BATCH_SCALE);
    FOR_PARTS(lo, hi, {
        const real *x = value_of(p, op->input, r), *dy = grad_of(p, op->output, r);
        real *d_gamma = part_of(p, op, r), *d_beta = d_gamma + p->statistics_width;
        FOR_VECTORS(m, {
            const vec center = LOAD(mean);
            vec sum = {0}, products = {0};
            for (ptrdiff_t k = 0; k < n; k++) {
                const vec g = LOAD(dy + k * m);
                sum += g;
                products += g * (LOAD(x + k * m) - center);
            }
            STORE(d_gamma, products * LOAD(scale));
            STORE(d_beta, sum);
        });
    });
}

static void batch_norm_reduce_backward(const plan_t *p, const operation_t *op, int64_t left, int64_t right) {
    const ptrdiff_t m = (ptrdiff_t)(right - left);
    real *d_gamma = statistics_of(p, op, BATCH_D_GAMMA) + left, *d_beta = statistics_of(p, op, BATCH_D_BETA) + left;
    memset(d_gamma, 0, (size_t)m * sizeof(real));
    memset(d_beta, 0, (size_t)m * sizeof(real));
    for (int64_t r = 0; r < p->n; r += PART_ROWS) {
        const real *part = part_of(p, op, r) + left, *next = part + p->statistics_width;
        FOR_VECTORS(m, {
            STORE(d_gamma, LOAD(d_gamma) + LOAD(part));
            STORE(d_beta, LOAD(d_beta) + LOAD(next));
        });
    }
}

/* The gradient of n rows, whose weights by the sum of all are `shares`: with s(v) the sum of v over the batch,
 * dx = gamma * scale * (dy - share * (s(dy) + n s(dy n))), where s(dy) = d beta and s(dy n) = d gamma */
INLINE void backward_rows_of_part(const plan_t *p, const operation_t *op, int64_t r, const real *shares, ptrdiff_t n) {
    const block_t *blocks = blocks_of(p, op);
    const ptrdiff_t m = (ptrdiff_t)blocks->cols;
    const real *mean = statistics_of(p, op, BATCH_MEAN), *scale = statistics_of(p, op, BATCH_SCALE),
               *d_gamma = statistics_of(p, op, BATCH_D_GAMMA), *d_beta = statistics_of(p, op, BATCH_D_BETA),
               *gamma = params_of(p, blocks), *x = value_of(p, op->input, r), *dy = grad_of(p, op->output, r);
    real *dx = grad_of(p, op->input, r);
    FOR_VECTORS(m, {
        const vec center = LOAD(mean), slope = LOAD(scale) * LOAD(gamma), sum = LOAD(d_beta),
                  products = LOAD(scale) * LOAD(d_gamma);
        for (ptrdiff_t k = 0; k < n; k++) {
            const vec d = (LOAD(dy + k * m) - (sum + (LOAD(x + k * m) - center) * products) * shares[k]) * slope;
            STORE(dx + k * m, op->adds ? LOAD(dx + k * m) + d : d);
        }
    });
}

/* forward: n = (x - mean) * scale. Both statistics depend on x: see above. If only one row counts, they do not. */
static void batch_norm_backward(const plan_t *p, const operation_t *op, int64_t lo, int64_t hi) {
    const real share = rows_that_count(p, 2) == 1 ? 0 : (real)(1 / p->weight_sum);
    if (!grad_of(p, op->input, lo))
        return;
    FOR_PARTS(lo, hi, {
        real shares[PART_ROWS];
        if (p->data.sample_weight)
            weights_of(p, r, n, shares);
        for (ptrdiff_t k = 0; k < n; k++)
            shares[k] = p->data.sample_weight ? shares[k] * share : share;
        backward_rows_of_part(p, op, r, shares, n);
    });
}

/* The sums over the whole batch; so the gradient of a part of the rows is not available. */
static void batch_norm_gradient(const plan_t *p, const operation_t *op, const tile_t *tile, int64_t lo, int64_t hi,
                                void *g, void *scratch, int add) {
    const int64_t row = tile->block == op->first_block ? BATCH_D_GAMMA : BATCH_D_BETA;
    (void)lo, (void)hi, (void)scratch;
    copy_or_add(statistics_of(p, op, row) + tile->col_begin, g, add, (ptrdiff_t)(tile->col_end - tile->col_begin));
}

/* running = (1 - momentum) * running + momentum * that of the batch; of the variance, the unbiased estimate, times
 * c / (c - 1), where the count c is the sum of the weights. It is at least the number of rows that count: the weights
 * may be small numbers that count nothing. */
static int batch_norm_keep(const plan_t *p, const operation_t *op, double momentum) {
    const block_t *blocks = blocks_of(p, op);
    const ptrdiff_t m = (ptrdiff_t)blocks->cols;
    const real *mean = statistics_of(p, op, BATCH_MEAN), *variance = statistics_of(p, op, BATCH_VARIANCE);
    real *running_mean = (real *)p->params + blocks[FIRST_KEPT].offset,
         *running_variance = (real *)p->params + blocks[FIRST_KEPT + 1].offset;
    const double rows = (double)rows_that_count(p, p->n), count = p->weight_sum > rows ? p->weight_sum : rows,
                 rate = momentum > 0 ? momentum : op->constant[1];
    if (rows < 2)
        return 0;
    const real old = (real)(1 - rate), new = (real)rate, unbiased = (real)(rate * count / (count - 1));
    FOR_VECTORS(m, {
        STORE(running_mean, LOAD(running_mean) * old + LOAD(mean) * new);
        STORE(running_variance, LOAD(running_variance) * old + LOAD(variance) * unbiased);
    });
    return 1;
}

static const kind_t batch_norm_kind = {
    .forward = batch_norm_forward,
    .backward = batch_norm_backward,
    .gradient = batch_norm_gradient,
    .summarize = batch_norm_summarize,
    .reduce = batch_norm_reduce,
    .summarize_backward = batch_norm_summarize_backward,
    .reduce_backward = batch_norm_reduce_backward,
    .keep = batch_norm_keep,
};

#endif
