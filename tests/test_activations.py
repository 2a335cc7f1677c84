"""The activations as objects, one class for each name in the kernels' table; `activations.py`."""

import ast
import copy
import pickle
from pathlib import Path

import numpy as np
import pytest
from sklearn.base import clone

import fastbp.activations
from fastbp.activations import ACTIVATIONS, HIDDEN_ACTIVATIONS, Activation, Relu, Tanh, name_of, output_range
from fastbp.kernels import dispatch

every_class = pytest.mark.parametrize("cls", ACTIVATIONS.values())


def test_every_activation_of_the_kernels_has_a_class():
    assert ACTIVATIONS.keys() == dispatch.ACTIVATIONS.keys()
    for name, cls in ACTIVATIONS.items():
        assert cls.name == name
        assert cls.__name__ == name.title().replace("_", "")
        assert getattr(fastbp.activations, cls.__name__) is cls
        assert cls.__name__ in fastbp.activations.__all__


@every_class
def test_the_docstring_says_the_name_and_the_formula(cls):
    assert cls.__doc__.startswith(
        f"The activation {cls.name!r} of a layer.\n\nWith the pre-activation ``z``::\n\n    f(z)"
    )


@every_class
@pytest.mark.parametrize("way", [clone, copy.deepcopy, lambda a: pickle.loads(pickle.dumps(a))])
def test_copies_are_equal(cls, way):
    activation = cls()
    assert way(activation) == activation
    assert repr(way(activation)) == f"{cls.__name__}()"
    assert activation.get_params() == {}


def test_equality():
    assert Relu() == Relu()
    assert Relu() != Tanh()
    assert Relu() != "relu"


@every_class
def test_name_of(cls):
    assert name_of(cls()) == name_of(cls.name) == cls.name


@pytest.mark.parametrize("wrong", ["sine", None, 3, Relu, Activation(), ["relu"], np.tanh], ids=repr)
def test_no_activation(wrong):
    with pytest.raises(ValueError, match=r"activation must be one of elu, exp, .*tanh; got "):
        name_of(wrong)


def test_hidden_activations():
    assert set(HIDDEN_ACTIVATIONS) == set(ACTIVATIONS) - {"softmax", "exp"} | {"prelu", "blend"}


def test_output_range():
    assert output_range("identity") == (-30, 30)
    assert output_range("relu") == (0, 30)
    assert output_range("leaky_relu") == (pytest.approx(-0.3), 30)
    positive = {name for name in ACTIVATIONS if output_range(name)[0] > 0}
    assert positive == {"logistic", "softplus", "exp", "softmax"}
    assert all(output_range(name)[1] <= 1 for name in ("logistic", "softmax", "tanh"))


def test_tools_that_read_the_source_see_all_classes():
    tree = ast.parse(Path(fastbp.activations.__file__).read_text("utf-8"))
    (block,) = [node for node in tree.body if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"]
    assert [node.name for node in block.body] == [cls.__name__ for cls in ACTIVATIONS.values()]
