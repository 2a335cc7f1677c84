"""The gradients of a network in a graph equal those of the kernels and of PyTorch."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

import fastbp.autodiff as ad
import reference
from autodiff_cases import RNG, normal
from fastbp import Network
from fastbp.autodiff import Variable
from fastbp.kernels import ACTIVATIONS

GRAPH_ACTIVATIONS = {
    "identity": lambda z: z,
    "logistic": ad.logistic,
    "tanh": ad.tanh,
    "relu": ad.relu,
    "leaky_relu": lambda z: ad.maximum(z, 0.01 * z),
    "elu": lambda z: ad.where(z > 0, z, ad.exp(ad.minimum(z, 0)) - 1),
    "selu": lambda z: reference.SELU_SCALE * ad.where(z > 0, z, reference.SELU_ALPHA * (ad.exp(ad.minimum(z, 0)) - 1)),
    "silu": lambda z: z * ad.logistic(z),
    "mish": lambda z: z * ad.tanh(ad.softplus(z)),
    "softplus": ad.softplus,
    "exp": ad.exp,
    "softmax": lambda z: ad.exp(z - ad.logsumexp(z, axis=1, keepdims=True)),
}
GRAPH_LOSSES = {
    "squared_error": lambda y, a: (a - y) ** 2 / 2,
    "log_loss": lambda y, a: -y * ad.log(a),
    "binary_log_loss": lambda y, a: -y * ad.log(a) - (1 - y) * ad.log(1 - a),
    "poisson": lambda y, a: a - y * ad.log(a) + np.where(y > 0, y * np.log(np.maximum(y, 1)) - y, 0),
}
SAME_NETWORKS = (
    [(name, "identity", "squared_error") for name in GRAPH_ACTIVATIONS if name not in ("exp", "softmax")]
    + [("tanh", name, "squared_error") for name in GRAPH_ACTIVATIONS]
    + [("tanh", "softmax", "log_loss"), ("relu", "logistic", "log_loss"), ("silu", "softmax", "binary_log_loss")]
    + [("tanh", "exp", "poisson"), ("relu", "softplus", "poisson")]
)


@pytest.mark.parametrize(("hidden", "output", "loss"), SAME_NETWORKS)
def test_same_gradient_as_the_kernels(hidden, output, loss):
    assert {hidden, output} <= set(ACTIVATIONS)
    X, weight = normal(6, 4), RNG.uniform(0.5, 2, 6)
    y = np.eye(2)[RNG.integers(2, size=6)] if "log_loss" in loss else RNG.poisson(2, (6, 2)).astype(float)
    network = Network((4, 5, 3, 2), hidden, output, loss, alpha=0.1, random_state=0)
    coefs, intercepts = ([Variable(w) for w in arrays] for arrays in (network.coefs, network.intercepts))
    a = X
    for W, b, name in zip(coefs, intercepts, network.activations, strict=True):
        a = GRAPH_ACTIVATIONS[name](a @ W + b)
    rows = GRAPH_LOSSES[network.kernel_loss](y, a).sum(axis=1)
    penalty = network.alpha / 2 * sum((W**2).sum() for W in coefs)
    mean_loss = ((rows * weight).sum() + penalty) / weight.sum()
    mean_loss.backward()
    expected, gradient = network.loss_and_gradient(X, y, weight)
    # a few hundred roundings of numbers of order one
    assert_allclose(float(mean_loss), expected, rtol=1e-12)
    found = np.concatenate([w.gradient.ravel() for w in coefs + intercepts])
    assert_allclose(found, gradient, rtol=1e-10, atol=1e-12)


def test_same_gradient_as_torch():
    torch = pytest.importorskip("torch")
    X, W, b, y = normal(6, 4), normal(4, 3), normal(3), RNG.integers(3, size=6)

    def net(xp, W, b, logsumexp):
        z = xp.tanh(X_(X) @ W + b)[:, [0, 1, 1]] ** 2
        z = xp.where(z > 0.1, z, 2 * z).T.reshape(6, 3)
        return (logsumexp(z) - z[np.arange(6), y]).mean() + abs(W).sum() / xp.maximum(b, b * 0 + 1).sum()

    X_ = np.asarray
    ours = [Variable(W), Variable(b)]
    net(ad, *ours, lambda z: ad.logsumexp(z, axis=1)).backward()
    X_ = torch.tensor
    theirs = [torch.tensor(w, requires_grad=True) for w in (W, b)]
    net(torch, *theirs, lambda z: torch.logsumexp(z, axis=1)).backward()
    for mine, other in zip(ours, theirs, strict=True):
        # a few dozen roundings of numbers of order one
        assert_allclose(mine.gradient, other.grad.numpy(), rtol=1e-12, atol=1e-13)
