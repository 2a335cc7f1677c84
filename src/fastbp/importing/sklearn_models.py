"""Fitted perceptrons of scikit-learn as estimators of fastbp."""

from copy import deepcopy

import numpy as np
from sklearn import neural_network
from sklearn.utils.validation import check_is_fitted

from fastbp.estimators import MLPClassifier, MLPRegressor
from fastbp.estimators.class_targets import INDICATORS, LABELS
from fastbp.estimators.construction import build_network, layer_parameters
from fastbp.estimators.derived import set_derived
from fastbp.estimators.resumption import optimizer_state_of
from fastbp.estimators.weights import dtype_of, fill, layer_sizes_of

#: Class of scikit-learn -> class of fastbp
CLASSES = {neural_network.MLPClassifier: MLPClassifier, neural_network.MLPRegressor: MLPRegressor}
#: Attributes that have the same meaning, where scikit-learn has set them
SAME = (
    "n_iter_",
    "t_",
    "loss_",
    "best_loss_",
    "best_validation_score_",
    "validation_scores_",
    "_no_improvement_count",
    "feature_names_in_",
)


def from_sklearn(estimator: neural_network.MLPClassifier | neural_network.MLPRegressor) -> MLPClassifier | MLPRegressor:
    """A fitted perceptron of scikit-learn as one of fastbp, which predicts the same up to rounding.

    It has copies of the weights, all parameters and attributes, and the state of 'adam' or 'sgd': `partial_fit`, and
    `fit` with `warm_start`, go on as those of scikit-learn would, up to rounding. Where fastbp decides otherwise, it
    does so here too: several calls of `partial_fit` with an int as `random_state` go on with one generator, while
    scikit-learn begins anew with each call; and each `fit` with `early_stopping` restores its own best weights, while
    scikit-learn's compares with the fits before.

    Parameters
    ----------
    estimator : sklearn.neural_network.MLPClassifier or sklearn.neural_network.MLPRegressor
        Fitted. Of a pipeline, convert the last step:
        ``pipeline.steps[-1] = (name, fastbp.from_sklearn(pipeline[-1]))``.

    Returns
    -------
    MLPClassifier or MLPRegressor
        Of fastbp. ``history_`` has the losses; learning rates and seconds are not known, and NaN.

    Raises
    ------
    TypeError
        For other objects, also of subclasses, whose methods may do other things.
    ValueError
        For weights that do not fit together.
    NotFittedError

    Examples
    --------
    >>> import fastbp
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.neural_network import MLPClassifier
    >>> X, y = load_iris(return_X_y=True)
    >>> theirs = MLPClassifier((5,), tol=0.1, random_state=0).fit(X, y)
    >>> ours = fastbp.from_sklearn(theirs)
    >>> bool((ours.predict(X) == theirs.predict(X)).all())
    True
    >>> ours.partial_fit(X, y)
    MLPClassifier(hidden_layer_sizes=(5,), random_state=0, tol=0.1)
    """
    if type(estimator) not in CLASSES:
        raise TypeError(
            "estimator must be an MLPClassifier or MLPRegressor of sklearn.neural_network, got "
            f"{type(estimator).__module__}.{type(estimator).__name__}. Of a pipeline or a search, convert the "
            "perceptron in it, such as pipeline[-1] or search.best_estimator_"
        )
    check_is_fitted(estimator)
    model = CLASSES[type(estimator)](**deepcopy(estimator.get_params(deep=False)))
    is_sparse = False
    if isinstance(model, MLPClassifier):
        binarizer = estimator._label_binarizer
        is_several = binarizer.y_type_.startswith("multilabel")
        model.classes_, model._form = np.array(estimator.classes_), INDICATORS if is_several else LABELS
        is_sparse = binarizer.sparse_input_
    sizes = layer_sizes_of(
        estimator.coefs_, estimator.intercepts_, estimator.n_features_in_, estimator.n_layers_, estimator.n_outputs_
    )
    # without hidden layers, the activation is of no effect
    definition = {
        "layer_sizes": tuple(sizes),
        "activation": estimator.activation,
        "output_activation": estimator.out_activation_,
    }
    network = build_network(model, definition, dtype_of(estimator.coefs_))
    fill(network, estimator.coefs_, estimator.intercepts_)
    for name in SAME:
        if name in vars(estimator):
            setattr(model, name, plain(vars(estimator)[name]))
    model._layer_parameters, model._average = layer_parameters(model), None
    set_record(model, estimator)
    set_derived(model, network, is_sparse)
    set_optimizer(model, estimator, network)
    return model


def plain(value):
    """A value of an attribute: numbers as Python's own, arrays as copies."""
    if isinstance(value, list):
        return [float(number) for number in value]
    return value.item() if isinstance(value, np.generic) else deepcopy(value)


def set_record(model, estimator):
    """Set the attributes of the epochs, where there were any: not with 'lbfgs'."""
    if "loss_curve_" not in vars(estimator):
        return
    losses = plain(estimator.loss_curve_)
    unknown = [float("nan")] * len(losses)
    model.history_ = {"loss": losses, "learning_rate": unknown, "seconds": list(unknown)}
    scores = estimator.validation_scores_
    last = None if scores is None else scores[len(scores) - estimator.n_iter_ :]
    model.best_iteration_ = int(np.argmax(last)) + 1 if last else estimator.n_iter_


def set_optimizer(model, estimator, network):
    """Set the state of 'adam' or 'sgd' that partial_fit goes on with; none where scikit-learn has none, or it does not
    fit the weights, because others were assigned."""
    theirs = vars(estimator).get("_optimizer")
    if theirs is None or model.solver not in ("adam", "sgd"):
        return
    arrays = [theirs.ms, theirs.vs] if hasattr(theirs, "ms") else [theirs.velocities]
    shapes = [block.shape for block in network.coefs + network.intercepts]
    if any([array.shape for array in moments] != shapes for moments in arrays):
        return
    state = optimizer_state_of(model, network, incremental=False)
    if len(arrays) != len(state.state):  # the solver was changed after the fit
        return
    for ours, moments in zip(state.state, arrays, strict=True):
        ours[...] = np.concatenate([array.ravel() for array in moments])
    state.n_steps = getattr(theirs, "t", 0)
    if not hasattr(theirs, "ms"):
        state.learning_rate = float(theirs.learning_rate)
    model._optimizer = state
