/* The mode of the floating-point unit: whether it computes with denormal numbers. */
#ifndef FASTBP_FLOAT_MODE_H
#define FASTBP_FLOAT_MODE_H

#include <stdint.h>

#if defined(__x86_64__) || defined(_M_X64)
#include <immintrin.h>
/* Treat denormal operands and results as zero (FTZ and DAZ): an operation with one takes about a hundred cycles, and
 * training does not need such small numbers. Returns the mode to restore. */
static inline uint64_t flush_denormals(void) {
    const unsigned before = _mm_getcsr();
    _mm_setcsr(before | 0x8040u);
    return before;
}
/* The opposite, for arithmetic that has to be exact. Returns the mode to restore. */
static inline uint64_t keep_denormals(void) {
    const unsigned before = _mm_getcsr();
    _mm_setcsr(before & ~0x8040u);
    return before;
}
static inline void restore_denormals(uint64_t mode) { _mm_setcsr((unsigned)mode); }
#elif defined(__aarch64__)
static inline uint64_t flush_denormals(void) {
    uint64_t before;
    __asm__ volatile("mrs %0, fpcr" : "=r"(before));
    __asm__ volatile("msr fpcr, %0" : : "r"(before | ((uint64_t)1 << 24)));
    return before;
}
static inline uint64_t keep_denormals(void) {
    uint64_t before;
    __asm__ volatile("mrs %0, fpcr" : "=r"(before));
    __asm__ volatile("msr fpcr, %0" : : "r"(before & ~((uint64_t)1 << 24)));
    return before;
}
static inline void restore_denormals(uint64_t mode) { __asm__ volatile("msr fpcr, %0" : : "r"(mode)); }
#else
static inline uint64_t flush_denormals(void) { return 0; }
static inline uint64_t keep_denormals(void) { return 0; }
static inline void restore_denormals(uint64_t mode) { (void)mode; }
#endif

#endif
