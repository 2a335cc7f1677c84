"""Estimators to JSON and back: parameters, network, and the attributes that do not follow from these."""

import numpy as np
from scipy import sparse
from sklearn.preprocessing import LabelBinarizer
from sklearn.utils.validation import check_is_fitted

from fastbp.estimators import MLPClassifier, MLPEncoder, MLPRegressor
from fastbp.estimators.attempt import with_attributes
from fastbp.estimators.class_targets import COLUMNS, INDICATORS
from fastbp.files.checks import ATTRIBUTES, are_names, check_attributes
from fastbp.files.errors import Unsavable
from fastbp.files.networks import decoded_network, encoded_network
from fastbp.files.places import under
from fastbp.files.requests import ATTRIBUTE as REQUESTS
from fastbp.files.requests import encoded_requests, set_requests
from fastbp.losses import as_loss
from fastbp.network import Network

#: What follows from the network, the classes and the record, is a version, or a part of its own
DERIVED = {
    REQUESTS,
    "_network_state",
    "_fastbp_version",
    "_sklearn_version",
    "_fitted_loss",
    "_n_units",
    "_activations",
    "_label_binarizer",
    "n_features_in_",
    "n_layers_",
    "n_outputs_",
    "out_activation_",
}
#: attribute -> the column of ``history_`` that it is
COLUMNS_OF_RECORD = {"loss_curve_": "loss", "validation_loss_curve_": "validation_loss"}
#: attribute of a fitted MLPEncoder -> its class
OF_ENCODER = {"regressor_": MLPRegressor, "encoder_": Network, "decoder_": Network}
#: What `set_output` of an MLPEncoder may have been given
OUTPUTS = ("default", "pandas", "polars")


def encoded_params(encoder, estimator, place):
    """The parameters, which must be valid: else the file could not be loaded."""
    estimator._validate_params()
    params = estimator.get_params(deep=False)
    return {name: encoder.encode(value, under(place, name)) for name, value in params.items()}


def decoded_params(decoder, content, cls, place):
    """An unfitted estimator of a class with the parameters; those that an older version did not know have their
    defaults."""
    known = cls._get_param_names()
    parts = decoder.parts(content, (), content, under(place, "params"))
    unknown = parts.keys() - set(known)
    if unknown:
        raise ValueError(f"{cls.__name__} has no parameter {min(unknown)!r}")
    estimator = cls(**{name: decoder.decode(node, under(place, name)) for name, node in parts.items()})
    estimator._validate_params()
    return estimator


def attributes_of(estimator):
    """The attributes that a file keeps: a dict.

    Parameters
    ----------
    estimator : MLPClassifier or MLPRegressor

    Returns
    -------
    dict
    """
    params = estimator.get_params(deep=False)
    state = {k: v for k, v in estimator.__getstate__().items() if k not in DERIVED and k not in params}
    if state.get("_seed") is None:  # the generator belongs to the user, or is NumPy's: it is that of random_state
        state.pop("_seed", None)
        state.pop("_random_state", None)
    if "history_" in state:
        for name in COLUMNS_OF_RECORD:
            state.pop(name, None)
    if hasattr(estimator, "classes_"):
        state["_form"] = estimator._form
    return state


def encoded_mlp(encoder, estimator, place):
    """A classifier or a regressor.

    Parameters
    ----------
    encoder : Encoder
    estimator : MLPClassifier or MLPRegressor
    place : str

    Returns
    -------
    dict
    """
    model = estimator._snapshot()
    parts = {"params": encoded_params(encoder, model, place), **encoded_requests(model)}
    attributes = attributes_of(model)
    for name in sorted(attributes.keys() - ATTRIBUTES.keys()):
        raise Unsavable(under(place, name), attributes[name])
    if not hasattr(model, "coefs_"):
        for name in sorted(attributes):
            raise Unsavable(under(place, name), attributes[name])
        return parts
    network = model._fitted_network()
    check_attributes(attributes, network, isinstance(model, MLPClassifier))
    parts["network"] = encoded_network(encoder, network, place)
    parts["fitted"] = {name: encoder.encode(value, under(place, name)) for name, value in attributes.items()}
    if attributes.get("_form") == INDICATORS:
        parts["is_sparse"] = bool(model._label_binarizer.sparse_input_)
    return parts


def mlp_decoder(cls):
    """The function (decoder, content, place) that makes an estimator of a class of what `encoded_mlp` wrote.

    Parameters
    ----------
    cls : type

    Returns
    -------
    callable
    """

    def decoded(decoder, content, place):
        decoder.parts(content, ("params",), ("requests", "network", "fitted", "is_sparse"), place)
        estimator = decoded_params(decoder, content["params"], cls, place)
        set_requests(estimator, content.get("requests", {}), under(place, "requests"))
        if "network" not in content:
            return estimator
        network = decoded_network(decoder, dict(content["network"]), place)
        parts = decoder.parts(content.get("fitted"), ("_layer_parameters",), ATTRIBUTES, under(place, "fitted"))
        attributes = {name: decoder.decode(node, under(place, name)) for name, node in parts.items()}
        check_attributes(attributes, network, cls is MLPClassifier)
        vars(estimator).update(attributes)
        set_derived(estimator, network, content.get("is_sparse", False))
        return estimator

    return decoded


def set_derived(estimator, network, is_sparse):
    """Set the attributes of a fit that follow from others.

    Parameters
    ----------
    estimator : MLPClassifier or MLPRegressor
    network : Network
    is_sparse : bool
        Whether indicators of several labels came in a sparse matrix, so that predictions do too.
    """
    loss, n_units = as_loss(network.loss), network.n_outputs
    estimator._fitted_loss, estimator._n_units = loss, n_units
    estimator.n_features_in_, estimator.n_layers_ = network.layer_sizes[0], len(network.layer_sizes)
    estimator.n_outputs_ = loss.predictions(np.zeros((1, n_units))).shape[1]
    estimator.out_activation_ = network.definition["output_activation"]
    if hasattr(estimator, "history_"):
        for name, column in COLUMNS_OF_RECORD.items():
            setattr(estimator, name, estimator.history_.get(column))
    if hasattr(estimator, "classes_") and estimator._form != COLUMNS:
        estimator._label_binarizer = binarizer_of(estimator.classes_, estimator._form, is_sparse)
        estimator.classes_ = estimator._label_binarizer.classes_
    estimator._adopt(network)


def binarizer_of(classes, form, is_sparse):
    """The LabelBinarizer that was fitted to targets of these classes.

    Parameters
    ----------
    classes : ndarray
    form : str
        Of the targets.
    is_sparse : bool

    Returns
    -------
    LabelBinarizer
    """
    if form != INDICATORS:
        return LabelBinarizer().fit(classes)
    binarizer = LabelBinarizer().fit(sparse.eye_array(len(classes), dtype=int, format="csr"))
    binarizer.sparse_input_ = bool(is_sparse)
    return binarizer


def encoded_encoder(encoder, estimator, place):
    """An MLPEncoder.

    Parameters
    ----------
    encoder : Encoder
    estimator : MLPEncoder
    place : str

    Returns
    -------
    dict
    """
    estimator = with_attributes(estimator, vars(estimator).copy())  # a fit in another thread may end meanwhile
    parts = {"params": encoded_params(encoder, estimator, place), **encoded_requests(estimator)}
    kept_elsewhere = {*parts["params"], "n_features_in_", REQUESTS}
    attributes = {k: v for k, v in vars(estimator).items() if k not in kept_elsewhere}
    output = attributes.pop("_sklearn_output_config", {}).get("transform")
    for name in sorted(attributes.keys() - {*OF_ENCODER, "feature_names_in_"}):
        raise Unsavable(under(place, name), attributes[name])
    if attributes:
        check_encoder(attributes)
        parts["fitted"] = {name: encoder.encode(value, under(place, name)) for name, value in attributes.items()}
    return parts if output is None else {**parts, "output": output}


def decoded_encoder(decoder, content, place):
    """The MLPEncoder that `encoded_encoder` described.

    Parameters
    ----------
    decoder : Decoder
    content : dict
    place : str

    Returns
    -------
    MLPEncoder
    """
    decoder.parts(content, ("params",), ("requests", "fitted", "output"), place)
    estimator = decoded_params(decoder, content["params"], MLPEncoder, place)
    set_requests(estimator, content.get("requests", {}), under(place, "requests"))
    if "output" in content:
        if content["output"] not in OUTPUTS:
            raise ValueError(f"{place or 'the model'} has an unknown container for its output: {content['output']!r}")
        estimator._sklearn_output_config = {"transform": content["output"]}
    if "fitted" in content:
        parts = decoder.parts(content["fitted"], tuple(OF_ENCODER), ("feature_names_in_",), under(place, "fitted"))
        attributes = {name: decoder.decode(node, under(place, name)) for name, node in parts.items()}
        check_encoder(attributes)
        vars(estimator).update(attributes)
        estimator.n_features_in_ = estimator.encoder_.layer_sizes[0]
    return estimator


def check_encoder(attributes):
    """Check what a fit of an MLPEncoder left.

    Parameters
    ----------
    attributes : dict

    Raises
    ------
    ValueError
    """
    for name, cls in OF_ENCODER.items():
        if type(attributes.get(name)) is not cls:
            raise ValueError(f"{name} must be a {cls.__name__}")
    regressor, encoder, decoder = (attributes[name] for name in OF_ENCODER)
    check_is_fitted(regressor, "coefs_")
    widths = [(net.layer_sizes[0], net.n_outputs) for net in (encoder, decoder)]
    n_features = encoder.layer_sizes[0]
    if widths[0][1] != widths[1][0] or widths[1][1] != regressor._n_units or regressor.n_features_in_ != n_features:
        raise ValueError(f"encoder_ and decoder_ have inputs and outputs of the widths {widths}, which do not fit")
    names = attributes.get("feature_names_in_")
    if names is not None and not (are_names(names) and len(names) == n_features):
        raise ValueError(f"feature_names_in_ must be {n_features} strings")
