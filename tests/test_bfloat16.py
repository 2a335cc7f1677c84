"""Training with ``dtype="bfloat16"``: gradients, threads, copies and files, and what is refused."""

import pickle
import re

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.datasets import load_digits

import fastbp
import warm_python
from bfloat16_cases import UNIT, needs_bfloat16, product
from fastbp import MLPClassifier, MLPRegressor, Network, fit_many, slim
from fastbp.callbacks import Checkpoint
from fastbp.layers import BatchNorm, Dense, Residual

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

RNG = np.random.default_rng(0)
X = RNG.normal(size=(300, 40)).astype(np.float32)
Y = np.stack([X[:, 0] * X[:, 1], X[:, 2], np.abs(X[:, 3])], axis=1)
LABELS = (X[:, 0] > 0).astype(int) + (X[:, 1] > 0.5)
SMALL = dict(hidden_layer_sizes=(33, 17), batch_size=64, max_iter=5, random_state=0)
LAYERS = [Dense(24, "relu"), BatchNorm(), Residual([Dense(24, "gelu"), Dense(24)]), Dense(3)]


def network(dtype, activation="relu", n_outputs=3):
    """Of three layers, with the same parameters, which are float32 numbers, in each precision."""
    return Network([40, 33, 17, n_outputs], activation, dtype=np.float32, random_state=0).astype(dtype)


# What is computed in bfloat16


@needs_bfloat16
@pytest.mark.parametrize("activation", ["tanh", "logistic"])
def test_the_error_of_the_gradient(activation):
    """Up to seven products lie on the way to the gradient of a block: three forward, three backward, and its own. The
    rounding of two factors changes each of them by less than twice UNIT / 2, and on the average over many by less."""
    exact = network("float64", activation)
    loss, gradient = exact.loss_and_gradient(X, Y)
    low, given = exact.astype("bfloat16").loss_and_gradient(X, Y)
    assert given.dtype == np.float32
    assert np.isfinite(given).all()
    assert low == pytest.approx(loss, rel=UNIT)
    for name, block in exact.split_blocks(gradient).items():
        error = exact.split_blocks(given)[name] - block
        assert np.linalg.norm(error) <= 7 * UNIT * np.linalg.norm(block), name
    # the gradient of float32 is nearer by far
    near = exact.astype(np.float32).loss_and_gradient(X, Y)[1]
    assert np.linalg.norm(given - gradient) > 100 * np.linalg.norm(near - gradient)


@needs_bfloat16
@pytest.mark.parametrize("n_outputs", [3, 9])
def test_the_gradient_of_a_step_in_numpy(n_outputs):
    """With relu a rounding may change the side of the kink, so that the gradient jumps: the same step in NumPy, with
    the same roundings. The values of up to four outputs are computed in float32."""
    net, y = network("bfloat16", n_outputs=n_outputs), np.tile(Y, 3)[:, :n_outputs].astype(np.float32)
    values = [X]
    for W, b in zip(net.coefs, net.intercepts, strict=True):
        z = product(values[-1], W, b) if W.shape[1] > 4 else values[-1] @ W + b
        values.append(np.maximum(z, 0) if W is not net.coefs[-1] else z)
    delta, expected = values.pop() - y, []
    for W, x in zip(net.coefs[::-1], values[::-1], strict=True):
        expected.append(product(np.ascontiguousarray(x.T), delta) / len(X))
        delta = product(delta, np.ascontiguousarray(W.T)) * (x > 0)
    blocks = net.split_blocks(net.loss_and_gradient(X, y)[1])
    for name, block in zip(("W_3", "W_2", "W_1"), expected, strict=True):
        # a sum of float32 that ends at another number may be rounded to another bfloat16; that is seldom
        assert np.linalg.norm(blocks[name] - block) <= UNIT / 10 * np.linalg.norm(block), name


@needs_bfloat16
def test_only_training_is_in_bfloat16():
    low, single = network("bfloat16"), network("float32")
    v, direction = np.ones((len(X), 3), np.float32), np.ones(low.n_params, np.float32)
    assert (low.dtype, low.precision, single.precision) == (np.float32, "bfloat16", "float32")
    assert "bfloat16" in repr(low)
    assert_array_equal(low.forward(X), single.forward(X))
    assert_array_equal(low.jacobian(X[:5]), single.jacobian(X[:5]))
    assert_array_equal(low.vjp(X, v), single.vjp(X, v))
    assert_array_equal(low.hvp(X, Y, direction), single.hvp(X, Y, direction))
    assert not np.array_equal(low.loss_and_gradient(X, Y)[1], single.loss_and_gradient(X, Y)[1])


@needs_bfloat16
@pytest.mark.parametrize("params", [{}, {"layers": LAYERS[:-1]}, {"solver": "muon"}, {"batch_size": 1, "max_iter": 2}])
def test_threads_do_not_change_the_result(params):
    models = [MLPClassifier(dtype="bfloat16", n_threads=n, **(SMALL | params)).fit(X, LABELS) for n in (1, 2, 3)]
    assert np.isfinite(models[0].loss_curve_).all()
    assert models[0].loss_curve_[-1] < models[0].loss_curve_[0]
    for model in models[1:]:
        assert_array_equal(model.network_.params, models[0].network_.params)
        assert model.loss_curve_ == models[0].loss_curve_


@needs_bfloat16
def test_a_fit_is_as_good_as_in_float32():
    rows, y = load_digits(return_X_y=True)
    params = dict(max_iter=20, random_state=0)
    low, single = (MLPClassifier(dtype=dtype, **params).fit(rows / 16, y) for dtype in ("bfloat16", "float32"))
    assert low.score(rows / 16, y) == pytest.approx(single.score(rows / 16, y), abs=0.01)
    assert not np.array_equal(low.coefs_[0], single.coefs_[0])


# Types, copies and files


@needs_bfloat16
@pytest.mark.parametrize("given", [np.float32, np.float64, np.int64])
def test_all_arrays_are_float32(given):
    rows = (8 * X).astype(given)
    model = MLPRegressor(dtype="bfloat16", **SMALL).fit(rows, Y)
    assert {array.dtype for array in (*model.coefs_, *model.intercepts_)} == {np.dtype(np.float32)}
    assert (model.network_.precision, model.predict(rows).dtype) == ("bfloat16", np.float32)
    expected = MLPRegressor(dtype="bfloat16", **SMALL).fit(rows.astype(np.float32), Y)
    assert_array_equal(model.network_.params, expected.network_.params)


@needs_bfloat16
def test_copies_go_on_in_bfloat16(tmp_path):
    model = MLPClassifier(dtype="bfloat16", **SMALL).partial_fit(X, LABELS, classes=np.unique(LABELS))
    fastbp.save(model, tmp_path / "model.safetensors")
    copies = [pickle.loads(pickle.dumps(model)), fastbp.load(tmp_path / "model.safetensors")]
    model.partial_fit(X, LABELS)
    for copy in copies:
        assert (copy.dtype, copy.network_.precision) == ("bfloat16", "bfloat16")
        copy.partial_fit(X, LABELS)
        assert_array_equal(copy.network_.params, model.network_.params)
    assert clone(model).dtype == "bfloat16"
    assert slim(model).network_.precision == "bfloat16"
    net = model.network_
    for copy in (net.copy(), pickle.loads(pickle.dumps(net)), net.part(0, 2), net.astype("bfloat16")):
        assert copy.precision == "bfloat16"
    assert net.astype(np.float32).precision == "float32"


@needs_bfloat16
def test_a_change_of_dtype():
    model = MLPClassifier(dtype="float32", **SMALL).partial_fit(X, LABELS, classes=np.unique(LABELS))
    for dtype, precision in (("bfloat16", "bfloat16"), (None, "bfloat16"), ("float64", "float64")):
        model.set_params(dtype=dtype).partial_fit(X, LABELS)
        assert model.network_.precision == precision
    # weights of one's own are taken over, and predictions are those of float32
    model.set_params(dtype="bfloat16").partial_fit(X, LABELS)
    model.coefs_ = [W.copy() for W in model.coefs_]
    before = model.predict_proba(X)
    assert_array_equal(model.partial_fit(X, LABELS).network_.precision, "bfloat16")
    assert not np.array_equal(model.predict_proba(X), before)


@needs_bfloat16
def test_a_killed_run_goes_on(tmp_path):
    whole = MLPClassifier(dtype="bfloat16", **SMALL).fit(X, LABELS)
    path = tmp_path / "run.safetensors"

    class Stop:
        def on_epoch_end(self, state):
            return state.epoch == 2

    MLPClassifier(dtype="bfloat16", callbacks=[Checkpoint(path), Stop()], **SMALL).fit(X, LABELS)
    resumed = MLPClassifier(dtype="bfloat16", **SMALL).fit(X, LABELS, resume_from=path)
    assert_array_equal(resumed.network_.params, whole.network_.params)


@needs_bfloat16
def test_fit_many():
    base = MLPClassifier(dtype="bfloat16", **SMALL)
    models = fit_many([clone(base), clone(base).set_params(dtype="float32")], X.astype(np.float64), LABELS)
    assert [model.network_.precision for model in models] == ["bfloat16", "float32"]
    assert_array_equal(models[0].network_.params, clone(base).fit(X, LABELS).network_.params)


@needs_bfloat16
def test_an_estimator_of_a_network():
    net = Network([40, 8, 3], output_activation="softmax", loss="log_loss", dtype="bfloat16", random_state=0)
    model = fastbp.from_network(net, classes=[0, 1, 2])
    assert model.network_.precision == "bfloat16"
    assert_array_equal(model.predict_proba(X), net.forward(X))


# What is refused


@needs_bfloat16
def test_lbfgs():
    with pytest.raises(ValueError, match=r"solver='lbfgs' cannot train with dtype='bfloat16'.* use dtype='float32'"):
        MLPRegressor(solver="lbfgs", dtype="bfloat16").fit(X, Y)


def test_a_bad_value():
    with pytest.raises(ValueError, match=r"dtype must be float32, float64 or bfloat16, got dtype\('float16'\)"):
        Network([2, 1], dtype=np.float16)
    with pytest.raises(ValueError, match=r"The 'dtype' parameter of MLPRegressor must be .*'bfloat16'"):
        MLPRegressor(dtype="bf16").fit(X, Y)


ELSEWHERE = """
import sys
import numpy as np
import fastbp
rows = np.load(sys.argv[1])
config = fastbp.show_config(mode="dicts")["bfloat16"]
assert config["available"] is False
print(config["reason"])
model = fastbp.load(sys.argv[2])
np.save(sys.argv[3], model.predict(rows))
for train in (
    lambda: model.partial_fit(rows, rows[:, :3]),
    lambda: fastbp.MLPRegressor(dtype="bfloat16").fit(rows, rows[:, 0]),
    lambda: model.network_.loss_and_gradient(rows, rows[:, :3]),
):
    try:
        train()
    except ValueError as error:
        print(error)
    else:
        raise AssertionError("it trains without the instructions")
assert not hasattr(fastbp.MLPRegressor(), "coefs_")
model.set_params(dtype="float32").partial_fit(rows, rows[:, :3])
"""


@needs_bfloat16
def test_where_the_instructions_are_missing(tmp_path):
    """A model that was trained here predicts elsewhere, and is not trained further in another arithmetic."""
    model = MLPRegressor(dtype="bfloat16", **SMALL).fit(X, Y)
    paths = [tmp_path / name for name in ("rows.npy", "model.safetensors", "predictions.npy")]
    np.save(paths[0], X)
    fastbp.save(model, paths[1])
    process = warm_python.run(["-c", ELSEWHERE, *paths], FASTBP_ISA="avx2")
    assert process.returncode == 0, process.stderr
    reason, *errors = process.stdout.splitlines()
    assert reason == "FASTBP_ISA=avx2 excludes its instructions: set FASTBP_ISA=avx512 or leave it unset"
    for error in errors:
        assert error.startswith(f"dtype='bfloat16' is not possible here: {reason}. Train with dtype='float32'")
    assert len(errors) == 3
    # the sums of 40 numbers of order one, added in another order
    assert_allclose(np.load(paths[2]), model.predict(X), rtol=1e-4, atol=1e-5)


def test_the_configuration(capsys):
    config = fastbp.show_config(mode="dicts")["bfloat16"]
    assert config["available"] is (config.get("reason") is None)
    fastbp.show_config()
    assert re.search(r"^bfloat16:\n  available: (True|False\n  reason: .+)$", capsys.readouterr().out, re.MULTILINE)
