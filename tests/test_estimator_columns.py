"""Estimators whose layers read the columns of a table: missing numbers, categories, and all other options with them."""

import pickle

import numpy as np
import pytest
import scipy.sparse as sp
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.utils import get_tags

import fastbp.estimators.inputs
import fastbp.threads
from fastbp import MLPClassifier, MLPRegressor, find_learning_rate, fit_many, hidden_activations, slim
from fastbp.inspection import GradientFlow, NetworkDisplay
from fastbp.layers import Activation, Concatenate, Dense, Embedding, OneHot, RobustScale, Sum

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

RNG = np.random.default_rng(0)
X = np.column_stack([RNG.integers(0, 3, 200), RNG.integers(0, 30, 200), RNG.normal(3, 50, (200, 3))])
X[::9, 0], X[::7, 3], X[:50, 4] = np.nan, np.nan, np.nan
Y = np.where(np.isnan(X[:, 4]), 1, -1) + X[:, 2] / 50
CATEGORIES = Concatenate([[OneHot([3], [0]), RobustScale()], Embedding([30], 3, [1])])
LAYERS = [Concatenate([CATEGORIES, RobustScale([2, 3, 4])]), Dense(8, "tanh")]
SMALL = dict(layers=LAYERS, max_iter=4, batch_size=32, random_state=0)
both_estimators = pytest.mark.parametrize("Estimator", [MLPClassifier, MLPRegressor])


def target(Estimator):
    return Y > 0 if Estimator is MLPClassifier else Y


def fitted(Estimator=MLPRegressor, **params):
    return Estimator(**SMALL | params).fit(X, target(Estimator))


def statistics(model):
    return {name: b.copy() for name, b in model.network_.blocks.items() if name.startswith(("center", "factor"))}


# Missing numbers


@both_estimators
@pytest.mark.parametrize("dtype", [None, "float32"])
def test_missing_numbers_are_learned_from(Estimator, dtype):
    settings = dict(SMALL, max_iter=200, tol=0, learning_rate_init=0.01, dtype=dtype)
    model = Estimator(**settings).fit(X, target(Estimator))
    assert model.score(X, target(Estimator)) > (0.95 if Estimator is MLPClassifier else 0.8)
    # a missing number is the median
    filled = np.where(np.isnan(X[:, 2:]), np.nanmedian(X[:, 2:], axis=0), X[:, 2:])
    found = model.predict(np.hstack([X[:, :2], filled]))
    assert_allclose(found, model.predict(X), rtol=1e-4, atol=1e-5)
    assert get_tags(model).input_tags.allow_nan
    assert not get_tags(Estimator()).input_tags.allow_nan
    assert not get_tags(Estimator(layers=[Dense(3)])).input_tags.allow_nan


@both_estimators
@pytest.mark.parametrize("layers", [None, [Dense(3)], [Concatenate([RobustScale(), []])]], ids=str)
def test_missing_numbers_that_no_layer_takes(Estimator, layers):
    y, model = target(Estimator), Estimator(layers=layers, max_iter=2)
    message = r"(?s)Input X contains NaN.*A network takes them if its first layer does.*layers=\[RobustScale\(\), Dense"
    options = {"classes": [False, True]} if Estimator is MLPClassifier else {}
    for fit in (model.fit, model.partial_fit):
        with pytest.raises(ValueError, match=message):
            fit(X, y, **options)
    model.fit(np.nan_to_num(X), y)
    for rows in (X, X[:1]):
        with pytest.raises(ValueError, match=message):
            model.predict(rows)
    # the layers are set now, the fitted network has others
    with pytest.raises(ValueError, match=message):
        model.set_params(layers=LAYERS).predict(X)
    assert model.fit(X, y).predict(X[:1]).shape == (1,)


@pytest.mark.parametrize("dtype", [None, "float32"])
def test_infinite_numbers_are_refused(dtype, monkeypatch):
    monkeypatch.setattr(fastbp.estimators.inputs, "BLOCK_ELEMENTS", 64)  # X is large
    model, wrong = fitted(dtype=dtype), X.copy()
    assert_array_equal(model.predict(X), np.concatenate([model.predict(X[:1]), model.predict(X[1:])]))
    for value in (np.inf, -np.inf, *([1e300] if dtype else [])):
        wrong[150, 3] = value
        for call in (model.predict, lambda X: model.fit(X, Y), lambda X: model.partial_fit(X, Y)):
            for rows in (wrong, wrong[150:151]):
                with pytest.raises(ValueError, match=r"infinity|inconsistent numbers of samples|too large for float32"):
                    call(rows)


def test_missing_targets_and_weights_stay_refused():
    with pytest.raises(ValueError, match="Input y contains NaN"):
        MLPRegressor(**SMALL).fit(X, np.where(Y > 2, np.nan, Y))
    with pytest.raises(ValueError, match="Input sample_weight contains NaN"):
        MLPRegressor(**SMALL).fit(X, Y, sample_weight=np.full(200, np.nan))


# What is learned from the rows to train on


def test_statistics_are_those_of_the_rows_to_train_on():
    train = np.r_[0:150]
    weight = np.where(np.isin(np.arange(200), train), 2.0, 0)
    expected = statistics(MLPRegressor(**SMALL).fit(X[train], Y[train]))
    for name, found in statistics(MLPRegressor(**SMALL).fit(X, Y, sample_weight=weight)).items():
        assert_array_equal(found, expected[name])
    model = MLPRegressor(**SMALL, warm_start=True).fit(X[train], Y[train], X_val=X[150:], y_val=Y[150:])
    for more in (lambda: None, lambda: model.fit(X, Y), lambda: model.partial_fit(3 * X, Y)):
        more()
        for name, found in statistics(model).items():
            assert_array_equal(found, expected[name])
    other = MLPRegressor(**SMALL).partial_fit(X[train], Y[train])
    assert_array_equal(statistics(other)["center_1"], expected["center_1"])
    held_out = fitted(early_stopping=True)
    assert (statistics(held_out)["center_2"] != statistics(fitted())["center_2"]).any()


@pytest.mark.parametrize("options", [dict(solver="lbfgs"), dict(solver="muon"), dict(max_norm=0.1, ema_decay=0.9)])
def test_no_solver_changes_the_statistics(options):
    model, blocks = fitted(**options), fitted().network_.blocks
    for name, found in statistics(model).items():
        assert_array_equal(found, blocks[name])
    start = fitted(max_iter=1, learning_rate_init=1e-30).network_.blocks["table_1"]
    moved = np.abs(model.network_.blocks["table_1"] - start).max(axis=1)
    assert (moved[:30] > 0).all()  # every code is among the rows
    assert moved[30] < 1e-6  # none is missing in this column; an average is rounded


def test_codes_that_are_no_integers():
    wrong = X.copy()
    wrong[5, 1] = 2.5
    with pytest.raises(ValueError, match=r"column 1 of what Embedding reads must hold codes .* got 2.5; encode"):
        MLPRegressor(**SMALL).fit(wrong, Y)
    unseen = X.copy()
    unseen[:, :2] = [77, -1]
    assert np.isfinite(fitted().predict(unseen)).all()


# Other options


def test_copies():
    Estimator = MLPClassifier
    model = fitted(Estimator)
    expected = model.predict_proba(X)
    for other in (pickle.loads(pickle.dumps(model)), slim(model), clone(model).fit(X, target(Estimator))):
        assert_array_equal(other.predict_proba(X), expected)
    assert_array_equal(fit_many([clone(model), clone(model)], X, target(Estimator))[1].predict_proba(X), expected)
    assert clone(model).layers == LAYERS


def test_frozen_layers_and_parameters_of_another_model():
    source = fitted(max_iter=8)
    model = fitted(init_from=source, frozen_layers=[0])
    assert_array_equal(model.coefs_[0], source.coefs_[0])
    assert (model.coefs_[1] != source.coefs_[1]).any()
    assert len(model.coefs_) == 2
    branches = [Sum([[RobustScale([2]), Dense(4)], Embedding([30], 4, [1], "sum")]), Dense(3)]
    model = fitted(layers=branches, frozen_layers=[0, 1])
    start = fitted(layers=branches, frozen_layers=[0, 1], max_iter=1)
    assert [(a == b).all() for a, b in zip(model.coefs_, start.coefs_, strict=True)] == [True, True, False]
    # the statistics come from the source, or are learned
    other = MLPRegressor(**SMALL, init_from=source).fit(5 * X, Y)
    assert_array_equal(statistics(other)["factor_2"], statistics(source)["factor_2"])
    other = MLPRegressor(**SMALL, init_from=(source.coefs_, source.intercepts_)).fit(5 * X * [0.2, 0.2, 1, 1, 1], Y)
    assert_allclose(statistics(other)["factor_2"], statistics(source)["factor_2"] / 5)


def test_values_of_hidden_layers():
    model = fitted()
    found = hidden_activations(model, X, 0)
    assert found.shape == (200, 9)
    assert np.isfinite(found).all()
    a = hidden_activations(model, X)
    assert_allclose(a @ model.coefs_[1] + model.intercepts_[1], model.predict(X)[:, None], rtol=1e-10)
    # a layer without parameters
    model = MLPRegressor(**SMALL | {"layers": [OneHot([3, 30], [0, 1]), Dense(3)]}).fit(X, Y)
    assert_array_equal(hidden_activations(model, [[2, 0, 9, 9, 9]], 0), [[0, 0, 1, 1] + [0] * 29])


def test_more_classes():
    labels = np.digitize(Y, [-1, 1])
    model = MLPClassifier(**SMALL).partial_fit(X, labels % 2, classes=[0, 1])
    before = model.network_.blocks["center_2"].copy()
    model.partial_fit(X, labels, classes=[0, 1, 2])
    assert model.predict_proba(X).shape == (200, 3)
    assert_array_equal(model.network_.blocks["center_2"], before)


def test_data_dependent_initialization_behind_columns():
    model = fitted(weight_init="data_dependent", max_iter=1, learning_rate_init=1e-12)
    z = hidden_activations(model, X, 0) @ model.coefs_[0] + model.intercepts_[0]
    assert_allclose(z.mean(axis=0), 0, atol=1e-6)
    assert_allclose(z.std(axis=0), 1, atol=1e-6)


def test_what_cannot_be_combined():
    with pytest.raises(ValueError, match=r"mixup_alpha=0.2 mixes rows of X, and OneHot\(.*: set mixup_alpha=0"):
        fitted(mixup_alpha=0.2)
    fitted(layers=[RobustScale(), Dense(3)], mixup_alpha=0.2)  # numbers can be mixed
    with pytest.raises(ValueError, match=r"a sparse X can be read by Dense layers only, and here .*OneHot"):
        MLPRegressor(**SMALL).fit(sp.csr_array(np.nan_to_num(X)), Y)
    with pytest.raises(ValueError, match=r"columns of RobustScale.* must be below 5"):
        fitted(layers=[RobustScale([5])])


def test_gradient_flow_and_pictures():
    flow = GradientFlow()
    model = fitted(callbacks=flow)
    assert flow.shapes == [(9, 8), (8, 1)] == [W.shape for W in model.coefs_]
    assert "9 x 8" in str(flow)
    with pytest.raises(ValueError, match=r"must be a stack of Dense layers .* embedding, one_hot, robust_scale"):
        NetworkDisplay.from_estimator(model)


def test_find_learning_rate():
    sweep = find_learning_rate(MLPRegressor(**SMALL), X, Y)
    assert sweep.suggestion > 0


def test_any_number_of_threads_gives_the_same_bits(monkeypatch):
    monkeypatch.setattr(fastbp.threads, "FLOPS_PER_THREAD", 1)
    layers = [Concatenate([CATEGORIES, RobustScale([2, 3, 4])]), Dense(33), Activation("silu")]
    models = [fitted(layers=layers, n_threads=n) for n in (1, 2, 3)]
    for model in models[1:]:
        assert_array_equal(model.network_.params, models[0].network_.params)
        assert_array_equal(model.predict(X), models[0].predict(X))
