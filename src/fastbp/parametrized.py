"""Objects whose parameters are described once: type, default, constraint and text.

A parameter is a dataclass field made by `parameter`. The constructor, its signature, the constraints that scikit-learn
checks, and the ``Parameters`` section of the docstring all follow from the field. The optimizers, losses, schedules and
activations are made this way, and so are the estimators.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import MISSING, dataclass, field, fields
from functools import cache
from inspect import cleandoc
from numbers import Real
from textwrap import indent
from typing import Any, ClassVar, Self, TypeVar, cast, dataclass_transform, overload

import numpy as np

from fastbp.compatibility import BaseEstimator, InvalidParameterError, StrOptions, make_constraint

T = TypeVar("T")


def parameter(
    default: Any,
    constraint: list[Any] | str,
    type_text: str | None,
    doc: str,
    *,
    names: Mapping[str, type] | None = None,
    **metadata: Any,
) -> Any:
    """A dataclass field that describes a parameter with a default.

    Parameters
    ----------
    default : object
        Immutable.
    constraint : list or "no_validation"
        As in the ``_parameter_constraints`` of scikit-learn's estimators.
    type_text : str or None
        The type, in words, for the docstring; None where the constraint is a `NameOrObject`, which knows it.
    doc : str
        What the parameter does, for the docstring.
    names : dict or None
        Name -> class; ``{names}`` in `doc` is replaced by a list of the names, each with the summary of its class.
    **metadata : object
        Further entries of the field's metadata.

    Returns
    -------
    dataclasses.Field
    """
    type_text = cast(Any, constraint[0]).type_text if type_text is None else type_text
    doc = cleandoc(doc)
    if names is not None:
        doc = doc.replace("{names}", names_doc(names))
    return field(default=default, metadata={"constraint": constraint, "type_text": type_text, "doc": doc, **metadata})


def required_parameter(constraint: list[Any] | str, type_text: str | None, doc: str) -> Any:
    """A dataclass field that describes a parameter without a default.

    Parameters
    ----------
    constraint, type_text, doc
        As for `parameter`.

    Returns
    -------
    dataclasses.Field
    """
    return parameter(MISSING, constraint, type_text, doc)


def parameters_doc(cls: type[Any]) -> str:
    """The ``Parameters`` section of a class's docstring, in numpydoc's form, without its title."""
    entries = []
    for f in sorted(fields(cls), key=lambda f: bool(f.kw_only)):  # as in the signature
        doc = f.metadata["doc"].replace("\n", "\n    ").replace("\n    \n", "\n\n")
        default = "" if f.default is MISSING else f", default={f.default!r}"
        entries.append(f"{f.name} : {f.metadata['type_text']}{default}\n    {doc}")
    return "\n\n".join(entries)


def names_doc(classes: Mapping[str, type]) -> str:
    """A list of names for a docstring, each with the summary of its class."""
    summaries = {name: str(cls.__doc__).partition("\n\n")[0] for name, cls in classes.items()}
    return "\n".join(f"- {name!r}: {indent(text, '  ').lstrip()}" for name, text in summaries.items())


@overload
def parametrized(cls: type[T], *, eq: bool = True) -> type[T]: ...
@overload
def parametrized(cls: None = None, *, eq: bool = True) -> Callable[[type[T]], type[T]]: ...


# For type checkers a field specifier is a default only where it has the keyword argument `default`, and any other call
# is one: a field made by `parameter` has a default, one made by `required_parameter` has none.
@dataclass_transform(field_specifiers=(required_parameter,))
def parametrized(cls: Any = None, *, eq: bool = True) -> Any:
    """A class decorator: a dataclass whose constraints and docstring follow from its fields.

    Parameters
    ----------
    cls : type
        ``{parameters}`` in its docstring is replaced by the description of the fields.
    eq : bool
        Whether objects with equal parameters are equal.
    """

    def decorate(cls: Any) -> Any:
        cls = dataclass(cls, eq=eq, repr=False, match_args=False)
        cls._parameter_constraints = {f.name: f.metadata["constraint"] for f in fields(cls)}
        # str.replace and not str.format: docstrings are full of braces
        cls.__doc__ = cleandoc(cls.__doc__).replace("{parameters}", parameters_doc(cls))
        return cls

    return decorate if cls is None else decorate(cls)


#: In place of the default of a parameter that must always be checked
NO_DEFAULT = object()


@cache
def checks_of(cls: type[Any]) -> tuple[tuple[str, Any, list[Any]], ...]:
    """What the parameters of a class are checked by, made once for the class.

    Parameters
    ----------
    cls : type
        With ``_parameter_constraints``.

    Returns
    -------
    tuple of (str, object, list)
        For each parameter its name; its default, which needs no check, or `NO_DEFAULT` where the default is not valid;
        and its constraints, of which a value has to satisfy one.
    """
    checks = []
    for name in cls._get_param_names():
        constraints = cls._parameter_constraints.get(name, "no_validation")
        described = getattr(cls, "__dataclass_fields__", {}).get(name)
        default = NO_DEFAULT if described is None or described.default is MISSING else described.default
        made = [] if constraints == "no_validation" else [make_constraint(constraint) for constraint in constraints]
        if made and not any(constraint.is_satisfied_by(default) for constraint in made):
            default = NO_DEFAULT
        checks.append((name, default, made))
    return tuple(checks)


class CachedParamNames(BaseEstimator):
    """Base of all classes with described parameters."""

    _parameter_constraints: ClassVar[dict[str, Any]]

    @classmethod
    @cache
    def _get_param_names(cls) -> list[str]:
        """The names of the parameters; scikit-learn would read the signature in each call, which takes 40 us."""
        return super()._get_param_names()

    def _validate_params(self) -> None:
        """As scikit-learn does it, which makes the constraints anew in each call, and cannot compare with the bounds
        what NumPy knows as no number: a Fraction. Its own check is called where a value is not valid, for the error."""
        cls: Any = type(self)
        try:
            for name, default, constraints in checks_of(cls):
                value = getattr(self, name)
                if value is not default:
                    if constraints and not any(constraint.is_satisfied_by(value) for constraint in constraints):
                        super()._validate_params()
                    self._check_value(name, value)
        except InvalidParameterError:
            raise
        except TypeError as error:
            for name, value in self.get_params(deep=False).items():
                if isinstance(value, Real) and not isinstance(value, (int, float, np.number)):
                    raise InvalidParameterError(
                        f"The {name!r} parameter of {type(self).__name__} must be a number of Python or NumPy, such as "
                        f"float({value!r}). Got {value!r} instead."
                    ) from error
            raise

    def _check_value(self, name: str, value: Any) -> None:
        """What constraints cannot say: an error for a value, other than the default, that they allow."""
        return None


class Parametrized(CachedParamNames):
    """Base of the optimizers, losses, schedules and activations.

    From scikit-learn they have ``get_params``, ``set_params``, ``clone`` and ``repr``, so that a grid search over an
    estimator reaches their parameters, for instance ``solver__beta_1``. Values are checked when they are used, as
    those of an estimator are.

    Attributes
    ----------
    name : str
        The name that stands for an object with default parameters.
    """

    name: ClassVar[str] = None  # type: ignore[assignment]  # all but the base classes have one

    def __copy__(self) -> Self:
        # as `copy.copy`, which goes through a pickle's state and takes ten times as long
        other = object.__new__(type(self))
        other.__dict__.update(self.__dict__)
        return other

    @property
    def constants(self) -> tuple[float, ...]:
        """tuple of float: the parameters, in the order of the fields, as the kernels take them."""
        return tuple(float(getattr(self, name)) for name in self._parameter_constraints)


class NameOrObject(StrOptions):
    """A scikit-learn constraint: one of some names, or an object of the class that has such a name.

    Parameters
    ----------
    names : iterable of str
    base : type
        The class that such objects inherit from.
    or_function : bool
        Whether a function, or any other callable object but a class, will do too.
    """

    def __init__(self, names: Iterable[str], base: type[Parametrized], or_function: bool = False) -> None:
        super().__init__(dict.fromkeys(names).keys())  # a set that keeps the order
        self.base, self.or_function = base, or_function

    @property
    def type_text(self) -> str:
        """str: the type, in words, for a docstring."""
        kinds = [self.base.__name__, *["callable"] * self.or_function]
        return ", ".join([f"{{{', '.join(map(repr, self.options))}}}", *kinds[:-1]]) + f" or {kinds[-1]}"

    def is_satisfied_by(self, val: Any) -> bool:
        """Whether `val` is one of the names, or an object with one of them, or a function that will do."""
        if isinstance(val, self.base):
            return val.name in self.options
        is_function = self.or_function and callable(val) and not isinstance(val, type)
        return is_function or super().is_satisfied_by(val)

    def __str__(self) -> str:
        function = " or a function" if self.or_function else ""
        module = self.base.__module__.removesuffix(".base")
        return f"{super().__str__()} or an object of {module} with one of these names{function}"
