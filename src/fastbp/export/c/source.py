"""A C file that grows: the functions that are needed of `helpers`, and arrays and functions of the model."""

import re
from dataclasses import dataclass

from fastbp.export.c.helpers import HELPERS, OF_DOUBLE
from fastbp.export.c.text import TYPES, adapted, array, numbers


@dataclass(frozen=True)
class Function:
    """A function for the user.

    Attributes
    ----------
    name : str
        Without the prefix.
    arguments : list of str
        Declarations, in templates.
    body : list of str
        Statements, in templates.
    comment : str
        What it does.
    result : str
        Type of the value.
    """

    name: str
    arguments: list
    body: list
    comment: str
    result: str = "void"

    @property
    def signature(self):
        """str: result, name and arguments, in templates."""
        return f"{self.result} @{self.name}({', '.join(self.arguments)})"


class Source:
    """The definitions of a C file.

    Parameters
    ----------
    prefix : str
        The beginning of all names.
    real : {"float", "double"}
        The type of the networks' numbers.

    Attributes
    ----------
    helpers, body : list of str
        Functions that others call; arrays and functions of the model. In the order of their definition.
    """

    def __init__(self, prefix, real):
        self.prefix, self.real = prefix, real
        self.helpers, self.body, self._known, self._arrays = [], [], set(), set()

    def adapted(self, template, real=None):
        """C code of a template, in the type of the networks or in `real`. Functions of `helpers` that it calls are
        added in this type; in another one than that of the networks, their names end with it."""
        real = real or self.real
        for name in re.findall(r"@(\w+)", template):
            if name in HELPERS:
                self._add_helper(name, real)
        return adapted(template, real, lambda name: f"{self.prefix}_{self._name(name, real)}")

    def _name(self, name, real):
        is_other = name in HELPERS and name not in OF_DOUBLE and real != self.real
        return f"{name}_{real}" if is_other else name

    def _add_helper(self, name, real):
        if self._name(name, real) not in self._known:
            self._known.add(self._name(name, real))
            self.helpers.append(self.adapted(HELPERS[name], "double" if name in OF_DOUBLE else real))

    def add(self, template, real=None):
        """Append a function."""
        self.body.append(self.adapted(template, real))

    def array(self, name, values):
        """Append an array of numbers.

        Parameters
        ----------
        name : str
            Without the prefix. What cannot be part of a name in C is replaced.
        values : ndarray of float32, float64 or integers

        Returns
        -------
        str
            The name in templates.
        """
        name = plain = re.sub(r"\W", "_", name, flags=re.ASCII)
        while name in self._arrays:
            name = f"{plain}_{len(self._arrays)}"
        self._arrays.add(name)
        c_type = TYPES.get(values.dtype.name, "int32_t")
        self.body.append(array(c_type, f"{self.prefix}_{name}", numbers(values)))
        return f"@{name}"
