"""What cannot be saved: each time an error that names the parameter and the way out; `model_file.py`."""

import os

import numpy as np
import pytest
from sklearn.frozen import FrozenEstimator
from sklearn.metrics import make_scorer, mean_squared_error
from sklearn.neural_network import MLPRegressor as SklearnRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import fastbp
from case_names import case_name
from fastbp import MLPClassifier, MLPEncoder, MLPRegressor, Network
from fastbp.callbacks import Callback, Checkpoint, OptunaPruner
from fastbp.layers import Dense
from fastbp.losses import FunctionLoss, Huber
from fastbp.optimizers import Adam
from file_cases import POSITIVE, X
from loss_functions import squared_error

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


class OwnAdam(Adam):
    pass


class OwnLayer(Dense):
    pass


class OwnCallback(Callback):
    pass


class OwnRegressor(MLPRegressor):
    pass


REFUSED = {
    "loss": [squared_error, FunctionLoss(squared_error)],
    "learning_rate": [lambda progress: 1.0],
    "solver": [OwnAdam()],
    "layers": [[OwnLayer(3)]],
    "weight_init": [lambda fan_in, fan_out, random_state: np.zeros((fan_in, fan_out))],
    "scoring": [make_scorer(mean_squared_error), {"a": len}],
    "init_from": [SklearnRegressor(hidden_layer_sizes=(3,), tol=1.0, n_iter_no_change=1).fit(X, POSITIVE)],
    "callbacks": [OwnCallback(), [Checkpoint()], OptunaPruner(None), print],
    "max_time": [np.longdouble(3)],
}


@pytest.mark.parametrize(
    ("name", "value"), [(name, v) for name, values in REFUSED.items() for v in values], ids=case_name
)
def test_parameters(name, value, tmp_path):
    path = tmp_path / "model.safetensors"
    model = MLPRegressor(hidden_layer_sizes=(3,), max_iter=2, random_state=0).set_params(**{name: value})
    default = repr(MLPRegressor().get_params()[name])
    way = rf"a model file cannot hold {name}.*data only.* set_params\({name}={default}\), or use pickle or joblib"
    for _ in range(2):
        with pytest.raises(TypeError, match=way):
            fastbp.save(model, path)
        if name in ("scoring", "callbacks"):
            break
        model.fit(X, POSITIVE)
    assert os.listdir(tmp_path) == []
    if name not in ("loss", "layers", "solver"):  # what a fit keeps
        fastbp.save(model.set_params(**{name: MLPRegressor().get_params()[name]}), path)
        fastbp.load(path)


def test_what_a_fit_keeps(tmp_path):
    model = (
        MLPRegressor(squared_error, hidden_layer_sizes=(3,), max_iter=2)
        .fit(X, POSITIVE)
        .set_params(loss="squared_error")
    )
    with pytest.raises(TypeError, match=r"cannot hold loss=<function squared_error.* Set it to another value"):
        fastbp.save(model, tmp_path / "model")


def test_a_regressor_in_an_encoder(tmp_path):
    encoder = MLPEncoder(regressor=MLPRegressor(squared_error))
    with pytest.raises(TypeError, match=r"cannot hold regressor\.loss=.*set_params\(regressor=None\)"):
        fastbp.save(encoder, tmp_path / "model")


def test_networks(tmp_path):
    with pytest.raises(TypeError, match=r"cannot hold loss=<function.*Use pickle or joblib, or fit without it"):
        fastbp.save(Network([2, 1], loss=squared_error), tmp_path / "model")
    with pytest.raises(TypeError, match=r"cannot hold layers\[0\]=OwnLayer"):
        fastbp.save(Network(layers=[OwnLayer(3)], n_features=2), tmp_path / "model")


@pytest.mark.parametrize(
    "estimator",
    [
        make_pipeline(StandardScaler(), MLPRegressor()),
        OwnRegressor(),
        FrozenEstimator(MLPRegressor()),
        SklearnRegressor(),
        MLPRegressor,
        Huber(),
        None,
        {"a": MLPRegressor()},
    ],
    ids=str,
)
def test_other_objects(estimator, tmp_path):
    with pytest.raises(
        TypeError, match=r"Of a pipeline or a search, save the perceptron in it, such as pipeline\[-1\]"
    ):
        fastbp.save(estimator, tmp_path / "model")
    assert os.listdir(tmp_path) == []


def test_parameters_that_are_not_valid(tmp_path):
    with pytest.raises(ValueError, match="'alpha' parameter"):
        fastbp.save(MLPRegressor(alpha=-1), tmp_path / "model")


def test_attributes_of_the_users(tmp_path):
    model = MLPRegressor(hidden_layer_sizes=(3,), max_iter=2).fit(X, POSITIVE)
    model.note = "mine"
    with pytest.raises(TypeError, match=r"cannot hold note='mine'.*Delete the attribute, del estimator\.note"):
        fastbp.save(model, tmp_path / "model")
    del model.note
    model.n_iter_ = "three"
    with pytest.raises(ValueError, match="n_iter_ is not what a fit leaves: 'three'"):
        fastbp.save(model, tmp_path / "model")
    unfitted = MLPRegressor()
    unfitted.coefs_, unfitted.intercepts_ = [np.zeros((2, 1))], [np.zeros(1)]
    with pytest.raises(TypeError, match="cannot hold coefs_"):
        fastbp.save(unfitted, tmp_path / "model")


@pytest.mark.parametrize("path", [None, 3, object(), b"model"])
def test_paths(path):
    for function, arguments in ((fastbp.save, (MLPRegressor(), path)), (fastbp.load, (path,))):
        with pytest.raises(TypeError, match=f"path must be a str or a path, got {type(path).__name__}"):
            function(*arguments)


@pytest.mark.parametrize("suffix", ["model", "model.safetensors", "größe.model"])
def test_paths_of_all_kinds(suffix, tmp_path):
    for path in (tmp_path / suffix, str(tmp_path / suffix)):
        fastbp.save(MLPClassifier(alpha=0.5), path)
        assert fastbp.load(path).alpha == 0.5


def test_without_safetensors(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "safetensors.numpy", None)
    with pytest.raises(ImportError, match=r"pip install fastbp\[save\]"):
        fastbp.save(MLPRegressor(), tmp_path / "model")
    with pytest.raises(ImportError, match=r"pip install fastbp\[save\]"):
        fastbp.load(tmp_path / "model")
