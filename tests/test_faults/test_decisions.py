"""Deliberate differences from scikit-learn, and its peculiarities that are kept so that results compare: at least one
test for each."""

import json
import os
import re
import sys
import textwrap
import warnings

import numpy as np
import pytest
import scipy.sparse as sp
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.exceptions import ConvergenceWarning

import fastbp.estimators.base
import warm_python
from fastbp import MLPClassifier, MLPRegressor

ignore_max_iter = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
both_estimators = pytest.mark.parametrize("Estimator", [MLPClassifier, MLPRegressor])

SMALL = dict(hidden_layer_sizes=(6, 4), batch_size=10, random_state=0)


def make_data(n_samples=60, n_features=5):
    """X and a binary target that also serves as a numeric one."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(n_samples, n_features))
    return X, (X[:, 0] + 0.5 * X[:, 1] > 0).astype(int)


def weights(model):
    return np.concatenate([w.ravel() for w in [*model.coefs_, *model.intercepts_]])


# --- lbfgs has no partial_fit -----------------------------------------------------


@both_estimators
def test_lbfgs_has_no_partial_fit(Estimator):
    model = Estimator(solver="lbfgs")
    assert not hasattr(model, "partial_fit")
    with pytest.raises(AttributeError, match="partial_fit"):
        model.partial_fit(*make_data())


# --- warm start with early stopping -------------------------------------------------


@both_estimators
@ignore_max_iter
def test_warm_start_has_a_best_score_of_its_own(Estimator):
    X, y = make_data()
    model = Estimator(**SMALL, early_stopping=True, warm_start=True, max_iter=30, learning_rate_init=0.01)
    best = weights(model.fit(X, y)).copy()
    # A penalty this large drags every weight to zero: no later score comes near the first fit's.
    model.set_params(alpha=1e4, learning_rate_init=0.1, max_iter=5, n_iter_no_change=9).fit(X, y)
    assert model.best_validation_score_ == max(model.validation_scores_[-5:]) < max(model.validation_scores_[:-5])
    assert not np.allclose(weights(model), best)


class TrainedRows:
    """A callback that notes the rows that a fit trains on."""

    def on_fit_end(self, state):
        self.trained_on = state.train_rows


@both_estimators
@ignore_max_iter
def test_warm_start_restores_the_weights_of_the_best_score(Estimator):
    X, y = make_data(200)
    y[::5] = 1 - y[::5]  # wrong labels, so that the score cannot settle at 1
    model = Estimator(
        **SMALL,
        activation="tanh",
        solver="sgd",
        early_stopping=True,
        warm_start=True,
        validation_fraction=0.4,
        callbacks=(rows := TrainedRows()),
    )
    model.set_params(max_iter=1, learning_rate_init=1e-4).fit(X, y)
    first = model.best_validation_score_
    # Too high a rate: the score rises, then jumps about.
    model.set_params(max_iter=40, learning_rate_init=0.1, n_iter_no_change=40).fit(X, y)
    assert model.validation_scores_[-1] < model.best_validation_score_
    assert model.best_validation_score_ > first
    held_out = np.setdiff1d(range(200), rows.trained_on)
    assert model.score(X[held_out], y[held_out]) == pytest.approx(model.best_validation_score_, rel=1e-12)


# --- an integer seed under partial_fit ----------------------------------------------


@both_estimators
@pytest.mark.parametrize("solver", ["sgd", "adam"])
def test_the_generator_goes_on_from_call_to_call(Estimator, solver):
    X, y = make_data()
    first = {"classes": [0, 1]} if Estimator is MLPClassifier else {}
    seeded = Estimator(**SMALL, solver=solver)
    generator = Estimator(**SMALL | dict(random_state=np.random.RandomState(0)), solver=solver)
    for _ in range(4):
        seeded.partial_fit(X, y, **first)
        generator.partial_fit(X, y, **first)
        assert_array_equal(weights(seeded), weights(generator))


@ignore_max_iter
def test_fit_starts_the_seed_anew():
    X, y = make_data()
    model = MLPClassifier(**SMALL, max_iter=3).fit(X, y)
    once = weights(model).copy()
    model.partial_fit(X, y)
    assert_array_equal(weights(model.fit(X, y)), once)


# --- sample weights -----------------------------------------------------------------


@both_estimators
@ignore_max_iter
@pytest.mark.parametrize("solver", ["sgd", "adam"])
def test_a_batch_of_zero_weights_is_skipped(Estimator, solver):
    # Skipped whole: no penalty, no momentum, no step counted.
    X, y = make_data()
    params = SMALL | dict(shuffle=False, solver=solver, max_iter=5)
    sample_weight = np.linspace(0.5, 1.5, 60)
    sample_weight[20:40] = 0.0
    kept = sample_weight > 0
    model = Estimator(**params).fit(X, y, sample_weight=sample_weight)
    without = Estimator(**params).fit(X[kept], y[kept], sample_weight=sample_weight[kept])
    assert_array_equal(weights(model), weights(without))
    assert np.isfinite(model.loss_curve_).all()


@pytest.mark.fault(4)
@both_estimators
@pytest.mark.parametrize("solver", ["sgd", "adam", "lbfgs"])
@pytest.mark.parametrize("method", ["fit", "partial_fit"])
def test_negative_weights_are_refused(Estimator, solver, method):
    X, y = make_data()
    sample_weight = np.ones(60)
    sample_weight[7] = -1e-3
    model = Estimator(**SMALL, solver=solver)
    if method == "partial_fit" and solver == "lbfgs":
        method = "fit"
    first = {"classes": [0, 1]} if (Estimator, method) == (MLPClassifier, "partial_fit") else {}
    with pytest.raises(ValueError, match=r"(?i)negative") as caught:
        getattr(model, method)(X, y, sample_weight=sample_weight, **first)
    assert "sample_weight" in str(caught.value)


# --- poisson ------------------------------------------------------------------------


@pytest.mark.parametrize("solver", ["sgd", "adam", "lbfgs"])
@pytest.mark.parametrize("columns", [1, 2])
@ignore_max_iter
def test_poisson_refuses_negative_targets(solver, columns):
    X, y = make_data()
    y = y.astype(float) if columns == 1 else np.c_[y, y].astype(float)
    model = MLPRegressor(**SMALL, loss="poisson", solver=solver, max_iter=2).fit(X, y)
    y[(3,) + (0,) * (columns - 1)] = -0.25
    with pytest.raises(ValueError, match=r"(?i)poisson"):
        model.fit(X, y)
    if solver != "lbfgs":
        with pytest.raises(ValueError, match=r"(?i)poisson"):
            model.partial_fit(X, y)


# --- divergence ------------------------------------------------------------

# On its way to infinity NumPy may report an overflow (in a validation score, say).
diverging = pytest.mark.filterwarnings("ignore::RuntimeWarning")


def diverging_model(learning_rate=1e6, **params):
    return MLPRegressor(
        **SMALL | dict(activation="identity", solver="sgd", max_iter=100_000, alpha=0.0),
        learning_rate_init=learning_rate,
        **params,
    )


def reported(message):
    """(epoch, learning rate) that a message about divergence names."""
    epoch = re.search(r"(?i)epoch\D{0,3}(\d+)", message)
    rate = re.search(r"(?i)learning[ _]rate\D{0,12}?([\d.]+(?:e[+-]?\d+)?)", message)
    return int(epoch[1]), float(rate[1].rstrip("."))


@pytest.mark.fault(13)
@diverging
def test_divergence_is_an_error_that_names_epoch_and_rate():
    X, y = make_data()
    upstream = (
        "Solver produced non-finite parameter weights. The input data may"
        " contain large values and need to be preprocessed."
    )
    with pytest.raises(ValueError, match=re.escape(upstream)) as caught:
        diverging_model().fit(X, y)
    epoch, rate = reported(str(caught.value))
    # Each step multiplies the weights by about 1e6, so that 1e308 is passed
    # within a hundred steps of which an epoch has six.
    assert 1 <= epoch <= 17
    assert rate == 1e6


@pytest.mark.fault(13)
@diverging
def test_divergence_under_partial_fit():
    X, y = make_data()
    model = diverging_model()
    with pytest.raises(ValueError, match="non-finite") as caught:  # noqa: PT012
        for _ in range(100):
            model.partial_fit(X, y)
    assert reported(str(caught.value))[1] == 1e6


@pytest.mark.fault(13)
@diverging
@pytest.mark.parametrize("learning_rate", [1.0, 1e6])
def test_divergence_with_early_stopping_restores_finite_weights(learning_rate):
    X, y = make_data()
    model = diverging_model(learning_rate, early_stopping=True, n_iter_no_change=100_000)
    with pytest.warns(ConvergenceWarning) as caught:
        model.fit(X, y)
    (message,) = {str(w.message) for w in caught if issubclass(w.category, ConvergenceWarning)}
    epoch, rate = reported(message)
    assert rate == learning_rate
    assert epoch == model.n_iter_ == len(model.validation_scores_) == len(model.loss_curve_)
    assert np.isnan(model.validation_scores_[-1])
    assert not np.isnan(model.validation_scores_[:-1]).any()
    assert np.isfinite(weights(model)).all()
    assert np.isfinite(model.predict(X)).all()
    if model.n_iter_ > 1:
        assert model.best_validation_score_ == max(model.validation_scores_[:-1])


@diverging
def test_divergence_in_the_first_epoch_with_early_stopping():
    # No epoch had a score, so the initial weights are the best finite ones.
    X, y = make_data()
    model = diverging_model(1e200, early_stopping=True)
    with pytest.warns(ConvergenceWarning, match=r"(?i)epoch 1"):
        model.fit(X, y)
    rng = np.random.RandomState(SMALL["random_state"])
    bound = np.sqrt(6 / (5 + 6))
    assert_array_equal(model.coefs_[0], rng.uniform(-bound, bound, (5, 6)))
    assert np.isfinite(model.predict(X)).all()


# --- interrupts --------------------------------------------------------------

# Run in a process of its own, with a limit on its time, so that a fit that
# cannot be interrupted fails this test instead of stopping the whole run.
INTERRUPTED = """
    import json, signal, warnings
    import numpy as np
    from sklearn.base import clone
    from sklearn.model_selection import GridSearchCV
    from fastbp import MLPClassifier, MLPRegressor
    from interrupts import interrupt_after, processor_seconds

    signal.signal(signal.SIGINT, signal.default_int_handler)
    warnings.simplefilter("ignore")
    rng = np.random.default_rng(0)
    endless = dict(max_iter=10**8, max_fun=10**8, tol=0.0, n_iter_no_change=10**9, random_state=0)
    model, call, short = {case}
    little = processor_seconds(short)
    result = dict(interrupted=False)
    try:
        with interrupt_after(3 * little) as interrupt:
            call()
    except KeyboardInterrupt:
        result.update(interrupted=interrupt.pressed, little=little, delay=interrupt.delay)
        if model is not None:
            X = rng.normal(size=(4, model.n_features_in_))
            result["finite"] = bool(all(np.isfinite(w).all() for w in model.coefs_ + model.intercepts_))
            result["predicts"] = bool(np.isfinite(model.predict(X)).all())
            if hasattr(model, "partial_fit") and not model.early_stopping:
                model.partial_fit(X, [0, 1, 0, 1])
                result["trains on"] = bool(np.isfinite(model.predict(X)).all())
    print(json.dumps(result))
"""

SMALL_FIT = """
    X = rng.normal(size=(500, 10)); y = (X[:, 0] > 0).astype(int)
    model = {model}
    call = lambda: model.fit(X, y)
    short = lambda: clone(model).set_params(max_iter=200, max_fun=200).fit(X, y)
"""
# One epoch of this is 2e11 operations: the interrupt arrives in the middle of it. The short one is a sixtieth.
LONG_EPOCH = """
    X = rng.normal(size=(30_000, 100)); y = (X[:, 0] > 0).astype(int)
    model = MLPRegressor(hidden_layer_sizes=(1000, 1000), **endless)
    def call():
        while True:  # fit is endless, partial_fit is not
            model.{method}(X, y)
    def short():
        clone(model).set_params(max_iter=1, max_fun=1).{method}(X[:500], y[:500])
"""
GRID_SEARCH = """
    X = rng.normal(size=(500, 10)); y = (X[:, 0] > 0).astype(int)
    search = GridSearchCV(MLPClassifier(**endless), dict(alpha=[0.1, 0.2, 0.3]), error_score=0.0)
    model, call = None, lambda: search.fit(X, y)
    short = lambda: clone(search).set_params(estimator__max_iter=200).fit(X, y)
"""
CASES = {
    "adam": SMALL_FIT.format(model="MLPClassifier(**endless)"),
    "sgd": SMALL_FIT.format(model="MLPRegressor(solver='sgd', **endless)"),
    "early stopping": SMALL_FIT.format(model="MLPClassifier(early_stopping=True, **endless)"),
    "lbfgs": LONG_EPOCH.format(method="fit").replace("**endless", "solver='lbfgs', **endless"),
    "within an epoch": LONG_EPOCH.format(method="fit"),
    "within partial_fit": LONG_EPOCH.format(method="partial_fit"),
    "grid search": GRID_SEARCH,
}


@pytest.mark.fault(20)
@pytest.mark.fault(50)
@pytest.mark.skipif(sys.platform == "win32", reason="SIGINT cannot be sent to one process")
@pytest.mark.parametrize("case", CASES)
def test_keyboard_interrupt_reaches_the_caller(case):
    setup = textwrap.dedent(CASES[case])
    script = textwrap.dedent(INTERRUPTED).replace("model, call, short = {case}", setup)
    done = warm_python.run(["-c", script], variables={"PYTHONPATH": os.pathsep.join(sys.path)})
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout.splitlines()[-1])
    assert result.pop("interrupted")
    assert result.pop("delay") < 20 * result.pop("little")
    assert all(result.values()), result


# --- loss_curve_ under partial_fit ------------------------------------------------------


def test_limit_of_the_loss_curve():
    assert fastbp.estimators.base.LOSS_CURVE_LIMIT == 10_000


@both_estimators
def test_loss_curve_is_bounded_under_partial_fit(Estimator, monkeypatch):
    monkeypatch.setattr(fastbp.estimators.base, "LOSS_CURVE_LIMIT", 50)
    X, y = make_data()
    model = Estimator(**SMALL)
    first = {"classes": [0, 1]} if Estimator is MLPClassifier else {}
    losses = []
    for call in range(1, 121):
        losses.append(model.partial_fit(X, y, **first).loss_)
        assert model.loss_curve_ == losses[-50:]
        assert model.t_ == call * len(X)


@ignore_max_iter
def test_loss_curve_of_fit_is_whole(monkeypatch):
    monkeypatch.setattr(fastbp.estimators.base, "LOSS_CURVE_LIMIT", 50)
    model = MLPRegressor(**SMALL, max_iter=70, n_iter_no_change=70).fit(*make_data())
    assert len(model.loss_curve_) == model.n_iter_ == 70


# --- kept as in scikit-learn, so that numbers compare -------------------------------------


@ignore_max_iter
@pytest.mark.parametrize("n_outputs", [1, 3])
def test_squared_error_is_a_mean_over_outputs_but_its_gradient_a_sum(n_outputs):
    X, _ = make_data()
    y = np.random.default_rng(1).normal(size=(60, n_outputs)).squeeze()
    alpha, rate = 0.3, 0.05
    model = MLPRegressor(
        hidden_layer_sizes=(),
        solver="sgd",
        momentum=0.0,
        alpha=alpha,
        learning_rate_init=rate,
        batch_size=60,
        max_iter=1,
        random_state=0,
    ).fit(X, y)
    rng = np.random.RandomState(0)
    bound = np.sqrt(6 / (5 + n_outputs))
    W, b = (rng.uniform(-bound, bound, (5, n_outputs)), rng.uniform(-bound, bound, n_outputs))
    delta = X @ W + b - y.reshape(60, n_outputs)
    # Rounding of sums of sixty terms only.
    assert model.loss_ == pytest.approx(0.5 * (delta**2).mean() + 0.5 * alpha * (W**2).sum() / 60, rel=1e-12)
    assert_allclose(model.coefs_[0], W - rate * (X.T @ delta + alpha * W) / 60, rtol=1e-10)
    assert_allclose(model.intercepts_[0], b - rate * delta.sum(axis=0) / 60, rtol=1e-10)


@ignore_max_iter
def test_validation_split_is_stratified_for_binary_targets_only():
    X, y = make_data()
    rare = np.arange(60) == 5
    model = MLPClassifier(**SMALL, early_stopping=True, max_iter=2)
    with pytest.raises(ValueError, match="least populated class"):
        model.fit(X, rare)
    model.fit(X, np.where(rare, 2, y))
    assert len(model.validation_scores_) == 2


# --- threads ------------------------------------------------------------------------------


@pytest.mark.fault(27)
@ignore_max_iter
@both_estimators
@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(
    "params",
    [
        dict(hidden_layer_sizes=(7, 5), max_iter=5),
        dict(hidden_layer_sizes=(200, 150), batch_size=256, max_iter=2),
        dict(hidden_layer_sizes=(200, 150), batch_size=256, max_iter=2, solver="sgd", activation="tanh"),
        dict(hidden_layer_sizes=(60, 50), solver="lbfgs", max_iter=3, activation="gelu"),
    ],
    ids=["small", "wide adam", "wide sgd", "lbfgs"],
)
def test_any_number_of_threads_gives_the_same_bits(Estimator, params, dtype, sparse):
    # From too small for a second thread to three million multiplications a
    # layer and batch; 1001 rows leave a short last batch and uneven shares.
    X, y = make_data(1001, 60)
    X = X.astype(dtype)
    if sparse:
        X[np.abs(X) < 1] = 0.0
        X = sp.csr_array(X)
    models = [Estimator(**params, random_state=0, n_threads=n).fit(X, y) for n in (1, 2, 3)]
    outputs = [m.predict_proba(X) if Estimator is MLPClassifier else m.predict(X) for m in models]
    for model, output in zip(models[1:], outputs[1:], strict=True):
        assert weights(model).dtype == dtype
        assert_array_equal(weights(model), weights(models[0]))
        assert_array_equal(output, outputs[0])
        assert model.loss_ == models[0].loss_


def test_warnings_are_errors_here():
    # Without this setting several tests above would pass on a warning.
    with pytest.raises(UserWarning):
        warnings.warn("a warning", UserWarning, stacklevel=1)


@ignore_max_iter
def test_a_power_too_large_for_a_float_makes_the_learning_rate_zero():
    X, y = make_data()
    params = SMALL | dict(solver="sgd", learning_rate="invscaling", shuffle=False)
    once = MLPRegressor(**params, max_iter=1, momentum=0).fit(X, y)
    model = MLPRegressor(**params, max_iter=5, momentum=0, power_t=1e308).fit(X, y)
    assert_array_equal(weights(model), weights(once))
