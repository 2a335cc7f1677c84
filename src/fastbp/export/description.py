"""What a fitted estimator computes, as plain data that a writer of any format can walk.

::

    describe(estimator) -> Perceptron: X -> ForwardPass -> outcome (outcomes.py)
                        or Ensemble:   table -> columns (tables.py) -> members, each a Perceptron -> mixture -> outcome
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from sklearn.utils.validation import check_is_fitted

from fastbp.estimators import MLPClassifier, MLPEncoder, MLPRegressor, TabularMLPClassifier, TabularMLPRegressor
from fastbp.estimators.class_targets import COLUMNS
from fastbp.export.outcomes import (
    ColumnsOfClasses,
    Indicators,
    Labels,
    ManyClasses,
    MixtureOfClasses,
    MixtureOfNumbers,
    OneClass,
    TwoClasses,
    Values,
    outcome_of_loss,
)
from fastbp.export.tables import columns_of
from fastbp.kernels.forms import FITS
from fastbp.kernels.graph import Graph
from fastbp.network import Network

#: Kinds of operations that there are in training only: `Graph.for_prediction` has none of them
TRAINING_KINDS = ("dropout", "batch_norm")
#: Kinds of operations that a writer must know
KINDS = tuple(kind for kind in FITS if kind not in TRAINING_KINDS)
#: Dtypes that X may have
DTYPES = ("float32", "float64")


@dataclass(frozen=True, eq=False)
class ForwardPass:
    """A network in prediction: operations that read and write nodes, in order.

    Attributes
    ----------
    graph : Graph
        For prediction: its operations are of ``KINDS``. Node 0 is the input.
    params : ndarray of shape (n_params,)
        A copy. Its dtype is that of all arithmetic.
    """

    graph: Graph
    params: np.ndarray

    @classmethod
    def of(cls, network):
        """That of a Network."""
        return cls(network.graph.for_prediction, network.params.copy())

    @property
    def dtype(self):
        """numpy.dtype: float32 or float64."""
        return self.params.dtype

    @property
    def operations(self):
        """tuple of Operation: in the order of the pass."""
        return self.graph.operations

    @property
    def output(self):
        """int: the node of the output."""
        return self.graph.operations[-1].output

    @property
    def raw_output(self):
        """int: the node before the output activation, which is the last operation."""
        return self.graph.operations[-1].input

    def arrays(self, op):
        """The parameters of an operation: a list of ndarray, in the order of its blocks."""
        return self.graph.views(op, self.params)


@dataclass(frozen=True, eq=False)
class Perceptron:
    """An estimator with one network, or a Network.

    Attributes
    ----------
    network : ForwardPass
    outcome : Values, Quantiles, NormalDistribution, OneClass, TwoClasses, ManyClasses, Indicators or ColumnsOfClasses
    dtype : numpy.dtype
        Of X, which is converted to that of the network.
    feature_names : tuple of str or None
        Of the columns of X, where the estimator was fitted to a data frame.
    """

    network: ForwardPass
    outcome: object
    dtype: np.dtype
    feature_names: tuple | None = None

    @property
    def n_features(self):
        """int: columns of X."""
        return self.network.graph.n_features


@dataclass(frozen=True, eq=False)
class Member:
    """A member of an ensemble. Its prediction is that of `predict_proba` or, of numbers, `predict`, in float32.

    Of a classifier, each probability p of the C classes becomes ``max(p - s / C, 0.1 s / C)``, divided by the sum, with
    the label smoothing s, if s is not 0; then ``p**(1 / temperature)``, divided by the sum.

    Attributes
    ----------
    model : Perceptron
        It reads the columns of the encoded table.
    weight : float
        Of its prediction in the mixture.
    label_smoothing : float
    temperature : float
    """

    model: Perceptron
    weight: float
    label_smoothing: float = 0.0
    temperature: float = 1.0


@dataclass(frozen=True, eq=False)
class Ensemble:
    """A TabularMLPClassifier or TabularMLPRegressor: the sum of the members' predictions times their weights, computed
    in float64, is the mixture of which the outcome is made.

    Attributes
    ----------
    columns : tuple of NumberColumn or LevelColumn
        Of the table; each gives one float32 number.
    has_names : bool
        Whether it was fitted to a data frame with names. If not, the columns are called x0, x1, ...
    members : tuple of Member
    outcome : MixtureOfClasses or MixtureOfNumbers
    dtype : numpy.dtype
        Of the numbers in the table.
    """

    columns: tuple
    has_names: bool
    members: tuple
    outcome: MixtureOfClasses | MixtureOfNumbers
    dtype: np.dtype

    @cached_property
    def is_matrix(self):
        """bool: whether the table is an array of numbers without names."""
        return not self.has_names and not any(column.is_text for column in self.columns)


def describe(estimator, dtype=None):
    """What a fitted estimator or a network computes.

    It follows the weights in ``coefs_`` and the parameter `activation` as they are now. Errors of
    predictions are not part of it: for an X that is refused, with NaN or infinities where they are not allowed, nothing
    is said of the output.

    Parameters
    ----------
    estimator : MLPClassifier, MLPRegressor, MLPEncoder, TabularMLPClassifier, TabularMLPRegressor or Network
    dtype : {"float32", "float64"} or None, default=None
        Of X, on which the dtype of the arithmetic can depend: the description is that of predictions for such an X.
        None: that in which the estimator was fitted; of tables, float64.

    Returns
    -------
    Perceptron or Ensemble

    Raises
    ------
    TypeError
        For objects of other classes, also of subclasses; for labels and levels that have no plain form.
    ValueError
        For another `dtype`.
    NotFittedError
    """
    dtype = checked_dtype(dtype)
    if type(estimator) not in DESCRIPTIONS:
        raise TypeError(
            f"estimator must be an estimator or a Network of fastbp, got {type(estimator).__name__}. A pipeline is for "
            "skl2onnx.to_onnx after fastbp.export.register_skl2onnx(), or for fastbp.to_c if it has scalers only in "
            "front: pipeline[-1] alone lacks the steps in front of it. Of a search, export search.best_estimator_; of "
            "fastbp.dask, estimator.to_local()."
        )
    return DESCRIPTIONS[type(estimator)](estimator, dtype)


def checked_dtype(dtype):
    """A dtype that a user gave as a numpy.dtype, or None; ValueError unless it is one of ``DTYPES`` or None."""
    if dtype is None:
        return None
    try:
        name = np.dtype(dtype).name
    except (TypeError, ValueError):  # of NumPy, for what is no dtype
        name = None
    if name not in DTYPES:
        raise ValueError(f"dtype must be 'float32', 'float64' or None, got {dtype!r}")
    return np.dtype(name)


def names_of(estimator):
    """The names of the columns of X as a tuple of str, or None."""
    names = getattr(estimator, "feature_names_in_", None)
    return None if names is None else tuple(map(str, names))


def perceptron(estimator, dtype):
    """The Perceptron of an MLPClassifier or MLPRegressor."""
    check_is_fitted(estimator)
    model = estimator._snapshot()
    given = dtype or model.network_.dtype
    network = model._network_for(np.empty((0, 0), given))
    outcome = class_outcome(model) if isinstance(model, MLPClassifier) else number_outcome(model)
    return Perceptron(ForwardPass.of(network), outcome, given, names_of(model))


def number_outcome(model):
    """The outcome of an MLPRegressor."""
    return outcome_of_loss(model._fitted_loss, model.n_outputs_)


def class_outcome(model):
    """The outcome of an MLPClassifier."""
    if model._form == COLUMNS:
        return ColumnsOfClasses(tuple(ManyClasses(Labels.of(classes)) for classes in model.classes_))
    if model._label_binarizer.y_type_ == "multilabel-indicator":
        return Indicators(len(model.classes_))
    outcome = {1: OneClass, 2: TwoClasses}.get(len(model.classes_), ManyClasses)
    return outcome(Labels.of(model.classes_))


def encoder(estimator, dtype):
    """The Perceptron of an MLPEncoder, whose method is `transform`."""
    check_is_fitted(estimator)
    return forward(estimator.encoder_, dtype, ("transform",), names_of(estimator))


def forward(network, dtype, methods=("forward",), feature_names=None):
    """The Perceptron of a Network."""
    outcome = Values(methods, network.n_outputs)
    return Perceptron(ForwardPass.of(network), outcome, dtype or network.dtype, feature_names)


def ensemble(estimator, dtype):
    """The Ensemble of a TabularMLPClassifier or TabularMLPRegressor."""
    model = estimator._snapshot()
    given = names_of(model)
    names = [f"x{i}" for i in range(model.n_features_in_)] if given is None else list(given)
    columns = columns_of(model._encoder, names)
    is_classifier = isinstance(model, TabularMLPClassifier)
    temperatures = model._temperatures if is_classifier else np.ones(len(model.estimators_))
    members = tuple(
        Member(
            perceptron(own, np.dtype(np.float32)),
            float(weight),
            float(own.label_smoothing) if is_classifier else 0.0,
            float(temperature),
        )
        for own, weight, temperature in zip(model.estimators_, model.estimator_weights_, temperatures, strict=True)
    )
    outcome = mixture_of_classes(model) if is_classifier else mixture_of_numbers(model)
    return Ensemble(columns, given is not None, members, outcome, dtype or np.dtype(np.float64))


def mixture_of_classes(model):
    """The outcome of a TabularMLPClassifier."""
    return MixtureOfClasses(Labels.of(model.classes_), float(model.temperature_))


def mixture_of_numbers(model):
    """The outcome of a TabularMLPRegressor."""
    numbers = (model._mean, model._deviation, model._lowest, model._highest)
    mean, deviation, lowest, highest = (np.array(values, np.float64) for values in numbers)
    return MixtureOfNumbers(
        mean, deviation, lowest, highest, model._is_flat, model._residuals.copy(), int(model._n_residuals)
    )


#: Class -> description of (object, dtype of X)
DESCRIPTIONS = {
    MLPClassifier: perceptron,
    MLPRegressor: perceptron,
    MLPEncoder: encoder,
    Network: forward,
    TabularMLPClassifier: ensemble,
    TabularMLPRegressor: ensemble,
}
