"""Every number of one forward and one backward pass, layer by layer.

    forward     z = a_prev W + b        a = f(z)
    backward    delta = dL/dz = dL/da f'(z)         dL/da_prev = delta W^T
                dW = a_prev^T delta + alpha W / S   db = column sums of delta

The kernels that train compute them, one door after the other; nothing is computed here but products with a scalar.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import sparray, spmatrix

from fastbp.data import dense
from fastbp.inspection._report import norm, number, table
from fastbp.inspection._subject import dense_problem
from fastbp.kernels import activation_backward, dense_backward, dense_forward, loss_gradient, loss_rows
from fastbp.kernels.dispatch import LINKS
from fastbp.penalty import l2_gradient


@dataclass(frozen=True, eq=False, repr=False)
class LayerTrace:
    """What went through one layer, forward and backward; see `BackpropTrace` for what the derivatives are of.

    Attributes
    ----------
    number : int
        1 for the first layer after the input.
    activation : str
    inputs : ndarray of shape (n, fan_in)
        The output of the layer before, or X.
    W, b : ndarray of shape (fan_in, fan_out), (fan_out,)
        Copies.
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
    inputs: NDArray
    W: NDArray
    b: NDArray
    z: NDArray
    a: NDArray
    f_prime: NDArray
    dA: NDArray | None
    delta: NDArray
    dW: NDArray
    db: NDArray
    dW_data: NDArray

    @property
    def norms(self) -> dict[str, float]:
        """dict of str to float: the Frobenius norm of z, a, f_prime, delta, W, b, dW and db."""
        return {name: norm(getattr(self, name)) for name in ("z", "a", "f_prime", "delta", "W", "b", "dW", "db")}

    def __repr__(self):
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
        First to last.
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
    loss: float
    penalty: float
    row_loss: NDArray
    weight_sum: float
    gradient: NDArray
    dX: NDArray
    network: str

    def __repr__(self):
        return f"<BackpropTrace of {len(self.row_loss)} rows through {self.network}>"

    def __str__(self):
        header = ("layer", "shape", "activation", "|z|", "|a|", "mean f'(z)", "|delta|", "|W|", "|dW|", "|b|", "|db|")
        rows = []
        for layer in self.layers:
            n, shape = layer.norms, " x ".join(map(str, layer.W.shape))
            slope = layer.f_prime.mean(dtype=np.float64)
            values = (n["z"], n["a"], slope, n["delta"], n["W"], n["dW"], n["b"], n["db"])
            rows.append((layer.number, shape, layer.activation, *map(number, values)))
        share = f", {self.penalty:.6g} of it the penalty" if self.penalty else ""
        return (
            f"{self.network}\n{len(self.row_loss)} row(s), loss {self.loss:.6g}{share}\n\n{table(header, rows)}\n\n"
            "|x|: Frobenius norm. delta = dL/dz, dW = dL/dW and db = dL/db of the mean loss L."
        )


def backprop_trace(
    net_or_estimator,
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
    network, X, Y, weight = dense_problem(net_or_estimator, X, y, sample_weight)
    weight_sum = float(len(X) if weight is None else weight.sum())

    passed = forward_pass(network, X)
    row_loss, dA, delta = output_delta(network, Y, *passed[-1][1:], weight)
    scale = network.dtype.type(weight_sum)
    dA, delta = (None if array is None else array / scale for array in (dA, delta))

    gradient = np.empty(network.n_params, network.dtype)
    dWs, dbs = network.split(gradient)
    layers = []
    for i in reversed(range(len(passed))):
        (inputs, z, a), activation = passed[i], network.activations[i]
        W, b = network.coefs[i].copy(), network.intercepts[i].copy()
        if delta is None:
            # forward: a = f(z)
            delta = activation_backward(dA, a, activation, Z=z)
        # forward: z = inputs W + b
        d_inputs, dW_data, _ = dense_backward(delta, inputs, W, z, "identity", db=dbs[i])
        dWs[i][...] = dW_data + l2_gradient(network.alpha, W) / scale
        slope = local_slope(z, a, activation)
        layers.insert(0, LayerTrace(i + 1, activation, inputs, W, b, z, a, slope, dA, delta, dWs[i], dbs[i], dW_data))
        dA, delta = d_inputs, None
    penalty = network.penalty() / weight_sum
    loss = float(row_loss.sum()) / weight_sum + penalty
    return BackpropTrace(layers, loss, penalty, row_loss, weight_sum, gradient, dA, repr(network))


def forward_pass(network, inputs, first=0):
    """Inputs, pre-activations and outputs of the layers.

    Parameters
    ----------
    network : Network
    inputs : ndarray of shape (n, fan_in)
        Of the layer number `first`, counted from 0.
    first : int

    Returns
    -------
    list of (inputs, z, a)
        From that layer on.
    """
    passed = []
    layers = list(zip(network.coefs, network.intercepts, network.activations, strict=True))
    for W, b, activation in layers[first:]:
        z = np.empty((len(inputs), W.shape[1]), network.dtype)
        a = dense_forward(inputs, W, b, activation, Z=z)
        passed.append((inputs, z, a))
        inputs = a
    return passed


def output_delta(network, Y, z, a, weight):
    """The loss of each row, and its gradient by the network's output.

    Parameters
    ----------
    network : Network
    Y, z, a : ndarray of shape (n, n_outputs)
        Targets, and pre-activation and output of the last layer.
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
    canonical = network.activations[-1] == LINKS[network.kernel_loss]
    # of a canonical pair, loss' and f' cancel to a - y, the derivative of half the squared error
    gradient = loss_gradient(Y, a, "squared_error" if canonical else network.kernel_loss)
    row_loss = loss_rows(Y, a, network.kernel_loss)
    if weight is not None:
        row_loss *= weight
        gradient *= weight[:, None].astype(network.dtype)
    return row_loss, *((None, gradient) if canonical else (gradient, None))


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
