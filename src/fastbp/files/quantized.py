"""Networks and estimators with weights of 8 bits to JSON and tensors and back."""

from types import SimpleNamespace

from fastbp.estimators import MLPClassifier
from fastbp.estimators.class_targets import INDICATORS
from fastbp.estimators.derived import derived_attributes
from fastbp.files.checks import check_attributes
from fastbp.files.networks import BY_LAYERS, BY_SIZES
from fastbp.files.places import under
from fastbp.losses import Loss
from fastbp.quantization.estimators import LEARNED
from fastbp.quantization.network import QuantizedNetwork
from fastbp.quantization.weights import QuantizedMatrix


def encoded_quantized_network(encoder, network, place):
    """The layers, and the names of the tensors.

    Parameters
    ----------
    encoder : Encoder
    network : QuantizedNetwork
    place : str

    Returns
    -------
    dict
    """
    arguments = network.definition | {"n_threads": network.n_threads}
    parts = {name: encoder.encode(value, under(place, name)) for name, value in arguments.items()}
    for name, matrix in network.matrices.items():
        tensors = matrix._asdict().items()
        parts.setdefault("matrices", {})[name] = {
            field: encoder.tensor(array, under(place, f"{name}.{field}")) for field, array in tensors
        }
    blocks = {name: encoder.tensor(block, under(place, name)) for name, block in network.blocks.items()}
    return {"matrices": {}, **parts, "blocks": blocks}


def decoded_quantized_network(decoder, content, place):
    """The network that `encoded_quantized_network` described.

    Parameters
    ----------
    decoder : Decoder
    content : dict
    place : str

    Returns
    -------
    QuantizedNetwork
    """
    names = BY_LAYERS if "layers" in content else BY_SIZES
    parts = decoder.parts(content, (*names, "n_threads", "matrices", "blocks"), (), place)
    definition = {name: decoder.decode(parts[name], under(place, name)) for name in names}
    matrices = {}
    for name, tensors in decoder.parts(parts["matrices"], (), parts["matrices"], under(place, "matrices")).items():
        fields = decoder.parts(tensors, QuantizedMatrix._fields, (), under(place, name))
        arrays = [decoder.tensor(fields[field], under(place, f"{name}.{field}")) for field in QuantizedMatrix._fields]
        matrices[name] = QuantizedMatrix(*arrays)
    tensors = decoder.parts(parts["blocks"], (), parts["blocks"], under(place, "blocks"))
    blocks = {name: decoder.tensor(tensor, under(place, name)) for name, tensor in tensors.items()}
    n_threads = decoder.decode(parts["n_threads"], under(place, "n_threads"))
    try:
        return QuantizedNetwork.of_parts(definition, n_threads, matrices, blocks)
    except MemoryError as error:  # the layers would need more memory than the machine has, which nobody asked for yet
        raise ValueError(str(error)) from error


def encoded_quantized(encoder, estimator, place):
    """A classifier or a regressor.

    Parameters
    ----------
    encoder : Encoder
    estimator : QuantizedMLPClassifier or QuantizedMLPRegressor
    place : str

    Returns
    -------
    dict
    """
    fitted = estimator._fitted
    parts = {name: encoder.encode(fitted[name], under(place, name)) for name in LEARNED if name in fitted}
    if fitted.get("_form") == INDICATORS:
        parts["is_sparse"] = bool(fitted["_label_binarizer"].sparse_input_)
    return {"network": encoder.encode(estimator.network_, under(place, "network")), "fitted": parts}


def quantized_decoder(cls):
    """The function (decoder, content, place) that makes an estimator of a class of what `encoded_quantized` wrote.

    Parameters
    ----------
    cls : type

    Returns
    -------
    callable
    """

    def decoded(decoder, content, place):
        parts = decoder.parts(content, ("network", "fitted"), (), place)
        network = decoder.decode(parts["network"], under(place, "network"))
        if type(network) is not QuantizedNetwork:
            raise ValueError(f"{under(place, 'network')} must be a QuantizedNetwork, got {type(network).__name__}")
        learned = decoder.parts(parts["fitted"], ("_fitted_loss",), (*LEARNED, "is_sparse"), under(place, "fitted"))
        fitted = {name: decoder.decode(node, under(place, name)) for name, node in learned.items()}
        loss, is_sparse = fitted.pop("_fitted_loss"), fitted.pop("is_sparse", False)
        if not isinstance(loss, Loss):
            raise ValueError(f"{under(place, '_fitted_loss')} must be a loss, got {loss!r:.200}")
        is_classifier = cls._estimator_class is MLPClassifier
        sizes = SimpleNamespace(loss=loss, n_outputs=network.n_outputs, layer_sizes=network.layer_sizes)
        check_attributes(fitted, sizes, is_classifier)
        return cls.of_parts(network, fitted | derived_attributes(fitted, loss, network, is_sparse))

    return decoded
