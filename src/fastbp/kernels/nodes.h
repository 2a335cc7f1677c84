/* The addresses of the numbers of a node, of a block and of the data. */
#ifndef FASTBP_NODES_H
#define FASTBP_NODES_H

#include "program.h"
#include "simd.h"

/* Row r of the batch is this row of the data */
INLINE ptrdiff_t data_row(const plan_t *p, ptrdiff_t r) {
    return (ptrdiff_t)(p->rows ? p->rows[p->start + r] : p->start + r);
}

INLINE const node_t *node_of(const plan_t *p, int64_t node) { return &p->program.nodes[node]; }
INLINE const block_t *blocks_of(const plan_t *p, const operation_t *op) { return &p->program.blocks[op->first_block]; }
INLINE const int64_t *integers_of(const plan_t *p, const operation_t *op) {
    return p->program.integers + op->first_integer;
}

/* The values of a node from row r on. A node without a buffer is the input: its values are the data. */
INLINE const real *value_of(const plan_t *p, int64_t node, int64_t r) {
    const node_t *n = node_of(p, node);
    return n->value < 0 ? (const real *)p->data.X + (p->start + r) * n->width
                        : (const real *)p->values + n->value * p->capacity + r * n->width;
}
/* The values of a node with a buffer from row r on, for writing */
INLINE real *out_of(const plan_t *p, int64_t node, int64_t r) {
    const node_t *n = node_of(p, node);
    return (real *)p->values + n->value * p->capacity + r * n->width;
}
/* The gradient of a node from row r on; NULL: it is that of the input, and not computed */
INLINE real *grad_of(const plan_t *p, int64_t node, int64_t r) {
    const node_t *n = node_of(p, node);
    if (n->grad < 0)
        return p->input_grad ? (real *)p->input_grad + r * n->width : NULL;
    return (real *)p->grads + n->grad * p->capacity + r * n->width;
}
/* The tangent of a node from row r on; NULL: it is the input, which does not change */
INLINE real *tangent_of(const plan_t *p, int64_t node, int64_t r) {
    const node_t *n = node_of(p, node);
    if (n->tangent < 0)
        return p->input_tangent ? (real *)p->input_tangent + r * n->width : NULL;
    return (real *)p->tangents + n->tangent * p->capacity + r * n->width;
}
/* The tangent of the gradient of a node from row r on; NULL for the input */
INLINE real *grad_tangent_of(const plan_t *p, int64_t node, int64_t r) {
    const node_t *n = node_of(p, node);
    return n->grad < 0 ? NULL : (real *)p->grad_tangents + n->grad * p->capacity + r * n->width;
}

INLINE const real *params_of(const plan_t *p, const block_t *block) { return (const real *)p->params + block->offset; }
/* Where a tile begins in the arrays that are laid out as all parameters */
INLINE int64_t place_of(const block_t *block, const tile_t *tile) {
    return block->offset + tile->row_begin * block->cols + tile->col_begin;
}
INLINE const real *mirror_of(const plan_t *p, const block_t *block) { return (const real *)p->mirrors + block->mirror; }

/* to = from, or to += from, for n numbers; does nothing if both are the same array and `add` is 0 */
INLINE void copy_or_add(const real *from, real *to, int add, ptrdiff_t n) {
    if (add) {
        FOR_VECTORS(n, { STORE(to, LOAD(to) + LOAD(from)); });
    } else if (to != from) {
        memcpy(to, from, (size_t)n * sizeof(real));
    }
}

#endif
