/* The tables of names, and the selection of a kernel table. */
#include "program.h"

#include <stddef.h>

#include "instruction_sets.h"

const char fastbp_version[] = FASTBP_VERSION;

_Thread_local char fastbp_thread_memory[THREAD_MEMORY] __attribute__((aligned(64)));

#define NAME(name, ...) #name,
#define FACT(name, fact, ...) fact,
const char *const fastbp_activation_names[] = {ACTIVATIONS(NAME) NULL};
const int fastbp_activation_needs_z[] = {ACTIVATIONS(FACT)};
const char *const fastbp_loss_names[] = {LOSSES(NAME) NULL};
#define LINK(name, link, ...) ACT_##link,
const int fastbp_loss_links[] = {LOSSES(LINK)};
#define LOSS_CONSTANTS(name, link, targets, ...) #__VA_ARGS__,
const char *const fastbp_loss_constants[] = {LOSSES(LOSS_CONSTANTS)};
int64_t fastbp_loss_target_width(int loss, int64_t m) {
    switch (loss) {
#define TARGETS(name, link, targets, ...) \
    case LOSS_##name: return targets;
        LOSSES(TARGETS)
#undef TARGETS
    }
    return m;
}
const char *const fastbp_optimizer_names[] = {OPTIMIZERS(NAME) NULL};
const int fastbp_optimizer_states[] = {OPTIMIZERS(FACT)};
#define FORM(name, n_states, form, ...) FORM_##form,
const int fastbp_optimizer_forms[] = {OPTIMIZERS(FORM)};
#define CONSTANT_NAMES(name, n_states, form, ...) #__VA_ARGS__,
const char *const fastbp_optimizer_constants[] = {OPTIMIZERS(CONSTANT_NAMES)};
const char *const fastbp_kind_names[] = {KINDS(NAME) NULL};
const int fastbp_kind_by_rows[] = {KINDS(FACT)};
#define IN_PLACE(name, by_rows, in_place, saved) in_place,
const int fastbp_kind_in_place[] = {KINDS(IN_PLACE)};
#define SAVED(name, by_rows, in_place, saved) saved,
const int fastbp_kind_saved[] = {KINDS(SAVED)};
const char *const fastbp_element_names[] = {ELEMENTS(NAME) NULL};

#define ISA_NAME(isa) #isa,
const char *const fastbp_isa_names[] = {INSTRUCTION_SETS(ISA_NAME) NULL};

#define DECLARE(isa) extern const kernels_t fastbp_kernels_##isa##_float, fastbp_kernels_##isa##_double;
INSTRUCTION_SETS(DECLARE)
/* setup.py compiles it where the compiler knows the instructions (BFLOAT16_FLAGS). */
#if defined(FASTBP_HAS_BFLOAT16)
extern const kernels_t fastbp_kernels_avx512_bfloat16;
#define BFLOAT16_KERNELS &fastbp_kernels_avx512_bfloat16
#else
#define BFLOAT16_KERNELS NULL
#endif
#define PAIR(isa) {&fastbp_kernels_##isa##_float, &fastbp_kernels_##isa##_double},
static const kernels_t *const tables[][2] = {INSTRUCTION_SETS(PAIR)};

#if !(defined(__x86_64__) || defined(_M_X64))
static int supports(int isa) { return isa == 0; }
int fastbp_bfloat16_supported(void) { return 0; }
#elif defined(_MSC_VER) /* clang-cl: its __builtin_cpu_supports needs a library that is not linked there */
#include <immintrin.h>
#include <intrin.h>
static int supports(int isa) {
    int leaf1[4], leaf7[4];
    __cpuidex(leaf1, 1, 0);
    __cpuidex(leaf7, 7, 0);
    const int has_fma = leaf1[2] >> 12 & 1, has_osxsave = leaf1[2] >> 27 & 1;
    const unsigned long long enabled = has_osxsave ? _xgetbv(0) : 0; /* what the system saves: 6 AVX, 0xe6 AVX-512 */
    const int avx2 = (leaf7[1] >> 5 & 1) && has_fma && (enabled & 6) == 6;
    const int has_avx512 = (leaf7[1] >> 16 & 1) && (leaf7[1] >> 17 & 1) && (leaf7[1] >> 31 & 1); /* F, DQ and VL */
    const int avx512 = has_avx512 && (enabled & 0xe6) == 0xe6;
    return isa == 1 ? avx2 : avx2 && avx512;
}
int fastbp_bfloat16_supported(void) {
    int leaf7[4], more[4];
    __cpuidex(leaf7, 7, 0);
    __cpuidex(more, 7, 1); /* zeros where there is no such part of the leaf */
    return supports(2) && (leaf7[1] >> 30 & 1) && (more[0] >> 5 & 1); /* BW and BF16 */
}
#else
static int supports(int isa) {
    __builtin_cpu_init();
    const int avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
    const int avx512 =
        __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
    return isa == 1 ? avx2 : avx2 && avx512;
}
#if defined(FASTBP_HAS_BFLOAT16) /* other compilers may not know the name */
int fastbp_bfloat16_supported(void) {
    return supports(2) && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512bf16");
}
#else
int fastbp_bfloat16_supported(void) { return 0; }
#endif
#endif

int fastbp_isa_supported(int isa) { return isa == 0 || supports(isa); }

const kernels_t *fastbp_kernels(int isa, int table) {
    if (table == TABLE_bfloat16) /* NULL ends the list of names */
        return fastbp_isa_names[isa + 1] ? NULL : BFLOAT16_KERNELS;
    return tables[isa][table];
}
