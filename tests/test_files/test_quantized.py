"""Model files of networks and estimators with weights of 8 bits."""

import warnings

import numpy as np
import pytest
import scipy.sparse as sp
from numpy.testing import assert_array_equal
from sklearn.exceptions import ConvergenceWarning

import fastbp
from fastbp import MLPClassifier, MLPRegressor, ModelFileError, Network, quantize
from fastbp.files import model_file
from fastbp.layers import BatchNorm, Dense

RNG = np.random.default_rng(0)
X = RNG.normal(size=(60, 20))
LABELS = np.arange(60) % 3
INDICATORS = np.c_[LABELS > 0, LABELS > 1].astype(int)
TARGETS = {
    "labels": (MLPClassifier, LABELS, {}),
    "text": (MLPClassifier, np.array(["a", "bc", "d"])[LABELS], {}),
    "indicators": (MLPClassifier, INDICATORS, {}),
    "sparse indicators": (MLPClassifier, sp.csr_array(INDICATORS), {}),
    "columns": (MLPClassifier, np.c_[LABELS, LABELS % 2], {}),
    "regression": (MLPRegressor, X[:, 0], {}),
    "gaussian": (MLPRegressor, X[:, :2], dict(loss="gaussian")),
    "layers": (MLPRegressor, X[:, 0], dict(layers=[Dense(40), BatchNorm(), Dense(30, "relu")])),
}


def fitted(name):
    cls, y, params = TARGETS[name]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return cls(**{"hidden_layer_sizes": (30, 20), "max_iter": 3, "random_state": 0} | params).fit(X, y)


def bytes_of(found):
    return found.toarray() if sp.issparse(found) else found


@pytest.mark.parametrize("name", TARGETS)
def test_estimators(name, tmp_path):
    quantized = quantize(fitted(name))
    fastbp.save(quantized, tmp_path / "model.safetensors")
    loaded = fastbp.load(tmp_path / "model.safetensors")
    assert type(loaded) is type(quantized)
    found, expected = loaded.predict(X), quantized.predict(X)
    assert type(found) is type(expected)
    assert_array_equal(bytes_of(found), bytes_of(expected))
    assert vars(loaded).keys() == vars(quantized).keys()
    for attribute in ("n_features_in_", "n_layers_", "n_outputs_", "out_activation_"):
        assert getattr(loaded, attribute) == getattr(quantized, attribute)
    if name == "gaussian":
        assert_array_equal(loaded.predict(X, return_std=True)[1], quantized.predict(X, return_std=True)[1])


@pytest.mark.parametrize("definition", [dict(layer_sizes=[20, 30, 4]), dict(layers=[Dense(30, "elu")], n_features=20)])
def test_networks(definition, tmp_path):
    quantized = quantize(Network(**definition, random_state=0, n_threads=2))
    fastbp.save(quantized, tmp_path / "model.safetensors")
    loaded = fastbp.load(tmp_path / "model.safetensors")
    assert_array_equal(loaded.forward(X), quantized.forward(X))
    assert (loaded.n_threads, loaded.layers) == (2, quantized.layers)
    # the header names the tensors
    assert (tmp_path / "model.safetensors").stat().st_size < quantized.nbytes + 3000


def test_functions_as_losses_are_refused(tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model = MLPRegressor(
            hidden_layer_sizes=(30,), loss=lambda y, z, weight: (((z - y) ** 2).sum(axis=1), 2 * (z - y)), max_iter=2
        ).fit(X, X[:, 0])
    with pytest.raises(TypeError, match="a model file cannot hold _fitted_loss=FunctionLoss"):
        fastbp.save(quantize(model), tmp_path / "model.safetensors")


EDITS = {
    "another loss": (lambda model: model["fitted"].update(_fitted_loss=3), "must be a loss, got 3"),
    "no loss": (lambda model: model["fitted"].pop("_fitted_loss"), "must have the parts _fitted_loss"),
    "no network": (lambda model: model.update(network=[1]), "must be a QuantizedNetwork, got list"),
    "too few classes": (
        lambda model: model["fitted"]["classes_"]["$array"].update(values=[0, 1], shape=[2]),
        "classes_ needs 1 units in the output layer, and it has 3",
    ),
    "another width": (
        lambda model: model["network"]["layer_sizes"].update({"$tuple": [20, 31, 20, 3]}),
        "these layers need",
    ),
    "one more layer": (lambda model: model["network"]["layer_sizes"]["$tuple"].insert(1, 25), "one for each hidden"),
    "large layers": (
        lambda model: model["network"]["layer_sizes"].update({"$tuple": [20, 10**6, 10**6, 3]}),
        "and this machine has",
    ),
    "no matrix": (lambda model: model["network"]["matrices"].pop("W_1"), "these layers need matrices"),
    "no scale": (lambda model: model["network"]["matrices"]["W_1"].pop("scale"), "must have the parts q, scale, sums"),
    "another tensor": (
        lambda model: model["network"]["matrices"]["W_1"].update(q="network.b_1"),
        "used|q of W_1 must be int8",
    ),
}


@pytest.mark.parametrize("name", EDITS)
def test_damaged_files(name, tmp_path, monkeypatch):
    edit, message = EDITS[name]
    path, encode = tmp_path / "model.safetensors", model_file.Encoder.encode

    def edited(self, value, place):
        tree = encode(self, value, place)
        if not place:
            edit(tree)
        return tree

    monkeypatch.setattr(model_file.Encoder, "encode", edited)
    fastbp.save(quantize(fitted("labels")), path)
    with pytest.raises(ModelFileError, match=message):
        fastbp.load(path)
