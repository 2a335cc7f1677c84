"""Ten steps of every optimizer that PyTorch has, beside PyTorch's, in float64."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from fastbp import MLPRegressor, Network
from fastbp.optimizers import SGD, Adagrad, Adam, AdamW, NAdam, RMSprop

torch = pytest.importorskip("torch")


@pytest.fixture(autouse=True)
def float64_scalars():
    """PyTorch's NAdam keeps the product of its momenta in the default dtype."""
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(40, 5)), RNG.normal(size=(40, 2))
RATE = 0.01
#: ours; PyTorch's class and its arguments
CASES = {
    "sgd": (SGD(momentum=0.8), torch.optim.SGD, dict(momentum=0.8, nesterov=True)),
    # PyTorch adds epsilon after the bias correction, so it must be small beside the gradients
    "adam": (Adam(epsilon=1e-14), torch.optim.Adam, dict(eps=1e-14)),
    "adamw": (AdamW(), torch.optim.AdamW, {}),
    "adamw, much decay": (AdamW(weight_decay=3.0, beta_2=0.9), torch.optim.AdamW, dict(betas=(0.9, 0.9))),
    "nadam": (NAdam(), torch.optim.NAdam, {}),
    "nadam, others": (
        NAdam(0.8, 0.95, 1e-6, momentum_decay=0.5),
        torch.optim.NAdam,
        dict(betas=(0.8, 0.95), eps=1e-6, momentum_decay=0.5),
    ),
    "rmsprop": (RMSprop(), torch.optim.RMSprop, {}),
    "rmsprop, others": (
        RMSprop(rho=0.9, momentum=0.7, epsilon=1e-6),
        torch.optim.RMSprop,
        dict(alpha=0.9, momentum=0.7, eps=1e-6),
    ),
    "rmsprop, centered": (RMSprop(rho=0.9, centered=True), torch.optim.RMSprop, dict(alpha=0.9, centered=True)),
    "adagrad": (Adagrad(), torch.optim.Adagrad, {}),
}


def params_of_torch(make_optimizer, settings, weight_decay, alpha=0.0, clip_norm=np.inf):
    """The parameters after ten steps of PyTorch from the same start, laid out as ours.

    PyTorch's parameter groups say which parameters decay: the weights.
    """
    start = Network([5, 7, 2], "tanh", random_state=0)
    tensors = [torch.tensor(a.copy(), requires_grad=True) for a in (*start.coefs, *start.intercepts)]
    W_1, W_2, b_1, b_2 = tensors
    groups = [{"params": [W_1, W_2]}, {"params": [b_1, b_2]}]
    if weight_decay is not None:
        groups[0]["weight_decay"], groups[1]["weight_decay"] = weight_decay, 0.0
    optimizer = make_optimizer(groups, lr=RATE, **settings)
    for _ in range(10):
        optimizer.zero_grad()
        output = torch.tanh(torch.tensor(X) @ W_1 + b_1) @ W_2 + b_2
        loss = ((output - torch.tensor(Y)) ** 2).sum() / 2 + alpha / 2 * ((W_1**2).sum() + (W_2**2).sum())
        (loss / len(X)).backward()
        torch.nn.utils.clip_grad_norm_(tensors, clip_norm)
        optimizer.step()
    return np.concatenate([t.detach().numpy().ravel() for t in tensors])


def params_of_ours(**params):
    model = MLPRegressor(
        hidden_layer_sizes=(7,),
        activation="tanh",
        learning_rate_init=RATE,
        batch_size=40,
        shuffle=False,
        max_iter=10,
        random_state=0,
        **params,
    )
    with pytest.warns(match="Maximum iterations"):
        return model.fit(X, Y).network_.params


@pytest.mark.parametrize("name", CASES)
def test_ten_steps(name):
    ours, cls, settings = CASES[name]
    weight_decay = ours.weight_decay if isinstance(ours, AdamW) else None
    expected = params_of_torch(cls, settings, weight_decay, alpha=0.3)
    assert_allclose(params_of_ours(solver=ours, alpha=0.3), expected, rtol=0, atol=1e-8)


@pytest.mark.parametrize(
    ("solver", "cls", "settings"),
    [("nadam", torch.optim.NAdam, dict(decoupled_weight_decay=True)), ("adamw", torch.optim.AdamW, {})],
)
def test_weight_decay_of_the_estimator(solver, cls, settings):
    expected = params_of_torch(cls, settings, 2.0)
    assert_allclose(params_of_ours(solver=solver, alpha=0, weight_decay=2.0), expected, rtol=0, atol=1e-6)


def test_ten_clipped_steps():
    expected = params_of_torch(torch.optim.SGD, dict(momentum=0.9, nesterov=True), None, clip_norm=0.1)
    # PyTorch divides by the norm plus 1e-6
    ours = params_of_ours(solver="sgd", alpha=0, clip_norm=0.1)
    assert_allclose(ours, expected, rtol=0, atol=1e-6)
    assert np.abs(ours - params_of_ours(solver="sgd", alpha=0)).max() > 0.01
