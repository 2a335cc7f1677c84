/* The orthogonal matrix closest to another one, approximately: U V^T of the singular value decomposition U S V^T.
 *
 * The iteration of Newton and Schulz brings all singular values between 0 and 1 near 1, with the coefficients a, b and
 * c of Jordan et al. (2024, Muon: an optimizer for hidden layers in neural networks):
 *
 *     A = x^T x;  F = a I + b A + c A^2;  x = x F
 *
 * The matrix that is given is not written to. Threads share each product, in tiles whose results do not depend on which
 * thread computes them; each formula above is a phase, with a barrier after it. A and F are symmetric: only tiles on
 * and above the diagonal are computed.
 */
#ifndef FASTBP_ORTHOGONALIZE_H
#define FASTBP_ORTHOGONALIZE_H

#include "gemm.h"
#include "pool.h"
#include "program.h"
#include "simd.h"

/* Rows and columns of a tile, and rows of a run: whole panels and register blocks of the matrix product */
#define EDGE 96
#define N_TILES(n) (((n) + EDGE - 1) / EDGE)
#define TILE_SIZE(begin, n) ((n) - (begin) < EDGE ? (n) - (begin) : EDGE)

/* The matrix is (rows, cols); x is that, or its transpose if it has more columns than rows: x (n, k), n >= k. */
typedef struct {
    ptrdiff_t rows, cols, n, k;
    real *x, *next;          /* (n, k); they change places after an iteration */
    real *gram, *factor;     /* (k, k) A and F */
    real *largest, *squares; /* of each run of EDGE rows: the largest magnitude, and the sum of squares */
} orthogonal_t;

static int64_t orthogonalize_scratch(int64_t rows, int64_t cols) {
    const int64_t k = rows < cols ? rows : cols, n = rows < cols ? cols : rows;
    return 2 * n * k + 2 * k * k + 2 * N_TILES(n);
}

static orthogonal_t orthogonal_of(ptrdiff_t rows, ptrdiff_t cols, real *scratch) {
    orthogonal_t o = {.rows = rows, .cols = cols, .n = rows < cols ? cols : rows, .k = rows < cols ? rows : cols};
    o.x = scratch, o.next = o.x + o.n * o.k;
    o.gram = o.next + o.n * o.k, o.factor = o.gram + o.k * o.k;
    o.largest = o.factor + o.k * o.k, o.squares = o.largest + N_TILES(o.n);
    return o;
}

/* Where to write rows [r, r + EDGE) of the matrix, before set_rows */
static real *rows_to_set(const orthogonal_t *o, ptrdiff_t r) {
    return (o->rows < o->cols ? o->next : o->x) + r * o->cols;
}

/* These rows have been written. */
static void set_rows(const orthogonal_t *o, ptrdiff_t r) {
    const ptrdiff_t rows = TILE_SIZE(r, o->rows);
    const real *from = rows_to_set(o, r);
    vec largest = {0};
    FOR_VECTORS(rows * o->cols, { largest = vmax(vabs(LOAD(from)), largest); });
    o->largest[r / EDGE] = max_lanes(largest);
    if (o->rows < o->cols)
        transpose(from, o->cols, rows, o->cols, o->x + r, o->k);
}

/* x / its largest magnitude, so that no square overflows. x stays as it is if it is 0. */
static void divide_by_largest(const orthogonal_t *o, share_t *share) {
    real largest = 0;
    for (ptrdiff_t i = 0; i < N_TILES(o->rows); i++)
        largest = larger(o->largest[i], largest);
    const real by = largest > 0 ? largest : 1;
    for (ptrdiff_t begin = 0; begin < o->n; begin += EDGE) {
        double total = 0;
        if (!share_takes(share))
            continue;
        for (ptrdiff_t r = begin; r < begin + TILE_SIZE(begin, o->n); r++) {
            real *x = o->x + r * o->k;
            vec squares = {0};
            FOR_VECTORS(o->k, {
                const vec scaled = LOAD(x) / by;
                squares += scaled * scaled;
                STORE(x, scaled);
            });
            total += (double)sum_lanes(squares);
        }
        o->squares[begin / EDGE] = (real)total;
    }
}

/* x / its norm */
static void divide_by_norm(const orthogonal_t *o, share_t *share) {
    double total = 0;
    for (ptrdiff_t i = 0; i < N_TILES(o->n); i++)
        total += (double)o->squares[i];
    const real by = total == 0 ? 1 : (real)sqrt(total);
    for (ptrdiff_t begin = 0; begin < o->n; begin += EDGE) {
        const ptrdiff_t size = TILE_SIZE(begin, o->n) * o->k;
        real *x = o->x + begin * o->k;
        if (share_takes(share))
            FOR_VECTORS(size, { STORE(x, LOAD(x) / by); });
    }
}

/* out = left right, symmetric (k, k), with the inner dimension `inner`. With `gram`, then
 * out = size (a I + b gram + c out).
 * cold: else the compiler specializes the products of a step less, which then take 2 % more instructions. */
static __attribute__((noinline, cold)) void symmetric_product(ptrdiff_t k, ptrdiff_t inner, matrix_t left,
                                                              const real *right, const real *gram, double size,
                                                              real *out, share_t *share) {
    const real a = (real)(3.4445 * size), b = (real)(-4.7750 * size), c = (real)(2.0315 * size);
    for (ptrdiff_t row = 0; row < k; row += EDGE)
        for (ptrdiff_t col = row; col < k; col += EDGE) {
            const ptrdiff_t rows = TILE_SIZE(row, k), cols = TILE_SIZE(col, k);
            const matrix_t from = {(const real *)left.p + row * left.row, left.row, left.col};
            real *tile = out + row * k + col;
            if (!share_takes(share))
                continue;
            matmul(rows, cols, inner, from, by_rows(right + col, k), zero_matrix(), tile, k);
            for (ptrdiff_t r = 0; gram && r < rows; r++) {
                const real *g = gram + (row + r) * k + col;
                real *to = tile + r * k;
                FOR_VECTORS(cols, { STORE(to, LOAD(g) * b + LOAD(to) * c); });
                if (row == col)
                    to[r] += a;
            }
            if (row != col)
                transpose(tile, k, rows, cols, out + col * k + row, k);
        }
}

/* next = x factor */
static __attribute__((noinline, cold)) void apply_factor(const orthogonal_t *o, const real *x, real *next,
                                                         share_t *share) {
    const ptrdiff_t n = o->n, k = o->k;
    for (ptrdiff_t row = 0; row < n; row += EDGE)
        for (ptrdiff_t col = 0; col < k; col += EDGE)
            if (share_takes(share))
                matmul(TILE_SIZE(row, n), TILE_SIZE(col, k), k, by_rows(x + row * k, k), by_rows(o->factor + col, k),
                       zero_matrix(), next + row * k + col, k);
}

/* Phase `phase`, from 0, after set_rows of all rows. The result is multiplied by `size`. */
static int64_t orthogonalize_phases(int n_iterations) { return 2 + 3 * (int64_t)n_iterations; }
static void orthogonalize(const orthogonal_t *o, int64_t phase, int n_iterations, double size, share_t *share) {
    if (phase == 0) {
        divide_by_largest(o, share);
        return;
    }
    if (phase == 1) {
        divide_by_norm(o, share);
        return;
    }
    const int64_t iteration = (phase - 2) / 3;
    const int is_last = iteration == n_iterations - 1;
    real *x = iteration % 2 ? o->next : o->x, *next = iteration % 2 ? o->x : o->next;
    switch ((phase - 2) % 3) {
    case 0: symmetric_product(o->k, o->n, transposed(x, o->k), x, NULL, 1, o->gram, share); break;
    case 1:
        symmetric_product(o->k, o->k, by_rows(o->gram, o->k), o->gram, o->gram, is_last ? size : 1, o->factor, share);
        break;
    case 2: apply_factor(o, x, next, share); break;
    }
}

/* After all phases: out = rows [r, r + EDGE) of the result, as rows of the matrix */
static void get_rows(const orthogonal_t *o, int n_iterations, ptrdiff_t r, real *out) {
    const ptrdiff_t rows = TILE_SIZE(r, o->rows);
    const real *x = n_iterations % 2 ? o->next : o->x;
    if (o->rows < o->cols)
        transpose(x + r, o->k, o->n, rows, out, o->cols);
    else
        memcpy(out, x + r * o->k, (size_t)(rows * o->k) * sizeof(real));
}

#undef N_TILES
#undef TILE_SIZE

#endif
