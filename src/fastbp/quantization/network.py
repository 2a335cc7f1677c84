"""A network whose large matrices of weights have 8 bits: for forward passes only."""

from collections.abc import Iterator
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import issparse, sparray, spmatrix

from fastbp.checks import checked_n_threads, checked_X
from fastbp.data import checked_csr, make_data
from fastbp.kernels.data import check
from fastbp.kernels.predictor import Predictor, all_finite
from fastbp.kernels.program import PREDICTION, program_of
from fastbp.kernels.quantized import QuantizedLayers
from fastbp.layers import Layer
from fastbp.network import Network
from fastbp.quantization.weights import LARGEST, QuantizedMatrix, quantized_graph, quantized_matrix, quantized_names
from fastbp.threads import STARTED_FLOPS_PER_THREAD, threads_for
from fastbp.versions import note_version, warn_if_other_version

#: Products of 8 bits that take as long as one in float32
PRODUCTS_AT_ONCE = 4
#: Numbers of a sparse X that are made dense at once
DENSE_NUMBERS = 2**24


class QuantizedNetwork:
    """The forward pass of a network with weights of 8 bits. `fastbp.quantize` makes it of a `Network`.

    Fully connected layers with at least 16 inputs and 17 outputs have weights of 8 bits, and compute

    .. math:: z_j = s\\, t_j \\sum_i u_i q_{ij} + m \\sum_i W_{ij} + b_j.

    For each row x of a layer's input, m is its minimum, s is its range divided by 255, and :math:`u_i`, from 0 to 255,
    is :math:`(x_i - m) / s`, rounded. :math:`q_{ij}`, from -127 to 127, is :math:`W_{ij} / t_j`, rounded, and
    :math:`t_j` is the largest absolute value in column j of W, divided by 127. The result therefore differs from that
    of the layer in float32, beside its rounding, by at most

    .. math:: \\frac{s}{2} \\sum_i |W_{ij}| + \\frac{t_j}{2} \\sum_i s u_i.

    All other layers, and all activations, compute in float32, as those of a `Network` do.

    A row depends on no other row, and the results do not depend on the number of threads. They are the same with every
    instruction set, up to the rounding in activations and in layers in float32.

    Parameters
    ----------
    network : Network
        Its parameters are copied, and must be finite.

    Attributes
    ----------
    definition : dict
        That of the network: `layers` and `n_features`, or `layer_sizes` and `activation`; and `output_activation`.
    matrices : dict of str to QuantizedMatrix
        The matrices of 8 bits by their names in ``Network.blocks``: ``q``, ``scale`` and ``sums``, which are named q, t
        and the sums of the columns of W above.
    blocks : dict of str to ndarray
        All other parameters, as float32, by their names.
    dtype : dtype
        float32, that of the output.
    n_features, n_outputs : int
    n_threads : int or None
        That of the network.

    Raises
    ------
    ValueError
        For parameters that are not finite in float32.

    References
    ----------
    Jacob et al. (2018), Quantization and training of neural networks for efficient integer-arithmetic-only inference,
    CVPR, section 2, for the products; ranges of rows are taken when they come, and are not calibrated.

    Examples
    --------
    >>> import numpy as np
    >>> import fastbp
    >>> X = np.random.default_rng(0).normal(size=(5, 40))
    >>> network = fastbp.Network([40, 30, 2], "tanh", random_state=0)
    >>> quantized = fastbp.quantize(network)
    >>> sorted(quantized.matrices)
    ['W_1']
    >>> bool(np.abs(quantized.forward(X) - network.forward(X)).max() < 0.05)
    True
    """

    dtype = np.dtype(np.float32)

    definition: dict[str, Any]
    n_threads: int | None
    matrices: dict[str, QuantizedMatrix]
    blocks: dict[str, NDArray[Any]]
    n_features: int
    n_outputs: int

    def __init__(self, network: Network) -> None:
        if not isinstance(network, Network):
            raise TypeError(f"network must be a Network of fastbp, got {type(network).__name__}")
        with np.errstate(over="ignore"):  # checked here
            params = network.params.astype(np.float32)
        if not all_finite(params):
            raise ValueError("network has parameters that are not finite in float32, which weights of 8 bits cannot be")
        names = quantized_names(network.graph)
        matrices = {name: quantized_matrix(network.blocks[name]) for name in names}
        # copies: views would keep the whole vector
        blocks = {name: np.array(b) for name, b in network.split_blocks(params).items() if name not in names}
        self._bind(network.definition, network.n_threads, matrices, blocks)

    @classmethod
    def of_parts(
        cls,
        definition: dict[str, Any],
        n_threads: int | None,
        matrices: dict[str, QuantizedMatrix],
        blocks: dict[str, NDArray[Any]],
    ) -> Self:
        """The network of which these are the attributes.

        Parameters
        ----------
        definition : dict
        n_threads : int or None
        matrices : dict of str to QuantizedMatrix
        blocks : dict of str to ndarray

        Returns
        -------
        QuantizedNetwork

        Raises
        ------
        ValueError
            Unless they fit together.
        """
        network = object.__new__(cls)
        network._bind(definition, n_threads, matrices, blocks)
        return network

    def _bind(
        self,
        definition: dict[str, Any],
        n_threads: int | None,
        matrices: dict[str, QuantizedMatrix],
        blocks: dict[str, NDArray[Any]],
    ) -> None:
        """Make the graph and the packed weights; ValueError unless all parts fit together."""
        network = object.__new__(Network)
        network._define(**definition, dtype=self.dtype)  # and no parameters are allocated
        names = quantized_names(network.graph)
        graph = quantized_graph(network.graph, names)
        expected = {block.name: block.shape for block in graph.blocks if block.name not in names}
        found = {name: block.shape for name, block in blocks.items()}
        if tuple(matrices) != names or found != expected:
            raise ValueError(
                f"these layers need matrices {', '.join(names)} and blocks {expected}, got {', '.join(matrices)} and "
                f"{found}"
            )
        params = np.empty(graph.n_params, self.dtype)
        layers = []
        for block in graph.blocks:
            if block.name in blocks:
                check(block.name, blocks[block.name], self.dtype, block.shape)
                block.view(params)[...] = blocks[block.name]
        for op in graph.operations:
            if op.kind == "dense_int8":
                W, *bias = graph.blocks_of(op)
                matrix = checked_matrix(W.name, matrices[W.name], W.shape)
                layers.append((*matrix, blocks[bias[0].name] if bias else None))
        self.definition, self.n_threads = network.definition, checked_n_threads(n_threads)
        self.matrices, self.blocks = dict(matrices), dict(blocks)
        self.n_features, self.n_outputs = graph.n_features, graph.n_outputs
        self._layers, self._layer_sizes = network.layers, network.layer_sizes
        self._graph, self._params, self._quantized = graph, params, QuantizedLayers(layers)
        n_products = sum(matrix.q.size for matrix in matrices.values())
        self._row_flops = 2 * (n_products / PRODUCTS_AT_ONCE + network.n_weights - n_products)
        self._predictors: dict[Any, Predictor] = {}

    @property
    def layers(self) -> tuple[Layer, ...]:
        """tuple of Layer: those of the network."""
        return self._layers

    @property
    def layer_sizes(self) -> tuple[int, ...]:
        """tuple of int: width of the input and units of the fully connected layers."""
        return self._layer_sizes

    @property
    def accepts_missing(self) -> bool:
        """bool: whether the layers that read the input take missing numbers, which are NaN."""
        return bool(self.layers) and self.layers[0].accepts_missing

    @property
    def nbytes(self) -> int:
        """int: bytes of the parameters, as a pickle or a file holds them."""
        arrays = [array for matrix in self.matrices.values() for array in matrix]
        return sum(array.nbytes for array in [*arrays, *self.blocks.values()])

    def forward(self, X: ArrayLike | sparray | spmatrix) -> NDArray[Any]:
        """The network's output.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n, n_features)
            A sparse matrix is made dense, some rows at a time.

        Returns
        -------
        A : ndarray of float32 of shape (n, n_outputs)
            NaN in rows where a layer with weights of 8 bits has an input that is not finite.
        """
        return self.forward_unchecked(checked_X(X, self.n_features))

    def raw_prediction(self, X: ArrayLike | sparray | spmatrix) -> NDArray[Any]:
        """The network's output before the output activation.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n, n_features)

        Returns
        -------
        Z : ndarray of float32 of shape (n, n_outputs)
        """
        return self.forward_unchecked(checked_X(X, self.n_features), raw=True)

    def forward_unchecked(self, X: Any, raw: bool = False) -> NDArray[Any]:
        """`forward`, or `raw_prediction`, for an X that was checked before.

        Parameters
        ----------
        X : ndarray, sparse matrix or memory-mapped rows of shape (n, n_features)
        raw : bool
            Whether to leave out the output activation.

        Returns
        -------
        A : ndarray of float32 of shape (n, n_outputs)
        """
        if issparse(X):
            parts = [self.forward_unchecked(part, raw) for part in dense_parts(X)]
            return np.concatenate(parts) if parts else np.empty((0, self.n_outputs), self.dtype)
        data = make_data(X, None, None, self.n_outputs, self.dtype)
        out = np.empty((data.n_rows, self.n_outputs), self.dtype)
        if data.n_rows:
            flops = self._row_flops * data.n_rows
            n_threads = threads_for(flops, self.n_threads, STARTED_FLOPS_PER_THREAD)
            self._predictor(raw, data.is_converted)(data, out, n_threads)
        return out

    def _predictor(self, raw: bool, indexed: bool) -> Predictor:
        key = raw, indexed
        found = self._predictors.get(key)
        if found is None:  # two threads may make one each, which are alike
            program = program_of(self._graph, self.dtype, PREDICTION, raw, False, indexed)
            found = self._predictors[key] = Predictor(program, self._params, self._quantized)
        return found

    def __getstate__(self) -> dict[str, Any]:
        return note_version(
            {
                "definition": self.definition,
                "n_threads": self.n_threads,
                "matrices": {name: tuple(matrix) for name, matrix in self.matrices.items()},
                "blocks": self.blocks,
            }
        )

    def __setstate__(self, state: dict[str, Any]) -> None:
        state = warn_if_other_version(state, type(self).__name__)
        matrices = {name: QuantizedMatrix(*arrays) for name, arrays in state.pop("matrices").items()}
        self._bind(**state, matrices=matrices)

    def __repr__(self) -> str:
        sizes = "-".join(map(str, self.layer_sizes))
        return f"<QuantizedNetwork {sizes}, 8 bits in {', '.join(self.matrices) or 'no layer'}; {self.nbytes:,} bytes>"


def checked_matrix(name: str, matrix: QuantizedMatrix, shape: tuple[int, ...]) -> QuantizedMatrix:
    """A matrix of 8 bits as the kernels can use it.

    Parameters
    ----------
    name : str
        Of W, for messages.
    matrix : QuantizedMatrix
    shape : tuple of int
        Of W.

    Returns
    -------
    QuantizedMatrix

    Raises
    ------
    ValueError
        For numbers that `quantized_matrix` does not make.
    """
    q, scale, sums = (np.require(array, requirements=["C", "A"]) for array in matrix)
    check(f"q of {name}", q, np.dtype(np.int8), shape)
    check(f"scale of {name}", scale, np.dtype(np.float32), shape[1:])
    check(f"sums of {name}", sums, np.dtype(np.float32), shape[1:])
    if q.min() < -LARGEST or not (all_finite(scale) and all_finite(sums)) or scale.min() < 0:
        raise ValueError(f"{name} must have weights of at least -{LARGEST}, and finite scales of at least 0")
    return QuantizedMatrix(q, scale, sums)


def dense_parts(X: Any) -> Iterator[NDArray[Any]]:
    """A sparse matrix as dense arrays of some rows each.

    Parameters
    ----------
    X : sparse matrix of shape (n, n_features)

    Yields
    ------
    ndarray
    """
    X = checked_csr("X", X)
    step = max(1, DENSE_NUMBERS // X.shape[1])
    for start in range(0, X.shape[0], step):
        yield X[start : start + step].toarray()
