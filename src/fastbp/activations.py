"""The activations of layers as objects: one class for each name in the kernels' table.

``Relu()`` means the same as the name ``"relu"``. The classes are made from the table, so that a new activation needs
its name here only, for tools that read the source; its function and derivative are in ``kernels/activations.h``.
`Prelu` and `Blend` have trained parameters: they are for hidden layers only, and each is a kind of operation of its
own.
"""

from functools import cache
from numbers import Real
from typing import TYPE_CHECKING

import numpy as np

from fastbp.compatibility import Interval
from fastbp.kernels import dispatch
from fastbp.kernels.activations import activation_forward
from fastbp.parametrized import NameOrObject, Parametrized, parameter, parametrized

#: name -> (formula, source), for the docstrings
FORMULAS: dict[str, tuple[str, str | None]] = {
    "identity": ("f(z) = z", None),
    "logistic": ("f(z) = 1 / (1 + exp(-z))", None),
    "tanh": ("f(z) = tanh(z)", None),
    "relu": (
        "f(z) = max(0, z)",
        "Nair and Hinton (2010), Rectified linear units improve restricted Boltzmann machines, ICML.",
    ),
    "leaky_relu": (
        "f(z) = z if z > 0 else 0.01 * z",
        "Maas, Hannun and Ng (2013), Rectifier nonlinearities improve neural network acoustic models, ICML.",
    ),
    "elu": (
        "f(z) = z if z > 0 else exp(z) - 1",
        "Clevert, Unterthiner and Hochreiter (2016), Fast and accurate deep network learning by exponential linear "
        "units (ELUs), ICLR.",
    ),
    "selu": (
        "f(z) = 1.0507 * (z if z > 0 else 1.6733 * (exp(z) - 1))",
        "Klambauer, Unterthiner, Mayr and Hochreiter (2017), Self-normalizing neural networks, NIPS, eq. 2.",
    ),
    "gelu": (
        "f(z) = z * Phi(z), Phi the distribution function of the standard normal",
        "Hendrycks and Gimpel (2016), Gaussian error linear units (GELUs).",
    ),
    "silu": (
        "f(z) = z / (1 + exp(-z))",
        "Elfwing, Uchibe and Doya (2018), Sigmoid-weighted linear units for neural network function approximation in "
        "reinforcement learning, Neural Networks 107.",
    ),
    "mish": (
        "f(z) = z * tanh(log(1 + exp(z)))",
        "Misra (2019), Mish: a self regularized non-monotonic activation function.",
    ),
    "softplus": (
        "f(z) = log(1 + exp(z))",
        "Dugas, Bengio, Belisle, Nadeau and Garcia (2001), Incorporating second-order functional knowledge for better "
        "option pricing, NIPS.",
    ),
    "exp": ("f(z) = exp(z)", None),
    "softmax": (
        "f(z)_i = exp(z_i) / sum_j exp(z_j) over the units of the layer",
        "Bridle (1990), Probabilistic interpretation of feedforward classification network outputs.",
    ),
}

#: What only an output layer can be
OUTPUT_ONLY = ("softmax", "exp")


@parametrized
class Activation(Parametrized):
    """Base class of the activations; not to be used itself."""


def class_of(name: str) -> type[Activation]:
    """The class of the activation `name`: "leaky_relu" becomes LeakyRelu."""
    formula, source = FORMULAS.get(name, ("", None))
    doc = f"The activation {name!r} of a layer."
    if formula:
        doc += f"\n\nWith the pre-activation ``z``::\n\n    {formula}"
    if source is not None:
        doc += f"\n\nReferences\n----------\n{source}"
    class_name = "".join(part.capitalize() for part in name.split("_"))
    return parametrized(type(class_name, (Activation,), {"name": name, "__module__": __name__, "__doc__": doc}))


#: name -> class of every activation
ACTIVATIONS = {name: class_of(name) for name in dispatch.ACTIVATIONS}
globals().update({cls.__name__: cls for cls in ACTIVATIONS.values()})
if TYPE_CHECKING:  # the same, for tools that only read the source

    class Identity(Activation): ...

    class Logistic(Activation): ...

    class Tanh(Activation): ...

    class Relu(Activation): ...

    class LeakyRelu(Activation): ...

    class Elu(Activation): ...

    class Selu(Activation): ...

    class Gelu(Activation): ...

    class Silu(Activation): ...

    class Mish(Activation): ...

    class Softplus(Activation): ...

    class Exp(Activation): ...

    class Softmax(Activation): ...


@parametrized
class Prelu(Activation):
    """The activation 'prelu' of a hidden layer, with a trained slope for each unit.

    With the pre-activation ``z`` and the slope ``a``::

        f(z) = z if z > 0 else a * z

    Parameters
    ----------
    {parameters}

    References
    ----------
    He, Zhang, Ren and Sun (2015), Delving deep into rectifiers, ICCV, eq. 1. The slopes have no penalty there either.
    """

    name = "prelu"

    initial: float = parameter(
        0.25, [Interval(Real, None, None, closed="neither")], "float", "First value of all slopes."
    )


@parametrized
class Blend(Activation):
    """The activation 'blend' of a hidden layer: a trained mixture, for each unit, of the identity and a function.

    With the pre-activation ``z`` and the share ``alpha``::

        f(z) = z + alpha * (g(z) - z)

    Parameters
    ----------
    {parameters}

    References
    ----------
    Manessi and Rozza (2018), Learning combinations of activation functions, ICPR, with these two functions; the shares
    are not bounded here.
    """

    name = "blend"

    activation: str | Activation = parameter(
        "tanh",
        [NameOrObject((*ACTIVATIONS, "prelu", "blend"), Activation)],
        "str or Activation",
        "The function g.",
    )

    initial: float = parameter(
        1.0,
        [Interval(Real, None, None, closed="neither")],
        "float",
        "First value of all shares: with 1 training begins with g, with 0 with the identity.",
    )


#: name -> class of the activations with trained parameters
TRAINED_ACTIVATIONS: dict[str, type[Prelu] | type[Blend]] = {cls.name: cls for cls in (Prelu, Blend)}
#: Names of those that a hidden layer can have
HIDDEN_ACTIVATIONS = (*(name for name in ACTIVATIONS if name not in OUTPUT_ONLY), *TRAINED_ACTIVATIONS)

__all__ = ["ACTIVATIONS", "HIDDEN_ACTIVATIONS", "TRAINED_ACTIVATIONS", "name_of", "output_range", "resolve"]
__all__ += ["Activation", *(cls.__name__ for cls in ACTIVATIONS.values())]
__all__ += [cls.__name__ for cls in TRAINED_ACTIVATIONS.values()]


def name_of(activation: str | Activation) -> str:
    """The name of an activation.

    Parameters
    ----------
    activation : str or Activation

    Returns
    -------
    str
        A key of ``ACTIVATIONS``.

    Raises
    ------
    ValueError
        For anything else, with all names.

    Examples
    --------
    >>> from fastbp.activations import LeakyRelu, name_of
    >>> name_of(LeakyRelu()), name_of("relu")
    ('leaky_relu', 'relu')
    """
    name = activation.name if isinstance(activation, Activation) else activation
    if not isinstance(name, str) or name not in ACTIVATIONS:
        raise ValueError(f"activation must be one of {', '.join(sorted(ACTIVATIONS))}; got {activation!r}")
    return name


def resolve(activation: str | Activation) -> str | Prelu | Blend:
    """The name of an activation without parameters, or the object of one with parameters.

    Parameters
    ----------
    activation : str or Activation

    Returns
    -------
    str, Prelu or Blend
        A key of ``ACTIVATIONS``, or an object whose values were checked.

    Raises
    ------
    ValueError
        For anything else, with all names.

    Examples
    --------
    >>> from fastbp.activations import Relu, resolve
    >>> resolve(Relu()), resolve("prelu")
    ('relu', Prelu())
    """
    if isinstance(activation, str) and activation in TRAINED_ACTIVATIONS:
        return TRAINED_ACTIVATIONS[activation]()
    if isinstance(activation, (Prelu, Blend)):
        activation._validate_params()
        return activation
    name = activation.name if isinstance(activation, Activation) else activation
    if not isinstance(name, str) or name not in ACTIVATIONS:
        names = sorted([*ACTIVATIONS, *TRAINED_ACTIVATIONS])
        raise ValueError(f"activation must be one of {', '.join(names)}; got {activation!r}")
    return name


@cache
def output_range(name: str) -> tuple[float, float]:
    """The smallest and the largest value of an activation, for pre-activations between -30 and 30.

    Parameters
    ----------
    name : str
        A key of ``ACTIVATIONS``.

    Returns
    -------
    low, high : float

    Examples
    --------
    >>> from fastbp.activations import output_range
    >>> output_range("relu")
    (0.0, 30.0)
    """
    z = np.linspace(-30, 30, 601)
    outputs = activation_forward(np.column_stack([z, -z]), name)  # two units: softmax works on rows
    return float(outputs.min()), float(outputs.max())
