"""Random networks with their data, for the comparison of gradients: all layers, activations, losses and layouts."""

import dataclasses
from typing import Any

import numpy as np
import scipy.sparse as sp
from hypothesis import strategies as st
from sklearn.utils._param_validation import Interval

import fastbp.layers
from fastbp import Network
from fastbp.activations import HIDDEN_ACTIVATIONS, Activation
from fastbp.layers import (
    Concatenate,
    Dense,
    Embedding,
    Layer,
    OneHot,
    Periodic,
    PiecewiseLinear,
    Residual,
    RobustScale,
    SelectColumns,
    Sum,
)
from fastbp.losses import LOSSES
from fuzz_parameters import subclasses
from layouts import LAYOUTS

#: Values for the numbers in layers, losses and activations
MODERATE = [0.1, 0.3, 0.5, 0.9, 1.0, 1.3, 1.7]
DTYPES = ["float64", "float32", "float16", "longdouble", "int8", "int64", ">f8", ">f4", "bool"]


@dataclasses.dataclass
class Problem:
    """A network, and data to compute its gradient on."""

    layers: list
    loss: Any
    output: str
    n_features: int
    n: int
    dtype: str
    X_dtype: str
    layout: str
    is_sparse: bool
    has_weight: bool
    alpha: float
    l1: float
    seed: int

    def made(self):
        """(network, X, y, sample_weight)"""
        rng = np.random.default_rng(self.seed)
        n_units = self.layers[-1].units
        network = Network(
            layers=self.layers,
            n_features=self.n_features,
            output_activation=self.output,
            loss=self.loss,
            alpha=self.alpha,
            l1=self.l1,
            dtype=self.dtype,
            random_state=self.seed,
        )
        X = rng.normal(size=(self.n, self.n_features)) * (rng.random((self.n, self.n_features)) < 0.8)
        X = X.astype(self.X_dtype)
        if self.is_sparse:
            X = sp.csr_array(X.astype(self.dtype))
        elif self.layout and X.itemsize > 1:
            X = LAYOUTS[self.layout](X)
        y = targets(self.loss, self.output, (self.n, self.loss.target_width(n_units)), rng)
        return network, X, y, rng.uniform(0.5, 2, self.n) if self.has_weight else None


def targets(loss, output, shape, rng):
    """Targets in the domain of a loss."""
    if hasattr(loss, "n_classes"):
        return np.hstack([np.eye(k)[rng.integers(k, size=shape[0])] for k in loss.n_classes])
    if output == "softmax" and loss.domain.right is not None:
        # exact sums of one, also in float32: the gradient p - y is that of the loss only then
        return rng.multinomial(8, np.ones(shape[1]) / shape[1], shape[0]) / 8
    low, high = loss.domain.left, loss.domain.right
    if high is not None:
        return rng.integers(0, 2, shape).astype(float)
    return rng.normal(size=shape) if low is None else rng.uniform(0.1, 3, shape)


def moderate(constraint):
    """Numbers in the interval among the constraints of a parameter, or None."""
    for one in constraint:
        if isinstance(one, Interval):
            return [value for value in MODERATE if value in one]
    return None


@st.composite
def sound_object(draw, cls):
    """An object of a class with described parameters, all of which are moderate."""
    arguments = {}
    for name, constraint in cls._parameter_constraints.items():
        numbers = moderate(constraint)
        if numbers and draw(st.booleans()):
            arguments[name] = draw(st.sampled_from(numbers))
    return cls(**arguments)


@st.composite
def activations(draw):
    """A name, or an object with trained parameters."""
    name = draw(st.sampled_from(HIDDEN_ACTIVATIONS))
    classes = {cls.name: cls for cls in subclasses(Activation) if cls.name}
    return draw(sound_object(classes[name])) if draw(st.booleans()) else name


@st.composite
def stacks(draw, width, depth=2, of_input=True):
    """(layers, width of their output)"""
    classes = [getattr(fastbp.layers, name) for name in fastbp.layers.__all__]
    layers = []
    for cls in draw(st.lists(st.sampled_from([cls for cls in classes if cls is not Layer]), max_size=4)):
        reads_input = of_input and not layers
        if cls is Residual:
            inner, end = draw(stacks(width, depth - 1, reads_input)) if depth else ([], width)
            layers.append(Residual(inner if end == width and inner else [*inner, Dense(width)]))
            continue
        if cls in (Concatenate, Sum):
            parts = [draw(stacks(width, depth - 1, reads_input)) if depth else ([], width) for _ in range(2)]
            branches = [[*inner, Dense(3)] if cls is Sum else inner for inner, _ in parts]
            layers.append(cls(branches))
            width = 3 if cls is Sum else sum(end for _, end in parts)
            continue
        if cls in (RobustScale, SelectColumns):
            columns = st.lists(st.integers(0, width - 1), min_size=1, unique=True)
            if cls is SelectColumns:
                layers.append(SelectColumns(draw(columns)))
            else:
                layers.append(RobustScale(draw(st.none() | columns), draw(st.sampled_from([None, 0.5, 3.0]))))
            width = len(layers[-1].columns or range(width))
            continue
        if cls in (PiecewiseLinear, Periodic):
            if reads_input:  # elsewhere a small step may cross an edge
                sizes = draw(st.tuples(st.integers(1, 3), st.integers(1, 4)))
                layers.append(cls(*sizes, keep_input=draw(st.booleans())))
                width *= layers[-1].width + layers[-1].keep_input
            continue
        if cls in (OneHot, Embedding):
            if reads_input:  # elsewhere a small step may cross the border of a code
                levels = draw(st.lists(st.integers(1, 3), min_size=width, max_size=width))
                layer = OneHot(levels) if cls is OneHot else Embedding(levels, 2, None, "sum")
                layers.append(layer)
                width = sum(levels) if cls is OneHot else 2
            continue
        arguments = {}
        for field in dataclasses.fields(cls):
            if field.type in (int, int | None):
                arguments[field.name] = width = draw(st.integers(1, 12))
            elif field.type is float:
                arguments[field.name] = draw(st.sampled_from(MODERATE[:4]))
            elif field.type is bool:
                arguments[field.name] = draw(st.booleans())
            elif field.name == "parametrization":
                arguments[field.name] = draw(st.sampled_from(["standard", "ntk"]))
            else:
                arguments[field.name] = draw(activations())
        layers.append(cls(**arguments))
    return layers, width


@st.composite
def problems(draw):
    """Problems of all losses."""
    n_features = draw(st.integers(1, 12))
    loss = draw(sound_object(LOSSES[draw(st.sampled_from(sorted(LOSSES)))]))
    outputs = [name for name in ("identity", "logistic", "softmax", "exp", "softplus", "tanh") if fits(loss, name)]
    output = draw(st.sampled_from(outputs))
    # layers that keep the factors of learning rate out: they are none of the gradient
    layers, _ = draw(stacks(n_features))
    n_units = sum(loss.n_classes) if hasattr(loss, "n_classes") else loss.n_units(draw(st.integers(1, 4)))
    layers = [*layers, Dense(n_units)]
    is_sparse = isinstance(layers[0], Dense) and draw(st.integers(0, 4)) == 0
    return Problem(
        layers,
        loss,
        output,
        n_features,
        draw(st.integers(1, 20)),
        draw(st.sampled_from(["float64", "float32"])),
        draw(st.sampled_from(DTYPES)),
        draw(st.sampled_from(["", *LAYOUTS])),
        is_sparse,
        draw(st.booleans()),
        draw(st.sampled_from([0.0, 0.1])),
        draw(st.sampled_from([0.0, 0.1])),
        draw(st.integers(0, 999)),
    )


def fits(loss, output):
    """Whether a loss can take an output: its link, or any output in the domain of its means."""
    return output == loss.link or (loss.link in ("identity", "exp", "logistic") and loss.accepts_output(output))
