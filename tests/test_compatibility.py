"""What differs between versions of scikit-learn: `compatibility.py`, as it is and as with other versions."""

import importlib.util
import sys

import numpy as np
import pytest
import sklearn.utils.validation
from numpy.testing import assert_array_equal

import fastbp.compatibility
from fastbp import MLPClassifier

X = np.ones((3, 2))


@pytest.fixture
def imported_anew():
    """A function that executes the module once more, with what is there now."""

    def load():
        spec = importlib.util.spec_from_file_location("compatibility_of_another_version", fastbp.compatibility.__file__)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module

    return load


def old_check_sample_weight(sample_weight, X, dtype=None, copy=False, ensure_non_negative=False):
    """The signature of scikit-learn 1.6, in which weights may all be zero."""
    weight = np.asarray(sample_weight, dtype)
    if ensure_non_negative and weight.min() < 0:
        raise ValueError("Negative values in data")
    return weight


@pytest.mark.parametrize("is_old", [False, True])
def test_sample_weights(is_old, monkeypatch, imported_anew):
    if is_old:
        monkeypatch.setattr(sklearn.utils.validation, "_check_sample_weight", old_check_sample_weight)
    check = imported_anew().checked_sample_weight
    weight = check([1, 0, 2], X)
    assert weight.dtype == np.float64
    assert_array_equal(weight, [1, 0, 2])
    assert_array_equal(check([-1, 0, 2], X), [-1, 0, 2])
    with pytest.raises(ValueError, match="Negative values"):
        check([-1, 0, 2], X, ensure_non_negative=True)
    with pytest.raises(ValueError, match="at least one non-zero number"):
        check([0, 0, 0], X, ensure_non_negative=True)
    assert_array_equal(check([0, 0, 0], X, allow_all_zero_weights=True), [0, 0, 0])


def test_without_callbacks_of_scikit_learn(monkeypatch, imported_anew):
    monkeypatch.setitem(sys.modules, "sklearn.callback", None)  # as if it could not be imported
    estimator = imported_anew().CallbackSupportMixin()
    assert not hasattr(estimator, "set_callbacks")
    with pytest.raises(AttributeError, match=rf"needs scikit-learn 1\.9 or newer, and this is {sklearn.__version__}"):
        estimator.set_callbacks  # noqa: B018 - the attribute is what is tested


def test_callbacks_of_scikit_learn_where_it_has_them():
    has_them = importlib.util.find_spec("sklearn.callback") is not None
    assert hasattr(MLPClassifier(), "set_callbacks") == has_them


def test_openmp_threads():
    threads = fastbp.compatibility.openmp_threads()
    assert threads is None or threads >= 1
