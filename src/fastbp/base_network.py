"""Layers, settings and parameters of a network; copies and pickles.

A network knows layers, sizes, offsets and names. Its parameters, and every gradient and optimizer moment that belongs
to it, are each one flat array in the same layout::

    W_1 (row by row), W_2, ..., W_L, b_1, b_2, ..., b_L

so that a copy of the weights is one copy, an average is one axpy, and L-BFGS needs no packing.
"""

from collections.abc import Callable
from contextlib import nullcontext
from copy import copy, deepcopy
from functools import lru_cache
from inspect import signature
from math import ceil
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray
from scipy.sparse import csr_array, issparse, sparray, spmatrix

from fastbp.activations import name_of
from fastbp.checks import (
    check_memory,
    checked_layer_sizes,
    checked_n_features,
    checked_n_threads,
    checked_penalty,
    checked_weight,
    checked_X,
    checked_y,
    hidden_activations,
)
from fastbp.data import checked_csr, dense, lowered, make_data, real_array
from fastbp.initializers import check_initializer, draw, legacy_generator, normalize_preactivations
from fastbp.kernels._arguments import check_shape
from fastbp.kernels.data import Data
from fastbp.kernels.graph import Graph, GraphBuilder
from fastbp.kernels.precision import precision_of
from fastbp.kernels.predictor import Predictor, all_finite
from fastbp.kernels.program import INSPECTION, PREDICTION, Program, drops_link, program_of
from fastbp.layers import Activation, Dense, Layer
from fastbp.layers.base import check_epsilon, check_layers, emit_all
from fastbp.losses import FunctionLoss, Loss, resolve
from fastbp.mapped import ComputedColumns, MappedRows
from fastbp.versions import note_version, warn_if_other_version

#: A layer behind others adapts to so many numbers at most, or so many times those of X, if that is more
NUMBERS_TO_ADAPT, TIMES_X = 2**25, 4


class BaseNetwork:
    """Base of `Network`: the graph of its layers, its settings, and the flat vector of its parameters."""

    layers: tuple[Layer, ...]
    layer_sizes: tuple[int, ...]
    activations: tuple[str, ...]
    n_params: int
    n_coefs: int
    n_outputs: int
    n_weights: int
    n_input_weights: int
    n_targets: int
    n_threads: int | None
    alpha: float
    l1: float
    dtype: np.dtype[Any]
    precision: str
    loss: str | Loss | Callable[..., Any]
    coefs: list[NDArray[Any]]
    intercepts: list[NDArray[Any]]
    graph: Graph
    training_graph: Graph
    definition: dict[str, Any]
    hidden_activation: str | None
    resolved_loss: Loss
    kernel_loss: FunctionLoss | str
    loss_constants: tuple[float, ...]

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
        l1=0.0,
    ) -> None:
        """Everything but the parameters, checked."""
        if (layer_sizes is None) == (layers is None):
            raise ValueError(
                "a network is made of layer_sizes or of layers: give one of them, got "
                f"layer_sizes={layer_sizes!r} and layers={layers!r}"
            )
        first = None
        if layers is None:
            sizes = checked_layer_sizes(layer_sizes)
            n_features = sizes[0]
            hidden, first = hidden_activations(activation, len(sizes) - 2)
            build = kept_dense_stack if all(isinstance(f, str) for f in hidden) else dense_stack
            self.layers, self.training_graph = build(sizes, hidden, name_of(output_activation))
            self.definition = {"layer_sizes": sizes, "activation": hidden or first or ()}
        else:
            n_features = checked_n_features(n_features)
            layers = deepcopy(check_layers("layers", layers))  # a user's own layers may be mutable
            self.layers = tuple(layers)
            self.training_graph = graph_of(layers, n_features, name_of(output_activation))
            self.definition = {"layers": deepcopy(layers), "n_features": n_features}
        self.definition["output_activation"] = name_of(output_activation)
        # dropout, and statistics of a batch, are for training only
        self.graph = self.training_graph.for_prediction
        # what decides the bound of the initial parameters
        self.hidden_activation = first if isinstance(first, str) else self.graph.first_activation
        self._set_dtype(dtype)
        self.n_params, self.n_coefs = self.graph.n_params, self.graph.n_coefs
        self.layer_sizes = (n_features, *(fan_out for _, fan_out in self.graph.dense_shapes))
        check_memory(self.layer_sizes, self.n_params, self.dtype)
        self.n_outputs = self.graph.n_outputs
        self.activations = self.graph.activations
        self.n_weights, self.n_input_weights = self.graph.n_weights, self.graph.n_input_weights
        self._set_loss(loss)
        self.alpha, self.l1 = checked_penalty("alpha", alpha), checked_penalty("l1", l1)
        self.n_threads = checked_n_threads(n_threads)

    def _set_dtype(self, dtype) -> None:
        """The precision, and the dtype of its numbers, in which the `epsilon` of normalizations must not be 0."""
        precision = precision_of(dtype)
        self.precision, self.dtype = precision.name, precision.dtype
        for op in self.training_graph.operations:
            if op.kind in ("batch_norm", "row_norm"):
                check_epsilon(op.layer.epsilon, self.dtype)

    def _set_loss(self, loss) -> None:
        """The loss, and what the kernels need to know of it."""
        self.loss = copy(loss) if isinstance(loss, Loss) else loss
        resolved = self.resolved_loss = resolve(loss, self.graph.output_activation)
        self.kernel_loss = resolved if isinstance(resolved, FunctionLoss) else resolved.kernel
        self.loss_constants, self.n_targets = resolved.constants, resolved.target_width(self.n_outputs)

    def _bind(self) -> None:
        """Make what points into the flat vector: the views; compiled forward passes are made when they are needed."""
        self.coefs, self.intercepts = self.split(self._params)
        self._predictors: dict[Any, Any] = {}

    @property
    def blocks(self) -> dict[str, NDArray[Any]]:
        """dict of str to ndarray: every block of parameters by its name, as a view into `params`.

        W_1, W_2, ... are the weights of the fully connected layers, b_1, ... their biases, s_1, ... the factors of
        `Scale` layers, table_1, ... the vectors of `Embedding` layers, center_1, ... and factor_1, ... what
        `RobustScale` layers subtract and multiply by, u_1, c_1, p_1, missing_1 and edges_1, ... those of
        `PiecewiseLinear`, omega_1, phi_1, V_1, d_1 and unknown_1, ... those of `Periodic`, gain_1, ... and shift_1, ...
        those of `LayerNorm` and `RMSNorm`, gamma_1, beta_1, mean_1, variance_1, ... those of `BatchNorm`, slope_1, ...
        and alpha_1, ... those of the activations `Prelu` and `Blend`; in the order of `params`.
        """
        return self.split_blocks(self._params)

    def split_blocks(self, flat: NDArray[Any]) -> dict[str, NDArray[Any]]:
        """Views of a flat vector in the parameters' layout, such as a gradient, by the names of the blocks.

        Parameters
        ----------
        flat : array-like of shape (n_params,)

        Returns
        -------
        dict of str to ndarray
        """
        flat = check_shape("flat", np.asarray(flat), (self.n_params,))
        return {block.name: block.view(flat) for block in sorted(self.graph.blocks, key=lambda block: block.offset)}

    def program(
        self, purpose: str, raw: bool = False, sparse: bool = False, indexed: bool = False, training: bool = False
    ) -> Program:
        """The network's graph compiled for a purpose.

        Parameters
        ----------
        purpose, raw, sparse, indexed
            As for `fastbp.kernels.program.Program`.
        training : bool
            Whether `Dropout` layers are active, and `BatchNorm` layers use the statistics of the batch.

        Returns
        -------
        Program
        """
        graph = self.training_graph if training else self.graph
        return program_of(graph, self.precision, purpose, raw, sparse, indexed)

    @property
    def has_dropout(self) -> bool:
        """bool: whether there are `Dropout` layers, which are active in training only."""
        return any(op.kind == "dropout" for op in self.training_graph.operations)

    @property
    def has_batch_norm(self) -> bool:
        """bool: whether there are `BatchNorm` layers, which use the statistics of a batch in training only."""
        return any(op.kind == "batch_norm" for op in self.training_graph.operations)

    @property
    def gives_loss_raw_output(self) -> bool:
        """bool: whether the loss is given the output before the output activation: a function, or a loss that contains
        this activation."""
        return drops_link(self.graph, None if isinstance(self.kernel_loss, FunctionLoss) else self.kernel_loss)

    def initialize(
        self,
        random_state: int | np.random.RandomState | np.random.Generator | None = None,
        initializer: str | Callable[..., Any] = "scikit_learn",
    ) -> None:
        """Draw new parameters.

        Parameters
        ----------
        random_state : int, RandomState, Generator or None
        initializer : str or callable
            As for the constructor.

        Raises
        ------
        ValueError
            For parameters that are too large for the network's dtype.
        """
        check_initializer(initializer)
        rng = legacy_generator(random_state)
        errstate = np.geterr() if callable(initializer) else None  # that of the user's function

        def weights(fan_in: int, fan_out: int) -> Any:
            with np.errstate(**errstate) if errstate is not None else nullcontext():
                return draw(initializer, fan_in, fan_out, self.hidden_activation, rng)

        weights.random_state = rng  # type: ignore[attr-defined]
        with np.errstate(over="ignore"):  # checked below
            for op in self.graph.operations:
                if op.n_blocks:
                    op.layer.initialize(self.graph.views(op, self._params), weights)
        if not all_finite(self._params):
            wrong = next(b for b in self.graph.blocks if not np.isfinite(b.view(self._params)).all())
            layer = self.graph.operations[wrong.operation].layer
            raise ValueError(f"the initial values of {wrong.name} in {layer!r} are too large for {self.dtype}")

    @property
    def adapts(self) -> bool:
        """bool: whether there are layers that learn from the rows to train on before training begins: see `adapt`."""
        return any(getattr(op.layer, "adapts", False) for op in self.graph.operations)

    @property
    def accepts_missing(self) -> bool:
        """bool: whether the layers that read the input take missing numbers, which are NaN."""
        return bool(self.layers) and self.layers[0].accepts_missing

    def adapt(self, X: ArrayLike | sparray | spmatrix) -> None:
        """Let layers learn from the rows to train on, before training begins: medians, ranges, edges of bins. The
        estimators do this at the beginning of a fit. Networks without such layers are not changed.

        A layer behind others learns from what these make of the rows. If that would be more than 32 million numbers,
        and more than four times those of X, it learns from a part of the rows, evenly spaced.

        Parameters
        ----------
        X : array-like of shape (n, n_features)
            All rows to train on.

        Raises
        ------
        ValueError
            If there are no rows, numbers are too large for the network's dtype, or such a layer reads the output of a
            layer with trained parameters.
        """
        if not self.adapts:
            return
        if not isinstance(X, MappedRows):
            X = self._check_X(X)
            if not X.shape[0]:
                raise ValueError("X must have at least one row to adapt to, got none")
            if issparse(X):
                self.program(PREDICTION, sparse=True)  # refuses it: layers that adapt read dense rows
            X = lowered("X", X, self.dtype)
        for op in self.graph.operations:
            if getattr(op.layer, "adapts", False):
                op.layer.adapt(self.graph.views(op, self._params), self._rows_read_by(op, X))

    def _rows_read_by(self, op, X):
        """What an operation in front of all trained parameters reads for the rows of X."""
        if op.input == 0:
            return X
        part = self.graph.up_to(op.input)
        trained = [source.layer for source in part.operations if part.has_trained_blocks(source)]
        if trained:
            raise ValueError(
                f"{op.layer} learns from the rows to train on before training begins, and cannot read the output of "
                f"{trained[0]}, which is trained: put it in front"
            )
        n_rows, width = X.shape[0], self.graph.widths[op.input]
        step = ceil(n_rows * width / max(NUMBERS_TO_ADAPT, TIMES_X * X.size))
        predictor = Predictor(program_of(part, self.precision, PREDICTION), self._params)

        def output(X):
            data = make_data(X, None, None, 1, self.dtype)
            out = np.empty((data.n_rows, width), self.dtype)
            predictor(data, out)
            return out

        if isinstance(X, MappedRows):
            return ComputedColumns(X.part(slice(None, None, step)), output, width)
        return output(X[::step])

    def normalize_preactivations(
        self,
        X: ArrayLike | sparray | spmatrix,
        random_state: int | np.random.RandomState | np.random.Generator | None = None,
    ) -> None:
        """Scale and shift each fully connected layer so that its pre-activations have mean 0 and variance 1 on X.

        From the input to the output: with the mean m and the standard deviation s of a unit's pre-activation over the
        rows of X, its weights become w / s and its bias (b - m) / s. Units with a constant pre-activation are not
        changed; layers without biases are scaled only. The estimators' ``weight_init="data_dependent"`` does this with
        orthogonal weights, ``weight_init="data_dependent_random_bias"`` with normal weights and a `random_state`.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n, n_features)
            Some hundred rows: the values of all layers are kept meanwhile. A sparse matrix is made dense.
        random_state : int, RandomState, Generator or None, default=None
            If it is given, m is not the mean, but a convex combination of the unit's pre-activations in 5 random rows,
            whose weights are exponential draws divided by their sum: each unit is 0 somewhere else among the data.

        References
        ----------
        Krähenbühl, Doersch, Donahue and Darrell (2016), Data-dependent initializations of convolutional neural
        networks, algorithm 1; Mishkin and Matas (2016), All you need is a good init. With a `random_state`: Holzmüller,
        Grinsztajn and Steinwart (2024), Better by default: strong pre-tuned MLPs and boosted trees on tabular data,
        NeurIPS, appendix B.
        """
        X = self._check_X(X)
        if X.shape[0]:
            rows = dense("X", checked_csr("X", X).toarray() if issparse(X) else X, self.dtype)
            generator = None if random_state is None else legacy_generator(random_state)
            normalize_preactivations(self.program(INSPECTION), self._params, rows, generator)

    @property
    def params(self) -> NDArray[Any]:
        """ndarray of shape (n_params,): the flat parameters."""
        return self._params

    @params.setter
    def params(self, values: ArrayLike) -> None:
        if values is not self._params:
            values = real_array("params", values)
            if values.shape != (self.n_params,):
                raise ValueError(f"params must have shape ({self.n_params},), got {values.shape}")
            self._params[...] = values

    def split(self, flat: NDArray[Any]) -> tuple[list[NDArray[Any]], list[NDArray[Any]]]:
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
            coefs.append(W.view(flat))
            if b is not None:
                intercepts.append(b.view(flat))
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

    def with_loss(self, loss: str | Loss | Callable[..., Any]) -> Self:
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
        other = object.__new__(type(self))
        other.__dict__.update(self.__dict__)
        other._set_loss(loss)
        return other

    def _check_X(self, X: Any) -> NDArray[Any] | csr_array:
        return checked_X(X, self.graph.n_features)

    def _make_data(self, X: Any, y: Any, sample_weight: Any) -> Data:
        """The `Data` of an X that was checked already, and of a y and weights that were not."""
        n = X.shape[0]
        y = checked_y(y, n, self.n_targets, self.graph.output_activation)
        if not issparse(y) and y.ndim == 2:  # else they are indicators, zeros and ones
            self.resolved_loss.check_targets(y)
        return make_data(X, y, checked_weight(sample_weight, n, self.dtype), self.n_targets, self.dtype)

    def part(self, begin: int, end: int) -> Self:
        """A network of some of the layers, with copies of their parameters.

        Parameters
        ----------
        begin, end : int
            The layers ``layers[begin:end]``. With the last layer comes the output activation.

        Returns
        -------
        Network
            Its loss is the squared error.

        Raises
        ------
        ValueError
            If these layers have no parameters.

        Examples
        --------
        >>> import numpy as np
        >>> from fastbp import Network
        >>> network = Network([4, 3, 2], "tanh", random_state=0)
        >>> encoder, decoder = network.part(0, 1), network.part(1, 2)
        >>> X = np.ones((5, 4))
        >>> bool(np.allclose(decoder.forward(encoder.forward(X)), network.forward(X)))
        True
        """
        begin, end, _ = slice(begin, end).indices(len(self.layers))
        builder = GraphBuilder(self.graph.n_features)
        node = emit_all(self.layers[:begin], builder, 0)
        other = type(
            self
        )(  # type: ignore[call-arg]  # of `Network`
            layers=self.layers[begin:end],
            n_features=builder.widths[node],
            output_activation=self.graph.output_activation if end == len(self.layers) else "identity",
            dtype=self.precision,
            n_threads=self.n_threads,
            initializer=None,
        )
        # the blocks of a graph are in the order of its layers
        sources = self.graph.blocks[len(builder.blocks) :]
        for block, source in zip(other.graph.blocks, sources, strict=False):
            block.view(other._params)[...] = source.view(self._params)
        return other

    def astype(self, dtype: DTypeLike) -> Self:
        """A copy with parameters and arithmetic of another dtype.

        Parameters
        ----------
        dtype : float32, float64 or bfloat16
            As for the constructor.

        Returns
        -------
        Network
        """
        other = object.__new__(type(self))
        other.__dict__.update(self.__dict__)
        if precision_of(dtype).name != self.precision:
            other._set_dtype(dtype)
        other._params = self._params.astype(other.dtype)
        other._bind()
        return other

    def copy(self) -> Self:
        """An independent network with the same parameters."""
        return self.astype(self.precision)

    @property
    def settings(self) -> dict[str, Any]:
        """dict: loss, alpha, l1 and n_threads, as arguments of the constructor."""
        return {name: getattr(self, name) for name in ("loss", "alpha", "l1", "n_threads")}

    def __getstate__(self) -> dict[str, Any]:
        # everything else follows from these: what a pickle tells is checked as what a user tells
        return note_version({**self.definition, **self.settings, "dtype": self.precision, "params": self._params})

    def __setstate__(self, state: dict[str, Any]) -> None:
        if not isinstance(state, dict):
            raise TypeError(f"the state of a Network must be a dict, got {type(state).__name__}")
        state = warn_if_other_version(state, "Network")
        names = {*signature(self._define).parameters, "params"}
        names -= {"layer_sizes", "activation"} if "layers" in state else {"layers", "n_features"}
        if state.keys() != names:
            raise ValueError(
                f"the state of a Network must hold {', '.join(sorted(names))}; got {', '.join(map(str, state))}"
            )
        params = state.pop("params")
        self._define(**state)
        if not isinstance(params, np.ndarray) or params.dtype != self.dtype or params.shape != (self.n_params,):
            raise ValueError(f"the params in the state of a Network must be {self.n_params} numbers of {self.dtype}")
        # read-only where the pickle's buffers, or a memory map, are not to be written to: training writes
        self._params = np.require(params, self.dtype, ["C_CONTIGUOUS", "ALIGNED", "WRITEABLE", "ENSUREARRAY"])
        self._bind()

    def __deepcopy__(self, memo: Any) -> Self:
        return self.copy()

    def __repr__(self) -> str:
        sizes = "-".join(map(str, self.layer_sizes))
        names = ", ".join(self.activations)
        loss = getattr(self.loss, "__name__", self.loss)
        kinds = "" if self.graph.is_dense_stack else f" in {len(self.graph.operations)} operations"
        return f"<Network {sizes}{kinds}, {names}; {loss}; {self.n_params:,} parameters, {self.precision}>"


def dense_stack(layer_sizes, activations, output_activation):
    """(layers, graph) of a stack of `Dense` layers, which are immutable."""
    units = layer_sizes[1:]
    layers = tuple(Dense(n, name) for n, name in zip(units, (*activations, "identity"), strict=True))
    return layers, graph_of(layers, layer_sizes[0], output_activation)


#: The same for names of activations. Layers and graph are kept, together with the programs of the graph: a search or an
#: ensemble makes many networks of the same layers.
kept_dense_stack = lru_cache(maxsize=32)(dense_stack)


def graph_of(layers, n_features, output_activation):
    """The computational graph of some layers and the output activation behind them."""
    builder = GraphBuilder(n_features)
    node = emit_all(layers, builder, 0)
    if not builder.blocks:
        raise ValueError(f"layers must have parameters to train, got {list(layers)}")
    last = builder.operations[-1]
    if output_activation != "identity" or last.kind != "activation" or last.output != node:
        Activation(output_activation).emit(builder, node)
    return builder.finish()
