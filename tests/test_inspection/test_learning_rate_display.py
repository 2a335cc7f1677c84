"""The display of a sweep of the learning rate."""

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from fastbp import MLPClassifier, MLPRegressor, find_learning_rate
from fastbp.inspection import LearningRateDisplay

RNG = np.random.default_rng(0)
X = RNG.normal(size=(100, 3))
Y = X[:, 0] + RNG.normal(size=100)
MODEL = MLPRegressor(hidden_layer_sizes=(5,), batch_size=32, random_state=0)


def test_from_estimator(pyplot, labels_apart):
    sweep = find_learning_rate(MODEL, X, Y)
    display = LearningRateDisplay.from_estimator(MODEL, X, Y)
    for line, values in ((display.loss_line_, sweep.losses), (display.smoothed_line_, sweep.smoothed)):
        assert_array_equal(line.get_xdata(), sweep.learning_rates)
        assert_array_equal(line.get_ydata(), values)
    assert_array_equal(display.suggestion_line_.get_xdata(), [sweep.suggestion] * 2)
    assert display.ax_.get_xscale() == "log"
    words = [text.get_text() for text in display.ax_.get_legend().get_texts()]
    assert words == ["loss of a batch", "smoothed", f"suggestion: {sweep.suggestion:.2g}"]
    low, high = display.ax_.get_ylim()
    assert low < sweep.smoothed.min() < sweep.smoothed.max() < high
    labels_apart(display.figure_)


def test_arguments_of_the_sweep(pyplot):
    y, weight = np.eye(3)[RNG.integers(3, size=100)], RNG.uniform(1, 2, 100)
    arguments = dict(classes=["a", "b", "c"], min_learning_rate=1e-5, max_learning_rate=1.0, n_steps=60)
    model = MLPClassifier(hidden_layer_sizes=(5,), batch_size=32, random_state=0)
    display = LearningRateDisplay.from_estimator(model, X, y, weight, **arguments)
    assert_array_equal(display.losses, find_learning_rate(model, X, y, weight, **arguments).losses)


def test_no_suggestion(pyplot, labels_apart):
    display = LearningRateDisplay(learning_rates=[0.1, 1], losses=[1, 1], smoothed=[1, 1]).plot()
    assert display.suggestion_line_ is None
    assert len(display.ax_.get_legend().get_texts()) == 2
    labels_apart(display.figure_)


def test_a_huge_loss_leaves_the_others_visible(pyplot):
    sweep = find_learning_rate(MODEL, X, Y)
    losses = np.append(sweep.losses[:-1], 1e9)
    display = LearningRateDisplay(
        learning_rates=sweep.learning_rates, losses=losses, smoothed=sweep.smoothed, suggestion=0.1
    )
    assert display.plot().ax_.get_ylim()[1] < 100


def test_styles(pyplot):
    display = LearningRateDisplay(learning_rates=[0.1, 1], losses=[1, 2], smoothed=[1, 2])
    display.plot(loss_kw={"color": "black"}, smoothed_kw={"linestyle": ":"})
    assert display.loss_line_.get_color() == "black"
    assert display.smoothed_line_.get_linestyle() == ":"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (dict(learning_rates=[], losses=[], smoothed=[]), r"losses must be one number for each step, got shape \(0,\)"),
        (dict(learning_rates=[1], losses=[[1]], smoothed=[1]), r"one number for each step, got shape \(1, 1\)"),
        (dict(learning_rates=[1], losses=[1, 2], smoothed=[1, 2]), r"learning_rates must have shape \(2,\)"),
        (dict(learning_rates=[1, 2], losses=[1, 2], smoothed=[1]), r"smoothed must have shape \(2,\)"),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        LearningRateDisplay(**arguments)
