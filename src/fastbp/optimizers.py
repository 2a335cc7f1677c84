"""The stochastic optimizers: what they are called, their constants, and how a gradient becomes a step.

An object holds the constants only. The learning rate is the estimator's `learning_rate_init`, which its schedule
changes from epoch to epoch; moments and clock of a run are in a `fastbp.training.OptimizerState`. The arithmetic is in
the kernels (``kernels/optimizers.h``). A new optimizer is one class here and one function there.
"""

from numbers import Real
from typing import ClassVar

from sklearn.utils._param_validation import Interval

from fastbp.kernels.dispatch import N_STATES
from fastbp.parametrized import Parametrized, parameter, parametrized

__all__ = ["OPTIMIZERS", "SGD", "Adam", "Optimizer"]


@parametrized
class Optimizer(Parametrized):
    """Base class of the optimizers; not to be used itself."""

    #: Whether the estimators' `learning_rate` counts where it is a name; an object counts with every optimizer.
    uses_named_schedules: ClassVar[bool] = True

    @property
    def n_states(self) -> int:
        """int: arrays of the size of the parameters that a run keeps."""
        return N_STATES[self.name]


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


#: name -> class of every optimizer
OPTIMIZERS = {cls.name: cls for cls in (SGD, Adam)}
