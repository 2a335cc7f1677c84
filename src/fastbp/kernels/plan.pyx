"""The task of a training step: a program bound to one data set, and its workspace.

The step itself is in `step.h`. A `Plan` owns the workspace: values and gradients of the nodes, copies of W^T, slots. It
uses the flat arrays of the parameters and the optimizer, which a step overwrites, and the data, which are not written.

The phases FORWARD and ROWS are divided among the threads by rows of the batch, TILES, FINISH and UPDATE by tiles of the
parameters: see ``partition.py``. In TILES, a thread that is done with its own takes those that are left of another, so
that threads whose tiles take longer, or that lose their processor, hold up the step less. For most optimizers TILES
computes the gradient of a tile and updates it. If an update needs a whole block of the gradient, or the norm of all of
it, TILES stores the gradient, and UPDATE makes the updates after one more barrier. What is made of whole blocks before
that has phases of its own: see `transform_phase`. FINISH is for a batch in slices, whose gradients are added up first.
LIMIT scales back columns of matrices whose norm is too large; it is divided by columns. Operations that need all rows
of a batch cut the program into segments, and ROWS into several phases: see `segment_phase`.
"""

import numpy as np

from libc.math cimport INFINITY, isfinite, isinf, pow, sqrt
from libc.stdint cimport INT64_MAX, int32_t, int64_t
from libc.string cimport memset

from fastbp.kernels.data cimport Data, address
from fastbp.kernels.dispatch cimport (
    BATCH_STATISTICS, LOSS_GIVEN, MAX_MEMORY, PART_ROWS, PART_STATISTICS, group_t, norms_t,
    operation_t, optimizer_t, share_t, tile_t,
)
from fastbp.kernels.losses cimport set_loss
from fastbp.kernels.pool cimport pool_begin_at, pool_t, pool_take, share_init
from fastbp.kernels.program cimport Program
from fastbp.kernels.team cimport Task

from fastbp.kernels._arguments import check_name
from fastbp.kernels.data import check
from fastbp.kernels.dispatch import (
    N_STATES, OPTIMIZER_CONSTANTS, OPTIMIZERS, OPTIMIZERS_AVERAGING, OPTIMIZERS_BY_BLOCK,
)
from fastbp.kernels.mixing import mixed_targets
from fastbp.kernels.partition import ceil_div, columns_of, n_slots_for, shares_of, tiling_of
from fastbp.kernels.program import TRAINING
from fastbp.kernels.slicing import cost_of_row, parts_between_checks, pieces_of_batch, rows_of_slice, step_cost

cdef int64_t ROW_BLOCK = 64  # a multiple of PART_ROWS
# Parameters of more bytes than this are read once for all rows of a thread, operation by operation; fewer stay in the
# cache while runs of rows go through the whole net.
cdef int64_t LARGE_BYTES = 1024 * 1024
# The rows of a thread are a multiple of 4, because the matrix product has blocks of 4 rows; those of a slot are even,
# because products in bfloat16 add up pairs of rows.
cdef int64_t ROW_MULTIPLE = 4
cdef int64_t SLOT_MULTIPLE = 2
# Each thread's queue has cache lines of its own.
cdef int64_t QUEUE_BYTES = 128
# Threads reduce so many columns, or a multiple, each: a cache line of numbers at least
cdef int64_t COLUMN_BLOCK = 16

GROUP = np.dtype([(name, np.float64) for name in ("learning_rate", "penalty", "l1", "decay")])
assert GROUP.itemsize == sizeof(group_t)


cdef inline int64_t share_of(int64_t n, int64_t parts, int64_t multiple) noexcept nogil:
    """n > 0 divided by the number of parts, rounded up to a multiple."""
    return ((n - 1) // (parts * multiple) + 1) * multiple


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
        take long: see `TrainingLoop`. If an operation needs the whole batch, it is for all rows.
    n_threads : int
        Threads that share each step.
    loss_constants : sequence of float
        Of the loss, in the order of LOSS_CONSTANTS.
    """

    def __init__(self, Program program, params, loss, Data data, int64_t batch_size, int64_t n_threads=1,
                 loss_constants=()):
        cdef int64_t operation
        if batch_size < 1 or n_threads < 1:
            raise ValueError(f"batch_size and n_threads must be at least 1, got {batch_size} and {n_threads}")
        program.check_purpose(TRAINING)
        check("params", params, program.dtype, (program.c.n_params,))
        self.program = program
        self.bind_loss(loss, loss_constants)
        self.kernels = program.kernels
        self.params = params
        self.take_data(data)
        self.batch_size, self.n_threads, self.kept = batch_size, n_threads, []
        row_cost = cost_of_row(program, 3, data.nonzeros_per_row)
        self.n_reductions = len(program.reductions)
        self.part_end = INT64_MAX
        self.first_phase, self.middle_phase = ROWS - 4 * self.n_reductions, ROWS - 2 * self.n_reductions
        self.capacity, self.n_pieces, self.piece, self.pieces = batch_size, 1, 0, 1
        if self.n_reductions:
            self.n_pieces = pieces_of_batch(row_cost, batch_size)
        else:
            self.capacity = rows_of_slice(row_cost, batch_size, self.kernels.block_rows, self.kernels.vector_bytes)
        self.step_cost = step_cost(program, row_cost, self.capacity)
        self.flops = 6 * self.capacity * program.graph.n_weights
        self.c.program, self.c.params = program.c, address(params, True)
        self.c.dropout_factor = self.decay_factor = 1
        self.make_workspace()
        if self.n_reductions:
            self.make_statistics()
        self.make_slots()
        self.divide_tiles()
        if program.is_sparse:
            self.make_columns()
        for operation in range(self.c.program.n_operations):
            self.prepares |= self.kernels.kinds[self.c.program.operations[operation].kind].prepare != NULL

    cdef int take_data(self, Data data) except -1:
        """Check that the data are of the kind that the program reads, and keep them."""
        if data.n_features != self.program.graph.n_features or data.n_outputs != self.c.loss.target_width:
            raise ValueError(f"data of {data.n_features} features and {data.n_outputs} targets are not the network's")
        data.check_fits(self.program)
        if data.is_sparse != self.program.is_sparse:
            raise ValueError(f"the program is for {'sparse' if self.program.is_sparse else 'dense'} data")
        if data.c.Y == NULL and data.c.labels == NULL:
            raise ValueError("the data have no targets to train on")
        self.data, self.c.data = data, data.c
        return 0

    def bind_data(self, Data data):
        """Make the steps to come of other data of the same kind: features, targets, dtype, dense or sparse.

        The workspace stays, and so does all that the optimizer keeps. No step may be running.

        Parameters
        ----------
        data : Data
        """
        self.take_data(data)
        if data.is_sparse:
            self.make_columns()

    @property
    def n_slots(self):
        """int: slots of gradients; 0 for a network that is not small."""
        return self.c.n_slots

    @property
    def seed(self):
        """int: of the masks of dropout, and of mixup; from 0 to 2^64 - 1."""
        return self.c.seed

    @seed.setter
    def seed(self, value):
        self.c.seed = value

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
        self.c.capacity = capacity
        self.c.values, self.c.grads = self.keep(self.values), self.keep(self.grads)
        self.c.targets = self.keep(np.empty(self.c.loss.target_width * capacity, dtype))
        self.c.mirrors = self.keep(np.empty(program.mirror_size, dtype))
        self.c.row_loss = <double *> self.keep(self.row_loss)
        self.c.row_block = ROW_BLOCK if self.params.nbytes < LARGE_BYTES else capacity

    def make_statistics(self):
        """Allocate the statistics of columns, for operations that need the whole batch."""
        n_rows = BATCH_STATISTICS + PART_STATISTICS * ceil_div(self.capacity, PART_ROWS)
        self.reductions = <int64_t *> self.keep(np.array(self.program.reductions, np.int64))
        self.c.statistics_width = self.program.statistics_width
        self.c.statistics = self.keep(np.empty(n_rows * self.c.statistics_width, self.program.dtype))

    def make_slots(self):
        """Choose the number of slots by the shapes only, and allocate their gradients."""
        self.c.n_slots = n_slots_for(self.program, self.capacity, self.kernels.block_rows)
        self.c.slots = self.keep(np.empty(self.c.n_slots * self.c.program.n_params, self.program.dtype))

    cdef void divide_rows(self, int64_t n) noexcept nogil:
        """Divide n rows among the slots, and among the threads."""
        cdef int64_t multiple = PART_ROWS if self.n_reductions else ROW_MULTIPLE
        if self.c.n_slots:
            self.c.slot_rows = share_of(n, self.c.n_slots, SLOT_MULTIPLE)
            self.row_chunk = share_of(self.c.n_slots, self.n_threads, 1) * self.c.slot_rows
        else:
            self.row_chunk = share_of(n, self.n_threads, multiple)

    def divide_tiles(self):
        """Divide the blocks into tiles, and the tiles among the threads."""
        self.tiling = tiling = tiling_of(self.program, self.c.n_slots > 0, self.n_threads)
        self.n_tiles = len(tiling.tiles)
        self.tiles, self.tile_start = <tile_t *> address(tiling.tiles), <int64_t *> address(tiling.starts)
        self.tile_group = <int64_t *> address(tiling.groups)
        self.queues = <char *> self.keep(np.zeros((self.n_threads, QUEUE_BYTES), np.uint8))
        self.norms = <norms_t *> self.keep(np.zeros((self.n_tiles, 2)))
        self.n_groups = len(self.program.graph.groups)
        self.group_norms = <norms_t *> self.keep(np.zeros((self.n_groups, 2)))
        self.gradient_squares = <double *> self.keep(np.zeros(self.n_tiles))
        largest = max(2 * tiling.largest, self.c.program.n_params if self.c.n_slots else 0)
        self.scratch_size = (largest * self.program.dtype.itemsize + 127) // 64 * 64
        self.scratch = <char *> self.keep(np.empty(self.scratch_size * self.n_threads, np.uint8))
        self.overflow = <unsigned char *> self.keep(np.zeros(self.n_threads, np.uint8))

    def make_columns(self):
        """Allocate the non-zeros of a batch by column, unless there is room for them."""
        nonzeros = max(self.data.largest_batch(self.capacity), 1)
        if self.column_arrays is not None and len(self.column_arrays[1]) >= nonzeros:
            return
        start, row = np.zeros(self.data.n_features + 1, np.int64), np.empty(nonzeros, np.int32)
        self.column_arrays = start, row, np.empty(nonzeros, self.program.dtype)
        self.c.columns.start, self.c.columns.row = <int64_t *> address(start, True), <int32_t *> address(row, True)
        self.c.columns.value = address(self.column_arrays[2], True)

    def bind_loss(self, loss, constants):
        """Use this loss."""
        self.loss_function = loss if callable(loss) else None
        if self.loss_function is not None and not self.program.is_raw:
            raise ValueError("a function as loss needs a program for the raw output")
        name = None if callable(loss) else loss
        set_loss(&self.c.loss, name, constants, self.program.is_raw, self.program.graph.n_outputs)

    def bind_optimizer(self, optimizers, optimizer_of, states, memory, double alpha, *, double l1=0.0,
                       double weight_decay=0.0, double clip_norm=np.inf, double max_norm=np.inf):
        """Have updates made by an optimizer, or by several, each for some of the blocks.

        Parameters
        ----------
        optimizers : list of (str, sequence of float)
            The name in OPTIMIZERS, and the constants in the order of OPTIMIZER_CONSTANTS.
        optimizer_of : sequence of int
            Index of the optimizer of each block.
        states : list of ndarray of shape (n_params,)
            Kept, and overwritten by updates. Each optimizer uses as many as it needs.
        memory : ndarray of float64 of shape (n_optimizers, N_MEMORY)
            Numbers that the optimizers keep from step to step; kept, and overwritten by updates.
        alpha : float
            L2 penalty; each group has a factor of it.
        l1 : float
            L1 penalty; each group has the same factor of it.
        weight_decay : float
            Decoupled weight decay; each group has a factor of it.
        clip_norm : float
            If the norm of the gradient of a step is larger, the gradient is scaled to this norm. It is the gradient of
            the mean loss with the penalty, by all parameters together whose learning rate is not 0. inf: no limit.
        max_norm : float
            Columns of the matrices of dense operations whose norm exceeds this after an update are scaled back to it,
            unless their learning rate is 0. inf: no limit.

        Raises
        ------
        ValueError, TypeError
            For arguments that do not fit; the optimizer that was bound before stays so.
        """
        cdef int64_t i, n_states = 0
        cdef void **state
        cdef optimizer_t *bound
        cdef void *stored_gradient = NULL
        cdef double *remembered
        names = [name for name, _ in optimizers]
        check("optimizer.memory", memory, np.dtype(np.float64), (len(names), MAX_MEMORY))
        remembered = <double *> address(memory, True)
        structs = np.zeros((len(names), sizeof(optimizer_t)), np.uint8)
        bound = <optimizer_t *> address(structs, True)
        for i, (name, constants) in enumerate(optimizers):
            check_name("optimizer", name, OPTIMIZERS)
            if len(constants) != len(OPTIMIZER_CONSTANTS[name]):
                raise ValueError(f"{name} has the constants {OPTIMIZER_CONSTANTS[name]}, got {constants}")
            n_states = max(n_states, N_STATES[name])
            bound[i].kind = OPTIMIZERS[name]
            bound[i].memory = remembered + i * MAX_MEMORY
            for k, constant in enumerate(constants):
                bound[i].constant[k] = constant
        for name, limit in (("clip_norm", clip_norm), ("max_norm", max_norm)):
            if not limit > 0:
                raise ValueError(f"{name} must be positive, got {limit}")
        numbers = np.array(optimizer_of, np.int64)
        used = set(numbers.ravel().tolist())
        if numbers.shape != (self.c.program.n_blocks,) or not used <= set(range(len(names))):
            raise ValueError(
                f"optimizer_of must be {self.c.program.n_blocks} numbers below {len(names)}, got {optimizer_of}"
            )
        states = list(states)
        if len(states) != n_states:
            raise ValueError(f"{' and '.join(names)} must have {n_states} arrays optimizer.state, got {len(states)}")
        pointers = np.zeros(max(n_states, 1), np.uint64)
        state = <void **> address(pointers, True)
        for i in range(n_states):
            check("optimizer.state", states[i], self.params.dtype, self.params.shape)
            state[i] = address(states[i], True)
        groups = np.array([(group.learning_rate, group.penalty * alpha, group.penalty * l1, group.decay * weight_decay)
                           for group in self.program.graph.groups], GROUP)
        decays = groups["decay"].copy()
        kept = [states, memory, pointers, groups, decays, structs, numbers]
        by_block = any(names[number] in OPTIMIZERS_BY_BLOCK for number in used)
        if clip_norm < np.inf or by_block or self.n_pieces > 1:
            # blocks that are not trained have no gradient
            kept.append(gradient := np.zeros_like(self.params))
            stored_gradient = address(gradient, True)
        transformed, places, scratch = transforms = self.transforms_of(bound, numbers)
        kept += transforms
        columns = self.columns_to_limit() if max_norm < np.inf else []
        starts = shares_of(columns, self.n_threads) if len(columns) else np.empty(0, np.int64)
        kept += [columns, starts]
        n_phases = max([self.kernels.transform_phases(&bound[<int64_t> numbers[block]]) for block in transformed],
                       default=-1)
        kept.append(pools := np.zeros((max(n_phases, 1), sizeof(pool_t)), np.uint8))
        # nothing raises any more
        self.bound, self.stored_gradient = kept, stored_gradient
        self.first_update, self.n_transformed = UPDATE - n_phases - 1, len(transformed)
        if len(transformed):
            self.transformed, self.transform_place = <int64_t *> address(transformed), <int64_t *> address(places)
            self.transform_scratch = <char *> address(scratch, True)
            self.transform_pools = <pool_t *> address(pools, True)
        self.c.optimizers = self.optimizers = bound
        self.n_optimizers = len(names)
        self.groups, self.decays = <group_t *> address(groups, True), <double *> address(decays, True)
        self.decay_factor, self.c.groups = 1, self.groups
        self.c.optimizer_of = <const int64_t *> address(numbers)
        self.c.state, self.clip_norm = state, clip_norm
        self.averages = any(name in OPTIMIZERS_AVERAGING for name in names)
        self.max_norm, self.end_of_step = max_norm, END_OF_STEP if len(columns) else LIMIT
        if len(columns):
            self.limit_tiles, self.limit_start = <tile_t *> address(columns, True), <int64_t *> address(starts, True)
        self.parts_at_once = 0
        self.sum_gradients(NULL)

    def divide_transforms(self, double update_flops):
        """Have the transforms of gradients done in pieces, between which a step can be abandoned, if their operations
        are so many that they take long."""
        shapes = [self.program.graph.blocks[self.transformed[i]].shape for i in range(self.n_transformed)]
        self.parts_at_once = parts_between_checks(update_flops, shapes, self.n_threads)

    def bind_average(self, average, double decay, int64_t begin):
        """Have the parameters after each step averaged.

        After step number ``begin + n`` the average is that of n steps, with the weights ``decay**(n - i)`` of step i,
        divided by their sum: the exponential moving average with the bias correction of Kingma and Ba (2015).

        Parameters
        ----------
        average : ndarray of shape (n_params,) or None
            Kept, and overwritten by steps. None: no average.
        decay : float
            In [0, 1).
        begin : int
            Steps before the first one that counts.
        """
        if average is None:
            self.average, self.c.average = None, NULL
            return
        check("average", average, self.params.dtype, self.params.shape)
        if not 0 <= decay < 1:
            raise ValueError(f"decay must be in [0, 1), got {decay}")
        self.average, self.c.average = average, address(average, True)
        self.average_decay, self.average_begin = decay, begin

    def bind_mixup(self, double alpha):
        """Have the rows of the coming batches mixed: see mixup.h.

        Parameters
        ----------
        alpha : float
            Both parameters of the Beta distribution of the shares; 0: rows are not mixed.
        """
        if not 0 <= alpha < INFINITY:
            raise ValueError(f"mixup_alpha must be a finite number >= 0, got {alpha}")
        if alpha > 0 and (self.program.is_sparse or not self.program.is_indexed):
            raise ValueError("mixup needs a program for a dense X whose rows are picked through an index")
        self.mixup_alpha, self.c.mixup.share = alpha, 0

    cdef list transforms_of(self, const optimizer_t *optimizers, optimizer_of):
        """The blocks whose gradients are transformed, the place of the scratch of each, in bytes, and the scratch."""
        cdef int64_t number
        blocks, places, total = [], [], 0
        for block in self.tiling.blocks:
            number = optimizer_of[block]
            if self.kernels.transform_phases(&optimizers[number]):
                rows, cols = self.program.graph.blocks[block].shape
                size = self.kernels.transform_scratch(&optimizers[number], rows, cols) * self.program.dtype.itemsize
                blocks.append(block)
                places.append(total)
                total += ceil_div(size, 64) * 64
        return [np.array(blocks, np.int64), np.array(places, np.int64), np.empty(total, np.uint8)]

    def columns_to_limit(self):
        """Tiles of whole columns, of the dense operations whose learning rate is not 0."""
        graph = self.program.graph
        trained = [block for block, _ in graph.dense_blocks if graph.groups[block.group].learning_rate > 0]
        return columns_of(self.program, trained)

    cdef void sum_gradients(self, void *gradient) noexcept nogil:
        """Have the gradients of the coming batches added to this array of n_params numbers, without updates; NULL: make
        updates again."""
        self.c.adds_gradient = gradient != NULL
        self.c.gradient = self.stored_gradient if gradient == NULL else gradient

    # One thread's share of a step

    cdef bint work(self, int64_t phase, int64_t thread) noexcept nogil:
        """One thread's share of a phase. False when the step is abandoned: the loss and its derivative are not finite,
        and the parameters stay as they are."""
        if phase < ROWS or (phase == ROWS and self.n_reductions):
            self.segment_phase(phase, thread)
        elif phase == ROWS:
            self.rows_phase(thread)
        elif phase == TILES:
            if self.has_diverged():
                return False
            self.tiles_phase(thread)
        elif phase == FINISH:
            self.finish_phase(thread)
        elif phase == LIMIT:
            self.limit_phase(thread)
        elif phase == FORWARD:
            self.forward_phase(thread)
        elif phase == self.first_update or phase == UPDATE:
            self.update_phase(phase, thread)
        else:
            self.transform_phase(phase - self.first_update - 1, thread)
        if phase == ROWS:
            pool_begin_at(self.queue(thread), 0)  # before the barrier: in TILES any thread may take from it
            if self.prepares and thread == self.n_threads - 1 and self.piece == 0:
                self.kernels.prepare_gradients(&self.c)
        return True

    cdef void forward_phase(self, int64_t thread) noexcept nogil:
        """The forward pass alone, or that of the last segment, where the loss is a function that is called before the
        backward pass."""
        cdef int64_t lo, hi, last = self.n_reductions
        self.rows_of(thread, &lo, &hi)
        self.kernels.forward_segment(&self.c, self.reduction(last - 1), self.reduction(last), lo, hi)

    cdef void rows_of(self, int64_t thread, int64_t *lo, int64_t *hi) noexcept nogil:
        """The rows of a thread in this piece of a phase; a multiple of PART_ROWS where there are several pieces."""
        cdef int64_t begin = thread * self.row_chunk
        cdef int64_t rows = share_of(self.row_chunk, self.pieces, PART_ROWS)
        if self.pieces == 1:
            rows = self.row_chunk
        lo[0] = min(begin + self.piece * rows, begin + self.row_chunk)
        hi[0] = min(min(lo[0] + rows, begin + self.row_chunk), self.c.n)

    cdef void tiles_of_piece(self, int64_t thread, int64_t *lo, int64_t *hi) noexcept nogil:
        """The tiles of a thread in this piece of a phase."""
        cdef int64_t begin = self.tile_start[thread], n = self.tile_start[thread + 1] - begin
        lo[0], hi[0] = begin + self.piece * n // self.pieces, begin + (self.piece + 1) * n // self.pieces

    cdef void rows_phase(self, int64_t thread) noexcept nogil:
        """Forward pass, loss and backward pass, and the gradients of the slots."""
        cdef int64_t lo = thread * self.row_chunk, hi = min(lo + self.row_chunk, self.c.n), slot
        if lo >= hi:
            self.overflow[thread] = False
            return
        if self.c.loss.kind == LOSS_GIVEN:
            self.kernels.backward_rows(&self.c, lo, hi)
        else:
            self.kernels.forward_backward_rows(&self.c, lo, hi)
        if self.c.n_slots:
            for slot in range(lo // self.c.slot_rows, (hi - 1) // self.c.slot_rows + 1):
                self.kernels.slot_gradient(&self.c, slot, self.scratch + thread * self.scratch_size)
        self.note_overflow(thread, lo, hi)

    cdef void note_overflow(self, int64_t thread, int64_t lo, int64_t hi) noexcept nogil:
        """Note whether the loss of a row is not finite."""
        cdef int64_t r
        if self.piece == 0:
            self.overflow[thread] = False
        for r in range(lo, hi):
            if not isfinite(self.c.row_loss[r]):
                self.overflow[thread] = True

    cdef int64_t reduction(self, int64_t number) noexcept nogil:
        """The operation that ends segment `number`, and begins the next one; -1 before the first segment, and the
        number of operations after the last."""
        if number < 0:
            return -1
        return self.reductions[number] if number < self.n_reductions else self.c.program.n_operations

    cdef void segment_phase(self, int64_t phase, int64_t thread) noexcept nogil:
        """The phases of a program of n + 1 segments: even ones by rows, odd ones by columns.

        Phase 0, 2, ..., 2 n - 2, counted from the first one, is the forward pass of segment 0, 1, ..., n - 1; phase 2 n
        that of segment n, loss and backward pass; phase 2 n + 2, ..., 4 n the backward pass of segment n - 1, ..., 0.
        """
        cdef int64_t place = phase - self.first_phase, last = 2 * self.n_reductions
        cdef int64_t number = min(place, 2 * last - place) // 2
        cdef int64_t before = self.reduction(number - 1), after = self.reduction(number), lo, hi
        if place % 2 == 1:
            if self.piece == 0:
                self.reduce_columns(after, place > last, thread)
            return
        self.rows_of(thread, &lo, &hi)
        if place < last or (place == last and self.c.loss.kind != LOSS_GIVEN):
            self.kernels.forward_segment(&self.c, before, after, lo, hi)
        if place >= last:
            self.kernels.backward_segment(&self.c, before, after, lo, hi)
        if place == last:
            self.note_overflow(thread, lo, hi)

    cdef void reduce_columns(self, int64_t operation, bint backward, int64_t thread) noexcept nogil:
        """The statistics of the whole batch, for the columns of this thread."""
        cdef const operation_t *op = &self.c.program.operations[operation]
        cdef int64_t width = self.c.program.nodes[op.input].width
        cdef int64_t chunk = share_of(width, self.n_threads, COLUMN_BLOCK)
        cdef int64_t left = thread * chunk, right = min(left + chunk, width)
        if left >= right:
            return
        if backward:
            self.kernels.kinds[op.kind].reduce_backward(&self.c, op, left, right)
        else:
            self.kernels.kinds[op.kind].reduce(&self.c, op, left, right)

    cdef void tiles_phase(self, int64_t thread) noexcept nogil:
        """The gradients of the tiles: the update, or the stored gradient, which is finished unless it is a sum.

        A thread that has done its own tiles helps the others, unless the phase is worked on in pieces.
        """
        cdef int64_t i, lo, hi, other, tile
        if self.pieces > 1:
            self.tiles_of_piece(thread, &lo, &hi)
            for i in range(lo, hi):
                self.do_tile(i, thread)
            return
        for i in range(self.n_threads):
            other = (thread + i) % self.n_threads
            while True:
                tile = self.tile_start[other] + pool_take(self.queue(other))
                if tile >= self.tile_start[other + 1]:
                    break
                self.do_tile(tile, thread)

    cdef void do_tile(self, int64_t i, int64_t thread) noexcept nogil:
        """The gradient of a tile, and what the phase makes of it."""
        cdef void *scratch = self.scratch + thread * self.scratch_size
        if self.c.gradient == NULL:
            self.norms[i] = self.kernels.update_tile(&self.c, &self.tiles[i], scratch)
            return
        self.kernels.store_tile(&self.c, &self.tiles[i], scratch)
        if not self.c.adds_gradient:
            self.norms[i] = self.kernels.finish_tile(&self.c, &self.tiles[i], &self.gradient_squares[i])

    cdef pool_t *queue(self, int64_t thread) noexcept nogil:
        """The tiles of a thread that nobody has taken yet in this step, as numbers from its first tile on."""
        return <pool_t *> (self.queues + thread * QUEUE_BYTES)

    cdef void finish_phase(self, int64_t thread) noexcept nogil:
        """The stored gradient from the sum over the rows to that of the mean loss with the penalty."""
        cdef int64_t i, lo, hi
        self.tiles_of_piece(thread, &lo, &hi)
        for i in range(lo, hi):
            self.norms[i] = self.kernels.finish_tile(&self.c, &self.tiles[i], &self.gradient_squares[i])

    cdef void transform_phase(self, int64_t phase, int64_t thread) noexcept nogil:
        """Phase `phase`, from 0, of the transforms of the gradients of whole blocks. The blocks are divided into parts
        by their shapes, and a thread that is free takes the next part of all."""
        cdef int64_t i
        cdef share_t share
        share_init(&share, &self.transform_pools[phase], self.part_end)
        for i in range(self.n_transformed):
            self.kernels.transform_gradient(&self.c, self.transformed[i], phase,
                                            self.transform_scratch + self.transform_place[i], &share)
        if thread == 0:
            self.n_parts = share.chunk

    cdef void begin_parts(self, int64_t phase) noexcept nogil:
        """Have the next `parts_at_once` parts done when a phase of the transforms is run."""
        pool_begin_at(&self.transform_pools[phase - self.first_update - 1], self.part_end)
        self.part_end += self.parts_at_once

    cdef void update_phase(self, int64_t phase, int64_t thread) noexcept nogil:
        """UPDATE: the updates from the stored gradient. The first phase after FINISH, which is UPDATE if no gradients
        are transformed, limits the norm of the gradient before."""
        cdef int64_t i
        cdef double factor = self.clip_factor if phase == self.first_update else 1
        if phase < UPDATE and thread == 0:
            for i in range(UPDATE - phase - 1):
                pool_begin_at(&self.transform_pools[i], 0)
        for i in range(self.tile_start[thread], self.tile_start[thread + 1]):
            if factor != 1:
                self.kernels.limit_gradient(&self.c, &self.tiles[i], factor)
            if phase == UPDATE:
                self.kernels.update_from_gradient(&self.c, &self.tiles[i])

    cdef void limit_phase(self, int64_t thread) noexcept nogil:
        """The columns that are too long."""
        cdef int64_t i
        cdef void *scratch = self.scratch + thread * self.scratch_size
        for i in range(self.limit_start[thread], self.limit_start[thread + 1]):
            self.kernels.limit_columns(&self.c, &self.limit_tiles[i], self.max_norm, scratch)

    cdef void prepare_update(self) noexcept nogil:
        """Called by one thread before the updates from the stored gradient: the factor that brings its norm to
        `clip_norm`, if it is larger. The squares of the tiles are added up in their order."""
        cdef double total = 0, norm
        cdef int64_t i
        self.clip_factor = 1
        if isinf(self.clip_norm):
            return
        for i in range(self.n_tiles):
            total += self.gradient_squares[i]
        norm = sqrt(total)
        if isinf(total):  # squares too large for the type, of numbers that need not be
            norm = self.kernels.norm(self.c.gradient, self.c.program.n_params)
        if norm > self.clip_norm:
            self.clip_factor = self.clip_norm / norm

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
            self.loss_function(*self.batch_targets(), self.batch_view("value", self.values),
                               self.batch_view("grad", self.grads), self.row_loss[:self.c.n])
        return 0

    cdef tuple batch_targets(self):
        """The targets and the sample weights (or None) of the rows of the batch."""
        rows, weight = self.batch_rows(), self.data.sample_weight
        if self.c.mixup.share > 0:
            return mixed_targets(self.data, rows, self.partner_rows(), self.c.mixup.share)
        return self.data.targets(rows), None if weight is None else weight[rows]

    cdef batch_rows(self):
        """The rows of the batch, as an index into the data: a slice, or row numbers."""
        cdef int64_t[::1] order
        if self.c.rows == NULL:
            return slice(self.c.start, self.c.start + self.c.n)
        order = <int64_t[:self.c.n]> (<int64_t *> self.c.rows + self.c.start)
        return np.asarray(order)

    cdef partner_rows(self):
        """The row numbers of the partners of the rows of the batch, in mixup."""
        cdef int64_t[::1] whole = <int64_t[:self.c.mixup.n]> (<int64_t *> self.c.rows + self.c.batch_start)
        first = self.c.start - self.c.batch_start + self.c.mixup.distance
        return np.take(whole, np.arange(first, first + self.c.n), mode="wrap")

    def batch_view(self, field, buffer):
        """A view of the output node's values or gradients for the rows of the batch."""
        node = self.program.nodes[self.program.c.output]
        width, begin = int(node["width"]), int(node[field]) * self.capacity
        return buffer[begin:begin + self.c.n * width].reshape(self.c.n, width)

    cdef bint set_batch(self, int64_t start, int64_t n) noexcept nogil:
        """Make rows [start, start + n) of the order the batch. False when all of their weights are zero."""
        cdef int64_t r, row
        if n != self.c.n:
            self.divide_rows(n)
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
        """``alpha / 2 * sum of squared parameters + l1 * sum of magnitudes`` before the last update, over all groups;
        in tile order."""
        cdef double total = 0
        cdef int64_t i
        cdef norms_t *group
        memset(self.group_norms, 0, self.n_groups * sizeof(norms_t))
        for i in range(self.n_tiles):
            group = &self.group_norms[self.tile_group[i]]
            group.squares += self.norms[i].squares
            group.magnitudes += self.norms[i].magnitudes
        for i in range(self.n_groups):
            total += 0.5 * self.c.groups[i].penalty * self.group_norms[i].squares
            total += self.c.groups[i].l1 * self.group_norms[i].magnitudes
        return total

    cdef void prepare_optimizer(self, double learning_rate, int64_t step) noexcept nogil:
        """Set the learning rate of step number `step`, counted from 1, and what the optimizers and the average make of
        the number."""
        cdef int64_t i
        if self.c.average != NULL:
            self.c.average_rate = (1 - self.average_decay) / (1 - pow(self.average_decay, step - self.average_begin))
        for i in range(self.n_optimizers):
            self.optimizers[i].learning_rate = learning_rate
            self.kernels.prepare_optimizer(&self.optimizers[i], step)

    cdef void set_factors(self, double decay, double dropout) noexcept nogil:
        """Have weight decay and the rates of dropout multiplied by these factors in the coming steps."""
        cdef int64_t i
        self.c.dropout_factor = dropout
        if decay == self.decay_factor:
            return
        self.decay_factor = decay
        for i in range(self.n_groups):
            self.groups[i].decay = self.decays[i] * decay

    cdef void complete_step(self) noexcept nogil:
        """A step is complete: from now on the optimizers' memory is that after it, and so are running statistics."""
        cdef int64_t i, k
        for i in range(self.n_optimizers):
            for k in range(MAX_MEMORY):
                self.optimizers[i].memory[k] = self.optimizers[i].next_memory[k]
        if self.n_reductions:
            self.kernels.keep_statistics(&self.c, 0)
