/* dense_sparse: the dense layer z = b + x W for an input in compressed sparse rows, with the blocks W (n_features,
 * fan_out) and, if there is a bias, b (1, fan_out). It reads the data directly. Tangents and derivatives with respect
 * to the input are computed by `dense` from a dense copy of the input. */
#ifndef FASTBP_KINDS_DENSE_SPARSE_H
#define FASTBP_KINDS_DENSE_SPARSE_H

#include "../gemm.h"
#include "../nodes.h"

INLINE ptrdiff_t column_of(const data_t *d, ptrdiff_t nonzero) {
    return d->index_bytes == 4 ? (ptrdiff_t)((const int32_t *)d->indices)[nonzero]
                               : (ptrdiff_t)((const int64_t *)d->indices)[nonzero];
}

/* z = b + sum over the row's non-zeros of x W[column], `vecs` vectors of the output at once */
INLINE void sparse_panel(const int vecs, ptrdiff_t lanes, const data_t *d, ptrdiff_t from, ptrdiff_t to, const real *W,
                         const real *b, ptrdiff_t m, real *z) {
    vec acc[4];
    for (int v = 0; v < vecs; v++)
        acc[v] = !b ? (vec){0} : vecs == 1 ? load_n(b, lanes) : load(b + v * VL);
    for (ptrdiff_t i = from; i < to; i++) {
        const vec x = splat(((const real *)d->X)[i]);
        const real *w = W + column_of(d, i) * m;
        for (int v = 0; v < vecs; v++)
            acc[v] += x * (vecs == 1 ? load_n(w, lanes) : load(w + v * VL));
    }
    for (int v = 0; v < vecs; v++) {
        if (vecs == 1)
            store_n(z, acc[v], lanes);
        else
            store(z + v * VL, acc[v]);
    }
}

static void dense_sparse_forward(const plan_t *p, const operation_t *op, int64_t lo, int64_t hi) {
    const block_t *block = blocks_of(p, op);
    const real *W = params_of(p, block), *b = op->n_blocks > 1 ? params_of(p, block + 1) : NULL;
    const ptrdiff_t m = (ptrdiff_t)block->cols;
    real *z = out_of(p, op->output, lo);
    for (int64_t r = lo; r < hi; r++, z += m) {
        const ptrdiff_t row = data_row(p, (ptrdiff_t)r);
        const ptrdiff_t from = (ptrdiff_t)p->data.indptr[row], to = (ptrdiff_t)p->data.indptr[row + 1];
        ptrdiff_t j = 0;
        for (; m - j >= 4 * VL; j += 4 * VL)
            sparse_panel(4, VL, &p->data, from, to, W + j, b ? b + j : NULL, m, z + j);
        for (; j < m; j += VL)
            sparse_panel(1, m - j < VL ? m - j : VL, &p->data, from, to, W + j, b ? b + j : NULL, m, z + j);
    }
}

/* The non-zeros of the batch by column, in row order within a column (a counting sort), for the gradient */
static void dense_sparse_prepare(const plan_t *p, const operation_t *op) {
    const ptrdiff_t n_columns = (ptrdiff_t)blocks_of(p, op)->rows;
    int64_t *start = p->columns.start;
    memset(start, 0, (size_t)(n_columns + 1) * sizeof(int64_t));
    for (ptrdiff_t r = 0; r < p->n; r++) {
        const ptrdiff_t row = data_row(p, r);
        for (int64_t i = p->data.indptr[row]; i < p->data.indptr[row + 1]; i++)
            start[column_of(&p->data, i) + 1]++;
    }
    for (ptrdiff_t c = 0; c < n_columns; c++)
        start[c + 1] += start[c];
    for (ptrdiff_t r = 0; r < p->n; r++) {
        const ptrdiff_t row = data_row(p, r);
        for (int64_t i = p->data.indptr[row]; i < p->data.indptr[row + 1]; i++) {
            const int64_t place = start[column_of(&p->data, i)]++;
            p->columns.row[place] = (int32_t)r;
            ((real *)p->columns.value)[place] = ((const real *)p->data.X)[i];
        }
    }
    /* each start was moved to its end, which is the next start */
    memmove(start + 1, start, (size_t)n_columns * sizeof(int64_t));
    start[0] = 0;
}

/* forward: z = b + x W, so dW = x^T dz, and db = the sum of the rows of dz; always over the whole batch */
static void dense_sparse_gradient(const plan_t *p, const operation_t *op, const tile_t *tile, int64_t lo, int64_t hi,
                                  void *g_, void *scratch, int add) {
    const ptrdiff_t m = (ptrdiff_t)blocks_of(p, op)->cols, cols = (ptrdiff_t)(tile->col_end - tile->col_begin);
    const real *dz = grad_of(p, op->output, lo) + tile->col_begin;
    real *g = g_;
    (void)scratch;
    if (tile->block != op->first_block) {
        column_sums(dz, m, hi - lo, cols, g, add);
        return;
    }
    if (!add)
        memset(g, 0, (size_t)((tile->row_end - tile->row_begin) * cols) * sizeof(real));
    for (int64_t column = tile->row_begin; column < tile->row_end; column++, g += cols)
        for (int64_t i = p->columns.start[column]; i < p->columns.start[column + 1]; i++) {
            const real *d = dz + p->columns.row[i] * m;
            const vec x = splat(((const real *)p->columns.value)[i]);
            FOR_VECTORS(cols, { STORE(g, LOAD(g) + x * LOAD(d)); });
        }
}

static const kind_t dense_sparse_kind = {
    .forward = dense_sparse_forward,
    .gradient = dense_sparse_gradient,
    .prepare = dense_sparse_prepare,
};

#endif
