"""One call of fit or partial_fit: an estimator is trained as a copy of itself.

The copy shares the values of all attributes, and training replaces attributes of the copy. After training, the
estimator gets the changed attributes in one assignment of its ``__dict__``. So a fit that fails leaves the estimator
unchanged, and a prediction, a pickle or a clone that is made meanwhile, in a callback or in another thread, uses the
old model.
"""

from numbers import Integral

#: In place of the value of an attribute that there was not
ABSENT = object()


def with_attributes(estimator, attributes):
    """An object of the estimator's class with the dictionary `attributes` as its ``__dict__``."""
    other = object.__new__(type(estimator))
    other.__dict__ = attributes
    return other


class Attempt:
    """A context manager around one call of fit.

    After an exception from outside (Ctrl-C, one raised by a signal handler, or one sent to the thread) during training,
    the estimator gets the weights of the last complete step. Any other exception leaves the estimator unchanged.

    Parameters
    ----------
    estimator : BaseMLP
    incremental : bool
        Whether the call continues with the estimator's generator, whose state must be restored after a failure.
    observer : SklearnCallbacks or None
        Sees the run.

    Attributes
    ----------
    model : BaseMLP
        The copy to train.
    history : History or None
        The record of the run; None until training begins.
    run : dict or None
        The state of the run to go on with, from a checkpoint; None for a new one.
    warnings : list of (str, type)
        Warnings to give after the attributes are stored: if warnings are errors, they must not undo the fit.
    """

    def __init__(self, estimator, incremental, observer=None):
        self.estimator, self.observer = estimator, observer
        self.before = vars(estimator).copy()
        self.model = with_attributes(estimator, self.before.copy())
        self.history = self.run = None
        self.warnings = []
        owns_generator = incremental and isinstance(estimator.random_state, Integral)
        self.generator = self.before.get("_random_state") if owns_generator else None
        self.generator_state = None if self.generator is None else self.generator.get_state(legacy=False)

    def warn(self, message, category=UserWarning):
        """Record a warning, to be given after the attributes are stored."""
        self.warnings.append((message, category))

    def __enter__(self):
        return self

    def __exit__(self, kind, error, traceback):
        if error is None or self.was_interrupted(error):
            self.publish()
        elif self.generator is not None:
            self.generator.set_state(self.generator_state)

    def was_interrupted(self, error):
        """Whether training had begun and was interrupted from outside."""
        return self.history is not None and (isinstance(error, KeyboardInterrupt) or self.history.interrupted)

    def publish(self):
        """Set all attributes of the estimator that training changed, in one step.

        Attributes that were set on the estimator meanwhile, and that training did not change, are kept.
        """
        before, after = self.before, vars(self.model)
        changed = {name: value for name, value in after.items() if before.get(name, ABSENT) is not value}
        kept = vars(self.estimator).copy()  # in one step: another thread may set attributes
        for name in before.keys() - after.keys():
            kept.pop(name, None)
        self.estimator.__dict__ = kept | changed
