"""fastbp: multi-layer perceptrons that train fast on a CPU, drop-in for scikit-learn's."""

from fastbp.config import show_config
from fastbp.estimators import (
    LearningRateSweep,
    MLPClassifier,
    MLPEncoder,
    MLPRegressor,
    TabularMLPClassifier,
    TabularMLPRegressor,
    expand_grid,
    find_learning_rate,
    fit_many,
    hidden_activations,
    slim,
)
from fastbp.export import to_c, to_onnx
from fastbp.files import ModelFileError, load, save
from fastbp.importing import from_keras_weights, from_network, from_sklearn, from_torch_state
from fastbp.kernels.dispatch import VERSION as __version__
from fastbp.network import Network
from fastbp.quantization import quantize
from fastbp.training import Callback
from fastbp.versions import VersionWarning

__all__ = [
    "Callback",
    "LearningRateSweep",
    "MLPClassifier",
    "MLPEncoder",
    "MLPRegressor",
    "ModelFileError",
    "Network",
    "TabularMLPClassifier",
    "TabularMLPRegressor",
    "VersionWarning",
    "__version__",
    "expand_grid",
    "find_learning_rate",
    "fit_many",
    "from_keras_weights",
    "from_network",
    "from_sklearn",
    "from_torch_state",
    "hidden_activations",
    "load",
    "quantize",
    "save",
    "show_config",
    "slim",
    "to_c",
    "to_onnx",
]
