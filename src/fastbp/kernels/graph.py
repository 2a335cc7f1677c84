"""The computational graph of a network before it is compiled: nodes, operations and blocks of parameters.

Layers add operations to a `GraphBuilder`, which builds a `Graph`. A `Program` (program.pyx) is a graph that was
compiled for one purpose: its buffers have offsets, and its operations are C structs.

The flat parameter vector contains first the matrices, in the order of the operations, and then the vectors (biases,
scales)::

    W_1 (row by row), W_2, ..., W_L, b_1, b_2, ..., b_L
"""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import chain, pairwise
from math import inf, prod
from typing import Any, NamedTuple

from numpy.typing import NDArray

from fastbp.kernels.cached import cached_property
from fastbp.kernels.dispatch import ACTIVATIONS
from fastbp.kernels.forms import FITS, KINDS_WITH_INTEGERS, Form

NAMES = {number: name for name, number in ACTIVATIONS.items()}
#: Kinds between a dense operation and the activation that follows it
BETWEEN = ("batch_norm", "running_norm", "row_norm", "scale", "dropout", "add")
#: Constants of an operation, at most
N_CONSTANTS = 4


@dataclass(frozen=True)
class Group:
    """Parameters with the same update.

    Attributes
    ----------
    learning_rate : float
        Factor of the learning rate.
    penalty : float
        Factor of the penalties alpha and l1.
    decay : float
        Factor of the decoupled weight decay.
    trained : bool
        Whether they have a gradient. If not, an operation writes them, such as running statistics.
    """

    learning_rate: float = 1.0
    penalty: float = 0.0
    decay: float = 0.0
    trained: bool = True

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if not 0 <= value < inf:
                raise ValueError(f"{name} of a Group must be a finite number >= 0, got {value!r}")


class Block(NamedTuple):
    """A matrix of parameters.

    Attributes
    ----------
    name : str
        Its name in the operation, and a number: "W_1".
    operation : int
        Index of the operation that has it.
    offset : int
        Offset in the flat vector.
    shape : tuple of int
        (rows, cols), or (cols,) for a bias or scale.
    group : int
        Index in ``Graph.groups``.
    """

    name: str
    operation: int
    offset: int
    shape: tuple[int, ...]
    group: int

    @property
    def rows(self) -> int:
        """int: of the matrix."""
        return self.shape[0] if len(self.shape) == 2 else 1

    @property
    def cols(self) -> int:
        """int: of the matrix."""
        return self.shape[-1]

    @property
    def size(self) -> int:
        """int: its parameters."""
        return self.rows * self.cols

    def view(self, flat: NDArray[Any]) -> NDArray[Any]:
        """The block in a flat vector, such as the parameters or a gradient."""
        return flat[self.offset : self.offset + prod(self.shape)].reshape(self.shape)


class Operation(NamedTuple):
    """A computation with nodes as inputs and output.

    Attributes
    ----------
    kind : str
        A name in ``fastbp.kernels.forms.FITS``.
    input, output : int
        Nodes.
    input2 : int
        The second input; -1 if there is only one.
    first_block, n_blocks : int
        Its blocks in ``Graph.blocks``.
    argument : int
        activation: its number. row_norm: 1 if the mean is subtracted, else 0. robust_scale: 1 if it has integers.
        embedding: 1 if rows are added up, else 0. piecewise_linear, periodic: 1 if the second input is the end of the
        output, else 0.
    constants : tuple of float
        dropout: the rate. row_norm, running_norm: epsilon. batch_norm: epsilon and momentum. robust_scale: the clip.
    integers : tuple of int
        robust_scale, piecewise_linear, periodic: columns. one_hot, embedding: the number of columns, the columns, and
        the levels of each.
    layer : object
        The layer that added it.
    """

    kind: str
    input: int
    output: int
    input2: int = -1
    first_block: int = 0
    n_blocks: int = 0
    argument: int = 0
    constants: tuple[float, ...] = ()
    integers: tuple[int, ...] = ()
    layer: Any = None


@dataclass(frozen=True)
class Graph:
    """Operations in the order of the forward pass. Built by `GraphBuilder`.

    Attributes
    ----------
    widths : tuple of int
        Of the nodes; node 0 is the input.
    operations : tuple of Operation
    blocks : tuple of Block
        In the order of the operations.
    groups : tuple of Group
    n_params : int
        Length of the flat vector.
    n_coefs : int
        Number of parameters in matrices, which come first: weights of dense operations, and tables.
    programs : dict
        Programs that the graph was compiled to: see ``program_of``.
    """

    widths: tuple[int, ...]
    operations: tuple[Operation, ...]
    blocks: tuple[Block, ...]
    groups: tuple[Group, ...]
    n_params: int
    n_coefs: int
    programs: dict[Any, Any] = field(default_factory=dict, init=False, repr=False, compare=False)

    @property
    def n_features(self) -> int:
        """int: width of the input."""
        return self.widths[0]

    @property
    def n_outputs(self) -> int:
        """int: width of the output."""
        return self.widths[self.operations[-1].output]

    @property
    def output_activation(self) -> str:
        """str: name of the last operation, which is an activation."""
        return NAMES[self.operations[-1].argument]

    @property
    def first_activation(self) -> str | None:
        """str or None: name of the first hidden activation; None if there is only that of the output."""
        return next((NAMES[op.argument] for op in self.operations[:-1] if op.kind == "activation"), None)

    @property
    def readers_of_input(self) -> list[Operation]:
        """list of Operation: those that read the input."""
        return [op for op in self.operations if 0 in (op.input, op.input2)]

    @cached_property
    def readers(self) -> dict[int, list[Operation]]:
        """dict of int to list of Operation: the operations that read each node."""
        readers = defaultdict(list)
        for op in self.operations:
            for node in {op.input, op.input2}:
                readers[node].append(op)
        return readers

    @cached_property
    def dense_operations(self) -> tuple[tuple[Operation, Operation | None], ...]:
        """tuple of (Operation, Operation or None): the dense operations, each with the activation that alone reads it.

        None if another kind of operation reads the output, or several do.
        """
        found = []
        for op in self.operations:
            if op.kind == "dense":
                after = self.readers[op.output]
                is_activation = [reader.kind for reader in after] == ["activation"]
                found.append((op, after[0] if is_activation else None))
        return tuple(found)

    @cached_property
    def dense_blocks(self) -> tuple[tuple[Block, Block | None], ...]:
        """tuple of (Block, Block or None): W and b of the dense operations."""
        owned = [self.blocks_of(op) for op, _ in self.dense_operations]
        return tuple((own[0], own[1] if len(own) > 1 else None) for own in owned)

    @cached_property
    def dense_shapes(self) -> list[tuple[int, ...]]:
        """list of (int, int): fan_in and fan_out of the dense operations."""
        return [W.shape for W, _ in self.dense_blocks]

    def blocks_of(self, op: Operation) -> tuple[Block, ...]:
        """tuple of Block: those of an operation."""
        return self.blocks[op.first_block : op.first_block + op.n_blocks]

    def views(self, op: Operation, flat: NDArray[Any]) -> list[NDArray[Any]]:
        """The blocks of an operation in a flat vector, as a list."""
        return [block.view(flat) for block in self.blocks_of(op)]

    def saved_parts(self, op: Operation) -> int:
        """For how many parts of a row an operation saves numbers: columns, columns and frequencies, or 1."""
        if op.kind == "periodic":
            return self.blocks[op.first_block].size
        return len(op.integers) if op.kind == "piecewise_linear" else 1

    def has_trained_blocks(self, op: Operation) -> bool:
        """Whether an operation has parameters with a gradient."""
        return any(self.groups[block.group].trained for block in self.blocks_of(op))

    def up_to(self, node: int) -> "Graph":
        """The part of the graph from which the values of a node follow; the flat vector is that of the whole graph.

        Parameters
        ----------
        node : int
            Not the input.

        Returns
        -------
        Graph
            Its output is the node.
        """
        needed, sources = {node}, []
        for op in reversed(self.operations):
            if op.output in needed:
                needed |= {op.input, op.input2}
                sources.append(op)
        nodes, widths = {-1: -1, 0: 0}, [self.n_features]
        operations: list[Operation] = []
        blocks: list[Block] = []
        for op in reversed(sources):
            nodes[op.output] = len(widths)
            widths.append(self.widths[op.output])
            own = [block._replace(operation=len(operations)) for block in self.blocks_of(op)]
            places: dict[str, Any] = {name: nodes[getattr(op, name)] for name in ("input", "input2", "output")}
            operations.append(op._replace(first_block=len(blocks), **places))
            blocks += own
        return replace(self, widths=tuple(widths), operations=tuple(operations), blocks=tuple(blocks))

    @cached_property
    def n_weights(self) -> int:
        """int: weights of the dense operations, with which each row is multiplied."""
        return sum(W.size for W, _ in self.dense_blocks)

    @cached_property
    def n_input_weights(self) -> int:
        """int: weights of the dense operations that read the input."""
        return sum(self.blocks[op.first_block].size for op in self.readers_of_input if op.kind == "dense")

    @property
    def own_activations(self) -> tuple[str, ...]:
        """tuple of str: the activation that alone reads each dense operation; "identity" if there is none."""
        return tuple("identity" if after is None else NAMES[after.argument] for _, after in self.dense_operations)

    @cached_property
    def activations(self) -> tuple[str, ...]:
        """tuple of str: the activation that follows each dense operation, also one with trained parameters, or behind a
        normalization, a scale, dropout or the end of a residual connection; "identity" if there is none."""
        return tuple(self.activation_behind(op.output) for op, _ in self.dense_operations)

    def activation_behind(self, node: int) -> str:
        """The name of the activation that follows a node; "identity" if there is none."""
        # a residual connection that begins here is no second path to an activation
        readers = [op for op in self.readers[node] if op.kind != "add"] or self.readers[node][:1]
        if [op.kind for op in readers] == ["activation", "blend"]:
            return "blend"
        if len(readers) != 1:
            return "identity"
        (op,) = readers
        if op.kind in BETWEEN:
            return self.activation_behind(op.output)
        return {"activation": NAMES.get(op.argument, ""), "prelu": "prelu"}.get(op.kind, "identity")

    @property
    def is_dense_stack(self) -> bool:
        """bool: whether this is W_1, f_1, W_2, f_2, ..., with biases, and nothing else."""
        kinds = [op.kind for op in self.operations]
        pairs = list(pairwise(kinds))
        return (
            set(kinds) == {"dense", "activation"}
            and kinds[0] == "dense"
            and ("activation", "activation") not in pairs
            and all(b is not None for _, b in self.dense_blocks)
        )

    @property
    def structure(self) -> tuple[Any, ...]:
        """tuple: equal for graphs that compute the same function of input and parameters, up to the output
        activation."""
        operations = [op._replace(layer=None, first_block=0) for op in self.operations]
        operations[-1] = operations[-1]._replace(argument=None)  # type: ignore[arg-type]
        return self.widths, tuple(operations), tuple(block.shape for block in self.blocks)

    @cached_property
    def for_prediction(self) -> "Graph":
        """Graph: the same as predictions and derivatives need it, without dropout, and with running statistics in place
        of those of a batch; the graph itself if it has neither."""
        if all(op.kind not in ("dropout", "batch_norm") for op in self.operations):
            return self
        nodes, widths = {-1: -1, 0: 0}, [self.n_features]
        numbers: dict[int, int] = {}
        operations: list[Operation] = []
        for number, op in enumerate(self.operations):
            if op.kind == "dropout":
                nodes[op.output] = nodes[op.input]
                continue
            if op.kind == "batch_norm":
                op = op._replace(kind="running_norm", constants=op.constants[:1])
            numbers[number], nodes[op.output] = len(operations), len(widths)
            places: dict[str, Any] = {name: nodes[getattr(op, name)] for name in ("input", "input2", "output")}
            operations.append(op._replace(**places))
            widths.append(self.widths[op.output])
        blocks = tuple(block._replace(operation=numbers[block.operation]) for block in self.blocks)
        return replace(self, widths=tuple(widths), operations=tuple(operations), blocks=blocks)

    @cached_property
    def penalized(self) -> list[tuple[slice, float]]:
        """list of (slice, float): the parts of the flat vector that are penalized, and their factors of alpha."""
        parts: list[tuple[slice, float]] = []
        for block in sorted(self.blocks, key=lambda block: block.offset):
            factor, end = self.groups[block.group].penalty, block.offset + block.size
            if not factor:
                continue
            if parts and parts[-1][0].stop == block.offset and parts[-1][1] == factor:
                parts[-1] = (slice(parts[-1][0].start, end), factor)
            else:
                parts.append((slice(block.offset, end), factor))
        return parts


class GraphBuilder:
    """Builds a graph from the operations of layers.

    Parameters
    ----------
    n_features : int
        Width of the input, which is node 0.
    """

    def __init__(self, n_features: int) -> None:
        self.widths: list[int] = [n_features]
        self.operations: list[Operation] = []
        self.blocks: list[Any] = []  # (name, operation, shape, group)
        self.counts: Counter[str] = Counter()  # of the operations of each kind that own blocks
        self.kind_of_name: dict[str, str] = {}  # the kind whose operations have blocks of this name
        self.groups: dict[Group, int] = {}

    def emit(
        self,
        kind: str,
        input: int,
        width: int,
        *,
        input2: int = -1,
        blocks: Sequence[tuple[str, tuple[int, ...], Group]] = (),
        argument: int = 0,
        constants: Sequence[float] = (),
        integers: Sequence[int] = (),
        layer: object = None,
    ) -> int:
        """Append an operation.

        Parameters
        ----------
        kind : str
            A name in ``fastbp.kernels.forms.FITS``.
        input : int
            Node to read.
        width : int
            Of the output.
        input2 : int
            Second node to read, or -1.
        blocks : sequence of (str, tuple of int, Group)
            Name, shape and group of the parameters that the operation owns; a dense operation has W and then b.
        argument : int
            Number of an activation.
        constants : tuple of float
            As the kind needs them.
        integers : sequence of int
            As the kind needs them.
        layer : object
            The layer that adds it.

        Returns
        -------
        int
            The node that the operation writes.

        Raises
        ------
        ValueError
            If nodes, widths, blocks, argument, constants or integers do not fit the kind, or if the name of a block is
            taken.
        """
        if kind not in FITS:
            raise ValueError(f"kind must be one of {', '.join(FITS)}; got {kind!r}")
        nodes = (input,) if input2 == -1 else (input, input2)
        for node in nodes:
            if not 0 <= node < len(self.widths):
                raise ValueError(f"the graph has {len(self.widths)} nodes, an operation reads node {node}")
        inputs = [self.widths[node] for node in nodes]
        shapes = [tuple(shape) for _, shape, _ in blocks]
        smallest = min([width, *chain.from_iterable(shapes)])
        if smallest < 1:
            raise ValueError(f"widths and shapes must be at least 1, got {smallest} in an operation {kind!r}")
        integers = tuple(map(int, integers))
        fits = FITS[kind](Form(inputs, width, shapes, argument, constants, integers))
        if not fits or (integers and kind not in KINDS_WITH_INTEGERS):
            has_integers = f", the integers {integers}" if integers else ""
            raise ValueError(
                f"an operation {kind!r} of {layer} needs this: {FITS[kind].__doc__} Got inputs of width {inputs}, an "
                f"output of width {width}, blocks of shape {shapes}, the argument {argument}, the constants "
                f"{constants}{has_integers}"
            )
        self.check_names(kind, [name for name, _, _ in blocks], layer)
        output = len(self.widths)
        self.widths.append(int(width))
        first = len(self.blocks)
        self.counts[kind] += bool(blocks)
        for name, shape, group in blocks:
            number = self.groups.setdefault(group, len(self.groups))
            self.kind_of_name[name] = kind
            self.blocks.append((f"{name}_{self.counts[kind]}", len(self.operations), shape, number))
        numbers = (argument, tuple(map(float, constants)), integers)
        self.operations.append(Operation(kind, input, output, input2, first, len(blocks), *numbers, layer))
        return output

    def check_names(self, kind: str, names: Sequence[str], layer: object) -> None:
        """ValueError unless the blocks of an operation differ in their names, and no other kind has such names: blocks
        are numbered for each kind, and could otherwise have the same name and number."""
        for i, name in enumerate(names):
            owner = self.kind_of_name.get(name, kind)
            if owner != kind or name in names[:i]:
                raise ValueError(
                    f"an operation {kind!r} of {layer} has a block {name!r}, but an operation {owner!r} has a block of "
                    "this name already; use another name"
                )

    def finish(self) -> Graph:
        """The graph, with a place in the flat vector for every block.

        Raises
        ------
        ValueError
            If the output of an operation other than the last is not read: nothing would come of it.
        """
        read = {node for op in self.operations for node in (op.input, op.input2)}
        for op in self.operations[:-1]:
            if op.output not in read:
                raise ValueError(f"no operation reads the output of an operation {op.kind!r} of {op.layer}")
        n_coefs = sum(prod(shape) for _, _, shape, _ in self.blocks if len(shape) == 2)
        ends = {2: 0, 1: n_coefs}  # of the matrices, which come first, and of the vectors
        blocks = []
        for name, operation, shape, group in self.blocks:
            offset = ends[len(shape)]
            blocks.append(Block(name, operation, offset, shape, group))
            ends[len(shape)] = offset + prod(shape)
        parts = (tuple(self.widths), tuple(self.operations), tuple(blocks), tuple(self.groups))
        return Graph(*parts, n_params=ends[1], n_coefs=n_coefs)
