/* embedding: columns that hold codes 0, 1, ..., levels - 1; a row of the table for each code of each column. The block
 * table has levels + 1 rows for the first column, then those of the second, and so on; the last row of a column is for
 * a code that is none of these, or missing. The argument is 0 if the rows of the columns are put side by side, 1 if
 * they are added up. */
#ifndef FASTBP_KINDS_EMBEDDING_H
#define FASTBP_KINDS_EMBEDDING_H

#include "columns.h"

/* The rows of `table` that belong to the codes of each row, GATHERED columns at a time */
INLINE void embed(const plan_t *p, const operation_t *op, int64_t lo, int64_t hi, const real *table, real *y) {
    const ptrdiff_t width = (ptrdiff_t)node_of(p, op->input)->width, cols = (ptrdiff_t)blocks_of(p, op)->cols,
                    m = (ptrdiff_t)node_of(p, op->output)->width;
    const codes_t codes = codes_of(p, op);
    const real *x = value_of(p, op->input, lo), *rows[GATHERED];
    for (int64_t r = lo; r < hi; r++, x += width, y += m) {
        const real *own = table;
        for (int64_t first = 0; first < codes.n; first += GATHERED) {
            const ptrdiff_t n = (ptrdiff_t)(codes.n - first < GATHERED ? codes.n - first : GATHERED);
            for (ptrdiff_t j = 0; j < n; own += (codes.levels[first + j] + 1) * cols, j++)
                rows[j] = own + level_of(x[codes.column[first + j]], codes.levels[first + j]) * cols;
            if (op->argument)
                FOR_VECTORS(cols, {
                    vec total = first ? LOAD(y) : (vec){0};
                    for (ptrdiff_t j = 0; j < n; j++)
                        total += LOAD(rows[j]);
                    STORE(y, total);
                });
            else
                for (ptrdiff_t j = 0; j < n; j++)
                    FOR_VECTORS(cols, { STORE(y + (first + j) * cols, LOAD(rows[j])); });
        }
    }
}

static void embedding_forward(const plan_t *p, const operation_t *op, int64_t lo, int64_t hi) {
    embed(p, op, lo, hi, params_of(p, blocks_of(p, op)), out_of(p, op->output, lo));
}

/* forward: y = the row of the code, so the gradient of a row is the sum of dy over those rows of the batch that have
 * its code. g += the rows of a tile. Only the columns whose codes have rows in the tile are looked at. */
INLINE void add_to_levels(const plan_t *p, const operation_t *op, const tile_t *tile, int64_t lo, int64_t hi,
                          const real *dy, real *g) {
    const ptrdiff_t width = (ptrdiff_t)node_of(p, op->input)->width, cols = (ptrdiff_t)blocks_of(p, op)->cols,
                    m = (ptrdiff_t)node_of(p, op->output)->width, n = (ptrdiff_t)(tile->col_end - tile->col_begin);
    const codes_t codes = codes_of(p, op);
    int64_t first = 0; /* of the rows of the column */
    for (int64_t j = 0; j < codes.n; first += codes.levels[j] + 1, j++) {
        if (first + codes.levels[j] < tile->row_begin || first >= tile->row_end)
            continue;
        const real *x = value_of(p, op->input, lo) + codes.column[j],
                   *d = dy + tile->col_begin + (op->argument ? 0 : j * cols);
        for (int64_t r = lo; r < hi; r++, x += width, d += m) {
            const int64_t row = first + level_of(*x, codes.levels[j]);
            if (row >= tile->row_begin && row < tile->row_end) {
                real *to = g + (row - tile->row_begin) * n;
                FOR_VECTORS(n, { STORE(to, LOAD(to) + LOAD(d)); });
            }
        }
    }
}

static void embedding_gradient(const plan_t *p, const operation_t *op, const tile_t *tile, int64_t lo, int64_t hi,
                               void *g, void *scratch, int add) {
    (void)scratch;
    clear(g, add, (ptrdiff_t)((tile->row_end - tile->row_begin) * (tile->col_end - tile->col_begin)));
    add_to_levels(p, op, tile, lo, hi, grad_of(p, op->output, lo), g);
}

/* The tangent of y is the row of the code in the direction of the table */
static void embedding_tangent(const plan_t *p, const operation_t *op, int64_t lo, int64_t hi) {
    real *out = tangent_of(p, op->output, lo);
    if (p->direction)
        embed(p, op, lo, hi, (const real *)p->direction + blocks_of(p, op)->offset, out);
    else
        memset(out, 0, (size_t)((hi - lo) * node_of(p, op->output)->width) * sizeof(real));
}

static void embedding_gradient_tangent(const plan_t *p, const operation_t *op, const tile_t *tile, int64_t lo,
                                       int64_t hi, void *g) {
    add_to_levels(p, op, tile, lo, hi, grad_tangent_of(p, op->output, lo), g);
}

static const kind_t embedding_kind = {
    .forward = embedding_forward,
    .backward = codes_backward,
    .gradient = embedding_gradient,
    .tangent = embedding_tangent,
    .backward_tangent = codes_backward_tangent,
    .gradient_tangent = embedding_gradient_tangent,
};

#endif
