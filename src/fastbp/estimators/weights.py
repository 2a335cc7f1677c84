"""The weights of a fitted estimator: ``coefs_`` and ``intercepts_``, and the network that it trained.

The arrays are views into the network's flat vector, so that editing them edits the network. Users may also assign
arrays of their own; then a network with these values is made when one is needed.
"""

from operator import is_

import numpy as np

from fastbp.checks import checked_n_threads, checked_penalty

#: How to begin with weights of one's own, for messages
OWN_WEIGHTS = (
    "To begin with weights of your own, fit first (max_iter=1 will do), then assign coefs_ and intercepts_, and go on "
    "with partial_fit, or with fit and warm_start=True. Or copy them into the coefs and intercepts of a "
    "fastbp.Network, of which fastbp.from_network makes a fitted estimator."
)


def holds_views(network, coefs, intercepts):
    """Whether two lists hold the network's own arrays: its `coefs` and its `intercepts`.

    Raises
    ------
    TypeError
        For anything but lists.
    """
    if not type(coefs) is type(intercepts) is list:
        for name, arrays in (("coefs_", coefs), ("intercepts_", intercepts)):
            if not hasattr(arrays, "__iter__"):
                raise TypeError(f"{name} must be a list of arrays, got {type(arrays).__name__}")
    if network is None:
        return False
    held, views = [*coefs, *intercepts], network.coefs + network.intercepts
    return len(held) == len(views) and all(map(is_, held, views))


def layer_sizes_of(coefs, intercepts, n_features, n_layers, n_outputs):
    """The layer sizes, input and output included, that follow from the shapes of the weights.

    Parameters
    ----------
    coefs, intercepts : sequence of array-like
    n_features, n_layers, n_outputs : int
        What the estimator was fitted with.

    Returns
    -------
    list of int

    Raises
    ------
    TypeError
        For weights that are no real numbers.
    ValueError
        For shapes that do not fit together.
    """
    coefs, intercepts = real_arrays("coefs_", coefs), real_arrays("intercepts_", intercepts)
    if len(coefs) != len(intercepts) or len(coefs) != n_layers - 1:
        raise ValueError(
            f"coefs_ and intercepts_ must hold {n_layers - 1} arrays each, one for each layer; got {len(coefs)} and "
            f"{len(intercepts)}"
        )
    sizes = [n_features]
    for i, (W, b) in enumerate(zip(coefs, intercepts, strict=True)):
        fan_out = n_outputs if i == len(coefs) - 1 else (W.shape[1] if W.ndim == 2 else "fan_out")
        if W.shape != (sizes[-1], fan_out):
            raise ValueError(f"coefs_[{i}] must have shape ({sizes[-1]}, {fan_out}), got {W.shape}")
        if b.shape != (fan_out,):
            raise ValueError(f"intercepts_[{i}] must have shape ({fan_out},), got {b.shape}")
        sizes.append(fan_out)
    return sizes


def check_shapes(network, coefs, intercepts):
    """Check that weights fit into a network.

    Parameters
    ----------
    network : Network
    coefs, intercepts : sequence of array-like

    Raises
    ------
    TypeError
        For weights that are no real numbers.
    ValueError
        For another number of arrays, or another shape.
    """
    for name, arrays, views in (("coefs_", coefs, network.coefs), ("intercepts_", intercepts, network.intercepts)):
        arrays = real_arrays(name, arrays)
        if len(arrays) != len(views):
            raise ValueError(f"{name} must hold {len(views)} arrays for the fitted layers, got {len(arrays)}")
        for i, (array, view) in enumerate(zip(arrays, views, strict=True)):
            if array.shape != view.shape:
                raise ValueError(f"{name}[{i}] must have shape {view.shape}, got {array.shape}")


def real_arrays(name, arrays):
    """Weights as arrays; TypeError unless they are real numbers."""
    arrays = [np.asarray(array) for array in arrays]
    for i, array in enumerate(arrays):
        if array.dtype.kind not in "fiub":
            raise TypeError(f"{name}[{i}] must hold real numbers, got dtype {array.dtype}; convert with astype")
    return arrays


def dtype_of(coefs):
    """The dtype of a network with these weights: float32, unless the weights need float64."""
    return np.result_type(*(np.asarray(W).dtype for W in coefs), np.float32)


def fill(network, coefs, intercepts):
    """Copy weights into a network."""
    for view, values in zip(network.coefs + network.intercepts, [*coefs, *intercepts], strict=True):
        view[...] = values


def with_settings(network, loss, alpha, l1, n_threads):
    """A network with other settings that shares the parameters; the network itself where it has these settings."""
    if (network.loss, network.alpha, network.l1, network.n_threads) == (loss, alpha, l1, n_threads):
        return network
    network = network.with_loss(loss)  # a new object
    network.alpha, network.l1 = checked_penalty("alpha", alpha), checked_penalty("l1", l1)
    network.n_threads = checked_n_threads(n_threads)
    return network


def why_not_finite(estimator):
    """Why the network's output for a finite X is not finite: part of a message."""
    arrays = {f"coefs_[{i}]": array for i, array in enumerate(estimator.coefs_)}
    arrays |= {f"intercepts_[{i}]": array for i, array in enumerate(estimator.intercepts_)}
    network = estimator._fitted_network()
    operations, blocks = network.graph.operations, network.blocks
    others = [block.name for block in network.graph.blocks if operations[block.operation].kind != "dense"]
    arrays |= {f"network_.blocks[{name!r}]": blocks[name] for name in others}
    for name, array in arrays.items():
        values = np.asarray(array)
        if not np.isfinite(values).all():
            return f"{name} holds {values[~np.isfinite(values)][0]}. Assign finite weights, or fit anew."
    dtype = np.asarray(estimator.coefs_[0]).dtype
    return f"X holds values so large that sums in {dtype} overflow. Scale X as it was scaled for fit."
