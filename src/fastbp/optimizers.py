"""The stochastic optimizers: what they are called, their constants, and how a gradient becomes a step.

An object holds the constants only. The learning rate is the estimator's `learning_rate_init`, which its schedule
changes from epoch to epoch; moments and clock of a run are in a `fastbp.training.OptimizerState`. The arithmetic is in
the kernels (``kernels/optimizers.h``). A new optimizer is one class here and its functions there. An optimizer may use
several kernels, each for some of the blocks of parameters: see `Muon`.
"""

from dataclasses import fields
from numbers import Integral, Real
from typing import ClassVar

from sklearn.utils._param_validation import Interval

from fastbp.kernels.dispatch import N_STATES, OPTIMIZER_CONSTANTS
from fastbp.parametrized import Parametrized, parameter, parametrized

__all__ = ["OPTIMIZERS", "SGD", "Adam", "Muon", "Optimizer"]


def parameter_like(cls, name):
    """A parameter that is the same as that of another optimizer.

    Parameters
    ----------
    cls : type
    name : str

    Returns
    -------
    dataclasses.Field
    """
    (field,) = (f for f in fields(cls) if f.name == name)
    described = field.metadata
    return parameter(
        field.default, described["constraint"], described["type_text"], f"As for `{cls.__name__}`. {described['doc']}"
    )


@parametrized
class Optimizer(Parametrized):
    """Base class of the optimizers; not to be used itself."""

    #: Whether the estimators' `learning_rate` counts where it is a name; an object counts with every optimizer.
    uses_named_schedules: ClassVar[bool] = True

    #: The kernels that make the updates; None for the one with the optimizer's name.
    kernels: ClassVar[tuple[str, ...] | None] = None

    @property
    def updates(self) -> list[tuple[str, tuple[float, ...]]]:
        """list of (str, tuple of float): name and constants of each kernel that makes updates."""
        names = self.kernels or (self.name,)
        return [(name, tuple(float(getattr(self, c)) for c in OPTIMIZER_CONSTANTS[name])) for name in names]

    def update_of(self, graph) -> list[int]:
        """The index in `updates` of the one that updates each block.

        Parameters
        ----------
        graph : Graph

        Returns
        -------
        list of int
        """
        return [0] * len(graph.blocks)

    def update_flops(self, graph) -> float:
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
        return max(N_STATES[name] for name, _ in self.updates)


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
    nesterovs_momentum: bool = parameter(
        True, ["boolean"], "bool", "Whether to take the gradient's step from where the velocity leads."
    )


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
class Muon(Optimizer):
    """Momentum with orthogonal steps for the matrices of the hidden layers, and Adam for all other parameters.

    With the gradient ``G`` of a matrix and the learning rate ``eta``, the average ``M`` and the weights ``W`` become::

        M = momentum * M + (1 - momentum) * G
        W = W - eta * 0.2 * sqrt(max(W.shape)) * O(M)                                     without Nesterov's momentum
        W = W - eta * 0.2 * sqrt(max(W.shape)) * O(momentum * M + (1 - momentum) * G)     with it

    ``O(M)`` is near ``U @ V.T``, where ``U S V^T`` is the singular value decomposition of ``M``: all directions of the
    step have about the same length. The factor ``0.2 * sqrt(max(W.shape))`` gives steps the size of Adam's. The
    matrices are those of all fully connected layers but the last.

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
    kernels = ("muon", "adam")

    momentum: float = parameter(
        0.95, [Interval(Real, 0, 1, closed="left")], "float", "Decay rate of the mean gradient of a matrix, in [0, 1)."
    )
    nesterovs_momentum: bool = parameter(
        True, ["boolean"], "bool", "Whether a step looks ahead: it uses the next mean if the gradient stayed the same."
    )
    n_iterations: int = parameter(
        5, [Interval(Integral, 1, 100, closed="both")], "int", "Iterations of Newton and Schulz that make M orthogonal."
    )
    beta_1: float = parameter_like(Adam, "beta_1")
    beta_2: float = parameter_like(Adam, "beta_2")
    epsilon: float = parameter_like(Adam, "epsilon")

    def update_of(self, graph) -> list[int]:
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

    def update_flops(self, graph) -> float:
        """Of the iterations: with k the smaller of rows and columns, ``4 rows cols k + 2 k**3`` each.

        Parameters
        ----------
        graph : Graph

        Returns
        -------
        float
        """
        shapes = [sorted(W.shape) for W, _ in graph.dense_blocks[:-1]]
        return float(self.n_iterations * sum(4 * m * k * k + 2 * k**3 for k, m in shapes))


#: name -> class of every optimizer
OPTIMIZERS = {cls.name: cls for cls in (SGD, Adam, Muon)}
