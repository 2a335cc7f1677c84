"""Callbacks: which events come in what order, what they see, how they stop a run; `training/callbacks.py`."""

import contextlib
import pickle
import re
import threading

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV, cross_val_score

import fastbp.threads
from fastbp import Callback, MLPClassifier, MLPRegressor, Network
from fastbp.training import Callbacks, TrainingState

ignore_max_iter = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

RNG = np.random.default_rng(0)
N = 50
X = RNG.normal(size=(N, 3))
SCORE = X[:, 0] * X[:, 1]
WEIGHT = RNG.uniform(0.5, 2, N)
TARGETS = {MLPRegressor: SCORE, MLPClassifier: np.where(SCORE > 0.2, "yes", np.where(SCORE < -0.2, "no", "perhaps"))}
SMALL = dict(hidden_layer_sizes=(5,), activation="tanh", max_iter=6, batch_size=16, random_state=0)
SOLVERS = ("sgd", "adam", "lbfgs")
every_solver = pytest.mark.parametrize("solver", SOLVERS)
both_estimators = pytest.mark.parametrize("Estimator", TARGETS)


class Note:
    """Writes down (name, event, epoch), and stops or fails when it is told to."""

    def __init__(self, log=None, name="", stop_at=None, fail_at=None):
        self.log, self.name, self.stop_at, self.fail_at = [] if log is None else log, name, stop_at, fail_at

    def note(self, event, state):
        self.log.append((self.name, event, state.epoch))
        if self.fail_at == event:
            raise ZeroDivisionError(f"{self.name} {event}")

    def on_fit_begin(self, state):
        self.note("begin", state)

    def on_epoch_end(self, state):
        self.note("epoch", state)
        return state.epoch == self.stop_at

    def on_fit_end(self, state):
        self.note("end", state)


class Look:
    """Keeps what ``function(state)`` sees at every event."""

    def __init__(self, function):
        self.function, self.seen = function, []

    def on_fit_begin(self, state):
        self.seen.append(self.function(state))

    def on_epoch_end(self, state):
        self.seen.append(self.function(state))

    def on_fit_end(self, state):
        self.seen.append(self.function(state))


class Nothing:
    def on_epoch_end(self, state):
        return None


def weights(model):
    return np.concatenate([w.ravel() for w in [*model.coefs_, *model.intercepts_]])


def written(model):
    """All that a fit leaves behind, but for the weights."""
    names = ("n_iter_", "t_", "loss_", "loss_curve_", "best_loss_", "validation_scores_", "best_validation_score_")
    return {name: getattr(model, name) for name in names if hasattr(model, name)}


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
    message = rf"callbacks\[{number}\] must be an object with a method on_fit_begin, on_epoch_end or on_fit_end; got "
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
            self.inner = inner

        def train(self, rows, random_state, optimizer, alpha, loss_scale, rates, *others):
            asked.append(len(rates))
            return self.inner.train(rows, random_state, optimizer, alpha, loss_scale, rates, *others)

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


# What they see


def test_state_in_stochastic_training():
    look = Look(
        lambda state: dict(
            epoch=state.epoch,
            max_iter=state.max_iter,
            loss=state.loss,
            curve=list(state.loss_curve),
            rate=state.learning_rate,
            seen=state.rows_seen,
            score=state.validation_score,
            scores=state.validation_scores,
            params=state.network.params.copy(),
        )
    )
    model = MLPRegressor(**SMALL, solver="sgd", learning_rate="invscaling", callbacks=look)
    with pytest.warns(ConvergenceWarning):
        model.fit(X, SCORE, WEIGHT)
    begin, *epochs, end = look.seen
    assert np.isnan(begin["loss"])
    assert (begin["curve"], begin["rate"], begin["seen"]) == ([], 0.001, 0)
    for number, seen in enumerate(epochs, 1):
        assert (seen["epoch"], seen["max_iter"], seen["seen"]) == (number, 6, number * N)
        assert seen["curve"] == model.loss_curve_[:number]
        assert seen["loss"] == model.loss_curve_[number - 1]
        assert_allclose(seen["rate"], 0.001 / (number * N + 1) ** 0.5, rtol=1e-14)
        assert seen["score"] is seen["scores"] is None
        # the weights after so many epochs
        shorter = MLPRegressor(**SMALL | dict(max_iter=number), solver="sgd", learning_rate="invscaling")
        with pytest.warns(ConvergenceWarning):
            assert_array_equal(seen["params"], weights(shorter.fit(X, SCORE, WEIGHT)))
    assert_array_equal(end["params"], weights(model))


@ignore_max_iter
def test_data_in_the_state():
    for Estimator, y in TARGETS.items():
        look = Look(lambda state: (state.X, state.targets, state.sample_weight, state.train_rows.copy(), state.network))
        model = Estimator(**SMALL, callbacks=look).fit(X, y, WEIGHT)
        given_X, targets, weight, _, network = look.seen[-1]
        assert_array_equal(given_X, X)
        assert_array_equal(weight, WEIGHT)
        # as the network's own methods take them
        assert np.isfinite(network.loss_and_gradient(given_X, targets, weight)[0])
        assert network is model.network_
        rows = [rows for _, _, _, rows, _ in look.seen]
        assert all(np.array_equal(np.sort(some), np.arange(N)) for some in rows)
        # shuffled anew for each epoch
        assert len({tuple(some) for some in rows[1:-1]}) == 6
    look = Look(lambda state: (state.train_rows, state.sample_weight))
    MLPRegressor(**SMALL, shuffle=False, callbacks=look).fit(X, SCORE)
    assert look.seen == [(None, None)] * 8


@ignore_max_iter
def test_state_with_early_stopping():
    look = Look(lambda state: (state.validation_score, list(state.validation_scores), len(state.train_rows)))
    model = MLPRegressor(**SMALL, early_stopping=True, validation_fraction=0.2, callbacks=look).fit(X, SCORE)
    assert look.seen[0] == (None, [], 40)
    for number, (score, scores, n_train) in enumerate(look.seen[1:-1], 1):
        assert scores == model.validation_scores_[:number]
        assert score == scores[-1]
        assert n_train == 40


@ignore_max_iter
def test_the_end_of_early_stopping_sees_the_best_weights():
    look = Look(lambda state: state.network.params.copy())
    params = SMALL | dict(early_stopping=True, learning_rate_init=0.1, max_iter=50, validation_fraction=0.2)
    scores = MLPRegressor(**params).fit(X, SCORE).validation_scores_
    # the first epoch that is not the best so far
    last = next(i for i, score in enumerate(scores) if score < max(scores[: i + 1])) + 1
    model = MLPRegressor(**params | dict(max_iter=last), callbacks=look).fit(X, SCORE)
    *_, best, before_end, end = look.seen
    assert_array_equal(end, best)
    assert_array_equal(end, weights(model))
    assert (end != before_end).any()


@ignore_max_iter
def test_state_in_lbfgs():
    look = Look(lambda state: (state.epoch, state.loss, state.network.params.copy(), state.learning_rate))
    model = MLPRegressor(**SMALL, solver="lbfgs", callbacks=look).fit(X, SCORE)
    begin, *iterations, end = look.seen
    assert np.isnan(begin[1])
    assert [seen[0] for seen in iterations] == [1, 2, 3, 4, 5, 6]
    losses = [seen[1] for seen in iterations]
    assert (np.diff(losses) < 0).all()
    assert losses[-1] == model.loss_
    assert all(seen[3] is None for seen in look.seen)
    # the iterate, and not the last point of its line search
    for _, loss, params, _ in iterations:
        network = model.network_.copy()
        network.params = params
        assert_allclose(network.loss_and_gradient(X, SCORE)[0], loss, rtol=1e-13)
    assert_array_equal(end[2], weights(model))
    assert not hasattr(model, "loss_curve_")


@ignore_max_iter
def test_the_learning_rate_is_that_of_the_coming_epoch():
    # no epoch but the first gains tol, and the rate falls after every second of the others
    look = Look(lambda state: state.learning_rate)
    params = SMALL | dict(solver="sgd", learning_rate="adaptive", tol=10.0, n_iter_no_change=1)
    MLPRegressor(**params, callbacks=look).fit(X, SCORE)
    assert_allclose(look.seen, np.array([1, 1, 1, 1 / 5, 1 / 5, 1 / 25, 1 / 25, 1 / 25]) / 1000)


@ignore_max_iter
def test_an_edit_of_the_parameters_counts():
    class Zero:
        def on_epoch_end(self, state):
            state.network.params[...] = 0

    model = MLPRegressor(**SMALL | dict(alpha=0.0), callbacks=Zero()).fit(X, SCORE)
    assert not weights(model).any()

    class Restart:
        """Back to where it began, before the last epoch."""

        def on_fit_begin(self, state):
            self.first = state.network.params.copy()

        def on_epoch_end(self, state):
            if state.epoch == 1:
                state.network.params = self.first

    params = SMALL | dict(solver="sgd", momentum=0.0, shuffle=False, max_iter=2)
    model = MLPRegressor(**params, callbacks=Restart()).fit(X, SCORE)
    once = MLPRegressor(**params | dict(max_iter=1)).fit(X, SCORE)
    assert_array_equal(weights(model), weights(once))
    assert model.loss_curve_ == once.loss_curve_ * 2


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
    # who was told of the beginning is told of the end
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
    assert (model.t_, model._optimizer.t) == (rows_seen, expected._optimizer.t)
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
