"""Ten steps of training beside PyTorch's, layer by layer, in float64."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from fastbp import Network
from fastbp.data import make_data
from fastbp.layers import Activation, BatchNorm, Dense, LayerNorm, RMSNorm
from fastbp.optimizers import SGD
from fastbp.training import OptimizerState

torch = pytest.importorskip("torch")

N_FEATURES, WIDTH = 5, 7


def parameter(values):
    return torch.nn.Parameter(torch.tensor(np.array(values)))


def layer_norm(blocks):
    module = torch.nn.LayerNorm(WIDTH, eps=1e-3)
    module.weight, module.bias = parameter(blocks["gain_1"]), parameter(blocks["shift_1"])
    return module


def rms_norm(blocks):
    module = torch.nn.RMSNorm(WIDTH, eps=1e-3)
    module.weight = parameter(blocks["gain_1"])
    return module


def batch_norm(blocks):
    module = torch.nn.BatchNorm1d(WIDTH, eps=1e-3, momentum=0.3, dtype=torch.float64)
    module.weight, module.bias = parameter(blocks["gamma_1"]), parameter(blocks["beta_1"])
    module.running_mean, module.running_var = (torch.tensor(blocks[name]) for name in ("mean_1", "variance_1"))
    return module


def prelu(blocks):
    module = torch.nn.PReLU(WIDTH)
    module.weight = parameter(blocks["slope_1"])
    return module


#: name -> (our layer, PyTorch's module with the values of our blocks)
CASES = {
    "layer norm": (LayerNorm(1e-3), layer_norm),
    "rms norm": (RMSNorm(1e-3), rms_norm),
    "batch norm": (BatchNorm(0.3, 1e-3), batch_norm),
    "prelu": (Activation("prelu"), prelu),
    "gelu": (Activation("gelu"), lambda blocks: torch.nn.GELU()),
}


@pytest.mark.parametrize("case", CASES)
def test_ten_steps(case):
    layer, make_module = CASES[case]
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(40, N_FEATURES)), rng.normal(size=(40, 2))
    network = Network(layers=[Dense(WIDTH), layer, Activation("tanh"), Dense(2)], n_features=N_FEATURES, random_state=0)
    network.params += 0.1 * rng.random(network.n_params)  # the blocks are not all alike
    blocks = {name: block.copy() for name, block in network.blocks.items()}
    first, last = (torch.nn.Linear(*reversed(W.shape)) for W in (blocks["W_1"].T, blocks["W_2"].T))
    for linear, number in ((first, 1), (last, 2)):
        linear.weight, linear.bias = parameter(blocks[f"W_{number}"].T), parameter(blocks[f"b_{number}"])
    module = make_module(blocks)
    theirs = torch.nn.Sequential(first, module, torch.nn.Tanh(), last)
    optimizer = torch.optim.SGD(theirs.parameters(), lr=0.1)
    for _ in range(10):
        optimizer.zero_grad()
        loss = ((theirs(torch.tensor(X)) - torch.tensor(y)) ** 2).sum(axis=1).mean() / 2
        loss.backward()
        optimizer.step()
    loop = network.training_loop(make_data(X, y, None, 2, network.dtype), 40, training=True)
    OptimizerState(SGD(momentum=0.0), network.n_params, network.dtype).attach(loop, 0.0)
    losses = np.empty(10)
    loop.train(None, None, 1.0, np.full(10, 0.1), losses)
    assert_allclose(losses[-1], loss.item(), rtol=1e-10)
    # roundings, over ten steps
    assert_allclose(network.blocks["W_1"], first.weight.detach().numpy().T, rtol=1e-9, atol=1e-12)
    assert_allclose(network.blocks["b_2"], last.bias.detach().numpy(), rtol=1e-9, atol=1e-12)
    own = [network.blocks[name] for name in network.blocks if name[:2] not in ("W_", "b_")]
    values = [*module.parameters(), *(buffer for buffer in module.buffers() if buffer.ndim)]
    for block, value in zip(own, values, strict=True):
        assert_allclose(block, value.detach().numpy(), rtol=1e-9, atol=1e-12)
    theirs.eval()  # with running statistics, if there are any
    assert_allclose(network.forward(X), theirs(torch.tensor(X)).detach().numpy(), rtol=1e-9, atol=1e-12)
