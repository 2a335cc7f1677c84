"""Derivatives of a network: products with its Jacobian in both modes, the Jacobian, products with the Hessian.

Rows go through the net in slices whose activations the caches hold, each slice a `Linearization`: one forward pass, and
the products on top of it. Where there is enough work, threads share the slices. Gradients are added up within a fixed
number of runs of slices, and these in their order: no result depends on the number of threads.

The cost, in products with the weights of a layer, where a forward pass is one: vjp, jvp and input_gradient 2, backward
3, hvp 3 for the first layer, whose input does not change, and 8 for every other (the forward pass 1, its change 2, the
backward pass 1, its change 2, the change of dW 2). ``benchmarks/derivatives.py`` measures it.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import sparse

from fastbp.data import as_rows, checked_csr, dense, real_array
from fastbp.kernels._doors import check_shape
from fastbp.kernels.data import Data
from fastbp.kernels.linearization import Linearization, mirrors_of
from fastbp.kernels.pool import Pool
from fastbp.kernels.program import DERIVATIVES
from fastbp.penalty import l2_gradient
from fastbp.threads import STARTED_FLOPS_PER_THREAD, threads_for

#: Rows that pass through the net together, here and for the gradient of a whole data set: their activations should stay
#: in the second-level cache, and more rows amortize the adding up of gradients.
SLICE_ROWS = 256

#: Fewer in a deep net, down to this number, whose activations would take more bytes: with 200 layers of 32 units a
#: vjp costs four forward passes by 256 rows, and two by 64.
FEWEST_ROWS = 32
SLICE_BYTES = 3 * 1024 * 1024

#: Gradients are added up within so many runs of slices.
RUNS = 4


class Differentiable:
    """The part of a `Network` that differentiates it."""

    def vjp(self, X: ArrayLike, v: ArrayLike) -> NDArray:
        """The vector-Jacobian product ``v J``, row by row: reverse mode, one backward pass.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n, n_features)
        v : array-like of shape (n, n_outputs)

        Returns
        -------
        dX : ndarray of shape (n, n_features)
            Row i is ``v[i] @ J_i``, with J_i of shape (n_outputs, n_features) the Jacobian of the output at ``X[i]``:
            the gradient by X of ``sum(v * forward(X))``.
        """
        X = self._check_X(X)
        v = self._like("v", v, (X.shape[0], self.n_outputs))
        out = np.empty(X.shape, self.dtype)
        self._over_slices(X, lambda kept, rows: kept.pull(v[rows], dX=out[rows]), passes=2)
        return out

    def jvp(self, X: ArrayLike, u: ArrayLike) -> NDArray:
        """The Jacobian-vector product ``J u``, row by row: forward mode, in step with the forward pass.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n, n_features)
        u : array-like of shape (n, n_features)

        Returns
        -------
        dA : ndarray of shape (n, n_outputs)
            Row i is ``J_i @ u[i]``: the change of the output, to first order, when ``X[i]`` moves by ``u[i]``.
        """
        X = self._check_X(X)
        u = self._like("u", u, X.shape)
        out = np.empty((X.shape[0], self.n_outputs), self.dtype)

        def push(kept, rows):
            out[rows] = kept.push(u[rows])

        self._over_slices(X, push, passes=2)
        return out

    def jacobian(self, X: ArrayLike, mode: str = "auto") -> NDArray:
        """The Jacobian of the output by the input, at every row of X.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n, n_features)
        mode : {"auto", "reverse", "forward"}
            reverse: a `vjp` for each output. forward: a `jvp` for each feature. auto: whichever are fewer. All give the
            same numbers, but for rounding.

        Returns
        -------
        J : ndarray of shape (n, n_outputs, n_features)
        """
        n_features, n_outputs = self.graph.n_features, self.n_outputs
        if mode not in ("auto", "reverse", "forward"):
            raise ValueError(f"mode must be 'auto', 'reverse' or 'forward', got {mode!r}")
        if mode == "auto":
            mode = "forward" if n_features < n_outputs else "reverse"
        X = self._check_X(X)
        J = np.empty((X.shape[0], n_outputs, n_features), self.dtype)

        def reverse(kept, rows):
            row = np.empty((len(kept.output), n_features), self.dtype)
            for k, v in enumerate(np.eye(n_outputs, dtype=self.dtype)):
                kept.pull(np.tile(v, (len(row), 1)), dX=row)
                J[rows, k] = row

        def forward(kept, rows):
            for j, u in enumerate(np.eye(n_features, dtype=self.dtype)):
                J[rows, :, j] = kept.push(np.tile(u, (len(kept.output), 1)))

        passes = 1 + (n_outputs if mode == "reverse" else n_features)
        self._over_slices(X, reverse if mode == "reverse" else forward, passes)
        return J

    def backward(self, X: ArrayLike, dA: ArrayLike) -> tuple[NDArray, NDArray]:
        """Backpropagation of a gradient of your own.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n, n_features)
        dA : array-like of shape (n, n_outputs)
            The gradient of your cost by the network's output, ``forward(X)``.

        Returns
        -------
        gradient : ndarray of shape (n_params,)
            By the parameters, summed over the rows, without a penalty; see `split`.
        dX : ndarray of shape (n, n_features)
            By the input, like `vjp`.
        """
        X = self._check_X(X)
        dA = self._like("dA", dA, (X.shape[0], self.n_outputs))
        dX = np.empty(X.shape, self.dtype)
        gradient = self._summed_over_slices(X, lambda kept, rows, total: kept.pull(dA[rows], total, dX[rows]), passes=3)
        return gradient, dX

    def input_gradient(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> NDArray:
        """The gradient of the mean loss by the input: which features of which rows the loss hangs on.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n, n_features)
        y, sample_weight
            As for `loss_and_gradient`, whose loss this is the gradient of.

        Returns
        -------
        dX : ndarray of shape (n, n_features)
        """
        X, data = self._data(X, y, sample_weight)
        out = np.empty(X.shape, self.dtype)

        def pull(kept, rows):
            if callable(self.loss):
                kept.pull(self._gradient_of_function(kept, data, rows), dX=out[rows])
            else:
                kept.pull_loss(dX=out[rows])

        # a function of the user's is called by the caller's thread only, as in training
        self._over_slices(X, pull, passes=2, alone=callable(self.loss), data=data)
        out /= self.dtype.type(data.weight_sum)
        return out

    def hvp(self, X: ArrayLike, y: ArrayLike, direction: ArrayLike, sample_weight: ArrayLike | None = None) -> NDArray:
        """The Hessian-vector product: the change of the gradient when the parameters move along `direction`.

        Exact to rounding, and without the Hessian: the directional derivative of backpropagation itself.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n, n_features)
        y, sample_weight
            As for `loss_and_gradient`, whose gradient this is the derivative of, the penalty's share included.
        direction : array-like of shape (n_params,)
            Laid out as the parameters; see `split`.

        Returns
        -------
        ndarray of shape (n_params,)
            ``H @ direction``.

        Raises
        ------
        ValueError
            For a loss that is a function: its second derivative is not known; for a layer that has none.

        References
        ----------
        Pearlmutter (1994), Fast exact multiplication by the Hessian, Neural Computation 6.
        """
        if callable(self.loss):
            raise ValueError(f"hvp needs the second derivative of the loss, which {self.loss!r} does not give")
        X, data = self._data(X, y, sample_weight)
        direction = self._like("direction", direction, (self.n_params,))
        mirrors = mirrors_of(self._derivatives_program(data), direction)
        product = self._summed_over_slices(
            X, lambda kept, rows, total: kept.hessian_product(direction, mirrors, total), passes=8, data=data
        )
        for part, factor in self.graph.penalized:
            product[part] += l2_gradient(self.alpha * factor, direction[part])
        product /= self.dtype.type(data.weight_sum)
        return product

    def _gradient_of_function(self, kept, data, rows):
        """The gradient by the raw output that the user's function gives for some rows."""
        weight = None if data.sample_weight is None else data.sample_weight[rows]
        gradient = self.kernel_loss.checked(data.targets(rows), kept.output, weight)[1]
        return dense(f"the gradient from {self.kernel_loss.label}", gradient, self.dtype)

    # Slices

    def _slice_rows(self):
        row_bytes = self.dtype.itemsize * sum(self.layer_sizes[1:])
        return max(FEWEST_ROWS, min(SLICE_ROWS, SLICE_BYTES // row_bytes))

    def _derivatives_program(self, data):
        """The program to differentiate: of the output, or, with data, of what the loss is given."""
        return self.program(DERIVATIVES, data is not None and self.gives_loss_raw_output)

    def _over_slices(self, X, work_on, passes, totals=None, alone=False, data=None):
        """Call ``work_on(linearization, rows)`` for every slice of the rows of X, in threads where that pays.

        With `totals`, an array for each run of slices, which is set to zero, ``work_on(linearization, rows, total)``.
        With `alone`, in this thread only. With `data`, the linearization is of what the loss is given, and has the
        targets of the slice.
        """
        n = X.shape[0]
        if sparse.issparse(X):
            X = checked_csr("X", X)  # slicing follows its indices, after functions of the user's have run
        program = self._derivatives_program(data)
        mirrors = mirrors_of(program, self.params)
        size = self._slice_rows()
        n_slices = -(-n // size)
        n_runs = n_slices if totals is None else len(totals)

        def linearization(rows):
            part = as_rows(X[rows].toarray() if sparse.issparse(X) else X[rows], self.dtype)
            if data is None or callable(self.loss):
                return Linearization(program, self.params, mirrors, Data(part, n_outputs=self.n_outputs))
            weight = None if data.sample_weight is None else data.sample_weight[rows]
            piece = Data(part, data.targets(rows), sample_weight=weight, n_outputs=self.n_outputs)
            return Linearization(program, self.params, mirrors, piece, self.kernel_loss)

        def work(pool):
            for run in pool:
                total = () if totals is None else (totals[run],)
                for array in total:
                    array[...] = 0
                for i in range(run * n_slices // n_runs, (run + 1) * n_slices // n_runs):
                    if pool.halted:
                        return
                    rows = slice(i * size, min((i + 1) * size, n))
                    work_on(linearization(rows), rows, *total)

        wanted = 1 if alone else self.n_threads
        n_threads = threads_for(passes * self.flops(n, backward=False), wanted, STARTED_FLOPS_PER_THREAD)
        Pool(n_runs).run(work, min(n_threads, n_runs))

    def _summed_over_slices(self, X, work_on, passes, data=None):
        """The sum over all slices of what ``work_on(linearization, rows, total)`` adds to `total`."""
        runs = max(1, min(RUNS, -(-X.shape[0] // self._slice_rows())))
        totals = [np.empty(self.n_params, self.dtype) for _ in range(runs)]
        self._over_slices(X, work_on, passes, totals, data=data)
        total = totals[0]
        for other in totals[1:]:
            total += other
        return total

    def _data(self, X, y, sample_weight):
        """(X, data), checked."""
        X = self._check_X(X)
        data = self._make_data(X, y, sample_weight)
        if callable(self.loss):
            self.kernel_loss.check_weights(data)
        return X, data

    def _like(self, name, array, shape):
        """`array` in the network's dtype, C-contiguous and aligned; ValueError unless of this shape."""
        return dense(name, check_shape(name, real_array(name, array), shape), self.dtype)
