"""Functions for tests and benchmarks only: the vector functions, and the peak rate of a core.

The C functions are in a separate table (`probes.h`), compiled for the same instruction sets as the kernels.
"""

import threading
import time

from libc.stdint cimport int64_t

import numpy as np

from fastbp.kernels.dispatch import COMPILED_ISAS, ISA


cdef extern from "probes.h" nogil:
    ctypedef struct probes_t:
        void (*math_function)(int function, const void *x, void *y, int64_t n) noexcept nogil
        double (*fma_loop)(int64_t iterations) noexcept nogil

    const char *const fastbp_math_names[]
    const probes_t *fastbp_probes(int isa, int is_double)


cdef dict numbered_names():
    found = {}
    while fastbp_math_names[len(found)] != NULL:
        found[fastbp_math_names[len(found)].decode()] = len(found)
    return found


cdef const probes_t *probes_for(dtype) except NULL:
    return fastbp_probes(COMPILED_ISAS.index(ISA), np.dtype(dtype) == np.float64)


#: name -> number of the vector functions
MATH_FUNCTIONS = numbered_names()


def fma_peak(dtype=np.float32, seconds=0.2, n_threads=1):
    """Floating-point operations per second of fused multiply-adds on registers: the upper limit of any kernel.

    Parameters
    ----------
    dtype : float32 or float64
    seconds : float
        How long to measure.
    n_threads : int
        Threads that run the loop at the same time.

    Returns
    -------
    float
        The best rate during a twentieth of the time, summed over the threads, in FLOP/s; a multiply-add counts as two.
    """
    cdef const probes_t *probes = probes_for(dtype)
    end = time.perf_counter() + seconds
    rates = [[] for _ in range(n_threads)]

    def work(rate):
        cdef double flops
        while not rate or time.perf_counter() < end:  # a thread may start late
            begin = time.perf_counter()
            flops = 0
            while time.perf_counter() - begin < seconds / 20:
                with nogil:
                    flops += probes.fma_loop(20_000)
            rate.append(flops / (time.perf_counter() - begin))

    threads = [threading.Thread(target=work, args=(rate,)) for rate in rates]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(max(rate) for rate in rates)


def math_function(name, x):
    """A vector function of vmath.h, for every element of the one-dimensional array `x`."""
    x = np.ascontiguousarray(x)
    y = np.empty_like(x)
    cdef const probes_t *probes = probes_for(x.dtype)
    cdef const unsigned char[::1] source = x.view(np.uint8)
    cdef unsigned char[::1] target = y.view(np.uint8)
    probes.math_function(MATH_FUNCTIONS[name], &source[0], &target[0], x.shape[0])
    return y
