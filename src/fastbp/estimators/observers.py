"""Who looks at a fit: the callbacks, and those that parameters stand for; and the estimator that they see."""

from copy import deepcopy

from fastbp.callbacks import TimeLimit
from fastbp.estimators.attempt import with_attributes
from fastbp.estimators.parameters import PROGRESS_BAR
from fastbp.estimators.resumption import set_training_attributes
from fastbp.estimators.sklearn_callbacks import ATTRIBUTES as SKLEARN_ATTRIBUTES
from fastbp.progress import ProgressBar
from fastbp.training import Callbacks


def callbacks_of(estimator, state, of_sklearn=None):
    """The callbacks of a run: those of the parameter, then those of `max_time`, `verbose` and scikit-learn.

    Parameters
    ----------
    estimator : BaseMLP
    state : TrainingState
    of_sklearn : SklearnCallbacks or None

    Returns
    -------
    Callbacks
    """
    callbacks = Callbacks(estimator.callbacks, state)
    if estimator.max_time is not None:
        callbacks.objects.append(TimeLimit(estimator.max_time))
    if estimator.verbose == PROGRESS_BAR:
        callbacks.objects.append(ProgressBar())
    if of_sklearn is not None:
        callbacks.objects.append(of_sklearn)
    return callbacks


def estimator_so_far(model, stopping, average, state):
    """A copy of an estimator in training, as if training had ended now.

    Parameters
    ----------
    model : BaseMLP
        The one in training.
    stopping : LossStopping, EarlyStopping or None
        None for L-BFGS.
    average : NoAverage, MovingAverage or EpochAverage
    state : TrainingState

    Returns
    -------
    MLPClassifier or MLPRegressor
    """
    attributes = {name: value for name, value in vars(model).items() if name not in SKLEARN_ATTRIBUTES}
    other = with_attributes(model, attributes)
    other._adopt(state.network.copy())
    other._random_state = deepcopy(model._random_state)
    if stopping is None:
        other.n_iter_, other.loss_, other._average = state.epoch, state.loss, None
    else:
        set_training_attributes(other, state.optimizer.copy(), deepcopy(state.history), stopping, average.copy())
    return other
