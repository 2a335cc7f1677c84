"""Derivatives of a network: products with its Jacobian in both modes, the Jacobian, products with the Hessian.

Rows go through the network in slices whose activations fit into the caches. Each slice is a `Linearization`: one
forward pass, and the products that need it. Threads share the slices if there is enough work. Gradients are added up
in a fixed number of partial sums, and these in their order: no result depends on the number of threads.

The cost, in products with the weights of a layer, where a forward pass is one: vjp, jvp and input_gradient 2, backward
3, hvp 3 for the first layer, whose input does not change, and 8 for every other (the forward pass 1, its change 2, the
backward pass 1, its change 2, the change of dW 2). ``benchmarks/derivatives.py`` measures it.
"""

import numpy as np
from scipy import sparse

from fastbp.data import checked_csr, dense
from fastbp.kernels.data import Data
from fastbp.kernels.linearization import Linearization, mirrors_of
from fastbp.kernels.pool import Pool
from fastbp.kernels.slicing import n_partial_sums, rows_of_derivative
from fastbp.threads import STARTED_FLOPS_PER_THREAD, threads_for


class Slices:
    """Slices of rows that pass through a program, and the `Linearization` of each slice.

    Parameters
    ----------
    program : Program
        Compiled for DERIVATIVES: with `data` it ends with what the loss is given, else with the network's output.
    params : ndarray of shape (n_params,)
    X : ndarray or sparse matrix of shape (n, n_features)
    n_threads : int or None
        At most so many threads.
    data : Data or None
        The targets and sample weights, for derivatives of the loss.
    loss : str, FunctionLoss or None
        The loss of the kernels, or a function.
    loss_constants : tuple of float
    """

    def __init__(self, program, params, X, n_threads, data=None, loss=None, loss_constants=()):
        # a checked copy of the indices: slicing follows them, after functions of the user's may have changed them
        self.X = checked_csr("X", X) if sparse.issparse(X) else X
        self.program, self.params, self.n_threads, self.data, self.loss = program, params, n_threads, data, loss
        self.loss_constants = loss_constants
        self.dtype = program.dtype
        self.n_rows, self.n_features, self.n_outputs = X.shape[0], X.shape[1], program.graph.n_outputs
        self.size = rows_of_derivative(program)
        self.n_slices = -(-self.n_rows // self.size)

    def each(self, work_on, passes, totals=None):
        """Call ``work_on(linearization, rows)`` for every slice, in threads where that pays.

        Parameters
        ----------
        work_on : callable
        passes : int
            Its cost, in forward passes.
        totals : list of ndarray of shape (n_params,), or None
            Partial sums, each over consecutive slices: they are set to zero, and `work_on` gets the one of the slice as
            a third argument.
        """
        mirrors = mirrors_of(self.program, self.params)
        n_parts = self.n_slices if totals is None else len(totals)

        def work(pool):
            for part in pool:
                total = () if totals is None else (totals[part],)
                for array in total:
                    array[...] = 0
                for i in range(part * self.n_slices // n_parts, (part + 1) * self.n_slices // n_parts):
                    if pool.halted:
                        return
                    rows = slice(i * self.size, min((i + 1) * self.size, self.n_rows))
                    work_on(self.linearization(rows, mirrors), rows, *total)

        # a function of the user's is called by the caller's thread only, as in training
        wanted = 1 if callable(self.loss) else self.n_threads
        forward_flops = 2 * self.n_rows * self.program.graph.n_weights
        n_threads = threads_for(passes * forward_flops, wanted, STARTED_FLOPS_PER_THREAD)
        Pool(n_parts).run(work, min(n_threads, n_parts))

    def sum(self, work_on, passes):
        """The sum over all slices of what ``work_on(linearization, rows, total)`` adds to `total`."""
        totals = [np.empty(len(self.params), self.dtype) for _ in range(n_partial_sums(self.n_slices))]
        self.each(work_on, passes, totals)
        total = totals[0]
        for other in totals[1:]:
            total += other
        return total

    def linearization(self, rows, mirrors):
        """The linearization of a slice; with the loss, unless that is a function."""
        X = self.X[rows].toarray() if sparse.issparse(self.X) else self.X[rows]
        X = dense("X", X, self.dtype)
        if self.data is None or callable(self.loss):
            return Linearization(self.program, self.params, mirrors, Data(X, n_outputs=self.n_outputs))
        weight = None if self.data.sample_weight is None else self.data.sample_weight[rows]
        data = Data(X, self.data.targets(rows), sample_weight=weight, n_outputs=self.data.n_outputs)
        return Linearization(self.program, self.params, mirrors, data, self.loss, self.loss_constants)


def vjp(slices, v):
    """The product ``v J``, row by row.

    Parameters
    ----------
    slices : Slices
    v : ndarray of shape (n, n_outputs)

    Returns
    -------
    ndarray of shape (n, n_features)
    """
    dX = np.empty((slices.n_rows, slices.n_features), slices.dtype)
    slices.each(lambda kept, rows: kept.pull(v[rows], dX=dX[rows]), passes=2)
    return dX


def jvp(slices, u):
    """The product ``J u``, row by row.

    Parameters
    ----------
    slices : Slices
    u : ndarray of shape (n, n_features)

    Returns
    -------
    ndarray of shape (n, n_outputs)
    """
    dA = np.empty((slices.n_rows, slices.n_outputs), slices.dtype)

    def push(kept, rows):
        dA[rows] = kept.push(u[rows])

    slices.each(push, passes=2)
    return dA


def jacobian_by_rows(slices):
    """The Jacobian of each row of X by a `vjp` for each output: reverse mode.

    Parameters
    ----------
    slices : Slices

    Returns
    -------
    ndarray of shape (n, n_outputs, n_features)
    """
    J = np.empty((slices.n_rows, slices.n_outputs, slices.n_features), slices.dtype)

    def pull(kept, rows):
        dX = np.empty((len(kept.output), slices.n_features), slices.dtype)
        for k, v in enumerate(np.eye(slices.n_outputs, dtype=slices.dtype)):
            kept.pull(np.tile(v, (len(dX), 1)), dX=dX)
            J[rows, k] = dX

    slices.each(pull, passes=1 + slices.n_outputs)
    return J


def jacobian_by_columns(slices):
    """The same by a `jvp` for each feature: forward mode.

    Parameters
    ----------
    slices : Slices

    Returns
    -------
    ndarray of shape (n, n_outputs, n_features)
    """
    J = np.empty((slices.n_rows, slices.n_outputs, slices.n_features), slices.dtype)

    def push(kept, rows):
        for j, u in enumerate(np.eye(slices.n_features, dtype=slices.dtype)):
            J[rows, :, j] = kept.push(np.tile(u, (len(kept.output), 1)))

    slices.each(push, passes=1 + slices.n_features)
    return J


def backward(slices, dA):
    """The gradients of ``sum(dA * output)`` by the parameters, summed over the rows, and by X.

    Parameters
    ----------
    slices : Slices
    dA : ndarray of shape (n, n_outputs)

    Returns
    -------
    gradient : ndarray of shape (n_params,)
    dX : ndarray of shape (n, n_features)
    """
    dX = np.empty((slices.n_rows, slices.n_features), slices.dtype)
    return slices.sum(lambda kept, rows, total: kept.pull(dA[rows], total, dX[rows]), passes=3), dX


def input_gradient(slices):
    """The gradient of the summed loss by X.

    Parameters
    ----------
    slices : Slices
        With data and loss.

    Returns
    -------
    ndarray of shape (n, n_features)
    """
    dX = np.empty((slices.n_rows, slices.n_features), slices.dtype)

    def pull(kept, rows):
        if callable(slices.loss):
            kept.pull(gradient_of_function(slices.loss, slices.data, rows, kept.output), dX=dX[rows])
        else:
            kept.pull_loss(dX=dX[rows])

    slices.each(pull, passes=2)
    return dX


def hvp(slices, direction):
    """The product of the Hessian of the summed loss, by the parameters, with a direction.

    Parameters
    ----------
    slices : Slices
        With data and a loss of the kernels.
    direction : ndarray of shape (n_params,)

    Returns
    -------
    ndarray of shape (n_params,)
    """
    mirrors = mirrors_of(slices.program, direction)
    return slices.sum(lambda kept, rows, total: kept.hessian_product(direction, mirrors, total), passes=8)


def gradient_of_function(loss, data, rows, raw_prediction):
    """The gradient by the raw prediction that a user's loss gives for some rows.

    Parameters
    ----------
    loss : FunctionLoss
    data : Data
    rows : slice
    raw_prediction : ndarray of shape (n, n_outputs)

    Returns
    -------
    ndarray of shape (n, n_outputs)
    """
    weight = None if data.sample_weight is None else data.sample_weight[rows]
    gradient = loss.checked(data.targets(rows), raw_prediction, weight)[1]
    return dense(f"the gradient from {loss.label}", gradient, raw_prediction.dtype)
