/* Products of rows with weights of 8 bits: a third table of functions, filled by quantized_kernels.c once for each
 * instruction set.
 *
 * Weights: column j of W is replaced by scale[j] q with whole numbers q from -127 to 127. Activations: a row x of the
 * input, with the minimum m and the maximum M, is replaced by m + s u with s = (M - m) / 255 and whole numbers u from 0
 * to 255. Then
 *
 *     z_j = sum_i x_i W_ij + b_j  =  s scale_j sum_i u_i q_ij  +  m sum_i W_ij  +  b_j
 *
 * up to the rounding of u and q.
 *
 * The sum of the products is a sum of integers, which is exact. All else is one product or sum of floats after the
 * other, in an order that is the same everywhere, and never fused: the result is the same to the last bit with every
 * instruction set.
 */
#ifndef FASTBP_QUANTIZED_H
#define FASTBP_QUANTIZED_H

#include <stdint.h>

/* The columns are padded to a multiple of this: lanes of the widest vector */
#define QUANTIZED_LANES 16

typedef struct quantized_kernels quantized_kernels_t;

/* A matrix of weights, and what else its layer needs. Arrays of columns are padded by zeros. */
typedef struct {
    const quantized_kernels_t *kernels; /* whose `pack` has made `weights` */
    int64_t rows, cols;                 /* fan_in, fan_out */
    const void *weights;
    const float *scale, *sums, *bias; /* (columns,); `sums` are those of the columns of W */
} quantized_layer_t;

/* Bytes of a group of elements of a row that are multiplied by one vector of weights */
#define GROUP_BYTES 4

struct quantized_kernels {
    const char *instruction; /* that multiplies and adds the integers */
    int64_t element_bytes;   /* of a weight, and of an element of a row: 1 or 2 */
    /* OUT (packed_bytes,): weights q (rows, cols) in the order in which `multiply` reads them */
    void (*pack)(const int8_t *q, int64_t rows, int64_t cols, void *packed);
    /* z (n, cols) = the layer of the rows x (n, rows); the scratch has n * quantized_row_bytes(kernels, rows) bytes */
    void (*multiply)(const quantized_layer_t *layer, const float *x, int64_t n, void *scratch, float *z);
};

static inline int64_t quantized_columns(int64_t cols) {
    return (cols + QUANTIZED_LANES - 1) / QUANTIZED_LANES * QUANTIZED_LANES;
}
/* Bytes of the elements of a row of x, padded to whole vectors */
static inline int64_t quantized_stride(const quantized_kernels_t *kernels, int64_t rows) {
    return quantized_columns(rows) * kernels->element_bytes;
}
/* ... and of s and m */
static inline int64_t quantized_row_bytes(const quantized_kernels_t *kernels, int64_t rows) {
    return quantized_stride(kernels, rows) + 2 * (int64_t)sizeof(float);
}
static inline int64_t quantized_packed_bytes(const quantized_kernels_t *kernels, int64_t rows, int64_t cols) {
    const int64_t group = GROUP_BYTES / kernels->element_bytes;
    return (rows + group - 1) / group * GROUP_BYTES * quantized_columns(cols);
}

/* quantized_tables.c: the most capable table that may be used with an instruction set of the other kernels */
const quantized_kernels_t *fastbp_quantized_kernels(int isa);

#endif
