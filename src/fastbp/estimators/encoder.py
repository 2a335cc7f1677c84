"""An autoencoder as a transformer."""

from collections.abc import Sequence
from numbers import Integral, Real
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import clone
from sklearn.utils.validation import check_array, check_is_fitted, validate_data

from fastbp.compatibility import BaseEstimator, ClassNamePrefixFeaturesOutMixin, Interval, TransformerMixin, fit_context
from fastbp.estimators.attempt import Attempt, with_attributes
from fastbp.estimators.construction import CLASSES, activations_of, is_set
from fastbp.estimators.inputs import checked_hidden_layer_sizes
from fastbp.estimators.regressor import MLPRegressor
from fastbp.layers import Dense, Dropout
from fastbp.network import Network


class MLPEncoder(ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):
    """Autoencoder: a network that is trained to reproduce X from a code of a few numbers.

    A `MLPRegressor` is trained on the targets X, by default with the squared error. The encoder has the layers
    `hidden_layer_sizes` and then the code, of `n_components` linear units; the decoder has the same layers in reverse
    order and ends with X. Scale X first, for instance with StandardScaler, because the squared error counts each
    feature by its variance.

    Parameters
    ----------
    n_components : int, default=2
        Units of the code.
    hidden_layer_sizes : int or array-like of int, default=(100,)
        Units of each layer between X and the code; ``()`` for a linear encoder, which finds the subspace of PCA.
    regressor : MLPRegressor or None, default=None
        With the settings of training: solver, activation, random_state and so on. It is cloned. A grid search reaches
        them as ``regressor__alpha``. Of several activations, there is one for each of `hidden_layer_sizes`, which the
        decoder has in reverse order. Its `hidden_layer_sizes` are not used, and the parameters that stand for layers
        (`layers`, `dropout`, `input_dropout`, `residual`, `normalization`) must not be set. None: ``MLPRegressor()``.
    input_dropout : float, default=0.0
        For a denoising autoencoder: in training, each number that the network reads is set to 0 with this probability,
        in [0, 1), and else divided by 1 minus it, while the target stays the X that was given. So the code must hold
        what tells the missing features (Vincent et al., 2008). The loss is the squared error over all features, masked
        or not. `transform` is made without it. In scaled data 0 is the mean. Not for a regressor with
        ``solver="lbfgs"``.

    Attributes
    ----------
    regressor_ : MLPRegressor
        The fitted network, X -> X.
    encoder_, decoder_ : Network
        Its two halves, with copies of the parameters.
    n_features_in_ : int
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Where X had names that are all strings.

    References
    ----------
    Hinton and Salakhutdinov (2006), Reducing the dimensionality of data with neural networks, Science 313.

    Vincent, Larochelle, Bengio and Manzagol (2008), Extracting and composing robust features with denoising
    autoencoders, ICML, sections 2.2 and 2.3.

    Examples
    --------
    >>> from fastbp import MLPEncoder, MLPRegressor
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import StandardScaler
    >>> X, _ = load_iris(return_X_y=True)
    >>> regressor = MLPRegressor(activation="tanh", max_iter=500, tol=0.01, random_state=0)
    >>> pipeline = make_pipeline(StandardScaler(), MLPEncoder(2, (10,), regressor)).fit(X)
    >>> pipeline.transform(X).shape
    (150, 2)
    """

    regressor_: MLPRegressor
    encoder_: Network
    decoder_: Network
    n_features_in_: int
    feature_names_in_: NDArray[np.object_]

    _parameter_constraints: ClassVar = {
        "n_components": [Interval(Integral, 1, None, closed="left")],
        "hidden_layer_sizes": ["array-like", Interval(Integral, 1, None, closed="left")],
        "regressor": [MLPRegressor, None],
        "input_dropout": [Interval(Real, 0, 1, closed="left")],
    }

    def __init__(
        self,
        n_components: int = 2,
        hidden_layer_sizes: int | Sequence[int] = (100,),
        regressor: MLPRegressor | None = None,
        input_dropout: float = 0.0,
    ) -> None:
        self.n_components = n_components
        self.hidden_layer_sizes = hidden_layer_sizes
        self.regressor = regressor
        self.input_dropout = input_dropout

    @fit_context(prefer_skip_nested_validation=False)  # the regressor is the user's
    def fit(self, X: ArrayLike, y: object = None, sample_weight: ArrayLike | None = None) -> Self:
        """Train the network to reproduce X.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
        y : object
            Not used.
        sample_weight : array-like of shape (n_samples,), default=None
            Not negative.

        Returns
        -------
        self : MLPEncoder
        """
        with Attempt(self, incremental=False) as attempt:
            attempt.model._train(X, sample_weight)
        return self

    def _train(self, X, sample_weight):
        """Set the attributes of a fit."""
        regressor = MLPRegressor() if self.regressor is None else clone(self.regressor)
        for name in ("layers", *CLASSES):
            value = getattr(regressor, name)
            if is_set(value):
                own = "; set the input_dropout of the MLPEncoder" if name == "input_dropout" else ""
                raise ValueError(
                    f"{name} of the regressor must not be set, got {value!r}: an MLPEncoder makes the layers from "
                    f"n_components and hidden_layer_sizes{own}"
                )
        sizes = checked_hidden_layer_sizes(self.hidden_layer_sizes)
        activations = activations_of(regressor, len(sizes))
        hidden = [Dense(n, activation) for n, activation in zip(sizes, activations, strict=True)]
        encoder = [*hidden, Dense(self.n_components)]
        noise = [Dropout(self.input_dropout)] if self.input_dropout else []
        regressor.layers = [*noise, *encoder, *reversed(hidden)]
        rows = validate_data(self, X, dtype=(np.float64, np.float32))
        self.regressor_ = regressor.fit(rows, rows.ravel() if rows.shape[1] == 1 else rows, sample_weight)
        network, begin = regressor.network_, len(noise)
        self.encoder_ = network.part(begin, begin + len(encoder))
        self.decoder_ = network.part(begin + len(encoder), len(network.layers))

    @property
    def _n_features_out(self):
        """int: columns of the code."""
        return self.encoder_.n_outputs

    def transform(self, X: ArrayLike) -> NDArray[Any]:
        """The code of each row.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)

        Returns
        -------
        code : ndarray of shape (n_samples, n_components)
        """
        model = with_attributes(self, vars(self))  # a fit that ends meanwhile gives new ones, all at once
        check_is_fitted(model)
        return model.encoder_.forward(validate_data(model, X, dtype=(np.float64, np.float32), reset=False))

    def inverse_transform(self, X: ArrayLike) -> NDArray[Any]:
        """The row that the network makes of each code.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_components)
            The codes.

        Returns
        -------
        X_original : ndarray of shape (n_samples, n_features)
            With ``loss="gaussian"`` the means.
        """
        model = with_attributes(self, vars(self))  # a fit that ends meanwhile gives new ones, all at once
        check_is_fitted(model)
        output = model.decoder_.forward(check_array(X, dtype=(np.float64, np.float32)))
        return model.regressor_._fitted_loss.predictions(output)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags
