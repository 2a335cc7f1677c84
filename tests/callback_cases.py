"""Data, estimators and callbacks for the tests of callbacks."""

import numpy as np
import pytest

from fastbp import MLPClassifier, MLPRegressor

ignore_max_iter = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

RNG = np.random.default_rng(0)
N = 50
X = RNG.normal(size=(N, 3))
SCORE = X[:, 0] * X[:, 1]
WEIGHT = RNG.uniform(0.5, 2, N)
TARGETS = {MLPRegressor: SCORE, MLPClassifier: np.where(SCORE > 0.2, "yes", np.where(SCORE < -0.2, "no", "perhaps"))}
SMALL = dict(hidden_layer_sizes=(5,), activation="tanh", max_iter=6, batch_size=16, random_state=0)
SOLVERS = ("sgd", "adam", "lbfgs")
every_solver = pytest.mark.parametrize("solver", SOLVERS)
both_estimators = pytest.mark.parametrize("Estimator", TARGETS)


class Note:
    """Records (name, event, epoch), and stops at an epoch or fails at an event on request."""

    def __init__(self, log=None, name="", stop_at=None, fail_at=None):
        self.log, self.name, self.stop_at, self.fail_at = [] if log is None else log, name, stop_at, fail_at

    def note(self, event, state):
        self.log.append((self.name, event, state.epoch))
        if self.fail_at == event:
            raise ZeroDivisionError(f"{self.name} {event}")

    def on_fit_begin(self, state):
        self.note("begin", state)

    def on_epoch_end(self, state):
        self.note("epoch", state)
        return state.epoch == self.stop_at

    def on_fit_end(self, state):
        self.note("end", state)


class Look:
    """Keeps what ``function(state)`` sees at every event."""

    def __init__(self, function):
        self.function, self.seen = function, []

    def on_fit_begin(self, state):
        self.seen.append(self.function(state))

    def on_epoch_end(self, state):
        self.seen.append(self.function(state))

    def on_fit_end(self, state):
        self.seen.append(self.function(state))


class Nothing:
    def on_epoch_end(self, state):
        return None


def weights(model):
    return np.concatenate([w.ravel() for w in [*model.coefs_, *model.intercepts_]])


def written(model):
    """All that a fit leaves behind, but for the weights."""
    names = ("n_iter_", "t_", "loss_", "loss_curve_", "best_loss_", "validation_scores_", "best_validation_score_")
    return {name: getattr(model, name) for name in names if hasattr(model, name)}
