"""The weights of a Sequential of Keras as a Network."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from fastbp.activations import Activation
from fastbp.importing.modules import (
    BATCH_NORM,
    DENSE,
    LAYER_NORM,
    NONE,
    VECTOR,
    WAY_OUT,
    Module,
    Reading,
    check_vectors,
    checked_place,
    layers_of,
    network_of,
    numbers,
)
from fastbp.layers import Layer
from fastbp.losses import Loss
from fastbp.network import Network

#: How many vectors follow the matrix of a fully connected layer -> the modules that they are with Keras's defaults
BEHIND_KERNEL = {0: (0,), 1: (1,), 3: (1, 2), 5: (1, 4)}
#: How many vectors a module has -> its kind
KINDS = {1: VECTOR, 2: LAYER_NORM, 4: BATCH_NORM}


def from_keras_weights(
    weights: Sequence[ArrayLike | Sequence[ArrayLike]],
    activation: str | Activation | Sequence[str | Activation] = "relu",
    output_activation: str | Activation = "identity",
    loss: str | Loss | Callable[..., Any] = "squared_error",
    *,
    layers: Sequence[Layer] | None = None,
    activation_follows: str | None = None,
    epsilon: float = 1e-3,
    momentum: float = 0.99,
    dtype: DTypeLike | None = None,
    n_threads: int | None = None,
) -> Network:
    """A network with the weights of a Sequential of Keras.

    The arrays say which layers with weights there are: ``Dense``, ``BatchNormalization``, ``LayerNormalization`` and
    ``PReLU``. Activations have no weights, and are named by you. Keras is not needed, nor imported.

    Parameters
    ----------
    weights : list of arrays, or list of lists of array-like
        ``model.get_weights()``, or better ``[layer.get_weights() for layer in model.layers]``, which says where a layer
        begins. A Dense has the kernel (in, out) and the bias; a BatchNormalization gamma, beta, mean and variance; a
        LayerNormalization gamma and beta; a PReLU alpha. In the first form they are recognised by their number behind a
        kernel, if all these layers have biases, scales and centers, as by default: 0 or 1 vector are a Dense, 3 with a
        LayerNormalization, 5 with a BatchNormalization. The first form must have arrays: a list of nested lists, as of
        JSON, is taken for the second one.
    activation : str, Activation or sequence of them, default="relu"
        Of the hidden layers, one for all or one for each: names or objects of ``fastbp.activations``. 'sigmoid' is
        'logistic', 'swish' 'silu', and 'linear' 'identity'. 'leaky_relu' has the slope 0.01, other than that of Keras.
    output_activation : str or Activation, default="identity"
        Of the last layer: 'softmax' or 'logistic' for classes.
    loss : str, Loss or callable, default="squared_error"
        As for `Network`, for further training.
    layers : sequence of objects of `fastbp.layers` or None, default=None
        In place of `activation`: all layers, with their activations. Needed where the weights do not say what they are.
        What has weights must come in their order.
    activation_follows : {'dense', 'normalization'} or None, default=None
        Whether the activation comes right behind the Dense, as of ``Dense(32, activation="relu")``, or behind the
        normalization that follows it. Needed where there are normalizations between Dense layers.
    epsilon : float, default=1e-3
        Of all normalizations; the default is that of Keras.
    momentum : float, default=0.99
        Of BatchNormalization, for further training, as Keras counts it: the share of the old statistics.
    dtype : float32, float64 or None, default=None
        Of the network. None: float64 if there are arrays of float64, else float32.
    n_threads : int or None, default=None
        As for `Network`.

    Returns
    -------
    Network
        Predicts as the model does. `fastbp.from_network` makes an estimator of it.

    Raises
    ------
    TypeError
        For weights that are no real numbers.
    ValueError
        For weights that are not clear, and for shapes that do not fit.

    Examples
    --------
    >>> import numpy as np
    >>> import fastbp
    >>> rng = np.random.default_rng(0)
    >>> weights = [rng.normal(size=(4, 8)), np.zeros(8), rng.normal(size=(8, 3)), np.zeros(3)]
    >>> fastbp.from_keras_weights(weights, "tanh", "softmax")
    <Network 4-8-3, tanh, softmax; squared_error; 67 parameters, float64>
    """
    modules = modules_of(weights)
    if layers is None:
        norm = {"epsilon": epsilon}
        reading = Reading(activation, checked_place(activation_follows), False, norm | {"momentum": 1 - momentum}, norm)
        # a layer without weights may be a dropout, and activations may belong to Dense layers: it says nothing
        layers = layers_of([module for module in modules if module.kind != NONE], reading)
    return network_of(modules, list(layers), output_activation, loss, dtype, n_threads)


def modules_of(weights):
    """The modules of some weights: a list of Module."""
    if not isinstance(weights, (list, tuple)):
        raise TypeError(f"weights must be a list of arrays, model.get_weights(), got {type(weights).__name__}")
    if weights and all(isinstance(part, (list, tuple)) for part in weights):
        found = []
        for number, part in enumerate(weights):
            name = f"layer {number}"
            found.append(module_of(name, [numbers(f"weights[{number}][{i}]", array) for i, array in enumerate(part)]))
        return found
    arrays = [numbers(f"weights[{number}]", array) for number, array in enumerate(weights)]
    return [module for part in parts_of(arrays) for module in modules_of_part(*part)]


def module_of(name, arrays):
    """The Module of the weights of a layer."""
    ndims = [array.ndim for array in arrays]
    if not arrays:
        return Module(name, NONE)
    if ndims in ([2], [2, 1]):
        return Module(name, DENSE, tuple(arrays))
    if set(ndims) == {1} and len(arrays) in KINDS:
        check_vectors(name, arrays)
        return Module(name, KINDS[len(arrays)], tuple(arrays))
    raise ValueError(
        f"weights of the shapes {[array.shape for array in arrays]} in {name} are not those of a Dense, "
        "BatchNormalization, LayerNormalization or PReLU layer: other layers cannot be imported"
    )


def parts_of(arrays):
    """(number of the first array, arrays) from each matrix to the next, and of what is before the first one."""
    starts = [i for i, array in enumerate(arrays) if array.ndim != 1]
    starts = sorted({0, *starts})
    return [(start, arrays[start:end]) for start, end in zip(starts, [*starts[1:], len(arrays)], strict=True)]


def modules_of_part(start, arrays):
    """The modules of a matrix and the vectors behind it, or of the vectors before the first matrix."""
    name, n_vectors = f"weights[{start}]", sum(array.ndim == 1 for array in arrays)
    if not arrays:
        return []
    if arrays[0].ndim == 1:
        if n_vectors != 4:
            raise ValueError(f"{n_vectors} vectors before the first matrix, from {name} on, are not clear: {WAY_OUT}")
        return [module_of(name, arrays)]
    if arrays[0].ndim != 2 or n_vectors not in BEHIND_KERNEL:
        raise ValueError(
            f"it is not clear what the weights of the shapes {[array.shape for array in arrays]} from {name} on are: "
            "give [layer.get_weights() for layer in model.layers]"
        )
    ends = np.cumsum([1 + BEHIND_KERNEL[n_vectors][0], *BEHIND_KERNEL[n_vectors][1:]]).tolist()
    return [module_of(name, arrays[begin:end]) for begin, end in zip([0, *ends], ends, strict=False)]
