/* exp, expm1, log, log1p, tanh, the logistic function, the normal distribution function, and cosine and sine of angles
 * in turns, on vectors.
 *
 * Each is an argument reduction and a Taylor or Chebyshev polynomial. tests/kernels/test_vmath.py compares with mpmath
 * over the whole range; the largest errors, in units in the last place (ulp):
 *
 *     function   float64   float32   outside its range
 *     exp            1.5       1.5   0 below -707 (float32: -86), inf above 709.78 (88.72)
 *     expm1          2.0       2.0   -1; inf
 *     log            2.0       2.0   arguments must be positive and normal
 *     log1p          2.5       2.5   arguments must lie in [0, 1]
 *     tanh           3.0       3.0   +-1
 *     logistic       2.5       2.5   0; 1
 *     cos2pi         3.0       3.0   1 where |x| is not below 2^48 (2^19), but NaN for +-inf
 *     sin2pi         3.0       3.0   0 there
 *     normal_cdf   absolute 4e-16 and 2e-7; relative error grows as x*x ulp in the left tail
 *
 * The result for NaN is NaN. The bounds hold with and without a fused multiply-add.
 */
#ifndef FASTBP_VMATH_H
#define FASTBP_VMATH_H

#include "simd.h"

/* ln 2 in two parts: k * LN2_HI is exact for every exponent k (fdlibm e_exp.c; Cephes expf.c). */
#if FASTBP_DOUBLE
#define LN2_HI 6.93147180369123816490e-01
#define LN2_LO 1.90821492927058770002e-10
#define ROUND_MAGIC 6755399441055744.0 /* 1.5 * 2^52: adding it rounds to an integer in the low bits */
#define EXP_MIN (-707.0)
#define EXP_MAX 710.0
#define EXPONENT_BIAS 1023
#else
#define LN2_HI 0.693359375f
#define LN2_LO (-2.12194440e-4f)
#define ROUND_MAGIC 12582912.0f /* 1.5 * 2^23 */
#define EXP_MIN (-86.0f)
#define EXP_MAX 89.0f
#define EXPONENT_BIAS 127
#endif

/* x = k ln 2 + r with |r| <= ln 2 / 2. Returns r; *scale receives 2^(k-1), which is a normal number for
 * every x in [EXP_MIN, EXP_MAX] where 2^k is not. */
INLINE vec exp_reduce(vec x, vec *half_scale) {
    vec shifted = x * (real)1.44269504088896340736 + (real)ROUND_MAGIC;
    vec k = shifted - (real)ROUND_MAGIC;
    *half_scale = (vec)(((uvec)shifted + (lane_uint)(EXPONENT_BIAS - 1)) << MANTISSA_BITS);
    return (x - k * (real)LN2_HI) - k * (real)LN2_LO;
}

/* (e^r - 1 - r) / r^2 = 1/2! + r/3! + r^2/4! + ..., truncated where the next term is below half an ulp of e^r */
INLINE vec exp_series(vec r) {
#if FASTBP_DOUBLE
    vec p = splat(1.0 / 6227020800.0);
    p = p * r + 1.0 / 479001600.0;
    p = p * r + 1.0 / 39916800.0;
    p = p * r + 1.0 / 3628800.0;
    p = p * r + 1.0 / 362880.0;
    p = p * r + 1.0 / 40320.0;
    p = p * r + 1.0 / 5040.0;
#else
    vec p = splat(1.0f / 5040.0f);
#endif
    p = p * r + (real)(1.0 / 720.0);
    p = p * r + (real)(1.0 / 120.0);
    p = p * r + (real)(1.0 / 24.0);
    p = p * r + (real)(1.0 / 6.0);
    return p * r + (real)0.5;
}

INLINE vec vexp(vec x) {
    vec half_scale, bounded = vmax(splat((real)EXP_MIN), vmin(splat((real)EXP_MAX), x));
    vec r = exp_reduce(bounded, &half_scale);
    vec p = (exp_series(r) * r) * r + r + (real)1;
    vec y = (p * half_scale) * (real)2;
    return choose(less(x, splat((real)EXP_MIN)), (vec){0}, y);
}

/* e^x - 1 without cancellation near 0: 2^k (e^r - 1) + (2^k - 1) */
INLINE vec vexpm1(vec x) {
    vec half_scale, bounded = vmax(splat((real)(FASTBP_DOUBLE ? -40 : -20)), vmin(splat((real)EXP_MAX), x));
    vec r = exp_reduce(bounded, &half_scale);
    vec p = (exp_series(r) * r) * r + r;
    return (p * half_scale + (half_scale - (real)0.5)) * (real)2;
}

/* x = 2^k m with m in [sqrt(1/2), sqrt 2); log m = 2 artanh(s) = 2 s (1 + s^2/3 + s^4/5 + ...), s = (m-1)/(m+1) */
INLINE vec vlog(vec x) {
    const uvec sqrt_half = (uvec)splat((real)0.70710678118654752440);
    uvec bits = (uvec)x + ((uvec)splat((real)1) - sqrt_half);
    uvec k_biased = bits >> MANTISSA_BITS;
    /* an integer below 2^MANTISSA_BITS is converted by placing it in the mantissa of 2^MANTISSA_BITS */
    const vec two_to_mantissa = splat((real)((lane_uint)1 << MANTISSA_BITS));
    vec k = (vec)(k_biased | (uvec)two_to_mantissa) - (two_to_mantissa + (real)EXPONENT_BIAS);
    vec m = (vec)((bits & (((lane_uint)1 << MANTISSA_BITS) - 1u)) + sqrt_half);
    vec s = (m - (real)1) / (m + (real)1), t = s * s;
#if FASTBP_DOUBLE
    vec p = splat(1.0 / 21.0);
    p = p * t + 1.0 / 19.0;
    p = p * t + 1.0 / 17.0;
    p = p * t + 1.0 / 15.0;
    p = p * t + 1.0 / 13.0;
    p = p * t + 1.0 / 11.0;
#else
    vec p = splat(1.0f / 11.0f);
#endif
    p = p * t + (real)(1.0 / 9.0);
    p = p * t + (real)(1.0 / 7.0);
    p = p * t + (real)(1.0 / 5.0);
    p = p * t + (real)(1.0 / 3.0);
    vec log_m = (s + s * (t * p)) * (real)2;
    vec y = k * (real)LN2_HI + (k * (real)LN2_LO + log_m);
    return choose(less(x, splat((real)INFINITY)), y, x);
}

/* log(1 + u), u in [0, 1]: with w = 1 + u rounded, log(1+u) = log w + (u - (w - 1)) / w to first order */
INLINE vec vlog1p(vec u) {
    vec w = u + (real)1;
    return vlog(w) + (u - (w - (real)1)) / w;
}

/* tanh x = t / (t + 2) with t = e^(2x) - 1, for |x|; past the bound the result is 1 to the last bit */
INLINE vec vtanh(vec x) {
    vec t = vexpm1(vmin(splat((real)(FASTBP_DOUBLE ? 44 : 20)), vabs(x) * (real)2));
    return copy_sign(t / (t + (real)2), x);
}

INLINE vec vlogistic(vec x) { return (real)1 / (vexp(-x) + (real)1); }

#define SIGN_SHIFT (8 * sizeof(real) - 2) /* from bit 1 to the sign */
/* cos(2 pi x) and sin(2 pi x): with x = k / 4 + r for an integer k, where |r| <= 1/8 is exact, they are those of
 * 2 pi r, or -sin and cos of it, and so on for each quarter turn. Large x, of whose fraction few digits are left, count
 * as 0: x - x is NaN only for infinite ones. */
INLINE vec vcos_sin2pi(vec x, vec *sine) {
    const uvec sign = ~(((uvec){0} - 1u) >> 1), one = (uvec)splat(1);
    x = choose(less(vabs(x), splat((real)((lane_uint)1 << (MANTISSA_BITS - 4)))), x, x - x);
    const vec shifted = x * (real)4 + (real)ROUND_MAGIC, r = x - (shifted - (real)ROUND_MAGIC) * (real)0.25;
    const uvec k = (uvec)shifted;
    const vec y = r * (real)6.28318530717958647693, t = y * y;
#if FASTBP_DOUBLE
    vec s = splat(1.0 / 355687428096000.0), c = splat(1.0 / 20922789888000.0);
    s = s * t - 1.0 / 1307674368000.0;
    c = c * t - 1.0 / 87178291200.0;
    s = s * t + 1.0 / 6227020800.0;
    c = c * t + 1.0 / 479001600.0;
    s = s * t - 1.0 / 39916800.0;
    c = c * t - 1.0 / 3628800.0;
    s = s * t + 1.0 / 362880.0;
    c = c * t + 1.0 / 40320.0;
#else
    vec s = splat(1.0f / 362880.0f), c = splat(-1.0f / 3628800.0f);
    c = c * t + 1.0f / 40320.0f;
#endif
    s = s * t - (real)(1.0 / 5040.0);
    c = c * t - (real)(1.0 / 720.0);
    s = s * t + (real)(1.0 / 120.0);
    c = c * t + (real)(1.0 / 24.0);
    s = s * t - (real)(1.0 / 6.0);
    c = c * t - (real)0.5;
    s = y + y * (t * s);
    c = c * t + (real)1;
    /* the bits of 0 for even k, and of 1 for odd k */
    const mask is_odd = less((vec){0}, (vec)(((uvec){0} - (k & 1u)) & one));
    *sine = (vec)((uvec)choose(is_odd, c, s) ^ (k << SIGN_SHIFT & sign));
    return (vec)((uvec)choose(is_odd, s, c) ^ ((k + 1u) << SIGN_SHIFT & sign));
}
INLINE vec vcos2pi(vec x) {
    vec sine;
    return vcos_sin2pi(x, &sine);
}
INLINE vec vsin2pi(vec x) {
    vec sine;
    vcos_sin2pi(x, &sine);
    return sine;
}

#include "erfc_coefficients.h"

/* Phi(x) = erfc(-x / sqrt 2) / 2 by erfc(q) = t e^(-q^2) P(2t - 1), t = 1 / (1 + q / 2), q >= 0. P is the Chebyshev
 * expansion of e^(q^2) erfc(q) / t over t in [0, 1] in powers, see erfc_coefficients.h. */
INLINE vec vnormal_cdf(vec x) {
    vec q = vabs(x) * (real)0.70710678118654752440;
    vec t = (real)1 / (q * (real)0.5 + (real)1);
    vec u = t * (real)2 - (real)1;
    vec p = splat(ERFC_COEFFICIENTS[0]);
    for (int i = 1; i < (int)(sizeof(ERFC_COEFFICIENTS) / sizeof(real)); i++)
        p = p * u + ERFC_COEFFICIENTS[i];
    vec tail = t * p * vexp(-(q * q)) * (real)0.5;
    return choose(less(x, (vec){0}), tail, (real)1 - tail);
}

#endif
