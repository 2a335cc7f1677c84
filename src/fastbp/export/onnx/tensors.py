"""Tensors of an ONNX graph as objects: arithmetic on them adds nodes to the graph.

So formulas of activations and layers are written as in NumPy. All nodes are of the version 13 of ONNX's operators, in
forms that later versions have too, and of those that onnxruntime has for float and for double.
"""

from abc import ABC, abstractmethod
from itertools import count

import numpy as np

BOOL, INT64, TEXT = np.dtype(bool), np.dtype(np.int64), np.dtype(object)


class OnnxGraph(ABC):
    """Where nodes and constants are added.

    Constants that are equal are one.
    """

    def __init__(self):
        self._constants = {}
        self._numbers = count()

    @abstractmethod
    def add_node(self, op_type, inputs, output, attributes):
        """Add a node.

        Parameters
        ----------
        op_type : str
        inputs : list of str
            Names of tensors.
        output : str
            Name of the tensor that it makes.
        attributes : dict
        """

    @abstractmethod
    def add_constant(self, name, array):
        """Add a tensor that holds an array; of str in an array of objects."""

    @abstractmethod
    def type_of(self, dtype):
        """The number of a dtype in ONNX: of float32, float64, int64, bool, and object for text."""

    def new_name(self, what):
        """A name that no other tensor has.

        Parameters
        ----------
        what : str
            What it is, for the reader.

        Returns
        -------
        str
        """
        return f"{what}_{next(self._numbers)}"

    def constant(self, values, dtype):
        """A tensor that holds some values.

        Parameters
        ----------
        values : array-like
        dtype : numpy.dtype

        Returns
        -------
        Tensor
        """
        array = np.asarray(values, dtype)
        content = tuple(array.ravel()) if dtype == TEXT else array.tobytes()
        key = dtype, array.shape, content
        if key not in self._constants:
            self._constants[key] = self.new_name("constant")
            self.add_constant(self._constants[key], array)
        return Tensor(self, self._constants[key], dtype)


class Tensor:
    """A tensor of an ONNX graph.

    Numbers and arrays beside it become constants of its dtype.

    Parameters
    ----------
    graph : OnnxGraph
    name : str
    dtype : numpy.dtype
        float32, float64, int64, bool, or object for text.
    """

    __array_ufunc__ = None  # so that an array beside a Tensor leaves the arithmetic to it

    def __init__(self, graph, name, dtype):
        self.graph, self.name, self.dtype = graph, name, np.dtype(dtype)

    def apply(self, op_type, *others, dtype=None, **attributes):
        """The output of a node whose first input is this tensor.

        Parameters
        ----------
        op_type : str
        *others : Tensor or array-like
            Further inputs.
        dtype : numpy.dtype or None
            Of the output; None for that of this tensor.
        **attributes : object

        Returns
        -------
        Tensor
        """
        others = [self._constant(other) for other in others]
        output = Tensor(self.graph, self.graph.new_name(op_type), dtype or self.dtype)
        self.graph.add_node(op_type, [self.name, *(other.name for other in others)], output.name, attributes)
        return output

    def _constant(self, values, dtype=None):
        return values if isinstance(values, Tensor) else self.graph.constant(values, dtype or self.dtype)

    # Arithmetic

    def __add__(self, other):
        return self.apply("Add", other)

    def __sub__(self, other):
        return self.apply("Sub", other)

    def __rsub__(self, other):
        return self._constant(other) - self

    def __mul__(self, other):
        return self.apply("Mul", other)

    def __truediv__(self, other):
        return self.apply("Div", other)

    def __rtruediv__(self, other):
        return self._constant(other) / self

    def __matmul__(self, other):
        return self.apply("MatMul", other)

    def __neg__(self):
        return self.apply("Neg")

    __radd__, __rmul__ = __add__, __mul__

    def __lt__(self, other):
        return self.apply("Less", other, dtype=BOOL)

    def __gt__(self, other):
        return self.apply("Greater", other, dtype=BOOL)

    def __and__(self, other):
        return self.apply("And", other)

    def equals(self, other):
        """Whether elements are equal."""
        return self.apply("Equal", other, dtype=BOOL)

    def is_nan(self):
        """Whether elements are NaN."""
        return self.apply("IsNaN", dtype=BOOL)

    def where(self, condition, other):
        """The elements where a condition holds, else those of `other`."""
        output = Tensor(self.graph, self.graph.new_name("Where"), self.dtype)
        self.graph.add_node("Where", [condition.name, self.name, self._constant(other).name], output.name, {})
        return output

    def clip(self, low, high):
        """The elements between two limits, which may be arrays; NaN stays: the operators Max and Min do not say so."""
        low, high = self._constant(low), self._constant(high)
        raised = low.where(self < low, self)
        return high.where(raised > high, raised)

    # Shapes

    def columns(self, numbers):
        """Some columns, of the axis 1."""
        return self.gather(self._constant(numbers, INT64), axis=1)

    def gather(self, indices, axis=0):
        """The elements at some indices along an axis."""
        return self.apply("Gather", indices, axis=axis)

    def reshape(self, *shape):
        """The same elements in another shape, in which 0 stands for the length that the axis has."""
        return self.apply("Reshape", self._constant(shape, INT64))

    def sum(self, axis=1, keepdims=True):
        """Sums along an axis."""
        return self.apply("ReduceSum", self._constant([axis], INT64), keepdims=int(keepdims))

    def concatenate(self, *others):
        """Columns side by side."""
        return self.apply("Concat", *others, axis=1) if others else self

    def cast(self, dtype):
        """In another dtype."""
        dtype = np.dtype(dtype)
        return self if dtype == self.dtype else self.apply("Cast", dtype=dtype, to=self.graph.type_of(dtype))

    def argmax(self):
        """The column of the (first) largest element of each row, of shape (n,)."""
        return self.apply("ArgMax", dtype=INT64, axis=1, keepdims=0)
