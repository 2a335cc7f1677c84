"""A network in C: a function that makes the operations of its graph one after the other."""

import textwrap

from fastbp.export.c.kinds import IN_PLACE, KINDS, Call
from fastbp.export.c.text import WIDTH
from fastbp.kernels.graph import NAMES


def is_identity(op):
    """Whether an operation changes nothing."""
    return op.kind == "activation" and NAMES[op.argument] == "identity"


def places_of(graph):
    """Where the nodes are in the memory that a prediction works in.

    Parameters
    ----------
    graph : Graph

    Returns
    -------
    places : dict of int to int
        Node -> offset of its numbers, for all nodes but the input and its copies. Nodes that are needed at the same
        time do not overlap.
    origin : dict of int to int
        Node -> the node whose numbers it has: itself, but for the output of an identity.
    size : int
        Numbers in all.
    """
    origin = {0: 0}
    for op in graph.operations:
        origin[op.output] = origin[op.input] if is_identity(op) else op.output
    last = {origin[graph.operations[-1].output]: len(graph.operations)}
    for number, op in enumerate(graph.operations):
        for node in (op.input, op.input2):
            if node >= 0:
                last[origin[node]] = max(last.get(origin[node], 0), number)
    places, size = {}, 0
    for number, op in enumerate(graph.operations):
        if is_identity(op):
            continue
        may_overwrite = op.kind in IN_PLACE and origin[op.input] != 0 and last[origin[op.input]] == number
        if may_overwrite:
            places[op.output] = places[origin[op.input]]
            continue
        taken = sorted((places[node], graph.widths[node]) for node in places if last.get(node, -1) >= number)
        width, begin = graph.widths[op.output], 0
        for offset, length in taken:
            if offset - begin >= width:
                break
            begin = max(begin, offset + length)
        places[op.output] = begin
        size = max(size, begin + width)
    return places, origin, size


def at(pointer, offset):
    """A pointer, moved by an offset."""
    return f"{pointer} + {offset}" if offset else pointer


def wrapped(statement):
    """A statement of a function as lines."""
    return textwrap.fill(statement, WIDTH, initial_indent=" " * 4, subsequent_indent=" " * 8, break_long_words=False)


def write_network(source, graph, params, name, label=""):
    """Add a function ``static const real *name(const real *x, real *work)`` that computes a graph.

    Parameters
    ----------
    source : Source
    graph : Graph
        For prediction.
    params : ndarray of shape (n_params,)
        In the type of `source`.
    name : str
        Of the function, without the prefix.
    label : str
        In front of the names of its arrays.

    Returns
    -------
    int
        How many numbers `work` has. The function returns where the output is in it.
    """
    places, origin, size = places_of(graph)

    def where(node):
        return "x" if origin[node] == 0 else at("work", places[origin[node]])

    statements = []
    for op in graph.operations:
        if not is_identity(op):
            inputs = [where(node) for node in (op.input, op.input2) if node >= 0]
            call = Call(source, graph, op, graph.views(op, params), inputs, where(op.output), label)
            statements += KINDS[op.kind](call).splitlines()
    body = "\n".join(map(wrapped, statements))
    output = where(graph.operations[-1].output)
    source.add(f"static const real *@{name}(const real *x, real *work) {{\n{body}\n    return {output};\n}}\n")
    return size
