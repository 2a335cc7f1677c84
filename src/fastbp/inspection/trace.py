"""Every number of one forward and one backward pass, operation by operation.

    forward     z = a_prev W + b        a = f(z)
    backward    delta = dL/dz = dL/da f'(z)         dL/da_prev = delta W^T
                dW = a_prev^T delta + alpha W / S   db = column sums of delta

The program that trains computes them, compiled so that every buffer keeps its numbers; nothing is computed here but
products with a scalar.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import sparray, spmatrix

from fastbp.data import dense
from fastbp.estimators.base import BaseMLP
from fastbp.inspection._report import norm, number, table
from fastbp.inspection._subject import dense_problem
from fastbp.kernels import activation_backward, activation_forward, loss_on_mean, loss_on_raw
from fastbp.kernels.data import Data
from fastbp.kernels.linearization import Linearization, mirrors_of
from fastbp.kernels.program import INSPECTION
from fastbp.network import Network
from fastbp.penalty import penalty_gradient


@dataclass(frozen=True, eq=False, repr=False)
class OperationTrace:
    """What went through one operation of the network's graph, forward and backward.

    Attributes
    ----------
    number : int
        1 for the first operation.
    kind : str
        dense, activation, add or scale.
    layer : Layer
        The layer that the operation belongs to.
    inputs : list of ndarray of shape (n, width)
        What it reads: outputs of other operations, or X.
    output : ndarray of shape (n, width)
    d_output : ndarray of shape (n, width) or None
        Derivative by `output`. None for an output activation that the loss contains: `d_output` of the operation before
        it comes from the loss directly.
    parameters : dict of str to ndarray
        Copies of its blocks, by their names in ``Network.blocks``.
    gradients : dict of str to ndarray
        Derivatives by them, the penalty's share included.
    """

    number: int
    kind: str
    layer: object
    inputs: list[NDArray[Any]]
    output: NDArray[Any]
    d_output: NDArray[Any] | None
    parameters: dict[str, NDArray[Any]]
    gradients: dict[str, NDArray[Any]]

    def __repr__(self) -> str:
        shape = " + ".join(str(array.shape[1]) for array in self.inputs)
        return (
            f"<OperationTrace {self.number}: {self.kind}, {shape} -> {self.output.shape[1]}, {len(self.output)} rows>"
        )


@dataclass(frozen=True, eq=False, repr=False)
class LayerTrace:
    """What went through one fully connected layer; see `BackpropTrace` for what the derivatives are of.

    Attributes
    ----------
    number : int
        1 for the first layer after the input.
    activation : str
    inputs : ndarray of shape (n, fan_in)
        The output of the layer before, or X.
    W, b : ndarray of shape (fan_in, fan_out), (fan_out,)
        Copies. Without a bias, b and db have shape (0,).
    z, a : ndarray of shape (n, fan_out)
        ``inputs @ W + b``, and the activation of it.
    f_prime : ndarray of shape (n, fan_out)
        f'(z). A softmax has a Jacobian ``diag(a) - a a^T`` for each row; here stands its diagonal, ``a (1 - a)``.
    dA : ndarray of shape (n, fan_out) or None
        Derivative by `a`. None in an output layer whose `delta` does not come through it: where loss and activation are
        a canonical pair, ``delta = a - y`` times the row's share, or where the loss is a function, which gives its
        gradient by the raw prediction, `z`.
    delta : ndarray of shape (n, fan_out)
        Derivative by `z`: ``dA * f_prime``, for softmax the product with the whole Jacobian.
    dW, db : ndarray of shape (fan_in, fan_out), (fan_out,)
        Derivatives by the parameters.
    dW_data : ndarray of shape (fan_in, fan_out)
        `dW` without the share of the penalty: ``inputs.T @ delta``.
    """

    number: int
    activation: str
    inputs: NDArray[Any]
    W: NDArray[Any]
    b: NDArray[Any]
    z: NDArray[Any]
    a: NDArray[Any]
    f_prime: NDArray[Any]
    dA: NDArray[Any] | None
    delta: NDArray[Any]
    dW: NDArray[Any]
    db: NDArray[Any]
    dW_data: NDArray[Any]

    @property
    def norms(self) -> dict[str, float]:
        """dict of str to float: the Frobenius norm of z, a, f_prime, delta, W, b, dW and db."""
        return {name: norm(getattr(self, name)) for name in ("z", "a", "f_prime", "delta", "W", "b", "dW", "db")}

    def __repr__(self) -> str:
        return f"<LayerTrace {self.number}: {'-'.join(map(str, self.W.shape))}, {self.activation}, {len(self.z)} rows>"


@dataclass(frozen=True, eq=False, repr=False)
class BackpropTrace:
    """A forward and a backward pass, kept; ``print(trace)`` shows the norms layer by layer.

    All derivatives are those of the one number `loss`, the mean: each row's delta holds the row's share, ``1 / n`` or
    its sample weight by `weight_sum`. Multiplied by `weight_sum` and divided by the row's weight, it is the delta of a
    textbook that looks at one row at a time.

    Parameters
    ----------
    layers : list of LayerTrace
        The fully connected layers, first to last.
    operations : list of OperationTrace
        Every operation of the network's graph, first to last.
    loss : float
        As `Network.loss_and_gradient` returns it, the penalty included.
    penalty : float
        The share of the penalty in `loss`.
    row_loss : ndarray of shape (n,), float64
        Loss of each row, times its sample weight.
    weight_sum : float
        Sum of the sample weights, or the number of rows.
    gradient : ndarray of shape (n_params,)
        Of `loss` by all parameters, in the layout of the network's.
    dX : ndarray of shape (n, n_features)
        Of `loss` by the input.
    network : str
        The network's description.
    """

    layers: list[LayerTrace]
    operations: list[OperationTrace]
    loss: float
    penalty: float
    row_loss: NDArray[Any]
    weight_sum: float
    gradient: NDArray[Any]
    dX: NDArray[Any]
    network: str

    def __repr__(self) -> str:
        return f"<BackpropTrace of {len(self.row_loss)} rows through {self.network}>"

    def __str__(self) -> str:
        share = f", {self.penalty:.6g} of it the penalty" if self.penalty else ""
        kinds = {operation.kind for operation in self.operations}
        lines, legend = self._table_of_layers() if kinds <= {"dense", "activation"} else self._table_of_operations()
        return f"{self.network}\n{len(self.row_loss)} row(s), loss {self.loss:.6g}{share}\n\n{lines}\n\n{legend}"

    def _table_of_layers(self):
        header = ("layer", "shape", "activation", "|z|", "|a|", "mean f'(z)", "|delta|", "|W|", "|dW|", "|b|", "|db|")
        rows = []
        for layer in self.layers:
            n, shape = layer.norms, " x ".join(map(str, layer.W.shape))
            slope = layer.f_prime.mean(dtype=np.float64)
            values = (n["z"], n["a"], slope, n["delta"], n["W"], n["dW"], n["b"], n["db"])
            rows.append((layer.number, shape, layer.activation, *map(number, values)))
        legend = "|x|: Frobenius norm. delta = dL/dz, dW = dL/dW and db = dL/db of the mean loss L."
        return table(header, rows), legend

    def _table_of_operations(self):
        header = ("operation", "kind", "width", "|output|", "|d output|", "parameters", "|p|", "|dp|")
        rows = []
        for op in self.operations:
            backward = "-" if op.d_output is None else number(norm(op.d_output))
            row = (op.number, op.kind, op.output.shape[1], number(norm(op.output)), backward)
            names = ", ".join(op.parameters)
            norms = [", ".join(number(norm(a)) for a in of.values()) for of in (op.parameters, op.gradients)]
            rows.append((*row, names or "-", *(text or "-" for text in norms)))
        return table(header, rows), "|x|: Frobenius norm. d output and dp are derivatives of the mean loss."


def backprop_trace(
    net_or_estimator: Network | BaseMLP,
    X: ArrayLike | sparray | spmatrix,
    y: ArrayLike,
    sample_weight: ArrayLike | None = None,
) -> BackpropTrace:
    """Backpropagation with every intermediate result kept.

    Parameters
    ----------
    net_or_estimator : Network, or fitted MLPClassifier or MLPRegressor
        Any activations and any loss, one that is a function included. It is not changed.
    X : array-like or sparse matrix of shape (n, n_features)
        A few rows: of each layer, some arrays of shape (n, fan_out) are kept. A sparse matrix is made dense.
    y : array-like of shape (n,) or (n, n_outputs)
        For a network as `Network.loss_and_gradient` takes it, for an estimator as its `fit` does.
    sample_weight : array-like of shape (n,) or None

    Returns
    -------
    BackpropTrace
        In the network's dtype; its `loss` and `gradient` are those of `Network.loss_and_gradient`, to rounding.

    Raises
    ------
    NotFittedError
        For an estimator that is not fitted.
    TypeError, ValueError
        Naming the argument that does not fit.

    References
    ----------
    Rumelhart, Hinton and Williams (1986), Learning representations by back-propagating errors, Nature 323.

    Examples
    --------
    >>> import numpy as np
    >>> from fastbp import Network
    >>> from fastbp.inspection import backprop_trace
    >>> network = Network([2, 3, 1], "tanh", random_state=0)
    >>> X, y = np.array([[0.5, -1.0], [2.0, 0.3]]), np.array([1.0, 0.0])
    >>> trace = backprop_trace(network, X, y)
    >>> hidden, output = trace.layers
    >>> bool(np.allclose(hidden.delta, (output.delta @ output.W.T) * (1 - hidden.a**2)))
    True
    >>> bool(np.allclose(trace.gradient, network.loss_and_gradient(X, y)[1]))
    True
    """
    network, rows, Y, weight = dense_problem(net_or_estimator, X, y, sample_weight)
    weight_sum = float(len(rows) if weight is None else weight.sum())
    scale = network.dtype.type(weight_sum)
    kept = passed_forward(network, rows)
    row_loss, dA, delta = output_delta(network, Y, *raw_and_output(network, kept), weight)
    gradient, dX = np.zeros(network.n_params, network.dtype), np.empty_like(rows)
    kept.pull((delta if dA is None else dA) / scale, gradient, dX, keep=True)
    from_data = gradient.copy()
    for part, factor in network.graph.penalized:
        gradient[part] += penalty_gradient(network.alpha * factor, network.l1 * factor, network.params[part]) / scale
    operations = operation_traces(network, kept, gradient)
    layers = layer_traces(network, operations, network.split_blocks(from_data))
    penalty = network.penalty() / weight_sum
    loss = float(row_loss.sum()) / weight_sum + penalty
    return BackpropTrace(layers, operations, loss, penalty, row_loss, weight_sum, gradient, dX, repr(network))


def passed_forward(network: Any, X: Any) -> Linearization:
    """The forward pass with all values kept, of what the loss is given.

    Parameters
    ----------
    network : Network
    X : ndarray of shape (n, n_features)

    Returns
    -------
    Linearization
    """
    program = network.program(INSPECTION, network.gives_loss_raw_output)
    return Linearization(program, network.params, mirrors_of(program, network.params), Data(X))


def raw_and_output(network: Any, kept: Any) -> tuple[Any, Any]:
    """The network's output before and after the output activation.

    Parameters
    ----------
    network : Network
    kept : Linearization

    Returns
    -------
    z, a : ndarray of shape (n, n_outputs)
    """
    z = kept.value(kept.program.raw_output)
    return z, activation_forward(z, network.graph.output_activation)


def operation_traces(network, kept, gradient):
    """The traces of all operations.

    Parameters
    ----------
    network : Network
    kept : Linearization
        After a pull that kept the gradients.
    gradient : ndarray of shape (n_params,)
        Of the mean loss.

    Returns
    -------
    list of OperationTrace
    """
    blocks, gradients = network.blocks, network.split_blocks(gradient)
    operations, traces = network.graph.operations, []
    n_kept = len(kept.program.operations)
    for number_, op in enumerate(operations, 1):
        is_kept = number_ <= n_kept
        inputs = [kept.value(node) for node in (op.input, op.input2) if node >= 0]
        name = network.graph.output_activation
        output = kept.value(op.output) if is_kept else activation_forward(inputs[0], name)
        own = network.graph.blocks_of(op)
        traces.append(
            OperationTrace(
                number_,
                op.kind,
                op.layer,
                inputs,
                output,
                kept.grad(op.output) if is_kept else None,
                {block.name: blocks[block.name].copy() for block in own},
                {block.name: gradients[block.name] for block in own},
            )
        )
    return traces


def layer_traces(network, operations, from_data):
    """The traces of the fully connected layers, each with its activation.

    Parameters
    ----------
    network : Network
    operations : list of OperationTrace
        Of all operations of the graph.
    from_data : dict of str to ndarray
        The gradients without the share of the penalty.

    Returns
    -------
    list of LayerTrace
    """
    graph, traces = network.graph, []
    trace_of = {op.output: trace for op, trace in zip(graph.operations, operations, strict=True)}
    for (dense_op, after), activation in zip(graph.dense_operations, graph.own_activations, strict=True):
        op = trace_of[dense_op.output]
        last = op if after is None else trace_of[after.output]
        z, a = op.output, last.output
        names = list(op.parameters)
        none = np.empty(0, network.dtype)
        traces.append(
            LayerTrace(
                len(traces) + 1,
                activation,
                op.inputs[0],
                op.parameters[names[0]],
                op.parameters[names[1]] if len(names) > 1 else none,
                z,
                a,
                local_slope(z, a, activation),
                last.d_output,
                op.d_output,
                op.gradients[names[0]],
                op.gradients[names[1]] if len(names) > 1 else none,
                from_data[names[0]],
            )
        )
    return traces


def output_delta(network: Any, Y: Any, z: Any, a: Any, weight: Any) -> tuple[Any, Any, Any]:
    """The loss of each row, and its gradient by the network's output.

    Parameters
    ----------
    network : Network
    Y : ndarray of shape (n, n_targets)
    z, a : ndarray of shape (n, n_outputs)
        Pre-activation and output of the last layer.
    weight : ndarray of shape (n,) or None

    Returns
    -------
    row_loss : ndarray of shape (n,), float64
    dA, delta : ndarray of shape (n, n_outputs) or None
        By `a` and by `z`: the one that comes from the loss directly, and None. All are multiplied by the weights.
    """
    if callable(network.loss):
        row_loss, delta = network.kernel_loss.checked(Y, z, weight)
        return row_loss.astype(np.float64), None, dense("the gradient", delta, network.dtype)
    is_raw = network.gives_loss_raw_output
    constants = network.loss_constants
    if is_raw:
        row_loss, gradient = loss_on_raw(Y, z, network.kernel_loss, constants)
    else:
        row_loss, gradient = loss_on_mean(Y, a, network.kernel_loss, constants)
    if weight is not None:
        row_loss *= weight
        gradient *= weight[:, None].astype(network.dtype)
    return row_loss, *((None, gradient) if is_raw else (gradient, None))


def local_slope(z, a, activation):
    """f'(z), for softmax the diagonal of the Jacobian.

    Parameters
    ----------
    z, a : ndarray of shape (n, m)
    activation : str

    Returns
    -------
    f_prime : ndarray of shape (n, m)
    """
    # a (1 - a) is the derivative of the logistic function, written with its output
    return activation_backward(np.ones_like(a), a, "logistic" if activation == "softmax" else activation, Z=z)
