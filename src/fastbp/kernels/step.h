/* One training step in two phases (forward, loss, backward, update: the four steps of the textbook, arranged for
 * threads).
 *
 *     phase 1, rows [lo, hi) of the batch       a row depends on no other row: no synchronization inside
 *         gather    x, y
 *         forward   every operation, first to last
 *         loss      of the output node, and its gradient
 *         backward  every operation, last to first
 *     --- barrier: every gradient of a node is there, and no parameter has changed yet ---
 *     phase 2, a tile of one block of parameters
 *         g  = its gradient, the sum over the batch in row order
 *         g  = (g + alpha w) / S                          alpha: the penalty of the block's group
 *         update of w, and of the mirror W^T that the next phase 1 reads
 *     --- barrier ---
 *
 * For a small net on a larger batch, phase 1 stores the gradient of each of a fixed number of runs of rows instead, and
 * phase 2 adds these up in their order: see slot_gradient.
 *
 * A batch that is too large for one such step, because nothing could interrupt it for long, is cut into slices, whose
 * gradients are added up (store_tile); one update from the sum follows (update_tile_from_gradient).
 *
 * All products with W precede every update, so this is the textbook's order. No more of the gradient exists at a time
 * than one tile, in a scratch that the caches hold.
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
INLINE const operation_t *operation_of(const plan_t *p, const block_t *block) {
    return &p->program.operations[block->operation];
}

/* Phase 1 */

/* rows [lo, hi) of the batch of a matrix of the data are copied together */
static void gather(const plan_t *p, const real *from, ptrdiff_t width, ptrdiff_t lo, ptrdiff_t hi, real *to) {
    for (ptrdiff_t r = lo; r < hi; r++, to += width) {
        const real *row = from + data_row(p, r) * width;
        FOR_VECTORS(width, { STORE(to, LOAD(row)); });
    }
}

/* The targets of rows [lo, hi): in place when the batch is a slice of the data, else gathered */
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

/* row_loss, and the gradient of the output node, which is not weighted yet */
static void loss_block(const plan_t *p, ptrdiff_t lo, ptrdiff_t hi) {
    const int64_t output = p->program.output;
    loss_functions[p->loss.kind][p->loss.is_raw](&p->loss, targets_of(p, lo, hi), value_of(p, output, lo),
                                                 p->row_loss + lo, grad_of(p, output, lo), hi - lo,
                                                 (ptrdiff_t)node_of(p, output)->width);
    if (p->data.sample_weight)
        for (ptrdiff_t r = lo; r < hi; r++)
            p->row_loss[r] *= p->data.sample_weight[data_row(p, r)];
}

/* Multiply the rows of g, a gradient by the raw output, by their sample weights. A function of the user's has done it.
 */
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

/* Once for each batch, by one thread, in phase 1 */
static void prepare_gradients(const plan_t *p) {
    for (int64_t i = 0; i < p->program.n_operations; i++) {
        const operation_t *op = &p->program.operations[i];
        if (kind_of(op)->prepare)
            kind_of(op)->prepare(p, op);
    }
}

/* The gradient of the rows of one slot, laid out as the parameters. Where the parameters are few, exchanging these
 * between threads moves far fewer cache lines than exchanging values and gradients of nodes. */
static void slot_gradient(const plan_t *p, int64_t slot, void *scratch) {
    const int64_t lo = slot * p->slot_rows, hi = lo + p->slot_rows < p->n ? lo + p->slot_rows : p->n;
    real *g = (real *)p->slots + slot * p->program.n_params;
    for (int64_t i = 0; i < p->program.n_blocks && lo < hi; i++) {
        const block_t *block = &p->program.blocks[i];
        const tile_t whole = {i, 0, block->rows, 0, block->cols};
        const operation_t *op = operation_of(p, block);
        kind_of(op)->gradient(p, op, &whole, lo, hi, g + block->offset, scratch, 0);
    }
}

/* Phase 2 */

/* g = the slots' gradients at `place`, added in the order of the rows */
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
    return block->offset + tile->begin * block->cols + tile->left;
}

/* g = the tile of the gradient of the batch, contiguous; the scratch behind it holds as many reals */
INLINE void tile_gradient(const plan_t *p, const block_t *block, const tile_t *tile, real *g) {
    const ptrdiff_t n = (ptrdiff_t)((tile->end - tile->begin) * (tile->right - tile->left));
    const operation_t *op = operation_of(p, block);
    if (p->n_slots) /* tiles are of whole rows then */
        sum_slots(p, place_of(block, tile), n, g);
    else
        kind_of(op)->gradient(p, op, tile, 0, p->n, g, g + n, 0);
}

/* The optimizer's step for n parameters at `place` from their summed gradient g. Returns the sum of their squares
 * before the step; 0 without a penalty. */
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

/* The step for a tile's parameters, whose gradients g lie g_row apart from row to row, and for the mirror. Returns the
 * sum of squares of the parameters before it, for the penalty's share of the loss; 0 without a penalty. */
INLINE double update_parameters(const plan_t *p, const block_t *block, const tile_t *tile, real *g, ptrdiff_t g_row) {
    const group_t *group = &p->groups[block->group];
    const ptrdiff_t rows = (ptrdiff_t)(tile->end - tile->begin), cols = (ptrdiff_t)(tile->right - tile->left);
    const int64_t place = place_of(block, tile);
    double sum_of_squares = 0;
    if (cols == block->cols) /* the tile's parameters lie in one run */
        sum_of_squares = update_run(p, group, place, g, rows * cols);
    else
        for (ptrdiff_t r = 0; r < rows; r++)
            sum_of_squares += update_run(p, group, place + r * block->cols, g + r * g_row, cols);
    if (block->mirror >= 0)
        transpose((real *)p->params + place, block->cols, rows, cols,
                  (real *)p->mirrors + block->mirror + tile->left * block->rows + tile->begin, block->rows);
    return sum_of_squares;
}

/* The step from the rows of the batch. The scratch holds twice the tile's parameters. Returns as update_parameters. */
static double update_tile(const plan_t *p, const tile_t *tile, void *scratch) {
    const block_t *block = &p->program.blocks[tile->block];
    tile_gradient(p, block, tile, scratch);
    return update_parameters(p, block, tile, scratch, tile->right - tile->left);
}

/* Write the tile's gradient to the stored one, or add it. */
static void store_tile(const plan_t *p, const tile_t *tile, void *scratch) {
    const block_t *block = &p->program.blocks[tile->block];
    const ptrdiff_t cols = (ptrdiff_t)(tile->right - tile->left);
    const real *g = scratch;
    real *to = (real *)p->gradient + place_of(block, tile);
    tile_gradient(p, block, tile, scratch);
    for (int64_t r = tile->begin; r < tile->end; r++, g += cols, to += block->cols)
        copy_or_add(g, to, (int)p->adds_gradient, cols);
}

/* The step from the stored gradient, which is overwritten. Returns as update_parameters. */
static double update_tile_from_gradient(const plan_t *p, const tile_t *tile) {
    const block_t *block = &p->program.blocks[tile->block];
    return update_parameters(p, block, tile, (real *)p->gradient + place_of(block, tile), block->cols);
}

/* Bring the mirrors up to the parameters. */
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

/* 1 when all of the gradient by the output is finite: then a loss that is not was an overflow of the loss alone */
static int output_gradient_is_finite(const plan_t *p) {
    return all_finite(grad_of(p, p->program.output, 0), p->n * node_of(p, p->program.output)->width);
}

#endif
