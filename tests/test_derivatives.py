"""Derivatives of a network: the twins, finite differences, and what the products must have in common; `derivatives.py`.

Comparison with other packages' autodiff is in ``test_derivatives_peers.py``, what is refused in
``test_derivatives_input.py``.
"""

from typing import ClassVar

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

import fastbp.derivatives
import reference
from fastbp import Network
from fastbp.kernels.pool import Pool
from fastbp.kernels.slicing import DERIVATIVE_ROWS
from network_cases import HIDDEN, PAIRS, SIZES, problem

every_hidden = pytest.mark.parametrize("hidden", HIDDEN)
every_pair = pytest.mark.parametrize(("output", "loss"), PAIRS)
#: central differences with eps = 1e-6: 1e-12 of curvature, 1e-16 / 1e-6 of rounding
FINITE_DIFFERENCE = dict(rtol=1e-6, atol=2e-8)


class Case:
    """A network, data for it, and something to multiply each derivative with."""

    def __init__(self, hidden="tanh", output="identity", loss="squared_error", n=6, sizes=SIZES, seed=1, **options):
        self.network = Network(sizes, hidden, output, loss, random_state=seed, **{"alpha": 0.1, **options})
        self.X, self.y, self.weight = problem(loss, n, sizes[0], sizes[-1], seed)
        rng = np.random.default_rng(seed)
        self.u, self.v = rng.normal(size=self.X.shape), rng.normal(size=(n, sizes[-1]))
        self.direction, self.other = rng.normal(size=(2, self.network.n_params))

    def products(self, X=None, order=np.asarray):
        """Every derivative by its name; `order` lays out what goes in."""
        network, X = self.network, order(self.X) if X is None else X
        u, v, y, weight, direction = (order(a) for a in (self.u, self.v, self.y, self.weight, self.direction))
        gradient, dX = network.backward(X, v)
        return {
            "vjp": network.vjp(X, v),
            "jvp": network.jvp(X, u),
            "jacobian": network.jacobian(X),
            "reverse": network.jacobian(X, "reverse"),
            "forward": network.jacobian(X, "forward"),
            "gradient": gradient,
            "dX": dX,
            "input_gradient": network.input_gradient(X, y, weight),
            "hvp": network.hvp(X, y, direction, weight),
        }

    def twins(self):
        """The same, in float64, by the twins."""
        network, X = self.network, self.X
        split = [[a.astype(np.float64) for a in arrays] for arrays in (network.coefs, network.intercepts)]
        A, Z = reference.forward(*split, X, network.activations)
        J = reference.jacobian(*split, X, network.activations)
        dA = self.v
        gradients = [], []
        for i in reversed(range(len(split[0]))):
            dA, dW, db = reference.dense_backward(dA, A[i], split[0][i], A[i + 1], Z[i + 1], network.activations[i])
            gradients[0].insert(0, dW)
            gradients[1].insert(0, db)
        loss_gradient = self.weight[:, None] * reference.LOSSES[network.kernel_loss][1](self.y, A[-1])
        products = reference.hvp(
            *split,
            X,
            self.y,
            *network.split(self.direction),
            activations=network.activations,
            loss=network.kernel_loss,
            alpha=network.alpha,
            sample_weight=self.weight,
        )
        return {
            "vjp": np.einsum("nk,nkj->nj", self.v, J),
            "jvp": np.einsum("nkj,nj->nk", J, self.u),
            "jacobian": J,
            "reverse": J,
            "forward": J,
            "gradient": flat(*gradients),
            "dX": np.einsum("nk,nkj->nj", self.v, J),
            "input_gradient": np.einsum("nk,nkj->nj", loss_gradient, J) / self.weight.sum(),
            "hvp": flat(*products),
        }


def flat(coefs, intercepts):
    return np.concatenate([w.ravel() for w in [*coefs, *intercepts]])


def assert_same(actual, expected):
    """Equal to the last bit, product by product."""
    for name, values in expected.items():
        assert_array_equal(actual[name], values, err_msg=name)


def slope(f, eps=1e-6):
    """f'(0) by central differences."""
    return (f(eps) - f(-eps)) / (2 * eps)


def moved(network, direction, t):
    other = network.copy()
    other.params += t * direction
    return other


# Values


@every_hidden
@every_pair
def test_twins(hidden, output, loss):
    case = Case(hidden, output, loss)
    expected = case.twins()
    for name, found in case.products().items():
        # a few hundred roundings of the largest number
        scale = max(1.0, np.abs(expected[name]).max())
        assert_allclose(found, expected[name], rtol=1e-10, atol=1e-13 * scale, err_msg=name)


@every_hidden
@every_pair
def test_finite_differences(hidden, output, loss):
    case = Case(hidden, output, loss, seed=2)
    network, X, y, weight = case.network, case.X, case.y, case.weight

    def along_u(t):
        return network.forward(X + t * case.u)

    assert_allclose(network.jvp(X, case.u), slope(along_u), **FINITE_DIFFERENCE)
    # of scalars, the part of the gradient that lies along u
    along = (case.u * network.vjp(X, case.v)).sum()
    assert_allclose(along, slope(lambda t: (case.v * along_u(t)).sum()), **FINITE_DIFFERENCE)
    along = (case.u * network.input_gradient(X, y, weight)).sum()
    expected = slope(lambda t: network.loss_and_gradient(X + t * case.u, y, weight)[0])
    assert_allclose(along, expected, **FINITE_DIFFERENCE)
    along = case.direction @ network.backward(X, case.v)[0]
    expected = slope(lambda t: (case.v * moved(network, case.direction, t).forward(X)).sum())
    assert_allclose(along, expected, **FINITE_DIFFERENCE)
    expected = slope(lambda t: moved(network, case.direction, t).loss_and_gradient(X, y, weight)[1])
    found = network.hvp(X, y, case.direction, weight)
    scale = max(1.0, np.abs(expected).max())
    assert_allclose(found, expected, rtol=1e-6, atol=2e-8 * scale)


@every_hidden
@every_pair
def test_what_the_products_have_in_common(hidden, output, loss):
    case = Case(hidden, output, loss, seed=3)
    network, X, y, u, v = case.network, case.X, case.y, case.u, case.v
    vjp, jvp, J = network.vjp(X, v), network.jvp(X, u), network.jacobian(X)
    # v (J u) = (v J) u, row by row
    assert_allclose((v * jvp).sum(axis=1), (vjp * u).sum(axis=1), rtol=1e-12, atol=1e-13)
    assert_allclose(np.einsum("nkj,nj->nk", J, u), jvp, rtol=1e-12, atol=1e-13)
    assert_allclose(network.backward(X, v)[1], vjp, rtol=0, atol=0)

    def H(direction):
        return network.hvp(X, y, direction, case.weight)

    one, other = H(case.direction), H(case.other)
    scale = np.linalg.norm(one) * np.linalg.norm(case.other)
    # the Hessian is symmetric and linear
    assert_allclose(case.other @ one, case.direction @ other, rtol=0, atol=1e-13 * scale)
    assert_allclose(H(2 * case.direction - 3 * case.other), 2 * one - 3 * other, rtol=0, atol=1e-13 * scale)
    assert not H(np.zeros(network.n_params)).any()


@every_hidden
@pytest.mark.parametrize(("output", "loss"), [("softmax", "log_loss"), ("exp", "poisson"), ("silu", "squared_error")])
def test_float32(hidden, output, loss):
    case = Case(hidden, output, loss, dtype=np.float32)
    expected = case.twins()
    for name, found in case.products().items():
        assert found.dtype == np.float32
        # some dozen roundings of 6e-8 on numbers as large as the largest
        assert_allclose(found, expected[name], rtol=0, atol=5e-6 * max(1.0, np.abs(expected[name]).max()), err_msg=name)


@pytest.mark.parametrize("loss", ["squared_error", "binary_log_loss"])
def test_one_output_and_no_hidden_layer(loss):
    case = Case((), "logistic", loss, sizes=(4, 1), n=5)
    expected = case.twins()
    for name, found in case.products().items():
        assert_allclose(found, expected[name], rtol=1e-12, atol=1e-14, err_msg=name)


def test_log_loss_without_hidden_layer_is_logistic_regression():
    case = Case((), "logistic", "log_loss", sizes=(4, 1), n=9, alpha=0.0)
    p = case.network.forward(case.X)
    features = np.hstack([case.X, np.ones((9, 1))])
    # the Hessian of logistic regression, F^T diag(w p (1 - p)) F
    H = features.T @ (features * case.weight[:, None] * p * (1 - p)) / case.weight.sum()
    found = case.network.hvp(case.X, case.y, case.direction, case.weight)
    assert_allclose(found, H @ case.direction, rtol=1e-12, atol=1e-14)


def test_class_numbers():
    case = Case("tanh", "softmax", "log_loss")
    labels = case.y.argmax(axis=1)
    for method, arguments in ((case.network.input_gradient, ()), (case.network.hvp, (case.direction,))):
        assert_array_equal(
            method(case.X, labels, *arguments, case.weight), method(case.X, case.y, *arguments, case.weight)
        )


@settings(deadline=None, max_examples=40, derandomize=True)
@given(data=st.data())
def test_any_network(data):
    draw = data.draw
    sizes = tuple(draw(st.lists(st.integers(1, 18), min_size=2, max_size=4)))
    output, loss = draw(st.sampled_from(PAIRS))
    hidden = [draw(st.sampled_from(HIDDEN)) for _ in sizes[2:]]
    dtype, n, seed = draw(st.sampled_from([np.float32, np.float64])), draw(st.integers(2, 20)), draw(st.integers(0, 99))
    case = Case(hidden, output, loss, n, sizes, seed, dtype=dtype)
    case.X = case.X.astype(dtype).astype(np.float64)
    X = sp.csr_array(case.X) if draw(st.booleans()) else np.asarray(case.X, order=draw(st.sampled_from("CF")))
    expected = case.twins()
    for name, found in case.products(X).items():
        # up to 18 terms in three layers, hundreds of roundings; exp and poisson have large second derivatives
        scale = max(1.0, np.abs(expected[name]).max())
        assert_allclose(found, expected[name], rtol=0, atol=1000 * np.finfo(dtype).eps * scale, err_msg=name)


# Weights and penalty


def test_weights():
    case = Case("gelu", "softmax", "squared_error")
    network, X, y, d = case.network, case.X, case.y, case.direction
    weight = np.array([2.0, 0, 1, 1, 3, 1])
    repeated = np.repeat(np.arange(6), weight.astype(int))
    # a row of weight two is a row that stands twice, and one of weight zero is not there
    assert_allclose(network.hvp(X, y, d, weight), network.hvp(X[repeated], y[repeated], d), rtol=1e-11, atol=1e-14)
    found, each = network.input_gradient(X, y, weight), network.input_gradient(X[repeated], y[repeated])
    for row in range(6):
        # the last bits of a sum over the repetitions
        assert_allclose(found[row], each[repeated == row].sum(axis=0), rtol=1e-12, atol=1e-16)
    assert not found[1].any()
    assert_array_equal(network.hvp(X, y, d, np.ones(6)), network.hvp(X, y, d))
    assert_array_equal(network.input_gradient(X, y, np.ones(6)), network.input_gradient(X, y))


def test_penalty():
    case, without = Case(alpha=0.7), Case(alpha=0.0)
    change = case.products()["hvp"] - without.products()["hvp"]
    coefs = case.network.n_coefs
    assert_allclose(change[:coefs], 0.7 * case.direction[:coefs] / case.weight.sum(), rtol=1e-10, atol=1e-14)
    assert not change[coefs:].any()
    # nothing else has a share of it
    for name in ("vjp", "jvp", "jacobian", "gradient", "dX", "input_gradient"):
        assert_array_equal(case.products()[name], without.products()[name])


# Sizes and threads


class Counting(fastbp.derivatives.Linearization):
    """A linearization that notes what is asked of it."""

    calls: ClassVar[list] = []

    def push(self, *arguments, **options):
        self.calls.append("push")
        return super().push(*arguments, **options)

    def pull(self, *arguments, **options):
        self.calls.append("pull")
        return super().pull(*arguments, **options)


@pytest.mark.parametrize(
    ("sizes", "mode", "expected"),
    [
        ((3, 4, 5), "auto", ["push"] * 3),
        ((5, 4, 3), "auto", ["pull"] * 3),
        ((3, 4, 3), "auto", ["pull"] * 3),
        ((3, 4, 5), "reverse", ["pull"] * 5),
        ((5, 4, 3), "forward", ["push"] * 5),
    ],
)
def test_mode_of_the_jacobian(sizes, mode, expected, monkeypatch):
    monkeypatch.setattr(fastbp.derivatives, "Linearization", Counting)
    monkeypatch.setattr(Counting, "calls", [])
    Network(sizes, "tanh", random_state=0).jacobian(np.ones((2, sizes[0])), mode)
    assert Counting.calls == expected


@pytest.fixture
def pools(monkeypatch):
    """Small amounts of work are shared too; the numbers of threads that were asked for."""
    made = []

    class Recording(Pool):
        def run(self, work, n_threads):
            made.append(n_threads)
            super().run(work, n_threads)

    monkeypatch.setattr(fastbp.derivatives, "STARTED_FLOPS_PER_THREAD", 1)
    monkeypatch.setattr(fastbp.derivatives, "Pool", Recording)
    return made


MANY = 5 * DERIVATIVE_ROWS + 37


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_results_do_not_depend_on_the_number_of_threads(pools, dtype):
    case = Case("gelu", "softmax", "squared_error", MANY, dtype=dtype, n_threads=1)
    expected = case.products()
    assert pools == [1] * 8
    pools.clear()
    for n_threads in (2, 3):
        case.network.n_threads = n_threads
        assert_same(case.products(), expected)
        # vjp, jvp, three Jacobians, backward, input_gradient, hvp
        assert pools == [n_threads] * 8
        pools.clear()


def test_more_rows_than_a_slice(monkeypatch):
    case = Case("silu", "softmax", "log_loss", MANY)
    sliced, expected = case.products(), case.twins()
    for name, found in sliced.items():
        # sums over 1,317 rows
        scale = max(1.0, np.abs(expected[name]).max())
        assert_allclose(found, expected[name], rtol=1e-9, atol=1e-12 * scale, err_msg=name)
    # as one slice: rows are independent, and only the order of the sums over them is another
    monkeypatch.setattr(fastbp.kernels.slicing, "DERIVATIVE_ROWS", MANY)
    for name, found in case.products().items():
        if name in ("gradient", "hvp"):
            assert_allclose(found, sliced[name], rtol=1e-10, atol=1e-12, err_msg=name)
        else:
            assert_array_equal(found, sliced[name], err_msg=name)


@pytest.mark.parametrize("n", [DERIVATIVE_ROWS, DERIVATIVE_ROWS + 1, 4 * DERIVATIVE_ROWS])
def test_rows_at_the_edges_of_slices(n):
    case = Case("tanh", n=n)
    gradient, dX = case.network.backward(case.X, case.v)
    rows = [0, DERIVATIVE_ROWS - 1, n - 1]
    assert_array_equal(dX[rows], case.network.vjp(case.X[rows], case.v[rows]))
    ones = np.ones((n, 2))
    # by the biases of a linear output layer, the gradient of the sum of the outputs counts the rows
    assert_array_equal(case.network.split(case.network.backward(case.X, ones)[0])[1][-1], [n, n])
    assert_allclose(gradient, case.twins()["gradient"], rtol=1e-10, atol=1e-11)


def test_no_rows():
    network = Network((3, 4, 2), "tanh", random_state=0)
    X, v, u = np.empty((0, 3)), np.empty((0, 2)), np.empty((0, 3))
    for empty in (X, sp.csr_array(X)):
        assert network.vjp(empty, v).shape == (0, 3)
        assert network.jvp(empty, u).shape == (0, 2)
        for mode in ("auto", "reverse", "forward"):
            assert network.jacobian(empty, mode).shape == (0, 2, 3)
        gradient, dX = network.backward(empty, v)
        assert dX.shape == (0, 3)
        assert_array_equal(gradient, np.zeros(network.n_params))
    for method, arguments in ((network.input_gradient, ()), (network.hvp, (np.ones(network.n_params),))):
        with pytest.raises(ValueError, match="X has no rows: a mean loss needs at least one"):
            method(X, v, *arguments)


def test_one_row():
    case = Case("selu", "exp", "poisson", 2)
    whole, row = case.products(), slice(0, 1)  # the second row's weight is zero
    case.X, case.y, case.u, case.v, case.weight = (a[row] for a in (case.X, case.y, case.u, case.v, case.weight))
    for name, found in case.products().items():
        if name in ("vjp", "jvp", "jacobian", "reverse", "forward", "dX", "input_gradient"):
            assert_array_equal(found, whole[name][row], err_msg=name)
    assert_allclose(case.products()["hvp"], whole["hvp"], rtol=1e-13, atol=1e-15)
