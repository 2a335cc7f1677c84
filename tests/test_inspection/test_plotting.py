"""What the displays share, and errors without matplotlib; `_plotting.py`."""

import sys

import numpy as np
import pytest
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from fastbp import MLPClassifier, Network
from fastbp.inspection import (
    GradientFlowDisplay,
    LearningRateDisplay,
    LossCurveDisplay,
    NetworkDisplay,
    WeightsDisplay,
    _plotting,
    gradient_flow,
)

X = np.random.default_rng(0).normal(size=(20, 3))
FLOW = gradient_flow()
MODEL = MLPClassifier((2,), max_iter=20, tol=1, n_iter_no_change=1, random_state=0, callbacks=FLOW)
MODEL.fit(X, X[:, 0] > 0)

DISPLAYS = {
    "LossCurveDisplay": lambda **ax: LossCurveDisplay.from_estimator(MODEL, **ax),
    "LearningRateDisplay": lambda **ax: LearningRateDisplay.from_estimator(MODEL, X, X[:, 0] > 0, **ax),
    "GradientFlowDisplay": lambda **ax: GradientFlowDisplay.from_flow(FLOW, **ax),
    "WeightsDisplay": lambda **ax: WeightsDisplay.from_estimator(MODEL, **ax),
    "NetworkDisplay": lambda **ax: NetworkDisplay.from_estimator(MODEL, **ax),
}


@pytest.mark.parametrize("missing", ["matplotlib", "matplotlib.pyplot"])
@pytest.mark.parametrize("name", DISPLAYS)
def test_without_matplotlib(name, missing, monkeypatch):
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(ImportError, match=rf"{name} draws with matplotlib.*pip install 'fastbp\[plot\]'`"):
        DISPLAYS[name]()


@pytest.mark.parametrize("name", DISPLAYS)
def test_given_axes(name, pyplot):
    figure, (left, right) = pyplot.subplots(1, 2)
    display = DISPLAYS[name](ax=right)
    assert display.ax_ is right
    assert display.figure_ is figure
    assert not left.has_data()
    assert not left.texts
    # and drawn a second time, elsewhere
    assert display.plot(left) is display
    assert display.ax_ is left


@pytest.mark.parametrize("name", DISPLAYS)
def test_new_figure(name, pyplot, labels_apart):
    display = DISPLAYS[name]()
    assert display.figure_ is display.ax_.figure
    assert pyplot.get_fignums() == [display.figure_.number]
    assert labels_apart(display.figure_) > 3


def test_the_search_for_labels_on_labels_finds_them(pyplot, labels_apart):
    figure = pyplot.figure()
    figure.text(0.5, 0.5, "one")
    figure.text(0.8, 0.5, "other")
    assert labels_apart(figure) == 2
    third = figure.text(0.51, 0.51, "third")
    with pytest.raises(AssertionError, match="lies on"):
        labels_apart(figure)
    third.set_position((0.99, 0.9))
    with pytest.raises(AssertionError, match="leaves the figure"):
        labels_apart(figure)


@pytest.mark.parametrize("Display", [LossCurveDisplay, WeightsDisplay, NetworkDisplay])
def test_what_is_no_fitted_estimator(Display):
    with pytest.raises(NotFittedError):
        Display.from_estimator(MLPClassifier())
    with pytest.raises(TypeError, match=r"got Pipeline\. Of a pipeline, give the last step"):
        Display.from_estimator(make_pipeline(StandardScaler(), MODEL))
    with pytest.raises(TypeError, match="got Network"):
        Display.from_estimator(Network([3, 1], random_state=0))


def test_shortened():
    assert _plotting.shortened("worst radius", 12) == "worst radius"
    assert _plotting.shortened("worst fractal dimension", 12) == "worst f…sion"
    for length in range(3, 22):
        assert len(_plotting.shortened("worst fractal dimension", length)) == length


def test_names():
    assert _plotting.checked_names("names", None, 2) is None
    assert _plotting.checked_names("names", np.array([1, 2]), 2) == ["1", "2"]
    with pytest.raises(ValueError, match="names must be 3 names to fit the network, got 2"):
        _plotting.checked_names("names", ["a", "b"], 3)
