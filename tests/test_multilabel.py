"""Targets of several labels: the kernels get the positions of the ones, and no dense matrix is made."""

import tracemalloc

import numpy as np
import pytest
import scipy.sparse as sp
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.neural_network import MLPClassifier as SklearnMLPClassifier

from fastbp import MLPClassifier, Network
from fastbp.data import indicator_csr, make_data
from fastbp.inspection import backprop_trace, gradient_check
from fastbp.optimizers import Adam
from fastbp.training import OptimizerState

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

N, N_LABELS = 70, 9
rng = np.random.default_rng(0)
X = rng.normal(size=(N, 5))
Y = (rng.random((N, N_LABELS)) < 0.3).astype(np.int8)
Y[4], Y[:, 3] = 0, 0
Y[5] = 1
both_dtypes = pytest.mark.parametrize("dtype", [np.float32, np.float64], ids=["float32", "float64"])


def make_network(output="logistic", loss="log_loss", dtype=np.float64):
    return Network([5, 7, N_LABELS], "tanh", output, loss, alpha=0.1, dtype=dtype, random_state=0)


@both_dtypes
@pytest.mark.parametrize("rows", [slice(None), slice(3, 9), slice(10, 2, -2), slice(9, 3), np.array([5, 69, 0])])
def test_targets_of_some_rows(rows, dtype):
    data = make_data(X.astype(dtype), indicator_csr(Y), None, N_LABELS, np.dtype(dtype))
    found = data.targets(rows)
    assert_array_equal(found, Y[rows])
    assert found.dtype == dtype
    assert not found.flags.writeable


def test_rows_that_do_not_exist():
    data = make_data(X, indicator_csr(Y), None, N_LABELS, np.dtype(float))
    with pytest.raises(ValueError, match=r"rows must lie in \[0, 70\), got 3 to 70"):
        data.targets(np.array([3, 70]))


@both_dtypes
@pytest.mark.parametrize("indexed", [False, True])
def test_steps_are_those_of_a_dense_matrix(indexed, dtype):
    trained = []
    for targets in (Y.astype(dtype), indicator_csr(Y)):
        network = make_network(dtype=dtype)
        data = make_data(X.astype(dtype), targets, np.arange(1.0, N + 1), N_LABELS, network.dtype)
        rows = np.random.default_rng(1).permutation(N) if indexed else None
        optimizer, losses = OptimizerState(Adam(), network.n_params, network.dtype), np.empty(3)
        loop = network.training_loop(data, 16, indexed=indexed)
        optimizer.attach(loop, 0.1)
        loop.train(rows, None, 1.0, np.full(3, 0.01), losses)
        trained.append((network.params, losses))
    for actual, expected in zip(*trained, strict=True):
        assert_array_equal(actual, expected)


def squared(y_true, raw, sample_weight):
    return ((raw - y_true) ** 2).sum(1), 2 * (raw - y_true)


DERIVATIVES = {
    "loss_and_gradient": lambda network, y: network.loss_and_gradient(X, y)[1],
    "input_gradient": lambda network, y: network.input_gradient(X, y),
    "hvp": lambda network, y: network.hvp(X, y, np.ones(network.n_params)),
    "trace": lambda network, y: backprop_trace(network, X, y).gradient,
    "check": lambda network, y: [gradient_check(network, X[:9], y[:9]).largest_error],
}


@pytest.mark.parametrize("form", ["csr_array", "csc_matrix", "coo_array", "lil_array"])
@pytest.mark.parametrize("output", [("logistic", "log_loss"), ("identity", "squared_error"), ("identity", squared)])
@pytest.mark.parametrize("what", DERIVATIVES)
def test_methods_of_a_network(what, output, form):
    if what == "hvp" and callable(output[1]):
        pytest.skip("the second derivative of a function is not known")
    if what == "check" and form == "coo_array":
        pytest.skip("SciPy cannot take rows of it")
    network = make_network(*output)
    assert_array_equal(DERIVATIVES[what](network, getattr(sp, form)(Y)), DERIVATIVES[what](network, Y))


@pytest.mark.parametrize(
    ("y", "error", "message"),
    [
        (sp.csr_array(Y * 2), ValueError, "zeros and ones where it is sparse, got 2"),
        (sp.csr_array(Y - 1.0), ValueError, "zeros and ones where it is sparse, got -1"),
        (sp.csr_array(Y * np.nan), ValueError, "zeros and ones where it is sparse, got nan"),
        (sp.csr_array(Y[:, 1:]), ValueError, r"y must have shape \(70, 9\)"),
        (sp.csr_array(Y[1:]), ValueError, r"y must have shape \(70, 9\)"),
        (sp.csr_array(Y + 0j), TypeError, "y must hold real numbers"),
        pytest.param(
            sp.coo_array(Y[0]),
            ValueError,
            "two dimensions",
            marks=pytest.mark.skipif(sp.coo_array(Y[0]).ndim == 2, reason="this SciPy has no sparse arrays of one"),
        ),
    ],
)
def test_sparse_targets_that_do_not_fit(y, error, message):
    with pytest.raises(error, match=message):
        make_network().loss_and_gradient(X, y)


def test_duplicates_are_summed():
    y = sp.csr_array(Y)
    twice = sp.csr_array((np.repeat(y.data / 2, 2), np.repeat(y.indices, 2), y.indptr * 2), shape=y.shape)
    for actual, expected in zip(
        make_network().loss_and_gradient(X, twice), make_network().loss_and_gradient(X, Y), strict=True
    ):
        assert_array_equal(actual, expected)


KEPT = dict(hidden_layer_sizes=(7,), max_iter=3, batch_size=16, random_state=0)


@pytest.mark.parametrize("changes", [{}, {"solver": "lbfgs"}, {"early_stopping": True}, {"shuffle": False}])
@pytest.mark.parametrize(
    "form", [sp.csr_array, sp.csc_matrix, sp.lil_matrix, lambda y: y.astype(bool), np.asfortranarray]
)
def test_the_classifier_on_every_form(form, changes):
    plain = MLPClassifier(**KEPT, **changes).fit(X, Y.astype(float))
    model = MLPClassifier(**KEPT, **changes).fit(X, form(Y))
    for W, expected in zip(model.coefs_, plain.coefs_, strict=True):
        assert_array_equal(W, expected)
    predicted = model.predict(X)
    assert sp.issparse(predicted) == sp.issparse(form(Y))
    assert_array_equal(predicted.toarray() if sp.issparse(predicted) else predicted, plain.predict(X))
    assert model.score(X, form(Y)) == plain.score(X, Y)


@pytest.mark.parametrize("values", [(0, 1), (0, 5), (-1, 0)])
@pytest.mark.parametrize("n_labels", [4, 200])
def test_the_weights_are_those_of_scikit_learn(n_labels, values):
    # whatever is not 0 is a label
    drawn = np.random.default_rng(0).random((N, n_labels)) < 0.3
    y = np.where(drawn, sum(values), 0)
    ours, theirs = MLPClassifier(**KEPT).fit(X, y), SklearnMLPClassifier(**KEPT).fit(X, y)
    for W, expected in zip(ours.coefs_, theirs.coefs_, strict=True):
        assert_allclose(W, expected, rtol=1e-9, atol=1e-12)


def test_more_than_127_labels_of_int8():
    # scikit-learn counts the labels in the type of y, and mixes up columns there
    y = np.random.default_rng(0).random((N, 200)) < 0.3
    narrow, wide = (MLPClassifier(**KEPT).fit(X, y.astype(dtype)) for dtype in (np.int8, np.int64))
    for W, expected in zip(narrow.coefs_, wide.coefs_, strict=True):
        assert_array_equal(W, expected)


def test_partial_fit_with_fewer_labels():
    model = MLPClassifier(**KEPT).fit(X, Y)
    before = model.coefs_[0].copy()
    for y in (Y[:, 1:], sp.csr_array(Y[:, 1:])):
        with pytest.raises(ValueError, match="indicator matrix of 9 labels"):
            model.partial_fit(X, y)
    assert_array_equal(model.coefs_[0], before)


@pytest.mark.parametrize("form", [np.asarray, sp.csr_array])
def test_memory(form):
    n, n_labels = 3000, 1000
    y = np.zeros((n, n_labels), np.int8)
    y[np.arange(n)[:, None], np.random.default_rng(0).integers(n_labels, size=(n, 10))] = 1
    features, y = np.random.default_rng(1).normal(size=(n, 3)), form(y)
    model = MLPClassifier((2,), max_iter=1, batch_size=20, random_state=0)
    model.fit(features[:40], y[:40])
    tracemalloc.start()
    try:
        model.fit(features, y)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    # y of float64 would be 24 MB; int8 is 3, of which scikit-learn's look at the values sorts a copy
    assert peak < 10e6
