/* What the compiled kernels look like from outside: lists of names, plain structs, and the table of functions
 * that isa.c fills once for each instruction set and each real type.
 *
 * Reals are passed as void pointers: one table type then serves both, and everything above the kernels (the
 * batches, the threads, the stopping rule) is written once. The doors that users call check the dtype before a
 * pointer is made. All sizes and offsets are 64-bit and count elements, not bytes.
 */
#ifndef FASTBP_ISA_H
#define FASTBP_ISA_H

#include <stdint.h>

/* name, does f' need the pre-activation z? */
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

/* name, the output activation for which d loss / dz is simply a - y */
#define LOSSES(X)                \
    X(squared_error, identity)   \
    X(log_loss, softmax)         \
    X(binary_log_loss, logistic) \
    X(poisson, exp)

/* name, arrays of state beside the weights */
#define UPDATES(X)   \
    X(accumulate, 1) \
    X(sgd, 1)        \
    X(adam, 2)

#define ENUM(name, fact) ACT_##name,
enum { ACTIVATIONS(ENUM) N_ACTIVATIONS };
#undef ENUM
#define ENUM(name, fact) LOSS_##name,
enum { LOSSES(ENUM) N_LOSSES };
#undef ENUM
#define LOSS_GIVEN (-1) /* no kernel's loss: somebody else fills in row_loss and the last layer's delta */
#define ENUM(name, fact) UPDATE_##name,
enum { UPDATES(ENUM) N_UPDATES };
#undef ENUM

/* A layer is z = x W + b, a = f(z). Its floats live elsewhere: here are sizes and offsets only. */
typedef struct {
    int64_t fan_in, fan_out;
    int64_t coef, intercept; /* offsets of W (fan_in, fan_out) and b (fan_out,) in the flat parameter vector */
    int64_t activation;
    int64_t a, z, delta; /* offsets in the workspace of (batch, fan_out) each; z is a where f' does not need it */
    int64_t transposed;  /* offset in the workspace of the copy of W^T (fan_out, fan_in), or -1 */
} layer_t;

/* The training set, never written to. X is either dense and C-contiguous or compressed sparse rows. */
typedef struct {
    const void *X;               /* (n, n_features), or the values of the non-zeros */
    const int64_t *indptr;       /* (n + 1,), NULL when dense */
    const void *indices;         /* columns of the non-zeros */
    int64_t index_bytes;         /* 4 or 8 */
    const void *Y;               /* (n, n_outputs) */
    const int32_t *labels;       /* in place of a Y of zeros and ones, or NULL: row i of Y is 1 at labels[i] ... */
    const int64_t *label_start;  /* ... or, if not NULL, at labels[label_start[i]] to labels[label_start[i + 1] - 1] */
    const double *sample_weight; /* (n,) or NULL */
} data_t;

/* How a gradient becomes a step. */
typedef struct {
    int64_t kind;         /* UPDATE_... */
    double alpha;         /* L2 penalty: g = (dW + alpha W) / weight_sum */
    double learning_rate; /* of this step: adam's bias corrections are already in it */
    double momentum;
    int64_t nesterov;
    double beta_1, beta_2, epsilon;
} update_t;

/* Everything one step needs. Only `rows`, `start`, `n`, `weight_sum` and `update.learning_rate` change from step to
 * step, and only between two steps, by the thread that leads. */
typedef struct {
    const layer_t *layers;
    int64_t n_layers;
    int64_t loss, canonical; /* canonical: delta of the last layer is a - y */
    void *params;            /* flat parameter vector */
    void *state[2];          /* flat vectors laid out as params: gradient, or moments of the optimizer */
    update_t update;
    data_t data;

    const int64_t *rows; /* row r of the batch is row rows[start + r] of the data; NULL: row start + r */
    int64_t start, n;
    double weight_sum; /* the batch length, or the sum of its sample weights */

    void *workspace;
    int64_t x, y;      /* offsets of the gathered batch: (batch, n_features) and (batch, n_outputs) */
    double *row_loss;  /* (batch,) loss of each row, times its sample weight */
    int64_t row_block; /* rows that go through the whole net together */
    void *out;         /* (n_rows of the data, n_outputs): where a forward pass leaves its results; NULL: nowhere */
    /* Small nets: the batch is cut into n_slots runs of slot_rows rows, and the gradient of each run is stored by the
     * thread that has its rows; 0 for all others */
    int64_t n_slots, slot_rows;
    int64_t slots; /* offset in the workspace of (n_slots, n_params) */
    int64_t n_params;
    /* the non-zeros of the batch by column, in row order (sparse X only) */
    int64_t *column_start; /* (n_features + 1,) */
    int32_t *column_row;
    void *column_value;
} plan_t;

/* A piece of weights that one thread updates: rows [begin, end) and columns [left, right) of layer `layer`'s W; a piece
 * of the first rows takes the intercepts of its columns along. */
typedef struct {
    int64_t layer, begin, end, left, right;
} tile_t;

typedef struct {
    int64_t vector_bytes;
    int64_t block_rows; /* rows of the matrix product's register block: what rows are best handed out in */
    int64_t block_vectors;
    const char *compiler, *flags; /* what this table was built with */
    /* steps */
    void (*forward_rows)(const plan_t *, int64_t lo, int64_t hi);
    void (*backward_rows)(const plan_t *, int64_t lo, int64_t hi);
    void (*forward_backward_rows)(const plan_t *, int64_t lo, int64_t hi);
    void (*slot_gradient)(const plan_t *, int64_t slot, void *scratch);
    void (*sparse_columns)(const plan_t *);
    void (*transpose_layer)(const plan_t *, int64_t layer);
    double (*update_tile)(const plan_t *, const tile_t *, void *scratch);
    double (*descend_tile)(const plan_t *, const tile_t *, void *gradient);
    int (*deltas_finite)(const plan_t *);
    int (*all_finite)(const void *x, int64_t n);
    /* single kernels, for the doors */
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
    void (*apply_update)(const update_t *, const void *g, void *w, void *s0, void *s1, int64_t n);
} kernels_t;

/* tables.c */
extern const char fastbp_version[];
extern const char *const fastbp_activation_names[];
extern const int fastbp_activation_needs_z[];
extern const char *const fastbp_loss_names[];
extern const int fastbp_loss_canonical[];
extern const char *const fastbp_update_names[];
extern const int fastbp_update_states[];
extern const char *const fastbp_isa_names[]; /* from the least to the most capable, then NULL */
int fastbp_isa_supported(int isa);           /* may this processor run it? */
const kernels_t *fastbp_kernels(int isa, int is_double);

#endif
