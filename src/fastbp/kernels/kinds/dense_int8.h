/* dense_int8: dense, with weights of 8 bits in place of the block W: see quantized.h. The argument is the number of the
 * layer among those of the plan. For predictions in float only. */
#ifndef FASTBP_KINDS_DENSE_INT8_H
#define FASTBP_KINDS_DENSE_INT8_H

#include "../nodes.h"

#if FASTBP_DOUBLE
static const kind_t dense_int8_kind = {.forward = NULL};
#else
static void dense_int8_forward(const plan_t *p, const operation_t *op, int64_t lo, int64_t hi) {
    const quantized_layer_t *layer = &p->quantized[op->argument];
    layer->kernels->multiply(layer, value_of(p, op->input, lo), hi - lo, (real *)p->values + op->saved * p->capacity,
                             out_of(p, op->output, lo));
}
static const kind_t dense_int8_kind = {.forward = dense_int8_forward};
#endif

#endif
