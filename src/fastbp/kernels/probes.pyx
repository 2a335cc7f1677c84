"""Functions for tests and benchmarks only: the vector functions, and the peak rates of cores and memory.

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
        double (*memory_loop)(void *x, int64_t n, int64_t iterations) noexcept nogil

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

    def loop(thread):
        cdef double flops
        with nogil:
            flops = probes.fma_loop(20_000)
        return flops

    return best_rate(loop, seconds, n_threads)


def memory_rate(n_bytes, seconds=0.2, n_threads=1):
    """Bytes per second of reading and writing arrays in place, one for each thread: the upper limit of any kernel on
    arrays of this size.

    Parameters
    ----------
    n_bytes : int
        Of all arrays together; small ones stay in the caches.
    seconds : float
        How long to measure.
    n_threads : int
        Threads that run the loop at the same time.

    Returns
    -------
    float
        The best rate during a twentieth of the time, summed over the threads; a number counts when it is read and when
        it is written.
    """
    cdef const probes_t *probes = probes_for(np.float32)
    n = n_bytes // (4 * n_threads)
    if n < 1:
        raise ValueError(f"n_bytes must be at least 4 for each of {n_threads} threads, got {n_bytes}")
    arrays = [np.ones(n, np.float32) for _ in range(n_threads)]
    # so long that the loop is not called too often
    cdef int64_t iterations = max(1, 2**18 // n)

    def loop(thread):
        cdef float[::1] x = arrays[thread]
        cdef double moved
        with nogil:
            moved = probes.memory_loop(&x[0], x.shape[0], iterations)
        return moved

    return best_rate(loop, seconds, n_threads)


def best_rate(loop, seconds, n_threads):
    """Run a loop on several threads at the same time.

    Parameters
    ----------
    loop : callable
        Takes the number of its thread; returns how much it did.
    seconds : float
    n_threads : int

    Returns
    -------
    float
        What was done per second: the best rate during a twentieth of the time, summed over the threads.
    """
    end = time.perf_counter() + seconds
    rates = [[] for _ in range(n_threads)]

    def work(thread):
        while not rates[thread] or time.perf_counter() < end:  # a thread may start late
            begin, done = time.perf_counter(), 0.0
            while time.perf_counter() - begin < seconds / 20:
                done += loop(thread)
            rates[thread].append(done / (time.perf_counter() - begin))

    threads = [threading.Thread(target=work, args=(thread,)) for thread in range(n_threads)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(map(max, rates))


def math_function(name, x):
    """A vector function of vmath.h, for every element of the one-dimensional array `x`."""
    x = np.ascontiguousarray(x)
    y = np.empty_like(x)
    cdef const probes_t *probes = probes_for(x.dtype)
    cdef const unsigned char[::1] source = x.view(np.uint8)
    cdef unsigned char[::1] target = y.view(np.uint8)
    probes.math_function(MATH_FUNCTIONS[name], &source[0], &target[0], x.shape[0])
    return y
