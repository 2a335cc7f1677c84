/* The program of a network as plain structs, the lists of names, and the table of compiled kernels.
 *
 * A program is a list of operations in the order of the forward pass. Operations read and write nodes, which are
 * buffers of (rows of a batch, width) numbers, and own blocks, which are named matrices in the flat parameter vector.
 * What an operation does is its kind: see kinds/. program.pyx compiles the layers of a network into a program.
 *
 * Reals are passed as void pointers: one type of table then serves float and double, and everything above the kernels
 * (batches, threads, the stopping rule) is written once. The callers check dtypes and sizes before they make pointers.
 * All sizes and offsets are 64-bit and count elements, not bytes. IN: read only; OUT: overwritten.
 */
#ifndef FASTBP_PROGRAM_H
#define FASTBP_PROGRAM_H

#include <stdint.h>

/* name, does f' need the input z? (else it is written with the output a, and a may take the place of z) */
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

/* name, link: the output activation that the loss contains when it is given the raw output z, family: how it is written
 * in losses.h */
#define LOSSES(X)                           \
    X(squared_error, identity, canonical)   \
    X(log_loss, softmax, canonical)         \
    X(binary_log_loss, logistic, canonical) \
    X(poisson, exp, canonical)

/* name, state arrays, does an update need the gradient of a whole block?, and the names of the constants: the fields of
 * the optimizer's dataclass in their order */
#define OPTIMIZERS(X)                          \
    X(sgd, 1, 0, momentum, nesterovs_momentum) \
    X(adam, 2, 0, beta_1, beta_2, epsilon)
#define MAX_STATES 4
#define MAX_CONSTANTS 8

/* name, can the gradient of its blocks be taken over a run of rows?, may the output take the place of the input? */
#define KINDS(X)          \
    X(dense, 1, 0)        \
    X(dense_sparse, 0, 0) \
    X(activation, 1, 1)   \
    X(add, 1, 0)          \
    X(scale, 1, 0)

#define ENUM(name, ...) ACT_##name,
enum { ACTIVATIONS(ENUM) N_ACTIVATIONS };
#undef ENUM
#define ENUM(name, ...) LOSS_##name,
enum { LOSSES(ENUM) N_LOSSES };
#undef ENUM
#define LOSS_GIVEN (-1) /* a function of the user's fills in row_loss and the gradient by the raw output */
#define ENUM(name, ...) OPTIMIZER_##name,
enum { OPTIMIZERS(ENUM) N_OPTIMIZERS };
#undef ENUM
#define ENUM(name, ...) KIND_##name,
enum { KINDS(ENUM) N_KINDS };
#undef ENUM

/* A buffer of (batch, width) numbers. Its place is given in columns: `value` columns of `capacity` rows each lie before
 * it, so that one program serves workspaces of any number of rows. -1: it has none (the input: see plan_t). */
typedef struct {
    int64_t width;
    int64_t value;   /* place among the values */
    int64_t grad;    /* place among the gradients, and among the tangents of the gradients */
    int64_t tangent; /* place among the tangents */
} node_t;

/* A matrix of parameters; biases and scales are blocks of one row. */
typedef struct {
    int64_t operation; /* that it belongs to */
    int64_t offset;    /* in the flat parameter vector */
    int64_t rows, cols;
    int64_t mirror; /* offset among the mirrors of the copy of its transpose, or -1 */
    int64_t group;  /* of parameters */
} block_t;

typedef struct {
    int64_t kind;                  /* KIND_... */
    int64_t input, input2, output; /* nodes; input2 is -1 but for kinds with two inputs */
    int64_t
        adds; /* bits: the backward pass adds to the gradient of input (1), of input2 (2), and does not overwrite it */
    int64_t first_block, n_blocks;
    int64_t argument; /* activation: its number. dense: 1 if the forward pass reads the mirror */
} operation_t;

/* Parameters that are updated alike. */
typedef struct {
    int64_t optimizer;    /* index among the plan's optimizers */
    double learning_rate; /* factor of the learning rate */
    double penalty;       /* alpha of the L2 penalty: g = (dW + alpha W) / weight_sum */
    double decay;         /* decoupled weight decay: w -= learning_rate decay w (Loshchilov and Hutter, 2019) */
} group_t;

typedef struct {
    const node_t *nodes;
    const block_t *blocks;
    const operation_t *operations;
    int64_t n_nodes, n_blocks, n_operations;
    int64_t n_params;
    int64_t output;     /* the node that the loss, or the caller, looks at; the input is node 0 */
    int64_t raw_output; /* the node before the output activation; the same, where that was dropped */
} program_t;

/* The data, never written to. X is either dense and C-contiguous or compressed sparse rows. */
typedef struct {
    const void *X;               /* (n, n_features), or the values of the non-zeros */
    const int64_t *indptr;       /* (n + 1,), NULL when dense */
    const void *indices;         /* columns of the non-zeros */
    int64_t index_bytes;         /* 4 or 8 */
    const void *Y;               /* (n, target_width) */
    const int32_t *labels;       /* in place of a Y of zeros and ones, or NULL: row i of Y is 1 at labels[i] ... */
    const int64_t *label_start;  /* ... or, if not NULL, at labels[label_start[i]] to labels[label_start[i + 1] - 1] */
    const double *sample_weight; /* (n,) or NULL */
} data_t;

typedef struct {
    int64_t kind;         /* LOSS_... */
    int64_t is_raw;       /* whether the output node is the raw output, and the loss contains the link */
    int64_t target_width; /* columns of the targets, which may differ from the width of the output */
    double constant[MAX_CONSTANTS];
} loss_t;

/* How a gradient becomes a step; losses and optimizers of more constants raise MAX_CONSTANTS. */
typedef struct {
    int64_t kind;         /* OPTIMIZER_... */
    double learning_rate; /* of this step */
    double correction;    /* factor of the learning rate in this step: see `prepare_optimizer` */
    union {
        double constant[MAX_CONSTANTS];
#define CONSTANTS(name, n_states, by_block, ...) \
    struct {                                     \
        double __VA_ARGS__;                      \
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

/* Everything that one pass over a batch needs. Only `rows`, `start`, `n`, `weight_sum` and the optimizers' scalars
 * change from step to step, and only between two steps, by the thread that leads. */
typedef struct {
    program_t program;
    data_t data;
    loss_t loss;
    void *params; /* flat parameter vector */

    /* the batch */
    const int64_t *rows; /* row r of the batch is row rows[start + r] of the data; NULL: row start + r */
    int64_t start, n;
    double weight_sum; /* the batch length, or the sum of its sample weights */

    /* the workspace */
    int64_t capacity;    /* rows that the nodes have room for */
    void *values;        /* of the nodes */
    void *grads;         /* d loss / d value */
    void *tangents;      /* changes of the values along a direction */
    void *grad_tangents; /* changes of the gradients along it */
    void *mirrors;       /* copies of W^T */
    void *targets;       /* (batch, target_width) gathered */
    double *row_loss;    /* (batch,) loss of each row, times its sample weight */
    int64_t row_block;   /* rows that go through the whole net together */
    columns_t columns;   /* sparse X only */

    /* in place of buffers of node 0, the input */
    const void *input_tangent; /* IN (n, n_features) or NULL: the input does not change */
    void *input_grad;          /* OUT (n, n_features) or NULL: not wanted */

    void *out; /* (rows of the data, width of the output): where a forward pass leaves its results; NULL: nowhere */
    const void *direction, *direction_mirrors; /* of the parameters, in their layout and that of the mirrors; or NULL */

    /* the step */
    const group_t *groups;
    const optimizer_t *optimizers;
    void *const *state; /* flat vectors laid out as params: moments of the optimizer */
    int64_t n_states;
    void *gradient;        /* flat: where gradients are stored, if they are */
    int64_t adds_gradient; /* are they added to what is there? */
    /* Small nets: the batch is cut into n_slots runs of slot_rows rows, and the gradient of each run is stored by the
     * thread that has its rows; 0 for all others */
    int64_t n_slots, slot_rows;
    void *slots; /* (n_slots, n_params) */
} plan_t;

/* A part of a block that one thread updates: rows [begin, end), columns [left, right) */
typedef struct {
    int64_t block, begin, end, left, right;
} tile_t;

/* What a kind of operation does with the rows [lo, hi) of a batch. NULL: nothing to do, or, for the tangents, not
 * known.
 *
 *     forward           output = f(input, blocks)
 *     backward          gradient of the input, from that of the output (which it may overwrite)
 *     gradient          g (the tile, contiguous) = d loss / d block, summed over the rows in order; `add`: g += ...
 *     prepare           once for each batch, by one thread, before the gradients are taken
 *     tangent           tangent of the output, from that of the input and the direction of the parameters
 *     backward_tangent  tangent of the gradient of the input; runs before backward
 *     gradient_tangent  g += tangent of d loss / d block
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
} kind_t;

/* The kernels of one instruction set and one real type. */
typedef struct {
    int64_t vector_bytes;
    int64_t block_rows; /* rows of the matrix product's register block: what rows are best handed out in */
    int64_t block_vectors;
    const char *compiler, *flags; /* what this table was built with */
    const kind_t *const *kinds;
    /* walks over the operations: step.h, derivatives.h */
    void (*forward_rows)(const plan_t *, int64_t lo, int64_t hi);
    void (*backward_rows)(const plan_t *, int64_t lo, int64_t hi);
    void (*forward_backward_rows)(const plan_t *, int64_t lo, int64_t hi);
    void (*slot_gradient)(const plan_t *, int64_t slot, void *scratch);
    void (*prepare_gradients)(const plan_t *);
    double (*update_tile)(const plan_t *, const tile_t *, void *scratch);
    void (*store_tile)(const plan_t *, const tile_t *, void *scratch);
    double (*update_tile_from_gradient)(const plan_t *, const tile_t *);
    void (*refresh_mirrors)(const plan_t *);
    int (*output_gradient_is_finite)(const plan_t *);
    void (*output_loss)(const plan_t *);
    void (*output_loss_tangent)(const plan_t *);
    void (*push)(const plan_t *);
    void (*pull)(const plan_t *, int64_t begin, int64_t end, void *gradient);
    void (*pull_tangent)(const plan_t *, void *gradient);
    /* single kernels */
    void (*matmul)(int64_t n, int64_t m, int64_t k, const void *a, int64_t a_row, int64_t a_col, const void *b,
                   int64_t b_row, const void *init, int64_t init_row, void *c, int64_t c_row);
    void (*transpose)(const void *a, int64_t rows, int64_t cols, void *out);
    void (*column_sums)(const void *a, int64_t rows, int64_t cols, void *out);
    void (*activation_forward)(int activation, const void *z, void *a, int64_t rows, int64_t m);
    void (*activation_backward)(int activation, const void *z, const void *a, void *delta, int64_t rows, int64_t m);
    void (*activation_backward_tangent)(int activation, const void *z, const void *a, const void *dz, const void *da,
                                        const void *dA, void *tangent, int64_t rows, int64_t m);
    void (*loss_rows)(int loss, const void *y, const void *a, double *row_loss, int64_t rows, int64_t m);
    void (*loss_gradient)(int loss, const void *y, const void *a, void *dA, int64_t rows, int64_t m);
    void (*loss_curvature)(int loss, const void *y, const void *a, void *d2A, int64_t rows, int64_t m);
    void (*prepare_optimizer)(optimizer_t *, int64_t step);
    void (*apply_update)(const optimizer_t *, const void *g, void *w, void *const *state, int64_t n);
    int (*all_finite)(const void *x, int64_t n);
} kernels_t;

/* tables.c */
extern const char fastbp_version[];
extern const char *const fastbp_activation_names[];
extern const int fastbp_activation_needs_z[];
extern const char *const fastbp_loss_names[];
extern const int fastbp_loss_links[];
extern const char *const fastbp_optimizer_names[];
extern const int fastbp_optimizer_states[], fastbp_optimizer_by_block[];
extern const char *const fastbp_optimizer_constants[];
extern const char *const fastbp_kind_names[];
extern const int fastbp_kind_by_rows[], fastbp_kind_in_place[];
extern const char *const fastbp_isa_names[]; /* from the least to the most capable, then NULL */
int fastbp_isa_supported(int isa);           /* may this processor run it? */
const kernels_t *fastbp_kernels(int isa, int is_double);

#endif
