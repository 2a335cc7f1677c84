"""TabularMLPClassifier and TabularMLPRegressor, as their users call them."""

import pickle
import re
import warnings

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone, is_classifier, is_regressor
from sklearn.inspection import partial_dependence
from sklearn.metrics import log_loss
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.utils.estimator_checks import parametrize_with_checks

import fastbp
from fastbp import TabularMLPClassifier, TabularMLPRegressor
from fastbp.estimators.tabular import base, time_plan

#: Small and quick
QUICK = {"n_ensemble": 2, "epochs": 3, "hidden_layer_sizes": (16,), "batch_size": 32, "random_state": 0}
BOTH = [TabularMLPClassifier, TabularMLPRegressor]
#: Enough training for what the checks of scikit-learn ask for
CHECKED = {**QUICK, "epochs": 40, "batch_size": 10}
both = pytest.mark.parametrize("cls", BOTH)

EXPECTED_TO_FAIL = {
    "check_sample_weight_equivalence_on_dense_data": "a weight of 2 is not the same as two rows in mini-batches",
}


@parametrize_with_checks([cls(**CHECKED) for cls in BOTH], expected_failed_checks=lambda estimator: EXPECTED_TO_FAIL)
def test_checks_of_sklearn(estimator, check):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # some checks fit on data that make the members warn
        check(estimator)


def mixed_table(n, seed=0):
    """A data frame with every kind of column, and two targets."""
    rng = np.random.default_rng(seed)
    number, colour = rng.normal(size=n), rng.choice(["red", "green", "blue"], n)
    frame = pd.DataFrame(
        {
            "number": number,
            "count": pd.array(rng.integers(0, 5, n), dtype="Int64"),
            "colour": colour,
            "size": pd.Categorical(rng.choice(["S", "M", "L"], n), ["S", "M", "L"], ordered=True),
            "flag": pd.array(rng.random(n) < 0.5, dtype="boolean"),
            "constant": 1.0,
        }
    )
    signal = 2 * number + 3 * (colour == "red")
    for column in ("number", "count", "colour", "size", "flag"):
        frame.loc[rng.random(n) < 0.1, column] = None
    return frame, np.where(signal > 1, "high", "low"), signal


def fitted(cls, n=400, **params):
    X, labels, values = mixed_table(n)
    y = labels if cls is TabularMLPClassifier else values
    return cls(**{**QUICK, "epochs": 12, **params}).fit(X, y), X, y


@both
def test_it_learns_from_a_mixed_table(cls):
    model, X, _ = fitted(cls, 600, epochs=30, hidden_layer_sizes=(64, 64))
    X_new, labels, values = mixed_table(300, seed=1)
    new = labels if cls is TabularMLPClassifier else values
    # a tenth of the numbers and of the colours are missing, so that neither can be perfect
    assert model.score(X_new, new) > 0.75
    assert model.oob_score_ == pytest.approx(model.score(X_new, new), abs=0.12)
    assert model.is_categorical_.tolist() == [False, False, True, True, True, False]
    assert model.feature_names_in_.tolist() == list(X.columns)
    importances = dict(zip(X.columns, model.feature_importances_, strict=True))
    assert max(importances, key=importances.get) == "number"
    assert sorted(importances, key=importances.get)[-2] == "colour"
    assert importances["constant"] == 0


@both
def test_what_is_new_at_prediction(cls):
    model, X, _ = fitted(cls)
    strange = X.head(3).astype({"colour": object, "size": object})
    strange.loc[0, "colour"], strange.loc[1, "size"], strange.loc[2, "number"] = "violet", "XXL", 1e30
    assert np.isfinite(model.predict(strange) if cls is TabularMLPRegressor else model.predict_proba(strange)).all()


@both
def test_frames_of_polars_and_pandas_agree(cls):
    polars = pytest.importorskip("polars")
    model, X, y = fitted(cls)
    # polars converts nullable columns of pandas with pyarrow only
    frame = polars.DataFrame({name: [None if pd.isna(value) else value for value in X[name]] for name in X})
    other = clone(model).fit(frame, y)
    method = "predict_proba" if cls is TabularMLPClassifier else "predict"
    assert np.array_equal(getattr(model, method)(X), getattr(other, method)(frame))


@both
def test_the_model_does_not_depend_on_threads(cls):
    one, X, _ = fitted(cls, n_threads=1)
    two, _, _ = fitted(cls, n_threads=2)
    single_one, _, _ = fitted(cls, n_threads=1, n_ensemble=1)
    single_two, _, _ = fitted(cls, n_threads=2, n_ensemble=1)
    for a, b in ((one, two), (single_one, single_two)):
        for member, other in zip(a.estimators_, b.estimators_, strict=True):
            assert np.array_equal(member.network_.params, other.network_.params)
        assert np.array_equal(a.predict(X), b.predict(X))
        assert np.array_equal(a.feature_importances_, b.feature_importances_)


@both
def test_presets_and_overrides(cls):
    X, labels, values = mixed_table(60)
    y = labels if cls is TabularMLPClassifier else values
    small = {"epochs": 1, "hidden_layer_sizes": (4,), "random_state": 0}
    sizes = {preset: len(cls(preset=preset, **small).fit(X, y).estimators_) for preset in ("fast", "default", "best")}
    assert sizes == {"fast": 4, "default": 8, "best": 16}
    model = cls(n_ensemble=3, dropout=0.2, learning_rate_init=0.01, weight_decay=0, batch_size=20, **small).fit(X, y)
    assert len(model.estimators_) == 3
    for member in model.estimators_:
        assert member.max_iter == 1
        assert member.learning_rate_init == 0.01
        assert member.solver.weight_decay == 0
        assert {len(W) for W in member.coefs_[1:]} == {4}
        assert [layer.rate for layer in member.layers if isinstance(layer, fastbp.layers.Dropout)] == [0.2]


@both
@pytest.mark.parametrize("numeric_embedding", [None, "periodic"])
def test_numeric_embeddings(cls, numeric_embedding):
    model, X, y = fitted(cls, numeric_embedding=numeric_embedding)
    assert model.score(X, y) > 0.5


@both
def test_bad_parameters_and_data_leave_the_model_as_it_was(cls):
    model, X, y = fitted(cls)
    before = pickle.dumps(model)
    with pytest.raises(ValueError, match="The 'preset' parameter of"):
        model.set_params(preset="better").fit(X, y)
    model.set_params(preset="default")
    with pytest.raises((TypeError, ValueError), match="when"):
        model.fit(X.assign(when=pd.Timestamp("2020-01-01")), y)
    with pytest.raises(ValueError, match="X_val is provided, but y_val was not"):
        model.fit(X, y, X_val=X)
    with pytest.raises(ValueError, match="sample_weight"):
        model.fit(X, y, sample_weight=-np.ones(len(y)))
    assert pickle.dumps(model) == before


@both
def test_pickles_and_clones_hold_no_rows(cls):
    small, _, _ = fitted(cls, 200)
    large, X, _ = fitted(cls, 2000)
    # levels, bins and weights are as many; residuals are kept, of a fifth of the rows
    assert len(pickle.dumps(large)) < len(pickle.dumps(small)) + 8 * 0.2 * 2000
    assert np.array_equal(pickle.loads(pickle.dumps(large)).predict(X), large.predict(X))
    assert not hasattr(clone(large), "estimators_")


@both
def test_there_is_no_partial_fit(cls):
    assert not hasattr(cls(), "partial_fit")
    with pytest.raises(AttributeError, match=r"bins and levels are learned before training.* fit_batches"):
        cls().partial_fit  # noqa: B018


@both
def test_rows_to_validate_on_take_the_place_of_out_of_bag_rows(cls):
    X, labels, values = mixed_table(300)
    y = labels if cls is TabularMLPClassifier else values
    model = cls(**QUICK).fit(X[:200], y[:200], X_val=X[200:], y_val=y[200:])
    assert model.oob_score_ == pytest.approx(model.score(X[200:], y[200:]))
    assert {model.t_ / model.n_iter_ for model in model.estimators_} == {200}  # no row is held out
    other = cls(**QUICK).fit(X[:200], y[:200])
    assert {model.t_ / model.n_iter_ for model in other.estimators_} == {175}


@both
def test_without_out_of_bag_rows(cls):
    model, X, _ = fitted(cls, oob_fraction=0)
    assert np.isnan(model.oob_score_)
    assert np.isnan(model.feature_importances_).all()
    assert np.allclose(model.estimator_weights_, 0.5)
    if cls is TabularMLPRegressor:
        with pytest.raises(ValueError, match="oob_fraction"):
            model.predict_interval(X)
    else:
        assert model.temperature_ == 1


@both
def test_time_budget(cls):
    X, labels, values = mixed_table(2000)
    y = labels if cls is TabularMLPClassifier else values
    model = cls(preset="best", time_budget=1e-6, random_state=0).fit(X, y)
    assert [member.n_iter_ for member in model.estimators_] == [1]
    model = cls(**QUICK, time_budget=1000).fit(X, y)
    assert max(member.n_iter_ for member in model.estimators_) == 2  # of 1 + 2


@both
def test_what_is_trained_is_returned_when_the_time_ends(cls, monkeypatch):
    class Clock(fastbp.Callback):
        """Time stands still until three models are trained; then an epoch takes longer than the budget."""

        now, n_models = 0.0, 0

        def on_epoch_end(self, state):
            self.now += 1001 * (self.n_models == 3)

        def on_fit_end(self, state):
            self.n_models += 1

    clock = Clock()
    for module in (base, time_plan):
        monkeypatch.setattr(module, "perf_counter", lambda: clock.now)
    X, labels, values = mixed_table(300)
    y = labels if cls is TabularMLPClassifier else values
    budget = {"time_budget": 1000, "n_threads": 1, "callbacks": clock}
    model = cls(**{**QUICK, "n_ensemble": 4, "epochs": 6}, **budget).fit(X, y)
    # the second cycle of the second member is given up, the third member is not begun
    assert [member.n_iter_ for member in model.estimators_] == [2, 4, 2]
    assert clock.n_models == 4
    assert np.isfinite(model.oob_score_)
    assert np.isfinite(model.score(X, y))


@both
def test_early_stopping(cls):
    X, y = np.random.default_rng(0).normal(size=(300, 2)), np.arange(300) % 2  # nothing to learn
    model = cls(**{**QUICK, "epochs": 200}, early_stopping=True).fit(X, y)
    whole = cls(**{**QUICK, "epochs": 200}).fit(X, y)
    assert sum(one.n_iter_ for one in model.estimators_) < sum(one.n_iter_ for one in whole.estimators_)


@both
def test_callbacks_and_log(cls, capsys):
    class Count(fastbp.Callback):
        epochs = 0

        def on_epoch_end(self, state):
            self.epochs += 1

    count = Count()
    fitted(cls, epochs=4, callbacks=count, verbose=1)
    assert count.epochs == 2 * 4
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 4
    assert lines[3].startswith("Model 4 of 4: 3 epochs, ")


def test_labels_of_any_kind_and_log_loss():
    X, labels, _ = mixed_table(500)
    by_text = TabularMLPClassifier(**QUICK).fit(X, labels)
    by_number = TabularMLPClassifier(**QUICK).fit(X, np.where(labels == "low", 7, -2))
    assert by_text.classes_.tolist() == ["high", "low"]
    assert by_number.classes_.tolist() == [-2, 7]
    assert np.array_equal(by_text.predict_proba(X), by_number.predict_proba(X))
    assert by_text.oob_log_loss_ == pytest.approx(log_loss(labels, by_text.predict_proba(X)), abs=0.1)
    assert np.allclose(np.exp(by_text.predict_log_proba(X)), by_text.predict_proba(X))
    assert np.allclose(by_text.predict_proba(X).sum(axis=1), 1)


def test_one_class_is_refused():
    with pytest.raises(ValueError, match="one class only"):
        TabularMLPClassifier(**QUICK).fit([[1.0], [2.0]], ["a", "a"])


def test_weights_of_classes_and_rows():
    X, labels, _ = mixed_table(400)
    share = {}
    for class_weight in (None, {"high": 20.0}, {"low": 20.0}, "balanced"):
        model = TabularMLPClassifier(**QUICK, class_weight=class_weight).fit(X[["count"]], labels)
        share[str(class_weight)] = model.predict_proba(X[["count"]])[:, 0].mean()
    assert share["{'high': 20.0}"] > share["None"] + 0.2
    assert share["{'low': 20.0}"] < share["None"] - 0.2
    assert share["balanced"] == pytest.approx(0.5, abs=0.1)
    weight = np.where(labels == "high", 20.0, 1.0)
    by_rows = TabularMLPClassifier(**QUICK).fit(X[["count"]], labels, sample_weight=weight)
    assert by_rows.predict_proba(X[["count"]])[:, 0].mean() == pytest.approx(share["{'high': 20.0}"])


def test_several_targets():
    X, _, values = mixed_table(400)
    model = TabularMLPRegressor(**{**QUICK, "epochs": 20}).fit(X, np.column_stack([values, -1000 * values]))
    predictions = model.predict(X)
    assert predictions.shape == (400, 2)
    assert model.score(X, np.column_stack([values, -1000 * values])) > 0.5
    lower, upper = model.predict_interval(X)
    assert lower.shape == (400, 2)
    width = (upper - lower)[0]
    assert width[1] == pytest.approx(1000 * width[0], rel=0.5)


def test_predictions_stay_in_the_range_of_the_targets():
    X, _, values = mixed_table(300)
    model = TabularMLPRegressor(**QUICK).fit(X, values)
    far = X.assign(number=np.linspace(-1e6, 1e6, 300))
    assert model.predict(far).min() >= values.min()
    assert model.predict(far).max() <= values.max()


@pytest.mark.parametrize("scale", [1e-200, 1e200])
def test_targets_of_any_size(scale):
    X, _, values = mixed_table(200)
    model = TabularMLPRegressor(**QUICK).fit(X, values * scale)
    expected = TabularMLPRegressor(**QUICK).fit(X, values).predict(X)
    # the standardized targets differ by rounding errors, which training magnifies
    assert np.allclose(model.predict(X) / scale, expected, rtol=0.02, atol=0.02)


def test_intervals_cover():
    X, _, values = mixed_table(1500)
    noisy = values + np.random.default_rng(2).normal(size=1500)
    model = TabularMLPRegressor(**{**QUICK, "epochs": 10}).fit(X[:1000], noisy[:1000])
    for coverage in (0.5, 0.9):
        lower, upper = model.predict_interval(X[1000:], coverage=coverage)
        inside = np.mean((lower <= noisy[1000:]) & (noisy[1000:] <= upper))
        # the standard error of the share is 0.02 for 500 rows, and that of the width's another 0.04 for 100 rows
        assert inside == pytest.approx(coverage, abs=0.12)
    with pytest.raises(ValueError, match=re.escape("coverage must be a number above 0 and below 1, got 1")):
        model.predict_interval(X, coverage=1)


@both
def test_tools_of_sklearn(cls):
    X, labels, values = mixed_table(200)
    y = labels if cls is TabularMLPClassifier else values
    model = cls(**QUICK)
    assert (is_classifier if cls is TabularMLPClassifier else is_regressor)(make_pipeline(model))
    assert len(cross_val_score(model, X, y, cv=2, error_score="raise")) == 2
    search = GridSearchCV(model, {"dropout": [0.0, 0.1]}, cv=2, error_score="raise").fit(X, y)
    assert search.best_params_["dropout"] in (0, 0.1)
    complete = X.assign(number=X["number"].fillna(0.0))
    curve = partial_dependence(search.best_estimator_, complete, ["number"], kind="average", grid_resolution=5)
    assert curve["average"].shape[-1] == 5


@both
def test_input_gradients_are_those_of_the_predictions(cls):
    rng = np.random.default_rng(0)
    X = pd.DataFrame({"a": 1e6 + rng.normal(size=300), "b": rng.integers(0, 2, 300), "c": rng.choice(list("uvw"), 300)})
    values = np.sin(X["a"] - 1e6) + X["b"]
    y = np.digitize(values, [0, 1]) if cls is TabularMLPClassifier else 100 * values
    # without bins: at their edges, differences on both sides are not alike
    model = cls(**{**QUICK, "epochs": 20}, numeric_embedding=None).fit(X, y)
    inner = X[X["b"] == 0].head(20).assign(b=0.5)
    found = model.input_gradient(inner)
    assert np.isnan(found[..., 2]).all()
    predict = model.predict_proba if cls is TabularMLPClassifier else model.predict
    for column, number, step in (("a", 0, 0.002), ("b", 1, 0.002)):
        ahead, behind = (predict(inner.assign(**{column: inner[column] + sign * step})) for sign in (1, -1))
        expected = (ahead - behind) / (2 * step)
        # predictions are in float32: rounding errors of about 1e-7 of the largest, divided by the step
        assert np.allclose(found[..., number], expected, atol=0.02 * np.abs(expected).max())


@both
def test_record_batches_have_names(cls):
    pyarrow = pytest.importorskip("pyarrow")
    X, labels, values = mixed_table(100)
    y = labels if cls is TabularMLPClassifier else values
    batch = pyarrow.RecordBatch.from_pandas(X)
    model = cls(**QUICK, categorical_features=["colour", "size", "flag"]).fit(batch, y)
    assert model.feature_names_in_.tolist() == list(X.columns)
    assert np.array_equal(model.predict(batch), model.predict(X))
    with pytest.raises(ValueError, match="feature names should match"):
        model.predict(batch.select(list(X.columns[::-1])))


@both
@pytest.mark.parametrize("value", [1.0, np.nan])
def test_constant_columns_do_not_count_later(cls, value):
    X, labels, values = mixed_table(200)
    y = labels if cls is TabularMLPClassifier else values
    X["constant"] = value
    model = cls(**QUICK).fit(X, y)
    others = [X.assign(constant=other) for other in (0.0, np.nan, 1e9)]
    for other in others:
        assert np.array_equal(model.predict(other), model.predict(X))
    only = cls(**QUICK).fit(X[["constant"]], y)
    assert len(np.unique(only.predict(X[["constant"]]))) == 1
