/* Functions for tests and benchmarks only: a second table of functions, filled by probe_kernels.c once for each
 * instruction set and each real type.
 */
#ifndef FASTBP_PROBES_H
#define FASTBP_PROBES_H

#include <stdint.h>

/* the functions of vmath.h */
#define MATH_FUNCTIONS(X) X(exp) X(expm1) X(log) X(log1p) X(tanh) X(logistic) X(normal_cdf) X(cos2pi) X(sin2pi)

#define ENUM(name) MATH_##name,
enum { MATH_FUNCTIONS(ENUM) N_MATH_FUNCTIONS };
#undef ENUM

typedef struct {
    void (*math_function)(int function, const void *x, void *y, int64_t n);
    double (*fma_loop)(int64_t iterations);
    double (*memory_loop)(void *x, int64_t n, int64_t iterations);
} probes_t;

/* probe_tables.c */
extern const char *const fastbp_math_names[];
const probes_t *fastbp_probes(int isa, int is_double);

#endif
