/* The selection of a table of functions for weights of 8 bits. */
#include "quantized.h"

#include "instruction_sets.h"

extern const quantized_kernels_t fastbp_quantized_baseline_float;

#if defined(__x86_64__) || defined(_M_X64)
extern const quantized_kernels_t fastbp_quantized_avx2_float, fastbp_quantized_vnni_float;
enum { BASELINE, AVX2, AVX512 }; /* INSTRUCTION_SETS */

/* Beside what the instruction set avx512 has: AVX512BW and AVX512-VNNI. The registers are those of avx512, so
 * that the system saves them. */
#if defined(_MSC_VER)
#include <intrin.h>
static int has_vnni(void) {
    int leaf7[4];
    __cpuidex(leaf7, 7, 0);
    return (leaf7[1] >> 30 & 1) && (leaf7[2] >> 11 & 1);
}
#else
static int has_vnni(void) {
    __builtin_cpu_init();
    return __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vnni");
}
#endif

const quantized_kernels_t *fastbp_quantized_kernels(int isa) {
    if (isa == BASELINE)
        return &fastbp_quantized_baseline_float;
    return isa == AVX512 && has_vnni() ? &fastbp_quantized_vnni_float : &fastbp_quantized_avx2_float;
}
#else
const quantized_kernels_t *fastbp_quantized_kernels(int isa) {
    (void)isa;
    return &fastbp_quantized_baseline_float;
}
#endif
