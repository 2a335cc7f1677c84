"""Losses that are functions: what they are given, what they may return, and copies of estimators with them.

`losses.py`, and the order of a step in which the loss is asked for between the forward and the backward pass.
"""

import pickle
import warnings
from copy import deepcopy

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV

import fastbp.threads
from fastbp import MLPClassifier, MLPRegressor, Network
from fastbp.losses import FunctionLoss
from loss_function_cases import SCORE, SMALL, SOLVERS, TARGETS, WEIGHT, N, X, every_target, pair, weights
from loss_functions import Pinball, Recording, squared_error

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


# What a function is given


@every_target
@pytest.mark.parametrize("shuffle", [False, True])
def test_arguments(target, shuffle):
    own, _, y = pair(target, max_iter=1, shuffle=shuffle)
    own.set_params(loss=Recording(own.loss)).fit(X, y)
    calls = own.loss.calls
    assert [len(raw) for _, raw, _ in calls] == [16, 16, 16, 5]
    assert all(weight is None for _, _, weight in calls)
    n_outputs = {"multioutput": 3, "multiclass": 3, "multilabel": 3}.get(target, 1)
    for y_true, raw, _ in calls:
        assert y_true.shape == raw.shape == (len(raw), n_outputs)
        assert y_true.dtype == raw.dtype == np.float64
    expected = np.eye(3)[y - 5] if target == "multiclass" else (y == "yes") if target == "binary" else y
    rows = np.arange(N)
    if shuffle:
        rng = np.random.RandomState(0)  # consumed as scikit-learn consumes it: the weights, then the shuffle
        Network((4, 6, 5, n_outputs), "tanh", random_state=rng)
        rng.shuffle(rows)
    given = np.concatenate([y_true for y_true, _, _ in calls])
    assert_array_equal(given, np.asarray(expected, float).reshape(N, -1)[rows])


def test_weights_are_those_of_the_rows():
    own, _, y = pair("regression", max_iter=1, shuffle=False)
    own.set_params(loss=Recording(own.loss)).fit(X, y, WEIGHT)
    # the first two calls look whether the weights have an effect
    (_, _, none), (_, _, some), *calls = own.loss.calls
    assert none is None
    assert (some != 1).all()
    assert_array_equal(np.concatenate([weight for _, _, weight in calls]), WEIGHT)


def test_a_batch_without_weight_is_skipped():
    own, built_in, y = pair("regression", shuffle=False)
    weight = WEIGHT.copy()
    weight[16:32] = 0
    own.set_params(loss=Recording(own.loss)).fit(X, y, weight)
    assert_array_equal(weights(own), weights(built_in.fit(X, y, weight)))
    assert [len(raw) for _, raw, _ in own.loss.calls[2:5]] == [16, 16, 5]


@pytest.mark.parametrize("solver", SOLVERS)
def test_the_raw_prediction_is_the_functions_own(solver):
    own, built_in, y = pair("regression", solver=solver)
    kept = []

    def keeping(y_true, raw_prediction, sample_weight):
        loss, gradient = squared_error(y_true, raw_prediction, sample_weight)
        kept.append((raw_prediction, raw_prediction.copy(), y_true, y_true.copy()))
        return loss, gradient

    def overwriting(y_true, raw_prediction, sample_weight):
        loss, gradient = squared_error(y_true, raw_prediction, sample_weight)
        raw_prediction[...] = np.nan
        return loss, gradient

    expected = weights(built_in.fit(X, y))
    for function in (keeping, overwriting):
        assert_array_equal(weights(own.set_params(loss=function).fit(X, y)), expected)
    assert len(kept) > 4
    for raw, raw_then, y_true, y_then in kept:
        assert_array_equal(raw, raw_then)
        assert_array_equal(y_true, y_then)


@every_target
@pytest.mark.parametrize("shuffle", [False, True])
@pytest.mark.parametrize("argument", ["y_true", "sample_weight"])
def test_what_belongs_to_the_user_is_read_only(target, shuffle, argument):
    def writing(y_true, raw_prediction, sample_weight):
        given = {"y_true": y_true, "sample_weight": sample_weight}[argument]
        if given is not None:
            given[...] = 0
        return TARGETS[target][3](y_true, raw_prediction, sample_weight)

    own, _, y = pair(target, shuffle=shuffle)
    targets, weight = y.copy(), WEIGHT.copy()
    with pytest.raises(ValueError, match="read-only"):
        own.set_params(loss=writing).fit(X, targets, weight)
    assert_array_equal(targets, y)
    assert_array_equal(weight, WEIGHT)
    # and stays writeable for the user
    assert weight.flags.writeable
    assert targets.flags.writeable


def halved_denormal():
    """The bits of 1e-310 / 2, as integers: where denormal numbers count as zero, they would also compare as such."""
    return int((np.array([1e-310]) * 0.5).view(np.int64)[0])


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("n_threads", [1, 2])
def test_denormal_numbers_are_what_they_are_elsewhere(solver, n_threads, monkeypatch):
    # while the kernels compute, they are taken for zero; a function, a callback and what comes later must not notice
    monkeypatch.setattr(fastbp.threads, "FLOPS_PER_THREAD", 1)
    expected, seen = halved_denormal(), []
    assert expected > 0

    class Looking:
        def on_epoch_end(self, state):
            seen.append(halved_denormal())

    def looking(y_true, raw_prediction, sample_weight):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert np.finfo(float).smallest_subnormal  # under flush-to-zero, NumPy would warn
            seen.append(halved_denormal())
        return squared_error(y_true, raw_prediction, sample_weight)

    model = MLPRegressor(looking, **SMALL, solver=solver, n_threads=n_threads, callbacks=Looking())
    model.fit(X, SCORE[:, 0])
    model.network_.loss_and_gradient(X, SCORE[:, 0])
    assert len(seen) > 2 * model.n_iter_
    assert {*seen, halved_denormal()} == {expected}


@pytest.mark.parametrize("solver", SOLVERS)
def test_denormal_numbers_after_an_exception(solver):
    expected = halved_denormal()
    for call_number in (1, 3):
        with pytest.raises(ZeroDivisionError):
            MLPRegressor(Recording(squared_error, call_number, lambda: 1 / 0), **SMALL, solver=solver).fit(
                X, SCORE[:, 0]
            )
        assert halved_denormal() == expected


# What it may return


@pytest.mark.parametrize("dtype", [np.float32, np.float16, np.int64, bool, np.longdouble])
def test_numbers_of_another_type(dtype):
    raw, gradient, row_loss = np.ones((6, 3)), np.empty((6, 3)), np.empty(6)
    loss = FunctionLoss(lambda y, raw, weight: [np.ones(6, dtype).tolist(), np.ones((6, 3), dtype)])
    loss(SCORE[:6], None, raw, gradient, row_loss)
    assert_array_equal(gradient, np.ones((6, 3)))
    assert_array_equal(row_loss, np.ones(6))


LOSS, GRADIENT = np.zeros(6), np.zeros((6, 3))
WRONG = [
    (None, TypeError, r"loss=function must return \(loss, gradient\), got NoneType"),
    (LOSS, TypeError, r"loss=function must return \(loss, gradient\), got ndarray"),
    ((LOSS, GRADIENT, None), TypeError, r"loss=function must return \(loss, gradient\), got 3 values"),
    ((LOSS.sum(), GRADIENT), ValueError, r"the loss from loss=function must have shape \(6,\), got \(\)"),
    ((LOSS[:, None], GRADIENT), ValueError, r"the loss from loss=function must have shape \(6,\), got \(6, 1\)"),
    ((LOSS, GRADIENT[:, 0]), ValueError, r"the gradient from .* must have shape \(6, 3\), got \(6,\)"),
    ((LOSS, GRADIENT.T), ValueError, r"the gradient from .* must have shape \(6, 3\), got \(3, 6\)"),
    ((LOSS, GRADIENT.astype(complex)), TypeError, "the gradient from .* must hold real numbers, got dtype complex128"),
    ((LOSS.astype(object), GRADIENT), TypeError, "the loss from .* must hold real numbers, got dtype object"),
    ((LOSS, None), TypeError, "the gradient from .* must hold real numbers, got dtype object"),
    ((["a"] * 6, GRADIENT), TypeError, "the loss from .* must hold real numbers, got dtype <U1"),
]
every_wrong = pytest.mark.parametrize(("returned", "error", "message"), WRONG)


@every_wrong
def test_wrong_returns(returned, error, message):
    def function(y_true, raw_prediction, sample_weight):
        return returned

    with pytest.raises(error, match=message):
        FunctionLoss(function).checked(np.zeros((6, 3)), np.zeros((6, 3)), None)
    model = MLPRegressor(function, **SMALL | dict(batch_size=6, hidden_layer_sizes=()))
    with pytest.raises(error, match=message):
        model.fit(X[:6], SCORE[:6])
    assert not hasattr(model, "coefs_")


def test_a_gradient_that_is_not_finite_gives_no_loss():
    for dtype, value in ((float, np.nan), (float, np.inf), (np.float32, 1e300)):
        loss = FunctionLoss(lambda y, raw, weight, value=value: (np.zeros(6), np.full((6, 3), value)))
        gradient, row_loss = np.empty((6, 3), dtype), np.empty(6)
        loss(SCORE[:6], None, np.ones((6, 3), dtype), gradient, row_loss)
        assert np.isnan(row_loss).all()


@pytest.mark.parametrize("first_different", [0, 40])
def test_weights_that_are_left_out_are_noticed(first_different):
    def function(y_true, raw_prediction, sample_weight):
        return squared_error(y_true, raw_prediction, None)

    def half(y_true, raw_prediction, sample_weight):
        return squared_error(y_true, raw_prediction, sample_weight)[0], raw_prediction - y_true

    weight = np.ones(N)
    weight[first_different:] = 2.5
    for wrong, what in ((function, "loss"), (half, "gradient")):
        for solver in SOLVERS:
            model = MLPRegressor(wrong, **SMALL, solver=solver)
            with pytest.raises(
                ValueError, match=f"the {what} from loss={wrong.__name__} must be multiplied by sample_"
            ):
                model.fit(X, SCORE, weight)
            model.fit(X, SCORE)
            model.fit(X, SCORE, np.ones(N))


# Estimators with functions


def test_clone_and_pickle():
    y = SCORE[:, 0]
    for loss in (squared_error, Pinball(0.3)):
        model = MLPRegressor(loss, **SMALL).fit(X, y)
        for other in (clone(model).fit(X, y), pickle.loads(pickle.dumps(model)), deepcopy(model)):
            assert_array_equal(other.predict(X), model.predict(X))
            assert type(other.loss) is type(loss)
            # and they go on alike
            assert_array_equal(other.partial_fit(X, y).predict(X), deepcopy(model).partial_fit(X, y).predict(X))
    assert clone(model).loss.quantile == 0.3


def test_grid_search_over_losses():
    grid = {"loss": [Pinball(0.5), squared_error, "squared_error"], "activation": ["tanh", "relu"]}
    search = GridSearchCV(MLPRegressor(**SMALL), grid, cv=2).fit(X, SCORE[:, 0])
    scores = {
        (str(params["loss"]), params["activation"]): score
        for params, score in zip(search.cv_results_["params"], search.cv_results_["mean_test_score"], strict=True)
    }
    assert len(scores) == 6
    assert np.isfinite(list(scores.values())).all()
    assert scores[str(squared_error), "tanh"] == scores["squared_error", "tanh"]


@pytest.mark.parametrize("Estimator", [MLPClassifier, MLPRegressor])
def test_no_function_and_no_name(Estimator):
    for loss in (3, None, "hinge"):
        with pytest.raises(ValueError, match=r"The 'loss' parameter of .* must be .* a callable"):
            Estimator(loss=loss).fit(X, SCORE[:, 0] > 0)


def test_a_changed_loss_counts_at_once():
    y = SCORE[:, 0]
    model = MLPRegressor(squared_error, **SMALL).fit(X, y).set_params(loss=Pinball())
    assert model.network_.loss is model.loss
    before = weights(model)
    model.partial_fit(X, y)
    assert (weights(model) != before).all()
    assert model.network_.loss is model.loss


def test_repr():
    assert FunctionLoss(squared_error).label == "loss=squared_error"
    assert "Pinball" in FunctionLoss(Pinball()).label
