"""The training step over a table of layers, and the loops around it that need no Python.

Who owns what:

* `Data` borrows the user's arrays and never writes to them.
* `Plan` owns a workspace for one network, one data set and one batch size: activations, deltas, copies of W^T,
  gradient strips. It borrows the flat parameter and optimizer arrays, and overwrites them.
* The loops below own the order of the rows.

The step itself is in `step.h`. Here the work of one step is dealt to the threads: phase 1 by rows of the batch,
phase 2 by tiles of weights, and every number that a thread computes is the same whoever computes it, so that
models do not depend on the number of threads. One thread leads: it chooses the batch, counts the loss, and
decides; the others follow. The threads live as long as one call: nothing survives that a fork could break.
"""

import threading

import numpy as np

from cpython.exc cimport PyErr_CheckSignals
from libc.math cimport INFINITY, isfinite, pow, sqrt
from cpython.pythread cimport (
    PyThread_acquire_lock, PyThread_allocate_lock, PyThread_free_lock, PyThread_release_lock,
)
from libc.stdint cimport int32_t, int64_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free

from fastbp.kernels.dispatch cimport (
    UPDATE_accumulate, UPDATE_adam, kernels_for, layer_t,
)

from fastbp.kernels.dispatch import ACTIVATIONS, CANONICAL_ACTIVATION, LOSSES, N_STATES, NEEDS_PREACTIVATION, UPDATES

cdef extern from "Python.h":
    void *PyCapsule_GetPointer(object capsule, const char *name) except NULL

# NumPy's documented C interface to bit generators (numpy/random/bitgen.h).
ctypedef struct bitgen_t:
    void *state
    uint64_t (*next_uint64)(void *st) noexcept nogil
    uint32_t (*next_uint32)(void *st) noexcept nogil
    double (*next_double)(void *st) noexcept nogil
    uint64_t (*next_raw)(void *st) noexcept nogil

#: why `train` came back
COMPLETED, OUT_OF_PATIENCE, DIVERGED = 0, 1, 2

cdef int64_t FLOPS_BETWEEN_SIGNAL_CHECKS = 200_000_000  # a tenth of a second on a slow core
# Between these the team and one thread are timed against each other while training goes on; above, the team is sure
# to pay, and steps are too few to try.
cdef double FLOPS_WORTH_SHARING = 100_000_000.0
cdef int64_t TRIAL_STEPS = 8
cdef int64_t WATCHED_STEPS = 64
cdef int64_t STEPS_BETWEEN_TRIALS = 512
cdef int64_t LONGEST_BACKOFF = 65536
cdef int64_t ALIGNMENT = 16  # elements: 64 bytes of float
cdef int64_t ROW_BLOCK = 64
# A tile is a whole number of register blocks high, and holds at least so many weights, where the layer has them.
cdef int64_t TILE_ROWS = 8
cdef int64_t TILE_WEIGHTS = 512


cdef const void *address(array) except? NULL:
    """Where the elements of a C-contiguous array begin."""
    cdef const unsigned char[::1] view = array.reshape(-1).view(np.uint8)
    return &view[0] if view.shape[0] else NULL


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
            self.c.indptr = <const int64_t *> address(indptr)
            self.c.indices = address(indices)
            self.c.index_bytes = indices.dtype.itemsize
        else:
            values = X
            self.n_rows, self.n_features = X.shape
        self.n_outputs = n_outputs
        self.dtype = values.dtype
        self.arrays = (values, indices, indptr, Y, labels, sample_weight)
        for array in self.arrays:
            if array is not None and not array.flags.c_contiguous:
                raise ValueError("every array of Data must be C-contiguous; use numpy.ascontiguousarray")
        self.c.X = address(values)
        if Y is not None:
            self.c.Y = address(Y)
        if labels is not None:
            self.c.labels = <const int64_t *> address(labels)
        if sample_weight is not None:
            self.c.sample_weight = <const double *> address(sample_weight)

    @property
    def sample_weight(self):
        """ndarray of shape (n,) or None."""
        return self.arrays[5]

    cdef int64_t largest_batch(self, int64_t batch_size) except -1:
        """The most non-zeros that `batch_size` rows can hold."""
        lengths = np.diff(self.arrays[2])
        if batch_size < self.n_rows:
            lengths = np.partition(lengths, self.n_rows - batch_size)[self.n_rows - batch_size:]
        return int(lengths.sum())


cdef class Patience:
    """Counts the observations in a row that were not better than the best by `tol`; smaller is better.

    Attributes
    ----------
    best : float
        The smallest value noted.
    tol : float
        An observation counts as no improvement when it is above ``best - tol``.
    limit : float
        Patience is exhausted when the count exceeds this; may be inf.
    count : int
        Observations in a row without improvement.

    Notes
    -----
    scikit-learn's rule, for a loss as it stands and for a score with its sign changed. NaN neither improves nor
    counts.
    """

    def __init__(self, double tol, double limit, double best=INFINITY):
        self.tol, self.limit, self.best, self.count = tol, limit, best, 0

    cdef bint note(self, double value) noexcept nogil:
        self.count = self.count + 1 if value > self.best - self.tol else 0
        if value < self.best:
            self.best = value
            return True
        return False

    cdef bint exhausted(self) noexcept nogil:
        return self.count > self.limit

    def observe(self, double value):
        """Note one value; True when it is the best so far."""
        return self.note(value)

    @property
    def is_exhausted(self):
        """bool: has the count exceeded the limit?"""
        return self.exhausted()

    def __reduce__(self):
        return _restore_patience, (self.tol, self.limit, self.best, self.count)


def _restore_patience(tol, limit, best, count):
    patience = Patience(tol, limit, best)
    patience.count = count
    return patience


cdef uint64_t bounded(bitgen_t *generator, uint64_t most) noexcept nogil:
    """A uniform integer in [0, most]: NumPy's legacy masked rejection, draw for draw."""
    cdef uint64_t mask = most, value
    if most == 0:
        return 0
    mask |= mask >> 1
    mask |= mask >> 2
    mask |= mask >> 4
    mask |= mask >> 8
    mask |= mask >> 16
    mask |= mask >> 32
    while True:
        if most >> 32 == 0:
            value = generator.next_uint32(generator.state)
        else:
            value = generator.next_uint64(generator.state)
        value &= mask
        if value <= most:
            return value


cdef void shuffle_rows(bitgen_t *generator, int64_t *rows, int64_t n) noexcept nogil:
    """Fisher-Yates as ``RandomState.shuffle`` does it. In place on the rows of the last epoch: that is the
    composition of permutations that scikit-learn's ``sample_idx[shuffled arange]`` amounts to."""
    cdef int64_t i, j, held
    for i in range(n - 1, 0, -1):
        j = <int64_t> bounded(generator, <uint64_t> i)
        held = rows[i]
        rows[i] = rows[j]
        rows[j] = held


cdef bitgen_t *bit_generator(random_state) except NULL:
    return <bitgen_t *> PyCapsule_GetPointer(random_state._bit_generator.capsule, "BitGenerator")


def shuffle(random_state, int64_t[::1] rows):
    """Shuffle `rows` in place exactly as ``random_state.shuffle(rows)``, without the GIL.

    Parameters
    ----------
    random_state : numpy.random.RandomState
    rows : ndarray of int64 of shape (n,)
    """
    cdef bitgen_t *generator = bit_generator(random_state)
    with random_state._bit_generator.lock, nogil:
        if rows.shape[0]:
            shuffle_rows(generator, &rows[0], rows.shape[0])


cdef class Plan:
    """One network bound to one data set, ready to step.

    Parameters
    ----------
    layers : ndarray of int64 of shape (n_layers, 5)
        fan_in, fan_out, offset of W, offset of b, number of the activation; a row for each dense layer.
    params : ndarray of shape (n_params,)
        Flat parameters; overwritten by updates.
    loss : str or None
        A name in LOSSES; None for forward passes only.
    data : Data
    capacity : int
        The largest batch.
    gathers : bool
        Whether batches are picked through an index (else they are slices of the data).
    n_threads : int
        Threads that share each step.
    """

    def __init__(self, const int64_t[:, ::1] layers, params, loss, Data data, int64_t capacity, bint gathers,
                 int64_t n_threads=1):
        cdef int64_t n_layers = layers.shape[0], size = 0, layer, width
        cdef bint is_double = params.dtype == np.float64
        self.kernels = kernels_for(is_double)
        self.data, self.capacity, self.n_threads = data, capacity, n_threads
        self.backward = loss is not None

        # the layer table with the places in the workspace
        table = np.empty((n_layers, 9), np.int64)
        lanes = self.kernels.vector_bytes // params.dtype.itemsize
        needs_z = {ACTIVATIONS[name] for name in NEEDS_PREACTIVATION}

        def place(count):
            nonlocal size
            offset = size
            size += -(-count // ALIGNMENT) * ALIGNMENT
            return offset

        self.c.x = place(capacity * layers[0, 0]) if gathers and data.c.indptr == NULL else 0
        self.c.y = place(capacity * layers[n_layers - 1, 1]) if self.backward else 0
        for layer in range(n_layers):
            width = capacity * layers[layer, 1]
            a = place(width)
            z = place(width) if self.backward and layers[layer, 4] in needs_z else a
            delta = place(width) if self.backward else -1
            # the backward pass reads W^T, except for the input's gradient; so does the forward pass of a narrow layer
            reads_transposed = self.backward and (layer > 0 or 4 * layers[layer, 1] <= lanes)
            transposed = place(layers[layer, 0] * layers[layer, 1]) if reads_transposed else -1
            table[layer, :5] = layers[layer]
            table[layer, 5:] = a, z, delta, transposed
        workspace = np.empty(size, params.dtype)
        row_loss = np.zeros(capacity)
        self.arrays = (table, params, workspace, row_loss)

        self.c.layers = <const layer_t *> address(table)
        self.c.n_layers = n_layers
        self.c.params = <void *> address(params)
        self.c.workspace = <void *> address(workspace)
        self.c.row_loss = <double *> address(row_loss)
        self.c.data = data.c
        self.c.row_block = ROW_BLOCK
        if self.backward:
            self.c.loss = LOSSES[loss]
            self.c.canonical = ACTIVATIONS[CANONICAL_ACTIVATION[loss]] == layers[n_layers - 1, 4]
            self.plan_tiles(layers)
            if data.c.indptr != NULL:
                self.plan_sparse()
        # rows are dealt out in whole register blocks
        cdef int64_t block = self.kernels.block_rows
        self.row_chunk = -(-(-(-capacity // n_threads)) // block) * block
        flops = 6 * capacity * sum(int(fan_in) * int(fan_out) for fan_in, fan_out in np.asarray(layers)[:, :2])
        self.signal_interval = max(1, FLOPS_BETWEEN_SIGNAL_CHECKS // max(flops, 1))
        self.measures = self.backward and n_threads > 1 and flops < FLOPS_WORTH_SHARING
        self.stage, self.steps_left, self.backoff = TRY_TEAM, TRIAL_STEPS, STEPS_BETWEEN_TRIALS
        self.plan_parking()

    def __dealloc__(self):
        cdef int64_t thread
        if self.parking != NULL:
            for thread in range(1, self.n_threads):
                if self.parking[thread] != NULL:
                    PyThread_free_lock(self.parking[thread])
            free(self.parking)

    def plan_parking(self):
        """A lock for each follower to rest at."""
        cdef int64_t thread
        self.parking = <PyThread_type_lock *> calloc(self.n_threads, sizeof(PyThread_type_lock))
        if self.parking == NULL:
            raise MemoryError
        for thread in range(1, self.n_threads):
            self.parking[thread] = PyThread_allocate_lock()
            if self.parking[thread] == NULL:
                raise MemoryError
            PyThread_acquire_lock(self.parking[thread], 1)

    def plan_tiles(self, const int64_t[:, ::1] layers):
        """Cut the weights into tiles, and deal runs of tiles of about equal work to the threads."""
        cdef int64_t layer, begin
        tiles, work = [], []
        for layer in range(layers.shape[0]):
            rows = TILE_ROWS * max(1, -(-TILE_WEIGHTS // (TILE_ROWS * layers[layer, 1])))
            for begin in range(0, layers[layer, 0], rows):
                end = min(begin + rows, layers[layer, 0])
                tiles.append((layer, begin, end))
                work.append((end - begin) * layers[layer, 1])
        done = np.cumsum(work)
        shares = np.searchsorted(done, done[-1] * np.arange(1, self.n_threads) / self.n_threads)
        table = np.array(tiles, np.int64)
        starts = np.array([0, *shares, len(tiles)], np.int64)
        squares = np.zeros(len(tiles))
        itemsize = self.arrays[1].dtype.itemsize
        self.scratch_size = (2 * max(work) * itemsize + 127) // 64 * 64
        scratch = np.empty(self.scratch_size * self.n_threads, np.uint8)
        self.n_tiles = len(tiles)
        self.tiles = <tile_t *> address(table)
        self.tile_start = <int64_t *> address(starts)
        self.tile_squares = <double *> address(squares)
        self.scratch = <char *> address(scratch)
        self.arrays += (table, starts, squares, scratch)

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

    # The threads

    cdef void phase_one(self, int64_t thread) noexcept nogil:
        cdef int64_t lo = thread * self.row_chunk, hi = lo + self.row_chunk, r
        if hi > self.c.n:
            hi = self.c.n
        if lo >= hi:
            return
        if not self.backward:
            self.kernels.forward_rows(&self.c, lo, hi)
            return
        self.kernels.forward_backward_rows(&self.c, lo, hi)
        for r in range(lo, hi):
            if not isfinite(self.c.row_loss[r]):
                team_set_overflow(&self.team, 1)

    cdef void phase_two(self, int64_t thread) noexcept nogil:
        cdef int64_t t
        cdef void *scratch = self.scratch + thread * self.scratch_size
        for t in range(self.tile_start[thread], self.tile_start[thread + 1]):
            self.tile_squares[t] = self.kernels.update_tile(&self.c, &self.tiles[t], scratch)

    cdef bint take_part(self, int64_t thread, int64_t step) noexcept nogil:
        """One thread's share of one step. False when the step was abandoned: the loss and its derivative are no
        longer finite, and the weights are left as they were."""
        self.phase_one(thread)
        if not self.backward:
            return True
        if thread == self.n_threads - 1 and self.c.data.indptr != NULL:
            self.kernels.sparse_columns(&self.c)
        team_meet(&self.team, step, self.n_threads)
        if team_overflow(&self.team) and not self.kernels.deltas_finite(&self.c):
            return False
        self.phase_two(thread)
        return True

    cdef void follow(self, int64_t thread) noexcept nogil:
        cdef unsigned long long mode = flush_denormals()
        cdef int64_t step = 0
        while True:
            step += 1
            team_await_publication(&self.team, step)
            if self.order == QUIT:
                break
            if self.order == PARK:
                team_skip_meeting(&self.team)
                PyThread_acquire_lock(self.parking[thread], 1)
            else:
                self.take_part(thread, step)
            team_finish(&self.team)
        restore_denormals(mode)

    cdef void give_order(self, int order) noexcept nogil:
        """Release the followers into their next step: a share of the work, a rest, or the way home."""
        self.order = order
        self.step_number += 1
        team_publish(&self.team)

    cdef bint share_step(self) except -1 nogil:
        """One step of the whole team over the batch that is set."""
        cdef bint complete
        if not self.started:
            with gil:
                self.start_followers()
        if self.order == PARK:
            self.unpark()
        self.give_order(WORK)
        complete = self.take_part(0, self.step_number)
        team_await_finish(&self.team, self.step_number, self.n_threads)
        return complete

    cdef void unpark(self) noexcept nogil:
        """Wake the resting followers up."""
        cdef int64_t thread
        for thread in range(1, self.n_threads):
            PyThread_release_lock(self.parking[thread])
        team_await_finish(&self.team, self.step_number, self.n_threads)
        self.order = WORK

    cdef bint step_alone(self) noexcept nogil:
        """The same step by one thread: every thread's rows, then every thread's tiles."""
        cdef int64_t thread
        for thread in range(self.n_threads):
            self.phase_one(thread)
        if not self.backward:
            return True
        if self.c.data.indptr != NULL:
            self.kernels.sparse_columns(&self.c)
        if team_overflow(&self.team) and not self.kernels.deltas_finite(&self.c):
            return False
        for thread in range(self.n_threads):
            self.phase_two(thread)
        return True

    cdef bint lead(self) except -1 nogil:
        """One step over the batch that is set, by the team or alone. False when it was abandoned."""
        cdef double begin
        cdef bint complete
        team_set_overflow(&self.team, 0)
        if not self.measures:
            return self.step_alone() if self.n_threads == 1 else self.share_step()
        begin = now()
        if self.alone:
            if self.started and self.order == WORK:
                self.give_order(PARK)
                team_skip_meeting(&self.team)
            complete = self.step_alone()
        else:
            complete = self.share_step()
        self.compare(now() - begin)
        return complete

    cdef void compare(self, double seconds) noexcept nogil:
        """Time a few steps of the team and a few alone, go on with what was faster, and try again after a while.

        Whether a second thread pays depends on the size of the step and on what else the machine is doing: below some
        megaflops the threads spend more time on each other's cache lines than they save, and a team whose members
        have to wait for a processor is slower than one thread. Neither can be known beforehand, and the choice has no
        influence on the result. While the team works it is watched: when a stretch of its steps takes longer than
        one thread would have, one thread goes on, each time for twice as long.
        """
        if self.steps_left < TRIAL_STEPS or self.stage == DECIDED:  # a trial's first step wakes the followers up
            self.spent[self.stage] += seconds
        self.steps_left -= 1
        if self.stage == DECIDED and not self.alone and self.steps_left % WATCHED_STEPS == 0:
            if self.spent[DECIDED] > self.spent[TRY_ALONE] * WATCHED_STEPS / (TRIAL_STEPS - 1):
                self.alone = True
                self.steps_left = self.backoff
                self.backoff = min(2 * self.backoff, LONGEST_BACKOFF)
            self.spent[DECIDED] = 0
        if self.steps_left > 0:
            return
        if self.stage == DECIDED:
            self.stage, self.alone, self.steps_left = TRY_TEAM, False, TRIAL_STEPS
            self.spent[TRY_TEAM] = self.spent[TRY_ALONE] = self.spent[DECIDED] = 0
        elif self.stage == TRY_TEAM:
            self.stage, self.alone, self.steps_left = TRY_ALONE, True, TRIAL_STEPS
        else:
            self.stage, self.alone = DECIDED, self.spent[TRY_ALONE] < self.spent[TRY_TEAM]
            self.steps_left = STEPS_BETWEEN_TRIALS
            if self.alone:
                self.steps_left = self.backoff
                self.backoff = min(2 * self.backoff, LONGEST_BACKOFF)

    def _follow(self, int64_t thread):
        with nogil:
            self.follow(thread)

    def start_followers(self):
        """Start all threads but the one that leads."""
        self.started = True
        for i in range(1, self.n_threads):
            thread = threading.Thread(target=self._follow, args=(i,), name=f"fastbp-{i}", daemon=True)
            thread.start()
            self.threads.append(thread)

    def __enter__(self):
        """Get ready for steps; the followers start with the first step that is shared."""
        team_init(&self.team)
        self.step_number, self.order, self.started, self.steps_since_check = 0, WORK, False, 0
        self.threads = []
        self.denormal_mode = flush_denormals()
        return self

    def __exit__(self, *exception):
        """Send the followers home."""
        if self.order == PARK:
            self.unpark()
        self.give_order(QUIT)
        restore_denormals(self.denormal_mode)
        for thread in self.threads:
            thread.join()

    # The batch

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

    cdef int check_signals(self) except -1 nogil:
        """Every so many steps, let Python see whether somebody pressed Ctrl-C."""
        self.steps_since_check += 1
        if self.steps_since_check >= self.signal_interval:
            self.steps_since_check = 0
            with gil:
                PyErr_CheckSignals()
        return 0

    cdef void refresh_transposed(self) noexcept nogil:
        """Bring the copies of W^T up to the parameters, which the user may have edited since the last call."""
        cdef int64_t layer
        for layer in range(self.c.n_layers):
            self.kernels.transpose_layer(&self.c, layer)

    cdef int run_forward(self) except -1 nogil:
        cdef int64_t start = 0
        while start < self.data.n_rows:
            self.set_batch(start, min(self.capacity, self.data.n_rows - start))
            self.lead()
            self.check_signals()
            start += self.capacity
        return 0

    cdef double run_gradient(self) except? -1 nogil:
        """The summed loss, inf when it is not finite; the gradients are accumulated."""
        cdef int64_t start = 0
        cdef double total = 0
        self.refresh_transposed()
        while start < self.data.n_rows:
            self.set_batch(start, min(self.capacity, self.data.n_rows - start))
            self.c.weight_sum = 1
            if not self.lead():
                return INFINITY
            total += self.batch_loss()
            self.check_signals()
            start += self.capacity
        return total

    cdef int run_epoch(self, int64_t n_train, double rate, double loss_scale, double *loss) except -1 nogil:
        """One pass over the batches. Writes the mean loss, and returns whether training can go on."""
        cdef int64_t start = 0, size, i
        cdef double total = 0, penalty
        cdef bint stepping = True
        cdef update_t *update = &self.c.update
        while start < n_train and stepping:
            size = min(self.capacity, n_train - start)
            if self.set_batch(start, size):
                update.learning_rate = rate
                if update.kind == UPDATE_adam:  # bias corrections of step t + 1
                    update.learning_rate *= (sqrt(1 - pow(update.beta_2, <double> (self.t + 1)))
                                             / (1 - pow(update.beta_1, <double> (self.t + 1))))
                stepping = self.lead()
                penalty = 0
                if stepping:
                    self.t += 1
                    for i in range(self.n_tiles):
                        penalty += self.tile_squares[i]
                total += size * (loss_scale * self.batch_loss() + 0.5 * update.alpha * penalty) / self.c.weight_sum
                self.check_signals()
            start += self.capacity
        loss[0] = total / n_train
        return stepping

    # What callers ask for

    def forward(self, out):
        """The network's output for all rows of the data.

        Parameters
        ----------
        out : ndarray of shape (n, n_outputs), C-contiguous
            Overwritten.
        """
        self.c.out = <void *> address(out)
        with self, nogil:
            self.run_forward()

    def loss_and_gradient(self, gradient):
        """Sum over the rows of the weighted loss, and of its gradient.

        Parameters
        ----------
        gradient : ndarray of shape (n_params,)
            Laid out as the parameters; overwritten.

        Returns
        -------
        float
            inf when the loss and its gradient are not finite; the gradient is then NaN.

        Notes
        -----
        The rows pass in slices of `capacity` rows, whose gradients are added up in that order.
        """
        cdef double total = 0
        gradient[...] = 0
        self.c.state[0] = <void *> address(gradient)
        self.c.update.kind = UPDATE_accumulate
        self.c.update.alpha = 0
        with self, nogil:
            total = self.run_gradient()
        if not isfinite(total):
            gradient[...] = np.nan
        return total

    def train(self, rows, random_state, optimizer, double alpha, double loss_scale, const double[::1] rates,
              double[::1] losses, Patience patience=None, lock=None):
        """Epochs of gradient descent, until all are done, patience is exhausted, or the loss is no longer finite.

        Parameters
        ----------
        rows : ndarray of int64 of shape (n_train,) or None
            The rows of the data to train on, in the order of the last epoch; shuffled in place before each epoch
            when `random_state` is given. None: all rows as they stand.
        random_state : RandomState or None
        optimizer : fastbp.training.optimizers.Optimizer
            Its state arrays and its count of steps are updated.
        alpha : float
            L2 penalty.
        loss_scale : float
            Factor of the data's share in the losses that are reported (never in the gradient).
        rates : ndarray of shape (n_epochs,)
            Learning rate of each epoch.
        losses : ndarray of shape (n_epochs,)
            Overwritten: the mean loss of each epoch.
        patience : Patience or None
            Notes the loss of every epoch.
        lock : lock or None
            Held while rows are shuffled; needed when others draw from the same generator.

        Returns
        -------
        n_epochs : int
            Epochs whose loss was written, the last of them unfinished if the loss diverged.
        status : int
            COMPLETED, OUT_OF_PATIENCE or DIVERGED.

        Raises
        ------
        KeyboardInterrupt
            Between two steps; the weights are those of the last whole step.
        """
        cdef bitgen_t *generator = NULL
        cdef int64_t *order = NULL
        cdef int64_t n_train = self.data.n_rows, n_epochs = rates.shape[0], epoch = 0, i
        cdef int status = 0
        cdef bint shared = lock is not None
        if rows is not None:
            order = <int64_t *> address(rows)
            n_train = rows.shape[0]
        if random_state is not None:
            generator = bit_generator(random_state)
        self.c.rows = order
        self.c.update = dict(kind=UPDATES[optimizer.name], alpha=alpha, learning_rate=0, momentum=optimizer.momentum,
                             nesterov=optimizer.nesterovs_momentum, beta_1=optimizer.beta_1,
                             beta_2=optimizer.beta_2, epsilon=optimizer.epsilon)
        for i in range(N_STATES[optimizer.name]):
            self.c.state[i] = <void *> address(optimizer.state[i])
        self.t = optimizer.t
        try:
            with self, nogil:
                self.refresh_transposed()
                while epoch < n_epochs and status == 0:
                    if generator != NULL:
                        if shared:
                            with gil:
                                lock.acquire()
                        shuffle_rows(generator, order, n_train)
                        if shared:
                            with gil:
                                lock.release()
                    if not self.run_epoch(n_train, rates[epoch], loss_scale, &losses[epoch]):
                        status = 2
                    elif patience is not None:
                        patience.note(losses[epoch])
                        if patience.exhausted():
                            status = 1
                    epoch += 1
        finally:
            optimizer.t = self.t
        return epoch, status
