"""`quantize`: of a fitted estimator or a network, its predictions with weights of 8 bits."""

from typing import overload

from fastbp.estimators import MLPClassifier, MLPEncoder, MLPRegressor, TabularMLPClassifier, TabularMLPRegressor
from fastbp.network import Network
from fastbp.quantization.estimators import QuantizedMLPClassifier, QuantizedMLPRegressor
from fastbp.quantization.network import QuantizedNetwork

#: class -> what `quantize` makes of its objects
QUANTIZED = {
    MLPClassifier: QuantizedMLPClassifier,
    MLPRegressor: QuantizedMLPRegressor,
    Network: QuantizedNetwork,
}


@overload
def quantize(estimator: MLPClassifier) -> QuantizedMLPClassifier: ...
@overload
def quantize(estimator: MLPRegressor) -> QuantizedMLPRegressor: ...
@overload
def quantize(estimator: Network) -> QuantizedNetwork: ...


def quantize(
    estimator: MLPClassifier | MLPRegressor | Network,
) -> QuantizedMLPClassifier | QuantizedMLPRegressor | QuantizedNetwork:
    """The predictions of a fitted estimator, or of a network, with weights of 8 bits.

    Predictions are faster than in float32, and the weights take a quarter of the memory. No data are needed: each row
    is rounded to 8 bits by its own range. `QuantizedNetwork` says what is computed, and by how much a layer can differ.
    Predictions are float32, whatever the estimator's dtype, and the object cannot be fitted. Layers with fewer than 16
    inputs or 17 outputs stay in float32, as do activations, normalizations and embeddings.

    Columns of X should be of about the same scale, as `StandardScaler` makes them: the column of the widest range
    decides how finely a row is rounded.

    Parameters
    ----------
    estimator : fitted MLPClassifier or MLPRegressor, or Network
        Copied: it may be trained further. Of a pipeline, quantize the last step:
        ``pipeline.steps[-1] = (name, quantize(pipeline[-1]))``. Of an MLPEncoder, quantize its ``encoder_``.

    Returns
    -------
    QuantizedMLPClassifier, QuantizedMLPRegressor or QuantizedNetwork
        With the methods of prediction of the estimator or the network. To be pickled, or saved by `fastbp.save`.

    Raises
    ------
    TypeError
        For anything else, also for objects of subclasses.
    NotFittedError
    ValueError
        For weights that are not finite.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from fastbp import MLPClassifier, quantize
    >>> X, y = load_digits(return_X_y=True)
    >>> model = MLPClassifier((64, 32), dtype="float32", max_iter=30, tol=0.1, random_state=0).fit(X / 16, y)
    >>> quantized = quantize(model)
    >>> bool(abs(quantized.score(X / 16, y) - model.score(X / 16, y)) < 0.01)
    True
    """
    cls = QUANTIZED.get(type(estimator))
    if cls is None:
        raise TypeError(
            f"estimator must be a fitted MLPClassifier or MLPRegressor of fastbp, or a Network, got "
            f"{type(estimator).__name__}. {way_out(estimator)}"
        )
    return cls(estimator)


def way_out(estimator: object) -> str:
    """What to do in place of quantizing an object of another class.

    Parameters
    ----------
    estimator : object

    Returns
    -------
    str
    """
    if isinstance(estimator, MLPEncoder):
        return "Quantize its networks: fastbp.quantize(estimator.encoder_)."
    if isinstance(estimator, (TabularMLPClassifier, TabularMLPRegressor)):
        return "It stays in float32: most of its time is not in products with weights."
    if isinstance(estimator, (MLPClassifier, MLPRegressor)):
        return "An estimator of a subclass may predict in its own way: quantize its network_."
    return (
        "Of a pipeline or a search, quantize the perceptron in it: pipeline.steps[-1] = (name, quantize(pipeline[-1]))."
    )
