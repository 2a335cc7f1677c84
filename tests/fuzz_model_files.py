"""Mutations of model files: each must give a `ModelFileError`, or a model that works; anything else is a failure.

Run as a script, in a process whose memory is limited::

    python tests/fuzz_model_files.py <number of mutations> <seed>

It prints how many mutations of each kind were refused, and how many gave a model. A crash, a `MemoryError`, an
exception of another kind, or a model that raises anything but ValueError or TypeError ends it with an error.
``FASTBP_FUZZ=100000`` has the test suite run so many.
"""

import copy
import json
import random
import re
import sys
import tempfile
import warnings
from collections import Counter
from itertools import cycle
from pathlib import Path
from time import perf_counter

import numpy as np
import safetensors.numpy

import fastbp
from fastbp import MLPClassifier, MLPEncoder, MLPRegressor, ModelFileError, Network
from fastbp.files.container import checked_header, digest
from fastbp.files.model_file import content_of, model_of
from fastbp.layers import Activation, BatchNorm, Dense, Residual, Scale
from fastbp.losses import Quantile
from fastbp.optimizers import Muon
from fastbp.schedules import Plateau

#: Bytes of memory beyond those that the process has when the first mutation is made
MEMORY = 2**28
X = np.random.default_rng(0).normal(size=(12, 3))
LABELS = np.arange(12) % 3
#: What JSON is mutated to: other types, and numbers at which something may overflow
VALUES = [
    None, True, False, 0, -1, 1, 2, 3, 7, 2**31, 2**32, 2**63, 2**64, 10**30, -(2**63), 0.5, -0.0, 1e308, 1e-320,
    "", "x", "adam", "relu", "labels", "W_1", "<f8", "|O", "<U99999999", "<M8[ns]", [], [0], [[]], {}, {"a": 1},
    [2**40, 2**40], {"$tuple": []}, {"$float": "000000000000f87f"}, {"$float": "000000000000f07f"},
    {"$scalar": ["<f4", 1.0]}, {"$array": {"dtype": "|O", "shape": [1], "values": ["a"]}}, {"$dict": [[1, 2]]},
    {"$array": {"dtype": "<U100000", "shape": [2], "values": ["a", "b"]}}, {"$slice": [0, 1, None]},
    {"$type": "layers.Dense", "units": 2**40}, {"$type": "layers.Dense", "units": 3}, {"$type": "layers.Residual"},
    {"$type": "optimizers.Adam"}, {"$type": "losses.Quantile", "quantile": [0.1, 0.5]}, {"$type": "schedules.Cosine"},
]  # fmt: skip


def models():
    """Fitted estimators and a network that together have most parts that a file can have."""
    settings = dict(hidden_layer_sizes=(3,), max_iter=2, random_state=0, n_threads=1)
    layers = [Dense(3), BatchNorm(), Activation("prelu"), Residual([Dense(3, "tanh"), Scale(0.5)])]
    generator = np.random.Generator(np.random.Philox(1))
    text = np.array(["a", "b", "c"])
    yield MLPClassifier(**settings, early_stopping=True, validation_fraction=0.5).fit(X, text[LABELS])
    yield MLPRegressor(**settings | {"layers": layers}, solver=Muon(), ema_decay=0.5).fit(X, X[:, :2])
    yield MLPClassifier(**settings | {"random_state": generator}).fit(X, np.eye(3, dtype=int)[LABELS])
    yield MLPClassifier(**settings, class_weight=None, swa_start=0.5).fit(X, np.stack([LABELS, LABELS % 2], axis=1))
    yield MLPRegressor(**settings, loss=Quantile([0.1, 0.9]), learning_rate=Plateau(), solver="sgd").fit(X, X[:, 0])
    yield MLPEncoder(2, (3,), MLPRegressor(max_iter=1, random_state=np.random.RandomState(0))).fit(X)
    yield Network([3, 4, 2], ["gelu"], "softmax", "log_loss", alpha=0.1, random_state=0)


def use(model):
    """Whether a loaded model works: predictions, and a step of training. ValueError and TypeError with a message are an
    answer too: weights that are not a number, parameters that do not fit together."""
    try:
        with np.errstate(all="ignore"):
            repr(model)
            if isinstance(model, Network):
                model.forward(np.ones((5, model.layer_sizes[0])))
                model.copy()
            elif isinstance(model, MLPEncoder):
                if hasattr(model, "regressor_"):
                    code = model.transform(np.ones((5, model.n_features_in_)))
                    model.inverse_transform(code)
            elif hasattr(model, "coefs_"):
                use_estimator(model)
    except (ValueError, TypeError) as error:
        return "model that refuses" if str(error) else "error without a message"
    return "model that works"


def use_estimator(model):
    rows = np.random.default_rng(1).normal(size=(6, model.n_features_in_))
    y = model.predict(rows)
    model.get_params()
    if isinstance(model, MLPClassifier):
        model.predict_proba(rows)
        if model._form == "probabilities":
            return
    # a size that was set is one that a user asks for, and may be too large
    asked = repr((model.hidden_layer_sizes, model.layers))
    if hasattr(model, "partial_fit") and not re.search(r"\d{6}", asked):
        if isinstance(model.loss, Quantile):
            y = y if y.ndim == 1 else y[:, 0]
        model.set_params(early_stopping=False, swa_start=None)  # which partial_fit does not support
        model.partial_fit(rows, y)
        model.predict(rows)


# Mutations: (random.Random, bytes) -> bytes


def flip(rng, content):
    """A byte is changed."""
    place = rng.randrange(len(content))
    return content[:place] + bytes([content[place] ^ rng.randrange(1, 256)]) + content[place + 1 :]


def flips(rng, content):
    """Some bytes are changed."""
    for _ in range(rng.randrange(2, 20)):
        content = flip(rng, content)
    return content


def cut(rng, content):
    """The end is missing."""
    return content[: rng.randrange(len(content))]


def insert(rng, content):
    """Bytes are inserted."""
    place = rng.randrange(len(content) + 1)
    return content[:place] + rng.randbytes(rng.randrange(1, 9)) + content[place:]


def drop(rng, content):
    """Bytes are missing."""
    place = rng.randrange(len(content))
    return content[:place] + content[place + rng.randrange(1, 9) :]


def swap(rng, content):
    """Two runs of bytes have changed places."""
    length = rng.randrange(1, 17)
    first, second = sorted(rng.sample(range(0, len(content) - length, length), 2))
    parts = content[:first], content[second : second + length], content[first + length : second]
    return b"".join([*parts, content[first : first + length], content[second + length :]])


def header_number(rng, content):
    """A number in the header is another one, and the header as long as it is."""
    length = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + length])
    name = rng.choice([name for name in header if name != "__metadata__"])
    entry = header[name]
    value = rng.choice([2**63, 2**64, -1, 0, 1, 2**31, 2**62, 10**40, None, 1.5, "3"])
    which = rng.choice(["shape", "data_offsets", "dtype"])
    if which == "dtype":
        entry["dtype"] = rng.choice(["F64", "F32", "F16", "BF16", "I64", "U8", "BOOL", "F8_E4M3", "C64", "x", 3])
    elif entry[which] and rng.random() < 0.8:
        entry[which][rng.randrange(len(entry[which]))] = value
    else:
        entry[which].append(value)
    return with_header(header, content[8 + length :])


def with_header(header, data):
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + data


# Mutations of what is in the file, whose digest is made right again


def places(tree, path=()):
    """The paths of all values in a tree of JSON."""
    yield path
    items = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    for key, item in items:
        yield from places(item, (*path, key))


def at(tree, path):
    for key in path:
        tree = tree[key]
    return tree


def change_tree(rng, tree):
    """Change a value, remove it, or put another part of the tree in its place."""
    path = rng.choice([path for path in places(tree) if path])
    parent, key = at(tree, path[:-1]), path[-1]
    kind = rng.random()
    if kind < 0.6:
        value = parent[key]
        if isinstance(value, (int, float)) and rng.random() < 0.4:
            value = rng.choice([value + 1, value - 1, -value, value * 2, value * 2**40, float(value)])
        elif isinstance(value, str) and value and rng.random() < 0.4:
            value = rng.choice([value[:-1], value + "x", value.upper(), value * 2])
        else:
            value = copy.deepcopy(rng.choice(VALUES))
        parent[key] = value
    elif kind < 0.75:
        del parent[key]
    elif kind < 0.95:
        parent[key] = copy.deepcopy(at(tree, rng.choice(list(places(tree)))))
    elif isinstance(parent, dict):
        parent[rng.choice(["x", "$type", "$tensor", "$tuple", "fitted"])] = rng.choice(VALUES)
    else:
        parent.insert(key, rng.choice(VALUES))


def json_level(rng, content):
    """The JSON of the model is another one, and the digest agrees."""
    length = int.from_bytes(content[:8], "little")
    texts = json.loads(content[8 : 8 + length])["__metadata__"]
    tree = json.loads(texts["model"])
    for _ in range(1 if rng.random() < 0.7 else rng.randrange(2, 5)):
        change_tree(rng, tree)
    texts["model"] = json.dumps(tree)
    return signed(texts, safetensors.numpy.load(content))


def tensor_level(rng, content):
    """A tensor has other numbers, another shape, dtype or name, is missing or one too many, and the digest agrees."""
    length = int.from_bytes(content[:8], "little")
    texts = json.loads(content[8 : 8 + length])["__metadata__"]
    tensors = safetensors.numpy.load(content)
    name = rng.choice(list(tensors))
    array = tensors[name]
    kind = rng.randrange(7)
    if kind == 0:
        tensors[rng.choice([*tensors, "x"])] = tensors.pop(name)
    elif kind == 1:
        del tensors[name]
    elif kind == 2:
        tensors["x"] = array
    elif kind == 3:
        tensors[name] = np.ascontiguousarray(
            rng.choice([array.ravel(), array[..., None], array.T, array[:1], array[:0]])
        )
    elif kind == 4:
        tensors[name] = array.astype(rng.choice(["f4", "f8", "i8", "u1", "?"]))
    elif array.size:
        numbers = [np.nan, np.inf, -np.inf, 1e308, 5e-324, -1.0] if array.dtype.kind == "f" else [0, 1, 2**31 - 1]
        array.reshape(-1)[rng.randrange(array.size)] = rng.choice(numbers)
    return signed(texts, tensors)


def byte_level(rng, content):
    """A byte of the texts or the data is changed, and the digest agrees."""
    for _ in range(20):
        changed = flip(rng, content)
        try:
            header = checked_header(changed)
            tensors = safetensors.numpy.load(changed)
        except Exception:
            continue
        return signed(header["__metadata__"], tensors)
    return changed


def signed(texts, tensors):
    texts = {name: text for name, text in texts.items() if name != "digest"}
    return safetensors.numpy.save(tensors, {**texts, "digest": digest(texts, tensors)})


#: In turn; those that come thrice reach the checks behind the digest
MUTATIONS = [flip, json_level, tensor_level, byte_level, flips, json_level, cut, insert, json_level, drop, swap]
MUTATIONS.append(header_number)


def outcome(content):
    """What loading gives, in words; anything but a refusal or a model is raised."""
    path = FOLDER / "model.safetensors"
    path.write_bytes(content)
    try:
        model = fastbp.load(path)
    except ModelFileError as error:
        if not str(error).startswith(str(path)):
            raise AssertionError(f"the message does not name the file: {error}") from error
        return "refused"
    return use(model)


def limit_memory():
    """Limit the memory of this process to what it has now, and ``MEMORY`` more."""
    import resource

    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * resource.getpagesize() + MEMORY
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


def main(n, seed):
    warnings.simplefilter("ignore")
    files = [content_of(model) for model in models()]
    for content in files:
        assert use(model_of(content)[0]) == "model that works"
    if sys.platform == "linux":
        limit_memory()
    counts, begin = Counter(), perf_counter()
    for number, mutate in zip(range(n), cycle(MUTATIONS)):
        rng = random.Random(f"{seed} {number}")
        content = mutate(rng, rng.choice(files))
        try:
            found = outcome(content)
        except BaseException:
            print(f"mutation {number} of seed {seed}, {mutate.__name__}", file=sys.stderr)
            raise
        counts[mutate.__name__, found] += 1
    for (name, found), count in sorted(counts.items()):
        print(f"{name}: {found}: {count}")
    print(f"{n} mutations in {perf_counter() - begin:.0f} s")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        FOLDER = Path(folder)
        main(int(sys.argv[1]), int(sys.argv[2]))
