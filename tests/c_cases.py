"""Models of all kinds for the tests of the C export."""

from dataclasses import dataclass
from functools import cache

import numpy as np
import pytest
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MaxAbsScaler, MinMaxScaler, RobustScaler, StandardScaler

from fastbp import MLPClassifier, MLPEncoder, MLPRegressor, Network, TabularMLPClassifier, TabularMLPRegressor
from fastbp.activations import Blend, Prelu
from fastbp.kernels import ACTIVATIONS
from fastbp.kernels.graph import Group
from fastbp.layers import Activation, BatchNorm, Dense, Dropout, LayerNorm, Scale
from fastbp.losses import Gaussian, Quantile
from layer_cases import STACKS

RNG = np.random.default_rng(0)
X = RNG.normal(size=(40, 4))
SCORE = np.tanh(X @ RNG.normal(size=(4, 3)))
LABELS = SCORE.argmax(axis=1)
BLOBS = 0.1 + 0.7 * np.eye(3)[LABELS]
#: A fit of a few steps, which no stopping rule warns of
SHORT = dict(hidden_layer_sizes=(7,), max_iter=4, tol=10.0, n_iter_no_change=1, batch_size=20, random_state=0)


def network_of(width, layers, dtype="float64", output="identity", seed=0):
    """A Network whose parameters are all drawn, those that are not trained too."""
    network = Network(layers=layers, n_features=width, dtype=dtype, output_activation=output, random_state=seed)
    rng = np.random.default_rng(seed)
    for name, block in network.blocks.items():
        if name.startswith(("gain", "gamma", "variance", "factor", "edges")):
            block[...] = rng.uniform(0.5, 2, block.shape)
        elif not name.startswith("W"):
            block[...] = rng.normal(size=block.shape)
        if name.startswith("edges"):  # of which the last bins have no width
            block.sort(axis=1)
            block[1:, -2:] = block[1:, -2:-1] if block.shape[1] > 3 else block[1:, -2:]
    return network


def networks():
    """Name -> Network: every activation, and every kind of operation."""
    found = {f"activation {name}": Network([4, 6, 3], "tanh", name, random_state=0) for name in ACTIVATIONS}
    for name in (*ACTIVATIONS, "prelu", "blend"):
        activation = {"prelu": Prelu(-0.4), "blend": Blend("gelu", 0.3)}.get(name, name)
        found[f"hidden {name}"] = network_of(4, [Dense(6), Activation(activation), Dense(2)])
    found |= {f"stack {name}": network_of(width, layers) for name, (width, layers) in STACKS.items()}
    found["stack dropout"] = network_of(4, [Dropout(0.5), Dense(5), BatchNorm(), Dropout(0.2), Dense(2)])
    return found


NAMES = np.array(["no*/", 'm"ä?', "yes\\"])
#: Targets: every form of y, every type of label
TARGETS = {
    "integers": LABELS * 3 - 1,
    "large integers": (LABELS - 1) * 2**40,
    "text": NAMES[LABELS],
    "floats": LABELS * 2.0,
    "two": NAMES[LABELS // 2],
    "bools": LABELS > 0,
    "one": np.full(len(X), 5),
    "indicators": np.eye(4, dtype=int)[LABELS] + np.eye(4, dtype=int)[3],
    "probabilities": BLOBS / BLOBS.sum(axis=1, keepdims=True),
    "columns": np.column_stack([LABELS + 5, LABELS // 2]),
    "columns of text": np.column_stack([LABELS.astype(object), NAMES[LABELS // 2].astype(object)]),
}
ONE, TWO = SCORE[:, 0], SCORE[:, :2]
#: Name -> (parameters of a regressor, targets): every loss that makes something of the output, and links
REGRESSORS = {
    "one": ({}, ONE),
    "two": ({}, TWO),
    "poisson": ({"loss": "poisson"}, np.exp(ONE)),
    "gamma of two": ({"loss": "gamma"}, np.exp(TWO)),
    "softplus": ({"loss": "poisson", "output_activation": "softplus"}, np.exp(ONE)),
    "quantile": ({"loss": Quantile(0.3)}, ONE),
    "quantiles": ({"loss": Quantile([0.1, 0.5, 0.9])}, ONE),
    "gaussian": ({"loss": Gaussian(1e-3)}, ONE),
    "gaussian of two": ({"loss": "gaussian"}, TWO),
    "function": ({"loss": lambda y, z, w: ((y - z)[:, 0] ** 2 / 2, z - y)}, ONE),
    "normalized": ({"normalization": "batch", "dropout": 0.1}, ONE),
    "layers": ({"layers": [Dense(5), LayerNorm()], "dtype": "float32"}, ONE),
}


@cache
def classifier(name):
    """A fitted classifier."""
    return MLPClassifier(**SHORT).fit(X, TARGETS[name])


@cache
def regressor(name):
    """A fitted regressor."""
    params, y = REGRESSORS[name]
    return MLPRegressor(**SHORT | params).fit(X, y)


def table(n=80, seed=0):
    """A data frame with all kinds of columns: numbers that are far from 0 or huge, pairs, text, categories of
    numbers, missing values."""
    pd = pytest.importorskip("pandas")
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame(
        {
            "age */": rng.integers(18, 80, n).astype(float),
            "time": 1.7e9 + rng.integers(0, 1000, n),
            "huge": rng.normal(size=n) * 1e200,
            "pair": rng.choice([3.0, 7.0], n),
            "town": rng.choice(["Bonn", "Kiel", "Köln", '?? */ "'], n).astype(object),
            "size": pd.Categorical(rng.choice([1, 2, 5], n)),
            "answer": rng.choice(["no", "yes"], n).astype(object),
            "empty": np.full(n, None),
        }
    )
    frame.loc[::7, "age */"] = np.nan
    frame.loc[::9, "town"] = None
    frame.loc[0, "town"] = "rare"
    return frame


@cache
def encoder():
    """A fitted encoder."""
    return MLPEncoder(2, (5,), MLPRegressor(**SHORT)).fit(X)


#: Name -> scalers in front of a classifier
SCALERS = {
    "standard": [StandardScaler()],
    "parts of standard": [StandardScaler(with_mean=False), StandardScaler(with_std=False)],
    "range": [MinMaxScaler((-2, 3)), "passthrough"],
    "one class": [StandardScaler()],
    "others": [RobustScaler(with_scaling=False), MaxAbsScaler(), RobustScaler(with_centering=False)],
}


@cache
def pipeline(name):
    """A fitted pipeline."""
    y = TARGETS["one" if name == "one class" else "text"]
    return make_pipeline(*SCALERS[name], MLPClassifier(**SHORT)).fit(5 + 3 * X, y)


#: Name -> (class, parameters, targets as a function of a table)
TABULAR = {
    "two classes": (TabularMLPClassifier, {"label_smoothing": 0.1}, lambda f: np.where(f["pair"] > 5, "b", "a")),
    "three classes": (TabularMLPClassifier, {"numeric_embedding": "periodic"}, lambda f: f["size"].astype(int)),
    "numbers": (TabularMLPRegressor, {}, lambda f: f["time"] - 1.7e9 + f["pair"]),
    "two targets": (TabularMLPRegressor, {"oob_fraction": 0.0}, lambda f: f[["time", "pair"]] - [1.7e9, 0]),
}


@cache
def tabular(name):
    """A fitted ensemble."""
    cls, params, target = TABULAR[name]
    small = dict(preset="fast", n_ensemble=2, epochs=3, hidden_layer_sizes=(8, 6), random_state=0)
    frame = table()
    return cls(**small | params).fit(frame, target(frame))


def rows_of_table(model, names, frame):
    """The rows of a data frame as the C functions take them: text by ``level``."""
    rows = np.full(frame.shape, np.nan)
    for i, name in enumerate(names):
        for j, value in enumerate(frame[name]):
            if isinstance(value, str):
                rows[j, i] = model.level(i, value)
            elif value is not None:
                rows[j, i] = value
    return rows


@dataclass(frozen=True)
class OddScale(Scale):
    """A layer of the user's, whose block has a name that is none in C."""

    def emit(self, builder, node):
        blocks = [("s é/*", (builder.widths[node],), Group(1.0))]
        return builder.emit("scale", node, builder.widths[node], blocks=blocks, layer=self)


def network_with_odd_names():
    """A Network with such layers."""
    return Network(layers=[Dense(2), OddScale(), OddScale(), Dense(1)], n_features=2, random_state=0)
