"""The estimators for tables."""

from fastbp.estimators.tabular.classifier import TabularMLPClassifier
from fastbp.estimators.tabular.regressor import TabularMLPRegressor

__all__ = ["TabularMLPClassifier", "TabularMLPRegressor"]
