"""The activations as formulas on tensors of an ONNX graph."""

from functools import cache

import numpy as np
from numpy.polynomial import Chebyshev, Polynomial
from scipy.special import erfcx

SELU_ALPHA, SELU_SCALE = 1.6732632423543772848, 1.0507009873554804934
#: Points of the interpolation in `erfcx_polynomial`, and coefficients that are kept: the error of erfc is below 1e-14
POINTS, COEFFICIENTS = 64, 26


def exp(z):
    """e^z."""
    return z.apply("Exp")


def logistic(z):
    """1 / (1 + e^-z). The operator Sigmoid of onnxruntime is several times too large for z below -18 in float32."""
    return 1 / (1 + exp(-z))


def relu(z):
    """max(0, z)."""
    return z.apply("Relu")


def leaky_relu(z):
    """z, or z / 100 below 0."""
    return (z * 0.01).where(z < 0, z)


def elu(z):
    """z, or e^z - 1 below 0."""
    return (exp(z.apply("Min", 0)) - 1).where(z < 0, z)


def selu(z):
    """A multiple of z, or of e^z - 1 below 0."""
    return SELU_SCALE * ((exp(z.apply("Min", 0)) - 1) * SELU_ALPHA).where(z < 0, z)


@cache
def erfcx_polynomial():
    """Coefficients of P, highest power first: ``e^(q^2) erfc(q) = t P(2t - 1)`` for q >= 0 with t = 1 / (1 + q / 2).

    Returns
    -------
    tuple of float
    """

    def quotient(u):
        t = (u + 1) / 2
        return erfcx(2 / t - 2) / t

    series = Chebyshev.interpolate(quotient, POINTS - 1).truncate(COEFFICIENTS)
    return tuple(series.convert(kind=Polynomial).coef[::-1].tolist())


def normal_cdf(z):
    """The distribution function of the standard normal, ``(1 + erf(z / sqrt(2))) / 2``. onnxruntime has Erf for float32
    only; in float64 erf follows from the polynomial."""
    if z.dtype == np.float32:
        return 0.5 * (1 + (z * np.sqrt(0.5)).apply("Erf"))
    q = z.apply("Abs") * np.sqrt(0.5)
    t = 1 / (1 + 0.5 * q)
    u = 2 * t - 1
    first, second, *others = erfcx_polynomial()
    p = u * first + second
    for coefficient in others:
        p = p * u + coefficient
    tail = 0.5 * (t * p * exp(-(q * q)))
    return tail.where(z < 0, 1 - tail)


def gelu(z):
    """z Phi(z)."""
    return z * normal_cdf(z)


def silu(z):
    """z logistic(z)."""
    return z * logistic(z)


def mish(z):
    """z tanh(softplus(z)): with e = e^z and n = e (e + 2), ``tanh(log(1 + e)) = n / (n + 2)``. From 40 on it is z."""
    e = exp(z.apply("Min", 40))
    n = e * (e + 2)
    return z * (n / (n + 2))


def softplus(z):
    """log(1 + e^z), in a form that does not overflow."""
    return z.apply("Relu") + (1 + exp(-z.apply("Abs"))).apply("Log")


def softmax(z):
    """e^z of each row, divided by the sum."""
    return z.apply("Softmax", axis=1)


#: Name of each activation in the kernels -> function on a Tensor of shape (n, units)
ACTIVATIONS = {
    "identity": lambda z: z,
    "logistic": logistic,
    "tanh": lambda z: z.apply("Tanh"),
    "relu": relu,
    "leaky_relu": leaky_relu,
    "elu": elu,
    "selu": selu,
    "gelu": gelu,
    "silu": silu,
    "mish": mish,
    "softplus": softplus,
    "exp": exp,
    "softmax": softmax,
}
