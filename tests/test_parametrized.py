"""Classes whose constructor, constraints and docstring follow from their fields; `parametrized.py`."""

import inspect
from dataclasses import KW_ONLY, MISSING, fields
from fractions import Fraction
from numbers import Real
from typing import ClassVar

import numpy as np
import pytest
from sklearn.base import BaseEstimator
from sklearn.utils._param_validation import Interval, InvalidParameterError

from fastbp import MLPClassifier, MLPRegressor
from fastbp.activations import Activation, Relu, Softmax
from fastbp.losses import Huber
from fastbp.optimizers import Adam
from fastbp.parametrized import (
    NO_DEFAULT,
    CachedParamNames,
    NameOrObject,
    Parametrized,
    checks_of,
    parameter,
    parametrized,
)
from fastbp.schedules import Cosine


@parametrized
class Sample(Parametrized):
    """A sample.

    Parameters
    ----------
    {parameters}
    """

    name: ClassVar[str] = "sample"

    width: float = parameter(MISSING, [Interval(Real, 0, None, closed="left")], "float", "How wide.")
    _: KW_ONLY
    activation: str = parameter(
        "relu",
        [NameOrObject(("relu", "tanh"), Activation)],
        None,
        """
        Of the sample:

        {names}
        - 'other': another.""",
        names={"relu": Relu},
    )


@parametrized
class WiderSample(Sample):
    """One with a field more."""

    height: float = parameter(2, [Interval(Real, 0, None, closed="left")], "float", "How high.")


def test_signature():
    assert str(inspect.signature(Sample)) == "(width: float, *, activation: str = 'relu') -> None"
    assert (
        str(inspect.signature(WiderSample)) == "(width: float, height: float = 2, *, activation: str = 'relu') -> None"
    )
    with pytest.raises(TypeError, match=r"WiderSample\.__init__\(\) got an unexpected keyword argument 'depth'"):
        WiderSample(1, depth=2)


def test_a_subclass_with_a_constructor_of_its_own_has_other_parameters():
    class Narrow(Sample):
        def __init__(self, height=1.0):
            super().__init__(width=0.5)
            self.height = height

    assert sorted(Sample(1.0).get_params()) == ["activation", "width"]
    assert Narrow().get_params() == {"height": 1.0}


def test_docstring():
    expected = """A sample.

Parameters
----------
width : float
    How wide.

activation : {'relu', 'tanh'} or Activation, default='relu'
    Of the sample:

    - 'relu': The activation 'relu' of a layer.
    - 'other': another."""
    assert Sample.__doc__ == expected


def test_constraints():
    assert Sample._parameter_constraints.keys() == {"width", "activation"}
    assert WiderSample._parameter_constraints.keys() == {"width", "activation", "height"}
    Sample(1.0, activation=Relu())._validate_params()
    with pytest.raises(InvalidParameterError, match=r"The 'width' parameter of Sample must be a float in .* Got -1"):
        Sample(-1)._validate_params()


@pytest.mark.parametrize("wrong", [Softmax(), "softmax", Activation(), Relu, 3, ["relu"]], ids=repr)
def test_name_or_object(wrong):
    message = (
        r"The 'activation' parameter of Sample must be a str among \{'relu', 'tanh'\} or an object of "
        r"fastbp\.activations with one of these names\. Got"
    )
    with pytest.raises(InvalidParameterError, match=message):
        Sample(1.0, activation=wrong)._validate_params()


def test_equality():
    assert Sample(1) == Sample(1.0) != Sample(2)
    assert Sample(1) != WiderSample(1)


def test_equality_can_be_left_out():
    @parametrized(eq=False)
    class Distinct(Parametrized):
        """Equal to itself only."""

    assert Distinct() != Distinct()


def test_constants_stand_in_the_order_of_the_fields():
    @parametrized
    class Constants(Parametrized):
        """Two numbers."""

        b: float = parameter(2, [Real], "float", "")
        a: bool = parameter(True, ["boolean"], "bool", "")

    assert Constants().constants == (2.0, 1.0)
    assert Constants(a=False, b=3).constants == (3.0, 0.0)


def subclasses(cls):
    """All subclasses with parameters."""
    for sub in cls.__subclasses__():
        if sub.__module__.startswith("fastbp") and hasattr(sub, "__dataclass_fields__"):
            yield sub
        yield from subclasses(sub)


@pytest.mark.parametrize("cls", sorted(set(subclasses(CachedParamNames)), key=lambda cls: cls.__name__))
def test_defaults_are_valid(cls):
    """They are not checked again for each object."""
    described = {f.name: f.default for f in fields(cls) if f.default is not MISSING}
    checks = {name: default for name, default, _ in checks_of(cls)}
    assert checks.keys() == cls._parameter_constraints.keys()
    assert {name: checks[name] for name in described} == described


VALUES = [
    None,
    True,
    False,
    -1,
    0,
    1,
    2.5,
    np.float32(0.5),
    np.int8(3),
    1.0,
    np.inf,
    np.nan,
    10**400,
    "x",
    "auto",
    "adam",
]
VALUES += ["relu", "huber", (), (3,), [1, "a"], {}, {1: 2}, object(), np.array(2), np.ones(2), Fraction(1, 2), len, int]
VALUES += [Relu(), Adam(), Adam(beta_1=7), np.random.RandomState(0), np.random.default_rng(0)]


@pytest.mark.parametrize("cls", [MLPClassifier, MLPRegressor, Adam, Huber, Cosine], ids=lambda cls: cls.__name__)
def test_values_are_refused_as_scikit_learn_does(cls):
    n_refused = 0
    for name in cls._parameter_constraints:
        for value in VALUES:
            errors = []
            for validate in (BaseEstimator._validate_params, cls._validate_params):
                try:
                    validate(cls(**{name: value}))
                    errors.append(None)
                except InvalidParameterError as error:
                    errors.append(str(error))
                except (TypeError, ValueError) as error:  # ours: what constraints cannot say
                    errors.append(type(error))
            expected, found = errors
            if isinstance(expected, str):
                assert found == expected
                n_refused += 1
    assert n_refused > len(cls._parameter_constraints)  # most of the values are wrong


def test_a_valid_value_is_checked_once(monkeypatch):
    """scikit-learn's own check, which makes all constraints anew, is left out."""
    monkeypatch.setattr(BaseEstimator, "_validate_params", None)
    Sample(2.0, activation="tanh")._validate_params()
    with pytest.raises(TypeError, match="NoneType"):
        Sample(-2.0)._validate_params()


def test_a_default_that_is_not_valid_is_checked():
    @parametrized
    class Wrong(Parametrized):
        """With a wrong default."""

        width: float = parameter(-1, [Interval(Real, 0, None, closed="left")], "float", "")

    assert checks_of(Wrong)[0][1] is NO_DEFAULT
    with pytest.raises(InvalidParameterError, match="'width' parameter of Wrong"):
        Wrong()._validate_params()
