"""`Graph`: a computational graph as a table and as a Graphviz source.

`fastbp.inspection.GraphDisplay` draws it with matplotlib.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastbp.autodiff.variable import OPERATIONS, Variable, topological_order

#: An array of at most so many elements, in at most so many columns, is shown in full.
FULL_SIZE, FULL_COLUMNS = 9, 4

DOT_STYLE = {
    "constant": 'shape=box, style="filled,dashed", fillcolor="#EEEEEE"',
    "variable": 'shape=box, style="filled,bold", fillcolor="#CCE6F6"',
    "operation": 'shape=box, style="filled,rounded", fillcolor="#FFFFFF"',
    "output": 'shape=box, style="filled,rounded", peripheries=2, fillcolor="#FBE7C2"',
}


class Graph:
    """All nodes that an output was computed from.

    ``fastbp.inspection.GraphDisplay.from_graph(graph)`` draws it.

    Parameters
    ----------
    output : Variable

    Attributes
    ----------
    output : Variable
    nodes : list of Variable
        Every node once, after its operands; the output is the last. Each has ``name``, ``operation``, ``operands``,
        ``shape``, ``value`` and, after ``output.backward()``, ``gradient``.

    Examples
    --------
    >>> from fastbp.autodiff import Graph, Variable
    >>> a, b = Variable(2.0, name="a"), Variable(-3.0, name="b")
    >>> L = a * b + 10
    >>> L.backward()
    >>> print(Graph(L))
       node  kind       operands  shape  value  gradient
    0  a     variable             ()     2      -3
    1  b     variable             ()     -3     2
    2  ×     operation  0 1       ()     -6     1
    3        constant             ()     10
    4  +     output     2 3       ()     4      1
    """

    output: Variable
    nodes: list[Variable]

    def __init__(self, output: Variable) -> None:
        if not isinstance(output, Variable):
            raise TypeError(f"output must be a Variable, got {output!r}")
        self.output = output
        self.nodes = topological_order(output)

    @property
    def edges(self) -> list[tuple[int, int]]:
        """list of (int, int): the numbers of an operand and of the node computed from it, operand by operand."""
        number = {id(node): i for i, node in enumerate(self.nodes)}
        return [(number[id(x)], i) for i, node in enumerate(self.nodes) for x in node.operands]

    def kind(self, node: Variable) -> str:
        """The kind of a node: "constant", "variable" (a leaf with a gradient), "operation" or "output".

        Parameters
        ----------
        node : Variable

        Returns
        -------
        str
        """
        if node is self.output:
            return "output"
        if node.operation:
            return "operation"
        return "constant" if node.is_constant else "variable"

    def title(self, node: Variable) -> str:
        """Name, operation and settings of a node, such as "hidden = tanh" or "Σ axis=1".

        Parameters
        ----------
        node : Variable

        Returns
        -------
        str
        """
        words = [node.name] if node.name else []
        if node.operation:
            words += ["="] if node.name else []
            words += [OPERATIONS[node.operation].symbol if node.operation in OPERATIONS else node.operation]
            words += [f"{key}={value}" for key, value in node.settings.items() if is_worth_showing(value)]
        return " ".join(words)

    def text(self, node: Variable) -> tuple[str, list[str], list[str]]:
        """The text of a node in a picture: title, lines of the value, lines of the gradient.

        Parameters
        ----------
        node : Variable

        Returns
        -------
        title : str
        value, gradient : list of str
        """
        title, value = self.title(node), describe(node.value)
        gradient: list[str] = [] if node.gradient is None else describe(node.gradient)
        if not title and not gradient and len(value) == 1:
            title, value = value[0], []  # a number in a formula has no other title
        return title, value, gradient

    def to_dot(self) -> str:
        """The graph in Graphviz's language, for ``dot -Tsvg`` for example.

        Returns
        -------
        str
        """
        lines = ["digraph {", "    rankdir=LR;", '    node [fontname="monospace"];']
        for i, node in enumerate(self.nodes):
            title, value, gradient = self.text(node)
            text = [*filter(None, [title]), *indented("value", value), *indented("gradient", gradient)]
            label = "".join(line.replace("\\", r"\\").replace('"', r"\"").replace("\n", " ") + r"\l" for line in text)
            lines.append(f'    {i} [label="{label}", {DOT_STYLE[self.kind(node)]}];')
        lines += [f"    {operand} -> {i};" for operand, i in self.edges]
        return "\n".join([*lines, "}"]) + "\n"

    def __len__(self) -> int:
        return len(self.nodes)

    def __str__(self) -> str:
        operands: list[list[str]] = [[] for _ in self.nodes]
        for operand, i in self.edges:
            operands[i].append(str(operand))
        rows = [("", "node", "kind", "operands", "shape", "value", "gradient")]
        for i, node in enumerate(self.nodes):
            value, gradient = ("" if a is None else one_line(a) for a in (node.value, node.gradient))
            rows.append(
                (str(i), self.title(node), self.kind(node), " ".join(operands[i]), str(node.shape), value, gradient)
            )
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        return "\n".join(
            "  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip() for row in rows
        )

    def __repr__(self) -> str:
        return f"<Graph of {len(self)} nodes, {len(self.edges)} edges>"


def is_worth_showing(setting: object) -> bool:
    """Whether a setting differs from the default of its operation, and is short."""
    return setting is not None and setting is not False and len(str(setting)) <= 12


def describe(array: NDArray[Any]) -> list[str]:
    """Lines of text: a small array in full, row by row, a larger one by its shape and its Euclidean norm."""
    if array.size == 0 or array.ndim > 2 or array.size > FULL_SIZE or array.shape[-1:] > (FULL_COLUMNS,):
        return [f"{array.shape}, norm {np.linalg.norm(array.ravel()):.3g}"]
    texts = [[f"{number + 0.0:.3g}" for number in row] for row in np.atleast_2d(array)]  # + 0.0: no negative zero
    width = max(len(text) for row in texts for text in row)
    return [" ".join(text.rjust(width) for text in row) for row in texts]


def one_line(array: NDArray[Any]) -> str:
    """`describe` with semicolons between the rows."""
    return "; ".join(" ".join(line.split()) for line in describe(array))


def indented(label: str, lines: list[str]) -> list[str]:
    """Lines with a label before the first."""
    return [(label if i == 0 else "").ljust(len(label)) + " " + line for i, line in enumerate(lines)]
