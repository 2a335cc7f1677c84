"""The options of training whose cost `features` measures.

A new option is an entry of `OPTIONS`, and for the comparison an entry of `peers.torch_options.OPTIONS`.
"""

from dataclasses import dataclass
from itertools import pairwise

BOTH = ("regression", "classification")


@dataclass(frozen=True)
class Option:
    """An option of training, as the estimators' parameters.

    Parameters
    ----------
    parameters : dict
        Of the estimator.
    limited : bool, default=False
        Whether its cost should be at most the share of a step that `features` names.
    tasks : tuple of str, default=("regression", "classification")
        The tasks that have it.
    needs_equal_widths : bool, default=False
        Whether it has an effect only between hidden layers of equal width.
    in_torch : bool, default=True
        Whether PyTorch has it, or it is written with PyTorch in a few lines.
    """

    parameters: dict
    limited: bool = False
    tasks: tuple = BOTH
    needs_equal_widths: bool = False
    in_torch: bool = True

    def applies_to(self, workload):
        """Whether a workload can have it.

        Parameters
        ----------
        workload : workloads.Workload

        Returns
        -------
        bool
        """
        hidden = workload.layer_sizes[1:-1]
        has_equal_widths = any(a == b for a, b in pairwise(hidden))
        return workload.task in self.tasks and (has_equal_widths or not self.needs_equal_widths)


REGRESSION, CLASSIFICATION = ("regression",), ("classification",)

OPTIONS = {
    "dropout": Option({"dropout": 0.2}, limited=True),
    "input_dropout": Option({"input_dropout": 0.1}),
    "batch_norm": Option({"normalization": "batch"}, limited=True),
    "layer_norm": Option({"normalization": "layer"}, limited=True),
    "rms_norm": Option({"normalization": "rms"}, limited=True),
    "ema": Option({"ema_decay": 0.99}, limited=True),
    "clip_norm": Option({"clip_norm": 1.0}, limited=True),
    "max_norm": Option({"max_norm": 3.0}),
    "l1": Option({"l1": 1e-4}),
    "mixup": Option({"mixup_alpha": 0.2}),
    "residual": Option({"residual": True}, needs_equal_widths=True),
    "prelu": Option({"activation": "prelu"}),
    "gelu": Option({"activation": "gelu"}),
    "adamw": Option({"solver": "adamw"}),
    "nadam": Option({"solver": "nadam"}),
    "rmsprop": Option({"solver": "rmsprop"}),
    "adagrad": Option({"solver": "adagrad"}),
    "lion": Option({"solver": "lion"}),
    "muon": Option({"solver": "muon"}),
    "schedule_free": Option({"solver": "schedule_free"}, in_torch=False),
    "one_cycle": Option({"learning_rate": "one_cycle"}),
    "huber": Option({"loss": "huber"}, tasks=REGRESSION),
    "absolute_error": Option({"loss": "absolute_error"}, tasks=REGRESSION),
    "quantile": Option({"loss": "quantile"}, tasks=REGRESSION),
    "gaussian": Option({"loss": "gaussian"}, tasks=REGRESSION),
    "label_smoothing": Option({"label_smoothing": 0.1}, tasks=CLASSIFICATION),
    "focal": Option({"loss": "focal"}, tasks=CLASSIFICATION),
    "class_weight": Option({"class_weight": "balanced"}, tasks=CLASSIFICATION),
}


def parameters_of(workload):
    """The estimator's parameters for the option of a workload.

    Parameters
    ----------
    workload : workloads.Workload

    Returns
    -------
    dict
        Empty without an option.
    """
    return OPTIONS[workload.option].parameters if workload.option else {}
