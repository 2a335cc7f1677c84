"""The estimators: what users of scikit-learn import."""

from fastbp.estimators.classifier import MLPClassifier
from fastbp.estimators.encoder import MLPEncoder
from fastbp.estimators.hidden import hidden_activations
from fastbp.estimators.learning_rate import LearningRateSweep, find_learning_rate
from fastbp.estimators.many import expand_grid, fit_many
from fastbp.estimators.regressor import MLPRegressor
from fastbp.estimators.slim import slim
from fastbp.estimators.tabular import TabularMLPClassifier, TabularMLPRegressor

__all__ = [
    "LearningRateSweep",
    "MLPClassifier",
    "MLPEncoder",
    "MLPRegressor",
    "TabularMLPClassifier",
    "TabularMLPRegressor",
    "expand_grid",
    "find_learning_rate",
    "fit_many",
    "hidden_activations",
    "slim",
]
