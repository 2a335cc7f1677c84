"""`Variable`, an array that stores how it was computed, and the decorator `operation`, which defines operations.

An operand that is not a Variable becomes a constant of the Variables' dtype, so that float32 stays float32.
"""

import functools
import operator
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Never, ParamSpec

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

P = ParamSpec("P")

#: name: the function on Variables. The decorator `operation` adds them.
OPERATIONS: dict[str, Any] = {}

# NumPy's names of Python's operators, for an array to the left of a Variable
ARITHMETIC = ("add", "subtract", "multiply", "divide", "power", "matmul")
COMPARISONS = ("less", "less_equal", "greater", "greater_equal", "equal", "not_equal")


def as_array(value: Any, dtype: DTypeLike | None = None) -> NDArray[Any]:
    """The value as an array of `dtype`; None keeps float32 and makes float64 of everything else."""
    if isinstance(value, Variable):
        raise TypeError(f"expected an array or a number, got {value!r}; its array is `.value`")
    array = np.asarray(value)
    if array.dtype.kind not in "fiub":
        raise TypeError(f"a Variable holds real numbers, got dtype {array.dtype}; convert the values to float first")
    return np.asarray(array, dtype or (np.float32 if array.dtype.type is np.float32 else np.float64))


def plain(value: Any) -> Any:
    """The array of a Variable; anything else unchanged."""
    return value.value if isinstance(value, Variable) else value


def both_sides(name: str) -> tuple[Callable[[Any, Any], "Variable"], Callable[[Any, Any], "Variable"]]:
    """The methods for ``variable + other`` and for ``other + variable``."""
    return lambda a, b: OPERATIONS[name](a, b), lambda b, a: OPERATIONS[name](a, b)


def comparison(compare: Callable[[Any, Any], Any]) -> Callable[[Any, Any], NDArray[np.bool_]]:
    """The method for ``variable < other``: a plain boolean array."""
    return lambda a, b: compare(a.value, plain(b))


def not_numpy(name: str) -> TypeError:
    """The error for a NumPy function that was given a Variable."""
    instead = f"fastbp.autodiff.{name}" if name in OPERATIONS else f"one of fastbp.autodiff ({', '.join(OPERATIONS)})"
    return TypeError(
        f"np.{name} does not record what it computes from a Variable: use {instead}, or pass the array `.value` to "
        f"np.{name} if no gradient is needed"
    )


class Variable:
    """An array that stores how it was computed.

    Operators (``+ - * / ** @``, indexing, ``abs``), the methods below and the functions of `fastbp.autodiff` return new
    Variables; comparisons return boolean arrays. ``x += 1`` binds the name x to a new Variable.

    Parameters
    ----------
    value : array-like of real numbers
        Copied. float32 stays, everything else becomes float64.
    name : str or None
        For pictures and tables; it can be set later: ``hidden.name = "hidden"``.

    Attributes
    ----------
    value : ndarray
        That of a leaf may be changed (``W.value -= 0.1 * W.gradient``); Variables computed from it are not updated.
    gradient : ndarray of the value's shape and dtype, or None
        The gradient of the output whose `backward` was called last; None before, and for constants.
    operation : str or None
        A name in ``OPERATIONS``; None for a leaf.
    operands : tuple of Variable
    settings : dict
        Other arguments of the operation, such as ``axis``.
    is_constant : bool
        Whether it depends on constants only.

    Examples
    --------
    >>> from fastbp.autodiff import Variable
    >>> x = Variable([1.0, 2.0])
    >>> y = (x**2).sum()
    >>> y.backward()
    >>> x.gradient
    array([2., 4.])
    """

    value: NDArray[Any]
    name: str | None
    gradient: Any
    operation: str | None
    operands: tuple["Variable", ...]
    settings: dict[str, Any]
    is_constant: bool

    def __init__(self, value: ArrayLike, name: str | None = None) -> None:
        self._set(as_array(value).copy(), name)

    def _set(
        self,
        value: Any,
        name: str | None = None,
        operation: str | None = None,
        operands: tuple["Variable", ...] = (),
        settings: dict[str, Any] | None = None,
        vjps: Sequence[Callable[[NDArray[Any]], Any]] = (),
        is_constant: bool = False,
    ) -> None:
        self.value, self.name = value, name
        self.gradient = None
        self.operation, self.operands, self.settings, self._vjps = operation, operands, settings or {}, vjps
        self.is_constant = is_constant

    @property
    def shape(self) -> tuple[int, ...]:
        """tuple of int: of the value."""
        return self.value.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """dtype: float32 or float64."""
        return self.value.dtype

    @property
    def ndim(self) -> int:
        """int: number of axes."""
        return self.value.ndim

    @property
    def size(self) -> int:
        """int: number of elements."""
        return self.value.size

    @property
    def T(self) -> "Variable":
        """Variable: the axes in reverse order."""
        return self.transpose()

    def backward(self, gradient: ArrayLike | None = None) -> None:
        """Compute the ``gradient`` of every node that this one was computed from.

        Each call overwrites the gradients of earlier calls. For the gradient of a sum of outputs, call
        ``(first + second).backward()``.

        Parameters
        ----------
        gradient : array-like of this node's shape, or None
            dL/d(this node) of some L; None for L = this node, which then must have a single element.
        """
        if self.is_constant:
            raise ValueError("backward of a constant: it was not computed from a Variable, so there is no gradient")
        if gradient is None:
            if self.size != 1:
                raise ValueError(
                    f"backward needs an output with one element, and this has shape {self.shape}: take its sum() or "
                    f"mean(), or call backward(gradient) with an array of shape {self.shape}"
                )
            gradient = np.ones(self.shape)
        gradient = as_array(gradient)
        if gradient.shape != self.shape:
            raise ValueError(f"gradient must have the shape of the output, {self.shape}, got {gradient.shape}")
        nodes = topological_order(self)
        for node in nodes:
            node.gradient = None if node.is_constant else np.zeros_like(node.value)
        self.gradient += gradient
        for node in reversed(nodes):
            for x, vjp in zip(node.operands, node._vjps, strict=True):
                if not x.is_constant:
                    x.gradient += unbroadcast(vjp(node.gradient), x.shape)

    def sum(self, axis: int | tuple[int, ...] | None = None, keepdims: bool = False) -> "Variable":
        """The sum over some axes, or over all."""
        return OPERATIONS["sum"](self, axis=axis, keepdims=keepdims)

    def mean(self, axis: int | tuple[int, ...] | None = None, keepdims: bool = False) -> "Variable":
        """The mean over some axes, or over all."""
        return OPERATIONS["mean"](self, axis=axis, keepdims=keepdims)

    def reshape(self, *shape: int) -> "Variable":
        """The same elements in another shape, given as numbers or as one tuple."""
        return OPERATIONS["reshape"](self, shape=shape if len(shape) != 1 else shape[0])

    def transpose(self, axes: tuple[int, ...] | None = None) -> "Variable":
        """The axes in another order, or reversed."""
        return OPERATIONS["transpose"](self, axes=axes)

    if TYPE_CHECKING:  # the operators below, for tools that only read the source

        def __add__(self, other: Any) -> "Variable": ...
        def __radd__(self, other: Any) -> "Variable": ...
        def __sub__(self, other: Any) -> "Variable": ...
        def __rsub__(self, other: Any) -> "Variable": ...
        def __mul__(self, other: Any) -> "Variable": ...
        def __rmul__(self, other: Any) -> "Variable": ...
        def __truediv__(self, other: Any) -> "Variable": ...
        def __rtruediv__(self, other: Any) -> "Variable": ...
        def __pow__(self, other: Any) -> "Variable": ...
        def __rpow__(self, other: Any) -> "Variable": ...
        def __matmul__(self, other: Any) -> "Variable": ...
        def __rmatmul__(self, other: Any) -> "Variable": ...
        def __lt__(self, other: Any) -> NDArray[np.bool_]: ...
        def __le__(self, other: Any) -> NDArray[np.bool_]: ...
        def __gt__(self, other: Any) -> NDArray[np.bool_]: ...
        def __ge__(self, other: Any) -> NDArray[np.bool_]: ...
        def __eq__(self, other: Any) -> NDArray[np.bool_]: ...  # type: ignore[override]
        def __ne__(self, other: Any) -> NDArray[np.bool_]: ...  # type: ignore[override]
        def __hash__(self) -> int: ...

    else:
        __add__, __radd__ = both_sides("add")
        __sub__, __rsub__ = both_sides("subtract")
        __mul__, __rmul__ = both_sides("multiply")
        __truediv__, __rtruediv__ = both_sides("divide")
        __pow__, __rpow__ = both_sides("power")
        __matmul__, __rmatmul__ = both_sides("matmul")
        __lt__, __le__ = comparison(operator.lt), comparison(operator.le)
        __gt__, __ge__ = comparison(operator.gt), comparison(operator.ge)
        __eq__, __ne__ = comparison(operator.eq), comparison(operator.ne)
        __hash__ = object.__hash__  # by identity, as the nodes of a graph are distinguished

    def __neg__(self) -> "Variable":
        return OPERATIONS["negative"](self)

    def __abs__(self) -> "Variable":
        return OPERATIONS["absolute"](self)

    def __getitem__(self, index: Any) -> "Variable":
        return OPERATIONS["getitem"](self, index=index)

    def __len__(self) -> int:
        return len(self.value)

    def __iter__(self) -> Iterator["Variable"]:
        return (self[i] for i in range(len(self)))

    def __float__(self) -> float:
        return float(self.value)

    def __bool__(self) -> bool:
        raise TypeError(
            "a Variable has no truth value: the graph would contain only the branch that was taken. Choose element by "
            "element with fastbp.autodiff.where(condition, a, b), or use its array, `.value`"
        )

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *operands: Any, **options: Any) -> Any:
        # NumPy calls this for `array * variable`. (With __array_ufunc__ = None it would call __rmul__, but the error
        # for np.exp(x) would then not name the function to use instead.)
        if method == "__call__" and not options and ufunc.__name__ in ARITHMETIC:
            return OPERATIONS[ufunc.__name__](*operands)
        if method == "__call__" and not options and ufunc.__name__ in COMPARISONS:
            return ufunc(*map(plain, operands))
        raise not_numpy(ufunc.__name__)

    def __array_function__(self, function: Any, types: Any, args: Any, kwargs: Any) -> Never:
        raise not_numpy(function.__name__)

    def __array__(self, dtype: Any = None, copy: Any = None) -> Never:
        raise not_numpy("asarray")

    def __getstate__(self) -> dict[str, Any]:
        if self.operands:
            raise TypeError("only a leaf of a graph can be copied or pickled: use the array, `.value`")
        return self.__dict__

    def __repr__(self) -> str:
        text = np.array2string(self.value, separator=", ", threshold=20, prefix="Variable(")
        name = f", name={self.name!r}" if self.name else ""
        return f"Variable({text}{name}{f', operation={self.operation!r}' if self.operation else ''})"


def constant(value: ArrayLike, name: str | None = None, dtype: DTypeLike | None = None) -> Variable:
    """Make a leaf without a gradient. Operations convert arrays and numbers to constants; this function can name them.

    Parameters
    ----------
    value : array-like of real numbers
        Not copied if it is an array of the right dtype.
    name : str or None
    dtype : float32, float64 or None
        None keeps float32 and makes float64 of everything else.

    Returns
    -------
    Variable
    """
    node = object.__new__(Variable)
    node._set(as_array(value, dtype), name, is_constant=True)
    return node


def topological_order(output: Variable) -> list[Variable]:
    """All nodes that an output was computed from: every node once, after its operands, the output at the end.

    The depth-first search has an explicit stack, so that Python's recursion limit does not limit the depth of a graph.

    Parameters
    ----------
    output : Variable

    Returns
    -------
    list of Variable
    """
    order, seen, stack = [], set(), [(output, False)]
    while stack:
        node, operands_are_done = stack.pop()
        if operands_are_done:
            order.append(node)
        elif id(node) not in seen:
            seen.add(id(node))
            stack.append((node, True))
            stack += [(operand, False) for operand in reversed(node.operands)]
    return order


def unbroadcast(gradient: NDArray[Any], shape: tuple[int, ...]) -> NDArray[Any]:
    """The gradient of an operand that was broadcast to a larger shape: the sum over the copies of each element."""
    if gradient.shape == shape:
        return gradient
    gradient = gradient.sum(axis=tuple(range(gradient.ndim - len(shape))))
    stretched = tuple(axis for axis, size in enumerate(shape) if size == 1)
    return gradient.sum(axis=stretched, keepdims=True)


def operation(symbol: str) -> Callable[[Callable[P, Any]], Callable[P, Variable]]:
    """Decorator that makes an operation on Variables from a rule on arrays, and adds it to ``OPERATIONS``.

    Parameters
    ----------
    symbol : str
        For pictures.

    Returns
    -------
    decorator
        Of a function with the operands as positional parameters and everything else as keyword-only ones. It returns
        the value and, for each operand, the function from dL/d(value) to dL/d(operand). It need not consider
        broadcasting: the gradients of the copies are added up later.

    Examples
    --------
    >>> import numpy as np
    >>> from fastbp.autodiff import OPERATIONS, Variable, operation
    >>> @operation("sin")
    ... def sin(x):
    ...     return np.sin(x), lambda g: g * np.cos(x)
    >>> x = Variable(0.0)
    >>> sin(2 * x).backward()
    >>> float(x.gradient)
    2.0
    >>> del OPERATIONS["sin"]
    """

    def decorate(rule: Callable[P, Any]) -> Callable[P, Variable]:
        @functools.wraps(rule)
        def record(*arguments: P.args, **settings: P.kwargs) -> Variable:
            given: tuple[Any, ...] = arguments
            dtypes = [x.dtype for x in given if isinstance(x, Variable)]
            dtype = np.result_type(*dtypes) if dtypes else None
            operands = tuple(x if isinstance(x, Variable) else constant(x, dtype=dtype) for x in given)
            value, *vjps = rule(*(x.value for x in operands), **settings)  # type: ignore[arg-type]
            node = object.__new__(Variable)
            node._set(
                np.asarray(value, np.result_type(*(x.dtype for x in operands))),
                operation=rule.__name__,
                operands=operands,
                settings=settings,
                vjps=vjps,
                is_constant=all(x.is_constant for x in operands),
            )
            return node

        record.symbol = symbol  # type: ignore[attr-defined]
        OPERATIONS[rule.__name__] = record
        return record

    return decorate
