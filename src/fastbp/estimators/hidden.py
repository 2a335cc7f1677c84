"""The values of the hidden layers of a fitted estimator."""

from numbers import Integral
from typing import Any

from numpy.typing import ArrayLike, NDArray
from scipy.sparse import issparse, sparray, spmatrix

from fastbp.data import checked_csr
from fastbp.estimators.base import BaseMLP
from fastbp.estimators.inputs import validated_X
from fastbp.kernels.graph import GraphBuilder
from fastbp.layers import Dense, Residual, Scale
from fastbp.layers.base import emit_all
from fastbp.network import Network


def hidden_activations(
    estimator: BaseMLP,
    X: ArrayLike | sparray | spmatrix,
    layer: int = -1,
) -> NDArray[Any]:
    """The output of a hidden layer, its normalization and activation included.

    Parameters
    ----------
    estimator : fitted MLPClassifier or MLPRegressor
    X : array-like or sparse matrix of shape (n_samples, n_features)
    layer : int, default=-1
        Number of the hidden layer: 0 for the first one, -1 for the last. Where `residual` adds a connection past the
        next layer, which begins with normalization and activation, the output is what comes before them. With the
        parameter `layers`, an index in it.

    Returns
    -------
    A : ndarray of shape (n_samples, units)
        In the dtype of predictions.

    Raises
    ------
    TypeError, IndexError
        For another estimator, or a layer that there is not.
    NotFittedError

    Examples
    --------
    >>> import numpy as np
    >>> from fastbp import MLPRegressor, hidden_activations
    >>> X = np.random.default_rng(0).normal(size=(50, 3))
    >>> model = MLPRegressor(hidden_layer_sizes=(8, 4), max_iter=500, tol=0.1, random_state=0).fit(X, X[:, 0])
    >>> A = hidden_activations(model, X)
    >>> A.shape
    (50, 4)
    >>> bool(np.allclose(A @ model.coefs_[-1] + model.intercepts_[-1], model.predict(X)[:, None]))
    True
    """
    if not isinstance(estimator, BaseMLP):
        raise TypeError(
            f"estimator must be a MLPClassifier or MLPRegressor of fastbp, got {type(estimator).__name__}. Of a "
            "pipeline, give the last step, and X as the steps before it leave it: pipeline[-1], "
            "pipeline[:-1].transform(X)."
        )
    model = estimator._snapshot()
    network, X = model.network_, validated_X(model, X)
    ends = ends_of_hidden_layers(model, network)
    if isinstance(layer, bool) or not isinstance(layer, Integral):
        raise TypeError(f"layer must be an integer, got {layer!r}")
    if not -len(ends) <= layer < len(ends):
        raise IndexError(f"layer must be the number of one of the {len(ends)} hidden layers, got {layer}")
    network, end = model._network_for(X), ends[layer]
    if has_parameters(network.layers[:end], X.shape[1]):
        return network.part(0, end).forward_unchecked(X)
    # a network must have parameters: factors of 1
    part = Network(layers=[*network.layers[:end], Scale()], n_features=X.shape[1], dtype=network.precision)
    return part.forward_unchecked(checked_csr("X", X).toarray() if issparse(X) else X)


def has_parameters(layers, n_features):
    """Whether there are parameters in some layers, the first of a network."""
    builder = GraphBuilder(n_features)
    emit_all(layers, builder, 0)
    return bool(builder.blocks)


def ends_of_hidden_layers(model, network):
    """Where in ``network.layers`` each hidden layer ends: with `layers`, each of them is one; else each fully connected
    one with all that follows it."""
    if model.layers is not None:
        return range(1, len(network.layers))
    return [i for i, layer in enumerate(network.layers) if isinstance(layer, (Dense, Residual))][1:]
