"""Gradient norms, weight norms and dead units of each layer during training."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import sparse
from scipy.sparse import sparray, spmatrix

from fastbp.data import checked_csr
from fastbp.inspection._arguments import check_integer
from fastbp.inspection._report import norm, number, table
from fastbp.inspection.trace import backprop_trace, local_slope
from fastbp.kernels import activation_forward
from fastbp.training.state import TrainingState

#: Largest number of rows of the training data to measure on.
PROBE_ROWS = 256

#: A unit is saturated on a row where its slope is below this fraction of its slope at zero.
SATURATED = 0.05

#: A layer's gradient vanishes when its root mean square is below this fraction of the output layer's.
VANISHING = 1e-3

#: It explodes when its root mean square is more than this factor above the output layer's, or its norm more than this
#: factor above the norm of the layer's weights: where outputs grow from layer to layer, all gradients explode together.
EXPLODING = 1e3

#: The quantities that are measured for each layer
QUANTITIES = ("gradient_norms", "gradient_rms", "weight_norms", "update_ratios", "dead", "saturated")


def measured(name: Any) -> Any:
    """Make a property that returns one of the quantities as an array.

    Parameters
    ----------
    name : str

    Returns
    -------
    property
    """

    def get(flow: "GradientFlow") -> Any:
        return np.array(flow._measured[name], np.float64).reshape(len(flow.epochs), len(flow.activations))

    return property(get, doc=f"ndarray of shape (k, n_layers): {name.replace('_', ' ')}; see the class.")


class GradientFlow:
    """A callback that measures the gradients of each layer during training; `gradient_flow` makes it.

    It measures on some rows, the probe, before the first epoch, after every `every`-th and after the last.
    ``print(flow)`` shows the first and the last measurement, and `GradientFlowDisplay` draws all. A run that begins
    with the weights with which the last one ended (`partial_fit`) continues the record; any other begins a new one.

    Parameters
    ----------
    X, y, sample_weight, every
        As for `gradient_flow`.

    Attributes
    ----------
    epochs : list of int
        The epochs of the k measurements; 0 is before the first epoch.
    activations : tuple of str
        Of the layers.
    shapes : list of tuple of int
        fan_in and fan_out of the layers.
    gradient_norms : ndarray of shape (k, n_layers)
        Frobenius norm of dL/dW, where L is the mean loss without the penalty, whose gradient would hide a vanishing
        one.
    gradient_rms : ndarray of shape (k, n_layers)
        Root mean square of its elements, which does not grow with the size of the layer.
    weight_norms : ndarray of shape (k, n_layers)
        Frobenius norm of W.
    update_ratios : ndarray of shape (k, n_layers)
        Norm of the change of W since the last measurement, divided by the number of epochs and by the norm of W before;
        NaN at the first.
    dead : ndarray of shape (k, n_layers)
        Fraction of units whose slope f'(z) is zero on every row of the probe, so that their weights get no gradient.
        NaN for the output layer.
    saturated : ndarray of shape (k, n_layers)
        Fraction of slopes, over units and rows, that are below 0.05 times the slope at zero: for tanh, where
        ``|a| > 0.975``. Always 0 for relu, leaky_relu and identity, which do not saturate. NaN for the output layer.
    """

    X: Any
    y: ArrayLike | None
    sample_weight: ArrayLike | None
    every: int
    epochs: list[int]
    activations: tuple[str, ...]
    shapes: list[tuple[int, ...]]

    def __init__(
        self,
        X: ArrayLike | sparray | spmatrix | None = None,
        y: ArrayLike | None = None,
        sample_weight: ArrayLike | None = None,
        *,
        every: int = 1,
    ) -> None:
        if (X is None) != (y is None):
            raise ValueError("X and y must be given together: the gradient depends on the targets")
        if X is None and sample_weight is not None:
            raise ValueError("sample_weight must be given together with X and y")
        check_integer("every", every)
        self.X, self.y, self.sample_weight, self.every = X, y, sample_weight, int(every)
        self._params = None
        self._begin(())

    def _begin(self, activations: Any, shapes: Any = ()) -> None:
        """Begin a new record."""
        self.epochs = []
        self.activations, self.shapes = tuple(activations), list(shapes)
        self._measured: dict[str, list[list[float]]] = {name: [] for name in QUANTITIES}
        self._epochs_before = 0

    # Methods that the estimators call

    def on_fit_begin(self, state: TrainingState) -> None:
        """Choose the probe, and measure the weights that training begins with.

        Parameters
        ----------
        state : TrainingState
        """
        network = state.network
        if self._params is not None and np.array_equal(self._params, network.params):
            self._epochs_before = self.epochs[-1]
        else:
            self._begin(network.graph.own_activations, network.graph.dense_shapes)
        given = (self.X, self.y, self.sample_weight)
        self._probe = probe(state) if self.X is None else given
        if not self.epochs:
            self._measure(network, 0)

    def on_epoch_end(self, state: TrainingState) -> bool:
        """Measure after every `every`-th epoch.

        Parameters
        ----------
        state : TrainingState

        Returns
        -------
        bool
            False: training goes on.
        """
        if state.epoch % self.every == 0:
            self._measure(state.network, self._epochs_before + state.epoch)
        return False

    def on_fit_end(self, state: TrainingState) -> None:
        """Measure after the last epoch, if it was not measured yet.

        Parameters
        ----------
        state : TrainingState
        """
        epoch = self._epochs_before + state.epoch
        if self.epochs[-1] != epoch:
            self._measure(state.network, epoch)
        self._probe = None

    def _measure(self, network: Any, epoch: Any) -> None:
        trace = backprop_trace(network, *self._probe)
        before = None if self._params is None or not self.epochs else network.split(self._params)[0]
        elapsed = epoch - self.epochs[-1] if self.epochs else 0
        rows: dict[str, list[float]] = {name: [] for name in QUANTITIES}
        for i, layer in enumerate(trace.layers):
            size, hidden = norm(layer.dW_data), layer is not trace.layers[-1]
            rows["gradient_norms"].append(size)
            rows["gradient_rms"].append(size / np.sqrt(layer.W.size))
            rows["weight_norms"].append(norm(layer.W))
            rows["update_ratios"].append(np.nan if before is None else change(layer.W, before[i]) / elapsed)
            rows["dead"].append(dead_share(layer) if hidden else np.nan)
            rows["saturated"].append(saturated_share(layer) if hidden else np.nan)
        for name, values in rows.items():
            self._measured[name].append(values)
        self.epochs.append(epoch)
        self._params = network.params.copy()

    # Results

    gradient_norms: NDArray[Any] = measured("gradient_norms")
    gradient_rms: NDArray[Any] = measured("gradient_rms")
    weight_norms: NDArray[Any] = measured("weight_norms")
    update_ratios: NDArray[Any] = measured("update_ratios")
    dead: NDArray[Any] = measured("dead")
    saturated: NDArray[Any] = measured("saturated")

    @property
    def relative_gradient(self) -> NDArray[Any]:
        """ndarray of shape (n_layers,): `gradient_rms` at the last measurement, divided by that of the output layer.

        NaN where both are zero or not finite.
        """
        if not self.epochs:
            return np.full(len(self.activations), np.nan)
        last = self.gradient_rms[-1]
        with np.errstate(divide="ignore", invalid="ignore"):
            return last / last[-1]

    @property
    def vanishing(self) -> tuple[int, ...]:
        """tuple of int: the layers, counted from 1, whose gradient is below 1/1000 of the output layer's."""
        return tuple((np.flatnonzero(self.relative_gradient < VANISHING) + 1).tolist())

    @property
    def exploding(self) -> tuple[int, ...]:
        """tuple of int: the layers whose gradient is above 1000 times the output layer's or the layer's weights, or is
        not finite."""
        if not self.epochs:
            return ()
        gradient, weights = self.gradient_norms[-1], self.weight_norms[-1]
        wild = (self.relative_gradient > EXPLODING) | (gradient > EXPLODING * weights) | ~np.isfinite(gradient)
        return tuple((np.flatnonzero(wild) + 1).tolist())

    def __repr__(self) -> str:
        return f"<GradientFlow: {len(self.epochs)} measurement(s) of {len(self.activations)} layer(s)>"

    def __str__(self) -> str:
        if not self.epochs:
            return "GradientFlow: nothing measured yet; give it to an estimator as callbacks=flow, and fit"
        header = (
            "layer",
            "shape",
            "activation",
            "|dW| first",
            "|dW| last",
            "vs output",
            "|W| first",
            "|W| last",
            "update/epoch",
            "dead",
            "saturated",
        )
        relative, rows = self.relative_gradient, []
        gradients, weights, updates = self.gradient_norms, self.weight_norms, self.update_ratios
        for i, (shape, activation) in enumerate(zip(self.shapes, self.activations, strict=True)):
            values = (gradients[0, i], gradients[-1, i], relative[i], weights[0, i], weights[-1, i], updates[-1, i])
            shares = (percent(array[-1, i]) for array in (self.dead, self.saturated))
            rows.append((i + 1, " x ".join(map(str, shape)), activation, *map(number, values), *shares))
        hints = [
            f"layer(s) {', '.join(map(str, layers))}: the gradient {what} ({bound})"
            for layers, what, bound in (
                (self.vanishing, "vanishes", f"root mean square under {VANISHING:g} of the output layer's"),
                (
                    self.exploding,
                    "explodes",
                    f"over {EXPLODING:g} times the output layer's, or the weights",
                ),
            )
            if layers
        ]
        span = f"epochs {self.epochs[0]} to {self.epochs[-1]}, {len(self.epochs)} measurement(s)"
        return "\n".join([f"Gradient flow, {span}", "", table(header, rows), *(["", *hints] if hints else [])])


def gradient_flow(
    X: ArrayLike | sparray | spmatrix | None = None,
    y: ArrayLike | None = None,
    sample_weight: ArrayLike | None = None,
    *,
    every: int = 1,
) -> GradientFlow:
    """Make a callback that measures gradients, weights and dead units of every layer during training.

    Parameters
    ----------
    X : array-like or sparse matrix of shape (n, n_features), or None
        The rows to measure on; None for 256 evenly spaced rows of the training data, or all if there are fewer.
    y : array-like of shape (n,) or (n, n_outputs), or None
        Their targets as `Network.loss_and_gradient` takes them: class numbers for a softmax output, 0 and 1 for a
        logistic one.
    sample_weight : array-like of shape (n,) or None
    every : int
        Number of epochs between two measurements. A measurement costs about as much as an epoch on the probe.

    Returns
    -------
    GradientFlow

    Raises
    ------
    ValueError
        For X without y, or an `every` that is not a positive integer.

    Examples
    --------
    In ten layers of logistic units the gradient of the first layers vanishes:

    >>> from sklearn.datasets import load_digits
    >>> from fastbp import MLPClassifier
    >>> from fastbp.inspection import gradient_flow
    >>> X, y = load_digits(return_X_y=True)
    >>> flow = gradient_flow(every=5)
    >>> model = MLPClassifier([30] * 10, "logistic", max_iter=10, tol=0, random_state=0, callbacks=flow)
    >>> import warnings; warnings.simplefilter("ignore")
    >>> _ = model.fit(X / 16, y)
    >>> flow.epochs
    [0, 5, 10]
    >>> 1 in flow.vanishing, flow.exploding
    (True, ())
    """
    return GradientFlow(X, y, sample_weight, every=every)


def probe(state: Any) -> Any:
    """At most 256 evenly spaced rows of those that are trained on.

    Parameters
    ----------
    state : TrainingState

    Returns
    -------
    X, targets, sample_weight
    """
    rows = state.train_rows
    rows = np.arange(state.X.shape[0]) if rows is None else np.sort(rows)
    weight = state.sample_weight
    if weight is not None:
        rows = rows[np.asarray(weight)[rows] > 0]
    if len(rows) > PROBE_ROWS:
        rows = rows[np.linspace(0, len(rows) - 1, PROBE_ROWS).astype(int)]
    X = checked_csr("X", state.X) if sparse.issparse(state.X) else state.X
    return X[rows], state.targets[rows], None if weight is None else np.asarray(weight)[rows]


def change(W: Any, before: Any) -> float:
    """Norm of the difference, divided by the norm before.

    Parameters
    ----------
    W, before : ndarray of shape (fan_in, fan_out)

    Returns
    -------
    float
    """
    size = norm(before)
    return norm(W - before) / size if size else np.nan


def dead_share(layer: Any) -> float:
    """Fraction of units whose slope is zero on every row.

    Parameters
    ----------
    layer : LayerTrace

    Returns
    -------
    float
    """
    return float((layer.f_prime == 0).all(axis=0).mean())


def saturated_share(layer: Any) -> float:
    """Fraction of slopes far below the slope at zero.

    Parameters
    ----------
    layer : LayerTrace

    Returns
    -------
    float
    """
    zero = np.zeros((1, 1), layer.z.dtype)
    at_zero = local_slope(zero, activation_forward(zero, layer.activation), layer.activation)
    return float((np.abs(layer.f_prime) < SATURATED * at_zero).mean())


def percent(share: Any) -> str:
    """A fraction in percent, as text.

    Parameters
    ----------
    share : float

    Returns
    -------
    str
    """
    return "-" if np.isnan(share) else f"{share:.0%}"
