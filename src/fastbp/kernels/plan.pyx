"""The workspace of a training step, and how its work is dealt out.

The step itself is in `step.h`. A `Plan` is the task of a training team. It owns the workspace: activations, deltas,
copies of W^T, gradient strips. It borrows the flat parameter and optimizer arrays, which the step overwrites, and the
data, which nothing writes to.

The phases FORWARD and ROWS are dealt to the threads by rows of the batch, TILES by tiles of weights. Both cuts are
fixed by the shapes and by the number of threads that the plan is made for; every number comes out the same whichever
thread computes it and however the rows are cut, so that models do not depend on the number of threads.
"""

import numpy as np

from libc.math cimport isfinite
from libc.stdint cimport int32_t, int64_t

from fastbp.kernels.data cimport Data, address
from fastbp.kernels.dispatch cimport LOSS_GIVEN, kernels_for, layer_t, tile_t
from fastbp.kernels.team cimport Task

from fastbp.kernels.data import check_layers
from fastbp.kernels.dispatch import ACTIVATIONS, CANONICAL_ACTIVATION, LOSSES, NEEDS_PREACTIVATION

cdef int64_t ALIGNMENT = 16  # elements: 64 bytes of float
cdef int64_t ROW_BLOCK = 64
# A tile is a whole number of register blocks high, and holds at least so many weights, where the layer has them.
cdef int64_t TILE_ROWS = 8
cdef int64_t TILE_WEIGHTS = 512
# Of a large layer, tiles so high that a panel of deltas is worth packing, and so narrow that they stay in the caches.
cdef int64_t LARGE_ROWS = 96
cdef int64_t LARGE_COLUMNS = 192
# Weights of more bytes than this are read once for all rows of a thread, layer by layer; fewer stay in the cache while
# runs of rows go through the whole net.
cdef int64_t LARGE_BYTES = 1024 * 1024
# Gradients of so many runs of rows are stored, when together they take at most so many bytes.
cdef int64_t SLOTS = 4
cdef int64_t SLOT_BYTES = 512 * 1024
# What work costs beside the products with the weights, in floating-point operations that would take as long: a step for
# each of its layers, a row for each of its layers, an activation, the update of a parameter.
cdef double STEP_COST = 1000
cdef double ROW_COST = 100
cdef double ACTIVATION_COST = 20
cdef double UPDATE_COST = 10
# A batch that costs more is cut into slices that cost about so much each, between which Python can deliver signals.
# Fewer rows would be slower, by the adding up of gradients; more would only take more memory.
LARGEST_STEP = 8e9
SLICE_COST = 4e9
FEWEST_SLICE_ROWS = 128
MOST_SLICE_ROWS = 4096


cdef int64_t ceil_div(int64_t a, int64_t b) except -1:
    return (a + b - 1) // b


cdef double cost_of_row(layers, double passes, double inputs) except -1:
    """What one row costs, in floating-point operations, when its `inputs` non-zero features go through the net."""
    fan_in, fan_out = np.asarray(layers, np.float64)[:, :2].T
    weights = inputs * fan_out[0] + fan_in[1:] @ fan_out[1:]
    return 2 * passes * weights + ROW_COST * len(fan_out) + ACTIVATION_COST * fan_out.sum()


cdef class Plan(Task):
    """One network bound to one data set, ready to step.

    Parameters
    ----------
    layers : ndarray of int64 of shape (n_layers, 5)
        fan_in, fan_out, offset of W, offset of b, number of the activation; a row for each dense layer.
    params : ndarray of shape (n_params,)
        Flat parameters; overwritten by updates.
    loss : str or callable
        A name in LOSSES, or a `FunctionLoss`, which is called between the forward and the backward pass; the output
        layer should have no activation then, because a function's gradient is one by the pre-activation.
    data : Data
    batch_size : int
        The largest batch. The workspace is for `capacity` rows, which are fewer where a step of the whole batch would
        take long: see `TrainingLoop`.
    gathers : bool
        Whether batches are picked through an index (else they are slices of the data).
    n_threads : int
        Threads that share each step.
    """

    def __init__(self, const int64_t[:, ::1] layers, params, loss, Data data, int64_t batch_size, bint gathers,
                 int64_t n_threads=1):
        cdef int64_t n_layers = layers.shape[0], size = 0, layer, width, capacity
        cdef bint is_double = params.dtype == np.float64
        self.kernels = kernels_for(is_double)
        check_layers(layers, len(params))
        if batch_size < 1 or n_threads < 1:
            raise ValueError(f"batch_size and n_threads must be at least 1, got {batch_size} and {n_threads}")
        if data.n_features != layers[0, 0] or data.n_outputs != layers[n_layers - 1, 1]:
            raise ValueError(f"data of {data.n_features} features and {data.n_outputs} outputs are not the network's")
        if data.arrays[0].dtype != params.dtype:
            raise ValueError(f"the data are {data.arrays[0].dtype}, the parameters {params.dtype}")
        if data.c.Y == NULL and data.c.labels == NULL:
            raise ValueError("the data have no targets to train on")
        self.data, self.batch_size, self.n_threads, self.gathers = data, batch_size, n_threads, gathers
        self.c.n_params, self.itemsize = len(params), params.itemsize
        self.capacity = capacity = self.plan_slices(layers)

        # the layer table with the places in the workspace
        table = np.empty((n_layers, 9), np.int64)
        lanes = self.kernels.vector_bytes // params.dtype.itemsize
        needs_z = {ACTIVATIONS[name] for name in NEEDS_PREACTIVATION}

        def place(count):
            nonlocal size
            offset = size
            size += ceil_div(count, ALIGNMENT) * ALIGNMENT
            return offset

        self.c.x = place(capacity * layers[0, 0]) if gathers and data.c.indptr == NULL else 0
        self.c.y = place(capacity * layers[n_layers - 1, 1])
        for layer in range(n_layers):
            width = capacity * layers[layer, 1]
            a = place(width)
            z = place(width) if layers[layer, 4] in needs_z else a
            delta = place(width)
            # the backward pass reads W^T, except for the input's gradient; so does the forward pass of a narrow layer
            reads_transposed = layer > 0 or 4 * layers[layer, 1] <= lanes
            transposed = place(layers[layer, 0] * layers[layer, 1]) if reads_transposed else -1
            table[layer, :5] = layers[layer]
            table[layer, 5:] = a, z, delta, transposed
        self.plan_rows(layers, params)
        self.c.slots = place(self.c.n_slots * len(params))
        workspace = np.empty(size, params.dtype)
        row_loss = np.zeros(capacity)
        # where the gradients of slices are added up
        gradient = np.empty(len(params) if capacity < batch_size else 0, params.dtype)
        self.arrays = (table, params, workspace, row_loss, gradient)
        self.gradient = address(gradient)

        self.c.layers = <const layer_t *> address(table)
        self.c.n_layers = n_layers
        self.c.params = address(params, True)
        self.c.workspace = address(workspace)
        self.c.row_loss = <double *> address(row_loss)
        self.c.data = data.c
        self.c.row_block = ROW_BLOCK if params.nbytes < LARGE_BYTES else capacity
        self.cost = loss if callable(loss) else None
        self.asks = callable(loss)
        if self.asks:
            self.c.loss = LOSS_GIVEN
        else:
            self.c.loss = LOSSES[loss]
            self.c.canonical = ACTIVATIONS[CANONICAL_ACTIVATION[loss]] == layers[n_layers - 1, 4]
        self.flops = 6 * capacity * sum(int(fan_in) * int(fan_out) for fan_in, fan_out in np.asarray(layers)[:, :2])
        self.plan_tiles(layers)
        if data.c.indptr != NULL:
            self.plan_sparse()

    def plan_slices(self, layers):
        """Decide by the shapes alone how many rows a step has, and note what it costs."""
        cdef int64_t rows = self.batch_size, block = self.kernels.block_rows
        inputs = self.data.n_features
        if self.data.c.indptr != NULL and self.data.n_rows:
            inputs = len(self.data.arrays[0]) / self.data.n_rows
        row_cost = cost_of_row(layers, 3, inputs)
        if rows * row_cost > LARGEST_STEP:
            most = max(FEWEST_SLICE_ROWS, min(MOST_SLICE_ROWS, SLICE_COST / row_cost))
            rows = min(rows, ceil_div(<int64_t> most, block) * block)
        self.step_cost = STEP_COST * len(layers) + rows * row_cost + UPDATE_COST * self.c.n_params
        return rows

    def plan_rows(self, const int64_t[:, ::1] layers, params):
        """Decide by the shapes alone whether gradients go through slots, and deal the rows to the threads."""
        cdef int64_t block = self.kernels.block_rows
        units = np.asarray(layers)[:, 1].sum()
        exchanged = self.capacity * (layers[0, 0] + 2 * units)  # activations and deltas that phase 2 reads
        self.c.n_slots = 0
        if (
            self.data.c.indptr == NULL
            and self.capacity >= SLOTS * 4 * block
            and SLOTS * len(params) <= exchanged
            and SLOTS * params.nbytes <= SLOT_BYTES
        ):
            # runs of whole half register blocks: shorter ends than whole ones would leave
            self.c.n_slots, block = SLOTS, 4
            self.c.slot_rows = ceil_div(ceil_div(self.capacity, SLOTS), block) * block
            self.row_chunk = ceil_div(SLOTS, self.n_threads) * self.c.slot_rows
        else:
            self.row_chunk = ceil_div(ceil_div(self.capacity, self.n_threads), block) * block

    def plan_tiles(self, const int64_t[:, ::1] layers):
        """Cut the weights into tiles, and deal runs of tiles of about equal work to the threads."""
        cdef int64_t layer
        tiles, work = [], []
        for layer in range(layers.shape[0]):
            fan_in, fan_out = int(layers[layer, 0]), int(layers[layer, 1])
            rows, columns = TILE_ROWS * ceil_div(TILE_WEIGHTS, TILE_ROWS * fan_out), fan_out
            if fan_in >= LARGE_ROWS and fan_out > LARGE_COLUMNS and self.data.c.indptr == NULL and not self.c.n_slots:
                rows, columns = LARGE_ROWS, LARGE_COLUMNS
            for begin in range(0, fan_in, rows):
                for left in range(0, fan_out, columns):
                    tile = layer, begin, min(begin + rows, fan_in), left, min(left + columns, fan_out)
                    tiles.append(tile)
                    work.append((tile[2] - begin) * (tile[4] - left))
        done = np.cumsum(work)
        shares = np.searchsorted(done, done[-1] * np.arange(1, self.n_threads) / self.n_threads)
        table = np.array(tiles, np.int64)
        starts = np.array([0, *shares, len(tiles)], np.int64)
        squares = np.zeros(len(tiles))
        itemsize = self.arrays[1].dtype.itemsize
        largest = max(2 * max(work), self.c.n_params if self.c.n_slots else 0)
        self.scratch_size = (largest * itemsize + 127) // 64 * 64
        scratch = np.empty(self.scratch_size * self.n_threads, np.uint8)
        self.n_tiles = len(tiles)
        self.tiles = <tile_t *> address(table)
        self.tile_start = <int64_t *> address(starts)
        self.tile_squares = <double *> address(squares)
        self.scratch = <char *> address(scratch)
        overflow = np.zeros(self.n_threads, np.uint8)
        self.overflow = <unsigned char *> address(overflow)
        self.arrays += (table, starts, squares, scratch, overflow)

    def plan_sparse(self):
        """Room for the non-zeros of a batch by column."""
        nonzeros = max(self.data.largest_batch(self.capacity), 1)
        start = np.zeros(self.data.n_features + 1, np.int64)
        row = np.empty(nonzeros, np.int32)
        value = np.empty(nonzeros, self.arrays[1].dtype)
        self.c.column_start = <int64_t *> address(start)
        self.c.column_row = <int32_t *> address(row)
        self.c.column_value = <void *> address(value)
        self.arrays += (start, row, value)

    # One thread's share of a step

    cdef bint work(self, int64_t phase, int64_t thread) noexcept nogil:
        """One thread's share of a phase. False when the step is abandoned: the loss and its derivative are not finite,
        and the weights stay as they are."""
        if phase == FORWARD:
            self.forward_phase(thread)
        elif phase == ROWS:
            self.phase_one(thread)
            if thread == self.n_threads - 1 and self.c.data.indptr != NULL:
                self.kernels.sparse_columns(&self.c)
        else:
            if self.diverged():
                return False
            self.phase_two(thread)
        return True

    cdef void forward_phase(self, int64_t thread) noexcept nogil:
        """The forward pass alone, where the loss has to be asked for before the backward pass."""
        cdef int64_t lo = thread * self.row_chunk
        self.kernels.forward_rows(&self.c, lo, min(lo + self.row_chunk, self.c.n))

    cdef int ask_cost(self) except -1 nogil:
        """Have the cost fill in the loss of each row, and its gradient by the output."""
        cdef const layer_t *last = &self.c.layers[self.c.n_layers - 1]
        with gil:
            self.cost(self.data, self.batch_rows(), self.batch_view(last.a), self.batch_view(last.delta),
                      self.arrays[3][:self.c.n])
        return 0

    cdef void phase_one(self, int64_t thread) noexcept nogil:
        cdef int64_t lo = thread * self.row_chunk, hi = lo + self.row_chunk, r, slot
        self.overflow[thread] = False
        if hi > self.c.n:
            hi = self.c.n
        if lo >= hi:
            return
        if self.asks:
            self.kernels.backward_rows(&self.c, lo, hi)
        else:
            self.kernels.forward_backward_rows(&self.c, lo, hi)
        if self.c.n_slots:
            for slot in range(lo // self.c.slot_rows, (hi - 1) // self.c.slot_rows + 1):
                self.kernels.slot_gradient(&self.c, slot, self.scratch + thread * self.scratch_size)
        for r in range(lo, hi):
            if not isfinite(self.c.row_loss[r]):
                self.overflow[thread] = True

    cdef void phase_two(self, int64_t thread) noexcept nogil:
        cdef int64_t t
        cdef void *scratch = self.scratch + thread * self.scratch_size
        for t in range(self.tile_start[thread], self.tile_start[thread + 1]):
            self.tile_squares[t] = self.kernels.update_tile(&self.c, &self.tiles[t], scratch)

    cdef void descend(self) noexcept nogil:
        """Update the parameters from the gradient that was added up."""
        cdef int64_t t
        for t in range(self.n_tiles):
            self.tile_squares[t] = self.kernels.descend_tile(&self.c, &self.tiles[t], self.gradient)

    cdef bint diverged(self) noexcept nogil:
        """Is the loss of some row not finite, and the derivative neither? Then the weights must stay as they are."""
        cdef int64_t thread
        for thread in range(self.n_threads):
            if self.overflow[thread]:
                return not self.kernels.deltas_finite(&self.c)
        return False

    # The batch

    cdef batch_rows(self):
        """What picks the rows of the batch out of the data: a slice, or row numbers."""
        cdef int64_t[::1] order
        if self.c.rows == NULL:
            return slice(self.c.start, self.c.start + self.c.n)
        order = <int64_t[:self.c.n]> (<int64_t *> self.c.rows + self.c.start)
        return np.asarray(order)

    cdef batch_view(self, int64_t place):
        """A view of the workspace: the last layer's numbers at `place` for the rows of the batch."""
        width = self.c.layers[self.c.n_layers - 1].fan_out
        return self.arrays[2][place:place + self.c.n * width].reshape(self.c.n, width)

    cdef bint set_batch(self, int64_t start, int64_t n) noexcept nogil:
        """Make rows [start, start + n) of the order the batch. False when all of their weights are zero."""
        cdef int64_t r, row
        self.c.start, self.c.n, self.c.weight_sum = start, n, <double> n
        if self.c.data.sample_weight != NULL:
            self.c.weight_sum = 0
            for r in range(start, start + n):
                row = self.c.rows[r] if self.c.rows != NULL else r
                self.c.weight_sum += self.c.data.sample_weight[row]
        return self.c.weight_sum > 0

    cdef double batch_loss(self) noexcept nogil:
        """Sum of the weighted losses of the batch's rows, in row order."""
        cdef double total = 0
        cdef int64_t r
        for r in range(self.c.n):
            total += self.c.row_loss[r]
        return total

    cdef void refresh_transposed(self) noexcept nogil:
        """Bring the copies of W^T up to the parameters, which the user may have edited since the last call."""
        cdef int64_t layer
        for layer in range(self.c.n_layers):
            self.kernels.transpose_layer(&self.c, layer)

    cdef double squared_weights(self) noexcept nogil:
        """Sum of the squared weights before the last update, in tile order; 0 without a penalty."""
        cdef double total = 0
        cdef int64_t i
        for i in range(self.n_tiles):
            total += self.tile_squares[i]
        return total
