/* mixup: training on rows that are mixed with other rows of the batch (Zhang et al., 2018, mixup: beyond empirical risk
 * minimization, eq. 1)
 *
 *     x = l x_r + (1 - l) x_q,   y = l y_r + (1 - l) y_q         l from the distribution Beta(alpha, alpha)
 *
 * There is one l for each step, as in the paper's program. The partner q of row r comes a distance behind it, which is
 * the same for all rows of a batch; behind the last row comes the first. So each row is a partner once. l and the
 * distance are hashes of the seed and the step: they do not depend on how rows are divided among threads or slices.
 *
 * With sample weights, a pair counts as the rows that it is made of:
 *
 *     x = (l w_r x_r + (1 - l) w_q x_q) / w,   w = l w_r + (1 - l) w_q        y alike, and w is the weight of the pair
 *
 * A row of weight zero is without effect, and the sum of the weights of a batch stays the same.
 */
#ifndef FASTBP_MIXUP_H
#define FASTBP_MIXUP_H

#include "convert.h"
#include "hash.h"
#include "nodes.h"

/* The next number in (0, 1) of the generator SplitMix64 */
INLINE double next_uniform(uint64_t *state) {
    *state += GOLDEN_64;
    return ((double)(mix_64(*state) >> 11) + 0.5) * 0x1p-53;
}
/* Of the standard normal distribution (Box and Muller, 1958) */
INLINE double next_normal(uint64_t *state) {
    const double u = next_uniform(state), v = next_uniform(state);
    return sqrt(-2 * log(u)) * cos(6.283185307179586 * v);
}
/* The logarithm of a number of the distribution Gamma(shape + 1), up to a constant (Marsaglia and Tsang, 2000, A simple
 * method for generating gamma variables) */
static double next_log_gamma(uint64_t *state, double shape) {
    const double d = shape + 2.0 / 3, c = 1 / (3 * sqrt(d));
    for (;;) {
        const double x = next_normal(state), root = 1 + c * x, v = root * root * root, u = next_uniform(state);
        if (root > 0 && log(u) < 0.5 * x * x + d * (1 - v + log(v)))
            return log(v);
    }
}

/* Draw the mixture of a step on a batch of n rows. With g_1 and g_2 of Gamma(alpha), l = g_1 / (g_1 + g_2). Each is
 * made of a number of Gamma(alpha + 1), times u^(1 / alpha), which may be too small for a double: hence logarithms. */
static void draw_mixup(plan_t *p, double alpha, int64_t n) {
    uint64_t state = step_key(p, 0);
    const double g_1 = next_log_gamma(&state, alpha), u_1 = log(next_uniform(&state)),
                 g_2 = next_log_gamma(&state, alpha), u_2 = log(next_uniform(&state));
    p->mixup.n = n;
    p->mixup.share = n > 1 ? 1 / (1 + exp((u_1 - u_2) / alpha + g_1 - g_2)) : 0;
    p->mixup.distance = n > 1 ? 1 + (int64_t)(next_uniform(&state) * (double)(n - 1)) : 0;
}

/* The partner of row r of the batch: its row of the data */
INLINE ptrdiff_t partner_row(const plan_t *p, ptrdiff_t r) {
    int64_t place = p->start - p->batch_start + r + p->mixup.distance;
    place -= place < p->mixup.n ? 0 : p->mixup.n;
    return (ptrdiff_t)p->rows[p->batch_start + place];
}

/* A row of the batch and its partner, as rows of the data, their shares, which sum to one, and the pair's weight */
typedef struct {
    ptrdiff_t row, partner;
    real share, partner_share;
    double weight;
} pair_t;

INLINE pair_t pair_of(const plan_t *p, ptrdiff_t r) {
    const ptrdiff_t row = data_row(p, r), partner = partner_row(p, r);
    double share = 1 - p->mixup.share, other = p->mixup.share, weight = 1;
    if (p->data.sample_weight) {
        const double own = share * p->data.sample_weight[row];
        weight = own + other * p->data.sample_weight[partner];
        share = weight > 0 ? own / weight : 1;
        other = 1 - share;
    }
    const pair_t pair = {row, partner, (real)share, (real)other, weight};
    return pair;
}

/* The sample weight of a row of the batch, mixed or not, where the data have weights */
INLINE double weight_of(const plan_t *p, ptrdiff_t r) {
    return p->mixup.share != 0 ? pair_of(p, r).weight : p->data.sample_weight[data_row(p, r)];
}

/* n numbers of a row of the batch and of its partner, mixed */
INLINE void mix(const pair_t *pair, const real *row, const real *partner, ptrdiff_t n, real *to) {
    FOR_VECTORS(n, { STORE(to, LOAD(row) * pair->share + LOAD(partner) * pair->partner_share); });
}

/* Rows [lo, hi) of the batch, of a matrix of the data, mixed */
static void gather_mixed(const plan_t *p, const real *from, ptrdiff_t width, ptrdiff_t lo, ptrdiff_t hi, real *to) {
    for (ptrdiff_t r = lo; r < hi; r++, to += width) {
        const pair_t pair = pair_of(p, r);
        mix(&pair, from + pair.row * width, from + pair.partner * width, width, to);
    }
}

/* The same for rows of an X that are converted */
static void convert_mixed(const plan_t *p, ptrdiff_t lo, ptrdiff_t hi, real *to) {
    const ptrdiff_t width = (ptrdiff_t)p->program.nodes->width;
    real row[CONVERT_AT_ONCE], partner[CONVERT_AT_ONCE];
    for (ptrdiff_t r = lo; r < hi; r++, to += width) {
        const pair_t pair = pair_of(p, r);
        for (ptrdiff_t i = 0; i < width; i += CONVERT_AT_ONCE) {
            const ptrdiff_t n = i + CONVERT_AT_ONCE < width ? CONVERT_AT_ONCE : width - i;
            convert_part(&p->data, pair.row, i, n, row);
            convert_part(&p->data, pair.partner, i, n, partner);
            mix(&pair, row, partner, n, to + i);
        }
    }
}

/* Add a share of the target of a row of the data, which is given by its labels. */
INLINE void add_labels(const plan_t *p, ptrdiff_t row, real share, real *y) {
    const int64_t *start = p->data.label_start;
    const int64_t end = start ? start[row + 1] : row + 1;
    for (int64_t i = start ? start[row] : row; i < end; i++)
        y[p->data.labels[i]] += share;
}

/* The targets of rows [lo, hi), mixed; of labels, rows of probabilities */
static const real *mixed_targets(const plan_t *p, ptrdiff_t lo, ptrdiff_t hi) {
    const ptrdiff_t m = (ptrdiff_t)p->loss.target_width;
    real *y = (real *)p->targets + lo * m;
    if (!p->data.labels) {
        gather_mixed(p, p->data.Y, m, lo, hi, y);
        return y;
    }
    memset(y, 0, (size_t)((hi - lo) * m) * sizeof(real));
    for (ptrdiff_t r = lo; r < hi; r++) {
        const pair_t pair = pair_of(p, r);
        add_labels(p, pair.row, pair.share, y + (r - lo) * m);
        add_labels(p, pair.partner, pair.partner_share, y + (r - lo) * m);
    }
    return y;
}

#endif
