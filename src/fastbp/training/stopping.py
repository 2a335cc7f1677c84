"""When training stops before its last epoch, and which parameters it leaves.

The `Trainer` has one of two rules, which have the same methods: `LossStopping` watches the training loss,
`EarlyStopping` the score of rows that are held out.
"""

from collections.abc import Callable
from dataclasses import dataclass

from fastbp.kernels.data import Data
from fastbp.kernels.patience import Patience

#: A shorter run whose scores are all equal keeps the parameters with the best score: few epochs do not show that the
#: score never changes.
MIN_EQUAL_SCORES = 10


class LossStopping:
    """Stop when the training loss no longer falls. The parameters are those of the last epoch.

    Parameters
    ----------
    patience : Patience
        Observes the mean loss of each epoch.
    """

    is_scored = False
    watched = "Training loss"

    def __init__(self, patience):
        self.patience = patience

    @property
    def loop_patience(self):
        """Patience or None: what the compiled loop over epochs lets observe the training loss."""
        return self.patience

    @property
    def best_loss(self):
        """float or None: the smallest training loss; None where a score is watched."""
        return self.patience.best

    @property
    def best_score(self):
        """float or None: the best score; None where none is computed."""
        return None

    @property
    def is_exhausted(self):
        """bool: has patience run out?"""
        return self.patience.is_exhausted

    def after_epoch(self, team):
        """Score the parameters. Returns the score, or None where none is computed.

        Parameters
        ----------
        team : Team or None
            The running threads of training, which compute the score; None: threads are started if that pays.
        """
        return None

    def renew(self):
        """Count epochs without improvement from zero again."""
        self.patience.renew()

    def restore(self):
        """Give the network the parameters that training is to leave."""
        return None

    def warning(self, stopped, max_iter):
        """What the user should know of the choice of the parameters.

        Parameters
        ----------
        stopped : bool
            Whether training stopped before `max_iter` epochs.
        max_iter : int

        Returns
        -------
        str or None
        """
        return None


@dataclass(frozen=True, eq=False)
class HeldOut:
    """Rows that are held out of training, and how they are scored.

    Parameters
    ----------
    data : Data
        The rows, with their targets and sample weights.
    score : callable
        ``score(output) -> float``, from the network's output for the rows, of shape (n_rows, n_outputs); larger is
        better.
    score_is_constant : bool
        Whether the score is the same for all outputs.
    """

    data: Data
    score: Callable
    score_is_constant: bool = False


class EarlyStopping(LossStopping):
    """Stop when the score of held-out rows no longer rises. The parameters are those with the best score.

    A score that never changes shows neither which parameters are best nor when to stop: R^2 of a constant target is 0
    for all predictions, and the accuracy for rare events can stay the same for long. So the mean loss on the held-out
    rows is computed too, as long as all scores are equal. If they still are when patience runs out, the loss decides
    for the rest of the run; unless the score is 1, the largest there is.

    Parameters
    ----------
    patience : Patience
        Observes the score with its sign changed.
    network : Network
        The one in training.
    held_out : HeldOut

    Attributes
    ----------
    best_params : ndarray of shape (n_params,)
        Those with the best score so far.
    best_params_by_loss : ndarray of shape (n_params,) or None
        Those with the smallest loss so far; None once the scores differ.
    by_loss : bool
        Whether the loss decides.
    """

    is_scored = True

    def __init__(self, patience, network, held_out):
        super().__init__(patience)
        self.network, self.held_out = network, held_out
        self.held_out_loss_patience = Patience(patience.tol, patience.limit)
        self.best_params = network.params.copy()
        self.best_params_by_loss = network.params.copy()
        self.by_loss = held_out.score_is_constant
        self.n_scores, self.first_score = 0, None

    @property
    def watched(self):
        """str: what is watched, for the log."""
        return f"Validation {'loss' if self.by_loss else 'score'}"

    @property
    def loop_patience(self):
        """None: the training loss does not decide."""
        return None

    @property
    def best_loss(self):
        """None: the training loss is not watched."""
        return None

    @property
    def best_score(self):
        """float: the best score so far."""
        return -self.patience.best

    def after_epoch(self, team):
        """Score the parameters and keep them if they are the best. Returns the score.

        If patience has run out and all scores were equal, the loss decides from now on.
        """
        score = self.score(team)
        if self.n_scores == 0:
            self.first_score = score
        elif score != self.first_score and not self.by_loss:
            self.best_params_by_loss = None
        self.n_scores += 1
        if self.patience.observe(-score):
            self.best_params[...] = self.network.params
        if self.best_params_by_loss is not None and self.held_out_loss_patience.observe(self.loss(team)):
            self.best_params_by_loss[...] = self.network.params
        self.by_loss = self.by_loss or (self.patience.is_exhausted and self.scores_are_equal)
        return score

    def score(self, team):
        """The score of the held-out rows; NaN when the predictions are not finite."""
        return self.held_out.score(self.network.forward_data(self.held_out.data, team=team))

    def loss(self, team):
        """The mean loss of the held-out rows, without the penalty."""
        return self.network.mean_loss(self.held_out.data, team)

    @property
    def scores_are_equal(self):
        """bool: whether all scores were equal so far, and below 1."""
        return self.best_params_by_loss is not None and self.first_score < 1

    @property
    def is_exhausted(self):
        """bool: has patience run out?"""
        return (self.held_out_loss_patience if self.by_loss else self.patience).is_exhausted

    def renew(self):
        """Count epochs without improvement from zero again."""
        self.patience.renew()
        self.held_out_loss_patience.renew()

    def restore(self):
        """Give the network the best parameters. After some epochs with equal scores the loss decides which they are,
        also where patience has not run out."""
        self.by_loss = self.by_loss or (self.n_scores > MIN_EQUAL_SCORES and self.scores_are_equal)
        self.network.params = self.best_params_by_loss if self.by_loss else self.best_params

    def warning(self, stopped, max_iter):
        """A message where the loss decided; see `LossStopping.warning`."""
        if not self.by_loss:
            return None
        still_falling = "" if stopped else f", and still fell after max_iter={max_iter} epochs"
        return (
            f"The score of the held-out rows was {self.first_score:g} in one epoch after another and cannot tell which "
            f"weights are best: the loss on these rows decided{still_falling}. Bring more rows, or raise "
            "validation_fraction."
        )
