"""The forward pass over any number of rows."""

import numpy as np

from libc.stdint cimport int64_t
from libc.stdlib cimport free, malloc

from fastbp.kernels.data cimport Data, address
from fastbp.kernels.dispatch cimport kernels_for, kernels_t, plan_t
from fastbp.kernels.pool cimport Pool
from fastbp.kernels.processor cimport flush_denormals, restore_denormals
from fastbp.kernels.program cimport Program

from fastbp.kernels.data import check
from fastbp.kernels.interrupts import look_outside
from fastbp.kernels.partition import ceil_div
from fastbp.kernels.slicing import cost_of_row, rows_of_prediction, units_between_checks

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
    """The forward pass of one program.

    Nothing in it changes while it works, and every call has a workspace of its own: any number of threads may call it
    at the same time.

    Parameters
    ----------
    program : Program
        Compiled for PREDICTION.
    params : ndarray of shape (n_params,)
        The flat parameters, which are read anew in every call.
    """

    cdef plan_t c
    cdef const kernels_t *kernels
    cdef Program program
    cdef object params
    cdef int64_t slice_rows
    cdef int64_t row_bytes
    cdef int64_t check_interval
    cdef int64_t n_outputs

    def __init__(self, Program program, params):
        check("params", params, program.dtype, (program.c.n_params,))
        self.kernels, self.program, self.params = program.kernels, program, params
        self.row_bytes = program.dtype.itemsize * program.value_columns
        self.slice_rows = rows_of_prediction(program)
        row_cost = cost_of_row(program, 1, program.graph.n_features)
        self.check_interval = units_between_checks(self.slice_rows * row_cost)
        self.n_outputs = program.nodes[program.c.output]["width"]
        self.c.program = program.c
        self.c.params = address(params)

    def __call__(self, Data data, out, int64_t n_threads=1):
        """The output for every row.

        Parameters
        ----------
        data : Data
        out : ndarray of shape (n, n_outputs), C-contiguous
            Overwritten.
        n_threads : int
        """
        dtype = self.program.dtype
        check("out", out, dtype, (data.n_rows, self.n_outputs))
        check("the data", data.arrays[0], dtype, data.arrays[0].shape)
        if data.n_features != self.c.program.nodes[0].width:
            raise ValueError(f"the data have {data.n_features} features, the network {self.c.program.nodes[0].width}")
        if (data.c.indptr != NULL) != self.program.is_sparse:
            raise ValueError(f"the program is for {'sparse' if self.program.is_sparse else 'dense'} data")
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
        cdef int64_t piece = 0, start, end, since_check = 0, rows = min(self.slice_rows, chunk)
        cdef bint alone = pool is None
        cdef unsigned long long mode
        plan.values = malloc(max(rows * self.row_bytes, <int64_t> 1))
        if plan.values == NULL:
            raise MemoryError("no memory for the values of a slice of rows")
        plan.capacity = plan.row_block = rows
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
                free(plan.values)
        return 0
