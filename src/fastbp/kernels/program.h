/* The program of a network as plain structs, the lists of names, and the table of compiled kernels.
 *
 * A program is a list of operations in the order of the forward pass. Operations read and write nodes, which are
 * buffers of (rows of a batch, width) numbers. They may have blocks, which are named matrices in the flat parameter
 * vector. The kind of an operation is a table of functions: see kinds/. program.pyx compiles the layers of a network
 * into a program.
 *
 * Arrays of reals are passed as void pointers, so that float and double have the same type of table and the code that
 * calls the kernels (batches, threads, the stopping rule) is written once. The callers check dtypes and sizes.
 * All sizes and offsets are 64-bit and count elements, not bytes. IN: read only; OUT: overwritten.
 */
#ifndef FASTBP_PROGRAM_H
#define FASTBP_PROGRAM_H

#include <stdint.h>

#include "quantized.h"

/* name, whether f' needs the input z (if not, it is computed from the output a, and a may overwrite z) */
#define ELEMENTWISE_BUT_IDENTITY(X) \
    X(logistic, 0)                  \
    X(tanh, 0)                      \
    X(relu, 0)                      \
    X(leaky_relu, 0)                \
    X(elu, 0)                       \
    X(selu, 0)                      \
    X(gelu, 1)                      \
    X(silu, 1)                      \
    X(mish, 1)                      \
    X(softplus, 0)                  \
    X(exp, 0)
#define ACTIVATIONS(X) X(identity, 0) ELEMENTWISE_BUT_IDENTITY(X) X(softmax, 0)

/* name, link: the output activation that is part of the loss of the raw output, columns of the targets for m outputs
 * (0: there cannot be m outputs), and the names of the constants, if there are any: fields of the loss's dataclass, in
 * the same order. The constant `...` stands for up to MAX_LOSS_CONSTANTS of them. */
#define LOSSES(X)                                                \
    X(squared_error, identity, m)                                \
    X(log_loss, softmax, m)                                      \
    X(binary_log_loss, logistic, m)                              \
    X(poisson, exp, m)                                           \
    X(absolute_error, identity, m)                               \
    X(huber, identity, m, delta)                                 \
    X(quantile, identity, m, quantile)                           \
    X(quantiles, identity, m <= MAX_LOSS_CONSTANTS ? 1 : 0, ...) \
    X(gamma, exp, m)                                             \
    X(tweedie, exp, m, power)                                    \
    X(gaussian, identity, m % 2 ? 0 : m / 2, epsilon)            \
    X(smoothed_log_loss, softmax, m, label_smoothing)            \
    X(smoothed_binary_log_loss, logistic, m, label_smoothing)    \
    X(focal, softmax, m, gamma)                                  \
    X(binary_focal, logistic, m, gamma)                          \
    X(multioutput_log_loss, identity, m, ...)
#define MAX_LOSS_CONSTANTS 100

/* name, number of state arrays, the form of an update, and the names of the constants: the fields of the optimizer's
 * dataclass, in the same order. Forms: elementwise; blockwise, where the gradient of a whole block is transformed
 * first; averaging, element by element, where gradients are computed at one point, which the parameters are during an
 * epoch, and the result is another */
#define OPTIMIZERS(X)                                                     \
    X(sgd, 1, elementwise, momentum, nesterovs_momentum)                  \
    X(adam, 2, elementwise, beta_1, beta_2, epsilon)                      \
    X(adamw, 2, elementwise, beta_1, beta_2, epsilon)                     \
    X(nadam, 2, elementwise, beta_1, beta_2, epsilon, momentum_decay)     \
    X(rmsprop, 3, elementwise, rho, momentum, centered, epsilon)          \
    X(adagrad, 1, elementwise, epsilon)                                   \
    X(lion, 1, elementwise, beta_1, beta_2)                               \
    X(schedule_free, 2, averaging, beta_1, beta_2, epsilon, warmup_steps) \
    X(muon, 1, blockwise, momentum, nesterovs_momentum, n_iterations)
#define MAX_STATES 4
#define MAX_CONSTANTS 8
#define MAX_SCALARS 4
#define MAX_MEMORY 2

/* Elements of an X that is converted while a batch is gathered: NumPy's name of the dtype, the type whose bits it has,
 * and its number x as one that C converts */
#define ELEMENTS(X)                    \
    X(bool, uint8_t, x != 0)           \
    X(uint8, uint8_t, x)               \
    X(int8, int8_t, x)                 \
    X(uint16, uint16_t, x)             \
    X(int16, int16_t, x)               \
    X(uint32, uint32_t, x)             \
    X(int32, int32_t, x)               \
    X(uint64, uint64_t, x)             \
    X(int64, int64_t, x)               \
    X(float16, uint16_t, from_half(x)) \
    X(float32, float, x)               \
    X(float64, double, x)

/* Rows of a batch whose statistics are taken together, and how many numbers of each column a kind that reduces has: 5
 * of the whole batch, and 2 of each run of PART_ROWS rows */
#define PART_ROWS 8
#define BATCH_STATISTICS 5
#define PART_STATISTICS 2

/* Bins of a column of piecewise_linear, and frequencies and width of one of periodic, at most */
#define MAX_BINS 256
#define MAX_WAVES 256

/* name, whether the gradient of its blocks can be computed for a part of the rows, whether the output may overwrite the
 * input (not for a kind with blocks: their gradient is computed after the backward pass, which overwrites that of the
 * output then), how many numbers of each row are saved for the gradients: of each row and column for piecewise_linear,
 * and of each row, column and frequency for periodic */
#define KINDS(X)                 \
    X(dense, 1, 0, 0)            \
    X(dense_sparse, 0, 0, 0)     \
    X(dense_int8, 0, 0, 0)       \
    X(activation, 1, 1, 0)       \
    X(add, 1, 0, 0)              \
    X(scale, 1, 0, 0)            \
    X(dropout, 1, 1, 0)          \
    X(row_norm, 1, 0, 2)         \
    X(prelu, 1, 0, 0)            \
    X(blend, 1, 0, 0)            \
    X(batch_norm, 0, 0, 0)       \
    X(running_norm, 1, 0, 0)     \
    X(concatenate, 1, 0, 0)      \
    X(robust_scale, 1, 0, 0)     \
    X(one_hot, 1, 0, 0)          \
    X(embedding, 1, 0, 0)        \
    X(piecewise_linear, 1, 0, 2) \
    X(periodic, 1, 0, 2)

#define ENUM(name, ...) ACT_##name,
enum { ACTIVATIONS(ENUM) N_ACTIVATIONS };
#undef ENUM
#define ENUM(name, ...) LOSS_##name,
enum { LOSSES(ENUM) N_LOSSES };
#undef ENUM
#define LOSS_GIVEN (-1) /* a custom loss: Python writes row_loss and the gradient with respect to the raw output */
#define ENUM(name, ...) OPTIMIZER_##name,
enum { OPTIMIZERS(ENUM) N_OPTIMIZERS };
#undef ENUM
enum { FORM_elementwise, FORM_blockwise, FORM_averaging };
#define ENUM(name, ...) KIND_##name,
enum { KINDS(ENUM) N_KINDS };
#undef ENUM
#define ENUM(name, ...) ELEMENT_##name,
enum { ELEMENT_REAL, ELEMENTS(ENUM) N_ELEMENTS };
#undef ENUM

/* A buffer of (batch, width) numbers. Its offset is given in columns of `capacity` rows each, so that the same program
 * can be used with any number of rows. -1: there is no buffer (the input: see plan_t). */
typedef struct {
    int64_t width;
    int64_t value;   /* offset in the values */
    int64_t grad;    /* offset in the gradients, and in the tangents of the gradients */
    int64_t tangent; /* offset in the tangents */
} node_t;

/* A matrix of parameters; biases and scales are blocks of one row. */
typedef struct {
    int64_t operation; /* index of the operation that has this block */
    int64_t offset;    /* in the flat parameter vector */
    int64_t rows, cols;
    int64_t mirror; /* offset of the transposed copy in the mirrors; -1: none */
    int64_t group;  /* index of the parameter group */
} block_t;

typedef struct {
    int64_t kind;                  /* KIND_... */
    int64_t input, input2, output; /* nodes; input2 is -1 for kinds with one input */
    int64_t
        adds; /* bits: the backward pass adds to the gradient of input (1), of input2 (2), instead of overwriting it */
    int64_t first_block, n_blocks;
    int64_t first_integer; /* place of its integers in those of the program */
    int64_t argument;   /* activation: its number. dense: 1 if the forward pass reads the mirror. Others: see there */
    int64_t saved;      /* offset of the saved numbers, or of the scratch of dense_int8, in the values; -1: there are
                           none. A kind that reduces: its first column in the statistics */
    double constant[4]; /* dropout: the rate. row_norm, running_norm: epsilon. batch_norm: epsilon, momentum.
                           robust_scale: the clip, or 0 */
} operation_t;

/* Parameters with the same update. */
typedef struct {
    double learning_rate; /* factor of the learning rate */
    double penalty;       /* alpha of the L2 penalty: g = (dW + alpha W) / weight_sum */
    double l1;            /* strength of the L1 penalty: g = (dW + l1 sign(W)) / weight_sum */
    double decay;         /* decoupled weight decay: w -= learning_rate decay w (Loshchilov and Hutter, 2019) */
} group_t;

typedef struct {
    const node_t *nodes;
    const block_t *blocks;
    const operation_t *operations;
    const int64_t *integers; /* of all operations, such as numbers of columns */
    int64_t n_nodes, n_blocks, n_operations;
    int64_t n_params;
    int64_t output;     /* the node that the loss or the caller reads; the input is node 0 */
    int64_t raw_output; /* the node before the output activation; the same as output if that was dropped */
} program_t;

/* The data, which are not written to. X is dense or compressed sparse rows. A dense X is C-contiguous and of the real
 * type, or its rows are converted: then the program has a buffer for the input, and all fields from `element` on count.
 */
typedef struct {
    const void *X;               /* (n, n_features), or the values of the non-zeros */
    const int64_t *indptr;       /* (n + 1,), NULL when dense */
    const void *indices;         /* columns of the non-zeros */
    int64_t index_bytes;         /* 4 or 8 */
    const void *Y;               /* (n, target_width) */
    const int32_t *labels;       /* in place of a Y of zeros and ones, or NULL: row i of Y is 1 at labels[i] ... */
    const int64_t *label_start;  /* ... or, if not NULL, at labels[label_start[i]] to labels[label_start[i + 1] - 1] */
    const double *sample_weight; /* (n,) or NULL */
    int64_t element;             /* ELEMENT_..., the type of X; ELEMENT_REAL, 0: rows are not converted */
    int64_t row_bytes, column_bytes; /* from one row to the next, and from one column to the next */
    int64_t is_swapped;              /* whether the bytes of an element are in the opposite order */
} data_t;

typedef struct {
    int64_t kind;         /* LOSS_... */
    int64_t is_raw;       /* whether the output node is the raw output, and the link is part of the loss */
    int64_t target_width; /* columns of the targets, which may differ from the width of the output */
    double constant[MAX_LOSS_CONSTANTS]; /* in the order of LOSSES */
} loss_t;

/* An optimizer. One with more constants needs a larger MAX_CONSTANTS. */
typedef struct {
    int64_t kind;                   /* OPTIMIZER_... */
    double learning_rate;           /* of this step */
    double correction;              /* factor of the learning rate in this step: see `prepare_optimizer` */
    double scalar[MAX_SCALARS];     /* further numbers for this step */
    double *memory;                 /* (MAX_MEMORY,) numbers that persist from step to step; 0 before the first ... */
    double next_memory[MAX_MEMORY]; /* ... and after this step, when it is complete */
    union {
        double constant[MAX_CONSTANTS];
#define CONSTANTS(name, n_states, form, ...) \
    struct {                                 \
        double __VA_ARGS__;                  \
    } name;
        OPTIMIZERS(CONSTANTS)
#undef CONSTANTS
    };
} optimizer_t;

/* The non-zeros of a batch by column, in row order */
typedef struct {
    int64_t *start; /* (n_features + 1,) */
    int32_t *row;
    void *value;
} columns_t;

/* How the rows of a batch are mixed: see mixup.h */
typedef struct {
    double share;     /* of the partner of a row; 0: rows are not mixed */
    int64_t distance; /* from a row to its partner */
    int64_t n;        /* rows of the whole batch */
} mixup_t;

/* All arguments of a pass over a batch. From step to step, only `rows`, `start`, `n`, `weight_sum` and the scalars of
 * the optimizers change; the leading thread changes them between two steps. */
typedef struct {
    program_t program;
    data_t data;
    loss_t loss;
    void *params;                       /* flat parameter vector */
    const quantized_layer_t *quantized; /* of the operations dense_int8; else NULL */

    /* the batch */
    const int64_t *rows; /* row r of the batch is row rows[start + r] of the data; NULL: row start + r */
    int64_t start, n;
    double weight_sum; /* the batch length, or the sum of its sample weights */
    /* what the masks of dropout and mixup depend on. Only training sets it. */
    uint64_t seed;
    int64_t step;          /* number of the step, from 1 */
    int64_t batch_start;   /* start of the batch, of which rows [start, start + n) may be a slice */
    double dropout_factor; /* the rates of dropout are multiplied by it in this step */
    mixup_t mixup;

    /* the workspace */
    int64_t capacity;    /* rows of the buffers of the nodes */
    void *values;        /* of the nodes */
    void *grads;         /* d loss / d value */
    void *tangents;      /* changes of the values along a direction */
    void *grad_tangents; /* changes of the gradients along it */
    void *mirrors;       /* copies of W^T */
    void *targets;       /* (batch, target_width) gathered */
    double *row_loss;    /* (batch,) loss of each row, times its sample weight */
    int64_t row_block;   /* rows that pass through all operations together */
    columns_t columns;   /* sparse X only */
    void *statistics;    /* (rows, statistics_width) statistics of the columns of the batch: kinds/batch_norm.h */
    int64_t statistics_width;

    /* in place of buffers of node 0, the input */
    const void *input_tangent; /* IN (n, n_features) or NULL: the input does not change */
    void *input_grad;          /* OUT (n, n_features) or NULL: not computed */

    void *out; /* OUT (rows of the data, width of the output): results of a forward pass, or NULL */
    const void *direction, *direction_mirrors; /* of the parameters, in their layout and that of the mirrors; or NULL */

    /* the step */
    const group_t *groups;
    const optimizer_t *optimizers;
    const int64_t *optimizer_of; /* (n_blocks,) index of each block's optimizer */
    void *const *state;          /* state arrays of the optimizers, each laid out as params */
    void *average;               /* IN, OUT average of the parameters after each step, laid out as params; or NULL */
    double average_rate;         /* of this step: average += average_rate (params - average) */
    void *gradient;              /* OUT flat gradient, if it is stored; else NULL */
    int64_t adds_gradient;       /* whether gradients are added to it */
    int64_t is_shared;           /* whether several threads work on this step */
    /* Small networks: the batch is divided into n_slots parts of slot_rows rows, and the thread that has the rows of a
     * part stores the gradient of the part. n_slots is 0 for all other networks. */
    int64_t n_slots, slot_rows;
    void *slots; /* (n_slots, n_params) */
} plan_t;

/* Sums over parameters, for the penalty in the loss; 0 where the group has no such penalty */
typedef struct {
    double squares, magnitudes;
} norms_t;

/* A part of a block that one thread updates: rows [row_begin, row_end), columns [col_begin, col_end) */
typedef struct {
    int64_t block, row_begin, row_end, col_begin, col_end;
} tile_t;

/* One thread's share of some work: pool.h */
typedef struct share share_t;

/* The functions of a kind of operation, for rows [lo, hi) of a batch. NULL: there is nothing to do, or, for the
 * tangents, the derivative is not implemented.
 *
 *     forward           output = f(input, blocks)
 *     backward          gradient of the input, from that of the output (which it may overwrite)
 *     gradient          g (the tile, contiguous) = d loss / d block, summed over the rows in order; `add`: g += ...
 *                       It runs after `backward`, while other tiles are updated: it must not read
 *                       parameters that are trained.
 *     prepare           called once for each batch, by one thread, before the gradients are computed
 *     tangent           tangent of the output, from that of the input and the direction of the parameters
 *     backward_tangent  tangent of the gradient of the input; runs before backward
 *     gradient_tangent  g += tangent of d loss / d block
 *
 * A kind whose rows depend on each other has the following functions too. All rows are summarized, then all columns are
 * reduced, and then the rows go on: see step.h. Such a kind is for training only.
 *
 *     summarize           statistics of the input, of each run of PART_ROWS rows; lo is a multiple of PART_ROWS
 *     reduce              those of columns [left, right) of the whole batch, for the forward pass
 *     summarize_backward  statistics of the gradient of the output, as summarize
 *     reduce_backward     those of the whole batch, for the backward pass and the gradient of the blocks
 *     keep                blocks that are not trained = what they are after the batch; momentum > 0: in place of that
 *                         of the operation. Returns 0, and changes nothing, if the batch has no statistics.
 */
typedef struct kind {
    void (*forward)(const plan_t *, const operation_t *, int64_t lo, int64_t hi);
    void (*backward)(const plan_t *, const operation_t *, int64_t lo, int64_t hi);
    void (*gradient)(const plan_t *, const operation_t *, const tile_t *, int64_t lo, int64_t hi, void *g,
                     void *scratch, int add);
    void (*prepare)(const plan_t *, const operation_t *);
    void (*tangent)(const plan_t *, const operation_t *, int64_t lo, int64_t hi);
    void (*backward_tangent)(const plan_t *, const operation_t *, int64_t lo, int64_t hi);
    void (*gradient_tangent)(const plan_t *, const operation_t *, const tile_t *, int64_t lo, int64_t hi, void *g);
    void (*summarize)(const plan_t *, const operation_t *, int64_t lo, int64_t hi);
    void (*reduce)(const plan_t *, const operation_t *, int64_t left, int64_t right);
    void (*summarize_backward)(const plan_t *, const operation_t *, int64_t lo, int64_t hi);
    void (*reduce_backward)(const plan_t *, const operation_t *, int64_t left, int64_t right);
    int (*keep)(const plan_t *, const operation_t *, double momentum);
} kind_t;

/* A matrix of reals: element (i, j) is p[i * row + j * col]. row 0: one row, repeated; p NULL: all zero. */
typedef struct {
    const void *p;
    int64_t row, col;
} matrix_t;

static inline matrix_t by_rows(const void *p, int64_t width) {
    const matrix_t matrix = {p, width, 1};
    return matrix;
}
static inline matrix_t transposed(const void *p, int64_t width) {
    const matrix_t matrix = {p, 1, width};
    return matrix;
}
static inline matrix_t repeated(const void *row) {
    const matrix_t matrix = {row, 0, 1};
    return matrix;
}
static inline matrix_t zero_matrix(void) {
    const matrix_t matrix = {0, 0, 1};
    return matrix;
}

/* Memory of each thread for parts of matrices that a product copies. It is not on the stack: a thread may have a small
 * one. No function keeps anything there between two calls. */
#define THREAD_MEMORY (160 * 1024)
extern _Thread_local char fastbp_thread_memory[THREAD_MEMORY];

/* The kernels of one instruction set and one real type. */
typedef struct {
    int64_t vector_bytes;
    int64_t block_rows; /* rows of the register block of the matrix product */
    int64_t block_vectors;
    const char *compiler, *flags; /* used to build this table */
    const kind_t *const *kinds;
    void (*draw_mixup)(plan_t *, double alpha, int64_t n);
    /* loops over the operations: step.h, derivatives.h */
    void (*forward_rows)(const plan_t *, int64_t lo, int64_t hi);
    void (*backward_rows)(const plan_t *, int64_t lo, int64_t hi);
    void (*forward_backward_rows)(const plan_t *, int64_t lo, int64_t hi);
    void (*forward_segment)(const plan_t *, int64_t before, int64_t after, int64_t lo, int64_t hi);
    void (*backward_segment)(const plan_t *, int64_t before, int64_t after, int64_t lo, int64_t hi);
    int (*keep_statistics)(const plan_t *, double momentum);
    void (*slot_gradient)(const plan_t *, int64_t slot, void *scratch);
    void (*prepare_gradients)(const plan_t *);
    norms_t (*update_tile)(const plan_t *, const tile_t *, void *scratch);
    void (*store_tile)(const plan_t *, const tile_t *, void *scratch);
    norms_t (*finish_tile)(const plan_t *, const tile_t *, double *gradient_squares);
    void (*limit_gradient)(const plan_t *, const tile_t *, double factor);
    void (*transform_gradient)(const plan_t *, int64_t block, int64_t phase, void *scratch, share_t *share);
    void (*update_from_gradient)(const plan_t *, const tile_t *);
    void (*limit_columns)(const plan_t *, const tile_t *, double max_norm, void *scratch);
    void (*refresh_mirrors)(const plan_t *);
    void (*look_ahead)(const plan_t *, double sign);
    int (*output_gradient_is_finite)(const plan_t *);
    void (*output_loss)(const plan_t *);
    void (*output_loss_tangent)(const plan_t *);
    void (*push)(const plan_t *);
    void (*pull)(const plan_t *, int64_t begin, int64_t end, void *gradient);
    void (*pull_tangent)(const plan_t *, void *gradient);
    /* single kernels */
    void (*convert)(const data_t *, int64_t row, int64_t n_features, void *out);
    void (*matmul)(int64_t n, int64_t m, int64_t k, matrix_t a, matrix_t b, matrix_t init, void *c, int64_t c_row);
    void (*transpose)(const void *a, int64_t rows, int64_t cols, void *out);
    void (*column_sums)(const void *a, int64_t rows, int64_t cols, void *out);
    void (*activation_forward)(int activation, const void *z, void *a, int64_t rows, int64_t m);
    void (*activation_backward)(int activation, const void *z, const void *a, void *delta, int64_t rows, int64_t m);
    void (*activation_backward_tangent)(int activation, const void *z, const void *a, const void *dz, const void *da,
                                        const void *dA, void *tangent, int64_t rows, int64_t m);
    void (*loss)(const loss_t *, const void *y, const void *z, double *row_loss, void *delta, int64_t rows, int64_t m);
    void (*loss_tangent)(const loss_t *, const void *y, const void *z, const void *dz, void *tangent, void *scratch,
                         int64_t rows, int64_t m);
    void (*prepare_optimizer)(optimizer_t *, int64_t step);
    int64_t (*transform_phases)(const optimizer_t *);
    int64_t (*transform_scratch)(const optimizer_t *, int64_t rows, int64_t cols);
    void (*transform)(const optimizer_t *, int64_t phase, void *g, void *const *state, int64_t rows, int64_t cols,
                      void *scratch);
    void (*apply_update)(const optimizer_t *, const void *g, void *w, void *const *state, int64_t n);
    double (*norm)(const void *x, int64_t n);
    int (*all_finite)(const void *x, int64_t n);
    /* lbfgs.h; of the table for double only */
    void (*make_pair)(double step, const double *d, const double *g, const double *g_before, int64_t n, double *s,
                      double *y);
    void (*pair_products)(const double *s, const double *y, int64_t stride, int64_t n_pairs, const double *g,
                          const double *v, int64_t n, double *sums);
    void (*combine_pairs)(const double *s, const double *y, int64_t stride, int64_t n_pairs, const double *coefs,
                          double coef_g, const double *g, const double *x_before, int64_t n, double *d, double *x,
                          double *sums);
    void (*slope_and_largest)(const double *d, const double *g, int64_t n, double *sums);
} kernels_t;

/* tables.c */
extern const char fastbp_version[];
extern const char *const fastbp_activation_names[];
extern const int fastbp_activation_needs_z[];
extern const char *const fastbp_loss_names[];
extern const int fastbp_loss_links[];
extern const char *const fastbp_loss_constants[];
int64_t fastbp_loss_target_width(int loss, int64_t m); /* columns of the targets of a loss of m outputs */
extern const char *const fastbp_optimizer_names[];
extern const int fastbp_optimizer_states[], fastbp_optimizer_forms[];
extern const char *const fastbp_optimizer_constants[];
extern const char *const fastbp_kind_names[];
extern const int fastbp_kind_by_rows[], fastbp_kind_in_place[], fastbp_kind_saved[];
extern const char *const fastbp_element_names[]; /* from number 1 on, then NULL */
extern const char *const fastbp_isa_names[];     /* from the least to the most capable, then NULL */
int fastbp_isa_supported(int isa);               /* whether this processor can run it */

/* The tables of an instruction set: float, double, and float with matrix products in bfloat16. The last one is there
 * for the most capable instruction set only, and not in every build: else NULL. */
enum { TABLE_float, TABLE_double, TABLE_bfloat16 };
const kernels_t *fastbp_kernels(int isa, int table);
int fastbp_bfloat16_supported(void); /* whether this processor can run the last one */

#endif
