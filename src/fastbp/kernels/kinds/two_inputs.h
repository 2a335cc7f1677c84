/* What the embeddings of numbers share. They read columns x of the first input, the same columns x' of the second one,
 * which were scaled, and may have x' at the end of the rows of their output. */
#ifndef FASTBP_KINDS_TWO_INPUTS_H
#define FASTBP_KINDS_TWO_INPUTS_H

#include "columns.h"

/* The n rows of x', or of its tangent, to the end of the rows of the output */
INLINE void keep_second(const real *prime, ptrdiff_t n, ptrdiff_t columns, real *out, ptrdiff_t out_row) {
    for (ptrdiff_t r = 0; r < n; r++)
        memcpy(out + r * out_row, prime + r * columns, (size_t)columns * sizeof(real));
}

INLINE real dot(const real *a, const real *b, ptrdiff_t n) {
    vec total = {0};
    FOR_VECTORS(n, { total += LOAD(a) * LOAD(b); });
    return sum_lanes(total);
}

#endif
