"""Models that were trained elsewhere: perceptrons of scikit-learn, and weights of PyTorch and Keras as arrays."""

from fastbp.importing.sklearn_models import from_sklearn

__all__ = ["from_sklearn"]
