"""Draws of ``numpy.random.RandomState``, number for number: the shuffle, and uniform numbers.

A generator has a lock. While it is held, no other thread may run Python: it might fork, and nobody would release the
lock in the child. NumPy lets go of the GIL inside some of its draws, the uniform ones among them; these do not.
"""

import numpy as np

from libc.stdint cimport int64_t, uint64_t

from fastbp.kernels.interrupts import check_signals

# some milliseconds, and some tens of them where every row is a miss of the caches
cdef int64_t ROWS_AT_ONCE = 1 << 20


cdef extern from "Python.h":
    void *PyCapsule_GetPointer(object capsule, const char *name) except NULL


cdef uint64_t bounded(bitgen_t *generator, uint64_t most) noexcept nogil:
    """A uniform integer in [0, most]: NumPy's legacy masked rejection, draw for draw."""
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


cdef void shuffle_some(bitgen_t *generator, int64_t *rows, int64_t begin, int64_t end) noexcept nogil:
    """The swaps of rows [end, begin), from the last to the first, of Fisher-Yates as ``RandomState.shuffle`` does it.

    In place on the rows of the last epoch: that is the composition of permutations that scikit-learn's
    ``sample_idx[shuffled arange]`` amounts to."""
    cdef int64_t i, j, held
    for i in range(begin - 1, end - 1, -1):
        j = <int64_t> bounded(generator, <uint64_t> i)
        held = rows[i]
        rows[i] = rows[j]
        rows[j] = held


cdef int shuffle_rows(bitgen_t *generator, object lock, int64_t *rows, int64_t n) except -1 nogil:
    """Shuffle in runs of rows, between which Python can deliver signals.

    A lock means that others may draw from the generator; the GIL is then held as long as it is.
    """
    cdef int64_t begin = n, end
    cdef bint shared = lock is not None
    while begin > 1:
        end = max(begin - ROWS_AT_ONCE, <int64_t> 1)
        if shared:
            with gil:
                lock.acquire()
                shuffle_some(generator, rows, begin, end)
                lock.release()
        else:
            shuffle_some(generator, rows, begin, end)
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
    lock.acquire()
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
