"""The parameters that the estimators have on a cluster only."""

from dataclasses import KW_ONLY, fields
from numbers import Integral, Real

from fastbp.compatibility import Interval, StrOptions
from fastbp.estimators.parameters import is_stochastic, optimizer_of
from fastbp.parametrized import parameter, parametrized


@parametrized(eq=False)
class ClusterParameters:
    """Parameters of rounds and of the outer step."""

    _: KW_ONLY
    sync_every: int | str = parameter(
        "auto",
        [Interval(Integral, 1, None, closed="left"), StrOptions({"auto"})],
        "int or 'auto'",
        """
        At most this many steps of each worker between two averages of the weights. Fewer take more time for
        communication: each average sends all weights, and the arrays of the optimizer, once to each worker and back.
        'auto': 50, or those of an epoch where these are fewer.""",
    )
    outer_learning_rate: float = parameter(
        1.0,
        [Interval(Real, 0, None, closed="neither")],
        "float",
        """
        How far the weights move from those before a round towards their average after it; 1: to the average itself.""",
    )
    outer_momentum: float | str = parameter(
        "auto",
        [Interval(Real, 0, 1, closed="left"), StrOptions({"auto"})],
        "float or 'auto'",
        """
        Nesterov's momentum of these moves (Douillard et al., 2023); 0: none. 'auto': ``1 - 1 / sqrt(n)`` with n shards,
        one for each worker, and 0 for 'schedule_free'. The gradients of smaller batches are noisier. Where an optimizer
        divides by their size, its steps are shorter on average, by a factor of up to the square root of n (Malladi et
        al., 2022), for which this makes up. 'sgd' has no such effect, and is more accurate with it by measurement.""",
    )


#: Their names
OWN = tuple(f.name for f in fields(ClusterParameters))


def check_can_be_averaged(estimator, X_val) -> None:
    """ValueError for parameters with which weights cannot be trained apart and averaged; names the way out.

    Parameters
    ----------
    estimator : DaskMLP
    X_val : object
        The rows to validate on, or None.
    """
    solver, name = estimator.solver, type(estimator).__name__
    if not is_stochastic(solver):
        raise ValueError(
            f"solver={solver!r} needs the gradient of all rows at each step, and {name} averages weights after many "
            "steps: choose a stochastic solver, such as 'adam'"
        )
    if estimator.early_stopping and X_val is None:
        raise ValueError(
            f"early_stopping=True holds out no rows in {name}: give rows to validate on, X_val and y_val, or set "
            "early_stopping=False"
        )
    if optimizer_of(estimator).averages and (estimator.outer_learning_rate, estimator.outer_momentum) not in (
        (1, "auto"),
        (1, 0),
    ):
        raise ValueError(
            f"solver={solver!r} gives an average of weights, which an outer step would leave: set "
            "outer_learning_rate=1.0 and outer_momentum=0.0, or choose another solver"
        )
