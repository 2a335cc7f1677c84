/* Random numbers that are functions of what they are for, so that they do not depend on an order of computation. */
#ifndef FASTBP_HASH_H
#define FASTBP_HASH_H

#include "program.h"
#include "simd.h"

#define GOLDEN_64 UINT64_C(0x9E3779B97F4A7C15) /* 2^64 divided by the golden ratio, odd */
#define GOLDEN_32 UINT32_C(0x9E3779B9)

/* The output function of SplitMix64 (Steele, Lea and Flood, 2014, Fast splittable pseudorandom number generators) */
INLINE uint64_t mix_64(uint64_t x) {
    x = (x ^ x >> 30) * UINT64_C(0xBF58476D1CE4E5B9);
    x = (x ^ x >> 27) * UINT64_C(0x94D049BB133111EB);
    return x ^ x >> 31;
}

/* The key of operation `number` in a step; number 0: of the batch itself */
INLINE uint64_t step_key(const plan_t *p, uint64_t number) {
    return mix_64(mix_64(p->seed + (uint64_t)p->step * GOLDEN_64) + number * GOLDEN_64);
}

#endif
