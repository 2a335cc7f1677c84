/* The tables of names, and the choice among the kernel tables that were compiled. */
#include "isa.h"

#include <stddef.h>

#define NAME(name, fact) #name,
#define FACT(name, fact) fact,
const char *const fastbp_activation_names[] = {ACTIVATIONS(NAME) NULL};
const int fastbp_activation_needs_z[] = {ACTIVATIONS(FACT)};
const char *const fastbp_loss_names[] = {LOSSES(NAME) NULL};
#define CANONICAL(name, activation) ACT_##activation,
const int fastbp_loss_canonical[] = {LOSSES(CANONICAL)};
const char *const fastbp_update_names[] = {UPDATES(NAME) NULL};
const int fastbp_update_states[] = {UPDATES(FACT)};
#define MATH_NAME(name) #name,
const char *const fastbp_math_names[] = {MATH_FUNCTIONS(MATH_NAME) NULL};

extern const kernels_t fastbp_baseline_float, fastbp_baseline_double;
#ifdef FASTBP_X86
extern const kernels_t fastbp_avx2_float, fastbp_avx2_double, fastbp_avx512_float, fastbp_avx512_double;
const char *const fastbp_isa_names[] = {"baseline", "avx2", "avx512", NULL};
static const kernels_t *const tables[][2] = {{&fastbp_baseline_float, &fastbp_baseline_double},
                                             {&fastbp_avx2_float, &fastbp_avx2_double},
                                             {&fastbp_avx512_float, &fastbp_avx512_double}};
#else
const char *const fastbp_isa_names[] = {"baseline", NULL};
static const kernels_t *const tables[][2] = {{&fastbp_baseline_float, &fastbp_baseline_double}};
#endif

int fastbp_isa_supported(int isa) {
#ifdef FASTBP_X86
    __builtin_cpu_init();
    switch (isa) {
    case 1: return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
    case 2:
        return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("fma");
    }
#endif
    return isa == 0;
}

const kernels_t *fastbp_kernels(int isa, int is_double) { return tables[isa][is_double]; }
