/* The instruction sets that the kernels are compiled for, from the least to the most capable (ISA_FLAGS of setup.py).
 */
#ifndef FASTBP_INSTRUCTION_SETS_H
#define FASTBP_INSTRUCTION_SETS_H

#if defined(__x86_64__) || defined(_M_X64)
#define INSTRUCTION_SETS(X) X(baseline) X(avx2) X(avx512)
#else
#define INSTRUCTION_SETS(X) X(baseline)
#endif

#endif
