"""Stacks of layers for the tests: some by hand, and random ones."""

import numpy as np

from fastbp.activations import Blend, Prelu
from fastbp.kernels import ACTIVATIONS
from fastbp.layers import (
    Activation,
    BatchNorm,
    Concatenate,
    Dense,
    Embedding,
    LayerNorm,
    OneHot,
    Periodic,
    PiecewiseLinear,
    Residual,
    RMSNorm,
    RobustScale,
    Scale,
    SelectColumns,
    Sum,
)

# No exp: e^z of a sum soon leaves the range of numbers.
NAMES = [name for name in ACTIVATIONS if name != "exp"]
SMOOTH = [name for name in NAMES if name not in ("relu", "leaky_relu", "selu", "elu")]

#: name: (width of the input, layers). "slots" has so few parameters that gradients go through slots where rows are
#: many; "wide" is cut into tiles of columns, with sizes that are no multiple of any block; of "table" each tile has the
#: rows of several columns, or a part of one.
STACKS = {
    "residual": (4, [Dense(5, "tanh"), Residual([Dense(7, "relu"), Dense(5)]), Dense(2)]),
    "residual of the input": (3, [Residual([Dense(3, "tanh")]), Dense(2)]),
    "activation before a dense layer": (4, [Dense(5), Residual([Activation("gelu"), Dense(5)]), Dense(3)]),
    "nested": (4, [Residual([Dense(4, "silu"), Residual([Scale(0.5), Activation("tanh")]), Scale(2.0)]), Dense(1)]),
    "residual of a residual": (5, [Residual([Residual([Dense(5, "tanh"), Dense(5)])]), Dense(2, "mish")]),
    "activations in a row": (4, [Dense(5, "tanh"), Activation("logistic"), Activation("softmax"), Dense(3, "tanh")]),
    "no bias": (4, [Dense(6, "softplus", use_bias=False), Dense(3, use_bias=False)]),
    "scale of the input": (4, [Scale(0.7), Activation("tanh"), Dense(2)]),
    "scale alone": (3, [Scale(-0.5)]),
    "residual at the end": (3, [Dense(4, "tanh"), Residual([Scale(), Activation("logistic")])]),
    "narrow": (7, [Dense(1, "tanh"), Residual([Dense(1), Activation("gelu")]), Dense(1)]),
    "slots": (6, [Dense(9, "tanh"), Residual([Scale(0.5), Dense(9, "gelu", use_bias=False)]), Dense(2)]),
    "wide": (131, [Dense(230, "tanh"), Residual([Dense(203, "relu"), Dense(230)]), Scale(), Dense(3)]),
    "groups": (
        5,
        [
            Dense(6, "tanh", learning_rate_factor=0.5),
            Residual([Scale(learning_rate_factor=2.0), Dense(6, "silu", penalty_factor=3.0)]),
            Dense(2, learning_rate_factor=0, penalty_factor=0),
        ],
    ),
    "normalized": (
        5,
        [Dense(6), LayerNorm(), Activation("tanh"), Residual([RMSNorm(0.1), Dense(6, "gelu")]), LayerNorm(), Dense(2)],
    ),
    "batch norm": (
        5,
        [BatchNorm(), Dense(6), BatchNorm(0.2, 0.1), Residual([Dense(6, "gelu"), BatchNorm()]), Dense(2)],
    ),
    "normalized input": (7, [RMSNorm(), Dense(9), LayerNorm(1e-3, 0.5), Activation("relu"), Dense(2)]),
    "trained activations": (
        4,
        [Dense(9, "prelu"), Residual([Dense(9, Blend("silu")), Activation(Blend(Prelu(0.1), 0.5))]), Dense(2)],
    ),
    "columns": (
        6,
        [
            Concatenate(
                [
                    OneHot([2, 3], columns=[1, 0]),
                    [],
                    [RobustScale([4, 2], clip=0.7), Activation("tanh")],
                    SelectColumns([5, 1]),
                    [Embedding([2, 3], 3, columns=[0, 3], learning_rate_factor=0.5), Scale(0.5)],
                ]
            ),
            RobustScale(),
            Sum(
                [Dense(5, "tanh"), [RobustScale(range(5), clip=None), Dense(5)], Embedding([2] * 21, 5, combine="sum")]
            ),
            Dense(2),
        ],
    ),
    "table": (7, [Embedding([3, 40, 1, 3000, 7, 2, 2], 9), Dense(6, "tanh"), Dense(2)]),
    "numbers": (
        5,
        [
            Concatenate([PiecewiseLinear(3, 4, columns=[4, 0, 1]), Periodic(5, 2, 0.5, keep_input=False)]),
            PiecewiseLinear(8, 3, columns=[1, 11], clip=None),
            Dense(5, "tanh"),
            Dense(2),
        ],
    ),
    "many numbers": (99, [PiecewiseLinear(40, 5, learning_rate_factor=0.5), Dense(3, "tanh"), Dense(2)]),
    "vectors": (16, [Dense(32, "tanh"), Residual([Dense(16, "relu"), Dense(32)]), Scale(), Dense(16)]),
}


def random_layers(rng, width, depth, names=NAMES, nesting=2):
    """`depth` random layers, and the width of their output."""
    layers = []
    for _ in range(depth):
        kind = rng.integers(5 if nesting else 4)
        if kind < 2:
            width = int(rng.integers(1, 20))
            layers.append(Dense(width, str(rng.choice(names)), use_bias=bool(rng.integers(2))))
        elif kind == 2:
            layers.append(Scale(float(rng.uniform(0.5, 1.5))))
        elif kind == 3:
            layers.append(Activation(str(rng.choice(names))))
        else:
            inner, end = random_layers(rng, width, int(rng.integers(1, 4)), names, nesting - 1)
            layers.append(Residual([*inner, *([] if end == width else [Dense(width)])]))
    return layers, width


def random_stack(seed, names=NAMES):
    """(width of the input, layers) with parameters."""
    rng = np.random.default_rng(seed)
    width = int(rng.integers(1, 12))
    layers, _ = random_layers(rng, width, int(rng.integers(2, 6)), names)
    return width, [*layers, Dense(int(rng.integers(1, 6)), str(rng.choice(names)))]
