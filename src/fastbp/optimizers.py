"""The stochastic optimizers: what they are called, their constants, and how a gradient becomes a step.

An object holds the constants only. The learning rate is the estimator's `learning_rate_init`, which its schedule
changes from epoch to epoch; the moments and the number of steps of a run are in a `fastbp.training.OptimizerState`. The
arithmetic is in the kernels (``kernels/optimizers.h``). A new optimizer is one class here and its functions there. An
optimizer may use several kernels, each for some of the blocks of parameters: see `Muon`.
"""

from dataclasses import fields
from numbers import Integral, Real
from typing import Any, ClassVar

from fastbp.compatibility import Interval
from fastbp.kernels.dispatch import N_STATES, OPTIMIZER_CONSTANTS
from fastbp.kernels.graph import Graph
from fastbp.parametrized import Parametrized, parameter, parametrized

__all__ = [
    "OPTIMIZERS",
    "SGD",
    "Adagrad",
    "Adam",
    "AdamW",
    "Lion",
    "Muon",
    "NAdam",
    "Optimizer",
    "RMSprop",
    "ScheduleFree",
]


def parameter_like(cls: Any, name: str, default: Any = None) -> Any:
    """A parameter that is the same as that of another optimizer.

    Parameters
    ----------
    cls : type
    name : str
    default : float or None
        None: the same too.

    Returns
    -------
    dataclasses.Field
    """
    (field,) = (f for f in fields(cls) if f.name == name)
    described = field.metadata
    doc = described["doc"]
    return parameter(
        field.default if default is None else default,
        described["constraint"],
        described["type_text"],
        doc if doc.startswith("As for") else f"As for `{cls.__name__}`. {doc}",
    )


@parametrized
class Optimizer(Parametrized):
    """Base class of the optimizers; not to be used itself."""

    #: Whether the schedules 'invscaling' and 'adaptive' of the estimators, given by name, are used.
    uses_named_schedules: ClassVar[bool] = True

    #: The decoupled weight decay of the optimizers that have no such parameter; see `AdamW`.
    weight_decay: ClassVar[float] = 0.0

    #: Whether the parameters of the network are an average, and not those with which gradients are computed.
    averages: ClassVar[bool] = False

    #: The kernels that make the updates; None for the one with the optimizer's name.
    kernels: ClassVar[tuple[str, ...] | None] = None

    @property
    def kernel_constants(self) -> list[tuple[str, tuple[float, ...]]]:
        """list of (str, tuple of float): name and constants of each kernel that makes updates."""
        names = self.kernels or (self.name,)
        return [(name, tuple(float(getattr(self, c)) for c in OPTIMIZER_CONSTANTS[name])) for name in names]

    def kernel_of_blocks(self, graph: Graph) -> list[int]:
        """The index in `kernel_constants` of the one that updates each block.

        Parameters
        ----------
        graph : Graph

        Returns
        -------
        list of int
        """
        return [0] * len(graph.blocks)

    def update_flops(self, graph: Graph) -> float:
        """Floating-point operations of the updates of a step, beyond some for each parameter.

        Parameters
        ----------
        graph : Graph

        Returns
        -------
        float
        """
        return 0.0

    @property
    def n_states(self) -> int:
        """int: arrays of the size of the parameters that a run keeps."""
        return max(N_STATES[name] for name, _ in self.kernel_constants)


@parametrized
class SGD(Optimizer):
    """Stochastic gradient descent with momentum.

    With the gradient ``g`` and the learning rate ``eta``, the velocity ``v`` and the weights ``w`` become::

        v = momentum * v - eta * g
        w = w + v                                   without Nesterov's momentum
        w = w + momentum * v - eta * g              with it

    Parameters
    ----------
    {parameters}

    References
    ----------
    Sutskever, Martens, Dahl and Hinton (2013), On the importance of initialization and momentum in deep learning, ICML,
    eqs. 1 to 4.

    Examples
    --------
    >>> from fastbp import MLPRegressor
    >>> from fastbp.optimizers import SGD
    >>> model = MLPRegressor(solver=SGD(momentum=0.8), learning_rate_init=0.01)
    >>> model.get_params()["solver__momentum"]
    0.8
    """

    name = "sgd"

    momentum: float = parameter(
        0.9, [Interval(Real, 0, 1, closed="both")], "float", "Share of the velocity that a step keeps, in [0, 1]."
    )
    nesterovs_momentum: bool = parameter(True, ["boolean"], "bool", "Whether to use Nesterov's momentum.")


@parametrized
class Adam(Optimizer):
    """Stochastic gradient descent with adaptive moments.

    With the gradient ``g`` and the learning rate ``eta``, step ``t`` (from 1) is::

        m = beta_1 * m + (1 - beta_1) * g
        v = beta_2 * v + (1 - beta_2) * g**2
        w = w - eta * sqrt(1 - beta_2**t) / (1 - beta_1**t) * m / (sqrt(v) + epsilon)

    Parameters
    ----------
    {parameters}

    References
    ----------
    Kingma and Ba (2015), Adam: a method for stochastic optimization, ICLR; the bias corrections as at the end of
    section 2.

    Examples
    --------
    >>> from fastbp import MLPRegressor
    >>> from fastbp.optimizers import Adam
    >>> MLPRegressor(solver=Adam(beta_2=0.99)).set_params(solver__beta_1=0.8)
    MLPRegressor(solver=Adam(beta_1=0.8, beta_2=0.99))
    """

    name = "adam"
    uses_named_schedules = False  # as in scikit-learn

    beta_1: float = parameter(
        0.9, [Interval(Real, 0, 1, closed="left")], "float", "Decay rate of the mean gradient, in [0, 1)."
    )
    beta_2: float = parameter(
        0.999,
        [Interval(Real, 0, 1, closed="left")],
        "float",
        "Decay rate of the mean squared gradient, in [0, 1).",
    )
    epsilon: float = parameter(
        1e-8, [Interval(Real, 0, None, closed="neither")], "float", "Keeps the denominator from zero."
    )


@parametrized
class AdamW(Optimizer):
    """Adam with decoupled weight decay.

    With the gradient ``g`` and the learning rate ``eta``, step ``t`` (from 1) is::

        m = beta_1 * m + (1 - beta_1) * g
        v = beta_2 * v + (1 - beta_2) * g**2
        w = (1 - eta * weight_decay) * w
        w = w - eta / (1 - beta_1**t) * m / (sqrt(v / (1 - beta_2**t)) + epsilon)

    The weights that decay are those that the estimators' `alpha` penalizes; biases do not. Unlike `alpha`, the decay is
    not part of the loss, is not divided by the size of the batch, and does not pass through the moments.

    Parameters
    ----------
    {parameters}

    References
    ----------
    Loshchilov and Hutter (2019), Decoupled weight decay regularization, ICLR; with the decay times the learning rate,
    as in PyTorch.

    Examples
    --------
    >>> from fastbp import MLPRegressor
    >>> from fastbp.optimizers import AdamW
    >>> MLPRegressor(solver=AdamW(), alpha=0).set_params(solver__weight_decay=0.1)
    MLPRegressor(alpha=0, solver=AdamW(weight_decay=0.1))
    """

    name = "adamw"
    beta_1: float = parameter_like(Adam, "beta_1")
    beta_2: float = parameter_like(Adam, "beta_2")
    epsilon: float = parameter_like(Adam, "epsilon")
    weight_decay: float = parameter(  # type: ignore[misc]  # here it is a parameter
        0.01,
        [Interval(Real, 0, None, closed="left")],
        "float",
        "Decoupled weight decay: each step multiplies the weights by ``1 - learning_rate * weight_decay``.",
    )


@parametrized
class NAdam(Optimizer):
    """Adam with Nesterov's momentum.

    With the gradient ``g`` and the learning rate ``eta``, step ``t`` (from 1) is::

        mu_t = beta_1 * (1 - 0.96**(t * momentum_decay) / 2)
        M = mu_1 * mu_2 * ... * mu_t
        m = beta_1 * m + (1 - beta_1) * g
        v = beta_2 * v + (1 - beta_2) * g**2
        u = mu_(t+1) / (1 - M * mu_(t+1)) * m + (1 - mu_t) / (1 - M) * g
        w = w - eta * u / (sqrt(v / (1 - beta_2**t)) + epsilon)

    Parameters
    ----------
    {parameters}

    References
    ----------
    Dozat (2016), Incorporating Nesterov momentum into Adam, ICLR workshop; as in PyTorch.

    Examples
    --------
    >>> from fastbp import MLPRegressor
    >>> from fastbp.optimizers import NAdam
    >>> MLPRegressor(solver=NAdam()).get_params()["solver__momentum_decay"]
    0.004
    """

    name = "nadam"

    beta_1: float = parameter_like(Adam, "beta_1")
    beta_2: float = parameter_like(Adam, "beta_2")
    epsilon: float = parameter_like(Adam, "epsilon")
    momentum_decay: float = parameter(
        0.004, [Interval(Real, 0, None, closed="left")], "float", "How fast the momentum rises from half of `beta_1`."
    )


@parametrized
class RMSprop(Optimizer):
    """Steps divided by the root of the mean squared gradient.

    With the gradient ``g`` and the learning rate ``eta``, the mean square ``v``, the velocity ``u`` and the weights
    ``w`` become::

        v = rho * v + (1 - rho) * g**2
        u = momentum * u + g / (sqrt(v) + epsilon)
        w = w - eta * u

    ``centered`` subtracts the square of the mean gradient, ``m = rho * m + (1 - rho) * g``, from ``v`` under the root.

    Parameters
    ----------
    {parameters}

    References
    ----------
    Tieleman and Hinton (2012), Lecture 6.5, rmsprop, Coursera: Neural networks for machine learning. Graves (2013),
    Generating sequences with recurrent neural networks, arXiv:1308.0850, for the centered form. As in PyTorch, whose
    ``alpha`` is `rho`.

    Examples
    --------
    >>> from fastbp import MLPRegressor
    >>> from fastbp.optimizers import RMSprop
    >>> MLPRegressor(solver=RMSprop(momentum=0.9, centered=True))
    MLPRegressor(solver=RMSprop(centered=True, momentum=0.9))
    """

    name = "rmsprop"

    rho: float = parameter(
        0.99, [Interval(Real, 0, 1, closed="left")], "float", "Decay rate of the mean squared gradient, in [0, 1)."
    )
    momentum: float = parameter(
        0.0, [Interval(Real, 0, 1, closed="both")], "float", "Share of the velocity that a step keeps, in [0, 1]."
    )
    centered: bool = parameter(
        False,
        ["boolean"],
        "bool",
        "Whether to divide by the standard deviation of the gradient in place of its root mean square.",
    )
    epsilon: float = parameter_like(Adam, "epsilon")


@parametrized
class Adagrad(Optimizer):
    """Steps divided by the root of the sum of all squared gradients.

    With the gradient ``g`` and the learning rate ``eta``::

        v = v + g**2
        w = w - eta * g / (sqrt(v) + epsilon)

    The steps become smaller and smaller, so that it needs a larger `learning_rate_init` than other solvers, for example
    0.01.

    Parameters
    ----------
    {parameters}

    References
    ----------
    Duchi, Hazan and Singer (2011), Adaptive subgradient methods for online learning and stochastic optimization, JMLR
    12; as in PyTorch, without a decay of the learning rate.

    Examples
    --------
    >>> from fastbp import MLPRegressor
    >>> from fastbp.optimizers import Adagrad
    >>> MLPRegressor(solver=Adagrad(), learning_rate_init=0.01).get_params()["solver__epsilon"]
    1e-10
    """

    name = "adagrad"

    epsilon: float = parameter(
        1e-10, [Interval(Real, 0, None, closed="neither")], "float", "Keeps the denominator from zero."
    )


@parametrized
class Lion(Optimizer):
    """Steps of equal length for all weights, in the direction of the sign of a mean gradient.

    With the gradient ``g`` and the learning rate ``eta``::

        w = (1 - eta * weight_decay) * w - eta * sign(beta_1 * m + (1 - beta_1) * g)
        m = beta_2 * m + (1 - beta_2) * g

    It needs a smaller `learning_rate_init` than 'adam', by a factor of 3 to 10, and then a larger `weight_decay` by the
    same factor.

    Parameters
    ----------
    {parameters}

    References
    ----------
    Chen et al. (2023), Symbolic discovery of optimization algorithms, NeurIPS, algorithm 2.

    Examples
    --------
    >>> from fastbp import MLPRegressor
    >>> from fastbp.optimizers import Lion
    >>> MLPRegressor(solver=Lion(), learning_rate_init=0.0002).get_params()["solver__beta_2"]
    0.99
    """

    name = "lion"

    beta_1: float = parameter(
        0.9, [Interval(Real, 0, 1, closed="left")], "float", "Share of the mean gradient in a step, in [0, 1)."
    )
    beta_2: float = parameter(
        0.99, [Interval(Real, 0, 1, closed="left")], "float", "Decay rate of the mean gradient, in [0, 1)."
    )
    weight_decay: float = parameter_like(AdamW, "weight_decay", 0.0)  # type: ignore[misc]


@parametrized
class ScheduleFree(Optimizer):
    """AdamW with an average of the weights in place of a learning rate that falls.

    With the steps ``z`` and their average ``x``, which both begin with the initial weights, and the learning rate
    ``eta``, step ``t`` (from 1) is::

        y = (1 - beta_1) * z + beta_1 * x
        g = gradient at y
        v = beta_2 * v + (1 - beta_2) * g**2
        eta_t = eta * min(1, t / warmup_steps)
        z = z - eta_t * (g / (sqrt(v / (1 - beta_2**t)) + epsilon) + weight_decay * y)
        x = (1 - c_t) * x + c_t * z

    ``c_t`` is the share of this step in the sum of the weights of all steps so far; the weight of a step is the square
    of the largest ``eta_t`` until then. The network's parameters are ``x`` whenever they can be seen: in the fitted
    model, in callbacks and for the validation score. `loss_curve_` holds the losses at ``y``. A constant learning rate,
    which may be larger than that of 'adam', and `warmup_steps` take the place of a schedule.

    Parameters
    ----------
    {parameters}

    References
    ----------
    Defazio et al. (2024), The road less scheduled, NeurIPS, algorithm 1.

    Examples
    --------
    >>> from fastbp import MLPRegressor
    >>> from fastbp.optimizers import ScheduleFree
    >>> MLPRegressor(solver=ScheduleFree(warmup_steps=100), learning_rate_init=0.0025).get_params()["solver__beta_1"]
    0.9
    """

    name = "schedule_free"
    averages = True

    beta_1: float = parameter(
        0.9, [Interval(Real, 0, 1, closed="both")], "float", "Share of the average in y, in [0, 1]."
    )
    beta_2: float = parameter_like(Adam, "beta_2")
    epsilon: float = parameter_like(Adam, "epsilon")
    warmup_steps: int = parameter(
        0, [Interval(Integral, 0, None, closed="left")], "int", "Steps in which the learning rate rises to its value."
    )
    weight_decay: float = parameter_like(AdamW, "weight_decay", 0.0)  # type: ignore[misc]


@parametrized
class Muon(Optimizer):
    """Momentum with orthogonal steps for the matrices of the hidden layers, and AdamW for all other parameters.

    With the gradient ``G`` of a matrix and the learning rate ``eta``, the average ``M`` and the weights ``W`` become::

        M = momentum * M + (1 - momentum) * G
        W = W - eta * 0.2 * sqrt(max(W.shape)) * O(M)                                     without Nesterov's momentum
        W = W - eta * 0.2 * sqrt(max(W.shape)) * O(momentum * M + (1 - momentum) * G)     with it

    ``O(M)`` is near ``U @ V.T``, where ``U S V^T`` is the singular value decomposition of ``M``: all directions of the
    step have about the same length. The factor ``0.2 * sqrt(max(W.shape))`` gives steps the size of Adam's. The
    matrices are those of all fully connected layers but the last. The weights of all layers decay, as in `AdamW`.

    Parameters
    ----------
    {parameters}

    References
    ----------
    Jordan et al. (2024), Muon: an optimizer for hidden layers in neural networks. Liu et al. (2025), Muon is scalable
    for LLM training, section 2.2, for the factor.

    Examples
    --------
    >>> from fastbp import MLPRegressor
    >>> from fastbp.optimizers import Muon
    >>> MLPRegressor(solver=Muon(momentum=0.9)).get_params()["solver__n_iterations"]
    5
    """

    name = "muon"
    kernels: ClassVar[tuple[str, ...]] = ("muon", "adamw")

    momentum: float = parameter(
        0.95, [Interval(Real, 0, 1, closed="left")], "float", "Decay rate of the mean gradient of a matrix, in [0, 1)."
    )
    nesterovs_momentum: bool = parameter(
        True, ["boolean"], "bool", "Whether a step looks ahead: it uses the next mean if the gradient stayed the same."
    )
    n_iterations: int = parameter(
        5, [Interval(Integral, 1, 100, closed="both")], "int", "Iterations of Newton and Schulz that make M orthogonal."
    )
    beta_1: float = parameter_like(AdamW, "beta_1")
    beta_2: float = parameter_like(AdamW, "beta_2")
    epsilon: float = parameter_like(AdamW, "epsilon")
    weight_decay: float = parameter_like(AdamW, "weight_decay")  # type: ignore[misc]

    def kernel_of_blocks(self, graph: Graph) -> list[int]:
        """0 for the matrices of all dense operations but the last, and 1 for all other blocks.

        Parameters
        ----------
        graph : Graph

        Returns
        -------
        list of int
        """
        hidden = [W for W, _ in graph.dense_blocks][:-1]
        return [0 if block in hidden else 1 for block in graph.blocks]

    def update_flops(self, graph: Graph) -> float:
        """Of the iterations: with k the smaller of rows and columns, ``3 rows cols k + k**3`` each.

        Two of the three products are symmetric, and only half of them is computed.

        Parameters
        ----------
        graph : Graph

        Returns
        -------
        float
        """
        shapes = [sorted(W.shape) for W, _ in graph.dense_blocks[:-1]]
        return float(self.n_iterations * sum(3 * m * k * k + k**3 for k, m in shapes))


#: name -> class of every optimizer
OPTIMIZERS = {cls.name: cls for cls in (SGD, Adam, AdamW, NAdam, RMSprop, Adagrad, Lion, ScheduleFree, Muon)}
