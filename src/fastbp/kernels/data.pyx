"""The data that the kernels read.

The values of X, y and sample_weight are not copied: the kernels read the user's arrays; rows of an X of another type or
layout are converted while a batch is gathered. Integers that the kernels use
as indices (columns of non-zeros, starts of rows, class numbers) are copied, and the copy is checked. Neither a callback
nor another thread can change them afterwards. This takes 1 ns for each int32 index and 4 ns for each int64 index, once;
an epoch of training takes 150 ns for each non-zero with 64 units in the first layer. Checks in the steps would not be
sufficient, because a step reads every index three times.
"""

import numpy as np

from cpython.buffer cimport PyBUF_C_CONTIGUOUS, PyBUF_STRIDES, PyBUF_WRITABLE, PyBuffer_Release, PyObject_GetBuffer
from libc.stdint cimport int32_t, int64_t, uint64_t
from libc.string cimport memset

from fastbp.kernels.dispatch cimport kernels_for, kernels_t

from fastbp.kernels.dispatch import ELEMENTS

ctypedef fused real_t:
    float
    double

INT32_LIMIT = 2**31


cdef void *address(array, bint writable=False) except? NULL:
    cdef Py_buffer view
    # raises BufferError or ValueError if the array is not contiguous, or not writable
    PyObject_GetBuffer(array, &view, PyBUF_C_CONTIGUOUS | (PyBUF_WRITABLE if writable else 0))
    cdef void *begin = view.buf
    cdef bint misaligned = (<uint64_t> begin) % <uint64_t> max(min(view.itemsize, 8), 1) != 0
    PyBuffer_Release(&view)
    if misaligned:
        raise ValueError("the array is not aligned: its address must be a multiple of the size of an element")
    return begin


def check(name, array, dtype, shape):
    """ValueError unless the array is None, or exactly of this dtype and shape."""
    if array is not None and (array.dtype != dtype or array.shape != shape):
        raise ValueError(f"{name} must be {np.dtype(dtype)} of shape {shape}, got {array.dtype} of {array.shape}")


def check_integers(name, array):
    """ValueError unless the array is one-dimensional and of an integer type."""
    if getattr(array, "ndim", None) != 1 or array.dtype.kind not in "iu":
        what = f"{array.dtype} of shape {array.shape}" if isinstance(array, np.ndarray) else type(array).__name__
        raise ValueError(f"{name} must be a one-dimensional array of integers, got {what}")


def check_below(name, numbers, limit):
    """ValueError unless all of the integers lie in [0, limit)."""
    if numbers.size and not (0 <= numbers.min() and numbers.max() < limit):
        raise ValueError(f"{name} must lie in [0, {limit}), got {numbers.min()} to {numbers.max()}")


def check_starts(name, starts, n_rows, n_stored):
    """ValueError unless the integers are the starts of `n_rows` rows of `n_stored` entries, and the last row's end."""
    if len(starts) != n_rows + 1 or starts[0] != 0 or starts[-1] > n_stored or (starts[1:] < starts[:-1]).any():
        ends = f"{starts[0]} to {starts[-1]}" if len(starts) else "nothing"
        raise ValueError(
            f"{name} must be {n_rows + 1} numbers that increase from 0 to at most {n_stored}, the number of stored "
            f"entries; got {len(starts)} numbers, {ends}"
        )


cdef bint are_below(const index_t[:] numbers, int64_t limit) noexcept:
    cdef int64_t i
    cdef bint outside = False
    for i in range(numbers.shape[0]):
        outside |= (numbers[i] < 0) | (numbers[i] >= limit)
    return not outside


def distinct_integers(const int64_t[::1] numbers):
    """The different values of integers, by counting, which is several times as fast as sorting.

    Parameters
    ----------
    numbers : ndarray of int64 of shape (n,), C-contiguous

    Returns
    -------
    ndarray of int64 of shape (n_values,) or None
        In ascending order; None if there are none, or if the largest and the smallest differ by n or more.
    """
    cdef int64_t i, n = numbers.shape[0], low, high, n_values = 0
    cdef unsigned char[::1] is_there
    cdef int64_t[::1] values
    if n == 0:
        return None
    low = high = numbers[0]
    for i in range(n):
        low, high = min(low, numbers[i]), max(high, numbers[i])
    # the difference may be too large for 64 bits with a sign
    if <uint64_t> high - <uint64_t> low >= <uint64_t> n:
        return None
    is_there = bytearray(high - low + 1)
    for i in range(n):
        is_there[numbers[i] - low] = 1
    for i in range(is_there.shape[0]):
        n_values += is_there[i]
    found = np.empty(n_values, np.int64)
    values, n_values = found, 0
    for i in range(is_there.shape[0]):
        if is_there[i]:
            values[n_values] = low + i
            n_values += 1
    return found


def private_indices(name, source, limit):
    """A read-only copy of integers that must lie in [0, limit); int32 where the limit allows, else int64.

    Parameters
    ----------
    name : str
        Their name, for messages.
    source : ndarray of integers, of shape (n,)
    limit : int

    Returns
    -------
    ndarray of shape (n,)

    Raises
    ------
    ValueError
        If one is out of bounds.
    """
    check_integers(name, source)
    copy = np.array(source, np.int32 if source.dtype == np.int32 else np.int64)
    if not (are_below[int32_t](copy, limit) if copy.dtype == np.int32 else are_below[int64_t](copy, limit)):
        check_below(name, copy, limit)
    if limit <= INT32_LIMIT:
        copy = copy.astype(np.int32, copy=False)
    copy.flags.writeable = False
    return copy


def private_starts(name, source, n_rows, n_stored):
    """A read-only copy, int64, of integers that `check_starts` accepts."""
    check_integers(name, source)
    starts = np.array(source, np.int64)
    check_starts(name, starts, n_rows, n_stored)
    starts.flags.writeable = False
    return starts


cdef void fill_indicators(real_t *out, const int32_t *labels, const int64_t *label_start, const int64_t *rows,
                          int64_t first, int64_t step, int64_t n, int64_t m) noexcept nogil:
    """out (n, m) is 1 at the labels of each row, else 0; the rows are `rows`, or every `step`-th from `first`."""
    cdef int64_t r, row, i
    memset(out, 0, n * m * sizeof(real_t))
    for r in range(n):
        row = rows[r] if rows != NULL else first + r * step
        if label_start == NULL:
            out[r * m + labels[row]] = 1
        else:
            for i in range(label_start[row], label_start[row + 1]):
                out[r * m + labels[i]] = 1


cdef class Data:
    """A training set for the kernels, which do not write to it. The module's docstring says what is copied.

    Parameters
    ----------
    X : ndarray of shape (n, n_features), C-contiguous, or (values, indices, indptr, shape)
        Dense, or compressed sparse rows: values of the real type, indices and indptr integers, which are copied. With
        `dtype`, a dense X of any layout.
    Y : ndarray of shape (n, n_outputs), C-contiguous, or None
        Targets of the same dtype as X.
    labels : ndarray of integers, or None
        The positions of the ones, in place of a Y of zeros and ones. Of shape (n,): the class number of each row; with
        `label_start`: the outputs that are one, row after row. They are copied.
    sample_weight : ndarray of shape (n,), float64, or None
    n_outputs : int
    label_start : ndarray of integers, of shape (n + 1,), or None
        Row i has its ones at ``labels[label_start[i]:label_start[i + 1]]``: the indptr and indices of a sparse Y.
    dtype : dtype or None
        The real type, float32 or float64, to which rows of X are converted while a batch is gathered, as by NumPy's
        `astype`. X is then of a dtype in ELEMENTS, with any strides, alignment and order of bytes. None: X is of the
        real type, and is not converted.

    Attributes
    ----------
    dtype : dtype
        The real type.
    values, indices, indptr, Y, labels, sample_weight, label_start : ndarray or None
        The arrays that the kernels read: of a dense X, `values` is X.
    """

    def __init__(self, X, Y=None, labels=None, sample_weight=None, int64_t n_outputs=1, label_start=None, dtype=None):
        indices = indptr = None
        if isinstance(X, tuple):
            values, indices, indptr, shape = X
            self.n_rows, self.n_features = shape
            indptr = private_starts("X.indptr", indptr, self.n_rows, min(len(indices), len(values)))
            indices = private_indices("X.indices", indices[:indptr[self.n_rows]], self.n_features)
            self.c.indptr = <int64_t *> address(indptr)
            self.c.indices = address(indices)
            self.c.index_bytes = indices.itemsize
        else:
            values = X
            self.n_rows, self.n_features = X.shape
        self.n_outputs = n_outputs
        self.dtype = values.dtype if dtype is None else np.dtype(dtype)
        if dtype is None:
            self.c.X = address(values)
        else:
            self.read_converted(values)
        if Y is not None:
            check("Y", Y, self.dtype, (self.n_rows, n_outputs))
            self.c.Y = address(Y)
        if labels is not None:
            labels, label_start = self.take_labels(labels, label_start)
        if sample_weight is not None:
            check("sample_weight", sample_weight, np.float64, (self.n_rows,))
            self.c.sample_weight = <double *> address(sample_weight)
        self.values, self.indices, self.indptr = values, indices, indptr
        self.Y, self.labels, self.label_start, self.sample_weight = Y, labels, label_start, sample_weight

    def read_converted(self, X):
        """Have rows of X converted."""
        cdef Py_buffer view
        if self.c.indptr != NULL or X.dtype.name not in ELEMENTS or self.dtype not in (np.float32, np.float64):
            raise TypeError(f"rows are converted to float32 or float64 from {', '.join(ELEMENTS)}; got {X.dtype}")
        PyObject_GetBuffer(X, &view, PyBUF_STRIDES)
        self.c.X = view.buf
        PyBuffer_Release(&view)
        self.c.element, self.c.is_swapped = ELEMENTS[X.dtype.name], not X.dtype.isnative
        self.c.row_bytes, self.c.column_bytes = X.strides

    def converted_rows(self, rows):
        """Rows of an X whose rows are converted, as the kernels convert them.

        Parameters
        ----------
        rows : ndarray of int64

        Returns
        -------
        ndarray of shape (n, n_features)
        """
        cdef const kernels_t *kernels = kernels_for(self.dtype == np.float64)
        cdef int64_t i, n = len(rows)
        cdef const int64_t[::1] numbers = np.ascontiguousarray(rows, np.int64)
        if not self.is_converted:
            raise ValueError("the rows of X are not converted")
        check_below("rows", rows, self.n_rows)
        out = np.empty((n, self.n_features), self.dtype)
        cdef char *to = <char *> address(out, True)
        cdef int64_t row_bytes = out.strides[0]
        with nogil:
            for i in range(n):
                kernels.convert(&self.c, numbers[i], self.n_features, to + i * row_bytes)
        return out

    def check_fits(self, program):
        """ValueError unless a program can read these rows: of its dtype, or converted to that into a buffer."""
        if self.dtype != program.dtype:
            raise ValueError(f"the data are {self.dtype}, the parameters {program.dtype}")
        if self.is_converted and not program.is_indexed:
            raise ValueError("rows that are converted need a program with a buffer for the input")

    def take_labels(self, labels, label_start):
        """Checked copies of the labels and of the starts of the rows."""
        if self.n_outputs > INT32_LIMIT:
            raise ValueError(f"labels number at most {INT32_LIMIT} outputs, got n_outputs={self.n_outputs}")
        check_integers("labels", labels)
        if label_start is not None:
            label_start = private_starts("label_start", label_start, self.n_rows, len(labels))
            labels = labels[:label_start[self.n_rows]]
            self.c.label_start = <int64_t *> address(label_start)
        elif len(labels) != self.n_rows:
            raise ValueError(f"labels must have shape ({self.n_rows},), got ({len(labels)},)")
        labels = private_indices("labels", labels, self.n_outputs)
        self.c.labels = <int32_t *> address(labels)
        return labels, label_start

    def targets(self, rows):
        """The targets of some rows, of shape (n, n_outputs), labels as indicators; not to be written to.

        Parameters
        ----------
        rows : slice, or ndarray of int64
        """
        targets = self.Y[rows] if self.c.labels == NULL else self.indicators(rows)
        targets.flags.writeable = False
        return targets

    cdef indicators(self, rows):
        """Ones at the labels of some rows, and zeros elsewhere."""
        cdef int64_t first = 0, step = 1, n
        cdef int64_t *order = NULL
        if isinstance(rows, slice):
            chosen = range(*rows.indices(self.n_rows))
            n, step = len(chosen), chosen.step
            first = chosen.start
        else:
            rows = np.require(rows, np.int64, ["C_CONTIGUOUS", "ALIGNED"])
            check_below("rows", rows, self.n_rows)
            order, n = <int64_t *> address(rows), len(rows)
        out = np.empty((n, self.n_outputs), self.dtype)
        cdef void *to = address(out, True)
        cdef bint is_double = out.dtype == np.float64
        with nogil:
            if is_double:
                fill_indicators[double](<double *> to, self.c.labels, self.c.label_start, order, first, step, n,
                                        self.n_outputs)
            else:
                fill_indicators[float](<float *> to, self.c.labels, self.c.label_start, order, first, step, n,
                                       self.n_outputs)
        return out

    @property
    def is_sparse(self):
        """bool: whether X is in compressed sparse rows."""
        return self.c.indptr != NULL

    @property
    def is_converted(self):
        """bool: whether the rows of X are converted while a batch is gathered."""
        return self.c.element != 0

    @property
    def nonzeros_per_row(self):
        """float: of X, on average; the number of features of a dense X."""
        return len(self.values) / self.n_rows if self.is_sparse and self.n_rows else self.n_features

    @property
    def weight_sum(self):
        """Sum of the sample weights; without any, the number of rows."""
        return self.n_rows if self.sample_weight is None else float(self.sample_weight.sum())

    cdef int64_t largest_batch(self, int64_t batch_size) except -1:
        """The most non-zeros that `batch_size` rows can hold."""
        lengths = np.diff(self.indptr)
        if batch_size < self.n_rows:
            lengths = np.partition(lengths, self.n_rows - batch_size)[self.n_rows - batch_size:]
        return int(lengths.sum())
