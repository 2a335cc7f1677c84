"""Callbacks to use: a record, checkpoints, a time limit, a falling learning rate, the pruning of Optuna's trials.

They are given to an estimator as ``callbacks=[...]``. How to write one is described in `fastbp.training.callbacks`.
All but `History` and `OptunaPruner` are parametrized objects, of which each clone of an estimator gets its own.
"""

from fastbp.callbacks.checkpoint import Checkpoint
from fastbp.callbacks.history import History
from fastbp.callbacks.optuna_pruner import OptunaPruner
from fastbp.callbacks.reduce_on_plateau import ReduceOnPlateau
from fastbp.callbacks.time_limit import TimeLimit
from fastbp.training import Callback

__all__ = ["Callback", "Checkpoint", "History", "OptunaPruner", "ReduceOnPlateau", "TimeLimit"]
