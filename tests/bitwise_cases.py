"""Configurations whose models, losses, predictions and derivatives are on record bit for bit: `bitwise_record`.

Only the public interface is used, so that the record outlives whatever is inside. ``results`` of a case returns named
lists of arrays.
"""

from dataclasses import dataclass, field, replace
from functools import cache
from itertools import product

import numpy as np
import scipy.sparse as sp

from fastbp import MLPClassifier, MLPRegressor, Network
from fastbp.autodiff import FormulaLoss, maximum

HIDDEN = ("identity", "logistic", "tanh", "relu", "leaky_relu", "elu", "selu", "gelu", "silu", "mish", "softplus")
CLASSES = ("binary", "multiclass", "multilabel")
TARGETS = (*CLASSES, "regression", "multioutput", "poisson")
DTYPES = ("float32", "float64")
POSITIVE = ("exp", "softplus", "logistic")

#: Shapes that take different ways through a training step
SHAPES = {
    "tiny": dict(n_rows=70, n_features=6, hidden=(5,), batch_size=16),
    "linear": dict(n_rows=70, n_features=6, hidden=(), batch_size=32),
    "deep": dict(n_rows=90, n_features=9, hidden=(17, 8, 3, 5, 12), batch_size=30),
    # few parameters, many rows: gradients of runs of rows are stored and added up; enough work for two threads
    "many rows": dict(n_rows=600, n_features=20, hidden=(40,), batch_size=260),
    # two threads, and too few rows for that
    "few rows": dict(n_rows=200, n_features=64, hidden=(64,), batch_size=64),
    # a layer whose weights are cut by rows and by columns
    "tiled": dict(n_rows=150, n_features=110, hidden=(210,), batch_size=60),
    # so many weights that all rows of a batch go through one layer before the next
    "large": dict(n_rows=150, n_features=300, hidden=(500, 250), batch_size=128, epochs=1),
}

#: A step of so much work that its batch is cut into slices
SLICED = dict(n_rows=4200, n_features=500, hidden=(500, 200), batch_size=4200, epochs=1)

SOLVERS = {
    "sgd": dict(solver="sgd", learning_rate_init=0.05, momentum=0.0),
    "momentum": dict(solver="sgd", learning_rate_init=0.02, nesterovs_momentum=False),
    "nesterov": dict(solver="sgd", learning_rate_init=0.02, momentum=0.8),
    "invscaling": dict(solver="sgd", learning_rate="invscaling", learning_rate_init=0.1, power_t=0.2),
    # no epoch gains as much as tol, so that the rate drops in every other one
    "adaptive": dict(solver="sgd", learning_rate="adaptive", learning_rate_init=0.05, tol=10.0, n_iter_no_change=1),
    "adam": dict(solver="adam", learning_rate_init=0.01),
    "adam, other constants": dict(solver="adam", learning_rate_init=0.01, beta_1=0.8, beta_2=0.99, epsilon=1e-4),
    "lbfgs": dict(solver="lbfgs"),
}


# Data, by elementwise arithmetic alone


@cache
def features(n_rows, n_features):
    """X, of which half is zero, so that it serves as a sparse matrix too."""
    rng = np.random.default_rng(3)
    X = rng.standard_normal((n_rows, n_features))
    X[rng.random(X.shape) < 0.5] = 0.0
    return X


def targets(name, X, n_outputs):
    """y of a kind; integers for classes."""
    k = n_outputs
    if name == "binary":
        return (X[:, 0] > X[:, 1]).astype(int)
    if name == "multiclass":
        return X[:, :k].argmax(axis=1) if X.shape[1] >= k else np.arange(len(X)) % k
    if name == "multilabel":
        return (X[:, :k] > 0.1).astype(int)
    if name == "regression":
        return X[:, 0] * X[:, 1] + X[:, 2]
    if name == "multioutput":
        repeated = np.tile(X, (1, -(-(k + 1) // X.shape[1])))
        return repeated[:, :k] * repeated[:, 1 : k + 1]
    return np.floor(np.abs(3 * X[:, 0])) + (X[:, 1] > 0)


def weights(n_rows):
    """Sample weights of very different size, some of them zero."""
    weight = np.random.default_rng(11).uniform(0.1, 3.0, n_rows)
    weight[4::9] = 0.0
    return weight


def container(X, layout, dtype):
    X = X.astype(dtype)
    if layout == "dense":
        return X
    if layout == "csr, int64":
        X = sp.csr_array(X)
        X.indices, X.indptr = X.indices.astype(np.int64), X.indptr.astype(np.int64)
        return X
    return {"csr": sp.csr_array, "csc": sp.csc_array}[layout](X)


# Losses of users


def squared_error(y_true, raw_prediction, sample_weight):
    difference = raw_prediction - y_true
    loss = (difference * difference / 2).sum(axis=1)
    if sample_weight is None:
        return loss, difference
    return loss * sample_weight, difference * sample_weight[:, None]


def quantile(y_true, raw_prediction):
    error = y_true - raw_prediction
    return maximum(0.75 * error, -0.25 * error)


LOSSES = {"function": squared_error, "formula": FormulaLoss(quantile)}


class Epochs:
    """Callbacks that are called and do nothing."""

    def on_epoch_end(self, state):
        pass


# What a case is


@dataclass(frozen=True)
class Fit:
    """An estimator that is fitted, and trained further by `then`."""

    target: str = "multiclass"
    n_rows: int = 70
    n_features: int = 6
    n_outputs: int = 3
    hidden: tuple = (5,)
    batch_size: int | str = 16
    epochs: int = 3
    dtype: str = "float64"
    layout: str = "dense"
    solver: str = "adam"
    weighted: bool = False
    then: str = "partial_fit"
    params: dict = field(default_factory=dict)

    def results(self, n_threads):
        X = features(self.n_rows, self.n_features)
        y = targets(self.target, X, self.n_outputs)
        X = container(X, self.layout, self.dtype)
        weight = weights(self.n_rows) if self.weighted else None
        model = self.estimator(n_threads)
        model.fit(X, y, weight)
        found = {
            "weights": parameters(model),
            "losses": [model.loss_, model.n_iter_, getattr(model, "loss_curve_", [])],
            "predictions": [model.predict(X), model.predict(X[:1]), model.network_.raw_prediction(X)],
        }
        if getattr(model, "validation_scores_", None):
            found["losses"].append(model.validation_scores_)
        if self.target in CLASSES:
            found["predictions"].append(model.predict_proba(X))
        if self.then == "warm_start":
            model.set_params(warm_start=True).fit(X, y, weight)
            found["weights after warm_start"] = [*parameters(model), getattr(model, "loss_curve_", [])]
        elif self.then == "partial_fit":
            # the optimizer goes on from its state
            model.set_params(early_stopping=False)
            half = slice(self.n_rows // 2)
            for _ in range(2):
                model.partial_fit(
                    container(X[half], "csr", self.dtype) if sp.issparse(X) else X[half],
                    y[half],
                    weight if weight is None else weight[half],
                )
            found["weights after partial_fit"] = [*parameters(model), model.loss_]
        return found

    def estimator(self, n_threads):
        params = {
            "hidden_layer_sizes": self.hidden,
            "batch_size": self.batch_size,
            "max_iter": self.epochs,
            "alpha": 0.01,
            "random_state": 0,
            **SOLVERS[self.solver],
            **self.params,
        }
        if self.target == "poisson":
            params.setdefault("loss", "poisson")
        if "loss" in params:
            params["loss"] = LOSSES.get(params["loss"], params["loss"])
        return (MLPClassifier if self.target in CLASSES else MLPRegressor)(n_threads=n_threads, **params)


def parameters(model):
    return [*model.coefs_, *model.intercepts_]


@dataclass(frozen=True)
class Pass:
    """A `Network`: its outputs, its loss and gradient, and its derivatives where asked for."""

    layer_sizes: tuple = (7, 9, 6, 3)
    activation: str | tuple = "tanh"
    output_activation: str = "identity"
    loss: str = "squared_error"
    target: str = "multioutput"
    n_rows: int = 40
    alpha: float = 0.0
    dtype: str = "float64"
    layout: str = "dense"
    weighted: bool = False
    scale: float = 1.0
    derivatives: bool = False

    def results(self, n_threads):
        network = Network(
            self.layer_sizes,
            self.activation,
            self.output_activation,
            LOSSES.get(self.loss, self.loss),
            alpha=self.alpha,
            dtype=self.dtype,
            random_state=0,
            n_threads=n_threads,
        )
        X = features(self.n_rows, self.layer_sizes[0])
        y = targets(self.target, X, self.layer_sizes[-1])
        if self.target == "poisson":
            y = np.repeat(y[:, None], self.layer_sizes[-1], axis=1)
        X = container(X * self.scale, self.layout, self.dtype)
        weight = weights(self.n_rows) if self.weighted else None
        found = {
            "outputs": [network.forward(X), network.raw_prediction(X), network.forward(X[:1])],
            "loss and gradient": network.loss_and_gradient(X, y, weight),
        }
        if self.derivatives:
            v = features(self.n_rows, self.layer_sizes[-1] + 1)[:, 1:].astype(self.dtype)
            u = features(self.n_rows, self.layer_sizes[0] + 2)[:, 2:].astype(self.dtype)
            direction = features(1, network.n_params)[0].astype(self.dtype)
            found["vjp, backward"] = [network.vjp(X, v), *network.backward(X, v)]
            found["jvp"] = [network.jvp(X, u)]
            found["jacobian"] = [network.jacobian(X, mode) for mode in ("forward", "reverse")]
            found["input_gradient"] = [network.input_gradient(X, y, weight)]
            if self.loss not in LOSSES:
                found["hvp"] = [network.hvp(X, y, direction, weight)]
        return found


# The table


def shape(name, **changes):
    return Fit(**{**SHAPES[name], **changes})


def all_cases():
    """(name, case), sorted by what is varied."""
    for target, activation in product(TARGETS, HIDDEN):
        for dtype in DTYPES if target in ("multiclass", "regression") else ("float64",):
            yield f"{activation}, {target}, {dtype}", Fit(target, dtype=dtype, params=dict(activation=activation))
    for name, dtype, layout, solver in product(SHAPES, DTYPES, ("dense", "csr"), ("nesterov", "adam")):
        yield f"{name}, {dtype}, {layout}, {solver}", shape(name, dtype=dtype, layout=layout, solver=solver)
    for name, target, dtype in product(("many rows", "few rows", "tiled"), TARGETS, DTYPES):
        case = shape(name, target=target, dtype=dtype, params=dict(activation="gelu"))
        yield f"{name}, {target}, gelu, {dtype}", case
    for solver, name, dtype in product(SOLVERS, ("tiny", "many rows"), DTYPES):
        if solver != "lbfgs":
            yield (
                f"{solver}, {name}, {dtype}, weighted",
                shape(name, solver=solver, dtype=dtype, weighted=True, epochs=5),
            )
    for target, layout in product(TARGETS, ("dense", "csr")):
        case = Fit(target, solver="lbfgs", layout=layout, epochs=8, then="warm_start")
        yield f"lbfgs, {target}, {layout}", case
        yield f"lbfgs, {target}, {layout}, float32, weighted", replace(case, dtype="float32", weighted=True)
    yield "lbfgs, many rows", shape("many rows", solver="lbfgs", then="", epochs=5)
    yield from early_stopping_cases()
    yield from variations()
    yield from output_cases()
    yield from custom_loss_cases()
    for dtype in DTYPES:
        yield f"sliced, {dtype}, dense", Fit(**SLICED, dtype=dtype, then="")
    case = Fit(**{**SLICED, "n_rows": 4000, "batch_size": 4000}, dtype="float32", layout="csr", then="")
    yield "sliced, float32, csr", case
    yield from network_cases()


def early_stopping_cases():
    params = dict(early_stopping=True, validation_fraction=0.2)
    for target, solver in product(TARGETS, ("nesterov", "adaptive", "adam")):
        yield f"early stopping, {target}, {solver}", Fit(target, solver=solver, epochs=6, params=params)
    for name, dtype, layout in product(("many rows", "few rows"), DTYPES, ("dense", "csr")):
        case = shape(name, dtype=dtype, layout=layout, weighted=True, params=params)
        yield f"early stopping, {name}, {dtype}, {layout}, weighted", case
    yield "early stopping, warm_start", Fit(then="warm_start", params=params)


def variations():
    """Whatever is orthogonal to the rest: weights, order of the rows, penalty, batches, layouts, warm_start."""
    for name, layout, weighted in product(("tiny", "many rows", "few rows"), ("dense", "csr"), (False, True)):
        case = shape(name, layout=layout, weighted=weighted, params=dict(shuffle=False))
        yield f"shuffle=False, {name}, {layout}{', weighted' * weighted}", case
        case = shape(name, target="multilabel", layout=layout, weighted=weighted, params=dict(alpha=0.0))
        yield f"alpha=0, multilabel, {name}, {layout}{', weighted' * weighted}", case
    for batch_size, dtype in product((1, 7, 64, 65, 70, "auto"), DTYPES):
        yield f"batch_size={batch_size}, {dtype}", Fit(batch_size=batch_size, dtype=dtype)
    for name, solver, layout in product(("tiny", "few rows"), ("nesterov", "adam"), ("dense", "csr")):
        case = shape(name, solver=solver, layout=layout, then="warm_start")
        yield f"warm_start, {name}, {solver}, {layout}", case
    for layout in ("csc", "csr, int64"):
        yield f"{layout}", Fit(layout=layout)
        yield f"{layout}, float32, many rows", shape("many rows", layout=layout, dtype="float32")
    for name, early in product(("tiny", "few rows", "many rows"), (False, True)):
        params = dict(callbacks=Epochs(), early_stopping=early)
        yield f"callbacks, {name}{', early stopping' * early}", shape(name, epochs=5, params=params)
    for solver in ("nesterov", "adaptive", "adam"):
        params = dict(tol=1e-2, n_iter_no_change=2)
        yield f"stopped by tol, {solver}", Fit(solver=solver, epochs=60, params=params)
    yield "300 epochs", Fit(epochs=300, batch_size=35, params=dict(tol=0.0))
    for target in TARGETS:
        yield f"weighted, {target}, csr", Fit(target, layout="csr", weighted=True, solver="nesterov")


def output_cases():
    """Numbers of outputs around the width of a vector, and activations that are not the loss's own."""
    for n_outputs, dtype in product((1, 2, 4, 5, 8, 17, 33), DTYPES):
        target = "multioutput" if n_outputs > 1 else "regression"
        case = shape("few rows", target=target, n_outputs=n_outputs, dtype=dtype)
        yield f"{n_outputs} outputs, {dtype}", case
        if n_outputs > 2:
            yield f"{n_outputs} classes, {dtype}", replace(case, target="multiclass", n_rows=220)
    for width, dtype in product((1, 2, 3), DTYPES):
        yield f"hidden layer of {width}, {dtype}", Fit(hidden=(width, 4), dtype=dtype)
    for activation, target in product((*HIDDEN, "exp"), ("regression", "multioutput")):
        case = Fit(target, params=dict(output_activation=activation))
        yield f"squared_error of {activation}, {target}", case
        if activation in POSITIVE:
            case = Fit("poisson", params=dict(output_activation=activation), weighted=target == "multioutput")
            yield f"poisson of {activation}{', weighted' * case.weighted}", case
    for activation, dtype in product(("logistic", "gelu"), DTYPES):
        case = shape("many rows", target="multioutput", dtype=dtype, params=dict(output_activation=activation))
        yield f"squared_error of {activation}, many rows, {dtype}", case


def custom_loss_cases():
    for loss, target in product(LOSSES, ("binary", "multiclass", "regression", "multioutput")):
        for solver in ("nesterov", "adam", "lbfgs"):
            then = "warm_start" if solver == "lbfgs" else "partial_fit"
            yield f"{loss} as loss, {target}, {solver}", Fit(target, solver=solver, then=then, params=dict(loss=loss))
    for name, dtype, layout in product(("many rows", "few rows"), DTYPES, ("dense", "csr")):
        params = dict(loss="function", early_stopping=layout == "csr")
        case = shape(name, target="multioutput", dtype=dtype, layout=layout, weighted=True, params=params)
        yield f"function as loss, {name}, {dtype}, {layout}, weighted", case
    params = dict(loss="function", output_activation="tanh", shuffle=False)
    yield "function as loss, tanh output, shuffle=False", Fit("multioutput", params=params)


def network_cases():
    pairs = [
        *((name, "squared_error", "multioutput") for name in (*HIDDEN, "exp", "softmax")),
        *((name, "poisson", "poisson") for name in (*POSITIVE, "softmax")),
        ("softmax", "log_loss", "multiclass"),
        ("softmax", "log_loss", "multilabel"),
        ("logistic", "log_loss", "multilabel"),
    ]
    for output, loss, target in pairs:
        for dtype, weighted in (("float64", False), ("float32", True)):
            case = Pass(output_activation=output, loss=loss, target=target, dtype=dtype, weighted=weighted)
            yield f"network, {loss} of {output}, {target}, {dtype}", replace(case, derivatives=True)
    for activation, dtype in product(HIDDEN, DTYPES):
        case = Pass(activation=activation, dtype=dtype, derivatives=True)
        yield f"network, {activation}, {dtype}", case
    mixed = Pass((7, 9, 6, 8, 2), ("relu", "mish", "elu"), derivatives=True, weighted=True)
    for layout, n_rows in product(("dense", "csr"), (1, 40, 1300)):
        yield f"network, mixed, {layout}, {n_rows} rows", replace(mixed, layout=layout, n_rows=n_rows)
        yield f"network, mixed, {layout}, {n_rows} rows, alpha", replace(mixed, layout=layout, n_rows=n_rows, alpha=0.1)
    for loss in LOSSES:
        yield f"network, {loss} as loss", Pass(loss=loss, n_rows=600, derivatives=True, weighted=loss == "function")
    for dtype, layout in product(DTYPES, ("dense", "csr")):
        # enough work for two threads
        case = Pass((110, 210, 3), "gelu", "softmax", "log_loss", "multiclass", 1500, 0.1, dtype, layout)
        yield f"network, tiled, {dtype}, {layout}", case
    yield "network, large", Pass((300, 500, 250, 3), "relu", n_rows=150)
    for output, loss in (("identity", "squared_error"), ("gelu", "squared_error"), ("identity", "function")):
        case = Pass(output_activation=output, loss=loss, dtype="float32", scale=1e-38)
        yield f"network, denormal numbers, {loss} of {output}", case


def table():
    """The cases by name.

    Returns
    -------
    dict of str to Fit or Pass
    """
    cases = {}
    for name, case in all_cases():
        assert name not in cases, name
        cases[name] = case
    return cases
