"""Ten steps of the estimators beside PyTorch's, in float64: losses, activations, normalization and clipping as
parameters of an estimator. The optimizers are in `test_torch_optimizers`, the layers one by one in
`test_torch_layers`."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from fastbp import MLPClassifier, MLPRegressor
from fastbp.losses import Gaussian, Huber

torch = pytest.importorskip("torch")
functional = torch.nn.functional

RNG = np.random.default_rng(0)
X = RNG.normal(size=(40, 5))
Y = 2 * RNG.normal(size=(40, 2))  # far enough from 0 for both parts of Huber's loss
LABELS = RNG.integers(3, size=40)
WIDTH, BATCH, RATE = 7, 20, 0.05


class Start:
    """Keeps the parameters of the network before the first step."""

    def on_fit_begin(self, state):
        self.blocks = {name: block.copy() for name, block in state.network.blocks.items()}


def parameter(values):
    return torch.nn.Parameter(torch.tensor(values.copy()))


def linear(blocks, number):
    W, b = blocks[f"W_{number}"], blocks[f"b_{number}"]
    module = torch.nn.Linear(*W.shape)
    module.weight, module.bias = parameter(W.T), parameter(b)
    return module


def batch_norm(blocks):
    return torch.nn.BatchNorm1d(WIDTH, dtype=torch.float64)


def layer_norm(blocks):
    return torch.nn.LayerNorm(WIDTH, dtype=torch.float64)


def rms_norm(blocks):
    return torch.nn.RMSNorm(WIDTH, eps=1e-5, dtype=torch.float64)


def prelu(blocks):
    return torch.nn.PReLU(WIDTH, dtype=torch.float64)


def squared_error(z, y):
    return ((z - y) ** 2).sum() / 2


def huber(delta):
    return lambda z, y: functional.huber_loss(z, y, reduction="sum", delta=delta)


def gaussian(epsilon):
    # PyTorch takes the variance itself, and its eps clips it
    def loss(z, y):
        variance = torch.exp(z[:, 2:]) + epsilon
        return functional.gaussian_nll_loss(z[:, :2], y, variance, full=True, eps=0, reduction="sum")

    return loss


def smoothed_log_loss(label_smoothing):
    return lambda z, y: functional.cross_entropy(z, y, label_smoothing=label_smoothing, reduction="sum")


def smoothed_binary_log_loss(label_smoothing):
    def loss(z, y):
        target = (1 - label_smoothing) * y + label_smoothing / 2
        return functional.binary_cross_entropy_with_logits(z.ravel(), target, reduction="sum")

    return loss


#: name -> (parameters of the estimator, targets, PyTorch's sum of the losses)
LOSSES = {
    "huber": (dict(loss="huber"), Y, huber(1.0)),
    "huber, other delta": (dict(loss=Huber(0.3)), Y, huber(0.3)),
    "gaussian": (dict(loss="gaussian"), Y, gaussian(1e-6)),
    "gaussian, other epsilon": (dict(loss=Gaussian(0.5)), Y, gaussian(0.5)),
    "label smoothing": (dict(label_smoothing=0.1), LABELS, smoothed_log_loss(0.1)),
    "label smoothing of two classes": (dict(label_smoothing=0.2), (LABELS > 0) * 1.0, smoothed_binary_log_loss(0.2)),
}
#: name -> (parameters of the estimator, PyTorch's modules between the linear ones)
HIDDEN = {
    "gelu": (dict(activation="gelu"), [lambda blocks: torch.nn.GELU()]),
    "prelu": (dict(activation="prelu"), [prelu]),
    "batch": (dict(normalization="batch"), [batch_norm]),
    "layer": (dict(normalization="layer"), [layer_norm]),
    "rms": (dict(normalization="rms"), [rms_norm]),
    "batch and prelu": (dict(normalization="batch", activation="prelu"), [batch_norm, prelu]),
}


def assert_same_steps(params, y, torch_loss, hidden=(), clip_norm=np.inf, atol=1e-10):
    """The network of an estimator after ten steps is PyTorch's, also the running statistics; and so are predictions."""
    Estimator = MLPClassifier if y.ndim == 1 else MLPRegressor
    hidden = list(hidden)
    if "activation" not in params:
        hidden.append(lambda blocks: torch.nn.Tanh())
    start = Start()
    model = Estimator(
        hidden_layer_sizes=(WIDTH,),
        solver="sgd",
        learning_rate_init=RATE,
        alpha=0,
        batch_size=BATCH,
        shuffle=False,
        max_iter=5,
        random_state=0,
        callbacks=start,
        **{"activation": "tanh"} | params,
    )
    with pytest.warns(match="Maximum iterations"):
        network = model.fit(X, y).network_
    theirs = [linear(start.blocks, 1), *(make(start.blocks) for make in hidden), linear(start.blocks, 2)]
    module = torch.nn.Sequential(*theirs)
    optimizer = torch.optim.SGD(module.parameters(), lr=RATE, momentum=0.9, nesterov=True)
    for step in range(10):
        rows = slice(0, BATCH) if step % 2 == 0 else slice(BATCH, None)
        optimizer.zero_grad()
        (torch_loss(module(torch.tensor(X[rows])), torch.tensor(y[rows])) / BATCH).backward()
        torch.nn.utils.clip_grad_norm_(module.parameters(), clip_norm)
        optimizer.step()
    blocks = {name: block for name, block in network.blocks.items() if name[0] not in "Wb" or name[:4] == "beta"}
    values = [t for m in theirs[1:-1] for t in (*m.parameters(), *(b for b in m.buffers() if b.ndim))]
    for (name, block), value in zip(blocks.items(), values, strict=True):
        assert_allclose(block, value.detach().numpy(), rtol=0, atol=atol, err_msg=name)
    for number, layer in ((1, theirs[0]), (2, theirs[-1])):
        assert_allclose(network.blocks[f"W_{number}"], layer.weight.detach().numpy().T, rtol=0, atol=atol)
        assert_allclose(network.blocks[f"b_{number}"], layer.bias.detach().numpy(), rtol=0, atol=atol)
    module.eval()
    assert_allclose(network.raw_prediction(X), module(torch.tensor(X)).detach().numpy(), rtol=0, atol=10 * atol)
    return network


@pytest.mark.parametrize("name", LOSSES)
def test_losses(name):
    assert_same_steps(*LOSSES[name])


@pytest.mark.parametrize("name", HIDDEN)
def test_hidden_layers(name):
    params, hidden = HIDDEN[name]
    assert_same_steps(params, Y, squared_error, hidden)


@pytest.mark.parametrize("name", LOSSES)
def test_clipping(name):
    params, y, loss = LOSSES[name]
    # PyTorch divides by the norm plus 1e-6
    network = assert_same_steps(params | dict(clip_norm=0.1), y, loss, clip_norm=0.1, atol=1e-6)
    free = assert_same_steps(params, y, loss)
    assert np.abs(network.params - free.params).max() > 0.01


def test_all_together():
    params = dict(normalization="batch", activation="prelu", label_smoothing=0.1, clip_norm=0.1)
    assert_same_steps(params, LABELS, smoothed_log_loss(0.1), [batch_norm, prelu], clip_norm=0.1, atol=1e-6)
