"""The shuffle and the uniform numbers of ``numpy.random.RandomState``, with the same random numbers.

A generator has a lock. No other thread may fork while the lock is held: it would never be released in the child. NumPy
releases the GIL in some draws, such as uniform ones; the functions here hold it, and without a GIL they hold the thread
state, for which a fork waits as well. They also do not wait inside of ``lock.acquire``, which gets the lock before it
gets the GIL back.
"""

import numpy as np

from libc.stdint cimport int64_t, uint64_t

from fastbp.kernels.processor cimport sleep_briefly

from fastbp.kernels.interrupts import check_signals

# takes some milliseconds, or some tens of milliseconds if every row is a cache miss
cdef int64_t ROWS_AT_ONCE = 1 << 20


cdef extern from "Python.h":
    void *PyCapsule_GetPointer(object capsule, const char *name) except NULL


cdef uint64_t bounded(bitgen_t *generator, uint64_t most) noexcept nogil:
    """A uniform integer in [0, most], by the masked rejection of NumPy's legacy generator, with the same draws."""
    cdef uint64_t mask = most, value
    if most == 0:
        return 0
    mask |= mask >> 1
    mask |= mask >> 2
    mask |= mask >> 4
    mask |= mask >> 8
    mask |= mask >> 16
    mask |= mask >> 32
    while True:
        if most >> 32 == 0:
            value = generator.next_uint32(generator.state)
        else:
            value = generator.next_uint64(generator.state)
        value &= mask
        if value <= most:
            return value


cdef void shuffle_range(bitgen_t *generator, int64_t *rows, int64_t begin, int64_t end) noexcept nogil:
    """The swaps of rows [end, begin), last to first, of the Fisher-Yates shuffle of ``RandomState.shuffle``.

    The rows of the last epoch are shuffled in place, which gives the same order as scikit-learn's
    ``sample_idx[shuffled arange]``."""
    cdef int64_t i, j, held
    for i in range(begin - 1, end - 1, -1):
        j = <int64_t> bounded(generator, <uint64_t> i)
        held = rows[i]
        rows[i] = rows[j]
        rows[j] = held


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
