"""Full-batch training by L-BFGS-B: scipy's optimizer over the network's flat parameter vector."""

import numpy as np
import scipy.optimize


def minimize_lbfgs(network, data, *, loss_scale, max_iter, max_fun, tol):
    """Minimize the network's mean loss over `data`, starting from its parameters, which are overwritten.

    Parameters
    ----------
    network : Network
    data : Data
    loss_scale : float
        See ``Network.objective``.
    max_iter, max_fun : int
        Most iterations and evaluations.
    tol : float
        Stop when no component of the projected gradient exceeds this.

    Returns
    -------
    scipy.optimize.OptimizeResult

    References
    ----------
    Byrd, Lu, Nocedal and Zhu (1995), A limited memory algorithm for bound constrained optimization.
    """
    plan = network.plan(data, min(256, data.n_rows))

    def value_and_gradient(packed):
        network.params = packed
        loss, gradient = network.objective(data, loss_scale, plan)
        return loss, gradient.astype(np.float64, copy=False)

    result = scipy.optimize.minimize(
        value_and_gradient,
        network.params.astype(np.float64),
        method="L-BFGS-B",
        jac=True,
        options={"maxfun": max_fun, "maxiter": max_iter, "gtol": tol},
    )
    network.params = result.x
    return result
