/* activation: a = f(z), elementwise or, for softmax, row by row. No blocks; the argument is the activation's number. */
#ifndef FASTBP_KINDS_ACTIVATION_H
#define FASTBP_KINDS_ACTIVATION_H

#include "../activations.h"
#include "../nodes.h"

static void activation_op_forward(const plan_t *p, const operation_t *op, int64_t lo, int64_t hi) {
    activation_forward((int)op->argument, value_of(p, op->input, lo), out_of(p, op->output, lo), hi - lo,
                       node_of(p, op->output)->width);
}

/* forward: a = f(z), so dz = da f'(z). In place: the gradient of a is not read afterwards. */
static void activation_op_backward(const plan_t *p, const operation_t *op, int64_t lo, int64_t hi) {
    const int64_t n = hi - lo, m = node_of(p, op->output)->width;
    real *dz = grad_of(p, op->input, lo), *da = grad_of(p, op->output, lo);
    if (!dz)
        return;
    activation_backward((int)op->argument, value_of(p, op->input, lo), value_of(p, op->output, lo), da, n, m);
    copy_or_add(da, dz, (int)op->adds, n * m);
}

/* The tangent of a is the Jacobian J_f times the tangent of z. J_f is symmetric for every activation, so the function
 * for the gradient can be used. */
static void activation_op_tangent(const plan_t *p, const operation_t *op, int64_t lo, int64_t hi) {
    const int64_t n = hi - lo, m = node_of(p, op->output)->width;
    const real *dz = tangent_of(p, op->input, lo);
    real *da = tangent_of(p, op->output, lo);
    if (!dz) {
        memset(da, 0, (size_t)(n * m) * sizeof(real));
        return;
    }
    memcpy(da, dz, (size_t)(n * m) * sizeof(real));
    activation_backward((int)op->argument, value_of(p, op->input, lo), value_of(p, op->output, lo), da, n, m);
}

static void activation_op_backward_tangent(const plan_t *p, const operation_t *op, int64_t lo, int64_t hi) {
    const int64_t n = hi - lo, m = node_of(p, op->output)->width;
    real *change = grad_tangent_of(p, op->output, lo), *out = grad_tangent_of(p, op->input, lo);
    if (!out)
        return;
    activation_backward_tangent((int)op->argument, value_of(p, op->input, lo), value_of(p, op->output, lo),
                                tangent_of(p, op->input, lo), tangent_of(p, op->output, lo), grad_of(p, op->output, lo),
                                change, n, m);
    copy_or_add(change, out, (int)op->adds, n * m);
}

static const kind_t activation_kind = {
    .forward = activation_op_forward,
    .backward = activation_op_backward,
    .tangent = activation_op_tangent,
    .backward_tangent = activation_op_backward_tangent,
};

#endif
