"""Full-batch training by L-BFGS-B: scipy's optimizer over the network's flat parameter vector."""

import numpy as np
import scipy.optimize

from fastbp.kernels.interrupts import is_interruption
from fastbp.kernels.slicing import rows_of_gradient
from fastbp.training.blas import OneBlasThread
from fastbp.training.callbacks import USERS_FUNCTIONS, Callbacks


def minimize_lbfgs(network, data, progress, *, loss_scale, max_iter, max_fun, tol, options=None, callbacks=None):
    """Minimize the network's mean loss over `data`, starting from its parameters, which are overwritten.

    Parameters
    ----------
    network : Network
        Gets the parameters of the last complete iteration, also when an exception is raised.
    data : Data
    progress : scipy.optimize.OptimizeResult
        Its ``x``, the starting point, ``fun`` and ``nit`` are overwritten after every iteration; at the end it is
        scipy's result. ``loss`` is the recorded value of `fun`.
    loss_scale : float
        Factor of the data's share in the recorded losses; the loss that is minimized does not have it.
    max_iter, max_fun : int
        Largest numbers of iterations and evaluations.
    tol : float
        Stop when no component of the projected gradient exceeds this.
    options : dict or None
        Further options of scipy's method.
    callbacks : Callbacks or None
        Called after every iteration, as after an epoch. The history of their state notes whether an exception
        came from outside.

    Returns
    -------
    stopped : bool
        Whether a callback ended it.

    References
    ----------
    Byrd, Lu, Nocedal and Zhu (1995), A limited memory algorithm for bound constrained optimization.
    """
    callbacks = Callbacks() if callbacks is None else callbacks
    blas = OneBlasThread()
    stopped = False
    # the statistics of batch normalization are those of all rows
    n_rows = data.n_rows if network.has_batch_norm else rows_of_gradient(data.n_rows)
    loop = network.training_loop(data, n_rows, training=True)

    def value_and_gradient(packed):
        network.params = packed
        loss, gradient = network.objective(data, loop=loop)
        return loss, gradient.astype(np.float64, copy=False)

    def record_loss():
        """Set the network's parameters to those of the last iteration, and scale the data's share of their loss."""
        network.params = progress.x
        loop.renew_statistics()
        penalty = network.penalty() / data.weight_sum
        progress.loss = float(loss_scale * (progress.fun - penalty) + penalty)

    def after_iteration(intermediate_result):
        blas.acquire()  # if another fit had set the limit and has ended
        progress.update(intermediate_result, nit=progress.nit + 1)
        progress.x = progress.x.copy()
        if callbacks:
            record_loss()
            history = callbacks.state.history
            history.n_iter = progress.nit
            history.loss_curve.append(progress.loss)
            with blas.lifted():
                stop = callbacks.notify("on_epoch_end") or callbacks.notify("on_epoch_begin")
            if stop:
                nonlocal stopped
                stopped = True
                raise StopIteration

    try:
        callbacks.notify("on_epoch_begin")
        # the threads of the loop live for all evaluations
        with loop, blas:
            progress.update(
                scipy.optimize.minimize(
                    value_and_gradient,
                    progress.x,
                    method="L-BFGS-B",
                    jac=True,
                    callback=after_iteration,
                    options={"maxfun": max_fun, "maxiter": max_iter, "gtol": tol, **(options or {})},
                )
            )
    except BaseException as error:
        if callbacks.state is not None:
            callbacks.state.history.interrupted = is_interruption(error, USERS_FUNCTIONS)
        raise
    finally:
        record_loss()
    return stopped
