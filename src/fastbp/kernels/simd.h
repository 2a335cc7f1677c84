/* One vector type, `vec`, of the widest registers that the translation unit may use.
 *
 * A translation unit is compiled for one instruction set and one real type (see kernels.c), so names need no suffix.
 * The code uses the vector extensions of GCC and Clang. Intrinsics are used only for operations that the extensions do
 * not have (masked access, blend, min/max, square root), and each has a portable version, from which compilers generate
 * NEON for 64-bit Arm.
 *
 * The last elements of an array, which do not fill a vector, are processed by load_n, store_n and the same vector
 * arithmetic. The value of an element therefore does not depend on its position in the array or on how the work was
 * divided among threads.
 */
#ifndef FASTBP_SIMD_H
#define FASTBP_SIMD_H

#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#if defined(__SSE2__) || defined(__AVX2__) || defined(__AVX512F__)
#include <immintrin.h>
#endif

#if defined(__AVX512F__)
#define VBYTES 64
#elif defined(__AVX2__)
#define VBYTES 32
#else
#define VBYTES 16
#endif

#ifndef FASTBP_BFLOAT16
#define FASTBP_BFLOAT16 0
#endif

#if FASTBP_DOUBLE
typedef double real;
typedef int64_t lane_int;
typedef uint64_t lane_uint;
#else
typedef float real;
typedef int32_t lane_int;
typedef uint32_t lane_uint;
#endif

#define VL ((ptrdiff_t)(VBYTES / sizeof(real))) /* lanes of a vector */
#define MANTISSA_BITS (FASTBP_DOUBLE ? 52 : 23)
#define INLINE static inline __attribute__((always_inline))

typedef real vec __attribute__((vector_size(VBYTES)));
typedef real vec_unaligned __attribute__((vector_size(VBYTES), aligned(sizeof(real)), may_alias));
typedef lane_int ivec __attribute__((vector_size(VBYTES)));
typedef lane_uint uvec __attribute__((vector_size(VBYTES)));

INLINE vec splat(real x) { return x - (vec){0}; } /* x - 0 keeps the sign of zero; x + 0 would not */
INLINE vec load(const real *p) { return *(const vec_unaligned *)p; }
INLINE void store(real *p, vec v) { *(vec_unaligned *)p = v; }

/* Comparison, choice, extrema and square root. `mask` is the type of the result of a comparison.
 * vmin and vmax return their second argument when an argument is NaN. */
#if defined(__AVX512F__) && FASTBP_DOUBLE
typedef __mmask8 mask;
INLINE mask first_n(ptrdiff_t n) { return (mask)((1u << n) - 1u); }
INLINE vec load_n(const real *p, ptrdiff_t n) { return (vec)_mm512_maskz_loadu_pd(first_n(n), p); }
INLINE void store_n(real *p, vec v, ptrdiff_t n) { _mm512_mask_storeu_pd(p, first_n(n), (__m512d)v); }
INLINE mask less(vec a, vec b) { return _mm512_cmp_pd_mask((__m512d)a, (__m512d)b, _CMP_LT_OQ); }
INLINE vec choose(mask m, vec a, vec b) { return (vec)_mm512_mask_blend_pd(m, (__m512d)b, (__m512d)a); }
INLINE vec vmin(vec a, vec b) { return (vec)_mm512_min_pd((__m512d)a, (__m512d)b); }
INLINE vec vmax(vec a, vec b) { return (vec)_mm512_max_pd((__m512d)a, (__m512d)b); }
INLINE vec vsqrt(vec a) { return (vec)_mm512_sqrt_pd((__m512d)a); }
#elif defined(__AVX512F__)
typedef __mmask16 mask;
INLINE mask first_n(ptrdiff_t n) { return (mask)((1u << n) - 1u); }
INLINE vec load_n(const real *p, ptrdiff_t n) { return (vec)_mm512_maskz_loadu_ps(first_n(n), p); }
INLINE void store_n(real *p, vec v, ptrdiff_t n) { _mm512_mask_storeu_ps(p, first_n(n), (__m512)v); }
INLINE mask less(vec a, vec b) { return _mm512_cmp_ps_mask((__m512)a, (__m512)b, _CMP_LT_OQ); }
INLINE vec choose(mask m, vec a, vec b) { return (vec)_mm512_mask_blend_ps(m, (__m512)b, (__m512)a); }
INLINE vec vmin(vec a, vec b) { return (vec)_mm512_min_ps((__m512)a, (__m512)b); }
INLINE vec vmax(vec a, vec b) { return (vec)_mm512_max_ps((__m512)a, (__m512)b); }
INLINE vec vsqrt(vec a) { return (vec)_mm512_sqrt_ps((__m512)a); }
#else
typedef ivec mask;
INLINE mask less(vec a, vec b) { return (mask)(a < b); }
INLINE vec choose(mask m, vec a, vec b) { return (vec)(((ivec)a & m) | ((ivec)b & ~m)); }
#if defined(__AVX2__) && FASTBP_DOUBLE
INLINE ivec first_n(ptrdiff_t n) { return (splat((real)n) > (vec){0, 1, 2, 3}); }
INLINE vec load_n(const real *p, ptrdiff_t n) { return (vec)_mm256_maskload_pd(p, (__m256i)first_n(n)); }
INLINE void store_n(real *p, vec v, ptrdiff_t n) { _mm256_maskstore_pd(p, (__m256i)first_n(n), (__m256d)v); }
INLINE vec vmin(vec a, vec b) { return (vec)_mm256_min_pd((__m256d)a, (__m256d)b); }
INLINE vec vmax(vec a, vec b) { return (vec)_mm256_max_pd((__m256d)a, (__m256d)b); }
INLINE vec vsqrt(vec a) { return (vec)_mm256_sqrt_pd((__m256d)a); }
#elif defined(__AVX2__)
INLINE ivec first_n(ptrdiff_t n) { return (splat((real)n) > (vec){0, 1, 2, 3, 4, 5, 6, 7}); }
INLINE vec load_n(const real *p, ptrdiff_t n) { return (vec)_mm256_maskload_ps(p, (__m256i)first_n(n)); }
INLINE void store_n(real *p, vec v, ptrdiff_t n) { _mm256_maskstore_ps(p, (__m256i)first_n(n), (__m256)v); }
INLINE vec vmin(vec a, vec b) { return (vec)_mm256_min_ps((__m256)a, (__m256)b); }
INLINE vec vmax(vec a, vec b) { return (vec)_mm256_max_ps((__m256)a, (__m256)b); }
INLINE vec vsqrt(vec a) { return (vec)_mm256_sqrt_ps((__m256)a); }
#else /* 128-bit registers: SSE2, NEON, or what the compiler generates for the vector extensions */
INLINE ivec first_n(ptrdiff_t n) {
    ivec m;
    for (ptrdiff_t i = 0; i < VL; i++)
        m[i] = i < n ? -1 : 0;
    return m;
}
INLINE vec load_n(const real *p, ptrdiff_t n) {
    vec v = {0};
    for (ptrdiff_t i = 0; i < n; i++)
        v[i] = p[i];
    return v;
}
INLINE void store_n(real *p, vec v, ptrdiff_t n) {
    for (ptrdiff_t i = 0; i < n; i++)
        p[i] = v[i];
}
INLINE vec vmin(vec a, vec b) { return choose(less(a, b), a, b); }
INLINE vec vmax(vec a, vec b) { return choose(less(b, a), a, b); }
INLINE vec vsqrt(vec a) {
    for (ptrdiff_t i = 0; i < VL; i++)
        a[i] = (real)(FASTBP_DOUBLE ? sqrt((double)a[i]) : sqrtf((float)a[i]));
    return a;
}
#endif
#endif

/* a / b for b > 0, within 1 ulp. Updates compute it beside a square root, and processors have one slow unit for both.
 * For 512 bits of double, multiply-adds are faster: an estimate of 1 / b, exact to 14 bits, two Newton steps, and the
 * correction of the quotient by its exact remainder (Markstein, 1990, Computation of elementary functions on the IBM
 * RISC System/6000 processor). It is rounded as a / b is, unless a / b is within 2^-52 ulp of the middle between two
 * numbers (a power of two by a mantissa of ones), or |a| is less than 2^-960, where the remainder underflows. A finite
 * b above 2^1000 counts as 2^1000; b = 0 gives NaN. */
#if defined(__AVX512F__) && FASTBP_DOUBLE
INLINE vec quotient(vec a, vec b) {
    const __m512d one = _mm512_set1_pd(1), x = (__m512d)a, d = (__m512d)vmin(splat(0x1p1000), b); /* NaN stays */
    __m512d y = _mm512_rcp14_pd(d);
    y = _mm512_fmadd_pd(_mm512_fnmadd_pd(d, y, one), y, y);
    y = _mm512_fmadd_pd(_mm512_fnmadd_pd(d, y, one), y, y);
    const __m512d q = _mm512_mul_pd(x, y);
    const __m512d result = _mm512_fmadd_pd(_mm512_fnmadd_pd(d, q, x), y, q);
    const __mmask8 is_infinite = _mm512_cmp_pd_mask((__m512d)b, _mm512_set1_pd(INFINITY), _CMP_EQ_OQ);
    return (vec)_mm512_mask_mul_pd(result, is_infinite, x, _mm512_setzero_pd());
}
#else
INLINE vec quotient(vec a, vec b) { return a / b; }
#endif

/* The lower half of a vector of 512 bits. Arithmetic with it takes half the time on Zen 4, which works on 512 bits in
 * two halves. Without such vectors, HALVES is 0, and what uses halves is compiled but never called. */
#if defined(__AVX512F__)
#define HALVES 1
typedef real half_vec __attribute__((vector_size(VBYTES / 2)));
#if FASTBP_DOUBLE
INLINE half_vec lower_half(vec v) { return (half_vec)_mm512_castpd512_pd256((__m512d)v); }
INLINE vec widened(half_vec v) { return (vec)_mm512_castpd256_pd512((__m256d)v); } /* the upper half is undefined */
#else
INLINE half_vec lower_half(vec v) { return (half_vec)_mm512_castps512_ps256((__m512)v); }
INLINE vec widened(half_vec v) { return (vec)_mm512_castps256_ps512((__m256)v); }
#endif
#else
#define HALVES 0
typedef vec half_vec;
INLINE half_vec lower_half(vec v) { return v; }
INLINE vec widened(half_vec v) { return v; }
#endif

INLINE mask greater(vec a, vec b) { return less(b, a); }
INLINE vec vabs(vec x) { return (vec)((uvec)x & (((uvec){0} - 1u) >> 1)); }
INLINE vec copy_sign(vec magnitude, vec sign) {
    return (vec)((uvec)magnitude | ((uvec)sign & ~(((uvec){0} - 1u) >> 1)));
}

/* x, of which the compiler does not know how it was computed: a product in it is not fused with a sum that follows. */
INLINE vec settled(vec x) {
#if defined(__aarch64__)
    __asm__("" : "+w"(x));
#elif defined(__AVX512F__)
    __asm__("" : "+v"(x));
#elif defined(__SSE2__)
    __asm__("" : "+x"(x));
#endif
    return x;
}

/* The same where GCC would decide differently for whole vectors and for the last elements: in a * b + c * d either
 * product may be fused with the sum, or none. For x86 it does not. */
#if defined(__aarch64__)
INLINE vec rounded(vec x) { return settled(x); }
#else
INLINE vec rounded(vec x) { return x; }
#endif

/* -1, 0 or 1; NaN of NaN */
INLINE vec vsign(vec x) {
    const vec zero = {0};
    return choose(less(zero, x), splat(1), choose(less(x, zero), splat(-1), x));
}

/* a > b ? a : b, without a branch */
#if (defined(__x86_64__) || defined(_M_X64)) && FASTBP_DOUBLE
INLINE real larger(real a, real b) { return _mm_cvtsd_f64(_mm_max_sd(_mm_set_sd(a), _mm_set_sd(b))); }
#elif defined(__x86_64__) || defined(_M_X64)
INLINE real larger(real a, real b) { return _mm_cvtss_f32(_mm_max_ss(_mm_set_ss(a), _mm_set_ss(b))); }
#else
INLINE real larger(real a, real b) { return a > b ? a : b; }
#endif

/* The lanes are added in halves: the order depends on the width of a vector only. */
#if defined(__AVX512F__) && FASTBP_DOUBLE
INLINE real sum_lanes(vec v) { return _mm512_reduce_add_pd((__m512d)v); }
#elif defined(__AVX512F__)
INLINE real sum_lanes(vec v) { return _mm512_reduce_add_ps((__m512)v); }
#elif defined(__AVX2__) && FASTBP_DOUBLE
INLINE real sum_lanes(vec v) {
    __m128d h = _mm_add_pd(_mm256_castpd256_pd128((__m256d)v), _mm256_extractf128_pd((__m256d)v, 1));
    return _mm_cvtsd_f64(_mm_add_sd(h, _mm_unpackhi_pd(h, h)));
}
#elif defined(__AVX2__)
INLINE real sum_lanes(vec v) {
    __m128 h = _mm_add_ps(_mm256_castps256_ps128((__m256)v), _mm256_extractf128_ps((__m256)v, 1));
    h = _mm_add_ps(h, _mm_movehl_ps(h, h));
    return _mm_cvtss_f32(_mm_add_ss(h, _mm_shuffle_ps(h, h, 1)));
}
#else
INLINE real sum_lanes(vec v) {
    real t[VBYTES / sizeof(real)];
    store(t, v);
    for (ptrdiff_t half = VL / 2; half > 0; half /= 2)
        for (ptrdiff_t i = 0; i < half; i++)
            t[i] += t[i + half];
    return t[0];
}
#endif

#if defined(__AVX512F__) && FASTBP_DOUBLE
INLINE real max_lanes(vec v) { return _mm512_reduce_max_pd((__m512d)v); }
#elif defined(__AVX512F__)
INLINE real max_lanes(vec v) { return _mm512_reduce_max_ps((__m512)v); }
#else
INLINE real max_lanes(vec v) {
    real t[VBYTES / sizeof(real)];
    store(t, v);
    for (ptrdiff_t half = VL / 2; half > 0; half /= 2)
        for (ptrdiff_t i = 0; i < half; i++)
            t[i] = t[i] > t[i + half] ? t[i] : t[i + half];
    return t[0];
}
#endif

/* a0 b0 a1 b1 ... of the first halves of a and b, and of the second ones */
#if VBYTES / (4 + 4 * FASTBP_DOUBLE) == 2
#define LOWER_PAIRS 0, 2
#define UPPER_PAIRS 1, 3
#elif VBYTES / (4 + 4 * FASTBP_DOUBLE) == 4
#define LOWER_PAIRS 0, 4, 1, 5
#define UPPER_PAIRS 2, 6, 3, 7
#elif VBYTES / (4 + 4 * FASTBP_DOUBLE) == 8
#define LOWER_PAIRS 0, 8, 1, 9, 2, 10, 3, 11
#define UPPER_PAIRS 4, 12, 5, 13, 6, 14, 7, 15
#else
#define LOWER_PAIRS 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23
#define UPPER_PAIRS 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31
#endif
#if defined(__clang__)
INLINE vec lower_pairs(vec a, vec b) { return __builtin_shufflevector(a, b, LOWER_PAIRS); }
INLINE vec upper_pairs(vec a, vec b) { return __builtin_shufflevector(a, b, UPPER_PAIRS); }
#else
INLINE vec lower_pairs(vec a, vec b) { return __builtin_shuffle(a, b, (ivec){LOWER_PAIRS}); }
INLINE vec upper_pairs(vec a, vec b) { return __builtin_shuffle(a, b, (ivec){UPPER_PAIRS}); }
#endif

/* All lanes of a vector, or its first ones */
INLINE vec load_lanes(const real *p, ptrdiff_t lanes) { return lanes == VL ? load(p) : load_n(p, lanes); }

/* Run the body for i = 0, VL, 2 VL, ... below n. LOAD(p) and STORE(p, v) read and write the `lanes` elements at p + i:
 * VL of them, and in the last round those that remain, under a mask. */
#define FOR_VECTORS(n, ...)                      \
    do {                                         \
        ptrdiff_t i = 0;                         \
        const ptrdiff_t whole_ = (n) - (n) % VL; \
        for (; i < whole_; i += VL) {            \
            const ptrdiff_t lanes = VL;          \
            __VA_ARGS__                          \
        }                                        \
        if (i < (n)) {                           \
            const ptrdiff_t lanes = (n) - i;     \
            __VA_ARGS__                          \
        }                                        \
    } while (0)
#define LOAD(p) load_lanes((p) + i, lanes)
#define STORE(p, v) (lanes == VL ? store((p) + i, (v)) : store_n((p) + i, (v), lanes))

#endif
