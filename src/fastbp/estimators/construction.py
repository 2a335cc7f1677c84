"""The network that the parameters of an estimator ask for."""

import numpy as np

from fastbp.activations import name_of
from fastbp.estimators.inputs import checked_hidden_layer_sizes, checked_layers
from fastbp.estimators.parameters import DATA_DEPENDENT
from fastbp.estimators.weights import with_settings
from fastbp.layers import Dense
from fastbp.network import Network

#: Rows over which a data-dependent initialization takes mean and variance, at most; evenly spaced
ROWS_OF_SAMPLE = 256


def hidden_layers_of(estimator):
    """The hidden layers, checked: a list of `Layer`."""
    if estimator.layers is not None:
        return checked_layers(estimator.layers)
    sizes, activation = checked_hidden_layer_sizes(estimator.hidden_layer_sizes), name_of(estimator.activation)
    return [Dense(n, activation) for n in sizes]


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
    if estimator.layers is not None:
        layers = [*hidden, Dense(estimator._n_units)]
        return {"layers": layers, "n_features": n_features, "output_activation": output}
    sizes = (n_features, *(layer.units for layer in hidden), estimator._n_units)
    activation = tuple(layer.activation for layer in hidden) or name_of(estimator.activation)
    return {"layer_sizes": sizes, "activation": activation, "output_activation": output}


def build_network(estimator, definition, dtype, random_state=None):
    """A network with the estimator's settings; without a `random_state` its parameters are not drawn.

    Parameters
    ----------
    estimator : BaseMLP
    definition : dict
        The arguments that define the layers.
    dtype : float32 or float64
    random_state : RandomState or None

    Returns
    -------
    Network
    """
    return Network(
        **definition,
        loss=estimator._network_loss,
        alpha=estimator.alpha,
        dtype=dtype,
        random_state=random_state,
        initializer=None if random_state is None else initializer_of(estimator),
        n_threads=estimator.n_threads,
    )


def initializer_of(estimator):
    """The initializer that the parameter `weight_init` asks for; a name or a function."""
    if estimator.weight_init == DATA_DEPENDENT:
        return "orthogonal"
    return estimator.weight_init or "scikit_learn"


def adapt_to_data(network, X, rows, sample_weight):
    """Normalize the pre-activations over a sample of rows: the data-dependent initialization.

    Parameters
    ----------
    network : Network
        Its parameters are overwritten.
    X : ndarray or sparse matrix of shape (n_samples, n_features)
    rows : ndarray of int or None
        The rows to train on; None for all.
    sample_weight : ndarray of shape (n_samples,) or None
        Rows of weight zero have no part.
    """
    rows = np.arange(X.shape[0]) if rows is None else np.sort(rows)
    if sample_weight is not None:
        rows = rows[sample_weight[rows] > 0]
    step = -(-len(rows) // ROWS_OF_SAMPLE)
    network.normalize_preactivations(X[rows[::step]])


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
        return with_settings(network, estimator._network_loss, estimator.alpha, estimator.n_threads).copy()
    other = new_network(estimator, hidden, estimator.n_features_in_, network.dtype)
    if other.graph.structure != network.graph.structure:
        by_size = estimator.layers is None and "layers" not in network.definition
        fitted, wanted = (net.layer_sizes if by_size else list(net.layers) for net in (network, other))
        name = parameter_name(estimator)
        raise ValueError(
            f"warm_start and partial_fit go on with the fitted layers {fitted}{' (input to output)' * by_size}, but "
            f"{name} and the data ask for {wanted}. Bring data with as many outputs and set {name} back, or fit anew "
            "with warm_start=False."
        )
    other.params = network.params
    return other


def parameter_name(estimator):
    """The parameter that says which hidden layers there are."""
    return "hidden_layer_sizes" if estimator.layers is None else "layers"
