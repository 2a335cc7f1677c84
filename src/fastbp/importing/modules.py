"""Parameters of modules of other libraries, and the layers of fastbp that they fit.

::

    state or weights -> Modules, recognised by names and shapes
                     -> layers: those of the user, or `layers_of`
                     -> Network, whose operations take the arrays one module after the other
"""

from dataclasses import dataclass, field, replace

import numpy as np

from fastbp.activations import Prelu, resolve
from fastbp.layers import Activation, BatchNorm, Dense, LayerNorm
from fastbp.network import Network

DENSE, BATCH_NORM, LAYER_NORM, VECTOR, NONE = "dense", "batch_norm", "layer_norm", "vector", "none"
#: What modules are, in words; a vector may be several things
IN_WORDS = {
    DENSE: "a fully connected layer",
    BATCH_NORM: "a batch normalization",
    LAYER_NORM: "a layer normalization",
    VECTOR: "one vector, of a PReLU or of a normalization without a shift",
    NONE: "a module without parameters",
}
WAY_OUT = "say what the layers are: layers=[Dense(32, 'relu'), BatchNorm(), ..., Dense(3)] of fastbp.layers"


@dataclass(frozen=True)
class Module:
    """The parameters of a module.

    Attributes
    ----------
    name : str
        For messages.
    kind : str
        A constant of this file.
    arrays : tuple of ndarray
        dense: W (fan_in, fan_out), and b or nothing. batch_norm: gamma, beta, mean, variance. layer_norm: gain, shift.
        vector: one.
    """

    name: str
    kind: str
    arrays: tuple = ()

    def __str__(self):
        shapes = " and ".join(str(array.shape) for array in self.arrays)
        return f"{self.name} ({IN_WORDS[self.kind]}{f', {shapes}' if shapes else ''})"


@dataclass(frozen=True)
class Reading:
    """How modules become layers, where the user names only activations.

    Attributes
    ----------
    activation : str, Activation or sequence of them
        Of the hidden layers.
    follows : {"dense", "normalization"} or None
        Where the activation is if there is a normalization too. None: where a module without parameters is. "dense":
        also behind those that nothing follows.
    shows_all : bool
        Whether the modules without parameters are there too.
    batch_norm : dict
        Fields of `BatchNorm`.
    layer_norm : dict
        Fields of `LayerNorm`.
    """

    activation: object
    follows: str | None
    shows_all: bool
    batch_norm: dict = field(default_factory=dict)
    layer_norm: dict = field(default_factory=dict)


def checked_place(activation_follows):
    """`activation_follows`; ValueError for another value."""
    if activation_follows not in (None, "dense", "normalization"):
        raise ValueError(f"activation_follows must be 'dense', 'normalization' or None, got {activation_follows!r}")
    return activation_follows


def numbers(name, value):
    """An array of a state; TypeError unless it has real numbers. Tensors are brought to NumPy by their own methods."""
    for method in ("detach", "cpu", "numpy"):
        if not isinstance(value, np.ndarray) and callable(getattr(value, method, None)):
            value = getattr(value, method)()
    array = np.asarray(value)
    if array.dtype.kind not in "fiub":
        raise TypeError(f"{name} must hold real numbers, got dtype {array.dtype}")
    return array


def check_vectors(name, arrays):
    """ValueError unless the vectors of a module are equally long."""
    if len({array.shape for array in arrays}) > 1:
        raise ValueError(f"the vectors of {name} must have one length, got {[array.shape for array in arrays]}")


def blocks_of(modules):
    """The modules in parts: before the first fully connected one, and from each of these to the next.

    Parameters
    ----------
    modules : list of Module

    Returns
    -------
    list of list of Module
    """
    parts = [[]]
    for module in modules:
        if module.kind == DENSE:
            parts.append([])
        parts[-1].append(module)
    return parts


def layers_of(modules, reading):
    """Layers as a user means them who names the activations only.

    Parameters
    ----------
    modules : list of Module
        In the order of the forward pass.
    reading : Reading

    Returns
    -------
    list of Layer

    Raises
    ------
    ValueError
        Where it is not clear what the layers are.
    """
    first, *parts = blocks_of(modules)
    if not parts:
        raise ValueError(
            f"there must be a fully connected layer, with a matrix of weights; got {list(map(str, modules))}"
        )
    layers = [layer_of(module, reading) for module in first if module.kind != NONE]
    given = reading.activation
    is_one = isinstance(given, str) or not hasattr(given, "__len__")
    if not is_one and len(given) != len(parts) - 1:
        raise ValueError(
            f"activation must be one name or {len(parts) - 1} names, one for each hidden layer; got {list(given)}"
        )
    for number, part in enumerate(parts):
        is_last = number == len(parts) - 1
        activation = None if is_last else resolve(given if is_one else given[number])
        layers += hidden_part(part, activation, reading)
    return layers


def hidden_part(part, activation, reading):
    """The layers of a fully connected module and of what follows it; `activation` is None for the last one."""
    has_own = any(module.kind == VECTOR for module in part) and isinstance(activation, Prelu)
    layers = [None if module.kind == NONE else layer_of(module, reading, has_own) for module in part]
    if activation is not None and not has_own:
        layers.insert(place_of_activation(part, reading) + 1, Activation(activation))
    layers = [layer for layer in layers if layer is not None]
    if len(layers) > 1 and isinstance(layers[1], Activation) and not has_own:
        layers[:2] = [replace(layers[0], activation=layers[1].activation)]
    return layers


def place_of_activation(part, reading):
    """The number of the module after which the activation comes."""
    norms = [i for i, module in enumerate(part) if module.kind not in (DENSE, NONE)]
    gaps = [i for i, module in enumerate(part) if module.kind == NONE]
    # beside each other are an activation and, say, a dropout
    runs = [i for i in gaps if i - 1 not in gaps]
    if not norms and (runs or not reading.shows_all or reading.follows == "dense"):
        return 0
    if not norms:
        raise ValueError(
            f"there is no module between {part[0]} and the next one, and so no activation: set activation_follows to "
            f"'dense' if the model applies one there, as that of a ModuleList does, or {WAY_OUT}"
        )
    if reading.follows is not None:
        return 0 if reading.follows == "dense" else norms[-1]
    if len(runs) == 1:
        return runs[0]
    raise ValueError(
        f"it is not clear whether the activation comes before or after {part[norms[0]]}: set activation_follows to "
        f"'dense' or 'normalization', or {WAY_OUT}"
    )


def layer_of(module, reading, is_prelu=False):
    """The layer of a module."""
    if module.kind == DENSE:
        return Dense(module.arrays[0].shape[1], use_bias=len(module.arrays) > 1)
    if module.kind == BATCH_NORM:
        return BatchNorm(**reading.batch_norm)
    if module.kind == LAYER_NORM:
        return LayerNorm(**reading.layer_norm)
    if is_prelu:
        return Activation(Prelu())
    raise ValueError(f"it is not clear what {module} is: name the activation 'prelu' if it is one, or {WAY_OUT}")


def network_of(modules, layers, output_activation, loss, dtype, n_threads):
    """A Network with the parameters of modules.

    Parameters
    ----------
    modules : list of Module
    layers : list of Layer
    output_activation, loss, dtype, n_threads
        As for `Network`; dtype None: float64 where there are arrays of it, else float32.

    Returns
    -------
    Network

    Raises
    ------
    ValueError
        Where a module does not fit its layer, or there are other numbers of them.
    """
    modules = [module for module in modules if module.kind != NONE]
    n_features = next(
        (module.arrays[0].shape[0] for module in modules if module.arrays[0].ndim == 2 or module.arrays[0].size > 1), 1
    )
    if dtype is None:
        dtype = np.result_type(np.float32, *(array.dtype for module in modules for array in module.arrays))
    network = Network(
        layers=layers,
        n_features=n_features,
        output_activation=output_activation,
        loss=loss,
        dtype=dtype,
        n_threads=n_threads,
        initializer=None,
    )
    graph = network.graph
    operations = [op for op in graph.operations if op.n_blocks]
    if len(operations) != len(modules):
        raise ValueError(
            f"the layers have parameters in {len(operations)} places, and the weights are of {len(modules)} modules: "
            f"{', '.join(map(str, modules))}"
        )
    for op, module in zip(operations, modules, strict=True):
        fill(op, graph.views(op, network.params), module)
    if not np.isfinite(network.params).all():
        raise ValueError(f"the weights must be finite numbers in {network.dtype}")
    return network


#: kind of operation in prediction -> the kinds of modules that it takes
TAKES = {
    "dense": (DENSE,),
    "running_norm": (BATCH_NORM,),
    "row_norm": (LAYER_NORM, VECTOR),
    "prelu": (VECTOR,),
    "scale": (VECTOR,),
}


def fill(op, views, module):
    """Copy the parameters of a module into the blocks of an operation."""
    wanted = [view.shape for view in views]
    arrays = list(module.arrays)
    if op.kind == "prelu" and module.kind == VECTOR and arrays[0].size == 1:
        arrays = [np.broadcast_to(arrays[0].reshape(1), wanted[0])]  # one slope for all units
    if module.kind not in TAKES.get(op.kind, ()) or [array.shape for array in arrays] != wanted:
        raise ValueError(
            f"{op.layer} has parameters of the shapes {wanted}, which {module} does not fit: the layers must be those "
            "of the model, in the order of its weights"
        )
    with np.errstate(over="ignore"):  # checked by the caller
        for view, array in zip(views, arrays, strict=True):
            view[...] = array
