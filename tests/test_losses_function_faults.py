"""Losses that fail, are interrupted, or give no finite gradient, and the state of the estimator afterwards;
`losses.py`."""

import signal

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.exceptions import ConvergenceWarning

import fastbp.threads
from fastbp import MLPClassifier, MLPRegressor, Network
from loss_functions import Recording, binary_log_loss, squared_error
from running_threads import count_threads, wait_for_threads

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

RNG = np.random.default_rng(0)
X = RNG.normal(size=(40, 3))
Y = X[:, 0] * X[:, 1]
SMALL = dict(hidden_layer_sizes=(5,), activation="tanh", max_iter=6, batch_size=16, random_state=0)
SOLVERS = ("sgd", "adam", "lbfgs")
STEPS = 3  # of an epoch


class SeveralError(Exception):
    """An exception that only this test raises."""


def fail():
    raise SeveralError("at the third call")


def record(model):
    """Everything that a fit writes, as values."""
    optimizer = getattr(model, "_optimizer", None)
    values = {name: value for name, value in vars(model).items() if name.endswith("_")}
    values["weights"] = np.concatenate([w.ravel() for w in [*model.coefs_, *model.intercepts_]])
    if optimizer is not None:
        values["optimizer"] = [optimizer.n_steps, optimizer.learning_rate, *(s.copy() for s in optimizer.state)]
        values["generator"] = model._random_state.get_state()[1:3]
    values["loss_curve_"] = list(values.get("loss_curve_", ()))
    return {name: value for name, value in values.items() if name not in ("coefs_", "intercepts_")}


def assert_unchanged(model, before):
    after = record(model)
    assert after.keys() == before.keys()
    for name, value in before.items():
        several = isinstance(value, (list, tuple))
        for actual, expected in zip(*((v if several else [v]) for v in (after[name], value)), strict=True):
            assert_array_equal(actual, expected, err_msg=name)


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("n_threads", [1, 2])
@pytest.mark.parametrize("call_number", [1, 3, 5])
def test_an_exception_in_the_first_fit(solver, n_threads, call_number, monkeypatch):
    monkeypatch.setattr(fastbp.threads, "FLOPS_PER_THREAD", 1)
    model = MLPRegressor(Recording(squared_error, call_number, fail), **SMALL, solver=solver, n_threads=n_threads)
    before, threads = sorted(vars(model)), count_threads()
    with pytest.raises(SeveralError, match="at the third call"):
        model.fit(X, Y)
    assert len(model.loss.calls) == call_number
    assert sorted(vars(model)) == before
    assert wait_for_threads(threads) <= threads
    # and a later fit is none the worse for it
    expected = MLPRegressor(squared_error, **SMALL, solver=solver).fit(X, Y)
    assert_array_equal(model.fit(X, Y).predict(X), expected.predict(X))


@pytest.mark.parametrize(
    ("how", "solver"),
    [(how, solver) for how in ("fit", "warm_start", "partial_fit") for solver in SOLVERS][
        :-1
    ],  # lbfgs has no partial_fit
)
@pytest.mark.parametrize("Estimator", [MLPClassifier, MLPRegressor])
def test_an_exception_leaves_a_fitted_estimator_as_it_was(Estimator, how, solver):
    function, y = (binary_log_loss, Y > 0) if Estimator is MLPClassifier else (squared_error, Y)
    model = Estimator(loss=Recording(function), **SMALL, solver=solver, warm_start=how == "warm_start").fit(X, y)
    model.loss.call_number, model.loss.action = len(model.loss.calls) + 3, fail
    before, predictions = record(model), model.predict(X)
    with pytest.raises(SeveralError):
        getattr(model, "partial_fit" if how == "partial_fit" else "fit")(X[:35], y[:35])
    assert_unchanged(model, before)
    assert_array_equal(model.predict(X), predictions)
    if how == "partial_fit":
        untouched = Estimator(loss=function, **SMALL, solver=solver).fit(X, y).partial_fit(X, y)
        assert_array_equal(model.partial_fit(X, y).predict(X), untouched.predict(X))


def test_an_exception_in_the_first_partial_fit_after_lbfgs():
    model = MLPRegressor(Recording(squared_error), **SMALL, solver="lbfgs").fit(X, Y).set_params(solver="adam")
    model.loss.call_number, model.loss.action = len(model.loss.calls) + 3, fail
    before, predictions, generator = record(model), model.predict(X), model._random_state.get_state()[1].copy()
    with pytest.raises(SeveralError):
        model.partial_fit(X, Y)
    assert_unchanged(model, before)
    assert_array_equal(model.predict(X), predictions)
    assert_array_equal(model._random_state.get_state()[1], generator)


def by_signal():
    signal.raise_signal(signal.SIGINT)


def by_exception():
    raise KeyboardInterrupt


@pytest.mark.parametrize("interrupt", [by_signal, by_exception])
@pytest.mark.parametrize("solver", ["sgd", "adam"])
@pytest.mark.parametrize("n_threads", [1, 2])
def test_ctrl_c_keeps_the_last_whole_step(interrupt, solver, n_threads, monkeypatch):
    monkeypatch.setattr(fastbp.threads, "FLOPS_PER_THREAD", 1)
    call_number = 2 * STEPS + 2
    function = Recording(squared_error, call_number, interrupt)
    model = MLPRegressor(function, **SMALL, solver=solver, shuffle=False, n_threads=n_threads)
    threads = count_threads()
    with pytest.raises(KeyboardInterrupt):
        model.fit(X, Y)
    assert wait_for_threads(threads) <= threads
    assert len(function.calls) == call_number
    # the second batch of the third epoch was on its way with the weights that are left: the same but for the order of
    # a sum, while a step moves each weight by about 1e-3
    assert_allclose(function.calls[-1][1][:, 0], model.predict(X[16:32]), rtol=1e-12, atol=1e-14)
    assert (model.n_iter_, model.t_, model._optimizer.n_steps) == (2, 2 * len(X), call_number - 1)
    assert len(model.loss_curve_) == 2
    # it continues with these weights
    model.loss = squared_error
    model.partial_fit(X, Y)
    assert np.isfinite(model.predict(X)).all()


@pytest.mark.parametrize("Estimator", [MLPClassifier, MLPRegressor])
@pytest.mark.parametrize("first", [False, True])
def test_ctrl_c_in_partial_fit(Estimator, first):
    function, y = (binary_log_loss, Y > 0) if Estimator is MLPClassifier else (squared_error, Y)
    classes = dict(classes=[False, True]) if Estimator is MLPClassifier else {}
    model = Estimator(loss=Recording(function, None, by_exception), **SMALL, shuffle=False)
    if not first:
        model.partial_fit(X, y, **classes)
    model.loss.call_number = len(model.loss.calls) + 3
    with pytest.raises(KeyboardInterrupt):
        model.partial_fit(X, y, **classes)
    # two steps of three: the third batch saw the weights that are left, and all that belongs to them is left, too
    raw = model.loss.calls[-1][1][:, 0]
    found = model.network_.forward(X[32:])[:, 0]
    assert_allclose(np.log(found / (1 - found)) if classes else found, raw, rtol=1e-10, atol=1e-12)
    steps = 2 if first else 5
    assert model._optimizer.n_steps == steps
    assert model.n_iter_ == 0
    # the two steps and then an epoch, as without the interruption
    expected = Estimator(loss=function, **SMALL, shuffle=False)
    for rows in ([slice(0, 40)] if not first else []) + [slice(0, 32), slice(0, 40)]:
        expected.partial_fit(X[rows], y[rows], **classes)
    assert_array_equal(model.partial_fit(X, y, **classes).predict(X), expected.predict(X))


@pytest.mark.parametrize("interrupt", [by_signal, by_exception])
def test_ctrl_c_keeps_the_last_iteration_of_lbfgs(interrupt):
    function = Recording(squared_error, 5, interrupt)
    model = MLPRegressor(function, **SMALL, solver="lbfgs")
    with pytest.raises(KeyboardInterrupt):
        model.fit(X, Y)
    assert 0 < model.n_iter_ < 5
    # one of the points that were evaluated, the same but for the order of a sum
    distances = [np.abs(model.predict(X) - raw[:, 0]).max() for _, raw, _ in function.calls[:-1]]
    assert min(distances) < 1e-13


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("solver", ["sgd", "adam"])
@pytest.mark.parametrize("where", ["fit", "partial_fit"])
def test_a_gradient_that_is_not_finite_abandons_the_step(value, solver, where):
    def broken():
        return np.zeros(16), np.full((16, 1), value)

    function = Recording(squared_error, None, broken)
    model = MLPRegressor(function, **SMALL, solver=solver).fit(X, Y)
    before = record(model)
    function.call_number = len(function.calls) + 2
    with pytest.raises(ValueError, match=r"The loss diverged in epoch 1 with learning rate 0\.001"):
        getattr(model, where)(X, Y)
    assert len(function.calls) == function.call_number
    assert_unchanged(model, before)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_gradient_that_is_not_finite_with_early_stopping(value):
    def broken():
        return np.zeros(16), np.full((16, 1), value)

    # 32 rows are left to train on; after the first epoch the function is also asked for the loss on the others
    call_number = 3 * 2 + 1 + 1
    function = Recording(squared_error, call_number, broken)
    model = MLPRegressor(function, **SMALL, early_stopping=True, validation_fraction=0.2)
    with pytest.warns(ConvergenceWarning, match="diverged in epoch 4 .* the best validation score are kept"):
        model.fit(X, Y)
    assert len(function.calls) == call_number
    assert np.isfinite(model.predict(X)).all()
    assert np.isnan(model.validation_scores_).tolist() == [False, False, False, True]


def test_a_network_says_that_the_gradient_is_not_finite():
    def broken(y_true, raw_prediction, sample_weight):
        loss, gradient = squared_error(y_true, raw_prediction, sample_weight)
        gradient[-1] = np.nan
        return loss, gradient

    network = Network((3, 4, 1), "tanh", loss=broken, random_state=0)
    before = network.params.copy()
    loss, gradient = network.loss_and_gradient(X, Y)
    assert loss == np.inf
    assert np.isnan(gradient).all()
    assert_array_equal(network.params, before)


@pytest.mark.filterwarnings("error::RuntimeWarning")
def test_a_gradient_beyond_float32():
    def steep(y_true, raw_prediction, sample_weight):
        return np.zeros(len(y_true)), np.full(raw_prediction.shape, 1e100)

    with pytest.raises(ValueError, match="The loss diverged in epoch 1"):
        MLPRegressor(steep, **SMALL).fit(X.astype(np.float32), Y)
    # in float64 it is a number like any other, and the step of Adam is no larger for it
    model = MLPRegressor(steep, **SMALL | dict(max_iter=1), beta_2=0.0).fit(X, Y)
    assert np.isfinite(model.predict(X)).all()


def test_a_loss_that_is_not_finite_with_a_gradient_that_is():
    # the gradient is what training follows
    def unknown(y_true, raw_prediction, sample_weight):
        return np.full(len(y_true), np.nan), squared_error(y_true, raw_prediction, sample_weight)[1]

    model = MLPRegressor(unknown, **SMALL).fit(X, Y)
    assert_array_equal(model.predict(X), MLPRegressor(**SMALL).fit(X, Y).predict(X))
    assert np.isnan(model.loss_curve_).all()


@pytest.mark.parametrize("n_threads", [1, 2])
def test_a_fit_inside_of_a_function(n_threads, monkeypatch):
    monkeypatch.setattr(fastbp.threads, "FLOPS_PER_THREAD", 1)
    expected = MLPRegressor(**SMALL).fit(X, Y)
    inner = []

    def fitting():
        inner.append(MLPRegressor(**SMALL, n_threads=n_threads).fit(X, Y))

    model = MLPRegressor(Recording(squared_error, 4, fitting), **SMALL, n_threads=n_threads).fit(X, Y)
    assert_array_equal(model.predict(X), expected.predict(X))
    assert_array_equal(inner[0].predict(X), expected.predict(X))
