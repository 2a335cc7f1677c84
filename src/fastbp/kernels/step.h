/* One training step (forward, loss, backward, update) in two phases, which are divided among threads.
 *
 *     phase 1, rows [lo, hi) of the batch       a row depends on no other row: no synchronization inside
 *         gather    x, y; with mixup, mixtures of two rows: see mixup.h
 *         forward   every operation, first to last
 *         loss      of the output node, and its gradient
 *         backward  every operation, last to first
 *     --- barrier: the gradients of all nodes are computed, and no parameter has changed yet ---
 *     phase 2, a tile of one block of parameters
 *         g  = gradient of the tile, the sum over the batch in row order
 *         g  = (g + alpha w + l1 sign(w)) / S             alpha, l1: the penalties of the block's group
 *         update of w, of its transposed copy (mirror), which the next phase 1 reads, and of the average of w
 *     --- barrier ---
 *
 * For a small network and a larger batch, the batch is divided into a fixed number of slots. Phase 1 stores the
 * gradient of each slot, and phase 2 adds them in order: see slot_gradient.
 *
 * If an optimizer transforms the gradient of whole blocks, or the norm of the gradient is limited, phase 2 stores the
 * gradient (store_tile, finish_tile). Further phases scale it (limit_gradient), transform it (transform_gradient, in as
 * many phases as the optimizer needs) and make the updates (update_from_gradient). If the norms of the columns of
 * matrices are limited, a last phase scales them back (limit_columns).
 *
 * A batch whose step would take so long that signals wait is divided into slices. Their gradients are added
 * (store_tile), and one update from the sum follows (finish_tile, update_from_gradient).
 *
 * An operation whose rows depend on each other (batch normalization) cuts the program into segments, and phase 1 into
 * more phases, with a barrier after each:
 *
 *     rows      forward through a segment, and statistics of runs of rows of what the next segment reads
 *     columns   the statistics of the whole batch (reduce)
 *     ... for every segment but the last
 *     rows      forward through the last segment, loss, backward, and statistics of runs of rows of the gradient
 *     columns   those of the whole batch (reduce_backward)
 *     rows      backward through the segment before, ...
 *
 * A batch is not divided into slices then.
 *
 * All products with W precede all updates, so the result is that of the usual order. Only one tile of the gradient per
 * thread exists at a time, in a scratch array that fits into the caches.
 */
#ifndef FASTBP_STEP_H
#define FASTBP_STEP_H

#include "kinds/activation.h"
#include "kinds/add.h"
#include "kinds/batch_norm.h"
#include "kinds/blend.h"
#include "kinds/concatenate.h"
#include "kinds/dense.h"
#include "kinds/dense_int8.h"
#include "kinds/dense_sparse.h"
#include "kinds/dropout.h"
#include "kinds/embedding.h"
#include "kinds/one_hot.h"
#include "kinds/periodic.h"
#include "kinds/piecewise_linear.h"
#include "kinds/prelu.h"
#include "kinds/robust_scale.h"
#include "kinds/row_norm.h"
#include "kinds/running_norm.h"
#include "kinds/scale.h"
#include "losses.h"
#include "mixup.h"
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

/* Copy rows [lo, hi) of the batch, which may be mixed, from a matrix of the data to contiguous rows. */
static void gather(const plan_t *p, const real *from, ptrdiff_t width, ptrdiff_t lo, ptrdiff_t hi, real *to) {
    if (p->mixup.share != 0) {
        gather_mixed(p, from, width, lo, hi, to);
        return;
    }
    for (ptrdiff_t r = lo; r < hi; r++, to += width) {
        const real *row = from + data_row(p, r) * width;
        FOR_VECTORS(width, { STORE(to, LOAD(row)); });
    }
}

/* The targets of rows [lo, hi): a pointer into the data if the batch is a slice of the data, else a copy */
static const real *targets_of(const plan_t *p, ptrdiff_t lo, ptrdiff_t hi) {
    if (p->mixup.share != 0)
        return mixed_targets(p, lo, hi);
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

/* Fill the buffer of the input, if there is one. */
static void gather_input(const plan_t *p, ptrdiff_t lo, ptrdiff_t hi) {
    const node_t *input = p->program.nodes;
    if (input->value < 0)
        return;
    if (p->data.element == ELEMENT_REAL)
        gather(p, p->data.X, (ptrdiff_t)input->width, lo, hi, out_of(p, 0, lo));
    else if (p->mixup.share != 0)
        convert_mixed(p, lo, hi, out_of(p, 0, lo));
    else
        convert_rows(p, lo, hi, out_of(p, 0, lo));
}

/* Operations [begin, end), first to last, for rows [lo, hi) */
INLINE void forward_operations(const plan_t *p, int64_t begin, int64_t end, ptrdiff_t lo, ptrdiff_t hi) {
    const operation_t *last = p->program.operations + end;
    for (const operation_t *op = p->program.operations + begin; op < last; op++)
        kind_of(op)->forward(p, op, lo, hi);
}

static void forward_block(const plan_t *p, ptrdiff_t lo, ptrdiff_t hi) {
    gather_input(p, lo, hi);
    forward_operations(p, 0, p->program.n_operations, lo, hi);
}

/* Compute row_loss, and the gradient of the output node without sample weights. */
static void loss_block(const plan_t *p, ptrdiff_t lo, ptrdiff_t hi) {
    const int64_t output = p->program.output;
    loss_functions[p->loss.kind][p->loss.is_raw](&p->loss, targets_of(p, lo, hi), value_of(p, output, lo),
                                                 p->row_loss + lo, grad_of(p, output, lo), hi - lo,
                                                 (ptrdiff_t)node_of(p, output)->width);
    if (p->data.sample_weight)
        for (ptrdiff_t r = lo; r < hi; r++)
            p->row_loss[r] *= weight_of(p, r);
}

/* Multiply the rows of g, the gradient with respect to the raw output, by their sample weights. A custom loss does this
 * itself. */
static void weigh_rows(const plan_t *p, ptrdiff_t lo, ptrdiff_t hi, real *g) {
    const ptrdiff_t m = (ptrdiff_t)node_of(p, p->program.raw_output)->width;
    if (!p->data.sample_weight || p->loss.kind == LOSS_GIVEN)
        return;
    for (ptrdiff_t r = lo; r < hi; r++, g += m) {
        const real weight = (real)weight_of(p, r);
        FOR_VECTORS(m, { STORE(g, LOAD(g) * weight); });
    }
}

/* The backward pass of operations [begin, end), last to first, for rows [lo, hi). The gradients of their blocks are
 * added to the flat `gradient`, unless that is NULL. With `tangents`, the tangents of all these gradients are computed
 * too, and `gradient` gets those of the blocks. */
INLINE void backward_operations(const plan_t *p, int64_t begin, int64_t end, ptrdiff_t lo, ptrdiff_t hi, real *gradient,
                                int tangents) {
    for (int64_t i = end; i-- > begin;) {
        const operation_t *op = &p->program.operations[i];
        const kind_t *kind = kind_of(op);
        if (op->output == p->program.raw_output && !kind->reduce) { /* else see backward_segment */
            weigh_rows(p, lo, hi, grad_of(p, op->output, lo));
            if (tangents)
                weigh_rows(p, lo, hi, grad_tangent_of(p, op->output, lo));
        }
        if (tangents)
            kind->backward_tangent(p, op, lo, hi);
        if (kind->backward)
            kind->backward(p, op, lo, hi);
        for (int64_t k = 0; gradient && k < op->n_blocks; k++) {
            const tile_t whole = whole_block(p, op->first_block + k);
            real *g = gradient + blocks_of(p, op)[k].offset;
            if (tangents)
                kind->gradient_tangent(p, op, &whole, lo, hi, g);
            else
                kind->gradient(p, op, &whole, lo, hi, g, NULL, 1);
        }
    }
}

static void backward_block(const plan_t *p, ptrdiff_t lo, ptrdiff_t hi) {
    if (p->loss.kind != LOSS_GIVEN)
        loss_block(p, lo, hi);
    backward_operations(p, 0, p->program.n_operations, lo, hi, NULL, 0);
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

/* A segment lies between two operations that reduce, `before` and `after`; for the first and the last segment these are
 * -1 and the number of operations. `before` belongs to the forward pass of the segment, and `after` to its backward
 * pass, because each needs the statistics of the batch. */
static void forward_segment(const plan_t *p, int64_t before, int64_t after, int64_t lo, int64_t hi) {
    const operation_t *next = p->program.operations + after;
    for (int64_t r = lo; r < hi; r += p->row_block) {
        const int64_t end = r + p->row_block < hi ? r + p->row_block : hi;
        if (before < 0)
            gather_input(p, r, end);
        forward_operations(p, before < 0 ? 0 : before, after, r, end);
        if (after < p->program.n_operations)
            kind_of(next)->summarize(p, next, r, end);
    }
}

static void backward_segment(const plan_t *p, int64_t before, int64_t after, int64_t lo, int64_t hi) {
    const int64_t n = p->program.n_operations;
    const operation_t *previous = p->program.operations + before;
    for (int64_t r = lo; r < hi; r += p->row_block) {
        const int64_t end = r + p->row_block < hi ? r + p->row_block : hi;
        if (after == n && p->loss.kind != LOSS_GIVEN)
            loss_block(p, r, end);
        backward_operations(p, before + 1, after < n ? after + 1 : n, r, end, NULL, 0);
        if (before < 0)
            continue;
        if (previous->output == p->program.raw_output)
            weigh_rows(p, r, end, grad_of(p, previous->output, r));
        kind_of(previous)->summarize_backward(p, previous, r, end);
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

/* g = the tile of the gradient of the batch, contiguous; it is followed by scratch of the same size */
INLINE void tile_gradient(const plan_t *p, const block_t *block, const tile_t *tile, real *g) {
    const ptrdiff_t n = (ptrdiff_t)((tile->row_end - tile->row_begin) * (tile->col_end - tile->col_begin));
    const operation_t *op = operation_of(p, block);
    if (p->n_slots) /* then tiles consist of whole rows */
        sum_slots(p, place_of(block, tile), n, g);
    else
        kind_of(op)->gradient(p, op, tile, 0, p->n, g, g + n, 0);
}

/* finish_gradient with an L1 penalty, whose subgradient at 0 is 0 */
static __attribute__((noinline)) norms_t finish_gradient_l1(const plan_t *p, const group_t *group, int64_t place,
                                                            real *g, ptrdiff_t n) {
    const real scale = (real)(1 / p->weight_sum), alpha = (real)group->penalty, l1 = (real)group->l1;
    const real *w = (const real *)p->params + place;
    vec squares = {0}, magnitudes = {0};
    FOR_VECTORS(n, {
        const vec old = LOAD(w);
        squares += old * old;
        magnitudes += vabs(old);
        STORE(g, (LOAD(g) + old * alpha + vsign(old) * l1) * scale);
    });
    const norms_t norms = {alpha != 0 ? (double)sum_lanes(squares) : 0, (double)sum_lanes(magnitudes)};
    return norms;
}

/* g = (g + alpha w + l1 sign(w)) / S: from the summed gradient of n parameters at `place` to that of the mean loss with
 * the penalties. Returns the norms of the parameters. */
INLINE norms_t finish_gradient(const plan_t *p, const group_t *group, int64_t place, real *g, ptrdiff_t n) {
    const real scale = (real)(1 / p->weight_sum), alpha = (real)group->penalty;
    const real *w = (const real *)p->params + place;
    vec squares = {0};
    if (group->l1 != 0)
        return finish_gradient_l1(p, group, place, g, n);
    if (alpha != 0) {
        FOR_VECTORS(n, {
            const vec old = LOAD(w);
            squares += old * old;
            STORE(g, finished(LOAD(g), old, alpha, scale));
        });
    } else {
        FOR_VECTORS(n, { STORE(g, LOAD(g) * scale); });
    }
    const norms_t norms = {(double)sum_lanes(squares), 0};
    return norms;
}
INLINE void add_norms(norms_t *total, norms_t more) {
    total->squares += more.squares;
    total->magnitudes += more.magnitudes;
}

/* How many rows of a tile are contiguous in the parameters: all, or one */
INLINE ptrdiff_t run_rows(const block_t *block, const tile_t *tile) {
    return tile->col_end - tile->col_begin == block->cols ? (ptrdiff_t)(tile->row_end - tile->row_begin) : 1;
}

/* The update of a tile, in place, by a gradient that is finished already. Its runs of contiguous parameters are `g_row`
 * apart. */
INLINE update_t update_of(const plan_t *p, const block_t *block, const tile_t *tile, const real *g, ptrdiff_t g_row) {
    const ptrdiff_t run = run_rows(block, tile), n = run * (ptrdiff_t)(tile->col_end - tile->col_begin);
    const int64_t place = place_of(block, tile);
    const update_t update = {
        .g = g,
        .g_row = g_row,
        .scale = 1,
        .w = (real *)p->params + place,
        .to = (real *)p->params + place,
        .to_row = (ptrdiff_t)block->cols,
        .state = p->state,
        .place = (ptrdiff_t)place,
        .rows = (ptrdiff_t)(tile->row_end - tile->row_begin) / run,
        .n = n,
        .row = (ptrdiff_t)block->cols,
    };
    return update;
}
INLINE void make_update(const plan_t *p, const block_t *block, const tile_t *tile, update_t *update) {
    const group_t *group = &p->groups[block->group];
    apply_update(&p->optimizers[p->optimizer_of[tile->block]], group->learning_rate, group->decay, update);
}

/* The copy of the transposed parameters of a tile, from the parameters w, whose rows are w_row apart */
INLINE void write_mirror(const plan_t *p, const block_t *block, const tile_t *tile, const real *w, ptrdiff_t w_row) {
    if (block->mirror >= 0)
        transpose(w, w_row, (ptrdiff_t)(tile->row_end - tile->row_begin), (ptrdiff_t)(tile->col_end - tile->col_begin),
                  (real *)p->mirrors + block->mirror + tile->col_begin * block->rows + tile->row_begin, block->rows);
}
INLINE void refresh_mirror(const plan_t *p, const block_t *block, const tile_t *tile) {
    write_mirror(p, block, tile, (const real *)p->params + place_of(block, tile), block->cols);
}

/* Write the numbers of a tile, whose rows are contiguous, to an array that is laid out as all parameters, or add them.
 */
INLINE void write_tile(const block_t *block, const tile_t *tile, const real *from, real *array, int add) {
    const ptrdiff_t rows = run_rows(block, tile), n = rows * (ptrdiff_t)(tile->col_end - tile->col_begin);
    real *to = array + place_of(block, tile);
    for (int64_t r = tile->row_begin; r < tile->row_end; r += rows, from += n, to += block->cols)
        copy_or_add(from, to, add, n);
}

/* Write the updated parameters w of a tile, whose rows are contiguous, to the parameters and to the mirror. */
INLINE void publish_tile(const plan_t *p, const block_t *block, const tile_t *tile, const real *w) {
    write_tile(block, tile, w, p->params, 0);
    write_mirror(p, block, tile, w, (ptrdiff_t)(tile->col_end - tile->col_begin));
}

/* Update the parameters of a tile, and their mirror, by their summed gradient g, whose rows are contiguous. Returns the
 * norms of the parameters before the update. The gradient is finished in the pass that makes the update, unless
 * something else needs it in between.
 *
 * In a team, the update overwrites g, and a pass of its own copies it to the parameters. All threads have read them, so
 * each line must be claimed from the caches of the others before it is written, one line after the other. Stores that
 * come last wait in the store buffer for that, while the product of the next tile is computed. Among those of the
 * state, which are the thread's own, they would delay these too. */
INLINE norms_t finish_and_update(const plan_t *p, const block_t *block, const tile_t *tile, real *g) {
    const group_t *group = &p->groups[block->group];
    const int is_updated = group->learning_rate != 0, is_published = p->is_shared && is_updated;
    update_t update = update_of(p, block, tile, g, (ptrdiff_t)(tile->col_end - tile->col_begin));
    norms_t norms = {0, 0};
    if (is_published)
        update.to = g, update.to_row = update.g_row;
    if (is_updated && group->l1 == 0) {
        update.penalty = (real)group->penalty, update.scale = (real)(1 / p->weight_sum);
        make_update(p, block, tile, &update);
        norms.squares = group->penalty != 0 ? update.squares : 0;
    } else {
        for (ptrdiff_t r = 0; r < update.rows; r++)
            add_norms(&norms, finish_gradient(p, group, update.place + r * update.row, g + r * update.g_row, update.n));
        make_update(p, block, tile, &update);
    }
    if (is_published)
        publish_tile(p, block, tile, g);
    else
        refresh_mirror(p, block, tile);
    return norms;
}

/* average += average_rate (w - average), for the parameters of a tile that was updated */
static __attribute__((noinline)) void average_tile(const plan_t *p, const block_t *block, const tile_t *tile) {
    const ptrdiff_t rows = run_rows(block, tile), n = rows * (ptrdiff_t)(tile->col_end - tile->col_begin);
    const real rate = (real)p->average_rate;
    int64_t place = place_of(block, tile);
    for (int64_t r = tile->row_begin; r < tile->row_end; r += rows, place += block->cols) {
        const real *w = (const real *)p->params + place;
        real *average = (real *)p->average + place;
        FOR_VECTORS(n, {
            const vec old = LOAD(average);
            STORE(average, old + (LOAD(w) - old) * rate);
        });
    }
}

/* What a complete step makes of the blocks that are not trained, and of their averages; `momentum` and the result: see
 * `keep` of kind_t. With a momentum, no step is made, and the averages stay. */
static int keep_statistics(const plan_t *p, double momentum) {
    int is_kept = 0;
    for (int64_t i = 0; i < p->program.n_operations; i++) {
        const operation_t *op = &p->program.operations[i];
        if (!kind_of(op)->keep)
            continue;
        is_kept |= kind_of(op)->keep(p, op, momentum);
        for (int64_t k = FIRST_KEPT; p->average && momentum == 0 && k < op->n_blocks; k++) {
            const tile_t whole = whole_block(p, op->first_block + k);
            average_tile(p, blocks_of(p, op) + k, &whole);
        }
    }
    return is_kept;
}

/* Update a tile by the gradient of the batch. The scratch has twice the size of the tile. Returns the norms of the
 * parameters before the update, for the penalty in the loss. */
static norms_t update_tile(const plan_t *p, const tile_t *tile, void *scratch) {
    const block_t *block = &p->program.blocks[tile->block];
    tile_gradient(p, block, tile, scratch);
    const norms_t norms = finish_and_update(p, block, tile, scratch);
    if (p->average)
        average_tile(p, block, tile);
    return norms;
}

/* The stored gradient. These functions are for whole rows as well as for parts of rows: runs of contiguous parameters
 * are as long as possible. */

/* Write the gradient of a tile to the stored gradient, or add it. */
static void store_tile(const plan_t *p, const tile_t *tile, void *scratch) {
    const block_t *block = &p->program.blocks[tile->block];
    tile_gradient(p, block, tile, scratch);
    write_tile(block, tile, scratch, p->gradient, (int)p->adds_gradient);
}

/* Finish a tile of the stored gradient. Returns the norms of its parameters, as update_tile does; gradient_squares: OUT
 * the sum of squares of its gradient. The gradient of parameters with the learning rate 0 becomes 0: it does not count
 * in the norm of a step. */
static norms_t finish_tile(const plan_t *p, const tile_t *tile, double *gradient_squares) {
    const block_t *block = &p->program.blocks[tile->block];
    const ptrdiff_t rows = run_rows(block, tile), n = rows * (ptrdiff_t)(tile->col_end - tile->col_begin);
    int64_t place = place_of(block, tile);
    norms_t norms = {0, 0};
    *gradient_squares = 0;
    for (int64_t r = tile->row_begin; r < tile->row_end; r += rows, place += block->cols) {
        real *g = (real *)p->gradient + place;
        vec total = {0};
        add_norms(&norms, finish_gradient(p, &p->groups[block->group], place, g, n));
        if (p->groups[block->group].learning_rate == 0)
            memset(g, 0, (size_t)n * sizeof(real));
        FOR_VECTORS(n, { total += LOAD(g) * LOAD(g); });
        *gradient_squares += (double)sum_lanes(total);
    }
    return norms;
}

/* Multiply a tile of the stored gradient by a factor. */
static void limit_gradient(const plan_t *p, const tile_t *tile, double factor) {
    const block_t *block = &p->program.blocks[tile->block];
    const ptrdiff_t rows = run_rows(block, tile), n = rows * (ptrdiff_t)(tile->col_end - tile->col_begin);
    real *g = (real *)p->gradient + place_of(block, tile);
    for (int64_t r = tile->row_begin; r < tile->row_end; r += rows, g += block->cols)
        FOR_VECTORS(n, { STORE(g, LOAD(g) * (real)factor); });
}

/* A share of a phase of the transform of the stored gradient of a block, which was finished. Does nothing if its
 * optimizer has no such phase. */
static void transform_gradient(const plan_t *p, int64_t number, int64_t phase, void *scratch, share_t *share) {
    const block_t *block = &p->program.blocks[number];
    const optimizer_t *optimizer = &p->optimizers[p->optimizer_of[number]];
    if (p->groups[block->group].learning_rate != 0 && phase < transform_phases(optimizer))
        transform(optimizer, phase, (real *)p->gradient + block->offset, p->state, block->offset, block->rows,
                  block->cols, scratch, share);
}

/* Update a tile by the stored gradient, which was finished and transformed. */
static void update_from_gradient(const plan_t *p, const tile_t *tile) {
    const block_t *block = &p->program.blocks[tile->block];
    update_t update = update_of(p, block, tile, (const real *)p->gradient + place_of(block, tile), block->cols);
    make_update(p, block, tile, &update);
    refresh_mirror(p, block, tile);
    if (p->average)
        average_tile(p, block, tile);
}

/* Scale the columns of a tile back to the norm max_norm where theirs is larger: the weights of each unit (Hinton et
 * al., 2012, Improving neural networks by preventing co-adaptation of feature detectors). The tile has all rows of its
 * block. scratch: a number for each column */
static void limit_columns(const plan_t *p, const tile_t *tile, double max_norm, void *scratch) {
    const block_t *block = &p->program.blocks[tile->block];
    const ptrdiff_t cols = (ptrdiff_t)(tile->col_end - tile->col_begin);
    real *w = (real *)p->params + place_of(block, tile), *factor = scratch;
    int exceeded = 0;
    memset(factor, 0, (size_t)cols * sizeof(real));
    for (int64_t r = 0; r < block->rows; r++) {
        const real *row = w + r * block->cols;
        FOR_VECTORS(cols, { STORE(factor, LOAD(factor) + LOAD(row) * LOAD(row)); });
    }
    for (ptrdiff_t i = 0; i < cols; i++) {
        const double norm = sqrt((double)factor[i]);
        exceeded |= norm > max_norm;
        factor[i] = norm > max_norm ? (real)(max_norm / norm) : 1;
    }
    if (!exceeded)
        return;
    for (int64_t r = 0; r < block->rows; r++) {
        real *row = w + r * block->cols, *average = p->average ? (real *)p->average + (row - (real *)p->params) : NULL;
        if (average) /* it was moved toward the weights before they are scaled */
            FOR_VECTORS(cols, {
                const vec change = LOAD(row) * (LOAD(factor) - (real)1);
                STORE(average, LOAD(average) + change * (real)p->average_rate);
            });
        FOR_VECTORS(cols, { STORE(row, LOAD(row) * LOAD(factor)); });
    }
    refresh_mirror(p, block, tile);
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

/* Move the parameters that an averaging optimizer updates from the average to the point where gradients are computed
 * (sign 1), or back (sign -1). */
static void look_ahead(const plan_t *p, double sign) {
    for (int64_t i = 0; i < p->program.n_blocks; i++) {
        const block_t *block = &p->program.blocks[i];
        const real by = (real)(sign * lookahead(&p->optimizers[p->optimizer_of[i]]));
        real *w = (real *)p->params + block->offset;
        if (by != 0 && p->groups[block->group].learning_rate != 0) { /* else rounding may change frozen weights */
            const real *d = (const real *)p->state[0] + block->offset;
            FOR_VECTORS(block->rows * block->cols, { STORE(w, LOAD(w) + LOAD(d) * by); });
        }
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
