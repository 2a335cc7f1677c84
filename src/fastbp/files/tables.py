"""The estimators for tables, to JSON and back."""

import numpy as np
from sklearn.preprocessing import LabelEncoder

from fastbp.estimators import MLPClassifier, MLPRegressor, TabularMLPClassifier
from fastbp.estimators.attempt import with_attributes
from fastbp.estimators.tabular.encoder import TableEncoder
from fastbp.files.checks import are_classes, are_names, is_count, is_number
from fastbp.files.errors import Unsavable
from fastbp.files.estimators import decoded_params, encoded_params
from fastbp.files.places import under
from fastbp.files.requests import ATTRIBUTE as REQUESTS
from fastbp.files.requests import encoded_requests, set_requests

#: What follows from other attributes
DERIVED = ("n_features_in_", "is_categorical_", "_labels", "_target_ndim", REQUESTS)


def are_floats(ndim):
    """Whether a value is an array of float64 with so many dimensions."""
    return lambda value: isinstance(value, np.ndarray) and value.dtype == np.float64 and value.ndim == ndim


def are_models(value):
    """Whether a value is a list of fitted models."""
    return (
        isinstance(value, list)
        and len(value) > 0
        and all(type(model) in (MLPClassifier, MLPRegressor) and hasattr(model, "coefs_") for model in value)
    )


#: attribute -> whether a value is one that a fit can leave
OF_BOTH = {
    "_encoder": lambda value: isinstance(value, TableEncoder),
    "estimators_": are_models,
    "estimator_weights_": are_floats(1),
    "oob_score_": is_number,
    "feature_importances_": are_floats(1),
}
OF_CLASSIFIER = {
    "classes_": are_classes,
    "temperature_": is_number,
    "oob_log_loss_": is_number,
    "_temperatures": are_floats(1),
}
OF_REGRESSOR = {
    "n_outputs_": is_count,
    "_is_flat": lambda value: isinstance(value, bool),
    **dict.fromkeys(("_lowest", "_highest", "_mean", "_deviation"), are_floats(1)),
    "_residuals": are_floats(2),
    "_n_residuals": is_count,
}


def attributes_of(cls):
    """What a fit of a class leaves: attribute -> whether a value is one that a fit can leave."""
    return OF_BOTH | (OF_CLASSIFIER if cls is TabularMLPClassifier else OF_REGRESSOR)


def encoded_tabular(encoder, estimator, place):
    """A classifier or a regressor for tables.

    Parameters
    ----------
    encoder : Encoder
    estimator : TabularMLPClassifier or TabularMLPRegressor
    place : str

    Returns
    -------
    dict
    """
    estimator = with_attributes(estimator, vars(estimator).copy())  # a fit in another thread may end meanwhile
    parts = {"params": encoded_params(encoder, estimator, place), **encoded_requests(estimator)}
    attributes = {k: v for k, v in vars(estimator).items() if k not in parts["params"] and k not in DERIVED}
    for name in sorted(attributes.keys() - attributes_of(type(estimator)).keys() - {"feature_names_in_"}):
        raise Unsavable(under(place, name), attributes[name])
    if attributes:
        check_tabular(attributes, type(estimator))
        parts["fitted"] = {name: encoder.encode(value, under(place, name)) for name, value in attributes.items()}
    return parts


def tabular_decoder(cls):
    """The function that makes an estimator for tables of what `encoded_tabular` described.

    Parameters
    ----------
    cls : type

    Returns
    -------
    callable
    """

    def decoded(decoder, content, place):
        decoder.parts(content, ("params",), ("requests", "fitted"), place)
        estimator = decoded_params(decoder, content["params"], cls, place)
        set_requests(estimator, content.get("requests", {}), under(place, "requests"))
        if "fitted" not in content:
            return estimator
        needed = tuple(attributes_of(cls))
        parts = decoder.parts(content["fitted"], needed, ("feature_names_in_",), under(place, "fitted"))
        attributes = {name: decoder.decode(node, under(place, name)) for name, node in parts.items()}
        check_tabular(attributes, cls)
        vars(estimator).update(attributes)
        estimator.n_features_in_ = len(estimator._encoder.levels)
        estimator.is_categorical_ = estimator._encoder.is_categorical
        if cls is TabularMLPClassifier:
            estimator._labels = LabelEncoder().fit(estimator.classes_)
            estimator.classes_ = estimator._labels.classes_
        return estimator

    return decoded


def check_tabular(attributes, cls):
    """Check what a fit left, each attribute alone, and all together.

    Parameters
    ----------
    attributes : dict
    cls : type

    Raises
    ------
    ValueError
        Names the attribute.
    """
    for name, check in attributes_of(cls).items():
        if name not in attributes or not check(attributes[name]):
            raise ValueError(f"{name} is not what a fit leaves: {attributes.get(name)!r:.200}")
    n_features, models = len(attributes["_encoder"].levels), attributes["estimators_"]
    names = attributes.get("feature_names_in_")
    if names is not None and not (are_names(names) and len(names) == n_features):
        raise ValueError(f"feature_names_in_ must be {n_features} strings")
    weights = attributes["estimator_weights_"]
    if len(weights) != len(models) or not (np.isfinite(weights).all() and (weights > 0).all()):
        raise ValueError("estimator_weights_ must be positive numbers, one for each of estimators_")
    if len(attributes["feature_importances_"]) != n_features:
        raise ValueError(f"feature_importances_ must be {n_features} numbers")
    is_classifier = cls is TabularMLPClassifier
    for model in models:
        if isinstance(model, MLPClassifier) != is_classifier or model.n_features_in_ != n_features:
            raise ValueError(f"estimators_ must be models of the same kind, which read {n_features} columns")
    check_classes(attributes) if is_classifier else check_targets(attributes)


def check_classes(attributes):
    """ValueError unless the models have the classes, and the temperature is above 0."""
    n_classes = len(attributes["classes_"])
    if n_classes < 2 or any(len(model.classes_) != n_classes for model in attributes["estimators_"]):
        raise ValueError("classes_ must be at least two, those of each of estimators_")
    temperatures = attributes["_temperatures"]
    if len(temperatures) != len(attributes["estimators_"]) or not (temperatures > 0).all():
        raise ValueError("_temperatures must be positive numbers, one for each of estimators_")
    if not attributes["temperature_"] > 0:
        raise ValueError("temperature_ must be above 0")


def check_targets(attributes):
    """ValueError unless the models have the targets, and the numbers of each target are finite."""
    n_outputs = attributes["n_outputs_"]
    if any(model.n_outputs_ != n_outputs for model in attributes["estimators_"]):
        raise ValueError("n_outputs_ must be that of each of estimators_")
    for name in ("_lowest", "_highest", "_mean", "_deviation"):
        if attributes[name].shape != (n_outputs,) or not np.isfinite(attributes[name]).all():
            raise ValueError(f"{name} must be {n_outputs} finite numbers")
    residuals, n = attributes["_residuals"], attributes["_n_residuals"]
    if residuals.shape[1] != n_outputs or len(residuals) > n or (n and not len(residuals)):
        raise ValueError("_residuals must have a column for each output, and no more rows than _n_residuals")
    if attributes["_is_flat"] and n_outputs != 1:
        raise ValueError("_is_flat is for one target")
