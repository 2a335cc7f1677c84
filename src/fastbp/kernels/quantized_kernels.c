/* The functions of quantized.h for one instruction set.
 *
 * setup.py compiles this file once for each instruction set, with the same flags as kernels.c, but without fused
 * multiply-adds, and
 *     FASTBP_DOUBLE   0
 *     FASTBP_TABLE    the name of the table below, e.g. fastbp_quantized_avx2_float
 *
 * The product is that of gemm.h: a block of rows and vectors of sums stays in registers. A step multiplies a group of
 * GROUP_BYTES bytes of each row by the same group of every column: four elements of 8 bits with the dot product of
 * AVX512-VNNI, else two elements of 16 bits. (The older product of elements of 8 bits, vpmaddubsw, saturates.)
 */
#include "quantized.h"
#include "simd.h"

typedef int32_t group_t __attribute__((may_alias, aligned(1)));

/* A block of sums in registers: more rows than columns, so that weights are loaded seldom */
#define VECS_MAX 2
#if defined(__AVX512VNNI__)
#define INSTRUCTION "vpdpbusd (AVX512-VNNI)"
#define ROWS_MAX 12
typedef uint8_t element;
typedef int8_t weight;
INLINE ivec dot(ivec sum, ivec a, ivec b) { return (ivec)_mm512_dpbusd_epi32((__m512i)sum, (__m512i)a, (__m512i)b); }
#else
#if defined(__aarch64__) /* 32 registers */
#define ROWS_MAX 8
#else
#define ROWS_MAX 6
#endif
typedef int16_t element;
typedef int16_t weight;
#if defined(__AVX2__)
#define INSTRUCTION "vpmaddwd (AVX2)"
INLINE ivec dot(ivec sum, ivec a, ivec b) { return sum + (ivec)_mm256_madd_epi16((__m256i)a, (__m256i)b); }
#elif defined(__SSE2__)
#define INSTRUCTION "pmaddwd (SSE2)"
INLINE ivec dot(ivec sum, ivec a, ivec b) { return sum + (ivec)_mm_madd_epi16((__m128i)a, (__m128i)b); }
#elif defined(__aarch64__)
#include <arm_neon.h>
#define INSTRUCTION "smlal (NEON)"
#define PLANAR 1
INLINE ivec dot(ivec sum, ivec a, ivec b) {
    const int16x8_t weights = (int16x8_t)b;
    const int16x4_t pair = vget_low_s16((int16x8_t)a);
    const int32x4_t first = vmlal_lane_s16((int32x4_t)sum, vget_low_s16(weights), pair, 0);
    return (ivec)vmlal_lane_s16(first, vget_high_s16(weights), pair, 1);
}
#else
#define INSTRUCTION "32-bit products"
INLINE ivec low_half(ivec x) { return (ivec)((uvec)x << 16) >> 16; }
INLINE ivec dot(ivec sum, ivec a, ivec b) { return sum + low_half(a) * low_half(b) + (a >> 16) * (b >> 16); }
#endif
#endif

#define GROUP ((ptrdiff_t)(GROUP_BYTES / sizeof(element)))

/* Weight number t of a vector is of this column and this element of the group. The elements of a column are adjacent,
 * or, PLANAR, the first elements of all columns come before the second ones. */
#ifdef PLANAR
#define COLUMN_OF(t) ((t) % VL)
#define ELEMENT_OF(t) ((t) / VL)
#else
#define COLUMN_OF(t) ((t) / GROUP)
#define ELEMENT_OF(t) ((t) % GROUP)
#endif

/* Elements of a row whose products can be added in 32 bits: 255 * 127 * 2^16 < 2^31 */
#define RUN ((ptrdiff_t)1 << 16)

INLINE ivec splat_group(int32_t x) { return x - (ivec){0}; }

/* Columns in panels of up to VECS_MAX vectors, whose widths are as equal as possible: body for each panel, with its
 * first vector and its number of vectors */
#define FOR_PANELS(cols, ...)                                                                        \
    do {                                                                                             \
        ptrdiff_t left_ = ((cols) + VL - 1) / VL, panels_ = (left_ + VECS_MAX - 1) / VECS_MAX, vecs; \
        for (ptrdiff_t first = 0; panels_ > 0; first += vecs, left_ -= vecs, panels_--) {            \
            vecs = (left_ + panels_ - 1) / panels_;                                                  \
            __VA_ARGS__                                                                              \
        }                                                                                            \
    } while (0)

/* For each panel, the groups of rows one after the other; of a group, for each vector of columns its weights. What is
 * missing at the edges is 0. */
static void pack(const int8_t *q, int64_t rows, int64_t cols, void *packed) {
    weight *to = packed;
    FOR_PANELS(cols, {
        for (ptrdiff_t i = 0; i < rows; i += GROUP)
            for (ptrdiff_t column = first * VL; column < (first + vecs) * VL; column += VL)
                for (ptrdiff_t t = 0; t < VL * GROUP; t++) {
                    const ptrdiff_t k = i + ELEMENT_OF(t), j = column + COLUMN_OF(t);
                    *to++ = k < rows && j < cols ? q[k * cols + j] : 0;
                }
    });
}

/* One row as m + s u. For a row that is not finite, s is NaN. */
static void quantize_row(const float *x, ptrdiff_t n, element *u, float *s, float *m) {
    typedef element elements __attribute__((vector_size(VBYTES / 4 * sizeof(element))));
    typedef element unaligned __attribute__((vector_size(VBYTES / 4 * sizeof(element)), aligned(1), may_alias));
    vec least = splat(x[0]), most = least, zero = {0};
    FOR_VECTORS(n, {
        const vec v = lanes == VL ? load(x + i) : choose(first_n(lanes), load_n(x + i, lanes), least);
        least = vmin(least, v), most = vmax(most, v);
        zero += v - v; /* NaN for infinity and NaN */
    });
    const float low = -max_lanes(-least), high = max_lanes(most);
    /* halves: the difference of the largest numbers would overflow */
    const float range = 0.5f * high - 0.5f * low, half = 0.5f * low;
    const int is_finite = sum_lanes(zero) == 0;
    /* so small a range has no inverse in floats: the row is constant */
    const int is_wide = is_finite && range > 0x1p-118f;
    *m = low;
    *s = !is_finite ? NAN : is_wide ? range * (2.0f / 255.0f) : 0;
    if (!is_wide) {
        memset(u, 0, (size_t)quantized_columns(n) * sizeof(element));
        return;
    }
    const vec factor = splat(255.0f / range), offset = splat(half);
    FOR_VECTORS(n, {
        const vec number = (LOAD(x) * 0.5f - offset) * factor + 0.5f;
        *(unaligned *)(u + i) = __builtin_convertvector(__builtin_convertvector(number, ivec), elements);
    });
}

/* A block of rows and vectors of the product; rows and vecs are constants at every call. `begins`: with the terms that
 * are no products of integers; else it is added to z. */
INLINE void block(const int rows, const int vecs, const quantized_layer_t *layer, ptrdiff_t column, ptrdiff_t groups,
                  const char *restrict u, ptrdiff_t u_row, const char *restrict weights, const float *s, const float *m,
                  int begins, float *z) {
    ivec sum[ROWS_MAX][VECS_MAX];
#pragma GCC unroll 12
    for (int r = 0; r < rows; r++)
#pragma GCC unroll 4
        for (int v = 0; v < vecs; v++)
            sum[r][v] = (ivec){0};
    for (ptrdiff_t g = 0; g < groups; g++, u += GROUP_BYTES, weights += vecs * VBYTES) {
        ivec w[VECS_MAX];
#pragma GCC unroll 4
        for (int v = 0; v < vecs; v++)
            w[v] = (ivec)load((const float *)(const void *)(weights + v * VBYTES));
#pragma GCC unroll 12
        for (int r = 0; r < rows; r++) {
            const ivec a = splat_group(*(const group_t *)(const void *)(u + r * u_row));
#pragma GCC unroll 4
            for (int v = 0; v < vecs; v++)
                sum[r][v] = dot(sum[r][v], a, w[v]);
        }
    }
    const ptrdiff_t cols = (ptrdiff_t)layer->cols;
#pragma GCC unroll 4
    for (int v = 0; v < vecs; v++) {
        const ptrdiff_t j = column + v * VL, lanes = cols - j < VL ? cols - j : VL;
        const vec scale = load(layer->scale + j), sums = load(layer->sums + j), bias = load(layer->bias + j);
#pragma GCC unroll 12
        for (int r = 0; r < rows; r++) {
            float *to = z + r * cols + j;
            const vec product = __builtin_convertvector(sum[r][v], vec) * scale * s[r];
            const vec rest = begins ? m[r] * sums + bias : lanes == VL ? load(to) : load_n(to, lanes);
            if (lanes == VL)
                store(to, product + rest);
            else
                store_n(to, product + rest, lanes);
        }
    }
}

#define PANELS(X) X(1) X(2)
#define PANEL(vecs)                                                                                     \
    static __attribute__((noinline)) void panel_##vecs(                                                 \
        const quantized_layer_t *layer, ptrdiff_t column, ptrdiff_t groups, ptrdiff_t n, const char *u, \
        ptrdiff_t u_row, const char *weights, const float *s, const float *m, int begins, float *z) {   \
        while (n >= ROWS_MAX) {                                                                         \
            BLOCK_OF(ROWS_MAX, vecs);                                                                   \
        }                                                                                               \
        while (n >= 4) {                                                                                \
            BLOCK_OF(4, vecs);                                                                          \
        }                                                                                               \
        if (n >= 2) {                                                                                   \
            BLOCK_OF(2, vecs);                                                                          \
        }                                                                                               \
        if (n >= 1) {                                                                                   \
            BLOCK_OF(1, vecs);                                                                          \
        }                                                                                               \
    }
#define BLOCK_OF(rows, vecs)                                                      \
    block(rows, vecs, layer, column, groups, u, u_row, weights, s, m, begins, z); \
    u += (rows) * u_row, s += (rows), m += (rows), z += (rows) * (ptrdiff_t)layer->cols, n -= (rows)
PANELS(PANEL)
#undef PANEL
#undef BLOCK_OF

INLINE void panel(ptrdiff_t vecs, const quantized_layer_t *layer, ptrdiff_t column, ptrdiff_t groups, ptrdiff_t n,
                  const char *u, ptrdiff_t u_row, const char *weights, const float *s, const float *m, int begins,
                  float *z) {
    switch (vecs) {
#define CASE(vecs) \
    case vecs: panel_##vecs(layer, column, groups, n, u, u_row, weights, s, m, begins, z); break;
        PANELS(CASE)
#undef CASE
    }
}

static void multiply(const quantized_layer_t *layer, const float *x, int64_t n, void *scratch, float *z) {
    const ptrdiff_t k = (ptrdiff_t)layer->rows, u_row = (ptrdiff_t)quantized_stride(layer->kernels, k);
    float *s = scratch, *m = s + n;
    char *u = (char *)(m + n);
    for (ptrdiff_t r = 0; r < n; r++)
        quantize_row(x + r * k, k, (element *)(void *)(u + r * u_row), s + r, m + r);
    const char *weights = layer->weights;
    FOR_PANELS(layer->cols, {
        for (ptrdiff_t i = 0; i < k; i += RUN) {
            const ptrdiff_t groups = ((k - i < RUN ? k - i : RUN) + GROUP - 1) / GROUP;
            panel(vecs, layer, first * VL, groups, n, u + i * (ptrdiff_t)sizeof(element), u_row, weights, s, m, i == 0,
                  z);
            weights += groups * vecs * VBYTES;
        }
    });
}

extern const quantized_kernels_t FASTBP_TABLE;
const quantized_kernels_t FASTBP_TABLE = {
    .instruction = INSTRUCTION,
    .element_bytes = sizeof(element),
    .pack = pack,
    .multiply = multiply,
};
