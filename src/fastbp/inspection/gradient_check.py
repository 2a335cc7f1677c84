"""Compare the gradients of backpropagation with finite differences of the loss."""

from dataclasses import dataclass
from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import sparray, spmatrix

from fastbp.estimators.base import BaseMLP
from fastbp.initializers import legacy_generator
from fastbp.inspection._arguments import check_integer
from fastbp.inspection._differences import Comparisons, Differences
from fastbp.inspection._report import number, table
from fastbp.inspection._subject import dense_problem
from fastbp.network import Network


@dataclass(frozen=True, eq=False, repr=False)
class GroupCheck(Comparisons):
    """The derivatives by one group of parameters, or of the loss by the raw prediction.

    Attributes
    ----------
    gradient, difference : ndarray of shape (k,)
        The derivatives by backpropagation, and the central differences.
    error : ndarray of shape (k,)
        ``|gradient - difference| / (max(|gradient|, |difference|) + resolution / tolerance)``: at most `tolerance`
        where the two agree. Infinite where the loss is not finite.
    resolution : ndarray of shape (k,)
        How much rounding errors can change the difference.
    corner : ndarray of bool of shape (k,)
        True where the two disagree and a unit changes sign within the smallest step: they cannot be compared.
    name : str
        "W_1", "b_1", ... as in the layout of `Network`; "loss" for the gradient of the loss itself.
    shape : tuple of int
    index : ndarray of int of shape (k, number of dimensions)
        Indices of the derivatives in the array of the group.
    tolerance : float
    """

    name: str
    shape: tuple[int, ...]
    index: NDArray[Any]
    tolerance: float

    @property
    def n_compared(self) -> int:
        """int: number of derivatives that were compared."""
        return len(self.corner) - self.n_corners

    @property
    def n_corners(self) -> int:
        """int: number of derivatives that were left out because they are at a corner of the loss."""
        return int(self.corner.sum())

    @property
    def n_too_small(self) -> int:
        """int: number of nonzero derivatives below the resolution of the differences, which shows only that they are
        small."""
        size = np.maximum(np.abs(self.gradient), np.abs(self.difference))
        return int(((size > 0) & (size < self.resolution) & ~self.corner).sum())

    @property
    def worst(self) -> int:
        """int: index, below k, of the derivative with the largest error."""
        return int(np.where(self.corner, -1.0, self.error).argmax())

    @property
    def largest_error(self) -> float:
        """float: NaN if nothing could be compared."""
        return float(self.error[self.worst]) if self.n_compared else np.nan

    @property
    def passed(self) -> bool:
        """bool: whether derivatives were compared and all of them agree."""
        return self.largest_error <= self.tolerance

    @property
    def factor(self) -> float | None:
        """float or None: gradient / difference, if the check failed and this factor is the same for all derivatives."""
        clear = ~self.corner & (np.abs(self.difference) > 1e3 * self.resolution)
        if self.passed or clear.sum() < 2:
            return None
        ratios = self.gradient[clear] / self.difference[clear]
        middle = float(np.median(ratios))
        return middle if abs(middle - 1) > 0.01 and np.allclose(ratios, middle, rtol=0.01, atol=0) else None

    @property
    def verdict(self) -> str:
        """str: "ok"; "WRONG"; "too small" if all derivatives are below the resolution; "not checked" if all are at
        corners."""
        if not self.n_compared:
            return "not checked"
        if not self.passed:
            return "WRONG"
        return "too small" if self.n_too_small == self.n_compared else "ok"

    def __repr__(self) -> str:
        return f"<GroupCheck {self.name}: {self.verdict}, largest relative error {number(self.largest_error)}>"


@dataclass(frozen=True, repr=False)
class GradientCheck:
    """The outcome of `gradient_check`; ``print(check)`` shows it as a table.

    Parameters
    ----------
    groups : list of GroupCheck
        The loss by the raw prediction first, then W and b of each layer, first to last.
    tolerance : float
    n_clipped : int
        Rows left out because the loss clips their probability.
    network : str
        The network's description.
    """

    groups: list[GroupCheck]
    tolerance: float
    n_clipped: int
    network: str

    @property
    def passed(self) -> bool:
        """bool: whether every group passed."""
        return all(group.passed for group in self.groups)

    @property
    def largest_error(self) -> float:
        """float: the largest relative error of all groups."""
        return max((group.largest_error for group in self.groups if group.n_compared), default=np.nan)

    def __getitem__(self, name: str) -> GroupCheck:
        for group in self.groups:
            if group.name == name:
                return group
        raise KeyError(f"no group {name!r}; there are {', '.join(group.name for group in self.groups)}")

    def __repr__(self) -> str:
        outcome = "passed" if self.passed else "FAILED"
        return f"<GradientCheck {outcome}: largest relative error {number(self.largest_error)}, {self.network}>"

    def __str__(self) -> str:
        header = ("group", "shape", "compared", "at corners", "too small", "largest relative error", "verdict")
        rows = [
            (
                group.name,
                " x ".join(map(str, group.shape)),
                f"{group.n_compared} of {int(np.prod(group.shape))}",
                group.n_corners,
                group.n_too_small,
                f"{group.largest_error:.1e}" if group.n_compared else "-",
                group.verdict,
            )
            for group in self.groups
        ]
        remarks = "".join(f"{remark}\n" for remark in self.remarks())
        outcome = f"{'passed' if self.passed else 'FAILED'} at a tolerance of {self.tolerance:g}"
        return f"{self.network}\n\n{table(header, rows)}\n\n{remarks}{outcome}"

    def remarks(self) -> list[str]:
        """Sentences that explain the table.

        Returns
        -------
        list of str
        """
        remarks = []
        if self.n_clipped:
            remarks.append(
                f"{self.n_clipped} row(s) left out: the loss clips a probability there, and is constant. Scale X, or "
                "use smaller weights."
            )
        loss, *parameters = self.groups
        if loss.verdict == "WRONG":
            return [
                *remarks,
                "The gradient of the loss by the raw prediction is wrong: " + self.describe_error(loss),
                "The gradients by the parameters depend on it: correct the loss, and check again.",
            ]
        for group in parameters:
            if group.verdict == "WRONG":
                remarks.append(f"{group.name}: backpropagation is wrong: {self.describe_error(group)}")
            elif group.verdict == "not checked":
                remarks.append(
                    f"{group.name}: every derivative is at a corner, where a unit changes sign, and none could be "
                    "compared. Use other rows, or fewer."
                )
            elif group.verdict == "too small":
                remarks.append(
                    f"{group.name}: the derivatives are below {group.resolution.max():.0e}, the resolution of the "
                    "differences, which can only confirm that they are small."
                )
        return remarks

    @staticmethod
    def describe_error(group: Any) -> str:
        """How the gradients of a group are wrong.

        Parameters
        ----------
        group : GroupCheck

        Returns
        -------
        str
        """
        if group.factor is not None:
            return f"it is {group.factor:.4g} times the central difference everywhere."
        worst, index = group.worst, tuple(group.index[group.worst].tolist())
        return f"{group.gradient[worst]:.6g} at {index}, where the central difference is {group.difference[worst]:.6g}."


def gradient_check(
    net_or_estimator: Network | BaseMLP,
    X: ArrayLike | sparray | spmatrix,
    y: ArrayLike,
    sample_weight: ArrayLike | None = None,
    *,
    n_checks: int = 50,
    tolerance: float = 1e-6,
    random_state: int | np.random.RandomState | np.random.Generator | None = 0,
) -> GradientCheck:
    """Compare the gradients of backpropagation with finite differences of the loss.

    The loss includes the penalty, and the weights are those that the network has. The gradient of the loss by the raw
    prediction is checked first, so that a mistake in a custom ``loss=`` is distinguished from one in the network.

    The network is that of predictions: `Dropout` layers are left out, and `BatchNorm` layers use the running statistics
    as constants. (The gradients of training are compared with differences of its loss in the tests of this package.)

    Parameters
    ----------
    net_or_estimator : Network, or fitted MLPClassifier or MLPRegressor
        It is not changed: a float64 copy is checked, because a difference quotient in float32 has only four correct
        digits. The kernels of both types have the same source. A custom loss that returns float32 nevertheless is
        compared with larger steps, to four digits.
    X : array-like or sparse matrix of shape (n, n_features)
        A few dozen rows are enough. A sparse matrix is converted to a dense array.
    y : array-like of shape (n,) or (n, n_outputs)
        For a network as `Network.loss_and_gradient` takes it, for an estimator as its `fit` does.
    sample_weight : array-like of shape (n,) or None
    n_checks : int
        Derivatives compared in each group of parameters, drawn at random from groups that have more. Each costs two
        forward passes. The gradient of the loss is compared at all rows, for at most `n_checks` outputs.
    tolerance : float
        Largest relative error that passes. 1e-6 is well above the truncation error of the differences, about 1e-11
        times the ratio of the third derivative to the first.
    random_state : int, RandomState, Generator or None
        Draws the derivatives to compare.

    Returns
    -------
    GradientCheck
        With ``.passed``, ``.groups`` and a table to print.

    Raises
    ------
    NotFittedError
        For an estimator that is not fitted.
    ValueError
        If an argument does not fit, or the loss is not finite.

    Examples
    --------
    A loss whose gradient lacks the factor 3:

    >>> import numpy as np
    >>> from fastbp import Network
    >>> from fastbp.inspection import gradient_check
    >>> rng = np.random.default_rng(0)
    >>> X, y = rng.normal(size=(20, 3)), rng.normal(size=20)
    >>> gradient_check(Network([3, 5, 1], "tanh", random_state=0), X, y).passed
    True
    >>> def absolute_cube(y_true, raw_prediction, sample_weight):
    ...     weight = 1 if sample_weight is None else sample_weight[:, None]
    ...     residual = raw_prediction - y_true
    ...     return (weight * np.abs(residual) ** 3).sum(axis=1), weight * residual * np.abs(residual)
    >>> check = gradient_check(Network([3, 5, 1], "tanh", loss=absolute_cube, random_state=0), X, y)
    >>> check.passed, round(check["loss"].factor, 6)
    (False, 0.333333)
    """
    check_integer("n_checks", n_checks)
    if not isinstance(tolerance, Real) or not 0 < tolerance < np.inf:
        raise ValueError(f"tolerance must be a finite number > 0, got {tolerance!r}")
    network, X, Y, weight = dense_problem(net_or_estimator, X, y, sample_weight)
    description, network = repr(network), network.astype(np.float64)
    # rounded to the network's dtype before they become float64
    X, Y = X.astype(np.float64), Y.astype(np.float64)
    clipped = network.resolved_loss.is_clipped(Y, network.forward(X))
    if clipped.all():
        raise ValueError(
            "the loss clips a probability in every row of X, and is constant there: scale X, or use smaller weights"
        )
    if clipped.any():
        weight = np.where(clipped, 0.0, 1.0 if weight is None else weight)
    rng = legacy_generator(random_state)
    with np.errstate(over="ignore", invalid="ignore"):
        differences = Differences(network, X, Y, weight, tolerance)
        found = [("loss", *differences.by_raw_prediction(n_checks, rng)), *differences.by_parameters(n_checks, rng)]
    groups = [
        GroupCheck(**vars(c), name=name, shape=shape, index=i, tolerance=tolerance) for name, shape, i, c in found
    ]
    return GradientCheck(groups, tolerance, int(clipped.sum()), description)
