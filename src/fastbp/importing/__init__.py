"""Models that were trained elsewhere: perceptrons of scikit-learn, and weights of PyTorch and Keras as arrays.

A model of PyTorch or Keras becomes a `fastbp.Network`, and `from_network` makes an estimator of it, which predicts at
once.
"""

from fastbp.importing.keras_weights import from_keras_weights
from fastbp.importing.networks import from_network
from fastbp.importing.sklearn_models import from_sklearn
from fastbp.importing.torch_state import from_torch_state

__all__ = ["from_keras_weights", "from_network", "from_sklearn", "from_torch_state"]
