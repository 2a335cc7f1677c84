"""When `Checkpoint` saves, and what callbacks keep over a resumed run."""

import gc
import os
import pickle
import weakref
from contextlib import suppress
from itertools import count

import numpy as np
import pytest

from fastbp import MLPRegressor
from fastbp.callbacks import Checkpoint, ReduceOnPlateau, TimeLimit, checkpoint, time_limit
from resume_cases import SCORE, SMALL, X, assert_same_model, fresh

pytestmark = [pytest.mark.fault(35), pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")]

PATIENT = SMALL | dict(n_iter_no_change=100)


@pytest.fixture
def clock(monkeypatch):
    """The clock of the callbacks, which goes on by hand."""

    class Clock:
        now = 1000.0

        def __call__(self):
            return self.now

    clock = Clock()
    for module in (checkpoint, time_limit):
        monkeypatch.setattr(module, "perf_counter", clock)
    return clock


class Advance:
    """Each epoch takes so many seconds."""

    def __init__(self, clock, seconds):
        self.clock, self.seconds = clock, seconds

    def on_epoch_begin(self, state):
        self.clock.now += self.seconds


@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (dict(every=None, seconds=2.5), [3, 6]),
        (dict(every=None, seconds=0.5), [1, 2, 3, 4, 5, 6, 7, 8]),
        (dict(every=4, seconds=3), [3, 4, 7, 8]),
        (dict(every=4, seconds=1000), [4, 8]),
        (dict(every=3), [3, 6]),
    ],
)
def test_when_it_saves(options, expected, solver, tmp_path, clock):
    callbacks = [Checkpoint(tmp_path / "{epoch}", **options), Advance(clock, 1.0)]
    MLPRegressor(**PATIENT | dict(tol=1e-12, solver=solver), callbacks=callbacks).fit(X, SCORE)
    assert sorted(map(int, os.listdir(tmp_path))) == expected


def test_it_must_save_sometime(tmp_path):
    with pytest.raises(ValueError, match="Checkpoint never saves with every=None and seconds=None: set one of them"):
        MLPRegressor(**PATIENT, callbacks=Checkpoint(tmp_path / "net", every=None)).fit(X, SCORE)
    with pytest.raises(ValueError, match="The 'seconds' parameter of Checkpoint must be"):
        MLPRegressor(**PATIENT, callbacks=Checkpoint(tmp_path / "net", seconds=0)).fit(X, SCORE)


class Counts:
    """The learning rate falls in every third epoch of all runs together, and training ends after so many."""

    def __init__(self, limit):
        self.limit = limit

    def on_fit_begin(self, state):
        self.count = 0

    def on_epoch_end(self, state):
        self.count += 1
        if self.count % 3 == 0:
            state.learning_rate *= 0.5
        return self.count == self.limit

    def state_dict(self):
        return {"count": self.count, "array": np.zeros(3)}

    def load_state_dict(self, state):
        assert state["array"].shape == (3,)
        self.count = state["count"]


@pytest.mark.parametrize("place", [0, 1, 2])
def test_callbacks_go_on(place, tmp_path):
    """Wherever the checkpoint is among them: it is saved when all have seen the end of the epoch."""
    callbacks = [Counts(6), ReduceOnPlateau(patience=0, tol=1.0)]
    callbacks.insert(place, Checkpoint(tmp_path / "{epoch}"))
    model = MLPRegressor(**PATIENT, callbacks=callbacks).fit(X, SCORE)
    assert model.n_iter_ == 6 == len(os.listdir(tmp_path))
    assert len(set(model.history_["learning_rate"])) > 3
    for epoch in range(1, 7):
        resumed = fresh(model).fit(X, SCORE, resume_from=tmp_path / f"{epoch}")
        assert_same_model(resumed, model)


class Starts:
    """Sets the learning rate and the weights before the first epoch, and lowers the rate after each one."""

    def on_fit_begin(self, state):
        state.learning_rate = 0.05
        state.network.params = state.network.params * 2

    def on_epoch_end(self, state):
        state.learning_rate *= 0.8


@pytest.mark.parametrize("options", [{}, dict(ema_decay=0.9, warmup=3)], ids=str)
def test_what_is_set_before_the_first_epoch(options, tmp_path):
    """It counts where a run begins, and not where it goes on."""
    callbacks = [Starts(), Checkpoint(tmp_path / "{epoch}")]
    model = MLPRegressor(**PATIENT | options, callbacks=callbacks).fit(X, SCORE)
    for epoch in (1, 4, 8):
        assert_same_model(fresh(model).fit(X, SCORE, resume_from=tmp_path / f"{epoch}"), model)


def test_which_state_is_whose(tmp_path):
    """The first of a class gets that of the first, whatever else stands between them."""

    class Named(Counts):
        def __init__(self, name):
            self.name, self.count, self.got = name, 0, None

        def on_epoch_end(self, state):
            return False

        def state_dict(self):
            return self.name

        def load_state_dict(self, state):
            self.got = state

    saved = [Named("a"), Checkpoint(tmp_path / "net"), Named("b"), TimeLimit(1000.0)]
    MLPRegressor(**PATIENT, callbacks=saved).fit(X, SCORE)
    later = [ReduceOnPlateau(), Named("c"), Named("d"), Named("e")]
    MLPRegressor(**PATIENT, callbacks=later).fit(X, SCORE, resume_from=tmp_path / "net")
    assert [callback.got for callback in later[1:]] == ["a", "b", None]


@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
@pytest.mark.parametrize("by_parameter", [False, True])
def test_a_time_limit_counts_on(by_parameter, solver, tmp_path, clock):
    limits = [] if by_parameter else [TimeLimit(5.0)]
    params = PATIENT | dict(tol=1e-12, solver=solver, max_time=5.0 if by_parameter else None)
    model = MLPRegressor(**params, callbacks=[Checkpoint(tmp_path / "{epoch}"), Advance(clock, 1.0), *limits])
    model.fit(X, SCORE)
    assert model.n_iter_ == 5
    clock.now += 1000  # between the two runs, which does not count
    for epoch in (2, 5):
        more = {"callbacks": [Advance(clock, 1.0), *limits]}
        resumed = MLPRegressor(**params | more).fit(X, SCORE, resume_from=tmp_path / f"{epoch}")
        assert_same_model(resumed, model)
    # with more time, the run that had ended goes on
    more = dict(max_time=7.0) if by_parameter else {}
    limits = [] if by_parameter else [TimeLimit(7.0)]
    longer = MLPRegressor(**params | more, callbacks=[Advance(clock, 1.0), *limits])
    assert longer.fit(X, SCORE, resume_from=tmp_path / "5").n_iter_ == 7
    # and without a limit to its end
    assert MLPRegressor(**params | dict(max_time=None)).fit(X, SCORE, resume_from=tmp_path / "5").n_iter_ == 8


def test_the_best_checkpoint_goes_on(tmp_path):
    """The best value is known in the resumed run: what is worse is not saved. The best epoch can be resumed from."""
    params = PATIENT | dict(max_iter=30, learning_rate_init=0.1, early_stopping=True)
    path = tmp_path / "best"
    callbacks = [Checkpoint(tmp_path / "{epoch}"), Checkpoint(path, best_only=True)]
    model = MLPRegressor(**params, callbacks=callbacks).fit(X, SCORE)
    assert 1 < model.best_iteration_ < 29
    content = pickle.loads(path.read_bytes())
    assert content.n_iter_ == model.best_iteration_
    path.unlink()
    resumed = MLPRegressor(**params, callbacks=[Checkpoint(tmp_path / "new-{epoch}"), Checkpoint(path, best_only=True)])
    resumed.fit(X, SCORE, resume_from=tmp_path / f"{model.best_iteration_}")
    assert_same_model(resumed, model)
    assert not path.exists()
    assert_same_model(MLPRegressor(**params).fit(X, SCORE, resume_from=content), model)


def test_a_checkpoint_of_ones_own(tmp_path):
    """A callback of the user's can save the run as `Checkpoint` does."""
    files = (tmp_path / f"{number}" for number in count(1))

    class Saves:
        def on_epoch_complete(self, state):
            next(files).write_bytes(pickle.dumps(state.checkpoint))
            self.state = state

    saves = Saves()
    model = MLPRegressor(**PATIENT, callbacks=saves).fit(X, SCORE)
    resumed = MLPRegressor(**PATIENT).fit(X, SCORE, resume_from=tmp_path / "3")
    assert_same_model(resumed, model)
    with pytest.raises(AttributeError, match=r"state\.checkpoint is there during a fit of an estimator only"):
        _ = pickle.loads(pickle.dumps(saves.state)).checkpoint


@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
@pytest.mark.parametrize("fails", [False, True])
def test_no_cycle_of_references_keeps_a_run(fails, solver, tmp_path):
    """What a fit needs is freed when it ends, also by an error, and not when Python looks for cycles."""
    seen = []

    class Keep:
        def on_epoch_end(self, state):
            seen.append(weakref.ref(state))
            assert state.estimator.n_iter_ == state.epoch
            if fails:
                raise ZeroDivisionError

    model = MLPRegressor(**PATIENT | dict(solver=solver), callbacks=[Keep(), Checkpoint(tmp_path / "run")])
    gc.disable()
    try:
        with suppress(ZeroDivisionError):
            model.fit(X, SCORE)
        assert seen
        assert seen[-1]() is None
    finally:
        gc.enable()


@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
def test_callbacks_of_scikit_learn(solver, tmp_path):
    """They see the fit and the epochs that are left, and a stop that one of them asked for holds."""
    pytest.importorskip("sklearn.callback")

    class Stops:
        def __init__(self):
            self.n_epochs = 0

        def setup(self, estimator, context):
            return None

        def teardown(self, estimator, context):
            return None

        def on_fit_task_begin(self, estimator, context, **others):
            return None

        def on_fit_task_end(self, estimator, context, *, fitted_estimator=None, **others):
            if context.task_name != "epoch" or fitted_estimator is None:
                return False
            self.n_epochs += 1
            return fitted_estimator.n_iter_ == 5

    def model(**params):
        return MLPRegressor(**PATIENT | dict(tol=1e-12, solver=solver), **params).set_callbacks(Stops())

    whole = model(callbacks=Checkpoint(tmp_path / "{epoch}")).fit(X, SCORE)
    assert whole.n_iter_ == 5
    for epoch in (2, 5):
        resumed = model().fit(X, SCORE, resume_from=tmp_path / f"{epoch}")
        assert resumed._skl_callbacks[0].n_epochs == 5 - epoch
        for one in (whole, resumed):
            assert one.n_iter_ == 5
        assert np.array_equal(resumed.network_.params, whole.network_.params)
