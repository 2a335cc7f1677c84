/* concatenate: out = [in, in2], side by side. No blocks. */
#ifndef FASTBP_KINDS_CONCATENATE_H
#define FASTBP_KINDS_CONCATENATE_H

#include "../nodes.h"

/* Columns [begin, begin + m) of rows of the width `width` = the rows of `from`; from NULL: 0 */
INLINE void put_beside(const real *from, ptrdiff_t m, ptrdiff_t n, real *to, ptrdiff_t begin, ptrdiff_t width) {
    to += begin;
    for (ptrdiff_t r = 0; r < n; r++, to += width) {
        if (from) {
            FOR_VECTORS(m, { STORE(to, LOAD(from)); });
            from += m;
        } else {
            memset(to, 0, (size_t)m * sizeof(real));
        }
    }
}

/* The rows of `to` = these columns of `from`, or += them; nothing if `to` is NULL */
INLINE void take_apart(const real *from, ptrdiff_t begin, ptrdiff_t width, ptrdiff_t n, real *to, ptrdiff_t m,
                       int add) {
    from += begin;
    for (ptrdiff_t r = 0; to && r < n; r++, from += width, to += m)
        FOR_VECTORS(m, { STORE(to, add ? LOAD(to) + LOAD(from) : LOAD(from)); });
}

static void concatenate_forward(const plan_t *p, const operation_t *op, int64_t lo, int64_t hi) {
    const ptrdiff_t n = (ptrdiff_t)(hi - lo), m = (ptrdiff_t)node_of(p, op->input)->width,
                    width = (ptrdiff_t)node_of(p, op->output)->width;
    real *out = out_of(p, op->output, lo);
    put_beside(value_of(p, op->input, lo), m, n, out, 0, width);
    put_beside(value_of(p, op->input2, lo), width - m, n, out, m, width);
}

/* forward: out = [in, in2], so d in and d in2 are the parts of d out */
static void concatenate_backward(const plan_t *p, const operation_t *op, int64_t lo, int64_t hi) {
    const ptrdiff_t n = (ptrdiff_t)(hi - lo), m = (ptrdiff_t)node_of(p, op->input)->width,
                    width = (ptrdiff_t)node_of(p, op->output)->width;
    const real *dout = grad_of(p, op->output, lo);
    take_apart(dout, 0, width, n, grad_of(p, op->input, lo), m, (int)op->adds & 1);
    take_apart(dout, m, width, n, grad_of(p, op->input2, lo), width - m, (int)op->adds & 2);
}

/* out = [in, in2], so its tangent is that of both, side by side */
static void concatenate_tangent(const plan_t *p, const operation_t *op, int64_t lo, int64_t hi) {
    const ptrdiff_t n = (ptrdiff_t)(hi - lo), m = (ptrdiff_t)node_of(p, op->input)->width,
                    width = (ptrdiff_t)node_of(p, op->output)->width;
    real *out = tangent_of(p, op->output, lo);
    put_beside(tangent_of(p, op->input, lo), m, n, out, 0, width);
    put_beside(tangent_of(p, op->input2, lo), width - m, n, out, m, width);
}

/* d in and d in2 are the parts of d out, and so are their tangents */
static void concatenate_backward_tangent(const plan_t *p, const operation_t *op, int64_t lo, int64_t hi) {
    const ptrdiff_t n = (ptrdiff_t)(hi - lo), m = (ptrdiff_t)node_of(p, op->input)->width,
                    width = (ptrdiff_t)node_of(p, op->output)->width;
    const real *change = grad_tangent_of(p, op->output, lo);
    take_apart(change, 0, width, n, grad_tangent_of(p, op->input, lo), m, (int)op->adds & 1);
    take_apart(change, m, width, n, grad_tangent_of(p, op->input2, lo), width - m, (int)op->adds & 2);
}

static const kind_t concatenate_kind = {
    .forward = concatenate_forward,
    .backward = concatenate_backward,
    .tangent = concatenate_tangent,
    .backward_tangent = concatenate_backward_tangent,
};

#endif
