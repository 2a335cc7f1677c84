"""Callbacks: which events come in what order, and callbacks of estimators; `training/callbacks.py`."""

import pickle
import threading

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV, cross_val_score

import fastbp.threads
from callback_cases import (
    SCORE,
    SMALL,
    TARGETS,
    WEIGHT,
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
from fastbp import Callback, MLPRegressor, Network
from fastbp.training import Callbacks

# Events


@ignore_max_iter
@every_solver
@both_estimators
def test_order_of_events(Estimator, solver):
    log = []
    model = Estimator(**SMALL, solver=solver, callbacks=[Note(log, "a"), Note(log, "b")])
    model.fit(X, TARGETS[Estimator])
    expected = [("begin", 0)] + [("epoch", epoch) for epoch in range(1, 7)] + [("end", 6)]
    assert log == [(name, *event) for event in expected for name in "ab"]


@ignore_max_iter
@pytest.mark.parametrize("event", ["on_fit_begin", "on_epoch_end", "on_fit_end"])
def test_an_object_with_one_of_the_methods(event):
    calls = []
    callback = type("Callback", (), {event: lambda self, state: calls.append(state.epoch)})()
    MLPRegressor(**SMALL, callbacks=callback).fit(X, SCORE)
    assert calls == {"on_fit_begin": [0], "on_epoch_end": [1, 2, 3, 4, 5, 6], "on_fit_end": [6]}[event]


@ignore_max_iter
def test_a_method_that_is_none_is_no_method():
    class Callback(Nothing):
        on_fit_begin = None

    MLPRegressor(**SMALL, callbacks=Callback()).fit(X, SCORE)


@ignore_max_iter
@pytest.mark.parametrize("wrap", [lambda a: a, lambda a: [a], lambda a: (a,)])
def test_one_object_or_several(wrap):
    note = Note()
    MLPRegressor(**SMALL, callbacks=wrap(note)).fit(X, SCORE)
    assert len(note.log) == 8


@pytest.mark.parametrize(
    ("callbacks", "number"),
    [("plot", 0), (3, 0), (Note, 0), ([Note], 0), ([Note(), print], 1), ([None], 0), ({"a": Note()}, 0), (False, 0)],
)
@every_solver
def test_what_is_no_callback(callbacks, number, solver):
    model = MLPRegressor(**SMALL, solver=solver, callbacks=callbacks)
    methods = "on_fit_begin, on_epoch_begin, on_window_end, on_epoch_end, on_epoch_complete or on_fit_end"
    message = rf"callbacks\[{number}\] must be an object with a method {methods}; got "
    with pytest.raises(TypeError, match=message):
        model.fit(X, SCORE)
    assert not hasattr(model, "coefs_")


@ignore_max_iter
@pytest.mark.parametrize("callbacks", [None, [], ()])
def test_none_at_all(callbacks):
    assert not Callbacks(callbacks)
    MLPRegressor(**SMALL, callbacks=callbacks).fit(X, SCORE)


# No cost where there are none


@ignore_max_iter
@pytest.mark.parametrize("callbacks", [None, [], Nothing()])
def test_epochs_are_run_at_once_while_nobody_listens(callbacks, monkeypatch):
    asked, training_loop = [], Network.training_loop

    class Watched:
        """A training loop that notes every call for epochs."""

        def __init__(self, inner):
            self.inner, self.team = inner, inner.team

        def train(self, rows, random_state, loss_scale, rates, *others):
            asked.append(len(rates))
            return self.inner.train(rows, random_state, loss_scale, rates, *others)

        def __getattr__(self, name):
            return getattr(self.inner, name)

        def __enter__(self):
            return self.inner.__enter__()

        def __exit__(self, *exception):
            self.inner.__exit__(*exception)

    monkeypatch.setattr(Network, "training_loop", lambda *args, **options: Watched(training_loop(*args, **options)))
    MLPRegressor(**SMALL | dict(max_iter=20), callbacks=callbacks).fit(X, SCORE)
    assert asked == ([1] * 20 if callbacks else [20])


@ignore_max_iter
@every_solver
@both_estimators
@pytest.mark.parametrize(
    "params",
    [
        {},
        dict(early_stopping=True, validation_fraction=0.2, n_iter_no_change=2, learning_rate_init=0.03),
        dict(learning_rate="adaptive", tol=0.5, n_iter_no_change=1),
        dict(learning_rate="invscaling", shuffle=False),
        dict(batch_size=N, n_threads=2),
    ],
    ids=["plain", "early stopping", "adaptive", "invscaling", "threads"],
)
def test_listening_changes_nothing(Estimator, solver, params, monkeypatch):
    monkeypatch.setattr(fastbp.threads, "FLOPS_PER_THREAD", 1)
    y = TARGETS[Estimator]
    without = Estimator(**SMALL | dict(solver=solver, max_iter=30) | params).fit(X, y, WEIGHT)
    listening = clone(without).set_params(callbacks=[Nothing(), Note()]).fit(X, y, WEIGHT)
    assert_array_equal(weights(listening), weights(without))
    assert written(listening) == written(without)


# Estimators with callbacks


@ignore_max_iter
def test_clone_and_pickle():
    note = Note()
    model = MLPRegressor(**SMALL, callbacks=[note, Look(np.shape)]).fit(X, SCORE)
    copied = pickle.loads(pickle.dumps(model))
    assert copied.callbacks[0].log == note.log
    assert_array_equal(copied.predict(X), model.predict(X))
    fresh = clone(model)
    fresh.callbacks[0].log.clear()
    assert len(note.log) == 8
    assert_array_equal(weights(fresh.fit(X, SCORE)), weights(model))
    assert len(fresh.callbacks[0].log) == 8


@ignore_max_iter
@every_solver
def test_a_callback_that_keeps_the_state_can_be_pickled(solver):
    class_of_states = States()
    model = MLPRegressor(**SMALL, solver=solver, callbacks=class_of_states).fit(X, SCORE)
    state = pickle.loads(pickle.dumps(model)).callbacks.states[-1]
    assert state.epoch == 6
    assert_array_equal(state.network.params, weights(model))


class States:
    def __init__(self):
        self.states = []

    def on_epoch_end(self, state):
        self.states.append(state)


@ignore_max_iter
def test_all_events_share_one_state():
    look = Look(lambda state: state)
    MLPRegressor(**SMALL, callbacks=[look, look]).fit(X, SCORE)
    assert len(look.seen) == 16
    assert len({id(state) for state in look.seen}) == 1


@ignore_max_iter
def test_grid_search():
    search = GridSearchCV(MLPRegressor(**SMALL, callbacks=Note(stop_at=2)), {"alpha": [0, 1]}, cv=2).fit(X, SCORE)
    assert search.best_estimator_.n_iter_ == 2


class Holds(Nothing):
    """Holds what cannot be copied, as an open file."""

    def __init__(self):
        self.lock = threading.Lock()

    def __repr__(self):
        return "<Holds>"


@both_estimators
@pytest.mark.parametrize("wrap", [lambda bad: bad, lambda bad: [Nothing(), bad], lambda bad: (Nothing(), bad)])
def test_a_callback_that_cannot_be_cloned_is_named(Estimator, wrap):
    callbacks = wrap(Holds())
    name = "callbacks" if isinstance(callbacks, Holds) else r"callbacks\[1\]"
    way_out = r"inherit from fastbp.Callback.*__sklearn_clone__"
    model = Estimator(**SMALL, callbacks=callbacks)
    for copies in (clone, lambda model: cross_val_score(model, X, TARGETS[Estimator], cv=2)):
        with pytest.raises(TypeError, match=rf"{name} cannot be cloned: <Holds> raises TypeError.*{way_out}"):
            copies(model)


def test_what_else_cannot_be_cloned_keeps_its_error():
    with pytest.raises(TypeError, match=r"pickle '_thread\.lock'"):
        clone(MLPRegressor(hidden_layer_sizes=threading.Lock(), callbacks=Nothing()))


@ignore_max_iter
def test_clones_share_a_callback_of_the_base_class():
    class Shared(Callback):
        def __init__(self):
            self.lock, self.epochs = threading.Lock(), []

        def on_epoch_end(self, state):
            with self.lock:
                self.epochs.append(state.epoch)

    shared = Shared()
    model = MLPRegressor(**SMALL, callbacks=[shared])
    assert clone(model).callbacks[0] is shared
    cross_val_score(model, X, SCORE, cv=2)
    assert shared.epochs == [1, 2, 3, 4, 5, 6] * 2


@ignore_max_iter
def test_the_base_class_does_nothing():
    plain, silent = (MLPRegressor(**SMALL, callbacks=callbacks).fit(X, SCORE) for callbacks in (None, Callback()))
    assert_array_equal(weights(silent), weights(plain))
    assert silent.n_iter_ == 6
