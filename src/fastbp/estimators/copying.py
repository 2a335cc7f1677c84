"""Copies of an estimator: what `sklearn.base.clone` makes of it, and one that is small."""

from sklearn.base import clone
from sklearn.utils.validation import check_is_fitted

from fastbp.estimators.attempt import with_attributes

#: Attributes that only `partial_fit` needs
TRAINING_STATE = ("_optimizer", "_random_state", "_seed", "_no_improvement_count")


class Copying:
    """The part of an estimator that looks after its copies."""

    def __sklearn_clone__(self):
        try:
            return super().__sklearn_clone__()
        except Exception:
            callbacks = self.callbacks
            is_list = isinstance(callbacks, (list, tuple))
            for number, callback in enumerate(callbacks if is_list else [callbacks]):
                check_clone(callback, f"callbacks[{number}]" if is_list else "callbacks")
            raise


def check_clone(callback, name):
    """TypeError if scikit-learn cannot clone a callback."""
    try:
        clone(callback, safe=False)
    except Exception as error:
        raise TypeError(
            f"{name} cannot be cloned: {callback!r} raises {type(error).__name__}: {error}. Let its class inherit from "
            "fastbp.Callback, whose objects are shared by all clones, or give it a method __sklearn_clone__ that "
            "returns what a clone of the estimator gets."
        ) from error


def slim(estimator):
    """A copy of a fitted estimator without what only further training needs, to be saved.

    What is left out are the optimizer's moments, for 'adam' twice as many numbers as there are weights, and the
    generator. Predictions are the same to the last bit. `fit` works as before, with `warm_start` too; `partial_fit`
    begins with a new optimizer and generator, and warns of it.

    Parameters
    ----------
    estimator : fitted MLPClassifier or MLPRegressor
        Of a pipeline or a search, slim the perceptron in it:
        ``pipeline.steps[-1] = (name, slim(pipeline[-1]))``.

    Returns
    -------
    MLPClassifier or MLPRegressor
        With weights of its own.

    Raises
    ------
    TypeError
        For anything else.
    NotFittedError

    Examples
    --------
    >>> import pickle
    >>> from fastbp import MLPRegressor, slim
    >>> model = MLPRegressor(random_state=0, max_iter=500).fit([[0.0] * 50, [1.0] * 50], [0.0, 1.0])
    >>> len(pickle.dumps(model)) > 2 * len(pickle.dumps(slim(model)))
    True
    """
    if not isinstance(estimator, Copying):
        raise TypeError(
            f"estimator must be a MLPClassifier or MLPRegressor of fastbp, got {type(estimator).__name__}. Of a "
            "pipeline or a search, slim the perceptron in it: pipeline.steps[-1] = (name, slim(pipeline[-1]))."
        )
    check_is_fitted(estimator)
    estimator._check_weights_are_fitted()
    attributes = {name: value for name, value in vars(estimator).items() if name not in TRAINING_STATE}
    other = with_attributes(estimator, attributes)
    other._adopt(other._fitted_network().copy())
    other._is_slim = True
    return other
