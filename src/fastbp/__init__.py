"""fastbp: multi-layer perceptrons that train fast on a CPU, drop-in for scikit-learn's."""

from fastbp.estimators import MLPClassifier, MLPRegressor
from fastbp.network import Network

__all__ = ["MLPClassifier", "MLPRegressor", "Network"]
