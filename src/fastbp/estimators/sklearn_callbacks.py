"""scikit-learn's own callbacks, ``estimator.set_callbacks(...)``: an experimental interface of scikit-learn 1.9.

Each epoch, or iteration of L-BFGS, is a task below the task of the fit. Older versions of scikit-learn have no such
interface, and newer ones may have another one: then there is no ``set_callbacks`` (`fastbp.compatibility`).
"""

from functools import partial

#: What scikit-learn keeps of its callbacks among the attributes of an estimator
ATTRIBUTES = ("_skl_callbacks", "_skl_callbacks_to_teardown", "_callback_fit_ctx", "_parent_callback_ctx")


def sklearn_callbacks_of(estimator, y):
    """A callback that calls those that scikit-learn's `set_callbacks` has set; None if there are none.

    Parameters
    ----------
    estimator : BaseMLP
        The one whose `fit` was called.
    y : array-like
        The argument of `fit`.

    Returns
    -------
    SklearnCallbacks or None
    """
    return SklearnCallbacks(estimator, y) if getattr(estimator, "_skl_callbacks", None) else None


class SklearnCallbacks:
    """A callback that calls those of scikit-learn.

    Parameters
    ----------
    estimator : BaseMLP
        The one whose `fit` was called.
    y : array-like
        The argument of `fit`.
    """

    def __init__(self, estimator, y):
        self.estimator, self.y = estimator, y
        self.root = self.task = None

    @property
    def arguments(self):
        """dict: the arguments of every hook."""
        weight = self.state.sample_weight
        metadata = None if weight is None else {"sample_weight": weight}
        return dict(estimator=self.estimator, X=self.state.X, y=self.y, metadata=metadata)

    def on_fit_begin(self, state):
        """Set the callbacks up, and begin the task of the fit."""
        self.state = state
        is_lbfgs = state.learning_rate is None  # which does not know before whether an iteration follows
        max_subtasks = state.max_iter + is_lbfgs
        self.root = self.estimator._init_callback_context(max_subtasks=max_subtasks)
        self.root.call_on_fit_task_begin(**self.arguments)

    def on_epoch_begin(self, state):
        """Begin the task of an epoch."""
        self.task = self.root.subcontext(task_name="epoch")
        self.task.call_on_fit_task_begin(**self.arguments)

    def on_epoch_end(self, state):
        """End the task. Whether a callback asks training to stop."""
        task, self.task = self.task, None
        attributes = partial(fitted_attributes, state)
        return task.call_on_fit_task_end(**self.arguments, reconstruction_attributes=attributes)

    def finish(self):
        """End the task of the fit, which has succeeded, and one that began for an iteration that did not follow."""
        if self.task is not None:
            self.task.call_on_fit_task_end(estimator=self.estimator)
        attributes = partial(fitted_attributes, self)
        self.root.call_on_fit_task_end(**self.arguments, reconstruction_attributes=attributes)


def fitted_attributes(holder):
    """The attributes, without the parameters, of the estimator that `holder` has or makes; to be set on a copy."""
    estimator = holder.estimator
    parameters = estimator.get_params(deep=False)
    return {name: value for name, value in vars(estimator).items() if name not in {*parameters, *ATTRIBUTES}}
