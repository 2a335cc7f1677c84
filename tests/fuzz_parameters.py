"""Random parameters of the estimators, drawn from the package's own tables.

A strategy follows from each parameter's constraint, and the names and objects from the tables of optimizers, losses,
schedules, activations, layers and callbacks: what is added there is drawn without an edit here. Values lie within the
bounds, at them and beyond, and some are of a wrong type.
"""

import dataclasses
import math
import os
from decimal import Decimal
from fractions import Fraction
from numbers import Integral

import numpy as np
from hypothesis import strategies as st
from sklearn.linear_model import LinearRegression
from sklearn.utils._param_validation import Interval, Options, make_constraint

import fastbp.callbacks
import fastbp.layers
import fastbp.losses
from fastbp import MLPRegressor
from fastbp.layers import Dense, Layer
from fastbp.parametrized import NameOrObject, Parametrized

SMALL = dict(hidden_layer_sizes=(5,), max_iter=2, random_state=0)
#: Widths of most layers: equal ones, so that residual connections fit
WIDTH = 5
#: Parameters of which large values would take long
SLOW = {"max_iter"}
#: Of no parameter's type, or of one by chance. Neither functions nor classes, whose own errors would reach the caller.
JUNK = [
    *(None, True, False, -1, 0, 1, 3, 10**30, -(10**30), 0.5, 1.5, math.nan, math.inf, -math.inf, 1j, "", "junk", b"x"),
    *([], (), {}, set(), [1], ["junk"], [None], (0.5, "x"), {"a": 1}, Fraction(1, 2), Decimal("0.5"), object),
    *(np.float32(0.5), np.float16(0.5), np.int8(3), np.bool_(True), np.array(2), np.array([1.0, math.nan])),
    *(np.array([[1, 2]]), np.array([], int), np.str_("adam"), np.longdouble(0.5)),
]


class Nothing:
    """An object without any method."""

    def __repr__(self):
        return "Nothing()"


@dataclasses.dataclass
class Make:
    """An object that is made when it is used: a class or a function, and its arguments."""

    function: object
    arguments: dict

    def __repr__(self):
        return f"{self.function.__name__}({', '.join(f'{k}={v!r}' for k, v in self.arguments.items())})"


def made(value):
    """`value`, with all `Make` in it, at any depth, replaced by the objects."""
    if isinstance(value, Make):
        return value.function(**made(value.arguments))
    if isinstance(value, (list, tuple)):
        return type(value)(made(v) for v in value)
    if isinstance(value, dict):
        return {k: made(v) for k, v in value.items()}
    return value


def junk():
    return st.sampled_from([*JUNK, Nothing()])


# Functions that users may pass, with right and with wrong results


def squares(y_true, raw_prediction, sample_weight):
    weight = 1 if sample_weight is None else sample_weight[:, None]
    residual = raw_prediction - y_true
    return (weight * residual**2).sum(axis=1), 2 * weight * residual


def loss_of_nan(y_true, raw_prediction, sample_weight):
    return np.full(len(y_true), np.nan), np.full(y_true.shape, np.nan)


def loss_of_text(y_true, raw_prediction, sample_weight):
    return "loss", "gradient"


def loss_of_one_number(y_true, raw_prediction, sample_weight):
    return 1.0


def loss_of_a_wrong_shape(y_true, raw_prediction, sample_weight):
    return np.ones(len(y_true) + 1), np.ones(3)


def falling(progress):
    return 1.0 - progress


def negative(progress):
    return -1.0


def not_a_number(progress):
    return np.nan


def text(progress):
    return "fast"


def too_large(progress):
    return 1e308


def normal_weights(fan_in, fan_out, random_state):
    return random_state.normal(size=(fan_in, fan_out))


def huge_weights(fan_in, fan_out, random_state):
    return np.full((fan_in, fan_out), 1e200)


def nan_weights(fan_in, fan_out, random_state):
    return np.full((fan_in, fan_out), np.nan)


def flat_weights(fan_in, fan_out, random_state):
    return np.zeros(fan_in * fan_out + 1)


def text_weights(fan_in, fan_out, random_state):
    return "weights"


def constant_scorer(estimator, X, y):
    return 0.5


def nan_scorer(estimator, X, y):
    return math.nan


def text_scorer(estimator, X, y):
    return "good"


class Stop:
    """A callback that ends training after an epoch."""

    def on_epoch_end(self, state):
        return True

    def __repr__(self):
        return "Stop()"


class Trial:
    """A trial of Optuna, that is never pruned."""

    def report(self, value, step):
        pass

    def should_prune(self):
        return False


#: parameter -> functions that it may be given
FUNCTIONS = {
    "loss": [squares, loss_of_nan, loss_of_text, loss_of_one_number, loss_of_a_wrong_shape],
    "function": [falling],
    "learning_rate": [falling, negative, not_a_number, text, too_large],
    "weight_decay_schedule": [falling, negative, not_a_number, text, too_large],
    "dropout_schedule": [falling, negative, not_a_number, text, too_large],
    "weight_init": [normal_weights, huge_weights, nan_weights, flat_weights, text_weights],
    "scoring": [constant_scorer, nan_scorer, text_scorer],
}


# Values that satisfy a constraint, and their neighbours


def numbers(interval, name):
    """Numbers in an interval, at its ends and beyond."""
    low, high = interval.left, interval.right
    if interval.type is Integral:
        small = [-1, 0, 1, 2, 3, 7]
        ends = [end + step for end in (low, high) if end is not None for step in (-1, 0, 1)]
        large = [] if name in SLOW or high is not None else [1000, 10**18, 2**63, 10**30]
        some = [v for v in {*small, *ends} if v < 1000] + large
        return st.sampled_from(sorted(some)) | st.sampled_from([np.int8(2), np.int64(3), np.uint8(1)])
    ends = [v for end in (low, high) if end is not None for v in (end, *beside(float(end)))]
    some = [*ends, 0.0, 0.01, 0.1, 0.5, 0.9, 1.0, 1, 3.0, 1e-300, 5e-324, 1e10, 1e200, 1e308, math.inf, math.nan]
    return (
        st.sampled_from(some)
        | st.sampled_from([0.01, 0.1, 0.3, 0.5, 0.9])
        | st.sampled_from([np.float32(0.25), np.float16(0.5), np.longdouble(0.5)])
    )


def beside(end):
    """The floats next to a number."""
    return math.nextafter(end, -math.inf), math.nextafter(end, math.inf)


def subclasses(base):
    """All classes of the package that derive from `base`."""
    found = {cls for cls in base.__subclasses__() if cls.__module__.startswith("fastbp.")}
    return found.union(*(subclasses(cls) for cls in found)) if found else found


def objects(base, names):
    """Objects of the package's classes that derive from `base` and have one of these names."""
    classes = sorted((cls for cls in subclasses(base) if cls.name in names), key=lambda cls: cls.__name__)
    return st.sampled_from(classes).flatmap(parametrized_object) if classes else st.nothing()


def parametrized_object(cls):
    """Objects of a class with described parameters, some of which are set."""
    constraints = cls._parameter_constraints
    required = [f.name for f in dataclasses.fields(cls) if f.default is dataclasses.MISSING]
    if not constraints:
        return st.just(Make(cls, {}))
    return st.lists(st.sampled_from(list(constraints)), max_size=2, unique=True).flatmap(
        lambda names: st.fixed_dictionaries(
            {name: values(name, constraints[name]) for name in dict.fromkeys([*required, *names])}
        ).map(lambda arguments: Make(cls, arguments))
    )


def of_constraint(constraint, name):
    """Values for one constraint of scikit-learn."""
    if isinstance(constraint, NameOrObject):
        names = st.sampled_from(list(constraint.options))
        return names | objects(constraint.base, constraint.options) | functions(name, constraint.or_function)
    if isinstance(constraint, Interval):
        return numbers(constraint, name)
    if isinstance(constraint, Options):
        return st.sampled_from(sorted(constraint.options, key=repr))
    if isinstance(constraint, str):
        return BY_WORD[constraint]
    if constraint is callable:
        return functions(name, True)
    return BY_TYPE.get(constraint, st.just(constraint))  # None stands for itself


def functions(name, are_allowed):
    return st.sampled_from(FUNCTIONS[name]) if are_allowed and name in FUNCTIONS else st.nothing()


BY_WORD = {
    "boolean": st.sampled_from([True, False, np.bool_(True)]),
    "verbose": st.sampled_from([False, True, 0, 1, 2, 3]),
    "random_state": st.sampled_from([0, 1, 2**32 - 1, None]) | st.just(Make(np.random.RandomState, {"seed": 1})),
    "array-like": st.nothing(),  # see `values`
}
BY_TYPE = {
    str: st.sampled_from(["loss", "validation_score", "junk", ""]),
    os.PathLike: st.nothing(),
    dict: st.dictionaries(st.sampled_from([0, 1, "a", "b", True, None]), st.sampled_from([0, 1, 2.5, -1]), max_size=3),
    list: st.lists(st.sampled_from([0.1, 0.5, 0.9, 2, 3, "x", {0: 1.0}]), max_size=3),
    tuple: st.lists(st.sampled_from([0.1, 0.5, 0.9, 2, 3, None]), max_size=3).map(tuple),
    np.random.Generator: st.just(Make(np.random.default_rng, {"seed": 3})),
}


def layer(depth=2):
    """Layers: the fields follow from the classes, most widths are equal."""
    classes = [getattr(fastbp.layers, name) for name in fastbp.layers.__all__]
    classes = [cls for cls in classes if cls is not Layer]
    return st.sampled_from(classes).flatmap(lambda cls: layer_of(cls, depth))


def layer_of(cls, depth):
    """Objects of a class of layers."""
    required = {f.name: field_of(f, depth) for f in dataclasses.fields(cls) if f.default is dataclasses.MISSING}
    optional = {f.name: field_of(f, depth) for f in dataclasses.fields(cls) if f.name not in required}
    nested = [f.name for f in dataclasses.fields(cls) if f.name == "layers"]
    required |= {name: optional.pop(name) for name in nested}
    return st.fixed_dictionaries(required, optional=optional).map(lambda arguments: Make(cls, arguments))


def field_of(field, depth):
    """Values for a field of a layer, by its type."""
    if field.name == "layers":
        return st.lists(layer(depth - 1), max_size=3) if depth > 0 else st.just([])
    if field.name == "branches":
        layers = layer(depth - 1) if depth > 0 else st.just(Make(Dense, {"units": WIDTH}))
        return st.lists(layers | st.lists(layers, max_size=2), max_size=3)
    of_columns = {
        "levels": [[3], [2, 2], [1] * 4, [0], [], 3, [2.0], None, "x"],
        "columns": [None, None, [0], [1, 0], range(4), [0, 0], [-1], [99], [], "x", 1, [True]],
        "combine": ["concatenate", "sum", "mean", None],
        "keep_input": [True, False, 1, None],
        "bins": [4, 1, 256, 257, 0, 2.0],
        "frequencies": [4, 1, 256, 257, 0, 2.0],
        "clip": [3.0, None, 0.5, 0, -1.0, math.inf, math.nan, 1e300, True, "x"],
    }
    if field.name in of_columns:
        return st.sampled_from(of_columns[field.name])
    common = {
        int: [WIDTH] * 8 + [1, 3, 17, 0, -1, 10**18, True, 2.0, np.int64(4)],
        float: [0.1, 0.5, 0.5, 0.9, 1.0, 1e-5, 0.0, -0.5, 1e300, math.inf, math.nan, np.float32(0.5), "x"],
        bool: [True, False],
        str: ["standard", "ntk", "ntk", "junk"],
    }
    common[int | None] = [*common[int], None]
    if field.type in common:
        return st.sampled_from(common[field.type])
    names = st.sampled_from(fastbp.activations.HIDDEN_ACTIVATIONS)
    return names | names | objects(fastbp.activations.Activation, fastbp.activations.HIDDEN_ACTIVATIONS) | junk()


def layer_lists():
    return st.none() | st.lists(layer(), max_size=4) | st.lists(layer(), max_size=3).map(tuple)


def output_layers():
    settings = layer_of(fastbp.layers.Dense, 0)
    usual = settings.map(lambda made: Make(made.function, made.arguments | {"units": None, "activation": "identity"}))
    return st.none() | usual | usual | settings


def callbacks():
    """Callbacks of the package with random parameters, those of users, and lists of them."""
    classes = [getattr(fastbp.callbacks, name) for name in fastbp.callbacks.__all__]
    classes = [cls for cls in classes if cls is not fastbp.callbacks.Callback]
    one = st.sampled_from(classes).flatmap(
        lambda cls: parametrized_object(cls) if issubclass(cls, Parametrized) else st.just(Make(cls, {}))
    )
    one = one | st.just(Make(Stop, {}))
    return st.none() | one | st.lists(one, max_size=2)


def donor(width=3, hidden=(5,)):
    """A fitted network to begin from."""
    X = np.random.default_rng(0).normal(size=(20, width))
    return MLPRegressor(hidden_layer_sizes=hidden).partial_fit(X, X[:, 0])


def linear_donor():
    return LinearRegression().fit(np.eye(3), [0, 1, 2])


def arrays_of(*shapes):
    return [np.ones(shape) for shape in shapes]


def own_weights(width=3, scale=1.0):
    return [np.full((width, 5), scale), np.full((5, 1), scale)], [np.zeros(5), np.zeros(1)]


#: Parameters with values that no constraint tells
BY_NAME = {
    "layers": layer_lists(),
    "output_layer": output_layers(),
    "callbacks": callbacks(),
    "init_from": st.none()
    | st.sampled_from([Make(linear_donor, {}), Make(own_weights, {}), Make(own_weights, {"scale": math.nan})])
    | st.builds(lambda width: Make(donor, {"width": width}), st.sampled_from([3, 3, 4])),
    "frozen_layers": st.none() | st.lists(st.sampled_from([0, 1, -1, 5, "x", 0.5]), max_size=2),
    "path": st.sampled_from(["checkpoint", "no/such/folder/checkpoint", ""]),
    "trial": st.just(Make(Trial, {})),
    "n_classes": st.lists(st.integers(-1, 4), max_size=3),
}


def values(name, constraint, tame=False):
    """Values of a parameter.

    Parameters
    ----------
    name : str
    constraint : list or "no_validation"
        As in `_parameter_constraints`.
    tame : bool
        Only values that satisfy the constraint.
    """
    if constraint == "no_validation":
        known = BY_NAME.get(name, st.none())
        return known if tame else known | known | known | junk()
    single = [of_constraint(c, name) for c in constraint]
    found = st.one_of(single)
    if name in BY_NAME:
        found = found | BY_NAME[name]
    if "array-like" in constraint:
        lists = st.lists(found, max_size=3)
        found = found | lists | lists.map(tuple)
    if tame:
        checks = [make_constraint(c) for c in constraint]
        return found.filter(lambda value: isinstance(value, Make) or any(c.is_satisfied_by(value) for c in checks))
    return st.integers(0, 6).flatmap(lambda i: junk() if i == 6 else found)


@st.composite
def parameters(draw, Estimator, max_size=4, tame=False):
    """Some parameters of an estimator, as a dict of recipes for `made`; `tame`: only values that it accepts alone."""
    constraints = Estimator._parameter_constraints
    names = draw(st.lists(st.sampled_from(list(constraints)), max_size=max_size, unique=True))
    return {name: draw(values(name, constraints[name], tame)) for name in names}
