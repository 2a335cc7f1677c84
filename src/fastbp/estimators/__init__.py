"""The estimators: what users of scikit-learn import."""

from fastbp.estimators.classifier import MLPClassifier
from fastbp.estimators.copying import slim
from fastbp.estimators.regressor import MLPRegressor

__all__ = ["MLPClassifier", "MLPRegressor", "slim"]
