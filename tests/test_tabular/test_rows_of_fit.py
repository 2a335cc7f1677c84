"""Which rows a fit of the tabular estimators uses, and for what: weights of zero, rows to validate on, few rows."""

import numpy as np
import pandas as pd
import pytest

from fastbp import Callback, TabularMLPClassifier, TabularMLPRegressor

#: Small and quick
QUICK = {"n_ensemble": 2, "epochs": 3, "hidden_layer_sizes": (16,), "batch_size": 32, "random_state": 0}
BOTH = [TabularMLPClassifier, TabularMLPRegressor]
both = pytest.mark.parametrize("cls", BOTH)

X = np.random.default_rng(0).normal(size=(200, 3))
VALUES = X[:, 0] + 0.1 * X[:, 1]
LABELS = np.where(VALUES > 0, "yes", "no")


def targets(cls):
    return LABELS if cls is TabularMLPClassifier else VALUES


def rows_trained(model):
    """How many rows each model of the ensemble was trained on."""
    return {one.t_ / one.n_iter_ for one in model.estimators_}


@both
def test_rows_of_weight_zero_do_not_count(cls):
    y, weight = targets(cls).copy(), np.ones(200)
    weight[50:] = 0
    few = cls(**QUICK).fit(X[:50], y[:50], weight[:50])
    if cls is TabularMLPRegressor:
        y[50:] = 1e30  # would be the mean and the range of all targets
    else:
        y[50:] = "yes"
    many = cls(**QUICK).fit(np.vstack([X[:50], X[:50], X[:50], X[:50]]), y, weight)
    assert np.array_equal(many.predict(X), few.predict(X))
    assert many.oob_score_ == few.oob_score_


@both
@pytest.mark.parametrize("n_counted", [1, 5, 25])
def test_few_rows_with_weight(cls, n_counted):
    weight = np.zeros(200)
    weight[:n_counted] = 2.0
    model = cls(**QUICK).fit(X, targets(cls), weight)
    assert np.isfinite(model.oob_score_) == (n_counted >= 20)
    if cls is TabularMLPClassifier:
        assert np.isfinite(model.predict_proba(X)).all()
    else:
        counted = VALUES[:n_counted]
        assert counted.min() <= model.predict(X).min() <= model.predict(X).max() <= counted.max()


def test_a_class_without_weight_is_a_class_still():
    model = TabularMLPClassifier(**QUICK, class_weight={"yes": 1, "no": 0}).fit(X, LABELS)
    assert model.classes_.tolist() == ["no", "yes"]
    assert model.predict_proba(X)[:, 1].min() > 0.5
    with pytest.raises(ValueError, match="class_weight if there is one, is zero for every row"):
        TabularMLPClassifier(**QUICK, class_weight={"yes": 0, "no": 0}).fit(X, LABELS)


@both
@pytest.mark.parametrize("size", [1e-200, 1e200])
def test_the_size_of_weights_to_validate_with_does_not_matter(cls, size):
    y = targets(cls)
    weight = np.random.default_rng(1).random(50)
    models = [
        cls(**QUICK).fit(X[50:], y[50:], X_val=X[:50], y_val=y[:50], sample_weight_val=factor * weight)
        for factor in (1, size)
    ]
    assert np.allclose(models[0].estimator_weights_, models[1].estimator_weights_, rtol=1e-3)
    assert np.allclose(models[0].feature_importances_, models[1].feature_importances_)


@both
def test_early_stopping_by_the_rows_to_validate_on(cls):
    y = targets(cls)
    model = cls(**QUICK, early_stopping=True).fit(X[:150], y[:150], X_val=X[150:], y_val=y[150:])
    assert rows_trained(model) == {150}  # none of them is held out
    assert all(one.best_validation_score_ is not None for one in model.estimators_)


@both
@pytest.mark.parametrize("params", [{"n": 4}, {"n": 60, "oob_fraction": 0}])
def test_early_stopping_without_out_of_bag_rows_has_no_effect(cls, params):
    params = dict(params)
    n = params.pop("n")
    y = targets(cls)[:n]
    model = cls(**QUICK, **params, early_stopping=True).fit(X[:n], y)
    assert rows_trained(model) == {n}
    assert np.array_equal(model.predict(X), cls(**QUICK, **params).fit(X[:n], y).predict(X))


@both
def test_rows_to_validate_on_are_checked_before_the_training(cls):
    class NeverBegins(Callback):
        def on_fit_begin(self, state):
            raise AssertionError("training has begun")

    y = targets(cls)
    with pytest.raises(ValueError, match="X_val and y_val: X has 2 features"):
        cls(**QUICK, callbacks=NeverBegins()).fit(X, y, X_val=X[:9, :2], y_val=y[:9])


@both
@pytest.mark.parametrize("n_rows", [2, 3, 19, 20, 21])
def test_very_few_rows(cls, n_rows):
    y = np.arange(n_rows) % 2 if cls is TabularMLPClassifier else VALUES[:n_rows]
    model = cls(**QUICK).fit(X[:n_rows], y)
    assert set(model.predict(X)) <= set(y) if cls is TabularMLPClassifier else np.isfinite(model.predict(X)).all()
    assert np.isfinite(model.oob_score_) == (n_rows >= 20)


def test_a_class_with_one_row():
    y = np.where(np.arange(200) == 7, "once", LABELS)
    model = TabularMLPClassifier(**QUICK).fit(X, y)
    assert {len(one.classes_) for one in model.estimators_} == {3}
    many = TabularMLPClassifier(**QUICK).fit(X, np.arange(200) // 2)  # two rows of each class
    assert many.predict_proba(X).shape == (200, 100)


@pytest.mark.parametrize("missing", [None, np.nan, pd.NA])
@pytest.mark.parametrize("place", [0, 5])
def test_missing_labels(missing, place):
    y = LABELS.astype(object)
    y[place] = missing
    with pytest.raises(ValueError, match="y contains missing labels"):
        TabularMLPClassifier(**QUICK).fit(X, y)


def test_targets_of_one_value():
    model = TabularMLPRegressor(**QUICK).fit(X, np.full(200, 7.5))
    assert (model.predict(X) == 7.5).all()
    assert model.oob_score_ == 1
    lower, upper = model.predict_interval(X)
    assert (lower == 7.5).all()
    assert (upper == 7.5).all()


def test_targets_that_are_too_far_apart():
    with pytest.raises(ValueError, match=r"y must not reach further .* from -1.7e\+308 to 1.7e\+308: divide it"):
        TabularMLPRegressor(**QUICK).fit(X, np.where(VALUES > 0, 1.7e308, -1.7e308))
    with pytest.raises(ValueError, match=r"y_val holds 1e\+200, which is too far"):
        TabularMLPRegressor(**QUICK).fit(X, VALUES, X_val=X[:3], y_val=[0, 1e200, 1])


@pytest.mark.parametrize("coverage", ["0.9", None, True, np.nan, 0, 1.5])
def test_bad_coverages(coverage):
    model = TabularMLPRegressor(**QUICK).fit(X, VALUES)
    with pytest.raises(ValueError, match="coverage must be a number above 0 and below 1"):
        model.predict_interval(X, coverage=coverage)


@both
def test_a_callback_that_stops_ends_one_cycle(cls):
    class Stop(Callback):
        def on_epoch_end(self, state):
            return True

    model = cls(**{**QUICK, "epochs": 20}, callbacks=Stop()).fit(X, targets(cls))
    assert [one.n_iter_ for one in model.estimators_] == [1, 1, 1, 1]  # two members of two cycles


@pytest.mark.parametrize("name", ["n_bins", "embedding_width"])
def test_limits_of_the_layers_are_named_as_parameters(name):
    with pytest.raises(ValueError, match=rf"The '{name}' parameter of TabularMLPRegressor must be .* 256\]"):
        TabularMLPRegressor(**QUICK, **{name: 257}).fit(X, VALUES)


@both
def test_a_wide_table_has_importances(cls):
    wide = np.random.default_rng(2).normal(size=(200, 600))
    wide[:, 7] = VALUES
    model = cls(**{**QUICK, "epochs": 30}, numeric_embedding=None).fit(wide, targets(cls))
    assert model.feature_importances_.argmax() == 7
    assert model.feature_importances_[7] > 0.1
