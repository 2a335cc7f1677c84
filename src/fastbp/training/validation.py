"""The rows on which a network is scored after each epoch."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from fastbp.kernels.data import Data

#: The name of the mean loss among the scores
LOSS = "loss"


class Evaluation(NamedTuple):
    """What was computed on a validation set.

    Parameters
    ----------
    score : float
        What decides; larger is better. NaN where the output of the network is not finite.
    values : dict of str to float
        All scores by their names, and the loss under the name 'loss'.
    """

    score: float
    values: dict


def call_scorer(scorer, model, X, y, **options):
    """Call a scorer of the user's."""
    return scorer(model, X, y, **options)


@dataclass(frozen=True, eq=False)
class ValidationSet:
    """Rows that are not trained on, and what is computed on them.

    Parameters
    ----------
    data : Data
        The rows, with their targets and sample weights.
    scores : callable
        ``scores(output) -> sequence of float``, from the network's output for the rows, of shape (n_rows, n_outputs);
        one for each of `names` but 'loss'. Larger is better.
    names : tuple of str
        The first decides. 'loss' is the mean loss, without the penalty; what decides is then its negative.
    records_loss : bool
        Whether to compute the loss where `names` does not have it.
    loss_scale : float
        Factor of the losses.
    score_is_constant : bool
        Whether the score is the same for all outputs.
    largest_score : float
        The largest value that the first score can have.
    """

    data: Data
    scores: Callable
    names: tuple = ("score",)
    records_loss: bool = False
    loss_scale: float = 1.0
    score_is_constant: bool = False
    largest_score: float = 1.0

    @property
    def is_by_loss(self):
        """bool: whether the loss decides."""
        return self.names[0] == LOSS

    def evaluate(self, network, team):
        """Score the network's parameters.

        Parameters
        ----------
        network : Network
        team : Team or None
            The running threads of training; None: threads are started if that pays.

        Returns
        -------
        Evaluation
        """
        values, names = {}, [name for name in self.names if name != LOSS]
        if names:
            values = dict(zip(names, self.scores(network.forward_data(self.data, team=team)), strict=True))
        if self.records_loss or LOSS in self.names:
            values[LOSS] = self.loss(network, team)
        return Evaluation(-values[LOSS] if self.is_by_loss else values[self.names[0]], values)

    def loss(self, network, team):
        """The mean loss of the rows, without the penalty."""
        return self.loss_scale * network.mean_loss(self.data, team)
