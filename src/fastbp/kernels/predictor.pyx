"""The forward pass over any number of rows."""

import threading

import numpy as np

from cpython.exc cimport PyErr_CheckSignals
from libc.stdint cimport int64_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy

from fastbp.kernels.data cimport Data, address
from fastbp.kernels.dispatch cimport kernels_for, kernels_t, layer_t, plan_t
from fastbp.kernels.plan cimport ceil_div
from fastbp.kernels.team cimport FLOPS_BETWEEN_SIGNAL_CHECKS, flush_denormals, restore_denormals

from fastbp.kernels.data import check

cdef extern from "team.h" nogil:
    ctypedef struct flag_t:
        pass
    void flag_raise(flag_t *flag)
    int flag_is_raised(flag_t *flag)


cdef class Halt:
    """Tells the threads of one call to stop."""

    cdef flag_t flag  # zero, as all memory of a new object


cdef int64_t WORKSPACE_BYTES = 512 * 1024  # of one slice of rows: stays in the second-level cache
cdef int64_t MOST_ROWS = 256
cdef int64_t FEWEST_ROWS = 32  # below, the weights would be read too often


def all_finite(array):
    """Whether a C-contiguous float32 or float64 array holds neither NaN nor infinity."""
    cdef const kernels_t *kernels = kernels_for(array.dtype == np.float64)
    cdef void *begin = address(array)
    cdef int64_t size = array.size
    cdef bint finite
    with nogil:
        finite = kernels.all_finite(begin, size)
    return finite


cdef class Predictor:
    """The forward pass of one network.

    Nothing in it changes while it works, and every call has a workspace of its own: any number of threads may call it
    at the same time.

    Parameters
    ----------
    layers : ndarray of int64 of shape (n_layers, 5)
        As for `Plan`.
    params : ndarray of shape (n_params,)
        The flat parameters, which are read anew in every call.
    """

    cdef plan_t c
    cdef const kernels_t *kernels
    cdef object arrays
    cdef int64_t slice_rows
    cdef int64_t row_bytes
    cdef double flops
    cdef int64_t n_outputs

    def __init__(self, const int64_t[:, ::1] layers, params):
        cdef int64_t layer, units = 0, n_layers = layers.shape[0]
        widths = np.asarray(layers)[:, 1]
        self.kernels = kernels_for(params.dtype == np.float64)
        self.row_bytes = params.dtype.itemsize * int(widths.sum())
        self.slice_rows = max(FEWEST_ROWS, min(MOST_ROWS, WORKSPACE_BYTES // self.row_bytes))
        table = np.full((n_layers, 9), -1, np.int64)
        for layer in range(n_layers):
            table[layer, :5] = layers[layer]
            table[layer, 5:7] = units  # times the rows of a slice: the place of a in the workspace
            units += layers[layer, 1]
        self.flops = 2.0 * float(widths @ np.asarray(layers)[:, 0])
        self.arrays = (table, params)
        self.c.layers = <const layer_t *> address(table)
        self.c.n_layers = n_layers
        self.n_outputs = layers[n_layers - 1, 1]
        self.c.params = address(params)

    def __call__(self, Data data, out, int64_t n_threads=1):
        """The network's output for every row.

        Parameters
        ----------
        data : Data
        out : ndarray of shape (n, n_outputs), C-contiguous
            Overwritten.
        n_threads : int
        """
        dtype = self.arrays[1].dtype
        check("out", out, dtype, (data.n_rows, self.n_outputs))
        check("the data", data.arrays[0], dtype, data.arrays[0].shape)
        if data.n_features != self.c.layers[0].fan_in:
            raise ValueError(f"the data have {data.n_features} features, the network {self.c.layers[0].fan_in}")
        cdef int64_t n = data.n_rows, chunk = n
        if n_threads > 1:
            chunk = ceil_div(ceil_div(n, n_threads), self.slice_rows) * self.slice_rows
        cdef Halt halt = Halt()
        errors = []

        def rest(lo):
            try:
                self.run(data, out, lo, min(lo + chunk, n), halt)
            except BaseException as error:
                flag_raise(&halt.flag)
                errors.append(error)

        threads = []
        try:
            for lo in range(chunk, n, chunk):
                thread = threading.Thread(target=rest, args=(lo,), daemon=True)
                thread.start()
                threads.append(thread)
            self.run(data, out, 0, min(chunk, n), halt)
        except BaseException:
            flag_raise(&halt.flag)
            raise
        finally:
            for thread in threads:
                thread.join()
        if errors:
            raise errors[0]

    def run(self, Data data, out, int64_t lo, int64_t hi, Halt halt):
        """Rows [lo, hi) of `data` into the same rows of `out`."""
        cdef plan_t plan = self.c
        plan.data = data.c
        plan.out = address(out, True)
        self.run_rows(plan, lo, hi, halt)

    cdef int run_rows(self, plan_t plan, int64_t lo, int64_t hi, Halt halt) except -1:
        cdef int64_t start = lo, since_check = 0, layer, rows = min(self.slice_rows, hi - lo)
        cdef int64_t interval = <int64_t> (FLOPS_BETWEEN_SIGNAL_CHECKS / (self.flops * self.slice_rows)) + 1
        cdef unsigned long long mode
        cdef size_t table_bytes = self.c.n_layers * sizeof(layer_t)
        cdef layer_t *table = <layer_t *> malloc(table_bytes + rows * self.row_bytes)
        if table == NULL:
            raise MemoryError("no memory for the activations of a slice of rows")
        memcpy(table, self.c.layers, table_bytes)
        for layer in range(self.c.n_layers):
            table[layer].a *= rows
            table[layer].z *= rows
        plan.layers = table
        plan.workspace = table + self.c.n_layers
        plan.row_block = rows
        with nogil:
            mode = flush_denormals()
            try:
                while start < hi and not flag_is_raised(&halt.flag):
                    plan.start = start
                    self.kernels.forward_rows(&plan, 0, min(rows, hi - start))
                    start += rows
                    since_check += 1
                    if since_check == interval:
                        since_check = 0
                        with gil:
                            PyErr_CheckSignals()
            finally:
                restore_denormals(mode)
                free(table)
        return 0
