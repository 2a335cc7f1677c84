"""One call of fit or partial_fit: an estimator is trained as a copy of itself.

The copy shares the values of all attributes, and training replaces attributes of the copy. When training is over, the
estimator takes over what changed, in one assignment of its ``__dict__``. So a fit that fails leaves the estimator as it
was, and a prediction, a pickle or a clone made meanwhile, in a callback or in another thread, sees the old model whole.
"""

from numbers import Integral


def with_attributes(estimator, attributes):
    """An object of the estimator's class with the dictionary `attributes` as its ``__dict__``."""
    other = object.__new__(type(estimator))
    other.__dict__ = attributes
    return other


class Attempt:
    """A context manager around one call of fit.

    An exception from outside (Ctrl-C, one raised by a signal handler, or one sent to the thread) that arrives while
    training is under way does not undo what was learned: the estimator gets the weights of the last whole step. Any
    other exception leaves the estimator as it was.

    Parameters
    ----------
    estimator : BaseMLP
    incremental : bool
        Whether the call goes on with the estimator's generator, whose state a failure has to put back.

    Attributes
    ----------
    model : BaseMLP
        The copy to train.
    history : History or None
        The record of the run; None until training begins.
    warnings : list of (str, type)
        What to warn of when all is stored: as errors, warnings must not undo the fit.
    """

    def __init__(self, estimator, incremental):
        self.estimator = estimator
        self.before = vars(estimator).copy()
        self.model = with_attributes(estimator, self.before.copy())
        self.history = None
        self.warnings = []
        owns_generator = incremental and isinstance(estimator.random_state, Integral)
        self.generator = self.before.get("_random_state") if owns_generator else None
        self.generator_state = None if self.generator is None else self.generator.get_state(legacy=False)

    def warn(self, message, category=UserWarning):
        """Note a warning to be given when all is stored."""
        self.warnings.append((message, category))

    def __enter__(self):
        return self

    def __exit__(self, kind, error, traceback):
        if error is None or self.was_interrupted(error):
            self.publish()
        elif self.generator is not None:
            self.generator.set_state(self.generator_state)

    def was_interrupted(self, error):
        """Whether training had begun, and was ended from outside."""
        return self.history is not None and (isinstance(error, KeyboardInterrupt) or self.history.interrupted)

    def publish(self):
        """Give the estimator all attributes that training changed, at once.

        Attributes that were set on the estimator meanwhile, and that training did not change, stay.
        """
        after = vars(self.model)
        changed = {
            name: value for name, value in after.items() if name not in self.before or self.before[name] is not value
        }
        now = vars(self.estimator).copy()  # in one step: another thread may set attributes
        kept = {name: value for name, value in now.items() if name in after or name not in self.before}
        self.estimator.__dict__ = kept | changed
