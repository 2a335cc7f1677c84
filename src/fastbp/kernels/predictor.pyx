"""The forward pass over any number of rows.

Rows pass in windows, between which Python can deliver signals. A window is divided into slices, small enough for the
cache, which are shared by the threads of a team.
"""

import numpy as np

from libc.stdint cimport int64_t
from libc.stdlib cimport free, malloc

from fastbp.kernels.data cimport Data, address
from fastbp.kernels.dispatch cimport kernels_for, kernels_t, plan_t
from fastbp.kernels.processor cimport flush_denormals, now, restore_denormals
from fastbp.kernels.program cimport Program
from fastbp.kernels.team cimport Task, Team

from fastbp.kernels.data import check
from fastbp.kernels.interrupts import check_signals
from fastbp.kernels.partition import ceil_div
from fastbp.kernels.program import PREDICTION
from fastbp.kernels.slicing import (
    FEWEST_PREDICTION_ROWS, TEAM_SECONDS_BETWEEN_CHECKS, cost_of_row, rows_of_prediction, units_between_checks,
)


cdef extern from "threads.h" nogil:
    ctypedef struct queue_t:
        pass
    void queue_init(queue_t *queue)
    int64_t queue_take(queue_t *queue)


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
    """The forward pass over a window of rows, slice by slice: a task of one phase for a team.

    Each thread takes slices until there are no more. It has a copy of the plan, and its own part of the workspace.
    """

    cdef const kernels_t *kernels
    cdef plan_t plan  # its `start` is the first row of the window
    cdef char *values
    cdef int64_t value_bytes  # of one thread
    cdef int64_t end
    cdef queue_t slices

    def __dealloc__(self):
        free(self.values)

    cdef int allocate(self, int64_t slice_rows, int64_t row_bytes, int64_t n_threads) except -1:
        """Allocate the values of a slice for each thread."""
        self.plan.capacity = self.plan.row_block = slice_rows
        self.value_bytes = (slice_rows * row_bytes + 127) // 64 * 64  # threads do not write to the same cache line
        self.values = <char *> malloc(self.value_bytes * n_threads)
        if self.values == NULL:
            raise MemoryError("no memory for the values of a slice of rows")
        return 0

    cdef void set_window(self, int64_t start, int64_t end) noexcept nogil:
        """Set the rows [start, end) for the next order."""
        self.plan.start, self.end = start, end
        queue_init(&self.slices)

    cdef bint work(self, int64_t phase, int64_t thread) noexcept nogil:
        cdef plan_t plan = self.plan
        plan.values = self.values + thread * self.value_bytes
        while True:
            plan.start = self.plan.start + queue_take(&self.slices) * plan.capacity
            if plan.start >= self.end:
                return True
            self.kernels.forward_rows(&plan, 0, min(plan.capacity, self.end - plan.start))


cdef class Predictor:
    """The forward pass of one program.

    A call does not change the object and has its own workspace, so any number of threads may call it at the same time.

    Parameters
    ----------
    program : Program
        Compiled for PREDICTION.
    params : ndarray of shape (n_params,)
        The flat parameters, which every call reads.
    """

    cdef plan_t c
    cdef const kernels_t *kernels
    cdef Program program
    cdef object params
    cdef int64_t slice_rows
    cdef int64_t row_bytes
    cdef int64_t check_rows  # that one thread does between two checks for signals
    cdef double team_seconds_between_checks
    cdef int64_t n_outputs

    def __init__(self, Program program, params):
        program.check_purpose(PREDICTION)
        check("params", params, program.dtype, (program.c.n_params,))
        self.kernels, self.program, self.params = program.kernels, program, params
        self.row_bytes = program.dtype.itemsize * program.value_columns
        self.slice_rows = rows_of_prediction(program)
        row_cost = cost_of_row(program, 1, program.graph.n_features)
        self.check_rows = self.slice_rows * units_between_checks(self.slice_rows * row_cost)
        self.team_seconds_between_checks = TEAM_SECONDS_BETWEEN_CHECKS
        self.n_outputs = program.nodes[program.c.output]["width"]
        self.c.program = program.c
        self.c.params = address(params)

    def __call__(self, Data data, out, int64_t n_threads=1, Team team=None):
        """The output for every row.

        Parameters
        ----------
        data : Data
        out : ndarray of shape (n, n_outputs), C-contiguous
            Overwritten.
        n_threads : int
            At most so many threads. With 1, `team` is not used.
        team : Team or None
            A running team, to be used in place of one that is started for this call.
        """
        dtype = self.program.dtype
        check("out", out, dtype, (data.n_rows, self.n_outputs))
        check("the data", data.values, dtype, data.values.shape)
        if data.n_features != self.c.program.nodes[0].width:
            raise ValueError(f"the data have {data.n_features} features, the network {self.c.program.nodes[0].width}")
        if (data.c.indptr != NULL) != self.program.is_sparse:
            raise ValueError(f"the program is for {'sparse' if self.program.is_sparse else 'dense'} data")
        if n_threads <= 1:
            self.run(data, out, None)
        elif team is not None:
            self.run(data, out, team)
        else:  # no more threads than there are slices
            with Team(min(n_threads, max(ceil_div(data.n_rows, FEWEST_PREDICTION_ROWS), 1))) as own_team:
                self.run(data, out, own_team)

    cdef int run(self, Data data, out, Team team) except -1:
        """Write the output, a window of rows at a time. Python can deliver signals between two windows."""
        cdef ForwardPass task = ForwardPass.__new__(ForwardPass)
        cdef int64_t n = data.n_rows, n_threads = 1, rows = self.slice_rows, start = 0, end
        cdef double begin, rate = 0  # rows per second
        cdef unsigned long long mode
        if team is not None:
            n_threads = team.n_threads
            rows = rows_of_prediction(self.program, n, n_threads)
        task.kernels, task.plan = self.kernels, self.c
        task.plan.data, task.plan.out = data.c, address(out, True)
        task.allocate(min(rows, n), self.row_bytes, n_threads)
        while start < n:
            with nogil:
                end = min(start + self.rows_of_window(rows, team, rate), n)
                task.set_window(start, end)
                mode = flush_denormals()
                if team is None:
                    task.work(0, 0)
                else:
                    begin = now()
                    team.run(task, 0, 1)
                    rate = (end - start) / max(now() - begin, 1e-6)
                restore_denormals(mode)
            start = end
            if start < n:
                check_signals()
                if team is not None:
                    team.raise_error()

    cdef int64_t rows_of_window(self, int64_t slice_rows, Team team, double rate) noexcept nogil:
        """How many rows are done before the next check for signals, at `rate` rows per second.

        While workers of the team are missing, it is one slice: the leader does it alone, and workers that have arrived
        meanwhile take part in the next window.
        """
        cdef int64_t rows = self.check_rows
        if team is not None and not team.alone:
            if not team.is_complete():
                return slice_rows
            rows = max(rows * team.n_threads, <int64_t> (rate * self.team_seconds_between_checks))
        return rows // slice_rows * slice_rows
