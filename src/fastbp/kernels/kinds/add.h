/* add: out = in + in2, a residual connection. No blocks. */
#ifndef FASTBP_KINDS_ADD_H
#define FASTBP_KINDS_ADD_H

#include "../nodes.h"

static void add_forward(const plan_t *p, const operation_t *op, int64_t lo, int64_t hi) {
    const ptrdiff_t n = (ptrdiff_t)((hi - lo) * node_of(p, op->output)->width);
    const real *a = value_of(p, op->input, lo), *b = value_of(p, op->input2, lo);
    real *out = out_of(p, op->output, lo);
    FOR_VECTORS(n, { STORE(out, LOAD(a) + LOAD(b)); });
}

/* forward: out = in + in2, so d in = d out and d in2 = d out */
static void add_backward(const plan_t *p, const operation_t *op, int64_t lo, int64_t hi) {
    const ptrdiff_t n = (ptrdiff_t)((hi - lo) * node_of(p, op->output)->width);
    const real *dout = grad_of(p, op->output, lo);
    real *da = grad_of(p, op->input, lo), *db = grad_of(p, op->input2, lo);
    if (da)
        copy_or_add(dout, da, (int)op->adds & 1, n);
    if (db)
        copy_or_add(dout, db, (int)op->adds & 2, n);
}

/* out = in + in2, so its tangent is the sum of their tangents */
static void add_tangent(const plan_t *p, const operation_t *op, int64_t lo, int64_t hi) {
    const ptrdiff_t n = (ptrdiff_t)((hi - lo) * node_of(p, op->output)->width);
    const real *a = tangent_of(p, op->input, lo), *b = tangent_of(p, op->input2, lo);
    real *out = tangent_of(p, op->output, lo);
    memset(out, 0, (size_t)n * sizeof(real));
    if (a)
        copy_or_add(a, out, 1, n);
    if (b)
        copy_or_add(b, out, 1, n);
}

/* d in = d out and d in2 = d out, so their tangents are those of d out */
static void add_backward_tangent(const plan_t *p, const operation_t *op, int64_t lo, int64_t hi) {
    const ptrdiff_t n = (ptrdiff_t)((hi - lo) * node_of(p, op->output)->width);
    const real *change = grad_tangent_of(p, op->output, lo);
    real *a = grad_tangent_of(p, op->input, lo), *b = grad_tangent_of(p, op->input2, lo);
    if (a)
        copy_or_add(change, a, (int)op->adds & 1, n);
    if (b)
        copy_or_add(change, b, (int)op->adds & 2, n);
}

static const kind_t add_kind = {
    .forward = add_forward,
    .backward = add_backward,
    .tangent = add_tangent,
    .backward_tangent = add_backward_tangent,
};

#endif
