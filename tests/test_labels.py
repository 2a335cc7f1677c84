"""Labels without scikit-learn's checks; `estimators/labels.py`."""

import warnings

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from sklearn.base import ClassifierMixin
from sklearn.exceptions import NotFittedError
from sklearn.preprocessing import LabelBinarizer

from fastbp import MLPClassifier
from fastbp.estimators.labels import fitted_binarizer, labels_of, labels_of_output, numbers_of_labels
from outcomes import outcome


@pytest.mark.parametrize(
    "y",
    [
        np.array([3, 5, 3, 4]),
        np.array([0, 7, 7, 0]),
        np.array([-128, 127, 0, -128], np.int8),
        np.array([-3, -1, -2], np.int16),
        np.array([2**63 + 1, 2**63 + 3, 2**63 + 1], np.uint64),
        np.array([0, 2**40]),
        np.array([-(2**63), 2**63 - 1]),
        np.array([2, 3], ">i4"),
        np.array([1.0, 2.0, 1.0]),
        np.array([True, False]),
        np.array(["b", "a"]),
        np.array([], int),
    ],
    ids=lambda y: str(y.dtype),
)
def test_labels_by_counting(y):
    classes = np.unique(y)
    if len(y):
        found = labels_of(y)
        assert_array_equal(found, classes)
        assert found.dtype.kind == classes.dtype.kind
        assert_array_equal(numbers_of_labels(y, classes), np.searchsorted(classes, y))
    else:
        with pytest.raises(ValueError, match="0 samples"):
            fitted_binarizer(y)


@pytest.mark.parametrize(
    "y",
    [
        np.array([7, 3, 7, 3]),
        np.array([3, 5, 3, 4, 4, 5]),
        np.array([5, 5]),
        np.array([-128, 127, -128, 127], np.int8),
        np.array([2, 3, 2, 3], ">i4"),
        np.array([2**63 + 1, 2**63 + 3, 2**63 + 1, 2**63 + 3], np.uint64),
        np.array([1.0, 2.0, 1.0]),
        np.array(["b", "a", "b"]),
        np.array(["b", "a", "b"], object),
        np.array([True, False, True]),
        np.array([[1, 0], [1, 1]]),
    ],
    ids=lambda y: str(y.dtype),
)
def test_fitted_binarizer_is_that_of_sklearn(y):
    found, expected = vars(fitted_binarizer(y)), vars(LabelBinarizer().fit(y))
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        assert_array_equal(found[name], value)
        assert type(found[name]) is type(value)
    assert found["classes_"].dtype == expected["classes_"].dtype


@pytest.mark.parametrize("n_labels", [40, 100])
def test_binarizer_warns_of_too_many_labels_as_sklearn_does(n_labels):
    y = np.arange(100) % n_labels
    with warnings.catch_warnings(record=True) as expected:
        warnings.simplefilter("always")
        LabelBinarizer().fit(y)
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        fitted_binarizer(y)
    assert [str(w.message) for w in found] == [str(w.message) for w in expected]


@pytest.mark.parametrize("text", [False, True])
@pytest.mark.parametrize("n_classes", [1, 2, 3])
def test_labels_of_output_are_those_of_sklearn(n_classes, text):
    labels = np.arange(6) % n_classes
    binarizer = LabelBinarizer().fit(np.array(["c", "a", "bb"])[labels] if text else 3 * labels)
    output = np.random.default_rng(0).random((50, 1 if n_classes < 3 else 3))
    output[:3, 0] = 0.5, np.nan, 1.0
    found, expected = labels_of_output(binarizer, output), binarizer.inverse_transform(output.squeeze())
    assert_array_equal(found, expected)
    assert found.dtype == expected.dtype


def test_indicators_of_output():
    binarizer = LabelBinarizer().fit(np.array([[1, 0], [0, 1]]))
    output = np.array([[0.2, 0.7], [0.5, 0.51]])
    assert_array_equal(labels_of_output(binarizer, output), [[0, 1], [0, 1]])


X = np.random.default_rng(0).normal(size=(40, 3))
LABELS = np.arange(40) % 3
SCORED = {
    "labels": LABELS,
    "two of them": LABELS % 2,
    "unknown ones": LABELS + 2,
    "int8": LABELS.astype(np.int8),
    "as many as rows": np.arange(40),
    "float": LABELS.astype(float),
    "not whole": LABELS + 0.5,
    "text": LABELS.astype(str),
    "list": LABELS.tolist(),
    "column": LABELS[:, None],
    "indicators": np.eye(3, dtype=int)[LABELS],
    "shorter": LABELS[:-1],
    "longer": np.arange(41) % 3,
    "none": LABELS[:0],
}


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("classes", ["int", "two", "text"])
@pytest.mark.parametrize("y", SCORED)
def test_score_is_that_of_sklearn(y, classes):
    labels = {"int": LABELS, "two": LABELS % 2, "text": LABELS.astype(str)}[classes]
    model = MLPClassifier((4,), max_iter=3, random_state=0).fit(X, labels)
    expected = outcome(lambda: ClassifierMixin.score(model, X, SCORED[y]))
    found = outcome(lambda: model.score(X, SCORED[y]))
    assert found == expected
    assert type(found[0]) is type(expected[0])


def test_score_without_a_fit():
    with pytest.raises(NotFittedError):
        MLPClassifier().score(X, LABELS)
