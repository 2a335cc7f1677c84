"""Compile a graph of operations into a program: arrays of C structs, with the offsets of all buffers.

Buffers are placed by columns: a node of width w at column c has the elements [c * capacity, (c + w) * capacity) of a
workspace for `capacity` rows. The purpose determines how long a buffer is needed:

===============  ==================================================  ================================================
purpose          values                                              gradients
===============  ==================================================  ================================================
``TRAINING``     all are kept for the gradients of the parameters    all are kept for the same reason
``PREDICTION``   a buffer is reused after its last reader            none
``DERIVATIVES``  all are kept                                        a buffer is reused after the backward pass of the
                                                                     operation that writes its node
``INSPECTION``   all are kept, without sharing of buffers            the same
===============  ==================================================  ================================================

If the kind allows it, the output shares the buffer of an input that no other operation reads. The backward pass of such
a kind reads its output and not its input; except for prediction, the next operation does not overwrite this output.

If the output activation is the link of the loss, the loss is computed from the raw output, and with ``raw=True`` the
output activation is dropped from the program. Only `drops_link` decides this.
"""

from collections import Counter
from itertools import accumulate

import numpy as np

from libc.stdint cimport int64_t

from fastbp.kernels.data cimport address
from fastbp.kernels.dispatch cimport block_t, kernels_for, kind_t, node_t, operation_t

from fastbp.kernels.dispatch import (
    ACTIVATIONS, KINDS, KINDS_BY_ROWS, KINDS_IN_PLACE, LINKS, N_SAVED, NEEDS_PREACTIVATION, check_available
)

from fastbp.kernels.graph import N_CONSTANTS
from fastbp.kernels.precision import precision_of
from fastbp.kernels.quantized import scratch_width

TRAINING, PREDICTION, DERIVATIVES, INSPECTION = "training", "prediction", "derivatives", "inspection"

NODE = np.dtype([(name, np.int64) for name in ("width", "value", "grad", "tangent")])
BLOCK = np.dtype([(name, np.int64) for name in ("operation", "offset", "rows", "cols", "mirror", "group")])
OPERATION = np.dtype(
    [(name, np.int64) for name in
     ("kind", "input", "input2", "output", "adds", "first_block", "n_blocks", "first_integer", "argument", "saved")]
    + [("constant", np.float64, N_CONSTANTS)])
assert (NODE.itemsize, BLOCK.itemsize, OPERATION.itemsize) == (sizeof(node_t), sizeof(block_t), sizeof(operation_t))

cdef int64_t ALIGNMENT = 16  # elements: 64 bytes of float
NAMES = {number: name for name, number in KINDS.items()}
NEEDS_INPUT = {ACTIVATIONS[name] for name in NEEDS_PREACTIVATION}


def drops_link(graph, loss):
    """Whether the output activation is part of the loss, which is then computed from the raw output.

    Parameters
    ----------
    graph : Graph
    loss : str or None
        A name in ``LOSSES``; None for a custom loss, which always gets the raw output.
    """
    return loss is None or LINKS[loss] == graph.output_activation


def place(intervals):
    """Offsets of buffers, so that buffers that are needed at the same time do not overlap (first fit).

    Parameters
    ----------
    intervals : dict of int to (int, float, float)
        Width of each buffer, and the first and last moment at which it is needed.

    Returns
    -------
    places : dict of int to int
    total : int
        Total width.
    """
    places, taken, total = {}, [], 0
    for buffer, (width, first, last) in sorted(intervals.items(), key=lambda item: item[1][1]):
        taken = [entry for entry in taken if entry[2] >= first]
        start = 0
        for begin, end, _ in sorted(taken):
            if start + width <= begin:
                break
            start = max(start, end)
        places[buffer] = start
        taken.append((start, start + width, last))
        total = max(total, start + width)
    return places, total


def place_all(widths):
    """Offsets of buffers that are all needed at the same time."""
    places, total = {}, 0
    for buffer, width in widths.items():
        places[buffer] = total
        total += width
    return places, total


def structs(rows, dtype):
    """Tuples as a read-only array of structs, because the kernels use the offsets without checks."""
    return np.frombuffer(np.array(rows, dtype).tobytes(), dtype)


def program_of(graph, dtype, purpose, raw=False, sparse=False, indexed=False):
    """A graph compiled for a purpose; kept in the graph for later calls.

    Parameters
    ----------
    graph, dtype, purpose, raw, sparse, indexed
        As for `Program`.

    Returns
    -------
    Program
    """
    key = (dtype, purpose, raw, sparse, indexed)
    found = graph.programs.get(key)
    if found is None:  # two threads may compile one each, which are alike
        found = graph.programs[key] = Program(graph, dtype, purpose, raw=raw, sparse=sparse, indexed=indexed)
    return found


cdef class Program:
    """A graph compiled for one purpose.

    Parameters
    ----------
    graph : Graph
    dtype : {"float32", "float64", "bfloat16"} or dtype
        bfloat16: the parameters are float32, and the matrix products of ``TRAINING`` are in bfloat16. ValueError for
        ``TRAINING`` where this is not possible.
    purpose : str
        ``TRAINING``, ``PREDICTION``, ``DERIVATIVES`` or ``INSPECTION``.
    raw : bool
        Whether the output is the one before the output activation.
    sparse : bool
        Whether the input is in compressed sparse rows. ValueError unless only dense operations read it.
    indexed : bool
        Whether the rows of the input are gathered into a buffer (else they are a slice of the data).

    Attributes
    ----------
    nodes, blocks, operations : structured ndarray, read-only
        Arrays of node_t, block_t and operation_t (program.h).
    integers : ndarray of int64, read-only
        Of all operations.
    value_columns, grad_columns, tangent_columns : int
        Columns of the workspace: numbers per row.
    mirror_size : int
        Numbers in the copies of W^T.
    reductions : list of int
        The operations that need all rows of a batch.
    statistics_width : int
        Columns of their statistics.
    tilings : dict
        How the parameters were divided among threads: see `fastbp.kernels.partition.tiling_of`.
    """

    def __init__(self, graph, dtype, purpose, *, bint raw=False, bint sparse=False, bint indexed=False):
        precision = precision_of(dtype)
        self.graph, self.dtype, self.tilings = graph, precision.dtype, {}
        self.is_raw, self.is_sparse, self.is_indexed, self.purpose = raw, sparse, indexed, purpose
        self.check_purpose(TRAINING, PREDICTION, DERIVATIVES, INSPECTION)
        table = precision.training_table if purpose == TRAINING else precision.table
        check_available(table)
        self.kernels = kernels_for(table)
        operations = list(graph.operations)
        if raw:
            dropped = operations.pop()
            if dropped.kind != "activation":
                raise ValueError("a raw output needs a graph whose last operation is an activation")
        if purpose != TRAINING and graph.for_prediction is not graph:
            raise ValueError(
                f"a program for {purpose} has neither dropout nor statistics of a batch: compile graph.for_prediction"
            )
        if any(op.kind == "dense_int8" for op in operations) and (purpose != PREDICTION or self.dtype != np.float32):
            raise ValueError(
                f"weights of 8 bits are for predictions in float32, got a program for {purpose} in {self.dtype}"
            )
        output = operations[-1].output if operations else 0
        others = {op.kind if op.layer is None else type(op.layer).__name__
                  for op in graph.readers_of_input if op.kind != "dense"}
        if sparse and others:
            raise ValueError(
                f"a sparse X can be read by Dense layers only, and here {', '.join(sorted(others))} reads it too; "
                "use X.toarray()"
            )
        self.place_statistics(operations)
        self.differentiated = self.nodes_with_gradient(operations)
        nodes = self.place_nodes(operations, output, indexed and not sparse)
        self.place_blocks()
        self.place_operations(operations, output)
        self.nodes = structs(nodes, NODE)
        self.c.nodes = <const node_t *> address(self.nodes)
        self.c.blocks = <const block_t *> address(self.blocks)
        self.c.operations = <const operation_t *> address(self.operations)
        self.c.integers = <const int64_t *> address(self.integers) if len(self.integers) else NULL
        self.c.n_nodes, self.c.n_blocks, self.c.n_operations = len(self.nodes), len(self.blocks), len(self.operations)
        self.c.n_params, self.c.output = graph.n_params, output
        last = graph.operations[-1]
        self.c.raw_output = last.input if last.kind == "activation" else last.output

    def check_purpose(self, *purposes):
        """ValueError unless the program was compiled for one of these."""
        if self.purpose not in purposes:
            raise ValueError(f"the purpose of the program must be {' or '.join(purposes)}, got {self.purpose!r}")

    def place_statistics(self, operations):
        """Columns of the statistics for the operations that need all rows of a batch: they cut the program into
        segments."""
        self.reductions, self.saved_columns, self.statistics_width = [], {}, 0
        for number, op in enumerate(operations):
            if self.kernels.kinds[<int64_t> KINDS[op.kind]].reduce != NULL:
                self.reductions.append(number)
                self.saved_columns[number] = self.statistics_width
                self.statistics_width += self.graph.widths[op.input]

    def nodes_with_gradient(self, operations):
        """set of int: the nodes whose gradients are computed. Training needs those of nodes that depend on trained
        parameters only: behind dropout of the input, the first layer computes no gradient of its input."""
        everything, dependent = {op.output for op in operations}, set()
        for op in operations:
            if self.graph.has_trained_blocks(op) or op.input in dependent or op.input2 in dependent:
                dependent.add(op.output)
        return dependent if self.purpose == TRAINING and dependent else everything

    def place_nodes(self, operations, output, indexed):
        """Rows of NODE."""
        widths = dict(enumerate(self.graph.widths))
        readers = Counter(node for op in operations for node in (op.input, op.input2) if node >= 0)
        in_place = {op.output for op in operations if op.kind in KINDS_IN_PLACE}
        shares_value, shares_grad = {}, {}  # node -> the node whose buffer it uses
        if self.purpose != INSPECTION:
            for op in operations:
                if op.kind in KINDS_IN_PLACE and op.input != 0 and readers[op.input] == 1:
                    shares_grad[op.output] = shares_grad.get(op.input, op.input)
                    if self.purpose == PREDICTION or (op.argument not in NEEDS_INPUT and op.input not in in_place):
                        shares_value[op.output] = shares_value.get(op.input, op.input)
        used = [op.output for op in operations]
        everything = {node: widths[node] for node in used}
        values, self.value_columns = self.place_values(operations, output, shares_value, indexed)
        self.saved_columns |= {number: values[number, "saved"] for number in self.saved_widths(operations)}
        grads = tangents = {}
        if self.purpose == TRAINING or self.purpose == INSPECTION:
            grads, self.grad_columns = place_all(
                {node: width for node, width in everything.items()
                 if node not in shares_grad and node in self.differentiated}
            )
        elif self.purpose == DERIVATIVES:
            grads, self.grad_columns = self.place_gradients(operations, output, shares_grad)
        if self.purpose == DERIVATIVES:
            tangents, self.tangent_columns = place_all(everything)
        return [
            (
                width,
                values.get(shares_value.get(node, node), -1),
                grads.get(shares_grad.get(node, node), -1),
                tangents.get(node, -1),
            )
            for node, width in widths.items()
        ]

    def place_values(self, operations, output, shares, indexed):
        """Offsets of the values of the nodes that have their own buffer."""
        widths = self.graph.widths
        owned = {op.output: widths[op.output] for op in operations if op.output not in shares}
        if indexed:
            owned = {0: widths[0], **owned}
        saved = {(number, "saved"): width for number, width in self.saved_widths(operations).items()}
        if self.purpose != PREDICTION:
            return place_all(owned | saved)
        needed = {node: (-1.0, -1.0) for node in owned}
        for moment, op in enumerate(operations):
            for node in (op.input, op.input2, op.output):
                owner = shares.get(node, node)
                if owner in needed:
                    first = needed[owner][0]
                    needed[owner] = (moment if first < 0 and node == op.output else first, moment)
        if shares.get(output, output) in needed:
            needed[shares.get(output, output)] = (needed[shares.get(output, output)][0], np.inf)
        scratch = {(number, name): (width, number, number) for (number, name), width in saved.items()}
        return place({node: (widths[node], *needed[node]) for node in owned} | scratch)

    def saved_widths(self, operations):
        """How many numbers of a row are saved by each operation that saves any; for predictions, those of the scratch
        of operations that need one."""
        if self.purpose == PREDICTION:
            return {number: scratch_width(self.graph.widths[op.input])
                    for number, op in enumerate(operations) if op.kind == "dense_int8"}
        return {number: N_SAVED[op.kind] * self.graph.saved_parts(op)
                for number, op in enumerate(operations) if N_SAVED[op.kind]}

    def place_gradients(self, operations, output, shares):
        """Offsets of the gradients, in the order of the backward pass."""
        widths = self.graph.widths
        needed = {shares.get(output, output): (-1, -1)}
        for moment, op in enumerate(reversed(operations)):
            for node in (op.output, op.input, op.input2):
                if node > 0:
                    owner = shares.get(node, node)
                    needed[owner] = (needed.get(owner, (moment, moment))[0], moment)
        needed.pop(0, None)
        return place({node: (widths[node], *moments) for node, moments in needed.items()})

    def place_blocks(self):
        """The blocks, with mirrors if a backward or a forward pass reads W^T."""
        rows, place = [], 0
        for block in self.graph.blocks:
            op = self.graph.operations[block.operation]
            mirror = -1
            is_weight = op.kind == "dense" and op.first_block == len(rows)
            if is_weight and (
                self.purpose in (DERIVATIVES, INSPECTION)
                or (self.purpose == TRAINING and op.input in self.differentiated)
                or self.forward_reads_mirror(op)
            ):
                mirror = place
                place += -(-block.size // ALIGNMENT) * ALIGNMENT
            rows.append((block.operation, block.offset, block.rows, block.cols, mirror, block.group))
        self.mirror_size = place
        self.blocks = structs(rows, BLOCK)

    def is_dense_sparse(self, op):
        """Whether the input of a dense operation is in compressed sparse rows."""
        return self.is_sparse and op.input == 0

    def forward_reads_mirror(self, op):
        """Whether the forward pass of a dense operation reads W^T: it has so few outputs that most lanes of a vector
        would be empty."""
        cdef int64_t lanes = self.kernels.vector_bytes // self.dtype.itemsize
        is_narrow = 4 * self.graph.blocks[op.first_block].cols <= lanes
        return self.purpose == TRAINING and is_narrow and not self.is_dense_sparse(op)

    def place_operations(self, operations, output):
        """The operations. `adds` marks gradients that are added to those of other readers of the same node."""
        rows, written = [], {output}
        places = list(accumulate((len(op.integers) for op in operations), initial=0))
        self.integers = structs([number for op in operations for number in op.integers], np.int64)
        for number, op in reversed(list(enumerate(operations))):
            adds = 0
            for bit, node in ((1, op.input), (2, op.input2)):
                if node in written:
                    adds |= bit
                if node >= 0:
                    written.add(node)
            kind, argument = op.kind, op.argument
            if kind == "dense":
                kind = "dense_sparse" if self.is_dense_sparse(op) else kind
                argument = int(self.forward_reads_mirror(op))
            saved, constants = self.saved_columns.get(number, -1), (*op.constants, *[0.0] * N_CONSTANTS)[:N_CONSTANTS]
            rows.append((KINDS[kind], op.input, op.input2, op.output, adds, op.first_block, op.n_blocks,
                         places[number], argument, saved, constants))
        self.operations = structs(rows[::-1], OPERATION)

    @property
    def raw_output(self):
        """int: the node before the output activation."""
        return self.c.raw_output

    @property
    def is_by_rows(self):
        """bool: whether the gradients of all blocks can be computed for parts of the rows."""
        return all(NAMES[kind] in KINDS_BY_ROWS for kind in self.operations["kind"])

    def check_derivatives(self, order):
        """Check that every kind has what derivatives need.

        Parameters
        ----------
        order : {"forward", "reverse", "second"}
            Forward mode, reverse mode, or the product with the Hessian.

        Raises
        ------
        ValueError
            Names the first operation that lacks one.
        """
        cdef int64_t i
        cdef const operation_t *operation
        cdef const kind_t *kind
        cdef bint lacks
        for i in range(self.c.n_operations):
            operation = &self.c.operations[i]
            kind = self.kernels.kinds[operation.kind]
            lacks = order != "reverse" and kind.tangent == NULL
            if order != "forward":
                lacks = lacks or kind.backward == NULL or (operation.n_blocks > 0 and kind.gradient == NULL)
            if order == "second":
                lacks = lacks or kind.backward_tangent == NULL
                lacks = lacks or (operation.n_blocks > 0 and kind.gradient_tangent == NULL)
            if lacks:
                mode = {"forward": "forward-mode", "reverse": "reverse-mode", "second": "second"}[order]
                raise ValueError(f"the operation {NAMES[operation.kind]} has no {mode} derivative")
