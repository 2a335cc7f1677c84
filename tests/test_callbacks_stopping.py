"""Callbacks that stop a run, and exceptions in callbacks; `training/callbacks.py`."""

import contextlib
import re

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from sklearn.exceptions import ConvergenceWarning

from callback_cases import (
    SCORE,
    SMALL,
    SOLVERS,
    TARGETS,
    Look,
    N,
    Note,
    Nothing,
    X,
    both_estimators,
    every_solver,
    ignore_max_iter,
    weights,
    written,
)
from fastbp import MLPClassifier, MLPRegressor
from fastbp.training import Callbacks, TrainingState

# Stopping


@pytest.mark.filterwarnings("error")
@every_solver
@both_estimators
def test_true_stops_without_a_warning(Estimator, solver):
    y, log = TARGETS[Estimator], []
    callbacks = [Note(log, "a", stop_at=3), Note(log, "b")]
    model = Estimator(**SMALL, solver=solver, callbacks=callbacks).fit(X, y)
    # all hear of the last epoch
    assert log[-4:] == [("a", "epoch", 3), ("b", "epoch", 3), ("a", "end", 3), ("b", "end", 3)]
    assert model.n_iter_ == 3
    with pytest.warns(ConvergenceWarning):
        shorter = Estimator(**SMALL | dict(max_iter=3), solver=solver).fit(X, y)
    assert_array_equal(weights(model), weights(shorter))
    assert written(model) == written(shorter)


@pytest.mark.filterwarnings("error")
def test_stop_in_the_last_epoch():
    for solver in SOLVERS:
        MLPRegressor(**SMALL, solver=solver, callbacks=Note(stop_at=6)).fit(X, SCORE)


@ignore_max_iter
@pytest.mark.parametrize("answer", [0, None, "", [], np.False_])
def test_what_is_not_true_goes_on(answer):
    callback = type("Callback", (), {"on_epoch_end": lambda self, state: answer})()
    assert MLPRegressor(**SMALL, callbacks=callback).fit(X, SCORE).n_iter_ == 6


@pytest.mark.parametrize("answer", [1, "stop", np.True_])
def test_what_is_true_stops(answer):
    callback = type("Callback", (), {"on_epoch_end": lambda self, state: answer})()
    assert MLPRegressor(**SMALL, callbacks=callback).fit(X, SCORE).n_iter_ == 1


def test_only_the_end_of_an_epoch_can_stop():
    callback = type("Callback", (), {"on_fit_begin": lambda self, state: True})()
    with pytest.warns(ConvergenceWarning):
        assert MLPRegressor(**SMALL, callbacks=callback).fit(X, SCORE).n_iter_ == 6


@ignore_max_iter
def test_stop_with_early_stopping_keeps_the_best_weights():
    kept = Look(lambda state: state.network.params.copy())
    params = SMALL | dict(early_stopping=True, learning_rate_init=0.1, max_iter=50, validation_fraction=0.2)
    scores = MLPRegressor(**params).fit(X, SCORE).validation_scores_
    # the first epoch that is not the best so far
    stop_at = next(i for i, score in enumerate(scores) if score < max(scores[: i + 1])) + 1
    model = MLPRegressor(**params, callbacks=[kept, Note(stop_at=stop_at)]).fit(X, SCORE)
    assert model.n_iter_ == stop_at
    assert model.best_validation_score_ == scores[stop_at - 2]
    assert_array_equal(weights(model), kept.seen[stop_at - 1])


def test_the_patience_of_a_run_that_was_stopped_goes_on():
    params = SMALL | dict(max_iter=40, warm_start=True, tol=1.0, n_iter_no_change=3)
    whole = MLPRegressor(**params).fit(X, SCORE)
    assert whole.n_iter_ == 5
    stopped = MLPRegressor(**params, callbacks=Note(stop_at=2)).fit(X, SCORE)
    assert stopped._no_improvement_count == 1


@ignore_max_iter
@both_estimators
def test_partial_fit_and_warm_start(Estimator):
    y, note = TARGETS[Estimator], Note()
    classes = dict(classes=np.unique(y)) if Estimator is MLPClassifier else {}
    curves = Look(lambda state: (len(state.loss_curve), state.rows_seen, state.max_iter))
    model = Estimator(**SMALL, callbacks=[note, curves])
    for _ in range(3):
        model.partial_fit(X, y, **classes)
    assert note.log == [("", "begin", 0), ("", "epoch", 1), ("", "end", 1)] * 3
    assert curves.seen[1::3] == [(1, N, 1), (2, 2 * N, 1), (3, 3 * N, 1)]
    without = Estimator(**SMALL)
    for _ in range(3):
        without.partial_fit(X, y, **classes)
    assert_array_equal(weights(model), weights(without))
    note.log.clear()
    model.set_params(warm_start=True).fit(X, y)
    assert [epoch for _, event, epoch in note.log if event == "epoch"] == [1, 2, 3, 4, 5, 6]
    assert len(model.loss_curve_) == 9


@pytest.mark.filterwarnings("error")
def test_stop_in_partial_fit():
    note = Note(stop_at=1)
    model = MLPRegressor(**SMALL, callbacks=note).partial_fit(X, SCORE).partial_fit(X, SCORE)
    assert model.t_ == 2 * N


# Exceptions


@ignore_max_iter
@every_solver
@pytest.mark.parametrize("event", ["begin", "epoch", "end"])
@pytest.mark.parametrize("fitted", [False, True])
def test_an_exception_leaves_the_estimator_as_it_was(event, solver, fitted):
    log = []
    model = MLPRegressor(**SMALL, solver=solver)
    if fitted:
        model.fit(X, SCORE)
    names = sorted(vars(model))
    before = (weights(model), written(model)) if fitted else None
    model.set_params(callbacks=[Note(log, "a"), Note(log, "b", fail_at=event), Note(log, "c")])
    with pytest.raises(ZeroDivisionError, match=f"b {event}"):
        model.fit(X[:40], -SCORE[:40])
    assert sorted(vars(model)) == names
    if fitted:
        assert_array_equal(weights(model), before[0])
        assert written(model) == before[1]
    # on_fit_end is called where on_fit_begin was called
    assert [name for name, event, _ in log if event == "end"] == (["a"] if event == "begin" else ["a", "b", "c"])
    expected = MLPRegressor(**SMALL, solver=solver).fit(X, SCORE)
    assert_array_equal(weights(model.set_params(callbacks=None).fit(X, SCORE)), weights(expected))


@ignore_max_iter
@pytest.mark.parametrize("event", ["begin", "epoch", "end"])
@both_estimators
def test_an_exception_in_partial_fit(Estimator, event):
    y = TARGETS[Estimator]
    model, expected = (Estimator(**SMALL).fit(X, y) for _ in range(2))
    predictions, rows_seen = model.predict(X), model.t_
    model.set_params(callbacks=Note(fail_at=event))
    with pytest.raises(ZeroDivisionError):
        model.partial_fit(X, y)
    assert_array_equal(model.predict(X), predictions)
    assert (model.t_, model._optimizer.n_steps) == (rows_seen, expected._optimizer.n_steps)
    model.set_params(callbacks=None).partial_fit(X, y)
    assert_array_equal(weights(model), weights(expected.partial_fit(X, y)))


@pytest.mark.parametrize("solver", SOLVERS)
def test_ctrl_c_in_a_callback_keeps_what_was_done(solver):
    class Interrupt(Note):
        def on_epoch_end(self, state):
            super().on_epoch_end(state)
            if state.epoch == 3:
                raise KeyboardInterrupt

    callback = Interrupt()
    model = MLPRegressor(**SMALL, solver=solver, callbacks=callback)
    with pytest.raises(KeyboardInterrupt):
        model.fit(X, SCORE)
    assert callback.log[-1] == ("", "end", 3)
    assert model.n_iter_ == 3
    with pytest.warns(ConvergenceWarning):
        shorter = MLPRegressor(**SMALL | dict(max_iter=3), solver=solver).fit(X, SCORE)
    assert_array_equal(weights(model), weights(shorter))


def test_divergence_is_followed_by_the_end():
    note = Note()
    y = SCORE.copy()
    y[3] = 1e200  # whose square is infinite
    model = MLPRegressor(**SMALL | dict(solver="sgd", learning_rate_init=1e200), callbacks=note)
    with pytest.raises(ValueError, match="The loss diverged in epoch 1"):
        model.fit(X, y)
    assert note.log[0] == ("", "begin", 0)
    assert note.log[-1][1] == "end"
    assert not any(event == "epoch" for _, event, _ in note.log)


def test_of_two_exceptions_the_later_knows_the_first():
    callbacks = Callbacks(
        [Note(name="a", fail_at="end"), Note(name="b", fail_at="end")], TrainingState(None, 1, X, SCORE)
    )
    with pytest.raises(ZeroDivisionError, match="b end") as error, callbacks:
        pass
    assert re.match("a end", str(error.value.__context__))


def test_exceptions_at_the_end_know_the_one_before_and_the_one_of_the_run():
    callbacks = Callbacks([Note(name=name, fail_at="end") for name in "abc"], TrainingState(None, 1, X, SCORE))
    with pytest.raises(ZeroDivisionError, match="c end") as error, callbacks:
        raise ValueError("in the run")
    chain, exception = [], error.value
    while exception is not None:
        chain.append(str(exception))
        exception = exception.__context__
    assert chain == ["c end", "b end", "a end", "in the run"]


def test_an_exception_that_two_callbacks_raise():
    class Same(Nothing):
        error = ValueError("the same object")

        def on_fit_end(self, state):
            raise self.error

    with pytest.raises(ValueError, match="the same object"), Callbacks([Same(), Same()]):
        pass


@pytest.mark.parametrize("fail_at", [None, "end"])
def test_thousands_of_callbacks(fail_at):
    log = []
    callbacks = Callbacks([Note(log, fail_at=fail_at) for _ in range(3000)], TrainingState(None, 1, X, SCORE))
    with contextlib.nullcontext() if fail_at is None else pytest.raises(ZeroDivisionError), callbacks:
        pass
    assert len(log) == 6000
