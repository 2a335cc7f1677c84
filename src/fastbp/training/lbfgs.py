"""Full-batch training by L-BFGS over the network's flat parameter vector."""

from zlib import crc32

import numpy as np

from fastbp.kernels.interrupts import is_interruption
from fastbp.kernels.slicing import rows_of_gradient
from fastbp.training.blas import OneBlasThread
from fastbp.training.callbacks import USERS_FUNCTIONS, Callbacks
from fastbp.training.minimization import minimize


class Evaluations:
    """The losses and gradients along a run of L-BFGS, from which it can be repeated.

    The steps follow from the starting point, the losses and the gradients: given these again, the optimizer comes to
    the same state, without an evaluation of the network.

    Parameters
    ----------
    start : ndarray of float64 of shape (n_params,)
        The starting point.
    are_noted : bool
        Whether new ones are noted, for a run that may be resumed.

    Attributes
    ----------
    losses : list of float
    gradients : list of ndarray of shape (n_params,)
        In the network's dtype.
    points : list of int
        CRC-32 of the parameters.
    n_replayed : int
        How many have been given to the optimizer again; all, where there is no earlier run.
    """

    def __init__(self, start, are_noted):
        self.start, self.are_noted = start, are_noted
        self.losses, self.gradients, self.points = [], [], []
        self.n_replayed = 0

    def note(self, point, loss, gradient):
        """Note an evaluation, if that is wanted."""
        if not self.are_noted:
            return
        self.losses.append(float(loss))
        self.gradients.append(gradient.copy())
        self.points.append(crc32(point))
        self.n_replayed += 1

    def replay(self, point):
        """The loss and the gradient that come next in an earlier run; None where it has no more.

        Parameters
        ----------
        point : ndarray of float64 of shape (n_params,)

        Returns
        -------
        (float, ndarray) or None

        Raises
        ------
        ValueError
            If they were computed for other parameters.
        """
        number = self.n_replayed
        if number == len(self.losses):
            return None
        if self.points[number] != crc32(point):
            raise ValueError(
                "resume_from: the steps of L-BFGS are others than in the run of the checkpoint, because the version of "
                "fastbp or the processor is another one. Resume where it was written; or begin with its weights: load "
                "the file, and give fit an estimator with init_from=the loaded one"
            )
        self.n_replayed += 1
        return self.losses[number], self.gradients[number]

    def state_dict(self):
        """All that changes in a run; see `fastbp.training.run_state`."""
        n = self.n_replayed
        return {
            "start": self.start,
            "losses": self.losses[:n],
            "gradients": self.gradients[:n],
            "points": self.points[:n],
        }

    def load_state_dict(self, state):
        """Repeat a run from its beginning.

        Parameters
        ----------
        state : dict

        Raises
        ------
        ValueError
            If there is not a loss, a gradient and a checksum for each evaluation.
        """
        n = len(state["losses"])
        is_number = [np.ndim(item) == 0 for item in (*state["losses"], *state["points"])]
        is_gradient = [np.shape(gradient) == self.start.shape for gradient in state["gradients"]]
        if len(state["points"]) != n or len(is_gradient) != n or not all(is_number) or not all(is_gradient):
            raise ValueError("resume_from: evaluations in the state of the run is damaged: its lists do not agree")
        self.start = np.array(state["start"])
        for name in ("losses", "gradients", "points"):
            setattr(self, name, list(state[name]))
        self.n_replayed = 0


def minimize_lbfgs(network, data, progress, *, loss_scale, max_iter, max_fun, tol, callbacks=None, evaluations=None):
    """Minimize the network's mean loss over `data`, starting from its parameters, which are overwritten.

    Parameters
    ----------
    network : Network
        Gets the parameters of the last complete iteration, also when an exception is raised.
    data : Data
    progress : scipy.optimize.OptimizeResult
        Its ``x``, the starting point, ``fun`` and ``nit`` are overwritten after every iteration; at the end it is
        the result of `minimize`. ``loss`` is the recorded value of `fun`.
    loss_scale : float
        Factor of the data's share in the recorded losses; the loss that is minimized does not have it.
    max_iter, max_fun : int
        Largest numbers of iterations and evaluations.
    tol : float
        Stop when no component of the gradient exceeds this.
    callbacks : Callbacks or None
        Called after every iteration, as after an epoch. The history of their state notes whether an exception
        came from outside. Where it has iterations already, these are repeated without the callbacks.
    evaluations : Evaluations or None
        The earlier ones, and where new ones are noted. The optimizer is given copies of the losses and gradients.

    Returns
    -------
    stopped : bool
        Whether a callback ended it.
    """
    callbacks = Callbacks() if callbacks is None else callbacks
    blas = OneBlasThread()
    stopped = False
    # the statistics of batch normalization are those of all rows
    n_rows = data.n_rows if network.has_batch_norm else rows_of_gradient(data.n_rows)
    loop = network.training_loop(data, n_rows, training=True)

    n_repeated = 0 if callbacks.state is None else callbacks.state.history.n_iter

    def value_and_gradient(packed):
        known = None if evaluations is None else evaluations.replay(packed)
        if known is not None:
            return known
        network.params = packed
        loss, gradient = network.objective(data, loop=loop)
        if evaluations is not None:
            evaluations.note(packed, loss, gradient)
        return loss, gradient

    def record_loss():
        """Set the network's parameters to those of the last iteration, and scale the data's share of their loss."""
        network.params = progress.x
        loop.renew_statistics()
        penalty = network.penalty() / data.weight_sum
        progress.loss = float(loss_scale * (progress.fun - penalty) + penalty)

    def after_iteration(iterate):
        blas.acquire()  # if another fit had set the limit and has ended
        progress.update(iterate, nit=progress.nit + 1)
        if callbacks and progress.nit >= n_repeated:
            record_loss()
            with blas.lifted():
                if progress.nit > n_repeated:
                    history = callbacks.state.history
                    history.n_iter = progress.nit
                    history.loss_curve.append(progress.loss)
                    callbacks.end_epoch()
                stop = callbacks.ask_to_stop or callbacks.notify("on_epoch_begin")
            if stop:
                nonlocal stopped
                stopped = True
                raise StopIteration

    try:
        if not n_repeated:
            callbacks.notify("on_epoch_begin")
        # the threads of the loop live for all evaluations
        with loop, blas:
            progress.update(
                minimize(
                    value_and_gradient,
                    progress.x,
                    loop.team,
                    max_iter=max_iter,
                    max_fun=max_fun,
                    tol=tol,
                    callback=after_iteration,
                )
            )
    except BaseException as error:
        if callbacks.state is not None:
            callbacks.state.history.interrupted = is_interruption(error, USERS_FUNCTIONS)
        raise
    finally:
        record_loss()
    return stopped
