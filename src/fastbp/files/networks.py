"""A `Network` to JSON and tensors and back: one tensor for each block of its parameters."""

import numpy as np

from fastbp.files.places import under
from fastbp.kernels.precision import PRECISIONS
from fastbp.network import Network
from fastbp.versions import note_version

#: What a network follows from, beside its parameters
BY_SIZES = ("layer_sizes", "activation", "output_activation")
BY_LAYERS = ("layers", "n_features", "output_activation")
SETTINGS = ("loss", "alpha", "l1", "n_threads")


def encoded_network(encoder, network, place):
    """The layers, the settings, and the names of the tensors.

    Parameters
    ----------
    encoder : Encoder
    network : Network
    place : str

    Returns
    -------
    dict
    """
    arguments = network.definition | network.settings
    parts = {name: encoder.encode(value, under(place, name)) for name, value in arguments.items()}
    blocks = {name: encoder.tensor(block, under(place, name)) for name, block in network.blocks.items()}
    return {**parts, "dtype": network.precision, "blocks": blocks}


def decoded_network(decoder, content, place):
    """The network that `encoded_network` described.

    The layers say how many parameters there are, and in which blocks, before anything is allocated for them. What is
    allocated is as long as the tensors, which were read from the file.

    Parameters
    ----------
    decoder : Decoder
    content : dict
    place : str

    Returns
    -------
    Network
    """
    names = BY_LAYERS if "layers" in content else BY_SIZES
    parts = decoder.parts(content, (*names, *SETTINGS, "dtype", "blocks"), (), place)
    state = {name: decoder.decode(parts[name], under(place, name)) for name in (*names, *SETTINGS)}
    blocks = decoder.parts(parts["blocks"], (), parts["blocks"], under(place, "blocks"))
    tensors = {name: decoder.tensor(tensor, under(place, name)) for name, tensor in blocks.items()}
    name = decoder.text(parts["dtype"], under(place, "dtype"))
    if name not in PRECISIONS or {tensor.dtype for tensor in tensors.values()} != {PRECISIONS[name].dtype}:
        raise ValueError(f"{place or 'the network'} must have blocks of one dtype, {name!r}")
    state["dtype"] = name
    state["params"] = np.concatenate([tensor.ravel() for tensor in tensors.values()])
    network = object.__new__(Network)
    try:
        network.__setstate__(note_version(state))
    except MemoryError as error:  # the layers would need more memory than the machine has, which nobody asked for yet
        raise ValueError(str(error)) from error
    shapes = {name: block.shape for name, block in network.blocks.items()}
    found = {name: tensor.shape for name, tensor in tensors.items()}
    if list(found.items()) != list(shapes.items()):
        raise ValueError(f"{place or 'the network'} has the blocks {found}, and its layers have {shapes}")
    return network
