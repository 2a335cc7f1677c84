"""Requests of metadata in model files; `files/requests.py`."""

import numpy as np
import pytest
import sklearn

import fastbp
from fastbp import MLPClassifier, MLPEncoder, MLPRegressor

pytest.importorskip("safetensors")
pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

X = np.random.default_rng(0).normal(size=(30, 3))
Y = np.arange(30) % 3


@pytest.mark.parametrize("fitted", [False, True])
@pytest.mark.parametrize("Estimator", [MLPClassifier, MLPRegressor, MLPEncoder])
def test_they_come_back(Estimator, fitted, tmp_path):
    model = Estimator(hidden_layer_sizes=(2,))
    if Estimator is not MLPEncoder:
        model.set_params(max_iter=2)
    if fitted:
        model.fit(X, Y)
    with sklearn.config_context(enable_metadata_routing=True):
        model.set_fit_request(sample_weight=True)
        if Estimator is not MLPEncoder:
            model.set_fit_request(sample_weight=False, X_val="held_out").set_score_request(sample_weight="weight")
    fastbp.save(model, tmp_path / "model")
    loaded = fastbp.load(tmp_path / "model")
    own, others = (repr(m._get_metadata_request()._serialize()) for m in (loaded, model))
    assert own == others
    assert "True" in own or "held_out" in own
    # an estimator without requests has none after the way through a file
    fastbp.save(Estimator(), tmp_path / "model")
    assert "_metadata_request" not in vars(fastbp.load(tmp_path / "model"))


@pytest.mark.parametrize(
    "requests",
    [3, {"fit": 3}, {"guess": {"sample_weight": True}}, {"fit": {"nothing": True}}, {"fit": {"sample_weight": "a b"}}],
    ids=str,
)
def test_what_there_is_not(requests, tmp_path, monkeypatch):
    monkeypatch.setattr("fastbp.files.estimators.encoded_requests", lambda estimator: {"requests": requests})
    fastbp.save(MLPRegressor(), tmp_path / "model")
    with pytest.raises(fastbp.ModelFileError, match=r"requests|Unexpected|alias"):
        fastbp.load(tmp_path / "model")
