"""What the methods of an estimator make of a network's output: one class for each kind of target.

The arrays ``output`` and ``raw`` below are the network's output and the output before the output activation, both of
shape (n, n_outputs). ``methods`` are the names of the estimator's methods that follow from them.
"""

from dataclasses import dataclass, field
from typing import ClassVar, NamedTuple

import numpy as np

from fastbp.estimators.tabular.conformal import half_width
from fastbp.losses import Gaussian, Loss, Quantile

INTEGERS, BOOLEANS, FLOATS, TEXT = "integers", "booleans", "floats", "text"
#: Type of a class label -> kind; the types do not overlap as they are compared by identity
KINDS_OF_LABELS = {int: INTEGERS, bool: BOOLEANS, float: FLOATS, str: TEXT}
#: Of intervals, where nothing else is asked for, as in `predict_interval`
COVERAGE = 0.9
#: Labels above it need more than 64 bits with a sign
LARGEST_LABEL = 2**63 - 1


class Labels(NamedTuple):
    """The classes of an estimator, in the order of its outputs.

    Attributes
    ----------
    kind : {"integers", "booleans", "floats", "text"}
    values : list of int, bool, float or str
    """

    kind: str
    values: list

    @classmethod
    def of(cls, classes):
        """The labels of an array of classes.

        Parameters
        ----------
        classes : ndarray of shape (n_classes,)

        Returns
        -------
        Labels

        Raises
        ------
        TypeError
            For labels of other types, such as bytes, or of several types.
        ValueError
            For integers of more than 64 bits.
        """
        values = classes.tolist()
        types = set(map(type, values))
        if len(types) != 1 or not types <= set(KINDS_OF_LABELS):
            names = " and ".join(sorted(t.__name__ for t in types))
            raise TypeError(
                f"class labels must be all int, all bool, all float or all str to be exported, got {names}, as in "
                f"{values[:5]}: fit with other labels, such as y.astype(str)"
            )
        (kind,) = types
        if kind is int and max(map(abs, values)) > LARGEST_LABEL:
            raise ValueError(
                f"class labels must be integers of at most 64 bits to be exported, got {max(values, key=abs)}: fit "
                "with other labels, such as y.astype(str)"
            )
        return cls(KINDS_OF_LABELS[kind], values)


@dataclass(frozen=True)
class Values:
    """Numbers that are the output itself.

    Attributes
    ----------
    methods : tuple of str
        The one method: "predict", "transform" of MLPEncoder, "forward" of a Network.
    n_columns : int
    is_flat : bool
        Whether the method returns an array of shape (n,).
    """

    methods: tuple
    n_columns: int
    is_flat: bool = False


@dataclass(frozen=True)
class Quantiles:
    """Quantiles of one target, which never cross: ``cumsum(raw[0], softplus(raw[1]), softplus(raw[2]), ...)``.

    Attributes
    ----------
    n_columns : int
        Of the array of `predict`.
    """

    methods: ClassVar[tuple] = ("predict",)

    n_columns: int


@dataclass(frozen=True)
class NormalDistribution:
    """Means, the first half of the output's columns, and standard deviations: ``sqrt(exp(s) + epsilon)`` of the others,
    s, computed as ``hypot(exp(s / 2), sqrt(epsilon))``.

    Attributes
    ----------
    epsilon : float
        Smallest variance.
    n_columns : int
        Of the means, and of the deviations.
    is_flat : bool
        Whether the arrays have the shape (n,).
    """

    #: "return_std" stands for the second array of ``predict(X, return_std=True)``
    methods: ClassVar[tuple] = ("predict", "return_std")

    epsilon: float
    n_columns: int
    is_flat: bool


CLASS_METHODS = ("predict", "predict_proba", "predict_log_proba")


@dataclass(frozen=True)
class OneClass:
    """A classifier that has met one class: `predict` gives this class, and `predict_proba` one column of ones, whatever
    the output is.

    Attributes
    ----------
    labels : Labels
        One.
    """

    methods: ClassVar[tuple] = CLASS_METHODS

    labels: Labels


@dataclass(frozen=True)
class TwoClasses:
    """A logistic unit: the output p is the probability of the second class. `predict` gives it where p > 1/2;
    `predict_proba` is (1 - p, p).

    Attributes
    ----------
    labels : Labels
        Two.
    """

    methods: ClassVar[tuple] = CLASS_METHODS

    labels: Labels


@dataclass(frozen=True)
class ManyClasses:
    """A softmax: the output has the probabilities. `predict` gives the class of the (first) largest one.

    Attributes
    ----------
    labels : Labels
        More than two; or any number, as a column of `ColumnsOfClasses`.
    """

    methods: ClassVar[tuple] = CLASS_METHODS

    labels: Labels


@dataclass(frozen=True)
class Indicators:
    """A logistic unit for each of several labels, whose output is the probability; `predict` gives the integer 1 where
    it is above 1/2, else 0.

    Attributes
    ----------
    n_columns : int
    """

    methods: ClassVar[tuple] = CLASS_METHODS

    n_columns: int


@dataclass(frozen=True)
class ColumnsOfClasses:
    """Several columns of labels. The output is raw; the softmax of each column's part has its probabilities.

    Attributes
    ----------
    columns : tuple of ManyClasses
    """

    methods: ClassVar[tuple] = CLASS_METHODS

    columns: tuple

    @property
    def parts(self):
        """list of slice: the columns of the output that belong to each column of labels."""
        ends = np.cumsum([len(column.labels.values) for column in self.columns]).tolist()
        return [slice(begin, end) for begin, end in zip([0, *ends[:-1]], ends, strict=True)]


@dataclass(frozen=True)
class MixtureOfClasses:
    """The classes of an ensemble. `predict` gives the class of the (first) largest mixed probability p; `predict_proba`
    is ``p**(1 / temperature)``, divided by its sum.

    Attributes
    ----------
    labels : Labels
    temperature : float
    """

    methods: ClassVar[tuple] = CLASS_METHODS

    labels: Labels
    temperature: float


@dataclass(frozen=True, eq=False)
class MixtureOfNumbers:
    """The numbers of an ensemble: ``clip(mixed * deviation + mean, lowest, highest)``.

    Attributes
    ----------
    mean, deviation, lowest, highest : ndarray of float64 of shape (n_columns,)
    is_flat : bool
        Whether `predict` returns an array of shape (n,).
    residuals : ndarray of float64 of shape (n_kept, n_columns)
        Sorted absolute residuals of rows that were out of bag.
    n_residuals : int
        How many rows these were.
    """

    methods: ClassVar[tuple] = ("predict", "predict_interval")

    mean: np.ndarray
    deviation: np.ndarray
    lowest: np.ndarray
    highest: np.ndarray
    is_flat: bool
    residuals: np.ndarray = field(repr=False)
    n_residuals: int

    @property
    def n_columns(self):
        """int: of the array of `predict`."""
        return len(self.mean)

    def half_width(self, coverage):
        """What `predict_interval` takes off and adds, of shape (n_columns,).

        Parameters
        ----------
        coverage : float

        Raises
        ------
        ValueError
            As `predict_interval`.
        """
        return half_width(self.residuals, self.n_residuals, coverage)


#: Class of a loss that makes something else of the output than the output -> outcome of (loss, columns)
OF_LOSSES = {
    Gaussian: lambda loss, n: NormalDistribution(float(loss.epsilon), n, n == 1),
    Quantile: lambda loss, n: Quantiles(n) if n > 1 and loss.kernel == "quantiles" else plain(n),
}


def plain(n_columns):
    """The outcome of a regressor that predicts the output."""
    return Values(("predict",), n_columns, n_columns == 1)


def outcome_of_loss(loss, n_columns):
    """What a regressor predicts that was fitted with a loss.

    Parameters
    ----------
    loss : Loss
    n_columns : int
        Of what it predicts.

    Returns
    -------
    Values, Quantiles or NormalDistribution

    Raises
    ------
    TypeError
        For a loss of the user's that has `predictions` of its own.
    """
    if type(loss) in OF_LOSSES:
        return OF_LOSSES[type(loss)](loss, n_columns)
    if type(loss).predictions is not Loss.predictions:
        raise TypeError(
            f"{type(loss).__name__} makes predictions of its own of the network's output, which cannot be exported: "
            "export estimator.network_, and compute them from its output"
        )
    return plain(n_columns)
