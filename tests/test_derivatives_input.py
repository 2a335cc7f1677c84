"""Arguments of the derivatives of a network, and losses that are functions; `derivatives.py`."""

import pickle
import threading
import time

import numpy as np
import pytest
import scipy.sparse as sp
from numpy.testing import assert_allclose, assert_array_equal

import fastbp.derivatives
from fastbp import MLPRegressor, Network
from fastbp.kernels.pool import Pool
from fastbp.kernels.slicing import DERIVATIVE_ROWS
from layouts import LAYOUTS
from network_cases import SIZES, problem
from running_threads import count_threads, wait_for_threads

X, Y, WEIGHT = problem("squared_error", 7)
RNG = np.random.default_rng(0)
U, V = RNG.normal(size=X.shape), RNG.normal(size=Y.shape)
NETWORK = Network(SIZES, "tanh", alpha=0.1, random_state=0)
DIRECTION = RNG.normal(size=NETWORK.n_params)

# method: its arguments by name
ARGUMENTS = {
    "vjp": dict(X=X, v=V),
    "jvp": dict(X=X, u=U),
    "jacobian": dict(X=X),
    "backward": dict(X=X, dA=V),
    "input_gradient": dict(X=X, y=Y, sample_weight=WEIGHT),
    "hvp": dict(X=X, y=Y, direction=DIRECTION, sample_weight=WEIGHT),
}
INPUTS = [(method, name) for method, arguments in ARGUMENTS.items() for name in arguments]
every_input_but_weights = pytest.mark.parametrize(("method", "name"), [i for i in INPUTS if i[1] != "sample_weight"])
every_input = pytest.mark.parametrize(("method", "name"), INPUTS)
every_method = pytest.mark.parametrize("method", ARGUMENTS)


def results(method, network=NETWORK, **changes):
    found = getattr(network, method)(**{**ARGUMENTS[method], **changes})
    return found if isinstance(found, tuple) else (found,)


def assert_same(actual, expected):
    for found, values in zip(actual, expected, strict=True):
        assert_array_equal(found, values)


# Layouts and types


@pytest.mark.parametrize("layout", LAYOUTS)
@every_input
def test_layout_of_an_input(method, name, layout):
    given = LAYOUTS[layout](ARGUMENTS[method][name])
    before, params = np.array(given), NETWORK.params.copy()
    assert_same(results(method, **{name: given}), results(method))
    assert_array_equal(given, before)
    assert_array_equal(NETWORK.params, params)


@pytest.mark.parametrize("kind", [bool, np.int8, np.uint16, np.int64, np.float16, np.float32])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@every_input
def test_numbers_of_another_type(method, name, dtype, kind):
    network, array = NETWORK.astype(dtype), np.abs(np.round(ARGUMENTS[method][name])).astype(kind)
    for found, expected in zip(
        results(method, network, **{name: array}),
        results(method, network, **{name: array.astype(np.float64)}),
        strict=True,
    ):
        assert found.dtype == dtype
        assert_array_equal(found, expected)


@pytest.mark.parametrize("container", [sp.csr_array, sp.csr_matrix, sp.csc_array, sp.csc_matrix, sp.coo_array])
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int64])
@every_method
def test_sparse(method, container, dtype):
    dense = np.round(X, 1) if dtype != np.int64 else np.round(X)
    given = container(dense.astype(dtype))
    stored = given.data.copy()
    assert_same(results(method, X=given), results(method, X=dense.astype(dtype)))
    assert_array_equal(given.data, stored)
    assert isinstance(given, container)


@every_method
def test_sparse_with_duplicates_and_unsorted_indices(method):
    values, indices, indptr = np.array([1.0, 2.0, 2.0, 1.0]), np.array([2, 2, 3, 0]), np.array([0, 2, 4, 4])
    given = sp.csr_array((values, indices, indptr), shape=(3, 4))
    few = {name: a[:3] for name, a in ARGUMENTS[method].items() if name not in ("X", "direction")}
    dense = np.array([[0, 0, 3.0, 0], [1, 0, 0, 2], [0, 0, 0, 0]])
    assert_same(results(method, **{**few, "X": given}), results(method, **{**few, "X": dense}))
    assert len(given.data) == 4


@every_method
def test_sparse_with_indices_outside_of_it(method):
    # scipy would follow them: into memory that is not the matrix's
    given = sp.csr_array(X)
    given.indices[3] = 4
    with pytest.raises(ValueError, match=r"X.indices must lie in \[0, 4\)"):
        results(method, X=given)


@every_method
def test_results_are_new_arrays(method):
    first = results(method)
    kept = [found.copy() for found in first]
    results(method, X=2 * X)
    assert_same(first, kept)
    for found in first:
        assert found.flags.writeable
        assert found.flags.owndata
        assert not any(np.shares_memory(found, array) for array in (*ARGUMENTS[method].values(), NETWORK.params))


@every_method
def test_edited_parameters_count_at_once(method):
    network = NETWORK.copy()
    network.coefs[0][...] *= 2
    fresh = Network(SIZES, "tanh", alpha=0.1, random_state=1)
    fresh.params = network.params
    assert_same(results(method, network), results(method, fresh))
    assert any((a != b).any() for a, b in zip(results(method, network), results(method), strict=True))


# What is refused


@pytest.mark.parametrize("bad", [complex, object, "U3", "M8[s]"])
@every_input_but_weights
def test_what_holds_no_real_numbers(method, name, bad):
    array = np.zeros(ARGUMENTS[method][name].shape, bad)
    with pytest.raises(TypeError, match=f"^{name} must hold real numbers, got dtype"):
        results(method, **{name: array})


@every_input
def test_shape_of_an_input(method, name):
    array = ARGUMENTS[method][name]
    longer = [np.concatenate([array, array])] if len(ARGUMENTS[method]) > 1 else []
    for wrong in (array[..., :-1], array[None], *longer):
        # the message may name another argument, which no longer fits the one that is wrong
        with pytest.raises(ValueError, match=r"must have shape .* got \("):
            results(method, **{name: wrong})


@every_input_but_weights
def test_numbers_too_large_for_float32(method, name):
    array = ARGUMENTS[method][name].copy()
    array.flat[-1] = 1e300
    with pytest.raises(ValueError, match=f"^{name} holds values too large for float32; scale them, or use float64"):
        results(method, NETWORK.astype(np.float32), **{name: array})


@pytest.mark.parametrize("method", ["input_gradient", "hvp"])
@pytest.mark.parametrize(
    ("weight", "message"),
    [
        (-1.0, "sample_weight must not be negative"),
        (np.nan, "sample_weight must be finite"),
        (0.0, "sample_weight is zero everywhere"),
    ],
)
def test_weights(method, weight, message):
    with pytest.raises(ValueError, match=message):
        results(method, sample_weight=np.full(7, weight))


def test_unknown_mode():
    with pytest.raises(ValueError, match="mode must be 'auto', 'reverse' or 'forward', got 'backward'"):
        NETWORK.jacobian(X, "backward")


def test_nan_stays_in_its_row():
    given = X.copy()
    given[2, 1] = np.nan
    hit = np.arange(len(X)) == 2
    for method in ("vjp", "jvp", "jacobian"):
        (found,) = results(method, X=given)
        assert np.isnan(found[hit]).all()
        assert_array_equal(found[~hit], results(method)[0][~hit])


# Losses that are functions


def squared_error(y_true, raw_prediction, sample_weight):
    difference = raw_prediction - y_true
    loss = (difference**2).sum(axis=1) / 2
    if sample_weight is None:
        return loss, difference
    return sample_weight * loss, sample_weight[:, None] * difference


def without_weights(y_true, raw_prediction, sample_weight):
    return squared_error(y_true, raw_prediction, None)


def of_exp(y_true, raw_prediction, sample_weight):
    """The squared error behind an exponential link."""
    a = np.exp(raw_prediction)
    loss, gradient = squared_error(y_true, a, sample_weight)
    return loss, gradient * a


@pytest.mark.parametrize(("function", "output"), [(squared_error, "identity"), (of_exp, "exp")])
@pytest.mark.parametrize("weight", [None, WEIGHT])
def test_a_loss_that_is_a_function(function, output, weight):
    network = Network(SIZES, "gelu", output, alpha=0.1, random_state=0)
    own = network.with_loss(function)
    # e^z by another implementation, the same to some roundings
    assert_allclose(own.input_gradient(X, Y, weight), network.input_gradient(X, Y, weight), rtol=1e-12, atol=1e-15)
    for actual, expected in zip(
        own.loss_and_gradient(X, Y, weight), network.loss_and_gradient(X, Y, weight), strict=True
    ):
        assert_allclose(actual, expected, rtol=1e-12, atol=1e-15)
    # these have nothing to do with the loss
    for method in ("vjp", "jvp", "jacobian", "backward"):
        assert_same(results(method, own), results(method, network))


def test_with_loss_shares_the_parameters():
    network = Network(SIZES, "tanh", "softmax", random_state=0)
    other = network.with_loss("log_loss")
    other.params *= 2
    assert_array_equal(other.forward(X), network.forward(X))
    assert other.params is network.params
    assert (network.loss, other.loss, other.kernel_loss) == ("squared_error", "log_loss", "log_loss")
    with pytest.raises(ValueError, match=r"loss must be one of .*; got 'hinge'"):
        network.with_loss("hinge")


def test_a_function_has_no_second_derivative():
    with pytest.raises(ValueError, match="hvp needs the second derivative of the loss, which <function squared_error"):
        NETWORK.with_loss(squared_error).hvp(X, Y, DIRECTION)


def test_a_function_that_leaves_out_the_weights():
    own = NETWORK.with_loss(without_weights)
    for method in (own.input_gradient, own.loss_and_gradient):
        method(X, Y)
        method(X, Y, np.ones(7))
        with pytest.raises(ValueError, match="the loss from loss=without_weights must be multiplied by sample_weight"):
            method(X, Y, WEIGHT)


def test_an_exception_of_the_function_reaches_the_caller(monkeypatch):
    def failing(y_true, raw_prediction, sample_weight):
        raise RuntimeError("no loss today")

    own = NETWORK.with_loss(failing)
    many, targets = np.tile(X, (100, 1)), np.tile(Y, (100, 1))
    monkeypatch.setattr(fastbp.derivatives, "STARTED_FLOPS_PER_THREAD", 1)
    before = count_threads()
    for own.n_threads in (1, 2):
        for method in (own.input_gradient, own.loss_and_gradient):
            with pytest.raises(RuntimeError, match="no loss today"):
                method(many, targets)
    assert wait_for_threads(before) <= before


def test_a_function_is_called_in_the_thread_of_the_caller(monkeypatch):
    monkeypatch.setattr(fastbp.derivatives, "STARTED_FLOPS_PER_THREAD", 1)
    callers = set()

    def noting(y_true, raw_prediction, sample_weight):
        callers.add(threading.current_thread())
        return squared_error(y_true, raw_prediction, sample_weight)

    own = NETWORK.with_loss(noting)
    own.n_threads = 2
    many, targets = np.tile(X, (100, 1)), np.tile(Y, (100, 1))
    found = own.input_gradient(many, targets)
    assert callers == {threading.current_thread()}
    assert_array_equal(found, NETWORK.input_gradient(many, targets))


def test_after_an_exception_in_one_thread_the_others_stop(monkeypatch):
    made, pools = [], []

    def noted(n_chunks):
        pools.append(Pool(n_chunks))
        return pools[-1]

    def wait_until_the_exception_is_known():
        for _ in range(60_000):  # a minute and more: so that a fault does not hang
            if pools[0].halted:
                return
            time.sleep(1e-3)

    class Failing(fastbp.derivatives.Linearization):
        def __init__(self, *arguments):
            made.append(threading.get_ident())
            if len(made) == 1:
                raise MemoryError
            wait_until_the_exception_is_known()
            super().__init__(*arguments)

    monkeypatch.setattr(fastbp.derivatives, "Pool", noted)
    monkeypatch.setattr(fastbp.derivatives, "STARTED_FLOPS_PER_THREAD", 1)
    monkeypatch.setattr(fastbp.derivatives, "Linearization", Failing)
    network = NETWORK.copy()
    network.n_threads = 2
    n = 100 * DERIVATIVE_ROWS
    with pytest.raises(MemoryError):
        network.backward(np.ones((n, X.shape[1])), np.ones((n, Y.shape[1])))
    assert len(made) <= 2  # one slice of each thread


def test_a_gradient_of_a_function_beyond_float32():
    def steep(y_true, raw_prediction, sample_weight):
        return np.zeros(len(y_true)), np.full(raw_prediction.shape, 1e300)

    own = NETWORK.astype(np.float32).with_loss(steep)
    with pytest.raises(ValueError, match="the gradient from loss=steep holds values too large for float32"):
        own.input_gradient(X, Y)


def test_a_pickled_network_with_a_function():
    own = NETWORK.with_loss(squared_error)
    other = pickle.loads(pickle.dumps(own))
    assert repr(other) == repr(own)
    assert "squared_error" in repr(own)
    assert_array_equal(other.input_gradient(X, Y, WEIGHT), own.input_gradient(X, Y, WEIGHT))
    assert other.loss_and_gradient(X, Y)[0] == own.loss_and_gradient(X, Y)[0]
    for method in ("vjp", "jvp", "jacobian", "backward"):
        assert_same(results(method, other), results(method, own))


def test_the_network_of_an_estimator():
    model = MLPRegressor(hidden_layer_sizes=(3,), solver="lbfgs", random_state=0, max_iter=500).fit(X, Y)
    J = model.network_.jacobian(X)

    def predictions(t):
        return model.predict(X + t * U)

    # central differences; relu has no curvature
    expected = (predictions(1e-6) - predictions(-1e-6)) / 2e-6
    assert_allclose(np.einsum("nkj,nj->nk", J, U), expected, rtol=1e-6, atol=1e-8)
