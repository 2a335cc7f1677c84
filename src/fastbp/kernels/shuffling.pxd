"""Shuffles without the GIL, from NumPy's bit generators."""

from libc.stdint cimport int64_t, uint32_t, uint64_t

# NumPy's documented C interface to bit generators (numpy/random/bitgen.h).
ctypedef struct bitgen_t:
    void *state
    uint64_t (*next_uint64)(void *st) noexcept nogil
    uint32_t (*next_uint32)(void *st) noexcept nogil
    double (*next_double)(void *st) noexcept nogil
    uint64_t (*next_raw)(void *st) noexcept nogil


cdef bitgen_t *bit_generator(random_state) except NULL
cdef int shuffle_rows(bitgen_t *generator, object lock, int64_t *rows, int64_t n) except -1 nogil
