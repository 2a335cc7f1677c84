"""The closed table of the classes that a model file may hold.

A name in a file is looked up here, and never imported. Layers, losses, optimizers, schedules and activations are found
in the package's own tables, so that a new one needs no line here. Callbacks that write files, or that hold objects of
other packages, are left out: whoever loads a file is not to write where its author wanted.
"""

from collections.abc import Callable
from dataclasses import dataclass, fields

import numpy as np

from fastbp import activations, layers
from fastbp.callbacks import History, ReduceOnPlateau, TimeLimit
from fastbp.estimators import (
    MLPClassifier,
    MLPEncoder,
    MLPRegressor,
    TabularMLPClassifier,
    TabularMLPRegressor,
)
from fastbp.estimators.tabular.encoder import TableEncoder
from fastbp.estimators.tabular.levels import Levels
from fastbp.files.checks import are_numbers
from fastbp.files.estimators import decoded_encoder, encoded_encoder, encoded_mlp, mlp_decoder
from fastbp.files.generators import (
    decoded_generator,
    decoded_random_state,
    encoded_generator,
    encoded_random_state,
)
from fastbp.files.networks import decoded_network, encoded_network
from fastbp.files.places import under
from fastbp.files.quantized import (
    decoded_quantized_network,
    encoded_quantized,
    encoded_quantized_network,
    quantized_decoder,
)
from fastbp.files.tables import encoded_tabular, tabular_decoder
from fastbp.files.training_state import (
    PARAMETERS,
    average_decoder,
    decoded_optimizer,
    encoded_average,
    encoded_optimizer,
)
from fastbp.layers import Layer
from fastbp.losses import LOSSES
from fastbp.network import Network
from fastbp.optimizers import OPTIMIZERS
from fastbp.parametrized import Parametrized
from fastbp.quantization import QuantizedMLPClassifier, QuantizedMLPRegressor, QuantizedNetwork
from fastbp.schedules import SCHEDULES
from fastbp.training import OptimizerState


@dataclass(frozen=True)
class Kind:
    """The way of the objects of a class to JSON and back.

    Parameters
    ----------
    cls : type
        Subclasses are others.
    encode : callable
        ``(encoder, value, place) -> dict``
    decode : callable
        ``(decoder, dict, place) -> value``
    """

    cls: type
    encode: Callable
    decode: Callable


def encoded_fields(encoder, value, place):
    """The fields of a dataclass: a layer, or an object with parameters.

    Parameters
    ----------
    encoder : Encoder
    value : object
    place : str

    Returns
    -------
    dict
    """
    return {f.name: encoder.encode(getattr(value, f.name), under(place, f.name)) for f in fields(value)}


def of_fields(cls):
    """The kind of a dataclass. Fields that an older version did not know have their defaults.

    Parameters
    ----------
    cls : type

    Returns
    -------
    Kind
    """
    names = tuple(f.name for f in fields(cls))

    def decoded(decoder, content, place):
        decoder.parts(content, (), names, place)
        value = cls(**{name: decoder.decode(node, under(place, name)) for name, node in content.items()})
        if isinstance(value, Parametrized):
            value._validate_params()
        return value

    return Kind(cls, encoded_fields, decoded)


def encoded_record(encoder, history, place):
    """A callback `History`.

    Parameters
    ----------
    encoder : Encoder
    history : History
    place : str

    Returns
    -------
    dict
    """
    return {"fits": encoder.encode(history.fits, under(place, "fits"))}


def decoded_record(decoder, content, place):
    """The History that `encoded_record` described.

    Parameters
    ----------
    decoder : Decoder
    content : dict
    place : str

    Returns
    -------
    History
    """
    history = History()
    history.fits = decoder.decode(decoder.parts(content, ("fits",), (), place)["fits"], under(place, "fits"))
    is_record = isinstance(history.fits, list) and all(isinstance(fit, dict) for fit in history.fits)
    if not is_record or not all(are_numbers(column) for fit in history.fits for column in fit.values()):
        raise ValueError(f"{place}.fits must be a list of dicts of lists of numbers")
    return history


def layer_classes():
    """The classes of layers."""
    found = [getattr(layers, name) for name in layers.__all__]
    return [cls for cls in found if cls is not Layer]


#: module -> the classes of it whose objects follow from their fields
BY_FIELDS = {
    "layers": layer_classes(),
    "activations": [*activations.ACTIVATIONS.values(), *activations.TRAINED_ACTIVATIONS.values()],
    "losses": LOSSES.values(),
    "optimizers": OPTIMIZERS.values(),
    "schedules": SCHEDULES.values(),
    "callbacks": (TimeLimit, ReduceOnPlateau),
    "tables": (TableEncoder, Levels),
}

#: name in a file -> Kind
KINDS = {
    "MLPClassifier": Kind(MLPClassifier, encoded_mlp, mlp_decoder(MLPClassifier)),
    "MLPRegressor": Kind(MLPRegressor, encoded_mlp, mlp_decoder(MLPRegressor)),
    "MLPEncoder": Kind(MLPEncoder, encoded_encoder, decoded_encoder),
    "TabularMLPClassifier": Kind(TabularMLPClassifier, encoded_tabular, tabular_decoder(TabularMLPClassifier)),
    "TabularMLPRegressor": Kind(TabularMLPRegressor, encoded_tabular, tabular_decoder(TabularMLPRegressor)),
    "Network": Kind(Network, encoded_network, decoded_network),
    "QuantizedMLPClassifier": Kind(
        QuantizedMLPClassifier, encoded_quantized, quantized_decoder(QuantizedMLPClassifier)
    ),
    "QuantizedMLPRegressor": Kind(QuantizedMLPRegressor, encoded_quantized, quantized_decoder(QuantizedMLPRegressor)),
    "QuantizedNetwork": Kind(QuantizedNetwork, encoded_quantized_network, decoded_quantized_network),
    "OptimizerState": Kind(OptimizerState, encoded_optimizer, decoded_optimizer),
    "callbacks.History": Kind(History, encoded_record, decoded_record),
    "numpy.RandomState": Kind(np.random.RandomState, encoded_random_state, decoded_random_state),
    "numpy.Generator": Kind(np.random.Generator, encoded_generator, decoded_generator),
}
KINDS |= {cls.__name__: Kind(cls, encoded_average, average_decoder(cls)) for cls in PARAMETERS}
KINDS |= {f"{module}.{cls.__name__}": of_fields(cls) for module, found in BY_FIELDS.items() for cls in found}

#: class -> its name in a file
NAMES = {kind.cls: name for name, kind in KINDS.items()}
