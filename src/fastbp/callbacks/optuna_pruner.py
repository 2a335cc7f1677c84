"""Trials of Optuna that end early."""

from typing import Any, Self

from fastbp.callbacks.monitor import MONITOR, monitored
from fastbp.parametrized import Parametrized, parameter, parametrized
from fastbp.training.state import TrainingState


@parametrized(eq=False)
class OptunaPruner(Parametrized):
    """Reports each epoch to a trial of Optuna, and ends the fit with ``optuna.TrialPruned`` if the trial is not
    promising.

    The fit then leaves the estimator as it was. A trial counts epochs: give it one fit, not a cross-validation.

    Parameters
    ----------
    {parameters}

    References
    ----------
    Akiba, Sano, Yanase, Ohta and Koyama (2019), Optuna: a next-generation hyperparameter optimization framework, KDD.

    Examples
    --------
    >>> from fastbp import MLPRegressor
    >>> from fastbp.callbacks import OptunaPruner
    >>> def objective(trial):
    ...     rate = trial.suggest_float("learning_rate_init", 1e-4, 1e-1, log=True)
    ...     model = MLPRegressor(learning_rate_init=rate, callbacks=OptunaPruner(trial))
    ...     return model.fit(X, y).loss_
    """

    trial: Any = parameter(None, "no_validation", "optuna.Trial", "Or any object with ``report`` and ``should_prune``.")

    monitor: str | None = parameter(
        None, [str, None], "str or None", MONITOR + " The study's direction is to agree with that."
    )

    def on_fit_begin(self, state: TrainingState) -> None:
        """Check the trial.

        Parameters
        ----------
        state : TrainingState

        Raises
        ------
        TypeError
            For an object without the two methods.
        """
        self._validate_params()
        for method in ("report", "should_prune"):
            if not callable(getattr(self.trial, method, None)):
                raise TypeError(f"trial must be an optuna.Trial, with a method {method}; got {self.trial!r}")

    def on_epoch_end(self, state: TrainingState) -> None:
        """Report, and prune.

        Parameters
        ----------
        state : TrainingState

        Raises
        ------
        optuna.TrialPruned
        """
        value, _ = monitored(state, self.monitor)
        self.trial.report(value, state.epoch)
        if self.trial.should_prune():
            from optuna import TrialPruned

            raise TrialPruned(f"after epoch {state.epoch}, with {self.monitor or 'a value'} of {value:g}")

    def __sklearn_clone__(self) -> Self:
        return self
