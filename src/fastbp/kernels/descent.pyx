"""Gradients and gradient descent: the loops over batches and epochs, which need no Python."""

import numpy as np

from libc.math cimport NAN, isnan, pow, sqrt
from libc.stdint cimport int64_t
from libc.string cimport memset

from fastbp.kernels.data cimport address
from fastbp.kernels.dispatch cimport UPDATE_accumulate, UPDATE_adam, update_t
from fastbp.kernels.patience cimport Patience
from fastbp.kernels.shuffling cimport bit_generator, bitgen_t, shuffle_rows
from fastbp.kernels.team cimport Team, flush_denormals, restore_denormals

from fastbp.kernels.data import check
from fastbp.kernels.dispatch import N_STATES, UPDATES

#: why `Descent.train` came back
COMPLETED, OUT_OF_PATIENCE, DIVERGED, GREW = 0, 1, 2, 3

#: An epoch whose mean loss is more than so many times the first one ends training.
GROWTH = 1e6
cdef double growth_limit = GROWTH
# Smaller first losses count as this: a net that begins with a perfect fit may lose it without harm.
cdef double SMALL_LOSS = 1e-3


cdef class Descent(Team):
    """A network on its way downhill on one data set.

    Parameters are those of `Plan`.

    Attributes
    ----------
    first_loss : float
        Mean loss of the first batch trained on, before any step; NaN before. What the losses of epochs are compared
        with; a caller who knows better sets another.
    epochs_done : int
        Whole epochs of the last call of `train`.

    Notes
    -----
    Between two steps Python may deliver what comes from outside: see `look_outside`. A batch of more rows than
    `capacity` goes through the net in slices, and Python may do so between two of these, too; the weights change at the
    end of the batch. Which batches these are is decided by the shapes alone.
    """

    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.first_loss = NAN

    cdef double run_gradient(self) except? -1 nogil:
        """The summed loss, the gradients accumulated; NaN, and no more gradients, when these are not finite."""
        cdef int64_t start = 0
        cdef double total = 0
        self.denormal_mode = flush_denormals()
        try:
            self.refresh_transposed()
            while start < self.data.n_rows:
                self.set_batch(start, min(self.capacity, self.data.n_rows - start))
                self.c.weight_sum = 1
                if not self.lead():
                    return NAN
                total += self.batch_loss()
                self.check_interrupts()
                start += self.capacity
            return total
        finally:
            restore_denormals(self.denormal_mode)

    cdef int run_epoch(self, int64_t n_train, double rate, double loss_scale, double *loss) except -1 nogil:
        """One pass over the batches. Writes the mean loss, and returns whether training can go on."""
        cdef int64_t start = 0, size
        cdef double total = 0, penalty, batch_loss = 0
        cdef bint stepping = True
        cdef update_t *update = &self.c.update
        self.denormal_mode = flush_denormals()
        try:
            while start < n_train and stepping:
                size = min(self.batch_size, n_train - start)
                if self.set_batch(start, size):
                    update.learning_rate = rate
                    if update.kind == UPDATE_adam:  # bias corrections of step t + 1
                        update.learning_rate *= (sqrt(1 - pow(update.beta_2, <double> (self.t + 1)))
                                                 / (1 - pow(update.beta_1, <double> (self.t + 1))))
                    if size <= self.capacity:
                        stepping = self.lead()
                        batch_loss = self.batch_loss()
                    else:
                        stepping = self.lead_in_slices(start, size, &batch_loss)
                    penalty = 0
                    if stepping:
                        self.t += 1
                        penalty = self.squared_weights()
                    batch_loss = (loss_scale * batch_loss + 0.5 * update.alpha * penalty) / self.c.weight_sum
                    total += size * batch_loss
                    if isnan(self.first_loss):
                        self.first_loss = batch_loss
                self.check_interrupts()
                start += self.batch_size
        finally:
            restore_denormals(self.denormal_mode)
        loss[0] = total / n_train
        return stepping

    cdef bint lead_in_slices(self, int64_t start, int64_t size, double *loss) except -1 nogil:
        """One step over a batch that is too large for the workspace: the gradients of its slices are added up in their
        order, and one update follows. False when it was abandoned, which one slice is enough for."""
        cdef update_t update = self.c.update
        cdef void *state = self.c.state[0]
        cdef double weight_sum = self.c.weight_sum
        cdef int64_t end = start + size
        cdef bint complete = True
        memset(self.gradient, 0, self.c.n_params * self.itemsize)
        self.c.update.kind, self.c.update.alpha, self.c.state[0] = UPDATE_accumulate, 0, self.gradient
        loss[0] = 0
        while start < end and complete:
            self.set_batch(start, min(self.capacity, end - start))
            self.c.weight_sum = 1
            complete = self.lead()
            loss[0] += self.batch_loss()
            self.check_interrupts()
            start += self.capacity
        self.c.update, self.c.state[0], self.c.weight_sum = update, state, weight_sum
        if complete:
            self.descend()
        return complete

    # What callers ask for

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
        params = self.arrays[1]
        check("gradient", gradient, params.dtype, params.shape)
        gradient[...] = 0
        self.c.state[0] = address(gradient, True)
        self.c.update.kind = UPDATE_accumulate
        self.c.update.alpha = 0
        with self, nogil:
            total = self.run_gradient()
        if isnan(total):
            gradient[...] = np.nan
            return np.inf
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
        optimizer : fastbp.training.OptimizerState
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
            COMPLETED, OUT_OF_PATIENCE, DIVERGED, or GREW: the loss is finite, and over a million times `first_loss`.

        Raises
        ------
        BaseException
            Whatever comes from outside: see `look_outside`. The weights are those of the last whole step, and
            `epochs_done` tells how many epochs are whole.
        """
        cdef bitgen_t *generator = NULL
        cdef int64_t *order = NULL
        cdef int64_t n_train = self.data.n_rows, n_epochs = rates.shape[0], epoch = 0, i
        cdef int status = 0
        self.epochs_done = 0
        if (rows is not None) != self.gathers:
            raise ValueError(f"rows must be {'an array' if self.gathers else 'None'}: so the plan was made")
        if random_state is not None and rows is None:
            raise ValueError("rows must be an array to be shuffled, got None")
        if rows is not None:
            if rows.dtype != np.int64 or rows.ndim != 1 or not (0 <= rows.min() and rows.max() < self.data.n_rows):
                raise ValueError(f"rows must be int64 row numbers below {self.data.n_rows}")
            if self.data.c.indptr != NULL and np.bincount(rows).max() > 1:
                raise ValueError("rows must not repeat a row of sparse data: there is room for each of them once")
            order = <int64_t *> address(rows, True)
            n_train = rows.shape[0]
        if random_state is not None:
            generator = bit_generator(random_state)
        self.c.rows = order
        momentum, nesterov = optimizer.constants if optimizer.name == "sgd" else (0, 0)
        beta_1, beta_2, epsilon = optimizer.constants if optimizer.name == "adam" else (0, 0, 0)
        self.c.update = dict(kind=UPDATES[optimizer.name], alpha=alpha, learning_rate=0, momentum=momentum,
                             nesterov=nesterov, beta_1=beta_1, beta_2=beta_2, epsilon=epsilon)
        params = self.arrays[1]
        states = list(optimizer.state)  # held: the attribute may be replaced while the kernels write to these
        for i in range(N_STATES[optimizer.name]):
            check("optimizer.state", states[i], params.dtype, params.shape)
            self.c.state[i] = address(states[i], True)
        self.t = optimizer.t
        try:
            with self, nogil:
                self.refresh_transposed()
                while epoch < n_epochs and status == 0:
                    if generator != NULL:
                        shuffle_rows(generator, lock, order, n_train)
                    if not self.run_epoch(n_train, rates[epoch], loss_scale, &losses[epoch]):
                        status = 2
                    elif losses[epoch] > growth_limit * max(self.first_loss, SMALL_LOSS):
                        status = 3
                    elif patience is not None:
                        patience.note(losses[epoch])
                        if patience.exhausted():
                            status = 1
                    epoch += 1
        finally:
            optimizer.t = self.t
            self.epochs_done = epoch
        return epoch, status
