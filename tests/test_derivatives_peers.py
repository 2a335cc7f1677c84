"""The same derivatives by PyTorch's and by JAX's autodiff, where these are installed; `derivatives.py`.

Networks of two hidden layers, in float64, over the whole table of activations and of pairs of output and loss.
"""

import importlib
from itertools import cycle, islice

import numpy as np
import pytest
from numpy.testing import assert_allclose

from fastbp import Network
from network_cases import HIDDEN, PAIRS, SIZES, problem

#: Every pair of output and loss, with hidden layers so that every activation is in the first and in the second.
CASES = [
    (first, second, *pair)
    for first, second, pair in zip(
        islice(cycle(HIDDEN), len(PAIRS)), islice(cycle(HIDDEN[4:] + HIDDEN[:4]), len(PAIRS)), PAIRS, strict=True
    )
]
CLOSE = dict(rtol=1e-9, atol=1e-9)


def test_every_activation_is_compared():
    assert {case[0] for case in CASES} == {case[1] for case in CASES} == set(HIDDEN)


class Torch:
    """torch.func."""

    def __init__(self):
        self.torch = importlib.import_module("torch")
        self.xp, F = self.torch, self.torch.nn.functional
        self.activations = {
            "identity": lambda z: z,
            "logistic": self.torch.sigmoid,
            "tanh": self.torch.tanh,
            "relu": F.relu,
            "leaky_relu": F.leaky_relu,
            "elu": F.elu,
            "selu": F.selu,
            "gelu": F.gelu,
            "silu": F.silu,
            "mish": F.mish,
            "softplus": F.softplus,
            "exp": self.torch.exp,
            "softmax": lambda z: F.softmax(z, dim=-1),
        }

    def array(self, values):
        return self.torch.tensor(values)

    def grad(self, f):
        return self.torch.func.grad(f)

    def vjp(self, f, x, v):
        return self.torch.func.vjp(f, x)[1](v)[0]

    def jvp(self, f, x, u):
        return self.torch.func.jvp(f, (x,), (u,))[1]

    def jacobian_of_rows(self, f, x):
        return self.torch.func.vmap(self.torch.func.jacrev(f))(x)


class Jax:
    """jax, in double precision."""

    def __init__(self):
        self.jax = importlib.import_module("jax")
        self.jax.config.update("jax_enable_x64", True)
        self.xp, nn = importlib.import_module("jax.numpy"), self.jax.nn
        self.activations = {
            "identity": lambda z: z,
            "logistic": nn.sigmoid,
            "tanh": self.xp.tanh,
            "relu": nn.relu,
            "leaky_relu": nn.leaky_relu,
            "elu": nn.elu,
            "selu": nn.selu,
            "gelu": lambda z: nn.gelu(z, approximate=False),
            "silu": nn.silu,
            "mish": nn.mish,
            "softplus": nn.softplus,
            "exp": self.xp.exp,
            "softmax": nn.softmax,
        }

    def array(self, values):
        return self.xp.asarray(values)

    def grad(self, f):
        return self.jax.grad(f)

    def vjp(self, f, x, v):
        return self.jax.vjp(f, x)[1](v)[0]

    def jvp(self, f, x, u):
        return self.jax.jvp(f, (x,), (u,))[1]

    def jacobian_of_rows(self, f, x):
        return self.jax.vmap(self.jax.jacrev(f))(x)


@pytest.fixture(scope="module", params=["torch", "jax"])
def peer(request):
    pytest.importorskip(request.param)
    return {"torch": Torch, "jax": Jax}[request.param]()


def element_losses(xp):
    """The loss of each element; the deviance without what does not depend on a."""
    return {
        "squared_error": lambda y, a: (a - y) ** 2 / 2,
        "log_loss": lambda y, a: -y * xp.log(a),
        "binary_log_loss": lambda y, a: -y * xp.log(a) - (1 - y) * xp.log(1 - a),
        "poisson": lambda y, a: a - y * xp.log(a),
    }


@pytest.mark.filterwarnings("default")  # theirs are no concern of ours
@pytest.mark.parametrize(("first", "second", "output", "loss"), CASES)
def test_same_derivatives(peer, first, second, output, loss):
    network = Network(SIZES, (first, second), output, loss, alpha=0.1, random_state=4)
    X, y, weight = problem(loss, seed=4)
    rng = np.random.default_rng(4)
    u, v, direction = rng.normal(size=X.shape), rng.normal(size=y.shape), rng.normal(size=network.n_params)
    X_, y_, u_, v_, weight_, direction_, params_ = map(peer.array, (X, y, u, v, weight, direction, network.params))

    def forward(x, flat):
        for layer, name in zip(network.layers.tolist(), network.activations, strict=True):
            fan_in, fan_out, coef, intercept, _ = layer
            W = flat[coef : coef + fan_in * fan_out].reshape(fan_in, fan_out)
            x = peer.activations[name](x @ W + flat[intercept : intercept + fan_out])
        return x

    def mean_loss(x, flat):
        rows = element_losses(peer.xp)[network.kernel_loss](y_, forward(x, flat)).sum(-1)
        penalty = network.alpha / 2 * (flat[: network.n_coefs] ** 2).sum()
        return ((weight_ * rows).sum() + penalty) / weight_.sum()

    def of_x(x):
        return forward(x, params_)

    def gradient(flat):
        return peer.grad(lambda flat: mean_loss(X_, flat))(flat)

    def close(actual, expected):
        assert_allclose(actual, np.asarray(expected), **CLOSE)

    close(network.forward(X), of_x(X_))
    close(network.vjp(X, v), peer.vjp(of_x, X_, v_))
    close(network.jvp(X, u), peer.jvp(of_x, X_, u_))
    expected = peer.jacobian_of_rows(of_x, X_)
    for mode in ("reverse", "forward"):
        close(network.jacobian(X, mode), expected)
    close(network.backward(X, v)[0], peer.vjp(lambda flat: forward(X_, flat), params_, v_))
    close(network.input_gradient(X, y, weight), peer.grad(lambda x: mean_loss(x, params_))(X_))
    close(network.loss_and_gradient(X, y, weight)[1], gradient(params_))
    # reverse mode over reverse mode: both packages have it for all of these
    expected = peer.grad(lambda flat: (gradient(flat) * direction_).sum())(params_)
    close(network.hvp(X, y, direction, weight), expected)
