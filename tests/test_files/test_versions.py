"""Versions of the format, and of the package, in model files; `model_file.py`."""

import json
import platform

import numpy as np
import pytest
import safetensors
import sklearn

import fastbp
from fastbp import MLPRegressor, ModelFileError, VersionWarning
from fastbp.files import model_file
from fastbp.files.container import digest
from model_file_record import FOLDER, data, predictions

OLD_FILES = sorted(FOLDER.glob("*.safetensors"))


def write(path, estimator, upgrade=None, **texts):
    """Save an estimator, with other texts in the metadata, and a digest that agrees."""
    fastbp.save(estimator, path)
    with safetensors.safe_open(path, "numpy") as file:
        metadata, tensors = file.metadata(), {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    if upgrade is not None:
        texts["model"] = json.dumps(upgrade(json.loads(metadata["model"])))
    metadata |= texts
    del metadata["digest"]
    safetensors.numpy.save_file(tensors, path, {**metadata, "digest": digest(metadata, tensors)})


def test_there_is_a_file_of_each_version():
    assert [path.stem for path in OLD_FILES] == [f"format_{n}" for n in range(1, model_file.FORMAT_VERSION + 1)]


@pytest.mark.fault(33)
@pytest.mark.filterwarnings("ignore::fastbp.VersionWarning")
@pytest.mark.parametrize("path", OLD_FILES, ids=lambda path: path.stem)
def test_old_files(path):
    """Files of all versions so far load, predict, and go on as when they were made."""
    expected = json.loads(path.with_suffix(".json").read_text())
    found = predictions(fastbp.load(path), *data())
    for when, values in expected.items():
        # other processors round otherwise
        np.testing.assert_allclose(found[when], values, rtol=1e-9, err_msg=when)
    assert expected["before"] != expected["after"]


@pytest.mark.fault(33)
@pytest.mark.parametrize("version", [2, 17])
def test_a_newer_format(version, tmp_path):
    path = tmp_path / "model"
    write(path, MLPRegressor(), format_version=str(version), fastbp="9.8.7", model="unknown")
    reason = rf"version {version} of the format by fastbp 9\.8\.7; this is fastbp {fastbp.__version__}, which reads"
    with pytest.raises(ModelFileError, match=reason):
        fastbp.load(path)


@pytest.mark.fault(33)
def test_an_older_format(tmp_path, monkeypatch):
    """The next version might give a parameter another name."""

    def older(tree):
        tree["params"]["old_name"] = tree["params"].pop("alpha")
        return tree

    def newer(tree):
        tree["params"]["alpha"] = tree["params"].pop("old_name")
        return tree

    path = tmp_path / "model"
    write(path, MLPRegressor(alpha=0.25), older)
    with pytest.raises(ModelFileError, match="MLPRegressor has no parameter 'old_name'"):
        fastbp.load(path)
    monkeypatch.setattr(model_file, "FORMAT_VERSION", 2)
    monkeypatch.setattr(model_file, "UPGRADES", {1: newer})
    assert fastbp.load(path).alpha == 0.25
    monkeypatch.setattr(model_file, "FORMAT_VERSION", 3)
    monkeypatch.setattr(model_file, "UPGRADES", {1: newer, 2: lambda tree: tree})
    assert fastbp.load(path).alpha == 0.25


@pytest.mark.parametrize("version", ["", "0", "-1", "1.0", "one", "\u0661", "1" * 5000])
def test_no_version(version, tmp_path):
    path = tmp_path / "model"
    write(path, MLPRegressor(), format_version=version)
    with pytest.raises(ModelFileError, match="damaged: the version of the format"):
        fastbp.load(path)


@pytest.mark.parametrize("version", ["0.0.7", "9.8.7"])
def test_another_version_of_the_package(version, tmp_path):
    path = tmp_path / "model"
    write(path, MLPRegressor(alpha=0.25), fastbp=version)
    with pytest.warns(
        VersionWarning, match=f"this MLPRegressor was saved with fastbp {version} and is loaded with"
    ) as w:
        assert fastbp.load(path).alpha == 0.25
    assert w[0].filename == __file__
    assert w[0].message.pickled_with == version


def test_parameters_that_an_older_version_lacks_have_their_defaults(tmp_path):
    def older(tree):
        for name in ("mixup_alpha", "frozen_layers"):
            del tree["params"][name]
        return tree

    path = tmp_path / "model"
    write(path, MLPRegressor(alpha=0.25), older)
    assert fastbp.load(path).get_params() == MLPRegressor(alpha=0.25).get_params()


def test_a_person_can_read_it(tmp_path):
    """With nothing but the library, and JSON."""
    X, y = data()
    path = tmp_path / "model"
    fastbp.save(fastbp.MLPClassifier((4,), tol=10.0, n_iter_no_change=1, random_state=0).fit(X, y), path)
    with safetensors.safe_open(path, "numpy") as file:
        metadata, names = file.metadata(), set(file.keys())
        assert file.get_tensor("W_1").shape == (3, 4)
    assert {"W_1", "W_2", "b_1", "b_2"} < names
    assert metadata["format"] == "fastbp"
    assert metadata["format_version"] == str(model_file.FORMAT_VERSION)
    versions = {name: metadata[name] for name in ("fastbp", "numpy", "scikit-learn", "python")}
    assert list(versions.values()) == [
        fastbp.__version__,
        np.__version__,
        sklearn.__version__,
        platform.python_version(),
    ]
    model = json.loads(metadata["model"])
    assert model["params"]["tol"] == 10.0
    assert model["fitted"]["classes_"]["$array"]["values"] == ["a", "b", "c"]
    assert model["network"]["layer_sizes"] == {"$tuple": [3, 4, 3]}
    assert model["network"]["dtype"] == "float64"
