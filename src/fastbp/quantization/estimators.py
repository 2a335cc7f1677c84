"""Fitted estimators with weights of 8 bits: predictions, and nothing else.

An object has the estimator's own methods of prediction, which validate X and decode the output as ever, around the
forward pass of a `QuantizedNetwork`: those of a *predictor*, an estimator of a private subclass.
"""

from typing import Any, ClassVar, Generic, Literal, Never, Self, TypeVar, overload

from numpy.typing import ArrayLike, NDArray
from scipy.sparse import sparray, spmatrix

from fastbp.estimators import MLPClassifier, MLPRegressor
from fastbp.estimators.base import BaseMLP
from fastbp.quantization.network import QuantizedNetwork
from fastbp.versions import note_version, warn_if_other_version

#: What predictions need of the attributes of a fit, beside the network ...
LEARNED = ("classes_", "_form", "_fitted_loss", "feature_names_in_")
#: ... and what follows from these: `derived_attributes`
FITTED = (
    *LEARNED,
    "_label_binarizer",
    "_n_units",
    "n_features_in_",
    "n_layers_",
    "n_outputs_",
    "out_activation_",
)

P = TypeVar("P", bound=BaseMLP)


class WithQuantizedNetwork:
    """An estimator whose network is a `QuantizedNetwork`."""

    _network: QuantizedNetwork

    def _network_for(self, X: Any) -> QuantizedNetwork:
        return self._network

    def _forward_plain(self, X: Any, raw: bool) -> None:
        """There is no short way."""
        return None

    def _why_not_finite(self) -> str:
        return f"X holds values so large that sums in {self._network.dtype} overflow. Scale X as it was scaled for fit."


def predictor_class(name: str, cls: type[BaseMLP]) -> type[Any]:
    """The class of predictors of an estimator.

    Parameters
    ----------
    name : str
        That of the public class, for the messages of the validation.
    cls : type

    Returns
    -------
    type
    """
    return type(name, (WithQuantizedNetwork, cls), {})


class QuantizedMLP(Generic[P]):
    """Base of the two classes; not to be used itself.

    Parameters
    ----------
    estimator : fitted MLPClassifier or MLPRegressor
    """

    _estimator_class: ClassVar[type[BaseMLP]]
    _predictor_class: ClassVar[type[Any]]
    _predictor: P
    _fitted: dict[str, Any]

    n_features_in_: int
    n_outputs_: int
    n_layers_: int
    out_activation_: str

    def __init__(self, estimator: P) -> None:
        if type(estimator) is not self._estimator_class:
            name = self._estimator_class.__name__
            raise TypeError(f"estimator must be a fitted {name} of fastbp, got {type(estimator).__name__}")
        model = estimator._snapshot()
        network = QuantizedNetwork(model.network_)
        fitted = {name: value for name, value in vars(model).items() if name in FITTED}
        self._bind(network, fitted)

    @classmethod
    def of_parts(cls, network: QuantizedNetwork, fitted: dict[str, Any]) -> Self:
        """The estimator of a network and of what a fit has left.

        Parameters
        ----------
        network : QuantizedNetwork
        fitted : dict
            The attributes in ``FITTED``.

        Returns
        -------
        QuantizedMLPClassifier or QuantizedMLPRegressor
        """
        estimator = object.__new__(cls)
        estimator._bind(network, fitted)
        return estimator

    def _bind(self, network: QuantizedNetwork, fitted: dict[str, Any]) -> None:
        """Make the predictor of the network and of what a fit has left."""
        loss = fitted["_fitted_loss"]
        predictor = self._predictor_class(loss=loss, n_threads=network.n_threads, dtype="float32")
        vars(predictor).update(fitted, _network=network)
        self._fitted, self._predictor = fitted, predictor
        for name, value in fitted.items():
            if not name.startswith("_"):
                setattr(self, name, value)

    @property
    def network_(self) -> QuantizedNetwork:
        """QuantizedNetwork: the forward pass, without the decoding of its output."""
        return self._predictor._network

    def fit(self, X: ArrayLike, y: ArrayLike | None = None) -> Never:
        """Always an error: weights of 8 bits are not trained.

        Parameters
        ----------
        X, y : array-like

        Raises
        ------
        TypeError
        """
        raise TypeError(
            f"a {type(self).__name__} cannot be fitted: fit a {self._estimator_class.__name__}, and give it to "
            "fastbp.quantize"
        )

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """No parameters: those of the estimator belong to its training.

        Parameters
        ----------
        deep : bool
            As scikit-learn asks for it.

        Returns
        -------
        dict
            Empty.
        """
        return {}

    def __sklearn_is_fitted__(self) -> bool:
        return True

    def __sklearn_clone__(self) -> Self:
        return self  # as FrozenEstimator of scikit-learn

    def __sklearn_tags__(self) -> Any:
        tags = self._predictor.__sklearn_tags__()
        tags.input_tags.allow_nan = self.network_.accepts_missing
        tags.input_tags.sparse = not tags.input_tags.allow_nan
        return tags

    def __getstate__(self) -> dict[str, Any]:
        return note_version({"network": self.network_, "fitted": self._fitted})

    def __setstate__(self, state: dict[str, Any]) -> None:
        self._bind(**warn_if_other_version(state, type(self).__name__))

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self.network_!r}>"


class QuantizedMLPClassifier(QuantizedMLP[MLPClassifier]):
    """The predictions of a fitted `MLPClassifier` with weights of 8 bits; made by `fastbp.quantize`.

    Parameters
    ----------
    estimator : fitted MLPClassifier

    Attributes
    ----------
    classes_ : ndarray or list of ndarray
        Those of the estimator.
    network_ : QuantizedNetwork
    n_features_in_, n_layers_, n_outputs_ : int
    out_activation_ : str
    feature_names_in_ : ndarray of str
        If the estimator was fitted to a data frame.
    """

    _estimator_class = MLPClassifier
    _predictor_class = predictor_class("QuantizedMLPClassifier", MLPClassifier)

    classes_: NDArray[Any] | list[NDArray[Any]]

    def predict(self, X: ArrayLike | sparray | spmatrix) -> NDArray[Any]:
        """The most probable class of each row: see ``MLPClassifier.predict``.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)

        Returns
        -------
        y : ndarray of shape (n_samples,), (n_samples, n_labels) or (n_samples, n_columns)
        """
        return self._predictor.predict(X)

    def predict_proba(self, X: ArrayLike | sparray | spmatrix) -> NDArray[Any] | Any:
        """The probability of each class: see ``MLPClassifier.predict_proba``.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)

        Returns
        -------
        probabilities : ndarray of float32 of shape (n_samples, n_classes), or list of them

        Raises
        ------
        ValueError
            If a probability is not a number, because X is too large.
        """
        return self._predictor.predict_proba(X)

    def predict_log_proba(self, X: ArrayLike | sparray | spmatrix) -> NDArray[Any] | Any:
        """The logarithm of `predict_proba`: see ``MLPClassifier.predict_log_proba``.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)

        Returns
        -------
        log_probabilities : ndarray of float32 of shape (n_samples, n_classes), or list of them
        """
        return self._predictor.predict_log_proba(X)

    def score(
        self,
        X: ArrayLike | sparray | spmatrix,
        y: ArrayLike | sparray | spmatrix,
        sample_weight: ArrayLike | None = None,
    ) -> float:
        """The accuracy on X and y: see ``MLPClassifier.score``.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)
        y : array-like or sparse matrix of shape (n_samples,), (n_samples, n_labels) or (n_samples, n_columns)
        sample_weight : array-like of shape (n_samples,), default=None

        Returns
        -------
        float
        """
        return self._predictor.score(X, y, sample_weight)


class QuantizedMLPRegressor(QuantizedMLP[MLPRegressor]):
    """The predictions of a fitted `MLPRegressor` with weights of 8 bits; made by `fastbp.quantize`.

    Parameters
    ----------
    estimator : fitted MLPRegressor

    Attributes
    ----------
    network_ : QuantizedNetwork
    n_features_in_, n_layers_, n_outputs_ : int
    out_activation_ : str
    feature_names_in_ : ndarray of str
        If the estimator was fitted to a data frame.
    """

    _estimator_class = MLPRegressor
    _predictor_class = predictor_class("QuantizedMLPRegressor", MLPRegressor)

    @overload
    def predict(self, X: ArrayLike | sparray | spmatrix, return_std: Literal[False] = False) -> NDArray[Any]: ...

    @overload
    def predict(
        self, X: ArrayLike | sparray | spmatrix, return_std: Literal[True]
    ) -> tuple[NDArray[Any], NDArray[Any]]: ...

    def predict(
        self, X: ArrayLike | sparray | spmatrix, return_std: bool = False
    ) -> NDArray[Any] | tuple[NDArray[Any], NDArray[Any]]:
        """The prediction: see ``MLPRegressor.predict``.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)
        return_std : bool, default=False
            Whether to return the standard deviation too, for a model that was fitted with ``loss="gaussian"``.

        Returns
        -------
        y : ndarray of float32 of shape (n_samples,) or (n_samples, n_outputs)
        y_std : ndarray of the shape of `y`
            Only if `return_std`.
        """
        predict: Any = self._predictor.predict
        return predict(X, return_std)

    def score(self, X: ArrayLike | sparray | spmatrix, y: ArrayLike, sample_weight: ArrayLike | None = None) -> float:
        """The coefficient of determination R^2: see ``MLPRegressor.score``.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
        sample_weight : array-like of shape (n_samples,), default=None

        Returns
        -------
        float
        """
        return self._predictor.score(X, y, sample_weight)
