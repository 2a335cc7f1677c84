"""Network: copies, and errors for wrong arguments and data; `network.py`."""

import copy
import pickle

import numpy as np
import pytest
import scipy.sparse as sp
from numpy.testing import assert_array_equal

from fastbp import Network
from fastbp.inspection import backprop_trace
from fastbp.losses import LOSSES, BinaryLogLoss, Poisson
from loss_functions import squared_error

SIZES = (4, 5, 3, 2)
X = np.random.default_rng(0).normal(size=(6, 4))
Y = np.eye(2)[[0, 1, 1, 0, 1, 0]]


# Copies


COPIES = {
    "copy": Network.copy,
    "deepcopy": copy.deepcopy,
    "pickle": lambda network: pickle.loads(pickle.dumps(network)),
    "astype": lambda network: network.astype(network.dtype),
}


@pytest.mark.parametrize("how", COPIES)
def test_copies_are_equal_and_independent(how):
    network = Network(SIZES, "mish", "softmax", "log_loss", alpha=0.1, dtype=np.float32, random_state=0)
    duplicate = COPIES[how](network)
    assert repr(duplicate) == repr(network)
    for actual, expected in zip(duplicate.loss_and_gradient(X, Y), network.loss_and_gradient(X, Y), strict=True):
        assert_array_equal(actual, expected)
    assert all(np.shares_memory(w, duplicate.params) for w in duplicate.coefs + duplicate.intercepts)
    duplicate.coefs[0][...] = 0
    assert network.coefs[0].any()
    assert not duplicate.params[:20].any()


def test_astype():
    network = Network(SIZES, "tanh", random_state=0)
    single = network.astype(np.float32)
    assert single.params.dtype == single.forward(np.ones((1, 4))).dtype == np.float32
    assert_array_equal(single.params, network.params.astype(np.float32))
    assert network.dtype == np.float64
    assert_array_equal(single.astype(np.float64).params, single.params)


@pytest.mark.parametrize("dtype", ["float16", "int32", ">f8", "longdouble"])
def test_astype_of_another_type(dtype):
    with pytest.raises(ValueError, match="dtype must be float32, float64 or bfloat16"):
        Network(SIZES, random_state=0).astype(dtype)


# Errors


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (dict(layer_sizes=[3]), "at least an input and an output layer"),
        (dict(layer_sizes=[3, 0, 1]), "integers >= 1, got 0"),
        (dict(layer_sizes=[3, 2.5]), "integers >= 1, got 2.5"),
        (dict(layer_sizes=[True, 2]), "integers >= 1, got True"),
        (dict(activation="sine"), "activation must be one of .*; got 'sine'"),
        (dict(output_activation="sine"), "activation must be one of .*; got 'sine'"),
        (dict(activation=["tanh"]), "one name or 2 names"),
        (dict(loss="hinge"), f"loss must be one of {', '.join(sorted(LOSSES))}; got 'hinge'"),
        (dict(alpha=-1.0), "alpha must be a finite number >= 0"),
        (dict(alpha=np.nan), "alpha must be a finite number >= 0"),
        (dict(dtype=np.float16), "dtype must be float32, float64 or bfloat16"),
        (dict(dtype=">f8"), "dtype must be float32, float64 or bfloat16"),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        Network(**{"layer_sizes": SIZES, **arguments})


def test_parameters_larger_than_memory():
    with pytest.raises(MemoryError, match="use smaller layers"):
        Network([10**9, 10**9])


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ((X[:, 1:], Y), ValueError, r"X must have shape \(n, 4\)"),
        ((X[0], Y), ValueError, r"X must have shape \(n, 4\)"),
        ((sp.csr_array(X[:, 1:]), Y), ValueError, r"X must have shape \(n, 4\)"),
        ((X + 1j, Y), TypeError, "X must hold real numbers"),
        ((X.astype(object), Y), TypeError, "X must hold real numbers"),
        ((X, Y.astype(complex)), TypeError, "y must hold real numbers"),
        ((X, Y[1:]), ValueError, r"y must have shape \(6, 2\)"),
        ((X, Y[:, 0]), ValueError, r"y must have shape \(6, 2\)"),
        ((X, np.arange(6)), ValueError, r"class numbers must lie in \[0, 2\), got 0 to 5"),
        ((X, np.array([0, 1, 0, 1, 0, -1])), ValueError, r"class numbers must lie in \[0, 2\), got -1 to 1"),
        ((X[:0], Y[:0]), ValueError, "X has no rows"),
        ((X, Y, np.ones(5)), ValueError, r"sample_weight must have shape \(6,\)"),
        ((X, Y, -np.ones(6)), ValueError, "sample_weight must not be negative, got -1"),
        ((X, Y, np.zeros(6)), ValueError, "zero everywhere"),
        ((X, Y, np.full(6, np.nan)), ValueError, "sample_weight must be finite"),
    ],
)
def test_bad_data(arguments, error, message):
    network = Network(SIZES, output_activation="softmax", loss="log_loss", random_state=0)
    with pytest.raises(error, match=message):
        network.loss_and_gradient(*arguments)


NOT_A_NUMBER = np.array([[0.5, np.nan]] * 6)


@pytest.mark.parametrize(
    ("loss", "output_activation", "targets", "message"),
    [
        ("poisson", "exp", -Y, "loss='poisson' requires y >= 0, got a smallest y of -1"),
        (Poisson(), "softplus", Y - 0.5, "loss='poisson' requires y >= 0, got a smallest y of -0.5"),
        ("poisson", "exp", NOT_A_NUMBER, "loss='poisson' requires y >= 0, got a smallest y of nan"),
        ("log_loss", "softmax", 2 * Y, r"loss='log_loss' requires y in \[0, 1\], got a largest y of 2"),
        ("log_loss", "softmax", (2 * Y).astype(int), r"loss='log_loss' requires y in \[0, 1\], got a largest y of 2"),
        ("log_loss", "softmax", NOT_A_NUMBER, r"loss='log_loss' requires y in \[0, 1\], got a smallest y of nan"),
        ("log_loss", "logistic", Y - 1, r"loss='binary_log_loss' requires y in \[0, 1\], got a smallest y of -1"),
        (BinaryLogLoss(), "logistic", 1e-9 + Y, r"in \[0, 1\], got a largest y of 1\.000000001"),
    ],
)
def test_targets_outside_of_the_domain_of_the_loss(loss, output_activation, targets, message):
    network = Network(SIZES, "tanh", output_activation, loss, random_state=0)
    direction = np.ones(network.n_params)
    for call in (
        network.loss_and_gradient,
        network.input_gradient,
        lambda X, y: network.hvp(X, y, direction),
        lambda X, y: network.with_loss("squared_error").with_loss(loss).loss_and_gradient(X, y),
        lambda X, y: backprop_trace(network, X, y),
    ):
        with pytest.raises(ValueError, match=message):
            call(X, targets)


@pytest.mark.parametrize(
    ("loss", "output_activation", "targets"),
    [
        ("poisson", "exp", [Y, 1e300 * Y, Y.astype(bool), Y.astype(np.uint8), sp.csr_array(Y)]),
        ("log_loss", "softmax", [Y, Y / 2, Y.astype(bool), np.array([0, 1] * 3), sp.csr_array(Y)]),
        ("log_loss", "logistic", [Y, Y / 3, sp.csr_array(Y)]),
        ("squared_error", "identity", [-Y, 1e100 * Y, Y.astype(bool)]),
        (squared_error, "identity", [-Y, Y.astype(bool)]),
    ],
)
def test_targets_in_the_domain_of_the_loss(loss, output_activation, targets):
    network = Network(SIZES, "tanh", output_activation, loss, random_state=0)
    for y in targets:
        assert network.input_gradient(X, y).shape == X.shape
        assert network.loss_and_gradient(X, y)[1].shape == (network.n_params,)


def test_no_rows_forward():
    assert Network(SIZES, dtype=np.float32).forward(np.empty((0, 4))).shape == (0, 2)


def test_one_output_takes_a_vector():
    network = Network([4, 3, 1], random_state=0)
    for actual, expected in zip(
        network.loss_and_gradient(X, Y[:, 0]), network.loss_and_gradient(X, Y[:, :1]), strict=True
    ):
        assert_array_equal(actual, expected)


def test_flops():
    network = Network([2, 3, 5])
    assert network.flops(7, backward=False) == 7 * 2 * (6 + 15)
    assert network.flops(7) == 7 * (6 * (6 + 15) - 2 * 6)


def test_repr():
    network = Network([20, 100, 2], "relu", "softmax", "log_loss", dtype=np.float32)
    assert repr(network) == "<Network 20-100-2, relu, softmax; log_loss; 2,302 parameters, float32>"
