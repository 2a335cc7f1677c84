"""Transfer from another model: initial parameters that it gives, and layers that stay as they are."""

from dataclasses import replace
from itertools import count
from numbers import Integral

import numpy as np
from sklearn.frozen import FrozenEstimator

from fastbp.estimators.weights import real_arrays
from fastbp.layers import Dense
from fastbp.layers.base import all_layers


def take_over(network, init_from):
    """Replace the drawn parameters of a network by those of another model: the parameter `init_from`.

    Parameters
    ----------
    network : Network
        Its parameters are overwritten. An output layer of another shape than the source's keeps its own.
    init_from : fitted estimator, or (coefs, intercepts)
        From arrays, and from an estimator of scikit-learn, come weights and biases only; other parameters of the
        network keep their initial values.

    Returns
    -------
    bool
        Whether the source has all parameters, also those that layers learn from the rows to train on.

    Raises
    ------
    TypeError
        For anything else.
    ValueError
        If the source is not fitted, has other layers, or parameters that are not finite.
    """
    values, is_complete = source_blocks(init_from)
    blocks = network.blocks
    n_dense = len(network.coefs)
    n_source, n_biases = (sum(name.startswith(letter) for name in values) for letter in ("W_", "b_"))
    if not is_complete and n_source != n_biases:
        raise ValueError(
            f"init_from=(coefs, intercepts) must hold two lists of one length, got {n_source} and {n_biases}; a layer "
            "without biases takes zeros"
        )
    if n_source != n_dense:
        raise ValueError(f"init_from has {n_source} layers with weights, and this network has {n_dense}")
    output = {f"W_{n_dense}", f"b_{n_dense}"}
    unknown = values.keys() - blocks.keys() - output
    if is_complete and unknown:
        raise ValueError(
            f"init_from has a block {min(unknown)}, and this network has none: give it the same layers, or take the "
            "weights and biases only, init_from=(estimator.coefs_, estimator.intercepts_)"
        )
    fits = {name: name in values and values[name].shape == block.shape for name, block in blocks.items()}
    keeps_output = not all(fits[name] for name in output & blocks.keys())
    for name, block in blocks.items():
        if (keeps_output and name in output) or (not is_complete and name[:2] not in ("W_", "b_")):
            continue
        if not fits[name]:
            found = f"one of shape {values[name].shape}" if name in values else "none"
            raise ValueError(
                f"init_from must have a block {name} of shape {block.shape}, as this network, and has {found}; only "
                "the output layer may have another shape"
            )
        if not np.isfinite(values[name]).all():
            raise ValueError(f"the block {name} of init_from holds numbers that are not finite")
        block[...] = values[name]
    return is_complete


def source_blocks(init_from):
    """(blocks by name, whether the source names all its parameters: else they are weights and biases only)."""
    if isinstance(init_from, FrozenEstimator):
        init_from = init_from.estimator
    if hasattr(init_from, "get_params"):
        if not hasattr(init_from, "coefs_"):
            raise ValueError(
                f"init_from={init_from!r} is not a fitted perceptron. Of a pipeline, give the last step, pipeline[-1]. "
                "A grid search clones the values of its grid: give sklearn.frozen.FrozenEstimator(estimator). "
                "(estimator.coefs_, estimator.intercepts_) is possible too, but has no parameters of normalizations, "
                "scales and activations: these begin anew."
            )
        if hasattr(init_from, "network_"):
            return init_from.network_.blocks, True
        coefs, intercepts = init_from.coefs_, init_from.intercepts_
    elif isinstance(init_from, (tuple, list)) and len(init_from) == 2:
        coefs, intercepts = init_from
    else:
        raise TypeError(
            f"init_from must be None, a fitted estimator or (coefs, intercepts), got {type(init_from).__name__}"
        )
    if not all(hasattr(arrays, "__iter__") for arrays in (coefs, intercepts)):
        raise TypeError("init_from=(coefs, intercepts) must hold two lists of arrays")
    weights = enumerate(real_arrays("init_from[0]", coefs), 1)
    biases = enumerate(real_arrays("init_from[1]", intercepts), 1)
    return {f"W_{i}": W for i, W in weights} | {f"b_{i}": b for i, b in biases}, False


def has_frozen(estimator):
    """Whether the parameter `frozen_layers` names any layers."""
    return estimator.frozen_layers is not None and len(estimator.frozen_layers) > 0


def check_frozen_layers(estimator):
    """ValueError for frozen layers under 'lbfgs'."""
    if has_frozen(estimator) and estimator.solver == "lbfgs":
        raise ValueError(
            f"frozen_layers={estimator.frozen_layers!r} is not possible with solver='lbfgs', which has no learning "
            "rates and trains all layers alike; use a stochastic solver such as 'adam', or frozen_layers=None"
        )


def frozen(layers, frozen_layers):
    """The layers, with those fully connected ones that `frozen_layers` names made to stay as they are.

    Parameters
    ----------
    layers : list of Layer
        The output layer included.
    frozen_layers : sequence of int or None

    Returns
    -------
    list of Layer
    """
    n_dense = count_dense(layers)
    numbers = set()
    for number in () if frozen_layers is None else frozen_layers:
        if isinstance(number, (bool, np.bool_)) or not isinstance(number, Integral):
            raise TypeError(f"frozen_layers must hold integers, got {number!r}")
        if not -n_dense <= number < n_dense:
            raise ValueError(
                f"frozen_layers must hold indices of coefs_, which has {n_dense} arrays in this network; got {number}"
            )
        numbers.add(int(number) % n_dense)
    return with_frozen(layers, numbers, count()) if numbers else layers


def count_dense(layers):
    """The number of fully connected layers, those that other layers are made of included."""
    return sum(isinstance(layer, Dense) for layer in all_layers(layers))


def with_frozen(layers, numbers, counter):
    """`layers`, with the fully connected ones of these numbers frozen."""
    changed = []
    for layer in layers:
        if layer.inner:
            layer = layer.with_inner([with_frozen(inner, numbers, counter) for inner in layer.inner])
        elif isinstance(layer, Dense) and next(counter) in numbers:
            layer = replace(layer, learning_rate_factor=0.0, penalty_factor=0.0)
        changed.append(layer)
    return changed
