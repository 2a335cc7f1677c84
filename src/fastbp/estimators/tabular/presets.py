"""The presets of the tabular estimators: which members an ensemble has, and how each is trained.

All numbers are here. The estimators' parameters have the names of the fields of `Cycle`: one that is not None
takes the place of the preset's value in every member.

Sources: the multi-layer perceptron, its initialization, factors of learning rates and schedules are those of RealMLP
(Holzmüller, Grinsztajn and Steinwart, 2024, Better by default: strong pre-tuned MLPs and boosted trees on tabular data,
NeurIPS), but for the numbers of epochs, the warm-up, the constant first half of the schedules of dropout and decay, the
bins with heavy values, and that members are averaged. A member is trained in cycles, and gives a model after each
(Huang et al., 2017, Snapshot ensembles). Here the cycles differ in their regularization: no setting fits all tables.
"""

from dataclasses import dataclass, replace

import numpy as np


@dataclass(frozen=True)
class Cycle:
    """How a member is made and trained in a cycle of the schedule; see the parameters of the estimators."""

    learning_rate_init: float
    activation: str
    epochs: int = 32
    dropout: float = 0.1
    label_smoothing: float = 0.0
    weight_decay: float = 0.02
    hidden_layer_sizes: tuple = (256, 256, 256)
    batch_size: int | str = "auto"
    batch_factor: float = 1.0  # of the rows of batch_size='auto'
    n_bins: int = 32
    embedding_width: int = 8


@dataclass(frozen=True)
class Preset:
    """An ensemble.

    Attributes
    ----------
    cycles : tuple of Cycle
        Of the training of each member; each goes on from the weights of the one before.
    n_members : tuple of (int, int)
        Rows to train on from which there are so many members, from many rows to few: with few rows a member takes
        little time, and a mean of several gains most.
    oob_fractions : tuple of (int, float)
        Rows from which the out-of-bag share is this one: some hundred rows for each member, and with few rows each row
        is out of bag once.
    """

    cycles: tuple
    n_members: tuple
    oob_fractions: tuple = ((8000, 0.05), (2000, 0.1), (0, 0.125))


BINARY = Cycle(learning_rate_init=0.04, activation="selu", dropout=0.05, label_smoothing=0.1)
#: With many classes, a higher rate gives fewer errors; with two, more
MULTICLASS = replace(BINARY, learning_rate_init=0.08, dropout=0.1)
REGRESSION = Cycle(learning_rate_init=0.2, activation="mish", dropout=0.05, weight_decay=0.01)


def presets(base):
    """The table of presets.

    Parameters
    ----------
    base : Cycle

    Returns
    -------
    dict of str to Preset
    """
    # little training and much regularization, for noisy tables; then the opposite
    gentle = replace(base, epochs=12, dropout=0.2, label_smoothing=0.0)
    two = (gentle, replace(base, epochs=28))
    # few epochs need small batches to have enough steps
    short = tuple(replace(cycle, epochs=epochs, batch_factor=0.5) for cycle, epochs in zip(two, (6, 12), strict=True))
    return {
        "fast": Preset(short, ((1000, 1), (0, 4))),
        "default": Preset(two, ((8000, 2), (2000, 4), (0, 8))),
        "best": Preset(two, ((8000, 8), (0, 16))),
    }


#: kind of target -> name -> Preset
PRESETS = {"binary": presets(BINARY), "multiclass": presets(MULTICLASS), "regression": presets(REGRESSION)}


def of_rows(table, n_rows):
    """The entry of a table of (rows, value), from many rows to few, that holds for a number of rows."""
    return next(value for rows, value in table if n_rows >= rows)


def members_of(preset, n_rows, n_ensemble, epochs, overrides):
    """The cycles of the members, and how many members there are.

    Parameters
    ----------
    preset : Preset
    n_rows : int
        To train on.
    n_ensemble : int or None
        Number of members; None for the preset's.
    epochs : int or None
        Epochs of a member, all cycles together; None for the preset's.
    overrides : dict
        Values of fields of `Cycle`.

    Returns
    -------
    tuple of Cycle
    int
    """
    n_members = of_rows(preset.n_members, n_rows) if n_ensemble is None else n_ensemble
    cycles = tuple(replace(cycle, **overrides) for cycle in preset.cycles)
    return cycles if epochs is None else with_epochs(cycles, epochs), n_members


def total_epochs(cycles):
    """The epochs of all cycles together."""
    return sum(cycle.epochs for cycle in cycles)


def with_epochs(cycles, epochs):
    """The cycles with another number of epochs together, in about the same shares. With fewer epochs than cycles, the
    first cycles are left out.

    Parameters
    ----------
    cycles : tuple of Cycle
    epochs : int

    Returns
    -------
    tuple of Cycle
    """
    cycles = cycles[-epochs:]
    ends = np.cumsum([cycle.epochs for cycle in cycles]) * epochs / total_epochs(cycles)
    ends = np.round(ends).astype(int)
    for i in range(len(ends)):  # each cycle has an epoch, and leaves one to each of those after it
        before = ends[i - 1] if i else 0
        ends[i] = min(max(ends[i], before + 1), epochs - (len(ends) - 1 - i))
    lengths = np.diff(ends, prepend=0).tolist()
    return tuple(replace(cycle, epochs=length) for cycle, length in zip(cycles, lengths, strict=True))
