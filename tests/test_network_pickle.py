"""Pickles of a network: their content, checks when they are loaded, and damaged ones; `network.py`."""

import pickle
import subprocess
import sys

import joblib
import numpy as np
import pytest
from numpy.testing import assert_array_equal

from fastbp import MLPClassifier, MLPRegressor, Network, VersionWarning, __version__
from fastbp.optimizers import Adam
from fastbp.training import OptimizerState
from layouts import misaligned, read_only

SIZES = (4, 5, 3, 2)
X = np.random.default_rng(0).normal(size=(6, 4))
Y = np.eye(2)[[0, 1, 1, 0, 1, 0]]


def make_network():
    return Network(SIZES, ["tanh", "mish"], "softmax", "log_loss", alpha=0.1, random_state=0, n_threads=1)


def from_state(**changes):
    """A network made from a state in which something was changed."""
    network = object.__new__(Network)
    network.__setstate__({**make_network().__getstate__(), **changes})
    return network


def test_the_state_holds_what_defines_the_network():
    state = make_network().__getstate__()
    assert state.pop("_fastbp_version") == __version__
    assert_array_equal(state.pop("params"), make_network().params)
    assert state == {
        "layer_sizes": SIZES,
        "activation": ("tanh", "mish"),
        "output_activation": "softmax",
        "loss": "log_loss",
        "alpha": 0.1,
        "l1": 0.0,
        "dtype": np.dtype(float),
        "n_threads": 1,
    }


@pytest.mark.parametrize("activation", ["logistic", "tanh"])
def test_no_hidden_layer(activation):
    # `activation` decides the range of initial weights also where there is no hidden layer
    network = Network([3, 2], activation, random_state=0)
    loaded = pickle.loads(pickle.dumps(network))
    assert repr(loaded) == repr(network)
    network.initialize(1)
    loaded.initialize(1)
    assert_array_equal(loaded.params, network.params)


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        (dict(layer_sizes=(4, 5, 3, 3)), ValueError, "params in the state of a Network must be 55 numbers"),
        (dict(layer_sizes=(4, 0, 3, 2)), ValueError, "integers >= 1, got 0"),
        (dict(layer_sizes=(4, 10**7, 10**7, 2)), MemoryError, "use smaller layers"),
        (dict(activation=("tanh",)), ValueError, "one name or 2 names"),
        (dict(activation=("tanh", "tang")), ValueError, "activation must be one of"),
        (dict(output_activation="x"), ValueError, "activation must be one of"),
        (dict(loss="x"), ValueError, "loss must be one of"),
        (dict(alpha=-1.0), ValueError, "alpha must be"),
        (dict(n_threads=-3), ValueError, "n_threads must be"),
        (dict(n_threads="a"), ValueError, "n_threads must be"),
        (dict(dtype=np.dtype(np.float32)), ValueError, "must be 51 numbers of float32"),
        (dict(dtype=np.dtype(np.int64)), ValueError, "dtype must be float32, float64 or bfloat16"),
        (dict(params=np.zeros(50)), ValueError, "must be 51 numbers of float64"),
        (dict(params=np.zeros((51, 1))), ValueError, "must be 51 numbers of float64"),
        (dict(params=np.zeros(51, ">f8")), ValueError, "must be 51 numbers of float64"),
        (dict(params=[0.0] * 51), ValueError, "must be 51 numbers of float64"),
        (dict(layers=np.zeros((3, 5))), ValueError, "state of a Network must hold .*layer_sizes"),
    ],
)  # fmt: skip
def test_a_state_that_does_not_fit(changes, error, message):
    with pytest.raises(error, match=message):
        from_state(**changes)


def test_a_state_that_lacks_something():
    state = make_network().__getstate__()
    del state["alpha"]
    with pytest.raises(ValueError, match="state of a Network must hold"):
        object.__new__(Network).__setstate__(state)


@pytest.mark.fault(36)
def test_the_version():
    with pytest.warns(VersionWarning, match="Network was pickled with fastbp 0.0.7"):
        from_state(_fastbp_version="0.0.7")


@pytest.mark.parametrize(
    "form",
    [read_only, misaligned, lambda a: np.repeat(a, 2)[::2]],
    ids=["read-only", "misaligned", "strided"],
)
def test_parameters_that_cannot_be_trained_are_copied(form):
    params = form(make_network().params)
    network = from_state(params=params)
    assert not np.shares_memory(network.params, params)
    assert network.params.flags.writeable
    assert network.params.flags.aligned
    assert network.params.flags.c_contiguous
    assert all(np.shares_memory(view, network.params) for view in network.coefs + network.intercepts)
    expected = make_network().loss_and_gradient(X, Y)
    for actual, wanted in zip(network.loss_and_gradient(X, Y), expected, strict=True):
        assert_array_equal(actual, wanted)


# Read-only transport


def read_only_buffers(thing, path):
    """Pickle protocol 5 with buffers out of band, as dask and ray send them."""
    buffers = []
    stream = pickle.dumps(thing, protocol=5, buffer_callback=buffers.append)
    assert buffers
    return pickle.loads(stream, buffers=[bytes(buffer.raw()) for buffer in buffers])


def memory_map(thing, path):
    joblib.dump(thing, path / "thing")
    return joblib.load(path / "thing", mmap_mode="r")


both_ways = pytest.mark.parametrize("way", [read_only_buffers, memory_map])


@pytest.mark.fault(58)
@both_ways
def test_a_network_goes_on(way, tmp_path):
    network = way(make_network(), tmp_path)
    network.params *= 2
    network.coefs[0][0, 0] = 7.0
    assert network.params[0] == 7.0


@both_ways
def test_an_optimizer_goes_on(way, tmp_path):
    optimizer = way(OptimizerState(Adam(), 50, np.dtype(float)), tmp_path)
    for array in optimizer.state:
        array += 1
    assert optimizer.matches("adam", np.zeros(50))


@pytest.mark.fault(34)
@pytest.mark.fault(58)
@both_ways
@pytest.mark.parametrize("solver", ["adam", "sgd"])
@pytest.mark.parametrize("Estimator", [MLPClassifier, MLPRegressor])
def test_partial_fit_goes_on(Estimator, solver, way, tmp_path):
    y = np.array([0, 1, 2, 0, 1, 2])
    extra = {"classes": [0, 1, 2]} if Estimator is MLPClassifier else {}
    plain = Estimator(hidden_layer_sizes=(5,), solver=solver, batch_size=3, random_state=0).partial_fit(X, y, **extra)
    sent = way(plain, tmp_path)
    for _ in range(2):
        plain.partial_fit(X, y)
        sent.partial_fit(X, y)
    for W, expected in zip(sent.coefs_, plain.coefs_, strict=True):
        assert_array_equal(W, expected)


@pytest.mark.fault(58)
@both_ways
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
def test_warm_start_goes_on(solver, way, tmp_path):
    plain = MLPRegressor(hidden_layer_sizes=(5,), solver=solver, warm_start=True, max_iter=2, random_state=0).fit(
        X, X[:, 0]
    )
    sent = way(plain, tmp_path)
    for W, expected in zip(sent.fit(X, X[:, 0]).coefs_, plain.fit(X, X[:, 0]).coefs_, strict=True):
        assert_array_equal(W, expected)


# Damage

DAMAGE = """
import pickle, random, resource, sys, warnings

import numpy as np

from fastbp import Network
from fastbp.layers import Dense, Residual

warnings.simplefilter("ignore")
limit = 3 * 2**30  # a changed length must not take the machine's memory
resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
changes, seed = map(int, sys.argv[1:3])
if sys.argv[3] == "layers":
    layers = [Dense(5, "tanh"), Residual([Dense(5, "mish", penalty_factor=0.5)]), Dense(2)]
    definition = dict(layers=layers, n_features=4)
else:
    definition = dict(layer_sizes=[4, 5, 3, 2], activation=["tanh", "mish"])
network = Network(**definition, output_activation="softmax", loss="log_loss", alpha=0.1, random_state=0)
X, y = np.ones((6, 4)), np.array([0, 1, 1, 0, 1, 0])
whole = pickle.dumps(network)
rng = random.Random(seed)
worked = 0
for _ in range(changes):
    damaged = bytearray(whole)
    place = rng.randrange(len(whole))
    damaged[place] ^= 1 << rng.randrange(8) if rng.random() < 0.5 else rng.randrange(1, 256)
    try:
        other = pickle.loads(bytes(damaged))
        if not isinstance(other, Network):
            continue
        with np.errstate(all="ignore"):
            other.forward(np.ones((6, other.layer_sizes[0])))
            other.loss_and_gradient(X, y)
            other.vjp(X, np.ones((6, 2)))
            other.copy()
        worked += 1
    except Exception:
        pass
print("worked", worked)
"""


@pytest.mark.fault(46)
@pytest.mark.skipif(sys.platform == "win32", reason="memory cannot be limited there")
@pytest.mark.parametrize("definition", ["layer_sizes", "layers"])
def test_single_bytes_changed(definition):
    command = [sys.executable, "-c", DAMAGE, "3000", "0", definition]
    process = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert process.returncode == 0, (process.returncode, process.stderr[-2000:])
    # most bytes are those of parameters, and any number will do there
    assert 500 < int(process.stdout.split()[1]) < 3000
