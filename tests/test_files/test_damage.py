"""Damaged and hostile model files: a clear error or a model that works; `files/`."""

import faulthandler
import json
import os
import pickle
import subprocess
import sys
from pathlib import Path

import joblib
import numpy as np
import pytest
import safetensors.numpy
import skops.io
from numpy.testing import assert_array_equal

import fastbp
import fuzz_model_files as fuzz
from fastbp import MLPClassifier, MLPRegressor, ModelFileError, Network
from fastbp.files.container import digest
from fastbp.files.model_file import content_of
from fastbp.layers import Dense, Residual
from file_cases import LABELS, X

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

#: Mutations of a run in the suite; FASTBP_FUZZ=100000 for a long one
N_MUTATIONS = int(os.environ.get("FASTBP_FUZZ", 1200))


@pytest.fixture(scope="module")
def model():
    return MLPClassifier((3,), max_iter=3, random_state=0).fit(X, np.array(["a", "b", "c"])[LABELS])


@pytest.fixture
def load(tmp_path):
    """A function that loads the file with some content, which must be refused for a reason."""

    def refused(content, reason):
        path = tmp_path / "model.safetensors"
        path.write_bytes(content)
        with pytest.raises(ModelFileError, match=reason) as caught:
            fastbp.load(path)
        assert str(caught.value).startswith(str(path))
        assert caught.value.path == str(path)
        assert isinstance(caught.value, ValueError)

    return refused


def parts_of(content):
    """(texts, tensors) of a file."""
    length = int.from_bytes(content[:8], "little")
    return json.loads(content[8 : 8 + length])["__metadata__"], safetensors.numpy.load(content)


def changed(content, change_tree=None, change_tensors=None, **texts):
    """A file whose model was changed on purpose, with a digest that agrees."""
    old, tensors = parts_of(content)
    tree = json.loads(old["model"])
    if change_tree is not None:
        change_tree(tree)
    if change_tensors is not None:
        change_tensors(tensors)
    return fuzz.signed(old | {"model": json.dumps(tree)} | texts, tensors)


def set_at(*path, value):
    """A function that sets a value in a tree."""

    def change(tree):
        fuzz.at(tree, path[:-1])[path[-1]] = value

    return change


@pytest.mark.fault(31)
def test_messages_are_short(model, tmp_path):
    """Of a value that takes a large part of the file."""
    path = tmp_path / "model"
    path.write_bytes(changed(content_of(model), set_at("params", "alpha", value=[1] * 100_000)))
    with pytest.raises(ModelFileError, match="'alpha' parameter") as caught:
        fastbp.load(path)
    assert len(caught.value.reason) < 1100


@pytest.mark.fault(31)
def test_keys_of_one_hash(model, load):
    """A million of them would take hours."""
    keys = [[i * sys.hash_info.modulus, 1] for i in range(1, 10_001)]
    assert len({hash(key) for key, _ in keys}) == 1
    change = set_at("params", "class_weight", value={"$dict": keys})
    load(changed(content_of(model), change), "class_weight has [0-9,]+ keys with the hashes of others")


# A file that is no longer what it was


@pytest.mark.fault(31)
def test_cut_at_every_byte(model, load):
    content = content_of(fastbp.slim(model))
    for length in range(len(content)):
        load(content[:length], "cut|JSON|describes|no header")


@pytest.mark.fault(31)
def test_a_bit_of_the_weights(model, load):
    content = bytearray(content_of(model))
    content[-5] ^= 1
    load(bytes(content), "damaged: the content does not agree with the digest")


@pytest.mark.fault(31)
def test_a_byte_of_the_text(model, load):
    content = content_of(model)
    assert content.count(b'max_iter\\": 3') == 1
    load(content.replace(b'max_iter\\": 3', b'max_iter\\": 5'), "does not agree with the digest")


@pytest.mark.fault(31)
@pytest.mark.fault(46)
def test_mutations():
    command = [sys.executable, "-X", "faulthandler", fuzz.__file__, str(N_MUTATIONS), "0"]
    faulthandler.cancel_dump_traceback_later()  # the bound of a hang is here: a mutation takes some milliseconds
    done = subprocess.run(command, capture_output=True, text=True, timeout=300 + N_MUTATIONS)
    assert done.returncode == 0, (done.returncode, done.stderr[-2000:])
    counts = dict(line.rsplit(": ", 1) for line in done.stdout.splitlines() if line.count(": ") == 2)
    assert sum(map(int, counts.values())) == N_MUTATIONS
    assert "error without a message" not in done.stdout
    for name in ("json_level", "tensor_level", "byte_level"):  # some changes are none
        assert int(counts[f"{name}: model that works"]) > 0
        assert int(counts[f"{name}: refused"]) > 0


# What the header claims


def header_of(content):
    length = int.from_bytes(content[:8], "little")
    return json.loads(content[8 : 8 + length]), content[8 + length :]


@pytest.mark.fault(31)
@pytest.mark.parametrize(
    ("part", "value", "reason"),
    [
        ("shape", [2**63], "does not fit"),
        ("shape", [2**32, 2**32], "does not fit"),
        ("shape", [2**31, 0, 2**31], "does not fit"),
        ("shape", [-4, -3], "has the shape"),
        ("shape", [4.0, 3], "has the shape"),
        ("shape", [True, 12], "has the shape"),
        ("shape", [4] + [1] * 40 + [3], "does not fit"),
        ("shape", None, "has the shape"),
        ("shape", [3, 4], "blocks"),
        ("dtype", "F32", "does not fit"),
        ("dtype", "BF16", "unknown dtype"),
        ("dtype", ["F64"], "unknown dtype"),
        ("dtype", "I64", "blocks of one dtype|digest"),
        ("data_offsets", [0, 2**63], "does not fit"),
        ("data_offsets", [-96, 0], "the place"),
        ("data_offsets", [0, 96, 96], "does not fit"),
        ("data_offsets", [8, 104], "begins at byte"),
    ],
)
def test_headers(part, value, reason, model, load):
    header, data = header_of(content_of(model))
    name, entry = next((n, e) for n, e in header.items() if n == "W_1")
    assert (entry["dtype"], entry["shape"]) == ("F64", [4, 3])
    header[name] = entry | {part: value}
    load(fuzz.with_header(header, data), f"{reason}|digest" if value == [3, 4] else reason)


@pytest.mark.fault(31)
def test_tensors_that_overlap(model, load):
    header, data = header_of(content_of(model))
    tensors = {name: entry["data_offsets"] for name, entry in header.items() if name != "__metadata__"}
    header["W_2"] = header["W_1"]
    load(fuzz.with_header(header, data), "begins at byte")
    assert len(tensors) > 2


@pytest.mark.fault(31)
@pytest.mark.parametrize("length", [2**63, 2**64 - 1, 10**9, 0])
def test_lengths_of_the_header(length, model, load):
    load(length.to_bytes(8, "little") + content_of(model)[8:], "cut, or no model file|JSON")


@pytest.mark.fault(31)
def test_a_name_that_comes_twice(model, load):
    content = content_of(model)
    header, data = header_of(content)
    text = json.dumps(header).replace('"W_2"', '"W_1"').encode()
    load(len(text).to_bytes(8, "little") + text + data, "a key comes twice")


@pytest.mark.fault(31)
def test_deep_nesting(model, load):
    header = b'{"a":' * 200_000
    load(len(header).to_bytes(8, "little") + header, "nested too deep|JSON")
    for deep in ("[" * 100_000, "[" * 100_000 + "]" * 100_000, "[" * 300 + "]" * 300):
        content = content_of(model)
        texts, tensors = parts_of(content)
        load(fuzz.signed(texts | {"model": deep}, tensors), "nested|JSON")


@pytest.mark.fault(31)
def test_more_bytes(model, load):
    load(content_of(model) + b"x", "the header describes")


# What the JSON claims, with a digest that agrees


@pytest.mark.fault(31)
@pytest.mark.parametrize(
    "sizes", [[4, 10**9, 3], [4, 3 * 10**5, 3], [4, 2**63, 3], [4, 10**400, 3], [4, -3, 3], [4, 0, 3]]
)
def test_layers_that_are_not_those_of_the_tensors(sizes, model, load):
    change = set_at("network", "layer_sizes", value={"$tuple": sizes})
    load(changed(content_of(model), change), "layer|params|memory|damaged")


@pytest.mark.fault(31)
def test_a_large_layer_object(load):
    network = Network(layers=[Dense(3), Residual([Dense(3)]), Dense(1)], n_features=2, random_state=0)
    content = content_of(network)
    load(changed(content, set_at("layers", 0, "units", value=10**12)), "Residual|memory|numbers")
    load(changed(content, set_at("n_features", value=10**6)), "must be 3000019 numbers")


def drop_tensor(name):
    return lambda tensors: tensors.pop(name)


def add_tensor(tensors):
    tensors["x"] = np.zeros(3)


def reshape_tensor(tensors):
    tensors["W_1"] = tensors["W_1"].T.copy()


@pytest.mark.fault(31)
@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (drop_tensor("b_1"), "names a tensor 'b_1', which is not there"),
        (add_tensor, "tensor 'x' belongs to nothing"),
        (reshape_tensor, "has the blocks"),
        (lambda tensors: tensors.update(W_1=tensors["W_1"].astype(np.float32)), "blocks of one dtype"),
    ],
)
def test_tensors(change, reason, model, load):
    load(changed(content_of(model), change_tensors=change), reason)


FITTED = [
    (("fitted", "classes_", "$array", "values", 0), "z", "classes_"),
    (("fitted", "classes_", "$array", "values"), ["a", "b"], "shape"),
    (("fitted", "classes_", "$array"), {"dtype": "<U1", "shape": [2], "values": ["a", "b"]}, "needs 1 units"),
    (("fitted", "classes_"), [], "classes_"),
    (("fitted", "_form"), "columns", "classes_"),
    (("fitted", "_form"), "indicators", "indicators|columns of y"),
    (("fitted", "n_iter_"), -1, "n_iter_"),
    (("fitted", "t_"), 1.5, "t_"),
    (("fitted", "history_"), {"loss": [1.0]}, "history_"),
    (("fitted", "history_", "seconds", 1), 10**30, "history_"),
    (("fitted", "unknown_"), 1, "must have the parts"),
    (("fitted", "feature_names_in_"), {"$array": {"dtype": "|O", "shape": [1], "values": ["a"]}}, "1 names for 4"),
    (("fitted", "_optimizer", "n_steps"), 2**63, "steps"),
    (("fitted", "_optimizer", "learning_rate"), -1.0, "learning_rate"),
    (("fitted", "_optimizer", "seed"), -1, "seed"),
    (("fitted", "_optimizer", "state"), [], "belongs to nothing|must have 2 arrays"),
    (("fitted", "_optimizer", "optimizer"), None, "must be an optimizer"),
    (("fitted", "_optimizer", "optimizer", "beta_1"), 7.0, "beta_1"),
    (("fitted", "_optimizer", "optimizer", "$type"), "os.system", "unknown class 'os.system'"),
    (("fitted", "_optimizer", "optimizer", "$type"), "optimizers.Optimizer", "unknown class"),
    (("fitted", "_random_state", "bit_generator", "state", "pos"), 625, "pos must be an integer >= 0 and < 625"),
    (("fitted", "_random_state", "bit_generator", "state", "pos"), -1, "pos must be"),
    (("fitted", "_random_state", "bit_generator", "name"), "PCG64", "must have the parts"),
    (("fitted", "_random_state", "has_gauss"), 5, "RandomState"),
    (("fitted", "_layer_parameters"), {}, "_layer_parameters"),
    (("params", "alpha"), -1.0, "'alpha' parameter"),
    (("params", "solver"), "x", "'solver' parameter"),
    (("params", "unknown"), 1, "no parameter 'unknown'"),
    (("params", "activation"), {"$array": {"dtype": "<U99999999", "shape": [1], "values": ["a"]}}, "more memory"),
    (("params", "activation"), {"$array": {"dtype": "<U9", "shape": [2**62], "values": ["a"]}}, "1 values"),
    (("params", "activation"), {"$array": {"dtype": "<V9", "shape": [1], "values": ["a"]}}, "unknown dtype"),
    (("params", "activation"), {"$unknown": 1}, "unknown tag"),
    (("params", "tol"), {"$float": "00"}, "8 bytes"),
    (("network", "loss"), "x", "loss"),
    (("network", "loss"), {"$type": "losses.MultiOutputLogLoss", "n_classes": [3]}, "does not belong"),
    (("network", "output_activation"), "x", "activation must be"),
    (("network", "n_threads"), 0, "n_threads"),
    (("network", "blocks"), {}, "blocks"),
    (("network", "dtype"), "float32", "blocks of one dtype"),
    (("$type",), "MLPEncoder", "must have the parts"),
    (("$type",), "numpy.RandomState", "must have the parts"),
]


@pytest.mark.fault(31)
@pytest.mark.parametrize(("path", "value", "reason"), FITTED, ids=str)
def test_values(path, value, reason, model, load):
    load(changed(content_of(model), set_at(*path, value=value)), reason)


@pytest.mark.fault(31)
def test_a_tensor_that_is_used_twice(model, load):
    tree_of = json.loads(parts_of(content_of(model))[0]["model"])
    again = tree_of["fitted"]["_optimizer"]["state"][0]
    load(changed(content_of(model), set_at("fitted", "_optimizer", "state", 1, value=again)), "used already")


def test_indices_into_a_generator_are_checked(load):
    generator = np.random.Generator(np.random.Philox(0))
    content = content_of(MLPRegressor(random_state=generator))
    path = ("params", "random_state", "bit_generator", "buffer_pos")
    load(changed(content, set_at(*path, value=5)), "buffer_pos must be an integer >= 0 and < 5")


def test_wrong_weights_are_told_of_at_prediction(model, tmp_path):
    def spoil(tensors):
        tensors["W_1"][0, 0] = np.nan

    path = tmp_path / "model.safetensors"
    path.write_bytes(changed(content_of(model), change_tensors=spoil))
    loaded = fastbp.load(path)
    with pytest.raises(ValueError, match=r"coefs_\[0\] holds nan"):
        loaded.predict(X)


# Other files


class Trap:
    """What an attacker's pickle would hold."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


@pytest.mark.fault(32)
@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_pickle(protocol, model, load, tmp_path):
    for thing in (model, Trap(tmp_path / "executed")):
        load(pickle.dumps(thing, protocol), "a pickle, which is not loaded: it could execute anything")
    assert not (tmp_path / "executed").exists()
    pickle.loads(pickle.dumps(Trap(tmp_path / "executed"), protocol))
    assert (tmp_path / "executed").exists()  # the trap works


@pytest.mark.fault(32)
def test_a_joblib_file(model, load, tmp_path):
    joblib.dump(model, tmp_path / "plain")
    load((tmp_path / "plain").read_bytes(), "a pickle")
    joblib.dump(model, tmp_path / "compressed", compress=3)
    load((tmp_path / "compressed").read_bytes(), "no model file")


def test_a_file_of_skops(model, load):
    load(skops.io.dumps(model), "skops.io.load")


def test_other_safetensors(load):
    load(safetensors.numpy.save({"a": np.zeros(3)}), "no metadata")
    load(safetensors.numpy.save({"a": np.zeros(3)}, {"format": "np"}), "something else that uses safetensors")


@pytest.mark.parametrize("content", [b"", b"x", b"{}", b"\0" * 100, b"GIF89a" * 50, b'{"a": 1}' * 9])
def test_anything_else(content, load):
    load(content, "no model file|JSON")


@pytest.mark.skipif(sys.platform == "win32", reason="files with holes take space there")
def test_a_large_file_is_not_read(tmp_path):
    path = tmp_path / "data"
    with open(path, "wb") as file:
        file.truncate(2**42)  # a hole, more than the memory of most machines
    with pytest.raises(ModelFileError, match="no model file"):
        fastbp.load(path)


def test_no_file(tmp_path):
    with pytest.raises(FileNotFoundError):
        fastbp.load(tmp_path / "missing")
    with pytest.raises(IsADirectoryError):
        fastbp.load(tmp_path)
    with pytest.raises(TypeError, match="path must be a str or a path, got bytes"):
        fastbp.load(content_of(Network([2, 1], random_state=0)))


def test_a_file_without_an_estimator(load):
    texts = {"format": "fastbp", "format_version": "1", "model": '{"$type": "optimizers.Adam"}'}
    texts["digest"] = digest(texts, {})
    load(safetensors.numpy.save({}, texts), "holds a Adam, and no estimator")


def test_what_is_loaded_is_its_own(model, tmp_path):
    path = tmp_path / "model.safetensors"
    fastbp.save(model, path)
    before = path.read_bytes()
    loaded = fastbp.load(path)
    loaded.coefs_[0][...] = 0
    loaded.partial_fit(X, np.array(["a", "b", "c"])[LABELS])
    assert path.read_bytes() == before
    assert_array_equal(fastbp.load(path).predict(X), model.predict(X))
