"""More classes for a fitted classifier: its output layer gets units for them, and all else stays as it is."""

from copy import copy
from dataclasses import replace

import numpy as np
from sklearn.utils.multiclass import unique_labels

from fastbp.estimators.class_targets import (
    COLUMNS,
    INDICATORS,
    PROBABILITIES,
    check_numbers_of_columns,
    check_sorted,
    is_list_of_lists,
)
from fastbp.estimators.construction import initializer_of
from fastbp.initializers import draw
from fastbp.network import Network

#: In place of the number of a unit: a unit of zeros, and one whose parameters are drawn
ZERO, DRAWN = -1, -2


def extended_classes(form, known, classes):
    """The classes of a fitted classifier together with those that are named first now.

    Parameters
    ----------
    form : str
        Of y.
    known : ndarray, or list of ndarray
        The classes that it has.
    classes : array-like, or list of array-like
        As given to `partial_fit`.

    Returns
    -------
    ndarray, list of ndarray, or None
        In sorted order. None where `classes` has no new ones, or not all that are known.

    Raises
    ------
    ValueError
        For classes that cannot be those of the columns of y.
    """
    if form == COLUMNS:
        if not is_list_of_lists(classes) or len(classes) != len(known):
            return None
        pairs = [(before, np.unique(c)) for before, c in zip(known, classes, strict=True)]
        return [after for _, after in pairs] if are_more(pairs) else None
    if np.ndim(classes) != 1:
        return None
    after = unique_labels(classes)
    if not are_more([(known, after)]):
        return None
    if form == PROBABILITIES:
        check_sorted(np.asarray(classes))
    elif form == INDICATORS:
        check_numbers_of_columns(after, len(after))
    return after


def lacks_known(form, known, classes):
    """Whether `classes`, in the form that belongs to that of y, does not name all classes that a classifier has.

    Parameters
    ----------
    form, known, classes
        As for `extended_classes`.

    Returns
    -------
    bool
    """
    if form == COLUMNS:
        if not is_list_of_lists(classes) or len(classes) != len(known):
            return False
        return not all(np.isin(before, np.unique(c)).all() for before, c in zip(known, classes, strict=True))
    return np.ndim(classes) == 1 and not np.isin(known, unique_labels(classes)).all()


def are_more(pairs):
    """Whether the second of each pair of arrays has all of the first, and of some pair more."""
    return all(np.isin(b, a).all() for b, a in pairs) and any(len(a) > len(b) for b, a in pairs)


def sources_of_units(form, before, after):
    """Which of the old output units is that of each new one.

    The logistic function of z, with which two classes are told apart, is the second of the two probabilities
    softmax((0, z)). So with more classes this unit becomes that of the second class, and the unit of the first one has
    weights of zero. The unit of a single class tells nothing of it, and is drawn anew.

    Parameters
    ----------
    form : str
        Of y.
    before, after : ndarray, or list of ndarray
        The classes in sorted order; `after` has all of `before`.

    Returns
    -------
    ndarray of int of shape (n_units,)
        Numbers of old units, ``ZERO`` or ``DRAWN``.
    """
    if form == COLUMNS:
        begins = np.cumsum([0, *map(len, before)])
        return np.concatenate(
            [places(begin + np.arange(len(b)), b, a) for begin, b, a in zip(begins, before, after, strict=False)]
        )
    if form == INDICATORS or len(before) > 2:
        return places(np.arange(len(before)), before, after)
    if len(before) == 2:
        return places([ZERO, 0], before, after)
    return np.full(1 if len(after) == 2 else len(after), DRAWN)


def places(units, before, after):
    """The units of the classes `before` at their places among the classes `after`; ``DRAWN`` for the others."""
    sources = np.full(len(after), DRAWN)
    sources[np.searchsorted(after, before)] = units
    return sources


def extend_output(estimator, sources):
    """Give a fitted classifier other output units. It gets a new network, and a new optimizer state and average, in
    which the numbers of all other parameters are the old ones.

    Parameters
    ----------
    estimator : BaseMLP
        Its classes are the new ones already.
    sources : ndarray of int of shape (n_units,)
        The number of the old unit that each unit is; or ``ZERO`` or ``DRAWN``.

    Raises
    ------
    ValueError
        If the output layer is frozen.
    """
    old = estimator._fitted_network()
    numbers = () if estimator.frozen_layers is None else estimator.frozen_layers
    if any(number in (-1, len(old.coefs) - 1) for number in numbers):
        raise ValueError(
            f"frozen_layers={numbers!r} keeps the output layer as it is, which is to learn new classes: leave it "
            "out, or name all classes in the first call"
        )
    estimator._n_units, estimator.out_activation_ = len(sources), estimator._output_activation()
    definition = old.definition | {"output_activation": estimator.out_activation_}
    if "layers" in definition:
        *hidden, output = definition["layers"]
        definition["layers"] = [*hidden, replace(output, units=len(sources))]
    else:
        definition["layer_sizes"] = (*definition["layer_sizes"][:-1], len(sources))
    settings = old.settings | {"loss": estimator._network_loss}
    network = Network(**definition, **settings, dtype=old.precision, initializer=None)
    rng, _ = estimator._generator(incremental=True)
    shape = network.coefs[-1].shape
    drawn = draw(initializer_of(estimator), *shape, network.hidden_activation, rng)
    network.params = with_units(old, network, sources, old.params, drawn)

    def extended(flat):
        return with_units(old, network, sources, flat, (0, 0))

    optimizer, average = getattr(estimator, "_optimizer", None), getattr(estimator, "_average", None)
    if optimizer is not None:
        estimator._optimizer = copy(optimizer)
        # arrays of other lengths belong to weights that are no longer those of the model
        estimator._optimizer.state = [extended(a) if a.shape == old.params.shape else a for a in optimizer.state]
    if average is not None and average.params.shape == old.params.shape:
        estimator._average = average.copy()
        for name in ("params", "raw"):
            flat = getattr(average, name)
            setattr(estimator._average, name, with_units(old, network, sources, flat, drawn))
    estimator.best_loss_ = None  # that of a problem with fewer classes: the patience begins anew
    estimator._adopt(network)


def with_units(old, network, sources, flat, drawn):
    """A flat vector in the layout of the new network, from one in that of the old one.

    Parameters
    ----------
    old, network : Network
    sources : ndarray of int of shape (n_units,)
    flat : ndarray of shape (old.n_params,)
    drawn : (W, b)
        What the units have that are drawn; only their columns are used.

    Returns
    -------
    ndarray of shape (network.n_params,)
    """
    extended = np.empty(network.n_params, flat.dtype)
    new_blocks, output = network.split_blocks(extended), network.graph.dense_blocks[-1]
    values = {block.name: np.broadcast_to(v, block.shape) for block, v in zip(output, drawn, strict=True)}
    is_old = sources >= 0
    for name, block in old.split_blocks(flat).items():
        if name in values:
            new_blocks[name][...] = np.where(sources == ZERO, 0, values[name])
            new_blocks[name][..., is_old] = block[..., sources[is_old]]
        else:
            new_blocks[name][...] = block
    return extended
