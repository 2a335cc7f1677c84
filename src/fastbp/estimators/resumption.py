"""The state that a run of training continues from the attributes of the last run, and the attributes that it sets."""

from fastbp.estimators.parameters import optimizer_of
from fastbp.kernels.patience import Patience
from fastbp.training import History, OptimizerState
from fastbp.training.validation import LOSS


def history_of(estimator, first_pass, scored):
    """The record to continue; a new one for new weights.

    Parameters
    ----------
    estimator : BaseMLP
    first_pass : bool
        Whether the run begins with new weights.
    scored : bool
        Whether there is a validation set.

    Returns
    -------
    History
    """
    history = History(validation_scores=[] if scored else None)
    if first_pass:
        return history
    history.rows_seen = getattr(estimator, "t_", 0)
    losses = getattr(estimator, "loss_curve_", ())
    unknown = [float("nan")] * len(losses)  # in a model of an older version
    columns = {"learning_rate": unknown, "seconds": unknown} | getattr(estimator, "history_", {})
    history.continue_from(columns | {"loss": losses})
    if scored:
        history.validation_scores = list(getattr(estimator, "validation_scores_", None) or ())
    return history


def patience_of(estimator, continues):
    """A new patience; where `partial_fit` continues, with the count and the best loss so far.

    Each `fit` has a new one, because the best loss of the last run may be one on other data.

    Parameters
    ----------
    estimator : BaseMLP
    continues : bool

    Returns
    -------
    Patience
    """
    patience = Patience(estimator.tol, estimator.n_iter_no_change)
    best_loss = getattr(estimator, "best_loss_", None)  # None: the last run watched the score
    if continues and best_loss is not None:
        patience.best, patience.count = best_loss, getattr(estimator, "_no_improvement_count", 0)
    return patience


def optimizer_state_of(estimator, network, incremental):
    """A copy of the state that `partial_fit` continues, or a new one.

    Parameters
    ----------
    estimator : BaseMLP
    network : Network
    incremental : bool
        Whether this is `partial_fit`.

    Returns
    -------
    OptimizerState
    """
    optimizer, state = optimizer_of(estimator), getattr(estimator, "_optimizer", None)
    if incremental and state is not None and state.matches(optimizer.name, network.params):
        return state.copy()
    return OptimizerState(optimizer, network.n_params, network.dtype, estimator.learning_rate_init)


def set_training_attributes(estimator, optimizer, history, stopping):
    """Set the attributes of a run that is over or was interrupted, except the weights.

    Parameters
    ----------
    estimator : BaseMLP
    optimizer : OptimizerState
    history : History
    stopping : LossStopping or EarlyStopping
    """
    estimator._optimizer = optimizer
    estimator._no_improvement_count = stopping.patience.count
    estimator.n_iter_, estimator.t_ = history.n_iter, history.rows_seen
    estimator.loss_curve_, estimator.history_ = history.loss_curve, history.as_dict()
    estimator.best_iteration_ = stopping.best_epoch(history.loss_curve[len(history.loss_curve) - history.n_iter :])
    estimator.validation_loss_curve_ = estimator.history_.get(f"validation_{LOSS}")
    if history.loss_curve:
        estimator.loss_ = history.loss_curve[-1]
    estimator.validation_scores_ = history.validation_scores
    estimator.best_loss_ = stopping.best_loss
    estimator.best_validation_score_ = stopping.best_score
