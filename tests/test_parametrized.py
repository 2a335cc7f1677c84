"""Classes whose constructor, constraints and docstring follow from their fields; `parametrized.py`."""

import inspect
from dataclasses import KW_ONLY, MISSING
from numbers import Real
from typing import ClassVar

import pytest
from sklearn.utils._param_validation import Interval, InvalidParameterError

from fastbp.activations import Activation, Relu, Softmax
from fastbp.parametrized import NameOrObject, Parametrized, parameter, parametrized


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
