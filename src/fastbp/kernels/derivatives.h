/* Products with the Jacobian of a forward pass over rows [0, n), in both modes, and with the Hessian.
 *
 *     push            forward mode, first operation to last: the tangents of the nodes
 *     pull            reverse mode, last to first: the gradients of the nodes, and of the parameters
 *     pull_tangent    the tangent of the pull along a push (Pearlmutter, 1994, Fast exact multiplication by the
 * Hessian)
 *
 * The caller first writes the gradient of the output (and its tangent); for that of the loss, it calls output_loss. If
 * the data have sample weights, the gradient with respect to the raw output is multiplied by them.
 */
#ifndef FASTBP_DERIVATIVES_H
#define FASTBP_DERIVATIVES_H

#include "step.h"

static void output_loss(const plan_t *p) { loss_block(p, 0, p->n); }

/* The tangent of the gradient of the loss with respect to the output. It overwrites this gradient: call output_loss
 * afterwards. */
static void output_loss_tangent(const plan_t *p) {
    const int64_t output = p->program.output;
    const ptrdiff_t n = (ptrdiff_t)p->n, m = (ptrdiff_t)node_of(p, output)->width;
    loss_tangents[p->loss.kind][p->loss.is_raw](&p->loss, targets_of(p, 0, n), value_of(p, output, 0),
                                                tangent_of(p, output, 0), grad_tangent_of(p, output, 0),
                                                grad_of(p, output, 0), n, m);
}

static void push(const plan_t *p) {
    for (int64_t i = 0; i < p->program.n_operations; i++) {
        const operation_t *op = &p->program.operations[i];
        kind_of(op)->tangent(p, op, 0, p->n);
    }
}

/* Operations [begin, end), last to first. The flat gradient is added to `gradient`, unless that is NULL. */
static void pull(const plan_t *p, int64_t begin, int64_t end, void *gradient) {
    backward_operations(p, begin, end, 0, p->n, gradient, 0);
}

static void pull_tangent(const plan_t *p, void *gradient) {
    backward_operations(p, 0, p->program.n_operations, 0, p->n, gradient, 1);
}

#endif
