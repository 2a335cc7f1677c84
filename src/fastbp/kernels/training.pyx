"""The training loop and the full-batch gradient of one network and data set; no Python runs between two steps."""

import numpy as np

from libc.math cimport NAN, isnan
from libc.stdint cimport INT64_MAX, int64_t
from libc.string cimport memset

from fastbp.kernels.data cimport address, are_below
from fastbp.kernels.patience cimport Patience
from fastbp.kernels.plan cimport FINISH, FORWARD, LIMIT, UPDATE, Plan
from fastbp.kernels.processor cimport flush_denormals, now, restore_denormals
from fastbp.kernels.shuffling cimport bit_generator, bitgen_t, shuffle_rows
from fastbp.kernels.team cimport Team
from fastbp.kernels.team_tuner cimport TeamTuner

from fastbp.kernels.data import check
from fastbp.kernels.interrupts import check_signals
from fastbp.kernels.partition import ceil_div
from fastbp.kernels.slicing import units_between_checks

# why `TrainingLoop.train` ended
cpdef enum:
    COMPLETED
    OUT_OF_PATIENCE
    DIVERGED
    GREW

#: An epoch whose mean loss is more than so many times the first one ends training.
GROWTH = 1e6
cdef double growth_limit = GROWTH
# Lower bound of the first loss in this comparison: a network may start with a perfect fit.
cdef double SMALL_LOSS = 1e-3
# Steps of more operations are always shared: the team is faster, and there are too few steps to try one thread.
cdef double FLOPS_SURELY_SHARED = 100_000_000.0
# Longest time to wait for the workers before such a step is done by one thread
cdef double ARRIVAL_SECONDS = 0.005


cdef class TrainingLoop:
    """Training loop and full-batch gradient for one network and data set.

    A context manager: the threads of its team live inside the ``with`` block, and wait between two calls. A call
    outside of such a block starts threads of its own.

    Parameters
    ----------
    plan : Plan
        The network, the data and the workspace.
    team : Team or None
        A team to run steps with, of as many threads as the plan is made for. None: one of its own.

    Attributes
    ----------
    plan : Plan
    team : Team
    tuner, tuner_beside_reader : TeamTuner
        Choose between one thread and the team where a step is not large. The second one does while another thread
        reads rows and takes a processor from the team: then one thread may be faster, and only then.
    first_loss : float
        Mean loss of the first batch trained on, before any step; NaN before. The losses of epochs are compared with it;
        may be set to a better estimate.
    epochs_done : int
        Whole epochs of the last call of `train`.
    n_steps : int
        Updates of the parameters, counted on from `set_optimizer`.

    Notes
    -----
    Python may deliver signals between two steps: see `check_signals`. A batch of more rows than the plan's
    `capacity` is processed in slices, and signals may be delivered between two slices too; the weights change at the
    end of the batch. Which batches are sliced depends on the shapes only. A batch of many rows that must pass at once,
    and an update that takes long, are worked on in pieces, between which an exception abandons the step.
    """

    def __init__(self, Plan plan, Team team=None):
        if team is not None and team.n_threads != plan.n_threads:
            raise ValueError(f"team has {team.n_threads} threads, the plan is made for {plan.n_threads}")
        self.plan, self.team, self.tuner = plan, Team(plan.n_threads) if team is None else team, TeamTuner()
        self.tuner_beside_reader = TeamTuner()
        flag_set(&self.reads, False)
        # the owner of a team decides whether it works
        self.is_tuned = team is None and plan.n_threads > 1 and plan.flops < FLOPS_SURELY_SHARED
        self.check_interval = units_between_checks(plan.step_cost)
        self.first_loss = NAN
        # where the gradients of slices are added up
        self.gradient_array = np.empty(len(plan.params) if plan.capacity < plan.batch_size else 0, plan.params.dtype)
        self.gradient, self.gradient_bytes = address(self.gradient_array, True), self.gradient_array.nbytes

    def __enter__(self):
        self.team.__enter__()
        if not self.is_tuned and self.team.n_contexts == 1:
            with nogil:
                self.team.await_arrivals(ARRIVAL_SECONDS)
        return self

    def __exit__(self, *exception):
        self.team.__exit__(*exception)

    def note_reading(self, bint reads):
        """Note that another thread reads rows from now on, or that it waits. It calls this itself.

        Parameters
        ----------
        reads : bool
        """
        flag_set(&self.reads, reads)

    # One step

    cdef bint run_step(self) except -1 nogil:
        """One step over the batch that is set. False when it was abandoned."""
        cdef double begin
        cdef bint is_whole, reads
        if not self.is_tuned or not self.team.is_complete():
            return self.run_phases()
        reads = flag_is_set(&self.reads)
        self.team.alone = self.tuner_beside_reader.alone if reads else self.tuner.alone
        begin = now()
        is_whole = self.run_phases()
        if reads:
            self.tuner_beside_reader.note(begin, now())
        else:
            self.tuner.note(begin, now())
        return is_whole

    cdef bint run_phases(self) except -1 nogil:
        """The phases of a step; where gradients are added up, without the update."""
        cdef int64_t first = self.plan.first_phase
        self.plan.c.is_shared = self.team.is_working()
        if self.plan.loss_function is not None:
            self.run_before_update(first, self.plan.middle_phase)
            self.run_before_update(FORWARD, FORWARD + 1)
            self.call_loss()
            first = self.plan.middle_phase
        if not self.run_before_update(first, FINISH):
            return False
        if self.plan.c.gradient == NULL:
            if LIMIT < self.plan.end_of_step:
                self.team.run(self.plan, LIMIT, self.plan.end_of_step)
        elif not self.plan.c.adds_gradient:
            self.run_update()
        return True

    cdef bint run_before_update(self, int64_t begin, int64_t end) except -1 nogil:
        """The phases [begin, end) of those up to the update. Where they would take long, Python may deliver signals
        between two pieces of a phase; an exception abandons the step. False when it diverged."""
        cdef int64_t phase, piece
        cdef bint is_whole
        if self.plan.n_pieces == 1:
            return self.team.run(self.plan, begin, end)
        for phase in range(begin, end):
            for piece in range(self.plan.n_pieces):
                self.plan.piece, self.plan.pieces = piece, self.plan.n_pieces
                is_whole = self.team.run(self.plan, phase, phase + 1)
                self.plan.piece, self.plan.pieces = 0, 1
                if not is_whole:
                    return False
                self.deliver_signals()
        return True

    cdef int run_update(self) except -1 nogil:
        """The updates from the stored gradient. Where transforms of it would take long, Python may deliver signals
        between two pieces of them, but for the last phase; an exception abandons the step."""
        cdef int64_t phase, first = self.plan.first_update
        self.plan.prepare_update()
        if self.plan.parts_at_once:
            self.team.run(self.plan, first, first + 1)
            for phase in range(first + 1, UPDATE - 1):
                self.run_parts(phase)
            first = UPDATE - 1
        self.team.run(self.plan, first, self.plan.end_of_step)
        return 0

    cdef int run_parts(self, int64_t phase) except -1 nogil:
        """A phase of the transforms of gradients, some parts at a time."""
        self.plan.part_end, self.plan.n_parts = 0, 1
        try:
            while self.plan.part_end < self.plan.n_parts:
                self.plan.begin_parts(phase)
                self.team.run(self.plan, phase, phase + 1)
                self.deliver_signals()
        finally:
            self.plan.part_end = INT64_MAX
        return 0

    cdef int call_loss(self) except -1 nogil:
        """Call the user's loss, in the floating-point mode that Python expects."""
        restore_denormals(self.denormal_mode)
        self.plan.call_loss_function()
        flush_denormals()
        return 0

    cdef int check_interrupts(self) except -1 nogil:
        """Every so many steps, let Python deliver signals."""
        self.steps_since_check += 1
        if self.steps_since_check >= self.check_interval:
            self.steps_since_check = 0
            self.deliver_signals()
        return 0

    cdef int deliver_signals(self) except -1 nogil:
        """Let Python deliver signals, in the floating-point mode that Python expects."""
        restore_denormals(self.denormal_mode)
        with gil:
            check_signals()
            self.team.raise_error()
        flush_denormals()
        return 0

    cdef bint run_step_in_slices(self, int64_t start, int64_t size, double *loss) except -1 nogil:
        """One step over a batch that is too large for the workspace: the gradients of its slices are added up in their
        order, and one update follows. False when it was abandoned, for which one slice is enough."""
        cdef double weight_sum = self.plan.c.weight_sum
        cdef int64_t end = start + size
        cdef bint is_whole = True
        memset(self.gradient, 0, self.gradient_bytes)
        self.plan.sum_gradients(self.gradient)
        loss[0] = 0
        try:
            while start < end and is_whole:
                self.plan.set_batch(start, min(self.plan.capacity, end - start))
                is_whole = self.run_step()
                loss[0] += self.plan.batch_loss()
                self.check_interrupts()
                start += self.plan.capacity
            self.plan.c.weight_sum = weight_sum
            if is_whole:
                self.team.run(self.plan, FINISH, FINISH + 1)
                self.run_update()
        finally:
            self.plan.sum_gradients(NULL)
        return is_whole

    cdef void look_ahead(self, double sign) noexcept nogil:
        """With an optimizer that averages: from the average, which the parameters are between two epochs, to the point
        where gradients are computed (sign 1), or back (sign -1)."""
        if self.plan.averages:
            self.plan.kernels.look_ahead(&self.plan.c, sign)
            self.plan.kernels.refresh_mirrors(&self.plan.c)

    # Many steps

    cdef int run_statistics(self, int64_t n_train) except -1 nogil:
        """The means of the statistics of the batches; see `renew_statistics`."""
        cdef int64_t start = 0, batch_size = self.plan.batch_size, n_batches = 0
        self.plan.c.mixup.share = 0  # of the last step; these rows are not mixed
        self.denormal_mode = flush_denormals()
        try:
            self.plan.kernels.refresh_mirrors(&self.plan.c)
            while start < n_train:
                self.plan.set_batch(start, min(batch_size, n_train - start))
                self.plan.c.step, self.plan.c.batch_start = n_batches + 1, start
                self.run_before_update(self.plan.first_phase, self.plan.middle_phase)
                n_batches += self.plan.kernels.keep_statistics(&self.plan.c, 1.0 / (n_batches + 1))
                self.check_interrupts()
                start += batch_size
            return 0
        finally:
            restore_denormals(self.denormal_mode)

    cdef double run_gradient(self) except? -1 nogil:
        """The summed loss, the gradients accumulated; NaN, and no more gradients, when these are not finite."""
        cdef int64_t start = 0, n_rows = self.plan.data.n_rows, capacity = self.plan.capacity
        cdef double total = 0
        self.denormal_mode = flush_denormals()
        try:
            self.plan.kernels.refresh_mirrors(&self.plan.c)
            while start < n_rows:
                self.plan.set_batch(start, min(capacity, n_rows - start))
                if not self.run_step():
                    return NAN
                total += self.plan.batch_loss()
                self.check_interrupts()
                start += capacity
            return total
        finally:
            restore_denormals(self.denormal_mode)

    cdef bint run_epoch(self, int64_t n_train, const double[:, :] rates, const double[:, :] decay_factors,
                        const double[:, :] dropout_factors, int64_t epoch, double loss_scale,
                        double *loss) except -1 nogil:
        """One pass over the batches. The mean loss of the rows since `loss_sum` was 0 is written. False when the last
        step was abandoned."""
        cdef int64_t start = 0, step = 0, size, batch_size = self.plan.batch_size
        cdef double penalty, batch_loss = 0
        cdef bint is_whole = True
        self.denormal_mode = flush_denormals()
        self.look_ahead(1)
        try:
            while start < n_train and is_whole:
                size = min(batch_size, n_train - start)
                if self.plan.set_batch(start, size):
                    self.plan.prepare_optimizer(rates[epoch, step], self.n_steps + 1)
                    if self.has_factors:
                        self.plan.set_factors(decay_factors[epoch, step], dropout_factors[epoch, step])
                    self.plan.c.step, self.plan.c.batch_start = self.n_steps + 1, start
                    if self.plan.mixup_alpha > 0:
                        self.plan.kernels.draw_mixup(&self.plan.c, self.plan.mixup_alpha, size)
                    if size <= self.plan.capacity:
                        is_whole = self.run_step()
                        batch_loss = self.plan.batch_loss()
                    else:
                        is_whole = self.run_step_in_slices(start, size, &batch_loss)
                    penalty = 0
                    if is_whole:
                        self.n_steps += 1
                        self.plan.complete_step()
                        penalty = self.plan.penalty()
                    batch_loss = (loss_scale * batch_loss + penalty) / self.plan.c.weight_sum
                    self.loss_sum += size * batch_loss
                    if isnan(self.first_loss):
                        self.first_loss = batch_loss
                self.check_interrupts()
                start, step = start + batch_size, step + 1
        finally:
            self.look_ahead(-1)
            restore_denormals(self.denormal_mode)
        self.n_summed += n_train
        loss[0] = self.loss_sum / self.n_summed
        return is_whole

    # Called from Python

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
        if self.plan.program.is_indexed and not self.plan.data.is_converted:
            raise ValueError("the gradient of all rows needs a program that takes the rows as they stand")
        check("gradient", gradient, self.plan.params.dtype, self.plan.params.shape)
        gradient[...] = 0
        self.plan.sum_gradients(address(gradient, True))
        try:
            with self, nogil:
                total = self.run_gradient()
        finally:
            self.plan.sum_gradients(NULL)
        if isnan(total):
            gradient[...] = np.nan
            return np.inf
        return total

    def set_optimizer(self, optimizers, optimizer_of, states, memory, int64_t n_steps, double alpha, *,
                      double update_flops=0, **options):
        """Choose what makes the updates of the coming calls of `train`.

        Parameters
        ----------
        optimizers, optimizer_of, states, memory, alpha, **options
            As for `Plan.bind_optimizer`.
        n_steps : int
            Steps taken before; the attribute `n_steps` counts on.
        update_flops : float
            Operations of the updates of a step beyond a few for each parameter, for the time between two checks for
            signals.
        """
        self.plan.bind_optimizer(optimizers, optimizer_of, states, memory, alpha, **options)
        self.plan.divide_transforms(update_flops)
        self.n_steps = n_steps
        self.check_interval = units_between_checks(self.plan.step_cost + update_flops)

    def set_average(self, average, double decay=0, int64_t begin=0):
        """Have the parameters after each step of the coming calls of `train` averaged, or with None not.

        Parameters
        ----------
        average, decay, begin
            As for `Plan.bind_average`; `begin` counts the steps as `n_steps`.
        """
        self.plan.bind_average(average, decay, begin)

    def train(self, rows, random_state, double loss_scale, rates, double[::1] losses,
              Patience patience=None, lock=None, double[::1] seconds=None, decay_factors=None, dropout_factors=None,
              bint continues=False):
        """Epochs of gradient descent, until all are done, patience is exhausted, or the loss is no longer finite.

        Parameters
        ----------
        rows : ndarray of int64 of shape (n_train,) or None
            The rows of the data to train on, in the order of the last epoch; shuffled in place before each epoch
            when `random_state` is given. None: all rows as they stand.
        random_state : RandomState or None
        loss_scale : float
            Factor of the data's share in the losses that are reported (never in the gradient).
        rates : ndarray of float64 of shape (n_epochs,) or (n_epochs, n_steps)
            Learning rate of each epoch, or of each of its steps, which are as many as its batches.
        losses : ndarray of shape (n_epochs,)
            Overwritten: the mean loss of each epoch.
        patience : Patience or None
            Notes the loss of every epoch.
        lock : lock or None
            Held while rows are shuffled; needed when others draw from the same generator.
        seconds : ndarray of shape (n_epochs,) or None
            Overwritten: the time from the beginning of this call to the end of each epoch.
        decay_factors, dropout_factors : ndarray of float64 of shape (n_epochs, n_steps) or None
            Factors of the decoupled weight decay and of the rates of dropout in each step; those of dropout are at most
            1. None: all are 1.
        continues : bool
            Whether the first epoch is the rest of the last one of the call before: its loss is then that of the rows of
            both calls.

        Returns
        -------
        n_epochs : int
            Epochs whose loss was written, the last of them unfinished if the loss diverged.
        status : int
            COMPLETED, OUT_OF_PATIENCE, DIVERGED, or GREW: the loss is finite, and over a million times `first_loss`.

        Raises
        ------
        BaseException
            An exception that a signal handler raised or another thread sent: see `check_signals`. The weights are
            those of the last complete step, and `epochs_done` is the number of complete epochs.
        """
        cdef bitgen_t *generator = NULL
        cdef int64_t n_train = self.plan.data.n_rows, n_epochs = len(rates), epoch = 0
        cdef const double[:, :] rates_of_steps, decay_of_steps, dropout_of_steps
        cdef int64_t *order
        cdef int status = COMPLETED
        cdef double begin = now()
        cdef double *ends = NULL
        if seconds is not None:
            ends = &seconds[0]
        self.epochs_done = 0
        if random_state is not None:
            if rows is None:
                raise ValueError("rows must be an array to be shuffled, got None")
            generator = bit_generator(random_state)
        self.bind_rows(rows)
        order = <int64_t *> self.plan.c.rows
        if rows is not None:
            n_train = rows.shape[0]
        # one rate for all steps of an epoch: a view with a stride of 0
        rates = rates[:, np.newaxis] if rates.ndim == 1 else rates
        shape = n_epochs, ceil_div(n_train, self.plan.batch_size)
        rates_of_steps = rates if rates.shape == shape else np.broadcast_to(rates, shape)
        decay_of_steps = dropout_of_steps = rates_of_steps  # not read where there are no factors
        self.has_factors = decay_factors is not None or dropout_factors is not None
        if self.has_factors:
            decay_of_steps = np.broadcast_to(1.0 if decay_factors is None else decay_factors, shape)
            dropout_of_steps = np.broadcast_to(1.0 if dropout_factors is None else dropout_factors, shape)
        else:
            self.plan.set_factors(1, 1)
        if losses.shape[0] < n_epochs:
            raise ValueError(f"losses must have room for {n_epochs} epochs, got {losses.shape[0]}")
        if self.plan.c.optimizers == NULL:
            raise ValueError("train needs an optimizer: call set_optimizer before")
        try:
            with self, nogil:
                self.plan.kernels.refresh_mirrors(&self.plan.c)
                while epoch < n_epochs and status == COMPLETED:
                    if epoch or not continues:
                        self.loss_sum, self.n_summed = 0, 0
                    if generator != NULL:
                        shuffle_rows(generator, lock, order, n_train)
                    if not self.run_epoch(n_train, rates_of_steps, decay_of_steps, dropout_of_steps, epoch, loss_scale,
                                          &losses[epoch]):
                        status = DIVERGED
                    elif losses[epoch] > growth_limit * max(self.first_loss, SMALL_LOSS):
                        status = GREW
                    elif patience is not None:
                        patience.note(losses[epoch])
                        if patience.exhausted():
                            status = OUT_OF_PATIENCE
                    if ends != NULL:
                        ends[epoch] = now() - begin
                    epoch += 1
        finally:
            self.epochs_done = epoch
            self.plan.c.rows = NULL  # the array may not live on
        return epoch, status

    def renew_statistics(self, rows=None):
        """Set the running statistics of batch normalization to the means over batches of all rows, at the parameters as
        they are now. Does nothing for a program without it.

        Parameters
        ----------
        rows : ndarray of int64 of shape (n_train,) or None
            As for `train`; in batches in this order. A batch in which less than two rows have a weight
            above 0 has no part.

        Raises
        ------
        BaseException
            An exception that a signal handler raised or another thread sent. The statistics are those before.
        """
        cdef int64_t n_train = self.plan.data.n_rows
        if not self.plan.n_reductions:
            return
        if rows is not None:
            n_train = rows.shape[0]
        self.bind_rows(rows)
        before = self.plan.params.copy()
        try:
            with self, nogil:
                self.run_statistics(n_train)
        except BaseException:
            self.plan.params[...] = before
            raise
        finally:
            self.plan.c.rows = NULL

    def bind_rows(self, rows):
        """Have batches picked by these row numbers, or, with None, taken as they stand; ValueError for wrong ones."""
        indexed = self.plan.program.is_indexed
        if (rows is not None) != indexed and not (rows is None and self.plan.data.is_converted):
            raise ValueError(f"rows must be {'an array' if indexed else 'None'}: the program was compiled for that")
        if rows is None:
            self.plan.c.rows = NULL
            return
        n_rows = self.plan.data.n_rows
        if rows.dtype != np.int64 or rows.ndim != 1 or not (len(rows) and are_below[int64_t](rows, n_rows)):
            raise ValueError(f"rows must be int64 row numbers below {n_rows}")
        if self.plan.program.is_sparse and np.bincount(rows).max() > 1:
            raise ValueError("rows must not repeat a row of sparse data")
        self.plan.c.rows = <int64_t *> address(rows, True)
