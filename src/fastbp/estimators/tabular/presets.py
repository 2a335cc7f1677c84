"""The presets of the tabular estimators: which members an ensemble has, and how each is trained.

All numbers are here. The estimators' parameters have the names of the fields of `Cycle`: one that is not None
takes the place of the preset's value in every member.

Sources: the multi-layer perceptron, its initialization, factors of learning rates and schedules are those of RealMLP
(Holzmüller, Grinsztajn and Steinwart, 2024, Better by default: strong pre-tuned MLPs and boosted trees on tabular data,
NeurIPS), but for the numbers of epochs, the warm-up, the constant first half of the schedules of dropout and decay, the
bins with heavy values, and that members are averaged.
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
    n_bins: int = 32
    embedding_width: int = 8


@dataclass(frozen=True)
class Preset:
    """An ensemble.

    Attributes
    ----------
    kinds : tuple of tuple of Cycle
        Of a member, the cycles of its training, each of which goes on from the weights of the one before. Member i is
        of the kind number ``i % len(kinds)``.
    n_members : int
    """

    kinds: tuple
    n_members: int


CLASSIFICATION = Cycle(learning_rate_init=0.04, activation="selu", label_smoothing=0.1)
REGRESSION = Cycle(learning_rate_init=0.2, activation="mish")


def presets(base, gentle):
    """The table of presets.

    Parameters
    ----------
    base : Cycle
        For tables with much to learn.
    gentle : Cycle
        For tables with much noise.

    Returns
    -------
    dict of str to Preset
    """
    two = (gentle, replace(base, epochs=24))
    return {
        "fast": Preset(((replace(base, epochs=16),),), 1),
        "default": Preset((two,), 2),
        "best": Preset(((*two, replace(base, epochs=32)),), 6),
    }


#: kind of target -> name -> Preset
PRESETS = {
    "classification": presets(CLASSIFICATION, replace(CLASSIFICATION, epochs=16, dropout=0.3, label_smoothing=0.0)),
    "regression": presets(REGRESSION, replace(REGRESSION, epochs=16, dropout=0.2)),
}


def members_of(preset, n_ensemble, epochs, overrides):
    """The cycles of each member.

    Parameters
    ----------
    preset : Preset
    n_ensemble : int or None
        Number of members; None for the preset's.
    epochs : int or None
        Epochs of a member, all cycles together; None for the preset's.
    overrides : dict
        Values of fields of `Cycle`.

    Returns
    -------
    list of tuple of Cycle
    """
    n_members = preset.n_members if n_ensemble is None else n_ensemble
    kinds = [tuple(replace(cycle, **overrides) for cycle in kind) for kind in preset.kinds]
    if epochs is not None:
        kinds = [with_epochs(kind, epochs) for kind in kinds]
    return [kinds[i % len(kinds)] for i in range(n_members)]


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
