/* dropout: y = x * mask / (1 - rate), where the mask is 0 with the probability `rate`, else 1 (Srivastava et al., 2014,
 * Dropout: a simple way to prevent neural networks from overfitting; inverted, so that prediction needs no factor).
 *
 * Training only: the programs for prediction and derivatives have no such operation. The mask is a hash of the seed,
 * the step, the operation, the row of the batch and the unit. So it does not depend on how rows are divided among
 * threads or slices, and the backward pass computes it again.
 */
#ifndef FASTBP_KINDS_DROPOUT_H
#define FASTBP_KINDS_DROPOUT_H

#include "../hash.h"
#include "../nodes.h"

#define FACTORS 64 /* computed at a time */

/* The factors of units [first, first + n) of the row with this key; n is rounded up to a multiple of 16. The hash of a
 * unit is the integer hash lowbias32 (Wellons, 2018, Prospecting for hash functions), with the second half of the key
 * put in between its two rounds. A plain loop, which compilers vectorize, so that both real types have the same mask.
 */
static void dropout_factors(uint64_t key, uint32_t first, ptrdiff_t n, uint32_t threshold, real scale,
                            real factor[FACTORS]) {
    const uint32_t low = (uint32_t)key + first * GOLDEN_32, high = (uint32_t)(key >> 32);
    n = (n + 15) & ~(ptrdiff_t)15;
    for (ptrdiff_t i = 0; i < n; i++) {
        uint32_t h = low + (uint32_t)i * GOLDEN_32;
        h = (h ^ h >> 16) * UINT32_C(0x21F0AAAD);
        h = (h ^ h >> 15 ^ high) * UINT32_C(0xD35A2D97);
        h ^= h >> 15;
        factor[i] = h < threshold ? 0 : scale;
    }
}

/* to = from * mask / (1 - rate), or to += that, with the rate of this step, for rows [lo, hi) of the batch; `from` may
 * be `to` */
INLINE void dropout_rows(const plan_t *p, const operation_t *op, int64_t lo, int64_t hi, const real *from, real *to,
                         int add) {
    const ptrdiff_t m = (ptrdiff_t)node_of(p, op->output)->width;
    const double rate = op->constant[0] * p->dropout_factor;
    const uint32_t threshold = (uint32_t)(rate * 4294967296.0);
    const real scale = (real)(1 / (1 - rate));
    const uint64_t key = step_key(p, (uint64_t)(op - p->program.operations) + 1);
    real factor[FACTORS];
    for (int64_t r = lo; r < hi; r++, from += m, to += m) {
        const uint64_t row_key = mix_64(key + (uint64_t)(p->start - p->batch_start + r + 1) * GOLDEN_64);
        for (ptrdiff_t first = 0; first < m; first += FACTORS) {
            const ptrdiff_t n = m - first < FACTORS ? m - first : FACTORS;
            const real *x = from + first;
            real *y = to + first;
            dropout_factors(row_key, (uint32_t)first, n, threshold, scale, factor);
            FOR_VECTORS(n, { STORE(y, add ? LOAD(y) + LOAD(x) * LOAD(factor) : LOAD(x) * LOAD(factor)); });
        }
    }
}

static void dropout_forward(const plan_t *p, const operation_t *op, int64_t lo, int64_t hi) {
    dropout_rows(p, op, lo, hi, value_of(p, op->input, lo), out_of(p, op->output, lo), 0);
}

/* forward: y = x * factor, so dx = dy * factor */
static void dropout_backward(const plan_t *p, const operation_t *op, int64_t lo, int64_t hi) {
    real *dx = grad_of(p, op->input, lo);
    if (dx)
        dropout_rows(p, op, lo, hi, grad_of(p, op->output, lo), dx, (int)op->adds);
}

static const kind_t dropout_kind = {
    .forward = dropout_forward,
    .backward = dropout_backward,
};

#endif
