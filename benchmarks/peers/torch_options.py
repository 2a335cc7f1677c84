"""PyTorch with the options of training of `options.OPTIONS`, as one would write it for speed.

Optimizers are fused where PyTorch has that, else they work on all tensors in one call (foreach), and so do clipping and
averaging.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional

ACTIVATIONS = {"relu": nn.ReLU, "tanh": nn.Tanh, "logistic": nn.Sigmoid}


class Residual(nn.Module):
    """x + f(x).

    Parameters
    ----------
    modules : list of Module
        The parts of f.
    """

    def __init__(self, modules):
        super().__init__()
        self.branch = nn.Sequential(*modules)

    def forward(self, x):
        """Compute the output."""
        return x + self.branch(x)


def fastest(optimizer, parameters, **settings):
    """Make the fused optimizer if there is one for these parameters, otherwise the one for all tensors at once.

    Parameters
    ----------
    optimizer : type
        A class of ``torch.optim``.
    parameters : iterable of Parameter
    **settings
        Of the optimizer.

    Returns
    -------
    Optimizer
    """
    parameters = list(parameters)
    for how in ({"fused": True}, {"foreach": True}):
        try:
            return optimizer(parameters, **settings, **how)
        except (RuntimeError, TypeError):
            pass
    return optimizer(parameters, **settings)


def make_optimizers(optimizer, **settings):
    """A function that makes the list of optimizers of a network."""
    return lambda network: [fastest(optimizer, network.parameters(), **settings)]


adam = make_optimizers(torch.optim.Adam, lr=1e-3)


class Lion(torch.optim.Optimizer):
    """Chen et al. (2023), Symbolic discovery of optimization algorithms; PyTorch has none.

    Parameters
    ----------
    parameters : list of Parameter
    lr : float
    """

    def __init__(self, parameters, lr):
        super().__init__(parameters, {"lr": lr})
        self.tensors = self.param_groups[0]["params"]
        self.moments = [torch.zeros_like(tensor) for tensor in self.tensors]

    @torch.no_grad()
    def step(self):
        """Update all parameters."""
        gradients = [tensor.grad for tensor in self.tensors]
        update = torch._foreach_lerp(self.moments, gradients, 0.1)
        torch._foreach_sign_(update)
        torch._foreach_add_(self.tensors, update, alpha=-self.param_groups[0]["lr"])
        torch._foreach_lerp_(self.moments, gradients, 0.01)


def muon(network):
    """Muon for the matrices of all layers but the last, as in fastbp, and AdamW for the rest."""
    parameters = list(network.parameters())
    matrices = [p for p in parameters[:-2] if p.ndim == 2]
    others = [p for p in parameters if all(p is not matrix for matrix in matrices)]
    return [torch.optim.Muon(matrices, lr=1e-3), fastest(torch.optim.AdamW, others, lr=1e-3)]


def average(network):
    """An exponential moving average of the parameters, updated after each step."""
    parameters = [p.detach() for p in network.parameters()]
    averages = [p.clone() for p in parameters]
    return lambda: torch._foreach_lerp_(averages, parameters, 0.01)


@torch.no_grad()
def limit_columns(network):
    """Scale the weights of each unit back to a norm of 3."""
    for module in network.modules():
        if isinstance(module, nn.Linear):
            module.weight.copy_(torch.renorm(module.weight, 2, 0, 3.0))


def mix(X, y):
    """Mixup; classes become rows of probabilities."""
    share = float(torch.distributions.Beta(0.2, 0.2).sample())
    order = torch.randperm(len(X))
    if not y.is_floating_point():
        y = functional.one_hot(y, 10).to(X.dtype)
    return torch.lerp(X[order], X, share), torch.lerp(y[order], y, share)


def focal(output, y):
    """Lin et al. (2017), Focal loss for dense object detection, with gamma = 2."""
    log_p = functional.log_softmax(output, 1).gather(1, y[:, None])
    return -((1 - log_p.exp()) ** 2 * log_p).mean()


def gaussian(output, y):
    """The negative log-likelihood of a normal distribution, for an output of the mean and the logarithm of the
    variance."""
    return functional.gaussian_nll_loss(output[:, :1], y, output[:, 1:].exp())


def pinball(output, y):
    """The loss of the median as a quantile."""
    error = y - output
    return torch.maximum(0.5 * error, -0.5 * error).mean()


@dataclass(frozen=True)
class TorchOption:
    """What a training loop does for an option. Each field is left out if the option does not need it.

    Parameters
    ----------
    hidden : callable
        ``hidden(width, activation)`` is the list of modules after the linear module of a hidden layer.
    first : list of Module
        Modules before the first layer.
    residual : bool
        Whether hidden layers of equal width are added to their input.
    output_factor : int
        Outputs for each target.
    optimizers : callable
        ``optimizers(network)`` is a list of optimizers.
    schedule : callable
        ``schedule(optimizer, n_steps)``
    loss : callable
        ``loss(output, y)``
    mix : callable
        ``mix(X, y)`` is the batch to train on.
    penalty : callable
        ``penalty(network)`` is added to the loss.
    before_step : callable
        Called with the network between the backward pass and the update.
    after_step : callable
        ``after_step(network)`` is a function to call after each update.
    """

    hidden: Callable = lambda width, activation: [activation()]
    first: tuple = ()
    residual: bool = False
    output_factor: int = 1
    optimizers: Callable = adam
    schedule: Callable | None = None
    loss: Callable | None = None
    mix: Callable | None = None
    penalty: Callable | None = None
    before_step: Callable | None = None
    after_step: Callable | None = None


def normalized(module):
    """Hidden layers with a normalization between the linear module and the activation."""
    return TorchOption(hidden=lambda width, activation: [module(width), activation()])


OPTIONS = {
    "": TorchOption(),
    "dropout": TorchOption(hidden=lambda width, activation: [activation(), nn.Dropout(0.2)]),
    "input_dropout": TorchOption(first=(nn.Dropout(0.1),)),
    "batch_norm": normalized(nn.BatchNorm1d),
    "layer_norm": normalized(nn.LayerNorm),
    "rms_norm": normalized(nn.RMSNorm),
    "ema": TorchOption(after_step=average),
    "clip_norm": TorchOption(
        before_step=lambda network: nn.utils.clip_grad_norm_(network.parameters(), 1.0, foreach=True)
    ),
    "max_norm": TorchOption(after_step=lambda network: lambda: limit_columns(network)),
    "l1": TorchOption(
        penalty=lambda network: (
            1e-4 / 256 * sum(m.weight.abs().sum() for m in network.modules() if isinstance(m, nn.Linear))
        )
    ),
    "mixup": TorchOption(mix=mix),
    "residual": TorchOption(residual=True),
    "prelu": TorchOption(hidden=lambda width, activation: [nn.PReLU(width)]),
    "gelu": TorchOption(hidden=lambda width, activation: [nn.GELU()]),
    "adamw": TorchOption(optimizers=make_optimizers(torch.optim.AdamW, lr=1e-3)),
    "nadam": TorchOption(optimizers=make_optimizers(torch.optim.NAdam, lr=1e-3)),
    "rmsprop": TorchOption(optimizers=make_optimizers(torch.optim.RMSprop, lr=1e-3)),
    "adagrad": TorchOption(optimizers=make_optimizers(torch.optim.Adagrad, lr=1e-3)),
    "lion": TorchOption(optimizers=make_optimizers(Lion, lr=1e-3)),
    "muon": TorchOption(optimizers=muon),
    "one_cycle": TorchOption(
        schedule=lambda optimizer, n_steps: torch.optim.lr_scheduler.OneCycleLR(optimizer, 1e-3, total_steps=n_steps)
    ),
    "huber": TorchOption(loss=nn.HuberLoss()),
    "absolute_error": TorchOption(loss=nn.L1Loss()),
    "quantile": TorchOption(loss=pinball),
    "gaussian": TorchOption(loss=gaussian, output_factor=2),
    "label_smoothing": TorchOption(loss=nn.CrossEntropyLoss(label_smoothing=0.1)),
    "focal": TorchOption(loss=focal),
    "class_weight": TorchOption(loss=nn.CrossEntropyLoss(weight=torch.ones(10))),
}
