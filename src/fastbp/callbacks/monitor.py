"""What several callbacks watch."""

from fastbp.training.state import TrainingState

MONITOR = """
    What is watched: a column of the estimator's ``history_``, such as 'loss', 'validation_loss' or 'validation_score'.
    None: the score that early stopping watches; without a validation set, the training loss. Losses are to fall, scores
    to rise."""


def monitored(state: TrainingState, monitor: str | None) -> tuple[float, int]:
    """The value that is watched, of the last epoch.

    Parameters
    ----------
    state : TrainingState
    monitor : str or None

    Returns
    -------
    value : float
    sign : int
        1 where larger is better, -1 for a loss.

    Raises
    ------
    ValueError
        For a column that there is not.
    """
    if monitor is None:
        return (state.loss, -1) if state.validation_score is None else (state.validation_score, 1)
    metrics = state.metrics
    if monitor not in metrics:
        raise ValueError(f"monitor must be None or one of {', '.join(metrics)}; got {monitor!r}")
    return metrics[monitor], -1 if monitor in ("loss", "validation_loss") else 1
