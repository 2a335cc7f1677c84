"""The display of losses, scores and the best epoch."""

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from sklearn import neural_network

from fastbp import MLPClassifier, MLPRegressor
from fastbp.inspection import LossCurveDisplay

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

RNG = np.random.default_rng(0)
X = RNG.normal(size=(100, 3))
Y = X[:, 0] + RNG.normal(size=100)


def test_early_stopping(pyplot, labels_apart):
    model = MLPClassifier((5,), early_stopping=True, random_state=0, max_iter=40, learning_rate_init=0.02)
    display = LossCurveDisplay.from_estimator(model.fit(X, Y > 0))
    assert_array_equal(display.loss_line_.get_ydata(), model.loss_curve_)
    assert_array_equal(display.loss_line_.get_xdata(), np.arange(1, model.n_iter_ + 1))
    assert_array_equal(display.score_line_.get_ydata(), model.validation_scores_)
    assert model.validation_scores_[display.best_epoch - 1] == model.best_validation_score_
    assert display.best_epoch == np.argmax(model.validation_scores_) + 1
    assert_array_equal(display.best_line_.get_xdata(), [display.best_epoch] * 2)
    assert display.ax_.get_ylabel() == "training loss"
    assert display.score_ax_.get_ylabel() == "validation accuracy"
    assert display.loss_line_.get_linestyle() != display.score_line_.get_linestyle()
    words = [text.get_text() for text in display.ax_.get_legend().get_texts()]
    assert words == ["training loss", "validation accuracy", f"best score: epoch {display.best_epoch}"]
    labels_apart(display.figure_)


def test_loss_only(pyplot):
    model = MLPRegressor(max_iter=30, random_state=0)
    display = LossCurveDisplay.from_estimator(model.fit(X, Y), log=True)
    assert display.score_ax_ is display.score_line_ is None
    assert display.best_epoch == np.argmin(model.loss_curve_) + 1
    assert display.ax_.get_yscale() == "log"
    assert display.ax_.get_legend().get_texts()[-1].get_text() == f"smallest loss: epoch {display.best_epoch}"


def test_regressor_and_other_name(pyplot):
    model = MLPRegressor(early_stopping=True, max_iter=5, random_state=0).fit(X, Y)
    assert LossCurveDisplay.from_estimator(model).score_ax_.get_ylabel() == "validation R²"
    assert LossCurveDisplay.from_estimator(model, score_name="r2").score_ax_.get_ylabel() == "r2"


def test_estimator_of_scikit_learn(pyplot):
    model = neural_network.MLPClassifier((5,), max_iter=5, random_state=0).fit(X, Y > 0)
    assert_array_equal(LossCurveDisplay.from_estimator(model).loss_line_.get_ydata(), model.loss_curve_)


def test_few_epochs_are_marked(pyplot, labels_apart):
    display = LossCurveDisplay(loss_curve=[1.0], validation_scores=[0.5]).plot()
    assert display.loss_line_.get_marker() == "o"
    assert display.score_line_.get_marker() == "s"
    assert [tick for tick in display.ax_.get_xticks() if tick % 1] == []
    labels_apart(display.figure_)
    assert LossCurveDisplay(loss_curve=np.arange(30)).plot().loss_line_.get_marker() == "None"


def test_score_that_is_not_finite(pyplot):
    display = LossCurveDisplay(loss_curve=[3.0, 2, 1], validation_scores=[0.1, 0.7, np.nan]).plot()
    assert display.best_epoch == 2


def test_styles(pyplot):
    display = LossCurveDisplay(loss_curve=[2, 1], validation_scores=[1, 2])
    display.plot(loss_kw={"color": "black"}, score_kw={"linestyle": ":"})
    assert display.loss_line_.get_color() == "black"
    assert display.score_line_.get_linestyle() == ":"


def test_lbfgs_has_no_curve():
    model = MLPRegressor(solver="lbfgs", max_iter=5, random_state=0).fit(X, Y)
    with pytest.raises(ValueError, match=r"no loss_curve_: solver='lbfgs' records none. Fit with 'adam' or 'sgd'"):
        LossCurveDisplay.from_estimator(model)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (dict(loss_curve=[]), r"one number for each epoch, got shape \(0,\)"),
        (dict(loss_curve=[[1.0]]), r"one number for each epoch, got shape \(1, 1\)"),
        (dict(loss_curve=[1.0, 2], validation_scores=[1.0]), r"validation_scores must have shape \(2,\).*got \(1,\)"),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        LossCurveDisplay(**arguments)
