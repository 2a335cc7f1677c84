"""When training stops before its last epoch, and which parameters it leaves.

The `Trainer` has one of two rules, which have the same methods: `LossStopping` watches the training loss,
`EarlyStopping` the score of a validation set.
"""

import math

from fastbp.kernels.patience import Patience
from fastbp.training.validation import LOSS

#: A shorter run whose scores are all equal keeps the parameters with the best score: few epochs do not show that the
#: score never changes.
MIN_EQUAL_SCORES = 10

#: The attributes of an `EarlyStopping` that are numbers and change in a run
OF_THE_RUN = ("by_loss", "n_scores", "first_score", "_best_epoch", "_best_epoch_by_loss")


class LossStopping:
    """Stop when the training loss no longer falls. The parameters are those of the last epoch.

    Parameters
    ----------
    patience : Patience
        Observes the mean loss of each epoch.
    network : Network or None
        The one in training; needed with a validation set.
    validation : ValidationSet or None
        Rows whose scores are recorded, and decide nothing.
    """

    watched = "Training loss"
    #: Whether a run whose loss diverges has finite parameters to leave
    survives_divergence = False
    #: What becomes of the parameters of such a run, for a message
    kept_text = ""

    def __init__(self, patience, network=None, validation=None):
        self.patience, self.network, self.validation = patience, network, validation
        self._best_score = None

    @property
    def is_scored(self):
        """bool: whether there is a validation set."""
        return self.validation is not None

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
        return self._best_score

    @property
    def is_exhausted(self):
        """bool: has patience run out?"""
        return self.patience.is_exhausted

    def best_epoch(self, losses):
        """The epoch with the best value of what is watched.

        Parameters
        ----------
        losses : list of float
            The training loss of each epoch of the run.

        Returns
        -------
        int or None
            Counted from 1; the first of equal ones. None where every value is NaN.
        """
        numbers = [loss for loss in losses if loss == loss]  # without NaN
        return losses.index(min(numbers)) + 1 if numbers else None

    def after_epoch(self, team):
        """Score the parameters. Returns an `Evaluation`, or None where there is no validation set.

        Parameters
        ----------
        team : Team or None
            The running threads of training, which compute the score; None: threads are started if that pays.
        """
        if self.validation is None:
            return None
        evaluation = self.validation.evaluate(self.network, team)
        if self._best_score is None or evaluation.score > self._best_score or math.isnan(self._best_score):
            self._best_score = evaluation.score
        return evaluation

    def renew(self):
        """Count epochs without improvement from zero again."""
        self.patience.renew()

    def restore(self):
        """Give the network the parameters that training is to leave."""
        return None

    def state_dict(self):
        """All that changes in a run; see `fastbp.training.run_state`."""
        return {"patience": self.patience.state_dict(), "best_score": self._best_score}

    def load_state_dict(self, state):
        """Go on from a state.

        Parameters
        ----------
        state : dict
        """
        self.patience.load_state_dict(state["patience"])
        self._best_score = state["best_score"]

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


class EarlyStopping(LossStopping):
    """Stop when the score of the validation set no longer rises. The parameters are those with the best score.

    A score that never changes shows neither which parameters are best nor when to stop: R^2 of a constant target is 0
    for all predictions, and the accuracy for rare events can stay the same for long. So the mean loss on the validation
    set is computed too, as long as all scores are equal. If they still are when patience runs out, the loss decides
    for the rest of the run; unless the score is the largest there is.

    Parameters
    ----------
    patience : Patience
        Observes the score with its sign changed.
    network : Network
        The one in training.
    validation : ValidationSet
    restores_best : bool
        Whether the parameters are those with the best score, and not those of the last epoch.

    Attributes
    ----------
    best_params : ndarray of shape (n_params,)
        Those with the best score so far.
    best_params_by_loss : ndarray of shape (n_params,) or None
        Those with the smallest loss so far; None once the scores differ, or if they are losses.
    by_loss : bool
        Whether the loss decides in place of the score.
    """

    survives_divergence = True

    def __init__(self, patience, network, validation, restores_best=True):
        super().__init__(patience, network, validation)
        self.restores_best = restores_best
        self.validation_loss_patience = Patience(patience.tol, patience.limit)
        self.best_params = network.params.copy()
        self.best_params_by_loss = None if validation.is_by_loss else network.params.copy()
        self.by_loss = bool(validation.score_is_constant and not validation.is_by_loss)
        self.n_scores, self.first_score = 0, None
        self._best_epoch = self._best_epoch_by_loss = None

    @property
    def watched(self):
        """str: what is watched, for the log."""
        return f"Validation {'loss' if self.by_loss or self.validation.is_by_loss else 'score'}"

    @property
    def kept_text(self):
        """str: what becomes of the parameters of a run that diverges, for a message."""
        return ", and the weights with the best validation score are kept" if self.restores_best else ""

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

    def best_epoch(self, losses):
        """The epoch with the best score; see `LossStopping.best_epoch`."""
        return self._best_epoch_by_loss if self.by_loss else self._best_epoch

    def after_epoch(self, team):
        """Score the parameters and keep them if they are the best. Returns an `Evaluation`.

        If patience has run out and all scores were equal, the loss decides from now on.
        """
        evaluation = self.validation.evaluate(self.network, team)
        if self.n_scores == 0:
            self.first_score = evaluation.score
        elif evaluation.score != self.first_score and not self.by_loss:
            self.best_params_by_loss = None
        self.n_scores += 1
        if self.patience.observe(-evaluation.score):
            self.best_params[...], self._best_epoch = self.network.params, self.n_scores
        if self.best_params_by_loss is not None and self.validation_loss_patience.observe(self.loss(evaluation, team)):
            self.best_params_by_loss[...], self._best_epoch_by_loss = self.network.params, self.n_scores
        self.by_loss = self.by_loss or (self.patience.is_exhausted and self.scores_are_equal)
        return evaluation

    def loss(self, evaluation, team):
        """The mean loss of the validation set, without the penalty."""
        return evaluation.values[LOSS] if LOSS in evaluation.values else self.validation.loss(self.network, team)

    @property
    def scores_are_equal(self):
        """bool: whether all scores were equal so far, and below the largest there is."""
        return self.best_params_by_loss is not None and self.first_score < self.validation.largest_score

    @property
    def is_exhausted(self):
        """bool: has patience run out?"""
        return (self.validation_loss_patience if self.by_loss else self.patience).is_exhausted

    def renew(self):
        """Count epochs without improvement from zero again."""
        self.patience.renew()
        self.validation_loss_patience.renew()

    def restore(self):
        """Give the network the best parameters, if that is wanted. After some epochs with equal scores the loss decides
        which they are, also where patience has not run out."""
        self.by_loss = self.by_loss or (self.n_scores > MIN_EQUAL_SCORES and self.scores_are_equal)
        if self.restores_best:
            self.network.params = self.best_params_by_loss if self.by_loss else self.best_params

    def state_dict(self):
        """All that changes in a run; see `fastbp.training.run_state`."""
        by_loss = self.best_params_by_loss
        return super().state_dict() | {
            "validation_loss_patience": self.validation_loss_patience.state_dict(),
            "best_params": self.best_params.copy(),
            "best_params_by_loss": None if by_loss is None else by_loss.copy(),
            **{name: getattr(self, name) for name in OF_THE_RUN},
        }

    def load_state_dict(self, state):
        """Go on from a state.

        Parameters
        ----------
        state : dict
        """
        super().load_state_dict(state)
        self.validation_loss_patience.load_state_dict(state["validation_loss_patience"])
        self.best_params[...] = state["best_params"]
        by_loss = state["best_params_by_loss"]
        self.best_params_by_loss = None if by_loss is None else by_loss.copy()
        for name in OF_THE_RUN:
            setattr(self, name, state[name])

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
