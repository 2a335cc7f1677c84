"""The estimators: what users of scikit-learn import."""

from fastbp.estimators.classifier import MLPClassifier
from fastbp.estimators.regressor import MLPRegressor
from fastbp.estimators.slim import slim

__all__ = ["MLPClassifier", "MLPRegressor", "slim"]
