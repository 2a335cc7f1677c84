/* The matrix product C = init + A B with bfloat16 products and float32 sums (vdpbf16ps of AVX512_BF16).
 *
 * bfloat16 is the upper half of a float32: 8 bits of precision, the same range. A and B are rounded to it, to nearest
 * even, while they are packed. The instruction takes pairs of k: each lane of the sums adds a[1] b[1] and then
 * a[0] b[0] of its pair. A product of two bfloat16 numbers is exact in float32; numbers below the normal range count
 * as 0 (Intel, Software Developer's Manual, volume 2, VDPBF16PS).
 *
 * Pairs begin at even k of the whole product, and each element of C is init plus the pairs in the order of k, in every
 * block and at the edges. The result therefore does not depend on how rows and columns are divided among threads. To
 * that end every product goes through the same packed blocks, be it of one row.
 *
 * Both matrices are packed in strips of VL columns of B, or VL rows of A:
 *
 *     strip[pair][VL]     words of 32 bits; the last pair of an odd k has a 0
 *
 * k is divided into runs and the rows into chunks. A chunk of A is packed once and stays in the second-level cache. It
 * is multiplied by one panel of up to VECS_MAX strips of B after the other, each of which stays in the first-level
 * cache (Goto and van de Geijn, 2008, Anatomy of high-performance matrix multiplication). C holds the sums between
 * runs.
 */
#ifndef FASTBP_GEMM_BFLOAT16_H
#define FASTBP_GEMM_BFLOAT16_H

#include "simd.h"

typedef uint32_t bfloat16_pair_t; /* two bfloat16 numbers; the lower half is that of the smaller k */

#define RUN_PAIRS 128   /* of a panel: 24 KB of the first-level cache, with VECS_MAX strips */
#define CHUNK_STRIPS 16 /* of a chunk: 128 KB of the second-level cache */
#define STRIP_PAIRS (RUN_PAIRS * 16)

/* The pairs (lower[i], upper[i]) */
INLINE __m512i pairs_of(vec lower, vec upper) {
    const __m512i interleave = _mm512_set_epi16(31, 15, 30, 14, 29, 13, 28, 12, 27, 11, 26, 10, 25, 9, 24, 8, 23, 7, 22,
                                                6, 21, 5, 20, 4, 19, 3, 18, 2, 17, 1, 16, 0);
    return _mm512_permutexvar_epi16(interleave, (__m512i)_mm512_cvtne2ps_pbh((__m512)upper, (__m512)lower));
}

/* Pack strips of a matrix whose lanes are contiguous: the columns of B, or the rows of A = X^T. Its k are k_row apart;
 * the last strip has only `lanes` lanes. */
INLINE void pack_across(ptrdiff_t strips, ptrdiff_t lanes, ptrdiff_t k, const real *from, ptrdiff_t k_row,
                        bfloat16_pair_t *to) {
    const ptrdiff_t pairs = (k + 1) / 2;
    for (ptrdiff_t p = 0; p < pairs; p++, from += 2 * k_row, to += VL)
        for (ptrdiff_t s = 0; s < strips; s++) {
            const real *x = from + s * VL, *next = x + k_row;
            const int whole = s < strips - 1 || lanes == VL;
            const vec lower = whole ? load(x) : load_n(x, lanes);
            vec upper = {0};
            if (2 * p + 1 < k)
                upper = whole ? load(next) : load_n(next, lanes);
            _mm512_storeu_si512(to + s * pairs * VL, pairs_of(lower, upper));
        }
}

/* Pack one strip of a matrix whose k are contiguous: `rows` rows of A. Squares of VL rows by VL pairs are transposed.
 */
INLINE void pack_along(ptrdiff_t rows, ptrdiff_t k, const real *from, ptrdiff_t row, bfloat16_pair_t *to) {
    real square[16 * 16]; /* of pairs */
    for (ptrdiff_t i = 0; i < k; i += 2 * VL, from += 2 * VL, to += VL * VL) {
        const ptrdiff_t n = k - i < 2 * VL ? k - i : 2 * VL, n_lower = n < VL ? n : VL;
        for (ptrdiff_t r = 0; r < rows; r++) {
            const real *x = from + r * row;
            const vec lower = n_lower == VL ? load(x) : load_n(x, n_lower),
                      upper = n == 2 * VL ? load(x + VL) : load_n(x + VL, n - n_lower);
            _mm512_storeu_si512(square + r * VL, (__m512i)_mm512_cvtne2ps_pbh((__m512)upper, (__m512)lower));
        }
        transpose_block(square, VL, rows, (n + 1) / 2, (real *)to, VL);
    }
}

/* One block of C: `rows` rows from a on, and `vecs` strips of B. Both are compile-time constants at every call, so that
 * the loops over them unroll and acc stays in registers. The last vector has only `lanes` lanes. */
INLINE void block_bfloat16(const int rows, const int vecs, ptrdiff_t lanes, ptrdiff_t pairs,
                           const bfloat16_pair_t *restrict a, const bfloat16_pair_t *restrict b, const real *init,
                           ptrdiff_t init_row, real *c, ptrdiff_t c_row) {
    __m512 acc[ROWS_MAX][VECS_MAX];
#pragma GCC unroll 8
    for (int r = 0; r < rows; r++)
#pragma GCC unroll 3
        for (int v = 0; v < vecs; v++) {
            const real *from = init + r * init_row + v * VL;
            acc[r][v] = (__m512)(!init ? (vec){0} : v == vecs - 1 ? load_n(from, lanes) : load(from));
        }
    for (ptrdiff_t p = 0; p < pairs; p++, a += VL, b += VL) {
        __m512bh bv[VECS_MAX];
#pragma GCC unroll 3
        for (int v = 0; v < vecs; v++)
            bv[v] = (__m512bh)_mm512_loadu_si512(b + v * pairs * VL);
#pragma GCC unroll 8
        for (int r = 0; r < rows; r++) {
            const __m512bh ar = (__m512bh)_mm512_set1_epi32((int)a[r]);
#pragma GCC unroll 3
            for (int v = 0; v < vecs; v++)
                acc[r][v] = _mm512_dpbf16_ps(acc[r][v], ar, bv[v]);
        }
    }
#pragma GCC unroll 8
    for (int r = 0; r < rows; r++)
#pragma GCC unroll 3
        for (int v = 0; v < vecs; v++) {
            real *to = c + r * c_row + v * VL;
            if (v == vecs - 1)
                store_n(to, (vec)acc[r][v], lanes);
            else
                store(to, (vec)acc[r][v]);
        }
}

/* A chunk of n rows, by a panel of `vecs` strips; ahead: what is prefetched meanwhile */
#define PANEL(vecs)                                                                                               \
    static __attribute__((noinline)) void panel_bfloat16_##vecs(                                                  \
        ptrdiff_t n, ptrdiff_t lanes, ptrdiff_t pairs, const bfloat16_pair_t *a, const bfloat16_pair_t *b,        \
        const real *init, ptrdiff_t init_row, real *c, ptrdiff_t c_row, ahead_t *ahead) {                         \
        for (ptrdiff_t r = 0, rows; r < n; r += rows) {                                                           \
            const bfloat16_pair_t *at = a + (r - r % VL) * pairs + r % VL;                                        \
            const real *from = init ? init + r * init_row : NULL;                                                 \
            real *to = c + r * c_row;                                                                             \
            rows = n - r >= ROWS_MAX ? ROWS_MAX : n - r >= 4 ? 4 : n - r >= 2 ? 2 : 1;                            \
            prefetch_share(vecs, ahead, (n - r + ROWS_MAX - 1) / ROWS_MAX);                                       \
            switch (rows) {                                                                                       \
            case ROWS_MAX: block_bfloat16(ROWS_MAX, vecs, lanes, pairs, at, b, from, init_row, to, c_row); break; \
            case 4: block_bfloat16(4, vecs, lanes, pairs, at, b, from, init_row, to, c_row); break;               \
            case 2: block_bfloat16(2, vecs, lanes, pairs, at, b, from, init_row, to, c_row); break;               \
            default: block_bfloat16(1, vecs, lanes, pairs, at, b, from, init_row, to, c_row);                     \
            }                                                                                                     \
        }                                                                                                         \
    }
PANEL(1)
PANEL(2)
PANEL(3)
#undef PANEL

/* C = init + a run of k of A B, for a packed chunk of n rows of A. The widths of the panels are as equal as possible.
 * after: NULL, or what is read after the run, which is prefetched then in place of the next panel. */
INLINE void run_bfloat16(ptrdiff_t n, ptrdiff_t m, ptrdiff_t k, const bfloat16_pair_t *chunk, const real *b,
                         ptrdiff_t b_row, const real *init, ptrdiff_t init_row, real *c, ptrdiff_t c_row,
                         const ahead_t *after) {
    bfloat16_pair_t *panel = (bfloat16_pair_t *)fastbp_thread_memory + CHUNK_STRIPS * STRIP_PAIRS;
    ptrdiff_t all_vecs = (m + VL - 1) / VL, panels = (all_vecs + VECS_MAX - 1) / VECS_MAX, vecs;
    for (ptrdiff_t j = 0; panels > 0; j += vecs * VL, all_vecs -= vecs, panels--) {
        vecs = (all_vecs + panels - 1) / panels;
        const ptrdiff_t lanes = panels > 1 ? VL : m - j - (vecs - 1) * VL, pairs = (k + 1) / 2;
        const real *from = init ? init + j : NULL;
        ahead_t ahead = {1, {b + j + vecs * VL}, b_row, panels > 1 ? k : 0};
        if (after)
            ahead = ahead_from(after, j, after->rows);
        pack_across(vecs, lanes, k, b + j, b_row, panel);
        switch (vecs) {
        case 1: panel_bfloat16_1(n, lanes, pairs, chunk, panel, from, init_row, c + j, c_row, &ahead); break;
        case 2: panel_bfloat16_2(n, lanes, pairs, chunk, panel, from, init_row, c + j, c_row, &ahead); break;
        default: panel_bfloat16_3(n, lanes, pairs, chunk, panel, from, init_row, c + j, c_row, &ahead);
        }
    }
}

/* C[n, m] = init + A[n, k] B[k, m], as `multiply` of gemm.h. The runs of k are as equal as possible, and even. */
static void multiply_bfloat16(ptrdiff_t n, ptrdiff_t m, ptrdiff_t k, const real *a, ptrdiff_t a_row, ptrdiff_t a_col,
                              const real *b, ptrdiff_t b_row, const real *init, ptrdiff_t init_row, real *c,
                              ptrdiff_t c_row, const ahead_t *after) {
    _Static_assert((CHUNK_STRIPS + VECS_MAX) * STRIP_PAIRS * sizeof(bfloat16_pair_t) <= THREAD_MEMORY,
                   "a chunk and a panel do not fit into the memory of a thread");
    bfloat16_pair_t *chunk = (bfloat16_pair_t *)fastbp_thread_memory;
    const ptrdiff_t pairs = (k + 1) / 2, runs = k ? (pairs + RUN_PAIRS - 1) / RUN_PAIRS : 1,
                    run = 2 * ((pairs + runs - 1) / runs);
    for (ptrdiff_t r = 0; r < n; r += CHUNK_STRIPS * VL) {
        const ptrdiff_t rows = n - r < CHUNK_STRIPS * VL ? n - r : CHUNK_STRIPS * VL, strips = (rows + VL - 1) / VL;
        const real *from = init ? init + r * init_row : NULL;
        real *to = c + r * c_row;
        ahead_t of_chunk;
        if (after)
            of_chunk = ahead_from(after, r * after->row, rows);
        ptrdiff_t i = 0;
        do {
            const ptrdiff_t depth = k - i < run ? k - i : run, strip = (depth + 1) / 2 * VL;
            const real *x = a + r * a_row + i * a_col;
            if (a_col != 1)
                pack_across(strips, rows - (strips - 1) * VL, depth, x, a_col, chunk);
            else
                for (ptrdiff_t s = 0; s < strips; s++)
                    pack_along(s < strips - 1 ? VL : rows - s * VL, depth, x + s * VL * a_row, a_row,
                               chunk + s * strip);
            run_bfloat16(rows, m, depth, chunk, b + i * b_row, b_row, i ? to : from, i ? c_row : init_row, to, c_row,
                         after && i + run >= k ? &of_chunk : NULL);
            i += run;
        } while (i < k);
    }
}

#endif
