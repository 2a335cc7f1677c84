"""The trainer without an estimator: rates ahead of time, chunks of epochs, the log, validation; `training/`."""

import _thread
import re

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.optimize import OptimizeResult

import fastbp.network
import fastbp.threads
import fastbp.training.trainer
from fastbp import MLPRegressor, Network
from fastbp.data import make_data
from fastbp.kernels.patience import Patience
from fastbp.optimizers import OPTIMIZERS
from fastbp.schedules import SCHEDULES
from fastbp.training import (
    EarlyStopping,
    History,
    InMemoryEpochs,
    LossStopping,
    OptimizerState,
    Trainer,
    ValidationSet,
    minimize_lbfgs,
)

N = 30
RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(N, 4)), RNG.normal(size=(N, 2))


def trainer(schedule="constant", solver="sgd", tol=0.0, limit=np.inf, rate=0.05, score=None, **options):
    """A trainer of a small network, and its data; `score`: what early stopping is to see of the output."""
    network = Network([4, 5, 2], "tanh", alpha=0.01, random_state=0)
    optimizer = OptimizerState(OPTIMIZERS[solver](), network.n_params, network.dtype, rate)
    data, patience = make_data(X, Y, None, 2, network.dtype), Patience(tol, limit)
    history = History(validation_scores=None if score is None else [])
    stopping = LossStopping(patience)
    if score is not None:
        stopping = EarlyStopping(patience, network, ValidationSet(data, lambda output: [score(output)]))
    options = dict(learning_rate_init=rate) | options
    return Trainer(network, optimizer, SCHEDULES[schedule](), history, stopping, **options), data


def run(made, data, max_iter=20, **options):
    options = dict(batch_size=8, random_state=np.random.RandomState(0)) | options
    return made.run(InMemoryEpochs(data, np.arange(N), **options), max_iter)


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("rows_before", [0, 60])
def test_coming_rates(schedule, rows_before):
    made, _ = trainer(schedule)
    made.history.rows_seen = rows_before
    made.optimizer.learning_rate = 0.04
    expected = [0.04]
    for epoch in range(1, 5):
        expected.append(made.schedule.after_epoch(expected[-1], rows_before + epoch * N, 0.05))
    assert_array_equal(made.coming_rates(4, N), expected)


@pytest.mark.parametrize("solver", ["sgd", "adam"])
@pytest.mark.parametrize("schedule", SCHEDULES)
def test_chunks_of_epochs_do_not_matter(schedule, solver, monkeypatch):
    runs = []
    for at_once in (256, 1, 3, 7):
        monkeypatch.setattr(fastbp.training.trainer, "EPOCHS_AT_ONCE", at_once)
        made, data = trainer(schedule, solver, tol=1e-2, limit=2)
        stopped = run(made, data, 25)
        history, optimizer, patience = made.history, made.optimizer, made.stopping.patience
        record = [history.loss_curve, history.n_iter, history.rows_seen, patience.best, patience.count]
        runs.append(
            [made.network.params, *optimizer.state, optimizer.n_steps, optimizer.learning_rate, stopped, *record]
        )
    assert made.history.n_iter > 3
    for other in runs[1:]:
        for actual, expected in zip(other, runs[0], strict=True):
            assert_array_equal(actual, expected)


def test_a_run_in_two_parts():
    made, data = trainer("invscaling", "adam")
    rng, rows = np.random.RandomState(0), np.arange(N)
    whole, _ = trainer("invscaling", "adam")
    whole.run(InMemoryEpochs(data, np.arange(N), 8, np.random.RandomState(0)), 9)
    for max_iter in (4, 9):
        assert made.run(InMemoryEpochs(data, rows, 8, rng), max_iter) is False
    assert_array_equal(made.network.params, whole.network.params)
    assert made.history.loss_curve == whole.history.loss_curve
    assert (made.history.n_iter, made.history.rows_seen, made.optimizer.n_steps) == (9, 9 * N, 9 * 4)


def test_rows_that_are_left_out_do_not_matter():
    made, data = trainer()
    made.run(InMemoryEpochs(data, np.arange(20), 8), 3)
    other, _ = trainer()
    few = make_data(X[:20], Y[:20], None, 2, other.network.dtype)
    other.run(InMemoryEpochs(few, None, 8), 3)
    assert_array_equal(made.network.params, other.network.params)
    assert made.history.rows_seen == 60


def test_loss_scale_changes_the_record_only():
    made, data = trainer()
    made.network.alpha = 0.0
    halved, _ = trainer(loss_scale=0.5)
    halved.network.alpha = 0.0
    run(made, data, 3)
    run(halved, data, 3)
    assert_array_equal(made.network.params, halved.network.params)
    # a factor of two is exact
    assert_array_equal(np.array(made.history.loss_curve) / 2, halved.history.loss_curve)


def test_log(capsys):
    made, data = trainer("adaptive", tol=100.0, limit=1, verbose=True)
    run(made, data, 3)
    first, second, third = made.history.loss_curve
    assert capsys.readouterr().out.splitlines() == [
        f"Iteration 1, loss = {first:.8f}",
        f"Iteration 2, loss = {second:.8f}",
        f"Iteration 3, loss = {third:.8f}",
        "Training loss did not improve more than tol=100.000000 for 1 consecutive epochs. "
        "Setting learning rate to 0.010000",
    ]
    assert made.optimizer.learning_rate == 0.01


def test_log_of_validation(capsys):
    scores = iter([0.5, 0.75, 0.75, 0.75])
    made, data = trainer(tol=0.1, limit=1, score=lambda output: next(scores), verbose=True)
    assert run(made, data, 10) is True
    lines = capsys.readouterr().out.splitlines()
    assert lines[1::2][:4] == [f"Validation score: {score:f}" for score in (0.5, 0.75, 0.75, 0.75)]
    assert lines[-1] == ("Validation score did not improve more than tol=0.100000 for 1 consecutive epochs. Stopping.")
    assert made.history.validation_scores == [0.5, 0.75, 0.75, 0.75]


def test_without_a_log_nothing_is_printed(capsys):
    made, data = trainer(tol=100.0, limit=1)
    run(made, data, 5)
    assert capsys.readouterr().out == ""


def test_the_best_parameters_are_restored():
    seen, scores = [], iter([0.1, 0.6, 0.3, np.nan, 0.6, 0.2])

    def score(output):
        assert_array_equal(output, made.network.forward(X))
        seen.append(made.network.params.copy())
        return next(scores)

    made, data = trainer(score=score)
    assert run(made, data, 6) is False
    assert len(seen) == 6
    assert_array_equal(made.network.params, seen[1])
    assert made.stopping.best_score == 0.6
    assert made.stopping.warning(False, 6) is None


def test_the_loss_decides_where_all_scores_are_equal():
    losses, params = [], []

    def score(output):
        losses.append(made.network.loss_and_gradient(X, Y)[0] - made.network.penalty() / N)
        params.append(made.network.params.copy())
        return 0.5

    made, data = trainer(score=score, rate=0.25)
    assert run(made, data, 15) is False
    assert 0 < np.argmin(losses) < 14
    assert_array_equal(made.network.params, params[np.argmin(losses)])
    assert "the loss on these rows decided, and still fell after max_iter=15" in made.stopping.warning(False, 15)


def diverging(**options):
    """A trainer, and data of which row 20, in the third of four batches, has a target that no output comes near."""
    made, _ = trainer(rate=0.05, **options)
    y = Y.copy()
    y[20] = np.inf
    return made, make_data(X, y, None, 2, made.network.dtype)


def test_divergence_without_validation():
    made, data = diverging()
    with pytest.raises(ValueError, match=r"diverged in epoch 1 with learning rate 0\.05: scale the inputs"):
        made.run(InMemoryEpochs(data, None, 8), 5)
    # the weights of the last whole step: two batches
    other, _ = trainer()
    other.run(InMemoryEpochs(make_data(X[:16], Y[:16], None, 2, other.network.dtype), None, 8), 1)
    assert_array_equal(made.network.params, other.network.params)
    assert made.optimizer.n_steps == 2


def test_divergence_with_validation():
    made, data = diverging(score=lambda output: 0.5)
    assert run(made, data) is True
    assert re.search("diverged in epoch 1 .* best validation score are kept", made.warning)
    assert np.isnan(made.history.validation_scores).all()


def test_an_exception_of_the_score_reaches_the_caller():
    params = []

    def score(output):
        params.append(made.network.params.copy())
        return {1: 0.5, 2: 0.25}[len(params)]

    made, data = trainer(score=score)
    with pytest.raises(KeyError):
        run(made, data)
    assert made.history.n_iter == 3
    assert_array_equal(made.network.params, params[0])  # those with the best score


def test_lbfgs():
    made, data = trainer()
    network = made.network
    progress = OptimizeResult(x=network.params.astype(float), fun=np.nan, nit=0)
    minimize_lbfgs(network, data, progress, loss_scale=1.0, max_iter=500, max_fun=5000, tol=1e-6)
    loss, gradient = network.objective(data)
    assert progress.success
    assert progress.nit > 5
    assert_array_equal(network.params, progress.x)
    assert_allclose(progress.fun, loss, rtol=1e-12)
    # scipy's rules: no component above tol, or a loss that falls by less than 2e-9 of itself, whose gradient may be
    # about the root of that
    assert np.abs(gradient).max() <= 1e-3


def test_lbfgs_keeps_the_last_iterate_when_it_is_interrupted(monkeypatch):
    made, data = trainer()
    network, calls = made.network, []
    progress = OptimizeResult(x=network.params.astype(float), fun=np.nan, nit=0)
    objective = network.objective

    def interrupted(*arguments, **options):
        calls.append(network.params.copy())
        if progress.get("nit") == 3:
            raise KeyboardInterrupt
        return objective(*arguments, **options)

    monkeypatch.setattr(network, "objective", interrupted)
    with pytest.raises(KeyboardInterrupt):
        minimize_lbfgs(network, data, progress, loss_scale=1.0, max_iter=500, max_fun=5000, tol=1e-6)
    assert_array_equal(network.params, progress.x)
    # the iterate, and not the point that the line search was trying
    assert (network.params != calls[-1]).any()


class Listener:
    """A callback that does nothing."""

    def on_epoch_end(self, state):
        return False


WATCHED = {
    "nobody": {},
    "a callback": dict(callbacks=Listener()),
    "a log": dict(verbose=True),
    "early stopping": dict(early_stopping=True),
}


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("solver", ["sgd", "lbfgs"])
@pytest.mark.parametrize("watched", WATCHED.values(), ids=WATCHED)
def test_threads_live_for_the_whole_fit(solver, watched, monkeypatch):
    started, start = [], _thread.start_new_thread

    def start_new_thread(function, arguments):
        started.append(arguments)
        return start(function, arguments)

    monkeypatch.setattr(fastbp.threads, "FLOPS_PER_THREAD", 1)
    monkeypatch.setattr(fastbp.network, "STARTED_FLOPS_PER_THREAD", 1)
    monkeypatch.setattr(_thread, "start_new_thread", start_new_thread)
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(100, 3)), rng.normal(size=100)
    params = dict(hidden_layer_sizes=(5,), batch_size=50, max_iter=6, tol=0, random_state=0)
    model = MLPRegressor(**params, solver=solver, n_threads=3, **watched).fit(X, y)
    assert model.n_iter_ > 3
    assert len(started) == 2


def test_an_exception_while_the_initial_loss_is_computed_leaves_the_parameters(monkeypatch):
    """Ctrl-C, for instance: the parameters are those of the last step."""
    made, data = trainer(rate=1e8)
    after, raised = [], KeyboardInterrupt()

    def interrupted(self, *args, **kwargs):
        after.append(made.network.params.copy())
        raise raised

    with monkeypatch.context() as patched:
        patched.setattr(Network, "objective", interrupted)
        with pytest.raises(KeyboardInterrupt):
            run(made, data, 1)
    assert_array_equal(after[0], made.initial_params)
    other, data = trainer(rate=1e8)
    run(other, data, 1)
    assert_array_equal(made.network.params, other.network.params)
    assert not np.array_equal(made.network.params, made.initial_params)
