/* The names of the functions, and the selection of a table. */
#include "probes.h"

#include <stddef.h>

#include "instruction_sets.h"

#define NAME(name) #name,
const char *const fastbp_math_names[] = {MATH_FUNCTIONS(NAME) NULL};

#define DECLARE(isa) extern const probes_t fastbp_probes_##isa##_float, fastbp_probes_##isa##_double;
INSTRUCTION_SETS(DECLARE)
#define PAIR(isa) {&fastbp_probes_##isa##_float, &fastbp_probes_##isa##_double},
static const probes_t *const tables[][2] = {INSTRUCTION_SETS(PAIR)};

const probes_t *fastbp_probes(int isa, int is_double) { return tables[isa][is_double]; }
