/* The functions of probes.h for one instruction set and one real type.
 *
 * setup.py compiles this file once for each table, like kernels.c, with the same flags and
 *     FASTBP_DOUBLE   0 float, 1 double
 *     FASTBP_TABLE    the name of the table below, e.g. fastbp_probes_avx2_double
 */
#include "probes.h"

#include "vmath.h"

static void math_function(int function, const void *x_, void *y_, int64_t n) {
    const real *x = x_;
    real *y = y_;
    switch (function) {
#define CASE(name) \
    case MATH_##name: FOR_VECTORS(n, { STORE(y, v##name(LOAD(x))); }); break;
        MATH_FUNCTIONS(CASE)
#undef CASE
    }
}

/* `iterations` rounds of 12 independent multiply-adds on registers; returns their floating-point operations. No chain
 * may begin at its limit, 1: the compiler would see a constant and leave its multiply-adds out. */
#define CHAINS(X) X(0) X(1) X(2) X(3) X(4) X(5) X(6) X(7) X(8) X(9) X(10) X(11)
static double fma_loop(int64_t iterations) {
    const vec factor = splat((real)0.999), term = splat((real)0.001);
    vec total = {0};
#define BEGIN(i) vec chain##i = splat((real)(2 + i));
#define MULTIPLY_ADD(i) chain##i = chain##i * factor + term;
#define END(i) total += chain##i;
    CHAINS(BEGIN)
    for (int64_t t = 0; t < iterations; t++) {
        CHAINS(MULTIPLY_ADD)
    }
    CHAINS(END)
#undef BEGIN
#undef MULTIPLY_ADD
#undef END
    volatile real sink = sum_lanes(total); /* the loop must not be optimized away */
    (void)sink;
    return (double)iterations * 12 * 2 * (double)VL;
}

/* `iterations` times, read n numbers and write them in place with the opposite sign; returns the bytes moved */
static double memory_loop(void *x_, int64_t n, int64_t iterations) {
    real *x = x_;
    for (int64_t t = 0; t < iterations; t++)
        FOR_VECTORS(n, { STORE(x, -LOAD(x)); });
    return 2 * (double)iterations * (double)n * (double)sizeof(real);
}

extern const probes_t FASTBP_TABLE;
const probes_t FASTBP_TABLE = {
    .math_function = math_function,
    .fma_loop = fma_loop,
    .memory_loop = memory_loop,
};
