"""Model files of the estimators for tables: `files/tables.py`."""

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone

import fastbp
from fastbp import ModelFileError, TabularMLPClassifier, TabularMLPRegressor
from fastbp.files import tables
from file_cases import assert_same, round_trip

QUICK = {"n_ensemble": 2, "epochs": 3, "hidden_layer_sizes": (8,), "random_state": 0}
RNG = np.random.default_rng(0)
X = pd.DataFrame(
    {
        "number": RNG.normal(size=90),
        "flag": RNG.integers(0, 2, 90),
        "letter": RNG.choice(list("abc"), 90),
        "many": RNG.choice([f"level {i}" for i in range(12)], 90),
    }
)
X.loc[:5, "number"] = np.nan
X.loc[3:8, "letter"] = None
LABELS, VALUES = np.where(RNG.random(90) < 0.5, "no", "yes"), RNG.normal(size=90)
FITTED = {
    "classifier": lambda: TabularMLPClassifier(**QUICK).fit(X, LABELS),
    "three classes": lambda: TabularMLPClassifier(**QUICK, class_weight="balanced").fit(X, np.arange(90) % 3),
    "regressor": lambda: TabularMLPRegressor(**QUICK, numeric_embedding="periodic").fit(X, VALUES),
    "two targets": lambda: TabularMLPRegressor(**QUICK).fit(X, np.column_stack([VALUES, VALUES])),
    "without out-of-bag rows": lambda: TabularMLPRegressor(**QUICK, oob_fraction=0).fit(X.to_numpy(), VALUES),
}
every_model = pytest.mark.parametrize("name", FITTED)


@every_model
def test_round_trip(name, tmp_path):
    model = FITTED[name]()
    loaded = round_trip(model, tmp_path)
    assert_same(model, loaded)
    rows = X.to_numpy() if name == "without out-of-bag rows" else X
    assert np.array_equal(model.predict(rows), loaded.predict(rows))


def test_unfitted(tmp_path):
    model = TabularMLPClassifier(preset="best", n_ensemble=3)
    assert round_trip(model, tmp_path).get_params() == model.get_params()


def test_a_loaded_model_can_be_cloned_and_fitted(tmp_path):
    loaded = round_trip(FITTED["classifier"](), tmp_path)
    again = clone(loaded).fit(X, LABELS)
    assert np.array_equal(again.predict_proba(X), loaded.predict_proba(X))


def test_what_is_no_part_of_a_fit_is_refused(tmp_path):
    model = FITTED["regressor"]()
    model.note = "mine"
    with pytest.raises(TypeError, match=r"note='mine'.*del estimator\.note"):
        fastbp.save(model, tmp_path / "model.safetensors")


DAMAGES = {
    "estimators_": [],
    "estimator_weights_": np.array([-1.0, 2.0]),
    "oob_score_": "high",
    "feature_importances_": np.zeros(3),
    "_encoder": None,
    "_residuals": np.zeros((4, 3)),
    "_n_residuals": 0,
    "_mean": np.array([np.nan]),
    "n_outputs_": 2,
    "_is_flat": 1,
    "feature_names_in_": np.array(["a"], dtype=object),
}


@pytest.mark.parametrize("name", DAMAGES)
def test_attributes_that_no_fit_leaves(name, tmp_path):
    model = FITTED["regressor"]()
    setattr(model, name, DAMAGES[name])
    with pytest.raises((ValueError, TypeError), match=name):
        fastbp.save(model, tmp_path / "model.safetensors")


@pytest.mark.parametrize(
    ("name", "value"),
    [("temperature_", 0.0), ("_temperatures", np.ones(1)), ("classes_", np.array(["yes"], dtype=object))],
)
def test_attributes_that_no_fit_of_a_classifier_leaves(name, value, tmp_path):
    model = FITTED["classifier"]()
    setattr(model, name, value)
    with pytest.raises((ValueError, TypeError), match=name):
        fastbp.save(model, tmp_path / "model.safetensors")


def test_a_file_is_checked_too(tmp_path, monkeypatch):
    model = FITTED["classifier"]()
    model.temperature_ = -1.0
    with monkeypatch.context() as patch:
        patch.setattr(tables, "check_tabular", lambda attributes, cls: None)
        fastbp.save(model, tmp_path / "model.safetensors")
    with pytest.raises(ModelFileError, match="temperature_ must be above 0"):
        fastbp.load(tmp_path / "model.safetensors")
