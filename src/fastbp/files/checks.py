"""What the attributes of a fitted estimator must be."""

from numbers import Integral, Real

import numpy as np

from fastbp.estimators.class_targets import COLUMNS, IN_WORDS, INDICATORS, PROBABILITIES, check_numbers_of_columns
from fastbp.estimators.construction import LAYER_PARAMETERS
from fastbp.losses import MultiOutputLogLoss, as_loss
from fastbp.training import EpochAverage, MovingAverage, OptimizerState

#: Counts are below it: so they can go on
COUNT_LIMIT = 2**53


def is_count(value):
    """Whether a value is an integer of at least 0."""
    return isinstance(value, Integral) and not isinstance(value, bool) and 0 <= value < COUNT_LIMIT


def is_number(value):
    """Whether a value is a real number that floats can hold; NaN is one."""
    is_large = isinstance(value, Integral) and abs(value) >= COUNT_LIMIT
    return isinstance(value, Real) and not isinstance(value, bool) and not is_large


def are_numbers(values):
    """Whether a value is a list of real numbers."""
    return isinstance(values, list) and all(map(is_number, values))


def is_record(value):
    """Whether a value is what `History.as_dict` returns."""
    columns = ("loss", "learning_rate", "seconds")
    if not isinstance(value, dict) or not all(name in value for name in columns):
        return False
    is_named = all(isinstance(name, str) and are_numbers(column) for name, column in value.items())
    return is_named and len(set(map(len, value.values()))) == 1


def are_classes(value):
    """Whether a value is an array of labels, or a list of them."""
    arrays = value if isinstance(value, list) else [value]
    return bool(arrays) and all(
        isinstance(array, np.ndarray) and array.ndim == 1 and len(array) and np.array_equal(array, np.unique(array))
        for array in arrays
    )


def are_names(value):
    """Whether a value is an array of strings."""
    is_array = isinstance(value, np.ndarray) and value.ndim == 1 and value.dtype == object
    return is_array and all(isinstance(name, str) for name in value)


def is_layer_parameters(value):
    """Whether a value is what ``construction.layer_parameters`` returns."""
    # an older version knew fewer of them
    return isinstance(value, dict) and {"hidden_layer_sizes", "layers"} <= value.keys() <= set(LAYER_PARAMETERS)


def or_none(check):
    """Whether a value is None, or passes a check."""
    return lambda value: value is None or check(value)


def of_class(*classes):
    """Whether a value is of one of some classes."""
    return lambda value: isinstance(value, classes)


#: What a fit leaves, and a file keeps: attribute -> whether a value is one that a fit can leave. All others follow from
#: these, the parameters and the network.
ATTRIBUTES = {
    "_form": of_class(str),
    "classes_": are_classes,
    "feature_names_in_": are_names,
    "n_iter_": is_count,
    "t_": is_count,
    "loss_": is_number,
    "best_loss_": or_none(is_number),
    "best_iteration_": or_none(is_count),
    "best_validation_score_": or_none(is_number),
    "history_": is_record,
    "loss_curve_": are_numbers,
    "validation_loss_curve_": or_none(are_numbers),
    "validation_scores_": or_none(are_numbers),
    "_no_improvement_count": is_count,
    "_clipped": of_class(Integral),  # a batch_size
    "_is_slim": of_class(bool),
    "_seed": lambda value: isinstance(value, Integral),
    "_random_state": of_class(np.random.RandomState),
    "_split_generator": of_class(np.random.RandomState),
    "_layer_parameters": is_layer_parameters,
    "_optimizer": or_none(of_class(OptimizerState)),
    "_average": or_none(of_class(MovingAverage, EpochAverage)),
    "_run": of_class(dict),  # of a checkpoint; `Run.load_state_dict` checks what is in it
}


def check_attributes(attributes, network, is_classifier):
    """Check what a fit left, each attribute alone, and all together.

    Parameters
    ----------
    attributes : dict
    network : Network
    is_classifier : bool

    Raises
    ------
    ValueError
        Names the attribute.
    """
    for name, value in attributes.items():
        if name not in ATTRIBUTES or not ATTRIBUTES[name](value):
            raise ValueError(f"{name} is not what a fit leaves: {value!r:.200}")
    names = attributes.get("feature_names_in_")
    if names is not None and len(names) != network.layer_sizes[0]:
        raise ValueError(f"feature_names_in_ has {len(names)} names for {network.layer_sizes[0]} features")
    average = attributes.get("_average")
    if average is not None and average.is_shown and average.params.shape != (network.n_params,):
        raise ValueError(f"_average has {len(average.params)} numbers for {network.n_params} parameters")
    if ("_seed" in attributes) != ("_random_state" in attributes):
        raise ValueError("_seed and _random_state must come together")
    if is_classifier:
        check_classes(attributes, network)
    elif attributes.keys() & {"_form", "classes_"}:
        raise ValueError("a regressor has no classes")


def check_classes(attributes, network):
    """Check the classes, together with the units of the output layer.

    Parameters
    ----------
    attributes : dict
    network : Network

    Raises
    ------
    ValueError
    """
    form, classes = attributes.get("_form"), attributes.get("classes_")
    if classes is None or form not in IN_WORDS or isinstance(classes, list) != (form == COLUMNS):
        raise ValueError(f"classes_ does not belong to targets that are {form!r}")
    loss = as_loss(network.loss)
    if form == COLUMNS:
        n_units = sum(map(len, classes))
        if not isinstance(loss, MultiOutputLogLoss) or list(loss.n_classes) != [len(c) for c in classes]:
            raise ValueError(f"the loss {loss!r} does not belong to these classes_")
    else:
        n_units = len(classes) if form == INDICATORS or len(classes) > 2 else 1
        if isinstance(loss, MultiOutputLogLoss):
            raise ValueError(f"the loss {loss!r} does not belong to targets that are {form!r}")
    if form == INDICATORS:
        check_numbers_of_columns(classes, len(classes))
    if form == PROBABILITIES and len(classes) < 2:
        raise ValueError("classes_ must be at least two where targets are probabilities")
    if network.n_outputs != n_units:
        raise ValueError(f"classes_ needs {n_units} units in the output layer, and it has {network.n_outputs}")
