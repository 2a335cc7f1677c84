"""The losses and their gradients beside PyTorch's, in float64."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from fastbp import Network
from fastbp.losses import Gaussian, Huber, LogLoss

torch = pytest.importorskip("torch")
functional = torch.nn.functional

RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(50, 3)), RNG.normal(size=(50, 2))


def torch_copy(network):
    """The same fully connected tanh network as a function, and its parameters."""
    coefs, intercepts = (
        [torch.tensor(w, requires_grad=True) for w in arrays] for arrays in (network.coefs, network.intercepts)
    )

    def raw(x):
        a = torch.tensor(x)
        for i, (W, b) in enumerate(zip(coefs, intercepts, strict=True)):
            a = a @ W + b
            if i < len(coefs) - 1:
                a = torch.tanh(a)
        return a

    return raw, [*coefs, *intercepts]


def assert_same(network, targets, torch_loss):
    """Mean loss over the rows and its gradient are those of `torch_loss(raw)`."""
    raw, params = torch_copy(network)
    expected = torch_loss(raw(X))
    expected.backward()
    loss, gradient = network.loss_and_gradient(X, targets)
    assert_allclose(loss, expected.item(), rtol=1e-12)
    assert_allclose(gradient, np.concatenate([p.grad.numpy().ravel() for p in params]), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("delta", [0.3, 1.0])
def test_huber(delta):
    network = Network([3, 5, 2], "tanh", loss=Huber(delta), random_state=0)
    y = torch.tensor(Y)
    assert_same(network, Y, lambda z: functional.huber_loss(z, y, reduction="sum", delta=delta) / len(Y))


def test_absolute_error():
    y = torch.tensor(Y)
    network = Network([3, 5, 2], "tanh", loss="absolute_error", random_state=0)
    assert_same(network, Y, lambda z: functional.l1_loss(z, y, reduction="sum") / len(Y))


@pytest.mark.parametrize("epsilon", [1e-6, 0.5])
def test_gaussian(epsilon):
    # PyTorch takes the variance itself, and its eps clips it
    network = Network([3, 5, 4], "tanh", loss=Gaussian(epsilon), random_state=0)
    y = torch.tensor(Y)

    def loss(z):
        variance = torch.exp(z[:, 2:]) + epsilon
        return functional.gaussian_nll_loss(z[:, :2], y, variance, full=True, eps=0, reduction="sum") / len(Y)

    assert_same(network, Y, loss)


LABELS = RNG.integers(3, size=50)


@pytest.mark.parametrize("label_smoothing", [0.0, 0.1, 0.7])
def test_label_smoothing(label_smoothing):
    network = Network([3, 5, 3], "tanh", "softmax", LogLoss(label_smoothing), random_state=0)
    y = torch.tensor(LABELS)
    assert_same(network, LABELS, lambda z: functional.cross_entropy(z, y, label_smoothing=label_smoothing))


def test_soft_targets():
    soft = RNG.dirichlet(np.ones(3), size=50)
    network = Network([3, 5, 3], "tanh", "softmax", "log_loss", random_state=0)
    assert_same(network, soft, lambda z: functional.cross_entropy(z, torch.tensor(soft)))


def test_class_weights():
    # PyTorch's mean divides by the sum of the weights of the rows too
    weight = np.array([0.5, 2.0, 3.0])
    network = Network([3, 5, 3], "tanh", "softmax", "log_loss", random_state=0)
    raw, params = torch_copy(network)
    expected = functional.cross_entropy(raw(X), torch.tensor(LABELS), weight=torch.tensor(weight))
    expected.backward()
    loss, gradient = network.loss_and_gradient(X, LABELS, weight[LABELS])
    assert_allclose(loss, expected.item(), rtol=1e-12)
    assert_allclose(gradient, np.concatenate([p.grad.numpy().ravel() for p in params]), rtol=1e-9, atol=1e-12)
