"""The shuffle of ``numpy.random.RandomState``, draw for draw, without the GIL."""

from libc.stdint cimport int64_t, uint64_t


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


cdef void shuffle_rows(bitgen_t *generator, int64_t *rows, int64_t n) noexcept nogil:
    """Fisher-Yates as ``RandomState.shuffle`` does it. In place on the rows of the last epoch: that is the
    composition of permutations that scikit-learn's ``sample_idx[shuffled arange]`` amounts to."""
    cdef int64_t i, j, held
    for i in range(n - 1, 0, -1):
        j = <int64_t> bounded(generator, <uint64_t> i)
        held = rows[i]
        rows[i] = rows[j]
        rows[j] = held


cdef bitgen_t *bit_generator(random_state) except NULL:
    return <bitgen_t *> PyCapsule_GetPointer(random_state._bit_generator.capsule, "BitGenerator")


def shuffle(random_state, int64_t[::1] rows):
    """Shuffle `rows` in place exactly as ``random_state.shuffle(rows)``, without the GIL.

    Parameters
    ----------
    random_state : numpy.random.RandomState
    rows : ndarray of int64 of shape (n,)
    """
    cdef bitgen_t *generator = bit_generator(random_state)
    with random_state._bit_generator.lock, nogil:
        if rows.shape[0]:
            shuffle_rows(generator, &rows[0], rows.shape[0])
