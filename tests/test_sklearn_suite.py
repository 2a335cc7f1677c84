"""scikit-learn's own tests of its multi-layer perceptron, run on fastbp's.

The module ``sklearn/neural_network/tests/test_mlp.py`` of the installed
scikit-learn is executed while ``sklearn.neural_network`` offers fastbp's two
classes under its own names.  Imports *and* the arguments of
``pytest.mark.parametrize`` see the replacement, because both are evaluated
while the module body runs.  Its test functions then become tests of this file.
"""

import importlib.util
from pathlib import Path
from unittest import mock

import pytest
import sklearn
import sklearn.neural_network

import fastbp
from sklearn_versions import REASON, REFERENCE, RELEASE

if RELEASE != REFERENCE:
    pytest.skip(REASON, allow_module_level=True)

UPSTREAM = "sklearn.neural_network.tests.test_mlp"

# Several upstream tests leave random_state free and say nothing about running
# into max_iter: whether they do is up to the seed.
# Nor do they mind a score that never moves, of which fastbp warns.
pytestmark = [
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
    pytest.mark.filterwarnings("ignore:The score of the held-out rows:RuntimeWarning"),
]


def load_upstream():
    spec = importlib.util.find_spec(UPSTREAM)
    module = importlib.util.module_from_spec(spec)
    with mock.patch.multiple(
        sklearn.neural_network, MLPClassifier=fastbp.MLPClassifier, MLPRegressor=fastbp.MLPRegressor
    ):
        spec.loader.exec_module(module)
    return module


upstream = load_upstream()
upstream_tests = {name: member for name, member in vars(upstream).items() if name.startswith("test_")}
globals().update(upstream_tests)


@pytest.fixture
def global_random_seed():
    """The seed scikit-learn's own fixture gives when no other is asked for."""
    return 42


def parametrized_values():
    """Every single value in a parametrize decorator of the upstream tests."""
    for test in upstream_tests.values():
        for mark in getattr(test, "pytestmark", []):
            if mark.name == "parametrize":
                yield from mark.args[1]


def test_every_upstream_item_is_collected(request):
    # Collecting the module anew counts what pytest can see in it, whatever
    # was selected on the command line.
    own = {"test_every_upstream_item_is_collected", "test_classes_are_replaced"}
    items = [item for item in request.node.parent.collect() if item.originalname not in own]
    assert {item.originalname for item in items} == set(upstream_tests)
    assert Path(upstream.__file__).is_relative_to(Path(sklearn.__file__).parent)
    assert len(items) == 59


def test_classes_are_replaced():
    theirs = (sklearn.neural_network.MLPClassifier, sklearn.neural_network.MLPRegressor)
    ours = (fastbp.MLPClassifier, fastbp.MLPRegressor)
    # The patch must be gone: other tests compare with scikit-learn's classes.
    assert all(cls.__module__.startswith("sklearn.") for cls in theirs)
    assert not set(theirs) & set(ours)

    assert (upstream.MLPClassifier, upstream.MLPRegressor) == ours
    assert not any(value is cls for value in vars(upstream).values() for cls in theirs)

    classes = [value for value in parametrized_values() if isinstance(value, type)]
    assert set(ours) <= set(classes)
    assert not set(theirs) & set(classes)
