"""Who looks at a fit: the callbacks, and those that parameters stand for; and the estimator that they see."""

from copy import deepcopy

from fastbp.callbacks import TimeLimit
from fastbp.estimators.attempt import with_attributes
from fastbp.estimators.resumption import set_training_attributes
from fastbp.progress import ProgressBar
from fastbp.training import Callbacks


def callbacks_of(estimator, state):
    """The callbacks of a run: those of the parameter, then those of `max_time` and `verbose`.

    Parameters
    ----------
    estimator : BaseMLP
    state : TrainingState

    Returns
    -------
    Callbacks
    """
    callbacks = Callbacks(estimator.callbacks, state)
    if estimator.max_time is not None:
        callbacks.objects.append(TimeLimit(estimator.max_time))
    if estimator.verbose > 1:
        callbacks.objects.append(ProgressBar())
    return callbacks


def estimator_so_far(model, state, stopping=None):
    """A copy of an estimator in training, as if training had ended now.

    Parameters
    ----------
    model : BaseMLP
        The one in training.
    state : TrainingState
    stopping : LossStopping, EarlyStopping or None
        None for L-BFGS.

    Returns
    -------
    MLPClassifier or MLPRegressor
    """
    other = with_attributes(model, vars(model).copy())
    other._adopt(state.network.copy())
    other._random_state = deepcopy(model._random_state)
    if stopping is None:
        other.n_iter_, other.loss_ = state.epoch, state.loss
    else:
        set_training_attributes(other, state.optimizer.copy(), deepcopy(state.history), stopping)
    return other
