"""A feedforward network without an estimator: forward passes, losses and derivatives."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray
from scipy.sparse import sparray, spmatrix

from fastbp import derivatives
from fastbp.activations import Activation
from fastbp.base_network import BaseNetwork
from fastbp.checks import checked_array
from fastbp.data import make_data
from fastbp.derivatives import Slices
from fastbp.kernels.data import Data
from fastbp.kernels.losses import loss_on_mean, loss_on_raw
from fastbp.kernels.plan import Plan
from fastbp.kernels.predictor import Predictor, all_finite
from fastbp.kernels.program import DERIVATIVES, PREDICTION, TRAINING
from fastbp.kernels.slicing import rows_of_gradient
from fastbp.kernels.team import Team
from fastbp.kernels.training import TrainingLoop
from fastbp.layers import Layer
from fastbp.losses import FunctionLoss, Loss
from fastbp.penalty import penalty_gradient, penalty_gradient_change, penalty_of
from fastbp.threads import STARTED_FLOPS_PER_THREAD, threads_for

#: A thread with fewer rows of a batch would not fill a register block.
ROWS_PER_THREAD = 8
#: Rows whose loss is computed at once
ROWS_OF_LOSS = 4096


class Network(BaseNetwork):
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
    loss : str, Loss or callable
        A name in ``fastbp.losses.LOSSES`` or an object of `fastbp.losses`. log_loss and focal are the multiclass ones
        for a softmax output, else the binary ones summed over the outputs. gaussian, several quantiles and
        multioutput_log_loss take outputs that are not yet predictions: ``loss.predictions`` makes them. A function
        ``loss(y_true, raw_prediction, sample_weight) -> (loss, gradient)`` gives the loss of each row and its
        derivative by the output before the output activation; see `fastbp.losses.FunctionLoss`.
    alpha : float
        Strength of the L2 penalty on the weights (not on the biases).
    dtype : float32, float64 or bfloat16
        Of the parameters and of all arithmetic. "bfloat16": the parameters are float32, and the matrix products of
        training (`training_loop`, `loss_and_gradient`) are in bfloat16 with float32 sums, which is possible on
        processors with AVX512_BF16 only; everything else is computed as with float32, everywhere.
    random_state : int, RandomState, Generator or None
        For the initial parameters. A Generator is drawn from through ``RandomState(generator.bit_generator)``.
    initializer : str, callable or None
        scikit_learn, glorot_uniform, glorot_normal, he_uniform, he_normal, lecun_uniform, lecun_normal or orthogonal
        (see the parameter ``weight_init`` of the estimators), or a function
        ``initializer(fan_in, fan_out, random_state) -> W`` with W of shape (fan_in, fan_out), and biases of zero. None
        leaves the parameters to be filled in by you.
    n_threads : int or None
        At most so many threads; None for what the process may use, within the limits of ``OMP_NUM_THREADS``,
        threadpoolctl and joblib, shared among the threads of joblib's 'threading' backend. Results do not depend on it.
    layers : sequence of objects of `fastbp.layers` or None
        In place of `layer_sizes` and `activation`: the layers from the input to the output. The first activation of
        them decides the bound of the initial parameters. An object that appears twice has two sets of parameters.
    n_features : int or None
        Width of the input, if `layers` are given.
    l1 : float
        Strength of the L1 penalty on the weights (not on the biases).

    Attributes
    ----------
    params : ndarray of shape (n_params,)
        The flat parameters. Edit in place, or assign: assignment copies the values.
    coefs, intercepts : list of ndarray
        Views into `params`, of shapes (fan_in, fan_out) and (fan_out,).
    blocks : dict of str to ndarray
        Every block of parameters by its name, as a view into `params`.
    layers : tuple of Layer
    definition : dict
        The arguments that define the layers: `layers` and `n_features`, or `layer_sizes` and `activation`; and
        `output_activation`.
    layer_sizes : tuple of int
        Width of the input and units of the fully connected layers.
    activations : tuple of str
        The activation that follows each fully connected layer, whether it has parameters or comes behind a
        normalization; "identity" where none does.
    dtype : numpy.dtype
        Of the parameters, data and results: float32 for "bfloat16".
    precision : {"float32", "float64", "bfloat16"}
        The argument `dtype` by its name.
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
        activation: str | Activation | Sequence[str | Activation] = "relu",
        output_activation: str | Activation = "identity",
        loss: str | Loss | Callable[..., Any] = "squared_error",
        *,
        alpha: float = 0.0,
        dtype: DTypeLike = np.float64,
        random_state: int | np.random.RandomState | np.random.Generator | None = None,
        initializer: str | Callable[..., Any] | None = "scikit_learn",
        n_threads: int | None = None,
        layers: Sequence[Layer] | None = None,
        n_features: int | None = None,
        l1: float = 0.0,
    ) -> None:
        self._define(layer_sizes, activation, output_activation, loss, alpha, dtype, n_threads, layers, n_features, l1)
        self._params = np.empty(self.n_params, self.dtype)
        self._bind()
        if initializer is not None:
            self.initialize(random_state, initializer)

    def training_loop(
        self,
        data: Data,
        batch_size: int,
        indexed: bool = False,
        n_threads: int | None = None,
        team: Team | None = None,
        update_flops: float = 0.0,
        training: bool = False,
    ) -> TrainingLoop:
        """The training loop of the network on a data set, which also gives the full-batch gradient.

        Parameters
        ----------
        data : Data
        batch_size : int
            The largest batch; of a full-batch gradient, the rows that go through the net at once.
        indexed : bool
            Whether batches are picked through an index (else they are slices of the data). Of data whose rows are
            converted, they may be either.
        n_threads : int or None
            At most so many threads; None for the network's `n_threads`.
        team : Team or None
            A running team, to be used where the work is worth more than one thread. None: one of its own.
        update_flops : float
            Operations of the updates of a step, beyond some for each parameter.
        training : bool
            Whether `Dropout` layers are active, and `BatchNorm` layers use the statistics of the batch.

        Returns
        -------
        TrainingLoop
        """
        n_threads = threads_for(self.flops(batch_size) + update_flops, n_threads or self.n_threads)
        if not update_flops:
            n_threads = min(n_threads, -(-batch_size // ROWS_PER_THREAD))
        if n_threads == 1:
            team = None
        elif team is not None:
            n_threads = team.n_threads
        if isinstance(self.kernel_loss, FunctionLoss):
            self.kernel_loss.check_weights(data)
        indexed = indexed or data.is_converted
        program = self.program(TRAINING, self.gives_loss_raw_output, data.is_sparse, indexed, training)
        plan = Plan(program, self._params, self.kernel_loss, data, batch_size, n_threads, self.loss_constants)
        return TrainingLoop(plan, team)

    def forward(self, X: ArrayLike | sparray | spmatrix | sparray | spmatrix) -> NDArray[Any]:
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

    def raw_prediction(self, X: ArrayLike | sparray | spmatrix | sparray | spmatrix) -> NDArray[Any]:
        """The network's output before the output activation.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n, n_features)

        Returns
        -------
        Z : ndarray of shape (n, n_outputs), of the network's dtype
        """
        return self.forward_unchecked(self._check_X(X), raw=True)

    def forward_unchecked(self, X: Any, raw: bool = False) -> NDArray[Any]:
        """`forward`, or `raw_prediction`, for an X that was checked before.

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

    def forward_plain(self, X: object, raw: bool = False) -> NDArray[Any] | None:
        """`forward`, or `raw_prediction`, for a few rows of which nothing has to be converted, without any other check.

        Parameters
        ----------
        X : object
        raw : bool
            Whether to leave out the output activation.

        Returns
        -------
        A : ndarray of shape (n, n_outputs) or None
            None unless X is an ndarray of the network's dtype and width, C-contiguous and aligned, of so few rows that
            one thread is enough, and all numbers in it and in the output are finite.
        """
        return self._predictor(raw, False, False).of_few_rows(X, STARTED_FLOPS_PER_THREAD // (2 * self.n_weights + 1))

    def _predictor(self, raw: bool, sparse: bool, indexed: bool) -> Predictor:
        """The compiled forward pass; arguments as for `program`."""
        key = raw, sparse, indexed
        predictor = self._predictors.get(key)
        if predictor is None:  # two threads may make one each, which are alike
            predictor = self._predictors[key] = Predictor(self.program(PREDICTION, *key), self._params)
        return predictor

    def forward_data(self, data: Data, raw: bool = False, team: Team | None = None) -> NDArray[Any]:
        """`forward`, or `raw_prediction`, of the rows of a `Data`.

        Parameters
        ----------
        data : Data
        raw : bool
            Whether to leave out the output activation.
        team : Team or None
            A running team, to be used where the work is worth more than one thread. None: threads are started
            where it is worth that.

        Returns
        -------
        A : ndarray of shape (n, n_outputs)
        """
        predictor = self._predictor(raw, data.is_sparse, data.is_converted)
        out = np.empty((data.n_rows, self.n_outputs), self.dtype)
        if data.n_rows:
            flops = self.flops(data.n_rows, backward=False)
            flops_per_thread = STARTED_FLOPS_PER_THREAD if team is None else None
            few = team is None and flops < STARTED_FLOPS_PER_THREAD  # not even worth asking what the machine offers
            n_threads = 1 if few else threads_for(flops, self.n_threads, flops_per_thread)
            predictor(data, out, n_threads, team)
        return out

    def loss_and_gradient(
        self,
        X: ArrayLike | sparray | spmatrix | sparray | spmatrix,
        y: ArrayLike | sparray | spmatrix,
        sample_weight: ArrayLike | None = None,
    ) -> tuple[float, NDArray[Any]]:
        """The mean loss and its gradient, by one forward and one backward pass.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n, n_features)
        y : array-like of shape (n,) or (n, n_targets), or sparse matrix of shape (n, n_targets)
            As many targets as outputs, unless the loss has another ``target_width``. For a softmax output, integers of
            shape (n,) are class numbers. For one target, shape (n,) is taken as (n, 1). A sparse matrix
            holds zeros and ones, and is not made dense. ValueError for numbers outside of the domain of the loss: [0,
            1] for log_loss, zero or more for poisson.
        sample_weight : array-like of shape (n,) or None

        Returns
        -------
        loss : float
            Weighted mean over the rows of the loss summed over the outputs, plus the `penalty` divided by the sum of
            the sample weights. (The estimators' ``loss_`` divides the squared error by the number of outputs besides,
            as scikit-learn does.)
        gradient : ndarray of shape (n_params,)
            Of exactly this loss; see `split`.
        """
        return self.objective(self._make_data(self._check_X(X), y, sample_weight))

    def objective(
        self, data: Data, loss_scale: float = 1.0, loop: TrainingLoop | None = None, team: Team | None = None
    ) -> tuple[float, NDArray[Any]]:
        """`loss_and_gradient` on a `Data`.

        Parameters
        ----------
        data : Data
        loss_scale : float
            Factor of the data's share in the value (not in the gradient).
        loop : TrainingLoop or None
            From `training_loop`, on the same data.
        team : Team or None
            Without a loop: a running team, to be used if the work is worth more than one thread.
        """
        weight_sum = data.weight_sum
        total, gradient = self._summed_loss(data, loop, team)
        for part, factor in self.graph.penalized:
            gradient[part] += penalty_gradient(self.alpha * factor, self.l1 * factor, self._params[part])
        gradient /= self.dtype.type(weight_sum)
        return (loss_scale * total + self.penalty()) / weight_sum, gradient

    def mean_loss(self, data: Data, team: Team | None = None) -> float:
        """The mean loss, without the penalty, by a forward pass as in prediction.

        Parameters
        ----------
        data : Data
        team : Team or None
            A running team, to be used if the work is worth more than one thread.

        Returns
        -------
        float
        """
        is_raw, weight, total = self.gives_loss_raw_output, data.sample_weight, 0.0
        output = self.forward_data(data, raw=is_raw, team=team)
        for start in range(0, data.n_rows, ROWS_OF_LOSS):  # in slices: class numbers become indicators
            rows = slice(start, start + ROWS_OF_LOSS)
            total += self._losses_of_rows(data.targets(rows), output[rows], None if weight is None else weight[rows])
        return total / data.weight_sum

    def _losses_of_rows(self, targets, output, weight):
        """The sum of the loss over some rows; `output` is what `gives_loss_raw_output` says."""
        loss = self.kernel_loss
        if callable(self.loss):
            return float(np.sum(loss.checked(targets, output, weight)[0], dtype=np.float64))
        function = loss_on_raw if self.gives_loss_raw_output else loss_on_mean
        losses = function(targets, output, loss, self.loss_constants)[0]
        if weight is not None and not all_finite(losses):  # a row of weight zero has no part, also where it is infinite
            losses, weight = losses[weight > 0], weight[weight > 0]
        with np.errstate(over="ignore", invalid="ignore"):
            return float(losses.sum() if weight is None else losses @ weight)

    def _summed_loss(
        self, data: Data, loop: TrainingLoop | None = None, team: Team | None = None
    ) -> tuple[float, NDArray[Any]]:
        """(sum of the loss over the rows of a `Data`, its gradient), without the penalty."""
        if loop is None:
            flops_per_thread = STARTED_FLOPS_PER_THREAD if team is None else None
            n_threads = threads_for(self.flops(data.n_rows), self.n_threads, flops_per_thread)
            loop = self.training_loop(data, rows_of_gradient(data.n_rows), n_threads=n_threads, team=team)
        gradient = np.empty(self.n_params, self.dtype)
        return loop.loss_and_gradient(gradient), gradient

    def penalty(self) -> float:
        """The penalty, ``alpha / 2 * sum of squared weights + l1 * sum of absolute weights``; the mean loss divides it
        by the sum of the sample weights."""
        penalized = self.graph.penalized
        return sum((penalty_of(self.alpha * f, self.l1 * f, self._params[part]) for part, f in penalized), 0.0)

    # Derivatives

    def vjp(self, X: ArrayLike | sparray | spmatrix, v: ArrayLike) -> NDArray[Any]:
        """The vector-Jacobian product ``v J``, row by row: reverse mode, one backward pass.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n, n_features)
        v : array-like of shape (n, n_outputs)

        Returns
        -------
        dX : ndarray of shape (n, n_features)
            Row i is ``v[i] @ J_i``, with J_i of shape (n_outputs, n_features) the Jacobian of the output at ``X[i]``:
            the gradient by X of ``sum(v * forward(X))``.
        """
        X = self._check_X(X)
        v = checked_array("v", v, (X.shape[0], self.n_outputs), self.dtype)
        return derivatives.vjp(self._slices(X), v)

    def jvp(self, X: ArrayLike | sparray | spmatrix, u: ArrayLike) -> NDArray[Any]:
        """The Jacobian-vector product ``J u``, row by row: forward mode, in step with the forward pass.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n, n_features)
        u : array-like of shape (n, n_features)

        Returns
        -------
        dA : ndarray of shape (n, n_outputs)
            Row i is ``J_i @ u[i]``: the change of the output, to first order, when ``X[i]`` moves by ``u[i]``.
        """
        X = self._check_X(X)
        u = checked_array("u", u, X.shape, self.dtype)
        return derivatives.jvp(self._slices(X), u)

    def jacobian(self, X: ArrayLike | sparray | spmatrix, mode: str = "auto") -> NDArray[Any]:
        """The Jacobian of the output by the input, at every row of X.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n, n_features)
        mode : {"auto", "reverse", "forward"}
            reverse: a `vjp` for each output. forward: a `jvp` for each feature. auto: whichever are fewer. All give the
            same numbers, but for rounding.

        Returns
        -------
        J : ndarray of shape (n, n_outputs, n_features)
        """
        if mode not in ("auto", "reverse", "forward"):
            raise ValueError(f"mode must be 'auto', 'reverse' or 'forward', got {mode!r}")
        if mode == "auto":
            mode = "forward" if self.graph.n_features < self.n_outputs else "reverse"
        slices = self._slices(self._check_X(X))
        return derivatives.jacobian_by_columns(slices) if mode == "forward" else derivatives.jacobian_by_rows(slices)

    def backward(self, X: ArrayLike | sparray | spmatrix, dA: ArrayLike) -> tuple[NDArray[Any], NDArray[Any]]:
        """Backpropagation of a gradient of your own.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n, n_features)
        dA : array-like of shape (n, n_outputs)
            The gradient of your cost by the network's output, ``forward(X)``.

        Returns
        -------
        gradient : ndarray of shape (n_params,)
            By the parameters, summed over the rows, without a penalty; see `split`.
        dX : ndarray of shape (n, n_features)
            By the input, like `vjp`.
        """
        X = self._check_X(X)
        dA = checked_array("dA", dA, (X.shape[0], self.n_outputs), self.dtype)
        return derivatives.backward(self._slices(X), dA)

    def input_gradient(
        self, X: ArrayLike | sparray | spmatrix, y: ArrayLike, sample_weight: ArrayLike | None = None
    ) -> NDArray[Any]:
        """The gradient of the mean loss by the input: how much the loss depends on each feature of each row.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n, n_features)
        y, sample_weight
            As for `loss_and_gradient`, whose loss this is the gradient of.

        Returns
        -------
        dX : ndarray of shape (n, n_features)
        """
        X, data = self._checked_data(X, y, sample_weight)
        dX = derivatives.input_gradient(self._slices(X, data))
        dX /= self.dtype.type(data.weight_sum)
        return dX

    def hvp(
        self,
        X: ArrayLike | sparray | spmatrix,
        y: ArrayLike,
        direction: ArrayLike,
        sample_weight: ArrayLike | None = None,
    ) -> NDArray[Any]:
        """The Hessian-vector product: the change of the gradient when the parameters move along `direction`.

        Exact to rounding, and without the Hessian: the directional derivative of backpropagation itself. The L1 penalty
        contributes nothing, as it has no curvature where no weight is 0.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n, n_features)
        y, sample_weight
            As for `loss_and_gradient`, whose gradient this is the derivative of, the penalty's share included.
        direction : array-like of shape (n_params,)
            Laid out as the parameters; see `split`.

        Returns
        -------
        ndarray of shape (n_params,)
            ``H @ direction``.

        Raises
        ------
        ValueError
            For a loss that is a function: its second derivative is not known; for a layer that has none.

        References
        ----------
        Pearlmutter (1994), Fast exact multiplication by the Hessian, Neural Computation 6.
        """
        if callable(self.loss):
            raise ValueError(f"hvp needs the second derivative of the loss, which {self.loss!r} does not give")
        X, data = self._checked_data(X, y, sample_weight)
        direction = checked_array("direction", direction, (self.n_params,), self.dtype)
        product = derivatives.hvp(self._slices(X, data), direction)
        for part, factor in self.graph.penalized:
            product[part] += penalty_gradient_change(self.alpha * factor, direction[part])
        product /= self.dtype.type(data.weight_sum)
        return product

    def _checked_data(self, X: Any, y: Any, sample_weight: Any) -> tuple[Any, Data]:
        """(X, data), checked."""
        X = self._check_X(X)
        data = self._make_data(X, y, sample_weight)
        if isinstance(self.kernel_loss, FunctionLoss):
            self.kernel_loss.check_weights(data)
        return X, data

    def _slices(self, X: Any, data: Data | None = None) -> Any:
        """The slices of X to differentiate: the output, or, with data, the loss."""
        if data is None:
            return Slices(self.program(DERIVATIVES), self._params, X, self.n_threads)
        program = self.program(DERIVATIVES, self.gives_loss_raw_output)
        return Slices(program, self._params, X, self.n_threads, data, self.kernel_loss, self.loss_constants)
