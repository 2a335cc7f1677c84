"""Every name in the kernels' tables has a twin, and the twins agree with themselves."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

import reference
from fastbp.kernels import ACTIVATIONS, LOSSES
from fastbp.kernels.dispatch import N_STATES, OPTIMIZERS

# Central differences with eps = 1e-6 leave an error of about eps^2 from the curvature and 1e-16 / eps from rounding.
FINITE_DIFFERENCE = dict(rtol=1e-7, atol=1e-8)


@pytest.mark.parametrize(
    ("twins", "kernels"),
    [
        (reference.ACTIVATIONS, ACTIVATIONS),
        (reference.BACKWARD_TANGENTS, ACTIVATIONS),
        ({**reference.LOSSES, **reference.ROW_LOSSES}, LOSSES),
        (reference.CURVATURES, LOSSES.keys() - reference.ROW_LOSSES.keys()),
        (reference.OPTIMIZERS, OPTIMIZERS),
    ],
    ids=["activations", "backward_tangents", "losses", "curvatures", "optimizers"],
)
def test_every_name_has_a_twin(twins, kernels):
    assert set(twins) == set(kernels)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activation_derivative(name):
    rng = np.random.default_rng(0)
    z, dA = rng.normal(size=(2, 3, 4))
    forward, backward = reference.ACTIVATIONS[name]
    expected = reference.finite_difference(lambda z: (dA * forward(z)).sum(), z)
    assert_allclose(backward(z, forward(z), dA), expected, **FINITE_DIFFERENCE)


@pytest.mark.parametrize("name", reference.LOSSES)
def test_loss_derivative(name):
    y, a = np.random.default_rng(0).uniform(0.2, 0.8, size=(2, 3, 4))
    loss, derivative = reference.LOSSES[name]
    expected = reference.finite_difference(lambda a: loss(y, a).sum(), a)
    assert_allclose(derivative(y, a), expected, **FINITE_DIFFERENCE)


@pytest.mark.parametrize(
    ("name", "constants"),
    [("quantiles", (0.1, 0.4, 0.5, 0.8)), ("gaussian", (0.01,)), ("multioutput_log_loss", (0.1, 3, 1))],
)
def test_derivative_of_a_row_loss(name, constants):
    width = {"quantiles": 1, "gaussian": 2, "multioutput_log_loss": 4}[name]
    z, y = np.random.default_rng(0).normal(size=(3, 4)), np.tile(np.arange(width) % 3 == 0, (3, 1)) * 1.0
    loss = reference.ROW_LOSSES[name]
    expected = reference.finite_difference(lambda z: loss(y, z, *constants)[0].sum(), z)
    assert_allclose(loss(y, z, *constants)[1], expected, **FINITE_DIFFERENCE)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_backward_tangent(name):
    z, dz, dA, dA_tangent = np.random.default_rng(0).normal(size=(4, 3, 4))
    forward, backward = reference.ACTIVATIONS[name]

    def moved(t):
        z_t = z + t * dz
        return backward(z_t, forward(z_t), dA + t * dA_tangent)

    expected = (moved(1e-6) - moved(-1e-6)) / 2e-6
    assert_allclose(reference.BACKWARD_TANGENTS[name](z, dz, dA, dA_tangent), expected, **FINITE_DIFFERENCE)


@pytest.mark.parametrize("name", reference.CURVATURES)
def test_curvature(name):
    y, a = np.random.default_rng(0).uniform(0.2, 0.8, size=(2, 3, 4))
    derivative = reference.LOSSES[name][1]
    expected = (derivative(y, a + 1e-6) - derivative(y, a - 1e-6)) / 2e-6
    assert_allclose(reference.CURVATURES[name](y, a), expected, **FINITE_DIFFERENCE)


def moved_along(arrays, directions, t):
    return [array + t * direction for array, direction in zip(arrays, directions, strict=True)]


@pytest.fixture
def small_network():
    """(coefs, intercepts, a direction for each of them, X, y, activations)."""
    rng = np.random.default_rng(0)
    sizes = [(4, 3), (3, 2)]
    coefs, d_coefs = ([rng.normal(size=size) for size in sizes] for _ in range(2))
    intercepts, d_intercepts = ([rng.normal(size=size[1]) for size in sizes] for _ in range(2))
    return (
        coefs,
        intercepts,
        d_coefs,
        d_intercepts,
        rng.normal(size=(5, 4)),
        rng.normal(size=(5, 2)),
        ("tanh", "softmax"),
    )


def test_jacobian(small_network):
    coefs, intercepts, _, _, X, _, activations = small_network
    J = reference.jacobian(coefs, intercepts, X, activations)
    assert J.shape == (5, 2, 4)
    for k in range(2):
        # an output of a row depends on this row only
        expected = reference.finite_difference(
            lambda X, k=k: reference.forward(coefs, intercepts, X, activations)[0][-1][:, k].sum(), X
        )
        assert_allclose(J[:, k], expected, **FINITE_DIFFERENCE)


def test_hvp(small_network):
    coefs, intercepts, d_coefs, d_intercepts, X, y, activations = small_network
    problem = dict(activations=activations, loss="squared_error", alpha=0.3, sample_weight=np.array([1, 2, 0, 0.5, 3]))

    def gradient(t):
        moved = moved_along(coefs, d_coefs, t), moved_along(intercepts, d_intercepts, t)
        return reference.loss_and_gradient(*moved, X, y, **problem)[1:]

    found = reference.hvp(coefs, intercepts, X, y, d_coefs, d_intercepts, **problem)
    for products, ahead, behind in zip(found, gradient(1e-6), gradient(-1e-6), strict=True):
        for product, plus, minus in zip(products, ahead, behind, strict=True):
            assert_allclose(product, (plus - minus) / 2e-6, **FINITE_DIFFERENCE)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_number_of_states(name):
    g, w = np.ones((2, 3)), np.ones((2, 3))
    _, state = reference.OPTIMIZERS[name](g, w, [np.zeros((2, 3))] * 2, 1, learning_rate=0.1)
    assert len(state) == N_STATES[name]
