"""The state of a sequential model of PyTorch as a Network."""

import re
from collections.abc import Callable, Mapping, Sequence
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

#: Names of entries that are counted, and not used
IGNORED = "num_batches_tracked"
STATISTICS = ("running_mean", "running_var")


def from_torch_state(
    state: Mapping[str, ArrayLike],
    activation: str | Activation | Sequence[str | Activation] = "relu",
    output_activation: str | Activation = "identity",
    loss: str | Loss | Callable[..., Any] = "squared_error",
    *,
    layers: Sequence[Layer] | None = None,
    activation_follows: str | None = None,
    epsilon: float = 1e-5,
    dtype: DTypeLike | None = None,
    n_threads: int | None = None,
) -> Network:
    """A network with the weights of a model of PyTorch whose modules are applied one after the other.

    The state says which modules with parameters there are, in order: ``Linear``, ``BatchNorm1d``, ``LayerNorm`` and
    ``PReLU``. Activations have no parameters, and are named by you. PyTorch is not needed, nor imported.

    Parameters
    ----------
    state : mapping of str to array-like or tensor
        ``model.state_dict()``, or arrays of it, such as those in a safetensors file. Modules whose names differ by a
        number, such as "0" and "10" or "fc1" and "fc2", are applied in the order of the numbers, whatever the order in
        the mapping is; those with other names must come in the order of the forward pass. The weights of a Linear have
        the shape (out, in), and are transposed.
    activation : str, Activation or sequence of them, default="relu"
        Of the hidden layers, one for all or one for each: names or objects of ``fastbp.activations``. ReLU is 'relu',
        Sigmoid 'logistic', Tanh 'tanh', LeakyReLU 'leaky_relu' (with the slope 0.01 only), ELU 'elu', SELU 'selu', GELU
        'gelu', SiLU 'silu', Mish 'mish', Softplus 'softplus', PReLU 'prelu'.
    output_activation : str or Activation, default="identity"
        Of the last layer. Of a classifier whose model ends with logits, and that was trained with CrossEntropyLoss,
        'softmax'; with BCEWithLogitsLoss, 'logistic'.
    loss : str, Loss or callable, default="squared_error"
        As for `Network`, for further training.
    layers : sequence of objects of `fastbp.layers` or None, default=None
        In place of `activation`: all layers, with their activations. Needed where the state does not say what they are:
        for RMSNorm, LayerNorm without a bias, residual connections, or an epsilon that differs between layers. What has
        parameters must come in the order of the state.
    activation_follows : {'dense', 'normalization'} or None, default=None
        Whether the activation comes right behind the Linear or behind the normalization that follows it. None: where
        the numbers of the modules of a Sequential have a gap, as between "1.weight" and "3.weight". 'dense' also for a
        ModuleList of Linear, whose numbers have none: the model itself applies the activation.
    epsilon : float, default=1e-5
        Of all normalizations; the default is that of PyTorch.
    dtype : float32, float64 or None, default=None
        Of the network. None: float64 if the state has arrays of float64, else float32.
    n_threads : int or None, default=None
        As for `Network`.

    Returns
    -------
    Network
        Predicts as the model does in ``model.eval()``. `fastbp.from_network` makes an estimator of it. For running
        statistics, `momentum` is 0.1, as in PyTorch.

    Raises
    ------
    TypeError
        For entries that are no real numbers.
    ValueError
        For entries that are not known, or not clear, and for shapes that do not fit.

    Examples
    --------
    >>> import numpy as np
    >>> import fastbp
    >>> rng = np.random.default_rng(0)
    >>> state = {"0.weight": rng.normal(size=(8, 4)), "0.bias": np.zeros(8)}
    >>> state |= {"2.weight": rng.normal(size=(3, 8)), "2.bias": np.zeros(3)}
    >>> fastbp.from_torch_state(state, "relu", "softmax")
    <Network 4-8-3, relu, softmax; squared_error; 67 parameters, float64>
    """
    modules = modules_of(state)
    if layers is None:
        modules, shows_all = with_gaps(modules)
        norm = {"epsilon": epsilon}
        layers = layers_of(modules, Reading(activation, checked_place(activation_follows), shows_all, norm, norm))
    return network_of(modules, list(layers), output_activation, loss, dtype, n_threads)


def modules_of(state):
    """The modules of a state: a list of Module, in the order of the forward pass."""
    if not isinstance(state, Mapping):
        raise TypeError(f"state must be a mapping of names to arrays, model.state_dict(), got {type(state).__name__}")
    groups = {}
    for key, value in state.items():
        name, _, entry = str(key).rpartition(".")
        if entry != IGNORED:
            groups.setdefault(name, {})[entry] = numbers(f"state[{key!r}]", value)
    return [module_of(name, groups[name]) for name in in_order(list(groups))]


def in_order(names):
    """Names by their numbers, since files have them sorted as text: "0", "10", "2".

    Names that are the same up to a number are sorted by it, within the places that they have in the list.

    Parameters
    ----------
    names : list of str

    Returns
    -------
    list of str
    """
    numbers = {name: list(re.finditer(r"[0-9]+", name)) for name in names}
    for depth in range(max(map(len, numbers.values()), default=0)):
        groups = {}
        for place, name in enumerate(names):
            if depth < len(numbers[name]):
                groups.setdefault(name[: numbers[name][depth].start()], []).append(place)
        names = list(names)
        for places in groups.values():
            ordered = sorted((names[place] for place in places), key=lambda name: int(numbers[name][depth][0]))
            for place, name in zip(places, ordered, strict=True):
                names[place] = name
    return names


def module_of(name, entries):
    """The Module of the entries of a state whose names begin with `name`."""
    weight, shapes = entries.get("weight"), {entry: array.shape for entry, array in entries.items()}
    ndims = {array.ndim for array in entries.values()}
    if ndims == {1} and set(STATISTICS) <= entries.keys() <= {*STATISTICS, "weight", "bias"}:
        mean, variance = (entries[entry] for entry in STATISTICS)
        gamma, beta = entries.get("weight", np.ones_like(mean)), entries.get("bias", np.zeros_like(mean))
        check_vectors(name, (gamma, beta, mean, variance))
        return Module(name, BATCH_NORM, (gamma, beta, mean, variance))
    if weight is not None and entries.keys() <= {"weight", "bias"}:
        bias = entries.get("bias")
        if weight.ndim == 2 and (bias is None or bias.shape == weight.shape[:1]):
            return Module(name, DENSE, (weight.T,) if bias is None else (weight.T, bias))
        if weight.ndim == 1 and bias is None:
            return Module(name, VECTOR, (weight,))
        if ndims == {1}:
            check_vectors(name, (weight, bias))
            return Module(name, LAYER_NORM, (weight, bias))
    raise ValueError(
        f"the entries {shapes} of {name!r} are not those of a Linear, BatchNorm1d, LayerNorm, RMSNorm or PReLU: other "
        f"modules cannot be imported. If all are there and named otherwise, rename them, and {WAY_OUT}"
    )


def with_gaps(modules):
    """The modules of a Sequential, with those that have no parameters, and are missing in the state: their numbers are.

    Parameters
    ----------
    modules : list of Module
        In the order of their numbers.

    Returns
    -------
    modules : list of Module
    shows_all : bool
        False, with the same list, where names are not numbers of one Sequential: "fc1" and "fc2" are not.
    """
    found = [re.fullmatch(r"(|.*\.)([0-9]+)", module.name) for module in modules]
    if not all(found) or len({match[1] for match in found}) > 1:
        return modules, False
    places = [int(match[2]) for match in found]
    if len(set(places)) < len(places):
        return modules, False
    prefix, filled = found[0][1] if found else "", []
    for module, place, previous in zip(modules, places, [-1, *places], strict=False):
        filled += [Module(f"{prefix}{number}", NONE) for number in range(previous + 1, place)]
        filled.append(module)
    return filled, True
