"""Central differences of a network's loss, compared with its derivatives.

Every derivative is compared with the central difference ``(L(w + h) - L(w - h)) / 2h``, whose truncation error grows
with h^2 and whose rounding error with eps / h. The sum is smallest for h of order eps^(1/3) times the distance over
which L curves (Nocedal and Wright, Numerical Optimization, 2nd edition 2006, section 8.1; Press et al., Numerical
Recipes, section 5.7). For a weight that distance is the change that moves the pre-activation by one:
``1 / max |input|``.

The two can disagree without a mistake for three reasons, which are taken into account:

* Rounding. The rounding error of L is estimated from the sizes of the terms in its sums, and divided by h. A derivative
  below this resolution (about 1e-10 of the loss) cannot be distinguished from zero.
* Precision. eps is that of float64, in which the network is checked, or that of float32 if the loss is a function that
  returns float32.
* Corners. Where a unit changes sign between w - h and w + h, a function like relu has two slopes, and the difference
  quotient is a mixture of them. So smaller steps are tried where the two disagree: an error of the differences shrinks
  with the step, a mistake does not. If they still disagree and a unit still changes sign, the derivative is left out
  and counted.
"""

from collections import namedtuple
from dataclasses import dataclass, fields
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from fastbp.inspection.trace import backprop_trace, output_delta, passed_forward, raw_and_output
from fastbp.kernels import ACTIVATIONS, activation_backward, activation_forward

EPS = float(np.finfo(np.float64).eps)

#: Steps that are tried one after the other where derivative and difference disagree, in units of the first one.
SHRINKING = (1, 1 / 32, 1 / 1024)

#: Number of roundings in the computation of a loss: sums of a few dozen terms, an exponential, a logarithm.
ROUNDINGS = 8

Evaluation = namedtuple("Evaluation", "loss signs")


@dataclass(frozen=True, eq=False)
class Comparisons:
    """Derivatives by backpropagation and by central differences.

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
    """

    gradient: NDArray[Any]
    difference: NDArray[Any]
    error: NDArray[Any]
    resolution: NDArray[Any]
    corner: NDArray[Any]

    @classmethod
    def joined(cls, parts: Any, join: Any) -> Self:
        """Join several into one.

        Parameters
        ----------
        parts : list of Comparisons
        join : callable
            From a list of arrays to one array.

        Returns
        -------
        Comparisons
        """
        return cls(*(join([getattr(part, field.name) for part in parts]) for field in fields(Comparisons)))


class Differences:
    """The loss of a network as a function of single numbers, and its central differences.

    Parameters
    ----------
    network : Network
        A float64 copy; its parameters are changed and restored.
    X, Y : ndarray of shape (n, n_features), (n, n_outputs)
    weight : ndarray of shape (n,) or None
    tolerance : float
    """

    def __init__(self, network, X, Y, weight, tolerance):
        self.network, self.X, self.Y, self.weight, self.tolerance = network, X, Y, weight, tolerance
        self.trace = backprop_trace(network, X, Y, weight)
        self.loss, self.gradient = network.loss_and_gradient(X, Y, weight)
        if not np.isfinite(self.loss):
            raise ValueError(f"the loss is {self.loss} at these weights: scale X, or use smaller weights")
        self.eps = precision_of_loss(network, Y, self.trace.operations[-1].inputs[0], weight)
        self.step = self.eps ** (1 / 3)  # the first step, in units of the distance over which the loss curves
        self.amounts = rounded_amounts(network, self.trace.row_loss, Y, weight)
        amount = self.amounts.sum() / self.trace.weight_sum + propagated_amount(self.trace)
        self.noise = ROUNDINGS * self.eps * amount

    def by_parameters(self, n, rng):
        """The derivatives of the loss by the parameters.

        Parameters
        ----------
        n : int
            Of each group.
        rng : RandomState

        Yields
        ------
        name : str
        shape : tuple of int
        index : ndarray of int of shape (k, 1 or 2)
        comparisons : Comparisons
        """
        blocks, gradients = self.network.blocks, self.network.split_blocks(self.gradient)
        graph = self.network.graph
        trained = {block.name for block in graph.blocks if graph.groups[block.group].trained}
        for operation in self.trace.operations:
            # the distance over which the loss curves: the change that moves the output by one; NaN are missing numbers
            reach = 1 / np.fmax(1, np.fmax.reduce(np.abs(operation.inputs[0])))
            for number, name in enumerate(operation.parameters):
                if name not in trained:
                    continue
                array, gradient = blocks[name], gradients[name]
                is_by_input = (operation.kind != "dense" or number == 0) and len(array) == len(reach)
                step = self.step * reach if is_by_input else np.full(len(array), self.step)
                index = sample(array.shape, n, rng)
                found = [self.by_parameter(array, i, gradient[i], step[i[0]]) for i in map(tuple, index.tolist())]
                yield name, array.shape, index, Comparisons.joined(found, np.concatenate)

    def by_parameter(self, array, index, gradient, step):
        """The derivative of the loss by one parameter.

        Parameters
        ----------
        array : ndarray
            A block of parameters.
        index : tuple of int
            Of the parameter in it.
        gradient, step : float

        Returns
        -------
        Comparisons
            Of length 1.
        """
        value = array[index]

        def evaluate(moved):
            array[index] = moved[0]
            try:
                return self.whole_loss()
            finally:
                array[index] = value

        return self.compare(*(np.array([x]) for x in (value, gradient, step, self.noise)), evaluate)

    def whole_loss(self):
        """The loss, penalty included, and the signs that can change its slopes.

        Returns
        -------
        Evaluation
        """
        graph = self.network.graph
        kept = passed_forward(self.network, self.X)
        row_loss, dA, delta = output_delta(self.network, self.Y, *raw_and_output(self.network, kept), self.weight)
        loss = (float(row_loss.sum()) + self.network.penalty()) / self.trace.weight_sum
        activations = [op for op in graph.operations if op.kind == "activation"]
        signs = [np.sign(kept.value(op.input)) for op in activations if op.argument in CORNERED_NUMBERS]
        signs += [np.sign(kept.value(op.input)) for op in graph.operations if op.kind == "prelu"]
        signs.append(np.sign(delta if dA is None else dA))
        return Evaluation(np.array([loss]), [s.reshape(1, -1) for s in signs])

    def by_raw_prediction(self, n, rng):
        """The derivatives of each row's loss by its raw prediction.

        Parameters
        ----------
        n : int
            Number of outputs, drawn at random if there are more; all rows are compared.
        rng : RandomState

        Returns
        -------
        shape : tuple of int
        index : ndarray of int of shape (k, 2)
        comparisons : Comparisons
        """
        before, output = self.trace.operations[-2:]
        raw, gradient = output.inputs[0].copy(), before.d_output * self.trace.weight_sum
        noise = ROUNDINGS * self.eps * (self.amounts[:, None] + np.abs(gradient * raw))
        rows = np.arange(len(raw)) if self.weight is None else np.flatnonzero(self.weight)
        outputs = sample(raw.shape[1:], n, rng)[:, 0]
        found = [self.by_output(raw, k, gradient[:, k], noise[:, k]) for k in outputs]
        index = np.stack([grid.ravel() for grid in np.meshgrid(rows, outputs, indexing="ij")], axis=1)
        return raw.shape, index, Comparisons.joined(found, lambda columns: np.stack(columns, axis=1)[rows].ravel())

    def by_output(self, raw, k, gradient, noise):
        """The derivatives by one output of all rows. No row's loss depends on another row, so all are changed at once.

        Parameters
        ----------
        raw : ndarray of shape (n, n_outputs)
        k : int
        gradient, noise : ndarray of shape (n,)

        Returns
        -------
        Comparisons
            Of length n.
        """
        name = self.network.graph.output_activation

        def evaluate(moved):
            z = raw.copy()
            z[:, k] = moved
            losses, dA, delta = output_delta(self.network, self.Y, z, activation_forward(z, name), self.weight)
            signs = [np.sign(delta if dA is None else dA)]
            return Evaluation(losses, [*signs, np.sign(z)] if name in CORNERED else signs)

        return self.compare(raw[:, k], gradient, np.full(len(raw), self.step), noise, evaluate)

    def compare(self, value, gradient, step, noise, evaluate):
        """Compare derivatives with central differences.

        Parameters
        ----------
        value : ndarray of shape (k,)
            The numbers to change.
        gradient, step, noise : ndarray of shape (k,)
            The derivatives, the first steps, and the rounding errors of the loss.
        evaluate : callable
            ``evaluate(moved) -> Evaluation`` with k losses.

        Returns
        -------
        Comparisons
        """
        # at least eps^(2/3) |w|, so that w + h differs from w
        step = np.maximum(step, self.eps ** (2 / 3) * np.abs(value))
        for shrink in SHRINKING:
            high, low = value + shrink * step, value - shrink * step
            up, down = evaluate(high), evaluate(low)
            slope, floor = (up.loss - down.loss) / (high - low), noise / (shrink * step)
            gap, off = np.abs(gradient - slope), relative_error(gradient, slope, floor / self.tolerance)
            crossed = np.any([(a != b).any(axis=1) for a, b in zip(up.signs, down.signs, strict=True)], axis=0)
            agrees = off <= self.tolerance
            if shrink == SHRINKING[0]:
                difference, error, resolution, first_gap = slope, off, floor, gap
                undecided = ~agrees
            else:
                # the gap of a mistake does not shrink with the step
                closer = gap <= first_gap / 2
                found = undecided & closer & agrees
                difference, error, resolution = (
                    np.where(found, new, old) for new, old in ((slope, difference), (off, error), (floor, resolution))
                )
                undecided &= ~found & (closer | crossed)
            if not undecided.any():
                break
        return Comparisons(gradient, difference, error, resolution, undecided & crossed)


def relative_error(gradient, difference, floor):
    """The error as `Comparisons` describes it.

    Parameters
    ----------
    gradient, difference, floor : ndarray of shape (k,)

    Returns
    -------
    ndarray of shape (k,)
    """
    size = np.maximum(np.abs(gradient), np.abs(difference)) + floor
    error = np.abs(gradient - difference) / np.where(size == 0, 1, size)
    return np.where(np.isfinite(size), error, np.inf)


def sample(shape, n, rng):
    """Indices into an array: all, or `n` drawn at random, in order.

    Parameters
    ----------
    shape : tuple of int
    n : int
    rng : RandomState

    Returns
    -------
    ndarray of int of shape (k, number of dimensions)
    """
    size = int(np.prod(shape))
    picked = np.arange(size) if size <= n else np.sort(rng.choice(size, n, replace=False))
    return np.stack(np.unravel_index(picked, shape), axis=1)


def precision_of_loss(network, Y, raw, weight):
    """The machine epsilon of the losses' type.

    Parameters
    ----------
    network : Network
    Y, raw : ndarray of shape (n, n_outputs)
        Targets and raw predictions.
    weight : ndarray of shape (n,) or None

    Returns
    -------
    float
    """
    if not callable(network.loss):
        return EPS
    dtype = network.kernel_loss.checked(Y, raw, weight)[0].dtype
    return max(EPS, float(np.finfo(dtype).eps)) if dtype.kind == "f" else EPS


def rounded_amounts(network, row_loss, Y, weight):
    """The sum of the absolute terms of each row's loss; times eps, an estimate of its rounding error.

    Parameters
    ----------
    network : Network
    row_loss : ndarray of shape (n,)
    Y : ndarray of shape (n, n_outputs)
    weight : ndarray of shape (n,) or None

    Returns
    -------
    ndarray of shape (n,)
    """
    amounts = np.abs(Y).sum(axis=1)
    if network.kernel_loss not in ("squared_error", "poisson"):
        amounts += 1  # the logarithm of a probability close to one; assumed for a function too
    return np.abs(row_loss) + (amounts if weight is None else amounts * weight)


def propagated_amount(trace):
    """The same for the pre-activations and the penalty: their absolute terms, times their effect on the loss.

    A pre-activation is a sum of products, and an error in it changes the loss by delta times the error.

    Parameters
    ----------
    trace : BackpropTrace

    Returns
    -------
    float
    """
    total = abs(trace.penalty)
    for layer in trace.layers:
        terms = np.abs(layer.inputs) @ np.abs(layer.W)
        if len(layer.b):
            terms += np.abs(layer.b)
        total += float((np.abs(layer.delta) * terms).sum())
    for operation in trace.operations:
        if operation.kind not in ("dense", "activation"):
            total += float(np.abs(operation.d_output * operation.output).sum())
    return total


def cornered():
    """The activations with two slopes at zero.

    Returns
    -------
    frozenset of str
    """
    z, one = np.array([[-1e-9], [1e-9]]), np.ones((2, 1))
    slopes = {name: activation_backward(one, activation_forward(z, name), name, Z=z) for name in ACTIVATIONS}
    return frozenset(name for name, slope in slopes.items() if abs(slope[1, 0] - slope[0, 0]) > 1e-6)


CORNERED = cornered()
CORNERED_NUMBERS = frozenset(ACTIVATIONS[name] for name in CORNERED)
