"""The presets of the tabular estimators: which members an ensemble has, and how each is trained.

All numbers are here. The estimators' parameters have the names of the fields of `MemberSettings`: one that is not None
takes the place of the preset's value in every member.

Sources: the multi-layer perceptron, its initialization, factors of learning rates and schedules are those of RealMLP
(Holzmüller, Grinsztajn and Steinwart, 2024, Better by default: strong pre-tuned MLPs and boosted trees on tabular data,
NeurIPS), but for the numbers of epochs, the warm-up, the constant first half of the schedules of dropout and decay, the
bins with heavy values, and that members are averaged.
"""

from dataclasses import dataclass, replace



@dataclass(frozen=True)
class MemberSettings:
    """How one member of an ensemble is made and trained; see the parameters of the estimators."""

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
    settings : tuple of MemberSettings
        Member i has those number ``i % len(settings)``.
    n_members : int
    """

    settings: tuple
    n_members: int


CLASSIFICATION = MemberSettings(learning_rate_init=0.04, activation="selu", label_smoothing=0.1)
REGRESSION = MemberSettings(learning_rate_init=0.2, activation="mish")


def presets(base, gentle):
    """The table of presets.

    Parameters
    ----------
    base : MemberSettings
        For tables with much to learn.
    gentle : MemberSettings
        For tables with much noise.

    Returns
    -------
    dict of str to Preset
    """
    short = replace(base, epochs=16)
    return {
        "fast": Preset((short,), 1),
        "default": Preset((replace(base, epochs=24), gentle), 4),
        "best": Preset((base, gentle, replace(base, epochs=64), short), 12),
    }


#: kind of target -> name -> Preset
PRESETS = {
    "classification": presets(
        CLASSIFICATION, replace(CLASSIFICATION, epochs=16, dropout=0.25, label_smoothing=0.0)
    ),
    "regression": presets(REGRESSION, replace(REGRESSION, epochs=16, dropout=0.2)),
}


def members_of(preset, n_ensemble, overrides):
    """The settings of each member.

    Parameters
    ----------
    preset : Preset
    n_ensemble : int or None
        Number of members; None for the preset's.
    overrides : dict
        Values of fields of `MemberSettings`.

    Returns
    -------
    list of MemberSettings
    """
    n_members = preset.n_members if n_ensemble is None else n_ensemble
    settings = [replace(one, **overrides) for one in preset.settings]
    return [settings[i % len(settings)] for i in range(n_members)]
