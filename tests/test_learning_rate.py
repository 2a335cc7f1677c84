"""The learning rate range test; `estimators/learning_rate.py`, `training/rate_sweep.py`."""

import pickle

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy import sparse
from sklearn.datasets import load_digits, make_friedman1
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import make_pipeline
from sklearn.utils._param_validation import InvalidParameterError

import reference
from case_names import case_name
from fastbp import MLPClassifier, MLPRegressor, Network, find_learning_rate
from fastbp.callbacks import History
from fastbp.estimators.learning_rate import sweep_of
from fastbp.optimizers import OPTIMIZERS

RNG = np.random.default_rng(0)
X = RNG.normal(size=(90, 4))
Y = np.tanh(X @ RNG.normal(size=(4, 2)))
LABELS = np.digitize(X[:, 0], [-0.3, 0.3])
SMALL = dict(hidden_layer_sizes=(9,), batch_size=30, random_state=0)
TARGETS = {MLPRegressor: Y, MLPClassifier: LABELS}
both_estimators = pytest.mark.parametrize("Estimator", TARGETS)


def make(Estimator=MLPRegressor, **params):
    return Estimator(**SMALL | params)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_textbook(dtype):
    sweep = find_learning_rate(make(solver="adamw", weight_decay=0.0, alpha=0.2), X.astype(dtype), Y, n_steps=50)
    network = Network((4, 9, 2), random_state=0, alpha=0.2, dtype=dtype)
    rng = np.random.RandomState(0)
    network.initialize(rng)
    network = network.astype(np.float64)
    rows, state, losses = np.arange(90), [np.zeros(network.n_params)] * 2, []
    for step, rate in enumerate(sweep.learning_rates):
        if step % 3 == 0:
            rng.shuffle(rows)
        batch = rows[30 * (step % 3) :][:30]
        loss, gradient = network.loss_and_gradient(X[batch], Y[batch])
        losses.append(loss - (loss - network.penalty() / 30) / 2)  # the squared error is recorded by output
        network.params, state = reference.adamw_update(gradient, network.params, state, step + 1, learning_rate=rate)
    # at large rates the errors of rounding grow
    assert_allclose(sweep.losses[:40], losses[:40], rtol=1e-9 if dtype == np.float64 else 1e-3)


@both_estimators
@pytest.mark.parametrize("solver", sorted(OPTIMIZERS))
def test_every_solver(Estimator, solver):
    sweep = find_learning_rate(make(Estimator, solver=solver), X, TARGETS[Estimator])
    assert len(sweep.learning_rates) == len(sweep.losses) == len(sweep.smoothed) <= 200
    assert np.isfinite(sweep.losses).all()
    assert 1e-5 < sweep.steepest <= sweep.suggestion <= sweep.lowest < 10
    assert_allclose(sweep.suggestion, np.sqrt(sweep.steepest * sweep.lowest))
    ratios = sweep.learning_rates[1:] / sweep.learning_rates[:-1]
    assert_allclose(ratios, 1e7 ** (1 / 199))
    assert "suggestion=0." in repr(sweep)


@pytest.mark.parametrize("solver", ["adam", "sgd"])
def test_the_suggestion_trains_faster_than_the_default(solver):
    digits, y = load_digits(return_X_y=True)
    numbers, target = make_friedman1(600, noise=0.5, random_state=0)
    problems = [(MLPClassifier, digits / 16, y), (MLPRegressor, numbers, (target - target.mean()) / target.std())]
    for Estimator, rows, targets in problems:
        model = Estimator(solver=solver, random_state=0, max_iter=10, n_iter_no_change=np.inf, early_stopping=True)
        model.set_params(validation_fraction=0.3)
        scores = []
        for rate in (0.001, find_learning_rate(model, rows, targets).suggestion):
            with pytest.warns(match="Maximum iterations"):
                model.set_params(learning_rate_init=rate).fit(rows, targets)
            scores.append(model.best_validation_score_)
        assert scores[1] > scores[0] + 0.02


@both_estimators
@pytest.mark.parametrize(
    "params",
    [
        dict(dropout=0.2, mixup_alpha=0.2),
        dict(shuffle=False),
        dict(shuffle=False, mixup_alpha=0.2),
        dict(batch_size="auto"),
        dict(batch_size=25, clip_norm=0.5, max_norm=1.0, l1=0.1, weight_decay=0.1),
        dict(hidden_layer_sizes=(), dtype="float32"),
        dict(learning_rate="one_cycle", warmup=0.1, early_stopping=True, verbose=2, max_time=1e-9, warm_start=True),
        dict(ema_decay=0.9, scoring=["loss", "score"]),
        dict(swa_start=0.5, learning_rate=lambda progress: 1 - progress),
    ],
    ids=case_name,
)
def test_settings(Estimator, params, capfd):
    sweep = find_learning_rate(make(Estimator, **params), X, TARGETS[Estimator])
    assert 1e-5 < sweep.suggestion < 10
    assert not any(capfd.readouterr())


@both_estimators
def test_the_same_with_any_number_of_threads(Estimator, monkeypatch):
    monkeypatch.setattr("fastbp.threads.FLOPS_PER_THREAD", 1)
    params = dict(dropout=0.2, mixup_alpha=0.2, batch_size=64)
    sweeps = [find_learning_rate(make(Estimator, n_threads=n, **params), X, TARGETS[Estimator]) for n in (1, 2, 3)]
    for other in sweeps[1:]:
        assert_array_equal(other.losses, sweeps[0].losses)
        assert other.suggestion == sweeps[0].suggestion


@both_estimators
@pytest.mark.parametrize("make_state", [lambda: np.random.RandomState(3), lambda: np.random.default_rng(3)])
def test_the_estimator_is_not_changed(Estimator, make_state):
    history = History()
    model = make(Estimator, callbacks=[history], random_state=make_state(), max_iter=3, tol=1, n_iter_no_change=1)
    model.fit(X, TARGETS[Estimator])
    before, calls = pickle.dumps(vars(model) | {"_network": None}), len(history.fits)
    params = model.get_params(deep=False)
    first, second = (find_learning_rate(model, X, TARGETS[Estimator]) for _ in range(2))
    assert pickle.dumps(vars(model) | {"_network": None}) == before
    assert all(model.get_params(deep=False)[name] is value for name, value in params.items())
    assert len(history.fits) == calls
    assert_array_equal(first.losses, second.losses)
    new = make(Estimator)
    find_learning_rate(new, X, TARGETS[Estimator])
    with pytest.raises(NotFittedError):
        new.predict(X)


def test_sparse_rows():
    rows = np.where(X > 0, X, 0)
    dense, sweep = (find_learning_rate(make(), v, Y, n_steps=50) for v in (rows, sparse.csr_array(rows)))
    assert_allclose(sweep.losses[:40], dense.losses[:40], rtol=1e-8)


def test_forms_of_a_classifiers_targets():
    for y, classes in (
        (LABELS > 0, None),
        (np.column_stack([LABELS, LABELS[::-1]]), None),
        (np.eye(3)[LABELS], ["a", "b", "c"]),
    ):
        assert find_learning_rate(make(MLPClassifier), X, y, classes=classes).suggestion < 1


def test_weights():
    weight = np.where(np.arange(90) < 10, 0, RNG.uniform(0.5, 2, 90))
    sweep = find_learning_rate(make(), X, Y, weight)
    far = np.where(weight[:, None] == 0, 1e3, X)
    assert_array_equal(find_learning_rate(make(), far, Y, weight).losses, sweep.losses)
    assert (find_learning_rate(make(), X, Y).losses[:10] != sweep.losses[:10]).any()


def test_it_starts_from_given_weights():
    start = make(max_iter=3, tol=1, n_iter_no_change=1).fit(X, Y)
    sweep = find_learning_rate(make(init_from=start, batch_size=90, alpha=0.0), X, Y)
    assert_allclose(sweep.losses[0], ((start.predict(X) - Y) ** 2).mean() / 2)


def test_it_ends_when_the_loss_grows():
    short = find_learning_rate(make(solver="sgd"), X, Y, max_learning_rate=1e6)
    assert short.learning_rates[-1] < 1e5
    assert short.losses[-1] > 3 * short.losses[0]


@pytest.mark.parametrize("n_rows", [1, 2, 5])
def test_few_rows(n_rows):
    with pytest.warns(UserWarning, match="It is going to be clipped"):
        sweep = find_learning_rate(make(), X[:n_rows], Y[:n_rows])
    assert np.isfinite(sweep.losses).all()


def test_nothing_is_suggested_where_the_loss_does_not_fall():
    with pytest.warns(UserWarning, match=r"does not fall by more than its noise between learning rates of 1e\+06 and"):
        sweep = find_learning_rate(make(solver="sgd"), X, Y, min_learning_rate=1e6, max_learning_rate=1e9)
    assert sweep.suggestion is None
    assert "suggestion=None" in repr(sweep)
    with pytest.warns(UserWarning, match="none is suggested. Try more n_steps, larger batches or another range"):
        sweep = find_learning_rate(make(), X, Y, min_learning_rate=1e-9, max_learning_rate=1e-8)
    assert sweep.suggestion is None


@both_estimators
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("seed", range(5))
def test_rounding_errors_are_no_fall(Estimator, dtype, seed):
    """Of the same rows in another order the loss is another one only by its rounding errors."""
    model = make(Estimator, frozen_layers=[0, 1], batch_size=90, dtype=dtype, random_state=seed)
    with pytest.warns(UserWarning, match="none is suggested"):
        sweep = find_learning_rate(model, X, TARGETS[Estimator])
    assert sweep.suggestion is None
    assert np.ptp(sweep.losses) < 1e-6 * sweep.losses[0]


def test_a_fall_of_rounding_errors():
    step, rates = np.arange(200), np.geomspace(1e-6, 10, 200)
    for fall, is_none in ((1e-12, True), (1e-4, False)):
        for level in (1.0, -1.0, 1e9):
            losses = level * (1 - np.sign(level) * fall * np.clip(step - 50, 0, 100) / 100)
            assert (sweep_of(rates, losses, 200).suggestion is None) == is_none


def test_a_loss_that_still_falls():
    with pytest.warns(UserWarning, match=r"still falls at max_learning_rate=0.01: raise it for a better suggestion"):
        sweep = find_learning_rate(make(batch_size=90), X, Y, max_learning_rate=0.01)
    assert sweep.lowest == 0.01


def test_the_first_fall_counts():
    # it falls from 1 to 0.2 at step 130, rises, and falls below that at step 170
    step = np.arange(200)
    losses = 0.6 - 0.4 * np.tanh((step - 100) / 15) + np.where(step > 150, 0.3, 0) - np.where(step > 170, 0.4, 0)
    rates = np.geomspace(1e-6, 10, 200)
    sweep = sweep_of(rates, losses, 200)
    assert sweep.learning_rates[95] < sweep.steepest < sweep.learning_rates[105]
    assert sweep.learning_rates[130] < sweep.lowest < sweep.learning_rates[150]
    # one huge loss at the end does not move the smallest one
    losses[-1] = 1e12
    assert sweep_of(rates, losses, 200).lowest == sweep.lowest
    # nor does a constant, as of a log-likelihood
    shifted = sweep_of(rates, losses - 5.0, 200)
    assert_allclose([shifted.steepest, shifted.lowest], [sweep.steepest, sweep.lowest])


def test_a_loss_below_zero():
    sweep = find_learning_rate(make(loss="gaussian"), X, 1e-3 * Y[:, 0])
    assert sweep.losses.min() < 0
    assert 1e-4 < sweep.suggestion < 1


def test_the_loss_of_the_initial_weights_is_not_finite():
    with pytest.raises(ValueError, match="The loss of the initial weights is not finite: scale X and y"):
        find_learning_rate(make(), X * 1e200, Y * 1e200)


@both_estimators
def test_lbfgs_has_no_learning_rate(Estimator):
    with pytest.raises(ValueError, match="solver='lbfgs' has no learning rate to be found: choose a stochastic solver"):
        find_learning_rate(make(Estimator, solver="lbfgs"), X, TARGETS[Estimator])


def test_another_estimator():
    with pytest.raises(TypeError, match=r"must be a MLPClassifier or MLPRegressor of fastbp, got Pipeline. Of a"):
        find_learning_rate(make_pipeline(make()), X, Y)
    with pytest.raises(TypeError, match=r"got Network"):
        find_learning_rate(Network((4, 2)), X, Y)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (dict(min_learning_rate=0), "min_learning_rate must be a finite number > 0, got 0"),
        (dict(min_learning_rate=np.nan), "min_learning_rate must be a finite number > 0, got nan"),
        (dict(max_learning_rate=np.inf), "max_learning_rate must be a finite number > 0, got inf"),
        (dict(max_learning_rate="1"), "max_learning_rate must be a finite number > 0, got '1'"),
        (dict(max_learning_rate=True), "max_learning_rate must be a finite number > 0, got True"),
        (dict(max_learning_rate=1e-7), "min_learning_rate=1e-06 must be less than max_learning_rate=1e-07"),
        (dict(n_steps=19), "n_steps must be an integer >= 20, got 19"),
        (dict(n_steps=100.0), "n_steps must be an integer >= 20, got 100.0"),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        find_learning_rate(make(), X, Y, **arguments)


def test_what_fit_refuses():
    with pytest.raises(InvalidParameterError, match="The 'alpha' parameter of MLPRegressor must be"):
        find_learning_rate(make(alpha=-1), X, Y)
    with pytest.raises(ValueError, match="Input X contains NaN"):
        find_learning_rate(make(), np.where(X > 2, np.nan, X), Y)
    with pytest.raises(ValueError, match="sample_weight"):
        find_learning_rate(make(), X, Y, -np.ones(90))
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        find_learning_rate(make(), X, Y[:5])
