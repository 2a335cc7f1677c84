"""The held-out set of early stopping: the score of every epoch, and the best parameters."""

from fastbp.kernels.patience import Patience

#: A shorter run whose scores are all alike has its score's best parameters: few epochs do not tell that it is stuck.
SCORES_TO_TELL = 10


class Validation:
    """A held-out set that is scored after every epoch.

    The best parameters are those with the best score. A score that does not move cannot tell which they are, nor when
    to stop: the R^2 of a constant target is 0 whatever is predicted, and the accuracy for rare events can stay alike
    for long. So the loss on the held-out set is noted too, as long as all scores are alike. If they still are when
    patience runs out, the loss decides for the rest of the run; unless the score is 1, which cannot be surpassed.

    Parameters
    ----------
    score : callable
        () -> float, larger is better; NaN when the predictions are not finite.
    loss : callable
        () -> float, the mean loss on the held-out set.
    network : Network
        The one in training.
    patience : Patience
        Observes the score with its sign changed.
    train_rows : ndarray of int64 or None
        The rows that are not held out, for the caller to train on.
    by_loss : bool
        Whether the loss decides from the start, because the score cannot move.

    Attributes
    ----------
    best_params : ndarray of shape (n_params,)
        Those with the best score so far.
    best_params_by_loss : ndarray of shape (n_params,) or None
        Those with the smallest loss so far; None once the scores differ.
    by_loss : bool
        Whether the loss decides.
    """

    def __init__(self, score, loss, network, patience, train_rows=None, by_loss=False):
        self.score, self.loss, self.network, self.train_rows = score, loss, network, train_rows
        self.patience = patience
        self.loss_patience = Patience(patience.tol, patience.limit)
        self.best_params = network.params.copy()
        self.best_params_by_loss = network.params.copy()
        self.by_loss = by_loss
        self.n_scores, self.first_score = 0, None

    def observe(self):
        """Score the parameters, keep them if they are the best, and return the score."""
        score = self.score()
        if self.n_scores == 0:
            self.first_score = score
        elif score != self.first_score and not self.by_loss:
            self.best_params_by_loss = None
        self.n_scores += 1
        if self.patience.observe(-score):
            self.best_params[...] = self.network.params
        if self.best_params_by_loss is not None and self.loss_patience.observe(self.loss()):
            self.best_params_by_loss[...] = self.network.params
        return score

    @property
    def is_stuck(self):
        """bool: whether all scores were alike so far, and not perfect."""
        return self.best_params_by_loss is not None and self.first_score < 1

    @property
    def is_exhausted(self):
        """bool: has patience run out? If so, and all scores were alike, the loss decides from now on."""
        self.by_loss = self.by_loss or (self.patience.is_exhausted and self.is_stuck)
        return (self.loss_patience if self.by_loss else self.patience).is_exhausted

    def renew(self):
        """Count from zero again."""
        self.patience.renew()
        self.loss_patience.renew()

    def restore(self):
        """Give the network the best parameters. After a run of some epochs, all scores being alike is reason enough to
        let the loss decide, also where patience has not run out."""
        self.by_loss = self.by_loss or (self.n_scores > SCORES_TO_TELL and self.is_stuck)
        self.network.params = self.best_params_by_loss if self.by_loss else self.best_params
