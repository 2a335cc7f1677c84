"""The shuffle and the uniform numbers of ``numpy.random.RandomState``, with the same random numbers.

A generator has a lock. No other thread may fork while the lock is held: it would never be released in the child. NumPy
releases the GIL in some draws, such as uniform ones; the functions here hold it, and without a GIL they hold the thread
state, for which a fork waits as well. They also do not wait inside of ``lock.acquire``, which gets the lock before it
gets the GIL back.
"""

import numpy as np

from libc.stdint cimport UINT32_MAX, UINT64_MAX, int64_t, uint32_t, uint64_t

from fastbp.kernels.processor cimport sleep_briefly

from fastbp.kernels.interrupts import check_signals

# takes some milliseconds, or some tens of milliseconds if every row is a cache miss
cdef int64_t ROWS_AT_ONCE = 1 << 20


cdef extern from *:
    """
    #define SWAPS_AHEAD 128
    #define request_for_writing(address) __builtin_prefetch(address, 1)
    #define leading_zeros_32(number) __builtin_clz(number)
    #define leading_zeros_64(number) __builtin_clzll(number)
    """
    const int SWAPS_AHEAD
    void request_for_writing(const void *address) nogil
    int leading_zeros_32(uint32_t number) nogil
    int leading_zeros_64(uint64_t number) nogil


cdef extern from "Python.h":
    void *PyCapsule_GetPointer(object capsule, const char *name) except NULL


cdef void draw(bitgen_t *generator, const int64_t *rows, int64_t i, int64_t n, int64_t *drawn) noexcept nogil:
    """Uniform integers in [0, i], [0, i - 1], ..., n of them, by the masked rejection of NumPy's legacy generator, with
    the same draws; 0 <= n <= i. The entries of `rows` with these numbers are requested from memory."""
    cdef int64_t k = 0, most, value, is_accepted
    while k < n:
        most = i - k
        # of as many bits as `most`
        if most >> 32 == 0:
            value = generator.next_uint32(generator.state) & (UINT32_MAX >> leading_zeros_32(<uint32_t> most))
        else:
            value = generator.next_uint64(generator.state) & (UINT64_MAX >> leading_zeros_64(<uint64_t> most))
        # a number that is rejected is overwritten: no branch, which would be mispredicted every third time
        is_accepted = value <= most
        drawn[k] = value
        request_for_writing(&rows[is_accepted * value])
        k += is_accepted


cdef void shuffle_range(bitgen_t *generator, int64_t *rows, int64_t begin, int64_t end) noexcept nogil:
    """The swaps of rows [end, begin), last to first, of the Fisher-Yates shuffle of ``RandomState.shuffle``.

    The rows of the last epoch are shuffled in place, which gives the same order as scikit-learn's
    ``sample_idx[shuffled arange]``. Numbers are drawn some swaps ahead, and what they swap is requested: reads from
    memory are then waited for together, not one after the other."""
    cdef int64_t drawn[2][SWAPS_AHEAD]
    cdef int64_t i = begin - 1, n = min(begin - end, <int64_t> SWAPS_AHEAD), n_next, k, j, held
    cdef int now = 0
    draw(generator, rows, i, n, drawn[0])
    while n > 0:
        n_next = min(i - n - end + 1, <int64_t> SWAPS_AHEAD)
        draw(generator, rows, i - n, n_next, drawn[1 - now])
        for k in range(n):
            j = drawn[now][k]
            held = rows[i - k]
            rows[i - k] = rows[j]
            rows[j] = held
        i, n, now = i - n, n_next, 1 - now


cdef int acquire(object lock) except -1:
    """Acquire the lock of a generator."""
    while not lock.acquire(False):
        check_signals()
        with nogil:
            sleep_briefly()
    return 0


cdef int shuffle_rows(bitgen_t *generator, object lock, int64_t *rows, int64_t n) except -1 nogil:
    """Shuffle the rows in parts, between which Python can deliver signals.

    With a lock, other threads may draw from the generator too; the lock and the GIL are then held in each part.
    """
    cdef int64_t begin = n, end
    cdef bint shared = lock is not None
    while begin > 1:
        end = max(begin - ROWS_AT_ONCE, <int64_t> 1)
        if shared:
            with gil:
                acquire(lock)
                shuffle_range(generator, rows, begin, end)
                lock.release()
        else:
            shuffle_range(generator, rows, begin, end)
        begin = end
        if begin > 1:
            with gil:
                check_signals()
    return 0


cdef bitgen_t *bit_generator(random_state) except NULL:
    return <bitgen_t *> PyCapsule_GetPointer(random_state._bit_generator.capsule, "BitGenerator")


def uniform(random_state, double low, double high, shape):
    """The numbers of ``random_state.uniform(low, high, shape)``.

    Parameters
    ----------
    random_state : numpy.random.RandomState
    low, high : float
    shape : int or tuple of int

    Returns
    -------
    ndarray of float64
    """
    cdef bitgen_t *generator = bit_generator(random_state)
    out = np.empty(shape)
    cdef double[::1] numbers = out.reshape(-1)
    cdef double width = high - low
    cdef int64_t i
    lock = random_state._bit_generator.lock
    acquire(lock)
    for i in range(numbers.shape[0]):
        numbers[i] = low + width * generator.next_double(generator.state)
    lock.release()
    return out


def shuffle(random_state, int64_t[::1] rows):
    """Shuffle `rows` in place exactly as ``random_state.shuffle(rows)``.

    Parameters
    ----------
    random_state : numpy.random.RandomState
    rows : ndarray of int64 of shape (n,)
    """
    if rows.shape[0]:
        shuffle_rows(bit_generator(random_state), random_state._bit_generator.lock, &rows[0], rows.shape[0])
