"""Threads that use one object at the same time: first uses, and reading beside a fit that ends.

Without a GIL these run in parallel; with one, threads are switched often enough to meet between two attributes.
"""

import pickle
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec

import numpy as np
import pytest
import scipy.sparse as sp
from numpy.testing import assert_array_equal
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

import fastbp
from fastbp import MLPClassifier, MLPEncoder, MLPRegressor, Network, TabularMLPClassifier, find_learning_rate
from fastbp.base_network import kept_dense_stack
from fastbp.layers import BatchNorm, Dense, Dropout, Residual
from running_threads import LONG

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

N_THREADS = 8
SETTINGS = dict(max_iter=2, batch_size=16, random_state=0)


@pytest.fixture(autouse=True)
def frequent_switches():
    """Threads take turns after 10 microseconds in place of 5 milliseconds, where there is a GIL."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    yield
    sys.setswitchinterval(before)


def problem(n=60):
    X = np.random.default_rng(0).normal(size=(n, 5))
    return X, (X[:, 0] > 0).astype(int)


def at_once(*functions):
    """What the functions return, called by a thread each, all at the same moment."""
    start = threading.Barrier(len(functions))

    def call(function):
        start.wait(LONG)
        return function()

    with ThreadPoolExecutor(len(functions)) as pool:
        return list(pool.map(call, functions))


def read_beside_refits(model, refits, read, n_rounds):
    """What ``read()`` returns in a thread, again and again, while each of `refits` is called in turn."""
    seen, stop, begun = [], threading.Event(), threading.Event()

    def reading():
        try:
            while not stop.is_set():
                seen.append(read())
                begun.set()
        finally:
            begun.set()

    with ThreadPoolExecutor(2) as pool:
        readers = [pool.submit(reading) for _ in range(2)]
        try:
            assert begun.wait(LONG)
            for number in range(n_rounds):
                refits[number % len(refits)](model)
        finally:
            stop.set()
        for reader in readers:
            reader.result()
    return seen


def layered():
    return [Dense(8, "tanh"), BatchNorm(), Residual([Dense(8, "relu"), Dropout(0.1)]), Dense(1)]


# First uses


@pytest.mark.parametrize("seed", range(5))
def test_networks_of_the_same_new_layers(seed):
    # layers, graph and compiled programs are kept, and made at the first use
    kept_dense_stack.cache_clear()
    X, y = problem()

    def use():
        network = Network([5, 7, 1], output_activation="logistic", loss="log_loss", random_state=seed)
        loss, gradient = network.loss_and_gradient(X, y)
        return network.forward(X), loss, gradient, network.jacobian(X), network.hvp(X, y, gradient)

    expected, *others = at_once(*[use] * N_THREADS)
    for found in others:
        for value, same in zip(found, expected, strict=True):
            assert_array_equal(value, same)


@pytest.mark.parametrize("seed", range(5))
def test_every_method_of_one_new_network(seed):
    X, y = problem()
    settings = dict(layers=layered(), n_features=5, random_state=seed)
    dense_only = Network([5, 7, 1], random_state=seed)
    expected, shared = Network(**settings), Network(**settings)
    methods = [
        lambda network: network.forward(X),
        lambda network: network.raw_prediction(X),
        lambda network: network.loss_and_gradient(X, y)[1],
        lambda network: network.jacobian(X),
        lambda network: network.jvp(X, X),
        lambda network: network.input_gradient(X, y),
        lambda network: network.copy().forward(X),
        lambda network: pickle.loads(pickle.dumps(network)).forward(X),
        lambda _: dense_only.forward(sp.csr_array(X)),
    ]
    found = at_once(*[lambda method=method: method(shared) for method in methods])
    for method, value in zip(methods, found, strict=True):
        assert_array_equal(value, method(expected))


@pytest.mark.parametrize("Estimator", [MLPClassifier, MLPRegressor])
def test_first_calls_of_a_loaded_model(Estimator, tmp_path):
    X, y = problem()
    pickled = pickle.dumps(Estimator(hidden_layer_sizes=(8,), normalization="batch", **SETTINGS).fit(X, y))
    methods = [
        lambda model, _: model.predict(X),
        lambda model, _: model.predict(X.astype(np.float32)),
        lambda model, _: model.score(X, y),
        lambda model, _: fastbp.hidden_activations(model, X),
        lambda model, _: model.network_.input_gradient(X, y),
        lambda model, _: pickle.loads(pickle.dumps(model)).predict(X),
        lambda model, _: clone(model).fit(X, y).predict(X),
    ]
    if find_spec("safetensors"):
        methods.append(lambda model, path: saved_and_loaded(model, path).predict(X))
    serial = [method(pickle.loads(pickled), tmp_path / "serial") for method in methods]
    shared = pickle.loads(pickled)
    found = at_once(*[lambda i=i, method=method: method(shared, tmp_path / str(i)) for i, method in enumerate(methods)])
    for value, expected in zip(found, serial, strict=True):
        assert_array_equal(value, expected)


def saved_and_loaded(model, path):
    pytest.importorskip("safetensors")
    fastbp.save(model, path)
    return fastbp.load(path)


# Beside a fit


def in_turn(make, data, outcome):
    """A model, the functions that fit it to the data in turn, and the outcomes, as bytes, of whole models."""
    whole = {outcome(make().fit(*rows)).tobytes() for rows in data}
    return make().fit(*data[-1]), [lambda model, rows=rows: model.fit(*rows) for rows in data], whole


@pytest.mark.fault(25)
def test_the_network_beside_refits():
    # weights of one fit with the normalization of another would be a model that nobody has trained
    X, y = problem()
    model, refits, whole = in_turn(
        lambda: MLPClassifier((8, 8), normalization="batch", activation="prelu", **SETTINGS),
        [(X, y), (X * 5 + 1, 1 - y)],
        lambda model: model.network_.forward(X),
    )
    seen = read_beside_refits(model, refits, lambda: model.network_.forward(X), 40)
    assert {output.tobytes() for output in seen} <= whole


@pytest.mark.fault(25)
@pytest.mark.parametrize("Estimator", [MLPClassifier, TabularMLPClassifier, MLPEncoder])
def test_a_file_that_is_saved_beside_refits(Estimator, tmp_path):
    X, y = problem()
    makers = {
        MLPClassifier: lambda: MLPClassifier((8,), normalization="batch", **SETTINGS),
        TabularMLPClassifier: lambda: TabularMLPClassifier(n_ensemble=1, epochs=1, oob_fraction=0, random_state=0),
        MLPEncoder: lambda: MLPEncoder(2, (4,), MLPRegressor(**SETTINGS)),
    }

    def outcome(model):
        return model.predict_proba(X) if hasattr(model, "predict_proba") else model.transform(X)

    model, refits, whole = in_turn(makers[Estimator], [(X, y), (X * 5 + 1, 1 - y)], outcome)

    def read():
        path = tmp_path / f"{threading.get_ident()}"
        return outcome(saved_and_loaded(model, path))

    seen = read_beside_refits(model, refits, read, 10)
    assert {output.tobytes() for output in seen} <= whole


@pytest.mark.fault(25)
def test_a_code_beside_refits_of_an_encoder():
    X, _ = problem()
    model, refits, whole = in_turn(
        lambda: MLPEncoder(2, (4,), MLPRegressor(**SETTINGS)),
        [(X,), (X * 5 + 1,)],
        lambda model: model.inverse_transform(np.eye(2)),
    )
    seen = read_beside_refits(model, refits, lambda: model.inverse_transform(np.eye(2)), 30)
    assert {output.tobytes() for output in seen} <= whole


@pytest.mark.fault(51)
def test_an_encoder_in_its_first_fit():
    X, _ = problem()
    seen = []

    class Look:
        def on_epoch_end(self, state):
            with pytest.raises(NotFittedError):
                model.transform(X)
            seen.append(state.epoch)

    model = MLPEncoder(2, (4,), MLPRegressor(callbacks=[Look()], **SETTINGS))
    model.fit(X)
    assert seen == [1, 2]


@pytest.mark.fault(21)
def test_an_encoder_after_a_fit_that_failed():
    X, _ = problem()
    model = MLPEncoder(2, (4,), MLPRegressor(**SETTINGS)).fit(X)
    code = model.transform(X)
    model.set_params(regressor__solver="nonsense")
    with pytest.raises(ValueError, match="solver"):
        model.fit(X[:, :3])
    assert_array_equal(model.transform(X), code)


# Calls that share nothing but the modules


def test_tabular_predictions_at_once():
    X, y = problem(200)
    table = X.astype(object)
    table[:, 1] = np.where(X[:, 1] > 0, "high", "low")
    model = TabularMLPClassifier(n_ensemble=2, epochs=2, random_state=0).fit(table, y)
    parts = [slice(10 * i, None) for i in range(N_THREADS)]
    expected = [model.predict_proba(table[part]) for part in parts]
    found = at_once(*[lambda part=part: model.predict_proba(table[part]) for part in parts])
    for value, serial in zip(found, expected, strict=True):
        assert_array_equal(value, serial)


@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
def test_streams_sweeps_and_fits_at_once(solver):
    X, y = problem(200)

    def fit():
        return MLPClassifier((8,), solver=solver, **SETTINGS).fit(X, y).predict_proba(X)

    def sweep():
        return find_learning_rate(MLPClassifier((8,), **SETTINGS), X, y, n_steps=20).losses

    def stream():
        blocks = [(X[begin : begin + 50], y[begin : begin + 50]) for begin in range(0, 200, 50)]
        model = MLPClassifier((8,), **SETTINGS)
        return model.fit_batches(blocks, shuffle_rows=100).predict_proba(X)

    functions = [fit, sweep, stream]
    expected = [function() for function in functions]
    found = at_once(*functions * 3)
    for number, value in enumerate(found):
        assert_array_equal(value, expected[number % 3])
