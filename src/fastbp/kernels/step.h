/* One training step (forward, loss, backward, update) in two phases, which are divided among threads.
 *
 *     phase 1, rows [lo, hi) of the batch       a row depends on no other row: no synchronization inside
 *         gather    x, y
 *         forward   every operation, first to last
 *         loss      of the output node, and its gradient
 *         backward  every operation, last to first
 *     --- barrier: the gradients of all nodes are computed, and no parameter has changed yet ---
 *     phase 2, a tile of one block of parameters
 *         g  = gradient of the tile, the sum over the batch in row order
 *         g  = (g + alpha w) / S                          alpha: the penalty of the block's group
 *         update of w, and of its transposed copy (mirror), which the next phase 1 reads
 *     --- barrier ---
 *
 * For a small network and a larger batch, the batch is divided into a fixed number of slots. Phase 1 stores the
 * gradient of each slot, and phase 2 adds them in order: see slot_gradient.
 *
 * A batch whose step would take so long that signals wait is divided into slices. Their gradients are added
 * (store_tile), and one update from the sum follows (update_tile_from_gradient).
 *
 * All products with W precede all updates, so the result is that of the usual order. Only one tile of the gradient per
 * thread exists at a time, in a scratch array that fits into the caches.
 */
#ifndef FASTBP_STEP_H
#define FASTBP_STEP_H

#include "kinds/activation.h"
#include "kinds/add.h"
#include "kinds/dense.h"
#include "kinds/dense_sparse.h"
#include "kinds/scale.h"
#include "losses.h"
#include "optimizers.h"

#define ENTRY(name, ...) &name##_kind,
static const kind_t *const kinds[] = {KINDS(ENTRY)};
#undef ENTRY

INLINE const kind_t *kind_of(const operation_t *op) { return kinds[op->kind]; }
INLINE tile_t whole_block(const plan_t *p, int64_t number) {
    const block_t *block = &p->program.blocks[number];
    const tile_t tile = {number, 0, block->rows, 0, block->cols};
    return tile;
}
INLINE const operation_t *operation_of(const plan_t *p, const block_t *block) {
    return &p->program.operations[block->operation];
}

/* Phase 1 */

/* Copy rows [lo, hi) of the batch from a matrix of the data to contiguous rows. */
static void gather(const plan_t *p, const real *from, ptrdiff_t width, ptrdiff_t lo, ptrdiff_t hi, real *to) {
    for (ptrdiff_t r = lo; r < hi; r++, to += width) {
        const real *row = from + data_row(p, r) * width;
        FOR_VECTORS(width, { STORE(to, LOAD(row)); });
    }
}

/* The targets of rows [lo, hi): a pointer into the data if the batch is a slice of the data, else a copy */
static const real *targets_of(const plan_t *p, ptrdiff_t lo, ptrdiff_t hi) {
    const ptrdiff_t m = (ptrdiff_t)p->loss.target_width;
    real *y = (real *)p->targets + lo * m;
    if (!p->data.labels) {
        if (!p->rows)
            return (const real *)p->data.Y + (p->start + lo) * m;
        gather(p, p->data.Y, m, lo, hi, y);
        return y;
    }
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

static void forward_block(const plan_t *p, ptrdiff_t lo, ptrdiff_t hi) {
    const operation_t *end = p->program.operations + p->program.n_operations;
    const node_t *input = p->program.nodes;
    if (p->rows && input->value >= 0)
        gather(p, p->data.X, (ptrdiff_t)input->width, lo, hi, out_of(p, 0, lo));
    for (const operation_t *op = p->program.operations; op < end; op++)
        kind_of(op)->forward(p, op, lo, hi);
}

/* Compute row_loss, and the gradient of the output node without sample weights. */
static void loss_block(const plan_t *p, ptrdiff_t lo, ptrdiff_t hi) {
    const int64_t output = p->program.output;
    loss_functions[p->loss.kind][p->loss.is_raw](&p->loss, targets_of(p, lo, hi), value_of(p, output, lo),
                                                 p->row_loss + lo, grad_of(p, output, lo), hi - lo,
                                                 (ptrdiff_t)node_of(p, output)->width);
    if (p->data.sample_weight)
        for (ptrdiff_t r = lo; r < hi; r++)
            p->row_loss[r] *= p->data.sample_weight[data_row(p, r)];
}

/* Multiply the rows of g, the gradient with respect to the raw output, by their sample weights. A custom loss does this
 * itself. */
static void weigh_rows(const plan_t *p, ptrdiff_t lo, ptrdiff_t hi, real *g) {
    const ptrdiff_t m = (ptrdiff_t)node_of(p, p->program.raw_output)->width;
    if (!p->data.sample_weight || p->loss.kind == LOSS_GIVEN)
        return;
    for (ptrdiff_t r = lo; r < hi; r++, g += m) {
        const real weight = (real)p->data.sample_weight[data_row(p, r)];
        FOR_VECTORS(m, { STORE(g, LOAD(g) * weight); });
    }
}

static void backward_block(const plan_t *p, ptrdiff_t lo, ptrdiff_t hi) {
    if (p->loss.kind != LOSS_GIVEN)
        loss_block(p, lo, hi);
    for (const operation_t *op = p->program.operations + p->program.n_operations; op-- > p->program.operations;) {
        if (op->output == p->program.raw_output)
            weigh_rows(p, lo, hi, grad_of(p, op->output, lo));
        if (kind_of(op)->backward)
            kind_of(op)->backward(p, op, lo, hi);
    }
}

static void forward_rows(const plan_t *p, int64_t lo, int64_t hi) {
    const ptrdiff_t m = (ptrdiff_t)node_of(p, p->program.output)->width;
    for (int64_t r = lo; r < hi; r += p->row_block)
        forward_block(p, r, r + p->row_block < hi ? r + p->row_block : hi);
    if (p->out)
        memcpy((real *)p->out + (p->start + lo) * m, value_of(p, p->program.output, lo),
               (size_t)((hi - lo) * m) * sizeof(real));
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

/* Called once for each batch, by one thread, in phase 1 */
static void prepare_gradients(const plan_t *p) {
    for (int64_t i = 0; i < p->program.n_operations; i++) {
        const operation_t *op = &p->program.operations[i];
        if (kind_of(op)->prepare)
            kind_of(op)->prepare(p, op);
    }
}

/* The gradient of the rows of one slot, laid out as the parameters. If there are few parameters, exchanging these
 * gradients between threads moves far fewer cache lines than exchanging the values and gradients of the nodes. */
static void slot_gradient(const plan_t *p, int64_t slot, void *scratch) {
    const int64_t lo = slot * p->slot_rows, hi = lo + p->slot_rows < p->n ? lo + p->slot_rows : p->n;
    real *g = (real *)p->slots + slot * p->program.n_params;
    for (int64_t i = 0; i < p->program.n_blocks && lo < hi; i++) {
        const block_t *block = &p->program.blocks[i];
        const tile_t whole = whole_block(p, i);
        const operation_t *op = operation_of(p, block);
        kind_of(op)->gradient(p, op, &whole, lo, hi, g + block->offset, scratch, 0);
    }
}

/* Phase 2 */

/* g = the sum of the gradients of the slots at `place`, in the order of the rows */
static void sum_slots(const plan_t *p, int64_t place, ptrdiff_t n, real *g) {
    const real *first = (const real *)p->slots + place;
    const ptrdiff_t used = (ptrdiff_t)((p->n + p->slot_rows - 1) / p->slot_rows);
    FOR_VECTORS(n, {
        vec total = LOAD(first);
        for (ptrdiff_t slot = 1; slot < used; slot++)
            total += LOAD(first + slot * p->program.n_params);
        STORE(g, total);
    });
}

INLINE int64_t place_of(const block_t *block, const tile_t *tile) {
    return block->offset + tile->row_begin * block->cols + tile->col_begin;
}

/* g = the tile of the gradient of the batch, contiguous; it is followed by scratch of the same size */
INLINE void tile_gradient(const plan_t *p, const block_t *block, const tile_t *tile, real *g) {
    const ptrdiff_t n = (ptrdiff_t)((tile->row_end - tile->row_begin) * (tile->col_end - tile->col_begin));
    const operation_t *op = operation_of(p, block);
    if (p->n_slots) /* then tiles consist of whole rows */
        sum_slots(p, place_of(block, tile), n, g);
    else
        kind_of(op)->gradient(p, op, tile, 0, p->n, g, g + n, 0);
}

/* Update n parameters at `place` by their summed gradient g. Returns the sum of squares of the parameters before the
 * update; 0 without a penalty. */
static double update_run(const plan_t *p, const group_t *group, int64_t place, real *g, ptrdiff_t n) {
    const optimizer_t *optimizer = &p->optimizers[group->optimizer];
    const real scale = (real)(1 / p->weight_sum), alpha = (real)group->penalty;
    real *w = (real *)p->params + place, *state[MAX_STATES];
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
    if (group->decay != 0) {
        const real keep = (real)(1 - optimizer->learning_rate * group->learning_rate * group->decay);
        FOR_VECTORS(n, { STORE(w, LOAD(w) * keep); });
    }
    for (int64_t i = 0; i < p->n_states; i++)
        state[i] = (real *)p->state[i] + place;
    apply_update(optimizer, group->learning_rate, g, w, state, n);
    return (double)sum_lanes(squares);
}

/* Update the parameters of a tile and their transposed copy by the gradient g, whose rows are g_row apart. Returns the
 * sum of squares of the parameters before the update, for the penalty in the loss; 0 without a penalty. */
INLINE double update_parameters(const plan_t *p, const block_t *block, const tile_t *tile, real *g, ptrdiff_t g_row) {
    const group_t *group = &p->groups[block->group];
    const ptrdiff_t rows = (ptrdiff_t)(tile->row_end - tile->row_begin),
                    cols = (ptrdiff_t)(tile->col_end - tile->col_begin);
    const int64_t place = place_of(block, tile);
    double sum_of_squares = 0;
    if (cols == block->cols) /* the parameters of the tile are contiguous */
        sum_of_squares = update_run(p, group, place, g, rows * cols);
    else
        for (ptrdiff_t r = 0; r < rows; r++)
            sum_of_squares += update_run(p, group, place + r * block->cols, g + r * g_row, cols);
    if (block->mirror >= 0)
        transpose((real *)p->params + place, block->cols, rows, cols,
                  (real *)p->mirrors + block->mirror + tile->col_begin * block->rows + tile->row_begin, block->rows);
    return sum_of_squares;
}

/* Update a tile by the gradient of the batch. The scratch has twice the size of the tile. Returns the value of
 * update_parameters. */
static double update_tile(const plan_t *p, const tile_t *tile, void *scratch) {
    const block_t *block = &p->program.blocks[tile->block];
    tile_gradient(p, block, tile, scratch);
    return update_parameters(p, block, tile, scratch, tile->col_end - tile->col_begin);
}

/* Write the gradient of a tile to the stored gradient, or add it. */
static void store_tile(const plan_t *p, const tile_t *tile, void *scratch) {
    const block_t *block = &p->program.blocks[tile->block];
    const ptrdiff_t cols = (ptrdiff_t)(tile->col_end - tile->col_begin);
    const real *g = scratch;
    real *to = (real *)p->gradient + place_of(block, tile);
    tile_gradient(p, block, tile, scratch);
    for (int64_t r = tile->row_begin; r < tile->row_end; r++, g += cols, to += block->cols)
        copy_or_add(g, to, (int)p->adds_gradient, cols);
}

/* Update a tile by the stored gradient, which is overwritten. Returns the value of update_parameters. */
static double update_tile_from_gradient(const plan_t *p, const tile_t *tile) {
    const block_t *block = &p->program.blocks[tile->block];
    return update_parameters(p, block, tile, (real *)p->gradient + place_of(block, tile), block->cols);
}

/* Copy all matrices to the mirrors, transposed. */
static void refresh_mirrors(const plan_t *p) {
    for (int64_t i = 0; i < p->program.n_blocks; i++) {
        const block_t *block = &p->program.blocks[i];
        if (block->mirror >= 0)
            transpose(params_of(p, block), block->cols, block->rows, block->cols, (real *)p->mirrors + block->mirror,
                      block->rows);
    }
}

/* 0 * x is 0 unless x is infinite or NaN */
static int all_finite(const void *x_, int64_t n) {
    const real *x = x_;
    vec total = {0};
    FOR_VECTORS(n, { total += LOAD(x) * (real)0; });
    return sum_lanes(total) == 0;
}

/* Whether the gradient with respect to the output is finite: if it is, and the loss is not, only the loss overflowed */
static int output_gradient_is_finite(const plan_t *p) {
    return all_finite(grad_of(p, p->program.output, 0), p->n * node_of(p, p->program.output)->width);
}

#endif
