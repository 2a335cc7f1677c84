"""Every name in the kernels' tables has a twin, and the twins agree with themselves."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

import reference
from fastbp.kernels import ACTIVATIONS, LOSSES
from fastbp.kernels.dispatch import CANONICAL_ACTIVATION, N_STATES, UPDATES

# Central differences with eps = 1e-6 leave an error of about eps^2 from the curvature and 1e-16 / eps from rounding.
FINITE_DIFFERENCE = dict(rtol=1e-7, atol=1e-8)


@pytest.mark.parametrize(
    ("twins", "kernels"),
    [(reference.ACTIVATIONS, ACTIVATIONS), (reference.LOSSES, LOSSES), (reference.UPDATES, UPDATES)],
    ids=["activations", "losses", "updates"],
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


@pytest.mark.parametrize("name", LOSSES)
def test_loss_derivative(name):
    y, a = np.random.default_rng(0).uniform(0.2, 0.8, size=(2, 3, 4))
    loss, derivative = reference.LOSSES[name]
    expected = reference.finite_difference(lambda a: loss(y, a).sum(), a)
    assert_allclose(derivative(y, a), expected, **FINITE_DIFFERENCE)


@pytest.mark.parametrize("name", LOSSES)
def test_canonical_activation(name):
    # dl/dz = a - y: for softmax where the rows of y sum to one
    rng = np.random.default_rng(0)
    z, y = rng.normal(size=(3, 4)), rng.dirichlet(np.ones(4), size=3)
    forward, backward = reference.ACTIVATIONS[CANONICAL_ACTIVATION[name]]
    a = forward(z)
    delta = backward(z, a, reference.LOSSES[name][1](y, a))
    # a few operations on numbers near one
    assert_allclose(delta, a - y, rtol=0, atol=1e-14)


@pytest.mark.parametrize("name", UPDATES)
def test_number_of_states(name):
    g, w = np.ones(3), np.ones(3)
    constants = {"learning_rate": 0.1} if name in ("sgd", "adam") else {}
    _, state = reference.UPDATES[name](g, w, [np.zeros(3)] * 2, 1, **constants)
    assert len(state) == N_STATES[name]
