/* What the kinds share that read columns of a table: numbers of some columns, side by side, and codes of categories. */
#ifndef FASTBP_KINDS_COLUMNS_H
#define FASTBP_KINDS_COLUMNS_H

#include "../nodes.h"

#define GATHERED 64 /* numbers of a row that are side by side at a time */

/* Numbers [first, first + n) of the chosen columns of a row, n <= GATHERED; columns NULL: all columns, in order */
INLINE const real *gathered(const real *row, const int64_t *columns, ptrdiff_t first, ptrdiff_t n, real *buffer) {
    if (!columns)
        return row + first;
    for (ptrdiff_t i = 0; i < n; i++)
        buffer[i] = row[columns[first + i]];
    return buffer;
}

/* Where these numbers of a row of results are to be computed: in place, or in the buffer */
INLINE real *place_of_gathered(real *row, const int64_t *columns, ptrdiff_t first, real *buffer) {
    return columns ? buffer : row + first;
}

/* Add them to the row, if they are in the buffer. */
INLINE void scatter(const real *buffer, const int64_t *columns, ptrdiff_t first, ptrdiff_t n, real *row) {
    for (ptrdiff_t i = 0; columns && i < n; i++)
        row[columns[first + i]] += buffer[i];
}

/* n numbers of a gradient, before anything is added to them */
INLINE void clear(real *g, int adds, ptrdiff_t n) {
    if (!adds)
        memset(g, 0, (size_t)n * sizeof(real));
}

/* n rows of the gradient of a node of which not every column has one, or of its tangent; NULL: not computed */
INLINE void clear_gradient(const plan_t *p, int64_t node, int64_t adds, int64_t n, real *g) {
    if (g)
        clear(g, adds != 0, (ptrdiff_t)(n * node_of(p, node)->width));
}

/* The level that is nearest to a code; `levels` if there is none, or if the code is missing: NaN */
INLINE int64_t level_of(real code, int64_t levels) {
    return code > (real)-0.5 && code < (real)levels - (real)0.5 ? (int64_t)(code + (real)0.5) : levels;
}

/* The integers of a kind that reads codes: how many columns, the columns, and the levels of each of them */
typedef struct {
    int64_t n;
    const int64_t *column, *levels;
} codes_t;
INLINE codes_t codes_of(const plan_t *p, const operation_t *op) {
    const int64_t *integers = integers_of(p, op);
    return (codes_t){integers[0], integers + 1, integers + 1 + integers[0]};
}

/* forward: a step function of the codes, so d in = 0 */
static void codes_backward(const plan_t *p, const operation_t *op, int64_t lo, int64_t hi) {
    clear_gradient(p, op->input, op->adds, hi - lo, grad_of(p, op->input, lo));
}
static void codes_backward_tangent(const plan_t *p, const operation_t *op, int64_t lo, int64_t hi) {
    clear_gradient(p, op->input, op->adds, hi - lo, grad_tangent_of(p, op->input, lo));
}

#endif
