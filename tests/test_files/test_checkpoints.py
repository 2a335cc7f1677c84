"""Checkpoints that are model files: a run goes on from them as from a pickle."""

from copy import deepcopy

import numpy as np
import pytest
import sklearn
from sklearn.base import clone

import fastbp
from fastbp import MLPClassifier, MLPRegressor
from fastbp.callbacks import Checkpoint, ReduceOnPlateau, TimeLimit
from fastbp.files import ModelFileError
from resume_cases import OPTIONS, SCORE, TARGETS, X, assert_same_model, estimator, fit, fresh

pytest.importorskip("safetensors")

pytestmark = [
    pytest.mark.fault(35),
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
    pytest.mark.filterwarnings("ignore:The score of the held-out rows was:RuntimeWarning"),
]


def saving(Estimator, params, options, folder):
    """An unfitted estimator of a case, with a checkpoint of every epoch that is a model file."""
    model = estimator(Estimator, params, options)
    return model.set_params(callbacks=[Checkpoint(folder / "{epoch}.safetensors"), *(model.callbacks or [])])


@pytest.mark.parametrize("Estimator", [MLPClassifier, MLPRegressor])
@pytest.mark.parametrize("early_stopping", [False, True])
@pytest.mark.parametrize("options", OPTIONS)
def test_a_run_goes_on(Estimator, early_stopping, options, tmp_path):
    model = fit(saving(Estimator, dict(early_stopping=early_stopping), options, tmp_path), options)
    for number in {1, model.n_iter_ // 2, model.n_iter_} - {0}:
        resumed = fit(fresh(model), options, resume_from=tmp_path / f"{number}.safetensors")
        assert_same_model(resumed, model)


def test_lbfgs(tmp_path):
    model = fit(saving(MLPClassifier, dict(solver="lbfgs", tol=1e-12), "plain", tmp_path), "plain")
    assert_same_model(fit(fresh(model), "plain", resume_from=tmp_path / "3.safetensors"), model)


def test_it_is_an_estimator_too(tmp_path):
    fit(saving(MLPRegressor, dict(solver="adam"), "ema", tmp_path), "ema")
    loaded = fastbp.load(tmp_path / "2.safetensors")
    assert loaded.n_iter_ == 2
    resumed = fit(fresh(loaded), "ema", resume_from=loaded)
    loaded.partial_fit(X, SCORE)
    with pytest.raises(ValueError, match="resume_from needs a checkpoint"):
        fit(fresh(loaded), "ema", resume_from=loaded)
    assert resumed.n_iter_ > 2


def test_a_file_that_is_no_checkpoint(tmp_path):
    path = tmp_path / "model.safetensors"
    fastbp.save(fit(estimator(MLPRegressor, dict(solver="adam"), "plain"), "plain"), path)
    with pytest.raises(ValueError, match="resume_from needs a checkpoint"):
        fit(estimator(MLPRegressor, dict(solver="adam"), "plain"), "plain", resume_from=path)
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(ModelFileError, match="bytes"):
        fit(estimator(MLPRegressor, dict(solver="adam"), "plain"), "plain", resume_from=path)


def leaves(tree, path=()):
    """The places of all values in nested dicts and lists."""
    items = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    for key, item in items:
        yield (*path, key)
        yield from leaves(item, (*path, key))


DAMAGED = {
    "a list of losses that is cut": ("lbfgs", ("evaluations", "losses"), lambda value: value[:-1]),
    "a gradient that is missing": ("lbfgs", ("evaluations", "gradients"), lambda value: value[1:]),
    "a gradient that is a number": ("lbfgs", ("evaluations", "gradients", 0), lambda value: 1.0),
    "a checksum that is an array": ("lbfgs", ("evaluations", "points", 0), lambda value: np.zeros(3)),
    "no optimizer's array": ("adam", ("optimizer", "state"), lambda value: value[:1]),
    "a number as an optimizer's array": ("adam", ("optimizer", "state", 0), lambda value: 1.0),
    "half an epoch": ("adam", ("history", "n_iter"), lambda value: value + 0.5),
    "less than no epoch": ("adam", ("history", "n_iter"), lambda value: -1),
    "a count that is infinite": ("adam", ("stopping", "patience", "count"), lambda value: np.inf),
    "no generator": ("adam", ("random_state",), lambda value: None),
    "no callbacks": ("adam", ("callbacks",), lambda value: None),
    "the class of a callback": ("adam", ("callbacks", 0, "class"), lambda value: []),
    "an answer of a callback": ("adam", ("callbacks", 0, "stops"), lambda value: np.zeros(2)),
    "a callback's state": ("adam", ("callbacks", 0, "state"), lambda value: {}),
    "a part of a callback's state": ("adam", ("callbacks", 0, "state", "best"), lambda value: "text"),
}


@pytest.mark.parametrize("case", DAMAGED)
@pytest.mark.parametrize("random_state", [0, None])
def test_what_a_damaged_state_is_told_of(case, random_state, tmp_path):
    solver, (*before, last), change = DAMAGED[case]
    params = dict(hidden_layer_sizes=(3,), max_iter=4, solver=solver, random_state=random_state, tol=1e-12)
    watch = [TimeLimit(1000.0) if solver == "lbfgs" else ReduceOnPlateau()]
    path = tmp_path / "run.safetensors"
    MLPRegressor(**params, callbacks=[*watch, Checkpoint(path, every=2)]).fit(X, TARGETS[MLPRegressor])
    damaged = fastbp.load(path)
    node = damaged._run
    for key in before:
        node = node[key]
    node[last] = change(node[last])
    resumed = MLPRegressor(**params, callbacks=watch)
    with pytest.raises(ValueError, match=r"resume_from: .*(damaged|cannot take the state)"):
        resumed.fit(X, TARGETS[MLPRegressor], resume_from=damaged)
    assert not hasattr(resumed, "coefs_")


def test_requests_of_metadata(tmp_path):
    """A model file cannot hold them, and a resumed estimator has its own."""
    path = tmp_path / "run.safetensors"
    with sklearn.config_context(enable_metadata_routing=True):
        model = MLPRegressor(hidden_layer_sizes=(3,), max_iter=2, random_state=0, callbacks=Checkpoint(path))
        model.set_fit_request(sample_weight=True).fit(X, TARGETS[MLPRegressor])
        assert not hasattr(fastbp.load(path), "_metadata_request")
        resumed = clone(model).fit(X, TARGETS[MLPRegressor], resume_from=path)
        for one in (model, resumed):
            assert one.get_metadata_routing().fit.requests["sample_weight"] is True


BAD_VALUES = [None, -1, 2**62, float("nan"), "text", [], {}, np.zeros(0), np.full(28, 10**9)]


@pytest.mark.parametrize("options", ["dropout", "ema", "swa"])
def test_a_state_that_is_damaged(options, tmp_path):
    """A value in the state of the run is another one, or is missing: an error, or a finite model; a row that is out of
    range is never trained on. The file itself is well formed: this is what a digest cannot tell."""
    model = fit(saving(MLPRegressor, dict(early_stopping=True, max_iter=4), options, tmp_path), options)
    path = tmp_path / "2.safetensors"
    undamaged = fastbp.load(path)
    places = list(leaves(undamaged._run))
    assert len(places) > 60
    n_errors = n_models = 0
    for number, place in enumerate(places):
        loaded = deepcopy(undamaged)
        *before, last = place
        node = loaded._run
        for key in before:
            node = node[key]
        if number % 4 == 3:
            del node[last]
        else:
            node[last] = BAD_VALUES[number % len(BAD_VALUES)]
        try:
            resumed = fit(fresh(model), options, resume_from=loaded)
        except ValueError:
            n_errors += 1
        else:
            assert np.isfinite(resumed.predict(X)).all(), place
            n_models += 1
    assert n_errors > n_models > 0
