"""From a network and data to a trained network: epochs, schedules, stopping; and L-BFGS."""

from fastbp.training.averaging import EpochAverage, MovingAverage, NoAverage
from fastbp.training.batches import even_batch_size
from fastbp.training.callbacks import Callback, Callbacks
from fastbp.training.epochs import Epochs, InMemoryEpochs, WindowedEpochs
from fastbp.training.history import History
from fastbp.training.lbfgs import Evaluations, minimize_lbfgs
from fastbp.training.optimizer_state import OptimizerState
from fastbp.training.rate_factors import DropoutFactors, RateFactors
from fastbp.training.rate_sweep import RateSweep
from fastbp.training.reader import Reader
from fastbp.training.run_state import DataChecksums, Run
from fastbp.training.state import TrainingState
from fastbp.training.stopping import EarlyStopping, LossStopping
from fastbp.training.trainer import Trainer
from fastbp.training.validation import Evaluation, ValidationSet
from fastbp.training.windows import TrainingWindow, Windows

__all__ = [
    "Callback",
    "Callbacks",
    "DataChecksums",
    "DropoutFactors",
    "EarlyStopping",
    "EpochAverage",
    "Epochs",
    "Evaluation",
    "Evaluations",
    "History",
    "InMemoryEpochs",
    "LossStopping",
    "MovingAverage",
    "NoAverage",
    "OptimizerState",
    "RateFactors",
    "RateSweep",
    "Reader",
    "Run",
    "Trainer",
    "TrainingState",
    "TrainingWindow",
    "ValidationSet",
    "WindowedEpochs",
    "Windows",
    "even_batch_size",
    "minimize_lbfgs",
]
