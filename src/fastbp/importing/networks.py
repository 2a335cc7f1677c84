"""A Network as a fitted estimator."""

from dataclasses import replace
from typing import Any, NamedTuple, overload

import numpy as np
from numpy.typing import ArrayLike

from fastbp.activations import resolve
from fastbp.estimators import MLPClassifier, MLPRegressor
from fastbp.estimators.class_targets import INDICATORS, LABELS, check_labels
from fastbp.estimators.construction import hidden_layers_of, layer_parameters, new_network
from fastbp.estimators.derived import set_derived
from fastbp.layers import Activation, Dense
from fastbp.losses import Focal, LogLoss, as_loss
from fastbp.losses.base import PROBABILITIES
from fastbp.network import Network

#: Parameters of the estimators that the network decides
DECIDED = ("hidden_layer_sizes", "activation", "layers", "output_layer", "output_activation", "dtype")


@overload
def from_network(
    network: Network, classes: ArrayLike, *, feature_names: ArrayLike | None = None, **params: Any
) -> MLPClassifier: ...
@overload
def from_network(
    network: Network, classes: None = None, *, feature_names: ArrayLike | None = None, **params: Any
) -> MLPRegressor: ...
def from_network(
    network: Network, classes: ArrayLike | None = None, *, feature_names: ArrayLike | None = None, **params: Any
) -> MLPClassifier | MLPRegressor:
    """An estimator that predicts with a network that was trained elsewhere, or by a loop of one's own.

    It has copies of the weights. `predict`, `predict_proba`, `score`, `fastbp.save` and the exports work at once, and
    `partial_fit`, and `fit` with `warm_start=True`, train further.

    Parameters
    ----------
    network : Network
        Its last layer with parameters must be a `Dense`, which the output activation follows. The last activation of
        ``layers`` counts as the output activation if there is no other.
    classes : array-like of shape (n_classes,) or None, default=None
        The class labels in the order of the outputs: then the estimator is an MLPClassifier. The output activation must
        be softmax, or logistic for one output, which is the probability of the second of two classes. Several outputs
        with logistic are indicators of several labels, and `classes` must be ``range(n_outputs)``. Outputs are brought
        into the order of ``classes_``, which is sorted. Two outputs with softmax become one with logistic, whose
        weights are the differences, and which gives the same probabilities. None for an MLPRegressor.
    feature_names : array-like of str of shape (n_features,) or None, default=None
        Names of the columns of X, as of a fit on a data frame.
    **params : Any
        Parameters of the estimator, such as `solver` and `learning_rate_init`, for further training. `alpha`, `l1` and
        `n_threads` are those of the network, as is `loss` where it fits the estimator.

    Returns
    -------
    MLPClassifier or MLPRegressor

    Raises
    ------
    TypeError
        If it is no Network, or for unknown parameters.
    ValueError
        If the classes do not fit the outputs, the network does not end with a `Dense`, parameters that the network
        decides are given, or weights are not finite.

    Examples
    --------
    >>> import numpy as np
    >>> import fastbp
    >>> network = fastbp.Network([4, 8, 3], "tanh", "softmax", "log_loss", random_state=0)
    >>> model = fastbp.from_network(network, classes=["setosa", "versicolor", "virginica"])
    >>> model.predict_proba(np.zeros((1, 4))).shape
    (1, 3)
    """
    if not isinstance(network, Network):
        raise TypeError(f"network must be a Network, got {type(network).__name__}")
    for name in DECIDED:
        if name in params:
            raise ValueError(f"{name} follows from the network, and must not be given; got {params[name]!r}")
    if not np.isfinite(network.params).all():
        raise ValueError("the parameters of the network must be finite")
    hidden, last, output = parts_of(network)
    n = network.n_outputs
    cls: type[MLPClassifier | MLPRegressor]
    if classes is not None:
        cls, own = MLPClassifier, Classes.of(classes, n, output)
        output, units = own.output, own.units
    elif output == "softmax":
        raise ValueError(f"the outputs of the network are probabilities of {n} classes: give classes, their labels")
    else:
        cls, own, units = MLPRegressor, None, np.eye(n)
    params = {
        **layers_as_parameters(network, hidden, last),
        "output_activation": output,
        "loss": loss_for(network, output, cls),
        **{name: getattr(network, name) for name in ("alpha", "l1", "n_threads")},
        **params,
    }
    model: Any = cls(**params)
    model._validate_params()
    if own is not None:
        model.classes_, model._form = own.labels, own.form
    model._n_units, model.out_activation_ = units.shape[1], output
    other = new_network(model, hidden_layers_of(model), network.graph.n_features, network.precision)
    copy_blocks(network, other, units)
    model.n_iter_ = model.t_ = 0
    model._layer_parameters = layer_parameters(model)
    if feature_names is not None:
        model.feature_names_in_ = checked_names(feature_names, network.graph.n_features)
    set_derived(model, other, False)
    return model


class Classes(NamedTuple):
    """The classes of an estimator, and its output layer.

    Attributes
    ----------
    labels : ndarray
        In sorted order.
    form : str
        Of the targets.
    output : str
        The output activation.
    units : ndarray of shape (n_outputs, n_units)
        With which the outputs of the network are multiplied to be those of the estimator.
    """

    labels: np.ndarray
    form: str
    output: str
    units: np.ndarray

    @classmethod
    def of(cls, classes, n_outputs, output):
        """Those of a network with so many outputs; ValueError where the labels do not fit them."""
        check_labels("classes", classes)
        given = np.asarray(classes)
        labels, order = np.unique(given, return_index=True)
        if given.ndim != 1 or len(labels) != given.size:
            raise ValueError(f"classes must be different labels of shape (n_classes,), got {classes!r}")
        if output == "softmax" and len(labels) == n_outputs > 1:
            units = np.eye(n_outputs)[:, order]
            # of two classes, an estimator has the logistic unit of the second one
            return cls(labels, LABELS, *(("logistic", units @ [[-1.0], [1.0]]) if n_outputs == 2 else (output, units)))
        if output == "logistic" and n_outputs == 1 and len(labels) == 2:
            return cls(labels, LABELS, output, np.array([[1.0 if order[0] == 0 else -1.0]]))
        if output == "logistic" and n_outputs > 1 and np.array_equal(given, np.arange(n_outputs)):
            return cls(labels, INDICATORS, output, np.eye(n_outputs))
        raise ValueError(
            f"classes={classes!r} does not fit {n_outputs} outputs with the activation {output!r}: with 'softmax' "
            "there is a class for each of several outputs, with 'logistic' there are two classes for one output, or "
            "the labels range(n_outputs) for several. A network that ends with logits needs "
            "output_activation='softmax' or 'logistic'"
        )


def parts_of(network):
    """(hidden layers, last layer, output activation) of a network, where the last layer is linear."""
    layers, output = list(network.layers), network.definition["output_activation"]
    last = layers[-1]
    if output == "identity" and isinstance(last, (Dense, Activation)) and isinstance(resolve(last.activation), str):
        output = resolve(last.activation)
        layers[-1:] = [replace(last, activation="identity")] if isinstance(last, Dense) else []
    last = layers.pop() if layers else None
    if type(last) is not Dense or resolve(last.activation) != "identity":
        end = f"{network.layers[-1]} and the output activation {network.definition['output_activation']!r}"
        raise ValueError(
            "an estimator has a Dense layer without an activation of its own in front of the output activation; the "
            f"network ends with {end}"
        )
    return layers, last, output


def layers_as_parameters(network, hidden, last):
    """The parameters of an estimator that ask for some hidden layers and a last one."""
    output_layer = replace(last, units=None)
    params = {} if output_layer == Dense(None) else {"output_layer": output_layer}
    if hidden and "layers" in network.definition:
        return params | {"layers": hidden}
    activations = [layer.activation for layer in hidden]
    if activations:
        params["activation"] = activations[0] if len(set(map(repr, activations))) == 1 else activations
    return params | {"hidden_layer_sizes": tuple(layer.units for layer in hidden)}


def loss_for(network, output, cls):
    """The loss of a network as the parameter of an estimator; the default where it is no loss of such an estimator."""
    loss = network.loss
    if cls is MLPClassifier:
        return loss if loss in ("log_loss", "focal") or type(loss) in (LogLoss, Focal) else "log_loss"
    if callable(loss):
        return loss
    resolved = as_loss(loss)
    return loss if resolved.domain != PROBABILITIES and resolved.accepts_output(output) else "squared_error"


def copy_blocks(network, other, units):
    """Copy the parameters of a network into another one, whose outputs are those of the first one times `units`."""
    output = other.graph.operations[-1].input
    for source, target in zip(network.graph.blocks, other.graph.blocks, strict=True):
        values = source.view(network.params)
        is_of_output = other.graph.operations[target.operation].output == output
        target.view(other.params)[...] = values @ units if is_of_output else values


def checked_names(feature_names, n_features):
    """The names of the columns; ValueError unless there are as many strings as features."""
    names = np.asarray(feature_names, dtype=object)
    if names.shape != (n_features,) or not all(isinstance(name, str) for name in names):
        raise ValueError(f"feature_names must be {n_features} strings, got {feature_names!r}")
    return names
