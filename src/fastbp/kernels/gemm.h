/* The matrix product C = init + A B, where A is read through two strides and B and C have contiguous rows.
 *
 * A block of C, ROWS_MAX rows by VECS_MAX vectors, stays in registers during the loop over k. Each iteration loads
 * VECS_MAX vectors of B and multiplies them by ROWS_MAX broadcast elements of A. Because of the strides of A, one
 * kernel computes the three products of backpropagation:
 *
 *     forward   Z  = b + X W         A = X         a_row = fan_in,  a_col = 1
 *     backward  dX = delta W^T       A = delta     with W^T laid out in rows
 *               dW = X^T delta       A = X^T       a_row = 1,       a_col = fan_in
 *
 * Each element of C is a sequence of fused multiply-adds in the order of k, in every block and also at the edges. The
 * result therefore does not depend on how rows and columns are divided among threads. (narrow_matmul, for a C of very
 * few columns, adds lane by lane instead, in an order that is the same for every row.)
 *
 * Size of the block: 8 x 3 uses 24 of the 32 registers of AVX-512 and NEON and hides the latency of the multiply-add (4
 * cycles, 2 per cycle: at least 8 independent chains). AVX2 and SSE2 have 16 registers: 6 x 2.
 */
#ifndef FASTBP_GEMM_H
#define FASTBP_GEMM_H

#include "program.h"
#include "simd.h"

#if defined(__AVX512F__) || defined(__aarch64__)
#define ROWS_MAX 8
#define VECS_MAX 3
#else
#define ROWS_MAX 6
#define VECS_MAX 2
#endif

/* What the last vector of a panel is */
enum { WHOLE, RAGGED, RAGGED_HALF };

/* One block of C. rows, vecs and last are compile-time constants at every call, so that the loops over them unroll and
 * acc stays in registers. last: RAGGED if the last vector has only `lanes` lanes, and RAGGED_HALF if it can be
 * processed as a half vector. packed: NULL, or where the vectors of B are stored, one after the other. */
INLINE void block(const int rows, const int vecs, const int last, ptrdiff_t lanes, ptrdiff_t k, const real *restrict a,
                  ptrdiff_t a_row, ptrdiff_t a_col, const real *restrict b, ptrdiff_t b_row, const real *init,
                  ptrdiff_t init_row, real *c, ptrdiff_t c_row, real *restrict packed) {
    vec acc[ROWS_MAX][VECS_MAX];
    half_vec half_acc[ROWS_MAX]; /* in place of the last vector */
    const int wide = last == RAGGED_HALF ? vecs - 1 : vecs;
#define IS_RAGGED(v) (last != WHOLE && (v) == vecs - 1)
#pragma GCC unroll 8
    for (int r = 0; r < rows; r++)
#pragma GCC unroll 3
        for (int v = 0; v < vecs; v++) {
            const real *from = init + r * init_row + v * VL;
            const vec first = !init ? (vec){0} : IS_RAGGED(v) ? load_n(from, lanes) : load(from);
            if (v < wide)
                acc[r][v] = first;
            else
                half_acc[r] = lower_half(first);
        }
    for (ptrdiff_t i = 0; i < k; i++, a += a_col, b += b_row) {
        vec bv[VECS_MAX];
#pragma GCC unroll 3
        for (int v = 0; v < vecs; v++)
            bv[v] = IS_RAGGED(v) ? load_n(b + v * VL, lanes) : load(b + v * VL);
        if (packed) {
#pragma GCC unroll 3
            for (int v = 0; v < vecs; v++)
                store(packed + v * VL, bv[v]);
            packed += vecs * VL;
        }
#pragma GCC unroll 8
        for (int r = 0; r < rows; r++) {
            const vec ar = splat(a[r * a_row]);
#pragma GCC unroll 3
            for (int v = 0; v < wide; v++)
                acc[r][v] += ar * bv[v];
            if (last == RAGGED_HALF)
                half_acc[r] += lower_half(ar) * lower_half(bv[vecs - 1]);
        }
    }
#pragma GCC unroll 8
    for (int r = 0; r < rows; r++)
#pragma GCC unroll 3
        for (int v = 0; v < vecs; v++) {
            real *to = c + r * c_row + v * VL;
            const vec sum = v < wide ? acc[r][v] : widened(half_acc[r]);
            if (IS_RAGGED(v))
                store_n(to, sum, lanes);
            else
                store(to, sum);
        }
#undef IS_RAGGED
}

/* What is read soon: up to MAX_STREAMS matrices with the same number of rows and the same distance between them. While
 * a panel is multiplied, as many of their columns as it is wide are prefetched, a share of the rows before each block:
 * memory is read while the processor multiplies. */
#define MAX_STREAMS (1 + MAX_STATES) /* the parameters and all that an optimizer keeps for them */
typedef struct {
    int n_streams;
    const real *stream[MAX_STREAMS];
    ptrdiff_t row, rows;
} ahead_t;

/* The same matrices from another element on, `rows` rows of them */
INLINE ahead_t ahead_from(const ahead_t *ahead, ptrdiff_t place, ptrdiff_t rows) {
    ahead_t moved = *ahead;
    moved.rows = rows;
    for (int s = 0; s < moved.n_streams; s++)
        moved.stream[s] += place;
    return moved;
}

/* Prefetch `vecs` vectors of the rows that are left, divided by the blocks that are left. */
INLINE void prefetch_share(const int vecs, ahead_t *ahead, ptrdiff_t blocks) {
    for (ptrdiff_t share = (ahead->rows + blocks - 1) / blocks; share > 0; share--, ahead->rows--)
        for (int s = 0; s < ahead->n_streams; s++) {
#pragma GCC unroll 3
            for (int v = 0; v < vecs; v++)
                __builtin_prefetch(ahead->stream[s] + v * VL, 0, 2); /* into the second-level cache */
            ahead->stream[s] += ahead->row;
        }
}

/* All rows of a panel of columns `vecs` vectors wide. packed: NULL, or memory for the panel of B, which the first block
 * of ROWS_MAX rows stores and the others read. ahead: NULL, or what is prefetched. */
#define PANEL(vecs, last)                                                                                          \
    static __attribute__((noinline)) void panel_##vecs##_##last(                                                   \
        ptrdiff_t n, ptrdiff_t lanes, ptrdiff_t k, const real *a, ptrdiff_t a_row, ptrdiff_t a_col, const real *b, \
        ptrdiff_t b_row, const real *init, ptrdiff_t init_row, real *c, ptrdiff_t c_row, real *packed,             \
        ahead_t *ahead) {                                                                                          \
        if (packed) {                                                                                              \
            BLOCK_OF(ROWS_MAX, vecs, last, packed);                                                                \
            b = packed, b_row = (vecs) * VL;                                                                       \
        }                                                                                                          \
        while (n >= ROWS_MAX) {                                                                                    \
            BLOCK_OF(ROWS_MAX, vecs, last, NULL);                                                                  \
        }                                                                                                          \
        if (n >= 4) {                                                                                              \
            BLOCK_OF(4, vecs, last, NULL);                                                                         \
        }                                                                                                          \
        if (n >= 2) {                                                                                              \
            BLOCK_OF(2, vecs, last, NULL);                                                                         \
        }                                                                                                          \
        if (n >= 1) {                                                                                              \
            BLOCK_OF(1, vecs, last, NULL);                                                                         \
        }                                                                                                          \
    }
#define BLOCK_OF(rows, vecs, last, packed)                                                          \
    if (ahead)                                                                                      \
        prefetch_share(vecs, ahead, (n + ROWS_MAX - 1) / ROWS_MAX);                                 \
    block(rows, vecs, last, lanes, k, a, a_row, a_col, b, b_row, init, init_row, c, c_row, packed); \
    a += (rows) * a_row, c += (rows) * c_row, init += init ? (rows) * init_row : 0, n -= (rows)

#define PANELS(vecs)   \
    PANEL(vecs, WHOLE) \
    PANEL(vecs, RAGGED)
PANELS(1)
PANELS(2)
#if VECS_MAX == 3
PANELS(3)
#endif
#if HALVES
PANEL(1, RAGGED_HALF)
PANEL(2, RAGGED_HALF)
PANEL(3, RAGGED_HALF)
#endif
#undef PANELS
#undef PANEL
#undef BLOCK_OF

/* One row of C, so many columns at once that there are enough independent multiply-adds */
#define ROW_VECS 8
INLINE void row_block(const int vecs, ptrdiff_t lanes, ptrdiff_t k, const real *restrict a, ptrdiff_t a_col,
                      const real *restrict b, ptrdiff_t b_row, const real *init, real *c) {
    vec acc[ROW_VECS];
#pragma GCC unroll 8
    for (int v = 0; v < vecs; v++)
        acc[v] = !init ? (vec){0} : v == vecs - 1 ? load_n(init + v * VL, lanes) : load(init + v * VL);
    for (ptrdiff_t i = 0; i < k; i++, a += a_col, b += b_row) {
        const vec ar = splat(*a);
#pragma GCC unroll 8
        for (int v = 0; v < vecs; v++)
            acc[v] += ar * (v == vecs - 1 ? load_n(b + v * VL, lanes) : load(b + v * VL));
    }
#pragma GCC unroll 8
    for (int v = 0; v < vecs; v++) {
        if (v == vecs - 1)
            store_n(c + v * VL, acc[v], lanes);
        else
            store(c + v * VL, acc[v]);
    }
}

static void row_times_matrix(ptrdiff_t m, ptrdiff_t k, const real *a, ptrdiff_t a_col, const real *b, ptrdiff_t b_row,
                             const real *init, real *c) {
    for (ptrdiff_t j = 0; j < m; j += ROW_VECS * VL) {
        const ptrdiff_t width = m - j < ROW_VECS * VL ? m - j : ROW_VECS * VL;
        const ptrdiff_t vecs = (width + VL - 1) / VL, lanes = width - (vecs - 1) * VL;
        const real *from = init ? init + j : NULL;
        switch (vecs) {
#define CASE(vecs) \
    case vecs: row_block(vecs, lanes, k, a, a_col, b + j, b_row, from, c + j); break;
            CASE(1) CASE(2) CASE(3) CASE(4) CASE(5) CASE(6) CASE(7) CASE(8)
#undef CASE
        }
    }
}

INLINE void dot_step(const int rows, const real *a, ptrdiff_t a_row, vec b, ptrdiff_t lanes, vec *acc) {
#pragma GCC unroll 4
    for (int r = 0; r < rows; r++)
        acc[r] += b * load_lanes(a + r * a_row, lanes);
}

/* C[r, j] = init[j] (NULL: 0) + sum over i of A[r, i] Bt[j, i], both read along their rows. For a C that is so narrow
 * that most lanes of a vector of its columns would be empty. Four rows at once give enough independent multiply-adds.
 */
INLINE void dot_rows(const int rows, ptrdiff_t m, ptrdiff_t k, const real *a, ptrdiff_t a_row, const real *bt,
                     ptrdiff_t bt_row, const real *init, real *c, ptrdiff_t c_row) {
    for (ptrdiff_t j = 0; j < m; j++) {
        const real *b = bt + j * bt_row;
        const real start = init ? init[j] : 0;
        vec acc[4] = {{0}, {0}, {0}, {0}};
        FOR_VECTORS(k, { dot_step(rows, a + i, a_row, LOAD(b), lanes, acc); });
#pragma GCC unroll 4
        for (int r = 0; r < rows; r++)
            c[r * c_row + j] = start + sum_lanes(acc[r]);
    }
}

static __attribute__((noinline)) void narrow_matmul(ptrdiff_t n, ptrdiff_t m, ptrdiff_t k, const real *a,
                                                    ptrdiff_t a_row, const real *bt, ptrdiff_t bt_row, const real *init,
                                                    real *c, ptrdiff_t c_row) {
    for (; n >= 4; n -= 4, a += 4 * a_row, c += 4 * c_row)
        dot_rows(4, m, k, a, a_row, bt, bt_row, init, c, c_row);
    for (; n >= 1; n -= 1, a += a_row, c += c_row)
        dot_rows(1, m, k, a, a_row, bt, bt_row, init, c, c_row);
}

/* Columns [0, vecs * VL) of C, the last vector with only `lanes` lanes */
INLINE void panel(ptrdiff_t n, ptrdiff_t vecs, ptrdiff_t lanes, ptrdiff_t k, const real *a, ptrdiff_t a_row,
                  ptrdiff_t a_col, const real *b, ptrdiff_t b_row, const real *init, ptrdiff_t init_row, real *c,
                  ptrdiff_t c_row, real *packed, ahead_t *ahead) {
    const int last = lanes == VL ? WHOLE : HALVES && lanes <= VL / 2 ? RAGGED_HALF : RAGGED;
#define KIND(vecs, last) ((vecs) * 3 + (last))
#define CASE(vecs, last)                                                                                        \
    case KIND(vecs, last):                                                                                      \
        panel_##vecs##_##last(n, lanes, k, a, a_row, a_col, b, b_row, init, init_row, c, c_row, packed, ahead); \
        break;
    switch (KIND(vecs, last)) {
        CASE(1, WHOLE)
        CASE(1, RAGGED)
        CASE(2, WHOLE)
        CASE(2, RAGGED)
#if VECS_MAX == 3
        CASE(3, WHOLE)
        CASE(3, RAGGED)
#endif
#if HALVES
        CASE(1, RAGGED_HALF)
        CASE(2, RAGGED_HALF)
        CASE(3, RAGGED_HALF)
#endif
    }
#undef CASE
#undef KIND
}

/* All panels of a product. Their widths are as equal as possible: a panel of a single vector would be limited by the
 * loads of A, not by multiply-adds. packed: NULL, or memory for one panel of B; the next one is prefetched then, unless
 * something else is read after the product. */
INLINE void all_panels(ptrdiff_t n, ptrdiff_t m, ptrdiff_t k, const real *a, ptrdiff_t a_row, ptrdiff_t a_col,
                       const real *b, ptrdiff_t b_row, const real *init, ptrdiff_t init_row, real *c, ptrdiff_t c_row,
                       real *packed, const ahead_t *after) {
    ptrdiff_t all_vecs = (m + VL - 1) / VL, panels = (all_vecs + VECS_MAX - 1) / VECS_MAX, vecs;
    ahead_t ahead;
    for (ptrdiff_t j = 0; panels > 0; j += vecs * VL, all_vecs -= vecs, panels--) {
        vecs = (all_vecs + panels - 1) / panels;
        const ptrdiff_t lanes = panels > 1 ? VL : m - j - (vecs - 1) * VL;
        if (after) {
            ahead = ahead_from(after, j, after->rows);
        } else if (packed) {
            ahead.n_streams = 1, ahead.stream[0] = b + j + vecs * VL;
            ahead.row = b_row, ahead.rows = panels > 1 ? k : 0;
        }
        panel(n, vecs, lanes, k, a, a_row, a_col, b + j, b_row, init ? init + j : NULL, init_row, c + j, c_row, packed,
              after || packed ? &ahead : NULL);
    }
}

/* The same for matrices that are larger than the caches. k is divided into runs and the rows into chunks, so that a
 * chunk of A stays in the second-level cache while it is multiplied by all panels of a run (Goto and van de Geijn,
 * 2008, Anatomy of high-performance matrix multiplication). C holds the sums between runs: the order of the additions
 * is the same as without runs.
 *
 * The panels of B are packed: the rows of a wide matrix are far apart, each on its own page, and map to few sets of the
 * cache. The first block of rows packs while it multiplies, which takes no time of its own; as a separate pass, packing
 * took 5 to 10 % of a product. With blocks of 8 by 3 vectors, 24 multiply-adds follow 3 loads of B and hide the latency
 * of the second-level cache. So a panel may be larger than the first-level cache: there are fewer runs, and C is read
 * and written less often. */
#if VECS_MAX == 3
#define PACK_BYTES (96 * 1024)
#else
#define PACK_BYTES (24 * 1024)
#endif
#define CHUNK_ROWS 256 /* 512 KB of A beside a panel: of 1 MB of cache */
static __attribute__((noinline)) void packed_product(ptrdiff_t n, ptrdiff_t m, ptrdiff_t k, ptrdiff_t run,
                                                     const real *a, ptrdiff_t a_row, ptrdiff_t a_col, const real *b,
                                                     ptrdiff_t b_row, const real *init, ptrdiff_t init_row, real *c,
                                                     ptrdiff_t c_row, const ahead_t *after) {
    _Static_assert(PACK_BYTES <= THREAD_MEMORY, "a panel does not fit into the memory of a thread");
    real *packed = (real *)fastbp_thread_memory;
    ahead_t of_chunk;
    for (ptrdiff_t r = 0; r < n; r += CHUNK_ROWS) {
        const ptrdiff_t rows = n - r < CHUNK_ROWS ? n - r : CHUNK_ROWS;
        real *to = c + r * c_row, *memory = rows < ROWS_MAX ? NULL : packed;
        if (after)
            of_chunk = ahead_from(after, r * after->row, rows);
        for (ptrdiff_t i = 0; i < k; i += run) {
            const real *from = i ? to : init ? init + r * init_row : NULL;
            const int is_last = i + run >= k;
            all_panels(rows, m, is_last ? k - i : run, a + r * a_row + i * a_col, a_row, a_col, b + i * b_row, b_row,
                       from, i ? c_row : init_row, to, c_row, memory, after && is_last ? &of_chunk : NULL);
        }
    }
}

/* C[n, m] = init + A[n, k] B[k, m]; init: NULL for 0, or rows init_row apart (0 repeats one row); after: NULL, or what
 * is read after the product, at the places of C, with n rows */
#define PACK_ROWS (4 * ROWS_MAX) /* with fewer rows, a packed panel is not read often enough */
#define SMALL_BYTES (24 * 1024)  /* of B: a panel that stays in the first-level cache is not packed */
static void multiply(ptrdiff_t n, ptrdiff_t m, ptrdiff_t k, const real *a, ptrdiff_t a_row, ptrdiff_t a_col,
                     const real *b, ptrdiff_t b_row, const real *init, ptrdiff_t init_row, real *c, ptrdiff_t c_row,
                     const ahead_t *after) {
    const ptrdiff_t widest = m < VECS_MAX * VL ? (m + VL - 1) / VL : VECS_MAX;
    if (n == 1) {
        row_times_matrix(m, k, a, a_col, b, b_row, init, c);
    } else if (n < PACK_ROWS || widest * VBYTES * k <= SMALL_BYTES) {
        all_panels(n, m, k, a, a_row, a_col, b, b_row, init, init_row, c, c_row, NULL, after);
    } else {
        const ptrdiff_t longest = PACK_BYTES / (widest * VBYTES), runs = (k + longest - 1) / longest;
        packed_product(n, m, k, (k + runs - 1) / runs, a, a_row, a_col, b, b_row, init, init_row, c, c_row, after);
    }
}

/* A block of VL by VL numbers, or of fewer at the edges. Interleaving the rows of the first half with those of the
 * second, log2 VL times, transposes it (the perfect shuffle of Stone, 1971). */
INLINE void transpose_block(const real *a, ptrdiff_t a_row, ptrdiff_t rows, ptrdiff_t cols, real *out,
                            ptrdiff_t out_row) {
    enum { N = VBYTES / sizeof(real) };
    vec even[N], odd[N], *from = even, *to = odd;
#pragma GCC unroll 16
    for (int r = 0; r < N; r++)
        even[r] = r >= rows ? (vec){0} : cols == N ? load(a + r * a_row) : load_n(a + r * a_row, cols);
#pragma GCC unroll 4
    for (int pairs = 1; pairs < N; pairs *= 2) {
#pragma GCC unroll 8
        for (int r = 0; r < N / 2; r++) {
            to[2 * r] = lower_pairs(from[r], from[r + N / 2]);
            to[2 * r + 1] = upper_pairs(from[r], from[r + N / 2]);
        }
        vec *swap = from;
        from = to, to = swap;
    }
#pragma GCC unroll 16
    for (int c = 0; c < N; c++)
        if (c < cols) {
            if (rows == N)
                store(out + c * out_row, from[c]);
            else
                store_n(out + c * out_row, from[c], rows);
        }
}

/* out[cols, rows] = a[rows, cols]^T, by squares as wide as a cache line, so that each line is read or written once. Of
 * a few columns, most of a square would be empty: they are copied number by number. */
#define LINE ((ptrdiff_t)(64 / sizeof(real)))
#define FEW_COLUMNS 4
static void transpose(const real *a, ptrdiff_t a_row, ptrdiff_t rows, ptrdiff_t cols, real *out, ptrdiff_t out_row) {
    if (cols <= FEW_COLUMNS) {
        for (ptrdiff_t c = 0; c < cols; c++)
            for (ptrdiff_t r = 0; r < rows; r++)
                out[c * out_row + r] = a[r * a_row + c];
        return;
    }
    for (ptrdiff_t r0 = 0; r0 < rows; r0 += LINE)
        for (ptrdiff_t c0 = 0; c0 < cols; c0 += LINE)
            for (ptrdiff_t r = r0; r < rows && r < r0 + LINE; r += VL)
                for (ptrdiff_t c = c0; c < cols && c < c0 + LINE; c += VL) {
                    const ptrdiff_t n = rows - r < VL ? rows - r : VL, m = cols - c < VL ? cols - c : VL;
                    const real *from = a + r * a_row + c;
                    real *to = out + c * out_row + r;
                    if (n == VL && m == VL) /* constants, for the compiler */
                        transpose_block(from, a_row, VL, VL, to, out_row);
                    else
                        transpose_block(from, a_row, n, m, to, out_row);
                }
}

/* out[j] = sum of column j, rows in order; `add`: out[j] += ... */
static void column_sums(const real *a, ptrdiff_t a_row, ptrdiff_t rows, ptrdiff_t cols, real *out, int add) {
    FOR_VECTORS(cols, {
        vec total = add ? LOAD(out) : (vec){0};
        for (ptrdiff_t r = 0; r < rows; r++)
            total += LOAD(a + r * a_row);
        STORE(out, total);
    });
}

#if FASTBP_BFLOAT16
#include "gemm_bfloat16.h"
#else
#define multiply_bfloat16 multiply /* a name for the branch below, which is not taken */
#endif

/* The product for the callers, in the arithmetic of the table; B and init have contiguous rows. */
INLINE void matmul_ahead(int64_t n, int64_t m, int64_t k, matrix_t a, matrix_t b, matrix_t init, void *c, int64_t c_row,
                         const ahead_t *after) {
    if (FASTBP_BFLOAT16)
        multiply_bfloat16(n, m, k, a.p, a.row, a.col, b.p, b.row, init.p, init.row, c, c_row, after);
    else
        multiply(n, m, k, a.p, a.row, a.col, b.p, b.row, init.p, init.row, c, c_row, after);
}
INLINE void matmul(int64_t n, int64_t m, int64_t k, matrix_t a, matrix_t b, matrix_t init, void *c, int64_t c_row) {
    matmul_ahead(n, m, k, a, b, init, c, c_row, NULL);
}

#endif
