"""The state that a run of training continues from the attributes of the last run, and the attributes that it sets."""

from numbers import Integral

import numpy as np

from fastbp.estimators.parameters import (
    PROGRESS_SCHEDULES,
    end_is_needed_by,
    optimizer_of,
    progress_schedule_of,
    schedule_of,
)
from fastbp.kernels.patience import Patience
from fastbp.training import (
    DropoutFactors,
    EpochAverage,
    History,
    MovingAverage,
    NoAverage,
    OptimizerState,
    RateFactors,
)
from fastbp.training.validation import LOSS

#: The attributes that `set_training_attributes` sets, but for those that every solver sets
OF_STOCHASTIC_SOLVERS = (
    "_optimizer",
    "_average",
    "_no_improvement_count",
    "loss_curve_",
    "history_",
    "best_iteration_",
    "validation_loss_curve_",
    "validation_scores_",
    "best_loss_",
    "best_validation_score_",
)


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
    # the training loss does not stop a run that is planned to its end: it may rise on the way
    runs_to_end = end_is_needed_by(estimator) is not None and not estimator.early_stopping
    patience = Patience(estimator.tol, np.inf if runs_to_end else estimator.n_iter_no_change)
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


def factors_of(estimator, schedule, n_epochs, n_steps):
    """The factors of learning rate, weight decay and dropout in the steps of a run.

    Parameters
    ----------
    estimator : BaseMLP
    schedule : Schedule
        Of the learning rate.
    n_epochs : int
    n_steps : int
        Of an epoch.

    Returns
    -------
    dict
        The arguments of `Trainer`: RateFactors, or None where all factors are 1.
    """
    warmup, factors = estimator.warmup, None
    if schedule.has_end or warmup != 0:
        warmup_epochs = float(warmup if isinstance(warmup, Integral) else warmup * n_epochs)
        factors = RateFactors(schedule, warmup_epochs, n_epochs, n_steps)
    decay, dropout = (progress_schedule_of(estimator, name) for name in PROGRESS_SCHEDULES)
    return {
        "factors": factors,
        "decay_factors": None if decay is None else RateFactors(decay, 0.0, n_epochs, n_steps),
        "dropout_factors": None if dropout is None else DropoutFactors(dropout, n_epochs, n_steps),
    }


def average_of(estimator, network, incremental, continues):
    """The average of the weights of a run. The network gets the raw weights that the run is to continue from.

    Parameters
    ----------
    estimator : BaseMLP
    network : Network
        With the fitted weights, or new ones. Its parameters are overwritten if they are the average of the last run;
        if they were edited or trained otherwise since, the run continues from them. So do frozen layers.
    incremental : bool
        Whether this is `partial_fit`, which continues the average too.
    continues : bool
        Whether the run goes on from fitted weights.

    Returns
    -------
    NoAverage, MovingAverage or EpochAverage

    Raises
    ------
    ValueError
        If both averages are asked for, one beside a solver that averages, or `swa_start` beside a schedule that waits
        for patience to run out.
    """
    decay, start = estimator.ema_decay, estimator.swa_start
    if decay is not None and start is not None:
        raise ValueError(
            f"ema_decay={decay!r} and swa_start={start!r} are two ways to average the weights: set one of them to None"
        )
    if optimizer_of(estimator).averages and (decay is not None or start is not None):
        raise ValueError(
            f"solver={estimator.solver!r} gives an average of the weights already; got ema_decay={decay!r} and "
            f"swa_start={start!r}: set both to None, or choose another solver"
        )
    if start is not None and not estimator.early_stopping and schedule_of(estimator).waits_for_plateau:
        raise ValueError(
            f"learning_rate={estimator.learning_rate!r} falls when patience runs out, and swa_start={start!r} has all "
            "max_iter epochs trained without patience: choose another learning_rate, or early_stopping=True"
        )
    last = getattr(estimator, "_average", None) if continues else None
    if last is not None and last.is_in(network):
        average, fitted = last.copy(), network.params.copy()
        average.hide(network)
        keep_frozen(network, fitted)
        is_same = isinstance(average, MovingAverage) and average.decay == decay
        if incremental and is_same and average.params.dtype == network.dtype:
            return average
    if decay is not None:
        return MovingAverage(network.params, decay)
    if start is None:
        return NoAverage()
    return EpochAverage(network.params, min(round(start * estimator.max_iter), estimator.max_iter - 1))


def keep_frozen(network, params):
    """Give the frozen blocks of the network, whose learning rate is 0, their values in `params`."""
    for block in network.graph.blocks:
        group = network.graph.groups[block.group]
        if group.learning_rate == 0 and group.trained:  # running statistics are not trained, and go on
            block.view(network.params)[...] = block.view(params)


def set_training_attributes(estimator, optimizer, history, stopping, average):
    """Set the attributes of a run that is over or was interrupted, except the weights.

    Parameters
    ----------
    estimator : BaseMLP
    optimizer : OptimizerState
    history : History
    stopping : LossStopping or EarlyStopping
    average : NoAverage, MovingAverage or EpochAverage
    """
    estimator._optimizer, estimator._average = optimizer, average if average.is_begun else None
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


def forget_training(estimator):
    """Delete what an earlier fit has left, and a fit of new weights by 'lbfgs' does not set.

    Parameters
    ----------
    estimator : BaseMLP
    """
    for name in OF_STOCHASTIC_SOLVERS:
        vars(estimator).pop(name, None)
