"""A multi-layer perceptron without an estimator: a graph of operations and one flat vector of parameters.

Objects hold integers, functions hold floats. A `Network` knows layers, sizes, offsets and names; its parameters, and
every gradient and optimizer moment that belongs to it, are each one flat array in the same layout::

    W_1 (row by row), W_2, ..., W_L, b_1, b_2, ..., b_L

so that a copy of the weights is one copy, an average is one axpy, and L-BFGS needs no packing.
"""

from collections.abc import Callable, Sequence
from copy import copy, deepcopy
from inspect import signature

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray
from scipy.sparse import sparray, spmatrix

from fastbp import activations
from fastbp.activations import name_of
from fastbp.checks import (
    check_memory,
    checked_alpha,
    checked_dtype,
    checked_layer_sizes,
    checked_n_features,
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
from fastbp.kernels.graph import GraphBuilder
from fastbp.kernels.plan import Plan
from fastbp.kernels.predictor import Predictor
from fastbp.kernels.program import PREDICTION, TRAINING, Program, drops_link
from fastbp.kernels.training import TrainingLoop
from fastbp.layers import Activation, Dense, Layer, check_layers
from fastbp.losses import Loss
from fastbp.penalty import l2_gradient, l2_penalty
from fastbp.threads import STARTED_FLOPS_PER_THREAD, threads_for
from fastbp.versions import note_version, warn_if_other_version

#: A thread with fewer rows of a batch would not fill a register block.
ROWS_PER_THREAD = 8


class Network(Differentiable):
    """A feedforward network: fully connected layers, ``a_l = f_l(a_(l-1) W_l + b_l)``, or any `fastbp.layers`.

    Parameters
    ----------
    layer_sizes : sequence of int or None
        Units of every layer, input and output included; at least two. None if `layers` are given.
    activation : str, Activation, or sequence of them
        Of the hidden layers, one for all or one each: names, or objects of ``fastbp.activations``. The (first) one also
        decides the bound of the initial parameters of every layer, even where there is no hidden layer.
    output_activation : str or Activation
        identity, logistic, softmax, exp, or any other activation; it follows the last layer.
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
    layers : sequence of objects of `fastbp.layers` or None
        In place of `layer_sizes` and `activation`: the layers from the input to the output. The first activation of
        them decides the bound of the initial parameters.
    n_features : int or None
        Width of the input, if `layers` are given.

    Attributes
    ----------
    params : ndarray of shape (n_params,)
        The flat parameters. Edit in place, or assign: assignment copies the values.
    coefs, intercepts : list of ndarray
        Views into `params`, of shapes (fan_in, fan_out) and (fan_out,).
    blocks : dict of str to ndarray
        Every block of parameters by its name, as a view into `params`.
    layers : tuple of Layer
    layer_sizes : tuple of int
        Width of the input and units of the fully connected layers.
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

    A residual connection:

    >>> from fastbp.layers import Dense, Residual
    >>> layers = [Dense(8, "relu"), Residual([Dense(8, "relu"), Dense(8)]), Dense(1)]
    >>> network = Network(layers=layers, n_features=2, random_state=0)
    >>> {name: block.shape for name, block in network.blocks.items()}
    {'W_1': (2, 8), 'W_2': (8, 8), 'W_3': (8, 8), 'W_4': (8, 1), 'b_1': (8,), 'b_2': (8,), 'b_3': (8,), 'b_4': (1,)}
    """

    def __init__(
        self,
        layer_sizes: Sequence[int] | None = None,
        activation: str | activations.Activation | Sequence[str | activations.Activation] = "relu",
        output_activation: str | activations.Activation = "identity",
        loss: str | Loss | Callable = "squared_error",
        *,
        alpha: float = 0.0,
        dtype: DTypeLike = np.float64,
        random_state: int | np.random.RandomState | np.random.Generator | None = None,
        initializer: str | None = "glorot_uniform",
        n_threads: int | None = None,
        layers: Sequence[Layer] | None = None,
        n_features: int | None = None,
    ):
        self._define(layer_sizes, activation, output_activation, loss, alpha, dtype, n_threads, layers, n_features)
        self._params = np.empty(self.n_params, self.dtype)
        self._bind()
        if initializer is not None:
            self.initialize(random_state, initializer)

    def _define(
        self,
        layer_sizes=None,
        activation="relu",
        output_activation="identity",
        loss="squared_error",
        alpha=0.0,
        dtype=np.float64,
        n_threads=None,
        layers=None,
        n_features=None,
    ):
        """Everything but the parameters, checked."""
        if (layer_sizes is None) == (layers is None):
            raise ValueError(
                "a network is made of layer_sizes or of layers: give one of them, got "
                f"layer_sizes={layer_sizes!r} and layers={layers!r}"
            )
        if layers is None:
            sizes = checked_layer_sizes(layer_sizes)
            n_features = sizes[0]
            hidden, first = hidden_activations(activation, len(sizes) - 2)
            layers = [*(Dense(n, f) for n, f in zip(sizes[1:], hidden, strict=False)), Dense(sizes[-1])]
            self._definition = {"layer_sizes": sizes, "activation": hidden or first or ()}
        else:
            n_features = checked_n_features(n_features)
            layers = deepcopy(check_layers("layers", layers))
            self._definition = {"layers": layers, "n_features": n_features}
        self.layers = tuple(layers)
        self.graph = graph_of(self.layers, n_features, name_of(output_activation))
        # what decides the bound of the initial parameters
        self.hidden_activation = self.graph.first_activation if layer_sizes is None else first
        self.dtype = checked_dtype(dtype)
        self.n_params, self.n_coefs = self.graph.n_params, self.graph.n_coefs
        shapes = self.graph.dense_shapes
        self.layer_sizes = (n_features, *(fan_out for _, fan_out in shapes))
        check_memory(self.layer_sizes, self.n_params, self.dtype)
        self.n_outputs = self.graph.n_outputs
        self.activations = self.graph.activations
        self.n_weights, self.n_input_weights = sum(i * o for i, o in shapes), self.graph.n_input_weights
        self.loss = copy(loss) if isinstance(loss, Loss) else loss
        self.kernel_loss = kernel_loss(loss, self.graph.output_activation)
        self.alpha = checked_alpha(alpha)
        self.n_threads = checked_n_threads(n_threads)
        self._programs = {}

    def _bind(self):
        """Make what points into the flat vector: the views; compiled forward passes are made when they are needed."""
        self.coefs, self.intercepts = self.split(self._params)
        self._predictors = {}

    @property
    def blocks(self) -> dict[str, NDArray]:
        """dict of str to ndarray: every block of parameters by its name, as a view into `params`.

        W_1, W_2, ... are the weights of the fully connected layers, b_1, ... their biases, s_1, ... the factors of
        `Scale` layers; in the order of `params`.
        """
        return self.split_blocks(self._params)

    def split_blocks(self, flat: NDArray) -> dict[str, NDArray]:
        """Views of a flat vector in the parameters' layout, such as a gradient, by the names of the blocks.

        Parameters
        ----------
        flat : array-like of shape (n_params,)

        Returns
        -------
        dict of str to ndarray
        """
        flat = check_shape("flat", np.asarray(flat), (self.n_params,))
        blocks = sorted(self.graph.blocks, key=lambda block: block.offset)
        return {b.name: flat[b.offset : b.offset + b.size].reshape(b.shape) for b in blocks}

    def program(self, purpose, raw=False, sparse=False, gathers=False):
        """The network's graph compiled for a purpose; kept for later calls.

        Parameters
        ----------
        purpose, raw, sparse, gathers
            As for `fastbp.kernels.program.Program`.

        Returns
        -------
        Program
        """
        key = (purpose, raw, sparse, gathers)
        found = self._programs.get(key)
        if found is None:  # two threads may compile one each, which are alike
            found = Program(self.graph, self.dtype, purpose, raw=raw, sparse=sparse, gathers=gathers)
            self._programs[key] = found
        return found

    @property
    def gives_loss_raw_output(self) -> bool:
        """bool: whether the loss is given the output before the output activation: a function, or a loss that contains
        this activation."""
        return drops_link(self.graph, None if callable(self.loss) else self.kernel_loss)

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
        blocks = self.blocks
        for op in self.graph.operations:
            own = self.graph.blocks[op.first_block : op.first_block + op.n_blocks]
            if own:
                op.layer.initialize(
                    [blocks[block.name] for block in own],
                    lambda fan_in, fan_out: draw(fan_in, fan_out, self.hidden_activation, rng),
                )

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
            The weights and the biases of the fully connected layers.
        """
        flat = check_shape("flat", np.asarray(flat), (self.n_params,))
        coefs, intercepts = [], []
        for W, b in self.graph.dense_blocks:
            coefs.append(flat[W.offset : W.offset + W.size].reshape(W.shape))
            if b is not None:
                intercepts.append(flat[b.offset : b.offset + b.size])
        return coefs, intercepts

    def flops(self, n_rows: int, backward: bool = True) -> int:
        """Floating-point operations of one pass over `n_rows` rows: 2 for each weight and row forward, and 4
        backward, less the unneeded gradient of the input.

        Parameters
        ----------
        n_rows : int
        backward : bool
            Whether the backward pass counts.
        """
        return n_rows * (6 * self.n_weights - 2 * self.n_input_weights if backward else 2 * self.n_weights)

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
        other.kernel_loss = kernel_loss(loss, self.graph.output_activation)
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
        if callable(self.loss):
            self.kernel_loss.check_weights(data)
        program = self.program(TRAINING, self.gives_loss_raw_output, data.is_sparse, gathers)
        return TrainingLoop(Plan(program, self._params, self.kernel_loss, data, batch_size, gathers, n_threads))

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
        predictor = self._predictors.get((raw, data.is_sparse))
        if predictor is None:  # two threads may make one each, which are alike
            program = self.program(PREDICTION, raw, data.is_sparse)
            predictor = self._predictors[raw, data.is_sparse] = Predictor(program, self._params)
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
        for part, factor in self.graph.penalized:
            gradient[part] += l2_gradient(self.alpha * factor, self._params[part])
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
        return sum(l2_penalty(self.alpha * factor, self._params[part]) for part, factor in self.graph.penalized)

    def _check_X(self, X):
        return checked_X(X, self.graph.n_features)

    def _make_data(self, X, y, sample_weight):
        """The `Data` of an X that was checked already, and of a y and weights that were not."""
        n = X.shape[0]
        y = checked_y(y, n, self.n_outputs, self.graph.output_activation)
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
        other.__dict__.update(self.__dict__)
        other.dtype = checked_dtype(dtype)
        if other.dtype != self.dtype:
            other._programs = {}
        other._params = self._params.astype(other.dtype)
        other._bind()
        return other

    def copy(self) -> "Network":
        """An independent network with the same parameters."""
        return self.astype(self.dtype)

    def __getstate__(self):
        # everything else follows from these: what a pickle tells is checked as what a user tells
        settings = {name: getattr(self, name) for name in ("loss", "alpha", "dtype", "n_threads")}
        settings["output_activation"] = self.graph.output_activation
        return note_version({**self._definition, **settings, "params": self._params})

    def __setstate__(self, state):
        if not isinstance(state, dict):
            raise TypeError(f"the state in the pickle of a Network must be a dict, got {type(state).__name__}")
        state = warn_if_other_version(state, "Network")
        names = {*signature(self._define).parameters, "params"}
        names -= {"layer_sizes", "activation"} if "layers" in state else {"layers", "n_features"}
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
        kinds = "" if self.graph.is_dense_stack else f" in {len(self.graph.operations)} operations"
        return f"<Network {sizes}{kinds}, {names}; {loss}; {self.n_params:,} parameters, {self.dtype}>"


def graph_of(layers, n_features, output_activation):
    """The computational graph of some layers and the output activation behind them."""
    builder = GraphBuilder(n_features)
    node = 0
    for layer in layers:
        node = layer.emit(builder, node)
    if not builder.blocks:
        raise ValueError(f"layers must have parameters to train, got {list(layers)}")
    if output_activation != "identity" or builder.operations[-1].kind != "activation":
        Activation(output_activation).emit(builder, node)
    return builder.finish()
