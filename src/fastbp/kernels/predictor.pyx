"""The forward pass over any number of rows."""

import numpy as np

from libc.stdint cimport int64_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy

from fastbp.kernels.data cimport Data, address
from fastbp.kernels.dispatch cimport kernels_for, kernels_t, layer_t, plan_t
from fastbp.kernels.plan cimport ceil_div, cost_of_row
from fastbp.kernels.pool cimport Pool
from fastbp.kernels.processor cimport flush_denormals, restore_denormals

from fastbp.kernels.data import check, check_layers
from fastbp.kernels.interrupts import look_outside
from fastbp.kernels.slicing import units_between_checks

cdef int64_t WORKSPACE_BYTES = 512 * 1024  # of one slice of rows: stays in the second-level cache
cdef int64_t MOST_ROWS = 256
cdef int64_t FEWEST_ROWS = 32  # below, the weights would be read too often
cdef int64_t PIECES_PER_THREAD = 4  # of which a thread that comes early does more


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
    cdef int64_t check_interval
    cdef int64_t n_outputs

    def __init__(self, const int64_t[:, ::1] layers, params):
        cdef int64_t layer, units = 0, n_layers = layers.shape[0]
        check_layers(layers, len(params))
        widths = np.asarray(layers)[:, 1]
        self.kernels = kernels_for(params.dtype == np.float64)
        self.row_bytes = params.dtype.itemsize * int(widths.sum())
        self.slice_rows = max(FEWEST_ROWS, min(MOST_ROWS, WORKSPACE_BYTES // self.row_bytes))
        table = np.full((n_layers, 9), -1, np.int64)
        for layer in range(n_layers):
            table[layer, :5] = layers[layer]
            table[layer, 5:7] = units  # times the rows of a slice: the place of a in the workspace
            units += layers[layer, 1]
        self.check_interval = units_between_checks(self.slice_rows * cost_of_row(layers, 1, layers[0, 0]))
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
        cdef int64_t n = data.n_rows, n_slices
        cdef Pool pool
        if n_threads <= 1:
            self.run(data, out, n, None)
            return
        n_slices = ceil_div(n, self.slice_rows)
        chunk = max(n_slices // (n_threads * PIECES_PER_THREAD), 1) * self.slice_rows
        pool = Pool(ceil_div(n, chunk))
        pool.run(lambda pool: self.run(data, out, chunk, pool), n_threads)

    def run(self, Data data, out, int64_t chunk, Pool pool):
        """Write the output for the pool's pieces of `chunk` rows each; without a pool, for the first `chunk` rows."""
        cdef plan_t plan = self.c
        plan.data = data.c
        plan.out = address(out, True)
        self.run_rows(plan, data.n_rows, chunk, pool)

    cdef int run_rows(self, plan_t plan, int64_t n, int64_t chunk, Pool pool) except -1:
        cdef int64_t piece = 0, start, end, since_check = 0, layer, rows = min(self.slice_rows, chunk)
        cdef bint alone = pool is None
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
                if not alone:
                    piece = pool.take()
                while piece >= 0:
                    start = piece * chunk
                    end = min(start + chunk, n)
                    while start < end and (alone or not pool.is_halted()):
                        plan.start = start
                        self.kernels.forward_rows(&plan, 0, min(rows, end - start))
                        start += rows
                        since_check += 1
                        if since_check == self.check_interval:
                            since_check = 0
                            restore_denormals(mode)
                            with gil:
                                look_outside()
                            flush_denormals()
                    if alone:
                        break
                    pool.finish(piece)
                    piece = pool.take()
            finally:
                restore_denormals(mode)
                free(table)
        return 0
