"""The log of the models: lines, or a progress bar over the epochs of all of them."""

from threading import Lock

from fastbp.estimators.parameters import PROGRESS_BAR, prints_lines
from fastbp.progress import new_bar
from fastbp.training import Callback


class MemberLog(Callback):
    """A callback of all models, which are trained at the same time.

    Parameters
    ----------
    estimator : BaseTabularMLP
        Its parameter `verbose` decides what is shown.
    n_models : int
    n_epochs : int
        Of all members together.
    """

    def __init__(self, estimator, n_models, n_epochs):
        self.lines = prints_lines(estimator)
        self.bar = new_bar(n_epochs, "epoch") if estimator.verbose == PROGRESS_BAR else None
        self.n_models, self.n_done, self.n_epochs = n_models, 0, 0
        self.lock = Lock()

    def on_epoch_end(self, state):
        """Count an epoch."""
        with self.lock:
            self.n_epochs += 1
            if self.bar is not None:
                self.bar.update(self.n_epochs, f"loss {state.loss:.4g}")

    def on_fit_end(self, state):
        """Count a model."""
        with self.lock:
            self.n_done += 1
            if self.lines:
                seconds = state.history.seconds[-1] if state.history.seconds else 0
                print(f"Model {self.n_done} of {self.n_models}: {state.epoch} epochs, {seconds:.2f} s")

    def close(self):
        """Leave the bar as it is."""
        if self.bar is not None:
            self.bar.close()
