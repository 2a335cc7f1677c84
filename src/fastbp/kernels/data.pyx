"""The data that the kernels read: pointers into the user's arrays, which are neither copied nor written to."""

import numpy as np

from cpython.buffer cimport PyBUF_C_CONTIGUOUS, PyBUF_WRITABLE, PyBuffer_Release, PyObject_GetBuffer
from libc.stdint cimport int64_t


cdef void *address(array, bint writable=False) except? NULL:
    cdef Py_buffer view
    # raises BufferError or ValueError when the array is not as it is asked for
    PyObject_GetBuffer(array, &view, PyBUF_C_CONTIGUOUS | (PyBUF_WRITABLE if writable else 0))
    cdef void *begin = view.buf
    PyBuffer_Release(&view)
    return begin


def check(name, array, dtype, shape):
    """ValueError unless the array is None, or exactly of this dtype and shape."""
    if array is not None and (array.dtype != dtype or array.shape != shape):
        raise ValueError(f"{name} must be {np.dtype(dtype)} of shape {shape}, got {array.dtype} of {array.shape}")


cdef class Data:
    """A training set as the kernels see it; nothing is copied, nothing is written to.

    Parameters
    ----------
    X : ndarray of shape (n, n_features), C-contiguous, or (values, indices, indptr, shape)
        Dense, or compressed sparse rows: values of the real type, indices int32 or int64, indptr int64.
    Y : ndarray of shape (n, n_outputs), C-contiguous, or None
        Targets of the same dtype as X.
    labels : ndarray of shape (n,), int64, or None
        Class numbers, in place of a one-hot Y.
    sample_weight : ndarray of shape (n,), float64, or None
    n_outputs : int
    """

    def __init__(self, X, Y=None, labels=None, sample_weight=None, int64_t n_outputs=1):
        indices = indptr = None
        if isinstance(X, tuple):
            values, indices, indptr, shape = X
            self.n_rows, self.n_features = shape
            self.c.indptr = <int64_t *> address(indptr)
            self.c.indices = address(indices)
            self.c.index_bytes = indices.dtype.itemsize
        else:
            values = X
            self.n_rows, self.n_features = X.shape
        self.n_outputs = n_outputs
        n = self.n_rows
        check("Y", Y, values.dtype, (n, n_outputs))
        check("labels", labels, np.int64, (n,))
        check("sample_weight", sample_weight, np.float64, (n,))
        if labels is not None and n and not (0 <= labels.min() and labels.max() < n_outputs):
            raise ValueError(f"labels must lie in [0, {n_outputs}), got {labels.min()} to {labels.max()}")
        self.arrays = (values, indices, indptr, Y, labels, sample_weight)
        self.c.X = address(values)
        if Y is not None:
            self.c.Y = address(Y)
        if labels is not None:
            self.c.labels = <int64_t *> address(labels)
        if sample_weight is not None:
            self.c.sample_weight = <double *> address(sample_weight)

    def targets(self, rows):
        """The targets of some rows, of shape (n, n_outputs), class numbers as indicators; not to be written to.

        Parameters
        ----------
        rows : slice, or ndarray of int64
        """
        values, labels = self.arrays[0], self.arrays[4]
        if labels is None:
            targets = self.arrays[3][rows]
        else:
            targets = (labels[rows, None] == np.arange(self.n_outputs)).astype(values.dtype)
        targets.flags.writeable = False
        return targets

    @property
    def sample_weight(self):
        """ndarray of shape (n,) or None."""
        return self.arrays[5]

    @property
    def weight_sum(self):
        """Sum of the sample weights; without any, the number of rows."""
        return self.n_rows if self.arrays[5] is None else float(self.arrays[5].sum())

    cdef int64_t largest_batch(self, int64_t batch_size) except -1:
        """The most non-zeros that `batch_size` rows can hold."""
        lengths = np.diff(self.arrays[2])
        if batch_size < self.n_rows:
            lengths = np.partition(lengths, self.n_rows - batch_size)[self.n_rows - batch_size:]
        return int(lengths.sum())
