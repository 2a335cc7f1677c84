/* One training step in two phases (forward, loss, backward, descent: the four steps of the textbook, arranged for
 * threads).
 *
 *     phase 1, rows [lo, hi) of the batch       a row depends on no other row: no synchronization inside
 *         gather    x, y
 *         forward   z_l = b_l + a_(l-1) W_l ,  a_l = f(z_l)          a_0 = x
 *         loss      l(y, a_L), delta_L = dl/dz_L
 *         backward  delta_(l-1) = (delta_l W_l^T) * f'(z_(l-1))
 *     --- barrier: every delta is there, and no weight has changed yet ---
 *     phase 2, a tile of one layer's weights
 *         dW = a_(l-1)^T delta_l, db = column sums of delta_l         the sum over the batch, in row order
 *         g  = (dW + alpha W) / S                                     biases are not penalized
 *         update of W, and of the copy of W^T that the next phase 1 reads
 *     --- barrier ---
 *
 * For a small net on a larger batch, phase 1 stores the gradient of each of a fixed number of runs of rows instead, and
 * phase 2 adds these up in their order: see slot_gradient.
 *
 * A batch that is too large for one such step, because nothing could interrupt it for long, is cut into slices, whose
 * gradients are added up by steps that update a sum of gradients in place of the weights; one update of the weights
 * from the sum follows: see descend_tile.
 *
 * All products with W precede every update, so this is the textbook's order. No more of the gradient exists at a time
 * than one tile, in a scratch that the caches hold.
 */
#ifndef FASTBP_STEP_H
#define FASTBP_STEP_H

#include "gemm.h"
#include "losses.h"
#include "updates.h"

INLINE ptrdiff_t data_row(const plan_t *p, ptrdiff_t r) {
    return (ptrdiff_t)(p->rows ? p->rows[p->start + r] : p->start + r);
}

INLINE ptrdiff_t column_of(const data_t *d, ptrdiff_t nonzero) {
    return d->index_bytes == 4 ? (ptrdiff_t)((const int32_t *)d->indices)[nonzero]
                               : (ptrdiff_t)((const int64_t *)d->indices)[nonzero];
}

/* A layer with so few outputs that a vector of them would be mostly empty reads W^T along its rows instead */
INLINE int is_narrow(const layer_t *layer) { return layer->transposed >= 0 && layer->fan_out * 4 <= VL; }

/* rows [lo, hi) of a dense matrix of the data: in place when the batch is a slice, else copied to the workspace */
static const real *gather(const plan_t *p, const real *from, ptrdiff_t width, int64_t offset, ptrdiff_t lo,
                          ptrdiff_t hi) {
    if (!p->rows)
        return from + (p->start + lo) * width;
    real *block = (real *)p->workspace + offset + lo * width;
    for (ptrdiff_t r = lo; r < hi; r++) {
        const real *row = from + data_row(p, r) * width;
        real *to = block + (r - lo) * width;
        FOR_VECTORS(width, { STORE(to, LOAD(row)); });
    }
    return block;
}

static const real *gather_targets(const plan_t *p, ptrdiff_t m, ptrdiff_t lo, ptrdiff_t hi) {
    if (!p->data.labels)
        return gather(p, p->data.Y, m, p->y, lo, hi);
    real *y = (real *)p->workspace + p->y + lo * m;
    memset(y, 0, (size_t)((hi - lo) * m) * sizeof(real));
    if (!p->data.label_start)
        for (ptrdiff_t r = lo; r < hi; r++)
            y[(r - lo) * m + p->data.labels[data_row(p, r)]] = 1;
    else
        for (ptrdiff_t r = lo; r < hi; r++) {
            const int64_t *start = p->data.label_start + data_row(p, r);
            for (int64_t i = start[0]; i < start[1]; i++)
                y[(r - lo) * m + p->data.labels[i]] = 1;
        }
    return y;
}

/* The inputs of layer 0, for phase 2 to find again */
INLINE const real *batch_input(const plan_t *p) {
    return p->rows ? (const real *)p->workspace + p->x : (const real *)p->data.X + p->start * p->layers[0].fan_in;
}

/* z = b + sum over the row's non-zeros of x W[column], `vecs` vectors of the output at once */
INLINE void sparse_panel(const int vecs, ptrdiff_t left, const data_t *d, ptrdiff_t from, ptrdiff_t to, const real *W,
                         const real *b, ptrdiff_t m, real *z) {
    vec acc[4];
    for (int v = 0; v < vecs; v++)
        acc[v] = vecs == 1 ? load_n(b, left) : load(b + v * VL);
    for (ptrdiff_t i = from; i < to; i++) {
        const vec x = splat(((const real *)d->X)[i]);
        const real *w = W + column_of(d, i) * m;
        for (int v = 0; v < vecs; v++)
            acc[v] += x * (vecs == 1 ? load_n(w, left) : load(w + v * VL));
    }
    for (int v = 0; v < vecs; v++) {
        if (vecs == 1)
            store_n(z, acc[v], left);
        else
            store(z + v * VL, acc[v]);
    }
}

static void sparse_forward(const plan_t *p, ptrdiff_t lo, ptrdiff_t hi, const real *W, const real *b, ptrdiff_t m,
                           real *z) {
    for (ptrdiff_t r = lo; r < hi; r++, z += m) {
        const ptrdiff_t row = data_row(p, r);
        const ptrdiff_t from = (ptrdiff_t)p->data.indptr[row], to = (ptrdiff_t)p->data.indptr[row + 1];
        ptrdiff_t j = 0;
        for (; m - j >= 4 * VL; j += 4 * VL)
            sparse_panel(4, VL, &p->data, from, to, W + j, b + j, m, z + j);
        for (; j < m; j += VL)
            sparse_panel(1, m - j < VL ? m - j : VL, &p->data, from, to, W + j, b + j, m, z + j);
    }
}

static void forward_block(const plan_t *p, ptrdiff_t lo, ptrdiff_t hi) {
    real *ws = p->workspace;
    const real *params = p->params, *input = NULL;
    for (ptrdiff_t l = 0; l < p->n_layers; l++) {
        const layer_t *layer = &p->layers[l];
        const ptrdiff_t m = (ptrdiff_t)layer->fan_out, fan_in = (ptrdiff_t)layer->fan_in;
        const real *W = params + layer->coef, *b = params + layer->intercept;
        real *z = ws + layer->z + lo * m, *a = ws + layer->a + lo * m;
        if (l == 0 && p->data.indptr) {
            sparse_forward(p, lo, hi, W, b, m, z);
        } else {
            if (l == 0)
                input = gather(p, p->data.X, fan_in, p->x, lo, hi);
            if (is_narrow(layer))
                narrow_matmul(hi - lo, m, fan_in, input, fan_in, ws + layer->transposed, fan_in, b, z, m);
            else
                matmul(hi - lo, m, fan_in, input, fan_in, 1, W, m, b, 0, z, m);
        }
        activation_forward((int)layer->activation, z, a, hi - lo, m);
        input = a;
    }
}

/* row_loss, and delta of the last layer */
static void loss_block(const plan_t *p, ptrdiff_t lo, ptrdiff_t hi) {
    real *ws = p->workspace;
    const layer_t *last = &p->layers[p->n_layers - 1];
    const ptrdiff_t n = hi - lo, m = (ptrdiff_t)last->fan_out;
    const real *y = gather_targets(p, m, lo, hi), *a = ws + last->a + lo * m;
    real *delta = ws + last->delta + lo * m;

    loss_rows((int)p->loss, y, a, p->row_loss + lo, n, m);
    output_delta((int)p->loss, (int)p->canonical, (int)last->activation, y, ws + last->z + lo * m, a, delta, n, m);
    if (p->data.sample_weight)
        for (ptrdiff_t r = 0; r < n; r++) {
            const double weight = p->data.sample_weight[data_row(p, lo + r)];
            p->row_loss[lo + r] *= weight;
            FOR_VECTORS(m, { STORE(delta + r * m, LOAD(delta + r * m) * (real)weight); });
        }
}

static void backward_block(const plan_t *p, ptrdiff_t lo, ptrdiff_t hi) {
    real *ws = p->workspace;
    const ptrdiff_t n = hi - lo;

    if (p->loss != LOSS_GIVEN)
        loss_block(p, lo, hi);
    for (ptrdiff_t l = p->n_layers - 1; l > 0; l--) {
        const layer_t *layer = &p->layers[l], *below = layer - 1;
        const ptrdiff_t fan_in = (ptrdiff_t)layer->fan_in, fan_out = (ptrdiff_t)layer->fan_out;
        real *delta_below = ws + below->delta + lo * fan_in;
        /* forward: z = b + a_below W */
        matmul(n, fan_in, fan_out, ws + layer->delta + lo * fan_out, fan_out, 1, ws + layer->transposed, fan_in, NULL,
               0, delta_below, fan_in);
        /* forward: a_below = f(z_below) */
        activation_backward((int)below->activation, ws + below->z + lo * fan_in, ws + below->a + lo * fan_in,
                            delta_below, n, fan_in);
    }
}

static void forward_rows(const plan_t *p, int64_t lo, int64_t hi) {
    const layer_t *last = &p->layers[p->n_layers - 1];
    for (int64_t r = lo; r < hi; r += p->row_block)
        forward_block(p, r, r + p->row_block < hi ? r + p->row_block : hi);
    if (p->out)
        memcpy((real *)p->out + (p->start + lo) * last->fan_out, (real *)p->workspace + last->a + lo * last->fan_out,
               (size_t)((hi - lo) * last->fan_out) * sizeof(real));
}

static void backward_rows(const plan_t *p, int64_t lo, int64_t hi) {
    for (int64_t r = lo; r < hi; r += p->row_block)
        backward_block(p, r, r + p->row_block < hi ? r + p->row_block : hi);
}

static void forward_backward_rows(const plan_t *p, int64_t lo, int64_t hi) {
    for (int64_t r = lo; r < hi; r += p->row_block) {
        const int64_t end = r + p->row_block < hi ? r + p->row_block : hi;
        forward_block(p, r, end);
        backward_block(p, r, end);
    }
}

/* The batch's non-zeros by column, rows in order within a column (a counting sort): what dW of a sparse X sums over */
static void sparse_columns(const plan_t *p) {
    const ptrdiff_t n_columns = (ptrdiff_t)p->layers[0].fan_in;
    int64_t *start = p->column_start;
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
            p->column_row[place] = (int32_t)r;
            ((real *)p->column_value)[place] = ((const real *)p->data.X)[i];
        }
    }
    /* filling moved each start to its end, which is the next one's start */
    memmove(start + 1, start, (size_t)n_columns * sizeof(int64_t));
    start[0] = 0;
}

static void sparse_weight_gradient(const plan_t *p, const tile_t *tile, const real *delta, ptrdiff_t m, real *g) {
    const ptrdiff_t cols = (ptrdiff_t)(tile->right - tile->left);
    memset(g, 0, (size_t)((tile->end - tile->begin) * cols) * sizeof(real));
    for (int64_t column = tile->begin; column < tile->end; column++, g += cols)
        for (int64_t i = p->column_start[column]; i < p->column_start[column + 1]; i++) {
            const real *d = delta + p->column_row[i] * m;
            const vec x = splat(((const real *)p->column_value)[i]);
            FOR_VECTORS(cols, { STORE(g, LOAD(g) + x * LOAD(d)); });
        }
}

/* g = the tile of dW, summed over rows [lo, hi) of the batch; scratch holds as many reals as g.
 * forward: z = b + input W, so dW = input^T delta */
static void weight_gradient(const plan_t *p, const tile_t *tile, ptrdiff_t lo, ptrdiff_t hi, real *g, real *scratch) {
    const layer_t *layer = &p->layers[tile->layer];
    const ptrdiff_t m = (ptrdiff_t)layer->fan_out, fan_in = (ptrdiff_t)layer->fan_in;
    const ptrdiff_t rows = (ptrdiff_t)(tile->end - tile->begin), cols = (ptrdiff_t)(tile->right - tile->left);
    const real *ws = p->workspace, *delta = ws + layer->delta + lo * m + tile->left;
    const real *input = (tile->layer == 0 ? batch_input(p) : ws + (layer - 1)->a) + lo * fan_in + tile->begin;
    if (is_narrow(layer)) { /* the same as dW^T = delta^T input */
        matmul(cols, rows, hi - lo, delta, 1, m, input, fan_in, NULL, 0, scratch, rows);
        transpose(scratch, rows, cols, rows, g, cols);
    } else {
        matmul(rows, cols, hi - lo, input, 1, fan_in, delta, m, NULL, 0, g, cols);
    }
}

/* The gradient of the rows of one slot, laid out as the parameters. Where the parameters are few, exchanging these
 * between threads moves far fewer cache lines than exchanging activations and deltas. */
static void slot_gradient(const plan_t *p, int64_t slot, void *scratch) {
    const ptrdiff_t lo = (ptrdiff_t)(slot * p->slot_rows);
    const ptrdiff_t hi = lo + p->slot_rows < p->n ? (ptrdiff_t)(lo + p->slot_rows) : (ptrdiff_t)p->n;
    const real *ws = p->workspace;
    real *g = (real *)p->workspace + p->slots + slot * p->n_params;
    for (int64_t l = 0; l < p->n_layers && lo < hi; l++) {
        const layer_t *layer = &p->layers[l];
        const tile_t whole = {l, 0, layer->fan_in, 0, layer->fan_out};
        weight_gradient(p, &whole, lo, hi, g + layer->coef, scratch);
        column_sums(ws + layer->delta + lo * layer->fan_out, layer->fan_out, hi - lo, layer->fan_out,
                    g + layer->intercept);
    }
}

/* g = the slots' gradients at `place`, added in the order of the rows */
static void sum_slots(const plan_t *p, int64_t place, ptrdiff_t n, real *g) {
    const real *first = (const real *)p->workspace + p->slots + place;
    const ptrdiff_t used = (ptrdiff_t)((p->n + p->slot_rows - 1) / p->slot_rows);
    FOR_VECTORS(n, {
        vec total = LOAD(first);
        for (ptrdiff_t slot = 1; slot < used; slot++)
            total += LOAD(first + slot * p->n_params);
        STORE(g, total);
    });
}

INLINE real *offset_or_null(void *base, int64_t offset) { return base ? (real *)base + offset : NULL; }

/* The optimizer's step for n parameters at `place`, whose summed gradient is g; alpha: the penalty on them. Returns the
 * sum of their squares before the step; 0 without a penalty. */
static double update_run(const plan_t *p, int64_t place, real *g, ptrdiff_t n, real alpha) {
    const real scale = (real)(1 / p->weight_sum);
    real *w = (real *)p->params + place;
    vec squares = {0};
    if (alpha != 0) {
        FOR_VECTORS(n, {
            const vec old = LOAD(w);
            squares += old * old;
            STORE(g, (LOAD(g) + old * alpha) * scale);
        });
    } else {
        FOR_VECTORS(n, { STORE(g, LOAD(g) * scale); });
    }
    apply_update(&p->update, g, w, offset_or_null(p->state[0], place), offset_or_null(p->state[1], place), n);
    return (double)sum_lanes(squares);
}

/* The step for a tile's weights, whose gradients g lie g_row apart from row to row, and for the copy of W^T. Returns
 * the sum of squares of the weights before it, for the penalty's share of the loss; 0 when there is no penalty. */
INLINE double update_weights(const plan_t *p, const tile_t *tile, real *g, ptrdiff_t g_row) {
    const layer_t *layer = &p->layers[tile->layer];
    const ptrdiff_t m = (ptrdiff_t)layer->fan_out, fan_in = (ptrdiff_t)layer->fan_in;
    const ptrdiff_t rows = (ptrdiff_t)(tile->end - tile->begin), cols = (ptrdiff_t)(tile->right - tile->left);
    const int64_t place = layer->coef + tile->begin * m + tile->left;
    const real alpha = (real)p->update.alpha;
    double sum_of_squares = 0;
    if (cols == m) /* the tile's weights lie in one run */
        sum_of_squares = update_run(p, place, g, rows * m, alpha);
    else
        for (ptrdiff_t r = 0; r < rows; r++)
            sum_of_squares += update_run(p, place + r * m, g + r * g_row, cols, alpha);
    if (layer->transposed >= 0)
        transpose((real *)p->params + place, m, rows, cols,
                  (real *)p->workspace + layer->transposed + tile->left * fan_in + tile->begin, fan_in);
    return sum_of_squares;
}

/* The step from the rows of the batch. scratch holds twice the tile's weights. Returns as `update_weights`. */
static double update_tile(const plan_t *p, const tile_t *tile, void *scratch) {
    real *ws = p->workspace, *g = scratch;
    const layer_t *layer = &p->layers[tile->layer];
    const ptrdiff_t m = (ptrdiff_t)layer->fan_out;
    const ptrdiff_t rows = (ptrdiff_t)(tile->end - tile->begin), cols = (ptrdiff_t)(tile->right - tile->left);

    if (p->n_slots) /* tiles are of whole rows then */
        sum_slots(p, layer->coef + tile->begin * m + tile->left, rows * m, g);
    else if (tile->layer == 0 && p->data.indptr)
        sparse_weight_gradient(p, tile, ws + layer->delta + tile->left, m, g);
    else
        weight_gradient(p, tile, 0, (ptrdiff_t)p->n, g, g + rows * cols);
    const double sum_of_squares = update_weights(p, tile, g, cols);

    if (tile->begin == 0) { /* forward: z = b + ..., so db = sum over the rows of delta */
        if (p->n_slots)
            sum_slots(p, layer->intercept, m, g);
        else
            column_sums(ws + layer->delta + tile->left, m, (ptrdiff_t)p->n, cols, g);
        update_run(p, layer->intercept + tile->left, g, cols, 0);
    }
    return sum_of_squares;
}

/* The step from a gradient that was summed before, laid out as the parameters, and is overwritten. Returns as
 * `update_weights`. */
static double descend_tile(const plan_t *p, const tile_t *tile, void *gradient) {
    const layer_t *layer = &p->layers[tile->layer];
    const ptrdiff_t m = (ptrdiff_t)layer->fan_out;
    real *g = gradient;
    if (tile->begin == 0) {
        const int64_t place = layer->intercept + tile->left;
        update_run(p, place, g + place, (ptrdiff_t)(tile->right - tile->left), 0);
    }
    return update_weights(p, tile, g + layer->coef + tile->begin * m + tile->left, m);
}

static void transpose_layer(const plan_t *p, int64_t l) {
    const layer_t *layer = &p->layers[l];
    if (layer->transposed < 0)
        return;
    transpose((const real *)p->params + layer->coef, layer->fan_out, layer->fan_in, layer->fan_out,
              (real *)p->workspace + layer->transposed, layer->fan_in);
}

/* 0 * x is 0 unless x is infinite or NaN */
static int all_finite(const real *x, ptrdiff_t n) {
    vec total = {0};
    FOR_VECTORS(n, { total += LOAD(x) * (real)0; });
    return sum_lanes(total) == 0;
}

/* 1 when all of the last layer's delta is finite: then a loss that is not was an overflow of the loss alone */
static int deltas_finite(const plan_t *p) {
    const layer_t *last = &p->layers[p->n_layers - 1];
    return all_finite((const real *)p->workspace + last->delta, (ptrdiff_t)(p->n * last->fan_out));
}

#endif
