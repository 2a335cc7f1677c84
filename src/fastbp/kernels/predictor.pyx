"""The forward pass over any number of rows."""

import numpy as np

from cpython.buffer cimport PyBUF_STRIDES, PyBuffer_IsContiguous, PyBuffer_Release, PyObject_GetBuffer
from libc.stdint cimport int64_t, uint64_t
from libc.stdlib cimport calloc, free, malloc
from libc.string cimport memset

from fastbp.kernels.data cimport Data, address
from fastbp.kernels.dispatch cimport kernels_for, kernels_t, plan_t
from fastbp.kernels.pool cimport Pool, pool_init, pool_t, pool_take
from fastbp.kernels.processor cimport flush_denormals, restore_denormals
from fastbp.kernels.program cimport Program
from fastbp.kernels.quantized cimport QuantizedLayers
from fastbp.kernels.team cimport Task, Team

from fastbp.kernels.data import check
from fastbp.kernels.interrupts import check_signals
from fastbp.kernels.partition import ceil_div
from fastbp.kernels.program import PREDICTION
from fastbp.kernels.slicing import (
    CHUNKS_PER_THREAD, cost_of_row, rows_of_prediction, rows_of_shared_prediction, units_between_checks,
)


cdef object ndarray = np.ndarray, empty = np.empty


def all_finite(array):
    """Whether a C-contiguous float32 or float64 array holds neither NaN nor infinity."""
    cdef const kernels_t *kernels = kernels_for(array.dtype == np.float64)
    cdef void *begin = address(array)
    cdef int64_t size = array.size
    cdef bint finite
    with nogil:
        finite = kernels.all_finite(begin, size)
    return finite


cdef class ForwardPass(Task):
    """The forward pass over the rows of one data set, slice by slice: a task of one phase for a team.

    Each thread has a workspace, and takes slices until there are no more.
    """

    cdef const kernels_t *kernels
    cdef plan_t *plans
    cdef pool_t slices
    cdef int64_t n_threads
    cdef int64_t slice_rows
    cdef int64_t start
    cdef int64_t end

    def __cinit__(self, int64_t n_threads):
        self.n_threads = n_threads
        self.plans = <plan_t *> calloc(n_threads, sizeof(plan_t))
        if self.plans == NULL:
            raise MemoryError

    def __dealloc__(self):
        cdef int64_t thread
        if self.plans != NULL:
            for thread in range(self.n_threads):
                free(self.plans[thread].values)
            free(self.plans)

    cdef int bind(self, const kernels_t *kernels, plan_t plan, int64_t slice_rows, int64_t row_bytes) except -1:
        """Make the workspaces, for a plan without one."""
        cdef int64_t thread
        self.kernels, self.slice_rows = kernels, slice_rows
        plan.capacity = plan.row_block = slice_rows
        for thread in range(self.n_threads):
            plan.values = malloc(max(slice_rows * row_bytes, <int64_t> 1))
            if plan.values == NULL:
                raise MemoryError("no memory for the values of a slice of rows")
            self.plans[thread] = plan
        return 0

    cdef void set_rows(self, int64_t start, int64_t end) noexcept nogil:
        """Set the rows [start, end) of the next pass."""
        self.start, self.end = start, end
        pool_init(&self.slices)

    cdef bint work(self, int64_t phase, int64_t thread) noexcept nogil:
        cdef plan_t *plan = &self.plans[thread]
        while True:
            plan.start = self.start + pool_take(&self.slices) * self.slice_rows
            if plan.start >= self.end:
                return True
            self.kernels.forward_rows(plan, 0, min(self.slice_rows, self.end - plan.start))


cdef class Predictor:
    """The forward pass of one program.

    A call does not change the object and has its own workspace, so any number of threads may call it at the same time.

    Parameters
    ----------
    program : Program
        Compiled for PREDICTION.
    params : ndarray of shape (n_params,)
        The flat parameters, which every call reads.
    quantized : QuantizedLayers or None
        The layers of the operations `dense_int8` of the program.
    """

    cdef plan_t c
    cdef const kernels_t *kernels
    cdef Program program
    cdef object params
    cdef QuantizedLayers quantized
    cdef int64_t slice_rows
    cdef int64_t row_bytes
    cdef int64_t check_interval
    cdef int64_t n_outputs
    cdef object dtype

    def __init__(self, Program program, params, QuantizedLayers quantized=None):
        program.check_purpose(PREDICTION)
        check("params", params, program.dtype, (program.c.n_params,))
        self.bind_quantized(program, quantized)
        self.kernels, self.program, self.params = program.kernels, program, params
        self.row_bytes = program.dtype.itemsize * program.value_columns
        self.slice_rows = rows_of_prediction(program)
        row_cost = cost_of_row(program, 1, program.graph.n_features)
        self.check_interval = units_between_checks(self.slice_rows * row_cost)
        self.n_outputs = program.nodes[program.c.output]["width"]
        self.dtype = program.dtype
        self.c.program = program.c
        self.c.params = address(params)

    cdef int bind_quantized(self, Program program, QuantizedLayers quantized) except -1:
        """Keep the layers of 8 bits, which must be those of the program."""
        graph = program.graph
        shapes = [graph.blocks[op.first_block].shape for op in graph.operations if op.kind == "dense_int8"]
        given = [] if quantized is None else quantized.shapes
        if given != shapes:
            raise ValueError(f"the program has quantized layers of the shapes {shapes}, got {given}")
        self.quantized = quantized
        self.c.quantized = NULL if quantized is None else quantized.layers
        return 0

    def __call__(self, Data data, out, int64_t n_threads=1, Team team=None):
        """The output for every row.

        Parameters
        ----------
        data : Data
        out : ndarray of shape (n, n_outputs), C-contiguous
            Overwritten.
        n_threads : int
            At most so many threads.
        team : Team or None
            A running team, to be used in place of threads that are started for this call.
        """
        check("out", out, self.program.dtype, (data.n_rows, self.n_outputs))
        data.check_fits(self.program)
        if data.n_features != self.c.program.nodes[0].width:
            raise ValueError(f"the data have {data.n_features} features, the network {self.c.program.nodes[0].width}")
        if (data.c.indptr != NULL) != self.program.is_sparse:
            raise ValueError(f"the program is for {'sparse' if self.program.is_sparse else 'dense'} data")
        cdef int64_t n = data.n_rows, n_slices
        cdef Pool pool
        if n_threads <= 1:
            self.run(data, out, n, None)
            return
        if team is not None:
            self.run_by_team(data, out, team)
            return
        n_slices = ceil_div(n, self.slice_rows)
        chunk_rows = max(n_slices // (n_threads * CHUNKS_PER_THREAD), 1) * self.slice_rows
        pool = Pool(ceil_div(n, chunk_rows))
        pool.run(lambda pool: self.run(data, out, chunk_rows, pool), n_threads)

    def of_few_rows(self, X, int64_t most_rows):
        """The output for a few rows, where nothing has to be converted, and nothing is wrong.

        Parameters
        ----------
        X : object
        most_rows : int

        Returns
        -------
        ndarray of shape (n, n_outputs) or None
            None unless X is an ndarray of the program's dtype, with its features, C-contiguous and aligned, of 1 to
            `most_rows` rows, and all numbers in it and in the output are finite.
        """
        cdef Py_buffer view
        cdef plan_t plan
        cdef int64_t n
        cdef bint is_plain
        if type(X) is not ndarray or X.dtype is not self.dtype or self.program.is_sparse:
            return None
        PyObject_GetBuffer(X, &view, PyBUF_STRIDES)
        try:
            is_plain = (
                view.ndim == 2
                and 0 < view.shape[0] <= most_rows
                and view.shape[1] == self.c.program.nodes[0].width
                and PyBuffer_IsContiguous(&view, b"C")
                and <uint64_t> view.buf % <uint64_t> view.itemsize == 0
                and self.kernels.all_finite(view.buf, view.shape[0] * view.shape[1])
            )
            if not is_plain:
                return None
            n = view.shape[0]
            out = empty((n, self.n_outputs), self.dtype)
            plan = self.c
            memset(&plan.data, 0, sizeof(plan.data))
            plan.data.X, plan.out = view.buf, address(out, True)
            self.run_rows(plan, n, n, None)
            return out if self.kernels.all_finite(plan.out, n * self.n_outputs) else None
        finally:
            PyBuffer_Release(&view)

    def run_by_team(self, Data data, out, Team team):
        """Write the output, slices of rows shared by the threads of a team."""
        cdef plan_t plan = self.c
        cdef int64_t n = data.n_rows, start = 0, rows
        cdef unsigned long long mode
        cdef ForwardPass task = ForwardPass(team.n_threads)
        plan.data, plan.out = data.c, address(out, True)
        rows = rows_of_shared_prediction(self.program, n, team.n_threads)
        task.bind(self.kernels, plan, rows, self.row_bytes)
        rows = self.slice_rows * min(self.check_interval, n)  # between two checks for signals
        while start < n:
            with nogil:
                mode = flush_denormals()
                task.set_rows(start, min(start + rows, n))
                team.run(task, 0, 1)
                restore_denormals(mode)
            start += rows
            check_signals()

    def run(self, Data data, out, int64_t chunk_rows, Pool pool):
        """Write the output for the chunks of the pool; without a pool, for the first `chunk_rows` rows."""
        cdef plan_t plan = self.c
        plan.data = data.c
        plan.out = address(out, True)
        self.run_rows(plan, data.n_rows, chunk_rows, pool)

    cdef int run_rows(self, plan_t plan, int64_t n, int64_t chunk_rows, Pool pool) except -1:
        cdef int64_t chunk = 0, start, end, since_check = 0, rows = min(self.slice_rows, chunk_rows)
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
                    chunk = pool.take()
                while chunk >= 0:
                    start = chunk * chunk_rows
                    end = min(start + chunk_rows, n)
                    while start < end and (alone or not pool.is_halted()):
                        plan.start = start
                        self.kernels.forward_rows(&plan, 0, min(rows, end - start))
                        start += rows
                        since_check += 1
                        if since_check == self.check_interval:
                            since_check = 0
                            restore_denormals(mode)
                            with gil:
                                check_signals()
                            flush_denormals()
                    if alone:
                        break
                    pool.finish(chunk)
                    chunk = pool.take()
            finally:
                restore_denormals(mode)
                free(plan.values)
        return 0
