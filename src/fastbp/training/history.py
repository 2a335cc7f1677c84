"""The record of a training run."""

from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any

NAN = float("nan")

#: The attributes of a `History` that go on in a resumed run
OF_THE_RUN = (
    "loss_curve",
    "learning_rates",
    "seconds",
    "validation",
    "validation_scores",
    "n_iter",
    "rows_seen",
)


@dataclass
class History:
    """The record of a run, which a later run (warm start, partial fit) continues.

    Attributes
    ----------
    loss_curve : list of float
        The mean loss of each epoch.
    learning_rates : list of float
        The learning rate of the first step of each epoch.
    seconds : list of float
        The training time up to the end of each epoch, added up over all runs.
    validation : dict of str to list of float
        What was computed on the validation set after each epoch, by its name. A list may end before an epoch that was
        not validated.
    validation_scores : list of float or None
        The score that decides, after each epoch; None where there is no validation set.
    n_iter : int
        Epochs of this run.
    rows_seen : int
        Rows trained on, over all runs.
    interrupted : bool
        Whether this run was interrupted from outside: by Ctrl-C, an exception of a signal handler, or one that was sent
        to its thread. This is no failure, and the weights are those of the last complete step.
    """

    loss_curve: list[float] = field(default_factory=list)
    learning_rates: list[float] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    validation: dict[str, list[float]] = field(default_factory=dict)
    validation_scores: list[float] | None = None
    n_iter: int = 0
    rows_seen: int = 0
    interrupted: bool = False

    def add_validation(self, score: float, values: dict[str, float]) -> None:
        """Record what was computed on the validation set after the last epoch.

        Parameters
        ----------
        score : float
            What decides.
        values : dict of str to float
        """
        self.validation_scores.append(score)
        for name, value in values.items():
            column = self.validation.setdefault(name, [])
            column.extend([NAN] * (len(self.loss_curve) - 1 - len(column)))  # epochs that were not validated
            column.append(value)

    @property
    def columns(self) -> dict[str, list[float]]:
        """dict of str to list of float: loss, ``validation_`` and each name of `validation`, learning_rate, seconds."""
        return {
            "loss": self.loss_curve,
            **{f"validation_{name}": column for name, column in self.validation.items()},
            "learning_rate": self.learning_rates,
            "seconds": self.seconds,
        }

    def last_epoch(self) -> dict[str, float]:
        """What was recorded of the last epoch, by the names of the columns: a dict of str to float."""
        n_epochs = len(self.loss_curve)
        return {name: column[-1] for name, column in self.columns.items() if n_epochs and len(column) == n_epochs}

    def as_dict(self) -> dict[str, list[float]]:
        """`columns`, of equal length, an item for each epoch. NaN stands for what was not computed."""
        columns = self.columns
        for column in columns.values():
            column.extend([NAN] * (len(self.loss_curve) - len(column)))
        return columns

    def state_dict(self) -> dict[str, Any]:
        """All that changes in a run; see `fastbp.training.run_state`."""
        return {name: getattr(self, name) for name in OF_THE_RUN}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a state.

        Parameters
        ----------
        state : dict
        """
        for name in OF_THE_RUN:
            setattr(self, name, deepcopy(state[name]))

    def continue_from(self, columns: dict[str, list[float]]) -> None:
        """Begin with copies of what `as_dict` returned after an earlier run.

        Parameters
        ----------
        columns : dict of str to list of float
        """
        prefix = "validation_"
        columns = {name: list(column) for name, column in columns.items()}
        self.loss_curve, self.learning_rates = columns["loss"], columns["learning_rate"]
        self.seconds = columns["seconds"]
        self.validation = {n.removeprefix(prefix): c for n, c in columns.items() if n.startswith(prefix)}
