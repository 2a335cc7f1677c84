/* one_hot: columns that hold codes 0, 1, ..., levels - 1; for each column a row of as many numbers, of which that of
 * the code is 1 and the others are 0. All are 0 for a code that is none of these, or missing. No blocks. */
#ifndef FASTBP_KINDS_ONE_HOT_H
#define FASTBP_KINDS_ONE_HOT_H

#include "columns.h"

static void one_hot_forward(const plan_t *p, const operation_t *op, int64_t lo, int64_t hi) {
    const ptrdiff_t width = (ptrdiff_t)node_of(p, op->input)->width, m = (ptrdiff_t)node_of(p, op->output)->width;
    const codes_t codes = codes_of(p, op);
    const real *x = value_of(p, op->input, lo);
    real *y = out_of(p, op->output, lo);
    memset(y, 0, (size_t)((hi - lo) * m) * sizeof(real));
    for (int64_t r = lo; r < hi; r++, x += width, y += m) {
        real *own = y;
        for (int64_t j = 0; j < codes.n; own += codes.levels[j], j++) {
            const int64_t level = level_of(x[codes.column[j]], codes.levels[j]);
            if (level < codes.levels[j])
                own[level] = 1;
        }
    }
}

static void one_hot_tangent(const plan_t *p, const operation_t *op, int64_t lo, int64_t hi) {
    memset(tangent_of(p, op->output, lo), 0, (size_t)((hi - lo) * node_of(p, op->output)->width) * sizeof(real));
}

static const kind_t one_hot_kind = {
    .forward = one_hot_forward,
    .backward = codes_backward,
    .tangent = one_hot_tangent,
    .backward_tangent = codes_backward_tangent,
};

#endif
