/* dense: z = b + x W, with the blocks W (fan_in, fan_out) and, if there is a bias, b (1, fan_out). */
#ifndef FASTBP_KINDS_DENSE_H
#define FASTBP_KINDS_DENSE_H

#include "../gemm.h"
#include "../nodes.h"

static void dense_forward(const plan_t *p, const operation_t *op, int64_t lo, int64_t hi) {
    const block_t *W = blocks_of(p, op);
    const real *b = op->n_blocks > 1 ? params_of(p, W + 1) : NULL, *x = value_of(p, op->input, lo);
    real *z = out_of(p, op->output, lo);
    if (op->argument) /* so few outputs that most lanes of a vector would be empty: W^T is read along its rows */
        narrow_matmul(hi - lo, W->cols, W->rows, x, W->rows, mirror_of(p, W), W->rows, b, z, W->cols);
    else
        matmul(hi - lo, W->cols, W->rows, by_rows(x, W->rows), by_rows(params_of(p, W), W->cols), repeated(b), z,
               W->cols);
}

/* forward: z = b + x W, so dx = dz W^T */
static void dense_backward(const plan_t *p, const operation_t *op, int64_t lo, int64_t hi) {
    const block_t *W = blocks_of(p, op);
    real *dx = grad_of(p, op->input, lo);
    if (dx)
        matmul(hi - lo, W->rows, W->cols, by_rows(grad_of(p, op->output, lo), W->cols),
               by_rows(mirror_of(p, W), W->rows), by_rows(op->adds ? dx : NULL, W->rows), dx, W->rows);
}

/* What the update of a tile reads: the parameters and the state of the optimizer. Nothing if all parameters stay in the
 * second-level cache from step to step. */
#define CACHED_BYTES (1024 * 1024)
INLINE ahead_t read_by_update(const plan_t *p, const block_t *W, const tile_t *tile) {
    const int64_t place = place_of(W, tile);
    ahead_t after = {0, {NULL}, (ptrdiff_t)W->cols, (ptrdiff_t)(tile->row_end - tile->row_begin)};
    if (!p->optimizers || p->gradient || p->program.n_params * (int64_t)sizeof(real) < CACHED_BYTES)
        return after; /* the gradient is stored, or memory is not what takes the time */
    after.stream[after.n_streams++] = (const real *)p->params + place;
    for (int i = 0; i < fastbp_optimizer_states[p->optimizers[p->optimizer_of[tile->block]].kind]; i++)
        after.stream[after.n_streams++] = (const real *)p->state[i] + place;
    return after;
}

/* g[rows, cols] = x dz, the product of a column and a row, each element as `multiply` computes it. A vector of dz stays
 * in a register for all rows. For a few columns, masked stores take longer than storing number by number. */
static void outer_product(ptrdiff_t rows, ptrdiff_t cols, const real *x, const real *dz, real *g) {
    FOR_VECTORS(cols, {
        const vec d = LOAD(dz);
        real *to = g;
        if (lanes <= FEW_COLUMNS && lanes < VL) {
            for (ptrdiff_t c = i; c < cols; c++)
                for (ptrdiff_t r = 0; r < rows; r++)
                    g[r * cols + c] = x[r] * dz[c] + 0;
        } else {
#pragma GCC unroll 4
            for (ptrdiff_t r = 0; r < rows; r++, to += cols)
                STORE(to, splat(x[r]) * d + (real)0);
        }
    });
}

/* The tile of x^T dz; x and dz have n rows and all columns */
INLINE void weight_gradient(const block_t *W, const tile_t *tile, int narrow, ptrdiff_t n, const real *x,
                            const real *dz, real *g, real *scratch, int add, const ahead_t *after) {
    const ptrdiff_t rows = (ptrdiff_t)(tile->row_end - tile->row_begin),
                    cols = (ptrdiff_t)(tile->col_end - tile->col_begin);
    x += tile->row_begin, dz += tile->col_begin;
    if (n == 1 && !add && !FASTBP_BFLOAT16) {
        outer_product(rows, cols, x, dz, g);
    } else if (narrow) { /* computed as dW^T = dz^T x */
        matmul(cols, rows, n, transposed(dz, W->cols), by_rows(x, W->rows), zero_matrix(), scratch, rows);
        transpose(scratch, rows, cols, rows, g, cols);
    } else {
        matmul_ahead(rows, cols, n, transposed(x, W->rows), by_rows(dz, W->cols), by_rows(add ? g : NULL, cols), g,
                     cols, after);
    }
}

/* forward: z = b + x W, so dW = x^T dz, and db = the sum of the rows of dz. The scratch has the size of g. `add` is not
 * supported if the forward pass reads the mirror. */
static void dense_gradient(const plan_t *p, const operation_t *op, const tile_t *tile, int64_t lo, int64_t hi, void *g,
                           void *scratch, int add) {
    const block_t *W = blocks_of(p, op);
    const real *dz = grad_of(p, op->output, lo);
    if (tile->block == op->first_block) {
        const ahead_t after = read_by_update(p, W, tile);
        weight_gradient(W, tile, (int)op->argument, hi - lo, value_of(p, op->input, lo), dz, g, scratch, add,
                        after.n_streams ? &after : NULL);
    } else {
        column_sums(dz + tile->col_begin, W->cols, hi - lo, tile->col_end - tile->col_begin, g, add);
    }
}

/* z = b + x W, so the tangent of z is db + x dW + dx W */
static void dense_tangent(const plan_t *p, const operation_t *op, int64_t lo, int64_t hi) {
    const block_t *W = blocks_of(p, op);
    const real *dx = tangent_of(p, op->input, lo), *init = NULL, *dir = p->direction;
    real *dz = tangent_of(p, op->output, lo);
    const ptrdiff_t n = hi - lo;
    if (dir) {
        const real *db = op->n_blocks > 1 ? dir + W[1].offset : NULL;
        matmul(n, W->cols, W->rows, by_rows(value_of(p, op->input, lo), W->rows), by_rows(dir + W->offset, W->cols),
               repeated(db), dz, W->cols);
        init = dz;
    }
    if (dx)
        matmul(n, W->cols, W->rows, by_rows(dx, W->rows), by_rows(params_of(p, W), W->cols), by_rows(init, W->cols), dz,
               W->cols);
    else if (!dir)
        memset(dz, 0, (size_t)(n * W->cols) * sizeof(real));
}

/* dx = dz W^T, so its tangent is d(dz) W^T + dz dW^T */
static void dense_backward_tangent(const plan_t *p, const operation_t *op, int64_t lo, int64_t hi) {
    const block_t *W = blocks_of(p, op);
    real *out = grad_tangent_of(p, op->input, lo);
    if (!out)
        return;
    const real *dir = (const real *)p->direction_mirrors + W->mirror;
    const ptrdiff_t n = hi - lo;
    matmul(n, W->rows, W->cols, by_rows(grad_tangent_of(p, op->output, lo), W->cols), by_rows(mirror_of(p, W), W->rows),
           by_rows(op->adds ? out : NULL, W->rows), out, W->rows);
    matmul(n, W->rows, W->cols, by_rows(grad_of(p, op->output, lo), W->cols), by_rows(dir, W->rows),
           by_rows(out, W->rows), out, W->rows);
}

/* dW = x^T dz, so its tangent is x^T d(dz) + dx^T dz */
static void dense_gradient_tangent(const plan_t *p, const operation_t *op, const tile_t *tile, int64_t lo, int64_t hi,
                                   void *g) {
    const block_t *W = blocks_of(p, op);
    const real *change = grad_tangent_of(p, op->output, lo), *dx = tangent_of(p, op->input, lo);
    if (tile->block != op->first_block) {
        column_sums(change + tile->col_begin, W->cols, hi - lo, tile->col_end - tile->col_begin, g, 1);
        return;
    }
    weight_gradient(W, tile, 0, hi - lo, value_of(p, op->input, lo), change, g, NULL, 1, NULL);
    if (dx)
        weight_gradient(W, tile, 0, hi - lo, dx, grad_of(p, op->output, lo), g, NULL, 1, NULL);
}

static const kind_t dense_kind = {
    .forward = dense_forward,
    .backward = dense_backward,
    .gradient = dense_gradient,
    .tangent = dense_tangent,
    .backward_tangent = dense_backward_tangent,
    .gradient_tangent = dense_gradient_tangent,
};

#endif
