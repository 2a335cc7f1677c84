"""Checkpoints that are model files: a run goes on from them as from a pickle."""

from copy import deepcopy

import numpy as np
import pytest

import fastbp
from fastbp import MLPClassifier, MLPRegressor
from fastbp.callbacks import Checkpoint
from fastbp.files import ModelFileError
from resume_cases import OPTIONS, SCORE, X, assert_same_model, estimator, fit, fresh

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
        except (ValueError, TypeError):
            n_errors += 1
        else:
            assert np.isfinite(resumed.predict(X)).all(), place
            n_models += 1
    assert n_errors > n_models > 0
