"""The learning rate range test: steps with a learning rate that grows, until the loss grows too."""

import numpy as np

from fastbp.training.trainer import Trainer

#: Weight of the earlier losses in the average that is compared with the best one
DECAY = 0.9
#: The test ends where the average loss lies so many times its best value, or its fall up to there, above that value
GROWTH = 3.0


class RateSweep(Trainer):
    """A trainer that makes a step with each of some learning rates, and leaves the network as it was.

    The history has the loss of each batch, before its step, in place of that of each epoch.

    Parameters
    ----------
    *arguments, **options
        As for `Trainer`. What a trainer does between epochs is left out: schedule, stopping rule, callbacks, average.
    rates : ndarray of shape (n_steps,)
    """

    def __init__(self, *arguments, rates, **options):
        super().__init__(*arguments, **options)
        self.rates = rates

    def run_epochs(self, epochs, max_iter):
        """The steps; True, because the run has not to converge."""
        network, optimizer = self.network, self.optimizer
        loop = self.training_loop(epochs.data, epochs.batch_size, indexed=True)
        optimizer.attach(loop, network.alpha, l1=network.l1, **self.update_options)
        initial_params, loss, growth = network.params.copy(), np.empty(1), Growth()
        try:
            with loop:
                for rate, batch in zip(self.rates, batches(epochs), strict=False):
                    loop.train(batch, None, self.loss_scale, np.array([rate]), loss)
                    if not np.isfinite(loss[0]):
                        break
                    self.note(rate, float(loss[0]))
                    if growth.is_reached(float(loss[0])):
                        break
        finally:
            network.params = initial_params
        if not self.history.loss_curve:
            raise ValueError("The loss of the initial weights is not finite: scale X and y.")
        return True

    def note(self, rate, loss):
        """Record a step."""
        history = self.history
        history.n_iter += 1
        history.loss_curve.append(loss)
        history.learning_rates.append(float(rate))


class Growth:
    """Whether losses have grown: their exponential average, without the bias of its start, is compared with its best
    value. With the best value b and the fall f from the first value to it, it may be ``GROWTH * max(abs(b), f)`` larger
    than b: so losses may be negative, or close to 0."""

    def __init__(self):
        self.total = self.weight = 0.0
        self.first = self.best = None

    def is_reached(self, loss):
        """Note the loss of a step; whether the losses have grown with it."""
        self.total = DECAY * self.total + (1 - DECAY) * loss
        self.weight = DECAY * self.weight + 1 - DECAY
        average = self.total / self.weight
        if self.first is None:
            self.first = self.best = average
        self.best = min(self.best, average)
        return not average - self.best <= GROWTH * max(abs(self.best), self.first - self.best)


def batches(epochs):
    """Batches of rows without end; the rows are shuffled before each pass over them.

    Parameters
    ----------
    epochs : InMemoryEpochs
        Rows of weight zero are left out, and so is the rest of a pass, which does not fill a batch, unless it is all.

    Yields
    ------
    ndarray of int64
    """
    data, rows, random_state = epochs.data, epochs.rows, epochs.random_state
    rows = np.arange(data.n_rows) if rows is None else rows
    if data.sample_weight is not None:
        rows = rows[data.sample_weight[rows] > 0]
    size = min(epochs.batch_size, len(rows))
    while True:
        if random_state is not None:
            random_state.shuffle(rows)
        for start in range(0, len(rows) - size + 1, size):
            yield rows[start : start + size]
