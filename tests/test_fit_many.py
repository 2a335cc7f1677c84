"""`fit_many` and `expand_grid`: many estimators on the same data; `estimators/many.py`."""

import _thread
import pickle
import signal
import threading

import numpy as np
import pytest
import scipy.sparse as sp
from numpy.testing import assert_array_equal
from sklearn import config_context
from sklearn.base import clone
from sklearn.pipeline import make_pipeline

from estimator_layer_cases import SMALL, X
from fastbp import MLPClassifier, MLPRegressor, Network, expand_grid, fit_many
from fastbp.callbacks import Checkpoint, History, OptunaPruner, ReduceOnPlateau
from fastbp.optimizers import Adam

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
Y = (X[:, 0] > 0).astype(int)


def some_estimators():
    return [
        MLPClassifier(**SMALL),
        MLPRegressor(hidden_layer_sizes=(7, 5), **SMALL),
        MLPClassifier(solver="lbfgs", **SMALL),
        MLPRegressor(early_stopping=True, validation_fraction=0.3, dtype="float32", **SMALL),
        MLPClassifier(n_threads=2, **SMALL | {"random_state": np.random.RandomState(3)}),
        MLPRegressor(solver="sgd", learning_rate="adaptive", weight_init="data_dependent", **SMALL),
    ]


@pytest.mark.parametrize("n_jobs", [None, -1, 1, 3, 20])
@pytest.mark.parametrize(
    "given",
    [X, X.astype(np.float32), X.tolist(), np.asfortranarray(X), (10 * X).astype(int), sp.csc_array(X)],
    ids=["float64", "float32", "list", "columns", "integers", "sparse"],
)
def test_the_models_of_single_fits(given, n_jobs):
    weight = np.arange(len(X)) % 4.0
    estimators = some_estimators()
    models = fit_many(estimators, given, Y, weight, n_jobs)
    assert isinstance(models, list)
    for model, estimator, other in zip(models, estimators, some_estimators(), strict=True):
        assert model is estimator
        other.fit(given, Y, weight)
        assert_array_equal(model.network_.params, other.network_.params)
        assert model.network_.dtype == other.network_.dtype
        assert model.loss_ == other.loss_
        assert model.n_threads == other.n_threads


def test_the_data_are_shared():
    seen, threads = [], set()

    class Look:
        def on_fit_begin(self, state):
            seen.append(state.X)
            threads.add(threading.get_ident())
            meeting.wait(timeout=300)  # which two threads reach only if they work at the same time

    meeting = threading.Barrier(2)
    estimators = [MLPRegressor(callbacks=Look(), **SMALL) for _ in range(4)]
    fit_many(estimators, X.tolist(), Y, n_jobs=2)
    assert len(threads) == 2
    assert len(seen) == 4
    assert all(np.shares_memory(seen[0], other) for other in seen[1:])


def test_one_thread_each_whatever_n_threads_is(monkeypatch, tmp_path):
    monkeypatch.setattr("fastbp.threads.FLOPS_PER_THREAD", 1)
    seen, used = [], []

    class Look:
        def on_epoch_end(self, state):
            seen.append((state.estimator.n_threads, state.network.n_threads))

    def watched(self, *arguments, **options):
        loop = training_loop(self, *arguments, **options)
        used.append(loop.team.n_threads)
        return loop

    training_loop = Network.training_loop
    monkeypatch.setattr(Network, "training_loop", watched)
    callbacks = [Look(), Checkpoint(tmp_path / "model.pickle")]
    model = MLPRegressor(n_threads=3, callbacks=callbacks, **SMALL)
    fit_many([model], X, Y)
    assert set(seen) == {(3, 3)}
    assert set(used) == {1}
    assert pickle.loads((tmp_path / "model.pickle").read_bytes()).n_threads == model.n_threads == 3
    clone(model).set_params(callbacks=None).fit(X, Y)
    assert used[-1] > 1


def test_names_of_columns():
    pd = pytest.importorskip("pandas")
    (model,) = fit_many([MLPRegressor(**SMALL)], pd.DataFrame(X, columns=list("abcd")), Y)
    assert list(model.feature_names_in_) == list("abcd")


def test_warm_start_goes_on():
    models = [MLPRegressor(warm_start=True, **SMALL) for _ in range(2)]
    fit_many(models, X, Y)
    fit_many(models, X, Y)
    other = MLPRegressor(warm_start=True, **SMALL).fit(X, Y).fit(X, Y)
    assert_array_equal(models[1].network_.params, other.network_.params)


def test_the_configuration_of_scikit_learn():
    rows = X.copy()
    rows[0, 0] = np.nan
    with config_context(assume_finite=True), pytest.raises(ValueError, match="loss diverged"):
        fit_many([MLPRegressor(**SMALL)], rows, Y)


# Errors


def test_one_error_does_not_stop_the_others():
    bad, fitted = MLPRegressor(alpha=-1.0, **SMALL), MLPRegressor(**SMALL).fit(X, Y)
    fitted.set_params(hidden_layer_sizes=(0,))
    before = fitted.network_.params.copy()
    models = [MLPRegressor(**SMALL), bad, MLPClassifier(**SMALL), fitted]
    with pytest.raises(ValueError, match="'alpha' parameter") as caught:
        fit_many(models, X, Y, n_jobs=2)
    (note,) = caught.value.__notes__
    assert "estimators[1] of fit_many, MLPRegressor(alpha=-1.0" in note
    assert "Also failed: estimators[3]." in note
    for model in (models[0], models[2]):
        assert_array_equal(model.network_.params, clone(model).fit(X, Y).network_.params)
    assert not hasattr(bad, "coefs_")
    assert_array_equal(fitted.network_.params, before)


@pytest.mark.parametrize(
    "params",
    [dict(n_threads=0), dict(dtype=np.array(["float32", "float64"])), dict(dtype=["float32"]), dict(activation=[3])],
    ids=repr,
)
def test_the_estimator_with_a_bad_parameter_is_named(params):
    models = [MLPRegressor(**SMALL), MLPRegressor(**params)]
    with pytest.raises(ValueError, match=next(iter(params))) as caught:
        fit_many(models, X, Y)
    assert f"estimators[1] of fit_many, MLPRegressor({next(iter(params))}=" in caught.value.__notes__[0]
    assert hasattr(models[0], "coefs_")


def test_callbacks():
    history, slower = History(), ReduceOnPlateau(patience=1, tol=10)
    model = MLPRegressor(callbacks=[history, slower], **SMALL)
    models = fit_many(expand_grid(model, {"alpha": [0.0, 1.0, 2.0]}), X, Y)
    assert len(history.fits) == 3
    for model in models:
        rates = clone(model).set_params(callbacks=ReduceOnPlateau(patience=1, tol=10)).fit(X, Y).history_
        assert model.history_["learning_rate"] == rates["learning_rate"]
        assert rates["learning_rate"][-1] < rates["learning_rate"][0]


def test_bad_arguments():
    model = MLPRegressor(random_state=0)
    with pytest.raises(TypeError, match=r"estimators must be a list of .*, got MLPRegressor"):
        fit_many(model, X, Y)
    with pytest.raises(TypeError, match=r"estimators\[1\] must be a MLPClassifier or MLPRegressor .*, got Pipeline"):
        fit_many([model, make_pipeline(model)], X, Y)
    with pytest.raises(ValueError, match=r"estimators\[0\] and estimators\[2\] are the same object"):
        fit_many([model, clone(model), model], X, Y)
    rng = np.random.RandomState(0)
    with pytest.raises(ValueError, match=r"estimators\[0\] and estimators\[1\] share the random_state"):
        fit_many([MLPRegressor(random_state=rng), MLPClassifier(random_state=rng)], X, Y)
    for callback in (ReduceOnPlateau(), OptunaPruner()):
        with pytest.raises(ValueError, match=r"estimators\[1\] and estimators\[2\] share the callback .*clones"):
            fit_many([model, *(MLPRegressor(callbacks=[History(), callback]) for _ in range(2))], X, Y)
    for n_jobs in (0, -2, 1.5, True):
        with pytest.raises(ValueError, match="n_jobs must be None, -1 or an integer >= 1"):
            fit_many([model], X, Y, n_jobs=n_jobs)
    with pytest.raises(ValueError, match="Found array with dim 3") as caught:
        fit_many([model], X[None], Y)
    assert "estimators[0]" in caught.value.__notes__[0]
    assert not hasattr(model, "coefs_")
    assert fit_many([], X, Y) == []


@pytest.mark.parametrize("sender", [0, 1])
def test_ctrl_c_ends_all_fits(sender):
    begun, threads = threading.Barrier(2), set(threading.enumerate())

    class Interrupt:
        def on_epoch_end(self, state):
            if state.epoch == 3 and begun.wait(timeout=300) == sender:
                signal.raise_signal(signal.SIGINT)  # delivered in the main thread, which fits too

    models = [
        MLPRegressor(callbacks=Interrupt(), **SMALL | dict(max_iter=10**7, n_iter_no_change=np.inf)) for _ in range(3)
    ]
    with pytest.raises(KeyboardInterrupt):
        fit_many(models, X, Y, n_jobs=2)
    assert set(threading.enumerate()) == threads
    for model in models[:2]:
        assert model.n_iter_ >= 3
        assert np.isfinite(model.predict(X)).all()
    assert not hasattr(models[2], "coefs_")


def test_ctrl_c_while_the_calling_thread_waits_for_another():
    # its own fit is over: it waits in the pool
    here, other_has_begun = threading.get_ident(), threading.Event()

    class Interrupt:
        def on_epoch_end(self, state):
            if threading.get_ident() == here:
                other_has_begun.wait(timeout=300)
                return True  # the end of this fit
            other_has_begun.set()
            if state.epoch == 500:
                signal.raise_signal(signal.SIGINT)

    endless = SMALL | dict(max_iter=10**7, n_iter_no_change=np.inf)
    models = [MLPRegressor(callbacks=Interrupt(), **endless) for _ in range(2)]
    with pytest.raises(KeyboardInterrupt):
        fit_many(models, X, Y, n_jobs=2)
    assert max(model.n_iter_ for model in models) >= 500


@pytest.mark.fault(48)
def test_no_further_thread_can_be_started(monkeypatch):
    def refused(*arguments):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(_thread, "start_new_thread", refused)
    models = fit_many([clone(model) for model in some_estimators()[:3]], X, Y, n_jobs=3)
    for model, other in zip(models, some_estimators(), strict=False):
        assert_array_equal(model.network_.params, other.fit(X, Y).network_.params)


@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit])
@pytest.mark.parametrize("n_jobs", [1, 2])
def test_what_a_callback_raises_to_interrupt_ends_all_fits(kind, n_jobs):
    class Interrupt:
        def on_epoch_end(self, state):
            if state.epoch == 3:
                raise kind("enough")

    threads = set(threading.enumerate())
    long = SMALL | dict(max_iter=10**7, n_iter_no_change=np.inf)
    models = [MLPRegressor(callbacks=Interrupt(), **SMALL), *(MLPRegressor(**long) for _ in range(3))]
    with pytest.raises(kind, match="enough"):
        fit_many(models, X, Y, n_jobs=n_jobs)
    assert set(threading.enumerate()) == threads
    assert [hasattr(model, "coefs_") for model in models[n_jobs:]] == [False] * (4 - n_jobs)


# Grids


def test_expand_grid():
    grid = {"alpha": [0.1, 0.2], "hidden_layer_sizes": [(3,), (4,)]}
    model = MLPRegressor(**SMALL)
    models = expand_grid(model, grid)
    assert [(m.alpha, m.hidden_layer_sizes) for m in models] == [(0.1, (3,)), (0.1, (4,)), (0.2, (3,)), (0.2, (4,))]
    assert all(m.max_iter == model.max_iter for m in models)
    several = expand_grid(model, [{"alpha": [1.0]}, {"solver": [Adam()], "solver__beta_1": [0.5, 0.6]}])
    assert [m.alpha for m in several] == [1.0, 0.0001, 0.0001]
    assert [m.solver.beta_1 for m in several[1:]] == [0.5, 0.6]
    fit_many(several, X, Y)
