"""The network of a fitted estimator: the one that was trained, with what the user has assigned since.

As in scikit-learn, predictions follow ``coefs_``, ``intercepts_`` and the parameter `activation`.
"""

from fastbp.checks import hidden_activations
from fastbp.estimators.construction import build_network, with_activations
from fastbp.estimators.weights import check_shapes, dtype_of, fill, holds_views, layer_sizes_of
from fastbp.network import Network


def fitted_network(estimator):
    """The network with the weights that ``coefs_`` and ``intercepts_`` hold now, and the activations that are set now.

    Parameters
    ----------
    estimator : BaseMLP

    Returns
    -------
    Network
        The one that was trained, as long as these lists hold its views and the activations are the same; else a new one
        with copies of their values.

    Raises
    ------
    TypeError, ValueError
        If weights do not fit, or an activation has trained parameters and was set after fit.
    """
    network = vars(estimator).get("_network")
    coefs, intercepts = estimator.coefs_, estimator.intercepts_
    is_same = network is not None and has_activations(estimator, network)
    if holds_views(network, coefs, intercepts) and is_same:
        return network
    if network is not None and "layers" in network.definition:
        check_shapes(network, coefs, intercepts)
        network = (network if is_same else with_new_activations(estimator, network)).astype(dtype_of(coefs))
    else:
        n_outputs = estimator._n_units
        sizes = layer_sizes_of(coefs, intercepts, estimator.n_features_in_, estimator.n_layers_, n_outputs)
        activations = new_activations(estimator, len(sizes) - 2) or estimator.activation
        definition = dict(layer_sizes=sizes, activation=activations, output_activation=estimator.out_activation_)
        if network is None:
            network = build_network(estimator, definition, dtype_of(coefs))
        else:
            network = Network(**definition, **network.settings, dtype=dtype_of(coefs), initializer=None)
    fill(network, coefs, intercepts)
    return network


def note_activations(estimator, network):
    """Note the activations of the hidden layers of a network, which are those that are set now; none where it was made
    of `layers`, which the parameter `activation` does not change."""
    parameters = getattr(estimator, "_layer_parameters", None) or {"layers": estimator.layers}
    if parameters["layers"] is not None:
        estimator._activations = None
    else:
        estimator._activations, _ = hidden_activations(estimator.activation, len(network.coefs) - 1)


def has_activations(estimator, network):
    """Whether a fitted network has the activations that are set now."""
    if estimator.out_activation_ != network.definition["output_activation"]:
        return False
    noted, activation = estimator._activations, estimator.activation
    if noted is None or estimator.layers is not None:
        return True
    # a name first: this is called for each prediction
    return (isinstance(activation, str) and noted == (activation,) * len(noted)) or noted == hidden_activations(
        activation, len(noted)
    )[0]


def new_activations(estimator, n_hidden):
    """The activations of the hidden layers that are set now; ValueError for those with parameters."""
    activations, _ = hidden_activations(estimator.activation, n_hidden)
    if not all(isinstance(f, str) for f in activations):
        raise ValueError(
            f"activation={estimator.activation!r} was set after fit, and has parameters that were not trained: fit "
            "anew, or set activation back"
        )
    return activations


def with_new_activations(estimator, network):
    """A network of layers, with the parameters of the fitted one and the activations that are set now.

    Parameters
    ----------
    estimator : BaseMLP
    network : Network

    Returns
    -------
    Network

    Raises
    ------
    ValueError
        Where the old or the new activations have trained parameters.
    """
    *hidden, output = network.definition["layers"]
    noted = estimator._activations
    if noted is not None and estimator.layers is None:
        activations = new_activations(estimator, len(noted))
        trained = [f for f in noted if not isinstance(f, str)]
        if trained:
            raise ValueError(
                f"activation={estimator.activation!r} was set after fit, in place of {trained[0]!r} with its trained "
                "parameters: fit anew, or set activation back"
            )
        hidden = with_activations(hidden, iter(activations))
    definition = network.definition | {"layers": [*hidden, output], "output_activation": estimator.out_activation_}
    other = Network(**definition, **network.settings, dtype=network.precision, initializer=None)
    other.params = network.params
    return other
