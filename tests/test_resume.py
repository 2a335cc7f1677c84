"""A run that was saved by `Checkpoint` goes on to the model of the uninterrupted run, bit for bit."""

import os
import pickle
from contextlib import nullcontext

import numpy as np
import pytest
import sklearn
from numpy.testing import assert_array_equal
from scipy.sparse import csr_array
from sklearn.base import clone
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from callback_cases import Look
from fastbp import MLPClassifier, MLPRegressor, Network, slim
from fastbp.callbacks import Checkpoint
from fastbp.estimators.parameters import end_is_needed_by
from fastbp.layers import BatchNorm, Dense, Dropout, LayerNorm, Residual
from resume_cases import SCORE, SMALL, TARGETS, X, assert_same_model, cases, estimator, fit, fresh

pytestmark = [
    pytest.mark.fault(35),
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
    pytest.mark.filterwarnings("ignore:The score of the held-out rows was:RuntimeWarning"),
]

CASES = cases()


@pytest.mark.parametrize("case", CASES)
def test_every_solver_and_schedule(case, tmp_path):
    Estimator, params, options = CASES[case]
    np.random.seed(7)
    model = fit(estimator(Estimator, params, options, tmp_path), options)
    files = sorted(os.listdir(tmp_path), key=int)
    assert len(files) == model.n_iter_
    for number in sorted({0, len(files) // 2, len(files) - 2, len(files) - 1} & set(range(len(files)))):
        before = np.random.get_state()[1].copy()
        resumed = fit(fresh(model), options, resume_from=tmp_path / files[number])
        assert_same_model(resumed, model)
        assert_array_equal(np.random.get_state()[1], before)
    if not params["early_stopping"] and end_is_needed_by(model) is None:
        for one in (model, resumed):
            one.callbacks = None
            np.random.seed(8)
            one.partial_fit(X, TARGETS[Estimator])
        assert_same_model(resumed, model)


@pytest.mark.parametrize("Estimator", TARGETS)
@pytest.mark.parametrize("options", ["plain", "float32", "sparse", "weights", "batch normalization", "a generator"])
def test_lbfgs(Estimator, options, tmp_path):
    model = fit(estimator(Estimator, dict(solver="lbfgs", tol=1e-12), options, tmp_path), options)
    assert model.n_iter_ == SMALL["max_iter"]
    for number in (1, 4, 7, 8):
        calls = []
        resumed = fresh(model).set_params(callbacks=Calls(calls))
        assert_same_model(fit(resumed, options, resume_from=tmp_path / f"{number}"), model)
        # an iteration that was before is not told again
        after = [("on_epoch_begin", number), *((event, k) for k in range(number + 1, 9) for event in AFTER)]
        assert calls == [("on_fit_begin", number), *after, ("on_fit_end", 8)]


AFTER = ("on_epoch_end", "on_epoch_complete", "on_epoch_begin")


class Calls:
    """Records (event, epoch)."""

    def __init__(self, calls):
        self.calls = calls

    def __getattr__(self, name):
        if not name.startswith("on_"):
            raise AttributeError(name)
        return lambda state: self.calls.append((name, state.epoch))


def test_lbfgs_evaluates_nothing_again(tmp_path, monkeypatch):
    model = fit(estimator(MLPRegressor, dict(solver="lbfgs", tol=1e-12), "plain", tmp_path), "plain")
    n_saved = len(pickle.loads((tmp_path / "6").read_bytes())._run["evaluations"]["losses"])
    counted, objective = [], Network.objective
    monkeypatch.setattr(Network, "objective", lambda *args, **kwargs: counted.append(1) or objective(*args, **kwargs))
    whole = fit(fresh(model), "plain")
    n_whole = len(counted)
    counted.clear()
    assert_same_model(fit(fresh(model), "plain", resume_from=tmp_path / "6"), whole)
    assert len(counted) == n_whole - n_saved
    # the log is kept where a callback saves the run, and nowhere else
    with pytest.raises(AttributeError, match="only where a callback has a true attribute saves_run"):
        fit(fresh(model).set_params(callbacks=Look(lambda state: state.epoch and state.checkpoint)), "plain")


def test_lbfgs_on_a_machine_that_computes_other_numbers(tmp_path):
    model = fit(estimator(MLPRegressor, dict(solver="lbfgs", tol=1e-12), "plain", tmp_path), "plain")
    saved = pickle.loads((tmp_path / "6").read_bytes())
    saved._run["evaluations"]["gradients"][1][0] += 1e-9
    with pytest.raises(
        ValueError, match="resume_from: the steps of L-BFGS are others than in the run of the checkpoint"
    ):
        fit(fresh(model), "plain", resume_from=saved)


@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
def test_a_run_that_is_resumed_again_and_again(solver, tmp_path):
    params = dict(solver=solver, tol=1e-12, early_stopping=solver == "adam", n_iter_no_change=100)
    model = fit(estimator(MLPClassifier, params, "plain"), "plain")
    resumed = estimator(MLPClassifier, params, "plain").set_params(callbacks=[Checkpoint(tmp_path / "run"), Fails()])
    for attempt in range(4):  # two epochs each
        with pytest.raises(ZeroDivisionError) if attempt < 3 else nullcontext():
            fit(resumed, "plain", resume_from=tmp_path / "run" if attempt else None)
        assert hasattr(resumed, "coefs_") == (attempt == 3)
    assert_same_model(resumed, model)


class Fails:
    """Fails at the beginning of the third epoch of each fit."""

    def on_fit_begin(self, state):
        self.first = state.epoch

    def on_epoch_begin(self, state):
        if state.epoch == self.first + 2 < SMALL["max_iter"]:
            raise ZeroDivisionError


@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_other_numbers_of_threads(solver, dtype, tmp_path):
    """The file of a fit by two threads is that of a fit by one, but for times, and resumes by one."""
    X = np.random.default_rng(1).normal(size=(300, 30))
    y = X[:, 0] * X[:, 1]
    params = dict(hidden_layer_sizes=(150, 100), max_iter=5, batch_size=150, random_state=0, dtype=dtype, solver=solver)
    models, params = {}, params | dict(dropout=0.0 if solver == "lbfgs" else 0.1)
    for n_threads in (1, 2):
        saves = Checkpoint(tmp_path / f"{n_threads}-{{epoch}}")
        models[n_threads] = MLPRegressor(**params, n_threads=n_threads, callbacks=saves).fit(X, y)
    for before, after in ((2, 1), (1, 2)):
        resumed = MLPRegressor(**params, n_threads=after).fit(X, y, resume_from=tmp_path / f"{before}-2")
        assert_same_model(resumed, models[1])
    assert_same_model(models[2], models[1])


WARM = [("lbfgs", False, options) for options in ("plain", "batch normalization", "a generator")] + [
    ("adam", early, options)
    for early in (False, True)
    for options in ("plain", "ema", "swa", "batch normalization", "a generator")
]


@pytest.mark.parametrize(("solver", "early", "options"), WARM)
def test_a_run_that_began_with_fitted_weights(solver, early, options, tmp_path):
    """The checkpoint of a fit with warm_start has what that fit began with."""
    model = estimator(MLPClassifier, dict(solver=solver, warm_start=True, early_stopping=early, tol=1e-9), options)
    fit(model, options)
    model.set_params(callbacks=Checkpoint(tmp_path / "{epoch}"), alpha=0.01)
    fit(model, options)
    for warm_start in (False, True):
        resumed = fresh(model, warm_start=warm_start)
        assert_same_model(fit(resumed, options, resume_from=tmp_path / "3"), model)
        if warm_start:  # also of weights of its own
            assert_same_model(fit(resumed, options, resume_from=tmp_path / "3"), model)


def test_the_loss_before_training_is_known(tmp_path):
    """An epoch whose loss is over a million times the first one ends training, also in a resumed run, whose first
    epoch has this loss already."""
    y = SCORE * 1e-4
    params = dict(hidden_layer_sizes=(), solver="sgd", momentum=0, alpha=0, tol=0, n_iter_no_change=100, max_iter=100)
    model = MLPRegressor(**params, learning_rate_init=0.9, batch_size=40, random_state=0)
    model.set_params(callbacks=Checkpoint(tmp_path / "{epoch}"))
    with pytest.warns(match=r"The loss grew from .* before training"):
        model.fit(X * 2, y)
    assert model.n_iter_ > 5
    with pytest.warns(match=r"The loss grew from .* before training"):
        resumed = fresh(model).fit(X * 2, y, resume_from=tmp_path / f"{model.n_iter_ - 2}")
    assert_same_model(resumed, model)


FORMS = {
    "indicators": (np.c_[SCORE > 0, X[:, 0] > 0].astype(int), {}),
    "sparse indicators": (csr_array(np.c_[SCORE > 0, X[:, 0] > 0].astype(int)), {}),
    "probabilities": (np.c_[X[:, 0] > 0, X[:, 0] <= 0].astype(float), dict(classes=["no", "yes"])),
    "columns": (np.c_[TARGETS[MLPClassifier], np.where(X[:, 0] > 0, "+", "-")], {}),
    "columns of two numbers": (np.c_[SCORE > 0, X[:, 0] > 0].astype(int), dict(classes=[[0, 1], [0, 1, 2]])),
    "two classes": (SCORE > 0, {}),
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_y(form, tmp_path):
    y, arguments = FORMS[form]
    model = estimator(MLPClassifier, {}, "plain", tmp_path).fit(X, y, **arguments)
    assert_same_model(fresh(model).fit(X, y, **arguments, resume_from=tmp_path / "3"), model)
    # the form is that of the checkpoint, also where `classes` is left out
    assert_same_model(fresh(model).fit(X, y, resume_from=tmp_path / "3"), model)


def test_layers_and_several_outputs(tmp_path):
    layers = [BatchNorm(), Dense(6, "prelu"), Residual([Dense(6, "tanh"), Dropout(0.2)]), LayerNorm()]
    params = dict(layers=layers, hidden_layer_sizes=(100,), loss="huber", solver="muon", dtype="float32")
    y = np.c_[SCORE, X[:, 0]]
    model = estimator(MLPRegressor, params, "plain", tmp_path).fit(X, y)
    assert_same_model(fresh(model).fit(X, y, resume_from=tmp_path / "3"), model)


def test_data_frames(tmp_path):
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(X, columns=list("abcd"))
    model = estimator(MLPRegressor, {}, "plain", tmp_path).fit(frame, pandas.Series(SCORE))
    assert_same_model(fresh(model).fit(frame, SCORE, resume_from=tmp_path / "3"), model)
    with pytest.raises(ValueError, match="feature names"):
        fresh(model).fit(frame[list("abdc")], SCORE, resume_from=tmp_path / "3")


@pytest.mark.parametrize("cls", [MLPRegressor, MLPClassifier])
def test_a_resumed_fit_replaces_an_earlier_one(cls, tmp_path):
    """Whatever the estimator was fitted to before, nothing of that is left."""
    model = fit(estimator(cls, dict(early_stopping=True, ema_decay=0.9), "plain", tmp_path), "plain")
    other = fresh(model, early_stopping=False, hidden_layer_sizes=(3,), ema_decay=None, dtype="float32")
    other.fit(np.c_[X, X], TARGETS[cls]).set_params(**model.get_params(deep=False) | dict(callbacks=None))
    assert_same_model(fit(other, "plain", resume_from=tmp_path / "2"), model)


def test_more_epochs(tmp_path):
    """A larger max_iter: the model of the run that had it from the beginning."""
    for solver in ("adam", "lbfgs"):
        short = fit(estimator(MLPRegressor, dict(solver=solver, tol=1e-12), "plain", tmp_path), "plain")
        long = fit(fresh(short, max_iter=12), "plain")
        assert long.n_iter_ > short.n_iter_ == 8
        resumed = fit(fresh(short, max_iter=12), "plain", resume_from=tmp_path / "8")
        assert_same_model(resumed, long)
        with pytest.raises(ValueError, match="resume_from: max_iter=7 is less than the 8 epochs of the checkpoint"):
            fit(fresh(short, max_iter=7), "plain", resume_from=tmp_path / "8")


def test_a_checkpoint_is_an_estimator_too(tmp_path):
    model = fit(estimator(MLPRegressor, {}, "plain", tmp_path), "plain")
    loaded = pickle.loads((tmp_path / "8").read_bytes())
    assert_array_equal(loaded.predict(X), model.predict(X))
    assert not hasattr(model, "_run")
    assert not hasattr(slim(loaded), "_run")
    assert not hasattr(clone(loaded), "_run")
    resumed = fit(fresh(model), "plain", resume_from=loaded)  # in place of the path
    assert_same_model(resumed, model)
    before = pickle.dumps(loaded._run["params"])
    assert not hasattr(resumed, "_run")
    loaded.partial_fit(X, SCORE)
    model.partial_fit(X, SCORE)
    assert_array_equal(loaded.predict(X), model.predict(X))
    assert not hasattr(loaded, "_run")
    assert before == pickle.dumps(pickle.loads((tmp_path / "8").read_bytes())._run["params"])
    with pytest.raises(
        ValueError, match=r"resume_from needs a checkpoint of a run: .* got MLPRegressor(?s:.*) has none"
    ):
        fit(fresh(model), "plain", resume_from=loaded)


def test_the_file_has_every_array_once(tmp_path):
    """Adam's file: the weights, two moments, the weights before training, and little else."""
    params = dict(hidden_layer_sizes=(100, 100), ema_decay=None)
    model = fit(estimator(MLPRegressor, params, "plain", tmp_path), "plain")
    size = (tmp_path / "8").stat().st_size
    assert size < 4.5 * model.network_.params.nbytes
    params |= dict(ema_decay=0.9, early_stopping=True)  # the average, the raw weights, the best ones by two measures
    model = fit(estimator(MLPRegressor, params, "plain", tmp_path), "plain")
    assert (tmp_path / "1").stat().st_size < 8.5 * model.network_.params.nbytes


def test_pipelines_and_metadata_routing(tmp_path):
    pipeline = make_pipeline(StandardScaler(), estimator(MLPRegressor, {}, "plain", tmp_path))
    pipeline.fit(X, SCORE)
    resumed = clone(pipeline).fit(X, SCORE, mlpregressor__resume_from=tmp_path / "3")
    assert_same_model(resumed[-1], pipeline[-1])
    with sklearn.config_context(enable_metadata_routing=True):
        final = clone(pipeline[-1]).set_fit_request(resume_from=True)
        resumed = make_pipeline(StandardScaler(), final).fit(X, SCORE, resume_from=tmp_path / "3")
    assert_same_model(resumed[-1], pipeline[-1])


@pytest.mark.parametrize(
    "params",
    [dict(early_stopping=True, ema_decay=0.9, dropout=0.1), dict(solver="lbfgs"), dict(random_state=None, warmup=2)],
    ids=str,
)
@pytest.mark.parametrize("Estimator", TARGETS)
def test_the_state_is_plain(Estimator, params, tmp_path):
    """So that it can be saved without pickle too."""
    fit(estimator(Estimator, params, "a falling rate" if "solver" not in params else "plain", tmp_path), "weights")
    run = pickle.loads((tmp_path / "2").read_bytes())._run
    assert len(run) > 6
    assert_plain(run)


def assert_plain(value):
    plain = (dict, list, int, float, str, bool, type(None), np.ndarray, np.random.RandomState)
    assert type(value) in plain, type(value)
    if isinstance(value, dict):
        assert all(type(name) is str for name in value)
    elif isinstance(value, np.ndarray):
        assert not value.dtype.hasobject
    for item in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        assert_plain(item)
