"""fastbp: multi-layer perceptrons that train fast on a CPU, drop-in for scikit-learn's."""

from fastbp.config import show_config
from fastbp.estimators import (
    MLPClassifier,
    MLPEncoder,
    MLPRegressor,
    expand_grid,
    fit_many,
    hidden_activations,
    slim,
)
from fastbp.kernels.dispatch import VERSION as __version__
from fastbp.network import Network
from fastbp.training import Callback
from fastbp.versions import VersionWarning

__all__ = [
    "Callback",
    "MLPClassifier",
    "MLPEncoder",
    "MLPRegressor",
    "Network",
    "VersionWarning",
    "__version__",
    "expand_grid",
    "fit_many",
    "hidden_activations",
    "show_config",
    "slim",
]
