"""The callbacks of `fastbp.callbacks`, `max_time`, and what they use of the state."""

import os
import pickle
import sys
import threading
import types
from time import perf_counter

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.model_selection import cross_val_score

from callback_cases import SCORE, SMALL, TARGETS, X, both_estimators, every_solver, ignore_max_iter, weights
from fastbp import MLPRegressor
from fastbp.callbacks import Checkpoint, History, OptunaPruner, ReduceOnPlateau, TimeLimit

pytestmark = ignore_max_iter
LONG = SMALL | dict(max_iter=10**7, tol=0.0, n_iter_no_change=10**7)


@both_estimators
@every_solver
def test_history(Estimator, solver):
    history = History()
    model = Estimator(**SMALL, solver=solver, callbacks=history, scoring="loss").fit(X, TARGETS[Estimator])
    record = history.last
    assert record["epoch"] == [1, 2, 3, 4, 5, 6]
    assert record["loss"][-1] == model.loss_
    assert (np.diff([0.0, *record["elapsed"]]) > 0).all()
    if solver != "lbfgs":
        assert {name: record[name] for name in model.history_} == model.history_
    # clones share it, and another fit has a record of its own
    cross_val_score(clone(model), X, TARGETS[Estimator], cv=3)
    assert len(history.fits) == 4
    assert {len(column) for fit in history.fits for column in fit.values()} == {6}
    assert pickle.loads(pickle.dumps(history)).fits == history.fits


def test_history_of_fits_in_threads():
    history = History()
    models = [MLPRegressor(**SMALL | dict(max_iter=200, random_state=n), callbacks=history) for n in range(3)]
    threads = [threading.Thread(target=model.fit, args=(X, SCORE)) for model in models]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(fit["loss"] for fit in history.fits) == sorted(model.loss_curve_ for model in models)


@every_solver
@pytest.mark.parametrize("params", [dict(max_time=0.05), dict(callbacks=TimeLimit(0.05))])
def test_time_limits(solver, params):
    # a loss without a minimum in reach: L-BFGS has to iterate until it is stopped
    model = MLPRegressor(**LONG | dict(hidden_layer_sizes=(30,)), solver=solver, max_fun=10**9, **params)
    begin = perf_counter()
    model.fit(X, np.random.default_rng(0).normal(size=50))
    assert 0.05 < perf_counter() - begin < 5  # far less than 10**7 epochs take
    assert 0 < model.n_iter_ < 10**7
    # no limit within an epoch
    assert model.set_params(max_time=1e-9).fit(X, SCORE).n_iter_ == 1


@pytest.mark.parametrize("value", [0, -1.0, "1s"])
def test_bad_time_limits(value):
    with pytest.raises(ValueError, match="The 'max_time' parameter of MLPRegressor must be"):
        MLPRegressor(**SMALL, max_time=value).fit(X, SCORE)
    with pytest.raises(ValueError, match="The 'seconds' parameter of TimeLimit must be"):
        MLPRegressor(**SMALL, callbacks=[TimeLimit(value)]).fit(X, SCORE)


# --- the learning rate -----------------------------------------------------------------------


class Halve:
    def on_epoch_end(self, state):
        state.learning_rate = state.learning_rate / 2


def test_a_callback_may_set_the_learning_rate():
    model = MLPRegressor(**SMALL, callbacks=Halve()).fit(X, SCORE)
    assert model.history_["learning_rate"] == [0.001 / 2**n for n in range(6)]
    # as if the rate had been set between calls of partial_fit, without shuffling
    params = SMALL | dict(shuffle=False)
    model = MLPRegressor(**params, callbacks=Halve()).fit(X, SCORE)
    other = MLPRegressor(**params)
    for n in range(6):
        if n:
            other._optimizer.learning_rate = 0.001 / 2**n
        other.partial_fit(X, SCORE)
    assert_array_equal(weights(model), weights(other))


@pytest.mark.parametrize("rate", [-0.1, np.nan, np.inf, None, "fast", True])
def test_bad_learning_rates(rate):
    class Set:
        def on_epoch_end(self, state):
            state.learning_rate = rate

    with pytest.raises(ValueError, match="learning_rate must be a finite number of at least 0, got"):
        MLPRegressor(**SMALL, callbacks=Set()).fit(X, SCORE)
    with pytest.raises(AttributeError, match="solver='lbfgs' has no learning rate"):
        MLPRegressor(**SMALL, solver="lbfgs", callbacks=Set()).fit(X, SCORE)


def test_reduce_on_plateau():
    # by hand: the first loss is the best that counts, then two epochs are borne, and the third lowers the rate
    slower = ReduceOnPlateau(factor=0.5, patience=2, tol=100.0, min_rate=0.0002)
    params = SMALL | dict(max_iter=13, n_iter_no_change=100)
    model = MLPRegressor(**params, callbacks=slower).fit(X, SCORE)
    expected = [*[0.001] * 4, *[0.0005] * 3, *[0.00025] * 3, *[0.0002] * 3]
    assert_allclose(model.history_["learning_rate"], expected)
    # again, and in a clone
    assert_allclose(clone(model).fit(X, SCORE).history_["learning_rate"], expected)
    # a rate that is lower already stays
    model.set_params(learning_rate_init=1e-5).fit(X, SCORE)
    assert_allclose(model.history_["learning_rate"], [1e-5] * 13)
    for monitor in ("validation_score", "validation_loss", None):
        model = MLPRegressor(**params, callbacks=clone(slower).set_params(monitor=monitor))
        model.fit(X, SCORE, X_val=X, y_val=SCORE)
        assert_allclose(model.history_["learning_rate"], expected)
    # an improvement counts in the right direction
    model = MLPRegressor(**params | dict(learning_rate_init=0.01), callbacks=ReduceOnPlateau(patience=0, tol=0.0))
    model.fit(X, SCORE, X_val=X, y_val=SCORE)
    falls = np.flatnonzero(np.diff(model.history_["learning_rate"]))
    scores = np.array(model.validation_scores_)
    assert_array_equal(falls, [n for n in range(12) if n and scores[n] < scores[:n].max()])


def test_reduce_on_plateau_with_bad_arguments():
    with pytest.raises(ValueError, match="The 'factor' parameter of ReduceOnPlateau must be"):
        MLPRegressor(**SMALL, callbacks=ReduceOnPlateau(factor=2)).fit(X, SCORE)
    with pytest.raises(ValueError, match="monitor must be None or one of loss, learning_rate, seconds; got 'score'"):
        MLPRegressor(**SMALL, callbacks=ReduceOnPlateau(monitor="score")).fit(X, SCORE)
    with pytest.raises(ValueError, match="solver='lbfgs' has none"):
        MLPRegressor(**SMALL, solver="lbfgs", callbacks=ReduceOnPlateau()).fit(X, SCORE)


# --- checkpoints -----------------------------------------------------------------------------


@both_estimators
@every_solver
def test_checkpoints(Estimator, solver, tmp_path):
    y = TARGETS[Estimator]
    saves = Checkpoint(tmp_path / "net-{epoch:02}.pickle", every=2)
    model = Estimator(**SMALL, solver=solver, callbacks=[saves, Unpicklable()]).fit(X, y)
    assert sorted(os.listdir(tmp_path)) == ["net-02.pickle", "net-04.pickle", "net-06.pickle"]
    last = pickle.loads((tmp_path / "net-06.pickle").read_bytes())
    assert last.callbacks is None
    assert_array_equal(weights(last), weights(model))
    third = pickle.loads((tmp_path / "net-04.pickle").read_bytes())
    expected = clone(model).set_params(callbacks=None, max_iter=4).fit(X, y)
    assert_array_equal(weights(third), weights(expected))
    assert third.n_iter_ == 4
    assert third.loss_ == expected.loss_
    assert_array_equal(third.predict(X), expected.predict(X))
    if solver != "lbfgs":
        assert third.loss_curve_ == expected.loss_curve_
        assert third.history_["loss"] == model.history_["loss"][:4]
        # training goes on with the optimizer and the generator
        assert_array_equal(weights(third.partial_fit(X, y)), weights(expected.partial_fit(X, y)))


@pytest.mark.parametrize(
    "params",
    [
        {},
        dict(solver="sgd", learning_rate="adaptive", n_iter_no_change=1, tol=0.1),
        dict(solver="sgd", learning_rate="invscaling"),
        dict(solver="schedule_free"),
        dict(solver="nadam", warmup=3),
        dict(learning_rate="plateau", n_iter_no_change=1, tol=0.1),
        dict(ema_decay=0.9, dropout=0.2, dtype="float32"),
    ],
    ids=str,
)
def test_training_that_goes_on_from_a_checkpoint(params, tmp_path):
    """As if it had not been interrupted, to the last bit. With shuffle=True the rows come in another order."""
    y = TARGETS[MLPRegressor]
    options = SMALL | dict(max_iter=6, shuffle=False, batch_size=20) | params
    model = MLPRegressor(**options, callbacks=Checkpoint(tmp_path / "{epoch}")).fit(X, y)
    loaded = pickle.loads((tmp_path / "3").read_bytes())
    for _ in range(3, model.n_iter_):
        loaded.partial_fit(X, y)
    assert model.n_iter_ > 4
    assert_array_equal(weights(loaded), weights(model))
    for ours, theirs in zip(loaded._optimizer.state, model._optimizer.state, strict=True):
        assert_array_equal(ours, theirs)
    for name in ("loss_curve_", "best_loss_", "t_", "_no_improvement_count"):
        assert getattr(loaded, name) == getattr(model, name)
    assert loaded.history_["learning_rate"] == model.history_["learning_rate"]


class Unpicklable:
    def on_epoch_end(self, state):
        return False

    def __reduce__(self):
        raise TypeError("no pickle")

    def __sklearn_clone__(self):
        return self


def test_the_best_checkpoint(tmp_path):
    path = tmp_path / "best.pickle"
    params = SMALL | dict(learning_rate_init=0.1, max_iter=30, n_iter_no_change=100)
    for options in (dict(), dict(monitor="validation_loss")):
        saves = Checkpoint(path, best_only=True, **options)
        model = MLPRegressor(**params, early_stopping=True, scoring="loss", validation_fraction=0.3, callbacks=saves)
        model.fit(X, SCORE)
        best = pickle.loads(path.read_bytes())
        assert 1 < best.n_iter_ == model.best_iteration_ < 30
        assert_array_equal(weights(best), weights(model))
    # by the training loss
    saves = Checkpoint(str(path), best_only=True)
    model = MLPRegressor(**params, callbacks=saves).fit(X, SCORE)
    assert pickle.loads(path.read_bytes()).n_iter_ == model.best_iteration_
    assert os.listdir(tmp_path) == ["best.pickle"]


def test_a_checkpoint_that_cannot_be_written(tmp_path, monkeypatch):
    path = tmp_path / "net.pickle"
    model = MLPRegressor(**SMALL, callbacks=Checkpoint(path)).fit(X, SCORE)
    before = path.read_bytes()

    def full(handle):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        clone(model).set_params(random_state=1).fit(X, SCORE)
    monkeypatch.undo()
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["net.pickle"]
    history = History()  # nothing was trained, though the first epoch to be saved is the fourth
    saves = Checkpoint(tmp_path / "no" / "net.pickle", every=4)
    with pytest.raises(FileNotFoundError, match=r"path of Checkpoint: there is no folder .*no'; create it before fit"):
        MLPRegressor(**SMALL, callbacks=[history, saves]).fit(X, SCORE)
    assert history.last == {}
    saves = Checkpoint(tmp_path / "{epoch}" / "net.pickle")
    with pytest.raises(FileNotFoundError, match=r"1/net\.pickle"):
        MLPRegressor(**SMALL, callbacks=saves).fit(X, SCORE)
    for path in ("", tmp_path):
        with pytest.raises(ValueError, match="path of Checkpoint must be that of a file"):
            MLPRegressor(**SMALL, callbacks=Checkpoint(path)).fit(X, SCORE)
    with pytest.raises(ValueError, match="The 'every' parameter of Checkpoint must be"):
        MLPRegressor(**SMALL, callbacks=Checkpoint(path, every=0)).fit(X, SCORE)


@pytest.mark.parametrize("name", ["{net}", "{}", "{score:.3f}", "{epoch"])
def test_a_path_that_cannot_be_formatted(name, tmp_path):
    with pytest.raises(ValueError, match=r"path='.*' of Checkpoint cannot be formatted with epoch=1, .*score=None"):
        MLPRegressor(**SMALL, callbacks=Checkpoint(tmp_path / name)).fit(X, SCORE)
    MLPRegressor(**SMALL, callbacks=Checkpoint(tmp_path / "{{net}}")).fit(X, SCORE)
    assert os.listdir(tmp_path) == ["{net}"]


def test_an_estimator_that_cannot_be_pickled(tmp_path):
    saves = Checkpoint(tmp_path / "net.pickle")
    with pytest.raises(TypeError, match=r"Checkpoint cannot pickle the estimator: .*lambda"):
        MLPRegressor(**SMALL, learning_rate=lambda progress: 1 - progress, callbacks=saves).fit(X, SCORE)
    assert os.listdir(tmp_path) == []


@pytest.mark.skipif(os.name != "posix", reason="permissions of POSIX")
def test_the_permissions_are_those_of_a_new_file(tmp_path):
    (tmp_path / "new").touch()
    MLPRegressor(**SMALL, callbacks=Checkpoint(tmp_path / "net.pickle")).fit(X, SCORE)
    assert (tmp_path / "net.pickle").stat().st_mode == (tmp_path / "new").stat().st_mode


def test_the_estimator_in_the_state_is_a_copy():
    seen = []

    class Keep:
        def on_epoch_end(self, state):
            seen.append(state.estimator)
            assert_array_equal(seen[-1].predict(X), state.network.forward(X).ravel())

    model = MLPRegressor(**SMALL, callbacks=Keep()).fit(X, SCORE)
    assert [len(estimator.loss_curve_) for estimator in seen] == [1, 2, 3, 4, 5, 6]
    assert (weights(seen[0]) != weights(seen[1])).any()
    seen[-1].partial_fit(X, SCORE)
    assert len(model.loss_curve_) == 6
    assert (weights(seen[-1]) != weights(model)).any()


# --- Optuna ----------------------------------------------------------------------------------


class Trial:
    def __init__(self, prune_at=None):
        self.prune_at, self.reports = prune_at, []

    def report(self, value, step):
        self.reports.append((step, value))

    def should_prune(self):
        return len(self.reports) == self.prune_at

    def __deepcopy__(self, memo):
        raise AssertionError("a trial is not to be copied")


class TrialPruned(Exception):
    """As Optuna's."""


@pytest.mark.parametrize("monitor", [None, "loss", "validation_loss"])
def test_optuna_pruner(monitor, monkeypatch):
    monkeypatch.setitem(sys.modules, "optuna", types.SimpleNamespace(TrialPruned=TrialPruned))
    trial = Trial()
    model = MLPRegressor(**SMALL, early_stopping=True, scoring="loss", callbacks=OptunaPruner(trial, monitor))
    model.fit(X, SCORE)
    column = {None: model.validation_scores_, "loss": model.loss_curve_}.get(monitor, model.validation_loss_curve_)
    assert trial.reports == list(enumerate(column, 1))
    before = weights(model)
    pruned = Trial(prune_at=3)
    with pytest.raises(TrialPruned, match="after epoch 3"):
        model.set_params(callbacks=[OptunaPruner(pruned, monitor)], random_state=1).fit(X, SCORE)
    assert len(pruned.reports) == 3
    assert_array_equal(weights(model), before)
    assert clone(model).callbacks[0].trial is pruned


def test_optuna_pruner_without_a_trial():
    with pytest.raises(TypeError, match=r"trial must be an optuna\.Trial, with a method report; got 3"):
        MLPRegressor(**SMALL, callbacks=OptunaPruner(3)).fit(X, SCORE)
