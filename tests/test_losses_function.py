"""Losses that are functions train as the built-in losses do; `losses.py`.

What they are given and may return is in ``test_losses_function_calls.py``, what happens to an estimator when one fails
in ``test_losses_function_faults.py``.
"""

import numpy as np
import pytest
import scipy.sparse as sp
from numpy.testing import assert_allclose, assert_array_equal

import fastbp.threads
from fastbp import MLPClassifier, MLPRegressor, Network
from loss_function_cases import (
    SCORE,
    SOLVERS,
    TARGETS,
    WEIGHT,
    N,
    X,
    every_target,
    every_target_and_solver,
    pair,
    weights,
)
from loss_functions import Pinball, Recording
from running_threads import LONG, count_threads, wait_for_threads

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


def assert_same(own, built_in, rtol=1e-9):
    """The same model but for the roundings of another exp and log, that training carries on from step to step."""
    assert_allclose(weights(own), weights(built_in), rtol=rtol, atol=rtol)
    assert own.n_iter_ == built_in.n_iter_
    assert own.out_activation_ == built_in.out_activation_
    predict = "predict_proba" if isinstance(own, MLPClassifier) else "predict"
    assert_allclose(getattr(own, predict)(X), getattr(built_in, predict)(X), rtol=rtol, atol=rtol)


# The same as the built-in losses


@every_target_and_solver
@pytest.mark.parametrize("weight", [None, WEIGHT], ids=["unweighted", "weighted"])
def test_trains_as_the_built_in_loss(target, solver, weight):
    # without a penalty, so that the whole value has the factor
    factor, alpha = (3, 0.0) if target == "multioutput" else (1, 0.01)
    own, built_in, y = pair(target, solver=solver, alpha=alpha)
    own.fit(X, y, weight)
    built_in.fit(X, y, weight)
    assert_same(own, built_in)
    assert_allclose(own.loss_, factor * built_in.loss_, rtol=1e-9)
    if solver != "lbfgs":
        assert_allclose(own.loss_curve_, factor * np.array(built_in.loss_curve_), rtol=1e-9)
        assert own.t_ == built_in.t_


@pytest.mark.parametrize("solver", SOLVERS)
def test_squared_error_of_one_output_is_the_same_to_the_last_bit(solver):
    # a - y, and (a - y) (a - y) / 2: the same operations in the same order
    own, built_in, y = pair("regression", solver=solver)
    assert_array_equal(weights(own.fit(X, y, WEIGHT)), weights(built_in.fit(X, y, WEIGHT)))
    assert own.loss_ == built_in.loss_


@every_target
@pytest.mark.parametrize(
    "params",
    [
        dict(shuffle=False),
        dict(early_stopping=True, validation_fraction=0.3, n_iter_no_change=9),
        dict(batch_size=N, solver="sgd", learning_rate="adaptive", tol=1.0, n_iter_no_change=1),
        dict(hidden_layer_sizes=(), solver="sgd"),
        dict(batch_size=1, max_iter=2),
        dict(tol=10.0, n_iter_no_change=2),
    ],
    ids=["in order", "early stopping", "adaptive", "linear", "online", "patience"],
)
def test_training_options(target, params):
    own, built_in, y = pair(target, **params)
    assert_same(own.fit(X, y), built_in.fit(X, y))
    if params.get("early_stopping"):
        assert_array_equal(own.validation_scores_, built_in.validation_scores_)


@every_target_and_solver
@pytest.mark.parametrize("container", [sp.csr_array, sp.csc_array])
def test_sparse(target, solver, container):
    own, built_in, y = pair(target, solver=solver)
    assert_same(own.fit(container(X), y), built_in.fit(container(X), y))


@every_target
def test_float32(target):
    own, built_in, y = pair(target)
    own.set_params(loss=Recording(own.loss))
    own.fit(X.astype(np.float32), y, WEIGHT)
    built_in.fit(X.astype(np.float32), y, WEIGHT)
    # 32 steps, of which each carries on some roundings of 6e-8
    assert_same(own, built_in, rtol=2e-4)
    for y_true, raw, weight in own.loss.calls:
        assert y_true.dtype == raw.dtype == np.float32
        assert weight is None or weight.dtype == np.float64


@every_target
def test_partial_fit_and_warm_start(target):
    own, built_in, y = pair(target)
    classes = {}
    if isinstance(own, MLPClassifier):
        classes = dict(classes=np.arange(3) if target == "multilabel" else np.unique(y))
    for model in (own, built_in):
        for part in (slice(0, 20), slice(20, N), slice(0, N)):
            model.partial_fit(X[part], y[part], **classes)
    assert_same(own, built_in)
    assert own.t_ == 2 * N
    own, built_in, _ = pair(target, warm_start=True)
    for model in (own, built_in):
        model.fit(X, y).fit(X, y)
    assert_same(own, built_in)
    assert len(own.loss_curve_) == 16


@every_target
@pytest.mark.parametrize("sparse", [False, True])
def test_results_do_not_depend_on_the_number_of_threads(target, sparse, monkeypatch):
    monkeypatch.setattr(fastbp.threads, "FLOPS_PER_THREAD", 1)
    data = sp.csr_array(X) if sparse else X
    for solver in ("adam", "lbfgs") if target == "regression" else ("adam",):
        own, _, y = pair(target, solver=solver, batch_size=N, n_threads=1)
        expected, helpers, function = weights(own.fit(data, y, WEIGHT)), [], own.loss

        for n_threads in (1, 2, 3):  # of the 53 rows of a batch, at least eight for each
            before = count_threads()

            def watched(*arguments, before=before, wanted=before + n_threads - 1, helpers=helpers, function=function):
                # two calls look at how the function takes weights, before there are threads
                helpers.append(
                    wait_for_threads(wanted, arriving=True, seconds=LONG if len(helpers) >= 2 else 0) - before
                )
                return function(*arguments)

            helpers.clear()
            own.set_params(n_threads=n_threads, loss=watched).fit(data, y, WEIGHT)
            assert_array_equal(weights(own), expected)
            # helpers that take part in the forward pass wait for the function, also if one thread continues alone later
            assert max(helpers) == n_threads - 1
            wait_for_threads(before)


def test_a_large_batch_of_a_small_net(monkeypatch):
    # the gradients of runs of rows go through slots
    monkeypatch.setattr(fastbp.threads, "FLOPS_PER_THREAD", 1)
    many, y = np.tile(X, (20, 1)), np.tile(SCORE[:, 0], 20)
    for n_threads in (1, 3):
        own, built_in, _ = pair("regression", batch_size=500, n_threads=n_threads)
        assert_array_equal(weights(own.fit(many, y)), weights(built_in.fit(many, y)))


@pytest.mark.parametrize("target", ["regression", "multiclass", "multilabel"])
def test_network(target):
    _, y, loss, function, output = TARGETS[target]
    y = {"regression": y, "multiclass": np.unique(y, return_inverse=True)[1]}.get(target, y)
    sizes = (4, 5, 1 if target == "regression" else 3)
    built_in = Network(sizes, "gelu", output, loss, alpha=0.1, random_state=0)
    own = Network(sizes, "gelu", output, function, alpha=0.1, random_state=0)
    for arguments in ((X, y), (sp.csr_array(X), y, WEIGHT), (np.tile(X, (20, 1)), np.concatenate([y] * 20))):
        for actual, expected in zip(
            own.loss_and_gradient(*arguments), built_in.loss_and_gradient(*arguments), strict=True
        ):
            assert_allclose(actual, expected, rtol=1e-10, atol=1e-13)
    assert_array_equal(own.forward(X), built_in.forward(X))


def test_a_loss_that_is_not_built_in():
    # the quantile of y itself, for a model that knows nothing else
    y = np.random.default_rng(1).exponential(size=400)
    nothing = np.zeros((400, 1))
    for quantile in (0.1, 0.9):
        model = MLPRegressor(Pinball(quantile), (), solver="sgd", learning_rate_init=0.05, alpha=0, random_state=0)
        model.set_params(max_iter=300, tol=0, batch_size=400, momentum=0.5).fit(nothing, y)
        share = (y <= model.predict(nothing)).mean()
        # steps of 0.05 |slope| / (1 - momentum) = 0.09 around the optimum, where the density is 0.9 and 0.1
        assert abs(share - quantile) < 0.09
        assert model.loss_curve_[-1] < model.loss_curve_[0]
