"""A multi-layer perceptron without an estimator: a table of layers and one flat vector of parameters.

Objects hold integers, functions hold floats. A `Network` knows sizes, offsets and names; its parameters, and every
gradient and optimizer moment that belongs to it, are each one flat array in the same layout::

    W_1 (row by row), W_2, ..., W_L, b_1, b_2, ..., b_L

so that a copy of the weights is one copy, an average is one axpy, and L-BFGS needs no packing.
"""

from collections.abc import Callable, Sequence
from copy import copy
from inspect import signature
from itertools import pairwise

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray
from scipy.sparse import sparray, spmatrix

from fastbp.activations import Activation, name_of
from fastbp.checks import (
    check_memory,
    checked_alpha,
    checked_dtype,
    checked_layer_sizes,
    checked_n_threads,
    checked_weight,
    checked_X,
    checked_y,
    hidden_activations,
    kernel_loss,
)
from fastbp.data import make_data, real_array
from fastbp.derivatives import SLICE_ROWS, Differentiable
from fastbp.initializers import INITIALIZERS, legacy_generator
from fastbp.kernels._doors import check_name, check_shape
from fastbp.kernels.dispatch import ACTIVATIONS
from fastbp.kernels.plan import Plan
from fastbp.kernels.predictor import Predictor
from fastbp.kernels.training import TrainingLoop
from fastbp.losses import Loss
from fastbp.penalty import l2_gradient, l2_penalty
from fastbp.threads import STARTED_FLOPS_PER_THREAD, threads_for
from fastbp.versions import note_version, warn_if_other_version

#: A thread with fewer rows of a batch would not fill a register block.
ROWS_PER_THREAD = 8


class Network(Differentiable):
    """A fully connected network: ``a_l = f_l(a_(l-1) W_l + b_l)``.

    Parameters
    ----------
    layer_sizes : sequence of int
        Units of every layer, input and output included; at least two.
    activation : str, Activation, or sequence of them
        Of the hidden layers, one for all or one each: names, or objects of ``fastbp.activations``. The (first) one also
        decides the bound of the initial parameters of every layer, even where there is no hidden layer.
    output_activation : str or Activation
        identity, logistic, softmax, exp, or any other activation.
    loss : {"squared_error", "log_loss", "poisson"}, Loss or callable
        log_loss is the multiclass one for a softmax output, else the binary one summed over the outputs. A function
        ``loss(y_true, raw_prediction, sample_weight) -> (loss, gradient)`` gives the loss of each row and its
        derivative by the output before the output activation; see `fastbp.losses.FunctionLoss`.
    alpha : float
        Strength of the L2 penalty on the weights (not on the biases).
    dtype : float32 or float64
        Of the parameters and of all arithmetic.
    random_state : int, RandomState, Generator or None
        For the initial parameters. A Generator is drawn from through ``RandomState(generator.bit_generator)``.
    initializer : str or None
        A name in ``fastbp.initializers.INITIALIZERS``; None leaves the parameters to be filled in by you.
    n_threads : int or None
        At most so many threads; None for what the process may use, within the limits of ``OMP_NUM_THREADS``,
        threadpoolctl and joblib. Results do not depend on it.

    Attributes
    ----------
    params : ndarray of shape (n_params,)
        The flat parameters. Edit in place, or assign: assignment copies the values.
    coefs, intercepts : list of ndarray
        Views into `params`, of shapes (fan_in, fan_out) and (fan_out,).
    layer_sizes : tuple of int
    n_params : int

    Examples
    --------
    Gradient descent on a table of numbers:

    >>> import numpy as np
    >>> from fastbp import Network
    >>> rng = np.random.default_rng(0)
    >>> X = rng.normal(size=(200, 2))
    >>> y = X[:, :1] * X[:, 1:]
    >>> network = Network([2, 16, 1], activation="tanh", random_state=0)
    >>> for step in range(500):
    ...     loss, gradient = network.loss_and_gradient(X, y)
    ...     network.params -= 0.1 * gradient
    >>> bool(loss < 0.1 * np.var(y) / 2)
    True
    """

    def __init__(
        self,
        layer_sizes: Sequence[int],
        activation: str | Activation | Sequence[str | Activation] = "relu",
        output_activation: str | Activation = "identity",
        loss: str | Loss | Callable = "squared_error",
        *,
        alpha: float = 0.0,
        dtype: DTypeLike = np.float64,
        random_state: int | np.random.RandomState | np.random.Generator | None = None,
        initializer: str | None = "glorot_uniform",
        n_threads: int | None = None,
    ):
        self._define(layer_sizes, activation, output_activation, loss, alpha, dtype, n_threads)
        self._params = np.empty(self.n_params, self.dtype)
        self._bind()
        if initializer is not None:
            self.initialize(random_state, initializer)

    def _define(self, layer_sizes, activation, output_activation, loss, alpha, dtype, n_threads):
        """Everything but the parameters, checked."""
        self.layer_sizes = checked_layer_sizes(layer_sizes)
        hidden, self.hidden_activation = hidden_activations(activation, len(self.layer_sizes) - 2)
        self.activations = (*hidden, name_of(output_activation))
        self.loss = copy(loss) if isinstance(loss, Loss) else loss
        self.kernel_loss = kernel_loss(loss, self.activations[-1])
        self.alpha = checked_alpha(alpha)
        self.dtype = checked_dtype(dtype)
        self.n_threads = checked_n_threads(n_threads)
        check_memory(self.layer_sizes, self.dtype)
        self.layers, self.n_coefs, self.n_params = layer_table(self.layer_sizes, self.activations)

    def _bind(self):
        """Make what points into the flat vector: the views, and the compiled forward pass."""
        self.coefs, self.intercepts = self.split(self._params)
        self._predictor = Predictor(self.layers, self._params)
        self._raw_predictor = None  # made when it is needed

    def initialize(
        self,
        random_state: int | np.random.RandomState | np.random.Generator | None = None,
        initializer: str = "glorot_uniform",
    ):
        """Draw new parameters.

        Parameters
        ----------
        random_state : int, RandomState, Generator or None
        initializer : str
            A name in ``fastbp.initializers.INITIALIZERS``.
        """
        rng = legacy_generator(random_state)
        check_name("initializer", initializer, INITIALIZERS)
        draw = INITIALIZERS[initializer]
        for W, b in zip(self.coefs, self.intercepts, strict=True):
            W[...], b[...] = draw(*W.shape, self.hidden_activation, rng)

    @property
    def params(self) -> NDArray:
        """ndarray of shape (n_params,): the flat parameters."""
        return self._params

    @params.setter
    def params(self, values: ArrayLike):
        if values is not self._params:
            values = real_array("params", values)
            if values.shape != (self.n_params,):
                raise ValueError(f"params must have shape ({self.n_params},), got {values.shape}")
            self._params[...] = values

    def split(self, flat: NDArray) -> tuple[list[NDArray], list[NDArray]]:
        """Views of a flat vector in the parameters' layout, such as a gradient.

        Parameters
        ----------
        flat : array-like of shape (n_params,)
            The views are into it, if it is an ndarray.

        Returns
        -------
        coefs, intercepts : list of ndarray
        """
        flat = check_shape("flat", np.asarray(flat), (self.n_params,))
        coefs = [flat[c : c + i * o].reshape(i, o) for i, o, c, _, _ in self.layers]
        intercepts = [flat[b : b + o] for _, o, _, b, _ in self.layers]
        return coefs, intercepts

    @property
    def n_outputs(self) -> int:
        """int: units of the output layer."""
        return self.layer_sizes[-1]

    def flops(self, n_rows: int, backward: bool = True) -> int:
        """Floating-point operations of one pass over `n_rows` rows: 2 for each weight and row forward, and 4
        backward, less the unneeded gradient of the input.

        Parameters
        ----------
        n_rows : int
        backward : bool
            Whether the backward pass counts.
        """
        weights = [i * o for i, o in pairwise(self.layer_sizes)]
        return n_rows * (6 * sum(weights) - 2 * weights[0] if backward else 2 * sum(weights))

    def with_loss(self, loss: str | Loss | Callable) -> "Network":
        """The same network, parameters shared, with another loss.

        Parameters
        ----------
        loss : str, Loss or callable
            As for the constructor.

        Returns
        -------
        Network
            To edit the parameters of one is to edit those of the other.
        """
        other = object.__new__(Network)
        other.__dict__.update(self.__dict__)
        other.loss = copy(loss) if isinstance(loss, Loss) else loss
        other.kernel_loss = kernel_loss(loss, self.activations[-1])
        return other

    def training_loop(self, data, batch_size, gathers=False, n_threads=None):
        """The training loop of the network on a data set, which also gives the full-batch gradient.

        Parameters
        ----------
        data : Data
        batch_size : int
            The largest batch; of a full-batch gradient, the rows that go through the net at once.
        gathers : bool
            Whether batches are picked through an index (else they are slices of the data).
        n_threads : int or None
            At most so many threads; None for the network's `n_threads`.

        Returns
        -------
        TrainingLoop
        """
        n_threads = threads_for(self.flops(batch_size), n_threads or self.n_threads)
        n_threads = min(n_threads, -(-batch_size // ROWS_PER_THREAD))
        layers = self.layers
        if callable(self.loss):  # a function sees the output before its activation, and gives the gradient by it
            self.kernel_loss.check_weights(data)
            layers = linear_output(layers)
        return TrainingLoop(Plan(layers, self._params, self.kernel_loss, data, batch_size, gathers, n_threads))

    def forward(self, X: ArrayLike | sparray | spmatrix) -> NDArray:
        """The network's output.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n, n_features)

        Returns
        -------
        A : ndarray of shape (n, n_outputs), of the network's dtype
        """
        X = self._check_X(X)
        return self.forward_unchecked(X)

    def raw_prediction(self, X: ArrayLike | sparray | spmatrix) -> NDArray:
        """The network's output before the output activation.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n, n_features)

        Returns
        -------
        Z : ndarray of shape (n, n_outputs), of the network's dtype
        """
        return self.forward_unchecked(self._check_X(X), raw=True)

    def forward_unchecked(self, X, raw=False):
        """`forward`, or `raw_prediction`, for an X that was looked at already.

        Parameters
        ----------
        X : ndarray or sparse matrix of shape (n, n_features)
            Of float32 or float64.
        raw : bool
            Whether to leave out the output activation.

        Returns
        -------
        A : ndarray of shape (n, n_outputs)
        """
        return self.forward_data(make_data(X, None, None, self.n_outputs, self.dtype), raw)

    def forward_data(self, data, raw=False):
        """`forward`, or `raw_prediction`, of the rows of a `Data`.

        Parameters
        ----------
        data : Data
        raw : bool
            Whether to leave out the output activation.

        Returns
        -------
        A : ndarray of shape (n, n_outputs)
        """
        predictor = self._predictor
        if raw:
            predictor = self._raw_predictor
            if predictor is None:  # two threads may make one each, which are alike
                predictor = self._raw_predictor = Predictor(linear_output(self.layers), self._params)
        out = np.empty((data.n_rows, self.n_outputs), self.dtype)
        if data.n_rows:
            flops = self.flops(data.n_rows, backward=False)
            few = flops < STARTED_FLOPS_PER_THREAD  # not even worth asking what the machine offers
            n_threads = 1 if few else threads_for(flops, self.n_threads, STARTED_FLOPS_PER_THREAD)
            predictor(data, out, n_threads)
        return out

    def loss_and_gradient(
        self,
        X: ArrayLike | sparray | spmatrix,
        y: ArrayLike | sparray | spmatrix,
        sample_weight: ArrayLike | None = None,
    ) -> tuple[float, NDArray]:
        """The mean loss and its gradient, by one forward and one backward pass.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n, n_features)
        y : array-like of shape (n,) or (n, n_outputs), or sparse matrix of shape (n, n_outputs)
            For a softmax output, integers of shape (n,) are class numbers. For one output, shape (n,) is taken as
            (n, 1). A sparse matrix holds zeros and ones, and is not made dense.
        sample_weight : array-like of shape (n,) or None

        Returns
        -------
        loss : float
            Weighted mean over the rows of the loss summed over the outputs, plus
            ``alpha / 2 * sum of squared weights / sum of sample weights``. (The estimators' ``loss_`` divides the
            squared error by the number of outputs besides, as scikit-learn does.)
        gradient : ndarray of shape (n_params,)
            Of exactly this loss; see `split`.
        """
        return self.objective(self._make_data(self._check_X(X), y, sample_weight))

    def objective(self, data, loss_scale=1.0, loop=None):
        """`loss_and_gradient` on a `Data`.

        Parameters
        ----------
        data : Data
        loss_scale : float
            Factor of the data's share in the value (not in the gradient).
        loop : TrainingLoop or None
            From `training_loop`, on the same data.
        """
        weight_sum = data.weight_sum
        total, gradient = self._summed_loss(data, loop)
        gradient[: self.n_coefs] += l2_gradient(self.alpha, self._params[: self.n_coefs])
        gradient /= self.dtype.type(weight_sum)
        return (loss_scale * total + self.penalty()) / weight_sum, gradient

    def mean_loss(self, data):
        """The mean loss, without the penalty.

        Parameters
        ----------
        data : Data

        Returns
        -------
        float
        """
        return self._summed_loss(data)[0] / data.weight_sum

    def _summed_loss(self, data, loop=None):
        """(sum of the loss over the rows of a `Data`, its gradient), without the penalty."""
        if loop is None:
            n_threads = threads_for(self.flops(data.n_rows), self.n_threads, STARTED_FLOPS_PER_THREAD)
            loop = self.training_loop(data, min(SLICE_ROWS, data.n_rows), n_threads=n_threads)
        gradient = np.empty(self.n_params, self.dtype)
        return loop.loss_and_gradient(gradient), gradient

    def penalty(self) -> float:
        """The penalty, ``alpha / 2 * sum of squared weights``; the mean loss divides it by the sum of the sample
        weights."""
        return l2_penalty(self.alpha, self._params[: self.n_coefs])

    def _check_X(self, X):
        return checked_X(X, self.layer_sizes[0])

    def _make_data(self, X, y, sample_weight):
        """The `Data` of an X that was checked already, and of a y and weights that were not."""
        n = X.shape[0]
        y = checked_y(y, n, self.n_outputs, self.activations[-1])
        return make_data(X, y, checked_weight(sample_weight, n, self.dtype), self.n_outputs, self.dtype)

    def astype(self, dtype: DTypeLike) -> "Network":
        """A copy with parameters and arithmetic of another dtype.

        Parameters
        ----------
        dtype : float32 or float64

        Returns
        -------
        Network
        """
        other = object.__new__(Network)
        other._define(**{**self._definition(), "dtype": dtype})
        other._params = self._params.astype(other.dtype)
        other._bind()
        return other

    def copy(self) -> "Network":
        """An independent network with the same parameters."""
        return self.astype(self.dtype)

    def _definition(self):
        """The arguments of `_define`."""
        return {
            "layer_sizes": self.layer_sizes,
            "activation": self.activations[:-1] or self.hidden_activation or (),
            "output_activation": self.activations[-1],
            "loss": self.loss,
            "alpha": self.alpha,
            "dtype": self.dtype,
            "n_threads": self.n_threads,
        }

    def __getstate__(self):
        # everything else follows from these: what a pickle tells is checked as what a user tells
        return note_version({**self._definition(), "params": self._params})

    def __setstate__(self, state):
        if not isinstance(state, dict):
            raise TypeError(f"the state in the pickle of a Network must be a dict, got {type(state).__name__}")
        state = warn_if_other_version(state, "Network")
        names = {*signature(self._define).parameters, "params"}
        if state.keys() != names:
            raise ValueError(
                f"the pickle of a Network must hold {', '.join(sorted(names))}; got {', '.join(map(str, state))}"
            )
        params = state.pop("params")
        self._define(**state)
        if not isinstance(params, np.ndarray) or params.dtype != self.dtype or params.shape != (self.n_params,):
            raise ValueError(f"the params in the pickle of a Network must be {self.n_params} numbers of {self.dtype}")
        # read-only where the pickle's buffers, or a memory map, are not to be written to: training writes
        self._params = np.require(params, self.dtype, ["C_CONTIGUOUS", "ALIGNED", "WRITEABLE", "ENSUREARRAY"])
        self._bind()

    def __deepcopy__(self, memo):
        return self.copy()

    def __repr__(self):
        sizes = "-".join(map(str, self.layer_sizes))
        names = ", ".join(self.activations)
        loss = getattr(self.loss, "__name__", self.loss)
        return f"<Network {sizes}, {names}; {loss}; {self.n_params:,} parameters, {self.dtype}>"


def linear_output(layers):
    """A copy of a layer table without the output activation."""
    layers = layers.copy()
    layers[-1, -1] = ACTIVATIONS["identity"]
    return layers


def layer_table(layer_sizes, activations):
    """The integers of a network.

    Returns
    -------
    table : ndarray of int64 of shape (n_layers, 5), read-only
        fan_in, fan_out, offset of W, offset of b, number of the activation.
    n_coefs, n_params : int
    """
    shapes = list(pairwise(layer_sizes))
    n_coefs = sum(i * o for i, o in shapes)
    n_params = n_coefs + sum(layer_sizes[1:])
    table, coef, intercept = [], 0, n_coefs
    for (fan_in, fan_out), activation in zip(shapes, activations, strict=True):
        table.append((fan_in, fan_out, coef, intercept, ACTIVATIONS[activation]))
        coef += fan_in * fan_out
        intercept += fan_out
    # in bytes, which nobody can write to: the kernels follow the offsets
    table = np.frombuffer(np.array(table, np.int64).tobytes(), np.int64).reshape(-1, 5)
    return table, n_coefs, n_params
