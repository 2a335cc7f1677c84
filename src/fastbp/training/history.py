"""The record of a training run."""

from dataclasses import dataclass, field


@dataclass
class History:
    """The record of a run, which a later run (warm start, partial fit) continues.

    Attributes
    ----------
    loss_curve : list of float
        The mean loss of each epoch.
    validation_scores : list of float or None
        None where no validation set is held out.
    n_iter : int
        Epochs of this run.
    rows_seen : int
        Rows trained on, over all runs.
    interrupted : bool
        Whether this run was interrupted from outside: by Ctrl-C, an exception of a signal handler, or one that was sent
        to its thread. This is no failure, and the weights are those of the last complete step.
    """

    loss_curve: list = field(default_factory=list)
    validation_scores: list | None = None
    n_iter: int = 0
    rows_seen: int = 0
    interrupted: bool = False
