"""Who looks at a fit: the callbacks, and those that parameters stand for; and the estimator that they see."""

from copy import deepcopy
from dataclasses import replace

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


def estimator_so_far(model, run, state):
    """A copy of an estimator in training, as if training had ended now.

    Parameters
    ----------
    model : BaseMLP
        The one in training.
    run : Run
    state : TrainingState

    Returns
    -------
    MLPClassifier or MLPRegressor
    """
    return with_run(model, run, state)[0]


def checkpoint_so_far(model, run, incremental, state):
    """`estimator_so_far`, without callbacks and requests of metadata, which a resumed estimator has itself, and with
    the state of the run in the attribute ``_run``. The two share arrays, which are in a pickle once.

    Parameters
    ----------
    model, run, state
        As for `estimator_so_far`.
    incremental : bool
        Whether this is `partial_fit`, which is no run to be resumed: it goes on by the next call.

    Returns
    -------
    MLPClassifier or MLPRegressor
    """
    if run.stopping is None and run.evaluations is None:
        raise AttributeError(
            "state.checkpoint is there in a fit by 'lbfgs' only where a callback has a true attribute saves_run"
        )
    other, run = with_run(model, run, state)
    other.callbacks = None
    vars(other).pop("_metadata_request", None)  # the resumed estimator has its own
    if not incremental:
        other._run = run.state_dict()
    return other


def with_run(model, run, state):
    """A copy of an estimator in training, and the run with the copies that are its attributes."""
    attributes = {name: value for name, value in vars(model).items() if name not in SKLEARN_ATTRIBUTES}
    other = with_attributes(model, attributes)
    generator = deepcopy(model._random_state)
    run = replace(run, network=state.network.copy(), history=deepcopy(state.history), random_state=generator)
    other._adopt(run.network)
    other._random_state = generator
    if run.stopping is None:
        other.n_iter_, other.loss_, other._average = state.epoch, state.loss, None
    else:
        run = replace(run, optimizer=state.optimizer.copy(), average=run.average.copy())
        set_training_attributes(other, run.optimizer, run.history, run.stopping, run.average)
    return other, run
