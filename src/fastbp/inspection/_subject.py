"""The network, rows of X, and targets that the tools of this package work on."""

from scipy import sparse

from fastbp.data import checked_csr, dense
from fastbp.network import Network


def network_and_data(net_or_estimator, X, y):
    """The network, X and the targets behind a `Network` or a fitted estimator.

    Parameters
    ----------
    net_or_estimator : Network, or fitted MLPClassifier or MLPRegressor
    X : array-like or sparse matrix of shape (n, n_features)
    y : array-like
        For a network as `Network.loss_and_gradient` takes it, for an estimator as its `fit` does.

    Returns
    -------
    network : Network
        The estimator's own, not a copy: it must not be changed.
    X : array-like or sparse matrix
    targets : array-like
        As `Network.loss_and_gradient` takes them.

    Raises
    ------
    TypeError
        For anything else, a pipeline for instance.
    NotFittedError
    """
    if isinstance(net_or_estimator, Network):
        return net_or_estimator, X, y
    method = getattr(net_or_estimator, "_network_and_data", None)
    if method is None:
        raise TypeError(
            "net_or_estimator must be a fastbp.Network or a fitted MLPClassifier or MLPRegressor of fastbp, got "
            f"{type(net_or_estimator).__name__}. Of a pipeline, give the last step, and X as the steps before it leave "
            "it: pipeline[-1], pipeline[:-1].transform(X)."
        )
    return method(X, y)


def dense_problem(net_or_estimator, X, y, sample_weight):
    """The same as arrays in C order of the network's dtype, every argument checked, as the dense kernels take them.

    Parameters
    ----------
    net_or_estimator, X, y
        As for `network_and_data`.
    sample_weight : array-like of shape (n,) or None

    Returns
    -------
    network : Network
    X : ndarray of shape (n, n_features)
        A sparse matrix is made dense.
    Y : ndarray of shape (n, n_outputs)
        Class numbers as indicators.
    weight : ndarray of shape (n,), float64, or None
    """
    network, X, y = network_and_data(net_or_estimator, X, y)
    X = network._check_X(X)
    X = dense("X", checked_csr("X", X).toarray() if sparse.issparse(X) else X, network.dtype)
    data = network._make_data(X, y, sample_weight)
    return network, X, data.targets(slice(None)), data.sample_weight
