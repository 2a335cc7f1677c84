"""A small copy of a fitted estimator, to be saved."""

from sklearn.utils.validation import check_is_fitted

from fastbp.estimators.attempt import with_attributes
from fastbp.estimators.base import BaseMLP

#: Attributes that only `partial_fit` needs
TRAINING_STATE = ("_optimizer", "_average", "_random_state", "_seed", "_no_improvement_count", "_run")


def slim(estimator):
    """A copy of a fitted estimator without what only further training needs, to be saved.

    What is left out are the optimizer's moments, for 'adam' twice as many numbers as there are weights, the raw weights
    where `coefs_` are averages, and the generator. Predictions are the same to the last bit. `fit` works as before,
    with `warm_start` too; `partial_fit` begins with a new optimizer and generator, and warns of it.

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
    if not isinstance(estimator, BaseMLP):
        raise TypeError(
            f"estimator must be a MLPClassifier or MLPRegressor of fastbp, got {type(estimator).__name__}. Of a "
            "pipeline or a search, slim the perceptron in it: pipeline.steps[-1] = (name, slim(pipeline[-1]))."
        )
    check_is_fitted(estimator)
    estimator._check_layers_are_known()
    attributes = vars(estimator).copy()  # in one step: another thread may set attributes
    for name in TRAINING_STATE:
        attributes.pop(name, None)
    other = with_attributes(estimator, attributes)
    other._adopt(other._fitted_network().copy())
    other._is_slim = True
    return other
