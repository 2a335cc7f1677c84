"""What is watched: `scoring`, `restore_best`, ``history_``; `estimators/scoring.py`, `training/validation.py`."""

import pickle
import warnings

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.metrics import (
    accuracy_score,
    balanced_accuracy_score,
    get_scorer,
    make_scorer,
    mean_pinball_loss,
    roc_auc_score,
)
from sklearn.model_selection import GridSearchCV

from callback_cases import ignore_max_iter, weights
from fastbp import MLPClassifier, MLPRegressor
from fastbp.callbacks import History
from fastbp.losses import Quantile
from fault_cases import SMALL, both_estimators, make_data

X, Y = make_data(150)
X_VAL, Y_VAL = X[100:], Y[100:]
ROWS = dict(X_val=X_VAL, y_val=Y_VAL)
X, Y = X[:100], Y[:100]
FAST = SMALL | dict(learning_rate_init=0.03, max_iter=40, early_stopping=True)


class Weights:
    """A callback that keeps the weights of every epoch."""

    def on_fit_begin(self, state):
        self.seen = []

    def on_epoch_end(self, state):
        self.seen.append([W.copy() for W in (*state.network.coefs, *state.network.intercepts)])


def after_epoch(model, epoch):
    """The model with the weights after an epoch; its callback is a `Weights`."""
    other = clone(model).set_params(callbacks=None, early_stopping=False, max_iter=1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        other.fit(X, Y)
    n = len(other.coefs_)
    arrays = model.callbacks.seen[epoch - 1]
    other.coefs_, other.intercepts_ = arrays[:n], arrays[n:]
    return other


@ignore_max_iter
@pytest.mark.parametrize(
    ("Estimator", "scoring", "score"),
    [
        (
            MLPClassifier,
            "balanced_accuracy",
            lambda m: balanced_accuracy_score(Y_VAL, m.predict(X_VAL)),
        ),
        (
            MLPClassifier,
            "roc_auc_ovr",
            lambda m: roc_auc_score(Y_VAL, m.predict_proba(X_VAL), multi_class="ovr"),
        ),
        (MLPClassifier, make_scorer(accuracy_score), lambda m: m.score(X_VAL, Y_VAL)),
        (MLPRegressor, "neg_mean_absolute_error", lambda m: -abs(m.predict(X_VAL) - Y_VAL).mean()),
        (
            MLPRegressor,
            lambda m, X, y: m.score(X[:30], y[:30]),
            lambda m: m.score(X_VAL[:30], Y_VAL[:30]),
        ),
    ],
)
def test_scores_are_those_of_the_fitted_model(Estimator, scoring, score):
    model = Estimator(**FAST, scoring=scoring, callbacks=Weights()).fit(X, Y, **ROWS)
    for epoch in (1, model.n_iter_):
        assert_allclose(model.validation_scores_[epoch - 1], score(after_epoch(model, epoch)), rtol=1e-12)
    assert model.best_iteration_ == 1 + np.argmax(model.validation_scores_)
    assert_allclose(score(model), model.best_validation_score_, rtol=1e-12)


@ignore_max_iter
@both_estimators
def test_the_first_score_decides_and_all_are_recorded(Estimator):
    other = "f1_macro" if Estimator is MLPClassifier else "neg_mean_squared_error"
    model = Estimator(**FAST, scoring=["loss", other, None]).fit(X, Y, **ROWS)
    history = model.history_
    assert list(history) == [
        "loss", f"validation_{other}", "validation_score", "validation_loss", "learning_rate", "seconds"
    ]  # fmt: skip
    assert {len(column) for column in history.values()} == {model.n_iter_}
    assert history["loss"] is model.loss_curve_
    assert history["validation_loss"] is model.validation_loss_curve_
    assert model.validation_scores_ == [-loss for loss in model.validation_loss_curve_]
    assert model.best_iteration_ == 1 + np.argmin(model.validation_loss_curve_)
    assert model.best_validation_score_ == -min(model.validation_loss_curve_)
    assert history["learning_rate"] == [0.03] * model.n_iter_
    assert (np.diff([0.0, *history["seconds"]]) > 0).all()
    # what comes after the first changes nothing
    alone = clone(model).set_params(scoring="loss").fit(X, Y, **ROWS)
    assert_array_equal(weights(alone), weights(model))
    assert_allclose(model.score(X_VAL, Y_VAL), history["validation_score"][model.best_iteration_ - 1])


@ignore_max_iter
def test_held_out_rows_and_names_of_ones_own():
    model = MLPClassifier(**FAST, validation_fraction=0.4, scoring={"auc": "roc_auc_ovr", "loss": "loss"}).fit(X, Y)
    assert model.history_["validation_auc"] == model.validation_scores_
    assert len(model.history_["validation_loss"]) == model.n_iter_
    # None is what it was: the accuracy, and no loss
    plain = MLPClassifier(**FAST).fit(X, Y)
    by_name = MLPClassifier(**FAST, scoring="accuracy").fit(X, Y)
    assert_array_equal(weights(plain), weights(by_name))
    assert list(plain.history_) == ["loss", "validation_score", "learning_rate", "seconds"]
    assert plain.validation_loss_curve_ is None


@ignore_max_iter
def test_weights_of_rows_are_passed_to_scorers_that_take_them():
    seen = []

    def weighted(model, X, y, sample_weight=None):
        seen.append(sample_weight)
        return 1.0 - 1.0 / len(seen)

    def plain(model, X, y):
        return 0.0

    weight = np.arange(50.0)
    scoring = [weighted, plain, "neg_max_error", "r2"]  # neg_max_error takes no weights
    model = MLPRegressor(**SMALL, scoring=scoring).fit(X, Y, **ROWS, sample_weight_val=weight)
    assert len(seen) == 4
    assert all(np.array_equal(found, weight) for found in seen)
    expected = model.score(X_VAL, Y_VAL, weight)
    assert_allclose(model.history_["validation_r2"][-1], expected, rtol=1e-12)
    model.fit(X, Y, **ROWS)
    assert seen[-1] is None


@ignore_max_iter
@both_estimators
def test_without_restore_best_the_last_weights_stay(Estimator):
    model = Estimator(
        **FAST | dict(n_iter_no_change=3, learning_rate_init=0.1), restore_best=False, callbacks=Weights()
    )
    model.fit(X, Y, **ROWS)
    best = clone(model).set_params(restore_best=True).fit(X, Y, **ROWS)
    assert model.validation_scores_ == best.validation_scores_
    assert 1 <= model.best_iteration_ == best.best_iteration_ < model.n_iter_
    for epoch, fitted in ((model.n_iter_, model), (model.best_iteration_, best)):
        arrays = model.callbacks.seen[epoch - 1]
        for actual, expected in zip([*fitted.coefs_, *fitted.intercepts_], arrays, strict=True):
            assert_array_equal(actual, expected)


def test_divergence_without_restore_best():
    y = np.r_[np.zeros(99), 1e300]
    model = MLPRegressor(**SMALL | dict(solver="sgd", early_stopping=True), restore_best=False)
    with pytest.warns(Warning, match=r"training stopped\. Scale"):
        model.fit(X, y, X_val=X, y_val=np.arange(100.0))
    assert all(np.isfinite(W).all() for W in model.coefs_)
    assert np.isnan(model.validation_scores_[-1])
    # without early stopping nothing decides which weights to keep
    with pytest.raises(ValueError, match="diverged in epoch 1"):
        MLPRegressor(**SMALL | dict(solver="sgd")).fit(X, y, X_val=X, y_val=np.arange(100.0))


@ignore_max_iter
def test_a_score_that_never_changes_gives_way_to_the_loss():
    with pytest.warns(RuntimeWarning, match="the loss on these rows decided"):
        model = MLPRegressor(**FAST, scoring=lambda m, X, y: 0.25).fit(X, Y, **ROWS)
    assert model.best_iteration_ == 1 + np.argmin(model.validation_loss_curve_)


# --- scorers that fail -----------------------------------------------------------------------


@both_estimators
def test_a_scorer_that_raises(Estimator):
    def fails(model, X, y):
        raise ZeroDivisionError("of the scorer")

    model = Estimator(**SMALL | dict(max_iter=1))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.fit(X, Y)
    before = pickle.dumps(model)
    model.set_params(scoring=fails, early_stopping=True)
    with pytest.raises(ZeroDivisionError, match="of the scorer"):
        model.fit(X, Y)
    assert pickle.dumps(model.set_params(scoring=None, early_stopping=False)) == before


class Odd(Exception):
    """An exception of a type that computations do not raise."""


def test_an_odd_exception_of_a_scorer_is_a_failure():
    def fails(model, X, y):
        raise Odd

    model = MLPRegressor(**SMALL, scoring=fails, early_stopping=True)
    with pytest.raises(Odd):
        model.fit(X, Y)
    assert not hasattr(model, "coefs_")


@ignore_max_iter
def test_nan_scores():
    def nan(model, X, y):
        return np.nan

    with pytest.raises(ValueError, match=r"scoring: 'nan' is NaN on the validation set"):
        MLPRegressor(**SMALL, early_stopping=True, scoring=nan).fit(X, Y)
    model = MLPRegressor(**SMALL, early_stopping=True, scoring={"r2": "r2", "nan": nan}).fit(X, Y)
    assert np.isnan(model.history_["validation_nan"]).all()
    with pytest.raises(TypeError, match="scoring: 'text' must return a number, got str 'high'"):
        MLPRegressor(**SMALL, early_stopping=True, scoring={"text": lambda *_: "high"}).fit(X, Y)


@pytest.mark.parametrize(
    ("scoring", "message"),
    [
        ("acuracy", "The 'scoring' parameter of MLPClassifier must be"),
        (3, "The 'scoring' parameter of MLPClassifier must be"),
        ([], "scoring must name at least one score"),
        (["acuracy"], "'acuracy' is not a valid scoring value|The 'scoring' parameter of get_scorer"),
        ([3], "scoring must hold names of scorers, 'loss', None or callables; got 3"),
        (accuracy_score, "looks like it is a metric function"),
        (["accuracy", "accuracy"], "scoring has 'accuracy' more than once"),
        ({"loss": "accuracy"}, "scoring calls 'accuracy' 'loss'"),
        ({"mine": "loss"}, "scoring calls 'loss' 'mine'"),
        ({"score": "accuracy"}, "scoring calls 'accuracy' 'score'"),
        ({1: "accuracy"}, "the keys of scoring must be str, got 1"),
    ],
)
def test_bad_scoring(scoring, message):
    with pytest.raises(ValueError, match=message):
        MLPClassifier(**SMALL, early_stopping=True, scoring=scoring).fit(X, Y)


# --- the record ------------------------------------------------------------------------------


@ignore_max_iter
@both_estimators
@pytest.mark.parametrize("at_once", [1, 3, 256])
def test_history_without_validation(Estimator, at_once, monkeypatch):
    monkeypatch.setattr("fastbp.training.trainer.EPOCHS_AT_ONCE", at_once)
    model = Estimator(**SMALL | dict(max_iter=7, solver="sgd"), learning_rate="invscaling").fit(X, Y)
    history = model.history_
    assert list(history) == ["loss", "learning_rate", "seconds"]
    assert history["loss"] is model.loss_curve_
    assert_allclose(history["learning_rate"], [0.001, *(0.001 / (100 * n + 1) ** 0.5 for n in range(1, 7))])
    assert (np.diff([0.0, *history["seconds"]]) > 0).all()
    assert history["seconds"][-1] < 10
    pytest.importorskip("pandas").DataFrame(history)


@ignore_max_iter
def test_history_goes_on():
    model = MLPClassifier(**SMALL, warm_start=True).fit(X, Y)
    first = {name: list(column) for name, column in model.history_.items()}
    model = pickle.loads(pickle.dumps(model))
    model.set_params(scoring="loss", early_stopping=True).fit(X, Y)
    assert np.isnan(model.history_["validation_loss"][:4]).all()
    assert np.isfinite(model.history_["validation_loss"][4:]).all()
    for name, column in first.items():
        assert model.history_[name][:4] == column
    model.set_params(early_stopping=False).partial_fit(X, Y)
    assert {len(column) for column in model.history_.values()} == {9}
    assert (np.diff(model.history_["seconds"]) > 0).all()
    model.set_params(warm_start=False).fit(X, Y)
    assert list(model.history_) == ["loss", "learning_rate", "seconds"]
    # without the record of an older version
    del model.history_
    model.partial_fit(X, Y)
    assert np.isnan(model.history_["seconds"][:4]).all()
    assert np.isfinite(model.history_["seconds"][4])


@ignore_max_iter
def test_partial_fit_bounds_the_record(monkeypatch):
    monkeypatch.setattr("fastbp.estimators.base.LOSS_CURVE_LIMIT", 3)
    model = MLPRegressor(**SMALL)
    for _ in range(5):
        model.partial_fit(X, Y)
    assert {len(column) for column in model.history_.values()} == {3}
    assert model.history_["loss"] is model.loss_curve_
    assert model.best_iteration_ == 1


@ignore_max_iter
def test_in_a_grid_search():
    grid = {"scoring": ["loss", "accuracy"], "restore_best": [True, False]}
    search = GridSearchCV(MLPClassifier(**FAST), grid, cv=2).fit(X, Y)
    assert search.best_estimator_.get_params()["scoring"] in ("loss", "accuracy")


@ignore_max_iter
@pytest.mark.parametrize("given", [False, True])
@pytest.mark.parametrize(
    "scoring", ["neg_mean_absolute_error", "r2", get_scorer("r2"), ["loss", "r2"], make_scorer(mean_pinball_loss)]
)
def test_a_metric_for_predictions_of_another_shape(scoring, given):
    """predict returns a column for each quantile, which no metric of scikit-learn compares with y."""
    history = History()
    model = MLPRegressor(Quantile([0.1, 0.9]), scoring=scoring, callbacks=history, **FAST)
    message = r"compares y with predictions of the same shape, but with loss=Quantile.* 2 numbers .* scoring='loss'"
    with pytest.raises(ValueError, match=message):
        model.fit(X, Y, **(ROWS if given else {}))
    assert not history.fits  # before training begins
    model.set_params(callbacks=None)
    for way_out in (None, "loss", lambda m, X, y: -mean_pinball_loss(y, m.predict(X)[:, 0], alpha=0.1)):
        assert model.set_params(scoring=way_out).fit(X, Y).n_iter_ > 0
    # a metric of one's own may know what to do with them
    width = make_scorer(lambda y, predictions: float(-np.ptp(predictions, axis=1).mean()))
    assert model.set_params(scoring={"width": width}).fit(X, Y).best_validation_score_ < 0


@ignore_max_iter
def test_a_metric_where_y_has_another_shape_than_the_targets():
    soft = np.eye(3)[Y] * 0.9 + np.full(3, 0.1 / 3)
    model = MLPClassifier(scoring="accuracy", **FAST).fit(X, soft)
    assert 0 < model.best_validation_score_ <= 1
