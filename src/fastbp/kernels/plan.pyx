"""The task of a training step: a program bound to one data set, and its workspace.

The step itself is in `step.h`. A `Plan` owns the workspace: values and gradients of the nodes, copies of W^T, slots. It
uses the flat arrays of the parameters and the optimizer, which a step overwrites, and the data, which are not written.

The phases FORWARD and ROWS are divided among the threads by rows of the batch, TILES and UPDATE by tiles of the
parameters: see ``partition.py``.
"""

import numpy as np

from libc.math cimport isfinite
from libc.stdint cimport int32_t, int64_t

from fastbp.kernels.data cimport Data, address
from fastbp.kernels.dispatch cimport LOSS_GIVEN, MAX_CONSTANTS, group_t, kernels_for, loss_t, tile_t
from fastbp.kernels.program cimport Program
from fastbp.kernels.team cimport Task

from fastbp.kernels.data import check
from fastbp.kernels.dispatch import LOSSES, N_STATES, OPTIMIZER_CONSTANTS, OPTIMIZERS, OPTIMIZERS_BY_BLOCK
from fastbp.kernels.partition import ceil_div, n_slots_for, shares_of, sizes_of, tiles_of, whole_blocks
from fastbp.kernels.program import TRAINING
from fastbp.kernels.slicing import rows_of_slice, step_cost

cdef int64_t ROW_BLOCK = 64
# Parameters of more bytes than this are read once for all rows of a thread, operation by operation; fewer stay in the
# cache while runs of rows go through the whole net.
cdef int64_t LARGE_BYTES = 1024 * 1024

GROUP = np.dtype([("optimizer", np.int64), *((name, np.float64) for name in ("learning_rate", "penalty", "decay"))])
assert GROUP.itemsize == sizeof(group_t)


cdef int set_loss_constants(loss_t *loss, constants) except -1:
    """Write the constants of a loss."""
    if len(constants) > MAX_CONSTANTS:
        raise ValueError(f"a loss has at most {MAX_CONSTANTS} constants, got {constants}")
    for i, constant in enumerate(constants):
        loss.constant[i] = constant
    return 0


cdef class Plan(Task):
    """A program with one data set and a workspace.

    Parameters
    ----------
    program : Program
        Compiled for TRAINING; it says whether batches are picked through an index or are slices of the data.
    params : ndarray of shape (n_params,)
        Flat parameters; overwritten by updates.
    loss : str or callable
        A name in LOSSES, or a function, which is called between the forward and the backward pass; the program
        must be for the raw output then.
    data : Data
    batch_size : int
        The largest batch. The workspace is for `capacity` rows, which are fewer where a step of the whole batch would
        take long: see `TrainingLoop`.
    n_threads : int
        Threads that share each step.
    loss_constants : sequence of float
        Of the loss.
    n_targets : int or None
        Columns of the targets that the loss takes; None for as many as there are outputs.
    """

    def __init__(self, Program program, params, loss, Data data, int64_t batch_size, int64_t n_threads=1,
                 loss_constants=(), n_targets=None):
        if batch_size < 1 or n_threads < 1:
            raise ValueError(f"batch_size and n_threads must be at least 1, got {batch_size} and {n_threads}")
        program.check_purpose(TRAINING)
        check("params", params, program.dtype, (program.c.n_params,))
        n_targets = program.graph.n_outputs if n_targets is None else n_targets
        if data.n_features != program.graph.n_features or data.n_outputs != n_targets:
            raise ValueError(f"data of {data.n_features} features and {data.n_outputs} outputs are not the network's")
        if data.values.dtype != params.dtype:
            raise ValueError(f"the data are {data.values.dtype}, the parameters {params.dtype}")
        if data.is_sparse != program.is_sparse:
            raise ValueError(f"the program is for {'sparse' if program.is_sparse else 'dense'} data")
        if data.c.Y == NULL and data.c.labels == NULL:
            raise ValueError("the data have no targets to train on")
        self.kernels = kernels_for(params.dtype == np.float64)
        self.program, self.params, self.data = program, params, data
        self.batch_size, self.n_threads, self.kept = batch_size, n_threads, []
        self.capacity = rows_of_slice(program, data.nonzeros_per_row, batch_size, self.kernels.block_rows)
        self.step_cost = step_cost(program, data.nonzeros_per_row, self.capacity)
        self.flops = 6 * self.capacity * program.graph.n_coefs
        self.c.program, self.c.data, self.c.params = program.c, data.c, address(params, True)
        self.make_workspace()
        self.divide_rows()
        self.divide_tiles()
        if program.is_sparse:
            self.make_columns()
        self.bind_loss(loss, loss_constants)

    cdef void *keep(self, array) except? NULL:
        """The address of an array that this plan keeps."""
        self.kept.append(array)
        return address(array, True)

    def make_workspace(self):
        """Allocate the nodes, targets and losses of `capacity` rows, and the copies of W^T."""
        capacity, dtype, program = self.capacity, self.program.dtype, self.program
        self.values = np.empty(program.value_columns * capacity, dtype)
        self.grads = np.empty(program.grad_columns * capacity, dtype)
        self.row_loss = np.zeros(capacity)
        self.c.capacity, self.c.loss.target_width = capacity, self.data.n_outputs
        self.c.values, self.c.grads = self.keep(self.values), self.keep(self.grads)
        self.c.targets = self.keep(np.empty(self.c.loss.target_width * capacity, dtype))
        self.c.mirrors = self.keep(np.empty(program.mirror_size, dtype))
        self.c.row_loss = <double *> self.keep(self.row_loss)
        self.c.row_block = ROW_BLOCK if self.params.nbytes < LARGE_BYTES else capacity

    def divide_rows(self):
        """Choose the number of slots by the shapes only, and divide the rows among the threads."""
        cdef int64_t block = self.kernels.block_rows, n_slots = n_slots_for(self.program, self.capacity, block)
        self.c.n_slots = n_slots
        if n_slots:
            # runs of whole half register blocks: shorter ends than whole ones would leave
            self.c.slot_rows = ceil_div(ceil_div(self.capacity, n_slots), 4) * 4
            self.row_chunk = ceil_div(n_slots, self.n_threads) * self.c.slot_rows
        else:
            self.row_chunk = ceil_div(ceil_div(self.capacity, self.n_threads), block) * block
        self.c.slots = self.keep(np.empty(n_slots * self.c.program.n_params, self.program.dtype))

    def divide_tiles(self):
        """Divide the blocks into tiles, and the tiles among the threads."""
        tiles = tiles_of(self.program, self.c.n_slots > 0)
        self.n_update_tiles = len(tiles)
        self.tiles = self.update_tiles = <tile_t *> self.keep(tiles)
        self.tile_start = self.update_start = <int64_t *> self.keep(shares_of(tiles, self.n_threads))
        self.update_squares = <double *> self.keep(np.zeros(len(tiles)))
        largest = max(2 * int(sizes_of(tiles).max()), self.c.program.n_params if self.c.n_slots else 0)
        self.scratch_size = (largest * self.program.dtype.itemsize + 127) // 64 * 64
        self.scratch = <char *> self.keep(np.empty(self.scratch_size * self.n_threads, np.uint8))
        self.overflow = <unsigned char *> self.keep(np.zeros(self.n_threads, np.uint8))

    def make_columns(self):
        """Allocate the non-zeros of a batch by column."""
        nonzeros = max(self.data.largest_batch(self.capacity), 1)
        self.c.columns.start = <int64_t *> self.keep(np.zeros(self.data.n_features + 1, np.int64))
        self.c.columns.row = <int32_t *> self.keep(np.empty(nonzeros, np.int32))
        self.c.columns.value = self.keep(np.empty(nonzeros, self.program.dtype))

    def bind_loss(self, loss, constants):
        """Use this loss."""
        self.loss_function = loss if callable(loss) else None
        if self.loss_function is not None and not self.program.is_raw:
            raise ValueError("a function as loss needs a program for the raw output")
        self.c.loss.kind = LOSS_GIVEN if self.loss_function is not None else LOSSES[loss]
        self.c.loss.is_raw = self.program.is_raw
        set_loss_constants(&self.c.loss, constants)

    def bind_optimizer(self, name, constants, states, double alpha, by_block=None):
        """Have updates made by an optimizer.

        Parameters
        ----------
        name : str
            A name in OPTIMIZERS.
        constants : sequence of float
            In the order of OPTIMIZER_CONSTANTS.
        states : list of ndarray of shape (n_params,)
            Kept, and overwritten by updates.
        alpha : float
            L2 penalty; each group has a factor of it.
        by_block : bool or None
            Whether the gradient is stored, and then a thread updates whole blocks; None for what the optimizer needs.
        """
        cdef int64_t i
        cdef void **state
        if len(constants) != len(OPTIMIZER_CONSTANTS[name]):
            raise ValueError(f"{name} has the constants {OPTIMIZER_CONSTANTS[name]}, got {constants}")
        states, n_states = list(states), N_STATES[name]
        pointers = np.zeros(max(n_states, 1), np.uint64)
        state = <void **> address(pointers, True)
        for i in range(n_states):
            check("optimizer.state", states[i], self.params.dtype, self.params.shape)
            state[i] = address(states[i], True)
        groups = np.array([(0, group.learning_rate, group.penalty * alpha, group.decay)
                           for group in self.program.graph.groups], GROUP)
        self.optimizer.kind = OPTIMIZERS[name]
        for i, constant in enumerate(constants):
            self.optimizer.constant[i] = constant
        self.c.optimizers, self.n_groups = &self.optimizer, len(groups)
        self.c.groups = <const group_t *> address(groups)
        self.c.state, self.c.n_states = state, n_states
        self.bound = (states, pointers, groups)
        if (name in OPTIMIZERS_BY_BLOCK if by_block is None else by_block) and self.block_gradient == NULL:
            self.update_whole_blocks()

    def update_whole_blocks(self):
        """From now on store the gradient of each step, and update whole blocks from it."""
        tiles = whole_blocks(self.program)
        self.n_update_tiles = len(tiles)
        self.update_tiles = <tile_t *> self.keep(tiles)
        self.update_start = <int64_t *> self.keep(shares_of(tiles, self.n_threads))
        self.update_squares = <double *> self.keep(np.zeros(len(tiles)))
        self.block_gradient = self.keep(np.empty_like(self.params))
        self.sum_gradients(NULL)

    cdef void sum_gradients(self, void *gradient) noexcept nogil:
        """Have the gradients of the coming batches added to this array of n_params numbers, without updates; NULL: make
        updates again."""
        self.c.adds_gradient = gradient != NULL
        self.updates_from_gradient = gradient == NULL and self.block_gradient != NULL
        self.c.gradient = self.block_gradient if gradient == NULL else gradient
        self.stores_gradient = self.c.gradient != NULL

    # One thread's share of a step

    cdef bint work(self, int64_t phase, int64_t thread) noexcept nogil:
        """One thread's share of a phase. False when the step is abandoned: the loss and its derivative are not finite,
        and the parameters stay as they are."""
        if phase == FORWARD:
            self.forward_phase(thread)
        elif phase == ROWS:
            self.rows_phase(thread)
            if thread == self.n_threads - 1:
                self.kernels.prepare_gradients(&self.c)
        elif phase == TILES:
            if self.has_diverged():
                return False
            self.tiles_phase(thread)
        else:
            self.update_phase(thread)
        return True

    cdef void forward_phase(self, int64_t thread) noexcept nogil:
        """The forward pass alone, where the loss is a function that is called before the backward pass."""
        cdef int64_t lo = thread * self.row_chunk
        self.kernels.forward_rows(&self.c, lo, min(lo + self.row_chunk, self.c.n))

    cdef void rows_phase(self, int64_t thread) noexcept nogil:
        """Forward pass, loss and backward pass, and the gradients of the slots."""
        cdef int64_t lo = thread * self.row_chunk, hi = min(lo + self.row_chunk, self.c.n), r, slot
        self.overflow[thread] = False
        if lo >= hi:
            return
        if self.c.loss.kind == LOSS_GIVEN:
            self.kernels.backward_rows(&self.c, lo, hi)
        else:
            self.kernels.forward_backward_rows(&self.c, lo, hi)
        if self.c.n_slots:
            for slot in range(lo // self.c.slot_rows, (hi - 1) // self.c.slot_rows + 1):
                self.kernels.slot_gradient(&self.c, slot, self.scratch + thread * self.scratch_size)
        for r in range(lo, hi):
            if not isfinite(self.c.row_loss[r]):
                self.overflow[thread] = True

    cdef void tiles_phase(self, int64_t thread) noexcept nogil:
        """The gradients of the tiles: the update, or the addition to the stored gradient."""
        cdef int64_t i
        cdef void *scratch = self.scratch + thread * self.scratch_size
        for i in range(self.tile_start[thread], self.tile_start[thread + 1]):
            if self.stores_gradient:
                self.kernels.store_tile(&self.c, &self.tiles[i], scratch)
            else:
                self.update_squares[i] = self.kernels.update_tile(&self.c, &self.tiles[i], scratch)

    cdef void update_phase(self, int64_t thread) noexcept nogil:
        """The update from the stored gradient."""
        cdef int64_t i
        for i in range(self.update_start[thread], self.update_start[thread + 1]):
            self.update_squares[i] = self.kernels.update_tile_from_gradient(&self.c, &self.update_tiles[i])

    cdef bint has_diverged(self) noexcept nogil:
        """Whether a loss and the gradient are not finite. The parameters are then not updated."""
        cdef int64_t thread
        for thread in range(self.n_threads):
            if self.overflow[thread]:
                return not self.kernels.output_gradient_is_finite(&self.c)
        return False

    # The batch

    cdef int call_loss_function(self) except -1 nogil:
        """Have the user's function fill in the loss of each row, and its gradient by the raw output."""
        with gil:
            self.loss_function(self.data, self.batch_rows(), self.batch_view("value", self.values),
                               self.batch_view("grad", self.grads), self.row_loss[:self.c.n])
        return 0

    cdef batch_rows(self):
        """The rows of the batch, as an index into the data: a slice, or row numbers."""
        cdef int64_t[::1] order
        if self.c.rows == NULL:
            return slice(self.c.start, self.c.start + self.c.n)
        order = <int64_t[:self.c.n]> (<int64_t *> self.c.rows + self.c.start)
        return np.asarray(order)

    def batch_view(self, field, buffer):
        """A view of the output node's values or gradients for the rows of the batch."""
        node = self.program.nodes[self.program.c.output]
        width, begin = int(node["width"]), int(node[field]) * self.capacity
        return buffer[begin:begin + self.c.n * width].reshape(self.c.n, width)

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

    cdef double penalty(self) noexcept nogil:
        """``alpha / 2 * sum of squared parameters`` before the last update, over all groups; in tile order."""
        cdef double total = 0, squares
        cdef int64_t i, group
        for group in range(self.n_groups):
            if self.c.groups[group].penalty == 0:
                continue
            squares = 0
            for i in range(self.n_update_tiles):
                if self.c.program.blocks[self.update_tiles[i].block].group == group:
                    squares += self.update_squares[i]
            total += 0.5 * self.c.groups[group].penalty * squares
        return total

    cdef void prepare_optimizer(self, double learning_rate, int64_t step) noexcept nogil:
        """Set the learning rate of step number `step`, counted from 1, and what the optimizer makes of the number."""
        self.optimizer.learning_rate = learning_rate
        self.kernels.prepare_optimizer(&self.optimizer, step)
