"""The network that the parameters of an estimator ask for."""

from dataclasses import replace
from functools import lru_cache
from math import sqrt
from numbers import Real

import numpy as np

from fastbp.activations import HIDDEN_ACTIVATIONS
from fastbp.checks import hidden_activations
from fastbp.estimators.inputs import checked_hidden_layer_sizes, checked_layers
from fastbp.estimators.parameters import DATA_DEPENDENT, HIDDEN_ACTIVATION
from fastbp.estimators.transfer import frozen, has_frozen
from fastbp.estimators.weights import with_settings
from fastbp.layers import Activation, BatchNorm, Dense, Dropout, LayerNorm, Residual, RMSNorm, Scale
from fastbp.layers.base import check_rate
from fastbp.mapped import MappedRows, is_mapped
from fastbp.network import Network

#: name -> class of the layers that `normalization` puts between a fully connected layer and its activation
NORMALIZATIONS = {"batch": BatchNorm, "layer": LayerNorm, "rms": RMSNorm}
#: parameter -> the class of layers that does the same; for normalization see above
CLASSES = {"input_dropout": "Dropout", "dropout": "Dropout", "residual": "Residual", "normalization": None}
#: The parameters that decide which layers with parameters there are, and what connects them
LAYER_PARAMETERS = ("hidden_layer_sizes", "layers", "residual", "normalization", "output_layer")
#: Rows over which a data-dependent initialization takes means and variances, at most; evenly spaced
ROWS_OF_SAMPLE = {"data_dependent": 256, "data_dependent_random_bias": 2048}
#: Numbers in so many rows, at most, but for the smallest sample: they are made dense
NUMBERS_OF_SAMPLE = 1 << 24


def hidden_layers_of(estimator):
    """The hidden layers, checked: a list of `Layer`."""
    if estimator.layers is not None:
        check_not_set(estimator)
        return checked_layers(estimator.layers)
    sizes = checked_hidden_layer_sizes(estimator.hidden_layer_sizes)
    activations, rates = activations_of(estimator, len(sizes)), dropout_of(estimator, len(sizes))
    residuals, norms = residuals_of(estimator, sizes), norms_of(estimator)
    is_separate = bool(norms) or estimator.residual  # else the activation is a part of its Dense layer
    scale = 1 / sqrt(max(sum(residuals), 1))
    layers = [Dropout(estimator.input_dropout)] if estimator.input_dropout else []
    after = []  # what comes between a fully connected layer and the next one
    for n, activation, rate, is_residual in zip(sizes, activations, rates, residuals, strict=True):
        own = [*after, dense_layer(n) if is_separate else dense_layer(n, activation)]
        layers += [Residual([*own, Scale(scale, scale)])] if is_residual else own
        after = [*norms, Activation(activation)] if is_separate else []
        after += [Dropout(rate)] if rate else []
    return layers + after


#: `Dense` layers with names of activations, which are immutable, are made once
kept_dense = lru_cache(maxsize=128)(Dense)


def dense_layer(units, activation="identity"):
    """``Dense(units, activation)``."""
    make = kept_dense if isinstance(activation, str) else Dense
    return make(units, activation)


def norms_of(estimator):
    """The layer that `normalization` asks for, in a list; an empty list without."""
    return [] if estimator.normalization is None else [NORMALIZATIONS[estimator.normalization]()]


def check_not_set(estimator):
    """ValueError if a parameter is set that stands for layers, which were given themselves."""
    for name, class_name in CLASSES.items():
        value = getattr(estimator, name)
        if is_set(value):
            class_name = class_name or NORMALIZATIONS[value].__name__
            raise ValueError(
                f"{name}={value!r} cannot be combined with layers: use objects of fastbp.layers.{class_name} among the "
                "layers"
            )


def is_set(value):
    """Whether the value of a parameter that stands for layers asks for any."""
    return bool(np.any(np.asarray(value, object)))


def activations_of(estimator, n_hidden):
    """The activation of each hidden layer."""
    given = estimator.activation
    is_one = isinstance(given, str) or not hasattr(given, "__len__")
    for activation in [given] if is_one else given:
        if not HIDDEN_ACTIVATION.is_satisfied_by(activation):
            names = ", ".join(sorted(HIDDEN_ACTIVATIONS))
            raise ValueError(f"activation of a hidden layer must be one of {names}; got {activation!r}")
    return hidden_activations(given, n_hidden)[0]


def dropout_of(estimator, n_hidden):
    """The rate of dropout after each hidden layer."""
    dropout = estimator.dropout
    is_one = isinstance(dropout, Real) or not np.ndim(dropout)
    rates = [dropout] * n_hidden if is_one else list(dropout)
    for rate in [dropout] if is_one else dropout:
        check_rate("dropout", rate)
    if len(rates) != n_hidden:
        raise ValueError(f"dropout must be one number or {n_hidden}, one for each hidden layer; got {dropout!r}")
    return [float(rate) for rate in rates]


def residuals_of(estimator, sizes):
    """Whether there is a connection past each hidden layer: those as wide as the one before it."""
    residuals = [bool(estimator.residual) and i > 0 and n == sizes[i - 1] for i, n in enumerate(sizes)]
    if estimator.residual and not any(residuals):
        raise ValueError(
            "residual=True needs two hidden layers of equal width one after the other, such as (64, 64); got "
            f"hidden_layer_sizes={estimator.hidden_layer_sizes!r}"
        )
    return residuals


def definition_of(estimator, hidden, n_features):
    """The arguments of `Network` that define the layers, in the form of ``Network.definition``.

    Parameters
    ----------
    estimator : BaseMLP
        The units of its output layer and their activation are known.
    hidden : list of Layer
        From `hidden_layers_of`.
    n_features : int

    Returns
    -------
    dict
    """
    output = estimator.out_activation_
    is_plain = all(type(layer) is Dense and isinstance(layer.activation, str) for layer in hidden)
    is_plain &= estimator.output_layer is None
    if estimator.layers is not None or has_frozen(estimator) or not is_plain:
        last = replace(estimator.output_layer or Dense(None), units=estimator._n_units)
        layers = frozen([*hidden, last], estimator.frozen_layers)
        return {"layers": layers, "n_features": n_features, "output_activation": output}
    sizes = (n_features, *(layer.units for layer in hidden), estimator._n_units)
    # without hidden layers, the activation decides the bound of the initial weights
    activation = tuple(layer.activation for layer in hidden) or hidden_activations(estimator.activation, 0)[1] or ()
    return {"layer_sizes": sizes, "activation": activation, "output_activation": output}


def with_activations(layers, activations):
    """Layers as `hidden_layers_of` makes them of parameters, with other activations.

    Parameters
    ----------
    layers : sequence of Layer
        Hidden layers.
    activations : iterator of str
        One for each fully connected layer.

    Returns
    -------
    list of Layer
    """
    changed, has_own = [], any(isinstance(layer, Activation) for layer in layers)  # behind a normalization
    for layer in layers:
        if isinstance(layer, Residual):
            layer = replace(layer, layers=with_activations(layer.layers, activations))
        elif isinstance(layer, Activation if has_own else Dense):
            layer = replace(layer, activation=next(activations))
        changed.append(layer)
    return changed


def build_network(estimator, definition, dtype, random_state=None):
    """A network with the estimator's settings; without a `random_state` its parameters are not drawn.

    Parameters
    ----------
    estimator : BaseMLP
    definition : dict
        The arguments that define the layers.
    dtype : float32, float64 or bfloat16
    random_state : RandomState or None

    Returns
    -------
    Network
    """
    return Network(
        **definition,
        loss=estimator._network_loss,
        alpha=estimator.alpha,
        l1=estimator.l1,
        dtype=dtype,
        random_state=random_state,
        initializer=None if random_state is None else initializer_of(estimator),
        n_threads=estimator.n_threads,
    )


def initializer_of(estimator):
    """The initializer that the parameter `weight_init` asks for; a name or a function."""
    weight_init = estimator.weight_init
    if isinstance(weight_init, str):
        return DATA_DEPENDENT.get(weight_init, weight_init)
    return weight_init or "scikit_learn"


def adapt_to_data(estimator, network, X, rows, sample_weight, rng):
    """Let a new network learn from the rows to train on before training begins: its layers that adapt to them, and the
    data-dependent initialization.

    Parameters
    ----------
    estimator : BaseMLP
    network : Network
        Its parameters are overwritten.
    X : ndarray or sparse matrix of shape (n_samples, n_features)
    rows : ndarray of int or None
        The rows to train on; None for all.
    sample_weight : ndarray of shape (n_samples,) or None
        Rows of weight zero have no part.
    rng : RandomState
        For random biases.
    """
    weight_init = estimator.weight_init
    is_by_name = isinstance(weight_init, str) and estimator.init_from is None
    is_normalized = is_by_name and weight_init in DATA_DEPENDENT
    if not (is_normalized or network.adapts):
        return
    rows = np.arange(X.shape[0]) if rows is None else np.sort(rows)
    if sample_weight is not None:
        rows = rows[sample_weight[rows] > 0]
    if network.adapts:
        network.adapt(rows_of(X, rows))
    if is_normalized:
        fewest = min(ROWS_OF_SAMPLE.values())
        n_rows = min(ROWS_OF_SAMPLE[weight_init], max(fewest, NUMBERS_OF_SAMPLE // X.shape[1]))
        sample = X[rows[:: -(-len(rows) // n_rows)]]
        network.normalize_preactivations(sample, rng if weight_init == "data_dependent_random_bias" else None)


def rows_of(X, rows):
    """Some rows of X, in ascending order, for `Network.adapt`; those of a matrix in a file are not copied."""
    if is_mapped(X):
        X = MappedRows(X, X.dtype)
    if len(rows) == X.shape[0]:
        return X
    return X.part(rows) if isinstance(X, MappedRows) else X[rows]


def new_network(estimator, hidden, n_features, dtype, random_state=None):
    """A network as the estimator's parameters ask for; MemoryError, which names the parameter, if it is too large.

    Parameters
    ----------
    estimator, hidden, n_features
        As for `definition_of`.
    dtype, random_state
        As for `build_network`.

    Returns
    -------
    Network
    """
    try:
        return build_network(estimator, definition_of(estimator, hidden, n_features), dtype, random_state)
    except MemoryError as error:
        name = parameter_name(estimator)
        raise MemoryError(f"{name}={getattr(estimator, name)!r} is too large: {error}") from error


def network_to_train(estimator, hidden):
    """A copy of the fitted network for `partial_fit` and `warm_start`, with the settings, the output activation and the
    factors of learning rate and penalty that the estimator's parameters ask for now.

    Parameters
    ----------
    estimator : BaseMLP
    hidden : list of Layer

    Returns
    -------
    Network

    Raises
    ------
    ValueError
        If the parameters and the number of outputs ask for other layers than the fitted ones.
    """
    network = estimator._fitted_network()
    if network.definition == definition_of(estimator, hidden, estimator.n_features_in_):
        loss, alpha, l1 = estimator._network_loss, estimator.alpha, estimator.l1
        return with_settings(network, loss, alpha, l1, estimator.n_threads).copy()
    other = new_network(estimator, hidden, estimator.n_features_in_, network.precision)
    if other.graph.structure != network.graph.structure:
        by_size = not any("layers" in net.definition for net in (network, other))
        fitted, wanted = (net.layer_sizes if by_size else list(net.layers) for net in (network, other))
        reasons, ways = what_changed(estimator, network, other)
        raise ValueError(
            f"warm_start and partial_fit go on with the fitted layers {fitted}{' (input to output)' * by_size}, but "
            f"{' and '.join(reasons)} {'ask' if len(reasons) > 1 else 'asks'} for {wanted}. {' and '.join(ways)}, or "
            "fit anew with warm_start=False."
        )
    other.params = network.params
    return other


def layer_parameters(estimator):
    """dict: the parameters that decide which layers with parameters there are, and what connects them."""
    return {name: getattr(estimator, name) for name in LAYER_PARAMETERS}


def what_changed(estimator, network, other):
    """Why other layers are asked for than the fitted ones, and what to do about it, in words.

    Parameters
    ----------
    estimator : BaseMLP
    network, other : Network
        The fitted one, and the one that is asked for.

    Returns
    -------
    reasons, ways : list of str
    """
    before, reasons, ways = getattr(estimator, "_layer_parameters", {}), [], []
    for name, value in layer_parameters(estimator).items():
        is_used = estimator.layers is None or name != "hidden_layer_sizes"
        if is_used and repr(before.get(name, value)) != repr(value):  # arrays have no plain ==
            reasons.append(f"{name}={value!r}")
            ways.append(f"set {name} back to {before[name]!r}")
    if network.n_outputs != other.n_outputs:
        reasons.append("y")
        ways.append("bring data with as many outputs")
    if not reasons:
        name = parameter_name(estimator)
        reasons, ways = [name], [f"set {name} back"]
    return reasons, [ways[0][0].upper() + ways[0][1:], *ways[1:]]


def parameter_name(estimator):
    """The parameter that says which hidden layers there are."""
    return "hidden_layer_sizes" if estimator.layers is None else "layers"
