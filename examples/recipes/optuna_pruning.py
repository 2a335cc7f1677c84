"""Search parameters with Optuna: trials that are not promising end early
======================================================================

To run it::

    python examples/recipes/optuna_pruning.py

`fastbp.callbacks.OptunaPruner` reports the validation score of each epoch to a trial of Optuna, and ends the fit if the
score is worse than those of other trials at the same epoch. Most of the time goes to good settings then. Each trial is
one fit with a validation set: a cross-validation has several curves, which a trial cannot hold.
"""

import numpy as np
import optuna
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from fastbp import MLPClassifier
from fastbp.callbacks import OptunaPruner

X, y = load_digits(return_X_y=True)
X, X_test, y, y_test = train_test_split(X / 16, y, random_state=0)
X_train, X_val, y_train, y_val = train_test_split(X, y, random_state=0)
epochs = []


def objective(trial):
    """The best validation accuracy of a network with the parameters of a trial."""
    model = MLPClassifier(
        hidden_layer_sizes=(trial.suggest_int("units", 8, 128, log=True),),
        solver=trial.suggest_categorical("solver", ["adam", "nadam", "sgd"]),
        learning_rate_init=trial.suggest_float("learning_rate_init", 1e-4, 1e-1, log=True),
        dropout=trial.suggest_float("dropout", 0.0, 0.5),
        learning_rate="one_cycle",
        max_iter=40,
        n_iter_no_change=np.inf,  # no stop before the cycle has ended, but by the pruner
        random_state=0,
        callbacks=[OptunaPruner(trial), Count()],
    )
    return model.fit(X_train, y_train, X_val=X_val, y_val=y_val).validation_scores_[-1]


class Count:
    """Counts the epochs of all trials."""

    def on_epoch_end(self, state):
        """One more.

        Parameters
        ----------
        state : TrainingState
        """
        epochs.append(state.epoch)


optuna.logging.set_verbosity(optuna.logging.WARNING)
study = optuna.create_study(
    direction="maximize",  # that of the validation score
    sampler=optuna.samplers.TPESampler(seed=0),
    pruner=optuna.pruners.MedianPruner(n_startup_trials=5, n_warmup_steps=5),
)
study.optimize(objective, n_trials=30)
pruned = study.get_trials(states=[optuna.trial.TrialState.PRUNED])
print(f"{len(study.trials)} trials, {len(pruned)} of them ended early, {len(epochs)} epochs in place of up to 1,200")
print(f"best validation accuracy {study.best_value:.3f} with {study.best_params}")

# The best parameters, on all rows but those of the test
best = dict(study.best_params)
model = MLPClassifier(
    (best.pop("units"),), **best, learning_rate="one_cycle", max_iter=40, n_iter_no_change=np.inf, random_state=0
).fit(X, y)
print(f"test accuracy {model.score(X_test, y_test):.3f}")

assert pruned
assert len(epochs) < 0.75 * 30 * 40
assert study.best_value > 0.97
